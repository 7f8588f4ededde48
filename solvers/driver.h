/* The sampling driver: what a solver's step stands on, and what every kind of sampling reports.
 *
 * Samples are cut into blocks of a fixed number of rows by *global* index: block g holds samples
 * g * rows .. g * rows + rows - 1, whatever range a run asks for. Models whose rows keep their bits
 * in a call of any size (VPSDE_MODEL_ANALYTIC or VPSDE_MODEL_ANY_ROWS) see the real rows alone;
 * others always see the full block, padded with zero rows. */
#ifndef VPSDE_SOLVERS_DRIVER_H
#define VPSDE_SOLVERS_DRIVER_H

#include <vpsde/solver.h>

#include "solvers/delivery.h"

/* ---- blocks: the world of one step -------------------------------------------------------- */

typedef struct vpsde_block vpsde_block;

/* Where a block's numbers come from, for its real rows: z, area (count, d). */
typedef struct vpsde_noise_source {
    vpsde_purpose purpose; /* of the Brownian paths, block->path */
    /* Of vpsde_step_noise; area may be NULL. */
    void (*stretch)(const vpsde_block *block, const vpsde_coef *from, const vpsde_coef *to,
                    size_t d, double *z, double *area);
    /* Of vpsde_step_draw, at step k. */
    void (*draw)(const vpsde_block *block, size_t k, unsigned draw, size_t d, double *z);
    void *context;
} vpsde_noise_source;

/* Of one network call: what rates of entropy production are made of. */
typedef struct vpsde_moments {
    double eps_eps, x_eps, x_x; /* |eps|^2, x . eps, |x|^2 */
} vpsde_moments;

/* What the network last told the log. The next call takes it, and the network is spared, if it asks
 * the same bit for bit in all n rows, failed and padding ones too. */
typedef struct vpsde_peek {
    bool fresh;
    vpsde_coef at;
    double *x, *eps; /* (n, d), NULL in runs whose log has neither eps nor x0 */
} vpsde_peek;

struct vpsde_guidance; /* solvers/guidance.h */

struct vpsde_block {
    const vpsde_model *model;
    void *ws; /* the thread's model workspace, for `rows` rows */
    const vpsde_noise_source *noise;
    struct vpsde_brownian *path; /* placed on the real rows */
    uint64_t seed;
    size_t rows;            /* rows a network call has at most */
    size_t begin, count;    /* real rows: begin .. begin + count - 1 of the step's n */
    uint64_t first;         /* global index of the first real row */
    const int32_t *classes; /* (n) or NULL */
    uint8_t *status;        /* (n) vpsde_row_status; set where a row stops being finite */
    size_t calls;           /* network calls so far: the ledger */
    size_t calls_log;       /* those that the log made and no step took over */
    vpsde_peek peek;
    vpsde_moments *moments; /* (n) of the last call, or NULL when nobody watches */
    const struct vpsde_guidance *guidance;
    const vpsde_clip *clip; /* of the run, or NULL */
    double *clip_scratch;   /* (2 d) */
    bool has_drawn;         /* the last step used driving noise */
};

enum { VPSDE_DRAWS_PER_STEP = 4 }; /* `draw` of vpsde_step_draw is below this */

/* The noise of ordinary runs: paths of VPSDE_NOISE_DIFFUSION on the virtual Brownian tree; draws of
 * VPSDE_NOISE_CORRECTOR at node k * VPSDE_DRAWS_PER_STEP + draw. */
extern const vpsde_noise_source vpsde_noise_of_runs;

/* Its `stretch`, for sources that only draw otherwise. */
void vpsde_noise_stretch(const vpsde_block *block, const vpsde_coef *from, const vpsde_coef *to,
                         size_t d, double *z, double *area);

/* Rows of one block: the model's block_rows, or 256 for closed forms and models that do not say. */
size_t vpsde_block_rows(const vpsde_model *model);

