/* Rates for the grids that go by them. Dissipation and entropy are means of one network call a node along
 * 256 pilot chains of DDIM on a grid uniform in lambda, as solvers/geometry.h has them (a rate below 0
 * counts as 0 on the grid). The metric needs Jacobian products as well, along states of its own. */
#include "solvers/calibrate.h"

#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "core/parallel.h"
#include "models/trained.h"
#include "solvers/clip.h"
#include "solvers/driver.h"
#include "solvers/geometry.h"
#include "solvers/guidance.h"

static const char predictor_name[] = "ddim", pilot_grid[] = "uniform-lambda";

/* What tells one pass from another: its chains, and the stretch of b that they cover. */
typedef struct plan {
    double b[2];
    double nodes, samples, probes; /* samples, probes: 0 without the metric */
} plan;

struct vpsde_calibration {
    struct vpsde_calibration *before;
    plan plan;
    vpsde_rates rates;
    double *memory;
    size_t nfe;
};

static double value_of(const vpsde_grid_type *type, const double *values, const char *name)
{
    const int at = vpsde_param_find(type->params, name);
    return at < 0 ? 0 : values[at];
}

static vpsde_status plan_of(plan *p, const vpsde_grid_type *type, const vpsde_process *process,
                            const double *param)
{
    double values[VPSDE_PARAM_MAX];
    vpsde_param_defaults(values, type->params);
    for (size_t i = 0; param && i < vpsde_param_count(type->params); i++) {
        VPSDE_TRY(vpsde_param_set(values, type->params, type->params[i].name, param[i]));
    }
    *p = (plan){.b = {vpsde_process_at(process, vpsde_process_t_max(process)).b,
                      vpsde_process_at(process, vpsde_process_get_spec(process)->t_min).b},
                .nodes = value_of(type, values, "pilot_nodes"),
                .samples = value_of(type, values, "pilot_samples"),
                .probes = value_of(type, values, "probes")};
    if (p->nodes > 0) return VPSDE_OK;
    return vpsde_fail(VPSDE_EINTERNAL, "grid %s goes by rates and has no pilot_nodes", type->name);
}

static bool is_plan(const plan *p, const plan *q)
{
    return p->b[0] == q->b[0] && p->b[1] == q->b[1] && p->nodes == q->nodes &&
           p->samples == q->samples && p->probes == q->probes;
}

/* ---- without the metric ----------------------------------------------------------------------- */

/* rates (3, n): b, dissipation, entropy */
static void rates_of(double *rates, const vpsde_moments *moments, const vpsde_grid *grid, size_t d)
{
    const size_t n = grid->n_steps + 1;
    for (size_t k = 0; k < n; k++) {
        const vpsde_coef *c = &grid->node[k];
        rates[k] = c->b;
        rates[n + k] = vpsde_dissipation(&moments[k], c);
        rates[2 * n + k] = vpsde_entropy_rate(&moments[k], c, d);
    }
}

static vpsde_status run_chains(struct vpsde_calibration *c, const vpsde_sampling *run)
{
    vpsde_sampling chains = *run;
    vpsde_pilot pilot = {.run = &chains};
    vpsde_moments *moments = NULL;
    vpsde_grid *fine;
    VPSDE_TRY(vpsde_threads(&pilot.n_threads, run->n_threads));
    VPSDE_TRY(vpsde_grid_create(&fine, vpsde_grid_find(pilot_grid), run->process,
                                (size_t)c->plan.nodes, NULL, NULL, VPSDE_LAST_STOP));
    chains.grid = fine;
    vpsde_status status = vpsde_alloc(&moments, c->rates.n, sizeof(*moments));
    if (status == VPSDE_OK) {
        status = vpsde_pilot_moments(&pilot, vpsde_solver_find(predictor_name), moments);
    }
    if (status == VPSDE_OK) rates_of(c->memory, moments, fine, run->model->dim);
    c->nfe = pilot.nfe;
    free(moments);
    vpsde_grid_destroy(fine);
    return status;
}

/* ---- with it ---------------------------------------------------------------------------------- */

