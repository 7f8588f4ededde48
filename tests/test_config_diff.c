/* Differing keys of two resolved configurations. */
#include <stdlib.h>

#include "core/config_diff.h"
#include "tests/check.h"

static void expect(const char *before, const char *now, const char *wanted)
{
    char *text;
    assert_ok(vpsde_config_diff(&text, before, now));
    assert_string_equal(text, wanted);
    free(text);
}

static const char base[] = "seed: 7\n"
                           "sampler:\n"
                           "  count: 5\n"
                           "  solver:\n"
                           "  - solver: ddim\n"
                           "    steps: 10\n"
                           "  - solver: heun\n"
                           "    grid:\n"
                           "      kind: karras\n"
                           "log:\n"
                           "  fields: []\n";

static void equal_ones_say_nothing(void **state)
{
    (void)state;
    expect(base, base, "");
    expect("", "", "");
}

static void keys_are_named_with_their_path(void **state)
{
    (void)state;
    expect(base,
           "seed: 8\n"
           "sampler:\n"
           "  count: 5\n"
           "  solver:\n"
           "  - solver: ddim\n"
           "    steps: 10\n"
           "  - solver: heun\n"
           "    grid:\n"
           "      kind: uniform-t\n"
           "log:\n"
           "  fields: []\n",
           "seed: 7, now 8; sampler.solver.1.grid.kind: karras, now uniform-t");
}

static void keys_come_and_go(void **state)
{
    (void)state;
    expect("a: 1\nb:\n- 2\n- 3\n", "b:\n- 2\nc: 'x: y'\n",
           "a: 1, now not there; b.1: 3, now not there; c: not there, now 'x: y'");
}

static void many_keys_are_cut_off(void **state)
{
    (void)state;
    expect("a: 1\nb: 1\nc: 1\nd: 1\ne: 1\nf: 1\ng: 1\nh: 1\n",
           "a: 2\nb: 2\nc: 2\nd: 2\ne: 2\nf: 2\ng: 2\nh: 2\n",
           "a: 1, now 2; b: 1, now 2; c: 1, now 2; d: 1, now 2; e: 1, now 2; f: 1, now 2; ...");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equal_ones_say_nothing),
        cmocka_unit_test(keys_are_named_with_their_path),
        cmocka_unit_test(keys_come_and_go),
        cmocka_unit_test(many_keys_are_cut_off),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
