#include "solvers/pc.h"

#include "solvers/clock.h"

extern const vpsde_solver_type vpsde_solver_reverse_diffusion, vpsde_solver_euler_maruyama,
    vpsde_solver_ancestral, vpsde_solver_ddim;

static const vpsde_solver_type *const predictors[] = {&vpsde_solver_reverse_diffusion,
                                                      &vpsde_solver_euler_maruyama,
                                                      &vpsde_solver_ancestral, &vpsde_solver_ddim};

enum { SNR, CORRECTOR_STEPS, STEP, PREDICTOR };
enum { STEP_EXPECTED, STEP_SIGMA };
const vpsde_param vpsde_pc_params[] = {
    {.name = "snr",
     .value = 0.16,
     .min = 0,
     .max = 1,
     .doc = "signal-to-noise ratio of a corrector step"},
    {.name = "corrector_steps",
     .kind = VPSDE_PARAM_INT,
     .value = 1,
     .min = 0,
     .max = VPSDE_DRAWS_PER_STEP,
     .doc = "Langevin steps a node; each costs one network call"},
    {.name = "step",
     .kind = VPSDE_PARAM_CHOICE,
     .choices = "expected|sigma",
     .max = 1,
     .doc = "step size from E|s|^2 of pilot chains, or from sigma"},
    {.name = "predictor",
     .kind = VPSDE_PARAM_CHOICE,
     .choices = "reverse-diffusion|euler-maruyama|ancestral|ddim",
     .max = 3,
     .doc = "solver of the predictor step, at its defaults"},
    {.name = NULL},
};

vpsde_status vpsde_pc_prepare(vpsde_pilot *pilot, double *table)
{
    const bool pilots = pilot->param[STEP] == STEP_EXPECTED && pilot->param[CORRECTOR_STEPS] > 0;
    if (!pilots) return VPSDE_OK;
    return vpsde_pilot_score_square(pilot, predictors[(size_t)pilot->param[PREDICTOR]], table);
}

vpsde_status vpsde_pc_step(vpsde_step *s, vpsde_pc_correct correct)
{
    const double a = 1 - vpsde_stride_beta(s->at, s->next), snr = s->param[SNR];
    const double sigma = s->next->sigma;
    const unsigned steps = (unsigned)s->param[CORRECTOR_STEPS];

    VPSDE_TRY(vpsde_step_as(s, predictors[(size_t)s->param[PREDICTOR]], 0));
    if (!(sigma > 0) || steps == 0) return VPSDE_OK; /* no score at data */
    const double scale =
        s->param[STEP] == STEP_SIGMA ? sigma * sigma : (double)s->d / s->table[s->k + 1];
    return correct(s, 2 * a * snr * snr * scale, steps);
}

size_t vpsde_pc_nfe(const double *param, const vpsde_grid *grid, size_t calls_before)
{
    const bool to_zero = !(grid->node[grid->n_steps].sigma > 0);
    const size_t steps = (size_t)param[CORRECTOR_STEPS];
    const size_t corrected = steps == 0 ? 0 : (grid->n_steps - to_zero) * (calls_before + steps);
    return grid->n_steps * predictors[(size_t)param[PREDICTOR]]->nfe_per_step + corrected;
}
