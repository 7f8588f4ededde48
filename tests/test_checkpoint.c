#include "tests/check.h"

#include <stdlib.h>
#include <unistd.h>

#include "core/safetensors.h"
#include "core/sha256.h"
#include "models/mlp.h"
#include "models/train.h"
#include "tests/comma_locale.h"

enum { MAX = 32 };

/* A checkpoint taken apart, to be written again with a fault. */
typedef struct parts {
    vpsde_safetensors *file;
    size_t n_tensors, n_facts;
    vpsde_tensor_out tensor[MAX];
    vpsde_metadata fact[MAX];
} parts;

static char folder[] = "/tmp/vpsde-checkpoint-XXXXXX";
static char path[80], broken[80];

static int make_folder(void **state)
{
    (void)state;
    if (!mkdtemp(folder)) return -1;
    (void)snprintf(path, sizeof(path), "%s/good.safetensors", folder);
    (void)snprintf(broken, sizeof(broken), "%s/broken.safetensors", folder);
    return 0;
}

static int remove_folder(void **state)
{
    (void)state;
    (void)unlink(path);
    (void)unlink(broken);
    return rmdir(folder);
}

static vpsde_model *network(void)
{
    vpsde_model *model;
    const vpsde_mlp_spec spec = {.dim = 4, .hidden = 12, .layers = 1, .time_features = 6};
    assert_ok(vpsde_mlp_create(&model, &spec, 3));
    size_t rows, cols;
    float *const w = vpsde_mlp_tensor(model, "output.weight", &rows, &cols);
    for (size_t e = 0; e < rows * cols; e++) w[e] = sinf((float)e);
    model->rank = 3;
    model->shape[0] = 1;
    model->shape[1] = model->shape[2] = 2;
    assert_ok(vpsde_process_spec_init(&model->process, "vp-linear"));
    model->process.param[0] = 0.1 + 1e-17 + 0.01 / 3;
    model->process.label_scale = 999;
    return model;
}

static void take_apart(parts *p)
{
    static const char *const keys[] = {
        "vpsde.kind",        "vpsde.shape",        "vpsde.schedule",
        "vpsde.t_min",       "vpsde.t_max",        "vpsde.schedule.beta_min",
        "vpsde.label_scale", "vpsde.label_offset", "vpsde.schedule.beta_max",
        "vpsde.hidden",      "vpsde.layers",       "vpsde.time_features"};
    *p = (parts){0};
    assert_ok(vpsde_safetensors_open(&p->file, path));
    for (size_t i = 0; i < vpsde_safetensors_count(p->file); i++) {
        const vpsde_tensor *const t = vpsde_safetensors_at(p->file, i);
        p->tensor[p->n_tensors] = (vpsde_tensor_out){
            .name = t->name, .dtype = t->dtype, .rank = t->rank, .data = t->data};
        memcpy(p->tensor[p->n_tensors++].dims, t->dims, sizeof(t->dims));
    }
    for (size_t i = 0; i < sizeof(keys) / sizeof(*keys); i++) {
        const char *const value = vpsde_safetensors_metadata(p->file, keys[i]);
        assert_non_null(value);
        p->fact[p->n_facts++] = (vpsde_metadata){.key = keys[i], .value = value};
    }
}

static vpsde_tensor_out *tensor_of(parts *p, const char *name)
{
    for (size_t i = 0; i < p->n_tensors; i++) {
        if (strcmp(p->tensor[i].name, name) == 0) return &p->tensor[i];
    }
    fail_msg("no tensor %s", name);
    return NULL;
}

static void refused(parts *p, const char *words)
{
    vpsde_model *model;
    assert_ok(vpsde_safetensors_write(broken, p->tensor, p->n_tensors, p->fact, p->n_facts));
    assert_fails(vpsde_model_open(&model, broken), VPSDE_EDATA, words);
    assert_null(model);
    vpsde_safetensors_close(p->file);
}

static void comes_back_whole(void **state)
{
    char hash[65];
    vpsde_model *again;
    const double x[4] = {0.3, -1, 2, 0.7};
    const vpsde_coef c = {.label = 333.3};
    double eps[2][4];
    (void)state;
    vpsde_model *const model = network();
    assert_ok(model->type->trainer->save(model, path));
    assert_ok(vpsde_model_open(&again, path));
    assert_int_equal(again->n_parameters, model->n_parameters);
    assert_int_equal(again->rank, 3);
    assert_memory_equal(again->shape, model->shape, sizeof(model->shape));
    assert_true(again->process.schedule == model->process.schedule);
    assert_memory_equal(again->process.param, model->process.param, 2 * sizeof(double));
    assert_true(again->process.label_scale == 999);
    assert_true(again->process.label_offset == model->process.label_offset);
    assert_true(again->process.t_min == model->process.t_min);
    assert_ok(vpsde_sha256_file(hash, path));
    assert_string_equal(again->sha256, hash);
    const vpsde_model *const both[] = {model, again};
    for (size_t m = 0; m < 2; m++) {
        void *ws;
        const vpsde_eval e = {.n = 1, .coef = &c, .x = x, .eps = eps[m]};
        assert_ok(vpsde_model_workspace_create(&ws, both[m], 1, 0));
        assert_ok(vpsde_model_eval(both[m], ws, &e));
        vpsde_model_workspace_destroy(both[m], ws);
    }
    assert_memory_equal(eps[0], eps[1], sizeof(eps[0]));
    vpsde_model_destroy(again);
    vpsde_model_destroy(model);
}

