#include "solvers/chain.h"

#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "core/vec.h"

enum { BLOCK_ROWS = 256 };

size_t vpsde_block_rows(const vpsde_model *model)
{
    const bool own = !(model->type->flags & VPSDE_MODEL_ANALYTIC) && model->block_rows > 0;
    return own ? model->block_rows : BLOCK_ROWS;
}

void vpsde_noise_of_step(const vpsde_block *block, size_t k, vpsde_purpose purpose, unsigned draw,
                         size_t d, double *z)
{
    const uint32_t node = (uint32_t)(k * VPSDE_DRAWS_PER_STEP + draw);
    vpsde_normals(z, block->seed, purpose, block->first, block->count, node, d);
}

void vpsde_step_noise(vpsde_step *s, vpsde_purpose purpose, unsigned draw, double *z)
{
    vpsde_block *block = s->block;
    const size_t end = block->begin + block->count;
    memset(z, 0, block->begin * s->d * sizeof(*z));
    memset(z + end * s->d, 0, (s->n - end) * s->d * sizeof(*z));
    block->noise(block, s->k, purpose, draw, s->d, z + block->begin * s->d);
    if (!block->drawn || purpose != VPSDE_NOISE_DIFFUSION || draw != 0) return;
    vec_copy(s->n * s->d, block->drawn, z);
    block->has_drawn = true;
}

vpsde_status vpsde_step_as(vpsde_step *s, const vpsde_solver_type *type, unsigned first_scratch)
{
    double param[VPSDE_PARAM_MAX];
    if (!type->step || type->prepare) {
        return vpsde_fail(VPSDE_EINTERNAL, "%s cannot be a step of another solver", type->name);
    }
    if (first_scratch > s->n_scratch || type->n_scratch > s->n_scratch - first_scratch) {
        return vpsde_fail(VPSDE_EINTERNAL,
                          "%s needs %u scratch buffers from number %u on, its caller has %u",
                          type->name, type->n_scratch, first_scratch, s->n_scratch);
    }
    vpsde_param_defaults(param, type->params);
    vpsde_step inner = *s;
    inner.param = param;
    inner.table = NULL;
    inner.w = s->w + first_scratch;
    inner.n_scratch = type->n_scratch;
    return type->step(&inner);
}

static vpsde_status evaluate(const vpsde_step *s, const vpsde_coef *c, const double *x, double *eps)
{
    const vpsde_eval e = {.n = s->n, .coef = c, .x = x, .classes = s->block->classes, .eps = eps};
    return vpsde_model_eval(s->block->model, s->block->ws, &e);
}

vpsde_status vpsde_eps(vpsde_step *s, const vpsde_coef *c, const double *x, double *eps)
{
    vpsde_block *block = s->block;
    VPSDE_TRY(evaluate(s, c, x, eps));
    block->calls++;
    vpsde_block_flag(block, s->n, s->d, eps);
    for (size_t i = 0; block->eps_square && i < s->n; i++) {
        block->eps_square[i] = vec_dot(s->d, eps + i * s->d, eps + i * s->d);
    }
    return VPSDE_OK;
}

void vpsde_block_flag(vpsde_block *block, size_t n, size_t d, const double *v)
{
    if (vec_is_finite(n * d, v)) return;
    for (size_t i = block->begin; i < block->begin + block->count; i++) {
        if (!vec_is_finite(d, v + i * d)) block->status[i] = VPSDE_ROW_NON_FINITE;
    }
}

static vpsde_status alloc_buffers(vpsde_chain *chain, size_t rows, size_t d)
{
    const size_t n_buffers = 1 + chain->solver->n_scratch;
    size_t state, all;
    VPSDE_TRY(vpsde_size_mul(&state, rows, d, "state of a block"));
    VPSDE_TRY(vpsde_size_mul(&all, state, n_buffers, "buffers of a block"));
    VPSDE_TRY(vpsde_alloc(&chain->memory, all, sizeof(double)));
    VPSDE_TRY(vpsde_alloc(&chain->w, n_buffers, sizeof(double *)));
    VPSDE_TRY(vpsde_alloc(&chain->status, rows, sizeof(uint8_t)));
    VPSDE_TRY(vpsde_alloc(&chain->classes, rows, sizeof(int32_t)));
    for (size_t b = 0; b + 1 < n_buffers; b++) chain->w[b] = chain->memory + (b + 1) * state;
    return VPSDE_OK;
}

vpsde_status vpsde_chain_create(vpsde_chain **out, const vpsde_sampling *run,
                                const vpsde_solver_type *solver, const double *param,
                                const double *table, vpsde_noise_fn noise)
{
    *out = NULL;
    vpsde_chain *chain;
    VPSDE_TRY(vpsde_alloc(&chain, 1, sizeof(*chain)));
    const size_t rows = vpsde_block_rows(run->model), d = run->model->dim;
    chain->grid = run->grid;
    chain->solver = solver;
    vpsde_status status = alloc_buffers(chain, rows, d);
    if (status == VPSDE_OK) {
        status = vpsde_model_workspace_create(&chain->block.ws, run->model, rows, 0);
    }
    chain->block.model = run->model;
    chain->block.noise = noise;
    chain->block.seed = run->seed;
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
    free(chain->memory);
    free(chain->w);
    free(chain->status);
    free(chain->classes);
    free(chain);
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
    block->calls = 0;
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
    chain->step.k = k;
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

vpsde_status vpsde_chain_peek(vpsde_chain *chain, const vpsde_coef *c, double *eps)
{
    return evaluate(&chain->step, c, chain->step.x, eps);
}
