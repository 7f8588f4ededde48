/* DEIS(order), exponential Adams-Bashforth:
 *     x' = (alpha'/alpha) x + sum_j C_j eps_(k-j),   C_j = alpha' int_rho^rho' l_j(u(rho)) drho,
 * l_j the Lagrange polynomials of the last `order` nodes in u = t (tAB, the paper's choice), rho or
 * log rho. Order 1 is DDIM, `rho` linear multistep (lms), order 3 in `log-rho` DPM-Solver-3M.
 * start: keep takes the first order - 2 steps by rho-RK, so the order is that of the formula;
 * upstream takes them with the history there is, which from order 3 on leaves order 2.
 * Source: Zhang & Chen 2022 (arXiv:2204.13902), section 3 and appendix (tAB, rhoAB, rho-RK). */
#include "solvers/adams.h"

enum { VARIANT = VPSDE_ADAMS_N_PARAMS };
static const vpsde_param params[] = {
    VPSDE_ADAMS_ORDER_ROW(3),
    VPSDE_ADAMS_START_ROW,
    {.name = "variant",
     .kind = VPSDE_PARAM_CHOICE,
     .choices = "t|rho|log-rho",
     .max = 2,
     .doc = "variable of the polynomial"},
    {.name = NULL},
};

static vpsde_status step(vpsde_step *s)
{
    static const vpsde_adams_variable *const variables[] = {&vpsde_adams_t, &vpsde_adams_rho,
                                                            &vpsde_adams_log_rho};
    const vpsde_start start = vpsde_adams_start(s->param);
    return vpsde_adams_step(s, variables[(size_t)s->param[VARIANT]],
                            (size_t)s->param[VPSDE_ADAMS_ORDER], &start);
}

const vpsde_solver_type vpsde_solver_deis = {
    .name = "deis",
    .source = "Zhang & Chen 2022 (arXiv:2204.13902), section 3",
    .doc =
        "DEIS: Adams-Bashforth for x/alpha in sigma/alpha, eps a polynomial in t, rho or log rho.",
    .order = {.ode = 3},
    .orders = vpsde_adams_orders,
    .forms =
        (const char *const[]){"order=1", "order=2", "order=4", "order=2, variant=rho",
                              "variant=rho", "order=4, variant=rho", "order=2, variant=log-rho",
                              "variant=log-rho", "order=4, variant=log-rho", "start=upstream",
                              "order=4, start=upstream", NULL},
    .nfe_per_step = 1,
    .n_scratch = VPSDE_ADAMS_SCRATCH,
    .params = params,
    .step = step,
    .nfe = vpsde_adams_nfe,
};
