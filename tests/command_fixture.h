/* Verbs run inside a test, in a folder of their own: a sample, a likelihood, a training, and what must
 * be there after each. */
#ifndef VPSDE_TESTS_COMMAND_FIXTURE_H
#define VPSDE_TESTS_COMMAND_FIXTURE_H

#include <dirent.h>
#include <fcntl.h>
#include <glob.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <vpsde/run.h>

#include "core/safetensors.h"
#include "experiments/cli.h"
#include "tests/check.h"

/* One verb on one configuration; `values` is the dataset that says whether it did the same again. */
typedef struct command_case {
    const char *verb, *text, *output, *values;
} command_case;

#define COMMAND_PROCESS "seed: 7\nprocess: {schedule: vp-linear, beta_min: 0.1, beta_max: 20}\n"
#define COMMAND_MIXTURE                                                                            \
    COMMAND_PROCESS "model: {kind: gaussian-mixture, weights: [0.3, 0.7], means: [[-2, 0], [2, "   \
                    "1]], variances: [0.05, 0.1]}\n"

static const command_case command_train = {
    "train",
    COMMAND_PROCESS "model: {kind: mlp, hidden: 4, layers: 1, time_features: 4}\n"
                    "data: {path: data.npy}\ntrain: {steps: 2, batch: 2}\n",
    "net.safetensors", "/training/loss"};
static const command_case command_sample = {
    "sample",
    COMMAND_MIXTURE "sampler: {solver: [ddim, dopri5], steps: 2, count: 3, rtol: 1e-3, "
                    "atol: 1e-3}\nlog: {times: 2}\n",
    "out.h5", "/runs/dopri5/final"};
/* Its states are as many bytes as go to rows.h5. */
static const command_case command_wide = {"sample",
                                          COMMAND_MIXTURE
                                          "sampler: {solver: ddim, steps: 1050, count: 16}\n"
                                          "log: {times: all, fields: [x], dtype: float64}\n",
                                          "out.h5", "/runs/ddim/x"};
static const command_case command_likelihood = {
    "likelihood",
    COMMAND_MIXTURE "data: {path: data.npy}\nlikelihood: {integrator: {solver: dopri5, rtol: "
                    "1e-3, atol: 1e-3}, budget: false}\n",
    "out.h5", "/likelihood/dopri5/logp"};
static const command_case command_network = {
    "sample", "model: {path: kept.safetensors}\nsampler: {solver: ddim, steps: 2, count: 3}\n",
    "out.h5", "/runs/ddim/final"};

static char command_start[512], command_folder[64];

static inline void command_write(const char *name, const void *bytes, size_t n)
{
    FILE *file = fopen(name, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, n, file), n);
    assert_int_equal(fclose(file), 0);
}

static inline void command_empty(const char *path)
{
    DIR *list = opendir(path);
    if (!list) return;
    for (const struct dirent *entry; (entry = readdir(list)) != NULL;) {
        const bool parent = strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0;
        if (!parent) (void)unlinkat(dirfd(list), entry->d_name, 0);
    }
    closedir(list);
    (void)rmdir(path);
}

static inline vpsde_status command_run(const char *verb, const char *input, const char *output,
                                       const volatile int *stop)
{
    const vpsde_cli cli = {.program = "vpsde",
                           .input = input,
                           .output = output,
                           .threads = 1,
                           .quiet = true,
                           .control = {.stop = stop}};
    return vpsde_verb_find(verb)->run(&cli);
}

static inline bool command_exists(const char *name) { return access(name, F_OK) == 0; }

/* Everything that a case may have left. */
static inline void command_clean(const command_case *c)
{
    static const char *const training[] = {"net.h5", "net.lock", "net.state.safetensors"};
    (void)unlink(c->output);
    for (size_t i = 0; i < sizeof(training) / sizeof(training[0]); i++) (void)unlink(training[i]);
    /* a process has a hundred names for them, and one that cannot unlink leaves them */
    glob_t left;
    if (glob("net*.safetensors.*.tmp", 0, NULL, &left) == 0) {
        for (size_t i = 0; i < left.gl_pathc; i++) (void)unlink(left.gl_pathv[i]);
        globfree(&left);
    }
    command_empty("out.h5.parts");
    command_empty("net.h5.parts");
}

/* The numbers that a case computed; free them. */
static inline double *command_values(const command_case *c, size_t *n)
{
    double *values;
    size_t rank, dims[5];
    assert_ok(vpsde_run_read(&values, &rank, dims, c == &command_train ? "net.h5" : c->output,
                             c->values));
    *n = 1;
    for (size_t i = 0; i < rank; i++) *n *= dims[i];
    return values;
}

static inline void command_check_same(const command_case *c, const double *expected, size_t n)
{
    size_t got;
    double *values = command_values(c, &got);
    assert_int_equal(got, n);
    assert_memory_equal(values, expected, n * sizeof(double));
    free(values);
}

/* A checkpoint that is there is whole. */
static inline void command_check_whole(const char *path)
{
    vpsde_safetensors *file;
    if (!command_exists(path)) return;
    assert_ok(vpsde_safetensors_open(&file, path));
    vpsde_safetensors_close(file);
}

/* cmocka group fixtures: the folder with its inputs, in memory where that can be. */
static inline int command_setup(void **state)
{
    static const unsigned char npy[128] =
        "\x93NUMPY\x01\x00\x76\x00{'descr': '<f8', 'fortran_order': False, 'shape': (2, 2), }";
    unsigned char data[128 + 4 * sizeof(double)];
    const double values[4] = {-2, 0.5, 1.5, 1};
    (void)state;
    snprintf(command_folder, sizeof(command_folder), "%s/vpsde-test-XXXXXX",
             access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    if (!getcwd(command_start, sizeof(command_start)) || !mkdtemp(command_folder)) return -1;
    if (chdir(command_folder) != 0) return -1;
    memset(data, ' ', 128);
    memcpy(data, npy, strlen((const char *)npy + 10) + 10);
    data[127] = '\n';
    memcpy(data + 128, values, sizeof(values));
    command_write("data.npy", data, sizeof(data));
    command_write("conf.yaml", command_train.text, strlen(command_train.text));
    assert_ok(command_run("train", "conf.yaml", "net.safetensors", NULL));
    assert_int_equal(rename("net.safetensors", "kept.safetensors"), 0);
    command_clean(&command_train);
    return 0;
}

static inline int command_teardown(void **state)
{
    (void)state;
    command_empty(command_folder);
    return chdir(command_start);
}

#endif
