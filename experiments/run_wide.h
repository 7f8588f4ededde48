/* PATH.parts/rows.h5: the wide columns of a run, written once. Their rows go to places that HDF5 has
 * reserved; what says where, and their SHA-256, goes to the parts. At the end the file gets all the rest
 * and is published, if nothing came between; after an interruption only what sealed parts say of it
 * counts, and nothing is written to it any more. */
#ifndef VPSDE_EXPERIMENTS_RUN_WIDE_H
#define VPSDE_EXPERIMENTS_RUN_WIDE_H

#include "core/h5.h"
#include "experiments/run_parts.h"
#include "experiments/run_seal.h"

/* Bytes of the columns of a table that are wide: many elements a row, and many in all. */
double vpsde_wide_bytes(const vpsde_table *table);

/* Makes the file in a run's folder. EIO. */
vpsde_status vpsde_wide_create(vpsde_wide **out, const char *folder);
/* Reserves the wide columns of a table. EIO. */
vpsde_status vpsde_wide_begin(vpsde_wide *wide, uint64_t id, const vpsde_table *table);

/* Appends a record to a part, without the bytes of wide columns, which go to the file. EIO. Together
 * with the next the only ones that may be called beside other HDF5 work. */
vpsde_status vpsde_wide_pack(vpsde_wide *wide, vpsde_part_buffer *part, const vpsde_record *record,
                             const unsigned char *payload);
/* Lets the disk begin with what was packed. */
void vpsde_wide_hurry(const vpsde_wide *wide);
/* Makes what was packed durable. EIO. */
vpsde_status vpsde_wide_sync(const vpsde_wide *wide);

/* The file, until it is closed, or NULL; where a column is, NULL when it is not wide. */
vpsde_h5 *vpsde_wide_file(const vpsde_wide *wide);
const vpsde_h5_room *vpsde_wide_room(const vpsde_wide *wide, uint64_t id, size_t column);
const char *vpsde_wide_path(const vpsde_wide *wide);

/* Writes out what HDF5 holds. EIO. */
vpsde_status vpsde_wide_close(vpsde_wide *wide);
void vpsde_wide_destroy(vpsde_wide *wide); /* NULL is fine */

#endif
