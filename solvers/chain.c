#include "solvers/chain.h"

#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "core/vec.h"
#include "sde/brownian.h"
#include "solvers/clip.h"
#include "solvers/guidance.h"

enum { BLOCK_ROWS = 256 };

size_t vpsde_block_rows(const vpsde_model *model)
{
    const bool own = !(model->type->flags & VPSDE_MODEL_ANALYTIC) && model->block_rows > 0;
    return own ? model->block_rows : BLOCK_ROWS;
}

void vpsde_noise_stretch(const vpsde_block *block, const vpsde_coef *from, const vpsde_coef *to,
                         size_t d, double *z, double *area)
{
    (void)d;
    vpsde_brownian_stretch(block->path, from->b, to->b, z, area);
}

static void draw_of_step(const vpsde_block *block, size_t k, unsigned draw, size_t d, double *z)
{
    const uint32_t node = (uint32_t)(k * VPSDE_DRAWS_PER_STEP + draw);
    vpsde_normals(z, block->seed, VPSDE_NOISE_CORRECTOR, block->first, block->count, node, d);
}

const vpsde_noise_source vpsde_noise_of_runs = {
    .purpose = VPSDE_NOISE_DIFFUSION,
    .stretch = vpsde_noise_stretch,
    .draw = draw_of_step,
};

/* Zeros in the rows of v that pad the block. */
static void clear_padding(const vpsde_step *s, double *v)
{
    const size_t begin = s->block->begin, end = begin + s->block->count;
    memset(v, 0, begin * s->d * sizeof(*v));
    memset(v + end * s->d, 0, (s->n - end) * s->d * sizeof(*v));
}

void vpsde_step_noise(vpsde_step *s, const vpsde_coef *from, const vpsde_coef *to, double *z,
                      double *area)
{
    vpsde_block *block = s->block;
    const size_t offset = block->begin * s->d;
    clear_padding(s, z);
    if (area) clear_padding(s, area);
    block->noise->stretch(block, from, to, s->d, z + offset, area ? area + offset : NULL);
    block->has_drawn = true;
}

void vpsde_step_draw(vpsde_step *s, unsigned draw, double *z)
{
    clear_padding(s, z);
    s->block->noise->draw(s->block, s->k, draw, s->d, z + s->block->begin * s->d);
}

void vpsde_step_uniform(vpsde_step *s, unsigned draw, double *u)
{
    const vpsde_block *block = s->block;
    const uint32_t node = (uint32_t)(s->k * VPSDE_DRAWS_PER_STEP + draw);
    for (size_t i = 0; i < s->n; i++) u[i] = 1;
    vpsde_uniforms(u + block->begin, block->seed, VPSDE_NOISE_ACCEPT, block->first, block->count,
                   node, 1);
}

void vpsde_chain_increment(const vpsde_chain *chain, size_t k, double *z)
{
    const vpsde_block *block = &chain->block;
    const vpsde_coef *node = chain->grid->node;
    block->noise->stretch(block, &node[k], &node[k + 1], chain->step.d, z, NULL);
}

vpsde_status vpsde_step_as(vpsde_step *s, const vpsde_solver_type *type, unsigned first_scratch)
{
    double param[VPSDE_PARAM_MAX];
    const bool prepares = type->prepare && !(type->flags & VPSDE_SOLVER_PLAIN_DEFAULTS);
    if (!type->step || prepares) {
        return vpsde_fail(VPSDE_EINTERNAL, "%s cannot be a step of another solver", type->name);
    }
    if (first_scratch > s->n_scratch || type->n_scratch > s->n_scratch - first_scratch) {
        return vpsde_fail(VPSDE_EINTERNAL,
                          "%s needs %u scratch buffers from number %u on, its caller has %u",
                          type->name, type->n_scratch, first_scratch, s->n_scratch);
    }
    if (!s->block->path && vpsde_solver_is_stochastic(type, NULL)) {
        return vpsde_fail(VPSDE_EINTERNAL, "%s needs noise, its caller declares none", type->name);
    }
    vpsde_param_defaults(param, type->params);
    vpsde_step inner = *s;
    inner.param = param;
    inner.table = NULL;
    inner.w = s->w + first_scratch;
    inner.n_scratch = type->n_scratch;
    return type->step(&inner);
}

static vpsde_status evaluate(const vpsde_step *s, const vpsde_coef *c, const double *x, double *eps,
                             double *range, double *logp)
{
    const vpsde_block *block = s->block;
    const vpsde_eval e = {.n = s->n,
                          .coef = c,
                          .x = x,
                          .classes = block->classes,
                          .eps = eps,
                          .range = range,
                          .logp = logp};
    VPSDE_TRY(vpsde_guidance_eval(block->guidance, block->model, block->ws, &e));
    for (size_t i = 0; block->clip && i < s->n; i++) {
        vpsde_clip_row(block->clip, c, s->d, x + i * s->d, eps + i * s->d, block->clip_scratch);
    }
    return VPSDE_OK;
}

