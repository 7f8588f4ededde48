#include "tests/check.h"

#include <stdlib.h>
#include <unistd.h>

#include "tests/scratch.h"
#include "tests/train_fixture.h"

static void check_same(const fixture *a, const fixture *b)
{
    const size_t bytes = a->state->n * sizeof(float);
    assert_true(a->state->step == b->state->step);
    assert_memory_equal(a->state->weights, b->state->weights, bytes);
    assert_memory_equal(a->state->m, b->state->m, bytes);
    assert_memory_equal(a->state->v, b->state->v, bytes);
    assert_memory_equal(a->state->average, b->state->average, bytes);
    assert_memory_equal(a->model->type->trainer->parameters(a->model), b->state->average, bytes);
}

static double loss_of(const vpsde_model *model, void *ws, const vpsde_train_block *b, float *g)
{
    double sum;
    assert_ok(model->type->trainer->gradient(model, ws, b, &sum, g, NULL));
    return sum * b->scale;
}

/* Central differences on a few entries of every tensor. */
static void gradient_is_the_slope(void **state)
{
    static const char *const names[] = {"time.0.weight",
                                        "time.0.bias",
                                        "time.2.weight",
                                        "time.2.bias",
                                        "input.weight",
                                        "input.bias",
                                        "layers.0.linear1.weight",
                                        "layers.0.linear1.bias",
                                        "layers.1.linear2.weight",
                                        "layers.1.linear2.bias",
                                        "output.weight",
                                        "output.bias"};
    enum { N = 50, DIM = 3 };
    double label[N], z[N * DIM];
    float x[N * DIM], target[N * DIM], weight[N];
    vpsde_model *model;
    void *ws;
    (void)state;
    const vpsde_mlp_spec spec = {.dim = DIM, .hidden = 20, .layers = 2, .time_features = 8};
    assert_ok(vpsde_mlp_create(&model, &spec, 2));
    const vpsde_trainer_ops *const ops = model->type->trainer;
    const size_t n = ops->n_floats(model);
    float *const g = calloc(n, sizeof(float)), *const unused = calloc(n, sizeof(float));
    float *const weights = ops->parameters(model);
    assert_true(g && unused);
    size_t rows, cols;
    float *const last = vpsde_mlp_tensor(model, "output.weight", &rows, &cols);
    for (size_t e = 0; e < rows * cols; e++) last[e] = 0.3F * sinf((float)(3 * e));
    vpsde_normals(z, 4, VPSDE_NOISE_TEST, 0, N, 0, DIM);
    for (size_t i = 0; i < N; i++) {
        label[i] = 19.3 * (double)i;
        weight[i] = 0.25F * (float)(i % 8);
    }
    for (size_t e = 0; e < N * DIM; e++) {
        x[e] = (float)z[e];
        target[e] = cosf((float)e);
    }
    const vpsde_train_block block = {
        .n = N, .label = label, .x = x, .target = target, .weight = weight, .scale = 1};
    assert_ok(ops->workspace_create(&ws, model));
    (void)loss_of(model, ws, &block, g);
    for (size_t p = 0; p < sizeof(names) / sizeof(*names); p++) {
        float *const w = vpsde_mlp_tensor(model, names[p], &rows, &cols);
        for (size_t e = 0; e < rows * cols; e += rows * cols / 4 + 1) {
            const float saved = w[e], h = 0.01F;
            w[e] = saved + h;
            const double plus = loss_of(model, ws, &block, unused), above = (double)w[e];
            w[e] = saved - h;
            const double minus = loss_of(model, ws, &block, unused), below = (double)w[e];
            w[e] = saved;
            const double slope = (plus - minus) / (above - below);
            assert_close((double)g[(size_t)(w - weights) + e], slope, 2e-3 + 2e-3 * fabs(slope));
        }
    }
    ops->workspace_destroy(ws);
    free(g);
    free(unused);
    vpsde_model_destroy(model);
}

static void threads_do_not_matter(void **state)
{
    static fixture one, other;
    (void)state;
    begin(&one);
    one.training.n_threads = 1;
    one.training.last = 25;
    assert_ok(vpsde_train(&one.training, one.model, one.state));
    for (size_t n_threads = 2; n_threads <= 3; n_threads++) {
        begin(&other);
        other.training.n_threads = n_threads;
        other.training.last = 25;
        assert_ok(vpsde_train(&other.training, other.model, other.state));
        check_same(&one, &other);
        end(&other);
    }
    end(&one);
}

