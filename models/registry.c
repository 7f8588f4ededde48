#include <vpsde/model.h>
