#include <vpsde/solver.h>
