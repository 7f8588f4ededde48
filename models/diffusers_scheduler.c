/* scheduler_config.json as the chain that the network was trained on (src/diffusers/schedulers, 0.30.3).
 *
 * diffusers makes its betas in float32 by torch.linspace, whose step is (end - start)/(N - 1) in float32
 * and whose upper half counts back from the end; its last bit depends on the vector width of the machine
 * (ATEN_CPU_CAPABILITY), so tables agree to that bit. The cosine's are made in double and rounded to
 * float32 at the end. A linear chain is kept as the schedule ddpm-linear, in double: without diffusers'
 * three roundings, 1.8e-7 of a beta. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/json.h"
#include "core/mem.h"
#include "models/diffusers.h"

enum { SHOWN = 60, STEPS_MAX = 1000000 };

/* Schedulers of variance-preserving chains, and the defaults of their constructors. */
static const struct {
    const char *name;
    bool clip_sample;
    double beta_start, beta_end;
} schedulers[] = {
    {"DDPMScheduler", true, 1e-4, 0.02},
    {"DDIMScheduler", true, 1e-4, 0.02},
    {"DDPMParallelScheduler", true, 1e-4, 0.02},
    {"DDIMParallelScheduler", true, 1e-4, 0.02},
    {"DDIMInverseScheduler", true, 1e-4, 0.02},
    {"PNDMScheduler", false, 1e-4, 0.02},
    {"DPMSolverMultistepScheduler", false, 1e-4, 0.02},
    {"DPMSolverMultistepInverseScheduler", false, 1e-4, 0.02},
    {"DPMSolverSinglestepScheduler", false, 1e-4, 0.02},
    {"DEISMultistepScheduler", false, 1e-4, 0.02},
    {"UniPCMultistepScheduler", false, 1e-4, 0.02},
    {"SASolverScheduler", false, 1e-4, 0.02},
    {"EulerDiscreteScheduler", false, 1e-4, 0.02},
    {"EulerAncestralDiscreteScheduler", false, 1e-4, 0.02},
    {"LMSDiscreteScheduler", false, 1e-4, 0.02},
    {"HeunDiscreteScheduler", false, 0.00085, 0.012},
    {"KDPM2DiscreteScheduler", false, 0.00085, 0.012},
    {"KDPM2AncestralDiscreteScheduler", false, 0.00085, 0.012},
    {"DPMSolverSDEScheduler", false, 0.00085, 0.012},
};

typedef struct reading {
    vpsde_diffusers_scheduler *s;
    const vpsde_json_in *config;
    const char *path;
} reading;

static vpsde_status unsupported(const reading *r, const char *key, const char *expected)
{
    char shown[SHOWN];
    return vpsde_fail(VPSDE_EDATA, "%s: %s: %s is not supported; expected %s", r->path, key,
                      vpsde_json_in_show(shown, sizeof(shown), vpsde_json_in_get(r->config, key)),
                      expected);
}

/* Keys that are absent or null leave what stands. */
static const vpsde_json_in *given(const reading *r, const char *key)
{
    const vpsde_json_in *const value = vpsde_json_in_get(r->config, key);
    return vpsde_json_in_kind_of(value) == VPSDE_JSON_IN_NULL ? NULL : value;
}

static vpsde_status read_real(double *out, const reading *r, const char *key)
{
    const vpsde_json_in *const value = given(r, key);
    if (!value || vpsde_json_in_number(out, value)) return VPSDE_OK;
    return unsupported(r, key, "a number");
}

static vpsde_status read_flag(bool *out, const reading *r, const char *key)
{
    const vpsde_json_in *const value = given(r, key);
    if (value && vpsde_json_in_kind_of(value) != VPSDE_JSON_IN_BOOL) {
        return unsupported(r, key, "true or false");
    }
    if (value) *out = vpsde_json_in_true(value);
    return VPSDE_OK;
}

static vpsde_status set_number(vpsde_process_spec *spec, const char *name, double value)
{
    return vpsde_param_set(spec->param, spec->schedule->params, name, value);
}

static vpsde_status linear(const reading *r, size_t n, double start, double end)
{
    vpsde_process_spec *const spec = &r->s->process;
    VPSDE_TRY(vpsde_process_spec_init(spec, "ddpm-linear"));
    VPSDE_TRY(set_number(spec, "beta_start", start));
    VPSDE_TRY(set_number(spec, "beta_end", end));
    return set_number(spec, "steps", (double)n);
}

static vpsde_status table(double **betas, const reading *r, size_t n)
{
    VPSDE_TRY(vpsde_process_spec_init(&r->s->process, "table"));
    VPSDE_TRY(vpsde_alloc(&r->s->betas, n, sizeof(double)));
    r->s->process.betas = *betas = r->s->betas;
    r->s->process.n_betas = n;
    return VPSDE_OK;
}

