#include "tests/config_schema.h"

#include <unistd.h>

#include "tests/comma_locale.h"

static void check_number(const char *text, double expected)
{
    char line[100];
    vpsde_config *root;
    double value;
    snprintf(line, sizeof(line), "x: %s\n", text);
    assert_ok(vpsde_config_parse(&root, line, strlen(line), "f.yaml", NULL, NULL, 0));
    assert_ok(vpsde_config_real(&value, root, "x", (double)NAN, -DBL_MAX, DBL_MAX));
    assert_memory_equal(&value, &expected, sizeof(value));
    vpsde_config_close(root);
}

static void reads_core_schema_numbers(void **state)
{
    (void)state;
    check_number("1e-05", 1e-5);
    check_number("1.0e-3", 1e-3);
    check_number("+1", 1);
    check_number(".5", 0.5);
    check_number("5.", 5);
    check_number("-0", -0.0);
    check_number("010", 10);
    check_number("0x1F", 31);
    check_number("0o17", 15);
    check_number("1E+2", 100);
    check_number("1e-999", 0);
    check_number("1.7976931348623157e308", DBL_MAX);
    check_number("0.1", 0.1);
}

static void check_whole(const char *text, uint64_t expected)
{
    char line[100];
    vpsde_config *root;
    uint64_t value;
    snprintf(line, sizeof(line), "x: %s\n", text);
    assert_ok(vpsde_config_parse(&root, line, strlen(line), "f.yaml", NULL, NULL, 0));
    assert_ok(vpsde_config_uint(&value, root, "x", UINT64_MAX, 0, UINT64_MAX));
    assert_true(value == expected);
    vpsde_config_close(root);
}

static void reads_whole_numbers_exactly(void **state)
{
    (void)state;
    check_whole("18446744073709551615", UINT64_MAX);
    check_whole("9007199254740993", UINT64_C(9007199254740993));
    check_whole("0xffffffffffffffff", UINT64_MAX);
    check_whole("0o777", 511);
    check_whole("010", 10);
    check_whole("+7", 7);
    check_whole("-0", 0);
    check_whole("1e5", 100000);
    check_whole("2.0", 2);
}

static void compare_answers(const answers *a, const answers *b)
{
    assert_true(a->seed == b->seed);
    assert_string_equal(a->title, b->title);
    assert_string_equal(a->path, b->path);
    assert_close(a->beta_min, b->beta_min, 0);
    assert_close(a->t_min, b->t_min, 0);
    assert_close(a->unset, b->unset, 0);
    assert_int_equal(a->override, b->override);
    assert_int_equal(a->grid, b->grid);
    assert_int_equal(a->rank, b->rank);
    assert_memory_equal(a->dims, b->dims, sizeof(a->dims));
    assert_memory_equal(a->means, b->means, a->dims[0] * a->dims[1] * sizeof(double));
    assert_int_equal(a->n_times, b->n_times);
    assert_memory_equal(a->times, b->times, a->n_times * sizeof(double));
    assert_int_equal(a->n_items, b->n_items);
    assert_memory_equal(a->rtol, b->rtol, sizeof(a->rtol));
    assert_memory_equal(a->param, b->param, sizeof(a->param));
    assert_memory_equal(a->solver, b->solver, sizeof(a->solver));
}

