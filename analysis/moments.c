/* A mixture's m = alpha sum w_k mu_k and C = sigma^2 I + alpha^2 sum w_k (Sigma_k + (mu_k - mu)(mu_k - mu)^T),
 * mu = sum w_k mu_k. */
#include "analysis/moments.h"

#include <math.h>

#include "models/mixture.h"
#include "models/model.h"

/* out += factor Sigma_k */
static void add_component(double *out, const mixture *m, size_t k, double factor)
{
    const size_t d = m->d;
    const double *lambda = m->lambda + m->spectrum[k] * d;
    if (m->rotation[k] == MIXTURE_UNROTATED) {
        for (size_t j = 0; j < d; j++) out[j * d + j] += factor * lambda[j];
        return;
    }
    for (size_t r = 0; r < d; r++) {
        const double *v = m->basis + (m->rotation[k] * d + r) * d;
        for (size_t j = 0; j < d; j++) {
            const double a = factor * lambda[r] * v[j];
            for (size_t l = 0; l < d; l++) out[j * d + l] += a * v[l];
        }
    }
}

bool vpsde_exact_moments(double *mean, double *covariance, const vpsde_model *model,
                         const vpsde_coef *c)
{
    const mixture *m = model->impl;
    if (model->type != &vpsde_model_gaussian_mixture || m->n_classes > 0) return false;
    const size_t d = m->d;
    const double a2 = c->alpha * c->alpha;
    for (size_t j = 0; j < d; j++) mean[j] = 0;
    for (size_t q = 0; q < d * d; q++) covariance[q] = 0;
    for (size_t k = 0; k < m->n; k++) {
        const double w = exp(m->log_weight[k]);
        for (size_t j = 0; j < d; j++) mean[j] += w * m->mean[k * d + j];
    }
    for (size_t k = 0; k < m->n; k++) {
        const double w = exp(m->log_weight[k]), *mu = m->mean + k * d;
        add_component(covariance, m, k, a2 * w);
        for (size_t j = 0; j < d; j++) {
            const double a = a2 * w * (mu[j] - mean[j]);
            for (size_t l = 0; l < d; l++) covariance[j * d + l] += a * (mu[l] - mean[l]);
        }
    }
    for (size_t j = 0; j < d; j++) {
        covariance[j * d + j] += c->sigma * c->sigma;
        mean[j] *= c->alpha;
    }
    return true;
}
