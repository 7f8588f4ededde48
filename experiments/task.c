#include "experiments/task.h"

#include <stdlib.h>
#include <string.h>

#include "core/clock.h"
#include "core/mem.h"
#include "core/sink.h"
#include "solvers/driver.h"

/* Bytes of a piece, and rows that no piece needs more of. */
static const size_t piece_bytes = (size_t)128 << 20, piece_rows = 8192;

/* ---- sinks ----------------------------------------------------------------------------------- */

static vpsde_status no_end(void *self, const vpsde_fact *provenance, size_t n_facts)
{
    (void)self;
    (void)provenance;
    (void)n_facts;
    return VPSDE_OK;
}

static size_t column_of(const vpsde_table *table, const char *name)
{
    size_t c = 0;
    while (c < table->n_columns && strcmp(table->columns[c].name, name) != 0) c++;
    return c;
}

/* The columns of a sampling and the task's own, as one table. */
static vpsde_status announce(void *self, const vpsde_table *table)
{
    vpsde_task *task = self;
    vpsde_column columns[VPSDE_TASK_COLUMNS_MAX];
    const size_t n = table->n_columns, final = column_of(table, "final");
    if (n + task->n_own > VPSDE_TASK_COLUMNS_MAX || task->n_own > VPSDE_TASK_OWN_MAX) {
        return vpsde_fail(VPSDE_EINTERNAL, "table %s: %zu columns and %zu more", table->path, n,
                          task->n_own);
    }
    memcpy(columns, table->columns, n * sizeof(*columns));
    for (size_t e = 0; e < task->n_own; e++) {
        columns[n + e] = task->own[e];
        if (task->own[e].width > 0) continue;
        columns[n + e].width = columns[final].width;
        columns[n + e].dims = columns[final].dims;
    }
    for (size_t c = 0; c < n + task->n_own; c++) {
        task->row_bytes[c] = vpsde_column_bytes(&columns[c]);
    }
    task->n_columns = n;
    vpsde_table whole = *table;
    whole.columns = columns;
    whole.n_columns = n + task->n_own;
    return task->out->begin(task->out->self, &whole);
}

static vpsde_status never_written(void *self, size_t first, size_t n, const void *const *data)
{
    (void)self;
    (void)data;
    return vpsde_fail(VPSDE_EINTERNAL, "rows %zu to %zu of an announcement", first, first + n);
}

static bool has_all(void *self, size_t first, size_t n)
{
    (void)self;
    (void)first;
    (void)n;
    return true;
}

static vpsde_status stage_begin(void *self, const vpsde_table *table)
{
    vpsde_task *task = self;
    task->staged = table->first;
    task->final = task->data[column_of(table, "final")];
    task->nfe = task->data[column_of(table, "nfe")];
    return VPSDE_OK;
}

static vpsde_status stage(void *self, size_t first, size_t n, const void *const *data)
{
    const vpsde_task *task = self;
    for (size_t c = 0; c < task->n_columns; c++) {
        const size_t bytes = task->row_bytes[c];
        memcpy((char *)task->data[c] + (first - task->staged) * bytes, data[c], n * bytes);
    }
    return VPSDE_OK;
}

/* Final states and network calls alone. */
typedef struct kept {
    double *x;
    int32_t *nfe;
    size_t d, first, final, calls;
} kept;

static vpsde_status keep_begin(void *self, const vpsde_table *table)
{
    kept *k = self;
    k->first = table->first;
    k->final = column_of(table, "final");
    k->calls = column_of(table, "nfe");
    return VPSDE_OK;
}

static vpsde_status keep(void *self, size_t first, size_t n, const void *const *data)
{
    const kept *k = self;
    const size_t at = first - k->first;
    memcpy(k->x + at * k->d, data[k->final], n * k->d * sizeof(*k->x));
    memcpy(k->nfe + at, data[k->calls], n * sizeof(*k->nfe));
    return VPSDE_OK;
}

/* ---- pieces ---------------------------------------------------------------------------------- */

static size_t total_work(const vpsde_task *task)
{
    return task->run.count / task->unit * task->work;
}

static void show(void *context, size_t done, size_t total)
{
    const vpsde_task *task = context;
    const vpsde_control *control = &task->run.control;
    (void)total;
    control->progress(control->context, task->done + done, total_work(task));
}

