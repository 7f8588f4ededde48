#include "experiments/thermo_walk.h"

#include <math.h>
#include <stdlib.h>

#include "core/mem.h"
#include "core/vec.h"
#include "experiments/thermo_step.h"
#include "sde/brownian.h"
#include "solvers/driver.h"

enum { X, EPS, MEAN }; /* of a record */

struct vpsde_walker {
    const vpsde_paths_spec *spec;
    const vpsde_model *model;
    const vpsde_coef *node;
    size_t n_nodes, d, rows, tangents;
    bool has_logp, closed_divergence, any_rows, calls;
    bool replays; /* goes by the record */
    void *ws;
    vpsde_brownian *path;
    uint64_t first; /* of the block at hand */
    size_t count;
    uint8_t *status;
    double *memory;
    double *x[2], *s[2], *z, *mean;       /* (rows, d): ends of a step, its noise, its mean */
    double *told[3];                      /* (rows, n_stored, d) of a record: x, eps, mean */
    int32_t *classes;                     /* (rows), NULL: none */
    double *dx, *deps, *div, *logp;       /* (rows, tangents, d) twice, (rows) twice */
    double *along[VPSDE_N_ALONG], *prior; /* (rows): log pi(x_T) */
    double *at[VPSDE_N_AT];               /* (n_nodes, rows) */
};

size_t vpsde_paths_nodes(const vpsde_grid *grid)
{
    return grid->n_steps + (grid->node[grid->n_steps].sigma > 0);
}

/* ---- the score at a node --------------------------------------------------------------------- */

/* |x + a s|^2 */
static double square_of(size_t d, const double *x, double a, const double *s)
{
    double sum = 0;
    for (size_t j = 0; j < d; j++) sum += (x[j] + a * s[j]) * (x[j] + a * s[j]);
    return sum;
}

/* The basis, or fresh probes at every node. */
static void set_tangents(vpsde_walker *w, size_t k)
{
    const size_t d = w->d, n = w->tangents;
    for (size_t i = 0; i < w->count; i++) {
        for (size_t q = 0; q < n; q++) {
            double *v = w->dx + (i * n + q) * d;
            for (size_t j = 0; j < d; j++) v[j] = j == q;
            if (n < d) {
                vpsde_signs(v, w->spec->sampling->seed, VPSDE_NOISE_PROBE, w->first + i, 1,
                            (uint32_t)(k * n + q), d);
            }
        }
    }
}

/* tr J_eps of row i. */
static double trace(const vpsde_walker *w, size_t i)
{
    const size_t n = w->tangents, d = w->d;
    if (w->closed_divergence) return w->div[i];
    if (n == 0) return (double)NAN;
    const double sum = vec_dot(n * d, w->dx + i * n * d, w->deps + i * n * d);
    return n < d ? sum / (double)n : sum;
}

static void observe(vpsde_walker *w, size_t k, const double *all_x, const double *all_s)
{
    const double half_log_2pi = 0.91893853320467274178, d = (double)w->d;
    for (size_t i = 0; i < w->count; i++) {
        const size_t cell = k * w->rows + i;
        const double *x = all_x + i * w->d, *s = all_s + i * w->d;
        const double energy = vec_dot(w->d, x, x) / 2, xs = vec_dot(w->d, x, s);
        const double ss = vec_dot(w->d, s, s), logp = w->has_logp ? w->logp[i] : (double)NAN;
        if (k == 0) w->prior[i] = vpsde_prior_logp(x, w->d);
        w->at[VPSDE_AT_ENERGY][cell] = energy;
        w->at[VPSDE_AT_SURPRISAL][cell] = -logp;
        w->at[VPSDE_AT_FREE][cell] = logp + energy + d * half_log_2pi;
        w->at[VPSDE_AT_FISHER][cell] = square_of(w->d, x, 1, s);
        w->at[VPSDE_AT_SCORE][cell] = ss;
        w->at[VPSDE_AT_DIVERGENCE][cell] = trace(w, i) / w->node[k].sigma;
        w->at[VPSDE_AT_HEAT_RATE][cell] =
            w->spec->reverse ? energy + 1.5 * xs + ss : energy - d / 2;
    }
}

