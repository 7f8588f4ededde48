#include "experiments/run_parts.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/file.h"
#include "core/mem.h"
#include "core/ranks.h"
#include "core/sha256.h"
#include "experiments/run_folder.h"
#include "experiments/run_parts_impl.h"
#include "experiments/run_wide.h"

enum { SEAL_BYTES = 16 << 20, TEXT_MAX = 16 << 20 };
enum { HEADER = sizeof(vpsde_part_header) };

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

/* The next part of this rank comes after all it has, also where one between them was lost. */
static vpsde_status go_on_after(vpsde_parts *parts)
{
    vpsde_part_list list;
    const size_t first = vpsde_part_first(vpsde_rank()), end = vpsde_part_first(vpsde_rank() + 1);
    vpsde_status status = vpsde_part_list_fill(&list, parts->folder);
    parts->next = first;
    for (size_t i = 0; i < list.n; i++) {
        if (list.part[i] >= first && list.part[i] < end) parts->next = list.part[i] + 1;
    }
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

/* EIO stays. */
static vpsde_status check_earlier(const vpsde_parts *parts)
{
    if (parts->failed == VPSDE_OK) return VPSDE_OK;
    return vpsde_fail(parts->failed, "%s: an earlier part could not be written",
                      vpsde_run_folder_path(parts->folder));
}

/* Leaves what was appended to the threads that seal; now: with all that waits there. */
static vpsde_status hand_over(vpsde_parts *parts, bool now)
{
    const size_t bytes = parts->buffer.used;
    char name[VPSDE_PART_NAME];
    VPSDE_TRY(check_earlier(parts));
    if (bytes == HEADER && !parts->wide) return VPSDE_OK;
    vpsde_part_name(name, parts->next);
    parts->failed = vpsde_seal_start(parts->seal, parts->folder, name, &parts->buffer, now);
    if (parts->failed != VPSDE_OK) return parts->failed;
    parts->next++;
    parts->sealed_bytes += (double)bytes;
    parts->buffer.used = HEADER;
    if (now) parts->sealed_at = vpsde_clock_s();
    return VPSDE_OK;
}

vpsde_status vpsde_parts_seal(vpsde_parts *parts)
{
    VPSDE_TRY(hand_over(parts, true));
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
    VPSDE_TRY(vpsde_part_reserve(&parts->buffer, sizeof(stored) + padded));
    unsigned char *to = parts->buffer.bytes + parts->buffer.used;
    memcpy(to, &stored, sizeof(stored));
    to += sizeof(stored);
    for (size_t i = 0; i < n_pieces; i++) {
        if (pieces[i].iov_len > 0) memcpy(to, pieces[i].iov_base, pieces[i].iov_len);
        to += pieces[i].iov_len;
    }
    memset(to, 0, padded - stored.bytes);
    parts->buffer.used += sizeof(stored) + padded;
    const bool late = vpsde_clock_s() - parts->sealed_at >= seal_s();
    if (parts->buffer.used < SEAL_BYTES && !late) return VPSDE_OK;
    return hand_over(parts, late || !parts->wide);
}

vpsde_status vpsde_parts_widen(vpsde_parts *parts, uint64_t id, const vpsde_table *table)
{
    if (!parts->wide) {
        VPSDE_TRY(vpsde_wide_create(&parts->wide, vpsde_run_folder_path(parts->folder)));
        vpsde_seal_widen(parts->seal, parts->wide);
    }
    return vpsde_parts_wide(parts) ? vpsde_wide_begin(parts->wide, id, table) : VPSDE_OK;
}

/* What HDF5 has to say of rows.h5 counts no more, so neither does how its closing ends. */
vpsde_status vpsde_parts_leave_wide(vpsde_parts *parts)
{
    if (parts->failed == VPSDE_OK) VPSDE_TRY(vpsde_parts_seal(parts));
    (void)vpsde_wide_close(parts->wide);
    return VPSDE_OK;
}

vpsde_wide *vpsde_parts_wide(const vpsde_parts *parts)
{
    return vpsde_wide_file(parts->wide) ? parts->wide : NULL;
}

void vpsde_parts_remove(vpsde_parts *parts)
{
    (void)vpsde_seal_wait(parts->seal);
    (void)vpsde_wide_close(parts->wide);
    vpsde_run_folder_remove(parts->folder);
}

void vpsde_parts_destroy(vpsde_parts *parts)
{
    if (!parts) return;
    vpsde_seal_destroy(parts->seal);
    vpsde_wide_destroy(parts->wide);
    for (size_t slot = 0; slot < VPSDE_OPEN_PARTS; slot++) {
        if (parts->open[slot].fd != 0) close(parts->open[slot].fd);
    }
    vpsde_run_folder_close(parts->folder);
    free(parts->buffer.bytes);
    free(parts);
}
