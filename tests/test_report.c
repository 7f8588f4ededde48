/* The page's data: escapes, cells, histograms, the tree of a file. The pages themselves: scripts/report.py. */
#include "tests/scratch.h"

#include <hdf5.h>
#include <math.h>

#include "analysis/report.h"
#include "core/h5.h"
#include "core/h5_read.h"

/* What was written, ended by a zero; borrowed. */
static const char *text_of(vpsde_json *j)
{
    static char text[4096];
    assert_ok(j->status);
    assert_true(j->length < sizeof(text));
    memcpy(text, j->text, j->length);
    text[j->length] = '\0';
    return text;
}

static void test_numbers(void **state)
{
    vpsde_json j = {.text = NULL};
    (void)state;
    vpsde_json_numbers(&j, NULL, (const double[]){0.1 + 0.2, -1e300 / 3, NAN}, 3);
    double back[2];
    assert_int_equal(sscanf(text_of(&j), "[%lf,%lf,null]", &back[0], &back[1]), 2);
    assert_true(back[0] == 0.1 + 0.2 && back[1] == -1e300 / 3);
    vpsde_json_free(&j);
}

static void test_escapes(void **state)
{
    vpsde_json j = {.text = NULL};
    (void)state;
    vpsde_json_text(
        &j, NULL,
        "</script> \"a\\b\" &\n\x7f \xc3\xa9 \xff \xc0\xaf \xed\xa0\x80 \xf0\x9f\x98\x80");
    assert_string_equal(
        text_of(&j),
        "\"\\u003c/script\\u003e \\u0022a\\u005cb\\u0022 \\u0026\\u000a\\u007f \xc3\xa9 "
        "\\ufffd \\ufffd\\ufffd \\ufffd\\ufffd\\ufffd \xf0\x9f\x98\x80\"");
    vpsde_json_free(&j);
}

static void test_values(void **state)
{
    const double values[3] = {1.5, (double)NAN, -(double)INFINITY};
    const uint8_t bytes[5] = {0, 1, 254, 255, 7};
    vpsde_json j = {.text = NULL};
    (void)state;
    vpsde_json_object(&j, NULL);
    vpsde_json_numbers(&j, "n", values, 3);
    vpsde_json_floats(&j, "f", values, 1);
    vpsde_json_bytes(&j, "b", bytes, 5);
    vpsde_json_list(&j, "l");
    vpsde_page_cell(&j, "%.2f", 0.125);
    vpsde_page_cell(&j, "%.2f", (double)NAN);
    vpsde_json_bool(&j, NULL, true);
    vpsde_json_end_list(&j);
    vpsde_json_end_object(&j);
    assert_string_equal(text_of(&j),
                        "{\"n\":[1.5,null,null],\n\"f\":{\"f32\":\"AADAPw==\"},\n\"b\":{\"u8\":"
                        "\"AAH+/wc=\"},\n\"l\":[{\"v\":0.125,\n\"t\":\"0.12\"},\n{\"v\":null,\n"
                        "\"t\":\"-\"},\ntrue]}");
    vpsde_json_free(&j);
}

static void test_histograms(void **state)
{
    const double counts[6] = {3, 3, 4, 6, (double)NAN, 6}, same[2] = {2, 2}, real[4] = {0, 1, 2, 4};
    vpsde_json j = {.text = NULL};
    (void)state;
    vpsde_json_object(&j, NULL);
    vpsde_page_histogram(&j, "whole", counts, 6, 40, true);
    vpsde_page_histogram(&j, "same", same, 2, 2, false);
    vpsde_page_histogram(&j, "real", real, 4, 4, false);
    vpsde_page_histogram(&j, "none", counts + 4, 1, 4, false);
    vpsde_json_end_object(&j);
    assert_string_equal(text_of(&j),
                        "{\"whole\":{\"low\":2.5,\n\"high\":6.5,\n\"counts\":[2,1,0,2]},\n"
                        "\"same\":{\"low\":1,\n\"high\":3,\n\"counts\":[0,2]},\n"
                        "\"real\":{\"low\":0,\n\"high\":4,\n\"counts\":[1,1,1,1]}}");
    vpsde_json_free(&j);
}

