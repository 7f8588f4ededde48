/* The tables /thermo and /thermo/relaxation: a row a node of the grid, noise to data. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/mem.h"
#include "core/sink.h"
#include "experiments/thermo_summary.h"

typedef struct ensemble {
    const vpsde_paths *paths;
    bool reverse;
    size_t d;
} ensemble;

static vpsde_estimate scaled(double factor, vpsde_estimate e)
{
    return (vpsde_estimate){factor * e.value, factor * e.error};
}

static vpsde_estimate energy(const ensemble *e, size_t k)
{
    return vpsde_node_mean(&e->paths->sums, k, VPSDE_AT_ENERGY);
}

/* -<log p>, or from that of N(0, I) at the noise end by de Bruijn's dS/db = 1/2 (E|s|^2 - d). */
static vpsde_estimate entropy(const ensemble *e, size_t k)
{
    if (e->paths->has_logp) return vpsde_node_mean(&e->paths->sums, k, VPSDE_AT_SURPRISAL);
    vpsde_estimate s = vpsde_node_mean(&e->paths->sums, k, VPSDE_AT_DE_BRUIJN);
    s.value = (double)e->d / 2 * log(2 * M_PI * M_E) - s.value;
    return s;
}

/* F at the noise end, which is taken to be 0 where log p is not known, and its loss from here to there. */
static vpsde_estimate free_energy_integral(const ensemble *e, size_t k)
{
    const vpsde_node_sums *sums = &e->paths->sums;
    const vpsde_estimate rest = vpsde_node_mean(sums, k, VPSDE_AT_PRODUCED);
    if (!e->paths->has_logp) return rest;
    const vpsde_estimate end = vpsde_node_mean(sums, 0, VPSDE_AT_FREE);
    return (vpsde_estimate){end.value + rest.value, hypot(end.error, rest.error)};
}

static vpsde_estimate free_energy(const ensemble *e, size_t k)
{
    if (!e->paths->has_logp) return free_energy_integral(e, k);
    return vpsde_node_mean(&e->paths->sums, k, VPSDE_AT_FREE);
}

static vpsde_estimate fisher(const ensemble *e, size_t k)
{
    return vpsde_node_mean(&e->paths->sums, k, VPSDE_AT_FISHER);
}

static vpsde_estimate rate(const ensemble *e, size_t k) { return scaled(0.5, fisher(e, k)); }

static vpsde_estimate temperature(const ensemble *e, size_t k)
{
    if (!e->paths->has_divergence) return (vpsde_estimate){(double)NAN, (double)NAN};
    return vpsde_node_temperature(&e->paths->sums, k);
}

static vpsde_estimate heat(const ensemble *e, size_t k)
{
    return vpsde_node_mean(&e->paths->sums, k, VPSDE_AT_HEAT);
}

static vpsde_estimate work(const ensemble *e, size_t k)
{
    return vpsde_node_mean(&e->paths->sums, k, VPSDE_AT_WORK);
}

static vpsde_estimate heat_rate(const ensemble *e, size_t k)
{
    return vpsde_node_mean(&e->paths->sums, k, VPSDE_AT_HEAT_RATE);
}

static vpsde_estimate work_rate(const ensemble *e, size_t k)
{
    return e->reverse ? fisher(e, k) : (vpsde_estimate){0, 0};
}

static const struct {
    const char *name, *units, *description;
    vpsde_estimate (*at)(const ensemble *e, size_t k);
} series[] = {
    {"energy", "nat", "E|x|^2/2", energy},
    {"entropy", "nat", "-E log p, or by de Bruijn's identity where log p is not known", entropy},
    {"free_energy", "nat", "F = KL(p_b || N(0, I)), or free_energy_integral likewise", free_energy},
    {"free_energy_integral", "nat", "F by its rate, integrated from the noise end",
     free_energy_integral},
    {"entropy_production_rate", "nat", "1/2 E|x + s|^2 = -dF/db", rate},
    {"relative_fisher_information", "1", "E|x + s|^2", fisher},
    {"t_conf", "1", "E|s|^2 / (-E div s): 1 where the score is that of the paths' law",
     temperature},
    {"heat", "nat", "to the bath since the start of the paths", heat},
    {"work", "nat", "done since the start of the paths", work},
    {"heat_rate", "nat", "mean heat to the bath, by b", heat_rate},
    {"work_rate", "nat", "mean work, by b", work_rate},
};
enum { N_SERIES = sizeof(series) / sizeof(series[0]), NAME = 48 };

/* ---- tables ---------------------------------------------------------------------------------- */

