#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/sha256.h"
#include "experiments/run_parts_impl.h"
#include "experiments/run_placed.h"

enum { HEADER = sizeof(vpsde_part_header) };

static void name_file(char name[VPSDE_PART_NAME], size_t part)
{
    if (part == VPSDE_PART_ROWS)
        snprintf(name, VPSDE_PART_NAME, VPSDE_RUN_ROWS);
    else
        vpsde_part_name(name, part);
}

/* A descriptor of a sealed part, from a small direct-mapped cache. */
static vpsde_status open_part(int *fd, vpsde_parts *parts, size_t part)
{
    char name[VPSDE_PART_NAME];
    const size_t slot = part % VPSDE_OPEN_PARTS;
    if (parts->open[slot].fd == 0 || parts->open[slot].part != part) {
        int fresh;
        name_file(name, part);
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
    name_file(name, part);
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
    const size_t slot = part % VPSDE_OPEN_PARTS;
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
    if (!S_ISREG(info.st_mode) || info.st_size < (off_t)sizeof(header)) return VPSDE_OK;
    VPSDE_TRY(vpsde_parts_read(parts, (vpsde_place){part, 0}, &header, sizeof(header)));
    if (!vpsde_part_is_headed(&header) || header.bytes != (uint64_t)info.st_size - sizeof(header)) {
        return VPSDE_OK;
    }
    VPSDE_TRY(vpsde_part_reserve(&parts->buffer, header.bytes));
    unsigned char *records = parts->buffer.bytes + sizeof(header);
    VPSDE_TRY(vpsde_parts_read(parts, (vpsde_place){part, sizeof(header)}, records, header.bytes));
    vpsde_sha256(hex, records, header.bytes);
    if (memcmp(hex, header.sha256, sizeof(header.sha256)) == 0) *bytes = header.bytes;
    return VPSDE_OK;
}

/* Calls visit for each record of the part that was loaded. */
static vpsde_status walk(vpsde_parts *parts, size_t part, size_t bytes, vpsde_record_fn visit,
                         void *context)
{
    for (size_t at = 0; at < bytes;) {
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

typedef struct placed_check {
    vpsde_parts *parts;
    bool good;
} placed_check;

static vpsde_status check_placed(void *context, const vpsde_record *record, const void *payload,
                                 vpsde_place place)
{
    placed_check *check = context;
    if (record->kind != VPSDE_RECORD_PLACED || !check->good) return VPSDE_OK;
    return vpsde_placed_check(&check->good, check->parts, place, payload, record->bytes,
                              check->parts->rows_bytes);
}

/* A part is as good as the rows that it speaks of; those that this process wrote, and nobody else reads
 * before the file is published, are not read again. */
static vpsde_status scan_part(vpsde_parts *parts, size_t part, vpsde_record_fn visit, void *context)
{
    size_t bytes = 0;
    placed_check check = {.parts = parts, .good = true};
    VPSDE_TRY(load_part(parts, part, &bytes));
    if (bytes == SIZE_MAX) {
        check.good = false;
    } else if (!vpsde_parts_wide(parts)) {
        VPSDE_TRY(walk(parts, part, bytes, check_placed, &check));
    }
    if (!check.good) return parts->mends ? set_aside(parts, part) : damaged(parts, part);
    return walk(parts, part, bytes, visit, context);
}

/* What all ranks have sealed, and rows.h5: rank 0 minds the space for all. */
static vpsde_status weigh(vpsde_parts *parts, const vpsde_part_list *list)
{
    char name[VPSDE_PART_NAME];
    double bytes;
    VPSDE_TRY(vpsde_run_folder_taken(&parts->rows_bytes, &parts->sealed_bytes, parts->folder,
                                     VPSDE_RUN_ROWS));
    for (size_t i = 0; i < list->n; i++) {
        vpsde_part_name(name, list->part[i]);
        VPSDE_TRY(vpsde_run_folder_size(&bytes, parts->folder, name));
        parts->sealed_bytes += bytes;
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
    if (status == VPSDE_OK) status = weigh(parts, &all);
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
