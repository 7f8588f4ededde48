/* What a Fokker-Planck run announces and stores of a time; private to fokker_planck.c. */
#ifndef VPSDE_SOLVERS_FOKKER_PLANCK_TABLE_H
#define VPSDE_SOLVERS_FOKKER_PLANCK_TABLE_H

#include "solvers/fokker_planck_cells.h"

/* Columns of one number a time, then of one a cell. */
enum {
    VPSDE_FP_MASS,
    VPSDE_FP_FREE_ENERGY,
    VPSDE_FP_ENTROPY,
    VPSDE_FP_MIN_DENSITY,
    VPSDE_FP_EDGE_MASS,
    VPSDE_FP_TV,
    VPSDE_FP_OUTSIDE,
    VPSDE_N_FP_NUMBERS
};
enum { VPSDE_FP_DENSITY, VPSDE_FP_FLUX, VPSDE_FP_EXACT, VPSDE_N_FP_FIELDS };

typedef struct vpsde_fp_row {
    double number[VPSDE_N_FP_NUMBERS];
    double *field[VPSDE_N_FP_FIELDS]; /* (n_cells); flux (d, n_cells) */
    int32_t steps;
} vpsde_fp_row;

/* Announces the table; t, b, alpha, sigma are those of the rows. */
vpsde_status vpsde_fp_begin(vpsde_sink *sink, const vpsde_fp_cells *cells);
/* Hands a row on; sink may be NULL. */
vpsde_status vpsde_fp_write(vpsde_sink *sink, const vpsde_fp_cells *cells, size_t number,
                            const vpsde_fp_row *row);

/* The time of row `number`: rows are in the order of the run. */
double vpsde_fp_time(const vpsde_fokker_planck *run, size_t number);

/* Does the model know its own density? Then there are columns about it. */
bool vpsde_fp_knows_density(const vpsde_fokker_planck *run);

#endif
