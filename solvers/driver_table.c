#include "solvers/driver_table.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "solvers/guidance.h"

enum { WORD = 48, N_COORDINATES = 5, FACTS_MAX = 32 + 2 * VPSDE_PARAM_MAX };

struct vpsde_report_parts {
    vpsde_table table;
    char *path;
    vpsde_column columns[VPSDE_COLUMNS_MAX];
    vpsde_axis axes[4];
    struct vpsde_coordinate coordinates[N_COORDINATES];
    double *values; /* (N_COORDINATES, n_stored) */
    vpsde_fact *facts;
    size_t n_facts;
    struct words {
        char name[VPSDE_PARAM_MAX][WORD], word[VPSDE_PARAM_MAX][WORD];
    } solver, grid;
};

static const vpsde_column fixed_columns[VPSDE_COLUMNS_FIXED] = {
    {.name = "final", .description = "state at the end of the run", .type = VPSDE_F64},
    {.name = "nfe",
     .description = "network calls the solver made, rejected steps and the last-step call included",
     .type = VPSDE_I32},
    {.name = "jvp",
     .description = "Jacobian-vector products, those for the log included",
     .type = VPSDE_I32},
    {.name = "rejected", .description = "rejected steps", .type = VPSDE_I32},
    {.name = "nfe_log", .description = "network calls made only for the log", .type = VPSDE_I32},
    {.name = "status",
     .description = "how the sample ended",
     .type = VPSDE_U8,
     .flag_meanings = "ok non_finite integration_failed"},
};

static const vpsde_column field_columns[VPSDE_N_FIELDS] = {
    {.name = "x", .description = "state at the stored nodes"},
    {.name = "eps", .description = "predicted noise eps(x, t) at the stored nodes"},
    {.name = "x0", .description = "predicted data (x - sigma eps)/alpha at the stored nodes"},
    {.name = "noise",
     .description = "standard normal noise that the step from this node drew to drive it (its draw "
                    "0); NaN where it drew none, as at the last node"},
    {.name = "logp",
     .units = "nat",
     .description = "log p_t of the model at the stored states, by its score and divergence along "
                    "the path from the noise end"},
    {.name = "steps",
     .description =
         "accepted steps up to the stored nodes, each with its share of the step it lies "
         "in"},
    {.name = "kernel_mean",
     .description =
         "m of the step from this node, a draw x' = m + kernel_std noise; NaN at the last "
         "node"},
};

static void set_columns(struct vpsde_report_parts *parts, const vpsde_report *report)
{
    const vpsde_model *model = report->run->model;
    const bool image = model->rank == 3;
    for (size_t c = 0; c < VPSDE_COLUMNS_FIXED; c++) {
        parts->columns[c] = fixed_columns[c];
        parts->columns[c].units = "1";
        parts->columns[c].dims = "";
        parts->columns[c].width = 1;
    }
    parts->columns[0].dims = image ? "channel row column" : "dim";
    parts->columns[0].width = model->dim;
    size_t n = VPSDE_COLUMNS_FIXED;
    for (size_t f = 0; f < VPSDE_N_FIELDS; f++) {
        if (!(report->fields & 1u << f)) continue;
        vpsde_column *column = &parts->columns[n++];
        *column = field_columns[f];
        if (!column->units) column->units = "1";
        column->type = vpsde_field_type(report, f);
        column->dims = vpsde_field_is_scalar(f) ? "time"
                       : image                  ? "time channel row column"
                                                : "time dim";
        column->width = report->n_stored * vpsde_field_width(report, f);
    }
    if (report->run->classes) parts->columns[n++] = vpsde_class_column;
    parts->table.columns = parts->columns;
    parts->table.n_columns = n;
}

