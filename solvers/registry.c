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

bool vpsde_solver_is_adaptive(const vpsde_solver_type *solver)
{
    return solver->integrate || solver->walk;
}

size_t vpsde_solver_nfe(const vpsde_solver_type *solver, const double *param,
                        const vpsde_grid *grid)
{
    double defaults[VPSDE_PARAM_MAX];
    if (vpsde_solver_is_adaptive(solver)) return 0;
    vpsde_param_defaults(defaults, solver->params);
    const bool to_zero = !(grid->node[grid->n_steps].sigma > 0);
    const bool tweedie = grid->last_step == VPSDE_LAST_TWEEDIE && !to_zero;
    const size_t steps = solver->nfe ? solver->nfe(param ? param : defaults, grid)
                                     : (grid->n_steps - to_zero) * solver->nfe_per_step + to_zero;
    return steps + tweedie;
}

void vpsde_solver_orders(const vpsde_solver_type *solver, const double *param, vpsde_orders *order,
                         vpsde_orders *claimed)
{
    double defaults[VPSDE_PARAM_MAX];
    vpsde_orders both[2] = {solver->order, solver->claimed};
    vpsde_param_defaults(defaults, solver->params);
    if (solver->orders) solver->orders(param ? param : defaults, &both[0], &both[1]);
    if (order) *order = both[0];
    if (claimed) *claimed = both[1];
}

bool vpsde_solver_is_stochastic(const vpsde_solver_type *solver, const double *param)
{
    vpsde_orders order;
    vpsde_solver_orders(solver, param, &order, NULL);
    if (order.strong > 0 || order.weak > 0) return true;
    return solver->flags & VPSDE_SOLVER_STOCHASTIC && !(order.ode > 0);
}

const vpsde_solver_type *vpsde_solver_find(const char *name)
{
    for (size_t i = 0; i < N_SOLVERS; i++) {
        if (strcmp(solvers[i]->name, name) == 0) return solvers[i];
    }
    return NULL;
}
