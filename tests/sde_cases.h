/* A process of every registered schedule, for the tests that loop over the registry. */
#ifndef VPSDE_TESTS_SDE_CASES_H
#define VPSDE_TESTS_SDE_CASES_H

#include "tests/check.h"

#include <vpsde/process.h>

enum { TABLE_STEPS = 1000 };

/* The clipped cosine chain of Nichol & Dhariwal: beta_i from 4e-5 to 0.999. */
static inline const double *clipped_cosine(void)
{
    static double betas[TABLE_STEPS];
    for (size_t i = 0; i < TABLE_STEPS; i++) {
        const double from = cos(((double)i / TABLE_STEPS + 0.008) / 1.008 * M_PI_2);
        const double to = cos(((double)(i + 1) / TABLE_STEPS + 0.008) / 1.008 * M_PI_2);
        betas[i] = fmin(1 - to * to / (from * from), 0.999);
    }
    return betas;
}

static inline vpsde_process_spec case_spec(const vpsde_schedule_type *type)
{
    vpsde_process_spec spec;
    assert_ok(vpsde_process_spec_init(&spec, type->name));
    if (type->takes_betas) {
        spec.betas = clipped_cosine();
        spec.n_betas = TABLE_STEPS;
    }
    return spec;
}

static inline vpsde_process *make(const vpsde_process_spec *spec)
{
    vpsde_process *process;
    assert_ok(vpsde_process_create(&process, spec));
    return process;
}

static inline vpsde_process *case_process(const char *name, double t_min)
{
    vpsde_process_spec spec = case_spec(vpsde_schedule_find(name));
    spec.t_min = t_min;
    return make(&spec);
}

#endif
