/* CVODE, one instance a slot, step by step, log points by CVodeGetDky at the method's own order.
 * Source: Hindmarsh et al. 2005, ACM TOMS 31, 363; SUNDIALS 6.4 (and 7).
 *
 * Two things differ from stock use. The error norm is the largest scaled component in place of the
 * root mean square, by one entry of the vector's table. And a right-hand side that must end the run
 * is remembered by vpsde_ode itself: Adams with fixed-point iteration retries fatal returns. */
#include "solvers/cvode_ode.h"

#include <cvode/cvode.h>
#include <math.h>
#include <nvector/nvector_serial.h>
#include <stdlib.h>
#include <sundials/sundials_config.h>
#include <sundials/sundials_version.h>
#include <sunlinsol/sunlinsol_dense.h>
#include <sunlinsol/sunlinsol_spgmr.h>
#include <sunmatrix/sunmatrix_dense.h>
#include <sunnonlinsol/sunnonlinsol_fixedpoint.h>

#include "core/mem.h"
#include "core/vec.h"

#if SUNDIALS_VERSION_MAJOR >= 7
#define NO_COMM SUN_COMM_NULL
#else
#define NO_COMM NULL
#endif

/* After failed iterations CVODE may take some steps too short to move s, and recover. */
enum { DENSE_DIM_MAX = 64, STUCK_MAX = 10 };

typedef struct slot {
    vpsde_ode *ode;
    SUNContext context;
    N_Vector y, dense_y;
    void *cvode;
    SUNNonlinearSolver nonlinear;
    SUNLinearSolver linear;
    SUNMatrix matrix;
    int method;
} slot;

/* max |x_j w_j|; NaN wins. */
static realtype largest_scaled(N_Vector x, N_Vector weight)
{
    const realtype *v = N_VGetArrayPointer(x), *w = N_VGetArrayPointer(weight);
    const sunindextype dim = N_VGetLength(x);
    realtype largest = 0;
    for (sunindextype j = 0; j < dim; j++) {
        const realtype size = fabs(v[j] * w[j]);
        if (!(size <= largest)) largest = size;
    }
    return largest;
}

static int rhs(realtype s, N_Vector y, N_Vector dy, void *user)
{
    vpsde_ode *ode = ((slot *)user)->ode;
    const vpsde_status status =
        vpsde_ode_eval(ode, s, N_VGetArrayPointer(y), N_VGetArrayPointer(dy));
    if (ode->failed != VPSDE_OK) return -1;
    return status == VPSDE_OK ? 0 : 1; /* 1: a smaller step may help */
}

static int weights(N_Vector y, N_Vector weight, void *user)
{
    const vpsde_ode *ode = ((slot *)user)->ode;
    const realtype *v = N_VGetArrayPointer(y);
    realtype *w = N_VGetArrayPointer(weight);
    for (size_t j = 0; j < ode->dim; j++) {
        w[j] = 1 / (ode->atol[j] + ode->rtol[j] * fabs(v[j]));
    }
    return 0;
}

int vpsde_cvode_context(void **context)
{
    SUNContext made = NULL;
    const int code = SUNContext_Create(NO_COMM, &made);
    *context = made;
    return code;
}

#if SUNDIALS_VERSION_MAJOR >= 7
static void ignore(int line, const char *function, const char *file, const char *text,
                   SUNErrCode code, void *user, SUNContext context)
{
    (void)line, (void)function, (void)file, (void)text, (void)code, (void)user, (void)context;
}
int vpsde_cvode_silence(void *cvode, void *context)
{
    (void)cvode;
    SUNContext_ClearErrHandlers(context);
    return SUNContext_PushErrHandler(context, ignore, NULL);
}
#else
static void ignore(int code, const char *module, const char *function, char *text, void *user)
{
    (void)code, (void)module, (void)function, (void)text, (void)user;
}
int vpsde_cvode_silence(void *cvode, void *context)
{
    (void)context;
    return CVodeSetErrHandlerFn(cvode, ignore, NULL);
}
#endif

/* ---- slots ---------------------------------------------------------------------------------- */

void vpsde_cvode_close(void *state)
{
    slot *own = state;
    if (!own) return;
    if (own->cvode) CVodeFree(&own->cvode);
    if (own->nonlinear) SUNNonlinSolFree(own->nonlinear);
    if (own->linear) SUNLinSolFree(own->linear);
    if (own->matrix) SUNMatDestroy(own->matrix);
    if (own->dense_y) N_VDestroy(own->dense_y);
    if (own->y) N_VDestroy(own->y);
    if (own->context) SUNContext_Free(&own->context);
    free(own);
}

static vpsde_status refused(const char *what, size_t dim)
{
    return vpsde_fail(VPSDE_ENOMEM, "CVODE: cannot make %s for dimension %zu", what, dim);
}

/* Fixed point for Adams; for BDF CVODE's own Newton iteration with a linear solver. */
static vpsde_status attach_solvers(slot *own, size_t dim)
{
    if (own->method == CV_ADAMS) {
        own->nonlinear = SUNNonlinSol_FixedPoint(own->y, 0, own->context);
        const bool ok =
            own->nonlinear && CVodeSetNonlinearSolver(own->cvode, own->nonlinear) == CV_SUCCESS;
        return ok ? VPSDE_OK : refused("the fixed-point iteration", dim);
    }
    if (dim <= DENSE_DIM_MAX) {
        const sunindextype n = (sunindextype)dim;
        own->matrix = SUNDenseMatrix(n, n, own->context);
        if (own->matrix) own->linear = SUNLinSol_Dense(own->y, own->matrix, own->context);
    } else {
        own->linear = SUNLinSol_SPGMR(own->y, SUN_PREC_NONE, 0, own->context);
    }
    bool ok =
        own->linear && CVodeSetLinearSolver(own->cvode, own->linear, own->matrix) == CV_SUCCESS;
    /* GMRES bounds the 2-norm, which bounds ours by itself: sqrt(dim) on top makes Newton stall */
    if (ok && !own->matrix) ok = CVodeSetLSNormFactor(own->cvode, 1) == CV_SUCCESS;
    return ok ? VPSDE_OK : refused("the linear solver", dim);
}

