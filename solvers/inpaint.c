/* Known components at node k: x_k = alpha_k x_0 + sigma_k z, with fresh z at every visit of a node, which is
 * their law given x_0 whatever the others do (Song et al. 2021, arXiv:2011.13456, section 5; Lugmayr
 * et al. 2022, arXiv:2201.09865, eq. (8a)). What is exact for them is not for the rest: that is drawn from
 * p(x_s | x_t) instead of p(x_s | x_t, x_0 known), too wide and too little drawn to what is known. Going
 * back up, x_t = (alpha_t/alpha_s) x_s + ..., and down again moves the rest towards its law given the
 * known ones at the same time; the bias left shrinks with the step. */
#include "solvers/inpaint.h"

vpsde_status vpsde_inpaint_check(const vpsde_sampling *run)
{
    const vpsde_inpaint *p = &run->inpaint;
    if (!p->known) return VPSDE_OK;
    if (!p->data) {
        return vpsde_fail(VPSDE_EINVAL, "inpaint: data must hold one row for each of %zu samples",
                          run->count);
    }
    for (size_t j = 0; j < run->model->dim; j++) {
        if (p->known[j] > 1) {
            return vpsde_fail(VPSDE_EINVAL,
                              "inpaint: component %zu of the mask must be 1 (known) or 0, got %d",
                              j, p->known[j]);
        }
    }
    if (vpsde_solver_is_adaptive(run->solver)) {
        return vpsde_fail(VPSDE_EINVAL,
                          "inpaint: known components are put in at the nodes of a grid, and %s "
                          "chooses its own steps; expected a solver of fixed steps such as ddim",
                          run->solver->name);
    }
    if (vpsde_grid_encodes(run->grid)) {
        return vpsde_fail(VPSDE_EINVAL, "inpaint: the grid must lead from noise to data");
    }
    if (p->resamples > 1 && p->jump_length == 0) {
        return vpsde_fail(VPSDE_EINVAL,
                          "inpaint: %zu resamples need a jump_length of 1 step or more",
                          p->resamples);
    }
    return VPSDE_OK;
}

vpsde_stretch vpsde_inpaint_stretch(const vpsde_sampling *run, size_t from)
{
    const vpsde_inpaint *p = &run->inpaint;
    const size_t n_steps = run->grid->n_steps;
    const size_t n_noisy = n_steps - !(run->grid->node[n_steps].sigma > 0);
    if (p->resamples <= 1 || from == n_noisy) return (vpsde_stretch){n_steps, 1};
    const size_t short_by = (n_noisy - from) % p->jump_length;
    return (vpsde_stretch){from + (short_by ? short_by : p->jump_length), p->resamples};
}

/* The first pass from the first node has the run's own noise. */
static uint64_t seed_of(uint64_t seed, size_t from, size_t pass)
{
    const uint32_t key[2] = {(uint32_t)seed, (uint32_t)(seed >> 32)};
    const uint32_t counter[4] = {(uint32_t)from, (uint32_t)pass, (uint32_t)((uint64_t)pass >> 32),
                                 (uint32_t)VPSDE_NOISE_KNOWN};
    uint32_t word[4];
    if (from == 0 && pass == 0) return seed;
    vpsde_philox(word, counter, key);
    return word[0] | (uint64_t)word[1] << 32;
}

static void draw(const vpsde_chain *chain, size_t k, double *z)
{
    const vpsde_block *b = &chain->block;
    vpsde_normals(z, b->seed, VPSDE_NOISE_KNOWN, b->first, b->count, (uint32_t)k, chain->step.d);
}

void vpsde_inpaint_enter(const vpsde_sampling *run, vpsde_chain *chain, size_t from, size_t to,
                         size_t pass, double *z)
{
    const vpsde_coef *node = run->grid->node;
    const vpsde_block *block = &chain->block;
    const size_t d = chain->step.d;
    vpsde_chain_segment(chain, from, to, seed_of(run->seed, from, pass));
    if (pass == 0) return;
    draw(chain, from, z);
    double *x = vpsde_chain_rows(chain);
    for (size_t i = 0; i < block->count; i++, x += d, z += d) {
        if (block->status[block->begin + i] == VPSDE_ROW_OK) {
            vpsde_forward(x, &node[to], &node[from], x, z, d);
        }
    }
}

/* z NULL: the data themselves. */
static void put_in(const vpsde_sampling *run, vpsde_chain *chain, const vpsde_coef *c,
                   const double *z)
{
    const vpsde_block *block = &chain->block;
    const size_t d = chain->step.d;
    const double *x0 = run->inpaint.data + (size_t)(block->first - run->first) * d;
    double *x = vpsde_chain_rows(chain);
    for (size_t e = 0; e < block->count * d; e++) {
        const bool ok = block->status[block->begin + e / d] == VPSDE_ROW_OK;
        if (!ok || !run->inpaint.known[e % d]) continue;
        x[e] = z ? c->alpha * x0[e] + c->sigma * z[e] : x0[e];
    }
}

void vpsde_inpaint_replace(const vpsde_sampling *run, vpsde_chain *chain, size_t k, double *z)
{
    draw(chain, k, z);
    put_in(run, chain, &run->grid->node[k], z);
}

void vpsde_inpaint_finish(const vpsde_sampling *run, vpsde_chain *chain)
{
    put_in(run, chain, NULL, NULL);
}
