/* The graph on toy layers whose numbers are exact in float. */
#include "tests/graph_toys.h"

/* f = (a^2 t + a) d, a = w0 x, t = (label + class) w1, d = w2 x */
static vpsde_graph *make_f(void)
{
    const size_t none = VPSDE_TENSOR_NONE;
    vpsde_graph *graph;
    assert_ok(vpsde_graph_create(&graph, PICTURE));
    const size_t a = add(graph, &SCALE, 0, none), t = add(graph, &LABEL, none, none);
    const size_t b = add(graph, &PRODUCT, a, t), c = add(graph, &PRODUCT, a, b);
    const size_t d = add(graph, &SCALE, 0, none), e = add(graph, &SUM, c, a);
    assert_int_equal(add(graph, &PRODUCT, e, d), 7);
    assert_ok(vpsde_graph_finish(graph));
    for (size_t p = 0; p < 3; p++) {
        float *const w = vpsde_graph_parameters(graph) + vpsde_graph_parameter(graph, p)->offset;
        for (size_t c2 = 0; c2 < C; c2++) w[c2] = (float)(1 + (p + 2 * c2) % 4);
    }
    assert_ok(vpsde_graph_pack(graph, true));
    return graph;
}

static float w_of(const vpsde_graph *graph, size_t p, size_t e)
{
    return vpsde_graph_parameters(graph)[vpsde_graph_parameter(graph, p)->offset + e % C];
}

static float x_of(size_t e) { return (float)(e * 5 % 7) - 3; }
static float v_of(size_t e) { return (float)(e * 3 % 5) - 2; }

static const double LABELS[N] = {2, -1, 3};
static const int32_t CLASSES[N] = {1, 0, 2};

/* a, t, d of element e of image i. */
static void terms(const vpsde_graph *graph, size_t i, size_t e, bool shared, float *a, float *t,
                  float *d)
{
    const float x = x_of(i * IMAGE + e);
    *a = w_of(graph, 0, e) * x;
    *t = (float)(LABELS[shared ? 0 : i] + CLASSES[i]) * w_of(graph, 1, e);
    *d = w_of(graph, 2, e) * x;
}

static void fill_input(vpsde_graph_workspace *ws, size_t n, bool poison)
{
    for (size_t e = 0; e < n * IMAGE; e++) vpsde_graph_in(ws)[e] = poison ? NAN : x_of(e);
}

static vpsde_graph_times times_of(bool shared)
{
    return (vpsde_graph_times){.label = LABELS, .classes = CLASSES, .shared = shared};
}

static void check_out(const vpsde_graph *graph, const vpsde_graph_workspace *ws, size_t n,
                      bool shared)
{
    for (size_t e = 0; e < n * IMAGE; e++) {
        float a, t, d;
        terms(graph, e / IMAGE, e % IMAGE, shared, &a, &t, &d);
        assert_true(vpsde_graph_out(ws)[e] == (a * a * t + a) * d);
    }
}

static void check_jvp(const vpsde_graph *graph, vpsde_graph_workspace *ws, size_t first, size_t n,
                      size_t k)
{
    for (size_t e = 0; e < n * k * IMAGE; e++) vpsde_graph_din(ws)[e] = NAN;
    assert_ok(vpsde_graph_jvp(graph, ws, first, n, k));
    for (size_t e = 0; e < n * k * IMAGE; e++) vpsde_graph_din(ws)[e] = v_of(e);
    assert_ok(vpsde_graph_jvp(graph, ws, first, n, k));
    for (size_t e = 0; e < n * k * IMAGE; e++) {
        float a, t, d;
        terms(graph, first + e / IMAGE / k, e % IMAGE, false, &a, &t, &d);
        const float da = w_of(graph, 0, e) * v_of(e), dd = w_of(graph, 2, e) * v_of(e);
        assert_true(vpsde_graph_dout(ws)[e] == (2 * a * t * da + da) * d + (a * a * t + a) * dd);
    }
}

