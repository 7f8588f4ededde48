#include <stdio.h>

#include "core/ceiling.h"
#include "core/parallel.h"
#include "experiments/cli.h"

/* One row of the table: a ceiling on one thread and on all. */
typedef struct ceiling {
    const char *name, *units;
    double per_unit;
    vpsde_status (*measure)(double *rate, size_t n_threads);
} ceiling;

static const ceiling ceilings[] = {
    {"multiply-adds in float32", "GFLOP/s", 1e9, vpsde_ceiling_flops},
    {"memory (triad)", "GB/s", 1e9, vpsde_ceiling_memory},
    {"standard normals", "M/s", 1e6, vpsde_ceiling_normals},
};
enum { N_CEILINGS = sizeof(ceilings) / sizeof(ceilings[0]) };

static vpsde_status run(const vpsde_cli *cli)
{
    size_t threads;
    VPSDE_TRY(vpsde_threads(&threads, cli->threads));
    printf("%-26s %-8s %10s %7zu threads\n", "ceiling", "units", "1 thread", threads);
    for (size_t i = 0; i < N_CEILINGS; i++) {
        const ceiling *const c = &ceilings[i];
        double one, all;
        if (cli->control.stop && *cli->control.stop) {
            return vpsde_fail(VPSDE_ESTOPPED, "stopped on request");
        }
        VPSDE_TRY(c->measure(&one, 1));
        VPSDE_TRY(c->measure(&all, threads));
        printf("%-26s %-8s %10.1f %15.1f\n", c->name, c->units, one / c->per_unit,
               all / c->per_unit);
    }
    printf("instruction set: %s\n", vpsde_ceiling_isa());
    return VPSDE_OK;
}

const vpsde_verb vpsde_verb_bench = {
    .name = "bench",
    .input = NULL,
    .summary = "Measures this machine's ceilings: arithmetic, memory, noise.",
    .doc = "Best of five rounds each, a few seconds together; other load lowers the figures. The "
           "share "
           "of the arithmetic ceiling that a network reaches is its FLOPs an image ('vpsde info "
           "MODEL') times images a second over the first row.",
    .options = VPSDE_CLI_THREADS | VPSDE_CLI_WORKS,
    .run = run,
};
