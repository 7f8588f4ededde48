#include "core/ranks.h"

#include <limits.h>
#include <mpi.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/mem.h"

/* On rank 0 the next number to be taken; past all blocks once a rank has failed. There are two
 * counters, used in turns: the one that no rank is at is set back. */
enum { N_COUNTERS = 2, MESSAGE_SIZE = 1024 };
static const uint64_t past_all = (uint64_t)1 << 62;

static struct {
    int rank, n;
    bool open, over; /* over: a failure was agreed on */
    size_t turn;
    MPI_Win window;
    vpsde_status status; /* of a number that could not be taken */
    pthread_t helper;    /* of rank 0 */
    bool helps;
    atomic_bool closing;
    pthread_mutex_t lock; /* around every call of MPI while the helper runs */
} ranks = {.n = 1, .lock = PTHREAD_MUTEX_INITIALIZER};

static vpsde_status check(int code, const char *what)
{
    char text[MPI_MAX_ERROR_STRING] = "";
    int length;
    if (code == MPI_SUCCESS) return VPSDE_OK;
    (void)MPI_Error_string(code, text, &length);
    return vpsde_fail(VPSDE_EIO, "%s failed: %s", what, text);
}
#define TRY(call) VPSDE_TRY(check(call, #call))

/* A process that no launcher started starts faster without MPI. */
static bool launched(void)
{
    static const char *const names[] = {"OMPI_COMM_WORLD_RANK", "PMIX_RANK", "PMI_RANK",
                                        "MPI_LOCALRANKID"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (getenv(names[i])) return true;
    }
    return false;
}

static const struct timespec moment = {.tv_nsec = 200000};

/* Networks without atomics of their own leave the counters to rank 0's processor, which would look at
 * them between its own blocks only: any call of MPI does. */
static void *answer(void *nothing)
{
    int there;
    while (!atomic_load(&ranks.closing)) {
        pthread_mutex_lock(&ranks.lock);
        (void)MPI_Iprobe(MPI_ANY_SOURCE, MPI_ANY_TAG, MPI_COMM_WORLD, &there, MPI_STATUS_IGNORE);
        pthread_mutex_unlock(&ranks.lock);
        nanosleep(&moment, NULL);
    }
    return nothing;
}

static vpsde_status start_helper(void)
{
    if (ranks.rank > 0) return VPSDE_OK;
    ranks.helps = pthread_create(&ranks.helper, NULL, answer, NULL) == 0;
    return ranks.helps ? VPSDE_OK : vpsde_fail(VPSDE_ENOMEM, "cannot start a thread");
}

static vpsde_status open_window(void)
{
    uint64_t *words;
    const MPI_Aint bytes = ranks.rank == 0 ? N_COUNTERS * sizeof(*words) : 0;
    TRY(MPI_Win_allocate(bytes, sizeof(*words), MPI_INFO_NULL, MPI_COMM_WORLD, &words,
                         &ranks.window));
    TRY(MPI_Win_set_errhandler(ranks.window, MPI_ERRORS_RETURN));
    TRY(MPI_Win_lock_all(MPI_MODE_NOCHECK, ranks.window));
    if (ranks.rank == 0) memset(words, 0, (size_t)bytes);
    TRY(MPI_Win_sync(ranks.window));
    TRY(MPI_Barrier(MPI_COMM_WORLD));
    return start_helper();
}

vpsde_status vpsde_ranks_open(void)
{
    int level;
    if (!launched()) return VPSDE_OK;
    TRY(MPI_Init_thread(NULL, NULL, MPI_THREAD_SERIALIZED, &level));
    ranks.open = true;
    TRY(MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN));
    TRY(MPI_Comm_rank(MPI_COMM_WORLD, &ranks.rank));
    TRY(MPI_Comm_size(MPI_COMM_WORLD, &ranks.n));
    if (ranks.n == 1) return VPSDE_OK;
    if (level < MPI_THREAD_SERIALIZED) {
        return vpsde_fail(VPSDE_EIO, "this MPI takes calls from its first thread alone; expected "
                                     "one with MPI_THREAD_SERIALIZED");
    }
    return open_window();
}

void vpsde_ranks_close(void)
{
    if (!ranks.open) return;
    atomic_store(&ranks.closing, true);
    if (ranks.helps) (void)pthread_join(ranks.helper, NULL);
    if (ranks.n > 1 && ranks.window) {
        (void)MPI_Win_unlock_all(ranks.window);
        (void)MPI_Win_free(&ranks.window);
    }
    (void)MPI_Finalize();
    ranks.open = false;
}

size_t vpsde_rank(void) { return (size_t)ranks.rank; }
size_t vpsde_n_ranks(void) { return (size_t)ranks.n; }

/* *old <- the counter, then it is changed by `operand`. */
static vpsde_status change(uint64_t *old, size_t counter, MPI_Op op, uint64_t operand)
{
    pthread_mutex_lock(&ranks.lock);
    int code =
        MPI_Fetch_and_op(&operand, old, MPI_UINT64_T, 0, (MPI_Aint)counter, op, ranks.window);
    if (code == MPI_SUCCESS) code = MPI_Win_flush(0, ranks.window);
    pthread_mutex_unlock(&ranks.lock);
    return check(code, "MPI_Fetch_and_op");
}

