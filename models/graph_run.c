#include <string.h>

#include "core/parallel.h"
#include "models/graph_bf16.h"
#include "models/graph_impl.h"

static float *at(const vpsde_graph_workspace *ws, const graph_arena *arena, size_t tensor,
                 size_t row)
{
    return arena->memory + arena->offset[tensor] +
           row * vpsde_extent_floats(ws->graph->tensor[tensor].extent);
}

static size_t output(const vpsde_graph_workspace *ws) { return ws->graph->n_tensors - 1; }

float *vpsde_graph_in(vpsde_graph_workspace *ws) { return at(ws, &ws->value, GRAPH_INPUT, 0); }

const float *vpsde_graph_out(const vpsde_graph_workspace *ws)
{
    return at(ws, &ws->value, output(ws), 0);
}

float *vpsde_graph_din(vpsde_graph_workspace *ws)
{
    return ws->tangent.memory ? at(ws, &ws->tangent, GRAPH_INPUT, 0) : NULL;
}

const float *vpsde_graph_dout(const vpsde_graph_workspace *ws)
{
    return ws->tangent.memory ? at(ws, &ws->tangent, output(ws), 0) : NULL;
}

float *vpsde_graph_gout(vpsde_graph_workspace *ws)
{
    return ws->gradient.memory ? at(ws, &ws->gradient, output(ws), 0) : NULL;
}

const float *vpsde_graph_gin(const vpsde_graph_workspace *ws)
{
    return ws->gradient.memory ? at(ws, &ws->gradient, GRAPH_INPUT, 0) : NULL;
}

/* The values of images first .. first + n - 1 around a layer. */
static vpsde_layer_call call_of(const vpsde_graph_workspace *ws, size_t l, size_t first, size_t n)
{
    const graph_node *const node = &ws->graph->node[l];
    vpsde_layer_call call = {
        .n = n,
        .parameters = graph_used(ws->graph),
        .label = ws->label + (ws->shared ? 0 : first),
        .classes = ws->has_classes ? ws->classes + first : NULL,
        .shared = ws->shared,
        .scratch = ws->scratch,
        .out = at(ws, &ws->value, node->out, first),
        .keep = ws->keep ? ws->keep + ws->keep_offset[l] + first * node->layer.keep : NULL,
    };
    for (size_t i = 0; i < VPSDE_LAYER_INPUTS; i++) {
        if (node->in[i] != VPSDE_TENSOR_NONE) call.in[i] = at(ws, &ws->value, node->in[i], first);
    }
    return call;
}

typedef vpsde_status (*layer_fn)(const vpsde_layer *layer, void *ws, const vpsde_layer_call *call);

static vpsde_status run_layer(const vpsde_graph_workspace *ws, size_t l, layer_fn fn,
                              const vpsde_layer_call *call)
{
    const vpsde_layer *const layer = &ws->graph->node[l].layer;
    const vpsde_status status = fn(layer, ws->layer_ws[l], call);
    if (status == VPSDE_OK) return VPSDE_OK;
    return vpsde_fail_in(status, "layer %zu (%s)", l, layer->type->name);
}

static vpsde_status check_forward(const vpsde_graph *graph, const vpsde_graph_workspace *ws,
                                  size_t n)
{
    if (graph != ws->graph) return vpsde_fail(VPSDE_EINVAL, "workspace of another network");
    if (!graph->packed) return vpsde_fail(VPSDE_EINVAL, "network: its parameters are not packed");
    if (n >= 1 && n <= ws->need.images) return VPSDE_OK;
    return vpsde_fail(VPSDE_EINVAL, "forward pass of %zu images in a workspace for 1 to %zu", n,
                      ws->need.images);
}

/* What passes on from a tensor of a bfloat16 network; neither an embedding nor the output. */
static void pass_on(const vpsde_graph *graph, size_t tensor, float *x, size_t rows)
{
    const graph_tensor *const t = &graph->tensor[tensor];
    if (!graph->packed_bf16 || !t->moves || tensor == graph->n_tensors - 1) return;
    graph_bf16(rows * vpsde_extent_floats(t->extent), x);
}

static vpsde_status forward(vpsde_graph_workspace *ws)
{
    const vpsde_graph *const graph = ws->graph;
    pass_on(graph, GRAPH_INPUT, at(ws, &ws->value, GRAPH_INPUT, 0), ws->n);
    for (size_t l = 0; l < graph->n_nodes; l++) {
        const vpsde_layer_call call = call_of(ws, l, 0, ws->n);
        VPSDE_TRY(run_layer(ws, l, graph->node[l].layer.type->forward, &call));
        pass_on(graph, graph->node[l].out, call.out, ws->n);
    }
    return VPSDE_OK;
}

/* Of work like a pass over so many images. To wake a thread that sleeps costs some 30 us a region, of which a
 * pass has about a hundred: little work is done sooner by one thread. Threads that spin cost nothing. */
static size_t threads_for(const vpsde_graph_workspace *ws, size_t images)
{
    static const double worth_waking = 1.5e9; /* operations */
    const double work = vpsde_graph_flops(ws->graph) * (double)images;
    return ws->spins || work >= worth_waking ? ws->n_threads : 1;
}

