#include "tests/scratch.h"

#include <zlib.h>

#include "core/data.h"

enum { FILE_MAX = 8192, MUTATIONS = 20000 };

/* A version 1.0 file of `n` value bytes behind this dictionary, padded as NumPy pads. */
static size_t npy(unsigned char *out, const char *dictionary, const void *values, size_t n)
{
    const size_t length = (10 + strlen(dictionary) + 1 + 63) / 64 * 64 - 10;
    memcpy(out, "\x93NUMPY\1\0", 8);
    out[8] = (unsigned char)(length & 0xff);
    out[9] = (unsigned char)(length >> 8);
    memset(out + 10, ' ', length);
    memcpy(out + 10, dictionary, strlen(dictionary));
    out[10 + length - 1] = '\n';
    if (n > 0) memcpy(out + 10 + length, values, n);
    return 10 + length + n;
}

/* The same with a 4-byte length, as versions 2.0 and 3.0 have. */
static size_t npy_wide(unsigned char *out, unsigned char version, const char *dictionary,
                       const void *values, size_t n)
{
    const size_t length = strlen(dictionary);
    memcpy(out, "\x93NUMPY", 6);
    memset(out + 6, 0, 6);
    out[6] = version;
    out[8] = (unsigned char)length;
    memcpy(out + 12, dictionary, length);
    memcpy(out + 12 + length, values, n);
    return 12 + length + n;
}

static vpsde_data *open_bytes(const void *bytes, size_t n)
{
    vpsde_data *data;
    assert_ok(vpsde_data_open(&data, scratch_write("x", bytes, n)));
    return data;
}

static vpsde_status try_bytes(const void *bytes, size_t n)
{
    vpsde_data *data;
    const vpsde_status status = vpsde_data_open(&data, scratch_write("x", bytes, n));
    assert_true((data == NULL) == (status != VPSDE_OK));
    vpsde_data_close(data);
    return status;
}

#define DICTIONARY(descr, order, shape)                                                            \
    "{'descr': '" descr "', 'fortran_order': " order ", 'shape': " shape ", }"

static void reads_npy(void **state)
{
    static const float values[6] = {2.385f, -1, 0.5f, 1e-3f, 7, 8};
    unsigned char bytes[FILE_MAX];
    double out[6];
    (void)state;
    const char *dictionary = DICTIONARY("<f4", "False", "(2, 3)");
    for (unsigned char version = 1; version <= 3; version++) {
        const size_t n = version == 1
                             ? npy(bytes, dictionary, values, sizeof(values))
                             : npy_wide(bytes, version, dictionary, values, sizeof(values));
        vpsde_data *data = open_bytes(bytes, n);
        assert_int_equal(vpsde_data_rows(data), 2);
        assert_int_equal(vpsde_data_dim(data), 3);
        assert_int_equal(vpsde_data_rank(data), 1);
        assert_int_equal(vpsde_data_shape(data)[0], 3);
        assert_false(vpsde_data_is_8bit(data));
        assert_int_equal(strlen(vpsde_data_sha256(data)), 64);
        assert_string_equal(vpsde_data_path(data), scratch_path("x"));
        assert_ok(vpsde_data_read(data, out, 0, 2, 1, 0));
        for (size_t e = 0; e < 6; e++) assert_true(out[e] == (double)values[e]);
        assert_ok(vpsde_data_read(data, out, 1, 1, 2, -1));
        assert_true(out[1] == 13);
        assert_fails(vpsde_data_read(data, out, 1, 2, 1, 0), VPSDE_EDATA,
                     "2 rows from row 1 on, the file has 2 rows");
        assert_fails(vpsde_data_read(data, out, SIZE_MAX, 2, 1, 0), VPSDE_EDATA, "rows from row");
        vpsde_data_close(data);
    }
}