/* Node k of what the record holds of `what`. */
static void recall(const vpsde_walker *w, size_t what, size_t k, double *v)
{
    const size_t n_stored = w->spec->record->n_stored;
    for (size_t i = 0; i < w->count; i++) {
        const double *from = w->told[what] + (i * n_stored + k) * w->d;
        for (size_t j = 0; j < w->d; j++)
            v[i * w->d + j] = w->status[i] == VPSDE_ROW_OK ? from[j] : 0;
    }
}

/* s <- the score of x at node k; a row that is no longer finite goes on as zeros. Of recorded paths the
 * network is asked only for what eps does not tell. */
static vpsde_status look(vpsde_walker *w, size_t k, double *x, double *s)
{
    const vpsde_coef *c = &w->node[k];
    const vpsde_eval e = {
        .n = w->any_rows ? w->count : w->rows,
        .k = w->tangents,
        .coef = c,
        .x = x,
        .classes = w->classes,
        .dx = w->tangents ? w->dx : NULL,
        .eps = s,
        .deps = w->tangents ? w->deps : NULL,
        .div = w->closed_divergence ? w->div : NULL,
        .logp = w->has_logp ? w->logp : NULL,
    };
    if (w->tangents) set_tangents(w, k);
    if (w->calls) VPSDE_TRY(vpsde_model_eval(w->model, w->ws, &e));
    if (w->replays) recall(w, EPS, k, s);
    vec_scale(w->count * w->d, s, -1 / c->sigma, s);
    for (size_t i = 0; i < w->count; i++) {
        double *row = s + i * w->d;
        if (vec_is_finite(w->d, row) && vec_is_finite(w->d, x + i * w->d)) continue;
        w->status[i] = VPSDE_ROW_NON_FINITE;
        for (size_t j = 0; j < w->d; j++) row[j] = x[i * w->d + j] = 0;
    }
    observe(w, k, x, s);
    return VPSDE_OK;
}

/* ---- a step ---------------------------------------------------------------------------------- */

/* The mean of the sampler's kernel from node k: recorded, that of the recorded solver at another state, or
 * Euler-Maruyama's. */
static void set_mean(vpsde_walker *w, size_t k, const double *x, const double *s)
{
    const vpsde_record *record = w->spec->record;
    const double h = w->node[k].b - w->node[k + 1].b;
    const size_t n = w->count * w->d;
    if (!record) {
        vec_lin2(n, w->mean, 1 + h / 2, x, h, s);
    } else if (w->spec->reverse) {
        recall(w, MEAN, k, w->mean);
    } else if (record->is_affine) {
        vec_lin2(n, w->mean, record->on_x[k], x, -record->on_eps[k] * w->node[k].sigma, s);
    }
}

/* The step between node k and the cleaner k + 1, whichever way it was taken: `from`, `to` are buffers. */
static void account(vpsde_walker *w, size_t k, size_t from, size_t to)
{
    const bool reverse = w->spec->reverse;
    const size_t noisy = reverse ? from : to, clean = reverse ? to : from;
    const size_t arrived = (reverse ? k + 1 : k) * w->rows;
    const vpsde_record *record = w->spec->record;
    const double h = w->node[k].b - w->node[k + 1].b;
    const bool has_mean = !record || reverse || record->is_affine;
    set_mean(w, k, w->x[noisy], w->s[noisy]);
    for (size_t i = 0; i < w->count; i++) {
        const size_t row = i * w->d;
        const vpsde_thermo_step e = {.x = w->x[noisy] + row,
                                     .s = w->s[noisy] + row,
                                     .xc = w->x[clean] + row,
                                     .sc = w->s[clean] + row,
                                     .mean = has_mean ? w->mean + row : NULL,
                                     .h = h,
                                     .variance = record ? record->std[k] * record->std[k] : h};
        double gain[VPSDE_N_ALONG];
        (reverse ? vpsde_thermo_drive : vpsde_thermo_relax)(gain, &e, w->d);
        for (size_t q = 0; q < VPSDE_N_ALONG; q++) w->along[q][i] += gain[q];
        w->at[VPSDE_AT_HEAT][arrived + i] = w->along[VPSDE_ALONG_HEAT][i];
        w->at[VPSDE_AT_WORK][arrived + i] = w->along[VPSDE_ALONG_WORK][i];
    }
}

