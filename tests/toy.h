/* A mixture of isotropic Gaussians that can pose as a network (fixed block shape), poison rows or
 * fail, and a sink that keeps every column. */
#ifndef VPSDE_TESTS_TOY_H
#define VPSDE_TESTS_TOY_H

#include "tests/check.h"

#include <stdatomic.h>
#include <stdlib.h>

#include <vpsde/vpsde.h>

enum { TOY_DIM_MAX = 4, TOY_COMPONENTS_MAX = 2 };

typedef struct toy {
    vpsde_model model;
    vpsde_model_type type;
    size_t n_components;
    double weight[TOY_COMPONENTS_MAX], mean[TOY_COMPONENTS_MAX][TOY_DIM_MAX];
    double variance[TOY_COMPONENTS_MAX];
    double poison;      /* eps is NaN in rows whose |x_0| exceeds this; 0: never */
    bool blind_at_data; /* eps is NaN where sigma = 0 */
    long fail_after;    /* calls until eval fails; 0: never */
    atomic_long calls;  /* of eval */
    atomic_long rows;   /* in all calls */
    atomic_int classes; /* largest class seen, plus 1 */
    atomic_long odd;    /* calls of another shape than block_rows, while posing as a network */
} toy;

/* Returns log p. */
static inline double toy_row(const toy *m, const vpsde_coef *c, size_t d, const double *x,
                             double *eps)
{
    double log_r[TOY_COMPONENTS_MAX], top = -INFINITY, sum = 0;
    for (size_t k = 0; k < m->n_components; k++) {
        const double v = c->alpha * c->alpha * m->variance[k] + c->sigma * c->sigma;
        double square = 0;
        for (size_t j = 0; j < d; j++) {
            const double r = x[j] - c->alpha * m->mean[k][j];
            square += r * r;
        }
        log_r[k] = log(m->weight[k]) - square / (2 * v) - 0.5 * (double)d * log(v);
        top = fmax(top, log_r[k]);
    }
    for (size_t j = 0; j < d; j++) eps[j] = 0;
    for (size_t k = 0; k < m->n_components; k++) sum += exp(log_r[k] - top);
    for (size_t k = 0; k < m->n_components; k++) {
        const double v = c->alpha * c->alpha * m->variance[k] + c->sigma * c->sigma;
        const double g = m->n_components > 1 ? exp(log_r[k] - top) / sum : 1;
        for (size_t j = 0; j < d; j++) {
            eps[j] += g * c->sigma * (x[j] - c->alpha * m->mean[k][j]) / v;
        }
    }
    return top + log(sum) - 0.5 * (double)d * log(2 * 3.14159265358979323846);
}

static inline vpsde_status toy_eval(const vpsde_model *model, void *ws, const vpsde_eval *e)
{
    toy *m = model->impl;
    const size_t d = model->dim;
    (void)ws;
    const long call = atomic_fetch_add(&m->calls, 1);
    if (m->fail_after > 0 && call >= m->fail_after) {
        return vpsde_fail(VPSDE_EIO, "the toy model was told to fail");
    }
    atomic_fetch_add(&m->rows, (long)e->n);
    if (!(model->type->flags & (VPSDE_MODEL_ANALYTIC | VPSDE_MODEL_ANY_ROWS)) &&
        e->n != model->block_rows) {
        atomic_fetch_add(&m->odd, 1);
    }
    for (size_t i = 0; e->classes && i < e->n; i++) {
        int seen = atomic_load(&m->classes);
        while (e->classes[i] >= seen &&
               !atomic_compare_exchange_weak(&m->classes, &seen, e->classes[i] + 1)) {
        }
    }
    for (size_t i = 0; i < e->n; i++) {
        const double logp =
            toy_row(m, &e->coef[i * e->coef_stride], d, e->x + i * d, e->eps + i * d);
        if (e->logp) e->logp[i] = logp;
        for (size_t j = 0; e->range && j < d; j++) e->range[i * d + j] = 0.5;
        const bool blind = m->blind_at_data && !(e->coef[i * e->coef_stride].sigma > 0);
        const bool poisoned = m->poison > 0 && fabs(e->x[i * d]) > m->poison;
        if (blind || poisoned) e->eps[i * d] = (double)NAN;
    }
    return VPSDE_OK;
}

