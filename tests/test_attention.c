/* Attention against the same sums in double, its derivatives against differences of those, and its
 * bits against every way of calling it. */
#include "tests/check.h"

#include <stdlib.h>

#include "core/parallel.h"
#include "models/layers/attention.h"

enum { N = 3, K = 2 };

typedef struct shape {
    size_t height, width, channels, heads;
} shape;

/* One pixel, one channel a head, several blocks, sides that are no multiple of anything. */
static const shape SHAPES[] = {{1, 1, 1, 1},   {1, 1, 12, 3}, {3, 3, 5, 5},    {7, 7, 24, 3},
                               {4, 4, 32, 1},  {8, 8, 48, 6}, {14, 13, 16, 2}, {16, 16, 24, 3},
                               {17, 13, 9, 3}, {32, 32, 8, 2}};
enum { N_SHAPES = sizeof(SHAPES) / sizeof(*SHAPES) };

typedef struct bench {
    vpsde_layer layer;
    size_t in, out, keep; /* floats an image */
    float *x, *y, *p, *dx, *dy, *g, *gx;
} bench;

static float *numbers(size_t count, size_t seed)
{
    float *const x = malloc(count * sizeof(*x));
    assert_non_null(x);
    for (size_t e = 0; e < count; e++) x[e] = 2.0F * sinf((float)((e * e + seed * 77) % 9973));
    return x;
}

static bench bench_create(const shape *s)
{
    bench b = {.in = s->height * s->width * 3 * s->channels};
    assert_ok(vpsde_attention_make(&b.layer, s->heads,
                                   (vpsde_extent){s->height, s->width, 3 * s->channels}));
    b.out = vpsde_extent_floats(b.layer.out);
    b.keep = b.layer.keep;
    assert_int_equal(b.out * 3, b.in);
    b.x = numbers(N * b.in, 1);
    b.dx = numbers(N * K * b.in, 2);
    b.g = numbers(N * b.out, 3);
    b.y = numbers(N * b.out, 4);
    b.p = numbers(N * b.keep, 5);
    b.dy = numbers(N * K * b.out, 6);
    b.gx = numbers(N * b.in, 7);
    return b;
}

static void bench_destroy(bench *b)
{
    b->layer.type->destroy(&b->layer);
    float *const all[] = {b->x, b->dx, b->g, b->y, b->p, b->dy, b->gx};
    for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++) free(all[i]);
}

static void forward(const bench *b, void *ws, size_t n, const float *x, float *y, float *keep)
{
    const vpsde_layer_call call = {.n = n, .in = {x}, .out = y, .keep = keep};
    assert_ok(b->layer.type->forward(&b->layer, ws, &call));
}

static void jvp(const bench *b, void *ws, size_t first, size_t n, size_t k, float *dy)
{
    const vpsde_layer_call call = {.n = n,
                                   .k = k,
                                   .in = {b->x + first * b->in},
                                   .out = b->y + first * b->out,
                                   .keep = b->p + first * b->keep,
                                   .din = {b->dx + first * K * b->in},
                                   .dout = dy};
    assert_ok(b->layer.type->jvp(&b->layer, ws, &call));
}

static void backward(const bench *b, void *ws, size_t first, size_t n, float *gx, bool add)
{
    const vpsde_layer_call call = {.n = n,
                                   .in = {b->x + first * b->in},
                                   .out = b->y + first * b->out,
                                   .keep = b->p + first * b->keep,
                                   .gout = b->g + first * b->out,
                                   .gin = {gx},
                                   .add = {add}};
    assert_ok(b->layer.type->backward(&b->layer, ws, &call));
}

/* Row `i` of one head's output in double, of x + step dx. */
static void naive_row(const bench *b, const shape *s, const float *x, const float *dx, double step,
                      size_t head, size_t i, double *out)
{
    static double weight[1024];
    const size_t pixels = s->height * s->width, c = s->channels, d = c / s->heads;
    double most = -INFINITY, sum = 0;
    (void)b;
#define AT(pixel, part, j)                                                                         \
    ((double)x[(pixel)*3 * c + (part)*c + head * d + (j)] +                                        \
     step * (double)dx[(pixel)*3 * c + (part)*c + head * d + (j)])
    for (size_t m = 0; m < pixels; m++) {
        weight[m] = 0;
        for (size_t j = 0; j < d; j++) weight[m] += AT(i, 0, j) * AT(m, 1, j) / sqrt((double)d);
        most = fmax(most, weight[m]);
    }
    for (size_t m = 0; m < pixels; m++) sum += weight[m] = exp(weight[m] - most);
    for (size_t j = 0; j < d; j++) {
        out[j] = 0;
        for (size_t m = 0; m < pixels; m++) out[j] += weight[m] / sum * AT(m, 2, j);
    }
#undef AT
}

