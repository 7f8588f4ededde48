#include "core/ceiling.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <vpsde/noise.h>

#include "core/clock.h"
#include "core/mem.h"
#include "core/parallel.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

enum { ROUNDS = 5, FMA_STEPS = 4000000, CHAINS = 12, NORMALS = 1 << 16, NORMAL_STEPS = 16 };
/* Three arrays of it are beyond any cache. */
static const size_t triad_floats = (size_t)1 << 25;

/* Twelve chains hide the latency of the multiply-add on every processor of the last ten years; the sum
 * keeps the compiler from dropping them. */
#if defined(__x86_64__)
__attribute__((target("avx2,fma"))) static float fma_avx2(long steps)
{
    __m256 a[CHAINS];
    const __m256 b = _mm256_set1_ps(0.999F), c = _mm256_set1_ps(1e-3F);
    for (int i = 0; i < CHAINS; i++) a[i] = _mm256_set1_ps((float)i);
    for (long k = 0; k < steps; k++) {
#pragma GCC unroll 12
        for (int i = 0; i < CHAINS; i++) a[i] = _mm256_fmadd_ps(a[i], b, c);
    }
    float lane[8], sum = 0;
    for (int i = 0; i < CHAINS; i++) {
        _mm256_storeu_ps(lane, a[i]);
        sum += lane[0];
    }
    return sum;
}

__attribute__((target("avx512f"))) static float fma_avx512(long steps)
{
    __m512 a[CHAINS];
    const __m512 b = _mm512_set1_ps(0.999F), c = _mm512_set1_ps(1e-3F);
    for (int i = 0; i < CHAINS; i++) a[i] = _mm512_set1_ps((float)i);
    for (long k = 0; k < steps; k++) {
#pragma GCC unroll 12
        for (int i = 0; i < CHAINS; i++) a[i] = _mm512_fmadd_ps(a[i], b, c);
    }
    float lane[16], sum = 0;
    for (int i = 0; i < CHAINS; i++) {
        _mm512_storeu_ps(lane, a[i]);
        sum += lane[0];
    }
    return sum;
}
#endif

static float fma_plain(long steps)
{
    float a[CHAINS], sum = 0;
    for (int i = 0; i < CHAINS; i++) a[i] = (float)i;
    for (long k = 0; k < steps; k++) {
        for (int i = 0; i < CHAINS; i++) a[i] = a[i] * 0.999F + 1e-3F;
    }
    for (int i = 0; i < CHAINS; i++) sum += a[i];
    return sum;
}

typedef struct fma_kind {
    const char *isa;
    size_t lanes;
    float (*run)(long steps);
} fma_kind;

static fma_kind fma_here(void)
{
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx512f")) return (fma_kind){"avx512f", 16, fma_avx512};
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) {
        return (fma_kind){"avx2", 8, fma_avx2};
    }
#endif
    return (fma_kind){"baseline", 1, fma_plain}; /* as the compiler has it for any processor */
}

const char *vpsde_ceiling_isa(void) { return fma_here().isa; }

void vpsde_ceiling_cpu(char *name, size_t size)
{
    char line[256];
    snprintf(name, size, "unknown");
    FILE *info = fopen("/proc/cpuinfo", "r");
    if (!info) return;
    while (fgets(line, sizeof(line), info)) {
        const char *colon = strchr(line, ':');
        if (strncmp(line, "model name", 10) == 0 && colon) {
            snprintf(name, size, "%.*s", (int)strcspn(colon + 2, "\n"), colon + 2);
            break;
        }
    }
    fclose(info);
}

/* One measurement: `work` is one block's, `amount` what all blocks do together. */
typedef struct load {
    vpsde_status (*work)(const struct load *load, size_t block);
    size_t n_blocks;
    double amount;
    float *a, *b, *c;
    size_t floats;
    double *z;            /* (n_blocks, NORMALS) */
    volatile float *sink; /* (n_blocks) */
} load;

