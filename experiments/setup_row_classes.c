/* The key `data.labels`: a file with the class of every row of data.path, for models with classes. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "experiments/setup.h"

vpsde_status vpsde_setup_read_row_classes(vpsde_setup *s, vpsde_config *data)
{
    VPSDE_TRY(vpsde_config_path(&s->data.labels_path, data, "labels", ""));
    if (!*s->data.labels_path || !s->model || s->model->n_classes > 0) return VPSDE_OK;
    return vpsde_config_fail(data, "labels", "%s has no classes; expected no labels",
                             s->model->type->name);
}

static vpsde_status check_shape(const vpsde_setup *s, const vpsde_data *labels)
{
    const size_t n = vpsde_data_rows(labels), rows = vpsde_data_rows(s->data.data);
    if (vpsde_data_dim(labels) != 1) {
        return vpsde_fail(VPSDE_EDATA, "%s: rows have %zu values, a label is one whole number",
                          s->data.labels_path, vpsde_data_dim(labels));
    }
    if (n == rows) return VPSDE_OK;
    return vpsde_fail(VPSDE_EDATA, "%s: %zu labels, but %s has %zu rows", s->data.labels_path, n,
                      s->data.path, rows);
}

static vpsde_status read_labels(vpsde_setup *s, const vpsde_data *labels)
{
    vpsde_data_setup *d = &s->data;
    VPSDE_TRY(check_shape(s, labels));
    VPSDE_TRY(vpsde_alloc(&d->classes, d->count, sizeof(*d->classes)));
    for (size_t i = 0; i < d->count; i++) {
        double value;
        VPSDE_TRY(vpsde_data_read(labels, &value, d->first + i, 1, 1, 0));
        if (!(value >= VPSDE_NO_CLASS && value < (double)s->model->n_classes &&
              value == floor(value))) {
            return vpsde_fail(VPSDE_EDATA,
                              "%s: row %zu: class %g; the model's classes are 0 to %zu, and -1 is "
                              "none",
                              d->labels_path, d->first + i, value, s->model->n_classes - 1);
        }
        d->classes[i] = (int32_t)value;
    }
    return VPSDE_OK;
}

vpsde_status vpsde_setup_build_row_classes(vpsde_setup *s)
{
    vpsde_data *labels;
    if (!*s->data.labels_path || !s->model || s->data.classes) return VPSDE_OK;
    VPSDE_TRY(vpsde_data_open(&labels, s->data.labels_path));
    const vpsde_status status = read_labels(s, labels);
    if (status == VPSDE_OK) {
        memcpy(s->data.labels_sha256, vpsde_data_sha256(labels), sizeof(s->data.labels_sha256));
    } else {
        free(s->data.classes);
        s->data.classes = NULL;
    }
    vpsde_data_close(labels);
    return status;
}
