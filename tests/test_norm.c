#include "tests/check.h"

#include <stdlib.h>

#include "core/mem.h"
#include "core/parallel.h"
#include "models/layers/norm.h"
#include "models/layers/norm_kernel.h"

enum {
    X = VPSDE_NORM_X,
    X2 = VPSDE_NORM_X2,
    SHIFT = VPSDE_NORM_SHIFT,
    SCALE = VPSDE_NORM_SCALE_SHIFT
};
enum { INPUTS = VPSDE_LAYER_INPUTS, IMAGES = 3, GAMMA = 4, BETA = 5, ARGUMENTS = 6 };

typedef struct shape {
    size_t side, c1, c2, groups;
    bool shift, scale, silu;
} shape;

static const shape shapes[] = {
    {28, 64, 0, 8, true, false, true},    {28, 64, 0, 32, false, false, true},
    {7, 128, 128, 32, true, false, true}, {5, 3, 0, 3, true, true, true},
    {9, 1, 0, 1, false, false, true},     {9, 5, 7, 2, true, true, true},
    {14, 200, 0, 8, true, true, false},   {1, 32, 0, 8, true, false, true},
    {1, 64, 64, 1, false, true, true},    {13, 8, 0, 8, false, false, false},
    {28, 16, 8, 24, true, true, true},    {11, 65, 0, 5, true, false, true},
    {2, 7, 0, 1, false, true, true},      {17, 24, 0, 6, true, false, true},
    {3, 199, 1, 20, false, false, true},
};
enum { SHAPES = sizeof(shapes) / sizeof(*shapes) };

static uint32_t seed;

static double draw(void)
{
    double sum = -6;
    for (int i = 0; i < 12; i++) {
        seed = seed * 1664525U + 1013904223U;
        sum += (seed >> 8) * 0x1p-24;
    }
    return sum;
}

static float *fill(size_t count, double mean, double deviation)
{
    float *values;
    assert_ok(vpsde_alloc(&values, count, sizeof(*values)));
    for (size_t e = 0; e < count; e++) values[e] = (float)(mean + deviation * draw());
    return values;
}

typedef struct fixture {
    shape s;
    vpsde_layer layer;
    size_t pixels, channels, out;
    size_t count[ARGUMENTS]; /* floats of an image; of gamma and beta */
    float *in[INPUTS], *parameters, *scratch, *keep, *values;
    vpsde_layer_call call;
} fixture;

static void begin(fixture *f, const shape *s, double mean)
{
    seed = 7;
    memset(f, 0, sizeof(*f));
    f->s = *s;
    const size_t c = s->c1 + s->c2;
    const vpsde_extent in[INPUTS] = {{s->side, s->side, s->c1},
                                     {s->side, s->side, s->c2},
                                     {1, 1, s->shift ? c : 0},
                                     {1, 1, s->scale ? 2 * c : 0}};
    const vpsde_norm_spec spec = {s->groups, 1e-5, s->silu, "down.norm1"};
    assert_ok(vpsde_norm_make(&f->layer, &spec, in));
    f->channels = c;
    f->pixels = s->side * s->side;
    f->out = f->pixels * c;
    f->layer.parameter[1].offset = (c + 15) / 16 * 16;
    f->parameters = fill(2 * f->layer.parameter[1].offset, 0.7, 0.5);
    for (size_t i = 0; i < INPUTS; i++) {
        f->count[i] = in[i].channels ? vpsde_extent_floats(in[i]) : 0;
        if (f->count[i]) f->in[i] = fill(IMAGES * f->count[i], i < 2 ? mean : 0, 1);
    }
    f->count[GAMMA] = f->count[BETA] = c;
    f->scratch = fill(f->layer.scratch, 0, 1);
    f->keep = fill(IMAGES * f->layer.keep, 0, 1);
    f->values = fill(IMAGES * f->out, 0, 1);
    f->call = (vpsde_layer_call){.n = IMAGES,
                                 .parameters = f->parameters,
                                 .scratch = f->scratch,
                                 .keep = f->keep,
                                 .out = f->values};
    memcpy(f->call.in, f->in, sizeof(f->in));
    assert_ok(f->layer.type->forward(&f->layer, NULL, &f->call));
}

