/* model.compute: bf16. The rounding itself, and networks that compute with it. */
#include <stdint.h>

#include "core/config.h"
#include "models/graph_bf16.h"
#include "models/mlp.h"
#include "tests/unet_fixture.h"

static float of_bits(uint32_t bits)
{
    float x;
    memcpy(&x, &bits, sizeof(x));
    return x;
}

static uint32_t bits_of(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof(bits));
    return bits;
}

static void rounding_is_to_nearest_ties_to_even(void **state)
{
    static const uint32_t cases[][2] = {
        {0x00000000, 0x00000000}, {0x80000000, 0x80000000}, /* zeros keep their sign */
        {0x3F800000, 0x3F800000}, {0xBF810000, 0xBF810000}, /* bfloat16 already */
        {0x3F807FFF, 0x3F800000}, {0x3F808001, 0x3F810000}, /* either side of a half */
        {0x3F808000, 0x3F800000}, {0x3F818000, 0x3F820000}, /* ties: down, up to the even one */
        {0xBF808000, 0xBF800000}, {0xBF818000, 0xBF820000},
        {0x3FFF8000, 0x40000000}, {0x3FFF7FFF, 0x3FFF0000}, /* carries into the exponent */
        {0x7F7F0000, 0x7F7F0000}, {0x7F7F7FFF, 0x7F7F0000}, /* the largest, and what rounds to it */
        {0x7F7F8000, 0x7F800000}, {0xFF7FFFFF, 0xFF800000}, /* past it */
        {0x7F800000, 0x7F800000}, {0xFF800000, 0xFF800000}, /* infinities */
        {0x7F800001, 0x7FC00000}, {0xFFFFFFFF, 0xFFFF0000}, /* NaNs stay NaN, signalling or not */
        {0x7FC12345, 0x7FC10000}, {0xFF80FFFF, 0xFFC00000},
        {0x00000001, 0x00000000}, {0x00008000, 0x00000000}, /* denormals: ties to 0 */
        {0x00008001, 0x00010000}, {0x80018000, 0x80020000},
        {0x007F8000, 0x00800000}, {0x007F7FFF, 0x007F0000}, /* up to the smallest normal one */
    };
    enum { N = sizeof(cases) / sizeof(cases[0]) };
    (void)state;
    for (size_t repeat = 1; repeat <= 40; repeat++) { /* at every place of a vector and behind it */
        static float x[41 * N];
        for (size_t e = 0; e < repeat * N; e++) x[e + 1] = of_bits(cases[e % N][0]);
        graph_bf16(repeat * N, x + 1);
        for (size_t e = 0; e < repeat * N; e++)
            assert_int_equal(bits_of(x[e + 1]), cases[e % N][1]);
    }
}

/* Against the definition: the error is at most half of the spacing 2^(exponent - 7). */
static void no_number_is_nearer(void **state)
{
    enum { N = 100000 };
    static float x[N];
    static double z[N];
    (void)state;
    vpsde_normals(z, 1, VPSDE_NOISE_TEST, 0, 1, 0, N);
    for (size_t e = 0; e < N; e++) x[e] = (float)(z[e] * exp2((double)(e % 80) - 40));
    for (size_t threads = 1; threads <= 3; threads += 2) {
        static float y[N];
        memcpy(y, x, sizeof(y));
        const size_t saved = vpsde_limit_begin(threads);
        graph_bf16(N, y);
        vpsde_limit_end(saved);
        for (size_t e = 0; e < N; e++) {
            const double spacing = exp2(floor(log2(fabs((double)x[e]))) - 7);
            assert_int_equal(bits_of(y[e]) & 0xFFFFu, 0);
            assert_true(fabs((double)y[e] - (double)x[e]) <= spacing / 2);
        }
    }
}

static vpsde_model *rounded(const vpsde_unet_spec *spec)
{
    vpsde_model *const model = network(spec);
    assert_ok(vpsde_model_set_compute(model, VPSDE_COMPUTE_BF16));
    assert_int_equal(model->compute, VPSDE_COMPUTE_BF16);
    return model;
}

static void a_row_knows_nothing_but_itself(void **state)
{
    static batch all, one;
    (void)state;
    const vpsde_unet_spec spec = small_spec(CLASSES);
    vpsde_model *const model = rounded(&spec);
    draw(&all, ROWS, K, CLASSES);
    eval(model, &all, K);
    for (size_t threads = 1; threads <= 3; threads++) {
        const size_t saved = vpsde_limit_begin(threads);
        for (size_t i = 0; i < ROWS; i += 3) {
            const size_t k = i % K + 1;
            one = (batch){.n = 1, .k = k, .shared = i % 2 == 0};
            one.coef[0] = all.coef[i];
            one.classes[0] = all.classes[i];
            memcpy(one.x, all.x + i * D, D * sizeof(double));
            memcpy(one.dx, all.dx + i * K * D, k * D * sizeof(double));
            eval(model, &one, k);
            assert_memory_equal(one.eps, all.eps + i * D, D * sizeof(double));
            assert_memory_equal(one.deps, all.deps + i * K * D, k * D * sizeof(double));
        }
        vpsde_limit_end(saved);
    }
    vpsde_model_destroy(model);
}

/* |a - b| / |b|, Euclidean */
static double relative(size_t n, const double *a, const double *b)
{
    double difference = 0;
    for (size_t e = 0; e < n; e++) difference += (a[e] - b[e]) * (a[e] - b[e]);
    return sqrt(difference / dot(n, b, b));
}

/* How many layers have weights: about as many values, and as many weights, are rounded one after another. */
static size_t layers(const vpsde_model *model)
{
    const vpsde_parameter *p;
    size_t n = 0;
    for (size_t q = 0; (p = vpsde_graph_parameter(vpsde_unet_graph(model), q)) != NULL; q++) {
        n += strstr(p->name, ".weight") != NULL;
    }
    return n;
}

