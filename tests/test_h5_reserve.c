/* Places that HDF5 takes for chunks: each call to HDF5 fails in turn, once or with all after it, and an
 * HDF5 that tells another thing of a chunk than it should is seen through. */
#include "tests/check.h"

#include <hdf5.h>
#include <stdlib.h>
#include <unistd.h>

#include "core/h5.h"

enum { CHUNKED = 300000 };

static char path[64];

static struct {
    size_t calls, at; /* at 0: none fails */
    bool persistent;
    enum { CHUNK_WRITTEN, CHUNK_SHORT, CHUNK_FORGOTTEN } chunk;
} hdf5;

static bool fails(void)
{
    const size_t call = ++hdf5.calls;
    return hdf5.at > 0 && (hdf5.persistent ? call >= hdf5.at : call == hdf5.at);
}

#define HDF5_WRAP(type, nothing, name, parameters, arguments)                                      \
    type __real_##name parameters;                                                                 \
    type __wrap_##name parameters;                                                                 \
    type __wrap_##name parameters { return fails() ? (nothing) : __real_##name arguments; }
/* Closes in any case. */
#define HDF5_WRAP_CLOSE(name, type)                                                                \
    herr_t __real_##name(type);                                                                    \
    herr_t __wrap_##name(type);                                                                    \
    herr_t __wrap_##name(type object)                                                              \
    {                                                                                              \
        const herr_t closed = __real_##name(object);                                               \
        return fails() ? -1 : closed;                                                              \
    }

HDF5_WRAP(hid_t, -1, H5Pcreate, (hid_t class), (class))
HDF5_WRAP(herr_t, -1, H5Pset_fapl_sec2, (hid_t access), (access))
HDF5_WRAP(herr_t, -1, H5Eset_auto2, (hid_t stack, H5E_auto2_t tell, void *context),
          (stack, tell, context))
HDF5_WRAP(H5FD_t *, NULL, H5FDopen, (const char *file, unsigned flags, hid_t access, haddr_t end),
          (file, flags, access, end))
HDF5_WRAP(hid_t, -1, H5FDregister, (const H5FD_class_t *class), (class))
HDF5_WRAP(hid_t, -1, H5Dcreate2,
          (hid_t file, const char *name, hid_t type, hid_t space, hid_t link, hid_t create,
           hid_t access),
          (file, name, type, space, link, create, access))
HDF5_WRAP(hid_t, -1, H5Dopen2, (hid_t file, const char *name, hid_t access), (file, name, access))
HDF5_WRAP(herr_t, -1, H5Lmove,
          (hid_t file, const char *name, hid_t other, const char *to, hid_t create, hid_t access),
          (file, name, other, to, create, access))
HDF5_WRAP(herr_t, -1, H5Ldelete, (hid_t file, const char *name, hid_t access), (file, name, access))
HDF5_WRAP(hid_t, -1, H5Acreate2,
          (hid_t object, const char *name, hid_t type, hid_t space, hid_t create, hid_t access),
          (object, name, type, space, create, access))
HDF5_WRAP_CLOSE(H5FDclose, H5FD_t *)
HDF5_WRAP_CLOSE(H5Dclose, hid_t)

herr_t __real_H5Dwrite_chunk(hid_t id, hid_t transfer, uint32_t filters, const hsize_t *first,
                             size_t bytes, const void *data);
herr_t __wrap_H5Dwrite_chunk(hid_t id, hid_t transfer, uint32_t filters, const hsize_t *first,
                             size_t bytes, const void *data);
herr_t __wrap_H5Dwrite_chunk(hid_t id, hid_t transfer, uint32_t filters, const hsize_t *first,
                             size_t bytes, const void *data)
{
    const size_t given = bytes - (hdf5.chunk == CHUNK_SHORT);
    herr_t done = 0;
    if (hdf5.chunk != CHUNK_FORGOTTEN)
        done = __real_H5Dwrite_chunk(id, transfer, filters, first, given, data);
    return fails() ? -1 : done;
}

static const vpsde_h5_dataset spec = {.path = "/x",
                                      .units = "1",
                                      .description = "places",
                                      .type = VPSDE_F64,
                                      .rank = 1,
                                      .dims = {CHUNKED}};

/* Reserves, and adopts what has got its places. */
static vpsde_status use(void)
{
    vpsde_h5 *file;
    vpsde_h5_room room = {.n = 0};
    VPSDE_TRY(vpsde_h5_create_roomy(&file, path));
    vpsde_status status = vpsde_h5_reserve(&room, file, &spec);
    if (status == VPSDE_OK && room.n > 0) status = vpsde_h5_adopt(file, &spec, &room);
    if (status == VPSDE_OK && (room.n > 1) != (hdf5.chunk == CHUNK_WRITTEN)) {
        status = vpsde_fail(VPSDE_EDATA, "%zu chunks", room.n);
    }
    vpsde_h5_release(&room);
    const vpsde_status closed = vpsde_h5_close(file);
    return status != VPSDE_OK ? status : closed;
}

static void fail_each(bool persistent)
{
    hdf5.persistent = persistent;
    do {
        hdf5.at++;
        hdf5.calls = 0;
        const vpsde_status status = use();
        if (status != VPSDE_OK && status != VPSDE_EINTERNAL) assert_fails(status, VPSDE_EIO, "");
    } while (hdf5.calls >= hdf5.at);
    print_message("%zu calls failed\n", hdf5.at - 1);
    hdf5.at = 0;
    assert_ok(use());
}

/* The driver is made once: the first round fails that too, the others all that comes behind it. */
static void each_failure_is_told(void **state)
{
    (void)state;
    for (size_t round = 0; round < 3; round++) fail_each(round != 1);
}

/* So many chunks that HDF5 writes out some of their index while they get their places: 32 GB, of which
 * nothing is written. */
static void an_index_may_be_large(void **state)
{
    (void)state;
    const vpsde_h5_dataset large = {
        .path = "/x", .type = VPSDE_F64, .rank = 2, .dims = {(size_t)1 << 15, (size_t)1 << 17}};
    vpsde_h5 *file;
    vpsde_h5_room room;
    assert_ok(vpsde_h5_create_roomy(&file, path));
    assert_ok(vpsde_h5_reserve(&room, file, &large));
    assert_true(room.n >= large.dims[0] / 4);
    print_message("%zu chunks of %zu bytes\n", room.n, room.piece);
    vpsde_h5_release(&room);
    assert_ok(vpsde_h5_close(file));
}

static void unknown_places_are_given_up(void **state)
{
    (void)state;
    for (hdf5.chunk = CHUNK_SHORT; hdf5.chunk <= CHUNK_FORGOTTEN; hdf5.chunk++) {
        fail_each(false);
        fail_each(true);
    }
    hdf5.chunk = CHUNK_WRITTEN;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_failure_is_told),
        cmocka_unit_test(unknown_places_are_given_up),
        cmocka_unit_test(an_index_may_be_large),
    };
    snprintf(path, sizeof(path), "%s/vpsde-reserve-XXXXXX",
             access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    const int fd = mkstemp(path);
    if (fd < 0) return 1;
    close(fd);
    const int failed = cmocka_run_group_tests(tests, NULL, NULL);
    unlink(path);
    return failed;
}
