#include "tests/check.h"

#include <vpsde/grid.h>

#include <stdlib.h>

#include "tests/sde_cases.h"

static vpsde_grid *grid_of(const char *name, const vpsde_process *p, size_t n)
{
    vpsde_grid *grid;
    assert_ok(vpsde_grid_create(&grid, vpsde_grid_find(name), p, n, NULL, NULL, VPSDE_LAST_STOP));
    return grid;
}

static void check_grid(const vpsde_grid *grid, const vpsde_process *p, size_t n)
{
    assert_int_equal(grid->n_steps, n);
    assert_true(grid->node[0].t == vpsde_process_t_max(p));
    assert_true(grid->node[n].t == vpsde_process_get_spec(p)->t_min);
    for (size_t k = 1; k <= n; k++) {
        const vpsde_coef *a = &grid->node[k - 1], *c = &grid->node[k];
        assert_true(c->t < a->t && c->b < a->b && c->lambda > a->lambda && c->phi < a->phi);
        const vpsde_coef same = vpsde_process_at(p, c->t);
        assert_memory_equal(c, &same, sizeof(same));
    }
}

/* Every schedule with every grid: few steps always work, many may be refused in words. */
static void grids_decrease_or_are_refused(void **state)
{
    const size_t steps[] = {1, 2, 3, 10, 1000};
    (void)state;
    for (size_t s = 0; vpsde_schedule_at(s); s++) {
        vpsde_process *p = case_process(vpsde_schedule_at(s)->name, 1e-3);
        const double first = vpsde_process_t_max(p);
        for (size_t g = 0; vpsde_grid_at(g); g++) {
            const vpsde_grid_type *type = vpsde_grid_at(g);
            for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
                const size_t n = steps[i];
                double times[1001];
                if (type->place_by) continue; /* test_calibrate */
                for (size_t k = 0; k <= n; k++) {
                    times[k] = k == n ? 1e-3 : first * pow(1e-3 / first, (double)k / (double)n);
                }
                vpsde_grid *grid;
                const vpsde_status status = vpsde_grid_create(
                    &grid, type, p, n, NULL, type->takes_times ? times : NULL, VPSDE_LAST_STOP);
                if (n == 1000 && status == VPSDE_EINVAL) {
                    assert_non_null(strstr(vpsde_last_error(), type->name));
                    assert_null(grid);
                    continue;
                }
                assert_ok(status);
                check_grid(grid, p, n);
                vpsde_grid_destroy(grid);
            }
        }
        vpsde_process_destroy(p);
    }
}

static void policies_place_by_their_formulas(void **state)
{
    (void)state;
    vpsde_process *p = case_process("vp-linear", 1e-3);
    vpsde_grid *t = grid_of("uniform-t", p, 7), *q = grid_of("quadratic-t", p, 7),
               *l = grid_of("uniform-lambda", p, 7), *r = grid_of("karras", p, 7);
    for (size_t k = 0; k < 7; k++) {
        const vpsde_coef *a = l->node, *e = r->node;
        assert_close(t->node[k].t - t->node[k + 1].t, 0.999 / 7, 1e-15);
        assert_close(sqrt(q->node[k].t) - sqrt(q->node[k + 1].t), (1 - sqrt(1e-3)) / 7, 1e-15);
        assert_close(a[k + 1].lambda - a[k].lambda, (a[7].lambda - a[0].lambda) / 7, 1e-13);
        assert_close(exp(-e[k].lambda / 7) - exp(-e[k + 1].lambda / 7),
                     (exp(-e[0].lambda / 7) - exp(-e[7].lambda / 7)) / 7, 1e-13);
    }
    vpsde_grid_destroy(t);
    vpsde_grid_destroy(q);
    vpsde_grid_destroy(l);
    vpsde_grid_destroy(r);
    vpsde_process_destroy(p);
}

