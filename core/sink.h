/* Sinks that need no file, and what every sink checks. */
#ifndef VPSDE_CORE_SINK_H
#define VPSDE_CORE_SINK_H

#include <stdbool.h>
#include <stddef.h>

#include <vpsde/sink.h>

/* EINVAL, naming the table, unless it can be stored: the path has one or two parts of [a-z0-9_-], names are [a-z0-9_] and differ, units and
 * descriptions are there, widths are the products of declared axes, count > 0. An axis named like
 * the row axis describes the rows and has `count` elements. */
vpsde_status vpsde_table_check(const vpsde_table *table);

/* Is it a name of [a-z0-9_], not empty? */
bool vpsde_name_ok(const char *name);

/* Bytes of one row of a column. */
size_t vpsde_column_bytes(const vpsde_column *column);

/* The axes a column names in `dims`, at most `max`. EINVAL for an unknown one. */
vpsde_status vpsde_column_axes(const vpsde_table *table, const vpsde_column *column,
                               const vpsde_axis **axes, size_t max, size_t *n);

/* A whole table in one go: its rows, unless they are there from before an interruption, and its end. */
vpsde_status vpsde_sink_store(vpsde_sink *sink, const vpsde_table *table, const void *const *data);

/* Keeps one column in the caller's memory and drops the others. */
typedef struct vpsde_array_sink {
    vpsde_sink sink; /* pass &array.sink; the struct must not move */
    const char *column;
    void *values; /* (count, width) in the column's own type */
    size_t bytes; /* of `values`: must be what the table announces */
    size_t index, first, count, row_bytes;
} vpsde_array_sink;

void vpsde_array_sink_init(vpsde_array_sink *array, const char *column, void *values, size_t bytes);

#endif
