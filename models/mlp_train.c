/* Reverse mode of the network in models/mlp.c, and what the trainer asks of it. */
#include <stdlib.h>
#include <string.h>

#include "core/parallel.h"
#include "models/layers/pointwise.h"
#include "models/mlp_net.h"
#include "models/train.h"

/* Adds the gradient of one linear layer from dy (out, columns) and its input x; dx NULL when not
 * wanted. */
static vpsde_status linear_backward(const mlp_net *net, size_t weight, size_t columns,
                                    const float *dy, const float *x, float *gradient, float *dx)
{
    const mlp_tensor *const w = &net->tensor[weight];
    VPSDE_TRY(vpsde_linear_weight_gradient(w->rows, w->cols, columns, dy, x, gradient + w->offset));
    vpsde_row_sums(w->rows, columns, gradient + net->tensor[weight + 1].offset, dy);
    if (!dx) return VPSDE_OK;
    return vpsde_linear_input_gradient(w->rows, w->cols, columns, net->weights + w->offset, dy, dx);
}

/* With h = dL/dh_l+1 in tape->h, adds to dL/de in tape->e and leaves dL/dh_l in tape->h. */
static vpsde_status block_backward(const mlp_net *net, mlp_tape *tape, size_t l, size_t columns,
                                   float *gradient)
{
    const size_t n = net->hidden * columns;
    const float *const a0 = mlp_stage(tape, net, tape->a, 2 * l);
    const float *const a1 = mlp_stage(tape, net, tape->a, 2 * l + 1);
    VPSDE_TRY(
        linear_backward(net, mlp_layer(l, MLP_LINEAR2_W), columns, tape->h, a1, gradient, tape->g));
    vpsde_multiply(n, tape->g, tape->g, mlp_stage(tape, net, tape->slope, 2 * l + 1));
    vpsde_add(n, tape->e, tape->g);
    VPSDE_TRY(
        linear_backward(net, mlp_layer(l, MLP_LINEAR1_W), columns, tape->g, a0, gradient, tape->z));
    vpsde_multiply_add(n, tape->h, tape->z, mlp_stage(tape, net, tape->slope, 2 * l));
    return VPSDE_OK;
}

vpsde_status mlp_backward(const mlp_net *net, mlp_tape *tape, size_t columns, float *gradient)
{
    const size_t n = net->hidden * columns, top = 2 * net->layers;
    memset(tape->e, 0, n * sizeof(*tape->e));
    VPSDE_TRY(linear_backward(net, mlp_output(net, 0), columns, tape->out,
                              mlp_stage(tape, net, tape->a, top), gradient, tape->h));
    vpsde_multiply(n, tape->h, tape->h, mlp_stage(tape, net, tape->slope, top));
    for (size_t l = net->layers; l-- > 0;) {
        VPSDE_TRY(block_backward(net, tape, l, columns, gradient));
    }
    vpsde_add(n, tape->e, tape->h);
    VPSDE_TRY(linear_backward(net, MLP_INPUT_W, columns, tape->h, tape->x, gradient, tape->out));
    memcpy(tape->x, tape->out, net->dim * columns * sizeof(*tape->x));
    VPSDE_TRY(linear_backward(net, MLP_TIME2_W, columns, tape->e, tape->ts, gradient, tape->g));
    vpsde_multiply(n, tape->g, tape->g, tape->tslope);
    return linear_backward(net, MLP_TIME0_W, columns, tape->g, tape->f, gradient, NULL);
}

static size_t n_floats(const vpsde_model *model)
{
    const mlp_net *const net = model->impl;
    return net->n_floats;
}

static float *parameters(const vpsde_model *model)
{
    const mlp_net *const net = model->impl;
    return net->weights;
}

static void init(vpsde_model *model, uint64_t seed) { mlp_net_init(model->impl, seed); }

static vpsde_status workspace_create(void **ws, const vpsde_model *model)
{
    mlp_tape *tape;
    *ws = NULL;
    VPSDE_TRY(mlp_tape_create(&tape, model->impl, true, false));
    *ws = tape;
    return VPSDE_OK;
}

static void columns_of(float *to, size_t columns, const float *from, size_t n, size_t d)
{
    for (size_t j = 0; j < d; j++) {
        for (size_t i = 0; i < n; i++) to[j * columns + i] = from[i * d + j];
        for (size_t i = n; i < columns; i++) to[j * columns + i] = 0;
    }
}

/* out <- 2 scale weight (out - target), 0 in the padding; returns the weighted sum of squared
 * errors */
static double loss_gradient(float *out, size_t columns, const vpsde_train_block *b, size_t d)
{
    double sum = 0;
    const float twice = (float)(2 * b->scale);
    for (size_t j = 0; j < d; j++) {
        float *const line = out + j * columns;
        for (size_t i = 0; i < b->n; i++) {
            const float error = line[i] - b->target[i * d + j];
            const float weighted = b->weight ? b->weight[i] * error : error;
            sum += (double)weighted * (double)error;
            line[i] = twice * weighted;
        }
        for (size_t i = b->n; i < columns; i++) line[i] = 0;
    }
    return sum;
}

static vpsde_status block_gradient(const mlp_net *net, mlp_tape *tape, const vpsde_train_block *b,
                                   double *sum, float *gradient, float *dx)
{
    const size_t columns = VPSDE_COLUMNS, d = net->dim;
    for (size_t i = 0; i < columns; i++) tape->label[i] = i < b->n ? b->label[i] : 0;
    columns_of(tape->x, columns, b->x, b->n, d);
    VPSDE_TRY(mlp_time(net, tape, columns, false, true));
    VPSDE_TRY(mlp_forward(net, tape, columns, false, true));
    *sum = loss_gradient(tape->out, columns, b, d);
    VPSDE_TRY(mlp_backward(net, tape, columns, gradient));
    for (size_t j = 0; dx && j < d; j++) {
        for (size_t i = 0; i < b->n; i++) dx[i * d + j] = tape->x[j * columns + i];
    }
    return VPSDE_OK;
}

static vpsde_status gradient(const vpsde_model *model, void *ws, const vpsde_train_block *block,
                             double *sum, float *out, float *dx)
{
    if (block->n > VPSDE_COLUMNS) {
        return vpsde_fail(VPSDE_EINVAL, "mlp: a block holds at most %d rows, got %zu",
                          (int)VPSDE_COLUMNS, block->n);
    }
    if (block->classes) {
        return vpsde_fail(VPSDE_EINVAL, "mlp: is unconditional, but the block has classes");
    }
    const int saved = vpsde_serial_begin();
    const vpsde_status status = block_gradient(model->impl, ws, block, sum, out, dx);
    vpsde_serial_end(saved);
    return status;
}

const vpsde_trainer_ops mlp_trainer = {
    .block_rows = VPSDE_COLUMNS,
    .n_floats = n_floats,
    .parameters = parameters,
    .init = init,
    .workspace_create = workspace_create,
    .workspace_destroy = mlp_tape_destroy,
    .gradient = gradient,
    .save = mlp_save,
};