/* ---- paths ----------------------------------------------------------------------------------- */

/* Rows of data, noised to the last node. */
static vpsde_status start_from_rows(vpsde_walker *w, double *x)
{
    const vpsde_paths_spec *spec = w->spec;
    const vpsde_coef *c = &w->node[w->n_nodes - 1];
    for (size_t i = 0; i < w->count; i++) {
        const size_t row = spec->first_row + (size_t)((w->first + i) % spec->n_rows);
        VPSDE_TRY(spec->source.read(spec->source.context, row, 1, x + i * w->d));
    }
    vpsde_normals(w->z, spec->sampling->seed, VPSDE_NOISE_FORWARD, w->first, w->count,
                  (uint32_t)w->n_nodes, w->d);
    vec_lin2(w->count * w->d, x, c->alpha, x, c->sigma, w->z);
    return VPSDE_OK;
}

static vpsde_status start(vpsde_walker *w, double *x)
{
    const vpsde_sampling *run = w->spec->sampling;
    if (w->replays) {
        recall(w, X, 0, x);
        return VPSDE_OK;
    }
    if (w->spec->reverse) return vpsde_sampling_start(run, w->first, w->count, x);
    if (w->spec->source.read) return start_from_rows(w, x);
    return vpsde_model_draw(w->model, &w->node[w->n_nodes - 1], run->seed, VPSDE_NOISE_FORWARD,
                            w->first, w->count, w->classes, x);
}

/* From one node to the next on the path's way: x[to] from x[from], s[from]. */
static void move(vpsde_walker *w, size_t k, size_t from, size_t to)
{
    const size_t n = w->count * w->d;
    if (w->replays) {
        recall(w, X, k + 1, w->x[to]);
    } else if (w->spec->reverse) {
        const double h = w->node[k].b - w->node[k + 1].b;
        vpsde_brownian_stretch(w->path, w->node[k].b, w->node[k + 1].b, w->z, NULL);
        vec_lin3(n, w->x[to], 1 + h / 2, w->x[from], h, w->s[from], sqrt(h), w->z);
    } else {
        vpsde_normals(w->z, w->spec->sampling->seed, VPSDE_NOISE_FORWARD, w->first, w->count,
                      (uint32_t)k, w->d);
        vpsde_forward(w->x[to], &w->node[k + 1], &w->node[k], w->x[from], w->z, n);
    }
}

static vpsde_status walk(vpsde_walker *w)
{
    const size_t last = w->n_nodes - 1, begin = w->spec->reverse ? 0 : last;
    size_t from = 0;
    for (size_t e = w->count * w->d; e < w->rows * w->d; e++) w->x[0][e] = w->x[1][e] = 0;
    VPSDE_TRY(start(w, w->x[from]));
    VPSDE_TRY(look(w, begin, w->x[from], w->s[from]));
    for (size_t i = 0; i < w->count; i++) {
        for (size_t q = 0; q < VPSDE_N_ALONG; q++) w->along[q][i] = 0;
        w->at[VPSDE_AT_HEAT][begin * w->rows + i] = w->at[VPSDE_AT_WORK][begin * w->rows + i] = 0;
    }
    for (size_t q = 0; q < last; q++) {
        const size_t k = w->spec->reverse ? q : last - 1 - q;
        VPSDE_TRY(vpsde_sampling_stopped(w->spec->sampling));
        move(w, k, from, 1 - from);
        VPSDE_TRY(look(w, w->spec->reverse ? k + 1 : k, w->x[1 - from], w->s[1 - from]));
        account(w, k, from, 1 - from);
        from = 1 - from;
    }
    return VPSDE_OK;
}

