#include "experiments/collect.h"

#include <string.h>

static vpsde_status find(size_t *column, const vpsde_table *table, const char *name,
                         vpsde_dtype type, size_t width)
{
    for (size_t c = 0; c < table->n_columns; c++) {
        const vpsde_column *column_c = &table->columns[c];
        if (strcmp(column_c->name, name) != 0) continue;
        *column = c;
        if (column_c->type == type && column_c->width == width) return VPSDE_OK;
    }
    return vpsde_fail(VPSDE_EINTERNAL, "table %s has no such column %s", table->path, name);
}

static vpsde_status begin(void *self, const vpsde_table *table)
{
    vpsde_collect *s = self;
    s->first = table->first;
    VPSDE_TRY(find(&s->final, table, "final", VPSDE_F64, s->dim));
    VPSDE_TRY(find(&s->nfe, table, "nfe", VPSDE_I32, 1));
    VPSDE_TRY(find(&s->jvp, table, "jvp", VPSDE_I32, 1));
    VPSDE_TRY(find(&s->rejected, table, "rejected", VPSDE_I32, 1));
    return find(&s->status, table, "status", VPSDE_U8, 1);
}

static vpsde_status write(void *self, size_t first, size_t n, const void *const *data)
{
    vpsde_collect *s = self;
    const int32_t *nfe = data[s->nfe], *jvp = data[s->jvp], *rejected = data[s->rejected];
    const uint8_t *status = data[s->status];
    memcpy(s->x + (first - s->first) * s->dim, data[s->final], n * s->dim * sizeof(*s->x));
    for (size_t i = 0; i < n; i++) {
        s->sum_nfe += nfe[i];
        s->sum_jvp += jvp[i];
        s->sum_rejected += rejected[i];
        s->n_failed += status[i] != 0;
    }
    return VPSDE_OK;
}

static vpsde_status end(void *self, const vpsde_fact *provenance, size_t n_facts)
{
    (void)self;
    (void)provenance;
    (void)n_facts;
    return VPSDE_OK;
}

void vpsde_collect_init(vpsde_collect *collect, double *x, size_t dim)
{
    *collect = (vpsde_collect){.x = x, .dim = dim};
    collect->sink = (vpsde_sink){.self = collect, .begin = begin, .write = write, .end = end};
}