static void test_average(void **state)
{
    const double values[5] = {1, (double)NAN, 2, 3, 6};
    const vpsde_page_mean m = vpsde_page_average(values, 5),
                          none = vpsde_page_average(values + 1, 1);
    (void)state;
    assert_int_equal(m.n, 4);
    assert_true(m.mean == 3 && m.low == 1 && m.high == 6);
    assert_true(fabs(m.stderror - sqrt(14.0 / 3 / 4)) < 1e-15);
    assert_true(none.n == 0 && isnan(none.mean));
}

static void test_words(void **state)
{
    static const struct {
        double index;
        const char *word;
    } cases[] = {{0, "ode"}, {1, "weak"}, {2, "-"}, {-1, "-"}, {(double)NAN, "-"}};
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char *word;
        assert_ok(vpsde_page_word(&word, "ode weak", cases[i].index));
        assert_string_equal(word, cases[i].word);
        free(word);
    }
}

static const char *write_file(const char *name, const char *schema)
{
    static const double values[6] = {1, 2, 3, 4, 5, 6};
    const char *path = scratch_path(name);
    vpsde_h5 *file;
    assert_ok(vpsde_h5_create(&file, path));
    assert_ok(vpsde_h5_text(file, "/", "schema", schema));
    assert_ok(vpsde_h5_uint(file, "/", "seed", UINT64_MAX));
    assert_ok(vpsde_h5_group(file, "/runs/a"));
    assert_ok(vpsde_h5_group(file, "/runs/ab"));
    assert_ok(vpsde_h5_number(file, "/runs/a", "rtol", 1e-3));
    assert_ok(vpsde_h5_int(file, "/runs/a", "steps", -1));
    const vpsde_h5_dataset specs[] = {
        {"/runs/a/sample", "1", "rows", VPSDE_F64, 1, {3}, {NULL}, NULL, NULL},
        {"/runs/a/dim", "1", "columns", VPSDE_F64, 1, {2}, {NULL}, NULL, NULL},
        {"/runs/a/final",
         "1",
         "states",
         VPSDE_F64,
         2,
         {3, 2},
         {"/runs/a/sample", "/runs/a/dim"},
         NULL,
         NULL},
    };
    for (size_t i = 0; i < 3; i++) {
        assert_ok(vpsde_h5_dataset_create(file, &specs[i]));
        assert_ok(vpsde_h5_rows(file, specs[i].path, 0, specs[i].dims[0], values));
    }
    assert_ok(vpsde_h5_close(file));
    return path;
}

static void test_tree(void **state)
{
    vpsde_page page;
    double *values;
    size_t n;
    (void)state;
    assert_ok(vpsde_page_open(&page, write_file("run.h5", "vpsde/1")));
    assert_string_equal(page.name, "run.h5");
    const vpsde_h5_tree *tree = &page.tree;
    assert_string_equal(vpsde_h5_node_text(vpsde_h5_tree_find(tree, "/", NULL), "seed"),
                        "18446744073709551615");
    const vpsde_h5_node *a = vpsde_h5_tree_next(tree, "/runs", NULL),
                        *b = vpsde_h5_tree_next(tree, "/runs", a);
    assert_string_equal(vpsde_h5_node_name(a), "a");
    assert_string_equal(vpsde_h5_node_name(b), "ab");
    assert_null(vpsde_h5_tree_next(tree, "/runs", b));
    assert_true(vpsde_h5_node_number(a, "rtol") == 1e-3 && vpsde_h5_node_number(a, "steps") == -1);
    assert_string_equal(vpsde_h5_node_text(a, "rtol"), "0.001");
    assert_string_equal(vpsde_h5_node_text(NULL, "rtol"), "");
    assert_null(vpsde_h5_tree_find(tree, "/runs/ab", "final"));
    assert_ok(vpsde_page_column(&values, &n, &page, "/runs/a", "final")); /* of rank 2: no column */
    assert_true(values == NULL && n == 0);
    const vpsde_h5_node *final = vpsde_h5_tree_find(tree, "/runs/a", "final");
    assert_true(final->rank == 2 && final->dims[0] == 3 && final->dims[1] == 2 &&
                final->kind == 'f');
    assert_ok(vpsde_page_rows(&values, &page, final, 2));
    assert_true(values[0] == 1 && values[3] == 4);
    free(values);
    vpsde_page_close(&page);
}

