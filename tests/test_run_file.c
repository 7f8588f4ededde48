#include "tests/check.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <vpsde/run.h>

#include "core/sink.h"
#include "experiments/run_parts.h"

enum { FIRST = 1000, COUNT = 157, TIMES = 3, DIM = 2, BLOCK = 16, PATH_SIZE = 256 };

static char folder[] = "/tmp/vpsde-run-XXXXXX";

static const char *at(const char *name)
{
    static char paths[16][PATH_SIZE];
    static unsigned next;
    char *path = paths[next++ % 16];
    snprintf(path, PATH_SIZE, "%s/%s", folder, name);
    return path;
}

static bool exists(const char *path) { return access(path, F_OK) == 0; }

static const double t_values[TIMES] = {1, 0.52, 0.013};
static const struct vpsde_coordinate t_coordinate[] = {
    {.name = "t", .units = "1", .description = "time", .values = t_values}};
static const vpsde_axis axes[] = {{.name = "time",
                                   .length = TIMES,
                                   .description = "stored nodes",
                                   .n_coordinates = 1,
                                   .coordinates = t_coordinate},
                                  {.name = "dim", .length = DIM, .description = "dimension"}};
static const vpsde_column columns[] = {{.name = "x",
                                        .units = "1",
                                        .description = "states",
                                        .type = VPSDE_F32,
                                        .dims = "time dim",
                                        .width = TIMES * DIM},
                                       {.name = "final",
                                        .units = "1",
                                        .description = "end",
                                        .type = VPSDE_F64,
                                        .dims = "dim",
                                        .width = DIM},
                                       {.name = "nfe",
                                        .units = "1",
                                        .description = "calls",
                                        .type = VPSDE_I64,
                                        .dims = "",
                                        .width = 1},
                                       {.name = "status",
                                        .units = "1",
                                        .description = "outcome",
                                        .type = VPSDE_I32,
                                        .dims = "",
                                        .width = 1,
                                        .flag_meanings = "ok non_finite"},
                                       {.name = "mark",
                                        .units = "1",
                                        .description = "a byte",
                                        .type = VPSDE_U8,
                                        .dims = "time",
                                        .width = TIMES}};
enum { N_COLUMNS = 5 };
static const vpsde_fact facts[] = {{.name = "solver", .text = "ddim"},
                                   {.name = "steps", .number = 50},
                                   {.name = "rtol", .number = 2.385e-5}};

static vpsde_table table_at(const char *path)
{
    return (vpsde_table){.path = path,
                         .first = FIRST,
                         .count = COUNT,
                         .axes = axes,
                         .n_axes = 2,
                         .columns = columns,
                         .n_columns = N_COLUMNS,
                         .facts = facts,
                         .n_facts = 3};
}

/* The value of element e of a sample's column, exact in the column's type. */
static double value(size_t sample, size_t column, size_t e)
{
    if (column == 4) return (double)((sample * 7 + e) % 251);
    if (column == 3) return (double)(sample % 2);
    return (double)(sample * 8 + e) * (column < 2 ? 0.125 : 1);
}

static void write_block(vpsde_sink *sink, size_t first, size_t n)
{
    static float x[BLOCK * TIMES * DIM];
    static double final[BLOCK * DIM];
    static int64_t nfe[BLOCK];
    static int32_t status[BLOCK];
    static unsigned char mark[BLOCK * TIMES];
    for (size_t i = 0; i < n; i++) {
        for (size_t e = 0; e < TIMES * DIM; e++) {
            x[i * TIMES * DIM + e] = (float)value(first + i, 0, e);
        }
        for (size_t j = 0; j < DIM; j++) final[i * DIM + j] = value(first + i, 1, j);
        nfe[i] = (int64_t)value(first + i, 2, 0);
        status[i] = (int32_t)value(first + i, 3, 0);
        for (size_t k = 0; k < TIMES; k++)
            mark[i * TIMES + k] = (unsigned char)value(first + i, 4, k);
    }
    const void *const data[] = {x, final, nfe, status, mark};
    assert_ok(sink->write(sink->self, first, n, data));
}

/* Blocks in the order of a multiplicative shuffle, the last one short; `skip` is left out. */
static void write_table(vpsde_sink *sink, const char *path, size_t stride, size_t skip)
{
    const vpsde_table table = table_at(path);
    const size_t n_blocks = (COUNT + BLOCK - 1) / BLOCK;
    assert_ok(sink->begin(sink->self, &table));
    for (size_t i = 0; i < n_blocks; i++) {
        const size_t block = i * stride % n_blocks, start = block * BLOCK;
        if (block == skip) continue;
        write_block(sink, FIRST + start, COUNT - start < BLOCK ? COUNT - start : BLOCK);
    }
    const vpsde_fact rate = {.name = "rate", .number = (double)stride + 0.5};
    assert_ok(sink->end(sink->self, &rate, 1));
}

