#include "core/ranks.h"

vpsde_status vpsde_ranks_open(void) { return VPSDE_OK; }
void vpsde_ranks_close(void) {}

size_t vpsde_rank(void) { return 0; }
size_t vpsde_n_ranks(void) { return 1; }

vpsde_status vpsde_ranks_agree(vpsde_status status, double *sums, size_t n, uint64_t *least)
{
    (void)sums;
    (void)n;
    (void)least;
    return status;
}

vpsde_status vpsde_ranks_broadcast(void **bytes, size_t *n)
{
    (void)bytes;
    (void)n;
    return VPSDE_OK;
}

size_t vpsde_ranks_take(void) { return SIZE_MAX; }
