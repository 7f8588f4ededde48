#include "experiments/thermo_record.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/h5_read.h"
#include "core/h5_tree.h"
#include "core/mem.h"
#include "core/parallel.h"
#include "solvers/delivery.h"

enum { X, EPS, MEAN, N_DATASETS, WORDS = 64 };
static const struct {
    const char *name, *word; /* word: of log.fields */
} needed[N_DATASETS] = {
    [X] = {"x", "x"}, [EPS] = {"eps", "eps"}, [MEAN] = {"kernel_mean", "kernel"}};

struct vpsde_record_parts {
    const char *path;
    char *group;
    vpsde_h5_tree tree;
    vpsde_h5_input dataset[N_DATASETS], status;
    vpsde_lock *lock;
};

/* ---- is it there? ---------------------------------------------------------------------------- */

static vpsde_status find_group(const vpsde_h5_node **out, const vpsde_h5_tree *tree,
                               const char *path, const char *label)
{
    char *group = NULL;
    if (label) VPSDE_TRY(vpsde_table_path(&group, "runs", label));
    *out = label ? vpsde_h5_tree_find(tree, group, NULL) : vpsde_h5_tree_next(tree, "/runs", NULL);
    free(group);
    if (*out && (*out)->is_group) return VPSDE_OK;
    return vpsde_fail(VPSDE_EDATA, "%s: has no samples of %s; expected a run file of sample", path,
                      label ? label : "any solver");
}

/* "log.fields: [x, eps, kernel] (has no eps, kernel) and log.times: all", or NULL. */
static vpsde_status lacks(char **what, const vpsde_h5_tree *tree, const vpsde_h5_node *group)
{
    char missing[WORDS] = "";
    const double steps = vpsde_h5_node_number(group, "steps");
    bool all = true;
    for (size_t f = 0; f < N_DATASETS; f++) {
        const vpsde_h5_node *node = vpsde_h5_tree_find(tree, group->path, needed[f].name);
        const size_t used = strlen(missing);
        if (!node || node->rank < 3 || node->kind != 'f') {
            snprintf(missing + used, sizeof(missing) - used, "%s%s", used ? ", " : "",
                     needed[f].word);
        } else if ((double)node->dims[1] != steps + 1) {
            all = false;
        }
    }
    const vpsde_h5_node *times = vpsde_h5_tree_find(tree, group->path, "time");
    if (!times || (double)times->dims[0] != steps + 1) all = false;
    *what = NULL;
    if (!*missing && all) return VPSDE_OK;
    return vpsde_format(
        what, "%s%s%s%s%s", *missing ? "log.fields: [x, eps, kernel] (it has no " : "", missing,
        *missing ? ")" : "", *missing && !all ? " and " : "", all ? "" : "log.times: all");
}

vpsde_status vpsde_record_lacks(char **what, const char *path, const char *label)
{
    vpsde_h5_tree tree;
    const vpsde_h5_node *group;
    *what = NULL;
    VPSDE_TRY(vpsde_h5_tree_open(&tree, path));
    vpsde_status status = find_group(&group, &tree, path, label);
    if (status == VPSDE_OK) status = lacks(what, &tree, group);
    vpsde_h5_tree_close(&tree);
    return status;
}

/* ---- is it of this run? ---------------------------------------------------------------------- */

static vpsde_status check_shapes(const vpsde_record *r, const vpsde_sampling *run)
{
    const struct vpsde_record_parts *p = r->parts;
    for (size_t f = 0; f < N_DATASETS; f++) {
        const vpsde_h5_input *in = &p->dataset[f];
        size_t d = 1;
        for (size_t a = 2; a < in->rank; a++) d *= in->dims[a];
        if (in->rank < 3 || in->dims[0] != r->count || in->dims[1] != r->n_stored ||
            d != run->model->dim) {
            return vpsde_fail(VPSDE_EDATA,
                              "%s:%s/%s: expected %zu samples of %zu states of %zu values", p->path,
                              p->group, needed[f].name, r->count, r->n_stored, run->model->dim);
        }
    }
    if (p->status.count != r->count) {
        return vpsde_fail(VPSDE_EDATA, "%s:%s: %zu samples, but %zu of status", p->path, p->group,
                          r->count, p->status.count);
    }
    if (run->count <= r->count && run->first == 0) return VPSDE_OK;
    return vpsde_fail(VPSDE_EDATA,
                      "%s:%s: has %zu samples; thermo.count asks for %zu paths (thermo.run: '' "
                      "simulates them)",
                      p->path, p->group, r->count, run->count);
}