vpsde_status vpsde_graph_forward(const vpsde_graph *graph, vpsde_graph_workspace *ws, size_t n,
                                 const vpsde_graph_times *times)
{
    VPSDE_TRY(check_forward(graph, ws, n));
    ws->n = n;
    ws->n_packs = graph->n_packs;
    ws->shared = times->shared;
    ws->has_classes = times->classes != NULL;
    memcpy(ws->label, times->label, (times->shared ? 1 : n) * sizeof(*ws->label));
    if (times->classes) memcpy(ws->classes, times->classes, n * sizeof(*ws->classes));
    const size_t saved = vpsde_limit_begin(threads_for(ws, n));
    const vpsde_status status = forward(ws);
    vpsde_limit_end(saved);
    if (status != VPSDE_OK) ws->n = 0;
    return status;
}

/* Tangents and gradients read what the forward pass left, with the parameters that it saw. */
static vpsde_status check_packing(const vpsde_graph_workspace *ws)
{
    if (ws->graph->packed && ws->n_packs == ws->graph->n_packs) return VPSDE_OK;
    return vpsde_fail(VPSDE_EINVAL,
                      "network: its parameters were packed after the forward pass, repeat that");
}

static vpsde_status check_jvp(const vpsde_graph *graph, const vpsde_graph_workspace *ws,
                              size_t first, size_t n, size_t k)
{
    if (graph != ws->graph) return vpsde_fail(VPSDE_EINVAL, "workspace of another network");
    if (n == 0 || first >= ws->n || n > ws->n - first) {
        return vpsde_fail(VPSDE_EINVAL, "tangents of images %zu to %zu after a forward pass of %zu",
                          first, first + n, ws->n);
    }
    if (k >= 1 && n <= ws->need.tangents / k) return check_packing(ws);
    return vpsde_fail(VPSDE_EINVAL, "%zu tangents of %zu images in a workspace for 1 to %zu", k, n,
                      ws->need.tangents);
}

static vpsde_status jvp(const vpsde_graph_workspace *ws, size_t first, size_t n, size_t k)
{
    const vpsde_graph *const graph = ws->graph;
    pass_on(graph, GRAPH_INPUT, at(ws, &ws->tangent, GRAPH_INPUT, 0), n * k);
    for (size_t l = 0; l < graph->n_nodes; l++) {
        const graph_node *const node = &graph->node[l];
        if (!graph->tensor[node->out].moves) continue;
        vpsde_layer_call call = call_of(ws, l, first, n);
        call.k = k;
        call.dout = at(ws, &ws->tangent, node->out, 0);
        for (size_t i = 0; i < VPSDE_LAYER_INPUTS; i++) {
            const size_t t = node->in[i];
            if (t == VPSDE_TENSOR_NONE || !graph->tensor[t].moves) continue;
            call.din[i] = at(ws, &ws->tangent, t, 0);
        }
        VPSDE_TRY(run_layer(ws, l, node->layer.type->jvp, &call));
        pass_on(graph, node->out, call.dout, n * k);
    }
    return VPSDE_OK;
}

vpsde_status vpsde_graph_jvp(const vpsde_graph *graph, vpsde_graph_workspace *ws, size_t first,
                             size_t n, size_t k)
{
    VPSDE_TRY(check_jvp(graph, ws, first, n, k));
    const size_t saved = vpsde_limit_begin(threads_for(ws, n * k));
    const vpsde_status status = jvp(ws, first, n, k);
    vpsde_limit_end(saved);
    return status;
}

static bool wants_gradient(const graph_tensor *tensor, bool want_gin)
{
    return tensor->learns || (want_gin && tensor->moves);
}

/* Layers in reverse: when one is reached, all readers of its output have added their terms. */
static vpsde_status backward(vpsde_graph_workspace *ws, float *gradient, bool want_gin)
{
    const vpsde_graph *const graph = ws->graph;
    memset(ws->written, 0, graph->n_tensors * sizeof(*ws->written));
    for (size_t l = graph->n_nodes; l-- > 0;) {
        const graph_node *const node = &graph->node[l];
        if (!wants_gradient(&graph->tensor[node->out], want_gin)) continue;
        vpsde_layer_call call = call_of(ws, l, 0, ws->n);
        call.gradient = gradient;
        call.gout = at(ws, &ws->gradient, node->out, 0);
        for (size_t i = 0; i < VPSDE_LAYER_INPUTS; i++) {
            const size_t t = node->in[i];
            if (t == VPSDE_TENSOR_NONE || !wants_gradient(&graph->tensor[t], want_gin)) continue;
            call.gin[i] = at(ws, &ws->gradient, t, 0);
            call.add[i] = ws->written[t];
            ws->written[t] = true;
        }
        VPSDE_TRY(run_layer(ws, l, node->layer.type->backward, &call));
    }
    return VPSDE_OK;
}

vpsde_status vpsde_graph_backward(const vpsde_graph *graph, vpsde_graph_workspace *ws, size_t n,
                                  float *gradient, bool want_gin)
{
    if (graph != ws->graph || !ws->need.backward || !graph->packed_backward) {
        return vpsde_fail(VPSDE_EINVAL, "backward pass: the %s was not made for it",
                          graph == ws->graph && ws->need.backward ? "packing" : "workspace");
    }
    if (n == 0 || n != ws->n) {
        return vpsde_fail(VPSDE_EINVAL, "backward pass of %zu images after a forward pass of %zu",
                          n, ws->n);
    }
    VPSDE_TRY(check_packing(ws));
    const size_t saved = vpsde_limit_begin(threads_for(ws, 2 * n));
    const vpsde_status status = backward(ws, gradient, want_gin);
    vpsde_limit_end(saved);
    return status;
}
