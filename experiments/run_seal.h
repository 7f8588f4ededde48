/* Parts made durable behind the computation, one after another: while one goes to the disk, the next
 * is hashed and given to the system. */
#ifndef VPSDE_EXPERIMENTS_RUN_SEAL_H
#define VPSDE_EXPERIMENTS_RUN_SEAL_H

#include <stdint.h>

#include "experiments/run_folder.h"

typedef struct vpsde_part_header {
    char magic[8], sha256[64];
    uint64_t bytes; /* that follow */
} vpsde_part_header;

/* Heads a part of `bytes` that follow the header in memory. */
void vpsde_part_head(vpsde_part_header *header, const void *bytes, size_t n);
bool vpsde_part_is_headed(const vpsde_part_header *header);

/* A part in memory: its header's place, then its records. */
typedef struct vpsde_part_buffer {
    unsigned char *bytes;
    size_t used, capacity;
} vpsde_part_buffer;

/* Room for `more` bytes behind those used, and bytes put there. ENOMEM; EINVAL for too many. */
vpsde_status vpsde_part_reserve(vpsde_part_buffer *part, size_t more);
vpsde_status vpsde_part_append(vpsde_part_buffer *part, const void *bytes, size_t n);

typedef struct vpsde_seal vpsde_seal;
typedef struct vpsde_wide vpsde_wide;

vpsde_status vpsde_seal_create(vpsde_seal **out);
/* Waits. NULL is fine. */
void vpsde_seal_destroy(vpsde_seal *seal);

/* Starts on the part once the one before is hashed and written; *part becomes an empty buffer. What
 * is packed without its wide columns may, unless `now`, wait for more to come and become a part with it:
 * then there is none of this name. The failure of an earlier part may come here or from the wait. */
vpsde_status vpsde_seal_start(vpsde_seal *seal, vpsde_run_folder *folder, const char *name,
                              vpsde_part_buffer *part, bool now);
/* Once all is sealed: from the next part on, wide columns are packed (run_wide.h). Borrowed. */
void vpsde_seal_widen(vpsde_seal *seal, vpsde_wide *wide);
/* Waits until all parts are durable. */
vpsde_status vpsde_seal_wait(vpsde_seal *seal);

#endif
