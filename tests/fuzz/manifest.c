/* The manifest of an unfinished run; what is read is written the same. */
#include "tests/fuzz/fuzz.h"

#include "experiments/run_manifest.h"

static vpsde_status rewrite(char **out, const char *text)
{
    vpsde_manifest m = {.verb = NULL};
    *out = NULL;
    vpsde_status status = vpsde_manifest_parse(&m, text, "manifest");
    if (status == VPSDE_OK) status = vpsde_manifest_format(out, &m);
    vpsde_manifest_free(&m);
    return status;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *once, *twice, *text = fuzz_text(data, size);
    if (rewrite(&once, text) == VPSDE_OK) {
        fuzz_claim(rewrite(&twice, once) == VPSDE_OK && strcmp(once, twice) == 0);
        free(twice);
    }
    free(once);
    free(text);
    return 0;
}
