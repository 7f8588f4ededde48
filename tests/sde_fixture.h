/* Runs of one solver with noise of the test's own, and the affine law of a run. */
#ifndef VPSDE_TESTS_SDE_FIXTURE_H
#define VPSDE_TESTS_SDE_FIXTURE_H

#include "tests/toy.h"

#include "solvers/chain.h"

enum { LIST_SEED = 3, STEPS_MAX = 512, ROWS_MAX = 2 + 3 * STEPS_MAX };

static const double MU = 0.7, V0 = 0.25;

/* ---- noise sources -------------------------------------------------------------------------- */

static size_t n_inputs, n_draws; /* stretches and draws asked for so far; draws alone */

/* Input number n is 1 in row 2 + n and 0 elsewhere: stretches of one run are disjoint here. */
static inline void unit_input(const vpsde_block *block, size_t d, double *z)
{
    memset(z, 0, block->count * d * sizeof(*z));
    z[(2 + n_inputs++) * d] = 1;
}

static inline void unit_stretch(const vpsde_block *block, const vpsde_coef *from,
                                const vpsde_coef *to, size_t d, double *z, double *area)
{
    assert_true(from->t > to->t && to->t > 0);
    assert_null(area);
    unit_input(block, d, z);
}

static inline void unit_draw(const vpsde_block *block, size_t k, unsigned draw, size_t d, double *z)
{
    (void)k, (void)draw;
    n_draws++;
    unit_input(block, d, z);
}

static const vpsde_noise_source units = {
    .purpose = VPSDE_NOISE_TEST, .stretch = unit_stretch, .draw = unit_draw};

/* The same normals for every solver in the order in which they are asked for. */
static inline void list_stretch(const vpsde_block *block, const vpsde_coef *from,
                                const vpsde_coef *to, size_t d, double *z, double *area)
{
    (void)from, (void)to, (void)area;
    vpsde_normals(z, LIST_SEED, VPSDE_NOISE_TEST, block->first, block->count, (uint32_t)n_inputs++,
                  d);
}

static inline void list_draw(const vpsde_block *block, size_t k, unsigned draw, size_t d, double *z)
{
    (void)k, (void)draw;
    vpsde_normals(z, LIST_SEED, VPSDE_NOISE_TEST, block->first, block->count, (uint32_t)n_inputs++,
                  d);
}

static const vpsde_noise_source list = {
    .purpose = VPSDE_NOISE_TEST, .stretch = list_stretch, .draw = list_draw};

/* ---- runs ----------------------------------------------------------------------------------- */

typedef struct form {
    const vpsde_solver_type *solver;
    double param[VPSDE_PARAM_MAX];
} form;

static inline form form_of(const char *name, const char *text)
{
    form f = {.solver = vpsde_solver_find(name)};
    assert_non_null(f.solver);
    vpsde_param_defaults(f.param, f.solver->params);
    if (text) assert_ok(vpsde_param_parse(f.param, f.solver->params, text));
    return f;
}

/* x (rows, d of the model) in place through steps 0 .. n - 1. */
static inline void run(double *x, size_t rows, const form *f, toy *m, const vpsde_process *process,
                       const vpsde_grid *grid, const vpsde_noise_source *noise)
{
    vpsde_chain *chain;
    const size_t bytes = rows * m->model.dim * sizeof(*x);
    const vpsde_sampling sampling = {
        .process = process, .model = &m->model, .grid = grid, .seed = 8};
    m->type.flags = VPSDE_MODEL_ANY_ROWS;
    m->model.block_rows = rows;
    n_inputs = n_draws = 0;
    assert_ok(vpsde_chain_create(&chain, &sampling, f->solver, f->param, NULL, noise));
    vpsde_chain_place(chain, 0, rows);
    memcpy(vpsde_chain_rows(chain), x, bytes);
    for (size_t k = 0; k < grid->n_steps; k++) assert_ok(vpsde_chain_step(chain, k));
    memcpy(x, vpsde_chain_rows(chain), bytes);
    assert_int_equal(chain->block.calls + (grid->last_step == VPSDE_LAST_TWEEDIE),
                     vpsde_solver_nfe(f->solver, f->param, grid));
    vpsde_chain_destroy(chain);
}

typedef struct law {
    double A, c, q;
} law;

static inline law law_of(const form *f, double v0, const vpsde_process *process,
                         const vpsde_grid *grid)
{
    static double x[ROWS_MAX];
    toy m;
    toy_gaussian(&m, 1, MU, v0, 0, 0);
    const size_t rows = 2 + 3 * grid->n_steps;
    memset(x, 0, sizeof(x));
    x[1] = 1;
    run(x, rows, f, &m, process, grid, &units);
    law l = {.A = x[1] - x[0], .c = x[0]};
    for (size_t r = 2; r < rows; r++) l.q += (x[r] - x[0]) * (x[r] - x[0]);
    return l;
}

static inline double marginal(const vpsde_coef *c)
{
    return c->alpha * c->alpha * V0 + c->sigma * c->sigma;
}

/* n steps whose lengths in lambda vary by a factor of 3. */
static inline vpsde_grid *warped(const vpsde_process *process, size_t n, vpsde_last_step last)
{
    double t[STEPS_MAX + 1];
    for (size_t k = 0; k <= n; k++) {
        const double u = (double)k / (double)n;
        t[k] = vpsde_process_at_lambda(process, -2 + 4.5 * (u + sin(2 * M_PI * u) / (4 * M_PI))).t;
    }
    return toy_grid_at(process, t, n, last);
}

#endif
