#include "experiments/run_placed.h"

#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "core/sha256.h"

/* Sums and products of numbers below this, as they occur here, fit 64 bits. */
static const uint64_t most = (uint64_t)1 << 62;

vpsde_chunk_byte vpsde_chunk_at(uint64_t at, uint64_t period, uint64_t piece)
{
    const uint64_t a_period = (period + piece - 1) / piece, within = at % period;
    const uint64_t offset = within % piece, rest = period - within;
    return (vpsde_chunk_byte){.chunk = at / period * a_period + within / piece,
                              .offset = offset,
                              .left = piece - offset < rest ? piece - offset : rest};
}

uint64_t vpsde_chunks_of(uint64_t at, uint64_t bytes, uint64_t period, uint64_t piece)
{
    return vpsde_chunk_at(at + bytes - 1, period, piece).chunk -
           vpsde_chunk_at(at, period, piece).chunk + 1;
}

static bool makes_sense(const vpsde_placed *p)
{
    if (p->n_chunks == 0) return true;
    return p->bytes > 0 && p->period > 0 && p->piece > 0 && p->bytes < most && p->at < most &&
           p->period < most && p->piece < most && p->at + p->bytes < most &&
           vpsde_chunks_of(p->at, p->bytes, p->period, p->piece) == p->n_chunks;
}

/* Steps from one column to the next: *at is where it begins, then where the one after it does. */
static bool step(vpsde_placed *out, const unsigned char *payload, size_t bytes, size_t *at)
{
    if (bytes - *at < sizeof(*out)) return false;
    memcpy(out, payload + *at, sizeof(*out));
    *at += sizeof(*out);
    if (!makes_sense(out) || out->n_chunks > (bytes - *at) / sizeof(uint64_t)) return false;
    *at += out->n_chunks * sizeof(uint64_t);
    return true;
}

bool vpsde_placed_column(vpsde_placed *out, const void *payload, size_t bytes, size_t column)
{
    uint64_t n;
    size_t at = sizeof(n);
    if (bytes < sizeof(n)) return false;
    memcpy(&n, payload, sizeof(n));
    if (column >= n) return false;
    for (size_t c = 0; c <= column; c++) {
        if (!step(out, payload, bytes, &at)) return false;
    }
    return true;
}

bool vpsde_placed_fits(const void *payload, size_t bytes, size_t n_columns)
{
    vpsde_placed placed;
    uint64_t n, here = 0;
    size_t at = sizeof(n);
    if (bytes < sizeof(n)) return false;
    memcpy(&n, payload, sizeof(n));
    if (n != n_columns) return false;
    for (size_t c = 0; c < n_columns; c++) {
        if (!step(&placed, payload, bytes, &at)) return false;
        if (placed.n_chunks == 0 && __builtin_add_overflow(here, placed.bytes, &here)) return false;
    }
    return here == bytes - at;
}

/* A column as a record describes it, and where its chunks' addresses are, or its bytes. */
typedef struct found {
    vpsde_placed placed;
    vpsde_place rest;
} found;

static vpsde_status find(found *out, vpsde_parts *parts, vpsde_place payload, size_t column)
{
    uint64_t n, before = 0;
    vpsde_placed placed = {.bytes = 0};
    vpsde_place at = payload;
    VPSDE_TRY(vpsde_parts_read(parts, at, &n, sizeof(n)));
    at.offset += sizeof(n);
    for (size_t c = 0; c < n; c++) {
        VPSDE_TRY(vpsde_parts_read(parts, at, &placed, sizeof(placed)));
        at.offset += sizeof(placed);
        if (c == column) *out = (found){placed, at};
        at.offset += placed.n_chunks * sizeof(uint64_t);
        if (c < column && placed.n_chunks == 0) before += placed.bytes;
        if (c == column && placed.n_chunks > 0) return VPSDE_OK;
    }
    out->rest = (vpsde_place){at.part, at.offset + before};
    return VPSDE_OK;
}

/* *good: false when something would lie beyond `size`. */
static vpsde_status read_chunks(bool *good, vpsde_parts *parts, const found *column, uint64_t skip,
                                uint64_t n, unsigned char *out, uint64_t size)
{
    const vpsde_placed *p = &column->placed;
    const uint64_t first = vpsde_chunk_at(p->at, p->period, p->piece).chunk;
    for (uint64_t done = 0; done < n;) {
        const vpsde_chunk_byte b = vpsde_chunk_at(p->at + skip + done, p->period, p->piece);
        const uint64_t length = b.left < n - done ? b.left : n - done;
        vpsde_place address = column->rest;
        uint64_t chunk;
        address.offset += (b.chunk - first) * sizeof(chunk);
        VPSDE_TRY(vpsde_parts_read(parts, address, &chunk, sizeof(chunk)));
        *good = chunk <= size && b.offset + length <= size - chunk;
        if (!*good) return VPSDE_OK;
        VPSDE_TRY(vpsde_parts_read(parts, (vpsde_place){VPSDE_PART_ROWS, chunk + b.offset},
                                   out + done, length));
        done += length;
    }
    return VPSDE_OK;
}

vpsde_status vpsde_placed_read(vpsde_parts *parts, vpsde_place payload, size_t column,
                               uint64_t skip, uint64_t n, void *out)
{
    found f = {.rest = payload};
    bool good;
    VPSDE_TRY(find(&f, parts, payload, column));
    if (f.placed.n_chunks > 0) return read_chunks(&good, parts, &f, skip, n, out, UINT64_MAX);
    f.rest.offset += skip;
    return vpsde_parts_read(parts, f.rest, out, n);
}

static vpsde_status check_column(bool *good, vpsde_parts *parts, const found *column, uint64_t size)
{
    const vpsde_placed *p = &column->placed;
    unsigned char *bytes;
    char hex[65];
    *good = p->bytes <= size;
    if (!*good) return VPSDE_OK;
    VPSDE_TRY(vpsde_alloc(&bytes, p->bytes, 1));
    const vpsde_status status = read_chunks(good, parts, column, 0, p->bytes, bytes, size);
    if (status == VPSDE_OK && *good) {
        vpsde_sha256(hex, bytes, p->bytes);
        *good = memcmp(hex, p->sha256, sizeof(p->sha256)) == 0;
    }
    free(bytes);
    return status;
}

vpsde_status vpsde_placed_check(bool *good, vpsde_parts *parts, vpsde_place place,
                                const void *payload, size_t bytes, uint64_t size)
{
    uint64_t n = 0;
    *good = true;
    if (bytes >= sizeof(n)) memcpy(&n, payload, sizeof(n));
    if (!vpsde_placed_fits(payload, bytes, n)) return VPSDE_OK; /* no record of ours */
    for (size_t c = 0, at = sizeof(n); c < n && *good; c++) {
        found f = {.rest = place};
        (void)step(&f.placed, payload, bytes, &at); /* they all fit */
        f.rest.offset += at - f.placed.n_chunks * sizeof(uint64_t);
        if (f.placed.n_chunks > 0) VPSDE_TRY(check_column(good, parts, &f, size));
    }
    return VPSDE_OK;
}
