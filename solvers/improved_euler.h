/* The stochastic improved Euler pair of "Gotta Go Fast", one attempt of a walk. */
#ifndef VPSDE_SOLVERS_IMPROVED_EULER_H
#define VPSDE_SOLVERS_IMPROVED_EULER_H

#include "solvers/walk.h"

/* With F = x/2 - eps/sigma, x' = x + on_f[0] F(x) + on_z[0] z and
 * x~ = x + on_f[1] F(x') + on_z[1] z: weights of a step's two ends. */
typedef struct vpsde_euler_pair {
    double on_f[2], on_z[2];
} vpsde_euler_pair;

enum { VPSDE_EULER_PAIR_BUFFERS = 2 };

/* low = x', high = (x' + x~)/2. eps of x' at `to` is left in `eps_1` (d), which the next needs. */
vpsde_status vpsde_euler_pair_attempt(vpsde_walk *w, const vpsde_coef *from, const vpsde_coef *to,
                                      const vpsde_euler_pair *p, const double *z, double *eps_1);

/* The drift of that step at share u of its length, without noise:
 *     out = x + u on_f[0] F(x) + (u^2/2) (on_f[1] F(x') - on_f[0] F(x)),
 * which ends in `high` where the noise is added. */
void vpsde_euler_pair_drift(const vpsde_walk *w, const vpsde_coef *from, const vpsde_coef *to,
                            const vpsde_euler_pair *p, double u, const double *eps_1, double *out);

/* Rows of the parameter table: THETA, POWER, H0, then max_steps. */
enum { VPSDE_EULER_PAIR_THETA, VPSDE_EULER_PAIR_POWER, VPSDE_EULER_PAIR_H0 };
extern const vpsde_param vpsde_euler_pair_params[];

#endif
