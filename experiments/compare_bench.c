#include "experiments/compare_bench.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "analysis/moments.h"
#include "core/mem.h"
#include "core/parallel.h"
#include "core/vec.h"

/* Where the second of two exact samples starts. */
#define SECOND_SAMPLE (UINT64_C(1) << 40)
enum { MOMENTS_MAX = 128 };
static const double level = 0.95;

struct vpsde_bench {
    const vpsde_setup *s;
    size_t n_threads, seed;
    unsigned wanted;   /* metrics */
    double *reference; /* (count, d) or NULL */
    double *target;    /* (count, d): draws, data, or the reference itself */
    bool owns_target;
    double *x, *y, *z; /* (count, d) rows that ended well: samples, target, an exact sample */
    double *distance;  /* (count) */
    size_t *number;    /* (count) */
    int32_t *classes;  /* (count), or NULL */
    double *mean, *covariance; /* or NULL */
    double bandwidth;
    vpsde_coef end;
    vpsde_row_source source;
    vpsde_features *features;
    vpsde_resampling *resampling;
};

static unsigned needs_of(unsigned wanted)
{
    unsigned needs = 0;
    for (size_t m = 0; vpsde_metric_at(m); m++) {
        if (wanted >> m & 1u) needs |= vpsde_metric_at(m)->needs;
    }
    return needs;
}

static vpsde_status open_moments(vpsde_bench *b)
{
    const size_t d = b->s->model->dim;
    if (d > MOMENTS_MAX || !vpsde_compare_draws(b->s)) return VPSDE_OK;
    VPSDE_TRY(vpsde_alloc(&b->mean, d + d * d, sizeof(*b->mean)));
    b->covariance = b->mean + d;
    if (vpsde_exact_moments(b->mean, b->covariance, b->s->model, &b->end)) return VPSDE_OK;
    free(b->mean);
    b->mean = b->covariance = NULL;
    return VPSDE_OK;
}

/* Images are what the data say they are, or the model. */
static void image_shape(size_t shape[3], const vpsde_setup *s)
{
    const vpsde_data *data = s->data.data;
    const bool by_data = vpsde_data_rank(data) > 1;
    const size_t rank = by_data ? vpsde_data_rank(data) : s->model->rank;
    const size_t *from = by_data ? vpsde_data_shape(data) : s->model->shape;
    for (size_t a = 0; a < 3; a++) shape[a] = a + rank < 3 ? 1 : from[a + rank - 3];
}

static vpsde_status open_data(vpsde_bench *b)
{
    const vpsde_setup *s = b->s;
    size_t shape[3];
    if (!s->data.data) return VPSDE_OK;
    b->source = vpsde_setup_source(s);
    if (!(needs_of(b->wanted) & VPSDE_METRIC_DATA)) return VPSDE_OK;
    image_shape(shape, s);
    return vpsde_features_create(&b->features, &b->source, s->data.first, s->data.count, shape);
}

static vpsde_status open_rows(vpsde_bench *b)
{
    const vpsde_setup *s = b->s;
    const size_t count = s->sampler.count;
    size_t values;
    VPSDE_TRY(vpsde_size_mul(&values, count, s->model->dim, "the samples"));
    VPSDE_TRY(vpsde_alloc(&b->x, values, sizeof(*b->x)));
    VPSDE_TRY(vpsde_alloc(&b->y, values, sizeof(*b->y)));
    VPSDE_TRY(vpsde_alloc(&b->distance, count, sizeof(*b->distance)));
    VPSDE_TRY(vpsde_alloc(&b->number, count, sizeof(*b->number)));
    if (vpsde_setup_classes(s, 0)) VPSDE_TRY(vpsde_alloc(&b->classes, count, sizeof(int32_t)));
    if (s->compare.against == VPSDE_AGAINST_SOLVER) {
        VPSDE_TRY(vpsde_alloc(&b->reference, values, sizeof(*b->reference)));
    }
    b->owns_target = !b->reference || vpsde_compare_draws(s);
    if (b->owns_target) return vpsde_alloc(&b->target, values, sizeof(*b->target));
    b->target = b->reference;
    return VPSDE_OK;
}

