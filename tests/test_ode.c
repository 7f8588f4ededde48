/* Integrators on problems with known solutions. */
#include "tests/check.h"

#include <stdlib.h>

#include "solvers/batch.h"

static const char *const names[] = {"dopri5",      "gsl-rkf45",   "gsl-rkck", "gsl-rk8pd",
                                    "gsl-msadams", "cvode-adams", "cvode-bdf"};
enum { N_NAMES = sizeof(names) / sizeof(names[0]), DIM_MAX = 80 };

/* y0' = -y1, y1' = y0 (turns); y2' = 2.385 cos(s) (drives); y3' = -y3 s; others copy these four. */
static vpsde_status turning(vpsde_ode *ode, double s, const double *y, double *dy)
{
    for (size_t j = 0; j < ode->dim; j++) {
        const double *group = y + j / 4 * 4;
        dy[j] = j % 4 == 0   ? -group[1]
                : j % 4 == 1 ? group[0]
                : j % 4 == 2 ? 2.385 * cos(s)
                             : -y[j] * s;
    }
    return VPSDE_OK;
}

static void turning_at(double s, size_t dim, double *y)
{
    for (size_t j = 0; j < dim; j++) {
        y[j] = j % 4 == 0   ? cos(s)
               : j % 4 == 1 ? sin(s)
               : j % 4 == 2 ? 2.385 * sin(s) - 0.7
                            : 1.3 * exp(-0.5 * s * s);
    }
}

typedef struct problem {
    vpsde_ode ode;
    double y[DIM_MAX], rtol[DIM_MAX], atol[DIM_MAX];
} problem;

static void set_up(problem *p, size_t dim, double s_start, double s_end, double tol)
{
    *p = (problem){.ode = {.dim = dim, .s_start = s_start, .s_end = s_end, .max_steps = 100000}};
    p->ode.y = p->y;
    p->ode.rtol = p->rtol;
    p->ode.atol = p->atol;
    p->ode.rhs = turning;
    for (size_t j = 0; j < dim; j++) p->rtol[j] = p->atol[j] = tol;
    turning_at(s_start, dim, p->y);
}

static const vpsde_solver_type *find(size_t index)
{
    const vpsde_solver_type *type = vpsde_solver_find(names[index]);
    assert_non_null(type);
    assert_true((type->flags & VPSDE_SOLVER_ADAPTIVE) != 0);
    return type;
}

static vpsde_status solve(size_t index, problem *p)
{
    const vpsde_solver_type *type = find(index);
    assert_ok(type->open(&p->ode.state, p->ode.dim));
    const vpsde_status status = vpsde_ode_run(type, &p->ode);
    type->close(p->ode.state);
    return status;
}

static double worst_error(const problem *p, double s)
{
    double exact[DIM_MAX], worst = 0;
    turning_at(s, p->ode.dim, exact);
    for (size_t j = 0; j < p->ode.dim; j++) worst = fmax(worst, fabs(p->y[j] - exact[j]));
    return worst;
}

static void follows_both_directions(void **state)
{
    (void)state;
    for (size_t m = 0; m < N_NAMES; m++) {
        for (int back = 0; back < 2; back++) {
            double error[3];
            for (int e = 0; e < 3; e++) {
                problem p;
                set_up(&p, 4, back ? 3.1 : 0.2, back ? 0.2 : 3.1, pow(10, -5 - 2 * e));
                assert_ok(solve(m, &p));
                error[e] = worst_error(&p, back ? 0.2 : 3.1);
                const double allowed = (back ? 3000 : 300) * p.atol[0]; /* y3 grows 100-fold back */
                if (!(error[e] < allowed)) print_error("%s at %g\n", names[m], p.atol[0]);
                assert_true(error[e] < allowed);
                assert_true(p.ode.n_rhs > 0 && p.ode.n_accepted > 0);
            }
            assert_true(error[2] < error[0] / 50);
        }
    }
}

/* A larger system takes CVODE's matrix-free path; same four equations, so the same answer. */
static void solves_large_systems(void **state)
{
    (void)state;
    for (size_t m = 0; m < N_NAMES; m++) {
        problem p;
        set_up(&p, DIM_MAX, 0.2, 3.1, 1e-7);
        assert_ok(solve(m, &p));
        assert_close(worst_error(&p, 3.1), 0, 1e-4);
    }
}

/* A component with a loose tolerance must not be resolved; one with a tight one must. */
static void heeds_each_tolerance(void **state)
{
    (void)state;
    for (size_t m = 0; m < N_NAMES; m++) {
        problem all, one;
        set_up(&all, 4, 0.2, 3.1, 1e-9);
        assert_ok(solve(m, &all));
        set_up(&one, 4, 0.2, 3.1, 1e-9);
        for (size_t j = 1; j < 4; j++) one.rtol[j] = one.atol[j] = 1e3;
        one.rtol[2] = one.atol[2] = 1e-3;
        one.rtol[0] = one.atol[0] = 1e3;
        assert_ok(solve(m, &one));
        assert_true(one.ode.n_rhs * 2 < all.ode.n_rhs);
    }
}

