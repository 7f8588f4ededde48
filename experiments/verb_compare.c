#include <math.h>
#include <stdlib.h>

#include "core/clock.h"
#include "core/mem.h"
#include "experiments/collect.h"
#include "experiments/compare.h"
#include "experiments/job.h"

/* Memory of a comparison, and where it stands. */
typedef struct work {
    const vpsde_setup *s;
    const vpsde_cli *cli;
    double *x, *reference, *distance; /* (count, d), (count, d), (count) */
    vpsde_compare_row *rows;          /* (cases) */
    bool *done;                       /* (cases) from before an interruption */
    size_t n_runs, runs_done;         /* samplings, those of the reference included */
} work;

static void show(void *context, size_t done, size_t total)
{
    const work *w = context;
    const vpsde_control *control = &w->cli->control;
    control->progress(control->context, w->runs_done * total + done, w->n_runs * total);
}

/* One sampling into x; samples that fail are NaN there. */
static vpsde_status run_into(double *x, vpsde_collect *collect, work *w, vpsde_sampling *sampling)
{
    vpsde_collect_init(collect, x, w->s->model->dim);
    sampling->control.context = w;
    sampling->control.progress = w->cli->control.progress ? show : NULL;
    const vpsde_status status = vpsde_sample(sampling, &collect->sink);
    w->runs_done++;
    return status == VPSDE_EPARTIAL ? VPSDE_OK : status;
}

static size_t grid_number(const vpsde_sampler_entry *e)
{
    size_t i = 0;
    while (vpsde_grid_at(i) &&
           (vpsde_solver_is_adaptive(e->solver) || vpsde_grid_at(i) != e->grid_type))
        i++;
    return i;
}

static vpsde_status measure(vpsde_compare_row *row, work *w)
{
    const size_t count = w->s->sampler.count;
    const vpsde_metric_input in = {
        .n = vpsde_distances(w->distance, w->x, w->reference, count, w->s->model->dim),
        .distance = w->distance};
    row->failed = (int64_t)(count - in.n);
    for (size_t m = 0; vpsde_metric_at(m); m++) {
        row->metric[m] = (double)NAN;
        if (in.n > 0) VPSDE_TRY(vpsde_metric_at(m)->eval(&row->metric[m], &in));
    }
    return VPSDE_OK;
}

static vpsde_status run_case(vpsde_compare_row *row, work *w, const vpsde_compare_level *level,
                             size_t seed)
{
    const vpsde_sampler_entry *e = &w->s->compare.entries[level->entry];
    const double count = (double)w->s->sampler.count, start = vpsde_clock_s();
    vpsde_sampling sampling = vpsde_setup_level(w->s, level, seed, w->cli);
    vpsde_collect collect;
    const vpsde_status status = run_into(w->x, &collect, w, &sampling);
    if (status != VPSDE_OK) return vpsde_fail_in(status, "compare %s", e->label);
    *row = (vpsde_compare_row){
        .solver = (int32_t)level->entry,
        .seed = (int32_t)seed,
        .grid = (int32_t)grid_number(e),
        .steps = vpsde_solver_is_adaptive(e->solver) ? -1 : (int64_t)level->grid->n_steps,
        .budget = level->budget,
        .rtol = level->rtol,
        .atol = level->atol,
        .nfe = collect.sum_nfe / count,
        .rejected = collect.sum_rejected / count,
        .wall_s = vpsde_clock_s() - start,
    };
    return measure(row, w);
}

/* All levels from the start states and along the paths of one seed. */
static vpsde_status run_seed(work *w, size_t seed, vpsde_sink *sink)
{
    const vpsde_compare_setup *c = &w->s->compare;
    bool has_reference = false;
    for (size_t l = 0; l < c->n_levels; l++) {
        const size_t number = l * c->n_seeds + seed;
        if (w->done[number]) continue;
        if (!has_reference) {
            vpsde_collect collect;
            vpsde_sampling sampling = vpsde_setup_reference(w->s, seed, w->cli);
            const vpsde_status status = run_into(w->reference, &collect, w, &sampling);
            if (status != VPSDE_OK) return vpsde_fail_in(status, "compare.reference");
            has_reference = true;
        }
        VPSDE_TRY(run_case(&w->rows[number], w, &c->levels[l], seed));
        VPSDE_TRY(vpsde_compare_write(sink, w->s, number, &w->rows[number]));
    }
    return VPSDE_OK;
}

