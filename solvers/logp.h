/* What the field logp of a sampling run's log is made of, for fixed steps (solvers/path_logp.h) and
 * for integrators (solvers/flow_logp.h). */
#ifndef VPSDE_SOLVERS_LOGP_H
#define VPSDE_SOLVERS_LOGP_H

#include "solvers/driver.h"

/* How tr J_eps is had: in closed form, or from directions in calls of equal size. */
typedef struct vpsde_logp_trace {
    bool closed, exact;
    size_t n_directions, chunk, n_calls;
} vpsde_logp_trace;

/* Of the run's log, in network calls of `rows` rows. */
vpsde_logp_trace vpsde_logp_trace_of(const vpsde_sampling *run, size_t rows);

/* Directions number `call` * chunk onwards of one row of global sample `sample`, probes numbered
 * from `first_probe`: v (chunk, d), zeros past the last. */
void vpsde_logp_directions(const vpsde_logp_trace *trace, uint64_t seed, uint64_t sample,
                           size_t first_probe, size_t call, size_t d, double *v);

/* What such a call's products jv (chunk, d) say about the trace. */
double vpsde_logp_trace_part(const vpsde_logp_trace *trace, size_t call, size_t d, const double *v,
                             const double *jv);

/* EINVAL for runs along which log p is not known. */
vpsde_status vpsde_logp_check(const vpsde_sampling *run);

/* log p of global sample `sample`, x (d), at the noise end of the run's grid: of N(0, I) at t_max
 * where the process says so, else the model's own. */
vpsde_status vpsde_logp_of_noise(const vpsde_sampling *run, uint64_t sample, const double *x,
                                 double *logp);

#endif
