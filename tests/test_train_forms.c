/* Forms of the training loss: targets and weights, times, classes, flips, data on demand. */
#include "tests/check.h"

#include <stdlib.h>
#include <unistd.h>

#include "models/train_row.h"
#include "tests/train_oracle.h"

static const vpsde_prediction forms[] = {VPSDE_PREDICT_EPS, VPSDE_PREDICT_X0, VPSDE_PREDICT_V};
static const vpsde_weighting weightings[] = {VPSDE_WEIGHTING_SIMPLE, VPSDE_WEIGHTING_LIKELIHOOD,
                                             VPSDE_WEIGHTING_MIN_SNR};
enum { N_FORMS = 3, N_WEIGHTINGS = 3 };

static void weights_are_the_formulas(void **state)
{
    vpsde_process *process;
    vpsde_process_spec spec;
    double u[200];
    (void)state;
    assert_ok(vpsde_process_spec_init(&spec, "vp-linear"));
    assert_ok(vpsde_process_create(&process, &spec));
    vpsde_uniforms(u, 5, VPSDE_NOISE_TEST, 0, 1, 0, 200);
    for (size_t i = 0; i < 200; i++) {
        const vpsde_coef c = vpsde_process_at(process, u[i] * u[i]);
        const double snr = exp(2 * c.lambda), least = snr < 5 ? snr : 5;
        const double expected[N_FORMS][N_WEIGHTINGS] = {
            {1, 1, least / snr}, {1, snr, least}, {1, snr / (1 + snr), least / (1 + snr)}};
        for (size_t p = 0; p < N_FORMS; p++) {
            for (size_t w = 0; w < N_WEIGHTINGS; w++) {
                const double weight = vpsde_train_weight(forms[p], weightings[w], &c);
                assert_close(weight, expected[p][w], 1e-11 * expected[p][w]);
            }
        }
    }
    vpsde_process_destroy(process);
}

/* At the exact conditional mean the gradient vanishes and the loss is the variance left, in every
 * form and weighting, to the accuracy of the sample. */
static void every_form_has_the_same_optimum(void **state)
{
    static fixture f;
    static history h;
    (void)state;
    for (size_t k = 0; k < N_FORMS * N_WEIGHTINGS; k++) {
        begin_oracle(&f);
        choose(&f, forms[k / N_WEIGHTINGS], weightings[k % N_WEIGHTINGS]);
        h.n = 0;
        f.training.batch = 4000;
        f.training.last = 1;
        f.training.context = &h;
        f.training.report = remember;
        assert_ok(vpsde_train(&f.training, f.model, f.state));
        const double n = 4000.0 * 10;
        assert_true(h.at[0].gradient_norm < 6 * sqrt(oracle.gradient_var) / n);
        assert_true(h.at[0].gradient_norm > 0);
        assert_close(h.at[0].loss, oracle.loss_mean / n, 6 * sqrt(oracle.loss_var) / n);
        assert_int_equal(f.model->prediction, forms[k / N_WEIGHTINGS]);
        assert_true(f.model->says_prediction);
        end(&f);
    }
}

/* Drawn prop. to g^2/sigma^2: E sigma^2 = int beta dt / int beta/sigma^2 dt, both in closed form. */
static void likelihood_draws_times_by_g2_over_sigma2(void **state)
{
    enum { N = 20000 };
    static fixture f;
    vpsde_train_rows rows;
    double sum = 0, middle = 0;
    (void)state;
    begin(&f);
    f.training.weighting = VPSDE_WEIGHTING_LIKELIHOOD;
    assert_ok(vpsde_train_rows_init(&rows, &f.training, f.model));
    const double t_min = vpsde_process_get_spec(f.process)->t_min;
    const vpsde_coef a = vpsde_process_at(f.process, t_min), z = vpsde_process_at(f.process, 1);
    for (uint64_t p = 0; p < N; p++) {
        const vpsde_coef c = vpsde_train_rows_chance(&rows, p).time;
        assert_true(c.t >= t_min && c.t <= 1);
        sum += c.sigma * c.sigma / N;
        middle += (c.lambda - (a.lambda + z.lambda) / 2) / (a.lambda - z.lambda) / N;
    }
    assert_close(sum, (z.b - a.b) / (2 * (a.lambda - z.lambda)), 6 * sqrt(0.25 / N));
    assert_close(middle, 0, 6 * sqrt(1 / 12.0 / N));
    end(&f);
}

