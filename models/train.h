/* Training of networks that predict the noise eps, the data x_0 or v = alpha eps - sigma x_0:
 *
 *   L = E w(t) |out_theta(alpha_t x_0 + sigma_t eps, t, class) - target|^2 / d
 *
 * whose eps-form with w = 1 is the simple loss of Ho et al. 2020 (arXiv:2006.11239, eq. (14)). Times
 * are uniform on (t_min, t_max] for continuous schedules, t = i/N with i uniform on the nodes
 * 1..floor(N t_max) of DDPM tables. An error of the output is worth to an error of eps
 *
 *   |eps error|^2 = c |output error|^2:   eps: c = 1,   x_0: c = SNR = alpha^2/sigma^2,   v: c = alpha^2
 *
 * and the weightings are, with that c,
 *
 *   simple      w = 1
 *   min-snr     w = c min(1, 5/SNR), that is min(SNR, 5) on errors of x_0: Hang et al. 2023
 *               (arXiv:2303.09556, section 3.4, gamma = 5)
 *   likelihood  Song et al. 2021 (arXiv:2101.09258, theorem 1): lambda = g^2 = beta on errors of the
 *               score, that is beta/sigma^2 on those of eps, which spans many decades. So t is drawn
 *               from the density prop. to g^2/sigma^2 (their section 5.1) and w = c: the loss stays a
 *               mean of |eps error|^2 / d. As beta/sigma^2 dt = -2 d log(alpha/sigma), such times
 *               are uniform in lambda; of a DDPM table the node nearest to such a time is taken. In
 *               the x_0-form w = SNR grows without bound towards t_min: prefer eps or v.
 *
 * The loss reported is the mean of w |output error|^2 / d over the minibatch: a mean squared error of
 * eps for eps/simple and for every form with likelihood weighting (over other times), and that of x_0
 * or v itself for the simple ones.
 *
 * Adam (Kingma & Ba 2015), linear warm-up, gradient clipping by global norm, exponential moving
 * average of the weights. With classes, a row's class is dropped with a given probability, which
 * trains the unconditional network of classifier-free guidance too (Ho & Salimans 2022,
 * arXiv:2207.12598).
 *
 * Bits do not depend on the number of threads: a minibatch is cut into blocks of fixed rows; lane g
 * of at most VPSDE_TRAIN_LANES adds up the gradients of blocks g, g + lanes, ... in that order on
 * one thread, and the lanes are summed in a fixed tree. Gradients take min(lanes, blocks) times the
 * parameters. All randomness is addressed by (seed, step, row), so a run resumed from a saved state
 * continues with the same bits. */
#ifndef VPSDE_MODELS_TRAIN_H
#define VPSDE_MODELS_TRAIN_H

#include <stdbool.h>

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
    /* After parameters were written, by one thread, while nobody evaluates. NULL: nothing to do. */
    vpsde_status (*changed)(vpsde_model *model);
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
/* A safetensors file "vpsde.kind" = "training-state" with the SHA-256 of what it says. `note` may hold
 * anything the caller wants to find again (the configuration), or be NULL. */
vpsde_status vpsde_train_state_save(const vpsde_train_state *state, const char *path,
                                    const char *note);
/* EDATA when it does not fit the model, or its sum does not fit it. `note` (fresh memory, NULL when there
 * was none) may be NULL. */
vpsde_status vpsde_train_state_load(vpsde_train_state **out, const vpsde_model *model,
                                    const char *path, char **note);

typedef enum vpsde_decay { VPSDE_DECAY_NONE, VPSDE_DECAY_COSINE } vpsde_decay;

typedef enum vpsde_weighting {
    VPSDE_WEIGHTING_SIMPLE,
    VPSDE_WEIGHTING_LIKELIHOOD,
    VPSDE_WEIGHTING_MIN_SNR
} vpsde_weighting;

/* w(t) above: what squared errors of the output count. */
double vpsde_train_weight(vpsde_prediction prediction, vpsde_weighting weighting,
                          const vpsde_coef *c);

typedef struct vpsde_train_report {
    uint64_t step;        /* 1 for the first */
    double loss;          /* of this minibatch, a dimension; see above */
    double gradient_norm; /* before clipping */
    double learning_rate;
} vpsde_train_report;

/* Zero-initialise by vpsde_training_init, then set; pointers are borrowed. */
typedef struct vpsde_training {
    const vpsde_process *process;
    const float *x0; /* (count, d) data, already scaled; or NULL */
    /* without x0: its rows first, first + 1, ... are read on demand, by several threads, and rounded
     * to float */
    vpsde_row_source source;
    size_t first, count;
    const int32_t *classes; /* (count) of the rows, -1 for none; NULL: unconditional */
    double class_dropout;   /* probability that a row's class becomes -1 */
    bool flip;              /* mirror each image left-right with probability 1/2: rank 3 alone */
    vpsde_prediction prediction; /* what the model will return; VPSDE_PREDICT_SCORE is refused */
    vpsde_weighting weighting;
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

/* batch 256, 2000 steps, learning rate 1e-3, warm-up 100, constant, clip 1, ema 0.999, eps, simple. */
void vpsde_training_init(vpsde_training *training);

/* Runs steps state->step + 1 .. last. Whatever it returns, the state stands after its last complete
 * step and the model holds the averaged weights, the process and the prediction trained for.
 * EINVAL; what the source of the data fails with; ENUMERIC naming the step whose loss is not finite; ESTOPPED; ENOMEM. */
vpsde_status vpsde_train(const vpsde_training *training, vpsde_model *model,
                         vpsde_train_state *state);

/* Learning rate of step 1, 2, ... */
double vpsde_train_rate(const vpsde_training *training, uint64_t step);

/* Row of the data that place `position` of the endless shuffled sequence shows: a permutation of
 * 0 .. count - 1 for each epoch position / count. */
size_t vpsde_train_index(uint64_t seed, uint64_t position, size_t count);

#endif
