/* The section `sampler`: which solvers, on which grids, storing states where. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "experiments/setup.h"

enum { NAMES_MAX = 256 };
static const double tol_min = 1e-14, not_given = -1;

/* Without a solver. Chosen by measurement: docs/studies.md, evaluations. */
static const char *const default_solver = "unipc";
static const uint64_t default_steps = 25;

vpsde_status vpsde_setup_unknown(vpsde_config *c, const char *key, const char *what,
                                 const char *word, const char *(*name_at)(size_t))
{
    const char *names[NAMES_MAX];
    size_t n = 0;
    for (; n < NAMES_MAX && name_at(n); n++) names[n] = name_at(n);
    const char *near = vpsde_nearest(word, names, n);
    if (near) {
        return vpsde_config_fail(c, key, "unknown %s '%s'; did you mean %s", what, word, near);
    }
    return vpsde_config_fail(c, key, "unknown %s '%s'; 'vpsde list %ss' names them", what, word,
                             what);
}

static const char *solver_name(size_t i)
{
    return vpsde_solver_at(i) ? vpsde_solver_at(i)->name : NULL;
}

static const char *grid_name(size_t i) { return vpsde_grid_at(i) ? vpsde_grid_at(i)->name : NULL; }

vpsde_status vpsde_setup_solver(const vpsde_solver_type **solver, double *param, vpsde_config *c,
                                const char *fallback)
{
    const char *word;
    VPSDE_TRY(vpsde_config_text(&word, c, "solver", fallback));
    *solver = vpsde_solver_find(word);
    if (!*solver) return vpsde_setup_unknown(c, "solver", "solver", word, solver_name);
    return vpsde_config_params(param, c, (*solver)->params);
}

vpsde_status vpsde_setup_label(char **label, vpsde_config *c, const char *fallback)
{
    const char *text;
    VPSDE_TRY(vpsde_config_text(&text, c, "label", fallback));
    if (!*text || strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789_-") != strlen(text)) {
        return vpsde_config_fail(c, "label",
                                 "'%s' names a group of the run file; expected a-z, "
                                 "0-9, _ and -",
                                 text);
    }
    return vpsde_strdup(label, text);
}

