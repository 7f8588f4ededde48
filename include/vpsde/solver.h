/** Solvers: one file each with one const table, and the driver that runs them.
 *
 *  A fixed-step solver is a `step` on a whole block from node k to node k + 1 of a grid. An
 *  adaptive one is an `integrate` of one sample's ODE (solvers/ode.h); the driver feeds many of
 *  them by continuous batching. Either way a sample depends on nothing but its own index. */
#ifndef VPSDE_SOLVER_H
#define VPSDE_SOLVER_H

#include <vpsde/grid.h>
#include <vpsde/model.h>
#include <vpsde/sink.h>

#ifdef __cplusplus
extern "C" {
#endif

enum {
    VPSDE_SOLVER_STOCHASTIC = 1u << 0,
    VPSDE_SOLVER_ADAPTIVE = 1u << 1,     /* takes rtol, atol instead of a grid */
    VPSDE_SOLVER_COMPAT = 1u << 2,       /* reproduces an upstream formula known to be off */
    VPSDE_SOLVER_BATCH_COUPLED = 1u << 3 /* a sample depends on its block: compat forms only */
};

struct vpsde_block; /* solvers/driver.h */
struct vpsde_ode;   /* solvers/ode.h */
struct vpsde_pilot; /* solvers/driver.h */

/** What one step sees. Everything is (n, d) row-major; n counts the block's rows. */
typedef struct vpsde_step {
    const vpsde_process *process;
    const vpsde_coef *node; /* (n_steps + 1) all nodes, for what looks back: node[k] == *at */
    const vpsde_coef *at;   /* node k: where x stands */
    const vpsde_coef *next; /* node k + 1: where it goes */
    size_t k, n_steps;
    vpsde_last_step last_step; /* LOWER_ORDER: a multistep method's last step is of order 1 */
    size_t n, d;
    double *x;           /* in: state at `at`; out: state at `next` */
    double *const *w;    /* n_scratch buffers (n, d), kept from step to step of one block; rows
                            that failed are zeros, as in x */
    unsigned n_scratch;  /* how many of them this step may use */
    const double *param; /* in the order of the type's table */
    const double *table; /* (n_steps + 1) from `prepare`, or NULL */
    struct vpsde_block *block;
} vpsde_step;

typedef struct vpsde_solver_type {
    const char *name, *source, *doc;
    unsigned flags;
    /** 0 where it does not apply. Measured in tests/test_solvers.c: ode_order and weak_order on a
     *  Gaussian's exact law; strong_order by the rms distance of end states to the finest run when
     *  draw 0 of each step is the scaled increment of one Brownian path on the b axis, on nodes
     *  equally spaced in b that end before sigma -> 0. */
    double ode_order, strong_order, weak_order;
    unsigned nfe_per_step; /* network calls of an ordinary step; 0: adaptive */
    unsigned n_scratch;    /* (n, d) buffers */
    const vpsde_param *params;
    vpsde_status (*step)(vpsde_step *s);
    /** Optional: once before the first block, fills table (n_steps + 1). */
    vpsde_status (*prepare)(struct vpsde_pilot *pilot, double *table);
    /** Optional: network calls of a whole run, where n_steps * nfe_per_step is not it. Without the
     *  call of VPSDE_LAST_TWEEDIE and without what `prepare` spends. */
    size_t (*nfe)(const double *param, const vpsde_grid *grid);
    /** Adaptive solvers: what one slot reuses for its samples of `dim` equations, and its end. */
    vpsde_status (*open)(void **state, size_t dim);
    void (*close)(void *state);
    /** One sample's ODE from s_start to s_end. A solver has this or `step`; the driver runs it one
     *  way or the other. */
    vpsde_status (*integrate)(struct vpsde_ode *ode);
} vpsde_solver_type;

VPSDE_API const vpsde_solver_type *vpsde_solver_find(const char *name); /* or NULL */
VPSDE_API const vpsde_solver_type *vpsde_solver_at(size_t index);       /* or NULL past the end */

/** Network calls of one sample's run on `grid`, the call of VPSDE_LAST_TWEEDIE included: what its
 *  `nfe` will say. param NULL: defaults. 0 for solvers that choose their own steps. */
VPSDE_API size_t vpsde_solver_nfe(const vpsde_solver_type *solver, const double *param,
                                  const vpsde_grid *grid);

/** eps of the block's rows at one time. The only place that counts network calls. */
VPSDE_API vpsde_status vpsde_eps(vpsde_step *s, const vpsde_coef *c, const double *x, double *eps);

/** Driving noise of this step: z (n, d) standard normal; `draw` numbers a step's independent draws
 *  from 0. The same address for every solver, thread and block. */
VPSDE_API void vpsde_step_noise(vpsde_step *s, vpsde_purpose purpose, unsigned draw, double *z);

/** What to store besides the final state. */
typedef enum vpsde_log_field {
    VPSDE_LOG_X = 1u << 0,
    VPSDE_LOG_EPS = 1u << 1,
    VPSDE_LOG_X0 = 1u << 2,
    VPSDE_LOG_NOISE = 1u << 3 /* what the step from this node drew as draw 0 of
                                 VPSDE_NOISE_DIFFUSION, and nothing else; NaN where it drew none.
                                 Absent for a solver that never draws any */
} vpsde_log_field;

typedef struct vpsde_log {
    size_t n_times;      /* stored nodes, first and last included; 0: none; SIZE_MAX: all (not for
                            solvers that choose their own steps) */
    const double *times; /* or the t of the n_times nodes wanted; NULL: spread evenly */
    unsigned fields;     /* vpsde_log_field bits */
    vpsde_dtype dtype;   /* VPSDE_F32 or VPSDE_F64 */
} vpsde_log;

/** One sampling run. Zero-initialise, then set; pointers are borrowed. */
typedef struct vpsde_sampling {
    const char *label; /* group name in the run file; NULL: the solver's name */
    const vpsde_process *process;
    const vpsde_model *model;
    const vpsde_solver_type *solver;
    const double *param;    /* the solver's parameters; NULL: defaults */
    const vpsde_grid *grid; /* fixed-step solvers: the steps. Adaptive: where states are stored */
    double rtol, atol;      /* adaptive solvers, > 0 and finite */
    uint64_t seed;
    size_t first, count;    /* global index of the first sample, how many */
    const double *init;     /* (count, d) start states at the grid's first node; NULL: drawn from
                               the terminal, which is for t_max alone where it is N(0, I) */
    const int32_t *classes; /* (count) or NULL */
    vpsde_log log;
    size_t n_threads; /* 0: all there are */
    vpsde_control control;
} vpsde_sampling;

/** Runs. Columns: final (sample, dim...; float64), nfe, jvp, rejected, nfe_log, status, and
 *  per stored node x, eps, x0, noise as asked.
 *  @return OK; EPARTIAL when some samples failed (flagged in `status`, their rows NaN); EINVAL;
 *          ESTOPPED; what the sink returns. Deterministic: see DESIGN section 7. */
VPSDE_API vpsde_status vpsde_sample(const vpsde_sampling *sampling, vpsde_sink *sink);

/** The same into an array: x (count, d) final states. */
VPSDE_API vpsde_status vpsde_sample_array(const vpsde_sampling *sampling, double *x);

#ifdef __cplusplus
}
#endif
#endif
