/* Progress on a terminal, and the flag that signals set. */
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/ranks.h"
#include "experiments/cli.h"

static volatile int stop_flag;
static volatile sig_atomic_t stop_signal;

/* What a signal says that comes while inputs are read; no length: none are. */
static char reading_text[PATH_MAX + 128];
static volatile sig_atomic_t reading_length;

static struct {
    const char *what;
    double start_s, shown_s;
    size_t first_done; /* a resumed or listed run starts at more than 0 */
    bool shown;
} line;

static void on_signal(int signal)
{
    if (stop_flag) _exit(128 + signal); /* the second one does not wait */
    if (reading_length > 0) {
        const ssize_t said = write(STDERR_FILENO, reading_text, (size_t)reading_length);
        (void)said; /* whoever reads it may be gone */
        _exit(128 + signal);
    }
    stop_signal = signal;
    stop_flag = 1;
}

void vpsde_progress_reading(const char *hint)
{
    reading_length = 0;
    if (vpsde_n_ranks() > 1) return; /* they stop together */
    reading_length =
        snprintf(reading_text, sizeof(reading_text),
                 "vpsde: stopped by signal while it read its inputs; %.*s\n", PATH_MAX, hint);
}

void vpsde_progress_read(void) { reading_length = 0; }

static void show(void *context, size_t done, size_t total)
{
    const double now = vpsde_clock_s();
    (void)context;
    if (done < line.first_done || line.start_s == 0) {
        line.start_s = now;
        line.first_done = done;
    }
    if (now - line.shown_s < 0.25 && done < total) return;
    line.shown_s = now;
    const double rate = (double)(done - line.first_done) / (now - line.start_s + 1e-9);
    const double left_s = rate > 0 ? (double)(total - done) / rate : 0;
    fprintf(stderr, "\r%s %zu/%zu (%.0f %%)  %.3g/s  %.0f s left \033[K", line.what, done, total,
            total ? 100.0 * (double)done / (double)total : 100.0, rate, left_s);
    line.shown = true;
    if (done >= total) line.start_s = 0, line.first_done = 0;
}

void vpsde_progress_init(vpsde_control *control, const char *what, bool quiet)
{
    struct sigaction action = {.sa_handler = on_signal};
    const int signals[] = {SIGINT, SIGTERM, SIGHUP};
    for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++) {
        struct sigaction before;
        if (sigaction(signals[i], NULL, &before) == 0 && before.sa_handler == SIG_IGN) continue;
        sigaction(signals[i], &action,
                  NULL); /* nohup and background jobs ignore theirs: so do we */
    }
    line.what = what;
    control->stop = &stop_flag;
    if (!quiet && isatty(STDERR_FILENO)) control->progress = show;
}

void vpsde_progress_line(const char *text)
{
    fprintf(stderr, "\r%s\033[K", text);
    line.shown = true;
}

void vpsde_progress_done(void)
{
    if (line.shown) fputs("\r\033[K", stderr);
    line.shown = false;
}

int vpsde_stop_signal(void) { return (int)stop_signal; }
