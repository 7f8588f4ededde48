/* The parsers and the part store when memory ends or the disk fails: each allocation and each call to
 * the system fails in turn, and what was read is right or the status says why not. */
#include "tests/faulty.h"

#include <fcntl.h>
#include <zlib.h>

#include "core/config_diff.h"
#include "core/data.h"
#include "core/json.h"
#include "core/number.h"
#include "core/safetensors_set.h"
#include "core/sha256.h"
#include "experiments/run_manifest.h"
#include "experiments/run_parts_impl.h"
#include "experiments/run_placed.h"
#include "tests/config_schema.h"
#include "tests/scratch.h"

enum { PAD_FIRST = 12 << 10, PAD_LAST = 33 << 10 };

static const char *root_folder;
static size_t padding;
static char config_text[PAD_LAST + 2000];

static const char more[] = "grid: karras\nfields: [eps, x]\nrange: [0, 1]\nsizes: [28, 28]\n"
                           "unread: [word, 'a b', ~]\nlist: [3]\n";

static vpsde_status ask_more(vpsde_config *root)
{
    vpsde_config *grid, *item;
    const char *word;
    unsigned bits;
    double pair[2], *sizes;
    size_t rank, dims[2], n;
    VPSDE_TRY(vpsde_config_expand(root, "grid", "kind"));
    VPSDE_TRY(vpsde_config_section(&grid, root, "grid"));
    VPSDE_TRY(vpsde_config_text(&word, grid, "kind", NULL));
    VPSDE_TRY(vpsde_config_words(&bits, root, "fields", "x|eps|x0", 1));
    VPSDE_TRY(vpsde_config_words(&bits, root, "others", "x|eps|x0", 5));
    VPSDE_TRY(vpsde_config_pair(pair, root, "range", pair));
    VPSDE_TRY(vpsde_config_pair(pair, root, "range2", (const double[]){0, 1}));
    VPSDE_TRY(vpsde_config_wholes(&sizes, &rank, dims, 1, root, "sizes"));
    free(sizes);
    VPSDE_TRY(vpsde_config_show(root, "sizes", "[28, 28]"));
    VPSDE_TRY(vpsde_config_wholes(&sizes, &rank, dims, 1, root, "sizes2"));
    VPSDE_TRY(vpsde_config_count(&n, root, "count2"));
    for (size_t i = 0; i < 3; i++) VPSDE_TRY(vpsde_config_item(&item, root, "unread", i));
    VPSDE_TRY(vpsde_config_item(&item, root, "list", 0));
    VPSDE_TRY(vpsde_config_text(&word, root, "pad", ""));
    return vpsde_config_check(root);
}

static vpsde_status ask_everything(vpsde_config *root, char **text)
{
    answers a = {.seed = 0};
    vpsde_status status = ask_all(&a, root);
    drop(&a);
    const bool unknown = status == VPSDE_ECONFIG && strstr(vpsde_last_error(), "unknown key");
    if (unknown) status = VPSDE_OK; /* what ask_more asks */
    if (status == VPSDE_OK) status = ask_more(root);
    if (status == VPSDE_OK) status = vpsde_config_resolved(text, root);
    return status;
}

/* A document behind `padding` bytes, so that the arena's chunks end at any place in it. */
static vpsde_status configure(void)
{
    char *const sets[] = {"process.t_max=0.5", "new.key.path=[1]", "new=null"};
    vpsde_config *root;
    char *text = NULL;
    const int n = snprintf(config_text, sizeof(config_text), "pad: '%*s'\n%s%s", (int)padding, "",
                           document, more);
    VPSDE_TRY(vpsde_config_parse(&root, config_text, (size_t)n, "f.yaml", "/", sets, 3));
    const vpsde_status status = ask_everything(root, &text);
    vpsde_config_close(root);
    const bool whole = text && strstr(text, "  kind: karras\n");
    free(text);
    return status == VPSDE_OK && !whole ? VPSDE_EINTERNAL : status;
}

