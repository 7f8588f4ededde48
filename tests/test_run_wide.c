/* Columns whose rows go straight to where they stay: the file is the one that parts make, whatever the
 * shapes, and whatever comes between. */
#include "tests/check.h"

#include <errno.h>
#include <fcntl.h>
#include <hdf5.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <vpsde/run.h>

#include "core/fletcher32.h"
#include "core/h5_compare.h"
#include "core/sink.h"

enum { COLUMNS = 4, BLOCK = 4 };

static char folder[64];

static const vpsde_axis axes[] = {{.name = "time", .length = 3, .description = "nodes"},
                                  {.name = "dim", .length = 61, .description = "dimension"},
                                  {.name = "channel", .length = 4, .description = "channels"},
                                  {.name = "pixel", .length = 50021, .description = "pixels"}};

#define COLUMN(NAME, TYPE, DIMS, WIDTH)                                                            \
    {                                                                                              \
        .name = NAME, .units = "1", .description = NAME, .type = TYPE, .dims = DIMS,               \
        .width = WIDTH                                                                             \
    }
/* Some chunks hold many rows, some rows many chunks; the last chunk of each way is short. */
static const struct shape {
    const char *path;
    size_t count;
    vpsde_column columns[COLUMNS];
} shapes[] = {
    {"/runs/rows",
     1237,
     {COLUMN("x", VPSDE_F64, "time dim", 183), COLUMN("nfe", VPSDE_I64, "", 1),
      COLUMN("counts", VPSDE_I32, "dim", 61), COLUMN("marks", VPSDE_U8, "time dim", 183)}},
    {"/runs/images",
     7,
     {COLUMN("status", VPSDE_I32, "", 1), COLUMN("state", VPSDE_F64, "channel pixel", 4 * 50021),
      COLUMN("small", VPSDE_F32, "pixel", 50021), COLUMN("kind", VPSDE_I64, "time", 3)}},
    {"/runs/pieces",
     5,
     {COLUMN("flat", VPSDE_F32, "pixel channel", 4 * 50021), COLUMN("nfe", VPSDE_I64, "", 1),
      COLUMN("deep", VPSDE_I32, "channel pixel", 4 * 50021), COLUMN("t", VPSDE_F64, "", 1)}}};
enum { SHAPES = sizeof(shapes) / sizeof(shapes[0]), FIRST = 1000 };
enum { THERE = 40 * BLOCK };

/* What this binary's HDF5 and file system are taken to do. */
static struct {
    bool chunks_elsewhere, no_links;
} odd;

herr_t __real_H5Dwrite_chunk(hid_t id, hid_t transfer, uint32_t filters, const hsize_t *first,
                             size_t bytes, const void *data);
herr_t __wrap_H5Dwrite_chunk(hid_t id, hid_t transfer, uint32_t filters, const hsize_t *first,
                             size_t bytes, const void *data);
int __real_link(const char *from, const char *to);
int __wrap_link(const char *from, const char *to);

/* A chunk that is not written where it is entered is one too short. */
herr_t __wrap_H5Dwrite_chunk(hid_t id, hid_t transfer, uint32_t filters, const hsize_t *first,
                             size_t bytes, const void *data)
{
    return __real_H5Dwrite_chunk(id, transfer, filters, first, bytes - odd.chunks_elsewhere, data);
}

int __wrap_link(const char *from, const char *to)
{
    if (!odd.no_links) return __real_link(from, to);
    errno = EPERM;
    return -1;
}

static const char *at(const char *name)
{
    static char paths[8][256];
    static unsigned next;
    char *path = paths[next++ % 8];
    snprintf(path, 256, "%s/%s", folder, name);
    return path;
}

static bool exists(const char *path) { return access(path, F_OK) == 0; }

static vpsde_table table_of(const struct shape *shape)
{
    return (vpsde_table){.path = shape->path,
                         .first = FIRST,
                         .count = shape->count,
                         .axes = axes,
                         .n_axes = 4,
                         .columns = shape->columns,
                         .n_columns = COLUMNS};
}

static double value(size_t row, size_t column, size_t e)
{
    return (double)((row * 31 + e * 7 + column * 3) % 251);
}

static void put(void *to, vpsde_dtype type, size_t e, double v)
{
    if (type == VPSDE_F64) ((double *)to)[e] = v;
    if (type == VPSDE_F32) ((float *)to)[e] = (float)v;
    if (type == VPSDE_I64) ((int64_t *)to)[e] = (int64_t)v;
    if (type == VPSDE_I32) ((int32_t *)to)[e] = (int32_t)v;
    if (type == VPSDE_U8) ((uint8_t *)to)[e] = (uint8_t)v;
}

