#include "experiments/build_facts.h"

#include "core/parallel.h"
#include "experiments/commit.h"
#include "models/layers/linear.h"
#include "solvers/cvode_ode.h"
#include "solvers/gsl_ode.h"

#ifdef __clang__
#define COMPILER __VERSION__ /* "Debian Clang 14.0.6" */
#else
#define COMPILER "gcc " __VERSION__
#endif

vpsde_status vpsde_build_facts(vpsde_run *run, size_t n_threads)
{
    size_t threads;
    VPSDE_TRY(vpsde_threads(&threads, n_threads));
    const vpsde_fact facts[] = {
        {.name = "threads", .number = (double)threads, .whole = true},
        {.name = "commit", .text = VPSDE_COMMIT},
        {.name = "compiler", .text = COMPILER},
        {.name = "gsl", .text = vpsde_gsl_version()},
        {.name = "sundials", .text = vpsde_sundials_version()},
        {.name = "onednn", .text = vpsde_dnnl_version()},
        {.name = "onednn_isa", .text = vpsde_dnnl_isa()},
    };
    for (size_t i = 0; i < sizeof(facts) / sizeof(facts[0]); i++) {
        VPSDE_TRY(vpsde_run_provenance(run, &facts[i]));
    }
    return VPSDE_OK;
}
