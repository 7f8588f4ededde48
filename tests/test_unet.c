/* The U-Net as a model: bits of a row, tangents, classes, configuration. */
#include "core/config.h"
#include "tests/unet_fixture.h"

/* Rows `from` of `all` with their first k tangents give the bits they had there. */
static void check_rows(const vpsde_model *model, const batch *all, const size_t *from, size_t n,
                       size_t k, bool tape)
{
    static batch b;
    b.n = n;
    b.k = k;
    b.shared = n == 1;
    for (size_t i = 0; i < n; i++) {
        b.coef[i] = all->coef[from[i]];
        b.classes[i] = all->classes[from[i]];
        memcpy(b.x + i * D, all->x + from[i] * D, D * sizeof(double));
        memcpy(b.dx + i * k * D, all->dx + from[i] * all->k * D, k * D * sizeof(double));
    }
    eval(model, &b, tape && k == 0 ? 1 : k);
    for (size_t i = 0; i < n; i++) {
        assert_memory_equal(b.eps + i * D, all->eps + from[i] * D, D * sizeof(double));
        assert_memory_equal(b.deps + i * k * D, all->deps + from[i] * all->k * D,
                            k * D * sizeof(double));
    }
}

static void a_row_knows_nothing_but_itself(void **state)
{
    static batch all;
    static const size_t order[] = {10, 3, 3, 0, 7, 1, 9, 2, 4};
    (void)state;
    const vpsde_unet_spec spec = small_spec(CLASSES);
    vpsde_model *const model = network(&spec);
    draw(&all, ROWS, K, CLASSES);
    eval(model, &all, K);
    for (size_t threads = 1; threads <= 3; threads++) {
        const size_t saved = vpsde_limit_begin(threads);
        for (size_t n = 1; n <= sizeof(order) / sizeof(order[0]); n += n < 3 ? 1 : 3) {
            check_rows(model, &all, order, n, 0, false);
            check_rows(model, &all, order, n, 0, true);
            check_rows(model, &all, order, n, n % K + 1, true);
        }
        for (size_t i = 0; i < ROWS; i += 5) check_rows(model, &all, &i, 1, 1, true);
        vpsde_limit_end(saved);
    }
    vpsde_model_destroy(model);
}

/* 20 tangents of a row are more than one pass. */
static void many_tangents_are_the_same_as_few(void **state)
{
    enum { MANY = 20 };
    static batch one;
    static double dx[MANY * D], deps[MANY * D];
    void *ws;
    (void)state;
    const vpsde_unet_spec spec = small_spec(0);
    vpsde_model *const model = network(&spec);
    draw(&one, 1, 1, 0);
    vpsde_normals(dx, 3, VPSDE_NOISE_TEST, 0, MANY, 2, D);
    vpsde_eval e = eval_of(&one);
    e.k = MANY;
    e.dx = dx;
    e.deps = deps;
    assert_ok(vpsde_model_workspace_create(&ws, model, 1, MANY));
    assert_ok(vpsde_model_eval(model, ws, &e));
    vpsde_model_workspace_destroy(model, ws);
    for (size_t m = 0; m < MANY; m++) {
        memcpy(one.dx, dx + m * D, D * sizeof(double));
        eval(model, &one, 1);
        assert_memory_equal(one.deps, deps + m * D, D * sizeof(double));
    }
    vpsde_model_destroy(model);
}

/* Central differences with step h have a truncation error of order h^2, and float32 outputs a rounding
 * error of about 1e-6/h: both are near 1e-4 at h = 1e-2, hence 1e-3 of the largest element. */
