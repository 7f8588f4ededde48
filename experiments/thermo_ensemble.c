/* All paths of one kind: blocks in parallel, sums in a fixed order, the table of their values. */
#include <math.h>
#include <stdlib.h>

#include "core/mem.h"
#include "experiments/thermo_walk.h"
#include "solvers/driver.h"

/* The number of leaves, each summed by one worker block after block, depends on nothing but the number of
 * paths: so do the sums. */
enum { CLOSED_FORM_ROWS = 64, LEAVES_MAX = 32 };

typedef struct ensemble {
    const vpsde_paths_spec *spec;
    vpsde_paths *out;
    size_t count, rows, n_blocks, n_leaves;
    vpsde_node_sums *leaf; /* (n_leaves) */
    vpsde_delivery delivery;
} ensemble;

size_t vpsde_paths_rows(const vpsde_model *model)
{
    return model->type->flags & VPSDE_MODEL_ANALYTIC ? CLOSED_FORM_ROWS : vpsde_block_rows(model);
}

/* ---- the table ------------------------------------------------------------------------------- */

/* Reverse paths have no martingale. */
enum {
    MARTINGALE = VPSDE_PATH_MARTINGALE + 2,
    STATUS = VPSDE_PATH_MARTINGALE,
    NFE,
    N_COLUMNS = MARTINGALE + 1
};

static const vpsde_column columns[N_COLUMNS] = {
    [VPSDE_PATH_HEAT] = {.name = "heat", .description = "Q: to the bath, midpoint rule"},
    [VPSDE_PATH_WORK] = {.name = "work", .description = "W: by the control force 2(x + s)"},
    [VPSDE_PATH_ENERGY] = {.name = "energy_change", .description = "of |x|^2/2, end minus start"},
    [VPSDE_PATH_FIRST_LAW] = {.name = "first_law_residual",
                              .description = "energy_change - (work - heat): round-off"},
    [VPSDE_PATH_ENTROPY] = {.name = "entropy_change",
                            .description = "of the system, -log p, end minus start; NaN where log "
                                           "p is not known"},
    [VPSDE_PATH_SIGMA] = {.name = "entropy_production",
                          .description = "Sigma: entropy_change plus the log kernel ratios of the "
                                         "same force; NaN where log p is not known"},
    [VPSDE_PATH_PRODUCED] = {.name = "rate_integral",
                             .description = "int 1/2 |x + s|^2 db along the path"},
    [VPSDE_PATH_LOG_WEIGHT] = {.name = "log_weight",
                               .description = "log of p(x_T) prod p(x_-|x_+)/q(x_+|x_-): on "
                                              "forward paths its mean is the ELBO"},
    [VPSDE_PATH_LOG_RATIO] = {.name = "log_ratio",
                              .description = "R: log density of the path forward over that of "
                                             "the sampler; NaN where log p is not known"},
    [STATUS] = {.name = "status",
                .description = "how the path ended",
                .units = "1",
                .type = VPSDE_U8,
                .flag_meanings = "ok non_finite"},
    [NFE] = {.name = "nfe", .description = "network calls", .units = "1", .type = VPSDE_I32},
    [MARTINGALE] = {.name = "martingale",
                    .description = "of entropy_production: noise alone, of mean 0 where the score "
                                   "is exact"},
};

static vpsde_status announce(ensemble *all, const char *path, vpsde_sink *sink)
{
    static const char *const kinds[] = {"forward process, exact transitions",
                                        "reverse SDE, Euler-Maruyama in b"};
    const vpsde_record *record = all->spec->record;
    const vpsde_grid *grid = all->spec->sampling->grid;
    vpsde_column own[N_COLUMNS];
    for (size_t c = 0; c < N_COLUMNS; c++) {
        own[c] = columns[c];
        own[c].dims = "";
        own[c].width = 1;
        if (!own[c].units) own[c].units = "nat";
    }
    const vpsde_fact facts[] = {
        {.name = "paths",
         .text = record && all->spec->reverse ? "recorded by sample" : kinds[all->spec->reverse]},
        {.name = "grid", .text = grid->type->name},
        {.name = "steps", .number = (double)(all->out->n_nodes - 1), .whole = true},
        {.name = "solver", .text = record ? record->solver : "euler-maruyama"},
    };
    const vpsde_table table = {.path = path,
                               .first = all->spec->sampling->first,
                               .count = all->count,
                               .columns = own,
                               .n_columns = N_COLUMNS - all->spec->reverse,
                               .facts = facts,
                               .n_facts = sizeof(facts) / sizeof(facts[0]) - !all->spec->reverse};
    return vpsde_delivery_begin(&all->delivery, sink, &table);
}

/* ---- blocks ---------------------------------------------------------------------------------- */

/* A block that is in the file from before an interruption is computed again, for the sums. */
static vpsde_status run_block(ensemble *all, vpsde_walker *walker, int32_t *nfe, size_t block,
                              vpsde_node_sums *sums)
{
    const size_t at = block * all->rows, left = all->count - at;
    const size_t n = left < all->rows ? left : all->rows;
    const uint64_t first = all->spec->sampling->first + at;
    double *value[VPSDE_N_PATH];
    const void *data[N_COLUMNS];
    uint8_t *status = all->out->status + at;
    for (size_t q = 0; q < VPSDE_N_PATH; q++) data[q] = value[q] = all->out->value[q] + at;
    data[MARTINGALE] = value[VPSDE_PATH_MARTINGALE];
    data[STATUS] = status;
    data[NFE] = nfe;
    VPSDE_TRY(vpsde_walker_run(walker, first, n, value, status, sums));
    if (vpsde_delivery_has(&all->delivery, first, n)) return VPSDE_OK;
    const vpsde_ledger ledger = {.nfe = nfe, .status = status};
    return vpsde_delivery_write(&all->delivery, first, n, data, &ledger);
}

