/* The network's time input: the only place where labels and times meet.
 *
 * label = label_scale t + label_offset. A DDPM network of N steps was trained on whole indices
 * i - 1, i = 1 ... N, at t = i / N: those come back whole, whatever (i / N) N rounds to. */
#include <vpsde/process.h>

#include <math.h>

double vpsde_process_label(const vpsde_process *process, double t)
{
    const vpsde_process_spec *spec = vpsde_process_get_spec(process);
    const double index = spec->label_scale * t, whole = nearbyint(index);
    return (whole / spec->label_scale == t ? whole : index) + spec->label_offset;
}

double vpsde_process_t_of_label(const vpsde_process *process, double label)
{
    const vpsde_process_spec *spec = vpsde_process_get_spec(process);
    return (label - spec->label_offset) / spec->label_scale;
}
