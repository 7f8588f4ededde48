/* Diffusers folders as `vpsde info` shows them. */
#ifndef VPSDE_EXPERIMENTS_INFO_SCHEDULER_H
#define VPSDE_EXPERIMENTS_INFO_SCHEDULER_H

#include <vpsde/status.h>

/* The scheduler of a diffusers folder, and what in it is left to the configuration. EDATA. */
vpsde_status vpsde_info_scheduler(const char *folder);

#endif
