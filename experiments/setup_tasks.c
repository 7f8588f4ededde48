/* The sections `encode`, `decode` and `interpolate`. */
#include <math.h>
#include <stdlib.h>

#include "core/mem.h"
#include "core/sha256.h"
#include "core/vec.h"
#include "experiments/setup.h"
#include "solvers/dequantise.h"
#include "solvers/driver.h"

enum { POINTS_MAX = 100000 };
static const double tol_min = 1e-14;

static vpsde_status read_safety(double *safety, vpsde_config *c)
{
    return vpsde_config_real(safety, c, "safety", 0.1, 1e-3, 1);
}

static vpsde_status read_encode(vpsde_setup *s)
{
    vpsde_config *c;
    int kind;
    VPSDE_TRY(vpsde_config_section(&c, s->config, "encode"));
    VPSDE_TRY(vpsde_config_bool(&s->encode.round_trip, c, "round_trip", true));
    VPSDE_TRY(read_safety(&s->encode.safety, c));
    VPSDE_TRY(vpsde_config_choice(&kind, c, "dequantization", "none|uniform", 0));
    s->encode.dequantization = (vpsde_dequantization_kind)kind;
    return VPSDE_OK;
}

static vpsde_status read_decode(vpsde_setup *s)
{
    vpsde_config *c;
    VPSDE_TRY(vpsde_config_section(&c, s->config, "decode"));
    VPSDE_TRY(read_safety(&s->decode.safety, c));
    VPSDE_TRY(vpsde_config_path(&s->decode.from, c, "from", ""));
    if (!(s->uses & VPSDE_USES_DECODE) || *s->decode.from || *s->sampler.init_path) return VPSDE_OK;
    return vpsde_config_fail(c, NULL,
                             "there are no latents; expected decode.from: RUN.h5 (a run file of "
                             "encode), sampler.init: FILE, or a run file of encode as INPUT");
}

static vpsde_status read_pairs(vpsde_interpolate_setup *i, vpsde_config *c)
{
    size_t rank, dims[2];
    int word;
    if (vpsde_config_kind(c, "pairs") != VPSDE_NODE_SEQUENCE) {
        return vpsde_config_choice(&word, c, "pairs", "consecutive", 0);
    }
    VPSDE_TRY(vpsde_config_wholes(&i->rows, &rank, dims, 2, c, "pairs"));
    if (rank != 2 || dims[0] == 0 || dims[1] != 2) {
        return vpsde_config_fail(c, "pairs",
                                 "expected consecutive, or a list of pairs of rows of "
                                 "the data: [[0, 1], [0, 2]]");
    }
    for (size_t e = 0; e < 2 * dims[0]; e++) {
        if (i->rows[e] >= 0 && i->rows[e] == floor(i->rows[e])) continue;
        return vpsde_config_fail(c, "pairs", "%g; expected numbers of rows, from 0", i->rows[e]);
    }
    i->n_pairs = dims[0];
    return VPSDE_OK;
}

static vpsde_status read_interpolate(vpsde_setup *s)
{
    vpsde_config *c;
    uint64_t points;
    VPSDE_TRY(vpsde_config_section(&c, s->config, "interpolate"));
    VPSDE_TRY(read_pairs(&s->interpolate, c));
    VPSDE_TRY(vpsde_config_uint(&points, c, "points", 9, 2, POINTS_MAX));
    s->interpolate.points = points;
    return read_safety(&s->interpolate.safety, c);
}

static bool wanted(const vpsde_setup *s, unsigned use, const char *key)
{
    return s->uses & use || vpsde_config_has(s->config, key);
}

vpsde_status vpsde_setup_read_tasks(vpsde_setup *s)
{
    if (wanted(s, VPSDE_USES_ENCODE, "encode")) VPSDE_TRY(read_encode(s));
    if (wanted(s, VPSDE_USES_DECODE, "decode")) VPSDE_TRY(read_decode(s));
    if (wanted(s, VPSDE_USES_INTERPOLATE, "interpolate")) VPSDE_TRY(read_interpolate(s));
    return VPSDE_OK;
}

vpsde_sampling vpsde_setup_decoding(const vpsde_setup *s, size_t entry, double safety,
                                    const vpsde_cli *cli)
{
    vpsde_sampling run = vpsde_setup_sampling(s, entry, cli);
    if (!run.solver->integrate) return run;
    run.rtol = fmax(safety * run.rtol, tol_min);
    run.atol = fmax(safety * run.atol, tol_min);
    return run;
}

vpsde_sampling vpsde_setup_encoding(const vpsde_setup *s, size_t entry, double safety,
                                    const vpsde_cli *cli)
{
    vpsde_sampling run = vpsde_setup_decoding(s, entry, safety, cli);
    run.grid = s->encode.grid[entry];
    run.init = NULL;
    run.first = s->data.first;
    run.count = s->data.count;
    run.classes = vpsde_setup_classes_of_row(s, run.first);
    return run;
}

/* Every entry's way from data to noise, checked before the first one starts. */
static vpsde_status build_encodings(vpsde_setup *s)
{
    const vpsde_cli nothing = {0};
    VPSDE_TRY(vpsde_alloc(&s->encode.grid, s->sampler.n_entries, sizeof(*s->encode.grid)));
    for (size_t i = 0; i < s->sampler.n_entries; i++) {
        const vpsde_sampler_entry *e = &s->sampler.entries[i];
        VPSDE_TRY(vpsde_grid_reversed(&s->encode.grid[i], e->grid));
        const vpsde_sampling run = vpsde_setup_encoding(s, i, 1, &nothing);
        const vpsde_status status = vpsde_sampling_check_encoding(&run);
        if (status != VPSDE_OK) return vpsde_fail_in(VPSDE_ECONFIG, "sampler %s", e->label);
    }
    if (s->encode.dequantization == VPSDE_DEQUANTIZE_NONE || vpsde_data_is_8bit(s->data.data)) {
        return VPSDE_OK;
    }
    return vpsde_fail(VPSDE_EDATA, "%s: dequantization uniform is for 8-bit data; expected none",
                      s->data.path);
}

