/* Formulas that are passed on about diffusion models, right and wrong, on laws where the answer is known.
 * docs/physics.md tells which is which. */
#include <vpsde/vpsde.h>

#include "tests/check.h"

static const double lam = 0.25; /* variance of the data */

typedef struct world {
    vpsde_process *process;
    vpsde_model *model;
    void *ws;
} world;

static void make(world *w, const char *schedule, size_t n_components, const double *weights,
                 const double *means, const double *covariances)
{
    vpsde_process_spec spec;
    assert_ok(vpsde_process_spec_init(&spec, schedule));
    spec.t_min = 0;
    assert_ok(vpsde_process_create(&w->process, &spec));
    assert_ok(
        vpsde_gaussian_mixture_create(&w->model, n_components, 1, weights, means, covariances));
    assert_ok(vpsde_model_workspace_create(&w->ws, w->model, 1, 0));
}

static void drop(world *w)
{
    vpsde_model_workspace_destroy(w->model, w->ws);
    vpsde_model_destroy(w->model);
    vpsde_process_destroy(w->process);
}

static double score(const world *w, const vpsde_coef *c, double x)
{
    double eps;
    assert_ok(vpsde_model_eval(
        w->model, w->ws, &(vpsde_eval){.n = 1, .coef = c, .coef_stride = 0, .x = &x, .eps = &eps}));
    return -eps / c->sigma;
}

static double density(const world *w, const vpsde_coef *c, double x)
{
    double logp;
    assert_ok(vpsde_model_log_p(w->model, 1, c, &x, &logp));
    return exp(logp);
}

static const double two_weights[] = {0.3, 0.7}, two_means[] = {-1.5, 1},
                    two_variances[] = {0.1, 0.3};

/* The score is +grad log p: E[x s] = -1 in one dimension, by parts. With the other sign it were 1. */
static void the_score_is_the_gradient_of_log_p(void **state)
{
    world w;
    (void)state;
    make(&w, "vp-linear", 2, two_weights, two_means, two_variances);
    const vpsde_coef c = vpsde_process_at(w.process, 0.3);
    const double h = 1e-4, from = -9, step = 0.01;
    double mean = 0;
    for (int k = 0; k <= 1800; k++) {
        const double x = from + step * k, s = score(&w, &c, x);
        const double slope = (log(density(&w, &c, x + h)) - log(density(&w, &c, x - h))) / (2 * h);
        assert_close(s, slope, 1e-5 * (1 + fabs(slope)));
        mean += step * density(&w, &c, x) * x * s;
    }
    assert_close(mean, -1, 1e-12);
    drop(&w);
}

/* Variance of the samples over that of the data when every step of the DDPM chain is x' = A x + c z, with
 * the exact eps = sigma x / V, V = alpha^2 lam + sigma^2. */
typedef double (*rule)(const vpsde_coef *at, const vpsde_coef *next, double *noise);

static double beta_of(const vpsde_coef *at, const vpsde_coef *next)
{
    return vpsde_posterior_at(at, next).beta;
}

static double slope_of_eps(const vpsde_coef *at)
{
    return at->sigma / (at->alpha * at->alpha * lam + at->sigma * at->sigma);
}

static double ho(const vpsde_coef *at, const vpsde_coef *next, double *noise)
{
    const double beta = beta_of(at, next);
    *noise = next->t > 0 ? sqrt(beta) : 0;
    return (1 - beta / at->sigma * slope_of_eps(at)) / sqrt(1 - beta);
}

static double cumulative_root(const vpsde_coef *at, const vpsde_coef *next, double *noise)
{
    const double beta = beta_of(at, next);
    *noise = next->t > 0 ? sqrt(beta) : 0;
    return (1 - beta / at->sigma * slope_of_eps(at)) / at->alpha;
}

static double root_of_beta(const vpsde_coef *at, const vpsde_coef *next, double *noise)
{
    const double beta = beta_of(at, next);
    *noise = 0;
    return (1 - sqrt(beta) * slope_of_eps(at)) / sqrt(1 - beta);
}

static double ho_without_noise(const vpsde_coef *at, const vpsde_coef *next, double *noise)
{
    const double scale = ho(at, next, noise);
    *noise = 0;
    return scale;
}

static double ddim(const vpsde_coef *at, const vpsde_coef *next, double *noise)
{
    const double ratio = next->alpha / at->alpha;
    *noise = 0;
    return ratio + (next->sigma - ratio * at->sigma) * slope_of_eps(at);
}

