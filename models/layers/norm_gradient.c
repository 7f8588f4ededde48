/* Derivatives of group normalisation. With w = gamma (1 + scale) silu'(u) at an element,
 *   du   = rstd (dh - mean_g(dh) - xhat mean_g(xhat dh)),  dout = w du
 *   gh   = rstd (w g - mean_g(w g) - xhat mean_g(xhat w g)),  g = dL/dout. */
#include <string.h>

#include "core/parallel.h"
#include "models/layers/norm_impl.h"
#include "models/layers/pointwise.h"

enum { STRIP = 2048 };

/* xhat, and `factor` times SiLU's slope at u, of a slice: strips stay in the first cache. `factor` is
 * by channel, or NULL: 1. */
static void xhat_and_slope(const vpsde_norm_image *im, size_t slice, const float *factor)
{
    const vpsde_norm *const own = im->own;
    const size_t begin = slice * VPSDE_NORM_SLICE, channels = own->channels;
    const size_t end = begin + vpsde_norm_slice_pixels(own, slice);
    const size_t rows = STRIP / own->width, step = (rows ? rows : 1) * own->fold;
    const float *const centre = vpsde_norm_kept(im, VPSDE_NORM_CENTRE);
    for (size_t first = begin; first < end; first += step) {
        const size_t pixels = end - first < step ? end - first : step;
        float *const slope = im->slope + first * channels;
        vpsde_norm_map(im, first, pixels, im->hat + first * channels, centre,
                       vpsde_norm_kept(im, VPSDE_NORM_RSTD), vpsde_norm_kept(im, VPSDE_NORM_REST));
        if (own->silu) {
            vpsde_norm_map(im, first, pixels, slope, centre, vpsde_norm_kept(im, VPSDE_NORM_GAIN),
                           vpsde_norm_kept(im, VPSDE_NORM_OFFSET));
            vpsde_norm_silu_slope(pixels * channels, slope);
        } else {
            for (size_t e = 0; e < pixels * channels; e++) slope[e] = 1;
        }
        if (factor) vpsde_norm_weigh(vpsde_norm_rows_of(own, pixels, channels), slope, factor);
    }
}

static void tangent_slice(void *context, size_t slice)
{
    const vpsde_norm_image *const im = context;
    xhat_and_slope(im, slice, vpsde_norm_kept(im, VPSDE_NORM_GAIN));
}

/* a, b (width): mean_g(dh) and mean_g(xhat dh) of tangent t, by channel. */
static void tangent_means(const vpsde_norm_image *im, size_t t, float *part, double *total,
                          float *a, float *b)
{
    const vpsde_norm *const own = im->own;
    const size_t size = own->channels / own->groups, stride = own->padded;
    memset(part, 0, 2 * stride * sizeof(*part));
    memset(total, 0, 2 * stride * sizeof(*total));
    for (size_t slice = 0; slice < own->slices; slice++) {
        const size_t first = slice * VPSDE_NORM_SLICE;
        for (size_t s = 0, c = 0; s < 2; c += im->layer->in[s++].channels) {
            const size_t channels = im->layer->in[s].channels;
            if (!im->call->din[s] || channels == 0) continue;
            const vpsde_norm_rows at =
                vpsde_norm_rows_of(own, vpsde_norm_slice_pixels(own, slice), channels);
            vpsde_norm_products(at, im->call->din[s] + (t * own->pixels + first) * channels,
                                at.width, im->hat + first * own->channels + c, own->width, part + c,
                                part + stride + c);
        }
        vpsde_norm_fold(1, 0, own->width, part, total);
        vpsde_norm_fold(1, 0, own->width, part + stride, total + stride);
    }
    for (size_t g = 0; g < own->groups; g++) {
        double sum = 0, product = 0;
        for (size_t c = g * size; c < (g + 1) * size; c++) {
            sum += vpsde_norm_channel(own, total, c);
            product += vpsde_norm_channel(own, total + stride, c);
        }
        for (size_t c = g * size; c < (g + 1) * size; c++) {
            a[c] = (float)(sum / (double)(own->pixels * size));
            b[c] = (float)(product / (double)(own->pixels * size));
        }
    }
    vpsde_norm_repeat(own, a);
    vpsde_norm_repeat(own, b);
}

