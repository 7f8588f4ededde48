#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/config_diff.h"
#include "core/file.h"
#include "core/mem.h"
#include "experiments/build_facts.h"
#include "experiments/loss_curve.h"
#include "experiments/setup.h"
#include "experiments/train_progress.h"
#include "experiments/train_samples.h"
#include "models/train.h"

/* The files of one training: MODEL.safetensors, MODEL.state.safetensors, MODEL.h5,
 * MODEL.samples.pgm or .ppm, and a lock while it goes on. */
typedef struct files {
    char *model, *state, *curve, *samples, *lock;
    int lock_fd; /* 0: not held */
} files;

/* One training and what it writes every now and then. */
typedef struct session {
    vpsde_setup setup;
    files files;
    char *note; /* what decides the bits: build, seed, process, model, data with its hash, train */
    vpsde_train_state *state;
    vpsde_loss_curve *curve;
    vpsde_train_progress progress;
    vpsde_training training;
} session;

static const char suffix[] = ".safetensors";

static vpsde_status name_files(files *f, const char *output)
{
    const size_t length = strlen(output), cut = strlen(suffix);
    if (length <= cut || strcmp(output + length - cut, suffix) != 0) {
        return vpsde_fail(VPSDE_EUSAGE, "-o %s: expected a name that ends in %s", output, suffix);
    }
    const int stem = (int)(length - cut);
    VPSDE_TRY(vpsde_strdup(&f->model, output));
    VPSDE_TRY(vpsde_format(&f->state, "%.*s.state%s", stem, output, suffix));
    VPSDE_TRY(vpsde_format(&f->lock, "%.*s.lock", stem, output));
    return vpsde_format(&f->curve, "%.*s.h5", stem, output);
}

/* One training at a time writes these files; a folder that cannot be written is found here, before
 * any work. */
static vpsde_status take_lock(files *f)
{
    const int fd = vpsde_fd_open(AT_FDCWD, f->lock, O_RDWR | O_CREAT | O_CLOEXEC);
    if (fd < 0) {
        return vpsde_fail(VPSDE_EIO, "%s: cannot be created: %s", f->lock, strerror(errno));
    }
    char owner[32] = "";
    if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        if (errno != EWOULDBLOCK) {
            (void)vpsde_fail(VPSDE_EIO, "%s: cannot be locked: %s; use a local folder", f->lock,
                             strerror(errno));
            close(fd);
            return VPSDE_EIO;
        }
        if (pread(fd, owner, sizeof(owner) - 1, 0) < 0) owner[0] = '\0';
        close(fd);
        return vpsde_fail(VPSDE_EEXIST, "%s: another training writes this model: %.*s", f->lock,
                          (int)strcspn(owner, "\n"), owner);
    }
    struct stat info;
    if (fstat(fd, &info) != 0 || info.st_nlink == 0) {
        close(fd);
        return vpsde_fail(VPSDE_EEXIST, "%s: another training has just ended; try again", f->lock);
    }
    f->lock_fd = fd;
    const int length = snprintf(owner, sizeof(owner), "pid %ld\n", (long)getpid());
    if (vpsde_fd_replace(fd, owner, (size_t)length) != 0) {
        return vpsde_fail(VPSDE_EIO, "%s: cannot be written: %s", f->lock, strerror(errno));
    }
    return VPSDE_OK;
}

static void drop_lock(files *f)
{
    if (f->lock_fd <= 0) return;
    unlink(f->lock);
    close(f->lock_fd);
}

/* Nobody wrote the curve's name, which follows from the model's: only that of a training is replaced. One that
 * is damaged may be resumed from, it has gaps then. */
static vpsde_status check_curve(const char *path, bool resume)
{
    char *verb;
    bool there;
    VPSDE_TRY(vpsde_file_check_target(&there, path));
    if (!there) return VPSDE_OK;
    vpsde_status status = vpsde_run_read_text(&verb, path, "/", "verb");
    if (status == VPSDE_EDATA && resume) return VPSDE_OK;
    if (status != VPSDE_OK && status != VPSDE_EDATA) return status;
    const bool own = status == VPSDE_OK && strcmp(verb, "train") == 0;
    if (status == VPSDE_OK) free(verb);
    if (own) return VPSDE_OK;
    return vpsde_fail(VPSDE_EEXIST,
                      "%s: the loss curve would go there, but it is no training's; choose another "
                      "name for the network",
                      path);
}

