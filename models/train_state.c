#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "core/sha256.h"
#include "models/checkpoint.h"
#include "models/train.h"

static const char kind[] = "training-state", sum_key[] = "vpsde.sha256";
enum { N_VECTORS = 4 };
static const char *const vector_name[N_VECTORS] = {"weights", "adam.m", "adam.v", "average"};

static void vectors_of(float **vector, const vpsde_train_state *state)
{
    vector[0] = state->weights;
    vector[1] = state->m;
    vector[2] = state->v;
    vector[3] = state->average;
}

static vpsde_status state_alloc(vpsde_train_state **out, size_t n)
{
    vpsde_train_state *state;
    *out = NULL;
    VPSDE_TRY(vpsde_alloc(&state, 1, sizeof(*state)));
    state->n = n;
    vpsde_status status = vpsde_alloc(&state->weights, n, sizeof(float));
    if (status == VPSDE_OK) status = vpsde_alloc(&state->m, n, sizeof(float));
    if (status == VPSDE_OK) status = vpsde_alloc(&state->v, n, sizeof(float));
    if (status == VPSDE_OK) status = vpsde_alloc(&state->average, n, sizeof(float));
    if (status != VPSDE_OK) {
        vpsde_train_state_destroy(state);
        return status;
    }
    *out = state;
    return VPSDE_OK;
}

static vpsde_status check_trainable(const vpsde_model *model)
{
    if (model->type->trainer) return VPSDE_OK;
    return vpsde_fail(VPSDE_EINVAL, "model %s cannot be trained", model->type->name);
}

vpsde_status vpsde_train_state_create(vpsde_train_state **out, const vpsde_model *model)
{
    *out = NULL;
    VPSDE_TRY(check_trainable(model));
    const vpsde_trainer_ops *const ops = model->type->trainer;
    VPSDE_TRY(state_alloc(out, ops->n_floats(model)));
    const float *const weights = ops->parameters(model);
    memcpy((*out)->weights, weights, (*out)->n * sizeof(float));
    memcpy((*out)->average, weights, (*out)->n * sizeof(float));
    return VPSDE_OK;
}

void vpsde_train_state_destroy(vpsde_train_state *state)
{
    if (!state) return;
    free(state->weights);
    free(state->m);
    free(state->v);
    free(state->average);
    free(state);
}

/* SHA-256 of all that the state says, as text: the step, the sums of note and vectors. */
static void sum_of(char hex[65], const vpsde_train_state *state, const char *note)
{
    enum { SUM = 65 };
    float *vector[N_VECTORS];
    char text[32 + (N_VECTORS + 1) * SUM];
    size_t used =
        (size_t)snprintf(text, 32, "%llu\n", (unsigned long long)state->step); /* 21 at most */
    vectors_of(vector, state);
    vpsde_sha256(text + used, note ? note : "", note ? strlen(note) : 0);
    for (size_t p = 0; p < N_VECTORS; p++) {
        used += SUM - 1;
        text[used++] = '\n';
        vpsde_sha256(text + used, vector[p], state->n * sizeof(float));
    }
    vpsde_sha256(hex, text, strlen(text));
}

vpsde_status vpsde_train_state_save(const vpsde_train_state *state, const char *path,
                                    const char *note)
{
    float *vector[N_VECTORS];
    vpsde_tensor_out tensor[N_VECTORS];
    vpsde_checkpoint *facts;
    char sum[65];
    vectors_of(vector, state);
    sum_of(sum, state, note);
    for (size_t p = 0; p < N_VECTORS; p++) {
        tensor[p] = (vpsde_tensor_out){.name = vector_name[p],
                                       .dtype = "F32",
                                       .rank = 1,
                                       .dims = {state->n},
                                       .data = vector[p]};
    }
    VPSDE_TRY(vpsde_alloc(&facts, 1, sizeof(*facts)));
    vpsde_checkpoint_text(facts, "vpsde.kind", kind);
    vpsde_checkpoint_number(facts, "vpsde.step", (double)state->step);
    vpsde_checkpoint_text(facts, sum_key, sum);
    if (note) facts->item[facts->n++] = (vpsde_metadata){.key = "vpsde.note", .value = note};
    const vpsde_status status =
        vpsde_safetensors_write(path, tensor, N_VECTORS, facts->item, facts->n);
    free(facts);
    return status;
}

static vpsde_status read_state(vpsde_train_state *state, const vpsde_safetensors *file)
{
    float *vector[N_VECTORS];
    double step;
    const char *const found = vpsde_safetensors_metadata(file, "vpsde.kind");
    if (!found || strcmp(found, kind) != 0) {
        return vpsde_fail(VPSDE_EDATA, "%s: not a training state (vpsde.kind is %s, expected %s)",
                          vpsde_safetensors_path(file), found ? found : "absent", kind);
    }
    VPSDE_TRY(vpsde_checkpoint_read_number(&step, file, "vpsde.step"));
    if (!(step >= 0 && step <= 0x1p53 && step == floor(step))) {
        return vpsde_fail(VPSDE_EDATA, "%s: metadata vpsde.step: expected a whole number, got %g",
                          vpsde_safetensors_path(file), step);
    }
    state->step = (uint64_t)step;
    vectors_of(vector, state);
    for (size_t p = 0; p < N_VECTORS; p++) {
        VPSDE_TRY(vpsde_safetensors_read_f32(file, vector_name[p], vector[p], 1, &state->n));
    }
    return VPSDE_OK;
}

static vpsde_status check_sum(const vpsde_train_state *state, const vpsde_safetensors *file)
{
    char sum[65];
    const char *const found = vpsde_safetensors_metadata(file, sum_key);
    sum_of(sum, state, vpsde_safetensors_metadata(file, "vpsde.note"));
    if (found && strcmp(found, sum) == 0) return VPSDE_OK;
    return vpsde_fail(VPSDE_EDATA,
                      "%s: is damaged or of an earlier version (%s does not fit what it holds); "
                      "start the training again with --force",
                      vpsde_safetensors_path(file), sum_key);
}

vpsde_status vpsde_train_state_load(vpsde_train_state **out, const vpsde_model *model,
                                    const char *path, char **note)
{
    vpsde_safetensors *file;
    vpsde_train_state *state = NULL;
    *out = NULL;
    if (note) *note = NULL;
    VPSDE_TRY(check_trainable(model));
    VPSDE_TRY(vpsde_safetensors_open(&file, path));
    vpsde_status status = state_alloc(&state, model->type->trainer->n_floats(model));
    if (status == VPSDE_OK) status = read_state(state, file);
    if (status == VPSDE_OK) status = check_sum(state, file);
    if (status == VPSDE_OK && note) {
        status = vpsde_strdup(note, vpsde_safetensors_metadata(file, "vpsde.note"));
    }
    vpsde_safetensors_close(file);
    if (status != VPSDE_OK) {
        vpsde_train_state_destroy(state);
        return status;
    }
    *out = state;
    return VPSDE_OK;
}
