#include "experiments/thermo_summary.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/mem.h"

/* The paths that are fine, column by column. */
typedef struct fine {
    size_t n;
    double *value[VPSDE_N_PATH]; /* (n) of one allocation */
} fine;

static vpsde_status keep_fine(fine *f, const vpsde_paths *paths, size_t count)
{
    VPSDE_TRY(vpsde_alloc(&f->value[0], count * VPSDE_N_PATH, sizeof(double)));
    for (size_t q = 0; q < VPSDE_N_PATH; q++) {
        f->value[q] = f->value[0] + q * count;
        f->n = 0;
        for (size_t i = 0; i < count; i++) {
            if (paths->status[i] == 0) f->value[q][f->n++] = paths->value[q][i];
        }
    }
    return VPSDE_OK;
}

static vpsde_estimate mean_of(const fine *f, vpsde_path_value q)
{
    return vpsde_mean(f->value[q], f->n);
}

/* <Sigma> of forward paths, without the part of noise alone. */
static vpsde_estimate mean_gain(const fine *f)
{
    return vpsde_mean_difference(f->value[VPSDE_PATH_SIGMA], f->value[VPSDE_PATH_MARTINGALE], f->n);
}

static double largest(const fine *f, vpsde_path_value q)
{
    double top = 0;
    for (size_t i = 0; i < f->n; i++) top = fmax(top, fabs(f->value[q][i]));
    return top;
}

static void say(vpsde_thermo_summary *s, const char *name, const char *label, const char *theory,
                vpsde_estimate of)
{
    s->scalar[s->n_scalars++] =
        (vpsde_scalar){.name = name, .label = label, .theory = theory, .of = of};
}

static void say_plain(vpsde_thermo_summary *s, const char *name, double value)
{
    say(s, name, NULL, NULL, (vpsde_estimate){value, (double)NAN});
}

/* ---- the second law in its forms ------------------------------------------------------------- */

static void energies(vpsde_thermo_summary *s, const fine *forward, const fine *reverse)
{
    const vpsde_estimate work = mean_of(reverse, VPSDE_PATH_WORK);
    const vpsde_estimate exact = mean_gain(forward);
    const vpsde_estimate delta_f = s->exact_delta_f ? exact : mean_of(forward, VPSDE_PATH_PRODUCED);
    say(s, "delta_f", "free energy gained, Delta F", "KL(p_0 || pi) - KL(p_T || pi)", delta_f);
    say(s, "work", "work, <W>", "2 Delta F", work);
    say(s, "work_over_delta_f", "<W> / Delta F", "2", vpsde_quotient(work, delta_f));
    say(s, "eta_gen", "efficiency, eta_gen", "0.5", vpsde_quotient(delta_f, work));
    say(s, "heat", "heat to the bath, <Q>", "<W> - Delta E", mean_of(reverse, VPSDE_PATH_HEAT));
    say(s, "energy_change", "energy, Delta E", "Delta F + Delta S",
        mean_of(reverse, VPSDE_PATH_ENERGY));
    say(s, "entropy_change", "entropy, Delta S", "<W> - <Q> - Delta F",
        mean_of(reverse, VPSDE_PATH_ENTROPY));
    say(s, "entropy_production", "entropy production, <Sigma>", "Delta F",
        mean_of(reverse, VPSDE_PATH_SIGMA));
    say(s, "rate_integral", "its rate, integrated", "Delta F",
        mean_of(reverse, VPSDE_PATH_PRODUCED));
    say(s, "first_law_residual", "first law, largest residual", "0",
        (vpsde_estimate){
            fmax(largest(forward, VPSDE_PATH_FIRST_LAW), largest(reverse, VPSDE_PATH_FIRST_LAW)),
            (double)NAN});
    say(s, "relaxation_heat", NULL, NULL, mean_of(forward, VPSDE_PATH_HEAT));
    say(s, "relaxation_entropy_production", NULL, NULL, exact);
}

typedef struct fluctuation {
    const char *name, *top_share, *tail_index, *label;
} fluctuation;

/* <exp(sign v)> = 1 */
static vpsde_status fluctuates(vpsde_thermo_summary *s, const fluctuation *f, const fine *paths,
                               vpsde_path_value q, double sign)
{
    vpsde_exponential_mean m;
    VPSDE_TRY(vpsde_exponential_mean_of(&m, paths->value[q], paths->n, sign));
    say(s, f->name, f->label, m.tail_index < 2 ? "1; tail too heavy for its s.e." : "1", m.mean);
    say_plain(s, f->top_share, m.top_share);
    say_plain(s, f->tail_index, m.tail_index);
    return VPSDE_OK;
}

