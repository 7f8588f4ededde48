#include "tests/check.h"

#include <stdlib.h>

#include "core/mem.h"
#include "core/parallel.h"
#include "models/layers/conv.h"

typedef struct shape {
    size_t height, width, x, x2; /* channels; 0: no second input */
    bool residual;
    vpsde_conv_spec spec;
} shape;

#define THREE(stride_, before_, after_)                                                            \
    .kernel = 3, .stride = stride_, .before = before_, .after = after_
#define PART .part = {"a", "b", "c"}

static const shape shapes[] = {
    {7, 5, 1, 0, false, {.channels = 64, THREE(1, 1, 1), PART}},
    {9, 8, 3, 0, false, {.channels = 32, THREE(1, 1, 1), PART}},
    {6, 7, 64, 0, false, {.channels = 1, THREE(1, 1, 1), PART}},
    {7, 7, 48, 0, false, {.channels = 3, THREE(1, 1, 1), PART}},
    {8, 13, 24, 0, false, {.channels = 40, THREE(1, 1, 1), PART}},
    {5, 5, 5, 0, true, {.channels = 5, THREE(1, 1, 1), PART}},
    {4, 3, 160, 0, true, {.channels = 96, THREE(1, 1, 1), .scale = 0.70710678118654752, PART}},
    {8, 8, 32, 0, false, {.channels = 32, THREE(2, 1, 1), PART}},
    {7, 9, 24, 0, false, {.channels = 8, THREE(2, 1, 1), PART}},
    {8, 6, 16, 0, false, {.channels = 24, THREE(2, 0, 1), PART}},
    {9, 7, 8, 0, false, {.channels = 8, THREE(2, 0, 1), PART}},
    {5, 4, 8, 0, false, {.channels = 8, THREE(1, 0, 0), PART}},
    {7, 6, 32, 64, false, {.channels = 48, THREE(1, 1, 1), PART}},
    {6, 5, 3, 5, true, {.channels = 10, THREE(1, 1, 1), .scale = 0.5, PART}},
    {7, 7, 64, 96, true, {.channels = 64, .kernel = 1, .stride = 1, PART}},
    {7, 3, 12, 0, false, {.channels = 20, .kernel = 1, .stride = 2, PART}},
    {4,
     4,
     8,
     0,
     true,
     {.channels = 96, .kernel = 1, .stride = 1, .n_parts = 3, .matrix = true, PART}},
    {3, 5, 10, 0, false, {.channels = 15, .kernel = 1, .stride = 1, .n_parts = 3, PART}},
    {1, 1, 64, 0, false, {.channels = 24, .kernel = 1, .stride = 1, .matrix = true, PART}},
    {4, 4, 6, 3, false, {.channels = 12, THREE(1, 1, 1), .n_parts = 2, PART}},
    {7, 7, 24, 0, false, {.channels = 20, THREE(1, 1, 1), .upsample = true, PART}},
    {3, 5, 5, 3, true, {.channels = 6, THREE(1, 1, 1), .upsample = true, .scale = 0.5, PART}},
    {14, 9, 16, 0, false, {.channels = 18, THREE(1, 1, 1), PART}},
    {9, 14, 64, 32, false, {.channels = 24, .kernel = 1, .stride = 1, PART}},
    {1, 1, 8, 0, false, {.channels = 3, THREE(1, 1, 1), .upsample = true, PART}},
    {5, 1, 16, 24, true, {.channels = 4, THREE(1, 1, 1), .scale = 0.5, PART}},
    {5, 4, 16, 0, false, {.channels = 16, THREE(1, 1, 1), .n_parts = 2, PART}},
    {8, 9, 20, 17, true, {.channels = 33, THREE(1, 1, 1), .scale = 0.5, PART}},
    /* Winograd's tiles in many chunks. */
    {28, 28, 16, 0, true, {.channels = 16, THREE(1, 1, 1), .scale = 0.5, PART}},
    {25, 24, 16, 9, false, {.channels = 16, THREE(1, 1, 1), PART}},
    {14, 13, 8, 0, false, {.channels = 17, THREE(1, 1, 1), .upsample = true, PART}},
};
enum { SHAPES = sizeof(shapes) / sizeof(*shapes), IMAGES = 3, TANGENTS = 2 };

