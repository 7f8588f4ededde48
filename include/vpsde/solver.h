/** Solvers: one file each with one const table, and the driver that runs them.
 *
 *  A fixed-step solver is a `step` on a whole block from node k to node k + 1 of a grid. An
 *  adaptive one is an `integrate` of one sample's ODE (solvers/ode.h), or one sample's `walk` by a
 *  formula of its own (solvers/walk.h); the driver feeds many of them by continuous batching.
 *  Either way a sample depends on nothing but its own index. */
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
    VPSDE_SOLVER_ADAPTIVE = 1u << 1,      /* takes rtol, atol instead of a grid */
    VPSDE_SOLVER_COMPAT = 1u << 2,        /* reproduces an upstream formula known to be off */
    VPSDE_SOLVER_BATCH_COUPLED = 1u << 3, /* a sample depends on its block: compat forms only */
    VPSDE_SOLVER_PLAIN_DEFAULTS = 1u << 4 /* has a `prepare` that its defaults do not need */
};

struct vpsde_block; /* solvers/driver.h */
struct vpsde_ode;   /* solvers/ode.h */
struct vpsde_pilot; /* solvers/driver.h */
struct vpsde_walk;  /* solvers/walk.h */

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

/** Orders of convergence; 0 where one does not apply. `ode`: of the deterministic flow; `strong`:
 *  rms distance along one Brownian path; `weak`: the law of the end state. `vpsde verify` measures
 *  them: see solvers/orders.h. */
typedef struct vpsde_orders {
    double ode, strong, weak;
} vpsde_orders;

typedef struct vpsde_solver_type {
    const char *name, *source, *doc;
    unsigned flags;
    unsigned needs;       /* VPSDE_MODEL_* flags without which it refuses a model */
    vpsde_orders order;   /* what it has at its default parameters */
    vpsde_orders claimed; /* what its paper or upstream code claims, where that differs; else 0 */
    /** Optional: both for other parameters. They hold the two above on entry. */
    void (*orders)(const double *param, vpsde_orders *order, vpsde_orders *claimed);
    /** Optional, ended by NULL: parameters other than the defaults whose orders are measured too,
     *  as "eta=1" or "order=2, start=upstream". */
    const char *const *forms;
    unsigned nfe_per_step; /* network calls of an ordinary step; 0: adaptive */
    unsigned n_scratch;    /* (n, d) buffers */
    const vpsde_param *params;
    vpsde_status (*step)(vpsde_step *s);
    /** Optional: once before the first block, fills table (n_steps + 1). */
    vpsde_status (*prepare)(struct vpsde_pilot *pilot, double *table);
    /** Optional: network calls of a whole run, where nfe_per_step a step, and one in a step to
     *  sigma = 0, is not it. Without the call of VPSDE_LAST_TWEEDIE and without what `prepare`
     *  spends. */
    size_t (*nfe)(const double *param, const vpsde_grid *grid);
    /** Optional: c of a step that is one draw x' = m + c z by the driving noise z of the whole step
     *  (vpsde_step_noise), m of x and what came before. 0: without noise; NaN: no such draw, or not
     *  of one c for all. Looks at the nodes, d, k, param and table of the step alone. */
    double (*kernel_std)(const vpsde_step *s);
    /** Adaptive solvers: what one slot reuses for its samples of `dim` equations, and its end. */
    vpsde_status (*open)(void **state, size_t dim);
    void (*close)(void *state);
    /** One sample's ODE from s_start to s_end. A solver has this, `walk` or `step`; the driver runs
     *  it that way. */
    vpsde_status (*integrate)(struct vpsde_ode *ode);
    /** One sample from the grid's first time to its last, in steps of its own; n_scratch buffers
     *  (d). For solvers that are no integrators of an ODE. */
    vpsde_status (*walk)(struct vpsde_walk *walk);
} vpsde_solver_type;

VPSDE_API const vpsde_solver_type *vpsde_solver_find(const char *name); /* or NULL */
VPSDE_API const vpsde_solver_type *vpsde_solver_at(size_t index);       /* or NULL past the end */

/** Does it choose its own steps, by tolerances, instead of a grid's? */
VPSDE_API bool vpsde_solver_is_adaptive(const vpsde_solver_type *solver);

