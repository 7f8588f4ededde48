/* A fresh folder for a test's files, and hostile bytes made the same way each time. */
#ifndef VPSDE_TESTS_SCRATCH_H
#define VPSDE_TESTS_SCRATCH_H

#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tests/check.h"

enum { SCRATCH_PATH = 256 };

static char scratch_folder[SCRATCH_PATH];

/* cmocka group fixtures. */
static inline int scratch_setup(void **state)
{
    (void)state;
    snprintf(scratch_folder, sizeof(scratch_folder), "/tmp/vpsde-test-XXXXXX");
    return mkdtemp(scratch_folder) ? 0 : -1;
}

static inline int scratch_teardown(void **state)
{
    char path[2 * SCRATCH_PATH];
    DIR *folder = opendir(scratch_folder);
    (void)state;
    if (!folder) return -1;
    for (const struct dirent *entry; (entry = readdir(folder)) != NULL;) {
        snprintf(path, sizeof(path), "%s/%.200s", scratch_folder, entry->d_name);
        if (entry->d_name[0] != '.') unlink(path);
    }
    closedir(folder);
    return rmdir(scratch_folder);
}

/* Files in the folder whose names hold `words`. */
static inline size_t scratch_count(const char *words)
{
    size_t count = 0;
    DIR *folder = opendir(scratch_folder);
    assert_non_null(folder);
    for (const struct dirent *entry; (entry = readdir(folder)) != NULL;) {
        count += strstr(entry->d_name, words) != NULL;
    }
    closedir(folder);
    return count;
}

/* Borrowed until the sixteenth next call. */
static inline const char *scratch_path(const char *name)
{
    static char paths[16][2 * SCRATCH_PATH];
    static size_t next;
    char *path = paths[next++ % 16];
    snprintf(path, sizeof(paths[0]), "%s/%s", scratch_folder, name);
    return path;
}

static inline const char *scratch_write(const char *name, const void *bytes, size_t n)
{
    const char *path = scratch_path(name);
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, n, file), n);
    assert_int_equal(fclose(file), 0);
    return path;
}

/* One file in memory, for loops of many: its path until the next call. */
static inline const char *scratch_memory(const void *bytes, size_t n)
{
    static int fd = -1;
    static char path[64];
    if (fd < 0) fd = memfd_create("vpsde-test", MFD_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(ftruncate(fd, (off_t)n), 0);
    assert_int_equal(pwrite(fd, bytes, n, 0), n);
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    return path;
}

static inline size_t scratch_read(void *bytes, size_t max, const char *path)
{
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    const size_t n = fread(bytes, 1, max, file);
    fclose(file);
    return n;
}

/* Knuth's MMIX generator: the same mutations everywhere. */
static inline size_t scratch_random(uint64_t *x, size_t below)
{
    *x = *x * 6364136223846793005u + 1442695040888963407u;
    return (size_t)((*x >> 33) % below);
}

/* One to four bytes of `bytes` changed, sometimes the length cut. */
static inline size_t scratch_mutate(unsigned char *bytes, size_t n, uint64_t *x)
{
    static const unsigned char favourites[] = "\0\1\x7f\x80\xff{}[]\",:0918- enx";
    const size_t changes = 1 + scratch_random(x, 4);
    for (size_t k = 0; k < changes; k++) {
        const size_t at = scratch_random(x, n);
        const size_t how = scratch_random(x, 3);
        if (how == 0) bytes[at] = (unsigned char)scratch_random(x, 256);
        if (how == 1) bytes[at] ^= (unsigned char)(1u << scratch_random(x, 8));
        if (how == 2) bytes[at] = favourites[scratch_random(x, sizeof(favourites) - 1)];
    }
    return scratch_random(x, 8) == 0 ? scratch_random(x, n) : n;
}

#endif
