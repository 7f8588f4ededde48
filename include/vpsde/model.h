/** eps-networks and closed-form models behind one interface.
 *
 *  A model maps (x, t) to eps(x, t), the predicted noise; the score is -eps / sigma. Calls take n
 *  rows that may stand at different times, and optionally k tangents a row (forward mode): the
 *  value and its Jacobian-vector products go through the model together. States are double;
 *  networks convert to float32 at their door. */
#ifndef VPSDE_MODEL_H
#define VPSDE_MODEL_H

#include <vpsde/noise.h>
#include <vpsde/process.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct vpsde_model vpsde_model;

/** What the type's own `eval` returns in place of eps. vpsde_model_eval converts values, tangents and
 *  divergence, so nobody else sees anything but eps. At sigma = 0, where neither x0 nor score tells
 *  it, eps is the limit of a smooth density's: 0. */
typedef enum vpsde_prediction {
    VPSDE_PREDICT_EPS,
    VPSDE_PREDICT_X0,   /* eps = (x - alpha x0) / sigma */
    VPSDE_PREDICT_V,    /* v = alpha eps - sigma x0, so eps = sigma x + alpha v; Salimans & Ho 2022,
                           arXiv:2202.00512 */
    VPSDE_PREDICT_SCORE /* eps = -sigma score */
} vpsde_prediction;

/** The numbers a network computes with. bf16: its weights and what passes from layer to layer are rounded
 *  to bfloat16, sums stay float32; a faithful emulation, no faster. */
typedef enum vpsde_compute { VPSDE_COMPUTE_FLOAT32, VPSDE_COMPUTE_BF16 } vpsde_compute;

/** The class of a row that has none, as rows that only fill a call up. */
enum { VPSDE_NO_CLASS = -1 };

/** One evaluation. Layouts are row-major. */
typedef struct vpsde_eval {
    size_t n;               /* rows; at most the workspace's */
    size_t k;               /* tangents a row, 0 for the value alone; at most the workspace's */
    const vpsde_coef *coef; /* coef[i * coef_stride] is row i's time */
    size_t coef_stride;     /* 0: all rows share coef[0]; 1: one a row */
    const double *x;        /* (n, d) */
    const double *dx;       /* (n, k, d) tangents, NULL when k == 0 */
    const int32_t *classes; /* (n) class of each row or VPSDE_NO_CLASS; NULL: unconditional */
    double *eps;            /* (n, d) out */
    double *deps;           /* (n, k, d) out: J_eps dx; NULL when k == 0 */
    double *div;            /* (n) out: tr J_eps; NULL unless wanted. Only where the type has
                                VPSDE_MODEL_DIVERGENCE */
    double *ddiv;  /* (n, d) out: grad tr J_eps; NULL unless wanted. Only where the type has
                                VPSDE_MODEL_DIV_GRADIENT */
    double *range; /* (n, d) out: where log v of the reverse step's variance lies between
                                the posterior's (0) and the forward step's (1); NULL unless wanted.
                                Only where the type has VPSDE_MODEL_RANGE */
    double *logp;  /* (n) out: log p_t(x), nats; NULL unless wanted. Only where the type
                                has VPSDE_MODEL_LOG_P */
} vpsde_eval;

enum {
    VPSDE_MODEL_ANALYTIC = 1u << 0,    /* double throughout, cheap: called row by row */
    VPSDE_MODEL_DIVERGENCE = 1u << 1,  /* fills vpsde_eval.div in closed form */
    VPSDE_MODEL_LOG_P = 1u << 2,       /* log p_t known */
    VPSDE_MODEL_DRAW = 1u << 3,        /* draws exact samples of p_t */
    VPSDE_MODEL_JVP = 1u << 4,         /* takes tangents */
    VPSDE_MODEL_TRAINABLE = 1u << 5,   /* has parameters, vjp, load and save */
    VPSDE_MODEL_ANY_ROWS = 1u << 6,    /* a row's bits do not depend on how many rows a call has */
    VPSDE_MODEL_RANGE = 1u << 7,       /* predicts variances too: fills vpsde_eval.range */
    VPSDE_MODEL_DIV_GRADIENT = 1u << 8 /* fills vpsde_eval.ddiv in closed form */
};

struct vpsde_config;      /* core/config.h */
struct vpsde_safetensors; /* core/safetensors.h */
struct vpsde_trainer_ops; /* models/train.h */

