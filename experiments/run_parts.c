#include "experiments/run_parts.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/file.h"
#include "core/mem.h"
#include "core/ranks.h"
#include "core/sha256.h"
#include "experiments/run_folder.h"
#include "experiments/run_seal.h"

enum { SEAL_BYTES = 16 << 20, TEXT_MAX = 16 << 20 };
enum { OPEN_PARTS = 251 }; /* a prime: parts of one number of many ranks do not meet */

enum { HEADER = sizeof(vpsde_part_header) };

struct vpsde_parts {
    vpsde_run_folder *folder;
    vpsde_part_buffer buffer; /* a header, then the records not sealed yet */
    vpsde_seal *seal;
    size_t next; /* part of this rank */
    double sealed_bytes;
    double sealed_at; /* on vpsde_clock_s */
    vpsde_status failed;
    bool mends; /* the next scan sets damaged parts aside */
    struct {
        size_t part;
        int fd; /* 0: free */
    } open[OPEN_PARTS];
};

/* Seconds between parts: one, and for many ranks so many that all of them make 20 parts a second, as
 * rank 0 has to read and remove each of them, up to 3 ms on a disk (docs/scaling.md). */
static double seal_s(void) { return fmax(1, (double)vpsde_n_ranks() / 20); }

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
    vpsde_status status = vpsde_seal_create(&parts->seal);
    if (status == VPSDE_OK) status = vpsde_run_folder_create(&parts->folder, path, force);
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
    parts->buffer.used = HEADER;
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

/* Adds up the bytes of the parts. */
static vpsde_status weigh(vpsde_parts *parts, const vpsde_part_list *list)
{
    char name[VPSDE_PART_NAME];
    double bytes;
    for (size_t i = 0; i < list->n; i++) {
        vpsde_part_name(name, list->part[i]);
        VPSDE_TRY(vpsde_run_folder_size(&bytes, parts->folder, name));
        parts->sealed_bytes += bytes;
    }
    return VPSDE_OK;
}

/* The next part of this rank comes after all it has, also where one between them was lost. Rank 0 minds
 * the space for all. */
static vpsde_status go_on_after(vpsde_parts *parts)
{
    vpsde_part_list list;
    const size_t first = vpsde_part_first(vpsde_rank()), end = vpsde_part_first(vpsde_rank() + 1);
    vpsde_status status = vpsde_part_list_fill(&list, parts->folder);
    parts->next = first;
    for (size_t i = 0; i < list.n; i++) {
        if (list.part[i] >= first && list.part[i] < end) parts->next = list.part[i] + 1;
    }
    if (status == VPSDE_OK && vpsde_rank() == 0) status = weigh(parts, &list);
    free(list.part);
    return status;
}

static vpsde_status take_up(vpsde_parts **out, const char *path, bool joins)
{
    *out = NULL;
    vpsde_parts *parts;
    VPSDE_TRY(vpsde_alloc(&parts, 1, sizeof(*parts)));
    vpsde_status status = vpsde_seal_create(&parts->seal);
    if (status == VPSDE_OK) {
        status = joins ? vpsde_run_folder_join(&parts->folder, path)
                       : vpsde_run_folder_reopen(&parts->folder, path);
    }
    if (status == VPSDE_OK && parts->folder) status = go_on_after(parts);
    if (status != VPSDE_OK || !parts->folder) {
        vpsde_parts_destroy(parts);
        return status;
    }
    parts->mends = !joins;
    parts->buffer.used = HEADER;
    parts->sealed_at = vpsde_clock_s();
    *out = parts;
    return VPSDE_OK;
}

vpsde_status vpsde_parts_open(vpsde_parts **out, const char *path)
{
    return take_up(out, path, false);
}

vpsde_status vpsde_parts_join(vpsde_parts **out, const char *path)
{
    return take_up(out, path, true);
}

static vpsde_status reserve(vpsde_parts *parts, size_t more)
{
    size_t needed;
    if (__builtin_add_overflow(parts->buffer.used, more, &needed)) {
        return vpsde_fail(VPSDE_EINVAL, "a record of %zu bytes is too long", more);
    }
    if (needed <= parts->buffer.capacity) return VPSDE_OK;
    const size_t capacity =
        needed < 2 * parts->buffer.capacity ? 2 * parts->buffer.capacity : needed;
    unsigned char *larger = realloc(parts->buffer.bytes, capacity);
    if (!larger) return vpsde_fail(VPSDE_ENOMEM, "cannot allocate %zu bytes", capacity);
    parts->buffer.bytes = larger;
    parts->buffer.capacity = capacity;
    return VPSDE_OK;
}