/* A table's node i stands for the times nearest to it, between the first and the last node. */
static void likelihood_draws_nodes_by_their_share(void **state)
{
    enum { N = 20000, NODES = 10 };
    static fixture f;
    vpsde_process_spec spec;
    vpsde_train_rows rows;
    size_t seen[NODES] = {0};
    (void)state;
    begin(&f);
    vpsde_process_destroy(f.process);
    assert_ok(vpsde_process_spec_init(&spec, "ddpm-linear"));
    assert_ok(vpsde_param_set(spec.param, spec.schedule->params, "steps", NODES));
    assert_ok(vpsde_param_set(spec.param, spec.schedule->params, "beta_end", 0.7));
    assert_ok(vpsde_process_create(&f.process, &spec));
    f.training.process = f.process;
    f.training.weighting = VPSDE_WEIGHTING_LIKELIHOOD;
    assert_ok(vpsde_train_rows_init(&rows, &f.training, f.model));
    for (uint64_t p = 0; p < N; p++) {
        const double node = NODES * vpsde_train_rows_chance(&rows, p).time.t;
        assert_close(node, round(node), 1e-12);
        seen[(size_t)round(node) - 1]++;
    }
    const double first = vpsde_process_at(f.process, 0.1).lambda;
    const double whole = first - vpsde_process_at(f.process, 1).lambda;
    for (size_t i = 1; i <= NODES; i++) {
        const double low = fmax(0.1, ((double)i - 0.5) / NODES);
        const double high = fmin(1, ((double)i + 0.5) / NODES);
        const double p =
            (vpsde_process_at(f.process, low).lambda - vpsde_process_at(f.process, high).lambda) /
            whole;
        assert_close((double)seen[i - 1] / N, p, 6 * sqrt(p * (1 - p) / N));
    }
    end(&f);
}

static int32_t *some_classes(size_t count)
{
    int32_t *const classes = malloc(count * sizeof(*classes));
    assert_non_null(classes);
    for (size_t i = 0; i < count; i++) classes[i] = (int32_t)(i * 7 % (N_CLASSES + 1)) - 1;
    return classes;
}

/* What is dropped and mirrored is told by the address alone; noise and times stay what they are. */
static void classes_and_flips_have_addresses(void **state)
{
    enum { N = 3000, DIM = 10, WIDTH = 5 };
    static fixture f;
    static float x[2][N * DIM], target[2][N * DIM];
    static double label[2][N], scratch[(N + 1) * DIM];
    static int32_t classes[N];
    size_t dropped = 0, flipped = 0;
    vpsde_train_rows rows;
    (void)state;
    begin_oracle(&f);
    int32_t *const all = some_classes(MANY);
    choose(&f, VPSDE_PREDICT_X0, VPSDE_WEIGHTING_SIMPLE);
    for (size_t k = 0; k < 2; k++) {
        const vpsde_train_slab slab = {
            .x = x[k], .target = target[k], .label = label[k], .classes = k ? classes : NULL};
        f.training.flip = k;
        f.training.classes = k ? all : NULL;
        f.training.class_dropout = k ? 0.3 : 0;
        assert_ok(vpsde_train_rows_init(&rows, &f.training, f.model));
        assert_ok(vpsde_train_rows_fill(&rows, 1000, N, scratch, &slab));
    }
    assert_memory_equal(label[0], label[1], sizeof(label[0]));
    for (size_t i = 0; i < N; i++) {
        double u[3];
        vpsde_uniforms(u, f.training.seed, VPSDE_NOISE_TRAIN_TIME, 1000 + i, 1, 0, 3);
        const size_t index = vpsde_train_index(f.training.seed, 1000 + i, MANY);
        assert_int_equal(classes[i], u[1] < 0.3 ? -1 : all[index]);
        dropped += u[1] < 0.3;
        flipped += u[2] < 0.5;
        for (size_t j = 0; j < DIM; j++) {
            const size_t from = u[2] < 0.5 ? j / WIDTH * WIDTH + WIDTH - 1 - j % WIDTH : j;
            assert_true(target[1][i * DIM + j] == target[0][i * DIM + from]);
            /* x - alpha x0 is the same noise */
            const vpsde_coef c =
                vpsde_process_at(f.process, vpsde_process_t_of_label(f.process, label[0][i]));
            assert_close((double)x[1][i * DIM + j] - c.alpha * (double)target[1][i * DIM + j],
                         (double)x[0][i * DIM + j] - c.alpha * (double)target[0][i * DIM + j],
                         2e-6);
        }
    }
    assert_close((double)dropped, 0.3 * N, 6 * sqrt(0.21 * N));
    assert_close((double)flipped, 0.5 * N, 6 * sqrt(0.25 * N));
    free(all);
    end(&f);
}

static void all_options(fixture *f, const int32_t *classes)
{
    choose(f, VPSDE_PREDICT_V, VPSDE_WEIGHTING_MIN_SNR);
    f->training.classes = classes;
    f->training.class_dropout = 0.2;
    f->training.flip = true;
    f->training.first = 12;
    f->training.count = 1000;
}

