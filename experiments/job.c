#include "experiments/job.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/config_diff.h"
#include "core/file.h"
#include "core/mem.h"
#include "core/ranks.h"
#include "experiments/build_facts.h"
#include "experiments/run_impl.h"

/* One line a job. */
static const vpsde_job *const jobs[] = {
    &vpsde_job_sample,  &vpsde_job_likelihood, &vpsde_job_elbo,          &vpsde_job_compare,
    &vpsde_job_encode,  &vpsde_job_decode,     &vpsde_job_interpolate,   &vpsde_job_edit,
    &vpsde_job_inpaint, &vpsde_job_transport,  &vpsde_job_fokker_planck, &vpsde_job_thermo};
enum { N_JOBS = sizeof(jobs) / sizeof(jobs[0]) };

const vpsde_job *vpsde_job_find(const char *verb)
{
    for (size_t i = 0; i < N_JOBS; i++) {
        if (strcmp(jobs[i]->verb, verb) == 0) return jobs[i];
    }
    return NULL;
}

const char *vpsde_job_names(void)
{
    static char text[256];
    size_t used = 0;
    for (size_t i = 0; i < N_JOBS && used < sizeof(text); i++) {
        used += (size_t)snprintf(text + used, sizeof(text) - used, "%s%s", i ? ", " : "",
                                 jobs[i]->verb);
    }
    return text;
}

vpsde_sink vpsde_job_sink(vpsde_summary *summary, vpsde_run *run)
{
    const vpsde_sink sink = vpsde_summary_sink(summary, vpsde_run_sink(run));
    summary->run = run;
    return sink;
}

bool vpsde_job_is_done(vpsde_status status)
{
    return status == VPSDE_OK || status == VPSDE_EPARTIAL;
}

vpsde_status vpsde_job_tell(const vpsde_summary *summary, const vpsde_cli *cli, vpsde_status status,
                            bool heading)
{
    status = vpsde_summary_status(summary, status);
    vpsde_progress_done();
    if (vpsde_job_is_done(status) && !cli->quiet) vpsde_summary_print(summary, heading);
    return status;
}

void vpsde_job_reads(const vpsde_cli *cli)
{
    char hint[PATH_MAX + 64];
    snprintf(hint, sizeof(hint), "'vpsde resume %s' goes on", cli->output);
    vpsde_progress_reading(cli->reading_hint ? cli->reading_hint : hint);
}

/* Failed samples do not keep a run from being complete. */
static vpsde_status complete(vpsde_run *run, vpsde_status status)
{
    char message[1024];
    snprintf(message, sizeof(message), "%s", vpsde_last_error());
    VPSDE_TRY(vpsde_run_finish(run, "complete"));
    return status == VPSDE_OK ? status : vpsde_fail(status, "%s", message);
}

static vpsde_status work(const vpsde_job *job, const vpsde_cli *cli, vpsde_setup *s, vpsde_run *run)
{
    vpsde_run_stop_on(run, cli->control.stop);
    vpsde_job_reads(cli);
    const vpsde_status built = vpsde_setup_build(s);
    vpsde_progress_read();
    VPSDE_TRY(built);
    VPSDE_TRY(vpsde_setup_describe(s, run));
    return job->compute(s, cli, run);
}

/* All ranks compute; rank 0 makes the file of it. */
static vpsde_status finish(vpsde_run *run, vpsde_status status)
{
    vpsde_progress_done();
    status = vpsde_run_meet(run, status, NULL, 0, NULL);
    return vpsde_job_is_done(status) && vpsde_rank() == 0 ? complete(run, status) : status;
}

/* Says what is kept, and keeps it: everything once a table was announced, and the start of a run
 * that was stopped. */
static vpsde_status put_down(const vpsde_cli *cli, vpsde_run *run, vpsde_status status)
{
    const bool done = vpsde_job_is_done(status);
    const bool keep = vpsde_run_begun(run) || status == VPSDE_ESTOPPED;
    if (!done && status == VPSDE_ESTOPPED) {
        (void)vpsde_fail(status, "stopped by signal; 'vpsde resume %s' goes on", cli->output);
    } else if (!done && keep && vpsde_run_is_kept(run)) {
        char message[1024];
        snprintf(message, sizeof(message), "%s", vpsde_last_error());
        (void)vpsde_fail(status, "%s; what was computed is kept: 'vpsde resume %s' goes on",
                         message, cli->output);
    }
    vpsde_run_destroy(run, !done && !keep);
    return status;
}

/* The unfinished run that is in the way may be another one: its keys tell. */
static vpsde_status in_the_way(const vpsde_setup *s, const char *output)
{
    char *path, *before = NULL, *keys = NULL;
    unsigned char *bytes = NULL;
    char message[1024];
    size_t size;
    snprintf(message, sizeof(message), "%s", vpsde_last_error());
    VPSDE_TRY(vpsde_format(&path, "%s.parts/config.yaml", output));
    if (vpsde_file_load(&bytes, &size, path) == VPSDE_OK &&
        vpsde_format(&before, "%.*s", (int)size, (const char *)bytes) == VPSDE_OK) {
        (void)vpsde_config_diff(&keys, before, s->resolved);
    }
    (void)vpsde_fail(VPSDE_EEXIST,
                     keys && *keys ? "%s; its configuration is another one: %s" : "%s", message,
                     keys);
    free(keys);
    free(before);
    free(bytes);
    free(path);
    return VPSDE_EEXIST;
}

vpsde_status vpsde_job_run(const vpsde_job *job, const vpsde_cli *cli)
{
    vpsde_setup s = {0};
    vpsde_run *run = NULL;
    vpsde_progress_reading(cli->reading_hint ? cli->reading_hint : "nothing was begun");
    vpsde_status status = vpsde_setup_read(&s, cli, job->uses);
    if (status == VPSDE_OK) status = vpsde_setup_spares_inputs(&s, cli, cli->output);
    if (status == VPSDE_OK) {
        status = vpsde_run_create(&run, cli->output, job->verb, s.resolved, s.seed, cli->force);
        if (status == VPSDE_EEXIST) status = in_the_way(&s, cli->output);
    }
    if (status == VPSDE_OK) status = put_down(cli, run, finish(run, work(job, cli, &s, run)));
    vpsde_setup_close(&s);
    return status;
}

/* The configuration is resolved, so it says the same to this program or it is another one. */
static vpsde_status same_configuration(const vpsde_setup *s, const vpsde_cli *cli,
                                       const vpsde_run *run)
{
    char *keys;
    if (strcmp(s->resolved, vpsde_run_config(run)) == 0) return VPSDE_OK;
    VPSDE_TRY(vpsde_config_diff(&keys, vpsde_run_config(run), s->resolved));
    (void)vpsde_fail(
        VPSDE_EDATA,
        "%s: this version of vpsde reads its configuration in another way (%s); resume "
        "with the version that began it",
        cli->output, keys);
    free(keys);
    return VPSDE_EDATA;
}

vpsde_status vpsde_job_resume(const vpsde_job *job, const vpsde_cli *cli, vpsde_run *run)
{
    vpsde_setup s = {0};
    vpsde_status status = vpsde_setup_read(&s, cli, job->uses);
    if (status == VPSDE_OK) status = same_configuration(&s, cli, run);
    if (status == VPSDE_OK) status = vpsde_build_check(run, cli->output, cli->force);
    if (status == VPSDE_OK) {
        status = put_down(cli, run, finish(run, work(job, cli, &s, run)));
    } else {
        vpsde_run_destroy(run, 0);
    }
    vpsde_setup_close(&s);
    return status;
}
