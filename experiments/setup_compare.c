/* The section `compare`: which solvers, at which steps or tolerances, against what. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "experiments/setup.h"

enum { ENTRIES_MAX = 64 }; /* categories of a column in a run file */
static const double tol_min = 1e-14;
static const double steps_max = 1000000;

/* A list of numbers under `key`, or one; every one within the bounds. n = 0 when absent. */
static vpsde_status read_list(double **values, size_t *n, vpsde_config *c, const char *key,
                              double min, double max, const char *what)
{
    size_t rank, dims[1];
    VPSDE_TRY(vpsde_config_numbers(values, &rank, dims, 1, c, key));
    *n = !*values ? 0 : rank == 0 ? 1 : dims[0];
    if (*values && *n == 0) return vpsde_config_fail(c, key, "the list is empty");
    for (size_t i = 0; i < *n; i++) {
        if ((*values)[i] >= min && (*values)[i] <= max) continue;
        return vpsde_config_fail(c, key, "%g; expected %s from %g to %g", (*values)[i], what, min,
                                 max);
    }
    return VPSDE_OK;
}

static vpsde_status read_steps(double **steps, size_t *n, vpsde_config *c)
{
    VPSDE_TRY(read_list(steps, n, c, "steps", 1, steps_max, "whole numbers"));
    for (size_t i = 0; i < *n; i++) {
        if ((*steps)[i] == floor((*steps)[i])) continue;
        return vpsde_config_fail(c, "steps", "%g; expected whole numbers", (*steps)[i]);
    }
    return VPSDE_OK;
}

static vpsde_status copy(double **out, const double *values, size_t n)
{
    VPSDE_TRY(vpsde_alloc(out, n, sizeof(**out)));
    memcpy(*out, values, n * sizeof(*values));
    return VPSDE_OK;
}

/* What the section says for all entries. */
typedef struct common {
    const vpsde_model *model;
    vpsde_sampler_entry where; /* the sampler's grid and last step */
    double *steps, *tolerances;
    size_t n_steps, n_tolerances;
} common;

/* An entry's own steps, else those of the section. `item` NULL: a word of `deterministic`. */
static vpsde_status fixed_ladder(vpsde_compare_ladder *l, const common *all, vpsde_config *item,
                                 vpsde_config *c, const char *name)
{
    if (item) VPSDE_TRY(read_steps(&l->steps, &l->n, item));
    if (l->steps) return VPSDE_OK;
    if (!all->steps) {
        return vpsde_config_fail(c, NULL, "%s takes fixed steps; expected steps: [10, 20, ...]",
                                 name);
    }
    l->n = all->n_steps;
    return copy(&l->steps, all->steps, l->n);
}

/* rtol and atol of an entry, each a number or a list; atol is rtol unless given. */
static vpsde_status adaptive_ladder(vpsde_compare_ladder *l, const common *all, vpsde_config *item,
                                    vpsde_config *c, const char *name)
{
    size_t n_atol = 0;
    if (item) VPSDE_TRY(read_list(&l->rtol, &l->n, item, "rtol", tol_min, 1, "tolerances"));
    if (item) VPSDE_TRY(read_list(&l->atol, &n_atol, item, "atol", tol_min, 1, "tolerances"));
    if (!l->rtol && !all->tolerances) {
        return vpsde_config_fail(
            c, NULL,
            "%s chooses its own steps; expected tolerances: [1e-2, 1e-3, ...], or its rtol", name);
    }
    if (!l->rtol) {
        l->n = all->n_tolerances;
        VPSDE_TRY(copy(&l->rtol, all->tolerances, l->n));
    }
    if (!l->atol) return copy(&l->atol, l->rtol, l->n);
    if (n_atol == l->n) return VPSDE_OK;
    return vpsde_config_fail(item, "atol", "%zu values; expected one for each of %zu rtol", n_atol,
                             l->n);
}

static vpsde_status read_ladder(vpsde_compare_setup *s, size_t i, const common *all,
                                vpsde_config *item, vpsde_config *c)
{
    const vpsde_sampler_entry *e = &s->entries[i];
    return (vpsde_solver_is_adaptive(e->solver) ? adaptive_ladder : fixed_ladder)(
        &s->ladders[i], all, item, c, e->label);
}

/* One more entry, the last. */
static vpsde_status add_entry(vpsde_compare_setup *s, vpsde_config *c)
{
    if (s->n_entries < ENTRIES_MAX) {
        s->n_entries++;
        return VPSDE_OK;
    }
    return vpsde_config_fail(c, "solvers", "more than %d solvers; expected at most %d", ENTRIES_MAX,
                             ENTRIES_MAX);
}

