#include <fcntl.h>
#include <hdf5_hl.h>
#include <math.h>
#include <string.h>

#include "core/h5_file.h"
#include "core/mem.h"

/* Chunks of about half a MiB: few enough to index, small enough for one sample's path to be read
 * alone, below HDF5's default cache of 1 MiB a dataset. */
enum { CHUNK_BYTES = 512 * 1024, FLAGS_MAX = 64, HELD_BYTES = 32 << 20 };

/* Evaluated late because the names are calls into a started library. */
static hid_t file_type(vpsde_dtype type)
{
    const hid_t types[] = {[VPSDE_F64] = H5T_IEEE_F64LE,
                           [VPSDE_F32] = H5T_IEEE_F32LE,
                           [VPSDE_I64] = H5T_STD_I64LE,
                           [VPSDE_I32] = H5T_STD_I32LE,
                           [VPSDE_U8] = H5T_STD_U8LE};
    return types[type];
}

/* Whole trailing axes while they fit, then a share of the next, then single indices. */
void vpsde_h5_chunk_shape(hsize_t chunk[VPSDE_H5_RANK], const vpsde_h5_dataset *spec)
{
    size_t bytes = vpsde_dtype_size(spec->type);
    for (size_t axis = spec->rank; axis-- > 0;) {
        const size_t room = CHUNK_BYTES / bytes > 0 ? CHUNK_BYTES / bytes : 1;
        const size_t length = spec->dims[axis] < room ? spec->dims[axis] : room;
        chunk[axis] = length;
        bytes *= length;
        if (length < spec->dims[axis] || length == 0) bytes = CHUNK_BYTES;
    }
}

size_t vpsde_h5_chunk_rows(const vpsde_h5_dataset *spec)
{
    hsize_t chunk[VPSDE_H5_RANK] = {1};
    vpsde_h5_chunk_shape(chunk, spec);
    return (size_t)chunk[0];
}

static herr_t set_fill(hid_t create, vpsde_dtype type)
{
    const double missing = (double)NAN;
    const int64_t minus_one = -1;
    const uint8_t full = 255;
    switch (type) {
    case VPSDE_F64:
    case VPSDE_F32:
        return H5Pset_fill_value(create, H5T_NATIVE_DOUBLE, &missing);
    case VPSDE_U8:
        return H5Pset_fill_value(create, H5T_NATIVE_UINT8, &full);
    default:
        return H5Pset_fill_value(create, H5T_NATIVE_INT64, &minus_one);
    }
}

static hid_t dataset_properties(const vpsde_h5_dataset *spec)
{
    hsize_t chunk[VPSDE_H5_RANK];
    vpsde_h5_chunk_shape(chunk, spec);
    const hid_t create = H5Pcreate(H5P_DATASET_CREATE);
    if (create < 0) return create;
    if (H5Pset_obj_track_times(create, 0) < 0 ||
        H5Pset_attr_creation_order(create, H5P_CRT_ORDER_TRACKED | H5P_CRT_ORDER_INDEXED) < 0 ||
        H5Pset_chunk(create, (int)spec->rank, chunk) < 0 || H5Pset_fletcher32(create) < 0 ||
        set_fill(create, spec->type) < 0 || H5Pset_fill_time(create, H5D_FILL_TIME_IFSET) < 0 ||
        H5Pset_alloc_time(create, H5D_ALLOC_TIME_INCR) < 0) {
        H5Pclose(create);
        return H5I_INVALID_HID;
    }
    return create;
}

static vpsde_status attach_scales(vpsde_h5 *file, const vpsde_h5_dataset *spec, hid_t id)
{
    if (!spec->scales[0]) {
        if (H5DSset_scale(id, strrchr(spec->path, '/') + 1) >= 0) return VPSDE_OK;
        return vpsde_h5_failed(file->path, spec->path);
    }
    for (size_t axis = 0; axis < spec->rank; axis++) {
        const hid_t scale = H5Dopen2(file->id, spec->scales[axis], H5P_DEFAULT);
        const herr_t done = scale < 0 ? -1 : H5DSattach_scale(id, scale, (unsigned)axis);
        const vpsde_status status = done < 0 ? vpsde_h5_failed(file->path, spec->path) : VPSDE_OK;
        if (scale >= 0) H5Dclose(scale);
        VPSDE_TRY(status);
    }
    return VPSDE_OK;
}

/* CF: flag_values of the variable's own type, flag_meanings as blank-separated words. */
static vpsde_status write_flags(vpsde_h5 *file, const vpsde_h5_dataset *spec)
{
    int64_t values[FLAGS_MAX];
    size_t n = 0;
    for (const char *word = spec->flag_meanings; *word; word += strspn(word, " ")) {
        if (n == FLAGS_MAX) {
            return vpsde_fail(VPSDE_EINVAL, "%s: more than %d flag meanings", spec->path,
                              FLAGS_MAX);
        }
        values[n] = (int64_t)n;
        n++;
        word += strcspn(word, " ");
    }
    VPSDE_TRY(vpsde_h5_attribute(file, spec->path, "flag_values", file_type(spec->type),
                                 H5T_NATIVE_INT64, n, values));
    return vpsde_h5_text(file, spec->path, "flag_meanings", spec->flag_meanings);
}

