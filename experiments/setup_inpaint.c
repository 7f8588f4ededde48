/* The section `inpaint`: which components are known, and how often stretches are resampled. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/data.h"
#include "core/mem.h"
#include "experiments/setup.h"

/* [1, 0, ...] */
static vpsde_status mask_of_list(uint8_t *known, size_t d, vpsde_config *c)
{
    double *value;
    size_t rank, dims[3];
    VPSDE_TRY(vpsde_config_numbers(&value, &rank, dims, 3, c, "mask"));
    size_t n = 1, j = 0;
    for (size_t r = 0; r < rank; r++) n *= dims[r];
    for (; n == d && j < d && (value[j] == 0 || value[j] == 1); j++) known[j] = value[j] == 1;
    free(value);
    if (j == d) return VPSDE_OK;
    return vpsde_config_fail(c, "mask", "expected %zu numbers, 1 (known) or 0", d);
}

/* FILE.npy (or another data file) of as many values, in any shape. */
static vpsde_status mask_of_file(uint8_t *known, size_t d, vpsde_inpaint_setup *p)
{
    vpsde_data *data;
    double *value = NULL;
    VPSDE_TRY(vpsde_data_open(&data, p->path));
    const size_t rows = vpsde_data_rows(data);
    vpsde_status status = VPSDE_OK;
    if (rows == 0 || d % rows != 0 || vpsde_data_dim(data) != d / rows) {
        status = vpsde_fail(VPSDE_EDATA, "%s: has %zu rows of %zu values; a mask has %zu values",
                            p->path, rows, vpsde_data_dim(data), d);
    }
    if (status == VPSDE_OK) status = vpsde_alloc(&value, d, sizeof(*value));
    if (status == VPSDE_OK) status = vpsde_data_read(data, value, 0, rows, 1, 0);
    for (size_t j = 0; status == VPSDE_OK && j < d; j++) {
        known[j] = value[j] == 1;
        if (value[j] == 0 || value[j] == 1) continue;
        status = vpsde_fail(VPSDE_EDATA, "%s: value %zu is %g; a mask has 1 (known) and 0", p->path,
                            j, value[j]);
    }
    if (status == VPSDE_OK) memcpy(p->sha256, vpsde_data_sha256(data), sizeof(p->sha256));
    free(value);
    vpsde_data_close(data);
    return status;
}

/* {rows: [a, b], columns: [c, d]}: the known rectangle of an image, ends excluded. */
static vpsde_status mask_of_rectangle(uint8_t *known, const vpsde_model *m, vpsde_config *c)
{
    vpsde_config *r;
    double side[2][2];
    static const char *const keys[2] = {"rows", "columns"};
    if (m->rank != 3) {
        return vpsde_config_fail(c, "mask",
                                 "rows and columns are for images (model.shape); expected a file "
                                 "or a list of %zu numbers, 1 (known) or 0",
                                 m->dim);
    }
    VPSDE_TRY(vpsde_config_section(&r, c, "mask"));
    for (size_t q = 0; q < 2; q++) {
        const double whole[2] = {0, (double)m->shape[q + 1]};
        VPSDE_TRY(vpsde_config_pair(side[q], r, keys[q], whole));
        if (!(side[q][0] >= 0 && side[q][0] < side[q][1] && side[q][1] <= whole[1])) {
            return vpsde_config_fail(r, keys[q],
                                     "expected [first, end] with 0 <= first < end <= %g", whole[1]);
        }
    }
    for (size_t j = 0; j < m->dim; j++) {
        const double column = (double)(j % m->shape[2]);
        const double row = (double)(j / m->shape[2] % m->shape[1]);
        known[j] =
            row >= side[0][0] && row < side[0][1] && column >= side[1][0] && column < side[1][1];
    }
    return VPSDE_OK;
}

vpsde_status vpsde_setup_read_inpaint(vpsde_setup *s)
{
    vpsde_inpaint_setup *p = &s->inpaint;
    vpsde_config *c;
    uint64_t jump, resamples;
    VPSDE_TRY(vpsde_config_section(&c, s->config, "inpaint"));
    VPSDE_TRY(vpsde_config_uint(&jump, c, "jump_length", 10, 1, 1000000));
    VPSDE_TRY(vpsde_config_uint(&resamples, c, "resamples", 10, 1, 1000000));
    p->jump_length = jump;
    p->resamples = resamples;
    VPSDE_TRY(vpsde_alloc(&p->known, s->model->dim, sizeof(*p->known)));
    const vpsde_node_kind kind = vpsde_config_kind(c, "mask");
    if (kind == VPSDE_NODE_SEQUENCE) return mask_of_list(p->known, s->model->dim, c);
    if (kind == VPSDE_NODE_MAPPING) return mask_of_rectangle(p->known, s->model, c);
    return vpsde_config_path(&p->path, c, "mask", NULL);
}

vpsde_status vpsde_setup_build_inpaint(vpsde_setup *s)
{
    vpsde_inpaint_setup *p = &s->inpaint;
    return *p->path ? mask_of_file(p->known, s->model->dim, p) : VPSDE_OK;
}
