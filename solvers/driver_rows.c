#include <math.h>
#include <stdlib.h>

#include "core/mem.h"
#include "solvers/driver.h"

static vpsde_status alloc_columns(vpsde_rows *rows, const vpsde_report *report)
{
    const size_t n = rows->capacity, d = report->run->model->dim;
    size_t state, stored;
    VPSDE_TRY(vpsde_size_mul(&state, n, d, "states of a block"));
    VPSDE_TRY(vpsde_size_mul(&stored, n, report->n_stored, "stored nodes of a block"));
    VPSDE_TRY(vpsde_alloc(&rows->final, state, sizeof(double)));
    VPSDE_TRY(vpsde_alloc(&rows->nfe, n, sizeof(int32_t)));
    VPSDE_TRY(vpsde_alloc(&rows->jvp, n, sizeof(int32_t)));
    VPSDE_TRY(vpsde_alloc(&rows->rejected, n, sizeof(int32_t)));
    VPSDE_TRY(vpsde_alloc(&rows->nfe_log, n, sizeof(int32_t)));
    VPSDE_TRY(vpsde_alloc(&rows->status, n, sizeof(uint8_t)));
    for (size_t f = 0; f < VPSDE_N_FIELDS; f++) {
        if (!(report->fields & 1u << f)) continue;
        size_t all;
        VPSDE_TRY(
            vpsde_size_mul(&all, stored, vpsde_field_width(report, f), "stored states of a block"));
        VPSDE_TRY(vpsde_alloc(&rows->field[f], all, vpsde_dtype_size(vpsde_field_type(report, f))));
    }
    return VPSDE_OK;
}

vpsde_status vpsde_rows_create(vpsde_rows **out, const vpsde_report *report)
{
    *out = NULL;
    vpsde_rows *rows;
    VPSDE_TRY(vpsde_alloc(&rows, 1, sizeof(*rows)));
    rows->capacity = vpsde_staging_rows(report->run->model, report->run->count);
    const vpsde_status status = alloc_columns(rows, report);
    if (status != VPSDE_OK) {
        vpsde_rows_destroy(rows);
        return status;
    }
    *out = rows;
    return VPSDE_OK;
}

void vpsde_rows_destroy(vpsde_rows *rows)
{
    if (!rows) return;
    free(rows->final);
    free(rows->nfe);
    free(rows->jvp);
    free(rows->rejected);
    free(rows->nfe_log);
    free(rows->status);
    for (size_t f = 0; f < VPSDE_N_FIELDS; f++) free(rows->field[f]);
    free(rows);
}

void vpsde_rows_store(vpsde_rows *rows, const vpsde_report *report, size_t field, size_t i,
                      size_t slot, const double *v)
{
    if (!rows->field[field]) return;
    const size_t width = vpsde_field_width(report, field);
    const size_t at = (i * report->n_stored + slot) * width;
    if (vpsde_field_type(report, field) == VPSDE_F32) {
        float *out = (float *)rows->field[field] + at;
        for (size_t j = 0; j < width; j++) out[j] = v ? (float)v[j] : NAN;
    } else {
        double *out = (double *)rows->field[field] + at;
        for (size_t j = 0; j < width; j++) out[j] = v ? v[j] : (double)NAN;
    }
}
