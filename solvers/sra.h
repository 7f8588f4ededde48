/* Stochastic Runge-Kutta methods for additive noise (Roessler 2010, SIAM J. Numer. Anal. 48,
 * section 6.4): for dx = f(x, u) du + g(u) dw and a step h,
 *     H_i = x + h sum_j a_ij f(H_j, u + c0_j h) + sum_j b_ij g(u + c1_j h) I10/h,
 *     x'  = x + h sum_i alpha_i f(H_i, u + c0_i h)
 *             + sum_i (beta1_i I1 + beta2_i I10/h) g(u + c1_i h),
 * I1 = W and I10/h = W/2 + H with the step's increment W and space-time Levy area H. */
#ifndef VPSDE_SOLVERS_SRA_H
#define VPSDE_SOLVERS_SRA_H

#include <vpsde/solver.h>

enum { VPSDE_SRA_STAGES = 3, VPSDE_SRA_SCRATCH = VPSDE_SRA_STAGES + 3 };

typedef struct vpsde_sra {
    size_t stages;
    double alpha[VPSDE_SRA_STAGES], beta1[VPSDE_SRA_STAGES], beta2[VPSDE_SRA_STAGES];
    double a[VPSDE_SRA_STAGES][VPSDE_SRA_STAGES], b[VPSDE_SRA_STAGES][VPSDE_SRA_STAGES];
    double c0[VPSDE_SRA_STAGES], c1[VPSDE_SRA_STAGES];
} vpsde_sra;

/* The clock of the reverse SDE: b has f = x/2 + s, g = 1; t has f = beta (x/2 + s), g =
 * sqrt(beta). */
typedef enum vpsde_sra_clock { VPSDE_SRA_CLOCK_B, VPSDE_SRA_CLOCK_T } vpsde_sra_clock;

/* One step in VPSDE_SRA_SCRATCH buffers; to sigma = 0 it is x' = x0hat with one network call. */
vpsde_status vpsde_sra_step(vpsde_step *s, const vpsde_sra *method, vpsde_sra_clock clock);

extern const vpsde_param vpsde_sra_params[]; /* the clock */
/* In t the strong order is 1. */
void vpsde_sra_orders(const double *param, vpsde_orders *order, vpsde_orders *claimed);

extern const vpsde_sra vpsde_sra1, vpsde_sra3, vpsde_sra3_flipped;

#endif
