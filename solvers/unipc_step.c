#include "solvers/unipc_step.h"

#include "core/vec.h"

enum { ORDER_MAX = 3, VALUES = ORDER_MAX + 1, BASE = VALUES, EPS };

static double *value(const vpsde_step *s, size_t k) { return s->w[k % VALUES]; }

static size_t least(size_t a, size_t b) { return a < b ? a : b; }

/* Order of UniP at step k: what the history and the end of the run allow. */
static size_t order_of(const vpsde_step *s, const vpsde_unipc *form, size_t k)
{
    const size_t order = least(form->order, k + 1);
    return form->lowers_end ? least(order, s->n_steps - k) : order;
}

/* x = UniP's or UniC's formula from the state `base` at node k, over q values before node k + 1. */
static void combine(const vpsde_step *s, const vpsde_unipc *form, size_t k, size_t q, bool corrects,
                    const double *base)
{
    const size_t p = q + corrects, count = s->n * s->d;
    const vpsde_exponential e = vpsde_exponential_x0(&s->node[k], &s->node[k + 1], 0);
    double tau[VALUES], c[VALUES];
    for (size_t j = 0; j < q; j++) tau[j] = s->node[k - j].lambda - s->node[k].lambda;
    if (corrects) tau[q] = e.h;
    form->weights(form->variant, &e, p, tau, c);
    vec_lin2(count, s->x, e.on_x, base, c[0], value(s, k));
    for (size_t j = 1; j < q; j++) vec_lin2(count, s->x, 1, s->x, c[j], value(s, k - j));
    if (corrects) vec_lin2(count, s->x, 1, s->x, c[q], value(s, k + 1));
}

vpsde_status vpsde_unipc_step(vpsde_step *s, const vpsde_unipc *form)
{
    const size_t count = s->n * s->d, k = s->k;
    double *eps = s->w[EPS], *base = s->w[BASE];

    VPSDE_TRY(vpsde_eps(s, s->at, s->x, eps));
    vec_lin2(count, value(s, k), 1 / s->at->alpha, s->x, -s->at->sigma / s->at->alpha, eps);
    if (vpsde_start_has(&form->start, s)) {
        return vpsde_rho_rk(s, &form->start, eps, s->w + 1); /* the values of later nodes */
    }
    if (form->is_corrected && k > form->start.steps) {
        combine(s, form, k - 1, order_of(s, form, k - 1), true, base);
    }
    vec_copy(count, base, s->x);
    const size_t order = vpsde_step_is_first_order(s) ? 1 : order_of(s, form, k);
    combine(s, form, k, order, false, base);
    return VPSDE_OK;
}
