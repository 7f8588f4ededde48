#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "experiments/with_run.h"
#include "solvers/delivery.h"

/* Latents of one solver in a run file of encode, and the number of the first. */
typedef struct latents {
    double *x;        /* (count, d); NaN in rows that failed */
    int32_t *classes; /* (count) those they were encoded in, where they are rows' own; else NULL */
    size_t first, count;
} latents;

static vpsde_status read_final(latents *l, const vpsde_setup *s, const char *group)
{
    const char *path = s->decode.from;
    size_t rank, dims[5], d = 1;
    char *name;
    VPSDE_TRY(vpsde_format(&name, "%s/final", group));
    vpsde_status status = vpsde_run_read(&l->x, &rank, dims, path, name);
    for (size_t r = 1; status == VPSDE_OK && r < rank; r++) d *= dims[r];
    if (status == VPSDE_OK && d != s->model->dim) {
        status = vpsde_fail(VPSDE_EDATA, "%s:%s: rows have %zu values, the model takes %zu", path,
                            name, d, s->model->dim);
    }
    if (status == VPSDE_OK && dims[0] != l->count) {
        status = vpsde_fail(VPSDE_EDATA, "%s:%s: has %zu rows, its group %zu", path, name, dims[0],
                            l->count);
    }
    free(name);
    return status;
}

static vpsde_status place_classes(latents *l, const vpsde_setup *s, const char *name,
                                  const double *value, size_t n)
{
    const double end = (double)s->model->n_classes;
    if (n != l->count) {
        return vpsde_fail(VPSDE_EDATA, "%s:%s: has %zu rows, its group %zu", s->decode.from, name,
                          n, l->count);
    }
    VPSDE_TRY(vpsde_alloc(&l->classes, n, sizeof(*l->classes)));
    for (size_t i = 0; i < n; i++) {
        if (!(value[i] >= VPSDE_NO_CLASS && value[i] < end)) {
            return vpsde_fail(VPSDE_EDATA, "%s:%s: class %g; the model's classes are 0 to %g",
                              s->decode.from, name, value[i], end - 1);
        }
        l->classes[i] = (int32_t)value[i];
    }
    return VPSDE_OK;
}

static vpsde_status read_classes(latents *l, const vpsde_setup *s, const char *group)
{
    size_t rank, dims[5];
    double *value = NULL;
    char *name;
    if (!s->sampler.classes.of_rows) return VPSDE_OK;
    VPSDE_TRY(vpsde_format(&name, "%s/class", group));
    vpsde_status status = vpsde_run_read(&value, &rank, dims, s->decode.from, name);
    if (status == VPSDE_OK) status = place_classes(l, s, name, value, dims[0]);
    free(value);
    free(name);
    return status;
}

static vpsde_status read_latents(latents *l, const vpsde_setup *s, size_t entry)
{
    char *group;
    VPSDE_TRY(vpsde_setup_latents(&l->first, &l->count, s, entry));
    VPSDE_TRY(vpsde_table_path(&group, "runs", s->sampler.entries[entry].label));
    vpsde_status status = read_final(l, s, group);
    if (status == VPSDE_OK) status = read_classes(l, s, group);
    free(group);
    return status;
}

/* One solver, from its own latents or from sampler.init. */
static vpsde_status decode(vpsde_summary *summary, latents *l, const vpsde_setup *s, size_t entry,
                           const vpsde_cli *cli, vpsde_run *run)
{
    vpsde_sampling sampling = vpsde_setup_decoding(s, entry, s->decode.safety, cli);
    vpsde_sink sink = vpsde_job_sink(summary, run);
    if (*s->decode.from) {
        VPSDE_TRY(read_latents(l, s, entry));
        sampling.init = l->x;
        sampling.first = l->first;
        sampling.count = l->count;
        sampling.classes = l->classes ? l->classes : vpsde_setup_classes(s, l->first);
    }
    return vpsde_sample(&sampling, &sink);
}

static vpsde_status compute(const vpsde_setup *s, const vpsde_cli *cli, vpsde_run *run)
{
    vpsde_status worst = VPSDE_OK;
    for (size_t i = 0; i < s->sampler.n_entries; i++) {
        vpsde_summary summary = {0};
        latents l = {0};
        vpsde_status status = decode(&summary, &l, s, i, cli, run);
        free(l.x);
        free(l.classes);
        status = vpsde_job_tell(&summary, cli, status, i == 0);
        if (status != VPSDE_OK && status != VPSDE_EPARTIAL) return status;
        if (status == VPSDE_EPARTIAL) worst = status;
    }
    return worst;
}

const vpsde_job vpsde_job_decode = {
    .verb = "decode", .uses = VPSDE_USES_SAMPLER | VPSDE_USES_DECODE, .compute = compute};

static bool says(const vpsde_cli *cli, const char *key)
{
    for (size_t i = 0; i < cli->n_overrides; i++) {
        if (strncmp(cli->overrides[i], key, strlen(key)) == 0) return true;
    }
    return false;
}

/* Is the input a run file of encode, whose latents are meant? */
static vpsde_status holds_latents(bool *holds, const vpsde_cli *cli)
{
    *holds = false;
    if (says(cli, "sampler.init=") || says(cli, "decode=") || says(cli, "decode.from=")) {
        return VPSDE_OK;
    }
    return vpsde_input_is_run_of(holds, cli, "encode");
}

static vpsde_status run(const vpsde_cli *cli)
{
    bool holds;
    VPSDE_TRY(holds_latents(&holds, cli));
    if (!holds) return vpsde_job_run(&vpsde_job_decode, cli);
    return vpsde_job_run_with(&vpsde_job_decode, cli, "decode.from");
}

const vpsde_verb vpsde_verb_decode = {
    .name = "decode",
    .input = "CONFIG",
    .summary = "Takes latents back to data.",
    .doc = "Reads the sections process, model, sampler, decode and log. The latents are those of "
           "sampler.init, or, for each solver, its own in a run file of encode: decode.from. Such "
           "a file as the input stands for its configuration and its latents. Example:\n\n"
           "  vpsde encode experiments/mixture.yaml -o latents.h5 --set "
           "'sampler.solver=[{solver: dopri5, rtol: 1e-5, atol: 1e-5}]'\n"
           "  vpsde decode latents.h5 -o decoded.h5\n\n"
           "Exit code 5: finished, but some samples failed (flagged in `status`).",
    .options = VPSDE_CLI_OUTPUT | VPSDE_CLI_FORCE | VPSDE_CLI_CONFIG | VPSDE_CLI_THREADS |
               VPSDE_CLI_WORKS | VPSDE_CLI_RANKS,
    .run = run,
};
