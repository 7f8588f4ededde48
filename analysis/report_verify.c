/* Measured orders, and the errors they were measured from. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "analysis/digits.h"
#include "analysis/report.h"

#define GROUP "/verify"

enum { SOLVER, FORM, KIND, DECLARED, CLAIMED, MEASURED, TOLERANCE, PASS, N_COLUMNS };
static const vpsde_page_head heads[N_COLUMNS] = {
    [SOLVER] = {.name = "solver", .text = true},
    [FORM] = {.name = "form", .help = "parameters that are not the defaults", .text = true},
    [KIND] = {.name = "kind", .help = "of order: of the ODE, strong, weak", .text = true},
    [DECLARED] = {.name = "declared"},
    [CLAIMED] = {.name = "claimed", .help = "by a paper or upstream code"},
    [MEASURED] = {.name = "measured"},
    [TOLERANCE] = {.name = "tolerance"},
    [PASS] = {.name = "pass", .text = true},
};

typedef struct columns {
    double *values[N_COLUMNS];
    const char *words[N_COLUMNS]; /* meanings, where it has some */
    size_t n;
} columns;

static vpsde_status put_word(const vpsde_page *r, const columns *c, size_t column, size_t i)
{
    char *word, text[256];
    size_t n = 0;
    VPSDE_TRY(vpsde_page_word(&word, c->words[column], c->values[column][i]));
    for (const char *w = word; *w && n + 2 < sizeof(text); w++) {
        text[n++] = *w;
        if (*w == ',') text[n++] = ' ';
    }
    text[n] = '\0';
    vpsde_json_text(r->json, NULL, strcmp(word, "defaults") == 0 ? "-" : text);
    free(word);
    return VPSDE_OK;
}

/* As verify_print.c shows it. */
static vpsde_status put_row(const vpsde_page *r, const columns *c, size_t i)
{
    vpsde_json *j = r->json;
    const double declared = c->values[DECLARED][i], claimed = c->values[CLAIMED][i];
    const bool ordered = c->values[KIND][i] != 0;
    vpsde_json_list(j, NULL);
    for (size_t column = SOLVER; column <= KIND; column++) VPSDE_TRY(put_word(r, c, column, i));
    vpsde_page_cell_if(j, declared > 0, "%" VPSDE_DIGITS_DECLARED, declared);
    vpsde_page_cell_if(j, claimed > 0, "%" VPSDE_DIGITS_DECLARED, claimed);
    vpsde_page_cell_if(j, ordered, "%" VPSDE_DIGITS_ORDER, c->values[MEASURED][i]);
    vpsde_page_cell_if(j, ordered, "%" VPSDE_DIGITS_ORDER, c->values[TOLERANCE][i]);
    vpsde_json_text(j, NULL, !ordered ? "-" : c->values[PASS][i] != 0 ? "pass" : "MISS");
    vpsde_json_end_list(j);
    return VPSDE_OK;
}

static vpsde_status put_curves(const vpsde_page *r)
{
    static const char *const keys[] = {"steps", "error"};
    for (size_t q = 0; q < 2; q++) {
        double *values;
        size_t rows, width;
        VPSDE_TRY(vpsde_page_matrix(&values, &rows, &width, r, GROUP, keys[q]));
        vpsde_json_list(r->json, keys[q]);
        for (size_t i = 0; i < rows; i++) {
            vpsde_json_numbers(r->json, NULL, values + i * width, width);
        }
        vpsde_json_end_list(r->json);
        free(values);
    }
    return VPSDE_OK;
}

static vpsde_status read_columns(columns *c, const vpsde_page *r)
{
    for (size_t i = 0; i < N_COLUMNS; i++) {
        size_t n;
        VPSDE_TRY(vpsde_page_column(&c->values[i], &n, r, GROUP, heads[i].name));
        c->words[i] =
            vpsde_h5_node_text(vpsde_h5_tree_find(&r->tree, GROUP, heads[i].name), "flag_meanings");
        if (i > 0 && n != c->n) {
            return vpsde_fail(VPSDE_EDATA, "%s:%s/%s: %zu rows, solver has %zu", r->path, GROUP,
                              heads[i].name, n, c->n);
        }
        c->n = n;
    }
    return VPSDE_OK;
}

static vpsde_status write(const vpsde_page *r)
{
    columns c = {.n = 0};
    vpsde_status status = read_columns(&c, r);
    vpsde_page_begin_table(r->json, "table", "Orders of convergence", heads, N_COLUMNS);
    for (size_t i = 0; i < c.n && status == VPSDE_OK; i++) status = put_row(r, &c, i);
    vpsde_page_end_table(r->json);
    if (status == VPSDE_OK) status = put_curves(r);
    for (size_t i = 0; i < N_COLUMNS; i++) free(c.values[i]);
    return status;
}

const vpsde_page_section vpsde_page_section_verify = {
    .name = "verify", .group = GROUP, .write = write};
