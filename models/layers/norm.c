#include "models/layers/norm.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "core/parallel.h"
#include "models/layers/norm_impl.h"

enum { ROW_WIDTH = 64, FOLD_MAX = 16, PROBES = 8, STRIP = 2048, STRAND_ARRAYS = 8 };

static size_t padded(size_t count) { return (count + 15) / 16 * 16; }

size_t vpsde_norm_scratch(const vpsde_norm *own)
{
    const size_t arrays =
        VPSDE_NORM_KEPT + 1 + 4 + 2 * own->slices + (size_t)STRAND_ARRAYS * VPSDE_NORM_STRANDS + 1;
    return arrays * own->padded + 2 * padded(own->pixels * own->channels);
}

void vpsde_norm_image_of(vpsde_norm_image *im, const vpsde_layer *layer,
                         const vpsde_layer_call *call, size_t index)
{
    const vpsde_norm *const own = layer->own;
    *im = (vpsde_norm_image){.layer = layer, .call = call, .own = own, .index = index};
    for (size_t s = 0; s < 2; s++) {
        if (call->in[s]) im->x[s] = call->in[s] + index * vpsde_extent_floats(layer->in[s]);
    }
    float *next = call->scratch;
    im->total = (double *)(void *)next;
    next += 4 * own->padded;
    im->kept = call->keep ? call->keep + index * layer->keep : next;
    next += VPSDE_NORM_KEPT * own->padded;
    im->reference = next;
    next += own->padded;
    im->zero = next;
    next += own->padded;
    im->part = next;
    next += 2 * own->slices * own->padded;
    im->strand = next;
    next += STRAND_ARRAYS * VPSDE_NORM_STRANDS * own->padded;
    im->hat = next;
    im->slope = next + padded(own->pixels * own->channels);
}

void vpsde_norm_repeat(const vpsde_norm *own, float *array)
{
    for (size_t i = 1; i < own->fold; i++) {
        memcpy(array + i * own->channels, array, own->channels * sizeof(*array));
    }
}

double vpsde_norm_channel(const vpsde_norm *own, const double *total, size_t c)
{
    double sum = 0;
    for (size_t i = 0; i < own->fold; i++) sum += total[c + i * own->channels];
    return sum;
}

void vpsde_norm_totals(const vpsde_norm *own, size_t slices, const float *part, double *total)
{
    const size_t stride = 2 * own->padded;
    memset(total, 0, stride * sizeof(*total));
    vpsde_norm_fold(slices, stride, own->width, part, total);
    vpsde_norm_fold(slices, stride, own->width, part + own->padded, total + own->padded);
}

void vpsde_norm_map(const vpsde_norm_image *im, size_t first, size_t pixels, float *out,
                    const float *m, const float *a, const float *b)
{
    for (size_t s = 0, c = 0; s < 2 && im->x[s]; c += im->layer->in[s++].channels) {
        const size_t channels = im->layer->in[s].channels;
        const vpsde_norm_rows at = vpsde_norm_rows_of(im->own, pixels, channels);
        vpsde_norm_affine(at, im->x[s] + first * channels, at.width, out + c, im->own->width, m + c,
                          a + c, b + c);
    }
}

/* Each channel's mean over a few pixels: squares are taken about it, so that they do not cancel. */
static void take_reference(const vpsde_norm_image *im)
{
    float *const reference = im->reference;
    memset(reference, 0, im->own->channels * sizeof(*reference));
    for (size_t s = 0, first = 0; s < 2 && im->x[s]; first += im->layer->in[s++].channels) {
        const size_t channels = im->layer->in[s].channels;
        for (size_t i = 0; i < PROBES; i++) {
            const float *const x = im->x[s] + i * im->own->pixels / PROBES * channels;
            for (size_t c = 0; c < channels; c++) reference[first + c] += x[c] * (1.0F / PROBES);
        }
    }
    vpsde_norm_repeat(im->own, reference);
}

static void slice_moments(void *context, size_t slice)
{
    const vpsde_norm_image *const im = context;
    const vpsde_norm *const own = im->own;
    float *const part = im->part + slice * 2 * own->padded;
    for (size_t s = 0, c = 0; s < 2 && im->x[s]; c += im->layer->in[s++].channels) {
        const size_t channels = im->layer->in[s].channels;
        vpsde_norm_moments(vpsde_norm_rows_of(own, vpsde_norm_slice_pixels(own, slice), channels),
                           im->x[s] + slice * VPSDE_NORM_SLICE * channels, im->reference + c,
                           part + c, part + own->padded + c);
    }
}

