#include <string.h>

#include <vpsde/solver.h>

#define VPSDE_SOLVER(name) extern const vpsde_solver_type vpsde_solver_##name;
#include "solvers/registry.def"
#undef VPSDE_SOLVER

static const vpsde_solver_type *const solvers[] = {
#define VPSDE_SOLVER(name) &vpsde_solver_##name,
#include "solvers/registry.def"
#undef VPSDE_SOLVER
};

enum { N_SOLVERS = sizeof(solvers) / sizeof(solvers[0]) };

const vpsde_solver_type *vpsde_solver_at(size_t index)
{
    return index < N_SOLVERS ? solvers[index] : NULL;
}

size_t vpsde_solver_nfe(const vpsde_solver_type *solver, const double *param,
                        const vpsde_grid *grid)
{
    double defaults[VPSDE_PARAM_MAX];
    if (solver->integrate) return 0;
    vpsde_param_defaults(defaults, solver->params);
    const bool tweedie =
        grid->last_step == VPSDE_LAST_TWEEDIE && grid->node[grid->n_steps].sigma > 0;
    const size_t steps = solver->nfe ? solver->nfe(param ? param : defaults, grid)
                                     : grid->n_steps * solver->nfe_per_step;
    return steps + tweedie;
}

const vpsde_solver_type *vpsde_solver_find(const char *name)
{
    for (size_t i = 0; i < N_SOLVERS; i++) {
        if (strcmp(solvers[i]->name, name) == 0) return solvers[i];
    }
    return NULL;
}
