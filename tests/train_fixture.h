/* A small network with little data, for the tests of the training loop. */
#ifndef VPSDE_TESTS_TRAIN_FIXTURE_H
#define VPSDE_TESTS_TRAIN_FIXTURE_H

#include "models/mlp.h"
#include "models/train.h"
#include "tests/check.h"

enum { COUNT = 500, D = 2 };

typedef struct fixture {
    vpsde_process *process;
    vpsde_model *model;
    vpsde_train_state *state;
    vpsde_training training;
    float x0[COUNT * D];
} fixture;

/* Two points of small spread, and a small network. */
static inline void begin(fixture *f)
{
    vpsde_process_spec spec;
    double z[D];
    assert_ok(vpsde_process_spec_init(&spec, "vp-linear"));
    assert_ok(vpsde_process_create(&f->process, &spec));
    for (size_t i = 0; i < COUNT; i++) {
        vpsde_normals(z, 3, VPSDE_NOISE_TEST, i, 1, 0, D);
        for (size_t j = 0; j < D; j++) {
            f->x0[i * D + j] = (float)((i % 3 == 0 ? 1.0 : -0.5) + 0.1 * z[j]);
        }
    }
    const vpsde_mlp_spec size = {.dim = D, .hidden = 48, .layers = 2, .time_features = 32};
    assert_ok(vpsde_mlp_create(&f->model, &size, 11));
    assert_ok(vpsde_train_state_create(&f->state, f->model));
    vpsde_training_init(&f->training);
    f->training.process = f->process;
    f->training.x0 = f->x0;
    f->training.count = COUNT;
    f->training.seed = 21;
    f->training.batch = 200;
    f->training.warm_up = 20;
    f->training.learning_rate = 3e-3;
    f->training.n_threads = 2;
}

static inline void end(fixture *f)
{
    vpsde_train_state_destroy(f->state);
    vpsde_model_destroy(f->model);
    vpsde_process_destroy(f->process);
}

typedef struct history {
    size_t n;
    vpsde_train_report at[1000];
} history;

static inline void remember(void *context, const vpsde_train_report *report)
{
    history *const h = context;
    if (h->n < 1000) h->at[h->n++] = *report;
}

#endif
