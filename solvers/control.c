#include "solvers/control.h"

#include <math.h>
#include <stdlib.h>

#include "core/mem.h"
#include "core/vec.h"
#include "models/eigen.h"

static vpsde_status fill(vpsde_trace_control *control, const double *covariance)
{
    const size_t d = control->d;
    double *matrix;
    size_t cells;
    VPSDE_TRY(vpsde_size_mul(&cells, d, d, "covariance"));
    VPSDE_TRY(vpsde_alloc(&control->value, d, sizeof(double)));
    VPSDE_TRY(vpsde_alloc(&control->vector, cells, sizeof(double)));
    VPSDE_TRY(vpsde_alloc(&matrix, cells, sizeof(double)));
    vec_copy(cells, matrix, covariance);
    const vpsde_status status = vpsde_eigen_symmetric(d, matrix, control->value, control->vector);
    free(matrix);
    for (size_t j = 0; j < d; j++) control->value[j] = fmax(control->value[j], 0);
    return status == VPSDE_OK ? status : vpsde_fail_in(status, "covariance of the control variate");
}

vpsde_status vpsde_trace_control_create(vpsde_trace_control **out, size_t d,
                                        const double *covariance)
{
    vpsde_trace_control *control;
    *out = NULL;
    VPSDE_TRY(vpsde_alloc(&control, 1, sizeof(*control)));
    control->d = d;
    const vpsde_status status = fill(control, covariance);
    if (status != VPSDE_OK) {
        vpsde_trace_control_destroy(control);
        return status;
    }
    *out = control;
    return VPSDE_OK;
}

void vpsde_trace_control_destroy(vpsde_trace_control *control)
{
    if (!control) return;
    free(control->value);
    free(control->vector);
    free(control);
}

void vpsde_trace_control_project(const vpsde_trace_control *control, const double *v,
                                 double *square)
{
    for (size_t j = 0; j < control->d; j++) {
        const double q_v = vec_dot(control->d, control->vector + j * control->d, v);
        square[j] = q_v * q_v;
    }
}

void vpsde_trace_control_at(const vpsde_trace_control *control, const vpsde_coef *c, double *weight)
{
    const double a2 = c->alpha * c->alpha, s2 = c->sigma * c->sigma;
    for (size_t j = 0; j < control->d; j++) weight[j] = c->sigma / (a2 * control->value[j] + s2);
}

double vpsde_trace_control_add(const vpsde_trace_control *control, const double *weight,
                               const double *square)
{
    double sum = 0;
    for (size_t j = 0; j < control->d; j++) sum += weight[j] * (1 - square[j]);
    return sum;
}
