/* Columns, axes and facts of a sampling run; private to the driver. */
#ifndef VPSDE_SOLVERS_DRIVER_TABLE_H
#define VPSDE_SOLVERS_DRIVER_TABLE_H

#include "solvers/driver.h"

enum { VPSDE_COLUMNS_FIXED = 6, VPSDE_COLUMNS_MAX = VPSDE_COLUMNS_FIXED + VPSDE_N_FIELDS + 1 };

struct vpsde_report_parts;

vpsde_status vpsde_table_create(struct vpsde_report_parts **out, const vpsde_report *report,
                                const vpsde_fact *extra, size_t n_extra);
void vpsde_table_destroy(struct vpsde_report_parts *parts); /* NULL is fine */
const vpsde_table *vpsde_table_of(const struct vpsde_report_parts *parts);

#endif
