/* GSL's steppers and evolution under our own step control: the standard law of gsl_odeiv2_control
 * with a tolerance of its own for each component (GNU Scientific Library 2.7, ode-initval2/cstd.c).
 * Log points by Hermite interpolation through the last three step ends, whose derivatives the
 * evolution keeps (order 5; 3 in the first step). */
#include "solvers/gsl_ode.h"

#include <gsl/gsl_errno.h>
#include <gsl/gsl_odeiv2.h>
#include <gsl/gsl_version.h>
#include <math.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "core/mem.h"
#include "core/vec.h"

static const double first_share = 0.01; /* of the way: the first step tried */

/* `driver` is only the address book by which msadams finds the control object. */
typedef struct slot {
    vpsde_ode *ode;
    gsl_odeiv2_system system;
    gsl_odeiv2_driver driver;
    double *before; /* (2, dim) value and derivative where the step before the last began */
} slot;

/* ---- step control --------------------------------------------------------------------------- */

static void *control_alloc(void) { return calloc(1, sizeof(slot *)); }

static int control_init(void *state, double eps_abs, double eps_rel, double a_y, double a_dydt)
{
    (void)state, (void)eps_abs, (void)eps_rel, (void)a_y, (void)a_dydt;
    return GSL_SUCCESS;
}

static const vpsde_ode *ode_of(void *state) { return (*(slot **)state)->ode; }

static int control_errlevel(void *state, double y, double dydt, double h, size_t ind,
                            double *errlev)
{
    const vpsde_ode *ode = ode_of(state);
    (void)dydt, (void)h;
    *errlev = ode->atol[ind] + ode->rtol[ind] * fabs(y);
    return GSL_SUCCESS;
}

/* Shrinks when the error is over 1.1 of its level, grows below 0.5, safety factor 0.9. */
static int control_hadjust(void *state, size_t dim, unsigned ord, const double y[],
                           const double yerr[], const double yp[], double *h)
{
    const vpsde_ode *ode = ode_of(state);
    double largest = 0;
    (void)yp;
    for (size_t j = 0; j < dim; j++) {
        const double ratio = fabs(yerr[j]) / (ode->atol[j] + ode->rtol[j] * fabs(y[j]));
        if (!(ratio <= largest)) largest = isnan(ratio) ? HUGE_VAL : ratio;
    }
    if (largest > 1.1) {
        *h *= fmax(0.9 / pow(largest, 1.0 / ord), 0.2);
        return GSL_ODEIV_HADJ_DEC;
    }
    if (largest >= 0.5) return GSL_ODEIV_HADJ_NIL;
    *h *= fmax(1, fmin(0.9 / pow(largest, 1.0 / (ord + 1.0)), 5));
    return GSL_ODEIV_HADJ_INC;
}

static int control_set_driver(void *state, const gsl_odeiv2_driver *driver)
{
    (void)state, (void)driver;
    return GSL_SUCCESS;
}

static const gsl_odeiv2_control_type per_component = {
    .name = "per-component",
    .alloc = control_alloc,
    .init = control_init,
    .hadjust = control_hadjust,
    .errlevel = control_errlevel,
    .set_driver = control_set_driver,
    .free = free,
};

/* ---- slots ---------------------------------------------------------------------------------- */

static int rhs(double s, const double y[], double dydt[], void *params)
{
    vpsde_ode *ode = ((slot *)params)->ode;
    const vpsde_status status = vpsde_ode_eval(ode, s, y, dydt);
    if (ode->failed != VPSDE_OK) return GSL_EBADFUNC;      /* ends the evolution at once */
    return status == VPSDE_OK ? GSL_SUCCESS : GSL_FAILURE; /* halves the step */
}

static void silence_gsl(void)
{
    static atomic_bool done;
    if (!atomic_exchange(&done, true)) gsl_set_error_handler_off();
}