/* One file of weights may be read in several ways. */
static vpsde_status check_reading(const char *path, const vpsde_h5_node *theirs,
                                  const vpsde_model *ours)
{
    const char *prediction = vpsde_prediction_name(ours->prediction);
    const char *compute = vpsde_compute_name(ours->compute);
    const char *predicted = vpsde_h5_node_text(theirs, "prediction");
    const char *computed = vpsde_h5_node_text(theirs, "compute");
    if (strcmp(predicted, prediction) == 0 && strcmp(computed, compute) == 0) return VPSDE_OK;
    return vpsde_fail(VPSDE_EDATA,
                      "%s: its network gave %s in %s, the configuration's gives %s in %s", path,
                      predicted, computed, prediction, compute);
}

static vpsde_status check_law(const vpsde_record *r, const vpsde_sampling *run)
{
    const struct vpsde_record_parts *p = r->parts;
    const vpsde_h5_node *group = vpsde_h5_tree_find(&p->tree, p->group, NULL);
    const vpsde_h5_node *model = vpsde_h5_tree_find(&p->tree, "/model", NULL);
    const char *terminal = vpsde_h5_node_text(group, "terminal");
    const char *weights = vpsde_h5_node_text(model, "weights_sha256");
    const bool exact = vpsde_process_get_spec(run->process)->terminal == VPSDE_TERMINAL_EXACT;
    if (strcmp(terminal, exact ? "exact" : "standard-normal") != 0) {
        return vpsde_fail(VPSDE_EDATA, "%s:%s: starts from terminal '%s', the configuration %s",
                          p->path, p->group, terminal, exact ? "from exact draws" : "from N(0, I)");
    }
    if (strcmp(weights, run->model->sha256) != 0) {
        return vpsde_fail(VPSDE_EDATA,
                          "%s: was sampled from a model of SHA-256 '%s', this one has '%s'",
                          p->path, weights, run->model->sha256);
    }
    return *weights ? check_reading(p->path, model, run->model) : VPSDE_OK;
}

/* The nodes of the grid, and a Gaussian for every step above t = 0. */
static vpsde_status check_nodes(const vpsde_record *r, const double *t, const double *alpha,
                                const vpsde_sampling *run)
{
    const struct vpsde_record_parts *p = r->parts;
    const vpsde_coef *node = run->grid->node;
    for (size_t k = 0; k < r->n_stored; k++) {
        if (fabs(t[k] - node[k].t) <= 1e-12 * node[0].t &&
            fabs(alpha[k] - node[k].alpha) <= 1e-12) {
            continue;
        }
        return vpsde_fail(
            VPSDE_EDATA,
            "%s:%s: node %zu is at t = %.17g, alpha = %.17g, the grid's at %.17g, %.17g", p->path,
            p->group, k, t[k], alpha[k], node[k].t, node[k].alpha);
    }
    for (size_t k = 0; k + 1 < r->n_stored && node[k + 1].sigma > 0; k++) {
        if (r->std[k] > 0) continue;
        return vpsde_fail(VPSDE_EDATA,
                          "%s:%s: %s draws no noise in the step from t = %g; heat and entropy are "
                          "those of steps that do",
                          p->path, p->group, r->solver, node[k].t);
    }
    return VPSDE_OK;
}

static vpsde_status check_classes(const vpsde_record *r, const double *class,
                                  const vpsde_sampling *run)
{
    for (size_t i = 0; i < run->count; i++) {
        const double expected = run->classes ? run->classes[i] : -1;
        const double stored = class ? class[i] : -1;
        if (stored == expected) continue;
        return vpsde_fail(VPSDE_EDATA, "%s:%s: sample %zu has class %g, sampler.classes says %g",
                          r->parts->path, r->parts->group, i, stored, expected);
    }
    return VPSDE_OK;
}

/* Dataset `name` of the group, n values at least, into fresh memory. */
static vpsde_status read_line(double **out, const vpsde_record *r, const char *name, size_t n)
{
    char *full;
    vpsde_h5_input in;
    VPSDE_TRY(vpsde_format(&full, "%s/%s", r->parts->group, name));
    vpsde_status status = vpsde_h5_input_open(&in, r->parts->path, full);
    if (status == VPSDE_OK && in.count < n) {
        status = vpsde_fail(VPSDE_EDATA, "%s:%s: %zu values, expected %zu", r->parts->path, full,
                            in.count, n);
    }
    if (status == VPSDE_OK) status = vpsde_alloc(out, in.count, sizeof(double));
    if (status == VPSDE_OK) status = vpsde_h5_input_read_double(&in, *out);
    vpsde_h5_input_close(&in);
    free(full);
    return status;
}

