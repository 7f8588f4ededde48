/* The virtual Brownian tree: stretches add up, depend on nothing but their address, and have the law of
 * Brownian motion with its space-time Levy area. */
#include "tests/check.h"

#include <stdlib.h>

#include "sde/brownian.h"

enum { ROWS = 20000, D = 2, COUNT = ROWS * D, SEED = 5 };

static vpsde_brownian *path_of(uint64_t first, size_t n, size_t d)
{
    vpsde_brownian *path;
    assert_ok(vpsde_brownian_create(&path, n, d));
    vpsde_brownian_place(path, SEED, VPSDE_NOISE_DIFFUSION, first, n);
    return path;
}

/* ---- identities ---------------------------------------------------------------------------- */

typedef struct stretch {
    double W, H;
} stretch;

static stretch stretch_of(vpsde_brownian *path, double from, double to, size_t e)
{
    enum { MAX = 8 };
    double z[MAX], area[MAX];
    const double h = from - to;
    vpsde_brownian_stretch(path, from, to, z, area);
    return (stretch){.W = sqrt(h) * z[e], .H = sqrt(h / 12) * area[e]};
}

/* Chen's relation in reverse time, c down to b and then down to a:
 *     W = W1 + W2,   h H = h1 H1 + h2 H2 + (h2 W1 - h1 W2)/2. */
static void check_chen(double a, double b, double c)
{
    vpsde_brownian *path = path_of(7, 4, 2);
    const double h1 = c - b, h2 = b - a, h = c - a;
    for (size_t e = 0; e < 8; e++) {
        const stretch all = stretch_of(path, c, a, e);
        const stretch first = stretch_of(path, c, b, e), second = stretch_of(path, b, a, e);
        const double W = first.W + second.W;
        const double hH = h1 * first.H + h2 * second.H + (h2 * first.W - h1 * second.W) / 2;
        /* the smaller a stretch in its cell, the more digits its integral loses */
        const double size = fmin(c, 1);
        assert_close(all.W, W, 1e-14 * sqrt(c));
        assert_close(h * all.H, hH, 2e-15 * c * sqrt(size));
    }
    vpsde_brownian_destroy(path);
}

static void stretches_add_up(void **state)
{
    (void)state;
    static const double cases[][3] = {
        {1.25, 1.25 + 1e-7, 1.25 + 3e-7},         /* in one smallest interval */
        {1.25, 1.25 + 1e-7, 1.25 + 1e-5},         /* in neighbouring ones */
        {0.51, 0.6, 0.9},                         /* in one cell below 1 */
        {3.1, 3.2, 3.9},                          /* in one cell above */
        {3.25, 3.5, 3.75},                        /* at its dyadic points */
        {3, 3.5, 4},                              /* at its ends */
        {0.25, 0.5, 1},                           /* octaves */
        {0.3, 0.4, 0.7},                          /* across an octave's end */
        {0.01, 0.3, 0.7},                         /* across many */
        {1e-6, 1.00001e-6, 1.0001e-6},            /* small, and smaller */
        {0.9, 1, 1.1},                            /* from octaves to unit cells */
        {1e-4, 5.5, 19.7},                        /* all of it */
        {7998.5, 7999.25, 8000},                  /* the far end */
        {0, 1e-25, 1e-3},                         /* down to data */
        {0, 0x1p-64, 0x1.8p-64},                  /* in the last cell */
        {0, 0x1p-63, 0x1p-62},                    /* at its end */
        {0x1p-40, 0x1.00001p-40, 0x1.000018p-40}, /* relative steps of 1e-6 */
    };
    for (size_t q = 0; q < sizeof(cases) / sizeof(cases[0]); q++) {
        check_chen(cases[q][0], cases[q][1], cases[q][2]);
    }
    for (size_t q = 1; q < 200; q++) { /* a walk over all scales */
        const double c = 20 * exp(-(double)q / 10);
        check_chen(c * 0.9, c * 0.93, c);
    }
}

/* A query answers the same whatever was asked before, with or without the area. */
static void a_query_has_no_memory(void **state)
{
    (void)state;
    enum { N = 5 };
    double z[N * 3], area[N * 3], z1[N * 3], area1[N * 3];
    vpsde_brownian *used = path_of(100, N, 3);
    double u[2];
    for (uint32_t q = 0; q < 400; q++) {
        vpsde_brownian *fresh = path_of(100, N, 3);
        vpsde_uniforms(u, 3, VPSDE_NOISE_TEST, 0, 1, q, 2);
        const double from = 10 * pow(1e-6, u[0]), to = from * (q % 3 ? 0.9 + 0.1 * u[1] : u[1]);
        vpsde_brownian_stretch(used, from, to, z, area);
        vpsde_brownian_stretch(fresh, from, to, z1, area1);
        assert_memory_equal(z, z1, sizeof(z));
        assert_memory_equal(area, area1, sizeof(area));
        vpsde_brownian_stretch(used, to, to / 2, z, area); /* goes on where the last one ended */
        vpsde_brownian_stretch(fresh, 2 * from, from, z1, NULL);
        vpsde_brownian_stretch(fresh, to, to / 2, z1, NULL);
        assert_memory_equal(z, z1, sizeof(z));
        vpsde_brownian_destroy(fresh);
    }
    vpsde_brownian_destroy(used);
}

