/* A run file as one self-contained page.
 *
 * A section is one file report_NAME.c with one const table and one line in report.def; it writes
 * what its part of the page shows as JSON, and analysis/report/NAME.js draws it. Numbers that are
 * read are printed here, with the digits of analysis/digits.h; pictures get bounded float32 copies. */
#ifndef VPSDE_ANALYSIS_REPORT_H
#define VPSDE_ANALYSIS_REPORT_H

#include <stdbool.h>
#include <stddef.h>

#include <vpsde/status.h>

#include "analysis/report_json.h"
#include "core/h5_tree.h"

struct vpsde_config;

typedef struct vpsde_page {
    const char *path, *name; /* the run file; its name without folders */
    vpsde_h5_tree tree;
    struct vpsde_config *config; /* the embedded configuration, or NULL where it is none */
    const char *const *repeat;   /* commands that repeat the run, ended by NULL */
    vpsde_json *json;            /* while sections are written */
} vpsde_page;

typedef struct vpsde_page_section {
    const char *name;  /* of the section, and of what draws it */
    const char *group; /* shown where the file has this group */
    /* Writes the members of the section's object. */
    vpsde_status (*write)(const vpsde_page *r);
} vpsde_page_section;

/* EDATA: no run file, a schema that is not ours, damaged. */
vpsde_status vpsde_page_open(vpsde_page *r, const char *path);
void vpsde_page_close(vpsde_page *r);

/* The sections that the file has something for, as one JSON object. */
vpsde_status vpsde_page_data(vpsde_json *out, const vpsde_page *r);

/* May a file be made of this name? EEXIST when there is one and !force, when it is the run file itself by
 * whatever name, or no regular file. */
vpsde_status vpsde_page_may_replace(const vpsde_page *r, const char *path, bool force);

/* The page, durably. EEXIST as above; EIO; an older file stays until the new one is complete. */
vpsde_status vpsde_page_write(const vpsde_page *r, const char *path, bool force);

/* ---- for sections ---------------------------------------------------------------------------- */

/* GROUP/NAME as doubles into fresh memory; *values = NULL and *n = 0 where the file has none.
 * _matrix: rank 2, (rows, columns). */
vpsde_status vpsde_page_column(double **values, size_t *n, const vpsde_page *r, const char *group,
                               const char *name);
/* `count` columns at once: values and n (count). What was read before a failure is the caller's to free
 * too. */
vpsde_status vpsde_page_columns(double **values, size_t *n, const vpsde_page *r, const char *group,
                                const char *const *names, size_t count);
vpsde_status vpsde_page_matrix(double **values, size_t *rows, size_t *columns, const vpsde_page *r,
                               const char *group, const char *name);
/* The first n entries along the first axis, all of them as doubles: n times the other axes. */
vpsde_status vpsde_page_rows(double **values, const vpsde_page *r, const vpsde_h5_node *node,
                             size_t n);

/* Word `index` of a blank-separated list (flag_meanings), into fresh memory; "-" past the end. */
vpsde_status vpsde_page_word(char **word, const char *list, double index);

/* A cell of a table: the number and how it reads, by a printf format for a double; "-" for NaN. */
void vpsde_page_cell(vpsde_json *j, const char *format, double value);
void vpsde_page_cell_if(vpsde_json *j, bool known, const char *format, double value);

/* A table: the caller writes the rows, a list of cells each, between these two calls. */
typedef struct vpsde_page_head {
    const char *name, *unit, *help; /* unit, help: or NULL */
    bool text;
} vpsde_page_head;
void vpsde_page_begin_table(vpsde_json *j, const char *key, const char *caption,
                            const vpsde_page_head *heads, size_t n);
void vpsde_page_end_table(vpsde_json *j);

/* {"low", "high", "counts"} of the finite values: at most `bins` equal bins, whole ones for counts. */
void vpsde_page_histogram(vpsde_json *j, const char *key, const double *values, size_t n,
                          size_t bins, bool whole);

/* How many of n points go into one of a curve, where `curves` lists share a section's room. */
size_t vpsde_page_stride(size_t n, size_t curves);
/* Means of `stride` values each, the last of what is left; NaN where none is known. */
/* Means of a matrix over its rows; NaN are left out. */
vpsde_status vpsde_page_mean_row(double **mean, size_t *n, const vpsde_page *r, const char *group,
                                 const char *name);
void vpsde_page_means(vpsde_json *j, const char *key, const double *values, size_t n,
                      size_t stride);

/* Every stride-th value, and the last. */
void vpsde_page_picks(vpsde_json *j, const char *key, const double *values, size_t n,
                      size_t stride);

/* Mean and standard error over the finite values; n of them. */
typedef struct vpsde_page_mean {
    double mean, stderror, low, high;
    size_t n;
} vpsde_page_mean;
vpsde_page_mean vpsde_page_average(const double *values, size_t n);
double vpsde_page_nonzero(const double *values, size_t n); /* how many are not 0 */

/* The number GROUP has under /provenance ("/runs/ddim", "wall_seconds"), or NaN. */
double vpsde_page_timing(const vpsde_page *r, const vpsde_h5_node *group, const char *name);

#endif
