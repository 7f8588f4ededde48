/* `vpsde bench`: what it measures, a table each. */
#ifndef VPSDE_EXPERIMENTS_BENCH_H
#define VPSDE_EXPERIMENTS_BENCH_H

#include "experiments/bench_table.h"
#include "experiments/setup.h"

extern const vpsde_bench_form vpsde_bench_ceilings_form, vpsde_bench_solvers_form,
    vpsde_bench_models_form, vpsde_bench_profile_form;

/* This machine's ceilings on one thread and on all; the disk's in `folder`. */
vpsde_status vpsde_bench_ceilings(vpsde_bench_table *table, const vpsde_cli *cli,
                                  const char *folder);

/* Every solver of fixed steps on two components of a model that costs nothing. */
vpsde_status vpsde_bench_solvers(vpsde_bench_table *table, const vpsde_cli *cli);

/* One thread's evaluations of `model`, or (NULL) of a mixture, an MLP and a U-Net made here, at one, 64
 * and 4096 rows. */
vpsde_status vpsde_bench_models(vpsde_bench_table *table, const vpsde_model *model,
                                const vpsde_cli *cli);

/* Where the time of `vpsde sample` goes, a row an entry of the sampler: the run itself, with its run
 * file in `folder`, which is removed. `started`: seconds it took to come here. */
vpsde_status vpsde_bench_profile(vpsde_bench_table *table, const vpsde_setup *s,
                                 const vpsde_cli *cli, const char *folder, double started);

#endif