static void check_tangents(const vpsde_unet_spec *spec)
{
    const double h = 1e-2;
    static batch b, side[2];
    const size_t n_classes = spec->null_class ? CLASSES : 0;
    vpsde_model *const model = network(spec);
    draw(&b, 3, 2, n_classes);
    for (size_t e = 0; e < b.n * b.k * D; e++) b.dx[e] /= 8;
    eval(model, &b, b.k);
    for (size_t m = 0; m < b.k; m++) {
        double most = 0;
        for (size_t s = 0; s < 2; s++) {
            side[s] = b;
            side[s].k = 0;
            for (size_t e = 0; e < b.n * D; e++) {
                side[s].x[e] += (s ? -h : h) * b.dx[(e / D * b.k + m) * D + e % D];
            }
            eval(model, &side[s], 0);
        }
        for (size_t e = 0; e < b.n * D; e++) {
            most = fmax(most, fabs(b.deps[(e / D * b.k + m) * D + e % D]));
        }
        assert_true(most > 1e-3);
        for (size_t e = 0; e < b.n * D; e++) {
            assert_close(b.deps[(e / D * b.k + m) * D + e % D],
                         (side[0].eps[e] - side[1].eps[e]) / (2 * h), 1e-3 * most);
        }
    }
    vpsde_model_destroy(model);
}

static void tangents_are_derivatives(void **state)
{
    vpsde_unet_spec spec[8];
    (void)state;
    const size_t n = variants(spec);
    for (size_t v = 0; v < n; v++) check_tangents(&spec[v]);
}

static void starts_at_zero_with_pytorchs_rules(void **state)
{
    static batch b;
    vpsde_model *model;
    (void)state;
    const vpsde_unet_spec spec = small_spec(CLASSES);
    assert_ok(vpsde_unet_create(&model, &spec, 1));
    draw(&b, 2, 1, CLASSES);
    eval(model, &b, 1);
    for (size_t e = 0; e < 2 * D; e++) assert_true(b.eps[e] == 0 && b.deps[e] == 0);
    const vpsde_graph *const graph = vpsde_unet_graph(model);
    const vpsde_parameter *p;
    size_t seen = 0;
    for (size_t q = 0; (p = vpsde_graph_parameter(graph, q)) != NULL; q++) {
        const float *const w = vpsde_graph_parameters(graph) + p->offset;
        assert_ptr_equal(vpsde_graph_find(graph, p->name), p);
        const bool in = strncmp(p->name, "conv_in.", 8) == 0;
        const bool norm = strstr(p->name, "norm") != NULL;
        double most = 0;
        for (size_t e = 0; e < p->count; e++) most = fmax(most, fabs((double)w[e]));
        if (in) assert_true(most <= 1 / sqrt(9.0 * CHANNELS) && most > 0.15);
        if (norm) assert_true(w[0] == (strstr(p->name, ".weight") ? 1.0F : 0.0F));
        if (strcmp(p->name, "time_embedding.linear_1.bias") == 0) assert_true(most > 0.3);
        seen += in + norm;
    }
    assert_true(seen > 20);
    vpsde_model_destroy(model);
}

static void classes_change_the_output(void **state)
{
    static batch b;
    void *ws;
    (void)state;
    vpsde_unet_spec spec = small_spec(CLASSES);
    vpsde_model *model = network(&spec);
    assert_int_equal(model->n_classes, CLASSES);
    draw(&b, CLASSES + 2, 0, 0);
    for (size_t i = 1; i < b.n; i++) memcpy(b.x + i * D, b.x, D * sizeof(double));
    for (size_t i = 0; i < b.n; i++) b.classes[i] = i == 0 ? -1 : (int32_t)(i - 1) % CLASSES;
    b.shared = true;
    eval(model, &b, 0);
    for (size_t i = 1; i <= CLASSES; i++) {
        assert_memory_not_equal(b.eps + i * D, b.eps + (i - 1) * D, D * sizeof(double));
    }
    assert_memory_equal(b.eps + D, b.eps + (CLASSES + 1) * D, D * sizeof(double));
    vpsde_eval e = eval_of(&b);
    static double none[D];
    e.n = 1;
    e.classes = NULL;
    e.eps = none;
    assert_ok(vpsde_model_workspace_create(&ws, model, 1, 0));
    assert_ok(vpsde_model_eval(model, ws, &e));
    assert_memory_equal(none, b.eps, sizeof(none));
    b.classes[0] = CLASSES;
    e.classes = b.classes;
    assert_fails(vpsde_model_eval(model, ws, &e), VPSDE_EINVAL, "has 3 classes");
    vpsde_model_workspace_destroy(model, ws);
    vpsde_model_destroy(model);

    spec.null_class = false;
    model = network(&spec);
    assert_int_equal(model->n_classes, CLASSES + 1);
    assert_ok(vpsde_model_workspace_create(&ws, model, 1, 0));
    assert_ok(vpsde_model_eval(model, ws, &e));
    e.classes = NULL;
    assert_fails(vpsde_model_eval(model, ws, &e), VPSDE_EINVAL, "without a null class");
    vpsde_model_workspace_destroy(model, ws);
    vpsde_model_destroy(model);
}

