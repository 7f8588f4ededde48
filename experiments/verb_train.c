#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "core/mem.h"
#include "experiments/loss_curve.h"
#include "experiments/setup.h"
#include "models/train.h"

/* The files of one training: MODEL.safetensors, MODEL.state.safetensors, MODEL.h5, and a lock while
 * it goes on. */
typedef struct files {
    char *model, *state, *curve, *lock;
    int lock_fd; /* 0: not held */
} files;

/* One training and what it writes every now and then. */
typedef struct session {
    vpsde_setup setup;
    files files;
    char *note; /* what decides the bits: seed, process, model, data with its hash, train */
    float *x0;  /* (count, d) */
    vpsde_train_state *state;
    vpsde_loss_curve *curve;
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
    const int fd = open(f->lock, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (fd < 0) {
        return vpsde_fail(VPSDE_EIO, "%s: cannot be created: %s", f->lock, strerror(errno));
    }
    if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        close(fd);
        return vpsde_fail(VPSDE_EEXIST, "%s: another training writes this model", f->lock);
    }
    f->lock_fd = fd;
    return VPSDE_OK;
}

static void drop_lock(files *f)
{
    if (f->lock_fd <= 0) return;
    unlink(f->lock);
    close(f->lock_fd);
}

static vpsde_status check_outputs(const files *f, const vpsde_cli *cli)
{
    const char *const paths[] = {f->model, f->state, f->curve};
    if (cli->force || cli->resume) return VPSDE_OK;
    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
        if (access(paths[i], F_OK) == 0) {
            return vpsde_fail(VPSDE_EEXIST,
                              "%s: exists; --resume goes on from it, --force starts "
                              "anew",
                              paths[i]);
        }
    }
    return VPSDE_OK;
}

static vpsde_status load_data(session *s)
{
    const size_t first = s->setup.data.first, n = s->setup.data.count, d = s->setup.model->dim;
    const vpsde_row_source source = vpsde_setup_source(&s->setup);
    size_t count;
    double *x;
    VPSDE_TRY(vpsde_size_mul(&count, n, d, "data"));
    VPSDE_TRY(vpsde_alloc(&s->x0, count, sizeof(*s->x0)));
    VPSDE_TRY(vpsde_alloc(&x, d, sizeof(*x)));
    vpsde_status status = VPSDE_OK;
    for (size_t i = 0; status == VPSDE_OK && i < n; i++) {
        status = source.read(source.context, first + i, 1, x);
        for (size_t j = 0; status == VPSDE_OK && j < d; j++) s->x0[i * d + j] = (float)x[j];
    }
    free(x);
    return status;
}

/* The lines of the resolved configuration that decide the bits of a training. */
static vpsde_status write_note(session *s)
{
    static const char *const sections[] = {"seed:", "process:", "model:", "data:", "train:"};
    const char *line = s->setup.resolved, *end;
    bool kept = false;
    VPSDE_TRY(vpsde_alloc(&s->note, strlen(line) + 128, 1));
    size_t used =
        (size_t)sprintf(s->note, "data_sha256: %s\n", vpsde_data_sha256(s->setup.data.data));
    for (; (end = strchr(line, '\n')); line = end + 1) {
        if (*line != ' ') kept = false;
        for (size_t i = 0; *line != ' ' && i < sizeof(sections) / sizeof(sections[0]); i++) {
            kept = kept || strncmp(line, sections[i], strlen(sections[i])) == 0;
        }
        if (!kept || strncmp(line, "  checkpoint_every:", 19) == 0) continue;
        memcpy(s->note + used, line, (size_t)(end + 1 - line));
        used += (size_t)(end + 1 - line);
    }
    s->note[used] = '\0';
    return VPSDE_OK;
}

