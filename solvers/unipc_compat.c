/* UniPC with the vary_coeff corrector of the authors' code. With D_j = (m_j - m_k)/r_j at the
 * values before the step, D_t = m' - m_k, C_jn = r_j^n/(n+1)! and A = C^-1 (r = 1 last), K = order,
 *     x' = ... + alpha' sum_(n=0)^(K-2) h phi_(n+2)(-h) sum_j A_nj D_j
 *              + alpha' h phi_(K+1)(-h) A_(K-2),t D_t
 * where the contraction over all of A takes every n <= K - 1 for D_t and D_j alike. What is missing
 * is of size h^2 a step: order 1 from K = 2 on. unipc has the whole (variant vary). The last steps
 * are of lower order in any case, as there.
 * Source: github.com/wl-zhao/UniPC, uni_pc.py, multistep_uni_pc_vary_update (commit cf9de85). */
#include "solvers/unipc_step.h"

enum { ORDER };
static const vpsde_param params[] = {
    {.name = "order",
     .kind = VPSDE_PARAM_INT,
     .value = 2,
     .min = 1,
     .max = 3,
     .doc = "order of UniP"},
    {.name = NULL},
};

/* h^(n+1) m^(n+1) = sum_j A_nj D_j, so A's row n = K - 2 comes from weights of that derivative. */
static void correct(size_t K, const vpsde_exponential *e, const double *tau, double *c)
{
    double on[VPSDE_EXPONENTIAL_TERMS] = {0}, derivative[VPSDE_EXPONENTIAL_TERMS] = {0};
    double row[VPSDE_EXPONENTIAL_TERMS];
    for (size_t n = 0; n < K; n++) on[n] = e->on[n];
    vpsde_exponential_weights(K + 1, tau, on, c);
    derivative[K - 1] = 1;
    vpsde_exponential_weights(K + 1, tau, derivative, row);
    c[K] = e->on[K] / e->h * row[K];
    c[0] = e->on[0];
    for (size_t j = 1; j <= K; j++) c[0] -= c[j];
}

static void weights(int variant, const vpsde_exponential *e, size_t p, const double *tau, double *c)
{
    (void)variant;
    const bool corrects = p > 1 && tau[p - 1] > 0;
    if (corrects && p > 2) {
        correct(p - 1, e, tau, c);
    } else {
        vpsde_exponential_weights(p, tau, e->on, c);
    }
}

static vpsde_status step(vpsde_step *s)
{
    const vpsde_unipc form = {.order = (size_t)s->param[ORDER],
                              .is_corrected = true,
                              .lowers_end = true,
                              .weights = weights};
    return vpsde_unipc_step(s, &form);
}

static void orders(const double *param, vpsde_orders *order, vpsde_orders *claimed)
{
    *order = (vpsde_orders){.ode = param[ORDER] > 1 ? 1 : 2};
    *claimed = (vpsde_orders){.ode = param[ORDER] > 1 ? param[ORDER] + 1 : 0};
}

const vpsde_solver_type vpsde_solver_unipc_compat = {
    .name = "unipc-compat",
    .source = "github.com/wl-zhao/UniPC, uni_pc.py, multistep_uni_pc_vary_update",
    .doc = "UniPC with the vary_coeff corrector of the authors' code, which drops terms.",
    .flags = VPSDE_SOLVER_COMPAT,
    .order = {.ode = 1},
    .claimed = {.ode = 3},
    .orders = orders,
    .forms = (const char *const[]){"order=1", "order=3", NULL},
    .nfe_per_step = 1,
    .n_scratch = VPSDE_UNIPC_SCRATCH,
    .params = params,
    .step = step,
};
