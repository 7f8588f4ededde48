#include "core/h5_file.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/file.h"
#include "core/mem.h"

/* H5dont_atexit() has to come first of all: after a failed write (disk full) HDF5 1.10's exit
 * handler flushes again and crashes. */
static void start_once(void)
{
    (void)H5dont_atexit();
    if (H5open() >= 0) (void)H5PLset_loading_state(0);
}

vpsde_status vpsde_h5_start(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    if (pthread_once(&once, start_once) != 0 || H5Eset_auto2(H5E_DEFAULT, NULL, NULL) < 0) {
        return vpsde_fail(VPSDE_EINTERNAL, "the HDF5 library does not start");
    }
    return VPSDE_OK;
}

const char *vpsde_h5_version(void)
{
    static char text[32];
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    unsigned major = 0, minor = 0, release = 0;
    pthread_mutex_lock(&lock);
    if (!text[0] && vpsde_h5_start() == VPSDE_OK &&
        H5get_libversion(&major, &minor, &release) >= 0) {
        snprintf(text, sizeof(text), "%u.%u.%u", major, minor, release);
    }
    pthread_mutex_unlock(&lock);
    return text;
}

enum { REASON_SIZE = 256 };

/* The file driver hides the system's reason inside a longer text: "..., error message = 'No space
 * left on device', ...". */
static herr_t innermost_reason(unsigned n, const H5E_error2_t *error, void *reason)
{
    static const char marker[] = "error message = '";
    if (n > 0 || !error->desc) return 0;
    const char *text = strstr(error->desc, marker);
    const size_t length = text ? strcspn(text + strlen(marker), "'") : strlen(error->desc);
    snprintf(reason, REASON_SIZE, "%.*s", (int)length, text ? text + strlen(marker) : error->desc);
    return 0;
}

vpsde_status vpsde_h5_failed(const char *file, const char *doing)
{
    char reason[REASON_SIZE] = "no reason given";
    (void)H5Ewalk2(H5E_DEFAULT, H5E_WALK_UPWARD, innermost_reason, reason);
    return vpsde_fail(VPSDE_EIO, "%s: %s: %s", file, doing, reason);
}

/* Low bound V18: any HDF5 since 2008 reads it, and attributes may pass 64 kB. */
static hid_t create_file(const char *path, hid_t driver)
{
    const unsigned order = H5P_CRT_ORDER_TRACKED | H5P_CRT_ORDER_INDEXED;
    const hid_t access = H5Pcreate(H5P_FILE_ACCESS), create = H5Pcreate(H5P_FILE_CREATE);
    hid_t id = H5I_INVALID_HID;
    if (access >= 0 && create >= 0 && (driver == 0 || H5Pset_driver(access, driver, NULL) >= 0) &&
        H5Pset_libver_bounds(access, H5F_LIBVER_V18, H5F_LIBVER_V110) >= 0 &&
        H5Pset_fclose_degree(access, H5F_CLOSE_STRONG) >= 0 &&
        H5Pset_obj_track_times(create, 0) >= 0 && H5Pset_link_creation_order(create, order) >= 0 &&
        H5Pset_attr_creation_order(create, order) >= 0) {
        id = H5Fcreate(path, H5F_ACC_TRUNC, create, access);
    }
    if (id < 0) (void)vpsde_h5_failed(path, "cannot be created");
    if (create >= 0) H5Pclose(create);
    if (access >= 0) H5Pclose(access);
    return id;
}

vpsde_status vpsde_h5_create(vpsde_h5 **out, const char *path)
{
    return vpsde_h5_create_on(out, path, 0);
}

vpsde_status vpsde_h5_create_on(vpsde_h5 **out, const char *path, hid_t driver)
{
    *out = NULL;
    VPSDE_TRY(vpsde_h5_start());
    vpsde_h5 *file;
    VPSDE_TRY(vpsde_alloc(&file, 1, sizeof(*file)));
    vpsde_status status = vpsde_strdup(&file->path, path);
    if (status == VPSDE_OK) {
        file->id = create_file(path, driver);
        if (file->id < 0) status = VPSDE_EIO;
    }
    if (status != VPSDE_OK) {
        free(file->path);
        free(file);
        return status;
    }
    *out = file;
    return VPSDE_OK;
}

