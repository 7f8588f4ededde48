/* What the sections share. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "analysis/report.h"
#include "core/h5_read.h"
#include "core/mem.h"

static const vpsde_h5_node *numeric(const vpsde_page *r, const char *group, const char *name,
                                    size_t rank)
{
    const vpsde_h5_node *node = vpsde_h5_tree_find(&r->tree, group, name);
    return node && !node->is_group && node->kind && node->rank == rank ? node : NULL;
}

vpsde_status vpsde_page_rows(double **values, const vpsde_page *r, const vpsde_h5_node *node,
                             size_t n)
{
    vpsde_h5_input input;
    size_t count = n;
    *values = NULL;
    VPSDE_TRY(vpsde_h5_input_open(&input, r->path, node->path));
    vpsde_status status = VPSDE_OK;
    for (size_t i = 1; i < input.rank && status == VPSDE_OK; i++) {
        status = vpsde_size_mul(&count, count, input.dims[i], "rows of a dataset");
    }
    if (status == VPSDE_OK) status = vpsde_alloc(values, count, sizeof(**values));
    if (status == VPSDE_OK) status = vpsde_h5_input_read_rows(&input, 0, n, *values);
    vpsde_h5_input_close(&input);
    if (status != VPSDE_OK) {
        free(*values);
        *values = NULL;
    }
    return status;
}

vpsde_status vpsde_page_column(double **values, size_t *n, const vpsde_page *r, const char *group,
                               const char *name)
{
    const vpsde_h5_node *node = numeric(r, group, name, 1);
    *values = NULL;
    *n = 0;
    if (!node) return VPSDE_OK;
    VPSDE_TRY(vpsde_page_rows(values, r, node, node->dims[0]));
    *n = node->dims[0];
    return VPSDE_OK;
}

vpsde_status vpsde_page_columns(double **values, size_t *n, const vpsde_page *r, const char *group,
                                const char *const *names, size_t count)
{
    for (size_t c = 0; c < count; c++) {
        values[c] = NULL;
        n[c] = 0;
    }
    for (size_t c = 0; c < count; c++) {
        VPSDE_TRY(vpsde_page_column(&values[c], &n[c], r, group, names[c]));
    }
    return VPSDE_OK;
}

vpsde_status vpsde_page_matrix(double **values, size_t *rows, size_t *columns, const vpsde_page *r,
                               const char *group, const char *name)
{
    const vpsde_h5_node *node = numeric(r, group, name, 2);
    *values = NULL;
    *rows = *columns = 0;
    if (!node) return VPSDE_OK;
    VPSDE_TRY(vpsde_page_rows(values, r, node, node->dims[0]));
    *rows = node->dims[0];
    *columns = node->dims[1];
    return VPSDE_OK;
}

vpsde_status vpsde_page_word(char **word, const char *list, double index)
{
    const char *c = list + strspn(list, " ");
    for (size_t i = 0; (double)i < index && *c; i++) {
        c += strcspn(c, " ");
        c += strspn(c, " ");
    }
    if (!*c || !(index >= 0)) return vpsde_strdup(word, "-");
    return vpsde_format(word, "%.*s", (int)strcspn(c, " "), c);
}

void vpsde_page_cell(vpsde_json *j, const char *format, double value)
{
    vpsde_page_cell_if(j, !isnan(value), format, value);
}

void vpsde_page_cell_if(vpsde_json *j, bool known, const char *format, double value)
{
    char text[64] = "-";
    if (known) snprintf(text, sizeof(text), format, value);
    vpsde_json_object(j, NULL);
    vpsde_json_number(j, "v", known ? value : (double)NAN);
    vpsde_json_text(j, "t", text);
    vpsde_json_end_object(j);
}

void vpsde_page_begin_table(vpsde_json *j, const char *key, const char *caption,
                            const vpsde_page_head *heads, size_t n)
{
    vpsde_json_object(j, key);
    vpsde_json_text(j, "caption", caption);
    vpsde_json_list(j, "columns");
    for (size_t i = 0; i < n; i++) {
        vpsde_json_object(j, NULL);
        vpsde_json_text(j, "name", heads[i].name);
        if (heads[i].unit) vpsde_json_text(j, "unit", heads[i].unit);
        if (heads[i].help) vpsde_json_text(j, "help", heads[i].help);
        vpsde_json_bool(j, "text", heads[i].text);
        vpsde_json_end_object(j);
    }
    vpsde_json_end_list(j);
    vpsde_json_list(j, "rows");
}

void vpsde_page_end_table(vpsde_json *j)
{
    vpsde_json_end_list(j);
    vpsde_json_end_object(j);
}

vpsde_page_mean vpsde_page_average(const double *values, size_t n)
{
    vpsde_page_mean m = {.low = (double)INFINITY, .high = -(double)INFINITY};
    double sum = 0, sum_2 = 0;
    for (size_t i = 0; i < n; i++) {
        if (!isfinite(values[i])) continue;
        sum += values[i];
        sum_2 += values[i] * values[i];
        m.low = fmin(m.low, values[i]);
        m.high = fmax(m.high, values[i]);
        m.n++;
    }
    const double count = (double)m.n;
    m.mean = m.n ? sum / count : (double)NAN;
    m.stderror = m.n > 1 ? sqrt(fmax(0, sum_2 - count * m.mean * m.mean) / (count - 1) / count) : 0;
    return m;
}

size_t vpsde_page_stride(size_t n, size_t curves)
{
    enum { POINTS_EACH = 1500, POINTS = 60000 };
    const size_t share = curves > 0 ? POINTS / curves : POINTS;
    const size_t most = share < 2 ? 2 : share < POINTS_EACH ? share : POINTS_EACH;
    return n > most ? (n + most - 1) / most : 1;
}

vpsde_status vpsde_page_mean_row(double **mean, size_t *n, const vpsde_page *r, const char *group,
                                 const char *name)
{
    double *values, *column;
    size_t rows;
    *mean = NULL;
    VPSDE_TRY(vpsde_page_matrix(&values, &rows, n, r, group, name));
    vpsde_status status = vpsde_alloc(&column, rows, sizeof(*column));
    if (status == VPSDE_OK) status = vpsde_alloc(mean, *n, sizeof(**mean));
    for (size_t k = 0; k < *n && status == VPSDE_OK; k++) {
        for (size_t i = 0; i < rows; i++) column[i] = values[i * *n + k];
        (*mean)[k] = vpsde_page_average(column, rows).mean;
    }
    free(column);
    free(values);
    return status;
}

void vpsde_page_means(vpsde_json *j, const char *key, const double *values, size_t n, size_t stride)
{
    vpsde_json_list(j, key);
    for (size_t first = 0; first < n; first += stride) {
        const size_t length = n - first < stride ? n - first : stride;
        vpsde_json_number(j, NULL, vpsde_page_average(values + first, length).mean);
    }
    vpsde_json_end_list(j);
}

void vpsde_page_picks(vpsde_json *j, const char *key, const double *values, size_t n, size_t stride)
{
    vpsde_json_list(j, key);
    for (size_t k = 0; k < n; k += stride) vpsde_json_number(j, NULL, values[k]);
    if (n > 0 && (n - 1) % stride != 0) vpsde_json_number(j, NULL, values[n - 1]);
    vpsde_json_end_list(j);
}

double vpsde_page_nonzero(const double *values, size_t n)
{
    double count = 0;
    for (size_t i = 0; i < n; i++) count += values[i] != 0;
    return count;
}

void vpsde_page_histogram(vpsde_json *j, const char *key, const double *values, size_t n,
                          size_t bins, bool whole)
{
    enum { BINS_MAX = 128 };
    const vpsde_page_mean m = vpsde_page_average(values, n);
    double counts[BINS_MAX] = {0};
    double low = m.low, high = m.high, width;
    if (m.n == 0) return;
    if (bins > BINS_MAX) bins = BINS_MAX;
    if (whole) {
        width = fmax(1, ceil((high - low + 1) / (double)bins));
        low -= 0.5;
        bins = (size_t)fmin((double)bins, ceil((high + 0.5 - low) / width));
        high = low + width * (double)bins;
    } else if (!(high > low)) {
        const double half = fmax(0.5 * fabs(low), 0.5);
        low -= half;
        high += half;
    }
    for (size_t i = 0; i < n; i++) {
        if (!isfinite(values[i])) continue;
        const double place = (values[i] - low) / (high - low) * (double)bins;
        counts[(size_t)fmin(fmax(place, 0), (double)bins - 1)]++;
    }
    vpsde_json_object(j, key);
    vpsde_json_number(j, "low", low);
    vpsde_json_number(j, "high", high);
    vpsde_json_numbers(j, "counts", counts, bins);
    vpsde_json_end_object(j);
}

double vpsde_page_timing(const vpsde_page *r, const vpsde_h5_node *group, const char *name)
{
    char path[512] = "";
    snprintf(path, sizeof(path), "%s", group->path + 1);
    for (char *c = path; *c; c++) {
        if (*c == '/') *c = '_';
    }
    return vpsde_h5_node_number(vpsde_h5_tree_find(&r->tree, "/provenance", path), name);
}
