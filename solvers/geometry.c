#include "solvers/geometry.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "core/parallel.h"
#include "core/vec.h"
#include "solvers/driver.h"
#include "solvers/guidance.h"

enum { EXACT_DIM = 8 };
static const char chain_solver[] = "dpmpp-2m", chain_grid[] = "uniform-lambda";

typedef struct shared {
    const vpsde_sampling *run;
    vpsde_geometry *geometry;
    double *x;        /* (samples, nodes, d) */
    int32_t *classes; /* (samples), or NULL */
    size_t k, rows;   /* tangents a state; states of a network call */
    bool is_exact;    /* the tangents are the unit vectors */
} shared;

/* ---- the states ------------------------------------------------------------------------------- */

/* Columns x and status of a run, kept. */
typedef struct catcher {
    shared *all;
    size_t x, status;
} catcher;

static vpsde_status catch_begin(void *self, const vpsde_table *table)
{
    catcher *c = self;
    for (size_t i = 0; i < table->n_columns; i++) {
        if (strcmp(table->columns[i].name, "x") == 0) c->x = i;
        if (strcmp(table->columns[i].name, "status") == 0) c->status = i;
    }
    return VPSDE_OK;
}

static vpsde_status catch_write(void *self, size_t first, size_t n, const void *const *data)
{
    const catcher *c = self;
    vpsde_geometry *g = c->all->geometry;
    const size_t width = g->plan.nodes * c->all->run->model->dim;
    const uint8_t *status = data[c->status];
    vec_copy(n * width, c->all->x + first * width, data[c->x]);
    for (size_t i = 0; i < n; i++) g->is_lost[first + i] = status[i] != VPSDE_ROW_OK;
    return VPSDE_OK;
}

static vpsde_status run_chains(shared *all, const vpsde_grid *grid)
{
    const size_t samples = all->geometry->plan.samples, d = all->run->model->dim;
    catcher self = {.all = all};
    vpsde_sink sink = {.self = &self, .begin = catch_begin, .write = catch_write};
    double *start;
    VPSDE_TRY(vpsde_alloc(&start, samples * d, sizeof(*start)));
    vpsde_normals(start, all->run->seed, VPSDE_NOISE_PILOT, 0, samples, 0, d);
    const vpsde_sampling chains = {
        .label = "pilot",
        .process = all->run->process,
        .model = all->run->model,
        .solver = vpsde_solver_find(chain_solver),
        .grid = grid,
        .seed = all->run->seed,
        .count = samples,
        .init = start,
        .classes = all->classes,
        .guidance = all->classes ? all->run->guidance : 0,
        .clip = all->run->clip,
        .log = {.n_times = SIZE_MAX, .fields = VPSDE_LOG_X, .dtype = VPSDE_F64},
        .n_threads = all->run->n_threads,
        .control = {.stop = all->run->control.stop},
    };
    const vpsde_status status = vpsde_sample(&chains, &sink);
    free(start);
    all->geometry->nfe += samples * vpsde_solver_nfe(chains.solver, NULL, grid) *
                          vpsde_guidance_calls(chains.guidance);
    return status == VPSDE_EPARTIAL ? VPSDE_OK : status;
}

static vpsde_status draw_states(shared *all)
{
    const vpsde_geometry *g = all->geometry;
    const size_t d = all->run->model->dim;
    for (size_t e = 0; e < g->plan.samples * g->plan.nodes; e++) {
        const size_t i = e / g->plan.nodes;
        VPSDE_TRY(vpsde_model_draw(all->run->model, &g->node[e % g->plan.nodes], all->run->seed,
                                   VPSDE_NOISE_PILOT, i, 1, all->classes ? &all->classes[i] : NULL,
                                   all->x + e * d));
    }
    return VPSDE_OK;
}

static vpsde_status find_states(shared *all, const vpsde_grid *grid)
{
    const bool guided = all->classes && all->run->guidance != 0;
    const bool draws = (all->run->model->type->flags & VPSDE_MODEL_DRAW) && !guided;
    return draws ? draw_states(all) : run_chains(all, grid);
}

/* ---- rates there ------------------------------------------------------------------------------ */

/* One worker's buffers. */
typedef struct bench {
    void *ws;
    vpsde_guidance guidance;
    double *memory, *x, *eps, *dx, *deps; /* (rows, d), (rows, k, d) */
    int32_t *classes;                     /* (rows) */
} bench;

static vpsde_status bench_open(bench *b, const shared *all)
{
    const vpsde_model *model = all->run->model;
    size_t width, size;
    VPSDE_TRY(vpsde_size_mul(&width, 2 * model->dim, 1 + all->k, "state and tangents"));
    VPSDE_TRY(vpsde_size_mul(&size, all->rows, width, "block of tangents"));
    VPSDE_TRY(vpsde_alloc(&b->memory, size, sizeof(*b->memory)));
    VPSDE_TRY(vpsde_alloc(&b->classes, all->rows, sizeof(*b->classes)));
    b->x = b->memory;
    b->eps = b->x + all->rows * model->dim;
    b->dx = b->eps + all->rows * model->dim;
    b->deps = b->dx + all->rows * all->k * model->dim;
    VPSDE_TRY(vpsde_guidance_open(&b->guidance, all->classes ? all->run->guidance : 0, model,
                                  all->rows, all->k));
    return vpsde_model_workspace_create(&b->ws, model, all->rows, all->k);
}

