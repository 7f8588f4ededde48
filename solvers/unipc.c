/* UniPC(order): multistep predictor and corrector in lambda on the data prediction m = x0hat,
 *     x' = (sigma'/sigma) x + alpha' (1 - e^-h) m_k + alpha' B(h) sum_j a_j (m_j - m_k)/r_j,
 * sum_j a_j r_j^(i-1) B(h) = h i! phi_(i+1)(-h), r_j = (lambda_j - lambda_k)/h, so B cancels but
 * for the shortcut a = 1/2 where there is one unknown: B = h (bh1), B = 1 - e^-h (bh2). `vary`
 * solves there too: the exact integral of the polynomial through the values (upstream's vary_coeff
 * contracts only part of C^-1: unipc-compat).
 * Order `order` + 1 with the corrector, `order` without. start: keep takes the first step of order
 * 3 by rho-RK; upstream takes it with the history there is, which leaves order 3 (2 uncorrected).
 * UniP-1 is DDIM; UniP-2 is DPM-Solver++(2M), midpoint (bh2) or Taylor (vary).
 * Source: Zhao et al. 2023 (arXiv:2302.04867), theorem 3.1; data prediction and varying
 * coefficients in its appendix. */
#include "solvers/unipc_step.h"

enum { ORDER, VARIANT, CORRECTOR, START };
enum { BH1, BH2, VARY };
enum { START_KEEP, START_UPSTREAM };
static const vpsde_param params[] = {
    {.name = "order",
     .kind = VPSDE_PARAM_INT,
     .value = 2,
     .min = 1,
     .max = 3,
     .doc = "order of UniP"},
    {.name = "variant",
     .kind = VPSDE_PARAM_CHOICE,
     .value = BH2,
     .choices = "bh1|bh2|vary",
     .max = 2,
     .doc = "B(h) of the formulas with one unknown, or none"},
    {.name = "corrector",
     .kind = VPSDE_PARAM_BOOL,
     .value = 1,
     .max = 1,
     .doc = "UniC after every step but the last; costs no call"},
    {.name = "start",
     .kind = VPSDE_PARAM_CHOICE,
     .choices = "keep|upstream",
     .max = 1,
     .doc = "first step of order 3: by Runge-Kutta in rho, or with the history there is"},
    {.name = NULL},
};

static void weights(int variant, const vpsde_exponential *e, size_t p, const double *tau, double *c)
{
    if (variant == VARY || p != 2) {
        vpsde_exponential_weights(p, tau, e->on, c);
        return;
    }
    const double alpha_B = variant == BH2 ? e->on[0] : e->on[0] / vpsde_phi(1, -e->h);
    c[1] = alpha_B / 2 * e->h / tau[1];
    c[0] = e->on[0] - c[1];
}

static vpsde_start start_of(const double *param)
{
    if (param[START] != START_KEEP || param[ORDER] < 3) return (vpsde_start){0};
    return (vpsde_start){.steps = 1, .rk = param[CORRECTOR] > 0 ? 3 : 2};
}

static vpsde_status step(vpsde_step *s)
{
    const vpsde_unipc form = {.order = (size_t)s->param[ORDER],
                              .is_corrected = s->param[CORRECTOR] > 0,
                              .start = start_of(s->param),
                              .variant = (int)s->param[VARIANT],
                              .weights = weights};
    return vpsde_unipc_step(s, &form);
}

static void orders(const double *param, vpsde_orders *order, vpsde_orders *claimed)
{
    order->ode = param[ORDER] + param[CORRECTOR];
    if (param[ORDER] < 3 || param[START] == START_KEEP) return;
    claimed->ode = order->ode;
    order->ode -= 1;
}

static size_t nfe(const double *param, const vpsde_grid *grid)
{
    const vpsde_start start = start_of(param);
    return vpsde_start_nfe(&start, grid);
}

const vpsde_solver_type vpsde_solver_unipc = {
    .name = "unipc",
    .source = "Zhao et al. 2023 (arXiv:2302.04867), theorem 3.1",
    .doc = "UniPC: multistep predictor-corrector on x0hat in lambda, one call a step.",
    .order = {.ode = 3},
    .orders = orders,
    .forms = (const char *const[]){"order=1", "order=3", "order=1, variant=bh1", "variant=bh1",
                                   "order=3, variant=bh1", "order=1, variant=vary", "variant=vary",
                                   "order=3, variant=vary", "order=1, corrector=false",
                                   "corrector=false", "order=3, corrector=false",
                                   "order=3, corrector=false, start=upstream", NULL},
    .nfe_per_step = 1,
    .n_scratch = VPSDE_UNIPC_SCRATCH,
    .params = params,
    .step = step,
    .nfe = nfe,
};