static vpsde_status write_attributes(vpsde_h5 *file, const vpsde_h5_dataset *spec)
{
    VPSDE_TRY(vpsde_h5_text(file, spec->path, "units", spec->units));
    VPSDE_TRY(vpsde_h5_text(file, spec->path, "description", spec->description));
    if (spec->coordinates && spec->coordinates[0]) {
        VPSDE_TRY(vpsde_h5_text(file, spec->path, "coordinates", spec->coordinates));
    }
    return spec->flag_meanings ? write_flags(file, spec) : VPSDE_OK;
}

vpsde_status vpsde_h5_dataset_make(hid_t *id, vpsde_h5 *file, const char *path,
                                   const vpsde_h5_dataset *spec)
{
    hsize_t dims[VPSDE_H5_RANK];
    for (size_t axis = 0; axis < spec->rank; axis++) dims[axis] = spec->dims[axis];
    const hid_t create = dataset_properties(spec);
    const hid_t space = H5Screate_simple((int)spec->rank, dims, NULL);
    *id = H5I_INVALID_HID;
    if (create >= 0 && space >= 0) {
        const hid_t type = file_type(spec->type);
        *id = H5Dcreate2(file->id, path, type, space, H5P_DEFAULT, create, H5P_DEFAULT);
    }
    const vpsde_status status = *id < 0 ? vpsde_h5_failed(file->path, spec->path) : VPSDE_OK;
    if (space >= 0) H5Sclose(space);
    if (create >= 0) H5Pclose(create);
    return status;
}

vpsde_status vpsde_h5_dataset_describe(vpsde_h5 *file, const vpsde_h5_dataset *spec, hid_t id)
{
    VPSDE_TRY(attach_scales(file, spec, id));
    return write_attributes(file, spec);
}

vpsde_status vpsde_h5_dataset_create(vpsde_h5 *file, const vpsde_h5_dataset *spec)
{
    VPSDE_TRY(vpsde_h5_start());
    hid_t id;
    VPSDE_TRY(vpsde_h5_dataset_make(&id, file, spec->path, spec));
    vpsde_status status = vpsde_h5_dataset_describe(file, spec, id);
    if (H5Dclose(id) < 0 && status == VPSDE_OK) status = vpsde_h5_failed(file->path, spec->path);
    return status;
}

/* Lets the disk work while more rows come, for otherwise it would begin when the file is done. */
static void write_behind(vpsde_h5 *file, size_t bytes)
{
    void *handle;
    file->held += bytes;
    if (file->held < HELD_BYTES) return;
    file->held = 0;
    if (H5Fget_vfd_handle(file->id, H5P_DEFAULT, &handle) < 0) return;
    (void)sync_file_range(*(const int *)handle, 0, 0, SYNC_FILE_RANGE_WRITE);
}

/* Selects the rows in the file and writes them from memory of the same element type. */
static vpsde_status write_rows(vpsde_h5 *file, hid_t id, hid_t space, size_t first, size_t n,
                               const void *data)
{
    hsize_t start[VPSDE_H5_RANK] = {first}, count[VPSDE_H5_RANK];
    const int rank = H5Sget_simple_extent_dims(space, count, NULL);
    if (rank < 1) return vpsde_h5_failed(file->path, "has no rows");
    count[0] = n;
    const hid_t rows = H5Screate_simple(rank, count, NULL), stored = H5Dget_type(id);
    const hid_t memory = stored < 0 ? stored : H5Tget_native_type(stored, H5T_DIR_ASCEND);
    herr_t done = -1;
    if (rows >= 0 && memory >= 0 &&
        H5Sselect_hyperslab(space, H5S_SELECT_SET, start, NULL, count, NULL) >= 0) {
        done = H5Dwrite(id, memory, rows, space, H5P_DEFAULT, data);
        write_behind(file, (size_t)H5Sget_select_npoints(rows) * H5Tget_size(memory));
    }
    const vpsde_status status =
        done < 0 ? vpsde_h5_failed(file->path, "cannot be written") : VPSDE_OK;
    if (memory >= 0) H5Tclose(memory);
    if (stored >= 0) H5Tclose(stored);
    if (rows >= 0) H5Sclose(rows);
    return status;
}

vpsde_status vpsde_h5_rows(vpsde_h5 *file, const char *path, size_t first, size_t n,
                           const void *data)
{
    VPSDE_TRY(vpsde_h5_start());
    const hid_t id = H5Dopen2(file->id, path, H5P_DEFAULT);
    const hid_t space = id < 0 ? id : H5Dget_space(id);
    vpsde_status status =
        space < 0 ? vpsde_h5_failed(file->path, path) : write_rows(file, id, space, first, n, data);
    if (space >= 0) H5Sclose(space);
    if (id >= 0 && H5Dclose(id) < 0 && status == VPSDE_OK) {
        status = vpsde_h5_failed(file->path, "cannot be written");
    }
    return status;
}
