/* Every allocation of our own code fails once, and from then on: each verb ends with ENOMEM, leaves no
 * partial output, and goes on or starts again to the same bits. */
#include "tests/command_fixture.h"
#include "tests/failing_malloc.h"

/* The verb with allocation `at` failing; `resumes`: of a run that was put down at its start. */
static vpsde_status run(const command_case *c, bool resumes, size_t at)
{
    const int stop = 1;
    if (resumes)
        assert_int_equal(command_run(c->verb, "conf.yaml", c->output, &stop), VPSDE_ESTOPPED);
    failing.calls = 0;
    failing.at = at;
    const vpsde_status status = resumes ? command_run("resume", c->output, NULL, NULL)
                                        : command_run(c->verb, "conf.yaml", c->output, NULL);
    failing.at = 0;
    return status;
}

/* What a failed run left is whole or nothing. True when it went on from there, or started again, which
 * is only now and then of interest. */
static bool recovers(const command_case *c, bool resumes, size_t at)
{
    const bool kept = command_exists("out.h5.parts");
    if (c == &command_train) {
        command_check_whole("net.safetensors");
        command_check_whole("net.state.safetensors");
        assert_false(command_exists("net.lock"));
        command_clean(c);
    } else {
        assert_false(command_exists(c->output));
    }
    assert_false(command_exists("out.h5.parts/whole.h5"));
    if (resumes) assert_true(kept);
    if (!kept && at % 16 != 0) return false;
    assert_ok(kept ? command_run("resume", c->output, NULL, NULL)
                   : command_run(c->verb, "conf.yaml", c->output, NULL));
    return true;
}

/* Fails every allocation in turn; for good only every fifth one, unless VPSDE_TEST_EVERY is set. */
static void fail_each(const command_case *c, bool resumes, bool from_then_on)
{
    size_t n;
    failing.persistent = from_then_on;
    command_write("conf.yaml", c->text, strlen(c->text));
    command_clean(c);
    assert_ok(run(c, resumes, SIZE_MAX));
    const size_t all = failing.calls, step = from_then_on && !getenv("VPSDE_TEST_EVERY") ? 5 : 1;
    double *expected = command_values(c, &n);
    for (size_t at = 1; at <= all; at += step) {
        command_clean(c);
        const vpsde_status status = run(c, resumes, at);
        if (status != VPSDE_ENOMEM) print_error("%s, allocation %zu\n", c->verb, at);
        assert_fails(status, VPSDE_ENOMEM, "");
        if (recovers(c, resumes, at)) command_check_same(c, expected, n);
    }
    command_clean(c);
    free(expected);
    print_message("%s%s: %zu allocations failed%s\n", resumes ? "resumed " : "", c->verb,
                  (all + step - 1) / step, from_then_on ? " for good" : "");
    assert_true(all > 50);
}

static void fail_all(const command_case *c, bool resumes)
{
    fail_each(c, resumes, false);
    fail_each(c, resumes, true);
}

static void sampling_survives(void **state)
{
    (void)state;
    fail_all(&command_sample, false);
}

static void resuming_survives(void **state)
{
    (void)state;
    fail_all(&command_sample, true);
}

static void wide_rows_survive(void **state)
{
    (void)state;
    fail_each(&command_wide, false, false);
}

static void a_likelihood_survives(void **state)
{
    (void)state;
    fail_all(&command_likelihood, false);
}

static void a_checkpoint_survives(void **state)
{
    (void)state;
    fail_all(&command_network, false);
}

static void training_survives(void **state)
{
    (void)state;
    fail_all(&command_train, false);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sampling_survives),     cmocka_unit_test(resuming_survives),
        cmocka_unit_test(a_likelihood_survives), cmocka_unit_test(a_checkpoint_survives),
        cmocka_unit_test(training_survives),     cmocka_unit_test(wide_rows_survive),
    };
    return cmocka_run_group_tests(tests, command_setup, command_teardown);
}
