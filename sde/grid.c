/* Builds a grid from the placement of its type: ends set, order checked, coefficients filled. */
#include <vpsde/grid.h>

#include <stdlib.h>
#include <string.h>

#include "core/mem.h"

enum { STEPS_MAX = 1000000 };

static const char *const last_steps[] = {
    [VPSDE_LAST_STOP] = "stop",
    [VPSDE_LAST_TWEEDIE] = "tweedie",
    [VPSDE_LAST_EULER] = "euler",
    [VPSDE_LAST_LOWER_ORDER] = "lower-order",
};
enum { N_LAST_STEPS = sizeof(last_steps) / sizeof(last_steps[0]) };

const char *vpsde_last_step_name(vpsde_last_step last_step)
{
    return (size_t)last_step < N_LAST_STEPS ? last_steps[last_step] : "unknown";
}

int vpsde_last_step_find(const char *name)
{
    for (int i = 0; i < N_LAST_STEPS; i++) {
        if (strcmp(last_steps[i], name) == 0) return i;
    }
    return -1;
}

/* What a grid is asked for. */
typedef struct request {
    const vpsde_grid_type *type;
    const vpsde_process *process;
    size_t n_steps;
    const double *param, *times; /* or NULL */
    const vpsde_rates *rates;    /* or NULL */
    vpsde_last_step last_step;
} request;

static vpsde_status check_request(const request *r)
{
    if (!r->type) return vpsde_fail(VPSDE_EINVAL, "grid: must be given, got none");
    if (r->n_steps < 1 || r->n_steps > STEPS_MAX) {
        return vpsde_fail(VPSDE_EINVAL, "steps: must be in [1, %d], got %zu", STEPS_MAX,
                          r->n_steps);
    }
    if ((size_t)r->last_step >= N_LAST_STEPS) {
        return vpsde_fail(VPSDE_EINVAL,
                          "last_step: must be stop, tweedie, euler or lower-order, "
                          "got code %d",
                          (int)r->last_step);
    }
    if (r->type->takes_times && !r->times) {
        return vpsde_fail(VPSDE_EINVAL, "times: grid %s needs its %zu nodes, got none",
                          r->type->name, r->n_steps + 1);
    }
    if (!r->type->takes_times && r->times) {
        return vpsde_fail(VPSDE_EINVAL, "times: grid %s places its own nodes; use grid user",
                          r->type->name);
    }
    if (r->type->place_by && !r->rates) {
        return vpsde_fail(VPSDE_EINVAL,
                          "grid %s goes by rates of the model; make it with vpsde_grid_calibrate",
                          r->type->name);
    }
    if (!r->type->place_by && r->rates) {
        return vpsde_fail(VPSDE_EINVAL, "grid %s goes by no rates", r->type->name);
    }
    if (r->type->by_metric && !(r->rates && r->rates->metric)) {
        return vpsde_fail(VPSDE_EINVAL, "grid %s goes by the metric, which the rates do not have",
                          r->type->name);
    }
    return VPSDE_OK;
}

/* t of the n_steps + 1 nodes. */
static vpsde_status place(double *t, double *values, const request *r)
{
    const vpsde_param *table = r->type->params;
    if (r->type->takes_times) {
        /* NOLINTNEXTLINE(clang-analyzer-core.NonNullParamChecker): looked at by check */
        memcpy(t, r->times, (r->n_steps + 1) * sizeof(*t));
        return VPSDE_OK;
    }
    vpsde_param_defaults(values, table);
    for (size_t i = 0; r->param && i < vpsde_param_count(table); i++) {
        VPSDE_TRY(vpsde_param_set(values, table, table[i].name, r->param[i]));
    }
    VPSDE_TRY(r->type->place_by ? r->type->place_by(t, r->n_steps, r->process, values, r->rates)
                                : r->type->place(t, r->n_steps, r->process, values));
    t[0] = vpsde_process_t_max(r->process);
    t[r->n_steps] = vpsde_process_get_spec(r->process)->t_min;
    return VPSDE_OK;
}