static void check_backward(const vpsde_graph *graph, vpsde_graph_workspace *ws, size_t n,
                           bool want_gin)
{
    float gradient[64] = {0}, expected[3][C] = {{0}};
    assert_true(vpsde_graph_floats(graph) <= 64);
    for (size_t e = 0; e < n * IMAGE; e++) vpsde_graph_gout(ws)[e] = NAN;
    assert_ok(vpsde_graph_backward(graph, ws, n, (float[64]){0}, true));
    for (size_t e = 0; e < n * IMAGE; e++) vpsde_graph_gout(ws)[e] = v_of(e);
    for (size_t run = 0; run < 2; run++) {
        assert_ok(vpsde_graph_backward(graph, ws, n, gradient, want_gin));
    }
    for (size_t e = 0; e < n * IMAGE; e++) {
        float a, t, d;
        terms(graph, e / IMAGE, e % IMAGE, false, &a, &t, &d);
        const float x = x_of(e), g = v_of(e), ge = g * d, gd = g * (a * a * t + a);
        const float ga = ge * (1 + 2 * a * t);
        expected[0][e % C] += ga * x;
        expected[1][e % C] += ge * a * a * (float)(LABELS[e / IMAGE] + CLASSES[e / IMAGE]);
        expected[2][e % C] += gd * x;
        const float gin = ga * w_of(graph, 0, e) + gd * w_of(graph, 2, e);
        if (want_gin) assert_true(vpsde_graph_gin(ws)[e] == gin);
    }
    for (size_t p = 0; p < 3; p++) {
        for (size_t c = 0; c < C; c++) {
            assert_true(gradient[vpsde_graph_parameter(graph, p)->offset + c] ==
                        2 * expected[p][c]);
        }
    }
}

/* With and without a tape, after a pass that left NaN everywhere. */
static void passes_are_exact(void **state)
{
    static const vpsde_graph_need needs[] = {{.images = N},
                                             {.images = N, .tangents = N * K},
                                             {.images = N, .backward = true},
                                             {.images = N, .tangents = 1, .backward = true}};
    vpsde_graph *const graph = make_f();
    (void)state;
    for (size_t i = 0; i < sizeof(needs) / sizeof(*needs); i++) {
        vpsde_graph_workspace *ws;
        assert_ok(vpsde_graph_workspace_create(&ws, graph, &needs[i]));
        assert_int_equal(ws_images, i == 1 ? N * K : N);
        for (size_t n = N; n > 0; n--) {
            for (size_t shared = 0; shared < 2; shared++) {
                const vpsde_graph_times times = times_of(shared);
                fill_input(ws, N, true);
                assert_ok(vpsde_graph_forward(graph, ws, N, &times));
                fill_input(ws, n, false);
                assert_ok(vpsde_graph_forward(graph, ws, n, &times));
                check_out(graph, ws, n, shared);
            }
            const vpsde_graph_times times = times_of(false);
            assert_ok(vpsde_graph_forward(graph, ws, n, &times));
            for (size_t first = 0; needs[i].tangents && first < n; first++) {
                const size_t k = needs[i].tangents == 1 ? 1 : K;
                check_jvp(graph, ws, first, k == 1 ? 1 : n - first, k);
                check_jvp(graph, ws, first, 1, needs[i].tangents);
            }
            if (needs[i].backward) check_backward(graph, ws, n, n % 2);
            if (needs[i].backward) check_backward(graph, ws, n, true);
        }
        vpsde_graph_workspace_destroy(ws);
    }
    vpsde_graph_destroy(graph);
    assert_int_equal(n_alive, 0);
    assert_int_equal(n_workspaces, 0);
}

