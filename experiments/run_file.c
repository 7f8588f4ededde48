#include <vpsde/run.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/config_diff.h"
#include "core/file.h"
#include "core/h5.h"
#include "core/h5_read.h"
#include "core/mem.h"
#include "core/ranks.h"
#include "core/sha256.h"
#include "experiments/run_folder.h"
#include "experiments/run_impl.h"
#include "experiments/run_publish.h"
#include "experiments/run_wide.h"

static vpsde_status allocate(vpsde_run **out, const char *path)
{
    VPSDE_TRY(vpsde_alloc(out, 1, sizeof(**out)));
    vpsde_run_sink_init(*out);
    return vpsde_strdup(&(*out)->path, path);
}

/* Rank 0 makes the folder and holds its lock; the others come when it is there. */
static vpsde_status join(vpsde_run *run, vpsde_status status)
{
    VPSDE_TRY(vpsde_ranks_agree(status, NULL, 0, NULL));
    if (vpsde_rank() > 0) status = vpsde_parts_join(&run->parts, run->path);
    return vpsde_ranks_agree(status, NULL, 0, NULL);
}

static vpsde_status create_parts(vpsde_run *run, bool force)
{
    char *manifest;
    if (vpsde_rank() > 0) return VPSDE_OK;
    VPSDE_TRY(vpsde_manifest_format(&manifest, &run->manifest));
    const vpsde_status status =
        vpsde_parts_create(&run->parts, run->path, run->config, manifest, force);
    free(manifest);
    return status;
}

vpsde_status vpsde_run_create(vpsde_run **out, const char *path, const char *verb,
                              const char *config, uint64_t seed, int force)
{
    vpsde_run *run = NULL;
    *out = NULL;
    vpsde_status status = allocate(&run, path);
    if (status == VPSDE_OK) status = vpsde_strdup(&run->config, config);
    if (status == VPSDE_OK) {
        status = vpsde_manifest_init(&run->manifest, verb, seed, config, force != 0);
    }
    if (status == VPSDE_OK) status = create_parts(run, force != 0);
    status = join(run, status);
    if (status != VPSDE_OK) {
        vpsde_run_destroy(run, 0);
        return status;
    }
    *out = run;
    return VPSDE_OK;
}

static vpsde_status edited(const vpsde_run *run)
{
    char *keys = NULL;
    if (*run->manifest.config) (void)vpsde_config_diff(&keys, run->manifest.config, run->config);
    (void)vpsde_fail(VPSDE_EIO,
                     "%s.parts/config.yaml: is damaged or edited (%s); restore it, or start the "
                     "run again with --force",
                     run->path, keys && *keys ? keys : "its SHA-256 does not fit");
    free(keys);
    return VPSDE_EIO;
}

/* A file of the run's folder. */
static vpsde_status inside(char **path, const vpsde_run *run, const char *name)
{
    return vpsde_format(path, "%s.parts/%s", run->path, name);
}

static vpsde_status parse_manifest(vpsde_run *run)
{
    char *text, *path;
    VPSDE_TRY(vpsde_parts_text(&text, run->parts, VPSDE_RUN_MANIFEST));
    vpsde_status status = inside(&path, run, VPSDE_RUN_MANIFEST);
    if (status == VPSDE_OK) {
        status = vpsde_manifest_parse(&run->manifest, text, path);
        free(path);
    }
    free(text);
    return status;
}

static vpsde_status load_manifest(vpsde_run *run)
{
    char hex[65];
    VPSDE_TRY(parse_manifest(run));
    VPSDE_TRY(vpsde_parts_text(&run->config, run->parts, "config.yaml"));
    vpsde_sha256(hex, run->config, strlen(run->config));
    return strcmp(hex, run->manifest.config_sha256) == 0 ? VPSDE_OK : edited(run);
}

static vpsde_status keep_manifest(const vpsde_run *run)
{
    char *manifest;
    VPSDE_TRY(vpsde_manifest_format(&manifest, &run->manifest));
    const vpsde_status status = vpsde_parts_manifest(run->parts, manifest);
    free(manifest);
    return status;
}

/* What is there of the run's name is replaced in the end: kept first, for a file of this run itself is
 * known no more once it is written again. */
static vpsde_status check_target(vpsde_run *run, bool force)
{
    char *whole;
    bool there;
    VPSDE_TRY(vpsde_file_check_target(&there, run->path));
    if (!there || run->manifest.replaces) return VPSDE_OK;
    VPSDE_TRY(inside(&whole, run, VPSDE_RUN_WHOLE));
    const bool own = vpsde_file_same(whole, run->path);
    free(whole);
    if (!own && !force) {
        return vpsde_fail(
            VPSDE_EEXIST,
            "%s: was made by somebody else after the run in %s.parts had begun; move it "
            "away, or replace it by --force",
            run->path, run->path);
    }
    run->manifest.replaces = true;
    return keep_manifest(run);
}

