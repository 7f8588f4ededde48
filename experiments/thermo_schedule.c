/* The metric along the schedule, its length, and what each grid of so many steps makes of it.
 *
 * Half of the pilot samples place the grids that go by rates, the other half, the judges, measure all
 * grids: none is judged by the noise it follows. Classes come in turn, and so do halves, a turn each, for
 * both to have the same classes. Intervals resample the judges whole, each class by itself. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "analysis/digits.h"
#include "core/mem.h"
#include "core/sink.h"
#include "experiments/thermo.h"
#include "experiments/thermo_judges.h"
#include "sde/length.h"
#include "solvers/driver.h"
#include "solvers/geometry.h"

enum { GRIDS_MAX = 64, NAMES_LEN = 4096 };
#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))
static const double level = 0.95;

typedef struct judged {
    const char *name; /* as in flag_meanings */
    vpsde_grid *grid;
} judged;

typedef struct schedule {
    const vpsde_setup *s;
    vpsde_geometry *geometry;
    size_t n_nodes;
    vpsde_judges judges;
    double *b;       /* (n_nodes) */
    double *placing; /* (VPSDE_N_RATES, n_nodes) means of the samples that do not judge */
    uint8_t *times;  /* (samples) */
    judged grid[GRIDS_MAX];
    size_t n_grids;
    /* what is measured: metric and length at the nodes, path KL and efficiency of the grids */
    size_t n_values;
    double *value, *low, *high; /* (n_values) */
} schedule;

/* ---- the grids -------------------------------------------------------------------------------- */

/* One more, which is left out where it cannot have so many steps. */
static vpsde_status judge(schedule *t, const char *name, vpsde_status status, vpsde_grid *grid)
{
    if (status == VPSDE_EINVAL) return VPSDE_OK;
    if (status == VPSDE_OK) t->grid[t->n_grids++] = (judged){.name = name, .grid = grid};
    return status;
}

static vpsde_status judge_registered(schedule *t, size_t n_steps)
{
    for (size_t i = 0; vpsde_grid_at(i); i++) {
        const vpsde_grid_type *type = vpsde_grid_at(i);
        vpsde_grid *grid = NULL;
        if (type->takes_times || type->place_by) continue;
        const vpsde_status status =
            vpsde_grid_create(&grid, type, t->s->process, n_steps, NULL, NULL, VPSDE_LAST_STOP);
        VPSDE_TRY(judge(t, type->name, status, grid));
    }
    return VPSDE_OK;
}

/* By rates of the samples that do not judge. */
static vpsde_status judge_calibrated(schedule *t, size_t n_steps)
{
    static const struct {
        const char *name, *type;
        double rate; /* the type's parameter, where it has one */
    } by_rates[] = {{"equal-dissipation", "equal-dissipation", 0},
                    {"entropic", "equal-dissipation", 1},
                    {"geodesic", "geodesic", -1}};
    const size_t n = t->n_nodes;
    const vpsde_rates rates = {.n = n,
                               .b = t->b,
                               .dissipation = t->placing + VPSDE_RATE_DISSIPATION * n,
                               .entropy = t->placing + VPSDE_RATE_ENTROPY * n,
                               .metric = t->placing + VPSDE_RATE_METRIC * n};
    for (size_t i = 0; i < sizeof(by_rates) / sizeof(by_rates[0]); i++) {
        const vpsde_grid_type *type = vpsde_grid_find(by_rates[i].type);
        double param[VPSDE_PARAM_MAX];
        vpsde_grid *grid = NULL;
        vpsde_param_defaults(param, type->params);
        if (by_rates[i].rate >= 0) param[0] = by_rates[i].rate;
        const vpsde_status status = vpsde_grid_create_by(&grid, type, t->s->process, n_steps, param,
                                                         &rates, VPSDE_LAST_STOP);
        VPSDE_TRY(judge(t, by_rates[i].name, status, grid));
    }
    return VPSDE_OK;
}

/* Nodes given as b. */
static vpsde_status judge_b(schedule *t, const char *name, size_t n_steps, double *b)
{
    vpsde_grid *grid = NULL;
    for (size_t k = 1; k < n_steps; k++) b[k] = vpsde_process_at_b(t->s->process, b[k]).t;
    b[0] = vpsde_process_t_max(t->s->process);
    b[n_steps] = vpsde_process_get_spec(t->s->process)->t_min;
    const vpsde_status status = vpsde_grid_create(&grid, vpsde_grid_find("user"), t->s->process,
                                                  n_steps, NULL, b, VPSDE_LAST_STOP);
    return judge(t, name, status, grid);
}

