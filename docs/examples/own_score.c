/* Your own score function: sample it, compute log p, read the file back.
 *     cc own_score.c $(pkg-config --cflags --libs vpsde) -lm -o own_score && ./own_score */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include <vpsde/vpsde.h>

/* Data N(2, 0.25 I): p_t = N(2 alpha, 0.25 alpha^2 + sigma^2), score = -(x - mean) / variance. */
static int score(void *context, size_t n, size_t dim, const vpsde_coef *c, const double *x,
                 double *s)
{
    const double variance = 0.25 * c->alpha * c->alpha + c->sigma * c->sigma;
    (void)context;
    for (size_t e = 0; e < n * dim; e++) s[e] = -(x[e] - 2 * c->alpha) / variance;
    return 0;
}

#define TRY(call)                                                                                  \
    if ((call) != VPSDE_OK) return fprintf(stderr, "%s\n", vpsde_last_error()), 1

int main(void)
{
    vpsde_process_spec spec;
    vpsde_process *process;
    vpsde_model *model;
    vpsde_grid *grid;
    vpsde_run *run;
    double *x, logp[4];
    size_t rank, dims[5];

    TRY(vpsde_process_spec_init(&spec, "vp-linear"));
    TRY(vpsde_process_create(&process, &spec));
    TRY(vpsde_model_from_score(&model, 2, score, NULL));
    TRY(vpsde_grid_create(&grid, vpsde_grid_find("uniform-lambda"), process, 50, NULL, NULL,
                          VPSDE_LAST_STOP));
    TRY(vpsde_run_create(&run, "own_score.h5", "sample", "", 7, 1));
    const vpsde_sampling sampling = {.process = process,
                                     .model = model,
                                     .grid = grid,
                                     .seed = 7,
                                     .solver = vpsde_solver_find("ddim"),
                                     .count = 1000,
                                     .log = {.n_times = 11, .fields = VPSDE_LOG_X}};
    TRY(vpsde_sample(&sampling, vpsde_run_sink(run)));
    TRY(vpsde_run_finish(run, "complete"));
    TRY(vpsde_run_read(&x, &rank, dims, "own_score.h5", "/runs/ddim/final"));

    const vpsde_likelihood likelihood = {.process = process,
                                         .model = model,
                                         .x = x,
                                         .count = 4,
                                         .integrator = vpsde_solver_find("dopri5"),
                                         .rtol = 1e-8,
                                         .atol = 1e-8};
    TRY(vpsde_likelihood_array(&likelihood, logp));
    for (int i = 0; i < 4; i++)
        printf("x = (%.4f, %.4f)  log p = %.6f nat\n", x[2 * i], x[2 * i + 1], logp[i]);
    free(x);
    vpsde_run_destroy(run, 0);
    vpsde_grid_destroy(grid);
    vpsde_model_destroy(model);
    vpsde_process_destroy(process);
    return 0;
}
