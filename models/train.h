/* Training of eps-networks: the simple loss of Ho et al. 2020 (arXiv:2006.11239, eq. (14))
 *
 *   L = E |eps - eps_theta(alpha_t x_0 + sigma_t eps, t)|^2 / d
 *
 * t uniform on (t_min, t_max] for continuous schedules, t = i/N with i uniform on the nodes
 * 1..floor(N t_max) of DDPM tables. Adam (Kingma & Ba 2015), linear warm-up, gradient clipping by global norm, exponential
 * moving average of the weights.
 *
 * Bits do not depend on the number of threads: a minibatch is cut into blocks of fixed rows; lane g
 * of at most VPSDE_TRAIN_LANES adds up the gradients of blocks g, g + lanes, ... in that order on
 * one thread, and the lanes are summed in a fixed tree. Gradients take min(lanes, blocks) times the
 * parameters. All randomness is
 * addressed by (seed, step, row), so a run resumed from a saved state continues with the same
 * bits. */
#ifndef VPSDE_MODELS_TRAIN_H
#define VPSDE_MODELS_TRAIN_H

#include <vpsde/model.h>
#include <vpsde/sink.h>

enum { VPSDE_TRAIN_LANES = 8 };

/* One block of a minibatch, rows as the network wants them.
 *
 *   loss = scale * sum_i weight_i |output(x_i, label_i) - target_i|^2 */
typedef struct vpsde_train_block {
    size_t n;               /* rows, at most the trainer's block_rows */
    const double *label;    /* (n) */
    const float *x;         /* (n, d) noised data */
    const float *target;    /* (n, d) what the output shall be: the noise, or v, or x0 */
    const float *weight;    /* (n) >= 0, or NULL: ones */
    const int32_t *classes; /* (n) class of each row, -1 for none; NULL: unconditional */
    double scale;
} vpsde_train_block;

/* What a model offers to be trained. Parameters are one flat float32 vector; elements that belong
 * to no tensor (padding) have gradient 0. */
typedef struct vpsde_trainer_ops {
    size_t block_rows; /* rows of one gradient call */
    size_t (*n_floats)(const vpsde_model *model);
    float *(*parameters)(const vpsde_model *model); /* its own, (n_floats) */
    void (*init)(vpsde_model *model, uint64_t seed);
    vpsde_status (*workspace_create)(void **ws, const vpsde_model *model);
    void (*workspace_destroy)(void *ws);
    /* sum = weighted sum of squared errors of the block; gradient (n_floats) += scale d sum; dx
     * (n, d) = scale d sum / dx, or NULL. EINVAL for classes where the model has none. */
    vpsde_status (*gradient)(const vpsde_model *model, void *ws, const vpsde_train_block *block,
                             double *sum, float *gradient, float *dx);
    /* Writes a checkpoint: weights, architecture and model->process. Durable. EIO. */
    vpsde_status (*save)(const vpsde_model *model, const char *path);
} vpsde_trainer_ops;

/* Where training stands: enough to go on with the same bits. */
typedef struct vpsde_train_state {
    size_t n;       /* floats */
    uint64_t step;  /* steps done */
    float *weights; /* the optimiser's own weights */
    float *m, *v;   /* Adam's moments */
    float *average; /* EMA of the weights: what is used afterwards */
} vpsde_train_state;

vpsde_status vpsde_train_state_create(vpsde_train_state **out, const vpsde_model *model);
void vpsde_train_state_destroy(vpsde_train_state *state);
/* A safetensors file "vpsde.kind" = "training-state". `note` may hold anything the caller wants to
 * find again (the configuration), or be NULL. */
vpsde_status vpsde_train_state_save(const vpsde_train_state *state, const char *path,
                                    const char *note);
/* EDATA when it does not fit the model. `note` (fresh memory, NULL when there was none) may be
 * NULL. */
vpsde_status vpsde_train_state_load(vpsde_train_state **out, const vpsde_model *model,
                                    const char *path, char **note);

typedef enum vpsde_decay { VPSDE_DECAY_NONE, VPSDE_DECAY_COSINE } vpsde_decay;

typedef struct vpsde_train_report {
    uint64_t step;        /* 1 for the first */
    double loss;          /* of this minibatch, a squared error a dimension */
    double gradient_norm; /* before clipping */
    double learning_rate;
} vpsde_train_report;

/* Zero-initialise by vpsde_training_init, then set; pointers are borrowed. */
typedef struct vpsde_training {
    const vpsde_process *process;
    const float *x0; /* (count, d) data, already scaled */
    size_t count;
    uint64_t seed;
    uint64_t steps; /* of the whole training: where cosine decay ends */
    uint64_t last;  /* stop after this step; 0: steps */
    size_t batch;
    double learning_rate;
    uint64_t warm_up; /* steps of linear warm-up */
    vpsde_decay decay;
    double clip; /* largest global gradient norm; 0: no clipping */
    double ema;  /* decay of the moving average, in [0, 1) */
    size_t n_threads;
    void *context;
    void (*report)(void *context, const vpsde_train_report *report); /* each step; may be NULL */
    vpsde_control control;                                           /* progress in steps */
} vpsde_training;

/* batch 256, 2000 steps, learning rate 1e-3, warm-up 100, constant, clip 1, ema 0.999. */
void vpsde_training_init(vpsde_training *training);

/* Runs steps state->step + 1 .. last. Whatever it returns, the state stands after its last complete
 * step and the model holds the averaged weights and the process trained for.
 * EINVAL; ENUMERIC naming the step whose loss is not finite; ESTOPPED; ENOMEM. */
vpsde_status vpsde_train(const vpsde_training *training, vpsde_model *model,
                         vpsde_train_state *state);

/* Learning rate of step 1, 2, ... */
double vpsde_train_rate(const vpsde_training *training, uint64_t step);

/* Row of the data that place `position` of the endless shuffled sequence shows: a permutation of
 * 0 .. count - 1 for each epoch position / count. */
size_t vpsde_train_index(uint64_t seed, uint64_t position, size_t count);

#endif
