/* Chunks that have their places before they have values: each is given to HDF5 as one that somebody has
 * filtered already (H5Dwrite_chunk), which takes a place for it and enters that into the index of the
 * dataset, and its driver for files of this machine is taken with a write that only notes the place. The
 * values, each chunk's followed by its checksum, then need no HDF5. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/h5_file.h"
#include "core/mem.h"

enum { CHECKSUM = 4 };

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
               "values go to the file as they are in memory, and its types are low byte first");

/* Raw data that HDF5 of this thread writes while `on`, and does not. */
static _Thread_local struct {
    bool on;
    size_t writes, bytes; /* bytes, address: of the last */
    uint64_t address;
} noted;

static herr_t (*write_through)(H5FD_t *, H5FD_mem_t, hid_t, haddr_t, size_t, const void *);

static herr_t note_or_write(H5FD_t *file, H5FD_mem_t type, hid_t transfer, haddr_t address,
                            size_t size, const void *data)
{
    if (!noted.on || type != H5FD_MEM_DRAW) {
        return write_through(file, type, transfer, address, size, data);
    }
    noted.writes++;
    noted.address = address;
    noted.bytes = size;
    return 0;
}

/* `path` is a file to open, as a driver's functions are seen from its open files alone. */
static hid_t make_driver(const char *path)
{
    const hid_t access = H5Pcreate(H5P_FILE_ACCESS);
    H5FD_t *file = NULL;
    hid_t driver = H5I_INVALID_HID;
    if (access >= 0 && H5Pset_fapl_sec2(access) >= 0) {
        file = H5FDopen(path, H5F_ACC_RDWR | H5F_ACC_CREAT | H5F_ACC_TRUNC, access, HADDR_UNDEF);
    }
    if (file) {
        H5FD_class_t own = *file->cls;
        write_through = own.write;
        own.write = note_or_write;
        driver = H5FDregister(&own);
        if (H5FDclose(file) < 0) driver = H5I_INVALID_HID;
    }
    if (access >= 0) H5Pclose(access);
    return driver;
}

vpsde_status vpsde_h5_create_roomy(vpsde_h5 **out, const char *path)
{
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    static hid_t driver = 0;
    *out = NULL;
    VPSDE_TRY(vpsde_h5_start());
    pthread_mutex_lock(&lock);
    if (driver <= 0) driver = make_driver(path);
    const hid_t known = driver;
    pthread_mutex_unlock(&lock);
    if (known < 0) return vpsde_h5_failed(path, "cannot be created");
    return vpsde_h5_create_on(out, path, known);
}

/* The chunk's shape as a cutting of the dataset's bytes: the outermost axis that it does not hold
 * alone is cut, those within are whole. */
static void cut(vpsde_h5_room *room, const vpsde_h5_dataset *spec)
{
    hsize_t chunk[VPSDE_H5_RANK];
    size_t periods = 1;
    vpsde_h5_chunk_shape(chunk, spec);
    room->period = room->piece = vpsde_dtype_size(spec->type);
    for (size_t a = 0; a < spec->rank; a++) room->piece *= chunk[a];
    size_t axis = 0;
    while (axis + 1 < spec->rank && chunk[axis] == 1) periods *= spec->dims[axis++];
    for (size_t a = axis; a < spec->rank; a++) room->period *= spec->dims[a];
    room->n = periods * ((room->period + room->piece - 1) / room->piece);
}

/* From one chunk's first element to that of the next, the innermost axis first. */
static void step(hsize_t first[VPSDE_H5_RANK], const hsize_t chunk[VPSDE_H5_RANK],
                 const vpsde_h5_dataset *spec)
{
    for (size_t a = spec->rank; a-- > 0;) {
        first[a] += chunk[a];
        if (first[a] < spec->dims[a]) return;
        first[a] = 0;
    }
}

/* *known: has each chunk a place of its own, of its size? */
static vpsde_status take_places(bool *known, vpsde_h5_room *room, const vpsde_h5 *file, hid_t id,
                                const vpsde_h5_dataset *spec)
{
    const size_t bytes = room->piece + CHECKSUM;
    hsize_t first[VPSDE_H5_RANK] = {0}, chunk[VPSDE_H5_RANK];
    void *unread;
    herr_t done = 0;
    *known = true;
    VPSDE_TRY(vpsde_alloc(&unread, bytes, 1));
    vpsde_h5_chunk_shape(chunk, spec);
    noted.on = true;
    for (size_t i = 0; i < room->n && *known && done >= 0; i++) {
        noted.writes = 0;
        done = H5Dwrite_chunk(id, H5P_DEFAULT, 0, first, bytes, unread);
        *known = noted.writes == 1 && noted.bytes == bytes;
        room->chunks[i] = noted.address;
        step(first, chunk, spec);
    }
    noted.on = false;
    free(unread);
    return done < 0 ? vpsde_h5_failed(file->path, spec->path) : VPSDE_OK;
}

/* Until it is adopted, for a dataset without a name would go, and its chunks with it, as it is closed. */
enum { NAME = 32 };
static void name_of(char name[NAME], const vpsde_h5_room *room)
{
    snprintf(name, NAME, "/reserved_%zu", room->number);
}

/* An HDF5 that goes about it otherwise gets its rows the ordinary way. */
static vpsde_status give_up(vpsde_h5_room *room, const vpsde_h5 *file, const char *name,
                            const vpsde_h5_dataset *spec)
{
    vpsde_h5_release(room);
    if (H5Ldelete(file->id, name, H5P_DEFAULT) >= 0) return VPSDE_OK;
    return vpsde_h5_failed(file->path, spec->path);
}

vpsde_status vpsde_h5_reserve(vpsde_h5_room *room, vpsde_h5 *file, const vpsde_h5_dataset *spec)
{
    VPSDE_TRY(vpsde_h5_start());
    hid_t id;
    bool known = false;
    char name[NAME];
    *room = (vpsde_h5_room){.number = file->reserved++};
    name_of(name, room);
    VPSDE_TRY(vpsde_h5_dataset_make(&id, file, name, spec));
    cut(room, spec);
    vpsde_status status = vpsde_alloc(&room->chunks, room->n, sizeof(*room->chunks));
    if (status == VPSDE_OK) status = take_places(&known, room, file, id, spec);
    if (H5Dclose(id) < 0 && status == VPSDE_OK) status = vpsde_h5_failed(file->path, spec->path);
    if (status == VPSDE_OK && !known) return give_up(room, file, name, spec);
    if (status != VPSDE_OK) vpsde_h5_release(room);
    return status;
}

vpsde_status vpsde_h5_adopt(vpsde_h5 *file, const vpsde_h5_dataset *spec, const vpsde_h5_room *room)
{
    VPSDE_TRY(vpsde_h5_start());
    char name[NAME];
    name_of(name, room);
    const herr_t moved = H5Lmove(file->id, name, file->id, spec->path, H5P_DEFAULT, H5P_DEFAULT);
    const hid_t id = moved < 0 ? H5I_INVALID_HID : H5Dopen2(file->id, spec->path, H5P_DEFAULT);
    if (id < 0) return vpsde_h5_failed(file->path, spec->path);
    vpsde_status status = vpsde_h5_dataset_describe(file, spec, id);
    if (H5Dclose(id) < 0 && status == VPSDE_OK) status = vpsde_h5_failed(file->path, spec->path);
    return status;
}

void vpsde_h5_release(vpsde_h5_room *room)
{
    free(room->chunks);
    *room = (vpsde_h5_room){.n = 0};
}
