#include "tests/check.h"

#include <vpsde/grid.h>

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
        assert_true(type->takes_times == !type->place);
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
    assert_refused("trailing", p, 1001, NULL, NULL, stop, "picks among 1000 DDPM steps, got 1001");
    assert_refused("leading", p, 5, &none, NULL, stop, "0.001 at node 4 and 0.001");
    assert_refused("linspace", p, 1000, NULL, NULL, stop, "nodes must strictly decrease in t");
    vpsde_grid_destroy(NULL);
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
        cmocka_unit_test(last_steps),
        cmocka_unit_test(user_nodes_are_taken_as_they_are),
        cmocka_unit_test(refuses_what_makes_no_sense),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
