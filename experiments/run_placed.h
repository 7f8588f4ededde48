/* Records of rows of which some columns are in rows.h5 (run_wide.h), and reading those back. The
 * payload: how many columns; a vpsde_placed for each, followed by the addresses of the chunks that it
 * touches; then the bytes of the other columns, one after another. */
#ifndef VPSDE_EXPERIMENTS_RUN_PLACED_H
#define VPSDE_EXPERIMENTS_RUN_PLACED_H

#include "experiments/run_parts.h"

/* The record's rows of one column. */
typedef struct vpsde_placed {
    uint64_t bytes;
    uint64_t n_chunks; /* 0: the bytes are in the record */
    uint64_t at;       /* among the bytes of the column, as core/h5.h cuts them */
    uint64_t period, piece;
    char sha256[64];
} vpsde_placed;

/* The chunk of a column's byte, the byte's place in it, and what is left of it from there. */
typedef struct vpsde_chunk_byte {
    uint64_t chunk, offset, left;
} vpsde_chunk_byte;
vpsde_chunk_byte vpsde_chunk_at(uint64_t at, uint64_t period, uint64_t piece);

/* How many chunks bytes at .. at + bytes - 1 touch. */
uint64_t vpsde_chunks_of(uint64_t at, uint64_t bytes, uint64_t period, uint64_t piece);

/* Column number `column` of a payload in memory. False when there is none or it makes no sense. */
bool vpsde_placed_column(vpsde_placed *out, const void *payload, size_t bytes, size_t column);
/* Do these columns fill the payload? */
bool vpsde_placed_fits(const void *payload, size_t bytes, size_t n_columns);

/* Bytes skip .. skip + n - 1 of a column of a record that a scan has found. EIO. */
vpsde_status vpsde_placed_read(vpsde_parts *parts, vpsde_place payload, size_t column,
                               uint64_t skip, uint64_t n, void *out);

/* *good: are all bytes in rows.h5, which has `size` of them, and have their SHA-256? EIO. */
vpsde_status vpsde_placed_check(bool *good, vpsde_parts *parts, vpsde_place place,
                                const void *payload, size_t bytes, uint64_t size);

#endif
