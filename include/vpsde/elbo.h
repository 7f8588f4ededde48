/** The discrete bound on log p of a DDPM chain (Ho et al. 2020, arXiv:2006.11239, eq. (5)), and
 *  what the same evaluations say besides: the importance-weighted bound over the chain's paths and
 *  the I-MMSE integral. */
#ifndef VPSDE_ELBO_H
#define VPSDE_ELBO_H

#include <vpsde/solver.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Variance v_t of p_theta(x_{t-1} | x_t). */
typedef enum vpsde_elbo_variance {
    VPSDE_ELBO_LARGE,  /* beta_t of the stride, at t = 1 too */
    VPSDE_ELBO_SMALL,  /* the posterior's; at t = 1, where that is 0, the one of t = 2 */
    VPSDE_ELBO_OPTIMAL /* posterior's plus what x0hat leaves open (Bao et al. 2022,
                          arXiv:2201.06503, eq. (8)), from E|eps|^2 of pilot chains */
} vpsde_elbo_variance;

/** Data that take few values: level q stands for [low + (q - 1/2) width, low + (q + 1/2) width],
 *  the first and the last open to their sides. width 0: data with a density. */
typedef struct vpsde_levels {
    double low, width;
    size_t n;
} vpsde_levels;

/** One run over rows x0 (count, d). Zero-initialise, then set; pointers are borrowed.
 *
 *  -elbo = L_T + sum_t L_{t-1}: KL(q(x_T | x0) | N(0, I)), then KL(q(x_{t-1} | x_t, x0) | p_theta)
 *  for t > 1 and -log p_theta(x0 | x_1), each averaged over `draws` chains x_1 .. x_T of the
 *  forward process, whose noise belongs to the row's index. A chain costs one network call a
 *  step. */
typedef struct vpsde_elbo {
    const char *label; /* group name; NULL: "chain" */
    const vpsde_process *process;
    const vpsde_model *model;
    const vpsde_grid *grid; /* the chain x_T .. x_0: ends at t = 0 (VPSDE_LAST_EULER) */
    vpsde_elbo_variance variance;
    vpsde_levels levels;
    size_t draws; /* chains a row, >= 1 */
    uint64_t seed;
    const double *x0;        /* (count, d), or NULL: */
    vpsde_row_source source; /* rows first .. first + count - 1, block by block */
    size_t first, count;
    double bits_offset; /* bits_per_dim = -elbo / (d log 2) + bits_offset */
    const int32_t *classes;
    size_t n_threads;
    vpsde_control control;
} vpsde_elbo;

/** Runs. Columns: elbo, bits_per_dim, elbo_stderr (NaN for one draw), iwae (the bound of all draws'
 *  importance weights, Burda et al. 2016, arXiv:1509.00519, eq. (8); elbo <= iwae <= log p in
 *  expectation), iwae_stderr, i_mmse (estimate of log p of data with a density, Kong et al. 2023,
 *  arXiv:2302.03792, eq. (8)), l_prior, l_0, l_step (sample, step): L_{t-1} of t = 1 .. T, the
 *  first being l_0; mse_eps and mse_x0 (sample, step): |eps - eps*|^2 and |x0hat - x0|^2 summed
 *  over dimensions; nfe, status. Nats but for the two mse.
 *  @return as vpsde_sample. Deterministic: DESIGN section 7. */
VPSDE_API vpsde_status vpsde_elbo_run(const vpsde_elbo *run, vpsde_sink *sink);

#ifdef __cplusplus
}
#endif
#endif