static void bench_close(bench *b, const vpsde_model *model)
{
    if (b->ws) vpsde_model_workspace_destroy(model, b->ws);
    vpsde_guidance_close(&b->guidance);
    free(b->memory);
    free(b->classes);
}

/* States first .. first + n - 1 at node m, with their tangents. */
static void place(bench *b, const shared *all, size_t m, size_t first, size_t n)
{
    const size_t d = all->run->model->dim, k = all->k;
    memset(b->x, 0, all->rows * d * sizeof(*b->x));
    memset(b->dx, 0, all->rows * k * d * sizeof(*b->dx));
    for (size_t i = 0; i < all->rows; i++) b->classes[i] = VPSDE_NO_CLASS;
    for (size_t i = 0; i < n; i++) {
        if (all->classes) b->classes[i] = all->classes[first + i];
        if (all->geometry->is_lost[first + i]) continue;
        vec_copy(d, b->x + i * d, all->x + ((first + i) * all->geometry->plan.nodes + m) * d);
        for (size_t q = 0; q < k; q++) {
            double *v = b->dx + (i * k + q) * d;
            if (all->is_exact) {
                v[q] = 1;
            } else {
                vpsde_signs(v, all->run->seed, VPSDE_NOISE_METRIC, first + i, 1,
                            (uint32_t)(m * k + q), d);
            }
        }
    }
}

double vpsde_dissipation(const vpsde_moments *m, const vpsde_coef *c)
{
    const double variance = c->sigma * c->sigma;
    return (variance * m->x_x - 2 * c->sigma * m->x_eps + m->eps_eps) / (2 * variance);
}

double vpsde_entropy_rate(const vpsde_moments *m, const vpsde_coef *c, size_t d)
{
    const double rest = (double)d * c->alpha * c->alpha + c->sigma * m->x_eps - m->eps_eps;
    return rest / (2 * c->sigma * c->sigma);
}

static double metric(const shared *all, const bench *b, size_t i, double sigma)
{
    const size_t d = all->run->model->dim, k = all->k;
    double sum = 0;
    for (size_t e = i * k * d; e < (i + 1) * k * d; e++) {
        const double one = b->dx[e] - b->deps[e] / sigma;
        sum += one * one;
    }
    return k == 0 ? 0 : 0.5 * sum / (all->is_exact ? 1 : (double)k);
}

static void record(const shared *all, const bench *b, size_t node, size_t i, size_t sample)
{
    const vpsde_geometry *g = all->geometry;
    const size_t d = all->run->model->dim, at = sample * g->plan.nodes + node;
    const vpsde_coef *c = &g->node[node];
    const double *x = b->x + i * d, *eps = b->eps + i * d;
    const vpsde_moments m = {
        .x_x = vec_dot(d, x, x), .x_eps = vec_dot(d, x, eps), .eps_eps = vec_dot(d, eps, eps)};
    g->rate[VPSDE_RATE_DISSIPATION][at] = vpsde_dissipation(&m, c);
    g->rate[VPSDE_RATE_ENTROPY][at] = vpsde_entropy_rate(&m, c, d);
    g->rate[VPSDE_RATE_METRIC][at] = metric(all, b, i, c->sigma);
}

static vpsde_status measure_block(const shared *all, bench *b, size_t m, size_t first)
{
    const vpsde_model *model = all->run->model;
    const size_t left = all->geometry->plan.samples - first,
                 n = left < all->rows ? left : all->rows;
    const bool padded = !(model->type->flags & (VPSDE_MODEL_ANALYTIC | VPSDE_MODEL_ANY_ROWS));
    place(b, all, m, first, n);
    const vpsde_eval e = {.n = padded ? all->rows : n,
                          .k = all->k,
                          .coef = &all->geometry->node[m],
                          .x = b->x,
                          .dx = all->k > 0 ? b->dx : NULL,
                          .classes = all->classes ? b->classes : NULL,
                          .eps = b->eps,
                          .deps = all->k > 0 ? b->deps : NULL};
    VPSDE_TRY(vpsde_guidance_eval(&b->guidance, model, b->ws, &e));
    for (size_t i = 0; i < n; i++) record(all, b, m, i, first + i);
    return VPSDE_OK;
}

static vpsde_status work(void *context, vpsde_queue *queue)
{
    const shared *all = context;
    const size_t nodes = all->geometry->plan.nodes;
    bench b = {0};
    size_t block;
    vpsde_status status = bench_open(&b, all);
    while (status == VPSDE_OK && vpsde_queue_take(queue, &block)) {
        status = measure_block(all, &b, block % nodes, block / nodes * all->rows);
    }
    bench_close(&b, all->run->model);
    return status;
}

