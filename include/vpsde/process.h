/** The VP-SDE  dx = -1/2 beta(t) x dt + sqrt(beta(t)) dw  and its clocks.
 *
 *  With b(t) = int_0^t beta:  alpha = exp(-b/2),  sigma^2 = -expm1(-b),
 *  lambda = log(alpha/sigma),  phi = atan2(sigma, alpha).  x_t = alpha x_0 + sigma eps.
 *  A schedule is only a clock for one Ornstein-Uhlenbeck process (letters of Song et al. 2021,
 *  arXiv:2011.13456; lambda of Lu et al. 2022, arXiv:2206.00927). */
#ifndef VPSDE_PROCESS_H
#define VPSDE_PROCESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <vpsde/param.h>
#include <vpsde/status.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Everything a formula needs at one time. */
typedef struct vpsde_coef {
    double t;      /* user's time, 0 (data) to t_max (noise) */
    double b;      /* int_0^t beta */
    double beta;   /* b'(t) */
    double alpha;  /* exp(-b/2) */
    double sigma;  /* sqrt(-expm1(-b)) */
    double lambda; /* log(alpha / sigma); +inf at t = 0 */
    double phi;    /* atan2(sigma, alpha) */
    double label;  /* the network's time input */
} vpsde_coef;

typedef struct vpsde_process vpsde_process;

/** One registered schedule (sde/registry.def). A schedule's own state is made by `init`. */
typedef struct vpsde_schedule_type {
    const char *name;   /* kebab-case */
    const char *source; /* paper, equation */
    const char *doc;    /* one sentence */
    const vpsde_param *params;
    bool takes_betas; /* needs a table of beta_i */
    /** Builds the state from checked parameters (and betas where taken). EINVAL, ENOMEM. */
    vpsde_status (*init)(void **state, double *t_max, const double *param, const double *betas,
                         size_t n_betas);
    void (*fini)(void *state);
    double (*b)(const void *state, double t);
    double (*beta)(const void *state, double t);
    double (*t_of_b)(const void *state, double b); /* inverse of b */
    size_t (*n_ddpm)(const void *state);           /* DDPM steps N; NULL: a continuous schedule */
} vpsde_schedule_type;

VPSDE_API const vpsde_schedule_type *vpsde_schedule_find(const char *name); /* or NULL */
VPSDE_API const vpsde_schedule_type *vpsde_schedule_at(size_t index); /* or NULL past the end */

typedef enum vpsde_terminal {
    VPSDE_TERMINAL_STANDARD_NORMAL, /* N(0, I) stands for p_T */
    VPSDE_TERMINAL_EXACT            /* p_T itself: closed-form models only */
} vpsde_terminal;

/** What a process is made of. Zero-initialise, then set; vpsde_process_spec_init gives defaults. */
typedef struct vpsde_process_spec {
    const vpsde_schedule_type *schedule;
    double param[VPSDE_PARAM_MAX];
    const double *betas; /* (n_betas), for schedules that take a table; copied */
    size_t n_betas;
    double t_min; /* sampling and likelihood end / start here, >= 0 */
    double t_max; /* 0: the schedule's own end */
    vpsde_terminal terminal;
    double label_scale;  /* label = label_scale * t + label_offset; 0: the schedule's N */
    double label_offset; /* DDPM networks: N t - 1, i.e. index i - 1 at t = i / N */
} vpsde_process_spec;

/** Defaults of `schedule`: its parameters, t_min 1e-3, N(0, I), label = N t - 1 (N = 1000 for
 *  continuous schedules; label_scale stays 0 until create where N depends on the parameters).
 *  EINVAL for an unknown name, with the nearest one. */
VPSDE_API vpsde_status vpsde_process_spec_init(vpsde_process_spec *spec, const char *schedule);

/** EINVAL for values that make no sense (0 <= t_min < t_max; beta in (0, 1) for tables; ...). */
VPSDE_API vpsde_status vpsde_process_create(vpsde_process **out, const vpsde_process_spec *spec);
VPSDE_API void vpsde_process_destroy(vpsde_process *process);

/** The specification it was made from; `betas` borrowed from the process. */
VPSDE_API const vpsde_process_spec *vpsde_process_get_spec(const vpsde_process *process);
VPSDE_API double vpsde_process_t_max(const vpsde_process *process);
VPSDE_API size_t vpsde_process_n_ddpm(const vpsde_process *process);

/** Coefficients at t, or at the time where a clock shows a value. Pure, thread-safe.
 *  Values outside the range that the clock has on [0, t_max] are clamped to it only by rounding
 *  (1e-12 of its value at t_max; for lambda of max(1, |lambda|)); beyond: every field is NaN. */
VPSDE_API vpsde_coef vpsde_process_at(const vpsde_process *process, double t);
VPSDE_API vpsde_coef vpsde_process_at_b(const vpsde_process *process, double b);
VPSDE_API vpsde_coef vpsde_process_at_lambda(const vpsde_process *process, double lambda);
VPSDE_API vpsde_coef vpsde_process_at_phi(const vpsde_process *process, double phi);

/** label <-> t: the only conversion there is. At t = i / label_scale the label is exact. */
VPSDE_API double vpsde_process_label(const vpsde_process *process, double t);
VPSDE_API double vpsde_process_t_of_label(const vpsde_process *process, double label);

/** Forward process: x_t = (alpha_t/alpha_s) x_s + sqrt(1 - alpha_t^2/alpha_s^2) z from `from` to
 *  the noisier `to`; x, z, out (count elements), aliasing allowed. Ho et al. 2020, eq. (4). */
VPSDE_API void vpsde_forward(double *out, const vpsde_coef *from, const vpsde_coef *to,
                             const double *x, const double *z, size_t count);

/** Posterior q(x_s | x_t, x_0) = N(m_x0 x_0 + m_xt x_t, var), s cleaner than t.
 *  Ho et al. 2020 (arXiv:2006.11239), eqs. (6), (7), for any stride: beta := 1 -
 *  alpha_t^2/alpha_s^2. */
typedef struct vpsde_posterior {
    double m_x0, m_xt; /* mean coefficients */
    double var;        /* beta sigma_s^2 / sigma_t^2 ("small") */
    double beta;       /* 1 - alpha_t^2 / alpha_s^2 ("large") */
} vpsde_posterior;
VPSDE_API vpsde_posterior vpsde_posterior_at(const vpsde_coef *t, const vpsde_coef *s);

/** PF-ODE right-hand side dx/dphi = alpha eps - sigma x0hat = (eps - sigma x) / alpha (the v of
 *  Salimans & Ho 2022), count elements. */
VPSDE_API void vpsde_velocity_phi(double *dx, const vpsde_coef *c, const double *x,
                                  const double *eps, size_t count);

/** log N(x; 0, I), nats, one row of d. */
VPSDE_API double vpsde_prior_logp(const double *x, size_t d);

#ifdef __cplusplus
}
#endif
#endif
