#include "solvers/orders.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "core/parallel.h"
#include "solvers/orders_impl.h"

const char *const vpsde_order_kind_name[VPSDE_N_ORDER_KINDS] = {"none", "ode", "strong", "weak"};

/* How one kind is measured. `floor`: errors below are rounding, or the reference's own. `span`:
 * doublings that a slope is taken over; strong errors are sample means, which several doublings
 * steady. */
typedef struct method {
    const char *problem[VPSDE_ORDERS_PROBLEMS];
    orders_measure measure[VPSDE_ORDERS_PROBLEMS];
    double tolerance, floor;
    size_t span;
} method;

static const method methods[VPSDE_N_ORDER_KINDS] = {
    [VPSDE_ORDER_ODE] = {.problem = {"gaussian", "mixture"},
                         .measure = {orders_ode_gaussian, orders_ode_mixture},
                         .tolerance = 0.15,
                         .floor = 5e-13,
                         .span = 1},
    [VPSDE_ORDER_STRONG] = {.problem = {"gaussian", "mixture"},
                            .measure = {orders_strong_gaussian, orders_strong_mixture},
                            .tolerance = 0.15,
                            .floor = 1e-7,
                            .span = 3},
    [VPSDE_ORDER_WEAK] = {.problem = {"gaussian", "narrow gaussian", "mixture"},
                          .measure = {orders_weak_gaussian, orders_weak_narrow,
                                      orders_weak_mixture},
                          .tolerance = 0.1,
                          .floor = 1e-9,
                          .span = 1},
};

static const double largest_error = 0.1;

/* High orders are asymptotic over few doublings before rounding. */
static const double tolerance_of_high_orders = 0.25;
static const double high_order = 4;

/* Integrators may take several steps of unequal lengths an interval. */
static const size_t span_of_adaptive = 2;

/* ---- the rows ------------------------------------------------------------------------------- */

static double tolerance_of(vpsde_order_kind kind, double declared)
{
    return declared >= high_order ? tolerance_of_high_orders : methods[kind].tolerance;
}

static size_t plan_form(vpsde_orders_case *out, const vpsde_orders_case *form)
{
    vpsde_orders order, claimed;
    size_t n = 0;
    vpsde_solver_orders(form->solver, form->param, &order, &claimed);
    const double declared[VPSDE_N_ORDER_KINDS] = {0, order.ode, order.strong, order.weak};
    const double claims[VPSDE_N_ORDER_KINDS] = {0, claimed.ode, claimed.strong, claimed.weak};
    for (unsigned kind = VPSDE_ORDER_ODE; kind < VPSDE_N_ORDER_KINDS; kind++) {
        const bool refutes = claims[kind] > 0 && form->solver->step; /* a claim without an order */
        if (!(declared[kind] > 0) && !refutes) continue;
        out[n] = *form;
        out[n].kind = (vpsde_order_kind)kind;
        out[n].declared = declared[kind];
        out[n].claimed = claims[kind];
        out[n].tolerance = tolerance_of(out[n].kind, declared[kind]);
        n++;
    }
    if (n == 0) out[n++] = *form;
    return n;
}

static vpsde_status plan_solver(vpsde_orders_case **cases, size_t *n,
                                const vpsde_solver_type *solver)
{
    size_t n_forms = 0;
    *n = 0;
    while (solver->forms && solver->forms[n_forms]) n_forms++;
    VPSDE_TRY(vpsde_alloc(cases, (n_forms + 1) * VPSDE_N_ORDER_KINDS, sizeof(**cases)));
    for (size_t f = 0; f <= n_forms; f++) {
        vpsde_orders_case form = {.solver = solver, .measured = (double)NAN};
        vpsde_param_defaults(form.param, solver->params);
        if (f > 0) {
            const char *text = solver->forms[f - 1];
            snprintf(form.form, sizeof(form.form), "%s", text);
            if (vpsde_param_parse(form.param, solver->params, text) != VPSDE_OK) {
                free(*cases);
                *cases = NULL;
                return vpsde_fail_in(VPSDE_EINTERNAL, "%s", solver->name);
            }
        }
        *n += plan_form(*cases + *n, &form);
    }
    return VPSDE_OK;
}

static vpsde_status append(vpsde_orders_case **all, size_t *n, const vpsde_solver_type *solver)
{
    vpsde_orders_case *more, *larger;
    size_t n_more;
    VPSDE_TRY(plan_solver(&more, &n_more, solver));
    const vpsde_status status = vpsde_alloc(&larger, *n + n_more, sizeof(*larger));
    if (status == VPSDE_OK) {
        if (*n > 0) memcpy(larger, *all, *n * sizeof(*larger));
        memcpy(larger + *n, more, n_more * sizeof(*larger));
        free(*all);
        *all = larger;
        *n += n_more;
    }
    free(more);
    return status;
}

vpsde_status vpsde_orders_plan(vpsde_orders_case **cases, size_t *n,
                               const vpsde_solver_type *const *types, size_t n_types)
{
    *cases = NULL;
    *n = 0;
    for (size_t i = 0; n_types > 0 ? i < n_types : vpsde_solver_at(i) != NULL; i++) {
        const vpsde_status status = append(cases, n, n_types > 0 ? types[i] : vpsde_solver_at(i));
        if (status == VPSDE_OK) continue;
        free(*cases);
        *cases = NULL;
        return status;
    }
    return VPSDE_OK;
}

