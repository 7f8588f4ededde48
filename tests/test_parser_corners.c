/* The corners of data sets, checkpoints, manifests and parts that their own tests leave out: every branch
 * that an input can reach (checkers/coverage.py). */
#include <sys/stat.h>
#include <zlib.h>

#include "core/data.h"
#include "core/json.h"
#include "core/safetensors_set.h"
#include "core/sha256.h"
#include "experiments/run_manifest.h"
#include "experiments/run_parts.h"
#include "experiments/run_seal.h"
#include "tests/scratch.h"

static void json_values(void **state)
{
    vpsde_json_in *root;
    double x;
    char shown[8];
    (void)state;
    assert_fails(vpsde_json_in_read(&root, "[1]", 3, "here"), VPSDE_EDATA, "holds a list");
    static const char text[] = "{\"i\": 1, \"r\": 0.5, \"t\": true, \"f\": false, \"s\": \"x\", "
                               "\"l\": [1, 2]}";
    assert_ok(vpsde_json_in_read(&root, text, sizeof(text) - 1, "here"));
    assert_true(vpsde_json_in_number(&x, vpsde_json_in_get(root, "i")));
    assert_true(vpsde_json_in_number(&x, vpsde_json_in_get(root, "r")));
    assert_false(vpsde_json_in_number(&x, vpsde_json_in_get(root, "s")));
    assert_false(vpsde_json_in_number(&x, NULL));
    assert_true(vpsde_json_in_true(vpsde_json_in_get(root, "t")));
    assert_false(vpsde_json_in_true(vpsde_json_in_get(root, "f")));
    assert_false(vpsde_json_in_true(NULL));
    assert_int_equal(vpsde_json_in_size(NULL), 0);
    assert_int_equal(vpsde_json_in_size(vpsde_json_in_get(root, "s")), 0);
    assert_int_equal(vpsde_json_in_size(vpsde_json_in_get(root, "l")), 2);
    assert_string_equal(vpsde_json_in_show(shown, 3, root), "{\"");
    assert_string_equal(vpsde_json_in_show(shown, sizeof(shown), root), "{\"i\"...");
    size_t n;
    assert_false(vpsde_json_in_size_of(&n, NULL));
    assert_false(vpsde_json_in_size_of(&n, vpsde_json_in_get(root, "r")));
    assert_true(vpsde_json_in_size_of(&n, vpsde_json_in_get(root, "i")));
    vpsde_json_in_free(root);
    assert_string_equal(vpsde_json_in_show(shown, sizeof(shown), NULL), "nothing");
    static const char deep[] = "{\"a\\\"\": -1,\n\"b\": [[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]}";
    assert_fails(vpsde_json_in_read(&root, deep, sizeof(deep) - 1, "here"), VPSDE_EDATA,
                 "nested deeper than 16 levels, in line 2");
    assert_fails(vpsde_json_in_read(&root, "]", 1, "here"), VPSDE_EDATA, "not valid JSON");
    static char commas[140000];
    memset(commas, ',', sizeof(commas));
    assert_fails(vpsde_json_in_read(&root, commas, sizeof(commas), "here"), VPSDE_EDATA,
                 "more than 131072 values");
    assert_ok(vpsde_json_in_read(&root, "{\"a\": -1}", 9, "here"));
    assert_false(vpsde_json_in_size_of(&n, vpsde_json_in_get(root, "a")));
    vpsde_json_in_free(root);
}