static vpsde_status check(vpsde_record *r, const vpsde_sampling *run)
{
    double *t = NULL, *alpha = NULL, *class = NULL;
    const bool has_classes = vpsde_h5_tree_find(&r->parts->tree, r->parts->group, "class") != NULL;
    VPSDE_TRY(check_shapes(r, run));
    VPSDE_TRY(check_law(r, run));
    VPSDE_TRY(read_line(&r->std, r, "kernel_std", r->n_stored));
    vpsde_status status = read_line(&t, r, "t", r->n_stored);
    if (status == VPSDE_OK) status = read_line(&alpha, r, "alpha", r->n_stored);
    if (status == VPSDE_OK) status = check_nodes(r, t, alpha, run);
    if (status == VPSDE_OK && has_classes) status = read_line(&class, r, "class", run->count);
    if (status == VPSDE_OK) status = check_classes(r, class, run);
    free(t);
    free(alpha);
    free(class);
    return status;
}

/* ---- what kernel is it? ---------------------------------------------------------------------- */

/* Least squares of m on u and v (n), by Gram and Schmidt, for near the noise end v - u is all there is
 * beside u; on u alone where v is no more than its multiple, as a Gaussian's eps is. False where more than
 * rounding is left. */
static bool fit(size_t n, const double *m, const double *u, const double *v, double tolerance,
                double on[2])
{
    double uu = 0, uv = 0, rr = 0, rm = 0, um = 0, left = 0, all = 0;
    for (size_t e = 0; e < n; e++) {
        uu += u[e] * u[e];
        uv += u[e] * (v[e] - u[e]);
    }
    const double share = uu > 0 ? uv / uu : 0;
    for (size_t e = 0; e < n; e++) {
        const double r = v[e] - u[e] - share * u[e];
        rr += r * r;
        rm += r * m[e];
    }
    on[1] = sqrt(rr) > tolerance * sqrt(uu) ? rm / rr : 0;
    for (size_t e = 0; e < n; e++) um += u[e] * (m[e] - on[1] * v[e]);
    on[0] = uu > 0 ? um / uu : 0;
    for (size_t e = 0; e < n; e++) {
        const double rest = m[e] - on[0] * u[e] - on[1] * v[e];
        left += rest * rest;
        all += m[e] * m[e];
    }
    return sqrt(left) <= tolerance * sqrt(all);
}

/* The fine ones of n samples `told` (3, n, n_stored, d), packed node by node into `line` (3, n, d). */
static void fit_steps(vpsde_record *r, const double *const told[N_DATASETS], const uint8_t *status,
                      size_t n, size_t d, double *line)
{
    const double tolerance = r->parts->dataset[X].size < sizeof(double) ? 1e-5 : 1e-10;
    r->is_affine = true;
    for (size_t k = 0; k + 1 < r->n_stored && r->is_affine && r->std[k] > 0; k++) {
        size_t used = 0;
        for (size_t i = 0; i < n; i++) {
            for (size_t j = 0; j < d && status[i] == VPSDE_ROW_OK; j++, used++) {
                const size_t at = (i * r->n_stored + k) * d + j;
                for (size_t f = 0; f < N_DATASETS; f++) line[f * n * d + used] = told[f][at];
            }
        }
        double on[2] = {0};
        r->is_affine = used >= 3 && fit(used, line + MEAN * n * d, line + X * n * d,
                                        line + EPS * n * d, tolerance, on);
        r->on_x[k] = on[0];
        r->on_eps[k] = on[1];
    }
}

/* From a few samples: two numbers a step. */
static vpsde_status find_kernel(vpsde_record *r, size_t d)
{
    enum { VALUES = 512 };
    const size_t wanted = VALUES / d + 1, n = wanted < r->count ? wanted : r->count;
    const size_t one = n * r->n_stored * d;
    double *memory;
    uint8_t *ended;
    VPSDE_TRY(vpsde_alloc(&r->on_x, r->n_stored, sizeof(double)));
    VPSDE_TRY(vpsde_alloc(&r->on_eps, r->n_stored, sizeof(double)));
    VPSDE_TRY(vpsde_alloc(&memory, N_DATASETS * (one + n * d), sizeof(double)));
    vpsde_status status = vpsde_alloc(&ended, n, 1);
    double *const x = memory, *const eps = x + one, *const mean = eps + one;
    if (status == VPSDE_OK) status = vpsde_record_read(r, 0, n, x, eps, mean, ended);
    const double *const told[N_DATASETS] = {[X] = x, [EPS] = eps, [MEAN] = mean};
    if (status == VPSDE_OK) fit_steps(r, told, ended, n, d, mean + one);
    free(ended);
    free(memory);
    return status;
}

