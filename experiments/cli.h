/* The command line: one verb a file, one line each in verbs.def. */
#ifndef VPSDE_EXPERIMENTS_CLI_H
#define VPSDE_EXPERIMENTS_CLI_H

#include <stdbool.h>
#include <stddef.h>

#include <vpsde/sink.h>
#include <vpsde/status.h>

/* What the user typed after the verb. */
typedef struct vpsde_cli {
    const char *program; /* "vpsde sample" */
    const char *input, *output, *plots;
    char **inputs; /* of verbs that take any number: all of them; input is the first or NULL */
    size_t n_inputs;
    char **overrides; /* key.path=value */
    size_t n_overrides;
    size_t threads;     /* 0: all */
    const char *folder; /* NULL: not said */
    /* of vpsde_progress_reading, for a verb that another one runs; or NULL */
    const char *reading_hint;
    bool quiet, force, resume, resolved, markdown, json;
    vpsde_control control; /* progress on a terminal, stop on a signal */
} vpsde_cli;

enum {
    VPSDE_CLI_OUTPUT = 1u << 0,   /* takes -o, and needs it */
    VPSDE_CLI_FORCE = 1u << 1,    /* takes --force */
    VPSDE_CLI_CONFIG = 1u << 2,   /* takes --set */
    VPSDE_CLI_THREADS = 1u << 3,  /* takes --threads */
    VPSDE_CLI_RESUME = 1u << 4,   /* takes --resume */
    VPSDE_CLI_RESOLVED = 1u << 5, /* takes --resolved */
    VPSDE_CLI_WORKS = 1u << 6,    /* long work: shows progress, stops tidily on a signal */
    VPSDE_CLI_INPUTS = 1u << 7,   /* takes any number of inputs, none too */
    VPSDE_CLI_RECORD = 1u << 8,   /* takes -o, and can do without */
    VPSDE_CLI_MARKDOWN = 1u << 9, /* takes --markdown */
    VPSDE_CLI_PLOTS = 1u << 10,   /* takes --plots, which stands for -o too */
    VPSDE_CLI_RANKS = 1u << 11,   /* can be shared by the processes of an mpirun */
    VPSDE_CLI_JSON = 1u << 12,    /* takes --json */
    VPSDE_CLI_FOLDER = 1u << 13   /* takes --folder */
};

typedef struct vpsde_verb {
    const char *name;
    const char *input;   /* what the input is called: "CONFIG"; NULL: the verb takes none */
    const char *summary; /* one line */
    const char *doc;     /* paragraphs under the options of --help */
    unsigned options;    /* VPSDE_CLI_* */
    vpsde_status (*run)(const vpsde_cli *cli);
} vpsde_verb;

const vpsde_verb *vpsde_verb_find(const char *name); /* or NULL */
const vpsde_verb *vpsde_verb_at(size_t index);       /* or NULL past the end */

/* Parses what follows the verb, runs it, prints the one line of a failure, returns the exit code. */
int vpsde_verb_main(const vpsde_verb *verb, int argc, char **argv);

/* experiments/progress.c: the progress line and the stop flag. */
void vpsde_progress_init(vpsde_control *control, const char *what, bool quiet);
void vpsde_progress_line(const char *text); /* shows a line of one's own: on a terminal alone */
void vpsde_progress_done(void);
/* From here on inputs are read and nothing is computed: what reads them does not look at the flag, so the
 * first signal ends the process at once and says `hint`, what to do next. Until _read(). */
void vpsde_progress_reading(const char *hint);
void vpsde_progress_read(void);
int vpsde_stop_signal(void); /* the signal that asked to stop, or 0 */

#endif
