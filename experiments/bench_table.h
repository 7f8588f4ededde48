/* Tables of `vpsde bench`: a name and numbers a row. What a column says of itself is all that the
 * terminal, the run file and JSON need. */
#ifndef VPSDE_EXPERIMENTS_BENCH_TABLE_H
#define VPSDE_EXPERIMENTS_BENCH_TABLE_H

#include <vpsde/run.h>

typedef struct vpsde_bench_column {
    const char *name, *units, *description; /* as stored */
    const char *heading;                    /* on the terminal, where a value is shown in `unit`s */
    double unit;
    int decimals;
} vpsde_bench_column;

typedef struct vpsde_bench_form {
    const char *name;        /* of the table: "solvers" */
    const char *row;         /* what a row is: "solver" */
    const char *description; /* of the row's name */
    const vpsde_bench_column *columns;
    size_t n_columns;
} vpsde_bench_form;

enum { VPSDE_BENCH_NAME = 128 };

typedef struct vpsde_bench_table {
    const vpsde_bench_form *form;
    size_t n, capacity;
    char (*names)[VPSDE_BENCH_NAME]; /* (capacity) without blanks */
    double *values;                  /* (capacity, n_columns), NaN: not measured */
} vpsde_bench_table;

/* *values (n_columns) is the new row's, all NaN; valid until the next one. ENOMEM. */
vpsde_status vpsde_bench_row(double **values, vpsde_bench_table *table, const char *name);
void vpsde_bench_table_clear(vpsde_bench_table *table);

/* Nothing for a table without rows, all of them. */
void vpsde_bench_print(const vpsde_bench_table *table);
/* The group /bench/NAME. */
vpsde_status vpsde_bench_store(const vpsde_bench_table *table, vpsde_run *run);
/* {"machine": {...}, "NAME": [{"ROW": "...", "COLUMN": 1.5, ...}, ...], ...} on stdout; null for NaN.
 * ENOMEM. */
vpsde_status vpsde_bench_json(const vpsde_bench_table *const *tables, size_t n_tables,
                              size_t threads);

#endif
