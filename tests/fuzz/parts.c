/* The records of an unfinished run: the input is what stands behind a sealed part's header, whose sum
 * is made to fit. */
#include <fcntl.h>
#include <sys/stat.h>

#include "tests/fuzz/fuzz.h"

#include "core/sha256.h"
#include "experiments/run_index.h"

static char path[256];

static void write_file(const char *name, const void *head, size_t n, const void *data, size_t size)
{
    char file[320];
    snprintf(file, sizeof(file), "%s.parts/%s", path, name);
    const int fd = open(file, O_WRONLY | O_CREAT | O_TRUNC, 0666);
    fuzz_claim(fd >= 0 && write(fd, head, n) == (ssize_t)n);
    fuzz_claim(size == 0 || write(fd, data, size) == (ssize_t)size);
    close(fd);
}

static void make_folder(void)
{
    static const char manifest[] = "format 2\nverb sample\nseed 7\nconfig_sha256 a\n";
    char folder[300];
    snprintf(path, sizeof(path), "%s/run.h5", fuzz_folder());
    snprintf(folder, sizeof(folder), "%s.parts", path);
    fuzz_claim(mkdir(folder, 0777) == 0);
    write_file("manifest", manifest, sizeof(manifest) - 1, NULL, 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct {
        char magic[8], sha256[64];
        uint64_t bytes;
    } header = {.magic = {'V', 'P', 'S', 'D', 'E', 'P', '0', '2'}, .bytes = size};
    char hex[65];
    vpsde_parts *parts;
    vpsde_run_index *index;
    if (!*path) make_folder();
    vpsde_sha256(hex, data, size);
    memcpy(header.sha256, hex, sizeof(header.sha256));
    write_file("part-000000-000000", &header, sizeof(header), data, size);
    fuzz_claim(vpsde_parts_open(&parts, path) == VPSDE_OK && parts);
    if (vpsde_run_index_create(&index, parts) == VPSDE_OK) {
        (void)vpsde_run_index_check(index, true);
        vpsde_run_index_destroy(index);
    }
    vpsde_parts_destroy(parts);
    return 0;
}
