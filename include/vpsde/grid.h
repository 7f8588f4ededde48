/** Time grids: the nodes a fixed-step solver visits, noise to data.
 *
 *  A grid stores every coefficient of every node; a step goes from node k to node k + 1 and nobody
 *  does arithmetic on indices. Nodes strictly decrease in t. */
#ifndef VPSDE_GRID_H
#define VPSDE_GRID_H

#include <vpsde/process.h>

#ifdef __cplusplus
extern "C" {
#endif

/** What happens at the last node. */
typedef enum vpsde_last_step {
    VPSDE_LAST_STOP,       /* end at t_min; no extra call */
    VPSDE_LAST_TWEEDIE,    /* then x <- x0hat(x, t_min): one extra call */
    VPSDE_LAST_EULER,      /* append t = 0: the solver's own formula takes the last step to 0 */
    VPSDE_LAST_LOWER_ORDER /* as stop, with the last step of a multistep method at order 1 */
} vpsde_last_step;

typedef struct vpsde_grid {
    size_t n_steps;   /* intervals, the one to t = 0 of VPSDE_LAST_EULER included */
    vpsde_coef *node; /* (n_steps + 1), t decreasing; increasing in a reversed grid */
    vpsde_last_step last_step;
    const struct vpsde_grid_type *type;
    double param[VPSDE_PARAM_MAX]; /* the type's, defaults filled in */
    size_t pilot_nfe;              /* network calls (rows) that its calibration spent */
} vpsde_grid;

/** What is produced along the way, for grids that go by it: values at nodes of b. */
typedef struct vpsde_rates {
    size_t n;                  /* nodes, 2 or more */
    const double *b;           /* (n) decreasing, b(t_max) to b(t_min) */
    const double *dissipation; /* (n) 1/2 E|x + s|^2 = -dF/db, F = KL(p_b || N(0, I)), nats */
    const double *entropy;     /* (n) 1/2 (d / sigma^2 - E|s|^2) = dH[x_0 | x_b]/db, nats */
    const double *metric; /* (n) 1/2 E|I + H|_F^2, H the Hessian of log p_b; half of its sum times
                                  db^2 is the path KL of a DDPM chain. NULL: not measured */
} vpsde_rates;

/** One registered grid. `place` writes t of n_steps + 1 nodes from process' t_max to t_min;
 *  `place_by` does so for a type that needs a calibration pass. The ends are set for them. */
typedef struct vpsde_grid_type {
    const char *name, *source, *doc;
    bool takes_times; /* user-given nodes */
    bool by_metric;   /* place_by needs rates->metric */
    const vpsde_param *params;
    vpsde_status (*place)(double *t, size_t n_steps, const vpsde_process *process,
                          const double *param);
    vpsde_status (*place_by)(double *t, size_t n_steps, const vpsde_process *process,
                             const double *param, const vpsde_rates *rates);
} vpsde_grid_type;

VPSDE_API const vpsde_grid_type *vpsde_grid_find(const char *name); /* or NULL */
VPSDE_API const vpsde_grid_type *vpsde_grid_at(size_t index);       /* or NULL past the end */

/** Makes a grid of n_steps intervals, 1 to 10^6, whose ends are t_max and t_min to the bit;
 *  VPSDE_LAST_EULER adds one interval to t = 0 (none when t_min = 0, nor where the rule has put
 *  node n_steps - 1 on t_min already, whose step then leads to 0). `param` may be NULL (defaults).
 *  For a type that takes times, `times` (n_steps + 1) are the nodes. EINVAL: duplicate or
 *  non-decreasing nodes (index and values in the message), t outside (0, t_max] (t = 0 may end a
 *  grid when t_min = 0), t_min = 0 where the grid needs t_min > 0; a type that goes by rates. */
VPSDE_API vpsde_status vpsde_grid_create(vpsde_grid **out, const vpsde_grid_type *type,
                                         const vpsde_process *process, size_t n_steps,
                                         const double *param, const double *times,
                                         vpsde_last_step last_step);
/** The same for a type that goes by rates (it has `place_by`), which are given here; vpsde_grid_calibrate
 *  (vpsde/solver.h) takes them from pilot chains. */
VPSDE_API vpsde_status vpsde_grid_create_by(vpsde_grid **out, const vpsde_grid_type *type,
                                            const vpsde_process *process, size_t n_steps,
                                            const double *param, const vpsde_rates *rates,
                                            vpsde_last_step last_step);
VPSDE_API void vpsde_grid_destroy(vpsde_grid *grid);

/** The same nodes from data to noise: a sampling run on it encodes (vpsde/solver.h). */
VPSDE_API vpsde_status vpsde_grid_reversed(vpsde_grid **out, const vpsde_grid *grid);
/** Does it lead from data to noise? */
VPSDE_API bool vpsde_grid_encodes(const vpsde_grid *grid);

/** "stop", ... and back; -1 for an unknown word. */
VPSDE_API const char *vpsde_last_step_name(vpsde_last_step last_step);
VPSDE_API int vpsde_last_step_find(const char *name);

#ifdef __cplusplus
}
#endif
#endif
