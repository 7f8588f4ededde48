/* UNet2DModel of diffusers on images (channel, row, column): eps(x, t, class).
 *
 * Ho et al. 2020 (arXiv:2006.11239, app. B), its names and options those of diffusers; the layers are in
 * models/unet_build.c. At the door x becomes float32, channels last, and 2 x - 1 where the network asks
 * for it; a network with Fourier times returns its output divided by the time (NCSN++ of Song et al.
 * 2021, arXiv:2011.13456). Twice as many output channels as input channels: the second half is v of
 * log variance = (v + 1)/2 of the way from the posterior's to the forward step's (Nichol & Dhariwal
 * 2021, arXiv:2102.09672, eq. (15), with v in [-1, 1] as their code has it). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "models/model.h"
#include "models/unet_net.h"

enum { TANGENTS = 16 }; /* images x tangents of one pass, which bounds the memory */

typedef struct workspace {
    vpsde_graph_workspace *graph;
    unet_times times;
} workspace;

static void destroy(void *impl)
{
    unet *const net = impl;
    if (!net) return;
    vpsde_graph_destroy(net->graph);
    free(net);
}

static const vpsde_model_type ranged;

/* Every layer is about as large as some kernel that is known here to be in the file. */
static vpsde_status check_levels(const vpsde_unet_spec *spec, const vpsde_unet_store *store)
{
    size_t in = spec->block_out_channels[0];
    for (size_t level = 0; level < spec->n_levels; level++) {
        const size_t out = spec->block_out_channels[level];
        vpsde_parameter kernel = {.rank = 4, .dims = {out, in, 3, 3}};
        (void)snprintf(kernel.name, sizeof(kernel.name), "down_blocks.%zu.resnets.0.conv1.weight",
                       level);
        VPSDE_TRY(store->read(store->files, &kernel, NULL));
        in = out;
    }
    return VPSDE_OK;
}

static vpsde_status read_parameters(const vpsde_graph *graph, const vpsde_unet_store *store)
{
    const vpsde_parameter *p;
    for (size_t i = 0; (p = vpsde_graph_parameter(graph, i)) != NULL; i++) {
        VPSDE_TRY(store->read(store->files, p, vpsde_graph_parameters(graph) + p->offset));
    }
    return VPSDE_OK;
}

vpsde_status vpsde_unet_wrap(vpsde_model **out, const vpsde_unet_spec *spec,
                             const vpsde_unet_store *store)
{
    unet *net;
    *out = NULL;
    if (store) VPSDE_TRY(check_levels(spec, store));
    VPSDE_TRY(vpsde_alloc(&net, 1, sizeof(*net)));
    net->spec = *spec;
    vpsde_status status = vpsde_unet_build(&net->graph, spec, store);
    if (status == VPSDE_OK && store) status = read_parameters(net->graph, store);
    if (status != VPSDE_OK) {
        destroy(net);
        return status;
    }
    const bool range = spec->out_channels > spec->in_channels;
    const size_t dim = spec->in_channels * spec->height * spec->width;
    VPSDE_TRY(vpsde_model_wrap(out, range ? &ranged : &vpsde_model_unet, dim, net));
    vpsde_model *const model = *out;
    model->rank = 3;
    model->shape[0] = spec->in_channels;
    model->shape[1] = spec->height;
    model->shape[2] = spec->width;
    model->n_classes = spec->num_class_embeds - (spec->null_class ? 1 : 0);
    model->n_parameters = vpsde_graph_n_parameters(net->graph);
    model->block_rows = UNET_ROWS;
    return VPSDE_OK;
}

vpsde_status vpsde_unet_create(vpsde_model **out, const vpsde_unet_spec *spec, uint64_t seed)
{
    VPSDE_TRY(vpsde_unet_wrap(out, spec, NULL));
    vpsde_unet_init(*out, seed);
    const vpsde_status status = vpsde_unet_ready(*out);
    if (status != VPSDE_OK) {
        vpsde_model_destroy(*out);
        *out = NULL;
    }
    return status;
}

vpsde_graph *vpsde_unet_graph(const vpsde_model *model)
{
    const unet *const net = model->impl;
    return net->graph;
}

