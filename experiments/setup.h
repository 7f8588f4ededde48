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

typedef struct vpsde_sampler_setup {
    size_t count;
    const char *init_path; /* "" for none */
    double *init;          /* (count, d), built */
    char init_sha256[65];
    vpsde_sampler_entry *entries;
    size_t n_entries;
    vpsde_log log;
    double *log_times; /* owned storage of log.times */
} vpsde_sampler_setup;

typedef enum vpsde_dequantization {
    VPSDE_DEQUANTIZE_NONE,
    VPSDE_DEQUANTIZE_UNIFORM
} vpsde_dequantization;

typedef struct vpsde_likelihood_setup {
    char *label;
    const vpsde_solver_type *integrator;
    double param[VPSDE_PARAM_MAX];
    double rtol, atol, logp_atol;
    vpsde_trace trace;
    size_t probes;
    vpsde_probe probe;
    vpsde_dequantization dequantization;
} vpsde_likelihood_setup;

typedef struct vpsde_data_setup {
    const char *path; /* "" when the configuration has no data */
    double range[2];
    size_t first, count; /* count 0: to the end */
    size_t pool;
    vpsde_data *data;    /* opened and pooled */
    double scale, shift; /* file value to model value */
} vpsde_data_setup;

typedef struct vpsde_train_setup {
    uint64_t steps, batch, warmup, checkpoint_every;
    double learning_rate, clip, ema;
    int decay; /* 0 constant, 1 cosine */
} vpsde_train_setup;

enum {
    VPSDE_USES_DATA = 1u << 0,
    VPSDE_USES_SAMPLER = 1u << 1,
    VPSDE_USES_LIKELIHOOD = 1u << 2,
    VPSDE_USES_TRAIN = 1u << 3
};

typedef struct vpsde_setup {
    unsigned uses;
    vpsde_config *config;
    char *resolved; /* the configuration with every default */
    uint64_t seed;
    size_t threads;         /* as asked for: 0 for all there are */
    const char *model_path; /* "" for a model that the configuration describes */
    vpsde_model *model;
    vpsde_process *process;
    const char *betas_path; /* "" unless process.betas is a file */
    char betas_sha256[65];
    vpsde_data_setup data;
    vpsde_sampler_setup sampler;
    vpsde_likelihood_setup likelihood;
    vpsde_train_setup train;
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
/* The section `likelihood` as such a run, of what vpsde_setup_rows made of the data. */
vpsde_likelihood vpsde_setup_likelihood(const vpsde_setup *s, const vpsde_cli *cli, const double *x,
                                        double bits_offset);

/* setup_process.c, setup_data.c, setup_sampler.c, setup_likelihood.c: one section each */
vpsde_status vpsde_setup_read_model(vpsde_setup *s);
vpsde_status vpsde_setup_read_data(vpsde_setup *s);
vpsde_status vpsde_setup_build_data(vpsde_setup *s);
vpsde_status vpsde_setup_read_sampler(vpsde_setup *s);
vpsde_status vpsde_setup_build_sampler(vpsde_setup *s);
vpsde_status vpsde_setup_read_likelihood(vpsde_setup *s);
vpsde_status vpsde_setup_read_train(vpsde_setup *s);

/* A registered solver by the word under `solver`, its parameters from the same section. */
vpsde_status vpsde_setup_solver(const vpsde_solver_type **solver, double *param, vpsde_config *c);
/* The entry's label, a group name of the run file: fresh memory. */
vpsde_status vpsde_setup_label(char **label, vpsde_config *c, const char *fallback);
/* ECONFIG "unknown WHAT 'word'; did you mean ..." over the names name_at(0), name_at(1), ... NULL. */
vpsde_status vpsde_setup_unknown(vpsde_config *c, const char *key, const char *what,
                                 const char *word, const char *(*name_at)(size_t));

/* Rows of the data as the model sees them: x (count, d), fresh memory. bits_offset as in
 * vpsde_likelihood. */
vpsde_status vpsde_setup_rows(double **x, double *bits_offset, const vpsde_setup *s,
                              vpsde_dequantization dequantization);

#endif
