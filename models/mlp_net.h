/* Inside of models/mlp*.c: the network's tensors and its passes over one chunk of columns. */
#ifndef VPSDE_MODELS_MLP_NET_H
#define VPSDE_MODELS_MLP_NET_H

#include <stdbool.h>

#include "models/layers/linear.h"
#include "models/layers/narrow.h"
#include "models/mlp.h"

enum { MLP_LAYERS_MAX = 256, MLP_NAME_SIZE = 40 };

/* Places in the table of tensors; layer l's four start at MLP_LAYERS + 4 l, then the output's two. */
enum { MLP_TIME0_W, MLP_TIME0_B, MLP_TIME2_W, MLP_TIME2_B, MLP_INPUT_W, MLP_INPUT_B, MLP_LAYERS };
enum { MLP_LINEAR1_W, MLP_LINEAR1_B, MLP_LINEAR2_W, MLP_LINEAR2_B, MLP_PER_LAYER };

typedef struct mlp_tensor {
    char name[MLP_NAME_SIZE]; /* as PyTorch's state_dict */
    size_t rank, rows, cols;  /* bias: rank 1, cols 1 */
    size_t offset;            /* into the flat vector, on a 64-byte boundary */
} mlp_tensor;

typedef struct mlp_net {
    size_t dim, hidden, layers, features;
    size_t n_tensors, n_floats; /* n_floats counts padding between tensors (zeros for ever) */
    mlp_tensor *tensor;
    float *weights;    /* (n_floats) */
    double *frequency; /* (features / 2) turns per unit of label */
} mlp_net;

/* One thread's activations, (features, VPSDE_COLUMNS) each. `a` and `slope` hold SiLU outputs and
 * derivatives of the 2 L + 1 hidden stages when the tape is kept, else one buffer for all. */
typedef struct mlp_tape {
    size_t stages;      /* 2 L + 1 with a tape, 1 without */
    float *x, *out;     /* (d, columns) */
    float *f;           /* (F, columns) time features */
    float *ts, *tslope; /* time branch after its SiLU; its derivative */
    float *e, *shared;  /* time embedding: (H, columns), and (H) when all columns share one */
    float *h, *z, *g;   /* scratch of H rows */
    float *gathered;    /* slopes of the columns of a packed tangent chunk */
    float *a, *slope;   /* (stages, H, columns) */
    double label[VPSDE_COLUMNS];
    float *arena;
    vpsde_narrow
        *narrow; /* (n_narrow) by place, weights only; NULL where one column is not needed */
    size_t n_narrow;
} mlp_tape;

static inline const float *mlp_weight(const mlp_net *net, size_t place)
{
    return net->weights + net->tensor[place].offset;
}
static inline size_t mlp_layer(size_t layer, size_t part)
{
    return MLP_LAYERS + MLP_PER_LAYER * layer + part;
}
static inline size_t mlp_output(const mlp_net *net, size_t bias)
{
    return MLP_LAYERS + MLP_PER_LAYER * net->layers + bias;
}
static inline float *mlp_stage(const mlp_tape *tape, const mlp_net *net, float *base, size_t stage)
{
    return tape->stages == 1 ? base : base + stage * net->hidden * VPSDE_COLUMNS;
}

/* Columns of a call with n samples. */
static inline size_t mlp_columns(size_t n) { return n == 1 ? 1 : vpsde_linear_columns(n); }

vpsde_status mlp_net_create(mlp_net **out, const vpsde_mlp_spec *spec);
void mlp_net_destroy(void *net);
void mlp_net_init(mlp_net *net, uint64_t seed);

/* `keep`: with a tape, for tangents or gradients. `narrow`: for calls of one column, with the
 * weights as they are now. */
vpsde_status mlp_tape_create(mlp_tape **out, const mlp_net *net, bool keep, bool narrow);
void mlp_tape_destroy(void *tape);

/* Time branch of tape->label: one label for all columns (tape->shared) or one a column (tape->e).
 * With slopes when `keep`. */
vpsde_status mlp_time(const mlp_net *net, mlp_tape *tape, size_t columns, bool shared, bool keep);
/* tape->x and the time branch to tape->out; keeps activations and slopes when `keep`. */
vpsde_status mlp_forward(const mlp_net *net, mlp_tape *tape, size_t columns, bool shared,
                         bool keep);
/* Tangents in tape->x to tape->out by the slopes kept by mlp_forward over value_columns; `row`
 * (columns) is the value column of each tangent, NULL when they are the same. */
vpsde_status mlp_tangent(const mlp_net *net, mlp_tape *tape, size_t columns, size_t value_columns,
                         const size_t *row);
/* Adds the gradient of the output in tape->out to gradient (n_floats) and leaves dx in tape->x,
 * after mlp_forward over own times with the tape kept; tape->out and tape->x are consumed. */
vpsde_status mlp_backward(const mlp_net *net, mlp_tape *tape, size_t columns, float *gradient);

/* models/mlp_io.c, models/mlp_train.c */
vpsde_status mlp_load(vpsde_model **out, const struct vpsde_safetensors *file);
vpsde_status mlp_save(const vpsde_model *model, const char *path);
vpsde_status mlp_wrap(vpsde_model **out, mlp_net *net);
extern const struct vpsde_trainer_ops mlp_trainer;

#endif
