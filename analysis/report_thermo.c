/* Heat, work and entropy: what the verb prints, the course in time of both kinds of paths, and how
 * path quantities are distributed. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "analysis/digits.h"
#include "analysis/report.h"
#include "analysis/thermo.h"

#define GROUP "/thermo"

static const vpsde_page_head heads[] = {
    {.name = "quantity", .text = true},
    {.name = "value"},
    {.name = "± s.e.", .help = "standard error over the paths"},
    {.name = "unit", .text = true},
    {.name = "theory", .help = "of an exact score and small steps", .text = true},
};

static double error_of(const vpsde_h5_node *group, const char *name)
{
    char error[64];
    snprintf(error, sizeof(error), "%s_stderr", name);
    return vpsde_h5_node_number(group, error);
}

static void put_table(const vpsde_page *r, const vpsde_h5_node *group)
{
    vpsde_json *j = r->json;
    vpsde_page_begin_table(j, "table", "Heat, work and entropy", heads,
                           sizeof(heads) / sizeof(heads[0]));
    for (const vpsde_quantity *q = vpsde_thermo_quantities; q->name; q++) {
        const double value = vpsde_h5_node_number(group, q->name);
        if (isnan(value)) continue;
        const bool heavy = q->tail && vpsde_h5_node_number(group, q->tail) < vpsde_tail_too_heavy;
        vpsde_json_list(j, NULL);
        vpsde_json_text(j, NULL, q->label);
        vpsde_page_cell(j, "%" VPSDE_DIGITS_NATS, value);
        vpsde_page_cell(j, "%" VPSDE_DIGITS_STDERR, error_of(group, q->name));
        vpsde_json_text(j, NULL, q->unit);
        vpsde_json_format(j, NULL, "%s%s", q->theory, heavy ? vpsde_tail_warning : "");
        vpsde_json_end_list(j);
    }
    vpsde_page_end_table(j);
}

/* What captions quote. */
static void put_facts(const vpsde_page *r, const vpsde_h5_node *group)
{
    static const char *const names[] = {"work", "delta_f", "eta_gen", "path_kl", "crooks_slope"};
    vpsde_json_object(r->json, "facts");
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        const double value = vpsde_h5_node_number(group, names[i]);
        const double error = error_of(group, names[i]);
        if (isnan(value) || isnan(error)) continue;
        vpsde_json_format(r->json, names[i],
                          "%" VPSDE_DIGITS_RATE " ± "
                          "%" VPSDE_DIGITS_STDERR,
                          value, error);
    }
    vpsde_json_end_object(r->json);
}

/* ---- in time --------------------------------------------------------------------------------- */

static const char *const axes[] = {"t", "b", "sigma", "lambda"};
static const char *const curves[] = {"energy",
                                     "entropy",
                                     "free_energy",
                                     "free_energy_integral",
                                     "heat",
                                     "work",
                                     "entropy_production_rate",
                                     "heat_rate",
                                     "work_rate",
                                     "t_conf"};
enum {
    N_AXES = sizeof(axes) / sizeof(axes[0]),
    N_CURVES = sizeof(curves) / sizeof(curves[0]),
    CURVES = 240 /* 250 points each */
};

static vpsde_status put_curve(const vpsde_page *r, const char *group, const char *name)
{
    double *values;
    size_t n;
    VPSDE_TRY(vpsde_page_column(&values, &n, r, group, name));
    vpsde_page_picks(r->json, name, values, n, vpsde_page_stride(n, CURVES));
    free(values);
    return VPSDE_OK;
}

