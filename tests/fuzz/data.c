/* A data set: .npy, IDX or either in gzip, told apart by its first bytes. */
#include "tests/fuzz/fuzz.h"

#include "core/data.h"

enum { ROW_MAX = 4096 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static double row[ROW_MAX];
    vpsde_data *set;
    if (vpsde_data_parse(&set, fuzz_copy(data, size), size, "f") != VPSDE_OK) return 0;
    fuzz_claim(vpsde_data_rows(set) > 0 && vpsde_data_dim(set) > 0);
    if (vpsde_data_dim(set) <= ROW_MAX) {
        const size_t last = vpsde_data_rows(set) - 1;
        fuzz_claim(vpsde_data_read(set, row, last, 1, 2, -1) == VPSDE_OK);
        fuzz_claim(vpsde_data_read(set, row, last, 2, 2, -1) == VPSDE_EDATA);
    }
    (void)vpsde_data_pool(set, 2);
    vpsde_data_close(set);
    return 0;
}
