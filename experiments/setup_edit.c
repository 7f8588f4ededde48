/* The section `edit`: SDEdit's t0, where the samplers' grids begin. */
#include <math.h>

#include "experiments/setup.h"

vpsde_status vpsde_setup_read_edit(vpsde_setup *s)
{
    vpsde_config *c;
    const double t_min = vpsde_process_get_spec(s->process)->t_min;
    const double t_max = vpsde_process_t_max(s->process);
    VPSDE_TRY(vpsde_config_section(&c, s->config, "edit"));
    VPSDE_TRY(vpsde_config_real(&s->edit.t0, c, "t0", (double)NAN, 0, t_max));
    if (s->edit.t0 > t_min) return VPSDE_OK;
    return vpsde_config_fail(c, "t0", "%g; expected a time above t_min = %g", s->edit.t0, t_min);
}

/* A grid that goes by rates of the model needs samples at t0 to learn them from. */
static vpsde_status check_grid(const vpsde_setup *s, const vpsde_sampler_entry *e)
{
    const bool draws = s->model->type->flags & VPSDE_MODEL_DRAW;
    if (vpsde_solver_is_adaptive(e->solver) || !e->grid_type->place_by || draws) return VPSDE_OK;
    return vpsde_fail(VPSDE_ECONFIG,
                      "sampler %s: grid %s calibrates itself by exact samples at t0, which %s does "
                      "not draw; expected another grid",
                      e->label, e->grid_type->name, s->model->type->name);
}

vpsde_status vpsde_setup_build_edit(vpsde_setup *s)
{
    vpsde_process *const whole = s->process;
    vpsde_process_spec spec = *vpsde_process_get_spec(whole);
    for (size_t i = 0; i < s->sampler.n_entries; i++) {
        VPSDE_TRY(check_grid(s, &s->sampler.entries[i]));
    }
    spec.t_max = s->edit.t0;
    if (s->model->type->flags & VPSDE_MODEL_DRAW) spec.terminal = VPSDE_TERMINAL_EXACT;
    vpsde_status status = vpsde_process_create(&s->process, &spec); /* the same clock, to t0 */
    if (status == VPSDE_OK) status = vpsde_setup_build_sampler(s);
    vpsde_process_destroy(s->process);
    s->process = whole;
    return status;
}