static inline vpsde_status toy_draw(const vpsde_model *model, const vpsde_coef *c, uint64_t seed,
                                    vpsde_purpose purpose, uint64_t first, size_t n, double *x)
{
    const toy *m = model->impl;
    const size_t d = model->dim;
    vpsde_normals(x, seed, purpose, first, n, 0, d);
    for (size_t i = 0; i < n; i++) {
        double u;
        vpsde_uniforms(&u, seed, purpose, first + i, 1, 1, 1);
        const size_t k = u < m->weight[0] ? 0 : m->n_components - 1;
        const double sd = sqrt(c->alpha * c->alpha * m->variance[k] + c->sigma * c->sigma);
        for (size_t j = 0; j < d; j++) {
            x[i * d + j] = c->alpha * m->mean[k][j] + sd * x[i * d + j];
        }
    }
    return VPSDE_OK;
}

static inline vpsde_status toy_log_p(const vpsde_model *model, size_t n, const vpsde_coef *c,
                                     const double *x, double *logp)
{
    double eps[TOY_DIM_MAX];
    for (size_t i = 0; i < n; i++) {
        logp[i] = toy_row(model->impl, c, model->dim, x + i * model->dim, eps);
    }
    return VPSDE_OK;
}

static inline vpsde_status toy_workspace(void **ws, const vpsde_model *model, size_t rows,
                                         size_t tangents)
{
    (void)model, (void)rows, (void)tangents;
    *ws = malloc(1);
    return *ws ? VPSDE_OK : vpsde_fail(VPSDE_ENOMEM, "no memory");
}

/* `flags` 0 poses as a network of block_rows rows. */
static inline void toy_init(toy *m, size_t d, unsigned flags, size_t block_rows)
{
    m->type = (vpsde_model_type){
        .name = "toy",
        .flags = flags | VPSDE_MODEL_LOG_P | VPSDE_MODEL_RANGE,
        .workspace_create = toy_workspace,
        .workspace_destroy = free,
        .eval = toy_eval,
        .log_p = toy_log_p,
        .draw = flags & VPSDE_MODEL_DRAW ? toy_draw : NULL,
    };
    m->model = (vpsde_model){
        .type = &m->type, .dim = d, .rank = 1, .shape = {d}, .block_rows = block_rows, .impl = m};
}

/* One Gaussian N(mu, v) in d dimensions. */
static inline void toy_gaussian(toy *m, size_t d, double mu, double v, unsigned flags,
                                size_t block_rows)
{
    *m = (toy){.n_components = 1, .weight = {1}, .variance = {v}};
    for (size_t j = 0; j < d; j++) m->mean[0][j] = mu;
    toy_init(m, d, flags, block_rows);
}

/* 0.3 N((-2, 0), 0.1) + 0.7 N((2, 1), 0.25). */
static inline void toy_mixture(toy *m, unsigned flags, size_t block_rows)
{
    *m = (toy){.n_components = 2,
               .weight = {0.3, 0.7},
               .mean = {{-2, 0}, {2, 1}},
               .variance = {0.1, 0.25}};
    toy_init(m, 2, flags, block_rows);
}

/* vp-linear 0.1 .. 20, starting from p_T itself or N(0, I). */
static inline vpsde_process *toy_process_to(vpsde_terminal terminal, double t_min)
{
    vpsde_process_spec spec;
    vpsde_process *process;
    assert_ok(vpsde_process_spec_init(&spec, "vp-linear"));
    spec.terminal = terminal;
    spec.t_min = t_min;
    assert_ok(vpsde_process_create(&process, &spec));
    return process;
}

static inline vpsde_process *toy_process(vpsde_terminal terminal)
{
    return toy_process_to(terminal, 1e-3);
}