/* Words that stand for many solvers. */
static const struct group {
    const char *word;
    bool with_noise, without_noise;
} groups[] = {{"deterministic", false, true}, {"stochastic", true, false}, {"all", true, true}};
enum { N_GROUPS = sizeof(groups) / sizeof(groups[0]) };

/* Every registered solver of the group that takes this model, at its defaults. */
static vpsde_status read_group(vpsde_compare_setup *s, const common *all, const struct group *group,
                               vpsde_config *c)
{
    for (size_t i = 0; vpsde_solver_at(i); i++) {
        const vpsde_solver_type *solver = vpsde_solver_at(i);
        const unsigned missing = solver->needs & ~all->model->type->flags;
        const bool noisy = vpsde_solver_is_stochastic(solver, NULL);
        if (missing || !(noisy ? group->with_noise : group->without_noise)) continue;
        VPSDE_TRY(add_entry(s, c));
        vpsde_sampler_entry *e = &s->entries[s->n_entries - 1];
        *e = all->where;
        e->solver = solver;
        vpsde_param_defaults(e->param, solver->params);
        VPSDE_TRY(vpsde_strdup(&e->label, solver->name));
        VPSDE_TRY(read_ladder(s, s->n_entries - 1, all, NULL, c));
    }
    return VPSDE_OK;
}

/* An item of the list: {solver, label, ...}, a solver's name, or the word of a group. */
static vpsde_status read_item(vpsde_compare_setup *s, const common *all, vpsde_config *item,
                              vpsde_config *c)
{
    const char *word = "";
    if (vpsde_config_kind(item, NULL) == VPSDE_NODE_SCALAR) {
        VPSDE_TRY(vpsde_config_text(&word, item, NULL, NULL));
    }
    for (size_t g = 0; g < N_GROUPS; g++) {
        if (strcmp(word, groups[g].word) == 0) return read_group(s, all, &groups[g], c);
    }
    VPSDE_TRY(add_entry(s, c));
    vpsde_sampler_entry *e = &s->entries[s->n_entries - 1];
    VPSDE_TRY(vpsde_config_expand(item, NULL, "solver"));
    VPSDE_TRY(vpsde_setup_solver(&e->solver, e->param, item, NULL));
    VPSDE_TRY(vpsde_setup_label(&e->label, item, e->solver->name));
    VPSDE_TRY(vpsde_setup_where(e, &all->where, item));
    return read_ladder(s, s->n_entries - 1, all, item, c);
}

static vpsde_status read_solvers(vpsde_compare_setup *s, const common *all, vpsde_config *c)
{
    size_t n;
    VPSDE_TRY(vpsde_config_count(&n, c, "solvers"));
    if (n == 0) {
        return vpsde_config_fail(c, NULL,
                                 "solvers: [ddim, ...] or solvers: deterministic is required");
    }
    VPSDE_TRY(vpsde_alloc(&s->entries, ENTRIES_MAX, sizeof(*s->entries)));
    VPSDE_TRY(vpsde_alloc(&s->ladders, ENTRIES_MAX, sizeof(*s->ladders)));
    for (size_t i = 0; i < n; i++) {
        vpsde_config *item;
        VPSDE_TRY(vpsde_config_item(&item, c, "solvers", i));
        VPSDE_TRY(read_item(s, all, item, c));
    }
    return vpsde_setup_labels(s->entries, s->n_entries, c, "solvers");
}

/* Words in the place of a solver for a law without paths. */
static const struct {
    const char *word;
    vpsde_against against;
} laws[] = {{"exact", VPSDE_AGAINST_EXACT}, {"data", VPSDE_AGAINST_DATA}};
enum { N_LAWS = sizeof(laws) / sizeof(laws[0]) };

/* The reference: by default a tight integration of the probability-flow ODE, as tight as the model's
 * arithmetic allows: a network's float32 has no more digits (VPSDE_FLOAT32_TOLERANCE). */
