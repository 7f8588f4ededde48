/** Parameter tables: how solvers, schedules, grids, layers and models declare their numbers.
 *
 *  A table is a `const vpsde_param[]` ended by a row without a name. Values live in a plain
 *  `double[]` in the table's order, so that a step reads `s->param[ETA]`. The configuration, the
 *  help texts, the documentation and the run file are all made from these rows. */
#ifndef VPSDE_PARAM_H
#define VPSDE_PARAM_H

#include <stdbool.h>
#include <stddef.h>

#include <vpsde/status.h>

#ifdef __cplusplus
extern "C" {
#endif

#define VPSDE_PARAM_MAX 16

typedef enum vpsde_param_kind {
    VPSDE_PARAM_REAL,   /* any finite number within the bounds */
    VPSDE_PARAM_INT,    /* a whole number */
    VPSDE_PARAM_BOOL,   /* 0 or 1 */
    VPSDE_PARAM_CHOICE, /* index into `choices` */
} vpsde_param_kind;

typedef struct vpsde_param {
    const char *name;
    vpsde_param_kind kind;
    double value;        /* the default */
    double min, max;     /* inclusive unless open_min */
    bool open_min;       /* min itself is refused */
    const char *choices; /* "small|large" for VPSDE_PARAM_CHOICE */
    const char *unit;    /* "1" when absent */
    const char *doc;     /* one sentence */
} vpsde_param;

/** Number of rows; 0 for NULL. */
VPSDE_API size_t vpsde_param_count(const vpsde_param *table);

/** Fills values (count) with the defaults. */
VPSDE_API void vpsde_param_defaults(double *values, const vpsde_param *table);

/** Index of `name`, or -1. */
VPSDE_API int vpsde_param_find(const vpsde_param *table, const char *name);

/** Checks kind and bounds of a number and stores it. EINVAL with the bounds in the message. */
VPSDE_API vpsde_status vpsde_param_set(double *values, const vpsde_param *table, const char *name,
                                       double value);

/** The same from text: a number, true/false, or the word of a choice. */
VPSDE_API vpsde_status vpsde_param_set_text(double *values, const vpsde_param *table,
                                            const char *name, const char *text);

/** Several at once, "eta=1, start=upstream", over what values hold. EINVAL. */
VPSDE_API vpsde_status vpsde_param_parse(double *values, const vpsde_param *table,
                                         const char *text);

/** Writes value as text ("0.5", "true", "small") into out. */
VPSDE_API void vpsde_param_format(char *out, size_t size, const vpsde_param *param, double value);

#ifdef __cplusplus
}
#endif
#endif
