#include "experiments/setup.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/file.h"
#include "core/mem.h"
#include "experiments/build_facts.h"

static bool is_run_file(const char *path)
{
    const char *suffix = strrchr(path, '.');
    return suffix && strcmp(suffix, ".h5") == 0;
}

/* A run file stands where a configuration is expected: its own is inside. */
static vpsde_status open_embedded(vpsde_setup *s, const vpsde_cli *cli)
{
    char *text = NULL;
    VPSDE_TRY(vpsde_run_read_text(&text, cli->input, "/", "config"));
    const vpsde_status status = vpsde_config_parse(&s->config, text, strlen(text), cli->input, "/",
                                                   cli->overrides, cli->n_overrides);
    free(text);
    return status;
}

/* A section is read when this verb uses it, and checked when it is merely there. */
static bool wanted(const vpsde_setup *s, unsigned use, const char *key)
{
    return (s->uses & use) || vpsde_config_has(s->config, key);
}

static vpsde_status read_sections(vpsde_setup *s)
{
    VPSDE_TRY(vpsde_config_uint(&s->seed, s->config, "seed", 0, 0, UINT64_MAX));
    VPSDE_TRY(vpsde_setup_read_model(s));
    if (wanted(s, VPSDE_USES_DATA, "data")) VPSDE_TRY(vpsde_setup_read_data(s));
    if (wanted(s, VPSDE_USES_TRAIN, "train")) VPSDE_TRY(vpsde_setup_read_train(s));
    const bool compares = wanted(s, VPSDE_USES_COMPARE, "compare");
    if (wanted(s, VPSDE_USES_SAMPLER, "sampler") || vpsde_config_has(s->config, "log") ||
        compares) {
        VPSDE_TRY(vpsde_setup_read_sampler(s));
    }
    if (compares) VPSDE_TRY(vpsde_setup_read_compare(s));
    if (wanted(s, VPSDE_USES_LIKELIHOOD, "likelihood")) VPSDE_TRY(vpsde_setup_read_likelihood(s));
    if (wanted(s, VPSDE_USES_ELBO, "elbo")) VPSDE_TRY(vpsde_setup_read_elbo(s));
    if (wanted(s, VPSDE_USES_THERMO, "thermo")) VPSDE_TRY(vpsde_setup_read_thermo(s));
    if (wanted(s, VPSDE_USES_TRANSPORT, "transport")) VPSDE_TRY(vpsde_setup_read_transport(s));
    if (wanted(s, VPSDE_USES_FOKKER_PLANCK, "fokker-planck")) {
        VPSDE_TRY(vpsde_setup_read_fokker_planck(s));
    }
    VPSDE_TRY(vpsde_setup_read_tasks(s));
    if (wanted(s, VPSDE_USES_EDIT, "edit")) VPSDE_TRY(vpsde_setup_read_edit(s));
    if (wanted(s, VPSDE_USES_INPAINT, "inpaint")) VPSDE_TRY(vpsde_setup_read_inpaint(s));
    VPSDE_TRY(vpsde_config_check(s->config));
    return vpsde_config_resolved(&s->resolved, s->config);
}

static vpsde_status open_config(vpsde_setup *s, const vpsde_cli *cli)
{
    if (is_run_file(cli->input)) return open_embedded(s, cli);
    return vpsde_config_open(&s->config, cli->input, cli->overrides, cli->n_overrides);
}

enum { DERIVED_MAX = 2, COLOURS_MAX = 4 };

/* "model.shape=[1, 14, 14]" for rows that are images (row, column) or (channel, row, column). Pictures
 * with the colour last would become many channels of a few columns. */
static vpsde_status shape_override(char **override, const vpsde_data *data)
{
    const size_t rank = vpsde_data_rank(data), *const shape = vpsde_data_shape(data);
    if (rank != 2 && rank != 3) return VPSDE_OK;
    if (rank == 3 && shape[2] < shape[0] && shape[2] <= COLOURS_MAX) {
        return vpsde_fail(
            VPSDE_EDATA,
            "%s: rows of the shape (%zu, %zu, %zu) would be %zu channels of %zu x %zu "
            "pixels; expected (channel, row, column), or model.shape if this is meant",
            vpsde_data_path(data), shape[0], shape[1], shape[2], shape[0], shape[1], shape[2]);
    }
    return vpsde_format(override, "model.shape=[%zu, %zu, %zu]", rank == 3 ? shape[0] : 1,
                        shape[rank - 2], shape[rank - 1]);
}

