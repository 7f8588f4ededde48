/* Plots of a run file for papers: NAME.dat and NAME.gp, from which gnuplot makes NAME.svg and NAME.png.
 *
 * A plot is one file plot_NAME.c with one const table and one line in plots.def. */
#ifndef VPSDE_ANALYSIS_PLOTS_H
#define VPSDE_ANALYSIS_PLOTS_H

#include <stdio.h>

#include "analysis/report.h"

/* What a plot writes to. The script's terminal, output and style are set before it; it ends with its
 * plot command. Texts in it go through vpsde_plot_text(). */
typedef struct vpsde_plot_out {
    FILE *data, *script;
    const char *file; /* the data's name, as the script has to quote it */
    bool empty;       /* there is nothing to draw: no file is left */
} vpsde_plot_out;

typedef struct vpsde_plot {
    const char *name;  /* of the files */
    const char *group; /* made where the file has this group */
    vpsde_status (*write)(vpsde_plot_out *out, const vpsde_page *r);
} vpsde_plot;

/* All plots that the file has something for into `folder`, which is made; *n: how many. EEXIST when one
 * is there and !force, EIO, EINTERNAL when gnuplot is missing or fails: scripts and data are there. */
vpsde_status vpsde_plots_write(size_t *n, const vpsde_page *r, const char *folder, bool force);

/* 'text' as a gnuplot string, of letters, digits and plain marks. */
void vpsde_plot_text(FILE *file, const char *text);

#endif