/** Declared orders at `param` (NULL: defaults); either result may be NULL. */
VPSDE_API void vpsde_solver_orders(const vpsde_solver_type *solver, const double *param,
                                   vpsde_orders *order, vpsde_orders *claimed);

/** Does this form use driving noise? By its orders; by the flag where it declares none. */
VPSDE_API bool vpsde_solver_is_stochastic(const vpsde_solver_type *solver, const double *param);

/** Network calls of one sample's run on `grid`, the call of VPSDE_LAST_TWEEDIE included: what its
 *  `nfe` will say; twice that with guidance. param NULL: defaults. 0 for solvers that choose their
 *  own steps. */
VPSDE_API size_t vpsde_solver_nfe(const vpsde_solver_type *solver, const double *param,
                                  const vpsde_grid *grid);

/** eps of the block's rows at one time. The only place that counts network calls. */
VPSDE_API vpsde_status vpsde_eps(vpsde_step *s, const vpsde_coef *c, const double *x, double *eps);

/** The same call with what else the model knows of the rows: range (n, d) and logp (n), each NULL
 *  or as in vpsde_eval. */
VPSDE_API vpsde_status vpsde_eps_with(vpsde_step *s, const vpsde_coef *c, const double *x,
                                      double *eps, double *range, double *logp);

/** Driving noise of the reverse SDE from time `from` to the cleaner `to`: z (n, d) is the increment
 *  of each sample's own Brownian path on the b axis, over the root of its length; area (n, d), or
 *  NULL, its space-time Levy area (sde/brownian.h) over sqrt(length / 12). Both are standard normal
 *  and independent of each other and of every disjoint stretch. The path is the same for every
 *  solver, grid, number of steps, rejection and thread. */
VPSDE_API void vpsde_step_noise(vpsde_step *s, const vpsde_coef *from, const vpsde_coef *to,
                                double *z, double *area);

/** Noise beside the path (correctors, churn): z (n, d) standard normal, draw number `draw` of this
 *  step, from 0. */
VPSDE_API void vpsde_step_draw(vpsde_step *s, unsigned draw, double *z);

/** u (n) uniform on (0, 1), one a sample, to go with that draw (Metropolis tests). */
VPSDE_API void vpsde_step_uniform(vpsde_step *s, unsigned draw, double *u);

/** What to store besides the final state. */
typedef enum vpsde_log_field {
    VPSDE_LOG_X = 1u << 0,
    VPSDE_LOG_EPS = 1u << 1,
    VPSDE_LOG_X0 = 1u << 2,
    VPSDE_LOG_NOISE = 1u << 3, /* the path's increment over the step from this node, over the root
                                  of its length; NaN where the step used no driving noise. Absent
                                  for a solver that never uses any */
    VPSDE_LOG_LOGP = 1u << 4,  /* log p_t(x), nats, from that of the noise end and the model's score
                                  and its divergence along the path; NaN at sigma = 0. Not for
                                  solvers that walk. docs/likelihood.md */
    VPSDE_LOG_STEPS = 1u << 5, /* accepted steps up to the node, with its share of the one it lies
                                  in. Absent for solvers that do not choose their steps */
    VPSDE_LOG_KERNEL = 1u << 6 /* m of the step from this node, x' = m + c z, in column kernel_mean,
                                  and c beside the times, kernel_std. Absent for a solver that never
                                  uses noise; EINVAL for one whose steps are no such draws */
} vpsde_log_field;

typedef struct vpsde_log {
    size_t n_times;      /* stored nodes, first and last included; 0: none; SIZE_MAX: all (not for
                            solvers that choose their own steps) */
    const double *times; /* or the t of the n_times nodes wanted; NULL: spread evenly */
    unsigned fields;     /* vpsde_log_field bits */
    vpsde_dtype dtype;   /* VPSDE_F32 or VPSDE_F64; logp and steps are float64 */
    size_t probes;       /* Rademacher probes of the divergence for logp; 0: the exact trace */
} vpsde_log;

/** What a sampler does to x0hat = (x - sigma eps)/alpha before a solver sees it: every network call
 *  of the run then gives eps = (x - alpha x0')/sigma. Data are taken to lie in [-1, 1] by
 *  `quantile`. */
