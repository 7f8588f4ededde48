/* Heat, work and entropy along forward and reverse paths: /thermo, /thermo/forward, /thermo/reverse,
 * /thermo/relaxation. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "experiments/thermo.h"
#include "experiments/thermo_record.h"
#include "experiments/thermo_summary.h"

/* What a sampler adds to the model's score and its terminal law, or NULL. */
static const char *addition(const vpsde_clip *clip, double guidance, bool has_init)
{
    return clip->kind != VPSDE_CLIP_NONE ? "sampler.clip or dynamic_threshold"
           : guidance != 0               ? "sampler.guidance"
           : has_init                    ? "sampler.init"
                                         : NULL;
}

/* Paths are of the model alone: what a sampler adds would be another force. */
static vpsde_status check(const vpsde_setup *s)
{
    const vpsde_sampler_setup *sampler = &s->sampler;
    const char *extra = addition(&sampler->clip, sampler->classes.guidance, sampler->init != NULL);
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
static bool same_model(const vpsde_setup *s, const char *config)
{
    const char *theirs, *ours;
    if (*s->model->sha256) return true;
    const size_t n = model_of(&theirs, config), m = model_of(&ours, s->resolved);
    return n == m && n > 0 && memcmp(theirs, ours, n) == 0;
}

/* The force of the recorded paths is to be this model's, at the labels that are asked here. */
static vpsde_status check_force(const vpsde_setup *s, vpsde_config *theirs)
{
    const vpsde_process_spec *process = vpsde_process_get_spec(s->process);
    vpsde_config *sampler, *labels;
    vpsde_clip clip;
    double guidance, scale, offset;
    const char *init;
    VPSDE_TRY(vpsde_config_section(&sampler, theirs, "sampler"));
    VPSDE_TRY(vpsde_config_section(&labels, theirs, "process"));
    VPSDE_TRY(vpsde_setup_read_clip(&clip, sampler));
    VPSDE_TRY(vpsde_config_real(&guidance, sampler, "guidance", 0, -INFINITY, INFINITY));
    VPSDE_TRY(vpsde_config_text(&init, sampler, "init", ""));
    VPSDE_TRY(vpsde_config_real(&scale, labels, "label_scale", process->label_scale, -INFINITY,
                                INFINITY));
    VPSDE_TRY(vpsde_config_real(&offset, labels, "label_offset", process->label_offset, -INFINITY,
                                INFINITY));
    const char *extra = addition(&clip, guidance, *init);
    if (extra) {
        return vpsde_fail(VPSDE_EDATA,
                          "%s: was sampled with %s; paths are to follow the model's own score from "
                          "the terminal law",
                          s->thermo.run, extra);
    }
    if (!*s->model->sha256 || (scale == process->label_scale && offset == process->label_offset)) {
        return VPSDE_OK;
    }
    return vpsde_fail(VPSDE_EDATA,
                      "%s: its network was asked at label %g t %+g, the configuration asks at %g t "
                      "%+g",
                      s->thermo.run, scale, offset, process->label_scale, process->label_offset);
}

static vpsde_status check_recorded(const vpsde_setup *s)
{
    char *verb, *text = NULL;
    vpsde_config *theirs = NULL;
    VPSDE_TRY(vpsde_run_read_text(&verb, s->thermo.run, "/", "verb"));
    const bool sampled = strcmp(verb, "sample") == 0;
    free(verb);
    if (!sampled) {
        return vpsde_fail(VPSDE_EDATA, "%s: is no run file of sample", s->thermo.run);
    }
    vpsde_status status = vpsde_run_read_text(&text, s->thermo.run, "/", "config");
    if (status == VPSDE_OK && !same_model(s, text)) {
        status =
            vpsde_fail(VPSDE_EDATA, "%s: was sampled from another model than the configuration's",
                       s->thermo.run);
    }
    if (status == VPSDE_OK) {
        status = vpsde_config_parse(&theirs, text, strlen(text), s->thermo.run, "/", NULL, 0);
    }
    if (status == VPSDE_OK) status = check_force(s, theirs);
    vpsde_config_close(theirs);
    free(text);
    return status;
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
    VPSDE_TRY(check_recorded(s));
    VPSDE_TRY(
        vpsde_record_open(&p->record, s->thermo.run, s->sampler.entries[0].label, &p->reverse));
    if (!cli->quiet) {
        printf("reverse paths: read from %s, the %zu first of %zu samples by %s, not simulated; "
               "forward paths: simulated\n",
               /* NOLINTNEXTLINE(clang-analyzer-core.NullDereference): the record is open */
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
