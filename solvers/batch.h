/* Continuous batching: many one-sample integrations feed full network calls.
 *
 * Each worker has as many lanes as a network call has rows. A lane is a fiber that takes one sample
 * after another; when its integrator asks for the network, it leaves its row and yields. Once every
 * live lane waits, one call of fixed shape serves them all. A lane that is done takes the next
 * sample of the worker's block, and of the next block when that is used up. Closed-form models are
 * called row by row, without fibers. The bits are the same either way. */
#ifndef VPSDE_SOLVERS_BATCH_H
#define VPSDE_SOLVERS_BATCH_H

#include <stdatomic.h>

#include "core/parallel.h"
#include "solvers/delivery.h"
#include "solvers/ode.h"
#include "solvers/walk.h"

struct vpsde_batch;

/* One lane and the sample in it. */
typedef struct vpsde_lane {
    vpsde_ode ode;    /* y, tolerances, parameters and state are set up; the rest is the job's */
    vpsde_walk walk;  /* the same for a solver that walks: x is ode.y */
    vpsde_ode beside; /* of dim_beside equations, for a job that solves two systems a sample */
    double *beside_memory; /* that system's own */
    uint64_t sample;       /* global index */
    void *block;           /* from open_block */
    size_t row;            /* of that block */
    double *own;           /* (lane_doubles) the job's */
    const void *job;       /* its context */
    uint64_t n_eval;       /* lane evaluations of this sample */
    /* Results of the last vpsde_lane_eval, valid until the next. */
    const double *eps;  /* (d) */
    const double *deps; /* (tangents, d) */
    double div;         /* where asked for */
    const double *ddiv; /* (d) the same */
    struct vpsde_batch *batch;
    size_t index;
} vpsde_lane;

/* What a batch of integrations is made of. Borrowed; the same for all workers. */
typedef struct vpsde_batch_job {
    const vpsde_process *process;
    const vpsde_model *model;
    const int32_t *classes; /* (count) or NULL */
    double guidance;        /* weight; a lane evaluation is then two of the network */
    const vpsde_clip *clip; /* of x0hat, for jobs without tangents; or NULL */
    uint64_t first;
    size_t count, rows;                  /* samples; samples a block */
    const vpsde_solver_type *integrator; /* it integrates or walks */
    size_t dim;                          /* equations of one sample */
    const double *rtol, *atol;           /* (dim); a walk has the first ones */
    size_t dim_beside;   /* of lane->beside, whose tolerances are the job\'s to set; or 0 */
    const double *param; /* the integrator's */
    size_t tangents;     /* a row of every call */
    bool divergence;     /* ask for the closed-form divergence */
    bool gradient;       /* and for its gradient */
    bool fibers;         /* batch the calls; else one row at a time */
    size_t lane_doubles; /* size of lane->own */
    const void *context;
    vpsde_delivery *delivery; /* knows the rows that are there from before an interruption */
    /* Staging of one block, delivered when its last sample is done, and used again. */
    vpsde_status (*open_block)(const void *context, void **block);
    vpsde_status (*deliver)(const void *context, void *block, uint64_t first, size_t n);
    void (*close_block)(void *block);
    /* From start state to staged result. Not OK ends the run; a failed sample is staged as such. */
    vpsde_status (*sample)(vpsde_lane *lane);
    /* Rows that were wanted and rows that were called, over all workers. */
    atomic_uint_fast64_t rows_used, rows_called;
} vpsde_batch_job;

/* Is batching worth it for this model? */
bool vpsde_batch_wants_fibers(const vpsde_model *model);

/* Runs the job on n_threads; as vpsde_parallel. */
vpsde_status vpsde_batch_run(vpsde_batch_job *job, size_t n_threads, const volatile int *stop);

/* eps(x) at c into lane->eps and, along dx (tangents, d) unless it is NULL, lane->deps. Counts. */
vpsde_status vpsde_lane_eval(vpsde_lane *lane, const vpsde_coef *c, const double *x,
                             const double *dx);

/* How many tangents a row of each call carries when a sample needs `wanted`: as many as the budget of
 * one worker's calls holds, in calls of equal size. */
size_t vpsde_batch_tangents(const vpsde_model *model, size_t wanted);

/* A ledger entry as its column holds it: counts beyond stay at the largest. */
static inline int32_t vpsde_count_i32(uint64_t count)
{
    return count < INT32_MAX ? (int32_t)count : INT32_MAX;
}

/* Share of network rows that were wanted, in [0, 1]. */
double vpsde_batch_fill(vpsde_batch_job *job);

#endif