static float noise(size_t seed, size_t e)
{
    uint64_t z = (uint64_t)seed * 1000003 + e * 0x9E3779B97F4A7C15U + 12345;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9U;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBU;
    return (float)((double)(z >> 40) / (double)(1 << 23) - 1);
}

static float *floats(size_t count, size_t seed)
{
    float *p;
    assert_ok(vpsde_alloc(&p, count, sizeof(*p)));
    for (size_t e = 0; seed > 0 && e < count; e++) p[e] = noise(seed, e);
    return p;
}

static void extents(const shape *s, vpsde_extent in[VPSDE_LAYER_INPUTS])
{
    const size_t doubling = s->spec.upsample ? 2 : 1, padding = s->spec.before + s->spec.after;
    memset(in, 0, VPSDE_LAYER_INPUTS * sizeof(*in));
    in[VPSDE_CONV_X] = (vpsde_extent){s->height, s->width, s->x};
    if (s->x2) in[VPSDE_CONV_X2] = (vpsde_extent){s->height, s->width, s->x2};
    if (!s->residual) return;
    in[VPSDE_CONV_RESIDUAL] = (vpsde_extent){
        (s->height * doubling + padding - s->spec.kernel) / s->spec.stride + 1,
        (s->width * doubling + padding - s->spec.kernel) / s->spec.stride + 1, s->spec.channels};
}

/* A made and packed layer with noise for parameters, and every tensor of its calls. */
typedef struct bench {
    vpsde_layer layer;
    void *ws;
    size_t n_parameters;
    float *parameters, *gradient;
    float *in[VPSDE_LAYER_INPUTS], *din[VPSDE_LAYER_INPUTS], *gin[VPSDE_LAYER_INPUTS];
    float *out, *dout, *gout, *scratch;
} bench;

static void bench_open(bench *b, const shape *s)
{
    vpsde_extent in[VPSDE_LAYER_INPUTS];
    memset(b, 0, sizeof(*b));
    extents(s, in);
    assert_ok(vpsde_conv_make(&b->layer, &s->spec, in));
    for (size_t p = 0; p < b->layer.n_parameters; p++) {
        b->layer.parameter[p].offset = b->n_parameters;
        b->n_parameters += (b->layer.parameter[p].count + 15) / 16 * 16;
    }
    b->parameters = floats(b->n_parameters, 1);
    b->gradient = floats(b->n_parameters, 2);
    for (size_t i = 0; i < VPSDE_LAYER_INPUTS; i++) {
        const size_t count = IMAGES * vpsde_extent_floats(in[i]);
        if (count == 0) continue;
        b->in[i] = floats(count, 10 + i);
        b->din[i] = floats(TANGENTS * count, 20 + i);
        b->gin[i] = floats(count, 30 + i);
    }
    const size_t out = IMAGES * vpsde_extent_floats(b->layer.out);
    b->out = floats(out, 3);
    b->dout = floats(TANGENTS * out, 4);
    b->gout = floats(out, 5);
    b->scratch = floats(b->layer.scratch, 0);
    assert_ok(b->layer.type->pack(&b->layer, b->parameters, true));
    assert_ok(b->layer.type->workspace_create(&b->ws, &b->layer, IMAGES, true));
}

static void bench_close(bench *b)
{
    b->layer.type->workspace_destroy(b->ws);
    b->layer.type->destroy(&b->layer);
    for (size_t i = 0; i < VPSDE_LAYER_INPUTS; i++) {
        free(b->in[i]);
        free(b->din[i]);
        free(b->gin[i]);
    }
    free(b->parameters);
    free(b->gradient);
    free(b->out);
    free(b->dout);
    free(b->gout);
    free(b->scratch);
}

/* What a call finds in its scratch must not matter. */
static void poison(size_t count, float *scratch)
{
    for (size_t e = 0; e < count; e++) scratch[e] = NAN;
}

static vpsde_layer_call call_with(const bench *b, float *scratch)
{
    vpsde_layer_call call = {.n = IMAGES, .k = TANGENTS, .parameters = b->parameters};
    call.out = b->out;
    call.dout = b->dout;
    call.gout = b->gout;
    call.gradient = b->gradient;
    call.scratch = scratch;
    poison(b->layer.scratch, scratch);
    for (size_t i = 0; i < VPSDE_LAYER_INPUTS; i++) {
        call.in[i] = b->in[i];
        call.din[i] = b->din[i];
        call.gin[i] = b->gin[i];
    }
    return call;
}

