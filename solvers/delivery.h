/* From workers to the sink: one caller at a time, counted, and summed up at the end. What sampling
 * and likelihood runs share. */
#ifndef VPSDE_SOLVERS_DELIVERY_H
#define VPSDE_SOLVERS_DELIVERY_H

#include <vpsde/sink.h>

#include "core/parallel.h"

typedef enum vpsde_row_status {
    VPSDE_ROW_OK,
    VPSDE_ROW_NON_FINITE,
    VPSDE_ROW_INTEGRATION_FAILED
} vpsde_row_status;

typedef struct vpsde_delivery {
    const char *what; /* one row, as messages call it: "sample" */
    const char *rate; /* name of the fact: "samples_per_second" */
    const vpsde_control *control;
    size_t total; /* rows of the run */
    /* private */
    vpsde_sink *sink;
    vpsde_lock *lock;
    double started;
    size_t done, skipped, n_non_finite, n_failed;
    size_t given; /* where several processes share the table: rows handed out to all of them */
    uint64_t first_bad;
    double nfe; /* rows evaluated, all kinds */
} vpsde_delivery;

/* int32: the class of each row that a table is about, where its run has classes. */
extern const vpsde_column vpsde_class_column;

/* The ledger of n rows: nfe_log may be NULL. */
typedef struct vpsde_ledger {
    const int32_t *nfe, *nfe_log;
    const uint8_t *status; /* vpsde_row_status */
} vpsde_ledger;

/* The public members are set, the others zero. The run's time starts here. */
vpsde_status vpsde_delivery_open(vpsde_delivery *delivery);
void vpsde_delivery_close(vpsde_delivery *delivery); /* of a zeroed one too */

/* "/FOLDER/LABEL" to be freed, a table's path: each `-` of the two becomes `_`. */
vpsde_status vpsde_table_path(char **out, const char *folder, const char *label);

/* Checks the table (EINVAL, for a label that is no name) and calls sink->begin. sink may be NULL:
 * numbers go nowhere. */
vpsde_status vpsde_delivery_begin(vpsde_delivery *delivery, vpsde_sink *sink,
                                  const vpsde_table *table);
/* Hands the table's columns on as rows first .. first + n - 1 (global); reports progress. */
vpsde_status vpsde_delivery_write(vpsde_delivery *delivery, uint64_t first, size_t n,
                                  const void *const *data, const vpsde_ledger *ledger);
/* Has the sink these rows from before an interruption? Then they count as done. */
bool vpsde_delivery_has(vpsde_delivery *delivery, uint64_t first, size_t n);
/* Blocks of `rows` that run_count rows from run_first on lie in. */
static inline size_t vpsde_delivery_blocks(size_t run_first, size_t run_count, size_t rows)
{
    return (run_first + run_count - 1) / rows - run_first / rows + 1;
}
/* The next block of the queue with rows that are not there: its part first .. first + n - 1 of the
 * run's rows run_first .. run_first + run_count - 1, blocks being cut at multiples of `rows`. False
 * when there is none left. */
bool vpsde_delivery_take(vpsde_delivery *delivery, vpsde_queue *queue, size_t run_first,
                         size_t run_count, size_t rows, uint64_t *first, size_t *n);
/* Calls sink->end with rates when status is OK, and returns what the run returns: status itself, or
 * EPARTIAL with "3 of 500 samples became non-finite (first: sample 17)". */
vpsde_status vpsde_delivery_end(vpsde_delivery *delivery, vpsde_status status, size_t n_threads);

#endif
