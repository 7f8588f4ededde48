/* What group normalisation's forward half and its derivatives share.
 *
 * An image's pixels are cut into slices of SLICE, whose sums are folded in order, so that threads may
 * take slices without changing a bit. */
#ifndef VPSDE_MODELS_LAYERS_NORM_IMPL_H
#define VPSDE_MODELS_LAYERS_NORM_IMPL_H

#include "models/layers/norm.h"
#include "models/layers/norm_kernel.h"

enum { VPSDE_NORM_SLICE = 64, VPSDE_NORM_STRANDS = 8 };

typedef struct vpsde_norm {
    size_t groups;
    double eps;
    bool silu;
    size_t pixels, channels, slices;
    size_t fold;   /* pixels of a row as the loops see it; 1 beside an x2 */
    size_t width;  /* channels * fold */
    size_t padded; /* width up to a multiple of 16 */
} vpsde_norm;

/* Arrays by channel, kept from forward to the derivatives:
 * xhat = (x - centre) rstd + rest, u = (x - centre) gain + offset, where the rest makes up for the
 * rounding of the centre, which matters where the mean is many deviations. */
enum {
    VPSDE_NORM_CENTRE,
    VPSDE_NORM_RSTD,
    VPSDE_NORM_REST,
    VPSDE_NORM_GAIN,
    VPSDE_NORM_OFFSET,
    VPSDE_NORM_SPREAD, /* mean of the channel's xhat */
    VPSDE_NORM_KEPT
};

/* One image of a call. */
typedef struct vpsde_norm_image {
    const vpsde_layer *layer;
    const vpsde_layer_call *call;
    const vpsde_norm *own;
    size_t index;
    const float *x[2]; /* x and x2 */
    float *kept;
    float *reference;   /* (padded) */
    double *total;      /* (2, padded) */
    float *part;        /* (slices, 2, padded) sums of the slices */
    float *strand;      /* (STRANDS, 8, padded) */
    float *zero;        /* (padded) */
    float *hat, *slope; /* (pixels, channels) */
} vpsde_norm_image;

static inline const float *vpsde_norm_kept(const vpsde_norm_image *im, size_t array)
{
    return im->kept + array * im->own->padded;
}

/* `pixels` pixels of `channels` as rows. */
static inline vpsde_norm_rows vpsde_norm_rows_of(const vpsde_norm *own, size_t pixels,
                                                 size_t channels)
{
    return (vpsde_norm_rows){.rows = pixels / own->fold,
                             .width = channels * own->fold,
                             .tail = pixels % own->fold * channels};
}

static inline size_t vpsde_norm_slice_pixels(const vpsde_norm *own, size_t slice)
{
    const size_t left = own->pixels - slice * VPSDE_NORM_SLICE;
    return left < VPSDE_NORM_SLICE ? left : VPSDE_NORM_SLICE;
}

size_t vpsde_norm_scratch(const vpsde_norm *own);
void vpsde_norm_image_of(vpsde_norm_image *im, const vpsde_layer *layer,
                         const vpsde_layer_call *call, size_t index);
/* Writes the first `channels` of an array again up to its width. */
void vpsde_norm_repeat(const vpsde_norm *own, float *array);
/* Channel c's sum over its `fold` places. */
double vpsde_norm_channel(const vpsde_norm *own, const double *total, size_t c);
/* total (2, padded) of the first `slices` parts */
void vpsde_norm_totals(const vpsde_norm *own, size_t slices, const float *part, double *total);
/* out = ([x, x2] - m) a + b for `pixels` pixels from `first` on; out is the first's place. */
void vpsde_norm_map(const vpsde_norm_image *im, size_t first, size_t pixels, float *out,
                    const float *m, const float *a, const float *b);

vpsde_status vpsde_norm_jvp(const vpsde_layer *layer, void *ws, const vpsde_layer_call *call);
vpsde_status vpsde_norm_backward(const vpsde_layer *layer, void *ws, const vpsde_layer_call *call);

#endif
