/* YAML text asked with a small schema (tests/config_schema.h); what is resolved reads back the same. */
#include "tests/config_schema.h"

#include "tests/fuzz/fuzz.h"

static char *resolve(const char *text, size_t length)
{
    vpsde_config *root;
    char *resolved = NULL;
    answers a = {.seed = 0};
    if (vpsde_config_parse(&root, text, length, "f.yaml", "/", NULL, 0) != VPSDE_OK) return NULL;
    if (ask_all(&a, root) == VPSDE_OK) {
        fuzz_claim(vpsde_config_resolved(&resolved, root) == VPSDE_OK);
    }
    vpsde_config_close(root);
    drop(&a);
    return resolved;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = fuzz_text(data, size);
    char *once = resolve(text, size);
    free(text);
    if (!once) return 0;
    char *twice = resolve(once, strlen(once));
    fuzz_claim(twice && strcmp(once, twice) == 0);
    free(once);
    free(twice);
    return 0;
}
