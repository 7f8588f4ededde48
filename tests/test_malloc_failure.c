/* Every allocation of our own code fails once, and from then on: each verb ends with ENOMEM, leaves no
 * partial output, and goes on or starts again to the same bits. malloc and its kin are wrapped in this
 * binary; what shared libraries allocate (HDF5, GSL, jansson, libyaml) is not seen: HDF5 1.10 crashes
 * by itself without memory, which counts as a kill. */
#include "tests/command_fixture.h"

#include <errno.h>

static size_t calls, fail_at; /* 0: never */
static bool persistent;

static bool fails(void)
{
    if (fail_at == 0) return false;
    calls++;
    if (persistent ? calls < fail_at : calls != fail_at) return false;
    errno = ENOMEM;
    return true;
}

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *memory, size_t size);
void *__real_reallocarray(void *memory, size_t count, size_t size);
void *__real_aligned_alloc(size_t alignment, size_t size);
char *__real_strdup(const char *text);
char *__real_realpath(const char *path, char *resolved);
int __real_vasprintf(char **out, const char *format, va_list args);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *memory, size_t size);
void *__wrap_reallocarray(void *memory, size_t count, size_t size);
void *__wrap_aligned_alloc(size_t alignment, size_t size);
char *__wrap_strdup(const char *text);
char *__wrap_realpath(const char *path, char *resolved);
int __wrap_vasprintf(char **out, const char *format, va_list args);

void *__wrap_malloc(size_t size) { return fails() ? NULL : __real_malloc(size); }
void *__wrap_calloc(size_t count, size_t size)
{
    return fails() ? NULL : __real_calloc(count, size);
}
void *__wrap_realloc(void *memory, size_t size)
{
    return fails() ? NULL : __real_realloc(memory, size);
}
void *__wrap_reallocarray(void *memory, size_t count, size_t size)
{
    return fails() ? NULL : __real_reallocarray(memory, count, size);
}
void *__wrap_aligned_alloc(size_t alignment, size_t size)
{
    return fails() ? NULL : __real_aligned_alloc(alignment, size);
}
char *__wrap_strdup(const char *text) { return fails() ? NULL : __real_strdup(text); }
char *__wrap_realpath(const char *path, char *resolved)
{
    return fails() ? NULL : __real_realpath(path, resolved);
}
int __wrap_vasprintf(char **out, const char *format, va_list args)
{
    return fails() ? -1 : __real_vasprintf(out, format, args);
}

/* The verb with allocation `at` failing; `resumes`: of a run that was put down at its start. */
static vpsde_status run(const command_case *c, bool resumes, size_t at)
{
    const int stop = 1;
    if (resumes)
        assert_int_equal(command_run(c->verb, "conf.yaml", c->output, &stop), VPSDE_ESTOPPED);
    calls = 0;
    fail_at = at;
    const vpsde_status status = resumes ? command_run("resume", c->output, NULL, NULL)
                                        : command_run(c->verb, "conf.yaml", c->output, NULL);
    fail_at = 0;
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
    assert_false(command_exists("out.h5.tmp"));
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
    persistent = from_then_on;
    command_write("conf.yaml", c->text, strlen(c->text));
    command_clean(c);
    assert_ok(run(c, resumes, SIZE_MAX));
    const size_t all = calls, step = from_then_on && !getenv("VPSDE_TEST_EVERY") ? 5 : 1;
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
