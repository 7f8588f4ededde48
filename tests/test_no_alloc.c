/* Nothing allocates inside a step: malloc, calloc, realloc and aligned_alloc are wrapped in this
 * binary, and counted from the third step's first network call to the run's last one. What shared
 * libraries allocate for themselves (oneDNN, GSL, SUNDIALS, libc) is not seen. */
#include "tests/toy.h"

#include "models/mlp.h"
#include "models/unet.h"

enum { COUNT = 40, STEPS = 12, DIM = 2, TIMES = 5 };

static bool watching;
static long allocations;

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *memory, size_t size);
void *__real_aligned_alloc(size_t alignment, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *memory, size_t size);
void *__wrap_aligned_alloc(size_t alignment, size_t size);

void *__wrap_malloc(size_t size)
{
    allocations += watching;
    return __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
    allocations += watching;
    return __real_calloc(count, size);
}

void *__wrap_realloc(void *memory, size_t size)
{
    allocations += watching;
    return __real_realloc(memory, size);
}

void *__wrap_aligned_alloc(size_t alignment, size_t size)
{
    allocations += watching;
    return __real_aligned_alloc(alignment, size);
}

/* A model that starts to watch at one of its calls and stops at another. One thread. */
typedef struct watched {
    vpsde_model model;
    vpsde_model_type type;
    const vpsde_model_type *real;
    size_t calls, from, to;
    bool leaks; /* allocates in every call itself */
} watched;

static watched m;

static vpsde_status eval(const vpsde_model *model, void *ws, const vpsde_eval *e)
{
    m.calls++;
    if (m.calls == m.from) watching = true;
    if (m.calls == m.to) watching = false;
    void *leak = m.leaks ? malloc(16) : NULL;
    const vpsde_status status = m.real->eval(model, ws, e);
    free(leak);
    return status;
}

static void watch(vpsde_model *model)
{
    m = (watched){.model = *model, .type = *model->type, .real = model->type};
    m.type.eval = eval;
    m.model.type = &m.type;
}

/* Allocations of a run between its third step and its last call. */
static long count_in(const vpsde_sampling *run, const vpsde_grid *grid)
{
    static double x[COUNT * DIM];
    m.calls = m.from = m.to = 0;
    assert_ok(vpsde_sample_array(run, x));
    const size_t all = m.calls, per_step = run->solver->nfe_per_step;
    const size_t steps = vpsde_solver_nfe(run->solver, NULL, grid);
    /* Pilots come before the steps; an integrator is past its start after a quarter of the calls. */
    m.from = steps > 0 ? all - steps + 2 * per_step + 1 : all / 4;
    m.to = all;
    m.calls = 0;
    allocations = 0;
    assert_ok(vpsde_sample_array(run, x));
    assert_int_equal(m.calls, all);
    assert_false(watching);
    assert_true(m.from < m.to);
    return allocations;
}

static void run_all(vpsde_model *model)
{
    vpsde_process *process = toy_process(VPSDE_TERMINAL_STANDARD_NORMAL);
    vpsde_grid *grid = toy_grid(process, "uniform-lambda", STEPS, VPSDE_LAST_STOP);
    watch(model);
    for (size_t i = 0; vpsde_solver_at(i); i++) {
        vpsde_sampling run = {
            .process = process,
            .model = &m.model,
            .solver = vpsde_solver_at(i),
            .grid = grid,
            .rtol = 1e-3,
            .atol = 1e-3,
            .count = COUNT,
            .log = {.n_times = TIMES, .fields = VPSDE_LOG_X | VPSDE_LOG_NOISE, .dtype = VPSDE_F32},
            .n_threads = 1};
        if (run.solver->needs & ~model->type->flags) continue; /* not for this model */
        const long n = count_in(&run, grid);
        if (n != 0) print_error("%s on %s: %ld allocations\n", run.solver->name, m.real->name, n);
        assert_int_equal(n, 0);
    }
    vpsde_grid_destroy(grid);
    vpsde_process_destroy(process);
}

