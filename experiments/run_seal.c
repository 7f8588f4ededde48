#include "experiments/run_seal.h"

#include <stdlib.h>
#include <string.h>

#include "core/background.h"
#include "core/mem.h"
#include "core/sha256.h"
#include "experiments/run_part_list.h"

enum { HEADER = sizeof(vpsde_part_header) };

static const char magic[8] = {'V', 'P', 'S', 'D', 'E', 'P', '0', '2'};

/* A part on its way: written, then durable under its name. */
typedef struct stage {
    vpsde_background *work;
    char name[VPSDE_PART_NAME];
    int fd;
} stage;

struct vpsde_seal {
    vpsde_run_folder *folder;
    vpsde_part_buffer part; /* of the first stage */
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
    free(seal);
}

static vpsde_status commit_part(void *context)
{
    vpsde_seal *seal = context;
    return vpsde_run_folder_commit(seal->folder, seal->commit.name, seal->commit.fd);
}

static vpsde_status write_part(void *context)
{
    vpsde_seal *seal = context;
    unsigned char *bytes = seal->part.bytes;
    vpsde_part_header header;
    vpsde_part_head(&header, bytes + HEADER, seal->part.used - HEADER);
    memcpy(bytes, &header, HEADER);
    VPSDE_TRY(vpsde_run_folder_write(&seal->write.fd, seal->folder, seal->write.name, bytes,
                                     seal->part.used));
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
                              vpsde_part_buffer *part)
{
    VPSDE_TRY(vpsde_background_wait(seal->write.work));
    const vpsde_part_buffer empty = {.bytes = seal->part.bytes, .capacity = seal->part.capacity};
    seal->folder = folder;
    seal->part = *part;
    *part = empty;
    memcpy(seal->write.name, name, strlen(name) + 1);
    vpsde_background_start(seal->write.work, write_part, seal);
    return VPSDE_OK;
}

vpsde_status vpsde_seal_wait(vpsde_seal *seal)
{
    const vpsde_status written = vpsde_background_wait(seal->write.work);
    const vpsde_status durable = vpsde_background_wait(seal->commit.work);
    return written != VPSDE_OK ? written : durable;
}
