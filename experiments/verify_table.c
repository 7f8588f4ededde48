#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "experiments/verify.h"

/* Words of a category, each once: flag_meanings. A word has no blanks. */
typedef struct words {
    char *text; /* blank-separated */
    size_t n;
} words;

/* The number of `word` among them; it is added where it is new. */
static int32_t number_of(words *w, const char *word)
{
    int32_t i = 0;
    for (const char *at = w->text; *at; i++) {
        const size_t length = strcspn(at, " ");
        if (length == strlen(word) && strncmp(at, word, length) == 0) return i;
        at += length + (at[length] == ' ');
    }
    if (w->n > 0) strcat(w->text, " ");
    strcat(w->text, word);
    w->n++;
    return i;
}

static void without_blanks(char *out, size_t size, const char *text)
{
    size_t n = 0;
    for (; *text && n + 1 < size; text++) {
        if (*text != ' ') out[n++] = *text;
    }
    out[n] = '\0';
}

typedef struct columns {
    int32_t *solver, *form, *kind;
    uint8_t *pass;
    double *declared, *claimed, *measured, *tolerance;
    double *steps, *nfe, *error; /* (n, VPSDE_ORDERS_CURVE), NaN past the last point */
    words solvers, forms;
} columns;

static vpsde_status make(columns *t, const vpsde_orders_case *cases, size_t n)
{
    size_t length = 1;
    for (size_t i = 0; i < n; i++) length += strlen(cases[i].solver->name) + VPSDE_ORDERS_TEXT;
    VPSDE_TRY(vpsde_alloc(&t->solver, n, sizeof(*t->solver)));
    VPSDE_TRY(vpsde_alloc(&t->form, n, sizeof(*t->form)));
    VPSDE_TRY(vpsde_alloc(&t->kind, n, sizeof(*t->kind)));
    VPSDE_TRY(vpsde_alloc(&t->pass, n, sizeof(*t->pass)));
    VPSDE_TRY(vpsde_alloc(&t->declared, n, sizeof(double)));
    VPSDE_TRY(vpsde_alloc(&t->claimed, n, sizeof(double)));
    VPSDE_TRY(vpsde_alloc(&t->measured, n, sizeof(double)));
    VPSDE_TRY(vpsde_alloc(&t->tolerance, n, sizeof(double)));
    VPSDE_TRY(vpsde_alloc(&t->steps, n * VPSDE_ORDERS_CURVE, sizeof(double)));
    VPSDE_TRY(vpsde_alloc(&t->nfe, n * VPSDE_ORDERS_CURVE, sizeof(double)));
    VPSDE_TRY(vpsde_alloc(&t->error, n * VPSDE_ORDERS_CURVE, sizeof(double)));
    VPSDE_TRY(vpsde_alloc(&t->solvers.text, length, 1));
    return vpsde_alloc(&t->forms.text, length, 1);
}

static void fill_curve(columns *t, const vpsde_orders_case *c, size_t i)
{
    const vpsde_orders_curve *curve = &c->curve[c->worst];
    for (size_t r = 0; r < VPSDE_ORDERS_CURVE; r++) {
        const size_t e = i * VPSDE_ORDERS_CURVE + r;
        const bool there = c->n_curves > 0 && r < curve->n;
        t->steps[e] = there ? curve->steps[r] : (double)NAN;
        t->nfe[e] = there ? curve->nfe[r] : (double)NAN;
        t->error[e] = there ? curve->error[r] : (double)NAN;
    }
}

static double known(double order) { return order > 0 ? order : (double)NAN; }

static void fill(columns *t, const vpsde_orders_case *cases, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const vpsde_orders_case *c = &cases[i];
        char form[VPSDE_ORDERS_TEXT];
        without_blanks(form, sizeof(form), *c->form ? c->form : "defaults");
        t->solver[i] = number_of(&t->solvers, c->solver->name);
        t->form[i] = number_of(&t->forms, form);
        t->kind[i] = (int32_t)c->kind;
        t->pass[i] = c->pass;
        t->declared[i] = known(c->declared);
        t->claimed[i] = known(c->claimed);
        t->measured[i] = c->measured;
        t->tolerance[i] = c->kind == VPSDE_ORDER_NONE ? (double)NAN : c->tolerance;
        fill_curve(t, c, i);
    }
}

static vpsde_status store(const columns *t, size_t n, vpsde_sink *sink)
{
    const vpsde_axis point = {.name = "point",
                              .length = VPSDE_ORDERS_CURVE,
                              .description = "points of a convergence curve, budgets rising"};
    const vpsde_column column[] = {
        {"solver", "1", "solver", VPSDE_I32, "", 1, t->solvers.text},
        {"form", "1", "its parameters, where they are not the defaults", VPSDE_I32, "", 1,
         t->forms.text},
        {"kind", "1", "kind of order", VPSDE_I32, "", 1, "none ode strong weak"},
        {"declared", "1", "order that the formula is declared to have", VPSDE_F64, "", 1, NULL},
        {"claimed", "1", "order that its source claims, where that differs", VPSDE_F64, "", 1,
         NULL},
        {"measured", "1", "slope of log error against log steps, least favourable problem",
         VPSDE_F64, "", 1, NULL},
        {"tolerance", "1", "largest distance of measured from declared", VPSDE_F64, "", 1, NULL},
        {"pass", "1", "is it within the tolerance?", VPSDE_U8, "", 1, "no yes"},
        {"steps", "1", "steps of that problem's runs", VPSDE_F64, "point", VPSDE_ORDERS_CURVE,
         NULL},
        {"nfe", "1", "network calls of those runs", VPSDE_F64, "point", VPSDE_ORDERS_CURVE, NULL},
        {"error", "1", "their errors", VPSDE_F64, "point", VPSDE_ORDERS_CURVE, NULL},
    };
    const vpsde_table table = {.path = "/verify",
                               .row_axis = "case",
                               .count = n,
                               .axes = &point,
                               .n_axes = 1,
                               .columns = column,
                               .n_columns = sizeof(column) / sizeof(column[0])};
    const void *const data[] = {t->solver,  t->form,     t->kind,      t->declared,
                                t->claimed, t->measured, t->tolerance, t->pass,
                                t->steps,   t->nfe,      t->error};
    VPSDE_TRY(sink->begin(sink->self, &table));
    VPSDE_TRY(sink->write(sink->self, 0, n, data));
    return sink->end(sink->self, NULL, 0);
}

static void unmake(columns *t)
{
    free(t->solver);
    free(t->form);
    free(t->kind);
    free(t->pass);
    free(t->declared);
    free(t->claimed);
    free(t->measured);
    free(t->tolerance);
    free(t->steps);
    free(t->nfe);
    free(t->error);
    free(t->solvers.text);
    free(t->forms.text);
}

vpsde_status vpsde_verify_store(const vpsde_orders_case *cases, size_t n, vpsde_run *run)
{
    columns t = {0};
    vpsde_status status = make(&t, cases, n);
    if (status == VPSDE_OK) {
        fill(&t, cases, n);
        status = store(&t, n, vpsde_run_sink(run));
    }
    unmake(&t);
    return status;
}
