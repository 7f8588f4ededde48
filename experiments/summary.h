/* A sink in front of another that remembers what a table on the terminal needs. */
#ifndef VPSDE_EXPERIMENTS_SUMMARY_H
#define VPSDE_EXPERIMENTS_SUMMARY_H

#include <stdbool.h>

#include <vpsde/run.h>

#include "experiments/budget_summary.h"

typedef struct vpsde_summary {
    vpsde_sink *next;
    char label[128];
    vpsde_run *run;               /* of `next`, or NULL: rows it has from before count too */
    size_t n, n_failed, n_before; /* n_before: of the n, from before */
    double start_s, wall_s, rate; /* rate: rows of now a second */
    double sum_nfe, sum_jvp, max_nfe;
    /* of the discrete bound */
    double sum_iwae, sum_iwae_2, sum_i_mmse, sum_i_mmse_2;
    double sum_logp, sum_bits, sum_bits_2; /* likelihood tables, over rows that are fine */
    struct vpsde_watched {
        int column; /* -1 when absent */
        vpsde_dtype type;
    } nfe, jvp, status, logp, bits, iwae, i_mmse; /* logp: elbo of the discrete bound */
    vpsde_budget_summary budget;
} vpsde_summary;

/* Passes everything on to `next` and counts. */
vpsde_sink vpsde_summary_sink(vpsde_summary *summary, vpsde_sink *next);
void vpsde_summary_print(const vpsde_summary *summary, bool heading);

/* The standard error of a mean of n numbers, from their sum and that of their squares; "-" below two. */
enum { VPSDE_STDERR_SIZE = 32 };
void vpsde_summary_stderr(char text[VPSDE_STDERR_SIZE], double n, double sum, double square);

/* `status` of a computation, EPARTIAL when rows from before had failed. */
vpsde_status vpsde_summary_status(const vpsde_summary *summary, vpsde_status status);

#endif
