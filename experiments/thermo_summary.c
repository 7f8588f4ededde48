#include "experiments/thermo_summary.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "analysis/digits.h"
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

static void say(vpsde_thermo_summary *s, const char *name, vpsde_estimate of)
{
    s->scalar[s->n_scalars++] = (vpsde_scalar){.name = name, .of = of};
}

static void say_plain(vpsde_thermo_summary *s, const char *name, double value)
{
    say(s, name, (vpsde_estimate){value, (double)NAN});
}

/* ---- the second law in its forms ------------------------------------------------------------- */

static void energies(vpsde_thermo_summary *s, const fine *forward, const fine *reverse)
{
    const vpsde_estimate work = mean_of(reverse, VPSDE_PATH_WORK);
    const vpsde_estimate exact = mean_gain(forward);
    const vpsde_estimate delta_f = s->exact_delta_f ? exact : mean_of(forward, VPSDE_PATH_PRODUCED);
    say(s, "delta_f", delta_f);
    say(s, "work", work);
    say(s, "work_over_delta_f", vpsde_quotient(work, delta_f));
    say(s, "eta_gen", vpsde_quotient(delta_f, work));
    say(s, "heat", mean_of(reverse, VPSDE_PATH_HEAT));
    say(s, "energy_change", mean_of(reverse, VPSDE_PATH_ENERGY));
    say(s, "entropy_change", mean_of(reverse, VPSDE_PATH_ENTROPY));
    say(s, "entropy_production", mean_of(reverse, VPSDE_PATH_SIGMA));
    say(s, "rate_integral", mean_of(reverse, VPSDE_PATH_PRODUCED));
    say_plain(s, "first_law_residual",
              fmax(largest(forward, VPSDE_PATH_FIRST_LAW), largest(reverse, VPSDE_PATH_FIRST_LAW)));
    say(s, "relaxation_heat", mean_of(forward, VPSDE_PATH_HEAT));
    say(s, "relaxation_entropy_production", exact);
}

/* Attributes of <exp(sign v)> = 1. */
typedef struct fluctuation {
    const char *name, *top_share, *tail_index;
} fluctuation;

static vpsde_status fluctuates(vpsde_thermo_summary *s, const fluctuation *f, const fine *paths,
                               vpsde_path_value q, double sign)
{
    vpsde_exponential_mean m;
    VPSDE_TRY(vpsde_exponential_mean_of(&m, paths->value[q], paths->n, sign));
    say(s, f->name, m.mean);
    say_plain(s, f->top_share, m.top_share);
    say_plain(s, f->tail_index, m.tail_index);
    return VPSDE_OK;
}

static vpsde_status second_law(vpsde_thermo_summary *s, const fine *forward, const fine *reverse)
{
    static const fluctuation ift = {"ift", "ift_top_share", "ift_tail_index"};
    static const fluctuation relaxation = {"ift_relaxation", "ift_relaxation_top_share",
                                           "ift_relaxation_tail_index"};
    VPSDE_TRY(fluctuates(s, &ift, reverse, VPSDE_PATH_SIGMA, -1));
    return fluctuates(s, &relaxation, forward, VPSDE_PATH_SIGMA, -1);
}

/* Of the sampler's chain against the process. */
static vpsde_status chain(vpsde_thermo_summary *s, const fine *forward, const fine *reverse)
{
    static const fluctuation ift = {"ift_chain", "ift_chain_top_share", "ift_chain_tail_index"};
    const double *r = forward->value[VPSDE_PATH_LOG_RATIO];
    vpsde_exponential_mean jarzynski;
    VPSDE_TRY(fluctuates(s, &ift, forward, VPSDE_PATH_LOG_RATIO, -1));
    VPSDE_TRY(vpsde_exponential_mean_of(&jarzynski, r, forward->n, -1));
    const vpsde_crooks crooks =
        vpsde_crooks_fit(r, forward->n, reverse->value[VPSDE_PATH_LOG_RATIO], reverse->n);
    say(s, "path_kl", mean_of(forward, VPSDE_PATH_LOG_RATIO));
    say(s, "jarzynski", jarzynski.log_mean);
    say(s, "bar", crooks.bar);
    say(s, "crooks_slope", crooks.slope);
    return VPSDE_OK;
}

static vpsde_status conclude(vpsde_thermo_summary *s, const vpsde_paths *up,
                             const vpsde_paths *down, const fine *forward, const fine *reverse)
{
    const vpsde_estimate none = {(double)NAN, (double)NAN};
    energies(s, forward, reverse);
    if (up->has_kernel) say(s, "elbo", mean_of(forward, VPSDE_PATH_LOG_WEIGHT));
    say(s, "t_conf",
        down->has_divergence ? vpsde_node_temperature(&down->sums, down->n_nodes - 1) : none);
    if (s->exact_delta_f) VPSDE_TRY(second_law(s, forward, reverse));
    return s->exact_delta_f && up->has_kernel ? chain(s, forward, reverse) : VPSDE_OK;
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
    if (status == VPSDE_OK) status = conclude(s, forward, reverse, &f, &r);
    free(f.value[0]);
    free(r.value[0]);
    return status;
}

static const vpsde_estimate *find(const vpsde_thermo_summary *s, const char *name)
{
    for (size_t i = 0; name && i < s->n_scalars; i++) {
        if (strcmp(s->scalar[i].name, name) == 0) return &s->scalar[i].of;
    }
    return NULL;
}

void vpsde_thermo_print(const vpsde_thermo_summary *s)
{
    printf("%-32s %12s %10s  %s\n", "quantity", "value [nat]", "+- s.e.", "theory (exact score)");
    for (const vpsde_quantity *q = vpsde_thermo_quantities; q->name; q++) {
        const vpsde_estimate *of = find(s, q->name), *tail = find(s, q->tail);
        char error[32] = "-";
        if (!of || isnan(of->value)) continue;
        if (!isnan(of->error)) {
            snprintf(error, sizeof(error), "%" VPSDE_DIGITS_STDERR, of->error);
        }
        printf("%-32s %12" VPSDE_DIGITS_NATS " %10s  %s%s\n", q->label, of->value, error, q->theory,
               tail && tail->value < vpsde_tail_too_heavy ? vpsde_tail_warning : "");
    }
}
