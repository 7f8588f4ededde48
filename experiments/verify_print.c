#include <math.h>
#include <stdio.h>

#include "analysis/digits.h"
#include "experiments/verify.h"

static const char *verdict(const vpsde_orders_case *c)
{
    if (c->kind == VPSDE_ORDER_NONE) return "-";
    return c->pass ? "pass" : "MISS";
}

/* A measured order or its tolerance, or a dash. */
static const char *cell(char out[32], bool known, double value)
{
    snprintf(out, 32, known ? "%" VPSDE_DIGITS_ORDER : "-", value);
    return out;
}

static const char *order(char out[32], double value)
{
    snprintf(out, 32, value > 0 ? "%" VPSDE_DIGITS_DECLARED : "-", value);
    return out;
}

void vpsde_verify_print(const vpsde_orders_case *cases, size_t n)
{
    printf("%-22s %-44s %-6s %8s %7s %8s %9s  %s\n", "solver", "form", "kind", "declared",
           "claimed", "measured", "tolerance", "pass");
    for (size_t i = 0; i < n; i++) {
        const vpsde_orders_case *c = &cases[i];
        const bool measured = c->kind != VPSDE_ORDER_NONE;
        char text[4][32];
        printf("%-22s %-44s %-6s %8s %7s %8s %9s  %s\n", c->solver->name, *c->form ? c->form : "-",
               vpsde_order_kind_name[c->kind], order(text[0], c->declared),
               order(text[1], c->claimed), cell(text[2], measured, c->measured),
               cell(text[3], measured, c->tolerance), verdict(c));
    }
}

/* ---- the page -------------------------------------------------------------------------------- */

static void print_params(const vpsde_param *table)
{
    const size_t n = vpsde_param_count(table);
    for (size_t i = 0; i < n; i++) {
        char value[64];
        vpsde_param_format(value, sizeof(value), &table[i], table[i].value);
        printf("%s`%s` %s", i ? ", " : "", table[i].name, value);
    }
    if (n == 0) printf("none");
}

static void print_solver(const vpsde_solver_type *s)
{
    printf("| `%s` | ", s->name);
    if (s->nfe_per_step > 0)
        printf("%u", s->nfe_per_step);
    else
        printf("adaptive");
    printf(" | %s | ", s->doc);
    print_params(s->params);
    printf(" | %s |\n", s->source);
}

static void print_order(const vpsde_orders_case *c)
{
    char text[3][32];
    printf("| `%s` | %s | %s | %s | %s | %s |\n", c->solver->name, *c->form ? c->form : "defaults",
           vpsde_order_kind_name[c->kind], order(text[0], c->declared), order(text[1], c->claimed),
           cell(text[2], c->kind != VPSDE_ORDER_NONE, c->measured));
}

void vpsde_verify_print_page(const vpsde_orders_case *cases, size_t n)
{
    printf("# Solvers\n\n"
           "This page is what `vpsde verify --markdown` prints: the registry, and orders of "
           "convergence as they were measured. A test keeps it true.\n\n"
           "| solver | network calls a step | what it is | parameters and defaults | source |\n"
           "| --- | --- | --- | --- | --- |\n");
    for (size_t i = 0; i < n; i++) {
        if (i == 0 || cases[i].solver != cases[i - 1].solver) print_solver(cases[i].solver);
    }
    printf("\n## Orders\n\n"
           "`ode`: the flow of the probability-flow ODE. `strong`: root mean square distance along "
           "one Brownian path. `weak`: the law of the end state. *Declared* is what the formula "
           "has, *claimed* what its paper or upstream code says where that is something else "
           "(upstream-defects.md), *measured* the least favourable of two or three problems with "
           "exact answers (verbs.md). `none`: the form declares no order, because its bias "
           "does not vanish with the steps or because its order varies. Declared `-` beside a "
           "claim: the claim does not hold, and what is measured falls short of it.\n\n"
           "| solver | form | kind | declared | claimed | measured |\n"
           "| --- | --- | --- | --- | --- | --- |\n");
    for (size_t i = 0; i < n; i++) print_order(&cases[i]);
}