/* ---- slopes --------------------------------------------------------------------------------- */

/* Least squares of log error against log budget. */
static double slope(const double *budget, const double *error, size_t n)
{
    double x = 0, y = 0, xx = 0, xy = 0;
    for (size_t i = 0; i < n; i++) {
        x += log(budget[i]) / (double)n;
        y += log(error[i]) / (double)n;
    }
    for (size_t i = 0; i < n; i++) {
        xx += (log(budget[i]) - x) * (log(budget[i]) - x);
        xy += (log(budget[i]) - x) * (log(error[i]) - y);
    }
    return -xy / xx;
}

/* The order from the last points whose errors lie in the window. */
static void judge_curve(vpsde_orders_curve *curve, double floor, size_t span)
{
    size_t end = curve->n;
    double largest = 0;
    for (size_t i = 0; i < curve->n; i++) largest = fmax(largest, curve->error[i]);
    curve->exact = curve->n > 0 && largest <= floor;
    while (end > 0 && !(curve->error[end - 1] > floor)) end--;
    size_t begin = end;
    while (begin > 0 && end - begin <= span && curve->error[begin - 1] > floor &&
           curve->error[begin - 1] < largest_error) {
        begin--;
    }
    curve->n_used = end - begin;
    curve->order = (double)NAN;
    if (curve->n_used < 2) return;
    curve->order = slope(curve->steps + begin, curve->error + begin, curve->n_used);
}

/* Least favourable: the lowest order; a curve that never became accurate, or grows, counts as order
 * 0. A problem that is solved exactly says nothing. */
static void judge(vpsde_orders_case *c)
{
    const method *m = &methods[c->kind];
    const size_t span = vpsde_solver_is_adaptive(c->solver) ? span_of_adaptive : m->span;
    for (size_t i = 0; i < c->n_curves; i++) {
        vpsde_orders_curve *curve = &c->curve[i];
        judge_curve(curve, m->floor, span);
        if (curve->exact) continue;
        const double order = isnan(curve->order) ? 0 : fmax(curve->order, 0);
        if (!(order >= c->measured)) {
            c->measured = order;
            c->worst = i;
        }
    }
    c->pass = c->declared > 0 ? fabs(c->measured - c->declared) <= c->tolerance
                              : c->measured <= c->claimed - c->tolerance;
}

/* ---- the work ------------------------------------------------------------------------------- */

static vpsde_status measure(vpsde_orders_case *c, const orders_lab *lab)
{
    const method *m = &methods[c->kind];
    c->n_curves = 0;
    c->measured = (double)NAN;
    c->pass = c->kind == VPSDE_ORDER_NONE;
    for (size_t i = 0; i < VPSDE_ORDERS_PROBLEMS && m->measure[i]; i++) {
        vpsde_orders_curve *curve = &c->curve[c->n_curves];
        *curve = (vpsde_orders_curve){.problem = m->problem[i]};
        VPSDE_TRY(m->measure[i](curve, lab, c));
        c->n_curves += curve->n > 0;
    }
    if (c->kind != VPSDE_ORDER_NONE) judge(c);
    return VPSDE_OK;
}

typedef struct shared {
    vpsde_orders_case *cases;
    size_t n;
    orders_lab *lab;
    vpsde_lock *lock;
    size_t done; /* under the lock */
} shared;

static void tell(shared *all)
{
    const vpsde_control *control = all->lab->control;
    vpsde_lock_enter(all->lock);
    all->done++;
    if (control->progress) control->progress(control->context, all->done, all->n);
    vpsde_lock_leave(all->lock);
}

static vpsde_status work(void *context, vpsde_queue *queue)
{
    shared *all = context;
    size_t i;
    while (vpsde_queue_take(queue, &i)) {
        vpsde_orders_case *c = &all->cases[i];
        const vpsde_status status = measure(c, all->lab);
        if (status != VPSDE_OK) return vpsde_fail_in(status, "%s", c->solver->name);
        tell(all);
    }
    return VPSDE_OK;
}

vpsde_status vpsde_orders_measure(vpsde_orders_case *cases, size_t n, size_t n_threads,
                                  const vpsde_control *control)
{
    static const vpsde_control silent = {0};
    shared all = {.cases = cases, .n = n};
    size_t threads;
    bool strong = false;
    if (!control) control = &silent;
    VPSDE_TRY(vpsde_threads(&threads, n_threads));
    VPSDE_TRY(orders_lab_create(&all.lab, control));
    for (size_t i = 0; i < n; i++) strong |= cases[i].kind == VPSDE_ORDER_STRONG;
    vpsde_status status = vpsde_lock_create(&all.lock);
    if (status == VPSDE_OK && strong) status = orders_strong_prepare(all.lab, cases, n, threads);
    if (status == VPSDE_OK) {
        status = vpsde_parallel(threads, n, work, &all, control->stop);
    }
    vpsde_lock_destroy(all.lock);
    orders_lab_destroy(all.lab);
    return status;
}
