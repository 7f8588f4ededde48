/* The U-Net's gradients, training and files. */
#include <unistd.h>

#include "core/safetensors.h"
#include "tests/unet_fixture.h"

/* One block of training rows. */
typedef struct lesson {
    void *ws;
    const vpsde_trainer_ops *ops;
    vpsde_train_block block;
    double label[8];
    int32_t classes[8];
    float x[8 * D], target[8 * D], weight[8], dx[8 * D];
    float *gradient;
} lesson;

static void lesson_begin(lesson *l, vpsde_model *model, size_t n, bool classes)
{
    const bool fourier = vpsde_unet_get_spec(model)->time == VPSDE_UNET_FOURIER;
    double z[D];
    memset(l, 0, sizeof(*l));
    l->ops = model->type->trainer;
    for (size_t i = 0; i < n; i++) {
        double u;
        vpsde_uniforms(&u, 4, VPSDE_NOISE_TEST, i, 1, 0, 1);
        l->label[i] = fourier ? 0.5 + u : 1 + 900 * u; /* the divisor of the output, too */
        l->classes[i] = (int32_t)(i % (CLASSES + 1)) - 1;
        l->weight[i] = (float)(0.5 + u);
        vpsde_normals(z, 4, VPSDE_NOISE_TEST, i, 1, 1, D);
        for (size_t j = 0; j < D; j++) l->x[i * D + j] = (float)z[j];
        vpsde_normals(z, 4, VPSDE_NOISE_TEST, i, 1, 2, D);
        for (size_t j = 0; j < D; j++) l->target[i * D + j] = (float)z[j];
    }
    l->block = (vpsde_train_block){.n = n,
                                   .label = l->label,
                                   .x = l->x,
                                   .target = l->target,
                                   .weight = l->weight,
                                   .classes = classes ? l->classes : NULL,
                                   .scale = 0.25};
    l->gradient = calloc(l->ops->n_floats(model), sizeof(float));
    assert_non_null(l->gradient);
    assert_ok(l->ops->changed(model));
    assert_ok(l->ops->workspace_create(&l->ws, model));
}

static void lesson_end(lesson *l)
{
    l->ops->workspace_destroy(l->ws);
    free(l->gradient);
}

/* scale sum of the block with parameters w + s direction */
static double loss_at(lesson *l, vpsde_model *model, const float *w, double s,
                      const double *direction)
{
    const size_t n = l->ops->n_floats(model);
    float *const own = l->ops->parameters(model);
    float *const scrap = calloc(n, sizeof(float));
    double sum;
    assert_non_null(scrap);
    for (size_t e = 0; e < n; e++) own[e] = (float)((double)w[e] + s * direction[e]);
    assert_ok(l->ops->changed(model));
    assert_ok(l->ops->gradient(model, l->ws, &l->block, &sum, scrap, NULL));
    free(scrap);
    return l->block.scale * sum;
}

/* A unit vector in one tensor, half along its gradient and half at random, so that a slope too small is
 * seen as well as one that points elsewhere; returns the gradient's slope along it. */
static double direct(double *direction, const lesson *l, const vpsde_parameter *p, double *length)
{
    const float *const g = l->gradient + p->offset;
    double *const to = direction + p->offset, slope = 0, own = 0, drawn = 0, norm = 0;
    vpsde_normals(to, 7, VPSDE_NOISE_TEST, p->offset, p->count, 3, 1);
    for (size_t e = 0; e < p->count; e++) {
        own += (double)g[e] * (double)g[e];
        drawn += to[e] * to[e];
    }
    *length = sqrt(own);
    for (size_t e = 0; e < p->count; e++) {
        to[e] = to[e] / sqrt(drawn) + (own > 0 ? (double)g[e] / sqrt(own) : 0);
        norm += to[e] * to[e];
    }
    for (size_t e = 0; e < p->count; e++) {
        to[e] /= sqrt(norm);
        slope += to[e] * (double)g[e];
    }
    return slope;
}