static void check_column(const char *path, const char *group, size_t column, size_t missing_from)
{
    double *read;
    size_t rank, dims[5];
    char dataset[64];
    snprintf(dataset, sizeof(dataset), "%s/%s", group, columns[column].name);
    assert_ok(vpsde_run_read(&read, &rank, dims, path, dataset));
    assert_int_equal(dims[0], COUNT);
    size_t width = 1;
    for (size_t a = 1; a < rank; a++) width *= dims[a];
    assert_int_equal(width, columns[column].width);
    for (size_t i = 0; i < COUNT; i++) {
        for (size_t e = 0; e < width; e++) {
            const double got = read[i * width + e];
            if (i < missing_from || i >= missing_from + BLOCK) {
                assert_close(got, value(FIRST + i, column, e), 0);
            } else if (column < 2) {
                assert_true(isnan(got));
            } else {
                assert_close(got, column == 4 ? 255 : -1, 0);
            }
        }
    }
    free(read);
}

static vpsde_run *start(const char *path, int force)
{
    vpsde_run *run;
    assert_ok(vpsde_run_create(&run, path, "sample", "seed: 7\n", 7, force));
    return run;
}

static void any_order_reads_back_exactly(void **state)
{
    (void)state;
    const char *path = at("run.h5");
    vpsde_run *run = start(path, 0);
    assert_true(exists(at("run.h5.parts/config.yaml")));
    assert_true(exists(at("run.h5.parts/manifest")));
    assert_ok(vpsde_run_input(run, "data", "/some/file.npy", "abc"));
    assert_ok(vpsde_run_model_fact(run, &(vpsde_fact){.name = "kind", .text = "mlp"}));
    assert_ok(vpsde_run_provenance(run, &(vpsde_fact){.name = "threads", .number = 2}));
    write_table(vpsde_run_sink(run), "/runs/ddim", 1, SIZE_MAX);
    write_table(vpsde_run_sink(run), "/runs/dpmpp-2m", 7, SIZE_MAX);
    assert_ok(vpsde_run_finish(run, "complete"));
    assert_false(exists(at("run.h5.parts")));
    assert_false(exists(at("run.h5.parts/whole.h5")));
    vpsde_run_destroy(run, 0);
    for (size_t c = 0; c < N_COLUMNS; c++) {
        check_column(path, "/runs/ddim", c, SIZE_MAX / 2);
        check_column(path, "/runs/dpmpp_2m", c, SIZE_MAX / 2);
    }
    double *t;
    size_t rank, dims[5];
    assert_ok(vpsde_run_read(&t, &rank, dims, path, "/runs/ddim/t"));
    assert_int_equal(rank, 1);
    assert_memory_equal(t, t_values, sizeof(t_values));
    free(t);
    assert_ok(vpsde_run_read(&t, &rank, dims, path, "/runs/ddim/sample"));
    assert_close(t[0], FIRST, 0);
    assert_close(t[COUNT - 1], FIRST + COUNT - 1, 0);
    free(t);
}

static void check_text(const char *path, const char *group, const char *name, const char *expected)
{
    char *text;
    assert_ok(vpsde_run_read_text(&text, path, group, name));
    assert_string_equal(text, expected);
    free(text);
}

static void texts_read_back(void **state)
{
    (void)state;
    const char *path = at("run.h5");
    char *text;
    check_text(path, "/", "schema", "vpsde/1");
    check_text(path, "/", "status", "complete");
    check_text(path, "/", "config", "seed: 7\n");
    check_text(path, "/inputs", "data", "/some/file.npy");
    check_text(path, "/inputs", "data_sha256", "abc");
    check_text(path, "/model", "kind", "mlp");
    check_text(path, "/runs/dpmpp_2m", "solver", "ddim");
    check_text(path, "/runs/ddim/status", "flag_meanings", "ok non_finite");
    check_text(path, "/runs/ddim/x", "coordinates", "t");
    assert_fails(vpsde_run_read_text(&text, path, "/", "nothing"), VPSDE_EDATA, "nothing");
    assert_fails(vpsde_run_read_text(&text, path, "/", "seed"), VPSDE_EDATA, "not text");
    assert_fails(vpsde_run_read_text(&text, at("none.h5"), "/", "seed"), VPSDE_EDATA, "none.h5");
    double *values;
    size_t rank, dims[5];
    assert_fails(vpsde_run_read(&values, &rank, dims, path, "/runs/x"), VPSDE_EDATA, "/runs/x");
    assert_fails(vpsde_run_read(&values, &rank, dims, path, "/runs"), VPSDE_EDATA, "/runs");
    assert_null(values);
}

static void existing_output_needs_force(void **state)
{
    (void)state;
    vpsde_run *run;
    const char *path = at("run.h5");
    assert_fails(vpsde_run_create(&run, path, "sample", "", 0, 0), VPSDE_EEXIST, "--force");
    assert_null(run);
    assert_false(exists(at("run.h5.parts")));
    run = start(path, 1);
    vpsde_run_destroy(run, 0);
    assert_true(exists(at("run.h5.parts/manifest")));
    assert_fails(vpsde_run_create(&run, path, "sample", "", 0, 0), VPSDE_EEXIST, "--force");
    assert_int_equal(unlink(path), 0);
    assert_fails(vpsde_run_create(&run, path, "sample", "", 0, 0), VPSDE_EEXIST, "unfinished run");
    run = start(path, 1);
    vpsde_run_destroy(run, 1);
    assert_false(exists(at("run.h5.parts")));
}