static vpsde_status take_up(vpsde_run *run, bool force)
{
    if (vpsde_rank() > 0) return VPSDE_OK;
    VPSDE_TRY(vpsde_parts_open(&run->parts, run->path));
    if (!run->parts) return VPSDE_OK;
    VPSDE_TRY(load_manifest(run));
    VPSDE_TRY(check_target(run, force));
    VPSDE_TRY(vpsde_manifest_check_inputs(&run->manifest));
    return vpsde_run_index_create(&run->before, run->parts);
}

/* The other ranks hear from rank 0 what is there. */
static vpsde_status take_up_together(vpsde_run *run)
{
    uint64_t nothing = vpsde_rank() > 0 || run->parts;
    VPSDE_TRY(vpsde_ranks_agree(VPSDE_OK, NULL, 0, &nothing));
    if (nothing == 0 || (vpsde_n_ranks() == 1 && !run->parts)) return VPSDE_OK;
    VPSDE_TRY(join(run, VPSDE_OK));
    const vpsde_status loaded = vpsde_rank() > 0 ? load_manifest(run) : VPSDE_OK;
    VPSDE_TRY(vpsde_ranks_agree(loaded, NULL, 0, NULL));
    VPSDE_TRY(vpsde_run_index_share(&run->before, run->parts));
    run->resumed = true;
    return vpsde_run_claim_before(run);
}

vpsde_status vpsde_run_reopen(vpsde_run **out, const char *path, int force)
{
    vpsde_run *run = NULL;
    *out = NULL;
    vpsde_status status = allocate(&run, path);
    if (status == VPSDE_OK) status = take_up(run, force != 0);
    status = vpsde_ranks_agree(status, NULL, 0, NULL);
    if (status == VPSDE_OK) status = take_up_together(run);
    if (status != VPSDE_OK || !run->parts) {
        vpsde_run_destroy(run, 0);
        return status;
    }
    *out = run;
    return VPSDE_OK;
}

const char *vpsde_run_verb(const vpsde_run *run) { return run->manifest.verb; }
const char *vpsde_run_config(const vpsde_run *run) { return run->config; }
bool vpsde_run_begun(const vpsde_run *run) { return run->n_tables > 0; }
void vpsde_run_stop_on(vpsde_run *run, const volatile int *stop) { run->stop = stop; }
vpsde_sink *vpsde_run_sink(vpsde_run *run) { return &run->sink; }

/* "1.2 TB" */
static void format_bytes(char out[32], double bytes)
{
    static const char *const units[] = {"B", "kB", "MB", "GB", "TB", "PB"};
    size_t u = 0;
    for (; bytes >= 1000 && u < 5; u++) bytes /= 1000;
    snprintf(out, 32, "%.3g %s", bytes, units[u]);
}

bool vpsde_run_places(const vpsde_run *run) { return vpsde_n_ranks() == 1 && !run->resumed; }

/* Which of them are written once is known table by table. */
vpsde_status vpsde_run_expect(const vpsde_run *run, double bytes)
{
    return vpsde_run_fits(run, vpsde_run_places(run) ? bytes : 2 * bytes);
}

vpsde_status vpsde_run_fits(const vpsde_run *run, double bytes)
{
    char needed[32], available[32];
    double sealed, space;
    if (vpsde_rank() > 0) return VPSDE_OK;
    VPSDE_TRY(vpsde_parts_space(&sealed, &space, run->parts));
    const double rest = run->bytes + bytes - sealed;
    if (rest <= space) return VPSDE_OK;
    format_bytes(needed, rest);
    format_bytes(available, space);
    return vpsde_fail(VPSDE_ECONFIG,
                      "%s: needs %s (its parts, and the file made of them), %s are free in its "
                      "folder; store fewer samples or states (sampler.count, log.times)",
                      run->path, needed, available);
}

vpsde_status vpsde_run_model_fact(vpsde_run *run, const vpsde_fact *fact)
{
    return vpsde_run_facts(run, "/model", fact, 1);
}

vpsde_status vpsde_run_provenance(vpsde_run *run, const vpsde_fact *fact)
{
    return vpsde_run_facts(run, "/provenance", fact, 1);
}

vpsde_status vpsde_run_input(vpsde_run *run, const char *name, const char *path, const char *sha256)
{
    bool added;
    VPSDE_TRY(vpsde_manifest_add(&run->manifest, &added, name, path, sha256));
    return added && vpsde_rank() == 0 ? keep_manifest(run) : VPSDE_OK;
}

