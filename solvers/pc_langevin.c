/* Predictor-corrector: a reverse-SDE step from node k to k + 1, then Langevin steps at node k + 1
 *     x <- x + e s + sqrt(2 e) z,   s = -eps/sigma,
 *     e = 2 a snr^2 d / E|s|^2      (step: expected; E|s|^2 from pilot chains)
 *     e = 2 a (snr sigma)^2         (step: sigma),      a = alpha_k^2/alpha_{k+1}^2,
 * the same e for every sample and state: with the norm of a sample's own score, as published, the
 * step grows where s -> 0 and the stationary law is another one (pc-langevin-compat).
 * Bias that steps do not remove: at fixed e a Gaussian mode of variance v settles at
 * v/(1 - e/(2 v)), that is v/(1 - a snr^2) for an isotropic one. So no weak order is declared.
 * Source: Song et al. 2021 (arXiv:2011.13456), algorithms 3 and 5. */
#include <math.h>

#include "core/vec.h"
#include "solvers/clock.h"
#include "solvers/driver.h"

extern const vpsde_solver_type vpsde_solver_reverse_diffusion, vpsde_solver_euler_maruyama,
    vpsde_solver_ancestral, vpsde_solver_ddim;

static const vpsde_solver_type *const predictors[] = {&vpsde_solver_reverse_diffusion,
                                                      &vpsde_solver_euler_maruyama,
                                                      &vpsde_solver_ancestral, &vpsde_solver_ddim};

enum { SNR, CORRECTOR_STEPS, STEP, PREDICTOR };
enum { OWN_SCRATCH = 2, PREDICTOR_SCRATCH = 2 };
enum { STEP_EXPECTED, STEP_SIGMA };
static const vpsde_param params[] = {
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

static vpsde_status prepare(vpsde_pilot *pilot, double *table)
{
    const bool pilots = pilot->param[STEP] == STEP_EXPECTED && pilot->param[CORRECTOR_STEPS] > 0;
    if (!pilots) return VPSDE_OK;
    return vpsde_pilot_score_square(pilot, predictors[(size_t)pilot->param[PREDICTOR]], table);
}

static vpsde_status step(vpsde_step *s)
{
    double *eps = s->w[0], *z = s->w[1];
    const double a = 1 - vpsde_stride_beta(s->at, s->next), snr = s->param[SNR];
    const double sigma = s->next->sigma;

    VPSDE_TRY(vpsde_step_as(s, predictors[(size_t)s->param[PREDICTOR]], OWN_SCRATCH));
    if (!(sigma > 0)) return VPSDE_OK; /* no score at data */
    const double scale =
        s->param[STEP] == STEP_SIGMA ? sigma * sigma : (double)s->d / s->table[s->k + 1];
    const double e = 2 * a * snr * snr * scale;
    for (unsigned c = 0; c < (unsigned)s->param[CORRECTOR_STEPS]; c++) {
        VPSDE_TRY(vpsde_eps(s, s->next, s->x, eps));
        vpsde_step_noise(s, VPSDE_NOISE_CORRECTOR, c, z);
        vec_lin3(s->n * s->d, s->x, 1, s->x, -e / sigma, eps, sqrt(2 * e), z);
    }
    return VPSDE_OK;
}

static size_t nfe(const double *param, const vpsde_grid *grid)
{
    const bool to_zero = !(grid->node[grid->n_steps].sigma > 0);
    const size_t corrected = (grid->n_steps - to_zero) * (size_t)param[CORRECTOR_STEPS];
    return grid->n_steps * predictors[(size_t)param[PREDICTOR]]->nfe_per_step + corrected;
}

const vpsde_solver_type vpsde_solver_pc_langevin = {
    .name = "pc-langevin",
    .source = "Song et al. 2021 (arXiv:2011.13456), algorithms 3 and 5; state-independent step",
    .doc = "Predictor, then Langevin correctors whose step is the same for every sample.",
    .flags = VPSDE_SOLVER_STOCHASTIC,
    .nfe_per_step = 2,
    .n_scratch = OWN_SCRATCH + PREDICTOR_SCRATCH,
    .params = params,
    .step = step,
    .prepare = prepare,
    .nfe = nfe,
};
