/* The section `train`, read after the model and the data, which decide what there is to choose. */
#include "experiments/setup.h"
#include "models/train.h"

enum { STEPS_MAX = 1000000000, SAMPLES_MAX = 4096 };

static const vpsde_prediction predictions[] = {VPSDE_PREDICT_EPS, VPSDE_PREDICT_V,
                                               VPSDE_PREDICT_X0};

/* What the network learns, and what its errors count. */
static vpsde_status read_loss(vpsde_train_setup *t, vpsde_config *c)
{
    int prediction;
    VPSDE_TRY(vpsde_config_choice(&prediction, c, "prediction", "eps|v|x0", 0));
    t->prediction = predictions[prediction];
    return vpsde_config_choice(&t->weighting, c, "weighting", "simple|likelihood|min-snr",
                               VPSDE_WEIGHTING_SIMPLE);
}

/* The usual share of Ho & Salimans 2022 (arXiv:2207.12598, section 4). */
static vpsde_status read_dropout(vpsde_setup *s, vpsde_config *c)
{
    if (*s->data.labels_path) {
        return vpsde_config_real(&s->train.class_dropout, c, "class_dropout", 0.1, 0, 1);
    }
    if (!vpsde_config_has(c, "class_dropout")) return VPSDE_OK;
    return vpsde_config_fail(c, "class_dropout",
                             "there are no classes to drop; expected data.labels, or no such key");
}

static vpsde_status read_flip(vpsde_setup *s, vpsde_config *c)
{
    VPSDE_TRY(vpsde_config_bool(&s->train.flip, c, "flip", false));
    if (!s->train.flip || s->model->rank == 3) return VPSDE_OK;
    return vpsde_config_fail(c, "flip",
                             "is for images (channel, row, column); the model's rows are vectors "
                             "of %zu",
                             s->model->dim);
}

static vpsde_status read_sheets(vpsde_setup *s, vpsde_config *c)
{
    vpsde_train_setup *t = &s->train;
    const vpsde_model *m = s->model;
    VPSDE_TRY(vpsde_config_uint(&t->sample_every, c, "sample_every", 0, 0, STEPS_MAX));
    VPSDE_TRY(vpsde_config_uint(&t->samples, c, "samples", 20, 1, SAMPLES_MAX));
    if (t->sample_every == 0 || (m->rank == 3 && (m->shape[0] == 1 || m->shape[0] == 3))) {
        return VPSDE_OK;
    }
    return vpsde_config_fail(c, "sample_every",
                             "is for images of one or three channels; expected 0");
}

vpsde_status vpsde_setup_read_train(vpsde_setup *s)
{
    vpsde_train_setup *t = &s->train;
    vpsde_config *c;
    VPSDE_TRY(vpsde_config_section(&c, s->config, "train"));
    VPSDE_TRY(vpsde_config_uint(&t->steps, c, "steps", UINT64_MAX, 1, STEPS_MAX));
    VPSDE_TRY(vpsde_config_uint(&t->batch, c, "batch", 256, 1, 1 << 20));
    VPSDE_TRY(vpsde_config_real(&t->learning_rate, c, "learning_rate", 1e-3, 1e-12, 10));
    VPSDE_TRY(vpsde_config_uint(&t->warmup, c, "warmup", 100, 0, STEPS_MAX));
    VPSDE_TRY(vpsde_config_choice(&t->decay, c, "decay", "constant|cosine", 0));
    VPSDE_TRY(vpsde_config_real(&t->clip, c, "clip", 1, 0, 1e9));
    VPSDE_TRY(vpsde_config_real(&t->ema, c, "ema", 0.999, 0, 0.9999999));
    VPSDE_TRY(read_loss(t, c));
    VPSDE_TRY(read_dropout(s, c));
    VPSDE_TRY(read_flip(s, c));
    VPSDE_TRY(vpsde_config_uint(&t->checkpoint_every, c, "checkpoint_every", 1000, 1, STEPS_MAX));
    return read_sheets(s, c);
}