static bool take_peek(const vpsde_step *s, const vpsde_coef *c, const double *x, double *eps)
{
    vpsde_peek *peek = &s->block->peek;
    const size_t bytes = s->n * s->d * sizeof(*x);
    /* NOLINTNEXTLINE(*-suspicious-memory-comparison,cert-exp42-c): the same bits, no equal numbers */
    const bool same_node = peek->fresh && memcmp(c, &peek->at, sizeof(*c)) == 0;
    const bool same = same_node && memcmp(x, peek->x, bytes) == 0;
    peek->fresh = false;
    if (same) memcpy(eps, peek->eps, bytes);
    return same;
}

static void measure(vpsde_moments *moments, size_t n, size_t d, const double *x, const double *eps)
{
    for (size_t i = 0; i < n; i++, x += d, eps += d) {
        moments[i] = (vpsde_moments){
            .eps_eps = vec_dot(d, eps, eps), .x_eps = vec_dot(d, x, eps), .x_x = vec_dot(d, x, x)};
    }
}

vpsde_status vpsde_eps(vpsde_step *s, const vpsde_coef *c, const double *x, double *eps)
{
    return vpsde_eps_with(s, c, x, eps, NULL, NULL);
}

vpsde_status vpsde_eps_with(vpsde_step *s, const vpsde_coef *c, const double *x, double *eps,
                            double *range, double *logp)
{
    vpsde_block *block = s->block;
    const size_t calls = vpsde_guidance_calls(block->guidance->weight);
    if (!range && !logp && take_peek(s, c, x, eps)) {
        block->calls_log -= calls;
    } else {
        VPSDE_TRY(evaluate(s, c, x, eps, range, logp));
    }
    block->calls += calls;
    vpsde_block_flag(block, s->n, s->d, eps);
    if (block->moments) measure(block->moments, s->n, s->d, x, eps);
    return VPSDE_OK;
}

void vpsde_block_flag(vpsde_block *block, size_t n, size_t d, const double *v)
{
    if (vec_is_finite(n * d, v)) return;
    for (size_t i = block->begin; i < block->begin + block->count; i++) {
        if (!vec_is_finite(d, v + i * d)) block->status[i] = VPSDE_ROW_NON_FINITE;
    }
}

static vpsde_status alloc_buffers(vpsde_chain *chain, size_t rows, size_t d, bool peeks)
{
    const size_t n_buffers = 1 + chain->solver->n_scratch;
    vpsde_peek *peek = &chain->block.peek;
    size_t state, all;
    VPSDE_TRY(vpsde_size_mul(&state, rows, d, "state of a block"));
    VPSDE_TRY(vpsde_size_mul(&all, state, n_buffers, "buffers of a block"));
    VPSDE_TRY(vpsde_alloc(&chain->memory, all, sizeof(double)));
    VPSDE_TRY(vpsde_alloc(&chain->w, n_buffers, sizeof(double *)));
    VPSDE_TRY(vpsde_alloc(&chain->status, rows, sizeof(uint8_t)));
    VPSDE_TRY(vpsde_alloc(&chain->classes, rows, sizeof(int32_t)));
    VPSDE_TRY(vpsde_alloc(&chain->block.clip_scratch, 2 * d, sizeof(double)));
    for (size_t b = 0; b + 1 < n_buffers; b++) chain->w[b] = chain->memory + (b + 1) * state;
    if (!peeks) return VPSDE_OK;
    VPSDE_TRY(vpsde_alloc(&peek->x, state, sizeof(double)));
    return vpsde_alloc(&peek->eps, state, sizeof(double));
}

vpsde_status vpsde_chain_create(vpsde_chain **out, const vpsde_sampling *run,
                                const vpsde_solver_type *solver, const double *param,
                                const double *table, const vpsde_noise_source *noise)
{
    *out = NULL;
    vpsde_chain *chain;
    VPSDE_TRY(vpsde_alloc(&chain, 1, sizeof(*chain)));
    const size_t rows = vpsde_block_rows(run->model), d = run->model->dim;
    const double guidance = vpsde_guidance_weight(run->guidance, run->classes);
    chain->grid = run->grid;
    chain->table = table;
    chain->seed = run->seed;
    chain->block.guidance = &chain->guidance;
    chain->solver = solver;
    const bool peeks = run->log.n_times > 0 && run->log.fields & (VPSDE_LOG_EPS | VPSDE_LOG_X0);
    vpsde_status status = alloc_buffers(chain, rows, d, peeks);
    if (status == VPSDE_OK) {
        status = vpsde_model_workspace_create(&chain->block.ws, run->model, rows, 0);
    }
    if (status == VPSDE_OK) {
        status = vpsde_guidance_open(&chain->guidance, guidance, run->model, rows, 0);
    }
    if (status == VPSDE_OK && vpsde_solver_is_stochastic(solver, param)) {
        status = vpsde_brownian_create(&chain->block.path, rows, d);
    }
    chain->block.model = run->model;
    chain->block.noise = noise;
    chain->block.clip = run->clip.kind != VPSDE_CLIP_NONE ? &run->clip : NULL;
    chain->block.rows = rows;
    chain->block.status = chain->status;
    chain->block.classes = run->classes ? chain->classes : NULL;
    chain->step = (vpsde_step){
        .process = run->process,
        .node = run->grid->node,
        .n_steps = run->grid->n_steps,
        .last_step = run->grid->last_step,
        .d = d,
        .x = chain->memory,
        .w = chain->w,
        .n_scratch = solver->n_scratch,
        .param = param,
        .table = table,
        .block = &chain->block,
    };
    if (status != VPSDE_OK) {
        vpsde_chain_destroy(chain);
        return status;
    }
    *out = chain;
    return VPSDE_OK;
}

