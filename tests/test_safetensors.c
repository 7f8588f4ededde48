#include "tests/scratch.h"

#include <errno.h>
#include <float.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "core/safetensors.h"

enum { FILE_MAX = 4096, MUTATIONS = 20000 };

/* Length prefix, header text, `data` bytes of zeros with the given ones first. */
static size_t assemble(unsigned char *out, const char *header, const void *data, size_t n)
{
    const size_t length = strlen(header);
    for (size_t i = 0; i < 8; i++) out[i] = (unsigned char)(length >> 8 * i & 0xff);
    memcpy(out + 8, header, length);
    if (n > 0) memcpy(out + 8 + length, data, n);
    return 8 + length + n;
}

static vpsde_status open_with(const char *header, const void *data, size_t n)
{
    unsigned char bytes[FILE_MAX];
    vpsde_safetensors *file;
    const char *path = scratch_write("x.safetensors", bytes, assemble(bytes, header, data, n));
    const vpsde_status status = vpsde_safetensors_open(&file, path);
    vpsde_safetensors_close(file);
    return status;
}

static const float weights[6] = {2.385f, -1.25f, 0.5f, 1e-30f, 7, -0.0f};
static const double scales[2] = {1e-3, 0.1};
static const vpsde_tensor_out tensors[] = {
    {.name = "layer.weight", .dtype = "F32", .rank = 2, .dims = {2, 3}, .data = weights},
    {.name = "empty", .dtype = "F32", .rank = 2, .dims = {0, 3}, .data = weights},
    {.name = "b\"\xc3\xa9", .dtype = "F64", .rank = 1, .dims = {2}, .data = scales},
    {.name = "scalar", .dtype = "F32", .rank = 0, .data = weights},
};
static const vpsde_metadata metadata[] = {{"kind", "mlp"}, {"line", "a\nb \"c\""}};

static const char *write_good(const char *name)
{
    const char *path = scratch_path(name);
    assert_ok(vpsde_safetensors_write(path, tensors, 4, metadata, 2));
    return path;
}

static void round_trip(void **state)
{
    vpsde_safetensors *file;
    float out[6];
    (void)state;
    const char *path = write_good("good.safetensors");
    assert_ok(vpsde_safetensors_open(&file, path));
    assert_int_equal(vpsde_safetensors_count(file), 4);
    assert_string_equal(vpsde_safetensors_at(file, 0)->name, "layer.weight");
    assert_string_equal(vpsde_safetensors_at(file, 3)->name, "scalar");
    assert_null(vpsde_safetensors_at(file, 4));
    assert_null(vpsde_safetensors_find(file, "nothing"));
    assert_int_equal(vpsde_safetensors_find(file, "empty")->count, 0);
    assert_string_equal(vpsde_safetensors_metadata(file, "kind"), "mlp");
    assert_string_equal(vpsde_safetensors_metadata(file, "line"), "a\nb \"c\"");
    assert_null(vpsde_safetensors_metadata(file, "absent"));
    assert_string_equal(vpsde_safetensors_path(file), path);
    assert_int_equal(strlen(vpsde_safetensors_sha256(file)), 64);
    assert_ok(vpsde_safetensors_read_f32(file, "layer.weight", out, 2, (const size_t[]){2, 3}));
    assert_memory_equal(out, weights, sizeof(weights));
    assert_ok(vpsde_safetensors_read_f32(file, "b\"\xc3\xa9", out, 1, (const size_t[]){2}));
    assert_true(out[0] == 1e-3f && out[1] == 0.1f);
    assert_ok(vpsde_safetensors_read_f32(file, "scalar", out, 0, NULL));
    assert_true(out[0] == 2.385f);
    vpsde_safetensors_close(file);
}

static void bytes_are_deterministic_and_aligned(void **state)
{
    unsigned char first[FILE_MAX], second[FILE_MAX];
    (void)state;
    const size_t n = scratch_read(first, sizeof(first), write_good("good.safetensors"));
    assert_int_equal(scratch_read(second, sizeof(second), write_good("good.safetensors")), n);
    assert_memory_equal(first, second, n);
    assert_int_equal((first[0] | first[1] << 8) % 8, 0);
    assert_int_equal(n, 8 + (size_t)(first[0] | first[1] << 8) + 24 + 16 + 4);
    assert_int_equal(scratch_count(".tmp"), 0);
}

