/* The sections `sampler` and `log`: which solvers, on which grids, storing what. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "experiments/setup.h"

enum { NAMES_MAX = 256, ADAPTIVE_INTERVALS = 32 };
static const double tol_min = 1e-14;

vpsde_status vpsde_setup_solver(const vpsde_solver_type **solver, double *param, vpsde_config *c,
                                const char *key)
{
    const char *word;
    VPSDE_TRY(vpsde_config_text(&word, c, key, NULL));
    *solver = vpsde_solver_find(word);
    if (!*solver) {
        const char *names[NAMES_MAX];
        size_t n = 0;
        for (; n < NAMES_MAX && vpsde_solver_at(n); n++) names[n] = vpsde_solver_at(n)->name;
        const char *near = vpsde_nearest(word, names, n);
        return vpsde_config_fail(c, key, "unknown solver '%s'; %s%s", word,
                                 near ? "did you mean " : "see vpsde list solvers",
                                 near ? near : "");
    }
    vpsde_param_defaults(param, (*solver)->params);
    return key ? vpsde_config_params(param, c, (*solver)->params) : VPSDE_OK;
}

static vpsde_status read_grid_type(vpsde_sampler_entry *e, vpsde_config *c)
{
    const bool mapping = vpsde_config_kind(c, "grid") == VPSDE_NODE_MAPPING;
    vpsde_config *g = c;
    const char *word;
    if (mapping) VPSDE_TRY(vpsde_config_section(&g, c, "grid"));
    const char *key = mapping ? "kind" : "grid";
    VPSDE_TRY(vpsde_config_text(&word, g, key, mapping ? NULL : "uniform-lambda"));
    e->grid_type = vpsde_grid_find(word);
    if (!e->grid_type) {
        const char *names[NAMES_MAX];
        size_t n = 0;
        for (; n < NAMES_MAX && vpsde_grid_at(n); n++) names[n] = vpsde_grid_at(n)->name;
        const char *near = vpsde_nearest(word, names, n);
        return vpsde_config_fail(g, key, "unknown grid '%s'; did you mean %s?", word,
                                 near ? near : names[0]);
    }
    vpsde_param_defaults(e->grid_param, e->grid_type->params);
    return mapping ? vpsde_config_params(e->grid_param, g, e->grid_type->params) : VPSDE_OK;
}

/* Nodes of a user grid; they also tell the number of steps. */
static vpsde_status read_times(vpsde_sampler_entry *e, vpsde_config *c)
{
    size_t rank, dims[1];
    VPSDE_TRY(vpsde_config_numbers(&e->times, &rank, dims, 1, c, "times"));
    if (!e->times || rank != 1 || dims[0] < 2) {
        return vpsde_config_fail(
            c, e->times ? "times" : NULL,
            "a user grid needs times: [t_0, t_1, ...], decreasing, two or more");
    }
    e->steps = dims[0] - 1;
    return VPSDE_OK;
}

static vpsde_status read_steps(vpsde_sampler_entry *e, vpsde_config *c)
{
    uint64_t steps;
    int last_step;
    const bool adaptive = e->solver->flags & VPSDE_SOLVER_ADAPTIVE;
    VPSDE_TRY(read_grid_type(e, c));
    VPSDE_TRY(vpsde_config_choice(&last_step, c, "last_step", "stop|tweedie|euler|lower-order", 0));
    e->last_step = (vpsde_last_step)last_step;
    if (adaptive) {
        VPSDE_TRY(vpsde_config_real(&e->rtol, c, "rtol", NAN, tol_min, 1));
        return vpsde_config_real(&e->atol, c, "atol", NAN, tol_min, 1);
    }
    if (e->grid_type->takes_times) return read_times(e, c);
    VPSDE_TRY(vpsde_config_uint(&steps, c, "steps", UINT64_MAX, 1, 1000000));
    e->steps = steps;
    return VPSDE_OK;
}

/* A key of an item of the list, or of the sampler section when the item does not have it. */
static vpsde_config *holder(vpsde_config *item, vpsde_config *sampler, const char *key)
{
    return vpsde_config_has(item, key) ? item : sampler;
}

static vpsde_status read_item_steps(vpsde_sampler_entry *e, vpsde_config *item, vpsde_config *c)
{
    static const char *const keys[] = {"steps", "grid", "last_step", "rtol", "atol", "times"};
    bool own = item == c;
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
        own = own || holder(item, c, keys[i]) == item;
    }
    return read_steps(e, own ? item : c);
}