/* The bits of a resumed training are those of an uninterrupted one only with the same note. */
static vpsde_status check_note(const session *s, const char *old, bool force)
{
    const char *now = s->note;
    if (force) return VPSDE_OK;
    if (!old) old = "";
    while (*now && *now == *old) now++, old++;
    if (*now == *old) return VPSDE_OK;
    while (now > s->note && now[-1] != '\n') now--, old--;
    return vpsde_fail(
        VPSDE_ECONFIG,
        "%s: was made with '%.*s', not '%.*s'; resume with the same configuration and "
        "data, or with --force to go on all the same",
        s->files.state, (int)strcspn(old, "\n"), old, (int)strcspn(now, "\n"), now);
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

static void describe(session *s, const vpsde_cli *cli)
{
    const vpsde_train_setup *t = &s->setup.train;
    vpsde_training_init(&s->training);
    s->training.process = s->setup.process;
    s->training.x0 = s->x0;
    s->training.count = s->setup.data.count;
    s->training.seed = s->setup.seed;
    s->training.steps = t->steps;
    s->training.batch = t->batch;
    s->training.learning_rate = t->learning_rate;
    s->training.warm_up = t->warmup;
    s->training.decay = t->decay ? VPSDE_DECAY_COSINE : VPSDE_DECAY_NONE;
    s->training.clip = t->clip;
    s->training.ema = t->ema;
    s->training.n_threads = cli->threads;
    s->training.context = s->curve;
    s->training.report = vpsde_loss_curve_add;
    s->training.control = cli->control;
}

static vpsde_status save_curve(const session *s, bool complete)
{
    return vpsde_loss_curve_write(s->curve, s->files.curve, &s->setup,
                                  complete ? "complete" : "interrupted");
}

/* The state first: whatever fails after it, --resume goes on from here. */
static vpsde_status save(const session *s, bool complete)
{
    const vpsde_model *model = s->setup.model;
    VPSDE_TRY(vpsde_train_state_save(s->state, s->files.state, s->note));
    VPSDE_TRY(model->type->trainer->save(model, s->files.model));
    return save_curve(s, complete);
}

/* A diverged training leaves the curve that shows it, and the last good state. */
static vpsde_status diverged(const session *s)
{
    char message[512];
    snprintf(message, sizeof(message), "%s", vpsde_last_error());
    VPSDE_TRY(save_curve(s, false));
    return vpsde_fail(VPSDE_ENUMERIC, "%s; the loss curve is in %s", message, s->files.curve);
}

/* Trains to the end, saving every checkpoint_every steps and where it is stopped. */
static vpsde_status train(session *s)
{
    const uint64_t steps = s->setup.train.steps, every = s->setup.train.checkpoint_every;
    while (s->state->step < steps) {
        const uint64_t next = (s->state->step / every + 1) * every;
        s->training.last = next < steps ? next : steps;
        const vpsde_status status = vpsde_train(&s->training, s->setup.model, s->state);
        if (status == VPSDE_ESTOPPED) {
            VPSDE_TRY(save(s, false));
            return vpsde_fail(status, "stopped after step %llu of %llu; --resume goes on",
                              (unsigned long long)s->state->step, (unsigned long long)steps);
        }
        if (status == VPSDE_ENUMERIC) return diverged(s);
        VPSDE_TRY(status);
        VPSDE_TRY(save(s, s->state->step == steps));
    }
    return VPSDE_OK;
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
    VPSDE_TRY(write_note(s));
    VPSDE_TRY(load_data(s));
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
    free(s->x0);
    free(s->note);
    drop_lock(&s->files);
    free(s->files.lock);
    free(s->files.model);
    free(s->files.state);
    free(s->files.curve);
    vpsde_setup_close(&s->setup);
}

static vpsde_status run(const vpsde_cli *cli)
{
    session s = {0};
    vpsde_status status = prepare(&s, cli);
    if (status == VPSDE_OK) status = train(&s);
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
        "Reads the sections process, model (kind: mlp), data and train. Writes MODEL.safetensors "
        "(averaged weights), MODEL.h5 (the loss curve) and MODEL.state.safetensors, from which "
        "--resume goes on with the same bits as an uninterrupted training. Example:\n\n"
        "  vpsde train experiments/fashion-mnist-train.yaml -o mnist.safetensors",
    .options = VPSDE_CLI_OUTPUT | VPSDE_CLI_FORCE | VPSDE_CLI_CONFIG | VPSDE_CLI_THREADS |
               VPSDE_CLI_WORKS | VPSDE_CLI_RESUME,
    .run = run,
};