/* torch.linspace(start, end, n, dtype=float32)[i] */
static float linspace(float start, float end, size_t n, size_t i)
{
    const float step = n > 1 ? (end - start) / (float)(n - 1) : 0;
    return i < n / 2 || n == 1 ? start + step * (float)i : end - step * (float)(n - 1 - i);
}

static vpsde_status scaled_linear(const reading *r, size_t n, double start, double end)
{
    double *betas;
    VPSDE_TRY(table(&betas, r, n));
    for (size_t i = 0; i < n; i++) {
        const float root = linspace((float)sqrt(start), (float)sqrt(end), n, i);
        betas[i] = (double)(root * root);
    }
    return VPSDE_OK;
}

/* Nichol & Dhariwal 2021, arXiv:2102.09672, eq. (17) */
static double alpha_bar(double t)
{
    const double c = cos((t + 0.008) / 1.008 * 3.14159265358979323846 / 2);
    return c * c;
}

static vpsde_status cosine(const reading *r, size_t n, double start, double end)
{
    double *betas;
    (void)start, (void)end;
    VPSDE_TRY(table(&betas, r, n));
    for (size_t i = 0; i < n; i++) {
        const double ratio =
            alpha_bar((double)(i + 1) / (double)n) / alpha_bar((double)i / (double)n);
        betas[i] = (double)(float)fmin(1 - ratio, 0.999);
    }
    return VPSDE_OK;
}

static vpsde_status trained_betas(const reading *r, const vpsde_json_in *list)
{
    double *betas;
    const size_t n = vpsde_json_in_size(list);
    if (vpsde_json_in_kind_of(list) != VPSDE_JSON_IN_LIST || n == 0 || n > STEPS_MAX) {
        return unsupported(r, "trained_betas", "a list of 1 to 1000000 numbers");
    }
    VPSDE_TRY(table(&betas, r, n));
    for (size_t i = 0; i < n; i++) {
        if (!vpsde_json_in_number(&betas[i], vpsde_json_in_at(list, i))) {
            return unsupported(r, "trained_betas", "a list of numbers");
        }
        betas[i] = (double)(float)betas[i];
    }
    return VPSDE_OK;
}

static const struct {
    const char *name;
    vpsde_status (*make)(const reading *r, size_t n, double start, double end);
} schedules[] = {
    {"linear", linear}, {"scaled_linear", scaled_linear}, {"squaredcos_cap_v2", cosine}};

static vpsde_status read_betas(const reading *r, double start, double end)
{
    size_t n = 1000, kind = 0;
    const vpsde_json_in *const steps = given(r, "num_train_timesteps");
    const vpsde_json_in *const word = given(r, "beta_schedule");
    const vpsde_json_in *const list = given(r, "trained_betas");
    if (list) return trained_betas(r, list);
    if (steps && (!vpsde_json_in_size_of(&n, steps) || n == 0 || n > STEPS_MAX)) {
        return unsupported(r, "num_train_timesteps", "a whole number in [1, 1000000]");
    }
    VPSDE_TRY(read_real(&start, r, "beta_start"));
    VPSDE_TRY(read_real(&end, r, "beta_end"));
    const char *const name = word ? vpsde_json_in_text(word) : "linear";
    const size_t kinds = sizeof(schedules) / sizeof(schedules[0]);
    while (kind < kinds && (!name || strcmp(schedules[kind].name, name) != 0)) kind++;
    if (kind == kinds) {
        return unsupported(r, "beta_schedule",
                           "\"linear\", \"scaled_linear\" or \"squaredcos_cap_v2\"");
    }
    return schedules[kind].make(r, n, start, end);
}

static vpsde_status read_prediction(const reading *r)
{
    static const char *const words[] = {[VPSDE_PREDICT_EPS] = "epsilon",
                                        [VPSDE_PREDICT_X0] = "sample",
                                        [VPSDE_PREDICT_V] = "v_prediction"};
    const vpsde_json_in *const value = given(r, "prediction_type");
    const char *const word = vpsde_json_in_text(value);
    if (!value) return VPSDE_OK;
    for (size_t i = 0; word && i < sizeof(words) / sizeof(words[0]); i++) {
        if (strcmp(words[i], word) != 0) continue;
        r->s->prediction = (vpsde_prediction)i;
        return VPSDE_OK;
    }
    return unsupported(r, "prediction_type", "\"epsilon\", \"sample\" or \"v_prediction\"");
}

