#include "experiments/cli.h"

#include <argp.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "core/ranks.h"

enum {
    KEY_SET = 0x100,
    KEY_THREADS,
    KEY_FORCE,
    KEY_RESUME,
    KEY_RESOLVED,
    KEY_MARKDOWN,
    KEY_PLOTS,
    KEY_JSON,
    KEY_FOLDER
};

typedef struct parse {
    const vpsde_verb *verb;
    vpsde_cli *cli;
} parse;

/* Every option there is, with the flag that a verb must have to take it (0: all do). */
static const struct {
    unsigned flag;
    struct argp_option option;
} all_options[] = {
    {VPSDE_CLI_OUTPUT, {"output", 'o', "FILE", 0, "where the result goes (required)", 0}},
    {VPSDE_CLI_RECORD, {"output", 'o', "FILE", 0, "run file that keeps the result", 0}},
    {VPSDE_CLI_CONFIG,
     {"set", KEY_SET, "key.path=value", 0,
      "override one key; repeatable; relative paths are relative to the folder of CONFIG", 0}},
    {VPSDE_CLI_THREADS, {"threads", KEY_THREADS, "N", 0, "threads (default: all processors)", 0}},
    {VPSDE_CLI_FORCE, {"force", KEY_FORCE, NULL, 0, "overwrite an existing output", 0}},
    {VPSDE_CLI_RESUME, {"resume", KEY_RESUME, NULL, 0, "go on from the saved training state", 0}},
    {VPSDE_CLI_RESOLVED,
     {"resolved", KEY_RESOLVED, NULL, 0, "print the configuration with every default", 0}},
    {VPSDE_CLI_MARKDOWN, {"markdown", KEY_MARKDOWN, NULL, 0, "print the tables of a page", 0}},
    {VPSDE_CLI_PLOTS, {"plots", KEY_PLOTS, "DIR", 0, "plots as SVG and PNG, with scripts", 0}},
    {VPSDE_CLI_JSON, {"json", KEY_JSON, NULL, 0, "print JSON", 0}},
    {VPSDE_CLI_FOLDER,
     {"folder", KEY_FOLDER, "DIR", 0, "where files are written to be timed (default: that of -o)",
      0}},
    {0, {"quiet", 'q', NULL, 0, "no progress and no summary", 0}},
};
enum { N_OPTIONS = sizeof(all_options) / sizeof(all_options[0]) };

static error_t parse_threads(const char *text, struct argp_state *state, size_t *threads)
{
    char *end;
    errno = 0;
    const unsigned long value = strtoul(text, &end, 10);
    if (end == text || *end || errno || text[0] == '-') {
        argp_failure(state, 2, 0, "--threads: must be a whole number, got '%s'", text);
        return EINVAL;
    }
    *threads = value;
    return 0;
}

static error_t parse_input(const parse *p, char *text, struct argp_state *state)
{
    vpsde_cli *cli = p->cli;
    const bool many = p->verb->options & VPSDE_CLI_INPUTS;
    if (!p->verb->input) {
        argp_failure(state, 2, 0, "no input expected, got '%s'", text);
        return EINVAL;
    }
    if (cli->input && !many) {
        argp_failure(state, 2, 0, "one %s expected, got '%s' too", p->verb->input, text);
        return EINVAL;
    }
    if (!cli->input) cli->input = text;
    cli->inputs[cli->n_inputs++] = text;
    return 0;
}

static error_t parse_end(const parse *p, struct argp_state *state)
{
    const bool input_missing =
        p->verb->input && !p->cli->input && !(p->verb->options & VPSDE_CLI_INPUTS);
    if (input_missing) argp_failure(state, 2, 0, "%s is missing; see --help", p->verb->input);
    if (!input_missing && (p->verb->options & VPSDE_CLI_OUTPUT) && !p->cli->output &&
        !p->cli->plots) {
        argp_failure(state, 2, 0, "-o FILE is missing: say where the result goes");
    }
    return 0;
}

