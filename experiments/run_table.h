/* Tables and facts as bytes, for the parts, and back. */
#ifndef VPSDE_EXPERIMENTS_RUN_TABLE_H
#define VPSDE_EXPERIMENTS_RUN_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <vpsde/sink.h>

/* Fresh bytes to be freed. '-' in paths and fact names becomes '_'; EINVAL for a name or path that is
 * not of [a-z0-9_] then. The table has to have passed vpsde_table_check(). */
vpsde_status vpsde_table_encode(void **bytes, size_t *length, const vpsde_table *table);
vpsde_status vpsde_facts_encode(void **bytes, size_t *length, const char *group,
                                const vpsde_fact *facts, size_t n);

/* A table or the facts of a group that own their memory. */
typedef struct vpsde_stored {
    vpsde_table table; /* of stored facts: path is the group, facts what is said about it */
    size_t present;    /* rows found in the parts, once counted */
    uint64_t id;       /* of a table: vpsde_record_id() */
    bool announced;    /* of a table: again, since the run was taken up */
    void *memory;
} vpsde_stored;

/* A table, or facts? */
bool vpsde_stored_is_table(const vpsde_stored *stored);

/* EIO when the bytes are not what encode made. Free with vpsde_stored_free(). */
vpsde_status vpsde_table_decode(vpsde_stored *out, const void *bytes, size_t length);
vpsde_status vpsde_facts_decode(vpsde_stored *out, const void *bytes, size_t length);
void vpsde_stored_free(vpsde_stored *stored);

#endif
