/* diffusers folders: what tests/golden/unet/make_unet_golden.py made with diffusers itself, and every way
 * in which a folder is refused. */
#include "tests/scratch.h"

#include <float.h>
#include <sys/resource.h>

#include <vpsde/vpsde.h>

#include "core/data.h"
#include "core/json.h"
#include "core/safetensors_set.h"
#include "models/diffusers.h"
#include "tests/unet_golden.h"

enum { TEXT = 4096 };

/* What the network itself returns for a golden batch, all rows in one call; range behind eps. */
static void evaluate(double *out, vpsde_model *model, const char *name, size_t n)
{
    static double x[VALUES_MAX], label[VALUES_MAX], class[VALUES_MAX], eps[VALUES_MAX];
    static double range[VALUES_MAX];
    vpsde_coef coef[8] = {0};
    int32_t classes[8];
    void *ws;
    read_npy(x, name, "/x.npy");
    read_npy(label, name, "/label.npy");
    const bool has_class = read_npy(class, name, "/class.npy") > 0;
    const bool has_range = (model->type->flags & VPSDE_MODEL_RANGE) != 0;
    for (size_t i = 0; i < n; i++) {
        coef[i] = (vpsde_coef){.alpha = 1, .sigma = 1, .label = label[i]};
        classes[i] = (int32_t) class[i];
    }
    model->prediction = VPSDE_PREDICT_EPS;
    assert_ok(vpsde_model_workspace_create(&ws, model, n, 0));
    assert_ok(vpsde_model_eval(model, ws,
                               &(vpsde_eval){.n = n,
                                             .coef = coef,
                                             .coef_stride = 1,
                                             .x = x,
                                             .classes = has_class ? classes : NULL,
                                             .eps = eps,
                                             .range = has_range ? range : NULL}));
    vpsde_model_workspace_destroy(model, ws);
    const size_t d = model->dim, wide = has_range ? 2 * d : d;
    for (size_t i = 0; i < n; i++) {
        for (size_t j = 0; j < d; j++) out[i * wide + j] = eps[i * d + j];
        for (size_t j = d; j < wide; j++) out[i * wide + j] = 2 * range[i * d + j - d] - 1;
    }
}

static void the_network_is_that_of_diffusers(void **state)
{
    static const char *const names[] = {"plain",  "cifar", "heads",   "wide",    "shift",
                                        "nonorm", "times", "fourier", "sharded", "ddim"};
    static double expected[VALUES_MAX], actual[VALUES_MAX];
    const double tolerance = 2e-5;
    bool fits = true;
    (void)state;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        vpsde_model *const model = open_golden(names[i]);
        const size_t n = read_npy(expected, names[i], "/eps.npy");
        const size_t wide = vpsde_unet_get_spec(model)->out_channels * model->shape[1];
        evaluate(actual, model, names[i], n);
        const double error = relative(actual, expected, n * wide * model->shape[2]);
        print_message("%-8s %.2g\n", names[i], error);
        fits = fits && error <= tolerance;
        vpsde_model_destroy(model);
    }
    assert_true(fits);
}

/* trailing: timesteps 999, 979, ..., 19 and then the data; leading: 980, 960, ..., 0 and then the data, which
 * diffusers begins with N(0, I) at 980 all the same. */
static void fifty_steps_of_ddim_end_where_those_of_diffusers_do(void **state)
{
    enum { STEPS = 50 };
    static const struct {
        const char *grid, *end;
        double t_max, t_min;
    } cases[] = {{"trailing", "/trailing.npy", 1, 0.02}, {"leading", "/leading.npy", 0.981, 0.001}};
    static const double from_zero[VPSDE_PARAM_MAX] = {0}; /* steps_offset */
    static double start[VALUES_MAX], expected[VALUES_MAX], actual[VALUES_MAX];
    vpsde_model *const model = open_golden("ddim");
    (void)state;
    const size_t n = read_npy(start, "ddim", "/x.npy");
    for (size_t c = 0; c < sizeof(cases) / sizeof(cases[0]); c++) {
        vpsde_process_spec spec = model->process;
        vpsde_process *process;
        vpsde_grid *grid;
        assert_int_equal(read_npy(expected, "ddim", cases[c].end), n);
        spec.t_max = cases[c].t_max;
        spec.t_min = cases[c].t_min;
        assert_ok(vpsde_process_create(&process, &spec));
        assert_ok(vpsde_grid_create(&grid, vpsde_grid_find(cases[c].grid), process, STEPS,
                                    from_zero, NULL, VPSDE_LAST_EULER));
        assert_int_equal(grid->n_steps, STEPS);
        const vpsde_sampling run = {.process = process,
                                    .model = model,
                                    .solver = vpsde_solver_find("ddim"),
                                    .grid = grid,
                                    .count = n,
                                    .init = start,
                                    .n_threads = 1};
        assert_ok(vpsde_sample_array(&run, actual));
        const double error = relative(actual, expected, n * model->dim);
        print_message("50 steps of DDIM, %s: %.2g\n", cases[c].grid, error);
        assert_true(error <= 1e-4);
        vpsde_grid_destroy(grid);
        vpsde_process_destroy(process);
    }
    vpsde_model_destroy(model);
}

