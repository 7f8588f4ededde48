/* What bits and speed may depend on beside the configuration, into /provenance of a run file. */
#ifndef VPSDE_EXPERIMENTS_BUILD_FACTS_H
#define VPSDE_EXPERIMENTS_BUILD_FACTS_H

#include <vpsde/run.h>

/* n_threads as asked for: 0 for all there are. */
vpsde_status vpsde_build_facts(vpsde_run *run, size_t n_threads);

/* A run that was taken up again began with this build: EDATA names what is another one, unless !force; then
 * the run says so. */
vpsde_status vpsde_build_check(vpsde_run *run, const char *path, bool force);

/* "build:" and its facts, a line each, in fresh memory. */
vpsde_status vpsde_build_lines(char **out);

#endif