static void living_writer_keeps_its_lock(void **state)
{
    (void)state;
    const char *path = at("locked.h5");
    vpsde_run *run = start(path, 0), *second;
    char pid[32];
    snprintf(pid, sizeof(pid), "pid %ld on ", (long)getpid());
    assert_fails(vpsde_run_create(&second, path, "sample", "", 0, 1), VPSDE_EEXIST, pid);
    assert_true(exists(at("locked.h5.parts/manifest")));
    write_table(vpsde_run_sink(run), "/runs/a", 3, SIZE_MAX);
    assert_ok(vpsde_run_finish(run, "complete"));
    vpsde_run_destroy(run, 0);
    check_column(path, "/runs/a", 0, SIZE_MAX / 2);
}

static void folder_that_cannot_be_written(void **state)
{
    (void)state;
    vpsde_run *run;
    assert_fails(vpsde_run_create(&run, at("none/run.h5"), "sample", "", 0, 0), VPSDE_EIO,
                 "No such file");
    assert_fails(vpsde_run_create(&run, at("locked.h5/run.h5"), "sample", "", 0, 0), VPSDE_EIO,
                 "Not a directory");
    assert_fails(vpsde_run_create(&run, folder, "sample", "", 0, 1), VPSDE_EEXIST, "folder");
    if (geteuid() == 0) return; /* root may write anywhere */
    assert_int_equal(mkdir(at("closed"), 0500), 0);
    assert_fails(vpsde_run_create(&run, at("closed/run.h5"), "sample", "", 0, 0), VPSDE_EIO,
                 "Permission denied");
    assert_int_equal(rmdir(at("closed")), 0);
}

static void rows_must_be_there_once(void **state)
{
    (void)state;
    const char *path = at("gap.h5");
    vpsde_run *run = start(path, 0);
    write_table(vpsde_run_sink(run), "/runs/a", 3, 4);
    assert_fails(vpsde_run_finish(run, "complete"), VPSDE_EINTERNAL, "row 1064 was never written");
    assert_false(exists(path));
    assert_fails(vpsde_run_finish(run, "done"), VPSDE_EINVAL, "complete or interrupted");
    assert_ok(vpsde_run_finish(run, "interrupted"));
    assert_true(exists(at("gap.h5.parts/part-000000-000000")));
    vpsde_run_destroy(run, 1);
    assert_false(exists(at("gap.h5.parts")));
    for (size_t c = 0; c < N_COLUMNS; c++) check_column(path, "/runs/a", c, 64);
    check_text(path, "/", "status", "interrupted");
    run = start(path, 1);
    const vpsde_table table = table_at("/runs/a");
    vpsde_sink *sink = vpsde_run_sink(run);
    assert_ok(sink->begin(sink->self, &table));
    write_block(sink, FIRST, 8);
    write_block(sink, FIRST + 4, 8);
    assert_fails(vpsde_run_finish(run, "interrupted"), VPSDE_EINTERNAL,
                 "row 1004 was written twice");
    vpsde_run_destroy(run, 1);
}

/* Blocks 0, 2, 4, ... of a run that is put down, then all of them after it was taken up. */
static void write_every_second(const char *path)
{
    const vpsde_table table = table_at("/runs/a");
    vpsde_run *run = start(path, 0);
    vpsde_sink *sink = vpsde_run_sink(run);
    assert_false(vpsde_run_begun(run));
    assert_ok(vpsde_run_input(run, "data", at("input"), "abc"));
    assert_ok(sink->begin(sink->self, &table));
    assert_true(vpsde_run_begun(run));
    for (size_t i = 0; i < COUNT; i += 2 * BLOCK) {
        write_block(sink, FIRST + i, COUNT - i < BLOCK ? COUNT - i : BLOCK);
    }
    assert_false(sink->has(sink->self, FIRST, 1));
    vpsde_run_destroy(run, 0);
}

static void count_stored(void *context, size_t first, size_t n, const void *const *data)
{
    size_t *rows = context;
    assert_null(data[0]); /* wide */
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(((const int64_t *)data[2])[i], (int64_t)value(first + i, 2, 0));
        assert_int_equal(((const int32_t *)data[3])[i], (int32_t)value(first + i, 3, 0));
    }
    *rows += n;
}

