/* CVODE's BDF for stiff linear systems dy/ds = A(s) y of many equations, as a method of lines makes
 * them. Newton's matrix is A itself: a band where A is tridiagonal, else GMRES on products A y. */
#ifndef VPSDE_SOLVERS_CVODE_LINEAR_H
#define VPSDE_SOLVERS_CVODE_LINEAR_H

#include <stddef.h>

#include <vpsde/status.h>

typedef struct vpsde_linear_system {
    void *context;
    size_t n;
    /* Makes A(s) the current A: asked for many times in a row with the same s. Its failure ends the
     * integration and is what advance returns. */
    vpsde_status (*at)(void *context, double s);
    /* dy = A y */
    void (*apply)(const void *context, const double *y, double *dy);
    /* An element beside or on the diagonal of a tridiagonal A; NULL: A is not. */
    double (*element)(const void *context, size_t row, size_t column);
} vpsde_linear_system;

typedef struct vpsde_cvode_linear vpsde_cvode_linear;

/* From y (n) at s_start towards s_end, past which A is never asked for. The system is copied. */
vpsde_status vpsde_cvode_linear_open(vpsde_cvode_linear **out, const vpsde_linear_system *system,
                                     double rtol, double atol, double s_start, double s_end,
                                     const double *y);
void vpsde_cvode_linear_close(vpsde_cvode_linear *solver); /* NULL is fine */

/* y (n) at s, between the last call's and s_end, by the method's own interpolation: the steps do not
 * depend on where one looks, and the current A is that of another s. ENUMERIC naming what CVODE says. */
vpsde_status vpsde_cvode_linear_advance(vpsde_cvode_linear *solver, double s, double *y);

/* Steps taken so far. */
size_t vpsde_cvode_linear_steps(const vpsde_cvode_linear *solver);

#endif
