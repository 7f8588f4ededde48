/* The key `schedule` of the section `thermo`: how its geometry is measured. */
#include "experiments/setup.h"

vpsde_status vpsde_setup_read_schedule(vpsde_setup *s)
{
    vpsde_config *thermo, *c;
    uint64_t nodes, samples, probes, steps;
    VPSDE_TRY(vpsde_config_section(&thermo, s->config, "thermo"));
    VPSDE_TRY(vpsde_config_section(&c, thermo, "schedule"));
    VPSDE_TRY(vpsde_config_uint(&nodes, c, "nodes", 32, 8, 4096));
    VPSDE_TRY(vpsde_config_uint(&samples, c, "samples", 64, 8, 1024));
    VPSDE_TRY(vpsde_config_uint(&probes, c, "probes", 1, 1, 64));
    VPSDE_TRY(vpsde_config_uint(&steps, c, "steps", 50, 1, 10000));
    s->schedule = (vpsde_schedule_setup){
        .nodes = nodes, .samples = samples, .probes = probes, .steps = steps};
    return VPSDE_OK;
}
