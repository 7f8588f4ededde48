/* Products with one column, y = w x: one sample, or a time shared by all, at the price of reading
 * the weights once instead of filling a wide product with zeros. Same bits as vpsde_linear.
 *
 * Each element is one chain of fused multiply-adds over k, on transposed weights. oneDNN's products
 * are the same chain for most shapes (measured: in <= 256, out > 8); init compares the two on every
 * layer's own weights and keeps the chain only where all bits agree. */
#ifndef VPSDE_MODELS_LAYERS_NARROW_H
#define VPSDE_MODELS_LAYERS_NARROW_H

#include <stdbool.h>
#include <stddef.h>

#include <vpsde/status.h>

typedef struct vpsde_narrow {
    size_t out, in, width; /* width: out rounded up to whole vectors */
    const float *w;        /* (out, in), borrowed */
    float *transposed;     /* (in, width), as w was at init; NULL: through a padded wide product */
    float *x, *y;          /* (in, step), (out, step) of that product */
} vpsde_narrow;

vpsde_status vpsde_narrow_init(vpsde_narrow *n, size_t out, size_t in, const float *w);
void vpsde_narrow_fini(vpsde_narrow *n); /* zeroed is fine */

/* y has room for out rounded up to a multiple of 8; what is beyond out is overwritten. */
vpsde_status vpsde_narrow_product(const vpsde_narrow *n, const float *x, float *y);

#endif
