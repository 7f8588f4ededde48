#include "experiments/run_parts.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/file.h"
#include "core/mem.h"
#include "core/sha256.h"
#include "experiments/run_folder.h"

enum { SEAL_BYTES = 16 << 20, SEAL_S = 1, OPEN_PARTS = 32, TEXT_MAX = 16 << 20, NAME_SIZE = 48 };

static const unsigned rank = 0; /* one writer a run */

typedef struct part_header {
    char magic[8], sha256[64];
    uint64_t bytes;
} part_header;

static const char magic[8] = {'V', 'P', 'S', 'D', 'E', 'P', '0', '2'};

struct vpsde_parts {
    vpsde_run_folder *folder;
    unsigned char *buffer; /* a header, then the records not sealed yet */
    size_t used, capacity, n_sealed;
    double sealed_bytes;
    double sealed_at; /* on vpsde_clock_s */
    vpsde_status failed;
    bool mends; /* the next scan sets damaged parts aside */
    struct {
        size_t part;
        int fd; /* 0: free */
    } open[OPEN_PARTS];
};

static void part_name(char name[NAME_SIZE], size_t part)
{
    snprintf(name, NAME_SIZE, "part-%06u-%06zu", rank, part);
}

uint64_t vpsde_record_id(const void *payload, size_t bytes)
{
    char hex[65];
    vpsde_sha256(hex, payload, bytes);
    hex[16] = '\0';
    return strtoull(hex, NULL, 16);
}

vpsde_status vpsde_parts_create(vpsde_parts **out, const char *path, const char *config,
                                const char *manifest, bool force)
{
    *out = NULL;
    vpsde_parts *parts;
    VPSDE_TRY(vpsde_alloc(&parts, 1, sizeof(*parts)));
    vpsde_status status = vpsde_run_folder_create(&parts->folder, path, force);
    if (status == VPSDE_OK) {
        status = vpsde_run_folder_put(parts->folder, "config.yaml", config, strlen(config));
    }
    if (status == VPSDE_OK) {
        status = vpsde_parts_manifest(parts, manifest);
    }
    if (status != VPSDE_OK) {
        if (parts->folder) vpsde_parts_remove(parts);
        vpsde_parts_destroy(parts);
        return status;
    }
    parts->used = sizeof(part_header);
    parts->sealed_at = vpsde_clock_s();
    *out = parts;
    return VPSDE_OK;
}

vpsde_status vpsde_parts_manifest(vpsde_parts *parts, const char *text)
{
    return vpsde_run_folder_put(parts->folder, VPSDE_RUN_MANIFEST, text, strlen(text));
}

vpsde_status vpsde_parts_text(char **text, const vpsde_parts *parts, const char *name)
{
    char *path;
    unsigned char *bytes;
    size_t size;
    *text = NULL;
    VPSDE_TRY(vpsde_format(&path, "%s/%s", vpsde_run_folder_path(parts->folder), name));
    vpsde_status status = vpsde_file_load_small(&bytes, &size, path, TEXT_MAX);
    free(path);
    if (status == VPSDE_EDATA) return vpsde_fail(VPSDE_EIO, "%s", vpsde_last_error());
    VPSDE_TRY(status);
    status = vpsde_format(text, "%.*s", (int)size, (const char *)bytes);
    free(bytes);
    return status;
}

vpsde_status vpsde_parts_space(double *sealed, double *available, const vpsde_parts *parts)
{
    *sealed = parts->sealed_bytes;
    return vpsde_run_folder_space(available, parts->folder);
}

/* Parts are sealed one after another, so the first number that is missing is the next. */
static void count_sealed(vpsde_parts *parts)
{
    struct stat info;
    char name[NAME_SIZE];
    for (;; parts->n_sealed++) {
        part_name(name, parts->n_sealed);
        if (!vpsde_run_folder_has(parts->folder, name, &info)) return;
        parts->sealed_bytes += (double)info.st_size;
    }
}

vpsde_status vpsde_parts_open(vpsde_parts **out, const char *path)
{
    *out = NULL;
    vpsde_parts *parts;
    VPSDE_TRY(vpsde_alloc(&parts, 1, sizeof(*parts)));
    const vpsde_status status = vpsde_run_folder_reopen(&parts->folder, path);
    if (status != VPSDE_OK || !parts->folder) {
        vpsde_parts_destroy(parts);
        return status;
    }
    count_sealed(parts);
    parts->mends = true;
    parts->used = sizeof(part_header);
    parts->sealed_at = vpsde_clock_s();
    *out = parts;
    return VPSDE_OK;
}