/** One registered model (models/registry.def). Absent functions are NULL and their flag is off. */
typedef struct vpsde_model_type {
    const char *name, *source, *doc;
    unsigned flags;
    /** Reads the model's own keys of the configuration's `model` section. ECONFIG. */
    vpsde_status (*configure)(vpsde_model **out, struct vpsde_config *section);
    /** Builds the model from a checkpoint. EDATA. */
    vpsde_status (*load)(vpsde_model **out, const struct vpsde_safetensors *file);
    void (*destroy)(void *impl);
    /** Workspace of one thread for up to `rows` rows with `tangents` tangents each: everything
     *  eval needs, so that eval allocates nothing. */
    vpsde_status (*workspace_create)(void **ws, const vpsde_model *model, size_t rows,
                                     size_t tangents);
    void (*workspace_destroy)(void *ws);
    vpsde_status (*eval)(const vpsde_model *model, void *ws, const vpsde_eval *e);
    /** logp[i] = log p_t(x[i,:]), nats. Called once a sample, so it may allocate, unlike eval; it
     *  may stand on a fiber's small stack, so its scratch belongs on the heap. The same for draw. */
    vpsde_status (*log_p)(const vpsde_model *model, size_t n, const vpsde_coef *c, const double *x,
                          double *logp);
    /** x[i,:] = exact draw of p_t for sample first + i, from the two last nodes (0xFFFFFFFE,
     *  0xFFFFFFFF) of the purpose. */
    vpsde_status (*draw)(const vpsde_model *model, const vpsde_coef *c, uint64_t seed,
                         vpsde_purpose purpose, uint64_t first, size_t n, double *x);
    /** The two above for rows of given classes, (n) with VPSDE_NO_CLASS for none; NULL unless the type has such. */
    vpsde_status (*log_p_of)(const vpsde_model *model, size_t n, const vpsde_coef *c,
                             const int32_t *classes, const double *x, double *logp);
    vpsde_status (*draw_of)(const vpsde_model *model, const vpsde_coef *c, uint64_t seed,
                            vpsde_purpose purpose, uint64_t first, size_t n, const int32_t *classes,
                            double *x);
    /** Between evaluations, from one thread. NULL: there is no choice. */
    vpsde_status (*set_compute)(vpsde_model *model, vpsde_compute compute);
    /** Operations of one row's evaluation, multiplications and additions; a call of exp counts as one.
     *  NULL: not known. */
    double (*flops)(const vpsde_model *model);
    /** What it is made of, in lines of `vpsde info`: fresh memory. ENOMEM. NULL: nothing to say. */
    vpsde_status (*describe)(char **lines, const vpsde_model *model);
    const struct vpsde_trainer_ops *trainer; /* models/train.h; NULL unless trainable */
} vpsde_model_type;

struct vpsde_model {
    const vpsde_model_type *type;
    size_t dim;                  /* d */
    size_t rank;                 /* 1: (dim); 3: (channel, row, column) */
    size_t shape[3];             /* shape[0] = dim when rank is 1 */
    size_t n_classes;            /* 0: unconditional */
    size_t n_parameters;         /* 0 for closed forms */
    size_t block_rows;           /* rows of one network call */
    char sha256[65];             /* of the weights, "" for closed forms */
    vpsde_prediction prediction; /* what type->eval returns */
    bool says_prediction;        /* by its checkpoint; else taken to be eps */
    vpsde_compute
        compute; /* by vpsde_model_set_compute; closed forms are double whatever it says */
    vpsde_process_spec process; /* the process it was trained for; schedule NULL: any, which also
                                   lifts the bound of vpsde_model_t_min */
    double *process_betas;      /* owned storage behind process.betas, or NULL */
    void *impl;
};

VPSDE_API const vpsde_model_type *vpsde_model_type_find(const char *name); /* or NULL */
VPSDE_API const vpsde_model_type *vpsde_model_type_at(size_t index); /* or NULL past the end */

/** Gaussian mixture sum_k w_k N(mu_k, Sigma_k), in closed form at every t.
 *  @param weights     (n_components) >= 0, sum 1 within 1e-9
 *  @param means       (n_components, dim)
 *  @param covariances (n_components, dim, dim) symmetric positive definite
 *  @return EINVAL naming the component; ENOMEM. Cost of eval: O(n_components dim^2) a row. */
