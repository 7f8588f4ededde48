#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "experiments/transport.h"

enum {
    COLUMNS = sizeof(((vpsde_transport_rows *)0)->column) / sizeof(struct vpsde_transport_column)
};

static vpsde_status missing(const vpsde_table *table, const char *name)
{
    return vpsde_fail(VPSDE_EINTERNAL, "table %s has no such column %s", table->path, name);
}

static vpsde_status find(size_t *at, const vpsde_table *table, const char *name, size_t width)
{
    for (*at = 0; *at < table->n_columns; (*at)++) {
        const vpsde_column *column = &table->columns[*at];
        if (strcmp(column->name, name) == 0 && column->width == width) return VPSDE_OK;
    }
    return missing(table, name);
}

static vpsde_status begin(void *self, const vpsde_table *table)
{
    vpsde_transport_rows *r = self;
    for (size_t c = 0; c < COLUMNS; c++) {
        VPSDE_TRY(find(&r->column[c].at, table, r->column[c].name, r->column[c].width));
    }
    VPSDE_TRY(find(&r->status_at, table, "status", 1));
    return r->next->begin(r->next->self, table);
}

static vpsde_status write(void *self, size_t first, size_t n, const void *const *data)
{
    vpsde_transport_rows *r = self;
    const size_t at = first - r->first;
    for (size_t c = 0; c < COLUMNS; c++) {
        const struct vpsde_transport_column *column = &r->column[c];
        memcpy(*column->into + at * column->width, data[column->at],
               n * column->width * sizeof(double));
    }
    memcpy(r->status + at, data[r->status_at], n);
    for (size_t i = 0; i < n; i++) r->n += r->status[at + i] == 0;
    if (r->next->has && r->next->has(r->next->self, first, n)) return VPSDE_OK;
    return r->next->write(r->next->self, first, n, data);
}

static vpsde_status end(void *self, const vpsde_fact *provenance, size_t n)
{
    const vpsde_transport_rows *r = self;
    return r->next->end(r->next->self, provenance, n);
}

/* `has` stays NULL: rows from before an interruption are computed again, for they are all needed here. */
vpsde_status vpsde_transport_rows_open(vpsde_transport_rows *r, vpsde_sink *next)
{
    const struct vpsde_transport_column column[COLUMNS] = {
        {.name = "x", .into = &r->x, .width = r->dim},
        {.name = "image", .into = &r->image, .width = r->dim},
        {.name = "antisymmetry", .into = &r->antisymmetry, .width = 1},
        {.name = "smallest_eigenvalue", .into = &r->smallest, .width = 1},
        {.name = "speed_squared", .into = &r->speed, .width = r->n_times},
    };
    memcpy(r->column, column, sizeof(column));
    r->next = next;
    r->sink = (vpsde_sink){.self = r, .begin = begin, .write = write, .end = end};
    for (size_t c = 0; c < COLUMNS; c++) {
        VPSDE_TRY(vpsde_alloc(column[c].into, r->count * column[c].width, sizeof(double)));
    }
    return vpsde_alloc(&r->status, r->count, sizeof(*r->status));
}

void vpsde_transport_rows_close(vpsde_transport_rows *r)
{
    free(r->x);
    free(r->image);
    free(r->antisymmetry);
    free(r->smallest);
    free(r->speed);
    free(r->status);
}
