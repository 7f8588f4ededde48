#include <gnu/libc-version.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "core/ceiling.h"
#include "core/h5.h"
#include "core/mem.h"
#include "core/parallel.h"
#include "core/sink.h"
#include "experiments/run_index.h"
#include "experiments/run_wide.h"

typedef struct output {
    const vpsde_run_index *index;
    vpsde_h5 *file;
    vpsde_wide *wide; /* the file is rows.h5; or NULL */
    const volatile int *stop;
} output;

static const char *row_name(const vpsde_table *table)
{
    return table->row_axis ? table->row_axis : "sample";
}

static bool is_row_axis(const vpsde_table *table, const vpsde_axis *axis)
{
    return strcmp(axis->name, row_name(table)) == 0;
}

/* A group's path, or the root's. */
static vpsde_status object_path(char **out, const char *group, const char *name)
{
    return vpsde_format(out, "%s/%s", group, name);
}

/* Rows with no record read as NaN, -1 or 255, as HDF5's own fill would. */
static void fill_missing(void *rows, size_t n, vpsde_dtype type)
{
    if (type == VPSDE_F64) {
        for (size_t e = 0; e < n; e++) ((double *)rows)[e] = (double)NAN;
    } else if (type == VPSDE_F32) {
        for (size_t e = 0; e < n; e++) ((float *)rows)[e] = NAN;
    } else {
        memset(rows, 0xff, n * vpsde_dtype_size(type));
    }
}

static vpsde_status write_index_scale(const output *o, const vpsde_h5_dataset *spec, size_t first)
{
    const size_t chunk = vpsde_h5_chunk_rows(spec), count = spec->dims[0];
    const bool wide = spec->type == VPSDE_I64;
    void *buffer;
    VPSDE_TRY(vpsde_h5_dataset_create(o->file, spec));
    VPSDE_TRY(vpsde_alloc(&buffer, chunk, vpsde_dtype_size(spec->type)));
    vpsde_status status = VPSDE_OK;
    for (size_t at = 0; at < count && status == VPSDE_OK; at += chunk) {
        const size_t n = count - at < chunk ? count - at : chunk;
        for (size_t i = 0; i < n; i++) {
            if (wide)
                ((int64_t *)buffer)[i] = (int64_t)(first + at + i);
            else
                ((int32_t *)buffer)[i] = (int32_t)(first + at + i);
        }
        status = vpsde_h5_rows(o->file, spec->path, at, n, buffer);
    }
    free(buffer);
    return status;
}

static vpsde_status write_scale(const output *o, const vpsde_table *table, const char *name,
                                const char *description, size_t first, size_t count,
                                vpsde_dtype type)
{
    char *path;
    VPSDE_TRY(object_path(&path, table->path, name));
    const vpsde_h5_dataset spec = {.path = path,
                                   .units = "1",
                                   .description = description,
                                   .type = type,
                                   .rank = 1,
                                   .dims = {count}};
    const vpsde_status status = write_index_scale(o, &spec, first);
    free(path);
    return status;
}

static vpsde_status write_coordinate(const output *o, const vpsde_table *table,
                                     const vpsde_axis *axis, const struct vpsde_coordinate *c)
{
    char *path = NULL, *scale = NULL;
    vpsde_status status = object_path(&path, table->path, c->name);
    if (status == VPSDE_OK) status = object_path(&scale, table->path, axis->name);
    if (status == VPSDE_OK) {
        const vpsde_h5_dataset spec = {.path = path,
                                       .units = c->units,
                                       .description = c->description,
                                       .type = VPSDE_F64,
                                       .rank = 1,
                                       .dims = {axis->length},
                                       .scales = {scale}};
        status = vpsde_h5_dataset_create(o->file, &spec);
        if (status == VPSDE_OK) status = vpsde_h5_rows(o->file, path, 0, axis->length, c->values);
    }
    free(scale);
    free(path);
    return status;
}

