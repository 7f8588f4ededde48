#include <string.h>

#include "models/model.h"

static const vpsde_model_type *const types[] = {
#define VPSDE_MODEL(name) &vpsde_model_##name,
#include "models/registry.def"
#undef VPSDE_MODEL
    NULL,
};

const vpsde_model_type *vpsde_model_type_find(const char *name)
{
    for (size_t i = 0; types[i]; i++) {
        if (strcmp(types[i]->name, name) == 0) return types[i];
    }
    return NULL;
}

const vpsde_model_type *vpsde_model_type_at(size_t index)
{
    const size_t count = sizeof(types) / sizeof(types[0]) - 1;
    return index < count ? types[index] : NULL;
}
