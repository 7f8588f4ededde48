#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <vpsde/vpsde.h>

#include "analysis/metrics.h"
#include "core/mem.h"
#include "experiments/cli.h"

static void print_row(const char *name, const char *text, const char *source)
{
    printf("%-24s %s%s%s%s\n", name, text ? text : "", source && *source ? " [" : "",
           source ? source : "", source && *source ? "]" : "");
}

static void print_params(const vpsde_param *table)
{
    if (!isatty(STDOUT_FILENO)) return; /* in a pipe: one name a line */
    for (size_t i = 0; i < vpsde_param_count(table); i++) {
        const vpsde_param *p = &table[i];
        char value[64];
        vpsde_param_format(value, sizeof(value), p, p->value);
        printf("    %-20s %s (default %s%s%s)\n", p->name, p->doc ? p->doc : "", value,
               p->choices ? " of " : "", p->choices ? p->choices : "");
    }
}

static void list_solvers(void)
{
    for (size_t i = 0; vpsde_solver_at(i); i++) {
        const vpsde_solver_type *s = vpsde_solver_at(i);
        print_row(s->name, s->doc, s->source);
        print_params(s->params);
    }
}

static void list_schedules(void)
{
    for (size_t i = 0; vpsde_schedule_at(i); i++) {
        const vpsde_schedule_type *s = vpsde_schedule_at(i);
        print_row(s->name, s->doc, s->source);
        print_params(s->params);
    }
}

static void list_grids(void)
{
    for (size_t i = 0; vpsde_grid_at(i); i++) {
        const vpsde_grid_type *g = vpsde_grid_at(i);
        print_row(g->name, g->doc, g->source);
        print_params(g->params);
    }
}

static void list_models(void)
{
    for (size_t i = 0; vpsde_model_type_at(i); i++) {
        const vpsde_model_type *m = vpsde_model_type_at(i);
        print_row(m->name, m->doc, m->source);
    }
}

static void list_metrics(void)
{
    for (size_t i = 0; vpsde_metric_at(i); i++) {
        print_row(vpsde_metric_at(i)->name, vpsde_metric_at(i)->description, NULL);
    }
}

static void list_verbs(void)
{
    for (size_t i = 0; vpsde_verb_at(i); i++) {
        print_row(vpsde_verb_at(i)->name, vpsde_verb_at(i)->summary, NULL);
    }
}

static const struct {
    const char *name;
    void (*list)(void);
} lists[] = {
    {"solvers", list_solvers}, {"schedules", list_schedules}, {"grids", list_grids},
    {"models", list_models},   {"metrics", list_metrics},     {"verbs", list_verbs},
};
enum { N_LISTS = sizeof(lists) / sizeof(lists[0]) };

static vpsde_status run(const vpsde_cli *cli)
{
    const char *names[N_LISTS];
    for (size_t i = 0; i < N_LISTS; i++) {
        names[i] = lists[i].name;
        if (strcmp(cli->input, lists[i].name) == 0) {
            lists[i].list();
            return VPSDE_OK;
        }
    }
    const char *near = vpsde_nearest(cli->input, names, N_LISTS);
    return vpsde_fail(VPSDE_EUSAGE,
                      "list: unknown word '%s'; expected solvers, schedules, grids, models, "
                      "metrics or verbs%s%s",
                      cli->input, near ? "; did you mean " : "", near ? near : "");
}

const vpsde_verb vpsde_verb_list = {
    .name = "list",
    .input = "WHAT",
    .summary = "Prints what is registered: solvers, schedules, grids, models, metrics, verbs.",
    .doc = "The first word of each line is the name to use in a configuration; in a pipe there is "
           "one line a name. On a terminal each name is followed by its parameters.",
    .run = run,
};
