/* The order measurements themselves: do they find the orders of methods that are known by heart, and
 * do they tell when a declaration, a formula or a noise is wrong? Orders of all registered solvers are
 * measured by tests/scripts/verify.py. */
#include "tests/toy.h"

#include "core/vec.h"
#include "sde/brownian.h"
#include "solvers/orders.h"
#include "solvers/orders_inputs.h"

static vpsde_orders_case *measure(size_t *n, const vpsde_solver_type *type, size_t n_threads)
{
    vpsde_orders_case *cases;
    assert_ok(vpsde_orders_plan(&cases, n, &type, 1));
    assert_ok(vpsde_orders_measure(cases, *n, n_threads, NULL));
    for (size_t i = 0; i < *n; i++) {
        print_message("%s %s: %s order %.3f of %g\n", type->name, cases[i].form,
                      vpsde_order_kind_name[cases[i].kind], cases[i].measured, cases[i].declared);
    }
    return cases;
}

static const vpsde_orders_case *of_kind(const vpsde_orders_case *cases, size_t n, const char *form,
                                        vpsde_order_kind kind)
{
    for (size_t i = 0; i < n; i++) {
        if (cases[i].kind == kind && strcmp(cases[i].form, form) == 0) return &cases[i];
    }
    return NULL;
}

static void forms_and_kinds_are_rows(void **state)
{
    (void)state;
    size_t n;
    vpsde_orders_case *cases = measure(&n, vpsde_solver_find("ddim"), 1);
    assert_non_null(of_kind(cases, n, "", VPSDE_ORDER_ODE));
    assert_null(of_kind(cases, n, "", VPSDE_ORDER_STRONG));
    assert_non_null(of_kind(cases, n, "eta=0.5", VPSDE_ORDER_STRONG)); /* another SDE */
    assert_non_null(of_kind(cases, n, "eta=0.5", VPSDE_ORDER_WEAK));
    for (size_t i = 0; i < n; i++) assert_true(cases[i].pass);
    const vpsde_orders_case *c = of_kind(cases, n, "", VPSDE_ORDER_ODE);
    assert_int_equal(c->n_curves, 2);
    assert_close(c->measured, 1, 0.02);
    for (size_t i = 0; i < c->curve[0].n; i++) {
        assert_close(c->curve[0].nfe[i], c->curve[0].steps[i], 0);
    }
    free(cases);
}

/* Whatever runs side by side, the numbers are the same. */
static void threads_change_nothing(void **state)
{
    (void)state;
    vpsde_solver_type type = *vpsde_solver_find("stochastic-heun");
    size_t n;
    type.forms = NULL;
    vpsde_orders_case *one = measure(&n, &type, 1), *three = measure(&n, &type, 3);
    for (size_t i = 0; i < n; i++) {
        assert_memory_equal(&one[i].measured, &three[i].measured, sizeof(double));
        assert_memory_equal(one[i].curve, three[i].curve, sizeof(one[i].curve));
    }
    free(one);
    free(three);
}

static void a_form_without_order_cannot_miss(void **state)
{
    (void)state;
    size_t n;
    vpsde_orders_case *cases = measure(&n, vpsde_solver_find("pc-langevin"), 1);
    assert_int_equal(n, 1);
    assert_int_equal(cases[0].kind, VPSDE_ORDER_NONE);
    assert_true(cases[0].pass && isnan(cases[0].measured));
    free(cases);
}

static void what_chooses_its_steps_is_measured_too(void **state)
{
    (void)state;
    size_t n;
    vpsde_orders_case *cases = measure(&n, vpsde_solver_find("dopri5"), 1);
    assert_int_equal(n, 1);
    assert_true(cases[0].pass);
    assert_close(cases[0].measured, 5, 0.25);
    free(cases);
}

/* ---- methods with a fault -------------------------------------------------------------------- */

enum { RIGHT, TOO_MUCH_NOISE, FRESH_NOISE, HALF_DRIFT };

/* Euler-Maruyama in b with a fault. */
static vpsde_status faulty_step(vpsde_step *s)
{
    double *eps = s->w[0], *z = s->w[1];
    const int fault = (int)s->param[0];
    const double h = s->at->b - s->next->b, drift = fault == HALF_DRIFT ? h / 2 : h;
    const double noise = sqrt(h * (fault == TOO_MUCH_NOISE ? 1 + h / 10 + 0.01 : 1));
    VPSDE_TRY(vpsde_eps(s, s->at, s->x, eps));
    if (fault == FRESH_NOISE)
        vpsde_step_draw(s, 0, z);
    else
        vpsde_step_noise(s, s->at, s->next, z, NULL);
    vec_lin3(s->n * s->d, s->x, 1 + h / 2, s->x, -drift / s->at->sigma, eps, noise, z);
    return VPSDE_OK;
}

static const vpsde_param fault_param[] = {
    {.name = "fault", .kind = VPSDE_PARAM_INT, .max = HALF_DRIFT}, {.name = NULL}};
static const vpsde_solver_type faulty = {
    .name = "faulty",
    .order = {.strong = 1, .weak = 1},
    .forms = (const char *const[]){"fault=1", "fault=2", "fault=3", NULL},
    .nfe_per_step = 1,
    .n_scratch = 2,
    .params = fault_param,
    .step = faulty_step,
};

