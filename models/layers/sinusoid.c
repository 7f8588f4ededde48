/* Times as sines and cosines: diffusers' get_timestep_embedding and GaussianFourierProjection. Angles
 * are in double, whole turns taken off before they become float. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "models/layers/embedding.h"
#include "models/layers/pointwise.h"

typedef struct sinusoid {
    size_t half;
    bool cosine_first, of_classes, of_log;
    double *turns; /* (half) a unit of the label, sinusoids only */
} sinusoid;

/* cosines and sines of one image */
static void features(const sinusoid *own, const double *turns, double label, size_t channels,
                     float *out)
{
    vpsde_time_features(own->half, 1, out, turns, &label);
    for (size_t j = 0; j < own->half && !own->cosine_first; j++) {
        const float cosine = out[j];
        out[j] = out[own->half + j];
        out[own->half + j] = cosine;
    }
    if (2 * own->half < channels) out[channels - 1] = 0;
}

static vpsde_status label_of(double *label, const vpsde_layer *layer, const vpsde_layer_call *call,
                             size_t i)
{
    const sinusoid *const own = layer->own;
    if (own->of_classes) {
        if (!call->classes || call->classes[i] < 0) {
            return vpsde_fail(VPSDE_EINVAL,
                              "the network takes its class as a number: image %zu has class %d", i,
                              call->classes ? (int)call->classes[i] : -1);
        }
        *label = call->classes[i];
        return VPSDE_OK;
    }
    *label = call->label[call->shared ? 0 : i];
    if (own->of_log && !(*label > 0)) {
        return vpsde_fail(VPSDE_EINVAL, "%s: the logarithm needs a time above 0, got %g",
                          layer->parameter[0].name, *label);
    }
    if (own->of_log) *label = log(*label);
    return VPSDE_OK;
}

static vpsde_status forward(const vpsde_layer *layer, void *ws, const vpsde_layer_call *call)
{
    const sinusoid *const own = layer->own;
    const size_t channels = layer->out.channels;
    (void)ws;
    for (size_t i = 0; i < call->n; i++) {
        float *const out = call->out + i * channels;
        if (i > 0 && call->shared && !own->of_classes) {
            memcpy(out, call->out, channels * sizeof(*out));
            continue;
        }
        double label = 0;
        VPSDE_TRY(label_of(&label, layer, call, i));
        features(own, own->turns, label, channels, out);
    }
    return VPSDE_OK;
}

static vpsde_status jvp(const vpsde_layer *layer, void *ws, const vpsde_layer_call *call)
{
    (void)ws;
    const size_t count = call->n * call->k * layer->out.channels;
    if (call->dout) memset(call->dout, 0, count * sizeof(*call->dout));
    return VPSDE_OK;
}

/* No input, and diffusers trains no Fourier weights. */
static vpsde_status backward(const vpsde_layer *layer, void *ws, const vpsde_layer_call *call)
{
    (void)layer;
    (void)ws;
    (void)call;
    return VPSDE_OK;
}

/* Fourier weights count whole turns as they are. */
static vpsde_status pack(vpsde_layer *layer, const float *parameters, bool for_backward)
{
    const sinusoid *const own = layer->own;
    (void)for_backward;
    if (!own->of_log) return VPSDE_OK;
    const float *const w = vpsde_layer_at(layer, parameters, 0);
    for (size_t j = 0; j < own->half; j++) own->turns[j] = (double)w[j];
    return VPSDE_OK;
}

static void destroy(vpsde_layer *layer)
{
    sinusoid *const own = layer->own;
    if (own) free(own->turns);
    free(own);
}

static const vpsde_layer_type type = {
    .name = "sinusoid",
    .destroy = destroy,
    .pack = pack,
    .forward = forward,
    .jvp = jvp,
    .backward = backward,
};

/* On failure, too, the layer can be destroyed. */
static vpsde_status own_create(vpsde_layer *layer, sinusoid made)
{
    sinusoid *own;
    VPSDE_TRY(vpsde_alloc(&own, 1, sizeof(*own)));
    *own = made;
    layer->own = own;
    const vpsde_status status = vpsde_alloc(&own->turns, own->half, sizeof(*own->turns));
    if (status != VPSDE_OK) {
        destroy(layer);
        layer->own = NULL;
    }
    return status;
}

vpsde_status vpsde_sinusoid_make(vpsde_layer *layer, const vpsde_sinusoid_spec *spec)
{
    const size_t half = spec->channels / 2;
    const double span = (double)half - spec->freq_shift;
    if (half == 0 || !(fabs(span) > 0) || !isfinite(span)) {
        return vpsde_fail(VPSDE_EINVAL,
                          "sinusoid: %zu channels with freq_shift %g leave no frequencies",
                          spec->channels, spec->freq_shift);
    }
    *layer = (vpsde_layer){.type = &type, .out = {1, 1, spec->channels}};
    VPSDE_TRY(own_create(layer, (sinusoid){.half = half,
                                           .cosine_first = spec->cosine_first,
                                           .of_classes = spec->of_classes}));
    const sinusoid *const own = layer->own;
    for (size_t j = 0; j < half; j++) {
        own->turns[j] = exp(-log(10000.0) * (double)j / span) / 6.283185307179586;
    }
    return VPSDE_OK;
}

vpsde_status vpsde_fourier_make(vpsde_layer *layer, const char *name, size_t channels,
                                bool cosine_first)
{
    const size_t half = channels / 2;
    if (half == 0 || channels % 2 != 0) {
        return vpsde_fail(VPSDE_EINVAL, "%s: channels must be even and above 0, got %zu", name,
                          channels);
    }
    *layer = (vpsde_layer){.type = &type, .out = {1, 1, channels}};
    VPSDE_TRY(vpsde_layer_parameter(layer, name, "weight", 1, &half));
    return own_create(layer,
                      (sinusoid){.half = half, .cosine_first = cosine_first, .of_log = true});
}
