/* A finished file gets its name. */
#ifndef VPSDE_EXPERIMENTS_RUN_PUBLISH_H
#define VPSDE_EXPERIMENTS_RUN_PUBLISH_H

#include <stdbool.h>

#include <vpsde/status.h>

/* Makes `fresh` durable and gives it the name `path`, durably: instead of its own, with which it replaces
 * what has that name, or as a second one (where the file system has no second names, instead), which
 * nobody may have: EEXIST. EIO. */
vpsde_status vpsde_publish(const char *fresh, const char *path, bool replace);

#endif