/* Figures from IEEE 754: 1, -2, the largest, the smallest subnormal. */
static void converts_sixteen_bits(void **state)
{
    static const uint16_t halves[] = {0x3c00, 0xc000, 0x7bff, 0x0001, 0x8000, 0x03ff};
    static const uint16_t brains[] = {0x3f80, 0xc000, 0x7f7f, 0x0001};
    unsigned char bytes[FILE_MAX], data[20];
    vpsde_safetensors *file;
    float out[6];
    (void)state;
    memcpy(data, halves, 12);
    memcpy(data + 12, brains, 8);
    const size_t n = assemble(bytes,
                              "{\"h\":{\"dtype\":\"F16\",\"shape\":[6],\"data_offsets\":[0,12]},"
                              "\"b\":{\"dtype\":\"BF16\",\"shape\":[4],\"data_offsets\":[12,20]}}",
                              data, 20);
    assert_ok(vpsde_safetensors_open(&file, scratch_write("x.safetensors", bytes, n)));
    assert_ok(vpsde_safetensors_read_f32(file, "h", out, 1, (const size_t[]){6}));
    assert_true(out[0] == 1 && out[1] == -2 && out[2] == 65504 && out[3] == 0x1p-24f);
    assert_true(out[4] == 0 && signbit(out[4]) && out[5] == 1023 * 0x1p-24f);
    assert_ok(vpsde_safetensors_read_f32(file, "b", out, 1, (const size_t[]){4}));
    assert_true(out[0] == 1 && out[1] == -2 && out[2] == 0x1.fep127f && out[3] == 0x1p-133f);
    vpsde_safetensors_close(file);
}

#define ENTRY(name, dtype, shape, offsets)                                                         \
    "\"" name "\":{\"dtype\":\"" dtype "\",\"shape\":" shape ",\"data_offsets\":" offsets "}"

static const struct {
    const char *header;
    size_t data;
    const char *words;
} hostile[] = {
    {"[1,2]", 0, "must start with '{', found byte 0x5b, at byte 8"},
    {" {}", 0, "must start with '{'"},
    {"{\"a\":1", 0, "not valid JSON"},
    {"{} x", 0, "not valid JSON"},
    {"{\"a\xff\":{}}", 0, "not valid JSON"},
    {"{\"a\\u0000b\":{}}", 0, "not valid JSON"},
    {"{\"a\":[[[[[1]]]]]}", 0, "deeper than 3 levels, at byte 15"},
    {"{" ENTRY("a", "F32", "[1]", "[0,4]") "," ENTRY("a", "F32", "[1]", "[0,4]") "}", 4,
     "duplicate object key"},
    {"{\"a\":{\"dtype\":\"F32\",\"dtype\":\"F32\"}}", 0, "duplicate object key"},
    {"{" ENTRY("a", "F31", "[1]", "[0,4]") "}", 4, "tensor a: dtype is unknown"},
    {"{\"a\":{\"shape\":[1],\"data_offsets\":[0,4]}}", 4, "tensor a: dtype is missing"},
    {"{\"a\":7}", 0, "tensor a: its entry must be a JSON object, at byte 9"},
    {"{" ENTRY("a", "F32", "[1.0]", "[0,4]") "}", 4, "whole numbers >= 0"},
    {"{" ENTRY("a", "F32", "[-1]", "[0,4]") "}", 4, "whole numbers >= 0"},
    {"{" ENTRY("a", "F32", "[18446744073709551617]", "[0,4]") "}", 4, "not valid JSON"},
    {"{" ENTRY("a", "F32", "[1e999]", "[0,4]") "}", 4, "not valid JSON"},
    {"{" ENTRY("a", "F32", "4", "[0,4]") "}", 4, "shape must be a list"},
    {"{" ENTRY("a", "F32", "[1,1,1,1,1,1,1,1,1]", "[0,4]") "}", 4, "more than 8 dimensions"},
    /* the products wrap to 4 elements or to 4 bytes in 64 bits (the safetensors-cpp case) */
    {"{" ENTRY("a", "U8", "[4611686018427387905,4]", "[0,4]") "}", 4, "product of the shape"},
    {"{" ENTRY("a", "F32", "[4611686018427387905]", "[0,4]") "}", 4, "product of the shape"},
    {"{" ENTRY("a", "F32", "[1]", "[0]") "}", 4, "two whole numbers"},
    {"{" ENTRY("a", "F32", "[1]", "[0,4.0]") "}", 4, "two whole numbers"},
    {"{" ENTRY("a", "F32", "[1]", "[4,0]") "}", 4, "end before they begin"},
    {"{" ENTRY("a", "F32", "[2]", "[0,8]") "}", 4, "outside the file"},
    {"{" ENTRY("a", "F32", "[2]", "[0,4]") "}", 4, "as far apart"},
    {"{" ENTRY("a", "F32", "[1]", "[4,8]") "}", 8, "tensor a: begins 4 bytes into"},
    {"{" ENTRY("a", "F32", "[2]", "[0,8]") "," ENTRY("b", "F32", "[2]", "[4,12]") "}", 12,
     "tensor b: begins 4 bytes into the data where 8 was expected (an overlap)"},
    {"{" ENTRY("a", "F32", "[1]", "[0,4]") "," ENTRY("b", "F32", "[1]", "[8,12]") "}", 12,
     "(a hole)"},
    {"{" ENTRY("a", "F32", "[1]", "[0,4]") "}", 5, "1 bytes that belong to no tensor"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4],\"x\":1}}", 4, "only dtype"},
    {"{\"__metadata__\":[1]}", 0, "__metadata__ must be a map"},
    {"{\"__metadata__\":{\"k\":1}}", 0, "__metadata__ key k must be a string"},
};

