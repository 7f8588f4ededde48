#include "tests/scratch.h"

#include <hdf5.h>

#include "core/data.h"
#include "core/h5.h"
#include "core/h5_read.h"

static const float values[12] = {2.385f, -1, 0.5f, 1e-3f, 7, 8, 9, 10, 11, 12, 13, 14};

static hid_t create(const char *name)
{
    const hid_t file = H5Fcreate(scratch_path(name), H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
    assert_true(file >= 0);
    return file;
}

/* A dataset of `type` and shape `dims`, properties `plist`; values written when given. */
static void put(hid_t at, const char *name, hid_t type, int rank, const hsize_t *dims, hid_t plist,
                const float *from)
{
    const hid_t space = H5Screate_simple(rank, dims, NULL);
    const hid_t set = H5Dcreate2(at, name, type, space, H5P_DEFAULT, plist, H5P_DEFAULT);
    assert_true(space >= 0 && set >= 0);
    if (from) {
        assert_true(H5Dwrite(set, H5T_NATIVE_FLOAT, H5S_ALL, H5S_ALL, H5P_DEFAULT, from) >= 0);
    }
    H5Dclose(set);
    H5Sclose(space);
}

static hid_t chunked(const hsize_t *chunk, int deflate)
{
    const hid_t plist = H5Pcreate(H5P_DATASET_CREATE);
    assert_true(H5Pset_chunk(plist, 2, chunk) >= 0);
    if (deflate) assert_true(H5Pset_shuffle(plist) >= 0 && H5Pset_deflate(plist, 6) >= 0);
    if (deflate) assert_true(H5Pset_fletcher32(plist) >= 0);
    return plist;
}

static void an_axis_of_no_length_is_refused(void **state)
{
    (void)state;
    vpsde_h5 *file;
    vpsde_h5_dataset row = {
        .path = "/row", .units = "1", .description = "rows", .rank = 1, .dims = {2}};
    const vpsde_h5_dataset none = {.path = "/none",
                                   .units = "1",
                                   .description = "no column",
                                   .rank = 2,
                                   .dims = {2, 0},
                                   .scales = {"/row", "/row"}};
    assert_ok(vpsde_h5_create(&file, scratch_path("none.h5")));
    assert_ok(vpsde_h5_dataset_create(file, &row));
    assert_int_equal(vpsde_h5_dataset_create(file, &none), VPSDE_EIO);
    assert_ok(vpsde_h5_close(file));
}

static const hsize_t shape[2] = {4, 3}, chunk[2] = {3, 2};

static vpsde_status open_dataset(vpsde_data **data, const char *file, const char *dataset)
{
    char path[3 * SCRATCH_PATH];
    snprintf(path, sizeof(path), "%s:%s", scratch_path(file), dataset);
    return vpsde_data_open(data, path);
}

static vpsde_status try_dataset(const char *file, const char *dataset)
{
    vpsde_data *data;
    const vpsde_status status = open_dataset(&data, file, dataset);
    vpsde_data_close(data);
    return status;
}

static void reads_layouts_and_types(void **state)
{
    static const struct {
        const char *name;
        hid_t *type;
        int compressed;
        double second;
    } cases[] = {
        {"/g/plain", &H5T_IEEE_F32LE_g, 0, -1},
        {"/g/packed", &H5T_IEEE_F32LE_g, 1, -1},
        {"/g/double", &H5T_IEEE_F64LE_g, 1, -1},
        {"/g/big", &H5T_IEEE_F64BE_g, 0, -1},
        {"/g/short", &H5T_STD_I16BE_g, 1, -1},
        {"/g/long", &H5T_STD_I64LE_g, 0, -1},
        {"/g/byte", &H5T_STD_U8LE_g, 0, 0 /* clipped */},
    };
    double out[12];
    (void)state;
    const hid_t file = create("a.h5"), plist = chunked(chunk, 1);
    H5Gclose(H5Gcreate2(file, "g", H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT));
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        put(file, cases[i].name, *cases[i].type, 2, shape,
            cases[i].compressed ? plist : H5P_DEFAULT, values);
    }
    H5Pclose(plist);
    H5Fclose(file);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        vpsde_data *data;
        assert_ok(open_dataset(&data, "a.h5", cases[i].name));
        assert_int_equal(vpsde_data_rows(data), 4);
        assert_int_equal(vpsde_data_dim(data), 3);
        assert_int_equal(strlen(vpsde_data_sha256(data)), 64);
        assert_int_equal(vpsde_data_is_8bit(data), i == 6);
        assert_ok(vpsde_data_read(data, out, 0, 4, 1, 0));
        assert_true(out[1] == cases[i].second && out[11] == 14);
        vpsde_data_close(data);
    }
}