/* total: each channel's mean of h and its sum of squares about that mean. */
static void channel_moments(const vpsde_norm_image *im, const float *shift)
{
    const vpsde_norm *const own = im->own;
    double *const mean = im->total, *const square = im->total + own->padded;
    vpsde_norm_totals(own, own->slices, im->part, im->total);
    for (size_t c = 0; c < own->channels; c++) {
        const double s = vpsde_norm_channel(own, mean, c);
        const double q = vpsde_norm_channel(own, square, c);
        const double offset = s / (double)own->pixels;
        mean[c] = (double)im->reference[c] + (shift ? (double)shift[c] : 0) + offset;
        square[c] = q - s * offset;
    }
}

static void group_arrays(const vpsde_norm_image *im, size_t g, const float *shift,
                         const float *scale)
{
    const vpsde_norm *const own = im->own;
    const size_t size = own->channels / own->groups, stride = own->padded;
    const double *const mean = im->total + g * size, *const square = mean + stride;
    double centre = 0, sum = 0;
    for (size_t c = 0; c < size; c++) centre += mean[c] / (double)size;
    for (size_t c = 0; c < size; c++) {
        sum += square[c] + (double)own->pixels * (mean[c] - centre) * (mean[c] - centre);
    }
    const double variance = sum / (double)(own->pixels * size);
    const double rstd = 1 / sqrt((variance < 0 ? 0 : variance) + own->eps);
    const float *const gamma = vpsde_layer_at(im->layer, im->call->parameters, 0);
    const float *const beta = vpsde_layer_at(im->layer, im->call->parameters, 1);
    for (size_t i = 0; i < size; i++) {
        const size_t c = g * size + i;
        const double exact = centre - (shift ? (double)shift[c] : 0);
        const double rest = ((double)(float)exact - exact) * rstd;
        const double factor = scale ? 1 + (double)scale[c] : 1;
        const double offset = scale ? (double)scale[own->channels + c] : 0;
        float *const kept = im->kept + c;
        kept[VPSDE_NORM_CENTRE * stride] = (float)exact;
        kept[VPSDE_NORM_RSTD * stride] = (float)rstd;
        kept[VPSDE_NORM_REST * stride] = (float)rest;
        kept[VPSDE_NORM_GAIN * stride] = (float)((double)gamma[c] * factor * rstd);
        kept[VPSDE_NORM_OFFSET * stride] =
            (float)(((double)gamma[c] * rest + (double)beta[c]) * factor + offset);
        kept[VPSDE_NORM_SPREAD * stride] = (float)((mean[i] - centre) * rstd);
    }
}

/* Strips stay in the first cache between the affine map and SiLU. */
static void slice_output(void *context, size_t slice)
{
    const vpsde_norm_image *const im = context;
    const vpsde_norm *const own = im->own;
    const size_t channels = own->channels, begin = slice * VPSDE_NORM_SLICE;
    const size_t end = begin + vpsde_norm_slice_pixels(own, slice);
    const size_t rows = STRIP / own->width, step = (rows ? rows : 1) * own->fold;
    float *const out = im->call->out + im->index * own->pixels * channels;
    for (size_t first = begin; first < end; first += step) {
        const size_t pixels = end - first < step ? end - first : step;
        float *const strip = out + first * channels;
        vpsde_norm_map(im, first, pixels, strip, vpsde_norm_kept(im, VPSDE_NORM_CENTRE),
                       vpsde_norm_kept(im, VPSDE_NORM_GAIN),
                       vpsde_norm_kept(im, VPSDE_NORM_OFFSET));
        if (own->silu) vpsde_norm_silu(pixels * channels, strip);
    }
}

static vpsde_status forward(const vpsde_layer *layer, void *ws, const vpsde_layer_call *call)
{
    const vpsde_norm *const own = layer->own;
    const size_t channels = own->channels;
    (void)ws;
    for (size_t i = 0; i < call->n; i++) {
        vpsde_norm_image im;
        vpsde_norm_image_of(&im, layer, call, i);
        const float *const shifts = call->in[VPSDE_NORM_SHIFT];
        const float *const scales = call->in[VPSDE_NORM_SCALE_SHIFT];
        const float *const shift = shifts ? shifts + i * channels : NULL;
        const float *const scale = scales ? scales + 2 * i * channels : NULL;
        take_reference(&im);
        vpsde_team(own->slices, slice_moments, &im);
        channel_moments(&im, shift);
        for (size_t g = 0; g < own->groups; g++) group_arrays(&im, g, shift, scale);
        for (size_t a = 0; a < VPSDE_NORM_KEPT; a++) {
            vpsde_norm_repeat(own, im.kept + a * own->padded);
        }
        vpsde_team(own->slices, slice_output, &im);
    }
    return VPSDE_OK;
}

