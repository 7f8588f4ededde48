/* The sections `process` and `model`. A checkpoint brings the process it was trained for. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "experiments/setup.h"
#include "models/trained.h"

enum { BETAS_RANK_MAX = 1 };

/* What a process section may take from a checkpoint. */
typedef struct reading {
    vpsde_setup *setup;
    vpsde_config *section;
    const vpsde_process_spec *trained; /* NULL without a checkpoint */
    bool override;
    double *betas; /* fresh */
} reading;

static vpsde_status schedule_word(const char **name, const reading *r)
{
    const char *fallback = r->trained ? r->trained->schedule->name : NULL;
    return vpsde_config_text(name, r->section, "schedule", fallback);
}

/* The schedule's parameters, with the trained ones as defaults. */
static vpsde_status read_params(vpsde_process_spec *spec, const reading *r)
{
    vpsde_param table[VPSDE_PARAM_MAX + 1] = {{0}};
    const size_t n = vpsde_param_count(spec->schedule->params);
    for (size_t i = 0; i < n; i++) {
        table[i] = spec->schedule->params[i];
        if (r->trained && r->trained->schedule == spec->schedule) {
            table[i].value = r->trained->param[i];
        }
    }
    return vpsde_config_params(spec->param, r->section, table);
}

/* betas: numbers in the configuration, or a file of them. */
static vpsde_status read_betas(vpsde_process_spec *spec, reading *r)
{
    size_t rank, dims[BETAS_RANK_MAX] = {0};
    if (!spec->schedule->takes_betas) return VPSDE_OK;
    if (!vpsde_config_has(r->section, "betas") && r->trained && r->trained->betas) {
        spec->betas = r->trained->betas;
        spec->n_betas = r->trained->n_betas;
        return VPSDE_OK;
    }
    if (vpsde_config_kind(r->section, "betas") == VPSDE_NODE_SCALAR) {
        const char *path;
        vpsde_data *data = NULL;
        VPSDE_TRY(vpsde_config_path(&path, r->section, "betas", NULL));
        VPSDE_TRY(vpsde_data_open(&data, path));
        spec->n_betas = vpsde_data_rows(data);
        vpsde_status status = vpsde_data_dim(data) == 1
                                  ? VPSDE_OK
                                  : vpsde_fail(VPSDE_EDATA, "%s: betas must be one column", path);
        if (status == VPSDE_OK) status = vpsde_alloc(&r->betas, spec->n_betas, sizeof(double));
        if (status == VPSDE_OK) {
            status = vpsde_data_read(data, r->betas, 0, spec->n_betas, 1, 0);
        }
        if (status == VPSDE_OK) {
            r->setup->betas_path = path;
            memcpy(r->setup->betas_sha256, vpsde_data_sha256(data), sizeof(r->setup->betas_sha256));
        }
        vpsde_data_close(data);
        spec->betas = r->betas;
        return status;
    }
    VPSDE_TRY(vpsde_config_numbers(&r->betas, &rank, dims, BETAS_RANK_MAX, r->section, "betas"));
    if (!r->betas) {
        return vpsde_config_fail(r->section, NULL,
                                 "betas is missing; expected a list of numbers "
                                 "in (0, 1), or a file of them");
    }
    spec->betas = r->betas;
    spec->n_betas = rank == 0 ? 1 : dims[0];
    return VPSDE_OK;
}

/* The first thing in which two processes differ: its name, and both values as text; "" for none. */
typedef struct difference {
    const char *name;
    char here[64], trained[64];
} difference;

static void differ(difference *d, const char *name, double here, double trained)
{
    if (d->name || here == trained) return;
    d->name = name;
    snprintf(d->here, sizeof(d->here), "%.17g", here);
    snprintf(d->trained, sizeof(d->trained), "%.17g", trained);
}

static difference compare(const vpsde_process_spec *a, const vpsde_process_spec *b)
{
    difference d = {0};
    if (a->schedule != b->schedule) {
        d.name = "schedule";
        snprintf(d.here, sizeof(d.here), "%s", a->schedule->name);
        snprintf(d.trained, sizeof(d.trained), "%s", b->schedule->name);
        return d;
    }
    for (size_t i = 0; i < vpsde_param_count(a->schedule->params); i++) {
        differ(&d, a->schedule->params[i].name, a->param[i], b->param[i]);
    }
    differ(&d, "label_scale", a->label_scale, b->label_scale);
    differ(&d, "label_offset", a->label_offset, b->label_offset);
    differ(&d, "number of betas", (double)a->n_betas, (double)b->n_betas);
    for (size_t m = 0; !d.name && m < a->n_betas; m++) {
        differ(&d, "betas", a->betas[m], b->betas[m]);
    }
    return d;
}

