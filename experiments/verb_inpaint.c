#include "experiments/rows_task.h"

static void use(vpsde_sampling *run, const vpsde_setup *s, const double *x)
{
    run->inpaint = (vpsde_inpaint){
        .known = s->inpaint.known,
        .data = x,
        .jump_length = s->inpaint.jump_length,
        .resamples = s->inpaint.resamples,
    };
}

static vpsde_status compute(const vpsde_setup *s, const vpsde_cli *cli, vpsde_run *run)
{
    return vpsde_rows_task(s, cli, run, use);
}

const vpsde_job vpsde_job_inpaint = {
    .verb = "inpaint",
    .uses = VPSDE_USES_DATA | VPSDE_USES_SAMPLER | VPSDE_USES_INPAINT,
    .compute = compute,
};

static vpsde_status run(const vpsde_cli *cli) { return vpsde_job_run(&vpsde_job_inpaint, cli); }

const vpsde_verb vpsde_verb_inpaint = {
    .name = "inpaint",
    .input = "CONFIG",
    .summary = "Fills in what a mask leaves open in each row of the data.",
    .doc = "Reads the sections process, model, data, sampler, inpaint and log. The components that "
           "inpaint.mask names (a file or list of 1 and 0, or {rows: [first, end], columns: "
           "[first, end]} of images) are known and stay as they are; the others are sampled with "
           "them put in at every node, each stretch of inpaint.jump_length steps "
           "inpaint.resamples times (RePaint; 1: once, as Song et al.). For solvers of fixed "
           "steps. Example:\n\n"
           "  vpsde inpaint experiments/mixture.yaml -o filled.h5 --set 'inpaint.mask=[1, 0]' "
           "--set sampler.solver=ancestral --set sampler.steps=100\n\n"
           "Exit code 5: finished, but some samples failed (flagged in `status`).",
    .options = VPSDE_CLI_OUTPUT | VPSDE_CLI_FORCE | VPSDE_CLI_CONFIG | VPSDE_CLI_THREADS |
               VPSDE_CLI_WORKS | VPSDE_CLI_RANKS,
    .run = run,
};
