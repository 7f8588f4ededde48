/* DPM-Solver-fast: singlestep DPM-Solvers of orders 3, ..., 3 and then (2, 1), 1 or 2 as N mod 3 is
 * 0, 1 or 2, for N network calls in all. A block of order p spans p intervals of the grid and its
 * stages stand on the nodes between, so every step makes one call:
 *     u1 = a_1 x - sigma_1 (e^h1 - 1) eps
 *     u2 = a_2 x - sigma_2 (e^h2 - 1) eps - sigma_2 (h2/h1) ((e^h2 - 1)/h2 - 1) (eps_1 - eps)
 *     3: x' = a x - sigma' (e^h - 1) eps - sigma' (h/h2) ((e^h - 1)/h - 1) (eps_2 - eps)
 *     2: x' = a x - sigma' (e^h - 1) eps - sigma' h/(2 h1) (e^h - 1) (eps_1 - eps)
 * with x, eps at the block's start, h_i = lambda_i - lambda and a_i = alpha_i/alpha of its i-th
 * node. States inside a block are its stages, of lower order than those at its ends. A step to
 * sigma' = 0 is x' = x0hat of the state before.
 * Source: Lu et al. 2022 (arXiv:2206.00927), "DPM-Solver-fast"; the stages on the nodes of the grid
 * as in its code (dpm-solver, sample, method singlestep). ODE order on smooth grids: 3 where N mod
 * 3 is 2, otherwise 2, that of one step of DPM-Solver-1 at the end. */
#include "core/vec.h"
#include "solvers/exponential.h"

/* The block that holds step k of n: its first step and its order. */
typedef struct segment {
    size_t start, order;
} segment;

static segment segment_of(size_t n, size_t k)
{
    const size_t thirds = n % 3 == 0 ? n - 3 : n - n % 3;
    if (k < thirds) return (segment){.start = k - k % 3, .order = 3};
    if (n % 3 == 1 || k == thirds + 2) return (segment){.start = k, .order = 1};
    return (segment){.start = thirds, .order = 2};
}

static vpsde_status step(vpsde_step *s)
{
    double *start = s->w[0], *eps = s->w[1], *eps_u = s->w[2];
    const size_t count = s->n * s->d;
    const segment in = segment_of(s->n_steps, s->k);

    if (in.start == s->k || !(s->next->sigma > 0)) {
        const vpsde_exponential e = vpsde_exponential_eps(s->at, s->next);
        VPSDE_TRY(vpsde_eps(s, s->at, s->x, eps));
        vec_copy(count, start, s->x);
        vec_lin2(count, s->x, e.on_x, start, e.on[0], eps);
        return VPSDE_OK;
    }
    const vpsde_coef *from = &s->node[in.start];
    const vpsde_exponential e = vpsde_exponential_eps(from, s->next);
    const double on_slope = in.order == 2 ? e.h / 2 * e.on[0] : e.on[1];
    const double on_u = on_slope / (s->at->lambda - from->lambda);
    VPSDE_TRY(vpsde_eps(s, s->at, s->x, eps_u));
    vec_lin3(count, s->x, e.on_x, start, e.on[0] - on_u, eps, on_u, eps_u);
    return VPSDE_OK;
}

const vpsde_solver_type vpsde_solver_dpm_solver_fast = {
    .name = "dpm-solver-fast",
    .source = "Lu et al. 2022 (arXiv:2206.00927), DPM-Solver-fast",
    .doc = "DPM-Solver-fast: blocks of orders 3, then what is left over; one call a step.",
    .order = {.ode = 2},
    .nfe_per_step = 1,
    .n_scratch = 3,
    .step = step,
};