static void resumes_bit_for_bit(void **state)
{
    static fixture whole, halves;
    char folder[] = "/tmp/vpsde-train-XXXXXX", path[64], *note;
    (void)state;
    assert_non_null(mkdtemp(folder));
    (void)snprintf(path, sizeof(path), "%s/state.safetensors", folder);
    begin(&whole);
    whole.training.last = 40;
    assert_ok(vpsde_train(&whole.training, whole.model, whole.state));
    begin(&halves);
    halves.training.last = 17;
    assert_ok(vpsde_train(&halves.training, halves.model, halves.state));
    assert_ok(vpsde_train_state_save(halves.state, path, "seed: 21\n"));
    vpsde_train_state_destroy(halves.state);
    halves.model->type->trainer->init(halves.model, 99); /* all that counts is in the file */
    assert_ok(vpsde_train_state_load(&halves.state, halves.model, path, &note));
    assert_string_equal(note, "seed: 21\n");
    assert_true(halves.state->step == 17);
    halves.training.last = 40;
    assert_ok(vpsde_train(&halves.training, halves.model, halves.state));
    check_same(&whole, &halves);
    free(note);

    vpsde_model *larger;
    vpsde_train_state *none;
    assert_ok(vpsde_mlp_create(&larger, &(vpsde_mlp_spec){.dim = 2}, 0));
    assert_fails(vpsde_train_state_load(&none, larger, path, NULL), VPSDE_EDATA, "weights");
    assert_fails(vpsde_train(&whole.training, larger, whole.state), VPSDE_EINVAL, "floats");
    assert_ok(larger->type->trainer->save(larger, path));
    assert_fails(vpsde_train_state_load(&none, larger, path, NULL), VPSDE_EDATA,
                 "not a training state");
    vpsde_model_destroy(larger);
    end(&whole);
    end(&halves);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(rmdir(folder), 0);
}

/* One bit of the file is another one: of the weights, the moments, the average, the note or the step. */
static void notices_flipped_bits(void **state)
{
    static fixture f;
    char *text;
    FILE *file;
    (void)state;
    assert_int_equal(scratch_setup(NULL), 0);
    begin(&f);
    f.training.last = 3;
    assert_ok(vpsde_train(&f.training, f.model, f.state));
    const char *const path = scratch_path("state.safetensors");
    assert_ok(vpsde_train_state_save(f.state, path, "seed: 21\n"));
    vpsde_train_state_destroy(f.state);
    assert_ok(vpsde_train_state_load(&f.state, f.model, path, NULL));
    assert_non_null(file = fopen(path, "rb+"));
    assert_int_equal(fseek(file, 0, SEEK_END), 0);
    const long size = ftell(file), step = size / 300;
    assert_non_null(text = calloc((size_t)size + 1, 1));
    rewind(file);
    assert_int_equal(fread(text, 1, (size_t)size, file), (size_t)size);
    for (long at = 8; at < size; at += step) {
        vpsde_train_state *none;
        const char flipped = (char)(text[at] ^ (1 << at % 7));
        assert_int_equal(fseek(file, at, SEEK_SET), 0);
        assert_int_equal(fwrite(&flipped, 1, 1, file), 1);
        assert_int_equal(fflush(file), 0);
        const vpsde_status status = vpsde_train_state_load(&none, f.model, path, NULL);
        if (status != VPSDE_EDATA) print_error("byte %ld of %ld\n", at, size);
        assert_fails(status, VPSDE_EDATA, "");
        assert_int_equal(fseek(file, at, SEEK_SET), 0);
        assert_int_equal(fwrite(text + at, 1, 1, file), 1);
    }
    assert_int_equal(fclose(file), 0);
    free(text);
    end(&f);
    assert_int_equal(scratch_teardown(NULL), 0);
}

static double mean_loss(const history *h, size_t first, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++) sum += h->at[first + i].loss;
    return sum / (double)n;
}

static void learns_a_mixture(void **state)
{
    static fixture f;
    static history h;
    (void)state;
    begin(&f);
    f.training.last = 400;
    f.training.ema = 0.99;
    f.training.context = &h;
    f.training.report = remember;
    assert_ok(vpsde_train(&f.training, f.model, f.state));
    assert_int_equal(h.n, 400);
    assert_true(h.at[0].step == 1 && h.at[399].step == 400);
    assert_close(h.at[0].loss, 1, 0.3); /* the first prediction is 0: E|eps|^2 / d = 1 */
    assert_true(mean_loss(&h, 350, 50) < 0.3);
    assert_true(f.model->process.schedule == vpsde_schedule_find("vp-linear"));
    end(&f);
}

/* After one step m = 0.1 clipped gradient, so |m| / 0.1 is the norm that was used. */
static double norm_used(double clip, double *reported)
{
    static fixture f;
    static history h;
    double square = 0;
    h.n = 0;
    begin(&f);
    f.training.clip = clip;
    f.training.last = 1;
    f.training.context = &h;
    f.training.report = remember;
    assert_ok(vpsde_train(&f.training, f.model, f.state));
    for (size_t e = 0; e < f.state->n; e++) {
        square += (double)f.state->m[e] * (double)f.state->m[e];
    }
    *reported = h.at[0].gradient_norm;
    end(&f);
    return sqrt(square) / 0.1;
}

static void clips_the_norm(void **state)
{
    double norm, same;
    (void)state;
    double used = norm_used(0, &norm);
    assert_close(used, norm, 1e-5 * norm);
    used = norm_used(norm / 4, &same);
    assert_close(used, norm / 4, 1e-5 * norm);
    assert_close(norm, same, 0);
    used = norm_used(norm * 4, &same);
    assert_close(used, norm, 1e-5 * norm);
}

