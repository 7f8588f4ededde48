/* What a run will need: bytes, evaluations, time. */
#ifndef VPSDE_EXPERIMENTS_ESTIMATE_H
#define VPSDE_EXPERIMENTS_ESTIMATE_H

#include "experiments/setup.h"

typedef struct vpsde_estimate {
    double samples;
    double evaluations; /* network calls over all samples */
    double tangents;    /* Jacobian-vector products over all samples */
    double seconds;     /* on the threads asked for */
    double bytes;       /* of the run file */
    bool measured;      /* evaluations come from a pilot of an adaptive solver */
} vpsde_estimate;

vpsde_status vpsde_estimate_sampling(vpsde_estimate *out, const vpsde_setup *s, size_t entry,
                                     const vpsde_cli *cli);
vpsde_status vpsde_estimate_likelihood(vpsde_estimate *out, const vpsde_setup *s,
                                       const vpsde_cli *cli);
/* The discrete chain: of `elbo`, and of `likelihood` where its estimators name it. */
vpsde_status vpsde_estimate_bound(vpsde_estimate *out, const vpsde_setup *s, const vpsde_cli *cli);
vpsde_status vpsde_estimate_transport(vpsde_estimate *out, const vpsde_setup *s,
                                      const vpsde_cli *cli);

/* Bytes the table of one sampler entry takes in a run file. */
double vpsde_estimate_bytes(const vpsde_setup *s, size_t entry);

#endif
