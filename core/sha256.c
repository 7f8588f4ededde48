#include "core/sha256.h"

#include <errno.h>
#include <sha256.h>
#include <string.h>

void vpsde_sha256(char hex[65], const void *bytes, size_t length)
{
    SHA256Data(bytes, length, hex);
}

vpsde_status vpsde_sha256_file(char hex[65], const char *path)
{
    if (!SHA256File(path, hex)) {
        return vpsde_fail(VPSDE_EIO, "%s: cannot be read: %s", path, strerror(errno));
    }
    return VPSDE_OK;
}