static void write_block(vpsde_sink *sink, const struct shape *shape, size_t first, size_t n)
{
    void *data[COLUMNS];
    for (size_t c = 0; c < COLUMNS; c++) {
        const vpsde_column *column = &shape->columns[c];
        data[c] = malloc(n * column->width * vpsde_dtype_size(column->type));
        assert_non_null(data[c]);
        for (size_t e = 0; e < n * column->width; e++) {
            put(data[c], column->type, e,
                value(FIRST + first + e / column->width, c, e % column->width));
        }
    }
    assert_ok(sink->write(sink->self, FIRST + first, n, (const void *const *)data));
    for (size_t c = 0; c < COLUMNS; c++) free(data[c]);
}

/* The first n_blocks blocks of a shuffled order, the last one of the table short. */
static void write_shape(vpsde_run *run, const struct shape *shape, size_t n_blocks)
{
    vpsde_sink *sink = vpsde_run_sink(run);
    const vpsde_table table = table_of(shape);
    const size_t all = (shape->count + BLOCK - 1) / BLOCK;
    assert_ok(sink->begin(sink->self, &table));
    for (size_t i = 0; i < all && i < n_blocks; i++) {
        const size_t start = i * 7 % all * BLOCK, rest = shape->count - start;
        write_block(sink, shape, start, rest < BLOCK ? rest : BLOCK);
    }
    assert_ok(sink->end(sink->self, NULL, 0));
}

static vpsde_run *start(const char *path)
{
    vpsde_run *run;
    assert_ok(vpsde_run_create(&run, path, "sample", "seed: 7\n", 7, 1));
    assert_ok(vpsde_run_model_fact(run, &(vpsde_fact){.name = "kind", .text = "mlp"}));
    return run;
}

/* Tables from number `first` on, and the file. */
static void write_all(vpsde_run *run, size_t first)
{
    for (size_t s = first; s < SHAPES; s++) write_shape(run, &shapes[s], SIZE_MAX);
    assert_ok(vpsde_run_finish(run, "complete"));
    vpsde_run_destroy(run, 0);
}

static void tell(void *context, const char *object, const char *what)
{
    (void)context;
    print_error("%s: %s\n", object, what);
}

static void check_same(const char *path)
{
    vpsde_h5_comparison c;
    assert_ok(vpsde_h5_compare(&c, at("parts.h5"), path, "/provenance", tell, NULL));
    assert_int_equal(c.differences, 0);
    assert_true(c.bytes > 15e6);
    assert_false(exists(at("run.h5.parts")));
    assert_false(exists(at("run.h5.parts/whole.h5")));
}

/* A run that was taken up again has all its rows in parts. */
static void parts_make_the_file(void **state)
{
    (void)state;
    vpsde_run *run = start(at("parts.h5"));
    vpsde_run_destroy(run, 0);
    assert_ok(vpsde_run_reopen(&run, at("parts.h5"), 0));
    write_shape(run, &shapes[0], 1);
    assert_false(exists(at("parts.h5.parts/rows.h5")));
    vpsde_run_destroy(run, 0);
    assert_ok(vpsde_run_reopen(&run, at("parts.h5"), 0));
    write_all(run, 0);
}

static void rows_stay_where_they_were_put(void **state)
{
    (void)state;
    struct stat before, after;
    vpsde_run *run = start(at("run.h5"));
    for (size_t s = 0; s < SHAPES; s++) write_shape(run, &shapes[s], SIZE_MAX);
    assert_int_equal(stat(at("run.h5.parts/rows.h5"), &before), 0);
    assert_ok(vpsde_run_finish(run, "complete"));
    vpsde_run_destroy(run, 0);
    assert_int_equal(stat(at("run.h5"), &after), 0);
    assert_int_equal(before.st_ino, after.st_ino);
    check_same(at("run.h5"));
}

static void run_whole(void)
{
    write_all(start(at("run.h5")), 0);
    check_same(at("run.h5"));
}

/* Where HDF5 does not say where a chunk goes, its rows go to the parts. */
static void an_unknown_hdf5_is_written_through(void **state)
{
    (void)state;
    odd.chunks_elsewhere = true;
    run_whole();
    odd.chunks_elsewhere = false;
}

/* exFAT and some of FUSE: the rows are copied at the end, and nothing is lost. */
static void files_of_one_name_are_copied(void **state)
{
    (void)state;
    odd.no_links = true;
    run_whole();
    odd.no_links = false;
}

