/* Chunks that have their places before they have values. HDF5 reserves them all when a dataset is made
 * to allocate early, but cannot leave out filling them where a filter is on: its driver for files of
 * this machine is taken with a write that, while a dataset is made, notes where raw data would go. The
 * values, each chunk's followed by its checksum, then need no HDF5. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/h5_file.h"
#include "core/mem.h"

enum { CHECKSUM = 4 };

static _Thread_local struct {
    uint64_t *chunks; /* NULL: nothing is being reserved */
    size_t n, room;
} reserving;

static herr_t (*write_through)(H5FD_t *, H5FD_mem_t, hid_t, haddr_t, size_t, const void *);

static herr_t note_or_write(H5FD_t *file, H5FD_mem_t type, hid_t transfer, haddr_t address,
                            size_t size, const void *data)
{
    if (!reserving.chunks || type != H5FD_MEM_DRAW) {
        return write_through(file, type, transfer, address, size, data);
    }
    if (reserving.n < reserving.room) reserving.chunks[reserving.n] = address;
    reserving.n++;
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
    static hid_t driver = 0;
    *out = NULL;
    VPSDE_TRY(vpsde_h5_start());
    if (driver <= 0) driver = make_driver(path);
    if (driver < 0) return vpsde_h5_failed(path, "cannot be created");
    return vpsde_h5_create_on(out, path, driver);
}

/* Chunks come in the order of their rows; the last one, asked for by HDF5's own index, says so. */
static bool in_order(hid_t id, const vpsde_h5_dataset *spec, const vpsde_h5_room *room)
{
    hsize_t chunk[VPSDE_H5_RANK], last[VPSDE_H5_RANK], size = 0;
    haddr_t address = HADDR_UNDEF;
    unsigned mask = 1;
    vpsde_h5_chunk_shape(chunk, spec);
    for (size_t a = 0; a < spec->rank; a++) last[a] = (spec->dims[a] - 1) / chunk[a] * chunk[a];
    return H5Dget_chunk_info_by_coord(id, last, &mask, &address, &size) >= 0 && mask == 0 &&
           address == room->chunks[room->n - 1] && size == room->piece + CHECKSUM;
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

/* Until it is adopted, for a dataset without a name would go, and its chunks with it, as it is closed. */
enum { NAME = 32 };
static void name_of(char name[NAME], const vpsde_h5_room *room)
{
    snprintf(name, NAME, "/reserved_%zu", room->number);
}

vpsde_status vpsde_h5_reserve(vpsde_h5_room *room, vpsde_h5 *file, const vpsde_h5_dataset *spec)
{
    VPSDE_TRY(vpsde_h5_start());
    hid_t id;
    char name[NAME];
    room->number = file->reserved++;
    name_of(name, room);
    cut(room, spec);
    VPSDE_TRY(vpsde_alloc(&room->chunks, room->n, sizeof(*room->chunks)));
    reserving.chunks = room->chunks;
    reserving.room = room->n;
    reserving.n = 0;
    vpsde_status status = vpsde_h5_dataset_make(&id, file, name, spec, true);
    reserving.chunks = NULL;
    if (status == VPSDE_OK && (reserving.n != room->n || !in_order(id, spec, room))) {
        status = vpsde_fail(VPSDE_EINTERNAL, "%s: HDF5 reserves %zu chunks, not %zu in a row",
                            file->path, reserving.n, room->n);
    }
    if (id >= 0 && H5Dclose(id) < 0 && status == VPSDE_OK) {
        status = vpsde_h5_failed(file->path, spec->path);
    }
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
