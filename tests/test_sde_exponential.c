/* Exponential solvers of the reverse SDE: against k-diffusion's formulas written out in its own
 * variables x/alpha and sigma/alpha, against each other, and in law on Gaussians, where a step is
 * affine in the state and its noise, x' = A x + c + sum g z: one run over unit inputs reads the whole
 * law off. */
#include "tests/sde_upstream.h"

static const char *const own[] = {
    "sde-dpmpp-1", "sde-dpmpp-2m",   "sde-dpmpp-3m", "sde-dpmpp-3m-compat",
    "seeds-2",     "seeds-2-compat", "seeds-3",      "sa-solver"};
enum { N_OWN = sizeof(own) / sizeof(own[0]) };

/* Calls `use` with every form that the solvers of this file list, the defaults first. */
static void each_form(void (*use)(const form *f, const char *label, const void *context),
                      const void *context)
{
    for (size_t s = 0; s < N_OWN; s++) {
        char label[160];
        const form defaults = form_of(own[s], NULL);
        use(&defaults, own[s], context);
        for (size_t i = 0; defaults.solver->forms[i]; i++) {
            const form f = form_of(own[s], defaults.solver->forms[i]);
            snprintf(label, sizeof(label), "%s(%s)", own[s], defaults.solver->forms[i]);
            use(&f, label, context);
        }
    }
}

/* ---- upstream formulas ---------------------------------------------------------------------- */

static double kd_by_name(kd *r, const char *name, double x)
{
    if (strcmp(name, "2m-midpoint") == 0) return kd_midpoint(r, x, 1, false);
    if (strcmp(name, "2m-midpoint-0.5") == 0) return kd_midpoint(r, x, 0.5, false);
    if (strcmp(name, "2m-heun") == 0) return kd_3m_sde(r, x, 1, 2, 0);
    if (strcmp(name, "3m") == 0) return kd_3m_sde(r, x, 1, 3, 2);
    if (strcmp(name, "3m-0.5") == 0) return kd_3m_sde(r, x, 0.5, 3, 2);
    if (strcmp(name, "3m-kd") == 0) return kd_3m_sde(r, x, 1, 3, 1);
    if (strcmp(name, "3m-diffusers") == 0) return kd_midpoint(r, x, 1, true);
    if (strcmp(name, "seeds-3") == 0) return kd_seeds_3(r, x, 1);
    if (strcmp(name, "seeds-3-0.5") == 0) return kd_seeds_3(r, x, 0.5);
    return kd_dpmpp_sde(r, x, strcmp(name, "sde-independent") == 0);
}

static void line_mixture(toy *m)
{
    *m = (toy){
        .n_components = 2, .weight = {0.3, 0.7}, .mean = {{-0.8}, {0.9}}, .variance = {0.1, 0.25}};
    toy_init(m, 1, 0, 0);
}

static void upstream_formulas_in_upstream_variables(void **state)
{
    (void)state;
    static const struct {
        const char *name, *form, *kd;
    } pairs[] = {
        {"sde-dpmpp-2m", NULL, "2m-midpoint"},
        {"sde-dpmpp-2m", "eta=0.5", "2m-midpoint-0.5"},
        {"sde-dpmpp-2m", "variant=heun", "2m-heun"},
        {"sde-dpmpp-3m", "start=upstream", "3m"},
        {"sde-dpmpp-3m", "start=upstream, eta=0.5", "3m-0.5"},
        {"sde-dpmpp-3m-compat", "upstream=k-diffusion", "3m-kd"},
        {"sde-dpmpp-3m-compat", NULL, "3m-diffusers"},
        {"seeds-2", NULL, "sde-path"},
        {"seeds-2-compat", NULL, "sde-independent"},
        {"seeds-3", NULL, "seeds-3"},
        {"seeds-3", "eta=0.5", "seeds-3-0.5"},
    };
    vpsde_process *process = toy_process(VPSDE_TERMINAL_EXACT);
    vpsde_grid *grid = warped(process, 12, VPSDE_LAST_STOP);
    toy m;
    line_mixture(&m);
    for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
        double x[8], start[8];
        const form f = form_of(pairs[i].name, pairs[i].form);
        for (size_t j = 0; j < 8; j++) x[j] = start[j] = -2 + 0.55 * (double)j;
        run(x, 8, &f, &m, process, grid, &list);
        for (size_t j = 0; j < 8; j++) {
            kd r = {.m = &m, .process = process, .grid = grid, .sample = j};
            const double alpha = grid->node[12].alpha;
            assert_close(x[j], alpha * kd_by_name(&r, pairs[i].kd, start[j] / grid->node[0].alpha),
                         1e-11);
        }
    }
    vpsde_grid_destroy(grid);
    vpsde_process_destroy(process);
}