static vpsde_status set_time_axis(struct vpsde_report_parts *parts, const vpsde_report *report)
{
    const size_t n = report->n_stored;
    static const struct vpsde_coordinate blank[N_COORDINATES] = {
        {.name = "t", .units = "1", .description = "time of the node, 0 is data"},
        {.name = "alpha", .units = "1", .description = "signal scale exp(-b/2)"},
        {.name = "sigma", .units = "1", .description = "noise scale sqrt(1 - alpha^2)"},
        {.name = "lambda", .units = "1", .description = "log(alpha/sigma), inf at t = 0"},
        {.name = "kernel_std",
         .units = "1",
         .description = "standard deviation of the step from the node, NaN at the last"},
    };
    const size_t n_coordinates = N_COORDINATES - (report->kernel_std == NULL);
    if (n == 0) return VPSDE_OK;
    VPSDE_TRY(vpsde_alloc(&parts->values, n_coordinates * n, sizeof(*parts->values)));
    for (size_t m = 0; m < n; m++) {
        const vpsde_coef *node = &report->run->grid->node[report->stored[m]];
        const double at[N_COORDINATES] = {node->t, node->alpha, node->sigma, node->lambda,
                                          report->kernel_std ? report->kernel_std[m] : 0};
        for (size_t c = 0; c < n_coordinates; c++) parts->values[c * n + m] = at[c];
    }
    for (size_t c = 0; c < n_coordinates; c++) {
        parts->coordinates[c] = blank[c];
        parts->coordinates[c].values = parts->values + c * n;
    }
    parts->axes[parts->table.n_axes++] = (vpsde_axis){
        .name = "time",
        .length = n,
        .description = vpsde_grid_encodes(report->run->grid) ? "stored node, data to noise"
                                                             : "stored node, noise to data",
        .n_coordinates = n_coordinates,
        .coordinates = parts->coordinates,
    };
    return VPSDE_OK;
}

static vpsde_status set_axes(struct vpsde_report_parts *parts, const vpsde_report *report)
{
    static const vpsde_axis line = {.name = "dim", .description = "component of the state"};
    static const vpsde_axis image[3] = {
        {.name = "channel", .description = "colour channel"},
        {.name = "row", .description = "row of the image, from the top"},
        {.name = "column", .description = "column of the image, from the left"},
    };
    const vpsde_model *model = report->run->model;
    VPSDE_TRY(set_time_axis(parts, report));
    for (size_t r = 0; r < (model->rank == 3 ? 3 : 1); r++) {
        vpsde_axis *axis = &parts->axes[parts->table.n_axes++];
        *axis = model->rank == 3 ? image[r] : line;
        axis->length = model->rank == 3 ? model->shape[r] : model->dim;
    }
    parts->table.axes = parts->axes;
    return VPSDE_OK;
}

static void add_text(struct vpsde_report_parts *parts, const char *name, const char *text)
{
    if (text) parts->facts[parts->n_facts++] = (vpsde_fact){.name = name, .text = text};
}

static void add_number(struct vpsde_report_parts *parts, const char *name, double number)
{
    parts->facts[parts->n_facts++] = (vpsde_fact){.name = name, .number = number};
}

static void add_count(struct vpsde_report_parts *parts, const char *name, double n)
{
    parts->facts[parts->n_facts++] = (vpsde_fact){.name = name, .number = n, .whole = true};
}

/* PREFIX_NAME: a number, or the word of a choice. */
static void add_params(struct vpsde_report_parts *parts, struct words *words, const char *prefix,
                       const vpsde_param *table, const double *values)
{
    for (size_t p = 0; p < vpsde_param_count(table); p++) {
        char *name = words->name[p], *word = words->word[p];
        snprintf(name, WORD, "%s_%s", prefix, table[p].name);
        for (char *c = name; *c; c++) *c = (char)(*c == '-' ? '_' : *c);
        if (table[p].kind == VPSDE_PARAM_CHOICE) {
            vpsde_param_format(word, WORD, &table[p], values[p]);
            add_text(parts, name, word);
        } else if (table[p].kind == VPSDE_PARAM_INT || table[p].kind == VPSDE_PARAM_BOOL) {
            add_count(parts, name, values[p]);
        } else {
            add_number(parts, name, values[p]);
        }
    }
}

static void add_clip(struct vpsde_report_parts *parts, const vpsde_clip *clip)
{
    if (clip->kind == VPSDE_CLIP_STATIC) {
        add_number(parts, "clip_low", clip->low);
        add_number(parts, "clip_high", clip->high);
    } else if (clip->kind == VPSDE_CLIP_DYNAMIC) {
        add_number(parts, "dynamic_threshold_quantile", clip->quantile);
        add_number(parts, "dynamic_threshold_min", clip->min);
    }
}