/* With everything on: the same bits however often it is interrupted, and on any number of threads. */
static void resumes_bit_for_bit(void **state)
{
    static fixture f;
    char folder[] = "/tmp/vpsde-train-XXXXXX", path[64];
    float whole[N_FLOATS], average[N_FLOATS];
    int32_t *const classes = some_classes(1000);
    (void)state;
    assert_non_null(mkdtemp(folder));
    (void)snprintf(path, sizeof(path), "%s/state.safetensors", folder);
    begin_oracle(&f);
    all_options(&f, classes);
    f.training.last = 30;
    assert_ok(vpsde_train(&f.training, f.model, f.state));
    assert_int_equal(atomic_load(&oracle.n_changed), 30 + 2); /* beginning, steps, average */
    memcpy(whole, f.state->weights, sizeof(whole));
    memcpy(average, f.state->average, sizeof(average));
    for (size_t e = 0; e < N_FLOATS; e++) assert_true(whole[e] != (e == THETA)); /* all moved */
    end(&f);
    begin_oracle(&f);
    all_options(&f, classes);
    for (uint64_t last = 11; last <= 30; last += 19) {
        f.training.last = last;
        f.training.n_threads = last == 11 ? 1 : 3;
        assert_ok(vpsde_train(&f.training, f.model, f.state));
        assert_ok(vpsde_train_state_save(f.state, path, NULL));
        vpsde_train_state_destroy(f.state);
        init(f.model, 0);
        assert_ok(vpsde_train_state_load(&f.state, f.model, path, NULL));
    }
    assert_memory_equal(f.state->weights, whole, sizeof(whole));
    assert_memory_equal(f.state->average, average, sizeof(average));
    end(&f);
    free(classes);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(rmdir(folder), 0);
}

/* Rows in memory and the same rows on demand are one thing. */
static void data_on_demand_are_the_data(void **state)
{
    static fixture f;
    float from_source[N_FLOATS];
    double row[10];
    float *const x0 = malloc(50 * sizeof(row));
    (void)state;
    assert_non_null(x0);
    for (size_t k = 0; k < 2; k++) {
        begin_oracle(&f);
        f.training.count = 50;
        f.training.first = 8;
        for (size_t i = 0; k == 1 && i < 50; i++) {
            assert_ok(gaussian_row(&f.model->dim, 8 + i, 1, row));
            for (size_t j = 0; j < 10; j++) x0[i * 10 + j] = (float)row[j];
        }
        f.training.x0 = k == 1 ? x0 : NULL;
        f.training.last = 3;
        choose(&f, VPSDE_PREDICT_V, VPSDE_WEIGHTING_SIMPLE);
        assert_ok(vpsde_train(&f.training, f.model, f.state));
        if (k == 0) memcpy(from_source, f.state->weights, sizeof(from_source));
        assert_memory_equal(from_source, f.state->weights, sizeof(from_source));
        end(&f);
    }
    free(x0);
}

static vpsde_status broken_row(const void *context, size_t first, size_t n, double *x)
{
    (void)context, (void)n, (void)x;
    return vpsde_fail(VPSDE_EDATA, "row %zu cannot be read", first);
}

static void names_what_does_not_fit(void **state)
{
    static fixture f, vectors;
    int32_t classes[5] = {0, 1, 2, 3, 4};
    vpsde_process *process;
    (void)state;
    begin_oracle(&f);
    begin(&vectors);
    vpsde_training bad = f.training;
    bad.prediction = VPSDE_PREDICT_SCORE;
    assert_fails(vpsde_train(&bad, f.model, f.state), VPSDE_EINVAL, "score");
    bad = f.training;
    bad.class_dropout = 1.5;
    assert_fails(vpsde_train(&bad, f.model, f.state), VPSDE_EINVAL, "class_dropout");
    bad = f.training;
    bad.count = 5;
    bad.classes = classes;
    assert_fails(vpsde_train(&bad, f.model, f.state), VPSDE_EINVAL, "row 4: class 4");
    bad.classes = (const int32_t[5]){0, -2};
    assert_fails(vpsde_train(&bad, f.model, f.state), VPSDE_EINVAL, "row 1: class -2");
    bad = f.training;
    bad.source.read = NULL;
    assert_fails(vpsde_train(&bad, f.model, f.state), VPSDE_EINVAL, "no data");
    bad.source.read = broken_row;
    assert_fails(vpsde_train(&bad, f.model, f.state), VPSDE_EDATA, "cannot be read");
    bad = vectors.training;
    bad.flip = true;
    assert_fails(vpsde_train(&bad, vectors.model, vectors.state), VPSDE_EINVAL, "flip");
    bad = vectors.training;
    bad.classes = classes;
    assert_fails(vpsde_train(&bad, vectors.model, vectors.state), VPSDE_EINVAL, "no classes");
    vpsde_process_spec spec = *vpsde_process_get_spec(f.process);
    spec.t_min = 0;
    assert_ok(vpsde_process_create(&process, &spec));
    bad = f.training;
    bad.process = process;
    bad.weighting = VPSDE_WEIGHTING_LIKELIHOOD;
    assert_fails(vpsde_train(&bad, f.model, f.state), VPSDE_EINVAL, "t_min > 0");
    vpsde_process_destroy(process);
    assert_true(f.state->step == 0);
    end(&vectors);
    end(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(weights_are_the_formulas),
        cmocka_unit_test(every_form_has_the_same_optimum),
        cmocka_unit_test(likelihood_draws_times_by_g2_over_sigma2),
        cmocka_unit_test(likelihood_draws_nodes_by_their_share),
        cmocka_unit_test(classes_and_flips_have_addresses),
        cmocka_unit_test(resumes_bit_for_bit),
        cmocka_unit_test(data_on_demand_are_the_data),
        cmocka_unit_test(names_what_does_not_fit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