/* ---- the lattice of equivalences ------------------------------------------------------------- */

static void methods_that_are_the_same(void **state)
{
    (void)state;
    static const struct {
        const char *name, *form, *as, *as_form;
    } pairs[] = {
        {"sde-dpmpp-1", NULL, "ddim", "eta=1"},
        {"sde-dpmpp-1", NULL, "ancestral", NULL},
        {"sde-dpmpp-1", "eta=0", "ddim", "eta=0"},
        {"sde-dpmpp-1", "eta=0", "dpm-solver-1", NULL},
        {"sde-dpmpp-2m", "eta=0", "dpmpp-2m", NULL},
        {"sde-dpmpp-2m", "eta=0, variant=heun", "dpmpp-2m", "variant=taylor"},
        {"sde-dpmpp-3m", "eta=0", "dpmpp-3m", NULL},
        {"sde-dpmpp-3m", "eta=0, start=upstream", "dpmpp-3m", "start=upstream"},
        {"seeds-2", "eta=0", "dpmpp-2s", NULL},
        {"seeds-2", "eta=0, r=0.75", "dpmpp-2s", "r=0.75"},
        {"seeds-2-compat", "eta=0", "dpmpp-2s", NULL},
        {"sa-solver", "predictor_order=1, corrector_order=0", "sde-dpmpp-1", NULL},
        {"sa-solver", "tau=0.5, corrector_order=0", "sde-dpmpp-2m", "eta=0.25, variant=heun"},
        {"sa-solver", "corrector_order=0, predictor_order=3", "sde-dpmpp-3m", NULL},
        {"sa-solver", "corrector_order=0, predictor_order=3, start=upstream", "sde-dpmpp-3m",
         "start=upstream"},
        {"sa-solver", "tau=0, corrector_order=0", "dpmpp-2m", "variant=taylor"},
        {"sa-solver", "tau=0, corrector_order=0, predictor_order=3", "dpmpp-3m", NULL},
    };
    vpsde_process *process = toy_process(VPSDE_TERMINAL_EXACT);
    vpsde_grid *grids[] = {warped(process, 12, VPSDE_LAST_STOP),
                           warped(process, 12, VPSDE_LAST_LOWER_ORDER),
                           warped(process, 12, VPSDE_LAST_EULER)};
    toy m;
    line_mixture(&m);
    for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
        const form f = form_of(pairs[i].name, pairs[i].form);
        const form as = form_of(pairs[i].as, pairs[i].as_form);
        for (size_t g = 0; g < 3; g++) {
            double x[8], y[8];
            for (size_t j = 0; j < 8; j++) x[j] = y[j] = -2 + 0.55 * (double)j;
            run(x, 8, &f, &m, process, grids[g], &list);
            run(y, 8, &as, &m, process, grids[g], &list);
            for (size_t j = 0; j < 8; j++) assert_close(x[j], y[j], 1e-12);
        }
    }
    for (size_t g = 0; g < 3; g++) vpsde_grid_destroy(grids[g]);
    vpsde_process_destroy(process);
}

static void sa_solver_is_its_algorithm(void **state)
{
    (void)state;
    vpsde_process *process = toy_process(VPSDE_TERMINAL_EXACT);
    vpsde_grid *grid = warped(process, 9, VPSDE_LAST_STOP);
    toy m;
    line_mixture(&m);
    for (int i = 0; i < 18; i++) {
        const int p = 1 + i % 3, q = 1 + i / 3 % 3;
        const double tau = i < 9 ? 0 : 0.9;
        char text[80];
        double x[8];
        snprintf(text, sizeof(text), "predictor_order=%d, corrector_order=%d, tau=%g", p, q, tau);
        const form f = form_of("sa-solver", text);
        for (size_t j = 0; j < 8; j++) x[j] = -2 + 0.55 * (double)j;
        run(x, 8, &f, &m, process, grid, &list);
        for (size_t j = 0; j < 8; j++) {
            const double expected =
                sa_written_out(&m, grid, -2 + 0.55 * (double)j, j, (size_t)p, (size_t)q, tau * tau);
            assert_close(x[j], expected, 1e-9);
        }
    }
    vpsde_grid_destroy(grid);
    vpsde_process_destroy(process);
}

/* ---- exact in law ----------------------------------------------------------------------------- */

/* Exact whatever the steps: the mean of a Gaussian; and the law of a point mass, whose x0hat is
 * constant, with the noise that the continuous process has. */
