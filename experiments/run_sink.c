/* The tables of a run: announcing, rows, and what is there from before an interruption. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "core/ranks.h"
#include "core/sink.h"
#include "experiments/run_impl.h"
#include "experiments/run_wide.h"

/* The fact of that name stored about the group before the run was taken up, or NULL. */
static const vpsde_fact *fact_before(const vpsde_run *run, const char *group, const char *name)
{
    for (size_t i = 0; run->before && i < run->before->n_stored; i++) {
        const vpsde_stored *stored = &run->before->stored[i];
        if (vpsde_stored_is_table(stored) || strcmp(stored->table.path, group) != 0) continue;
        for (size_t f = 0; f < stored->table.n_facts; f++) {
            if (strcmp(stored->table.facts[f].name, name) == 0) return &stored->table.facts[f];
        }
    }
    return NULL;
}

vpsde_status vpsde_run_changes(char **changes, const vpsde_run *run, const char *group,
                               const vpsde_fact *facts, size_t n)
{
    VPSDE_TRY(vpsde_strdup(changes, ""));
    for (size_t i = 0; i < n; i++) {
        const vpsde_fact *before = fact_before(run, group, facts[i].name);
        if (!before || !before->text || strcmp(before->text, facts[i].text) == 0) continue;
        VPSDE_TRY(vpsde_append(changes, "%s%s %s, now %s", **changes ? "; " : "", facts[i].name,
                               before->text, facts[i].text));
    }
    return VPSDE_OK;
}

vpsde_status vpsde_run_facts(vpsde_run *run, const char *group, const vpsde_fact *facts, size_t n)
{
    struct iovec piece;
    if (n == 0 || vpsde_rank() > 0 || fact_before(run, group, facts[0].name)) return VPSDE_OK;
    VPSDE_TRY(vpsde_facts_encode(&piece.iov_base, &piece.iov_len, group, facts, n));
    const vpsde_status status =
        vpsde_parts_append(run->parts, &(vpsde_record){.kind = VPSDE_RECORD_FACTS}, &piece, 1);
    free(piece.iov_base);
    return status;
}

void vpsde_run_forget_table(vpsde_run *run)
{
    free(run->now.path);
    free(run->now.have);
    free(run->now.row_bytes);
    free(run->now.single);
    free(run->now.pieces);
    memset(&run->now, 0, sizeof(run->now));
}

/* A group may hold several tables as long as their columns and axes differ. */
static vpsde_status claim_name(vpsde_run *run, const char *group, const char *name)
{
    char *path;
    VPSDE_TRY(vpsde_format(&path, "%s/%s", group, name));
    for (size_t i = 0; i < run->n_names; i++) {
        if (strcmp(run->names[i], path) == 0) {
            free(path);
            return vpsde_fail(VPSDE_EINVAL, "%s: %s/%s was announced before; labels must differ",
                              run->path, group, name);
        }
    }
    char **longer = reallocarray(run->names, run->n_names + 1, sizeof(*longer));
    if (!longer) {
        free(path);
        return vpsde_fail(VPSDE_ENOMEM, "cannot allocate %zu names", run->n_names + 1);
    }
    run->names = longer;
    run->names[run->n_names++] = path;
    return VPSDE_OK;
}

static vpsde_status claim_names(vpsde_run *run, const vpsde_table *table)
{
    const char *row = table->row_axis ? table->row_axis : "sample";
    VPSDE_TRY(claim_name(run, table->path, row));
    for (size_t a = 0; a < table->n_axes; a++) {
        const vpsde_axis *axis = &table->axes[a];
        if (strcmp(axis->name, row) != 0) VPSDE_TRY(claim_name(run, table->path, axis->name));
        for (size_t i = 0; i < axis->n_coordinates; i++) {
            VPSDE_TRY(claim_name(run, table->path, axis->coordinates[i].name));
        }
    }
    for (size_t c = 0; c < table->n_columns; c++) {
        VPSDE_TRY(claim_name(run, table->path, table->columns[c].name));
    }
    return VPSDE_OK;
}

