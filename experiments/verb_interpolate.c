#include <math.h>
#include <stdlib.h>

#include "core/mem.h"
#include "core/slerp.h"
#include "experiments/job.h"
#include "experiments/task.h"

enum { LATENT, FIRST_ROW, SECOND_ROW, WEIGHT, ENCODE_NFE, N_OWN };
static const vpsde_column own_columns[N_OWN] = {
    {.name = "latent",
     .units = "1",
     .description = "the interpolated latent that was decoded; NaN where an end failed",
     .type = VPSDE_F64},
    {.name = "first_row",
     .units = "1",
     .description = "row of the data at weight 0",
     .type = VPSDE_I64,
     .dims = "",
     .width = 1},
    {.name = "second_row",
     .units = "1",
     .description = "row of the data at weight 1",
     .type = VPSDE_I64,
     .dims = "",
     .width = 1},
    {.name = "weight",
     .units = "1",
     .description = "place between the two, from 0 to 1 along the arc",
     .type = VPSDE_F64,
     .dims = "",
     .width = 1},
    {.name = "encode_nfe",
     .units = "1",
     .description = "network calls that encoded the two ends of the pair",
     .type = VPSDE_I32,
     .dims = "",
     .width = 1},
};

/* One solver's rows: (pair, point). */
typedef struct interpolation {
    const vpsde_setup *s;
    const vpsde_cli *cli;
    size_t entry;
    double *x, *z;    /* (2 pairs of a piece, d) ends: data, latents */
    int32_t *nfe;     /* (2 pairs) */
    int32_t *classes; /* (2 pairs), then (pairs, points); NULL: none */
} interpolation;

static void free_room(interpolation *p)
{
    free(p->x);
    free(p->z);
    free(p->nfe);
    free(p->classes);
    p->x = p->z = NULL;
    p->nfe = p->classes = NULL;
}

/* Both ends have the classes of their rows, a point between them that of the nearer one. */
static vpsde_status place_classes(interpolation *p, size_t first, size_t n)
{
    const vpsde_interpolate_setup *i = &p->s->interpolate;
    if (!vpsde_setup_classes_of_row(p->s, p->s->data.first)) return VPSDE_OK;
    VPSDE_TRY(vpsde_alloc(&p->classes, n, (2 + i->points) * sizeof(*p->classes)));
    int32_t *ends = p->classes, *between = p->classes + 2 * n;
    for (size_t e = 0; e < 2 * n; e++) {
        ends[e] = *vpsde_setup_classes_of_row(p->s, i->pairs[first + e / 2][e % 2]);
    }
    for (size_t row = 0; row < n * i->points; row++) {
        const size_t pair = row / i->points, point = row % i->points;
        between[row] = ends[2 * pair + (2 * point >= i->points)];
    }
    return VPSDE_OK;
}

static vpsde_status make_room(interpolation *p, size_t first, size_t n_pairs)
{
    const size_t state = p->s->model->dim * sizeof(double);
    free_room(p);
    VPSDE_TRY(vpsde_alloc(&p->x, 2 * n_pairs, state));
    VPSDE_TRY(vpsde_alloc(&p->z, 2 * n_pairs, state));
    VPSDE_TRY(vpsde_alloc(&p->nfe, 2 * n_pairs, sizeof(*p->nfe)));
    return place_classes(p, first, n_pairs);
}

/* Latents of both ends of pairs first .. first + n - 1. */
static vpsde_status encode_ends(interpolation *p, vpsde_task *task, size_t first, size_t n)
{
    const vpsde_interpolate_setup *i = &p->s->interpolate;
    vpsde_sampling run = vpsde_setup_encoding(p->s, p->entry, i->safety, p->cli);
    VPSDE_TRY(make_room(p, first, n));
    for (size_t e = 0; e < 2 * n; e++) {
        double *x = p->x + e * p->s->model->dim;
        VPSDE_TRY(vpsde_setup_encode_rows(x, p->s, i->pairs[first + e / 2][e % 2], 1));
    }
    run.first = 0;
    run.count = 2 * n;
    run.init = p->x;
    run.classes = p->classes;
    return vpsde_task_sample_into(task, &run, p->z, p->nfe);
}

