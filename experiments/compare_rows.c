/* The table /compare of a run file. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "experiments/compare.h"

/* A column and where its value stands in a row. */
typedef struct field {
    vpsde_column column;
    size_t offset;
} field;

#define FIELD(member, dtype, text)                                                                 \
    {                                                                                              \
        .column = {.name = #member, .type = dtype, .description = text},                           \
        .offset = offsetof(vpsde_compare_row, member)                                              \
    }
static const field fixed_fields[] = {
    FIELD(solver, VPSDE_I32, "label of the entry of compare.solvers"),
    FIELD(seed, VPSDE_I32, "number of the seed: the run's seed plus this"),
    FIELD(grid, VPSDE_I32, "time grid of the steps; one that chooses its own steps has none"),
    FIELD(budget, VPSDE_F64, "entry of compare.steps, in the unit budget; NaN without fixed steps"),
    FIELD(steps, VPSDE_I64, "steps taken, the one to t = 0 included; -1 without fixed steps"),
    FIELD(rtol, VPSDE_F64, "relative tolerance; NaN for fixed steps"),
    FIELD(atol, VPSDE_F64, "absolute tolerance; NaN for fixed steps"),
    FIELD(nfe, VPSDE_F64, "network calls a sample, mean"),
    FIELD(rejected, VPSDE_F64, "rejected steps a sample, mean"),
    FIELD(failed, VPSDE_I64, "samples without a distance: failed here or in the reference"),
};
enum {
    N_FIXED = sizeof(fixed_fields) / sizeof(fixed_fields[0]),
    SOLVER = 0,
    GRID = 2,
    FIELDS_MAX = N_FIXED + VPSDE_METRICS_MAX,
    NAME = 32
};

typedef struct layout {
    field fields[FIELDS_MAX];
    size_t n;
    char names[VPSDE_METRICS_MAX][NAME];
    char *solvers, *grids; /* flag meanings */
} layout;

size_t vpsde_compare_cases(const vpsde_setup *s)
{
    return s->compare.n_levels * s->compare.n_seeds;
}

static vpsde_status append_word(char **words, const char *word)
{
    char *longer;
    VPSDE_TRY(vpsde_format(&longer, "%s%s%s", *words ? *words : "", *words ? " " : "", word));
    free(*words);
    *words = longer;
    return VPSDE_OK;
}

static vpsde_status fill_meanings(layout *l, const vpsde_setup *s)
{
    for (size_t i = 0; i < s->compare.n_entries; i++) {
        VPSDE_TRY(append_word(&l->solvers, s->compare.entries[i].label));
    }
    for (size_t i = 0; vpsde_grid_at(i); i++) {
        VPSDE_TRY(append_word(&l->grids, vpsde_grid_at(i)->name));
    }
    VPSDE_TRY(append_word(&l->grids, "none"));
    l->fields[SOLVER].column.flag_meanings = l->solvers;
    l->fields[GRID].column.flag_meanings = l->grids;
    return VPSDE_OK;
}

static void close_layout(layout *l)
{
    free(l->solvers);
    free(l->grids);
}

/* The columns: those of every comparison, then one a metric. */
static vpsde_status open_layout(layout *l, const vpsde_setup *s)
{
    *l = (layout){.n = N_FIXED};
    memcpy(l->fields, fixed_fields, sizeof(fixed_fields));
    for (size_t m = 0; vpsde_metric_at(m); m++) {
        const vpsde_metric *metric = vpsde_metric_at(m);
        if (!(s->compare.metrics & 1u << m)) continue;
        snprintf(l->names[m], NAME, "%s", metric->name);
        for (char *c = l->names[m]; *c; c++) *c = *c == '-' ? '_' : *c;
        l->fields[l->n++] = (field){
            .column = {.name = l->names[m],
                       .units = metric->units,
                       .description = metric->description},
            .offset = offsetof(vpsde_compare_row, metric) + m * sizeof(double),
        };
    }
    for (size_t c = 0; c < l->n; c++) {
        if (!l->fields[c].column.units) l->fields[c].column.units = "1";
        l->fields[c].column.dims = "";
        l->fields[c].column.width = 1;
    }
    const vpsde_status status = fill_meanings(l, s);
    if (status != VPSDE_OK) close_layout(l);
    return status;
}

vpsde_status vpsde_compare_begin(vpsde_sink *sink, const vpsde_setup *s)
{
    static const char *const units[] = {"steps", "nfe"};
    const vpsde_sampler_entry *r = &s->compare.reference;
    const bool adaptive = vpsde_solver_is_adaptive(r->solver);
    layout l;
    vpsde_column columns[FIELDS_MAX];
    VPSDE_TRY(open_layout(&l, s));
    for (size_t c = 0; c < l.n; c++) columns[c] = l.fields[c].column;
    const vpsde_fact facts[] = {
        {.name = "budget_unit", .text = units[s->compare.budget]},
        {.name = "samples", .number = (double)s->sampler.count, .whole = true},
        {.name = "seeds", .number = (double)s->compare.n_seeds, .whole = true},
        {.name = "reference", .text = r->solver->name},
        {.name = "reference_rtol", .number = adaptive ? r->rtol : (double)NAN},
        {.name = "reference_atol", .number = adaptive ? r->atol : (double)NAN},
        {.name = "reference_steps",
         .number = adaptive ? -1 : (double)r->grid->n_steps,
         .whole = true},
    };
    const vpsde_table table = {.path = "/compare",
                               .row_axis = "case",
                               .count = vpsde_compare_cases(s),
                               .columns = columns,
                               .n_columns = l.n,
                               .facts = facts,
                               .n_facts = sizeof(facts) / sizeof(facts[0])};
    const vpsde_status status = sink->begin(sink->self, &table);
    close_layout(&l);
    return status;
}

vpsde_status vpsde_compare_write(vpsde_sink *sink, const vpsde_setup *s, size_t number,
                                 const vpsde_compare_row *row)
{
    layout l;
    const void *data[FIELDS_MAX];
    VPSDE_TRY(open_layout(&l, s));
    for (size_t c = 0; c < l.n; c++) data[c] = (const char *)row + l.fields[c].offset;
    close_layout(&l);
    return sink->write(sink->self, number, 1, data);
}

typedef struct loading {
    vpsde_compare_row *rows;
    const layout *layout;
} loading;

static void load(void *context, size_t first, size_t n, const void *const *data)
{
    const loading *into = context;
    for (size_t c = 0; c < into->layout->n; c++) {
        const field *f = &into->layout->fields[c];
        const size_t size = vpsde_dtype_size(f->column.type);
        for (size_t i = 0; i < n; i++) {
            memcpy((char *)&into->rows[first + i] + f->offset, (const char *)data[c] + i * size,
                   size);
        }
    }
}

vpsde_status vpsde_compare_load(vpsde_compare_row *rows, const vpsde_setup *s, vpsde_run *run)
{
    layout l;
    VPSDE_TRY(open_layout(&l, s));
    const vpsde_status status =
        vpsde_run_each_stored(run, load, &(loading){.rows = rows, .layout = &l});
    close_layout(&l);
    return status;
}

vpsde_status vpsde_compare_times(vpsde_sink *sink, const vpsde_setup *s,
                                 const vpsde_compare_row *rows)
{
    const vpsde_column column = {.name = "wall_seconds",
                                 .units = "s",
                                 .description = "time of the case; NaN where it was computed "
                                                "before the run was resumed",
                                 .dims = "",
                                 .width = 1};
    const vpsde_table table = {.path = "/provenance/compare",
                               .row_axis = "case",
                               .count = vpsde_compare_cases(s),
                               .columns = &column,
                               .n_columns = 1};
    VPSDE_TRY(sink->begin(sink->self, &table));
    for (size_t i = 0; i < table.count; i++) {
        const void *data[] = {&rows[i].wall_s};
        VPSDE_TRY(sink->write(sink->self, i, 1, data));
    }
    return sink->end(sink->self, NULL, 0);
}
