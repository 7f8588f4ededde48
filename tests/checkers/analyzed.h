/* What the static analyzers read before every source but core/status.c and core/config_node.c: what a
 * failure returns is never VPSDE_OK. The functions that say so are in files of their own, so without
 * this the analyzers follow paths on which a call failed and its caller went on. */
#include <vpsde/status.h>

#include "core/config_impl.h"

#define vpsde_fail(code, ...)           ((void)(vpsde_fail)(code, __VA_ARGS__), (code))
#define vpsde_fail_in(code, ...)        ((void)(vpsde_fail_in)(code, __VA_ARGS__), (code))
#define vpsde_config_fail(...)          ((void)(vpsde_config_fail)(__VA_ARGS__), VPSDE_EINVAL)
#define vpsde_config_fail_key(...)      ((void)(vpsde_config_fail_key)(__VA_ARGS__), VPSDE_EINVAL)
#define vpsde_config_fail_at(code, ...) ((void)(vpsde_config_fail_at)(code, __VA_ARGS__), (code))
