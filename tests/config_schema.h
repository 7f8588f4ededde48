/* A small program's schema, which asks everything that the getters can answer. */
#ifndef VPSDE_TESTS_CONFIG_SCHEMA_H
#define VPSDE_TESTS_CONFIG_SCHEMA_H

#include "tests/check.h"

#include <float.h>
#include <stdlib.h>

#include "core/config.h"

enum { MEANS_RANK = 2, ITEMS_MAX = 8 };

enum { ETA, ORDER, VARIANCE, EXACT };
static const vpsde_param table[] = {
    {.name = "eta", .kind = VPSDE_PARAM_REAL, .value = 0.25, .max = 1, .open_min = true},
    {.name = "order", .kind = VPSDE_PARAM_INT, .value = 2, .min = -1, .max = 3},
    {.name = "variance", .kind = VPSDE_PARAM_CHOICE, .choices = "small|large", .max = 1},
    {.name = "exact", .kind = VPSDE_PARAM_BOOL, .value = 1, .max = 1},
    {.name = NULL},
};

typedef struct answers {
    uint64_t seed;
    double beta_min, t_min, unset;
    bool override;
    int grid;
    size_t n_items, rank, dims[MEANS_RANK], n_times;
    double *means, *times;
    double rtol[ITEMS_MAX], param[ITEMS_MAX][VPSDE_PARAM_MAX];
    char solver[ITEMS_MAX][64], path[512], title[256];
} answers;

static inline vpsde_status ask_solvers(answers *a, vpsde_config *sampler)
{
    VPSDE_TRY(vpsde_config_count(&a->n_items, sampler, "solver"));
    for (size_t i = 0; i < a->n_items && i < ITEMS_MAX; i++) {
        vpsde_config *item;
        const char *name;
        VPSDE_TRY(vpsde_config_item(&item, sampler, "solver", i));
        const bool is_word = vpsde_config_kind(item, NULL) == VPSDE_NODE_SCALAR;
        VPSDE_TRY(vpsde_config_text(&name, item, is_word ? NULL : "solver", NULL));
        snprintf(a->solver[i], sizeof(a->solver[i]), "%s", name);
        if (is_word) continue;
        VPSDE_TRY(vpsde_config_real(&a->rtol[i], item, "rtol", 1e-5, 0, 1));
        VPSDE_TRY(vpsde_config_params(a->param[i], item, table));
    }
    return VPSDE_OK;
}

static inline vpsde_status ask_all(answers *a, vpsde_config *root)
{
    vpsde_config *process, *model, *sampler;
    const char *path, *title;
    size_t rank, dims[1];
    VPSDE_TRY(vpsde_config_uint(&a->seed, root, "seed", 0, 0, UINT64_MAX));
    VPSDE_TRY(vpsde_config_text(&title, root, "title", ""));
    snprintf(a->title, sizeof(a->title), "%s", title);
    VPSDE_TRY(vpsde_config_section(&process, root, "process"));
    VPSDE_TRY(vpsde_config_real(&a->beta_min, process, "beta_min", 0.1, 0, DBL_MAX));
    VPSDE_TRY(vpsde_config_real(&a->t_min, process, "t_min", 1e-3, 1e-12, 1));
    VPSDE_TRY(vpsde_config_real(&a->unset, process, "t_max", -1, 0, 1));
    VPSDE_TRY(vpsde_config_bool(&a->override, process, "override", false));
    VPSDE_TRY(vpsde_config_section(&model, root, "model"));
    VPSDE_TRY(vpsde_config_path(&path, model, "path", ""));
    snprintf(a->path, sizeof(a->path), "%s", path);
    VPSDE_TRY(vpsde_config_numbers(&a->means, &a->rank, a->dims, MEANS_RANK, model, "means"));
    VPSDE_TRY(vpsde_config_section(&sampler, root, "sampler"));
    VPSDE_TRY(vpsde_config_choice(&a->grid, sampler, "grid",
                                  "uniform-t|uniform-lambda|karras|quadratic-t", 1));
    VPSDE_TRY(vpsde_config_numbers(&a->times, &rank, dims, 1, sampler, "times"));
    a->n_times = rank == 1 ? dims[0] : 0;
    VPSDE_TRY(ask_solvers(a, sampler));
    return vpsde_config_check(root);
}

static inline void drop(answers *a)
{
    free(a->means);
    free(a->times);
}

/* Parses and asks; what one call gives back. */
static inline vpsde_status try_text(const char *text, size_t length, char *const *sets,
                                    size_t n_sets)
{
    vpsde_config *root;
    answers a = {.seed = 0};
    VPSDE_TRY(vpsde_config_parse(&root, text, length, "f.yaml", "/", sets, n_sets));
    const vpsde_status status = ask_all(&a, root);
    vpsde_config_close(root);
    drop(&a);
    return status;
}

static const char document[] = "seed: 18446744073709551615\n"
                               "title: \"it's # \xC3\xA9 \\u2028: \\t'yes'\"\n"
                               "process: {t_min: 1e-05, beta_min: 0.30000000000000004}\n"
                               "model:\n"
                               "  path: sub/data.h5:/images\n"
                               "  means: [[-2, 0.1], [2, 1e300]]\n"
                               "sampler:\n"
                               "  times: [1, 0.5, 1e-3]\n"
                               "  solver:\n"
                               "  - {variance: large, rtol: 0x1, solver: 'yes', order: -1}\n"
                               "  - ddim\n"
                               "  - solver: \"1\"\n"
                               "    exact: false\n";

#endif