vpsde_status vpsde_unet_ready(vpsde_model *model)
{
    return vpsde_graph_pack(vpsde_unet_graph(model), false);
}

static vpsde_status set_compute(vpsde_model *model, vpsde_compute compute)
{
    vpsde_graph_set_bf16(vpsde_unet_graph(model), compute == VPSDE_COMPUTE_BF16);
    return vpsde_unet_ready(model);
}

static double flops(const vpsde_model *model) { return vpsde_graph_flops(vpsde_unet_graph(model)); }

const vpsde_unet_spec *vpsde_unet_get_spec(const vpsde_model *model)
{
    const unet *const net = model->impl;
    return &net->spec;
}

vpsde_status vpsde_unet_classes(unet_times *times, const unet *net, const int32_t *classes,
                                size_t n)
{
    const vpsde_unet_spec *const spec = &net->spec;
    const size_t n_classes = spec->num_class_embeds - (spec->null_class ? 1 : 0);
    for (size_t i = 0; i < n; i++) {
        const int32_t class = classes ? classes[i] : -1;
        if (class < -1 || (int64_t) class >= (int64_t)n_classes) {
            return vpsde_fail(VPSDE_EINVAL, "unet: has %zu classes, but a row is of class %d",
                              n_classes, (int)class);
        }
        if (class < 0 && spec->num_class_embeds > 0 && !spec->null_class) {
            return vpsde_fail(VPSDE_EINVAL,
                              "unet: was made without a null class, so every row needs one of its "
                              "%zu classes",
                              n_classes);
        }
        times->classes[i] = class < 0 ? (int32_t)n_classes : class;
    }
    return VPSDE_OK;
}

vpsde_graph_times vpsde_unet_graph_times(const unet_times *times, const unet *net, bool shared)
{
    return (vpsde_graph_times){.label = times->label,
                               .classes = net->spec.num_class_embeds ? times->classes : NULL,
                               .shared = shared};
}

static void workspace_destroy(void *ws)
{
    workspace *const w = ws;
    if (!w) return;
    vpsde_graph_workspace_destroy(w->graph);
    free(w);
}

static vpsde_status workspace_create(void **out, const vpsde_model *model, size_t rows,
                                     size_t tangents)
{
    workspace *w;
    vpsde_graph_need need = {.images = rows < UNET_ROWS ? rows : UNET_ROWS};
    need.tangents = tangents < TANGENTS ? need.images * tangents : TANGENTS;
    if (need.tangents > TANGENTS) need.tangents = TANGENTS;
    *out = NULL;
    VPSDE_TRY(vpsde_alloc(&w, 1, sizeof(*w)));
    const vpsde_status status =
        vpsde_graph_workspace_create(&w->graph, vpsde_unet_graph(model), &need);
    if (status != VPSDE_OK) {
        workspace_destroy(w);
        return status;
    }
    *out = w;
    return VPSDE_OK;
}

/* to (pixels, channels) = a from + b, from (d) in the order (channel, row, column) */
static void image_of(float *to, const double *from, const vpsde_model *model, double a, double b)
{
    const size_t channels = model->shape[0], pixels = model->dim / channels;
    for (size_t c = 0; c < channels; c++) {
        for (size_t p = 0; p < pixels; p++) {
            to[p * channels + c] = (float)(a * from[c * pixels + p] + b);
        }
    }
}

/* to (d) = a from + b, of the channels `first` to first + channels of an image of the network */
static void row_of(double *to, const float *from, size_t first, const vpsde_model *model, double a,
                   double b)
{
    const size_t channels = model->shape[0], pixels = model->dim / channels;
    const size_t wide = vpsde_unet_get_spec(model)->out_channels;
    for (size_t c = 0; c < channels; c++) {
        for (size_t p = 0; p < pixels; p++) {
            to[c * pixels + p] = a * (double)from[p * wide + first + c] + b;
        }
    }
}

/* deps (n, k, d) of the n images of the last pass, at most TANGENTS of them together: several images
 * with all their tangents, or some tangents of one. */