static vpsde_status check_outputs(const files *f, const vpsde_cli *cli)
{
    const char *const paths[] = {f->model, f->state, f->curve};
    if (cli->force || cli->resume) return check_curve(f->curve, cli->resume);
    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
        bool there;
        VPSDE_TRY(vpsde_file_is_there(&there, paths[i]));
        if (there) {
            return vpsde_fail(VPSDE_EEXIST,
                              "%s: exists; --resume goes on from it, --force starts "
                              "anew",
                              paths[i]);
        }
    }
    return VPSDE_OK;
}

/* Keys of the section `train` that change no bit. */
static bool is_idle(const char *line)
{
    static const char *const keys[] = {"  checkpoint_every:", "  sample_every:", "  samples:"};
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
        if (strncmp(line, keys[i], strlen(keys[i])) == 0) return true;
    }
    return false;
}

/* The build, and the lines of the resolved configuration that decide the bits of a training. */
static vpsde_status write_note(session *s)
{
    static const char *const sections[] = {"seed:", "process:", "model:", "data:", "train:"};
    const char *line = s->setup.resolved, *end;
    char *build;
    bool kept = false;
    VPSDE_TRY(vpsde_build_lines(&build));
    const vpsde_status status = vpsde_alloc(&s->note, strlen(build) + strlen(line) + 256, 1);
    size_t used = status == VPSDE_OK ? (size_t)sprintf(s->note, "%sdata_sha256: %s\n", build,
                                                       vpsde_data_sha256(s->setup.data.data))
                                     : 0;
    free(build);
    VPSDE_TRY(status);
    if (s->setup.data.classes) {
        used += (size_t)sprintf(s->note + used, "labels_sha256: %s\n", s->setup.data.labels_sha256);
    }
    for (; (end = strchr(line, '\n')); line = end + 1) {
        if (*line != ' ') kept = false;
        for (size_t i = 0; *line != ' ' && i < sizeof(sections) / sizeof(sections[0]); i++) {
            kept = kept || strncmp(line, sections[i], strlen(sections[i])) == 0;
        }
        if (!kept || is_idle(line)) continue;
        memcpy(s->note + used, line, (size_t)(end + 1 - line));
        used += (size_t)(end + 1 - line);
    }
    s->note[used] = '\0';
    return VPSDE_OK;
}

/* The bits of a resumed training are those of an uninterrupted one only with the same note. */
static vpsde_status check_note(const session *s, const char *old, bool force)
{
    char *keys;
    if (force || (old && strcmp(old, s->note) == 0)) return VPSDE_OK;
    VPSDE_TRY(vpsde_config_diff(&keys, old ? old : "", s->note));
    (void)vpsde_fail(VPSDE_ECONFIG,
                     "%s: was made with another configuration or build: %s; resume with the same "
                     "ones and the same data, or with --force to go on all the same",
                     s->files.state, keys);
    free(keys);
    return VPSDE_ECONFIG;
}

static vpsde_status resume(session *s, const vpsde_cli *cli)
{
    char *note = NULL;
    VPSDE_TRY(vpsde_train_state_load(&s->state, s->setup.model, s->files.state, &note));
    const vpsde_status status = check_note(s, note, cli->force);
    free(note);
    VPSDE_TRY(status);
    return vpsde_loss_curve_read(s->curve, s->files.curve, s->state->step);
}

/* A report of vpsde_train. */
static void stepped(void *self, const vpsde_train_report *report)
{
    session *const s = self;
    vpsde_loss_curve_add(s->curve, report);
    vpsde_train_progress_step(&s->progress, report->step);
}

