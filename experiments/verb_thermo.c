#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "experiments/thermo.h"
#include "experiments/thermo_record.h"
#include "experiments/with_run.h"

static vpsde_status compute(const vpsde_setup *s, const vpsde_cli *cli, vpsde_run *run)
{
    const vpsde_status paths = vpsde_thermo_paths(s, cli, run);
    if (!vpsde_job_is_done(paths)) return paths;
    const vpsde_status schedule = vpsde_thermo_schedule(s, cli, run);
    return schedule == VPSDE_OK ? paths : schedule;
}

const vpsde_job vpsde_job_thermo = {
    .verb = "thermo", .uses = VPSDE_USES_SAMPLER | VPSDE_USES_THERMO, .compute = compute};

/* The first override that makes paths other than the run's, or NULL. */
static const char *changed(const vpsde_cli *cli)
{
    for (size_t i = 0; i < cli->n_overrides; i++) {
        if (strncmp(cli->overrides[i], "thermo.", strlen("thermo.")) != 0) return cli->overrides[i];
    }
    return NULL;
}

static bool says_run(const vpsde_cli *cli)
{
    for (size_t i = 0; i < cli->n_overrides; i++) {
        if (strncmp(cli->overrides[i], "thermo.run=", strlen("thermo.run=")) == 0) return true;
    }
    return false;
}

/* Reverse paths are the samples of a run file where it holds enough of them, and simulated anew from its
 * configuration otherwise: which of the two, and why, is said. */
static vpsde_status run(const vpsde_cli *cli)
{
    char *missing;
    bool is_sample;
    VPSDE_TRY(vpsde_input_is_run_of(&is_sample, cli, "sample"));
    if (!is_sample || says_run(cli)) {
        return vpsde_job_run(&vpsde_job_thermo, cli);
    }
    VPSDE_TRY(vpsde_record_lacks(&missing, cli->input, NULL));
    const char *change = changed(cli);
    if (!missing && !change) return vpsde_job_run_with(&vpsde_job_thermo, cli, "thermo.run");
    if (!cli->quiet) {
        printf("reverse paths: simulated anew from the configuration in %s, %s%s%s\n", cli->input,
               change ? "which is changed by --set " : "whose samples were stored without ",
               change ? change : missing, change ? "" : "; sample with that set to have them read");
    }
    free(missing);
    return vpsde_job_run(&vpsde_job_thermo, cli);
}

const vpsde_verb vpsde_verb_thermo = {
    .name = "thermo",
    .input = "CONFIG",
    .summary = "Measures heat, work, entropy and efficiencies along paths.",
    .doc =
        "Reads the sections process, model, sampler (count, grid, steps) and thermo, and data "
        "where the model draws no samples. Forward paths follow the process from data to noise, "
        "reverse paths the reverse SDE by Euler-Maruyama on the grid of the first solver. Prints "
        "means over the paths, their standard errors and what theory says of an exact score.\n\n"
        "CONFIG may be a run file of sample. Stored with log.times: all and log.fields: [x, eps, "
        "kernel], its samples are the reverse paths, of whatever solver they are; otherwise, and "
        "with --set of other keys than thermo's, its configuration alone counts and paths are "
        "simulated anew. Example:\n\n"
        "  vpsde thermo experiments/mixture.yaml -o thermo.h5 --set sampler.steps=200\n\n"
        "Exit code 5: finished, but some paths failed.",
    .options =
        VPSDE_CLI_OUTPUT | VPSDE_CLI_FORCE | VPSDE_CLI_CONFIG | VPSDE_CLI_THREADS | VPSDE_CLI_WORKS,
    .run = run,
};