static vpsde_status check_node(const double *t, const vpsde_coef *node, size_t k, const request *r)
{
    const double t_max = vpsde_process_t_max(r->process);
    const bool zero_end = vpsde_process_get_spec(r->process)->t_min == 0;
    const bool at_zero = zero_end && k == r->n_steps && t[k] == 0;
    if (!at_zero && !(t[k] > 0 && t[k] <= t_max)) {
        return vpsde_fail(VPSDE_EINVAL, "grid %s: t of node %zu must be in (0, %g], got %.17g",
                          r->type->name, k, t_max, t[k]);
    }
    if (k == 0 || (t[k] < t[k - 1] && node[k].b < node[k - 1].b)) return VPSDE_OK;
    if (k == r->n_steps && !r->type->takes_times) {
        return vpsde_fail(VPSDE_EINVAL,
                          "grid %s: t_min must lie below node %zu at t = %.17g, got %.17g; take "
                          "fewer steps or a smaller t_min%s",
                          r->type->name, k - 1, t[k - 1], t[k],
                          t[k] == t[k - 1] ? ", or last_step: euler, which goes from there to 0"
                                           : "");
    }
    return vpsde_fail(VPSDE_EINVAL,
                      "grid %s: nodes must strictly decrease in t, got %.17g at node %zu "
                      "and %.17g at node %zu; take fewer steps or a smaller t_min",
                      r->type->name, t[k - 1], k - 1, t[k], k);
}

static vpsde_status fill(vpsde_grid *grid, const double *t, const request *r)
{
    size_t n = r->n_steps;
    const bool goes_on = r->last_step == VPSDE_LAST_EULER && t[n] > 0;
    /* a rule that ends on t_min by itself: what it leads to is t = 0 */
    if (goes_on && n > 1 && !r->type->takes_times && t[n - 1] == t[n]) n--;
    for (size_t k = 0; k <= n; k++) {
        grid->node[k] = vpsde_process_at(r->process, t[k]);
        VPSDE_TRY(check_node(t, grid->node, k, r));
    }
    grid->n_steps = n;
    if (goes_on) grid->node[++grid->n_steps] = vpsde_process_at(r->process, 0);
    return VPSDE_OK;
}

static vpsde_status create(vpsde_grid **out, const request *r)
{
    vpsde_grid *grid;
    double *t = NULL;
    *out = NULL;
    VPSDE_TRY(check_request(r));
    VPSDE_TRY(vpsde_alloc(&grid, 1, sizeof(*grid)));
    grid->type = r->type;
    grid->last_step = r->last_step;
    vpsde_status status = vpsde_alloc(&grid->node, r->n_steps + 2, sizeof(*grid->node));
    if (status == VPSDE_OK) status = vpsde_alloc(&t, r->n_steps + 1, sizeof(*t));
    if (status == VPSDE_OK) status = place(t, grid->param, r);
    if (status == VPSDE_OK) status = fill(grid, t, r);
    free(t);
    if (status != VPSDE_OK) {
        vpsde_grid_destroy(grid);
        return status;
    }
    *out = grid;
    return VPSDE_OK;
}

vpsde_status vpsde_grid_create(vpsde_grid **out, const vpsde_grid_type *type,
                               const vpsde_process *process, size_t n_steps, const double *param,
                               const double *times, vpsde_last_step last_step)
{
    const request r = {.type = type,
                       .process = process,
                       .n_steps = n_steps,
                       .param = param,
                       .times = times,
                       .last_step = last_step};
    return create(out, &r);
}

vpsde_status vpsde_grid_create_by(vpsde_grid **out, const vpsde_grid_type *type,
                                  const vpsde_process *process, size_t n_steps, const double *param,
                                  const vpsde_rates *rates, vpsde_last_step last_step)
{
    const request r = {.type = type,
                       .process = process,
                       .n_steps = n_steps,
                       .param = param,
                       .rates = rates,
                       .last_step = last_step};
    return create(out, &r);
}

void vpsde_grid_destroy(vpsde_grid *grid)
{
    if (!grid) return;
    free(grid->node);
    free(grid);
}

vpsde_status vpsde_grid_reversed(vpsde_grid **out, const vpsde_grid *grid)
{
    const size_t n = grid->n_steps;
    vpsde_grid *reversed;
    *out = NULL;
    VPSDE_TRY(vpsde_alloc(&reversed, 1, sizeof(*reversed)));
    *reversed = *grid;
    reversed->node = NULL;
    const vpsde_status status = vpsde_alloc(&reversed->node, n + 1, sizeof(*reversed->node));
    if (status != VPSDE_OK) {
        vpsde_grid_destroy(reversed);
        return status;
    }
    for (size_t k = 0; k <= n; k++) reversed->node[k] = grid->node[n - k];
    *out = reversed;
    return VPSDE_OK;
}

bool vpsde_grid_encodes(const vpsde_grid *grid)
{
    return grid->node[0].t < grid->node[grid->n_steps].t;
}