static void describe(session *s, const vpsde_cli *cli)
{
    const vpsde_train_setup *t = &s->setup.train;
    vpsde_training_init(&s->training);
    s->training.process = s->setup.process;
    s->training.source = vpsde_setup_source(&s->setup);
    s->training.first = s->setup.data.first;
    s->training.count = s->setup.data.count;
    s->training.classes = s->setup.data.classes;
    s->training.class_dropout = t->class_dropout;
    s->training.flip = t->flip;
    s->training.prediction = t->prediction;
    s->training.weighting = (vpsde_weighting)t->weighting;
    s->training.seed = s->setup.seed;
    s->training.steps = t->steps;
    s->training.batch = t->batch;
    s->training.learning_rate = t->learning_rate;
    s->training.warm_up = t->warmup;
    s->training.decay = t->decay ? VPSDE_DECAY_COSINE : VPSDE_DECAY_NONE;
    s->training.clip = t->clip;
    s->training.ema = t->ema;
    s->training.n_threads = cli->threads;
    s->training.context = s;
    s->training.report = stepped;
    s->training.control.stop = cli->control.stop;
    s->progress = (vpsde_train_progress){.terminal = cli->control.progress != NULL,
                                         .quiet = cli->quiet,
                                         .batch = t->batch,
                                         .steps = t->steps,
                                         .step = s->state->step,
                                         .curve = s->curve};
}

static vpsde_status save_curve(const session *s, bool complete)
{
    return vpsde_loss_curve_write(s->curve, s->files.curve, &s->setup,
                                  complete ? "complete" : "interrupted");
}

/* The curve first: --resume reads of it what its state has done, so it may be ahead and never behind. A
 * curve that cannot be written does not cost the state. */
static vpsde_status save(const session *s, bool complete)
{
    const vpsde_model *model = s->setup.model;
    const vpsde_status curve = save_curve(s, false);
    VPSDE_TRY(vpsde_train_state_save(s->state, s->files.state, s->note));
    VPSDE_TRY(model->type->trainer->save(model, s->files.model));
    return curve == VPSDE_OK && complete ? save_curve(s, true) : curve;
}

/* A diverged training leaves the curve that shows it, and the last good state. */
static vpsde_status diverged(const session *s)
{
    char message[512];
    snprintf(message, sizeof(message), "%s", vpsde_last_error());
    VPSDE_TRY(save_curve(s, false));
    return vpsde_fail(VPSDE_ENUMERIC, "%s; the loss curve is in %s", message, s->files.curve);
}

static uint64_t next_multiple(uint64_t step, uint64_t every, uint64_t last)
{
    const uint64_t next = every > 0 ? (step / every + 1) * every : last;
    return next < last ? next : last;
}

static vpsde_status stopped(const session *s)
{
    return vpsde_fail(VPSDE_ESTOPPED, "stopped after step %llu of %llu; --resume goes on",
                      (unsigned long long)s->state->step, (unsigned long long)s->setup.train.steps);
}

/* What is due after this step: files, a line, a sheet of samples. */
static vpsde_status due(session *s, const vpsde_cli *cli)
{
    const vpsde_train_setup *t = &s->setup.train;
    const uint64_t step = s->state->step;
    const bool last = step == t->steps;
    if (last || step % t->checkpoint_every == 0) {
        VPSDE_TRY(save(s, last));
        vpsde_train_progress_checkpoint(&s->progress);
    }
    if (t->sample_every == 0 || (!last && step % t->sample_every != 0)) return VPSDE_OK;
    const vpsde_status status = vpsde_train_samples(&s->setup, cli, s->files.samples);
    if (status != VPSDE_ESTOPPED || last) return status;
    VPSDE_TRY(save(s, false));
    return stopped(s);
}

/* Trains to the end, pausing every checkpoint_every and sample_every steps and where it is stopped. */
static vpsde_status train(session *s, const vpsde_cli *cli)
{
    const vpsde_train_setup *t = &s->setup.train;
    do { /* once more where all steps are done: the files after the last state may be missing */
        s->training.last = next_multiple(s->state->step, t->checkpoint_every,
                                         next_multiple(s->state->step, t->sample_every, t->steps));
        vpsde_train_progress_start(&s->progress);
        const vpsde_status status = vpsde_train(&s->training, s->setup.model, s->state);
        if (status == VPSDE_ESTOPPED) {
            VPSDE_TRY(save(s, false));
            return stopped(s);
        }
        if (status == VPSDE_ENUMERIC) return diverged(s);
        VPSDE_TRY(status);
        VPSDE_TRY(due(s, cli));
    } while (s->state->step < t->steps);
    return VPSDE_OK;
}

