#include "tests/check.h"

#include <stdlib.h>

#include <vpsde/process.h>

#include "sde/beta_table.h"
#include "tests/sde_cases.h"

enum { POINTS = 200 };

/* Half of the points evenly over (0, t_max], half in decades from 1e-9 up. */
static double point(size_t i, double t_max)
{
    const double share = (double)(i / 2 + 1) / (POINTS / 2);
    return i % 2 ? t_max * share : 1e-9 * pow(t_max / 1e-9, share - 0.01);
}

static void clocks_agree_with_their_definitions(void **state)
{
    const double ulp = 2.3e-16;
    (void)state;
    for (size_t k = 0; vpsde_schedule_at(k); k++) {
        vpsde_process *p = case_process(vpsde_schedule_at(k)->name, 1e-3);
        for (size_t i = 0; i < POINTS; i++) {
            const vpsde_coef c = vpsde_process_at(p, point(i, vpsde_process_t_max(p)));
            assert_close(c.alpha * c.alpha + c.sigma * c.sigma, 1, 2 * ulp);
            assert_close(c.sigma * c.sigma, -expm1(-c.b), 4 * ulp * c.sigma * c.sigma);
            assert_close(c.lambda, log(c.alpha / c.sigma), 4e-15 * fmax(1, fabs(c.lambda)));
            assert_close(tan(c.phi), c.sigma / c.alpha, 1e-15 / (c.alpha * c.alpha));
        }
        vpsde_process_destroy(p);
    }
}

static void no_time_is_no_place_in_a_table(void **state)
{
    static const double outside[] = {NAN, -1e-300, -1, 1.0000000000000002, 7, INFINITY, -INFINITY};
    (void)state;
    for (size_t k = 0; vpsde_schedule_at(k); k++) {
        const vpsde_schedule_type *const type = vpsde_schedule_at(k);
        vpsde_process *p = case_process(type->name, 1e-3);
        assert_true(isnan(vpsde_process_at(p, (double)NAN).b));
        vpsde_process_destroy(p);
    }
    void *table;
    const double betas[] = {0.1, 0.2, 0.3};
    assert_ok(vpsde_beta_table_create(&table, betas, 3));
    for (size_t i = 0; i < sizeof(outside) / sizeof(*outside); i++) {
        assert_true(isnan(vpsde_beta_table_b(table, outside[i])));
        assert_true(isnan(vpsde_beta_table_beta(table, outside[i])));
    }
    assert_true(vpsde_beta_table_b(table, 1) > vpsde_beta_table_b(table, 0.99));
    free(table);
}

static void clocks_go_there_and_back(void **state)
{
    (void)state;
    for (size_t k = 0; vpsde_schedule_at(k); k++) {
        vpsde_process *p = case_process(vpsde_schedule_at(k)->name, 1e-3);
        for (size_t i = 0; i < POINTS; i++) {
            const double t = point(i, vpsde_process_t_max(p));
            const vpsde_coef c = vpsde_process_at(p, t);
            assert_close(vpsde_process_at_b(p, c.b).t, t, 1e-12 * t);
            assert_close(vpsde_process_at_lambda(p, c.lambda).t, t, 1e-12 * t);
            assert_close(vpsde_process_at_phi(p, c.phi).t, t, 1e-12 * t);
            assert_close(vpsde_process_at_phi(p, c.phi).sigma, c.sigma, 4e-16 * c.sigma);
            assert_close(vpsde_process_at_lambda(p, c.lambda).b, c.b, 1e-13 * c.b);
            assert_close(vpsde_process_t_of_label(p, c.label), t, 1e-15);
        }
        vpsde_process_destroy(p);
    }
}

static void beta_is_the_rate_of_b(void **state)
{
    (void)state;
    for (size_t k = 0; vpsde_schedule_at(k); k++) {
        vpsde_process *p = case_process(vpsde_schedule_at(k)->name, 1e-3);
        double last = 0;
        for (size_t i = 1; i < 4 * POINTS; i++) {
            const double t = vpsde_process_t_max(p) * (double)i / (4 * POINTS + 1), h = 1e-7 * t;
            const double up = vpsde_process_at(p, t + h).b, down = vpsde_process_at(p, t - h).b;
            const vpsde_coef c = vpsde_process_at(p, t);
            assert_close((up - down) / (2 * h), c.beta, 1e-3 * c.beta);
            assert_true(c.b > last && c.beta > 0);
            last = c.b;
        }
        vpsde_process_destroy(p);
    }
}