static vpsde_status measure_metric(struct vpsde_calibration *c, const vpsde_sampling *run)
{
    const vpsde_geometry_plan of = {
        .nodes = c->rates.n, .samples = (size_t)c->plan.samples, .probes = (size_t)c->plan.probes};
    vpsde_geometry *geometry;
    VPSDE_TRY(vpsde_geometry_measure(&geometry, run, &of));
    for (size_t m = 0; m < c->rates.n; m++) c->memory[m] = geometry->node[m].b;
    for (size_t r = 0; r < VPSDE_N_RATES; r++) {
        vpsde_geometry_mean(c->memory + (1 + r) * c->rates.n, geometry, (vpsde_rate)r, NULL);
    }
    c->nfe = geometry->nfe;
    vpsde_geometry_destroy(geometry);
    return VPSDE_OK;
}

/* ---- passes and grids ------------------------------------------------------------------------- */

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

static void destroy(struct vpsde_calibration *c)
{
    free(c->memory);
    free(c);
}

void vpsde_calibrations_close(vpsde_calibrations *kept)
{
    while (kept->last) {
        struct vpsde_calibration *c = kept->last;
        kept->last = c->before;
        destroy(c);
    }
}

/* A new pass, which becomes the last one. */
static vpsde_status add(vpsde_calibrations *kept, const plan *p, const vpsde_sampling *run)
{
    const size_t n = (size_t)p->nodes + 1;
    struct vpsde_calibration *c;
    VPSDE_TRY(vpsde_alloc(&c, 1, sizeof(*c)));
    c->plan = *p;
    vpsde_status status = vpsde_alloc(&c->memory, (1 + VPSDE_N_RATES) * n, sizeof(*c->memory));
    c->rates = (vpsde_rates){.n = n,
                             .b = c->memory,
                             .dissipation = c->memory + n,
                             .entropy = c->memory + 2 * n,
                             .metric = p->probes > 0 ? c->memory + 3 * n : NULL};
    if (status == VPSDE_OK) status = (p->probes > 0 ? measure_metric : run_chains)(c, run);
    if (status != VPSDE_OK) {
        destroy(c);
        return status;
    }
    c->before = kept->last;
    kept->last = c;
    return VPSDE_OK;
}

static vpsde_status calibrate(vpsde_calibrations *kept, vpsde_grid **out,
                              const vpsde_grid_type *type, const vpsde_sampling *run,
                              size_t n_steps, const double *param, vpsde_last_step last_step)
{
    plan p;
    VPSDE_TRY(check(run));
    VPSDE_TRY(plan_of(&p, type, run->process, param));
    const struct vpsde_calibration *found = kept->last;
    while (found && !is_plan(&found->plan, &p)) found = found->before;
    if (!found) {
        VPSDE_TRY(add(kept, &p, run));
        found = kept->last;
    }
    VPSDE_TRY(
        vpsde_grid_create_by(out, type, run->process, n_steps, param, &found->rates, last_step));
    (*out)->pilot_nfe = found->nfe;
    return VPSDE_OK;
}

vpsde_status vpsde_grid_calibrate_with(vpsde_calibrations *kept, vpsde_grid **out,
                                       const vpsde_grid_type *type, const vpsde_sampling *run,
                                       size_t n_steps, const double *param, const double *times,
                                       vpsde_last_step last_step)
{
    *out = NULL;
    if (!type || !type->place_by || times) {
        return vpsde_grid_create(out, type, run->process, n_steps, param, times, last_step);
    }
    const vpsde_status status = calibrate(kept, out, type, run, n_steps, param, last_step);
    return status == VPSDE_OK ? status : vpsde_fail_in(status, "grid %s", type->name);
}

vpsde_status vpsde_grid_calibrate(vpsde_grid **out, const vpsde_grid_type *type,
                                  const vpsde_sampling *run, size_t n_steps, const double *param,
                                  const double *times, vpsde_last_step last_step)
{
    vpsde_calibrations kept = {0};
    const vpsde_status status =
        vpsde_grid_calibrate_with(&kept, out, type, run, n_steps, param, times, last_step);
    vpsde_calibrations_close(&kept);
    return status;
}
