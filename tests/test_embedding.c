#include "tests/check.h"

#include <stdlib.h>

#include "core/mem.h"
#include "models/layers/embedding.h"
#include "models/layers/resample.h"

enum { INPUTS = VPSDE_LAYER_INPUTS, IMAGES = 6, K = 2 };

static uint32_t seed;

static double draw(void)
{
    seed = seed * 1664525U + 1013904223U;
    return (seed >> 8) * 0x1p-23 - 1;
}

static float *fill(size_t count, double scale)
{
    float *values;
    assert_ok(vpsde_alloc(&values, count, sizeof(*values)));
    for (size_t e = 0; e < count; e++) values[e] = (float)(scale * draw());
    return values;
}

/* A made layer with its parameters and the tensors of IMAGES images. */
typedef struct fixture {
    vpsde_layer layer;
    size_t in[INPUTS], out, floats; /* of an image; of the parameters */
    float *parameters;
    vpsde_layer_call call;
} fixture;

static void begin(fixture *f)
{
    vpsde_layer *const layer = &f->layer;
    seed = 11;
    f->floats = 16;
    for (size_t p = 0; p < layer->n_parameters; p++) {
        layer->parameter[p].offset = f->floats;
        f->floats += (layer->parameter[p].count + 15) / 16 * 16;
    }
    f->parameters = fill(f->floats, 0.4);
    if (layer->type->pack) assert_ok(layer->type->pack(layer, f->parameters, true));
    f->out = vpsde_extent_floats(layer->out);
    f->call = (vpsde_layer_call){.n = IMAGES, .k = K, .parameters = f->parameters};
    f->call.scratch = fill(layer->scratch, 1);
    f->call.keep = fill(IMAGES * layer->keep, 1);
    f->call.out = fill(IMAGES * f->out, 1);
    f->call.dout = fill(IMAGES * K * f->out, 1);
    f->call.gout = fill(IMAGES * f->out, 1);
    f->call.gradient = fill(f->floats, 0);
    for (size_t i = 0; i < INPUTS; i++) {
        f->in[i] = vpsde_extent_floats(layer->in[i]);
        if (!f->in[i]) continue;
        f->call.in[i] = fill(IMAGES * f->in[i], 2);
        f->call.din[i] = fill(IMAGES * K * f->in[i], 1);
        f->call.gin[i] = fill(IMAGES * f->in[i], 1);
    }
}

static void end(fixture *f)
{
    if (f->layer.type->destroy) f->layer.type->destroy(&f->layer);
    free(f->parameters);
    free(f->call.scratch);
    free(f->call.keep);
    free(f->call.out);
    free(f->call.dout);
    free((void *)(uintptr_t)f->call.gout);
    free(f->call.gradient);
    for (size_t i = 0; i < INPUTS; i++) {
        free((void *)(uintptr_t)f->call.in[i]);
        free((void *)(uintptr_t)f->call.din[i]);
        free(f->call.gin[i]);
    }
}

static vpsde_status forward(fixture *f)
{
    return f->layer.type->forward(&f->layer, NULL, &f->call);
}

/* <J v, w> = <v, J^T w> for tangents 0 of all inputs at once, and `add` adds to the same bits. */
static void check_adjoint(fixture *f)
{
    double left = 0, right = 0, size = 0;
    assert_ok(f->layer.type->jvp(&f->layer, NULL, &f->call));
    assert_ok(f->layer.type->backward(&f->layer, NULL, &f->call));
    for (size_t i = 0; i < IMAGES; i++) {
        for (size_t e = 0; e < f->out; e++) {
            const double term =
                (double)f->call.dout[i * K * f->out + e] * (double)f->call.gout[i * f->out + e];
            left += term;
            size += fabs(term);
        }
        for (size_t a = 0; a < INPUTS; a++) {
            for (size_t e = 0; e < f->in[a]; e++) {
                right += (double)f->call.din[a][i * K * f->in[a] + e] *
                         (double)f->call.gin[a][i * f->in[a] + e];
            }
        }
    }
    assert_close(left, right, 1e-6 * size);
    vpsde_layer_call more = f->call;
    for (size_t a = 0; a < INPUTS; a++) {
        if (!f->in[a]) continue;
        more.gin[a] = fill(IMAGES * f->in[a], 1);
        more.add[a] = true;
        float *const before = fill(IMAGES * f->in[a], 1);
        memcpy(before, more.gin[a], IMAGES * f->in[a] * sizeof(float));
        assert_ok(f->layer.type->backward(&f->layer, NULL, &more));
        for (size_t e = 0; e < IMAGES * f->in[a]; e++) {
            assert_true(more.gin[a][e] == before[e] + f->call.gin[a][e]);
        }
        free(before);
        free(more.gin[a]);
        more.gin[a] = NULL;
    }
}