/* beta of step i, from the process' clock */
static double beta_of(const vpsde_process *process, size_t n, size_t i)
{
    const double from = vpsde_process_at(process, (double)i / (double)n).b;
    return -expm1(from - vpsde_process_at(process, (double)(i + 1) / (double)n).b);
}

static void the_chain_is_that_of_the_scheduler(void **state)
{
    /* ddpm-linear is without diffusers' three roundings to float32. The last bit of torch.linspace depends on
     * the machine; scaled_linear squares it, twice that bit, and rounds on either side. The cosine and given
     * betas are exact. */
    const double bit = (double)FLT_EPSILON, exact = 1e-13;
    const struct {
        const char *name, *schedule;
        double tolerance;
    } cases[] = {{"cifar", "ddpm-linear", 1.5 * bit},
                 {"ddim", "ddpm-linear", 1.5 * bit},
                 {"wide", "table", 3 * bit},
                 {"heads", "table", exact},
                 {"shift", "table", exact}};
    static double betas[VALUES_MAX];
    (void)state;
    for (size_t c = 0; c < sizeof(cases) / sizeof(cases[0]); c++) {
        vpsde_model *const model = open_golden(cases[c].name);
        const size_t n = read_npy(betas, cases[c].name, "/betas.npy");
        vpsde_process *process;
        double worst = 0, t_min;
        assert_string_equal(model->process.schedule->name, cases[c].schedule);
        assert_ok(vpsde_process_create(&process, &model->process));
        assert_int_equal(vpsde_process_n_ddpm(process), n);
        for (size_t i = 0; i < n; i++) {
            worst = fmax(worst, fabs(beta_of(process, n, i) / betas[i] - 1));
        }
        print_message("%-6s %-12s %.2g\n", cases[c].name, cases[c].schedule, worst);
        assert_true(worst <= cases[c].tolerance);
        assert_close(vpsde_process_label(process, 1), (double)n - 1, 0);
        assert_close(vpsde_process_label(process, 1 / (double)n), 0, 1e-12);
        assert_ok(vpsde_model_t_min(&t_min, model));
        assert_close(t_min, 1 / (double)n, 0);
        assert_true(model->says_prediction);
        vpsde_process_destroy(process);
        vpsde_model_destroy(model);
    }
}

static void predictions_and_sums_are_taken_over(void **state)
{
    static const struct {
        const char *name;
        vpsde_prediction prediction;
        bool says;
    } cases[] = {{"plain", VPSDE_PREDICT_EPS, false},
                 {"cifar", VPSDE_PREDICT_EPS, true},
                 {"heads", VPSDE_PREDICT_V, true},
                 {"wide", VPSDE_PREDICT_X0, true}};
    char file[65], folder[65];
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        vpsde_model *const model = open_golden(cases[i].name);
        assert_int_equal(model->prediction, cases[i].prediction);
        assert_int_equal(model->says_prediction, cases[i].says);
        vpsde_model_destroy(model);
    }
    vpsde_safetensors *weights;
    vpsde_model *model = open_golden("plain");
    assert_ok(
        vpsde_safetensors_open(&weights, golden("plain", "/diffusion_pytorch_model.safetensors")));
    assert_string_equal(model->sha256, vpsde_safetensors_sha256(weights));
    vpsde_safetensors_close(weights);
    vpsde_model_destroy(model);
    model = open_golden("sharded");
    assert_ok(vpsde_diffusers_sha256(folder, golden("sharded", "")));
    assert_string_equal(model->sha256, folder);
    vpsde_model_destroy(model);
    model = open_golden("ddim/unet/"); /* ../scheduler */
    assert_true(model->says_prediction);
    memcpy(file, model->sha256, sizeof(file));
    vpsde_model_destroy(model);
    assert_ok(vpsde_diffusers_sha256(folder, golden("ddim", "")));
    assert_string_equal(file, folder);
}

