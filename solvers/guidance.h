/* Classifier-free guidance: one evaluation of a class-conditional model made of two.
 *     eps = (1 + w) eps(x, c) - w eps(x)
 * (Ho & Salimans 2022, arXiv:2207.12598, eq. (6)); likewise tangents, divergence and log density,
 * whose gradient it then is. Rows without a class keep the bits of eps(x). */
#ifndef VPSDE_SOLVERS_GUIDANCE_H
#define VPSDE_SOLVERS_GUIDANCE_H

#include <vpsde/solver.h>

/* One worker's: zero weight means none. */
typedef struct vpsde_guidance {
    double weight;
    size_t rows, tangents, d;
    double *memory; /* what the model says without classes */
} vpsde_guidance;

/* The weight that counts: 0 for rows of which none has a class. */
static inline double vpsde_guidance_weight(double weight, const int32_t *classes)
{
    return classes ? weight : 0;
}

/* Network evaluations of one call of the solver. */
static inline size_t vpsde_guidance_calls(double weight) { return weight != 0 ? 2 : 1; }

/* EINVAL for a weight that is no number, and for one that the model has no classes for. */
vpsde_status vpsde_guidance_check(double weight, const vpsde_model *model);

/* For calls of up to `rows` rows with `tangents` tangents each. */
vpsde_status vpsde_guidance_open(vpsde_guidance *g, double weight, const vpsde_model *model,
                                 size_t rows, size_t tangents);
void vpsde_guidance_close(vpsde_guidance *g); /* of a zeroed one too */

/* vpsde_model_eval with guidance. range is the conditional model's. Allocates nothing. */
vpsde_status vpsde_guidance_eval(const vpsde_guidance *g, const vpsde_model *model, void *ws,
                                 const vpsde_eval *e);

#endif
