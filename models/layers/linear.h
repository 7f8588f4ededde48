/* Matrix products of the networks, by oneDNN; convolutions by it are in conv_direct.h and onednn.h.
 *
 * Activations are feature-major: x is (in, columns), one column a sample, so that PyTorch's weights
 * (out, in) are used as they are and every pointwise loop runs along the samples.
 *
 * A column's bits depend on nothing but that column as long as the number of columns is a multiple
 * of VPSDE_COLUMN_STEP and at most VPSDE_COLUMNS. Measured with oneDNN 2.6.3 (SSE4.1, AVX, AVX2;
 * 18 shapes, in and out 1 to 1024): all positions, neighbours and widths 16, 32, 48, 64 agree to
 * the bit, where widths 8 and 24 differ; the row-major product with 'T' weights fails for 128 rows.
 * tests/test_layers.c repeats the check on the machine at hand. Splitting a product over threads may
 * change its last bits: callers stand between vpsde_serial_begin and vpsde_serial_end. */
#ifndef VPSDE_MODELS_LAYERS_LINEAR_H
#define VPSDE_MODELS_LAYERS_LINEAR_H

#include <stdbool.h>
#include <stddef.h>

#include <vpsde/status.h>

enum { VPSDE_COLUMNS = 64, VPSDE_COLUMN_STEP = 16 };

/* Columns of a call that carries n samples, 1 <= n <= VPSDE_COLUMNS. */
size_t vpsde_linear_columns(size_t n);

/* y (out, columns) = w (out, in) x (in, columns) */
vpsde_status vpsde_linear(size_t out, size_t in, size_t columns, const float *w, const float *x,
                          float *y);
/* dx (in, columns) = w^T dy */
vpsde_status vpsde_linear_input_gradient(size_t out, size_t in, size_t columns, const float *w,
                                         const float *dy, float *dx);
/* dw (out, in) += dy x^T */
vpsde_status vpsde_linear_weight_gradient(size_t out, size_t in, size_t columns, const float *dy,
                                          const float *x, float *dw);

/* A row-major matrix with `stride` floats from row to row, or the transpose of what lies there. */
typedef struct vpsde_matrix {
    const float *at;
    size_t stride;
    bool transposed;
} vpsde_matrix;

/* c (rows, columns; stride) = alpha a (rows, inner) b (inner, columns) + beta c. The same bits for
 * the same extents and strides. */
vpsde_status vpsde_product(size_t rows, size_t columns, size_t inner, float alpha, vpsde_matrix a,
                           vpsde_matrix b, float beta, float *c, size_t stride);

/* OK, or the first failure of n products that a team made, said again on the calling thread: its own
 * sentence may have stayed on another. `count` and `what`: "over 196 tiles". */
vpsde_status vpsde_products_check(size_t n, const vpsde_status *status, size_t count,
                                  const char *what);

/* "2.6.3", and the instruction set that its products may use here (ONEDNN_MAX_CPU_ISA lowers
 * it): "avx2". */
const char *vpsde_dnnl_version(void);
const char *vpsde_dnnl_isa(void);

#endif
