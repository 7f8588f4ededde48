#include <math.h>
#include <stdlib.h>

#include "core/ceiling.h"
#include "core/clock.h"
#include "core/mem.h"
#include "core/parallel.h"
#include "experiments/bench.h"
#include "models/mlp.h"
#include "models/unet.h"

static const vpsde_bench_column columns[] = {
    {"rows", "1", "rows evaluated one after another, in calls of at most a block", "rows", 1, 0},
    {"seconds", "s", "one row's evaluation on one thread", "us a row", 1e-6, 3},
    {"flops", "1/s", "operations a second", "GFLOP/s", 1e9, 2},
    {"ceiling_share", "1", "share of one thread's ceiling of float32 operations", "% of ceiling",
     0.01, 1},
};
enum { ROWS, SECONDS, FLOPS, SHARE };

const vpsde_bench_form vpsde_bench_models_form = {
    .name = "models",
    .row = "model",
    .description = "kind of the model",
    .columns = columns,
    .n_columns = sizeof(columns) / sizeof(columns[0]),
};

/* ---- evaluations ----------------------------------------------------------------------------- */

typedef struct evaluation {
    const vpsde_model *model;
    vpsde_coef coef;
    size_t rows, block;
    double seconds; /* one row's */
} evaluation;

static vpsde_status pass(const evaluation *v, void *ws, size_t rows, const double *x, double *eps)
{
    for (size_t done = 0; done < rows; done += v->block) {
        const size_t left = rows - done;
        const vpsde_eval e = {
            .n = left < v->block ? left : v->block, .coef = &v->coef, .x = x, .eps = eps};
        VPSDE_TRY(vpsde_model_eval(v->model, ws, &e));
    }
    return VPSDE_OK;
}

/* The best pass; small ones are repeated until the clock is fine enough. */
static vpsde_status best(evaluation *v, void *ws, const double *x, double *eps)
{
    enum { PASSES_MAX = 1000 };
    const double fine = 2e-4, budget = 0.1, begun = vpsde_clock_s();
    VPSDE_TRY(pass(v, ws, v->rows < v->block ? v->rows : v->block, x, eps));
    v->seconds = INFINITY;
    size_t repeats = 1;
    for (int i = 0; i < PASSES_MAX && (i == 0 || vpsde_clock_s() - begun < budget); i++) {
        const double start = vpsde_clock_s();
        for (size_t r = 0; r < repeats; r++) VPSDE_TRY(pass(v, ws, v->rows, x, eps));
        const double seconds = vpsde_clock_s() - start;
        v->seconds = fmin(v->seconds, seconds / (double)(repeats * v->rows));
        if (seconds < fine) repeats *= 2;
    }
    return VPSDE_OK;
}

static vpsde_status worker(void *shared, vpsde_queue *queue)
{
    evaluation *v = shared;
    size_t number;
    void *ws = NULL;
    double *x = NULL, *eps = NULL;
    if (!vpsde_queue_take(queue, &number)) return VPSDE_OK;
    vpsde_status status = vpsde_model_workspace_create(&ws, v->model, v->block, 0);
    if (status == VPSDE_OK) status = vpsde_alloc(&x, v->block * v->model->dim, sizeof(*x));
    if (status == VPSDE_OK) status = vpsde_alloc(&eps, v->block * v->model->dim, sizeof(*eps));
    if (status == VPSDE_OK) {
        vpsde_normals(x, 1, VPSDE_NOISE_TEST, 0, v->block, 0, v->model->dim);
        status = best(v, ws, x, eps);
    }
    free(x);
    free(eps);
    vpsde_model_workspace_destroy(v->model, ws);
    return status;
}

/* Rows that would take longer than two seconds are left out. */
static vpsde_status measure(vpsde_bench_table *table, const vpsde_model *model,
                            const vpsde_coef *coef, double ceiling, const vpsde_cli *cli)
{
    static const size_t rows[] = {1, 64, 4096};
    const double longest = 2, flops = vpsde_model_flops(model);
    const size_t most = model->block_rows ? model->block_rows : 256;
    evaluation v = {.model = model, .coef = *coef};
    double *value;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        VPSDE_TRY(vpsde_check_stop(cli->control.stop));
        VPSDE_TRY(vpsde_bench_row(&value, table, model->type->name));
        value[ROWS] = (double)rows[i];
        if (i > 0 && v.seconds * (double)rows[i] > longest) continue;
        v.rows = rows[i];
        v.block = rows[i] < most ? rows[i] : most;
        VPSDE_TRY(vpsde_parallel(1, 1, worker, &v, NULL));
        value[SECONDS] = v.seconds;
        if (!(flops > 0)) continue;
        value[FLOPS] = flops / v.seconds;
        value[SHARE] = value[FLOPS] / ceiling;
    }
    return VPSDE_OK;
}

/* ---- models made here ------------------------------------------------------------------------ */

/* Eight isotropic components on a ring. */
static vpsde_status make_mixture(vpsde_model **out)
{
    enum { N = 8, D = 2 };
    double weight[N], mean[N][D], covariance[N][D][D] = {{{0}}};
    for (size_t k = 0; k < N; k++) {
        const double angle = 2 * 3.14159265358979323846 * (double)k / N;
        weight[k] = 1.0 / N;
        mean[k][0] = 3 * cos(angle);
        mean[k][1] = 3 * sin(angle);
        covariance[k][0][0] = covariance[k][1][1] = 0.05;
    }
    return vpsde_gaussian_mixture_create(out, N, D, weight, mean[0], covariance[0][0]);
}

/* `vpsde train`'s default on points of the plane. */
static vpsde_status make_mlp(vpsde_model **out)
{
    const vpsde_mlp_spec spec = {.dim = 2};
    return vpsde_mlp_create(out, &spec, 1);
}

/* The same on grey images of 28 x 28. */
static vpsde_status make_unet(vpsde_model **out)
{
    vpsde_unet_spec spec;
    vpsde_unet_spec_init(&spec);
    spec.height = spec.width = 28;
    spec.in_channels = spec.out_channels = 1;
    return vpsde_unet_create(out, &spec, 1);
}

static vpsde_status measure_own(vpsde_bench_table *table, const vpsde_coef *coef, double ceiling,
                                const vpsde_cli *cli)
{
    static vpsde_status (*const make[])(vpsde_model **) = {make_mixture, make_mlp, make_unet};
    for (size_t i = 0; i < sizeof(make) / sizeof(make[0]); i++) {
        vpsde_model *model;
        VPSDE_TRY(make[i](&model));
        const vpsde_status status = measure(table, model, coef, ceiling, cli);
        vpsde_model_destroy(model);
        VPSDE_TRY(status);
    }
    return VPSDE_OK;
}

vpsde_status vpsde_bench_models(vpsde_bench_table *table, const vpsde_model *model,
                                const vpsde_cli *cli)
{
    double ceiling;
    vpsde_process_spec spec;
    vpsde_process *process;
    VPSDE_TRY(vpsde_ceiling_flops(&ceiling, 1));
    VPSDE_TRY(vpsde_process_spec_init(&spec, "vp-linear"));
    VPSDE_TRY(vpsde_process_create(&process, &spec));
    const vpsde_coef coef = vpsde_process_at(process, 0.5 * vpsde_process_t_max(process));
    vpsde_process_destroy(process);
    return model ? measure(table, model, &coef, ceiling, cli)
                 : measure_own(table, &coef, ceiling, cli);
}
