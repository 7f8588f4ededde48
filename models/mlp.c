/* Residual SiLU network on vectors: eps(x, t), x in R^d.
 *
 *   f = [cos(w_k label), sin(w_k label)], w_k = exp(-log(10000) k / (F/2)), k < F/2
 *   e = time.2 silu(time.0 f)                                      time embedding
 *   h_0 = input x + e
 *   h_l+1 = h_l + linear2_l silu(linear1_l silu(h_l) + e),  l < L   pre-activation residual block
 *   eps = output silu(h_L)
 *
 * every layer with its bias. Pre-activation blocks: He et al. 2016 (arXiv:1603.05027); sinusoidal
 * times and their two-layer embedding added in each block: Ho et al. 2020 (arXiv:2006.11239, App. B).
 * 2 L H^2 multiply-adds a row and tangent; a tangent has no time branch. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/config.h"
#include "core/mem.h"
#include "core/parallel.h"
#include "models/mlp_net.h"
#include "models/model.h"
#include "models/train.h"

enum { DIM_MAX = 1 << 20 };

/* Takes the network over, also on failure. */
vpsde_status mlp_wrap(vpsde_model **out, mlp_net *net)
{
    VPSDE_TRY(vpsde_model_wrap(out, &vpsde_model_mlp, net->dim, net));
    (*out)->block_rows = VPSDE_COLUMNS;
    for (size_t p = 0; p < net->n_tensors; p++) {
        (*out)->n_parameters += net->tensor[p].rows * net->tensor[p].cols;
    }
    return VPSDE_OK;
}

vpsde_status vpsde_mlp_create(vpsde_model **out, const vpsde_mlp_spec *spec, uint64_t seed)
{
    mlp_net *net;
    *out = NULL;
    VPSDE_TRY(mlp_net_create(&net, spec));
    mlp_net_init(net, seed);
    return mlp_wrap(out, net);
}

float *vpsde_mlp_tensor(vpsde_model *model, const char *name, size_t *rows, size_t *cols)
{
    const mlp_net *const net = model->impl;
    for (size_t p = 0; p < net->n_tensors; p++) {
        const mlp_tensor *const t = &net->tensor[p];
        if (strcmp(t->name, name) != 0) continue;
        *rows = t->rows;
        *cols = t->cols;
        return net->weights + t->offset;
    }
    return NULL;
}

/* `shape: [channel, row, column]`, or 0 axes where it is absent. */
static vpsde_status read_shape(size_t *n_axes, size_t shape[3], struct vpsde_config *section)
{
    double *side = NULL;
    size_t rank, dims[1] = {0};
    *n_axes = 0;
    VPSDE_TRY(vpsde_config_wholes(&side, &rank, dims, 1, section, "shape"));
    if (!side) return VPSDE_OK;
    while (rank == 1 && dims[0] == 3 && *n_axes < 3) {
        const double s = side[*n_axes];
        if (!(s >= 1 && s <= DIM_MAX && s == floor(s))) break;
        shape[(*n_axes)++] = (size_t)s;
    }
    free(side);
    if (*n_axes == 3) return VPSDE_OK;
    return vpsde_config_fail(section, "shape",
                             "expected [channel, row, column], three whole numbers from 1");
}

