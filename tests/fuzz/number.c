/* A number as the command line and a configuration have it; what is read prints so that it reads back. */
#include "tests/fuzz/fuzz.h"

#include "core/config_impl.h"
#include "core/number.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = fuzz_text(data, size), shown[VPSDE_CONFIG_NUMBER_SIZE];
    double real, again;
    uint64_t whole;
    (void)vpsde_parse_real(&real, text);
    (void)vpsde_config_is_null(text);
    if (vpsde_config_read_uint(&whole, text) == VPSDE_NUMBER_OK) {
        fuzz_claim(vpsde_config_read_real(&real, text) == VPSDE_NUMBER_OK);
        fuzz_claim((double)whole == real);
    }
    if (vpsde_config_read_real(&real, text) == VPSDE_NUMBER_OK) {
        vpsde_config_print_real(shown, real, true);
        fuzz_claim(vpsde_config_read_real(&again, shown) == VPSDE_NUMBER_OK && again == real);
        vpsde_format_real(shown, sizeof(shown), real, 1);
        fuzz_claim(vpsde_parse_real(&again, shown) && again == real);
    }
    free(text);
    return 0;
}
