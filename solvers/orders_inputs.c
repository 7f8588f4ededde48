#include "solvers/orders_inputs.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"

/* Times closer than this share of their b are one time: the same place reached by two formulas. */
static const double same = 1e-11;

static vpsde_status reserve(void *array, size_t *capacity, size_t n, size_t size)
{
    void **old = array;
    void *larger;
    if (n < *capacity) return VPSDE_OK;
    const size_t wanted = 2 * n + 64;
    VPSDE_TRY(vpsde_alloc(&larger, wanted, size));
    if (*old) memcpy(larger, *old, n * size);
    free(*old);
    *old = larger;
    *capacity = wanted;
    return VPSDE_OK;
}

static void record_break(orders_inputs *in, double b)
{
    if (in->n_breaks > 0 && in->b[in->n_breaks - 1] == b) return;
    if (in->failed == VPSDE_OK) {
        in->failed = reserve(&in->b, &in->b_capacity, in->n_breaks, sizeof(*in->b));
    }
    if (in->failed == VPSDE_OK) in->b[in->n_breaks++] = b;
}

static void record_stretch(const vpsde_block *block, const vpsde_coef *from, const vpsde_coef *to,
                           size_t d, double *z, double *area)
{
    orders_inputs *in = block->noise->context;
    record_break(in, from->b);
    record_break(in, to->b);
    in->uses_area |= area != NULL;
    memset(z, 0, block->count * d * sizeof(*z));
    if (area) memset(area, 0, block->count * d * sizeof(*area));
}

static void record_draw(const vpsde_block *block, size_t k, unsigned draw, size_t d, double *z)
{
    orders_inputs *in = block->noise->context;
    const size_t code = k * VPSDE_DRAWS_PER_STEP + draw;
    memset(z, 0, block->count * d * sizeof(*z));
    for (size_t i = 0; i < in->n_draws; i++) {
        if (in->draw[i] == code) return;
    }
    if (in->failed == VPSDE_OK) {
        in->failed = reserve(&in->draw, &in->draw_capacity, in->n_draws, sizeof(*in->draw));
    }
    if (in->failed == VPSDE_OK) in->draw[in->n_draws++] = code;
}

vpsde_noise_source orders_recorder(orders_inputs *in)
{
    return (vpsde_noise_source){
        .purpose = VPSDE_NOISE_TEST, .stretch = record_stretch, .draw = record_draw, .context = in};
}

static int falling(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x < y) - (x > y);
}

vpsde_status orders_inputs_close(orders_inputs *in)
{
    size_t n = 0;
    VPSDE_TRY(in->failed);
    if (in->n_breaks > 0) qsort(in->b, in->n_breaks, sizeof(*in->b), falling);
    for (size_t i = 0; i < in->n_breaks; i++) {
        if (n == 0 || in->b[n - 1] - in->b[i] > same * fabs(in->b[n - 1])) in->b[n++] = in->b[i];
    }
    in->n_breaks = n;
    return VPSDE_OK;
}

void orders_inputs_free(orders_inputs *in)
{
    free(in->b);
    free(in->draw);
    *in = (orders_inputs){0};
}

static size_t stretches(const orders_inputs *in) { return in->n_breaks ? in->n_breaks - 1 : 0; }

size_t orders_inputs_count(const orders_inputs *in)
{
    return stretches(in) * (1 + (size_t)in->uses_area) + in->n_draws;
}

size_t orders_inputs_draw(const orders_inputs *in, size_t k, unsigned draw)
{
    size_t i = 0;
    while (i < in->n_draws && in->draw[i] != k * VPSDE_DRAWS_PER_STEP + draw) i++;
    return stretches(in) * (1 + (size_t)in->uses_area) + i;
}

/* The break nearest to b. */
static size_t break_at(const orders_inputs *in, double b)
{
    size_t low = 0, high = in->n_breaks - 1;
    while (high - low > 1) {
        const size_t middle = (low + high) / 2;
        if (in->b[middle] >= b)
            low = middle;
        else
            high = middle;
    }
    return in->b[low] - b <= b - in->b[high] ? low : high;
}

orders_span orders_inputs_span(const orders_inputs *in, double from, double to)
{
    const size_t per = 1 + (size_t)in->uses_area, i = break_at(in, from), j = break_at(in, to);
    return (orders_span){.first = per * i, .n = per * (j - i)};
}

/* With W = sum W_m and int_0^h (B(r) - B(0)) dr = h (H + W/2), the integral of a union is
 *     sum_m [ h_m (H_m + W_m/2) + W_m (length of what follows m) ]. */
void orders_inputs_share(const orders_inputs *in, double from, double to, size_t number, double *z,
                         double *area)
{
    const size_t per = 1 + (size_t)in->uses_area, m = number / per, end = break_at(in, to);
    const double h = in->b[break_at(in, from)] - in->b[end], h_m = in->b[m] - in->b[m + 1];
    const bool is_area = number % per == 1;
    const double W = is_area ? 0 : sqrt(h_m), H_m = is_area ? sqrt(h_m / 12) : 0;
    const double integral = h_m * (H_m + W / 2) + W * (in->b[m + 1] - in->b[end]);
    *z = W / sqrt(h);
    *area = (integral / h - W / 2) / sqrt(h / 12);
}
