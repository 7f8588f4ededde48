#include "models/graph.h"

#include <stdlib.h>
#include <string.h>

#include "core/file.h"
#include "core/mem.h"
#include "models/graph_bf16.h"
#include "models/graph_impl.h"

/* Room for one more tensor and layer. */
static vpsde_status grow(vpsde_graph *graph)
{
    if (graph->n_tensors < graph->capacity) return VPSDE_OK;
    const size_t capacity = graph->capacity ? 2 * graph->capacity : 64;
    graph_tensor *tensor;
    VPSDE_TRY(vpsde_alloc(&tensor, capacity, sizeof(*tensor)));
    if (graph->tensor) memcpy(tensor, graph->tensor, graph->n_tensors * sizeof(*tensor));
    free(graph->tensor);
    graph->tensor = tensor;
    graph_node *node;
    VPSDE_TRY(vpsde_alloc(&node, capacity, sizeof(*node)));
    if (graph->node) memcpy(node, graph->node, graph->n_nodes * sizeof(*node));
    free(graph->node);
    graph->node = node;
    graph->capacity = capacity;
    return VPSDE_OK;
}

vpsde_status vpsde_graph_create(vpsde_graph **out, vpsde_extent input)
{
    if (vpsde_extent_floats(input) == 0) {
        return vpsde_fail(VPSDE_EINVAL, "network input: no extent of %zu x %zu x %zu may be 0",
                          input.height, input.width, input.channels);
    }
    vpsde_graph *graph;
    VPSDE_TRY(vpsde_alloc(&graph, 1, sizeof(*graph)));
    const vpsde_status status = grow(graph);
    if (status != VPSDE_OK) {
        vpsde_graph_destroy(graph);
        return status;
    }
    graph->tensor[graph->n_tensors++] = (graph_tensor){.extent = input, .moves = true};
    *out = graph;
    return VPSDE_OK;
}

static void destroy_layer(vpsde_layer *layer)
{
    if (layer->type->destroy) layer->type->destroy(layer);
}

void vpsde_graph_destroy(vpsde_graph *graph)
{
    if (!graph) return;
    for (size_t l = 0; l < graph->n_nodes; l++) destroy_layer(&graph->node[l].layer);
    free(graph->tensor);
    free(graph->node);
    free(graph->by_name);
    free(graph->parameters);
    free(graph->rounded);
    free(graph);
}

vpsde_extent vpsde_graph_extent(const vpsde_graph *graph, size_t tensor)
{
    return graph->tensor[tensor].extent;
}

static bool same_extent(vpsde_extent a, vpsde_extent b)
{
    return a.height == b.height && a.width == b.width && a.channels == b.channels;
}

static vpsde_status check_input(const vpsde_graph *graph, const vpsde_layer *layer,
                                const size_t *in, size_t i)
{
    const char *const name = layer->type->name;
    if (in[i] == VPSDE_TENSOR_NONE) {
        if (layer->in[i].channels == 0) return VPSDE_OK;
        return vpsde_fail(VPSDE_EINVAL, "%s layer: input %zu is missing", name, i);
    }
    if (in[i] >= graph->n_tensors) {
        return vpsde_fail(VPSDE_EINVAL, "%s layer: input %zu is tensor %zu of %zu", name, i, in[i],
                          graph->n_tensors);
    }
    for (size_t other = 0; other < i; other++) {
        if (in[other] != in[i]) continue;
        return vpsde_fail(VPSDE_EINVAL, "%s layer: inputs %zu and %zu are both tensor %zu", name,
                          other, i, in[i]);
    }
    const vpsde_extent is = graph->tensor[in[i]].extent, want = layer->in[i];
    if (same_extent(is, want)) return VPSDE_OK;
    return vpsde_fail(VPSDE_EINVAL, "%s layer: input %zu is %zu x %zu x %zu, not %zu x %zu x %zu",
                      name, i, is.height, is.width, is.channels, want.height, want.width,
                      want.channels);
}

static vpsde_status check_layer(const vpsde_graph *graph, const vpsde_layer *layer,
                                const size_t *in)
{
    if (graph->finished) {
        return vpsde_fail(VPSDE_EINVAL, "%s layer: the network is finished", layer->type->name);
    }
    if (vpsde_extent_floats(layer->out) == 0) {
        return vpsde_fail(VPSDE_EINVAL, "%s layer: no extent of its output may be 0",
                          layer->type->name);
    }
    for (size_t i = 0; i < VPSDE_LAYER_INPUTS; i++) {
        VPSDE_TRY(check_input(graph, layer, in, i));
    }
    return VPSDE_OK;
}

static void append(vpsde_graph *graph, size_t *out, const vpsde_layer *layer, const size_t *in)
{
    const size_t l = graph->n_nodes++;
    graph_node *const node = &graph->node[l];
    graph_tensor made = {.extent = layer->out, .maker = l, .learns = layer->n_parameters > 0};
    *node = (graph_node){.layer = *layer, .out = graph->n_tensors};
    for (size_t i = 0; i < VPSDE_LAYER_INPUTS; i++) {
        node->in[i] = in[i];
        if (in[i] == VPSDE_TENSOR_NONE) continue;
        graph_tensor *const source = &graph->tensor[in[i]];
        source->used = true;
        source->last_user = l;
        made.moves = made.moves || source->moves;
        made.learns = made.learns || source->learns;
    }
    for (size_t p = 0; p < layer->n_parameters; p++) {
        node->layer.parameter[p].offset = graph->floats;
        graph->floats += graph_round(layer->parameter[p].count);
        graph->n_parameters += layer->parameter[p].count;
        graph->n_entries++;
    }
    *out = graph->n_tensors;
    graph->tensor[graph->n_tensors++] = made;
}

