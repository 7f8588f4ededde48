/* The convolution layer from many channels to a few, as at a network's end: with so few outputs oneDNN's
 * direct form fills a vector by an eighth. One matrix product takes every pixel to its parts in the nine
 * outputs around it, (tap, out) numbers a pixel, and nine shifted images are added up. */
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "core/parallel.h"
#include "core/vec.h"
#include "models/layers/conv_impl.h"
#include "models/layers/linear.h"

enum { TAPS = 9, OUT_MAX = 4, IN_MIN = 16 };

typedef struct few {
    size_t height, width, in[SOURCES], out;
    float scale;
    float *u; /* (out, tap, in) */
} few;

static void few_destroy(vpsde_layer *layer)
{
    few *const f = layer->own;
    if (f) free(f->u);
    free(f);
    layer->own = NULL;
}

static vpsde_status few_pack(vpsde_layer *layer, const float *parameters, bool backward)
{
    const few *const f = layer->own;
    (void)backward; /* the reverse pass reads the same weights */
    const float *const weight = vpsde_layer_at(layer, parameters, 0);
    const size_t in = f->in[0] + f->in[1];
    for (size_t e = 0; e < f->out * in * TAPS; e++) {
        f->u[(e / (in * TAPS) * TAPS + e % TAPS) * in + e / TAPS % in] = weight[e];
    }
    return VPSDE_OK;
}

/* For the gradient of u. */
static vpsde_status few_workspace_create(void **ws, const vpsde_layer *layer, size_t n,
                                         bool backward)
{
    const few *const f = layer->own;
    float *gu = NULL;
    (void)n;
    if (backward) VPSDE_TRY(vpsde_alloc(&gu, (f->in[0] + f->in[1]) * f->out * TAPS, sizeof(*gu)));
    *ws = gu;
    return VPSDE_OK;
}

/* The columns of a row that have a pixel a tap away, and where that lies. */
typedef struct stretch {
    size_t first, count, from;
} stretch;

static stretch stretch_of(const few *f, size_t row, size_t tap)
{
    const size_t dy = tap / 3, dx = tap % 3, first = dx == 0;
    if (row + dy < 1 || row + dy > f->height) return (stretch){0, 0, 0};
    return (stretch){first, f->width - first - (dx == 2),
                     (row + dy - 1) * f->width + first + dx - 1};
}

/* Row `row` of output o: the sum over taps of m (tap, pixels) moved. */
VPSDE_VECTOR static void gather(const few *f, const float *m, size_t row, float *restrict line)
{
    memset(line, 0, f->width * sizeof(*line));
    for (size_t tap = 0; tap < TAPS; tap++) {
        const stretch s = stretch_of(f, row, tap);
        const float *const from = m + tap * f->height * f->width + s.from;
        for (size_t e = 0; e < s.count; e++) line[s.first + e] += from[e];
    }
}

/* The transpose, of a row of gout whose pixels are `out` apart. */
static void spread(const few *f, const float *gout, size_t row, float *m)
{
    for (size_t tap = 0; tap < TAPS; tap++) {
        const stretch s = stretch_of(f, row, tap);
        float *const to = m + tap * f->height * f->width + s.from;
        for (size_t e = 0; e < s.count; e++) to[e] = f->scale * gout[(s.first + e) * f->out];
    }
}

static vpsde_status image_forward(const few *f, const float *const x[SOURCES], const float *bias,
                                  const float *residual, float *scratch, float *out)
{
    const size_t pixels = f->height * f->width, in = f->in[0] + f->in[1];
    float *const line = scratch, *const m = scratch + f->width;
    bool empty = true;
    for (size_t s = 0; s < SOURCES; s++) {
        if (!x[s]) continue;
        VPSDE_TRY(vpsde_product(f->out * TAPS, pixels, f->in[s], 1,
                                (vpsde_matrix){f->u + (s ? f->in[0] : 0), in, false},
                                (vpsde_matrix){x[s], f->in[s], true}, empty ? 0 : 1, m, pixels));
        empty = false;
    }
    if (empty) memset(m, 0, f->out * TAPS * pixels * sizeof(*m));
    for (size_t o = 0; o < f->out; o++) {
        for (size_t row = 0; row < f->height; row++) {
            gather(f, m + o * TAPS * pixels, row, line);
            for (size_t e = 0; e < f->width; e++) {
                const size_t at = (row * f->width + e) * f->out + o;
                float y = bias ? line[e] + bias[o] : line[e];
                if (residual) y += residual[at];
                out[at] = f->scale * y;
            }
        }
    }
    return VPSDE_OK;
}