/* What HDF5 tells of a dataset's making, as text. */
static void describe(char out[256], const char *path, const char *dataset)
{
    const hid_t file = H5Fopen(path, H5F_ACC_RDONLY, H5P_DEFAULT);
    const hid_t id = H5Dopen2(file, dataset, H5P_DEFAULT), made = H5Dget_create_plist(id);
    H5D_alloc_time_t allocated = H5D_ALLOC_TIME_ERROR;
    H5D_fill_time_t filled = H5D_FILL_TIME_ERROR;
    hsize_t chunk[5] = {0};
    double fill = 0;
    assert_true(file >= 0 && id >= 0 && made >= 0);
    assert_true(H5Pget_alloc_time(made, &allocated) >= 0 && H5Pget_fill_time(made, &filled) >= 0);
    assert_true(H5Pget_chunk(made, 5, chunk) > 0);
    assert_true(H5Pget_fill_value(made, H5T_NATIVE_DOUBLE, &fill) >= 0);
    snprintf(out, 256, "allocated %d, filled %d, by %g, chunk %d %d %d, %d filters, %lld bytes",
             (int)allocated, (int)filled, fill, (int)chunk[0], (int)chunk[1], (int)chunk[2],
             H5Pget_nfilters(made), (long long)H5Dget_storage_size(id));
    assert_true(H5Pclose(made) >= 0 && H5Dclose(id) >= 0 && H5Fclose(file) >= 0);
}

static void datasets_are_made_alike(void **state)
{
    (void)state;
    char expected[256], got[256];
    for (size_t s = 0; s < SHAPES; s++) {
        for (size_t c = 0; c < COLUMNS; c++) {
            char name[64];
            snprintf(name, sizeof(name), "%s/%s", shapes[s].path, shapes[s].columns[c].name);
            describe(expected, at("parts.h5"), name);
            describe(got, at("run.h5"), name);
            assert_string_equal(got, expected);
        }
    }
}

/* Read through HDF5, checksums on, against what was written. */
static void values_and_checksums_are_right(void **state)
{
    (void)state;
    for (size_t s = 0; s < SHAPES; s++) {
        for (size_t c = 0; c < COLUMNS; c++) {
            const vpsde_column *column = &shapes[s].columns[c];
            char name[64];
            double *values;
            size_t rank, dims[5], wrong = 0;
            snprintf(name, sizeof(name), "%s/%s", shapes[s].path, column->name);
            assert_ok(vpsde_run_read(&values, &rank, dims, at("run.h5"), name));
            for (size_t e = 0; e < shapes[s].count * column->width; e++) {
                wrong += values[e] != value(FIRST + e / column->width, c, e % column->width);
            }
            assert_int_equal(wrong, 0);
            free(values);
        }
    }
}

/* A flipped byte of a chunk is seen by HDF5: the checksums are on. */
static void checksums_are_looked_at(void **state)
{
    (void)state;
    const int fd = open(at("run.h5"), O_RDWR);
    struct stat info;
    double *values;
    size_t rank, dims[5];
    char byte;
    assert_true(fd >= 0 && fstat(fd, &info) == 0);
    const off_t where = info.st_size / 4; /* of an image */
    assert_int_equal(pread(fd, &byte, 1, where), 1);
    byte ^= 1;
    assert_int_equal(pwrite(fd, &byte, 1, where), 1);
    close(fd);
    assert_fails(vpsde_run_read(&values, &rank, dims, at("run.h5"), "/runs/images/state"),
                 VPSDE_EDATA, "state");
    assert_int_equal(unlink(at("run.h5")), 0);
}

/* Half of the first table, put down. */
static void put_down(void)
{
    vpsde_run *run = start(at("run.h5"));
    write_shape(run, &shapes[0], 40);
    vpsde_run_destroy(run, 0);
    assert_true(exists(at("run.h5.parts/rows.h5")));
}

static void count_rows(void *context, size_t first, size_t n, const void *const *data)
{
    size_t *rows = context;
    assert_null(data[0]);
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(((const int64_t *)data[1])[i], (int64_t)value(first + i, 1, 0));
    }
    *rows += n;
}