/* The indices diffusers gives for 50 (leading, trailing) and 5 (linspace) of 1000 steps. */
static void index_grids_pick_whole_steps(void **state)
{
    const double linspace[6] = {999, 799, 599, 400, 200, 0}, none = 0;
    (void)state;
    vpsde_process *p = case_process("ddpm-linear", 1e-3), *q = case_process("ddpm-linear", 0);
    vpsde_grid *leading = grid_of("leading", p, 50), *trailing = grid_of("trailing", p, 50),
               *spread = grid_of("linspace", p, 5), *plain, *whole;
    const vpsde_grid_type *type = vpsde_grid_find("leading");
    assert_ok(vpsde_grid_create(&plain, type, q, 50, &none, NULL, VPSDE_LAST_STOP));
    assert_close(leading->node[0].label, 999, 0);
    assert_close(leading->node[50].label, 0, 0);
    assert_close(trailing->node[0].label, 999, 0);
    for (size_t k = 1; k < 50; k++) {
        assert_close(trailing->node[k].label, 999 - 20 * (double)k, 0);
        assert_close(leading->node[k].label, 981 - 20 * (double)k, 0);
        assert_close(plain->node[k].label, 980 - 20 * (double)k, 0);
    }
    for (size_t k = 0; k < 6; k++) assert_close(spread->node[k].label, linspace[k], 0);
    assert_ok(vpsde_grid_create(&whole, type, q, 1000, &none, NULL, VPSDE_LAST_STOP));
    for (size_t k = 0; k < 1000; k++) {
        assert_close(whole->node[k].label, 999 - (double)k, 0);
    }
    vpsde_grid_destroy(leading);
    vpsde_grid_destroy(trailing);
    vpsde_grid_destroy(spread);
    vpsde_grid_destroy(plain);
    vpsde_grid_destroy(whole);
    vpsde_process_destroy(p);
    vpsde_process_destroy(q);
}

/* All N = 1000 steps where a rule has them, and what it implies: the data. */
static void index_grids_reach_every_step(void **state)
{
    const double none = 0;
    const struct {
        const char *grid;
        const double *param;
        size_t n_steps, made;
        vpsde_last_step last;
        double t_min;
    } cases[] = {
        {"trailing", NULL, 1000, 1000, VPSDE_LAST_EULER, 1e-3},
        {"leading", &none, 1000, 1000, VPSDE_LAST_EULER, 1e-3},
        {"trailing", NULL, 1000, 1000, VPSDE_LAST_STOP, 0},
        {"leading", &none, 1000, 1000, VPSDE_LAST_STOP, 0},
        {"linspace", NULL, 999, 1000, VPSDE_LAST_EULER, 1e-3},
        {"leading", NULL, 999, 1000, VPSDE_LAST_EULER, 1e-3},
        {"linspace", NULL, 999, 999, VPSDE_LAST_STOP, 1e-3},
        {"leading", NULL, 999, 999, VPSDE_LAST_TWEEDIE, 1e-3},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        vpsde_process *p = case_process("ddpm-linear", cases[i].t_min);
        vpsde_grid *grid;
        assert_ok(vpsde_grid_create(&grid, vpsde_grid_find(cases[i].grid), p, cases[i].n_steps,
                                    cases[i].param, NULL, cases[i].last));
        assert_int_equal(grid->n_steps, cases[i].made);
        for (size_t k = 0; k < 1000; k++) {
            assert_close(grid->node[k].label, 999 - (double)k, 0);
        }
        if (cases[i].made == 1000) assert_true(grid->node[1000].t == 0);
        vpsde_grid_destroy(grid);
        vpsde_process_destroy(p);
    }
}

/* diffusers' leading indices of 5 steps without offset; the step from the last leads to the data. */
static void a_rule_that_ends_at_t_min_goes_on_to_data(void **state)
{
    const double none = 0, label[5] = {999, 600, 400, 200, 0};
    (void)state;
    vpsde_process *p = case_process("ddpm-linear", 1e-3);
    vpsde_grid *grid;
    assert_ok(
        vpsde_grid_create(&grid, vpsde_grid_find("leading"), p, 5, &none, NULL, VPSDE_LAST_EULER));
    assert_int_equal(grid->n_steps, 5);
    for (size_t k = 0; k < 5; k++) assert_close(grid->node[k].label, label[k], 0);
    assert_true(grid->node[5].t == 0 && grid->param[0] == 0);
    vpsde_grid_destroy(grid);
    vpsde_process_destroy(p);
}

