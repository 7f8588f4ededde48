/* The corners of configurations that test_config*.c leave out: every branch that a text or a question can
 * reach (checkers/coverage.py). */
#include "core/config_diff.h"
#include "core/config_impl.h"
#include "core/number.h"
#include "tests/config_schema.h"
#include "tests/scratch.h"

static vpsde_config *parse(const char *text)
{
    vpsde_config *root;
    assert_ok(vpsde_config_parse(&root, text, strlen(text), "f.yaml", "/", NULL, 0));
    return root;
}

static void numbers_and_their_ranges(void **state)
{
    static const vpsde_param above[] = {
        {.name = "w", .kind = VPSDE_PARAM_REAL, .value = 1, .max = DBL_MAX, .open_min = true},
        {.name = NULL}};
    vpsde_config *c = parse("x: 7\nw: 0\nneg: -1.0\nwide: 0o7777777777777777777777777\n"), *item;
    double x, values[1];
    uint64_t n;
    size_t count;
    char text[64];
    (void)state;
    assert_fails(vpsde_config_real(&x, c, "x", 0, -INFINITY, 5), VPSDE_ECONFIG, "of at most 5");
    assert_fails(vpsde_config_params(values, c, above), VPSDE_ECONFIG, "a number above 0");
    assert_ok(vpsde_config_real(&x, c, "inf", INFINITY, -INFINITY, INFINITY));
    assert_fails(vpsde_config_uint(&n, c, "x", 0, 8, 9), VPSDE_ECONFIG, "out of range");
    assert_fails(vpsde_config_uint(&n, c, "x", 0, 1, 5), VPSDE_ECONFIG, "out of range");
    assert_ok(vpsde_config_uint(&n, c, "low", 0, 1, 5));
    assert_ok(vpsde_config_uint(&n, c, "high", 9, 1, 5));
    assert_fails(vpsde_config_uint(&n, c, "neg", 0, 0, 5), VPSDE_ECONFIG, "negative");
    assert_fails(vpsde_config_uint(&n, c, "wide", 0, 0, UINT64_MAX), VPSDE_ECONFIG, "too large");
    assert_ok(vpsde_config_count(&count, c, "x"));
    assert_int_equal(count, 1);
    assert_ok(vpsde_config_item(&item, c, "x", 0));
    assert_ok(vpsde_config_uint(&n, item, NULL, 0, 0, 9));
    assert_fails(vpsde_config_item(&item, c, "gone", 0), VPSDE_ECONFIG, "has 0 items");
    vpsde_config_close(c);
    vpsde_format_real(text, sizeof(text), (double)NAN, 1);
    assert_string_equal(text, "nan");
}