enum { EVERY = 5 }; /* so many networks look at every tensor of what they share */

/* The loss, about 200, is a double sum over float32 outputs good to 1e-6: its differences over 2 h carry
 * errors of about 1e-3, beside the truncation of order h^2 of the slope. */
static void check_gradient(const vpsde_unet_spec *spec, size_t first)
{
    const double h = 1e-2;
    static lesson l;
    const vpsde_parameter *p;
    vpsde_model *const model = network(spec);
    const vpsde_graph *const graph = vpsde_unet_graph(model);
    lesson_begin(&l, model, 3, spec->null_class);
    const size_t n = l.ops->n_floats(model);
    float *const w = calloc(n, sizeof(float));
    double *const direction = calloc(n, sizeof(double));
    double sum;
    assert_true(w && direction);
    memcpy(w, l.ops->parameters(model), n * sizeof(float));
    assert_ok(l.ops->gradient(model, l.ws, &l.block, &sum, l.gradient, NULL));
    for (size_t q = first; (p = vpsde_graph_parameter(graph, q)) != NULL; q += EVERY) {
        double length;
        if (strcmp(p->name, "time_proj.weight") == 0) continue; /* is not learnt */
        memset(direction, 0, n * sizeof(double));
        const double expected = direct(direction, &l, p, &length);
        const double up = loss_at(&l, model, w, h, direction);
        const double down = loss_at(&l, model, w, -h, direction);
        check_close((up - down) / (2 * h), expected, 1e-3 + 2e-3 * length, p->name, __FILE__,
                    __LINE__);
    }
    free(direction);
    free(w);
    lesson_end(&l);
    vpsde_model_destroy(model);
}

static void parameter_gradients_are_derivatives(void **state)
{
    vpsde_unet_spec spec[8];
    (void)state;
    const size_t n = variants(spec);
    for (size_t v = 0; v < n; v++) check_gradient(&spec[v], v % EVERY);
}

/* dx of scale sum weight |out - target|^2 against sum 2 scale weight (out - target) J dx. */
static void reverse_and_forward_mode_agree(void **state)
{
    static lesson l;
    static batch b;
    vpsde_unet_spec spec[8];
    (void)state;
    const size_t n_variants = variants(spec);
    for (size_t v = 0; v < n_variants; v++) {
        vpsde_model *const model = network(&spec[v]);
        double sum, expected = 0, loss = 0;
        lesson_begin(&l, model, 5, spec[v].null_class);
        assert_ok(l.ops->gradient(model, l.ws, &l.block, &sum, l.gradient, l.dx));
        draw(&b, 5, 1, 0);
        for (size_t i = 0; i < 5; i++) {
            b.coef[i].label = l.label[i];
            b.classes[i] = spec[v].null_class ? l.classes[i] : -1;
            for (size_t j = 0; j < D; j++) b.x[i * D + j] = (double)l.x[i * D + j];
            vpsde_normals(b.dx + i * D, 9, VPSDE_NOISE_TEST, i, 1, 5, D);
        }
        eval(model, &b, 1);
        double actual = 0;
        for (size_t e = 0; e < 5 * D; e++) {
            const double w = (double)l.weight[e / D], error = b.eps[e] - (double)l.target[e];
            expected += 2 * l.block.scale * w * error * b.deps[e];
            actual += (double)l.dx[e] * (double)(float)b.dx[e];
            loss += w * error * error;
        }
        assert_close(sum, loss, 1e-5 * loss);
        assert_close(actual, expected, 1e-4 * sqrt(dot(5 * D, b.deps, b.deps) * loss));
        lesson_end(&l);
        vpsde_model_destroy(model);
    }
}