static vpsde_status tangents(const vpsde_model *model, workspace *w, const vpsde_eval *e,
                             size_t first, size_t n)
{
    const unet *const net = model->impl;
    const size_t d = model->dim, wide = net->spec.out_channels * (d / net->spec.in_channels);
    const size_t images = e->k < TANGENTS ? TANGENTS / e->k : 1;
    const size_t depth = e->k < TANGENTS ? e->k : TANGENTS;
    for (size_t i = 0; i < n; i += images) {
        const size_t rows = n - i < images ? n - i : images;
        for (size_t m = 0; m < e->k; m += depth) {
            const size_t k = e->k - m < depth ? e->k - m : depth;
            const size_t at = (first + i) * e->k + m; /* rows == 1 wherever m > 0 */
            for (size_t q = 0; q < rows * k; q++) {
                image_of(vpsde_graph_din(w->graph) + q * d, e->dx + (at + q) * d, model,
                         unet_slope_of(net), 0);
            }
            VPSDE_TRY(vpsde_graph_jvp(net->graph, w->graph, i, rows, k));
            for (size_t q = 0; q < rows * k; q++) {
                const double label = w->times.label[e->coef_stride ? i + q / k : 0];
                row_of(e->deps + (at + q) * d, vpsde_graph_dout(w->graph) + q * wide, 0, model,
                       unet_over_time(net, label), 0);
            }
        }
    }
    return VPSDE_OK;
}

/* Rows first to first + n - 1, at most UNET_ROWS of them. */
static vpsde_status pass(const vpsde_model *model, workspace *w, const vpsde_eval *e, size_t first,
                         size_t n)
{
    const unet *const net = model->impl;
    const size_t d = model->dim, wide = net->spec.out_channels * (d / net->spec.in_channels);
    for (size_t i = 0; i < n; i++) {
        w->times.label[i] = e->coef[(first + i) * e->coef_stride].label;
        image_of(vpsde_graph_in(w->graph) + i * d, e->x + (first + i) * d, model,
                 unet_slope_of(net), unet_offset_of(net));
    }
    VPSDE_TRY(vpsde_unet_classes(&w->times, net, e->classes ? e->classes + first : NULL, n));
    const vpsde_graph_times times = vpsde_unet_graph_times(&w->times, net, e->coef_stride == 0);
    VPSDE_TRY(vpsde_graph_forward(net->graph, w->graph, n, &times));
    for (size_t i = 0; i < n; i++) {
        const float *const out = vpsde_graph_out(w->graph) + i * wide;
        row_of(e->eps + (first + i) * d, out, 0, model, unet_over_time(net, w->times.label[i]), 0);
        if (e->range) row_of(e->range + (first + i) * d, out, model->shape[0], model, 0.5, 0.5);
    }
    return e->k > 0 ? tangents(model, w, e, first, n) : VPSDE_OK;
}

static vpsde_status eval(const vpsde_model *model, void *ws, const vpsde_eval *e)
{
    for (size_t first = 0; first < e->n; first += UNET_ROWS) {
        const size_t n = e->n - first < UNET_ROWS ? e->n - first : UNET_ROWS;
        VPSDE_TRY(pass(model, ws, e, first, n));
    }
    return VPSDE_OK;
}

#define COMMON                                                                                     \
    .name = "unet", .source = "Ho et al. 2020 (arXiv:2006.11239); UNet2DModel of diffusers 0.30",  \
    .doc = "U-Net on images with diffusers' names: residual blocks, attention, classes.",          \
    .configure = vpsde_unet_configure, .load = vpsde_unet_load, .destroy = destroy,                \
    .workspace_create = workspace_create, .workspace_destroy = workspace_destroy, .eval = eval,    \
    .set_compute = set_compute, .flops = flops, .describe = vpsde_unet_describe

const vpsde_model_type vpsde_model_unet = {
    COMMON,
    .flags = VPSDE_MODEL_JVP | VPSDE_MODEL_TRAINABLE | VPSDE_MODEL_ANY_ROWS,
    .trainer = &vpsde_unet_trainer,
};

/* With variances beside; not to be trained here. */
static const vpsde_model_type ranged = {
    COMMON,
    .flags = VPSDE_MODEL_JVP | VPSDE_MODEL_ANY_ROWS | VPSDE_MODEL_RANGE,
};