static void a_second_half_is_a_range(void **state)
{
    static batch b;
    static double range[2 * D], wide[2 * D];
    void *ws;
    (void)state;
    vpsde_unet_spec spec = small_spec(0);
    spec.out_channels = 2 * CHANNELS;
    vpsde_model *const model = network(&spec);
    assert_true(model->type->flags & VPSDE_MODEL_RANGE);
    assert_false(model->type->flags & VPSDE_MODEL_TRAINABLE);
    assert_int_equal(model->dim, D);
    draw(&b, 2, 2, 0);
    vpsde_eval e = eval_of(&b);
    e.range = range;
    assert_ok(vpsde_model_workspace_create(&ws, model, 2, 2));
    assert_ok(vpsde_model_eval(model, ws, &e));
    vpsde_model_workspace_destroy(model, ws);
    memcpy(wide, b.eps, sizeof(wide));

    /* the network of the first half of the output's channels, then of the second one */
    for (size_t half = 0; half < 2; half++) {
        vpsde_unet_spec narrow = small_spec(0);
        vpsde_model *const part = network(&narrow);
        const vpsde_graph *const from = vpsde_unet_graph(model), *const to = vpsde_unet_graph(part);
        const vpsde_parameter *p;
        for (size_t q = 0; (p = vpsde_graph_parameter(to, q)) != NULL; q++) {
            const vpsde_parameter *const old = vpsde_graph_parameter(from, q);
            const size_t skip = half * (old->count - p->count);
            memcpy(vpsde_graph_parameters(to) + p->offset,
                   vpsde_graph_parameters(from) + old->offset + skip, p->count * sizeof(float));
        }
        assert_ok(vpsde_unet_ready(part));
        eval(part, &b, 2);
        for (size_t i = 0; i < 2 * D; i++) {
            const double other = half ? 2 * range[i] - 1 : wide[i];
            assert_close(b.eps[i], other, 1e-5);
        }
        vpsde_model_destroy(part);
    }
    vpsde_model_destroy(model);
}

static vpsde_status configure(vpsde_model **model, const char *text)
{
    const vpsde_model_type *const type = vpsde_model_type_find("unet");
    vpsde_config *config;
    assert_ok(vpsde_config_parse(&config, text, strlen(text), "test", "/", NULL, 0));
    vpsde_status status = type->configure(model, config);
    if (status == VPSDE_OK && (status = vpsde_config_check(config)) != VPSDE_OK) {
        vpsde_model_destroy(*model);
    }
    vpsde_config_close(config);
    return status;
}

