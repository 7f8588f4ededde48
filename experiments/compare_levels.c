/* What a comparison runs: the entries of `compare` at their steps and tolerances, and the reference. */
#include <math.h>

#include "analysis/metrics.h"
#include "core/mem.h"
#include "experiments/setup.h"

static vpsde_status place(vpsde_grid **grid, vpsde_setup *s, const vpsde_sampler_entry *e,
                          size_t n_steps)
{
    return vpsde_setup_grid(grid, s, e, n_steps);
}

/* A solver that chooses its own steps goes from one end to the other. */
static vpsde_status place_ends(vpsde_grid **grid, const vpsde_setup *s,
                               const vpsde_sampler_entry *e)
{
    const double t[2] = {vpsde_process_t_max(s->process),
                         vpsde_process_get_spec(s->process)->t_min};
    return vpsde_grid_create(grid, vpsde_grid_find("user"), s->process, 1, NULL, t, e->last_step);
}

/* The most steps whose network calls stay within nfe, by bisection; *grid is NULL when one step
 * takes more. */
static vpsde_status place_within(vpsde_grid **grid, vpsde_setup *s, const vpsde_sampler_entry *e,
                                 size_t nfe)
{
    size_t within = 0, beyond = nfe + 1;
    *grid = NULL;
    while (beyond - within > 1) {
        const size_t n_steps = within + (beyond - within) / 2;
        vpsde_grid *trial;
        const vpsde_status status = place(&trial, s, e, n_steps);
        if (status != VPSDE_OK) {
            vpsde_grid_destroy(*grid);
            *grid = NULL;
            return status;
        }
        const bool fits = vpsde_setup_nfe(s, e, trial) <= (double)nfe;
        vpsde_grid_destroy(fits ? *grid : trial);
        if (fits) *grid = trial, within = n_steps;
        if (!fits) beyond = n_steps;
    }
    return VPSDE_OK;
}

static vpsde_status build_level(vpsde_compare_level *level, vpsde_setup *s, size_t entry,
                                size_t rung)
{
    const vpsde_compare_setup *c = &s->compare;
    const vpsde_sampler_entry *e = &c->entries[entry];
    const vpsde_compare_ladder *l = &c->ladders[entry];
    const bool adaptive = vpsde_solver_is_adaptive(e->solver);
    *level = (vpsde_compare_level){.entry = entry,
                                   .budget = adaptive ? (double)NAN : l->steps[rung],
                                   .rtol = adaptive ? l->rtol[rung] : (double)NAN,
                                   .atol = adaptive ? l->atol[rung] : (double)NAN};
    if (adaptive) return place_ends(&level->grid, s, e);
    const size_t budget = (size_t)l->steps[rung];
    if (c->budget == VPSDE_BUDGET_NFE) return place_within(&level->grid, s, e, budget);
    return place(&level->grid, s, e, budget);
}

static vpsde_status misplaced(vpsde_status status, const vpsde_sampler_entry *e)
{
    return status == VPSDE_OK ? status
                              : vpsde_fail_in(status == VPSDE_EINVAL ? VPSDE_ECONFIG : status,
                                              "compare %s", e->label ? e->label : "reference");
}

/* The data, where samples are measured against them: a row for each sample of each seed. */
static vpsde_status build_law(vpsde_setup *s)
{
    unsigned needs = 0;
    for (size_t m = 0; vpsde_metric_at(m); m++) {
        if (s->compare.metrics >> m & 1u) needs |= vpsde_metric_at(m)->needs;
    }
    const bool is_law = s->compare.against == VPSDE_AGAINST_DATA;
    if (!is_law && !(needs & VPSDE_METRIC_DATA)) return VPSDE_OK;
    VPSDE_TRY(vpsde_setup_build_data(s));
    if (!is_law || s->data.count / s->compare.n_seeds >= s->sampler.count) return VPSDE_OK;
    return vpsde_fail(VPSDE_EDATA,
                      "%s: %zu rows from data.first on, compare.reference data needs one for each "
                      "of %zu samples of %zu seeds",
                      s->data.path, s->data.count, s->sampler.count, s->compare.n_seeds);
}

vpsde_status vpsde_setup_build_compare(vpsde_setup *s)
{
    vpsde_compare_setup *c = &s->compare;
    vpsde_sampler_entry *r = &c->reference;
    size_t n = 0;
    VPSDE_TRY(vpsde_setup_build_classes(s));
    VPSDE_TRY(vpsde_setup_build_init(s));
    VPSDE_TRY(build_law(s));
    if (c->against == VPSDE_AGAINST_SOLVER) {
        VPSDE_TRY(misplaced(vpsde_solver_is_adaptive(r->solver) ? place_ends(&r->grid, s, r)
                                                                : place(&r->grid, s, r, r->steps),
                            r));
    }
    for (size_t i = 0; i < c->n_entries; i++) n += c->ladders[i].n;
    VPSDE_TRY(vpsde_alloc(&c->levels, n, sizeof(*c->levels)));
    for (size_t i = 0; i < c->n_entries; i++) {
        for (size_t k = 0; k < c->ladders[i].n; k++) {
            vpsde_compare_level *level = &c->levels[c->n_levels];
            VPSDE_TRY(misplaced(build_level(level, s, i, k), &c->entries[i]));
            if (level->grid) c->n_levels++; /* else: no step within this budget */
        }
    }
    if (c->n_levels > 0) return VPSDE_OK;
    return vpsde_fail(VPSDE_ECONFIG, "compare.steps: no solver makes a step within %g evaluations",
                      c->ladders[0].steps[c->ladders[0].n - 1]);
}

static vpsde_sampling sampling(const vpsde_setup *s, const vpsde_sampler_entry *e,
                               const vpsde_compare_level *level, size_t seed, const vpsde_cli *cli)
{
    return (vpsde_sampling){
        .label = e->label,
        .process = s->process,
        .model = s->model,
        .solver = e->solver,
        .param = e->param,
        .grid = level->grid,
        .rtol = level->rtol,
        .atol = level->atol,
        .seed = s->seed + seed,
        .count = s->sampler.count,
        .init = s->sampler.init,
        .classes = vpsde_setup_classes(s, 0),
        .guidance = s->sampler.classes.guidance,
        .clip = s->sampler.clip,
        .n_threads = cli->threads,
        .control = cli->control,
    };
}

vpsde_sampling vpsde_setup_level(const vpsde_setup *s, const vpsde_compare_level *level,
                                 size_t seed, const vpsde_cli *cli)
{
    return sampling(s, &s->compare.entries[level->entry], level, seed, cli);
}

vpsde_sampling vpsde_setup_reference(const vpsde_setup *s, size_t seed, const vpsde_cli *cli)
{
    const vpsde_sampler_entry *r = &s->compare.reference;
    const vpsde_compare_level level = {.rtol = r->rtol, .atol = r->atol, .grid = r->grid};
    return sampling(s, r, &level, seed, cli);
}
