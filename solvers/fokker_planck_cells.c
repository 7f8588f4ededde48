#include "solvers/fokker_planck_cells.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "core/parallel.h"
#include "solvers/driver.h"

static const double diffusion = 0.5; /* D */
enum { CHEAP_CALLS = 16 };           /* of a closed form: less is not worth a thread */

/* Faces across axis a lie behind the cells (i, j) that have a neighbour there. */
static size_t faces_of(const vpsde_fp_cells *c, size_t a, size_t axis)
{
    return c->n[a] - (a == axis ? 1 : 0);
}

/* ---- A(s) ------------------------------------------------------------------------------------ */

/* B(-z) and B(z) of B(z) = z/expm1(z); the larger is the smaller plus |z|. */
static void bernoulli(double z, double *minus, double *plus)
{
    const double size = fabs(z), small = size > 0 ? size / expm1(size) : 1;
    *minus = z > 0 ? small + size : small;
    *plus = z > 0 ? small : small + size;
}

static vpsde_status call(const vpsde_fp_cells *c, vpsde_fp_part *part, size_t first)
{
    const size_t n = c->n_faces - first < c->rows ? c->n_faces - first : c->rows;
    const vpsde_eval e = {.n = n,
                          .coef = &c->at,
                          .x = c->face + first * c->d,
                          .classes = c->classes,
                          .eps = c->eps + first * c->d};
    return vpsde_guidance_eval(&part->guidance, c->run->model, part->workspace, &e);
}

/* Every n_parts-th call. */
static void evaluate(void *context, size_t p)
{
    vpsde_fp_cells *c = context;
    vpsde_fp_part *part = &c->part[p];
    part->status = VPSDE_OK;
    for (size_t first = p * c->rows; first < c->n_faces; first += c->n_parts * c->rows) {
        part->status = call(c, part, first);
        if (part->status == VPSDE_OK) continue;
        snprintf(part->message, sizeof(part->message), "%s", vpsde_last_error());
        return;
    }
}

static vpsde_status evaluate_all(vpsde_fp_cells *c)
{
    const size_t saved = vpsde_limit_begin(c->n_parts);
    vpsde_team(c->n_parts, evaluate, c);
    vpsde_limit_end(saved);
    for (size_t p = 0; p < c->n_parts; p++) {
        if (c->part[p].status != VPSDE_OK) {
            return vpsde_fail(c->part[p].status, "%s", c->part[p].message);
        }
    }
    return VPSDE_OK;
}

/* Rates through the faces across one axis, the first of which is face `f`. */
static size_t set_rates(vpsde_fp_cells *c, size_t axis, size_t f)
{
    const bool forward = c->run->direction == VPSDE_FP_FORWARD;
    const double h = c->h[axis], rate = diffusion / (h * h);
    const size_t count = faces_of(c, 0, axis) * faces_of(c, 1, axis);
    for (const size_t end = f + count; f < end; f++) {
        const double half = c->face[f * c->d + axis] / 2;
        const double drift = forward ? -half : half - c->eps[f * c->d + axis] / c->at.sigma;
        double minus, plus;
        bernoulli(drift * h / diffusion, &minus, &plus);
        c->up[f] = rate * minus;
        c->down[f] = rate * plus;
    }
    return f;
}

/* The forward drift -x/2 does not depend on time, nor on the model. */
static vpsde_status stand_at(void *context, double s)
{
    vpsde_fp_cells *c = context;
    const bool forward = c->run->direction == VPSDE_FP_FORWARD;
    size_t f = 0;
    VPSDE_TRY(vpsde_check_stop(c->run->control.stop));
    if (c->s == s || (forward && !isnan(c->s))) return VPSDE_OK;
    c->s = (double)NAN;
    if (!forward) {
        c->at = vpsde_process_at_b(c->run->process, c->b_start - s);
        VPSDE_TRY(evaluate_all(c));
    }
    for (size_t a = 0; a < c->d; a++) f = set_rates(c, a, f);
    for (f = 0; f < c->n_faces; f++) {
        if (isfinite(c->up[f]) && isfinite(c->down[f])) continue;
        return vpsde_fail(VPSDE_ENUMERIC, "the score of %s is not finite at t = %g, x = %g",
                          c->run->model->type->name, c->at.t, c->face[f * c->d]);
    }
    c->s = s;
    return VPSDE_OK;
}