static void put_input(const char *text)
{
    FILE *file = fopen(at("input"), "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static void a_run_is_taken_up(void **state)
{
    (void)state;
    const char *path = at("again.h5");
    const vpsde_table table = table_at("/runs/a");
    static const char sum[] = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    vpsde_run *run, *second;
    assert_ok(vpsde_run_reopen(&run, path, 0));
    assert_null(run);
    write_every_second(path);
    assert_fails(vpsde_run_reopen(&run, path, 0), VPSDE_EDATA, "input: cannot be read");
    put_input("abd");
    assert_fails(vpsde_run_reopen(&run, path, 0), VPSDE_EDATA, "the data file has changed");
    assert_null(run);
    run = start(path, 1);
    assert_ok(vpsde_run_input(run, "data", at("input"), sum));
    vpsde_run_destroy(run, 0);
    put_input("abc");
    assert_ok(vpsde_run_reopen(&run, path, 0));
    assert_false(vpsde_run_begun(run));
    vpsde_run_destroy(run, 1);
    put_input("");
    assert_int_equal(unlink(at("input")), 0);

    run = start(path, 0);
    vpsde_sink *sink = vpsde_run_sink(run);
    assert_ok(sink->begin(sink->self, &table));
    write_block(sink, FIRST + BLOCK, BLOCK);
    write_block(sink, FIRST + 2 * BLOCK, BLOCK);
    write_block(sink, FIRST + 4 * BLOCK, BLOCK);
    vpsde_run_destroy(run, 0);
    assert_ok(vpsde_run_reopen(&run, path, 0));
    assert_fails(vpsde_run_reopen(&second, path, 0), VPSDE_EEXIST, "is being written by pid");
    assert_string_equal(vpsde_run_verb(run), "sample");
    assert_string_equal(vpsde_run_config(run), "seed: 7\n");
    assert_true(vpsde_run_begun(run));
    sink = vpsde_run_sink(run);
    vpsde_table other = table;
    other.count--;
    assert_fails(sink->begin(sink->self, &other), VPSDE_EDATA, "not the one this run began with");
    assert_ok(sink->begin(sink->self, &table));
    assert_false(sink->has(sink->self, FIRST, BLOCK));
    assert_true(sink->has(sink->self, FIRST + BLOCK, 2 * BLOCK));
    assert_false(sink->has(sink->self, FIRST + BLOCK, 2 * BLOCK + 1));
    assert_false(sink->has(sink->self, FIRST + COUNT - 1, 1));
    size_t rows = 0;
    assert_ok(vpsde_run_each_stored(run, count_stored, &rows));
    assert_int_equal(rows, 3 * BLOCK);
    /* blocks that were cut in another way: rows that are there stay */
    write_block(sink, FIRST, 8);
    for (size_t i = 8; i < COUNT; i += BLOCK) {
        write_block(sink, FIRST + i, COUNT - i < BLOCK ? COUNT - i : BLOCK);
    }
    assert_ok(sink->end(sink->self, NULL, 0));
    assert_fails(sink->begin(sink->self, &table), VPSDE_EDATA, "not the one");
    const int stop = 1;
    vpsde_run_stop_on(run, &stop);
    assert_fails(vpsde_run_finish(run, "complete"), VPSDE_ESTOPPED, "stopped");
    assert_false(exists(path));
    assert_false(exists(at("again.h5.parts/whole.h5")));
    vpsde_run_destroy(run, 0);
    assert_ok(vpsde_run_reopen(&run, path, 0));
    assert_ok(vpsde_run_finish(run, "complete"));
    vpsde_run_destroy(run, 0);
    for (size_t c = 0; c < N_COLUMNS; c++) check_column(path, "/runs/a", c, SIZE_MAX / 2);
    assert_ok(vpsde_run_reopen(&run, path, 0));
    assert_null(run);
    assert_int_equal(mkdir(at("again.h5.parts"), 0700), 0); /* killed while it was removed */
    assert_ok(vpsde_run_reopen(&run, path, 0));
    assert_null(run);
    assert_false(exists(at("again.h5.parts")));
}

static void damaged_starts_are_found(void **state)
{
    (void)state;
    static const struct {
        const char *name, *text, *words;
    } faults[] = {
        {"config.yaml", "seed: 8\n", "config.yaml: is damaged or edited (seed: 7, now 8)"},
        {"config.yaml", "seed: 7", "is damaged or edited (its SHA-256"},
        {"manifest", "format 1\n", "not a manifest"},
        {"manifest", "format 2\nverb sample\nseed 7x\nconfig_sha256 a\n", "manifest"},
        {"manifest", "format 2\nverb sample\ninput a b\nconfig_sha256 a\n", "manifest"}};
    for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++) {
        char name[64];
        vpsde_run *run = start(at("start.h5"), 1);
        vpsde_run_destroy(run, 0);
        snprintf(name, sizeof(name), "start.h5.parts/%s", faults[i].name);
        FILE *file = fopen(at(name), "w");
        assert_non_null(file);
        assert_true(fputs(faults[i].text, file) >= 0);
        assert_int_equal(fclose(file), 0);
        assert_fails(vpsde_run_reopen(&run, at("start.h5"), 0), VPSDE_EIO, faults[i].words);
        run = start(at("start.h5"), 1);
        assert_fails(vpsde_run_input(run, "data", "a\nb", "abc"), VPSDE_EINVAL, "line end");
        vpsde_run_destroy(run, 1);
    }
}

/* Before their kind of failure is agreed on, all ranks seal: what that says counts, unless there is worse. */
static void meetings_seal(void **state)
{
    (void)state;
    static const struct {
        vpsde_status status, met;
        const char *words;
    } cases[] = {{VPSDE_OK, VPSDE_EIO, "cannot be written"},
                 {VPSDE_EPARTIAL, VPSDE_EIO, "cannot be written"},
                 {VPSDE_ESTOPPED, VPSDE_EIO, "cannot be written"},
                 {VPSDE_EDATA, VPSDE_EDATA, "what came first"}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        vpsde_run *run = start(at("meet.h5"), 1);
        double sums[] = {1, 2};
        uint64_t least = 7;
        assert_ok(vpsde_run_meet(run, VPSDE_OK, sums, 2, &least));
        assert_true(sums[0] == 1 && sums[1] == 2 && least == 7);
        assert_int_equal(mkdir(at("meet.h5.parts/part-000000-000000.tmp"), 0700), 0);
        assert_ok(vpsde_run_model_fact(run, &(vpsde_fact){.name = "kind", .text = "mlp"}));
        const vpsde_status status =
            cases[i].status == VPSDE_OK ? VPSDE_OK : vpsde_fail(cases[i].status, "what came first");
        assert_fails(vpsde_run_meet(run, status, sums, 2, &least), cases[i].met, cases[i].words);
        assert_int_equal(rmdir(at("meet.h5.parts/part-000000-000000.tmp")), 0);
        vpsde_run_destroy(run, 1);
        assert_false(exists(at("meet.h5.parts")));
    }
}

static vpsde_status no_record(void *context, const vpsde_record *record, const void *payload,
                              vpsde_place place)
{
    (void)context, (void)record, (void)payload, (void)place;
    return VPSDE_OK;
}

/* What another rank has sealed is not asked of the disk once more. */
static void space_counts_all_ranks(void **state)
{
    (void)state;
    static const char mine[] = "ranks.h5.parts/part-000000-000000",
                      other[] = "ranks.h5.parts/part-000001-000000";
    vpsde_part_list seen = {.n = 0};
    struct stat info;
    vpsde_parts *parts;
    double own, all, available;
    char text[] = "facts";
    const struct iovec piece = {.iov_base = text, .iov_len = sizeof(text)};
    assert_ok(vpsde_parts_create(&parts, at("ranks.h5"), "", "", false));
    assert_ok(vpsde_parts_append(parts, &(vpsde_record){.kind = VPSDE_RECORD_FACTS}, &piece, 1));
    assert_ok(vpsde_parts_seal(parts));
    assert_ok(vpsde_parts_space(&own, &available, parts));
    assert_int_equal(stat(at(mine), &info), 0);
    assert_close(own, (double)info.st_size, 0);
    assert_int_equal(link(at(mine), at(other)), 0);
    assert_ok(vpsde_parts_scan(parts, &seen, no_record, NULL));
    assert_ok(vpsde_parts_space(&all, &available, parts));
    assert_close(all, 2 * own, 0);
    free(seen.part);
    vpsde_parts_remove(parts);
    vpsde_parts_destroy(parts);
}

static void outputs_that_no_file_can_be(void **state)
{
    (void)state;
    vpsde_run *run;
    assert_fails(vpsde_run_create(&run, "", "sample", "", 0, 1), VPSDE_EUSAGE, "not the name");
    assert_fails(vpsde_run_create(&run, at("none/"), "sample", "", 0, 1), VPSDE_EUSAGE, "none/");
    assert_fails(vpsde_run_create(&run, "/dev/null", "sample", "", 0, 1), VPSDE_EEXIST,
                 "not a regular file");
    assert_int_equal(mkfifo(at("fifo.h5"), 0600), 0);
    assert_fails(vpsde_run_create(&run, at("fifo.h5"), "sample", "", 0, 1), VPSDE_EEXIST,
                 "not a regular file");
    assert_false(exists(at("fifo.h5.parts")));
    assert_int_equal(unlink(at("fifo.h5")), 0);
    assert_int_equal(symlink("nowhere", at("link.h5")), 0);
    assert_fails(vpsde_run_create(&run, at("link.h5"), "sample", "", 0, 1), VPSDE_EEXIST, "link");
    assert_int_equal(unlink(at("link.h5")), 0);
}

static void what_does_not_fit_is_refused(void **state)
{
    (void)state;
    vpsde_run *run = start(at("huge.h5"), 0);
    vpsde_sink *sink = vpsde_run_sink(run);
    vpsde_table table = table_at("/runs/a");
    table.count = (size_t)1 << 50;
    assert_fails(sink->begin(sink->self, &table), VPSDE_ECONFIG, "needs 96.8");
    assert_non_null(strstr(vpsde_last_error(), "PB (its parts"));
    assert_non_null(strstr(vpsde_last_error(), "B are free"));
    assert_false(vpsde_run_begun(run));
    assert_fails(vpsde_run_expect(run, 1e18), VPSDE_ECONFIG, "needs 1e+03 PB");
    assert_ok(vpsde_run_expect(run, 1));
    vpsde_run_destroy(run, 1);
}

static void sink_refuses_nonsense(void **state)
{
    (void)state;
    vpsde_run *run = start(at("nonsense.h5"), 0);
    vpsde_sink *sink = vpsde_run_sink(run);
    vpsde_table table = table_at("/runs/A");
    assert_fails(sink->begin(sink->self, &table), VPSDE_EINVAL, "/runs/A");
    table.path = "runs";
    assert_fails(sink->begin(sink->self, &table), VPSDE_EINVAL, "start with /");
    table = table_at("/runs/a");
    table.count = 0;
    assert_fails(sink->begin(sink->self, &table), VPSDE_EINVAL, "0 rows");
    table = table_at("/runs/a");
    table.n_axes = 1;
    assert_fails(sink->begin(sink->self, &table), VPSDE_EINVAL, "axis dim");
    table = table_at("/runs/a");
    vpsde_column wrong = columns[0];
    table.columns = &wrong;
    table.n_columns = 1;
    wrong.width = 5;
    assert_fails(sink->begin(sink->self, &table), VPSDE_EINVAL, "width 5 must be 6");
    wrong = columns[2];
    wrong.name = "time";
    assert_fails(sink->begin(sink->self, &table), VPSDE_EINVAL, "time appears twice");
    wrong = columns[2];
    wrong.units = NULL;
    assert_fails(sink->begin(sink->self, &table), VPSDE_EINVAL, "needs units");
    const void *const data[N_COLUMNS] = {NULL};
    assert_fails(sink->write(sink->self, 0, 1, data), VPSDE_EINTERNAL, "before a table");
    assert_fails(sink->end(sink->self, NULL, 0), VPSDE_EINTERNAL, "no table");
    table = table_at("/runs/a");
    assert_ok(sink->begin(sink->self, &table));
    assert_fails(sink->begin(sink->self, &table), VPSDE_EINTERNAL, "not ended");
    assert_fails(sink->write(sink->self, FIRST + COUNT, 1, data), VPSDE_EINTERNAL, "outside");
    assert_fails(sink->write(sink->self, FIRST - 1, 1, data), VPSDE_EINTERNAL, "outside");
    assert_ok(sink->end(sink->self, NULL, 0));
    assert_fails(sink->begin(sink->self, &table), VPSDE_EINVAL, "announced before");
    const vpsde_fact bad = {.name = "Bad name", .number = 1};
    assert_fails(vpsde_run_model_fact(run, &bad), VPSDE_EINVAL, "Bad name");
    vpsde_run_destroy(run, 1);
}

/* The row axis may carry coordinates, as the time axis of /thermo does. */
static void rows_may_be_times(void **state)
{
    (void)state;
    const char *path = at("thermo.h5");
    const vpsde_column heat = {.name = "heat",
                               .units = "nat",
                               .description = "heat",
                               .type = VPSDE_F64,
                               .dims = "",
                               .width = 1};
    const vpsde_table table = {.path = "/thermo",
                               .row_axis = "time",
                               .count = TIMES,
                               .axes = axes,
                               .n_axes = 1,
                               .columns = &heat,
                               .n_columns = 1};
    vpsde_run *run = start(path, 0);
    vpsde_sink *sink = vpsde_run_sink(run);
    const double values[TIMES] = {0.25, -3, 8};
    const void *const data[] = {values};
    assert_ok(sink->begin(sink->self, &table));
    assert_ok(sink->write(sink->self, 0, TIMES, data));
    assert_ok(sink->end(sink->self, NULL, 0));
    assert_ok(vpsde_run_finish(run, "complete"));
    vpsde_run_destroy(run, 0);
    double *read;
    size_t rank, dims[5];
    assert_ok(vpsde_run_read(&read, &rank, dims, path, "/thermo/heat"));
    assert_memory_equal(read, values, sizeof(values));
    free(read);
    check_text(path, "/thermo/heat", "coordinates", "t");
}

static void long_configuration_fits(void **state)
{
    (void)state;
    enum { LENGTH = 70 * 1024 };
    const char *path = at("long.h5");
    char *config = malloc(LENGTH + 1);
    assert_non_null(config);
    for (size_t i = 0; i < LENGTH; i++) config[i] = i % 61 == 60 ? '\n' : (char)('a' + i % 26);
    config[LENGTH] = '\0';
    vpsde_run *run;
    assert_ok(vpsde_run_create(&run, path, "sample", config, UINT64_MAX, 0));
    assert_ok(vpsde_run_finish(run, "complete"));
    vpsde_run_destroy(run, 0);
    check_text(path, "/", "config", config);
    free(config);
}

static void damaged_part_is_found(void **state)
{
    (void)state;
    vpsde_run *run = start(at("damaged.h5"), 0);
    write_table(vpsde_run_sink(run), "/runs/a", 3, SIZE_MAX);
    const int fd = open(at("damaged.h5.parts/part-000000-000000"), O_WRONLY);
    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, "?", 1, 200), 1);
    close(fd);
    assert_fails(vpsde_run_finish(run, "complete"), VPSDE_EIO, "part-000000-000000: is damaged");
    vpsde_run_destroy(run, 1);
}