static void no_step_allocates_with_a_mixture(void **state)
{
    (void)state;
    vpsde_model *mixture;
    assert_ok(vpsde_gaussian_mixture_create(&mixture, 2, DIM, (double[]){0.3, 0.7},
                                            (double[]){-2, 0, 2, 1},
                                            (double[]){0.1, 0, 0, 0.1, 0.25, 0.05, 0.05, 0.2}));
    run_all(mixture);
    vpsde_model_destroy(mixture);
}

static void no_step_allocates_with_an_mlp(void **state)
{
    (void)state;
    vpsde_model *mlp;
    size_t rows, cols;
    const vpsde_mlp_spec spec = {.dim = DIM, .hidden = 16, .layers = 1, .time_features = 8};
    assert_ok(vpsde_mlp_create(&mlp, &spec, 1));
    float *output = vpsde_mlp_tensor(mlp, "output.weight", &rows, &cols);
    assert_non_null(output);
    for (size_t e = 0; e < rows * cols; e++) output[e] = 0.1f * (float)(e % 7) - 0.3f;
    run_all(mlp);
    vpsde_model_destroy(mlp);
}

/* Of a network whose evaluations are many times an MLP's the evaluation alone: values, then values with
 * tangents, in both kinds of numbers. */
static void no_evaluation_allocates_with_a_unet(void **state)
{
    enum { ROWS = 10, TANGENTS = 2, PIXELS = 64 };
    static double x[ROWS * PIXELS], dx[ROWS * TANGENTS * PIXELS], eps[ROWS * PIXELS];
    static double deps[ROWS * TANGENTS * PIXELS];
    (void)state;
    vpsde_unet_spec spec;
    vpsde_unet_spec_init(&spec);
    spec.height = spec.width = 8;
    spec.in_channels = spec.out_channels = 1;
    spec.block_out_channels[0] = spec.block_out_channels[1] = spec.block_out_channels[2] = 8;
    spec.norm_num_groups = 4;
    spec.num_class_embeds = 3;
    spec.null_class = true;
    vpsde_model *unet;
    assert_ok(vpsde_unet_create(&unet, &spec, 1));
    for (vpsde_compute c = VPSDE_COMPUTE_FLOAT32; c <= VPSDE_COMPUTE_BF16; c++) {
        void *ws;
        assert_ok(vpsde_model_set_compute(unet, c));
        assert_ok(vpsde_model_workspace_create(&ws, unet, ROWS, TANGENTS));
        allocations = 0;
        for (size_t k = 0; k <= TANGENTS; k++) {
            const vpsde_eval e = {.n = ROWS - k,
                                  .k = k,
                                  .coef = &(vpsde_coef){.alpha = 1, .sigma = 1, .label = 10},
                                  .x = x,
                                  .dx = k ? dx : NULL,
                                  .eps = eps,
                                  .deps = k ? deps : NULL};
            watching = true;
            const vpsde_status status = vpsde_model_eval(unet, ws, &e);
            watching = false;
            assert_ok(status);
        }
        assert_int_equal(allocations, 0);
        vpsde_model_workspace_destroy(unet, ws);
    }
    vpsde_model_destroy(unet);
}

/* The count counts. */
static void an_allocating_model_is_seen(void **state)
{
    (void)state;
    vpsde_model *mixture;
    vpsde_process *process = toy_process(VPSDE_TERMINAL_STANDARD_NORMAL);
    vpsde_grid *grid = toy_grid(process, "uniform-lambda", STEPS, VPSDE_LAST_STOP);
    assert_ok(vpsde_gaussian_mixture_create(&mixture, 1, DIM, (double[]){1}, (double[]){0, 0},
                                            (double[]){1, 0, 0, 1}));
    watch(mixture);
    m.leaks = true;
    const vpsde_sampling run = {.process = process,
                                .model = &m.model,
                                .solver = vpsde_solver_find("ddim"),
                                .grid = grid,
                                .count = COUNT,
                                .n_threads = 1};
    assert_int_equal(count_in(&run, grid), STEPS - 3); /* steps 3 .. 11 of 12 */
    vpsde_model_destroy(mixture);
    vpsde_grid_destroy(grid);
    vpsde_process_destroy(process);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_step_allocates_with_a_mixture),
        cmocka_unit_test(no_step_allocates_with_an_mlp),
        cmocka_unit_test(no_evaluation_allocates_with_a_unet),
        cmocka_unit_test(an_allocating_model_is_seen),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
