#include "models/mlp_net.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "models/layers/pointwise.h"

enum { FLOATS_PER_LINE = 16, WIDTH_MAX = 1 << 20 };

static void add_linear(mlp_net *net, const char *name, size_t out, size_t in)
{
    const char *const ends[] = {"weight", "bias"};
    for (size_t p = 0; p < 2; p++) {
        mlp_tensor *const t = &net->tensor[net->n_tensors++];
        *t = (mlp_tensor){.rank = 2 - p, .rows = out, .cols = p ? 1 : in, .offset = net->n_floats};
        (void)snprintf(t->name, sizeof(t->name), "%s.%s", name, ends[p]);
        const size_t count = t->rows * t->cols;
        net->n_floats += (count + FLOATS_PER_LINE - 1) / FLOATS_PER_LINE * FLOATS_PER_LINE;
    }
}

static void add_tensors(mlp_net *net)
{
    add_linear(net, "time.0", net->hidden, net->features);
    add_linear(net, "time.2", net->hidden, net->hidden);
    add_linear(net, "input", net->hidden, net->dim);
    for (size_t l = 0; l < net->layers; l++) {
        char name[MLP_NAME_SIZE / 2];
        for (unsigned part = 1; part <= 2; part++) {
            (void)snprintf(name, sizeof(name), "layers.%u.linear%u", (unsigned)l, part);
            add_linear(net, name, net->hidden, net->hidden);
        }
    }
    add_linear(net, "output", net->dim, net->hidden);
}

static vpsde_status check_size(const char *name, size_t value, size_t max)
{
    if (value >= 1 && value <= max) return VPSDE_OK;
    return vpsde_fail(VPSDE_EINVAL, "%s: must be in [1, %zu], got %zu", name, max, value);
}

static vpsde_status fill(mlp_net *net)
{
    VPSDE_TRY(vpsde_alloc(&net->tensor, MLP_LAYERS + MLP_PER_LAYER * net->layers + 2,
                          sizeof(*net->tensor)));
    add_tensors(net);
    VPSDE_TRY(vpsde_alloc(&net->weights, net->n_floats, sizeof(*net->weights)));
    const size_t half = net->features / 2;
    VPSDE_TRY(vpsde_alloc(&net->frequency, half, sizeof(*net->frequency)));
    for (size_t k = 0; k < half; k++) {
        net->frequency[k] = exp(-log(10000.0) * (double)k / (double)half) / (2 * M_PI);
    }
    return VPSDE_OK;
}

vpsde_status mlp_net_create(mlp_net **out, const vpsde_mlp_spec *spec)
{
    mlp_net *net;
    *out = NULL;
    const size_t features = spec->time_features ? spec->time_features : 64;
    const size_t hidden = spec->hidden ? spec->hidden : 128;
    const size_t layers = spec->layers ? spec->layers : 3;
    VPSDE_TRY(check_size("dim", spec->dim, WIDTH_MAX));
    VPSDE_TRY(check_size("hidden", hidden, 8192));
    VPSDE_TRY(check_size("layers", layers, MLP_LAYERS_MAX));
    VPSDE_TRY(check_size("time_features", features, 8192));
    if (features % 2 != 0) {
        return vpsde_fail(VPSDE_EINVAL, "time_features: must be even, got %zu", features);
    }
    VPSDE_TRY(vpsde_alloc(&net, 1, sizeof(*net)));
    *net = (mlp_net){.dim = spec->dim, .hidden = hidden, .layers = layers, .features = features};
    const vpsde_status status = fill(net);
    if (status != VPSDE_OK) {
        mlp_net_destroy(net);
        return status;
    }
    *out = net;
    return VPSDE_OK;
}

void mlp_net_destroy(void *impl)
{
    mlp_net *const net = impl;
    if (!net) return;
    free(net->tensor);
    free(net->weights);
    free(net->frequency);
    free(net);
}

/* PyTorch's default for linear layers, weight and bias alike. The last layer starts at 0, so that
 * the first prediction is 0 whatever the input. */