static vpsde_status work(void *context, vpsde_queue *queue)
{
    ensemble *all = context;
    vpsde_walker *walker = NULL;
    int32_t *nfe = NULL;
    size_t leaf;
    vpsde_status status = vpsde_walker_create(&walker, all->spec);
    if (status == VPSDE_OK) status = vpsde_alloc(&nfe, all->rows, sizeof(*nfe));
    for (size_t i = 0; status == VPSDE_OK && i < all->rows; i++) {
        nfe[i] = vpsde_walker_calls(walker) ? (int32_t)all->out->n_nodes : 0;
    }
    while (status == VPSDE_OK && vpsde_queue_take(queue, &leaf)) {
        const size_t from = all->n_blocks * leaf / all->n_leaves;
        const size_t to = all->n_blocks * (leaf + 1) / all->n_leaves;
        for (size_t b = from; status == VPSDE_OK && b < to; b++) {
            status = run_block(all, walker, nfe, b, &all->leaf[leaf]);
        }
    }
    free(nfe);
    vpsde_walker_destroy(walker);
    return status;
}

static vpsde_status run_all(ensemble *all, const char *path, vpsde_sink *sink)
{
    const vpsde_sampling *run = all->spec->sampling;
    size_t n_threads;
    VPSDE_TRY(vpsde_threads(&n_threads, run->n_threads));
    VPSDE_TRY(announce(all, path, sink));
    vpsde_status status = vpsde_parallel(n_threads, all->n_leaves, work, all, run->control.stop);
    for (size_t l = 0; status == VPSDE_OK && l < all->n_leaves; l++) {
        vpsde_node_sums_merge(&all->out->sums, &all->leaf[l]);
    }
    status = vpsde_delivery_end(&all->delivery, status, n_threads);
    return status == VPSDE_EPARTIAL ? VPSDE_OK : status; /* the caller looks at `status` */
}

/* ---- the run --------------------------------------------------------------------------------- */

static vpsde_status check(const vpsde_paths_spec *spec)
{
    const vpsde_sampling *run = spec->sampling;
    const bool draws = run->model->type->flags & VPSDE_MODEL_DRAW;
    if (vpsde_paths_nodes(run->grid) < 2) {
        return vpsde_fail(VPSDE_EINVAL,
                          "paths need two nodes or more above t = 0, got %zu steps to t = %g",
                          run->grid->n_steps, run->grid->node[run->grid->n_steps].t);
    }
    if (!spec->reverse && !spec->source.read && !draws) {
        return vpsde_fail(VPSDE_EINVAL, "forward paths need rows of data, for %s draws no samples",
                          run->model->type->name);
    }
    if (!spec->reverse && spec->source.read && spec->n_rows == 0) {
        return vpsde_fail(VPSDE_EINVAL, "forward paths need rows of data, got none");
    }
    return vpsde_run_check_rows("path", run->model, run->first, run->count, run->classes);
}

static vpsde_status make_room(ensemble *all)
{
    vpsde_paths *out = all->out;
    for (size_t q = 0; q < VPSDE_N_PATH; q++) {
        VPSDE_TRY(vpsde_alloc(&out->value[q], all->count, sizeof(double)));
    }
    VPSDE_TRY(vpsde_alloc(&out->status, all->count, sizeof(*out->status)));
    VPSDE_TRY(vpsde_node_sums_open(&out->sums, out->n_nodes));
    VPSDE_TRY(vpsde_alloc(&all->leaf, all->n_leaves, sizeof(*all->leaf)));
    for (size_t l = 0; l < all->n_leaves; l++) {
        VPSDE_TRY(vpsde_node_sums_open(&all->leaf[l], out->n_nodes));
    }
    return VPSDE_OK;
}

vpsde_status vpsde_paths_run(vpsde_paths *out, const vpsde_paths_spec *spec, const char *path,
                             vpsde_sink *sink)
{
    const vpsde_sampling *run = spec->sampling;
    const unsigned flags = run->model->type->flags;
    *out = (vpsde_paths){.n_nodes = vpsde_paths_nodes(run->grid),
                         .has_logp = flags & VPSDE_MODEL_LOG_P,
                         .has_kernel = !spec->record || spec->reverse || spec->record->is_affine,
                         .has_divergence = flags & VPSDE_MODEL_DIVERGENCE ||
                                           (flags & VPSDE_MODEL_JVP && spec->probes > 0)};
    VPSDE_TRY(check(spec));
    const size_t rows = vpsde_paths_rows(run->model);
    const size_t n_blocks = (run->count + rows - 1) / rows;
    ensemble all = {.spec = spec,
                    .out = out,
                    .count = run->count,
                    .rows = rows,
                    .n_blocks = n_blocks,
                    .n_leaves = n_blocks < LEAVES_MAX ? n_blocks : LEAVES_MAX,
                    .delivery = {.what = "path",
                                 .rate = "paths_per_second",
                                 .control = &run->control,
                                 .total = run->count}};
    vpsde_status status = make_room(&all);
    if (status == VPSDE_OK) status = vpsde_delivery_open(&all.delivery);
    if (status == VPSDE_OK) status = run_all(&all, path, sink);
    vpsde_delivery_close(&all.delivery);
    for (size_t l = 0; all.leaf && l < all.n_leaves; l++) vpsde_node_sums_close(&all.leaf[l]);
    free(all.leaf);
    return status;
}

void vpsde_paths_close(vpsde_paths *paths)
{
    for (size_t q = 0; q < VPSDE_N_PATH; q++) free(paths->value[q]);
    free(paths->status);
    vpsde_node_sums_close(&paths->sums);
}
