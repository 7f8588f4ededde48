/* Predictor-corrector with the corrector of Leimkuhler & Matthews: as pc-langevin, but
 *     x <- x + e s + sqrt(2 e) (R_k + R_{k+1})/2
 * with noises R_k that each serve two steps, from one node's correctors to the next one's as well;
 * R = 0 before the first. The stationary law is the right one to order e^2 instead of e, and of a
 * Gaussian exactly: without predictor and in the limit of many nodes nothing of pc-langevin's bias
 * is left there. What a predictor breaks of the pairing vanishes with its step.
 * Source: Leimkuhler & Matthews 2013 (Appl. Math. Res. Express), eq. (1.3); Song et al. 2021
 * (arXiv:2011.13456), algorithm 3. */
#include <math.h>
#include <string.h>

#include "core/vec.h"
#include "solvers/pc.h"

static vpsde_status correct(vpsde_step *s, double e, unsigned steps)
{
    double *eps = s->w[VPSDE_PC_SCRATCH], *z = s->w[VPSDE_PC_SCRATCH + 1];
    double *R = s->w[VPSDE_PC_SCRATCH + 2]; /* kept from node to node */
    const size_t count = s->n * s->d;
    const double half = sqrt(e / 2);

    if (s->k == 0) memset(R, 0, count * sizeof(*R));
    for (unsigned c = 0; c < steps; c++) {
        VPSDE_TRY(vpsde_eps(s, s->next, s->x, eps));
        vpsde_step_draw(s, c, z);
        vec_lin4(count, s->x, 1, s->x, -e / s->next->sigma, eps, half, R, half, z);
        vec_copy(count, R, z);
    }
    return VPSDE_OK;
}

static vpsde_status step(vpsde_step *s) { return vpsde_pc_step(s, correct); }

static size_t nfe(const double *param, const vpsde_grid *grid)
{
    return vpsde_pc_nfe(param, grid, 0);
}

const vpsde_solver_type vpsde_solver_pc_leimkuhler_matthews = {
    .name = "pc-leimkuhler-matthews",
    .source = "Leimkuhler & Matthews 2013 (Appl. Math. Res. Express), eq. (1.3)",
    .doc = "Predictor, then Langevin correctors with averaged noise: no bias on Gaussians.",
    .flags = VPSDE_SOLVER_STOCHASTIC,
    .nfe_per_step = 2,
    .n_scratch = VPSDE_PC_SCRATCH + 3,
    .params = vpsde_pc_params,
    .step = step,
    .prepare = vpsde_pc_prepare,
    .nfe = nfe,
};
