#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/file.h"
#include "core/mem.h"
#include "core/ranks.h"
#include "experiments/job.h"

/* Who wants a training to go on may name its network or its curve here. */
static vpsde_status refuse_training(const char *path)
{
    static const char *const endings[] = {".state.safetensors", ".safetensors", ".h5"};
    size_t stem = strlen(path);
    for (size_t i = 0; i < sizeof(endings) / sizeof(endings[0]); i++) {
        if (stem == strlen(path) && vpsde_ends_in(path, endings[i])) stem -= strlen(endings[i]);
    }
    return vpsde_fail(
        VPSDE_EDATA,
        "%s: is of a training; 'vpsde train CONFIG -o %.*s.safetensors --resume' goes on "
        "with one that was stopped",
        path, (int)stem, path);
}

/* A file that is not complete, and has no parts. */
static vpsde_status refuse_rest(const char *path)
{
    char *verb;
    VPSDE_TRY(vpsde_run_read_text(&verb, path, "/", "verb"));
    const bool trained = strcmp(verb, "train") == 0;
    free(verb);
    if (trained) return refuse_training(path);
    return vpsde_fail(VPSDE_EDATA,
                      "%s: there is nothing to resume: the file is not complete, but its parts are "
                      "gone",
                      path);
}

/* Nothing is unfinished: that is fine beside a complete file. */
static vpsde_status look_at_file(const vpsde_cli *cli)
{
    char *status_text;
    bool there;
    if (vpsde_ends_in(cli->input, ".safetensors")) return refuse_training(cli->input);
    VPSDE_TRY(vpsde_file_is_there(&there, cli->input));
    if (!there) {
        return vpsde_fail(VPSDE_EDATA,
                          "%s: there is nothing to resume: neither the file nor %s.parts holds a "
                          "run",
                          cli->input, cli->input);
    }
    VPSDE_TRY(vpsde_run_read_text(&status_text, cli->input, "/", "status"));
    const bool complete = strcmp(status_text, "complete") == 0;
    free(status_text);
    if (!complete) return refuse_rest(cli->input);
    if (!cli->quiet) printf("%s: is complete; there is nothing to resume\n", cli->input);
    return VPSDE_OK;
}

static vpsde_status go_on(const vpsde_cli *cli, vpsde_run *run)
{
    char *config;
    const vpsde_job *job = vpsde_job_find(vpsde_run_verb(run));
    vpsde_status status = VPSDE_OK;
    if (!job) {
        status = vpsde_fail(VPSDE_EDATA, "%s: is a run of '%s'; resume takes %s", cli->input,
                            vpsde_run_verb(run), vpsde_job_names());
    }
    if (job && vpsde_n_ranks() > 1 && !(vpsde_verb_find(job->verb)->options & VPSDE_CLI_RANKS)) {
        status = vpsde_fail(VPSDE_EUSAGE,
                            "%s: is a run of '%s', which cannot be shared among processes; resume "
                            "it with one",
                            cli->input, job->verb);
    }
    if (status == VPSDE_OK) status = vpsde_format(&config, "%s.parts/config.yaml", cli->input);
    if (status != VPSDE_OK) {
        vpsde_run_destroy(run, 0);
        return status;
    }
    vpsde_cli with = *cli;
    with.output = cli->input;
    with.input = config;
    status = vpsde_job_resume(job, &with, run);
    free(config);
    return status;
}

static vpsde_status run(const vpsde_cli *cli)
{
    vpsde_run *unfinished;
    vpsde_cli with = *cli;
    with.output = cli->input;
    vpsde_job_reads(&with);
    VPSDE_TRY(vpsde_run_reopen(&unfinished, cli->input, cli->force));
    return unfinished ? go_on(cli, unfinished) : look_at_file(cli);
}

const vpsde_verb vpsde_verb_resume = {
    .name = "resume",
    .input = "RUN.h5",
    .summary = "Finishes a run that was stopped or killed.",
    .doc =
        "Takes configuration and finished samples from RUN.h5.parts, computes what is missing "
        "and ends with the same bits as an uninterrupted run, whatever --threads says. The "
        "inputs must be the files the run began with, and vpsde the build: --force takes another "
        "one "
        "(the bits may be those of neither; the file says so) and replaces a RUN.h5 that somebody "
        "else made meanwhile. Example:\n\n"
        "  vpsde sample experiments/mixture.yaml -o run.h5     (Ctrl-C)\n"
        "  vpsde resume run.h5\n\n"
        "Exit code 4: there is nothing to resume, or an input has changed; 5: finished, but "
        "some samples failed.",
    .options = VPSDE_CLI_FORCE | VPSDE_CLI_THREADS | VPSDE_CLI_WORKS | VPSDE_CLI_RANKS,
    .run = run,
};
