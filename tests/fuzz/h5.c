/* An HDF5 file: dataset `x`, a text attribute, the tree that `report` reads. HDF5 itself is not built
 * with the sanitizers; where it crashes by itself, docs/faults.md row 3 applies. */
#include "tests/fuzz/fuzz.h"

#include <vpsde/run.h>

#include "core/data.h"
#include "core/h5_tree.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *path = fuzz_file(data, size);
    double *values;
    size_t rank, dims[5];
    char *text;
    vpsde_h5_tree tree;
    if (vpsde_run_read(&values, &rank, dims, path, "/x") == VPSDE_OK) free(values);
    if (vpsde_run_read_text(&text, path, "/", "config") == VPSDE_OK) free(text);
    if (vpsde_h5_tree_open(&tree, path) == VPSDE_OK) vpsde_h5_tree_close(&tree);
    return 0;
}
