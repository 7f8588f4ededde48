/* Layers for tests of the graph whose numbers are exact in float. */
#ifndef VPSDE_TESTS_GRAPH_TOYS_H
#define VPSDE_TESTS_GRAPH_TOYS_H

#include "tests/check.h"

#include <stdlib.h>

#include "core/parallel.h"
#include "models/graph.h"

enum { PIXELS = 4, C = 3, IMAGE = PIXELS * C, N = 3, K = 2 };
static const vpsde_extent PICTURE = {2, 2, C}, VECTOR = {1, 1, C};

static size_t n_alive, n_workspaces, ws_images;
static bool fail_workspace, fail_forward, fail_pack;
static size_t forward_threads; /* of the last call */
static double toy_flops = 1;

static void toy_destroy(vpsde_layer *layer)
{
    free(layer->own);
    n_alive--;
}

static vpsde_status toy_pack(vpsde_layer *layer, const float *parameters, bool backward)
{
    (void)layer, (void)parameters, (void)backward;
    return fail_pack ? vpsde_fail(VPSDE_ENOMEM, "toy pack") : VPSDE_OK;
}

static vpsde_status toy_workspace(void **ws, const vpsde_layer *layer, size_t n, bool backward)
{
    (void)layer, (void)backward;
    if (fail_workspace && n_workspaces == 2) return vpsde_fail(VPSDE_ENOMEM, "toy workspace");
    ws_images = n;
    n_workspaces++;
    *ws = malloc(1);
    assert_non_null(*ws);
    return VPSDE_OK;
}

static void toy_workspace_destroy(void *ws)
{
    n_workspaces--;
    free(ws);
}

static void put(float *at, bool add, float value) { *at = add ? *at + value : value; }

/* out = w_c x */
static vpsde_status scale_forward(const vpsde_layer *layer, void *ws, const vpsde_layer_call *call)
{
    const float *const w = vpsde_layer_at(layer, call->parameters, 0);
    const size_t size = vpsde_extent_floats(layer->out);
    assert_non_null(ws);
    if (fail_forward) return vpsde_fail(VPSDE_ENUMERIC, "toy forward");
    forward_threads = vpsde_team_threads();
    for (size_t e = 0; e < layer->scratch; e++) call->scratch[e] = NAN;
    for (size_t e = 0; e < call->n * size; e++) call->out[e] = w[e % C] * call->in[0][e];
    return VPSDE_OK;
}

static vpsde_status scale_jvp(const vpsde_layer *layer, void *ws, const vpsde_layer_call *call)
{
    const float *const w = vpsde_layer_at(layer, call->parameters, 0);
    const size_t size = vpsde_extent_floats(layer->out);
    (void)ws;
    for (size_t e = 0; e < call->n * call->k * size; e++) {
        call->dout[e] = w[e % C] * call->din[0][e];
    }
    return VPSDE_OK;
}

static vpsde_status scale_backward(const vpsde_layer *layer, void *ws, const vpsde_layer_call *call)
{
    const float *const w = vpsde_layer_at(layer, call->parameters, 0);
    float *const gw = call->gradient + layer->parameter[0].offset;
    const size_t size = vpsde_extent_floats(layer->out);
    (void)ws;
    for (size_t e = 0; e < call->n * size; e++) {
        gw[e % C] += call->gout[e] * call->in[0][e];
        if (call->gin[0]) put(&call->gin[0][e], call->add[0], w[e % C] * call->gout[e]);
    }
    return VPSDE_OK;
}

/* out = (label + class) w_c, no input */
static vpsde_status label_forward(const vpsde_layer *layer, void *ws, const vpsde_layer_call *call)
{
    const float *const w = vpsde_layer_at(layer, call->parameters, 0);
    (void)ws;
    for (size_t e = 0; e < call->n * C; e++) {
        const double label = call->label[call->shared ? 0 : e / C];
        call->out[e] = (float)(label + (call->classes ? call->classes[e / C] : 0)) * w[e % C];
    }
    return VPSDE_OK;
}

static vpsde_status label_jvp(const vpsde_layer *layer, void *ws, const vpsde_layer_call *call)
{
    (void)layer, (void)ws, (void)call;
    fail_msg("a branch without tangents was not skipped");
    return VPSDE_OK;
}

static vpsde_status label_backward(const vpsde_layer *layer, void *ws, const vpsde_layer_call *call)
{
    float *const gw = call->gradient + layer->parameter[0].offset;
    (void)ws;
    for (size_t e = 0; e < call->n * C; e++) {
        const double label = call->label[call->shared ? 0 : e / C];
        const float u = (float)(label + (call->classes ? call->classes[e / C] : 0));
        gw[e % C] += call->gout[e] * u;
    }
    return VPSDE_OK;
}

/* out = a b, b being the same for all pixels when it has one; keeps what the other passes need. */
static size_t b_at(const vpsde_layer *layer, size_t e)
{
    return vpsde_extent_pixels(layer->in[1]) == 1 ? e / IMAGE * C + e % C : e;
}