static double silu(double u, bool on) { return on ? u / (1 + exp(-u)) : u; }

static double silu_slope(double u, bool on)
{
    const double s = 1 / (1 + exp(-u));
    return on ? s * (1 + u * (1 - s)) : 1;
}

static void sinusoids_are_those_of_diffusers(void **state)
{
    static const double labels[IMAGES] = {0, 1, 17.25, 999, 1e4, 0.001};
    static const int32_t classes[IMAGES] = {0, 1, 17, 999, 10000, 3};
    (void)state;
    for (size_t c = 0; c < 8; c++) {
        const vpsde_sinusoid_spec spec = {c & 4 ? 37 : 128, c & 1, c & 1 ? 0 : 1, c & 2};
        const size_t half = spec.channels / 2;
        fixture f = {0};
        assert_ok(vpsde_sinusoid_make(&f.layer, &spec));
        begin(&f);
        f.call.label = labels;
        f.call.classes = classes;
        assert_ok(forward(&f));
        for (size_t i = 0; i < IMAGES; i++) {
            const double label = spec.of_classes ? classes[i] : labels[i];
            for (size_t j = 0; j < half; j++) {
                const double w = pow(10000, -(double)j / ((double)half - spec.freq_shift));
                const float *const out = f.call.out + i * spec.channels + j;
                assert_close((double)out[spec.cosine_first ? 0 : half], cos(w * label), 1e-6);
                assert_close((double)out[spec.cosine_first ? half : 0], sin(w * label), 1e-6);
            }
            if (c & 4) assert_true(f.call.out[i * 37 + 36] == 0);
        }
        end(&f);
    }
}

static void fourier_features_are_of_the_logarithm(void **state)
{
    static const double labels[IMAGES] = {0.01, 1, 50, 0.5, 1e-5, 1e4};
    (void)state;
    for (size_t first = 0; first < 2; first++) {
        fixture f = {0};
        assert_ok(vpsde_fourier_make(&f.layer, "time_proj", 32, first));
        assert_string_equal(f.layer.parameter[0].name, "time_proj.weight");
        begin(&f);
        for (size_t j = 0; j < 16; j++) f.parameters[16 + j] *= 40;
        assert_ok(f.layer.type->pack(&f.layer, f.parameters, false));
        f.call.label = labels;
        assert_ok(forward(&f));
        for (size_t i = 0; i < IMAGES; i++) {
            for (size_t j = 0; j < 16; j++) {
                const double angle = 2 * M_PI * (double)f.parameters[16 + j] * log(labels[i]);
                const float *const out = f.call.out + i * 32 + j;
                assert_close((double)out[first ? 0 : 16], cos(angle), 1e-6);
                assert_close((double)out[first ? 16 : 0], sin(angle), 1e-6);
            }
        }
        static const double bad[IMAGES] = {1, 0};
        f.call.label = bad;
        assert_fails(forward(&f), VPSDE_EINVAL,
                     "time_proj.weight: the logarithm needs a time above 0, got 0");
        end(&f);
    }
}

static void shared_times_repeat(void **state)
{
    static const double label = 300.5;
    (void)state;
    const vpsde_sinusoid_spec spec = {64, true, 0, false};
    fixture f = {0};
    assert_ok(vpsde_sinusoid_make(&f.layer, &spec));
    begin(&f);
    f.call.label = &label;
    f.call.shared = true;
    assert_ok(forward(&f));
    for (size_t i = 1; i < IMAGES; i++) {
        assert_memory_equal(f.call.out + i * 64, f.call.out, 64 * sizeof(float));
    }
    end(&f);
}

static void make_dense(fixture *f, size_t in, size_t out, size_t silus)
{
    memset(f, 0, sizeof(*f));
    const vpsde_dense_spec spec = {out, silus & 1, silus & 2, "time_embedding.linear_1"};
    assert_ok(vpsde_dense_make(&f->layer, &spec, (vpsde_extent){1, 1, in}));
    begin(f);
}

