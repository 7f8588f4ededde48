#include "tests/check.h"

#include <vpsde/process.h>

#include "tests/sde_cases.h"

static void two_transitions_are_one(void **state)
{
    (void)state;
    for (size_t k = 0; vpsde_schedule_at(k); k++) {
        vpsde_process *p = case_process(vpsde_schedule_at(k)->name, 1e-3);
        const vpsde_coef r = vpsde_process_at(p, 0.017), s = vpsde_process_at(p, 0.31),
                         t = vpsde_process_at(p, 0.77), zero = vpsde_process_at(p, 0);
        const double x[3] = {1, 0, 2.385}, z[3] = {0, 1, -0.71};
        double rs[3], st[3], rt[3], data[3];
        vpsde_forward(rs, &r, &s, x, z, 3);
        vpsde_forward(st, &s, &t, x, z, 3);
        vpsde_forward(rt, &r, &t, x, z, 3);
        vpsde_forward(data, &zero, &t, x, z, 3);
        assert_close(rs[0] * st[0], rt[0], 1e-15);
        assert_close(st[0] * st[0] * rs[1] * rs[1] + st[1] * st[1], rt[1] * rt[1], 1e-15);
        assert_close(data[2], t.alpha * x[2] + t.sigma * z[2], 1e-15);
        double in_place[3] = {x[0], x[1], x[2]};
        vpsde_forward(in_place, &r, &s, in_place, z, 3);
        assert_memory_equal(in_place, rs, sizeof(rs));
        vpsde_process_destroy(p);
    }
}

static void posterior_is_bayes(void **state)
{
    (void)state;
    for (size_t k = 0; vpsde_schedule_at(k); k++) {
        vpsde_process *p = case_process(vpsde_schedule_at(k)->name, 1e-3);
        const vpsde_coef s = vpsde_process_at(p, 0.29), t = vpsde_process_at(p, 0.41);
        const vpsde_posterior q = vpsde_posterior_at(&t, &s);
        const double a = t.alpha / s.alpha, v = 1 - a * a, var_s = s.sigma * s.sigma;
        const double var = 1 / (1 / var_s + a * a / v);
        assert_close(q.beta, v, 1e-15);
        assert_close(q.var, var, 1e-14 * var);
        assert_close(q.m_x0, var * s.alpha / var_s, 1e-14);
        assert_close(q.m_xt, var * a / v, 1e-14);
        const vpsde_coef zero = vpsde_process_at(p, 0);
        const vpsde_posterior last = vpsde_posterior_at(&t, &zero);
        assert_true(last.var == 0 && last.m_xt == 0);
        assert_close(last.m_x0, 1, 1e-15);
        vpsde_process_destroy(p);
    }
}

/* Ho et al. 2020, eq. (11): the mean of one step divides by sqrt(1 - beta_i), not by the product
 * of all of them, and subtracts beta/sqrt(1 - alpha_bar) eps, not sqrt(beta) eps. */
static void ddpm_mean_takes_one_step(void **state)
{
    (void)state;
    vpsde_process *p = case_process("ddpm-linear", 1e-3);
    const double x0 = 0.731, eps = -1.27;
    for (size_t i = 2; i <= 1000; i += 7) {
        const vpsde_coef t = vpsde_process_at(p, (double)i / 1000);
        const vpsde_coef s = vpsde_process_at(p, (double)(i - 1) / 1000);
        const vpsde_posterior q = vpsde_posterior_at(&t, &s);
        const double beta = 1e-4 + (double)(i - 1) / 999 * (0.02 - 1e-4);
        const double x = t.alpha * x0 + t.sigma * eps, mean = q.m_x0 * x0 + q.m_xt * x;
        assert_close(q.beta, beta, 2e-14);
        assert_close((x - beta / t.sigma * eps) / sqrt(1 - beta), mean, 1e-13);
        assert_true(fabs((x - beta / t.sigma * eps) / t.alpha - mean) > 1e-6);
        assert_true(fabs((x - sqrt(beta) * eps) / sqrt(1 - beta) - mean) > 1e-3);
    }
    vpsde_process_destroy(p);
}

/* Variance after the whole chain for data N(0, 1/2) with the exact eps = sigma x / V. */
static double chain_variance(const vpsde_process *p, double noise, bool sqrt_beta)
{
    double variance = 1;
    for (size_t i = 1000; i > 0; i--) {
        const vpsde_coef t = vpsde_process_at(p, (double)i / 1000);
        const vpsde_coef s = vpsde_process_at(p, (double)(i - 1) / 1000);
        const vpsde_posterior q = vpsde_posterior_at(&t, &s);
        const double v = 0.5 * t.alpha * t.alpha + t.sigma * t.sigma;
        const double pull = (sqrt_beta ? sqrt(q.beta) * t.sigma : q.beta) / v;
        const double gain = (1 - pull) / sqrt(1 - q.beta);
        variance = gain * gain * variance + noise * q.var;
    }
    return variance;
}

static void ddpm_chain_keeps_its_affine_law(void **state)
{
    (void)state;
    vpsde_process *p = case_process("ddpm-linear", 0);
    assert_close(chain_variance(p, 1, false), 0.5, 1e-2); /* weak order 1 */
    assert_true(chain_variance(p, 0, false) < 1e-2);      /* sigma_t = 0 is not DDIM */
    assert_true(chain_variance(p, 0, true) < 1e-9);       /* sqrt(beta) eps collapses, */
    assert_true(chain_variance(p, 1, true) < 0.06);       /* and noise does not repair it */
    vpsde_process_destroy(p);
}

static void velocity_is_the_derivative_in_phi(void **state)
{
    (void)state;
    vpsde_process *p = case_process("cosine", 1e-3);
    const double x0[2] = {0.37, -2.1}, eps[2] = {1.9, 0.44};
    for (double t = 0.01; t < 0.99; t += 0.049) {
        const vpsde_coef c = vpsde_process_at(p, t);
        double x[2], v[2];
        for (size_t j = 0; j < 2; j++) x[j] = c.alpha * x0[j] + c.sigma * eps[j];
        vpsde_velocity_phi(v, &c, x, eps, 2);
        for (size_t j = 0; j < 2; j++) {
            assert_close(v[j], c.alpha * eps[j] - c.sigma * x0[j], 1e-13);
        }
    }
    vpsde_process_destroy(p);
    const double row[3] = {0.5, -1, 2};
    assert_close(vpsde_prior_logp(row, 3), -0.5 * 5.25 - 1.5 * log(2 * M_PI), 1e-14);
    assert_close(vpsde_prior_logp(row, 0), 0, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(two_transitions_are_one),
        cmocka_unit_test(posterior_is_bayes),
        cmocka_unit_test(ddpm_mean_takes_one_step),
        cmocka_unit_test(ddpm_chain_keeps_its_affine_law),
        cmocka_unit_test(velocity_is_the_derivative_in_phi),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
