/* gzip with a cap: nothing is inflated that a header did not declare. */
#define ZLIB_CONST
#include <zlib.h>

#include "core/data_reader.h"

enum { PIECE = 1 << 30, GZIP_ONLY = 16 /* added to windowBits, see inflateInit2 */ };

typedef struct inflation {
    z_stream stream;
    const unsigned char *in;
    unsigned char *out;
    size_t n, cap, used, got;
    bool ended; /* every member ended with its checksum */
    bool more;  /* there is output beyond cap */
} inflation;

static uInt piece(size_t n) { return n < PIECE ? (uInt)n : (uInt)PIECE; }

/* After a member: another one, the end, or something that does not belong there. */
static const char *next_member(inflation *z)
{
    if (z->used == z->n) {
        z->ended = true;
        return NULL;
    }
    if (z->n - z->used < 2 || z->in[z->used] != 0x1f || z->in[z->used + 1] != 0x8b) {
        return "bytes behind its end";
    }
    return inflateReset(&z->stream) == Z_OK ? NULL : "zlib failed";
}

static const char no_memory[] = "not enough memory to inflate it";

/* Runs until the end of the input, the cap or an error; the sentence of what is wrong, or NULL. */
static const char *run(inflation *z)
{
    unsigned char beyond;
    while (!z->ended && !z->more) {
        const bool full = z->got == z->cap;
        const uInt in = piece(z->n - z->used), out = full ? 1 : piece(z->cap - z->got);
        z->stream.next_in = z->in + z->used;
        z->stream.avail_in = in;
        z->stream.next_out = full ? &beyond : z->out + z->got;
        z->stream.avail_out = out;
        const int code = inflate(&z->stream, Z_NO_FLUSH);
        const size_t used = in - z->stream.avail_in, made = out - z->stream.avail_out;
        if (code == Z_MEM_ERROR) return no_memory;
        if (code != Z_OK && code != Z_BUF_ERROR && code != Z_STREAM_END) {
            return z->stream.msg ? z->stream.msg : "damaged";
        }
        z->used += used;
        if (full && made > 0) z->more = true;
        if (!full) z->got += made;
        if (code == Z_STREAM_END) {
            const char *wrong = next_member(z);
            if (wrong) return wrong;
        } else if (used == 0 && made == 0) {
            return NULL; /* cut off */
        }
    }
    return NULL;
}

static vpsde_status inflate_file(inflation *z, const char *path)
{
    if (inflateInit2(&z->stream, MAX_WBITS + GZIP_ONLY) != Z_OK) {
        return vpsde_fail(VPSDE_ENOMEM, "%s: zlib cannot be started", path);
    }
    const char *wrong = run(z);
    vpsde_status status = VPSDE_OK;
    if (wrong == no_memory) {
        status = vpsde_fail(VPSDE_ENOMEM, "%s: %s", path, wrong);
    } else if (wrong) {
        status = vpsde_fail(VPSDE_EDATA, "%s: not a valid gzip file: %s, at byte %zu", path, wrong,
                            z->used);
    }
    inflateEnd(&z->stream);
    return status;
}

vpsde_status vpsde_gz_head(unsigned char *out, size_t max, size_t *got, const unsigned char *in,
                           size_t n, const char *path)
{
    inflation z = {.in = in, .n = n, .out = out, .cap = max};
    VPSDE_TRY(inflate_file(&z, path));
    *got = z.got;
    return VPSDE_OK;
}

vpsde_status vpsde_gz_exact(unsigned char *out, size_t total, const unsigned char *in, size_t n,
                            const char *path)
{
    inflation z = {.in = in, .n = n, .out = out, .cap = total};
    VPSDE_TRY(inflate_file(&z, path));
    if (z.more) {
        return vpsde_fail(VPSDE_EDATA,
                          "%s: inflates to more than the %zu bytes its header declares", path,
                          total);
    }
    if (z.ended && z.got == total) return VPSDE_OK;
    return vpsde_fail(VPSDE_EDATA, "%s: %s after %zu of the %zu bytes its header declares", path,
                      z.ended ? "ends" : "is cut off", z.got, total);
}