static void check_exact(const form *f, const char *label, const void *context)
{
    const vpsde_process *process = context;
    vpsde_grid *grid = warped(process, 10, VPSDE_LAST_STOP);
    const vpsde_coef *t = &grid->node[0], *end = &grid->node[10];
    const law wide = law_of(f, V0, process, grid), point = law_of(f, 0, process, grid);
    const double rest = point.A * t->sigma;
    assert_close(wide.A * t->alpha * MU + wide.c, end->alpha * MU, 1e-12);
    assert_close(point.A * t->alpha * MU + point.c, end->alpha * MU, 1e-12);
    assert_close(rest * rest + point.q, end->sigma * end->sigma, 1e-12);
    assert_true(vpsde_solver_is_stochastic(f->solver, f->param) ? point.q > 1e-3 : point.q == 0);
    if (strchr(label, '(') == NULL) { /* defaults: the reverse SDE */
        const double kept = exp(2 * (t->lambda - end->lambda));
        assert_close(point.q, end->sigma * end->sigma * (1 - kept), 1e-12);
    }
    vpsde_grid_destroy(grid);
}

static void exponential_steps_keep_what_they_keep(void **state)
{
    (void)state;
    vpsde_process *process = toy_process(VPSDE_TERMINAL_EXACT);
    each_form(check_exact, process);
    vpsde_process_destroy(process);
}

/* One step on N(MU, V0), where x0hat = P x + p, from the formulas of single-step methods. */
static void single_steps_have_their_closed_forms(void **state)
{
    (void)state;
    vpsde_process *process = toy_process(VPSDE_TERMINAL_EXACT);
    const double eta = 0.7, r = 0.4, h = 0.6;
    const double t[2] = {vpsde_process_at_lambda(process, -0.3).t,
                         vpsde_process_at_lambda(process, -0.3 + h).t};
    vpsde_grid *grid = toy_grid_at(process, t, 1, VPSDE_LAST_STOP);
    const vpsde_coef a = grid->node[0], b = grid->node[1];
    const vpsde_coef m = vpsde_process_at_lambda(process, a.lambda + r * h);
    const double P = a.alpha * V0 / marginal(&a), Pm = m.alpha * V0 / marginal(&m);
    const double E = 1 - exp(-(1 + eta) * h), Em = 1 - exp(-(1 + eta) * r * h);
    const double decay = b.sigma / a.sigma * exp(-eta * h);

    form f = form_of("sde-dpmpp-1", "eta=0.7");
    law l = law_of(&f, V0, process, grid);
    assert_close(l.A, decay + b.alpha * E * P, 1e-12);
    assert_close(l.q, b.sigma * b.sigma * (1 - exp(-2 * eta * h)), 1e-12);

    /* gains of the stage's noise and of the rest's */
    const double A_u = m.sigma / a.sigma * exp(-eta * r * h) + m.alpha * Em * P;
    const double g_u = m.sigma * sqrt(1 - exp(-2 * r * eta * h));
    const double carried = b.sigma * exp((r - 1) * eta * h) * g_u / m.sigma;
    const double g_2 = b.sigma * sqrt(1 - exp(2 * (r - 1) * eta * h));
    const double on_u = b.alpha * E / (2 * r) * Pm, on_x = b.alpha * E * (1 - 1 / (2 * r)) * P;
    const double g_1 = carried + on_u * g_u;
    f = form_of("seeds-2", "eta=0.7, r=0.4");
    l = law_of(&f, V0, process, grid);
    assert_close(l.A, decay + on_x + on_u * A_u, 1e-12);
    assert_close(l.q, g_1 * g_1 + g_2 * g_2, 1e-12);

    f = form_of("seeds-2-compat", "eta=0.7, r=0.4");
    l = law_of(&f, V0, process, grid);
    assert_int_equal(n_draws, 1); /* beside the path */
    assert_close(l.A, decay + on_x + on_u * A_u, 1e-12);
    assert_close(l.q, on_u * g_u * on_u * g_u + b.sigma * b.sigma * (1 - exp(-2 * eta * h)), 1e-12);
    vpsde_grid_destroy(grid);
    vpsde_process_destroy(process);
}

/* ---- ends ------------------------------------------------------------------------------------- */

/* N = 1, 2, 3 and every end; to t = 0 the last step is x0hat of the state before without noise
 * (unit_stretch refuses it), whatever the network says at sigma = 0. */
