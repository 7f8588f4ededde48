/* The global half of `vpsde transport`: what all rows and their images say together. */
#ifndef VPSDE_EXPERIMENTS_TRANSPORT_H
#define VPSDE_EXPERIMENTS_TRANSPORT_H

#include "experiments/setup.h"

/* The table of vpsde_transport_run, kept in memory on its way to `next`. */
typedef struct vpsde_transport_rows {
    vpsde_sink sink; /* pass &rows.sink; the struct must not move */
    vpsde_sink *next;
    size_t first, count, dim, n_times;                   /* set by the owner, as the three below */
    const double *weight;                                /* (n_times) of an integral over b */
    size_t n;                                            /* rows that are fine */
    double *x, *image, *antisymmetry, *smallest, *speed; /* those of row first + i at i */
    uint8_t *status;
    struct vpsde_transport_column {
        const char *name;
        double **into;
        size_t width, at; /* elements a row; number of the column */
    } column[5];
    size_t status_at;
} vpsde_transport_rows;

/* Room for `count` rows; to be closed in any case. */
vpsde_status vpsde_transport_rows_open(vpsde_transport_rows *rows, vpsde_sink *next);
void vpsde_transport_rows_close(vpsde_transport_rows *rows);

/* Costs are means over the rows of |x - E(x)|^2. */
typedef struct vpsde_transport_facts {
    double identity, optimal; /* each row with its own image; with the best assignment of images */
    double gap;               /* (identity - optimal)/identity */
    double reassigned;        /* share of rows whose best image is another's */
    double length;            /* L = int sqrt(E |v|^2) db along the rows */
    double entropy;           /* Sigma = 2 int E |v|^2 db, nats */
    double b;                 /* that the flow spans */
    double straightness, straightness_stderr; /* optimal/L^2 */
} vpsde_transport_facts;

/* Both certificates that need all rows, and their tables /transport/pairs and
 * /transport/speed. */
vpsde_status vpsde_transport_judge(vpsde_transport_facts *facts, const vpsde_transport_rows *rows,
                                   const vpsde_setup *s, vpsde_sink *sink);

#endif