/* Two rows of one number: the first bytes as written, in each type. */
static void reads_every_type(void **state)
{
    static const struct {
        const char *descr, *type;
        unsigned char bytes[16];
        size_t n;
        double first, second;
    } cases[] = {
        {"|b1", "bool", {1, 0}, 2, 1, 0},
        {"|u1", "uint8", {255, 1}, 2, 255, 1},
        {"|i1", "int8", {255, 1}, 2, -1, 1},
        {"<u2", "uint16", {0, 1, 0xff, 0xff}, 4, 256, 65535},
        {">u2", "uint16", {0, 1, 0xff, 0xff}, 4, 1, 65535},
        {"<i2", "int16", {0xfe, 0xff, 1, 0}, 4, -2, 1},
        {">u4", "uint32", {0x80, 0, 0, 0, 0, 0, 0, 1}, 8, 2147483648.0, 1},
        {"<i4", "int32", {0, 0, 0, 0x80, 1, 0, 0, 0}, 8, -2147483648.0, 1},
        {"<u8", "uint64", {0, 0, 0, 0, 0, 0, 0, 0x80, 1}, 16, 9223372036854775808.0, 1},
        {">i8",
         "int64",
         {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xfd, 0, 0, 0, 0, 0, 0, 0, 5},
         16,
         -3,
         5},
        {"<f2", "float16", {0, 0x3c, 0, 0xc0}, 4, 1, -2},
        {">f4", "float32", {0x3f, 0x80, 0, 0, 0xbf, 0, 0, 0}, 8, 1, -0.5},
        {">f8", "float64", {0x3f, 0xf0, 0, 0, 0, 0, 0, 0, 0x40}, 16, 1, 2},
    };
    unsigned char bytes[FILE_MAX];
    char dictionary[128];
    double out[2];
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        snprintf(dictionary, sizeof(dictionary),
                 "{\"descr\": \"%s\", 'fortran_order': False, 'shape': (2,)}", cases[i].descr);
        vpsde_data *data = open_bytes(bytes, npy(bytes, dictionary, cases[i].bytes, cases[i].n));
        assert_int_equal(vpsde_data_rows(data), 2);
        assert_int_equal(vpsde_data_dim(data), 1);
        assert_int_equal(vpsde_data_is_8bit(data), i == 1);
        assert_string_equal(vpsde_data_type(data), cases[i].type);
        assert_ok(vpsde_data_read(data, out, 0, 2, 1, 0));
        assert_true(out[0] == cases[i].first && out[1] == cases[i].second);
        vpsde_data_close(data);
    }
}

/* Two 2 x 4 images of bytes, as MNIST stores them. */
static const unsigned char images[] = {0, 0, 8,  3,  0, 0, 0,  2, 0, 0,   0, 2, 0, 0,   0, 4,
                                       1, 2, 10, 10, 3, 4, 10, 9, 0, 255, 5, 6, 0, 255, 7, 9};

static void reads_idx(void **state)
{
    static const unsigned char doubles[] = {0, 0, 0x0e, 1, 0, 0, 0, 1, 0x40, 4, 0, 0, 0, 0, 0, 0};
    static const unsigned char shorts[] = {0, 0, 0x0b, 1, 0, 0, 0, 2, 0xff, 0xfe, 1, 0};
    double out[16];
    (void)state;
    vpsde_data *data = open_bytes(images, sizeof(images));
    assert_int_equal(vpsde_data_rows(data), 2);
    assert_int_equal(vpsde_data_rank(data), 2);
    assert_int_equal(vpsde_data_shape(data)[0], 2);
    assert_int_equal(vpsde_data_shape(data)[1], 4);
    assert_true(vpsde_data_is_8bit(data));
    assert_ok(vpsde_data_read(data, out, 1, 1, 1, 0));
    assert_true(out[1] == 255 && out[7] == 9);
    vpsde_data_close(data);
    data = open_bytes(doubles, sizeof(doubles));
    assert_ok(vpsde_data_read(data, out, 0, 1, 1, 0));
    assert_true(out[0] == 2.5);
    vpsde_data_close(data);
    data = open_bytes(shorts, sizeof(shorts));
    assert_ok(vpsde_data_read(data, out, 0, 2, 1, 0));
    assert_true(out[0] == -2 && out[1] == 256);
    vpsde_data_close(data);
}

