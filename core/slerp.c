#include "core/slerp.h"

#include <math.h>

#include "core/vec.h"

/* Nearer than this to 0 or pi, in radians, the sine of the angle carries too few digits. */
static const double close_angle = 1e-7;

static double norm(size_t d, const double *x) { return sqrt(vec_dot(d, x, x)); }

/* 2 atan2(|u - v|, |u + v|) of the unit vectors: accurate at every angle (Kahan 2006). */
static double angle(size_t d, const double *a, double norm_a, const double *b, double norm_b)
{
    double minus = 0, plus = 0;
    for (size_t j = 0; j < d; j++) {
        const double u = a[j] / norm_a, v = b[j] / norm_b;
        minus += (u - v) * (u - v);
        plus += (u + v) * (u + v);
    }
    return 2 * atan2(sqrt(minus), sqrt(plus));
}

/* out = cos(theta) u + sin(theta) e, u = a/|a|, e the unit vector along the axis where |u_j| is
 * least, less its share of u. */
static void turn(size_t d, double *out, const double *a, double norm_a, double theta)
{
    size_t axis = 0;
    for (size_t j = 1; j < d; j++) {
        if (fabs(a[j]) < fabs(a[axis])) axis = j;
    }
    const double share = a[axis] / norm_a, length = sqrt(fmax(1 - share * share, 0));
    const double on_e = length > 0 ? sin(theta) / length : 0; /* one dimension: through 0 */
    vec_scale(d, out, (cos(theta) - on_e * share) / norm_a, a);
    out[axis] += on_e;
}

void vpsde_slerp(size_t d, double *out, const double *a, const double *b, double w)
{
    const double norm_a = norm(d, a), norm_b = norm(d, b);
    const double r = (1 - w) * norm_a + w * norm_b;
    const double theta = norm_a > 0 && norm_b > 0 ? angle(d, a, norm_a, b, norm_b) : 0;
    const double pi = 3.14159265358979323846;
    if (w <= 0 || w >= 1) {
        vec_copy(d, out, w <= 0 ? a : b);
    } else if (theta < close_angle) {
        vec_lin2(d, out, 1 - w, a, w, b);
    } else if (pi - theta < close_angle) {
        turn(d, out, a, norm_a, w * theta);
        vec_scale(d, out, r, out);
    } else {
        const double s = r / sin(theta);
        vec_lin2(d, out, s * sin((1 - w) * theta) / norm_a, a, s * sin(w * theta) / norm_b, b);
    }
}