static vpsde_status gsl_open(void **state, const gsl_odeiv2_step_type *type, size_t dim)
{
    slot *own;
    silence_gsl();
    *state = NULL;
    VPSDE_TRY(vpsde_alloc(&own, 1, sizeof(*own)));
    if (vpsde_alloc(&own->before, dim, 2 * sizeof(double)) != VPSDE_OK) {
        free(own);
        return VPSDE_ENOMEM;
    }
    own->system = (gsl_odeiv2_system){.function = rhs, .dimension = dim, .params = own};
    own->driver = (gsl_odeiv2_driver){
        .sys = &own->system,
        .s = gsl_odeiv2_step_alloc(type, dim),
        .e = gsl_odeiv2_evolve_alloc(dim),
        .c = gsl_odeiv2_control_alloc(&per_component),
    };
    if (!own->driver.s || !own->driver.e || !own->driver.c) {
        vpsde_gsl_close(own);
        return vpsde_fail(VPSDE_ENOMEM, "cannot allocate GSL's %s for dimension %zu", type->name,
                          dim);
    }
    *(slot **)own->driver.c->state = own;
    *state = own;
    return VPSDE_OK;
}

void vpsde_gsl_close(void *state)
{
    slot *own = state;
    if (!own) return;
    if (own->driver.s) gsl_odeiv2_step_free(own->driver.s);
    if (own->driver.e) gsl_odeiv2_evolve_free(own->driver.e);
    if (own->driver.c) gsl_odeiv2_control_free(own->driver.c);
    free(own->before);
    free(own);
}

vpsde_status vpsde_gsl_open_rkf45(void **state, size_t dim)
{
    return gsl_open(state, gsl_odeiv2_step_rkf45, dim);
}

vpsde_status vpsde_gsl_open_rkck(void **state, size_t dim)
{
    return gsl_open(state, gsl_odeiv2_step_rkck, dim);
}

vpsde_status vpsde_gsl_open_rk8pd(void **state, size_t dim)
{
    return gsl_open(state, gsl_odeiv2_step_rk8pd, dim);
}

vpsde_status vpsde_gsl_open_msadams(void **state, size_t dim)
{
    return gsl_open(state, gsl_odeiv2_step_msadams, dim);
}

/* ---- integration ---------------------------------------------------------------------------- */

static vpsde_status start(slot *own)
{
    if (gsl_odeiv2_step_reset(own->driver.s) || gsl_odeiv2_evolve_reset(own->driver.e) ||
        gsl_odeiv2_step_set_driver(own->driver.s, &own->driver)) {
        return vpsde_fail(VPSDE_EINTERNAL, "GSL refuses to reset its stepper");
    }
    own->driver.e->failed_steps = 0;
    return VPSDE_OK;
}

/* Fills the log in the step from s_old to s; s_before is where the one before began. */
static void log_points(slot *own, double s_before, double s_old, double s)
{
    vpsde_ode *ode = own->ode;
    const gsl_odeiv2_evolve *evolve = own->driver.e;
    const vpsde_ode_point point[3] = {
        {s_before, own->before, own->before + ode->dim},
        {s_old, evolve->y0, evolve->dydt_in},
        {s, ode->y, evolve->dydt_out},
    };
    const size_t first = s_before == s_old;
    if (ode->log_next == ode->n_log) return;
    vpsde_ode_log_step(ode, ode->n_accepted - 1, s_old, s);
    vpsde_ode_log_hermite(ode, point + first, 3 - first);
    vec_copy(ode->dim, own->before, evolve->y0);
    vec_copy(ode->dim, own->before + ode->dim, evolve->dydt_in);
}

vpsde_status vpsde_gsl_integrate(vpsde_ode *ode)
{
    slot *own = ode->state;
    gsl_odeiv2_evolve *evolve = own->driver.e;
    double s = ode->s_start, s_old = s, h = first_share * (ode->s_end - ode->s_start);
    own->ode = ode;
    VPSDE_TRY(start(own));
    while (s != ode->s_end) {
        const double s_before = s_old;
        s_old = s;
        if (ode->n_accepted + ode->n_rejected >= ode->max_steps) {
            return vpsde_ode_give_up(ode, s, "max_steps reached");
        }
        const int code = gsl_odeiv2_evolve_apply(evolve, own->driver.c, own->driver.s, &own->system,
                                                 &s, ode->s_end, &h, ode->y);
        ode->n_rejected = evolve->failed_steps;
        if (ode->failed != VPSDE_OK) return ode->failed;
        if (code != GSL_SUCCESS) return vpsde_ode_give_up(ode, s, gsl_strerror(code));
        ode->n_accepted++;
        log_points(own, s_before, s_old, s);
    }
    return VPSDE_OK;
}

const char *vpsde_gsl_version(void) { return gsl_version; }