static void the_clip_of_the_scheduler_is_known(void **state)
{
    vpsde_diffusers_scheduler s;
    (void)state;
    assert_ok(vpsde_diffusers_scheduler_load(&s, golden("wide", "/scheduler_config.json")));
    assert_true(s.clip_sample && !s.thresholding);
    assert_close(s.clip_range, 2, 0);
    assert_string_equal(s.class_name, "DDPMScheduler");
    vpsde_diffusers_scheduler_clear(&s);
    assert_ok(vpsde_diffusers_scheduler_load(&s, golden("shift", "/scheduler_config.json")));
    assert_true(s.thresholding);
    assert_close(s.quantile, 0.995, 0);
    vpsde_diffusers_scheduler_clear(&s);
    assert_ok(
        vpsde_diffusers_scheduler_load(&s, golden("ddim", "/scheduler/scheduler_config.json")));
    assert_false(s.clip_sample || s.thresholding);
    vpsde_diffusers_scheduler_clear(&s);
}

/* A config.json with one key set to another value, or without it (value NULL). */
static const char *config_with(const char *key, const char *value)
{
    static const char *const base[][2] = {
        {"_class_name", "\"UNet2DModel\""},
        {"sample_size", "8"},
        {"in_channels", "1"},
        {"out_channels", "1"},
        {"block_out_channels", "[8, 8]"},
        {"down_block_types", "[\"DownBlock2D\", \"UNetResAttnDownBlock2D\"]"},
        {"up_block_types", "[\"AttnUpBlock2D\", \"UpBlock2D\"]"},
        {"layers_per_block", "1"},
        {"norm_num_groups", "4"},
    };
    static char text[TEXT];
    size_t used = (size_t)snprintf(text, TEXT, "{\"_diffusers_version\": \"0.30.3\"");
    bool replaced = false;
    for (size_t i = 0; i < sizeof(base) / sizeof(base[0]); i++) {
        const bool this = strcmp(base[i][0], key) == 0;
        replaced = replaced || this;
        if (this && !value) continue;
        used += (size_t)snprintf(text + used, TEXT - used, ", \"%s\": %s", base[i][0],
                                 this ? value : base[i][1]);
    }
    if (!replaced && value) {
        used += (size_t)snprintf(text + used, TEXT - used, ", \"%s\": %s", key, value);
    }
    (void)snprintf(text + used, TEXT - used, "}");
    return text;
}

static vpsde_status parse_spec(vpsde_unet_spec *spec, const char *text, const char *where)
{
    vpsde_json_in *config;
    VPSDE_TRY(vpsde_json_in_read(&config, text, strlen(text), where));
    const vpsde_status status = vpsde_unet_spec_parse(spec, config, where);
    vpsde_json_in_free(config);
    return status;
}

