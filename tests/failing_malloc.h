/* Allocations of our own code that fail on demand: the binary wraps malloc and its kin (tests/meson.build).
 * What shared libraries allocate (HDF5, GSL, jansson, libyaml) is not seen: HDF5 1.10 crashes by itself
 * without memory, which counts as a kill. */
#ifndef VPSDE_TESTS_FAILING_MALLOC_H
#define VPSDE_TESTS_FAILING_MALLOC_H

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

static struct {
    size_t calls, at; /* at = 0: none fails, and none is counted */
    bool persistent;  /* all later ones too */
    void (*seen)(size_t call);
} failing;

static bool failing_now(void)
{
    if (failing.at == 0) return false;
    const size_t call = __atomic_add_fetch(&failing.calls, 1, __ATOMIC_SEQ_CST);
    if (failing.seen) failing.seen(call);
    if (failing.persistent ? call < failing.at : call != failing.at) return false;
    errno = ENOMEM;
    return true;
}

#define FAILING_WRAP(type, nothing, name, parameters, arguments)                                   \
    type __real_##name parameters;                                                                 \
    type __wrap_##name parameters;                                                                 \
    type __wrap_##name parameters { return failing_now() ? (nothing) : __real_##name arguments; }

FAILING_WRAP(void *, NULL, malloc, (size_t size), (size))
FAILING_WRAP(void *, NULL, calloc, (size_t count, size_t size), (count, size))
FAILING_WRAP(void *, NULL, realloc, (void *memory, size_t size), (memory, size))
FAILING_WRAP(void *, NULL, reallocarray, (void *memory, size_t count, size_t size),
             (memory, count, size))
FAILING_WRAP(void *, NULL, aligned_alloc, (size_t alignment, size_t size), (alignment, size))
FAILING_WRAP(char *, NULL, strdup, (const char *text), (text))
FAILING_WRAP(char *, NULL, realpath, (const char *path, char *resolved), (path, resolved))
FAILING_WRAP(int, -1, vasprintf, (char **out, const char *format, va_list args),
             (out, format, args))

#endif
