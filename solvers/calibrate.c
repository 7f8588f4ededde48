/* Rates for the grids that go by them, from pilot chains of DDIM on a grid uniform in lambda. With
 * the means of one network call (s = -eps/sigma)
 *     -dF/db = 1/2 E|x + s|^2 = E|sigma x - eps|^2 / (2 sigma^2)
 *     dH/db = 1/2 (d/sigma^2 - E|s|^2) = (d alpha^2 + sigma E[x . eps] - E|eps|^2) / (2 sigma^2),
 * the last by E[x . s] = -d with weight sigma^2, which takes the noise out of the difference where
 * eps is about sigma x. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "core/parallel.h"
#include "models/trained.h"
#include "solvers/clip.h"
#include "solvers/driver.h"
#include "solvers/guidance.h"

static const char nodes_key[] = "pilot_nodes", predictor_name[] = "ddim",
                  pilot_grid[] = "uniform-lambda";

static vpsde_status pilot_steps(size_t *steps, const vpsde_grid_type *type, const double *param)
{
    double values[VPSDE_PARAM_MAX];
    const int at = vpsde_param_find(type->params, nodes_key);
    if (at < 0) {
        return vpsde_fail(VPSDE_EINTERNAL, "grid %s goes by rates and has no %s", type->name,
                          nodes_key);
    }
    vpsde_param_defaults(values, type->params);
    if (param) VPSDE_TRY(vpsde_param_set(values, type->params, nodes_key, param[at]));
    *steps = (size_t)values[at];
    return VPSDE_OK;
}

/* rates (3, n): b, dissipation, entropy */
static void rates_of(double *rates, const vpsde_moments *moments, const vpsde_grid *grid, size_t d)
{
    const size_t n = grid->n_steps + 1;
    for (size_t k = 0; k < n; k++) {
        const vpsde_coef *c = &grid->node[k];
        const vpsde_moments *m = &moments[k];
        const double variance = c->sigma * c->sigma;
        const double force = variance * m->x_x - 2 * c->sigma * m->x_eps + m->eps_eps;
        const double rest = (double)d * c->alpha * c->alpha + c->sigma * m->x_eps - m->eps_eps;
        rates[k] = c->b;
        rates[n + k] = fmax(force, 0) / (2 * variance);
        rates[2 * n + k] = fmax(rest, 0) / (2 * variance);
    }
}

static vpsde_status measure(double **rates, vpsde_pilot *pilot)
{
    const vpsde_grid *grid = pilot->run->grid;
    const size_t n = grid->n_steps + 1;
    vpsde_moments *moments;
    VPSDE_TRY(vpsde_alloc(&moments, n, sizeof(*moments)));
    vpsde_status status = vpsde_pilot_moments(pilot, vpsde_solver_find(predictor_name), moments);
    if (status == VPSDE_OK) status = vpsde_alloc(rates, 3 * n, sizeof(**rates));
    if (status == VPSDE_OK) rates_of(*rates, moments, grid, pilot->run->model->dim);
    free(moments);
    return status;
}

static vpsde_status check(const vpsde_sampling *run)
{
    if (!run->process || !run->model) {
        return vpsde_fail(VPSDE_EINVAL, "pilot chains need a process and a model; %s is not set",
                          run->process ? "model" : "process");
    }
    VPSDE_TRY(vpsde_clip_check(&run->clip));
    VPSDE_TRY(vpsde_guidance_check(run->guidance, run->model));
    return vpsde_model_check_t_min(run->model, vpsde_process_get_spec(run->process)->t_min);
}

static vpsde_status calibrate(vpsde_grid **out, const vpsde_grid_type *type,
                              const vpsde_sampling *run, size_t n_steps, const double *param,
                              vpsde_last_step last_step)
{
    vpsde_sampling chains = *run;
    vpsde_pilot pilot = {.run = &chains};
    vpsde_grid *fine;
    double *rates = NULL;
    size_t steps = 0;
    VPSDE_TRY(check(run));
    VPSDE_TRY(pilot_steps(&steps, type, param));
    VPSDE_TRY(vpsde_threads(&pilot.n_threads, run->n_threads));
    VPSDE_TRY(vpsde_grid_create(&fine, vpsde_grid_find(pilot_grid), run->process, steps, NULL, NULL,
                                VPSDE_LAST_STOP));
    chains.grid = fine;
    vpsde_status status = measure(&rates, &pilot);
    if (status == VPSDE_OK) {
        const size_t n = steps + 1;
        const vpsde_rates given = {
            .n = n, .b = rates, .dissipation = rates + n, .entropy = rates + 2 * n};
        status = vpsde_grid_create_by(out, type, run->process, n_steps, param, &given, last_step);
    }
    if (status == VPSDE_OK) (*out)->pilot_nfe = pilot.nfe;
    free(rates);
    vpsde_grid_destroy(fine);
    return status;
}

vpsde_status vpsde_grid_calibrate(vpsde_grid **out, const vpsde_grid_type *type,
                                  const vpsde_sampling *run, size_t n_steps, const double *param,
                                  const double *times, vpsde_last_step last_step)
{
    *out = NULL;
    if (!type || !type->place_by || times) {
        return vpsde_grid_create(out, type, run->process, n_steps, param, times, last_step);
    }
    const vpsde_status status = calibrate(out, type, run, n_steps, param, last_step);
    return status == VPSDE_OK ? status : vpsde_fail_in(status, "grid %s", type->name);
}