static vpsde_status build_pairs(vpsde_setup *s)
{
    vpsde_interpolate_setup *i = &s->interpolate;
    const size_t first = s->data.first, end = first + s->data.count;
    if (!i->rows && s->data.count < 2) {
        return vpsde_fail(VPSDE_EDATA, "%s: interpolate needs two rows or more, data.count is %zu",
                          s->data.path, s->data.count);
    }
    if (!i->rows) i->n_pairs = s->data.count - 1;
    VPSDE_TRY(vpsde_alloc(&i->pairs, i->n_pairs, sizeof(*i->pairs)));
    for (size_t p = 0; p < i->n_pairs; p++) {
        for (size_t e = 0; e < 2; e++) {
            if (i->rows &&
                !(i->rows[2 * p + e] >= (double)first && i->rows[2 * p + e] < (double)end)) {
                return vpsde_fail(VPSDE_ECONFIG,
                                  "interpolate.pairs: row %.0f; the data's are %zu to %zu",
                                  i->rows[2 * p + e], first, end - 1);
            }
            i->pairs[p][e] = i->rows ? (size_t)i->rows[2 * p + e] : first + p + e;
        }
    }
    size_t samples;
    return vpsde_size_mul(&samples, i->n_pairs, i->points, "interpolated states");
}

vpsde_status vpsde_setup_latents(size_t *first, size_t *count, const vpsde_setup *s, size_t entry)
{
    double *sample;
    size_t rank, dims[5];
    char *group, *name;
    VPSDE_TRY(vpsde_table_path(&group, "runs", s->sampler.entries[entry].label));
    vpsde_status status = vpsde_format(&name, "%s/sample", group);
    free(group);
    VPSDE_TRY(status);
    status = vpsde_run_read(&sample, &rank, dims, s->decode.from, name);
    free(name);
    VPSDE_TRY(status);
    const bool numbered = rank == 1 && dims[0] > 0 && sample[0] >= 0 && sample[0] < 0x1p53;
    *first = numbered ? (size_t)sample[0] : 0;
    *count = dims[0];
    free(sample);
    if (numbered) return VPSDE_OK;
    return vpsde_fail(VPSDE_EDATA,
                      "%s: the samples of %s have no numbers; expected a run of encode",
                      s->decode.from, s->sampler.entries[entry].label);
}

/* The most latents that any solver finds in decode.from. */
static vpsde_status count_latents(vpsde_setup *s)
{
    for (size_t i = 0; i < s->sampler.n_entries; i++) {
        size_t first, count;
        VPSDE_TRY(vpsde_setup_latents(&first, &count, s, i));
        if (count > s->sampler.count) s->sampler.count = count;
    }
    const vpsde_status status = vpsde_sha256_file(s->decode.sha256, s->decode.from);
    return status == VPSDE_OK ? status : vpsde_fail_in(VPSDE_EDATA, "decode.from");
}

/* Samples beyond sampler.count need classes too. */
vpsde_status vpsde_setup_build_tasks(vpsde_setup *s)
{
    size_t *count = &s->sampler.count;
    if (s->uses & (VPSDE_USES_ENCODE | VPSDE_USES_INTERPOLATE)) {
        VPSDE_TRY(build_encodings(s));
        if (s->data.count > *count) *count = s->data.count;
    }
    if (s->uses & VPSDE_USES_INTERPOLATE) {
        VPSDE_TRY(build_pairs(s));
        const size_t samples = s->interpolate.n_pairs * s->interpolate.points;
        if (samples > *count) *count = samples;
    }
    if (s->uses & VPSDE_USES_DECODE && *s->decode.from) VPSDE_TRY(count_latents(s));
    return vpsde_setup_build_classes(s);
}

void vpsde_setup_close_tasks(vpsde_setup *s)
{
    for (size_t i = 0; s->encode.grid && i < s->sampler.n_entries; i++) {
        vpsde_grid_destroy(s->encode.grid[i]);
    }
    free(s->encode.grid);
    free(s->interpolate.rows);
    free(s->interpolate.pairs);
}

/* With the same noise as a likelihood's first draw. */
static vpsde_status dequantise(double *x, const vpsde_setup *s, size_t first, size_t n)
{
    const vpsde_dequantization how = {s->encode.dequantization, s->data.scale, 1};
    const size_t d = s->model->dim;
    const vpsde_coef start =
        vpsde_process_at(s->process, vpsde_process_get_spec(s->process)->t_min);
    vpsde_dequantiser q;
    double *x0;
    VPSDE_TRY(vpsde_dequantiser_init(&q, &how, &start, d));
    VPSDE_TRY(vpsde_alloc(&x0, d, sizeof(*x0)));
    for (size_t i = 0; i < n; i++) {
        vec_copy(d, x0, x + i * d);
        vpsde_dequantise(&q, s->seed, first + i, 0, x0, x + i * d);
    }
    free(x0);
    return VPSDE_OK;
}

vpsde_status vpsde_setup_encode_rows(double *x, const vpsde_setup *s, size_t first, size_t n)
{
    VPSDE_TRY(vpsde_data_read(s->data.data, x, first, n, s->data.scale, s->data.shift));
    if (s->encode.dequantization == VPSDE_DEQUANTIZE_NONE) return VPSDE_OK;
    return dequantise(x, s, first, n);
}