static void ends_are_exact_and_outside_is_nan(void **state)
{
    (void)state;
    for (size_t k = 0; vpsde_schedule_at(k); k++) {
        vpsde_process *p = case_process(vpsde_schedule_at(k)->name, 1e-3);
        const double t_max = vpsde_process_t_max(p);
        const vpsde_coef end = vpsde_process_at(p, t_max), start = vpsde_process_at(p, 0);
        assert_true(start.b == 0 && start.alpha == 1 && start.sigma == 0 && start.phi == 0);
        assert_true(isinf(start.lambda) && start.lambda > 0);
        assert_true(vpsde_process_at_lambda(p, start.lambda).t == 0);
        assert_true(vpsde_process_at_phi(p, 0).t == 0 && vpsde_process_at_b(p, 0).t == 0);
        assert_true(vpsde_process_at(p, t_max * (1 + 5e-13)).t == t_max);
        assert_true(vpsde_process_at(p, -5e-13 * t_max).t == 0);
        assert_true(vpsde_process_at_b(p, end.b * (1 + 5e-13)).t == t_max);
        assert_true(vpsde_process_at_phi(p, end.phi * (1 + 5e-13)).t == t_max);
        assert_true(vpsde_process_at_lambda(p, end.lambda - 5e-13).t == t_max);
        assert_true(isnan(vpsde_process_at(p, t_max * (1 + 1e-11)).alpha));
        assert_true(isnan(vpsde_process_at(p, -1e-11).label));
        assert_true(isnan(vpsde_process_at(p, (double)NAN).b));
        assert_true(isnan(vpsde_process_at_b(p, end.b + 1e-3).t));
        assert_true(isnan(vpsde_process_at_phi(p, 1.6).t));
        assert_true(isnan(vpsde_process_at_lambda(p, end.lambda - 1e-3).sigma));
        assert_true(isnan(vpsde_process_at_lambda(p, (double)NAN).t));
        vpsde_process_destroy(p);
    }
}

static void closed_forms(void **state)
{
    (void)state;
    vpsde_process *p = case_process("vp-linear", 1e-3);
    assert_close(vpsde_process_at(p, 1).b, 10.05, 2e-15);
    assert_close(vpsde_process_at(p, 0.375).b, 0.0375 + 19.9 * 0.375 * 0.375 / 2, 1e-15);
    assert_close(vpsde_process_at(p, 0.375).beta, 7.5625, 1e-15);
    assert_close(vpsde_process_at(p, 1e-3).sigma * vpsde_process_at(p, 1e-3).sigma, 1.0994e-4,
                 1e-8);
    assert_close(vpsde_process_at(p, 1e-5).b, 1.000995e-6, 1e-20);
    vpsde_process_destroy(p);
    p = case_process("cosine", 1e-3);
    assert_close(vpsde_process_t_max(p), 0.9946, 0);
    assert_close(vpsde_process_at(p, 0.9946).lambda, -4.78, 5e-3);
    for (double t = 0.1; t < 0.99; t += 0.0731) {
        const double f = cos((t + 0.008) / 1.008 * M_PI_2), f0 = cos(0.008 / 1.008 * M_PI_2);
        assert_close(vpsde_process_at(p, t).b, -2 * log(f / f0), 1e-13);
        assert_close(vpsde_process_at(p, t).beta, M_PI / 1.008 * tan((t + 0.008) / 1.008 * M_PI_2),
                     1e-11);
    }
    vpsde_process_destroy(p);
}

/* sigma keeps its relative accuracy where 1 - exp(-b) has none left. */
static void small_times_keep_their_digits(void **state)
{
    (void)state;
    vpsde_process *p = case_process("vp-linear", 0), *q = case_process("cosine", 0);
    for (double t = 1e-9; t < 1e-5; t *= 3.7) {
        const long double b = 0.1L * t + 9.95L * t * t;
        const double sigma = (double)sqrtl(-expm1l(-b));
        assert_close(vpsde_process_at(p, t).sigma, sigma, 4e-16 * sigma);
        /* b = -2 log(cos(a + x)/cos a) to third order in x */
        if (t > 1e-7) continue;
        const double rate = M_PI_2 / 1.008, x = rate * t, tan_a = tan(0.008 * rate);
        const double sec2 = 1 + tan_a * tan_a;
        const double series = x * (2 * tan_a + sec2 * x * (1 + 2 * tan_a * x / 3));
        assert_close(vpsde_process_at(q, t).b, series, 2e-15 * series);
    }
    vpsde_process_destroy(p);
    vpsde_process_destroy(q);
}

