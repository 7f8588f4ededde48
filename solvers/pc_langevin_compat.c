/* Predictor-corrector as score_sde ships it: at node k one Langevin step
 *     x <- x + e s + sqrt(2 e) z,   e = 2 a (snr |z|/|s|)^2,   a = alpha_k^2/alpha_{k+1}^2,
 * with the norms of the sample itself (norm: sample) or their means over the block (norm: batch),
 * then the reverse-diffusion predictor to node k + 1.
 * The law is wrong, whatever the number of steps: the step depends on the state and explodes where
 * s -> 0; with norm: batch a sample depends on its block mates besides. Kept to reproduce published
 * figures; pc-langevin is the right one.
 * Source: Song et al. 2021 (arXiv:2011.13456), algorithm 5; score_sde sampling.py,
 * LangevinCorrector. */
#include <math.h>

#include "core/vec.h"
#include "solvers/clock.h"
#include "solvers/driver.h"

extern const vpsde_solver_type vpsde_solver_reverse_diffusion;

enum { SNR, NORM };
enum { OWN_SCRATCH = 2, PREDICTOR_SCRATCH = 2 };
enum { NORM_SAMPLE, NORM_BATCH };
static const vpsde_param params[] = {
    {.name = "snr",
     .value = 0.16,
     .min = 0,
     .max = 1,
     .doc = "signal-to-noise ratio of a corrector step"},
    {.name = "norm",
     .kind = VPSDE_PARAM_CHOICE,
     .choices = "sample|batch",
     .max = 1,
     .doc = "norms of each sample, or their means over the block's samples that are finite"},
    {.name = NULL},
};

/* |z|/|s| of rows begin .. end - 1: ratio of the mean norms over the rows that have not failed. */
static double norm_ratio(const vpsde_step *s, const double *eps, const double *z, size_t begin,
                         size_t end)
{
    double noise = 0, score = 0;
    for (size_t i = begin; i < end; i++) {
        const size_t row = i * s->d;
        if (s->block->status[i] != VPSDE_ROW_OK) continue;
        noise += sqrt(vec_dot(s->d, z + row, z + row));
        score += sqrt(vec_dot(s->d, eps + row, eps + row)) / s->at->sigma;
    }
    return noise / score;
}

static vpsde_status step(vpsde_step *s)
{
    double *eps = s->w[0], *z = s->w[1];
    const size_t begin = s->block->begin, end = begin + s->block->count;
    const double a = 1 - vpsde_stride_beta(s->at, s->next);
    const bool batch = s->param[NORM] == NORM_BATCH;

    VPSDE_TRY(vpsde_eps(s, s->at, s->x, eps));
    vpsde_step_draw(s, 0, z);
    double ratio = batch ? norm_ratio(s, eps, z, begin, end) : 0;
    for (size_t i = begin; i < end; i++) {
        if (!batch) ratio = norm_ratio(s, eps, z, i, i + 1);
        const double r = s->param[SNR] * ratio, e = 2 * a * r * r;
        double *x = s->x + i * s->d;
        vec_lin3(s->d, x, 1, x, -e / s->at->sigma, eps + i * s->d, sqrt(2 * e), z + i * s->d);
    }
    return vpsde_step_as(s, &vpsde_solver_reverse_diffusion, OWN_SCRATCH);
}

static size_t nfe(const double *param, const vpsde_grid *grid)
{
    (void)param;
    return 2 * grid->n_steps;
}

const vpsde_solver_type vpsde_solver_pc_langevin_compat = {
    .name = "pc-langevin-compat",
    .source = "Song et al. 2021 (arXiv:2011.13456), algorithm 5; score_sde sampling.py",
    .doc = "score_sde's corrector with norms of the state: its law is wrong; for comparison only.",
    .flags = VPSDE_SOLVER_STOCHASTIC | VPSDE_SOLVER_COMPAT | VPSDE_SOLVER_BATCH_COUPLED,
    .nfe_per_step = 2,
    .n_scratch = OWN_SCRATCH + PREDICTOR_SCRATCH,
    .params = params,
    .step = step,
    .nfe = nfe,
};
