/* The Fokker-Planck equation of a model on a grid of cells, in one or two dimensions. In the b clock
 *     forward   d_b p   = div(x p)/2 + Lap p/2             from p at t_min, the model's own density
 *     reverse   d_tau q = -div((x/2 + s) q) + Lap q/2      from the terminal law, tau = b_max - b
 * with s = -eps/sigma of any model: where the score is wrong, or guided, the reverse equation is what
 * says where exact sampling would arrive.
 *
 * Finite volumes with the flux of Scharfetter and Gummel (1969, IEEE Trans. Electron Devices 16, 64;
 * Chang and Cooper 1970, J. Comput. Phys. 6, 1) through each face between neighbours,
 *     J = (D/h) [B(-z) q_i - B(z) q_{i+1}],   z = f h/D,   B(z) = z/expm1(z),   D = 1/2,
 * f being the drift at the face; none through the border. Mass is conserved, what is positive stays
 * so up to the tolerance of time, cells of N(0, I) are the exact steady state of the forward
 * equation, and the density's error is O(h^2). CVODE's BDF integrates in time. */
#ifndef VPSDE_SOLVERS_FOKKER_PLANCK_H
#define VPSDE_SOLVERS_FOKKER_PLANCK_H

#include <vpsde/model.h>
#include <vpsde/sink.h>

enum { VPSDE_FP_DIM = 2 };

typedef enum vpsde_fp_direction {
    VPSDE_FP_FORWARD,
    VPSDE_FP_REVERSE,
    VPSDE_N_FP_DIRECTIONS
} vpsde_fp_direction;
#define VPSDE_FP_DIRECTIONS "forward|reverse"

/* One run. Zero-initialise, then set; pointers are borrowed. */
typedef struct vpsde_fokker_planck {
    vpsde_fp_direction direction;
    const vpsde_process *process;
    const vpsde_model *model; /* of dimension 1 or 2 */
    double low[VPSDE_FP_DIM], high[VPSDE_FP_DIM];
    size_t cells[VPSDE_FP_DIM];
    const double *times; /* (n_times) t of what is stored, increasing, within t_min .. t_max */
    size_t n_times;
    double tolerance; /* of a BDF step, relative; a ten-thousandth of it absolute */
    int32_t class;    /* of the model, or VPSDE_NO_CLASS */
    double guidance;  /* as of sampling; needs a class */
    size_t n_threads;
    vpsde_control control;
} vpsde_fokker_planck;

/* EINVAL for what cannot be: dimension above 2, fewer than 3 cells, a time outside the process, a
 * forward equation whose p_0 the model does not know. */
vpsde_status vpsde_fokker_planck_check(const vpsde_fokker_planck *run);

/* The name of a direction, and of its table below /fokker_planck. */
const char *vpsde_fokker_planck_name(vpsde_fp_direction direction);

/* Runs from the start of its direction to the last stored time, whatever the stored times. One row a
 * time, in the order of the run: solvers/fokker_planck_table.c names the columns. EINVAL where the
 * cells do not hold the start density, within 1e-3 of its mass; ESTOPPED. */
vpsde_status vpsde_fokker_planck_run(const vpsde_fokker_planck *run, vpsde_sink *sink);

#endif