/* The published tables at 10 steps, halves of their intervals at 20, the process' own ends. */
static void ays_has_the_published_nodes(void **state)
{
    static const double published[3][11] = {
        {14.6146412293, 6.4745760956, 3.8636745985, 2.6946151520, 1.8841921177, 1.3943805092,
         0.9642583904, 0.6523686016, 0.3977456272, 0.1515232662, 0.0291671582},
        {14.6146412293, 6.3184485287, 3.7681790315, 2.1811480769, 1.3405244945, 0.8620721141,
         0.5550693289, 0.3798540708, 0.2332364134, 0.1114188177, 0.0291671582},
        {700, 54.5, 15.886, 7.977, 4.248, 1.789, 0.981, 0.403, 0.173, 0.034, 0.002},
    };
    (void)state;
    vpsde_process *p = case_process("vp-linear", 1e-3);
    for (size_t m = 0; m < 3; m++) {
        const double table = (double)m;
        vpsde_grid *ten, *twenty;
        assert_ok(
            vpsde_grid_create(&ten, vpsde_grid_find("ays"), p, 10, &table, NULL, VPSDE_LAST_STOP));
        assert_ok(vpsde_grid_create(&twenty, vpsde_grid_find("ays"), p, 20, &table, NULL,
                                    VPSDE_LAST_STOP));
        check_grid(ten, p, 10);
        check_grid(twenty, p, 20);
        for (size_t k = 1; k < 10; k++) {
            assert_close(ten->node[k].sigma / ten->node[k].alpha / published[m][k], 1, 1e-10);
        }
        for (size_t k = 0; k < 10; k++) {
            assert_close(twenty->node[2 * k + 1].lambda,
                         (ten->node[k].lambda + ten->node[k + 1].lambda) / 2, 1e-10);
        }
        vpsde_grid_destroy(ten);
        vpsde_grid_destroy(twenty);
    }
    vpsde_process_destroy(p);
}

/* ---- equal shares of what the Gaussian N(mu, v) produces, in closed form ---------------------- */

enum { N_RATES = 8193 };
static const double mu = 1.3, v = 0.25;

static double variance_at(double b) { return exp(-b) * v - expm1(-b); }

/* KL(p_b || N(0, 1)), and H[x_0 | x_b] up to a constant */
static double free_energy(double b)
{
    const double mean2 = exp(-b) * mu * mu, variance = variance_at(b);
    return 0.5 * (variance + mean2 - 1 - log(variance));
}

static double uncertainty(double b) { return -0.5 * log(-expm1(-b) / variance_at(b)); }

static void exact_rates(vpsde_rates *rates, double *memory, const vpsde_process *p)
{
    const double first = vpsde_process_at(p, vpsde_process_t_max(p)).lambda;
    const double last = vpsde_process_at(p, vpsde_process_get_spec(p)->t_min).lambda;
    double *b = memory, *dissipation = memory + N_RATES, *entropy = memory + 2 * N_RATES;
    for (size_t m = 0; m < N_RATES; m++) {
        const double share = (double)m / (N_RATES - 1);
        const vpsde_coef c = vpsde_process_at_lambda(p, first + share * (last - first));
        const double V = variance_at(c.b), force = (V - 1) * (V - 1) / V;
        b[m] = c.b;
        dissipation[m] = 0.5 * (force + c.alpha * c.alpha * mu * mu);
        entropy[m] = 0.5 * (1 / (c.sigma * c.sigma) - 1 / V);
    }
    *rates = (vpsde_rates){.n = N_RATES, .b = b, .dissipation = dissipation, .entropy = entropy};
}