static vpsde_status write_axes(const output *o, const vpsde_table *table)
{
    const char *row_description = "global index of the row";
    for (size_t a = 0; a < table->n_axes; a++) {
        if (is_row_axis(table, &table->axes[a])) row_description = table->axes[a].description;
    }
    VPSDE_TRY(write_scale(o, table, row_name(table), row_description, table->first, table->count,
                          VPSDE_I64));
    for (size_t a = 0; a < table->n_axes; a++) {
        const vpsde_axis *axis = &table->axes[a];
        if (!is_row_axis(table, axis)) {
            VPSDE_TRY(
                write_scale(o, table, axis->name, axis->description, 0, axis->length, VPSDE_I32));
        }
        for (size_t i = 0; i < axis->n_coordinates; i++) {
            VPSDE_TRY(write_coordinate(o, table, axis, &axis->coordinates[i]));
        }
    }
    return VPSDE_OK;
}

/* Copies what the records hold of rows first .. first + n - 1, with missing rows filled; *rows moves
 * on to the record that continues after them. *any: is there one? */
static vpsde_status gather(bool *any, const output *o, const vpsde_column *column,
                           const vpsde_row_bytes *c, const vpsde_rows **rows, const vpsde_rows *end,
                           uint64_t first, uint64_t n, char *out)
{
    *any = *rows < end && (*rows)->first < first + n;
    if (*any) fill_missing(out, n * column->width, column->type);
    for (; *rows < end && (*rows)->first < first + n; (*rows)++) {
        const vpsde_rows *r = *rows;
        const uint64_t from = r->first > first ? r->first : first;
        const uint64_t until = r->first + r->n < first + n ? r->first + r->n : first + n;
        VPSDE_TRY(vpsde_rows_read(r, o->index->parts, c, from - r->first, until - from,
                                  out + (from - first) * c->row_bytes));
        if (r->first + r->n > first + n) break;
    }
    return VPSDE_OK;
}

/* Chunk after chunk in the order of samples, so that each chunk is written once; one without any row
 * takes no space. */
static vpsde_status write_rows(const output *o, size_t number, const vpsde_table *table,
                               const vpsde_row_bytes *c, const vpsde_h5_dataset *spec)
{
    size_t n_rows;
    const vpsde_rows *rows = vpsde_run_index_rows(o->index, number, &n_rows);
    const vpsde_rows *end = rows + n_rows;
    const size_t chunk = vpsde_h5_chunk_rows(spec);
    char *buffer;
    VPSDE_TRY(vpsde_alloc(&buffer, chunk, c->row_bytes));
    vpsde_status status = VPSDE_OK;
    for (size_t at = 0; at < table->count && status == VPSDE_OK; at += chunk) {
        const size_t n = table->count - at < chunk ? table->count - at : chunk;
        bool any;
        status = vpsde_check_stop(o->stop);
        if (status == VPSDE_OK) {
            status = gather(&any, o, &table->columns[c->column], c, &rows, end, table->first + at,
                            n, buffer);
        }
        if (status == VPSDE_OK && any) status = vpsde_h5_rows(o->file, spec->path, at, n, buffer);
    }
    free(buffer);
    return status;
}

/* Names of the coordinates along the column's axes, blank-separated, into fresh memory. */
static vpsde_status coordinate_names(char **out, const vpsde_table *table,
                                     const vpsde_axis *const *axes, size_t n_axes)
{
    VPSDE_TRY(vpsde_strdup(out, ""));
    for (size_t a = 0; a < table->n_axes; a++) {
        const vpsde_axis *axis = &table->axes[a];
        bool used = is_row_axis(table, axis);
        for (size_t i = 0; i < n_axes; i++) used = used || axes[i] == axis;
        for (size_t i = 0; used && i < axis->n_coordinates; i++) {
            VPSDE_TRY(vpsde_append(out, "%s%s", **out ? " " : "", axis->coordinates[i].name));
        }
    }
    return VPSDE_OK;
}

/* A dataset with its rows, of which rows.h5 may have all. */
static vpsde_status write_dataset(const output *o, size_t number, const vpsde_stored *stored,
                                  const vpsde_row_bytes *c, const vpsde_h5_dataset *spec)
{
    const vpsde_h5_room *room = o->wide ? vpsde_wide_room(o->wide, stored->id, c->column) : NULL;
    if (room) return vpsde_h5_adopt(o->file, spec, room);
    VPSDE_TRY(vpsde_h5_dataset_create(o->file, spec));
    return write_rows(o, number, &stored->table, c, spec);
}