static void check_row(const bench *b, const shape *s, size_t image, size_t head, size_t i)
{
    enum { WIDTH = 32 };
    const double step = 1e-5;
    const size_t d = s->channels / s->heads;
    double at[WIDTH], above[WIDTH], below[WIDTH];
    assert_true(d <= WIDTH);
    const float *const x = b->x + image * b->in;
    naive_row(b, s, x, x, 0, head, i, at);
    for (size_t j = 0; j < d; j++) {
        const size_t e = i * s->channels + head * d + j;
        assert_close(b->y[image * b->out + e], at[j], 2e-5);
    }
    for (size_t k = 0; k < K; k++) {
        const float *const dx = b->dx + (image * K + k) * b->in;
        naive_row(b, s, x, dx, step, head, i, above);
        naive_row(b, s, x, dx, -step, head, i, below);
        for (size_t j = 0; j < d; j++) {
            const size_t e = i * s->channels + head * d + j;
            assert_close(b->dy[(image * K + k) * b->out + e], (above[j] - below[j]) / (2 * step),
                         3e-4);
        }
    }
}

static void values_and_tangents_are_right(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_SHAPES; i++) {
        bench b = bench_create(&SHAPES[i]);
        const size_t pixels = SHAPES[i].height * SHAPES[i].width;
        void *ws;
        assert_ok(b.layer.type->workspace_create(&ws, &b.layer, N * K, true));
        forward(&b, ws, N, b.x, b.y, b.p);
        jvp(&b, ws, 0, N, K, b.dy);
        for (size_t image = 0; image < N; image++) {
            for (size_t head = 0; head < SHAPES[i].heads; head++) {
                for (size_t row = 0; row < pixels; row += 1 + pixels / 20) {
                    check_row(&b, &SHAPES[i], image, head, row);
                }
                check_row(&b, &SHAPES[i], image, head, pixels - 1);
            }
        }
        b.layer.type->workspace_destroy(ws);
        bench_destroy(&b);
    }
}

static double dot(size_t count, const float *x, const float *y, double *scale)
{
    double sum = 0;
    for (size_t e = 0; e < count; e++) {
        sum += (double)x[e] * (double)y[e];
        *scale += fabs((double)x[e] * (double)y[e]);
    }
    return sum;
}

/* <J v, g> = <v, J^T g>, and `add` adds the same numbers. */
static void gradients_are_adjoint(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_SHAPES; i++) {
        bench b = bench_create(&SHAPES[i]);
        float *const sum = numbers(N * b.in, 9), *const before = numbers(N * b.in, 9);
        void *ws;
        assert_ok(b.layer.type->workspace_create(&ws, &b.layer, N * K, true));
        forward(&b, ws, N, b.x, b.y, b.p);
        jvp(&b, ws, 0, N, K, b.dy);
        backward(&b, ws, 0, N, b.gx, false);
        backward(&b, ws, 0, N, sum, true);
        for (size_t image = 0; image < N; image++) {
            for (size_t k = 0; k < K; k++) {
                const size_t row = image * K + k;
                double scale = 0;
                const double l = dot(b.out, b.dy + row * b.out, b.g + image * b.out, &scale);
                const double r = dot(b.in, b.dx + row * b.in, b.gx + image * b.in, &scale);
                assert_close(l, r, 1e-6 * scale);
            }
        }
        for (size_t e = 0; e < N * b.in; e++) {
            assert_close(sum[e], (double)before[e] + (double)b.gx[e],
                         2e-6 * (1 + fabs((double)b.gx[e])));
        }
        const vpsde_layer_call nothing = {.n = N};
        assert_ok(b.layer.type->backward(&b.layer, ws, &nothing));
        b.layer.type->workspace_destroy(ws);
        free(sum);
        free(before);
        bench_destroy(&b);
    }
}

static void check_same(const float *a, const float *b, size_t count)
{
    assert_memory_equal(a, b, count * sizeof(*a));
}