/* Tangents strand, strand + STRANDS, ... of an image whose xhat and slope stand. */
static void tangent_strand(void *context, size_t strand)
{
    const vpsde_norm_image *const im = context;
    const vpsde_norm *const own = im->own;
    float *const at = im->strand + 8 * own->padded * strand;
    float *const part = at + 4 * own->padded, *const a = at + 6 * own->padded;
    float *const b = at + 7 * own->padded;
    for (size_t i = strand; i < im->call->k; i += VPSDE_NORM_STRANDS) {
        const size_t t = im->index * im->call->k + i;
        tangent_means(im, t, part, (double *)(void *)at, a, b);
        for (size_t s = 0, c = 0; s < 2; c += im->layer->in[s++].channels) {
            const size_t channels = im->layer->in[s].channels;
            if (channels == 0) continue;
            const float *const din = im->call->din[s];
            const vpsde_norm_rows rows = vpsde_norm_rows_of(own, own->pixels, channels);
            vpsde_norm_tangent(rows, din ? din + t * own->pixels * channels : im->zero,
                               din ? rows.width : 0,
                               im->call->dout + t * own->pixels * own->channels + c, own->width,
                               im->slope + c, im->hat + c, a + c, b + c);
        }
    }
}

vpsde_status vpsde_norm_jvp(const vpsde_layer *layer, void *ws, const vpsde_layer_call *call)
{
    const vpsde_norm *const own = layer->own;
    (void)ws;
    if (call->din[VPSDE_NORM_SHIFT] || call->din[VPSDE_NORM_SCALE_SHIFT]) {
        return vpsde_fail(VPSDE_EINVAL, "group norm %s: times have no tangents",
                          layer->parameter[0].name);
    }
    for (size_t i = 0; i < call->n; i++) {
        vpsde_norm_image im;
        vpsde_norm_image_of(&im, layer, call, i);
        memset(im.zero, 0, own->padded * sizeof(*im.zero));
        vpsde_team(own->slices, tangent_slice, &im);
        vpsde_team(call->k < VPSDE_NORM_STRANDS ? call->k : VPSDE_NORM_STRANDS, tangent_strand,
                   &im);
    }
    return VPSDE_OK;
}

/* slope becomes silu'(u) g; parts: its sums, and those times xhat. */
static void gradient_slice(void *context, size_t slice)
{
    const vpsde_norm_image *const im = context;
    const vpsde_norm *const own = im->own;
    const size_t pixels = vpsde_norm_slice_pixels(own, slice);
    const size_t first = slice * VPSDE_NORM_SLICE * own->channels;
    float *const part = im->part + slice * 2 * own->padded;
    xhat_and_slope(im, slice, NULL);
    vpsde_multiply(pixels * own->channels, im->slope + first, im->slope + first,
                   im->call->gout + im->index * own->pixels * own->channels + first);
    vpsde_norm_products(vpsde_norm_rows_of(own, pixels, own->channels), im->slope + first,
                        own->width, im->hat + first, own->width, part, part + own->padded);
}

static void slice_gin(void *context, size_t slice)
{
    const vpsde_norm_image *const im = context;
    const vpsde_norm *const own = im->own;
    const size_t first = slice * VPSDE_NORM_SLICE, pixels = vpsde_norm_slice_pixels(own, slice);
    const float *const gain = vpsde_norm_kept(im, VPSDE_NORM_GAIN);
    for (size_t s = 0, c = 0; s < 2; c += im->layer->in[s++].channels) {
        const size_t channels = im->layer->in[s].channels, from = first * own->channels + c;
        if (!im->call->gin[s] || channels == 0) continue;
        const vpsde_norm_rows at = vpsde_norm_rows_of(own, pixels, channels);
        float *const gin = im->call->gin[s] + (im->index * own->pixels + first) * channels;
        vpsde_norm_gradient(at, im->slope + from, im->hat + from, own->width, gin, at.width,
                            gain + c, im->strand + c, im->strand + own->padded + c,
                            im->call->add[s]);
    }
}

