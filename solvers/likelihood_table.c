#include "solvers/likelihood_table.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/mem.h"
#include "solvers/budget.h"

enum {
    N_COLUMNS = VPSDE_N_SCORES + 4,
    WITH_CLASS = N_COLUMNS + 1,
    FACTS_MAX = 24 + VPSDE_PARAM_MAX,
    WORD = 48
};

static const vpsde_column columns[N_COLUMNS] = {
    [VPSDE_SCORE_LOGP] = {.name = "logp",
                          .units = "nat",
                          .description = "log p at t_min: prior_logp + delta_logp + "
                                         "dequantisation_logp",
                          .type = VPSDE_F64},
    [VPSDE_SCORE_PRIOR] = {.name = "prior_logp",
                           .units = "nat",
                           .description = "log density of the terminal law at x(t_max)",
                           .type = VPSDE_F64},
    [VPSDE_SCORE_DELTA] = {.name = "delta_logp",
                           .units = "nat",
                           .description = "integral of the divergence along the flow",
                           .type = VPSDE_F64},
    [VPSDE_SCORE_BITS] = {.name = "bits_per_dim",
                          .units = "1",
                          .description = "-logp / (d log 2) plus the offset of the data's scale",
                          .type = VPSDE_F64},
    [VPSDE_SCORE_STDERR] = {.name = "trace_stderr",
                            .units = "nat",
                            .description = "standard error of delta_logp over the probes; 0 for an "
                                           "exact trace, NaN for one probe",
                            .type = VPSDE_F64},
    [VPSDE_SCORE_HALFWIDTH] =
        {.name = "trace_halfwidth",
         .units = "nat",
         .description = "half the 95 % interval of delta_logp over the probes "
                        "(Student); 0 for an exact trace, NaN where too few tell no spread",
         .type = VPSDE_F64},
    [VPSDE_SCORE_ODE] = {.name = "ode_error",
                         .units = "nat",
                         .description =
                             "error of the integration, from solves at looser tolerances",
                         .type = VPSDE_F64},
    [VPSDE_SCORE_FLOAT32] =
        {.name = "float32_floor",
         .units = "nat",
         .description =
             "error of the float32 arithmetic of the model; 0 where it is double throughout",
         .type = VPSDE_F64},
    [VPSDE_SCORE_NUMERICAL] =
        {.name = "numerical_error",
         .units = "nat",
         .description = "bound of the error of logp as log p at t_min of this model and terminal "
                        "law: ode_error + float32_floor + trace_halfwidth, widened for few probes",
         .type = VPSDE_F64},
    [VPSDE_SCORE_TRUNCATION] = {.name = "truncation",
                                .units = "nat",
                                .description = "log p_0 - log p_{t_min} at this row, signed",
                                .type = VPSDE_F64},
    [VPSDE_SCORE_TERMINAL] =
        {.name = "terminal",
         .units = "nat",
         .description = "log p_T(x_T) - log N(x_T; 0, I), signed; 0 for an exact terminal law",
         .type = VPSDE_F64},
    [VPSDE_SCORE_DEQUANTISATION] =
        {.name = "dequantisation_gap",
         .units = "nat",
         .description = "how far the bound of the dequantisation lies below log p on average, "
                        "from the spread of the draws' weights; 0 without, NaN for one draw",
         .type = VPSDE_F64},
    [VPSDE_SCORE_DRAWS] = {.name = "dequantisation_halfwidth",
                           .units = "nat",
                           .description =
                               "bound of the error of logp from the draws of the "
                               "dequantisation: half a 95 % interval, widened; 0 without, NaN for "
                               "one draw",
                           .type = VPSDE_F64},
    [VPSDE_SCORE_BUDGET] =
        {.name = "budget",
         .units = "nat",
         .description =
             "bound of the error of logp as log p_0: numerical_error + |truncation| "
             "with the half-width of its trace + |terminal| + dequantisation_gap + its half-width",
         .type = VPSDE_F64},
    [VPSDE_SCORE_CORRECTION] =
        {.name = "dequantisation_logp",
         .units = "nat",
         .description = "what the dequantisation adds: logp = prior_logp + delta_logp + it",
         .type = VPSDE_F64},
    {.name = "nfe",
     .description = "evaluations of the right-hand side, rejected steps included",
     .type = VPSDE_I32},
    {.name = "jvp", .description = "Jacobian-vector products", .type = VPSDE_I32},
    {.name = "rejected", .description = "rejected steps", .type = VPSDE_I32},
    {.name = "status",
     .description = "how the row ended",
     .type = VPSDE_U8,
     .flag_meanings = "ok non_finite integration_failed"},
};

