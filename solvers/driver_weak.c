/* Stands in for solvers/ode.h until it is there. */
#include "solvers/ode.h"

__attribute__((weak)) vpsde_status vpsde_sample_ode(const vpsde_sampling *run, vpsde_sink *sink)
{
    (void)run;
    (void)sink;
    return vpsde_fail(VPSDE_EINTERNAL, "adaptive sampling is not linked in");
}