/* One option of the table above; the set of options is closed, so a switch over keys is plain. */
static error_t parse_option(int key, char *text, struct argp_state *state)
{
    const parse *p = state->input;
    vpsde_cli *cli = p->cli;
    switch (key) {
    case 'o':
        cli->output = text;
        return 0;
    case 'q':
        cli->quiet = true;
        return 0;
    case KEY_SET:
        cli->overrides[cli->n_overrides++] = text;
        return 0;
    case KEY_THREADS:
        return parse_threads(text, state, &cli->threads);
    case KEY_FORCE:
        cli->force = true;
        return 0;
    case KEY_RESUME:
        cli->resume = true;
        return 0;
    case KEY_RESOLVED:
        cli->resolved = true;
        return 0;
    case KEY_MARKDOWN:
        cli->markdown = true;
        return 0;
    case KEY_PLOTS:
        cli->plots = text;
        return 0;
    case KEY_JSON:
        cli->json = true;
        return 0;
    case KEY_FOLDER:
        cli->folder = text;
        return 0;
    case ARGP_KEY_ARG:
        return parse_input(p, text, state);
    case ARGP_KEY_END:
        return parse_end(p, state);
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

/* What was printed must have arrived. */
static vpsde_status check_stdout(vpsde_status status)
{
    if (fflush(stdout) == 0 && !ferror(stdout)) return status;
    if (status != VPSDE_OK) return status;
    return vpsde_fail(VPSDE_EIO, "standard output cannot be written: %s", strerror(errno));
}

static int report(vpsde_status status)
{
    vpsde_progress_done();
    status = vpsde_ranks_agree(check_stdout(status), NULL, 0, NULL);
    if (status == VPSDE_OK) return 0;
    const int signal = vpsde_stop_signal();
    if (vpsde_rank() == 0) fprintf(stderr, "vpsde: %s\n", vpsde_last_error());
    return status == VPSDE_ESTOPPED && signal ? 128 + signal : vpsde_status_exit_code(status);
}

/* Joins the ranks of an mpirun and runs the verb; rank 0 speaks for all. */
static vpsde_status run_verb(const vpsde_verb *verb, vpsde_cli *cli)
{
    VPSDE_TRY(vpsde_ranks_open());
    if (vpsde_n_ranks() > 1 && !(verb->options & VPSDE_CLI_RANKS)) {
        return vpsde_fail(VPSDE_EUSAGE,
                          "%s: cannot be shared among processes, and was started as %zu; start one",
                          verb->name, vpsde_n_ranks());
    }
    if (vpsde_rank() > 0) cli->quiet = true;
    /* verbs without long work just end on a signal */
    if (verb->options & VPSDE_CLI_WORKS) vpsde_progress_init(&cli->control, verb->name, cli->quiet);
    return verb->run(cli);
}

int vpsde_verb_main(const vpsde_verb *verb, int argc, char **argv)
{
    struct argp_option options[N_OPTIONS + 1] = {{0}};
    size_t n = 0;
    for (size_t i = 0; i < N_OPTIONS; i++) {
        const unsigned flag = all_options[i].flag;
        if (!flag || (verb->options & flag)) options[n++] = all_options[i].option;
    }
    char *doc = NULL, *program = NULL, **overrides = NULL, **inputs = NULL;
    vpsde_status status = vpsde_format(&doc, "%s\v%s", verb->summary, verb->doc);
    if (status == VPSDE_OK) status = vpsde_format(&program, "vpsde %s", verb->name);
    if (status == VPSDE_OK) status = vpsde_alloc(&overrides, (size_t)argc, sizeof(*overrides));
    if (status == VPSDE_OK) status = vpsde_alloc(&inputs, (size_t)argc, sizeof(*inputs));
    vpsde_cli cli = {.program = program, .overrides = overrides, .inputs = inputs};
    int code = vpsde_status_exit_code(status);
    if (status == VPSDE_OK) {
        parse p = {verb, &cli};
        const struct argp argp = {options, parse_option, verb->input, doc, NULL, NULL, NULL};
        argp_err_exit_status = vpsde_status_exit_code(VPSDE_EUSAGE);
        argv[0] = program;
        if (argp_parse(&argp, argc, argv, 0, NULL, &p) != 0) {
            code = vpsde_status_exit_code(VPSDE_EUSAGE);
        } else {
            code = report(run_verb(verb, &cli));
            vpsde_ranks_close();
        }
    }
    free(doc);
    free(program);
    free(overrides);
    free(inputs);
    return code;
}
