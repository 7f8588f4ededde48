/** Where results go: columns of per-sample values, delivered in blocks of consecutive samples.
 *
 *  A computation declares its columns once, then writes blocks in any order, each sample exactly
 *  once. A sink may be a run file, an array, or nothing: the numbers do not depend on it. */
#ifndef VPSDE_SINK_H
#define VPSDE_SINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <vpsde/status.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef enum vpsde_dtype { VPSDE_F64, VPSDE_F32, VPSDE_I64, VPSDE_I32, VPSDE_U8 } vpsde_dtype;

/** Bytes of one element. */
VPSDE_API size_t vpsde_dtype_size(vpsde_dtype type);

/** One per-sample quantity: shape (sample, dims...). */
typedef struct vpsde_column {
    const char *name;        /* [a-z0-9_] */
    const char *units;       /* "1" or "nat" */
    const char *description; /* one sentence */
    vpsde_dtype type;
    const char *dims; /* names of the axes after `sample`, blank-separated: "", "time dim", ... */
    size_t width;     /* elements a sample: the product of those axes */
    const char *flag_meanings; /* "ok non_finite ...": integer categories 0, 1, ...; or NULL */
} vpsde_column;

/** A named axis with its coordinate values, e.g. time with t, alpha, sigma, lambda. */
typedef struct vpsde_axis {
    const char *name; /* "time" */
    size_t length;
    const char *description;
    size_t n_coordinates; /* further 1-D coordinates along it */
    const struct vpsde_coordinate {
        const char *name, *units, *description;
        const double *values; /* (length) */
    } * coordinates;
} vpsde_axis;

/** Name and text or number of one fact about a run: becomes an attribute. */
typedef struct vpsde_fact {
    const char *name;
    const char *text; /* NULL: `number` counts */
    double number;
    bool whole; /* a count: stored as int64; any other number as float64 */
} vpsde_fact;

/** Where rows come from: x (n, d) <- rows first .. first + n - 1. Called from several threads at once,
 *  also on small stacks: large scratch belongs on the heap. */
typedef struct vpsde_row_source {
    vpsde_status (*read)(const void *context, size_t first, size_t n, double *x);
    const void *context;
} vpsde_row_source;

/** What a computation tells its sink before the first block. All borrowed for the call. */
typedef struct vpsde_table {
    const char *path;     /* group in a run file: "/runs/ddim", "/likelihood/gsl_rk8pd" */
    const char *row_axis; /* name of the leading axis; NULL: "sample" */
    size_t first, count;  /* rows: global index of the first, how many */
    const vpsde_axis *axes;
    size_t n_axes;
    const vpsde_column *columns;
    size_t n_columns;
    const vpsde_fact *facts;
    size_t n_facts;
} vpsde_table;

/** Receives results. Calls are serialised by the caller. */
typedef struct vpsde_sink {
    void *self;
    /** Announces the table. */
    vpsde_status (*begin)(void *self, const vpsde_table *table);
    /** data[c] = n * columns[c].width elements for samples first .. first + n - 1. */
    vpsde_status (*write)(void *self, size_t first, size_t n, const void *const *data);
    /** Numbers known at the end that belong to provenance (rates, block fill): never results. */
    vpsde_status (*end)(void *self, const vpsde_fact *provenance, size_t n_facts);
    /** Are all rows first .. first + n - 1 there already, from before an interruption? They need
     *  not be computed. NULL: never. */
    bool (*has)(void *self, size_t first, size_t n);
    /** Where several processes fill one table: the number of the block that this one shall compute
     *  next, each given out once; past the last when none is left. NULL: it computes all of them. */
    size_t (*take)(void *self);
    /** With take, when this process computes no more: makes its rows durable and waits for the others.
     *  `status` when all went well: sums (n) are added up then, *least (may be NULL) is the least. A
     *  failure of one becomes everybody's. */
    vpsde_status (*meet)(void *self, vpsde_status status, double *sums, size_t n, uint64_t *least);
} vpsde_sink;

/** How long work reports and stops; zero-initialised means neither. */
typedef struct vpsde_control {
    void *context;
    /** done of total samples; called now and then by one thread at a time. */
    void (*progress)(void *context, size_t done, size_t total);
    /** Non-zero asks to stop: the call returns ESTOPPED soon, without the blocks under way. */
    const volatile int *stop;
} vpsde_control;

#ifdef __cplusplus
}
#endif
#endif
