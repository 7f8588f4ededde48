/* Along any path x(b) of the forward marginals p_b, with s = grad log p_b,
 *     d log p = s o dx + g db,   g = 1/2 (d + x . s + div s + |s|^2)
 * (o: Stratonovich; g is the Fokker-Planck equation of dx = -x/2 db + dw). Karczewski et al. 2025
 * (arXiv:2411.01293), Skreta et al. 2025 (arXiv:2412.17762), who write it in Ito's form, without
 * div s, which from node to node is off by O(sqrt h). Here by the trapezoid: O(h^2) along smooth
 * paths, O(h) along those of an SDE. The score is the model's own: a clip, say, bends the path and
 * not log p.
 *
 * s = -eps/sigma, div s = -tr J_eps/sigma, the trace by fresh probes at every node. */
#include "solvers/path_logp.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "core/vec.h"
#include "solvers/logp.h"

struct vpsde_path_logp {
    const vpsde_report *report;
    vpsde_logp_trace trace;
    void *ws;
    double *x, *s, *g;       /* (rows, d), (rows, d), (rows): at the node before */
    double *eps, *div, *sum; /* of one evaluation, and log p less that of node 0 */
    double *dx, *deps;       /* (rows, chunk, d) */
    double *start;           /* (rows) log p of the noise end less what has been summed up there */
    double b;
};

static vpsde_status alloc_all(vpsde_path_logp *p, size_t rows, size_t d)
{
    size_t state, wide;
    VPSDE_TRY(vpsde_size_mul(&state, rows, d, "logp: states of a block"));
    VPSDE_TRY(vpsde_size_mul(&wide, state, p->trace.chunk, "logp: tangents of a block"));
    double **const values[] = {&p->g, &p->div, &p->sum, &p->start};
    double **const states[] = {&p->x, &p->s, &p->eps};
    double **const tangents[] = {&p->dx, &p->deps};
    for (size_t q = 0; q < sizeof(values) / sizeof(*values); q++) {
        VPSDE_TRY(vpsde_alloc(values[q], rows, sizeof(double)));
    }
    for (size_t q = 0; q < sizeof(states) / sizeof(*states); q++) {
        VPSDE_TRY(vpsde_alloc(states[q], state, sizeof(double)));
    }
    for (size_t q = 0; q < sizeof(tangents) / sizeof(*tangents) && wide > 0; q++) {
        VPSDE_TRY(vpsde_alloc(tangents[q], wide, sizeof(double)));
    }
    return vpsde_model_workspace_create(&p->ws, p->report->run->model, rows, p->trace.chunk);
}

vpsde_status vpsde_path_logp_create(vpsde_path_logp **out, const vpsde_report *report)
{
    const vpsde_sampling *run = report->run;
    const size_t rows = vpsde_block_rows(run->model);
    vpsde_path_logp *p;
    *out = NULL;
    VPSDE_TRY(vpsde_alloc(&p, 1, sizeof(*p)));
    p->report = report;
    p->trace = vpsde_logp_trace_of(run, rows);
    const vpsde_status status = alloc_all(p, rows, run->model->dim);
    if (status != VPSDE_OK) {
        vpsde_path_logp_destroy(p);
        return status;
    }
    *out = p;
    return VPSDE_OK;
}

void vpsde_path_logp_destroy(vpsde_path_logp *p)
{
    if (!p) return;
    if (p->ws) vpsde_model_workspace_destroy(p->report->run->model, p->ws);
    free(p->x);
    free(p->s);
    free(p->g);
    free(p->eps);
    free(p->div);
    free(p->sum);
    free(p->dx);
    free(p->deps);
    free(p->start);
    free(p);
}

