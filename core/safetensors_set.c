#include "core/safetensors_set.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/json.h"
#include "core/mem.h"
#include "core/sha256.h"

enum { FILES_MAX = 1000 };

struct vpsde_safetensors_set {
    size_t n;
    const char **name;        /* of each file, borrowed from `index`, sorted */
    vpsde_safetensors **file; /* (n) */
    vpsde_json_in *index;     /* or NULL */
    const vpsde_json_in *map; /* its weight_map */
    char sha256[65];
};

static int compare(const void *left, const void *right)
{
    const char *const *a = left, *const *b = right;
    return strcmp(*a, *b);
}

static bool is_plain(const char *name)
{
    return name && *name && !strchr(name, '/') && strcmp(name, ".") != 0 && strcmp(name, "..") != 0;
}

/* The different files of the map, in the order of their names. */
static vpsde_status collect_names(vpsde_safetensors_set *set, const char *path)
{
    void *at = NULL;
    const char *tensor;
    vpsde_json_in *value;
    size_t n = 0;
    VPSDE_TRY(vpsde_alloc(&set->name, vpsde_json_in_size(set->map), sizeof(*set->name)));
    while (vpsde_json_in_next(&at, &tensor, &value, set->map)) {
        set->name[n] = vpsde_json_in_text(value);
        if (!is_plain(set->name[n])) {
            char shown[80];
            return vpsde_fail(VPSDE_EDATA,
                              "%s: weight_map: tensor %.200s is in %s; expected the name of a file "
                              "beside the index",
                              path, tensor, vpsde_json_in_show(shown, sizeof(shown), value));
        }
        n++;
    }
    if (n > 0) qsort(set->name, n, sizeof(*set->name), compare);
    for (size_t i = 0; i < n; i++) {
        if (i == 0 || strcmp(set->name[i], set->name[set->n - 1]) != 0) {
            set->name[set->n++] = set->name[i];
        }
    }
    if (set->n > 0 && set->n <= FILES_MAX) return VPSDE_OK;
    const size_t found = set->n;
    set->n = 0;
    return vpsde_fail(VPSDE_EDATA, "%s: weight_map names %zu files, expected 1 to %d", path, found,
                      FILES_MAX);
}

static vpsde_status open_files(vpsde_safetensors_set *set, const char *path)
{
    const char *const slash = strrchr(path, '/');
    const int folder = slash ? (int)(slash - path + 1) : 0;
    VPSDE_TRY(vpsde_alloc(&set->file, set->n, sizeof(vpsde_safetensors *)));
    for (size_t i = 0; i < set->n; i++) {
        char *name;
        VPSDE_TRY(vpsde_format(&name, "%.*s%s", folder, path, set->name[i]));
        const vpsde_status status = vpsde_safetensors_open(&set->file[i], name);
        free(name);
        VPSDE_TRY(status);
    }
    return VPSDE_OK;
}

/* Where weight_map has a tensor; NULL: nowhere. */
static const vpsde_safetensors *mapped(const vpsde_safetensors_set *set, const char *tensor)
{
    const char *const name = vpsde_json_in_text(vpsde_json_in_get(set->map, tensor));
    if (!name) return NULL;
    const char **const found = bsearch(&name, set->name, set->n, sizeof(*set->name), compare);
    return found ? set->file[found - set->name] : NULL;
}

/* No tensor that the map does not have there: it would be read from elsewhere, or never. */
static vpsde_status check_file(const vpsde_safetensors_set *set, size_t file, const char *path)
{
    for (size_t i = 0; i < vpsde_safetensors_count(set->file[file]); i++) {
        const char *const tensor = vpsde_safetensors_at(set->file[file], i)->name;
        if (mapped(set, tensor) == set->file[file]) continue;
        const char *const where = vpsde_json_in_text(vpsde_json_in_get(set->map, tensor));
        return vpsde_fail(VPSDE_EDATA,
                          "%s: weight_map: tensor %.200s is in %s, but the map has it %s%s", path,
                          tensor, set->name[file], where ? "in " : "", where ? where : "nowhere");
    }
    return VPSDE_OK;
}