enum { KINDS = 128 };

/* "mlp or unet": the kinds of models/registry.def that have something to train. */
static const char *trainable_kinds(char kinds[KINDS])
{
    const vpsde_model_type *type, *last = NULL;
    size_t used = 0;
    kinds[0] = '\0';
    for (size_t i = 0; (type = vpsde_model_type_at(i)) != NULL; i++) {
        if (!(type->flags & VPSDE_MODEL_TRAINABLE)) continue;
        if (last) used += (size_t)snprintf(kinds + used, KINDS - used, "%s, ", last->name);
        if (used >= KINDS) return kinds;
        last = type;
    }
    if (used > 0) used -= strlen(", ");
    if (last) (void)snprintf(kinds + used, KINDS - used, "%s%s", used ? " or " : "", last->name);
    return kinds;
}

static vpsde_status check_trainable(vpsde_config *model)
{
    const char *kind;
    char kinds[KINDS];
    if (vpsde_config_has(model, "path")) {
        return vpsde_config_fail(model, "path",
                                 "train makes a new network; expected kind: %s instead of a path",
                                 trainable_kinds(kinds));
    }
    VPSDE_TRY(vpsde_config_text(&kind, model, "kind", NULL));
    const vpsde_model_type *type = vpsde_model_type_find(kind);
    if (!type || (type->flags & VPSDE_MODEL_TRAINABLE)) return VPSDE_OK; /* unknown: said later */
    return vpsde_config_fail(model, "kind", "%s has nothing to train; expected %s", kind,
                             trainable_kinds(kinds));
}

/* A network to be trained has the dimension and shape of its data unless the configuration says
 * another: "model.dim=196" and, of images, their shape; NULL where it is said. */
static vpsde_status dimension_of_data(char *override[DERIVED_MAX], vpsde_data **data,
                                      const vpsde_cli *cli)
{
    vpsde_setup s = {0};
    vpsde_config *model;
    vpsde_status status = open_config(&s, cli);
    if (status == VPSDE_OK) status = vpsde_config_section(&model, s.config, "model");
    if (status == VPSDE_OK) status = check_trainable(model);
    if (status == VPSDE_OK && !vpsde_config_has(model, "dim")) {
        status = vpsde_setup_read_data(&s);
        if (status == VPSDE_OK) status = vpsde_setup_build_data(&s);
        if (status == VPSDE_OK) {
            status = vpsde_format(&override[0], "model.dim=%zu", vpsde_data_dim(s.data.data));
        }
        if (status == VPSDE_OK && !vpsde_config_has(model, "shape")) {
            status = shape_override(&override[1], s.data.data);
        }
    }
    *data = s.data.data; /* stays open for the training itself */
    s.data.data = NULL;
    vpsde_setup_close(&s);
    return status;
}

static vpsde_status open_for_training(vpsde_setup *s, const vpsde_cli *cli)
{
    char *derived[DERIVED_MAX] = {NULL}, **overrides = NULL;
    vpsde_cli with = *cli;
    vpsde_status status = dimension_of_data(derived, &s->data.data, cli);
    if (status == VPSDE_OK) {
        status = vpsde_alloc(&overrides, cli->n_overrides + DERIVED_MAX, sizeof(*overrides));
    }
    for (size_t i = 0; status == VPSDE_OK && i < cli->n_overrides; i++) {
        overrides[i] = cli->overrides[i];
    }
    for (size_t i = 0; i < DERIVED_MAX; i++) {
        if (status == VPSDE_OK && derived[i]) overrides[with.n_overrides++] = derived[i];
    }
    with.overrides = overrides;
    if (status == VPSDE_OK) status = open_config(s, &with);
    for (size_t i = 0; i < DERIVED_MAX; i++) free(derived[i]);
    free(overrides);
    return status;
}