static vpsde_status apply(const few *f, size_t n, const float *const *in, const float *bias,
                          float *scratch, float *out)
{
    const size_t pixels = f->height * f->width;
    const float *const residual = in[VPSDE_CONV_RESIDUAL];
    const int saved = vpsde_serial_begin();
    vpsde_status status = VPSDE_OK;
    for (size_t i = 0; status == VPSDE_OK && i < n; i++) {
        const float *x[SOURCES] = {NULL};
        for (size_t s = 0; s < SOURCES; s++) {
            if (in[s]) x[s] = in[s] + i * pixels * f->in[s];
        }
        status = image_forward(f, x, bias, residual ? residual + i * pixels * f->out : NULL,
                               scratch, out + i * pixels * f->out);
    }
    vpsde_serial_end(saved);
    return status;
}

static vpsde_status few_forward(const vpsde_layer *layer, void *ws, const vpsde_layer_call *call)
{
    (void)ws;
    return apply(layer->own, call->n, call->in, vpsde_layer_at(layer, call->parameters, 1),
                 call->scratch, call->out);
}

static vpsde_status few_jvp(const vpsde_layer *layer, void *ws, const vpsde_layer_call *call)
{
    (void)ws;
    return apply(layer->own, call->n * call->k, call->din, NULL, call->scratch, call->dout);
}

static vpsde_status image_backward(const few *f, const vpsde_layer_call *call, size_t i, float *gu)
{
    const size_t pixels = f->height * f->width, in = f->in[0] + f->in[1];
    float *const m = call->scratch + f->width;
    memset(m, 0, f->out * TAPS * pixels * sizeof(*m));
    for (size_t r = 0; r < f->out * f->height; r++) {
        const size_t o = r / f->height, row = r % f->height;
        spread(f, call->gout + (i * pixels + row * f->width) * f->out + o, row,
               m + o * TAPS * pixels);
    }
    for (size_t s = 0; s < SOURCES; s++) {
        const size_t at = i * pixels * f->in[s], offset = s ? f->in[0] : 0;
        if (f->in[s] == 0) continue;
        if (call->gradient) {
            VPSDE_TRY(vpsde_product(
                f->out * TAPS, f->in[s], pixels, 1, (vpsde_matrix){m, pixels, false},
                (vpsde_matrix){call->in[s] + at, f->in[s], false}, i ? 1 : 0, gu + offset, in));
        }
        if (!call->gin[s]) continue;
        VPSDE_TRY(vpsde_product(pixels, f->in[s], f->out * TAPS, 1, (vpsde_matrix){m, pixels, true},
                                (vpsde_matrix){f->u + offset, in, false}, call->add[s] ? 1 : 0,
                                call->gin[s] + at, f->in[s]));
    }
    return VPSDE_OK;
}

static vpsde_status few_backward(const vpsde_layer *layer, void *ws, const vpsde_layer_call *call)
{
    const few *const f = layer->own;
    const size_t in = f->in[0] + f->in[1];
    const float *const gu = ws;
    VPSDE_TRY(vpsde_conv_prepared(ws != NULL, call));
    const int saved = vpsde_serial_begin();
    vpsde_status status = VPSDE_OK;
    for (size_t i = 0; status == VPSDE_OK && i < call->n; i++) {
        status = image_backward(f, call, i, ws);
    }
    vpsde_serial_end(saved);
    VPSDE_TRY(status);
    vpsde_conv_residual_gradient(layer, call, f->scale);
    if (!call->gradient) return VPSDE_OK;
    float *const gradient = call->gradient + layer->parameter[0].offset;
    for (size_t e = 0; e < f->out * in * TAPS; e++) {
        gradient[e] += gu[(e / (in * TAPS) * TAPS + e % TAPS) * in + e / TAPS % in];
    }
    vpsde_conv_bias_gradient(f->out, call->n * f->height * f->width, f->scale, call->gout,
                             call->gradient + layer->parameter[1].offset);
    return VPSDE_OK;
}

static const vpsde_layer_type type = {
    .name = "convolution",
    .destroy = few_destroy,
    .pack = few_pack,
    .workspace_create = few_workspace_create,
    .workspace_destroy = free,
    .forward = few_forward,
    .jvp = few_jvp,
    .backward = few_backward,
};

static bool few_takes(const vpsde_conv_spec *spec, const vpsde_extent *in)
{
    return conv_is_plain(spec) && !spec->upsample && spec->channels <= OUT_MAX &&
           in[VPSDE_CONV_X].channels + in[VPSDE_CONV_X2].channels >= IN_MIN;
}

static vpsde_status few_make(vpsde_layer *layer, const vpsde_conv_spec *spec)
{
    few *f;
    VPSDE_TRY(vpsde_alloc(&f, 1, sizeof(*f)));
    layer->type = &type;
    layer->own = f;
    *f = (few){.height = layer->out.height,
               .width = layer->out.width,
               .in = {layer->in[VPSDE_CONV_X].channels, layer->in[VPSDE_CONV_X2].channels},
               .out = spec->channels,
               .scale = (float)spec->scale};
    layer->scratch = f->width + TAPS * f->out * f->height * f->width;
    return vpsde_alloc(&f->u, (f->in[0] + f->in[1]) * f->out * TAPS, sizeof(*f->u));
}

const vpsde_conv_way vpsde_conv_few = {.takes = few_takes, .make = few_make};