static void refuses_hostile_files(void **state)
{
    static const unsigned char zeros[16];
    (void)state;
    for (size_t i = 0; i < sizeof(hostile) / sizeof(hostile[0]); i++) {
        assert_fails(open_with(hostile[i].header, zeros, hostile[i].data), VPSDE_EDATA,
                     hostile[i].words);
    }
    assert_ok(open_with("{}", NULL, 0));
    assert_ok(open_with("{" ENTRY("a", "F32", "[0]", "[0,0]") "}   ", NULL, 0));
}

static void refuses_hostile_lengths(void **state)
{
    static const struct {
        unsigned char bytes[12];
        size_t n;
        const char *words;
    } cases[] = {
        {{0}, 0, "0 bytes are too few"},
        {{2}, 9, "9 bytes are too few"},
        {{0, 0, 0, 0, 0, 0, 0, 0, '{', '}'}, 10, "header of 0 bytes"},
        {{3, 0, 0, 0, 0, 0, 0, 0, '{', '}'}, 10, "expected 2 to 2"},
        {{2, 0, 0, 0, 0, 0, 0, 0x80, '{', '}'}, 10, "header of 9223372036854775810 bytes"},
        {{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, '{', '}'}, 10, "at byte 0"},
    };
    vpsde_safetensors *file;
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const char *path = scratch_write("x.safetensors", cases[i].bytes, cases[i].n);
        assert_fails(vpsde_safetensors_open(&file, path), VPSDE_EDATA, cases[i].words);
        assert_null(file);
    }
    /* a sparse file big enough for its claim: still more than 100 MB of header */
    const unsigned char claim[8] = {0x01, 0xe1, 0xf5, 0x05};
    const char *path = scratch_write("x.safetensors", claim, 8);
    assert_int_equal(truncate(path, 200000000), 0);
    assert_fails(vpsde_safetensors_open(&file, path), VPSDE_EDATA, "header of 100000001 bytes");
}

static void refuses_too_many_tensors_and_values(void **state)
{
    enum { COUNT = 65537, ROOM = 64 };
    vpsde_safetensors *file;
    char *header = malloc((size_t)COUNT * 2 * ROOM);
    unsigned char *bytes = malloc((size_t)COUNT * 2 * ROOM);
    size_t n = 0;
    (void)state;
    assert_true(header && bytes);
    for (int i = 0; i < COUNT; i++) {
        n += (size_t)sprintf(header + n,
                             "%s"
                             "\"t%d\":{\"dtype\":\"F32\",\"shape\":[0],"
                             "\"data_offsets\":[0,0]}",
                             i ? "," : "{", i);
    }
    strcpy(header + n, "}");
    n = assemble(bytes, header, NULL, 0);
    assert_fails(vpsde_safetensors_open(&file, scratch_write("x.safetensors", bytes, n)),
                 VPSDE_EDATA, "65537 tensors, at most 65536");
    memset(header, ',', 2 << 20);
    memcpy(header, "{\"a\":[", 6);
    header[2 << 20] = '\0';
    n = assemble(bytes, header, NULL, 0);
    assert_fails(vpsde_safetensors_open(&file, scratch_write("x.safetensors", bytes, n)),
                 VPSDE_EDATA, "header has more than 1048576 values");
    free(header);
    free(bytes);
}

