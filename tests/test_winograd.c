#include "tests/check.h"

#include <stdlib.h>
#include <threads.h>
#include <time.h>

#include "core/mem.h"
#include "core/parallel.h"
#include "models/layers/linear.h"
#include "models/layers/winograd_plan.h"

enum { IMAGES = 3, PAD = 64 };

static const vpsde_winograd shapes[] = {
    {1, 1, {1, 0}, 1, false},     {1, 1, {3, 2}, 5, true},        {2, 2, {8, 0}, 16, false},
    {3, 2, {7, 9}, 4, true},      {1, 9, {16, 0}, 17, false},     {9, 1, {5, 40}, 24, false},
    {4, 4, {40, 0}, 40, false},   {5, 5, {32, 0}, 33, true},      {5, 6, {13, 0}, 40, false},
    {7, 7, {24, 16}, 32, true},   {7, 7, {40, 3}, 8, false},      {8, 9, {1, 0}, 31, false},
    {9, 9, {37, 1}, 40, false},   {9, 8, {40, 39}, 2, true},      {14, 14, {64, 0}, 64, false},
    {28, 28, {32, 0}, 32, false}, {21, 19, {128, 64}, 40, false}, {15, 13, {520, 0}, 16, false},
    {14, 13, {24, 9}, 17, true},
};
enum { SHAPES = sizeof(shapes) / sizeof(*shapes), MANY = 15 }; /* from MANY on: many chunks */

static float *floats(size_t count, uint64_t seed)
{
    float *p;
    assert_ok(vpsde_alloc(&p, count + PAD, sizeof(*p)));
    for (size_t e = 0; seed > 0 && e < count; e++) {
        uint64_t z = seed * 1000003 + e * 0x9E3779B97F4A7C15U;
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9U;
        z = (z ^ (z >> 27)) * 0x94D049BB133111EBU;
        p[e] = (float)((double)((z ^ (z >> 31)) >> 40) / (double)(1 << 23) - 1);
    }
    return p;
}

static size_t in_floats(const vpsde_winograd *w, size_t s)
{
    return w->height * w->width * w->in[s];
}

static size_t out_floats(const vpsde_winograd *w)
{
    return (w->doubled ? 4 : 1) * w->height * w->width * w->out;
}

typedef struct bench {
    const vpsde_winograd *w;
    float *weight, *u, *x[2], *bias, *residual, *out, *scratch;
} bench;

static bench bench_open(const vpsde_winograd *w)
{
    const size_t weights = w->out * (w->in[0] + w->in[1]) * 9;
    bench b = {.w = w,
               .weight = floats(weights, 1),
               .u = floats(vpsde_winograd_weights(w), 0),
               .bias = floats(w->out, 3),
               .residual = floats(IMAGES * out_floats(w), 4),
               .out = floats(IMAGES * out_floats(w), 0),
               .scratch = floats(vpsde_winograd_scratch(w), 0)};
    for (size_t s = 0; s < 2; s++) b.x[s] = floats(IMAGES * in_floats(w, s), 5 + s);
    vpsde_winograd_pack(w, b.u, b.weight);
    return b;
}

static void bench_close(bench *b)
{
    float *const all[] = {b->weight, b->u,        b->x[0], b->x[1],
                          b->bias,   b->residual, b->out,  b->scratch};
    for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++) free(all[i]);
}

/* Nothing that lies in the scratch before a call matters, and nothing behind it is touched. */
static void poison(const bench *b)
{
    const size_t count = vpsde_winograd_scratch(b->w);
    for (size_t e = 0; e < count + PAD; e++) b->scratch[e] = NAN;
}

static void assert_kept(const bench *b)
{
    const size_t count = vpsde_winograd_scratch(b->w);
    for (size_t e = 0; e < PAD; e++) assert_true(isnan(b->scratch[count + e]));
}

