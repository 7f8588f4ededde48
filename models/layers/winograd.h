/* 3x3 convolution with stride 1 and one row of zeros around, channels last, by Winograd's minimal
 * filtering F(2x2, 3x3):
 *
 *   Y = A^T [ (G g G^T) . (B^T d B) ] A      for each 2x2 tile of outputs, d its 4x4 of inputs
 *
 * Lavin & Gray 2016 (arXiv:1509.09308), eqs. (7), (8). The sum over channels turns each of the 16
 * products into a matrix product over many tiles: 4 multiplications an output where the direct form
 * takes 9. After nearest-neighbour doubling d is (a, b, b, c) in each direction, so that B^T d =
 * (a - b, 2 b, 0, b - c): 9 products are left, 2.25 an output.
 *
 * The transforms only add; the rounding error is about twice the direct form's. */
#ifndef VPSDE_MODELS_LAYERS_WINOGRAD_H
#define VPSDE_MODELS_LAYERS_WINOGRAD_H

#include <stdbool.h>
#include <stddef.h>

#include <vpsde/status.h>

typedef struct vpsde_winograd {
    size_t height, width; /* of the input, before doubling */
    size_t in[2];         /* channels of x and of x2; 0: no x2 */
    size_t out;
    bool doubled; /* the output has twice the sides */
} vpsde_winograd;

/* Whether it is faster than oneDNN's direct convolution: enough channels on both sides, enough pixels. */
bool vpsde_winograd_pays(const vpsde_winograd *w);

/* Floats of the transformed weights u. */
size_t vpsde_winograd_weights(const vpsde_winograd *w);
/* u from weight (out, in[0] + in[1], 3, 3). */
void vpsde_winograd_pack(const vpsde_winograd *w, float *u, const float *weight);
/* weight gradient (out, in[0] + in[1], 3, 3) += what the gradient gu with respect to u means for it. */
void vpsde_winograd_unpack(const vpsde_winograd *w, float *gradient, const float *gu);

/* Floats of scratch a call of either kind needs. */
size_t vpsde_winograd_scratch(const vpsde_winograd *w);

/* out = scale (conv([x, x2]) + bias + residual) of one image, whose bits are its own for any number of
 * threads. */
typedef struct vpsde_winograd_call {
    const float *u;
    const float *x[2];     /* (height, width, in[s]); NULL: zero */
    const float *bias;     /* (out) or NULL */
    const float *residual; /* like out, or NULL */
    float scale;
    float *out;
    float *scratch;
} vpsde_winograd_call;
vpsde_status vpsde_winograd_forward(const vpsde_winograd *w, const vpsde_winograd_call *c);

/* The transpose, of n images: gx[s] += its gradient, gu += that of u. Either may be NULL. Bits depend on n,
 * not on threads. */
typedef struct vpsde_winograd_back {
    size_t n;
    const float *u;    /* for gx */
    const float *x[2]; /* (n, height, width, in[s]) for gu */
    const float *gout; /* (n, ...) */
    float scale;
    float *gx[2];
    float *gu;
    float *scratch;
} vpsde_winograd_back;
vpsde_status vpsde_winograd_backward(const vpsde_winograd *w, const vpsde_winograd_back *c);

#endif