static void what_the_config_cannot_be_is_named(void **state)
{
    static const char *const cases[][3] = {
        {"_class_name", NULL, "_class_name is absent"},
        {"_class_name", "\"UNet2DConditionModel\"",
         "\"UNet2DConditionModel\" is not supported; expected \"UNet2DModel\""},
        {"sample_size", NULL, "sample_size: absent; write the images' side"},
        {"sample_size", "null", "sample_size: null is not supported; expected the images' side"},
        {"sample_size", "[8]", "sample_size: [8]"},
        {"sample_size", "9", "multiples of 2, got 9 x 9"},
        {"in_channels", "\"one\"", "in_channels: \"one\""},
        {"in_channels", "-1", "in_channels: -1"},
        {"out_channels", "5", "out_channels: must be in_channels"},
        {"center_input_sample", "1", "expected true or false"},
        {"time_embedding_type", "\"learned\"", "expected \"positional\" or \"fourier\""},
        {"freq_shift", "null", "freq_shift: null is not supported; expected a number"},
        {"flip_sin_to_cos", "null", "flip_sin_to_cos: null"},
        {"block_out_channels", "8", "block_out_channels: 8"},
        {"block_out_channels", "[8, 8.5]", "block_out_channels: 8.5"},
        {"block_out_channels", "[8, 8, 8]", "2 levels, expected the 3 of block_out_channels"},
        {"block_out_channels", "[8, 6]", "norm_num_groups: must divide"},
        {"down_block_types", NULL, "down_block_types: absent, which means 4 levels"},
        {"up_block_types", NULL, "up_block_types: absent, which means 4 levels"},
        {"down_block_types", "[\"DownBlock2D\", \"SkipDownBlock2D\"]",
         "\"SkipDownBlock2D\" is not supported; expected \"DownBlock2D\", \"AttnDownBlock2D\" or "
         "\"ResnetDownsampleBlock2D\""},
        {"up_block_types", "[\"UpBlock2D\", 7]", "expected \"UpBlock2D\", \"AttnUpBlock2D\" or"},
        {"up_block_types", "[\"UpBlock2D\", \"UNetResNot\"]", "\"UNetResNot\""},
        {"mid_block_type", "\"UnCLIPUNetMidBlock2D\"", "expected \"UNetMidBlock2D\""},
        {"mid_block_type", "null", "mid_block_type: null"},
        {"time_embedding_dim", "64", "time_embedding_dim: 64 is not supported; expected null"},
        {"layers_per_block", "0", "layers_per_block"},
        {"layers_per_block", "[1, 2]", "layers_per_block: [1,2]"},
        {"mid_block_scale_factor", "\"2\"", "mid_block_scale_factor: \"2\""},
        {"mid_block_scale_factor", "0", "mid_block_scale_factor: must be positive"},
        {"downsample_padding", "2", "downsample_padding: must be 0 or 1"},
        {"downsample_type", "\"pool\"", "expected \"resnet\" or \"conv\""},
        {"upsample_type", "\"pool\"", "upsample_type: \"pool\""},
        {"act_fn", "\"gelu\"", "act_fn: \"gelu\" is not supported; expected \"silu\" or \"swish\""},
        {"attention_head_dim", "0", "expected null or a whole number >= 1"},
        {"attention_head_dim", "3", "attention_head_dim: must divide"},
        {"norm_num_groups", "null", "norm_num_groups: null"},
        {"attn_norm_num_groups", "5", "attn_norm_num_groups"},
        {"norm_eps", "-1", "norm_eps: must be positive"},
        {"resnet_time_scale_shift", "\"ada_group\"", "expected \"default\" or \"scale_shift\""},
        {"class_embed_type", "\"identity\"", "expected \"timestep\""},
        {"class_embed_type", "\"timestep\"", "needs num_class_embeds"},
        {"num_class_embeds", "2.5", "num_class_embeds: 2.5"},
        {"add_attention", "\"no\"", "add_attention: \"no\""},
        {"cross_attention_dim", "768", "cross_attention_dim: 768: no key of UNet2DModel"},
    };
    vpsde_unet_spec spec;
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_fails(parse_spec(&spec, config_with(cases[i][0], cases[i][1]), "here"), VPSDE_EDATA,
                     cases[i][2]);
        assert_int_equal(strncmp(vpsde_last_error(), "here: ", 6), 0);
    }
    assert_fails(parse_spec(&spec, "{\"a\": ", "here"), VPSDE_EDATA, "not valid JSON");
    assert_fails(parse_spec(&spec, "[]", "here"), VPSDE_EDATA, "holds a list");
}

static void what_does_not_matter_is_ignored(void **state)
{
    static const char *const cases[][2] = {
        {"_name_or_path", "\"x\""},
        {"dropout", "0.1"},
        {"num_train_timesteps", "1000"},
        {"decay", "0.9999"},
        {"something_new", "null"},
        {"something_else", "false"},
        {"act_fn", "\"swish\""},
        {"downsample_type", "null"},
        {"mid_block_type", "\"UNetMidBlock2D\""},
        {"time_embedding_dim", "null"},
    };
    vpsde_unet_spec spec;
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_ok(parse_spec(&spec, config_with(cases[i][0], cases[i][1]), "here"));
        assert_int_equal(spec.attention_head_dim, 8);
        assert_int_equal(spec.down_block[1], VPSDE_UNET_ATTN);
        assert_true(spec.downsample_conv && spec.flip_sin_to_cos && !spec.null_class);
    }
}

