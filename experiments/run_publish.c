#include "experiments/run_publish.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/file.h"

static vpsde_status sync_file(const char *path)
{
    const int fd = vpsde_fd_open(AT_FDCWD, path, O_RDONLY | O_CLOEXEC);
    const int done = fd < 0 ? -1 : vpsde_fd_sync(fd);
    const int reason = errno;
    if (fd >= 0) close(fd);
    if (done == 0) return VPSDE_OK;
    return vpsde_fail(VPSDE_EIO, "%s: cannot be made durable: %s", path, strerror(reason));
}

/* Nobody's file goes, whenever it came. Without second names somebody may still come between. */
static int name_anew(const char *fresh, const char *path)
{
    struct stat info;
    if (link(fresh, path) == 0) return 0;
    if (errno != EPERM && errno != EOPNOTSUPP && errno != ENOSYS && errno != EMLINK) return -1;
    if (lstat(path, &info) == 0) errno = EEXIST;
    return errno == ENOENT ? rename(fresh, path) : -1;
}

vpsde_status vpsde_publish(const char *fresh, const char *path, bool replace)
{
    VPSDE_TRY(sync_file(fresh));
    if (!replace)
        VPSDE_TRY(vpsde_sync_folder_of(fresh)); /* that `path` is this file is told by it */
    if ((replace ? rename(fresh, path) : name_anew(fresh, path)) != 0) {
        if (errno == EEXIST) {
            return vpsde_fail(VPSDE_EEXIST,
                              "%s: was made by somebody else while this run went on, and stays as "
                              "it is; move it away",
                              path);
        }
        return vpsde_fail(VPSDE_EIO, "%s: cannot be made from %s: %s", path, fresh,
                          strerror(errno));
    }
    return vpsde_sync_folder_of(path);
}