static vpsde_status theorems(vpsde_thermo_summary *s, const fine *forward, const fine *reverse)
{
    static const fluctuation ift = {"ift", "ift_top_share", "ift_tail_index",
                                    "<exp(-Sigma)>, reverse paths"};
    static const fluctuation relaxation = {"ift_relaxation", "ift_relaxation_top_share",
                                           "ift_relaxation_tail_index",
                                           "<exp(-Sigma)>, forward paths"};
    static const fluctuation chain = {"ift_chain", "ift_chain_top_share", "ift_chain_tail_index",
                                      "<exp(-R)>, forward paths"};
    vpsde_exponential_mean jarzynski;
    VPSDE_TRY(fluctuates(s, &ift, reverse, VPSDE_PATH_SIGMA, -1));
    VPSDE_TRY(fluctuates(s, &relaxation, forward, VPSDE_PATH_SIGMA, -1));
    VPSDE_TRY(fluctuates(s, &chain, forward, VPSDE_PATH_LOG_RATIO, -1));
    const double *r = forward->value[VPSDE_PATH_LOG_RATIO];
    VPSDE_TRY(vpsde_exponential_mean_of(&jarzynski, r, forward->n, -1));
    const vpsde_crooks crooks =
        vpsde_crooks_fit(r, forward->n, reverse->value[VPSDE_PATH_LOG_RATIO], reverse->n);
    say(s, "path_kl", "path KL, <R> on forward paths", "0 as steps shrink",
        mean_of(forward, VPSDE_PATH_LOG_RATIO));
    say(s, "jarzynski", "Jarzynski, log<exp(-R)>", "0", jarzynski.log_mean);
    say(s, "bar", "Bennett's acceptance ratio", "0", crooks.bar);
    say(s, "crooks_slope", "Crooks' slope", "1", crooks.slope);
    return VPSDE_OK;
}

static vpsde_status conclude(vpsde_thermo_summary *s, const vpsde_paths *reverse,
                             const fine *forward, const fine *backward)
{
    const vpsde_estimate none = {(double)NAN, (double)NAN};
    energies(s, forward, backward);
    say(s, "elbo", "ELBO, <log weight>", "-entropy of the data - path KL",
        mean_of(forward, VPSDE_PATH_LOG_WEIGHT));
    say(s, "t_conf", "temperature of the samples", "1",
        reverse->has_divergence ? vpsde_node_temperature(&reverse->sums, reverse->n_nodes - 1)
                                : none);
    return s->exact_delta_f ? theorems(s, forward, backward) : VPSDE_OK;
}

vpsde_status vpsde_thermo_summarise(vpsde_thermo_summary *s, const vpsde_paths *forward,
                                    const vpsde_paths *reverse, size_t count)
{
    fine f = {0}, r = {0};
    *s = (vpsde_thermo_summary){.exact_delta_f = forward->has_logp};
    vpsde_status status = keep_fine(&f, forward, count);
    if (status == VPSDE_OK) status = keep_fine(&r, reverse, count);
    if (status == VPSDE_OK && (f.n == 0 || r.n == 0)) {
        status = vpsde_fail(VPSDE_ENUMERIC, "thermo: all %zu %s paths became non-finite", count,
                            f.n == 0 ? "forward" : "reverse");
    }
    s->n_failed = 2 * count - f.n - r.n;
    if (status == VPSDE_OK) status = conclude(s, reverse, &f, &r);
    free(f.value[0]);
    free(r.value[0]);
    return status;
}

void vpsde_thermo_print(const vpsde_thermo_summary *s)
{
    printf("%-32s %12s %10s  %s\n", "quantity", "value [nat]", "+- s.e.", "theory (exact score)");
    for (size_t q = 0; q < s->n_scalars; q++) {
        const vpsde_scalar *v = &s->scalar[q];
        char error[32] = "-";
        if (!v->label || isnan(v->of.value)) continue;
        if (!isnan(v->of.error)) snprintf(error, sizeof(error), "%.2g", v->of.error);
        printf("%-32s %12.6g %10s  %s\n", v->label, v->of.value, error, v->theory);
    }
}