/* Equal steps in the t of the cosine schedule, between the same ends in b: another schedule is another
 * clock for the same process. */
static vpsde_status judge_cosine(schedule *t, size_t n_steps, double *b)
{
    vpsde_process_spec spec;
    vpsde_process *cosine;
    VPSDE_TRY(vpsde_process_spec_init(&spec, "cosine"));
    VPSDE_TRY(vpsde_param_set(spec.param, spec.schedule->params, "t_end", 0.9999)); /* any b_max */
    VPSDE_TRY(vpsde_process_create(&cosine, &spec));
    const double first = vpsde_process_at_b(cosine, t->b[0]).t;
    const double last = vpsde_process_at_b(cosine, t->b[t->n_nodes - 1]).t;
    for (size_t k = 0; k <= n_steps; k++) {
        b[k] = vpsde_process_at(cosine, first + (double)k / (double)n_steps * (last - first)).b;
    }
    vpsde_process_destroy(cosine);
    return isfinite(first) && isfinite(last) ? judge_b(t, "cosine", n_steps, b) : VPSDE_OK;
}

static vpsde_status judge_other_clocks(schedule *t, size_t n_steps)
{
    double *b;
    VPSDE_TRY(vpsde_alloc(&b, n_steps + 1, sizeof(*b)));
    const double first = t->b[0], last = t->b[t->n_nodes - 1];
    for (size_t k = 0; k <= n_steps; k++) {
        b[k] = first + (double)k / (double)n_steps * (last - first);
    }
    vpsde_status status = judge_b(t, "uniform-b", n_steps, b);
    if (status == VPSDE_OK) status = judge_cosine(t, n_steps, b);
    free(b);
    return status;
}

/* ---- what they are worth ---------------------------------------------------------------------- */

/* value (n_values) of the samples as often as `times` says. */
static vpsde_status evaluate(double *value, const schedule *t, const uint8_t *times)
{
    const size_t n = t->n_nodes;
    double *metric = value, *length = value + n, *path_kl = value + 2 * n;
    double *efficiency = path_kl + t->n_grids;
    vpsde_shares shares;
    vpsde_geometry_mean(metric, t->geometry, VPSDE_RATE_METRIC, times);
    const vpsde_status status = vpsde_length_open(&shares, n, t->b, metric);
    for (size_t m = 0; status == VPSDE_OK && m < n; m++) length[m] = shares.sum[m];
    for (size_t g = 0; status == VPSDE_OK && g < t->n_grids; g++) {
        path_kl[g] = vpsde_length_path_kl(&shares, t->grid[g].grid);
        efficiency[g] = vpsde_length_efficiency(&shares, t->grid[g].grid);
    }
    vpsde_shares_close(&shares);
    return status;
}

static vpsde_status set_intervals(schedule *t, const double *replicate)
{
    for (size_t i = 0; i < t->n_values; i++) {
        vpsde_interval of;
        VPSDE_TRY(vpsde_percentile_interval(&of, replicate + i * VPSDE_RESAMPLES, level));
        t->low[i] = of.low;
        t->high[i] = of.high;
    }
    return VPSDE_OK;
}

static vpsde_status evaluate_resamples(schedule *t, double *one, double *replicate)
{
    for (size_t q = 0; q < VPSDE_RESAMPLES; q++) {
        vpsde_judges_deal(&t->judges, q, t->times);
        VPSDE_TRY(evaluate(one, t, t->times));
        for (size_t i = 0; i < t->n_values; i++) replicate[i * VPSDE_RESAMPLES + q] = one[i];
    }
    return set_intervals(t, replicate);
}

static vpsde_status resample(schedule *t)
{
    double *memory;
    VPSDE_TRY(vpsde_alloc(&memory, t->n_values * (VPSDE_RESAMPLES + 1), sizeof(double)));
    const vpsde_status status = evaluate_resamples(t, memory, memory + t->n_values);
    free(memory);
    return status;
}