static vpsde_status write_column(const output *o, size_t number, const vpsde_stored *stored,
                                 const vpsde_row_bytes *c)
{
    const vpsde_table *table = &stored->table;
    const vpsde_column *column = &table->columns[c->column];
    const vpsde_axis *axes[VPSDE_H5_RANK - 1];
    size_t n_axes;
    char *path = NULL, *coordinates = NULL, *scales[VPSDE_H5_RANK] = {NULL};
    VPSDE_TRY(vpsde_column_axes(table, column, axes, VPSDE_H5_RANK - 1, &n_axes));
    vpsde_h5_dataset spec = {.units = column->units,
                             .description = column->description,
                             .type = column->type,
                             .rank = n_axes + 1,
                             .dims = {table->count},
                             .flag_meanings = column->flag_meanings};
    vpsde_status status = object_path(&path, table->path, column->name);
    if (status == VPSDE_OK) status = coordinate_names(&coordinates, table, axes, n_axes);
    if (status == VPSDE_OK) status = object_path(&scales[0], table->path, row_name(table));
    for (size_t a = 0; a < n_axes && status == VPSDE_OK; a++) {
        spec.dims[a + 1] = axes[a]->length;
        status = object_path(&scales[a + 1], table->path, axes[a]->name);
    }
    for (size_t a = 0; a < spec.rank; a++) spec.scales[a] = scales[a];
    spec.path = path;
    spec.coordinates = coordinates;
    if (status == VPSDE_OK) status = write_dataset(o, number, stored, c, &spec);
    for (size_t a = 0; a < VPSDE_H5_RANK; a++) free(scales[a]);
    free(coordinates);
    free(path);
    return status;
}

static vpsde_status write_facts(const output *o, const vpsde_table *stored)
{
    VPSDE_TRY(vpsde_h5_group(o->file, stored->path));
    for (size_t i = 0; i < stored->n_facts; i++) {
        const vpsde_fact *fact = &stored->facts[i];
        VPSDE_TRY(fact->text ? vpsde_h5_text(o->file, stored->path, fact->name, fact->text)
                  : fact->whole
                      ? vpsde_h5_int(o->file, stored->path, fact->name, (int64_t)fact->number)
                      : vpsde_h5_number(o->file, stored->path, fact->name, fact->number));
    }
    return VPSDE_OK;
}

static vpsde_status write_table(const output *o, size_t number, const vpsde_stored *stored)
{
    const vpsde_table *table = &stored->table;
    VPSDE_TRY(write_facts(o, table));
    if (stored->present < table->count) {
        VPSDE_TRY(vpsde_h5_int(o->file, table->path, "missing_rows",
                               (int64_t)(table->count - stored->present)));
    }
    VPSDE_TRY(write_axes(o, table));
    size_t before = 0;
    for (size_t c = 0; c < table->n_columns; c++) {
        const size_t row_bytes = vpsde_column_bytes(&table->columns[c]);
        const vpsde_row_bytes place = {.column = c, .row_bytes = row_bytes, .before = before};
        VPSDE_TRY(write_column(o, number, stored, &place));
        before += row_bytes;
    }
    return VPSDE_OK;
}

static vpsde_status write_root(const output *o, const vpsde_run_head *head)
{
    VPSDE_TRY(vpsde_h5_text(o->file, "/", "Conventions", "vpsde/1"));
    VPSDE_TRY(vpsde_h5_text(o->file, "/", "schema", "vpsde/1"));
    VPSDE_TRY(vpsde_h5_text(o->file, "/", "verb", head->manifest->verb));
    VPSDE_TRY(vpsde_h5_text(o->file, "/", "status", head->status));
    VPSDE_TRY(vpsde_h5_uint(o->file, "/", "seed", head->manifest->seed));
    VPSDE_TRY(vpsde_h5_text(o->file, "/", "config", head->config));
    VPSDE_TRY(vpsde_h5_text(o->file, "/", "dimension_order",
                            "Dimensions are listed in C order, as h5py, xarray and ncdump show "
                            "them; R, Octave, MATLAB and Julia show them reversed: (sample, time, "
                            "dim) is (dim, time, sample) there."));
    if (strcmp(head->status, "complete") == 0) return VPSDE_OK;
    return vpsde_h5_text(o->file, "/", "missing",
                         "The run was stopped: rows that were not computed hold NaN, or -1 (255 in "
                         "unsigned bytes); missing_rows of a group counts them.");
}

