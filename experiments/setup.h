/* From a configuration to objects: what every verb needs, read in one order.
 *
 * Reading (keys to plain values, checked) is apart from building (opening files, making grids), so
 * that a section that this verb does not use is still checked word by word. */
#ifndef VPSDE_EXPERIMENTS_SETUP_H
#define VPSDE_EXPERIMENTS_SETUP_H

#include <vpsde/vpsde.h>

#include "core/config.h"
#include "core/data.h"
#include "experiments/cli.h"
#include "solvers/calibrate.h"
#include "solvers/flow_jacobian.h"
#include "solvers/fokker_planck.h"

typedef struct vpsde_sampler_entry {
    char *label;
    const vpsde_solver_type *solver;
    double param[VPSDE_PARAM_MAX];
    const vpsde_grid_type *grid_type;
    double grid_param[VPSDE_PARAM_MAX];
    double *times; /* (steps + 1) for a user grid */
    size_t steps;
    vpsde_last_step last_step;
    double rtol, atol;
    vpsde_grid *grid; /* built */
} vpsde_sampler_entry;

typedef struct vpsde_classes_setup {
    int32_t *cycle; /* (n_cycle) classes of samples 0, 1, ..., again and again; none: n_cycle = 0 */
    size_t n_cycle;
    int32_t *all; /* (count + n_cycle) built */
    bool of_rows; /* what works on rows of data takes their own classes, those of data.labels */
    double guidance;
} vpsde_classes_setup;

typedef struct vpsde_sampler_setup {
    size_t count;
    const char *init_path; /* "" for none */
    double *init;          /* (count, d), built */
    char init_sha256[65];
    vpsde_sampler_entry *entries;
    size_t n_entries;
    vpsde_clip clip;
    vpsde_classes_setup classes;
    vpsde_log log;
    double *log_times; /* owned storage of log.times */
} vpsde_sampler_setup;

/* Estimators of log p, in the order of the words in the configuration. */
enum { VPSDE_ESTIMATE_PF_ODE = 1u << 0, VPSDE_ESTIMATE_CHAIN = 1u << 1 };

typedef struct vpsde_likelihood_setup {
    char *label;
    const vpsde_solver_type *integrator;
    double param[VPSDE_PARAM_MAX];
    double rtol, atol, logp_atol;
    vpsde_trace trace;
    size_t probes;
    vpsde_probe probe;
    const char *control_path; /* "" for no control variate */
    char control_sha256[65];
    double *covariance; /* (d, d), built */
    bool budget, gradient;
    unsigned estimators;                 /* VPSDE_ESTIMATE_* */
    vpsde_dequantization dequantization; /* but for the width, which is the data's */
} vpsde_likelihood_setup;

typedef struct vpsde_elbo_setup {
    char *label;
    vpsde_elbo_variance variance;
    size_t draws, steps;
    vpsde_grid *grid; /* built */
} vpsde_elbo_setup;

typedef struct vpsde_fokker_planck_setup {
    unsigned directions;     /* bit i: vpsde_fp_direction i */
    vpsde_fokker_planck run; /* but for what the command line says */
    double *times;           /* owned storage of run.times */
} vpsde_fokker_planck_setup;

/* Of the three below: `safety` is the share of rtol and atol that integrators run at, which control
 * the error of a step. */
typedef struct vpsde_encode_setup {
    bool round_trip;
    double safety;
    vpsde_dequantization_kind dequantization;
    vpsde_grid **grid; /* (sampler.n_entries) built: each entry's, from data to noise */
} vpsde_encode_setup;

typedef struct vpsde_decode_setup {
    double safety;
    const char *from; /* a run file of encode; "" for the start states of sampler.init */
    char sha256[65];
} vpsde_decode_setup;

typedef struct vpsde_interpolate_setup {
    double safety;
    size_t points;      /* a pair, both ends included */
    double *rows;       /* (n_pairs, 2) as given, or NULL for consecutive ones */
    size_t (*pairs)[2]; /* (n_pairs) built: numbers of rows of the data */
    size_t n_pairs;
} vpsde_interpolate_setup;