vpsde_status vpsde_graph_add(vpsde_graph *graph, size_t *out, vpsde_layer *layer, const size_t *in)
{
    vpsde_status status = check_layer(graph, layer, in);
    if (status == VPSDE_OK) status = grow(graph);
    if (status != VPSDE_OK) {
        destroy_layer(layer);
        return status;
    }
    append(graph, out, layer, in);
    return VPSDE_OK;
}

static int compare_names(const void *left, const void *right)
{
    const vpsde_parameter *const *a = left, *const *b = right;
    return strcmp((*a)->name, (*b)->name);
}

static vpsde_status sort_names(vpsde_graph *graph)
{
    size_t n = 0;
    VPSDE_TRY(vpsde_alloc(&graph->by_name, graph->n_entries, sizeof(*graph->by_name)));
    for (size_t l = 0; l < graph->n_nodes; l++) {
        const vpsde_layer *const layer = &graph->node[l].layer;
        for (size_t p = 0; p < layer->n_parameters; p++) {
            graph->by_name[n++] = &layer->parameter[p];
        }
    }
    if (n > 0) qsort(graph->by_name, n, sizeof(*graph->by_name), compare_names);
    return VPSDE_OK;
}

vpsde_status vpsde_graph_finish(vpsde_graph *graph)
{
    if (graph->n_nodes == 0 || graph->finished) {
        return vpsde_fail(VPSDE_EINVAL, "network: %s",
                          graph->finished ? "finished before" : "no layer was added");
    }
    for (size_t l = 0; l + 1 < graph->n_nodes; l++) {
        if (graph->tensor[graph->node[l].out].used) continue;
        return vpsde_fail(VPSDE_EINVAL, "network: no layer reads what layer %zu (%s) makes", l,
                          graph->node[l].layer.type->name);
    }
    free(graph->by_name);
    VPSDE_TRY(sort_names(graph));
    VPSDE_TRY(vpsde_file_budget(graph->floats * sizeof(float), "network's parameters"));
    VPSDE_TRY(vpsde_alloc(&graph->parameters, graph->floats, sizeof(float)));
    graph->finished = true;
    return VPSDE_OK;
}

float *vpsde_graph_parameters(const vpsde_graph *graph) { return graph->parameters; }

size_t vpsde_graph_floats(const vpsde_graph *graph) { return graph->floats; }

size_t vpsde_graph_n_parameters(const vpsde_graph *graph) { return graph->n_parameters; }

const vpsde_parameter *vpsde_graph_parameter(const vpsde_graph *graph, size_t p)
{
    for (size_t l = 0; l < graph->n_nodes; l++) {
        const vpsde_layer *const layer = &graph->node[l].layer;
        if (p < layer->n_parameters) return &layer->parameter[p];
        p -= layer->n_parameters;
    }
    return NULL;
}

const vpsde_parameter *vpsde_graph_find(const vpsde_graph *graph, const char *name)
{
    vpsde_parameter wanted;
    const vpsde_parameter *const key = &wanted;
    if (!graph->finished || graph->n_entries == 0 || strlen(name) >= sizeof(wanted.name))
        return NULL;
    strcpy(wanted.name, name);
    const vpsde_parameter *const *const found =
        bsearch(&key, graph->by_name, graph->n_entries, sizeof(*graph->by_name), compare_names);
    return found ? *found : NULL;
}

double vpsde_graph_flops(const vpsde_graph *graph)
{
    double flops = 0;
    for (size_t l = 0; l < graph->n_nodes; l++) flops += graph->node[l].layer.flops;
    return flops;
}

void vpsde_graph_set_bf16(vpsde_graph *graph, bool bf16) { graph->bf16 = bf16; }

/* A norm has nothing but vectors; a layer with a matrix or kernels is rounded, its bias with it. */
static bool has_matrix(const vpsde_layer *layer)
{
    for (size_t p = 0; p < layer->n_parameters; p++) {
        if (layer->parameter[p].rank >= 2) return true;
    }
    return false;
}

static vpsde_status round_parameters(vpsde_graph *graph)
{
    if (!graph->rounded) VPSDE_TRY(vpsde_alloc(&graph->rounded, graph->floats, sizeof(float)));
    memcpy(graph->rounded, graph->parameters, graph->floats * sizeof(float));
    for (size_t l = 0; l < graph->n_nodes; l++) {
        const vpsde_layer *const layer = &graph->node[l].layer;
        if (!graph->tensor[graph->node[l].out].moves || !has_matrix(layer)) continue;
        for (size_t p = 0; p < layer->n_parameters; p++) {
            graph_bf16(layer->parameter[p].count, graph->rounded + layer->parameter[p].offset);
        }
    }
    return VPSDE_OK;
}

vpsde_status vpsde_graph_pack(vpsde_graph *graph, bool backward)
{
    if (!graph->finished) return vpsde_fail(VPSDE_EINVAL, "network: not finished");
    if (graph->bf16 && backward) {
        return vpsde_fail(VPSDE_EINVAL, "network: computes in bfloat16, gradients need float32");
    }
    graph->packed = graph->packed_backward = false;
    graph->n_packs++;
    if (graph->bf16) VPSDE_TRY(round_parameters(graph));
    graph->packed_bf16 = graph->bf16;
    for (size_t l = 0; l < graph->n_nodes; l++) {
        vpsde_layer *const layer = &graph->node[l].layer;
        if (!layer->type->pack) continue;
        const vpsde_status status = layer->type->pack(layer, graph_used(graph), backward);
        if (status != VPSDE_OK) {
            return vpsde_fail_in(status, "layer %zu (%s)", l, layer->type->name);
        }
    }
    graph->packed = true;
    graph->packed_backward = backward;
    return VPSDE_OK;
}
