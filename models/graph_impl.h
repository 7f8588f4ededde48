/* What the three files of the graph share. */
#ifndef VPSDE_MODELS_GRAPH_IMPL_H
#define VPSDE_MODELS_GRAPH_IMPL_H

#include "models/graph.h"

enum { GRAPH_ALIGN = 16 /* floats: 64 bytes */, GRAPH_INPUT = 0 };

typedef struct graph_tensor {
    vpsde_extent extent;
    size_t maker;     /* its layer; unused for the input */
    size_t last_user; /* the last layer that reads it */
    bool used;
    bool moves;  /* depends on the network's input: has a tangent */
    bool learns; /* depends on a parameter: has a gradient even if the input has none */
} graph_tensor;

typedef struct graph_node {
    vpsde_layer layer;
    size_t in[VPSDE_LAYER_INPUTS], out;
} graph_node;

struct vpsde_graph {
    size_t n_tensors, n_nodes, capacity; /* n_tensors = n_nodes + 1 <= capacity */
    graph_tensor *tensor;
    graph_node *node;
    size_t n_entries;
    const vpsde_parameter **by_name; /* (n_entries) sorted; once finished */
    float *parameters;
    float *rounded; /* the parameters as a bfloat16 network has them, made by pack */
    size_t floats, n_parameters;
    bool finished, packed, packed_backward;
    size_t n_packs;   /* times it was packed */
    bool bf16;        /* from the next pack on */
    bool packed_bf16; /* as it is packed now */
};

/* One tensor's place in an arena: alive from step `first` to step `last`. */
typedef struct graph_place {
    bool wanted;
    size_t size, first, last, offset;
} graph_place;

/* Values, tangents or gradients of all tensors. */
typedef struct graph_arena {
    float *memory;
    size_t floats;
    size_t *offset; /* (n_tensors) */
} graph_arena;

struct vpsde_graph_workspace {
    const vpsde_graph *graph;
    vpsde_graph_need need;
    size_t n_threads; /* that library calls might use when it was made */
    bool spins;       /* threads that wait are awake */
    size_t n;         /* images of the last forward */
    size_t n_packs;   /* the graph's at the last forward */
    bool shared, has_classes;
    double *label;
    int32_t *classes;
    graph_arena value, tangent, gradient;
    float *keep, *scratch;
    size_t *keep_offset; /* (n_nodes) */
    bool *written;       /* (n_tensors): the gradient has its first term */
    void **layer_ws;     /* (n_nodes) */
    size_t bytes;
};

static inline size_t graph_round(size_t floats)
{
    return (floats + GRAPH_ALIGN - 1) / GRAPH_ALIGN * GRAPH_ALIGN;
}

/* What the layers compute with. */
static inline const float *graph_used(const vpsde_graph *graph)
{
    return graph->packed_bf16 ? graph->rounded : graph->parameters;
}

static inline bool graph_has_tape(const vpsde_graph_need *need)
{
    return need->backward || need->tangents > 0;
}

#endif