static void data_headers(void **state)
{
    static const struct {
        const char *header, *words;
    } rows[] = {
        {"{'descr': '<f8', 'fortran_order': False}", "are all required"},
        {"{'descr': '<f8', 'shape': (1,)}", "are all required"},
        {"{'fortran_order': False, 'shape': (1,)}", "are all required"},
        {"{'descr': '<f8", "descr must be"},
        {"{'descr': '|u1', 'fortran_order': False, 'shape': (18446744073709551615,)}", "fit"},
        {"{'descr': '|u1', 'fortran_order': False, 'shape': (18446744073709551616,)}", "fit"}};
    unsigned char bytes[300] = "\x93NUMPY\2";
    vpsde_data *data;
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const size_t n = strlen(rows[i].header);
        bytes[8] = (unsigned char)n;
        memcpy(bytes + 12, rows[i].header, n);
        assert_fails(vpsde_data_open(&data, scratch_write("x.npy", bytes, 12 + n)), VPSDE_EDATA,
                     rows[i].words);
    }
    assert_fails(vpsde_data_open(&data, scratch_write("x.npy", bytes, 10)), VPSDE_EDATA,
                 "ends within its .npy header");
    static const char one[] = "{'descr': '<f8', 'fortran_order': True, 'shape': (1,)}";
    bytes[8] = sizeof(one) - 1;
    memcpy(bytes + 12, one, sizeof(one) - 1);
    memset(bytes + 12 + sizeof(one) - 1, 0, 8);
    assert_ok(vpsde_data_open(&data, scratch_write("x.npy", bytes, 12 + sizeof(one) - 1 + 8)));
    vpsde_data_close(data);
    static const char *const paths[] = {"x:/y", "nothing-there.hdf5:/x", "a.xy:/b.h5:/c",
                                        "./.h4:/x"};
    for (size_t i = 0; i < 4; i++) {
        assert_fails(vpsde_data_open(&data, paths[i]), VPSDE_EDATA, "cannot be read");
    }
}

static void data_in_memory(void **state)
{
    static const unsigned char idx[] = {0, 0, 8, 3, 0, 0, 0, 1, 0, 0, 0,
                                        2, 0, 0, 0, 3, 1, 2, 3, 4, 5, 6};
    static const char *const tails[] = {"x", "xy", "\x1fy"};
    unsigned char packed[200];
    vpsde_data *data;
    (void)state;
    unsigned char *bytes = malloc(sizeof(idx));
    assert_non_null(bytes);
    memcpy(bytes, idx, sizeof(idx));
    assert_ok(vpsde_data_parse(&data, bytes, sizeof(idx), "here"));
    assert_fails(vpsde_data_pool(data, 2), VPSDE_EDATA, "2 x 3 cannot be pooled by 2");
    vpsde_data_close(data);
    z_stream z = {.next_in = (Bytef *)(uintptr_t)idx,
                  .avail_in = sizeof(idx),
                  .next_out = packed,
                  .avail_out = sizeof(packed)};
    assert_int_equal(deflateInit2(&z, 1, Z_DEFLATED, MAX_WBITS + 16, 8, 0), Z_OK);
    assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
    const size_t n = sizeof(packed) - z.avail_out;
    deflateEnd(&z);
    for (size_t i = 0; i < 3; i++) {
        memcpy(packed + n, tails[i], strlen(tails[i]));
        assert_fails(vpsde_data_open(&data, scratch_write("x.gz", packed, n + strlen(tails[i]))),
                     VPSDE_EDATA, "bytes behind its end");
    }
}

static vpsde_status parse_tensors(const char *header, size_t data)
{
    unsigned char bytes[1000] = {0};
    vpsde_safetensors *file;
    const size_t n = strlen(header);
    bytes[0] = (unsigned char)n;
    bytes[1] = (unsigned char)(n >> 8);
    memcpy(bytes + 8, header, n);
    VPSDE_TRY(vpsde_safetensors_parse(&file, bytes, 8 + n + data, "here"));
    vpsde_safetensors_close(file);
    return VPSDE_OK;
}

#define TENSOR(name, dtype, n, begin, end)                                                         \
    "\"" name "\":{\"dtype\":\"" dtype "\",\"shape\":[" n "],\"data_offsets\":[" begin "," end "]" \
    "}"

