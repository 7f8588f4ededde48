/* The discrete bound over the rows of a data set: forward chains x_1 .. x_T, a network call at each
 * node, and the terms of solvers/elbo_terms.h. Beside the bound, from the same calls:
 *     iwae   = log mean_r w_r,  log w = log N(x_T; 0, I) + sum_t log p(x_{t-1}|x_t)/q(x_t|x_{t-1})
 *     i_mmse = -(d/2) log(2 pi e) + (1/2) int (alpha^2 |eps|^2 - |eps - eps*|^2) dlog snr
 * where the drawn |eps|^2 stands for its mean d, because then most of the noise cancels.
 * Source: Ho et al. 2020 (arXiv:2006.11239); Sohl-Dickstein et al. 2015 (arXiv:1503.03585); Burda
 * et al. 2016 (arXiv:1509.00519); Kong et al. 2023 (arXiv:2302.03792). */
#include <vpsde/elbo.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "core/vec.h"
#include "models/trained.h"
#include "solvers/batch.h"
#include "solvers/budget.h"
#include "solvers/chain.h"
#include "solvers/elbo_table.h"
#include "solvers/elbo_terms.h"

extern const vpsde_solver_type vpsde_solver_ancestral;

enum { EPS, Z, BEFORE, X0HAT, N_BUFFERS };

/* Buffers for a chain that walks forward: no step of its own. */
static const vpsde_solver_type forward_chain = {.name = "elbo", .n_scratch = N_BUFFERS};

typedef struct bound {
    const vpsde_elbo *run;
    vpsde_sampling sampling; /* what chains and pilots are made from */
    vpsde_elbo_step *step;   /* (T) */
    size_t n_steps, d, rows, n_threads, pilot_nfe;
    vpsde_delivery *delivery;
} bound;

typedef struct worker {
    const bound *all;
    vpsde_chain *chain;
    vpsde_bound_rows *rows;
    double *x0;            /* (count, d) of the block */
    double *cost, *weight; /* (rows, draws): sum of L_t, log w */
} worker;

/* ---- one step of one draw -------------------------------------------------------------------- */

static void score_row(worker *w, size_t t, size_t draw, size_t i)
{
    const bound *all = w->all;
    const vpsde_elbo_step *s = &all->step[t - 1];
    const size_t d = all->d, row = (w->chain->block.begin + i) * d;
    double *const *buffer = w->chain->w;
    const double *x = w->chain->step.x + row, *z = buffer[Z] + row, *eps = buffer[EPS] + row;
    const double *x0 = w->x0 + i * d;
    double *x0hat = buffer[X0HAT] + row, mse_x0 = 0, l;
    vec_lin2(d, x0hat, 1 / s->at->alpha, x, -s->at->sigma / s->at->alpha, eps);
    for (size_t j = 0; j < d; j++) mse_x0 += (x0hat[j] - x0[j]) * (x0hat[j] - x0[j]);
    const size_t cell = i * all->run->draws + draw;
    if (t == 1) {
        l = vpsde_elbo_data(s, &all->run->levels, d, x0, x0hat);
        w->weight[cell] = vpsde_elbo_ratio_data(s, d, l, z);
        w->cost[cell] = w->rows->bound[VPSDE_BOUND_PRIOR][i] + l;
    } else {
        l = vpsde_elbo_kl(s, d, mse_x0);
        w->weight[cell] += vpsde_elbo_ratio(s, d, buffer[BEFORE] + row, x, x0hat, z);
        w->cost[cell] += l;
    }
    if (t == all->n_steps) w->weight[cell] += vpsde_prior_logp(x, d);
    const double share = 1 / (double)all->run->draws, snr = s->at->alpha / s->at->sigma;
    const size_t term = i * all->n_steps + t - 1;
    double noise = 0;
    for (size_t j = 0; j < d; j++) {
        const double e = (x[j] - s->at->alpha * x0[j]) / s->at->sigma;
        noise += e * e;
    }
    const double gain = s->at->alpha * s->at->alpha * noise - snr * snr * mse_x0;
    w->rows->bound[VPSDE_BOUND_I_MMSE][i] += share * s->log_snr * gain / 2;
    w->rows->per_step[VPSDE_PER_STEP_L][term] += share * l;
    w->rows->per_step[VPSDE_PER_STEP_X0][term] += share * mse_x0;
    w->rows->per_step[VPSDE_PER_STEP_EPS][term] += share * snr * snr * mse_x0;
}

/* x_t = a x_{t-1} + sqrt(beta_t) z and what the network says there. */
static vpsde_status step(worker *w, size_t t, size_t draw)
{
    const bound *all = w->all;
    const vpsde_elbo_step *s = &all->step[t - 1];
    vpsde_chain *chain = w->chain;
    const vpsde_block *block = &chain->block;
    double *const *buffer = chain->w, *x = vpsde_chain_rows(chain);
    const size_t offset = block->begin * all->d, count = block->count * all->d;
    const uint32_t node = (uint32_t)(draw * all->n_steps + t - 1);
    vpsde_normals(buffer[Z] + offset, all->run->seed, VPSDE_NOISE_FORWARD, block->first,
                  block->count, node, all->d);
    vec_copy(count, buffer[BEFORE] + offset, x);
    vec_lin2(count, x, s->a, x, sqrt(s->q.beta), buffer[Z] + offset);
    vpsde_chain_stand(chain, all->n_steps - t);
    VPSDE_TRY(vpsde_eps(&chain->step, s->at, chain->step.x, buffer[EPS]));
    for (size_t i = 0; i < block->count; i++) score_row(w, t, draw, i);
    return VPSDE_OK;
}