static vpsde_layer_call bench_call(const bench *b) { return call_with(b, b->scratch); }

/* The definition, term by term: visit(data, image, output, input, weight) for every product, where
 * the input is an element of source s. */
typedef void (*visitor)(void *data, size_t i, size_t o, size_t s, size_t x, size_t parameter);

static void visit(const bench *b, const shape *s, size_t n, visitor f, void *data)
{
    const size_t up = s->spec.upsample ? 2 : 1, kernel = s->spec.kernel, in = s->x + s->x2;
    const size_t rows = s->spec.channels / (s->spec.n_parts ? s->spec.n_parts : 1);
    const vpsde_extent out = b->layer.out;
    const size_t terms = in * kernel * kernel;
    for (size_t e = 0; e < n * vpsde_extent_floats(out); e++) {
        const size_t image = e / vpsde_extent_floats(out), o = e % out.channels;
        const size_t y = e / out.channels % vpsde_extent_pixels(out);
        for (size_t t = 0; t < terms; t++) {
            const size_t c = t / (kernel * kernel);
            const size_t r = y / out.width * s->spec.stride + t / kernel % kernel;
            const size_t q = y % out.width * s->spec.stride + t % kernel;
            if (r < s->spec.before || r - s->spec.before >= up * s->height) continue;
            if (q < s->spec.before || q - s->spec.before >= up * s->width) continue;
            const size_t pixel = (r - s->spec.before) / up * s->width + (q - s->spec.before) / up;
            const size_t source = c >= s->x, channels = source ? s->x2 : s->x;
            f(data, image, e, source,
              (image * s->height * s->width + pixel) * channels + (source ? c - s->x : c),
              b->layer.parameter[2 * (o / rows)].offset + o % rows * terms + t);
        }
    }
}

typedef struct naive {
    const float *w, *const *x;
    const float *gout;
    double *out, *gin[2], *gradient;
} naive;

static void add_out(void *data, size_t i, size_t o, size_t s, size_t x, size_t parameter)
{
    naive *const a = data;
    (void)i;
    if (a->x[s]) a->out[o] += (double)a->w[parameter] * (double)a->x[s][x];
}

static void add_gradients(void *data, size_t i, size_t o, size_t s, size_t x, size_t parameter)
{
    naive *const a = data;
    (void)i;
    a->gin[s][x] += (double)a->w[parameter] * (double)a->gout[o];
    a->gradient[parameter] += (double)a->x[s][x] * (double)a->gout[o];
}

static double scale_of(const shape *s) { return s->spec.scale > 0 ? s->spec.scale : 1; }

static float bias_of(const bench *b, const shape *s, size_t o)
{
    const size_t rows = s->spec.channels / (s->spec.n_parts ? s->spec.n_parts : 1);
    return b->parameters[b->layer.parameter[2 * (o / rows) + 1].offset + o % rows];
}

/* Sums of T = `terms` products of numbers uniform in (-1, 1) in float32: a partial sum of t of them has
 * size sqrt(t) / 3, and t / T of the whole where that is an outlier; each is rounded by 2^-24 of it or
 * less, so six sigma are below 5e-8 T and 1.2e-7 sqrt(T) |sum|. */
static void assert_all_close(const float *got, const double *want, size_t count, size_t terms,
                             const char *what, size_t which)
{
    const double typical = 5e-8 * (double)(terms + 8), outlier = 1.2e-7 * sqrt((double)terms);
    for (size_t e = 0; e < count; e++) {
        if (!(fabs((double)got[e] - want[e]) <= hypot(typical, outlier * want[e]))) {
            fail_msg("shape %zu, %s %zu: %.9g is not %.9g", which, what, e, (double)got[e],
                     want[e]);
        }
    }
}

