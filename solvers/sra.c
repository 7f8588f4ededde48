#include "solvers/sra.h"

#include <math.h>

#include "core/vec.h"
#include "solvers/exponential.h"

typedef struct clock {
    double (*u)(const vpsde_coef *c);    /* grows with noise */
    double (*rate)(const vpsde_coef *c); /* db/du */
    vpsde_coef (*at)(const vpsde_process *process, double u);
} clock;

static double u_b(const vpsde_coef *c) { return c->b; }
static double u_t(const vpsde_coef *c) { return c->t; }
static double rate_b(const vpsde_coef *c) { return (void)c, 1; }
static double rate_t(const vpsde_coef *c) { return c->beta; }

static const clock clocks[] = {{u_b, rate_b, vpsde_process_at_b}, {u_t, rate_t, vpsde_process_at}};

/* The time a fraction c of the step on; its ends to the bit. */
static vpsde_coef time_of(const vpsde_step *s, const clock *k, double c)
{
    if (c == 0) return *s->at;
    if (c == 1) return *s->next;
    return k->at(s->process, k->u(s->at) + c * (k->u(s->next) - k->u(s->at)));
}

/* sum_j weight_j g(u + c1_j h) */
static double noise_weight(const vpsde_step *s, const clock *k, const vpsde_sra *method,
                           const double *weight)
{
    double sum = 0;
    for (size_t j = 0; j < method->stages; j++) {
        const vpsde_coef c = time_of(s, k, method->c1[j]);
        sum += weight[j] * sqrt(k->rate(&c));
    }
    return sum;
}

/* F <- f(x, c) = rate (x/2 - eps/sigma) */
static vpsde_status drift(vpsde_step *s, const clock *k, const vpsde_coef *c, const double *x,
                          double *F)
{
    const double rate = k->rate(c);
    VPSDE_TRY(vpsde_eps(s, c, x, F));
    vec_lin2(s->n * s->d, F, rate / 2, x, -rate / c->sigma, F);
    return VPSDE_OK;
}

/* out = x + h sum_{j < n} weight_j F_j */
static void combine(const vpsde_step *s, double *out, double h, const double *weight, size_t n)
{
    const size_t count = s->n * s->d;
    vec_copy(count, out, s->x);
    for (size_t j = 0; j < n; j++) {
        if (weight[j] != 0) vec_lin2(count, out, 1, out, h * weight[j], s->w[j]);
    }
}

vpsde_status vpsde_sra_step(vpsde_step *s, const vpsde_sra *method, vpsde_sra_clock clock_number)
{
    const clock *k = &clocks[clock_number];
    double *z = s->w[VPSDE_SRA_STAGES], *area = s->w[VPSDE_SRA_STAGES + 1];
    double *H = s->w[VPSDE_SRA_STAGES + 2];
    const double h = k->u(s->at) - k->u(s->next), root = sqrt(h);
    const size_t count = s->n * s->d;
    const double on_z = root / 2, on_area = root / sqrt(12); /* I10/h = on_z z + on_area area */

    if (!(s->next->sigma > 0)) return vpsde_step_to_data(s, H);
    vpsde_step_noise(s, s->at, s->next, z, area);
    for (size_t i = 0; i < method->stages; i++) {
        const double g = noise_weight(s, k, method, method->b[i]);
        const vpsde_coef c = time_of(s, k, method->c0[i]);
        combine(s, H, h, method->a[i], i);
        vec_lin3(count, H, 1, H, g * on_z, z, g * on_area, area);
        VPSDE_TRY(drift(s, k, &c, H, s->w[i]));
    }
    const double g1 = noise_weight(s, k, method, method->beta1);
    const double g2 = noise_weight(s, k, method, method->beta2);
    combine(s, s->x, h, method->alpha, method->stages);
    vec_lin3(count, s->x, 1, s->x, g1 * root + g2 * on_z, z, g2 * on_area, area);
    return VPSDE_OK;
}

const vpsde_param vpsde_sra_params[] = {
    {.name = "clock",
     .kind = VPSDE_PARAM_CHOICE,
     .choices = "b|t",
     .max = VPSDE_SRA_CLOCK_T,
     .doc = "time of the reverse SDE; in b the noise is constant"},
    {.name = NULL},
};

void vpsde_sra_orders(const double *param, vpsde_orders *order, vpsde_orders *claimed)
{
    (void)claimed;
    if (param[0] == VPSDE_SRA_CLOCK_T) order->strong = 1;
}