static vpsde_status open_bench(vpsde_bench *b, const vpsde_cli *cli)
{
    VPSDE_TRY(vpsde_threads(&b->n_threads, cli->threads));
    VPSDE_TRY(open_rows(b));
    VPSDE_TRY(open_moments(b));
    return open_data(b);
}

vpsde_status vpsde_bench_create(vpsde_bench **out, const vpsde_setup *s, const vpsde_cli *cli)
{
    vpsde_bench *b;
    VPSDE_TRY(vpsde_alloc(&b, 1, sizeof(*b)));
    b->s = s;
    b->wanted = s->compare.metrics;
    b->end = vpsde_compare_end(s);
    const vpsde_status status = open_bench(b, cli);
    if (status == VPSDE_OK) {
        *out = b;
    } else {
        vpsde_bench_destroy(b);
    }
    return status;
}

void vpsde_bench_destroy(vpsde_bench *b)
{
    if (!b) return;
    if (b->owns_target) free(b->target);
    free(b->reference);
    free(b->x);
    free(b->y);
    free(b->z);
    free(b->distance);
    free(b->number);
    free(b->classes);
    free(b->mean);
    vpsde_features_destroy(b->features);
    vpsde_resampling_destroy(b->resampling);
    free(b);
}

double *vpsde_bench_reference(vpsde_bench *b) { return b->reference; }

static vpsde_status draw(double *x, const vpsde_bench *b, uint64_t first)
{
    const vpsde_setup *s = b->s;
    return vpsde_model_draw(s->model, &b->end, s->seed + b->seed, VPSDE_NOISE_EXACT, first,
                            s->sampler.count, vpsde_setup_classes(s, 0), x);
}

vpsde_status vpsde_bench_seed(vpsde_bench *b, size_t seed)
{
    const vpsde_setup *s = b->s;
    const size_t count = s->sampler.count;
    b->seed = seed;
    vpsde_resampling_destroy(b->resampling);
    b->resampling = NULL;
    VPSDE_TRY(vpsde_resampling_create(&b->resampling, count, s->seed + seed));
    if (vpsde_compare_draws(s)) {
        VPSDE_TRY(draw(b->target, b, 0));
    } else if (b->owns_target) {
        const size_t first = s->data.first + seed * count;
        VPSDE_TRY(b->source.read(b->source.context, first, count, b->target));
    }
    return vpsde_bandwidth(&b->bandwidth, b->target, count, s->model->dim);
}

/* Rows that ended well on every side, one after the other. */
static size_t gather(vpsde_bench *b, const double *x, bool paired)
{
    const size_t d = b->s->model->dim;
    const int32_t *classes = vpsde_setup_classes(b->s, 0);
    size_t n = 0;
    for (size_t i = 0; i < b->s->sampler.count; i++) {
        const double *row = x + i * d, *target = b->target + i * d;
        if (!vec_is_finite(d, row) || !vec_is_finite(d, target)) continue;
        if (paired) {
            vpsde_distances(&b->distance[n], row, b->reference + i * d, 1, d);
            if (!isfinite(b->distance[n])) continue;
        }
        vec_copy(d, b->x + n * d, row);
        vec_copy(d, b->y + n * d, target);
        if (classes) b->classes[n] = classes[i];
        b->number[n++] = i;
    }
    return n;
}

typedef struct task {
    vpsde_metric_input in;
    const vpsde_resampling *resampling;
    vpsde_compare_row *row;
    double *replicate;
    size_t leading, n;
    size_t metric[VPSDE_METRICS_MAX];
} task;

