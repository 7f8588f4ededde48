/* The corners of the part store that no run comes to: descriptions of rows that make no sense, parts of
 * several ranks, and parts that are full before their second is over. */
#include <stdint.h>

#include "core/sha256.h"
#include "experiments/run_parts_impl.h"
#include "experiments/run_placed.h"
#include "experiments/run_wide.h"
#include "tests/failing_malloc.h"
#include "tests/scratch.h"

/* Ranks of an MPI build, as the parts see them. */
static size_t rank;
size_t __wrap_vpsde_rank(void);
size_t __wrap_vpsde_rank(void) { return rank; }

/* Two columns: eight bytes of rows.h5 in one chunk, and four that are in the record. */
typedef struct payload {
    uint64_t columns;
    vpsde_placed placed;
    uint64_t chunk;
    vpsde_placed here;
    char bytes[8];
} payload;

enum { BYTES = offsetof(payload, bytes) + 4 };

static payload sensible(void)
{
    payload p = {.columns = 2,
                 .placed = {.bytes = 8, .n_chunks = 1, .at = 64, .period = 64, .piece = 64},
                 .here = {.bytes = 4},
                 .bytes = "abcd"};
    char hex[65];
    vpsde_sha256(hex, "8 bytes", 8);
    memcpy(p.placed.sha256, hex, sizeof(p.placed.sha256));
    return p;
}

static bool fits(const payload *p, size_t bytes)
{
    vpsde_placed placed;
    const bool found = vpsde_placed_column(&placed, p, bytes, 0);
    const bool good = vpsde_placed_fits(p, bytes, 2);
    assert_true(found || !good);
    return good;
}

static void nonsense_is_refused(void **state)
{
    static const uint64_t most = (uint64_t)1 << 62;
    payload p = sensible();
    vpsde_placed placed;
    bool good = false;
    (void)state;
    assert_true(fits(&p, BYTES));
    assert_true(vpsde_placed_column(&placed, &p, BYTES, 1));
    assert_false(vpsde_placed_column(&placed, &p, BYTES, 2));
    assert_false(vpsde_placed_fits(&p, BYTES, 1));
    for (size_t bytes = 0; bytes < BYTES; bytes++) assert_false(fits(&p, bytes));
    const struct {
        size_t field;
        uint64_t value;
    } wrong[] = {
        {offsetof(vpsde_placed, bytes), 0},         {offsetof(vpsde_placed, bytes), most},
        {offsetof(vpsde_placed, bytes), most - 64}, {offsetof(vpsde_placed, at), most},
        {offsetof(vpsde_placed, period), 0},        {offsetof(vpsde_placed, period), most},
        {offsetof(vpsde_placed, piece), 0},         {offsetof(vpsde_placed, piece), most},
        {offsetof(vpsde_placed, n_chunks), 2},
    };
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        p = sensible();
        memcpy((char *)&p.placed + wrong[i].field, &wrong[i].value, sizeof(wrong[i].value));
        assert_false(fits(&p, BYTES));
    }
    p = sensible(); /* as many chunks as its bytes have, and not as many addresses */
    p.placed.bytes = 64 * 100;
    p.placed.n_chunks = 100;
    assert_false(fits(&p, BYTES));
    p = sensible(); /* bytes of both in the record, and more than can be */
    p.placed = (vpsde_placed){.bytes = UINT64_MAX};
    memmove(&p.chunk, &p.here, sizeof(p.here));
    assert_false(vpsde_placed_fits(&p, BYTES, 2));
    for (size_t bytes = 0; bytes < 9; bytes++) {
        assert_ok(vpsde_placed_check(&good, NULL, (vpsde_place){0, 0}, &p, bytes, 0));
        assert_true(good); /* no record of ours */
    }
}

static vpsde_status ignore(void *context, const vpsde_record *record, const void *bytes,
                           vpsde_place place)
{
    (void)bytes;
    (void)place;
    if (context) *(size_t *)context += record->n;
    return VPSDE_OK;
}

static vpsde_status scan(vpsde_parts *parts, size_t *rows)
{
    vpsde_part_list seen = {.n = 0};
    const vpsde_status status = vpsde_parts_scan(parts, &seen, ignore, rows);
    free(seen.part);
    return status;
}

static vpsde_parts *create(void)
{
    vpsde_parts *parts;
    assert_ok(vpsde_parts_create(&parts, scratch_path("run.h5"), "a: 1\n", "format 2\n", true));
    return parts;
}

static void append(vpsde_parts *parts, vpsde_record record, const void *bytes, size_t n)
{
    const struct iovec piece = {(void *)(uintptr_t)bytes, n};
    assert_ok(vpsde_parts_append(parts, &record, &piece, 1));
}

/* A part speaks of a place in rows.h5, which has 24 bytes. */
static vpsde_status scan_placed(uint64_t address, uint64_t bytes)
{
    payload p = sensible();
    p.chunk = address;
    p.placed.bytes = bytes;
    p.placed.n_chunks = vpsde_chunks_of(p.placed.at, bytes, 64, 64);
    vpsde_parts *parts = create();
    assert_ok(vpsde_run_folder_put(parts->folder, VPSDE_RUN_ROWS, "what is before: 8 bytes", 24));
    append(parts, (vpsde_record){.kind = VPSDE_RECORD_PLACED}, &p, BYTES);
    const vpsde_status status = scan(parts, NULL);
    vpsde_parts_remove(parts);
    vpsde_parts_destroy(parts);
    return status;
}

static void places_outside_are_damage(void **state)
{
    (void)state;
    assert_ok(scan_placed(16, 8));
    assert_fails(scan_placed(15, 8), VPSDE_EIO, "is damaged");
    assert_fails(scan_placed(17, 8), VPSDE_EIO, "is damaged");
    assert_fails(scan_placed(25, 8), VPSDE_EIO, "is damaged");
    assert_fails(scan_placed(0, 25), VPSDE_EIO, "is damaged");
}

