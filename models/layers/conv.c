#include "models/layers/conv.h"

#include <string.h>

#include "core/vec.h"
#include "models/layers/conv_impl.h"
#include "models/layers/pointwise.h"

enum { EXTENT_MAX = 1 << 16, FLOATS_MAX = 1 << 30 };

/* Eight interleaved rows of pixels, folded pairwise: the error of a sum of thousands stays that of tens. */
enum { LANES = 8, STRIP = 64 };

VPSDE_VECTOR void vpsde_conv_bias_gradient(size_t channels, size_t pixels, float scale,
                                           const float *gout, float *gradient)
{
    for (size_t first = 0; first < channels; first += STRIP) {
        const size_t count = channels - first < STRIP ? channels - first : STRIP;
        float lane[LANES][STRIP] = {{0}};
        for (size_t p = 0; p < pixels; p++) {
            float *const sum = lane[p % LANES];
            const float *const g = gout + p * channels + first;
            for (size_t j = 0; j < count; j++) sum[j] += g[j];
        }
        for (size_t reach = LANES / 2; reach > 0; reach /= 2) {
            for (size_t l = 0; l < reach; l++) {
                for (size_t j = 0; j < count; j++) lane[l][j] += lane[l + reach][j];
            }
        }
        for (size_t j = 0; j < count; j++) gradient[first + j] += scale * lane[0][j];
    }
}

vpsde_status vpsde_conv_prepared(bool prepared, const vpsde_layer_call *call)
{
    if (prepared) return VPSDE_OK;
    return vpsde_fail(VPSDE_EINTERNAL, "convolution: backward of %zu images was not prepared for",
                      call->n);
}

void vpsde_conv_residual_gradient(const vpsde_layer *layer, const vpsde_layer_call *call,
                                  float scale)
{
    float *const to = call->gin[VPSDE_CONV_RESIDUAL];
    if (!to) return;
    vpsde_put(call->n * vpsde_extent_floats(layer->out), to, call->add[VPSDE_CONV_RESIDUAL], scale,
              call->gout);
}

static vpsde_status spec_check(const vpsde_conv_spec *spec, const vpsde_extent *in)
{
    if (spec->kernel != 1 && spec->kernel != 3) {
        return vpsde_fail(VPSDE_EINVAL, "convolution: kernel must be 1 or 3, got %zu",
                          spec->kernel);
    }
    if (spec->stride != 1 && spec->stride != 2) {
        return vpsde_fail(VPSDE_EINVAL, "convolution: stride must be 1 or 2, got %zu",
                          spec->stride);
    }
    if (spec->before >= spec->kernel || spec->after >= spec->kernel) {
        return vpsde_fail(VPSDE_EINVAL,
                          "convolution: padding must be below the kernel %zu, got %zu and %zu",
                          spec->kernel, spec->before, spec->after);
    }
    if (spec->upsample && !conv_is_plain(spec)) {
        return vpsde_fail(VPSDE_EINVAL,
                          "convolution: doubling needs kernel 3, stride 1, padding 1 and 1 and one "
                          "part, got %zu, %zu, %zu and %zu and %zu",
                          spec->kernel, spec->stride, spec->before, spec->after, spec->n_parts);
    }
    if (spec->matrix && spec->kernel != 1) {
        return vpsde_fail(VPSDE_EINVAL, "convolution: a matrix needs kernel 1, got %zu",
                          spec->kernel);
    }
    if (spec->n_parts > VPSDE_CONV_PARTS || spec->channels == 0 || spec->channels % spec->n_parts) {
        return vpsde_fail(VPSDE_EINVAL,
                          "convolution: %zu output channels do not come in %zu equal parts (at "
                          "most %d)",
                          spec->channels, spec->n_parts, (int)VPSDE_CONV_PARTS);
    }
    if (!(spec->scale >= 0) || spec->scale > 1e6) {
        return vpsde_fail(VPSDE_EINVAL, "convolution: scale must be in (0, 1e6], got %g",
                          spec->scale);
    }
    const size_t doubling = spec->upsample ? 2 : 1;
    const size_t padding = spec->before + spec->after;
    if (in->height * doubling + padding < spec->kernel ||
        in->width * doubling + padding < spec->kernel) {
        return vpsde_fail(VPSDE_EINVAL,
                          "convolution: an input of %zu x %zu pixels is smaller than the kernel "
                          "%zu",
                          in->height, in->width, spec->kernel);
    }
    return VPSDE_OK;
}