static void parameters_have_their_places(void **state)
{
    vpsde_graph *const graph = make_f();
    (void)state;
    assert_int_equal(vpsde_graph_floats(graph), 48);
    assert_int_equal(vpsde_graph_n_parameters(graph), 9);
    assert_int_equal((uintptr_t)vpsde_graph_parameters(graph) % 64, 0);
    for (size_t p = 0; p < 3; p++) {
        assert_int_equal(vpsde_graph_parameter(graph, p)->offset, 16 * p);
    }
    assert_null(vpsde_graph_parameter(graph, 3));
    assert_string_equal(vpsde_graph_find(graph, "w")->name, "w");
    assert_null(vpsde_graph_find(graph, "nothing"));
    assert_close(vpsde_graph_flops(graph), 7, 0);
    vpsde_graph_destroy(graph);
}

/* A chain needs room for its ends and two tensors between them, with a tape for all. */
static void memory_is_shared(void **state)
{
    enum { DEPTH = 20 };
    static const vpsde_graph_need value = {.images = 4}, tangent = {.images = 4, .tangents = 4},
                                  gradient = {.images = 4, .backward = true};
    vpsde_graph *graph;
    vpsde_graph_workspace *ws;
    size_t last = 0, bytes[3];
    (void)state;
    assert_ok(vpsde_graph_create(&graph, PICTURE));
    for (size_t l = 0; l < DEPTH; l++) last = add(graph, &SCALE, last, VPSDE_TENSOR_NONE);
    assert_int_equal(last, DEPTH);
    assert_ok(vpsde_graph_finish(graph));
    for (size_t i = 0; i < 3; i++) {
        assert_ok(vpsde_graph_workspace_create(&ws, graph,
                                               i == 0 ? &value : (i == 1 ? &tangent : &gradient)));
        bytes[i] = vpsde_graph_workspace_bytes(ws) - 5 * sizeof(float);
        vpsde_graph_workspace_destroy(ws);
    }
    const size_t one = 4 * IMAGE * sizeof(float);
    assert_int_equal(bytes[0], 4 * one);
    assert_int_equal(bytes[1], (DEPTH + 1 + 4) * one);
    assert_int_equal(bytes[2], (DEPTH + 1 + 4) * one);
    vpsde_graph_destroy(graph);
}

static void bad_networks_are_refused(void **state)
{
    const size_t none = VPSDE_TENSOR_NONE;
    vpsde_graph *graph;
    size_t out;
    (void)state;
    assert_fails(vpsde_graph_create(&graph, (vpsde_extent){1, 0, 1}), VPSDE_EINVAL, "1 x 0 x 1");
    assert_ok(vpsde_graph_create(&graph, PICTURE));
    assert_fails(vpsde_graph_finish(graph), VPSDE_EINVAL, "no layer");
    assert_fails(vpsde_graph_pack(graph, false), VPSDE_EINVAL, "not finished");
    assert_fails(try_add(graph, &out, &SCALE, none, none), VPSDE_EINVAL, "input 0 is missing");
    assert_fails(try_add(graph, &out, &SCALE, 9, none), VPSDE_EINVAL, "tensor 9 of 1");
    assert_fails(try_add(graph, &out, &SUM, 0, 0), VPSDE_EINVAL, "both tensor 0");
    assert_fails(try_add(graph, &out, &SCALE, 0, 0), VPSDE_EINVAL, "both");
    const size_t t = add(graph, &LABEL, none, none);
    assert_fails(try_add(graph, &out, &SCALE, t, none), VPSDE_EINVAL, "1 x 1 x 3, not 2 x 2 x 3");
    add(graph, &SCALE, 0, none);
    assert_fails(vpsde_graph_finish(graph), VPSDE_EINVAL, "layer 0 (label)");
    vpsde_graph_destroy(graph);
    assert_int_equal(n_alive, 0);
}

