/* Moments of a model's law in closed form. */
#ifndef VPSDE_ANALYSIS_MOMENTS_H
#define VPSDE_ANALYSIS_MOMENTS_H

#include <stdbool.h>

#include <vpsde/model.h>

/* mean (d) and covariance (d, d) of p_t; false where they are not known: for anything but a Gaussian
 * mixture without classes. */
bool vpsde_exact_moments(double *mean, double *covariance, const vpsde_model *model,
                         const vpsde_coef *c);

#endif