static void pools_with_halves_up(void **state)
{
    static const double values[4] = {1, 2, 3, 5};
    unsigned char bytes[FILE_MAX];
    double out[4];
    (void)state;
    vpsde_data *data = open_bytes(images, sizeof(images));
    assert_fails(vpsde_data_pool(data, 0), VPSDE_EINVAL, "at least 1, got 0");
    assert_fails(vpsde_data_pool(data, 4), VPSDE_EDATA, "images of 2 x 4 cannot be pooled by 4");
    assert_ok(vpsde_data_pool(data, 1));
    assert_ok(vpsde_data_pool(data, 2));
    assert_int_equal(vpsde_data_dim(data), 2);
    assert_true(vpsde_data_is_8bit(data));
    assert_ok(vpsde_data_read(data, out, 0, 2, 1, 0));
    assert_true(out[0] == 3 && out[1] == 10);  /* 2.5 and 9.75 */
    assert_true(out[2] == 128 && out[3] == 7); /* 127.5 and 6.75 */
    assert_fails(vpsde_data_pool(data, 2), VPSDE_EDATA, "images of 1 x 2");
    vpsde_data_close(data);
    data = open_bytes(bytes, npy(bytes, DICTIONARY("<f8", "False", "(1, 2, 2)"), values, 32));
    assert_ok(vpsde_data_pool(data, 2));
    assert_ok(vpsde_data_read(data, out, 0, 1, 1, 0));
    assert_true(out[0] == 2.75);
    vpsde_data_close(data);
    data = open_bytes(bytes, npy(bytes, DICTIONARY("<f8", "False", "(2, 2)"), values, 32));
    assert_fails(vpsde_data_pool(data, 2), VPSDE_EDATA, "rows of 2 values are no images");
    vpsde_data_close(data);
    const double large[4] = {1.7e308, 1.7e308, 1.7e308, 1.7e308};
    data = open_bytes(bytes, npy(bytes, DICTIONARY("<f8", "False", "(1, 2, 2)"), large, 32));
    assert_fails(vpsde_data_pool(data, 2), VPSDE_EDATA, "row 0 holds NaN or Inf");
    vpsde_data_close(data);
}

static const struct {
    const char *dictionary;
    size_t n;
    const char *words;
} bad_npy[] = {
    {DICTIONARY("<f4", "True", "(2, 2)"), 16, "Fortran order, expected C order"},
    {DICTIONARY("<f4", "False", "(0, 2)"), 0, "0 rows of 2 values"},
    {DICTIONARY("<f4", "False", "(2, 0)"), 0, "2 rows of 0 values"},
    {DICTIONARY("<f4", "False", "()"), 4, "a single number, expected rows"},
    {DICTIONARY("<f4", "False", "(2, 2)"), 15, "bytes where its header declares"},
    {DICTIONARY("<f4", "False", "(2, 2)"), 17, "bytes where its header declares"},
    {DICTIONARY("<f4", "False", "(4611686018427387905,)"), 4, "does not fit this machine"},
    {DICTIONARY("<f4", "False", "(2, 4611686018427387905, 4)"), 4, "does not fit this machine"},
    {DICTIONARY("<f4", "False", "(99999999999999999999,)"), 4, "that fit this machine"},
    {DICTIONARY("<f4", "False", "(-1,)"), 4, "tuple of whole numbers"},
    {DICTIONARY("<f4", "False", "(1.0,)"), 4, "tuple of whole numbers"},
    {DICTIONARY("<f4", "False", "4"), 4, "tuple of whole numbers"},
    {DICTIONARY("<f4", "False", "(1, 1, 1, 1, 1, 1)"), 4, "more than 5 axes"},
    {DICTIONARY("<f4", "false", "(1,)"), 4, "fortran_order must be True or False"},
    {DICTIONARY("<c8", "False", "(1,)"), 8, "of type '<c8', expected"},
    {DICTIONARY("<f3", "False", "(1,)"), 3, "of type '<f3', expected"},
    {DICTIONARY("|f4", "False", "(1,)"), 4, "of type '|f4', expected"},
    {DICTIONARY("|O", "False", "(1,)"), 8, "of type '|O', expected"},
    {DICTIONARY("<M8[ns]", "False", "(1,)"), 8, "of type '<M8[ns]', expected"},
    {"{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (1,), }", 4, "no structured"},
    {"{'descr': '<f4', 'shape': (1,), }", 4, "are all required"},
    {"{'descr': '<f4', 'descr': '<f4', }", 4, "a key is given twice"},
    {"{'type': '<f4'}", 4, "only the keys descr"},
    {"['descr']", 4, "a Python dictionary was expected, at byte 10"},
    {"{'descr': '<f4' 'x'}", 4, "',' or '}' was expected"},
    {"{'descr': '<f4'} x", 4, "only blanks may follow"},
    {"{descr: '<f4'}", 4, "a quoted key was expected"},
};

