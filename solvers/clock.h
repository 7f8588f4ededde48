/* How far a step goes on the b axis. */
#ifndef VPSDE_SOLVERS_CLOCK_H
#define VPSDE_SOLVERS_CLOCK_H

#include <vpsde/process.h>

/* b_k - b_{k+1} > 0: the exact length of the step on the clock of the OU process. */
double vpsde_stride_b(const vpsde_coef *at, const vpsde_coef *next);

/* beta(t_k) (t_k - t_{k+1}): the same to first order, as textbooks discretise. */
double vpsde_stride_t(const vpsde_coef *at, const vpsde_coef *next);

/* B = 1 - alpha_k^2 / alpha_{k+1}^2 = -expm1(-(b_k - b_{k+1})): beta_i of any stride. */
double vpsde_stride_beta(const vpsde_coef *at, const vpsde_coef *next);

#endif
