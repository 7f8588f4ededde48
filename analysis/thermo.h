/* Stochastic thermodynamics of diffusion paths: what is observed at a time, and what follows from many
 * paths. In the b clock: bath of temperature 1, mobility 1/2, energy E = |x|^2/2, whose equilibrium is
 * pi = N(0, I); F = KL(p_b || pi) is the free energy above it (Seifert 2005, PRL 95:040602). */
#ifndef VPSDE_ANALYSIS_THERMO_H
#define VPSDE_ANALYSIS_THERMO_H

#include <stdbool.h>
#include <stddef.h>

#include <vpsde/status.h>

/* Of one path at one time, s the score. */
typedef enum vpsde_observable {
    VPSDE_AT_ENERGY,     /* |x|^2/2 */
    VPSDE_AT_SURPRISAL,  /* -log p_b(x) */
    VPSDE_AT_FREE,       /* log p_b(x)/pi(x) */
    VPSDE_AT_FISHER,     /* |x + s|^2 */
    VPSDE_AT_SCORE,      /* |s|^2 */
    VPSDE_AT_DIVERGENCE, /* -div s */
    VPSDE_AT_HEAT_RATE,  /* mean heat to the bath, by b */
    VPSDE_AT_HEAT,       /* since the path's start */
    VPSDE_AT_WORK,       /* the same */
    VPSDE_AT_PRODUCED,   /* int 1/2 |x + s|^2 db from here to the noise end */
    VPSDE_AT_DE_BRUIJN,  /* int 1/2 (|s|^2 - d) db from here to the noise end */
    VPSDE_N_AT
} vpsde_observable;

/* Sums over paths at every node. */
typedef struct vpsde_node_sums {
    size_t n, n_nodes;
    double *sum, *square; /* (n_nodes, VPSDE_N_AT) */
    double *cross;        /* (n_nodes) SCORE times DIVERGENCE */
} vpsde_node_sums;

vpsde_status vpsde_node_sums_open(vpsde_node_sums *sums, size_t n_nodes);
void vpsde_node_sums_close(vpsde_node_sums *sums); /* of a zeroed one too */
/* One path, whose observables at node k stand at at[q][k * stride]. */
void vpsde_node_sums_add(vpsde_node_sums *sums, double *const at[VPSDE_N_AT], size_t stride);
void vpsde_node_sums_merge(vpsde_node_sums *into, const vpsde_node_sums *from);

/* A figure and its standard error. */
typedef struct vpsde_estimate {
    double value, error;
} vpsde_estimate;

vpsde_estimate vpsde_node_mean(const vpsde_node_sums *sums, size_t k, vpsde_observable q);
/* E|s|^2 / (-E div s), to first order in both. */
vpsde_estimate vpsde_node_temperature(const vpsde_node_sums *sums, size_t k);

vpsde_estimate vpsde_mean(const double *v, size_t n);
/* Of v - u, pair by pair. */
vpsde_estimate vpsde_mean_difference(const double *v, const double *u, size_t n);
/* a/b of independent estimates, to first order. */
vpsde_estimate vpsde_quotient(vpsde_estimate a, vpsde_estimate b);

/* <exp(v)>, and signs that its variance may not be finite: the share of the largest weight in the sum,
 * and Hill's estimate (1975, Ann. Stat. 3:1163) of the weights' tail index from their sqrt(n) largest,
 * below which moments exist: under 2 the standard error means nothing. */
typedef struct vpsde_exponential_mean {
    vpsde_estimate mean, log_mean;
    double top_share, tail_index;
} vpsde_exponential_mean;

/* sign: of v in the exponent. */
vpsde_status vpsde_exponential_mean_of(vpsde_exponential_mean *out, const double *v, size_t n,
                                       double sign);

/* Crooks' theorem for the log-ratio R = log P/Q of paths drawn from P (n_p) and from Q (n_q): their
 * densities obey log P(R)/Q(R) = slope R + offset with slope 1, offset 0. Both by maximum likelihood, that
 * is logistic regression of where a path is from, without bins; `bar` is minus the offset at slope 1,
 * Bennett's acceptance ratio (Bennett 1976; Shirts et al. 2003, PRL 91:140601). NaN: where the two
 * kinds of paths do not overlap there is no such fit. */
typedef struct vpsde_crooks {
    vpsde_estimate bar, slope;
} vpsde_crooks;

vpsde_crooks vpsde_crooks_fit(const double *p, size_t n_p, const double *q, size_t n_q);

/* What people read of a run, on the terminal and on pages: attributes of /thermo, in this order. */
typedef struct vpsde_quantity {
    const char *name, *label, *unit;
    const char *theory; /* of an exact score and small steps */
    const char
        *tail; /* the attribute with Hill's index that tells whether its error means anything, or
                           NULL */
} vpsde_quantity;

extern const vpsde_quantity vpsde_thermo_quantities[]; /* ended by one without a name */

/* Below this Hill index an error means nothing; what readers are told then, behind the theory. */
extern const double vpsde_tail_too_heavy;
extern const char vpsde_tail_warning[];

#endif
