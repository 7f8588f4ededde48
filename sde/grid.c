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

static vpsde_status check_request(const vpsde_grid_type *type, size_t n_steps, const double *times,
                                  vpsde_last_step last_step)
{
    if (!type) return vpsde_fail(VPSDE_EINVAL, "grid: must be given, got none");
    if (n_steps < 1 || n_steps > STEPS_MAX) {
        return vpsde_fail(VPSDE_EINVAL, "steps: must be in [1, %d], got %zu", STEPS_MAX, n_steps);
    }
    if ((size_t)last_step >= N_LAST_STEPS) {
        return vpsde_fail(VPSDE_EINVAL,
                          "last_step: must be stop, tweedie, euler or lower-order, "
                          "got code %d",
                          (int)last_step);
    }
    if (type->takes_times && !times) {
        return vpsde_fail(VPSDE_EINVAL, "times: grid %s needs its %zu nodes, got none", type->name,
                          n_steps + 1);
    }
    if (!type->takes_times && times) {
        return vpsde_fail(VPSDE_EINVAL, "times: grid %s places its own nodes; use grid user",
                          type->name);
    }
    return VPSDE_OK;
}

/* t of the n_steps + 1 nodes. */
static vpsde_status place(double *t, const vpsde_grid_type *type, const vpsde_process *process,
                          size_t n_steps, const double *param, const double *times)
{
    double values[VPSDE_PARAM_MAX] = {0};
    if (type->takes_times) {
        memcpy(t, times, (n_steps + 1) * sizeof(*t));
        return VPSDE_OK;
    }
    vpsde_param_defaults(values, type->params);
    for (size_t i = 0; param && i < vpsde_param_count(type->params); i++) {
        VPSDE_TRY(vpsde_param_set(values, type->params, type->params[i].name, param[i]));
    }
    VPSDE_TRY(type->place(t, n_steps, process, values));
    t[0] = vpsde_process_t_max(process);
    t[n_steps] = vpsde_process_get_spec(process)->t_min;
    return VPSDE_OK;
}

static vpsde_status fill(vpsde_grid *grid, const double *t, const vpsde_process *process,
                         size_t n_steps)
{
    const double t_max = vpsde_process_t_max(process);
    const bool zero_end = vpsde_process_get_spec(process)->t_min == 0;
    for (size_t k = 0; k <= n_steps; k++) {
        const bool at_zero = zero_end && k == n_steps && t[k] == 0;
        if (!at_zero && !(t[k] > 0 && t[k] <= t_max)) {
            return vpsde_fail(VPSDE_EINVAL, "grid %s: t of node %zu must be in (0, %g], got %.17g",
                              grid->type->name, k, t_max, t[k]);
        }
        grid->node[k] = vpsde_process_at(process, t[k]);
        if (k > 0 && !(t[k] < t[k - 1] && grid->node[k].b < grid->node[k - 1].b)) {
            return vpsde_fail(VPSDE_EINVAL,
                              "grid %s: nodes must strictly decrease in t, got %.17g at node %zu "
                              "and %.17g at node %zu; take fewer steps or a smaller t_min",
                              grid->type->name, t[k - 1], k - 1, t[k], k);
        }
    }
    grid->n_steps = n_steps;
    if (grid->last_step == VPSDE_LAST_EULER && t[n_steps] > 0) {
        grid->node[n_steps + 1] = vpsde_process_at(process, 0);
        grid->n_steps = n_steps + 1;
    }
    return VPSDE_OK;
}

vpsde_status vpsde_grid_create(vpsde_grid **out, const vpsde_grid_type *type,
                               const vpsde_process *process, size_t n_steps, const double *param,
                               const double *times, vpsde_last_step last_step)
{
    vpsde_grid *grid;
    double *t = NULL;
    *out = NULL;
    VPSDE_TRY(check_request(type, n_steps, times, last_step));
    VPSDE_TRY(vpsde_alloc(&grid, 1, sizeof(*grid)));
    grid->type = type;
    grid->last_step = last_step;
    vpsde_status status = vpsde_alloc(&grid->node, n_steps + 2, sizeof(*grid->node));
    if (status == VPSDE_OK) status = vpsde_alloc(&t, n_steps + 1, sizeof(*t));
    if (status == VPSDE_OK) status = place(t, type, process, n_steps, param, times);
    if (status == VPSDE_OK) status = fill(grid, t, process, n_steps);
    free(t);
    if (status != VPSDE_OK) {
        vpsde_grid_destroy(grid);
        return status;
    }
    *out = grid;
    return VPSDE_OK;
}

void vpsde_grid_destroy(vpsde_grid *grid)
{
    if (!grid) return;
    free(grid->node);
    free(grid);
}