static void apply(const void *context, const double *q, double *dq)
{
    const vpsde_fp_cells *c = context;
    size_t f = 0;
    memset(dq, 0, c->n_cells * sizeof(*dq));
    for (size_t a = 0; a < c->d; a++) {
        const size_t behind = a == 0 ? c->n[1] : 1;
        for (size_t i = 0; i < faces_of(c, 0, a); i++) {
            for (size_t j = 0; j < faces_of(c, 1, a); j++, f++) {
                const size_t e = i * c->n[1] + j;
                const double rate = c->up[f] * q[e] - c->down[f] * q[e + behind];
                dq[e] -= rate;
                dq[e + behind] += rate;
            }
        }
    }
}

/* In one dimension face i lies between the cells i and i + 1. */
static double element(const void *context, size_t row, size_t column)
{
    const vpsde_fp_cells *c = context;
    if (column + 1 == row) return c->up[column];
    if (row + 1 == column) return c->down[row];
    return -(row < c->n_faces ? c->up[row] : 0) - (row > 0 ? c->down[row - 1] : 0);
}

vpsde_linear_system vpsde_fp_cells_system(vpsde_fp_cells *c)
{
    return (vpsde_linear_system){.context = c,
                                 .n = c->n_cells,
                                 .at = stand_at,
                                 .apply = apply,
                                 .element = c->d == 1 ? element : NULL};
}

/* ---- what is looked at ----------------------------------------------------------------------- */

void vpsde_fp_cells_flux(const vpsde_fp_cells *c, const double *q, double *flux)
{
    size_t f = 0;
    memset(flux, 0, c->d * c->n_cells * sizeof(*flux));
    for (size_t a = 0; a < c->d; a++) {
        const size_t behind = a == 0 ? c->n[1] : 1;
        double *along = flux + a * c->n_cells;
        for (size_t i = 0; i < faces_of(c, 0, a); i++) {
            for (size_t j = 0; j < faces_of(c, 1, a); j++, f++) {
                const size_t e = i * c->n[1] + j;
                const double rate = c->up[f] * q[e] - c->down[f] * q[e + behind];
                along[e] += c->h[a] * rate / 2;
                along[e + behind] += c->h[a] * rate / 2;
            }
        }
    }
}

vpsde_status vpsde_fp_cells_density(const vpsde_fp_cells *c, const vpsde_coef *at, double *q)
{
    VPSDE_TRY(vpsde_model_log_p_of(c->run->model, c->n_cells, at, c->classes, c->centre, q));
    for (size_t e = 0; e < c->n_cells; e++) q[e] = exp(q[e]);
    return VPSDE_OK;
}

/* ---- making them ----------------------------------------------------------------------------- */

static vpsde_status place_cells(vpsde_fp_cells *c)
{
    c->volume = 1;
    for (size_t a = 0; a < VPSDE_FP_DIM; a++) {
        const double low = c->run->low[a], high = c->run->high[a];
        VPSDE_TRY(vpsde_alloc(&c->middle[a], c->n[a], sizeof(double)));
        if (a >= c->d) continue;
        c->h[a] = (high - low) / (double)c->n[a];
        c->volume *= c->h[a];
        for (size_t i = 0; i < c->n[a]; i++) c->middle[a][i] = low + ((double)i + 0.5) * c->h[a];
    }
    for (size_t e = 0; e < c->n_cells; e++) {
        /* NOLINTNEXTLINE(clang-analyzer-core.DivideZero): n[1] is 1 in one dimension */
        c->centre[e * c->d] = c->middle[0][e / c->n[1]];
        if (c->d > 1) c->centre[e * c->d + 1] = c->middle[1][e % c->n[1]];
    }
    return VPSDE_OK;
}

static void place_faces(vpsde_fp_cells *c)
{
    double *face = c->face;
    for (size_t a = 0; a < c->d; a++) {
        for (size_t i = 0; i < faces_of(c, 0, a); i++) {
            for (size_t j = 0; j < faces_of(c, 1, a); j++, face += c->d) {
                const double *centre = c->centre + (i * c->n[1] + j) * c->d;
                memcpy(face, centre, c->d * sizeof(*face));
                face[a] += c->h[a] / 2;
            }
        }
    }
}

