#include "experiments/run_wide.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/file.h"
#include "core/fletcher32.h"
#include "core/mem.h"
#include "core/sha256.h"
#include "core/sink.h"
#include "experiments/run_folder.h"
#include "experiments/run_placed.h"

/* Below, a file more costs as much as it saves. */
enum { LEAST_BYTES = 256 << 10 };

typedef struct chunk {
    vpsde_fletcher32 sum;
    uint64_t filled; /* bytes */
} chunk;

typedef struct wide_column {
    vpsde_h5_room room; /* n 0: not wide */
    chunk *chunks;
    size_t row_bytes;
} wide_column;

typedef struct wide_table {
    uint64_t id, first;
    size_t n_columns;
    wide_column *columns;
} wide_table;

struct vpsde_wide {
    char *path;
    vpsde_h5 *file;
    int fd; /* the same, beside HDF5 */
    wide_table *tables;
    size_t n_tables;
};

static double bytes_of(const vpsde_table *table, const vpsde_column *column)
{
    return (double)table->count * (double)column->width * (double)vpsde_dtype_size(column->type);
}

/* Words of a checksum may not be cut, so bytes stay in the parts. */
static bool is_wide(const vpsde_table *table, const vpsde_column *column)
{
    return column->width > 1 && vpsde_dtype_size(column->type) > 1 &&
           bytes_of(table, column) >= LEAST_BYTES;
}

double vpsde_wide_bytes(const vpsde_table *table)
{
    double bytes = 0;
    for (size_t c = 0; c < table->n_columns; c++) {
        const vpsde_column *column = &table->columns[c];
        if (is_wide(table, column)) bytes += bytes_of(table, column);
    }
    return bytes;
}

/* Never into a file that is there: its other name may be that of a published run. */
vpsde_status vpsde_wide_create(vpsde_wide **out, const char *folder)
{
    vpsde_wide *wide;
    *out = NULL;
    VPSDE_TRY(vpsde_alloc(&wide, 1, sizeof(*wide)));
    wide->fd = -1;
    vpsde_status status = vpsde_format(&wide->path, "%s/" VPSDE_RUN_ROWS, folder);
    if (status == VPSDE_OK) {
        wide->fd = vpsde_fd_open(AT_FDCWD, wide->path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC);
        if (wide->fd < 0) {
            status = vpsde_fail(VPSDE_EIO, "%s: cannot be made: %s", wide->path, strerror(errno));
        }
    }
    if (status == VPSDE_OK) status = vpsde_h5_create_roomy(&wide->file, wide->path);
    if (status != VPSDE_OK) {
        vpsde_wide_destroy(wide);
        return status;
    }
    *out = wide;
    return VPSDE_OK;
}

static vpsde_status reserve(vpsde_wide *wide, wide_column *to, const vpsde_table *table,
                            const vpsde_column *column)
{
    const vpsde_axis *axes[VPSDE_H5_RANK - 1];
    size_t n_axes;
    VPSDE_TRY(vpsde_column_axes(table, column, axes, VPSDE_H5_RANK - 1, &n_axes));
    char *path;
    VPSDE_TRY(vpsde_format(&path, "%s/%s", table->path, column->name));
    vpsde_h5_dataset spec = {
        .path = path, .type = column->type, .rank = n_axes + 1, .dims = {table->count}};
    for (size_t a = 0; a < n_axes; a++) spec.dims[a + 1] = axes[a]->length;
    const vpsde_status status = vpsde_h5_reserve(&to->room, wide->file, &spec);
    free(path);
    VPSDE_TRY(status);
    return vpsde_alloc(&to->chunks, to->room.n, sizeof(*to->chunks));
}

vpsde_status vpsde_wide_begin(vpsde_wide *wide, uint64_t id, const vpsde_table *table)
{
    wide_table *longer = reallocarray(wide->tables, wide->n_tables + 1, sizeof(*longer));
    if (!longer) return vpsde_fail(VPSDE_ENOMEM, "cannot allocate %zu tables", wide->n_tables + 1);
    wide->tables = longer;
    wide_table *to = &longer[wide->n_tables];
    *to = (wide_table){.id = id, .first = table->first, .n_columns = table->n_columns};
    VPSDE_TRY(vpsde_alloc(&to->columns, table->n_columns, sizeof(*to->columns)));
    wide->n_tables++;
    for (size_t c = 0; c < table->n_columns; c++) {
        const vpsde_column *column = &table->columns[c];
        to->columns[c].row_bytes = vpsde_column_bytes(column);
        if (is_wide(table, column)) VPSDE_TRY(reserve(wide, &to->columns[c], table, column));
    }
    return VPSDE_OK;
}

static const wide_table *find(const vpsde_wide *wide, uint64_t id)
{
    for (size_t t = 0; t < wide->n_tables; t++) {
        if (wide->tables[t].id == id) return &wide->tables[t];
    }
    return NULL;
}

static vpsde_status write_at(const vpsde_wide *wide, const void *data, size_t n, uint64_t address)
{
    if (vpsde_fd_write_at(wide->fd, data, n, (size_t)address) == 0) return VPSDE_OK;
    return vpsde_fail(VPSDE_EIO, "%s: cannot be written: %s", wide->path, strerror(errno));
}