static void files_bring_the_same_bits_back(void **state)
{
    char folder[] = "/tmp/vpsde-test-XXXXXX", path[64];
    static batch before, after;
    vpsde_unet_spec spec[8];
    (void)state;
    assert_non_null(mkdtemp(folder));
    (void)snprintf(path, sizeof(path), "%s/m.safetensors", folder);
    const size_t n = variants(spec);
    for (size_t v = 0; v < n; v++) {
        vpsde_model *read, *const model = network(&spec[v]);
        const size_t n_classes = spec[v].null_class ? CLASSES : 0;
        model->prediction = VPSDE_PREDICT_V;
        assert_ok(model->type->trainer->save(model, path));
        assert_ok(vpsde_model_open(&read, path));
        assert_int_equal(read->prediction, VPSDE_PREDICT_V);
        assert_int_equal(read->n_classes, n_classes);
        assert_int_equal(read->rank, 3);
        assert_int_equal(read->shape[1], spec[v].height);
        assert_int_equal(read->n_parameters, model->n_parameters);
        assert_int_equal(strlen(read->sha256), 64);
        draw(&before, 2, 1, n_classes);
        after = before;
        eval(model, &before, 1);
        eval(read, &after, 1);
        assert_memory_equal(&before, &after, sizeof(after));
        vpsde_model_destroy(read);
        vpsde_model_destroy(model);
    }
    unlink(path);
    rmdir(folder);
}

/* A file with one thing changed: a tensor renamed or a fact replaced. */
static void rewrite(const char *path, const char *from, const char *tensor, const char *name,
                    const char *fact, const char *value)
{
    static const char *const keys[] = {"vpsde.kind", "vpsde.shape", "vpsde.prediction",
                                       "vpsde.config"};
    vpsde_safetensors *file;
    vpsde_tensor_out out[256];
    vpsde_metadata item[4];
    size_t n = 0, facts = 0;
    assert_ok(vpsde_safetensors_open(&file, from));
    for (size_t i = 0; i < vpsde_safetensors_count(file); i++) {
        const vpsde_tensor *const t = vpsde_safetensors_at(file, i);
        const bool hit = strcmp(t->name, tensor) == 0;
        if (hit && !name) continue;
        out[n] = (vpsde_tensor_out){
            .name = hit ? name : t->name, .dtype = t->dtype, .rank = t->rank, .data = t->data};
        memcpy(out[n++].dims, t->dims, sizeof(t->dims));
    }
    for (size_t f = 0; f < 4; f++) {
        const bool hit = strcmp(keys[f], fact) == 0;
        if (hit && !value) continue;
        item[facts++] = (vpsde_metadata){
            .key = keys[f], .value = hit ? value : vpsde_safetensors_metadata(file, keys[f])};
    }
    assert_ok(vpsde_safetensors_write(path, out, n, item, facts));
    vpsde_safetensors_close(file);
}

static void files_that_do_not_fit_are_refused(void **state)
{
    static const struct {
        const char *tensor, *name, *fact, *value, *words;
    } cases[] = {
        {"conv_in.bias", NULL, "", NULL, "conv_in.bias"},
        {"conv_in.bias", "conv_in.bios", "", NULL, "tensor conv_in.bias is missing"},
        {"down_blocks.0.resnets.0.conv1.weight", NULL, "", NULL, "conv1.weight is missing"},
        {"", NULL, "vpsde.config", NULL, "no vpsde.config"},
        {"", NULL, "vpsde.config", "{", "vpsde.config"},
        {"", NULL, "vpsde.shape", "1,16,8", "vpsde.shape"},
        {"", NULL, "vpsde.shape", "8,2,8", "the network has 2,8,8"},
        {"", NULL, "vpsde.shape", "128", "the network has 2,8,8"},
    };
    char folder[] = "/tmp/vpsde-test-XXXXXX", path[64], broken[64];
    vpsde_model *read;
    (void)state;
    assert_non_null(mkdtemp(folder));
    (void)snprintf(path, sizeof(path), "%s/m.safetensors", folder);
    (void)snprintf(broken, sizeof(broken), "%s/b.safetensors", folder);
    const vpsde_unet_spec spec = small_spec(0);
    vpsde_model *const model = network(&spec);
    assert_ok(model->type->trainer->save(model, path));
    for (size_t c = 0; c < sizeof(cases) / sizeof(cases[0]); c++) {
        rewrite(broken, path, cases[c].tensor, cases[c].name, cases[c].fact, cases[c].value);
        assert_fails(vpsde_model_open(&read, broken), VPSDE_EDATA, cases[c].words);
        assert_null(read);
    }
    vpsde_model_destroy(model);
    unlink(broken);
    unlink(path);
    rmdir(folder);
}