static vpsde_status open_parts(vpsde_fp_cells *c)
{
    const vpsde_fokker_planck *run = c->run;
    const bool cheap = run->model->type->flags & VPSDE_MODEL_ANALYTIC;
    const double weight = run->class < 0 ? 0 : run->guidance;
    c->rows = vpsde_block_rows(run->model);
    const size_t calls = (c->n_faces + c->rows - 1) / c->rows;
    const size_t most = cheap ? (calls + CHEAP_CALLS - 1) / CHEAP_CALLS : calls;
    VPSDE_TRY(vpsde_threads(&c->n_parts, run->n_threads));
    if (c->n_parts > most) c->n_parts = most;
    VPSDE_TRY(vpsde_alloc(&c->part, c->n_parts, sizeof(*c->part)));
    for (size_t p = 0; p < c->n_parts; p++) {
        VPSDE_TRY(vpsde_model_workspace_create(&c->part[p].workspace, run->model, c->rows, 0));
        VPSDE_TRY(vpsde_guidance_open(&c->part[p].guidance, weight, run->model, c->rows, 0));
    }
    return VPSDE_OK;
}

static vpsde_status fill(vpsde_fp_cells *c)
{
    size_t values;
    for (size_t a = 0; a < VPSDE_FP_DIM; a++) c->n[a] = a < c->d ? c->run->cells[a] : 1;
    VPSDE_TRY(vpsde_size_mul(&c->n_cells, c->n[0], c->n[1], "the cells"));
    for (size_t a = 0; a < c->d; a++) c->n_faces += faces_of(c, 0, a) * faces_of(c, 1, a);
    VPSDE_TRY(vpsde_size_mul(&values, c->n_faces, c->d, "the faces"));
    VPSDE_TRY(vpsde_alloc(&c->centre, c->n_cells * c->d, sizeof(double)));
    VPSDE_TRY(vpsde_alloc(&c->face, values, sizeof(double)));
    VPSDE_TRY(vpsde_alloc(&c->eps, values, sizeof(double)));
    VPSDE_TRY(vpsde_alloc(&c->up, c->n_faces, sizeof(double)));
    VPSDE_TRY(vpsde_alloc(&c->down, c->n_faces, sizeof(double)));
    if (c->run->class >= 0) {
        const size_t n = c->n_cells > c->n_faces ? c->n_cells : c->n_faces;
        VPSDE_TRY(vpsde_alloc(&c->classes, n, sizeof(*c->classes)));
        for (size_t e = 0; e < n; e++) c->classes[e] = c->run->class;
    }
    VPSDE_TRY(place_cells(c));
    place_faces(c);
    return open_parts(c);
}

vpsde_status vpsde_fp_cells_open(vpsde_fp_cells *c, const vpsde_fokker_planck *run)
{
    const double t_min = vpsde_process_get_spec(run->process)->t_min;
    const double t_max = vpsde_process_t_max(run->process);
    const double t = run->direction == VPSDE_FP_FORWARD ? t_min : t_max;
    *c = (vpsde_fp_cells){.run = run,
                          .d = run->model->dim,
                          .at = vpsde_process_at(run->process, t),
                          .s = (double)NAN};
    c->b_start = c->at.b;
    const vpsde_status status = fill(c);
    if (status != VPSDE_OK) vpsde_fp_cells_close(c);
    return status;
}

void vpsde_fp_cells_close(vpsde_fp_cells *c)
{
    for (size_t p = 0; c->part && p < c->n_parts; p++) {
        vpsde_model_workspace_destroy(c->run->model, c->part[p].workspace);
        vpsde_guidance_close(&c->part[p].guidance);
    }
    for (size_t a = 0; a < VPSDE_FP_DIM; a++) free(c->middle[a]);
    free(c->part);
    free(c->centre);
    free(c->face);
    free(c->eps);
    free(c->up);
    free(c->down);
    free(c->classes);
    *c = (vpsde_fp_cells){0};
}