/* Forward and tangents; `present` masks the inputs with a tangent. */
static void maps_are_the_definition(void **state)
{
    (void)state;
    for (size_t s = 0; s < SHAPES; s++) {
        bench b;
        bench_open(&b, &shapes[s]);
        vpsde_layer_call call = bench_call(&b);
        const size_t count = vpsde_extent_floats(b.layer.out);
        const size_t terms =
            (shapes[s].x + shapes[s].x2) * shapes[s].spec.kernel * shapes[s].spec.kernel;
        double *want;
        assert_ok(vpsde_alloc(&want, IMAGES * TANGENTS * count, sizeof(*want)));
        naive a = {.w = b.parameters, .x = call.in, .out = want};
        visit(&b, &shapes[s], IMAGES, add_out, &a);
        for (size_t e = 0; e < IMAGES * count; e++) {
            want[e] += (double)bias_of(&b, &shapes[s], e % b.layer.out.channels);
            if (shapes[s].residual) want[e] += (double)b.in[VPSDE_CONV_RESIDUAL][e];
            want[e] *= scale_of(&shapes[s]);
        }
        assert_ok(b.layer.type->forward(&b.layer, b.ws, &call));
        assert_all_close(b.out, want, IMAGES * count, terms, "output", s);

        const size_t inputs = (shapes[s].x2 ? 2U : 0U) | (shapes[s].residual ? 4U : 0U) | 1U;
        for (size_t present = 0; present < 8; present++) {
            if (present & ~inputs) continue;
            for (size_t i = 0; i < 3; i++) call.din[i] = present >> i & 1 ? b.din[i] : NULL;
            memset(want, 0, IMAGES * TANGENTS * count * sizeof(*want));
            a.x = call.din;
            visit(&b, &shapes[s], IMAGES * TANGENTS, add_out, &a);
            for (size_t e = 0; e < IMAGES * TANGENTS * count; e++) {
                const float *const residual = call.din[VPSDE_CONV_RESIDUAL];
                if (residual) want[e] += (double)residual[e];
                want[e] *= scale_of(&shapes[s]);
            }
            assert_ok(b.layer.type->jvp(&b.layer, b.ws, &call));
            assert_all_close(b.dout, want, IMAGES * TANGENTS * count, terms, "tangent", s);
        }
        free(want);
        bench_close(&b);
    }
}

/* gin (set and added to), the gradients of weights and biases. */
static void gradients_are_the_definition(void **state)
{
    (void)state;
    for (size_t s = 0; s < SHAPES; s++) {
        for (size_t n = 1; n <= IMAGES; n++) {
            bench b;
            bench_open(&b, &shapes[s]);
            vpsde_layer_call call = bench_call(&b);
            const size_t count = vpsde_extent_floats(b.layer.out);
            const size_t pixels = vpsde_extent_pixels(b.layer.out);
            double *want[3] = {NULL}, *gradient;
            call.n = n;
            call.add[VPSDE_CONV_X] = n == 2;
            call.add[VPSDE_CONV_X2] = n == 3;
            call.add[VPSDE_CONV_RESIDUAL] = n == 2;
            assert_ok(vpsde_alloc(&gradient, b.n_parameters, sizeof(*gradient)));
            for (size_t i = 0; i < 3; i++) {
                assert_ok(
                    vpsde_alloc(&want[i], n * vpsde_extent_floats(b.layer.in[i]), sizeof(**want)));
            }
            naive a = {.w = b.parameters, .x = call.in, .gout = b.gout, .gradient = gradient};
            a.gin[0] = want[0];
            a.gin[1] = want[1];
            visit(&b, &shapes[s], n, add_gradients, &a);
            for (size_t e = 0; e < n * count; e++) {
                const size_t rows =
                    shapes[s].spec.channels / (shapes[s].spec.n_parts ? shapes[s].spec.n_parts : 1);
                const size_t o = e % b.layer.out.channels;
                gradient[b.layer.parameter[2 * (o / rows) + 1].offset + o % rows] +=
                    (double)b.gout[e];
                if (shapes[s].residual) want[2][e] = (double)b.gout[e];
            }
            for (size_t e = 0; e < b.n_parameters; e++) {
                gradient[e] = gradient[e] * scale_of(&shapes[s]) + (double)b.gradient[e];
            }
            for (size_t i = 0; i < 3; i++) {
                for (size_t e = 0; e < n * vpsde_extent_floats(b.layer.in[i]); e++) {
                    want[i][e] =
                        want[i][e] * scale_of(&shapes[s]) + (call.add[i] ? (double)b.gin[i][e] : 0);
                }
            }
            assert_ok(b.layer.type->forward(&b.layer, b.ws, &call));
            assert_ok(b.layer.type->backward(&b.layer, b.ws, &call));
            assert_all_close(b.gradient, gradient, b.n_parameters, n * pixels, "gradient", s);
            for (size_t i = 0; i < 3; i++) {
                assert_all_close(b.gin[i], want[i], n * vpsde_extent_floats(b.layer.in[i]),
                                 9 * shapes[s].spec.channels, "input's gradient", s);
                free(want[i]);
            }
            free(gradient);
            bench_close(&b);
        }
    }
}

