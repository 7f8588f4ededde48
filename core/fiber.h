/* Fibers: many small stacks on one thread, so that stock integrators can wait at their right-hand
 * side. Created with makecontext, switched with _setjmp/_longjmp (no system call). */
#ifndef VPSDE_CORE_FIBER_H
#define VPSDE_CORE_FIBER_H

#include <stdbool.h>
#include <stddef.h>

#include <vpsde/status.h>

typedef struct vpsde_fiber vpsde_fiber;
typedef void (*vpsde_fiber_fn)(void *argument);

/* A fiber with its own guarded stack, not yet running. Bound to the creating thread. */
vpsde_status vpsde_fiber_create(vpsde_fiber **out, size_t stack_bytes);
void vpsde_fiber_destroy(vpsde_fiber *fiber); /* must not be running */
/* Gives an idle fiber something to do. */
void vpsde_fiber_start(vpsde_fiber *fiber, vpsde_fiber_fn fn, void *argument);
/* Runs it until it yields (true) or its function returns (false: idle again). */
bool vpsde_fiber_resume(vpsde_fiber *fiber);
/* Called inside: back to whoever resumed. */
void vpsde_fiber_yield(vpsde_fiber *fiber);

#endif
