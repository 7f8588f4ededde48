/* Heat, work and entropy along forward and reverse paths: /thermo, /thermo/forward, /thermo/reverse,
 * /thermo/relaxation. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "experiments/thermo.h"
#include "experiments/thermo_record.h"
#include "experiments/thermo_summary.h"

/* Paths are of the model alone: what a sampler adds would be another force. */
static vpsde_status check(const vpsde_setup *s)
{
    const vpsde_sampler_setup *sampler = &s->sampler;
    const char *extra = sampler->clip.kind != VPSDE_CLIP_NONE ? "sampler.clip or dynamic_threshold"
                        : sampler->classes.guidance != 0      ? "sampler.guidance"
                        : sampler->init                       ? "sampler.init"
                                                              : NULL;
    if (vpsde_solver_is_adaptive(sampler->entries[0].solver)) {
        return vpsde_fail(VPSDE_ECONFIG,
                          "thermo: paths go by the grid of the first solver, and %s chooses its "
                          "own steps; expected a fixed-step solver first",
                          sampler->entries[0].label);
    }
    if (!extra) return VPSDE_OK;
    return vpsde_fail(VPSDE_ECONFIG,
                      "thermo: paths follow the model's own score from the terminal law; "
                      "expected no %s",
                      extra);
}

/* What both kinds of paths stand on. */
typedef struct both {
    vpsde_sampling forward, reverse;
    int32_t *classes; /* (2, count): of forward paths, of reverse ones; NULL: none */
    vpsde_record *record;
} both;

/* Reverse paths have the sampler's classes, forward ones those of their rows, or the same. */
static vpsde_status set_classes(both *p, const vpsde_setup *s)
{
    const vpsde_classes_setup *of = &s->sampler.classes;
    const size_t n = s->thermo.count;
    if (of->n_cycle == 0) return VPSDE_OK;
    VPSDE_TRY(vpsde_alloc(&p->classes, 2 * n, sizeof(*p->classes)));
    for (size_t i = 0; i < n; i++) {
        const int32_t class = of->cycle[i % of->n_cycle];
        p->classes[i] = s->thermo.from_data ? s->data.classes[i % s->data.count] : class;
        p->classes[n + i] = class;
    }
    p->forward.classes = p->classes;
    p->reverse.classes = p->classes + n;
    return VPSDE_OK;
}

/* The lines of the section `model` of a resolved configuration. */
static size_t model_of(const char **lines, const char *config)
{
    const char *end = *lines = strstr(config, "\nmodel:");
    if (end) end = strchr(end + 1, '\n');
    while (end && end[1] == ' ') end = strchr(end + 1, '\n');
    return !*lines ? 0 : end ? (size_t)(end - *lines) : strlen(*lines);
}

/* A model in closed form has no checksum to tell it by, but its whole description is in the run. */
static vpsde_status check_model(const vpsde_setup *s)
{
    char *config;
    const char *theirs, *ours;
    if (*s->model->sha256) return VPSDE_OK;
    VPSDE_TRY(vpsde_run_read_text(&config, s->thermo.run, "/", "config"));
    const size_t n = model_of(&theirs, config), m = model_of(&ours, s->resolved);
    const bool same = n == m && n > 0 && memcmp(theirs, ours, n) == 0;
    free(config);
    if (same) return VPSDE_OK;
    return vpsde_fail(VPSDE_EDATA, "%s: was sampled from another model than the configuration's",
                      s->thermo.run);
}

static vpsde_status prepare(both *p, const vpsde_setup *s, const vpsde_cli *cli)
{
    p->reverse = vpsde_setup_sampling(s, 0, cli);
    p->reverse.first = 0;
    p->reverse.count = s->thermo.count;
    p->reverse.classes = NULL;
    p->forward = p->reverse;
    VPSDE_TRY(set_classes(p, s));
    if (!*s->thermo.run) return VPSDE_OK;
    VPSDE_TRY(check_model(s));
    VPSDE_TRY(
        vpsde_record_open(&p->record, s->thermo.run, s->sampler.entries[0].label, &p->reverse));
    if (!cli->quiet) {
        printf("reverse paths: read from %s, the %zu first of %zu samples by %s, not simulated; "
               "forward paths: simulated\n",
               s->thermo.run, p->reverse.count, p->record->count, p->record->solver);
    }
    return VPSDE_OK;
}

static vpsde_status measure(const both *p, const vpsde_setup *s, const vpsde_cli *cli,
                            vpsde_run *run, vpsde_paths *forward, vpsde_paths *reverse)
{
    const size_t count = s->thermo.count;
    vpsde_paths_spec up = {
        .sampling = &p->forward, .record = p->record, .probes = s->thermo.probes};
    const vpsde_paths_spec down = {
        .sampling = &p->reverse, .reverse = true, .record = p->record, .probes = s->thermo.probes};
    if (s->thermo.from_data) {
        up.source = vpsde_setup_source(s);
        up.first_row = s->data.first;
        up.n_rows = s->data.count;
    }
    vpsde_sink *sink = vpsde_run_sink(run);
    vpsde_thermo_summary summary;
    VPSDE_TRY(vpsde_paths_run(forward, &up, "/thermo/forward", sink));
    VPSDE_TRY(vpsde_paths_run(reverse, &down, "/thermo/reverse", sink));
    VPSDE_TRY(vpsde_thermo_summarise(&summary, forward, reverse, count));
    VPSDE_TRY(vpsde_thermo_write(sink, &summary, &p->reverse, forward, reverse));
    vpsde_progress_done();
    if (!cli->quiet) vpsde_thermo_print(&summary);
    if (summary.n_failed == 0) return VPSDE_OK;
    return vpsde_fail(VPSDE_EPARTIAL, "thermo: %zu of %zu paths became non-finite",
                      summary.n_failed, 2 * count);
}

vpsde_status vpsde_thermo_paths(const vpsde_setup *s, const vpsde_cli *cli, vpsde_run *run)
{
    vpsde_paths forward = {0}, reverse = {0};
    both paths = {.record = NULL};
    vpsde_status status = check(s);
    if (status == VPSDE_OK) status = prepare(&paths, s, cli);
    if (status == VPSDE_OK) status = measure(&paths, s, cli, run, &forward, &reverse);
    vpsde_record_close(paths.record);
    free(paths.classes);
    vpsde_paths_close(&forward);
    vpsde_paths_close(&reverse);
    return status;
}
