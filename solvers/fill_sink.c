#include "solvers/fill_sink.h"

#include <string.h>

enum { FACTS_MAX = 16 };

static vpsde_status fill_begin(void *self, const vpsde_table *table)
{
    vpsde_sink *inner = ((vpsde_fill_sink *)self)->inner;
    return inner->begin(inner->self, table);
}

static vpsde_status fill_write(void *self, size_t first, size_t n, const void *const *data)
{
    vpsde_sink *inner = ((vpsde_fill_sink *)self)->inner;
    return inner->write(inner->self, first, n, data);
}

static vpsde_status fill_end(void *self, const vpsde_fact *provenance, size_t n_facts)
{
    const vpsde_fill_sink *fill = self;
    vpsde_fact facts[FACTS_MAX];
    if (!fill->inner->end) return VPSDE_OK;
    if (n_facts >= FACTS_MAX) {
        return vpsde_fail(VPSDE_EINTERNAL, "%zu provenance facts, at most %d fit", n_facts + 1,
                          FACTS_MAX);
    }
    memcpy(facts, provenance, n_facts * sizeof(*facts));
    facts[n_facts] = (vpsde_fact){.name = "block_fill", .number = vpsde_batch_fill(fill->job)};
    return fill->inner->end(fill->inner->self, facts, n_facts + 1);
}

static bool fill_has(void *self, size_t first, size_t n)
{
    const vpsde_sink *inner = ((vpsde_fill_sink *)self)->inner;
    return inner->has && inner->has(inner->self, first, n);
}

static size_t fill_take(void *self)
{
    const vpsde_sink *inner = ((vpsde_fill_sink *)self)->inner;
    return inner->take(inner->self);
}

static vpsde_status fill_meet(void *self, vpsde_status status, double *sums, size_t n,
                              uint64_t *least)
{
    const vpsde_sink *inner = ((vpsde_fill_sink *)self)->inner;
    return inner->meet(inner->self, status, sums, n, least);
}

vpsde_sink *vpsde_fill_sink_init(vpsde_fill_sink *fill, vpsde_sink *inner, vpsde_batch_job *job)
{
    *fill = (vpsde_fill_sink){
        .sink = {.begin = fill_begin, .write = fill_write, .end = fill_end, .has = fill_has},
        .inner = inner,
        .job = job,
    };
    fill->sink.self = fill;
    if (inner && inner->take) fill->sink.take = fill_take;
    if (inner && inner->meet) fill->sink.meet = fill_meet;
    return inner ? &fill->sink : NULL;
}