static void dense_agrees(void **state)
{
    static const size_t sizes[][2] = {{128, 512}, {512, 128}, {1, 1}, {7, 37}, {100, 24}, {33, 8}};
    (void)state;
    for (size_t s = 0; s < 4 * sizeof(sizes) / sizeof(*sizes); s++) {
        const size_t in = sizes[s / 4][0], out = sizes[s / 4][1], silus = s % 4;
        fixture f;
        make_dense(&f, in, out, silus);
        const float *const w = f.parameters + f.layer.parameter[0].offset;
        const float *const b = f.parameters + f.layer.parameter[1].offset;
        assert_ok(forward(&f));
        assert_ok(f.layer.type->jvp(&f.layer, NULL, &f.call));
        for (size_t i = 0; i < IMAGES; i++) {
            for (size_t o = 0; o < out; o++) {
                double z = (double)b[o], dz = 0, size = 1;
                for (size_t k = 0; k < in; k++) {
                    const double x = (double)f.call.in[0][i * in + k];
                    const double dx = (double)f.call.din[0][(i * K + 1) * in + k];
                    const double weight = (double)w[o * in + k];
                    z += weight * silu(x, silus & 1);
                    dz += weight * silu_slope(x, silus & 1) * dx;
                    size += fabs(weight * x);
                }
                assert_close((double)f.call.out[i * out + o], silu(z, silus & 2), 1e-6 * size);
                assert_close((double)f.call.dout[(i * K + 1) * out + o],
                             silu_slope(z, silus & 2) * dz, 2e-6 * size);
            }
        }
        check_adjoint(&f);
        end(&f);
    }
}

static void dense_gradients_agree(void **state)
{
    (void)state;
    for (size_t silus = 0; silus < 4; silus++) {
        const size_t in = 37, out = 21;
        fixture f;
        make_dense(&f, in, out, silus);
        const float *const w = f.parameters + f.layer.parameter[0].offset;
        const float *const b = f.parameters + f.layer.parameter[1].offset;
        double gw[21 * 37] = {0}, gb[21] = {0};
        assert_ok(forward(&f));
        assert_ok(f.layer.type->backward(&f.layer, NULL, &f.call));
        for (size_t i = 0; i < IMAGES; i++) {
            const float *const x = f.call.in[0] + i * in;
            for (size_t o = 0; o < out; o++) {
                double z = (double)b[o];
                for (size_t k = 0; k < in; k++) {
                    z += (double)w[o * in + k] * silu((double)x[k], silus & 1);
                }
                const double g = silu_slope(z, silus & 2) * (double)f.call.gout[i * out + o];
                gb[o] += g;
                for (size_t k = 0; k < in; k++) gw[o * in + k] += g * silu((double)x[k], silus & 1);
            }
        }
        const float *const gradient = f.call.gradient;
        for (size_t e = 0; e < in * out; e++) {
            assert_close((double)gradient[f.layer.parameter[0].offset + e], gw[e], 1e-5);
        }
        for (size_t o = 0; o < out; o++) {
            assert_close((double)gradient[f.layer.parameter[1].offset + o], gb[o], 1e-5);
        }
        end(&f);
    }
}