typedef struct layout {
    vpsde_column columns[2 * N_SERIES];
    char error_name[N_SERIES][NAME];
    double *values; /* (2 N_SERIES, n_nodes) */
    double *clocks; /* (5, n_nodes) */
} layout;

static void fill(layout *l, const ensemble *e)
{
    const size_t n = e->paths->n_nodes;
    for (size_t c = 0; c < N_SERIES; c++) {
        vpsde_column *column = &l->columns[2 * c];
        snprintf(l->error_name[c], NAME, "%s_stderr", series[c].name);
        column[0] = (vpsde_column){.name = series[c].name,
                                   .units = series[c].units,
                                   .description = series[c].description,
                                   .type = VPSDE_F64,
                                   .dims = "",
                                   .width = 1};
        column[1] = column[0];
        column[1].name = l->error_name[c];
        column[1].description = "its standard error over the paths";
        for (size_t k = 0; k < n; k++) {
            const vpsde_estimate v = series[c].at(e, k);
            l->values[2 * c * n + k] = v.value;
            l->values[(2 * c + 1) * n + k] = v.error;
        }
    }
}

static vpsde_status write_table(vpsde_sink *sink, layout *l, const char *path, const ensemble *e,
                                const vpsde_coef *node, const vpsde_fact *facts, size_t n_facts)
{
    const size_t n = e->paths->n_nodes;
    double *t = l->clocks, *b = t + n, *alpha = b + n, *sigma = alpha + n, *lambda = sigma + n;
    for (size_t k = 0; k < n; k++) {
        t[k] = node[k].t, b[k] = node[k].b, alpha[k] = node[k].alpha;
        sigma[k] = node[k].sigma, lambda[k] = node[k].lambda;
    }
    const struct vpsde_coordinate clocks[] = {
        {"t", "1", "time", t},
        {"b", "1", "int_0^t beta", b},
        {"alpha", "1", "exp(-b/2)", alpha},
        {"sigma", "1", "sqrt(1 - exp(-b))", sigma},
        {"lambda", "1", "log(alpha/sigma)", lambda},
    };
    const vpsde_axis axis = {.name = "time",
                             .length = n,
                             .description = "nodes of the grid, noise to data",
                             .n_coordinates = sizeof(clocks) / sizeof(clocks[0]),
                             .coordinates = clocks};
    const vpsde_table table = {.path = path,
                               .row_axis = "time",
                               .count = n,
                               .axes = &axis,
                               .n_axes = 1,
                               .columns = l->columns,
                               .n_columns = 2 * N_SERIES,
                               .facts = facts,
                               .n_facts = n_facts};
    const void *data[2 * N_SERIES];
    fill(l, e);
    for (size_t c = 0; c < 2 * N_SERIES; c++) data[c] = l->values + c * n;
    return vpsde_sink_store(sink, &table, data);
}

/* NAME and NAME_stderr, where that means something. */
static size_t collect_facts(vpsde_fact *fact, char names[][NAME], const vpsde_thermo_summary *s)
{
    size_t n = 0;
    for (size_t q = 0; q < s->n_scalars; q++) {
        const vpsde_scalar *v = &s->scalar[q];
        fact[n++] = (vpsde_fact){.name = v->name, .number = v->of.value};
        if (isnan(v->of.error) && !isnan(v->of.value)) continue;
        snprintf(names[q], NAME, "%s_stderr", v->name);
        fact[n++] = (vpsde_fact){.name = names[q], .number = v->of.error};
    }
    fact[n++] = (vpsde_fact){.name = "delta_f_source",
                             .text = s->exact_delta_f ? "log p" : "integral of the rate"};
    return n;
}

vpsde_status vpsde_thermo_write(vpsde_sink *sink, const vpsde_thermo_summary *summary,
                                const vpsde_sampling *run, const vpsde_paths *forward,
                                const vpsde_paths *reverse)
{
    const size_t n = reverse->n_nodes, d = run->model->dim;
    const ensemble up = {forward, false, d}, down = {reverse, true, d};
    vpsde_fact facts[2 * VPSDE_SCALARS_MAX + 1];
    char names[VPSDE_SCALARS_MAX][NAME];
    layout l = {.values = NULL};
    VPSDE_TRY(vpsde_alloc(&l.values, (2 * N_SERIES + 5) * n, sizeof(double)));
    l.clocks = l.values + 2 * N_SERIES * n;
    const size_t n_facts = collect_facts(facts, names, summary);
    vpsde_status status = write_table(sink, &l, "/thermo", &down, run->grid->node, facts, n_facts);
    if (status == VPSDE_OK) {
        status = write_table(sink, &l, "/thermo/relaxation", &up, run->grid->node, NULL, 0);
    }
    free(l.values);
    return status;
}