static vpsde_status check_map(const vpsde_safetensors_set *set, const char *path)
{
    void *at = NULL;
    const char *tensor;
    vpsde_json_in *value;
    while (vpsde_json_in_next(&at, &tensor, &value, set->map)) {
        if (vpsde_safetensors_find(mapped(set, tensor), tensor)) continue;
        return vpsde_fail(VPSDE_EDATA, "%s: weight_map: tensor %.200s is not in %s", path, tensor,
                          vpsde_json_in_text(value));
    }
    for (size_t i = 0; i < set->n; i++) VPSDE_TRY(check_file(set, i, path));
    return VPSDE_OK;
}

static vpsde_status hash(vpsde_safetensors_set *set)
{
    size_t length = 0, used = 0;
    char *text;
    for (size_t i = 0; i < set->n; i++) length += 64 + 2 + strlen(set->name[i]) + 1;
    VPSDE_TRY(vpsde_alloc(&text, length + 1, 1));
    for (size_t i = 0; i < set->n; i++) {
        used += (size_t)snprintf(text + used, length + 1 - used, "%s  %s\n",
                                 vpsde_safetensors_sha256(set->file[i]), set->name[i]);
    }
    vpsde_sha256(set->sha256, text, length);
    free(text);
    return VPSDE_OK;
}

static vpsde_status open_index(vpsde_safetensors_set *set, const char *path)
{
    VPSDE_TRY(vpsde_json_in_load(&set->index, path));
    set->map = vpsde_json_in_get(set->index, "weight_map");
    if (vpsde_json_in_kind_of(set->map) != VPSDE_JSON_IN_MAP) {
        return vpsde_fail(VPSDE_EDATA,
                          "%s: weight_map is missing; expected a map of tensors to "
                          "files",
                          path);
    }
    VPSDE_TRY(collect_names(set, path));
    VPSDE_TRY(open_files(set, path));
    VPSDE_TRY(check_map(set, path));
    return hash(set);
}

static vpsde_status open_one(vpsde_safetensors_set *set, const char *path)
{
    VPSDE_TRY(vpsde_alloc(&set->file, 1, sizeof(vpsde_safetensors *)));
    VPSDE_TRY(vpsde_safetensors_open(&set->file[0], path));
    set->n = 1;
    (void)snprintf(set->sha256, sizeof(set->sha256), "%s", vpsde_safetensors_sha256(set->file[0]));
    return VPSDE_OK;
}

vpsde_status vpsde_safetensors_set_open(vpsde_safetensors_set **out, const char *path)
{
    static const char suffix[] = ".json";
    const size_t length = strlen(path), m = sizeof(suffix) - 1;
    vpsde_safetensors_set *set;
    *out = NULL;
    VPSDE_TRY(vpsde_alloc(&set, 1, sizeof(*set)));
    const bool index = length >= m && strcmp(path + length - m, suffix) == 0;
    const vpsde_status status = index ? open_index(set, path) : open_one(set, path);
    if (status != VPSDE_OK) {
        vpsde_safetensors_set_close(set);
        return status;
    }
    *out = set;
    return VPSDE_OK;
}

void vpsde_safetensors_set_close(vpsde_safetensors_set *set)
{
    if (!set) return;
    for (size_t i = 0; set->file && i < set->n; i++) vpsde_safetensors_close(set->file[i]);
    vpsde_json_in_free(set->index);
    free(set->file);
    free(set->name);
    free(set);
}

size_t vpsde_safetensors_set_files(const vpsde_safetensors_set *set) { return set->n; }

const vpsde_safetensors *vpsde_safetensors_set_at(const vpsde_safetensors_set *set, size_t file)
{
    return file < set->n ? set->file[file] : NULL;
}

const vpsde_safetensors *vpsde_safetensors_set_find(const vpsde_safetensors_set *set,
                                                    const char *tensor)
{
    if (set->map) return mapped(set, tensor);
    return vpsde_safetensors_find(set->file[0], tensor) ? set->file[0] : NULL;
}

const char *vpsde_safetensors_set_sha256(const vpsde_safetensors_set *set) { return set->sha256; }
