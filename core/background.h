/* One job at a time on a thread of its own, behind the caller's work. */
#ifndef VPSDE_CORE_BACKGROUND_H
#define VPSDE_CORE_BACKGROUND_H

#include <vpsde/status.h>

typedef struct vpsde_background vpsde_background;
typedef vpsde_status (*vpsde_job_fn)(void *context);

vpsde_status vpsde_background_create(vpsde_background **out);
/* Waits. NULL is fine. */
void vpsde_background_destroy(vpsde_background *background);

/* Starts a job after the last one was waited for; where no thread can be had, does it. */
void vpsde_background_start(vpsde_background *background, vpsde_job_fn job, void *context);
/* Waits for the job that was started, if any: its status, and its message as the caller's. */
vpsde_status vpsde_background_wait(vpsde_background *background);

#endif