/* ---- one row's results ----------------------------------------------------------------------- */

/* log mean exp of v (n), which becomes exp(v - that). */
static double log_mean_exp(double *v, size_t n)
{
    double top = -INFINITY, sum = 0;
    for (size_t r = 0; r < n; r++) top = fmax(top, v[r]);
    for (size_t r = 0; r < n; r++) sum += exp(v[r] - top);
    const double result = top + log(sum / (double)n);
    for (size_t r = 0; r < n; r++) v[r] = exp(v[r] - result);
    return result;
}

static void finish_row(worker *w, size_t i)
{
    const bound *all = w->all;
    const size_t draws = all->run->draws;
    double *const *out = w->rows->bound, *cost = w->cost + i * draws;
    double *weight = w->weight + i * draws, sum = out[VPSDE_BOUND_PRIOR][i];
    const double *l = w->rows->per_step[VPSDE_PER_STEP_L] + i * all->n_steps;
    for (size_t t = 0; t < all->n_steps; t++) sum += l[t];
    out[VPSDE_BOUND_ELBO][i] = -sum;
    out[VPSDE_BOUND_BITS][i] = sum / ((double)all->d * M_LN2) + all->run->bits_offset;
    out[VPSDE_BOUND_STDERR][i] = vpsde_standard_error(cost, draws);
    out[VPSDE_BOUND_IWAE][i] = log_mean_exp(weight, draws);
    out[VPSDE_BOUND_IWAE_STDERR][i] = vpsde_standard_error(weight, draws);
    out[VPSDE_BOUND_I_MMSE][i] -= (double)all->d / 2 * log(2 * M_PI * M_E);
    out[VPSDE_BOUND_DATA][i] = l[0];
    const bool finite = isfinite(sum) && isfinite(out[VPSDE_BOUND_IWAE][i]);
    const vpsde_block *block = &w->chain->block;
    w->rows->status[i] = finite ? block->status[block->begin + i] : VPSDE_ROW_NON_FINITE;
    w->rows->nfe[i] = vpsde_count_i32(block->calls);
}

/* ---- blocks ---------------------------------------------------------------------------------- */

static vpsde_status read_rows(worker *w, size_t first, size_t count)
{
    const vpsde_elbo *run = w->all->run;
    const size_t d = w->all->d;
    if (!run->x0) return run->source.read(run->source.context, first, count, w->x0);
    vec_copy(count * d, w->x0, run->x0 + (first - run->first) * d);
    return VPSDE_OK;
}

static void place(worker *w, uint64_t first, size_t count)
{
    const bound *all = w->all;
    const size_t from = (size_t)(first - all->run->first);
    vpsde_chain_place(w->chain, first, count);
    for (size_t i = 0; i < count; i++) {
        if (all->run->classes) {
            w->chain->classes[w->chain->block.begin + i] = all->run->classes[from + i];
        }
        w->rows->bound[VPSDE_BOUND_PRIOR][i] =
            vpsde_elbo_prior(all->step[all->n_steps - 1].at, all->d, w->x0 + i * all->d);
        w->rows->bound[VPSDE_BOUND_I_MMSE][i] = 0;
    }
    for (size_t c = 0; c < VPSDE_N_PER_STEP; c++) {
        memset(w->rows->per_step[c], 0, count * all->n_steps * sizeof(double));
    }
}

static vpsde_status run_block(worker *w, uint64_t first, size_t count)
{
    const bound *all = w->all;
    VPSDE_TRY(read_rows(w, (size_t)first, count));
    place(w, first, count);
    for (size_t draw = 0; draw < all->run->draws; draw++) {
        vec_copy(count * all->d, vpsde_chain_rows(w->chain), w->x0);
        for (size_t t = 1; t <= all->n_steps; t++) {
            VPSDE_TRY(vpsde_sampling_stopped(&all->sampling));
            VPSDE_TRY(step(w, t, draw));
        }
    }
    for (size_t i = 0; i < count; i++) finish_row(w, i);
    return vpsde_bound_write(all->delivery, all->run, w->rows, first, count);
}

static vpsde_status worker_create(worker *w, const bound *all)
{
    const size_t capacity = vpsde_staging_rows(all->run->model, all->run->count);
    size_t cells;
    w->all = all;
    VPSDE_TRY(vpsde_size_mul(&cells, capacity, all->run->draws, "draws of a block"));
    VPSDE_TRY(vpsde_alloc(&w->x0, capacity * all->d, sizeof(double)));
    VPSDE_TRY(vpsde_alloc(&w->cost, cells, sizeof(double)));
    VPSDE_TRY(vpsde_alloc(&w->weight, cells, sizeof(double)));
    VPSDE_TRY(vpsde_bound_rows_create(&w->rows, capacity, all->n_steps));
    return vpsde_chain_create(&w->chain, &all->sampling, &forward_chain, NULL, NULL,
                              &vpsde_noise_of_runs);
}