static void tensors_in_any_order(void **state)
{
    (void)state;
    assert_ok(parse_tensors(
        "{" TENSOR("d", "U8", "1", "2", "3") "," TENSOR("a", "U8", "1", "0", "1") "," TENSOR(
            "c", "U8", "0", "1", "1") "," TENSOR("e", "U8", "0", "1",
                                                 "1") "," TENSOR("b", "U8", "1", "1",
                                                                 "2") "," TENSOR("f", "U8", "0",
                                                                                 "1", "1") "}",
        3));
    assert_fails(
        parse_tensors("{\"__metadata__\":{\"k\":\"a\"}," TENSOR(
                          "ab", "U8", "1", "0", "1") "," TENSOR("a", "XX", "1", "1", "2") "}",
                      2),
        VPSDE_EDATA, "dtype is unknown");
}

static vpsde_status open_index(const char *index)
{
    vpsde_safetensors_set *set;
    const vpsde_status status =
        vpsde_safetensors_set_open(&set, scratch_write("x.json", index, strlen(index)));
    if (status == VPSDE_OK) vpsde_safetensors_set_close(set);
    return status;
}

static void indexes_of_checkpoints(void **state)
{
    static const char *const names[] = {"null", "\"\"", "\".\"", "\"..\"", "\"a/b\"", "3"};
    static const float x[2] = {1, 2};
    static const vpsde_tensor_out tensors[] = {
        {.name = "a", .dtype = "F32", .rank = 1, .dims = {1}, .data = x},
        {.name = "b", .dtype = "F32", .rank = 1, .dims = {1}, .data = x}};
    vpsde_safetensors_set *set;
    char index[40000] = "{\"weight_map\": {", *to = index + strlen(index), start[1000];
    (void)state;
    vpsde_safetensors_set_close(NULL);
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        char text[100];
        snprintf(text, sizeof(text), "{\"weight_map\": {\"a\": %s}}", names[i]);
        assert_fails(open_index(text), VPSDE_EDATA, "expected the name of a file");
    }
    for (int i = 0; i <= 1000; i++) to += sprintf(to, "%s\"%d\": \"%d\"", i ? ", " : "", i, i);
    sprintf(to, "}}");
    assert_fails(open_index(index), VPSDE_EDATA, "names 1001 files");
    assert_fails(open_index("{\"weight_map\": {}}"), VPSDE_EDATA, "names 0 files");
    assert_fails(open_index("{}"), VPSDE_EDATA, "weight_map is missing");
    const char *path = scratch_path("x.safetensors");
    assert_ok(vpsde_safetensors_write(path, tensors, 2, NULL, 0));
    assert_ok(vpsde_safetensors_write(scratch_path("y.safetensors"), tensors, 1, NULL, 0));
    assert_fails(open_index("{\"weight_map\": {\"a\": \"x.safetensors\"}}"), VPSDE_EDATA,
                 "the map has it nowhere");
    assert_fails(open_index("{\"weight_map\": {\"a\": \"x.safetensors\", \"b\": "
                            "\"x.safetensors\", \"c\": \"y.safetensors\"}}"),
                 VPSDE_EDATA, "c is not in y.safetensors");
    assert_fails(open_index("{\"weight_map\": {\"a\": \"y.safetensors\", \"b\": "
                            "\"x.safetensors\"}}"),
                 VPSDE_EDATA, "a is in x.safetensors, but the map has it in y.safetensors");
    assert_non_null(getcwd(start, sizeof(start)));
    assert_int_equal(chdir(scratch_folder), 0);
    assert_fails(vpsde_safetensors_set_open(&set, "none"), VPSDE_EDATA, "cannot be read");
    assert_fails(vpsde_safetensors_set_open(&set, "x.json"), VPSDE_EDATA, "weight_map");
    assert_ok(vpsde_safetensors_set_open(&set, "x.safetensors"));
    assert_int_equal(chdir(start), 0);
    assert_non_null(vpsde_safetensors_set_at(set, 0));
    assert_null(vpsde_safetensors_set_at(set, 1));
    assert_null(vpsde_safetensors_set_find(set, "none"));
    vpsde_safetensors_set_close(set);
    assert_ok(open_index("{\"weight_map\": {\"a\": \"y.safetensors\"}}"));
    assert_ok(vpsde_safetensors_set_open(&set, scratch_path("x.json")));
    assert_non_null(vpsde_safetensors_set_find(set, "a"));
    assert_null(vpsde_safetensors_set_find(set, "none"));
    assert_int_equal(strlen(vpsde_safetensors_set_sha256(set)), 64);
    vpsde_safetensors_set_close(set);
}

