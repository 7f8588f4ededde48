/* What a likelihood run announces, stages and tallies; private to likelihood.c. */
#ifndef VPSDE_SOLVERS_LIKELIHOOD_TABLE_H
#define VPSDE_SOLVERS_LIKELIHOOD_TABLE_H

#include <vpsde/likelihood.h>

#include "core/parallel.h"
#include "solvers/driver.h"

/* Results of one block: five columns of nats and bits, then the ledger. */
enum {
    VPSDE_SCORE_LOGP,
    VPSDE_SCORE_PRIOR,
    VPSDE_SCORE_DELTA,
    VPSDE_SCORE_BITS,
    VPSDE_SCORE_STDERR,
    VPSDE_N_SCORES
};

typedef struct vpsde_score_rows {
    double *score[VPSDE_N_SCORES]; /* (capacity) each */
    int32_t *nfe, *jvp, *rejected;
    uint8_t *status; /* vpsde_row_status */
} vpsde_score_rows;

vpsde_status vpsde_score_rows_create(vpsde_score_rows **out, size_t capacity);
void vpsde_score_rows_destroy(vpsde_score_rows *rows); /* NULL is fine */

typedef struct vpsde_score_report {
    const vpsde_likelihood *run;
    vpsde_sink *sink; /* may be NULL */
    vpsde_lock *lock;
    double started;
    size_t done, skipped, n_non_finite, n_failed;
    uint64_t first_bad;
    double nfe;
} vpsde_score_report;

/* Checks the table (EINVAL, for a label that is no name) and calls sink->begin. `param` are the
 * integrator's, defaults filled in. */
vpsde_status vpsde_score_report_begin(vpsde_score_report *report, const vpsde_likelihood *run,
                                      const double *param, vpsde_sink *sink);
/* Hands rows on as samples first .. first + n - 1; rows that failed become NaN. */
vpsde_status vpsde_score_report_write(vpsde_score_report *report, vpsde_score_rows *rows,
                                      uint64_t first, size_t n);
/* Has the sink these rows from before an interruption? Then they count as done. */
bool vpsde_score_report_has(vpsde_score_report *report, uint64_t first, size_t n);
/* Calls sink->end when status is OK; returns status, or EPARTIAL. */
vpsde_status vpsde_score_report_end(vpsde_score_report *report, vpsde_status status,
                                    size_t n_threads);

#endif
