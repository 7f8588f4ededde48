#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "experiments/build_facts.h"
#include "experiments/cli.h"
#include "experiments/verify.h"

static vpsde_status unknown(const char *word)
{
    const char *names[512];
    size_t n = 0;
    for (; n < sizeof(names) / sizeof(names[0]) && vpsde_solver_at(n); n++) {
        names[n] = vpsde_solver_at(n)->name;
    }
    const char *near = vpsde_nearest(word, names, n);
    return vpsde_fail(VPSDE_EUSAGE, "verify: unknown solver '%s'%s%s; see 'vpsde list solvers'",
                      word, near ? "; did you mean " : "", near ? near : "");
}

static vpsde_status find(const vpsde_solver_type **types, const vpsde_cli *cli)
{
    for (size_t i = 0; i < cli->n_inputs; i++) {
        types[i] = vpsde_solver_find(cli->inputs[i]);
        if (!types[i]) return unknown(cli->inputs[i]);
        for (size_t other = 0; other < i; other++) {
            if (types[other] == types[i]) {
                return vpsde_fail(VPSDE_EUSAGE, "verify: %s is named twice", cli->inputs[i]);
            }
        }
    }
    return VPSDE_OK;
}

static vpsde_status plan(vpsde_orders_case **cases, size_t *n, const vpsde_cli *cli)
{
    const vpsde_solver_type **types;
    VPSDE_TRY(vpsde_alloc(&types, cli->n_inputs, sizeof(vpsde_solver_type *)));
    vpsde_status status = find(types, cli);
    if (status == VPSDE_OK) status = vpsde_orders_plan(cases, n, types, cli->n_inputs);
    free(types);
    return status;
}

/* The words that say what is verified, so that the file tells how it was made. */
static vpsde_status describe(char **config, const vpsde_cli *cli)
{
    size_t length = sizeof("verify:\n  solvers: []\n");
    for (size_t i = 0; i < cli->n_inputs; i++) length += strlen(cli->inputs[i]) + 2;
    VPSDE_TRY(vpsde_alloc(config, length, 1));
    strcpy(*config, "verify:\n  solvers: [");
    for (size_t i = 0; i < cli->n_inputs; i++) {
        if (i > 0) strcat(*config, ", ");
        strcat(*config, cli->inputs[i]);
    }
    strcat(*config, "]\n");
    return VPSDE_OK;
}

static vpsde_status missed(const vpsde_orders_case *cases, size_t n)
{
    size_t n_missed = 0;
    const vpsde_orders_case *first = NULL;
    for (size_t i = 0; i < n; i++) {
        if (cases[i].pass) continue;
        if (!first) first = &cases[i];
        n_missed++;
    }
    if (!first) return VPSDE_OK;
    return vpsde_fail(VPSDE_ENUMERIC,
                      "verify: %zu of %zu orders missed; first %s%s%s: %s order %.2f measured, %g "
                      "declared, tolerance %g",
                      n_missed, n, first->solver->name, *first->form ? " " : "", first->form,
                      vpsde_order_kind_name[first->kind], first->measured, first->declared,
                      first->tolerance);
}

static vpsde_status begin(vpsde_run **run, const vpsde_cli *cli)
{
    char *config;
    VPSDE_TRY(describe(&config, cli));
    const vpsde_status status = vpsde_run_create(
        run, cli->output, cli->program + sizeof("vpsde ") - 1, config, 0, cli->force);
    free(config);
    return status == VPSDE_OK ? vpsde_build_facts(*run, cli->threads) : status;
}

/* A miss is a result: it is stored like any other, and the exit code tells. */
static vpsde_status measure(vpsde_orders_case *cases, size_t n, const vpsde_cli *cli,
                            vpsde_run *run)
{
    VPSDE_TRY(vpsde_orders_measure(cases, n, cli->threads, &cli->control));
    vpsde_progress_done();
    if (cli->markdown)
        vpsde_verify_print_page(cases, n);
    else if (!cli->quiet)
        vpsde_verify_print(cases, n);
    if (run) {
        VPSDE_TRY(vpsde_verify_store(cases, n, run));
        VPSDE_TRY(vpsde_run_finish(run, "complete"));
    }
    return missed(cases, n);
}

static vpsde_status run(const vpsde_cli *cli)
{
    vpsde_orders_case *cases = NULL;
    vpsde_run *file = NULL;
    size_t n;
    VPSDE_TRY(plan(&cases, &n, cli));
    vpsde_status status = cli->output ? begin(&file, cli) : VPSDE_OK;
    if (status == VPSDE_OK) status = measure(cases, n, cli, file);
    vpsde_run_destroy(file, 1);
    free(cases);
    return status;
}

const vpsde_verb vpsde_verb_verify = {
    .name = "verify",
    .input = "[SOLVER...]",
    .summary = "Measures the order of each solver and compares it with what it declares.",
    .doc = "Without a name: every registered solver and form. Each is run on problems with exact "
           "answers at step counts that double: ODE orders against exact flow maps, strong orders "
           "along common Brownian paths, weak orders by exact propagation of the law. Exit code 1 "
           "when one misses. --markdown prints docs/solvers.md. Example:\n\n"
           "  vpsde verify dpmpp-3m dpmpp-3m-compat -o verify.h5",
    .options = VPSDE_CLI_INPUTS | VPSDE_CLI_RECORD | VPSDE_CLI_FORCE | VPSDE_CLI_THREADS |
               VPSDE_CLI_WORKS | VPSDE_CLI_MARKDOWN,
    .run = run,
};