static vpsde_status configure(vpsde_model **out, struct vpsde_config *section)
{
    uint64_t dim, hidden, layers, features;
    size_t n_axes, shape[3] = {0};
    *out = NULL;
    VPSDE_TRY(read_shape(&n_axes, shape, section));
    VPSDE_TRY(vpsde_config_uint(&dim, section, "dim", UINT64_MAX, 1, DIM_MAX));
    if (n_axes > 0 && shape[0] * shape[1] * shape[2] != dim) {
        return vpsde_config_fail(section, "shape", "%zu x %zu x %zu are not the %llu values of dim",
                                 shape[0], shape[1], shape[2], (unsigned long long)dim);
    }
    VPSDE_TRY(vpsde_config_uint(&hidden, section, "hidden", 128, 1, 8192));
    VPSDE_TRY(vpsde_config_uint(&layers, section, "layers", 3, 1, MLP_LAYERS_MAX));
    VPSDE_TRY(vpsde_config_uint(&features, section, "time_features", 64, 2, 8192));
    const vpsde_mlp_spec spec = {
        .dim = dim, .hidden = hidden, .layers = layers, .time_features = features};
    const vpsde_status status = vpsde_mlp_create(out, &spec, 0);
    if (status != VPSDE_OK) return vpsde_config_fail_at(status, section, "time_features");
    if (n_axes > 0) {
        (*out)->rank = n_axes;
        memcpy((*out)->shape, shape, sizeof(shape));
    }
    return VPSDE_OK;
}

/* Up to so many rows are cheaper as products of one column each than as one padded product. */
enum { ONE_BY_ONE = 4 };

static vpsde_status workspace_create(void **out, const vpsde_model *model, size_t rows,
                                     size_t tangents)
{
    mlp_tape *tape;
    (void)rows; /* any number goes through in chunks of VPSDE_COLUMNS */
    *out = NULL;
    VPSDE_TRY(mlp_tape_create(&tape, model->impl, tangents > 0, true));
    *out = tape;
    return VPSDE_OK;
}

/* to[j, i] = row i of from, zeros in the padding; row i stands at from[at[i], :] (at NULL: i). A few
 * rows at a time, so that their cache lines are used whole. */
static void columns_of(float *to, size_t columns, const double *from, const size_t *at, size_t n,
                       size_t d)
{
    for (size_t start = 0; start < columns; start += VPSDE_COLUMN_STEP) {
        const size_t end =
            start + VPSDE_COLUMN_STEP < columns ? start + VPSDE_COLUMN_STEP : columns;
        for (size_t j = 0; j < d; j++) {
            float *const line = to + j * columns;
            for (size_t i = start; i < end && i < n; i++) {
                line[i] = (float)from[(at ? at[i] : i) * d + j];
            }
            for (size_t i = start > n ? start : n; i < end; i++) line[i] = 0;
        }
    }
}

static void rows_of(double *to, const size_t *at, size_t n, size_t d, const float *from,
                    size_t columns)
{
    for (size_t start = 0; start < n; start += VPSDE_COLUMN_STEP) {
        const size_t end = start + VPSDE_COLUMN_STEP < n ? start + VPSDE_COLUMN_STEP : n;
        for (size_t j = 0; j < d; j++) {
            const float *const line = from + j * columns;
            for (size_t i = start; i < end; i++) to[(at ? at[i] : i) * d + j] = (double)line[i];
        }
    }
}

/* One chunk of tangents: column i carries tangent at[i] of the (n, k) ones, of value column row[i]. */
static vpsde_status tangent_chunk(const mlp_net *net, mlp_tape *tape, const double *dx,
                                  double *deps, const size_t *at, const size_t *row, size_t count,
                                  size_t value_columns)
{
    const size_t columns = mlp_columns(count);
    columns_of(tape->x, columns, dx, at, count, net->dim);
    VPSDE_TRY(mlp_tangent(net, tape, columns, value_columns, row));
    rows_of(deps, at, count, net->dim, tape->out, columns);
    return VPSDE_OK;
}

/* dx, deps (n, k, d) of the chunk's n rows. Nearly full chunks, and a few tangents of one row, go
 * tangent by tangent with the slopes as they lie; others are packed to full width and gather
 * them. */
