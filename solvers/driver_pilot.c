#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "core/vec.h"
#include "solvers/chain.h"

typedef struct shared {
    const vpsde_sampling *run;
    const vpsde_solver_type *predictor;
    double param[VPSDE_PARAM_MAX];
    vpsde_moments *moments; /* (VPSDE_PILOT_SAMPLES, n_steps + 1) */
    size_t rows;
    size_t n_classes; /* over which the chains are spread; 0: unconditional */
} shared;

/* Pilot noise: node 0 is the start state, the trees of the paths follow; steps with draws beside
 * the path are no predictors. */
static void no_draw(const vpsde_block *block, size_t k, unsigned draw, size_t d, double *z)
{
    (void)k;
    (void)draw;
    memset(z, 0, block->count * d * sizeof(*z));
}

static const vpsde_noise_source pilot_noise = {
    .purpose = VPSDE_NOISE_PILOT,
    .stretch = vpsde_noise_stretch,
    .draw = no_draw,
};

/* N(0, I) is p_T's stand-in; below t_max only exact draws will do. */
static vpsde_status start(const vpsde_sampling *run, uint64_t first, size_t n,
                          const int32_t *classes, double *x)
{
    const vpsde_model *model = run->model;
    const bool exact = vpsde_process_get_spec(run->process)->terminal == VPSDE_TERMINAL_EXACT;
    const bool prior = vpsde_sampling_from_t_max(run);
    if ((exact || !prior) && model->type->draw) {
        return vpsde_model_draw(model, &run->grid->node[0], run->seed, VPSDE_NOISE_PILOT, first, n,
                                classes, x);
    }
    if (!prior) {
        return vpsde_fail(VPSDE_EINVAL,
                          "there is no law to start them from at t = %g: %s does not draw and the "
                          "prior is for t_max = %g",
                          run->grid->node[0].t, model->type->name,
                          vpsde_process_t_max(run->process));
    }
    vpsde_normals(x, run->seed, VPSDE_NOISE_PILOT, first, n, 0, model->dim);
    return VPSDE_OK;
}

static void record(const shared *all, const vpsde_chain *chain, uint64_t first, size_t k)
{
    const vpsde_block *block = &chain->block;
    for (size_t i = 0; i < block->count; i++) {
        const bool ok = block->status[block->begin + i] == VPSDE_ROW_OK;
        vpsde_moments *cell = &all->moments[(first + i) * (all->run->grid->n_steps + 1) + k];
        *cell = block->moments[block->begin + i];
        if (!ok) cell->eps_eps = (double)NAN;
    }
}

static vpsde_status run_block(const shared *all, vpsde_chain *chain, double *eps, uint64_t first,
                              size_t count)
{
    const size_t n_steps = all->run->grid->n_steps;
    vpsde_step *s = &chain->step;
    vpsde_chain_place(chain, first, count);
    for (size_t i = 0; i < count && all->n_classes > 0; i++) {
        chain->classes[chain->block.begin + i] = (int32_t)((first + i) % all->n_classes);
    }
    VPSDE_TRY(start(all->run, first, count, chain->classes + chain->block.begin,
                    vpsde_chain_rows(chain)));
    for (size_t k = 0; k < n_steps; k++) {
        VPSDE_TRY(vpsde_sampling_stopped(all->run));
        VPSDE_TRY(vpsde_chain_step(chain, k)); /* its one network call is at node k */
        record(all, chain, first, k);
    }
    vpsde_chain_stand(chain, n_steps);
    if (s->at->sigma > 0) {
        VPSDE_TRY(vpsde_eps(s, s->at, s->x, eps));
        record(all, chain, first, n_steps);
    }
    return VPSDE_OK;
}

static vpsde_status work(void *context, vpsde_queue *queue)
{
    const shared *all = context;
    vpsde_chain *chain = NULL;
    double *eps = NULL;
    vpsde_moments *moments = NULL;
    size_t b;
    vpsde_status status =
        vpsde_chain_create(&chain, all->run, all->predictor, all->param, NULL, &pilot_noise);
    if (status == VPSDE_OK) {
        status = vpsde_alloc(&eps, all->rows * all->run->model->dim, sizeof(*eps));
    }
    if (status == VPSDE_OK) status = vpsde_alloc(&moments, all->rows, sizeof(*moments));
    while (status == VPSDE_OK && vpsde_queue_take(queue, &b)) {
        const size_t first = b * all->rows, left = VPSDE_PILOT_SAMPLES - first;
        chain->block.moments = moments;
        status = run_block(all, chain, eps, first, left < all->rows ? left : all->rows);
    }
    vpsde_chain_destroy(chain);
    free(eps);
    free(moments);
    return status;
}

