/* What a chain asks of its noise, cut into elementary independent normals.
 *
 * A dry run records every stretch and draw. The end points of all stretches cut the b axis into
 * elementary stretches; on each the path has two standard normals (increment and area) and every
 * stretch that the solver asks for is a linear function of them. */
#ifndef VPSDE_SOLVERS_ORDERS_INPUTS_H
#define VPSDE_SOLVERS_ORDERS_INPUTS_H

#include "solvers/driver.h"

typedef struct orders_inputs {
    double *b; /* (n_breaks) falling */
    size_t n_breaks, b_capacity;
    bool uses_area;
    size_t *draw; /* (n_draws) k * VPSDE_DRAWS_PER_STEP + number, as they first came */
    size_t n_draws, draw_capacity;
    vpsde_status failed; /* of recording: a noise source cannot return it */
} orders_inputs;

void orders_inputs_free(orders_inputs *in);

/* Noise that is zero and recorded: context is the orders_inputs. */
vpsde_noise_source orders_recorder(orders_inputs *in);
/* Sorts what was recorded; the status of recording. */
vpsde_status orders_inputs_close(orders_inputs *in);

/* Number of elementary normals: stretch m has number per * m (increment) and, where areas are used,
 * per * m + 1, per = 1 + uses_area; draws follow. */
size_t orders_inputs_count(const orders_inputs *in);
size_t orders_inputs_draw(const orders_inputs *in, size_t k, unsigned draw); /* its number */

/* What the stretch from b `from` to `to` is made of: numbers first .. first + n - 1, and for each
 * the share of the stretch's z and area that its value 1 contributes. */
typedef struct orders_span {
    size_t first, n;
} orders_span;
orders_span orders_inputs_span(const orders_inputs *in, double from, double to);
void orders_inputs_share(const orders_inputs *in, double from, double to, size_t number, double *z,
                         double *area);

#endif
