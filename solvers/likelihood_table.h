/* What a likelihood run announces and stages; private to likelihood.c. */
#ifndef VPSDE_SOLVERS_LIKELIHOOD_TABLE_H
#define VPSDE_SOLVERS_LIKELIHOOD_TABLE_H

#include <vpsde/likelihood.h>

#include "solvers/delivery.h"

/* Results of one block: columns of nats and bits, then the ledger. */
enum {
    VPSDE_SCORE_LOGP,
    VPSDE_SCORE_PRIOR,
    VPSDE_SCORE_DELTA,
    VPSDE_SCORE_BITS,
    VPSDE_SCORE_STDERR,
    VPSDE_SCORE_HALFWIDTH,
    VPSDE_SCORE_ODE,
    VPSDE_SCORE_FLOAT32,
    VPSDE_SCORE_NUMERICAL,
    VPSDE_SCORE_TRUNCATION,
    VPSDE_SCORE_TERMINAL,
    VPSDE_SCORE_DEQUANTISATION,
    VPSDE_SCORE_DRAWS,
    VPSDE_SCORE_BUDGET,
    VPSDE_SCORE_CORRECTION,
    VPSDE_N_SCORES
};

typedef struct vpsde_score_rows {
    double *score[VPSDE_N_SCORES]; /* (capacity) each */
    int32_t *nfe, *jvp, *rejected;
    uint8_t *status; /* vpsde_row_status */
} vpsde_score_rows;

vpsde_status vpsde_score_rows_create(vpsde_score_rows **out, size_t capacity);
void vpsde_score_rows_destroy(vpsde_score_rows *rows); /* NULL is fine */

/* Builds the table and begins the delivery. `param` are the integrator's, defaults filled in. */
vpsde_status vpsde_score_begin(vpsde_delivery *delivery, const vpsde_likelihood *run,
                               const double *param, vpsde_sink *sink);
/* Hands rows on as samples first .. first + n - 1; rows that failed become NaN. */
vpsde_status vpsde_score_write(vpsde_delivery *delivery, const vpsde_likelihood *run,
                               vpsde_score_rows *rows, uint64_t first, size_t n);

#endif
