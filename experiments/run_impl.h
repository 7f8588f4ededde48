/* What run_file.c and run_sink.c share. The way of a row, from its coming to the file and back:
 *
 *   run_file.c      the life of a run: begun, taken up, finished
 *   run_sink.c      its tables and rows as they come, without those that are there
 *   run_table.c     tables and facts as bytes
 *   run_parts.c     records put together to parts
 *   run_seal.c      parts written and made durable, on threads of their own
 *   run_wide.c      wide columns on their way to rows.h5
 *   run_placed.c    what a part says of those, and reading them
 *   run_scan.c      parts read and checked; run_part_list.c: their names
 *   run_index.c     what they hold, by table and row
 *   run_write.c     the HDF5 file made of it
 *   run_folder.c    the folder they are in: its lock, whole files
 *   run_publish.c   the finished file and its name
 *   run_manifest.c  what a run is */
#ifndef VPSDE_EXPERIMENTS_RUN_IMPL_H
#define VPSDE_EXPERIMENTS_RUN_IMPL_H

#include <vpsde/run.h>

#include "experiments/run_index.h"

/* Rows first .. end - 1. */
typedef struct vpsde_span {
    uint64_t first, end;
} vpsde_span;

struct vpsde_run {
    vpsde_sink sink;
    vpsde_parts *parts;
    vpsde_run_index *before; /* what a run that was taken up again holds, or NULL; where ranks share
                                the run, rank 0's grows by what all have written */
    bool resumed;
    vpsde_manifest manifest;
    char *path, *config;
    const volatile int *stop;
    char **names; /* "/group/dataset" of all announced tables */
    size_t n_names, n_tables;
    double bytes; /* that all announced rows take, in parts and in the file made of them */
    /* the table that is being written; path NULL: none */
    struct {
        char *path;
        size_t first, count, n_columns, number; /* number: in `before` */
        uint64_t id;
        vpsde_span *have; /* from before: increasing, apart */
        size_t n_have;
        size_t *row_bytes;
        bool *single; /* one element a row? */
        struct iovec *pieces;
    } now;
};

void vpsde_run_sink_init(vpsde_run *run);

/* Do its wide columns go to rows.h5? */
bool vpsde_run_places(const vpsde_run *run);

/* ECONFIG unless so many bytes more fit on the disk. */
vpsde_status vpsde_run_fits(const vpsde_run *run, double bytes);

/* Makes the names of the tables in `before` taken. */
vpsde_status vpsde_run_claim_before(vpsde_run *run);

/* Appends facts, unless the same ones are there from before. */
vpsde_status vpsde_run_facts(vpsde_run *run, const char *group, const vpsde_fact *facts, size_t n);

/* "commit 1d22e4b, now 9f45746; ..." into fresh memory: those of these facts that were others when the
 * run began; "" also on ranks other than 0, and where nothing is there from before. */
vpsde_status vpsde_run_changes(char **changes, const vpsde_run *run, const char *group,
                               const vpsde_fact *facts, size_t n);

/* Is its manifest there? Somebody may have removed the folder. */
bool vpsde_run_is_kept(const vpsde_run *run);

/* Frees what the current table holds. */
void vpsde_run_forget_table(vpsde_run *run);

#endif
