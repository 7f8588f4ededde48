#include "solvers/sde_exponential.h"

#include "core/vec.h"

void vpsde_add_step_noise(vpsde_step *s, double scale, double *z)
{
    if (scale == 0) return;
    vpsde_step_noise(s, s->at, s->next, z, NULL);
    vec_lin2(s->n * s->d, s->x, 1, s->x, scale, z);
}

double vpsde_exponential_std(const vpsde_step *s, double eta)
{
    return vpsde_exponential_x0(s->at, s->next, eta).noise;
}

/* Weights c of x0hat at the start and at offset tau = r h. */
static void stage_weights(const vpsde_two_stages *form, const vpsde_exponential *e, double c[2])
{
    const double tau[2] = {0, form->r * e->h};
    if (form->exact_slope) {
        vpsde_exponential_weights(2, tau, e->on, c);
        return;
    }
    c[1] = e->on[0] / (2 * form->r);
    c[0] = e->on[0] - c[1];
}

vpsde_status vpsde_two_stage_step(vpsde_step *s, const vpsde_two_stages *form, const double *x0,
                                  double *u, double *z)
{
    const size_t count = s->n * s->d;
    const vpsde_exponential e = vpsde_exponential_x0(s->at, s->next, form->eta);
    if (!(s->next->sigma > 0)) {
        vec_scale(count, s->x, e.on[0], x0);
        return VPSDE_OK;
    }
    const vpsde_coef mid = vpsde_process_at_lambda(s->process, s->at->lambda + form->r * e.h);
    const vpsde_exponential head = vpsde_exponential_x0(s->at, &mid, form->eta);
    const vpsde_exponential tail = vpsde_exponential_x0(&mid, s->next, form->eta);
    double c[2];
    stage_weights(form, &e, c);

    vec_lin2(count, u, head.on_x, s->x, head.on[0], x0);
    vec_lin2(count, s->x, e.on_x, s->x, c[0], x0);
    if (form->eta > 0 && form->independent_noise) {
        vpsde_step_draw(s, 0, z);
        vec_lin2(count, u, 1, u, head.noise, z);
        vpsde_add_step_noise(s, e.noise, z);
    } else if (form->eta > 0) {
        vpsde_step_noise(s, s->at, &mid, z, NULL);
        vec_lin2(count, u, 1, u, head.noise, z);
        vec_lin2(count, s->x, 1, s->x, tail.on_x * head.noise, z);
        vpsde_step_noise(s, &mid, s->next, z, NULL);
        vec_lin2(count, s->x, 1, s->x, tail.noise, z);
    }
    VPSDE_TRY(vpsde_x0hat(s, &mid, u, z));
    vec_lin2(count, s->x, 1, s->x, c[1], z);
    return VPSDE_OK;
}
