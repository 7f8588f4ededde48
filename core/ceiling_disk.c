#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/ceiling.h"
#include "core/clock.h"
#include "core/file.h"
#include "core/mem.h"

enum { CHUNK = 4 << 20, CHUNKS = 64 };

static vpsde_status failed(const char *folder)
{
    return vpsde_fail(VPSDE_EIO, "%s: a file there cannot be written: %s", folder, strerror(errno));
}

/* Whether the disk has taken a chunk is known once it is synced, which costs a fast disk little. */
static vpsde_status fill(double *bytes, int fd, const char *chunk, const char *folder)
{
    const double start = vpsde_clock_s();
    double written = 0, seconds = 0;
    for (int i = 0; i < CHUNKS && seconds < 1; i++) {
        if (vpsde_fd_write(fd, chunk, CHUNK) != 0) return failed(folder);
        if (i % 4 == 3 && fdatasync(fd) != 0) return failed(folder);
        written += CHUNK;
        seconds = vpsde_clock_s() - start;
    }
    if (fdatasync(fd) != 0) return failed(folder);
    *bytes = written / (vpsde_clock_s() - start);
    return VPSDE_OK;
}

static vpsde_status write_to(double *bytes, const char *path, int fd, const char *folder)
{
    char *chunk;
    (void)unlink(path);
    vpsde_status status = vpsde_alloc(&chunk, CHUNK, 1);
    if (status == VPSDE_OK) {
        for (size_t i = 0; i < CHUNK; i++) chunk[i] = (char)(i * 2654435761u >> 13);
        status = fill(bytes, fd, chunk, folder);
    }
    free(chunk);
    return status;
}

vpsde_status vpsde_ceiling_disk(double *bytes, const char *folder)
{
    char *path;
    *bytes = 0;
    VPSDE_TRY(vpsde_format(&path, "%s/.vpsde-bench-XXXXXX", folder));
    const int fd = mkstemp(path);
    vpsde_status status = fd < 0 ? failed(folder) : write_to(bytes, path, fd, folder);
    if (fd >= 0) close(fd);
    free(path);
    return status;
}