VPSDE_API vpsde_status vpsde_gaussian_mixture_create(vpsde_model **out, size_t n_components,
                                                     size_t dim, const double *weights,
                                                     const double *means,
                                                     const double *covariances);

/** Makes p(x | class i) of a mixture the components k with class_of[k] = i, weights renormalised. Every
 *  class from 0 on must have weight. EINVAL. */
VPSDE_API vpsde_status vpsde_gaussian_mixture_classes(vpsde_model *mixture,
                                                      const int32_t *class_of);

/** Your own score: writes score[i,:] = grad log p_t(x[i,:]) for n rows at one time c.
 *  Returns 0, or anything else to stop the run. Called from several threads at once. */
typedef int (*vpsde_score_fn)(void *context, size_t n, size_t dim, const vpsde_coef *c,
                              const double *x, double *score);

/** A model from a score function; Jacobian products by central differences in double (relative
 *  error about 1e-10 for smooth scores). `context` is borrowed. */
VPSDE_API vpsde_status vpsde_model_from_score(vpsde_model **out, size_t dim, vpsde_score_fn score,
                                              void *context);

/** The same beside variances: `range` writes what vpsde_eval.range holds, (n, dim) numbers in [0, 1]. */
VPSDE_API vpsde_status vpsde_model_from_score_and_range(vpsde_model **out, size_t dim,
                                                        vpsde_score_fn score, vpsde_score_fn range,
                                                        void *context);

/** Opens a checkpoint (.safetensors) or a folder of diffusers' UNet2DModel. EDATA naming what does not fit. */
VPSDE_API vpsde_status vpsde_model_open(vpsde_model **out, const char *path);
VPSDE_API void vpsde_model_destroy(vpsde_model *model);

/** Makes a network compute in these numbers, while nobody evaluates it. EINVAL for a model that has no
 *  choice, naming it; a network set to bf16 is not trained. ENOMEM. */
VPSDE_API vpsde_status vpsde_model_set_compute(vpsde_model *model, vpsde_compute compute);
VPSDE_API const char *vpsde_compute_name(vpsde_compute compute); /* "float32", "bf16" */

/** "eps", "x0", "v", "score" and back; -1 for an unknown word. */
VPSDE_API const char *vpsde_prediction_name(vpsde_prediction prediction);
VPSDE_API int vpsde_prediction_find(const char *name);

/** The smallest time the model knows: 1/N of t_max for a network of N DDPM steps, the t_min of its
 *  training for a continuous schedule, 0 for a model that knows every t. vpsde_sample and
 *  vpsde_likelihood_run refuse a process whose t_min lies below. ENOMEM. */
VPSDE_API vpsde_status vpsde_model_t_min(double *t_min, const vpsde_model *model);

/** Operations of one row's evaluation; 0: not known. */
VPSDE_API double vpsde_model_flops(const vpsde_model *model);

VPSDE_API vpsde_status vpsde_model_workspace_create(void **ws, const vpsde_model *model,
                                                    size_t rows, size_t tangents);
VPSDE_API void vpsde_model_workspace_destroy(const vpsde_model *model, void *ws);

/** Evaluates; see vpsde_eval. Outputs overlap no input. EINVAL for what the type cannot do; ENUMERIC never: rows that are not
 *  finite are the caller's to flag. Threads: safe with one workspace a thread. */
VPSDE_API vpsde_status vpsde_model_eval(const vpsde_model *model, void *ws, const vpsde_eval *e);

/** logp (n) nats at one time; EINVAL where the model does not know it. */
VPSDE_API vpsde_status vpsde_model_log_p(const vpsde_model *model, size_t n, const vpsde_coef *c,
                                         const double *x, double *logp);
/** The same of rows with classes (n), VPSDE_NO_CLASS for none; NULL: none has one. */
VPSDE_API vpsde_status vpsde_model_log_p_of(const vpsde_model *model, size_t n, const vpsde_coef *c,
                                            const int32_t *classes, const double *x, double *logp);
/** x[i,:] = exact draw of p_t, of a class where `classes` (n) or NULL has one, for sample first + i. EINVAL
 *  where the model does not draw. */
VPSDE_API vpsde_status vpsde_model_draw(const vpsde_model *model, const vpsde_coef *c,
                                        uint64_t seed, vpsde_purpose purpose, uint64_t first,
                                        size_t n, const int32_t *classes, double *x);

#ifdef __cplusplus
}
#endif
#endif
