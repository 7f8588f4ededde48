#include "core/file.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/mem.h"

int vpsde_fd_open(int folder, const char *path, int flags)
{
    int fd;
    do {
        fd = openat(folder, path, flags, 0666);
    } while (fd < 0 && errno == EINTR);
    return fd;
}

int vpsde_fd_write(int fd, const void *data, size_t n)
{
    const char *bytes = data;
    for (size_t done = 0; done < n;) {
        const ssize_t more = write(fd, bytes + done, n - done);
        if (more < 0 && errno == EINTR) continue;
        if (more < 0) return -1;
        done += (size_t)more;
    }
    return 0;
}

int vpsde_fd_write_at(int fd, const void *data, size_t n, size_t offset)
{
    const char *bytes = data;
    for (size_t done = 0; done < n;) {
        const ssize_t more = pwrite(fd, bytes + done, n - done, (off_t)(offset + done));
        if (more < 0 && errno == EINTR) continue;
        if (more < 0) return -1;
        done += (size_t)more;
    }
    return 0;
}

int vpsde_fd_sync(int fd)
{
    int done;
    do {
        done = fsync(fd);
    } while (done != 0 && errno == EINTR);
    return done;
}

int vpsde_fd_replace(int fd, const void *data, size_t n)
{
    int cut;
    do {
        cut = ftruncate(fd, 0);
    } while (cut != 0 && errno == EINTR);
    return cut != 0 ? -1 : vpsde_fd_write(fd, data, n);
}

static vpsde_status is_there(bool *there, int looked, const char *path)
{
    *there = looked == 0;
    if (*there || errno == ENOENT || errno == ENOTDIR) return VPSDE_OK;
    return vpsde_fail(VPSDE_EIO, "%s: cannot be looked for: %s", path, strerror(errno));
}

vpsde_status vpsde_file_is_there(bool *there, const char *path)
{
    return is_there(there, access(path, F_OK), path);
}

vpsde_status vpsde_file_check_target(bool *there, const char *path)
{
    struct stat info;
    const size_t length = strlen(path);
    if (length == 0 || path[length - 1] == '/') {
        return vpsde_fail(VPSDE_EUSAGE, "output '%s': is not the name of a file", path);
    }
    VPSDE_TRY(is_there(there, lstat(path, &info), path)); /* a link to nowhere is there, too */
    if (!*there || (stat(path, &info) == 0 && S_ISREG(info.st_mode))) return VPSDE_OK;
    return vpsde_fail(VPSDE_EEXIST, "%s: is %s; choose a file name", path,
                      S_ISDIR(info.st_mode) ? "a folder" : "not a regular file");
}

bool vpsde_file_same(const char *a, const char *b)
{
    struct stat first, second;
    return stat(a, &first) == 0 && stat(b, &second) == 0 && first.st_dev == second.st_dev &&
           first.st_ino == second.st_ino;
}

vpsde_status vpsde_sync_folder_of(const char *path)
{
    char copy[PATH_MAX]; /* no memory is asked for: the file is there already */
    (void)snprintf(copy, sizeof(copy), "%s", path);
    const int fd = vpsde_fd_open(AT_FDCWD, dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    const int done = fd < 0 ? -1 : vpsde_fd_sync(fd), reason = errno;
    if (fd >= 0) close(fd);
    if (done == 0) return VPSDE_OK;
    return vpsde_fail(VPSDE_EIO, "%s: its folder cannot be made durable: %s", path,
                      strerror(reason));
}

static vpsde_status unreadable(const char *path, const char *why)
{
    return vpsde_fail(VPSDE_EDATA, "%s: cannot be read: %s", path, why);
}

vpsde_status vpsde_file_open(int *fd, size_t *size, const char *path)
{
    struct stat info;
    *fd = vpsde_fd_open(AT_FDCWD, path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* no FIFO blocks */
    if (*fd < 0) return unreadable(path, strerror(errno));
    const char *why = NULL;
    if (fstat(*fd, &info) != 0) {
        why = strerror(errno);
    } else if (!S_ISREG(info.st_mode)) {
        why = "it is not a regular file";
    } else if (info.st_size < 0 || (uintmax_t)info.st_size > SIZE_MAX) {
        why = "its size does not fit this machine";
    }
    if (why) {
        close(*fd);
        *fd = -1;
        return unreadable(path, why);
    }
    *size = (size_t)info.st_size;
    return VPSDE_OK;
}

vpsde_status vpsde_file_read(int fd, void *out, size_t n, size_t offset, const char *path)
{
    unsigned char *bytes = out;
    for (size_t done = 0; done < n;) {
        const ssize_t got = pread(fd, bytes + done, n - done, (off_t)(offset + done));
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return unreadable(path, strerror(errno));
        if (got == 0) {
            return vpsde_fail(VPSDE_EDATA, "%s: ends at byte %zu, %zu more were expected", path,
                              offset + done, n - done);
        }
        done += (size_t)got;
    }
    return VPSDE_OK;
}

vpsde_status vpsde_file_budget(size_t n, const char *path)
{
    const long pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);
    if (pages <= 0 || page <= 0) return VPSDE_OK;
    const double limit = (double)pages * (double)page, gib = 1024.0 * 1024 * 1024;
    if ((double)n <= limit) return VPSDE_OK;
    return vpsde_fail(VPSDE_EINVAL, "%s: needs %.1f GiB of memory, this machine has %.1f GiB", path,
                      (double)n / gib, limit / gib);
}

vpsde_status vpsde_file_load_small(unsigned char **out, size_t *size, const char *path, size_t most)
{
    int fd;
    *out = NULL;
    VPSDE_TRY(vpsde_file_open(&fd, size, path));
    vpsde_status status =
        *size <= most
            ? vpsde_file_budget(*size, path)
            : vpsde_fail(VPSDE_EDATA, "%s: %zu bytes, at most %zu are read", path, *size, most);
    if (status == VPSDE_OK) status = vpsde_alloc(out, *size, 1);
    if (status == VPSDE_OK) status = vpsde_file_read(fd, *out, *size, 0, path);
    close(fd);
    if (status != VPSDE_OK) {
        free(*out);
        *out = NULL;
    }
    return status;
}

vpsde_status vpsde_file_load(unsigned char **out, size_t *size, const char *path)
{
    return vpsde_file_load_small(out, size, path, SIZE_MAX);
}