/* Rounding has a relative error of 2^-8 at most, of rms 0.8 2^-9 over a binade. In L layers with gains of 1
 * two independent such errors each make sqrt(2) 0.8 2^-9 sqrt(L), about 2^-9 sqrt(L); less where a
 * residual sum passes x on beside the layer. Float16 would make 1/8 of it. */
static void the_difference_is_that_of_rounding(void **state)
{
    static batch full, less;
    vpsde_unet_spec spec[8];
    (void)state;
    const size_t n = variants(spec);
    for (size_t v = 0; v < n; v++) {
        const size_t n_classes = spec[v].null_class ? CLASSES : 0;
        vpsde_model *const model = network(&spec[v]);
        draw(&full, 4, 2, n_classes);
        less = full;
        eval(model, &full, 2);
        assert_ok(vpsde_model_set_compute(model, VPSDE_COMPUTE_BF16));
        eval(model, &less, 2);
        const double theory = ldexp(sqrt((double)layers(model)), -9);
        const double value = relative(4 * D, less.eps, full.eps);
        const double tangent = relative(4 * 2 * D, less.deps, full.deps);
        print_message("network %zu: eps %.2e, tangents %.2e, 2^-9 sqrt(%zu) = %.2e\n", v, value,
                      tangent, layers(model), theory);
        assert_true(value > theory / 8 && value < 2 * theory);
        assert_true(tangent > theory / 8 && tangent < 2 * theory);
        assert_ok(vpsde_model_set_compute(model, VPSDE_COMPUTE_FLOAT32));
        less.eps[0] = NAN;
        eval(model, &less, 2);
        assert_memory_equal(less.eps, full.eps, sizeof(full.eps));
        assert_memory_equal(less.deps, full.deps, sizeof(full.deps));
        vpsde_model_destroy(model);
    }
}

/* What is rounded: a network whose weights are bfloat16 already loses nothing by rounding them, and one
 * whose embeddings are not keeps them. */
static void embeddings_and_norms_stay_float32(void **state)
{
    static batch before, after;
    static const char *const kept[] = {"time_embedding.linear_1.weight", "class_embedding.weight",
                                       "mid_block.resnets.0.time_emb_proj.weight",
                                       "mid_block.resnets.0.norm1.weight", "conv_norm_out.bias"};
    static const char *const lost[] = {"conv_in.weight", "conv_out.bias",
                                       "mid_block.attentions.0.to_q.weight"};
    (void)state;
    const vpsde_unet_spec spec = small_spec(CLASSES);
    for (size_t q = 0; q < 8; q++) {
        const char *const name = q < 5 ? kept[q] : lost[q - 5];
        vpsde_model *const model = rounded(&spec);
        const vpsde_graph *const graph = vpsde_unet_graph(model);
        const vpsde_parameter *p = NULL;
        for (size_t at = 0; (p = vpsde_graph_parameter(graph, at)) != NULL; at++) {
            if (strcmp(p->name, name) == 0) break;
        }
        assert_non_null(p);
        float *const w = vpsde_graph_parameters(graph) + p->offset;
        graph_bf16(p->count, w);
        assert_ok(vpsde_unet_ready(model));
        draw(&before, 4, 0, CLASSES);
        after = before;
        eval(model, &before, 0);
        for (size_t e = 0; e < p->count; e++) w[e] *= 1 + 0x1p-10F; /* a quarter of the spacing */
        assert_ok(vpsde_unet_ready(model));
        eval(model, &after, 0);
        const bool same = memcmp(before.eps, after.eps, 4 * D * sizeof(double)) == 0;
        if (same != (q >= 5)) print_error("%s\n", name);
        assert_int_equal(same, q >= 5);
        vpsde_model_destroy(model);
    }
}

static void what_has_no_choice_is_named(void **state)
{
    vpsde_model *mlp;
    void *ws;
    (void)state;
    const vpsde_mlp_spec spec = {.dim = 2, .hidden = 8, .layers = 1, .time_features = 8};
    assert_ok(vpsde_mlp_create(&mlp, &spec, 1));
    assert_ok(vpsde_model_set_compute(mlp, VPSDE_COMPUTE_FLOAT32));
    assert_fails(vpsde_model_set_compute(mlp, VPSDE_COMPUTE_BF16), VPSDE_EINVAL,
                 "model mlp has no compute: bf16");
    vpsde_model_destroy(mlp);
    const vpsde_unet_spec image = small_spec(0);
    vpsde_model *const model = rounded(&image);
    assert_fails(vpsde_model_set_compute(model, (vpsde_compute)7), VPSDE_EINVAL, "got number 7");
    assert_fails(model->type->trainer->changed(model), VPSDE_EINVAL, "gradients need float32");
    assert_ok(vpsde_model_workspace_create(&ws, model, 1, 0));
    vpsde_model_workspace_destroy(model, ws);
    assert_string_equal(vpsde_compute_name(VPSDE_COMPUTE_FLOAT32), "float32");
    assert_string_equal(vpsde_compute_name(VPSDE_COMPUTE_BF16), "bf16");
    vpsde_model_destroy(model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rounding_is_to_nearest_ties_to_even),
        cmocka_unit_test(no_number_is_nearer),
        cmocka_unit_test(a_row_knows_nothing_but_itself),
        cmocka_unit_test(the_difference_is_that_of_rounding),
        cmocka_unit_test(embeddings_and_norms_stay_float32),
        cmocka_unit_test(what_has_no_choice_is_named),
    };
    use_spare_threads();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