static void add_task(struct vpsde_report_parts *parts, const vpsde_sampling *run)
{
    size_t n_known = 0;
    if (vpsde_guidance_weight(run->guidance, run->classes) != 0) {
        add_number(parts, "guidance", run->guidance);
    }
    if (!run->inpaint.known) return;
    for (size_t j = 0; j < run->model->dim; j++) n_known += run->inpaint.known[j];
    add_count(parts, "inpaint_known", (double)n_known);
    add_count(parts, "inpaint_jump_length", (double)run->inpaint.jump_length);
    add_count(parts, "inpaint_resamples",
              run->inpaint.resamples > 1 ? (double)run->inpaint.resamples : 1);
}

static vpsde_status set_facts(struct vpsde_report_parts *parts, const vpsde_report *report,
                              const vpsde_fact *extra, size_t n_extra)
{
    const vpsde_sampling *run = report->run;
    const vpsde_solver_type *solver = run->solver;
    const bool exact = vpsde_process_get_spec(run->process)->terminal == VPSDE_TERMINAL_EXACT;
    VPSDE_TRY(vpsde_alloc(&parts->facts, FACTS_MAX + n_extra, sizeof(*parts->facts)));
    add_text(parts, "label", run->label ? run->label : solver->name);
    add_text(parts, "solver", solver->name);
    add_text(parts, "source", solver->source);
    add_params(parts, &parts->solver, "param", solver->params, report->param);
    if (run->grid) {
        const vpsde_grid_type *type = run->grid->type;
        add_text(parts, "grid", type ? type->name : "user");
        if (type) add_params(parts, &parts->grid, "grid", type->params, run->grid->param);
        add_count(parts, "steps", (double)run->grid->n_steps);
        add_text(parts, "last_step", vpsde_last_step_name(run->grid->last_step));
        if (vpsde_grid_encodes(run->grid)) add_text(parts, "direction", "data-to-noise");
    }
    if (solver->flags & VPSDE_SOLVER_ADAPTIVE) {
        add_number(parts, "rtol", run->rtol);
        add_number(parts, "atol", run->atol);
    }
    vpsde_orders order;
    vpsde_solver_orders(solver, report->param, &order, NULL);
    if (order.ode > 0) add_number(parts, "ode_order", order.ode);
    if (order.strong > 0) add_number(parts, "strong_order", order.strong);
    if (order.weak > 0) add_number(parts, "weak_order", order.weak);
    add_clip(parts, &run->clip);
    add_task(parts, run);
    if (report->fields & VPSDE_LOG_LOGP) {
        add_text(parts, "logp_trace", run->log.probes ? "hutchinson" : "exact");
        if (run->log.probes) add_count(parts, "logp_probes", (double)run->log.probes);
    }
    add_text(parts, "terminal",
             run->init   ? "given"
             : run->edit ? "data"
             : exact     ? "exact"
                         : "standard-normal");
    add_text(parts, "coordinate", "t");
    for (size_t f = 0; f < n_extra; f++) parts->facts[parts->n_facts++] = extra[f];
    parts->table.facts = parts->facts;
    parts->table.n_facts = parts->n_facts;
    return VPSDE_OK;
}

static vpsde_status set_path(struct vpsde_report_parts *parts, const vpsde_sampling *run)
{
    VPSDE_TRY(vpsde_table_path(&parts->path, "runs", run->label ? run->label : run->solver->name));
    parts->table.path = parts->path;
    parts->table.first = run->first;
    parts->table.count = run->count;
    return VPSDE_OK;
}

static vpsde_status fill(struct vpsde_report_parts *parts, const vpsde_report *report,
                         const vpsde_fact *extra, size_t n_extra)
{
    VPSDE_TRY(set_path(parts, report->run));
    set_columns(parts, report);
    VPSDE_TRY(set_axes(parts, report));
    return set_facts(parts, report, extra, n_extra);
}

vpsde_status vpsde_table_create(struct vpsde_report_parts **out, const vpsde_report *report,
                                const vpsde_fact *extra, size_t n_extra)
{
    *out = NULL;
    struct vpsde_report_parts *parts;
    VPSDE_TRY(vpsde_alloc(&parts, 1, sizeof(*parts)));
    const vpsde_status status = fill(parts, report, extra, n_extra);
    if (status != VPSDE_OK) {
        vpsde_table_destroy(parts);
        return status;
    }
    *out = parts;
    return VPSDE_OK;
}

void vpsde_table_destroy(struct vpsde_report_parts *parts)
{
    if (!parts) return;
    free(parts->path);
    free(parts->values);
    free(parts->facts);
    free(parts);
}

const vpsde_table *vpsde_table_of(const struct vpsde_report_parts *parts) { return &parts->table; }
