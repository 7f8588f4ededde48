#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "analysis/digits.h"
#include "core/mem.h"
#include "experiments/job.h"

/* What the terminal shows of a time. */
enum { MASS, TV, FREE_ENERGY, MIN_DENSITY, EDGE_MASS, N_SHOWN };
static const char *const shown[N_SHOWN] = {"mass", "tv", "free_energy", "min_density", "edge_mass"};
static const double wide_enough = 1e-6; /* of the probability, in the outermost cells */

/* A sink in front of the run's that remembers these; rows from before an interruption, which come
 * again, go no further. */
typedef struct view {
    vpsde_sink sink, *next;
    int column[N_SHOWN]; /* -1: this run has none */
    size_t n;
    double *t, *value; /* (n), (n, N_SHOWN) */
} view;

static vpsde_status view_begin(void *self, const vpsde_table *table)
{
    view *v = self;
    v->n = table->count;
    VPSDE_TRY(vpsde_alloc(&v->t, v->n, sizeof(double)));
    VPSDE_TRY(vpsde_alloc(&v->value, v->n, N_SHOWN * sizeof(double)));
    memcpy(v->t, table->axes[0].coordinates[0].values, v->n * sizeof(double));
    for (size_t i = 0; i < N_SHOWN; i++) {
        v->column[i] = -1;
        for (size_t c = 0; c < table->n_columns; c++) {
            if (strcmp(table->columns[c].name, shown[i]) == 0) v->column[i] = (int)c;
        }
    }
    return v->next->begin(v->next->self, table);
}

static vpsde_status view_write(void *self, size_t first, size_t n, const void *const *data)
{
    view *v = self;
    for (size_t i = 0; i < N_SHOWN; i++) {
        const double *value = v->column[i] < 0 ? NULL : data[v->column[i]];
        v->value[first * N_SHOWN + i] = value ? *value : (double)NAN;
    }
    if (v->next->has && v->next->has(v->next->self, first, n)) return VPSDE_OK;
    return v->next->write(v->next->self, first, n, data);
}

static vpsde_status view_end(void *self, const vpsde_fact *facts, size_t n)
{
    const view *v = self;
    return v->next->end(v->next->self, facts, n);
}

static void print(const view *v, vpsde_fp_direction direction)
{
    double edge = 0;
    printf("%-8s %10s %12s %12s %12s %12s\n", vpsde_fokker_planck_name(direction), "t", "mass - 1",
           "TV to exact", "F, nats", "min density");
    for (size_t k = 0; k < v->n; k++) {
        const double *value = v->value + k * N_SHOWN;
        printf("%-8s %10" VPSDE_DIGITS_TIME " %12" VPSDE_DIGITS_VERDICT " ", "", v->t[k],
               value[MASS] - 1);
        if (v->column[TV] < 0) {
            printf("%12s", "-");
        } else {
            printf("%12" VPSDE_DIGITS_METRIC, value[TV]);
        }
        printf(" %12" VPSDE_DIGITS_BITS " %12" VPSDE_DIGITS_VERDICT "\n", value[FREE_ENERGY],
               value[MIN_DENSITY]);
        edge = fmax(edge, value[EDGE_MASS]);
    }
    if (edge <= wide_enough) return;
    printf("%-8s up to %" VPSDE_DIGITS_VERDICT
           " of the probability stands in the outermost cells: the domain is too small for it\n",
           "", edge);
}

static vpsde_status run_direction(const vpsde_setup *s, const vpsde_cli *cli, vpsde_run *run,
                                  vpsde_fp_direction direction)
{
    view v = {.next = vpsde_run_sink(run)};
    v.sink = (vpsde_sink){.self = &v, .begin = view_begin, .write = view_write, .end = view_end};
    const vpsde_fokker_planck task = vpsde_setup_fokker_planck(s, direction, cli);
    const vpsde_status status = vpsde_fokker_planck_run(&task, &v.sink);
    vpsde_progress_done();
    if (status == VPSDE_OK && !cli->quiet) print(&v, direction);
    free(v.t);
    free(v.value);
    return status;
}

static vpsde_status compute(const vpsde_setup *s, const vpsde_cli *cli, vpsde_run *run)
{
    for (unsigned i = 0; i < VPSDE_N_FP_DIRECTIONS; i++) {
        if (!(s->fokker_planck.directions >> i & 1)) continue;
        VPSDE_TRY(run_direction(s, cli, run, (vpsde_fp_direction)i));
    }
    return VPSDE_OK;
}

const vpsde_job vpsde_job_fokker_planck = {
    .verb = "fokker-planck", .uses = VPSDE_USES_FOKKER_PLANCK, .compute = compute};

static vpsde_status run(const vpsde_cli *cli)
{
    return vpsde_job_run(&vpsde_job_fokker_planck, cli);
}

const vpsde_verb vpsde_verb_fokker_planck = {
    .name = "fokker-planck",
    .input = "CONFIG",
    .summary = "Solves the Fokker-Planck equation of a model in one or two dimensions.",
    .doc =
        "Reads the sections process, model and fokker-planck. Forward from the model's density at "
        "t_min, reverse from the terminal law with the model's score, right or wrong, guided or "
        "not: where sampling without any step error arrives. Stores density and probability flux "
        "of every cell at the stored times. Prints the mass defect, the distance (total "
        "variation) to the model's own law where it is known, and the free energy. Example:\n\n"
        "  vpsde fokker-planck experiments/mixture.yaml -o density.h5 --set fokker-planck.cells=64",
    .options =
        VPSDE_CLI_OUTPUT | VPSDE_CLI_FORCE | VPSDE_CLI_CONFIG | VPSDE_CLI_THREADS | VPSDE_CLI_WORKS,
    .run = run,
};
