/* PATH.parts/: what a run has computed so far, safe against kill -9, a full disk and a power cut.
 *
 *   lock                 flock'ed by the writer (rank 0 where several share the run), holds its
 *                        pid and host
 *   config.yaml          the resolved configuration
 *   manifest             verb, seed, SHA-256 of config.yaml, inputs (run_manifest.h); the last to come
 *                        at the start, replaced as a whole, the first to go at the end
 *   rows.h5              wide columns of a run that nothing has interrupted yet (run_wide.h)
 *   part-000000-NNNNNN   sealed: written as .tmp, fsynced, renamed, folder fsynced; never changed
 *                        again. The first number is the rank of the writer
 *
 * The parts in their order are one log of records: announced tables, rows, facts. A part is a header
 * with its length and SHA-256, then whole records. A kill loses at most what was not sealed yet. Rows
 * name their table by what it is, not by when it came, so that logs of several writers can be merged.
 * Values are in the machine's own byte order: parts are read where they were written. */
#ifndef VPSDE_EXPERIMENTS_RUN_PARTS_H
#define VPSDE_EXPERIMENTS_RUN_PARTS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include <vpsde/sink.h>

#include "experiments/run_part_list.h"

typedef enum vpsde_record_kind {
    VPSDE_RECORD_TABLE = 1, /* an encoded vpsde_table (run_table.c) */
    VPSDE_RECORD_ROWS,      /* n rows of `table` from `first` on: column after column */
    VPSDE_RECORD_FACTS,     /* encoded facts about a group */
    VPSDE_RECORD_PLACED     /* rows of which some columns are in rows.h5 (run_placed.h) */
} vpsde_record_kind;

/* As stored; the payload follows, padded to 8 bytes. */
typedef struct vpsde_record {
    uint64_t kind;
    uint64_t table; /* vpsde_record_id() of the table's payload */
    uint64_t first, n, bytes;
} vpsde_record;

/* The first 64 bits of the SHA-256 of a payload: an announced table's name. */
uint64_t vpsde_record_id(const void *payload, size_t bytes);

/* Where a payload lies, or values. */
#define VPSDE_PART_ROWS SIZE_MAX /* in rows.h5 */
typedef struct vpsde_place {
    size_t part;
    uint64_t offset;
} vpsde_place;

typedef struct vpsde_parts vpsde_parts;
typedef struct vpsde_wide vpsde_wide;

/* Makes the folder beside `path` and its durable start. EEXIST when `path` or the folder is there and
 * !force, or a living writer holds the lock (force or not); EIO. */
vpsde_status vpsde_parts_create(vpsde_parts **out, const char *path, const char *config,
                                const char *manifest, bool force);

/* Takes up the parts of an unfinished run; new ones come after them. *out is NULL when there are none;
 * what a published run left is removed. EEXIST: a living writer holds them; EIO. */
vpsde_status vpsde_parts_open(vpsde_parts **out, const char *path);

/* The parts of a run that rank 0 created or opened: this rank adds its own. EIO. */
vpsde_status vpsde_parts_join(vpsde_parts **out, const char *path);

/* config.yaml or manifest into fresh memory. EIO. */
vpsde_status vpsde_parts_text(char **text, const vpsde_parts *parts, const char *name);

/* Replaces the manifest, durably. EIO. */
vpsde_status vpsde_parts_manifest(vpsde_parts *parts, const char *text);

/* Bytes sealed, by all ranks until the last scan and by this one since; what the file system gives. */
vpsde_status vpsde_parts_space(double *sealed, double *available, const vpsde_parts *parts);

/* Adds a record made of pieces. When 16 MiB (without what went to rows.h5, some 8) or a second are
 * full, the part is sealed on a thread of its own, after the one before. EIO stays, and comes with a
 * later call: a part that could not be written is never tried again. */
vpsde_status vpsde_parts_append(vpsde_parts *parts, const vpsde_record *record,
                                const struct iovec *pieces, size_t n_pieces);

/* Of a table that was announced and sealed, with nothing appended since: its wide columns go to rows.h5
 * from here on, unless they were left. One process has the run, and has had it from its start. EIO. */
vpsde_status vpsde_parts_widen(vpsde_parts *parts, uint64_t id, const vpsde_table *table);
/* Seals, and no more rows go to rows.h5. EIO. */
vpsde_status vpsde_parts_leave_wide(vpsde_parts *parts);
/* rows.h5, until it is closed, or NULL. */
vpsde_wide *vpsde_parts_wide(const vpsde_parts *parts);

/* Makes all appended records durable. */
vpsde_status vpsde_parts_seal(vpsde_parts *parts);

/* Calls visit for each sealed record in order, with its payload in memory for the call, after
 * checking each part's sum; of all ranks' parts those that are not among `seen`, which they join. EIO
 * names a damaged part, or one whose rows in rows.h5 are; the first scan after vpsde_parts_open() keeps
 * such a part aside and goes on without it. While rows.h5 is open its rows are not looked at. */
typedef vpsde_status (*vpsde_record_fn)(void *context, const vpsde_record *record,
                                        const void *payload, vpsde_place place);
vpsde_status vpsde_parts_scan(vpsde_parts *parts, vpsde_part_list *seen, vpsde_record_fn visit,
                              void *context);

/* Reads bytes of a payload found by a scan. */
vpsde_status vpsde_parts_read(vpsde_parts *parts, vpsde_place place, void *out, size_t bytes);

/* Removes the folder with what vpsde put there, and nothing else. */
void vpsde_parts_remove(vpsde_parts *parts);

/* Lets go of the lock; keeps the folder. NULL is fine. */
void vpsde_parts_destroy(vpsde_parts *parts);

#endif