static void forward(const bench *b, size_t image, bool bias, bool residual, unsigned sources,
                    float scale)
{
    vpsde_winograd_call c = {.u = b->u,
                             .bias = bias ? b->bias : NULL,
                             .residual = residual ? b->residual + image * out_floats(b->w) : NULL,
                             .scale = scale,
                             .out = b->out + image * out_floats(b->w),
                             .scratch = b->scratch};
    for (size_t s = 0; s < 2; s++) {
        if (sources >> s & 1 && b->w->in[s] > 0) c.x[s] = b->x[s] + image * in_floats(b->w, s);
    }
    poison(b);
    assert_ok(vpsde_winograd_forward(b->w, &c));
    assert_kept(b);
}

static void set_threads(int n)
{
    (void)vpsde_serial_begin();
    vpsde_serial_end(n);
}

/* The input's element that tap t of channel c sees at output pixel p; false outside. */
static bool input_of(const vpsde_winograd *w, size_t p, size_t t, size_t c, size_t *source,
                     size_t *element)
{
    const size_t up = w->doubled ? 2 : 1, row = p / (up * w->width) + t / 3;
    const size_t column = p % (up * w->width) + t % 3;
    if (row < 1 || row > up * w->height || column < 1 || column > up * w->width) return false;
    *source = c >= w->in[0];
    *element = ((row - 1) / up * w->width + (column - 1) / up) * w->in[*source] +
               (*source ? c - w->in[0] : c);
    return true;
}

/* sum[s]: what source s gives output o. */
static void definition(const bench *b, size_t image, size_t o, double sum[2])
{
    const vpsde_winograd *const w = b->w;
    const size_t in = w->in[0] + w->in[1];
    sum[0] = sum[1] = 0;
    for (size_t e = 0; e < in * 9; e++) {
        size_t s, at;
        if (!input_of(w, o / w->out, e % 9, e / 9, &s, &at)) continue;
        sum[s] += (double)b->weight[o % w->out * in * 9 + e] *
                  (double)b->x[s][image * in_floats(w, s) + at];
    }
}

static bool many_chunks(const vpsde_winograd *w)
{
    const winograd_plan p = winograd_plan_of(w);
    return winograd_chunk(&p, p.tiles, p.tile_rows) < p.tile_rows;
}

/* Rounding: the two-fold sums of the transforms and the 4/9 of the products leave less than 1.5e-6 of the
 * largest output. */
static void assert_outputs(const bench *b, double (*sums)[2], unsigned form)
{
    const bool bias = form & 1, residual = form & 2;
    const unsigned sources = form & 4 ? form % 4 : 3;
    const double scale = form & 1 ? 0.75 : 1;
    double worst = 0, largest = 0.1;
    forward(b, 1, bias, residual, sources, (float)scale);
    for (size_t o = 0; o < out_floats(b->w); o++) {
        const size_t at = out_floats(b->w) + o;
        double want = (sources & 1 ? sums[o][0] : 0) + (sources & 2 ? sums[o][1] : 0);
        if (bias) want += (double)b->bias[o % b->w->out];
        if (residual) want += (double)b->residual[at];
        want *= scale;
        worst = fmax(worst, fabs((double)b->out[at] - want));
        largest = fmax(largest, fabs(want));
        if (!isfinite(b->out[at])) fail_msg("form %u: output %zu is not a number", form, o);
    }
    if (!(worst <= 1.5e-6 * largest)) {
        fail_msg("shape %zu, form %u: off by %.3g of %.3g", (size_t)(b->w - shapes), form, worst,
                 largest);
    }
}

static void outputs_are_the_definition(void **state)
{
    (void)state;
    for (size_t k = 0; k < SHAPES; k++) {
        bench b = bench_open(&shapes[k]);
        double(*sums)[2];
        assert_true(many_chunks(b.w) == (k >= MANY));
        assert_ok(vpsde_alloc(&sums, out_floats(b.w), sizeof(*sums)));
        for (size_t o = 0; o < out_floats(b.w); o++) definition(&b, 1, o, sums[o]);
        const int before = vpsde_serial_begin();
        for (int threads = 1; threads <= 3; threads++) {
            set_threads(threads);
            for (unsigned form = 0; form < 8; form++) assert_outputs(&b, sums, form);
        }
        set_threads(before);
        free(sums);
        bench_close(&b);
    }
}