static void checkpoints(void **state)
{
    static const float x[2] = {1, 2};
    vpsde_tensor_out large[] = {
        {.name = "a", .dtype = "F32", .rank = 1, .dims = {SIZE_MAX / 8}, .data = x},
        {.name = "b", .dtype = "F32", .rank = 1, .dims = {SIZE_MAX / 8}, .data = x},
        {.name = "c", .dtype = "F32", .rank = 1, .dims = {SIZE_MAX / 4}, .data = x}};
    vpsde_safetensors *file;
    (void)state;
    char path[600];
    snprintf(path, sizeof(path), "%s", scratch_path("z.safetensors"));
    assert_fails(vpsde_safetensors_write(path, large, 3, NULL, 0), VPSDE_EINVAL, "too large");
    assert_fails(vpsde_safetensors_write(path, large + 2, 1, NULL, 0), VPSDE_EINVAL, "too large");
    large[1].dims[0] = 1;
    assert_fails(
        vpsde_safetensors_write(path, (const vpsde_tensor_out[]){large[0], large[2]}, 2, NULL, 0),
        VPSDE_EINVAL, "too large");
    assert_ok(vpsde_safetensors_write(path, large + 1, 1, NULL, 0));
    assert_ok(vpsde_safetensors_open(&file, path));
    assert_ok(vpsde_safetensors_read_f32(file, "b", NULL, 1, (const size_t[]){1}));
    size_t dims[30];
    for (size_t i = 0; i < 30; i++) dims[i] = SIZE_MAX;
    assert_fails(vpsde_safetensors_read_f32(file, "b", NULL, 30, dims), VPSDE_EDATA,
                 "expected (1844674407");
    vpsde_safetensors_close(file);
    assert_ok(vpsde_safetensors_write(path, NULL, 0, NULL, 0));
    assert_ok(vpsde_safetensors_open(&file, path));
    assert_null(vpsde_safetensors_find(file, "b"));
    vpsde_safetensors_close(file);
    char name[100];
    for (int k = 0; k < 100; k++) {
        snprintf(name, sizeof(name), "z.safetensors.%ld-%d.tmp", (long)getpid(), k);
        scratch_write(name, "", 0);
    }
    assert_fails(vpsde_safetensors_write(path, NULL, 0, NULL, 0), VPSDE_EIO, "File exists");
}