/* Trapezoidal integrals from the noise end on. */
static void integrate(vpsde_walker *w, size_t i)
{
    double *const *at = w->at;
    double produced = 0, de_bruijn = 0;
    for (size_t k = 0; k < w->n_nodes; k++) {
        const size_t here = k * w->rows + i, before = here - (k > 0 ? w->rows : 0);
        const double h = k > 0 ? w->node[k - 1].b - w->node[k].b : 0;
        produced += h / 4 * (at[VPSDE_AT_FISHER][before] + at[VPSDE_AT_FISHER][here]);
        de_bruijn +=
            h / 4 * (at[VPSDE_AT_SCORE][before] + at[VPSDE_AT_SCORE][here] - 2 * (double)w->d);
        at[VPSDE_AT_PRODUCED][here] = produced;
        at[VPSDE_AT_DE_BRUIJN][here] = de_bruijn;
    }
}

/* The values of row i; log p_T is that of the law where reverse paths start. */
static void conclude(vpsde_walker *w, size_t i, double out[VPSDE_N_PATH])
{
    const bool reverse = w->spec->reverse;
    const size_t noise = i, data = (w->n_nodes - 1) * w->rows + i;
    const double *energy = w->at[VPSDE_AT_ENERGY], *surprisal = w->at[VPSDE_AT_SURPRISAL];
    const bool exact =
        vpsde_process_get_spec(w->spec->sampling->process)->terminal == VPSDE_TERMINAL_EXACT;
    const double start_logp = exact ? -surprisal[noise] : w->prior[i];
    const double change = energy[data] - energy[noise], gain = surprisal[data] + start_logp;
    out[VPSDE_PATH_HEAT] = w->along[VPSDE_ALONG_HEAT][i];
    out[VPSDE_PATH_WORK] = w->along[VPSDE_ALONG_WORK][i];
    out[VPSDE_PATH_ENERGY] = reverse ? change : -change;
    out[VPSDE_PATH_FIRST_LAW] =
        out[VPSDE_PATH_ENERGY] - (out[VPSDE_PATH_WORK] - out[VPSDE_PATH_HEAT]);
    out[VPSDE_PATH_ENTROPY] = reverse ? gain : surprisal[noise] - surprisal[data];
    out[VPSDE_PATH_SIGMA] = out[VPSDE_PATH_ENTROPY] + w->along[VPSDE_ALONG_KERNEL_HEAT][i];
    out[VPSDE_PATH_PRODUCED] = w->at[VPSDE_AT_PRODUCED][data];
    out[VPSDE_PATH_MARTINGALE] = w->along[VPSDE_ALONG_MARTINGALE][i];
    out[VPSDE_PATH_LOG_WEIGHT] = start_logp - w->along[VPSDE_ALONG_RATIO][i];
    out[VPSDE_PATH_LOG_RATIO] = -surprisal[data] - out[VPSDE_PATH_LOG_WEIGHT];
}

vpsde_status vpsde_walker_run(vpsde_walker *w, uint64_t first, size_t count,
                              double *const value[VPSDE_N_PATH], uint8_t *status,
                              vpsde_node_sums *sums)
{
    w->first = first;
    w->count = count;
    w->status = status;
    for (size_t i = 0; i < count; i++) status[i] = VPSDE_ROW_OK;
    if (w->replays) {
        VPSDE_TRY(vpsde_record_read(w->spec->record, (size_t)first, count, w->told[X], w->told[EPS],
                                    w->told[MEAN], status));
    }
    const vpsde_sampling *run = w->spec->sampling;
    for (size_t i = 0; w->classes && i < w->rows; i++) {
        w->classes[i] = i < count ? run->classes[(size_t)(first - run->first) + i] : VPSDE_NO_CLASS;
    }
    vpsde_brownian_place(w->path, run->seed, VPSDE_NOISE_DIFFUSION, first, count);
    VPSDE_TRY(walk(w));
    for (size_t i = 0; i < count; i++) {
        double out[VPSDE_N_PATH], *at[VPSDE_N_AT];
        integrate(w, i);
        conclude(w, i, out);
        for (size_t q = 0; q < VPSDE_N_AT; q++) at[q] = w->at[q] + i;
        if (status[i] == VPSDE_ROW_OK) vpsde_node_sums_add(sums, at, w->rows);
        for (size_t q = 0; q < VPSDE_N_PATH; q++) {
            value[q][i] = status[i] == VPSDE_ROW_OK ? out[q] : (double)NAN;
        }
    }
    return VPSDE_OK;
}

