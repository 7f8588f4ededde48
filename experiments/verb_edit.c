#include "experiments/rows_task.h"

static void use(vpsde_sampling *run, const vpsde_setup *s, const double *x)
{
    (void)s;
    run->edit = x;
}

static vpsde_status compute(const vpsde_setup *s, const vpsde_cli *cli, vpsde_run *run)
{
    return vpsde_rows_task(s, cli, run, use);
}

const vpsde_job vpsde_job_edit = {
    .verb = "edit",
    .uses = VPSDE_USES_DATA | VPSDE_USES_SAMPLER | VPSDE_USES_EDIT,
    .compute = compute,
};

static vpsde_status run(const vpsde_cli *cli) { return vpsde_job_run(&vpsde_job_edit, cli); }

const vpsde_verb vpsde_verb_edit = {
    .name = "edit",
    .input = "CONFIG",
    .summary = "Noises each row of the data to t0 and samples on from there (SDEdit).",
    .doc = "Reads the sections process, model, data, sampler, edit and log. Every solver of "
           "sampler.solver goes from edit.t0 down, from the same start states; a grid's steps are "
           "those between t0 and t_min. `source` and `distance` tell each sample's row and how "
           "far it went. Example:\n\n"
           "  vpsde edit experiments/mixture.yaml -o edited.h5 --set edit.t0=0.4\n\n"
           "Exit code 5: finished, but some samples failed (flagged in `status`).",
    .options = VPSDE_CLI_OUTPUT | VPSDE_CLI_FORCE | VPSDE_CLI_CONFIG | VPSDE_CLI_THREADS |
               VPSDE_CLI_WORKS | VPSDE_CLI_RANKS,
    .run = run,
};