static vpsde_status product_forward(const vpsde_layer *layer, void *ws,
                                    const vpsde_layer_call *call)
{
    (void)ws;
    for (size_t e = 0; e < call->n * IMAGE; e++) {
        const float a = call->in[0][e], b = call->in[1][b_at(layer, e)];
        call->out[e] = a * b;
        if (!call->keep) continue;
        float *const keep = call->keep + e / IMAGE * layer->keep + e % IMAGE;
        keep[0] = a;
        keep[IMAGE] = b;
    }
    return VPSDE_OK;
}

static vpsde_status product_jvp(const vpsde_layer *layer, void *ws, const vpsde_layer_call *call)
{
    const bool moves = vpsde_extent_pixels(layer->in[1]) > 1;
    (void)ws;
    assert_true(call->din[0] != NULL && (call->din[1] != NULL) == moves);
    for (size_t e = 0; e < call->n * call->k * IMAGE; e++) {
        const float *const keep = call->keep + e / IMAGE / call->k * layer->keep + e % IMAGE;
        const float db = moves ? call->din[1][e] : 0;
        call->dout[e] = call->din[0][e] * keep[IMAGE] + keep[0] * db;
    }
    return VPSDE_OK;
}

static vpsde_status product_backward(const vpsde_layer *layer, void *ws,
                                     const vpsde_layer_call *call)
{
    (void)ws;
    const size_t size = vpsde_extent_floats(layer->in[1]);
    for (size_t e = 0; !call->add[1] && e < call->n * size; e++) call->gin[1][e] = 0;
    for (size_t e = 0; e < call->n * IMAGE; e++) {
        const float *const keep = call->keep + e / IMAGE * layer->keep + e % IMAGE;
        put(&call->gin[0][e], call->add[0], call->gout[e] * keep[IMAGE]);
        call->gin[1][b_at(layer, e)] += call->gout[e] * keep[0];
    }
    return VPSDE_OK;
}

static vpsde_status sum_forward(const vpsde_layer *layer, void *ws, const vpsde_layer_call *call)
{
    (void)layer, (void)ws;
    for (size_t e = 0; e < call->n * IMAGE; e++) call->out[e] = call->in[0][e] + call->in[1][e];
    return VPSDE_OK;
}

static vpsde_status sum_jvp(const vpsde_layer *layer, void *ws, const vpsde_layer_call *call)
{
    (void)layer, (void)ws;
    for (size_t e = 0; e < call->n * call->k * IMAGE; e++) {
        call->dout[e] = call->din[0][e] + call->din[1][e];
    }
    return VPSDE_OK;
}

static vpsde_status sum_backward(const vpsde_layer *layer, void *ws, const vpsde_layer_call *call)
{
    (void)layer, (void)ws;
    for (size_t e = 0; e < call->n * IMAGE; e++) {
        put(&call->gin[0][e], call->add[0], call->gout[e]);
        put(&call->gin[1][e], call->add[1], call->gout[e]);
    }
    return VPSDE_OK;
}

static const vpsde_layer_type SCALE = {"scale",       toy_destroy,           toy_pack,
                                       toy_workspace, toy_workspace_destroy, scale_forward,
                                       scale_jvp,     scale_backward};
static const vpsde_layer_type LABEL = {"label", toy_destroy,   NULL,      NULL,
                                       NULL,    label_forward, label_jvp, label_backward};
static const vpsde_layer_type PRODUCT = {"product", toy_destroy,     NULL,        NULL,
                                         NULL,      product_forward, product_jvp, product_backward};
static const vpsde_layer_type SUM = {"sum", NULL,        NULL,    NULL,
                                     NULL,  sum_forward, sum_jvp, sum_backward};

static vpsde_layer toy(const vpsde_layer_type *type, vpsde_extent a, vpsde_extent b)
{
    vpsde_layer layer = {
        .type = type, .in = {a, b}, .out = a.channels ? a : VECTOR, .flops = toy_flops};
    if (type == &PRODUCT) layer.keep = 2 * IMAGE;
    if (type == &SCALE) layer.scratch = 5;
    if (type != &SUM) {
        layer.own = malloc(1);
        n_alive++;
    }
    if (type == &SCALE || type == &LABEL) {
        assert_ok(vpsde_layer_parameter(&layer, "w", NULL, 1, (size_t[]){C}));
    }
    return layer;
}

static vpsde_status try_add(vpsde_graph *graph, size_t *out, const vpsde_layer_type *type, size_t a,
                            size_t b)
{
    const vpsde_extent none = {0};
    const bool vector = type == &PRODUCT && b < 4 && vpsde_graph_extent(graph, b).height == 1;
    vpsde_layer layer = toy(type, type == &LABEL ? none : PICTURE,
                            type == &SCALE || type == &LABEL ? none : (vector ? VECTOR : PICTURE));
    return vpsde_graph_add(graph, out, &layer,
                           (size_t[]){a, b, VPSDE_TENSOR_NONE, VPSDE_TENSOR_NONE});
}

static size_t add(vpsde_graph *graph, const vpsde_layer_type *type, size_t a, size_t b)
{
    size_t out = 0;
    assert_ok(try_add(graph, &out, type, a, b));
    return out;
}

#endif
