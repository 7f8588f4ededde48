/* The formula inside a solver that chooses its own steps: sent over the intervals of a grid one
 * after the other, with tolerances that accept everything, it takes one step each (GSL's: four),
 * and the order is that of the result it goes on with. What a step control would add is not of any
 * order. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/vec.h"
#include "sde/brownian.h"
#include "solvers/orders_impl.h"

static const double accepts_all = 1;

typedef struct kept {
    size_t d, final, nfe; /* columns */
    double *x, *calls;
} kept;

static vpsde_status keep_begin(void *self, const vpsde_table *table)
{
    kept *k = self;
    for (size_t i = 0; i < table->n_columns; i++) {
        if (strcmp(table->columns[i].name, "final") == 0) k->final = i;
        if (strcmp(table->columns[i].name, "nfe") == 0) k->nfe = i;
    }
    return VPSDE_OK;
}

static vpsde_status keep_write(void *self, size_t first, size_t n, const void *const *data)
{
    kept *k = self;
    const int32_t *nfe = data[k->nfe];
    vec_copy(n * k->d, k->x + first * k->d, data[k->final]);
    if (first == 0) *k->calls += nfe[0];
    return VPSDE_OK;
}

static vpsde_status keep_end(void *self, const vpsde_fact *provenance, size_t n_facts)
{
    (void)self, (void)provenance, (void)n_facts;
    return VPSDE_OK;
}

/* A first step as long as the solver allows, where it has such a parameter. */
static void long_first_step(double *param, const vpsde_orders_case *c)
{
    memcpy(param, c->param, VPSDE_PARAM_MAX * sizeof(*param));
    const int h0 = vpsde_param_find(c->solver->params, "h0");
    if (h0 >= 0) param[h0] = c->solver->params[h0].max;
}

vpsde_status orders_hop(const orders_lab *lab, const vpsde_orders_case *c, const orders_problem *p,
                        const vpsde_coef *from, const vpsde_coef *to, size_t n, double *x,
                        double *calls)
{
    double param[VPSDE_PARAM_MAX], t[2] = {from->t, to->t};
    kept k = {.d = p->d, .x = x, .calls = calls};
    vpsde_sink sink = {.self = &k, .begin = keep_begin, .write = keep_write, .end = keep_end};
    vpsde_grid *grid;
    long_first_step(param, c);
    VPSDE_TRY(vpsde_grid_create(&grid, vpsde_grid_find("user"), lab->process, 1, NULL, t,
                                VPSDE_LAST_STOP));
    const vpsde_sampling sampling = {.process = lab->process,
                                     .model = p->model,
                                     .solver = c->solver,
                                     .param = param,
                                     .grid = grid,
                                     .rtol = accepts_all,
                                     .atol = accepts_all,
                                     .seed = ORDERS_SEED,
                                     .count = n,
                                     .init = x,
                                     .n_threads = 1};
    const vpsde_status status = vpsde_sample(&sampling, &sink);
    vpsde_grid_destroy(grid);
    return status;
}

/* One step is x' = A x + c + g z with the z of each sample's own path: three samples tell. */
vpsde_status orders_hop_affine(double *A, double *c0, double *g, const orders_lab *lab,
                               const vpsde_orders_case *c, const orders_problem *p,
                               const vpsde_coef *from, double *calls)
{
    double x[3] = {0, 0, 1}, z[3];
    vpsde_brownian *path;
    VPSDE_TRY(vpsde_brownian_create(&path, 3, 1));
    vpsde_brownian_place(path, ORDERS_SEED, VPSDE_NOISE_DIFFUSION, 0, 3);
    vpsde_brownian_stretch(path, from[0].b, from[1].b, z, NULL);
    vpsde_brownian_destroy(path);
    VPSDE_TRY(orders_hop(lab, c, p, &from[0], &from[1], 3, x, calls));
    *g = (x[1] - x[0]) / (z[1] - z[0]);
    *c0 = x[0] - *g * z[0];
    *A = x[2] - *c0 - *g * z[2];
    return VPSDE_OK;
}