static vpsde_status find_lost(vpsde_geometry *g)
{
    size_t n = 0;
    for (size_t i = 0; i < g->plan.samples; i++) {
        for (size_t r = 0; r < VPSDE_N_RATES; r++) {
            if (!vec_is_finite(g->plan.nodes, g->rate[r] + i * g->plan.nodes)) g->is_lost[i] = 1;
        }
        n += !g->is_lost[i];
    }
    if (n > 0) return VPSDE_OK;
    return vpsde_fail(VPSDE_ENUMERIC, "none of %zu pilot samples stayed finite", g->plan.samples);
}

/* ---- the pass --------------------------------------------------------------------------------- */

static vpsde_status alloc(shared *all, const vpsde_grid *grid)
{
    vpsde_geometry *g = all->geometry;
    const size_t n_classes = vpsde_pilot_classes(all->run), samples = g->plan.samples;
    size_t cells, size;
    VPSDE_TRY(vpsde_size_mul(&cells, samples, g->plan.nodes, "pilot table"));
    VPSDE_TRY(vpsde_size_mul(&size, cells, all->run->model->dim, "pilot states"));
    VPSDE_TRY(vpsde_alloc(&g->node, g->plan.nodes, sizeof(*g->node)));
    memcpy(g->node, grid->node, g->plan.nodes * sizeof(*g->node));
    VPSDE_TRY(vpsde_alloc(&g->is_lost, samples, 1));
    for (size_t r = 0; r < VPSDE_N_RATES; r++) {
        VPSDE_TRY(vpsde_alloc(&g->rate[r], cells, sizeof(double)));
    }
    VPSDE_TRY(vpsde_alloc(&all->x, size, sizeof(*all->x)));
    if (n_classes == 0) return VPSDE_OK;
    VPSDE_TRY(vpsde_alloc(&all->classes, samples, sizeof(*all->classes)));
    for (size_t i = 0; i < samples; i++) all->classes[i] = (int32_t)(i % n_classes);
    return VPSDE_OK;
}

static vpsde_status measure(shared *all, const vpsde_grid *grid)
{
    vpsde_geometry *g = all->geometry;
    const size_t blocks = (g->plan.samples + all->rows - 1) / all->rows, d = all->run->model->dim;
    const size_t cells = g->plan.samples * g->plan.nodes;
    size_t n_threads;
    all->is_exact = g->plan.probes > 0 && d <= EXACT_DIM;
    all->k = all->is_exact ? d : g->plan.probes;
    VPSDE_TRY(vpsde_threads(&n_threads, all->run->n_threads));
    VPSDE_TRY(alloc(all, grid));
    VPSDE_TRY(find_states(all, grid));
    g->nfe += cells * vpsde_guidance_calls(all->classes ? all->run->guidance : 0);
    g->jvp = cells * all->k;
    VPSDE_TRY(vpsde_parallel(n_threads, blocks * g->plan.nodes, work, all, all->run->control.stop));
    return find_lost(g);
}

vpsde_status vpsde_geometry_measure(vpsde_geometry **out, const vpsde_sampling *run,
                                    const vpsde_geometry_plan *plan)
{
    vpsde_grid *grid;
    shared all = {.run = run, .rows = vpsde_block_rows(run->model)};
    *out = NULL;
    VPSDE_TRY(vpsde_grid_create(&grid, vpsde_grid_find(chain_grid), run->process, plan->nodes - 1,
                                NULL, NULL, VPSDE_LAST_STOP));
    vpsde_status status = vpsde_alloc(&all.geometry, 1, sizeof(*all.geometry));
    if (status == VPSDE_OK) {
        all.geometry->plan = *plan;
        status = measure(&all, grid);
    }
    vpsde_grid_destroy(grid);
    free(all.x);
    free(all.classes);
    if (status != VPSDE_OK) {
        vpsde_geometry_destroy(all.geometry);
        return vpsde_fail_in(status, "pilot samples");
    }
    *out = all.geometry;
    return VPSDE_OK;
}

void vpsde_geometry_destroy(vpsde_geometry *geometry)
{
    if (!geometry) return;
    for (size_t r = 0; r < VPSDE_N_RATES; r++) free(geometry->rate[r]);
    free(geometry->node);
    free(geometry->is_lost);
    free(geometry);
}

void vpsde_geometry_mean(double *mean, const vpsde_geometry *geometry, vpsde_rate rate,
                         const uint8_t *times)
{
    const size_t nodes = geometry->plan.nodes;
    double n = 0;
    memset(mean, 0, nodes * sizeof(*mean));
    for (size_t i = 0; i < geometry->plan.samples; i++) {
        const double weight = geometry->is_lost[i] ? 0 : times ? times[i] : 1;
        if (!(weight > 0)) continue;
        n += weight;
        for (size_t m = 0; m < nodes; m++) {
            mean[m] += weight * geometry->rate[rate][i * nodes + m];
        }
    }
    for (size_t m = 0; m < nodes; m++) mean[m] /= n;
}
