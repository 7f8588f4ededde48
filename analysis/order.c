#include "analysis/order.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"

enum {
    BITS = 11,
    BUCKETS = 1 << BITS,
    PASSES = 3, /* through one half of a key */
    FEW = 64    /* rows for which the buckets do not pay */
};

/* Half a key, and whose it is: sorting moves 8 bytes a row. */
typedef struct item {
    uint32_t half, row;
} item;

/* The bits of a double as an unsigned number of the same order. */
static uint64_t key_of(double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof(bits));
    return bits >> 63 ? ~bits : bits | UINT64_C(1) << 63;
}

static size_t digit(item of, unsigned pass) { return of.half >> pass * BITS & (BUCKETS - 1); }

static void radix_pass(item *to, const item *from, size_t n, size_t place[BUCKETS], unsigned pass)
{
    size_t before = 0;
    for (size_t k = 0; k < BUCKETS; k++) {
        const size_t count = place[k];
        place[k] = before;
        before += count;
    }
    for (size_t i = 0; i < n; i++) to[place[digit(from[i], pass)]++] = from[i];
}

static void insertion_sort(item *items, size_t n)
{
    for (size_t i = 1; i < n; i++) {
        const item moved = items[i];
        size_t k = i;
        for (; k > 0 && items[k - 1].half > moved.half; k--) items[k] = items[k - 1];
        items[k] = moved;
    }
}

/* By ascending half; equal ones as they come. */
static void sort_halves(item *items, item *room, size_t n)
{
    if (n <= FEW) {
        insertion_sort(items, n);
        return;
    }
    size_t place[PASSES][BUCKETS] = {{0}};
    for (size_t i = 0; i < n; i++) {
        for (unsigned pass = 0; pass < PASSES; pass++) place[pass][digit(items[i], pass)]++;
    }
    radix_pass(room, items, n, place[0], 0);
    radix_pass(items, room, n, place[1], 1);
    radix_pass(room, items, n, place[2], 2);
    memcpy(items, room, n * sizeof(*items));
}

/* Rows whose keys have the same upper half, by the lower one. */
static void sort_run(item *items, item *room, const double *value, size_t n)
{
    for (size_t i = 0; i < n; i++) items[i].half = (uint32_t)key_of(value[items[i].row]);
    sort_halves(items, room, n);
}

/* The upper halves set nearly all rows of a continuous law apart: 20 bits of mantissa. */
vpsde_status vpsde_order(uint32_t *order, const double *value, size_t n)
{
    item *items;
    VPSDE_TRY(vpsde_alloc(&items, 2 * n, sizeof(*items)));
    item *const room = items + n;
    for (size_t i = 0; i < n; i++) {
        items[i] = (item){.half = (uint32_t)(key_of(value[i]) >> 32), .row = (uint32_t)i};
    }
    sort_halves(items, room, n);
    for (size_t begin = 0, end; begin < n; begin = end) {
        for (end = begin + 1; end < n && items[end].half == items[begin].half;) end++;
        if (end - begin > 1) sort_run(items + begin, room + begin, value, end - begin);
    }
    for (size_t i = 0; i < n; i++) order[i] = items[i].row;
    free(items);
    return VPSDE_OK;
}

static double cost(double x, double y, int power)
{
    const double difference = fabs(x - y);
    return power == 1 ? difference : difference * difference;
}

vpsde_status vpsde_transport(double *term, const double *x, const double *y, size_t n, int power,
                             double scale)
{
    uint32_t *of_x;
    VPSDE_TRY(vpsde_alloc(&of_x, 2 * n, sizeof(*of_x)));
    uint32_t *of_y = of_x + n;
    vpsde_status status = vpsde_order(of_x, x, n);
    if (status == VPSDE_OK) status = vpsde_order(of_y, y, n);
    double u = 0, a = 0, b = 0;
    for (size_t i = 0; status == VPSDE_OK && i < n; i++) {
        const double x_i = x[of_x[i]], y_i = y[of_y[i]];
        if (i > 0) {
            u += 0.5 * (cost(x_i, b, power) - cost(a, b, power) + cost(x_i, y_i, power) -
                        cost(a, y_i, power));
        }
        term[of_x[i]] += scale * u;
        term[of_y[i]] += scale * (cost(x_i, y_i, power) - u);
        a = x_i;
        b = y_i;
    }
    free(of_x);
    return status;
}