static double dot(size_t count, const float *a, const float *b)
{
    double sum = 0;
    for (size_t e = 0; e < count; e++) sum += (double)a[e] * (double)b[e];
    return sum;
}

/* out(x + v) - out(x) = J v up to round-off, and <J v, w> = <v, J^T w>. */
static void tangents_and_gradients_are_adjoint(void **state)
{
    (void)state;
    for (size_t s = 0; s < SHAPES; s++) {
        bench b;
        bench_open(&b, &shapes[s]);
        vpsde_layer_call call = bench_call(&b);
        const size_t count = IMAGES * vpsde_extent_floats(b.layer.out);
        double inputs = 0, size = 0;
        call.k = 1;
        assert_ok(b.layer.type->forward(&b.layer, b.ws, &call));
        assert_ok(b.layer.type->jvp(&b.layer, b.ws, &call));
        assert_ok(b.layer.type->backward(&b.layer, b.ws, &call));
        for (size_t i = 0; i < 3; i++) {
            const size_t floats_in = IMAGES * vpsde_extent_floats(b.layer.in[i]);
            inputs += dot(floats_in, b.din[i], b.gin[i]);
            size += sqrt(dot(floats_in, b.din[i], b.din[i]) * dot(floats_in, b.gin[i], b.gin[i]));
        }
        assert_close(dot(count, b.dout, b.gout), inputs, 1e-6 * size);

        float *const moved = floats(count, 0);
        call.out = moved;
        for (size_t i = 0; i < 3; i++) {
            for (size_t e = 0; e < IMAGES * vpsde_extent_floats(b.layer.in[i]); e++) {
                b.in[i][e] += b.din[i][e];
            }
        }
        assert_ok(b.layer.type->forward(&b.layer, b.ws, &call));
        const double bound = 1e-6 * sqrt(dot(count, moved, moved) + dot(count, b.out, b.out));
        for (size_t e = 0; e < count; e++) {
            assert_close((double)moved[e] - (double)b.out[e], (double)b.dout[e], bound);
        }
        free(moved);
        bench_close(&b);
    }
}

static void set_threads(size_t n)
{
    if (n == 1) {
        (void)vpsde_serial_begin();
    } else {
        vpsde_serial_end((int)n);
    }
}

/* An image alone, in any place and under any number of the library's threads, keeps its bits; so do
 * gradients of the same call. */
static void an_image_keeps_its_bits(void **state)
{
    (void)state;
    for (size_t s = 0; s < SHAPES; s++) {
        bench first;
        bench_open(&first, &shapes[s]);
        vpsde_layer_call call = bench_call(&first);
        const vpsde_layer *const layer = &first.layer;
        const size_t count = vpsde_extent_floats(layer->out);
        assert_ok(layer->type->forward(layer, first.ws, &call));
        assert_ok(layer->type->jvp(layer, first.ws, &call));
        assert_ok(layer->type->backward(layer, first.ws, &call));
        for (size_t threads = 1; threads <= 3; threads++) {
            bench b;
            const size_t image = threads - 1;
            set_threads(threads);
            bench_open(&b, &shapes[s]);
            call = bench_call(&b);
            assert_ok(layer->type->backward(&b.layer, b.ws, &call));
            assert_memory_equal(b.gradient, first.gradient, b.n_parameters * sizeof(float));
            call.n = 1;
            call.k = 1;
            for (size_t i = 0; i < 3; i++) {
                const size_t in = vpsde_extent_floats(layer->in[i]);
                assert_memory_equal(b.gin[i], first.gin[i], IMAGES * in * sizeof(float));
                if (in == 0) continue;
                call.in[i] = b.in[i] + image * in;
                call.din[i] = b.din[i] + (image * TANGENTS + 1) * in;
            }
            assert_ok(layer->type->forward(&b.layer, b.ws, &call));
            assert_memory_equal(b.out, first.out + image * count, count * sizeof(float));
            assert_ok(layer->type->jvp(&b.layer, b.ws, &call));
            assert_memory_equal(b.dout, first.dout + (image * TANGENTS + 1) * count,
                                count * sizeof(float));
            bench_close(&b);
        }
        bench_close(&first);
    }
    set_threads(2);
}