vpsde_status vpsde_setup_present(unsigned *uses, const vpsde_cli *cli)
{
    static const struct {
        unsigned use;
        const char *key;
    } sections[] = {{VPSDE_USES_DATA, "data"},
                    {VPSDE_USES_SAMPLER, "sampler"},
                    {VPSDE_USES_LIKELIHOOD, "likelihood"},
                    {VPSDE_USES_TRAIN, "train"},
                    {VPSDE_USES_ELBO, "elbo"},
                    {VPSDE_USES_ENCODE, "encode"},
                    {VPSDE_USES_DECODE, "decode"},
                    {VPSDE_USES_INTERPOLATE, "interpolate"},
                    {VPSDE_USES_EDIT, "edit"},
                    {VPSDE_USES_INPAINT, "inpaint"},
                    {VPSDE_USES_THERMO, "thermo"},
                    {VPSDE_USES_TRANSPORT, "transport"},
                    {VPSDE_USES_FOKKER_PLANCK, "fokker-planck"},
                    {VPSDE_USES_COMPARE, "compare"}};
    vpsde_setup s = {0};
    vpsde_status status = open_config(&s, cli);
    for (size_t i = 0; status == VPSDE_OK && i < sizeof(sections) / sizeof(sections[0]); i++) {
        if (!vpsde_config_has(s.config, sections[i].key)) *uses &= ~sections[i].use;
    }
    if (status == VPSDE_OK && (*uses & VPSDE_USES_ROWS)) { /* sampler.count is for `sample` */
        vpsde_config *sampler;
        status = vpsde_config_section(&sampler, s.config, "sampler");
        if (status == VPSDE_OK && vpsde_config_has(sampler, "count")) {
            *uses &= ~(unsigned)VPSDE_USES_ROWS;
        }
    }
    if (status == VPSDE_OK && (*uses & VPSDE_USES_COMPARE)) { /* it may be all that samples */
        vpsde_config *sampler;
        status = vpsde_config_section(&sampler, s.config, "sampler");
        if (status == VPSDE_OK && !vpsde_config_has(sampler, "solver")) {
            *uses &= ~(unsigned)VPSDE_USES_SAMPLER;
        }
    }
    vpsde_setup_close(&s);
    return status;
}

vpsde_status vpsde_setup_read(vpsde_setup *s, const vpsde_cli *cli, unsigned uses)
{
    s->uses = uses;
    s->threads = cli->threads;
    s->stop = cli->control.stop;
    s->data.labels_path = "";
    s->model_path = s->data.path = s->sampler.init_path = s->betas_path = s->decode.from = "";
    s->likelihood.control_path = "";
    s->inpaint.path = s->thermo.run = "";
    VPSDE_TRY(uses & VPSDE_USES_TRAIN ? open_for_training(s, cli) : open_config(s, cli));
    return read_sections(s);
}

vpsde_status vpsde_setup_build(vpsde_setup *s)
{
    if (s->uses & VPSDE_USES_DATA) VPSDE_TRY(vpsde_setup_build_data(s));
    if (s->uses & VPSDE_USES_LIKELIHOOD) VPSDE_TRY(vpsde_setup_build_control(s));
    if (s->uses & VPSDE_USES_ROWS) s->sampler.count = s->data.count;
    if (s->uses & VPSDE_USES_INPAINT) VPSDE_TRY(vpsde_setup_build_inpaint(s));
    if (s->uses & VPSDE_USES_EDIT) {
        VPSDE_TRY(vpsde_setup_build_edit(s));
    } else if (s->uses & VPSDE_USES_SAMPLER) {
        VPSDE_TRY(vpsde_setup_build_sampler(s));
    }
    if (s->uses & VPSDE_USES_COMPARE) VPSDE_TRY(vpsde_setup_build_compare(s));
    if (s->uses & VPSDE_USES_ELBO) VPSDE_TRY(vpsde_setup_build_elbo(s));
    if (s->uses & VPSDE_USES_TRANSPORT) VPSDE_TRY(vpsde_setup_build_transport(s));
    if (s->uses & VPSDE_USES_THERMO) VPSDE_TRY(vpsde_setup_build_thermo(s));
    if (s->uses & VPSDE_USES_LATENTS) VPSDE_TRY(vpsde_setup_build_tasks(s));
    return VPSDE_OK;
}

vpsde_status vpsde_setup_open(vpsde_setup *s, const vpsde_cli *cli, unsigned uses)
{
    VPSDE_TRY(vpsde_setup_read(s, cli, uses));
    return vpsde_setup_build(s);
}

void vpsde_setup_close(vpsde_setup *s)
{
    vpsde_setup_close_tasks(s);
    vpsde_setup_close_classes(s);
    free(s->inpaint.known);
    for (size_t i = 0; i < s->sampler.n_entries; i++) {
        vpsde_sampler_entry *e = &s->sampler.entries[i];
        vpsde_grid_destroy(e->grid);
        free(e->times);
        free(e->label);
    }
    free(s->sampler.entries);
    free(s->sampler.init);
    free(s->sampler.log_times);
    free(s->likelihood.label);
    free(s->likelihood.covariance);
    free(s->elbo.label);
    free(s->fokker_planck.times);
    vpsde_setup_close_transport(&s->transport);
    vpsde_grid_destroy(s->elbo.grid);
    vpsde_setup_close_compare(&s->compare);
    vpsde_calibrations_close(&s->calibrations);
    vpsde_data_close(s->data.data);
    free(s->data.classes);
    vpsde_model_destroy(s->model);
    vpsde_process_destroy(s->process);
    free(s->resolved);
    vpsde_config_close(s->config);
}

