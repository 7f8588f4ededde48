/* "Gotta go fast": the reverse SDE by Euler-Maruyama and improved Euler, their difference the
 * error, in the b clock, dx = F db + dw with F = x/2 - eps/sigma. With h = b_s - b_t,
 *     x'  = x + h F(x, s) + sqrt(h) z
 *     x~  = x + h F(x', t) + sqrt(h) z
 *     x'' = (x' + x~)/2, the result;    next h = theta h E^-r (at most tenfold).
 * sqrt(h) z is the increment of the sample's own Brownian path, also when a step was rejected: the
 * shorter one sees the same path. Fresh noise there biases the law: see gotta-go-fast-compat.
 * Source: Jolicoeur-Martineau et al. 2021 (arXiv:2105.14080), algorithm 1; Roberts 2012
 * (arXiv:1210.0933), improved Euler. Strong order 1, weak order 2 (additive noise).
 *
 * A call less a rejection than upstream, which calls at s again. Stored states between s and t:
 * the drift's share plus the path's increment, of the same order. */
#include <math.h>

#include "core/vec.h"
#include "solvers/improved_euler.h"

enum { Z, EPS_1, N_BUFFERS };

static double b_of(const vpsde_coef *c) { return c->b; }

static vpsde_euler_pair pair(const vpsde_coef *from, const vpsde_coef *to)
{
    const double h = from->b - to->b, root = sqrt(h);
    return (vpsde_euler_pair){.on_f = {h, h}, .on_z = {root, root}};
}

static vpsde_status attempt(vpsde_walk *w, const vpsde_coef *from, const vpsde_coef *to)
{
    const vpsde_euler_pair p = pair(from, to);
    vpsde_walk_noise(w, from, to, w->w[Z], NULL);
    return vpsde_euler_pair_attempt(w, from, to, &p, w->w[Z], w->w[EPS_1]);
}

static void fill_in(vpsde_walk *w, const vpsde_coef *from, const vpsde_coef *to,
                    const vpsde_coef *at, double *out)
{
    const vpsde_euler_pair p = pair(from, to);
    const double part = from->b - at->b, u = part / (from->b - to->b);
    vpsde_walk_noise(w, from, at, w->w[Z], NULL);
    vpsde_euler_pair_drift(w, from, to, &p, u, w->w[EPS_1], out);
    vec_lin2(w->d, out, 1, out, sqrt(part), w->w[Z]);
}

static vpsde_status walk(vpsde_walk *w)
{
    const double t = fmax(w->start.t - w->param[VPSDE_EULER_PAIR_H0], w->end.t);
    const vpsde_walk_rule rule = {
        .value = b_of,
        .at = vpsde_process_at_b,
        .first = w->start.b - vpsde_process_at(w->process, t).b,
        .theta = w->param[VPSDE_EULER_PAIR_THETA],
        .power = w->param[VPSDE_EULER_PAIR_POWER],
        .grow_max = 10,
        .on_path = true,
        .attempt = attempt,
        .fill_in = fill_in,
    };
    return vpsde_walk_by(w, &rule);
}

const vpsde_solver_type vpsde_solver_gotta_go_fast = {
    .name = "gotta-go-fast",
    .source = "Jolicoeur-Martineau et al. 2021 (arXiv:2105.14080), algorithm 1",
    .doc = "Adaptive reverse SDE: Euler-Maruyama with improved Euler, rejections on the same path.",
    .flags = VPSDE_SOLVER_STOCHASTIC | VPSDE_SOLVER_ADAPTIVE,
    .order = {.strong = 1, .weak = 2},
    .n_scratch = N_BUFFERS,
    .params = vpsde_euler_pair_params,
    .walk = walk,
};
