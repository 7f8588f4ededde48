#include "core/background.h"

#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/mem.h"

enum { MESSAGE = 1024 };

struct vpsde_background {
    pthread_t thread;
    bool started, has_thread;
    vpsde_job_fn job;
    void *context;
    vpsde_status status;
    char message[MESSAGE];
};

vpsde_status vpsde_background_create(vpsde_background **out)
{
    return vpsde_alloc(out, 1, sizeof(**out));
}

void vpsde_background_destroy(vpsde_background *background)
{
    if (!background) return;
    (void)vpsde_background_wait(background);
    free(background);
}

static void *run(void *self)
{
    vpsde_background *background = self;
    background->status = background->job(background->context);
    if (background->status != VPSDE_OK) {
        snprintf(background->message, sizeof(background->message), "%s", vpsde_last_error());
    }
    return NULL;
}

/* Signals are for the threads that were there before. */
static bool create_thread(vpsde_background *background)
{
    sigset_t all, before;
    sigfillset(&all);
    if (pthread_sigmask(SIG_SETMASK, &all, &before) != 0) return false;
    const bool done = pthread_create(&background->thread, NULL, run, background) == 0;
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    return done;
}

void vpsde_background_start(vpsde_background *background, vpsde_job_fn job, void *context)
{
    background->job = job;
    background->context = context;
    background->started = true;
    background->has_thread = create_thread(background);
    if (!background->has_thread) (void)run(background);
}

vpsde_status vpsde_background_wait(vpsde_background *background)
{
    if (!background->started) return VPSDE_OK;
    background->started = false;
    if (background->has_thread) (void)pthread_join(background->thread, NULL);
    if (background->status == VPSDE_OK) return VPSDE_OK;
    return vpsde_fail(background->status, "%s", background->message);
}