static void failures_come_through(void **state)
{
    static const vpsde_graph_need need = {.images = 2, .tangents = 3, .backward = true};
    static const vpsde_graph_need none = {.images = 0}, little = {.images = 2};
    static const vpsde_graph_need large[] = {{.images = (size_t)1 << 40},
                                             {.images = 1, .tangents = (size_t)1 << 40},
                                             {.images = (size_t)1 << 40, .backward = true}};
    vpsde_graph *const graph = make_f();
    vpsde_graph_workspace *ws;
    const vpsde_graph_times times = times_of(false);
    size_t out;
    float g[48] = {0};
    (void)state;
    assert_fails(try_add(graph, &out, &SCALE, 0, VPSDE_TENSOR_NONE), VPSDE_EINVAL, "finished");
    assert_fails(vpsde_graph_finish(graph), VPSDE_EINVAL, "finished before");
    assert_fails(vpsde_graph_workspace_create(&ws, graph, &none), VPSDE_EINVAL, "0 images");
    for (size_t i = 0; i < 3; i++) {
        assert_fails(vpsde_graph_workspace_create(&ws, graph, &large[i]), VPSDE_EINVAL,
                     "GiB of memory, this machine has");
    }
    assert_fails(
        vpsde_graph_workspace_create(&ws, graph, &(vpsde_graph_need){.images = SIZE_MAX / 16}),
        VPSDE_EINVAL, "of a workspace");
    assert_ok(vpsde_graph_workspace_create(&ws, graph, &little));
    assert_null(vpsde_graph_din(ws));
    assert_null(vpsde_graph_gout(ws));
    assert_fails(vpsde_graph_backward(graph, ws, 1, g, true), VPSDE_EINVAL, "workspace was not");
    vpsde_graph_workspace_destroy(ws);
    fail_workspace = true;
    assert_ok(vpsde_graph_workspace_create(&ws, graph, &need));
    vpsde_graph_workspace *other;
    assert_fails(vpsde_graph_workspace_create(&other, graph, &need), VPSDE_ENOMEM,
                 "layer 0 (scale): toy workspace");
    fail_workspace = false;
    assert_fails(vpsde_graph_jvp(graph, ws, 0, 1, 1), VPSDE_EINVAL, "forward pass of 0");
    assert_fails(vpsde_graph_forward(graph, ws, 3, &times), VPSDE_EINVAL, "1 to 2");
    fill_input(ws, 2, false);
    assert_ok(vpsde_graph_forward(graph, ws, 2, &times));
    assert_fails(vpsde_graph_jvp(graph, ws, 1, 2, 1), VPSDE_EINVAL, "images 1 to 3");
    assert_fails(vpsde_graph_jvp(graph, ws, 0, 2, 2), VPSDE_EINVAL, "for 1 to 3");
    assert_fails(vpsde_graph_jvp(graph, ws, 0, 2, 0), VPSDE_EINVAL, "0 tangents");
    assert_fails(vpsde_graph_backward(graph, ws, 1, g, true), VPSDE_EINVAL, "forward pass of 2");
    fail_forward = true;
    assert_fails(vpsde_graph_forward(graph, ws, 2, &times), VPSDE_ENUMERIC, "layer 0 (scale): toy");
    fail_forward = false;
    assert_fails(vpsde_graph_backward(graph, ws, 2, g, true), VPSDE_EINVAL, "forward pass of 0");
    assert_ok(vpsde_graph_pack(graph, false));
    assert_fails(vpsde_graph_backward(graph, ws, 2, g, true), VPSDE_EINVAL, "packing was not");
    assert_ok(vpsde_graph_forward(graph, ws, 2, &times));
    assert_ok(vpsde_graph_pack(graph, true));
    assert_fails(vpsde_graph_jvp(graph, ws, 0, 1, 1), VPSDE_EINVAL, "packed after the forward");
    assert_fails(vpsde_graph_backward(graph, ws, 2, g, true), VPSDE_EINVAL,
                 "packed after the forward");
    assert_ok(vpsde_graph_forward(graph, ws, 2, &times));
    assert_ok(vpsde_graph_jvp(graph, ws, 0, 1, 1));
    assert_ok(vpsde_graph_backward(graph, ws, 2, g, true));
    fail_pack = true;
    assert_fails(vpsde_graph_pack(graph, true), VPSDE_ENOMEM, "layer 0 (scale): toy pack");
    fail_pack = false;
    assert_fails(vpsde_graph_forward(graph, ws, 2, &times), VPSDE_EINVAL, "not packed");
    vpsde_graph_workspace_destroy(ws);
    vpsde_graph_destroy(graph);
    assert_int_equal(n_workspaces, 0);
}

