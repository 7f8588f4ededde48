#include "experiments/train_samples.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "experiments/collect.h"

enum { STEPS = 20, GAP = 1 /* pixels between images */ };

typedef struct sheet {
    size_t columns, lines;        /* of images */
    size_t width, height, pixels; /* of the picture */
    size_t channels;
} sheet;

/* Ten images a line, or as many as there are classes; each line then shows them all. */
static sheet layout(const vpsde_model *m, size_t n)
{
    const size_t usual = 10, most = 20;
    sheet p = {.columns = m->n_classes > 0 && m->n_classes <= most ? m->n_classes : usual,
               .channels = m->shape[0]};
    if (p.columns > n) p.columns = n;
    p.lines = (n + p.columns - 1) / p.columns;
    p.width = p.columns * (m->shape[2] + GAP) - GAP;
    p.height = p.lines * (m->shape[1] + GAP) - GAP;
    p.pixels = p.width * p.height * p.channels;
    return p;
}

static unsigned char level(double x, const double range[2])
{
    const double v = 255 * (x - range[0]) / (range[1] - range[0]) + 0.5;
    return v >= 255 ? 255 : v > 0 ? (unsigned char)v : 0; /* a failed sample, NaN, is black */
}

static void paint(unsigned char *picture, const sheet *p, const vpsde_model *m, size_t n,
                  const double *x, const double range[2])
{
    const size_t height = m->shape[1], width = m->shape[2];
    for (size_t e = 0; e < n * m->dim; e++) {
        const size_t i = e / m->dim, j = e % m->dim;
        const size_t channel = j / (height * width), row = j / width % height, column = j % width;
        const size_t top = i / p->columns * (height + GAP), left = i % p->columns * (width + GAP);
        const size_t at = (top + row) * p->width + left + column;
        picture[at * p->channels + channel] = level(x[e], range);
    }
}

static vpsde_status write_file(const char *path, const sheet *p, const unsigned char *picture)
{
    char *fresh;
    VPSDE_TRY(vpsde_format(&fresh, "%s.tmp", path));
    FILE *const file = fopen(fresh, "wb");
    bool done = file && fprintf(file, "P%d\n%zu %zu\n255\n", p->channels == 3 ? 6 : 5, p->width,
                                p->height) > 0;
    done = done && fwrite(picture, 1, p->pixels, file) == p->pixels;
    done = file && fclose(file) == 0 && done;
    done = done && rename(fresh, path) == 0;
    const int reason = errno;
    if (!done && file) (void)remove(fresh);
    free(fresh);
    if (done) return VPSDE_OK;
    return vpsde_fail(VPSDE_EIO, "%s: cannot be written: %s", path, strerror(reason));
}

/* x (samples, d) by DDIM on equal steps in t, and at the end the mean of the data that are left. */
static vpsde_status draw(double *x, const vpsde_setup *s, const vpsde_cli *cli,
                         const int32_t *classes)
{
    vpsde_collect collect;
    vpsde_grid *grid;
    VPSDE_TRY(vpsde_grid_create(&grid, vpsde_grid_find("uniform-t"), s->process, STEPS, NULL, NULL,
                                VPSDE_LAST_TWEEDIE));
    const vpsde_sampling sampling = {.process = s->process,
                                     .model = s->model,
                                     .solver = vpsde_solver_find("ddim"),
                                     .grid = grid,
                                     .seed = s->seed,
                                     .count = s->train.samples,
                                     .classes = classes,
                                     .n_threads = cli->threads,
                                     .control = {.stop = cli->control.stop}};
    vpsde_collect_init(&collect, x, s->model->dim);
    const vpsde_status status = vpsde_sample(&sampling, &collect.sink);
    vpsde_grid_destroy(grid);
    return status == VPSDE_EPARTIAL ? VPSDE_OK : status;
}

vpsde_status vpsde_train_samples(const vpsde_setup *s, const vpsde_cli *cli, const char *path)
{
    const vpsde_model *const m = s->model;
    const size_t n = s->train.samples;
    const sheet p = layout(m, n);
    double *x = NULL;
    int32_t *classes = NULL;
    unsigned char *picture = NULL;
    vpsde_status status = vpsde_alloc(&x, n * m->dim, sizeof(*x));
    if (status == VPSDE_OK) status = vpsde_alloc(&classes, n, sizeof(*classes));
    if (status == VPSDE_OK) status = vpsde_alloc(&picture, p.pixels, 1);
    for (size_t i = 0; status == VPSDE_OK && m->n_classes > 0 && i < n; i++) {
        classes[i] = s->data.classes ? (int32_t)(i % m->n_classes) : VPSDE_NO_CLASS;
    }
    if (status == VPSDE_OK) status = draw(x, s, cli, m->n_classes > 0 ? classes : NULL);
    if (status == VPSDE_OK) {
        paint(picture, &p, m, n, x, s->data.range);
        status = write_file(path, &p, picture);
    }
    free(x);
    free(classes);
    free(picture);
    return status;
}
