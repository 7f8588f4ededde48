/* The section `elbo`. */
#include <math.h>
#include <stdlib.h>

#include "core/mem.h"
#include "experiments/setup.h"

enum { LEVELS = 256 }; /* of 8-bit data */

/* The DDPM steps that the network's labels count. */
static uint64_t natural_steps(const vpsde_process *process)
{
    const vpsde_process_spec *spec = vpsde_process_get_spec(process);
    const double steps = round(spec->label_scale * vpsde_process_t_max(process));
    return steps >= 2 && steps <= 1e6 ? (uint64_t)steps : 1000;
}

vpsde_status vpsde_setup_read_elbo(vpsde_setup *s)
{
    vpsde_elbo_setup *e = &s->elbo;
    vpsde_config *c;
    uint64_t draws, steps;
    int variance;
    VPSDE_TRY(vpsde_config_section(&c, s->config, "elbo"));
    VPSDE_TRY(vpsde_setup_label(&e->label, c, "chain"));
    VPSDE_TRY(vpsde_config_choice(&variance, c, "variance", "large|small|optimal", 0));
    VPSDE_TRY(vpsde_config_uint(&draws, c, "draws", 1, 1, 1000000));
    VPSDE_TRY(vpsde_config_uint(&steps, c, "steps", natural_steps(s->process), 2, 1000000));
    e->variance = (vpsde_elbo_variance)variance;
    e->draws = draws;
    e->steps = steps;
    return VPSDE_OK;
}

vpsde_status vpsde_setup_build_elbo(vpsde_setup *s)
{
    const size_t n = s->elbo.steps;
    const double t_max = vpsde_process_t_max(s->process);
    double *t;
    VPSDE_TRY(vpsde_alloc(&t, n, sizeof(*t)));
    for (size_t k = 0; k < n; k++) t[k] = t_max * (double)(n - k) / (double)n;
    const vpsde_status status = vpsde_grid_create(&s->elbo.grid, vpsde_grid_find("user"),
                                                  s->process, n - 1, NULL, t, VPSDE_LAST_EULER);
    free(t);
    return status;
}

vpsde_elbo vpsde_setup_elbo(const vpsde_setup *s, const vpsde_cli *cli)
{
    const vpsde_elbo_setup *e = &s->elbo;
    const bool bytes = vpsde_data_is_8bit(s->data.data);
    return (vpsde_elbo){
        .label = e->label,
        .process = s->process,
        .model = s->model,
        .grid = e->grid,
        .variance = e->variance,
        .levels = bytes ? (vpsde_levels){s->data.shift, s->data.scale, LEVELS} : (vpsde_levels){0},
        .draws = e->draws,
        .seed = s->seed,
        .source = vpsde_setup_source(s),
        .first = s->data.first,
        .count = s->data.count,
        .classes = s->data.classes,
        .n_threads = cli->threads,
        .control = cli->control,
    };
}