static void manifests(void **state)
{
    static const struct {
        const char *name, *path, *sha256;
    } bad[] = {{"a b", "p", "s"}, {"", "p", "s"}, {"n", "p", "s s"}, {"n", "p\nq", "s"}};
    static const char *const texts[] = {"",
                                        "other\n",
                                        "format 2\n",
                                        "format 2\nverb a\n",
                                        "format 2\nverb a\nverb b\n",
                                        "format 2\nverb a\nconfig_sha256 b\nconfig_sha256 c\n",
                                        "format 2\ninput a\n",
                                        "format 2\ninput a b\n",
                                        "format 2\nseed\n",
                                        "format 2\nseed x\n",
                                        "format 2\nseed 1x\n",
                                        "format 2\nseed 99999999999999999999\n",
                                        "format 2\nverbs a\n",
                                        "format 2\nverb a\nconfig_sha256 b\nreplaces no\n",
                                        "format 2\nconfig_sha256 b\nseed 1\n"};
    vpsde_manifest m = {.verb = NULL};
    bool added;
    char path[600];
    (void)state;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        assert_fails(vpsde_manifest_parse(&m, texts[i], "here"), VPSDE_EIO, "not a manifest");
        vpsde_manifest_free(&m);
    }
    for (size_t i = 0; i < 4; i++) {
        assert_fails(vpsde_manifest_add(&m, &added, bad[i].name, bad[i].path, bad[i].sha256),
                     VPSDE_EINVAL, "cannot hold");
    }
    char hex[65];
    vpsde_sha256(hex, "x", 1);
    scratch_write("in.h5", "x", 1);
    snprintf(path, sizeof(path), "%s:/d", scratch_path("in.h5"));
    assert_ok(vpsde_manifest_add(&m, &added, "other", scratch_path("in.h5"), hex));
    assert_ok(vpsde_manifest_add(&m, &added, "data", path, hex));
    assert_true(added);
    assert_ok(vpsde_manifest_add(&m, &added, "data", path, hex));
    assert_false(added);
    assert_fails(vpsde_manifest_add(&m, &added, "data", path, "abc"), VPSDE_EDATA, "has changed");
    assert_ok(vpsde_manifest_check_inputs(&m));
    scratch_write("in.h5", "y", 1);
    assert_fails(vpsde_manifest_check_inputs(&m), VPSDE_EDATA, "has changed");
    unlink(scratch_path("in.h5"));
    assert_fails(vpsde_manifest_check_inputs(&m), VPSDE_EDATA, "cannot be");
    vpsde_manifest_free(&m);
    assert_int_equal(mkdir(scratch_path("d:"), 0777), 0);
    assert_ok(vpsde_manifest_add(&m, &added, "data", scratch_write("d:/x", "x", 1), hex));
    assert_ok(vpsde_manifest_check_inputs(&m));
    vpsde_manifest_free(&m);
    unlink(scratch_path("d:/x"));
    rmdir(scratch_path("d:"));
    assert_ok(vpsde_manifest_add(&m, &added, "model", scratch_folder, hex));
    assert_fails(vpsde_manifest_check_inputs(&m), VPSDE_EDATA, "");
    vpsde_manifest_free(&m);
    char long_name[400] = "";
    memset(long_name, 'x', 300);
    memcpy(long_name + 300, ":/y", 4);
    assert_ok(vpsde_manifest_add(&m, &added, "data", long_name, hex));
    assert_fails(vpsde_manifest_check_inputs(&m), VPSDE_EIO, "too long");
    vpsde_manifest_free(&m);
}

static vpsde_status visit(void *context, const vpsde_record *record, const void *payload,
                          vpsde_place place)
{
    char first;
    (void)payload;
    return record->bytes ? vpsde_parts_read(context, place, &first, 1) : VPSDE_OK;
}

/* A part whose sum is right and whose records are not. */
static void put_part(const char *path, const void *records, size_t n)
{
    unsigned char bytes[300];
    char name[700];
    vpsde_part_header header = {.bytes = n};
    memcpy(bytes + sizeof(header), records, n);
    vpsde_part_head(&header, bytes + sizeof(header), n);
    memcpy(bytes, &header, sizeof(header));
    snprintf(name, sizeof(name), "%s.parts/part-000000-000000", path);
    FILE *f = fopen(name, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(bytes, 1, sizeof(header) + n, f), sizeof(header) + n);
    fclose(f);
}

/* Its header as put_part makes it, but for one byte. */
static void put_part_headed(const char *path, size_t at, char byte)
{
    char name[700];
    put_part(path, "records", 8);
    snprintf(name, sizeof(name), "%s.parts/part-000000-000000", path);
    FILE *f = fopen(name, "r+b");
    assert_non_null(f);
    assert_int_equal(fseek(f, (long)at, SEEK_SET), 0);
    assert_int_equal(fputc(byte, f), byte);
    fclose(f);
}

