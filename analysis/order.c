#include "analysis/order.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"

enum { BITS = 11, BUCKETS = 1 << BITS, PASSES = 6 };

typedef struct item {
    uint64_t key;
    uint32_t row;
} item;

/* The bits of a double as an unsigned number of the same order. */
static uint64_t key_of(double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof(bits));
    return bits >> 63 ? ~bits : bits | UINT64_C(1) << 63;
}

static void radix_pass(item *to, const item *from, size_t n, unsigned shift)
{
    size_t place[BUCKETS + 1] = {0};
    for (size_t i = 0; i < n; i++) place[(from[i].key >> shift & (BUCKETS - 1)) + 1]++;
    for (size_t k = 1; k < BUCKETS; k++) place[k] += place[k - 1];
    for (size_t i = 0; i < n; i++) to[place[from[i].key >> shift & (BUCKETS - 1)]++] = from[i];
}

vpsde_status vpsde_order(uint32_t *order, const double *value, size_t n)
{
    item *items;
    VPSDE_TRY(vpsde_alloc(&items, 2 * n, sizeof(*items)));
    item *from = items, *to = items + n;
    for (size_t i = 0; i < n; i++) {
        from[i] = (item){.key = key_of(value[i]), .row = (uint32_t)i};
    }
    for (unsigned pass = 0; pass < PASSES; pass++) {
        radix_pass(to, from, n, pass * BITS);
        item *const swapped = from;
        from = to;
        to = swapped;
    }
    for (size_t i = 0; i < n; i++) order[i] = from[i].row;
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