/* Rows alone, in all numbers together, and repeated for a shared time have the same bits. */
static void dense_rows_are_their_own(void **state)
{
    (void)state;
    fixture f;
    make_dense(&f, 77, 133, 3);
    const size_t n = 133, bytes = 133 * sizeof(float);
    assert_ok(forward(&f));
    float *const all = fill(IMAGES * n, 0), *const gin = fill(IMAGES * 77, 0);
    memcpy(all, f.call.out, IMAGES * bytes);
    assert_ok(f.layer.type->backward(&f.layer, NULL, &f.call));
    memcpy(gin, f.call.gin[0], IMAGES * 77 * sizeof(float));
    for (size_t i = 0; i < IMAGES; i++) {
        vpsde_layer_call one = f.call;
        one.n = 1;
        one.in[0] += i * 77;
        one.gout += i * n;
        assert_ok(f.layer.type->forward(&f.layer, NULL, &one));
        assert_memory_equal(one.out, all + i * n, bytes);
        assert_ok(f.layer.type->backward(&f.layer, NULL, &one));
        assert_memory_equal(one.gin[0], gin + i * 77, 77 * sizeof(float));
    }
    f.call.shared = true; /* a shared time, but rows told apart by their classes */
    assert_ok(forward(&f));
    assert_memory_equal(f.call.out, all, IMAGES * bytes);
    float *const same = fill(IMAGES * 77, 0);
    for (size_t i = 0; i < IMAGES; i++) memcpy(same + i * 77, f.call.in[0], 77 * sizeof(float));
    vpsde_layer_call repeated = f.call;
    repeated.in[0] = same;
    assert_ok(f.layer.type->forward(&f.layer, NULL, &repeated));
    for (size_t i = 0; i < IMAGES; i++) assert_memory_equal(f.call.out + i * n, all, bytes);
    for (size_t i = 1; i < IMAGES; i++) {
        assert_memory_equal(f.call.keep + i * n, f.call.keep, bytes);
    }
    free(same);
    free(all);
    free(gin);
    end(&f);
}

static void classes_pick_rows(void **state)
{
    static const int32_t classes[IMAGES] = {0, 2, -1, 9, 2, 3}, high[IMAGES] = {0, 1, 11};
    static const int32_t low[IMAGES] = {0, -2};
    (void)state;
    fixture f = {0};
    assert_ok(vpsde_class_table_make(&f.layer, "class_embedding.weight", 11, 10,
                                     (vpsde_extent){1, 1, 19}));
    assert_string_equal(f.layer.parameter[0].name, "class_embedding.weight");
    begin(&f);
    f.call.classes = classes;
    assert_ok(forward(&f));
    const float *const table = f.parameters + 16;
    for (size_t e = 0; e < IMAGES * 19; e++) {
        const size_t row = classes[e / 19] < 0 ? 10 : (size_t)classes[e / 19];
        assert_true(f.call.out[e] == f.call.in[0][e] + table[row * 19 + e % 19]);
    }
    check_adjoint(&f);
    memset(f.call.gradient, 0, f.floats * sizeof(float));
    assert_ok(f.layer.type->backward(&f.layer, NULL, &f.call));
    for (size_t j = 0; j < 19; j++) {
        const float *const g = f.call.gout + j, *const got = f.call.gradient + 16 + j;
        assert_true(got[0] == g[0] && got[19] == 0 && got[2 * 19] == g[19] + g[4 * 19]);
        assert_true(got[10 * 19] == g[2 * 19]);
    }
    f.call.classes = NULL;
    assert_ok(forward(&f));
    for (size_t e = 0; e < 19; e++) assert_true(f.call.out[e] == f.call.in[0][e] + table[190 + e]);
    f.call.classes = high;
    assert_fails(forward(&f), VPSDE_EINVAL, "class 11 is not one of 0 to 10");
    f.call.classes = low;
    assert_fails(forward(&f), VPSDE_EINVAL, "class -2 is not one of 0 to 10");
    end(&f);
    assert_ok(vpsde_class_table_make(&f.layer, "class_embedding.weight", 10, SIZE_MAX,
                                     (vpsde_extent){1, 1, 4}));
    begin(&f);
    assert_fails(forward(&f), VPSDE_EINVAL, "no row for class -1 (none), give one of 0 to 9");
    end(&f);
}

static void sums_add(void **state)
{
    (void)state;
    fixture f = {0};
    assert_ok(vpsde_sum_make(&f.layer, (vpsde_extent){1, 1, 21}, (vpsde_extent){1, 1, 21}));
    begin(&f);
    assert_ok(forward(&f));
    for (size_t e = 0; e < IMAGES * 21; e++) {
        assert_true(f.call.out[e] == f.call.in[0][e] + f.call.in[1][e]);
    }
    check_adjoint(&f);
    vpsde_layer_call half = f.call;
    half.din[0] = NULL;
    assert_ok(f.layer.type->jvp(&f.layer, NULL, &half));
    assert_memory_equal(half.dout, half.din[1], IMAGES * K * 21 * sizeof(float));
    end(&f);
}

/* Pixel (r, x) of channel c of image i. */
static float at(const float *images, vpsde_extent e, size_t i, size_t r, size_t x, size_t c)
{
    return images[((i * e.height + r) * e.width + x) * e.channels + c];
}

