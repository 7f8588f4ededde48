/* Every allocation of this process, those of shared libraries too, and the calls to the system that a
 * binary wraps (tests/meson.build), fail on demand. Not under the sanitizers, which have their own
 * malloc: there `faulty_each` runs its case once, whole. */
#ifndef VPSDE_TESTS_FAULTY_H
#define VPSDE_TESTS_FAULTY_H

#include <errno.h>
#include <locale.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/check.h"

typedef enum faulty_effect {
    FAULTY_MEMORY,    /* any allocation */
    FAULTY_OWN,       /* aligned_alloc, strdup, ... as our own code calls it */
    FAULTY_EIO,       /* a wrapped call */
    FAULTY_GONE,      /* it and all after it */
    FAULTY_EINTR,     /* one that may be interrupted */
    FAULTY_SHORT,     /* half of what a read or write was asked for */
    FAULTY_END,       /* a read past the end */
    FAULTY_NO_LOCALE, /* newlocale, from then on */
    FAULTY_FOREIGN    /* zlib's inflateReset */
} faulty_effect;

static struct {
    bool armed;
    faulty_effect effect;
    size_t calls, at;
} faulty;

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define FAULTY_OFF 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define FAULTY_OFF 1
#endif
#endif

/* Is it this call's turn? Sealing asks from threads of its own. */
static inline bool faulty_now(unsigned effects, int reason)
{
    const bool gone = faulty.effect == FAULTY_GONE;
    if (!faulty.armed || !(effects >> (gone ? FAULTY_EIO : faulty.effect) & 1u)) return false;
    const size_t call = __atomic_add_fetch(&faulty.calls, 1, __ATOMIC_SEQ_CST);
    if (faulty.at == 0 || (gone ? call < faulty.at : call != faulty.at)) return false;
    errno = reason;
    return true;
}

#define FAULTY(effect) (1u << FAULTY_##effect)
#define FAULTY_WRAP(type, name, ...)                                                               \
    type __real_##name(__VA_ARGS__);                                                               \
    type __wrap_##name(__VA_ARGS__);                                                               \
    type __wrap_##name(__VA_ARGS__)

#ifndef FAULTY_OFF
void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *memory, size_t size);
void *__libc_memalign(size_t alignment, size_t size);

void *malloc(size_t size)
{
    return faulty_now(FAULTY(MEMORY), ENOMEM) ? NULL : __libc_malloc(size);
}
void *calloc(size_t count, size_t size)
{
    return faulty_now(FAULTY(MEMORY), ENOMEM) ? NULL : __libc_calloc(count, size);
}
void *realloc(void *memory, size_t size)
{
    return faulty_now(FAULTY(MEMORY), ENOMEM) ? NULL : __libc_realloc(memory, size);
}
void *aligned_alloc(size_t alignment, size_t size)
{
    const bool fails = faulty_now(FAULTY(MEMORY) | FAULTY(OWN), ENOMEM);
    return fails ? NULL : __libc_memalign(alignment, size);
}
#endif

static inline ssize_t faulty_read(bool *done, size_t n)
{
    *done = true;
    if (faulty_now(FAULTY(EIO), EIO) || faulty_now(FAULTY(EINTR), EINTR)) return -1;
    if (faulty_now(FAULTY(END), 0)) return 0;
    *done = false;
    return (ssize_t)(faulty_now(FAULTY(SHORT), 0) ? (n + 1) / 2 : n);
}