/* ---- staging --------------------------------------------------------------------------------- */

static vpsde_status fill_rows(vpsde_score_rows *rows, size_t capacity)
{
    for (size_t c = 0; c < VPSDE_N_SCORES; c++) {
        VPSDE_TRY(vpsde_alloc(&rows->score[c], capacity, sizeof(double)));
    }
    VPSDE_TRY(vpsde_alloc(&rows->nfe, capacity, sizeof(*rows->nfe)));
    VPSDE_TRY(vpsde_alloc(&rows->jvp, capacity, sizeof(*rows->jvp)));
    VPSDE_TRY(vpsde_alloc(&rows->rejected, capacity, sizeof(*rows->rejected)));
    return vpsde_alloc(&rows->status, capacity, sizeof(*rows->status));
}

vpsde_status vpsde_score_rows_create(vpsde_score_rows **out, size_t capacity)
{
    vpsde_score_rows *rows;
    *out = NULL;
    VPSDE_TRY(vpsde_alloc(&rows, 1, sizeof(*rows)));
    const vpsde_status status = fill_rows(rows, capacity);
    if (status != VPSDE_OK) {
        vpsde_score_rows_destroy(rows);
        return status;
    }
    *out = rows;
    return VPSDE_OK;
}

void vpsde_score_rows_destroy(vpsde_score_rows *rows)
{
    if (!rows) return;
    for (size_t c = 0; c < VPSDE_N_SCORES; c++) free(rows->score[c]);
    free(rows->nfe);
    free(rows->jvp);
    free(rows->rejected);
    free(rows->status);
    free(rows);
}

/* ---- the table ------------------------------------------------------------------------------- */

typedef struct facts {
    vpsde_fact fact[FACTS_MAX];
    size_t n;
    char names[VPSDE_PARAM_MAX][WORD], words[VPSDE_PARAM_MAX][WORD];
} facts;

static void add_text(facts *f, const char *name, const char *text)
{
    f->fact[f->n++] = (vpsde_fact){.name = name, .text = text};
}

static void add_number(facts *f, const char *name, double number)
{
    f->fact[f->n++] = (vpsde_fact){.name = name, .number = number};
}

static void add_count(facts *f, const char *name, double n)
{
    f->fact[f->n++] = (vpsde_fact){.name = name, .number = n, .whole = true};
}

static void add_params(facts *f, const vpsde_param *table, const double *param)
{
    for (size_t p = 0; p < vpsde_param_count(table); p++) {
        snprintf(f->names[p], WORD, "param_%s", table[p].name);
        if (table[p].kind == VPSDE_PARAM_CHOICE) {
            vpsde_param_format(f->words[p], WORD, &table[p], param[p]);
            add_text(f, f->names[p], f->words[p]);
        } else if (table[p].kind == VPSDE_PARAM_INT || table[p].kind == VPSDE_PARAM_BOOL) {
            add_count(f, f->names[p], param[p]);
        } else {
            add_number(f, f->names[p], param[p]);
        }
    }
}

static const char *const distribution[] = {"rademacher", "gaussian", "sphere"};

static const char *const dequantization[] = {"none", "uniform", "truncated-normal"};

