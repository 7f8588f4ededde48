#include "experiments/run_table.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "core/sink.h"

/* A text is its length and its bytes with the terminator, padded to 8; NULL has length UINT64_MAX.
 * Numbers take 8 bytes. So a decoded table points into a copy of the bytes. */
typedef struct writer {
    unsigned char *bytes;
    size_t used, capacity;
    vpsde_status status; /* the first failure; later calls do nothing */
} writer;

static void put(writer *w, const void *data, size_t n)
{
    const size_t padded = (n + 7) / 8 * 8;
    if (w->status != VPSDE_OK) return;
    if (w->capacity - w->used < padded) {
        const size_t capacity = 2 * w->capacity + padded + 1024;
        unsigned char *larger = realloc(w->bytes, capacity);
        if (!larger) {
            w->status = vpsde_fail(VPSDE_ENOMEM, "cannot allocate %zu bytes", capacity);
            return;
        }
        w->bytes = larger;
        w->capacity = capacity;
    }
    if (n > 0) memcpy(w->bytes + w->used, data, n);
    memset(w->bytes + w->used + n, 0, padded - n);
    w->used += padded;
}

static void put_count(writer *w, uint64_t n) { put(w, &n, sizeof(n)); }

static void put_text(writer *w, const char *text)
{
    put_count(w, text ? strlen(text) : UINT64_MAX);
    if (text) put(w, text, strlen(text) + 1);
}

#define NAME_LETTERS "abcdefghijklmnopqrstuvwxyz0123456789_"

/* Labels' '-' becomes '_'. */
static void put_name(writer *w, const char *name, const char *letters)
{
    char *copy;
    vpsde_status status = vpsde_strdup(&copy, name ? name : "");
    if (status == VPSDE_OK) {
        for (char *c = copy; *c; c++) {
            if (*c == '-') *c = '_';
        }
        const size_t length = strlen(copy);
        if (length == 0 || strspn(copy, letters) != length || copy[length - 1] == '/' ||
            strstr(copy, "//")) {
            status = vpsde_fail(VPSDE_EINVAL, "a name must be of [a-z0-9_], got \"%s\"", copy);
        }
        put_text(w, copy);
        free(copy);
    }
    if (w->status == VPSDE_OK) w->status = status;
}

static void put_path(writer *w, const char *path) { put_name(w, path, NAME_LETTERS "/"); }

static void put_facts(writer *w, const vpsde_fact *facts, size_t n)
{
    put_count(w, n);
    for (size_t i = 0; i < n; i++) {
        put_name(w, facts[i].name, NAME_LETTERS);
        put_text(w, facts[i].text);
        put(w, &facts[i].number, sizeof(facts[i].number));
        put_count(w, facts[i].whole);
    }
}

static void put_axis(writer *w, const vpsde_axis *axis)
{
    put_text(w, axis->name);
    put_count(w, axis->length);
    put_text(w, axis->description);
    put_count(w, axis->n_coordinates);
    for (size_t i = 0; i < axis->n_coordinates; i++) {
        put_text(w, axis->coordinates[i].name);
        put_text(w, axis->coordinates[i].units);
        put_text(w, axis->coordinates[i].description);
        put(w, axis->coordinates[i].values, axis->length * sizeof(double));
    }
}

static void put_column(writer *w, const vpsde_column *column)
{
    put_text(w, column->name);
    put_text(w, column->units);
    put_text(w, column->description);
    put_count(w, (uint64_t)column->type);
    put_text(w, column->dims);
    put_count(w, column->width);
    put_text(w, column->flag_meanings);
}

static vpsde_status finish(writer *w, void **bytes, size_t *length)
{
    if (w->status != VPSDE_OK) {
        free(w->bytes);
        return w->status;
    }
    *bytes = w->bytes;
    *length = w->used;
    return VPSDE_OK;
}

vpsde_status vpsde_table_encode(void **bytes, size_t *length, const vpsde_table *table)
{
    writer w = {.status = VPSDE_OK};
    *bytes = NULL;
    put_path(&w, table->path);
    put_text(&w, table->row_axis);
    put_count(&w, table->first);
    put_count(&w, table->count);
    put_count(&w, table->n_axes);
    for (size_t i = 0; i < table->n_axes; i++) put_axis(&w, &table->axes[i]);
    put_count(&w, table->n_columns);
    for (size_t i = 0; i < table->n_columns; i++) put_column(&w, &table->columns[i]);
    put_facts(&w, table->facts, table->n_facts);
    return finish(&w, bytes, length);
}

vpsde_status vpsde_facts_encode(void **bytes, size_t *length, const char *group,
                                const vpsde_fact *facts, size_t n)
{
    writer w = {.status = VPSDE_OK};
    *bytes = NULL;
    put_path(&w, group);
    put_facts(&w, facts, n);
    return finish(&w, bytes, length);
}

/* Reads a copy of the bytes; arrays of structs are allocated behind it, in one chain to free. */
typedef struct reader {
    unsigned char *bytes;
    size_t at, length;
    struct link *chain;
    vpsde_status status;
} reader;

struct link {
    struct link *next;
    void *data;
};

static void damaged(reader *r)
{
    if (r->status == VPSDE_OK) r->status = vpsde_fail(VPSDE_EIO, "a stored table is damaged");
}

static const void *take(reader *r, uint64_t n)
{
    static const double nothing[2] = {0, 0};
    const uint64_t padded = n > UINT64_MAX - 7 ? UINT64_MAX : (n + 7) / 8 * 8;
    if (r->status != VPSDE_OK || padded > r->length - r->at) {
        damaged(r);
        return n <= sizeof(nothing) ? nothing : NULL;
    }
    const void *data = r->bytes + r->at;
    r->at += padded;
    return data;
}

