/* log p along one sample's probability-flow ODE, by a solve of its own beside the run's. */
#ifndef VPSDE_SOLVERS_FLOW_LOGP_H
#define VPSDE_SOLVERS_FLOW_LOGP_H

#include "solvers/batch.h"
#include "solvers/logp.h"

/* The same for all samples: the first member of a lane's job. */
typedef struct vpsde_flow_logp {
    const vpsde_report *report; /* NULL where log p is not logged */
    const vpsde_clock *clock;
    vpsde_logp_trace trace;
    vpsde_coef start, end; /* of the integration */
    double *rtol, *atol;   /* (d + 1) of the solve */
} vpsde_flow_logp;

/* Doubles of a lane. */
size_t vpsde_flow_logp_doubles(const vpsde_flow_logp *f);

/* Solves from `start` (d) and stores log p of the sample's own states at the stored nodes, state(m)
 * of lane's job: rows of lane->block. `memory` are the lane's doubles. Not OK ends the run. */
vpsde_status vpsde_flow_logp_store(const vpsde_flow_logp *f, vpsde_lane *lane, double *memory,
                                   const double *start,
                                   const double *(*state)(const vpsde_lane *lane, size_t m));

#endif