/* Is `path`, perhaps with ":/dataset" behind it, this file? */
static bool is_file(const char *path, const char *file)
{
    char plain[PATH_MAX];
    const char *dataset = strstr(path, ":/");
    const size_t length = dataset ? (size_t)(dataset - path) : strlen(path);
    if (length == 0 || length >= sizeof(plain)) return false;
    memcpy(plain, path, length);
    plain[length] = '\0';
    return vpsde_file_same(plain, file);
}

vpsde_status vpsde_setup_spares_inputs(const vpsde_setup *s, const vpsde_cli *cli,
                                       const char *output)
{
    const char *const inputs[] = {
        cli->input,           s->model_path, s->data.path,   s->data.labels_path,
        s->sampler.init_path, s->betas_path, s->decode.from, s->likelihood.control_path,
        s->inpaint.path,      s->thermo.run};
    bool there;
    VPSDE_TRY(vpsde_file_is_there(&there, output));
    if (!there) return VPSDE_OK;
    for (size_t i = 0; i < sizeof(inputs) / sizeof(inputs[0]); i++) {
        if (is_file(inputs[i], output)) {
            return vpsde_fail(VPSDE_EEXIST, "%s: is an input of this run; choose another output",
                              output);
        }
    }
    return VPSDE_OK;
}

static vpsde_status model_facts(const vpsde_setup *s, vpsde_run *run)
{
    const vpsde_model *m = s->model;
    const bool closed = (m->type->flags & VPSDE_MODEL_ANALYTIC) != 0;
    const char *const compute = closed ? "float64" : vpsde_compute_name(m->compute);
    const vpsde_fact facts[] = {
        {.name = "kind", .text = m->type->name},
        {.name = "dim", .number = (double)m->dim, .whole = true},
        {.name = "parameters", .number = (double)m->n_parameters, .whole = true},
        {.name = "prediction", .text = vpsde_prediction_name(m->prediction)},
        {.name = "compute", .text = compute},
        {.name = "weights_sha256", .text = m->sha256},
    };
    for (size_t i = 0; i < sizeof(facts) / sizeof(facts[0]); i++) {
        VPSDE_TRY(vpsde_run_model_fact(run, &facts[i]));
    }
    return VPSDE_OK;
}

vpsde_status vpsde_setup_describe(const vpsde_setup *s, vpsde_run *run)
{
    VPSDE_TRY(model_facts(s, run));
    VPSDE_TRY(vpsde_build_facts(run, s->threads));
    if (*s->betas_path) {
        VPSDE_TRY(vpsde_run_input(run, "betas", s->betas_path, s->betas_sha256));
    }
    if (*s->model_path) VPSDE_TRY(vpsde_run_input(run, "model", s->model_path, s->model->sha256));
    if (s->data.data) {
        VPSDE_TRY(vpsde_run_input(run, "data", s->data.path, vpsde_data_sha256(s->data.data)));
    }
    if (s->data.classes) {
        VPSDE_TRY(vpsde_run_input(run, "labels", s->data.labels_path, s->data.labels_sha256));
    }
    if (s->likelihood.covariance) {
        VPSDE_TRY(vpsde_run_input(run, "control", s->likelihood.control_path,
                                  s->likelihood.control_sha256));
    }
    if (s->sampler.init) {
        VPSDE_TRY(vpsde_run_input(run, "init", s->sampler.init_path, s->sampler.init_sha256));
    }
    if (*s->inpaint.sha256) {
        VPSDE_TRY(vpsde_run_input(run, "mask", s->inpaint.path, s->inpaint.sha256));
    }
    if (*s->decode.sha256) {
        VPSDE_TRY(vpsde_run_input(run, "latents", s->decode.from, s->decode.sha256));
    }
    if (*s->thermo.sha256) {
        VPSDE_TRY(vpsde_run_input(run, "recorded", s->thermo.run, s->thermo.sha256));
    }
    return VPSDE_OK;
}
