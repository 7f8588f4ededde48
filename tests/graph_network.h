/* A small random network of every kind of layer. */
#ifndef VPSDE_TESTS_GRAPH_NETWORK_H
#define VPSDE_TESTS_GRAPH_NETWORK_H

#include "tests/check.h"

#include <stdlib.h>

#include "core/parallel.h"
#include "models/graph.h"
#include "models/layers/attention.h"
#include "models/layers/conv.h"
#include "models/layers/embedding.h"
#include "models/layers/norm.h"
#include "models/layers/resample.h"

enum { SIDE = 8, C = 2, IMAGE = SIDE * SIDE * C, N = 3, K = 2, NO_CLASS = 3 };
#define NO VPSDE_TENSOR_NONE

static const double LABELS[N] = {3.5, 0.25, 40};
static const int32_t CLASSES[N] = {1, -1, 0};

/* Numbers in [-1, 1] that look like chance. */
static float number(size_t e, size_t seed)
{
    uint64_t x = (e + 1) * 0x9E3779B97F4A7C15U + seed * 0xD1B54A32D192ED03U;
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9U;
    x = (x ^ (x >> 27)) * 0x94D049BB133111EBU;
    return (float)((double)((x ^ (x >> 31)) >> 40) / 8388608.0 - 1);
}

static size_t add(vpsde_graph *graph, vpsde_layer *layer, size_t a, size_t b, size_t c, size_t d)
{
    size_t out = NO;
    assert_ok(vpsde_graph_add(graph, &out, layer, (size_t[]){a, b, c, d}));
    return out;
}

static void extents(const vpsde_graph *graph, vpsde_extent e[VPSDE_LAYER_INPUTS], size_t a,
                    size_t b, size_t c, size_t d)
{
    const size_t in[] = {a, b, c, d};
    for (size_t i = 0; i < VPSDE_LAYER_INPUTS; i++) {
        e[i] = in[i] == NO ? (vpsde_extent){0, 0, 0} : vpsde_graph_extent(graph, in[i]);
    }
}

static size_t conv(vpsde_graph *graph, const vpsde_conv_spec *spec, size_t x, size_t x2,
                   size_t residual)
{
    vpsde_layer layer;
    vpsde_extent e[VPSDE_LAYER_INPUTS];
    extents(graph, e, x, x2, residual, NO);
    assert_ok(vpsde_conv_make(&layer, spec, e));
    return add(graph, &layer, x, x2, residual, NO);
}

static size_t conv3(vpsde_graph *graph, const char *name, size_t channels, size_t x, size_t x2,
                    size_t residual)
{
    const vpsde_conv_spec spec = {
        .channels = channels, .kernel = 3, .stride = 1, .before = 1, .after = 1, .part = {name}};
    return conv(graph, &spec, x, x2, residual);
}

static size_t norm(vpsde_graph *graph, const char *name, bool silu, size_t x, size_t x2,
                   size_t shift, size_t scale_shift)
{
    const vpsde_norm_spec spec = {.groups = 4, .eps = 1e-5, .silu = silu, .name = name};
    vpsde_layer layer;
    vpsde_extent e[VPSDE_LAYER_INPUTS];
    extents(graph, e, x, x2, shift, scale_shift);
    assert_ok(vpsde_norm_make(&layer, &spec, e));
    return add(graph, &layer, x, x2, shift, scale_shift);
}

static size_t dense(vpsde_graph *graph, const char *name, size_t channels, bool silu_in, size_t x)
{
    const vpsde_dense_spec spec = {
        .channels = channels, .silu_in = silu_in, .silu_out = !silu_in, .name = name};
    vpsde_layer layer;
    assert_ok(vpsde_dense_make(&layer, &spec, vpsde_graph_extent(graph, x)));
    return add(graph, &layer, x, NO, NO, NO);
}

static size_t sum(vpsde_graph *graph, size_t a, size_t b)
{
    vpsde_layer layer;
    assert_ok(vpsde_sum_make(&layer, vpsde_graph_extent(graph, a), vpsde_graph_extent(graph, b)));
    return add(graph, &layer, a, b, NO, NO);
}

