/* Order of values, and what it is for: optimal transport in one dimension. */
#ifndef VPSDE_ANALYSIS_ORDER_H
#define VPSDE_ANALYSIS_ORDER_H

#include <stddef.h>
#include <stdint.h>

#include <vpsde/status.h>

/* order (n): the rows by ascending value, equal ones as they come. n below 2^32, no NaN. */
vpsde_status vpsde_order(uint32_t *order, const double *value, size_t n);

/* Optimal transport between x and y (n each) for the cost |x - y|^power, power 1 or 2: adds to term[i]
 * `scale` times the dual potentials u(x_i) + v(y_i), whose mean is the cost. To first order the cost
 * of resampled rows is the mean of their terms. The potentials are the middle of those that are
 * feasible. */
vpsde_status vpsde_transport(double *term, const double *x, const double *y, size_t n, int power,
                             double scale);

#endif
