/* LD_PRELOAD for the tests of storage.
 *
 * VPSDE_TEST_RECORD=FILE  what reaches the file system, in its order, appended to FILE: one line a call
 *                         "open FD DIR FLAGS PATH", "write FD OFFSET BYTES" and the bytes, "fsync FD",
 *                         "truncate FD LENGTH", "rename DIR PATH DIR PATH", "link PATH PATH", "unlink DIR PATH",
 *                         "mkdir PATH", "rmdir PATH". power_cut.py reads it.
 * VPSDE_TEST_HURRY=N      the monotonic clock runs N times as fast: parts are sealed that much sooner.
 *
 * Only calls that succeeded are recorded; a lock keeps record and call together. */
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

#define REAL(type, name, ...)                                                                      \
    static type (*real)(__VA_ARGS__);                                                              \
    if (!real) *(void **)&real = dlsym(RTLD_NEXT, name)

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static int record_fd(void)
{
    static int fd = -2;
    REAL(int, "open", const char *, int, ...);
    if (fd == -2) {
        const char *path = getenv("VPSDE_TEST_RECORD");
        fd = path ? real(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666) : -1;
    }
    return fd;
}

static void put(const void *data, size_t bytes)
{
    REAL(ssize_t, "write", int, const void *, size_t);
    if (real(record_fd(), data, bytes) != (ssize_t)bytes) abort();
}

static void __attribute__((format(printf, 1, 2))) note(const char *format, ...)
{
    char line[8192];
    va_list list;
    if (record_fd() < 0) return;
    va_start(list, format);
    const int n = vsnprintf(line, sizeof(line), format, list);
    va_end(list);
    put(line, (size_t)n);
}

#define LOCKED(type, call, then)                                                                   \
    pthread_mutex_lock(&lock);                                                                     \
    const type result = call;                                                                      \
    if (result >= 0) then;                                                                         \
    pthread_mutex_unlock(&lock);                                                                   \
    return result

#define OPENER(name, parameters, before, dir, path)                                                \
    int name parameters                                                                            \
    {                                                                                              \
        mode_t mode = 0;                                                                           \
        if (flags & O_CREAT) {                                                                     \
            va_list list;                                                                          \
            va_start(list, flags);                                                                 \
            mode = va_arg(list, mode_t);                                                           \
            va_end(list);                                                                          \
        }                                                                                          \
        before;                                                                                    \
        LOCKED(int, OPEN_CALL, note("open %d %d %d %s\n", result, dir, flags, path));              \
    }

#define OPEN_CALL real(path, flags, mode)
OPENER(open, (const char *path, int flags, ...), REAL(int, "open", const char *, int, ...), -100,
       path)
OPENER(open64, (const char *path, int flags, ...), REAL(int, "open64", const char *, int, ...),
       -100, path)
#undef OPEN_CALL
#define OPEN_CALL real(dir, path, flags, mode)
OPENER(openat, (int dir, const char *path, int flags, ...),
       REAL(int, "openat", int, const char *, int, ...), dir, path)
OPENER(openat64, (int dir, const char *path, int flags, ...),
       REAL(int, "openat64", int, const char *, int, ...), dir, path)
#undef OPEN_CALL

static void note_write(int fd, long long offset, ssize_t n, const void *data)
{
    struct stat info;
    if (n <= 0 || record_fd() < 0 || fstat(fd, &info) != 0 || !S_ISREG(info.st_mode)) return;
    note("write %d %lld %zd\n", fd, offset, n);
    put(data, (size_t)n);
}

ssize_t write(int fd, const void *data, size_t n)
{
    REAL(ssize_t, "write", int, const void *, size_t);
    LOCKED(ssize_t, real(fd, data, n),
           note_write(fd, (long long)lseek(fd, 0, SEEK_CUR) - result, result, data));
}

ssize_t pwrite(int fd, const void *data, size_t n, off_t offset)
{
    REAL(ssize_t, "pwrite", int, const void *, size_t, off_t);
    LOCKED(ssize_t, real(fd, data, n, offset), note_write(fd, offset, result, data));
}

ssize_t pwrite64(int fd, const void *data, size_t n, off64_t offset)
{
    REAL(ssize_t, "pwrite64", int, const void *, size_t, off64_t);
    LOCKED(ssize_t, real(fd, data, n, offset), note_write(fd, offset, result, data));
}

int ftruncate(int fd, off_t length)
{
    REAL(int, "ftruncate", int, off_t);
    LOCKED(int, real(fd, length), note("truncate %d %lld\n", fd, (long long)length));
}

int ftruncate64(int fd, off64_t length)
{
    REAL(int, "ftruncate64", int, off64_t);
    LOCKED(int, real(fd, length), note("truncate %d %lld\n", fd, (long long)length));
}

int fsync(int fd)
{
    REAL(int, "fsync", int);
    LOCKED(int, real(fd), note("fsync %d\n", fd));
}

int rename(const char *from, const char *to)
{
    REAL(int, "rename", const char *, const char *);
    LOCKED(int, real(from, to), note("rename -100 %s -100 %s\n", from, to));
}

int renameat(int a, const char *from, int b, const char *to)
{
    REAL(int, "renameat", int, const char *, int, const char *);
    LOCKED(int, real(a, from, b, to), note("rename %d %s %d %s\n", a, from, b, to));
}

int link(const char *from, const char *to)
{
    REAL(int, "link", const char *, const char *);
    LOCKED(int, real(from, to), note("link %s %s\n", from, to));
}

int unlink(const char *path)
{
    REAL(int, "unlink", const char *);
    LOCKED(int, real(path), note("unlink -100 %s\n", path));
}

int unlinkat(int dir, const char *path, int flags)
{
    REAL(int, "unlinkat", int, const char *, int);
    LOCKED(int, real(dir, path, flags), note("unlink %d %s\n", dir, path));
}

int mkdir(const char *path, mode_t mode)
{
    REAL(int, "mkdir", const char *, mode_t);
    LOCKED(int, real(path, mode), note("mkdir %s\n", path));
}

int rmdir(const char *path)
{
    REAL(int, "rmdir", const char *);
    LOCKED(int, real(path), note("rmdir %s\n", path));
}

int clock_gettime(clockid_t clock, struct timespec *t)
{
    static double hurry;
    REAL(int, "clock_gettime", clockid_t, struct timespec *);
    const int result = real(clock, t);
    if (hurry <= 0) {
        const char *text = getenv("VPSDE_TEST_HURRY");
        hurry = text ? atof(text) : 1;
    }
    if (result != 0 || clock != CLOCK_MONOTONIC || hurry <= 1) return result;
    const double seconds = hurry * ((double)t->tv_sec + 1e-9 * (double)t->tv_nsec);
    t->tv_sec = (time_t)seconds;
    t->tv_nsec = (long)(1e9 * (seconds - (double)t->tv_sec));
    return result;
}