static void a_config_that_is_written_reads_back(void **state)
{
    static const char *const names[] = {"/plain", "/cifar", "/heads",  "/wide",
                                        "/shift", "/times", "/nonorm", "/fourier"};
    (void)state;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        vpsde_model *const model = open_golden(names[i] + 1);
        vpsde_unet_spec before, after;
        char *text;
        memcpy(&before, vpsde_unet_get_spec(model), sizeof(before));
        before.null_class = before.num_class_embeds > 1;
        assert_ok(vpsde_unet_spec_format(&text, &before));
        assert_ok(parse_spec(&after, text, "here"));
        assert_int_equal(after.null_class, before.null_class);
        char *again;
        assert_ok(vpsde_unet_spec_format(&again, &after));
        assert_string_equal(again, text);
        assert_true(after.norm_eps == before.norm_eps);
        assert_true(after.mid_block_scale_factor == before.mid_block_scale_factor);
        assert_int_equal(after.height, before.height);
        assert_int_equal(after.scale_shift, before.scale_shift);
        assert_int_equal(after.downsample_conv, before.downsample_conv);
        assert_int_equal(after.attn_norm_num_groups, before.attn_norm_num_groups);
        free(again);
        free(text);
        vpsde_model_destroy(model);
    }
}

static void what_the_scheduler_cannot_be_is_named(void **state)
{
    static const char *const cases[][2] = {
        {"{}", "_class_name: nothing is not supported"},
        {"{\"_class_name\": \"ScoreSdeVeScheduler\"}", "\"ScoreSdeVeScheduler\""},
        {"{\"_class_name\": \"DDPMScheduler\", \"beta_schedule\": \"sigmoid\"}",
         "expected \"linear\", \"scaled_linear\" or \"squaredcos_cap_v2\""},
        {"{\"_class_name\": \"DDPMScheduler\", \"beta_start\": \"a\"}", "beta_start: \"a\""},
        {"{\"_class_name\": \"DDPMScheduler\", \"beta_end\": 1.5}", "beta_end"},
        {"{\"_class_name\": \"DDPMScheduler\", \"num_train_timesteps\": 0}",
         "num_train_timesteps: 0"},
        {"{\"_class_name\": \"DDPMScheduler\", \"trained_betas\": []}", "trained_betas: []"},
        {"{\"_class_name\": \"DDPMScheduler\", \"trained_betas\": [0.1, true]}", "trained_betas"},
        {"{\"_class_name\": \"DDPMScheduler\", \"trained_betas\": [0.1, 1]}", "betas[1]"},
        {"{\"_class_name\": \"DDPMScheduler\", \"prediction_type\": \"flow\"}",
         "expected \"epsilon\", \"sample\" or \"v_prediction\""},
        {"{\"_class_name\": \"DDPMScheduler\", \"clip_sample\": 1}", "clip_sample: 1"},
        {"{\"_class_name\": \"DDIMScheduler\", \"rescale_betas_zero_snr\": true}",
         "rescale_betas_zero_snr: true"},
        {"[", "not valid JSON"},
    };
    vpsde_diffusers_scheduler s;
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const char *const path = scratch_write("s.json", cases[i][0], strlen(cases[i][0]));
        assert_fails(vpsde_diffusers_scheduler_load(&s, path), VPSDE_EDATA, cases[i][1]);
        assert_non_null(strstr(vpsde_last_error(), "s.json: "));
    }
    unlink(scratch_path("s.json"));
}