/* Bytes of one column go to their chunks; a chunk that is full gets its checksum. */
static vpsde_status store(const vpsde_wide *wide, const wide_column *c, uint64_t at,
                          const unsigned char *from, size_t n)
{
    const vpsde_h5_room *room = &c->room;
    for (size_t done = 0; done < n;) {
        const vpsde_chunk_byte b = vpsde_chunk_at(at + done, room->period, room->piece);
        const size_t length = b.left < n - done ? b.left : n - done;
        const uint64_t address = room->chunks[b.chunk];
        chunk *to = &c->chunks[b.chunk];
        VPSDE_TRY(write_at(wide, from + done, length, address + b.offset));
        vpsde_fletcher32_add(&to->sum, from + done, length, room->piece - b.offset - length);
        to->filled += length;
        if (to->filled == b.offset + b.left) {
            const uint32_t sum = vpsde_fletcher32_value(&to->sum);
            VPSDE_TRY(write_at(wide, &sum, sizeof(sum), address + room->piece));
        }
        done += length;
    }
    return VPSDE_OK;
}

/* What the record says of a column, and of a wide one where it went. */
static vpsde_status describe(vpsde_part_buffer *part, const vpsde_h5_room *room, uint64_t at,
                             const unsigned char *from, size_t n)
{
    vpsde_placed placed = {.bytes = n};
    const uint64_t *chunks = NULL;
    char hex[65];
    if (room->n > 0) {
        placed.at = at;
        placed.period = room->period;
        placed.piece = room->piece;
        placed.n_chunks = vpsde_chunks_of(at, n, room->period, room->piece);
        chunks = room->chunks + vpsde_chunk_at(at, room->period, room->piece).chunk;
        vpsde_sha256(hex, from, n);
        memcpy(placed.sha256, hex, sizeof(placed.sha256));
    }
    VPSDE_TRY(vpsde_part_append(part, &placed, sizeof(placed)));
    return vpsde_part_append(part, chunks, placed.n_chunks * sizeof(*chunks));
}

static vpsde_status place(const vpsde_wide *wide, const wide_table *table, vpsde_part_buffer *part,
                          const vpsde_record *record, const unsigned char *payload)
{
    const uint64_t n = table->n_columns;
    const unsigned char *from = payload;
    VPSDE_TRY(vpsde_part_append(part, &n, sizeof(n)));
    for (size_t c = 0; c < n; c++) {
        const wide_column *column = &table->columns[c];
        const uint64_t at = (record->first - table->first) * column->row_bytes;
        const size_t bytes = record->n * column->row_bytes;
        VPSDE_TRY(describe(part, &column->room, at, from, bytes));
        if (column->room.n > 0) VPSDE_TRY(store(wide, column, at, from, bytes));
        from += bytes;
    }
    from = payload;
    for (size_t c = 0; c < n; c++) {
        const size_t bytes = record->n * table->columns[c].row_bytes;
        if (table->columns[c].room.n == 0) VPSDE_TRY(vpsde_part_append(part, from, bytes));
        from += bytes;
    }
    return VPSDE_OK;
}

vpsde_status vpsde_wide_pack(vpsde_wide *wide, vpsde_part_buffer *part, const vpsde_record *record,
                             const unsigned char *payload)
{
    static const uint64_t padding = 0;
    const wide_table *table = record->kind == VPSDE_RECORD_ROWS ? find(wide, record->table) : NULL;
    const size_t head = part->used;
    vpsde_record stored = *record;
    VPSDE_TRY(vpsde_part_append(part, &stored, sizeof(stored)));
    VPSDE_TRY(table ? place(wide, table, part, record, payload)
                    : vpsde_part_append(part, payload, record->bytes));
    if (table) stored.kind = VPSDE_RECORD_PLACED;
    stored.bytes = part->used - head - sizeof(stored);
    memcpy(part->bytes + head, &stored, sizeof(stored));
    return vpsde_part_append(part, &padding, -stored.bytes % 8);
}

void vpsde_wide_hurry(const vpsde_wide *wide)
{
    (void)sync_file_range(wide->fd, 0, 0, SYNC_FILE_RANGE_WRITE);
}

vpsde_status vpsde_wide_sync(const vpsde_wide *wide)
{
    if (vpsde_fd_sync(wide->fd) == 0) return VPSDE_OK;
    return vpsde_fail(VPSDE_EIO, "%s: cannot be made durable: %s", wide->path, strerror(errno));
}

vpsde_h5 *vpsde_wide_file(const vpsde_wide *wide) { return wide ? wide->file : NULL; }

const char *vpsde_wide_path(const vpsde_wide *wide) { return wide->path; }

const vpsde_h5_room *vpsde_wide_room(const vpsde_wide *wide, uint64_t id, size_t column)
{
    const wide_table *table = find(wide, id);
    return table && table->columns[column].room.n > 0 ? &table->columns[column].room : NULL;
}

vpsde_status vpsde_wide_close(vpsde_wide *wide)
{
    if (!wide) return VPSDE_OK;
    for (size_t t = 0; t < wide->n_tables; t++) {
        for (size_t c = 0; c < wide->tables[t].n_columns; c++) {
            vpsde_h5_release(&wide->tables[t].columns[c].room);
            free(wide->tables[t].columns[c].chunks);
        }
        free(wide->tables[t].columns);
    }
    free(wide->tables);
    wide->tables = NULL;
    wide->n_tables = 0;
    vpsde_h5 *file = wide->file;
    wide->file = NULL;
    return vpsde_h5_close(file);
}

void vpsde_wide_destroy(vpsde_wide *wide)
{
    if (!wide) return;
    (void)vpsde_wide_close(wide);
    if (wide->fd >= 0) close(wide->fd);
    free(wide->path);
    free(wide);
}