static vpsde_status reserve(vpsde_parts *parts, size_t more)
{
    size_t needed;
    if (__builtin_add_overflow(parts->used, more, &needed)) {
        return vpsde_fail(VPSDE_EINVAL, "a record of %zu bytes is too long", more);
    }
    if (needed <= parts->capacity) return VPSDE_OK;
    const size_t capacity = needed < 2 * parts->capacity ? 2 * parts->capacity : needed;
    unsigned char *larger = realloc(parts->buffer, capacity);
    if (!larger) return vpsde_fail(VPSDE_ENOMEM, "cannot allocate %zu bytes", capacity);
    parts->buffer = larger;
    parts->capacity = capacity;
    return VPSDE_OK;
}

vpsde_status vpsde_parts_append(vpsde_parts *parts, const vpsde_record *record,
                                const struct iovec *pieces, size_t n_pieces)
{
    if (parts->failed != VPSDE_OK) {
        return vpsde_fail(parts->failed, "%s: an earlier part could not be written",
                          vpsde_run_folder_path(parts->folder));
    }
    vpsde_record stored = *record;
    stored.bytes = 0;
    for (size_t i = 0; i < n_pieces; i++) stored.bytes += pieces[i].iov_len;
    const size_t padded = (stored.bytes + 7) / 8 * 8;
    VPSDE_TRY(reserve(parts, sizeof(stored) + padded));
    unsigned char *to = parts->buffer + parts->used;
    memcpy(to, &stored, sizeof(stored));
    to += sizeof(stored);
    for (size_t i = 0; i < n_pieces; i++) {
        if (pieces[i].iov_len > 0) memcpy(to, pieces[i].iov_base, pieces[i].iov_len);
        to += pieces[i].iov_len;
    }
    memset(to, 0, padded - stored.bytes);
    parts->used += sizeof(stored) + padded;
    if (parts->used < SEAL_BYTES && vpsde_clock_s() - parts->sealed_at < SEAL_S) return VPSDE_OK;
    return vpsde_parts_seal(parts);
}

vpsde_status vpsde_parts_seal(vpsde_parts *parts)
{
    char name[NAME_SIZE], hex[65];
    if (parts->failed != VPSDE_OK || parts->used == sizeof(part_header)) return parts->failed;
    part_header header = {.bytes = parts->used - sizeof(header)};
    memcpy(header.magic, magic, sizeof(magic));
    vpsde_sha256(hex, parts->buffer + sizeof(header), header.bytes);
    memcpy(header.sha256, hex, sizeof(header.sha256));
    memcpy(parts->buffer, &header, sizeof(header));
    part_name(name, parts->n_sealed);
    parts->failed = vpsde_run_folder_put(parts->folder, name, parts->buffer, parts->used);
    if (parts->failed != VPSDE_OK) return parts->failed;
    parts->n_sealed++;
    parts->sealed_bytes += (double)parts->used;
    parts->used = sizeof(header);
    parts->sealed_at = vpsde_clock_s();
    return VPSDE_OK;
}

/* A descriptor of a sealed part, from a small direct-mapped cache. */
static vpsde_status open_part(int *fd, vpsde_parts *parts, size_t part)
{
    char name[NAME_SIZE];
    const size_t slot = part % OPEN_PARTS;
    if (parts->open[slot].fd == 0 || parts->open[slot].part != part) {
        int fresh;
        part_name(name, part);
        VPSDE_TRY(vpsde_run_folder_open(&fresh, parts->folder, name));
        if (parts->open[slot].fd != 0) close(parts->open[slot].fd);
        parts->open[slot].fd = fresh;
        parts->open[slot].part = part;
    }
    *fd = parts->open[slot].fd;
    return VPSDE_OK;
}

vpsde_status vpsde_parts_read(vpsde_parts *parts, vpsde_place place, void *out, size_t bytes)
{
    int fd;
    VPSDE_TRY(open_part(&fd, parts, place.part));
    unsigned char *to = out;
    while (bytes > 0) {
        const ssize_t got = pread(fd, to, bytes, (off_t)place.offset);
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) {
            return vpsde_fail(VPSDE_EIO, "%s/part-%06u-%06zu: cannot be read: %s",
                              vpsde_run_folder_path(parts->folder), rank, place.part,
                              got == 0 ? "it is shorter than it was" : strerror(errno));
        }
        to += got;
        place.offset += (uint64_t)got;
        bytes -= (size_t)got;
    }
    return VPSDE_OK;
}