/* ---- memory ---------------------------------------------------------------------------------- */

static double *take(double **from, size_t n)
{
    double *here = *from;
    *from += n;
    return here;
}

static vpsde_status make_room(vpsde_walker *w)
{
    const size_t state = w->rows * w->d, tangents = state * w->tangents;
    const size_t n_stored = w->replays ? w->spec->record->n_stored : 0;
    size_t trace_size, doubles, stored;
    VPSDE_TRY(vpsde_size_mul(&trace_size, w->rows * VPSDE_N_AT, w->n_nodes, "nodes of a block"));
    VPSDE_TRY(vpsde_size_mul(&stored, 3 * state, n_stored, "recorded states of a block"));
    doubles = 6 * state + 2 * tangents + (3 + VPSDE_N_ALONG) * w->rows + trace_size + stored;
    VPSDE_TRY(vpsde_alloc(&w->memory, doubles, sizeof(double)));
    double *rest = w->memory;
    for (size_t b = 0; b < 2; b++) {
        w->x[b] = take(&rest, state);
        w->s[b] = take(&rest, state);
    }
    w->z = take(&rest, state);
    w->mean = take(&rest, state);
    for (size_t q = 0; q < 3; q++) w->told[q] = take(&rest, state * n_stored);
    w->dx = take(&rest, tangents);
    w->deps = take(&rest, tangents);
    w->div = take(&rest, w->rows);
    w->logp = take(&rest, w->rows);
    w->prior = take(&rest, w->rows);
    for (size_t q = 0; q < VPSDE_N_ALONG; q++) w->along[q] = take(&rest, w->rows);
    for (size_t q = 0; q < VPSDE_N_AT; q++) w->at[q] = take(&rest, w->rows * w->n_nodes);
    if (w->spec->sampling->classes) VPSDE_TRY(vpsde_alloc(&w->classes, w->rows, sizeof(int32_t)));
    VPSDE_TRY(vpsde_brownian_create(&w->path, w->rows, w->d));
    return vpsde_model_workspace_create(&w->ws, w->model, w->rows, w->tangents);
}

vpsde_status vpsde_walker_create(vpsde_walker **out, const vpsde_paths_spec *spec)
{
    const vpsde_model *model = spec->sampling->model;
    const unsigned flags = model->type->flags;
    vpsde_walker *w;
    *out = NULL;
    VPSDE_TRY(vpsde_alloc(&w, 1, sizeof(*w)));
    w->spec = spec;
    w->model = model;
    w->node = spec->sampling->grid->node;
    w->n_nodes = vpsde_paths_nodes(spec->sampling->grid);
    w->d = model->dim;
    w->rows = vpsde_paths_rows(model);
    w->has_logp = flags & VPSDE_MODEL_LOG_P;
    w->closed_divergence = flags & VPSDE_MODEL_DIVERGENCE;
    w->any_rows = flags & (VPSDE_MODEL_ANALYTIC | VPSDE_MODEL_ANY_ROWS);
    if (!w->closed_divergence && (flags & VPSDE_MODEL_JVP)) {
        w->tangents = spec->probes < w->d ? spec->probes : w->d;
    }
    w->replays = spec->record && spec->reverse;
    w->calls = !w->replays || w->has_logp || w->closed_divergence || w->tangents > 0;
    const vpsde_status status = make_room(w);
    if (status != VPSDE_OK) {
        vpsde_walker_destroy(w);
        return status;
    }
    *out = w;
    return VPSDE_OK;
}

void vpsde_walker_destroy(vpsde_walker *w)
{
    if (!w) return;
    if (w->ws) vpsde_model_workspace_destroy(w->model, w->ws);
    vpsde_brownian_destroy(w->path);
    free(w->classes);
    free(w->memory);
    free(w);
}

bool vpsde_walker_calls(const vpsde_walker *w) { return w->calls; }