/* The same bits whether a path keeps its whole way down, some of it or next to nothing. */
static void the_size_of_a_block_changes_nothing(void **state)
{
    (void)state;
    enum { MAX = 5000 };
    static const size_t rows[] = {1, 900, MAX};
    static double z[MAX * D], area[MAX * D];
    double first[60][2];
    for (size_t q = 0; q < 3; q++) {
        vpsde_brownian *path = path_of(9, rows[q], D);
        double b = 1.7;
        for (size_t k = 0; k < 60; k++) { /* neighbours, with a look far off now and then */
            const double from = k % 7 == 6 ? 2 * b : b;
            vpsde_brownian_stretch(path, from, from * 0.99, z, area);
            b *= k % 7 == 6 ? 1 : 0.99;
            if (q == 0) memcpy(first[k], (double[]){z[1], area[1]}, sizeof(first[k]));
            assert_true(z[1] == first[k][0] && area[1] == first[k][1]);
        }
        vpsde_brownian_destroy(path);
    }
}

/* Sample i has its own path, in whatever company, and other samples, seeds and purposes others. */
static void a_path_belongs_to_its_sample(void **state)
{
    (void)state;
    enum { N = 70 };
    static double z[N * 3], area[N * 3];
    double z1[3], area1[3], other[3];
    vpsde_brownian *path = path_of(1000, N, 3), *one = path_of(0, 1, 3);
    vpsde_brownian_stretch(path, 2.3, 0.4, z, area);
    for (size_t i = 0; i < N; i++) {
        vpsde_brownian_place(one, SEED, VPSDE_NOISE_DIFFUSION, 1000 + i, 1);
        vpsde_brownian_stretch(one, 2.3, 0.4, z1, area1);
        assert_memory_equal(z1, z + 3 * i, sizeof(z1));
        assert_memory_equal(area1, area + 3 * i, sizeof(area1));
    }
    for (size_t j = 0; j < 3; j++) assert_true(z[j] != z[3 + j] && z[j] != area[j]);
    assert_true(z[0] != z[1] && z[1] != z[2]);
    vpsde_brownian_place(one, SEED, VPSDE_NOISE_PILOT, 1000 + N - 1, 1);
    vpsde_brownian_stretch(one, 2.3, 0.4, other, area1);
    for (size_t j = 0; j < 3; j++) assert_true(other[j] != z1[j]);
    vpsde_brownian_place(one, SEED + 1, VPSDE_NOISE_DIFFUSION, 1000 + N - 1, 1);
    vpsde_brownian_stretch(one, 2.3, 0.4, other, area1);
    for (size_t j = 0; j < 3; j++) assert_true(other[j] != z1[j]);
    vpsde_brownian_destroy(path);
    vpsde_brownian_destroy(one);
}

static void paths_that_do_not_fit_are_refused(void **state)
{
    (void)state;
    vpsde_brownian *path;
    assert_fails(vpsde_brownian_create(&path, SIZE_MAX / 2, 3), VPSDE_EINVAL, "Brownian paths");
    assert_null(path);
    vpsde_brownian_destroy(NULL);
}

/* ---- laws ---------------------------------------------------------------------------------- */

static double mean_of(const double *x, const double *y)
{
    double sum = 0;
    for (size_t e = 0; e < COUNT; e++) sum += y ? x[e] * y[e] : x[e];
    return sum / COUNT;
}

/* Standard normal: moments 1 to 4 within 6 standard errors, closed form. */
static void check_normal(const double *x)
{
    static double square[COUNT];
    for (size_t e = 0; e < COUNT; e++) square[e] = x[e] * x[e];
    assert_close(mean_of(x, NULL), 0, 6 / sqrt(COUNT));
    assert_close(mean_of(x, x), 1, 6 * sqrt(2.0 / COUNT));
    assert_close(mean_of(square, x), 0, 6 * sqrt(15.0 / COUNT));
    assert_close(mean_of(square, square), 3, 6 * sqrt(96.0 / COUNT));
}

static void check_independent(const double *x, const double *y)
{
    assert_close(mean_of(x, y), 0, 6 / sqrt(COUNT));
}

static void check_independent_dimensions(const double *x)
{
    double sum = 0;
    for (size_t i = 0; i < ROWS; i++) sum += x[i * D] * x[i * D + 1];
    assert_close(sum / ROWS, 0, 6 / sqrt(ROWS));
}

