/* lambda_k by linear interpolation in a published table of -log(sigma/alpha), 10 steps, at k 10/n:
 * the schedules that Sabour et al. 2024 (arXiv:2404.14507) found by minimising a Girsanov bound for
 * three networks, in the figures and with the log-linear interpolation of the authors' page
 * (research.nvidia.com/labs/toronto-ai/AlignYourSteps/howto.html). The ends of a table belong to
 * its network; they give way to t_max and t_min before anything is interpolated. */
#include <math.h>

#include "sde/registry.h"

enum { TABLE, N_PARAMS };
enum { TABLE_STEPS = 10, N_TABLES = 3 };

static const vpsde_param params[] = {
    [TABLE] = {.name = "table",
               .kind = VPSDE_PARAM_CHOICE,
               .max = N_TABLES - 1,
               .choices = "sd15|sdxl|svd",
               .doc = "The network whose schedule it is: Stable Diffusion 1.5, XL or Video."},
    [N_PARAMS] = {.name = NULL},
};

/* sigma/alpha */
static const double tables[N_TABLES][TABLE_STEPS + 1] = {
    {14.6146412293, 6.4745760956, 3.8636745985, 2.6946151520, 1.8841921177, 1.3943805092,
     0.9642583904, 0.6523686016, 0.3977456272, 0.1515232662, 0.0291671582},
    {14.6146412293, 6.3184485287, 3.7681790315, 2.1811480769, 1.3405244945, 0.8620721141,
     0.5550693289, 0.3798540708, 0.2332364134, 0.1114188177, 0.0291671582},
    {700, 54.5, 15.886, 7.977, 4.248, 1.789, 0.981, 0.403, 0.173, 0.034, 0.002},
};

/* The inner entries of the table between the process' own ends. */
static vpsde_status read_table(double lambda[TABLE_STEPS + 1], const double *table,
                               const vpsde_process *process)
{
    const double t_min = vpsde_process_get_spec(process)->t_min;
    const double first = vpsde_process_at(process, vpsde_process_t_max(process)).lambda;
    const double last = vpsde_process_at(process, t_min).lambda;
    if (!isfinite(last)) {
        return vpsde_fail(VPSDE_EINVAL,
                          "grid ays: needs t_min > 0 (lambda is infinite at t = 0), got %g", t_min);
    }
    lambda[0] = first;
    lambda[TABLE_STEPS] = last;
    for (size_t m = 1; m < TABLE_STEPS; m++) {
        lambda[m] = -log(table[m]);
        if (lambda[m] > first && lambda[m] < last) continue;
        return vpsde_fail(
            VPSDE_EINVAL,
            "grid ays: sigma/alpha = %g of the table lies outside the process, whose "
            "own goes from %g at t_max to %g at t_min = %g; take another table or grid",
            table[m], exp(-first), exp(-last), t_min);
    }
    return VPSDE_OK;
}

static vpsde_status place(double *t, size_t n_steps, const vpsde_process *process,
                          const double *param)
{
    double lambda[TABLE_STEPS + 1];
    VPSDE_TRY(read_table(lambda, tables[(size_t)param[TABLE]], process));
    for (size_t k = 0; k <= n_steps; k++) {
        const size_t m = k * TABLE_STEPS / n_steps;
        const double share = (double)(k * TABLE_STEPS % n_steps) / (double)n_steps;
        const double rise = m < TABLE_STEPS ? lambda[m + 1] - lambda[m] : 0;
        t[k] = vpsde_process_at_lambda(process, lambda[m] + share * rise).t;
    }
    return VPSDE_OK;
}

const vpsde_grid_type vpsde_grid_ays = {
    .name = "ays",
    .source = "Sabour et al. 2024, arXiv:2404.14507",
    .doc = "Optimised 10-step tables of Align Your Steps, log-linear between their nodes.",
    .params = params,
    .place = place,
};