static void ranks_keep_to_their_parts(void **state)
{
    (void)state;
    static const vpsde_record record = {.kind = VPSDE_RECORD_FACTS, .n = 1};
    vpsde_part_list seen = {.n = 0};
    vpsde_parts *first = create(), *second;
    size_t rows = 0;
    append(first, record, "a", 1);
    assert_ok(vpsde_parts_seal(first));
    rank = 1;
    assert_ok(vpsde_parts_join(&second, scratch_path("run.h5")));
    append(second, record, "b", 1);
    assert_ok(vpsde_parts_seal(second));
    vpsde_parts_destroy(second);
    assert_ok(vpsde_parts_join(&second, scratch_path("run.h5"))); /* behind its own */
    assert_int_equal(second->next, vpsde_part_first(1) + 1);
    vpsde_parts_destroy(second);
    rank = 0;
    assert_ok(vpsde_parts_scan(first, &seen, ignore, &rows));
    assert_int_equal(rows, 2);
    append(first, record, "c", 1); /* before a part that was seen */
    assert_ok(vpsde_parts_scan(first, &seen, ignore, &rows));
    assert_int_equal(rows, 3);
    free(seen.part);
    vpsde_parts_destroy(first);
    assert_ok(vpsde_parts_open(&first, scratch_path("run.h5")));
    assert_int_equal(first->next, 2);
    vpsde_parts_remove(first);
    vpsde_parts_destroy(first);
}

enum { WIDTH = 9 << 20, ID = 7 };

static const vpsde_axis axes[] = {{.name = "pixel", .length = WIDTH, .description = "pixels"},
                                  {.name = "eighth", .length = WIDTH / 8, .description = "few"}};
static const vpsde_column columns[] = {
    {.name = "bytes", .type = VPSDE_U8, .dims = "pixel", .width = WIDTH},
    {.name = "wide", .type = VPSDE_F64, .dims = "eighth", .width = WIDTH / 8},
    {.name = "lost", .type = VPSDE_F64, .dims = "nowhere", .width = WIDTH / 8},
};

static vpsde_table table_of(size_t column)
{
    return (vpsde_table){.path = "/t",
                         .count = 4,
                         .axes = axes,
                         .n_axes = 2,
                         .columns = &columns[column],
                         .n_columns = 1};
}

/* What is handed over before its second is over waits for more, unless it is much without what is wide. */
static void full_parts_do_not_wait_for_the_clock(void **state)
{
    (void)state;
    unsigned char *bytes = calloc(WIDTH, 2);
    vpsde_parts *parts = create();
    size_t rows = 0;
    assert_non_null(bytes);
    append(parts, (vpsde_record){.kind = VPSDE_RECORD_FACTS}, bytes, (size_t)WIDTH * 2);
    assert_int_equal(parts->next, 1); /* and nothing is wide yet */
    for (size_t column = 0; column < 2; column++) {
        const vpsde_table table = table_of(column);
        const vpsde_record record = {.kind = VPSDE_RECORD_ROWS, .table = ID + column, .n = 2};
        assert_ok(vpsde_parts_widen(parts, ID + column, &table));
        assert_ok(vpsde_parts_seal(parts));
        const size_t before = parts->next;
        append(parts, record, bytes, (size_t)WIDTH * 2);
        assert_int_equal(parts->next, before + 1);
    }
    assert_true(vpsde_wide_room(parts->wide, ID + 1, 0));
    assert_false(vpsde_wide_room(parts->wide, ID, 0));
    assert_false(vpsde_wide_room(parts->wide, ID + 2, 0));
    assert_ok(scan(parts, &rows));
    assert_int_equal(rows, 4);
    vpsde_parts_remove(parts);
    append(parts, (vpsde_record){.kind = VPSDE_RECORD_FACTS}, "lost", 4);
    assert_fails(vpsde_parts_leave_wide(parts), VPSDE_EIO, "part-");
    assert_ok(vpsde_parts_leave_wide(parts)); /* the failure was told */
    vpsde_parts_destroy(parts);
    free(bytes);
}

static void what_cannot_be_packed_is_told(void **state)
{
    (void)state;
    static const double row[WIDTH / 8];
    const vpsde_record record = {.kind = VPSDE_RECORD_ROWS, .table = ID, .n = 1, .bytes = WIDTH};
    const vpsde_table table = table_of(1), lost = table_of(2);
    vpsde_wide *wide;
    assert_ok(vpsde_wide_create(&wide, scratch_folder));
    assert_fails(vpsde_wide_begin(wide, ID + 1, &lost), VPSDE_EINVAL, "nowhere");
    assert_ok(vpsde_wide_begin(wide, ID, &table));
    vpsde_status status = VPSDE_ENOMEM;
    for (size_t room = 1; status == VPSDE_ENOMEM;
         room += 8) { /* each piece but the last is one too long */
        vpsde_part_buffer part = {.bytes = malloc(room), .capacity = room};
        assert_non_null(part.bytes);
        failing.calls = 0;
        failing.at = 1;
        status = vpsde_wide_pack(wide, &part, &record, (const unsigned char *)row);
        failing.at = 0;
        free(part.bytes);
    }
    assert_ok(status);
    vpsde_wide_destroy(wide);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nonsense_is_refused),
        cmocka_unit_test(places_outside_are_damage),
        cmocka_unit_test(ranks_keep_to_their_parts),
        cmocka_unit_test(full_parts_do_not_wait_for_the_clock),
        cmocka_unit_test(what_cannot_be_packed_is_told),
    };
    return cmocka_run_group_tests(tests, scratch_setup, scratch_teardown);
}