/* The folder of `plain` with one tensor left out, renamed or reshaped. */
static void write_plain(const char *drop, const char *rename_to, bool flat)
{
    vpsde_safetensors *file;
    static vpsde_tensor_out tensors[256];
    size_t n = 0;
    assert_ok(
        vpsde_safetensors_open(&file, golden("plain", "/diffusion_pytorch_model.safetensors")));
    for (size_t i = 0; i < vpsde_safetensors_count(file); i++) {
        const vpsde_tensor *const t = vpsde_safetensors_at(file, i);
        const bool this = drop && strcmp(t->name, drop) == 0;
        if (this && !rename_to && !flat) continue;
        tensors[n] = (vpsde_tensor_out){.name = this && rename_to ? rename_to : t->name,
                                        .dtype = t->dtype,
                                        .rank = t->rank,
                                        .data = t->data};
        memcpy(tensors[n].dims, t->dims, sizeof(t->dims));
        if (this && flat) {
            tensors[n].rank = 1;
            tensors[n].dims[0] = t->count;
        }
        n++;
    }
    assert_ok(vpsde_safetensors_write(scratch_path("diffusion_pytorch_model.safetensors"), tensors,
                                      n, NULL, 0));
    vpsde_safetensors_close(file);
}

static void write_config(const char *name)
{
    static char text[TEXT];
    const size_t n = scratch_read(text, TEXT, golden(name, "/config.json"));
    scratch_write("config.json", text, n);
}

static void tensors_that_do_not_fit_are_named(void **state)
{
    static const struct {
        const char *tensor, *rename_to;
        bool flat;
        const char *words;
    } cases[] = {
        {"conv_out.bias", NULL, false, "tensor conv_out.bias is missing"},
        {"conv_out.bias", "conv_out.offset", false, "tensor conv_out.bias is missing"},
        {"conv_in.weight", NULL, true, "tensor conv_in.weight: shape (72), expected (8, 1, 3, 3)"},
        {"down_blocks.1.resnets.0.conv1.weight", NULL, false,
         "tensor down_blocks.1.resnets.0.conv1.weight is missing"},
        {"up_blocks.0.resnets.1.conv1.weight", NULL, false,
         "tensor up_blocks.0.resnets.1.conv1.weight is missing"},
    };
    vpsde_model *model;
    (void)state;
    write_config("plain");
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        write_plain(cases[i].tensor, cases[i].rename_to, cases[i].flat);
        assert_fails(vpsde_model_open(&model, scratch_folder), VPSDE_EDATA, cases[i].words);
    }
    write_plain(NULL, NULL, false);
    assert_ok(vpsde_model_open(&model, scratch_folder));
    assert_false(model->says_prediction);
    vpsde_model_destroy(model);
    scratch_write("config.json", config_with("add_attention", "false"),
                  strlen(config_with("add_attention", "false")));
    assert_fails(vpsde_model_open(&model, scratch_folder), VPSDE_EDATA, "attentions.");
    unlink(scratch_path("diffusion_pytorch_model.safetensors"));
    unlink(scratch_path("config.json"));
}

static void a_tensor_too_many_is_named(void **state)
{
    static const float zero[2] = {0};
    vpsde_tensor_out tensors[256];
    vpsde_safetensors *file;
    vpsde_model *model;
    size_t n = 0;
    (void)state;
    write_config("plain");
    assert_ok(
        vpsde_safetensors_open(&file, golden("plain", "/diffusion_pytorch_model.safetensors")));
    for (; n < vpsde_safetensors_count(file); n++) {
        const vpsde_tensor *const t = vpsde_safetensors_at(file, n);
        tensors[n] = (vpsde_tensor_out){
            .name = t->name, .dtype = t->dtype, .rank = t->rank, .data = t->data};
        memcpy(tensors[n].dims, t->dims, sizeof(t->dims));
    }
    tensors[n++] = (vpsde_tensor_out){
        .name = "add_embedding.bias", .dtype = "F32", .rank = 1, .dims = {2}, .data = zero};
    assert_ok(vpsde_safetensors_write(scratch_path("diffusion_pytorch_model.safetensors"), tensors,
                                      n, NULL, 0));
    vpsde_safetensors_close(file);
    assert_fails(vpsde_model_open(&model, scratch_folder), VPSDE_EDATA,
                 "tensor add_embedding.bias: a unet of its configuration has none");
    unlink(scratch_path("diffusion_pytorch_model.safetensors"));
    unlink(scratch_path("config.json"));
}