static vpsde_status read_entry(vpsde_sampler_entry *e, vpsde_config *item, vpsde_config *sampler,
                               bool mapping)
{
    const char *label;
    if (mapping) {
        VPSDE_TRY(vpsde_setup_solver(&e->solver, e->param, item, "solver"));
        VPSDE_TRY(vpsde_config_text(&label, item, "label", e->solver->name));
    } else {
        VPSDE_TRY(vpsde_setup_solver(&e->solver, e->param, item, NULL));
        label = e->solver->name;
    }
    VPSDE_TRY(vpsde_strdup(&e->label, label));
    return read_item_steps(e, mapping ? item : sampler, sampler);
}

static vpsde_status check_labels(const vpsde_sampler_setup *s, vpsde_config *c)
{
    for (size_t i = 1; i < s->n_entries; i++) {
        for (size_t k = 0; k < i; k++) {
            if (strcmp(s->entries[i].label, s->entries[k].label) == 0) {
                return vpsde_config_fail(c, "solver",
                                         "two entries are called '%s'; give one a label",
                                         s->entries[i].label);
            }
        }
    }
    return VPSDE_OK;
}

static vpsde_status read_entries(vpsde_sampler_setup *s, vpsde_config *c)
{
    const bool list = vpsde_config_kind(c, "solver") == VPSDE_NODE_SEQUENCE;
    size_t n = 1;
    if (list) VPSDE_TRY(vpsde_config_count(&n, c, "solver"));
    if (n == 0) return vpsde_config_fail(c, "solver", "the list is empty; expected a solver");
    VPSDE_TRY(vpsde_alloc(&s->entries, n, sizeof(*s->entries)));
    s->n_entries = n;
    if (!list) return read_entry(&s->entries[0], c, c, true);
    for (size_t i = 0; i < n; i++) {
        vpsde_config *item;
        VPSDE_TRY(vpsde_config_item(&item, c, "solver", i));
        const bool mapping = vpsde_config_kind(item, NULL) == VPSDE_NODE_MAPPING;
        VPSDE_TRY(read_entry(&s->entries[i], item, c, mapping));
    }
    return check_labels(s, c);
}

static vpsde_status read_fields(unsigned *fields, vpsde_config *c)
{
    size_t n = 0;
    *fields = VPSDE_LOG_X;
    if (vpsde_config_kind(c, "fields") == VPSDE_NODE_ABSENT) return VPSDE_OK;
    VPSDE_TRY(vpsde_config_count(&n, c, "fields"));
    *fields = 0;
    for (size_t i = 0; i < n; i++) {
        vpsde_config *item;
        int bit;
        VPSDE_TRY(vpsde_config_item(&item, c, "fields", i));
        VPSDE_TRY(vpsde_config_choice(&bit, item, NULL, "x|eps|x0|noise", 0));
        *fields |= 1u << bit;
    }
    return VPSDE_OK;
}

/* times: a number of stored nodes, all, none, or the list of them. */
static vpsde_status read_log_times(vpsde_sampler_setup *s, vpsde_config *c)
{
    size_t rank, dims[1];
    const char *word;
    if (vpsde_config_kind(c, "times") == VPSDE_NODE_SEQUENCE) {
        VPSDE_TRY(vpsde_config_numbers(&s->log_times, &rank, dims, 1, c, "times"));
        s->log.times = s->log_times;
        s->log.n_times = dims[0];
        return VPSDE_OK;
    }
    VPSDE_TRY(vpsde_config_text(&word, c, "times", "33"));
    const bool all = strcmp(word, "all") == 0, none = strcmp(word, "none") == 0;
    if (all || none) {
        s->log.n_times = all ? SIZE_MAX : 0;
        return VPSDE_OK;
    }
    char *end;
    const unsigned long n = strtoul(word, &end, 10);
    if (end == word || *end || n < 2 || n > 1000000 || *word == '-') {
        return vpsde_config_fail(c, "times",
                                 "expected a number of stored states (2 or more), all, "
                                 "none, or a list of t, got '%s'",
                                 word);
    }
    s->log.n_times = n;
    return VPSDE_OK;
}