static vpsde_status read_clip(const reading *r)
{
    vpsde_diffusers_scheduler *const s = r->s;
    VPSDE_TRY(read_flag(&s->clip_sample, r, "clip_sample"));
    VPSDE_TRY(read_real(&s->clip_range, r, "clip_sample_range"));
    VPSDE_TRY(read_flag(&s->thresholding, r, "thresholding"));
    VPSDE_TRY(read_real(&s->quantile, r, "dynamic_thresholding_ratio"));
    return read_real(&s->threshold_max, r, "sample_max_value");
}

static vpsde_status read_class(size_t *out, const reading *r)
{
    const char *const name = vpsde_json_in_text(given(r, "_class_name"));
    for (*out = 0; name && *out < sizeof(schedulers) / sizeof(schedulers[0]); (*out)++) {
        if (strcmp(schedulers[*out].name, name) == 0) return VPSDE_OK;
    }
    return unsupported(r, "_class_name",
                       "a scheduler of a variance-preserving chain of betas: DDPMScheduler, "
                       "DDIMScheduler, PNDMScheduler, DPMSolverMultistepScheduler, "
                       "UniPCMultistepScheduler, EulerDiscreteScheduler or one like them");
}

static vpsde_status check_process(const reading *r)
{
    vpsde_process_spec *const spec = &r->s->process;
    vpsde_process *process;
    const vpsde_status status = vpsde_process_create(&process, spec);
    if (status != VPSDE_OK) {
        return vpsde_fail_in(status == VPSDE_EINVAL ? VPSDE_EDATA : status, "%s", r->path);
    }
    vpsde_process_destroy(process);
    return VPSDE_OK;
}

/* diffusers' timestep i is the network's label of betas[i], which ends at t = (i + 1)/N. */
static void set_labels(vpsde_process_spec *spec, size_t n)
{
    spec->label_scale = (double)n;
    spec->label_offset = -1;
    spec->t_min = 1 / (double)n;
    spec->t_max = 1;
}

static vpsde_status read_config(const reading *r)
{
    vpsde_diffusers_scheduler *const s = r->s;
    size_t kind, n = 1000;
    bool rescale = false;
    VPSDE_TRY(read_class(&kind, r));
    (void)snprintf(s->class_name, sizeof(s->class_name), "%s", schedulers[kind].name);
    s->clip_sample = schedulers[kind].clip_sample;
    VPSDE_TRY(read_flag(&rescale, r, "rescale_betas_zero_snr"));
    if (rescale) {
        return unsupported(r, "rescale_betas_zero_snr",
                           "false: at a signal of zero eps says nothing about x0, and log SNR has "
                           "no end");
    }
    vpsde_status status = read_betas(r, schedulers[kind].beta_start, schedulers[kind].beta_end);
    if (status != VPSDE_OK) {
        return status == VPSDE_EINVAL ? vpsde_fail_in(VPSDE_EDATA, "%s", r->path) : status;
    }
    (void)vpsde_json_in_size_of(&n, given(r, "num_train_timesteps"));
    set_labels(&s->process, s->betas ? s->process.n_betas : n);
    VPSDE_TRY(read_prediction(r));
    VPSDE_TRY(read_clip(r));
    return check_process(r);
}

vpsde_status vpsde_diffusers_scheduler_init(vpsde_diffusers_scheduler *s)
{
    enum { STEPS = 1000 };
    *s = (vpsde_diffusers_scheduler){
        .prediction = VPSDE_PREDICT_EPS, .clip_range = 1, .quantile = 0.995, .threshold_max = 1};
    VPSDE_TRY(vpsde_process_spec_init(&s->process, "ddpm-linear"));
    set_labels(&s->process, STEPS);
    return VPSDE_OK;
}

/* Gives the config back. */
static vpsde_status fill(vpsde_diffusers_scheduler *s, vpsde_json_in *config, const char *where)
{
    const vpsde_status status = read_config(&(reading){s, config, where});
    vpsde_json_in_free(config);
    if (status != VPSDE_OK) vpsde_diffusers_scheduler_clear(s);
    return status;
}

vpsde_status vpsde_diffusers_scheduler_load(vpsde_diffusers_scheduler *s, const char *path)
{
    vpsde_json_in *config;
    VPSDE_TRY(vpsde_diffusers_scheduler_init(s));
    VPSDE_TRY(vpsde_json_in_load(&config, path));
    return fill(s, config, path);
}

vpsde_status vpsde_diffusers_scheduler_parse(vpsde_diffusers_scheduler *s, const char *text,
                                             size_t length, const char *where)
{
    vpsde_json_in *config;
    VPSDE_TRY(vpsde_diffusers_scheduler_init(s));
    VPSDE_TRY(vpsde_json_in_read(&config, text, length, where));
    return fill(s, config, where);
}

void vpsde_diffusers_scheduler_clear(vpsde_diffusers_scheduler *s)
{
    free(s->betas);
    s->betas = NULL;
    s->process.betas = NULL;
}
