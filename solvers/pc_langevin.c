/* Predictor-corrector: a reverse-SDE step from node k to k + 1, then Langevin steps at node k + 1
 *     x <- x + e s + sqrt(2 e) z,   s = -eps/sigma,
 *     e = 2 a snr^2 d / E|s|^2      (step: expected; E|s|^2 from pilot chains)
 *     e = 2 a (snr sigma)^2         (step: sigma),      a = alpha_k^2/alpha_{k+1}^2,
 * the same e for every sample and state: with the norm of a sample's own score, as published, the
 * step grows where s -> 0 and the stationary law is another one (pc-langevin-compat).
 * Bias that steps do not remove: at fixed e a Gaussian mode of variance v settles at
 * v/(1 - e/(2 v)), that is v/(1 - a snr^2) for an isotropic one. So no weak order is declared;
 * pc-leimkuhler-matthews and pc-mala have less of it and none.
 * Source: Song et al. 2021 (arXiv:2011.13456), algorithms 3 and 5. */
#include <math.h>

#include "core/vec.h"
#include "solvers/pc.h"

static vpsde_status correct(vpsde_step *s, double e, unsigned steps)
{
    double *eps = s->w[VPSDE_PC_SCRATCH], *z = s->w[VPSDE_PC_SCRATCH + 1];
    for (unsigned c = 0; c < steps; c++) {
        VPSDE_TRY(vpsde_eps(s, s->next, s->x, eps));
        vpsde_step_draw(s, c, z);
        vec_lin3(s->n * s->d, s->x, 1, s->x, -e / s->next->sigma, eps, sqrt(2 * e), z);
    }
    return VPSDE_OK;
}

static vpsde_status step(vpsde_step *s) { return vpsde_pc_step(s, correct); }

static size_t nfe(const double *param, const vpsde_grid *grid)
{
    return vpsde_pc_nfe(param, grid, 0);
}

const vpsde_solver_type vpsde_solver_pc_langevin = {
    .name = "pc-langevin",
    .source = "Song et al. 2021 (arXiv:2011.13456), algorithms 3 and 5; state-independent step",
    .doc = "Predictor, then Langevin correctors whose step is the same for every sample.",
    .flags = VPSDE_SOLVER_STOCHASTIC,
    .nfe_per_step = 2,
    .n_scratch = VPSDE_PC_SCRATCH + 2,
    .params = vpsde_pc_params,
    .step = step,
    .prepare = vpsde_pc_prepare,
    .nfe = nfe,
};