static vpsde_status read_log(vpsde_setup *s)
{
    vpsde_config *c;
    int dtype;
    VPSDE_TRY(vpsde_config_section(&c, s->config, "log"));
    VPSDE_TRY(read_log_times(&s->sampler, c));
    VPSDE_TRY(read_fields(&s->sampler.log.fields, c));
    VPSDE_TRY(vpsde_config_choice(&dtype, c, "dtype", "float32|float64", 0));
    s->sampler.log.dtype = dtype == 0 ? VPSDE_F32 : VPSDE_F64;
    return VPSDE_OK;
}

vpsde_status vpsde_setup_read_sampler(vpsde_setup *s)
{
    vpsde_config *c;
    uint64_t count;
    VPSDE_TRY(vpsde_config_section(&c, s->config, "sampler"));
    if ((s->uses & VPSDE_USES_SAMPLER) || vpsde_config_has(c, "solver")) {
        VPSDE_TRY(read_entries(&s->sampler, c));
        VPSDE_TRY(vpsde_config_uint(&count, c, "count", UINT64_MAX, 1, (uint64_t)1 << 47));
        s->sampler.count = count;
        VPSDE_TRY(vpsde_config_path(&s->sampler.init_path, c, "init", ""));
    }
    return read_log(s);
}

static vpsde_status build_grid(const vpsde_setup *s, vpsde_sampler_entry *e)
{
    const vpsde_log *log = &s->sampler.log;
    size_t steps = e->steps;
    if (e->solver->flags & VPSDE_SOLVER_ADAPTIVE) { /* only says where states are stored */
        steps = log->times || log->n_times == SIZE_MAX ? ADAPTIVE_INTERVALS
                : log->n_times > 1                     ? log->n_times - 1
                                                       : 1;
        if (log->n_times == SIZE_MAX) {
            return vpsde_fail(VPSDE_ECONFIG,
                              "log.times: all is for fixed-step solvers; %s chooses its own steps; "
                              "expected a number, none or a list",
                              e->solver->name);
        }
    }
    return vpsde_grid_create(&e->grid, e->grid_type, s->process, steps, e->grid_param, e->times,
                             e->last_step);
}

static vpsde_status read_init(vpsde_setup *s)
{
    vpsde_data *data = NULL;
    size_t count;
    VPSDE_TRY(vpsde_data_open(&data, s->sampler.init_path));
    vpsde_status status = VPSDE_OK;
    if (vpsde_data_dim(data) != s->model->dim || vpsde_data_rows(data) < s->sampler.count) {
        status = vpsde_fail(VPSDE_EDATA,
                            "%s: has %zu rows of %zu values; sampler.init needs %zu rows of %zu",
                            s->sampler.init_path, vpsde_data_rows(data), vpsde_data_dim(data),
                            s->sampler.count, s->model->dim);
    }
    if (status == VPSDE_OK) {
        status = vpsde_size_mul(&count, s->sampler.count, s->model->dim, "sampler.init");
    }
    if (status == VPSDE_OK) status = vpsde_alloc(&s->sampler.init, count, sizeof(double));
    if (status == VPSDE_OK) {
        status = vpsde_data_read(data, s->sampler.init, 0, s->sampler.count, 1, 0);
    }
    vpsde_data_close(data);
    return status;
}

vpsde_status vpsde_setup_build_sampler(vpsde_setup *s)
{
    for (size_t i = 0; i < s->sampler.n_entries; i++) {
        vpsde_sampler_entry *e = &s->sampler.entries[i];
        const vpsde_status status = build_grid(s, e);
        if (status != VPSDE_OK) {
            return vpsde_fail_in(status == VPSDE_EINVAL ? VPSDE_ECONFIG : status, "sampler %s",
                                 e->label);
        }
    }
    return *s->sampler.init_path ? read_init(s) : VPSDE_OK;
}

vpsde_sampling vpsde_setup_sampling(const vpsde_setup *s, size_t entry, const vpsde_cli *cli)
{
    const vpsde_sampler_entry *e = &s->sampler.entries[entry];
    return (vpsde_sampling){
        .label = e->label,
        .process = s->process,
        .model = s->model,
        .solver = e->solver,
        .param = e->param,
        .grid = e->grid,
        .rtol = e->rtol,
        .atol = e->atol,
        .seed = s->seed,
        .count = s->sampler.count,
        .init = s->sampler.init,
        .log = s->sampler.log,
        .n_threads = cli->threads,
        .control = cli->control,
    };
}