static void ddpm_nodes_are_the_discrete_product(void **state)
{
    long double sum = 0;
    (void)state;
    vpsde_process *p = case_process("ddpm-linear", 1e-3);
    assert_int_equal(vpsde_process_n_ddpm(p), 1000);
    for (size_t i = 1; i <= 1000; i++) {
        const double t = (double)i / 1000;
        const double share = (double)(i - 1) / 999;
        sum -= log1pl(-(long double)(1e-4 + share * (0.02 - 1e-4)));
        const vpsde_coef c = vpsde_process_at(p, t);
        assert_close(c.b, (double)sum, 4e-16 * (double)sum);
        assert_true(c.label == (double)(i - 1));
        assert_true(vpsde_process_at_b(p, c.b).t == t);
        /* C1: the rate has no jump here */
        assert_close(vpsde_process_at(p, t * (1 - 1e-10)).beta, c.beta, 1e-6 * c.beta);
    }
    assert_close(vpsde_process_at(p, 1).b, 10.1177, 5e-5);
    const double sigma = vpsde_process_at(p, 1e-3).sigma;
    assert_close(sigma * sigma, 1e-4, 1e-19);
    vpsde_process_destroy(p);
}

static void table_repeats_ddpm_linear(void **state)
{
    double betas[1000];
    (void)state;
    for (size_t i = 0; i < 1000; i++) betas[i] = 1e-4 + (double)i / 999 * (0.02 - 1e-4);
    vpsde_process_spec spec = case_spec(vpsde_schedule_find("table"));
    spec.betas = betas;
    vpsde_process *p = make(&spec), *q = case_process("ddpm-linear", 1e-3);
    betas[0] = 0.5; /* the process has its own copy */
    for (size_t i = 0; i < POINTS; i++) {
        const double t = point(i, 1);
        assert_true(vpsde_process_at(p, t).b == vpsde_process_at(q, t).b);
    }
    assert_true(vpsde_process_get_spec(p)->betas[0] < 1e-3);
    vpsde_process_destroy(p);
    vpsde_process_destroy(q);
    p = case_process("table", 1e-3); /* science.md: the clipped chain */
    assert_close(vpsde_process_at(p, 1).b, 19.8, 0.05);
    assert_close(vpsde_process_at(p, 0.999).b, 12.9, 0.05);
    vpsde_process_destroy(p);
}

/* Jumps by factors of a thousand: still monotone, still invertible, one step alone is linear. */
static void rough_tables_stay_monotone(void **state)
{
    const double betas[] = {0.001, 0.9, 1e-5, 1e-5, 0.5, 0.999, 1e-6};
    (void)state;
    for (size_t n = 1; n <= 7; n++) {
        vpsde_process_spec spec = case_spec(vpsde_schedule_find("table"));
        spec.betas = betas;
        spec.n_betas = n;
        vpsde_process *p = make(&spec);
        double last = 0;
        for (size_t i = 1; i <= 5000; i++) {
            const double t = (double)i / 5000;
            const vpsde_coef c = vpsde_process_at(p, t);
            assert_true(c.b > last && c.beta > 0);
            assert_close(vpsde_process_at_b(p, c.b).t, t, 4e-16 * (1 + 2 * c.b / (c.beta * t)));
            last = c.b;
        }
        if (n == 1) assert_close(vpsde_process_at(p, 0.25).b, -0.25 * log1p(-0.001), 1e-19);
        vpsde_process_destroy(p);
    }
}

static void labels_follow_the_schedule(void **state)
{
    vpsde_process_spec spec;
    (void)state;
    assert_ok(vpsde_process_spec_init(&spec, "ddpm-linear"));
    spec.param[2] = 49; /* (i / 49) 49 is not always i in floating point */
    vpsde_process *p = make(&spec);
    assert_close(vpsde_process_get_spec(p)->label_scale, 49, 0);
    for (int i = 0; i <= 49; i++) {
        assert_true(vpsde_process_label(p, i / 49.0) == i - 1);
        assert_true(vpsde_process_t_of_label(p, i - 1) == i / 49.0);
    }
    vpsde_process_destroy(p);
    assert_ok(vpsde_process_spec_init(&spec, "vp-linear"));
    assert_close(spec.label_scale, 1000, 0);
    spec.label_scale = 999; /* score_sde */
    spec.label_offset = 0;
    spec.t_max = 0.5;
    p = make(&spec);
    assert_close(vpsde_process_at(p, 0.5).label, 499.5, 0);
    assert_close(vpsde_process_t_max(p), 0.5, 0);
    assert_true(isnan(vpsde_process_at(p, 0.6).b));
    assert_int_equal(vpsde_process_n_ddpm(p), 0);
    vpsde_process_destroy(p);
}