typedef struct vpsde_edit_setup {
    double t0;
} vpsde_edit_setup;

typedef struct vpsde_thermo_setup {
    size_t count;   /* paths of each kind */
    bool from_data; /* forward paths start at rows of the data, else at draws of the model */
    size_t probes;  /* of the divergence, where it has no closed form */
    const char
        *run; /* the run file of sample whose samples are the reverse paths; "": none, simulated */
    char sha256[65];
} vpsde_thermo_setup;

typedef struct vpsde_transport_setup {
    const vpsde_solver_type *integrator;
    double param[VPSDE_PARAM_MAX];
    double rtol, atol;
    size_t count;       /* exact draws of the model; 0: the rows of the data */
    size_t times;       /* stored ones */
    double *t, *weight; /* (times) built: where, and of an integral over b */
} vpsde_transport_setup;

typedef struct vpsde_inpaint_setup {
    uint8_t *known;   /* (d) built */
    const char *path; /* of the mask, "" unless it is a file */
    char sha256[65];
    size_t jump_length, resamples;
} vpsde_inpaint_setup;

typedef struct vpsde_data_setup {
    const char *path;        /* "" when the configuration has no data */
    const char *labels_path; /* "" when its rows have no classes */
    char labels_sha256[65];
    int32_t *classes; /* (count) built: of rows first, first + 1, ...; NULL without labels */
    double range[2];
    size_t first, count; /* count 0: to the end */
    size_t pool;
    vpsde_data *data;    /* opened and pooled */
    double scale, shift; /* file value to model value */
    double width;        /* of a level of 8-bit data, in model values; else 0 */
} vpsde_data_setup;

typedef struct vpsde_train_setup {
    uint64_t steps, batch, warmup, checkpoint_every;
    double learning_rate, clip, ema;
    int decay; /* 0 constant, 1 cosine */
    vpsde_prediction prediction;
    int weighting; /* a vpsde_weighting */
    double class_dropout;
    bool flip;
    uint64_t sample_every, samples; /* steps, 0: never; images of a sheet */
} vpsde_train_setup;

/* How `vpsde thermo` measures the schedule: nodes and samples of the pilots, probes a state, and the steps
 * of the grids that it judges. */
typedef struct vpsde_schedule_setup {
    size_t nodes, samples, probes, steps;
} vpsde_schedule_setup;

/* One entry of compare.solvers at one budget: a run of each seed. */
typedef struct vpsde_compare_level {
    size_t entry;
    double budget;     /* of compare.steps, in its unit; NaN: chooses its own steps */
    double rtol, atol; /* NaN: fixed steps */
    vpsde_grid *grid;  /* built */
} vpsde_compare_level;

/* What an entry is run at. */
typedef struct vpsde_compare_ladder {
    double *steps, *rtol, *atol; /* (n) the first alone, or the two others */
    size_t n;
} vpsde_compare_ladder;

typedef enum vpsde_budget { VPSDE_BUDGET_STEPS, VPSDE_BUDGET_NFE } vpsde_budget;

/* What samples are measured against: a solver's from the same starts and along the same paths, draws of
 * the model's law, or rows of the data. */
typedef enum vpsde_against {
    VPSDE_AGAINST_SOLVER,
    VPSDE_AGAINST_EXACT,
    VPSDE_AGAINST_DATA
} vpsde_against;

typedef struct vpsde_compare_setup {
    vpsde_sampler_entry *entries; /* of which steps, rtol and atol are not used */
    vpsde_compare_ladder *ladders;
    size_t n_entries;
    vpsde_budget budget; /* unit of compare.steps */
    size_t n_seeds;
    unsigned metrics; /* bit i: vpsde_metric_at(i) */
    vpsde_against against;
    vpsde_sampler_entry reference; /* of VPSDE_AGAINST_SOLVER; else where samples end */
    vpsde_compare_level *levels;   /* built: entry by entry; case = level x n_seeds + seed */
    size_t n_levels;
} vpsde_compare_setup;

