#include "solvers/delivery.h"

#include <math.h>

#include "core/clock.h"
#include "core/mem.h"
#include "core/ranks.h"
#include "core/sink.h"

const vpsde_column vpsde_class_column = {
    .name = "class",
    .units = "1",
    .description = "class that the model was asked for, -1: none",
    .type = VPSDE_I32,
    .dims = "",
    .width = 1,
};

vpsde_status vpsde_delivery_open(vpsde_delivery *delivery)
{
    delivery->started = vpsde_clock_s();
    delivery->first_bad = UINT64_MAX;
    return vpsde_lock_create(&delivery->lock);
}

void vpsde_delivery_close(vpsde_delivery *delivery) { vpsde_lock_destroy(delivery->lock); }

vpsde_status vpsde_table_path(char **out, const char *folder, const char *label)
{
    VPSDE_TRY(vpsde_format(out, "/%s/%s", folder, label));
    for (char *c = *out; *c; c++) *c = (char)(*c == '-' ? '_' : *c);
    return VPSDE_OK;
}

vpsde_status vpsde_delivery_begin(vpsde_delivery *delivery, vpsde_sink *sink,
                                  const vpsde_table *table)
{
    VPSDE_TRY(vpsde_table_check(table));
    delivery->sink = sink;
    return sink ? sink->begin(sink->self, table) : VPSDE_OK;
}

static void tally(vpsde_delivery *delivery, uint64_t first, size_t n, const vpsde_ledger *ledger)
{
    for (size_t i = 0; i < n; i++) {
        const uint8_t status = ledger->status[i];
        delivery->nfe += ledger->nfe[i];
        if (ledger->nfe_log) delivery->nfe += ledger->nfe_log[i];
        delivery->n_non_finite += status == VPSDE_ROW_NON_FINITE;
        delivery->n_failed += status == VPSDE_ROW_INTEGRATION_FAILED;
        if (status != VPSDE_ROW_OK && first + i < delivery->first_bad) {
            delivery->first_bad = first + i;
        }
    }
    delivery->done += n;
}

vpsde_status vpsde_delivery_write(vpsde_delivery *delivery, uint64_t first, size_t n,
                                  const void *const *data, const vpsde_ledger *ledger)
{
    const vpsde_control *control = delivery->control;
    const vpsde_sink *sink = delivery->sink;
    vpsde_lock_enter(delivery->lock);
    const vpsde_status status = sink ? sink->write(sink->self, (size_t)first, n, data) : VPSDE_OK;
    if (status == VPSDE_OK) {
        tally(delivery, first, n, ledger);
        if (control->progress) {
            const size_t through = delivery->done + delivery->skipped;
            control->progress(control->context,
                              through > delivery->given ? through : delivery->given,
                              delivery->total);
        }
    }
    vpsde_lock_leave(delivery->lock);
    return status;
}

bool vpsde_delivery_has(vpsde_delivery *delivery, uint64_t first, size_t n)
{
    const vpsde_sink *sink = delivery->sink;
    if (!sink || !sink->has) return false;
    vpsde_lock_enter(delivery->lock);
    const bool there = sink->has(sink->self, (size_t)first, n);
    if (there) delivery->skipped += n;
    vpsde_lock_leave(delivery->lock);
    return there;
}

/* The number of the next block: this process's, or where several share the table, theirs. */
static bool next_number(vpsde_delivery *delivery, vpsde_queue *queue, size_t *number)
{
    const vpsde_sink *sink = delivery->sink;
    if (!vpsde_queue_take(queue, number)) return false;
    if (!sink || !sink->take) return true;
    vpsde_lock_enter(delivery->lock);
    *number = sink->take(sink->self);
    vpsde_lock_leave(delivery->lock);
    return *number < queue->n_blocks;
}

bool vpsde_delivery_take(vpsde_delivery *delivery, vpsde_queue *queue, size_t run_first,
                         size_t run_count, size_t rows, uint64_t *first, size_t *n)
{
    const uint64_t last = (uint64_t)run_first + run_count;
    size_t number;
    while (next_number(delivery, queue, &number)) {
        const uint64_t begin = ((uint64_t)(run_first / rows) + number) * rows, end = begin + rows;
        *first = begin > run_first ? begin : run_first;
        *n = (size_t)((end < last ? end : last) - *first);
        if (delivery->sink && delivery->sink->take) {
            vpsde_lock_enter(delivery->lock);
            delivery->given = (size_t)(*first + *n - run_first);
            vpsde_lock_leave(delivery->lock);
        }
        if (!vpsde_delivery_has(delivery, *first, *n)) return true;
    }
    return false;
}

static vpsde_status partial(const vpsde_delivery *delivery)
{
    const char *what = delivery->what;
    const unsigned long long first = delivery->first_bad;
    const size_t bad = delivery->n_non_finite + delivery->n_failed;
    if (bad == 0) return VPSDE_OK;
    if (delivery->n_failed == 0) {
        return vpsde_fail(VPSDE_EPARTIAL, "%zu of %zu %ss became non-finite (first: %s %llu)", bad,
                          delivery->total, what, what, first);
    }
    return vpsde_fail(VPSDE_EPARTIAL,
                      "%zu of %zu %ss failed: %zu became non-finite, %zu integrations failed "
                      "(first: %s %llu)",
                      bad, delivery->total, what, delivery->n_non_finite, delivery->n_failed, what,
                      first);
}

/* What all processes that share the table have done becomes this one's. */
static vpsde_status meet(vpsde_delivery *delivery, vpsde_status status)
{
    const vpsde_sink *sink = delivery->sink;
    double sums[] = {(double)delivery->done, (double)delivery->n_non_finite,
                     (double)delivery->n_failed, delivery->nfe};
    if (!sink || !sink->meet) return status;
    VPSDE_TRY(
        sink->meet(sink->self, status, sums, sizeof(sums) / sizeof(sums[0]), &delivery->first_bad));
    delivery->done = (size_t)sums[0];
    delivery->n_non_finite = (size_t)sums[1];
    delivery->n_failed = (size_t)sums[2];
    delivery->nfe = sums[3];
    return VPSDE_OK;
}

vpsde_status vpsde_delivery_end(vpsde_delivery *delivery, vpsde_status status, size_t n_threads)
{
    vpsde_sink *sink = delivery->sink;
    status = meet(delivery, status);
    if (status != VPSDE_OK) return status;
    const double seconds = fmax(vpsde_clock_s() - delivery->started, 1e-9);
    const vpsde_fact rates[] = {
        {.name = "wall_seconds", .number = seconds},
        {.name = delivery->rate, .number = (double)delivery->done / seconds},
        {.name = "nfe_per_second", .number = delivery->nfe / seconds},
        {.name = "threads", .number = (double)n_threads, .whole = true},
        {.name = "ranks", .number = (double)vpsde_n_ranks(), .whole = true},
    };
    const size_t n_rates = sizeof(rates) / sizeof(rates[0]);
    if (sink && sink->end) {
        VPSDE_TRY(sink->end(sink->self, rates, sink->take ? n_rates : n_rates - 1));
    }
    return partial(delivery);
}
