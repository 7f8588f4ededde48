/* Every registered solver draws from the law of a mixture: 20,000 samples with a fixed seed. */
#include "tests/toy.h"

enum { LAW_COUNT = 20000, MANY_STEPS = 500, FEW_STEPS = 100 };

/* Central moments of the mixture at c: mean, covariance and the variance of (x_i - m_i)(x_j - m_j). */
static void moments(const toy *m, const vpsde_coef *c, double mean[2], double cov[2][2],
                    double spread[2][2])
{
    for (size_t j = 0; j < 2; j++) {
        mean[j] = 0;
        for (size_t k = 0; k < 2; k++) mean[j] += m->weight[k] * c->alpha * m->mean[k][j];
    }
    for (size_t i = 0; i < 2; i++) {
        for (size_t j = 0; j < 2; j++) {
            double second = 0, fourth = 0;
            for (size_t k = 0; k < 2; k++) {
                const double v = c->alpha * c->alpha * m->variance[k] + c->sigma * c->sigma;
                const double p = c->alpha * m->mean[k][i] - mean[i];
                const double q = c->alpha * m->mean[k][j] - mean[j];
                second += m->weight[k] * (p * q + (i == j ? v : 0));
                fourth += m->weight[k] * (i == j ? p * p * p * p + 6 * p * p * v + 3 * v * v
                                                 : (p * p + v) * (q * q + v));
            }
            cov[i][j] = second;
            spread[i][j] = fourth - second * second;
        }
    }
}

/* The means and covariances of 20,000 samples lie within 6 standard errors of the truth, bias and
 * all: at 500 steps order 1 leaves at most 1 % of the scale, at 100 steps order 2 less, a Langevin
 * corrector snr^2 = 2.6 % of the variance, a tolerance of 1e-5 nothing to speak of; 6 standard errors are 4 % of the scale and
 * 6 % of the variance. The -compat forms have another law on purpose. */
static void samples_follow_the_law(void **state)
{
    (void)state;
    static double x[LAW_COUNT * 2];
    toy m;
    toy_mixture(&m, VPSDE_MODEL_ANALYTIC | VPSDE_MODEL_DRAW, 0);
    vpsde_process *process = toy_process(VPSDE_TERMINAL_EXACT);
    vpsde_grid *many = toy_grid(process, "uniform-lambda", MANY_STEPS, VPSDE_LAST_STOP);
    vpsde_grid *few = toy_grid(process, "uniform-lambda", FEW_STEPS, VPSDE_LAST_STOP);
    double mean[2], cov[2][2], spread[2][2];
    moments(&m, &few->node[FEW_STEPS], mean, cov, spread);
    for (size_t s = 0; vpsde_solver_at(s); s++) {
        const vpsde_solver_type *solver = vpsde_solver_at(s);
        if (solver->flags & VPSDE_SOLVER_COMPAT) continue;
        const double tol = vpsde_solver_is_stochastic(solver, NULL) ? 0.02 : 1e-5;
        const vpsde_sampling run = {.process = process,
                                    .model = &m.model,
                                    .solver = solver,
                                    .grid = fmax(solver->order.ode, solver->order.weak) >= 2 ? few
                                                                                             : many,
                                    .rtol = tol,
                                    .atol = tol,
                                    .seed = 2024,
                                    .count = LAW_COUNT,
                                    .n_threads = 2};
        assert_ok(vpsde_sample_array(&run, x));
        double got[2] = {0}, second[2][2] = {{0}}, worst = 0;
        for (size_t e = 0; e < LAW_COUNT * 2; e++) got[e % 2] += x[e] / LAW_COUNT;
        for (size_t e = 0; e < LAW_COUNT; e++) {
            for (size_t i = 0; i < 2; i++) {
                for (size_t j = 0; j < 2; j++) {
                    second[i][j] += (x[e * 2 + i] - mean[i]) * (x[e * 2 + j] - mean[j]) / LAW_COUNT;
                }
            }
        }
        for (size_t i = 0; i < 2; i++) {
            const double sd = sqrt(cov[i][i]), se = sd / sqrt(LAW_COUNT);
            assert_close(got[i], mean[i], 6 * se);
            worst = fmax(worst, fabs(got[i] - mean[i]) / se);
            for (size_t j = 0; j < 2; j++) {
                const double se2 = sqrt(spread[i][j] / LAW_COUNT);
                assert_close(second[i][j], cov[i][j], 6 * se2);
                worst = fmax(worst, fabs(second[i][j] - cov[i][j]) / se2);
            }
        }
        print_message("%s: worst moment %.1f standard errors off\n", solver->name, worst);
    }
    vpsde_grid_destroy(few);
    vpsde_grid_destroy(many);
    vpsde_process_destroy(process);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(samples_follow_the_law)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