/* Row `point` of `pair`, whose ends are number `end` and the next of the piece. */
static void place(const interpolation *p, const vpsde_task *task, size_t pair, size_t end,
                  size_t point, size_t row)
{
    const vpsde_interpolate_setup *i = &p->s->interpolate;
    const size_t d = p->s->model->dim;
    const double w = (double)point / (double)(i->points - 1);
    double *latent = (double *)task->own_data[LATENT] + row * d;
    vpsde_slerp(d, latent, p->z + end * d, p->z + (end + 1) * d, w);
    ((int64_t *)task->own_data[FIRST_ROW])[row] = (int64_t)i->pairs[pair][0];
    ((int64_t *)task->own_data[SECOND_ROW])[row] = (int64_t)i->pairs[pair][1];
    ((double *)task->own_data[WEIGHT])[row] = w;
    ((int32_t *)task->own_data[ENCODE_NFE])[row] = p->nfe[end] + p->nfe[end + 1];
}

static vpsde_status interpolate_piece(vpsde_task *task, size_t first, size_t n)
{
    interpolation *p = task->context;
    const size_t points = p->s->interpolate.points;
    VPSDE_TRY(encode_ends(p, task, first / points, n / points));
    for (size_t row = 0; row < n; row++) {
        place(p, task, (first + row) / points, 2 * (row / points), row % points, row);
    }
    vpsde_sampling run = task->run;
    run.first = first;
    run.count = n;
    run.init = task->own_data[LATENT];
    run.classes = p->classes ? p->classes + 2 * (n / points) : NULL;
    return vpsde_task_sample(task, &run);
}

static vpsde_status interpolate(interpolation *p, vpsde_summary *summary, vpsde_run *run)
{
    static const double somewhere;
    const vpsde_interpolate_setup *i = &p->s->interpolate;
    vpsde_sink sink = vpsde_job_sink(summary, run);
    vpsde_task task = {
        .run = vpsde_setup_decoding(p->s, p->entry, i->safety, p->cli),
        .own = own_columns,
        .n_own = N_OWN,
        .unit = i->points,
        .work = i->points + 2,
        .compute = interpolate_piece,
        .context = p,
    };
    task.run.init = &somewhere;
    task.run.first = 0;
    task.run.count = i->n_pairs * i->points;
    const vpsde_status status = vpsde_task_run(&task, &sink);
    free_room(p);
    return status;
}

static vpsde_status compute(const vpsde_setup *s, const vpsde_cli *cli, vpsde_run *run)
{
    vpsde_status worst = VPSDE_OK;
    for (size_t i = 0; i < s->sampler.n_entries; i++) {
        interpolation p = {.s = s, .cli = cli, .entry = i};
        vpsde_summary summary;
        vpsde_status status = interpolate(&p, &summary, run);
        status = vpsde_job_tell(&summary, cli, status, i == 0);
        if (status != VPSDE_OK && status != VPSDE_EPARTIAL) return status;
        if (status == VPSDE_EPARTIAL) worst = status;
    }
    return worst;
}

const vpsde_job vpsde_job_interpolate = {
    .verb = "interpolate",
    .uses = VPSDE_USES_DATA | VPSDE_USES_SAMPLER | VPSDE_USES_INTERPOLATE,
    .compute = compute,
};

static vpsde_status run(const vpsde_cli *cli) { return vpsde_job_run(&vpsde_job_interpolate, cli); }

const vpsde_verb vpsde_verb_interpolate = {
    .name = "interpolate",
    .input = "CONFIG",
    .summary = "Goes from one row of the data to another through their latents.",
    .doc = "Reads the sections process, model, data, sampler, interpolate and log. Encodes both "
           "rows of each pair, places points on the great circle between the latents, and decodes "
           "them. Example:\n\n"
           "  vpsde interpolate experiments/mixture.yaml -o between.h5 --set data.count=10 --set "
           "'sampler.solver=[{solver: dopri5, rtol: 1e-5, atol: 1e-5}]'\n\n"
           "Exit code 5: finished, but some samples failed (flagged in `status`).",
    .options = VPSDE_CLI_OUTPUT | VPSDE_CLI_FORCE | VPSDE_CLI_CONFIG | VPSDE_CLI_THREADS |
               VPSDE_CLI_WORKS | VPSDE_CLI_RANKS,
    .run = run,
};