static vpsde_status put_course(const vpsde_page *r, const char *group, const char *name)
{
    char error[64];
    if (!vpsde_h5_tree_find(&r->tree, group, "b")) return VPSDE_OK;
    vpsde_json_object(r->json, NULL);
    vpsde_json_text(r->json, "name", name);
    for (size_t i = 0; i < N_AXES; i++) VPSDE_TRY(put_curve(r, group, axes[i]));
    for (size_t i = 0; i < N_CURVES; i++) {
        snprintf(error, sizeof(error), "%s_stderr", curves[i]);
        VPSDE_TRY(put_curve(r, group, curves[i]));
        VPSDE_TRY(put_curve(r, group, error));
    }
    vpsde_json_end_object(r->json);
    return VPSDE_OK;
}

/* ---- over the paths -------------------------------------------------------------------------- */

typedef struct counted {
    double low, high, n, outside, below;
} counted;

/* Paths of one kind in bins that both kinds share; those beyond are counted apart. */
static void put_counts(vpsde_json *j, const char *name, const double *values, size_t n, counted *in)
{
    enum { BINS = 40 };
    double counts[BINS] = {0};
    for (size_t i = 0; i < n; i++) {
        if (!isfinite(values[i])) continue;
        const double place = (values[i] - in->low) / (in->high - in->low) * BINS;
        in->n++;
        in->below += values[i] < 0;
        if (place >= 0 && place <= BINS)
            counts[(size_t)fmin(place, BINS - 1)]++;
        else
            in->outside++;
    }
    vpsde_json_object(j, NULL);
    vpsde_json_text(j, "name", name);
    vpsde_json_number(j, "low", in->low);
    vpsde_json_number(j, "high", in->high);
    vpsde_json_number(j, "count", in->n);
    vpsde_json_number(j, "outside", in->outside);
    vpsde_json_number(j, "below", in->below);
    vpsde_json_numbers(j, "counts", counts, BINS);
    vpsde_json_end_object(j);
}

/* Bins reach four standard deviations to each side of either mean, and no further than the values: a
 * few paths of a heavy tail would else leave the rest in one bin. */
static vpsde_status put_distribution(const vpsde_page *r, const char *name)
{
    static const char *const kinds[] = {"forward", "reverse"};
    double *values[2] = {NULL};
    size_t n[2] = {0};
    counted in = {.low = (double)INFINITY, .high = -(double)INFINITY};
    vpsde_status status = VPSDE_OK;
    for (size_t k = 0; k < 2 && status == VPSDE_OK; k++) {
        char group[32];
        snprintf(group, sizeof(group), GROUP "/%s", kinds[k]);
        status = vpsde_page_column(&values[k], &n[k], r, group, name);
        const vpsde_page_mean m = vpsde_page_average(values[k], status == VPSDE_OK ? n[k] : 0);
        const double reach = 4 * m.stderror * sqrt((double)m.n);
        if (m.n > 1) in.low = fmin(in.low, fmax(m.low, m.mean - reach));
        if (m.n > 1) in.high = fmax(in.high, fmin(m.high, m.mean + reach));
    }
    vpsde_json_list(r->json, name);
    for (size_t k = 0; k < 2 && status == VPSDE_OK && in.high > in.low; k++) {
        counted own = in;
        put_counts(r->json, kinds[k], values[k], n[k], &own);
    }
    vpsde_json_end_list(r->json);
    for (size_t k = 0; k < 2; k++) free(values[k]);
    return status;
}

static vpsde_status write(const vpsde_page *r)
{
    const vpsde_h5_node *group = vpsde_h5_tree_find(&r->tree, GROUP, NULL);
    put_table(r, group);
    put_facts(r, group);
    vpsde_json_list(r->json, "courses");
    VPSDE_TRY(put_course(r, GROUP, "reverse"));
    VPSDE_TRY(put_course(r, GROUP "/relaxation", "forward"));
    vpsde_json_end_list(r->json);
    VPSDE_TRY(put_distribution(r, "log_ratio"));
    VPSDE_TRY(put_distribution(r, "entropy_production"));
    return VPSDE_OK;
}

const vpsde_page_section vpsde_page_section_thermo = {
    .name = "thermo", .group = GROUP, .write = write};