static uint64_t take_count(reader *r)
{
    uint64_t n;
    memcpy(&n, take(r, sizeof(n)), sizeof(n));
    return n;
}

static const char *take_text(reader *r)
{
    const uint64_t length = take_count(r);
    if (r->status != VPSDE_OK || length == UINT64_MAX) return NULL;
    const char *text = take(r, length + 1);
    if (r->status == VPSDE_OK && strnlen(text, length + 1) != length) damaged(r);
    return r->status == VPSDE_OK ? text : NULL;
}

/* A text that has to be there. */
static const char *take_name(reader *r)
{
    const char *name = take_text(r);
    if (!name) damaged(r);
    return name;
}

/* n zeroed structs; n is bounded by what the remaining bytes could hold. */
static void *take_array(reader *r, size_t *n, size_t size)
{
    void *data = NULL;
    struct link *link = NULL;
    *n = take_count(r);
    if (*n > (r->length - r->at) / 8) damaged(r);
    if (r->status == VPSDE_OK) r->status = vpsde_alloc(&data, *n, size);
    if (r->status == VPSDE_OK) r->status = vpsde_alloc(&link, 1, sizeof(*link));
    if (r->status != VPSDE_OK) {
        free(data);
        *n = 0;
        return NULL;
    }
    *link = (struct link){.next = r->chain, .data = data};
    r->chain = link;
    return data;
}

static const vpsde_fact *take_facts(reader *r, size_t *n)
{
    vpsde_fact *facts = take_array(r, n, sizeof(*facts));
    for (size_t i = 0; i < *n; i++) {
        facts[i].name = take_name(r);
        facts[i].text = take_text(r);
        memcpy(&facts[i].number, take(r, sizeof(double)), sizeof(double));
        facts[i].whole = take_count(r) != 0;
    }
    return facts;
}

static const vpsde_axis *take_axes(reader *r, size_t *n)
{
    vpsde_axis *axes = take_array(r, n, sizeof(*axes));
    for (size_t a = 0; a < *n; a++) {
        axes[a].name = take_text(r);
        axes[a].length = take_count(r);
        axes[a].description = take_text(r);
        struct vpsde_coordinate *c = take_array(r, &axes[a].n_coordinates, sizeof(*c));
        axes[a].coordinates = c;
        uint64_t bytes;
        if (__builtin_mul_overflow(axes[a].length, sizeof(double), &bytes)) damaged(r);
        for (size_t i = 0; i < axes[a].n_coordinates; i++) {
            c[i].name = take_text(r);
            c[i].units = take_text(r);
            c[i].description = take_text(r);
            c[i].values = take(r, bytes);
        }
    }
    return axes;
}

static const vpsde_column *take_columns(reader *r, size_t *n)
{
    vpsde_column *columns = take_array(r, n, sizeof(*columns));
    for (size_t i = 0; i < *n; i++) {
        columns[i].name = take_text(r);
        columns[i].units = take_text(r);
        columns[i].description = take_text(r);
        columns[i].type = (vpsde_dtype)take_count(r);
        columns[i].dims = take_text(r);
        columns[i].width = take_count(r);
        columns[i].flag_meanings = take_text(r);
    }
    return columns;
}

static vpsde_status reader_open(reader *r, const void *bytes, size_t length)
{
    *r = (reader){.length = length, .status = VPSDE_OK};
    VPSDE_TRY(vpsde_alloc(&r->bytes, length, 1));
    memcpy(r->bytes, bytes, length);
    return VPSDE_OK;
}

static void free_chain(struct link *chain)
{
    while (chain) {
        struct link *next = chain->next;
        free(chain->data);
        free(chain);
        chain = next;
    }
}

/* The bytes are the last link, so that one pointer frees all. */
static vpsde_status reader_close(reader *r, vpsde_stored *out)
{
    struct link *link = NULL;
    if (r->status == VPSDE_OK) r->status = vpsde_alloc(&link, 1, sizeof(*link));
    if (r->status != VPSDE_OK) {
        free_chain(r->chain);
        free(r->bytes);
        *out = (vpsde_stored){.memory = NULL};
        return r->status;
    }
    *link = (struct link){.next = r->chain, .data = r->bytes};
    out->memory = link;
    return VPSDE_OK;
}

vpsde_status vpsde_table_decode(vpsde_stored *out, const void *bytes, size_t length)
{
    reader r;
    *out = (vpsde_stored){.memory = NULL};
    VPSDE_TRY(reader_open(&r, bytes, length));
    vpsde_table *table = &out->table;
    table->path = take_text(&r);
    table->row_axis = take_text(&r);
    table->first = take_count(&r);
    table->count = take_count(&r);
    table->axes = take_axes(&r, &table->n_axes);
    table->columns = take_columns(&r, &table->n_columns);
    table->facts = take_facts(&r, &table->n_facts);
    if (r.status == VPSDE_OK) r.status = vpsde_table_check(table);
    return reader_close(&r, out);
}

vpsde_status vpsde_facts_decode(vpsde_stored *out, const void *bytes, size_t length)
{
    reader r;
    *out = (vpsde_stored){.memory = NULL};
    VPSDE_TRY(reader_open(&r, bytes, length));
    out->table.path = take_name(&r);
    out->table.facts = take_facts(&r, &out->table.n_facts);
    return reader_close(&r, out);
}

void vpsde_stored_free(vpsde_stored *stored)
{
    free_chain(stored->memory);
    *stored = (vpsde_stored){.memory = NULL};
}
