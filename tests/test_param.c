#include "tests/check.h"

#include <vpsde/param.h>

#include "core/number.h"
#include "tests/comma_locale.h"

enum { ETA, ORDER, VARIANCE };
static const vpsde_param table[] = {
    {.name = "eta", .kind = VPSDE_PARAM_REAL, .value = 0.25, .min = 0, .max = 1, .doc = "noise"},
    {.name = "order", .kind = VPSDE_PARAM_INT, .value = 2, .min = 0, .max = 3, .open_min = true},
    {.name = "variance", .kind = VPSDE_PARAM_CHOICE, .choices = "small|large", .max = 1},
    {.name = NULL},
};

static void reads_numbers_and_words(void **state)
{
    double v[VPSDE_PARAM_MAX];
    char text[32];
    (void)state;
    vpsde_param_defaults(v, table);
    assert_close(v[ETA], 0.25, 0);
    assert_ok(vpsde_param_set_text(v, table, "eta", "0.1"));
    assert_ok(vpsde_param_set_text(v, table, "variance", "large"));
    assert_close(v[VARIANCE], 1, 0);
    vpsde_param_format(text, sizeof(text), &table[ETA], v[ETA]);
    assert_string_equal(text, "0.1");
    vpsde_param_format(text, sizeof(text), &table[VARIANCE], v[VARIANCE]);
    assert_string_equal(text, "large");
}

static void refuses_with_the_bounds(void **state)
{
    double v[VPSDE_PARAM_MAX];
    (void)state;
    vpsde_param_defaults(v, table);
    assert_fails(vpsde_param_set(v, table, "eta", 1.5), VPSDE_EINVAL, "[0, 1], got 1.5");
    assert_fails(vpsde_param_set(v, table, "eta", (double)NAN), VPSDE_EINVAL, "eta");
    assert_fails(vpsde_param_set(v, table, "order", 0), VPSDE_EINVAL, "(0, 3]");
    assert_fails(vpsde_param_set(v, table, "order", 1.5), VPSDE_EINVAL, "whole number");
    assert_fails(vpsde_param_set(v, table, "oder", 1), VPSDE_EINVAL, "did you mean order?");
    assert_fails(vpsde_param_set_text(v, table, "variance", "tiny"), VPSDE_EINVAL, "small|large");
    assert_fails(vpsde_param_set_text(v, table, "eta", "1e-5x"), VPSDE_EINVAL, "number");
}

static void the_host_locale_changes_nothing(void **state)
{
    char text[32], huge[8];
    double value;
    const int comma = comma_locale_begin();
    if (comma) reads_numbers_and_words(state);
    vpsde_format_real(text, sizeof(text), 0.1, 17);
    assert_string_equal(text, "0.10000000000000001");
    assert_true(vpsde_parse_real(&value, "2.5e-3") && value == 2.5e-3);
    assert_false(vpsde_parse_real(&value, "2,5"));
    assert_false(vpsde_parse_real(&value, ""));
    assert_true(vpsde_parse_real(&value, "1e999") && isinf(value));
    vpsde_format_real(huge, sizeof(huge), 1e-300, 1);
    assert_string_equal(huge, "1e-300");
    comma_locale_end();
    if (!comma) skip();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_numbers_and_words),
        cmocka_unit_test(refuses_with_the_bounds),
        cmocka_unit_test(the_host_locale_changes_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