static vpsde_status measure(schedule *t)
{
    const vpsde_schedule_setup *plan = &t->s->schedule;
    const vpsde_geometry_plan of = {
        .nodes = plan->nodes + 1, .samples = plan->samples, .probes = plan->probes};
    const vpsde_sampling run = vpsde_setup_pilots(t->s);
    VPSDE_TRY(vpsde_geometry_measure(&t->geometry, &run, &of));
    t->n_nodes = of.nodes;
    VPSDE_TRY(vpsde_alloc(&t->b, t->n_nodes, sizeof(*t->b)));
    VPSDE_TRY(vpsde_alloc(&t->placing, VPSDE_N_RATES * t->n_nodes, sizeof(*t->placing)));
    VPSDE_TRY(vpsde_alloc(&t->times, of.samples, 1));
    for (size_t m = 0; m < t->n_nodes; m++) t->b[m] = t->geometry->node[m].b;
    VPSDE_TRY(vpsde_judges_choose(&t->judges, of.samples, vpsde_pilot_classes(&run), t->s->seed));
    memset(t->times, 1, of.samples);
    for (size_t i = 0; i < t->judges.n; i++) t->times[t->judges.sample[i]] = 0;
    for (size_t r = 0; r < VPSDE_N_RATES; r++) {
        vpsde_geometry_mean(t->placing + r * t->n_nodes, t->geometry, (vpsde_rate)r, t->times);
    }
    memset(t->times, 0, of.samples);
    for (size_t i = 0; i < t->judges.n; i++) t->times[t->judges.sample[i]] = 1;
    VPSDE_TRY(judge_registered(t, plan->steps));
    VPSDE_TRY(judge_other_clocks(t, plan->steps));
    VPSDE_TRY(judge_calibrated(t, plan->steps));
    t->n_values = 2 * t->n_nodes + 2 * t->n_grids;
    VPSDE_TRY(vpsde_alloc(&t->value, 3 * t->n_values, sizeof(*t->value)));
    t->low = t->value + t->n_values;
    t->high = t->low + t->n_values;
    VPSDE_TRY(evaluate(t->value, t, t->times));
    return resample(t);
}

/* ---- tables ----------------------------------------------------------------------------------- */

enum { COLUMNS_MAX = 12 };

/* One table of numbers in one go; its columns have names, units and descriptions, one of them words. */
static vpsde_status write(vpsde_sink *sink, vpsde_table table, const void *const *data)
{
    vpsde_column column[COLUMNS_MAX];
    for (size_t c = 0; c < table.n_columns; c++) {
        column[c] = table.columns[c];
        column[c].type = column[c].flag_meanings ? VPSDE_I32 : VPSDE_F64;
        column[c].dims = "";
        column[c].width = 1;
    }
    table.columns = column;
    return vpsde_sink_store(sink, &table, data);
}

static vpsde_status write_nodes(const schedule *t, vpsde_sink *sink)
{
    static const vpsde_column columns[] = {
        {.name = "t", .units = "1", .description = "time of the node"},
        {.name = "b", .units = "1", .description = "b(t)"},
        {.name = "metric", .units = "1", .description = "g = 1/2 E|I + Hessian of log p|_F^2"},
        {.name = "metric_low", .units = "1", .description = "lower end of its 95 % interval"},
        {.name = "metric_high", .units = "1", .description = "upper end"},
        {.name = "speed", .units = "1", .description = "sqrt(g): thermodynamic length per b"},
        {.name = "length", .units = "1", .description = "thermodynamic length from t_max"},
        {.name = "length_low", .units = "1", .description = "lower end of its 95 % interval"},
        {.name = "length_high", .units = "1", .description = "upper end"},
        {.name = "dissipation", .units = "nat", .description = "-dF/db, F = KL(p_b || N(0, I))"},
        {.name = "entropy", .units = "nat", .description = "dH[x_0 | x_b]/db"},
    };
    const size_t n = t->n_nodes;
    const vpsde_geometry *g = t->geometry;
    const vpsde_fact facts[] = {
        {.name = "samples", .number = (double)g->plan.samples, .whole = true},
        {.name = "probes", .number = (double)g->plan.probes, .whole = true},
        {.name = "pilot_nfe", .number = (double)g->nfe, .whole = true},
        {.name = "pilot_jvp", .number = (double)g->jvp, .whole = true},
        {.name = "length", .number = t->value[2 * n - 1]},
        {.name = "length_low", .number = t->low[2 * n - 1]},
        {.name = "length_high", .number = t->high[2 * n - 1]},
        {.name = "confidence_level", .number = level},
    };
    double *times;
    VPSDE_TRY(vpsde_alloc(&times, 2 * n, sizeof(*times)));
    double *speed = times + n;
    for (size_t m = 0; m < n; m++) times[m] = g->node[m].t;
    for (size_t m = 0; m < n; m++) speed[m] = sqrt(fmax(t->value[m], 0));
    const void *const data[] = {times,
                                t->b,
                                t->value,
                                t->low,
                                t->high,
                                speed,
                                t->value + n,
                                t->low + n,
                                t->high + n,
                                t->placing + VPSDE_RATE_DISSIPATION * n,
                                t->placing + VPSDE_RATE_ENTROPY * n};
    const vpsde_status status = write(sink,
                                      (vpsde_table){.path = "/thermo/schedule",
                                                    .row_axis = "node",
                                                    .count = n,
                                                    .columns = columns,
                                                    .n_columns = LENGTH(columns),
                                                    .facts = facts,
                                                    .n_facts = LENGTH(facts)},
                                      data);
    free(times);
    return status;
}

