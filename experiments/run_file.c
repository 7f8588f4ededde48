#include <vpsde/run.h>

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/h5.h"
#include "core/h5_read.h"
#include "core/mem.h"
#include "core/sha256.h"
#include "core/sink.h"
#include "experiments/run_folder.h"
#include "experiments/run_index.h"

struct vpsde_run {
    vpsde_sink sink;
    vpsde_parts *parts;
    char *path, *verb, *config;
    uint64_t seed;
    char **names; /* "/group/dataset" of all announced tables */
    size_t n_names;
    uint32_t n_tables;
    /* the table that is being written; path NULL: none */
    struct {
        char *path;
        size_t first, count, n_columns;
        size_t *row_bytes;
        struct iovec *pieces;
    } now;
};

static vpsde_status append_facts(vpsde_run *run, const char *group, const vpsde_fact *facts,
                                 size_t n)
{
    struct iovec piece;
    VPSDE_TRY(vpsde_facts_encode(&piece.iov_base, &piece.iov_len, group, facts, n));
    const vpsde_status status =
        vpsde_parts_append(run->parts, &(vpsde_record){.kind = VPSDE_RECORD_FACTS}, &piece, 1);
    free(piece.iov_base);
    return status;
}

static void forget_table(vpsde_run *run)
{
    free(run->now.path);
    free(run->now.row_bytes);
    free(run->now.pieces);
    memset(&run->now, 0, sizeof(run->now));
}

/* A group may hold several tables as long as their columns and axes differ. */
static vpsde_status claim_name(vpsde_run *run, const char *group, const char *name)
{
    char *path;
    VPSDE_TRY(vpsde_format(&path, "%s/%s", group, name));
    for (size_t i = 0; i < run->n_names; i++) {
        if (strcmp(run->names[i], path) == 0) {
            free(path);
            return vpsde_fail(VPSDE_EINVAL, "%s: %s/%s was announced before; labels must differ",
                              run->path, group, name);
        }
    }
    char **longer = reallocarray(run->names, run->n_names + 1, sizeof(*longer));
    if (!longer) {
        free(path);
        return vpsde_fail(VPSDE_ENOMEM, "cannot allocate %zu names", run->n_names + 1);
    }
    run->names = longer;
    run->names[run->n_names++] = path;
    return VPSDE_OK;
}

static vpsde_status claim_names(vpsde_run *run, const vpsde_table *table)
{
    const char *row = table->row_axis ? table->row_axis : "sample";
    VPSDE_TRY(claim_name(run, table->path, row));
    for (size_t a = 0; a < table->n_axes; a++) {
        const vpsde_axis *axis = &table->axes[a];
        if (strcmp(axis->name, row) != 0) VPSDE_TRY(claim_name(run, table->path, axis->name));
        for (size_t i = 0; i < axis->n_coordinates; i++) {
            VPSDE_TRY(claim_name(run, table->path, axis->coordinates[i].name));
        }
    }
    for (size_t c = 0; c < table->n_columns; c++) {
        VPSDE_TRY(claim_name(run, table->path, table->columns[c].name));
    }
    return VPSDE_OK;
}

static vpsde_status remember_table(vpsde_run *run, const vpsde_table *table)
{
    VPSDE_TRY(claim_names(run, table));
    VPSDE_TRY(vpsde_strdup(&run->now.path, table->path));
    VPSDE_TRY(vpsde_alloc(&run->now.row_bytes, table->n_columns, sizeof(size_t)));
    VPSDE_TRY(vpsde_alloc(&run->now.pieces, table->n_columns, sizeof(struct iovec)));
    run->now.first = table->first;
    run->now.count = table->count;
    run->now.n_columns = table->n_columns;
    for (size_t c = 0; c < table->n_columns; c++) {
        run->now.row_bytes[c] = table->columns[c].width * vpsde_dtype_size(table->columns[c].type);
    }
    return VPSDE_OK;
}

