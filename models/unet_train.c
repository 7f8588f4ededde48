/* Drawing the parameters of a U-Net, and what the trainer asks of it. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "core/parallel.h"
#include "models/unet_net.h"

enum { DRAWS = 256 };

/* The weight of the layer that has this bias. */
static const vpsde_parameter *weight_of(const vpsde_graph *graph, const vpsde_parameter *bias)
{
    const size_t stem = strlen(bias->name) - strlen("bias");
    const vpsde_parameter *other;
    for (size_t p = 0; (other = vpsde_graph_parameter(graph, p)) != NULL; p++) {
        if (strncmp(other->name, bias->name, stem) == 0 &&
            strcmp(other->name + stem, "weight") == 0) {
            return other;
        }
    }
    return bias;
}

static void constant(float *to, const vpsde_parameter *p, float value)
{
    for (size_t e = 0; e < p->count; e++) to[e] = value;
}

static void uniform(float *to, const vpsde_parameter *p, uint64_t seed, uint32_t node, double bound)
{
    double u[DRAWS];
    for (size_t e = 0; e < p->count; e += DRAWS) {
        const size_t n = p->count - e < DRAWS ? p->count - e : DRAWS;
        vpsde_uniforms(u, seed, VPSDE_NOISE_INIT, e, n, node, 1);
        for (size_t i = 0; i < n; i++) to[e + i] = (float)(bound * (2 * u[i] - 1));
    }
}

static void normal(float *to, const vpsde_parameter *p, uint64_t seed, uint32_t node, double scale)
{
    double z[DRAWS];
    for (size_t e = 0; e < p->count; e += DRAWS) {
        const size_t n = p->count - e < DRAWS ? p->count - e : DRAWS;
        vpsde_normals(z, seed, VPSDE_NOISE_INIT, e, n, node, 1);
        for (size_t i = 0; i < n; i++) to[e + i] = (float)(scale * z[i]);
    }
}

static double fan_in(const vpsde_parameter *weight)
{
    double fan = 1;
    for (size_t a = 1; a < weight->rank; a++) fan *= (double)weight->dims[a];
    return fan;
}

/* PyTorch's reset_parameters: convolutions and linear layers uniform on +-1/sqrt(fan_in), weight and
 * bias alike (kaiming_uniform with a = sqrt(5)); norms 1 and 0; embeddings N(0, 1); diffusers' Fourier
 * frequencies N(0, 16^2). conv_out starts at 0, so that the first prediction is 0 whatever the input. */
static void draw(const vpsde_graph *graph, const vpsde_parameter *p, uint64_t seed, uint32_t node)
{
    const double fourier_scale = 16;
    float *const to = vpsde_graph_parameters(graph) + p->offset;
    const bool bias = vpsde_ends_in(p->name, ".bias");
    const vpsde_parameter *const weight = bias ? weight_of(graph, p) : p;
    if (strncmp(p->name, "conv_out.", strlen("conv_out.")) == 0) {
        constant(to, p, 0);
    } else if (strcmp(p->name, "time_proj.weight") == 0) {
        normal(to, p, seed, node, fourier_scale);
    } else if (strcmp(p->name, "class_embedding.weight") == 0) {
        normal(to, p, seed, node, 1);
    } else if (weight->rank == 1) {
        constant(to, p, bias ? 0 : 1);
    } else {
        uniform(to, p, seed, node, 1 / sqrt(fan_in(weight)));
    }
}

void vpsde_unet_init(vpsde_model *model, uint64_t seed)
{
    const vpsde_graph *const graph = vpsde_unet_graph(model);
    const vpsde_parameter *p;
    for (uint32_t node = 0; (p = vpsde_graph_parameter(graph, node)) != NULL; node++) {
        draw(graph, p, seed, node);
    }
}

typedef struct workspace {
    vpsde_graph_workspace *graph;
    unet_times times;
} workspace;

static size_t n_floats(const vpsde_model *model)
{
    return vpsde_graph_floats(vpsde_unet_graph(model));
}

static float *parameters(const vpsde_model *model)
{
    return vpsde_graph_parameters(vpsde_unet_graph(model));
}

static vpsde_status changed(vpsde_model *model)
{
    return vpsde_graph_pack(vpsde_unet_graph(model), true);
}

static void workspace_destroy(void *ws)
{
    workspace *const w = ws;
    if (!w) return;
    vpsde_graph_workspace_destroy(w->graph);
    free(w);
}

