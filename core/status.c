#include <vpsde/status.h>

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "core/mem.h"

enum { MESSAGE_SIZE = 1024 };

static _Thread_local char message[MESSAGE_SIZE];

vpsde_status vpsde_fail(vpsde_status status, const char *format, ...)
{
    char fresh[MESSAGE_SIZE]; /* the arguments may point into the old message */
    va_list args;
    va_start(args, format);
    vsnprintf(fresh, sizeof(fresh), format, args);
    va_end(args);
    memcpy(message, fresh, sizeof(message));
    vpsde_flatten(message); /* names in messages come from files */
    return status;
}

vpsde_status vpsde_fail_in(vpsde_status status, const char *format, ...)
{
    char prefix[MESSAGE_SIZE], old[MESSAGE_SIZE];
    va_list args;
    va_start(args, format);
    vsnprintf(prefix, sizeof(prefix), format, args);
    va_end(args);
    memcpy(old, message, sizeof(old));
    return vpsde_fail(status, "%s: %s", prefix, old);
}

const char *vpsde_last_error(void) { return message; }

static const struct {
    int exit_code;
    const char *text;
} status_table[] = {
#define VPSDE_STATUS_ROW(name, code, text) [VPSDE_##name] = {code, text},
    VPSDE_STATUS_LIST(VPSDE_STATUS_ROW)
#undef VPSDE_STATUS_ROW
};

static size_t status_row(vpsde_status status)
{
    const size_t row = (size_t)status;
    return row < sizeof(status_table) / sizeof(status_table[0]) ? row : (size_t)VPSDE_EINTERNAL;
}

const char *vpsde_status_text(vpsde_status status) { return status_table[status_row(status)].text; }

int vpsde_status_exit_code(vpsde_status status)
{
    return status_table[status_row(status)].exit_code;
}

const char *vpsde_version(void) { return VPSDE_VERSION; }