typedef struct shared_run {
    bench *b;
    float *out;
} shared_run;

static vpsde_status run_blocks(void *data, vpsde_queue *queue)
{
    const shared_run *const run = data;
    const vpsde_layer *const layer = &run->b->layer;
    vpsde_status status = VPSDE_OK;
    void *ws;
    VPSDE_TRY(layer->type->workspace_create(&ws, layer, 1, false));
    float *const scratch = floats(layer->scratch, 0);
    for (size_t i; status == VPSDE_OK && vpsde_queue_take(queue, &i);) {
        vpsde_layer_call call = call_with(run->b, scratch);
        call.n = 1;
        call.out = run->out + i * vpsde_extent_floats(layer->out);
        for (size_t a = 0; a < 3; a++) {
            if (call.in[a]) call.in[a] += i * vpsde_extent_floats(layer->in[a]);
        }
        status = layer->type->forward(layer, ws, &call);
    }
    free(scratch);
    layer->type->workspace_destroy(ws);
    return status;
}

/* Threads share the packed weights, each with a workspace of its own. */
static void threads_share_a_layer(void **state)
{
    (void)state;
    for (size_t s = 0; s < SHAPES; s++) {
        bench b;
        bench_open(&b, &shapes[s]);
        const vpsde_layer_call call = bench_call(&b);
        const size_t count = IMAGES * vpsde_extent_floats(b.layer.out);
        shared_run run = {.b = &b, .out = floats(count, 0)};
        assert_ok(b.layer.type->forward(&b.layer, b.ws, &call));
        assert_ok(vpsde_parallel(3, IMAGES, run_blocks, &run, NULL));
        assert_memory_equal(run.out, b.out, count * sizeof(float));
        free(run.out);
        bench_close(&b);
    }
}

static void fails(const shape *s, const char *words)
{
    vpsde_extent in[VPSDE_LAYER_INPUTS];
    vpsde_layer layer;
    extents(s, in);
    assert_fails(vpsde_conv_make(&layer, &s->spec, in), VPSDE_EINVAL, words);
    assert_null(layer.own);
}

