/* One sample's ODE, and what integrates it.
 *
 * An integrator is a vpsde_solver_type with VPSDE_SOLVER_ADAPTIVE: `open` makes what a slot reuses
 * for its samples, `integrate` takes one sample from s_start to s_end. Step control is per sample
 * by the largest scaled component,
 *     max_j |e_j| / (atol_j + rtol_j |y_j|) <= 1.
 * Integrators never stop at log points: they interpolate, so that logging changes no bit. */
#ifndef VPSDE_SOLVERS_ODE_H
#define VPSDE_SOLVERS_ODE_H

#include <vpsde/solver.h>

typedef struct vpsde_ode vpsde_ode;

/* dy = f(s, y), both (dim). Anything but OK stops the whole run. */
typedef vpsde_status (*vpsde_ode_rhs)(vpsde_ode *ode, double s, const double *y, double *dy);

struct vpsde_ode {
    size_t dim;
    double s_start, s_end;     /* either direction */
    double *y;                 /* (dim) in: at s_start; out: at s_end */
    const double *rtol, *atol; /* (dim); atol > 0 */
    size_t max_steps;          /* attempted steps */
    const double *param;       /* the type's, in the order of its table */
    vpsde_ode_rhs rhs;
    void *context; /* rhs's own */
    void *state;   /* the integrator's, from `open` */

    /* Log: the first log_dim components at log_s, which lie between s_start and s_end in that
     * order. log_y may be NULL when n_log is 0. */
    size_t n_log, log_dim;
    const double *log_s; /* (n_log) */
    double *log_y;       /* (n_log, log_dim) out */
    double *log_steps;   /* (n_log) out: accepted steps up to each, or NULL */
    size_t log_next;     /* points filled so far */
    struct {
        uint64_t before;
        double from, to;
    } log_step;

    /* Ledger, reset by vpsde_ode_run. */
    uint64_t n_rhs, n_accepted, n_rejected;
    uint64_t bad_step;   /* 1 + n_accepted at the last evaluation that was not finite, or 0 */
    bool non_finite;     /* why it failed: evaluations of the last steps were not finite */
    vpsde_status failed; /* what rhs returned, if it was not OK */
};

/* Rows every integrator has in its table of parameters, beside its own. */
#define VPSDE_ODE_PARAM_ROWS                                                                       \
    {.name = "clock",                                                                              \
     .kind = VPSDE_PARAM_CHOICE,                                                                   \
     .max = 2,                                                                                     \
     .choices = "phi|t|lambda",                                                                    \
     .doc = "independent variable: phi = atan(sigma/alpha), t, or log(alpha/sigma)"},              \
    {                                                                                              \
        .name = "max_steps", .kind = VPSDE_PARAM_INT, .value = 100000, .min = 1, .max = 1e7,       \
        .doc = "attempted steps after which a sample counts as failed"                             \
    }

/* The table of an integrator without parameters of its own. */
extern const vpsde_param vpsde_ode_params[];

/* EINVAL unless `type` integrates one sample's flow: with `integrate`, not stochastic, and with the
 * parameters above. `what` needs it. */
vpsde_status vpsde_ode_check_type(const vpsde_solver_type *type, const char *what);

/* EINVAL unless both are positive and finite. */
vpsde_status vpsde_ode_check_tolerances(const vpsde_solver_type *type, double rtol, double atol);

/* The value of "max_steps" among `param`. */
size_t vpsde_ode_max_steps(const vpsde_solver_type *type, const double *param);

/* Integrates by `type`, whose `open` made ode->state. OK; ENUMERIC: this sample failed (max_steps,
 * a step that cannot shrink further, values that are not finite: ode->non_finite tells); else what
 * rhs returned. */
vpsde_status vpsde_ode_run(const vpsde_solver_type *type, vpsde_ode *ode);

/* ---- for integrators ------------------------------------------------------------------------ */

/* Counts and calls rhs. ENUMERIC: y or dy is not finite, a smaller step may help. */
vpsde_status vpsde_ode_eval(vpsde_ode *ode, double s, const double *y, double *dy);

/* The accepted step that log points are now filled in: from s_from to s_to, after `before` others. */
void vpsde_ode_log_step(vpsde_ode *ode, uint64_t before, double s_from, double s_to);

/* The next log point when it lies at or before s, else false. */
bool vpsde_ode_log_due(const vpsde_ode *ode, double s, double *at);
/* Where that point's values go; the next one is due. */
double *vpsde_ode_log_take(vpsde_ode *ode);

/* A step's end: where, value and derivative (dim). */
typedef struct vpsde_ode_point {
    double s;
    const double *y, *f;
} vpsde_ode_point;

/* Fills all log points up to point[n - 1] by Hermite interpolation through n <= 3 step ends: order
 * 3 through two, 5 through three. */
void vpsde_ode_log_hermite(vpsde_ode *ode, const vpsde_ode_point *point, size_t n);

/* ENUMERIC with the place and the reason in the message. */
vpsde_status vpsde_ode_give_up(const vpsde_ode *ode, double s, const char *why);

/* ---- clocks ---------------------------------------------------------------------------------- */

/* The variable an integrator sees: phi, t or lambda (the parameter "clock"). */
typedef struct vpsde_clock {
    const char *name;
    bool needs_noise; /* has no value, or no finite right-hand side, at sigma = 0 */
    double (*value)(const vpsde_coef *c);
    vpsde_coef (*at)(const vpsde_process *process, double s);
    double (*rate)(const vpsde_coef *c); /* dphi / ds */
} vpsde_clock;

/* The clock among `param`. EINVAL where it cannot tell the times from `noisy` to `clean` apart. */
vpsde_status vpsde_ode_clock(const vpsde_clock **clock, const vpsde_solver_type *type,
                             const double *param, const vpsde_coef *noisy, const vpsde_coef *clean);

/* Runs integrators, and solvers that walk, over a sampling run (solvers/driver.h). */
vpsde_status vpsde_sample_ode(const vpsde_sampling *run, vpsde_sink *sink);

#endif