static void check_ends(const form *f, const char *label, const void *context)
{
    const vpsde_process *process = context;
    static const vpsde_last_step ends[] = {VPSDE_LAST_STOP, VPSDE_LAST_TWEEDIE, VPSDE_LAST_EULER,
                                           VPSDE_LAST_LOWER_ORDER};
    (void)label;
    for (size_t n = 1; n <= 3; n++) {
        for (size_t e = 0; e < 4; e++) {
            toy m;
            double x[ROWS_MAX];
            const size_t rows = 2 + 3 * (n + 1);
            vpsde_grid *grid = warped(process, n, ends[e]);
            line_mixture(&m);
            m.blind_at_data = true;
            for (size_t i = 0; i < rows; i++) x[i] = 1 - 0.3 * (double)i;
            run(x, rows, f, &m, process, grid, &units);
            for (size_t i = 0; i < rows; i++) assert_true(isfinite(x[i]));
            if (ends[e] == VPSDE_LAST_EULER && n == 1) { /* one step, then x0hat */
                double y[ROWS_MAX];
                vpsde_grid *shorter = warped(process, n, VPSDE_LAST_STOP);
                for (size_t i = 0; i < rows; i++) y[i] = 1 - 0.3 * (double)i;
                run(y, rows, f, &m, process, shorter, &units);
                vpsde_grid_destroy(shorter);
                const vpsde_coef *c = &grid->node[1];
                for (size_t i = 0; i < rows; i++) {
                    double eps;
                    toy_row(&m, c, 1, &y[i], &eps);
                    assert_close(x[i], (y[i] - c->sigma * eps) / c->alpha, 1e-12);
                }
            }
            vpsde_grid_destroy(grid);
        }
    }
}

static void grids_of_any_length_and_end(void **state)
{
    (void)state;
    vpsde_process *process = toy_process(VPSDE_TERMINAL_EXACT);
    each_form(check_ends, process);
    vpsde_process_destroy(process);
}

/* It is DDIM's from the state before. */
static void the_last_step_of_lower_order_has_no_slope(void **state)
{
    (void)state;
    static const struct {
        const char *name, *form;
    } multistep[] = {{"sde-dpmpp-2m", "eta=0"},
                     {"sde-dpmpp-3m", "eta=0"},
                     {"sde-dpmpp-3m-compat", "eta=0, upstream=k-diffusion"}};
    vpsde_process *process = toy_process(VPSDE_TERMINAL_EXACT);
    vpsde_grid *grid = warped(process, 6, VPSDE_LAST_LOWER_ORDER);
    vpsde_grid *head =
        toy_grid_at(process,
                    (const double[]){grid->node[0].t, grid->node[1].t, grid->node[2].t,
                                     grid->node[3].t, grid->node[4].t, grid->node[5].t},
                    5, VPSDE_LAST_STOP);
    toy m;
    line_mixture(&m);
    for (size_t i = 0; i < 3; i++) {
        double x[8], y[8];
        const form f = form_of(multistep[i].name, multistep[i].form);
        for (size_t j = 0; j < 8; j++) x[j] = y[j] = -2 + 0.55 * (double)j;
        run(x, 8, &f, &m, process, grid, &list);
        run(y, 8, &f, &m, process, head, &list);
        for (size_t j = 0; j < 8; j++) {
            const vpsde_coef *c = &grid->node[5], *end = &grid->node[6];
            double eps;
            toy_row(&m, c, 1, &y[j], &eps);
            const double x0 = (y[j] - c->sigma * eps) / c->alpha;
            assert_close(x[j], end->alpha * x0 + end->sigma * eps, 1e-12);
        }
    }
    vpsde_grid_destroy(head);
    vpsde_grid_destroy(grid);
    vpsde_process_destroy(process);
}

/* Between tau_t_min and tau_t_max the noise is that of constant tau, outside there is none. */
static void tau_on_an_interval(void **state)
{
    (void)state;
    vpsde_process *process = toy_process(VPSDE_TERMINAL_EXACT);
    const double t[] = {0.9, 0.8, 0.6, 0.4, 0.2, 0.1, 0.05};
    vpsde_grid *grid = toy_grid_at(process, t, 6, VPSDE_LAST_STOP);
    const form f = form_of("sa-solver", "tau=0.8, tau_t_min=0.2, tau_t_max=0.8");
    const law point = law_of(&f, 0, process, grid);
    const vpsde_coef *on = &grid->node[1], *off = &grid->node[5], *end = &grid->node[6];
    const double kept = exp(-2 * 0.64 * (off->lambda - on->lambda));
    assert_close(point.q, end->sigma * end->sigma * (1 - kept), 1e-12);
    vpsde_grid_destroy(grid);
    vpsde_process_destroy(process);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(upstream_formulas_in_upstream_variables),
        cmocka_unit_test(methods_that_are_the_same),
        cmocka_unit_test(sa_solver_is_its_algorithm),
        cmocka_unit_test(exponential_steps_keep_what_they_keep),
        cmocka_unit_test(single_steps_have_their_closed_forms),
        cmocka_unit_test(grids_of_any_length_and_end),
        cmocka_unit_test(the_last_step_of_lower_order_has_no_slope),
        cmocka_unit_test(tau_on_an_interval),
    };
    return cmocka_run_group_tests_name("sde_exponential", tests, NULL, NULL);
}
