/* Source: Hindmarsh et al. 2005, ACM TOMS 31, 363; SUNDIALS 6.4 (and 7). */
#include "solvers/cvode_linear.h"

#include <cvode/cvode.h>
#include <nvector/nvector_serial.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sunlinsol/sunlinsol_band.h>
#include <sunlinsol/sunlinsol_spgmr.h>
#include <sunmatrix/sunmatrix_band.h>

#include "core/mem.h"
#include "core/vec.h"
#include "solvers/cvode_ode.h"

enum { KRYLOV_DIM = 20, STEPS_MAX = 1000000 };

struct vpsde_cvode_linear {
    vpsde_linear_system system;
    vpsde_status failed;      /* of system.at */
    double s_start, s, s_end; /* s: reached */
    SUNContext context;
    N_Vector y, out;
    void *cvode;
    SUNLinearSolver linear;
    SUNMatrix matrix;
};

static int stand_at(vpsde_cvode_linear *own, realtype s)
{
    own->failed = own->system.at(own->system.context, s);
    return own->failed == VPSDE_OK ? 0 : -1;
}

static int product(vpsde_cvode_linear *own, realtype s, N_Vector y, N_Vector dy)
{
    if (stand_at(own, s) != 0) return -1;
    own->system.apply(own->system.context, N_VGetArrayPointer(y), N_VGetArrayPointer(dy));
    return 0;
}

static int rhs(realtype s, N_Vector y, N_Vector dy, void *user) { return product(user, s, y, dy); }

static int jacobian_times(N_Vector v, N_Vector jv, realtype s, N_Vector y, N_Vector fy, void *user,
                          N_Vector scratch)
{
    (void)y, (void)fy, (void)scratch;
    return product(user, s, v, jv);
}

static int jacobian(realtype s, N_Vector y, N_Vector fy, SUNMatrix matrix, void *user, N_Vector a,
                    N_Vector b, N_Vector c)
{
    (void)y, (void)fy, (void)a, (void)b, (void)c;
    vpsde_cvode_linear *own = user;
    const size_t n = own->system.n;
    if (stand_at(own, s) != 0) return -1;
    for (size_t j = 0; j < n; j++) {
        for (size_t i = j > 0 ? j - 1 : 0; i <= j + 1 && i < n; i++) {
            SM_ELEMENT_B(matrix, (sunindextype)i, (sunindextype)j) =
                own->system.element(own->system.context, i, j);
        }
    }
    return 0;
}

static bool attach(vpsde_cvode_linear *own)
{
    const sunindextype n = (sunindextype)own->system.n;
    if (own->system.element) {
        own->matrix = SUNBandMatrix(n, 1, 1, own->context);
        if (own->matrix) own->linear = SUNLinSol_Band(own->y, own->matrix, own->context);
    } else {
        own->linear = SUNLinSol_SPGMR(own->y, SUN_PREC_NONE, KRYLOV_DIM, own->context);
    }
    if (!own->linear || CVodeSetLinearSolver(own->cvode, own->linear, own->matrix) != CV_SUCCESS) {
        return false;
    }
    return (own->matrix ? CVodeSetJacFn(own->cvode, jacobian)
                        : CVodeSetJacTimes(own->cvode, NULL, jacobian_times)) == CV_SUCCESS;
}

static bool fill(vpsde_cvode_linear *own, double rtol, double atol, const double *y)
{
    void *context;
    if (vpsde_cvode_context(&context) != 0) return false;
    own->context = context;
    own->y = N_VNew_Serial((sunindextype)own->system.n, own->context);
    if (!own->y) return false;
    own->out = N_VClone(own->y);
    own->cvode = CVodeCreate(CV_BDF, own->context);
    if (!own->out || !own->cvode || vpsde_cvode_silence(own->cvode, own->context) != 0) {
        return false;
    }
    vec_copy(own->system.n, N_VGetArrayPointer(own->y), y);
    return CVodeInit(own->cvode, rhs, own->s_start, own->y) == CV_SUCCESS &&
           CVodeSetUserData(own->cvode, own) == CV_SUCCESS &&
           CVodeSStolerances(own->cvode, rtol, atol) == CV_SUCCESS &&
           CVodeSetStopTime(own->cvode, own->s_end) == CV_SUCCESS && attach(own);
}

vpsde_status vpsde_cvode_linear_open(vpsde_cvode_linear **out, const vpsde_linear_system *system,
                                     double rtol, double atol, double s_start, double s_end,
                                     const double *y)
{
    vpsde_cvode_linear *own;
    *out = NULL;
    VPSDE_TRY(vpsde_alloc(&own, 1, sizeof(*own)));
    own->system = *system;
    own->s_start = own->s = s_start;
    own->s_end = s_end;
    if (!fill(own, rtol, atol, y)) {
        vpsde_cvode_linear_close(own);
        return vpsde_fail(VPSDE_ENOMEM, "CVODE: cannot make an integrator of %zu equations",
                          system->n);
    }
    *out = own;
    return VPSDE_OK;
}

void vpsde_cvode_linear_close(vpsde_cvode_linear *own)
{
    if (!own) return;
    if (own->cvode) CVodeFree(&own->cvode);
    if (own->linear) SUNLinSolFree(own->linear);
    if (own->matrix) SUNMatDestroy(own->matrix);
    if (own->out) N_VDestroy(own->out);
    if (own->y) N_VDestroy(own->y);
    if (own->context) SUNContext_Free(&own->context);
    free(own);
}

static vpsde_status stopped(const vpsde_cvode_linear *own, const char *why)
{
    return vpsde_fail(VPSDE_ENUMERIC, "CVODE stops at %g on the way to %g: %s", own->s, own->s_end,
                      why);
}

vpsde_status vpsde_cvode_linear_advance(vpsde_cvode_linear *own, double s, double *y)
{
    while (own->s < s) {
        if (vpsde_cvode_linear_steps(own) >= STEPS_MAX) return stopped(own, "too many steps");
        const int code = CVode(own->cvode, own->s_end, own->y, &own->s, CV_ONE_STEP);
        if (own->failed != VPSDE_OK) return own->failed;
        if (code < 0) {
            char *name = CVodeGetReturnFlagName(code);
            const vpsde_status status = stopped(own, name ? name : "it failed");
            free(name);
            return status;
        }
    }
    const bool between = s < own->s && s > own->s_start;
    if (between && CVodeGetDky(own->cvode, s, 0, own->out) != CV_SUCCESS) {
        return vpsde_fail(VPSDE_EINTERNAL, "CVODE cannot interpolate at %g", s);
    }
    vec_copy(own->system.n, y, N_VGetArrayPointer(between ? own->out : own->y));
    return VPSDE_OK;
}

size_t vpsde_cvode_linear_steps(const vpsde_cvode_linear *own)
{
    long steps = 0;
    CVodeGetNumSteps(own->cvode, &steps);
    return (size_t)steps;
}
