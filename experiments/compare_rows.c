/* The table /compare of a run file. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "experiments/compare.h"

/* Words of a category; PLACES: the entries, or nobody. */
typedef enum vocabulary { NO_WORDS, ENTRIES, PLACES, GRIDS, METRICS, NO_YES, N_WORDS } vocabulary;

/* A column and where its value stands in a row. */
typedef struct field {
    vpsde_column column;
    size_t offset;
    vocabulary words;
} field;

#define FIELD(struct_type, member, dtype, which, text)                                             \
    {                                                                                              \
        .column = {.name = #member, .type = dtype, .description = text},                           \
        .offset = offsetof(struct_type, member), .words = which                                    \
    }
#define ROW(member, dtype, text)    FIELD(vpsde_compare_row, member, dtype, NO_WORDS, text)
#define ROW_OF(member, which, text) FIELD(vpsde_compare_row, member, VPSDE_I32, which, text)
static const field fixed_fields[] = {
    ROW_OF(solver, ENTRIES, "label of the entry of compare.solvers"),
    ROW(seed, VPSDE_I32, "number of the seed: the run's seed plus this; -1: mean over all"),
    ROW_OF(grid, GRIDS, "time grid of the steps; one that chooses its own steps has none"),
    ROW(budget, VPSDE_F64, "entry of compare.steps, in the unit budget; NaN without fixed steps"),
    ROW(steps, VPSDE_I64, "steps taken, the one to t = 0 included; -1 without fixed steps"),
    ROW(rtol, VPSDE_F64, "relative tolerance; NaN for fixed steps"),
    ROW(atol, VPSDE_F64, "absolute tolerance; NaN for fixed steps"),
    ROW(nfe, VPSDE_F64, "network calls a sample, mean"),
    ROW(jvp, VPSDE_F64, "Jacobian-vector products a sample, mean"),
    ROW(rejected, VPSDE_F64, "rejected steps a sample, mean"),
    ROW(failed, VPSDE_I64, "samples that are not measured: failed here or in the reference"),
};
static const field floor_fields[] = {
    ROW(seed, VPSDE_I32, "number of the seed: the run's seed plus this; -1: mean over all"),
    {.column = {.name = "mmd_bandwidth",
                .type = VPSDE_F64,
                .description = "width of the kernel of mmd: median distance in the target"},
     .offset = offsetof(vpsde_compare_row, bandwidth)},
};
#define VERDICT(member, dtype, which, text) FIELD(vpsde_verdict, member, dtype, which, text)
static const field verdict_fields[] = {
    VERDICT(budget, VPSDE_F64, NO_WORDS, "network calls a sample at most"),
    VERDICT(best, VPSDE_I32, PLACES, "entry with the smallest error"),
    VERDICT(next, VPSDE_I32, PLACES, "entry with the second smallest error"),
    VERDICT(best_value, VPSDE_F64, NO_WORDS, "the metric of the best, mean over the seeds"),
    VERDICT(next_value, VPSDE_F64, NO_WORDS, "the metric of the next, mean over the seeds"),
    VERDICT(difference, VPSDE_F64, NO_WORDS, "error of the next minus that of the best"),
    {.column = {.name = "difference_low",
                .type = VPSDE_F64,
                .description = "lower end of its interval, paired bootstrap; the intervals of all "
                               "differences to the best hold together with 95 %"},
     .offset = offsetof(vpsde_verdict, low)},
    {.column = {.name = "difference_high", .type = VPSDE_F64, .description = "upper end"},
     .offset = offsetof(vpsde_verdict, high)},
    VERDICT(ties, VPSDE_I64, NO_WORDS, "entries that cannot be told from the best"),
    VERDICT(unranked, VPSDE_I64, NO_WORDS, "entries left out, for samples of theirs failed"),
    VERDICT(is_real, VPSDE_U8, NO_YES, "the best is better than every other one"),
};
#define SLOPE(member, dtype, which, text) FIELD(vpsde_slope, member, dtype, which, text)
static const field slope_fields[] = {
    SLOPE(solver, VPSDE_I32, ENTRIES, "label of the entry of compare.solvers"),
    SLOPE(metric, VPSDE_I32, METRICS, "metric"),
    SLOPE(order, VPSDE_F64, NO_WORDS,
          "minus the slope of log error on log evaluations in the window"),
    SLOPE(nfe_first, VPSDE_F64, NO_WORDS, "network calls of the first level in the window"),
    SLOPE(nfe_last, VPSDE_F64, NO_WORDS, "network calls of the last level in the window"),
    SLOPE(points, VPSDE_I64, NO_WORDS, "levels in the window: error above 10 floors and below 0.1"),
};
#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))
enum { FIELDS_MAX = LENGTH(fixed_fields) + 3ul * VPSDE_METRICS_MAX, NAME = 32 };

typedef struct layout {
    field fields[FIELDS_MAX];
    vpsde_column columns[FIELDS_MAX];
    size_t n, row_size;
    char names[3 * VPSDE_METRICS_MAX][NAME];
    char *words[N_WORDS]; /* flag meanings */
} layout;

size_t vpsde_compare_cases(const vpsde_setup *s)
{
    return s->compare.n_levels * s->compare.n_seeds;
}

static vpsde_status append_word(char **words, const char *word)
{
    return vpsde_append(words, "%s%s", *words ? " " : "", word);
}

static vpsde_status make_meanings(layout *l, const vpsde_setup *s)
{
    for (size_t i = 0; i < s->compare.n_entries; i++) {
        VPSDE_TRY(append_word(&l->words[ENTRIES], s->compare.entries[i].label));
        VPSDE_TRY(append_word(&l->words[PLACES], s->compare.entries[i].label));
    }
    VPSDE_TRY(append_word(&l->words[PLACES], "nobody"));
    for (size_t i = 0; vpsde_grid_at(i); i++) {
        VPSDE_TRY(append_word(&l->words[GRIDS], vpsde_grid_at(i)->name));
    }
    VPSDE_TRY(append_word(&l->words[GRIDS], "none"));
    for (size_t m = 0; vpsde_metric_at(m); m++) {
        VPSDE_TRY(append_word(&l->words[METRICS], vpsde_metric_at(m)->name));
    }
    return append_word(&l->words[NO_YES], "no yes");
}

static void close_layout(layout *l)
{
    for (size_t w = 0; w < N_WORDS; w++) free(l->words[w]);
}

static void add_fields(layout *l, const field *fields, size_t n)
{
    memcpy(l->fields + l->n, fields, n * sizeof(*fields));
    l->n += n;
}

static void column_name(char name[NAME], const char *before, const vpsde_metric *metric,
                        const char *after)
{
    snprintf(name, NAME, "%s%s%s", before, metric->name, after);
    for (char *c = name; *c; c++) *c = *c == '-' ? '_' : *c;
}

/* A metric and the two ends of its interval. */
static void add_metric(layout *l, size_t m)
{
    static const struct {
        const char *suffix, *description;
        size_t offset;
    } parts[] = {{"", NULL, offsetof(vpsde_compare_row, metric)},
                 {"_low", "lower end of its 95 % interval", offsetof(vpsde_compare_row, low)},
                 {"_high", "upper end of its 95 % interval", offsetof(vpsde_compare_row, high)}};
    const vpsde_metric *metric = vpsde_metric_at(m);
    for (size_t k = 0; k < LENGTH(parts); k++) {
        char *name = l->names[3 * m + k];
        column_name(name, "", metric, parts[k].suffix);
        l->fields[l->n++] = (field){
            .column = {.name = name,
                       .units = metric->units,
                       .description =
                           parts[k].description ? parts[k].description : metric->description},
            .offset = parts[k].offset + m * sizeof(double),
        };
    }
}

/* The metrics asked for, all or those that need no reference of the same starts. */
static void add_metrics(layout *l, const vpsde_setup *s, bool paired)
{
    for (size_t m = 0; vpsde_metric_at(m); m++) {
        if (!vpsde_compare_wants(s, m)) continue;
        if (paired || !(vpsde_metric_at(m)->needs & VPSDE_METRIC_PAIRED)) add_metric(l, m);
    }
}

/* After the fields are there. */
static vpsde_status finish_layout(layout *l, const vpsde_setup *s, size_t row_size)
{
    const vpsde_status status = make_meanings(l, s);
    l->row_size = row_size;
    for (size_t c = 0; c < l->n; c++) {
        vpsde_column *column = &l->columns[c];
        *column = l->fields[c].column;
        column->flag_meanings = l->words[l->fields[c].words];
        if (!column->units) column->units = "1";
        column->dims = "";
        column->width = 1;
    }
    if (status != VPSDE_OK) close_layout(l);
    return status;
}

static vpsde_status open_cases(layout *l, const vpsde_setup *s)
{
    *l = (layout){.n = 0};
    add_fields(l, fixed_fields, LENGTH(fixed_fields));
    add_metrics(l, s, true);
    return finish_layout(l, s, sizeof(vpsde_compare_row));
}

vpsde_status vpsde_compare_begin(vpsde_sink *sink, const vpsde_setup *s)
{
    static const char *const units[] = {"steps", "nfe"};
    static const char *const laws[] = {NULL, "exact", "data"};
    const vpsde_sampler_entry *r = &s->compare.reference;
    const bool solves = s->compare.against == VPSDE_AGAINST_SOLVER;
    const bool adaptive = solves && vpsde_solver_is_adaptive(r->solver);
    vpsde_fact facts[16 + VPSDE_METRICS_MAX] = {
        {.name = "budget_unit", .text = units[s->compare.budget]},
        {.name = "samples", .number = (double)s->sampler.count, .whole = true},
        {.name = "seeds", .number = (double)s->compare.n_seeds, .whole = true},
        {.name = "reference", .text = solves ? r->solver->name : laws[s->compare.against]},
        {.name = "reference_rtol", .number = adaptive ? r->rtol : (double)NAN},
        {.name = "reference_atol", .number = adaptive ? r->atol : (double)NAN},
        {.name = "reference_steps",
         .number = adaptive || !solves ? -1 : (double)r->grid->n_steps,
         .whole = true},
        {.name = "target",
         .text = vpsde_compare_draws(s) ? "exact"
                 : solves               ? "reference"
                                        : "data"},
        {.name = "leading_metric", .text = vpsde_metric_at(vpsde_compare_leading(s))->name},
        {.name = "resamples", .number = VPSDE_RESAMPLES, .whole = true},
        {.name = "confidence_level", .number = 0.95},
    };
    char names[VPSDE_METRICS_MAX][NAME];
    size_t n = 0;
    while (facts[n].name) n++;
    for (size_t m = 0; vpsde_metric_at(m); m++) {
        if (!vpsde_compare_wants(s, m)) continue;
        column_name(names[m], "ideal_", vpsde_metric_at(m), "");
        facts[n++] = (vpsde_fact){.name = names[m], .number = vpsde_metric_at(m)->ideal};
    }
    layout l;
    VPSDE_TRY(open_cases(&l, s));
    const vpsde_table table = {.path = "/compare",
                               .row_axis = "case",
                               .count = vpsde_compare_cases(s),
                               .columns = l.columns,
                               .n_columns = l.n,
                               .facts = facts,
                               .n_facts = n};
    const vpsde_status status = sink->begin(sink->self, &table);
    close_layout(&l);
    return status;
}

static vpsde_status write_row(vpsde_sink *sink, const layout *l, size_t number, const void *row)
{
    const void *data[FIELDS_MAX];
    for (size_t c = 0; c < l->n; c++) data[c] = (const char *)row + l->fields[c].offset;
    return sink->write(sink->self, number, 1, data);
}

vpsde_status vpsde_compare_write(vpsde_sink *sink, const vpsde_setup *s, size_t number,
                                 const vpsde_compare_row *row)
{
    layout l;
    VPSDE_TRY(open_cases(&l, s));
    const vpsde_status status = write_row(sink, &l, number, row);
    close_layout(&l);
    return status;
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
    VPSDE_TRY(open_cases(&l, s));
    const vpsde_status status =
        vpsde_run_each_stored(run, load, &(loading){.rows = rows, .layout = &l});
    close_layout(&l);
    return status;
}

/* A whole table of `count` rows that stand one after the other; rows from before an interruption are
 * the same ones. */
static vpsde_status write_table(vpsde_sink *sink, const layout *l, const char *path,
                                const char *axis, const void *rows, size_t count)
{
    const vpsde_table table = {
        .path = path, .row_axis = axis, .count = count, .columns = l->columns, .n_columns = l->n};
    if (count == 0) return VPSDE_OK;
    VPSDE_TRY(sink->begin(sink->self, &table));
    for (size_t i = 0; i < count; i++) {
        if (sink->has && sink->has(sink->self, i, 1)) continue;
        VPSDE_TRY(write_row(sink, l, i, (const char *)rows + i * l->row_size));
    }
    return sink->end(sink->self, NULL, 0);
}

vpsde_status vpsde_compare_write_summary(vpsde_sink *sink, const vpsde_setup *s,
                                         const vpsde_compare_summary *y)
{
    const struct part {
        const char *path, *axis;
        const field *fields;
        size_t n_fields, row_size;
        bool has_metrics, paired;
        const void *rows;
        size_t count;
    } parts[] = {
        {"/compare/pooled", "level", fixed_fields, LENGTH(fixed_fields), sizeof(*y->pooled), true,
         true, y->pooled, s->compare.n_levels},
        {"/compare/floor", "sample", floor_fields, LENGTH(floor_fields), sizeof(*y->floor), true,
         false, y->floor, s->compare.n_seeds + 1},
        {"/compare/verdict", "place", verdict_fields, LENGTH(verdict_fields), sizeof(*y->verdict),
         false, false, y->verdict, y->n_verdicts},
        {"/compare/order", "fit", slope_fields, LENGTH(slope_fields), sizeof(*y->slope), false,
         false, y->slope, y->n_slopes},
    };
    for (size_t p = 0; p < LENGTH(parts); p++) {
        layout l = {.n = 0};
        add_fields(&l, parts[p].fields, parts[p].n_fields);
        if (parts[p].has_metrics) add_metrics(&l, s, parts[p].paired);
        VPSDE_TRY(finish_layout(&l, s, parts[p].row_size));
        const vpsde_status status =
            write_table(sink, &l, parts[p].path, parts[p].axis, parts[p].rows, parts[p].count);
        close_layout(&l);
        VPSDE_TRY(status);
    }
    return VPSDE_OK;
}

vpsde_status vpsde_compare_times(vpsde_sink *sink, const vpsde_setup *s,
                                 const vpsde_compare_row *rows)
{
    layout l = {
        .fields = {{.column = {.name = "wall_seconds",
                               .units = "s",
                               .description = "time of the case's samples; NaN where it was "
                                              "computed before the run was resumed"},
                    .offset = offsetof(vpsde_compare_row, wall_s)},
                   {.column = {.name = "nfe_per_second",
                               .units = "1/s",
                               .description = "network calls of all samples a second"},
                    .offset = offsetof(vpsde_compare_row, nfe_per_s)}},
        .n = 2};
    VPSDE_TRY(finish_layout(&l, s, sizeof(*rows)));
    const vpsde_status status =
        write_table(sink, &l, "/provenance/compare", "case", rows, vpsde_compare_cases(s));
    close_layout(&l);
    return status;
}
