/* A discrete chain beta_1 ... beta_N as a continuous clock: b(i/N) = -sum_{l <= i} log(1 - beta_l)
 * at the nodes, a monotone C1 cubic between them. Shared by the schedules that are tables; the
 * functions have the signatures of vpsde_schedule_type. */
#ifndef VPSDE_SDE_BETA_TABLE_H
#define VPSDE_SDE_BETA_TABLE_H

#include <stddef.h>

#include <vpsde/status.h>

/* EINVAL names the first beta that is not in (0, 1). Free with free(). */
vpsde_status vpsde_beta_table_create(void **out, const double *betas, size_t n);
/* b and beta at t in [0, 1]; NaN elsewhere, and for NaN. */
double vpsde_beta_table_b(const void *table, double t);
double vpsde_beta_table_beta(const void *table, double t);
double vpsde_beta_table_t_of_b(const void *table, double b);
size_t vpsde_beta_table_steps(const void *table);

#endif