/* The names as they will be stored ('-' made '_') come from the encoded copy. */
static vpsde_status run_begin(void *self, const vpsde_table *table)
{
    vpsde_run *run = self;
    struct iovec piece;
    vpsde_stored stored;
    if (run->now.path) {
        return vpsde_fail(VPSDE_EINTERNAL, "table %s: %s has not ended yet", table->path,
                          run->now.path);
    }
    VPSDE_TRY(vpsde_table_check(table));
    VPSDE_TRY(vpsde_table_encode(&piece.iov_base, &piece.iov_len, table));
    vpsde_status status = vpsde_table_decode(&stored, piece.iov_base, piece.iov_len);
    if (status == VPSDE_OK) status = remember_table(run, &stored.table);
    if (status == VPSDE_OK) {
        status =
            vpsde_parts_append(run->parts, &(vpsde_record){.kind = VPSDE_RECORD_TABLE}, &piece, 1);
    }
    if (status == VPSDE_OK) status = vpsde_parts_seal(run->parts);
    vpsde_stored_free(&stored);
    free(piece.iov_base);
    if (status != VPSDE_OK) {
        forget_table(run);
        return status;
    }
    run->n_tables++;
    return VPSDE_OK;
}

static vpsde_status run_rows(void *self, size_t first, size_t n, const void *const *data)
{
    vpsde_run *run = self;
    if (!run->now.path) return vpsde_fail(VPSDE_EINTERNAL, "rows before a table was announced");
    if (first < run->now.first || n > run->now.count ||
        first - run->now.first > run->now.count - n) {
        return vpsde_fail(VPSDE_EINTERNAL, "table %s: rows %zu to %zu are outside %zu to %zu",
                          run->now.path, first, first + n, run->now.first,
                          run->now.first + run->now.count);
    }
    if (n == 0) return VPSDE_OK;
    for (size_t c = 0; c < run->now.n_columns; c++) {
        memcpy(&run->now.pieces[c].iov_base, &data[c], sizeof(void *));
        run->now.pieces[c].iov_len = n * run->now.row_bytes[c];
    }
    const vpsde_record record = {
        .kind = VPSDE_RECORD_ROWS, .table = run->n_tables - 1, .first = first, .n = n};
    return vpsde_parts_append(run->parts, &record, run->now.pieces, run->now.n_columns);
}

/* "/runs/ddim" -> "/provenance/runs_ddim" */
static vpsde_status run_end(void *self, const vpsde_fact *provenance, size_t n_facts)
{
    vpsde_run *run = self;
    char *group;
    if (!run->now.path) return vpsde_fail(VPSDE_EINTERNAL, "no table to end");
    VPSDE_TRY(vpsde_format(&group, "/provenance/%s", run->now.path + 1));
    for (char *c = group + strlen("/provenance/"); *c; c++) {
        if (*c == '/') *c = '_';
    }
    const vpsde_status status = append_facts(run, group, provenance, n_facts);
    free(group);
    forget_table(run);
    return status;
}

static vpsde_status open_parts(vpsde_run *run, int force)
{
    char hex[65], *manifest;
    vpsde_sha256(hex, run->config, strlen(run->config));
    VPSDE_TRY(vpsde_format(&manifest, "format 1\nverb %s\nseed %llu\nconfig_sha256 %s\n", run->verb,
                           (unsigned long long)run->seed, hex));
    const vpsde_status status =
        vpsde_parts_create(&run->parts, run->path, run->config, manifest, force != 0);
    free(manifest);
    return status;
}

vpsde_status vpsde_run_create(vpsde_run **out, const char *path, const char *verb,
                              const char *config, uint64_t seed, int force)
{
    *out = NULL;
    vpsde_run *run;
    VPSDE_TRY(vpsde_alloc(&run, 1, sizeof(*run)));
    run->sink = (vpsde_sink){.self = run, .begin = run_begin, .write = run_rows, .end = run_end};
    run->seed = seed;
    vpsde_status status = vpsde_strdup(&run->path, path);
    if (status == VPSDE_OK) status = vpsde_strdup(&run->verb, verb);
    if (status == VPSDE_OK) status = vpsde_strdup(&run->config, config);
    if (status == VPSDE_OK) status = open_parts(run, force);
    if (status != VPSDE_OK) {
        vpsde_run_destroy(run, 0);
        return status;
    }
    *out = run;
    return VPSDE_OK;
}