/* A comparison of two levels; of its columns one is a metric. */
static const char *write_comparison(const char *name)
{
    static const double values[2] = {1, 2};
    static const int64_t numbers[2] = {0, 0};
    static const char *const columns[] = {"rtol",   "nfe",        "jvp",         "rejected",
                                          "budget", "median_low", "median_high", "median"};
    const char *path = scratch_path(name);
    vpsde_h5 *file;
    assert_ok(vpsde_h5_create(&file, path));
    assert_ok(vpsde_h5_text(file, "/", "schema", "vpsde/1"));
    assert_ok(vpsde_h5_group(file, "/compare/pooled"));
    assert_ok(vpsde_h5_text(file, "/compare", "leading_metric", "median"));
    vpsde_h5_dataset spec = {
        "/compare/pooled/level", "1", "levels", VPSDE_I64, 1, {2}, {NULL}, NULL, NULL};
    assert_ok(vpsde_h5_dataset_create(file, &spec));
    assert_ok(vpsde_h5_rows(file, spec.path, 0, 2, numbers));
    spec.scales[0] = "/compare/pooled/level";
    static const char *const whole[] = {"/compare/pooled/solver", "/compare/pooled/steps",
                                        "/compare/pooled/failed"};
    for (size_t c = 0; c < 3; c++) {
        spec.path = whole[c];
        spec.flag_meanings = c == 0 ? "ddim heun" : NULL;
        assert_ok(vpsde_h5_dataset_create(file, &spec));
        assert_ok(vpsde_h5_rows(file, spec.path, 0, 2, numbers));
    }
    spec.type = VPSDE_F64;
    for (size_t c = 0; c < sizeof(columns) / sizeof(columns[0]); c++) {
        char full[64];
        snprintf(full, sizeof(full), "/compare/pooled/%s", columns[c]);
        spec.path = full;
        assert_ok(vpsde_h5_dataset_create(file, &spec));
        assert_ok(vpsde_h5_rows(file, full, 0, 2, values));
    }
    assert_ok(vpsde_h5_close(file));
    return path;
}

/* What has an interval is a metric; a mean number of calls is not. */
static void test_metrics_of_a_comparison(void **state)
{
    vpsde_page page;
    vpsde_json j = {.text = NULL};
    (void)state;
    assert_ok(vpsde_page_open(&page, write_comparison("compare.h5")));
    assert_ok(vpsde_page_data(&j, &page));
    char *text = strndup(j.text, j.length);
    const char *metrics = strstr(text, "\"metrics\":[");
    assert_non_null(metrics);
    assert_non_null(strstr(metrics, "\"name\":\"median\""));
    assert_null(strstr(metrics, "\"name\":\"jvp\""));
    assert_null(strstr(metrics, "\"name\":\"rejected\""));
    assert_null(strstr(metrics, "\"name\":\"median_low\""));
    assert_non_null(strstr(metrics, "\"low\":[{\"v\":1,\n\"t\":\"1.000e+00\""));
    free(text);
    vpsde_json_free(&j);
    vpsde_page_close(&page);
}

static void test_picks(void **state)
{
    const double values[6] = {0, 1, 2, 3, 4, 5};
    vpsde_json j = {.text = NULL};
    (void)state;
    vpsde_json_object(&j, NULL);
    vpsde_page_picks(&j, "some", values, 6, 2);
    vpsde_page_picks(&j, "last", values, 5, 2);
    vpsde_page_picks(&j, "none", values, 0, 2);
    vpsde_json_end_object(&j);
    assert_string_equal(text_of(&j),
                        "{\"some\":[0,\n2,\n4,\n5],\n\"last\":[0,\n2,\n4],\n\"none\":[]}");
    vpsde_json_free(&j);
}

/* Five cells at one time, and of the rest of the schema next to nothing. */
static const char *write_physics(const char *name)
{
    static const double density[5] = {1, 3, 2, 4, 6};
    const char *path = scratch_path(name);
    vpsde_h5 *file;
    assert_ok(vpsde_h5_create(&file, path));
    assert_ok(vpsde_h5_text(file, "/", "schema", "vpsde/1"));
    assert_ok(vpsde_h5_group(file, "/thermo/schedule"));
    assert_ok(vpsde_h5_group(file, "/transport/speed"));
    assert_ok(vpsde_h5_group(file, "/fokker_planck/forward"));
    assert_ok(vpsde_h5_number(file, "/thermo", "work", 2));
    assert_ok(vpsde_h5_number(file, "/thermo", "ift", 0.5));
    assert_ok(vpsde_h5_number(file, "/thermo", "ift_stderr", 0.25));
    assert_ok(vpsde_h5_number(file, "/thermo", "ift_tail_index", 1.5));
    assert_ok(vpsde_h5_number(file, "/transport/speed", "length_squared", 3));
    const vpsde_h5_dataset spec = {"/fokker_planck/forward/density",
                                   "1",
                                   "density",
                                   VPSDE_F64,
                                   2,
                                   {1, 5},
                                   {NULL, NULL},
                                   NULL,
                                   NULL};
    assert_ok(vpsde_h5_dataset_create(file, &spec));
    assert_ok(vpsde_h5_rows(file, spec.path, 0, 1, density));
    assert_ok(vpsde_h5_close(file));
    return path;
}

