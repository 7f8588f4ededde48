#include "core/ceiling.h"

#include <sys/stat.h>

#include "tests/check.h"
#include "tests/scratch.h"

/* No processor is slower than the first figure or as fast as the second. */
static const struct {
    const char *name;
    vpsde_status (*measure)(double *rate, size_t n_threads);
    double least, most;
} figures[] = {
    {"flops", vpsde_ceiling_flops, 1e7, 1e15},
    {"memory", vpsde_ceiling_memory, 1e7, 1e14},
    {"normals", vpsde_ceiling_normals, 1e4, 1e12},
};
enum { FIGURES = sizeof(figures) / sizeof(*figures) };

static void figures_are_plausible(void **state)
{
    (void)state;
    for (size_t i = 0; i < FIGURES; i++) {
        for (size_t threads = 1; threads <= 2; threads++) {
            double rate = NAN;
            assert_ok(figures[i].measure(&rate, threads));
            if (!(rate >= figures[i].least && rate <= figures[i].most)) {
                fail_msg("%s on %zu threads: %g a second", figures[i].name, threads, rate);
            }
        }
    }
}

static void too_many_threads_are_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < FIGURES; i++) {
        double rate = NAN;
        assert_fails(figures[i].measure(&rate, 1025), VPSDE_EINVAL, "1025");
        assert_true(rate == 0);
    }
}

static void the_instruction_set_is_known(void **state)
{
    static const char *const known[] = {"avx512f", "avx2", "baseline"};
    size_t found = 0;
    (void)state;
    for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++) {
        found += strcmp(vpsde_ceiling_isa(), known[i]) == 0;
    }
    assert_int_equal(found, 1);
}

static void the_disk_is_left_as_it_was(void **state)
{
    (void)state;
    double rate = NAN;
    assert_ok(vpsde_ceiling_disk(&rate, scratch_folder));
    assert_true(rate > 1e4 && rate < 1e12);
    assert_int_equal(rmdir(scratch_folder), 0);
    assert_fails(vpsde_ceiling_disk(&rate, scratch_folder), VPSDE_EIO, scratch_folder);
    assert_true(rate == 0);
    assert_int_equal(mkdir(scratch_folder, 0700), 0);
}

static void the_processor_has_a_name(void **state)
{
    char name[64] = "";
    (void)state;
    vpsde_ceiling_cpu(name, sizeof(name));
    assert_true(strlen(name) > 0 && !strchr(name, '\n'));
    vpsde_ceiling_cpu(name, 4);
    assert_true(strlen(name) <= 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(figures_are_plausible),
        cmocka_unit_test(too_many_threads_are_refused),
        cmocka_unit_test(the_instruction_set_is_known),
        cmocka_unit_test(the_disk_is_left_as_it_was),
        cmocka_unit_test(the_processor_has_a_name),
    };
    return cmocka_run_group_tests(tests, scratch_setup, scratch_teardown);
}