vpsde_sink *vpsde_run_sink(vpsde_run *run) { return &run->sink; }

vpsde_status vpsde_run_model_fact(vpsde_run *run, const vpsde_fact *fact)
{
    return append_facts(run, "/model", fact, 1);
}

vpsde_status vpsde_run_provenance(vpsde_run *run, const vpsde_fact *fact)
{
    return append_facts(run, "/provenance", fact, 1);
}

vpsde_status vpsde_run_input(vpsde_run *run, const char *name, const char *path, const char *sha256)
{
    char *sum_name;
    VPSDE_TRY(vpsde_format(&sum_name, "%s_sha256", name));
    const vpsde_fact facts[] = {{.name = name, .text = path}, {.name = sum_name, .text = sha256}};
    vpsde_status status = append_facts(run, "/inputs", facts, 2);
    if (status == VPSDE_OK) status = vpsde_parts_seal(run->parts);
    free(sum_name);
    return status;
}

static vpsde_status write_file(vpsde_run *run, const char *fresh, const char *status_text)
{
    vpsde_run_index *index;
    const bool all = strcmp(status_text, "complete") == 0;
    const vpsde_run_head head = {
        .verb = run->verb, .status = status_text, .config = run->config, .seed = run->seed};
    VPSDE_TRY(vpsde_run_index_create(&index, run->parts));
    vpsde_status status = vpsde_run_index_check(index, all);
    if (status == VPSDE_OK) status = vpsde_run_index_write(index, fresh, &head);
    vpsde_run_index_destroy(index);
    return status;
}

vpsde_status vpsde_run_finish(vpsde_run *run, const char *status_text)
{
    char *fresh;
    const bool complete = strcmp(status_text, "complete") == 0;
    if (!complete && strcmp(status_text, "interrupted") != 0) {
        return vpsde_fail(VPSDE_EINVAL, "status must be complete or interrupted, got %s",
                          status_text);
    }
    VPSDE_TRY(vpsde_format(&fresh, "%s.tmp", run->path));
    vpsde_status status = write_file(run, fresh, status_text);
    if (status == VPSDE_OK) status = vpsde_publish(fresh, run->path);
    if (status == VPSDE_OK && complete) vpsde_parts_remove(run->parts);
    if (status != VPSDE_OK) (void)unlink(fresh);
    free(fresh);
    return status;
}

void vpsde_run_destroy(vpsde_run *run, int discard)
{
    if (!run) return;
    if (run->parts && discard) {
        vpsde_parts_remove(run->parts);
    } else if (run->parts) {
        (void)vpsde_parts_seal(run->parts);
    }
    vpsde_parts_destroy(run->parts);
    forget_table(run);
    for (size_t i = 0; i < run->n_names; i++) free(run->names[i]);
    free(run->names);
    free(run->path);
    free(run->verb);
    free(run->config);
    free(run);
}

vpsde_status vpsde_run_read(double **values, size_t *rank, size_t dims[5], const char *path,
                            const char *dataset)
{
    vpsde_h5_input input;
    double *read = NULL;
    *values = NULL;
    vpsde_status status = vpsde_h5_input_open(&input, path, dataset);
    if (status == VPSDE_OK) status = vpsde_alloc(&read, input.count, sizeof(double));
    if (status == VPSDE_OK) status = vpsde_h5_input_read_double(&input, read);
    if (status == VPSDE_OK) {
        *rank = input.rank;
        memcpy(dims, input.dims, input.rank * sizeof(*dims));
        *values = read;
        read = NULL;
    }
    free(read);
    vpsde_h5_input_close(&input);
    return status;
}

vpsde_status vpsde_run_read_text(char **text, const char *path, const char *group,
                                 const char *attribute)
{
    return vpsde_h5_read_text(text, path, group, attribute);
}