static vpsde_status sample(vpsde_task *task, const vpsde_sampling *sampling, vpsde_sink *sink)
{
    vpsde_sampling part = *sampling;
    part.control.context = task;
    part.control.progress = task->run.control.progress ? show : NULL;
    const vpsde_status status = vpsde_sample(&part, sink);
    task->done += part.count;
    return status == VPSDE_EPARTIAL ? VPSDE_OK : status;
}

vpsde_status vpsde_task_sample(vpsde_task *task, const vpsde_sampling *sampling)
{
    vpsde_sink sink = {.self = task, .begin = stage_begin, .write = stage, .end = no_end};
    return sample(task, sampling, &sink);
}

vpsde_status vpsde_task_sample_into(vpsde_task *task, const vpsde_sampling *sampling, double *x,
                                    int32_t *nfe)
{
    kept into = {.x = x, .nfe = nfe, .d = sampling->model->dim};
    vpsde_sink sink = {.self = &into, .begin = keep_begin, .write = keep, .end = no_end};
    vpsde_sampling plain = *sampling;
    plain.log = (vpsde_log){0};
    return sample(task, &plain, &sink);
}

/* As many rows as fit, in whole units, and in whole blocks where a row is a unit. */
static vpsde_status make_room(vpsde_task *task)
{
    const size_t blocks = task->unit > 1 ? task->unit : vpsde_block_rows(task->run.model);
    size_t bytes = 1;
    for (size_t c = 0; c < task->n_columns + task->n_own; c++) bytes += task->row_bytes[c];
    const size_t fit = piece_bytes / bytes < piece_rows ? piece_bytes / bytes : piece_rows;
    task->piece = fit > blocks ? fit / blocks * blocks : blocks;
    const size_t rows = task->piece < task->run.count ? task->piece : task->run.count;
    for (size_t c = 0; c < task->n_columns + task->n_own; c++) {
        VPSDE_TRY(vpsde_alloc(&task->data[c], rows, task->row_bytes[c]));
    }
    for (size_t e = 0; e < task->n_own; e++) task->own_data[e] = task->data[task->n_columns + e];
    return VPSDE_OK;
}

static vpsde_status one_piece(vpsde_task *task, size_t first, size_t n)
{
    const vpsde_sink *out = task->out;
    if (out->has && out->has(out->self, first, n)) {
        task->done += n / task->unit * task->work;
        return VPSDE_OK;
    }
    VPSDE_TRY(task->compute(task, first, n));
    return out->write(out->self, first, n, (const void *const *)task->data);
}

static vpsde_status all_pieces(vpsde_task *task)
{
    const size_t end = task->run.first + task->run.count;
    const double start = vpsde_clock_s();
    const vpsde_sink *out = task->out;
    VPSDE_TRY(make_room(task));
    const size_t n_pieces = vpsde_delivery_blocks(task->run.first, task->run.count, task->piece);
    for (size_t piece = 0; piece < n_pieces; piece++) {
        const size_t number = out->take ? out->take(out->self) : piece;
        if (number >= n_pieces) break;
        const size_t begin = (task->run.first / task->piece + number) * task->piece;
        const size_t first = begin > task->run.first ? begin : task->run.first;
        const size_t next = begin + task->piece;
        VPSDE_TRY(one_piece(task, first, (next < end ? next : end) - first));
    }
    if (out->meet) {
        VPSDE_TRY(out->meet(out->self, VPSDE_OK, NULL, 0, NULL));
        if (task->announced) VPSDE_TRY(task->announced(task));
    }
    const vpsde_fact fact = {.name = "wall_seconds", .number = vpsde_clock_s() - start};
    return task->out->end(task->out->self, &fact, 1);
}

vpsde_status vpsde_task_run(vpsde_task *task, vpsde_sink *sink)
{
    vpsde_sink head = {
        .self = task, .begin = announce, .write = never_written, .end = no_end, .has = has_all};
    vpsde_sampling whole = task->run;
    whole.control.progress = NULL;
    whole.n_threads = 1;
    task->out = sink;
    vpsde_status status = vpsde_sample(&whole, &head);
    if (status == VPSDE_OK && task->announced) status = task->announced(task);
    if (status == VPSDE_OK) status = all_pieces(task);
    for (size_t c = 0; c < VPSDE_TASK_COLUMNS_MAX; c++) free(task->data[c]);
    return status;
}
