/* x0' = clip(x0hat), eps' = (x - alpha x0')/sigma.
 *   static:  clip to [low, high] (Ho et al. 2020, arXiv:2006.11239, published code)
 *   dynamic: s = max(min, quantile_p |x0hat|) over the sample's components, clip to [-s, s], divide
 *            by s (Saharia et al. 2022, arXiv:2205.11487, section 2.3); quantiles interpolate
 *            between order statistics linearly, as numpy's and PyTorch's do. */
#include "solvers/clip.h"

#include <math.h>

#include "core/vec.h"

vpsde_status vpsde_clip_check(const vpsde_clip *clip)
{
    if (clip->kind == VPSDE_CLIP_STATIC &&
        !(clip->low < clip->high && isfinite(clip->low) && isfinite(clip->high))) {
        return vpsde_fail(VPSDE_EINVAL, "clip: must be [low, high] with low < high, got [%g, %g]",
                          clip->low, clip->high);
    }
    if (clip->kind == VPSDE_CLIP_DYNAMIC && !(clip->quantile > 0 && clip->quantile <= 1)) {
        return vpsde_fail(VPSDE_EINVAL, "dynamic_threshold: quantile must be in (0, 1], got %g",
                          clip->quantile);
    }
    if (clip->kind == VPSDE_CLIP_DYNAMIC && !(clip->min > 0 && isfinite(clip->min))) {
        return vpsde_fail(VPSDE_EINVAL, "dynamic_threshold: min must be positive, got %g",
                          clip->min);
    }
    return VPSDE_OK;
}

static void swap(double *a, double *b)
{
    const double held = *a;
    *a = *b;
    *b = held;
}

/* Hoare's quickselect: v[k] is the k-th smallest, what follows is no smaller. */
static void select_kth(double *v, size_t n, size_t k)
{
    size_t low = 0, high = n - 1;
    while (low < high) {
        const double pivot = v[low + (high - low) / 2];
        size_t i = low, j = high;
        for (;;) {
            while (v[i] < pivot) i++;
            while (v[j] > pivot) j--;
            if (i >= j) break;
            swap(&v[i++], &v[j--]);
        }
        if (k <= j) {
            high = j;
        } else {
            low = j + 1;
        }
    }
}

/* Of the n values v, which change places. */
static double quantile_of(double *v, size_t n, double p)
{
    const double at = p * (double)(n - 1);
    const size_t k = (size_t)at;
    select_kth(v, n, k);
    if (k + 1 >= n) return v[k];
    double next = v[k + 1];
    for (size_t j = k + 2; j < n; j++) next = fmin(next, v[j]);
    return v[k] + (at - (double)k) * (next - v[k]);
}

static double threshold(const vpsde_clip *clip, size_t d, const double *x0, double *size)
{
    for (size_t j = 0; j < d; j++) size[j] = fabs(x0[j]);
    return fmax(clip->min, quantile_of(size, d, clip->quantile));
}

void vpsde_clip_row(const vpsde_clip *clip, const vpsde_coef *c, size_t d, const double *x,
                    double *eps, double *scratch)
{
    const bool dynamic = clip->kind == VPSDE_CLIP_DYNAMIC;
    double *x0 = scratch, low = clip->low, high = clip->high, scale = 1;
    if (clip->kind == VPSDE_CLIP_NONE || !(c->sigma > 0)) return;
    vec_lin2(d, x0, 1 / c->alpha, x, -c->sigma / c->alpha, eps);
    if (!vec_is_finite(d, x0)) return;
    if (dynamic) {
        high = scale = threshold(clip, d, x0, scratch + d);
        low = -high;
    }
    for (size_t j = 0; j < d; j++) {
        if (scale == 1 && x0[j] >= low && x0[j] <= high) continue;
        const double kept = x0[j] < low ? low : x0[j] > high ? high : x0[j];
        eps[j] = (x[j] - c->alpha * (kept / scale)) / c->sigma;
    }
}