/* Gradients are one thread's work: the lanes of the trainer share the threads. */
static vpsde_status workspace_create(void **out, const vpsde_model *model)
{
    workspace *w;
    const vpsde_graph_need need = {.images = UNET_ROWS, .backward = true};
    *out = NULL;
    VPSDE_TRY(vpsde_alloc(&w, 1, sizeof(*w)));
    const int saved = vpsde_serial_begin();
    const vpsde_status status =
        vpsde_graph_workspace_create(&w->graph, vpsde_unet_graph(model), &need);
    vpsde_serial_end(saved);
    if (status != VPSDE_OK) {
        workspace_destroy(w);
        return status;
    }
    *out = w;
    return VPSDE_OK;
}

/* Image i: gout <- 2 scale weight (out - target), with what the door does to `out`; returns the
 * weighted sum of squared errors. */
static double loss_gradient(float *gout, const float *out, const vpsde_model *model,
                            const vpsde_train_block *b, size_t i)
{
    const unet *const net = model->impl;
    const size_t channels = model->shape[0], pixels = model->dim / channels;
    const float *const target = b->target + i * model->dim;
    const float door = (float)unet_over_time(net, b->label[i]);
    const float weight = b->weight ? b->weight[i] : 1;
    const float twice = (float)(2 * b->scale) * door;
    double sum = 0;
    for (size_t c = 0; c < channels; c++) {
        for (size_t p = 0; p < pixels; p++) {
            const float error = door * out[p * channels + c] - target[c * pixels + p];
            const float weighted = weight * error;
            sum += (double)weighted * (double)error;
            gout[p * channels + c] = twice * weighted;
        }
    }
    return sum;
}

static vpsde_status block_gradient(const vpsde_model *model, workspace *w,
                                   const vpsde_train_block *b, double *sum, float *gradient,
                                   float *dx)
{
    const unet *const net = model->impl;
    const size_t d = model->dim, channels = model->shape[0], pixels = d / channels;
    const float slope = (float)unet_slope_of(net), offset = (float)unet_offset_of(net);
    float *const in = vpsde_graph_in(w->graph);
    memcpy(w->times.label, b->label, b->n * sizeof(*b->label));
    for (size_t e = 0; e < b->n * d; e++) {
        const size_t i = e / d, c = e % d / pixels, p = e % pixels;
        in[i * d + p * channels + c] = slope * b->x[e] + offset;
    }
    const vpsde_graph_times times = vpsde_unet_graph_times(&w->times, net, false);
    VPSDE_TRY(vpsde_graph_forward(net->graph, w->graph, b->n, &times));
    *sum = 0;
    for (size_t i = 0; i < b->n; i++) {
        *sum += loss_gradient(vpsde_graph_gout(w->graph) + i * d, vpsde_graph_out(w->graph) + i * d,
                              model, b, i);
    }
    VPSDE_TRY(vpsde_graph_backward(net->graph, w->graph, b->n, gradient, dx != NULL));
    for (size_t e = 0; dx && e < b->n * d; e++) {
        const size_t i = e / d, c = e % d / pixels, p = e % pixels;
        dx[e] = slope * vpsde_graph_gin(w->graph)[i * d + p * channels + c];
    }
    return VPSDE_OK;
}

static vpsde_status gradient(const vpsde_model *model, void *ws, const vpsde_train_block *block,
                             double *sum, float *out, float *dx)
{
    workspace *const w = ws;
    if (block->n > UNET_ROWS) {
        return vpsde_fail(VPSDE_EINVAL, "unet: a block holds at most %d rows, got %zu",
                          (int)UNET_ROWS, block->n);
    }
    VPSDE_TRY(vpsde_unet_classes(&w->times, model->impl, block->classes, block->n));
    const int saved = vpsde_serial_begin();
    const vpsde_status status = block_gradient(model, w, block, sum, out, dx);
    vpsde_serial_end(saved);
    return status;
}

const vpsde_trainer_ops vpsde_unet_trainer = {
    .block_rows = UNET_ROWS,
    .n_floats = n_floats,
    .parameters = parameters,
    .init = vpsde_unet_init,
    .changed = changed,
    .workspace_create = workspace_create,
    .workspace_destroy = workspace_destroy,
    .gradient = gradient,
    .save = vpsde_unet_save,
};
