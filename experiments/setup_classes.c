/* The keys `classes` and `guidance` of the section `sampler`, for models that know classes. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "experiments/setup.h"
#include "solvers/guidance.h"

static const double weight_max = 1000;

/* [c_0, c_1, ...]: sample i has class c_(i mod length), -1 for none. */
static vpsde_status read_list(vpsde_classes_setup *k, vpsde_config *c, size_t n_classes)
{
    double *value;
    size_t rank, dims[1];
    VPSDE_TRY(vpsde_config_wholes(&value, &rank, dims, 1, c, "classes"));
    vpsde_status status = vpsde_alloc(&k->cycle, dims[0], sizeof(*k->cycle));
    for (size_t i = 0; status == VPSDE_OK && i < dims[0]; i++) {
        if (value[i] >= VPSDE_NO_CLASS && value[i] < (double)n_classes &&
            value[i] == floor(value[i])) {
            k->cycle[k->n_cycle++] = (int32_t)value[i];
        } else {
            status = vpsde_config_fail(c, "classes",
                                       "%g; the model's classes are 0 to %zu, and -1 is none",
                                       value[i], n_classes - 1);
        }
    }
    free(value);
    if (status == VPSDE_OK && k->n_cycle == 0) {
        return vpsde_config_fail(c, "classes", "the list is empty; expected a class");
    }
    return status;
}

/* One class for all samples is a list, too. */
static vpsde_status refuse_number(vpsde_config *c)
{
    const char *text;
    if (vpsde_config_kind(c, "classes") != VPSDE_NODE_SCALAR) return VPSDE_OK;
    VPSDE_TRY(vpsde_config_text(&text, c, "classes", NULL));
    if (!*text || strspn(text, "-0123456789") != strlen(text)) return VPSDE_OK;
    return vpsde_config_fail(c, "classes",
                             "%s is a number; expected [%s] for samples of that class alone, or "
                             "cycle|none|labels",
                             text, text);
}

static vpsde_status read_word(vpsde_classes_setup *k, vpsde_config *c, size_t n_classes,
                              bool labelled)
{
    enum { CYCLE, NONE, LABELS };
    int word;
    VPSDE_TRY(refuse_number(c));
    VPSDE_TRY(
        vpsde_config_choice(&word, c, "classes", "cycle|none|labels", labelled ? LABELS : CYCLE));
    if (word == LABELS && !labelled) {
        return vpsde_config_fail(c, "classes", "labels, but data has none; expected data.labels");
    }
    if (word == NONE) return VPSDE_OK;
    k->of_rows = word == LABELS;
    VPSDE_TRY(vpsde_alloc(&k->cycle, n_classes, sizeof(*k->cycle)));
    for (; k->n_cycle < n_classes; k->n_cycle++) k->cycle[k->n_cycle] = (int32_t)k->n_cycle;
    return VPSDE_OK;
}

vpsde_status vpsde_setup_read_classes(vpsde_setup *s, vpsde_config *c)
{
    vpsde_classes_setup *k = &s->sampler.classes;
    const size_t n_classes = s->model->n_classes;
    if (n_classes == 0) {
        static const char *const keys[] = {"classes", "guidance"};
        for (size_t i = 0; i < 2; i++) {
            if (vpsde_config_has(c, keys[i])) {
                return vpsde_config_fail(c, keys[i], "%s has no classes; expected no such key",
                                         s->model->type->name);
            }
        }
        return VPSDE_OK;
    }
    const bool labelled = s->data.labels_path && *s->data.labels_path;
    VPSDE_TRY(vpsde_config_kind(c, "classes") == VPSDE_NODE_SEQUENCE
                  ? read_list(k, c, n_classes)
                  : read_word(k, c, n_classes, labelled));
    VPSDE_TRY(vpsde_config_real(&k->guidance, c, "guidance", 0, -weight_max, weight_max));
    if (k->guidance != 0 && k->n_cycle == 0) {
        return vpsde_config_fail(c, "guidance", "%g, but classes: none; expected 0", k->guidance);
    }
    return VPSDE_OK;
}

/* Long enough to begin at any place of the cycle. */
vpsde_status vpsde_setup_build_classes(vpsde_setup *s)
{
    vpsde_classes_setup *k = &s->sampler.classes;
    const size_t n = s->sampler.count + k->n_cycle;
    if (k->n_cycle == 0 || k->all) return VPSDE_OK;
    VPSDE_TRY(vpsde_alloc(&k->all, n, sizeof(*k->all)));
    for (size_t i = 0; i < n; i++) k->all[i] = k->cycle[i % k->n_cycle];
    return VPSDE_OK;
}

const int32_t *vpsde_setup_classes(const vpsde_setup *s, size_t first)
{
    const vpsde_classes_setup *k = &s->sampler.classes;
    return k->all ? k->all + first % k->n_cycle : NULL;
}

const int32_t *vpsde_setup_classes_of_row(const vpsde_setup *s, size_t row)
{
    const bool own = s->sampler.classes.of_rows && s->data.classes;
    return own ? s->data.classes + (row - s->data.first) : vpsde_setup_classes(s, row);
}

double vpsde_setup_nfe(const vpsde_setup *s, const vpsde_sampler_entry *e, const vpsde_grid *grid)
{
    const vpsde_classes_setup *k = &s->sampler.classes;
    const size_t calls = vpsde_guidance_calls(k->n_cycle ? k->guidance : 0);
    return (double)(calls * vpsde_solver_nfe(e->solver, e->param, grid));
}

void vpsde_setup_close_classes(vpsde_setup *s)
{
    free(s->sampler.classes.cycle);
    free(s->sampler.classes.all);
}
