/* The section `transport`. */
#include <math.h>
#include <stdlib.h>

#include "core/mem.h"
#include "experiments/setup.h"

enum { ROWS_MAX = 4000, TIMES_MAX = 2049 };

static vpsde_status read_solver(vpsde_transport_setup *t, vpsde_config *c)
{
    const char *word;
    if (vpsde_config_has(c, "solver")) return vpsde_setup_solver(&t->integrator, t->param, c, NULL);
    VPSDE_TRY(vpsde_config_text(&word, c, "solver", "gsl-rk8pd"));
    t->integrator = vpsde_solver_find(word);
    return vpsde_config_params(t->param, c, t->integrator->params);
}

static vpsde_status read_integrator(vpsde_transport_setup *t, vpsde_config *c)
{
    vpsde_config *i;
    VPSDE_TRY(vpsde_config_section(&i, c, "integrator"));
    VPSDE_TRY(read_solver(t, i));
    if (!t->integrator->integrate) {
        return vpsde_config_fail(i, "solver",
                                 "%s integrates no ODE by itself; expected an adaptive integrator "
                                 "such as gsl-rk8pd, dopri5 or cvode-adams",
                                 t->integrator->name);
    }
    VPSDE_TRY(vpsde_config_real(&t->rtol, i, "rtol", 1e-10, 1e-14, 1));
    return vpsde_config_real(&t->atol, i, "atol", 1e-10, 1e-14, 1);
}

vpsde_status vpsde_setup_read_transport(vpsde_setup *s)
{
    vpsde_transport_setup *t = &s->transport;
    vpsde_config *c;
    uint64_t count, times;
    VPSDE_TRY(vpsde_config_section(&c, s->config, "transport"));
    VPSDE_TRY(read_integrator(t, c));
    VPSDE_TRY(vpsde_config_uint(&count, c, "count", 0, 0, ROWS_MAX));
    VPSDE_TRY(vpsde_config_uint(&times, c, "times", 33, 3, TIMES_MAX));
    t->count = count;
    t->times = times;
    if (count > 0 && !(s->model->type->flags & VPSDE_MODEL_DRAW)) {
        return vpsde_config_fail(c, "count",
                                 "%s draws no exact samples; expected 0: the rows of data",
                                 s->model->type->name);
    }
    if (count > 0 || !(s->uses & VPSDE_USES_TRANSPORT)) return VPSDE_OK;
    s->uses |= VPSDE_USES_DATA;
    if (vpsde_config_has(s->config, "data")) return VPSDE_OK;
    return vpsde_config_fail(c, "count",
                             "there are no rows; expected a number of draws of the model, or the "
                             "section data");
}

/* Clenshaw and Curtis's nodes in phi, where the flow is smooth, and their weights for integrals over b:
 * db = 2 tan(phi) dphi. */
vpsde_status vpsde_setup_build_transport(vpsde_setup *s)
{
    vpsde_transport_setup *t = &s->transport;
    const size_t n = t->times - 1;
    const vpsde_coef first =
        vpsde_process_at(s->process, vpsde_process_get_spec(s->process)->t_min);
    const vpsde_coef last = vpsde_process_at(s->process, vpsde_process_t_max(s->process));
    const double span = last.phi - first.phi, step = M_PI / (double)n;
    const size_t rows = t->count > 0 ? t->count : s->data.count;
    if (s->uses & VPSDE_USES_TRANSPORT && (rows < 2 || rows > ROWS_MAX)) {
        return vpsde_fail(VPSDE_ECONFIG,
                          "%s.count: %zu rows; the best assignment is of 2 rows or more and takes "
                          "the square of their number, expected at most %d",
                          t->count > 0 ? "transport" : "data", rows, ROWS_MAX);
    }
    VPSDE_TRY(vpsde_alloc(&t->t, t->times, sizeof(double)));
    VPSDE_TRY(vpsde_alloc(&t->weight, t->times, sizeof(double)));
    for (size_t k = 0; k <= n; k++) {
        const bool end = k == 0 || k == n;
        const double phi = first.phi + span * (1 - cos((double)k * step)) / 2;
        double sum = 1;
        for (size_t j = 1; 2 * j <= n; j++) {
            const double share = 2 * j == n ? 1 : 2;
            sum -= share / (4 * (double)j * (double)j - 1) * cos(2 * (double)(j * k) * step);
        }
        t->t[k] = k == 0 ? first.t : k == n ? last.t : vpsde_process_at_phi(s->process, phi).t;
        t->weight[k] = (end ? 1 : 2) * sum / (double)n * span / 2 * 2 * tan(phi);
    }
    return VPSDE_OK;
}

void vpsde_setup_close_transport(vpsde_transport_setup *t)
{
    free(t->t);
    free(t->weight);
}

static vpsde_status draw(const void *context, size_t first, size_t n, double *x)
{
    const vpsde_setup *s = context;
    const vpsde_coef c = vpsde_process_at(s->process, vpsde_process_get_spec(s->process)->t_min);
    return vpsde_model_draw(s->model, &c, s->seed, VPSDE_NOISE_EXACT, first, n, NULL, x);
}

vpsde_transport vpsde_setup_transport(const vpsde_setup *s, const vpsde_cli *cli)
{
    const vpsde_transport_setup *t = &s->transport;
    const bool draws = t->count > 0;
    return (vpsde_transport){
        .flow = {.process = s->process,
                 .model = s->model,
                 .integrator = t->integrator,
                 .param = t->param,
                 .rtol = t->rtol,
                 .atol = t->atol,
                 .seed = s->seed,
                 .source = draws ? (vpsde_row_source){draw, s} : vpsde_setup_source(s),
                 .first = draws ? 0 : s->data.first,
                 .count = draws ? t->count : s->data.count,
                 .classes = draws ? NULL : s->data.classes,
                 .n_threads = cli->threads,
                 .control = cli->control},
        .t = t->t,
        .n_times = t->times,
    };
}