/* One step of Adam moves each weight with a gradient by the learning rate. */
static void first_step_is_adams(void **state)
{
    static fixture f;
    (void)state;
    begin(&f);
    const size_t n = f.state->n;
    float *const before = malloc(n * sizeof(float));
    assert_non_null(before);
    memcpy(before, f.state->weights, n * sizeof(float));
    f.training.warm_up = 0;
    f.training.last = 1;
    assert_ok(vpsde_train(&f.training, f.model, f.state));
    size_t moved = 0;
    for (size_t e = 0; e < n; e++) {
        const double step = (double)f.state->weights[e] - (double)before[e];
        if (fabs((double)f.state->m[e]) < 1e-5) continue;
        assert_close(step, f.state->m[e] > 0 ? -3e-3 : 3e-3, 1e-5);
        assert_close((double)f.state->average[e], (double)before[e] + 0.9 * step, 1e-6);
        moved++;
    }
    assert_true(moved > 90); /* only the output layer has a gradient at first */
    free(before);
    end(&f);
}

static void every_row_once_an_epoch(void **state)
{
    static const size_t counts[] = {1, 2, 5, 16, 17, 1000};
    (void)state;
    for (size_t c = 0; c < sizeof(counts) / sizeof(*counts); c++) {
        const size_t count = counts[c];
        size_t same = 0;
        for (uint64_t epoch = 0; epoch < 3; epoch++) {
            unsigned char seen[1000] = {0};
            for (size_t p = 0; p < count; p++) {
                const size_t index = vpsde_train_index(7, epoch * count + p, count);
                assert_true(index < count && !seen[index]);
                seen[index] = 1;
                same += index == vpsde_train_index(7, p, count);
            }
        }
        /* fixed points of two permutations against the first: 2 +- 1.4 expected */
        if (count == 1000) assert_true(same - count < 12);
    }
}

/* DDPM tables are trained at t = i / N, and the model remembers the betas. */
static void trains_on_a_table(void **state)
{
    static fixture f;
    double betas[10];
    vpsde_process_spec spec;
    (void)state;
    begin(&f);
    for (size_t i = 0; i < 10; i++) betas[i] = 0.01 + 0.02 * (double)i;
    vpsde_process_destroy(f.process);
    f.process = NULL;
    assert_ok(vpsde_process_spec_init(&spec, "table"));
    spec.betas = betas;
    spec.n_betas = 10;
    assert_ok(vpsde_process_create(&f.process, &spec));
    f.training.process = f.process;
    f.training.last = 3;
    assert_ok(vpsde_train(&f.training, f.model, f.state));
    assert_int_equal(f.model->process.n_betas, 10);
    assert_true(f.model->process.betas == f.model->process_betas);
    assert_memory_equal(f.model->process_betas, betas, sizeof(betas));
    end(&f);
}

static void names_what_is_wrong(void **state)
{
    static fixture f;
    const int stop = 1;
    (void)state;
    begin(&f);
    f.x0[17] = NAN;
    assert_fails(vpsde_train(&f.training, f.model, f.state), VPSDE_ENUMERIC, "step ");
    assert_true(f.state->step < 3); /* 500 rows pass in batches of 200 */
    for (size_t e = 0; e < f.state->n; e++) assert_true(isfinite(f.state->average[e]));
    f.x0[17] = 0;
    vpsde_training bad = f.training;
    bad.control.stop = &stop;
    assert_fails(vpsde_train(&bad, f.model, f.state), VPSDE_ESTOPPED, "stopped");
    bad = f.training;
    bad.batch = 0;
    assert_fails(vpsde_train(&bad, f.model, f.state), VPSDE_EINVAL, "batch");
    bad = f.training;
    bad.learning_rate = -1;
    assert_fails(vpsde_train(&bad, f.model, f.state), VPSDE_EINVAL, "learning_rate");
    bad = f.training;
    bad.ema = 1;
    assert_fails(vpsde_train(&bad, f.model, f.state), VPSDE_EINVAL, "ema");
    bad = f.training;
    bad.clip = -1;
    assert_fails(vpsde_train(&bad, f.model, f.state), VPSDE_EINVAL, "clip");
    bad = f.training;
    bad.count = 0;
    assert_fails(vpsde_train(&bad, f.model, f.state), VPSDE_EINVAL, "no data");
    end(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gradient_is_the_slope), cmocka_unit_test(threads_do_not_matter),
        cmocka_unit_test(resumes_bit_for_bit),   cmocka_unit_test(notices_flipped_bits),
        cmocka_unit_test(learns_a_mixture),      cmocka_unit_test(clips_the_norm),
        cmocka_unit_test(first_step_is_adams),   cmocka_unit_test(every_row_once_an_epoch),
        cmocka_unit_test(trains_on_a_table),     cmocka_unit_test(names_what_is_wrong),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
