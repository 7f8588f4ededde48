/* States of a run as points or pictures, for the sections that show some. */
#ifndef VPSDE_ANALYSIS_REPORT_STATES_H
#define VPSDE_ANALYSIS_REPORT_STATES_H

#include "analysis/report.h"

/* Values of a dataset of states that are read at once; of the least that can be, a state or a path. */
enum { VPSDE_PAGE_ROOM = 1 << 24, VPSDE_PAGE_ONE_MAX = 1 << 28 };

typedef struct vpsde_page_state {
    bool image;
    size_t channels, rows, columns; /* of an image */
    size_t dim;                     /* values of a state */
    size_t coordinates;             /* of a point: 1 or 2, the first ones */
    size_t picture;                 /* bytes of an image: one or three channels */
} vpsde_page_state;

/* STATE of a dataset (sample, ..., STATE) whose STATE begins at axis `first`; false when it is neither
 * a vector nor an image, or empty, or too big to be read. */
bool vpsde_page_state_of(vpsde_page_state *state, const vpsde_h5_node *node, size_t first);
void vpsde_page_state_put_shape(vpsde_json *j, const vpsde_page_state *state);

/* "points": coordinates of n states. */
vpsde_status vpsde_page_state_put_points(vpsde_json *j, const vpsde_page_state *state,
                                         const double *values, size_t n);
/* "pixels": n pictures, the data's range on 0 to 255; `widen` (n, or NULL) widens it on both sides by
 * these shares. */
vpsde_status vpsde_page_state_put_pictures(const vpsde_page *r, const vpsde_page_state *state,
                                           const double *values, size_t n, const double *widen);

#endif