/* Into `whole`; of a run that nothing has interrupted, into rows.h5, which becomes `whole`. */
static vpsde_status write_index(vpsde_run_index *index, vpsde_wide *wide, const char *whole,
                                const vpsde_run_head *head)
{
    if (unlink(whole) != 0 && errno != ENOENT) { /* of an earlier try: it may be rows.h5 */
        return vpsde_fail(VPSDE_EIO, "%s: cannot be removed: %s", whole, strerror(errno));
    }
    if (wide) {
        VPSDE_TRY(vpsde_run_index_write_rest(index, wide, head));
        if (link(vpsde_wide_path(wide), whole) == 0) return VPSDE_OK;
    }
    return vpsde_run_index_write(index, whole, head); /* also where no file has two names */
}

static vpsde_status write_file(vpsde_run *run, const char *whole, const char *status_text)
{
    vpsde_run_index *index;
    const bool all = strcmp(status_text, "complete") == 0;
    VPSDE_TRY(all ? vpsde_parts_seal(run->parts) : vpsde_parts_leave_wide(run->parts));
    const vpsde_run_head head = {.manifest = &run->manifest,
                                 .status = status_text,
                                 .config = run->config,
                                 .stop = run->stop};
    const bool known = vpsde_n_ranks() > 1 && run->before;
    if (known) {
        index = run->before;
        VPSDE_TRY(vpsde_run_index_extend(index));
    } else {
        VPSDE_TRY(vpsde_run_index_create(&index, run->parts));
    }
    vpsde_status status = vpsde_run_index_check(index, all);
    if (status == VPSDE_OK) status = write_index(index, vpsde_parts_wide(run->parts), whole, &head);
    if (!known) vpsde_run_index_destroy(index);
    return status;
}

/* A file that is not complete is replaced by that which is. */
static vpsde_status publish(vpsde_run *run, const char *whole, bool complete)
{
    VPSDE_TRY(vpsde_publish(whole, run->path, run->manifest.replaces));
    if (complete) {
        vpsde_parts_remove(run->parts);
        return VPSDE_OK;
    }
    if (run->manifest.replaces) return VPSDE_OK;
    run->manifest.replaces = true;
    return keep_manifest(run);
}

vpsde_status vpsde_run_finish(vpsde_run *run, const char *status_text)
{
    char *whole;
    const bool complete = strcmp(status_text, "complete") == 0;
    if (!complete && strcmp(status_text, "interrupted") != 0) {
        return vpsde_fail(VPSDE_EINVAL, "status must be complete or interrupted, got %s",
                          status_text);
    }
    VPSDE_TRY(inside(&whole, run, VPSDE_RUN_WHOLE));
    vpsde_status status = write_file(run, whole, status_text);
    if (status == VPSDE_OK) status = publish(run, whole, complete);
    if (status != VPSDE_OK && !vpsde_file_same(whole, run->path)) (void)unlink(whole);
    free(whole);
    return status;
}

bool vpsde_run_is_kept(const vpsde_run *run)
{
    char *path;
    if (inside(&path, run, VPSDE_RUN_MANIFEST) != VPSDE_OK) return false;
    const bool there = access(path, F_OK) == 0;
    free(path);
    return there;
}

void vpsde_run_destroy(vpsde_run *run, int discard)
{
    char message[1024]; /* why the run ends is known already, and stays the message */
    if (!run) return;
    snprintf(message, sizeof(message), "%s", vpsde_last_error());
    if (run->parts && discard) {
        vpsde_parts_remove(run->parts);
    } else if (run->parts) {
        (void)vpsde_parts_seal(run->parts); /* what cannot be sealed is computed again */
    }
    vpsde_run_index_destroy(run->before);
    vpsde_parts_destroy(run->parts);
    vpsde_run_forget_table(run);
    for (size_t i = 0; i < run->n_names; i++) free(run->names[i]);
    free(run->names);
    vpsde_manifest_free(&run->manifest);
    free(run->path);
    free(run->config);
    free(run);
    (void)vpsde_fail(VPSDE_EIO, "%s", message);
}

vpsde_status vpsde_run_read(double **values, size_t *rank, size_t dims[5], const char *path,
                            const char *dataset)
{
    vpsde_h5_input input;
    double *read = NULL;
    *values = NULL;
    vpsde_status status = vpsde_h5_input_open(&input, path, dataset);
    if (status == VPSDE_OK) status = vpsde_alloc(&read, input.count, sizeof(double));
    if (status == VPSDE_OK) status = vpsde_h5_input_read_double(&input, read);
    if (status == VPSDE_OK) {
        *rank = input.rank;
        memcpy(dims, input.dims, input.rank * sizeof(*dims));
        *values = read;
        read = NULL;
    }
    free(read);
    vpsde_h5_input_close(&input);
    return status;
}

vpsde_status vpsde_run_read_text(char **text, const char *path, const char *group,
                                 const char *attribute)
{
    return vpsde_h5_read_text(text, path, group, attribute);
}
