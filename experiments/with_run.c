#include "experiments/with_run.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"

vpsde_status vpsde_input_is_run_of(bool *is, const vpsde_cli *cli, const char *verb)
{
    char *own;
    const char *suffix = strrchr(cli->input, '.');
    *is = false;
    if (!suffix || strcmp(suffix, ".h5") != 0) return VPSDE_OK;
    const vpsde_status status = vpsde_run_read_text(&own, cli->input, "/", "verb");
    if (status != VPSDE_OK) return status == VPSDE_ENOMEM ? status : VPSDE_OK;
    *is = strcmp(own, verb) == 0;
    free(own);
    return VPSDE_OK;
}

/* KEY='PATH' as YAML has it. */
static vpsde_status name_run(char **override, const char *key, const char *input)
{
    char path[PATH_MAX], quoted[2 * PATH_MAX];
    size_t n = 0;
    if (!realpath(input, path)) {
        return vpsde_fail(errno == ENOMEM ? VPSDE_ENOMEM : VPSDE_EDATA, "%s: cannot be found: %s",
                          input, strerror(errno));
    }
    for (const char *c = path; *c; c++) {
        if (*c == '\'') quoted[n++] = '\'';
        quoted[n++] = *c;
    }
    quoted[n] = '\0';
    return vpsde_format(override, "%s='%s'", key, quoted);
}

vpsde_status vpsde_job_run_with(const vpsde_job *job, const vpsde_cli *cli, const char *key)
{
    vpsde_cli with = *cli;
    char *run, **overrides;
    VPSDE_TRY(name_run(&run, key, cli->input));
    vpsde_status status = vpsde_alloc(&overrides, cli->n_overrides + 1, sizeof(*overrides));
    if (status == VPSDE_OK) {
        for (size_t i = 0; i < cli->n_overrides; i++) overrides[i] = cli->overrides[i];
        overrides[with.n_overrides++] = run;
        with.overrides = overrides;
        status = vpsde_job_run(job, &with);
        free(overrides);
    }
    free(run);
    return status;
}