static vpsde_status make_room(work *w)
{
    const size_t cases = vpsde_compare_cases(w->s), count = w->s->sampler.count;
    size_t values;
    VPSDE_TRY(vpsde_size_mul(&values, count, w->s->model->dim, "the samples"));
    VPSDE_TRY(vpsde_alloc(&w->x, values, sizeof(*w->x)));
    VPSDE_TRY(vpsde_alloc(&w->reference, values, sizeof(*w->reference)));
    VPSDE_TRY(vpsde_alloc(&w->distance, count, sizeof(*w->distance)));
    VPSDE_TRY(vpsde_alloc(&w->rows, cases, sizeof(*w->rows)));
    VPSDE_TRY(vpsde_alloc(&w->done, cases, sizeof(*w->done)));
    w->n_runs = cases + w->s->compare.n_seeds;
    return VPSDE_OK;
}

/* What an interrupted run has already. */
static vpsde_status take_up(work *w, vpsde_run *run)
{
    vpsde_sink *sink = vpsde_run_sink(run);
    for (size_t i = 0; i < vpsde_compare_cases(w->s); i++) {
        w->done[i] = sink->has && sink->has(sink->self, i, 1);
        w->runs_done += w->done[i];
        w->rows[i].wall_s = (double)NAN;
    }
    return vpsde_compare_load(w->rows, w->s, run);
}

static vpsde_status run_all(work *w, vpsde_run *run)
{
    vpsde_sink *sink = vpsde_run_sink(run);
    const double start = vpsde_clock_s();
    VPSDE_TRY(make_room(w));
    VPSDE_TRY(vpsde_compare_begin(sink, w->s));
    VPSDE_TRY(take_up(w, run));
    for (size_t seed = 0; seed < w->s->compare.n_seeds; seed++) {
        VPSDE_TRY(run_seed(w, seed, sink));
    }
    const vpsde_fact fact = {.name = "wall_seconds", .number = vpsde_clock_s() - start};
    VPSDE_TRY(sink->end(sink->self, &fact, 1));
    return vpsde_compare_times(sink, w->s, w->rows);
}

static vpsde_status tell(const work *w)
{
    int64_t failed = 0;
    vpsde_progress_done();
    if (!w->cli->quiet) vpsde_compare_print(w->s, w->rows);
    for (size_t i = 0; i < vpsde_compare_cases(w->s); i++) failed += w->rows[i].failed;
    if (failed == 0) return VPSDE_OK;
    return vpsde_fail(VPSDE_EPARTIAL, "compare: %lld of %zu samples failed; see the column failed",
                      (long long)failed, vpsde_compare_cases(w->s) * w->s->sampler.count);
}

static vpsde_status compute(const vpsde_setup *s, const vpsde_cli *cli, vpsde_run *run)
{
    work w = {.s = s, .cli = cli};
    vpsde_status status = run_all(&w, run);
    if (status == VPSDE_OK) status = tell(&w);
    free(w.x);
    free(w.reference);
    free(w.distance);
    free(w.rows);
    free(w.done);
    return status;
}

const vpsde_job vpsde_job_compare = {
    .verb = "compare", .uses = VPSDE_USES_COMPARE, .compute = compute};

static vpsde_status run(const vpsde_cli *cli) { return vpsde_job_run(&vpsde_job_compare, cli); }

const vpsde_verb vpsde_verb_compare = {
    .name = "compare",
    .input = "CONFIG",
    .summary = "Compares solvers at equal work, sample by sample, against a reference.",
    .doc = "Reads the sections process, model, sampler (count, grid, last_step, init) and compare. "
           "Every solver runs at every budget from the same start states, and along the same "
           "Brownian paths where it has noise; the reference does too. Prints each solver's error "
           "at its number of network evaluations. Example:\n\n"
           "  vpsde compare experiments/ring.yaml -o ring.h5\n\n"
           "Exit code 5: finished, but some samples failed (the column `failed`).",
    .options =
        VPSDE_CLI_OUTPUT | VPSDE_CLI_FORCE | VPSDE_CLI_CONFIG | VPSDE_CLI_THREADS | VPSDE_CLI_WORKS,
    .run = run,
};
