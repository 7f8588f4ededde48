/* The geometry of the diffusion as a model sees it: rates along pilot states, row by row, so that whoever
 * averages them can say how sure that is. Per b, in nats, with H = -J_eps/sigma the Hessian of log p_b:
 *     dissipation  |x + s|^2 / 2
 *     entropy      (d / sigma^2 - |s|^2) / 2, as (d alpha^2 + sigma x.eps - |eps|^2) / (2 sigma^2)
 *                  the last by E[x . s] = -d with weight sigma^2, which takes the noise out of the
 *                  difference where eps is about sigma x
 *     metric       |I + H|_F^2 / 2 = E|v - J_eps v / sigma|^2 / 2 over Rademacher v
 * The states are exact draws of p_t where the model draws (and is not guided), else those of one
 * deterministic chain a sample. A clip shapes the chains and not the rates. */
#ifndef VPSDE_SOLVERS_GEOMETRY_H
#define VPSDE_SOLVERS_GEOMETRY_H

#include "solvers/driver.h"

typedef enum vpsde_rate {
    VPSDE_RATE_DISSIPATION,
    VPSDE_RATE_ENTROPY,
    VPSDE_RATE_METRIC,
    VPSDE_N_RATES
} vpsde_rate;

/* The first two, of a state or in the mean over states. */
double vpsde_dissipation(const vpsde_moments *m, const vpsde_coef *c);
double vpsde_entropy_rate(const vpsde_moments *m, const vpsde_coef *c, size_t d);

/* What is measured: nodes equal in lambda from t_max to t_min. */
typedef struct vpsde_geometry_plan {
    size_t nodes, samples; /* 2 or more; 1 or more */
    size_t probes; /* of the metric a state; unit vectors in up to 8 dimensions; 0: no metric */
} vpsde_geometry_plan;

typedef struct vpsde_geometry {
    vpsde_geometry_plan plan;
    vpsde_coef *node;            /* (nodes) */
    double *rate[VPSDE_N_RATES]; /* (samples, nodes) each; a metric of 0 where it is not measured */
    uint8_t *is_lost;            /* (samples) not finite somewhere: in no mean */
    size_t nfe, jvp;             /* network calls (rows) and products that it took */
} vpsde_geometry;

/* Of the run process, model, seed, clip, guidance, n_threads, control and the kind of its classes are
 * looked at. The same for every thread count. EINVAL; ENUMERIC when no sample stays finite. */
vpsde_status vpsde_geometry_measure(vpsde_geometry **out, const vpsde_sampling *run,
                                    const vpsde_geometry_plan *plan);
void vpsde_geometry_destroy(vpsde_geometry *geometry); /* NULL is fine */

/* mean (nodes) of a rate over the samples, each as often as `times` (samples) says; NULL: once. */
void vpsde_geometry_mean(double *mean, const vpsde_geometry *geometry, vpsde_rate rate,
                         const uint8_t *times);

#endif