static void configurations(void **state)
{
    (void)state;
    padding = 4;
    const size_t failed = faulty_each(configure, FAULTY_MEMORY);
    faulty_each(configure, FAULTY_NO_LOCALE);
    for (padding = PAD_FIRST; padding < PAD_LAST; padding += 32) faulty_each(configure, FAULTY_OWN);
    print_message("%zu allocations failed\n", failed);
}

/* Not UTF-8 in any case. */
static vpsde_status resolve_bad(void)
{
    static char bad[6000];
    vpsde_config *root;
    const char *text;
    char *resolved = NULL;
    memset(bad, 'a', sizeof(bad) - 2);
    bad[sizeof(bad) - 2] = '\xff';
    VPSDE_TRY(vpsde_config_parse(&root, "", 0, "f.yaml", "/", NULL, 0));
    vpsde_status status = vpsde_config_text(&text, root, "t", bad);
    if (status == VPSDE_OK) {
        status = vpsde_config_resolved(&resolved, root);
        if (status == VPSDE_OK) status = VPSDE_EINTERNAL;
        if (status == VPSDE_ECONFIG) status = VPSDE_OK;
    }
    free(resolved);
    vpsde_config_close(root);
    return status;
}

static const char *config_path;

static vpsde_status open_config(void)
{
    vpsde_config *root;
    const char *path;
    VPSDE_TRY(vpsde_config_open(&root, config_path, NULL, 0));
    vpsde_status status = vpsde_config_path(&path, root, "a", NULL);
    if (status == VPSDE_OK) status = vpsde_config_path(&path, root, "b", "y");
    vpsde_config_close(root);
    return status;
}

static vpsde_status differ(void)
{
    char *text;
    VPSDE_TRY(vpsde_config_diff(&text, "a: 1\nb:\n- 1\n- 2\nc: 3\n", "a: 2\nb:\n- 1\nd: 3\n"));
    const bool right = strcmp(text, "a: 1, now 2; b.1: 2, now not there; c: 3, now not there; "
                                    "d: not there, now 3") == 0;
    free(text);
    return right ? VPSDE_OK : VPSDE_EINTERNAL;
}

static void configuration_files(void **state)
{
    static const faulty_effect effects[] = {FAULTY_MEMORY, FAULTY_EIO, FAULTY_EINTR, FAULTY_SHORT};
    (void)state;
    config_path = scratch_write("c.yaml", "a: x\n", 5);
    for (size_t i = 0; i < 4; i++) faulty_each(open_config, effects[i]);
    faulty_each(differ, FAULTY_MEMORY);
    faulty_each(resolve_bad, FAULTY_MEMORY);
}

static const char *data_path;

static vpsde_status open_data(void)
{
    vpsde_data *data;
    static double x[20000];
    VPSDE_TRY(vpsde_data_open(&data, data_path));
    vpsde_status status = VPSDE_OK;
    if (vpsde_data_rank(data) >= 2) status = vpsde_data_pool(data, 2);
    if (status == VPSDE_OK) status = vpsde_data_read(data, x, 0, 1, 1, 0);
    vpsde_data_close(data);
    return status;
}

/* Two members, the second empty. */
static size_t pack(unsigned char *out, size_t max, const void *bytes, size_t n)
{
    size_t used = 0;
    for (size_t member = 0; member < 2; member++) {
        z_stream z = {.next_in = (Bytef *)(uintptr_t)bytes,
                      .avail_in = member == 0 ? (uInt)n : 0,
                      .next_out = out + used,
                      .avail_out = (uInt)(max - used)};
        assert_int_equal(deflateInit2(&z, 1, Z_DEFLATED, MAX_WBITS + 16, 8, 0), Z_OK);
        assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
        used = max - z.avail_out;
        deflateEnd(&z);
    }
    return used;
}