size_t vpsde_ranks_take(void)
{
    uint64_t number = SIZE_MAX;
    if (ranks.status == VPSDE_OK) ranks.status = change(&number, ranks.turn, MPI_SUM, 1);
    return ranks.status == VPSDE_OK ? (size_t)number : SIZE_MAX;
}

/* MPI's own waiting burns the processor, and rank 0 may write a file for minutes. */
static vpsde_status wait_for_all(void)
{
    MPI_Request request;
    int done = 0;
    pthread_mutex_lock(&ranks.lock);
    int code = MPI_Ibarrier(MPI_COMM_WORLD, &request);
    while (code == MPI_SUCCESS) {
        code = MPI_Test(&request, &done, MPI_STATUS_IGNORE);
        if (done) break;
        pthread_mutex_unlock(&ranks.lock);
        nanosleep(&moment, NULL);
        pthread_mutex_lock(&ranks.lock);
    }
    pthread_mutex_unlock(&ranks.lock);
    return check(code, "MPI_Ibarrier");
}

/* Every rank tells the failure of rank `from`; what rank 0 does, it does for all. */
static vpsde_status tell(vpsde_status status, int from)
{
    char message[MESSAGE_SIZE];
    int code = (int)status;
    strncpy(message, vpsde_last_error(), sizeof(message) - 1);
    message[sizeof(message) - 1] = '\0';
    TRY(MPI_Bcast(&code, 1, MPI_INT, from, MPI_COMM_WORLD));
    TRY(MPI_Bcast(message, (int)sizeof(message), MPI_CHAR, from, MPI_COMM_WORLD));
    if (from == 0) return vpsde_fail((vpsde_status)code, "%s", message);
    return vpsde_fail((vpsde_status)code, "rank %d: %s", from, message);
}

static vpsde_status add_up(double *sums, size_t n, uint64_t *least)
{
    if (n > 0) {
        TRY(MPI_Allreduce(MPI_IN_PLACE, sums, (int)n, MPI_DOUBLE, MPI_SUM, MPI_COMM_WORLD));
    }
    if (least) {
        TRY(MPI_Allreduce(MPI_IN_PLACE, least, 1, MPI_UINT64_T, MPI_MIN, MPI_COMM_WORLD));
    }
    return VPSDE_OK;
}

/* With the lock: the failure of the first rank that has one, or the sums. */
static vpsde_status settle(vpsde_status status, bool failed, double *sums, size_t n,
                           uint64_t *least)
{
    int first = failed ? ranks.rank : INT_MAX;
    TRY(MPI_Allreduce(MPI_IN_PLACE, &first, 1, MPI_INT, MPI_MIN, MPI_COMM_WORLD));
    if (first < INT_MAX) {
        ranks.over = true;
        return tell(status, first);
    }
    VPSDE_TRY(add_up(sums, n, least));
    return status;
}

vpsde_status vpsde_ranks_agree(vpsde_status status, double *sums, size_t n, uint64_t *least)
{
    if (ranks.n == 1 || ranks.over) return status;
    if (ranks.status != VPSDE_OK) {
        status = vpsde_fail(ranks.status, "MPI could not tell the next block");
    }
    const bool failed = status != VPSDE_OK && status != VPSDE_EPARTIAL;
    uint64_t old;
    if (failed) (void)change(&old, ranks.turn, MPI_REPLACE, past_all);
    VPSDE_TRY(wait_for_all());
    pthread_mutex_lock(&ranks.lock);
    status = settle(status, failed, sums, n, least);
    pthread_mutex_unlock(&ranks.lock);
    if (ranks.over) return status;
    ranks.turn = 1 - ranks.turn;
    if (ranks.rank > 0) return status;
    /* every rank is past the other counter, and comes back to it after the next agree */
    const vpsde_status back = change(&old, 1 - ranks.turn, MPI_REPLACE, 0);
    return back == VPSDE_OK ? status : back;
}

static vpsde_status broadcast(void *bytes, size_t n)
{
    for (size_t at = 0; at < n; at += INT_MAX) {
        const size_t piece = n - at < INT_MAX ? n - at : INT_MAX;
        pthread_mutex_lock(&ranks.lock);
        const int code = MPI_Bcast((char *)bytes + at, (int)piece, MPI_BYTE, 0, MPI_COMM_WORLD);
        pthread_mutex_unlock(&ranks.lock);
        VPSDE_TRY(check(code, "MPI_Bcast"));
    }
    return VPSDE_OK;
}

vpsde_status vpsde_ranks_broadcast(void **bytes, size_t *n)
{
    if (ranks.n == 1 || ranks.over) return VPSDE_OK;
    vpsde_status status = broadcast(n, sizeof(*n));
    if (status == VPSDE_OK && ranks.rank > 0) status = vpsde_alloc(bytes, *n, 1);
    /* one without memory must not leave the others waiting in a broadcast */
    status = vpsde_ranks_agree(status, NULL, 0, NULL);
    if (status == VPSDE_OK) status = broadcast(*bytes, *n);
    if (status != VPSDE_OK && ranks.rank > 0) {
        free(*bytes);
        *bytes = NULL;
    }
    return status;
}