static void images_double_and_halve(void **state)
{
    static const vpsde_extent extents[] = {{14, 14, 64}, {7, 5, 3}, {2, 3, 1}, {3, 2, 9}};
    (void)state;
    for (size_t s = 0; s < 2 * sizeof(extents) / sizeof(*extents); s++) {
        const vpsde_extent in = extents[s / 2];
        fixture f = {0};
        assert_ok(s % 2 ? vpsde_halve_make(&f.layer, in) : vpsde_double_make(&f.layer, in));
        begin(&f);
        assert_ok(forward(&f));
        const vpsde_extent out = f.layer.out;
        assert_int_equal(out.height, s % 2 ? in.height / 2 : 2 * in.height);
        assert_int_equal(out.width, s % 2 ? in.width / 2 : 2 * in.width);
        const float *const from = f.call.in[0];
        for (size_t e = 0; e < IMAGES * f.out; e++) {
            const size_t c = e % out.channels, x = e / out.channels % out.width;
            const size_t r = e / out.channels / out.width % out.height, i = e / f.out;
            float expected;
            if (s % 2 == 0) {
                expected = at(from, in, i, r / 2, x / 2, c);
            } else {
                const size_t y = 2 * r, z = 2 * x;
                expected =
                    0.25F * ((at(from, in, i, y, z, c) + at(from, in, i, y, z + 1, c)) +
                             (at(from, in, i, y + 1, z, c) + at(from, in, i, y + 1, z + 1, c)));
            }
            assert_true(f.call.out[e] == expected);
        }
        check_adjoint(&f);
        end(&f);
    }
}

static void bad_shapes_are_named(void **state)
{
    const vpsde_extent one = {1, 1, 4}, image = {2, 2, 4};
    const vpsde_sinusoid_spec none = {1, true, 0, false}, shifted = {2, true, 1, false};
    const vpsde_dense_spec empty = {0, false, false, "l"}, some = {4, false, false, "l"};
    vpsde_layer layer;
    (void)state;
    assert_fails(vpsde_sinusoid_make(&layer, &none), VPSDE_EINVAL, "1 channels with freq_shift 0");
    assert_fails(vpsde_sinusoid_make(&layer, &shifted), VPSDE_EINVAL, "leave no frequencies");
    assert_fails(vpsde_fourier_make(&layer, "t", 7, true), VPSDE_EINVAL, "even and above 0, got 7");
    assert_fails(vpsde_dense_make(&layer, &empty, one), VPSDE_EINVAL, "to 0 values");
    assert_fails(vpsde_dense_make(&layer, &some, image), VPSDE_EINVAL, "got 2 x 2 x 4 to 4");
    assert_fails(vpsde_class_table_make(&layer, "t", 3, 3, one), VPSDE_EINVAL,
                 "row 3 for no class in a table of 3");
    assert_fails(vpsde_class_table_make(&layer, "t", 3, 2, image), VPSDE_EINVAL, "2 x 2 x 4");
    assert_fails(vpsde_sum_make(&layer, one, image), VPSDE_EINVAL, "1 x 1 x 4 and 2 x 2 x 4");
    assert_fails(vpsde_double_make(&layer, (vpsde_extent){0, 2, 1}), VPSDE_EINVAL, "0 x 2 x 1");
    assert_fails(vpsde_halve_make(&layer, (vpsde_extent){1, 8, 3}), VPSDE_EINVAL, "1 x 8 x 3");
    const vpsde_sinusoid_spec classes = {8, true, 0, true};
    fixture f = {0};
    assert_ok(vpsde_sinusoid_make(&f.layer, &classes));
    begin(&f);
    assert_fails(forward(&f), VPSDE_EINVAL, "takes its class as a number: image 0 has class -1");
    end(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sinusoids_are_those_of_diffusers),
        cmocka_unit_test(fourier_features_are_of_the_logarithm),
        cmocka_unit_test(shared_times_repeat),
        cmocka_unit_test(dense_agrees),
        cmocka_unit_test(dense_gradients_agree),
        cmocka_unit_test(dense_rows_are_their_own),
        cmocka_unit_test(classes_pick_rows),
        cmocka_unit_test(sums_add),
        cmocka_unit_test(images_double_and_halve),
        cmocka_unit_test(bad_shapes_are_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
