/* Cells, the faces between them, and what moves probability through a face; private to
 * fokker_planck.c. Cell (i, j) is element i n[1] + j; one dimension has n[1] = 1. */
#ifndef VPSDE_SOLVERS_FOKKER_PLANCK_CELLS_H
#define VPSDE_SOLVERS_FOKKER_PLANCK_CELLS_H

#include "solvers/cvode_linear.h"
#include "solvers/fokker_planck.h"
#include "solvers/guidance.h"

/* Evaluates its share of the faces. */
typedef struct vpsde_fp_part {
    void *workspace;
    vpsde_guidance guidance;
    vpsde_status status;
    char message[256];
} vpsde_fp_part;

typedef struct vpsde_fp_cells {
    const vpsde_fokker_planck *run;
    size_t d, n[VPSDE_FP_DIM], n_cells, n_faces;
    double h[VPSDE_FP_DIM], volume;
    double *middle[VPSDE_FP_DIM]; /* (n[a]) of the cells along axis a */
    double *centre;               /* (n_cells, d) */
    /* (n_faces): those across axis 0, then those across axis 1 */
    double *face, *eps; /* (n_faces, d) */
    double *up, *down;  /* d_b of the cell behind: up q_before - down q_behind */
    int32_t *classes;   /* (n_faces) or NULL; n_faces >= n_cells - 1 */
    double b_start;     /* of the run's direction */
    vpsde_coef at;
    double s; /* the rates' time; NaN: there are none yet */
    vpsde_fp_part *part;
    size_t n_parts, rows; /* of a network call */
} vpsde_fp_cells;

vpsde_status vpsde_fp_cells_open(vpsde_fp_cells *cells, const vpsde_fokker_planck *run);
void vpsde_fp_cells_close(vpsde_fp_cells *cells); /* of a zeroed one too */

/* The semi-discrete equation dq/ds = A(s) q; s = b - b_min forward, b_max - b reverse. */
vpsde_linear_system vpsde_fp_cells_system(vpsde_fp_cells *cells);

/* flux (d, n_cells): probability through a cell's middle a unit of b and, in two dimensions, of
 * length: the mean of its two faces, with the rates of the last s. */
void vpsde_fp_cells_flux(const vpsde_fp_cells *cells, const double *q, double *flux);

/* The model's own density at `at`, at the cells' middles. */
vpsde_status vpsde_fp_cells_density(const vpsde_fp_cells *c, const vpsde_coef *at, double *q);

#endif
