/* A sink in front of another that remembers what a table on the terminal needs, and the end of a
 * run file. */
#ifndef VPSDE_EXPERIMENTS_SUMMARY_H
#define VPSDE_EXPERIMENTS_SUMMARY_H

#include <stdbool.h>

#include <vpsde/run.h>

typedef struct vpsde_summary {
    vpsde_sink *next;
    char label[128];
    size_t n, n_failed;
    double start_s, wall_s;
    double sum_nfe, sum_jvp, max_nfe;
    double sum_logp, sum_bits, sum_bits_2,
        max_stderr; /* likelihood tables, over rows that are fine */
    bool has_logp;
    struct vpsde_watched {
        int column; /* -1 when absent */
        vpsde_dtype type;
    } nfe, jvp, status, logp, bits, trace_stderr;
} vpsde_summary;

/* Passes everything on to `next` and counts. */
vpsde_sink vpsde_summary_sink(vpsde_summary *summary, vpsde_sink *next);
void vpsde_summary_print(const vpsde_summary *summary, bool heading);

/* Finishes the run file after work that ended with `status`: complete (also with failed samples),
 * interrupted when it was stopped. Returns `status`, or the failure of writing. */
vpsde_status vpsde_run_close(vpsde_run *run, vpsde_status status);

#endif
