#include "tests/check.h"

#include <stdlib.h>

#include "core/fiber.h"

enum { MANY = 200, SWITCHES = 5000 };

typedef struct job {
    vpsde_fiber *fiber;
    size_t index, switches, seen;
    double sum;
} job;

/* Each fiber builds its own sum over many switches; a lost register would show in it. */
static void add_up(void *argument)
{
    job *j = argument;
    double a = 1.0 + (double)j->index, b = 0.5, sum = 0;
    for (size_t k = 0; k < j->switches; k++) {
        sum += sqrt(a + (double)k) * b;
        b = 1.0 / (1.0 + b);
        vpsde_fiber_yield(j->fiber);
        j->seen++;
    }
    j->sum = sum;
}

static double expected_sum(const job *j)
{
    double a = 1.0 + (double)j->index, b = 0.5, sum = 0;
    for (size_t k = 0; k < j->switches; k++) {
        sum += sqrt(a + (double)k) * b;
        b = 1.0 / (1.0 + b);
    }
    return sum;
}

static void switches_many_times(void **state)
{
    (void)state;
    job j = {.index = 3, .switches = 200000};
    assert_ok(vpsde_fiber_create(&j.fiber, 0));
    assert_false(vpsde_fiber_resume(j.fiber)); /* idle: nothing to run */
    vpsde_fiber_start(j.fiber, add_up, &j);
    size_t n = 0;
    while (vpsde_fiber_resume(j.fiber)) n++;
    assert_int_equal(n, j.switches);
    assert_int_equal(j.seen, j.switches);
    assert_close(j.sum, expected_sum(&j), 0);
    assert_false(vpsde_fiber_resume(j.fiber));
    vpsde_fiber_destroy(j.fiber);
}

static void keeps_many_apart(void **state)
{
    (void)state;
    job *jobs = calloc(MANY, sizeof(*jobs));
    assert_non_null(jobs);
    for (size_t i = 0; i < MANY; i++) {
        jobs[i] = (job){.index = i, .switches = 1 + (i * 37) % SWITCHES / 10};
        assert_ok(vpsde_fiber_create(&jobs[i].fiber, 32768));
        vpsde_fiber_start(jobs[i].fiber, add_up, &jobs[i]);
    }
    size_t live = MANY;
    while (live > 0) {
        live = 0;
        for (size_t i = 0; i < MANY; i++) live += vpsde_fiber_resume(jobs[i].fiber);
    }
    for (size_t i = 0; i < MANY; i++) {
        assert_close(jobs[i].sum, expected_sum(&jobs[i]), 0);
        vpsde_fiber_destroy(jobs[i].fiber);
    }
    free(jobs);
}

static void starts_again(void **state)
{
    (void)state;
    job j = {.switches = 3};
    assert_ok(vpsde_fiber_create(&j.fiber, 1));
    for (size_t round = 0; round < 1000; round++) {
        j.seen = 0;
        j.index = round;
        vpsde_fiber_start(j.fiber, add_up, &j);
        while (vpsde_fiber_resume(j.fiber)) {
        }
        assert_int_equal(j.seen, 3);
        assert_close(j.sum, expected_sum(&j), 0);
    }
    vpsde_fiber_destroy(j.fiber);
    vpsde_fiber_destroy(NULL);
}

static void fill_stack(void *argument)
{
    job *j = argument;
    volatile unsigned char room[48 * 1024];
    for (size_t e = 0; e < sizeof(room); e++) room[e] = (unsigned char)(e + j->index);
    vpsde_fiber_yield(j->fiber);
    for (size_t e = 0; e < sizeof(room); e++) j->sum += room[e] == (unsigned char)(e + j->index);
}

static void has_room_and_can_be_left(void **state)
{
    (void)state;
    job j = {.index = 5};
    assert_ok(vpsde_fiber_create(&j.fiber, 64 * 1024));
    vpsde_fiber_start(j.fiber, fill_stack, &j);
    assert_true(vpsde_fiber_resume(j.fiber));
    assert_false(vpsde_fiber_resume(j.fiber));
    assert_close(j.sum, 48 * 1024, 0);
    vpsde_fiber_start(j.fiber, fill_stack, &j);
    assert_true(vpsde_fiber_resume(j.fiber));
    vpsde_fiber_destroy(j.fiber); /* while it waits */
}

static void inner(void *argument) { add_up(argument); }

/* A fiber may run another one. */
static void outer(void *argument)
{
    job *j = argument;
    job nested = {.index = 9, .switches = 10};
    if (vpsde_fiber_create(&nested.fiber, 32768) != VPSDE_OK) return;
    vpsde_fiber_start(nested.fiber, inner, &nested);
    while (vpsde_fiber_resume(nested.fiber)) vpsde_fiber_yield(j->fiber);
    j->sum = nested.sum;
    vpsde_fiber_destroy(nested.fiber);
}

static void nests(void **state)
{
    (void)state;
    job j = {.index = 0};
    const job alike = {.index = 9, .switches = 10};
    assert_ok(vpsde_fiber_create(&j.fiber, 0));
    vpsde_fiber_start(j.fiber, outer, &j);
    size_t n = 0;
    while (vpsde_fiber_resume(j.fiber)) n++;
    assert_int_equal(n, 10);
    assert_close(j.sum, expected_sum(&alike), 0);
    vpsde_fiber_destroy(j.fiber);
}

static void refuses_impossible_stacks(void **state)
{
    (void)state;
    vpsde_fiber *f = NULL;
    assert_fails(vpsde_fiber_create(&f, (size_t)1 << 60), VPSDE_ENOMEM, "fiber stack");
    assert_null(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(switches_many_times),
        cmocka_unit_test(keeps_many_apart),
        cmocka_unit_test(starts_again),
        cmocka_unit_test(has_room_and_can_be_left),
        cmocka_unit_test(nests),
        cmocka_unit_test(refuses_impossible_stacks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