/* The grid under `grid`: a word, or {kind, parameters}. */
static vpsde_status read_grid(vpsde_sampler_entry *e, vpsde_config *c)
{
    vpsde_config *g;
    const char *word;
    VPSDE_TRY(vpsde_config_expand(c, "grid", "kind"));
    VPSDE_TRY(vpsde_config_section(&g, c, "grid"));
    VPSDE_TRY(vpsde_config_text(&word, g, "kind", "uniform-lambda"));
    e->grid_type = vpsde_grid_find(word);
    if (!e->grid_type) return vpsde_setup_unknown(g, "kind", "grid", word, grid_name);
    return vpsde_config_params(e->grid_param, g, e->grid_type->params);
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

vpsde_status vpsde_setup_where(vpsde_sampler_entry *e, const vpsde_sampler_entry *common,
                               vpsde_config *c)
{
    const int before = common ? (int)common->last_step : 0;
    int last_step;
    if (common) {
        e->grid_type = common->grid_type;
        memcpy(e->grid_param, common->grid_param, sizeof(e->grid_param));
    }
    if (!common || vpsde_config_has(c, "grid")) VPSDE_TRY(read_grid(e, c));
    VPSDE_TRY(
        vpsde_config_choice(&last_step, c, "last_step", "stop|tweedie|euler|lower-order", before));
    e->last_step = (vpsde_last_step)last_step;
    return VPSDE_OK;
}

/* What the sampler section says for every entry of its list; steps 0 and tolerances -1: nothing. */
static vpsde_status read_common(vpsde_sampler_entry *common, vpsde_config *c)
{
    uint64_t steps = vpsde_config_has(c, "solver") ? 0 : default_steps;
    VPSDE_TRY(vpsde_setup_where(common, NULL, c));
    VPSDE_TRY(vpsde_config_uint(&steps, c, "steps", steps, 1, 1000000));
    common->steps = steps;
    VPSDE_TRY(vpsde_config_real(&common->rtol, c, "rtol", not_given, tol_min, 1));
    return vpsde_config_real(&common->atol, c, "atol", not_given, tol_min, 1);
}

static vpsde_status read_tolerance(double *out, vpsde_config *item, const char *key, double common)
{
    return vpsde_config_real(out, item, key, common > 0 ? common : (double)NAN, tol_min, 1);
}

/* An entry's own keys, each falling back on the section's. */
static vpsde_status read_own(vpsde_sampler_entry *e, const vpsde_sampler_entry *common,
                             vpsde_config *item, vpsde_config *c)
{
    uint64_t steps;
    VPSDE_TRY(vpsde_setup_where(e, common, item));
    if (vpsde_solver_is_adaptive(e->solver)) {
        VPSDE_TRY(read_tolerance(&e->rtol, item, "rtol", common->rtol));
        return read_tolerance(&e->atol, item, "atol", common->atol);
    }
    if (e->grid_type->takes_times) {
        return read_times(e, vpsde_config_has(item, "times") ? item : c);
    }
    VPSDE_TRY(vpsde_config_uint(&steps, item, "steps", common->steps ? common->steps : UINT64_MAX,
                                1, 1000000));
    e->steps = steps;
    return VPSDE_OK;
}

/* Labels become group names, where - is _. */
static bool same_label(const char *a, const char *b)
{
    for (; *a && *b; a++, b++) {
        const char x = *a == '-' ? '_' : *a, y = *b == '-' ? '_' : *b;
        if (x != y) return false;
    }
    return *a == *b;
}

vpsde_status vpsde_setup_labels(const vpsde_sampler_entry *entries, size_t n, vpsde_config *c,
                                const char *key)
{
    for (size_t i = 1; i < n; i++) {
        for (size_t k = 0; k < i; k++) {
            if (same_label(entries[i].label, entries[k].label)) {
                return vpsde_config_fail(c, key, "two entries are called '%s'; give one a label",
                                         entries[i].label);
            }
        }
    }
    return VPSDE_OK;
}

static vpsde_status read_entries(vpsde_sampler_setup *s, vpsde_config *c)
{
    const bool list = vpsde_config_kind(c, "solver") == VPSDE_NODE_SEQUENCE;
    vpsde_sampler_entry common = {0};
    size_t n = 1;
    if (list) VPSDE_TRY(vpsde_config_count(&n, c, "solver"));
    if (n == 0) return vpsde_config_fail(c, "solver", "the list is empty; expected a solver");
    VPSDE_TRY(vpsde_alloc(&s->entries, n, sizeof(*s->entries)));
    s->n_entries = n;
    for (size_t i = 0; i < n; i++) {
        vpsde_sampler_entry *e = &s->entries[i];
        vpsde_config *item = c;
        if (list) VPSDE_TRY(vpsde_config_item(&item, c, "solver", i));
        if (list) VPSDE_TRY(vpsde_config_expand(item, NULL, "solver"));
        VPSDE_TRY(vpsde_setup_solver(&e->solver, e->param, item, list ? NULL : default_solver));
        VPSDE_TRY(vpsde_setup_label(&e->label, item, e->solver->name));
        if (i == 0) VPSDE_TRY(read_common(&common, c));
        VPSDE_TRY(read_own(e, &common, item, c));
    }
    return vpsde_setup_labels(s->entries, s->n_entries, c, "solver");
}

vpsde_status vpsde_setup_read_sampler(vpsde_setup *s)
{
    vpsde_config *c;
    uint64_t count;
    const bool sampled = s->uses & VPSDE_USES_SAMPLER;
    const bool used = s->uses & (VPSDE_USES_SAMPLER | VPSDE_USES_COMPARE) &&
                      !(s->uses & (VPSDE_USES_LATENTS | VPSDE_USES_ROWS));
    VPSDE_TRY(vpsde_config_section(&c, s->config, "sampler"));
    if (sampled || vpsde_config_has(c, "solver")) VPSDE_TRY(read_entries(&s->sampler, c));
    VPSDE_TRY(vpsde_config_uint(&count, c, "count", used ? UINT64_MAX : 0, 1, (uint64_t)1 << 47));
    s->sampler.count = count;
    VPSDE_TRY(vpsde_config_path(&s->sampler.init_path, c, "init", ""));
    if (s->uses & VPSDE_USES_ROWS && *s->sampler.init_path) {
        return vpsde_config_fail(c, "init",
                                 "samples are made from the rows of data; expected none");
    }
    VPSDE_TRY(vpsde_setup_read_clip(&s->sampler.clip, c));
    VPSDE_TRY(vpsde_setup_read_classes(s, c));
    return vpsde_setup_read_log(s);
}

static int decreasing(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x < y) - (x > y);
}