void mlp_net_init(mlp_net *net, uint64_t seed)
{
    memset(net->weights, 0, net->n_floats * sizeof(*net->weights));
    for (size_t p = 0; p < mlp_output(net, 0); p++) {
        const mlp_tensor *const t = &net->tensor[p];
        const size_t in = t->rank == 2 ? t->cols : net->tensor[p - 1].cols;
        const double bound = 1 / sqrt((double)in);
        for (size_t e = 0; e < t->rows * t->cols; e++) {
            double u;
            vpsde_uniforms(&u, seed, VPSDE_NOISE_INIT, e, 1, (uint32_t)p, 1);
            net->weights[t->offset + e] = (float)(bound * (2 * u - 1));
        }
    }
}

static vpsde_status tape_fill(mlp_tape *tape, const mlp_net *net)
{
    const size_t column = VPSDE_COLUMNS, wide = net->hidden * column;
    float **const part[] = {&tape->x, &tape->out,      &tape->f,      &tape->ts, &tape->tslope,
                            &tape->e, &tape->h,        &tape->shared, &tape->z,  &tape->g,
                            &tape->a, &tape->gathered, &tape->slope};
    const size_t size[] = {net->dim * column,
                           net->dim * column,
                           net->features * column,
                           wide,
                           wide,
                           wide,
                           wide,
                           wide,
                           wide,
                           wide,
                           tape->stages * wide,
                           wide,
                           tape->stages * wide};
    size_t total = 0;
    for (size_t p = 0; p < sizeof(size) / sizeof(*size); p++) total += size[p];
    VPSDE_TRY(vpsde_alloc(&tape->arena, total, sizeof(*tape->arena)));
    float *at = tape->arena;
    for (size_t p = 0; p < sizeof(size) / sizeof(*size); p++) {
        *part[p] = at;
        at += size[p];
    }
    return VPSDE_OK;
}

static vpsde_status narrow_fill(mlp_tape *tape, const mlp_net *net)
{
    VPSDE_TRY(vpsde_alloc(&tape->narrow, net->n_tensors, sizeof(*tape->narrow)));
    tape->n_narrow = net->n_tensors;
    for (size_t p = 0; p < net->n_tensors; p++) {
        const mlp_tensor *const t = &net->tensor[p];
        if (t->rank != 2) continue;
        VPSDE_TRY(vpsde_narrow_init(&tape->narrow[p], t->rows, t->cols, mlp_weight(net, p)));
    }
    return VPSDE_OK;
}

vpsde_status mlp_tape_create(mlp_tape **out, const mlp_net *net, bool keep, bool narrow)
{
    mlp_tape *tape;
    *out = NULL;
    VPSDE_TRY(vpsde_alloc(&tape, 1, sizeof(*tape)));
    tape->stages = keep ? 2 * net->layers + 1 : 1;
    vpsde_status status = tape_fill(tape, net);
    if (status == VPSDE_OK && narrow) status = narrow_fill(tape, net);
    if (status != VPSDE_OK) {
        mlp_tape_destroy(tape);
        return status;
    }
    *out = tape;
    return VPSDE_OK;
}

void mlp_tape_destroy(void *ws)
{
    mlp_tape *const tape = ws;
    if (!tape) return;
    for (size_t p = 0; p < tape->n_narrow; p++) vpsde_narrow_fini(&tape->narrow[p]);
    free(tape->narrow);
    free(tape->arena);
    free(tape);
}

static vpsde_status linear(const mlp_net *net, const mlp_tape *tape, size_t place, size_t columns,
                           const float *x, float *y)
{
    const mlp_tensor *const t = &net->tensor[place];
    if (columns == 1) return vpsde_narrow_product(&tape->narrow[place], x, y);
    return vpsde_linear(t->rows, t->cols, columns, mlp_weight(net, place), x, y);
}

static void activate(size_t count, float *a, float *slope, const float *u, bool keep)
{
    if (keep) {
        vpsde_silu_slope(count, a, slope, u);
    } else {
        vpsde_silu(count, a, u);
    }
}