static void files_that_are_missing_are_named(void **state)
{
    static const char no_map[] = "{\"metadata\": {}}", none[] = "{\"weight_map\": {}}";
    static const char not_there[] = "{\"weight_map\": {\"a\": \"b.safetensors\"}}";
    static const char wrong[] = "{\"weight_map\": {\"a\": \"weights.safetensors\"}}";
    static const char *const elsewhere[] = {
        "\"../b.safetensors\"", "\"/b.safetensors\"", "\"..\"", "\".\"", "\"\"", "7"};
    static const char index[] = "diffusion_pytorch_model.safetensors.index.json";
    vpsde_model *model;
    (void)state;
    assert_fails(vpsde_model_open(&model, scratch_folder), VPSDE_EDATA,
                 "neither config.json nor unet/config.json");
    write_config("plain");
    assert_fails(vpsde_model_open(&model, scratch_folder), VPSDE_EDATA,
                 "no diffusion_pytorch_model.safetensors");
    scratch_write("diffusion_pytorch_model.bin", "x", 1);
    assert_fails(vpsde_model_open(&model, scratch_folder), VPSDE_EDATA,
                 "from diffusers import UNet2DModel; UNet2DModel.from_pretrained('");
    unlink(scratch_path("diffusion_pytorch_model.bin"));
    write_plain(NULL, NULL, false);
    assert_int_equal(rename(scratch_path("diffusion_pytorch_model.safetensors"),
                            scratch_path("weights.safetensors")),
                     0);
    scratch_write(index, no_map, strlen(no_map));
    assert_fails(vpsde_model_open(&model, scratch_folder), VPSDE_EDATA, "weight_map is missing");
    scratch_write(index, none, strlen(none));
    assert_fails(vpsde_model_open(&model, scratch_folder), VPSDE_EDATA, "names 0 files");
    for (size_t i = 0; i < sizeof(elsewhere) / sizeof(elsewhere[0]); i++) {
        char text[64];
        const int n = snprintf(text, sizeof(text), "{\"weight_map\": {\"a\": %s}}", elsewhere[i]);
        scratch_write(index, text, (size_t)n);
        assert_fails(vpsde_model_open(&model, scratch_folder), VPSDE_EDATA,
                     "a file beside the index");
    }
    scratch_write(index, not_there, strlen(not_there));
    assert_fails(vpsde_model_open(&model, scratch_folder), VPSDE_EDATA, "b.safetensors");
    scratch_write(index, wrong, strlen(wrong));
    assert_fails(vpsde_model_open(&model, scratch_folder), VPSDE_EDATA,
                 "tensor a is not in weights.safetensors");
    unlink(scratch_path(index));
    unlink(scratch_path("weights.safetensors"));
    unlink(scratch_path("config.json"));
}

static void write_one(const char *file, const char *name, const float *value)
{
    assert_ok(vpsde_safetensors_write(
        scratch_path(file),
        &(vpsde_tensor_out){.name = name, .dtype = "F32", .rank = 1, .dims = {1}, .data = value}, 1,
        NULL, 0));
}

/* Two files with a tensor of one name: it is nobody's guess which is meant. */
static void the_index_is_obeyed(void **state)
{
    static const char both[] = "{\"weight_map\": {\"w\": \"b.safetensors\"}}";
    static const char twice[] =
        "{\"weight_map\": {\"w\": \"b.safetensors\", \"v\": \"a.safetensors\"}}";
    static const float one = 1, two = 2;
    vpsde_safetensors_set *set;
    float value;
    (void)state;
    write_one("a.safetensors", "w", &one);
    write_one("b.safetensors", "w", &two);
    const char *const index = scratch_write("i.json", both, strlen(both));
    assert_ok(vpsde_safetensors_set_open(&set, index));
    assert_null(vpsde_safetensors_set_find(set, "v"));
    assert_ok(vpsde_safetensors_read_f32(vpsde_safetensors_set_find(set, "w"), "w", &value, 1,
                                         (const size_t[]){1}));
    assert_true(value == two);
    vpsde_safetensors_set_close(set);
    const vpsde_tensor_out pair[] = {
        {.name = "v", .dtype = "F32", .rank = 1, .dims = {1}, .data = &one},
        {.name = "w", .dtype = "F32", .rank = 1, .dims = {1}, .data = &one}};
    assert_ok(vpsde_safetensors_write(scratch_path("a.safetensors"), pair, 2, NULL, 0));
    scratch_write("i.json", twice, strlen(twice));
    assert_fails(vpsde_safetensors_set_open(&set, index), VPSDE_EDATA,
                 "tensor w is in a.safetensors, but the map has it in b.safetensors");
    write_one("b.safetensors", "v", &one);
    scratch_write("i.json", both, strlen(both));
    assert_fails(vpsde_safetensors_set_open(&set, index), VPSDE_EDATA,
                 "tensor w is not in b.safetensors");
    unlink(scratch_path("a.safetensors"));
    unlink(scratch_path("b.safetensors"));
    unlink(index);
}