enum { N_LOG = 41 };

static void logs_without_touching_a_bit(void **state)
{
    (void)state;
    for (size_t m = 0; m < N_NAMES; m++) {
        for (int back = 0; back < 2; back++) {
            const double from = back ? 3.1 : 0.2, to = back ? 0.2 : 3.1;
            problem silent, logged;
            double at[N_LOG], y[N_LOG * 3];
            for (size_t k = 0; k < N_LOG; k++) {
                at[k] = from + (to - from) * (double)k / (N_LOG - 1);
            }
            at[N_LOG - 1] = to;
            set_up(&silent, 4, from, to, 1e-7);
            set_up(&logged, 4, from, to, 1e-7);
            logged.ode.n_log = N_LOG;
            logged.ode.log_dim = 3;
            logged.ode.log_s = at;
            logged.ode.log_y = y;
            assert_ok(solve(m, &silent));
            assert_ok(solve(m, &logged));
            assert_memory_equal(silent.y, logged.y, 4 * sizeof(double));
            assert_int_equal(silent.ode.n_rhs, logged.ode.n_rhs);
            assert_int_equal(logged.ode.log_next, N_LOG);
            for (size_t k = 0; k < N_LOG; k++) {
                double exact[4];
                turning_at(at[k], 4, exact);
                /* rk8pd's steps are long for order 5 */
                const double allowed = strcmp(names[m], "gsl-rk8pd") == 0 ? 2e-4 : 1e-4;
                for (size_t j = 0; j < 3; j++) assert_close(y[k * 3 + j], exact[j], allowed);
            }
        }
    }
}

enum { POWERS = 4 };

/* y_j = s^(j+1). Counts in context the calls whose y is off for j = 1 or 2. */
static vpsde_status powers(vpsde_ode *ode, double s, const double *y, double *dy)
{
    size_t *n_off = ode->context;
    assert_close(y[0], s, 1e-14); /* a stage's row adds up to its node */
    *n_off += fabs(y[1] - s * s) > 1e-13 || fabs(y[2] - s * s * s) > 1e-13;
    for (size_t j = 0; j < POWERS; j++) dy[j] = (double)(j + 1) * pow(s, (double)j);
    return VPSDE_OK;
}

/* Order conditions that hold to round-off: each stage but the second, and Hairer's Euler probe ahead of the
 * first step, is exact up to cubics; the ends, the dense output and the error estimate (of 0) up to
 * quartics. */
static void dopri5_keeps_its_digits(void **state)
{
    problem p;
    double at[N_LOG], y[N_LOG * POWERS];
    size_t n_off = 0;
    (void)state;
    set_up(&p, POWERS, 0.25, 1.25, 1e-10);
    for (size_t j = 0; j < POWERS; j++) p.y[j] = pow(0.25, (double)(j + 1));
    for (size_t k = 0; k < N_LOG; k++) at[k] = 0.25 + (double)k / (N_LOG - 1);
    p.ode.rhs = powers;
    p.ode.context = &n_off;
    p.ode.n_log = N_LOG;
    p.ode.log_dim = POWERS;
    p.ode.log_s = at;
    p.ode.log_y = y;
    assert_ok(solve(0, &p));
    assert_int_equal(n_off, p.ode.n_accepted + 1);
    assert_int_equal(p.ode.n_rejected, 0);
    assert_true(p.ode.n_accepted < 10); /* each step ten times the one before */
    for (size_t k = 0; k < N_LOG; k++) {
        for (size_t j = 0; j < POWERS; j++) {
            assert_close(y[k * POWERS + j], pow(at[k], (double)(j + 1)), 1e-13);
        }
    }
}

/* y' = -300 (y - cos s) - sin s with y = cos s: stiff for the explicit methods, which must shrink
 * their steps and still arrive. */
static vpsde_status stiff(vpsde_ode *ode, double s, const double *y, double *dy)
{
    (void)ode;
    dy[0] = -300 * (y[0] - cos(s)) - sin(s);
    return VPSDE_OK;
}

static void survives_stiffness(void **state)
{
    (void)state;
    uint64_t explicit_rhs = 0, bdf_rhs = 0;
    for (size_t m = 0; m < N_NAMES; m++) {
        problem p;
        set_up(&p, 1, 0, 10, 1e-6);
        p.ode.rhs = stiff;
        p.y[0] = 2;
        assert_ok(solve(m, &p));
        assert_close(p.y[0], cos(10), 1e-4);
        if (m == 0) explicit_rhs = p.ode.n_rhs;
        if (m == N_NAMES - 1) bdf_rhs = p.ode.n_rhs;
    }
    assert_true(bdf_rhs * 5 < explicit_rhs);
}

static vpsde_status breaks_off(vpsde_ode *ode, double s, const double *y, double *dy)
{
    if (s > 1) return vpsde_fail(VPSDE_EINTERNAL, "no network beyond 1");
    return turning(ode, s, y, dy);
}

static vpsde_status nan_beyond_one(vpsde_ode *ode, double s, const double *y, double *dy)
{
    turning(ode, s, y, dy);
    if (s > 1) dy[1] = (double)NAN;
    return VPSDE_OK;
}