static vpsde_status write_provenance(const output *o)
{
    static const char group[] = "/provenance";
    char cpu[256], host[128] = "", created[32];
    const time_t now = time(NULL);
    struct tm utc;
    vpsde_ceiling_cpu(cpu, sizeof(cpu));
    (void)gethostname(host, sizeof(host) - 1);
    if (!gmtime_r(&now, &utc) ||
        strftime(created, sizeof(created), "%Y-%m-%dT%H:%M:%SZ", &utc) == 0) {
        created[0] = '\0';
    }
    VPSDE_TRY(vpsde_h5_group(o->file, group));
    VPSDE_TRY(vpsde_h5_text(o->file, group, "version", vpsde_version()));
    VPSDE_TRY(vpsde_h5_text(o->file, group, "created", created));
    VPSDE_TRY(vpsde_h5_text(o->file, group, "host", host));
    VPSDE_TRY(vpsde_h5_text(o->file, group, "cpu", cpu));
    VPSDE_TRY(vpsde_h5_text(o->file, group, "libc", gnu_get_libc_version())); /* of exp and log */
    return vpsde_h5_text(o->file, group, "hdf5", vpsde_h5_version());
}

static vpsde_status write_inputs(const output *o, const vpsde_manifest *manifest)
{
    VPSDE_TRY(vpsde_h5_group(o->file, "/inputs"));
    for (size_t i = 0; i < manifest->n_inputs; i++) {
        const vpsde_manifest_input *input = &manifest->inputs[i];
        char *sum_name;
        VPSDE_TRY(vpsde_h5_text(o->file, "/inputs", input->name, input->path));
        VPSDE_TRY(vpsde_format(&sum_name, "%s_sha256", input->name));
        const vpsde_status status = vpsde_h5_text(o->file, "/inputs", sum_name, input->sha256);
        free(sum_name);
        VPSDE_TRY(status);
    }
    return VPSDE_OK;
}

static vpsde_status write_all(const output *o, const vpsde_run_head *head)
{
    VPSDE_TRY(write_root(o, head));
    VPSDE_TRY(write_provenance(o));
    VPSDE_TRY(vpsde_h5_group(o->file, "/model"));
    VPSDE_TRY(write_inputs(o, head->manifest));
    size_t number = 0;
    for (size_t i = 0; i < o->index->n_stored; i++) {
        const vpsde_stored *stored = &o->index->stored[i];
        VPSDE_TRY(vpsde_stored_is_table(stored) ? write_table(o, number++, stored)
                                                : write_facts(o, &stored->table));
    }
    return VPSDE_OK;
}

static vpsde_status close_output(const output *o)
{
    return o->wide ? vpsde_wide_close(o->wide) : vpsde_h5_close(o->file);
}

static vpsde_status write_and_close(const output *o, const vpsde_run_head *head)
{
    const vpsde_status status = write_all(o, head);
    if (status == VPSDE_OK) return close_output(o);
    char message[1024]; /* closing a file that could not be written fails once more */
    snprintf(message, sizeof(message), "%s", vpsde_last_error());
    (void)close_output(o);
    return vpsde_fail(status, "%s", message);
}

vpsde_status vpsde_run_index_write(const vpsde_run_index *index, const char *path,
                                   const vpsde_run_head *head)
{
    output o = {.index = index, .stop = head->stop};
    VPSDE_TRY(vpsde_h5_create(&o.file, path));
    return write_and_close(&o, head);
}

vpsde_status vpsde_run_index_write_rest(const vpsde_run_index *index, vpsde_wide *wide,
                                        const vpsde_run_head *head)
{
    const output o = {
        .index = index, .file = vpsde_wide_file(wide), .wide = wide, .stop = head->stop};
    return write_and_close(&o, head);
}