/* Rows of the largest block of a run of `count` rows. */
static inline size_t vpsde_staging_rows(const vpsde_model *model, size_t count)
{
    const size_t rows = vpsde_block_rows(model);
    return rows < count ? rows : count;
}

/* Flags the real rows of v (n, d) that are not finite in block->status. */
void vpsde_block_flag(vpsde_block *block, size_t n, size_t d, const double *v);

/* Runs another fixed-step solver's step inside s, at its default parameters, with scratch buffers
 * s->w[first_scratch] onwards, which nothing else of the outer solver may touch. EINTERNAL when the
 * outer type did not reserve enough of them, or `type` is not such a solver. */
vpsde_status vpsde_step_as(vpsde_step *s, const vpsde_solver_type *type, unsigned first_scratch);

/* ---- pilot chains: solver->prepare ---------------------------------------------------------- */

/* A calibration pass before the first block: VPSDE_PILOT_SAMPLES chains with noise of their own
 * (VPSDE_NOISE_PILOT), the same for every thread count and range of samples. They start as the
 * run's samples would without `init`; where the grid begins below t_max, as exact draws. When any
 * sample of the run has a class, pilot chain i has class i modulo the model's number of classes;
 * when none has (classes NULL or all -1), the chains have none either. */
typedef struct vpsde_pilot {
    const vpsde_sampling *run;
    const double *param; /* of the solver that asks, defaults filled in */
    size_t n_threads;
    size_t nfe;                 /* network calls (rows) spent so far */
    const double *score_square; /* (n_steps + 1) E|s|^2 where it is known: no chains; else NULL */
} vpsde_pilot;

enum { VPSDE_PILOT_SAMPLES = 256 };

/* Over how many classes the pilot chains of a run are spread; 0: they have none. */
size_t vpsde_pilot_classes(const vpsde_sampling *run);

/* score_square[k] = E|s(x, t_k)|^2, the pilot mean along `predictor` (a fixed-step solver with
 * one network call a step, at its default parameters) at every node k = 0 .. n_steps of the run's
 * grid; 0 where sigma = 0. EINVAL when the chains have no law to start from. */
vpsde_status vpsde_pilot_score_square(vpsde_pilot *pilot, const vpsde_solver_type *predictor,
                                      double *score_square);

/* moments[k] = pilot means of the predictor's call at node k = 0 .. n_steps; zeros where sigma =
 * 0. */
vpsde_status vpsde_pilot_moments(vpsde_pilot *pilot, const vpsde_solver_type *predictor,
                                 vpsde_moments *moments);

/* ---- reports: columns, axes and facts shared by fixed-step and adaptive sampling ------------ */

/* Bit f of vpsde_log_field is field f. */
enum {
    VPSDE_FIELD_X,
    VPSDE_FIELD_EPS,
    VPSDE_FIELD_X0,
    VPSDE_FIELD_NOISE,
    VPSDE_FIELD_LOGP,
    VPSDE_FIELD_STEPS,
    VPSDE_FIELD_KERNEL,
    VPSDE_N_FIELDS
};

/* What every run checks, sampling or not. `param` (VPSDE_PARAM_MAX) <- the solver's defaults and,
 * over them, what was given (NULL: nothing); EINVAL names the solver. */
vpsde_status vpsde_run_params(double *param, const vpsde_solver_type *solver, const double *given);
/* EINVAL unless the noise address holds rows first .. first + count - 1 and the model knows their
 * classes (count, or NULL); `what` names one row. */
vpsde_status vpsde_run_check_rows(const char *what, const vpsde_model *model, size_t first,
                                  size_t count, const int32_t *classes);

