/* What bits and speed may depend on beside the configuration, into /provenance of a run file. */
#ifndef VPSDE_EXPERIMENTS_BUILD_FACTS_H
#define VPSDE_EXPERIMENTS_BUILD_FACTS_H

#include <vpsde/run.h>

/* n_threads as asked for: 0 for all there are. */
vpsde_status vpsde_build_facts(vpsde_run *run, size_t n_threads);

#endif