static void registry_is_complete(void **state)
{
    (void)state;
    assert_null(vpsde_schedule_find("linear"));
    for (size_t k = 0; vpsde_schedule_at(k); k++) {
        const vpsde_schedule_type *type = vpsde_schedule_at(k);
        assert_ptr_equal(vpsde_schedule_find(type->name), type);
        assert_true(type->name[strspn(type->name, "abcdefghijklmnopqrstuvwxyz-")] == 0);
        assert_true(type->source && type->source[0] && type->doc && type->doc[0]);
        for (size_t i = 0; i < vpsde_param_count(type->params); i++) {
            double values[VPSDE_PARAM_MAX];
            assert_true(type->params[i].doc && type->params[i].doc[0]);
            assert_ok(
                vpsde_param_set(values, type->params, type->params[i].name, type->params[i].value));
        }
    }
}

#define assert_refused(change, words)                                                              \
    do {                                                                                           \
        vpsde_process_spec spec = case_spec(vpsde_schedule_find(name));                            \
        vpsde_process *refused;                                                                    \
        change;                                                                                    \
        assert_fails(vpsde_process_create(&refused, &spec), VPSDE_EINVAL, words);                  \
        assert_null(refused);                                                                      \
    } while (0)

static void refuses_what_makes_no_sense(void **state)
{
    const double bad[3] = {0.1, 1.0, 0.2}, nan[1] = {(double)NAN};
    double many[200];
    const char *name = "vp-linear";
    vpsde_process_spec unset;
    (void)state;
    for (size_t i = 0; i < 200; i++) many[i] = 0.999;
    assert_fails(vpsde_process_spec_init(&unset, "vp-liner"), VPSDE_EINVAL,
                 "did you mean vp-linear?");
    assert_refused(spec.schedule = NULL, "schedule: must be given");
    assert_refused(spec.param[0] = 0, "beta_min: must be in (0, 200], got 0");
    assert_refused(spec.param[1] = 0.05, "beta_max: must be at least beta_min = 0.1, got 0.05");
    assert_refused(spec.t_min = 1, "t_min: must be in [0, 1), got 1");
    assert_refused(spec.t_min = -1e-3, "t_min: must be in [0, 1), got -0.001");
    assert_refused(spec.t_min = (double)NAN, "t_min");
    assert_refused(spec.t_max = 1.5, "t_max: must be in (0, 1], or 0 for 1, got 1.5");
    assert_refused(spec.t_max = -1, "t_max");
    assert_refused(spec.terminal = (vpsde_terminal)7, "terminal");
    assert_refused(spec.label_scale = -1, "label_scale: must be > 0");
    assert_refused(spec.label_scale = (double)INFINITY, "label_scale");
    assert_refused(spec.label_offset = (double)NAN, "label_offset: must be finite");
    assert_refused(spec.betas = bad, "betas: schedule vp-linear takes none");
    name = "cosine";
    assert_refused(spec.t_max = 0.995, "t_max: must be in (0, 0.9946]");
    assert_refused(spec.param[1] = 1, "t_end");
    name = "ddpm-linear";
    assert_refused(spec.param[2] = 0, "steps: must be in [1, 1e+06], got 0");
    assert_refused(spec.param[1] = 1, "beta_end");
    name = "table";
    assert_refused(spec.betas = NULL, "betas: schedule table needs at least one, got none");
    assert_refused((spec.betas = bad, spec.n_betas = 3), "betas[1]: must be in (0, 1), got 1");
    assert_refused((spec.betas = nan, spec.n_betas = 1), "betas[0]: must be in (0, 1), got nan");
    assert_refused((spec.betas = many, spec.n_betas = 200), "b(t_max) must be at most 700");
    vpsde_process_destroy(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(registry_is_complete),
        cmocka_unit_test(clocks_agree_with_their_definitions),
        cmocka_unit_test(no_time_is_no_place_in_a_table),
        cmocka_unit_test(clocks_go_there_and_back),
        cmocka_unit_test(beta_is_the_rate_of_b),
        cmocka_unit_test(ends_are_exact_and_outside_is_nan),
        cmocka_unit_test(closed_forms),
        cmocka_unit_test(small_times_keep_their_digits),
        cmocka_unit_test(ddpm_nodes_are_the_discrete_product),
        cmocka_unit_test(table_repeats_ddpm_linear),
        cmocka_unit_test(rough_tables_stay_monotone),
        cmocka_unit_test(labels_follow_the_schedule),
        cmocka_unit_test(refuses_what_makes_no_sense),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