static void the_host_locale_changes_nothing(void **state)
{
    const int comma = comma_locale_begin();
    if (comma) comes_back_whole(state);
    comma_locale_end();
    if (!comma) skip();
    vpsde_model *again, *const model = network(); /* what was written under the comma */
    assert_ok(vpsde_model_open(&again, path));
    assert_memory_equal(again->process.param, model->process.param, 2 * sizeof(double));
    vpsde_model_destroy(again);
    vpsde_model_destroy(model);
}

static void keeps_a_table_of_betas(void **state)
{
    double betas[7];
    vpsde_model *again;
    (void)state;
    vpsde_model *const model = network();
    for (size_t i = 0; i < 7; i++) betas[i] = 0.01 * (double)(i + 1) / 3;
    assert_ok(vpsde_process_spec_init(&model->process, "table"));
    model->process.betas = betas;
    model->process.n_betas = 7;
    assert_ok(model->type->trainer->save(model, broken));
    assert_ok(vpsde_model_open(&again, broken));
    assert_int_equal(again->process.n_betas, 7);
    assert_memory_equal(again->process.betas, betas, sizeof(betas));
    vpsde_model_destroy(again);
    vpsde_model_destroy(model);
}

static void may_fit_any_process(void **state)
{
    vpsde_model *again;
    (void)state;
    vpsde_model *const model = network();
    model->process = (vpsde_process_spec){0};
    assert_ok(model->type->trainer->save(model, broken));
    assert_ok(vpsde_model_open(&again, broken));
    assert_null(again->process.schedule);
    vpsde_model_destroy(again);
    vpsde_model_destroy(model);
}

static void refuses_tensors(void **state)
{
    static const float nan[12] = {1, 2, NAN};
    static parts p;
    (void)state;
    take_apart(&p);
    tensor_of(&p, "input.bias")->data = nan;
    refused(&p, "input.bias");
    take_apart(&p);
    tensor_of(&p, "layers.0.linear1.weight")->dims[0] = 6;
    tensor_of(&p, "layers.0.linear1.weight")->dims[1] = 24;
    refused(&p, "layers.0.linear1.weight");
    take_apart(&p);
    tensor_of(&p, "output.bias")->name = "output.bios";
    refused(&p, "output.bios");
    take_apart(&p);
    *tensor_of(&p, "output.bias") = p.tensor[p.n_tensors - 1];
    p.n_tensors--;
    refused(&p, "output.bias");
}

static void refuses_facts(void **state)
{
    static const struct {
        size_t fact;
        const char *value, *words;
    } faults[] = {
        {1, "2,2", "vpsde.shape"},        {1, "x", "vpsde.shape"},   {1, "5", "input.weight"},
        {2, "vp-liner", "vp-linear"},     {3, "nan", "vpsde.t_min"}, {3, "0.1x", "vpsde.t_min"},
        {3, "2", "vpsde.schedule"},       {5, "-3", "beta_min"},     {9, "12.5", "vpsde.hidden"},
        {9, "8000", "input.weight"},      {10, "200", "200 layers"}, {11, "7", "time.0.weight"},
        {11, "0", "vpsde.time_features"}, {0, "mlpp", "mlp"},
    };
    static parts p;
    (void)state;
    for (size_t i = 0; i < sizeof(faults) / sizeof(*faults); i++) {
        take_apart(&p);
        p.fact[faults[i].fact].value = faults[i].value;
        refused(&p, faults[i].words);
    }
    for (size_t f = 0; f < 12; f++) {
        if (f == 2) continue; /* without a schedule it fits any */
        take_apart(&p);
        const char *const key = p.fact[f].key;
        p.fact[f] = p.fact[--p.n_facts];
        refused(&p, key);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(comes_back_whole),    cmocka_unit_test(keeps_a_table_of_betas),
        cmocka_unit_test(may_fit_any_process), cmocka_unit_test(refuses_tensors),
        cmocka_unit_test(refuses_facts),       cmocka_unit_test(the_host_locale_changes_nothing),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