static vpsde_status worker(void *shared, vpsde_queue *queue)
{
    const load *const l = shared;
    size_t block;
    while (vpsde_queue_take(queue, &block)) VPSDE_TRY(l->work(l, block));
    return VPSDE_OK;
}

static vpsde_status best_rate(double *rate, load *l, size_t n_threads)
{
    *rate = 0;
    float *sink;
    VPSDE_TRY(vpsde_alloc(&sink, l->n_blocks, sizeof(*sink)));
    l->sink = sink;
    vpsde_status status = VPSDE_OK;
    for (int round = 0; status == VPSDE_OK && round < ROUNDS; round++) {
        const double start = vpsde_clock_s();
        status = vpsde_parallel(n_threads, l->n_blocks, worker, l, NULL);
        const double now = l->amount / (vpsde_clock_s() - start);
        if (now > *rate) *rate = now;
    }
    free(sink);
    return status;
}

static vpsde_status fma_work(const load *l, size_t block)
{
    l->sink[block] = fma_here().run(FMA_STEPS);
    return VPSDE_OK;
}

vpsde_status vpsde_ceiling_flops(double *flops, size_t n_threads)
{
    *flops = 0;
    VPSDE_TRY(vpsde_threads(&n_threads, n_threads));
    load l = {.work = fma_work, .n_blocks = n_threads};
    l.amount = 2.0 * CHAINS * FMA_STEPS * (double)(fma_here().lanes * n_threads);
    return best_rate(flops, &l, n_threads);
}

static vpsde_status triad_work(const load *l, size_t block)
{
    const size_t share = l->floats / l->n_blocks;
    float *const a = l->a + block * share;
    const float *const b = l->b + block * share, *const c = l->c + block * share;
    for (size_t i = 0; i < share; i++) a[i] = b[i] + 0.5F * c[i];
    return VPSDE_OK;
}

vpsde_status vpsde_ceiling_memory(double *bytes, size_t n_threads)
{
    *bytes = 0;
    VPSDE_TRY(vpsde_threads(&n_threads, n_threads));
    load l = {.work = triad_work, .n_blocks = n_threads, .floats = triad_floats};
    l.amount = 3.0 * sizeof(float) * (double)(triad_floats - triad_floats % n_threads);
    vpsde_status status = vpsde_alloc(&l.a, triad_floats, sizeof(float));
    if (status == VPSDE_OK) status = vpsde_alloc(&l.b, triad_floats, sizeof(float));
    if (status == VPSDE_OK) status = vpsde_alloc(&l.c, triad_floats, sizeof(float));
    for (size_t i = 0; status == VPSDE_OK && i < triad_floats; i++) {
        l.b[i] = (float)(i & 15);
        l.c[i] = (float)(i & 7);
    }
    if (status == VPSDE_OK) status = best_rate(bytes, &l, n_threads);
    free(l.a);
    free(l.b);
    free(l.c);
    return status;
}

static vpsde_status normals_work(const load *l, size_t block)
{
    double *const z = l->z + block * NORMALS;
    for (size_t i = 0; i < NORMAL_STEPS; i++) {
        vpsde_normals(z, block, VPSDE_NOISE_INIT, i, 1, 0, NORMALS);
    }
    l->sink[block] = (float)z[0];
    return VPSDE_OK;
}

vpsde_status vpsde_ceiling_normals(double *normals, size_t n_threads)
{
    *normals = 0;
    VPSDE_TRY(vpsde_threads(&n_threads, n_threads));
    load l = {.work = normals_work, .n_blocks = n_threads};
    l.amount = (double)NORMALS * NORMAL_STEPS * (double)n_threads;
    VPSDE_TRY(vpsde_alloc(&l.z, n_threads * NORMALS, sizeof(*l.z)));
    const vpsde_status status = best_rate(normals, &l, n_threads);
    free(l.z);
    return status;
}
