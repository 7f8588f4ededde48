/* The section `fokker-planck`: cells, directions, stored times. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "experiments/setup.h"

enum { TIMES_MAX = 100000 };
static const double weight_max = 1000;

/* [low, high] for every axis, or one such pair an axis. */
static vpsde_status read_domain(vpsde_fokker_planck *run, size_t d, vpsde_config *c)
{
    double *value;
    size_t rank, dims[2];
    VPSDE_TRY(vpsde_config_numbers(&value, &rank, dims, 2, c, "domain"));
    const bool given = value != NULL, each = given && rank == 2;
    const bool fits = each ? dims[0] == d && dims[1] == 2 : given && rank == 1 && dims[0] == 2;
    for (size_t a = 0; a < VPSDE_FP_DIM; a++) {
        run->low[a] = fits ? value[each && a < d ? 2 * a : 0] : -7;
        run->high[a] = fits ? value[each && a < d ? 2 * a + 1 : 1] : 7;
    }
    free(value);
    if (given && !fits) {
        return vpsde_config_fail(c, "domain",
                                 "expected [low, high], or a list of one such pair an axis");
    }
    return given ? VPSDE_OK : vpsde_config_show(c, "domain", "[-7.0, 7.0]");
}

/* A number for every axis, or one an axis. */
static vpsde_status read_cells(vpsde_fokker_planck *run, size_t d, vpsde_config *c)
{
    const double usual = d == 1 ? 800 : 128;
    double *value;
    size_t rank, dims[1];
    VPSDE_TRY(vpsde_config_wholes(&value, &rank, dims, 1, c, "cells"));
    const bool given = value != NULL;
    bool fits = !given || rank == 0 || dims[0] == d;
    for (size_t a = 0; a < VPSDE_FP_DIM; a++) {
        const double n = !given || !fits ? usual : rank == 0 ? value[0] : value[a < d ? a : 0];
        fits = fits && n >= 3 && n <= 1e7 && n == floor(n);
        run->cells[a] = fits ? (size_t)n : 0;
    }
    free(value);
    if (!fits) {
        return vpsde_config_fail(c, "cells",
                                 "expected a whole number, 3 or more, or a list of one an axis");
    }
    return given ? VPSDE_OK : vpsde_config_show(c, "cells", d == 1 ? "800" : "128");
}

/* A number of times, evenly in t with both ends, or their list. */
static vpsde_status read_times(vpsde_fokker_planck_setup *f, const vpsde_process *process,
                               vpsde_config *c)
{
    const double t_min = vpsde_process_get_spec(process)->t_min;
    const double t_max = vpsde_process_t_max(process);
    size_t rank, dims[1];
    uint64_t n;
    if (vpsde_config_kind(c, "times") == VPSDE_NODE_SEQUENCE) {
        VPSDE_TRY(vpsde_config_numbers(&f->times, &rank, dims, 1, c, "times"));
        f->run.n_times = dims[0];
        return VPSDE_OK;
    }
    VPSDE_TRY(vpsde_config_uint(&n, c, "times", 9, 2, TIMES_MAX));
    VPSDE_TRY(vpsde_alloc(&f->times, n, sizeof(*f->times)));
    for (size_t k = 0; k < n; k++) {
        f->times[k] = t_min + (t_max - t_min) * (double)k / (double)(n - 1);
    }
    f->times[n - 1] = t_max;
    f->run.n_times = n;
    return VPSDE_OK;
}

static vpsde_status read_class(vpsde_fokker_planck *run, const vpsde_model *model, vpsde_config *c)
{
    uint64_t class;
    const uint64_t none = model->n_classes;
    run->class = VPSDE_NO_CLASS;
    if (model->n_classes == 0) {
        static const char *const keys[] = {"class", "guidance"};
        for (size_t i = 0; i < 2; i++) {
            if (!vpsde_config_has(c, keys[i])) continue;
            return vpsde_config_fail(c, keys[i], "%s has no classes; expected no such key",
                                     model->type->name);
        }
        return VPSDE_OK;
    }
    VPSDE_TRY(vpsde_config_uint(&class, c, "class", none, 0, none - 1));
    if (class < none) run->class = (int32_t) class;
    VPSDE_TRY(vpsde_config_real(&run->guidance, c, "guidance", 0, -weight_max, weight_max));
    if (run->guidance == 0 || run->class >= 0) return VPSDE_OK;
    return vpsde_config_fail(c, "guidance", "%g; expected a class to guide to", run->guidance);
}

/* A network's float32 is noise in A, which a smaller tolerance makes BDF follow in vain. */
static double usual_tolerance(const vpsde_model *model)
{
    if (!(model->type->flags & VPSDE_MODEL_ANALYTIC)) return 1e-5;
    return model->dim == 1 ? 1e-9 : 1e-7;
}

/* The check's message begins with its key: "times: ...". */
static vpsde_status complain(vpsde_status status, vpsde_config *c)
{
    char message[512];
    snprintf(message, sizeof(message), "%s", vpsde_last_error());
    char *colon = strstr(message, ": ");
    if (colon) *colon = '\0';
    if (!colon || !vpsde_config_has(c, message)) return vpsde_config_fail_at(status, c, NULL);
    return vpsde_config_fail(c, message, "%s", colon + 2);
}

vpsde_status vpsde_setup_read_fokker_planck(vpsde_setup *s)
{
    vpsde_fokker_planck_setup *f = &s->fokker_planck;
    vpsde_config *c;
    const size_t d = s->model->dim < VPSDE_FP_DIM ? s->model->dim : VPSDE_FP_DIM;
    const bool knows = s->model->type->flags & VPSDE_MODEL_LOG_P;
    const unsigned both = (1u << VPSDE_N_FP_DIRECTIONS) - 1;
    VPSDE_TRY(vpsde_config_section(&c, s->config, "fokker-planck"));
    VPSDE_TRY(vpsde_config_words(&f->directions, c, "direction", VPSDE_FP_DIRECTIONS,
                                 knows ? both : 1u << VPSDE_FP_REVERSE));
    VPSDE_TRY(read_domain(&f->run, d, c));
    VPSDE_TRY(read_cells(&f->run, d, c));
    VPSDE_TRY(read_times(f, s->process, c));
    VPSDE_TRY(vpsde_config_real(&f->run.tolerance, c, "tolerance", usual_tolerance(s->model), 1e-13,
                                1e-2));
    VPSDE_TRY(read_class(&f->run, s->model, c));
    f->run.process = s->process;
    f->run.model = s->model;
    f->run.times = f->times;
    for (unsigned i = 0; (s->uses & VPSDE_USES_FOKKER_PLANCK) && i < VPSDE_N_FP_DIRECTIONS; i++) {
        f->run.direction = (vpsde_fp_direction)i;
        const vpsde_status status =
            f->directions >> i & 1 ? vpsde_fokker_planck_check(&f->run) : VPSDE_OK;
        if (status != VPSDE_OK) return complain(status, c);
    }
    return VPSDE_OK;
}

vpsde_fokker_planck vpsde_setup_fokker_planck(const vpsde_setup *s, vpsde_fp_direction direction,
                                              const vpsde_cli *cli)
{
    vpsde_fokker_planck run = s->fokker_planck.run;
    run.direction = direction;
    run.n_threads = cli->threads;
    run.control = cli->control;
    return run;
}