static void faults_are_found(void **state)
{
    (void)state;
    size_t n;
    vpsde_orders_case *cases = measure(&n, &faulty, 2);
    assert_true(of_kind(cases, n, "", VPSDE_ORDER_STRONG)->pass);
    assert_true(of_kind(cases, n, "", VPSDE_ORDER_WEAK)->pass);
    assert_false(of_kind(cases, n, "fault=1", VPSDE_ORDER_STRONG)->pass);
    assert_false(of_kind(cases, n, "fault=1", VPSDE_ORDER_WEAK)->pass);
    assert_false(of_kind(cases, n, "fault=2", VPSDE_ORDER_STRONG)->pass); /* not this path */
    assert_true(of_kind(cases, n, "fault=2", VPSDE_ORDER_WEAK)->pass);    /* but this law */
    assert_false(of_kind(cases, n, "fault=3", VPSDE_ORDER_STRONG)->pass);
    assert_false(of_kind(cases, n, "fault=3", VPSDE_ORDER_WEAK)->pass);
    free(cases);
}

/* A declaration that is too low misses as one that is too high. */
static void declarations_are_tested_from_both_sides(void **state)
{
    (void)state;
    static const double declared[] = {1, 2, 3};
    for (size_t i = 0; i < 3; i++) {
        vpsde_solver_type type = *vpsde_solver_find("heun");
        size_t n;
        type.order.ode = declared[i];
        type.forms = NULL;
        vpsde_orders_case *cases = measure(&n, &type, 1);
        assert_int_equal(cases[0].pass, declared[i] == 2);
        free(cases);
    }
}

static void a_form_its_table_refuses_is_an_error(void **state)
{
    (void)state;
    vpsde_solver_type type = *vpsde_solver_find("ddim");
    const vpsde_solver_type *one = &type;
    vpsde_orders_case *cases;
    size_t n;
    type.forms = (const char *const[]){"etta=1", NULL};
    assert_int_equal(vpsde_orders_plan(&cases, &n, &one, 1), VPSDE_EINTERNAL);
    assert_non_null(strstr(vpsde_last_error(), "ddim: "));
    assert_null(cases);
}

static void a_stop_stops(void **state)
{
    (void)state;
    const volatile int stop = 1;
    const vpsde_control control = {.stop = &stop};
    const vpsde_solver_type *type = vpsde_solver_find("heun");
    vpsde_orders_case *cases;
    size_t n;
    assert_ok(vpsde_orders_plan(&cases, &n, &type, 1));
    assert_int_equal(vpsde_orders_measure(cases, n, 1, &control), VPSDE_ESTOPPED);
    free(cases);
}

/* ---- elementary normals ---------------------------------------------------------------------- */

/* z and area of a union are what the elementary ones of its parts say: the Brownian tree, asked for
 * the whole and for the parts, agrees. */
static void shares_agree_with_the_tree(void **state)
{
    (void)state;
    enum { N = 7, PARTS = 3 };
    static const double b[PARTS + 1] = {2.7, 2.1, 1.3, 0.4};
    orders_inputs in = {0};
    vpsde_noise_source recorder = orders_recorder(&in);
    vpsde_block block = {.noise = &recorder, .count = 1};
    vpsde_coef c[PARTS + 1] = {{0}};
    double one[1];
    for (size_t i = 0; i <= PARTS; i++) c[i].b = b[i];
    recorder.stretch(&block, &c[0], &c[2], 1, one, NULL);
    recorder.stretch(&block, &c[1], &c[3], 1, one, one);
    recorder.draw(&block, 5, 2, 1, one);
    recorder.draw(&block, 5, 2, 1, one);
    assert_ok(orders_inputs_close(&in));
    assert_int_equal(orders_inputs_count(&in), 2 * PARTS + 1);
    assert_int_equal(orders_inputs_draw(&in, 5, 2), 2 * PARTS);

    double part[2 * PARTS][N], z[N], area[N];
    vpsde_brownian *path;
    assert_ok(vpsde_brownian_create(&path, N, 1));
    vpsde_brownian_place(path, 3, VPSDE_NOISE_TEST, 0, N);
    for (size_t m = 0; m < PARTS; m++) {
        vpsde_brownian_stretch(path, b[m], b[m + 1], part[2 * m], part[2 * m + 1]);
    }
    for (size_t from = 0; from < PARTS; from++) {
        for (size_t to = from + 1; to <= PARTS; to++) {
            const orders_span span = orders_inputs_span(&in, b[from], b[to]);
            assert_int_equal(span.first, 2 * from);
            assert_int_equal(span.n, 2 * (to - from));
            vpsde_brownian_stretch(path, b[from], b[to], z, area);
            for (size_t i = 0; i < N; i++) {
                double sum_z = 0, sum_area = 0, of_z, of_area;
                for (size_t e = span.first; e < span.first + span.n; e++) {
                    orders_inputs_share(&in, b[from], b[to], e, &of_z, &of_area);
                    sum_z += of_z * part[e][i];
                    sum_area += of_area * part[e][i];
                }
                assert_close(sum_z, z[i], 1e-12);
                assert_close(sum_area, area[i], 1e-11);
            }
        }
    }
    vpsde_brownian_destroy(path);
    orders_inputs_free(&in);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(forms_and_kinds_are_rows),
        cmocka_unit_test(threads_change_nothing),
        cmocka_unit_test(a_form_without_order_cannot_miss),
        cmocka_unit_test(what_chooses_its_steps_is_measured_too),
        cmocka_unit_test(faults_are_found),
        cmocka_unit_test(declarations_are_tested_from_both_sides),
        cmocka_unit_test(a_form_its_table_refuses_is_an_error),
        cmocka_unit_test(a_stop_stops),
        cmocka_unit_test(shares_agree_with_the_tree),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