static inline vpsde_grid *toy_grid(const vpsde_process *process, const char *name, size_t n_steps,
                                   vpsde_last_step last_step)
{
    vpsde_grid *grid;
    assert_non_null(vpsde_grid_find(name));
    assert_ok(
        vpsde_grid_create(&grid, vpsde_grid_find(name), process, n_steps, NULL, NULL, last_step));
    return grid;
}

static inline vpsde_grid *toy_grid_at(const vpsde_process *process, const double *times,
                                      size_t n_steps, vpsde_last_step last_step)
{
    vpsde_grid *grid;
    assert_ok(vpsde_grid_create(&grid, vpsde_grid_find("user"), process, n_steps, NULL, times,
                                last_step));
    return grid;
}

/* ---- a sink that keeps everything ---------------------------------------------------------- */

enum { KEEP_COLUMNS = 24 };

typedef struct keep {
    size_t first, count, n_columns, bytes[KEEP_COLUMNS]; /* of one sample */
    char name[KEEP_COLUMNS][32];
    unsigned char *data[KEEP_COLUMNS], *seen;
    int ended;
    vpsde_sink sink;
} keep;

static inline vpsde_status keep_begin(void *self, const vpsde_table *table)
{
    keep *k = self;
    k->first = table->first;
    k->count = table->count;
    k->n_columns = table->n_columns;
    k->seen = calloc(table->count, 1);
    for (size_t c = 0; c < table->n_columns; c++) {
        k->bytes[c] = table->columns[c].width * vpsde_dtype_size(table->columns[c].type);
        snprintf(k->name[c], sizeof(k->name[c]), "%s", table->columns[c].name);
        k->data[c] = calloc(table->count, k->bytes[c]);
    }
    return VPSDE_OK;
}

static inline vpsde_status keep_write(void *self, size_t first, size_t n, const void *const *data)
{
    keep *k = self;
    const size_t at = first - k->first;
    if (first < k->first || at + n > k->count) return vpsde_fail(VPSDE_EINTERNAL, "rows outside");
    for (size_t i = 0; i < n; i++) {
        if (k->seen[at + i]++) return vpsde_fail(VPSDE_EINTERNAL, "row written twice");
    }
    for (size_t c = 0; c < k->n_columns; c++) {
        memcpy(k->data[c] + at * k->bytes[c], data[c], n * k->bytes[c]);
    }
    return VPSDE_OK;
}

static inline vpsde_status keep_end(void *self, const vpsde_fact *provenance, size_t n_facts)
{
    (void)provenance, (void)n_facts;
    ((keep *)self)->ended++;
    return VPSDE_OK;
}

static inline void keep_init(keep *k)
{
    *k = (keep){.sink = {.begin = keep_begin, .write = keep_write, .end = keep_end}};
    k->sink.self = k;
}

static inline void keep_free(keep *k)
{
    for (size_t c = 0; c < k->n_columns; c++) free(k->data[c]);
    free(k->seen);
}

/* Column by name, or NULL. */
static inline const void *keep_column(const keep *k, const char *name)
{
    for (size_t c = 0; c < k->n_columns; c++) {
        if (strcmp(k->name[c], name) == 0) return k->data[c];
    }
    return NULL;
}

static inline int keep_complete(const keep *k)
{
    for (size_t i = 0; i < k->count; i++) {
        if (!k->seen[i]) return 0;
    }
    return 1;
}

/* Column `name` of a's samples [first, first + n) has the bits of b's. */
static inline int keep_same(const keep *a, const keep *b, const char *name, size_t first, size_t n)
{
    for (size_t c = 0; c < a->n_columns; c++) {
        if (strcmp(a->name[c], name) != 0) continue;
        const unsigned char *pa = a->data[c] + (first - a->first) * a->bytes[c];
        const unsigned char *pb = keep_column(b, name);
        return memcmp(pa, pb + (first - b->first) * a->bytes[c], n * a->bytes[c]) == 0;
    }
    return 0;
}

#endif
