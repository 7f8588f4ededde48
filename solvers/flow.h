/* log p of one start point by one solve of the probability-flow ODE: what a likelihood run calls
 * for each row, once or several times. */
#ifndef VPSDE_SOLVERS_FLOW_H
#define VPSDE_SOLVERS_FLOW_H

#include <vpsde/likelihood.h>

#include "solvers/batch.h"
#include "solvers/budget.h"
#include "solvers/control.h"

/* The same for all rows of a run. */
typedef struct vpsde_flow {
    const vpsde_likelihood *run;
    double param[VPSDE_PARAM_MAX];
    const vpsde_clock *clock;
    vpsde_coef start, end;
    size_t d;
    bool closed;                  /* the model's divergence is a closed form */
    bool rounds;                  /* the model computes in float32 */
    size_t n_directions;          /* d, the probes, or 0 */
    size_t chunk, n_calls;        /* directions a call, calls an evaluation */
    size_t n_logp;                /* l components: 1, or the probes' mean and each of them */
    double quantile;              /* of the probes' interval, in standard errors */
    double *unit;                 /* (n_calls * chunk, d) unit vectors, for an exact trace */
    vpsde_trace_control *control; /* of the probes, or NULL */
    double *rtol,
        *atol; /* (1 + VPSDE_BUDGET_RUNGS, d + n_logp): of the result, then of looser solves */
} vpsde_flow;

/* What one start point gave. */
typedef struct vpsde_flow_result {
    vpsde_row_status status;
    double prior, delta;       /* log p at t_min is their sum */
    vpsde_error_budget budget; /* trace terms always, the others where the run asks for a budget */
    uint64_t n_rhs, n_rejected;
} vpsde_flow_result;

/* Checks run's process, model, integrator and numbers; to be closed in any case. */
vpsde_status vpsde_flow_open(vpsde_flow *flow, const vpsde_likelihood *run);
void vpsde_flow_close(vpsde_flow *flow);

/* A batch job over the run's rows; the caller sets what it integrates and where results go. */
vpsde_batch_job vpsde_flow_job(const vpsde_flow *flow);

/* Equations and doubles of one lane. */
size_t vpsde_flow_dim(const vpsde_flow *flow);
size_t vpsde_flow_lane_doubles(const vpsde_flow *flow);

/* The data of the lane's row into x (d). */
vpsde_status vpsde_flow_read(const vpsde_flow *flow, const vpsde_lane *lane, double *x);

/* Draws the row's probes into the lane; once before its solves. */
void vpsde_flow_probes(const vpsde_flow *flow, vpsde_lane *lane);

/* log p of x (d) at t_min, with its budget. Not OK ends the run. */
vpsde_status vpsde_flow_score(const vpsde_flow *flow, vpsde_lane *lane, const double *x,
                              vpsde_flow_result *result);

#endif
