/* Which keys of two resolved configurations differ. */
#ifndef VPSDE_CORE_CONFIG_DIFF_H
#define VPSDE_CORE_CONFIG_DIFF_H

#include <vpsde/status.h>

/* "sampler.solver.0.steps: 50, now 60; log.times: 5, now none" of two texts that
 * vpsde_config_resolved() made, "" when every key has the same value; at most six keys are named.
 * Fresh memory. */
vpsde_status vpsde_config_diff(char **out, const char *before, const char *now);

#endif