/* Each image alone, without a tape, with one tangent: the bits of all together. */
static vpsde_status other_ways(void *shared, vpsde_queue *queue)
{
    const bench *const b = shared;
    const vpsde_layer_type *const type = b->layer.type;
    size_t block;
    void *ws;
    if (!vpsde_queue_take(queue, &block)) return VPSDE_OK;
    float *const y = numbers(N * b->out, 0), *const p = numbers(N * b->keep, 0);
    float *const dy = numbers(N * K * b->out, 0), *const gx = numbers(N * b->in, 0);
    assert_ok(type->workspace_create(&ws, &b->layer, N * K, true));
    for (size_t n = 1; n <= N; n++) {
        for (size_t first = 0; first + n <= N; first++) {
            const float *const x = b->x + first * b->in;
            forward(b, ws, n, x, y, NULL);
            check_same(y, b->y + first * b->out, n * b->out);
            forward(b, ws, n, x, y, p);
            check_same(y, b->y + first * b->out, n * b->out);
            check_same(p, b->p + first * b->keep, n * b->keep);
            jvp(b, ws, first, n, K, dy);
            check_same(dy, b->dy + first * K * b->out, n * K * b->out);
            backward(b, ws, first, n, gx, false);
            check_same(gx, b->gx + first * b->in, n * b->in);
        }
    }
    for (size_t first = 0; first < N; first++) {
        jvp(b, ws, first, 1, 1, dy);
        check_same(dy, b->dy + first * K * b->out, b->out);
    }
    type->workspace_destroy(ws);
    float *const all[] = {y, p, dy, gx};
    for (size_t i = 0; i < 4; i++) free(all[i]);
    return VPSDE_OK;
}

static void bits_are_an_images_own(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_SHAPES; i++) {
        bench b = bench_create(&SHAPES[i]);
        void *ws;
        assert_ok(b.layer.type->workspace_create(&ws, &b.layer, N * K, true));
        forward(&b, ws, N, b.x, b.y, b.p);
        jvp(&b, ws, 0, N, K, b.dy);
        backward(&b, ws, 0, N, b.gx, false);
        for (size_t threads = 1; threads <= 3; threads++) {
            assert_ok(vpsde_parallel(threads, 1, other_ways, &b, NULL));
        }
        b.layer.type->workspace_destroy(ws);
        bench_destroy(&b);
    }
}

/* Scores far apart neither overflow nor lose the largest; a NaN stays one. */
static void extremes_are_kept(void **state)
{
    static const shape s = {1, 3, 1, 1};
    bench b = bench_create(&s);
    static const float x[9] = {1e4F, 30, 5, 1e4F, -20, 7, -1e4F, 10, 9};
    float y[3];
    void *ws;
    (void)state;
    assert_ok(b.layer.type->workspace_create(&ws, &b.layer, 1, false));
    forward(&b, ws, 1, x, y, NULL);
    for (size_t i = 0; i < 3; i++) assert_close(y[i], i < 2 ? 5 : 7, 0);
    float bad[9];
    memcpy(bad, x, sizeof(bad));
    bad[4] = NAN;
    forward(&b, ws, 1, bad, y, NULL);
    for (size_t i = 0; i < 3; i++) assert_true(isnan(y[i]));
    b.layer.type->workspace_destroy(ws);
    bench_destroy(&b);
}

static void bad_extents_are_refused(void **state)
{
    vpsde_layer layer;
    (void)state;
    assert_fails(vpsde_attention_make(&layer, 1, (vpsde_extent){0, 4, 12}), VPSDE_EINVAL,
                 "0 x 4 pixels");
    assert_fails(vpsde_attention_make(&layer, 1, (vpsde_extent){256, 256, 12}), VPSDE_EINVAL,
                 "256 x 256");
    assert_fails(vpsde_attention_make(&layer, 3, (vpsde_extent){4, 4, 12}), VPSDE_EINVAL,
                 "3 heads on 12 channels");
    assert_fails(vpsde_attention_make(&layer, 1, (vpsde_extent){4, 4, 13}), VPSDE_EINVAL,
                 "13 channels");
    assert_fails(vpsde_attention_make(&layer, 0, (vpsde_extent){4, 4, 12}), VPSDE_EINVAL,
                 "0 heads");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_and_tangents_are_right), cmocka_unit_test(gradients_are_adjoint),
        cmocka_unit_test(bits_are_an_images_own),        cmocka_unit_test(extremes_are_kept),
        cmocka_unit_test(bad_extents_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
