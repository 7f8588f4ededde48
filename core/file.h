/* Input files as bytes: a regular file, its size from fstat of the same descriptor, pread into own
 * memory. Never mmap: a file truncated by somebody else would be a SIGBUS. */
#ifndef VPSDE_CORE_FILE_H
#define VPSDE_CORE_FILE_H

#include <stdbool.h>
#include <stddef.h>

#include <vpsde/status.h>

/* EDATA "PATH: cannot be read: ..." unless it is a readable regular file. Close fd with close(). */
vpsde_status vpsde_file_open(int *fd, size_t *size, const char *path);

/* Exactly n bytes at offset, or EDATA. */
vpsde_status vpsde_file_read(int fd, void *out, size_t n, size_t offset, const char *path);

/* EINVAL (exit code 3, a budget) naming both figures when n bytes are more than this machine's memory. */
vpsde_status vpsde_file_budget(size_t n, const char *path);

/* A whole file of at most `most` bytes in fresh memory; EDATA for a larger one, before any is taken. */
vpsde_status vpsde_file_load_small(unsigned char **out, size_t *size, const char *path,
                                   size_t most);

/* The whole file in fresh memory. */
vpsde_status vpsde_file_load(unsigned char **out, size_t *size, const char *path);

/* open (a new file gets mode 0666), write, write at a place and fsync that a signal does not cut short:
 * -1 with errno. A `folder` of AT_FDCWD is the current one. An fsync that failed is never tried again. */
int vpsde_fd_open(int folder, const char *path, int flags);
int vpsde_fd_write(int fd, const void *data, size_t n);
int vpsde_fd_write_at(int fd, const void *data, size_t n, size_t offset);
int vpsde_fd_sync(int fd);
/* A descriptor just opened: its file holds these bytes alone. */
int vpsde_fd_replace(int fd, const void *data, size_t n);

/* Is there anything of this name? Only ENOENT and ENOTDIR say that there is not; EIO for all else. */
vpsde_status vpsde_file_is_there(bool *there, const char *path);

/* *there: a regular file of this name, which may be replaced. EEXIST for anything else of this name, EUSAGE
 * for what is no file's name, EIO when it cannot be told. */
vpsde_status vpsde_file_check_target(bool *there, const char *path);

/* Are these names of one file, by whatever links? False where either is not there. */
bool vpsde_file_same(const char *a, const char *b);

/* Makes what was renamed to `path` durable: fsync of its folder. EIO. */
vpsde_status vpsde_sync_folder_of(const char *path);

#endif
