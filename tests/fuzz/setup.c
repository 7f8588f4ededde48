/* A whole configuration as `vpsde check` reads it: every section, model and process made, resolved.
 * Networks that it describes are left out: they are as large as it asks for. */
#include "tests/fuzz/fuzz.h"

#include "experiments/setup.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const networks[] = {"unet", "mlp"};
    vpsde_setup s = {0};
    for (size_t i = 0; i < sizeof(networks) / sizeof(networks[0]); i++) {
        if (memmem(data, size, networks[i], strlen(networks[i]))) return 0;
    }
    const vpsde_cli cli = {.program = "fuzz", .input = fuzz_file(data, size), .threads = 1};
    if (vpsde_setup_read(&s, &cli, VPSDE_USES_SAMPLER) == VPSDE_OK) {
        fuzz_claim(s.resolved && s.process && s.model);
    }
    vpsde_setup_close(&s);
    return 0;
}
