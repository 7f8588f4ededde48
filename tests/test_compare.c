/* The pathwise metrics against closed forms and numpy. */
#include "tests/check.h"

#include "analysis/metrics.h"

static const vpsde_metric *metric(const char *name)
{
    for (size_t i = 0; vpsde_metric_at(i); i++) {
        if (strcmp(vpsde_metric_at(i)->name, name) == 0) return vpsde_metric_at(i);
    }
    fail_msg("no metric %s", name);
    return NULL;
}

static double eval(const char *name, const double *distance, size_t n)
{
    vpsde_statistic s = {0};
    assert_ok(metric(name)->measure(&s, &(vpsde_metric_input){.n = n, .distance = distance}));
    const double value = s.value;
    vpsde_statistic_free(&s);
    return value;
}

/* Every table is complete, and its name can be a column. */
static void test_registry(void **state)
{
    size_t n = 0;
    (void)state;
    for (; vpsde_metric_at(n); n++) {
        const vpsde_metric *m = vpsde_metric_at(n);
        assert_true(m->units && m->description && m->measure && m->needs);
        assert_int_equal(strspn(m->name, "abcdefghijklmnopqrstuvwxyz0123456789-"), strlen(m->name));
    }
    assert_true(n >= 13 && n <= VPSDE_METRICS_MAX);
}

/* numpy.quantile([0.5, 1, 2, 4, 10], p) and linear interpolation by hand. */
static void test_quantile(void **state)
{
    static const double v[] = {0.5, 1, 2, 4, 10};
    static const struct {
        double p, expected;
    } cases[] = {{0, 0.5}, {0.1, 0.7}, {0.25, 1}, {0.5, 2}, {0.6, 2.8}, {0.99, 9.76}, {1, 10}};
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_close(vpsde_quantile(v, 5, cases[i].p), cases[i].expected, 1e-14);
    }
    assert_true(vpsde_quantile(v, 1, 0.99) == 0.5);
    assert_true(vpsde_quantile(v, 2, 0.5) == 0.75);
}

/* Distances 0, 1, ..., n - 1: rms sqrt((n - 1)(2n - 1)/6), quantiles p (n - 1). */
static void test_closed_forms(void **state)
{
    enum { N = 1001 };
    double distance[N];
    (void)state;
    for (size_t i = 0; i < N; i++) distance[i] = (double)i;
    assert_close(eval("rmse", distance, N), sqrt((N - 1.0) * (2 * N - 1.0) / 6), 1e-10);
    assert_close(eval("median", distance, N), 500, 1e-12);
    assert_close(eval("p99", distance, N), 990, 1e-12);
    static const double one[] = {0.25};
    assert_true(eval("rmse", one, 1) == 0.25 && eval("median", one, 1) == 0.25 &&
                eval("p99", one, 1) == 0.25);
}

/* Norms of whole rows. */
static void test_distances(void **state)
{
    static const double x[] = {3, 4, 0, 0}, reference[] = {0, 0, 0, 0.5};
    double distance[2];
    (void)state;
    vpsde_distances(distance, x, reference, 2, 2);
    assert_true(distance[0] == 5 && distance[1] == 0.5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_registry),
        cmocka_unit_test(test_quantile),
        cmocka_unit_test(test_closed_forms),
        cmocka_unit_test(test_distances),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
