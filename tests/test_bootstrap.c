/* Intervals of the bootstrap cover the truth as often as they say; replicates of common samples pair. */
#include "tests/check.h"

#include <stdlib.h>

#include "analysis/metrics.h"

enum { N = 200, REPEATS = 400, PAIR_REPEATS = 150 };

static size_t number[N];
static vpsde_resampling *resampling;

static const vpsde_metric *find(const char *name)
{
    for (size_t i = 0; vpsde_metric_at(i); i++) {
        if (strcmp(vpsde_metric_at(i)->name, name) == 0) return vpsde_metric_at(i);
    }
    fail_msg("no metric %s", name);
    return NULL;
}

static vpsde_interval interval_of(const char *name, double *replicate, vpsde_metric_input in)
{
    vpsde_statistic s = {0};
    vpsde_interval out;
    if (!in.number) in.number = number;
    in.samples = N;
    assert_ok(find(name)->measure(&s, &in));
    assert_ok(vpsde_bootstrap(replicate, &s, resampling));
    assert_ok(vpsde_bootstrap_interval(&out, &s, resampling, replicate, 0.95));
    vpsde_statistic_free(&s);
    return out;
}

/* Share of repeats in which the metric's interval has `truth`. x ~ N(0, I), the target ~ N(shift e_1, I) in
 * d dimensions; distances are |N(0, 1)|. */
static double coverage(const char *name, size_t d, double truth, double shift, size_t repeats)
{
    static double replicate[VPSDE_RESAMPLES], x[2 * N], y[2 * N], distance[N];
    static const double mean[2] = {0.5, 0};
    size_t inside = 0;
    for (size_t k = 0; k < repeats; k++) {
        vpsde_normals(x, 1000 + k, VPSDE_NOISE_TEST, 0, N, 0, 2);
        vpsde_normals(y, 1000 + k, VPSDE_NOISE_TEST, 0, N, 1, 2);
        vpsde_normals(distance, 1000 + k, VPSDE_NOISE_TEST, 0, N, 2, 1);
        for (size_t i = 0; i < N; i++) {
            y[d * i] += shift;
            distance[i] = fabs(distance[i]);
        }
        const vpsde_interval of = interval_of(name, replicate,
                                              (vpsde_metric_input){.n = N,
                                                                   .d = d,
                                                                   .x = x,
                                                                   .distance = distance,
                                                                   .target = y,
                                                                   .mean = mean,
                                                                   .bandwidth = 1});
        inside += of.low <= truth && truth <= of.high;
    }
    return (double)inside / (double)repeats;
}

static void assert_covers(const char *name, size_t d, double truth, double shift, size_t repeats)
{
    const double share = coverage(name, d, truth, shift, repeats);
    print_message("%s: %.1f %% of nominal 95 %%\n", name, 100 * share);
    assert_true(share >= 0.90 && share <= 0.98);
}

/* Means, quantiles, and linearised statistics: E d^2 = 1, median .6745 of |N(0, 1)|; a shift of 2 makes
 * W2^2 along a direction 4 cos^2, on average 2, and W1 2. */
static void test_coverage(void **state)
{
    (void)state;
    assert_covers("rmse", 2, 1, 0, REPEATS);
    assert_covers("median", 2, 0.674489750196082, 0, REPEATS);
    assert_covers("mean", 2, 0.5, 0, REPEATS);
    assert_covers("sliced-wasserstein", 2, sqrt(2), 2, PAIR_REPEATS);
    assert_covers("marginal", 1, 2, 2, PAIR_REPEATS);
}

/* Statistics of pairs. E k = exp(-m^2 / (2 (1 + 2))) / 3 with the unit bandwidth, d = 2. */
static void test_coverage_of_pairs(void **state)
{
    const double truth = 2.0 / 3 * (1 - exp(-4.0 / 6));
    (void)state;
    assert_covers("mmd", 2, truth, 2, PAIR_REPEATS);
}

/* The difference of two solvers whose errors share most of their noise: its interval covers, and is far
 * narrower than that of independent ones. */