/* EIO stays. */
static vpsde_status check_earlier(const vpsde_parts *parts)
{
    if (parts->failed == VPSDE_OK) return VPSDE_OK;
    return vpsde_fail(parts->failed, "%s: an earlier part could not be written",
                      vpsde_run_folder_path(parts->folder));
}

/* Leaves what was appended to the threads that seal. */
static vpsde_status hand_over(vpsde_parts *parts)
{
    const size_t bytes = parts->buffer.used;
    char name[VPSDE_PART_NAME];
    VPSDE_TRY(check_earlier(parts));
    if (bytes == HEADER) return VPSDE_OK;
    vpsde_part_name(name, parts->next);
    parts->failed = vpsde_seal_start(parts->seal, parts->folder, name, &parts->buffer);
    if (parts->failed != VPSDE_OK) return parts->failed;
    parts->next++;
    parts->sealed_bytes += (double)bytes;
    parts->buffer.used = HEADER;
    parts->sealed_at = vpsde_clock_s();
    return VPSDE_OK;
}

vpsde_status vpsde_parts_seal(vpsde_parts *parts)
{
    VPSDE_TRY(hand_over(parts));
    parts->failed = vpsde_seal_wait(parts->seal);
    return parts->failed;
}

vpsde_status vpsde_parts_append(vpsde_parts *parts, const vpsde_record *record,
                                const struct iovec *pieces, size_t n_pieces)
{
    VPSDE_TRY(check_earlier(parts));
    vpsde_record stored = *record;
    stored.bytes = 0;
    for (size_t i = 0; i < n_pieces; i++) stored.bytes += pieces[i].iov_len;
    const size_t padded = (stored.bytes + 7) / 8 * 8;
    VPSDE_TRY(reserve(parts, sizeof(stored) + padded));
    unsigned char *to = parts->buffer.bytes + parts->buffer.used;
    memcpy(to, &stored, sizeof(stored));
    to += sizeof(stored);
    for (size_t i = 0; i < n_pieces; i++) {
        if (pieces[i].iov_len > 0) memcpy(to, pieces[i].iov_base, pieces[i].iov_len);
        to += pieces[i].iov_len;
    }
    memset(to, 0, padded - stored.bytes);
    parts->buffer.used += sizeof(stored) + padded;
    if (parts->buffer.used < SEAL_BYTES && vpsde_clock_s() - parts->sealed_at < seal_s())
        return VPSDE_OK;
    return hand_over(parts);
}

/* A descriptor of a sealed part, from a small direct-mapped cache. */
static vpsde_status open_part(int *fd, vpsde_parts *parts, size_t part)
{
    char name[VPSDE_PART_NAME];
    const size_t slot = part % OPEN_PARTS;
    if (parts->open[slot].fd == 0 || parts->open[slot].part != part) {
        int fresh;
        vpsde_part_name(name, part);
        VPSDE_TRY(vpsde_run_folder_open(&fresh, parts->folder, name));
        if (parts->open[slot].fd != 0) close(parts->open[slot].fd);
        parts->open[slot].fd = fresh;
        parts->open[slot].part = part;
    }
    *fd = parts->open[slot].fd;
    return VPSDE_OK;
}

static vpsde_status unreadable(const vpsde_parts *parts, size_t part, const char *why)
{
    char name[VPSDE_PART_NAME];
    vpsde_part_name(name, part);
    return vpsde_fail(VPSDE_EIO, "%s/%s: cannot be read: %s", vpsde_run_folder_path(parts->folder),
                      name, why);
}

vpsde_status vpsde_parts_read(vpsde_parts *parts, vpsde_place place, void *out, size_t bytes)
{
    int fd;
    VPSDE_TRY(open_part(&fd, parts, place.part));
    unsigned char *to = out;
    while (bytes > 0) {
        const ssize_t got = pread(fd, to, bytes, (off_t)place.offset);
        if (got < 0 && errno == EINTR) continue;
        if (got == 0) return unreadable(parts, place.part, "it is shorter than it was");
        if (got < 0) return unreadable(parts, place.part, strerror(errno));
        to += got;
        place.offset += (uint64_t)got;
        bytes -= (size_t)got;
    }
    return VPSDE_OK;
}

