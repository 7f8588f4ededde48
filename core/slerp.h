/* Spherical interpolation. */
#ifndef VPSDE_CORE_SLERP_H
#define VPSDE_CORE_SLERP_H

#include <stddef.h>

/* out (d): the point at weight w in [0, 1] of the way from a to b along the great circle through
 * both,
 *     |out| u,   u = [sin((1 - w) theta) a/|a| + sin(w theta) b/|b|]/sin theta,
 * theta the angle between them (Shoemake 1985; Song et al. 2020, arXiv:2010.02502, appendix D.5),
 * the norm changing linearly. a and b themselves at w = 0 and 1. Where they are parallel or one of
 * them is 0: the straight line; where they are opposite: by way of an axis at right angles, the
 * nearest of the coordinate axes made so. out may be neither a nor b. */
void vpsde_slerp(size_t d, double *out, const double *a, const double *b, double w);

#endif