vpsde_status vpsde_run_claim_before(vpsde_run *run)
{
    for (size_t i = 0; i < run->before->n_stored; i++) {
        const vpsde_stored *stored = &run->before->stored[i];
        if (!vpsde_stored_is_table(stored)) continue;
        VPSDE_TRY(claim_names(run, &stored->table));
        run->n_tables++;
    }
    return VPSDE_OK;
}

static double table_bytes(const vpsde_table *table)
{
    double row = sizeof(int64_t); /* the row axis */
    for (size_t c = 0; c < table->n_columns; c++) {
        const vpsde_column *column = &table->columns[c];
        row += (double)column->width * (double)vpsde_dtype_size(column->type);
    }
    return row * (double)table->count;
}

/* What of table `number` is there from before, as spans that do not touch. */
static vpsde_status remember_rows(vpsde_run *run, size_t number)
{
    size_t n;
    const vpsde_rows *rows = vpsde_run_index_rows(run->before, number, &n);
    run->now.number = number;
    VPSDE_TRY(vpsde_alloc(&run->now.have, n, sizeof(*run->now.have)));
    for (size_t i = 0; i < n; i++) {
        vpsde_span *last = run->now.have + run->now.n_have;
        const uint64_t end = rows[i].first + rows[i].n;
        if (run->now.n_have > 0 && last[-1].end == rows[i].first) {
            last[-1].end = end;
        } else {
            *last = (vpsde_span){rows[i].first, end};
            run->now.n_have++;
        }
    }
    return VPSDE_OK;
}

static vpsde_status remember_table(vpsde_run *run, const vpsde_table *table, uint64_t id)
{
    VPSDE_TRY(vpsde_strdup(&run->now.path, table->path));
    VPSDE_TRY(vpsde_alloc(&run->now.row_bytes, table->n_columns, sizeof(size_t)));
    VPSDE_TRY(vpsde_alloc(&run->now.single, table->n_columns, sizeof(bool)));
    VPSDE_TRY(vpsde_alloc(&run->now.pieces, table->n_columns, sizeof(struct iovec)));
    run->now.id = id;
    run->now.first = table->first;
    run->now.count = table->count;
    run->now.n_columns = table->n_columns;
    for (size_t c = 0; c < table->n_columns; c++) {
        run->now.single[c] = table->columns[c].width == 1;
        run->now.row_bytes[c] = vpsde_column_bytes(&table->columns[c]);
    }
    return VPSDE_OK;
}

/* A table nobody announced before. */
static vpsde_status announce(vpsde_run *run, const vpsde_table *table, const struct iovec *piece)
{
    const double wide = vpsde_run_places(run) ? vpsde_wide_bytes(table) : 0;
    VPSDE_TRY(vpsde_run_fits(run, 2 * table_bytes(table) - wide));
    const vpsde_status status = claim_names(run, table);
    if (status == VPSDE_EINVAL && run->resumed) {
        return vpsde_fail(VPSDE_EDATA,
                          "%s: table %s is not the one this run began with; it was begun by "
                          "another version of vpsde, or an input has changed",
                          run->path, table->path);
    }
    VPSDE_TRY(status);
    VPSDE_TRY(
        vpsde_parts_append(run->parts, &(vpsde_record){.kind = VPSDE_RECORD_TABLE}, piece, 1));
    VPSDE_TRY(vpsde_parts_seal(run->parts));
    run->n_tables++;
    run->bytes += 2 * table_bytes(table) - wide;
    return wide > 0 ? vpsde_parts_widen(run->parts, run->now.id, table) : VPSDE_OK;
}

/* `table` as it will be stored. */
static vpsde_status begin_table(vpsde_run *run, const vpsde_table *table, const struct iovec *piece)
{
    const uint64_t id = vpsde_record_id(piece->iov_base, piece->iov_len);
    size_t number;
    vpsde_stored *before = run->before ? vpsde_run_index_table(run->before, id, &number) : NULL;
    const bool again = before && !before->announced;
    VPSDE_TRY(remember_table(run, table, id));
    if (!again) return announce(run, table, piece);
    VPSDE_TRY(remember_rows(run, number));
    before->announced = true;
    if (run->now.n_have == 1 && run->now.have[0].end - run->now.have[0].first == table->count) {
        return VPSDE_OK;
    }
    /* the log of each rank is to be read by itself */
    return vpsde_parts_append(run->parts, &(vpsde_record){.kind = VPSDE_RECORD_TABLE}, piece, 1);
}