/* A picture of grey values, or of colours. */
static vpsde_status name_samples(session *s)
{
    const bool colour = s->setup.model->rank == 3 && s->setup.model->shape[0] == 3;
    const int stem = (int)(strlen(s->files.model) - strlen(suffix));
    return vpsde_format(&s->files.samples, "%.*s.samples.%s", stem, s->files.model,
                        colour ? "ppm" : "pgm");
}

static vpsde_status prepare(session *s, const vpsde_cli *cli)
{
    VPSDE_TRY(name_files(&s->files, cli->output));
    VPSDE_TRY(check_outputs(&s->files, cli));
    VPSDE_TRY(take_lock(&s->files));
    VPSDE_TRY(vpsde_setup_open(&s->setup, cli, VPSDE_USES_DATA | VPSDE_USES_TRAIN));
    VPSDE_TRY(vpsde_setup_spares_inputs(&s->setup, cli, s->files.model));
    VPSDE_TRY(vpsde_setup_spares_inputs(&s->setup, cli, s->files.state));
    VPSDE_TRY(vpsde_setup_spares_inputs(&s->setup, cli, s->files.curve));
    VPSDE_TRY(name_samples(s));
    VPSDE_TRY(vpsde_setup_spares_inputs(&s->setup, cli, s->files.samples));
    VPSDE_TRY(write_note(s));
    VPSDE_TRY(vpsde_loss_curve_create(&s->curve, s->setup.train.steps));
    if (cli->resume) {
        VPSDE_TRY(resume(s, cli));
    } else {
        s->setup.model->type->trainer->init(s->setup.model, s->setup.seed);
        VPSDE_TRY(vpsde_train_state_create(&s->state, s->setup.model));
    }
    describe(s, cli);
    return VPSDE_OK;
}

static void release(session *s)
{
    vpsde_train_state_destroy(s->state);
    vpsde_loss_curve_destroy(s->curve);
    free(s->note);
    drop_lock(&s->files);
    free(s->files.lock);
    free(s->files.model);
    free(s->files.state);
    free(s->files.curve);
    free(s->files.samples);
    vpsde_setup_close(&s->setup);
}

static vpsde_status run(const vpsde_cli *cli)
{
    session s = {0};
    vpsde_progress_reading(cli->reading_hint ? cli->reading_hint
                           : cli->resume     ? "--resume goes on"
                                             : "nothing was trained");
    vpsde_status status = prepare(&s, cli);
    vpsde_progress_read();
    if (status == VPSDE_OK) status = train(&s, cli);
    vpsde_progress_done();
    if (status == VPSDE_OK && !cli->quiet) {
        printf("%s: %zu parameters, %llu steps, loss %.4f (mean of the last tenth); curve in %s\n",
               s.files.model, s.setup.model->n_parameters, (unsigned long long)s.state->step,
               vpsde_loss_curve_tail(s.curve), s.files.curve);
    }
    release(&s);
    return status;
}

const vpsde_verb vpsde_verb_train = {
    .name = "train",
    .input = "CONFIG",
    .summary = "Trains an eps-network on the data of the configuration.",
    .doc =
        "Reads the sections process, model (kind: mlp or unet), data and train. Writes "
        "MODEL.safetensors (averaged weights), MODEL.h5 (the loss curve) and "
        "MODEL.state.safetensors, from which --resume goes on with the same bits as an "
        "uninterrupted training. With train.sample_every also MODEL.samples.pgm (.ppm in colour), "
        "images drawn from the averaged weights. data.labels names a file with the class of every "
        "row; train.class_dropout forgets some of them, for guidance. train.flip mirrors images "
        "left-right with probability 1/2: it needs rows that are images. Example:\n\n"
        "  vpsde train experiments/fashion-mnist-mlp-train.yaml -o mlp.safetensors",
    .options = VPSDE_CLI_OUTPUT | VPSDE_CLI_FORCE | VPSDE_CLI_CONFIG | VPSDE_CLI_THREADS |
               VPSDE_CLI_WORKS | VPSDE_CLI_RESUME,
    .run = run,
};
