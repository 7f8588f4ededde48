#include <vpsde/grid.h>