/* Two kinds of stripes. */
static void stripes(float *x0, size_t count)
{
    for (size_t e = 0; e < count * D; e++) {
        const size_t along = e / D % 2 ? e % SIDE : e / SIDE % SIDE;
        x0[e] = along / 2 % 2 ? 0.8F : -0.8F;
    }
}

enum { STEPS = 100, FEW = 10 };

static void remember(void *context, const vpsde_train_report *report)
{
    ((double *)context)[report->step - 1] = report->loss;
}

/* The same first steps on two threads as on one, bit by bit; after them the loss goes down. */
static void training_reduces_the_loss(void **state)
{
    enum { COUNT = 32 };
    static float x0[COUNT * D];
    static double loss[2][STEPS];
    vpsde_process_spec schedule;
    vpsde_process *process;
    vpsde_training training;
    (void)state;
    stripes(x0, COUNT);
    assert_ok(vpsde_process_spec_init(&schedule, "vp-linear"));
    assert_ok(vpsde_process_create(&process, &schedule));
    vpsde_training_init(&training);
    training.process = process;
    training.x0 = x0;
    training.count = COUNT;
    training.batch = 16;
    training.steps = STEPS;
    training.warm_up = 10;
    training.learning_rate = 4e-3;
    training.report = remember;
    const vpsde_unet_spec spec = small_spec(0);
    for (size_t m = 0; m < 2; m++) {
        static batch b;
        vpsde_model *model;
        vpsde_train_state *at;
        training.n_threads = m + 1;
        training.last = m == 0 ? STEPS : FEW;
        training.context = loss[m];
        assert_ok(vpsde_unet_create(&model, &spec, 1));
        assert_ok(vpsde_train_state_create(&at, model));
        assert_ok(vpsde_train(&training, model, at));
        draw(&b, 1, 0, 0);
        eval(model, &b, 0); /* with the averages packed */
        assert_true(dot(D, b.eps, b.eps) > 0);
        vpsde_train_state_destroy(at);
        vpsde_model_destroy(model);
    }
    assert_memory_equal(loss[0], loss[1], FEW * sizeof(double));
    double before = 0, after = 0;
    for (size_t s = 0; s < FEW; s++) {
        before += loss[0][s] / FEW;
        after += loss[0][STEPS - 1 - s] / FEW;
    }
    assert_true(after < 0.5 * before);
    vpsde_process_destroy(process);
}

static void blocks_that_do_not_fit_are_refused(void **state)
{
    static lesson l;
    double sum;
    (void)state;
    const vpsde_unet_spec spec = small_spec(0);
    vpsde_model *const model = network(&spec);
    lesson_begin(&l, model, 8, true);
    assert_fails(l.ops->gradient(model, l.ws, &l.block, &sum, l.gradient, NULL), VPSDE_EINVAL,
                 "has 0 classes");
    l.block.n = 9;
    assert_fails(l.ops->gradient(model, l.ws, &l.block, &sum, l.gradient, NULL), VPSDE_EINVAL,
                 "at most 8 rows");
    lesson_end(&l);
    vpsde_model_destroy(model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parameter_gradients_are_derivatives),
        cmocka_unit_test(reverse_and_forward_mode_agree),
        cmocka_unit_test(training_reduces_the_loss),
        cmocka_unit_test(blocks_that_do_not_fit_are_refused),
        cmocka_unit_test(files_bring_the_same_bits_back),
        cmocka_unit_test(files_that_do_not_fit_are_refused),
    };
    use_spare_threads();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
