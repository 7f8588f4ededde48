#include "models/layers/narrow.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "core/parallel.h"
#include "models/layers/linear.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

enum { LANES = 8, GROUP = 8, FLOATS_MAX = 1 << 20 };

#if defined(__x86_64__)

static bool has_chain(void)
{
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
}

/* y[0 .. 8 groups) = sum_k t[k, :] x[k], k ascending */
__attribute__((target("avx2,fma"), always_inline)) static inline void
group(size_t groups, size_t in, size_t width, const float *t, const float *x, float *y)
{
    __m256 sum[GROUP];
    for (size_t g = 0; g < groups; g++) sum[g] = _mm256_setzero_ps();
    for (size_t k = 0; k < in; k++) {
        const __m256 xk = _mm256_broadcast_ss(x + k);
        for (size_t g = 0; g < groups; g++) {
            sum[g] = _mm256_fmadd_ps(_mm256_loadu_ps(t + k * width + LANES * g), xk, sum[g]);
        }
    }
    for (size_t g = 0; g < groups; g++) _mm256_storeu_ps(y + LANES * g, sum[g]);
}

__attribute__((target("avx2,fma"))) static void chain(const vpsde_narrow *n, const float *x,
                                                      float *y)
{
    size_t o = 0;
    for (; o + (size_t)LANES * GROUP <= n->width; o += (size_t)LANES * GROUP) {
        group(GROUP, n->in, n->width, n->transposed + o, x, y + o);
    }
    for (; o < n->width; o += LANES) group(1, n->in, n->width, n->transposed + o, x, y + o);
}

#else

static bool has_chain(void) { return false; }
static void chain(const vpsde_narrow *n, const float *x, float *y) { (void)n, (void)x, (void)y; }

#endif

static vpsde_status padded(const vpsde_narrow *n, const float *x, float *y)
{
    for (size_t k = 0; k < n->in; k++) n->x[k * VPSDE_COLUMN_STEP] = x[k];
    VPSDE_TRY(vpsde_linear(n->out, n->in, VPSDE_COLUMN_STEP, n->w, n->x, n->y));
    for (size_t o = 0; o < n->out; o++) y[o] = n->y[o * VPSDE_COLUMN_STEP];
    return VPSDE_OK;
}

vpsde_status vpsde_narrow_product(const vpsde_narrow *n, const float *x, float *y)
{
    if (!n->transposed) return padded(n, x, y);
    chain(n, x, y);
    return VPSDE_OK;
}

/* Both ways on numbers with full mantissas; `column` (in) and `result` (width) are scratch. Leaves
 * n->x zeroed, as padded() needs it. */
static vpsde_status compare(bool *same, const vpsde_narrow *n, float *column, float *result)
{
    *same = true;
    for (size_t e = 0; e < n->in * VPSDE_COLUMN_STEP; e++) n->x[e] = sinf((float)(e + 1));
    VPSDE_TRY(vpsde_linear(n->out, n->in, VPSDE_COLUMN_STEP, n->w, n->x, n->y));
    for (size_t i = 0; i < VPSDE_COLUMN_STEP; i++) {
        for (size_t k = 0; k < n->in; k++) column[k] = n->x[k * VPSDE_COLUMN_STEP + i];
        chain(n, column, result);
        for (size_t o = 0; o < n->out; o++) {
            *same = *same && result[o] == n->y[o * VPSDE_COLUMN_STEP + i];
        }
    }
    memset(n->x, 0, n->in * VPSDE_COLUMN_STEP * sizeof(*n->x));
    return VPSDE_OK;
}

static vpsde_status try_chain(vpsde_narrow *n)
{
    bool same = false;
    float *column;
    VPSDE_TRY(vpsde_alloc(&n->transposed, n->in * n->width, sizeof(float)));
    for (size_t o = 0; o < n->out; o++) {
        for (size_t k = 0; k < n->in; k++) n->transposed[k * n->width + o] = n->w[o * n->in + k];
    }
    VPSDE_TRY(vpsde_alloc(&column, n->in + n->width, sizeof(float)));
    const vpsde_status status = compare(&same, n, column, column + n->in);
    free(column);
    if (!same) {
        free(n->transposed);
        n->transposed = NULL;
    }
    return status;
}

vpsde_status vpsde_narrow_init(vpsde_narrow *n, size_t out, size_t in, const float *w)
{
    *n = (vpsde_narrow){.out = out, .in = in, .width = (out + LANES - 1) / LANES * LANES, .w = w};
    VPSDE_TRY(vpsde_alloc(&n->x, in * VPSDE_COLUMN_STEP, sizeof(float)));
    VPSDE_TRY(vpsde_alloc(&n->y, out * VPSDE_COLUMN_STEP, sizeof(float)));
    if (!has_chain() || n->width * in > FLOATS_MAX) return VPSDE_OK;
    const int saved = vpsde_serial_begin();
    const vpsde_status status = try_chain(n);
    vpsde_serial_end(saved);
    return status;
}

void vpsde_narrow_fini(vpsde_narrow *n)
{
    free(n->transposed);
    free(n->x);
    free(n->y);
}
