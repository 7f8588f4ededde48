/* Result bits as hashes, so that nobody changes them unawares. Noise is integer arithmetic and exact
 * functions of our own: the same on every (little-endian) machine. Samples and densities go through libm's exp, log
 * and sin, whose last bits depend on glibc and on the code it picks for the processor: they are
 * compared on the kind of machine that the constants come from. */
#include "tests/check.h"

#include <gnu/libc-version.h>

#include <vpsde/vpsde.h>

enum { D = 2, SAMPLES = 64, POINTS = 8, NORMALS = 1000 };

typedef struct golden {
    vpsde_process *process;
    vpsde_model *model;
} golden;

/* FNV-1a, 64 bits (Fowler, Noll & Vo), byte by byte. */
static uint64_t hash_of(const void *data, size_t size)
{
    const unsigned char *const byte = data;
    uint64_t hash = 0xcbf29ce484222325U;
    for (size_t i = 0; i < size; i++) hash = (hash ^ byte[i]) * 0x100000001b3U;
    return hash;
}

static void check_hash(const char *what, uint64_t actual, uint64_t expected)
{
    if (actual == expected) return;
    print_error("%s: hash 0x%016llx, expected 0x%016llx: result bits have changed. If that is "
                "meant, say so under \"Results\" in CHANGELOG.md and put the new hash here.\n",
                what, (unsigned long long)actual, (unsigned long long)expected);
    fail();
}

static int same_kind_of_machine(void)
{
#if defined(__x86_64__)
    return __builtin_cpu_supports("fma") && __builtin_cpu_supports("avx2") &&
           !__builtin_cpu_supports("avx512f") && strcmp(gnu_get_libc_version(), "2.36") == 0;
#else
    return 0;
#endif
}

static void need_the_machine(void)
{
    if (same_kind_of_machine()) return;
    print_message("not compared: the hashes are those of AVX2 and FMA without AVX-512, glibc 2.36; "
                  "here is glibc %s\n",
                  gnu_get_libc_version());
    skip();
}

static void begin(golden *g)
{
    static const double weights[] = {0.3, 0.7}, means[] = {-2, 0, 2, 1};
    static const double covariances[] = {0.05, 0, 0, 0.05, 0.1, 0.06, 0.06, 0.1};
    vpsde_process_spec spec;
    assert_ok(vpsde_process_spec_init(&spec, "vp-linear"));
    assert_ok(vpsde_process_create(&g->process, &spec));
    assert_ok(vpsde_gaussian_mixture_create(&g->model, 2, D, weights, means, covariances));
}

static void end(golden *g)
{
    vpsde_model_destroy(g->model);
    vpsde_process_destroy(g->process);
}

static void noise_keeps_its_bits(void **state)
{
    static double z[NORMALS];
    (void)state;
    vpsde_normals(z, 7, VPSDE_NOISE_TEST, 1000003, NORMALS / 10, 5, 10);
    check_hash("vpsde_normals", hash_of(z, sizeof(z)), 0xfad45c19773908c7);
}

static void samples_keep_their_bits(void **state)
{
    static const struct {
        const char *solver;
        uint64_t hash;
    } known[] = {
        {"euler-maruyama", 0x8683c1ec91f3e986},
        {"ddim", 0xaf4de3b988e9b5b5},
        {"pc-langevin", 0x4c7d6e6e78fed473},
        {"dopri5", 0x92b3bc28465f8598},
    };
    golden g;
    vpsde_grid *grid;
    (void)state;
    need_the_machine();
    begin(&g);
    assert_ok(vpsde_grid_create(&grid, vpsde_grid_find("uniform-lambda"), g.process, 40, NULL, NULL,
                                VPSDE_LAST_STOP));
    for (size_t k = 0; k < sizeof(known) / sizeof(*known); k++) {
        double x[SAMPLES * D];
        const vpsde_sampling run = {.process = g.process,
                                    .model = g.model,
                                    .solver = vpsde_solver_find(known[k].solver),
                                    .grid = grid,
                                    .rtol = 1e-6,
                                    .atol = 1e-6,
                                    .seed = 7,
                                    .count = SAMPLES};
        assert_ok(vpsde_sample_array(&run, x));
        check_hash(known[k].solver, hash_of(x, sizeof(x)), known[k].hash);
    }
    vpsde_grid_destroy(grid);
    end(&g);
}

static void densities_keep_their_bits(void **state)
{
    static const double x[POINTS * D] = {-2,  0,   2, 1, 0, 0.5, -1.75, 0.25,
                                         2.5, 1.5, 0, 0, 1, -1,  -3,    1};
    double logp[POINTS];
    golden g;
    (void)state;
    need_the_machine();
    begin(&g);
    const vpsde_likelihood run = {.process = g.process,
                                  .model = g.model,
                                  .integrator = vpsde_solver_find("dopri5"),
                                  .rtol = 1e-6,
                                  .atol = 1e-6,
                                  .seed = 7,
                                  .x = x,
                                  .count = POINTS};
    assert_ok(vpsde_likelihood_array(&run, logp));
    check_hash("log p by dopri5", hash_of(logp, sizeof(logp)), 0x07ae9d61031af3ca);
    end(&g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(noise_keeps_its_bits),
        cmocka_unit_test(samples_keep_their_bits),
        cmocka_unit_test(densities_keep_their_bits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