enum {
    VPSDE_USES_DATA = 1u << 0,
    VPSDE_USES_SAMPLER = 1u << 1,
    VPSDE_USES_LIKELIHOOD = 1u << 2,
    VPSDE_USES_TRAIN = 1u << 3,
    VPSDE_USES_COMPARE = 1u << 4,
    VPSDE_USES_ELBO = 1u << 5,
    VPSDE_USES_ENCODE = 1u << 6,
    VPSDE_USES_DECODE = 1u << 7,
    VPSDE_USES_INTERPOLATE = 1u << 8,
    /* they know how many samples there are without sampler.count */
    VPSDE_USES_LATENTS = VPSDE_USES_ENCODE | VPSDE_USES_DECODE | VPSDE_USES_INTERPOLATE,
    VPSDE_USES_EDIT = 1u << 9,
    VPSDE_USES_INPAINT = 1u << 10,
    VPSDE_USES_FOKKER_PLANCK = 1u << 13,
    VPSDE_USES_THERMO = 1u << 11,
    VPSDE_USES_TRANSPORT = 1u << 12,
    /* one sample a row of the data */
    VPSDE_USES_ROWS = VPSDE_USES_EDIT | VPSDE_USES_INPAINT
};

typedef struct vpsde_setup {
    unsigned uses;
    vpsde_config *config;
    char *resolved; /* the configuration with every default */
    uint64_t seed;
    size_t threads; /* as asked for: 0 for all there are */
    const volatile int *stop;
    const char *model_path; /* "" for a model that the configuration describes */
    vpsde_model *model;
    vpsde_process *process;
    const char *betas_path; /* "" unless process.betas is a file */
    char betas_sha256[65];
    vpsde_data_setup data;
    vpsde_sampler_setup sampler;
    vpsde_likelihood_setup likelihood;
    vpsde_elbo_setup elbo;
    vpsde_fokker_planck_setup fokker_planck;
    vpsde_encode_setup encode;
    vpsde_decode_setup decode;
    vpsde_interpolate_setup interpolate;
    vpsde_edit_setup edit;
    vpsde_inpaint_setup inpaint;
    vpsde_thermo_setup thermo;
    vpsde_transport_setup transport;
    vpsde_compare_setup compare;
    vpsde_train_setup train;
    vpsde_schedule_setup schedule;
    vpsde_calibrations calibrations; /* of its grids */
} vpsde_setup;

/* Reads the configuration (a YAML file, or the one inside a run file) and builds what `uses` names:
 * process and model always. Zero-initialise *s; vpsde_setup_close() it in any case. */
vpsde_status vpsde_setup_open(vpsde_setup *s, const vpsde_cli *cli, unsigned uses);
/* Its two halves: the configuration and the model, which completes it; then data and grids. A run's
 * folder is made between them. */
vpsde_status vpsde_setup_read(vpsde_setup *s, const vpsde_cli *cli, unsigned uses);
vpsde_status vpsde_setup_build(vpsde_setup *s);
void vpsde_setup_close(vpsde_setup *s);

/* EEXIST when `output` is a file that this run reads: --force does not overwrite those either. */
vpsde_status vpsde_setup_spares_inputs(const vpsde_setup *s, const vpsde_cli *cli,
                                       const char *output);

/* Takes out of *uses what the configuration has no section for. */
vpsde_status vpsde_setup_present(unsigned *uses, const vpsde_cli *cli);

/* Facts of model, inputs, machine and libraries, for a run file. */
vpsde_status vpsde_setup_describe(const vpsde_setup *s, vpsde_run *run);

/* One sampler entry as a run of the library; threads and control from the command line. */
vpsde_sampling vpsde_setup_sampling(const vpsde_setup *s, size_t entry, const vpsde_cli *cli);
/* The same entry as a task runs it, and from data to noise, without start states. */
vpsde_sampling vpsde_setup_decoding(const vpsde_setup *s, size_t entry, double safety,
                                    const vpsde_cli *cli);
vpsde_sampling vpsde_setup_encoding(const vpsde_setup *s, size_t entry, double safety,
                                    const vpsde_cli *cli);