/* Stored times must be times of the process, each once. Sorted here: noise to data. */
static vpsde_status check_log_times(vpsde_setup *s)
{
    vpsde_config *c;
    const size_t n = s->sampler.log_times ? s->sampler.log.n_times : 0;
    const double t_min = vpsde_process_get_spec(s->process)->t_min;
    const double t_max = vpsde_process_t_max(s->process);
    VPSDE_TRY(vpsde_config_section(&c, s->config, "log"));
    if (n > 0) qsort(s->sampler.log_times, n, sizeof(double), decreasing);
    for (size_t i = 0; i < n; i++) {
        const double t = s->sampler.log_times[i];
        if (t < t_min || t > t_max) {
            return vpsde_config_fail(c, "times", "t = %g; expected times in [%g, %g]", t, t_min,
                                     t_max);
        }
        if (i > 0 && t == s->sampler.log_times[i - 1]) {
            return vpsde_config_fail(c, "times", "t = %g stands twice", t);
        }
    }
    return VPSDE_OK;
}

/* The sampler's grid where it can be placed with these steps and without pilots (a grid of DDPM
 * indices or one in lambda down to t = 0 may not), else uniform in t. */
static vpsde_status spread_stored(const vpsde_setup *s, vpsde_sampler_entry *e, size_t n_steps)
{
    if (e->grid_type->place) {
        const vpsde_status status = vpsde_grid_create(&e->grid, e->grid_type, s->process, n_steps,
                                                      e->grid_param, NULL, e->last_step);
        if (status != VPSDE_EINVAL) return status;
    }
    return vpsde_grid_create(&e->grid, vpsde_grid_find("uniform-t"), s->process, n_steps, NULL,
                             NULL, e->last_step);
}

/* An adaptive solver chooses its own steps: its grid only says where states are stored, the ends
 * always among them. */
static vpsde_status build_stored_grid(const vpsde_setup *s, vpsde_sampler_entry *e)
{
    const vpsde_log *log = &s->sampler.log;
    if (log->n_times == SIZE_MAX) {
        return vpsde_fail(VPSDE_ECONFIG,
                          "log.times: all is for fixed-step solvers; %s chooses its own steps; "
                          "expected a number, none or a list",
                          e->solver->name);
    }
    const size_t n_given = log->times ? log->n_times : 0;
    if (log->n_times > 0 && n_given == 0) return spread_stored(s, e, log->n_times - 1);
    double *t;
    size_t n = 0;
    VPSDE_TRY(vpsde_alloc(&t, n_given + 2, sizeof(*t)));
    t[n++] = vpsde_process_t_max(s->process);
    for (size_t i = 0; i < n_given; i++) {
        if (log->times[i] < t[n - 1]) t[n++] = log->times[i];
    }
    if (vpsde_process_get_spec(s->process)->t_min < t[n - 1]) {
        t[n++] = vpsde_process_get_spec(s->process)->t_min;
    }
    const vpsde_status status = vpsde_grid_create(&e->grid, vpsde_grid_find("user"), s->process,
                                                  n - 1, NULL, t, e->last_step);
    free(t);
    return status;
}

