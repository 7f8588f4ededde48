#include <math.h>
#include <stdlib.h>

#include "core/clock.h"
#include "core/mem.h"
#include "experiments/collect.h"
#include "experiments/compare_bench.h"
#include "experiments/job.h"

/* Memory of a comparison, and where it stands. */
typedef struct work {
    const vpsde_setup *s;
    const vpsde_cli *cli;
    vpsde_bench *bench;
    size_t at_seed, leading; /* at_seed: what the bench holds, n_seeds for none */
    double *x;               /* (count, d) */
    vpsde_compare_row *rows; /* (cases) */
    double **replicate;      /* (cases) of the leading metric; NULL where it is not at hand */
    bool *done;              /* (cases) from before an interruption */
    vpsde_compare_summary summary;
    size_t n_runs, runs_done; /* samplings, those of the reference included */
} work;

static void show(void *context, size_t done, size_t total)
{
    const work *w = context;
    const vpsde_control *control = &w->cli->control;
    const size_t runs = w->runs_done < w->n_runs ? w->runs_done : w->n_runs - 1;
    control->progress(control->context, runs * total + done, w->n_runs * total);
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

/* The bench for a seed: its reference, law and resamples. */
static vpsde_status go_to_seed(work *w, size_t seed)
{
    double *reference = vpsde_bench_reference(w->bench);
    if (w->at_seed == seed) return VPSDE_OK;
    if (reference) {
        vpsde_collect collect;
        vpsde_sampling sampling = vpsde_setup_reference(w->s, seed, w->cli);
        const vpsde_status status = run_into(reference, &collect, w, &sampling);
        if (status != VPSDE_OK) return vpsde_fail_in(status, "compare.reference");
    }
    w->at_seed = seed;
    return vpsde_bench_seed(w->bench, seed);
}

static vpsde_status run_case(vpsde_compare_row *row, double *replicate, work *w, size_t number)
{
    const size_t n_seeds = w->s->compare.n_seeds, seed = number % n_seeds;
    const vpsde_compare_level *level = &w->s->compare.levels[number / n_seeds];
    const vpsde_sampler_entry *e = &w->s->compare.entries[level->entry];
    VPSDE_TRY(go_to_seed(w, seed));
    const double count = (double)w->s->sampler.count, start = vpsde_clock_s();
    vpsde_sampling sampling = vpsde_setup_level(w->s, level, seed, w->cli);
    vpsde_collect collect;
    vpsde_status status = run_into(w->x, &collect, w, &sampling);
    if (status != VPSDE_OK) return vpsde_fail_in(status, "compare %s", e->label);
    const double seconds = vpsde_clock_s() - start;
    *row = (vpsde_compare_row){
        .solver = (int32_t)level->entry,
        .seed = (int32_t)seed,
        .grid = (int32_t)grid_number(e),
        .steps = vpsde_solver_is_adaptive(e->solver) ? -1 : (int64_t)level->grid->n_steps,
        .budget = level->budget,
        .rtol = level->rtol,
        .atol = level->atol,
        .nfe = collect.sum_nfe / count,
        .jvp = collect.sum_jvp / count,
        .rejected = collect.sum_rejected / count,
        .wall_s = seconds,
        .nfe_per_s = collect.sum_nfe / seconds,
    };
    status = vpsde_bench_measure(row, replicate, w->leading, w->bench, w->x,
                                 vpsde_compare_is_paired(&w->s->compare, level->entry));
    return status == VPSDE_OK ? status : vpsde_fail_in(status, "compare %s", e->label);
}

/* All levels from the start states and along the paths of one seed, and an exact sample. */
static vpsde_status run_seed(work *w, size_t seed, vpsde_sink *sink)
{
    const vpsde_compare_setup *c = &w->s->compare;
    for (size_t l = 0; l < c->n_levels; l++) {
        const size_t number = l * c->n_seeds + seed;
        if (w->done[number]) continue;
        VPSDE_TRY(vpsde_alloc(&w->replicate[number], VPSDE_RESAMPLES, sizeof(double)));
        VPSDE_TRY(run_case(&w->rows[number], w->replicate[number], w, number));
        VPSDE_TRY(vpsde_compare_write(sink, w->s, number, &w->rows[number]));
    }
    VPSDE_TRY(go_to_seed(w, seed));
    w->summary.floor[seed].seed = (int32_t)seed;
    return vpsde_bench_floor(&w->summary.floor[seed], w->bench);
}

/* Replicates of a case from before an interruption: the same samples once more. */
static vpsde_status find_replicate(work *w, size_t number)
{
    vpsde_compare_row again;
    if (w->replicate[number]) return VPSDE_OK;
    VPSDE_TRY(vpsde_alloc(&w->replicate[number], VPSDE_RESAMPLES, sizeof(double)));
    return run_case(&again, w->replicate[number], w, number);
}

/* Replicates of all that are ranked, seed by seed: a seed's reference is solved once. */
static vpsde_status find_replicates(work *w)
{
    const vpsde_compare_setup *c = &w->s->compare;
    for (size_t seed = 0; seed < c->n_seeds; seed++) {
        for (size_t k = 0; k < w->summary.n_verdicts; k++) {
            const vpsde_verdict *v = &w->summary.verdict[k];
            for (size_t i = 0; i < c->n_entries; i++) {
                const size_t l = vpsde_compare_ranked(&w->summary, w->s, v, i);
                if (l < c->n_levels) VPSDE_TRY(find_replicate(w, l * c->n_seeds + seed));
            }
        }
    }
    return VPSDE_OK;
}

/* Room for what the seeds say of one difference. */
typedef struct room {
    double *scratch, *value; /* (VPSDE_RESAMPLES), (n_seeds) */
    vpsde_interval *of;      /* (n_seeds) */
} room;

/* How much farther from the ideal one level is than another: seed by seed the difference of paired
 * replicates; then their mean. */
static vpsde_status difference(vpsde_interval *out, double *mean, const work *w, const room *r,
                               size_t level, size_t best, double probability)
{
    const size_t n_seeds = w->s->compare.n_seeds, m = w->leading;
    const double floor = w->summary.floor[n_seeds].metric[m];
    for (size_t seed = 0; seed < n_seeds; seed++) {
        const size_t a = level * n_seeds + seed, b = best * n_seeds + seed;
        for (size_t q = 0; q < VPSDE_RESAMPLES; q++) {
            r->scratch[q] = vpsde_compare_error(m, w->replicate[a][q], floor) -
                            vpsde_compare_error(m, w->replicate[b][q], floor);
        }
        r->value[seed] = vpsde_compare_error(m, w->rows[a].metric[m], floor) -
                         vpsde_compare_error(m, w->rows[b].metric[m], floor);
        VPSDE_TRY(vpsde_percentile_interval(&r->of[seed], r->scratch, probability));
    }
    *out = vpsde_pool_intervals(mean, r->value, r->of, n_seeds);
    return VPSDE_OK;
}

/* The best against every other one. The intervals hold together with 95 %, by Bonferroni: were another
 * one best in truth, its interval to this one would say so with that probability (multiple comparisons
 * with the best, Hsu 1984, Ann. Stat. 12:1136). */
static vpsde_status resolve(work *w, vpsde_verdict *v, const room *r)
{
    const vpsde_compare_setup *c = &w->s->compare;
    const size_t best = vpsde_compare_ranked(&w->summary, w->s, v, (size_t)v->best);
    size_t others = 0;
    for (size_t i = 0; i < c->n_entries; i++) {
        others +=
            (int32_t)i != v->best && vpsde_compare_ranked(&w->summary, w->s, v, i) < c->n_levels;
    }
    for (size_t i = 0; i < c->n_entries; i++) {
        const size_t level = vpsde_compare_ranked(&w->summary, w->s, v, i);
        vpsde_interval of;
        double mean;
        if ((int32_t)i == v->best || level == c->n_levels) continue;
        VPSDE_TRY(difference(&of, &mean, w, r, level, best, 1 - 0.05 / (double)others));
        if (!(of.low > 0)) {
            v->tied |= (uint64_t)1 << i;
            v->ties++;
        }
        if ((int32_t)i != v->next) continue;
        v->difference = mean;
        v->low = of.low;
        v->high = of.high;
    }
    v->is_real = v->ties == 0;
    return VPSDE_OK;
}

static vpsde_status resolve_all(work *w)
{
    const size_t n_seeds = w->s->compare.n_seeds;
    const int32_t nobody = (int32_t)w->s->compare.n_entries;
    room r;
    VPSDE_TRY(find_replicates(w));
    VPSDE_TRY(vpsde_alloc(&r.scratch, VPSDE_RESAMPLES + n_seeds, sizeof(*r.scratch)));
    r.value = r.scratch + VPSDE_RESAMPLES;
    vpsde_status status = vpsde_alloc(&r.of, n_seeds, sizeof(*r.of));
    for (size_t k = 0; status == VPSDE_OK && k < w->summary.n_verdicts; k++) {
        vpsde_verdict *v = &w->summary.verdict[k];
        if (v->next != nobody) status = resolve(w, v, &r);
    }
    free(r.of);
    free(r.scratch);
    return status;
}

static vpsde_status make_room(work *w)
{
    const size_t cases = vpsde_compare_cases(w->s), count = w->s->sampler.count;
    const size_t seeds = w->s->compare.n_seeds;
    size_t values;
    VPSDE_TRY(vpsde_size_mul(&values, count, w->s->model->dim, "the samples"));
    VPSDE_TRY(vpsde_alloc(&w->x, values, sizeof(*w->x)));
    VPSDE_TRY(vpsde_alloc(&w->rows, cases, sizeof(*w->rows)));
    VPSDE_TRY(vpsde_alloc(&w->replicate, cases, sizeof(*w->replicate)));
    VPSDE_TRY(vpsde_alloc(&w->done, cases, sizeof(*w->done)));
    VPSDE_TRY(vpsde_alloc(&w->summary.floor, seeds + 1, sizeof(*w->summary.floor)));
    VPSDE_TRY(vpsde_bench_create(&w->bench, w->s, w->cli));
    w->n_runs = cases + (vpsde_bench_reference(w->bench) ? seeds : 0);
    w->leading = vpsde_compare_leading(w->s);
    w->at_seed = seeds;
    return VPSDE_OK;
}

/* What an interrupted run has already. */
static vpsde_status take_up(work *w, vpsde_run *run)
{
    vpsde_sink *sink = vpsde_run_sink(run);
    for (size_t i = 0; i < vpsde_compare_cases(w->s); i++) {
        w->done[i] = sink->has && sink->has(sink->self, i, 1);
        w->runs_done += w->done[i];
        w->rows[i].wall_s = w->rows[i].nfe_per_s = (double)NAN;
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
    VPSDE_TRY(vpsde_compare_summarise(&w->summary, w->s, w->rows));
    VPSDE_TRY(resolve_all(w));
    VPSDE_TRY(vpsde_compare_write_summary(sink, w->s, &w->summary));
    return vpsde_compare_times(sink, w->s, w->rows);
}

static vpsde_status tell(const work *w)
{
    int64_t failed = 0;
    vpsde_progress_done();
    if (!w->cli->quiet) VPSDE_TRY(vpsde_compare_print(w->s, &w->summary));
    for (size_t i = 0; i < vpsde_compare_cases(w->s); i++) failed += w->rows[i].failed;
    if (failed == 0) return VPSDE_OK;
    return vpsde_fail(VPSDE_EPARTIAL, "compare: %lld of %zu samples failed; see the column failed",
                      (long long)failed, vpsde_compare_cases(w->s) * w->s->sampler.count);
}

static void close_work(work *w)
{
    for (size_t i = 0; w->replicate && i < vpsde_compare_cases(w->s); i++) free(w->replicate[i]);
    free(w->replicate);
    vpsde_bench_destroy(w->bench);
    vpsde_compare_summary_free(&w->summary);
    free(w->x);
    free(w->rows);
    free(w->done);
}

static vpsde_status compute(const vpsde_setup *s, const vpsde_cli *cli, vpsde_run *run)
{
    work w = {.s = s, .cli = cli};
    if (!cli->quiet) vpsde_compare_warn(s);
    vpsde_status status = run_all(&w, run);
    if (status == VPSDE_OK) status = tell(&w);
    close_work(&w);
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