/* Numbers of the first and of all latents that the entry finds in decode.from. */
vpsde_status vpsde_setup_latents(size_t *first, size_t *count, const vpsde_setup *s, size_t entry);
/* x (n, d): rows first .. first + n - 1 of the data file as encode takes them. */
vpsde_status vpsde_setup_encode_rows(double *x, const vpsde_setup *s, size_t first, size_t n);
/* Classes of samples first, first + 1, ...; NULL: they have none. */
const int32_t *vpsde_setup_classes(const vpsde_setup *s, size_t first);
/* Classes of rows row, row + 1, ... of the data file, for verbs that work on its rows: their own where
 * sampler.classes says labels, else as above. */
const int32_t *vpsde_setup_classes_of_row(const vpsde_setup *s, size_t row);
/* Network evaluations of one sample on that grid, guidance included; 0 where a solver chooses its own
 * steps. */
double vpsde_setup_nfe(const vpsde_setup *s, const vpsde_sampler_entry *e, const vpsde_grid *grid);
/* One level of the section `compare`, or its reference, with the run's seed plus `seed`. */
vpsde_sampling vpsde_setup_level(const vpsde_setup *s, const vpsde_compare_level *level,
                                 size_t seed, const vpsde_cli *cli);
vpsde_sampling vpsde_setup_reference(const vpsde_setup *s, size_t seed, const vpsde_cli *cli);
/* The section `likelihood` as such a run over the rows of the data. */
vpsde_likelihood vpsde_setup_likelihood(const vpsde_setup *s, const vpsde_cli *cli);
/* The section `elbo` as such a run over rows without dequantisation. */
vpsde_elbo vpsde_setup_elbo(const vpsde_setup *s, const vpsde_cli *cli);
/* The section `transport`: over its draws or the rows of the data. */
vpsde_transport vpsde_setup_transport(const vpsde_setup *s, const vpsde_cli *cli);
/* The section `fokker-planck`, in one of its directions. */
vpsde_fokker_planck vpsde_setup_fokker_planck(const vpsde_setup *s, vpsde_fp_direction direction,
                                              const vpsde_cli *cli);

/* setup_process.c, setup_data.c, setup_sampler.c, setup_likelihood.c, setup_compare.c,
 * compare_levels.c: one section each */
vpsde_status vpsde_setup_read_model(vpsde_setup *s);
vpsde_status vpsde_setup_read_data(vpsde_setup *s);
vpsde_status vpsde_setup_build_data(vpsde_setup *s);
/* The key `data.labels`: the rows' classes. */
vpsde_status vpsde_setup_read_row_classes(vpsde_setup *s, vpsde_config *data);
vpsde_status vpsde_setup_build_row_classes(vpsde_setup *s);
vpsde_status vpsde_setup_read_sampler(vpsde_setup *s);
vpsde_status vpsde_setup_read_log(vpsde_setup *s);
vpsde_status vpsde_setup_build_sampler(vpsde_setup *s);
vpsde_status vpsde_setup_read_likelihood(vpsde_setup *s);
/* Its key `dequantization`; sets the process' t_min where that follows. */
vpsde_status vpsde_setup_read_dequantization(vpsde_setup *s, vpsde_config *likelihood);
/* The covariance of the control variate: rows of the file, seen as the data are. */
vpsde_status vpsde_setup_build_control(vpsde_setup *s);
vpsde_status vpsde_setup_read_elbo(vpsde_setup *s);
vpsde_status vpsde_setup_build_elbo(vpsde_setup *s);
vpsde_status vpsde_setup_read_fokker_planck(vpsde_setup *s);
vpsde_status vpsde_setup_read_thermo(vpsde_setup *s);
vpsde_status vpsde_setup_build_thermo(vpsde_setup *s);
vpsde_status vpsde_setup_read_transport(vpsde_setup *s);
vpsde_status vpsde_setup_build_transport(vpsde_setup *s);
void vpsde_setup_close_transport(vpsde_transport_setup *t);
vpsde_status vpsde_setup_read_tasks(vpsde_setup *s);
vpsde_status vpsde_setup_build_tasks(vpsde_setup *s);
void vpsde_setup_close_tasks(vpsde_setup *s);
vpsde_status vpsde_setup_read_edit(vpsde_setup *s);
/* The sampler's grids, from t0. */
vpsde_status vpsde_setup_build_edit(vpsde_setup *s);
vpsde_status vpsde_setup_read_inpaint(vpsde_setup *s);
vpsde_status vpsde_setup_build_inpaint(vpsde_setup *s);
vpsde_status vpsde_setup_read_train(vpsde_setup *s);
/* The key `schedule` of the section `thermo`. */
vpsde_status vpsde_setup_read_schedule(vpsde_setup *s);
vpsde_status vpsde_setup_read_compare(vpsde_setup *s);
vpsde_status vpsde_setup_build_compare(vpsde_setup *s);
void vpsde_setup_close_compare(vpsde_compare_setup *c);
/* Do an entry's samples belong to those of the reference one by one? */
bool vpsde_compare_is_paired(const vpsde_compare_setup *c, size_t entry);
/* The metrics' needs (VPSDE_METRIC_*) that this comparison meets. */
unsigned vpsde_compare_meets(const vpsde_setup *s);
/* Does `target` of the metrics come from the model's own law? */
bool vpsde_compare_draws(const vpsde_setup *s);
/* The time at which samples end. */
vpsde_coef vpsde_compare_end(const vpsde_setup *s);
/* The key `metrics`. */
vpsde_status vpsde_setup_read_metrics(vpsde_setup *s, vpsde_config *c);