vpsde_status vpsde_h5_close(vpsde_h5 *file)
{
    if (!file) return VPSDE_OK;
    vpsde_status status = vpsde_h5_start();
    if (status == VPSDE_OK && H5Fflush(file->id, H5F_SCOPE_GLOBAL) < 0) {
        status = vpsde_h5_failed(file->path, "cannot be written");
    }
    if (H5Fclose(file->id) < 0 && status == VPSDE_OK) {
        status = vpsde_h5_failed(file->path, "cannot be closed");
    }
    free(file->path);
    free(file);
    return status;
}

static hid_t group_properties(void)
{
    const unsigned order = H5P_CRT_ORDER_TRACKED | H5P_CRT_ORDER_INDEXED;
    const hid_t create = H5Pcreate(H5P_GROUP_CREATE);
    if (create < 0) return create;
    if (H5Pset_obj_track_times(create, 0) < 0 || H5Pset_link_creation_order(create, order) < 0 ||
        H5Pset_attr_creation_order(create, order) < 0) {
        H5Pclose(create);
        return H5I_INVALID_HID;
    }
    return create;
}

static vpsde_status make_group(vpsde_h5 *file, const char *path)
{
    const htri_t there = H5Lexists(file->id, path, H5P_DEFAULT);
    if (there > 0) return VPSDE_OK;
    const hid_t create = there < 0 ? there : group_properties();
    const hid_t id =
        create < 0 ? create : H5Gcreate2(file->id, path, H5P_DEFAULT, create, H5P_DEFAULT);
    const vpsde_status status = id < 0 ? vpsde_h5_failed(file->path, path) : VPSDE_OK;
    if (id >= 0) H5Gclose(id);
    if (create >= 0) H5Pclose(create);
    return status;
}

vpsde_status vpsde_h5_group(vpsde_h5 *file, const char *path)
{
    VPSDE_TRY(vpsde_h5_start());
    char *part;
    VPSDE_TRY(vpsde_strdup(&part, path));
    vpsde_status status = VPSDE_OK;
    for (char *slash = part; status == VPSDE_OK && (slash = strchr(slash + 1, '/')); *slash = '/') {
        *slash = '\0';
        status = make_group(file, part);
    }
    if (status == VPSDE_OK && strcmp(part, "/") != 0) status = make_group(file, part);
    free(part);
    return status;
}

vpsde_status vpsde_h5_attribute(vpsde_h5 *file, const char *object, const char *name,
                                hid_t file_type, hid_t memory_type, size_t n, const void *value)
{
    VPSDE_TRY(vpsde_h5_start());
    const hsize_t dim = n;
    const hid_t space = n > 0 ? H5Screate_simple(1, &dim, NULL) : H5Screate(H5S_SCALAR);
    const hid_t holder = H5Oopen(file->id, object, H5P_DEFAULT);
    hid_t id = H5I_INVALID_HID;
    vpsde_status status = VPSDE_OK;
    if (space >= 0 && holder >= 0 &&
        (H5Aexists(holder, name) <= 0 || H5Adelete(holder, name) >= 0)) {
        id = H5Acreate2(holder, name, file_type, space, H5P_DEFAULT, H5P_DEFAULT);
    }
    if (id < 0 || H5Awrite(id, memory_type, value) < 0) {
        (void)vpsde_h5_failed(object, name);
        status = vpsde_fail_in(VPSDE_EIO, "%s: attribute", file->path);
    }
    if (id >= 0 && H5Aclose(id) < 0 && status == VPSDE_OK) {
        status = vpsde_h5_failed(file->path, name);
    }
    if (holder >= 0) H5Oclose(holder);
    if (space >= 0) H5Sclose(space);
    return status;
}

/* Fixed-length UTF-8; "" takes one byte because HDF5 knows no shorter text. */
static hid_t text_type(size_t length)
{
    const hid_t type = H5Tcopy(H5T_C_S1);
    if (type < 0) return type;
    if (H5Tset_size(type, length + 1) < 0 || H5Tset_strpad(type, H5T_STR_NULLTERM) < 0 ||
        H5Tset_cset(type, H5T_CSET_UTF8) < 0) {
        H5Tclose(type);
        return H5I_INVALID_HID;
    }
    return type;
}

