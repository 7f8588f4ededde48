#include "experiments/build_facts.h"

#include <gnu/libc-version.h>
#include <stdlib.h>

#include "core/mem.h"
#include "core/parallel.h"
#include "core/ranks.h"
#include "experiments/commit.h"
#include "experiments/run_impl.h"
#include "models/layers/linear.h"
#include "solvers/cvode_ode.h"
#include "solvers/gsl_ode.h"

#ifdef __clang__
#define COMPILER __VERSION__ /* "Debian Clang 14.0.6" */
#else
#define COMPILER "gcc " __VERSION__
#endif

static const char group[] = "/provenance";

/* What bits depend on, and no key of the configuration says. */
typedef struct build {
    vpsde_fact facts[8];
} build;
enum { N_FACTS = sizeof(build) / sizeof(vpsde_fact) };

static build this_build(void)
{
    return (build){{
        {.name = "version", .text = vpsde_version()},
        {.name = "commit", .text = VPSDE_COMMIT},
        {.name = "compiler", .text = COMPILER},
        {.name = "libc", .text = gnu_get_libc_version()}, /* of exp and log */
        {.name = "gsl", .text = vpsde_gsl_version()},
        {.name = "sundials", .text = vpsde_sundials_version()},
        {.name = "onednn", .text = vpsde_dnnl_version()},
        {.name = "onednn_isa", .text = vpsde_dnnl_isa()},
    }};
}

vpsde_status vpsde_build_facts(vpsde_run *run, size_t n_threads)
{
    const build b = this_build();
    size_t threads;
    VPSDE_TRY(vpsde_threads(&threads, n_threads));
    VPSDE_TRY(vpsde_run_provenance(
        run, &(vpsde_fact){.name = "threads", .number = (double)threads, .whole = true}));
    for (size_t i = 0; i < N_FACTS; i++) VPSDE_TRY(vpsde_run_provenance(run, &b.facts[i]));
    return VPSDE_OK;
}

static vpsde_status check(vpsde_run *run, const char *path, bool force)
{
    const build b = this_build();
    char *changes;
    vpsde_status status = VPSDE_OK;
    VPSDE_TRY(vpsde_run_changes(&changes, run, group, b.facts, N_FACTS));
    if (*changes && force) {
        status = vpsde_run_provenance(run, &(vpsde_fact){.name = "resumed_with", .text = changes});
    } else if (*changes) {
        status =
            vpsde_fail(VPSDE_EDATA,
                       "%s: was begun by another build of vpsde (%s); resume it with that one, or "
                       "with --force, and its bits may be those of neither",
                       path, changes);
    }
    free(changes);
    return status;
}

vpsde_status vpsde_build_check(vpsde_run *run, const char *path, bool force)
{
    return vpsde_ranks_agree(check(run, path, force), NULL, 0, NULL);
}

vpsde_status vpsde_build_lines(char **out)
{
    const build b = this_build();
    VPSDE_TRY(vpsde_strdup(out, "build:\n"));
    for (size_t i = 0; i < N_FACTS; i++) {
        VPSDE_TRY(vpsde_append(out, "  %s: '%s'\n", b.facts[i].name, b.facts[i].text));
    }
    return VPSDE_OK;
}
