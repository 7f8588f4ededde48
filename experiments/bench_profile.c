#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/ceiling.h"
#include "core/clock.h"
#include "core/mem.h"
#include "core/parallel.h"
#include "experiments/bench.h"
#include "experiments/bench_clock.h"
#include "experiments/summary.h"
#include "solvers/driver.h"

static const vpsde_bench_column columns[] = {
    {"wall", "s", "from the start of the program to the finished run file", "seconds", 1, 3},
    {"samples_per_second", "1/s", "samples over that time", "samples/s", 1, 1},
    {"evaluations", "1", "network calls of all samples, those for the log included", "evaluations",
     1, 0},
    {"network", "1", "share of the time: the model's evaluations", "network %", 0.01, 1},
    {"solver", "1", "share of the time: steps, without network and noise", "solver %", 0.01, 1},
    {"noise", "1", "share of the time: noise of fixed steps", "noise %", 0.01, 1},
    {"log", "1", "share of the time: what is stored, to the finished file", "log %", 0.01, 1},
    {"start_up", "1", "share of the time: program, configuration, model, workspaces", "start-up %",
     0.01, 1},
    {"rest", "1", "share of the time: start states and waiting for the other threads", "rest %",
     0.01, 1},
    {"flops", "1/s", "the network's operations over its time on all threads", "GFLOP/s", 1e9, 2},
    {"ceiling_share", "1", "share of all threads' ceiling of float32 operations", "% of ceiling",
     0.01, 1},
};
enum { WALL, RATE, EVALUATIONS, NETWORK, SOLVER, NOISE, LOG, START_UP, REST, FLOPS, CEILING_SHARE };

const vpsde_bench_form vpsde_bench_profile_form = {
    .name = "profile",
    .row = "run",
    .description = "label of the sampler's entry",
    .columns = columns,
    .n_columns = sizeof(columns) / sizeof(columns[0]),
};

/* One run as `vpsde sample` does it, for this entry alone. */
typedef struct sitting {
    const vpsde_setup *s;
    const vpsde_cli *cli;
    char *folder, *path; /* of the run file */
    vpsde_summary summary;
    vpsde_bench_times times;
    double begun, sampling, sampled, finished; /* the clock */
    size_t workers;
} sitting;

static vpsde_status sample(sitting *t, size_t entry, vpsde_run *run)
{
    vpsde_sampling sampling = vpsde_setup_sampling(t->s, entry, t->cli);
    vpsde_sink own = vpsde_summary_sink(&t->summary, vpsde_run_sink(run));
    vpsde_bench_clock clock;
    size_t threads;
    VPSDE_TRY(vpsde_threads(&threads, t->cli->threads));
    const size_t rows = vpsde_block_rows(sampling.model);
    const size_t blocks = vpsde_delivery_blocks(sampling.first, sampling.count, rows);
    t->workers = threads < blocks ? threads : blocks;
    vpsde_bench_clock_start(&clock, &sampling, &own);
    t->sampling = vpsde_clock_s();
    const vpsde_status status = vpsde_sample(&sampling, &clock.sink);
    t->sampled = vpsde_clock_s();
    vpsde_bench_clock_stop(&t->times);
    return status == VPSDE_EPARTIAL ? VPSDE_OK : status;
}

static vpsde_status sit(sitting *t, size_t entry)
{
    vpsde_run *run = NULL;
    t->begun = vpsde_clock_s();
    VPSDE_TRY(vpsde_run_create(&run, t->path, "sample", t->s->resolved, t->s->seed, 0));
    vpsde_status status = vpsde_setup_describe(t->s, run);
    if (status == VPSDE_OK) status = sample(t, entry, run);
    if (status == VPSDE_OK) status = vpsde_run_finish(run, "complete");
    t->finished = vpsde_clock_s();
    vpsde_run_destroy(run, 1);
    (void)unlink(t->path);
    return status;
}

/* What threads spend side by side counts by their mean. */
static void fill(double *value, const sitting *t, double started, double ceiling)
{
    const vpsde_bench_times *s = &t->times;
    const double n = (double)t->workers, flops = vpsde_model_flops(t->s->model) * s->flows;
    const double files = t->sampling - t->begun + t->finished - t->sampled;
    const double wall = started + t->finished - t->begun - s->clock / n;
    value[WALL] = wall;
    value[RATE] = (double)t->s->sampler.count / wall;
    value[EVALUATIONS] = s->rows;
    value[NETWORK] = s->network / n / wall;
    value[SOLVER] = s->solver / n / wall;
    value[NOISE] = s->noise / n / wall;
    value[LOG] = (s->log / n + files) / wall;
    value[START_UP] = (started + s->open / n) / wall;
    value[REST] = 1 - value[NETWORK] - value[SOLVER] - value[NOISE] - value[LOG] - value[START_UP];
    if (!(flops > 0)) return;
    value[FLOPS] = flops * n / s->network;
    value[CEILING_SHARE] = value[FLOPS] / ceiling;
}

static vpsde_status each(vpsde_bench_table *table, sitting *t, double started, double ceiling)
{
    double *value;
    for (size_t i = 0; i < t->s->sampler.n_entries; i++) {
        VPSDE_TRY(sit(t, i));
        VPSDE_TRY(vpsde_bench_row(&value, table, t->s->sampler.entries[i].label));
        fill(value, t, started, ceiling);
    }
    return VPSDE_OK;
}

static vpsde_status make_place(sitting *t, const char *folder)
{
    VPSDE_TRY(vpsde_format(&t->folder, "%s/.vpsde-bench-XXXXXX", folder));
    if (!mkdtemp(t->folder)) {
        return vpsde_fail(VPSDE_EIO, "%s: no folder can be made there: %s", folder,
                          strerror(errno));
    }
    return vpsde_format(&t->path, "%s/run.h5", t->folder);
}

vpsde_status vpsde_bench_profile(vpsde_bench_table *table, const vpsde_setup *s,
                                 const vpsde_cli *cli, const char *folder, double started)
{
    sitting t = {.s = s, .cli = cli};
    double ceiling;
    size_t threads;
    VPSDE_TRY(vpsde_threads(&threads, cli->threads));
    VPSDE_TRY(vpsde_ceiling_flops(&ceiling, threads));
    vpsde_status status = make_place(&t, folder);
    if (status == VPSDE_OK) {
        status = each(table, &t, started, ceiling);
        (void)rmdir(t.folder);
    }
    free(t.path);
    free(t.folder);
    return status;
}