/* How many rows of the first table are there when the run is taken up; then it goes on to its end. */
static size_t go_on(void)
{
    const vpsde_table table = table_of(&shapes[0]);
    vpsde_run *run;
    size_t rows = 0;
    assert_ok(vpsde_run_reopen(&run, at("run.h5"), 0));
    vpsde_sink *sink = vpsde_run_sink(run);
    assert_ok(sink->begin(sink->self, &table));
    assert_ok(vpsde_run_each_stored(run, count_rows, &rows));
    assert_ok(sink->end(sink->self, NULL, 0));
    vpsde_run_destroy(run, 0);
    assert_ok(vpsde_run_reopen(&run, at("run.h5"), 0));
    write_all(run, 0);
    check_same(at("run.h5"));
    assert_int_equal(unlink(at("run.h5")), 0);
    return rows;
}

static void interrupted_runs_go_on(void **state)
{
    (void)state;
    put_down();
    assert_int_equal(go_on(), THERE);
    put_down(); /* killed between the file's second name and its last */
    assert_int_equal(link(at("run.h5.parts/rows.h5"), at("run.h5.parts/whole.h5")), 0);
    assert_int_equal(go_on(), THERE);
}

static void damage(off_t from)
{
    const int fd = open(at("run.h5.parts/rows.h5"), O_RDWR);
    char bytes[45056]; /* more than from one block to the next */
    assert_true(fd >= 0);
    assert_int_equal(pread(fd, bytes, sizeof(bytes), from), sizeof(bytes));
    for (size_t i = 0; i < sizeof(bytes); i++) bytes[i] ^= 1;
    assert_int_equal(pwrite(fd, bytes, sizeof(bytes), from), sizeof(bytes));
    close(fd);
}

static void damaged_rows_are_computed_again(void **state)
{
    (void)state;
    put_down();
    damage(300000);
    assert_int_equal(go_on(), 0); /* all of them are in one part */
    put_down();
    assert_int_equal(truncate(at("run.h5.parts/rows.h5"), 300000), 0);
    assert_int_equal(go_on(), 0);
    put_down();
    assert_int_equal(unlink(at("run.h5.parts/rows.h5")), 0);
    assert_int_equal(go_on(), 0);
}

/* Published with what is there, and gone on with. */
static void a_partial_file_is_made(void **state)
{
    (void)state;
    vpsde_run *run = start(at("run.h5"));
    double *values;
    size_t rank, dims[5], there = 0;
    write_shape(run, &shapes[0], 40);
    assert_fails(vpsde_run_finish(run, "complete"), VPSDE_EINTERNAL, "never written");
    assert_ok(vpsde_run_finish(run, "interrupted"));
    vpsde_run_destroy(run, 0);
    assert_ok(vpsde_run_read(&values, &rank, dims, at("run.h5"), "/runs/rows/x"));
    for (size_t i = 0; i < shapes[0].count; i++) {
        if (isnan(values[i * 183])) continue;
        for (size_t e = 0; e < 183; e++)
            assert_close(values[i * 183 + e], value(FIRST + i, 0, e), 0);
        there++;
    }
    assert_int_equal(there, THERE);
    free(values);
    assert_int_equal(go_on(), THERE);
}

/* And by the same process, with tables to come. */
static void a_partial_file_does_not_end_a_run(void **state)
{
    (void)state;
    vpsde_run *run = start(at("run.h5"));
    write_shape(run, &shapes[0], SIZE_MAX);
    assert_ok(vpsde_run_finish(run, "interrupted"));
    write_all(run, 1);
    check_same(at("run.h5"));
    assert_int_equal(unlink(at("run.h5")), 0);
}

/* Whatever rows.h5 is by then, it may have another name. */
static void no_older_file_is_written_to(void **state)
{
    (void)state;
    const vpsde_table table = table_of(&shapes[0]);
    vpsde_run *run = start(at("run.h5"));
    vpsde_sink *sink = vpsde_run_sink(run);
    char text[8] = "";
    FILE *file = fopen(at("kept"), "w+");
    assert_non_null(file);
    assert_int_equal(fputs("older", file) < 0, 0);
    assert_int_equal(fflush(file), 0);
    assert_int_equal(link(at("kept"), at("run.h5.parts/rows.h5")), 0);
    assert_fails(sink->begin(sink->self, &table), VPSDE_EIO, "rows.h5: cannot be made");
    rewind(file);
    assert_non_null(fgets(text, sizeof(text), file));
    assert_string_equal(text, "older");
    assert_int_equal(fclose(file), 0);
    vpsde_run_destroy(run, 1);
    assert_int_equal(unlink(at("kept")), 0);
}

