#include <stdio.h>

#include "experiments/estimate.h"

static const char *const terminal_names[] = {"standard-normal", "exact"};

static void print_bytes(double bytes)
{
    static const char *const units[] = {"B", "kB", "MB", "GB", "TB"};
    size_t u = 0;
    for (; bytes >= 1000 && u < 4; u++) bytes /= 1000;
    printf("%.3g %s", bytes, units[u]);
}

static void print_estimate(const char *verb, const char *label, const vpsde_estimate *e)
{
    printf("%-11s %s: %.0f samples, %s%.4g evaluations", verb, label, e->samples,
           e->measured ? "about " : "", e->evaluations);
    if (e->tangents > 0) printf(", %.4g tangents", e->tangents);
    printf(", about %.3g s, ", e->seconds);
    print_bytes(e->bytes);
    putchar('\n');
}

static void print_objects(const vpsde_setup *s)
{
    const vpsde_process_spec *p = vpsde_process_get_spec(s->process);
    printf("process     %s, t in [%g, %g], label %g t %+g, terminal %s\n", p->schedule->name,
           p->t_min, vpsde_process_t_max(s->process), p->label_scale, p->label_offset,
           terminal_names[p->terminal]);
    printf("model       %s, %zu dimensions, %zu parameters\n", s->model->type->name, s->model->dim,
           s->model->n_parameters);
    if (s->data.data) {
        printf("data        %s: rows %zu to %zu of %zu\n", s->data.path, s->data.first,
               s->data.first + s->data.count - 1, vpsde_data_rows(s->data.data));
    }
}

/* The adaptive solvers' evaluations are what the comparison is to find out. */
static void print_comparison(const vpsde_setup *s)
{
    const vpsde_compare_setup *c = &s->compare;
    double nfe = 0;
    for (size_t l = 0; l < c->n_levels; l++) {
        const vpsde_sampler_entry *e = &c->entries[c->levels[l].entry];
        nfe += vpsde_setup_nfe(s, e, c->levels[l].grid);
    }
    printf("%-11s %zu solvers, %zu cases of %zu samples, %.4g evaluations in fixed steps\n",
           "compare", c->n_entries, c->n_levels * c->n_seeds, s->sampler.count,
           nfe * (double)s->sampler.count * (double)c->n_seeds);
}

static vpsde_status print_needs(const vpsde_setup *s, const vpsde_cli *cli)
{
    vpsde_estimate e;
    const bool samples =
        (s->uses & VPSDE_USES_SAMPLER) && !(s->uses & VPSDE_USES_ROWS) && s->sampler.count > 0;
    for (size_t i = 0; samples && i < s->sampler.n_entries; i++) {
        VPSDE_TRY(vpsde_estimate_sampling(&e, s, i, cli));
        print_estimate("sample", s->sampler.entries[i].label, &e);
    }
    if (s->uses & VPSDE_USES_COMPARE) print_comparison(s);
    if ((s->uses & VPSDE_USES_LIKELIHOOD) && s->data.data) {
        VPSDE_TRY(vpsde_estimate_likelihood(&e, s, cli));
        print_estimate("likelihood", s->likelihood.label, &e);
    }
    if ((s->uses & VPSDE_USES_ELBO) && s->data.data) {
        VPSDE_TRY(vpsde_estimate_bound(&e, s, cli));
        print_estimate("elbo", s->elbo.label, &e);
    }
    if (s->uses & VPSDE_USES_TRANSPORT) {
        VPSDE_TRY(vpsde_estimate_transport(&e, s, cli));
        print_estimate("transport", s->transport.integrator->name, &e);
    }
    return VPSDE_OK;
}

/* Runs that sample, compute likelihoods or ask for transport have their own default t_min, so a
 * configuration for several is checked as each of them. *told gets what it was checked for. */
static vpsde_status check_as(unsigned *told, const vpsde_cli *cli, unsigned uses, bool heading)
{
    vpsde_setup s = {0};
    vpsde_status status = vpsde_setup_open(&s, cli, uses);
    if (status == VPSDE_OK && cli->resolved) {
        fputs(s.resolved, stdout);
    } else if (status == VPSDE_OK) {
        if (heading) print_objects(&s);
        status = print_needs(&s, cli);
    }
    *told |= s.uses;
    vpsde_setup_close(&s);
    return status;
}

static vpsde_status run(const vpsde_cli *cli)
{
    unsigned uses = VPSDE_USES_DATA | VPSDE_USES_SAMPLER | VPSDE_USES_LIKELIHOOD |
                    VPSDE_USES_TRAIN | VPSDE_USES_COMPARE | VPSDE_USES_LATENTS | VPSDE_USES_ROWS |
                    VPSDE_USES_TRANSPORT | VPSDE_USES_ELBO;
    VPSDE_TRY(vpsde_setup_present(&uses, cli));
    /* the chain comes with a likelihood whose estimators name it, or by itself */
    const unsigned apart[] = {VPSDE_USES_LIKELIHOOD, VPSDE_USES_ELBO, VPSDE_USES_TRANSPORT};
    const unsigned rest = uses & ~(apart[0] | apart[1] | apart[2]);
    unsigned told = 0;
    VPSDE_TRY(check_as(&told, cli, rest, true));
    if (cli->resolved || (uses & VPSDE_USES_TRAIN)) return VPSDE_OK; /* no network to ask yet */
    for (size_t i = 0; i < sizeof(apart) / sizeof(apart[0]); i++) {
        if (!(uses & apart[i]) || (told & apart[i])) continue;
        VPSDE_TRY(check_as(&told, cli, (uses & VPSDE_USES_DATA) | apart[i], false));
    }
    return VPSDE_OK;
}

const vpsde_verb vpsde_verb_check = {
    .name = "check",
    .input = "CONFIG",
    .summary = "Validates a configuration and tells what its run will need.",
    .doc =
        "Builds everything that a run would, writes nothing, and prints for each solver the "
        "network evaluations, the time on this machine and the bytes of the run file. The time "
        "and the evaluations of adaptive solvers come from a few pilot samples. With --resolved it "
        "prints the configuration with every default instead.",
    .options = VPSDE_CLI_CONFIG | VPSDE_CLI_THREADS | VPSDE_CLI_RESOLVED,
    .run = run,
};