static void refuses_bad_npy(void **state)
{
    static const unsigned char zeros[32];
    unsigned char bytes[FILE_MAX];
    (void)state;
    for (size_t i = 0; i < sizeof(bad_npy) / sizeof(bad_npy[0]); i++) {
        const size_t n = npy(bytes, bad_npy[i].dictionary, zeros, bad_npy[i].n);
        assert_fails(try_bytes(bytes, n), VPSDE_EDATA, bad_npy[i].words);
    }
    size_t n = npy(bytes, DICTIONARY("<f4", "False", "(1,)"), zeros, 4);
    bytes[6] = 4;
    assert_fails(try_bytes(bytes, n), VPSDE_EDATA, ".npy version 4.0, expected 1.0 to 3.0");
    bytes[6] = 1;
    bytes[9] = 0xff;
    assert_fails(try_bytes(bytes, n), VPSDE_EDATA, "at byte 8");
    const float gaps[6] = {1, 2, (float)NAN, 4, 5, (float)INFINITY};
    n = npy(bytes, DICTIONARY("<f4", "False", "(3, 2)"), gaps, sizeof(gaps));
    assert_fails(try_bytes(bytes, n), VPSDE_EDATA, "row 1 holds NaN or Inf (2 of 3 rows do)");
}

static void refuses_bad_idx_and_strangers(void **state)
{
    static const struct {
        unsigned char bytes[12];
        size_t n;
        const char *words;
    } cases[] = {
        {{0, 0, 8}, 3, "an IDX file of only 3 bytes"},
        {{0, 0, 7, 1, 0, 0, 0, 1, 5}, 9, "IDX type 0x07 is unknown"},
        {{0, 0, 8, 0, 5}, 5, "IDX with 0 axes, expected 1 to 5"},
        {{0, 0, 8, 9, 5}, 5, "IDX with 9 axes"},
        {{0, 0, 8, 2, 0, 0, 0, 1}, 8, "ends within its IDX header, at byte 8"},
        {{0, 0, 8, 1, 0, 0, 0, 0}, 8, "0 rows of 1 values"},
        {{0, 0, 8, 1, 0, 0, 0, 2, 5}, 9, "9 bytes where its header declares 10"},
        {{0, 0, 8, 1, 0, 0, 0, 1, 5, 6}, 10, "10 bytes where its header declares 9"},
        {{0, 0, 8, 1, 0xff, 0xff, 0xff, 0xff, 5}, 9, "declares 4294967303"},
        {{'h', 'e', 'l', 'l', 'o'}, 5, "neither .npy, IDX"},
        {{0}, 0, "neither .npy, IDX"},
        {{0x89, 'H', 'D', 'F', '\r', '\n'}, 8, "name the dataset, as in FILE.h5:/group/dataset"},
    };
    static const unsigned char wrapping[24] = {0,    0,    0x0e, 5,    0xff, 0xff, 0xff, 0xff,
                                               0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
                                               0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
    vpsde_data *data;
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_fails(try_bytes(cases[i].bytes, cases[i].n), VPSDE_EDATA, cases[i].words);
    }
    assert_fails(try_bytes(wrapping, sizeof(wrapping)), VPSDE_EDATA, "does not fit this machine");
    assert_fails(vpsde_data_open(&data, scratch_path("absent.npy")), VPSDE_EDATA,
                 "cannot be read: No such file");
    assert_fails(vpsde_data_open(&data, scratch_folder), VPSDE_EDATA, "not a regular file");
}