static vpsde_status check_trained(const vpsde_process_spec *spec, const reading *r)
{
    if (!r->trained || r->override) return VPSDE_OK;
    const difference d = compare(spec, r->trained);
    if (!d.name) return VPSDE_OK;
    return vpsde_config_fail(r->section, "schedule",
                             "%s is %s here, %s in the process the checkpoint was trained for; "
                             "expected the same, or process.override: true",
                             d.name, d.here, d.trained);
}

/* Sampling may stop early; a likelihood needs the data end (science: truncation). Neither goes below
 * the times that the network was trained for. A default of the verb is no part of the resolved
 * configuration, which may be read by another verb. */
static vpsde_status read_t_min(double *t_min, const vpsde_setup *s, const reading *r)
{
    double trained = 0;
    if (r->trained && !r->override) VPSDE_TRY(vpsde_model_t_min(&trained, s->model));
    const unsigned samplers = VPSDE_USES_SAMPLER | VPSDE_USES_COMPARE | VPSDE_USES_FOKKER_PLANCK;
    const double usual = s->uses & samplers ? 1e-3 : 1e-5, not_given = -1;
    VPSDE_TRY(vpsde_config_real(t_min, r->section, "t_min", not_given, 0, 1));
    if (*t_min == not_given) *t_min = fmax(usual, trained);
    if (!r->trained || r->override) return VPSDE_OK;
    const vpsde_status status = vpsde_model_check_t_min(s->model, *t_min);
    if (status != VPSDE_EINVAL) return status;
    return vpsde_config_fail(r->section, "t_min",
                             "%g lies below %.17g, the smallest time the checkpoint was trained "
                             "for; expected that or more, or process.override: true",
                             *t_min, trained);
}

static vpsde_status read_spec(vpsde_process_spec *spec, vpsde_setup *s, reading *r)
{
    const char *name;
    int terminal;
    VPSDE_TRY(schedule_word(&name, r));
    vpsde_status status = vpsde_process_spec_init(spec, name);
    if (status != VPSDE_OK) return vpsde_config_fail_at(status, r->section, "schedule");
    VPSDE_TRY(read_params(spec, r));
    VPSDE_TRY(read_betas(spec, r));
    if (r->trained) {
        spec->label_scale = r->trained->label_scale;
        spec->label_offset = r->trained->label_offset;
    } else if (spec->n_betas) {
        spec->label_scale = (double)spec->n_betas;
    } else {
        const int steps = vpsde_param_find(spec->schedule->params, "steps");
        if (steps >= 0) spec->label_scale = spec->param[steps];
    }
    VPSDE_TRY(read_t_min(&spec->t_min, s, r));
    VPSDE_TRY(vpsde_config_real(&spec->t_max, r->section, "t_max", 0, 1e-12, 1));
    VPSDE_TRY(vpsde_config_choice(&terminal, r->section, "terminal", "standard-normal|exact", 0));
    spec->terminal = (vpsde_terminal)terminal;
    VPSDE_TRY(vpsde_config_real(&spec->label_scale, r->section, "label_scale", spec->label_scale,
                                -1e9, 1e9));
    VPSDE_TRY(vpsde_config_real(&spec->label_offset, r->section, "label_offset", spec->label_offset,
                                -1e9, 1e9));
    return check_trained(spec, r);
}

static vpsde_status read_process(vpsde_setup *s)
{
    reading r = {.setup = s,
                 .trained = s->model && s->model->process.schedule ? &s->model->process : NULL};
    vpsde_process_spec spec = {0};
    VPSDE_TRY(vpsde_config_section(&r.section, s->config, "process"));
    if (r.trained) {
        VPSDE_TRY(vpsde_config_bool(&r.override, r.section, "override", false));
    }
    vpsde_status status = read_spec(&spec, s, &r);
    if (status == VPSDE_OK) {
        status = vpsde_process_create(&s->process, &spec);
        if (status != VPSDE_OK) {
            status = vpsde_config_fail_at(status, s->config, "process");
        }
    }
    /* what the user overrides no longer binds the library */
    if (r.override) s->model->process.schedule = NULL;
    free(r.betas);
    return status;
}

static vpsde_status check_terminal(const vpsde_setup *s)
{
    const bool exact = vpsde_process_get_spec(s->process)->terminal == VPSDE_TERMINAL_EXACT;
    const unsigned needed = VPSDE_MODEL_LOG_P | VPSDE_MODEL_DRAW;
    vpsde_config *section;
    VPSDE_TRY(vpsde_config_section(&section, s->config, "process"));
    if (!exact || !s->model || (s->model->type->flags & needed) == needed) return VPSDE_OK;
    return vpsde_config_fail(section, "terminal",
                             "exact needs a closed-form model, this is %s; expected "
                             "standard-normal",
                             s->model->type->name);
}