static void equal_shares_of_a_gaussian(void **state)
{
    static const char *const schedules[] = {"vp-linear", "ddpm-linear", "cosine"};
    static const size_t steps[] = {1, 2, 3, 10, 50};
    static double (*const produced[])(double) = {free_energy, uncertainty};
    static double memory[3 * N_RATES];
    (void)state;
    for (size_t i = 0; i < 2 * 3 * 5; i++) {
        const double param[2] = {(double)(i % 2), 128};
        const size_t n = steps[i / 6];
        vpsde_process *p = case_process(schedules[i / 2 % 3], 1e-3);
        vpsde_rates rates;
        vpsde_grid *grid;
        exact_rates(&rates, memory, p);
        assert_ok(vpsde_grid_create_by(&grid, vpsde_grid_find("equal-dissipation"), p, n, param,
                                       &rates, VPSDE_LAST_STOP));
        check_grid(grid, p, n);
        double (*const total)(double) = produced[i % 2];
        const double all = total(grid->node[n].b) - total(grid->node[0].b);
        for (size_t k = 0; k < n; k++) {
            const double share = total(grid->node[k + 1].b) - total(grid->node[k].b);
            assert_close(share / all, 1 / (double)n, 1e-10);
        }
        vpsde_grid_destroy(grid);
        vpsde_process_destroy(p);
    }
}

static void rates_that_make_no_sense(void **state)
{
    (void)state;
    static double memory[3 * N_RATES];
    const vpsde_grid_type *type = vpsde_grid_find("equal-dissipation");
    const vpsde_last_step stop = VPSDE_LAST_STOP;
    vpsde_process *p = case_process("vp-linear", 1e-3), *zero = case_process("vp-linear", 0);
    vpsde_rates good, bad;
    vpsde_grid *grid;
    exact_rates(&good, memory, p);
    double *none = calloc(N_RATES, sizeof(*none));
    bad = good;
    bad.n = N_RATES - 1;
    assert_fails(vpsde_grid_create_by(&grid, type, p, 5, NULL, &bad, stop), VPSDE_EINVAL,
                 "rates must be given at 2 or more b from");
    assert_fails(vpsde_grid_create_by(&grid, type, zero, 5, NULL, &good, stop), VPSDE_EINVAL,
                 "needs t_min > 0");
    bad = good;
    bad.dissipation = none;
    assert_fails(vpsde_grid_create_by(&grid, type, p, 5, NULL, &bad, stop), VPSDE_EINVAL,
                 "the rate is 0 at every node");
    none[7] = (double)INFINITY;
    assert_fails(vpsde_grid_create_by(&grid, type, p, 5, NULL, &bad, stop), VPSDE_EINVAL,
                 "rate inf at node 7");
    memory[5] = memory[4];
    assert_fails(vpsde_grid_create_by(&grid, type, p, 5, NULL, &good, stop), VPSDE_EINVAL,
                 "b must decrease");
    assert_fails(vpsde_grid_create_by(&grid, vpsde_grid_find("karras"), p, 5, NULL, &good, stop),
                 VPSDE_EINVAL, "goes by no rates");
    free(none);
    vpsde_process_destroy(p);
    vpsde_process_destroy(zero);
}

/* Estimates may be 0 or negative in places: nodes keep away from there and still decrease. */
static void noisy_rates_still_order_the_nodes(void **state)
{
    (void)state;
    static double memory[3 * N_RATES];
    vpsde_process *p = case_process("vp-linear", 1e-3);
    vpsde_rates rates;
    vpsde_grid *grid;
    exact_rates(&rates, memory, p);
    for (size_t m = 0; m < N_RATES; m++) {
        if (m / 100 % 2 == 0 || m % 3 == 0) memory[N_RATES + m] *= -1;
    }
    assert_ok(vpsde_grid_create_by(&grid, vpsde_grid_find("equal-dissipation"), p, 40, NULL, &rates,
                                   VPSDE_LAST_STOP));
    check_grid(grid, p, 40);
    vpsde_grid_destroy(grid);
    vpsde_process_destroy(p);
}