vpsde_status mlp_time(const mlp_net *net, mlp_tape *tape, size_t columns, bool shared, bool keep)
{
    const size_t hidden = net->hidden, n = hidden * columns;
    vpsde_time_features(net->features / 2, columns, tape->f, net->frequency, tape->label);
    VPSDE_TRY(linear(net, tape, MLP_TIME0_W, columns, tape->f, tape->z));
    vpsde_bias(hidden, columns, tape->z, mlp_weight(net, MLP_TIME0_B));
    activate(n, tape->ts, tape->tslope, tape->z, keep);
    VPSDE_TRY(linear(net, tape, MLP_TIME2_W, columns, tape->ts, tape->e));
    vpsde_bias(hidden, columns, tape->e, mlp_weight(net, MLP_TIME2_B));
    for (size_t f = 0; shared && f < hidden; f++) tape->shared[f] = tape->e[f * columns];
    return VPSDE_OK;
}

vpsde_status mlp_forward(const mlp_net *net, mlp_tape *tape, size_t columns, bool shared, bool keep)
{
    const size_t hidden = net->hidden, n = hidden * columns, stride = shared ? 1 : columns;
    const float *const e = shared ? tape->shared : tape->e;
    size_t s = 0;
    VPSDE_TRY(linear(net, tape, MLP_INPUT_W, columns, tape->x, tape->h));
    vpsde_bias_shift(hidden, columns, tape->h, mlp_weight(net, MLP_INPUT_B), e, stride);
    activate(n, mlp_stage(tape, net, tape->a, s), mlp_stage(tape, net, tape->slope, s), tape->h,
             keep);
    for (size_t l = 0; l < net->layers; l++) {
        VPSDE_TRY(linear(net, tape, mlp_layer(l, MLP_LINEAR1_W), columns,
                         mlp_stage(tape, net, tape->a, s), tape->z));
        vpsde_bias_shift(hidden, columns, tape->z, mlp_weight(net, mlp_layer(l, MLP_LINEAR1_B)), e,
                         stride);
        s++;
        activate(n, mlp_stage(tape, net, tape->a, s), mlp_stage(tape, net, tape->slope, s), tape->z,
                 keep);
        VPSDE_TRY(linear(net, tape, mlp_layer(l, MLP_LINEAR2_W), columns,
                         mlp_stage(tape, net, tape->a, s), tape->z));
        vpsde_residual(hidden, columns, tape->h, tape->z,
                       mlp_weight(net, mlp_layer(l, MLP_LINEAR2_B)));
        s++;
        activate(n, mlp_stage(tape, net, tape->a, s), mlp_stage(tape, net, tape->slope, s), tape->h,
                 keep);
    }
    VPSDE_TRY(linear(net, tape, mlp_output(net, 0), columns, mlp_stage(tape, net, tape->a, s),
                     tape->out));
    vpsde_bias(net->dim, columns, tape->out, mlp_weight(net, mlp_output(net, 1)));
    return VPSDE_OK;
}

/* out = slope of `stage` times v, column by column */
static void apply_slope(const mlp_net *net, mlp_tape *tape, size_t stage, size_t columns,
                        size_t value_columns, const size_t *row, float *out, const float *v)
{
    const float *slope = mlp_stage(tape, net, tape->slope, stage);
    if (row) {
        for (size_t f = 0; f < net->hidden; f++) {
            for (size_t i = 0; i < columns; i++) {
                tape->gathered[f * columns + i] = slope[f * value_columns + row[i]];
            }
        }
        slope = tape->gathered;
    }
    vpsde_multiply(net->hidden * columns, out, slope, v);
}

vpsde_status mlp_tangent(const mlp_net *net, mlp_tape *tape, size_t columns, size_t value_columns,
                         const size_t *row)
{
    const size_t hidden = net->hidden;
    VPSDE_TRY(linear(net, tape, MLP_INPUT_W, columns, tape->x, tape->h));
    for (size_t l = 0; l < net->layers; l++) {
        apply_slope(net, tape, 2 * l, columns, value_columns, row, tape->g, tape->h);
        VPSDE_TRY(linear(net, tape, mlp_layer(l, MLP_LINEAR1_W), columns, tape->g, tape->z));
        apply_slope(net, tape, 2 * l + 1, columns, value_columns, row, tape->g, tape->z);
        VPSDE_TRY(linear(net, tape, mlp_layer(l, MLP_LINEAR2_W), columns, tape->g, tape->z));
        vpsde_add(hidden * columns, tape->h, tape->z);
    }
    apply_slope(net, tape, 2 * net->layers, columns, value_columns, row, tape->g, tape->h);
    return linear(net, tape, mlp_output(net, 0), columns, tape->g, tape->out);
}
