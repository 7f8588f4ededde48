/* What sealed parts hold, in the order of samples, and the HDF5 file made from it. */
#ifndef VPSDE_EXPERIMENTS_RUN_INDEX_H
#define VPSDE_EXPERIMENTS_RUN_INDEX_H

#include <stdbool.h>

#include "experiments/run_manifest.h"
#include "experiments/run_parts.h"
#include "experiments/run_table.h"

/* Rows first .. first + n - 1 of a table and where they lie. */
typedef struct vpsde_rows {
    uint64_t first, n;
    vpsde_place place;
    size_t table; /* its number, in the order of coming */
    bool placed;  /* some columns are in rows.h5 */
} vpsde_rows;

/* A column as it lies in the records: `before` bytes a row come ahead of it where none is in rows.h5. */
typedef struct vpsde_row_bytes {
    size_t column, row_bytes, before;
} vpsde_row_bytes;

typedef struct vpsde_run_index {
    vpsde_parts *parts;
    vpsde_stored *stored; /* tables and facts as they came */
    size_t n_stored, n_tables;
    vpsde_rows *rows; /* sorted by table and first row */
    size_t n_rows;
    /* private */
    size_t stored_room, rows_room;
    vpsde_part_list seen;
    char *tables; /* for other ranks: records of tables with their payloads */
    size_t tables_used, tables_room;
} vpsde_run_index;

/* Scans the parts. EIO for a damaged one. */
vpsde_status vpsde_run_index_create(vpsde_run_index **out, vpsde_parts *parts);
/* Adds what has been sealed since, by any rank. */
vpsde_status vpsde_run_index_extend(vpsde_run_index *index);
/* Gives the other ranks theirs: *index is rank 0's there, and made elsewhere, without facts. */
vpsde_status vpsde_run_index_share(vpsde_run_index **index, vpsde_parts *parts);
void vpsde_run_index_destroy(vpsde_run_index *index); /* NULL is fine */

/* Counts each table's rows. EINTERNAL names the first row that was written twice, or (if all are
 * wanted) never. */
vpsde_status vpsde_run_index_check(vpsde_run_index *index, bool all);

/* The announced table of that id and its number, or NULL. */
vpsde_stored *vpsde_run_index_table(const vpsde_run_index *index, uint64_t id, size_t *number);

/* The rows of table number `table`. Borrowed. */
const vpsde_rows *vpsde_run_index_rows(const vpsde_run_index *index, size_t table, size_t *n);

/* Rows skip .. skip + n - 1 of a column of these rows. EIO. */
vpsde_status vpsde_rows_read(const vpsde_rows *rows, vpsde_parts *parts, const vpsde_row_bytes *c,
                             uint64_t skip, uint64_t n, void *out);

typedef struct vpsde_run_head {
    const char *status, *config;
    const vpsde_manifest *manifest;
    const volatile int *stop; /* may be NULL */
} vpsde_run_head;

/* Writes everything to `path` (run_write.c). Memory: the index, one chunk, HDF5's caches. EIO;
 * ESTOPPED when *stop was seen. */
vpsde_status vpsde_run_index_write(const vpsde_run_index *index, const char *path,
                                   const vpsde_run_head *head);
/* Writes everything to rows.h5 that is not there yet, and closes it. EIO, ESTOPPED as above. */
vpsde_status vpsde_run_index_write_rest(const vpsde_run_index *index, vpsde_wide *wide,
                                        const vpsde_run_head *head);

#endif