static void words_and_lists(void **state)
{
    char many[400] = "a", letters[1200] = "", *resolved;
    int word;
    unsigned bits;
    double pair[2];
    size_t rank, dims[2];
    double *numbers;
    const char *text;
    (void)state;
    for (int i = 0; i < 80; i++) strcat(many, "|b");
    for (int i = 0; i < 20; i++) {
        snprintf(letters + strlen(letters), 60, "%s%050d", i ? "|" : "", i);
    }
    vpsde_config *c = parse("a: a\np: 3\nq: [1]\nr: [1, x]\ns: [1, ~]\nl: [~]\nd: [[1]]\n"), *item;
    assert_ok(vpsde_config_choice(&word, c, "a", many, 0));
    assert_fails(vpsde_config_choice(&word, c, "no", "a|b", 7), VPSDE_EINTERNAL, "choice 7");
    assert_fails(vpsde_config_words(&bits, c, "no", letters, ~0u), VPSDE_EINTERNAL, "too long");
    assert_fails(vpsde_config_words(&bits, c, "p", "a|b", 1), VPSDE_ECONFIG, "unknown word");
    assert_fails(vpsde_config_pair(pair, c, "p", pair), VPSDE_ECONFIG, "a list of two numbers");
    assert_fails(vpsde_config_pair(pair, c, "q", pair), VPSDE_ECONFIG, "a list of two numbers");
    assert_fails(vpsde_config_pair(pair, c, "r", pair), VPSDE_ECONFIG, "not a number");
    assert_fails(vpsde_config_numbers(&numbers, &rank, dims, 0, c, "q"), VPSDE_ECONFIG,
                 "deeper than 0 lists; expected a number");
    assert_fails(vpsde_config_wholes(&numbers, &rank, dims, 2, c, "r"), VPSDE_ECONFIG, "'x'");
    assert_ok(vpsde_config_item(&item, c, "l", 0));
    assert_fails(vpsde_config_text(&text, item, NULL, NULL), VPSDE_ECONFIG, "is missing");
    assert_fails(vpsde_config_show(item, "k", "1") == VPSDE_OK ? vpsde_config_check(c)
                                                               : VPSDE_ECONFIG,
                 VPSDE_ECONFIG, "item is not used");
    assert_ok(vpsde_config_resolved(&resolved, c));
    free(resolved);
    vpsde_config_close(c);
    enum { SIDE = 1100 };
    char *wide = malloc(4 * SIDE + 10), *to = wide;
    assert_non_null(wide);
    to += sprintf(to, "x: [[1");
    for (size_t i = 1; i < SIDE; i++) to += sprintf(to, ",1");
    to += sprintf(to, "]");
    for (size_t i = 1; i < SIDE; i++) to += sprintf(to, ",1");
    sprintf(to, "]");
    c = parse(wide);
    assert_fails(vpsde_config_numbers(&numbers, &rank, dims, 2, c, "x"), VPSDE_ECONFIG,
                 "not rectangular");
    vpsde_config_close(c);
    free(wide);
}

static void unknown_keys_are_listed_in_part(void **state)
{
    char key[100];
    bool flag;
    (void)state;
    for (int length = 4; length <= 70; length += 66) {
        vpsde_config *c = parse("something_else_altogether: 1\n");
        for (int i = 0; i < 20; i++) {
            snprintf(key, sizeof(key), "%0*d", length, i);
            assert_ok(vpsde_config_bool(&flag, c, key, true));
        }
        assert_fails(vpsde_config_check(c), VPSDE_ECONFIG,
                     length == 4 ? "0011, ..." : "expected one of 0000");
        vpsde_config_close(c);
    }
    vpsde_config *c = parse("something_else_altogether: 1\n");
    for (int i = 0; i < 2100; i++) {
        snprintf(key, sizeof(key), "k%d", i);
        assert_ok(vpsde_config_bool(&flag, c, key, true));
    }
    assert_fails(vpsde_config_check(c), VPSDE_ECONFIG, "unknown key");
    vpsde_config_close(c);
}

static void places_are_cut(void **state)
{
    char text[900], long_key[120], *at = text, name[400];
    vpsde_config *c, *node;
    (void)state;
    memset(long_key, 'k', 119);
    long_key[119] = '\0';
    memset(name, 'n', 399);
    name[399] = '\0';
    for (int i = 0; i < 4; i++) at += sprintf(at, "%*s%s:\n", i, "", long_key);
    sprintf(at, "     x: 1\n");
    assert_ok(vpsde_config_parse(&c, text, strlen(text), name, "/", NULL, 0));
    node = c;
    for (int i = 0; i < 4; i++) assert_ok(vpsde_config_section(&node, node, long_key));
    assert_fails(vpsde_config_fail(node, "x", "odd"), VPSDE_ECONFIG, ": ...");
    vpsde_config_close(c);
    c = parse("a: 'q'\n");
    assert_fails(vpsde_config_section(&node, c, "a"), VPSDE_ECONFIG, "quoted text 'q'");
    vpsde_config_close(c);
    char *const sets[] = {"a.99999999999999999999999=1"};
    assert_fails(vpsde_config_parse(&c, "a: [1]\n", 7, "f", "/", sets, 1), VPSDE_ECONFIG,
                 "not an item of the list");
}