static void end(fixture *f)
{
    f->layer.type->destroy(&f->layer);
    for (size_t i = 0; i < INPUTS; i++) free(f->in[i]);
    free(f->parameters);
    free(f->scratch);
    free(f->keep);
    free(f->values);
}

static const float *argument(const fixture *f, size_t a, size_t image)
{
    if (a == GAMMA) return f->parameters;
    if (a == BETA) return f->parameters + f->layer.parameter[1].offset;
    return f->in[a] ? f->in[a] + image * f->count[a] : NULL;
}

static double value(const fixture *f, size_t a, size_t image, const float *v, double h, size_t e)
{
    const float *const base = argument(f, a, image);
    return (base ? (double)base[e] : 0) + (v ? h * (double)v[e] : 0);
}

/* One image at arguments moved by h along v, as the header writes it. */
static void reference(const fixture *f, size_t image, const float *const v[ARGUMENTS], double h,
                      double *out)
{
    const size_t channels = f->channels, size = channels / f->s.groups;
    for (size_t p = 0; p < f->pixels; p++) {
        for (size_t c = 0; c < channels; c++) {
            const bool second = c >= f->s.c1;
            const size_t e = second ? p * f->s.c2 + c - f->s.c1 : p * f->s.c1 + c;
            out[p * channels + c] = value(f, second ? X2 : X, image, v[second ? X2 : X], h, e) +
                                    value(f, SHIFT, image, v[SHIFT], h, c);
        }
    }
    for (size_t g = 0; g < f->s.groups; g++) {
        const double count = (double)(f->pixels * size);
        double mean = 0, square = 0;
        for (size_t e = 0; e < f->pixels * size; e++) {
            mean += out[e / size * channels + g * size + e % size] / count;
        }
        for (size_t e = 0; e < f->pixels * size; e++) {
            square += pow(out[e / size * channels + g * size + e % size] - mean, 2) / count;
        }
        for (size_t e = 0; e < f->pixels * size; e++) {
            const size_t c = g * size + e % size;
            double *const u = &out[e / size * channels + c];
            *u = value(f, GAMMA, image, v[GAMMA], h, c) * (*u - mean) / sqrt(square + 1e-5) +
                 value(f, BETA, image, v[BETA], h, c);
            *u *= 1 + value(f, SCALE, image, v[SCALE], h, c);
            if (f->s.scale) *u += value(f, SCALE, image, v[SCALE], h, channels + c);
            if (f->s.silu) *u /= 1 + exp(-*u);
        }
    }
}

static const float *const still[ARGUMENTS];

static double worst(const fixture *f)
{
    double *const expected = calloc(f->out, sizeof(double)), error = 0;
    assert_non_null(expected);
    for (size_t i = 0; i < IMAGES; i++) {
        reference(f, i, still, 0, expected);
        for (size_t e = 0; e < f->out; e++) {
            const double off = fabs((double)f->values[i * f->out + e] - expected[e]);
            error = fmax(error, off / fmax(1, fabs(expected[e])));
        }
    }
    free(expected);
    return error;
}

static void forward_agrees(void **state)
{
    (void)state;
    for (size_t s = 0; s < SHAPES; s++) {
        fixture f;
        begin(&f, &shapes[s], 0.3);
        assert_close(worst(&f), 0, 1.5e-6);
        end(&f);
    }
}

/* The mean is 100 deviations: h itself then has 6e-6 deviations of rounding, the norm adds none. */
static void far_means_cost_no_digits(void **state)
{
    (void)state;
    for (size_t s = 0; s < SHAPES; s++) {
        shape alone = shapes[s];
        fixture f;
        if (alone.shift || (alone.side == 1 && alone.c1 == alone.groups)) continue;
        begin(&f, &alone, 100);
        assert_close(worst(&f), 0, 1.5e-6);
        end(&f);
    }
}