FAULTY_WRAP(ssize_t, read, int fd, void *to, size_t n)
{
    bool done;
    const ssize_t got = faulty_read(&done, n);
    return done ? got : __real_read(fd, to, (size_t)got);
}
FAULTY_WRAP(ssize_t, pread64, int fd, void *to, size_t n, off_t offset)
{
    bool done;
    const ssize_t got = faulty_read(&done, n);
    return done ? got : __real_pread64(fd, to, (size_t)got, offset);
}
FAULTY_WRAP(ssize_t, write, int fd, const void *from, size_t n)
{
    if (faulty_now(FAULTY(EIO), ENOSPC) || faulty_now(FAULTY(EINTR), EINTR)) return -1;
    return __real_write(fd, from, faulty_now(FAULTY(SHORT), 0) ? (n + 1) / 2 : n);
}
FAULTY_WRAP(int, openat64, int folder, const char *path, int flags, mode_t mode)
{
    if (faulty_now(FAULTY(EIO), EIO) || faulty_now(FAULTY(EINTR), EINTR)) return -1;
    return __real_openat64(folder, path, flags, mode);
}
FAULTY_WRAP(int, fsync, int fd)
{
    if (faulty_now(FAULTY(EIO), EIO) || faulty_now(FAULTY(EINTR), EINTR)) return -1;
    return __real_fsync(fd);
}
FAULTY_WRAP(int, close, int fd)
{
    const int done = __real_close(fd);
    return faulty_now(FAULTY(EIO), EIO) ? -1 : done;
}
FAULTY_WRAP(int, fstat64, int fd, struct stat *info)
{
    return faulty_now(FAULTY(EIO), EIO) ? -1 : __real_fstat64(fd, info);
}
FAULTY_WRAP(int, fstatat64, int folder, const char *path, struct stat *info, int flags)
{
    return faulty_now(FAULTY(EIO), EIO) ? -1 : __real_fstatat64(folder, path, info, flags);
}
FAULTY_WRAP(int, rename, const char *from, const char *to)
{
    return faulty_now(FAULTY(EIO), EIO) ? -1 : __real_rename(from, to);
}
FAULTY_WRAP(int, renameat, int from_folder, const char *from, int to_folder, const char *to)
{
    return faulty_now(FAULTY(EIO), EIO) ? -1 : __real_renameat(from_folder, from, to_folder, to);
}
FAULTY_WRAP(locale_t, newlocale, int mask, const char *name, locale_t base)
{
    if (faulty.armed && faulty.effect == FAULTY_NO_LOCALE) {
        (void)faulty_now(FAULTY(NO_LOCALE), ENOMEM);
        return (locale_t)0;
    }
    return __real_newlocale(mask, name, base);
}
FAULTY_WRAP(int, inflateReset, void *stream)
{
    return faulty_now(FAULTY(FOREIGN), 0) ? -2 : __real_inflateReset(stream);
}

/* A whole use of something, which gives back all it took, and asserts nothing: what it read is in
 * its status, EINTERNAL when it was something else than it should. */
typedef vpsde_status (*faulty_case)(void);

static inline vpsde_status faulty_once(faulty_case use, faulty_effect effect, size_t at)
{
    faulty.calls = 0;
    faulty.at = at;
    faulty.effect = effect;
    faulty.armed = true;
    const vpsde_status status = use();
    faulty.armed = false;
    return status;
}

/* Each call fails in turn. The case either fails or does not mind; returns how many failed. */
static inline size_t faulty_each(faulty_case use, faulty_effect effect)
{
    assert_ok(faulty_once(use, effect, 0));
    const size_t all = faulty.calls;
    size_t failed = 0;
#ifdef FAULTY_OFF
    if (effect == FAULTY_MEMORY || effect == FAULTY_OWN) return 0;
#endif
    for (size_t at = 1; at <= all; at++) {
        const vpsde_status status = faulty_once(use, effect, at);
        if (status == VPSDE_EINTERNAL) print_error("call %zu of %zu, effect %d\n", at, all, effect);
        assert_int_not_equal(status, VPSDE_EINTERNAL);
        const bool memory = effect == FAULTY_MEMORY || effect == FAULTY_OWN;
        if (memory && status != VPSDE_OK && status != VPSDE_ENOMEM) {
            assert_fails(status, status, "memory");
        }
        if (effect == FAULTY_EINTR || effect == FAULTY_SHORT || effect == FAULTY_NO_LOCALE) {
            assert_ok(status);
        }
        failed += status != VPSDE_OK;
    }
    return failed;
}

#endif
