/* A small network of every kind of layer: its tangents and gradients against differences of its own
 * outputs and against each other, its bits against every way of calling it. */
#include "tests/graph_network.h"

/* x + step dx_k of images first .. first + n - 1 */
static void fill(vpsde_graph_workspace *ws, size_t first, size_t n, double step, size_t k)
{
    for (size_t e = 0; e < n * IMAGE; e++) {
        const size_t at = first * IMAGE + e, dx = (at / IMAGE * K + k) * IMAGE + at % IMAGE;
        vpsde_graph_in(ws)[e] = (float)(number(at, 1) + step * number(dx, 2));
    }
}

static vpsde_status forward(const vpsde_graph *graph, vpsde_graph_workspace *ws, size_t first,
                            size_t n)
{
    const vpsde_graph_times times = {.label = LABELS + first, .classes = CLASSES + first};
    return vpsde_graph_forward(graph, ws, n, &times);
}

static vpsde_graph_workspace *workspace(const vpsde_graph *graph, size_t tangents, bool backward)
{
    const vpsde_graph_need need = {.images = N, .tangents = tangents, .backward = backward};
    vpsde_graph_workspace *ws;
    assert_ok(vpsde_graph_workspace_create(&ws, graph, &need));
    return ws;
}

static void set_rows(float *to, size_t seed, size_t first, size_t count)
{
    for (size_t e = 0; e < count; e++) to[e] = number(first + e, seed);
}

static void tangents(const vpsde_graph *graph, vpsde_graph_workspace *ws)
{
    fill(ws, 0, N, 0, 0);
    assert_ok(forward(graph, ws, 0, N));
    set_rows(vpsde_graph_din(ws), 2, 0, (size_t)N * K * IMAGE);
    assert_ok(vpsde_graph_jvp(graph, ws, 0, N, K));
}

/* Of all images at x + step dx_k. */
static void outputs(const vpsde_graph *graph, vpsde_graph_workspace *ws, double step, size_t k,
                    double *out)
{
    fill(ws, 0, N, step, k);
    assert_ok(forward(graph, ws, 0, N));
    for (size_t e = 0; e < (size_t)N * IMAGE; e++) out[e] = vpsde_graph_out(ws)[e];
}

static void tangents_are_differences(void **state)
{
    enum { ALL = N * IMAGE };
    static double at[4][ALL];
    const double h = 0.02;
    vpsde_graph *const graph = network();
    vpsde_graph_workspace *const ws = workspace(graph, (size_t)N * K, false);
    vpsde_graph_workspace *const plain = workspace(graph, 0, false);
    (void)state;
    tangents(graph, ws);
    for (size_t k = 0; k < K; k++) {
        for (size_t i = 0; i < 4; i++) {
            outputs(graph, plain, h * (i < 2 ? -1 : 1) * (i == 0 || i == 3 ? 2 : 1), k, at[i]);
        }
        double error = 0, size = 0;
        for (size_t e = 0; e < ALL; e++) {
            const double want = (8 * (at[2][e] - at[1][e]) - (at[3][e] - at[0][e])) / (12 * h);
            const size_t row = e / IMAGE * K + k;
            const double is = vpsde_graph_dout(ws)[row * IMAGE + e % IMAGE];
            error += (is - want) * (is - want);
            size += want * want;
        }
        assert_true(size > 1);
        assert_close(sqrt(error / size), 0, 1e-4);
    }
    vpsde_graph_workspace_destroy(plain);
    vpsde_graph_workspace_destroy(ws);
    vpsde_graph_destroy(graph);
}

static double loss(const vpsde_graph *graph, vpsde_graph_workspace *ws)
{
    double l = 0;
    fill(ws, 0, N, 0, 0);
    assert_ok(forward(graph, ws, 0, N));
    for (size_t e = 0; e < (size_t)N * IMAGE; e++) {
        l += (double)vpsde_graph_out(ws)[e] * (double)number(e, 3);
    }
    return l;
}