static void resolved_reads_back(void **state)
{
    vpsde_config *root, *again;
    char *text, *text_again;
    answers a = {.seed = 0}, b = {.seed = 0};
    (void)state;
    assert_ok(vpsde_config_parse(&root, document, strlen(document), "f.yaml", "/usr", NULL, 0));
    assert_ok(ask_all(&a, root));
    assert_string_equal(a.path, "/usr/sub/data.h5:/images");
    assert_string_equal(a.title, "it's # \xC3\xA9 \xE2\x80\xA8: \t'yes'");
    assert_string_equal(a.solver[1], "ddim");
    assert_close(a.param[0][VARIANCE], 1, 0);
    assert_close(a.param[2][EXACT], 0, 0);
    assert_close(a.param[2][ETA], 0.25, 0);
    assert_ok(vpsde_config_resolved(&text, root));
    assert_string_equal(text, "seed: 18446744073709551615\n"
                              "title: \"it's # \\u00E9 \\u2028: \\u0009'yes'\"\n"
                              "process:\n"
                              "  beta_min: 0.30000000000000004\n"
                              "  t_min: 1.0e-05\n"
                              "  override: false\n"
                              "model:\n"
                              "  path: /usr/sub/data.h5:/images\n"
                              "  means: [[-2.0, 0.1], [2.0, 1.0e+300]]\n"
                              "sampler:\n"
                              "  grid: uniform-lambda\n"
                              "  times: [1.0, 0.5, 0.001]\n"
                              "  solver:\n"
                              "    - solver: 'yes'\n"
                              "      rtol: 1.0\n"
                              "      eta: 0.25\n"
                              "      order: -1\n"
                              "      variance: large\n"
                              "      exact: true\n"
                              "    - ddim\n"
                              "    - solver: '1'\n"
                              "      rtol: 1.0e-05\n"
                              "      eta: 0.25\n"
                              "      order: 2\n"
                              "      variance: small\n"
                              "      exact: false\n");
    assert_ok(vpsde_config_parse(&again, text, strlen(text), "g.yaml", "/", NULL, 0));
    assert_ok(ask_all(&b, again));
    compare_answers(&a, &b);
    assert_ok(vpsde_config_resolved(&text_again, again));
    assert_string_equal(text, text_again);
    free(text);
    free(text_again);
    vpsde_config_close(root);
    vpsde_config_close(again);
    drop(&a);
    drop(&b);
}

static void empty_documents_get_the_defaults(void **state)
{
    static const char *const texts[] = {"",
                                        "\n",
                                        "# nothing\n",
                                        "---\n",
                                        "--- {}\n...\n",
                                        "%YAML 1.2\n---\n",
                                        "process: ~\nsampler:\n"};
    (void)state;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        vpsde_config *root;
        char *text;
        answers a = {.seed = 1};
        assert_ok(vpsde_config_parse(&root, texts[i], strlen(texts[i]), "f.yaml", "/", NULL, 0));
        assert_ok(ask_all(&a, root));
        assert_ok(vpsde_config_resolved(&text, root));
        assert_string_equal(text, "seed: 0\n"
                                  "process:\n  beta_min: 0.1\n  t_min: 0.001\n  override: false\n"
                                  "model: {}\n"
                                  "sampler:\n  grid: uniform-lambda\n");
        assert_close(a.unset, -1, 0);
        assert_null(a.means);
        free(text);
        vpsde_config_close(root);
    }
}

static void asks_twice_and_lists(void **state)
{
    static const char text[] = "a: [[x, 1], [], {k: 2}]\nb: 5\ne: []\n";
    vpsde_config *root, *row, *item, *section;
    const char *word;
    double number;
    uint64_t whole;
    size_t n;
    char *out;
    (void)state;
    assert_ok(vpsde_config_parse(&root, text, strlen(text), "f.yaml", "/", NULL, 0));
    assert_true(vpsde_config_has(root, "b"));
    assert_false(vpsde_config_has(root, "c"));
    assert_int_equal(vpsde_config_kind(root, "a"), VPSDE_NODE_SEQUENCE);
    assert_ok(vpsde_config_real(&number, root, "b", 1, 0, 10));
    assert_ok(vpsde_config_uint(&whole, root, "b", 1, 0, 10));
    assert_fails(vpsde_config_item(&item, root, "a", 3), VPSDE_ECONFIG, "has 3 items");
    assert_ok(vpsde_config_item(&row, root, "a", 0));
    assert_ok(vpsde_config_item(&item, row, NULL, 0));
    assert_ok(vpsde_config_text(&word, item, NULL, NULL));
    assert_string_equal(word, "x");
    assert_fails(vpsde_config_check(root), VPSDE_ECONFIG, "f.yaml:1:9: a.0.1: item is not used");
    assert_ok(vpsde_config_item(&item, row, NULL, 1));
    assert_ok(vpsde_config_uint(&whole, item, NULL, 0, 0, 9));
    assert_ok(vpsde_config_item(&row, root, "a", 1));
    assert_ok(vpsde_config_count(&n, row, NULL));
    assert_int_equal(n, 0);
    assert_ok(vpsde_config_item(&item, root, "a", 2));
    assert_ok(vpsde_config_section(&section, item, NULL));
    assert_fails(vpsde_config_check(root), VPSDE_ECONFIG, "unknown key 'k'; expected no keys");
    assert_ok(vpsde_config_real(&number, section, "k", 0, 0, 9));
    assert_fails(vpsde_config_check(root), VPSDE_ECONFIG, "f.yaml:3:1: e: unknown key 'e'");
    assert_ok(vpsde_config_count(&n, root, "e"));
    assert_ok(vpsde_config_check(root));
    assert_ok(vpsde_config_resolved(&out, root));
    assert_string_equal(out, "b: 5\na:\n  -\n    - x\n    - 1\n  - []\n  - k: 2.0\ne: []\n");
    free(out);
    vpsde_config_close(root);
}

