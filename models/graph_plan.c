/* Memory of a workspace. Tensors share an arena by lifetime: the largest first, each at the lowest
 * offset where nothing alive at the same time lies (Pisarchyk & Lee 2020, arXiv:2001.03288,
 * "greedy by size"). */
#include <stdlib.h>
#include <string.h>

#include "core/file.h"
#include "core/mem.h"
#include "core/parallel.h"
#include "models/graph_impl.h"

static const size_t ALWAYS = SIZE_MAX;

static bool overlap(const graph_place *a, const graph_place *b)
{
    return a->first <= b->last && b->first <= a->last;
}

/* The lowest offset for `item`, given those placed before it in the order of their offsets. */
static size_t lowest(const graph_place *item, const graph_place *place, const size_t *placed,
                     size_t n_placed)
{
    size_t offset = 0;
    for (size_t i = 0; i < n_placed; i++) {
        const graph_place *const other = &place[placed[i]];
        if (!overlap(item, other)) continue;
        if (offset + item->size <= other->offset) break;
        if (other->offset + other->size > offset) offset = other->offset + other->size;
    }
    return offset;
}

static size_t largest_left(const graph_place *place, const bool *done, size_t count)
{
    size_t best = SIZE_MAX;
    for (size_t t = 0; t < count; t++) {
        if (done[t] || !place[t].wanted) continue;
        if (best == SIZE_MAX || place[t].size > place[best].size) best = t;
    }
    return best;
}

/* Sets the offsets; returns the arena's size. `placed`, `done`: scratch (count), done false. */
static size_t assign(graph_place *place, size_t *placed, bool *done, size_t count)
{
    size_t n_placed = 0, size = 0;
    for (size_t t; (t = largest_left(place, done, count)) != SIZE_MAX;) {
        place[t].offset = lowest(&place[t], place, placed, n_placed);
        done[t] = true;
        if (place[t].offset + place[t].size > size) size = place[t].offset + place[t].size;
        size_t at = n_placed++;
        for (; at > 0 && place[placed[at - 1]].offset > place[t].offset; at--) {
            placed[at] = placed[at - 1];
        }
        placed[at] = t;
    }
    return size;
}

/* rows x floats, of which one for every tensor, layer and arena still adds up to a size_t of bytes. */
static vpsde_status size_of(size_t *size, const vpsde_graph *graph, size_t rows, size_t floats)
{
    size_t whole;
    VPSDE_TRY(vpsde_size_mul(size, rows, floats, "floats of a workspace"));
    return vpsde_size_mul(&whole, *size + GRAPH_ALIGN, 8 * sizeof(float) * graph->n_tensors,
                          "bytes of a workspace");
}

static vpsde_status place_all(graph_arena *arena, graph_place *place, size_t count)
{
    size_t *placed;
    bool *done = NULL;
    vpsde_status status = vpsde_alloc(&placed, count, sizeof(*placed));
    if (status == VPSDE_OK) status = vpsde_alloc(&done, count, sizeof(*done));
    if (status == VPSDE_OK) arena->floats = assign(place, placed, done, count);
    free(done);
    free(placed);
    VPSDE_TRY(status);
    for (size_t t = 0; t < count; t++) arena->offset[t] = place[t].offset;
    return VPSDE_OK;
}

typedef enum arena_kind { VALUES, TAPE, TANGENTS, GRADIENTS } arena_kind;

/* From the step that writes it to the last that reads it; the network's input and output always. */
static graph_place lifetime(const vpsde_graph *graph, size_t t, arena_kind kind)
{
    const graph_tensor *const tensor = &graph->tensor[t];
    const bool end = t == GRAPH_INPUT || t == graph->n_tensors - 1;
    if (end || kind == TAPE) return (graph_place){.wanted = true, .last = ALWAYS};
    if (kind == GRADIENTS) {
        return (graph_place){.wanted = tensor->learns || tensor->moves,
                             .first = graph->n_nodes - 1 - tensor->last_user,
                             .last = graph->n_nodes - 1 - tensor->maker};
    }
    return (graph_place){.wanted = kind == VALUES || tensor->moves,
                         .first = tensor->maker,
                         .last = tensor->last_user};
}

/* Its size and the tensors' places in it. */
static vpsde_status plan_arena(graph_arena *arena, const vpsde_graph *graph, arena_kind kind,
                               size_t rows)
{
    graph_place *place;
    VPSDE_TRY(vpsde_alloc(&arena->offset, graph->n_tensors, sizeof(*arena->offset)));
    VPSDE_TRY(vpsde_alloc(&place, graph->n_tensors, sizeof(*place)));
    vpsde_status status = VPSDE_OK;
    for (size_t t = 0; t < graph->n_tensors && status == VPSDE_OK; t++) {
        size_t size = 0;
        status = size_of(&size, graph, rows, vpsde_extent_floats(graph->tensor[t].extent));
        place[t] = lifetime(graph, t, kind);
        place[t].size = graph_round(size);
    }
    if (status == VPSDE_OK) status = place_all(arena, place, graph->n_tensors);
    free(place);
    return status;
}

