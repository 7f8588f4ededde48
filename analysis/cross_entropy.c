/* -E log p(x) over the samples: the part of KL(p_hat | p) that needs no density of the samples. A sampler
 * that misses modes or has too little noise can be below the entropy of p. */
#include <math.h>

#include "analysis/metrics.h"
#include "core/parallel.h"

enum { ROWS = 4096 }; /* between two looks at the stop flag */

static vpsde_status measure(vpsde_statistic *out, const vpsde_metric_input *in)
{
    VPSDE_TRY(vpsde_statistic_open(out, in->n, in->number, 1));
    out->is_smooth = true;
    for (size_t first = 0; first < in->n; first += ROWS) {
        const size_t n = in->n - first < ROWS ? in->n - first : ROWS;
        const int32_t *const classes = in->classes ? in->classes + first : NULL;
        VPSDE_TRY(vpsde_check_stop(in->stop));
        VPSDE_TRY(vpsde_model_log_p_of(in->model, n, &in->end, classes, in->x + first * in->d,
                                       out->column + first));
    }
    for (size_t i = 0; i < in->n; i++) out->column[i] = -out->column[i];
    vpsde_statistic_close(out);
    return VPSDE_OK;
}

const vpsde_metric vpsde_metric_cross_entropy = {
    .name = "cross-entropy",
    .units = "nat",
    .description = "mean of -log p over the samples, p the law they should have",
    .needs = VPSDE_METRIC_LOG_P,
    .ideal = (double)NAN,
    .measure = measure,
};