static void overrides_reach_everywhere(void **state)
{
    char *const sets[] = {"sampler.solver.0.rtol=1e-3", "sampler.solver.1={solver: heun}",
                          "process.t_min=0.5",          "process.t_min=0.25",
                          "model.means=[1, 2]",         "title=a=b"};
    vpsde_config *root;
    answers a = {.seed = 0};
    (void)state;
    assert_ok(vpsde_config_parse(&root, document, strlen(document), "f.yaml", "/", sets, 6));
    assert_ok(ask_all(&a, root));
    assert_close(a.rtol[0], 1e-3, 0);
    assert_string_equal(a.solver[1], "heun");
    assert_close(a.t_min, 0.25, 0);
    assert_int_equal(a.rank, 1);
    assert_string_equal(a.title, "a=b");
    vpsde_config_close(root);
    drop(&a);
    assert_ok(try_text("", 0, sets + 2, 3)); /* missing sections are made */
}

static void callers_fail_at_the_place(void **state)
{
    static const char text[] = "a:\n  b: 3\n";
    vpsde_config *root, *a;
    (void)state;
    assert_ok(vpsde_config_parse(&root, text, strlen(text), "f.yaml", "/", NULL, 0));
    assert_ok(vpsde_config_section(&a, root, "a"));
    assert_fails(vpsde_config_fail(a, "b", "must be %d", 4), VPSDE_ECONFIG,
                 "f.yaml:2:6: a.b: must be 4");
    assert_fails(vpsde_config_fail(a, NULL, "odd"), VPSDE_ECONFIG, "f.yaml:2:3: a: odd");
    assert_fails(vpsde_config_fail(a, "none", "odd"), VPSDE_ECONFIG, "f.yaml:2:3: a.none: odd");
    assert_fails(vpsde_config_fail(root, NULL, "odd"), VPSDE_ECONFIG, "f.yaml:1:1: odd");
    assert_fails(vpsde_config_fail_at(vpsde_fail(VPSDE_EINVAL, "bad"), a, "b"), VPSDE_ECONFIG,
                 "f.yaml:2:6: a.b: bad");
    assert_fails(vpsde_config_fail_at(vpsde_fail(VPSDE_EDATA, "bad"), a, "b"), VPSDE_EDATA,
                 "f.yaml:2:6: a.b: bad");
    assert_ok(vpsde_config_fail_at(VPSDE_OK, a, "b"));
    vpsde_config_close(root);
    vpsde_config_close(NULL);
}