static void impossible_specs_are_refused(void **state)
{
    const shape good = {8, 8, 4, 0, false, {.channels = 6, THREE(1, 1, 1), PART}};
    static const struct {
        shape shape;
        const char *words;
    } bad[] = {
        {{8, 8, 4, 0, false, {.channels = 6, .kernel = 5, .stride = 1, PART}}, "got 5"},
        {{8, 8, 4, 0, false, {.channels = 6, THREE(3, 1, 1), PART}},
         "stride must be 1 or 2, got 3"},
        {{8, 8, 4, 0, false, {.channels = 6, THREE(1, 3, 1), PART}}, "below the kernel 3"},
        {{8, 8, 4, 0, false, {.channels = 6, THREE(2, 1, 1), .upsample = true, PART}}, "doubling"},
        {{8, 8, 4, 0, false, {.channels = 6, THREE(1, 1, 1), .upsample = true, .n_parts = 2, PART}},
         "one part"},
        {{8, 8, 4, 0, false, {.channels = 6, THREE(1, 1, 1), .matrix = true, PART}}, "matrix"},
        {{8, 8, 4, 0, false, {.channels = 6, THREE(1, 1, 1), .n_parts = 4, PART}}, "equal parts"},
        {{8, 8, 4, 0, false, {.channels = 7, THREE(1, 1, 1), .n_parts = 2, PART}}, "equal parts"},
        {{8, 8, 4, 0, false, {.channels = 6, THREE(1, 1, 1), .scale = -1, PART}}, "got -1"},
        {{2, 8, 4, 0, false, {.channels = 6, THREE(1, 0, 0), PART}}, "smaller than the kernel"},
        {{8, 8, 0, 0, false, {.channels = 6, THREE(1, 1, 1), PART}}, "empty or too large"},
        {{8, 8, 4, 70000, false, {.channels = 6, THREE(1, 1, 1), PART}}, "empty or too large"},
        {{1024, 1024, 4, 0, false, {.channels = 2048, THREE(1, 1, 1), PART}}, "is too large"},
        {{8, 8, 4, 0, false, {.channels = 6, THREE(1, 1, 1), .n_parts = 2, .part = {"a"}}},
         "part 1 of 2 has no name"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) fails(&bad[i].shape, bad[i].words);

    vpsde_extent in[VPSDE_LAYER_INPUTS];
    vpsde_layer layer;
    extents(&good, in);
    in[VPSDE_CONV_X2] = (vpsde_extent){8, 7, 4};
    assert_fails(vpsde_conv_make(&layer, &good.spec, in), VPSDE_EINVAL, "cannot be joined");
    extents(&good, in);
    in[VPSDE_CONV_RESIDUAL] = (vpsde_extent){8, 8, 4};
    assert_fails(vpsde_conv_make(&layer, &good.spec, in), VPSDE_EINVAL, "residual has extents");
    extents(&good, in);
    in[3] = (vpsde_extent){8, 8, 4};
    assert_fails(vpsde_conv_make(&layer, &good.spec, in), VPSDE_EINVAL, "got more");
}

/* Names and shapes are the state_dict's. */
static void parameters_have_their_names(void **state)
{
    (void)state;
    bench b;
    bench_open(&b, &shapes[16]);
    assert_int_equal(b.layer.n_parameters, 6);
    assert_string_equal(b.layer.parameter[2].name, "b.weight");
    assert_int_equal(b.layer.parameter[2].rank, 2);
    assert_int_equal(b.layer.parameter[2].dims[0], 32);
    assert_int_equal(b.layer.parameter[2].dims[1], 8);
    assert_string_equal(b.layer.parameter[5].name, "c.bias");
    assert_int_equal(b.layer.flops, 2 * 16 * 96 * 8);

    /* Packing again follows the parameters, whether or not a reverse pass is asked for. */
    vpsde_layer_call call = bench_call(&b);
    float *const zeros = floats(b.n_parameters, 0);
    assert_ok(b.layer.type->pack(&b.layer, zeros, false));
    call.in[VPSDE_CONV_RESIDUAL] = NULL;
    assert_ok(b.layer.type->forward(&b.layer, b.ws, &call));
    for (size_t e = 0; e < IMAGES * vpsde_extent_floats(b.layer.out); e++) {
        assert_true(b.out[e] == 0);
    }
    free(zeros);
    bench_close(&b);
}

/* In each way of working: direct, few outputs, Winograd, Winograd after doubling. */
static void a_reverse_pass_needs_its_workspace(void **state)
{
    static const size_t which[] = {16, 2, 4, 20};
    (void)state;
    for (size_t k = 0; k < sizeof(which) / sizeof(*which); k++) {
        bench b;
        void *forward_only;
        bench_open(&b, &shapes[which[k]]);
        const vpsde_layer_call call = bench_call(&b);
        assert_ok(b.layer.type->workspace_create(&forward_only, &b.layer, IMAGES, false));
        assert_ok(b.layer.type->forward(&b.layer, forward_only, &call));
        assert_fails(b.layer.type->backward(&b.layer, forward_only, &call), VPSDE_EINTERNAL,
                     "3 images was not prepared");
        b.layer.type->workspace_destroy(forward_only);
        bench_close(&b);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(maps_are_the_definition),
        cmocka_unit_test(gradients_are_the_definition),
        cmocka_unit_test(tangents_and_gradients_are_adjoint),
        cmocka_unit_test(an_image_keeps_its_bits),
        cmocka_unit_test(threads_share_a_layer),
        cmocka_unit_test(impossible_specs_are_refused),
        cmocka_unit_test(parameters_have_their_names),
        cmocka_unit_test(a_reverse_pass_needs_its_workspace),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