static vpsde_status fill(slot *own, size_t dim)
{
    void *context;
    if (vpsde_cvode_context(&context) != 0) return refused("a context", dim);
    own->context = context;
    own->y = N_VNew_Serial((sunindextype)dim, own->context);
    if (!own->y) return refused("vectors", dim);
    own->y->ops->nvwrmsnorm = largest_scaled; /* clones inherit it */
    own->dense_y = N_VClone(own->y);
    own->cvode = CVodeCreate(own->method, own->context);
    if (!own->dense_y || !own->cvode || vpsde_cvode_silence(own->cvode, context) != 0) {
        return refused("an integrator", dim);
    }
    N_VConst(0, own->y);
    if (CVodeInit(own->cvode, rhs, 0, own->y) != CV_SUCCESS ||
        CVodeSetUserData(own->cvode, own) != CV_SUCCESS ||
        CVodeWFtolerances(own->cvode, weights) != CV_SUCCESS ||
        CVodeSetMaxNumSteps(own->cvode, -1) != CV_SUCCESS) {
        return refused("an integrator", dim);
    }
    return attach_solvers(own, dim);
}

static vpsde_status cvode_open(void **state, int method, size_t dim)
{
    slot *own;
    *state = NULL;
    VPSDE_TRY(vpsde_alloc(&own, 1, sizeof(*own)));
    own->method = method;
    const vpsde_status status = fill(own, dim);
    if (status != VPSDE_OK) {
        vpsde_cvode_close(own);
        return status;
    }
    *state = own;
    return VPSDE_OK;
}

vpsde_status vpsde_cvode_open_adams(void **state, size_t dim)
{
    return cvode_open(state, CV_ADAMS, dim);
}

vpsde_status vpsde_cvode_open_bdf(void **state, size_t dim)
{
    return cvode_open(state, CV_BDF, dim);
}

/* ---- integration ---------------------------------------------------------------------------- */

static vpsde_status log_points(slot *own, double s_old, double s)
{
    vpsde_ode *ode = own->ode;
    vpsde_ode_log_step(ode, ode->n_accepted - 1, s_old, s);
    for (double at; vpsde_ode_log_due(ode, s, &at);) {
        if (CVodeGetDky(own->cvode, at, 0, own->dense_y) != CV_SUCCESS) {
            return vpsde_fail(VPSDE_EINTERNAL, "CVODE cannot interpolate at %g", at);
        }
        vec_copy(ode->log_dim, vpsde_ode_log_take(ode), N_VGetArrayPointer(own->dense_y));
    }
    return VPSDE_OK;
}

static void count(slot *own)
{
    long steps = 0, error_fails = 0, iteration_fails = 0;
    CVodeGetNumSteps(own->cvode, &steps);
    CVodeGetNumErrTestFails(own->cvode, &error_fails);
    CVodeGetNumNonlinSolvConvFails(own->cvode, &iteration_fails);
    own->ode->n_accepted = (uint64_t)steps;
    own->ode->n_rejected = (uint64_t)(error_fails + iteration_fails);
}

static vpsde_status start(slot *own)
{
    vpsde_ode *ode = own->ode;
    vec_copy(ode->dim, N_VGetArrayPointer(own->y), ode->y);
    if (CVodeReInit(own->cvode, ode->s_start, own->y) != CV_SUCCESS ||
        CVodeSetStopTime(own->cvode, ode->s_end) != CV_SUCCESS) {
        return vpsde_fail(VPSDE_EINTERNAL, "CVODE refuses to start at %g", ode->s_start);
    }
    return VPSDE_OK;
}

vpsde_status vpsde_cvode_integrate(vpsde_ode *ode)
{
    slot *own = ode->state;
    double s = ode->s_start;
    size_t n_stuck = 0;
    own->ode = ode;
    VPSDE_TRY(start(own));
    for (int code = CV_SUCCESS; code != CV_TSTOP_RETURN;) {
        if (ode->n_accepted + ode->n_rejected >= ode->max_steps) {
            return vpsde_ode_give_up(ode, s, "max_steps reached");
        }
        const double s_old = s;
        code = CVode(own->cvode, ode->s_end, own->y, &s, CV_ONE_STEP);
        count(own);
        if (ode->failed != VPSDE_OK) return ode->failed;
        n_stuck = s == s_old ? n_stuck + 1 : 0;
        if (n_stuck > STUCK_MAX && code >= 0) {
            return vpsde_ode_give_up(ode, s, "the step cannot become smaller");
        }
        if (code < 0) {
            char *name = CVodeGetReturnFlagName(code);
            const vpsde_status status = vpsde_ode_give_up(ode, s, name ? name : "CVODE failed");
            free(name);
            return status;
        }
        VPSDE_TRY(log_points(own, s_old, s));
    }
    vec_copy(ode->dim, ode->y, N_VGetArrayPointer(own->y));
    return VPSDE_OK;
}

const char *vpsde_sundials_version(void)
{
    static _Thread_local char text[32];
    return SUNDIALSGetVersion(text, sizeof(text)) == 0 ? text : "unknown";
}