static void folders_and_files(void **state)
{
    char start[1000];
    vpsde_config *c;
    (void)state;
    assert_ok(vpsde_config_parse(&c, "", 0, "f", "", NULL, 0));
    vpsde_config_close(c);
    assert_non_null(getcwd(start, sizeof(start)));
    char gone[] = "/tmp/vpsde-gone-XXXXXX";
    assert_non_null(mkdtemp(gone));
    assert_int_equal(chdir(gone), 0);
    rmdir(gone);
    assert_fails(vpsde_config_parse(&c, "", 0, "f", NULL, NULL, 0), VPSDE_ECONFIG, "folder '.'");
    assert_int_equal(chdir(start), 0);
    enum { BIG = (1 << 20) + 10 };
    char *big = malloc(BIG);
    assert_non_null(big);
    memset(big, ' ', BIG);
    assert_fails(vpsde_config_open(&c, scratch_write("big.yaml", big, BIG), NULL, 0), VPSDE_ECONFIG,
                 "larger than 1 MiB");
    free(big);
}

static void questions_may_change(void **state)
{
    vpsde_config *c = parse("m: [[1]]\ne: []\nf: [[]]\n"), *row, *section;
    const char *text;
    double *numbers, x;
    uint64_t n;
    size_t rank, dims[2];
    bool flag;
    char shown[VPSDE_CONFIG_NUMBER_SIZE], *resolved;
    (void)state;
    assert_ok(vpsde_config_item(&row, c, "m", 0));
    assert_false(vpsde_config_has(row, "k"));
    assert_ok(vpsde_config_numbers(&numbers, &rank, dims, 2, c, "e"));
    free(numbers);
    assert_ok(vpsde_config_numbers(&numbers, &rank, dims, 2, c, "f"));
    assert_int_equal(rank, 2);
    free(numbers);
    assert_ok(vpsde_config_expand(c, "none", "kind"));
    assert_ok(vpsde_config_text(&text, c, "t", "a"));
    assert_ok(vpsde_config_text(&text, c, "t", "b"));
    assert_string_equal(text, "b");
    assert_ok(vpsde_config_uint(&n, c, "n", 3, 0, 5));
    assert_ok(vpsde_config_uint(&n, c, "n", 9, 0, 5));
    assert_ok(vpsde_config_section(&section, c, "s"));
    assert_ok(vpsde_config_bool(&flag, section, "k", true));
    assert_ok(vpsde_config_numbers(&numbers, &rank, dims, 2, c, "s"));
    assert_ok(vpsde_config_resolved(&resolved, c));
    assert_non_null(strstr(resolved, "s:\n  k: true\n"));
    free(resolved);
    vpsde_config_close(c);
    assert_int_equal(vpsde_config_read_uint(&n, "x"), VPSDE_NUMBER_SYNTAX);
    assert_int_equal(vpsde_config_read_uint(&n, "inf"), VPSDE_NUMBER_NOT_FINITE);
    assert_int_equal(vpsde_config_read_uint(&n, "1e999"), VPSDE_NUMBER_TOO_LARGE);
    vpsde_config_print_real(shown, INFINITY, true);
    assert_string_equal(shown, "inf");
    assert_false(vpsde_parse_real(&x, ""));
    assert_false(vpsde_parse_real(&x, "1x"));
}

static vpsde_status resolve(vpsde_config *c, const char *expected)
{
    char *text;
    VPSDE_TRY(vpsde_config_resolved(&text, c));
    if (expected) assert_string_equal(text, expected);
    free(text);
    return VPSDE_OK;
}

