/* diffusers' config.json and scheduler_config.json. */
#include "tests/fuzz/fuzz.h"

#include "core/json.h"
#include "models/diffusers.h"

static void read_unet(const char *text, size_t size)
{
    vpsde_json_in *config;
    vpsde_unet_spec spec;
    if (vpsde_json_in_read(&config, text, size, "config.json") != VPSDE_OK) return;
    if (vpsde_unet_spec_parse(&spec, config, "config.json") == VPSDE_OK) {
        char *again;
        fuzz_claim(vpsde_unet_spec_format(&again, &spec) == VPSDE_OK);
        free(again);
    }
    vpsde_json_in_free(config);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    vpsde_diffusers_scheduler scheduler;
    read_unet((const char *)data, size);
    const char *text = (const char *)data;
    if (vpsde_diffusers_scheduler_parse(&scheduler, text, size, "f") == VPSDE_OK) {
        vpsde_diffusers_scheduler_clear(&scheduler);
    }
    return 0;
}