static void destroy(vpsde_layer *layer) { free(layer->own); }

static const vpsde_layer_type type = {
    .name = "group norm",
    .destroy = destroy,
    .forward = forward,
    .jvp = vpsde_norm_jvp,
    .backward = vpsde_norm_backward,
};

static vpsde_status check(const vpsde_norm_spec *spec, const vpsde_extent in[VPSDE_LAYER_INPUTS])
{
    const vpsde_extent x = in[VPSDE_NORM_X], x2 = in[VPSDE_NORM_X2], shift = in[VPSDE_NORM_SHIFT];
    const vpsde_extent scale = in[VPSDE_NORM_SCALE_SHIFT];
    const size_t channels = x.channels + x2.channels;
    if (vpsde_extent_floats(x) == 0) {
        return vpsde_fail(VPSDE_EINVAL, "group norm %s: its image has no values", spec->name);
    }
    if (x2.channels > 0 && (x2.height != x.height || x2.width != x.width)) {
        return vpsde_fail(VPSDE_EINVAL,
                          "group norm %s: images of %zu x %zu and %zu x %zu do not go together",
                          spec->name, x.height, x.width, x2.height, x2.width);
    }
    if (spec->groups == 0 || channels % spec->groups != 0) {
        return vpsde_fail(VPSDE_EINVAL, "group norm %s: %zu channels do not divide into %zu groups",
                          spec->name, channels, spec->groups);
    }
    if (!(spec->eps > 0 && isfinite(spec->eps))) {
        return vpsde_fail(VPSDE_EINVAL, "group norm %s: eps must be above 0, got %g", spec->name,
                          spec->eps);
    }
    if (shift.channels > 0 && vpsde_extent_floats(shift) != channels) {
        return vpsde_fail(VPSDE_EINVAL, "group norm %s: a shift of %zu values for %zu channels",
                          spec->name, vpsde_extent_floats(shift), channels);
    }
    if (scale.channels > 0 && vpsde_extent_floats(scale) != 2 * channels) {
        return vpsde_fail(VPSDE_EINVAL,
                          "group norm %s: scale and shift need %zu values for %zu channels, got "
                          "%zu",
                          spec->name, 2 * channels, channels, vpsde_extent_floats(scale));
    }
    return VPSDE_OK;
}

vpsde_status vpsde_norm_make(vpsde_layer *layer, const vpsde_norm_spec *spec,
                             const vpsde_extent in[VPSDE_LAYER_INPUTS])
{
    const vpsde_extent x = in[VPSDE_NORM_X];
    const size_t channels = x.channels + in[VPSDE_NORM_X2].channels;
    VPSDE_TRY(check(spec, in));
    *layer = (vpsde_layer){.type = &type, .out = {x.height, x.width, channels}};
    memcpy(layer->in, in, sizeof(layer->in));
    VPSDE_TRY(vpsde_layer_parameter(layer, spec->name, "weight", 1, &channels));
    VPSDE_TRY(vpsde_layer_parameter(layer, spec->name, "bias", 1, &channels));
    vpsde_norm *own;
    VPSDE_TRY(vpsde_alloc(&own, 1, sizeof(*own)));
    size_t fold = 1;
    while (in[VPSDE_NORM_X2].channels == 0 && fold < FOLD_MAX && channels < ROW_WIDTH &&
           (channels * fold < ROW_WIDTH || channels * fold % 8 != 0)) {
        fold *= 2;
    }
    *own = (vpsde_norm){.groups = spec->groups,
                        .eps = spec->eps,
                        .silu = spec->silu,
                        .pixels = vpsde_extent_pixels(x),
                        .channels = channels,
                        .fold = fold,
                        .width = channels * fold,
                        .padded = padded(channels * fold)};
    own->slices = (own->pixels + VPSDE_NORM_SLICE - 1) / VPSDE_NORM_SLICE;
    layer->own = own;
    layer->keep = VPSDE_NORM_KEPT * own->padded;
    layer->scratch = vpsde_norm_scratch(own);
    return VPSDE_OK;
}
