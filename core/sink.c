#include "core/sink.h"

#include <string.h>

#include "core/mem.h"

static const size_t dtype_sizes[] = {
    [VPSDE_F64] = 8, [VPSDE_F32] = 4, [VPSDE_I64] = 8, [VPSDE_I32] = 4, [VPSDE_U8] = 1,
};

size_t vpsde_dtype_size(vpsde_dtype type)
{
    const size_t row = (size_t)type;
    return row < sizeof(dtype_sizes) / sizeof(dtype_sizes[0]) ? dtype_sizes[row] : 0;
}

bool vpsde_name_ok(const char *name)
{
    return name && name[0] && name[strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_")] == '\0';
}

static const char *row_name(const vpsde_table *table)
{
    return table->row_axis ? table->row_axis : "sample";
}

size_t vpsde_column_bytes(const vpsde_column *column)
{
    return column->width * vpsde_dtype_size(column->type);
}

vpsde_status vpsde_column_axes(const vpsde_table *table, const vpsde_column *column,
                               const vpsde_axis **axes, size_t max, size_t *n)
{
    *n = 0;
    const char *word = column->dims + strspn(column->dims, " ");
    while (*word) {
        const size_t length = strcspn(word, " ");
        const vpsde_axis *axis = table->axes, *end = table->axes + table->n_axes;
        while (axis < end &&
               (strlen(axis->name) != length || memcmp(axis->name, word, length) != 0)) {
            axis++;
        }
        if (axis == end || *n == max) {
            return vpsde_fail(VPSDE_EINVAL,
                              "table %s: column %s: axis %.*s is not declared or one too many "
                              "(at most %zu)",
                              table->path, column->name, (int)length, word, max);
        }
        axes[(*n)++] = axis;
        word += length + strspn(word + length, " ");
    }
    return VPSDE_OK;
}

/* The i-th name that becomes a dataset: row axis, axes and their coordinates, columns; NULL past the
 * end. */
static const char *dataset_name(const vpsde_table *table, size_t i)
{
    if (i-- == 0) return row_name(table);
    for (size_t a = 0; a < table->n_axes; a++) {
        const vpsde_axis *axis = &table->axes[a];
        const bool is_row = axis->name && strcmp(axis->name, row_name(table)) == 0;
        if (!is_row && i-- == 0) return axis->name;
        if (i < axis->n_coordinates) return axis->coordinates[i].name;
        i -= axis->n_coordinates;
    }
    return i < table->n_columns ? table->columns[i].name : NULL;
}

static size_t n_datasets(const vpsde_table *table)
{
    size_t n = 1 + table->n_columns;
    for (size_t a = 0; a < table->n_axes; a++) {
        const vpsde_axis *axis = &table->axes[a];
        n += axis->n_coordinates + !(axis->name && strcmp(axis->name, row_name(table)) == 0);
    }
    return n;
}

/* "/family" or "/family/name", of [a-z0-9_-]: a run file writes - as _. */
static vpsde_status check_path(const char *path)
{
    static const char *const letters = "abcdefghijklmnopqrstuvwxyz0123456789_-";
    const char *at = path ? path : "";
    size_t parts = 0, length = 1;
    for (; *at == '/' && length > 0; parts++, at += length) length = strspn(++at, letters);
    if (*at == '\0' && length > 0 && (parts == 1 || parts == 2)) return VPSDE_OK;
    return vpsde_fail(
        VPSDE_EINVAL,
        "table %s: a path must start with / and be /family or /family/name, with names "
        "(a label is one) of [a-z0-9_-]",
        path ? path : "");
}

static vpsde_status check_names(const vpsde_table *table)
{
    const size_t n = n_datasets(table);
    for (size_t i = 0; i < n; i++) {
        const char *name = dataset_name(table, i);
        if (!vpsde_name_ok(name)) {
            return vpsde_fail(VPSDE_EINVAL, "table %s: a name must be of [a-z0-9_], got \"%s\"",
                              table->path, name ? name : "");
        }
        for (size_t other = 0; other < i; other++) {
            if (strcmp(name, dataset_name(table, other)) == 0) {
                return vpsde_fail(VPSDE_EINVAL, "table %s: the name %s appears twice", table->path,
                                  name);
            }
        }
    }
    return VPSDE_OK;
}

static vpsde_status check_axis(const vpsde_table *table, const vpsde_axis *axis)
{
    const bool is_row = strcmp(axis->name, row_name(table)) == 0;
    if (!axis->description || axis->length == 0 || (is_row && axis->length != table->count)) {
        return vpsde_fail(
            VPSDE_EINVAL, "table %s: axis %s needs a description and a length%s, got length %zu",
            table->path, axis->name, is_row ? " that is the number of rows" : " > 0", axis->length);
    }
    for (size_t i = 0; i < axis->n_coordinates; i++) {
        const struct vpsde_coordinate *c = &axis->coordinates[i];
        if (!c->units || !c->description || !c->values) {
            return vpsde_fail(VPSDE_EINVAL,
                              "table %s: coordinate %s needs units, a description and values",
                              table->path, c->name);
        }
    }
    return VPSDE_OK;
}

static vpsde_status check_column(const vpsde_table *table, const vpsde_column *column)
{
    const vpsde_axis *axes[4];
    size_t n, product = 1, bytes;
    if (!column->units || !column->description || !column->dims ||
        (column->flag_meanings && !column->flag_meanings[0])) {
        return vpsde_fail(
            VPSDE_EINVAL,
            "table %s: column %s needs units, a description, dims (\"\" for none), and "
            "flag meanings that are not empty",
            table->path, column->name);
    }
    VPSDE_TRY(vpsde_column_axes(table, column, axes, 4, &n));
    for (size_t a = 0; a < n; a++) {
        VPSDE_TRY(vpsde_size_mul(&product, product, axes[a]->length, column->name));
    }
    if (product != column->width || vpsde_dtype_size(column->type) == 0) {
        return vpsde_fail(VPSDE_EINVAL, "table %s: column %s: width %zu must be %zu (dims \"%s\")",
                          table->path, column->name, column->width, product, column->dims);
    }
    VPSDE_TRY(vpsde_size_mul(&bytes, product, table->count, column->name));
    return vpsde_size_mul(&bytes, bytes, vpsde_dtype_size(column->type), column->name);
}

vpsde_status vpsde_table_check(const vpsde_table *table)
{
    size_t end;
    VPSDE_TRY(check_path(table->path));
    if (table->count == 0 || __builtin_add_overflow(table->first, table->count, &end)) {
        return vpsde_fail(VPSDE_EINVAL, "table %s: %zu rows from %zu on cannot be", table->path,
                          table->count, table->first);
    }
    VPSDE_TRY(check_names(table));
    for (size_t a = 0; a < table->n_axes; a++) VPSDE_TRY(check_axis(table, &table->axes[a]));
    for (size_t c = 0; c < table->n_columns; c++) {
        VPSDE_TRY(check_column(table, &table->columns[c]));
    }
    return VPSDE_OK;
}

static vpsde_status array_begin(void *self, const vpsde_table *table)
{
    vpsde_array_sink *array = self;
    VPSDE_TRY(vpsde_table_check(table));
    size_t index = 0;
    while (index < table->n_columns && strcmp(table->columns[index].name, array->column) != 0)
        index++;
    if (index == table->n_columns) {
        return vpsde_fail(VPSDE_EINVAL, "table %s has no column %s", table->path, array->column);
    }
    array->index = index;
    array->first = table->first;
    array->count = table->count;
    array->row_bytes = vpsde_column_bytes(&table->columns[index]);
    if (array->row_bytes * array->count != array->bytes) {
        return vpsde_fail(VPSDE_EINVAL, "table %s: column %s has %zu bytes, the array %zu",
                          table->path, array->column, array->row_bytes * array->count,
                          array->bytes);
    }
    return VPSDE_OK;
}

static vpsde_status array_write(void *self, size_t first, size_t n, const void *const *data)
{
    vpsde_array_sink *array = self;
    if (first < array->first || n > array->count || first - array->first > array->count - n) {
        return vpsde_fail(VPSDE_EINVAL, "rows %zu to %zu are outside the array", first, first + n);
    }
    memcpy((char *)array->values + (first - array->first) * array->row_bytes, data[array->index],
           n * array->row_bytes);
    return VPSDE_OK;
}

static vpsde_status array_end(void *self, const vpsde_fact *provenance, size_t n_facts)
{
    (void)self;
    (void)provenance;
    (void)n_facts;
    return VPSDE_OK;
}

void vpsde_array_sink_init(vpsde_array_sink *array, const char *column, void *values, size_t bytes)
{
    *array = (vpsde_array_sink){
        .sink = {.self = array, .begin = array_begin, .write = array_write, .end = array_end},
        .column = column,
        .values = values,
        .bytes = bytes,
    };
}

vpsde_status vpsde_sink_store(vpsde_sink *sink, const vpsde_table *table, const void *const *data)
{
    VPSDE_TRY(sink->begin(sink->self, table));
    if (!sink->has || !sink->has(sink->self, table->first, table->count)) {
        VPSDE_TRY(sink->write(sink->self, table->first, table->count, data));
    }
    return sink->end(sink->self, NULL, 0);
}