static vpsde_status work(void *context, vpsde_queue *queue)
{
    const bound *all = context;
    worker w = {0};
    uint64_t first;
    size_t count;
    vpsde_status status = worker_create(&w, all);
    while (status == VPSDE_OK && vpsde_delivery_take(all->delivery, queue, all->run->first,
                                                     all->run->count, all->rows, &first, &count)) {
        status = run_block(&w, first, count);
    }
    vpsde_chain_destroy(w.chain);
    vpsde_bound_rows_destroy(w.rows);
    free(w.x0);
    free(w.cost);
    free(w.weight);
    return status;
}

/* ---- the run --------------------------------------------------------------------------------- */

static vpsde_status check(const vpsde_elbo *run)
{
    const char *missing = !run->process                   ? "process"
                          : !run->model                   ? "model"
                          : !run->grid                    ? "grid"
                          : !run->x0 && !run->source.read ? "x0 or source"
                                                          : NULL;
    if (missing) return vpsde_fail(VPSDE_EINVAL, "elbo: %s is not set", missing);
    const size_t n_steps = run->grid->n_steps;
    if (n_steps < 2 || run->grid->node[n_steps].sigma > 0) {
        return vpsde_fail(VPSDE_EINVAL,
                          "elbo: the chain must have 2 steps or more and end at "
                          "t = 0, got %zu steps to t = %g",
                          n_steps, run->grid->node[n_steps].t);
    }
    if (run->draws == 0 || run->draws > UINT32_MAX / n_steps) {
        return vpsde_fail(VPSDE_EINVAL, "draws: must be 1 to %zu for %zu steps, got %zu",
                          UINT32_MAX / n_steps, n_steps, run->draws);
    }
    VPSDE_TRY(vpsde_model_check_t_min(run->model, run->grid->node[n_steps - 1].t));
    return vpsde_run_check_rows("row", run->model, run->first, run->count, run->classes);
}

/* E|eps|^2 at every node from pilot chains, for the variances that need it. */
static vpsde_status calibrate(double **eps_square, bound *all)
{
    vpsde_pilot pilot = {.run = &all->sampling, .n_threads = all->n_threads};
    *eps_square = NULL;
    if (all->run->variance != VPSDE_ELBO_OPTIMAL) return VPSDE_OK;
    VPSDE_TRY(vpsde_alloc(eps_square, all->n_steps + 1, sizeof(double)));
    VPSDE_TRY(vpsde_pilot_score_square(&pilot, &vpsde_solver_ancestral, *eps_square));
    for (size_t k = 0; k <= all->n_steps; k++) {
        (*eps_square)[k] *= all->run->grid->node[k].sigma * all->run->grid->node[k].sigma;
    }
    all->pilot_nfe = pilot.nfe;
    return VPSDE_OK;
}

static vpsde_status set_up(bound *all)
{
    const vpsde_elbo *run = all->run;
    double *eps_square;
    VPSDE_TRY(check(run));
    all->sampling = (vpsde_sampling){.process = run->process,
                                     .model = run->model,
                                     .grid = run->grid,
                                     .seed = run->seed,
                                     .first = run->first,
                                     .count = run->count,
                                     .classes = run->classes,
                                     .control = run->control};
    all->d = run->model->dim;
    all->n_steps = run->grid->n_steps;
    all->rows = vpsde_block_rows(run->model);
    VPSDE_TRY(vpsde_threads(&all->n_threads, run->n_threads));
    VPSDE_TRY(vpsde_alloc(&all->step, all->n_steps, sizeof(*all->step)));
    const vpsde_status status = calibrate(&eps_square, all);
    if (status == VPSDE_OK) {
        vpsde_elbo_steps(all->step, run->grid, run->variance, eps_square, all->d);
    }
    free(eps_square);
    return status;
}

static vpsde_status run_blocks(bound *all, vpsde_sink *sink)
{
    const vpsde_elbo *run = all->run;
    const size_t n_blocks = vpsde_delivery_blocks(run->first, run->count, all->rows);
    VPSDE_TRY(vpsde_bound_begin(all->delivery, run, all->pilot_nfe, sink));
    const vpsde_status status =
        vpsde_parallel(all->n_threads, n_blocks, work, all, run->control.stop);
    return vpsde_delivery_end(all->delivery, status, all->n_threads);
}

vpsde_status vpsde_elbo_run(const vpsde_elbo *run, vpsde_sink *sink)
{
    vpsde_delivery delivery = {
        .what = "row", .rate = "rows_per_second", .control = &run->control, .total = run->count};
    bound all = {.run = run, .delivery = &delivery};
    vpsde_status status = set_up(&all);
    if (status == VPSDE_OK) status = vpsde_delivery_open(&delivery);
    if (status == VPSDE_OK) status = run_blocks(&all, sink);
    vpsde_delivery_close(&delivery);
    free(all.step);
    return status;
}
