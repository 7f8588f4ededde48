#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/ceiling.h"
#include "core/clock.h"
#include "core/mem.h"
#include "core/parallel.h"
#include "experiments/bench.h"
#include "experiments/build_facts.h"

enum { CEILINGS, SOLVERS, MODELS, PROFILE, N_TABLES };

typedef struct bench {
    const vpsde_cli *cli;
    double started; /* seconds that the program took to come here */
    char *folder;
    vpsde_setup setup; /* of the configuration, where one is given */
    vpsde_bench_table table[N_TABLES];
    vpsde_run *run; /* NULL without -o */
} bench;

/* Of this process, whatever it waited for left out. */
static double processor_seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* --folder, or the output's, or the current one. */
static vpsde_status choose_folder(char **folder, const vpsde_cli *cli)
{
    const char *slash = cli->output ? strrchr(cli->output, '/') : NULL;
    if (cli->folder) return vpsde_strdup(folder, cli->folder);
    if (!slash) return vpsde_strdup(folder, ".");
    const size_t length = slash == cli->output ? 1 : (size_t)(slash - cli->output);
    return vpsde_format(folder, "%.*s", (int)length, cli->output);
}

/* Before anything is measured, so that a name that is taken costs no time. */
static vpsde_status begin(bench *b)
{
    const vpsde_cli *cli = b->cli;
    const char *config = b->setup.resolved ? b->setup.resolved : "bench: {}\n";
    if (!cli->output) return VPSDE_OK;
    if (cli->input) VPSDE_TRY(vpsde_setup_spares_inputs(&b->setup, cli, cli->output));
    return vpsde_run_create(&b->run, cli->output, "bench", config, b->setup.seed, cli->force);
}

static vpsde_status measure_machine(bench *b)
{
    VPSDE_TRY(begin(b));
    VPSDE_TRY(vpsde_bench_ceilings(&b->table[CEILINGS], b->cli, b->folder));
    VPSDE_TRY(vpsde_bench_solvers(&b->table[SOLVERS], b->cli));
    return vpsde_bench_models(&b->table[MODELS], NULL, b->cli);
}

static vpsde_status measure_configuration(bench *b)
{
    const double start = vpsde_clock_s();
    VPSDE_TRY(vpsde_setup_open(&b->setup, b->cli, VPSDE_USES_SAMPLER));
    b->started += vpsde_clock_s() - start;
    VPSDE_TRY(begin(b));
    VPSDE_TRY(vpsde_bench_profile(&b->table[PROFILE], &b->setup, b->cli, b->folder, b->started));
    return vpsde_bench_models(&b->table[MODELS], b->setup.model, b->cli);
}

static vpsde_status store(bench *b)
{
    const vpsde_fact isa = {.name = "isa", .text = vpsde_ceiling_isa()};
    if (!b->run) return VPSDE_OK;
    VPSDE_TRY(b->cli->input ? vpsde_setup_describe(&b->setup, b->run)
                            : vpsde_build_facts(b->run, b->cli->threads));
    VPSDE_TRY(vpsde_run_provenance(b->run, &isa));
    for (size_t t = 0; t < N_TABLES; t++) VPSDE_TRY(vpsde_bench_store(&b->table[t], b->run));
    return vpsde_run_finish(b->run, "complete");
}

static vpsde_status show(const bench *b)
{
    const vpsde_bench_table *tables[N_TABLES];
    size_t threads;
    if (b->cli->quiet && !b->cli->json) return VPSDE_OK;
    VPSDE_TRY(vpsde_threads(&threads, b->cli->threads));
    for (size_t t = 0; t < N_TABLES; t++) tables[t] = &b->table[t];
    if (b->cli->json) return vpsde_bench_json(tables, N_TABLES, threads);
    printf("instruction set %s, %zu threads\n", vpsde_ceiling_isa(), threads);
    for (size_t t = 0; t < N_TABLES; t++) {
        if (tables[t]->n > 0) putchar('\n');
        vpsde_bench_print(tables[t]);
    }
    return VPSDE_OK;
}

static vpsde_status run(const vpsde_cli *cli)
{
    bench b = {.cli = cli,
               .started = processor_seconds(),
               .table = {[CEILINGS] = {.form = &vpsde_bench_ceilings_form},
                         [SOLVERS] = {.form = &vpsde_bench_solvers_form},
                         [MODELS] = {.form = &vpsde_bench_models_form},
                         [PROFILE] = {.form = &vpsde_bench_profile_form}}};
    if (cli->n_inputs > 1) {
        return vpsde_fail(VPSDE_EUSAGE, "bench: one CONFIG expected, got '%s' too", cli->inputs[1]);
    }
    VPSDE_TRY(choose_folder(&b.folder, cli));
    vpsde_status status = cli->input ? measure_configuration(&b) : measure_machine(&b);
    vpsde_progress_done();
    if (status == VPSDE_OK) status = show(&b);
    if (status == VPSDE_OK) status = store(&b);
    vpsde_run_destroy(b.run, 1);
    for (size_t t = 0; t < N_TABLES; t++) vpsde_bench_table_clear(&b.table[t]);
    vpsde_setup_close(&b.setup);
    free(b.folder);
    return status;
}

const vpsde_verb vpsde_verb_bench = {
    .name = "bench",
    .input = "[CONFIG]",
    .summary = "Measures this machine, solvers and models; or where a configuration's time goes.",
    .doc = "Without CONFIG: this machine's ceilings (arithmetic, memory, noise, disk), what a step "
           "of each solver costs, and what share of the arithmetic ceiling models reach. Ten "
           "seconds or so.\n\n"
           "With CONFIG: samples as 'vpsde sample CONFIG' does, once for each entry, and tells "
           "which share of the time went into the network, the solver, the noise, the log, the "
           "start and the rest. Its run file is written to be timed, and removed. Then the model "
           "by itself. A large sampler.count can be made less by --set.\n\n"
           "Other load on the machine lowers the figures. Example:\n\n"
           "  vpsde bench experiments/mixture.yaml -o bench.h5",
    .options = VPSDE_CLI_INPUTS | VPSDE_CLI_RECORD | VPSDE_CLI_FORCE | VPSDE_CLI_CONFIG |
               VPSDE_CLI_THREADS | VPSDE_CLI_WORKS | VPSDE_CLI_JSON | VPSDE_CLI_FOLDER,
    .run = run,
};
