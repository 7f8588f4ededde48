#include "experiments/thermo.h"

static vpsde_status compute(const vpsde_setup *s, const vpsde_cli *cli, vpsde_run *run)
{
    const vpsde_status paths = vpsde_thermo_paths(s, cli, run);
    if (!vpsde_job_is_done(paths)) return paths;
    const vpsde_status schedule = vpsde_thermo_schedule(s, cli, run);
    return schedule == VPSDE_OK ? paths : schedule;
}

const vpsde_job vpsde_job_thermo = {
    .verb = "thermo", .uses = VPSDE_USES_SAMPLER | VPSDE_USES_THERMO, .compute = compute};

static vpsde_status run(const vpsde_cli *cli) { return vpsde_job_run(&vpsde_job_thermo, cli); }

const vpsde_verb vpsde_verb_thermo = {
    .name = "thermo",
    .input = "CONFIG",
    .summary = "Measures heat, work, entropy and efficiencies along paths.",
    .doc =
        "Reads the sections process, model, sampler (count, grid, steps) and thermo, and data "
        "where the model draws no samples. Forward paths follow the process from data to noise, "
        "reverse paths the reverse SDE by Euler-Maruyama on the grid of the first solver. Prints "
        "means over the paths, their standard errors and what theory says of an exact score. "
        "CONFIG may "
        "be a run file of sample: its configuration counts. Example:\n\n"
        "  vpsde thermo experiments/mixture.yaml -o thermo.h5 --set sampler.steps=200\n\n"
        "Exit code 5: finished, but some paths failed.",
    .options =
        VPSDE_CLI_OUTPUT | VPSDE_CLI_FORCE | VPSDE_CLI_CONFIG | VPSDE_CLI_THREADS | VPSDE_CLI_WORKS,
    .run = run,
};
