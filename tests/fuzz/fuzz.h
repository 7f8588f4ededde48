/* What the fuzz targets share. Each target is one file with LLVMFuzzerTestOneInput: libFuzzer drives it
 * in a build that run.sh makes, replay.c feeds it the corpus in every other. */
#ifndef VPSDE_TESTS_FUZZ_H
#define VPSDE_TESTS_FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <vpsde/status.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What must hold of every input, or it is a finding. */
#define fuzz_claim(condition)                                                                      \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "%s:%d: %s does not hold; last error: %s\n", __FILE__, __LINE__,       \
                    #condition, vpsde_last_error());                                               \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

/* The input as a file in memory: its path until the next call. */
static inline const char *fuzz_file(const void *data, size_t size)
{
    static int fd = -1;
    static char path[64];
    if (fd < 0) fd = memfd_create("fuzz", MFD_CLOEXEC);
    fuzz_claim(fd >= 0 && ftruncate(fd, (off_t)size) == 0);
    fuzz_claim(pwrite(fd, data, size, 0) == (ssize_t)size);
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    return path;
}

/* The input in memory of just its size, so that reading past it is seen. Free it. */
static inline unsigned char *fuzz_copy(const uint8_t *data, size_t size)
{
    unsigned char *copy = malloc(size > 0 ? size : 1);
    fuzz_claim(copy);
    if (size > 0) memcpy(copy, data, size);
    return copy;
}

/* The input as text: without what stands behind its first NUL. Free it. */
static inline char *fuzz_text(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1);
    fuzz_claim(text);
    if (size > 0) memcpy(text, data, size);
    text[size] = '\0';
    return text;
}

/* A folder of this process, removed at its end; names in it. */
const char *fuzz_folder(void);

#endif