static void refuses_what_cannot_be_opened(void **state)
{
    vpsde_safetensors *file;
    (void)state;
    assert_fails(vpsde_safetensors_open(&file, scratch_path("absent")), VPSDE_EDATA,
                 "cannot be read: No such file");
    assert_fails(vpsde_safetensors_open(&file, scratch_folder), VPSDE_EDATA, "not a regular file");
    assert_int_equal(mkfifo(scratch_path("fifo"), 0600), 0);
    assert_fails(vpsde_safetensors_open(&file, scratch_path("fifo")), VPSDE_EDATA,
                 "not a regular file");
}

static void read_f32_names_what_is_wrong(void **state)
{
    static const double values[] = {1, (double)NAN, 1e300, (double)INFINITY};
    const vpsde_tensor_out bad = {
        .name = "w", .dtype = "F64", .rank = 2, .dims = {2, 2}, .data = values};
    unsigned char bytes[FILE_MAX];
    vpsde_safetensors *file;
    float out[4];
    (void)state;
    assert_ok(vpsde_safetensors_write(scratch_path("bad.safetensors"), &bad, 1, NULL, 0));
    assert_ok(vpsde_safetensors_open(&file, scratch_path("bad.safetensors")));
    assert_fails(vpsde_safetensors_read_f32(file, "w", out, 2, bad.dims), VPSDE_EDATA,
                 "tensor w: element 1 is nan, expected a finite float32 (3 of 4 elements)");
    assert_fails(vpsde_safetensors_read_f32(file, "w", out, 1, (const size_t[]){4}), VPSDE_EDATA,
                 "tensor w: shape (2, 2), expected (4)");
    assert_fails(vpsde_safetensors_read_f32(file, "w", out, 2, (const size_t[]){2, 3}), VPSDE_EDATA,
                 "tensor w: shape (2, 2), expected (2, 3)");
    assert_fails(vpsde_safetensors_read_f32(file, "v", out, 0, NULL), VPSDE_EDATA,
                 "tensor v is missing");
    vpsde_safetensors_close(file);
    const size_t n = assemble(bytes, "{" ENTRY("i", "I64", "[1]", "[0,8]") "}", values, 8);
    assert_ok(vpsde_safetensors_open(&file, scratch_write("x.safetensors", bytes, n)));
    assert_fails(vpsde_safetensors_read_f32(file, "i", out, 1, (const size_t[]){1}), VPSDE_EDATA,
                 "tensor i: I64, expected F32, F64, F16 or BF16");
    vpsde_safetensors_close(file);
}

static void write_refuses_what_the_format_forbids(void **state)
{
    const char *path = scratch_path("w.safetensors");
    const vpsde_tensor_out twice[] = {tensors[3], tensors[3]};
    vpsde_tensor_out one = tensors[0];
    (void)state;
    assert_fails(vpsde_safetensors_write(path, twice, 2, NULL, 0), VPSDE_EINVAL,
                 "scalar is given twice");
    one.dtype = "I8";
    assert_fails(vpsde_safetensors_write(path, &one, 1, NULL, 0), VPSDE_EINVAL, "only F32 and F64");
    one = (vpsde_tensor_out){.name = "__metadata__", .dtype = "F32", .data = weights};
    assert_fails(vpsde_safetensors_write(path, &one, 1, NULL, 0), VPSDE_EINVAL, "reserves");
    one.name = "a\xff";
    assert_fails(vpsde_safetensors_write(path, &one, 1, NULL, 0), VPSDE_EINVAL, "valid UTF-8");
    one = (vpsde_tensor_out){
        .name = "huge", .dtype = "F32", .rank = 2, .dims = {SIZE_MAX / 4, 3}, .data = weights};
    assert_fails(vpsde_safetensors_write(path, &one, 1, NULL, 0), VPSDE_EINVAL, "huge");
    one.rank = VPSDE_TENSOR_RANK_MAX + 1;
    one.dims[0] = 1;
    assert_fails(vpsde_safetensors_write(path, &one, 1, NULL, 0), VPSDE_EINVAL, "rank 9");
    assert_int_not_equal(access(path, F_OK), 0);
}

