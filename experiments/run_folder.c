#include "experiments/run_folder.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "core/file.h"
#include "core/mem.h"

struct vpsde_run_folder {
    char *path, *target; /* PATH.parts, PATH */
    int dir, lock;       /* -1: not open */
};

const char *vpsde_run_folder_path(const vpsde_run_folder *folder) { return folder->path; }

static void fresh_name(char fresh[NAME_MAX], const char *name)
{
    snprintf(fresh, NAME_MAX, "%s.tmp", name);
}

static vpsde_status not_written(const vpsde_run_folder *folder, const char *name, int reason)
{
    char fresh[NAME_MAX];
    fresh_name(fresh, name);
    (void)unlinkat(folder->dir, fresh, 0);
    return vpsde_fail(VPSDE_EIO, "%s/%s: cannot be written: %s", folder->path, name,
                      strerror(reason));
}

vpsde_status vpsde_run_folder_write(int *fd, vpsde_run_folder *folder, const char *name,
                                    const void *data, size_t bytes)
{
    char fresh[NAME_MAX];
    fresh_name(fresh, name);
    *fd = vpsde_fd_open(folder->dir, fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC);
    if (*fd >= 0 && vpsde_fd_write(*fd, data, bytes) == 0) {
        (void)sync_file_range(*fd, 0, 0, SYNC_FILE_RANGE_WRITE); /* the disk may begin */
        return VPSDE_OK;
    }
    const int reason = errno;
    if (*fd >= 0) close(*fd);
    return not_written(folder, name, reason);
}

vpsde_status vpsde_run_folder_commit(vpsde_run_folder *folder, const char *name, int fd)
{
    char fresh[NAME_MAX];
    fresh_name(fresh, name);
    int done = vpsde_fd_sync(fd), reason = errno;
    if (close(fd) != 0 && done == 0) {
        done = -1;
        reason = errno;
    }
    if (done == 0 &&
        (renameat(folder->dir, fresh, folder->dir, name) != 0 || vpsde_fd_sync(folder->dir) != 0)) {
        done = -1;
        reason = errno;
    }
    return done == 0 ? VPSDE_OK : not_written(folder, name, reason);
}

void vpsde_run_folder_drop(vpsde_run_folder *folder, const char *name, int fd)
{
    char fresh[NAME_MAX];
    fresh_name(fresh, name);
    close(fd);
    (void)unlinkat(folder->dir, fresh, 0);
}

vpsde_status vpsde_run_folder_put(vpsde_run_folder *folder, const char *name, const void *data,
                                  size_t bytes)
{
    int fd;
    VPSDE_TRY(vpsde_run_folder_write(&fd, folder, name, data, bytes));
    return vpsde_run_folder_commit(folder, name, fd);
}

