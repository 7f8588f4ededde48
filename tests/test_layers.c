#include "tests/check.h"

#include <stdlib.h>

#include "core/parallel.h"
#include "models/layers/linear.h"
#include "models/layers/narrow.h"
#include "models/layers/pointwise.h"

/* Products themselves: width, position and neighbours, over shapes that networks have. */
static void products_keep_their_bits(void **state)
{
    static const size_t shape[][2] = {{128, 128}, {64, 784}, {784, 64}, {2, 128},
                                      {128, 2},   {1, 1},    {37, 300}, {256, 512}};
    (void)state;
    for (size_t s = 0; s < sizeof(shape) / sizeof(*shape); s++) {
        const size_t out = shape[s][0], in = shape[s][1], widest = out > in ? out : in;
        float *const w = calloc(out * in, sizeof(float));
        float *const x = calloc(widest * VPSDE_COLUMNS, sizeof(float));
        float *const y = calloc(widest * VPSDE_COLUMNS, sizeof(float));
        float *const part = calloc(widest * VPSDE_COLUMNS, sizeof(float));
        float *const result = calloc(widest * VPSDE_COLUMNS, sizeof(float));
        assert_true(w && x && y && part && result);
        for (size_t e = 0; e < out * in; e++) w[e] = sinf((float)(e * e % 9973));
        for (size_t e = 0; e < in * VPSDE_COLUMNS; e++) x[e] = cosf((float)(e * 7 % 9973));
        const int saved = vpsde_serial_begin();
        assert_ok(vpsde_linear(out, in, VPSDE_COLUMNS, w, x, y));
        for (size_t columns = VPSDE_COLUMN_STEP; columns <= VPSDE_COLUMNS;
             columns += VPSDE_COLUMN_STEP) {
            for (size_t shift = 0; shift < VPSDE_COLUMNS; shift += 7) {
                for (size_t e = 0; e < in * columns; e++) {
                    const size_t column = (e % columns + shift) % VPSDE_COLUMNS;
                    part[e] = e % columns % 3 ? x[e / columns * VPSDE_COLUMNS + column] : 0;
                }
                assert_ok(vpsde_linear(out, in, columns, w, part, result));
                for (size_t e = 0; e < out * columns; e++) {
                    const size_t column = (e % columns + shift) % VPSDE_COLUMNS;
                    if (e % columns % 3 == 0) continue;
                    assert_true(result[e] == y[e / columns * VPSDE_COLUMNS + column]);
                }
            }
        }
        vpsde_serial_end(saved);
        free(w);
        free(x);
        free(y);
        free(part);
        free(result);
    }
}

/* One column gives the bits of a full product, whichever way it took. */
static void narrow_products_keep_their_bits(void **state)
{
    static const size_t shape[][2] = {{128, 128}, {128, 2}, {2, 128}, {9, 700}, {1, 1}};
    size_t n_chains = 0;
    (void)state;
    for (size_t s = 0; s < sizeof(shape) / sizeof(*shape); s++) {
        const size_t out = shape[s][0], in = shape[s][1];
        float *const w = calloc(out * in, sizeof(float));
        float *const x = calloc(in * VPSDE_COLUMNS, sizeof(float));
        float *const y = calloc(out * VPSDE_COLUMNS, sizeof(float));
        float *const column = calloc(in, sizeof(float));
        float *const result = calloc(out + 8, sizeof(float));
        vpsde_narrow narrow;
        assert_true(w && x && y && column && result);
        for (size_t e = 0; e < out * in; e++) w[e] = sinf((float)(e * e % 9973));
        for (size_t e = 0; e < in * VPSDE_COLUMNS; e++) x[e] = cosf((float)(e * 7 % 9973));
        const int saved = vpsde_serial_begin();
        assert_ok(vpsde_narrow_init(&narrow, out, in, w));
        n_chains += narrow.transposed != NULL;
        assert_ok(vpsde_linear(out, in, VPSDE_COLUMNS, w, x, y));
        for (size_t i = 0; i < VPSDE_COLUMNS; i++) {
            for (size_t k = 0; k < in; k++) column[k] = x[k * VPSDE_COLUMNS + i];
            assert_ok(vpsde_narrow_product(&narrow, column, result));
            for (size_t o = 0; o < out; o++) assert_true(result[o] == y[o * VPSDE_COLUMNS + i]);
        }
        vpsde_serial_end(saved);
        vpsde_narrow_fini(&narrow);
        free(w);
        free(x);
        free(y);
        free(column);
        free(result);
    }
    print_message("chains used for %zu of 5 shapes\n", n_chains);
}

static void silu_is_accurate(void **state)
{
    enum { COUNT = 4096, STRIPS = 1000 };
    static float u[COUNT], y[COUNT], again[COUNT], slope[COUNT];
    (void)state;
    for (size_t k = 0; k < STRIPS; k++) {
        for (size_t e = 0; e < COUNT; e++) {
            u[e] = (float)(160 * (double)(k * COUNT + e) / (STRIPS * COUNT - 1) - 80);
        }
        vpsde_silu(COUNT, y, u);
        vpsde_silu_slope(COUNT, again, slope, u);
        assert_memory_equal(y, again, sizeof(y));
        for (size_t e = 0; e < COUNT; e++) {
            const double v = (double)u[e], minus = exp(-v), s = 1 / (1 + minus);
            assert_close((double)y[e], v * s, 2e-7 * fabs(v * s));
            assert_close((double)slope[e], s + v * s * minus * s, 2.5e-7);
        }
    }
    const float odd[] = {NAN, INFINITY, -INFINITY, 1e30F, -1e30F, -0.0F};
    float out[6];
    vpsde_silu(6, out, odd);
    assert_true(isnan(out[0]) && isinf(out[1]) && out[3] == 1e30F && out[5] == 0);
}

static void time_features_are_accurate(void **state)
{
    const double frequency[2] = {1 / (2 * M_PI), 0.317};
    double label[VPSDE_COLUMNS];
    float f[4 * VPSDE_COLUMNS];
    (void)state;
    for (size_t i = 0; i < VPSDE_COLUMNS; i++) label[i] = 15.7 * (double)i - 5;
    vpsde_time_features(2, VPSDE_COLUMNS, f, frequency, label);
    for (size_t k = 0; k < 2; k++) {
        for (size_t i = 0; i < VPSDE_COLUMNS; i++) {
            const double angle = 2 * M_PI * frequency[k] * label[i];
            assert_close((double)f[k * VPSDE_COLUMNS + i], cos(angle), 1e-7);
            assert_close((double)f[(2 + k) * VPSDE_COLUMNS + i], sin(angle), 1e-7);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(products_keep_their_bits),
        cmocka_unit_test(narrow_products_keep_their_bits),
        cmocka_unit_test(silu_is_accurate),
        cmocka_unit_test(time_features_are_accurate),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
