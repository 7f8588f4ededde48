/* What a run of the discrete bound announces and stages; private to elbo.c. */
#ifndef VPSDE_SOLVERS_ELBO_TABLE_H
#define VPSDE_SOLVERS_ELBO_TABLE_H

#include <vpsde/elbo.h>

#include "solvers/delivery.h"

/* Columns of one number a row, then of one a step. */
enum {
    VPSDE_BOUND_ELBO,
    VPSDE_BOUND_BITS,
    VPSDE_BOUND_STDERR,
    VPSDE_BOUND_IWAE,
    VPSDE_BOUND_IWAE_STDERR,
    VPSDE_BOUND_I_MMSE,
    VPSDE_BOUND_PRIOR,
    VPSDE_BOUND_DATA,
    VPSDE_N_BOUNDS
};
enum { VPSDE_PER_STEP_L, VPSDE_PER_STEP_EPS, VPSDE_PER_STEP_X0, VPSDE_N_PER_STEP };

typedef struct vpsde_bound_rows {
    size_t n_steps;
    double *bound[VPSDE_N_BOUNDS];      /* (capacity) */
    double *per_step[VPSDE_N_PER_STEP]; /* (capacity, n_steps) */
    int32_t *nfe;
    uint8_t *status; /* vpsde_row_status */
} vpsde_bound_rows;

vpsde_status vpsde_bound_rows_create(vpsde_bound_rows **out, size_t capacity, size_t n_steps);
void vpsde_bound_rows_destroy(vpsde_bound_rows *rows); /* NULL is fine */

/* Builds the table and begins the delivery. pilot_nfe: calls of a calibration pass, or 0. */
vpsde_status vpsde_bound_begin(vpsde_delivery *delivery, const vpsde_elbo *run, size_t pilot_nfe,
                               vpsde_sink *sink);
/* Hands rows on as samples first .. first + n - 1; rows that failed become NaN. */
vpsde_status vpsde_bound_write(vpsde_delivery *delivery, const vpsde_elbo *run,
                               vpsde_bound_rows *rows, uint64_t first, size_t n);

#endif
