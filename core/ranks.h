/* The processes that share a run: ranks 0 .. n - 1, started by mpirun or srun. The only MPI user
 * (ranks.c); a build without it has one rank (ranks_one.c), for which nothing here waits.
 *
 * Every rank makes the same calls of agree and broadcast in the same order. One that failed calls
 * agree wherever it stands; the others hear of it in their next agree, and no rank calls again:
 * from then on agree and broadcast return at once. */
#ifndef VPSDE_CORE_RANKS_H
#define VPSDE_CORE_RANKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <vpsde/status.h>

/* Joins the other ranks when a launcher started this process. EIO. */
vpsde_status vpsde_ranks_open(void);
/* Waits for the others. */
void vpsde_ranks_close(void);

size_t vpsde_rank(void);
size_t vpsde_n_ranks(void);

/* `status` when it is OK or EPARTIAL on every rank: then sums (n) are added up and *least (NULL:
 * none) is the least over the ranks. Otherwise the failure of the first rank that has one, with its
 * number in the message unless that is rank 0, which acts for all. */
vpsde_status vpsde_ranks_agree(vpsde_status status, double *sums, size_t n, uint64_t *least);

/* The n bytes of rank 0 into fresh memory on the others, whose *bytes is not looked at. */
vpsde_status vpsde_ranks_broadcast(void **bytes, size_t *n);

/* 0, 1, 2, ...: each number once over all ranks, until the next agree that all pass; SIZE_MAX once a
 * rank has failed. One thread of a rank at a time. */
size_t vpsde_ranks_take(void);

#endif
