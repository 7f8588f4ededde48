/* The gradient of a U-Net by its parameters beside PyTorch's, from tests/golden/unet/make_gradient_golden.py. */
#include <stdlib.h>
#include <string.h>

#include <vpsde/vpsde.h>

#include "models/train.h"
#include "models/unet.h"
#include "tests/unet_golden.h"

enum { ROWS = 8, PARAMETERS = 256 };

static int by_name(const void *a, const void *b)
{
    const vpsde_parameter *const *p = a, *const *q = b;
    return strcmp((*p)->name, (*q)->name);
}

/* The parameters that are learnt, by name. */
static size_t sorted(const vpsde_parameter *p[PARAMETERS], const vpsde_model *model)
{
    const vpsde_graph *const graph = vpsde_unet_graph(model);
    const vpsde_parameter *next;
    size_t n = 0;
    for (size_t q = 0; (next = vpsde_graph_parameter(graph, q)) != NULL; q++) {
        assert_true(n < PARAMETERS);
        if (strcmp(next->name, "time_proj.weight") != 0) p[n++] = next;
    }
    qsort(p, n, sizeof(*p), by_name);
    return n;
}

/* The gradient of 1/4 sum (eps(x) - x/2)^2 for a golden batch. */
static float *gradient(vpsde_model *model, const char *name)
{
    static double x[VALUES_MAX], label[VALUES_MAX], class[VALUES_MAX];
    static float input[VALUES_MAX], target[VALUES_MAX];
    const vpsde_trainer_ops *const ops = model->type->trainer;
    int32_t classes[ROWS];
    float weight[ROWS], *g;
    double sum;
    void *ws;
    const size_t n = read_npy(x, name, "/x.npy");
    assert_true(n > 0 && n <= ROWS);
    assert_int_equal(read_npy(label, name, "/label.npy"), n);
    const bool has_class = read_npy(class, name, "/class.npy") > 0;
    for (size_t e = 0; e < n * model->dim; e++) {
        input[e] = (float)x[e];
        target[e] = input[e] / 2;
    }
    for (size_t i = 0; i < n; i++) {
        weight[i] = 1;
        classes[i] = (int32_t) class[i];
    }
    g = calloc(ops->n_floats(model), sizeof(*g));
    assert_non_null(g);
    assert_ok(ops->changed(model));
    assert_ok(ops->workspace_create(&ws, model));
    assert_ok(ops->gradient(model, ws,
                            &(vpsde_train_block){.n = n,
                                                 .label = label,
                                                 .x = input,
                                                 .target = target,
                                                 .weight = weight,
                                                 .classes = has_class ? classes : NULL,
                                                 .scale = 0.25},
                            &sum, g, NULL));
    ops->workspace_destroy(ws);
    return g;
}

/* A key's bias adds the same to all logits of a query. */
static bool moves_no_softmax(const vpsde_parameter *p)
{
    static const char key_bias[] = "to_k.bias";
    const size_t length = strlen(p->name), tail = sizeof(key_bias) - 1;
    return length > tail && strcmp(p->name + length - tail, key_bias) == 0;
}

static double largest(const double *v, size_t n)
{
    double size = 0;
    for (size_t e = 0; e < n; e++) size = fmax(size, fabs(v[e]));
    return size;
}

static void parameter_gradients_are_those_of_pytorch(void **state)
{
    static const char *const names[] = {"cifar", "heads", "wide", "shift", "fourier"};
    static double expected[VALUES_MAX], actual[VALUES_MAX];
    const double tolerance = 1e-4;
    bool fits = true;
    (void)state;
    for (size_t c = 0; c < sizeof(names) / sizeof(names[0]); c++) {
        const vpsde_parameter *p[PARAMETERS];
        vpsde_model *const model = open_golden(names[c]);
        float *const g = gradient(model, names[c]);
        const size_t n = sorted(p, model);
        double worst = 0;
        size_t at = 0;
        assert_int_equal(read_npy(expected, names[c], "/gradient.npy"), 1);
        for (size_t q = 0; q < n; q++) {
            for (size_t e = 0; e < p[q]->count; e++) actual[e] = (double)g[p[q]->offset + e];
            double error = relative(actual, expected + at, p[q]->count);
            if (moves_no_softmax(
                    p[q])) { /* 0 but for rounding: its weights, next by name, have a size */
                const double *const weights = expected + at + p[q]->count;
                error = largest(actual, p[q]->count) / largest(weights, p[q + 1]->count);
            }
            if (!(error <= tolerance)) print_message("%s: %s %.2g\n", names[c], p[q]->name, error);
            worst = error > worst ? error : worst;
            at += p[q]->count;
        }
        print_message("%-8s %zu numbers, %.2g of a tensor's largest\n", names[c], at, worst);
        fits = fits && worst <= tolerance;
        free(g);
        vpsde_model_destroy(model);
    }
    assert_true(fits);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parameter_gradients_are_those_of_pytorch),
    };
    if (argc != 2) return 2;
    root = argv[1];
    return cmocka_run_group_tests(tests, NULL, NULL);
}
