/* A table of betas (little-endian doubles) behind one byte that chooses the schedule's other form:
 * what is accepted is a process, with coefficients that mean something at every time. */
#include <math.h>

#include "tests/fuzz/fuzz.h"

#include <vpsde/process.h>

enum { BETAS_MAX = 256, TIMES = 9 };

static void check_process(const vpsde_process *process, double t_max)
{
    double before = -1;
    for (size_t i = 0; i <= TIMES; i++) {
        const vpsde_coef c = vpsde_process_at(process, t_max * (double)i / TIMES);
        fuzz_claim(c.alpha >= 0 && c.alpha <= 1 && c.sigma >= 0 && c.sigma <= 1);
        fuzz_claim(isfinite(c.b) && c.b >= before && c.beta >= 0);
        before = c.b;
    }
}

static const char *choose(uint8_t byte)
{
    size_t n = 0;
    while (vpsde_schedule_at(n)) n++;
    return vpsde_schedule_at(byte % n)->name;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static double values[BETAS_MAX];
    vpsde_process_spec spec;
    vpsde_process *process;
    if (size < 1 || (size - 1) / sizeof(double) > BETAS_MAX) return 0;
    const size_t n = (size - 1) / sizeof(double);
    memcpy(values, data + 1, n * sizeof(double));
    fuzz_claim(vpsde_process_spec_init(&spec, choose(data[0])) == VPSDE_OK);
    if (spec.schedule->takes_betas) {
        spec.betas = values;
        spec.n_betas = n;
    } else {
        const vpsde_param *params = spec.schedule->params;
        for (size_t i = 0; i < n && params && params[i].name; i++) {
            if (vpsde_param_set(spec.param, params, params[i].name, values[i]) != VPSDE_OK)
                return 0;
        }
    }
    if (vpsde_process_create(&process, &spec) != VPSDE_OK) return 0;
    check_process(process, vpsde_process_t_max(process));
    vpsde_process_destroy(process);
    return 0;
}