/* dL along `step` times the direction u of one tensor. */
static double moved(vpsde_graph *graph, vpsde_graph_workspace *ws, const vpsde_parameter *p,
                    double step)
{
    float *const w = vpsde_graph_parameters(graph) + p->offset;
    float *const saved = malloc(p->count * sizeof(*saved));
    assert_non_null(saved);
    memcpy(saved, w, p->count * sizeof(*w));
    for (size_t i = 0; i < p->count; i++) w[i] += (float)(step * number(i, 4));
    assert_ok(vpsde_graph_pack(graph, true));
    const double l = loss(graph, ws);
    memcpy(w, saved, p->count * sizeof(*w));
    free(saved);
    return l;
}

static void gradients_are_differences(void **state)
{
    vpsde_graph *const graph = network();
    vpsde_graph_workspace *const ws = workspace(graph, (size_t)N * K, true);
    vpsde_graph_workspace *const plain = workspace(graph, 0, false);
    float *const gradient = calloc(vpsde_graph_floats(graph), sizeof(float));
    (void)state;
    assert_non_null(gradient);
    tangents(graph, ws);
    set_rows(vpsde_graph_gout(ws), 3, 0, (size_t)N * IMAGE);
    assert_ok(vpsde_graph_backward(graph, ws, N, gradient, true));
    for (size_t row = 0; row < (size_t)N * K; row++) {
        double left = 0, right = 0;
        for (size_t e = 0; e < IMAGE; e++) {
            const size_t at = row / K * IMAGE + e;
            left += (double)vpsde_graph_dout(ws)[row * IMAGE + e] * (double)number(at, 3);
            right += (double)number(row * IMAGE + e, 2) * (double)vpsde_graph_gin(ws)[at];
        }
        assert_close(left, right, 2e-5);
    }
    const vpsde_parameter *p;
    double most = 0;
    for (size_t q = 0; (p = vpsde_graph_parameter(graph, q)) != NULL; q++) {
        const double root = sqrt((double)p->count), h = 0.1 / root;
        const double want = (8 * (moved(graph, plain, p, h) - moved(graph, plain, p, -h)) -
                             (moved(graph, plain, p, 2 * h) - moved(graph, plain, p, -2 * h))) /
                            (12 * h);
        double is = 0, norm_of = 0;
        for (size_t i = 0; i < p->count; i++) {
            is += (double)gradient[p->offset + i] * (double)number(i, 4);
            norm_of += fabs((double)gradient[p->offset + i]);
        }
        /* Round-off of L over the step, and the step's own error. Fourier frequencies are drawn
         * once and stay, as in diffusers. */
        const bool fixed = strcmp(p->name, "fourier.weight") == 0;
        assert_close(is, fixed ? 0 : want, fixed ? 0 : 3e-5 * root + 1e-3 * fabs(want));
        most = fmax(most, norm_of);
    }
    assert_true(most > 1);
    free(gradient);
    vpsde_graph_workspace_destroy(plain);
    vpsde_graph_workspace_destroy(ws);
    vpsde_graph_destroy(graph);
}

typedef struct reference {
    const vpsde_graph *graph;
    float out[N * IMAGE], dout[N * K * IMAGE], gin[N * IMAGE];
    float *gradient; /* of all images */
} reference;

static void check_same(const float *a, const float *b, size_t count)
{
    assert_memory_equal(a, b, count * sizeof(*a));
}