/* Whether the announcement was in it, or rows: they are computed again. */
static void damaged_parts_are_computed_again(void **state)
{
    (void)state;
    const char *path = at("mended.h5"), *kept = at("mended.h5.parts/part-000000-000000.damaged");
    const vpsde_table table = table_at("/runs/a");
    for (size_t part = 0; part < 2; part++) {
        char name[64];
        vpsde_run *run = start(path, 1);
        vpsde_sink *sink = vpsde_run_sink(run);
        assert_ok(sink->begin(sink->self, &table));
        write_block(sink, FIRST, BLOCK);
        vpsde_run_destroy(run, 0);
        snprintf(name, sizeof(name), "mended.h5.parts/part-000000-00000%zu", part);
        const int fd = open(at(name), O_WRONLY);
        assert_true(fd >= 0);
        assert_int_equal(pwrite(fd, "?", 1, 200), 1);
        close(fd);
        assert_ok(vpsde_run_reopen(&run, path, 0));
        assert_int_equal(exists(kept), part == 0);
        sink = vpsde_run_sink(run);
        assert_ok(sink->begin(sink->self, &table));
        assert_false(sink->has(sink->self, FIRST, BLOCK));
        for (size_t i = 0; i < COUNT; i += BLOCK) {
            write_block(sink, FIRST + i, COUNT - i < BLOCK ? COUNT - i : BLOCK);
        }
        assert_ok(sink->end(sink->self, NULL, 0));
        assert_ok(vpsde_run_finish(run, "complete"));
        vpsde_run_destroy(run, 0);
        for (size_t c = 0; c < N_COLUMNS; c++) check_column(path, "/runs/a", c, SIZE_MAX / 2);
        assert_false(exists(at("mended.h5.parts")));
    }
    assert_int_equal(unlink(path), 0);
}

