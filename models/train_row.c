/* What one row of a minibatch is made of. Its three chances are components of one address:
 * 0 the time, 1 whether the class is dropped, 2 whether the image is mirrored. */
#include "models/train_row.h"

#include <math.h>

enum { TIME, DROP, FLIP, N_CHANCES };

static const double snr_max = 5; /* gamma of Hang et al. 2023 */

/* The largest i with i/N <= t_max, by the division that makes the nodes. */
static size_t nodes_of(const vpsde_process *process)
{
    const size_t n = vpsde_process_n_ddpm(process);
    const double t_max = vpsde_process_t_max(process);
    size_t i = (size_t)((double)n * t_max);
    if (i < n && (double)(i + 1) / (double)n <= t_max) i++;
    return i < n ? i : n;
}

static vpsde_coef at_node(const vpsde_process *process, size_t i)
{
    return vpsde_process_at(process, (double)i / (double)vpsde_process_n_ddpm(process));
}

static vpsde_status check_classes(const vpsde_training *t, const vpsde_model *model)
{
    if (!(t->class_dropout >= 0 && t->class_dropout <= 1)) {
        return vpsde_fail(VPSDE_EINVAL, "class_dropout: must be in [0, 1], got %g",
                          t->class_dropout);
    }
    if (!t->classes) return VPSDE_OK;
    if (model->n_classes == 0) {
        return vpsde_fail(VPSDE_EINVAL, "model %s has no classes, but the data have",
                          model->type->name);
    }
    for (size_t i = 0; i < t->count; i++) {
        if (t->classes[i] < -1 || t->classes[i] >= (int32_t)model->n_classes) {
            return vpsde_fail(VPSDE_EINVAL,
                              "row %zu: class %d; the model's classes are 0 to %zu, and -1 is none",
                              i, (int)t->classes[i], model->n_classes - 1);
        }
    }
    return VPSDE_OK;
}

static vpsde_status check(const vpsde_training *t, const vpsde_model *model)
{
    if (t->prediction == VPSDE_PREDICT_SCORE ||
        vpsde_prediction_find(vpsde_prediction_name(t->prediction)) < 0) {
        return vpsde_fail(VPSDE_EINVAL, "prediction: must be eps, v or x0, got %s",
                          vpsde_prediction_name(t->prediction));
    }
    if (t->flip && model->rank != 3) {
        return vpsde_fail(VPSDE_EINVAL,
                          "flip: is for images (channel, row, column), rows here "
                          "are vectors of %zu",
                          model->dim);
    }
    if (t->count == 0 || (!t->x0 && !t->source.read)) {
        return vpsde_fail(VPSDE_EINVAL, "no data to train on");
    }
    return check_classes(t, model);
}

/* Both ends of the clock in which the weighted loss is a plain one. */
static vpsde_status likelihood_range(vpsde_train_rows *rows)
{
    const vpsde_process *const process = rows->t->process;
    const double t_min = vpsde_process_get_spec(process)->t_min;
    if (rows->n_nodes > 0) {
        rows->lambda[0] = at_node(process, rows->n_nodes).lambda;
        rows->lambda[1] = at_node(process, 1).lambda;
    } else {
        rows->lambda[0] = vpsde_process_at(process, vpsde_process_t_max(process)).lambda;
        rows->lambda[1] = vpsde_process_at(process, t_min).lambda;
    }
    if (isfinite(rows->lambda[1])) return VPSDE_OK;
    return vpsde_fail(VPSDE_EINVAL, "weighting: likelihood needs t_min > 0, got %g", t_min);
}

vpsde_status vpsde_train_rows_init(vpsde_train_rows *rows, const vpsde_training *t,
                                   const vpsde_model *model)
{
    const bool table = vpsde_process_n_ddpm(t->process) > 0;
    VPSDE_TRY(check(t, model));
    *rows = (vpsde_train_rows){.t = t,
                               .d = model->dim,
                               .width = t->flip ? model->shape[2] : 0,
                               .n_nodes = table ? nodes_of(t->process) : 0,
                               .needs_weight = t->weighting == VPSDE_WEIGHTING_MIN_SNR ||
                                               (t->weighting == VPSDE_WEIGHTING_LIKELIHOOD &&
                                                t->prediction != VPSDE_PREDICT_EPS)};
    if (table && rows->n_nodes == 0) {
        return vpsde_fail(VPSDE_EINVAL, "t_max: must reach the first of %zu nodes, got %g",
                          vpsde_process_n_ddpm(t->process), vpsde_process_t_max(t->process));
    }
    return t->weighting == VPSDE_WEIGHTING_LIKELIHOOD ? likelihood_range(rows) : VPSDE_OK;
}

/* Uniform in t: t_min < t <= t_max, or i / N. */
static vpsde_coef uniform_time(const vpsde_train_rows *rows, double u)
{
    const vpsde_process *const process = rows->t->process;
    if (rows->n_nodes > 0) {
        const size_t i = 1 + (size_t)(u * (double)rows->n_nodes), last = rows->n_nodes;
        return at_node(process, i < last ? i : last);
    }
    const double t_min = vpsde_process_get_spec(process)->t_min;
    const double t_max = vpsde_process_t_max(process);
    return vpsde_process_at(process, t_max - u * (t_max - t_min));
}

/* Uniform in lambda; of a table the nearest node, which the trapezoidal rule in lambda would weight
 * about so. */
