#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "core/ranks.h"
#include "core/sink.h"
#include "experiments/run_index.h"
#include "experiments/run_placed.h"

/* Room for `more` elements of `size` bytes at the end of an array of n. */
static vpsde_status grow(void *array, size_t n, size_t more, size_t *room, size_t size)
{
    void *old, *larger;
    if (n + more <= *room) return VPSDE_OK;
    const size_t wanted = 2 * (n + more) + 16;
    memcpy(&old, array, sizeof(old));
    larger = reallocarray(old, wanted, size);
    if (!larger) return vpsde_fail(VPSDE_ENOMEM, "cannot allocate %zu elements", wanted);
    memcpy(array, &larger, sizeof(larger));
    *room = wanted;
    return VPSDE_OK;
}

vpsde_stored *vpsde_run_index_table(const vpsde_run_index *index, uint64_t id, size_t *number)
{
    size_t table = 0;
    for (size_t i = 0; i < index->n_stored; i++) {
        if (!vpsde_stored_is_table(&index->stored[i])) continue;
        *number = table++;
        if (index->stored[i].id == id) return &index->stored[i];
    }
    return NULL;
}

static vpsde_status keep_for_others(vpsde_run_index *index, const vpsde_record *record,
                                    const void *payload)
{
    const size_t bytes = sizeof(*record) + record->bytes;
    if (vpsde_n_ranks() == 1 || vpsde_rank() > 0) return VPSDE_OK;
    VPSDE_TRY(grow(&index->tables, index->tables_used, bytes, &index->tables_room, 1));
    memcpy(index->tables + index->tables_used, record, sizeof(*record));
    memcpy(index->tables + index->tables_used + sizeof(*record), payload, record->bytes);
    index->tables_used += bytes;
    return VPSDE_OK;
}

/* A table may be announced by several writers. */
static vpsde_status add_table(vpsde_run_index *index, const vpsde_record *record,
                              const void *payload)
{
    const bool is_table = record->kind == VPSDE_RECORD_TABLE;
    const uint64_t id = is_table ? vpsde_record_id(payload, record->bytes) : 0;
    size_t number;
    if (is_table && vpsde_run_index_table(index, id, &number)) return VPSDE_OK;
    if (is_table) VPSDE_TRY(keep_for_others(index, record, payload));
    VPSDE_TRY(
        grow(&index->stored, index->n_stored, 1, &index->stored_room, sizeof(*index->stored)));
    vpsde_stored *stored = &index->stored[index->n_stored];
    VPSDE_TRY(is_table ? vpsde_table_decode(stored, payload, record->bytes)
                       : vpsde_facts_decode(stored, payload, record->bytes));
    stored->id = id;
    index->n_stored++;
    index->n_tables += is_table;
    return VPSDE_OK;
}

/* Does each column of the record have as many bytes as its rows take, from its first row on? */
static bool placed_fit(const vpsde_record *record, const void *payload, const vpsde_table *table)
{
    if (!vpsde_placed_fits(payload, record->bytes, table->n_columns)) return false;
    for (size_t c = 0; c < table->n_columns; c++) {
        const size_t row = vpsde_column_bytes(&table->columns[c]);
        vpsde_placed placed;
        if (!vpsde_placed_column(&placed, payload, record->bytes, c) ||
            placed.bytes != record->n * row ||
            (placed.n_chunks > 0 && placed.at != (record->first - table->first) * row)) {
            return false;
        }
    }
    return true;
}

/* Rows of the table, with the bytes that they take. */
static bool rows_fit(const vpsde_record *record, const void *payload, const vpsde_table *table)
{
    size_t row = 0, bytes;
    for (size_t c = 0; c < table->n_columns; c++) {
        if (__builtin_add_overflow(row, vpsde_column_bytes(&table->columns[c]), &row)) return false;
    }
    return record->first >= table->first && record->first - table->first < table->count &&
           record->n <= table->count - (record->first - table->first) &&
           !__builtin_mul_overflow(table->count, row, &bytes) &&
           (record->kind == VPSDE_RECORD_PLACED ? placed_fit(record, payload, table)
                                                : record->n * row == record->bytes);
}

static vpsde_status add_record(void *context, const vpsde_record *record, const void *payload,
                               vpsde_place place)
{
    vpsde_run_index *index = context;
    if (record->kind < VPSDE_RECORD_TABLE || record->kind > VPSDE_RECORD_PLACED) {
        return vpsde_fail(VPSDE_EIO, "the parts hold a record of an unknown kind");
    }
    const bool placed = record->kind == VPSDE_RECORD_PLACED;
    if (record->kind != VPSDE_RECORD_ROWS && !placed) return add_table(index, record, payload);
    size_t number;
    const vpsde_stored *stored = vpsde_run_index_table(index, record->table, &number);
    if (!stored)
        return VPSDE_OK; /* announced in a part that was damaged: they are computed again */
    if (!rows_fit(record, payload, &stored->table)) {
        return vpsde_fail(VPSDE_EIO, "the parts hold rows that table %s does not have",
                          stored->table.path);
    }
    VPSDE_TRY(grow(&index->rows, index->n_rows, 1, &index->rows_room, sizeof(*index->rows)));
    index->rows[index->n_rows++] = (vpsde_rows){
        .table = number, .first = record->first, .n = record->n, .place = place, .placed = placed};
    return VPSDE_OK;
}