static void end_with(vpsde_run *run, size_t first, size_t n)
{
    const vpsde_table table = table_at("/runs/a");
    vpsde_sink *sink = vpsde_run_sink(run);
    assert_ok(sink->begin(sink->self, &table));
    for (size_t i = first; i < first + n; i += BLOCK) {
        write_block(sink, FIRST + i, first + n - i < BLOCK ? first + n - i : BLOCK);
    }
    assert_ok(sink->end(sink->self, NULL, 0));
}

/* Parts that come after a gap are not written over. */
static void lost_part_is_computed_again(void **state)
{
    (void)state;
    const char *path = at("lost.h5");
    vpsde_run *run = start(path, 0);
    end_with(run, 0, BLOCK);
    vpsde_run_destroy(run, 0);
    assert_ok(vpsde_run_reopen(&run, path, 0));
    end_with(run, BLOCK, COUNT - BLOCK);
    vpsde_run_destroy(run, 0);
    assert_int_equal(unlink(at("lost.h5.parts/part-000000-000001")), 0);
    assert_ok(vpsde_run_reopen(&run, path, 0));
    end_with(run, 0, BLOCK);
    write_table(vpsde_run_sink(run), "/runs/b", 3, SIZE_MAX);
    assert_ok(vpsde_run_finish(run, "complete"));
    vpsde_run_destroy(run, 0);
    for (size_t c = 0; c < N_COLUMNS; c++) check_column(path, "/runs/a", c, SIZE_MAX / 2);
    assert_int_equal(unlink(path), 0);
}

