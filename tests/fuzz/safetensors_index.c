/* model.safetensors.index.json beside two good shards: a.safetensors (x, y), b.safetensors (z). */
#include <fcntl.h>

#include "tests/fuzz/fuzz.h"

#include "core/safetensors_set.h"

static char path[256];

static void write_shard(const char *name, const char *const *tensors, size_t n)
{
    static const float value = 1;
    char file[256];
    vpsde_tensor_out out[2];
    for (size_t i = 0; i < n; i++) {
        out[i] = (vpsde_tensor_out){tensors[i], "F32", 1, {1}, &value};
    }
    snprintf(file, sizeof(file), "%s/%s", fuzz_folder(), name);
    fuzz_claim(vpsde_safetensors_write(file, out, n, NULL, 0) == VPSDE_OK);
}

static int make_folder(void)
{
    write_shard("a.safetensors", (const char *const[]){"x", "y"}, 2);
    write_shard("b.safetensors", (const char *const[]){"z"}, 1);
    snprintf(path, sizeof(path), "%s/model.safetensors.index.json", fuzz_folder());
    return open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static int fd;
    if (!*path) fd = make_folder();
    fuzz_claim(pwrite(fd, data, size, 0) == (ssize_t)size && ftruncate(fd, (off_t)size) == 0);
    vpsde_safetensors_set *set;
    if (vpsde_safetensors_set_open(&set, path) != VPSDE_OK) return 0;
    fuzz_claim(vpsde_safetensors_set_files(set) <= 2);
    fuzz_claim(strlen(vpsde_safetensors_set_sha256(set)) == 64);
    (void)vpsde_safetensors_set_find(set, "x");
    (void)vpsde_safetensors_set_find(set, "nowhere");
    vpsde_safetensors_set_close(set);
    return 0;
}