static vpsde_status damaged(const vpsde_parts *parts, size_t part)
{
    return vpsde_fail(VPSDE_EIO,
                      "%s/part-%06u-%06zu: is damaged (its SHA-256 or length does not fit); "
                      "'vpsde resume' computes again what it held",
                      vpsde_run_folder_path(parts->folder), rank, part);
}

/* Puts an empty part in the place of a damaged one, which stays beside it until the run is complete. */
static vpsde_status set_aside(vpsde_parts *parts, size_t part)
{
    char name[NAME_SIZE], hex[65];
    part_header header = {.bytes = 0};
    const size_t slot = part % OPEN_PARTS;
    close(parts->open[slot].fd);
    parts->open[slot].fd = 0;
    memcpy(header.magic, magic, sizeof(magic));
    vpsde_sha256(hex, "", 0);
    memcpy(header.sha256, hex, sizeof(header.sha256));
    part_name(name, part);
    vpsde_run_folder_keep(parts->folder, name);
    return vpsde_run_folder_put(parts->folder, name, &header, sizeof(header));
}

/* Loads a part into the buffer, which holds nothing unsealed, and checks its sum: *bytes is SIZE_MAX
 * when it is damaged. */
static vpsde_status load_part(vpsde_parts *parts, size_t part, size_t *bytes)
{
    *bytes = SIZE_MAX;
    part_header header;
    struct stat info;
    char hex[65];
    int fd;
    VPSDE_TRY(open_part(&fd, parts, part));
    if (fstat(fd, &info) != 0 || info.st_size < (off_t)sizeof(header)) return VPSDE_OK;
    VPSDE_TRY(vpsde_parts_read(parts, (vpsde_place){part, 0}, &header, sizeof(header)));
    if (memcmp(header.magic, magic, sizeof(magic)) != 0 ||
        header.bytes != (uint64_t)info.st_size - sizeof(header)) {
        return VPSDE_OK;
    }
    VPSDE_TRY(reserve(parts, header.bytes));
    unsigned char *records = parts->buffer + sizeof(header);
    VPSDE_TRY(vpsde_parts_read(parts, (vpsde_place){part, sizeof(header)}, records, header.bytes));
    vpsde_sha256(hex, records, header.bytes);
    if (memcmp(hex, header.sha256, sizeof(header.sha256)) == 0) *bytes = header.bytes;
    return VPSDE_OK;
}

vpsde_status vpsde_parts_scan(vpsde_parts *parts, vpsde_record_fn visit, void *context)
{
    if (parts->failed == VPSDE_OK) VPSDE_TRY(vpsde_parts_seal(parts));
    parts->used = sizeof(part_header);
    for (size_t part = 0; part < parts->n_sealed; part++) {
        size_t bytes = 0, at = 0;
        VPSDE_TRY(load_part(parts, part, &bytes));
        if (bytes == SIZE_MAX) {
            if (!parts->mends) return damaged(parts, part);
            VPSDE_TRY(set_aside(parts, part));
            continue;
        }
        while (at < bytes) {
            vpsde_record record;
            const unsigned char *from = parts->buffer + sizeof(part_header) + at;
            if (bytes - at < sizeof(record)) return damaged(parts, part);
            memcpy(&record, from, sizeof(record));
            at += sizeof(record);
            if (record.bytes > bytes - at) return damaged(parts, part);
            VPSDE_TRY(visit(context, &record, from + sizeof(record),
                            (vpsde_place){part, sizeof(part_header) + at}));
            at += (record.bytes + 7) / 8 * 8;
        }
    }
    parts->mends = false;
    return VPSDE_OK;
}

void vpsde_parts_remove(vpsde_parts *parts) { vpsde_run_folder_remove(parts->folder); }

void vpsde_parts_destroy(vpsde_parts *parts)
{
    if (!parts) return;
    for (size_t slot = 0; slot < OPEN_PARTS; slot++) {
        if (parts->open[slot].fd != 0) close(parts->open[slot].fd);
    }
    vpsde_run_folder_close(parts->folder);
    free(parts->buffer);
    free(parts);
}
