/* The parallel loop: workers that pull block numbers from a queue.
 *
 * A block is one worker's work from start to end. Where there are fewer blocks than threads, each
 * worker's teams and library calls share out the spare threads; whatever would change its bits with
 * their number stands between vpsde_serial_begin and vpsde_serial_end, so results do not depend on
 * the number of workers or threads. The only OpenMP user. */
#ifndef VPSDE_CORE_PARALLEL_H
#define VPSDE_CORE_PARALLEL_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

#include <vpsde/status.h>

typedef struct vpsde_queue {
    atomic_size_t next;
    atomic_bool closed; /* a worker failed or a stop was asked for */
    size_t n_blocks;
    const volatile int *stop; /* may be NULL */
} vpsde_queue;

/* Takes the next block number; false when there is none left or the queue was closed. */
bool vpsde_queue_take(vpsde_queue *queue, size_t *block);

typedef vpsde_status (*vpsde_worker_fn)(void *shared, vpsde_queue *queue);

/* Number of threads meant by `asked`: 0 means the processors this process may run on. EINVAL above
 * 1024. */
vpsde_status vpsde_threads(size_t *n_threads, size_t asked);

/* Runs `worker` on w = min(n_threads, n_blocks) threads, each with teams and library calls of up to
 * floor(n_threads / w) threads inside, and returns the first failure (its message becomes the
 * caller's), ESTOPPED when *stop was seen. */
vpsde_status vpsde_parallel(size_t n_threads, size_t n_blocks, vpsde_worker_fn worker, void *shared,
                            const volatile int *stop);

/* body(context, i) for all i < n, on up to as many threads as library calls of the calling thread
 * may use; a plain loop when that or n is 1. Inside a team of several, library calls stay on their
 * thread. The order is free: bodies write to places of their own. */
void vpsde_team(size_t n, void (*body)(void *context, size_t i), void *context);
/* The number of threads that team and library calls of the calling thread may use now. */
size_t vpsde_team_threads(void);
/* Do threads that wait for work stay awake? Where the user asked for it: OMP_WAIT_POLICY=active. */
bool vpsde_threads_spin(void);

/* From _begin to _end, library calls and teams of the calling thread stay on it, inside and outside
 * of vpsde_parallel; `saved` is what _begin returned. */
int vpsde_serial_begin(void);
void vpsde_serial_end(int saved);

/* From _begin to _end, library calls and teams of the calling thread use at most so many threads;
 * `saved` is what _begin returned. */
size_t vpsde_limit_begin(size_t n_threads);
void vpsde_limit_end(size_t saved);

/* A lock for sinks and progress. */
typedef struct vpsde_lock vpsde_lock;
vpsde_status vpsde_lock_create(vpsde_lock **out);
void vpsde_lock_destroy(vpsde_lock *lock);
void vpsde_lock_enter(vpsde_lock *lock);
void vpsde_lock_leave(vpsde_lock *lock);

/* ESTOPPED once *stop is set; NULL never is. */
vpsde_status vpsde_check_stop(const volatile int *stop);

#endif
