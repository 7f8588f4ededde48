/* Fused vector kernels on double. Aliasing of out with any input is allowed. Element by element, in
 * a fixed order, without FMA contraction: the same bits on every x86-64. */
#ifndef VPSDE_CORE_VEC_H
#define VPSDE_CORE_VEC_H

#include <stddef.h>

/* Clones for wider vectors; bits do not change because contraction is off. Not with clang: its
 * version 14 names the dispatched symbol NAME.ifunc, which no other file can link. */
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) &&                             \
    !defined(__SANITIZE_ADDRESS__) && !defined(VPSDE_NO_CLONES)
#define VPSDE_VECTOR __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define VPSDE_VECTOR
#endif

/* Before a loop whose iterations do not depend on each other though the compiler cannot see it. */
#if defined(__clang__)
#define VPSDE_INDEPENDENT _Pragma("clang loop vectorize(assume_safety)")
#else
#define VPSDE_INDEPENDENT _Pragma("GCC ivdep")
#endif

/* out = a x */
void vec_scale(size_t count, double *out, double a, const double *x);
/* out = a x + b y */
void vec_lin2(size_t count, double *out, double a, const double *x, double b, const double *y);
/* out = a x + b y + c z */
void vec_lin3(size_t count, double *out, double a, const double *x, double b, const double *y,
              double c, const double *z);
/* out = a x + b y + c z + f w */
void vec_lin4(size_t count, double *out, double a, const double *x, double b, const double *y,
              double c, const double *z, double f, const double *w);
/* sum x_i y_i in index order, eight interleaved chains folded in a fixed order */
double vec_dot(size_t count, const double *x, const double *y);
void vec_copy(size_t count, double *out, const double *x);
/* 1 when all are finite */
int vec_is_finite(size_t count, const double *x);

#endif
