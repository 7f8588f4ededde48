/* Networks and diffusers folders as `vpsde info` shows them. */
#ifndef VPSDE_EXPERIMENTS_INFO_NETWORK_H
#define VPSDE_EXPERIMENTS_INFO_NETWORK_H

#include <vpsde/model.h>

/* Levels, attention, time, classes and work of a unet; nothing for other models. */
void vpsde_info_network(const vpsde_model *model);

/* The scheduler of a diffusers folder, and what in it is left to the configuration. EDATA. */
vpsde_status vpsde_info_scheduler(const char *folder);

#endif
