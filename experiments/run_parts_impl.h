/* What run_parts.c (writing parts) and run_scan.c (reading them) share. */
#ifndef VPSDE_EXPERIMENTS_RUN_PARTS_IMPL_H
#define VPSDE_EXPERIMENTS_RUN_PARTS_IMPL_H

#include "experiments/run_folder.h"
#include "experiments/run_parts.h"
#include "experiments/run_seal.h"

enum { VPSDE_OPEN_PARTS = 251 }; /* a prime: parts of one number of many ranks do not meet */

struct vpsde_parts {
    vpsde_run_folder *folder;
    vpsde_part_buffer buffer; /* a header, then the records not sealed yet */
    vpsde_seal *seal;
    vpsde_wide *wide; /* of this process, or NULL */
    size_t next;      /* part of this rank */
    double sealed_bytes;
    double sealed_at;    /* on vpsde_clock_s */
    uint64_t rows_bytes; /* of rows.h5, when the parts were scanned */
    vpsde_status failed;
    bool mends; /* the next scan sets damaged parts aside */
    struct {
        size_t part;
        int fd; /* 0: free */
    } open[VPSDE_OPEN_PARTS];
};

#endif