/* What bits_per_dim counts. */
static void add_levels(facts *f, const vpsde_likelihood *run, const vpsde_process_spec *spec)
{
    const vpsde_dequantization *q = &run->dequantization;
    const vpsde_coef start = vpsde_process_at(run->process, spec->t_min);
    add_text(f, "bits_convention",
             q->width > 0
                 ? "-log P / (d log 2), log P of the row's level = logp + d log level_width"
                 : "-logp / (d log 2) + bits_offset");
    add_text(f, "dequantization", dequantization[q->kind]);
    if (q->width > 0) add_number(f, "level_width", q->width);
    if (q->kind == VPSDE_DEQUANTIZE_NONE) return;
    add_count(f, "dequantization_draws", (double)(q->draws > 0 ? q->draws : 1));
    if (q->kind == VPSDE_DEQUANTIZE_TRUNCATED_NORMAL) {
        add_number(f, "dequantization_tau", q->width / 2 * start.alpha / start.sigma);
    }
}

static void collect_facts(facts *f, const vpsde_likelihood *run, const double *param)
{
    const vpsde_process_spec *spec = vpsde_process_get_spec(run->process);
    const bool estimated = run->trace == VPSDE_TRACE_HUTCHINSON;
    add_text(f, "label", run->label ? run->label : run->integrator->name);
    add_text(f, "solver", run->integrator->name);
    add_text(f, "source", run->integrator->source);
    add_params(f, run->integrator->params, param);
    add_number(f, "rtol", run->rtol);
    add_number(f, "atol", run->atol);
    add_number(f, "logp_atol", run->logp_atol > 0 ? run->logp_atol : run->atol);
    add_text(f, "trace", estimated ? "hutchinson" : "exact");
    if (estimated) {
        add_count(f, "probes", (double)run->probes);
        add_text(f, "distribution", distribution[run->probe]);
        add_text(f, "control", run->covariance ? "gaussian" : "none");
    }
    add_count(f, "dim", (double)run->model->dim);
    add_text(f, "budget", run->budget ? "true" : "false");
    if (run->budget) add_number(f, "budget_looser", vpsde_budget_looser[0]);
    add_number(f, "t_min", spec->t_min);
    add_number(f, "t_max", vpsde_process_t_max(run->process));
    add_text(f, "terminal", spec->terminal == VPSDE_TERMINAL_EXACT ? "exact" : "standard-normal");
    add_number(f, "bits_offset", run->bits_offset);
    add_levels(f, run, spec);
}

vpsde_status vpsde_score_begin(vpsde_delivery *delivery, const vpsde_likelihood *run,
                               const double *param, vpsde_sink *sink)
{
    facts f = {.n = 0};
    vpsde_column described[WITH_CLASS];
    char *path;
    collect_facts(&f, run, param);
    for (size_t c = 0; c < N_COLUMNS; c++) {
        described[c] = columns[c];
        described[c].dims = "";
        described[c].width = 1;
        if (!described[c].units) described[c].units = "1";
    }
    described[N_COLUMNS] = vpsde_class_column;
    VPSDE_TRY(
        vpsde_table_path(&path, "likelihood", run->label ? run->label : run->integrator->name));
    const vpsde_table table = {
        .path = path,
        .first = run->first,
        .count = run->count,
        .columns = described,
        .n_columns = run->classes ? WITH_CLASS : N_COLUMNS,
        .facts = f.fact,
        .n_facts = f.n,
    };
    const vpsde_status status = vpsde_delivery_begin(delivery, sink, &table);
    free(path);
    return status;
}

/* ---- delivery -------------------------------------------------------------------------------- */

vpsde_status vpsde_score_write(vpsde_delivery *delivery, const vpsde_likelihood *run,
                               vpsde_score_rows *rows, uint64_t first, size_t n)
{
    const void *data[WITH_CLASS];
    size_t column = 0;
    for (size_t i = 0; i < n; i++) {
        for (size_t c = 0; rows->status[i] != VPSDE_ROW_OK && c < VPSDE_N_SCORES; c++) {
            rows->score[c][i] = (double)NAN;
        }
    }
    for (size_t c = 0; c < VPSDE_N_SCORES; c++) data[column++] = rows->score[c];
    data[column++] = rows->nfe;
    data[column++] = rows->jvp;
    data[column++] = rows->rejected;
    data[column++] = rows->status;
    if (run->classes) data[column++] = run->classes + (first - run->first);
    const vpsde_ledger ledger = {.nfe = rows->nfe, .status = rows->status};
    return vpsde_delivery_write(delivery, first, n, data, &ledger);
}