/* Undefined far from the solution only: a smaller step helps. */
static vpsde_status nan_when_far(vpsde_ode *ode, double s, const double *y, double *dy)
{
    turning(ode, s, y, dy);
    if (hypot(y[0], y[1]) > 1.001) dy[1] = (double)NAN;
    return VPSDE_OK;
}

static void reports_failures(void **state)
{
    (void)state;
    for (size_t m = 0; m < N_NAMES; m++) {
        problem p;
        set_up(&p, 4, 0.2, 3.1, 1e-6);
        p.ode.rhs = breaks_off;
        assert_fails(solve(m, &p), VPSDE_EINTERNAL, "no network beyond 1");

        set_up(&p, 4, 0.2, 3.1, 1e-6);
        p.ode.rhs = nan_beyond_one;
        assert_fails(solve(m, &p), VPSDE_ENUMERIC, "stopped at");
        assert_true(p.ode.non_finite);
        if (p.ode.n_rhs >= 5000)
            print_error("%s: %llu\n", names[m], (unsigned long long)p.ode.n_rhs);
        assert_true(p.ode.n_rhs < 5000);

        set_up(&p, 4, 0.2, 3.1, 1e-6);
        p.ode.rhs = nan_when_far;
        assert_ok(solve(m, &p));
        assert_close(worst_error(&p, 3.1), 0, 1e-3);

        set_up(&p, 4, 0.2, 3.1, 1e-9);
        p.ode.max_steps = 5;
        assert_fails(solve(m, &p), VPSDE_ENUMERIC, "max_steps reached");
        assert_false(p.ode.non_finite);

        set_up(&p, 4, 0.2, 3.1, 1e-6);
        p.y[2] = (double)INFINITY;
        assert_fails(solve(m, &p), VPSDE_ENUMERIC, "start is not finite");

        set_up(&p, 4, 0.2, 0.2, 1e-6);
        assert_ok(solve(m, &p));
        assert_int_equal(p.ode.n_rhs, 0);
    }
}

/* A slot's second sample has the bits of a first one, whatever ran before it, failures included. */
static void reuses_slots_without_a_trace(void **state)
{
    (void)state;
    for (size_t m = 0; m < N_NAMES; m++) {
        const vpsde_solver_type *type = find(m);
        problem first, other;
        set_up(&first, 4, 0.2, 3.1, 1e-7);
        assert_ok(solve(m, &first));
        set_up(&other, 4, 0.2, 3.1, 1e-4);
        assert_ok(type->open(&other.ode.state, 4));
        for (int round = 0; round < 6; round++) {
            void *slot = other.ode.state;
            set_up(&other, 4, round % 2 ? 3.1 : 0.2, 1.7, pow(10, -3 - round));
            other.ode.state = slot;
            if (round == 2) other.ode.rhs = breaks_off;
            if (round == 3) other.ode.rhs = nan_beyond_one;
            if (round == 4) other.ode.rhs = stiff;
            vpsde_ode_run(type, &other.ode);
            set_up(&other, 4, 0.2, 3.1, 1e-7);
            other.ode.state = slot;
            assert_ok(vpsde_ode_run(type, &other.ode));
            if (memcmp(first.y, other.y, 4 * sizeof(double)) != 0) {
                print_error("%s differs after round %d\n", names[m], round);
            }
            assert_memory_equal(first.y, other.y, 4 * sizeof(double));
            assert_int_equal(first.ode.n_rhs, other.ode.n_rhs);
        }
        type->close(other.ode.state);
    }
}

static void every_integrator_has_the_common_parameters(void **state)
{
    (void)state;
    const vpsde_solver_type *type;
    size_t n = 0;
    for (size_t m = 0; (type = vpsde_solver_at(m)) != NULL; m++) {
        if (!type->integrate) continue;
        n++;
        assert_true(vpsde_param_find(type->params, "clock") >= 0);
        assert_true(vpsde_param_find(type->params, "max_steps") >= 0);
        assert_ok(vpsde_ode_check_type(type, "the test"));
    }
    assert_true(n >= N_NAMES);
}

static void ledgers_stay_at_the_largest(void **state)
{
    (void)state;
    assert_int_equal(vpsde_count_i32(0), 0);
    assert_int_equal(vpsde_count_i32(INT32_MAX), INT32_MAX);
    assert_int_equal(vpsde_count_i32((uint64_t)INT32_MAX + 1), INT32_MAX);
    assert_int_equal(vpsde_count_i32(UINT64_MAX), INT32_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(follows_both_directions),
        cmocka_unit_test(solves_large_systems),
        cmocka_unit_test(heeds_each_tolerance),
        cmocka_unit_test(logs_without_touching_a_bit),
        cmocka_unit_test(dopri5_keeps_its_digits),
        cmocka_unit_test(survives_stiffness),
        cmocka_unit_test(reports_failures),
        cmocka_unit_test(reuses_slots_without_a_trace),
        cmocka_unit_test(every_integrator_has_the_common_parameters),
        cmocka_unit_test(ledgers_stay_at_the_largest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