typedef enum vpsde_clip_kind {
    VPSDE_CLIP_NONE,
    VPSDE_CLIP_STATIC, /* x0' = min(max(x0hat, low), high) */
    VPSDE_CLIP_DYNAMIC /* x0' = min(max(x0hat, -s), s)/s, s = max(min, quantile of the sample's
                          |x0hat|): Saharia et al. 2022, arXiv:2205.11487, section 2.3 */
} vpsde_clip_kind;

typedef struct vpsde_clip {
    vpsde_clip_kind kind;
    double low, high;     /* static: low < high */
    double quantile, min; /* dynamic: in (0, 1], > 0 */
} vpsde_clip;

/** Known components: at every node they are the data's, noised by the forward process to that time,
 *  and at the end the data's own. With that alone the rest hardly notices them; so each stretch of
 *  `jump_length` steps is gone through `resamples` times, back up by q(x_t | x_s) in between, with
 *  noise of its own each time (Lugmayr et al. 2022, arXiv:2201.09865, algorithm 1). For solvers of
 *  fixed steps. */
typedef struct vpsde_inpaint {
    const uint8_t *known; /* (d) 1: known, 0: to be filled in; NULL: no inpainting */
    const double *data;   /* (count, d) of which the known components count */
    size_t jump_length;   /* > 0 where resamples > 1; counted from the data end */
    size_t resamples;     /* 1: replacement alone (Song et al. 2021, section 5); 0 is 1 */
} vpsde_inpaint;

/** One sampling run. Zero-initialise, then set; pointers are borrowed. */
typedef struct vpsde_sampling {
    const char *label; /* group name in the run file; NULL: the solver's name */
    const vpsde_process *process;
    const vpsde_model *model;
    const vpsde_solver_type *solver;
    const double *param;    /* the solver's parameters; NULL: defaults */
    const vpsde_grid *grid; /* fixed-step solvers: the steps. Adaptive: where states are stored. A
                               reversed grid encodes, by deterministic solvers: from states at its
                               first node, near the data, to latents at its last */
    double rtol, atol;      /* adaptive solvers, > 0 and finite */
    uint64_t seed;
    size_t first, count; /* global index of the first sample, how many */
    const double *init;  /* (count, d) start states at the grid's first node; NULL: drawn from
                               the terminal, which is for t_max alone where it is N(0, I) */
    const double *edit;  /* (count, d) data that the run starts from instead, noised to the grid's
                               first node (SDEdit: Meng et al. 2021, arXiv:2108.01073); or NULL */
    const int32_t *classes; /* (count), VPSDE_NO_CLASS for none; or NULL */
    double guidance;        /* w: (1 + w) eps(x, c) - w eps(x) for rows with a class, at two
                               evaluations a call (Ho & Salimans 2022, arXiv:2207.12598); 0: none */
    vpsde_clip clip;
    vpsde_inpaint inpaint;
    vpsde_log log;
    size_t n_threads; /* 0: all there are */
    vpsde_control control;
} vpsde_sampling;

/** Runs. Columns: final (sample, dim...; float64), nfe, jvp, rejected, nfe_log, status, and
 *  per stored node x, eps, x0, noise, logp, kernel_mean as asked.
 *  @return OK; EPARTIAL when some samples failed (flagged in `status`, their rows NaN); EINVAL;
 *          ESTOPPED; what the sink returns. Deterministic: see DESIGN section 7. */
VPSDE_API vpsde_status vpsde_sample(const vpsde_sampling *sampling, vpsde_sink *sink);

/** The same into an array: x (count, d) final states. */
VPSDE_API vpsde_status vpsde_sample_array(const vpsde_sampling *sampling, double *x);

/** A grid of the run's process by any type: one that goes by rates gets them from pilot chains of
 *  the run's model, seed, clip and kind of classes (VPSDE_NOISE_PILOT; the same for every thread
 *  count and range of samples), which cost grid->pilot_nfe network calls. Of the run, solver, grid
 *  and init are not looked at. EINVAL as vpsde_grid_create; ENUMERIC; ESTOPPED. */
VPSDE_API vpsde_status vpsde_grid_calibrate(vpsde_grid **out, const vpsde_grid_type *type,
                                            const vpsde_sampling *run, size_t n_steps,
                                            const double *param, const double *times,
                                            vpsde_last_step last_step);

#ifdef __cplusplus
}
#endif
#endif
