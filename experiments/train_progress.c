#include "experiments/train_progress.h"

#include <stdio.h>

#include "core/clock.h"

static const double keep = 0.98, refresh_s = 0.25;

/* "3 h 07 min", "12 min", "40 s" */
static void format_left(char *out, size_t size, double seconds)
{
    const double minutes = seconds / 60;
    if (minutes >= 60) {
        const int hours = (int)(minutes / 60);
        (void)snprintf(out, size, "%d h %02d min left", hours, (int)(minutes - 60.0 * hours));
    } else if (minutes >= 2) {
        (void)snprintf(out, size, "%.0f min left", minutes);
    } else {
        (void)snprintf(out, size, "%.0f s left", seconds);
    }
}

static void format(char *out, size_t size, const vpsde_train_progress *p)
{
    char left[48] = "";
    const double images = p->step_s > 0 ? (double)p->batch / p->step_s : 0;
    if (p->step_s > 0) format_left(left, sizeof(left), (double)(p->steps - p->step) * p->step_s);
    (void)snprintf(out, size, "train %llu/%llu (%.1f %%)  loss %.4f  %.*f images/s  %s",
                   (unsigned long long)p->step, (unsigned long long)p->steps,
                   100.0 * (double)p->step / (double)p->steps, vpsde_loss_curve_running(p->curve),
                   images < 100 ? 1 : 0, images, left);
}

void vpsde_train_progress_start(vpsde_train_progress *p) { p->last_s = vpsde_clock_s(); }

void vpsde_train_progress_step(vpsde_train_progress *p, uint64_t step)
{
    char text[200];
    const double now = vpsde_clock_s(), took_s = now - p->last_s;
    p->step_s = p->step_s > 0 ? keep * p->step_s + (1 - keep) * took_s : took_s;
    p->last_s = now;
    p->step = step;
    if (!p->terminal || now - p->shown_s < refresh_s) return;
    p->shown_s = now;
    format(text, sizeof(text), p);
    vpsde_progress_line(text);
}

void vpsde_train_progress_checkpoint(vpsde_train_progress *p)
{
    char text[200];
    if (p->terminal || p->quiet) return;
    format(text, sizeof(text), p);
    fprintf(stderr, "%s\n", text);
}