/* ---- opening and reading --------------------------------------------------------------------- */

static vpsde_status open_dataset(vpsde_h5_input *in, const struct vpsde_record_parts *p,
                                 const char *name)
{
    char *full;
    VPSDE_TRY(vpsde_format(&full, "%s/%s", p->group, name));
    const vpsde_status status = vpsde_h5_input_open_rows(in, p->path, full);
    free(full);
    return status;
}

static vpsde_status fill(vpsde_record *r, const char *label, const vpsde_sampling *run)
{
    struct vpsde_record_parts *p = r->parts;
    const vpsde_h5_node *group;
    char *what;
    VPSDE_TRY(vpsde_lock_create(&p->lock));
    VPSDE_TRY(vpsde_h5_tree_open(&p->tree, p->path));
    VPSDE_TRY(find_group(&group, &p->tree, p->path, label));
    VPSDE_TRY(lacks(&what, &p->tree, group));
    if (what) {
        (void)vpsde_fail(
            VPSDE_EDATA,
            "%s:%s: was sampled without %s; set that and sample again, or simulate the "
            "paths with thermo.run: ''",
            p->path, group->path, what);
        free(what);
        return VPSDE_EDATA;
    }
    VPSDE_TRY(vpsde_strdup(&p->group, group->path));
    r->solver = vpsde_h5_node_text(group, "solver");
    for (size_t f = 0; f < N_DATASETS; f++) {
        VPSDE_TRY(open_dataset(&p->dataset[f], p, needed[f].name));
    }
    VPSDE_TRY(open_dataset(&p->status, p, "status"));
    r->count = p->dataset[X].dims[0];
    r->n_stored = run->grid->n_steps + 1;
    VPSDE_TRY(check(r, run));
    return find_kernel(r, run->model->dim);
}

vpsde_status vpsde_record_open(vpsde_record **out, const char *path, const char *label,
                               const vpsde_sampling *run)
{
    vpsde_record *r;
    *out = NULL;
    VPSDE_TRY(vpsde_alloc(&r, 1, sizeof(*r)));
    vpsde_status status = vpsde_alloc(&r->parts, 1, sizeof(*r->parts));
    if (status == VPSDE_OK) {
        r->parts->path = path;
        status = fill(r, label, run);
    }
    if (status != VPSDE_OK) {
        vpsde_record_close(r);
        return status;
    }
    *out = r;
    return VPSDE_OK;
}

void vpsde_record_close(vpsde_record *r)
{
    if (!r) return;
    struct vpsde_record_parts *p = r->parts;
    for (size_t f = 0; p && f < N_DATASETS; f++) vpsde_h5_input_close(&p->dataset[f]);
    if (p) {
        vpsde_h5_input_close(&p->status);
        vpsde_h5_tree_close(&p->tree);
        vpsde_lock_destroy(p->lock);
        free(p->group);
    }
    free(p);
    free(r->std);
    free(r->on_x);
    free(r->on_eps);
    free(r);
}

vpsde_status vpsde_record_read(vpsde_record *r, size_t first, size_t n, double *x, double *eps,
                               double *mean, uint8_t *status)
{
    struct vpsde_record_parts *p = r->parts;
    double *const into[N_DATASETS] = {[X] = x, [EPS] = eps, [MEAN] = mean};
    vpsde_status result = VPSDE_OK;
    vpsde_lock_enter(p->lock);
    for (size_t f = 0; f < N_DATASETS && result == VPSDE_OK; f++) {
        result = vpsde_h5_input_read_rows(&p->dataset[f], first, n, into[f]);
    }
    for (size_t i = 0; i < n && result == VPSDE_OK; i++) {
        double ended;
        result = vpsde_h5_input_read_rows(&p->status, first + i, 1, &ended);
        status[i] = ended == VPSDE_ROW_OK ? VPSDE_ROW_OK : VPSDE_ROW_NON_FINITE;
    }
    vpsde_lock_leave(p->lock);
    return result;
}