static vpsde_status measure_one(const task *t, size_t m, double *replicate)
{
    const vpsde_metric *metric = vpsde_metric_at(m);
    vpsde_statistic statistic = {0};
    vpsde_interval interval;
    vpsde_status status = metric->measure(&statistic, &t->in);
    if (status == VPSDE_OK) status = vpsde_bootstrap(replicate, &statistic, t->resampling);
    if (status == VPSDE_OK) {
        status = vpsde_bootstrap_interval(&interval, &statistic, t->resampling, replicate, level);
    }
    if (status == VPSDE_OK) {
        t->row->metric[m] = statistic.value;
        t->row->low[m] = interval.low;
        t->row->high[m] = interval.high;
        if (t->replicate && m == t->leading) {
            vec_copy(VPSDE_RESAMPLES, t->replicate, replicate);
        }
    }
    vpsde_statistic_free(&statistic);
    return status == VPSDE_OK ? status : vpsde_fail_in(status, "metric %s", metric->name);
}

static vpsde_status work(void *shared, vpsde_queue *queue)
{
    const task *t = shared;
    double *replicate;
    size_t block;
    vpsde_status status = vpsde_alloc(&replicate, VPSDE_RESAMPLES, sizeof(*replicate));
    while (status == VPSDE_OK && vpsde_queue_take(queue, &block)) {
        status = measure_one(t, t->metric[block], replicate);
    }
    free(replicate);
    return status;
}

vpsde_status vpsde_bench_measure(vpsde_compare_row *row, double *replicate, size_t leading,
                                 vpsde_bench *b, const double *x, bool paired)
{
    const vpsde_setup *s = b->s;
    const size_t n = gather(b, x, paired);
    task t = {
        .in = {.n = n,
               .d = s->model->dim,
               .number = b->number,
               .samples = s->sampler.count,
               .x = b->x,
               .distance = b->distance,
               .target = b->y,
               .mean = b->mean,
               .covariance = b->covariance,
               .bandwidth = b->bandwidth,
               .seed = s->seed + b->seed,
               .model = s->model,
               .end = b->end,
               .classes = b->classes,
               .data = &b->source,
               .data_first = s->data.first,
               .data_count = s->data.count,
               .features = b->features,
               .stop = s->stop},
        .resampling = b->resampling,
        .row = row,
        .replicate = replicate,
        .leading = leading,
    };
    for (size_t q = 0; replicate && q < VPSDE_RESAMPLES; q++) replicate[q] = (double)NAN;
    for (size_t m = 0; m < VPSDE_METRICS_MAX; m++) {
        row->metric[m] = row->low[m] = row->high[m] = (double)NAN;
    }
    for (size_t m = 0; n > 0 && vpsde_metric_at(m); m++) {
        const bool lacks = (vpsde_metric_at(m)->needs & VPSDE_METRIC_PAIRED) && !paired;
        if ((b->wanted >> m & 1u) && !lacks) t.metric[t.n++] = m;
    }
    row->failed = (int64_t)(s->sampler.count - n);
    row->bandwidth = b->bandwidth;
    return t.n == 0 ? VPSDE_OK : vpsde_parallel(b->n_threads, t.n, work, &t, s->stop);
}

vpsde_status vpsde_bench_floor(vpsde_compare_row *row, vpsde_bench *b)
{
    const vpsde_setup *s = b->s;
    const size_t count = s->sampler.count, d = s->model->dim;
    const size_t seeds = s->compare.n_seeds; /* each takes rows of its own, then each once more */
    const bool more = s->data.count / 2 / seeds >= count;
    const bool draws = vpsde_compare_draws(s), reads = s->compare.against == VPSDE_AGAINST_DATA;
    if (!b->z) VPSDE_TRY(vpsde_alloc(&b->z, count * d, sizeof(*b->z)));
    for (size_t e = 0; e < count * d; e++) b->z[e] = (double)NAN;
    if (draws) VPSDE_TRY(draw(b->z, b, SECOND_SAMPLE));
    if (reads && more) {
        const size_t first = s->data.first + (seeds + b->seed) * count;
        VPSDE_TRY(b->source.read(b->source.context, first, count, b->z));
    }
    VPSDE_TRY(vpsde_bench_measure(row, NULL, 0, b, b->z, false));
    row->failed = 0;
    return VPSDE_OK;
}