static void test_paired_difference(void **state)
{
    static double common[N], own[N], a[N], b[N];
    static double replicate[2][VPSDE_RESAMPLES], difference[VPSDE_RESAMPLES];
    double width = 0, width_apart = 0;
    size_t inside = 0;
    (void)state;
    for (size_t k = 0; k < REPEATS; k++) {
        vpsde_interval of[2], paired;
        vpsde_normals(common, 7000 + k, VPSDE_NOISE_TEST, 0, N, 0, 1);
        vpsde_normals(own, 7000 + k, VPSDE_NOISE_TEST, 0, N, 1, 1);
        for (size_t i = 0; i < N; i++) {
            a[i] = exp(common[i]);
            b[i] = a[i] * (1 + 0.1 * fabs(own[i]));
        }
        of[0] = interval_of("rmse", replicate[0], (vpsde_metric_input){.n = N, .distance = a});
        of[1] = interval_of("rmse", replicate[1], (vpsde_metric_input){.n = N, .distance = b});
        for (size_t q = 0; q < VPSDE_RESAMPLES; q++) {
            difference[q] = log(replicate[1][q] / replicate[0][q]);
        }
        assert_ok(vpsde_percentile_interval(&paired, difference, 0.95));
        /* E (1 + .1 |z|)^2 = 1 + .2 sqrt(2 / pi) + .01 */
        const double truth = 0.5 * log(1.01 + 0.2 * sqrt(2 / M_PI));
        inside += paired.low <= truth && truth <= paired.high;
        width += paired.high - paired.low;
        width_apart += of[0].high - of[0].low + of[1].high - of[1].low;
    }
    print_message("paired: %.1f %%\n", 100 * (double)inside / REPEATS);
    assert_true((double)inside / REPEATS >= 0.90 && (double)inside / REPEATS <= 0.98);
    assert_true(width < 0.1 * width_apart);
}

