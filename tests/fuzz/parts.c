/* The records of an unfinished run: the input is what stands behind a sealed part's header, whose sum
 * is made to fit. */
#include <fcntl.h>
#include <sys/stat.h>

#include "tests/fuzz/fuzz.h"

#include "core/sha256.h"
#include "experiments/run_index.h"

enum { HEADER = 80 };

static char path[256];
static vpsde_parts *parts;
static int part; /* the sealed part's file */

static int make_file(const char *name)
{
    char file[320];
    snprintf(file, sizeof(file), "%s.parts/%s", path, name);
    const int fd = open(file, O_RDWR | O_CREAT, 0666);
    fuzz_claim(fd >= 0);
    return fd;
}

static void let_go(void) { vpsde_parts_destroy(parts); }

static void make_folder(void)
{
    static const char manifest[] = "format 2\nverb sample\nseed 7\nconfig_sha256 a\n";
    char folder[300];
    snprintf(path, sizeof(path), "%s/run.h5", fuzz_folder());
    snprintf(folder, sizeof(folder), "%s.parts", path);
    fuzz_claim(mkdir(folder, 0777) == 0);
    const int fd = make_file("manifest");
    fuzz_claim(write(fd, manifest, sizeof(manifest) - 1) == sizeof(manifest) - 1);
    close(fd);
    const int rows = make_file("rows.h5"); /* zeros: their sums can fit */
    fuzz_claim(ftruncate(rows, 1 << 20) == 0);
    close(rows);
    part = make_file("part-000000-000000");
    fuzz_claim(vpsde_parts_open(&parts, path) == VPSDE_OK && parts);
    atexit(let_go);
}

static void write_part(const uint8_t *data, size_t size)
{
    struct {
        char magic[8], sha256[64];
        uint64_t bytes;
    } header = {.magic = {'V', 'P', 'S', 'D', 'E', 'P', '0', '2'}, .bytes = size};
    _Static_assert(sizeof(header) == HEADER, "as experiments/run_parts.c has it");
    char hex[65];
    vpsde_sha256(hex, data, size);
    memcpy(header.sha256, hex, sizeof(header.sha256));
    fuzz_claim(pwrite(part, &header, HEADER, 0) == HEADER);
    fuzz_claim(pwrite(part, data, size, HEADER) == (ssize_t)size);
    fuzz_claim(ftruncate(part, (off_t)(HEADER + size)) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    vpsde_run_index *index;
    if (!*path) make_folder();
    write_part(data, size);
    if (vpsde_run_index_create(&index, parts) == VPSDE_OK) {
        (void)vpsde_run_index_check(index, true);
        vpsde_run_index_destroy(index);
    }
    return 0;
}