/* What a file lacks is left out; nothing else is. */
static void test_physics_in_part(void **state)
{
    vpsde_page page;
    vpsde_json j = {.text = NULL};
    (void)state;
    assert_ok(vpsde_page_open(&page, write_physics("physics.h5")));
    assert_ok(vpsde_page_data(&j, &page));
    char *text = strndup(j.text, j.length);
    assert_non_null(strstr(text, "[\"work, \\u003cW\\u003e\",\n{\"v\":2,\n\"t\":\"2\"},\n"
                                 "{\"v\":null,\n\"t\":\"-\"},\n\"nat\",\n\"2 Delta F\"]"));
    assert_non_null(strstr(text, "\"1; tail too heavy for its s.e.\""));
    assert_null(strstr(text, "Crooks"));
    assert_non_null(strstr(text, "\"courses\":[]"));
    assert_non_null(strstr(text, "{\"v\":3,\n\"t\":\"3\"}"));
    assert_non_null(strstr(text, "\"density\":{\"f32\":\"AACAPwAAQEAAAABAAACAQAAAwEA=\"}"));
    assert_null(strstr(text, "\"flux\""));
    free(text);
    vpsde_json_free(&j);
    vpsde_page_close(&page);
}

static void test_rows_out_of_range(void **state)
{
    double values[6];
    vpsde_h5_input input;
    (void)state;
    assert_ok(vpsde_h5_input_open(&input, write_file("rows.h5", "vpsde/1"), "/runs/a/final"));
    assert_ok(vpsde_h5_input_read_rows(&input, 1, 2, values));
    assert_true(values[0] == 3 && values[3] == 6);
    assert_int_equal(vpsde_h5_input_read_rows(&input, 2, 2, values), VPSDE_EINVAL);
    assert_int_equal(vpsde_h5_input_read_rows(&input, SIZE_MAX, 1, values), VPSDE_EINVAL);
    vpsde_h5_input_close(&input);
}

static void test_refused(void **state)
{
    vpsde_page page;
    (void)state;
    assert_int_equal(vpsde_page_open(&page, write_file("future.h5", "vpsde/2\n")), VPSDE_EDATA);
    assert_non_null(strstr(vpsde_last_error(), "its schema is 'vpsde/2 '"));
    assert_int_equal(vpsde_page_open(&page, scratch_path("none.h5")), VPSDE_EDATA);
    assert_int_equal(vpsde_page_open(&page, scratch_write("text.h5", "no HDF5", 7)), VPSDE_EDATA);
    assert_int_equal(vpsde_page_open(&page, "/tmp"), VPSDE_EDATA);
}

static void test_write(void **state)
{
    static const char *const repeat[] = {"vpsde sample run.h5", NULL};
    vpsde_page page;
    (void)state;
    assert_ok(vpsde_page_open(&page, write_file("page.h5", "vpsde/1")));
    page.repeat = repeat;
    assert_ok(vpsde_page_write(&page, scratch_path("page.html"), false));
    assert_int_equal(vpsde_page_write(&page, scratch_path("page.html"), false), VPSDE_EEXIST);
    assert_ok(vpsde_page_write(&page, scratch_path("page.html"), true));
    assert_int_equal(vpsde_page_write(&page, scratch_path("no/page.html"), false), VPSDE_EIO);
    assert_int_equal(scratch_count(".tmp"), 0);
    vpsde_page_close(&page);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_escapes),
        cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_histograms),
        cmocka_unit_test(test_average),
        cmocka_unit_test(test_words),
        cmocka_unit_test(test_tree),
        cmocka_unit_test(test_metrics_of_a_comparison),
        cmocka_unit_test(test_picks),
        cmocka_unit_test(test_physics_in_part),
        cmocka_unit_test(test_rows_out_of_range),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_write),
    };
    return cmocka_run_group_tests(tests, scratch_setup, scratch_teardown);
}