/* [b, c] and [a, b] touch. */
static void check_laws(vpsde_brownian *path, double a, double b, double c)
{
    static double z[COUNT], area[COUNT], z1[COUNT], area1[COUNT];
    vpsde_brownian_stretch(path, c, b, z, area);
    vpsde_brownian_stretch(path, b, a, z1, area1);
    const double *const all[] = {z, area, z1, area1};
    for (size_t p = 0; p < 4; p++) {
        check_normal(all[p]);
        check_independent_dimensions(all[p]);
        for (size_t q = 0; q < p; q++) check_independent(all[p], all[q]);
    }
}

static void stretches_have_the_law_of_brownian_motion(void **state)
{
    (void)state;
    static const double cases[][3] = {
        {1.25, 1.25 + 0.4 / (1 << 18), 1.25 + 3.3 / (1 << 18)}, /* about a smallest interval */
        {0.51, 0.6, 0.61},
        {0.6, 0.60006, 0.60012},      /* relative steps of 1e-4, */
        {1e-6, 1.0001e-6, 1.0002e-6}, /* anywhere */
        {0.4999, 0.5, 0.5001},
        {0.9, 1.3, 4.2},
        {1e-4, 0.3, 20},
        {0, 1e-4, 2e-3},
        {0, 1e-20, 5e-20},
        {7.01, 7.02, 7.035},
    };
    vpsde_brownian *path = path_of(0, ROWS, D);
    for (size_t q = 0; q < sizeof(cases) / sizeof(cases[0]); q++) {
        check_laws(path, cases[q][0], cases[q][1], cases[q][2]);
    }
    vpsde_brownian_destroy(path);
}

/* Many short stretches of one cell, none adjoining: their sum over the root of their number, and
 * every neighbouring pair, are what independent normals give. */
static void stretches_of_one_cell_are_independent(void **state)
{
    (void)state;
    enum { N = 24 };
    static double z[N][COUNT], area[N][COUNT], sum[COUNT];
    vpsde_brownian *path = path_of(0, ROWS, D);
    memset(sum, 0, sizeof(sum));
    for (size_t k = 0; k < N; k++) {
        const double b = 2.9 - 0.83 * (double)k / N;
        vpsde_brownian_stretch(path, b, b - 0.01, z[k], area[k]);
        for (size_t e = 0; e < COUNT; e++) sum[e] += (z[k][e] + area[k][e]) / sqrt(2 * N);
        for (size_t l = 0; l < k; l++) {
            check_independent(z[k], z[l]);
            check_independent(z[k], area[l]);
            check_independent(area[k], z[l]);
            check_independent(area[k], area[l]);
        }
    }
    check_normal(sum);
    vpsde_brownian_destroy(path);
}

/* 2 million pairs of neighbouring stretches, of every length and place: what is off by a percent at
 * one level of the tree shows. */
static void a_long_walk_has_the_law_of_brownian_motion(void **state)
{
    (void)state;
    enum { ROW = 1000, STEPS = 1000, N = ROW * D };
    static double v[2][2][N];          /* of this stretch and the last one: z, area */
    double product[2][2][2] = {{{0}}}; /* [lag][z or area now][z or area then] */
    vpsde_brownian *path = path_of(0, ROW, D);
    double from = 12;
    for (size_t k = 0; k < STEPS; k++) {
        const double to = from * (1 - 0.02 * (double)(1 + k % 7) / 4);
        vpsde_brownian_stretch(path, from, to, v[k % 2][0], v[k % 2][1]);
        from = to;
        for (size_t q = 0; q < 8; q++) {
            const size_t lag = q / 4, a = q / 2 % 2, b = q % 2;
            const double *x = v[k % 2][a], *y = v[(k + lag) % 2][b];
            for (size_t e = 0; e < N; e++) product[lag][a][b] += x[e] * y[e];
        }
    }
    for (size_t q = 0; q < 8; q++) {
        const bool same = q == 0 || q == 3;
        const double all = (double)N * STEPS;
        assert_close(product[q / 4][q / 2 % 2][q % 2] / all, same, 6 * sqrt((same ? 2 : 1) / all));
    }
    vpsde_brownian_destroy(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stretches_add_up),
        cmocka_unit_test(a_query_has_no_memory),
        cmocka_unit_test(the_size_of_a_block_changes_nothing),
        cmocka_unit_test(a_path_belongs_to_its_sample),
        cmocka_unit_test(paths_that_do_not_fit_are_refused),
        cmocka_unit_test(stretches_have_the_law_of_brownian_motion),
        cmocka_unit_test(stretches_of_one_cell_are_independent),
        cmocka_unit_test(a_long_walk_has_the_law_of_brownian_motion),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