/* The names as they will be stored ('-' made '_') come from the encoded copy. */
static vpsde_status run_begin(void *self, const vpsde_table *table)
{
    vpsde_run *run = self;
    struct iovec piece;
    vpsde_stored stored;
    if (run->now.path) {
        return vpsde_fail(VPSDE_EINTERNAL, "table %s: %s has not ended yet", table->path,
                          run->now.path);
    }
    VPSDE_TRY(vpsde_table_check(table));
    VPSDE_TRY(vpsde_table_encode(&piece.iov_base, &piece.iov_len, table));
    vpsde_status status = vpsde_table_decode(&stored, piece.iov_base, piece.iov_len);
    if (status == VPSDE_OK) status = begin_table(run, &stored.table, &piece);
    vpsde_stored_free(&stored);
    free(piece.iov_base);
    if (status != VPSDE_OK) vpsde_run_forget_table(run);
    return status;
}

/* Number of the first span that ends after row `at`; n_have when there is none. */
static size_t span_after(const vpsde_run *run, uint64_t at)
{
    size_t low = 0, high = run->now.n_have;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if (run->now.have[middle].end > at)
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

static bool run_has(void *self, size_t first, size_t n)
{
    const vpsde_run *run = self;
    const size_t span = span_after(run, first);
    return span < run->now.n_have && run->now.have[span].first <= first &&
           run->now.have[span].end >= (uint64_t)first + n;
}

/* Rows first + skip .. first + skip + n - 1 of a block that starts at `first`. */
static vpsde_status append_rows(vpsde_run *run, size_t first, size_t skip, size_t n,
                                const void *const *data)
{
    for (size_t c = 0; c < run->now.n_columns; c++) {
        const char *from = (const char *)data[c] + skip * run->now.row_bytes[c];
        memcpy(&run->now.pieces[c].iov_base, &from, sizeof(void *));
        run->now.pieces[c].iov_len = n * run->now.row_bytes[c];
    }
    const vpsde_record record = {
        .kind = VPSDE_RECORD_ROWS, .table = run->now.id, .first = first + skip, .n = n};
    return vpsde_parts_append(run->parts, &record, run->now.pieces, run->now.n_columns);
}

/* Rows from before stay as they are: a block may have been cut otherwise. */
static vpsde_status run_rows(void *self, size_t first, size_t n, const void *const *data)
{
    vpsde_run *run = self;
    if (!run->now.path) return vpsde_fail(VPSDE_EINTERNAL, "rows before a table was announced");
    if (first < run->now.first || n > run->now.count ||
        first - run->now.first > run->now.count - n) {
        return vpsde_fail(VPSDE_EINTERNAL, "table %s: rows %zu to %zu are outside %zu to %zu",
                          run->now.path, first, first + n, run->now.first,
                          run->now.first + run->now.count);
    }
    size_t span = span_after(run, first);
    const vpsde_span *have = run->now.have;
    for (uint64_t at = first, end = (uint64_t)first + n; at < end;) {
        const bool more = span < run->now.n_have && have[span].first < end;
        const uint64_t from = more ? have[span].first : end;
        if (at < from) VPSDE_TRY(append_rows(run, first, at - first, from - at, data));
        at = more ? have[span++].end : end;
    }
    return VPSDE_OK;
}

/* "/runs/ddim" -> "/provenance/runs_ddim" */
static vpsde_status run_end(void *self, const vpsde_fact *provenance, size_t n_facts)
{
    vpsde_run *run = self;
    char *group;
    if (!run->now.path) return vpsde_fail(VPSDE_EINTERNAL, "no table to end");
    VPSDE_TRY(vpsde_format(&group, "/provenance/%s", run->now.path + 1));
    for (char *c = group + strlen("/provenance/"); *c; c++) {
        if (*c == '/') *c = '_';
    }
    const vpsde_status status = vpsde_run_facts(run, group, provenance, n_facts);
    free(group);
    vpsde_run_forget_table(run);
    return status;
}

static size_t run_take(void *self)
{
    (void)self;
    return vpsde_ranks_take();
}

/* What all ranks have sealed. */
static vpsde_status gather(vpsde_run *run)
{
    size_t number;
    if (run->before) {
        VPSDE_TRY(vpsde_run_index_extend(run->before));
    } else {
        VPSDE_TRY(vpsde_run_index_create(&run->before, run->parts));
    }
    if (!run->now.path) return VPSDE_OK;
    vpsde_stored *stored = vpsde_run_index_table(run->before, run->now.id, &number);
    if (!stored) {
        return vpsde_fail(VPSDE_EINTERNAL, "table %s is not in the parts", run->now.path);
    }
    stored->announced = true;
    free(run->now.have);
    run->now.have = NULL;
    run->now.n_have = 0;
    return remember_rows(run, number);
}

vpsde_status vpsde_run_meet(vpsde_run *run, vpsde_status status, double *sums, size_t n,
                            uint64_t *least)
{
    char message[1024];
    snprintf(message, sizeof(message), "%s", vpsde_last_error());
    const vpsde_status sealed = vpsde_parts_seal(run->parts);
    const bool went_well =
        status == VPSDE_OK || status == VPSDE_EPARTIAL || status == VPSDE_ESTOPPED;
    if (sealed != VPSDE_OK) status = went_well ? sealed : vpsde_fail(status, "%s", message);
    return vpsde_ranks_agree(status, sums, n, least);
}

static vpsde_status run_meet(void *self, vpsde_status status, double *sums, size_t n,
                             uint64_t *least)
{
    vpsde_run *run = self;
    VPSDE_TRY(vpsde_run_meet(run, status, sums, n, least));
    return vpsde_rank() == 0 ? gather(run) : VPSDE_OK;
}

void vpsde_run_sink_init(vpsde_run *run)
{
    const bool shared = vpsde_n_ranks() > 1;
    run->sink = (vpsde_sink){.self = run,
                             .begin = run_begin,
                             .write = run_rows,
                             .end = run_end,
                             .has = run_has,
                             .take = shared ? run_take : NULL,
                             .meet = shared ? run_meet : NULL};
}

/* Values of the narrow columns of one stored block, each in memory of its own type. */
static vpsde_status load_narrow(void **data, vpsde_run *run, const vpsde_rows *rows)
{
    vpsde_row_bytes place = {.before = 0};
    for (size_t c = 0; c < run->now.n_columns; c++) {
        place.column = c;
        place.row_bytes = run->now.row_bytes[c];
        if (run->now.single[c]) {
            VPSDE_TRY(vpsde_alloc(&data[c], (size_t)rows->n, place.row_bytes));
            VPSDE_TRY(vpsde_rows_read(rows, run->parts, &place, 0, rows->n, data[c]));
        }
        place.before += place.row_bytes;
    }
    return VPSDE_OK;
}

vpsde_status vpsde_run_each_stored(vpsde_run *run, vpsde_rows_fn fn, void *context)
{
    size_t n = 0;
    const vpsde_rows *rows = NULL;
    if (run->now.n_have > 0 && vpsde_rank() == 0)
        rows = vpsde_run_index_rows(run->before, run->now.number, &n);
    for (size_t i = 0; i < n; i++) {
        void **data;
        VPSDE_TRY(vpsde_alloc(&data, run->now.n_columns, sizeof(*data)));
        const vpsde_status status = load_narrow(data, run, &rows[i]);
        if (status == VPSDE_OK) {
            fn(context, (size_t)rows[i].first, (size_t)rows[i].n, (const void *const *)data);
        }
        for (size_t c = 0; c < run->now.n_columns; c++) free(data[c]);
        free(data);
        VPSDE_TRY(status);
    }
    return VPSDE_OK;
}
