/* `vpsde verify`: what its verb prints and stores. */
#ifndef VPSDE_EXPERIMENTS_VERIFY_H
#define VPSDE_EXPERIMENTS_VERIFY_H

#include <vpsde/run.h>

#include "solvers/orders.h"

/* One line a case on stdout; with names at its head. */
void vpsde_verify_print(const vpsde_orders_case *cases, size_t n);

/* docs/solvers.md on stdout. */
void vpsde_verify_print_page(const vpsde_orders_case *cases, size_t n);

/* The group /verify of a run file: one row a case. */
vpsde_status vpsde_verify_store(const vpsde_orders_case *cases, size_t n, vpsde_run *run);

#endif
