#include "core/ceiling.h"
#include "core/parallel.h"
#include "experiments/bench.h"

static const vpsde_bench_column columns[] = {
    {"threads", "1", "threads at once", "threads", 1, 0},
    {"flops", "1/s", "float32 operations a second out of registers, two a multiply-add", "GFLOP/s",
     1e9, 1},
    {"memory", "B/s", "memory of a = b + s c (triad), all three counted", "GB/s", 1e9, 1},
    {"normals", "1/s", "standard normals", "normals M/s", 1e6, 1},
    {"disk", "B/s", "bytes written to a new file and synced, by one thread", "disk MB/s", 1e6, 1},
};

const vpsde_bench_form vpsde_bench_ceilings_form = {
    .name = "ceilings",
    .row = "ceiling",
    .description = "how many threads take part",
    .columns = columns,
    .n_columns = sizeof(columns) / sizeof(columns[0]),
};

static vpsde_status measure(double *value, size_t threads, const vpsde_cli *cli)
{
    static vpsde_status (*const figures[])(double *, size_t) = {
        vpsde_ceiling_flops, vpsde_ceiling_memory, vpsde_ceiling_normals};
    value[0] = (double)threads;
    for (size_t i = 0; i < sizeof(figures) / sizeof(figures[0]); i++) {
        VPSDE_TRY(vpsde_check_stop(cli->control.stop));
        VPSDE_TRY(figures[i](&value[i + 1], threads));
    }
    return VPSDE_OK;
}

vpsde_status vpsde_bench_ceilings(vpsde_bench_table *table, const vpsde_cli *cli,
                                  const char *folder)
{
    enum { DISK = 4 };
    size_t threads;
    double *value, disk;
    VPSDE_TRY(vpsde_threads(&threads, cli->threads));
    VPSDE_TRY(vpsde_ceiling_disk(&disk, folder));
    VPSDE_TRY(vpsde_bench_row(&value, table, "one"));
    VPSDE_TRY(measure(value, 1, cli));
    value[DISK] = disk;
    VPSDE_TRY(vpsde_bench_row(&value, table, "all"));
    return measure(value, threads, cli);
}
