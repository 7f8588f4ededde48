/* Equal shares of what is produced between t_max and t_min, of one of
 *   free energy F = KL(p_b || N(0, I)):        -dF/db = 1/2 E|x + s|^2               (dissipation)
 *   uncertainty H[x_0 | x_b]:                   dH/db = 1/2 (d / sigma^2 - E|s|^2)   (entropy)
 * (relative Fisher information, Jordan, Kinderlehrer & Otto 1998; the entropic time of Stancevic et
 * al. 2025, arXiv:2504.13612). The rates come from a calibration pass, as values at nodes of b. */
#include "sde/registry.h"
#include "sde/shares.h"

enum { RATE, PILOT_NODES, N_PARAMS };

static const vpsde_param params[] = {
    [RATE] = {.name = "rate",
              .kind = VPSDE_PARAM_CHOICE,
              .max = 1,
              .choices = "dissipation|entropy",
              .doc = "What every step has the same share of: free energy or H[x_0 | x]."},
    [PILOT_NODES] = {.name = "pilot_nodes",
                     .kind = VPSDE_PARAM_INT,
                     .value = 128,
                     .min = 8,
                     .max = 4096,
                     .doc = "Steps of the pilot chains, equal in lambda, between which the rate is "
                            "interpolated."},
    [N_PARAMS] = {.name = NULL},
};

static vpsde_status place_by(double *t, size_t n_steps, const vpsde_process *process,
                             const double *param, const vpsde_rates *rates)
{
    return vpsde_shares_place(t, n_steps, process, vpsde_grid_equal_dissipation.name, rates->n,
                              rates->b, param[RATE] > 0 ? rates->entropy : rates->dissipation);
}

const vpsde_grid_type vpsde_grid_equal_dissipation = {
    .name = "equal-dissipation",
    .source = "Jordan, Kinderlehrer & Otto 1998; Stancevic et al. 2025, arXiv:2504.13612",
    .doc = "Equal free energy, or equal entropy, in every step, by rates from pilot chains.",
    .params = params,
    .place_by = place_by,
};
