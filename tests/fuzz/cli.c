/* A command line, one argument a line, parsed by the verbs' own parser; then --set on a document. */
#include <argp.h>

/* libc's parser ends the process on a mistake: here it returns. */
static inline error_t parse_and_return(const struct argp *argp, int argc, char **argv,
                                       unsigned flags, int *index, void *input)
{
    return argp_parse(argp, argc, argv, flags | ARGP_NO_EXIT | ARGP_NO_HELP, index, input);
}
#define argp_parse parse_and_return
#include "experiments/cli.c"
#undef argp_parse

#include "core/config.h"
#include "tests/fuzz/fuzz.h"

enum { ARGUMENTS_MAX = 64 };

static vpsde_status run(const vpsde_cli *cli)
{
    static const char document[] = "seed: 7\nsampler: {solver: [ddim, heun], steps: 10}\n";
    vpsde_config *root;
    VPSDE_TRY(vpsde_config_parse(&root, document, sizeof(document) - 1, "f.yaml", "/",
                                 cli->overrides, cli->n_overrides));
    vpsde_config_close(root);
    return VPSDE_OK;
}

static const vpsde_verb verb = {.name = "fuzz",
                                .input = "FILE",
                                .summary = "",
                                .doc = "",
                                .options =
                                    (VPSDE_CLI_PLOTS << 1) - 1 - VPSDE_CLI_WORKS - VPSDE_CLI_RECORD,
                                .run = run};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static FILE *nowhere;
    char *argv[ARGUMENTS_MAX + 2] = {(char *)(uintptr_t) "vpsde"}, *text = fuzz_text(data, size);
    int argc = 1;
    if (!nowhere) nowhere = fopen("/dev/null", "w");
    FILE *const err = stderr, *const out = stdout;
    for (char *line, *rest = text; (line = strsep(&rest, "\n")) && argc <= ARGUMENTS_MAX;) {
        argv[argc++] = line;
    }
    stderr = stdout = nowhere;
    const int code = vpsde_verb_main(&verb, argc, argv);
    stderr = err;
    stdout = out;
    fuzz_claim(code == 0 || code == 2 || code == 3);
    free(text);
    return 0;
}