vpsde_status vpsde_h5_text(vpsde_h5 *file, const char *object, const char *name, const char *text)
{
    VPSDE_TRY(vpsde_h5_start());
    const hid_t type = text_type(strlen(text));
    if (type < 0) return vpsde_h5_failed(file->path, name);
    const vpsde_status status = vpsde_h5_attribute(file, object, name, type, type, 0, text);
    H5Tclose(type);
    return status;
}

vpsde_status vpsde_h5_number(vpsde_h5 *file, const char *object, const char *name, double number)
{
    VPSDE_TRY(vpsde_h5_start()); /* the H5T_ names are calls */
    return vpsde_h5_attribute(file, object, name, H5T_IEEE_F64LE, H5T_NATIVE_DOUBLE, 0, &number);
}

vpsde_status vpsde_h5_int(vpsde_h5 *file, const char *object, const char *name, int64_t number)
{
    VPSDE_TRY(vpsde_h5_start());
    return vpsde_h5_attribute(file, object, name, H5T_STD_I64LE, H5T_NATIVE_INT64, 0, &number);
}

vpsde_status vpsde_h5_uint(vpsde_h5 *file, const char *object, const char *name, uint64_t number)
{
    VPSDE_TRY(vpsde_h5_start());
    return vpsde_h5_attribute(file, object, name, H5T_STD_U64LE, H5T_NATIVE_UINT64, 0, &number);
}

/* Reads the text of an open attribute; variable-length ones (other writers) count as well. */
static vpsde_status attribute_text(char **text, hid_t attribute, hid_t type, size_t most)
{
    if (H5Tget_class(type) != H5T_STRING) return vpsde_fail(VPSDE_EDATA, "it is not text");
    if (H5Tis_variable_str(type) > 0) {
        char *value = NULL;
        const hid_t space = H5Aget_space(attribute);
        vpsde_status status = VPSDE_EDATA;
        if (space >= 0 && H5Sget_simple_extent_npoints(space) == 1 &&
            H5Aread(attribute, type, &value) >= 0) {
            status = vpsde_strdup(text, value ? value : "");
            H5Dvlen_reclaim(type, space, H5P_DEFAULT, &value);
        } else {
            (void)vpsde_fail(VPSDE_EDATA, "it is not one text");
        }
        if (space >= 0) H5Sclose(space);
        return status;
    }
    const size_t size = H5Tget_size(type);
    if (H5Aget_storage_size(attribute) != size)
        return vpsde_fail(VPSDE_EDATA, "it is not one text");
    if (size > most) return vpsde_fail(VPSDE_EDATA, "it is longer than the file");
    VPSDE_TRY(vpsde_alloc(text, size + 1, 1));
    if (H5Aread(attribute, type, *text) >= 0) return VPSDE_OK;
    free(*text);
    *text = NULL;
    return vpsde_fail(VPSDE_EDATA, "it cannot be read");
}

vpsde_status vpsde_h5_read_text(char **text, const char *file, const char *object, const char *name)
{
    *text = NULL;
    VPSDE_TRY(vpsde_h5_start());
    int fd;
    size_t size;
    VPSDE_TRY(vpsde_file_open(&fd, &size, file)); /* for the system's own reason */
    close(fd);
    const hid_t id = H5Fopen(file, H5F_ACC_RDONLY, H5P_DEFAULT);
    if (id < 0) {
        (void)vpsde_h5_failed(file, "is not an HDF5 file that can be read");
        return VPSDE_EDATA;
    }
    const hid_t attribute = H5Aopen_by_name(id, object, name, H5P_DEFAULT, H5P_DEFAULT);
    const hid_t type = attribute < 0 ? H5I_INVALID_HID : H5Aget_type(attribute);
    vpsde_status status = VPSDE_EDATA;
    if (type < 0) {
        (void)vpsde_fail(VPSDE_EDATA, "it is not there");
    } else {
        status = attribute_text(text, attribute, type, size);
    }
    if (type >= 0) H5Tclose(type);
    if (attribute >= 0) H5Aclose(attribute);
    H5Fclose(id);
    if (status == VPSDE_OK) return status;
    return vpsde_fail_in(status, "%s: text attribute %s of %s", file, name, object);
}