static vpsde_status tangents(const mlp_net *net, mlp_tape *tape, const double *dx, double *deps,
                             size_t n, size_t k, size_t value_columns)
{
    size_t at[VPSDE_COLUMNS], row[VPSDE_COLUMNS] = {0};
    if (k == 1 || n > VPSDE_COLUMNS - VPSDE_COLUMN_STEP || (n == 1 && k <= ONE_BY_ONE)) {
        for (size_t m = 0; m < k; m++) {
            for (size_t i = 0; i < n; i++) at[i] = i * k + m;
            VPSDE_TRY(tangent_chunk(net, tape, dx, deps, at, NULL, n, value_columns));
        }
        return VPSDE_OK;
    }
    for (size_t q = 0; q < n * k; q += VPSDE_COLUMNS) {
        const size_t count = n * k - q < VPSDE_COLUMNS ? n * k - q : VPSDE_COLUMNS;
        for (size_t i = 0; i < count; i++) {
            at[i] = q + i;
            row[i] = (q + i) / k;
        }
        VPSDE_TRY(tangent_chunk(net, tape, dx, deps, at, row, count, value_columns));
    }
    return VPSDE_OK;
}

static void labels_of(double *label, size_t columns, const vpsde_coef *coef, size_t stride,
                      size_t n)
{
    for (size_t i = 0; i < n; i++) label[i] = coef[i * stride].label;
    for (size_t i = n; i < columns; i++) label[i] = 0;
}

static vpsde_status evaluate(const mlp_net *net, mlp_tape *tape, const vpsde_eval *e)
{
    const size_t d = net->dim;
    const bool shared = e->coef_stride == 0;
    if (shared && e->n > 0) {
        labels_of(tape->label, 1, e->coef, 0, 1);
        VPSDE_TRY(mlp_time(net, tape, 1, true, false));
    }
    const size_t chunk = e->n <= ONE_BY_ONE ? 1 : VPSDE_COLUMNS;
    for (size_t first = 0; first < e->n; first += chunk) {
        const size_t n = e->n - first < chunk ? e->n - first : chunk;
        const size_t columns = mlp_columns(n);
        if (!shared) {
            labels_of(tape->label, columns, e->coef + first * e->coef_stride, e->coef_stride, n);
            VPSDE_TRY(mlp_time(net, tape, columns, false, false));
        }
        columns_of(tape->x, columns, e->x + first * d, NULL, n, d);
        VPSDE_TRY(mlp_forward(net, tape, columns, shared, e->k > 0));
        rows_of(e->eps + first * d, NULL, n, d, tape->out, columns);
        if (e->k == 0) continue;
        VPSDE_TRY(tangents(net, tape, e->dx + first * e->k * d, e->deps + first * e->k * d, n, e->k,
                           columns));
    }
    return VPSDE_OK;
}

static vpsde_status eval(const vpsde_model *model, void *ws, const vpsde_eval *e)
{
    const int saved = vpsde_serial_begin();
    const vpsde_status status = evaluate(model->impl, ws, e);
    vpsde_serial_end(saved);
    return status;
}

/* Products of the layers; the time's are done once a call. */
static double flops(const vpsde_model *model)
{
    const mlp_net *const net = model->impl;
    return 4.0 * (double)net->hidden * (double)(net->dim + net->layers * net->hidden);
}

static vpsde_status describe(char **lines, const vpsde_model *model)
{
    const mlp_net *const net = model->impl;
    return vpsde_format(lines,
                        "network      residual SiLU, %zu layer%s of %zu, %zu time features\n",
                        net->layers, net->layers == 1 ? "" : "s", net->hidden, net->features);
}

const vpsde_model_type vpsde_model_mlp = {
    .name = "mlp",
    .source = "He et al. 2016 (arXiv:1603.05027); Ho et al. 2020 (arXiv:2006.11239)",
    .doc = "Residual SiLU network on vectors with a sinusoidal time embedding.",
    .flags = VPSDE_MODEL_JVP | VPSDE_MODEL_TRAINABLE | VPSDE_MODEL_ANY_ROWS,
    .configure = configure,
    .load = mlp_load,
    .destroy = mlp_net_destroy,
    .workspace_create = workspace_create,
    .workspace_destroy = mlp_tape_destroy,
    .eval = eval,
    .flops = flops,
    .describe = describe,
    .trainer = &mlp_trainer,
};