static void check_images(const reference *r, vpsde_graph_workspace *ws, size_t first, size_t n,
                         float *gradient)
{
    const size_t floats = vpsde_graph_floats(r->graph);
    fill(ws, first, n, 0, 0);
    assert_ok(forward(r->graph, ws, first, n));
    check_same(vpsde_graph_out(ws), r->out + first * IMAGE, n * IMAGE);
    if (!vpsde_graph_din(ws)) return;
    for (size_t i = 0; i < n; i++) {
        set_rows(vpsde_graph_din(ws), 2, (first + i) * K * IMAGE, (n - i) * K * IMAGE);
        assert_ok(vpsde_graph_jvp(r->graph, ws, i, n - i, K));
        check_same(vpsde_graph_dout(ws), r->dout + (first + i) * K * IMAGE, (n - i) * K * IMAGE);
        assert_ok(vpsde_graph_jvp(r->graph, ws, i, 1, 1));
        check_same(vpsde_graph_dout(ws), r->dout + (first + i) * K * IMAGE, IMAGE);
    }
    set_rows(vpsde_graph_gout(ws), 3, first * IMAGE, n * IMAGE);
    memset(gradient, 0, floats * sizeof(*gradient));
    assert_ok(vpsde_graph_backward(r->graph, ws, n, gradient, true));
    /* A reverse pass is a sum over its images: its bits are those of the same images together
     * (models/layers/winograd.h runs tiles of neighbouring images in one product). */
    for (size_t e = 0; e < n * IMAGE; e++) {
        assert_close(vpsde_graph_gin(ws)[e], r->gin[first * IMAGE + e], 1e-5);
    }
    if (n < N) return;
    check_same(vpsde_graph_gin(ws), r->gin, (size_t)N * IMAGE);
    check_same(gradient, r->gradient, floats);
}

static vpsde_status other_ways(void *shared, vpsde_queue *queue)
{
    const reference *const r = shared;
    size_t b;
    if (!vpsde_queue_take(queue, &b)) return VPSDE_OK;
    float *const gradient = malloc(vpsde_graph_floats(r->graph) * sizeof(*gradient));
    assert_non_null(gradient);
    for (size_t tape = 0; tape < 2; tape++) {
        vpsde_graph_workspace *const ws = workspace(r->graph, tape ? (size_t)N * K : 0, tape);
        for (size_t n = 1; n <= N; n++) {
            for (size_t first = 0; first + n <= N; first++) {
                check_images(r, ws, first, n, gradient);
            }
        }
        vpsde_graph_workspace_destroy(ws);
    }
    free(gradient);
    return VPSDE_OK;
}

static void bits_are_an_images_own(void **state)
{
    static reference r;
    vpsde_graph *const graph = network();
    vpsde_graph_workspace *const ws = workspace(graph, (size_t)N * K, true);
    (void)state;
    r.graph = graph;
    r.gradient = calloc(vpsde_graph_floats(graph), sizeof(float));
    assert_non_null(r.gradient);
    tangents(graph, ws);
    memcpy(r.out, vpsde_graph_out(ws), sizeof(r.out));
    memcpy(r.dout, vpsde_graph_dout(ws), sizeof(r.dout));
    set_rows(vpsde_graph_gout(ws), 3, 0, (size_t)N * IMAGE);
    assert_ok(vpsde_graph_backward(graph, ws, N, r.gradient, true));
    memcpy(r.gin, vpsde_graph_gin(ws), sizeof(r.gin));
    for (size_t threads = 1; threads <= 3; threads++) {
        assert_ok(vpsde_parallel(threads, 1, other_ways, &r, NULL));
    }
    free(r.gradient);
    vpsde_graph_workspace_destroy(ws);
    vpsde_graph_destroy(graph);
}

/* One label for all images. */
static void shared_labels_are_labels(void **state)
{
    static const double same[N] = {3.5, 3.5, 3.5};
    vpsde_graph *const graph = network();
    vpsde_graph_workspace *const ws = workspace(graph, 0, false);
    float out[N * IMAGE];
    (void)state;
    for (size_t shared = 0; shared < 2; shared++) {
        const vpsde_graph_times times = {.label = same, .classes = CLASSES, .shared = shared};
        fill(ws, 0, N, 0, 0);
        assert_ok(vpsde_graph_forward(graph, ws, N, &times));
        if (shared) check_same(vpsde_graph_out(ws), out, (size_t)N * IMAGE);
        memcpy(out, vpsde_graph_out(ws), sizeof(out));
    }
    vpsde_graph_workspace_destroy(ws);
    vpsde_graph_destroy(graph);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tangents_are_differences),
        cmocka_unit_test(gradients_are_differences),
        cmocka_unit_test(bits_are_an_images_own),
        cmocka_unit_test(shared_labels_are_labels),
    };
    (void)setenv("OMP_WAIT_POLICY", "active", 1); /* small as it is, by its spare threads */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
