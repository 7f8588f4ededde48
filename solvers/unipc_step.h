/* UniPC's step, whatever its coefficients: multistep in lambda on the data prediction m = x0hat.
 *     UniP: x~' = (sigma'/sigma) x + sum_(j<q) c_j m_(k-j)
 *     UniC: x'  = (sigma'/sigma) x + sum_(j<q) c_j m_(k-j) + c_q m(x~', t')
 * The corrector waits for the next step, whose call at x~' it shares; m(x~') is never renewed. So
 * the state a step leaves behind is x~', and the last step has no corrector.
 * Source: Zhao et al. 2023 (arXiv:2302.04867), algorithms 1 and 2, for data prediction. */
#ifndef VPSDE_SOLVERS_UNIPC_STEP_H
#define VPSDE_SOLVERS_UNIPC_STEP_H

#include "solvers/exponential.h"
#include "solvers/starters.h"

enum { VPSDE_UNIPC_SCRATCH = 6 };

typedef struct vpsde_unipc {
    size_t order; /* 1 to 3 */
    bool is_corrected;
    bool lowers_end;   /* step k of n has at most order n - k, as in the authors' code */
    vpsde_start start; /* at most one step */
    int variant;       /* for `weights` */
    /* c (p): weights of the values at offsets tau (p) in lambda, tau[0] = 0; UniC's last is h. */
    void (*weights)(int variant, const vpsde_exponential *e, size_t p, const double *tau,
                    double *c);
} vpsde_unipc;

vpsde_status vpsde_unipc_step(vpsde_step *s, const vpsde_unipc *form);

#endif