static void reads_as_double_with_shape(void **state)
{
    vpsde_h5_input input;
    double out[12];
    (void)state;
    const hid_t file = create("b.hdf5"), scalar = H5Screate(H5S_SCALAR);
    put(file, "x", H5T_IEEE_F32LE, 2, shape, H5P_DEFAULT, values);
    const hid_t set =
        H5Dcreate2(file, "one", H5T_STD_I32LE, scalar, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    assert_true(H5Dwrite(set, H5T_NATIVE_FLOAT, H5S_ALL, H5S_ALL, H5P_DEFAULT, values + 4) >= 0);
    H5Dclose(set);
    H5Sclose(scalar);
    H5Fclose(file);
    assert_ok(vpsde_h5_input_open(&input, scratch_path("b.hdf5"), "x"));
    assert_int_equal(input.rank, 2);
    assert_int_equal(input.dims[1], 3);
    assert_int_equal(input.count, 12);
    assert_int_equal(input.size, 4);
    assert_ok(vpsde_h5_input_read_double(&input, out));
    for (size_t e = 0; e < 12; e++) assert_true(out[e] == (double)values[e]);
    vpsde_h5_input_close(&input);
    assert_ok(vpsde_h5_input_open(&input, scratch_path("b.hdf5"), "/one"));
    assert_int_equal(input.rank, 0);
    assert_ok(vpsde_h5_input_read_double(&input, out));
    assert_true(out[0] == 7);
    vpsde_h5_input_close(&input);
    assert_fails(try_dataset("b.hdf5", "/one"), VPSDE_EDATA, "a single number, expected rows");
}

/* A link whose meaning is the program's own. */
static const H5L_type_t user_type = H5L_TYPE_UD_MIN;
static size_t followed;

static hid_t follow(const char *name, hid_t group, const void *value, size_t bytes, hid_t access)
{
    (void)name, (void)value, (void)bytes;
    followed++;
    return H5Oopen(group, "g", access);
}

static const H5L_class_t user_link = {
    .version = 0, .id = H5L_TYPE_UD_MIN, .trav_func = (H5L_traverse_func_t)(void (*)(void))follow};

static void refuses_links(void **state)
{
    (void)state;
    hid_t file = create("target.h5");
    put(file, "x", H5T_IEEE_F32LE, 2, shape, H5P_DEFAULT, values);
    H5Fclose(file);
    file = create("links.h5");
    H5Gclose(H5Gcreate2(file, "g", H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT));
    put(file, "g/x", H5T_IEEE_F32LE, 2, shape, H5P_DEFAULT, values);
    H5Lcreate_soft("/g", file, "soft", H5P_DEFAULT, H5P_DEFAULT);
    H5Lcreate_soft("/loop", file, "loop", H5P_DEFAULT, H5P_DEFAULT);
    H5Lcreate_external(scratch_path("target.h5"), "/x", file, "external", H5P_DEFAULT, H5P_DEFAULT);
    H5Lcreate_hard(file, "/g/x", file, "hard", H5P_DEFAULT, H5P_DEFAULT);
    assert_true(H5Lregister(&user_link) >= 0);
    assert_true(H5Lcreate_ud(file, "user", user_type, NULL, 0, H5P_DEFAULT, H5P_DEFAULT) >= 0);
    H5Fclose(file);
    assert_ok(try_dataset("links.h5", "/g/x"));
    assert_ok(try_dataset("links.h5", "/hard"));
    assert_fails(try_dataset("links.h5", "/soft/x"), VPSDE_EDATA, "links are not followed");
    assert_fails(try_dataset("links.h5", "/loop"), VPSDE_EDATA, "links are not followed");
    assert_fails(try_dataset("links.h5", "/external"), VPSDE_EDATA, "links are not followed");
    assert_fails(try_dataset("links.h5", "/user"), VPSDE_EDATA, "links are not followed");
    assert_fails(try_dataset("links.h5", "/user/x"), VPSDE_EDATA, "links are not followed");
    assert_true(H5Lunregister(user_type) >= 0);
    assert_int_equal(followed, 0);
    assert_fails(try_dataset("links.h5", "/g"), VPSDE_EDATA, "a dataset was expected");
    assert_fails(try_dataset("links.h5", "/g/y"), VPSDE_EDATA, "no such dataset");
    assert_fails(try_dataset("links.h5", "/g/x/y"), VPSDE_EDATA, "no such dataset");
    assert_fails(try_dataset("links.h5", "/"), VPSDE_EDATA, "a dataset was expected");
}

static void refuses_storage(void **state)
{
    const hsize_t huge[2] = {1u << 30, 1u << 30}, wraps[2] = {1ull << 62, 4},
                  wide[2] = {1u << 20, 65};
    const hsize_t tall[2] = {1u << 21, 65}, deep[6] = {1, 1, 1, 1, 1, 1};
    (void)state;
    const hid_t file = create("storage.h5");
    put(file, "huge", H5T_IEEE_F32LE, 2, huge, H5P_DEFAULT, NULL);
    put(file, "unwritten", H5T_IEEE_F32LE, 2, shape, H5P_DEFAULT, NULL);
    put(file, "deep", H5T_IEEE_F32LE, 6, deep, H5P_DEFAULT, values);
    hid_t plist = chunked(chunk, 0);
    put(file, "sparse", H5T_IEEE_F32LE, 2, huge, plist, NULL);
    put(file, "wraps", H5T_IEEE_F32LE, 2, wraps, plist, NULL);
    H5Pclose(plist);
    plist = chunked(chunk, 1);
    put(file, "bomb", H5T_IEEE_F32LE, 2, huge, plist, NULL);
    H5Pclose(plist);
    plist = chunked(wide, 1);
    put(file, "wide", H5T_IEEE_F32LE, 2, tall, plist, NULL);
    H5Pclose(plist);
    plist = chunked(chunk, 0);
    assert_true(H5Pset_scaleoffset(plist, H5Z_SO_INT, 0) >= 0);
    put(file, "filter", H5T_STD_I32LE, 2, shape, plist, values);
    H5Pclose(plist);
    plist = H5Pcreate(H5P_DATASET_CREATE);
    assert_true(H5Pset_external(plist, scratch_path("raw"), 0, 48) >= 0);
    put(file, "outside", H5T_IEEE_F32LE, 2, shape, plist, values);
    H5Pclose(plist);
    plist = H5Pcreate(H5P_DATASET_CREATE);
    const hid_t space = H5Screate_simple(2, shape, NULL);
    assert_true(H5Pset_virtual(plist, space, scratch_path("a.h5"), "/g/plain", space) >= 0);
    put(file, "virtual", H5T_IEEE_F32LE, 2, shape, plist, NULL);
    H5Pclose(plist);
    H5Sclose(space);
    H5Fclose(file);
    assert_fails(try_dataset("storage.h5", "/huge"), VPSDE_EDATA, "its shape needs");
    assert_fails(try_dataset("storage.h5", "/unwritten"), VPSDE_EDATA, "48 bytes, 0 are stored");
    assert_fails(try_dataset("storage.h5", "/sparse"), VPSDE_EDATA, "its shape needs");
    assert_fails(try_dataset("storage.h5", "/bomb"), VPSDE_EDATA, "its shape needs");
    assert_fails(try_dataset("storage.h5", "/wraps"), VPSDE_EDATA, "does not fit this machine");
    assert_fails(try_dataset("storage.h5", "/deep"), VPSDE_EDATA, "6 axes, at most 5");
    assert_fails(try_dataset("storage.h5", "/wide"), VPSDE_EDATA, "larger than 256 MiB");
    assert_fails(try_dataset("storage.h5", "/filter"), VPSDE_EDATA, "HDF5 filter 6 is not read");
    assert_fails(try_dataset("storage.h5", "/outside"), VPSDE_EDATA, "external raw data");
    assert_fails(try_dataset("storage.h5", "/virtual"), VPSDE_EDATA, "virtual datasets");
}

static void refuses_types_and_values(void **state)
{
    const float gaps[12] = {1, 2, 3, 4, (float)NAN};
    (void)state;
    const hid_t file = create("types.h5"), text = H5Tcopy(H5T_C_S1), null = H5Screate(H5S_NULL);
    const hid_t compound = H5Tcreate(H5T_COMPOUND, 8);
    H5Tset_size(text, 8);
    H5Tinsert(compound, "a", 0, H5T_NATIVE_DOUBLE);
    put(file, "text", text, 2, shape, H5P_DEFAULT, NULL);
    put(file, "compound", compound, 2, shape, H5P_DEFAULT, NULL);
    put(file, "bits", H5T_STD_B32LE, 2, shape, H5P_DEFAULT, NULL);
    put(file, "long", H5T_NATIVE_LDOUBLE, 2, shape, H5P_DEFAULT, values);
    put(file, "gaps", H5T_IEEE_F32LE, 2, shape, H5P_DEFAULT, gaps);
    put(file, "none", H5T_IEEE_F32LE, 2, (const hsize_t[]){0, 3}, H5P_DEFAULT, NULL);
    H5Dclose(H5Dcreate2(file, "null", H5T_IEEE_F32LE, null, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT));
    H5Sclose(null);
    H5Tclose(text);
    H5Tclose(compound);
    H5Fclose(file);
    assert_fails(try_dataset("types.h5", "/text"), VPSDE_EDATA, "class 3 and 8 bytes, expected");
    assert_fails(try_dataset("types.h5", "/compound"), VPSDE_EDATA, "class 6 and 8 bytes");
    assert_fails(try_dataset("types.h5", "/bits"), VPSDE_EDATA, "class 4 and 4 bytes");
    assert_fails(try_dataset("types.h5", "/long"), VPSDE_EDATA, "class 1 and 16 bytes");
    assert_fails(try_dataset("types.h5", "/gaps"), VPSDE_EDATA, "row 1 holds NaN or Inf (1 of 4");
    assert_fails(try_dataset("types.h5", "/none"), VPSDE_EDATA, "0 rows of 3 values");
    assert_fails(try_dataset("types.h5", "/null"), VPSDE_EDATA, "it holds no values");
}

static void refuses_files(void **state)
{
    unsigned char bytes[8192];
    vpsde_data *data;
    (void)state;
    const hid_t file = create("whole.h5");
    put(file, "x", H5T_IEEE_F32LE, 2, shape, H5P_DEFAULT, values);
    H5Fclose(file);
    assert_fails(try_dataset("absent.h5", "/x"), VPSDE_EDATA, "cannot be read: No such file");
    scratch_write("text.h5", "hello", 5);
    assert_fails(try_dataset("text.h5", "/x"), VPSDE_EDATA, "text.h5: opening: ");
    assert_fails(vpsde_data_open(&data, scratch_path("whole.h5")), VPSDE_EDATA, "name the dataset");
    const size_t n = scratch_read(bytes, sizeof(bytes), scratch_path("whole.h5"));
    for (size_t length = 0; length < n; length += 97) {
        scratch_write("cut.h5", bytes, length);
        assert_fails(try_dataset("cut.h5", "/x"), VPSDE_EDATA, "cut.h5: ");
    }
    assert_int_equal(H5Fget_obj_count((hid_t)H5F_OBJ_ALL, H5F_OBJ_ALL), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_axis_of_no_length_is_refused),
        cmocka_unit_test(reads_layouts_and_types),
        cmocka_unit_test(reads_as_double_with_shape),
        cmocka_unit_test(refuses_links),
        cmocka_unit_test(refuses_storage),
        cmocka_unit_test(refuses_types_and_values),
        cmocka_unit_test(refuses_files),
    };
    if (H5open() < 0 || H5Eset_auto2(H5E_DEFAULT, NULL, NULL) < 0) return 1;
    return cmocka_run_group_tests(tests, scratch_setup, scratch_teardown);
}
