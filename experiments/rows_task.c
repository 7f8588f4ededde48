#include "experiments/rows_task.h"

#include <math.h>
#include <stdlib.h>

#include "core/mem.h"
#include "experiments/task.h"

enum { SOURCE, DISTANCE, N_OWN };
static const vpsde_column own_columns[N_OWN] = {
    {.name = "source",
     .units = "1",
     .description = "row of the data file that the sample was made from",
     .type = VPSDE_I64,
     .dims = "",
     .width = 1},
    {.name = "distance",
     .units = "1",
     .description = "Euclidean distance of the final state from that row",
     .type = VPSDE_F64,
     .dims = "",
     .width = 1},
};

/* One solver's samples. */
typedef struct rows_work {
    const vpsde_setup *s;
    void (*use)(vpsde_sampling *run, const vpsde_setup *s, const double *x);
    double *x; /* (piece, d) */
} rows_work;

static double distance(size_t d, const double *x, const double *y)
{
    double square = 0;
    for (size_t j = 0; j < d; j++) square += (x[j] - y[j]) * (x[j] - y[j]);
    return sqrt(square);
}

static vpsde_status compute(vpsde_task *task, size_t first, size_t n)
{
    rows_work *w = task->context;
    const vpsde_data_setup *data = &w->s->data;
    const size_t d = w->s->model->dim;
    int64_t *source = task->own_data[SOURCE];
    double *away = task->own_data[DISTANCE];
    vpsde_sampling run = task->run;
    free(w->x);
    VPSDE_TRY(vpsde_alloc(&w->x, n, d * sizeof(double)));
    VPSDE_TRY(vpsde_data_read(data->data, w->x, first, n, data->scale, data->shift));
    run.first = first;
    run.count = n;
    run.classes = vpsde_setup_classes_of_row(w->s, first);
    w->use(&run, w->s, w->x);
    VPSDE_TRY(vpsde_task_sample(task, &run));
    for (size_t i = 0; i < n; i++) {
        source[i] = (int64_t)(first + i);
        away[i] = distance(d, task->final + i * d, w->x + i * d);
    }
    return VPSDE_OK;
}

static vpsde_status one_entry(rows_work *w, size_t entry, const vpsde_cli *cli, vpsde_run *run)
{
    static const double somewhere;
    vpsde_summary summary;
    vpsde_sink sink = vpsde_job_sink(&summary, run);
    vpsde_task task = {
        .run = vpsde_setup_sampling(w->s, entry, cli),
        .own = own_columns,
        .n_own = N_OWN,
        .unit = 1,
        .work = 1,
        .compute = compute,
        .context = w,
    };
    task.run.first = w->s->data.first;
    task.run.classes = vpsde_setup_classes_of_row(w->s, task.run.first);
    w->use(&task.run, w->s, &somewhere);
    return vpsde_job_tell(&summary, cli, vpsde_task_run(&task, &sink), entry == 0);
}

vpsde_status vpsde_rows_task(const vpsde_setup *s, const vpsde_cli *cli, vpsde_run *run,
                             void (*use)(vpsde_sampling *run, const vpsde_setup *s,
                                         const double *x))
{
    vpsde_status worst = VPSDE_OK;
    for (size_t i = 0; i < s->sampler.n_entries; i++) {
        rows_work w = {.s = s, .use = use};
        const vpsde_status status = one_entry(&w, i, cli, run);
        free(w.x);
        if (status != VPSDE_OK && status != VPSDE_EPARTIAL) return status;
        if (status == VPSDE_EPARTIAL) worst = status;
    }
    return worst;
}
