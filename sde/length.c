#include "sde/length.h"

#include <math.h>
#include <stdlib.h>

#include "core/mem.h"

static const double round_off = 1e-24; /* of a metric that is 0 */

vpsde_status vpsde_length_open(vpsde_shares *length, size_t n, const double *b,
                               const double *metric)
{
    double *speed;
    *length = (vpsde_shares){0};
    VPSDE_TRY(vpsde_alloc(&speed, n, sizeof(*speed)));
    for (size_t m = 0; m < n; m++) speed[m] = metric[m] <= round_off ? 0 : sqrt(metric[m]);
    const vpsde_status status = vpsde_shares_open(length, "of constant speed", n, b, speed);
    free(speed);
    return status;
}

/* Sums of the steps' lengths and of their squares, and how many they are. */
typedef struct sums {
    double n, length, square;
} sums;

static sums add_steps(const vpsde_shares *length, const vpsde_grid *grid)
{
    sums s = {0};
    double before = vpsde_shares_to(length, grid->node[0].lambda);
    for (size_t k = 1; k <= grid->n_steps && isfinite(grid->node[k].lambda); k++) {
        const double here = vpsde_shares_to(length, grid->node[k].lambda), step = here - before;
        s.n++;
        s.length += step;
        s.square += step * step;
        before = here;
    }
    return s;
}

double vpsde_length_path_kl(const vpsde_shares *length, const vpsde_grid *grid)
{
    return 0.5 * add_steps(length, grid).square;
}

double vpsde_length_efficiency(const vpsde_shares *length, const vpsde_grid *grid)
{
    const sums s = add_steps(length, grid);
    return s.length * s.length / (s.n * s.square);
}