static vpsde_status write_grids(const schedule *t, vpsde_sink *sink)
{
    char names[NAMES_LEN] = "";
    int32_t grid[GRIDS_MAX];
    for (size_t g = 0; g < t->n_grids; g++) {
        grid[g] = (int32_t)g;
        snprintf(names + strlen(names), sizeof(names) - strlen(names), "%s%s", g ? " " : "",
                 t->grid[g].name);
    }
    const vpsde_column columns[] = {
        {.name = "grid", .units = "1", .description = "time grid", .flag_meanings = names},
        {.name = "path_kl", .units = "nat", .description = "1/2 sum of squared lengths of steps"},
        {.name = "path_kl_low", .units = "nat", .description = "lower end of its 95 % interval"},
        {.name = "path_kl_high", .units = "nat", .description = "upper end"},
        {.name = "efficiency", .units = "1", .description = "eta_sched = L^2 / (2 N path KL)"},
        {.name = "efficiency_low", .units = "1", .description = "lower end of its 95 % interval"},
        {.name = "efficiency_high", .units = "1", .description = "upper end"},
    };
    const vpsde_fact steps = {
        .name = "steps", .number = (double)t->s->schedule.steps, .whole = true};
    const size_t kl = 2 * t->n_nodes, eta = kl + t->n_grids;
    const void *const data[] = {grid,           t->value + kl, t->low + kl,  t->high + kl,
                                t->value + eta, t->low + eta,  t->high + eta};
    return write(sink,
                 (vpsde_table){.path = "/thermo/grids",
                               .row_axis = "candidate",
                               .count = t->n_grids,
                               .columns = columns,
                               .n_columns = LENGTH(columns),
                               .facts = &steps,
                               .n_facts = 1},
                 data);
}

static void print(const schedule *t)
{
    const size_t end = 2 * t->n_nodes - 1, kl = end + 1, eta = kl + t->n_grids;
    printf("\nschedule: thermodynamic length L = %" VPSDE_DIGITS_TIME " (%" VPSDE_DIGITS_TIME
           " to %" VPSDE_DIGITS_TIME "); of %zu steps\n",
           t->value[end], t->low[end], t->high[end], t->s->schedule.steps);
    printf("%-20s %10s %8s   %s\n", "grid", "path KL", "eta", "95 %");
    for (size_t g = 0; g < t->n_grids; g++) {
        printf("%-20s %10" VPSDE_DIGITS_RATE " %8" VPSDE_DIGITS_SHARE "   %" VPSDE_DIGITS_SHARE
               " to %" VPSDE_DIGITS_SHARE "\n",
               t->grid[g].name, t->value[kl + g], t->value[eta + g], t->low[eta + g],
               t->high[eta + g]);
    }
}

vpsde_status vpsde_thermo_schedule(const vpsde_setup *s, const vpsde_cli *cli, vpsde_run *run)
{
    schedule t = {.s = s};
    vpsde_sink *sink = vpsde_run_sink(run);
    vpsde_status status = measure(&t);
    const bool has_geometry = status != VPSDE_EINVAL; /* none down to t = 0, nor of N(0, I) */
    if (!has_geometry) status = VPSDE_OK;
    if (!has_geometry && !cli->quiet) printf("\nschedule: left out; %s\n", vpsde_last_error());
    if (status == VPSDE_OK && has_geometry) status = write_nodes(&t, sink);
    if (status == VPSDE_OK && has_geometry) status = write_grids(&t, sink);
    if (status == VPSDE_OK && has_geometry && !cli->quiet) print(&t);
    for (size_t g = 0; g < t.n_grids; g++) vpsde_grid_destroy(t.grid[g].grid);
    vpsde_geometry_destroy(t.geometry);
    vpsde_judges_close(&t.judges);
    free(t.b);
    free(t.placing);
    free(t.times);
    free(t.value);
    return status == VPSDE_OK ? status : vpsde_fail_in(status, "thermo.schedule");
}