/* gzip of `n` bytes; the size. */
static size_t deflate_bytes(unsigned char *out, size_t max, const unsigned char *in, size_t n)
{
    z_stream z = {.next_in = (unsigned char *)(uintptr_t)in, .avail_in = (uInt)n};
    z.next_out = out;
    z.avail_out = (uInt)max;
    assert_int_equal(deflateInit2(&z, 9, Z_DEFLATED, MAX_WBITS + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
    assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
    const size_t size = max - z.avail_out;
    deflateEnd(&z);
    return size;
}

static void reads_gzip(void **state)
{
    unsigned char bytes[FILE_MAX], packed[FILE_MAX];
    static double values[600];
    double out[600];
    (void)state;
    size_t n = deflate_bytes(packed, sizeof(packed), images, sizeof(images));
    vpsde_data *data = open_bytes(packed, n);
    assert_int_equal(vpsde_data_rows(data), 2);
    assert_ok(vpsde_data_read(data, out, 1, 1, 1, 0));
    assert_true(out[1] == 255 && out[7] == 9);
    vpsde_data_close(data);
    for (size_t e = 0; e < 600; e++) values[e] = sin((double)e);
    n = npy(bytes, DICTIONARY("<f8", "False", "(200, 3)"), values, sizeof(values));
    /* two members, cut in the middle, are one file (RFC 1952, 2.2) */
    size_t size = deflate_bytes(packed, sizeof(packed), bytes, 1000);
    size += deflate_bytes(packed + size, sizeof(packed) - size, bytes + 1000, n - 1000);
    data = open_bytes(packed, size);
    assert_ok(vpsde_data_read(data, out, 0, 200, 1, 0));
    assert_memory_equal(out, values, sizeof(values));
    vpsde_data_close(data);
}

static void refuses_bad_gzip(void **state)
{
    static unsigned char bomb[1 << 20] = {0, 0, 8, 1, 0, 0, 0, 100};
    unsigned char packed[FILE_MAX], bytes[FILE_MAX];
    (void)state;
    size_t n = deflate_bytes(packed, sizeof(packed), bomb, sizeof(bomb));
    assert_fails(try_bytes(packed, n), VPSDE_EDATA, "inflates to more than the 108 bytes");
    memcpy(bomb + 4, "\0\x10\0\x2a", 4); /* 50 values more than there are */
    n = deflate_bytes(packed, sizeof(packed), bomb, sizeof(bomb));
    assert_fails(try_bytes(packed, n), VPSDE_EDATA, "ends after 1048576 of the 1048626 bytes");
    bomb[4] = 0xff;
    n = deflate_bytes(packed, sizeof(packed), bomb, sizeof(bomb));
    assert_fails(try_bytes(packed, n), VPSDE_EDATA, "compressed ones can hold");
    n = deflate_bytes(packed, sizeof(packed), images, sizeof(images));
    for (size_t length = 2; length < n; length++) {
        assert_fails(try_bytes(packed, length), VPSDE_EDATA, "/x: ");
    }
    assert_fails(try_bytes(packed, n - 1), VPSDE_EDATA, "is cut off after 32 of the 32 bytes");
    memcpy(bytes, packed, n);
    bytes[n] = 'x';
    assert_fails(try_bytes(bytes, n + 1), VPSDE_EDATA, "bytes behind its end");
    bytes[n - 8] ^= 1; /* the checksum */
    assert_fails(try_bytes(bytes, n), VPSDE_EDATA, "incorrect data check");
    n = deflate_bytes(packed, sizeof(packed), (const unsigned char *)"\x89HDF\r\n\x1a\n", 8);
    assert_fails(try_bytes(packed, n), VPSDE_EDATA, "gunzip it first");
}

static void every_prefix_is_refused(void **state)
{
    static const float values[4] = {1, 2, 3, 4};
    unsigned char bytes[FILE_MAX];
    (void)state;
    const size_t n = npy(bytes, DICTIONARY("<f4", "False", "(2, 2)"), values, sizeof(values));
    for (size_t length = 0; length < n; length++) {
        assert_fails(try_bytes(bytes, length), VPSDE_EDATA, "/x: ");
    }
    for (size_t length = 0; length < sizeof(images); length++) {
        assert_fails(try_bytes(images, length), VPSDE_EDATA, "/x: ");
    }
}

/* Whatever the bytes: refused, or rows that can all be read. */
static void mutate(const unsigned char *good, size_t n, uint64_t seed)
{
    unsigned char bytes[FILE_MAX];
    double out[256];
    vpsde_data *data;
    uint64_t x = seed;
    for (size_t k = 0; k < MUTATIONS; k++) {
        memcpy(bytes, good, n);
        const size_t length = scratch_mutate(bytes, n, &x);
        if (vpsde_data_open(&data, scratch_memory(bytes, length)) != VPSDE_OK) continue;
        assert_true(vpsde_data_rows(data) * vpsde_data_dim(data) <= 256);
        assert_ok(vpsde_data_read(data, out, 0, vpsde_data_rows(data), 1, 0));
        (void)vpsde_data_pool(data, 2);
        vpsde_data_close(data);
    }
}

static void mutations_never_harm(void **state)
{
    static const float values[4] = {1, 2, 3, 4};
    unsigned char bytes[FILE_MAX];
    (void)state;
    mutate(bytes, npy(bytes, DICTIONARY("<f4", "False", "(2, 2)"), values, 16), 1);
    mutate(images, sizeof(images), 2);
    mutate(bytes, deflate_bytes(bytes, sizeof(bytes), images, sizeof(images)), 3);
}

/* Debian's dataset-fashion-mnist, where it is installed. */
static void reads_fashion_mnist(void **state)
{
    static const char folder[] = "/usr/share/datasets/fashion-mnist/";
    char path[128];
    double label, pixels[784];
    vpsde_data *data;
    (void)state;
    snprintf(path, sizeof(path), "%strain-images-idx3-ubyte.gz", folder);
    if (access(path, R_OK) != 0) skip();
    assert_ok(vpsde_data_open(&data, path));
    assert_int_equal(vpsde_data_rows(data), 60000);
    assert_int_equal(vpsde_data_rank(data), 2);
    assert_int_equal(vpsde_data_shape(data)[0], 28);
    assert_int_equal(vpsde_data_shape(data)[1], 28);
    assert_true(vpsde_data_is_8bit(data));
    assert_ok(vpsde_data_read(data, pixels, 59999, 1, 1.0 / 127.5, -1));
    for (size_t j = 0; j < 784; j++) assert_true(pixels[j] >= -1 && pixels[j] <= 1);
    assert_ok(vpsde_data_pool(data, 2));
    assert_int_equal(vpsde_data_dim(data), 196);
    vpsde_data_close(data);
    snprintf(path, sizeof(path), "%strain-labels-idx1-ubyte.gz", folder);
    assert_ok(vpsde_data_open(&data, path));
    assert_int_equal(vpsde_data_rows(data), 60000);
    assert_ok(vpsde_data_read(data, &label, 0, 1, 1, 0));
    assert_true(label == 9);
    vpsde_data_close(data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_npy),
        cmocka_unit_test(reads_every_type),
        cmocka_unit_test(reads_idx),
        cmocka_unit_test(pools_with_halves_up),
        cmocka_unit_test(refuses_bad_npy),
        cmocka_unit_test(refuses_bad_idx_and_strangers),
        cmocka_unit_test(reads_gzip),
        cmocka_unit_test(refuses_bad_gzip),
        cmocka_unit_test(every_prefix_is_refused),
        cmocka_unit_test(mutations_never_harm),
        cmocka_unit_test(reads_fashion_mnist),
    };
    return cmocka_run_group_tests(tests, scratch_setup, scratch_teardown);
}
