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

const vpsde_solver_type *vpsde_solver_find(const char *name)
{
    for (size_t i = 0; i < N_SOLVERS; i++) {
        if (strcmp(solvers[i]->name, name) == 0) return solvers[i];
    }
    return NULL;
}
