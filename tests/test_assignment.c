/* The assignment against all permutations, its prices as the proof, and problems whose answer is known. */
#include "analysis/assignment.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>

#include <vpsde/noise.h>

#include "tests/check.h"

enum { MOST = 7 };

static double cost_of(size_t n, const double *cost, const size_t *partner)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++) sum += cost[i * n + partner[i]];
    return sum;
}

static double least(size_t n, const double *cost, size_t row, unsigned taken)
{
    double best = row == n ? 0 : INFINITY;
    for (size_t j = 0; row < n && j < n; j++) {
        if (taken >> j & 1u) continue;
        best = fmin(best, cost[row * n + j] + least(n, cost, row + 1, taken | 1u << j));
    }
    return best;
}

/* Every row has a partner of its own, and no prices allow less. */
static void check_proof(size_t n, const double *cost, const size_t *partner, const double *u,
                        const double *v)
{
    double prices = 0;
    bool *taken = calloc(n, sizeof(*taken));
    assert_non_null(taken);
    for (size_t i = 0; i < n; i++) {
        assert_true(partner[i] < n && !taken[partner[i]]);
        taken[partner[i]] = true;
        prices += u[i] + v[i];
        for (size_t j = 0; j < n; j++) assert_true(u[i] + v[j] <= cost[i * n + j] + 1e-12);
    }
    assert_close(prices, cost_of(n, cost, partner), 1e-10 * fmax(1, fabs(prices)));
    free(taken);
}

static void against_all_permutations(void **state)
{
    double cost[MOST * MOST], u[MOST], v[MOST];
    size_t partner[MOST];
    (void)state;
    for (size_t n = 0; n <= MOST; n++) {
        for (uint64_t problem = 0; problem < 20; problem++) {
            vpsde_normals(cost, 3, VPSDE_NOISE_TEST, problem, 1, (uint32_t)n, n * n);
            for (size_t e = 0; problem % 2 && e < n * n; e++) cost[e] = round(cost[e]); /* ties */
            assert_ok(vpsde_assignment(n, cost, partner, u, v));
            check_proof(n, cost, partner, u, v);
            assert_close(cost_of(n, cost, partner), least(n, cost, 0, 0), 1e-12);
        }
    }
}

/* On a line the best pairing of squares is by rank. */
static void sorted_points(void **state)
{
    enum { N = 400 };
    double *x = malloc((size_t)N * (N + 4) * sizeof(double)), *y = x + N, *u = y + N, *v = u + N;
    double *cost = v + N;
    size_t partner[N];
    (void)state;
    assert_non_null(x);
    vpsde_normals(x, 5, VPSDE_NOISE_TEST, 0, 2, 0, N);
    for (size_t e = 0; e < (size_t)N * N; e++) cost[e] = pow(x[e / N] - y[e % N], 2);
    assert_ok(vpsde_assignment(N, cost, partner, u, v));
    check_proof(N, cost, partner, u, v);
    for (size_t i = 0; i < N; i++) {
        size_t rank = 0, rank_of_partner = 0;
        for (size_t j = 0; j < N; j++) {
            rank += x[j] < x[i];
            rank_of_partner += y[j] < y[partner[i]];
        }
        assert_int_equal(rank, rank_of_partner);
    }
    free(x);
}

/* A gradient of a convex function pairs points as they should be paired: nobody moves. */
static void monge_pairs_stay(void **state)
{
    enum { N = 300 };
    double *x = malloc((size_t)N * (N + 6) * sizeof(double)), *y = x + 2 * N, *u = y + 2 * N;
    double *v = u + N, *cost = v + N;
    size_t partner[N];
    (void)state;
    assert_non_null(x);
    vpsde_normals(x, 6, VPSDE_NOISE_TEST, 0, N, 0, 2);
    for (size_t i = 0; i < N; i++) { /* the gradient of x^4/4 + x^2 + x y + y^2 */
        y[2 * i] = pow(x[2 * i], 3) + 2 * x[2 * i] + x[2 * i + 1];
        y[2 * i + 1] = x[2 * i] + 2 * x[2 * i + 1];
    }
    for (size_t e = 0; e < (size_t)N * N; e++) {
        cost[e] = pow(x[e / N * 2] - y[e % N * 2], 2) + pow(x[e / N * 2 + 1] - y[e % N * 2 + 1], 2);
    }
    assert_ok(vpsde_assignment(N, cost, partner, u, v));
    check_proof(N, cost, partner, u, v);
    for (size_t i = 0; i < N; i++) assert_int_equal(partner[i], i);
    free(x);
}

static void what_is_not_finite(void **state)
{
    const double cost[4] = {1, 2, (double)NAN, 0};
    double u[2], v[2];
    size_t partner[2];
    (void)state;
    assert_fails(vpsde_assignment(2, cost, partner, u, v), VPSDE_ENUMERIC,
                 "row 1 and column 0 is nan");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(against_all_permutations),
        cmocka_unit_test(sorted_points),
        cmocka_unit_test(monge_pairs_stay),
        cmocka_unit_test(what_is_not_finite),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
