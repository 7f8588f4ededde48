/* A finished run gets its name: what somebody else has made of that name meanwhile stays, what is the run's
 * own goes, and a kill at any point between leaves what can be taken up. */
#include <vpsde/run.h>

#include "tests/check.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/file.h"
#include "core/sink.h"
#include "tests/scratch.h"

enum { ROWS = 7 };
static const char theirs[] = "somebody else's";
static bool no_links;

int __real_link(const char *from, const char *to);
int __wrap_link(const char *from, const char *to);
int __wrap_link(const char *from, const char *to)
{
    if (!no_links) return __real_link(from, to);
    errno = EPERM;
    return -1;
}

static int lock_error;
int __real_flock(int fd, int operation);
int __wrap_flock(int fd, int operation);
int __wrap_flock(int fd, int operation)
{
    if (lock_error == 0) return __real_flock(fd, operation);
    errno = lock_error;
    return -1;
}

static void fill(vpsde_run *run, size_t n)
{
    static const vpsde_column column = {.name = "final",
                                        .units = "1",
                                        .description = "end states",
                                        .type = VPSDE_F64,
                                        .dims = "",
                                        .width = 1};
    const vpsde_table table = {
        .path = "/runs/a", .count = ROWS, .columns = &column, .n_columns = 1};
    double values[ROWS];
    for (size_t i = 0; i < ROWS; i++) values[i] = (double)i;
    const void *const data[] = {values};
    vpsde_sink *sink = vpsde_run_sink(run);
    assert_ok(sink->begin(sink->self, &table));
    assert_ok(sink->write(sink->self, 0, n, data));
    assert_ok(sink->end(sink->self, NULL, 0));
}

static vpsde_run *begun(size_t n, int force)
{
    vpsde_run *run;
    assert_ok(vpsde_run_create(&run, scratch_path("run.h5"), "sample", "seed: 7\n", 7, force));
    fill(run, n);
    return run;
}

static void take_up(int force)
{
    vpsde_run *run;
    assert_ok(vpsde_run_reopen(&run, scratch_path("run.h5"), force));
    assert_non_null(run);
    fill(run, ROWS);
    assert_ok(vpsde_run_finish(run, "complete"));
    vpsde_run_destroy(run, 0);
}

static void check_file(const char *expected)
{
    char *text;
    double *values;
    size_t rank, dims[5];
    assert_ok(vpsde_run_read_text(&text, scratch_path("run.h5"), "/", "status"));
    assert_string_equal(text, expected);
    free(text);
    assert_ok(vpsde_run_read(&values, &rank, dims, scratch_path("run.h5"), "/runs/a/final"));
    assert_int_equal(dims[0], ROWS);
    assert_close(values[1], 1, 0);
    free(values);
}

static void check_alone(void)
{
    assert_int_equal(scratch_count("run.h5"), 1);
    assert_int_equal(unlink(scratch_path("run.h5")), 0);
}

static void check_theirs(void)
{
    char text[64] = "";
    assert_int_equal(scratch_read(text, sizeof(text), scratch_path("run.h5")), strlen(theirs));
    assert_string_equal(text, theirs);
}

static void make_theirs(void) { (void)scratch_write("run.h5", theirs, strlen(theirs)); }

static void nobody_is_replaced(void **state)
{
    (void)state;
    for (int links = 0; links < 2; links++) {
        vpsde_run *run = begun(ROWS, 0), *again;
        no_links = links == 0;
        make_theirs();
        assert_fails(vpsde_run_finish(run, "complete"), VPSDE_EEXIST, "made by somebody else");
        check_theirs();
        vpsde_run_destroy(run, 0);
        assert_fails(vpsde_run_reopen(&again, scratch_path("run.h5"), 0), VPSDE_EEXIST,
                     "made by somebody else");
        check_theirs();
        assert_int_equal(unlink(scratch_path("run.h5")), 0);
        take_up(0);
        check_file("complete");
        check_alone();
    }
}

static void force_replaces(void **state)
{
    (void)state;
    vpsde_run *run = begun(ROWS, 1);
    make_theirs();
    assert_ok(vpsde_run_finish(run, "complete"));
    vpsde_run_destroy(run, 0);
    check_file("complete");
    check_alone();
    run = begun(2, 1); /* whoever takes it up knows that it was forced */
    vpsde_run_destroy(run, 0);
    make_theirs();
    take_up(0);
    check_file("complete");
    check_alone();
    run = begun(2, 0); /* or forces it himself */
    vpsde_run_destroy(run, 0);
    make_theirs();
    take_up(1);
    check_file("complete");
    check_alone();
}

static void an_interrupted_file_is_replaced(void **state)
{
    (void)state;
    for (int links = 0; links < 2; links++) {
        vpsde_run *run = begun(2, 0);
        no_links = links == 0;
        assert_ok(vpsde_run_finish(run, "interrupted"));
        check_file("interrupted");
        vpsde_run_destroy(run, 0);
        take_up(0);
        check_file("complete");
        check_alone();
    }
}

/* Killed between the name and the end of the folder, and once more when it was taken up. */
static void its_own_file_is_replaced(void **state)
{
    vpsde_run *run = begun(ROWS, 0);
    (void)state;
    vpsde_run_destroy(run, 0);
    (void)scratch_write("run.h5.parts/whole.h5", "whole", 5);
    assert_int_equal(link(scratch_path("run.h5.parts/whole.h5"), scratch_path("run.h5")), 0);
    assert_ok(vpsde_run_reopen(&run, scratch_path("run.h5"), 0));
    assert_int_equal(unlink(scratch_path("run.h5.parts/whole.h5")), 0);
    vpsde_run_destroy(run, 0);
    take_up(0);
    check_file("complete");
    check_alone();
}

/* A folder is no place for a run, whenever it came and whoever insists. */
static void a_folder_stays(void **state)
{
    vpsde_run *run = begun(ROWS, 1), *again;
    (void)state;
    assert_int_equal(mkdir(scratch_path("run.h5"), 0700), 0);
    assert_fails(vpsde_run_finish(run, "complete"), VPSDE_EIO, "run.h5: cannot be made");
    vpsde_run_destroy(run, 0);
    assert_fails(vpsde_run_reopen(&again, scratch_path("run.h5"), 1), VPSDE_EEXIST, "folder");
    assert_int_equal(rmdir(scratch_path("run.h5")), 0);
    take_up(0);
    check_alone();
}

/* Some network file systems: whoever cannot lock cannot know that nobody else writes. */
static void without_locks_nothing_begins(void **state)
{
    static const int errors[] = {ENOLCK, EOPNOTSUPP};
    (void)state;
    for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
        vpsde_run *run;
        lock_error = errors[i];
        assert_fails(vpsde_run_create(&run, scratch_path("run.h5"), "sample", "", 0, 1), VPSDE_EIO,
                     "cannot be locked: ");
        assert_non_null(strstr(vpsde_last_error(), "use a local folder"));
        assert_int_equal(scratch_count("run.h5"), 0);
        lock_error = 0;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_locks_nothing_begins),
        cmocka_unit_test(nobody_is_replaced),
        cmocka_unit_test(force_replaces),
        cmocka_unit_test(an_interrupted_file_is_replaced),
        cmocka_unit_test(its_own_file_is_replaced),
        cmocka_unit_test(a_folder_stays),
    };
    return cmocka_run_group_tests(tests, scratch_setup, scratch_teardown);
}