static void put(float *to, bool add, double value)
{
    *to = add ? *to + (float)value : (float)value;
}

/* Of gamma, beta, scale and shift; s and q are the channel's sums. */
static void channel_gradients(const vpsde_norm_image *im, size_t c, double s, double q)
{
    const vpsde_layer_call *const call = im->call;
    const size_t channels = im->own->channels;
    const float *const scales = call->in[VPSDE_NORM_SCALE_SHIFT];
    const double factor = scales ? 1 + (double)scales[2 * im->index * channels + c] : 1;
    if (call->gradient) {
        put(call->gradient + im->layer->parameter[0].offset + c, true, factor * q);
        put(call->gradient + im->layer->parameter[1].offset + c, true, factor * s);
    }
    if (call->gin[VPSDE_NORM_SCALE_SHIFT]) {
        float *const gin = call->gin[VPSDE_NORM_SCALE_SHIFT] + 2 * im->index * channels + c;
        const bool add = call->add[VPSDE_NORM_SCALE_SHIFT];
        const double gamma = (double)vpsde_layer_at(im->layer, call->parameters, 0)[c];
        const double beta = (double)vpsde_layer_at(im->layer, call->parameters, 1)[c];
        put(gin, add, gamma * q + beta * s);
        put(gin + channels, add, s);
    }
}

/* From the channels' sums: gradients of what is not an image, and what slice_gin takes off. */
static void group_gradients(const vpsde_norm_image *im, size_t g)
{
    const vpsde_norm *const own = im->own;
    const size_t size = own->channels / own->groups, first = g * size, stride = own->padded;
    const double count = (double)(own->pixels * size);
    const float *const gain = vpsde_norm_kept(im, VPSDE_NORM_GAIN);
    double a = 0, b = 0;
    for (size_t c = first; c < first + size; c++) {
        const double s = vpsde_norm_channel(own, im->total, c);
        const double q = vpsde_norm_channel(own, im->total + stride, c);
        a += (double)gain[c] * s / count;
        b += (double)gain[c] * q / count;
        channel_gradients(im, c, s, q);
    }
    float *const gin = im->call->gin[VPSDE_NORM_SHIFT];
    for (size_t c = first; c < first + size; c++) {
        im->strand[c] = (float)a;
        im->strand[stride + c] = (float)b;
        if (!gin) continue;
        const double spread = (double)vpsde_norm_kept(im, VPSDE_NORM_SPREAD)[c];
        put(gin + im->index * own->channels + c, im->call->add[VPSDE_NORM_SHIFT],
            (double)gain[c] * vpsde_norm_channel(own, im->total, c) -
                (double)own->pixels * (a + spread * b));
    }
}

vpsde_status vpsde_norm_backward(const vpsde_layer *layer, void *ws, const vpsde_layer_call *call)
{
    const vpsde_norm *const own = layer->own;
    (void)ws;
    for (size_t i = 0; i < call->n; i++) {
        vpsde_norm_image im;
        vpsde_norm_image_of(&im, layer, call, i);
        vpsde_team(own->slices, gradient_slice, &im);
        vpsde_norm_totals(own, own->slices, im.part, im.total);
        for (size_t g = 0; g < own->groups; g++) group_gradients(&im, g);
        vpsde_norm_repeat(own, im.strand);
        vpsde_norm_repeat(own, im.strand + own->padded);
        if (call->gin[VPSDE_NORM_X] || call->gin[VPSDE_NORM_X2]) {
            vpsde_team(own->slices, slice_gin, &im);
        }
    }
    return VPSDE_OK;
}