static double dot(size_t count, const float *a, const float *b)
{
    double sum = 0;
    for (size_t e = 0; e < count; e++) sum += (double)a[e] * (double)b[e];
    return sum;
}

/* <conv(x; W), g> = <x, gx> = <W, gW>, source by source; both gradients add to what is there, and either
 * may be left out. */
static void gradients_are_adjoint(void **state)
{
    (void)state;
    for (size_t k = 0; k < SHAPES; k++) {
        bench b = bench_open(&shapes[k]);
        const vpsde_winograd *const w = b.w;
        const size_t weights = w->out * (w->in[0] + w->in[1]) * 9;
        const size_t n_out = IMAGES * out_floats(w), n_u = vpsde_winograd_weights(w);
        const float scale = 0.5F;
        double forms[2] = {0}, sides[2], size = 0;
        float *gx[2], *alone[2], *gu = floats(n_u, 0), *again = floats(n_u, 0);
        float *gradient = floats(weights, 9), *start = floats(weights, 9);
        for (size_t s = 0; s < 2; s++) {
            gx[s] = floats(IMAGES * in_floats(w, s), 0);
            alone[s] = floats(IMAGES * in_floats(w, s), 0);
            for (size_t i = 0; i < IMAGES; i++) forward(&b, i, false, false, 1U << s, scale);
            forms[s] = dot(n_out, b.out, b.residual);
            size += sqrt(dot(n_out, b.out, b.out) * dot(n_out, b.residual, b.residual));
        }
        vpsde_winograd_back back = {.n = IMAGES,
                                    .u = b.u,
                                    .x = {b.x[0], b.x[1]},
                                    .gout = b.residual,
                                    .scale = scale,
                                    .gx = {gx[0], gx[1]},
                                    .gu = gu,
                                    .scratch = b.scratch};
        poison(&b);
        assert_ok(vpsde_winograd_backward(w, &back));
        assert_kept(&b);
        for (size_t s = 0; s < 2; s++) {
            sides[s] = dot(IMAGES * in_floats(w, s), b.x[s], gx[s]);
            assert_close(sides[s], forms[s], 1.5e-6 * size);
        }
        vpsde_winograd_unpack(w, gradient, gu);
        assert_close(dot(weights, b.weight, gradient) - dot(weights, b.weight, start),
                     forms[0] + forms[1], 1.5e-6 * size);

        back.gx[0] = alone[0];
        back.gx[1] = NULL;
        back.gu = NULL;
        poison(&b);
        assert_ok(vpsde_winograd_backward(w, &back));
        assert_memory_equal(alone[0], gx[0], IMAGES * in_floats(w, 0) * sizeof(float));
        back.gx[0] = NULL;
        back.gu = again;
        poison(&b);
        assert_ok(vpsde_winograd_backward(w, &back));
        assert_memory_equal(again, gu, n_u * sizeof(float));

        back.gx[0] = gx[0];
        back.gu = NULL;
        assert_ok(vpsde_winograd_backward(w, &back));
        assert_close(dot(IMAGES * in_floats(w, 0), b.x[0], gx[0]), 2 * sides[0], 3e-6 * size);
        for (size_t s = 0; s < 2; s++) {
            free(gx[s]);
            free(alone[s]);
        }
        free(gu);
        free(again);
        free(gradient);
        free(start);
        bench_close(&b);
    }
}

