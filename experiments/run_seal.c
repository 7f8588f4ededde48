#include "experiments/run_seal.h"

#include <stdlib.h>
#include <string.h>

#include "core/background.h"
#include "core/mem.h"
#include "core/sha256.h"
#include "experiments/run_part_list.h"
#include "experiments/run_wide.h"

enum { HEADER = sizeof(vpsde_part_header), PACKED_BYTES = 8 << 20 };

static const char magic[8] = {'V', 'P', 'S', 'D', 'E', 'P', '0', '2'};

/* A part on its way: written, then durable under its name. */
typedef struct stage {
    vpsde_background *work;
    char name[VPSDE_PART_NAME];
    int fd;
} stage;

struct vpsde_seal {
    vpsde_run_folder *folder;
    vpsde_wide *wide;               /* or NULL */
    vpsde_part_buffer part, packed; /* of the first stage; without what is wide */
    bool now;                       /* what is packed has to be sealed */
    stage write, commit;
};

void vpsde_part_head(vpsde_part_header *header, const void *bytes, size_t n)
{
    char hex[65];
    vpsde_sha256(hex, bytes, n);
    memcpy(header->magic, magic, sizeof(magic));
    memcpy(header->sha256, hex, sizeof(header->sha256));
    header->bytes = n;
}

bool vpsde_part_is_headed(const vpsde_part_header *header)
{
    return memcmp(header->magic, magic, sizeof(magic)) == 0;
}

vpsde_status vpsde_part_reserve(vpsde_part_buffer *part, size_t more)
{
    size_t needed;
    if (__builtin_add_overflow(part->used, more, &needed)) {
        return vpsde_fail(VPSDE_EINVAL, "a record of %zu bytes is too long", more);
    }
    if (needed <= part->capacity) return VPSDE_OK;
    const size_t capacity = needed < 2 * part->capacity ? 2 * part->capacity : needed;
    unsigned char *larger = realloc(part->bytes, capacity);
    if (!larger) return vpsde_fail(VPSDE_ENOMEM, "cannot allocate %zu bytes", capacity);
    part->bytes = larger;
    part->capacity = capacity;
    return VPSDE_OK;
}

vpsde_status vpsde_part_append(vpsde_part_buffer *part, const void *bytes, size_t n)
{
    VPSDE_TRY(vpsde_part_reserve(part, n));
    if (n > 0) memcpy(part->bytes + part->used, bytes, n);
    part->used += n;
    return VPSDE_OK;
}

vpsde_status vpsde_seal_create(vpsde_seal **out)
{
    VPSDE_TRY(vpsde_alloc(out, 1, sizeof(**out)));
    vpsde_status status = vpsde_background_create(&(*out)->write.work);
    if (status == VPSDE_OK) status = vpsde_background_create(&(*out)->commit.work);
    if (status == VPSDE_OK) return VPSDE_OK;
    vpsde_seal_destroy(*out);
    *out = NULL;
    return status;
}

void vpsde_seal_destroy(vpsde_seal *seal)
{
    if (!seal) return;
    vpsde_background_destroy(seal->write.work); /* starts on the other */
    vpsde_background_destroy(seal->commit.work);
    free(seal->part.bytes);
    free(seal->packed.bytes);
    free(seal);
}

static vpsde_status commit_part(void *context)
{
    vpsde_seal *seal = context;
    const vpsde_status durable = seal->wide ? vpsde_wide_sync(seal->wide) : VPSDE_OK;
    if (durable == VPSDE_OK) {
        return vpsde_run_folder_commit(seal->folder, seal->commit.name, seal->commit.fd);
    }
    vpsde_run_folder_drop(seal->folder, seal->commit.name, seal->commit.fd);
    return durable;
}

static vpsde_status pack(vpsde_seal *seal)
{
    static const vpsde_part_header none;
    const vpsde_part_buffer *part = &seal->part;
    if (seal->packed.used == 0) VPSDE_TRY(vpsde_part_append(&seal->packed, &none, HEADER));
    for (size_t at = HEADER; at < part->used;) {
        vpsde_record record;
        memcpy(&record, part->bytes + at, sizeof(record));
        at += sizeof(record);
        VPSDE_TRY(vpsde_wide_pack(seal->wide, &seal->packed, &record, part->bytes + at));
        at += (record.bytes + 7) / 8 * 8;
    }
    vpsde_wide_hurry(seal->wide);
    return VPSDE_OK;
}

static vpsde_status write_part(void *context)
{
    vpsde_seal *seal = context;
    vpsde_part_header header;
    if (seal->wide) VPSDE_TRY(pack(seal));
    vpsde_part_buffer *part = seal->wide ? &seal->packed : &seal->part;
    if (part->used == HEADER || (seal->wide && !seal->now && part->used < PACKED_BYTES)) {
        return VPSDE_OK;
    }
    vpsde_part_head(&header, part->bytes + HEADER, part->used - HEADER);
    memcpy(part->bytes, &header, HEADER);
    VPSDE_TRY(vpsde_run_folder_write(&seal->write.fd, seal->folder, seal->write.name, part->bytes,
                                     part->used));
    part->used = 0;
    const vpsde_status before = vpsde_background_wait(seal->commit.work);
    if (before != VPSDE_OK) {
        vpsde_run_folder_drop(seal->folder, seal->write.name, seal->write.fd);
        return before;
    }
    memcpy(seal->commit.name, seal->write.name, sizeof(seal->commit.name));
    seal->commit.fd = seal->write.fd;
    vpsde_background_start(seal->commit.work, commit_part, seal);
    return VPSDE_OK;
}

vpsde_status vpsde_seal_start(vpsde_seal *seal, vpsde_run_folder *folder, const char *name,
                              vpsde_part_buffer *part, bool now)
{
    VPSDE_TRY(vpsde_background_wait(seal->write.work));
    seal->now = now;
    const vpsde_part_buffer empty = {.bytes = seal->part.bytes, .capacity = seal->part.capacity};
    seal->folder = folder;
    seal->part = *part;
    *part = empty;
    memcpy(seal->write.name, name, strlen(name) + 1);
    vpsde_background_start(seal->write.work, write_part, seal);
    return VPSDE_OK;
}

void vpsde_seal_widen(vpsde_seal *seal, vpsde_wide *wide) { seal->wide = wide; }

vpsde_status vpsde_seal_wait(vpsde_seal *seal)
{
    const vpsde_status written = vpsde_background_wait(seal->write.work);
    const vpsde_status durable = vpsde_background_wait(seal->commit.work);
    return written != VPSDE_OK ? written : durable;
}