/* Nothing waits for somebody to write into a pipe, and a folder is set aside. */
static void pipes_and_folders_are_no_parts(void **state)
{
    (void)state;
    const char *path = at("pipe.h5"), *part = at("pipe.h5.parts/part-000000-000001");
    for (int is_folder = 0; is_folder < 2; is_folder++) {
        vpsde_run *run = start(path, 0);
        end_with(run, 0, BLOCK);
        vpsde_run_destroy(run, 0);
        assert_int_equal(unlink(part), 0);
        assert_int_equal(is_folder ? mkdir(part, 0700) : mkfifo(part, 0600), 0);
        alarm(60);
        assert_ok(vpsde_run_reopen(&run, path, 0));
        alarm(0);
        assert_true(exists(at("pipe.h5.parts/part-000000-000001.damaged")));
        end_with(run, 0, COUNT);
        assert_ok(vpsde_run_finish(run, "complete"));
        vpsde_run_destroy(run, 0);
        for (size_t c = 0; c < N_COLUMNS; c++) check_column(path, "/runs/a", c, SIZE_MAX / 2);
        assert_int_equal(unlink(path), 0);
        assert_false(exists(at("pipe.h5.parts")));
    }
}

/* In a child whose files may not pass `limit` bytes: runs until storage fails and returns normally,
 * so that HDF5's exit code runs too. */
