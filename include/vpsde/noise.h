/** Noise with addresses.
 *
 *  A random number is a pure function of (seed, purpose, sample, node, component): Philox4x32-10
 *  (Salmon et al. 2011; Random123) keyed by the seed, counter
 *  { sample[31:0], sample[47:32] | purpose << 16, node, component / 2 }.
 *  There is no generator state: any sample, step or component can be drawn alone, in any order, on
 *  any thread, with the same bits. Two normals come from one 128-bit word by Box-Muller with
 *  52-bit uniforms (tail to 8.5 sigma).
 *  Threads: all functions are safe.  Allocates: nothing. */
#ifndef VPSDE_NOISE_H
#define VPSDE_NOISE_H

#include <stddef.h>
#include <stdint.h>

#include <vpsde/status.h>

#ifdef __cplusplus
extern "C" {
#endif

/** What a number is drawn for: two purposes never share a number. Append only. */
typedef enum vpsde_purpose {
    VPSDE_NOISE_PRIOR,      /* terminal state x_T */
    VPSDE_NOISE_DIFFUSION,  /* driving noise of a solver's step */
    VPSDE_NOISE_CORRECTOR,  /* Langevin correctors */
    VPSDE_NOISE_PROBE,      /* Hutchinson probes */
    VPSDE_NOISE_DEQUANTISE, /* dequantisation */
    VPSDE_NOISE_FORWARD,    /* forward perturbation of data */
    VPSDE_NOISE_TRAIN_TIME, /* training: times, dropped classes, flips */
    VPSDE_NOISE_TRAIN_EPS,  /* training: noise */
    VPSDE_NOISE_SHUFFLE,    /* training: order of the data */
    VPSDE_NOISE_INIT,       /* initial weights */
    VPSDE_NOISE_PILOT,      /* pilot samples of a calibration pass */
    VPSDE_NOISE_TEST,       /* free for callers */
    VPSDE_NOISE_ACCEPT,     /* Metropolis tests of correctors */
    VPSDE_NOISE_KNOWN,      /* known components, and the way back up, of inpainting */
    VPSDE_NOISE_LOG_PROBE,  /* Hutchinson probes of the log */
    VPSDE_NOISE_BOOTSTRAP,  /* resamples of a comparison */
    VPSDE_NOISE_EXACT,      /* exact draws that a comparison measures against */
    VPSDE_NOISE_DIRECTION,  /* directions of projections */
    VPSDE_NOISE_METRIC      /* probes of the metric along pilot states */
} vpsde_purpose;

/** z[i * d + j] = standard normal of sample first + i at `node`, component j, i < n, j < d. */
VPSDE_API void vpsde_normals(double *z, uint64_t seed, vpsde_purpose purpose, uint64_t first,
                             size_t n, uint32_t node, size_t d);

/** u[i * d + j] = uniform on (0, 1), never 0 or 1. */
VPSDE_API void vpsde_uniforms(double *u, uint64_t seed, vpsde_purpose purpose, uint64_t first,
                              size_t n, uint32_t node, size_t d);

/** v[i * d + j] = +1 or -1 with equal probability (Rademacher). */
VPSDE_API void vpsde_signs(double *v, uint64_t seed, vpsde_purpose purpose, uint64_t first,
                           size_t n, uint32_t node, size_t d);

/** Raw Philox4x32-10 block, for known-answer tests and own maps. */
VPSDE_API void vpsde_philox(uint32_t out[4], const uint32_t counter[4], const uint32_t key[2]);

#ifdef __cplusplus
}
#endif
#endif