static const char *model_name(size_t i)
{
    return vpsde_model_type_at(i) ? vpsde_model_type_at(i)->name : NULL;
}

/* What the checkpoint's network returns: as its metadata say; where they say nothing, as the
 * configuration says; else eps. One that contradicts its metadata needs process.override. */
static vpsde_status read_prediction(vpsde_setup *s, vpsde_config *section)
{
    vpsde_model *m = s->model;
    vpsde_config *process;
    int word;
    bool override = false;
    VPSDE_TRY(
        vpsde_config_choice(&word, section, "prediction", "eps|x0|v|score", (int)m->prediction));
    const vpsde_prediction prediction = (vpsde_prediction)word;
    if (prediction != m->prediction && m->says_prediction) {
        VPSDE_TRY(vpsde_config_section(&process, s->config, "process"));
        VPSDE_TRY(vpsde_config_bool(&override, process, "override", false));
        if (!override) {
            return vpsde_config_fail(section, "prediction",
                                     "%s here, %s in the checkpoint; expected the same, or "
                                     "process.override: true",
                                     vpsde_prediction_name(prediction),
                                     vpsde_prediction_name(m->prediction));
        }
    }
    m->prediction = prediction;
    return VPSDE_OK;
}

/* `compute: float32 | bf16` of a model that has the choice. */
static vpsde_status read_compute(vpsde_setup *s, vpsde_config *section)
{
    int word;
    vpsde_model *const m = s->model;
    if (!m->type->set_compute) {
        if (!vpsde_config_has(section, "compute")) return VPSDE_OK;
        return vpsde_config_fail(section, "compute", "is for networks of kind unet; %s has none",
                                 m->type->name);
    }
    VPSDE_TRY(vpsde_config_choice(&word, section, "compute", "float32|bf16", 0));
    const vpsde_compute compute = (vpsde_compute)word;
    if (compute != VPSDE_COMPUTE_FLOAT32 && (s->uses & VPSDE_USES_TRAIN)) {
        return vpsde_config_fail(section, "compute",
                                 "%s: training computes in float32; %s is for the network of a "
                                 "checkpoint (path)",
                                 vpsde_compute_name(compute), vpsde_compute_name(compute));
    }
    const vpsde_status status = vpsde_model_set_compute(m, compute);
    return status == VPSDE_OK ? VPSDE_OK : vpsde_config_fail_at(status, section, "compute");
}

static vpsde_status configure(vpsde_setup *s, vpsde_config *section)
{
    const char *kind;
    VPSDE_TRY(vpsde_config_text(&kind, section, "kind", NULL));
    if (vpsde_config_has(section, "prediction")) {
        return vpsde_config_fail(section, "prediction",
                                 "is for the network of a checkpoint (path); %s gives eps", kind);
    }
    const vpsde_model_type *type = vpsde_model_type_find(kind);
    if (!type || !type->configure) {
        return vpsde_setup_unknown(section, "kind", "model", kind, model_name);
    }
    VPSDE_TRY(type->configure(&s->model, section));
    return read_compute(s, section);
}

static vpsde_status read_model(vpsde_setup *s, vpsde_config *section)
{
    if (!vpsde_config_has(section, "path")) {
        VPSDE_TRY(configure(s, section));
        if (!(s->model->type->flags & VPSDE_MODEL_TRAINABLE) || (s->uses & VPSDE_USES_TRAIN)) {
            return VPSDE_OK;
        }
        return vpsde_config_fail(section, "kind",
                                 "%s has no weights yet; expected path: FILE.safetensors (vpsde "
                                 "train makes one)",
                                 s->model->type->name);
    }
    VPSDE_TRY(vpsde_config_path(&s->model_path, section, "path", NULL));
    VPSDE_TRY(vpsde_model_open(&s->model, s->model_path));
    VPSDE_TRY(read_prediction(s, section));
    return read_compute(s, section);
}

vpsde_status vpsde_setup_read_model(vpsde_setup *s)
{
    vpsde_config *process, *model;
    VPSDE_TRY(vpsde_config_section(&process, s->config, "process")); /* printed first */
    VPSDE_TRY(vpsde_config_section(&model, s->config, "model"));
    VPSDE_TRY(read_model(s, model));
    VPSDE_TRY(read_process(s));
    return check_terminal(s);
}