static int by_table_and_first(const void *a, const void *b)
{
    const vpsde_rows *x = a, *y = b;
    if (x->table != y->table) return x->table < y->table ? -1 : 1;
    return (x->first > y->first) - (x->first < y->first);
}

vpsde_status vpsde_run_index_create(vpsde_run_index **out, vpsde_parts *parts)
{
    *out = NULL;
    vpsde_run_index *index;
    VPSDE_TRY(vpsde_alloc(&index, 1, sizeof(*index)));
    index->parts = parts;
    const vpsde_status status = vpsde_run_index_extend(index);
    if (status != VPSDE_OK) {
        vpsde_run_index_destroy(index);
        return status;
    }
    *out = index;
    return VPSDE_OK;
}

vpsde_status vpsde_run_index_extend(vpsde_run_index *index)
{
    VPSDE_TRY(vpsde_parts_scan(index->parts, &index->seen, add_record, index));
    if (index->n_rows > 0) {
        qsort(index->rows, index->n_rows, sizeof(*index->rows), by_table_and_first);
    }
    return VPSDE_OK;
}

static vpsde_status add_tables(vpsde_run_index *index)
{
    for (size_t at = 0; at < index->tables_used;) {
        vpsde_record record;
        memcpy(&record, index->tables + at, sizeof(record));
        at += sizeof(record);
        VPSDE_TRY(add_table(index, &record, index->tables + at));
        at += record.bytes;
    }
    return VPSDE_OK;
}

/* On ranks other than 0: what its index says. */
static vpsde_status receive(vpsde_run_index *index)
{
    void *tables = NULL, *rows = NULL;
    size_t bytes = 0;
    VPSDE_TRY(vpsde_ranks_broadcast(&tables, &index->tables_used));
    index->tables = tables;
    VPSDE_TRY(vpsde_ranks_broadcast(&rows, &bytes));
    index->rows = rows;
    index->rows_room = index->n_rows = bytes / sizeof(*index->rows);
    return add_tables(index);
}

vpsde_status vpsde_run_index_share(vpsde_run_index **index, vpsde_parts *parts)
{
    vpsde_status status = VPSDE_OK;
    if (vpsde_rank() > 0) status = vpsde_alloc(index, 1, sizeof(**index));
    VPSDE_TRY(vpsde_ranks_agree(status, NULL, 0, NULL));
    if (vpsde_rank() > 0) {
        (*index)->parts = parts;
        return receive(*index);
    }
    void *tables = (*index)->tables, *rows = (*index)->rows;
    size_t bytes = (*index)->n_rows * sizeof(*(*index)->rows);
    VPSDE_TRY(vpsde_ranks_broadcast(&tables, &(*index)->tables_used));
    return vpsde_ranks_broadcast(&rows, &bytes);
}

void vpsde_run_index_destroy(vpsde_run_index *index)
{
    if (!index) return;
    for (size_t i = 0; i < index->n_stored; i++) vpsde_stored_free(&index->stored[i]);
    free(index->stored);
    free(index->rows);
    free(index->seen.part);
    free(index->tables);
    free(index);
}

const vpsde_rows *vpsde_run_index_rows(const vpsde_run_index *index, size_t table, size_t *n)
{
    static const vpsde_rows none;
    *n = 0;
    if (index->n_rows == 0) return &none;
    const vpsde_rows *rows = index->rows, *end = index->rows + index->n_rows;
    while (rows < end && rows->table < table) rows++;
    while (rows + *n < end && rows[*n].table == table) (*n)++;
    return rows;
}

vpsde_status vpsde_rows_read(const vpsde_rows *rows, vpsde_parts *parts, const vpsde_row_bytes *c,
                             uint64_t skip, uint64_t n, void *out)
{
    vpsde_place place = rows->place;
    if (rows->placed) {
        return vpsde_placed_read(parts, place, c->column, skip * c->row_bytes, n * c->row_bytes,
                                 out);
    }
    place.offset += rows->n * c->before + skip * c->row_bytes;
    return vpsde_parts_read(parts, place, out, n * c->row_bytes);
}

/* How many rows of the table are there; EINTERNAL names the first doubled or, if all are wanted,
 * missing one. */
static vpsde_status count_rows(size_t *present, const vpsde_run_index *index, size_t number,
                               const vpsde_table *table, bool all)
{
    size_t n, expected = table->first;
    const vpsde_rows *rows = vpsde_run_index_rows(index, number, &n);
    *present = 0;
    for (size_t i = 0; i < n; i++) {
        if (rows[i].first < expected) {
            return vpsde_fail(VPSDE_EINTERNAL, "table %s: row %zu was written twice", table->path,
                              (size_t)rows[i].first);
        }
        if (all && rows[i].first > expected) break;
        expected = rows[i].first + rows[i].n;
        *present += rows[i].n;
    }
    if (all && *present < table->count) {
        return vpsde_fail(VPSDE_EINTERNAL, "table %s: row %zu was never written", table->path,
                          expected);
    }
    return VPSDE_OK;
}

bool vpsde_stored_is_table(const vpsde_stored *stored) { return stored->table.count > 0; }

vpsde_status vpsde_run_index_check(vpsde_run_index *index, bool all)
{
    size_t table = 0;
    for (size_t i = 0; i < index->n_stored; i++) {
        vpsde_stored *stored = &index->stored[i];
        if (!vpsde_stored_is_table(stored)) continue;
        VPSDE_TRY(count_rows(&stored->present, index, table++, &stored->table, all));
    }
    return VPSDE_OK;
}
