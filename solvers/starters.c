#include "solvers/starters.h"

#include <math.h>

#include "core/vec.h"

enum { RK_MAX = 4 };

/* Butcher tableaux of 2, 3 and 4 stages, of as many orders. */
static const struct {
    double c[RK_MAX], a[RK_MAX][RK_MAX - 1], b[RK_MAX];
} tableaux[] = {
    {.c = {0, 1}, .a = {{0}, {1}}, .b = {0.5, 0.5}},
    {.c = {0, 0.5, 1}, .a = {{0}, {0.5}, {-1, 2}}, .b = {1. / 6, 2. / 3, 1. / 6}},
    {.c = {0, 0.5, 0.5, 1},
     .a = {{0}, {0.5}, {0, 0.5}, {0, 0, 1}},
     .b = {1. / 6, 1. / 3, 1. / 3, 1. / 6}},
};

vpsde_start vpsde_start_keep(size_t p)
{
    return p < 3 ? (vpsde_start){0} : (vpsde_start){.steps = p - 2, .rk = (unsigned)p - 1};
}

static bool in_reach(const vpsde_start *start, size_t k, size_t n_steps, const vpsde_coef *next,
                     vpsde_last_step last_step)
{
    const bool is_lower = k + 1 == n_steps && last_step == VPSDE_LAST_LOWER_ORDER;
    return k < start->steps && next->sigma > 0 && !is_lower;
}

bool vpsde_start_has(const vpsde_start *start, const vpsde_step *s)
{
    return in_reach(start, s->k, s->n_steps, s->next, s->last_step);
}

size_t vpsde_start_nfe(const vpsde_start *start, const vpsde_grid *grid)
{
    size_t calls = grid->n_steps;
    for (size_t k = 0; k < grid->n_steps && k < start->steps; k++) {
        const vpsde_coef *next = &grid->node[k + 1];
        if (in_reach(start, k, grid->n_steps, next, grid->last_step)) calls += start->rk - 1;
    }
    return calls;
}

static vpsde_coef inside(const vpsde_step *s, bool mid_t, double c)
{
    if (mid_t) return vpsde_process_at(s->process, s->at->t + c * (s->next->t - s->at->t));
    const double rho = s->at->sigma / s->at->alpha, rho1 = s->next->sigma / s->next->alpha;
    return vpsde_process_at_lambda(s->process, -log(rho + c * (rho1 - rho)));
}

/* out = alpha_to (x/alpha + (rho' - rho) sum_j a_j eps_j) with the step's rho' - rho, or the
 * stage's own where its place is not c of the way (mid_t). */
static void combine(const vpsde_step *s, const vpsde_coef *to, double length, size_t n,
                    const double *a, const double *const *eps, double *out)
{
    const size_t count = s->n * s->d;
    vec_scale(count, out, to->alpha / s->at->alpha, s->x);
    for (size_t j = 0; j < n; j++) {
        if (a[j] != 0) vec_lin2(count, out, 1, out, to->alpha * length * a[j], eps[j]);
    }
}

vpsde_status vpsde_rho_rk(vpsde_step *s, const vpsde_start *start, const double *eps,
                          double *const *scratch)
{
    const size_t stages = start->rk;
    const double *slope[RK_MAX] = {eps, scratch[1], scratch[2], scratch[RK_MAX - 1]};
    const double rho = s->at->sigma / s->at->alpha;

    for (size_t i = 1; i < stages; i++) {
        const double c = tableaux[stages - 2].c[i];
        const vpsde_coef to = c < 1 ? inside(s, start->mid_t, c) : *s->next;
        const double length = (to.sigma / to.alpha - rho) / c;
        combine(s, &to, length, i, tableaux[stages - 2].a[i], slope, scratch[0]);
        VPSDE_TRY(vpsde_eps(s, &to, scratch[0], scratch[i]));
    }
    const double length = s->next->sigma / s->next->alpha - rho;
    combine(s, s->next, length, stages, tableaux[stages - 2].b, slope, s->x);
    return VPSDE_OK;
}