vpsde_sampling vpsde_setup_pilots(const vpsde_setup *s)
{
    return (vpsde_sampling){.process = s->process,
                            .model = s->model,
                            .seed = s->seed,
                            .clip = s->sampler.clip,
                            .count = s->sampler.count,
                            .classes = vpsde_setup_classes(s, 0),
                            .guidance = s->sampler.classes.guidance,
                            .n_threads = s->threads,
                            .control = {.stop = s->stop}};
}

vpsde_status vpsde_setup_grid(vpsde_grid **grid, vpsde_setup *s, const vpsde_sampler_entry *e,
                              size_t n_steps)
{
    const vpsde_sampling pilots = vpsde_setup_pilots(s);
    return vpsde_grid_calibrate_with(&s->calibrations, grid, e->grid_type, &pilots, n_steps,
                                     e->grid_param, e->times, e->last_step);
}

static vpsde_status build_grid(vpsde_setup *s, vpsde_sampler_entry *e)
{
    if (vpsde_solver_is_adaptive(e->solver)) return build_stored_grid(s, e);
    return vpsde_setup_grid(&e->grid, s, e, e->steps);
}

vpsde_status vpsde_setup_build_init(vpsde_setup *s)
{
    vpsde_data *data = NULL;
    size_t count;
    if (!*s->sampler.init_path || s->sampler.init) return VPSDE_OK;
    if (s->uses & (VPSDE_USES_ENCODE | VPSDE_USES_INTERPOLATE) || *s->decode.from) return VPSDE_OK;
    VPSDE_TRY(vpsde_data_open(&data, s->sampler.init_path));
    if (s->sampler.count == 0) s->sampler.count = vpsde_data_rows(data);
    vpsde_status status = VPSDE_OK;
    if (vpsde_data_dim(data) != s->model->dim || vpsde_data_rows(data) < s->sampler.count) {
        status = vpsde_fail(VPSDE_EDATA,
                            "%s: has %zu rows of %zu values; sampler.init needs %zu rows of %zu",
                            s->sampler.init_path, vpsde_data_rows(data), vpsde_data_dim(data),
                            s->sampler.count, s->model->dim);
    }
    if (status == VPSDE_OK) status = vpsde_setup_check_rows(s, data, s->sampler.init_path);
    if (status == VPSDE_OK) {
        status = vpsde_size_mul(&count, s->sampler.count, s->model->dim, "sampler.init");
    }
    if (status == VPSDE_OK) status = vpsde_alloc(&s->sampler.init, count, sizeof(double));
    if (status == VPSDE_OK) {
        status = vpsde_data_read(data, s->sampler.init, 0, s->sampler.count, 1, 0);
    }
    if (status == VPSDE_OK) {
        memcpy(s->sampler.init_sha256, vpsde_data_sha256(data), sizeof(s->sampler.init_sha256));
    }
    vpsde_data_close(data);
    return status;
}

vpsde_status vpsde_setup_build_sampler(vpsde_setup *s)
{
    VPSDE_TRY(check_log_times(s));
    if (!(s->uses & VPSDE_USES_LATENTS)) VPSDE_TRY(vpsde_setup_build_classes(s));
    for (size_t i = 0; i < s->sampler.n_entries; i++) {
        vpsde_sampler_entry *e = &s->sampler.entries[i];
        const vpsde_status status = build_grid(s, e);
        if (status != VPSDE_OK) {
            return vpsde_fail_in(status == VPSDE_EINVAL ? VPSDE_ECONFIG : status, "sampler %s",
                                 e->label);
        }
    }
    return vpsde_setup_build_init(s);
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
        .classes = vpsde_setup_classes(s, 0),
        .guidance = s->sampler.classes.guidance,
        .clip = s->sampler.clip,
        .log = s->sampler.log,
        .n_threads = cli->threads,
        .control = cli->control,
    };
}