static void a_reversed_grid_has_the_same_nodes(void **state)
{
    enum { N = 7 };
    vpsde_process *p = case_process("vp-linear", 1e-3);
    vpsde_grid *down = grid_of("karras", p, N), *up;
    (void)state;
    assert_ok(vpsde_grid_reversed(&up, down));
    assert_int_equal(up->n_steps, N);
    assert_true(vpsde_grid_encodes(up) && !vpsde_grid_encodes(down));
    for (size_t k = 0; k <= N; k++) {
        assert_memory_equal(&up->node[k], &down->node[N - k], sizeof(up->node[k]));
    }
    vpsde_grid_destroy(up);
    vpsde_grid_destroy(down);
    vpsde_process_destroy(p);
}

static void last_steps(void **state)
{
    vpsde_grid *grid;
    (void)state;
    vpsde_process *p = case_process("vp-linear", 1e-3), *zero = case_process("vp-linear", 0);
    const vpsde_grid_type *type = vpsde_grid_find("uniform-t");
    assert_ok(vpsde_grid_create(&grid, type, p, 3, NULL, NULL, VPSDE_LAST_EULER));
    assert_int_equal(grid->n_steps, 4);
    assert_true(grid->node[3].t == 1e-3 && grid->node[4].t == 0 && isinf(grid->node[4].lambda));
    vpsde_grid_destroy(grid);
    assert_ok(vpsde_grid_create(&grid, type, zero, 3, NULL, NULL, VPSDE_LAST_EULER));
    assert_int_equal(grid->n_steps, 3);
    assert_true(grid->node[3].t == 0);
    vpsde_grid_destroy(grid);
    grid = grid_of("karras", zero, 5); /* sigma/alpha goes to 0 in equal steps of its root */
    assert_true(grid->node[4].t > 0 && grid->node[5].t == 0);
    vpsde_grid_destroy(grid);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(vpsde_last_step_find(vpsde_last_step_name((vpsde_last_step)i)), i);
    }
    assert_string_equal(vpsde_last_step_name(VPSDE_LAST_LOWER_ORDER), "lower-order");
    assert_int_equal(vpsde_last_step_find("last"), -1);
    vpsde_process_destroy(p);
    vpsde_process_destroy(zero);
}

static void user_nodes_are_taken_as_they_are(void **state)
{
    const double times[4] = {0.8, 0.31, 0.02, 0.002};
    vpsde_grid *grid;
    (void)state;
    vpsde_process *p = case_process("ddpm-linear", 1e-3);
    assert_ok(
        vpsde_grid_create(&grid, vpsde_grid_find("user"), p, 3, NULL, times, VPSDE_LAST_TWEEDIE));
    for (size_t k = 0; k < 4; k++) assert_true(grid->node[k].t == times[k]);
    assert_true(grid->last_step == VPSDE_LAST_TWEEDIE && grid->type->takes_times);
    vpsde_grid_destroy(grid);
    vpsde_process_destroy(p);
}

static void registry_is_complete(void **state)
{
    (void)state;
    assert_null(vpsde_grid_find("uniform"));
    for (size_t g = 0; vpsde_grid_at(g); g++) {
        const vpsde_grid_type *type = vpsde_grid_at(g);
        assert_ptr_equal(vpsde_grid_find(type->name), type);
        assert_true(type->name[strspn(type->name, "abcdefghijklmnopqrstuvwxyz-")] == 0);
        assert_true(type->source && type->source[0] && type->doc && type->doc[0]);
        assert_int_equal(type->takes_times + !!type->place + !!type->place_by, 1);
    }
}

#define assert_refused(grid, process, n, param, times, last, words)                                \
    do {                                                                                           \
        vpsde_grid *refused;                                                                       \
        assert_fails(                                                                              \
            vpsde_grid_create(&refused, vpsde_grid_find(grid), process, n, param, times, last),    \
            VPSDE_EINVAL, words);                                                                  \
        assert_null(refused);                                                                      \
    } while (0)