/* Storage failures leave the old file as it was and nothing beside it. */
static void write_failures_lose_nothing(void **state)
{
    static const float many[4096];
    const vpsde_tensor_out large = {
        .name = "w", .dtype = "F32", .rank = 1, .dims = {4096}, .data = many};
    unsigned char before[FILE_MAX], after[FILE_MAX];
    struct rlimit limit, small;
    (void)state;
    const char *path = write_good("kept.safetensors");
    const size_t n = scratch_read(before, sizeof(before), path);
    assert_fails(vpsde_safetensors_write(scratch_path("no/x"), &large, 1, NULL, 0), VPSDE_EIO,
                 "cannot be written: No such file");
    assert_int_equal(mkdir(scratch_path("taken"), 0700), 0);
    assert_fails(vpsde_safetensors_write(scratch_path("taken"), &large, 1, NULL, 0), VPSDE_EIO,
                 "cannot be written: Is a directory");
    assert_int_equal(rmdir(scratch_path("taken")), 0);
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
    small = (struct rlimit){.rlim_cur = 4096, .rlim_max = limit.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    const vpsde_status status = vpsde_safetensors_write(path, &large, 1, NULL, 0);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
    assert_fails(status, VPSDE_EIO, "cannot be written: File too large");
    assert_int_equal(scratch_read(after, sizeof(after), path), n);
    assert_memory_equal(before, after, n);
    assert_int_equal(scratch_count(".tmp"), 0);
}

static void every_prefix_is_refused(void **state)
{
    unsigned char bytes[FILE_MAX];
    vpsde_safetensors *file;
    (void)state;
    const size_t n = scratch_read(bytes, sizeof(bytes), write_good("good.safetensors"));
    for (size_t length = 0; length < n; length++) {
        const char *path = scratch_write("x.safetensors", bytes, length);
        assert_fails(vpsde_safetensors_open(&file, path), VPSDE_EDATA, "x.safetensors: ");
    }
}

/* Whatever the bytes: refused, or a file whose tensors can all be read. */
static void mutations_never_harm(void **state)
{
    unsigned char good[FILE_MAX], bytes[FILE_MAX];
    vpsde_safetensors *file;
    float out[64];
    uint64_t x = 2385;
    size_t opened = 0;
    (void)state;
    const size_t n = scratch_read(good, sizeof(good), write_good("good.safetensors"));
    for (size_t k = 0; k < MUTATIONS; k++) {
        memcpy(bytes, good, n);
        const size_t length = scratch_mutate(bytes, n, &x);
        if (vpsde_safetensors_open(&file, scratch_memory(bytes, length)) != VPSDE_OK) continue;
        opened++;
        for (size_t i = 0; i < vpsde_safetensors_count(file); i++) {
            const vpsde_tensor *t = vpsde_safetensors_at(file, i);
            assert_true(t->count <= 64);
            (void)vpsde_safetensors_read_f32(file, t->name, out, t->rank, t->dims);
        }
        vpsde_safetensors_close(file);
    }
    assert_in_range(opened, 1, MUTATIONS - 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(round_trip),
        cmocka_unit_test(bytes_are_deterministic_and_aligned),
        cmocka_unit_test(converts_sixteen_bits),
        cmocka_unit_test(refuses_hostile_files),
        cmocka_unit_test(refuses_hostile_lengths),
        cmocka_unit_test(refuses_too_many_tensors_and_values),
        cmocka_unit_test(refuses_what_cannot_be_opened),
        cmocka_unit_test(read_f32_names_what_is_wrong),
        cmocka_unit_test(write_refuses_what_the_format_forbids),
        cmocka_unit_test(write_failures_lose_nothing),
        cmocka_unit_test(every_prefix_is_refused),
        cmocka_unit_test(mutations_never_harm),
    };
    return cmocka_run_group_tests(tests, scratch_setup, scratch_teardown);
}