static void parts_of_a_run(void **state)
{
    enum { PARTS = 260 }; /* more than are held open */
    static const vpsde_record record = {.kind = VPSDE_RECORD_FACTS};
    char path[600], name[700], byte;
    vpsde_parts *parts, *joined;
    vpsde_part_list seen = {.n = 0};
    (void)state;
    snprintf(path, sizeof(path), "%s", scratch_path("run.h5"));
    assert_ok(vpsde_parts_create(&parts, path, "a: 1\n", "format 2\n", false));
    const struct iovec endless[] = {{NULL, SIZE_MAX - 100}};
    assert_fails(vpsde_parts_append(parts, &record, endless, 1), VPSDE_EINVAL, "too long");
    const struct iovec piece[] = {{&byte, 1}};
    byte = 'x';
    for (size_t i = 0; i < PARTS; i++) {
        assert_ok(vpsde_parts_append(parts, &record, piece, 1));
        assert_ok(vpsde_parts_seal(parts));
    }
    assert_ok(vpsde_parts_scan(parts, &seen, visit, parts));
    assert_int_equal(seen.n, PARTS);
    assert_ok(vpsde_parts_append(parts, &record, piece, 1));
    assert_ok(vpsde_parts_scan(parts, &seen, visit, parts));
    assert_int_equal(seen.n, PARTS + 1);
    assert_ok(vpsde_parts_join(&joined, path));
    vpsde_parts_destroy(joined);
    assert_ok(vpsde_parts_read(parts, (vpsde_place){0, 120}, &byte, 1));
    snprintf(name, sizeof(name), "%s.parts/part-000000-000000", path);
    assert_int_equal(truncate(name, 0), 0);
    assert_fails(vpsde_parts_read(parts, (vpsde_place){0, 120}, &byte, 1), VPSDE_EIO, "shorter");
    free(seen.part);
    seen = (vpsde_part_list){.n = 0};
    assert_fails(vpsde_parts_scan(parts, &seen, visit, parts), VPSDE_EIO, "is damaged");
    free(seen.part);
    seen = (vpsde_part_list){.n = 0};
    put_part(path, "short", 5);
    assert_fails(vpsde_parts_scan(parts, &seen, visit, parts), VPSDE_EIO, "is damaged");
    free(seen.part);
    seen = (vpsde_part_list){.n = 0};
    const vpsde_record long_one = {.kind = VPSDE_RECORD_FACTS, .bytes = 9};
    put_part(path, &long_one, sizeof(long_one));
    assert_fails(vpsde_parts_scan(parts, &seen, visit, parts), VPSDE_EIO, "is damaged");
    free(seen.part);
    for (size_t at = 0; at < 2; at++) {
        seen = (vpsde_part_list){.n = 0};
        put_part_headed(path, at ? offsetof(vpsde_part_header, bytes) : 0, 'x');
        assert_fails(vpsde_parts_scan(parts, &seen, visit, parts), VPSDE_EIO, "is damaged");
        free(seen.part);
    }
    assert_fails(vpsde_parts_read(parts, (vpsde_place){PARTS + 77, 0}, &byte, 1), VPSDE_EIO,
                 "part-");
    usleep(1100000); /* a part is sealed after a second */
    assert_ok(vpsde_parts_append(parts, &record, piece, 1));
    assert_ok(vpsde_parts_append(parts, &record, piece, 1));
    vpsde_parts_remove(parts);
    assert_fails(vpsde_parts_seal(parts), VPSDE_EIO, "part-");
    assert_fails(vpsde_parts_append(parts, &record, piece, 1), VPSDE_EIO, "an earlier part");
    seen = (vpsde_part_list){.n = 0};
    (void)vpsde_parts_scan(parts, &seen, visit, parts);
    free(seen.part);
    vpsde_parts_destroy(parts);
    vpsde_parts_destroy(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(json_values),
        cmocka_unit_test(data_headers),
        cmocka_unit_test(data_in_memory),
        cmocka_unit_test(tensors_in_any_order),
        cmocka_unit_test(indexes_of_checkpoints),
        cmocka_unit_test(checkpoints),
        cmocka_unit_test(manifests),
        cmocka_unit_test(parts_of_a_run),
    };
    return cmocka_run_group_tests(tests, scratch_setup, scratch_teardown);
}
