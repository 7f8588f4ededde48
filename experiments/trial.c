#include "experiments/trial.h"

#include <math.h>

#include "core/clock.h"
#include "solvers/driver.h"

enum { FIRST_ROWS = 16 /* of models that take any number of rows */ };
static const double affordable = 0.1, long_enough = 0.05; /* seconds */

static vpsde_status ignore_begin(void *self, const vpsde_table *table)
{
    (void)self;
    (void)table;
    return VPSDE_OK;
}

static vpsde_status ignore_write(void *self, size_t first, size_t n, const void *const *data)
{
    (void)self;
    (void)first;
    (void)n;
    (void)data;
    return VPSDE_OK;
}

static vpsde_status ignore_end(void *self, const vpsde_fact *provenance, size_t n_facts)
{
    (void)self;
    (void)provenance;
    (void)n_facts;
    return VPSDE_OK;
}

vpsde_sink vpsde_trial_sink(void)
{
    return (vpsde_sink){.begin = ignore_begin, .write = ignore_write, .end = ignore_end};
}

/* By the processor's time: other programs do not count. */
static vpsde_status time_rows(double *seconds, const vpsde_trial *t, size_t rows)
{
    vpsde_sink nothing = vpsde_trial_sink();
    const double start = vpsde_cpu_s();
    const vpsde_status status = t->run(t->work, rows, &nothing);
    *seconds = vpsde_cpu_s() - start;
    return status == VPSDE_EPARTIAL ? VPSDE_OK : status;
}

/* Twice the rows until they take long enough; the last two runs tell what a row adds and what does not
 * grow with them. */
static vpsde_status measure(double *fixed, double *row, const vpsde_trial *t, size_t rows)
{
    double before, now;
    VPSDE_TRY(time_rows(&before, t, rows));
    *fixed = 0;
    *row = before / (double)rows;
    for (; before < long_enough && rows <= t->count / 2; rows *= 2, before = now) {
        VPSDE_TRY(time_rows(&now, t, 2 * rows));
        *row = fmax(now - before, 0) / (double)rows;
        *fixed = fmax(before - *row * (double)rows, 0);
    }
    return VPSDE_OK;
}

vpsde_status vpsde_trial_seconds(double *seconds, const vpsde_trial *t, size_t threads)
{
    const size_t block = vpsde_block_rows(t->model), blocks = (t->count + block - 1) / block;
    const bool closed = (t->model->type->flags & VPSDE_MODEL_ANALYTIC) != 0;
    size_t rows = closed ? FIRST_ROWS : block;
    double fixed, row;
    if (rows > t->count) rows = t->count;
    if (t->network * (double)rows > affordable) { /* spare threads work inside a block */
        *seconds = t->network * (double)t->count / (double)threads;
        return VPSDE_OK;
    }
    VPSDE_TRY(measure(&fixed, &row, t, rows));
    *seconds = fixed + row * (double)t->count / (double)(blocks < threads ? blocks : threads);
    return VPSDE_OK;
}
