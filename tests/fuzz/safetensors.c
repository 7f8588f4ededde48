/* A checkpoint: header, offsets, tensors as float32. */
#include "tests/fuzz/fuzz.h"

#include "core/safetensors.h"

enum { ELEMENTS_MAX = 1 << 16 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static float values[ELEMENTS_MAX];
    vpsde_safetensors *file;
    if (vpsde_safetensors_parse(&file, data, size, "f") != VPSDE_OK) return 0;
    (void)vpsde_safetensors_metadata(file, "vpsde.kind");
    size_t bytes = 0;
    for (size_t i = 0; i < vpsde_safetensors_count(file); i++) {
        const vpsde_tensor *tensor = vpsde_safetensors_at(file, i);
        fuzz_claim(vpsde_safetensors_find(file, tensor->name) == tensor);
        fuzz_claim(tensor->rank <= VPSDE_TENSOR_RANK_MAX);
        if (tensor->count > ELEMENTS_MAX) continue;
        bytes += tensor->count;
        (void)vpsde_safetensors_read_f32(file, tensor->name, values, tensor->rank, tensor->dims);
    }
    fuzz_claim(bytes <= size);
    vpsde_safetensors_close(file);
    return 0;
}
