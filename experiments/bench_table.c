#include "experiments/bench_table.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"

static vpsde_status grow(vpsde_bench_table *t)
{
    const size_t capacity = 2 * t->capacity + 8, width = t->form->n_columns;
    void *names = realloc(t->names, capacity * sizeof(*t->names));
    if (names) t->names = names;
    double *values = names ? realloc(t->values, capacity * width * sizeof(double)) : NULL;
    if (!values) return vpsde_fail(VPSDE_ENOMEM, "no memory for %zu rows of a table", capacity);
    t->values = values;
    t->capacity = capacity;
    return VPSDE_OK;
}

vpsde_status vpsde_bench_row(double **values, vpsde_bench_table *t, const char *name)
{
    if (t->n == t->capacity) VPSDE_TRY(grow(t));
    *values = t->values + t->n * t->form->n_columns;
    for (size_t c = 0; c < t->form->n_columns; c++) (*values)[c] = (double)NAN;
    snprintf(t->names[t->n++], VPSDE_BENCH_NAME, "%s", name);
    return VPSDE_OK;
}

void vpsde_bench_table_clear(vpsde_bench_table *t)
{
    free(t->names);
    free(t->values);
    t->names = NULL;
    t->values = NULL;
    t->n = t->capacity = 0;
}

static int width_of(const vpsde_bench_column *c)
{
    const int least = 8, heading = (int)strlen(c->heading);
    return heading > least ? heading : least;
}

void vpsde_bench_print(const vpsde_bench_table *t)
{
    const vpsde_bench_form *f = t->form;
    if (t->n == 0) return;
    printf("%-24s", f->row);
    for (size_t c = 0; c < f->n_columns; c++) {
        printf("  %*s", width_of(&f->columns[c]), f->columns[c].heading);
    }
    putchar('\n');
    for (size_t i = 0; i < t->n; i++) {
        printf("%-24s", t->names[i]);
        for (size_t c = 0; c < f->n_columns; c++) {
            const vpsde_bench_column *column = &f->columns[c];
            const double value = t->values[i * f->n_columns + c] / column->unit;
            if (isnan(value)) {
                printf("  %*s", width_of(column), "-");
            } else {
                printf("  %*.*f", width_of(column), column->decimals, value);
            }
        }
        putchar('\n');
    }
}

/* ---- the run file ---------------------------------------------------------------------------- */

/* Names of rows as categories: number[i] of row i among the different names, which `words` lists. */
static void categories(const vpsde_bench_table *t, int32_t *number, char *words)
{
    int32_t n = 0;
    for (size_t i = 0; i < t->n; i++) {
        size_t same = 0;
        while (strcmp(t->names[same], t->names[i]) != 0) same++;
        number[i] = same < i ? number[same] : n++;
        if (same < i) continue;
        if (i > 0) strcat(words, " ");
        strcat(words, t->names[i]);
    }
}

static vpsde_status announce(const vpsde_bench_table *t, vpsde_sink *sink, const char *words,
                             vpsde_column *column)
{
    const vpsde_bench_form *f = t->form;
    char path[64];
    snprintf(path, sizeof(path), "/bench/%s", f->name);
    column[0] = (vpsde_column){"name", "1", f->description, VPSDE_I32, "", 1, words};
    for (size_t c = 0; c < f->n_columns; c++) {
        const vpsde_bench_column *own = &f->columns[c];
        column[c + 1] =
            (vpsde_column){own->name, own->units, own->description, VPSDE_F64, "", 1, NULL};
    }
    const vpsde_table table = {.path = path,
                               .row_axis = f->row,
                               .count = t->n,
                               .columns = column,
                               .n_columns = f->n_columns + 1};
    return sink->begin(sink->self, &table);
}

static vpsde_status write_rows(const vpsde_bench_table *t, vpsde_sink *sink, const int32_t *number,
                               const void **data)
{
    for (size_t i = 0; i < t->n; i++) {
        data[0] = &number[i];
        for (size_t c = 0; c < t->form->n_columns; c++) {
            data[c + 1] = &t->values[i * t->form->n_columns + c];
        }
        VPSDE_TRY(sink->write(sink->self, i, 1, data));
    }
    return sink->end(sink->self, NULL, 0);
}

vpsde_status vpsde_bench_store(const vpsde_bench_table *t, vpsde_run *run)
{
    int32_t *number = NULL;
    char *words = NULL;
    vpsde_column *column = NULL;
    const void **data = NULL;
    if (t->n == 0) return VPSDE_OK;
    vpsde_sink *sink = vpsde_run_sink(run);
    vpsde_status status = vpsde_alloc(&number, t->n, sizeof(*number));
    if (status == VPSDE_OK) status = vpsde_alloc(&words, t->n, VPSDE_BENCH_NAME + 1);
    if (status == VPSDE_OK) status = vpsde_alloc(&column, t->form->n_columns + 1, sizeof(*column));
    if (status == VPSDE_OK) status = vpsde_alloc(&data, t->form->n_columns + 1, sizeof(*data));
    if (status == VPSDE_OK) {
        categories(t, number, words);
        status = announce(t, sink, words, column);
    }
    if (status == VPSDE_OK) status = write_rows(t, sink, number, data);
    free(number);
    free(words);
    free(column);
    free(data);
    return status;
}
