/* HDF5 out, the house way: readable by everything, the same bytes for the same content.
 *
 * Objects are addressed by their path. Names are [a-z0-9_]; text lives in attributes, never in
 * datasets; every axis of every dataset carries a dimension scale; fletcher32 on, compression off,
 * creation order tracked, object times off. HDF5 headers stay inside core/h5*.c. */
#ifndef VPSDE_CORE_H5_H
#define VPSDE_CORE_H5_H

#include <stddef.h>
#include <stdint.h>

#include <vpsde/sink.h>

enum { VPSDE_H5_RANK = 5 };

/* Before any other HDF5 call of a thread: silences HDF5's printing, keeps it from flushing at exit
 * (it crashes there after a full disk) and from loading plug-ins. Every function below does it. */
vpsde_status vpsde_h5_start(void);

/* EIO with HDF5's innermost reason, read from the calling thread's error stack. */
vpsde_status vpsde_h5_failed(const char *file, const char *doing);

/* "1.10.8" */
const char *vpsde_h5_version(void);

typedef struct vpsde_h5 vpsde_h5;

/* Creates or overwrites. EIO. */
vpsde_status vpsde_h5_create(vpsde_h5 **out, const char *path);
/* Writes out and closes; frees in any case. EIO. NULL is fine. */
vpsde_status vpsde_h5_close(vpsde_h5 *file);

/* Makes a group with its parents; fine when it is there. */
vpsde_status vpsde_h5_group(vpsde_h5 *file, const char *path);

/* Attributes of a group or dataset ("/" is the root); an older one of the name is replaced. */
vpsde_status vpsde_h5_text(vpsde_h5 *file, const char *object, const char *name, const char *text);
vpsde_status vpsde_h5_number(vpsde_h5 *file, const char *object, const char *name, double number);
vpsde_status vpsde_h5_int(vpsde_h5 *file, const char *object, const char *name, int64_t number);
vpsde_status vpsde_h5_uint(vpsde_h5 *file, const char *object, const char *name, uint64_t number);

/* One dataset. A scale has rank 1 and no `scales`; any other names the scale of each axis. */
typedef struct vpsde_h5_dataset {
    const char *path, *units, *description;
    vpsde_dtype type;
    size_t rank, dims[VPSDE_H5_RANK];
    const char *scales[VPSDE_H5_RANK]; /* paths; scales[0] == NULL: this is a scale itself */
    const char *coordinates;           /* names of further coordinates, blank-separated; or NULL */
    const char *flag_meanings;         /* categories 0, 1, ...; or NULL */
} vpsde_h5_dataset;

/* Unwritten elements read as NaN, -1, or 255; chunks of them take no space. */
vpsde_status vpsde_h5_dataset_create(vpsde_h5 *file, const vpsde_h5_dataset *spec);

/* Rows of a chunk: whole multiples of it, in order, are written fastest. */
size_t vpsde_h5_chunk_rows(const vpsde_h5_dataset *spec);

/* The room of a dataset whose values somebody else writes: its bytes, in the order of the elements, are
 * periods, each cut into chunks of `piece` bytes of which the last may be short. A chunk has its place
 * in the file, `piece` bytes and vpsde_fletcher32_value() of them, low byte first. */
typedef struct vpsde_h5_room {
    uint64_t *chunks; /* where they begin */
    size_t n, period, piece;
    size_t number; /* private */
} vpsde_h5_room;

/* A file that can reserve; it may be written to beside HDF5. EIO. */
vpsde_status vpsde_h5_create_roomy(vpsde_h5 **out, const char *path);
/* Room for a dataset that is not in any group yet; room->n is 0 when this HDF5 does not tell where. EIO. */
vpsde_status vpsde_h5_reserve(vpsde_h5_room *room, vpsde_h5 *file, const vpsde_h5_dataset *spec);
/* Gives the dataset its path, scales and attributes. */
vpsde_status vpsde_h5_adopt(vpsde_h5 *file, const vpsde_h5_dataset *spec,
                            const vpsde_h5_room *room);
/* Frees; fine when nothing was reserved. */
void vpsde_h5_release(vpsde_h5_room *room);

/* Rows first .. first + n - 1 along the first axis. */
vpsde_status vpsde_h5_rows(vpsde_h5 *file, const char *path, size_t first, size_t n,
                           const void *data);

/* A text attribute of a closed file into fresh memory. EDATA. */
vpsde_status vpsde_h5_read_text(char **text, const char *file, const char *object,
                                const char *name);

#endif