size_t vpsde_pilot_classes(const vpsde_sampling *run)
{
    for (size_t i = 0; run->classes && i < run->count; i++) {
        if (run->classes[i] >= 0) return run->model->n_classes;
    }
    return 0;
}

/* Means over the pilot samples in their order; samples that did not stay finite are left out. */
static vpsde_status average(vpsde_moments *moments, const shared *all)
{
    const size_t n_nodes = all->run->grid->n_steps + 1;
    for (size_t k = 0; k < n_nodes; k++) {
        const vpsde_coef *node = &all->run->grid->node[k];
        vpsde_moments sum = {0};
        double n = 0;
        for (size_t i = 0; node->sigma > 0 && i < VPSDE_PILOT_SAMPLES; i++) {
            const vpsde_moments *cell = &all->moments[i * n_nodes + k];
            if (!isfinite(cell->eps_eps) || !isfinite(cell->x_x)) continue;
            sum.eps_eps += cell->eps_eps;
            sum.x_eps += cell->x_eps;
            sum.x_x += cell->x_x;
            n++;
        }
        moments[k] = (vpsde_moments){0};
        if (!(node->sigma > 0)) continue;
        if (!(sum.eps_eps > 0 && isfinite(sum.eps_eps))) {
            return vpsde_fail(
                VPSDE_ENUMERIC,
                "E|s|^2 at t = %g (node %zu) must be positive and finite, got %g from "
                "%g finite samples",
                node->t, k, sum.eps_eps / (node->sigma * node->sigma), n);
        }
        moments[k] = (vpsde_moments){sum.eps_eps / n, sum.x_eps / n, sum.x_x / n};
    }
    return VPSDE_OK;
}

vpsde_status vpsde_pilot_moments(vpsde_pilot *pilot, const vpsde_solver_type *predictor,
                                 vpsde_moments *moments)
{
    const vpsde_sampling *run = pilot->run;
    const size_t n_nodes = run->grid->n_steps + 1;
    shared all = {.run = run,
                  .predictor = predictor,
                  .rows = vpsde_block_rows(run->model),
                  .n_classes = vpsde_pilot_classes(run)};
    size_t cells;
    vpsde_param_defaults(all.param, predictor->params);
    VPSDE_TRY(vpsde_size_mul(&cells, VPSDE_PILOT_SAMPLES, n_nodes, "pilot table"));
    VPSDE_TRY(vpsde_alloc(&all.moments, cells, sizeof(*all.moments)));
    const size_t n_blocks = (VPSDE_PILOT_SAMPLES + all.rows - 1) / all.rows;
    vpsde_status status = vpsde_parallel(pilot->n_threads, n_blocks, work, &all, run->control.stop);
    if (status == VPSDE_OK) status = average(moments, &all);
    free(all.moments);
    const bool to_zero = !(run->grid->node[run->grid->n_steps].sigma > 0);
    pilot->nfe += VPSDE_PILOT_SAMPLES * (n_nodes - to_zero);
    return status == VPSDE_OK ? status : vpsde_fail_in(status, "pilot samples");
}

vpsde_status vpsde_pilot_score_square(vpsde_pilot *pilot, const vpsde_solver_type *predictor,
                                      double *score_square)
{
    const vpsde_grid *grid = pilot->run->grid;
    vpsde_moments *moments;
    if (pilot->score_square) {
        memcpy(score_square, pilot->score_square, (grid->n_steps + 1) * sizeof(*score_square));
        return VPSDE_OK;
    }
    VPSDE_TRY(vpsde_alloc(&moments, grid->n_steps + 1, sizeof(*moments)));
    const vpsde_status status = vpsde_pilot_moments(pilot, predictor, moments);
    for (size_t k = 0; status == VPSDE_OK && k <= grid->n_steps; k++) {
        const double sigma = grid->node[k].sigma;
        score_square[k] = sigma > 0 ? moments[k].eps_eps / (sigma * sigma) : 0;
    }
    free(moments);
    return status;
}