static void refuses_what_makes_no_sense(void **state)
{
    const double twice[4] = {0.9, 0.5, 0.5, 0.1}, rising[3] = {0.5, 0.7, 0.1};
    const double outside[2] = {1.5, 0.1}, to_zero[2] = {1, 0}, nan[2] = {(double)NAN, 0.1};
    const double rho = 0.5, half = 0.5, none = 0;
    (void)state;
    vpsde_process *p = case_process("ddpm-linear", 1e-3), *zero = case_process("vp-linear", 0);
    vpsde_process *late = case_process("vp-linear", 0.5);
    const vpsde_last_step stop = VPSDE_LAST_STOP;
    assert_refused("none", p, 10, NULL, NULL, stop, "grid: must be given");
    assert_refused("uniform-t", p, 0, NULL, NULL, stop, "steps: must be in [1, 1000000], got 0");
    assert_refused("uniform-t", p, SIZE_MAX, NULL, NULL, stop, "steps");
    assert_refused("uniform-t", p, 10, NULL, NULL, (vpsde_last_step)9, "last_step");
    assert_refused("uniform-t", p, 3, NULL, twice, stop, "places its own nodes");
    assert_refused("user", p, 3, NULL, NULL, stop, "needs its 4 nodes, got none");
    assert_refused("user", p, 3, NULL, twice, stop, "got 0.5 at node 1 and 0.5 at node 2");
    assert_refused("user", p, 2, NULL, rising, stop, "got 0.5 at node 0 and 0.69999999999999996");
    assert_refused("user", p, 1, NULL, outside, stop, "t of node 0 must be in (0, 1], got 1.5");
    assert_refused("user", p, 1, NULL, to_zero, stop, "t of node 1 must be in (0, 1], got 0");
    assert_refused("user", p, 1, NULL, nan, stop, "t of node 0 must be in (0, 1], got nan");
    assert_refused("uniform-lambda", zero, 5, NULL, NULL, stop, "needs t_min > 0");
    assert_refused("karras", p, 5, &rho, NULL, stop, "rho: must be in [1, 100], got 0.5");
    assert_refused("leading", p, 5, &half, NULL, stop, "steps_offset: must be a whole number");
    assert_refused("trailing", p, 1001, NULL, NULL, stop, "at most 1000 steps among 1000 DDPM");
    assert_refused("leading", p, 1000, NULL, NULL, stop, "places at most 999 steps among 1000");
    assert_refused("linspace", p, 1000, NULL, NULL, stop, "places at most 999 steps among 1000");
    assert_refused("leading", p, 5, &none, NULL, stop,
                   "t_min must lie below node 4 at t = 0.001, got 0.001; take fewer steps or a "
                   "smaller t_min, or last_step: euler");
    assert_refused("trailing", p, 1000, NULL, NULL, stop, "t_min must lie below node 999");
    assert_refused("ays", zero, 5, NULL, NULL, stop, "grid ays: needs t_min > 0");
    assert_refused("ays", late, 5, NULL, NULL, stop, "of the table lies outside the process");
    assert_refused("equal-dissipation", p, 5, NULL, NULL, stop, "vpsde_grid_calibrate");
    vpsde_grid_destroy(NULL);
    vpsde_process_destroy(late);
    vpsde_process_destroy(p);
    vpsde_process_destroy(zero);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(registry_is_complete),
        cmocka_unit_test(grids_decrease_or_are_refused),
        cmocka_unit_test(policies_place_by_their_formulas),
        cmocka_unit_test(index_grids_pick_whole_steps),
        cmocka_unit_test(index_grids_reach_every_step),
        cmocka_unit_test(a_rule_that_ends_at_t_min_goes_on_to_data),
        cmocka_unit_test(ays_has_the_published_nodes),
        cmocka_unit_test(equal_shares_of_a_gaussian),
        cmocka_unit_test(rates_that_make_no_sense),
        cmocka_unit_test(noisy_rates_still_order_the_nodes),
        cmocka_unit_test(last_steps),
        cmocka_unit_test(a_reversed_grid_has_the_same_nodes),
        cmocka_unit_test(user_nodes_are_taken_as_they_are),
        cmocka_unit_test(refuses_what_makes_no_sense),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