static vpsde_status extents_check(const vpsde_extent in[VPSDE_LAYER_INPUTS], vpsde_extent out)
{
    for (size_t i = 0; i < VPSDE_LAYER_INPUTS; i++) {
        const vpsde_extent e = in[i];
        if (e.channels == 0 && i > 0) continue;
        if (e.channels == 0 || e.height == 0 || e.width == 0 || e.channels > EXTENT_MAX ||
            e.height > EXTENT_MAX || e.width > EXTENT_MAX ||
            vpsde_extent_floats(e) > FLOATS_MAX / 4) {
            return vpsde_fail(VPSDE_EINVAL,
                              "convolution: an input of %zu x %zu pixels with %zu channels is "
                              "empty or too large",
                              e.height, e.width, e.channels);
        }
    }
    const vpsde_extent x = in[VPSDE_CONV_X], x2 = in[VPSDE_CONV_X2], r = in[VPSDE_CONV_RESIDUAL];
    if (x2.channels > 0 && (x2.height != x.height || x2.width != x.width)) {
        return vpsde_fail(VPSDE_EINVAL,
                          "convolution: inputs of %zu x %zu and %zu x %zu pixels cannot be joined",
                          x.height, x.width, x2.height, x2.width);
    }
    if (r.channels > 0 &&
        (r.height != out.height || r.width != out.width || r.channels != out.channels)) {
        return vpsde_fail(VPSDE_EINVAL,
                          "convolution: the residual has extents %zu x %zu x %zu, the output %zu x "
                          "%zu x %zu",
                          r.height, r.width, r.channels, out.height, out.width, out.channels);
    }
    if (in[VPSDE_CONV_RESIDUAL + 1].channels > 0) {
        return vpsde_fail(VPSDE_EINVAL, "convolution: takes two inputs and a residual, got more");
    }
    if (out.channels > EXTENT_MAX || vpsde_extent_floats(out) > FLOATS_MAX ||
        out.channels * (x.channels + x2.channels) > FLOATS_MAX / 16) {
        return vpsde_fail(VPSDE_EINVAL,
                          "convolution: %zu to %zu channels on %zu x %zu pixels is "
                          "too large",
                          x.channels + x2.channels, out.channels, out.height, out.width);
    }
    return VPSDE_OK;
}

static size_t side_out(const vpsde_conv_spec *spec, size_t side)
{
    if (spec->upsample) return 2 * side;
    return (side + spec->before + spec->after - spec->kernel) / spec->stride + 1;
}

static vpsde_status parameters_add(vpsde_layer *layer, const vpsde_conv_spec *spec)
{
    const size_t n_parts = spec->n_parts, rows = spec->channels / n_parts;
    const size_t in = layer->in[VPSDE_CONV_X].channels + layer->in[VPSDE_CONV_X2].channels;
    for (size_t p = 0; p < n_parts; p++) {
        if (!spec->part[p]) {
            return vpsde_fail(VPSDE_EINVAL, "convolution: part %zu of %zu has no name", p, n_parts);
        }
        VPSDE_TRY(vpsde_layer_parameter(layer, spec->part[p], "weight", spec->matrix ? 2 : 4,
                                        (const size_t[]){rows, in, spec->kernel, spec->kernel}));
        VPSDE_TRY(vpsde_layer_parameter(layer, spec->part[p], "bias", 1, (const size_t[]){rows}));
    }
    return VPSDE_OK;
}

vpsde_status vpsde_conv_make(vpsde_layer *layer, const vpsde_conv_spec *spec,
                             const vpsde_extent in[VPSDE_LAYER_INPUTS])
{
    static const vpsde_conv_way *const ways[] = {&vpsde_conv_winograd, &vpsde_conv_few,
                                                 &vpsde_conv_direct};
    enum { N_WAYS = sizeof(ways) / sizeof(ways[0]) }; /* the last takes all */
    vpsde_conv_spec full = *spec;
    if (full.scale == 0) full.scale = 1;
    if (full.n_parts == 0) full.n_parts = 1;
    memset(layer, 0, sizeof(*layer));
    VPSDE_TRY(spec_check(&full, &in[VPSDE_CONV_X]));
    memcpy(layer->in, in, sizeof(layer->in));
    layer->out =
        (vpsde_extent){side_out(spec, in->height), side_out(spec, in->width), spec->channels};
    VPSDE_TRY(extents_check(in, layer->out));
    VPSDE_TRY(parameters_add(layer, &full));
    layer->flops = 2 * (double)vpsde_extent_floats(layer->out) *
                   (double)(spec->kernel * spec->kernel * (in[0].channels + in[1].channels));
    size_t way = 0;
    while (way + 1 < N_WAYS && !ways[way]->takes(&full, in)) way++;
    const vpsde_status status = ways[way]->make(layer, &full);
    if (status != VPSDE_OK && layer->type) layer->type->destroy(layer);
    return status;
}