/* Quantile replicates are those of the expanded samples: the rule of type 7 by brute force. */
static int ascending(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void test_quantile_replicates(void **state)
{
    static double distance[N], replicate[VPSDE_RESAMPLES], expanded[N];
    static const char *const names[] = {"median", "p99"};
    static const double p[] = {0.5, 0.99};
    (void)state;
    vpsde_normals(distance, 3, VPSDE_NOISE_TEST, 0, N, 0, 1);
    for (size_t q = 0; q < 2; q++) {
        (void)interval_of(names[q], replicate, (vpsde_metric_input){.n = N, .distance = distance});
        for (size_t b = 0; b < 50; b++) {
            size_t n = 0;
            for (size_t i = 0; i < N; i++) {
                for (int c = 0; c < resampling->count[b * N + i]; c++) expanded[n++] = distance[i];
            }
            assert_int_equal(n, N);
            qsort(expanded, n, sizeof(*expanded), ascending);
            assert_close(replicate[b], vpsde_quantile(expanded, n, p[q]), 1e-15);
        }
    }
}

/* Where rows failed the others keep their numbers, and are resampled as if those were there: the
 * replicates of what is left, expanded by hand. */
static void test_failed_rows(void **state)
{
    static double distance[N], replicate[VPSDE_RESAMPLES], expanded[2 * N];
    static size_t left[N];
    size_t n_left = 0;
    (void)state;
    for (size_t i = 0; i < N; i++) {
        if (i % 7 == 3) continue;
        left[n_left] = i;
        distance[n_left++] = (double)(i * i % 97) + 1;
    }
    const vpsde_metric_input in = {.n = n_left, .number = left, .distance = distance};
    (void)interval_of("median", replicate, in);
    for (size_t b = 0; b < 50; b++) {
        size_t n = 0;
        for (size_t i = 0; i < n_left; i++) {
            for (int c = 0; c < resampling->count[b * N + left[i]]; c++)
                expanded[n++] = distance[i];
        }
        assert_true(n > 0 && n <= 2 * N);
        qsort(expanded, n, sizeof(*expanded), ascending);
        assert_close(replicate[b], vpsde_quantile(expanded, n, 0.5), 1e-13);
    }
}

/* More rows than units, sorted by value within and across them, with ties and every seventh row gone; p
 * from one end to the other. */
static void test_quantiles_of_many(void **state)
{
    enum { MANY = 5000 };
    static double value[MANY], replicate[VPSDE_RESAMPLES], expanded[4 * MANY];
    static size_t row[MANY];
    static const double p[] = {0, 1e-3, 0.25, 0.5, 0.99, 1};
    vpsde_resampling *many;
    size_t n_left = 0;
    (void)state;
    assert_ok(vpsde_resampling_create(&many, MANY, 11));
    assert_int_equal(many->units, VPSDE_UNITS_MAX);
    for (size_t i = 0; i < MANY; i++) {
        row[n_left] = i;
        value[n_left] = (double)(i / VPSDE_UNITS_MAX) + floor((double)(i * i % 997) / 100);
        if (i % 7 != 3) n_left++;
    }
    for (size_t q = 0; q < sizeof(p) / sizeof(*p); q++) {
        const vpsde_statistic s = {.kind = VPSDE_STATISTIC_QUANTILE,
                                   .n = n_left,
                                   .number = row,
                                   .column = value,
                                   .n_columns = 1,
                                   .p = p[q]};
        assert_ok(vpsde_bootstrap(replicate, &s, many));
        for (size_t b = 0; b < 50; b++) {
            const uint8_t *count = many->count + b * many->units;
            size_t n = 0;
            for (size_t i = 0; i < n_left; i++) {
                for (int c = 0; c < count[row[i] % many->units]; c++) expanded[n++] = value[i];
            }
            qsort(expanded, n, sizeof(*expanded), ascending);
            assert_close(replicate[b], vpsde_quantile(expanded, n, p[q]), 1e-15);
        }
    }
    vpsde_resampling_destroy(many);
}

/* Pooling: the mean, and half-widths as independent errors add. */
static void test_pool(void **state)
{
    static const double value[] = {1, 3};
    static const vpsde_interval of[] = {{0.4, 1.3}, {2.2, 3.4}};
    double mean;
    (void)state;
    const vpsde_interval all = vpsde_pool_intervals(&mean, value, of, 2);
    assert_close(mean, 2, 0);
    assert_close(all.low, 2 - 0.5, 1e-15);
    assert_close(all.high, 2 + 0.25, 1e-15);
}

static int setup(void **state)
{
    (void)state;
    for (size_t i = 0; i < N; i++) number[i] = i;
    return vpsde_resampling_create(&resampling, N, 17) == VPSDE_OK ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    vpsde_resampling_destroy(resampling);
    return 0;
}

/* Of a skew sample's mean BCa's interval reaches further where the tail is: to second order its middle is
 * (2 z^2 + 1) a standard errors above the mean, a = skewness/(6 sqrt n) (Hall 1992, section 3.10). */
static void test_skewness(void **state)
{
    static double replicate[VPSDE_RESAMPLES];
    vpsde_statistic s;
    vpsde_interval out;
    double square = 0, cube = 0;
    (void)state;
    assert_ok(vpsde_statistic_open(&s, N, number, 1));
    for (size_t i = 0; i < N; i++) s.column[i] = -log1p(-((double)i + 0.5) / N);
    vpsde_statistic_close(&s);
    s.is_smooth = true;
    for (size_t i = 0; i < N; i++) {
        const double off = s.column[i] - s.value;
        square += off * off / N;
        cube += off * off * off / N;
    }
    assert_ok(vpsde_bootstrap(replicate, &s, resampling));
    assert_ok(vpsde_bootstrap_interval(&out, &s, resampling, replicate, 0.95));
    const double z = 1.96, a = cube / pow(square, 1.5) / (6 * sqrt(N));
    const double expected = (2 * z * z + 1) * a * sqrt(square / N);
    assert_close((out.low + out.high) / 2 - s.value, expected, 0.4 * expected);
    vpsde_statistic_free(&s);
}

/* Rows of one unit come and go together, so their pairs say nothing about the spread. */
static void test_pairs_of_one_unit(void **state)
{
    static double x[N], y[N];
    vpsde_statistic s = {0};
    double pairs = 0;
    (void)state;
    vpsde_normals(x, 7, VPSDE_NOISE_TEST, 0, N, 0, 1);
    vpsde_normals(y, 7, VPSDE_NOISE_TEST, 0, N, 1, 1);
    const vpsde_metric_input in = {
        .n = N, .d = 1, .number = number, .samples = N, .x = x, .target = y};
    assert_ok(find("energy")->measure(&s, &in));
    for (size_t u = 0; u < VPSDE_PAIR_UNITS_MAX; u++) {
        assert_true(s.pairs[u * (VPSDE_PAIR_UNITS_MAX + 1)] == 0);
        assert_true(s.kernel[u * (VPSDE_PAIR_UNITS_MAX + 1)] == 0);
    }
    for (size_t e = 0; e < VPSDE_PAIR_UNITS_MAX * VPSDE_PAIR_UNITS_MAX; e++) pairs += s.pairs[e];
    assert_true(pairs == (double)(N * (N - 1) - 2 * (N - VPSDE_PAIR_UNITS_MAX)));
    vpsde_statistic_free(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_coverage),
        cmocka_unit_test(test_coverage_of_pairs),
        cmocka_unit_test(test_paired_difference),
        cmocka_unit_test(test_quantile_replicates),
        cmocka_unit_test(test_failed_rows),
        cmocka_unit_test(test_quantiles_of_many),
        cmocka_unit_test(test_pool),
        cmocka_unit_test(test_skewness),
        cmocka_unit_test(test_pairs_of_one_unit),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