void vpsde_chain_destroy(vpsde_chain *chain)
{
    if (!chain) return;
    if (chain->block.ws) vpsde_model_workspace_destroy(chain->block.model, chain->block.ws);
    vpsde_brownian_destroy(chain->block.path);
    vpsde_guidance_close(&chain->guidance);
    free(chain->memory);
    free(chain->w);
    free(chain->status);
    free(chain->classes);
    free(chain->block.clip_scratch);
    free(chain->block.peek.x);
    free(chain->block.peek.eps);
    free(chain);
}

void vpsde_chain_segment(vpsde_chain *chain, size_t from, size_t to, uint64_t seed)
{
    vpsde_block *block = &chain->block;
    vpsde_step *s = &chain->step;
    chain->origin = from;
    s->node = chain->grid->node + from;
    s->n_steps = to - from;
    s->last_step = to == chain->grid->n_steps ? chain->grid->last_step : VPSDE_LAST_STOP;
    s->table = chain->table ? chain->table + from : NULL;
    block->seed = seed;
    if (block->path) {
        vpsde_brownian_place(block->path, seed, block->noise->purpose, block->first, block->count);
    }
}

void vpsde_chain_place(vpsde_chain *chain, uint64_t first, size_t count)
{
    vpsde_block *block = &chain->block;
    const bool padded =
        !(block->model->type->flags & (VPSDE_MODEL_ANALYTIC | VPSDE_MODEL_ANY_ROWS));
    chain->step.n = padded ? block->rows : count;
    block->begin = padded ? (size_t)(first % block->rows) : 0;
    block->count = count;
    block->first = first;
    block->calls = block->calls_log = 0;
    block->peek.fresh = false;
    vpsde_chain_segment(chain, 0, chain->grid->n_steps, chain->seed);
    memset(chain->status, VPSDE_ROW_OK, chain->step.n);
    memset(chain->classes, -1, chain->step.n * sizeof(*chain->classes));
    memset(chain->step.x, 0, chain->step.n * chain->step.d * sizeof(double));
}

double *vpsde_chain_rows(vpsde_chain *chain)
{
    return chain->step.x + chain->block.begin * chain->step.d;
}

void vpsde_chain_stand(vpsde_chain *chain, size_t k)
{
    chain->step.k = k - chain->origin;
    chain->step.at = &chain->grid->node[k];
    chain->step.next = k < chain->grid->n_steps ? &chain->grid->node[k + 1] : NULL;
}

vpsde_status vpsde_chain_step(vpsde_chain *chain, size_t k)
{
    vpsde_step *s = &chain->step;
    vpsde_block *block = &chain->block;
    vpsde_chain_stand(chain, k);
    block->has_drawn = false;
    VPSDE_TRY(chain->solver->step(s));
    vpsde_block_flag(block, s->n, s->d, s->x);
    for (size_t i = block->begin; i < block->begin + block->count; i++) {
        if (block->status[i] == VPSDE_ROW_OK) continue;
        memset(s->x + i * s->d, 0, s->d * sizeof(*s->x));
        for (unsigned b = 0; b < s->n_scratch; b++) {
            memset(s->w[b] + i * s->d, 0, s->d * sizeof(*s->x));
        }
    }
    return VPSDE_OK;
}

vpsde_status vpsde_chain_peek(vpsde_chain *chain, const double **eps)
{
    const vpsde_step *s = &chain->step;
    vpsde_peek *peek = &chain->block.peek;
    VPSDE_TRY(evaluate(s, s->at, s->x, peek->eps, NULL, NULL));
    chain->block.calls_log += vpsde_guidance_calls(chain->guidance.weight);
    memcpy(peek->x, s->x, s->n * s->d * sizeof(*s->x));
    peek->at = *s->at;
    peek->fresh = true;
    *eps = peek->eps;
    return VPSDE_OK;
}