/* The last phase fails: the rows do not move, and another process ends it. */
static void a_failed_end_is_taken_up(void **state)
{
    (void)state;
    vpsde_run *run = start(at("run.h5"));
    for (size_t s = 0; s < SHAPES; s++) write_shape(run, &shapes[s], SIZE_MAX);
    assert_int_equal(mkdir(at("run.h5.parts/whole.h5"), 0700), 0);
    assert_fails(vpsde_run_finish(run, "complete"), VPSDE_EIO, "run.h5.parts/whole.h5");
    vpsde_run_destroy(run, 0);
    assert_int_equal(rmdir(at("run.h5.parts/whole.h5")), 0);
    assert_ok(vpsde_run_reopen(&run, at("run.h5"), 0));
    assert_ok(vpsde_run_finish(run, "complete"));
    vpsde_run_destroy(run, 0);
    check_same(at("run.h5"));
    run = start(at("run.h5"));
    for (size_t s = 0; s < SHAPES; s++) write_shape(run, &shapes[s], SIZE_MAX);
    const int stop = 1;
    vpsde_run_stop_on(run, &stop);
    assert_fails(vpsde_run_finish(run, "complete"), VPSDE_ESTOPPED, "");
    vpsde_run_stop_on(run, NULL);
    assert_ok(vpsde_run_finish(run, "complete")); /* from the parts */
    vpsde_run_destroy(run, 0);
    check_same(at("run.h5"));
    put_down();
    damage(300000);
    run = start(at("run.h5")); /* --force */
    assert_false(exists(at("run.h5.parts/rows.h5")));
    write_shape(run, &shapes[0], 1);
    vpsde_run_destroy(run, 1);
    assert_false(exists(at("run.h5.parts")));
}

/* H5_checksum_fletcher32() of HDF5 1.10, for messages of whole words. */
static uint32_t as_hdf5_has_it(const unsigned char *bytes, size_t n)
{
    uint32_t sum1 = 0, sum2 = 0;
    for (size_t i = 0; i < n; i += 2) {
        sum1 += (uint32_t)bytes[i] << 8 | bytes[i + 1];
        sum1 = (sum1 & 0xffff) + (sum1 >> 16);
        sum2 += sum1;
        sum2 = (sum2 & 0xffff) + (sum2 >> 16);
    }
    sum1 = (sum1 & 0xffff) + (sum1 >> 16);
    sum2 = (sum2 & 0xffff) + (sum2 >> 16);
    return sum2 << 16 | sum1;
}

static void sums_of_pieces_are_the_whole(void **state)
{
    (void)state;
    enum { MOST = 300000 };
    unsigned char *bytes = calloc(MOST, 1);
    uint32_t random = 7;
    assert_non_null(bytes);
    for (size_t round = 0; round < 400; round++) {
        const size_t n = (random >> 8) % (MOST / 2) * 2,
                     cut = n > 0 ? (random >> 4) % n / 2 * 2 : 0;
        for (size_t i = 0; i < n; i++) {
            random = random * 1664525 + 1013904223;
            bytes[i] = (unsigned char)(round % 4 == 0 ? 0 : round % 4 == 1 ? 255 : random >> 24);
        }
        if (round % 4 == 3 && n > 0) memset(bytes + cut, 0, n - cut);
        vpsde_fletcher32 sum = {0, 0};
        if (round % 4 != 3) vpsde_fletcher32_add(&sum, bytes + cut, n - cut, 0);
        vpsde_fletcher32_add(&sum, bytes, cut, n - cut);
        assert_int_equal(vpsde_fletcher32_value(&sum), as_hdf5_has_it(bytes, n));
        random += 12345;
    }
    free(bytes);
}

static int make_folder(void **state)
{
    (void)state;
    snprintf(folder, sizeof(folder), "%s/vpsde-wide-XXXXXX",
             access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
    (void)state;
    return unlink(at("parts.h5")) == 0 && unlink(at("run.h5")) == 0 ? rmdir(folder) : -1;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sums_of_pieces_are_the_whole),
        cmocka_unit_test(parts_make_the_file),
        cmocka_unit_test(an_unknown_hdf5_is_written_through),
        cmocka_unit_test(files_of_one_name_are_copied),
        cmocka_unit_test(rows_stay_where_they_were_put),
        cmocka_unit_test(datasets_are_made_alike),
        cmocka_unit_test(values_and_checksums_are_right),
        cmocka_unit_test(checksums_are_looked_at),
        cmocka_unit_test(interrupted_runs_go_on),
        cmocka_unit_test(damaged_rows_are_computed_again),
        cmocka_unit_test(a_partial_file_is_made),
        cmocka_unit_test(a_partial_file_does_not_end_a_run),
        cmocka_unit_test(no_older_file_is_written_to),
        cmocka_unit_test(a_failed_end_is_taken_up),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