/* eps and, in div, tr J_eps at the step's node; the padding's directions stay zeros. */
static vpsde_status evaluate(vpsde_path_logp *p, const vpsde_chain *chain, size_t k)
{
    const vpsde_step *s = &chain->step;
    const vpsde_block *block = &chain->block;
    const vpsde_logp_trace *trace = &p->trace;
    const size_t wide = trace->chunk * s->d;
    const vpsde_eval e = {.n = s->n,
                          .k = trace->chunk,
                          .coef = s->at,
                          .x = s->x,
                          .dx = p->dx,
                          .classes = block->classes,
                          .eps = p->eps,
                          .deps = p->deps,
                          .div = trace->closed ? p->div : NULL};
    for (size_t i = 0; i < s->n; i++) p->div[i] = 0;
    if (wide > 0) memset(p->dx, 0, s->n * wide * sizeof(double));
    for (size_t q = 0; q < trace->n_calls; q++) {
        for (size_t i = 0; i < block->count && wide > 0; i++) {
            vpsde_logp_directions(trace, block->seed, block->first + i, k * trace->n_directions, q,
                                  s->d, p->dx + (block->begin + i) * wide);
        }
        VPSDE_TRY(vpsde_model_eval(block->model, p->ws, &e));
        for (size_t i = block->begin; i < block->begin + block->count && wide > 0; i++) {
            p->div[i] +=
                vpsde_logp_trace_part(trace, q, s->d, p->dx + i * wide, p->deps + i * wide);
        }
    }
    return VPSDE_OK;
}

/* One row from the node before to x at c, where eps and div are known. */
static void advance(vpsde_path_logp *p, const vpsde_coef *c, size_t i, size_t d, const double *x,
                    bool first)
{
    double *x0 = p->x + i * d, *s0 = p->s + i * d, along = 0, square = 0, x_s = 0;
    const double *eps = p->eps + i * d;
    for (size_t j = 0; j < d; j++) {
        const double s = -eps[j] / c->sigma;
        along += (s0[j] + s) * (x[j] - x0[j]);
        square += s * s;
        x_s += x[j] * s;
        s0[j] = s;
        x0[j] = x[j];
    }
    const double g = 0.5 * ((double)d + x_s - p->div[i] / c->sigma + square);
    p->sum[i] = first ? 0 : p->sum[i] + 0.5 * (along + (p->g[i] + g) * (c->b - p->b));
    p->g[i] = g;
}

/* The noise end is node 0, or where an encoding ends. */
static vpsde_status start_from(vpsde_path_logp *p, const vpsde_chain *chain)
{
    const vpsde_block *block = &chain->block;
    const size_t d = chain->step.d;
    for (size_t i = 0; i < block->count; i++) {
        const size_t row = block->begin + i;
        double *start = &p->start[row];
        *start = (double)NAN;
        if (block->status[row] != VPSDE_ROW_OK) continue;
        VPSDE_TRY(
            vpsde_logp_of_noise(p->report->run, block->first + i, chain->step.x + row * d, start));
        *start -= p->sum[row];
    }
    return VPSDE_OK;
}

vpsde_status vpsde_path_logp_visit(vpsde_path_logp *p, const vpsde_chain *chain, size_t k,
                                   vpsde_rows *rows, size_t slot)
{
    const vpsde_step *s = &chain->step;
    const vpsde_block *block = &chain->block;
    const bool noisy = s->at->sigma > 0;
    if (noisy) VPSDE_TRY(evaluate(p, chain, k));
    for (size_t i = 0; i < block->count; i++) {
        const size_t row = block->begin + i;
        if (noisy) advance(p, s->at, row, s->d, s->x + row * s->d, k == 0);
        rows->nfe_log[i] += noisy ? (int32_t)p->trace.n_calls : 0;
        rows->jvp[i] += noisy ? (int32_t)p->trace.n_directions : 0;
        const bool known = noisy && block->status[row] == VPSDE_ROW_OK;
        if (slot == SIZE_MAX) continue;
        vpsde_rows_store(rows, p->report, VPSDE_FIELD_LOGP, i, slot, known ? &p->sum[row] : NULL);
    }
    p->b = s->at->b;
    const bool encodes = vpsde_grid_encodes(p->report->run->grid);
    return k == (encodes ? s->n_steps : 0) ? start_from(p, chain) : VPSDE_OK;
}

void vpsde_path_logp_finish(vpsde_path_logp *p, const vpsde_chain *chain, vpsde_rows *rows)
{
    const size_t n_stored = p->report->n_stored;
    double *logp = rows->field[VPSDE_FIELD_LOGP];
    for (size_t i = 0; i < chain->block.count; i++) {
        for (size_t m = 0; m < n_stored; m++) {
            logp[i * n_stored + m] += p->start[chain->block.begin + i];
        }
    }
}