static vpsde_status damaged(const vpsde_parts *parts, size_t part)
{
    char name[VPSDE_PART_NAME];
    vpsde_part_name(name, part);
    return vpsde_fail(VPSDE_EIO,
                      "%s/%s: is damaged (its SHA-256 or length does not fit); "
                      "'vpsde resume' computes again what it held",
                      vpsde_run_folder_path(parts->folder), name);
}

/* Puts an empty part in the place of a damaged one, which stays beside it until the run is complete. */
static vpsde_status set_aside(vpsde_parts *parts, size_t part)
{
    char name[VPSDE_PART_NAME];
    vpsde_part_header header = {.bytes = 0};
    const size_t slot = part % OPEN_PARTS;
    close(parts->open[slot].fd);
    parts->open[slot].fd = 0;
    vpsde_part_head(&header, "", 0);
    vpsde_part_name(name, part);
    vpsde_run_folder_keep(parts->folder, name);
    return vpsde_run_folder_put(parts->folder, name, &header, sizeof(header));
}

/* Loads a part into the buffer, which holds nothing unsealed, and checks its sum: *bytes is SIZE_MAX
 * when it is damaged. */
static vpsde_status load_part(vpsde_parts *parts, size_t part, size_t *bytes)
{
    *bytes = SIZE_MAX;
    vpsde_part_header header;
    struct stat info;
    char hex[65];
    int fd;
    VPSDE_TRY(open_part(&fd, parts, part));
    if (fstat(fd, &info) != 0) return unreadable(parts, part, strerror(errno));
    if (info.st_size < (off_t)sizeof(header)) return VPSDE_OK;
    VPSDE_TRY(vpsde_parts_read(parts, (vpsde_place){part, 0}, &header, sizeof(header)));
    if (!vpsde_part_is_headed(&header) || header.bytes != (uint64_t)info.st_size - sizeof(header)) {
        return VPSDE_OK;
    }
    VPSDE_TRY(reserve(parts, header.bytes));
    unsigned char *records = parts->buffer.bytes + sizeof(header);
    VPSDE_TRY(vpsde_parts_read(parts, (vpsde_place){part, sizeof(header)}, records, header.bytes));
    vpsde_sha256(hex, records, header.bytes);
    if (memcmp(hex, header.sha256, sizeof(header.sha256)) == 0) *bytes = header.bytes;
    return VPSDE_OK;
}

static vpsde_status scan_part(vpsde_parts *parts, size_t part, vpsde_record_fn visit, void *context)
{
    size_t bytes = 0, at = 0;
    VPSDE_TRY(load_part(parts, part, &bytes));
    if (bytes == SIZE_MAX) return parts->mends ? set_aside(parts, part) : damaged(parts, part);
    while (at < bytes) {
        vpsde_record record;
        const unsigned char *from = parts->buffer.bytes + HEADER + at;
        if (bytes - at < sizeof(record)) return damaged(parts, part);
        memcpy(&record, from, sizeof(record));
        at += sizeof(record);
        if (record.bytes > bytes - at) return damaged(parts, part);
        VPSDE_TRY(visit(context, &record, from + sizeof(record), (vpsde_place){part, HEADER + at}));
        at += (record.bytes + 7) / 8 * 8;
    }
    return VPSDE_OK;
}

vpsde_status vpsde_parts_scan(vpsde_parts *parts, vpsde_part_list *seen, vpsde_record_fn visit,
                              void *context)
{
    vpsde_part_list all;
    if (parts->failed == VPSDE_OK) VPSDE_TRY(vpsde_parts_seal(parts));
    parts->buffer.used = HEADER;
    vpsde_status status = vpsde_part_list_fill(&all, parts->folder);
    for (size_t i = 0, old = 0; status == VPSDE_OK && i < all.n; i++) {
        while (old < seen->n && seen->part[old] < all.part[i]) old++;
        if (old < seen->n && seen->part[old] == all.part[i]) continue;
        status = scan_part(parts, all.part[i], visit, context);
    }
    if (status == VPSDE_OK) parts->mends = false;
    free(seen->part);
    *seen = all;
    return status;
}

void vpsde_parts_remove(vpsde_parts *parts)
{
    (void)vpsde_seal_wait(parts->seal);
    vpsde_run_folder_remove(parts->folder);
}

void vpsde_parts_destroy(vpsde_parts *parts)
{
    if (!parts) return;
    vpsde_seal_destroy(parts->seal);
    for (size_t slot = 0; slot < OPEN_PARTS; slot++) {
        if (parts->open[slot].fd != 0) close(parts->open[slot].fd);
    }
    vpsde_run_folder_close(parts->folder);
    free(parts->buffer.bytes);
    free(parts);
}