static size_t peak(void)
{
    struct rusage usage;
    assert_int_equal(getrusage(RUSAGE_SELF, &usage), 0);
    return (size_t)usage.ru_maxrss * 1024;
}

/* A few bytes of file cost a few bytes of memory, whatever they say. */
static void claims_cost_nothing(void **state)
{
    enum { COUNT = 2 * 1000 * 1000, MOST = 64 * 1000 * 1000 };
    static const float none[1];
    static const char *const kernels[] = {"down_blocks.0.resnets.0.conv1.weight",
                                          "down_blocks.1.resnets.0.conv1.weight"};
    vpsde_tensor_out tensors[2];
    vpsde_model *model;
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        tensors[i] = (vpsde_tensor_out){
            .name = kernels[i], .dtype = "F32", .rank = 4, .dims = {2048, 2048}, .data = none};
    }
    const size_t before = peak();
    const char *const weights = scratch_path("diffusion_pytorch_model.safetensors");
    assert_ok(vpsde_safetensors_write(weights, tensors, 2, NULL, 0));
    const char *config = config_with("block_out_channels", "[2048, 2048]");
    scratch_write("config.json", config, strlen(config));
    assert_fails(vpsde_model_open(&model, scratch_folder), VPSDE_EDATA,
                 "shape (2048, 2048, 0, 0), expected (2048, 2048, 3, 3)");
    write_plain(NULL, NULL, false);
    config = config_with("num_class_embeds", "1048576");
    scratch_write("config.json", config, strlen(config));
    assert_fails(vpsde_model_open(&model, scratch_folder), VPSDE_EDATA,
                 "tensor class_embedding.weight is missing");
    char *const text = malloc(3 * COUNT);
    assert_non_null(text);
    for (size_t i = 0; i < COUNT; i++) memcpy(text + 3 * i, i == 0 ? "[[]" : ",[]", 3);
    scratch_write("config.json", text, 3 * COUNT);
    assert_fails(vpsde_model_open(&model, scratch_folder), VPSDE_EDATA,
                 "has more than 131072 values, in line 1");
    memset(text, '[', COUNT);
    scratch_write("config.json", text, COUNT);
    free(text);
    assert_fails(vpsde_model_open(&model, scratch_folder), VPSDE_EDATA,
                 "is nested deeper than 16 levels, in line 1");
    assert_int_equal(truncate(scratch_path("config.json"), 200000000), 0);
    assert_fails(vpsde_model_open(&model, scratch_folder), VPSDE_EDATA,
                 "200000000 bytes, at most 16000000 are read");
    assert_true(peak() - before < MOST);
    unlink(weights);
    unlink(scratch_path("config.json"));
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_network_is_that_of_diffusers),
        cmocka_unit_test(fifty_steps_of_ddim_end_where_those_of_diffusers_do),
        cmocka_unit_test(the_chain_is_that_of_the_scheduler),
        cmocka_unit_test(predictions_and_sums_are_taken_over),
        cmocka_unit_test(the_clip_of_the_scheduler_is_known),
        cmocka_unit_test(what_the_config_cannot_be_is_named),
        cmocka_unit_test(what_does_not_matter_is_ignored),
        cmocka_unit_test(a_config_that_is_written_reads_back),
        cmocka_unit_test(what_the_scheduler_cannot_be_is_named),
        cmocka_unit_test(tensors_that_do_not_fit_are_named),
        cmocka_unit_test(a_tensor_too_many_is_named),
        cmocka_unit_test(files_that_are_missing_are_named),
        cmocka_unit_test(the_index_is_obeyed),
        cmocka_unit_test(claims_cost_nothing),
    };
    if (argc != 2) return 2;
    root = argv[1];
    return cmocka_run_group_tests(tests, scratch_setup, scratch_teardown);
}
