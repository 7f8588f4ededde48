/* The linear assignment problem, exactly. */
#ifndef VPSDE_ANALYSIS_ASSIGNMENT_H
#define VPSDE_ANALYSIS_ASSIGNMENT_H

#include <stddef.h>

#include <vpsde/status.h>

/* partner (n) <- the permutation pi with the smallest sum of cost[i, pi(i)], cost (n, n). With it come
 * prices that prove it: row_price[i] + column_price[j] <= cost[i, j] to rounding, with equality on the
 * pairs. O(n^3). ENUMERIC for a cost that is not finite. */
vpsde_status vpsde_assignment(size_t n, const double *cost, size_t *partner, double *row_price,
                              double *column_price);

#endif