static void fill_the_disk(rlim_t limit, bool seal_first)
{
    const struct rlimit small = {limit, limit};
    static float x[4096 * 64];
    const vpsde_axis dim = {.name = "dim", .length = 64, .description = "dimension"};
    const vpsde_column column = {.name = "x",
                                 .units = "1",
                                 .description = "states",
                                 .type = VPSDE_F32,
                                 .dims = "dim",
                                 .width = 64};
    const vpsde_table table = {.path = "/runs/a",
                               .count = 4096 * 20,
                               .axes = &dim,
                               .n_axes = 1,
                               .columns = &column,
                               .n_columns = 1};
    vpsde_run *run = start(at("full.h5"), 0);
    vpsde_sink *sink = vpsde_run_sink(run);
    const void *const data[] = {x};
    vpsde_status status = VPSDE_OK;
    assert_ok(sink->begin(sink->self, &table));
    signal(SIGXFSZ, SIG_IGN);
    if (!seal_first) assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    for (size_t i = 0; i < 20 && status == VPSDE_OK; i++) {
        status = sink->write(sink->self, i * 4096, 4096, data);
    }
    if (seal_first) {
        assert_ok(status);
        assert_ok(sink->end(sink->self, NULL, 0));
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    }
    /* a part is sealed behind the caller: its failure comes with a later call */
    if (status == VPSDE_OK) status = vpsde_run_finish(run, "complete");
    assert_fails(status, VPSDE_EIO, "File too large");
    assert_non_null(strstr(vpsde_last_error(), "full.h5"));
    if (!seal_first) {
        assert_fails(sink->write(sink->self, 0, 1, data), VPSDE_EIO, "earlier part");
    }
    vpsde_run_destroy(run, 0);
}

static void full_disk(rlim_t limit, bool seal_first)
{
    int outcome;
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        fill_the_disk(limit, seal_first);
        exit(0);
    }
    assert_int_equal(waitpid(child, &outcome, 0), child);
    assert_true(WIFEXITED(outcome));
    assert_int_equal(WEXITSTATUS(outcome), 0);
    assert_true(exists(at("full.h5.parts/part-000000-000000")));
    assert_false(exists(at("full.h5.parts/part-000000-000000.tmp")));
    assert_false(exists(at("full.h5.parts/part-000000-000001.tmp")));
    assert_false(exists(at("full.h5.parts/whole.h5")));
    assert_false(exists(at("full.h5")));
    vpsde_run *run = start(at("full.h5"), 1);
    vpsde_run_destroy(run, 1);
}

static void full_disk_keeps_what_is_sealed(void **state)
{
    (void)state;
    full_disk(4 << 20, false);
    full_disk(4 << 20, true);
}

static void array_sink_keeps_one_column(void **state)
{
    (void)state;
    vpsde_array_sink array;
    double final[COUNT * DIM];
    vpsde_array_sink_init(&array, "final", final, sizeof(final));
    write_table(&array.sink, "/runs/a", 3, SIZE_MAX);
    for (size_t e = 0; e < COUNT * DIM; e++) {
        assert_close(final[e], value(FIRST + e / DIM, 1, e % DIM), 0);
    }
    const vpsde_table table = table_at("/runs/a");
    const void *const data[N_COLUMNS] = {NULL};
    assert_fails(array.sink.write(&array, FIRST + COUNT, 1, data), VPSDE_EINVAL, "outside");
    vpsde_array_sink_init(&array, "final", final, sizeof(final) - 8);
    assert_fails(array.sink.begin(&array, &table), VPSDE_EINVAL, "bytes");
    vpsde_array_sink_init(&array, "logp", final, sizeof(final));
    assert_fails(array.sink.begin(&array, &table), VPSDE_EINVAL, "no column logp");
    assert_int_equal(vpsde_dtype_size(VPSDE_F32), 4);
    assert_int_equal(vpsde_dtype_size((vpsde_dtype)99), 0);
}

static int make_folder(void **state)
{
    (void)state;
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
    (void)state;
    DIR *list = opendir(folder);
    if (!list) return -1;
    for (const struct dirent *entry; (entry = readdir(list));)
        unlinkat(dirfd(list), entry->d_name, 0);
    closedir(list);
    return rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_order_reads_back_exactly),
        cmocka_unit_test(texts_read_back),
        cmocka_unit_test(existing_output_needs_force),
        cmocka_unit_test(living_writer_keeps_its_lock),
        cmocka_unit_test(folder_that_cannot_be_written),
        cmocka_unit_test(rows_must_be_there_once),
        cmocka_unit_test(a_run_is_taken_up),
        cmocka_unit_test(damaged_starts_are_found),
        cmocka_unit_test(meetings_seal),
        cmocka_unit_test(space_counts_all_ranks),
        cmocka_unit_test(outputs_that_no_file_can_be),
        cmocka_unit_test(what_does_not_fit_is_refused),
        cmocka_unit_test(sink_refuses_nonsense),
        cmocka_unit_test(rows_may_be_times),
        cmocka_unit_test(long_configuration_fits),
        cmocka_unit_test(damaged_part_is_found),
        cmocka_unit_test(damaged_parts_are_computed_again),
        cmocka_unit_test(lost_part_is_computed_again),
        cmocka_unit_test(pipes_and_folders_are_no_parts),
        cmocka_unit_test(full_disk_keeps_what_is_sealed),
        cmocka_unit_test(array_sink_keeps_one_column),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