static void without_keep_the_same(void **state)
{
    (void)state;
    fixture f;
    begin(&f, &shapes[5], 0);
    float *const again = fill(IMAGES * f.out, 0, 1);
    vpsde_layer_call call = f.call;
    call.keep = NULL;
    call.out = again;
    assert_ok(f.layer.type->forward(&f.layer, NULL, &call));
    assert_memory_equal(again, f.values, IMAGES * f.out * sizeof(float));
    free(again);
    end(&f);
}

/* v^T (f(h) - f(-h)) / 2h of one image by the double reference. */
static double slope(const fixture *f, size_t image, const float *const v[ARGUMENTS], const float *w)
{
    const double h = 1e-5;
    double *const up = calloc(f->out, sizeof(double)), *const down = calloc(f->out, sizeof(double));
    assert_true(up && down);
    reference(f, image, v, h, up);
    reference(f, image, v, -h, down);
    double sum = 0;
    for (size_t e = 0; e < f->out; e++) sum += (double)w[e] * (up[e] - down[e]) / (2 * h);
    free(up);
    free(down);
    return sum;
}

/* Every element of the tangents against central differences, for tangents of x, of x2, and of both. */
static void tangents_agree(void **state)
{
    enum { K = 3 };
    (void)state;
    for (size_t s = 0; s < SHAPES; s++) {
        fixture f;
        begin(&f, &shapes[s], 0.3);
        double *const up = calloc(f.out, sizeof(double)), *const down =
                                                              calloc(f.out, sizeof(double));
        float *const dout = fill(IMAGES * K * f.out, 0, 1);
        float *const v[2] = {fill(IMAGES * K * f.count[X], 0.2, 1),
                             fill(IMAGES * K * f.count[X2] + 1, 0.2, 1)};
        assert_true(up && down);
        for (size_t mask = 0; mask < 4; mask++) {
            vpsde_layer_call call = f.call;
            call.k = K;
            call.dout = dout;
            for (size_t i = 0; i < 2; i++) call.din[i] = mask >> i & 1 && f.in[i] ? v[i] : NULL;
            assert_ok(f.layer.type->jvp(&f.layer, NULL, &call));
            for (size_t t = 0; t < IMAGES * K; t++) {
                const float *at[ARGUMENTS] = {0};
                for (size_t i = 0; i < 2; i++) {
                    if (call.din[i]) at[i] = call.din[i] + t * f.count[i];
                }
                reference(&f, t / K, at, 1e-5, up);
                reference(&f, t / K, at, -1e-5, down);
                for (size_t e = 0; e < f.out; e++) {
                    const double expected = (up[e] - down[e]) / 2e-5;
                    assert_close((double)dout[t * f.out + e], expected,
                                 6e-6 * (1 + fabs(expected)));
                }
            }
        }
        free(v[0]);
        free(v[1]);
        free(dout);
        free(up);
        free(down);
        end(&f);
    }
}