/* What the layers keep, and the scratch they share. */
static vpsde_status plan_keeps(size_t *keep, size_t *scratch, vpsde_graph_workspace *ws)
{
    const vpsde_graph *const graph = ws->graph;
    *keep = *scratch = 0;
    VPSDE_TRY(vpsde_alloc(&ws->keep_offset, graph->n_nodes, sizeof(*ws->keep_offset)));
    for (size_t l = 0; l < graph->n_nodes; l++) {
        const vpsde_layer *const layer = &graph->node[l].layer;
        size_t size;
        VPSDE_TRY(size_of(&size, graph, ws->need.images, layer->keep));
        ws->keep_offset[l] = *keep;
        *keep += graph_round(size);
        if (layer->scratch > *scratch) *scratch = layer->scratch;
    }
    if (!graph_has_tape(&ws->need)) *keep = 0;
    return VPSDE_OK;
}

static vpsde_status make_memory(vpsde_graph_workspace *ws)
{
    const vpsde_graph_need *const need = &ws->need;
    graph_arena *const arena[] = {&ws->value, &ws->tangent, &ws->gradient};
    const arena_kind kind[] = {graph_has_tape(need) ? TAPE : VALUES, TANGENTS, GRADIENTS};
    const size_t rows[] = {need->images, need->tangents, need->backward ? need->images : 0};
    size_t keep, scratch;
    VPSDE_TRY(plan_keeps(&keep, &scratch, ws));
    ws->bytes = (keep + scratch) * sizeof(float);
    for (size_t i = 0; i < 3; i++) {
        if (rows[i] == 0) continue;
        VPSDE_TRY(plan_arena(arena[i], ws->graph, kind[i], rows[i]));
        ws->bytes += arena[i]->floats * sizeof(float);
    }
    VPSDE_TRY(vpsde_file_budget(ws->bytes, "network"));
    for (size_t i = 0; i < 3; i++) {
        if (rows[i] == 0) continue;
        VPSDE_TRY(vpsde_alloc(&arena[i]->memory, arena[i]->floats, sizeof(float)));
    }
    if (graph_has_tape(need)) VPSDE_TRY(vpsde_alloc(&ws->keep, keep, sizeof(float)));
    return vpsde_alloc(&ws->scratch, scratch, sizeof(float));
}

static vpsde_status make_layers(vpsde_graph_workspace *ws)
{
    const vpsde_graph *const graph = ws->graph;
    const vpsde_graph_need *const need = &ws->need;
    const size_t n = need->images > need->tangents ? need->images : need->tangents;
    VPSDE_TRY(vpsde_alloc(&ws->layer_ws, graph->n_nodes, sizeof(*ws->layer_ws)));
    for (size_t l = 0; l < graph->n_nodes; l++) {
        const vpsde_layer *const layer = &graph->node[l].layer;
        if (!layer->type->workspace_create) continue;
        const vpsde_status status =
            layer->type->workspace_create(&ws->layer_ws[l], layer, n, need->backward);
        if (status != VPSDE_OK) {
            ws->layer_ws[l] = NULL;
            return vpsde_fail_in(status, "layer %zu (%s)", l, layer->type->name);
        }
    }
    return VPSDE_OK;
}

static vpsde_status fill(vpsde_graph_workspace *ws)
{
    const vpsde_graph *const graph = ws->graph;
    const vpsde_graph_need *const need = &ws->need;
    VPSDE_TRY(make_memory(ws));
    VPSDE_TRY(vpsde_alloc(&ws->label, need->images, sizeof(*ws->label)));
    VPSDE_TRY(vpsde_alloc(&ws->classes, need->images, sizeof(*ws->classes)));
    VPSDE_TRY(vpsde_alloc(&ws->written, graph->n_tensors, sizeof(*ws->written)));
    return make_layers(ws);
}

vpsde_status vpsde_graph_workspace_create(vpsde_graph_workspace **out, const vpsde_graph *graph,
                                          const vpsde_graph_need *need)
{
    if (!graph->finished || need->images == 0) {
        return vpsde_fail(VPSDE_EINVAL, "workspace of %zu images for a network%s: need at least 1",
                          need->images, graph->finished ? "" : " that is not finished");
    }
    vpsde_graph_workspace *ws;
    VPSDE_TRY(vpsde_alloc(&ws, 1, sizeof(*ws)));
    ws->graph = graph;
    ws->need = *need;
    ws->n_threads = vpsde_team_threads();
    ws->spins = vpsde_threads_spin();
    const vpsde_status status = fill(ws);
    if (status != VPSDE_OK) {
        vpsde_graph_workspace_destroy(ws);
        return status;
    }
    *out = ws;
    return VPSDE_OK;
}

static void free_arena(graph_arena *arena)
{
    free(arena->memory);
    free(arena->offset);
}

void vpsde_graph_workspace_destroy(vpsde_graph_workspace *ws)
{
    if (!ws) return;
    for (size_t l = 0; ws->layer_ws && l < ws->graph->n_nodes; l++) {
        const vpsde_layer_type *const type = ws->graph->node[l].layer.type;
        if (ws->layer_ws[l] && type->workspace_destroy) type->workspace_destroy(ws->layer_ws[l]);
    }
    free_arena(&ws->value);
    free_arena(&ws->tangent);
    free_arena(&ws->gradient);
    free(ws->label);
    free(ws->classes);
    free(ws->written);
    free(ws->keep);
    free(ws->keep_offset);
    free(ws->scratch);
    free(ws->layer_ws);
    free(ws);
}

size_t vpsde_graph_workspace_bytes(const vpsde_graph_workspace *ws) { return ws->bytes; }
