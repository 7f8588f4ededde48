#include "solvers/delivery.h"

#include <math.h>

#include "core/clock.h"
#include "core/mem.h"
#include "core/sink.h"

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
            control->progress(control->context, delivery->done + delivery->skipped,
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

bool vpsde_delivery_take(vpsde_delivery *delivery, vpsde_queue *queue, size_t run_first,
                         size_t run_count, size_t rows, uint64_t *first, size_t *n)
{
    const uint64_t last = (uint64_t)run_first + run_count;
    size_t number;
    while (vpsde_queue_take(queue, &number)) {
        const uint64_t begin = ((uint64_t)(run_first / rows) + number) * rows, end = begin + rows;
        *first = begin > run_first ? begin : run_first;
        *n = (size_t)((end < last ? end : last) - *first);
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

vpsde_status vpsde_delivery_end(vpsde_delivery *delivery, vpsde_status status, size_t n_threads)
{
    vpsde_sink *sink = delivery->sink;
    if (status != VPSDE_OK) return status;
    const double seconds = fmax(vpsde_clock_s() - delivery->started, 1e-9);
    const vpsde_fact rates[] = {
        {.name = "wall_seconds", .number = seconds},
        {.name = delivery->rate, .number = (double)delivery->done / seconds},
        {.name = "nfe_per_second", .number = delivery->nfe / seconds},
        {.name = "threads", .number = (double)n_threads, .whole = true},
    };
    if (sink && sink->end) {
        VPSDE_TRY(sink->end(sink->self, rates, sizeof(rates) / sizeof(rates[0])));
    }
    return partial(delivery);
}