/* Of label and class: 16 channels. */
static size_t embedding(vpsde_graph *graph)
{
    const vpsde_sinusoid_spec sinusoid = {.channels = 8, .cosine_first = true};
    vpsde_layer layer;
    assert_ok(vpsde_sinusoid_make(&layer, &sinusoid));
    const size_t times = dense(graph, "time", 16, false, add(graph, &layer, NO, NO, NO, NO));
    assert_ok(vpsde_fourier_make(&layer, "fourier", 8, false));
    const size_t waves = dense(graph, "waves", 16, false, add(graph, &layer, NO, NO, NO, NO));
    const size_t both = sum(graph, times, waves);
    assert_ok(vpsde_class_table_make(&layer, "classes", NO_CLASS + 1, NO_CLASS,
                                     vpsde_graph_extent(graph, both)));
    return add(graph, &layer, both, NO, NO, NO);
}

/* A residual block whose embedding shifts the second norm, or scales and shifts it. */
static size_t block(vpsde_graph *graph, size_t channels, size_t x, size_t skip, size_t e,
                    bool scale_shift)
{
    const vpsde_conv_spec shortcut = {
        .channels = channels, .kernel = 1, .stride = 1, .part = {"shortcut"}};
    const size_t h =
        conv3(graph, "conv1", channels, norm(graph, "norm1", true, x, skip, NO, NO), NO, NO);
    const size_t s = dense(graph, "emb", scale_shift ? 2 * channels : channels, true, e);
    const size_t u = norm(graph, "norm2", true, h, NO, scale_shift ? NO : s, scale_shift ? s : NO);
    return conv3(graph, "conv2", channels, u, NO, conv(graph, &shortcut, x, skip, NO));
}

static size_t attention(vpsde_graph *graph, size_t x)
{
    const size_t channels = vpsde_graph_extent(graph, x).channels;
    const vpsde_conv_spec qkv = {.channels = 3 * channels,
                                 .kernel = 1,
                                 .stride = 1,
                                 .n_parts = 3,
                                 .part = {"q", "k", "v"},
                                 .matrix = true};
    const vpsde_conv_spec out = {.channels = channels,
                                 .kernel = 1,
                                 .stride = 1,
                                 .scale = 0.5,
                                 .part = {"out"},
                                 .matrix = true};
    const size_t three = conv(graph, &qkv, norm(graph, "norm", false, x, NO, NO, NO), NO, NO);
    vpsde_layer layer;
    assert_ok(vpsde_attention_make(&layer, 2, vpsde_graph_extent(graph, three)));
    return conv(graph, &out, add(graph, &layer, three, NO, NO, NO), NO, x);
}

static vpsde_graph *network(void)
{
    const vpsde_conv_spec down = {
        .channels = 8, .kernel = 3, .stride = 2, .before = 1, .after = 1, .part = {"down"}};
    const vpsde_conv_spec up = {.channels = 8,
                                .kernel = 3,
                                .stride = 1,
                                .before = 1,
                                .after = 1,
                                .upsample = true,
                                .part = {"up"}};
    vpsde_graph *graph;
    vpsde_layer layer;
    assert_ok(vpsde_graph_create(&graph, (vpsde_extent){SIDE, SIDE, C}));
    const size_t e = embedding(graph), x = conv3(graph, "in", 8, 0, NO, NO);
    assert_ok(vpsde_halve_make(&layer, vpsde_graph_extent(graph, x)));
    const size_t half = add(graph, &layer, x, NO, NO, NO);
    const size_t low = sum(graph, half, conv(graph, &down, x, NO, NO));
    const size_t a = attention(graph, block(graph, 16, low, NO, e, false));
    assert_ok(vpsde_double_make(&layer, vpsde_graph_extent(graph, a)));
    const size_t big = add(graph, &layer, a, NO, NO, NO);
    const size_t y = conv3(graph, "join", 8, conv(graph, &up, a, NO, NO), big, NO);
    const size_t z = block(graph, 8, y, x, e, true);
    (void)conv3(graph, "out", C, norm(graph, "norm_out", true, z, NO, NO, NO), NO, NO);
    assert_ok(vpsde_graph_finish(graph));
    const vpsde_parameter *p;
    for (size_t q = 0; (p = vpsde_graph_parameter(graph, q)) != NULL; q++) {
        const double fan = p->rank == 4 ? 0.1 : 0.3;
        const bool gain =
            p->rank == 1 && strncmp(p->name, "norm", 4) == 0 && strstr(p->name, ".weight") != NULL;
        for (size_t i = 0; i < p->count; i++) {
            vpsde_graph_parameters(graph)[p->offset + i] =
                (float)(fan * number(i, q + 10) + (gain ? 1 : 0));
        }
    }
    assert_ok(vpsde_graph_pack(graph, true));
    return graph;
}

#endif
