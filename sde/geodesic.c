/* Constant thermodynamic speed: every step has the same share of the length L = int sqrt(g) db, where
 *   g(b) = 1/2 E|I + H|_F^2,   H the Hessian of log p_b.
 * A chain of steps N(E[x_s | x_t], 1 - alpha_t^2/alpha_s^2), DDPM's with the large variance, loses
 * 1/2 sum g(b_k) db_k^2 of path KL to leading order; of all grids of N steps this one loses least,
 * L^2/(2N) (Sivak & Crooks 2012, arXiv:1201.4166; Crooks 2007, arXiv:0706.0559). On Gaussians g db^2 is
 * the Fisher-Rao metric of the variance. */
#include <math.h>
#include <stdlib.h>

#include "core/mem.h"
#include "sde/registry.h"
#include "sde/shares.h"

enum { LAMBDA_SHARE, PILOT_NODES, PILOT_SAMPLES, PROBES, N_PARAMS };
static const double round_off = 1e-24; /* of a metric that is 0 */

static const vpsde_param params[] = {
    [LAMBDA_SHARE] =
        {.name = "lambda_share",
         .max = 1,
         .doc =
             "Share of the steps that are spread evenly over lambda instead, for solvers that are "
             "polynomials in lambda."},
    [PILOT_NODES] = {.name = "pilot_nodes",
                     .kind = VPSDE_PARAM_INT,
                     .value = 32,
                     .min = 8,
                     .max = 4096,
                     .doc = "Steps of the pilot chains, equal in lambda, between which the speed "
                            "is interpolated."},
    [PILOT_SAMPLES] = {.name = "pilot_samples",
                       .kind = VPSDE_PARAM_INT,
                       .value = 64,
                       .min = 2,
                       .max = 65536,
                       .doc = "How many of them."},
    [PROBES] = {.name = "probes",
                .kind = VPSDE_PARAM_INT,
                .value = 1,
                .min = 1,
                .max = 64,
                .doc = "Rademacher probes of |I + H|_F^2 a state; unit vectors, exact, in up to 8 "
                       "dimensions."},
    [N_PARAMS] = {.name = NULL},
};

/* speed <- (1 - share) speed/L + share/Lambda, the latter by b: dlambda = -db / (2 sigma^2). */
static vpsde_status blend(double *speed, double share, const vpsde_rates *rates)
{
    vpsde_shares length;
    const size_t last = rates->n - 1;
    const vpsde_status status =
        vpsde_shares_open(&length, vpsde_grid_geodesic.name, rates->n, rates->b, speed);
    for (size_t m = 0; status == VPSDE_OK && m <= last; m++) {
        const double even = 1 / (length.lambda[last] - length.lambda[0]);
        speed[m] =
            (1 - share) * speed[m] / length.sum[last] - share * even / (2 * expm1(-rates->b[m]));
    }
    vpsde_shares_close(&length);
    return status;
}

static vpsde_status place_by(double *t, size_t n_steps, const vpsde_process *process,
                             const double *param, const vpsde_rates *rates)
{
    double *speed;
    VPSDE_TRY(vpsde_alloc(&speed, rates->n, sizeof(*speed)));
    for (size_t m = 0; m < rates->n; m++) {
        speed[m] = rates->metric[m] <= round_off ? 0 : sqrt(rates->metric[m]);
    }
    vpsde_status status = VPSDE_OK;
    if (param[LAMBDA_SHARE] > 0) status = blend(speed, param[LAMBDA_SHARE], rates);
    if (status == VPSDE_OK) {
        status = vpsde_shares_place(t, n_steps, process, vpsde_grid_geodesic.name, rates->n,
                                    rates->b, speed);
    }
    free(speed);
    return status;
}

const vpsde_grid_type vpsde_grid_geodesic = {
    .name = "geodesic",
    .source = "Sivak & Crooks 2012, arXiv:1201.4166; Crooks 2007, arXiv:0706.0559",
    .doc = "Constant thermodynamic speed: the least path KL, by the metric along pilot chains.",
    .params = params,
    .by_metric = true,
    .place_by = place_by,
};
