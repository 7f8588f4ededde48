#include "core/parallel.h"

#include <omp.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "core/mem.h"

enum { THREADS_MAX = 1024, MESSAGE_SIZE = 1024 };

bool vpsde_queue_take(vpsde_queue *queue, size_t *block)
{
    if (queue->stop && *queue->stop) atomic_store(&queue->closed, true);
    if (atomic_load(&queue->closed)) return false;
    *block = atomic_fetch_add(&queue->next, 1);
    return *block < queue->n_blocks;
}

vpsde_status vpsde_threads(size_t *n_threads, size_t asked)
{
    if (asked > THREADS_MAX) {
        return vpsde_fail(VPSDE_EINVAL, "threads: must be at most %d, got %zu", THREADS_MAX, asked);
    }
    *n_threads = asked;
    if (asked == 0) {
        cpu_set_t set;
        const int count = sched_getaffinity(0, sizeof(set), &set) == 0 ? CPU_COUNT(&set) : 1;
        *n_threads = count > 0 ? (size_t)count : 1;
    }
    return VPSDE_OK;
}

typedef struct failure {
    vpsde_status status;
    char message[MESSAGE_SIZE];
} failure;

static void run_worker(vpsde_worker_fn worker, void *shared, vpsde_queue *queue, int spare,
                       failure *first)
{
    omp_set_num_threads(spare); /* of this worker's teams and library calls */
    const vpsde_status status = worker(shared, queue);
    if (status == VPSDE_OK) return;
    atomic_store(&queue->closed, true);
#pragma omp critical(vpsde_parallel_failure)
    if (first->status == VPSDE_OK) {
        first->status = status;
        strncpy(first->message, vpsde_last_error(), sizeof(first->message) - 1);
    }
}

vpsde_status vpsde_parallel(size_t n_threads, size_t n_blocks, vpsde_worker_fn worker, void *shared,
                            const volatile int *stop)
{
    vpsde_queue queue = {.n_blocks = n_blocks, .stop = stop};
    failure first = {.status = VPSDE_OK};
    const int outer = omp_get_max_threads(), levels = omp_get_max_active_levels();
    if (n_threads < 1) n_threads = 1;
    size_t n_workers = n_threads < n_blocks ? n_threads : n_blocks;
    if (n_workers < 1) n_workers = 1;
    const int spare = (int)(n_threads / n_workers), nested = omp_get_active_level() + 2;
    if (n_workers > 1 && spare > 1 && levels < nested) omp_set_max_active_levels(nested);
    if (n_workers ==
        1) { /* no region around its teams: libgomp makes new threads for nested ones */
        run_worker(worker, shared, &queue, spare, &first);
    } else {
#pragma omp parallel num_threads((int)n_workers)
        run_worker(worker, shared, &queue, spare, &first);
    }
    omp_set_max_active_levels(levels);
    omp_set_num_threads(outer);
    if (first.status != VPSDE_OK) return vpsde_fail(first.status, "%s", first.message);
    return vpsde_check_stop(stop);
}

vpsde_status vpsde_check_stop(const volatile int *stop)
{
    if (!stop || !*stop) return VPSDE_OK;
    return vpsde_fail(VPSDE_ESTOPPED, "stopped on request");
}

void vpsde_team(size_t n, void (*body)(void *context, size_t i), void *context)
{
    const int most = omp_get_max_threads();
    const int n_threads = n < (size_t)most ? (int)n : most;
    if (n_threads <= 1) {
        for (size_t i = 0; i < n; i++) body(context, i);
        return;
    }
#pragma omp parallel num_threads(n_threads)
    {
        omp_set_num_threads(1);
#pragma omp for schedule(dynamic, 1)
        for (size_t i = 0; i < n; i++) body(context, i);
    }
    omp_set_num_threads(most);
}

size_t vpsde_team_threads(void) { return (size_t)omp_get_max_threads(); }

bool vpsde_threads_spin(void)
{
    const char *const policy = getenv("OMP_WAIT_POLICY");
    return policy && strcasecmp(policy, "active") == 0;
}

int vpsde_serial_begin(void)
{
    const int saved = omp_get_max_threads();
    if (saved != 1) omp_set_num_threads(1);
    return saved;
}

void vpsde_serial_end(int saved)
{
    if (saved != 1) omp_set_num_threads(saved);
}

size_t vpsde_limit_begin(size_t n_threads)
{
    const size_t saved = vpsde_team_threads();
    if (n_threads < saved) omp_set_num_threads((int)n_threads);
    return saved;
}

void vpsde_limit_end(size_t saved)
{
    if (saved != vpsde_team_threads()) omp_set_num_threads((int)saved);
}

struct vpsde_lock {
    omp_lock_t lock;
};

vpsde_status vpsde_lock_create(vpsde_lock **out)
{
    VPSDE_TRY(vpsde_alloc(out, 1, sizeof(**out)));
    omp_init_lock(&(*out)->lock);
    return VPSDE_OK;
}

void vpsde_lock_destroy(vpsde_lock *lock)
{
    if (!lock) return;
    omp_destroy_lock(&lock->lock);
    free(lock);
}

void vpsde_lock_enter(vpsde_lock *lock) { omp_set_lock(&lock->lock); }

void vpsde_lock_leave(vpsde_lock *lock) { omp_unset_lock(&lock->lock); }