static void data_sets(void **state)
{
    /* longer than what is looked at first, so that zlib has to ask for more */
    static unsigned char idx[16 + 2 * 300 * 200] = {0, 0, 8, 3,  0, 0, 0, 2,
                                                    0, 0, 1, 44, 0, 0, 0, 200};
    static const faulty_effect effects[] = {FAULTY_MEMORY, FAULTY_EIO, FAULTY_EINTR,
                                            FAULTY_SHORT,  FAULTY_END, FAULTY_FOREIGN};
    static unsigned char packed[150000];
    char h5[600];
    (void)state;
    for (size_t i = 16; i < sizeof(idx); i++) idx[i] = (unsigned char)(i * i >> 3);
    for (size_t gz = 0; gz < 2; gz++) {
        const size_t n = gz ? pack(packed, sizeof(packed), idx, sizeof(idx)) : sizeof(idx);
        data_path = scratch_write("x.idx", gz ? packed : idx, n);
        for (size_t i = 0; i < 6; i++) faulty_each(open_data, effects[i]);
    }
    snprintf(h5, sizeof(h5), "%s/tests/fuzz/corpus/h5/contiguous", root_folder);
    unsigned char bytes[1 << 14];
    const size_t n = scratch_read(bytes, sizeof(bytes), h5);
    snprintf(h5, sizeof(h5), "%s:/x", scratch_write("x.h5", bytes, n));
    data_path = h5;
    faulty_each(open_data, FAULTY_OWN); /* HDF5 crashes by itself without memory */
    faulty_each(open_data, FAULTY_EIO);
}

/* Texts that outgrow what jansson first has for them. */
static vpsde_status read_json(void)
{
    static const char text[] = "{\"a key of many more letters than sixteen\": 12345678901234567, "
                               "\"b\": \"a text of many more letters than sixteen\", \"c\": 1.5}";
    vpsde_json_in *root;
    size_t number = 0;
    VPSDE_TRY(vpsde_json_in_read(&root, text, sizeof(text) - 1, "here"));
    const char *const b = vpsde_json_in_text(vpsde_json_in_get(root, "b"));
    const bool right =
        vpsde_json_in_size_of(&number,
                              vpsde_json_in_get(root, "a key of many more letters than sixteen")) &&
        number == 12345678901234567 && b && !strcmp(b, "a text of many more letters than sixteen");
    vpsde_json_in_free(root);
    return right ? VPSDE_OK : VPSDE_EINTERNAL;
}

static void json_texts(void **state)
{
    (void)state;
    faulty_each(read_json, FAULTY_MEMORY);
}

static const char *tensors_path, *index_path;

static vpsde_status write_and_read(void)
{
    static const float values[2] = {1, 2};
    static const vpsde_tensor_out out[] = {
        {.name = "a", .dtype = "F32", .rank = 1, .dims = {2}, .data = values},
        {.name = "b", .dtype = "F32", .rank = 0, .data = values}};
    static const vpsde_metadata metadata[] = {{"kind", "mlp"}, {"more", "x"}};
    vpsde_safetensors_set *set;
    float got[2] = {0, 0};
    VPSDE_TRY(vpsde_safetensors_write(tensors_path, out, 2, metadata, 2));
    VPSDE_TRY(vpsde_safetensors_set_open(&set, tensors_path));
    const vpsde_safetensors *file = vpsde_safetensors_set_find(set, "a");
    vpsde_status status = VPSDE_EINTERNAL;
    if (file) status = vpsde_safetensors_read_f32(file, "a", got, 1, (const size_t[]){2});
    if (status == VPSDE_OK && got[1] != 2) status = VPSDE_EINTERNAL;
    vpsde_safetensors_set_close(set);
    return status;
}

static vpsde_status open_index(void)
{
    vpsde_safetensors_set *set;
    VPSDE_TRY(vpsde_safetensors_set_open(&set, index_path));
    const bool whole = vpsde_safetensors_set_files(set) == 1;
    vpsde_safetensors_set_close(set);
    return whole ? VPSDE_OK : VPSDE_EINTERNAL;
}