typedef struct tally {
    size_t n_threads, count[7], inner[7];
} tally;

static void count_one(void *context, size_t i)
{
    tally *const t = context;
    t->count[i]++;
    t->inner[i] = vpsde_team_threads();
}

static vpsde_status count_block(void *shared, vpsde_queue *queue)
{
    tally *const tallies = shared;
    for (size_t b; vpsde_queue_take(queue, &b);) {
        tallies[b].n_threads = vpsde_team_threads();
        vpsde_team(7, count_one, &tallies[b]);
    }
    return VPSDE_OK;
}

/* Threads left over by the blocks go to the teams inside them. */
static void teams_share_spare_threads(void **state)
{
    const size_t before = vpsde_team_threads();
    (void)state;
    for (size_t threads = 1; threads <= 6; threads++) {
        for (size_t blocks = 1; blocks <= 3; blocks++) {
            tally tallies[3] = {{0}};
            const size_t workers = blocks < threads ? blocks : threads;
            assert_ok(vpsde_parallel(threads, blocks, count_block, tallies, NULL));
            assert_int_equal(vpsde_team_threads(), before);
            for (size_t b = 0; b < blocks; b++) {
                assert_int_equal(tallies[b].n_threads, threads / workers);
                for (size_t i = 0; i < 7; i++) {
                    assert_int_equal(tallies[b].count[i], 1);
                    assert_int_equal(tallies[b].inner[i], 1);
                }
            }
        }
    }
    const size_t saved = vpsde_limit_begin(1);
    assert_int_equal(vpsde_team_threads(), 1);
    vpsde_limit_end(saved);
    assert_int_equal(vpsde_team_threads(), before);
}

/* Little work stays on its thread unless threads are awake all the time. */
static void little_work_wakes_nobody(void **state)
{
    static const vpsde_graph_need need = {.images = 2};
    static const struct {
        const char *policy;
        double flops;
        size_t threads;
    } cases[] = {{"passive", 1, 1}, {"passive", 1e9, 2}, {"active", 1, 2}, {NULL, 1, 1}};
    const vpsde_graph_times times = times_of(false);
    const char *const before = getenv("OMP_WAIT_POLICY");
    (void)state;
    for (size_t c = 0; c < sizeof(cases) / sizeof(cases[0]); c++) {
        vpsde_graph_workspace *ws;
        if (cases[c].policy) (void)setenv("OMP_WAIT_POLICY", cases[c].policy, 1);
        if (!cases[c].policy) (void)unsetenv("OMP_WAIT_POLICY");
        toy_flops = cases[c].flops;
        vpsde_graph *const graph = make_f();
        const size_t saved = vpsde_limit_begin(2);
        assert_ok(vpsde_graph_workspace_create(&ws, graph, &need));
        fill_input(ws, 2, false);
        assert_ok(vpsde_graph_forward(graph, ws, 2, &times));
        assert_int_equal(forward_threads, cases[c].threads);
        vpsde_limit_end(saved);
        vpsde_graph_workspace_destroy(ws);
        vpsde_graph_destroy(graph);
    }
    toy_flops = 1;
    if (before) (void)setenv("OMP_WAIT_POLICY", before, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(passes_are_exact),         cmocka_unit_test(parameters_have_their_places),
        cmocka_unit_test(memory_is_shared),         cmocka_unit_test(bad_networks_are_refused),
        cmocka_unit_test(failures_come_through),    cmocka_unit_test(teams_share_spare_threads),
        cmocka_unit_test(little_work_wakes_nobody),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
