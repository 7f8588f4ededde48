/* Predictor-corrector with the Metropolis-adjusted Langevin algorithm: as pc-langevin, but a
 * corrector's state is a proposal
 *     y = x + e s(x) + sqrt(2 e) z,
 * which a sample takes when log u is below
 *     log p(y) - log p(x) + (|z|^2 - |z'|^2)/2,   z' = (x - y - e s(y))/sqrt(2 e),
 * u its own uniform, and else stays at x. The law at a node is exactly stationary for any e. Needs
 * log p_t, so closed-form models; costs one call a node more.
 * Source: Roberts & Tweedie 1996 (Bernoulli 2), section 1.4.1; Song et al. 2021 (arXiv:2011.13456),
 * algorithm 3. */
#include <math.h>

#include "core/vec.h"
#include "solvers/pc.h"

enum { EPS = VPSDE_PC_SCRATCH, PROPOSAL, EPS_THERE, Z, LOG_P, LOG_P_THERE, UNIFORM, END };

/* log of the ratio by which the proposal's density and its way back exceed those of staying; NaN,
 * which stays, where e = 0. */
static double log_ratio(const vpsde_step *s, double e, size_t i)
{
    const double drift = e / s->next->sigma, root = sqrt(2 * e);
    double there = 0, back = 0;
    for (size_t f = i * s->d; f < (i + 1) * s->d; f++) {
        const double z = s->w[Z][f];
        const double z_back = (s->x[f] - s->w[PROPOSAL][f] + drift * s->w[EPS_THERE][f]) / root;
        there += z * z;
        back += z_back * z_back;
    }
    return s->w[LOG_P_THERE][i] - s->w[LOG_P][i] + (there - back) / 2;
}

static void accept(vpsde_step *s, size_t i)
{
    vec_copy(s->d, s->x + i * s->d, s->w[PROPOSAL] + i * s->d);
    vec_copy(s->d, s->w[EPS] + i * s->d, s->w[EPS_THERE] + i * s->d);
    s->w[LOG_P][i] = s->w[LOG_P_THERE][i];
}

static vpsde_status correct(vpsde_step *s, double e, unsigned steps)
{
    const size_t count = s->n * s->d;
    VPSDE_TRY(vpsde_eps_with(s, s->next, s->x, s->w[EPS], NULL, s->w[LOG_P]));
    for (unsigned c = 0; c < steps; c++) {
        vpsde_step_draw(s, c, s->w[Z]);
        vpsde_step_uniform(s, c, s->w[UNIFORM]);
        vec_lin3(count, s->w[PROPOSAL], 1, s->x, -e / s->next->sigma, s->w[EPS], sqrt(2 * e),
                 s->w[Z]);
        VPSDE_TRY(
            vpsde_eps_with(s, s->next, s->w[PROPOSAL], s->w[EPS_THERE], NULL, s->w[LOG_P_THERE]));
        for (size_t i = 0; i < s->n; i++) {
            if (log(s->w[UNIFORM][i]) < log_ratio(s, e, i)) accept(s, i);
        }
    }
    return VPSDE_OK;
}

static vpsde_status step(vpsde_step *s) { return vpsde_pc_step(s, correct); }

static size_t nfe(const double *param, const vpsde_grid *grid)
{
    return vpsde_pc_nfe(param, grid, 1);
}

const vpsde_solver_type vpsde_solver_pc_mala = {
    .name = "pc-mala",
    .source = "Roberts & Tweedie 1996 (Bernoulli 2), section 1.4.1",
    .doc = "Predictor, then Metropolis-adjusted Langevin correctors; closed-form models only.",
    .flags = VPSDE_SOLVER_STOCHASTIC,
    .needs = VPSDE_MODEL_LOG_P,
    .nfe_per_step = 3,
    .n_scratch = END,
    .params = vpsde_pc_params,
    .step = step,
    .prepare = vpsde_pc_prepare,
    .nfe = nfe,
};