static void checkpoints(void **state)
{
    static const char index[] = "{\"weight_map\": {\"a\": \"x.safetensors\", "
                                "\"b\": \"x.safetensors\"}}";
    static const faulty_effect effects[] = {FAULTY_MEMORY, FAULTY_EIO, FAULTY_EINTR,
                                            FAULTY_SHORT,  FAULTY_END, FAULTY_GONE};
    (void)state;
    tensors_path = scratch_path("x.safetensors");
    index_path = scratch_write("x.json", index, sizeof(index) - 1);
    for (size_t i = 0; i < 6; i++) {
        faulty_each(write_and_read, effects[i]);
        assert_ok(write_and_read());
        faulty_each(open_index, effects[i]);
    }
    assert_int_equal(scratch_count(".tmp"), 0);
}

static const char *input_path;

static vpsde_status use_manifest(void)
{
    vpsde_manifest m = {.verb = NULL}, again = {.verb = NULL};
    char *text = NULL;
    bool added = false;
    vpsde_status status = vpsde_manifest_init(&m, "sample", 7, "a: 1\n", true);
    if (status == VPSDE_OK) {
        status =
            vpsde_manifest_add(&m, &added, "data", input_path, /* the SHA-256 of "x" */
                               "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881");
    }
    if (status == VPSDE_OK) status = vpsde_manifest_format(&text, &m);
    if (status == VPSDE_OK) status = vpsde_manifest_parse(&again, text, "here");
    if (status == VPSDE_OK) status = vpsde_manifest_check_inputs(&again);
    if (status == VPSDE_OK && !(again.seed == 7 && again.replaces)) status = VPSDE_EINTERNAL;
    vpsde_manifest_free(&m);
    vpsde_manifest_free(&again);
    free(text);
    return status;
}

static void manifests(void **state)
{
    static const faulty_effect effects[] = {FAULTY_MEMORY, FAULTY_EIO, FAULTY_EINTR};
    (void)state;
    input_path = scratch_write("input", "x", 1);
    for (size_t i = 0; i < 3; i++) faulty_each(use_manifest, effects[i]);
}

static char run_path[600];
static size_t visited;

/* Three parts one behind the other, of which each may fail while the next is on its way. */
static vpsde_status seal_in_a_row(void)
{
    vpsde_run_folder *folder;
    vpsde_seal *seal;
    char name[VPSDE_PART_NAME];
    VPSDE_TRY(vpsde_run_folder_create(&folder, run_path, true));
    vpsde_status status = vpsde_seal_create(&seal);
    for (size_t i = 0; i < 3 && status == VPSDE_OK; i++) {
        vpsde_part_buffer part = {.used = sizeof(vpsde_part_header)};
        vpsde_part_name(name, i);
        status = vpsde_part_append(&part, "abc", 4);
        if (status == VPSDE_OK) status = vpsde_seal_start(seal, folder, name, &part, true);
        free(part.bytes);
    }
    const vpsde_status sealed = seal ? vpsde_seal_wait(seal) : VPSDE_OK;
    vpsde_seal_destroy(seal);
    vpsde_run_folder_remove(folder);
    vpsde_run_folder_close(folder);
    return status != VPSDE_OK ? status : sealed;
}

static vpsde_status visit(void *context, const vpsde_record *record, const void *payload,
                          vpsde_place place)
{
    char again[4] = "";
    visited += record->bytes;
    if (record->bytes != 4 || memcmp(payload, "abc", 4) != 0) return VPSDE_EINTERNAL;
    VPSDE_TRY(vpsde_parts_read(context, place, again, 4));
    return strcmp(again, "abc") == 0 ? VPSDE_OK : VPSDE_EINTERNAL;
}

static vpsde_status count(void *context, const vpsde_record *record, const void *payload,
                          vpsde_place at)
{
    (void)context;
    (void)payload;
    (void)at;
    visited += record->bytes;
    return VPSDE_OK;
}

static vpsde_status fill_parts(vpsde_parts *parts)
{
    static const vpsde_record record = {.kind = VPSDE_RECORD_FACTS};
    const struct iovec pieces[] = {{(void *)(uintptr_t) "abc", 4}, {NULL, 0}};
    for (size_t i = 0; i < 3; i++) {
        VPSDE_TRY(vpsde_parts_append(parts, &record, pieces, 2));
        if (i > 0) VPSDE_TRY(vpsde_parts_seal(parts));
    }
    return VPSDE_OK;
}