/* A registered solver by the word under `solver` (without it `fallback`; NULL: required), its
 * parameters from the same section. */
vpsde_status vpsde_setup_solver(const vpsde_solver_type **solver, double *param, vpsde_config *c,
                                const char *fallback);
/* Where an entry's steps go: the keys `grid` and `last_step`, if they are there or not `common`'s. */
vpsde_status vpsde_setup_where(vpsde_sampler_entry *e, const vpsde_sampler_entry *common,
                               vpsde_config *c);
/* ECONFIG when two of the entries, a list under `key`, have one label. */
vpsde_status vpsde_setup_labels(const vpsde_sampler_entry *entries, size_t n, vpsde_config *c,
                                const char *key);
/* The keys `clip` and `dynamic_threshold` of the section `sampler`. */
vpsde_status vpsde_setup_read_clip(vpsde_clip *clip, vpsde_config *c);
/* The keys `classes` and `guidance` of the section `sampler`. */
vpsde_status vpsde_setup_read_classes(vpsde_setup *s, vpsde_config *c);
vpsde_status vpsde_setup_build_classes(vpsde_setup *s);
void vpsde_setup_close_classes(vpsde_setup *s);
/* What pilot states of the model are drawn by: its samples, without a solver. */
vpsde_sampling vpsde_setup_pilots(const vpsde_setup *s);
/* The entry's grid with this many steps; one that goes by rates of the model calibrates itself. */
vpsde_status vpsde_setup_grid(vpsde_grid **grid, vpsde_setup *s, const vpsde_sampler_entry *e,
                              size_t n_steps);
/* Start states of sampler.init, if it is given. */
vpsde_status vpsde_setup_build_init(vpsde_setup *s);
/* The entry's label, a group name of the run file: fresh memory. */
vpsde_status vpsde_setup_label(char **label, vpsde_config *c, const char *fallback);
/* ECONFIG "unknown WHAT 'word'; did you mean ..." over the names name_at(0), name_at(1), ... NULL. */
vpsde_status vpsde_setup_unknown(vpsde_config *c, const char *key, const char *what,
                                 const char *word, const char *(*name_at)(size_t));

/* EDATA where rows of `path` have another number of values than the model, or its axes in another order:
 * (row, column, channel). Flat rows are as the model has them. */
vpsde_status vpsde_setup_check_rows(const vpsde_setup *s, const vpsde_data *data, const char *path);

/* Rows of the data as the model sees them, by their index in the file. */
vpsde_row_source vpsde_setup_source(const vpsde_setup *s);

#endif