static double variance_ratio(rule step)
{
    vpsde_process_spec spec;
    vpsde_process *process;
    assert_ok(vpsde_process_spec_init(&spec, "ddpm-linear"));
    assert_ok(vpsde_process_create(&process, &spec));
    const size_t n = vpsde_process_n_ddpm(process);
    double v = 1;
    for (size_t i = n; i >= 1; i--) {
        const vpsde_coef at = vpsde_process_at(process, (double)i / (double)n);
        const vpsde_coef next = vpsde_process_at(process, (double)(i - 1) / (double)n);
        double noise;
        const double scale = step(&at, &next, &noise);
        v = scale * scale * v + noise * noise;
    }
    vpsde_process_destroy(process);
    return v / lam;
}

static void one_reverse_step_is_right_and_three_are_not(void **state)
{
    (void)state;
    assert_close(variance_ratio(ho), 1, 0.01);
    assert_close(variance_ratio(ddim), 1, 0.01);
    assert_true(variance_ratio(cumulative_root) > 1e6);
    assert_true(variance_ratio(root_of_beta) < 1e-3);
    assert_true(variance_ratio(ho_without_noise) < 1e-3);
}

/* dx = -(x + grad log p) dt is the flow with beta = 2: it goes through b = 2 t. The exact flow of a Gaussian is
 * x(b) = sqrt(V(b)/V(0)) x(0). */
static void the_encoder_without_a_half_has_beta_two(void **state)
{
    const double mean = 0, weight = 1, h = 1e-5, b = 0.7, x = 0.8;
    world w;
    (void)state;
    make(&w, "vp-linear", 1, &weight, &mean, &lam);
    const vpsde_coef c = vpsde_process_at_b(w.process, b);
    double along[2];
    for (int side = 0; side < 2; side++) {
        const double there = b + (side ? 2 * h : -2 * h);
        const double v = exp(-b) * lam - expm1(-b), moved = exp(-there) * lam - expm1(-there);
        along[side] = sqrt(moved / v) * x;
    }
    assert_close((along[1] - along[0]) / (2 * h), -(x + score(&w, &c, x)), 1e-8);
    drop(&w);
}

/* beta is a rate: whatever it is, the chain rests at variance 1, the temperature of its bath. */
static void beta_is_no_temperature(void **state)
{
    static const double betas[] = {1e-4, 0.02, 0.3, 0.999};
    (void)state;
    for (size_t k = 0; k < 4; k++) {
        double v = 7;
        for (size_t i = 0; i < 400000; i++) v = (1 - betas[k]) * v + betas[k];
        assert_close(v, 1, 1e-15 / betas[k]); /* rounding of 1/beta steps */
    }
}

/* What crosses x to the right in a unit of b is -(x p + p')/2: with the sign of "dp/dt = +dJ/dx" it would fill the
 * places that empty. */
static void the_flux_runs_from_p_to_equilibrium(void **state)
{
    world w;
    (void)state;
    make(&w, "vp-linear", 2, two_weights, two_means, two_variances);
    const double b = 0.4, h = 1e-4, at = 0.35, step = 2e-3;
    double right[2] = {0};
    for (int side = 0; side < 2; side++) {
        const vpsde_coef c = vpsde_process_at_b(w.process, b + (side ? h : -h));
        for (int k = 0; k <= 4000; k++) {
            const double p = density(&w, &c, at + step * k);
            right[side] += step * p * (k == 0 ? 0.5 : 1);
        }
        /* Euler-Maclaurin: the trapezoid's error at the end where p is not 0 */
        right[side] += step * step / 12 * density(&w, &c, at) * score(&w, &c, at);
    }
    const vpsde_coef c = vpsde_process_at_b(w.process, b);
    const double p = density(&w, &c, at), flux = -(at * p + p * score(&w, &c, at)) / 2;
    assert_close((right[1] - right[0]) / (2 * h), flux, 1e-7);
    drop(&w);
}

/* q(E + dE)/q(E) = exp(-dE/T): 1 - dE/T is its first order, whatever E. */
static void a_boltzmann_ratio_is_an_exponential(void **state)
{
    const double error[2] = {exp(-0.02) - (1 - 0.02), exp(-0.01) - (1 - 0.01)};
    (void)state;
    assert_close(error[0] / error[1], 4, 0.03);
    for (double x = 0; x < 3; x += 0.5) { /* of N(0, 1), energy x^2/2 */
        const double energy = x * x / 2, more = sqrt(2 * (energy + 0.5));
        const double ratio = exp(vpsde_prior_logp(&more, 1) - vpsde_prior_logp(&x, 1));
        assert_close(ratio, exp(-0.5), 1e-14);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_score_is_the_gradient_of_log_p),
        cmocka_unit_test(one_reverse_step_is_right_and_three_are_not),
        cmocka_unit_test(the_encoder_without_a_half_has_beta_two),
        cmocka_unit_test(beta_is_no_temperature),
        cmocka_unit_test(the_flux_runs_from_p_to_equilibrium),
        cmocka_unit_test(a_boltzmann_ratio_is_an_exponential),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
