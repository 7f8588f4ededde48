#include "experiments/loss_curve.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/file.h"
#include "core/mem.h"

enum { LOSS, LOSS_EMA, GRADIENT_NORM, LEARNING_RATE, N_COLUMNS };
static const double ema_decay = 0.99;

static const vpsde_column columns[N_COLUMNS] = {
    [LOSS] = {.name = "loss",
              .units = "1",
              .type = VPSDE_F64,
              .dims = "",
              .width = 1,
              .description =
                  "weighted squared error of the output, a dimension, of this minibatch"},
    [LOSS_EMA] = {.name = "loss_ema",
                  .units = "1",
                  .type = VPSDE_F64,
                  .dims = "",
                  .width = 1,
                  .description = "moving average of the loss, decay 0.99"},
    [GRADIENT_NORM] = {.name = "gradient_norm",
                       .units = "1",
                       .type = VPSDE_F64,
                       .dims = "",
                       .width = 1,
                       .description = "norm of the gradient before clipping"},
    [LEARNING_RATE] = {.name = "learning_rate",
                       .units = "1",
                       .type = VPSDE_F64,
                       .dims = "",
                       .width = 1,
                       .description = "learning rate of Adam"},
};

struct vpsde_loss_curve {
    size_t steps, done;
    double *column[N_COLUMNS]; /* (steps) */
};

vpsde_status vpsde_loss_curve_create(vpsde_loss_curve **out, uint64_t steps)
{
    vpsde_loss_curve *curve;
    VPSDE_TRY(vpsde_alloc(&curve, 1, sizeof(*curve)));
    curve->steps = steps;
    for (size_t c = 0; c < N_COLUMNS; c++) {
        const vpsde_status status = vpsde_alloc(&curve->column[c], steps, sizeof(double));
        if (status != VPSDE_OK) {
            vpsde_loss_curve_destroy(curve);
            return status;
        }
    }
    *out = curve;
    return VPSDE_OK;
}

void vpsde_loss_curve_destroy(vpsde_loss_curve *curve)
{
    if (!curve) return;
    for (size_t c = 0; c < N_COLUMNS; c++) free(curve->column[c]);
    free(curve);
}

void vpsde_loss_curve_add(void *self, const vpsde_train_report *report)
{
    vpsde_loss_curve *curve = self;
    const size_t k = (size_t)report->step - 1;
    const double known = k > 0 ? curve->column[LOSS_EMA][k - 1] : (double)NAN;
    const double before = isnan(known) ? report->loss : known;
    curve->column[LOSS][k] = report->loss;
    curve->column[LOSS_EMA][k] = ema_decay * before + (1 - ema_decay) * report->loss;
    curve->column[GRADIENT_NORM][k] = report->gradient_norm;
    curve->column[LEARNING_RATE][k] = report->learning_rate;
    curve->done = k + 1;
}

static vpsde_status write_table(const vpsde_loss_curve *curve, vpsde_run *run)
{
    vpsde_sink *sink = vpsde_run_sink(run);
    const vpsde_table table = {.path = "/training",
                               .row_axis = "step",
                               .first = 1,
                               .count = curve->steps,
                               .columns = columns,
                               .n_columns = N_COLUMNS};
    const void *data[N_COLUMNS];
    for (size_t c = 0; c < N_COLUMNS; c++) data[c] = curve->column[c];
    VPSDE_TRY(sink->begin(sink->self, &table));
    if (curve->done > 0) VPSDE_TRY(sink->write(sink->self, 1, curve->done, data));
    return sink->end(sink->self, NULL, 0);
}

vpsde_status vpsde_loss_curve_write(const vpsde_loss_curve *curve, const char *path,
                                    const vpsde_setup *setup, const char *status)
{
    vpsde_run *run = NULL;
    VPSDE_TRY(vpsde_run_create(&run, path, "train", setup->resolved, setup->seed, 1));
    vpsde_status result = vpsde_setup_describe(setup, run);
    if (result == VPSDE_OK) result = write_table(curve, run);
    if (result == VPSDE_OK) result = vpsde_run_finish(run, status);
    vpsde_run_destroy(run, 1);
    return result;
}

static vpsde_status read_column(double *column, const char *path, const char *name, size_t steps)
{
    char dataset[64];
    double *values;
    size_t rank, dims[5];
    snprintf(dataset, sizeof(dataset), "/training/%s", name);
    VPSDE_TRY(vpsde_run_read(&values, &rank, dims, path, dataset));
    for (size_t k = 0; k < steps; k++) column[k] = k < dims[0] ? values[k] : (double)NAN;
    free(values);
    return VPSDE_OK;
}

vpsde_status vpsde_loss_curve_read(vpsde_loss_curve *curve, const char *path, uint64_t steps)
{
    curve->done = steps < curve->steps ? steps : curve->steps;
    for (size_t c = 0; c < N_COLUMNS; c++) {
        vpsde_status status = VPSDE_EDATA;
        bool there;
        VPSDE_TRY(vpsde_file_is_there(&there, path));
        if (there) {
            status = read_column(curve->column[c], path, columns[c].name, curve->done);
        }
        if (status != VPSDE_OK && status != VPSDE_EDATA) return status;
        if (status == VPSDE_EDATA) {
            for (size_t k = 0; k < curve->done; k++) curve->column[c][k] = (double)NAN;
        }
    }
    return VPSDE_OK;
}

double vpsde_loss_curve_running(const vpsde_loss_curve *curve)
{
    return curve->done > 0 ? curve->column[LOSS_EMA][curve->done - 1] : (double)NAN;
}

double vpsde_loss_curve_tail(const vpsde_loss_curve *curve)
{
    const size_t n = curve->done / 10 > 0 ? curve->done / 10 : curve->done;
    double sum = 0;
    for (size_t k = curve->done - n; k < curve->done; k++) sum += curve->column[LOSS][k];
    return sum / (double)n;
}