/* Along random directions of each argument, with what was there before where `add` says so. */
static void gradients_agree(void **state)
{
    (void)state;
    for (size_t s = 0; s < SHAPES; s++) {
        fixture f;
        begin(&f, &shapes[s], 0.3);
        float *const gout = fill(IMAGES * f.out, 0.1, 1), *gin[INPUTS] = {0};
        float *const gradient = fill(2 * f.layer.parameter[1].offset, 0, 0);
        vpsde_layer_call call = f.call;
        call.gout = gout;
        call.gradient = gradient;
        for (size_t i = 0; i < INPUTS; i++) {
            if (!f.in[i]) continue;
            call.add[i] = (s + i) % 2;
            call.gin[i] = gin[i] = fill(IMAGES * f.count[i], call.add[i] ? 0 : 3, 0);
        }
        assert_ok(f.layer.type->backward(&f.layer, NULL, &call));
        for (size_t a = 0; a < ARGUMENTS; a++) {
            const bool parameter = a >= GAMMA;
            const float *const g =
                parameter ? gradient + (argument(&f, a, 0) - f.parameters) : gin[a];
            if (!g) continue;
            float *const v = fill(IMAGES * f.count[a], 0.2, 1);
            double expected = 0, got = 0, size = 1;
            for (size_t i = 0; i < IMAGES; i++) {
                const size_t at = parameter ? 0 : i * f.count[a];
                const float *along[ARGUMENTS] = {0};
                along[a] = v + at;
                expected += slope(&f, i, along, gout + i * f.out);
                if (parameter && i > 0) continue;
                for (size_t e = 0; e < f.count[a]; e++) {
                    got += (double)g[at + e] * (double)v[at + e];
                    size += fabs((double)g[at + e] * (double)v[at + e]);
                }
            }
            assert_close(got, expected, 2e-6 * size);
            free(v);
        }
        for (size_t i = 0; i < INPUTS; i++) free(gin[i]);
        free(gout);
        free(gradient);
        end(&f);
    }
}

/* gin += and the gradients wanted alone give the values of = and of all together. */
static void gradients_add(void **state)
{
    (void)state;
    fixture f;
    begin(&f, &shapes[10], 0.3);
    float *const gout = fill(IMAGES * f.out, 0.1, 1);
    float *const gradient = fill(2 * f.layer.parameter[1].offset, 0, 0);
    for (size_t i = 0; i < INPUTS; i++) {
        float *const first = fill(IMAGES * f.count[i], 0, 1);
        float *const more = fill(IMAGES * f.count[i], 5, 0);
        vpsde_layer_call call = f.call;
        call.gout = gout;
        call.gin[i] = first;
        assert_ok(f.layer.type->backward(&f.layer, NULL, &call));
        call.gin[i] = more;
        call.add[i] = true;
        call.gradient = gradient;
        assert_ok(f.layer.type->backward(&f.layer, NULL, &call));
        for (size_t e = 0; e < IMAGES * f.count[i]; e++) assert_true(more[e] == 5 + first[e]);
        free(first);
        free(more);
    }
    free(gout);
    free(gradient);
    end(&f);
}

/* Image 2 alone, on one thread, has the bits it has as the last of three on several. */
static void bits_are_the_images_own(void **state)
{
    enum { K = 11, LAST = IMAGES - 1 };
    (void)state;
    for (size_t s = 0; s < SHAPES; s++) {
        fixture f;
        begin(&f, &shapes[s], 0.3);
        float *const din = fill(IMAGES * K * f.count[X], 0, 1), *const gout =
                                                                    fill(IMAGES * f.out, 0, 1);
        float *const dout = fill(IMAGES * K * f.out, 0, 1), *const gin =
                                                                fill(IMAGES * f.count[X], 0, 1);
        float *const out = fill(f.out, 0, 1), *const dout1 = fill(f.out, 0, 1);
        float *const gin1 = fill(f.count[X], 0, 1), *const keep = fill(f.layer.keep, 0, 1);
        vpsde_layer_call all = f.call, one = f.call;
        all.k = K;
        all.din[X] = din;
        all.dout = dout;
        all.gout = gout;
        all.gin[X] = gin;
        assert_ok(f.layer.type->jvp(&f.layer, NULL, &all));
        assert_ok(f.layer.type->backward(&f.layer, NULL, &all));
        one.n = one.k = 1;
        for (size_t i = 0; i < INPUTS; i++) {
            if (f.in[i]) one.in[i] = f.in[i] + LAST * f.count[i];
        }
        one.keep = keep;
        one.out = out;
        one.din[X] = din + (IMAGES * K - 1) * f.count[X];
        one.dout = dout1;
        one.gout = gout + LAST * f.out;
        one.gin[X] = gin1;
        const int saved = vpsde_serial_begin();
        assert_ok(f.layer.type->forward(&f.layer, NULL, &one));
        assert_ok(f.layer.type->jvp(&f.layer, NULL, &one));
        assert_ok(f.layer.type->backward(&f.layer, NULL, &one));
        vpsde_serial_end(saved);
        assert_memory_equal(out, f.values + LAST * f.out, f.out * sizeof(float));
        assert_memory_equal(dout1, dout + (IMAGES * K - 1) * f.out, f.out * sizeof(float));
        assert_memory_equal(gin1, gin + LAST * f.count[X], f.count[X] * sizeof(float));
        float *const all_of[] = {din, gout, dout, gin, out, dout1, gin1, keep};
        for (size_t i = 0; i < sizeof(all_of) / sizeof(*all_of); i++) free(all_of[i]);
        end(&f);
    }
}