static void texts_are_quoted_as_needed(void **state)
{
    static const char *const bad[] = {"\x80",
                                      "\xC3(",
                                      "\xC1\xBF",
                                      "\xE0\x80\x80",
                                      "\xED\xA0\x80",
                                      "\xF0\x80\x80\x80",
                                      "\xF5\x80\x80\x80",
                                      "\xF4\x90\x80\x80"};
    static const struct {
        const char *text, *shown;
    } good[] = {{"/x", "/x"},
                {"_x", "_x"},
                {"a:", "'a:'"},
                {"NULL", "'NULL'"},
                {"x y", "'x y'"},
                {"Nan", "'Nan'"},
                {"-a", "'-a'"},
                {"\xF0\x9F\x98\x80", "\"\\U0001F600\""},
                {"\xEE\x80\x80", "\"\\uE000\""},
                {"a\x7f\"\\", "\"a\\u007F\\\"\\\\\""}};
    const char *text;
    char line[100];
    vpsde_config *item, *section;
    (void)state;
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        vpsde_config *c = parse("");
        assert_ok(vpsde_config_text(&text, c, "t", good[i].text));
        snprintf(line, sizeof(line), "t: %s\n", good[i].shown);
        assert_ok(resolve(c, line));
        vpsde_config_close(c);
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        vpsde_config *c = parse("l: [~]\n");
        assert_ok(vpsde_config_item(&item, c, "l", 0));
        assert_ok(vpsde_config_text(&text, item, NULL, bad[i]));
        assert_fails(resolve(c, NULL), VPSDE_ECONFIG, "not UTF-8");
        vpsde_config_close(c);
    }
    vpsde_config *c = parse("l: [a, 'true', true, ~, {k: 1}, [2]]\nm: {n: {o: 1}}\n");
    for (size_t i = 0; i < 6; i++) assert_ok(vpsde_config_item(&item, c, "l", i));
    assert_ok(vpsde_config_section(&section, c, "m"));
    assert_ok(vpsde_config_section(&section, c, "\xff"));
    assert_fails(resolve(c, NULL), VPSDE_ECONFIG, "not UTF-8");
    vpsde_config_close(c);
    c = parse("l: [a, 'true', true, ~, {k: 1}, [2], b]\n");
    for (size_t i = 0; i < 6; i++) assert_ok(vpsde_config_item(&item, c, "l", i));
    assert_ok(resolve(c, "l:\n  - a\n  - 'true'\n  - true\n  - null\n  - {}\n  - []\n"));
    vpsde_config_close(c);
    c = parse("t: ''\n");
    assert_ok(vpsde_config_text(&text, c, "t", NULL));
    assert_ok(resolve(c, "t: ''\n"));
    vpsde_config_close(c);
    c = parse("a: 1\n");
    assert_ok(resolve(c, "{}\n"));
    vpsde_config_close(c);
}

static void any_block_text_is_compared(void **state)
{
    static const char *const odd[] = {
        "-\n",  "- -\n", "-x: 1\n", "a:b\n", "a:b: c\n", "- - a: 1\n  -\n", "a:\n  - b\n - c\n",
        "  \n", "--\n",  "a:"};
    char deep[6000] = "", *to = deep, *text;
    (void)state;
    for (size_t i = 0; i < sizeof(odd) / sizeof(odd[0]); i++) {
        for (size_t j = 0; j < sizeof(odd) / sizeof(odd[0]); j++) {
            assert_ok(vpsde_config_diff(&text, odd[i], odd[j]));
            assert_non_null(text);
            free(text);
        }
    }
    for (int i = 0; i < 70; i++) to += sprintf(to, "%*sa:\n", i, "");
    to += sprintf(to, "%*s- - - b: 1\n", 70, "");
    assert_ok(vpsde_config_diff(&text, deep, deep));
    free(text);
    to = deep;
    for (int i = 0; i < 70; i++) to += sprintf(to, "- ");
    sprintf(to, "b\n");
    assert_ok(vpsde_config_diff(&text, deep, "a: 1\n"));
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_and_their_ranges),
        cmocka_unit_test(words_and_lists),
        cmocka_unit_test(unknown_keys_are_listed_in_part),
        cmocka_unit_test(places_are_cut),
        cmocka_unit_test(folders_and_files),
        cmocka_unit_test(questions_may_change),
        cmocka_unit_test(texts_are_quoted_as_needed),
        cmocka_unit_test(any_block_text_is_compared),
    };
    return cmocka_run_group_tests(tests, scratch_setup, scratch_teardown);
}