static vpsde_coef uniform_lambda(const vpsde_train_rows *rows, double u)
{
    const vpsde_process *const process = rows->t->process;
    const double lambda = rows->lambda[0] + u * (rows->lambda[1] - rows->lambda[0]);
    const vpsde_coef c = vpsde_process_at_lambda(process, lambda);
    if (rows->n_nodes == 0) return c;
    const size_t i = (size_t)(c.t * (double)vpsde_process_n_ddpm(process) + 0.5);
    return at_node(process, i < 1 ? 1 : i < rows->n_nodes ? i : rows->n_nodes);
}

vpsde_train_chance vpsde_train_rows_chance(const vpsde_train_rows *rows, uint64_t position)
{
    const vpsde_training *const t = rows->t;
    double u[N_CHANCES];
    vpsde_uniforms(u, t->seed, VPSDE_NOISE_TRAIN_TIME, position, 1, 0, N_CHANCES);
    const bool drop = u[DROP] < t->class_dropout;
    const bool flip = rows->width > 0 && u[FLIP] < 0.5;
    return (vpsde_train_chance){.time = t->weighting == VPSDE_WEIGHTING_LIKELIHOOD
                                            ? uniform_lambda(rows, u[TIME])
                                            : uniform_time(rows, u[TIME]),
                                .drop = drop,
                                .flip = flip};
}

double vpsde_train_weight(vpsde_prediction prediction, vpsde_weighting weighting,
                          const vpsde_coef *c)
{
    const double snr = c->alpha * c->alpha / (c->sigma * c->sigma);
    const double to_eps[] = {/* |eps error|^2 / |output error|^2 */
                             [VPSDE_PREDICT_EPS] = 1,
                             [VPSDE_PREDICT_X0] = snr,
                             [VPSDE_PREDICT_V] = c->alpha * c->alpha,
                             [VPSDE_PREDICT_SCORE] = c->sigma * c->sigma};
    const double of_eps[] = {[VPSDE_WEIGHTING_SIMPLE] = 1 / to_eps[prediction],
                             [VPSDE_WEIGHTING_LIKELIHOOD] = 1,
                             [VPSDE_WEIGHTING_MIN_SNR] = fmin(1, snr_max / snr)};
    return weighting == VPSDE_WEIGHTING_SIMPLE ? 1 : to_eps[prediction] * of_eps[weighting];
}

static vpsde_status read_x0(const vpsde_train_rows *rows, size_t index, double *x0)
{
    const vpsde_training *const t = rows->t;
    if (!t->x0) {
        VPSDE_TRY(t->source.read(t->source.context, t->first + index, 1, x0));
        for (size_t j = 0; j < rows->d; j++) x0[j] = (double)(float)x0[j];
        return VPSDE_OK;
    }
    for (size_t j = 0; j < rows->d; j++) x0[j] = (double)t->x0[index * rows->d + j];
    return VPSDE_OK;
}

static void mirror(double *x, size_t d, size_t width)
{
    for (size_t line = 0; line < d; line += width) {
        for (size_t a = line, b = line + width - 1; a < b; a++, b--) {
            const double kept = x[a];
            x[a] = x[b];
            x[b] = kept;
        }
    }
}

/* target = of_z z + of_x0 x0 */
static void target_line(double *of_z, double *of_x0, vpsde_prediction prediction,
                        const vpsde_coef *c)
{
    const double line[][2] = {[VPSDE_PREDICT_EPS] = {1, 0},
                              [VPSDE_PREDICT_X0] = {0, 1},
                              [VPSDE_PREDICT_V] = {c->alpha, -c->sigma}};
    *of_z = line[prediction][0];
    *of_x0 = line[prediction][1];
}

static void noise_row(const vpsde_train_rows *rows, const vpsde_coef *c, const double *x0,
                      const double *z, float *x, float *target)
{
    double of_z, of_x0;
    target_line(&of_z, &of_x0, rows->t->prediction, c);
    for (size_t j = 0; j < rows->d; j++) {
        x[j] = (float)(c->alpha * x0[j] + c->sigma * z[j]);
        target[j] = (float)(of_z * z[j] + of_x0 * x0[j]);
    }
}

vpsde_status vpsde_train_rows_fill(const vpsde_train_rows *rows, uint64_t position, size_t n,
                                   double *scratch, const vpsde_train_slab *out)
{
    const vpsde_training *const t = rows->t;
    const size_t d = rows->d;
    double *const x0 = scratch, *const z = scratch + d;
    vpsde_normals(z, t->seed, VPSDE_NOISE_TRAIN_EPS, position, n, 0, d);
    for (size_t i = 0; i < n; i++) {
        const vpsde_train_chance chance = vpsde_train_rows_chance(rows, position + i);
        const size_t index = vpsde_train_index(t->seed, position + i, t->count);
        VPSDE_TRY(read_x0(rows, index, x0));
        if (chance.flip) mirror(x0, d, rows->width);
        out->label[i] = chance.time.label;
        noise_row(rows, &chance.time, x0, z + i * d, out->x + i * d, out->target + i * d);
        if (out->classes) out->classes[i] = chance.drop ? -1 : t->classes[index];
        if (out->weight) {
            out->weight[i] = (float)vpsde_train_weight(t->prediction, t->weighting, &chance.time);
        }
    }
    return VPSDE_OK;
}