static vpsde_status read_reference(vpsde_compare_setup *s, const common *all, vpsde_config *c)
{
    vpsde_sampler_entry *e = &s->reference;
    vpsde_config *r;
    const char *word;
    uint64_t steps;
    VPSDE_TRY(vpsde_config_expand(c, "reference", "solver"));
    VPSDE_TRY(vpsde_config_section(&r, c, "reference"));
    const bool analytic = (all->model->type->flags & VPSDE_MODEL_ANALYTIC) != 0;
    VPSDE_TRY(vpsde_config_text(&word, r, "solver", analytic ? "gsl-rk8pd" : "cvode-adams"));
    s->against = VPSDE_AGAINST_SOLVER;
    for (size_t k = 0; k < N_LAWS; k++) {
        if (strcmp(word, laws[k].word) != 0) continue;
        s->against = laws[k].against;
        *e = all->where;
        return VPSDE_OK;
    }
    if (vpsde_config_has(r, "solver")) {
        VPSDE_TRY(vpsde_setup_solver(&e->solver, e->param, r, NULL));
    } else {
        e->solver = vpsde_solver_find(word);
        VPSDE_TRY(vpsde_config_params(e->param, r, e->solver->params));
    }
    VPSDE_TRY(vpsde_setup_where(e, &all->where, r));
    if (vpsde_solver_is_adaptive(e->solver)) {
        const double tol = analytic ? 1e-12 : 1e-5;
        VPSDE_TRY(vpsde_config_real(&e->rtol, r, "rtol", tol, tol_min, 1));
        return vpsde_config_real(&e->atol, r, "atol", e->rtol, tol_min, 1);
    }
    VPSDE_TRY(vpsde_config_uint(&steps, r, "steps", UINT64_MAX, 1, (uint64_t)steps_max));
    e->steps = steps;
    return VPSDE_OK;
}

/* Where a run ends: two last steps end in one place. */
static int end_of(const vpsde_sampler_entry *e)
{
    return e->last_step == VPSDE_LAST_LOWER_ORDER ? (int)VPSDE_LAST_STOP : (int)e->last_step;
}

/* All end at one time, and take any number of steps. */
static vpsde_status check_comparable(const vpsde_compare_setup *s, vpsde_config *c)
{
    const vpsde_sampler_entry *r = &s->reference;
    for (size_t i = 0; i < s->n_entries; i++) {
        const vpsde_sampler_entry *e = &s->entries[i];
        if (e->grid_type->takes_times && !vpsde_solver_is_adaptive(e->solver)) {
            return vpsde_config_fail(c, "solvers",
                                     "%s has the grid %s, whose times are listed; compare needs "
                                     "one for any number of steps",
                                     e->label, e->grid_type->name);
        }
        if (end_of(e) != end_of(r)) {
            return vpsde_config_fail(c, "solvers",
                                     "%s ends with last_step: %s and the reference with %s; "
                                     "expected the same end",
                                     e->label, vpsde_last_step_name(e->last_step),
                                     vpsde_last_step_name(r->last_step));
        }
    }
    return VPSDE_OK;
}

static vpsde_status read_all(vpsde_setup *setup, common *all, vpsde_config *c)
{
    vpsde_compare_setup *s = &setup->compare;
    uint64_t seeds;
    int budget;
    VPSDE_TRY(vpsde_config_choice(&budget, c, "budget", "steps|nfe", 0));
    VPSDE_TRY(read_steps(&all->steps, &all->n_steps, c));
    VPSDE_TRY(
        read_list(&all->tolerances, &all->n_tolerances, c, "tolerances", tol_min, 1, "tolerances"));
    VPSDE_TRY(vpsde_config_uint(&seeds, c, "seeds", 1, 1, 1000));
    s->budget = (vpsde_budget)budget;
    s->n_seeds = seeds;
    const bool compares = (setup->uses & VPSDE_USES_COMPARE) != 0;
    if (compares && seeds > 1 && *setup->sampler.init_path) {
        return vpsde_config_fail(c, "seeds",
                                 "%zu seeds from the same start states of sampler.init are one; "
                                 "expected 1",
                                 s->n_seeds);
    }
    VPSDE_TRY(read_solvers(s, all, c));
    VPSDE_TRY(read_reference(s, all, c));
    VPSDE_TRY(check_comparable(s, c));
    return vpsde_setup_read_metrics(setup, c);
}

vpsde_status vpsde_setup_read_compare(vpsde_setup *s)
{
    common all = {.model = s->model};
    vpsde_config *c, *sampler;
    VPSDE_TRY(vpsde_config_section(&sampler, s->config, "sampler"));
    VPSDE_TRY(vpsde_setup_where(&all.where, NULL, sampler));
    VPSDE_TRY(vpsde_config_section(&c, s->config, "compare"));
    const vpsde_status status = read_all(s, &all, c);
    free(all.steps);
    free(all.tolerances);
    return status;
}

void vpsde_setup_close_compare(vpsde_compare_setup *c)
{
    for (size_t i = 0; i < c->n_levels; i++) vpsde_grid_destroy(c->levels[i].grid);
    for (size_t i = 0; i < c->n_entries; i++) {
        free(c->entries[i].label);
        free(c->ladders ? c->ladders[i].steps : NULL);
        free(c->ladders ? c->ladders[i].rtol : NULL);
        free(c->ladders ? c->ladders[i].atol : NULL);
    }
    vpsde_grid_destroy(c->reference.grid);
    free(c->levels);
    free(c->entries);
    free(c->ladders);
}
