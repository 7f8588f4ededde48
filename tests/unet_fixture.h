/* Small U-Nets of every kind, and batches for them. */
#ifndef VPSDE_TESTS_UNET_FIXTURE_H
#define VPSDE_TESTS_UNET_FIXTURE_H

#include <stdbool.h>
#include <stdlib.h>

#include "core/parallel.h"
#include "models/train.h"
#include "models/unet.h"
#include "tests/check.h"

enum { SIDE = 8, CHANNELS = 2, D = CHANNELS * SIDE * SIDE, ROWS = 11, K = 5, CLASSES = 3 };

/* Makes spare threads work in networks as small as these. */
static inline void use_spare_threads(void) { (void)setenv("OMP_WAIT_POLICY", "active", 1); }

/* 8 x 8 pixels in two channels, two levels of 8 and 16, attention at the lower one. */
static inline vpsde_unet_spec small_spec(size_t n_classes)
{
    vpsde_unet_spec spec;
    vpsde_unet_spec_init(&spec);
    spec.height = spec.width = SIDE;
    spec.in_channels = spec.out_channels = CHANNELS;
    spec.n_levels = 2;
    spec.block_out_channels[0] = 8;
    spec.block_out_channels[1] = 16;
    spec.down_block[0] = spec.up_block[1] = VPSDE_UNET_PLAIN;
    spec.down_block[1] = spec.up_block[0] = VPSDE_UNET_ATTN;
    spec.norm_num_groups = 4;
    spec.num_class_embeds = n_classes > 0 ? n_classes + 1 : 0;
    spec.null_class = n_classes > 0;
    return spec;
}

/* Draws the output convolution too, and shifts every norm away from its start. */
static inline void disturb(vpsde_model *model)
{
    const vpsde_graph *const graph = vpsde_unet_graph(model);
    const vpsde_parameter *p;
    for (size_t q = 0; (p = vpsde_graph_parameter(graph, q)) != NULL; q++) {
        float *const w = vpsde_graph_parameters(graph) + p->offset;
        const bool last = strncmp(p->name, "conv_out", 8) == 0;
        for (size_t e = 0; e < p->count; e++) {
            double u;
            vpsde_uniforms(&u, 6, VPSDE_NOISE_TEST, e, 1, (uint32_t)q, 1);
            w[e] += (float)((last ? 0.4 : 0.1) * (u - 0.5));
        }
    }
    assert_ok(vpsde_unet_ready(model));
}

static inline vpsde_model *network(const vpsde_unet_spec *spec)
{
    vpsde_model *model;
    assert_ok(vpsde_unet_create(&model, spec, 5));
    disturb(model);
    return model;
}

typedef struct batch {
    size_t n, k;
    bool shared;
    vpsde_coef coef[ROWS];
    int32_t classes[ROWS];
    double x[ROWS * D], dx[ROWS * K * D], eps[ROWS * D], deps[ROWS * K * D];
} batch;

static inline void draw(batch *b, size_t n, size_t k, size_t n_classes)
{
    memset(b, 0, sizeof(*b));
    b->n = n;
    b->k = k;
    for (size_t i = 0; i < n; i++) {
        double u;
        vpsde_uniforms(&u, 2, VPSDE_NOISE_TEST, i, 1, 0, 1);
        b->coef[i] = (vpsde_coef){.label = 1 + 900 * u};
        b->classes[i] = n_classes > 0 ? (int32_t)(i % (n_classes + 1)) - 1 : -1;
    }
    vpsde_normals(b->x, 2, VPSDE_NOISE_TEST, 0, n, 1, D);
    vpsde_normals(b->dx, 2, VPSDE_NOISE_TEST, 0, n * k, 2, D);
}

static inline vpsde_eval eval_of(batch *b)
{
    return (vpsde_eval){.n = b->n,
                        .k = b->k,
                        .coef = b->coef,
                        .coef_stride = b->shared ? 0 : 1,
                        .x = b->x,
                        .dx = b->k ? b->dx : NULL,
                        .classes = b->classes,
                        .eps = b->eps,
                        .deps = b->k ? b->deps : NULL};
}

static inline void eval(const vpsde_model *model, batch *b, size_t tangents)
{
    void *ws;
    const vpsde_eval e = eval_of(b);
    assert_ok(vpsde_model_workspace_create(&ws, model, b->n, tangents));
    assert_ok(vpsde_model_eval(model, ws, &e));
    vpsde_model_workspace_destroy(model, ws);
}

static inline double dot(size_t n, const double *a, const double *b)
{
    double sum = 0;
    for (size_t e = 0; e < n; e++) sum += a[e] * b[e];
    return sum;
}

/* Every kind of block, of time, of class and of scaling once. */
static inline size_t variants(vpsde_unet_spec spec[8])
{
    size_t n = 0;
    spec[n++] = small_spec(CLASSES);
    spec[n] = small_spec(0);
    spec[n].down_block[0] = VPSDE_UNET_RESNET;
    spec[n].up_block[0] = VPSDE_UNET_RESNET;
    spec[n].scale_shift = true;
    spec[n++].attention_head_dim = 4;
    spec[n] = small_spec(0);
    spec[n].time = VPSDE_UNET_FOURIER;
    spec[n].downsample_padding = 0;
    spec[n].down_block[0] = VPSDE_UNET_ATTN;
    spec[n].mid_block_scale_factor = sqrt(2);
    spec[n++].layers_per_block = 2;
    spec[n] = small_spec(CLASSES);
    spec[n].class_timestep = true;
    spec[n].center_input_sample = true;
    spec[n].down_block[0] = VPSDE_UNET_ATTN;
    spec[n].downsample_conv = spec[n].upsample_conv = false;
    spec[n].attn_norm_num_groups = 2;
    spec[n].flip_sin_to_cos = false;
    spec[n++].freq_shift = 1;
    spec[n] = small_spec(0);
    spec[n].width = 2 * SIDE;
    spec[n].height = SIDE / 2;
    spec[n++].mid_attention = false;
    return n;
}

#endif