static void opens_files(void **state)
{
    char folder[] = "/tmp/vpsde-config-XXXXXX", file[100], expected[200];
    vpsde_config *root;
    const char *path;
    (void)state;
    assert_non_null(mkdtemp(folder));
    snprintf(file, sizeof(file), "%s/c.yaml", folder);
    assert_fails(vpsde_config_open(&root, file, NULL, 0), VPSDE_ECONFIG,
                 "c.yaml: cannot be read: No such file or directory");
    assert_fails(vpsde_config_open(&root, folder, NULL, 0), VPSDE_ECONFIG,
                 "cannot be read: Is a directory");
    FILE *f = fopen(file, "w");
    assert_non_null(f);
    fputs("a: ./x.npy\nb: /abs.npy\nd: ''\n", f);
    assert_int_equal(fclose(f), 0);
    assert_ok(vpsde_config_open(&root, file, NULL, 0));
    assert_ok(vpsde_config_path(&path, root, "a", NULL));
    snprintf(expected, sizeof(expected), "%s/x.npy", folder);
    assert_string_equal(path, expected);
    assert_ok(vpsde_config_path(&path, root, "b", NULL));
    assert_string_equal(path, "/abs.npy");
    assert_ok(vpsde_config_path(&path, root, "c", "y.h5:/z"));
    snprintf(expected, sizeof(expected), "%s/y.h5:/z", folder);
    assert_string_equal(path, expected);
    assert_ok(vpsde_config_path(&path, root, "d", NULL));
    assert_string_equal(path, "");
    assert_fails(vpsde_config_path(&path, root, "e", NULL), VPSDE_ECONFIG, "e: is missing");
    vpsde_config_close(root);
    unlink(file);
    rmdir(folder);
    assert_fails(vpsde_config_parse(&root, "", 0, "f", folder, NULL, 0), VPSDE_ECONFIG,
                 "cannot be read");
}

static void locale_changes_nothing(void **state)
{
    const int comma = comma_locale_begin();
    if (comma) {
        reads_core_schema_numbers(state);
        resolved_reads_back(state);
    }
    comma_locale_end();
    if (!comma) skip();
}

static void short_forms_are_written_out(void **state)
{
    static const char text[] = "solver: [ddim, {solver: heun}]\ngrid: karras\nfields: [eps, x]\n"
                               "gone: 3\n";
    char *overrides[] = {"gone=null"}, *resolved;
    vpsde_config *c, *item, *grid;
    const char *word;
    unsigned bits;
    double pair[2];
    (void)state;
    assert_ok(vpsde_config_parse(&c, text, strlen(text), "conf", "/", overrides, 1));
    for (size_t i = 0; i < 2; i++) {
        assert_ok(vpsde_config_item(&item, c, "solver", i));
        assert_ok(vpsde_config_expand(item, NULL, "solver"));
        assert_ok(vpsde_config_text(&word, item, "solver", NULL));
        assert_string_equal(word, i ? "heun" : "ddim");
    }
    assert_ok(vpsde_config_expand(c, "grid", "kind"));
    assert_ok(vpsde_config_section(&grid, c, "grid"));
    assert_ok(vpsde_config_text(&word, grid, "kind", "uniform-t"));
    assert_string_equal(word, "karras");
    assert_ok(vpsde_config_words(&bits, c, "fields", "x|eps|x0", 1));
    assert_int_equal(bits, 3);
    assert_ok(vpsde_config_words(&bits, c, "others", "x|eps|x0", 5));
    assert_int_equal(bits, 5);
    assert_ok(vpsde_config_pair(pair, c, "range", (const double[]){-1, 1}));
    assert_close(pair[0], -1, 0);
    assert_ok(vpsde_config_check(c)); /* a key set to null is taken away */
    assert_ok(vpsde_config_resolved(&resolved, c));
    assert_string_equal(resolved, "solver:\n  - solver: ddim\n  - solver: heun\ngrid:\n"
                                  "  kind: karras\nfields: [x, eps]\nothers: [x, x0]\n"
                                  "range: [-1.0, 1.0]\n");
    free(resolved);
    vpsde_config_close(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_core_schema_numbers),
        cmocka_unit_test(reads_whole_numbers_exactly),
        cmocka_unit_test(resolved_reads_back),
        cmocka_unit_test(empty_documents_get_the_defaults),
        cmocka_unit_test(asks_twice_and_lists),
        cmocka_unit_test(overrides_reach_everywhere),
        cmocka_unit_test(callers_fail_at_the_place),
        cmocka_unit_test(opens_files),
        cmocka_unit_test(locale_changes_nothing),
        cmocka_unit_test(short_forms_are_written_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