/* For |u| up to 1e30, in strips and in what they leave. */
static void silu_is_exact_to_floats(void **state)
{
    enum { N = 100003 };
    float *const y = fill(N, 0, 0), *const slope = fill(N, 0, 0);
    (void)state;
    for (size_t e = 0; e < N; e++) {
        const double u = ((double)e / N - 0.5) * 60;
        y[e] = slope[e] = (float)(e % 10 ? u : u * pow(10, (double)(e % 29)));
    }
    float *const u = fill(N, 0, 0);
    memcpy(u, y, N * sizeof(*u));
    vpsde_norm_silu(N, y);
    vpsde_norm_silu_slope(N, slope);
    for (size_t e = 0; e < N; e++) {
        const double x = (double)u[e], s = 1 / (1 + exp(-x));
        assert_close((double)y[e], x * s, 1.5e-7 * fmax(1, fabs(x)));
        assert_close((double)slope[e], x < -700 ? 0 : s * (1 + x * (1 - s)), 3e-7);
    }
    float odd[2] = {NAN, INFINITY};
    vpsde_norm_silu(2, odd);
    assert_true(isnan(odd[0]) && isinf(odd[1]));
    free(u);
    free(y);
    free(slope);
}

static void bad_shapes_are_named(void **state)
{
    static const struct {
        vpsde_extent in[INPUTS];
        vpsde_norm_spec spec;
        const char *words;
    } bad[] = {
        {{{0, 4, 4}}, {1, 1e-5, true, "n"}, "group norm n: its image has no values"},
        {{{4, 4, 6}}, {4, 1e-5, true, "n"}, "6 channels do not divide into 4 groups"},
        {{{4, 4, 6}}, {0, 1e-5, true, "n"}, "6 channels do not divide into 0 groups"},
        {{{4, 4, 6}}, {2, 0, true, "n"}, "eps must be above 0, got 0"},
        {{{4, 4, 6}, {4, 5, 2}}, {2, 1e-5, true, "n"}, "images of 4 x 4 and 4 x 5"},
        {{{4, 4, 6}, {0}, {1, 1, 5}}, {2, 1e-5, true, "n"}, "a shift of 5 values for 6 channels"},
        {{{4, 4, 6}, {0}, {0}, {1, 1, 6}},
         {2, 1e-5, true, "n"},
         "need 12 values for 6 channels, got 6"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        vpsde_layer layer;
        assert_fails(vpsde_norm_make(&layer, &bad[i].spec, bad[i].in), VPSDE_EINVAL, bad[i].words);
    }
    fixture f;
    begin(&f, &shapes[0], 0);
    vpsde_layer_call call = f.call;
    call.k = 1;
    call.din[SHIFT] = f.in[SHIFT];
    call.dout = f.values;
    assert_fails(f.layer.type->jvp(&f.layer, NULL, &call), VPSDE_EINVAL, "times have no tangents");
    end(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(forward_agrees),          cmocka_unit_test(far_means_cost_no_digits),
        cmocka_unit_test(without_keep_the_same),   cmocka_unit_test(tangents_agree),
        cmocka_unit_test(gradients_agree),         cmocka_unit_test(gradients_add),
        cmocka_unit_test(bits_are_the_images_own), cmocka_unit_test(silu_is_exact_to_floats),
        cmocka_unit_test(bad_shapes_are_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
