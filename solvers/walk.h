/* One sample's walk from noise to data by steps of its own length.
 *
 * For formulas that choose their steps but are no integrators of dy/ds = f(s, y): exponential ones,
 * and those of the reverse SDE, which go along the sample's own Brownian path. A solver gives the
 * attempt; vpsde_walk_by controls the step. Error control is per sample, by the root mean square
 * over components of (high - low) / max(atol, rtol max(|low|, |previous low|)), accepted up to 1:
 * Jolicoeur-Martineau et al. 2021 (arXiv:2105.14080), algorithm 1; Lu et al. 2022
 * (arXiv:2206.00927), appendix C.
 *
 * A walk never stops at log points: a formula fills them in, so that logging changes no bit. */
#ifndef VPSDE_SOLVERS_WALK_H
#define VPSDE_SOLVERS_WALK_H

#include <vpsde/solver.h>

struct vpsde_brownian;
struct vpsde_lane;

typedef struct vpsde_walk {
    const vpsde_process *process;
    vpsde_coef start, end; /* sigma > 0 at both; nothing happens unless the end is cleaner */
    size_t d;
    double *x;         /* (d) in: at start; out: at end */
    double *const *w;  /* (n_scratch) buffers (d) */
    double rtol, atol; /* > 0 */
    size_t max_steps;  /* attempted steps */
    const double *param;

    /* Log: states (n_log, d) at log_at, between start and end, noise to data. */
    size_t n_log;
    const vpsde_coef *log_at;
    double *log_x;
    double *log_steps; /* (n_log) accepted steps up to each, or NULL */
    size_t log_next;   /* points filled so far */

    /* What an attempt sees and fills, beside x. */
    const double *eps; /* (d) at x */
    double *low, *high;
    const double *eps_next; /* (d) at `high`, for `fill_in` alone */

    /* Ledger, reset by vpsde_walk_run. */
    uint64_t n_accepted, n_rejected, n_draws;
    uint64_t n_eps_log;  /* evaluations made for the log alone */
    bool non_finite;     /* why it failed: x or eps were not finite */
    vpsde_status failed; /* what the network returned, if it was not OK */

    /* private */
    uint64_t seed;
    struct vpsde_lane *lane;
    struct vpsde_brownian *path; /* this sample's, where the solver is stochastic */
    double **memory;             /* every buffer, w first */
} vpsde_walk;

/* How vpsde_walk_by walks. */
typedef struct vpsde_walk_rule {
    /* The variable that steps are measured in, monotone in time. */
    double (*value)(const vpsde_coef *c);
    vpsde_coef (*at)(const vpsde_process *process, double value);
    double first;        /* length of the first attempt, > 0 */
    double theta, power; /* the next length is this one times theta E^-power */
    double grow_max;
    bool on_path; /* steps shorter than the Brownian path resolves are refused */
    /* From w->x at `from` to two results at `to`. ENUMERIC: not finite, a shorter step may help. */
    vpsde_status (*attempt)(vpsde_walk *w, const vpsde_coef *from, const vpsde_coef *to);
    /* Of the accepted step: the state at each `at` between, into out (d). `from` and `to` are what
     * the attempt had. */
    void (*fill_in)(vpsde_walk *w, const vpsde_coef *from, const vpsde_coef *to,
                    const vpsde_coef *at, double *out);
    bool fills_with_next; /* fill_in reads eps_next */
} vpsde_walk_rule;

/* ---- for solvers ---------------------------------------------------------------------------- */

/* The whole walk. `high` is the result of a step. */
vpsde_status vpsde_walk_by(vpsde_walk *w, const vpsde_walk_rule *rule);

/* eps (d) at x; counts. ENUMERIC: x or eps is not finite. */
vpsde_status vpsde_walk_eps(vpsde_walk *w, const vpsde_coef *c, const double *x, double *eps);

/* As vpsde_step_noise, of this sample: z (d), area (d) or NULL. */
void vpsde_walk_noise(vpsde_walk *w, const vpsde_coef *from, const vpsde_coef *to, double *z,
                      double *area);

/* Fresh noise beside the path: z (d) standard normal, independent of all before. */
void vpsde_walk_draw(vpsde_walk *w, double *z);

/* What every walk has among its parameters. */
#define VPSDE_WALK_PARAM_ROW                                                                       \
    {                                                                                              \
        .name = "max_steps", .kind = VPSDE_PARAM_INT, .value = 100000, .min = 1, .max = 1e7,       \
        .doc = "attempted steps after which a sample counts as failed"                             \
    }

/* ---- for the driver ------------------------------------------------------------------------- */

/* Buffers of one lane, for samples of d values; the rest of `w` is the caller's to set. */
vpsde_status vpsde_walk_open(vpsde_walk *w, const vpsde_solver_type *type, const double *param,
                             size_t d);
void vpsde_walk_close(vpsde_walk *w); /* of a zeroed one too */

/* Walks by `type` as global sample `sample` of a run with `seed`. OK; ENUMERIC: this sample failed
 * (w->non_finite tells how); else what the network returned. */
vpsde_status vpsde_walk_run(const vpsde_solver_type *type, vpsde_walk *w, uint64_t seed,
                            uint64_t sample);

/* EINVAL unless `type` has the parameter above. */
vpsde_status vpsde_walk_check(const vpsde_solver_type *type);

/* Where a walk towards sigma = 0 ends; x0hat there is the state at data. */
extern const double vpsde_walk_lambda_end;

#endif