static void reads_its_configuration(void **state)
{
    static const char *const bad[][2] = {
        {"{}", "shape: is missing"},
        {"shape: [1, 8]", "three whole numbers"},
        {"shape: [1, 8, 8.5]", "three whole numbers"},
        {"shape: [1, 8, 9000]", "at most"},
        {"shape: [1, 30, 30]", "multiples of 4"},
        {"{shape: [1, 8, 8], dim: 65}", "not the 65 values"},
        {"{shape: [1, 8, 8], channels: [8, 12]}", "norm_num_groups"},
        {"{shape: [1, 8, 8], channels: []}", "one number of channels a level"},
        {"{shape: [1, 8, 8], attention: [true]}", "each of 3 levels"},
        {"{shape: [1, 8, 8], attention: [1, 2, 3]}", "expected true or false"},
        {"{shape: [1, 8, 8], head_dim: 7}", "attention_head_dim: must divide the 96"},
        {"{shape: [1, 8, 8], groups: 0}", "groups"},
        {"{shape: [1, 8, 8], layers_per_block: 17}", "layers_per_block"},
        {"{shape: [1, 8, 8], chanels: [8]}", "channels"},
    };
    vpsde_model *model;
    (void)state;
    assert_ok(configure(&model,
                        "{shape: [1, 8, 16], dim: 128, channels: [8, 16], attention: [true,"
                        " false], mid_attention: false, head_dim: 4, groups: 4, classes: 10,"
                        " layers_per_block: 2, scale_shift: true}"));
    const vpsde_unet_spec *const spec = vpsde_unet_get_spec(model);
    assert_int_equal(spec->down_block[0], VPSDE_UNET_ATTN);
    assert_int_equal(spec->up_block[1], VPSDE_UNET_ATTN);
    assert_int_equal(spec->down_block[1], VPSDE_UNET_PLAIN);
    assert_int_equal(spec->num_class_embeds, 11);
    assert_int_equal(spec->width, 16);
    assert_true(spec->scale_shift && spec->null_class && !spec->mid_attention);
    assert_int_equal(model->n_classes, 10);
    assert_int_equal(model->dim, 128);
    vpsde_model_destroy(model);
    assert_ok(configure(&model, "shape: [3, 8, 8]"));
    assert_int_equal(vpsde_unet_get_spec(model)->n_levels, 3);
    assert_int_equal(model->n_classes, 0);
    vpsde_model_destroy(model);
    for (size_t c = 0; c < sizeof(bad) / sizeof(bad[0]); c++) {
        assert_fails(configure(&model, bad[c][0]), VPSDE_ECONFIG, bad[c][1]);
    }
}

static void refuses_what_makes_no_network(void **state)
{
    vpsde_unet_spec bad[20];
    const char *words[20];
    size_t n = 0;
    (void)state;
    for (size_t c = 0; c < 20; c++) bad[c] = small_spec(0);
    words[n] = "sample_size: must be in", bad[n++].height = 0;
    words[n] = "in_channels", bad[n++].in_channels = 0;
    words[n] = "out_channels", bad[n++].out_channels = 3;
    words[n] = "levels", bad[n++].n_levels = 9;
    words[n] = "layers_per_block", bad[n++].layers_per_block = 0;
    words[n] = "block_out_channels", bad[n++].block_out_channels[1] = 0;
    words[n] = "norm_num_groups", bad[n++].norm_num_groups = 3;
    words[n] = "norm_num_groups", bad[n++].norm_num_groups = 0;
    words[n] = "attn_norm_num_groups", bad[n++].attn_norm_num_groups = 5;
    words[n] = "attention_head_dim", bad[n++].attention_head_dim = 32;
    words[n] = "norm_eps", bad[n++].norm_eps = 0;
    words[n] = "freq_shift", bad[n++].freq_shift = 4;
    words[n] = "downsample_padding", bad[n++].downsample_padding = 2;
    words[n] = "mid_block_scale_factor", bad[n++].mid_block_scale_factor = 0;
    words[n] = "class_embed_type", bad[n++].class_timestep = true;
    words[n] = "null class", bad[n++].null_class = true;
    words[n] = "down_block_types", bad[n++].down_block[0] = (vpsde_unet_block)7;
    words[n] = "up_block_types", bad[n++].up_block[0] = (vpsde_unet_block)7;
    words[n] = "log 0", bad[n].num_class_embeds = 3, bad[n].class_timestep = true,
    bad[n++].time = VPSDE_UNET_FOURIER;
    words[n] = "num_class_embeds", bad[n++].num_class_embeds = SIZE_MAX;
    for (size_t c = 0; c < n; c++) {
        vpsde_model *model;
        assert_fails(vpsde_unet_create(&model, &bad[c], 0), VPSDE_EINVAL, words[c]);
        assert_null(model);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(starts_at_zero_with_pytorchs_rules),
        cmocka_unit_test(a_row_knows_nothing_but_itself),
        cmocka_unit_test(many_tangents_are_the_same_as_few),
        cmocka_unit_test(tangents_are_derivatives),
        cmocka_unit_test(classes_change_the_output),
        cmocka_unit_test(a_second_half_is_a_range),
        cmocka_unit_test(reads_its_configuration),
        cmocka_unit_test(refuses_what_makes_no_network),
    };
    use_spare_threads();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