/* The weights' gradient, element by element, of one image. */
static void weight_gradients_are_the_definition(void **state)
{
    (void)state;
    for (size_t k = 0; k < SHAPES; k++) {
        bench b = bench_open(&shapes[k]);
        const vpsde_winograd *const w = b.w;
        const size_t in = w->in[0] + w->in[1], weights = w->out * in * 9;
        float *const gu = floats(vpsde_winograd_weights(w), 0), *const got = floats(weights, 0);
        const vpsde_winograd_back back = {.n = 1,
                                          .u = b.u,
                                          .x = {b.x[0], b.x[1]},
                                          .gout = b.residual,
                                          .scale = 1,
                                          .gu = gu,
                                          .scratch = b.scratch};
        poison(&b);
        assert_ok(vpsde_winograd_backward(w, &back));
        vpsde_winograd_unpack(w, got, gu);
        double worst = 0, largest = 0.1;
        for (size_t e = 0; e < weights; e++) {
            double want = 0;
            for (size_t p = 0; p < out_floats(w) / w->out; p++) {
                size_t s, at;
                if (!input_of(w, p, e % 9, e / 9 % in, &s, &at)) continue;
                want += (double)b.x[s][at] * (double)b.residual[p * w->out + e / (9 * in)];
            }
            worst = fmax(worst, fabs((double)got[e] - want));
            largest = fmax(largest, fabs(want));
        }
        if (!(worst <= 1.5e-6 * largest))
            fail_msg("shape %zu: off by %.3g of %.3g", k, worst, largest);
        free(gu);
        free(got);
        bench_close(&b);
    }
}

static void bits_depend_on_nothing_else(void **state)
{
    (void)state;
    for (size_t k = 0; k < SHAPES; k++) {
        bench b = bench_open(&shapes[k]);
        const size_t count = out_floats(b.w);
        float *const want = floats(count, 0);
        const int saved = vpsde_serial_begin();
        forward(&b, 0, true, true, 3, 0.5F);
        vpsde_serial_end(saved);
        memcpy(want, b.out, count * sizeof(float));
        for (size_t s = 0; s < 2; s++) {
            memcpy(b.x[s] + 2 * in_floats(b.w, s), b.x[s], in_floats(b.w, s) * sizeof(float));
        }
        memcpy(b.residual + 2 * count, b.residual, count * sizeof(float));
        for (int threads = 1; threads <= 3; threads++) {
            const int before = vpsde_serial_begin();
            set_threads(threads);
            forward(&b, 2, true, true, 3, 0.5F);
            set_threads(before);
            assert_memory_equal(b.out + 2 * count, want, count * sizeof(float));
        }
        free(want);
        bench_close(&b);
    }
}

/* Fails everywhere but on the thread that asked. */
typedef struct elsewhere {
    thrd_t caller;
    vpsde_status status[8];
} elsewhere;

static void fail_elsewhere(void *context, size_t i)
{
    elsewhere *const e = context;
    (void)thrd_sleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    if (thrd_equal(thrd_current(), e->caller)) return;
    e->status[i] = vpsde_fail(VPSDE_EINTERNAL, "a sentence that stays on its thread");
}

static void failures_reach_the_caller(void **state)
{
    (void)state;
    elsewhere e = {.caller = thrd_current(), .status = {VPSDE_OK}};
    const int before = vpsde_serial_begin();
    set_threads(2);
    (void)vpsde_fail(VPSDE_EINVAL, "stale");
    vpsde_team(8, fail_elsewhere, &e);
    assert_fails(vpsde_products_check(8, e.status, 5, "tiles"), VPSDE_EINTERNAL,
                 "a product over 5 tiles");

    /* oneDNN refuses matrices without columns, in every slot of a team. */
    const vpsde_winograd none = {28, 28, {32, 0}, 0, false};
    bench b = bench_open(&none);
    const vpsde_winograd_call c = {
        .u = b.u, .x = {b.x[0]}, .scale = 1, .out = b.out, .scratch = b.scratch};
    assert_true(many_chunks(&none));
    assert_fails(vpsde_winograd_forward(&none, &c), VPSDE_EINTERNAL, "over 196 tiles");
    set_threads(before);
    bench_close(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(outputs_are_the_definition),
        cmocka_unit_test(gradients_are_adjoint),
        cmocka_unit_test(weight_gradients_are_the_definition),
        cmocka_unit_test(bits_depend_on_nothing_else),
        cmocka_unit_test(failures_reach_the_caller),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
