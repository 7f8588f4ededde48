/* A sink before a sink: adds how full the network calls were to the provenance at the end. */
#ifndef VPSDE_SOLVERS_FILL_SINK_H
#define VPSDE_SOLVERS_FILL_SINK_H

#include <vpsde/sink.h>

#include "solvers/batch.h"

typedef struct vpsde_fill_sink {
    vpsde_sink sink;
    vpsde_sink *inner;
    vpsde_batch_job *job;
} vpsde_fill_sink;

/* The sink to use in place of `inner`; NULL for NULL. */
vpsde_sink *vpsde_fill_sink_init(vpsde_fill_sink *fill, vpsde_sink *inner, vpsde_batch_job *job);

#endif