/* What a run announces and tallies. Made by vpsde_report_begin, which also checks the run. */
typedef struct vpsde_report {
    const vpsde_sampling *run;
    double param[VPSDE_PARAM_MAX]; /* the solver's, defaults filled in */
    size_t n_threads;              /* resolved */
    size_t n_stored;               /* stored nodes */
    size_t *stored;                /* (n_stored) node numbers in run->grid, increasing */
    unsigned fields;               /* fields stored; 0 when n_stored is 0. A solver without any
                                      stochastic form has no noise and no kernel */
    double *kernel_std;            /* (n_stored) of the step from there, NaN at the end; or NULL */
    /* private */
    struct vpsde_report_parts *parts;
    vpsde_delivery delivery;
} vpsde_report;

/* Checks the run (EINVAL), chooses the stored nodes, fills in parameters. Nothing is announced. */
vpsde_status vpsde_report_create(vpsde_report **out, const vpsde_sampling *run);
/* kernel_std, where the kernel is logged; `table` of the solver's `prepare`. EINVAL. */
vpsde_status vpsde_report_kernels(vpsde_report *report, const double *table);
/* Builds columns, axes and facts and calls sink->begin. `extra` (n_extra) are further facts.
 * sink may be NULL: numbers go nowhere. */
vpsde_status vpsde_report_begin(vpsde_report *report, vpsde_sink *sink, const vpsde_fact *extra,
                                size_t n_extra);
/* As vpsde_delivery_end. */
vpsde_status vpsde_report_end(vpsde_report *report, vpsde_status status);
void vpsde_report_destroy(vpsde_report *report); /* NULL is fine */

/* A worker's staging rows: finished samples on their way to the sink. Allocated once, for a block
 * or, where that is less, the whole run. */
typedef struct vpsde_rows {
    size_t capacity;
    double *final; /* (capacity, d) */
    int32_t *nfe, *jvp, *rejected, *nfe_log;
    uint8_t *status;             /* vpsde_row_status */
    void *field[VPSDE_N_FIELDS]; /* (capacity, n_stored, width), NULL when not stored */
} vpsde_rows;

/* One node's value of `field`: d numbers of log.dtype, or one double. */
static inline bool vpsde_field_is_scalar(size_t field)
{
    return field == VPSDE_FIELD_LOGP || field == VPSDE_FIELD_STEPS;
}
static inline size_t vpsde_field_width(const vpsde_report *report, size_t field)
{
    return vpsde_field_is_scalar(field) ? 1 : report->run->model->dim;
}
static inline vpsde_dtype vpsde_field_type(const vpsde_report *report, size_t field)
{
    return vpsde_field_is_scalar(field) ? VPSDE_F64 : report->run->log.dtype;
}

vpsde_status vpsde_rows_create(vpsde_rows **out, const vpsde_report *report);
void vpsde_rows_destroy(vpsde_rows *rows); /* NULL is fine */

/* Stores v (width) as row i's value of `field` at stored node
 * `slot` < n_stored; nothing happens when the field is not stored. v == NULL stores NaN. */
void vpsde_rows_store(vpsde_rows *rows, const vpsde_report *report, size_t field, size_t i,
                      size_t slot, const double *v);

/* Hands rows 0 .. n - 1 on as samples first .. first + n - 1 (global), one caller at a time; rows
 * whose status is not OK get a NaN final state. Reports progress. */
vpsde_status vpsde_report_write(vpsde_report *report, vpsde_rows *rows, uint64_t first, size_t n);

/* Start states x (n, d) of samples first .. first + n - 1 (global, inside the run): the run's init
 * rows, exact draws of p_T where the process' terminal is exact, else prior normals. */
vpsde_status vpsde_sampling_start(const vpsde_sampling *run, uint64_t first, size_t n, double *x);

/* EINVAL when the run's grid leads from data to noise and its solver cannot go that way. */
vpsde_status vpsde_sampling_check_encoding(const vpsde_sampling *run);

/* The grid begins at t_max, or there is none. */
bool vpsde_sampling_from_t_max(const vpsde_sampling *run);

/* ESTOPPED once the run was asked to stop. */
vpsde_status vpsde_sampling_stopped(const vpsde_sampling *run);

#endif