static vpsde_status read_parts(vpsde_parts *parts)
{
    vpsde_part_list seen = {.n = 0};
    char *text;
    VPSDE_TRY(vpsde_parts_text(&text, parts, "config.yaml"));
    free(text);
    visited = 0;
    const vpsde_status status = vpsde_parts_scan(parts, &seen, visit, parts);
    free(seen.part);
    return status == VPSDE_OK && visited != 12 ? VPSDE_EINTERNAL : status;
}

static vpsde_status store(void)
{
    vpsde_parts *parts;
    VPSDE_TRY(vpsde_parts_create(&parts, run_path, "a: 1\n", "format 2\n", true));
    vpsde_status status = fill_parts(parts);
    vpsde_parts_destroy(parts);
    VPSDE_TRY(status);
    VPSDE_TRY(vpsde_parts_open(&parts, run_path));
    if (!parts) return VPSDE_EINTERNAL;
    status = read_parts(parts);
    if (status == VPSDE_OK) vpsde_parts_remove(parts);
    vpsde_parts_destroy(parts);
    return status;
}

/* A part that speaks of eight bytes of rows.h5, which are read as it is scanned. */
static vpsde_status scan_placed(vpsde_parts *parts)
{
    static const vpsde_record record = {.kind = VPSDE_RECORD_PLACED};
    struct {
        uint64_t columns;
        vpsde_placed placed;
        uint64_t chunk;
    } payload = {
        .columns = 1, .placed = {.bytes = 8, .n_chunks = 1, .period = 8, .piece = 8}, .chunk = 16};
    vpsde_part_list seen = {.n = 0};
    char hex[65];
    vpsde_sha256(hex, "8 bytes", 8);
    memcpy(payload.placed.sha256, hex, sizeof(payload.placed.sha256));
    VPSDE_TRY(vpsde_run_folder_put(parts->folder, VPSDE_RUN_ROWS, "what is before: 8 bytes", 24));
    VPSDE_TRY(vpsde_parts_append(parts, &record, &(struct iovec){&payload, sizeof(payload)}, 1));
    visited = 0;
    const vpsde_status status = vpsde_parts_scan(parts, &seen, count, NULL);
    free(seen.part);
    return status == VPSDE_OK && visited != sizeof(payload) ? VPSDE_EINTERNAL : status;
}

static vpsde_status place(void)
{
    vpsde_parts *parts;
    VPSDE_TRY(vpsde_parts_create(&parts, run_path, "a: 1\n", "format 2\n", true));
    const vpsde_status status = scan_placed(parts);
    vpsde_parts_remove(parts);
    vpsde_parts_destroy(parts);
    return status;
}

static void parts(void **state)
{
    static const faulty_effect effects[] = {FAULTY_MEMORY, FAULTY_EIO, FAULTY_EINTR, FAULTY_SHORT,
                                            FAULTY_GONE};
    (void)state;
    snprintf(run_path, sizeof(run_path), "%s", scratch_path("run.h5"));
    for (size_t i = 0; i < 5; i++) {
        faulty_each(store, effects[i]);
        faulty_each(seal_in_a_row, effects[i]);
        faulty_each(place, effects[i]);
    }
    assert_ok(store());
}

/* In memory where that can be: a disk's fsync takes its time. */
static int setup(void **state)
{
    (void)state;
    snprintf(scratch_folder, sizeof(scratch_folder), "%s/vpsde-test-XXXXXX",
             access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    return mkdtemp(scratch_folder) ? 0 : -1;
}

int main(int n_args, char **args)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(configurations), cmocka_unit_test(configuration_files),
        cmocka_unit_test(data_sets),      cmocka_unit_test(checkpoints),
        cmocka_unit_test(manifests),      cmocka_unit_test(parts),
        cmocka_unit_test(json_texts),
    };
    root_folder = n_args > 1 ? args[1] : ".";
    return cmocka_run_group_tests(tests, setup, scratch_teardown);
}