void vpsde_run_folder_keep(const vpsde_run_folder *folder, const char *name)
{
    char kept[NAME_MAX];
    struct stat info;
    snprintf(kept, sizeof(kept), "%s.damaged", name);
    if (fstatat(folder->dir, name, &info, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(info.st_mode))
        (void)renameat(folder->dir, name, folder->dir, kept);
    else
        (void)linkat(folder->dir, name, folder->dir, kept, 0);
}

vpsde_status vpsde_run_folder_open(int *fd, const vpsde_run_folder *folder, const char *name)
{
    *fd = vpsde_fd_open(folder->dir, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* no FIFO blocks */
    if (*fd >= 0) return VPSDE_OK;
    return vpsde_fail(VPSDE_EIO, "%s/%s: cannot be read: %s", folder->path, name, strerror(errno));
}

static vpsde_status no_size(const vpsde_run_folder *folder, const char *name)
{
    return vpsde_fail(VPSDE_EIO, "%s/%s: its size cannot be read: %s", folder->path, name,
                      strerror(errno));
}

vpsde_status vpsde_run_folder_size(double *bytes, const vpsde_run_folder *folder, const char *name)
{
    struct stat info;
    if (fstatat(folder->dir, name, &info, AT_SYMLINK_NOFOLLOW) != 0) return no_size(folder, name);
    *bytes = (double)info.st_size;
    return VPSDE_OK;
}

vpsde_status vpsde_run_folder_taken(uint64_t *length, double *bytes, const vpsde_run_folder *folder,
                                    const char *name)
{
    struct stat info = {.st_size = 0};
    if (fstatat(folder->dir, name, &info, AT_SYMLINK_NOFOLLOW) != 0 && errno != ENOENT) {
        return no_size(folder, name);
    }
    *length = (uint64_t)info.st_size;
    *bytes = 512.0 * (double)info.st_blocks;
    return VPSDE_OK;
}

/* Files a run puts there; `lock` goes last and by itself. */
static bool is_ours(const char *name)
{
    return strcmp(name, "config.yaml") == 0 || strcmp(name, "config.yaml.tmp") == 0 ||
           strcmp(name, VPSDE_RUN_MANIFEST) == 0 || strcmp(name, VPSDE_RUN_MANIFEST ".tmp") == 0 ||
           strcmp(name, VPSDE_RUN_ROWS) == 0 || strcmp(name, VPSDE_RUN_WHOLE) == 0 ||
           strncmp(name, "part-", 5) == 0;
}

static vpsde_status not_listed(const vpsde_run_folder *folder, int reason)
{
    return vpsde_fail(VPSDE_EIO, "%s: cannot be listed: %s", folder->path, strerror(reason));
}

vpsde_status vpsde_run_folder_each(const vpsde_run_folder *folder,
                                   vpsde_status (*visit)(void *context, const char *name),
                                   void *context)
{
    const int fd = vpsde_fd_open(folder->dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *list = fd < 0 ? NULL : fdopendir(fd);
    vpsde_status status = VPSDE_OK;
    if (!list) {
        status = not_listed(folder, errno);
        if (fd >= 0) close(fd);
        return status;
    }
    const struct dirent *entry;
    for (errno = 0; status == VPSDE_OK && (entry = readdir(list)); errno = 0) {
        status = visit(context, entry->d_name);
    }
    if (status == VPSDE_OK && errno != 0) status = not_listed(folder, errno);
    closedir(list);
    return status;
}

static vpsde_status remove_ours(void *context, const char *name)
{
    const vpsde_run_folder *folder = context;
    if (is_ours(name) && unlinkat(folder->dir, name, 0) != 0 && errno == EISDIR)
        (void)unlinkat(folder->dir, name, AT_REMOVEDIR); /* if it is empty */
    return VPSDE_OK;
}

/* The manifest goes first: a folder that lost some of its parts must not look like a run. */
static void empty(vpsde_run_folder *folder)
{
    (void)unlinkat(folder->dir, VPSDE_RUN_MANIFEST, 0);
    (void)vpsde_fd_sync(folder->dir);
    (void)vpsde_run_folder_each(folder, remove_ours, folder);
}

void vpsde_run_folder_remove(vpsde_run_folder *folder)
{
    if (folder->lock < 0) return;
    empty(folder);
    (void)unlinkat(folder->dir, "lock", 0);
    (void)rmdir(folder->path); /* a folder that comes back after a power cut has no manifest */
    close(folder->lock);
    folder->lock = -1;
}

void vpsde_run_folder_close(vpsde_run_folder *folder)
{
    if (!folder) return;
    if (folder->lock >= 0) close(folder->lock);
    if (folder->dir >= 0) close(folder->dir);
    free(folder->path);
    free(folder->target);
    free(folder);
}

/* "pid 123 on host" of the writer that holds the lock. */
static vpsde_status locked_by_other(const vpsde_run_folder *folder)
{
    char owner[256] = "";
    const ssize_t got = pread(folder->lock, owner, sizeof(owner) - 1, 0);
    owner[got > 0 ? got : 0] = '\0';
    owner[strcspn(owner, "\n")] = '\0';
    return vpsde_fail(VPSDE_EEXIST,
                      "%s: is being written by %s; wait for it or choose another output",
                      folder->target, owner[0] ? owner : "another process");
}

static vpsde_status take_lock(vpsde_run_folder *folder)
{
    char owner[256], host[128] = "";
    struct stat info;
    folder->lock = vpsde_fd_open(folder->dir, "lock", O_RDWR | O_CREAT | O_CLOEXEC);
    if (folder->lock < 0) {
        return vpsde_fail(VPSDE_EIO, "%s/lock: cannot be opened: %s", folder->path,
                          strerror(errno));
    }
    vpsde_status status = VPSDE_OK;
    if (flock(folder->lock, LOCK_EX | LOCK_NB) != 0) {
        status = errno == EWOULDBLOCK
                     ? locked_by_other(folder)
                     : vpsde_fail(VPSDE_EIO, "%s/lock: cannot be locked: %s; use a local folder",
                                  folder->path, strerror(errno));
    } else if (fstat(folder->lock, &info) != 0 || info.st_nlink == 0) {
        status = vpsde_fail(VPSDE_EEXIST, "%s: another run has just ended there; try again",
                            folder->target);
    }
    if (status != VPSDE_OK) { /* somebody else's: it must not be removed */
        close(folder->lock);
        folder->lock = -1;
        return status;
    }
    (void)gethostname(host, sizeof(host) - 1);
    const int length = snprintf(owner, sizeof(owner), "pid %ld on %s\n", (long)getpid(), host);
    if (vpsde_fd_replace(folder->lock, owner, (size_t)length) != 0) {
        return vpsde_fail(VPSDE_EIO, "%s/lock: cannot be written: %s", folder->path,
                          strerror(errno));
    }
    return VPSDE_OK;
}

/* A folder without manifest is emptied, so a doubt is no answer. */
static vpsde_status look_for_manifest(bool *there, const vpsde_run_folder *folder)
{
    *there = faccessat(folder->dir, VPSDE_RUN_MANIFEST, F_OK, 0) == 0;
    if (*there || errno == ENOENT) return VPSDE_OK;
    return vpsde_fail(VPSDE_EIO, "%s/" VPSDE_RUN_MANIFEST ": cannot be looked for: %s",
                      folder->path, strerror(errno));
}

static vpsde_status open_folder(vpsde_run_folder *folder)
{
    folder->dir = vpsde_fd_open(AT_FDCWD, folder->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder->dir >= 0) return VPSDE_OK;
    return vpsde_fail(VPSDE_EIO, "%s: cannot be opened: %s", folder->path, strerror(errno));
}

/* Takes the folder that is there now, made afresh or not. */
static vpsde_status occupy(vpsde_run_folder *folder, bool made, bool there, bool force)
{
    VPSDE_TRY(open_folder(folder));
    VPSDE_TRY(take_lock(folder));
    bool unfinished;
    VPSDE_TRY(look_for_manifest(&unfinished, folder));
    if (unfinished && !force) {
        return vpsde_fail(VPSDE_EEXIST,
                          "%s: an unfinished run is in %s; 'vpsde resume %s' goes on with it, "
                          "--force discards it",
                          folder->target, folder->path, folder->target);
    }
    if (there && !force) {
        vpsde_run_folder_remove(folder);
        return vpsde_fail(VPSDE_EEXIST, "%s: exists; use --force to overwrite it", folder->target);
    }
    if (!made) empty(folder);
    return vpsde_sync_folder_of(folder->path);
}

/* A lock that could not be taken; one that names its owner is somebody else's. */
static void drop_empty_lock(const vpsde_run_folder *folder)
{
    struct stat info;
    if (fstatat(folder->dir, "lock", &info, AT_SYMLINK_NOFOLLOW) == 0 && info.st_size == 0)
        (void)unlinkat(folder->dir, "lock", 0);
}

static vpsde_status make(vpsde_run_folder *folder, bool force)
{
    bool there;
    VPSDE_TRY(vpsde_file_check_target(&there, folder->target));
    const bool made = mkdir(folder->path, 0777) == 0;
    if (!made && errno != EEXIST) {
        return vpsde_fail(VPSDE_EIO, "%s: cannot be made: %s", folder->path, strerror(errno));
    }
    const vpsde_status status = occupy(folder, made, there, force);
    if (status != VPSDE_OK && made) {
        vpsde_run_folder_remove(folder);
        drop_empty_lock(folder);
        (void)rmdir(folder->path); /* where it was not locked yet: nobody else's work goes */
    }
    return status;
}

static vpsde_status name_folder(vpsde_run_folder **out, const char *path)
{
    *out = NULL;
    vpsde_run_folder *folder;
    VPSDE_TRY(vpsde_alloc(&folder, 1, sizeof(*folder)));
    folder->dir = folder->lock = -1;
    vpsde_status status = vpsde_strdup(&folder->target, path);
    if (status == VPSDE_OK) status = vpsde_format(&folder->path, "%s.parts", path);
    if (status != VPSDE_OK) {
        vpsde_run_folder_close(folder);
        return status;
    }
    *out = folder;
    return VPSDE_OK;
}

vpsde_status vpsde_run_folder_create(vpsde_run_folder **out, const char *path, bool force)
{
    VPSDE_TRY(name_folder(out, path));
    const vpsde_status status = make(*out, force);
    if (status == VPSDE_OK) return VPSDE_OK;
    vpsde_run_folder_close(*out);
    *out = NULL;
    return status;
}

vpsde_status vpsde_run_folder_reopen(vpsde_run_folder **out, const char *path)
{
    struct stat info;
    VPSDE_TRY(name_folder(out, path));
    vpsde_run_folder *folder = *out;
    const bool there = lstat(folder->path, &info) == 0;
    vpsde_status status = there ? open_folder(folder) : VPSDE_OK;
    if (there && status == VPSDE_OK) status = take_lock(folder);
    bool begun = false;
    if (there && status == VPSDE_OK) status = look_for_manifest(&begun, folder);
    if (begun) return VPSDE_OK;
    if (there && status == VPSDE_OK) vpsde_run_folder_remove(folder);
    vpsde_run_folder_close(folder);
    *out = NULL;
    return status;
}

vpsde_status vpsde_run_folder_join(vpsde_run_folder **out, const char *path)
{
    VPSDE_TRY(name_folder(out, path));
    const vpsde_status status = open_folder(*out);
    if (status == VPSDE_OK) return VPSDE_OK;
    vpsde_run_folder_close(*out);
    *out = NULL;
    return status;
}

vpsde_status vpsde_run_folder_space(double *bytes, const vpsde_run_folder *folder)
{
    struct statvfs info;
    if (fstatvfs(folder->dir, &info) != 0) {
        return vpsde_fail(VPSDE_EIO, "%s: its free space cannot be read: %s", folder->path,
                          strerror(errno));
    }
    *bytes = (double)info.f_bavail * (double)info.f_frsize;
    return VPSDE_OK;
}
