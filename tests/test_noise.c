#include "tests/check.h"

#include <stdlib.h>

#include <vpsde/noise.h>

#include "core/noise_math.h"

enum { SEED = 20260101, DRAWS = 1000000 };

static void philox_gives_the_known_answers(void **state)
{
    /* kat_vectors of Random123: philox4x32 with 10 rounds */
    static const struct {
        uint32_t counter[4], key[2], out[4];
    } known[] = {
        {{0, 0, 0, 0}, {0, 0}, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
        {{0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff},
         {0xffffffff, 0xffffffff},
         {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
        {{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
         {0xa4093822, 0x299f31d0},
         {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        const uint32_t *c = known[i].counter, *k = known[i].key;
        uint32_t out[4];
        vpsde_philox(out, c, k);
        assert_memory_equal(out, known[i].out, sizeof(out));
        const noise_block own = noise_philox(c[0], c[1], c[2], c[3], k[0], k[1]);
        assert_memory_equal(own.w, known[i].out, sizeof(out));
    }
}

/* The words behind component j, straight from the address the header promises. */
static uint64_t word(uint64_t seed, vpsde_purpose purpose, uint64_t sample, uint32_t node, size_t j)
{
    const uint32_t counter[4] = {(uint32_t)sample,
                                 (uint32_t)(sample >> 32) | (uint32_t)purpose << 16, node,
                                 (uint32_t)(j / 2)};
    const uint32_t key[2] = {(uint32_t)seed, (uint32_t)(seed >> 32)};
    uint32_t out[4];
    vpsde_philox(out, counter, key);
    return (uint64_t)out[j % 2 * 2] << 32 | out[j % 2 * 2 + 1];
}

static void addresses_are_as_documented(void **state)
{
    enum { N = 23, D = 9 };
    const uint64_t seed = UINT64_C(0x123456789ABCDEF0), first = UINT64_C(0x7FFFFFFFFFF0);
    double u[N * D], v[N * D], z[N * D];
    (void)state;
    vpsde_uniforms(u, seed, VPSDE_NOISE_DEQUANTISE, first, N, 0xFFFFFFF0u, D);
    vpsde_signs(v, seed, VPSDE_NOISE_DEQUANTISE, first, N, 0xFFFFFFF0u, D);
    vpsde_normals(z, seed, VPSDE_NOISE_DEQUANTISE, first, N, 0xFFFFFFF0u, D);
    for (size_t i = 0; i < N; i++) {
        for (size_t j = 0; j < D; j++) {
            const uint64_t w = word(seed, VPSDE_NOISE_DEQUANTISE, first + i, 0xFFFFFFF0u, j);
            const uint64_t w1 =
                word(seed, VPSDE_NOISE_DEQUANTISE, first + i, 0xFFFFFFF0u, j & ~(size_t)1);
            const uint64_t w2 = word(seed, VPSDE_NOISE_DEQUANTISE, first + i, 0xFFFFFFF0u, j | 1);
            const double radius = sqrt(-2 * log(1 - (double)(w1 >> 12) * 0x1p-52));
            const double angle = 2 * acos(-1.0) * ((double)(w2 >> 12) * 0x1p-52);
            assert_true(u[i * D + j] == ((double)(w >> 12) + 0.5) * 0x1p-52);
            assert_true(v[i * D + j] == (w >> 63 ? -1 : 1));
            assert_close(z[i * D + j], radius * (j % 2 ? sin(angle) : cos(angle)), 1e-14);
        }
    }
}

typedef void (*draw_fn)(double *, uint64_t, vpsde_purpose, uint64_t, size_t, uint32_t, size_t);
static const draw_fn draws[] = {vpsde_normals, vpsde_uniforms, vpsde_signs};

static void any_split_gives_the_same_bits(void **state)
{
    static const size_t dims[] = {1, 2, 3, 5, 8, 64, 127, 128, 129, 300};
    enum { N = 150, D_MAX = 300 };
    static double all[N * D_MAX], part[N * D_MAX];
    (void)state;
    for (size_t f = 0; f < 3; f++) {
        for (size_t q = 0; q < sizeof(dims) / sizeof(dims[0]); q++) {
            const size_t d = dims[q];
            draws[f](all, SEED, VPSDE_NOISE_TEST, 1000, N, 3, d);
            for (size_t i = 0; i < N; i++)
                draws[f](part + i * d, SEED, VPSDE_NOISE_TEST, 1000 + i, 1, 3, d);
            assert_memory_equal(all, part, N * d * sizeof(double));
            for (size_t a = 0, step = 1; a < N; a += step, step = step % 37 + 7) {
                const size_t n = a + step < N ? step : N - a;
                part[n * d] = 77;
                draws[f](part, SEED, VPSDE_NOISE_TEST, 1000 + a, n, 3, d);
                assert_memory_equal(all + a * d, part, n * d * sizeof(double));
                assert_true(n * d == N * D_MAX || part[n * d] == 77);
            }
        }
    }
}

static void a_shorter_row_is_a_prefix(void **state)
{
    double a[7], b[4];
    (void)state;
    vpsde_normals(a, SEED, VPSDE_NOISE_PRIOR, 5, 1, 0, 7);
    vpsde_normals(b, SEED, VPSDE_NOISE_PRIOR, 5, 1, 0, 4);
    assert_memory_equal(a, b, sizeof(b));
}

static void every_part_of_an_address_counts(void **state)
{
    const uint64_t big = UINT64_C(1) << 32, high = UINT64_C(1) << 47;
    const struct {
        uint64_t seed;
        vpsde_purpose purpose;
        uint64_t sample;
        uint32_t node;
    } at[] = {
        {1, VPSDE_NOISE_PRIOR, 0, 0},       {2, VPSDE_NOISE_PRIOR, 0, 0},
        {1 + big, VPSDE_NOISE_PRIOR, 0, 0}, {1, VPSDE_NOISE_DIFFUSION, 0, 0},
        {1, VPSDE_NOISE_TEST, 0, 0},        {1, VPSDE_NOISE_PRIOR, 1, 0},
        {1, VPSDE_NOISE_PRIOR, big, 0},     {1, VPSDE_NOISE_PRIOR, high, 0},
        {1, VPSDE_NOISE_PRIOR, 0, 1},       {1, VPSDE_NOISE_PRIOR, 0, 0x80000000u},
    };
    enum { COUNT = sizeof(at) / sizeof(at[0]), D = 6 };
    double z[COUNT * D];
    (void)state;
    for (size_t i = 0; i < COUNT; i++) {
        vpsde_normals(z + i * D, at[i].seed, at[i].purpose, at[i].sample, 1, at[i].node, D);
    }
    for (size_t e = 0; e < COUNT * D; e++) {
        for (size_t f = 0; f < e; f++) assert_true(z[e] != z[f]);
    }
}

/* Units in the last place of the exact value. */
static double ulps(double actual, long double exact)
{
    const double nearest = fabs((double)exact);
    const double unit = nextafter(nearest, (double)INFINITY) - nearest;
    return fabs((double)((long double)actual - exact)) / unit;
}

static double noise_log(double u) { return noise_log_sum(noise_log_reduce(u)); }

static void noise_sincos(double *sine, double *cosine, double u)
{
    const noise_angle angle = noise_turn(u);
    *sine = noise_sine(angle.x);
    *cosine = noise_cosine(angle.x);
    noise_quadrant(sine, cosine, angle.q);
}

static void logarithm_is_accurate(void **state)
{
    double worst = 0;
    (void)state;
    for (uint64_t i = 0; i < 300000; i++) {
        const uint64_t w = word(SEED, VPSDE_NOISE_TEST, i, 0, 0);
        /* all magnitudes: the plain range, the neighbourhood of 1, and the tail */
        const double u[3] = {((double)(w >> 12) + 1) * 0x1p-52,
                             1 - (double)(w >> 12 >> (i % 52)) * 0x1p-52,
                             ((double)(w >> 12 >> (i % 52)) + 1) * 0x1p-52};
        for (int q = 0; q < 3; q++) {
            const double error = ulps(noise_log(u[q]), logl((long double)u[q]));
            if (error > worst) worst = error;
        }
    }
    print_message("log: worst error %.3f ulp\n", worst);
    assert_true(worst < 1);
    assert_true(noise_log(1) == 0);
    assert_close(noise_log(0x1p-52), -52 * log(2), 1e-14);
}

static void sine_and_cosine_are_accurate(void **state)
{
    const long double two_pi = 6.283185307179586476925286766559005768L;
    double worst = 0, worst_small = 0;
    (void)state;
    for (uint64_t i = 0; i < 300000; i++) {
        const uint64_t w = word(SEED, VPSDE_NOISE_TEST, i, 1, 0) >> 12;
        const double u[2] = {(double)w * 0x1p-52, (double)(w >> (i % 52)) * 0x1p-52};
        for (int q = 0; q < 2; q++) {
            double s, c;
            noise_sincos(&s, &c, u[q]);
            const long double exact[2] = {sinl(two_pi * (long double)u[q]),
                                          cosl(two_pi * (long double)u[q])};
            const double error = fmax(fabs((double)((long double)s - exact[0])),
                                      fabs((double)((long double)c - exact[1])));
            if (error > worst) worst = error;
            if (u[q] > 0 && u[q] < 0.125) worst_small = fmax(worst_small, ulps(s, exact[0]));
        }
    }
    print_message("sincos: worst error %.3g, below pi/4 %.3f ulp\n", worst, worst_small);
    assert_true(worst < 0x1p-52);
    assert_true(worst_small < 2);
    static const double quarter[4][2] = {{0, 1}, {1, 0}, {0, -1}, {-1, 0}};
    for (int q = 0; q < 4; q++) {
        double s, c;
        noise_sincos(&s, &c, 0.25 * q);
        assert_true(s == quarter[q][0] && c == quarter[q][1]);
    }
}

static void normals_have_normal_moments(void **state)
{
    /* E z^m and the variance of z^m of a standard normal: (2m - 1)!! - (E z^m)^2 */
    static const double mean[] = {0, 0, 1, 0, 3, 0, 15, 0, 105};
    static const double second[] = {1, 1, 3, 15, 105, 945, 10395, 135135, 2027025};
    double *z = malloc(DRAWS * sizeof(*z));
    double sum[9] = {0}, product = 0, extreme = 0;
    (void)state;
    assert_non_null(z);
    vpsde_normals(z, SEED, VPSDE_NOISE_TEST, 0, DRAWS / 4, 0, 4);
    for (size_t e = 0; e < DRAWS; e++) {
        double power = 1;
        for (int m = 1; m <= 8; m++) {
            power *= z[e];
            sum[m] += power;
        }
        product += e % 2 ? z[e] * z[e - 1] : 0;
        extreme = fmax(extreme, fabs(z[e]));
    }
    for (int m = 1; m <= 8; m++) {
        const double variance = second[m] - mean[m] * mean[m];
        assert_close(sum[m] / DRAWS, mean[m], 6 * sqrt(variance / DRAWS));
    }
    assert_close(product / (DRAWS / 2), 0, 6 / sqrt(DRAWS / 2));
    assert_true(extreme > 4 && extreme < 6.5); /* each fails with probability below 1e-4 */
    free(z);
}

static void uniforms_and_signs_are_uniform(void **state)
{
    double *u = malloc(DRAWS * sizeof(*u)), *v = malloc(DRAWS * sizeof(*v));
    double sum = 0, square = 0, signs = 0, cross = 0;
    (void)state;
    assert_non_null(u);
    assert_non_null(v);
    vpsde_uniforms(u, SEED, VPSDE_NOISE_TEST, 0, DRAWS / 5, 0, 5);
    vpsde_signs(v, SEED, VPSDE_NOISE_PROBE, 0, DRAWS / 5, 0, 5);
    for (size_t e = 0; e < DRAWS; e++) {
        assert_true(u[e] > 0 && u[e] < 1);
        assert_true(v[e] == 1 || v[e] == -1);
        sum += u[e];
        square += u[e] * u[e];
        signs += v[e];
        cross += e ? v[e] * v[e - 1] : 0;
    }
    assert_close(sum / DRAWS, 0.5, 6 * sqrt(1 / 12.0 / DRAWS));
    assert_close(square / DRAWS, 1 / 3.0, 6 * sqrt((1 / 5.0 - 1 / 9.0) / DRAWS));
    assert_close(signs / DRAWS, 0, 6 / sqrt(DRAWS));
    assert_close(cross / DRAWS, 0, 6 / sqrt(DRAWS));
    free(u);
    free(v);
}

static void empty_draws_write_nothing(void **state)
{
    double guard = 77;
    (void)state;
    for (size_t f = 0; f < 3; f++) {
        draws[f](&guard, SEED, VPSDE_NOISE_TEST, 0, 0, 0, 4);
        draws[f](&guard, SEED, VPSDE_NOISE_TEST, 0, 4, 0, 0);
    }
    assert_true(guard == 77);
}

/* Run files are compared bit by bit over years: these numbers must never change. */
static void bits_are_golden(void **state)
{
    enum { N = 1000, D = 7 };
    static double z[N * D];
    uint64_t hash = UINT64_C(14695981039346656037); /* FNV-1a */
    (void)state;
    for (size_t f = 0; f < 3; f++) {
        draws[f](z, 42, VPSDE_NOISE_TEST, 7, N, 5, D);
        const unsigned char *bytes = (const unsigned char *)z;
        for (size_t e = 0; e < sizeof(z); e++) hash = (hash ^ bytes[e]) * UINT64_C(1099511628211);
    }
    assert_true(hash == UINT64_C(0xa2f1fbb752c7afcd));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(philox_gives_the_known_answers),
        cmocka_unit_test(addresses_are_as_documented),
        cmocka_unit_test(any_split_gives_the_same_bits),
        cmocka_unit_test(a_shorter_row_is_a_prefix),
        cmocka_unit_test(every_part_of_an_address_counts),
        cmocka_unit_test(logarithm_is_accurate),
        cmocka_unit_test(sine_and_cosine_are_accurate),
        cmocka_unit_test(normals_have_normal_moments),
        cmocka_unit_test(uniforms_and_signs_are_uniform),
        cmocka_unit_test(empty_draws_write_nothing),
        cmocka_unit_test(bits_are_golden),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
