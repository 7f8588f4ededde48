#include <dirent.h>
#include <errno.h>
#include <libgen.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/config.h"
#include "core/file.h"
#include "core/h5_compare.h"
#include "core/h5_tree.h"
#include "core/mem.h"
#include "experiments/job.h"
#include "experiments/run_manifest.h"

/* Of a repetition without a name, before the number of its process. */
#define RERUN ".rerun-"

enum { DIFFERENCES_SHOWN = 40, CHANGES = 512 };

/* A run file and its repetition. */
typedef struct rerun {
    const vpsde_cli *cli;
    char *verb, *again;
    char *model; /* of a training: what it writes beside `again` */
    vpsde_h5_comparison found;
} rerun;

/* "RUN.h5" -> "RUN" and an ending of one's own */
static vpsde_status with_ending(char **out, const char *path, const char *ending)
{
    const char *suffix = strrchr(path, '.');
    const size_t stem =
        suffix && strcmp(suffix, ".h5") == 0 ? (size_t)(suffix - path) : strlen(path);
    return vpsde_format(out, "%.*s%s", (int)stem, path, ending);
}

static vpsde_status check_run(rerun *r)
{
    const char *path = r->cli->input;
    char *status_text;
    VPSDE_TRY(vpsde_run_read_text(&r->verb, path, "/", "verb"));
    VPSDE_TRY(vpsde_run_read_text(&status_text, path, "/", "status"));
    const bool complete = strcmp(status_text, "complete") == 0;
    free(status_text);
    if (complete) return VPSDE_OK;
    return vpsde_fail(VPSDE_EDATA, "%s: is not complete; only a complete run can be repeated",
                      path);
}

/* /inputs: NAME says a path and NAME_sha256 its sum. */
static vpsde_status read_inputs(vpsde_manifest *manifest, const vpsde_h5_tree *tree)
{
    const vpsde_h5_node *inputs = vpsde_h5_tree_find(tree, "/inputs", NULL);
    for (size_t i = 0; inputs && i < inputs->n_attrs; i++) {
        const vpsde_h5_attr *attr = &inputs->attrs[i];
        char *sum_name;
        bool added;
        VPSDE_TRY(vpsde_format(&sum_name, "%s_sha256", attr->name));
        const vpsde_h5_attr *sum = vpsde_h5_node_attr(inputs, sum_name);
        free(sum_name);
        if (!sum || !attr->is_text || !sum->is_text) continue;
        VPSDE_TRY(vpsde_manifest_add(manifest, &added, attr->name, attr->text, sum->text));
    }
    return VPSDE_OK;
}

/* The files of the run are there, and what they were. */
static vpsde_status check_inputs(const char *path)
{
    vpsde_h5_tree tree;
    vpsde_manifest manifest = {.verb = NULL};
    VPSDE_TRY(vpsde_h5_tree_open(&tree, path));
    vpsde_status status = read_inputs(&manifest, &tree);
    if (status == VPSDE_OK) status = vpsde_manifest_check_inputs(&manifest);
    vpsde_manifest_free(&manifest);
    vpsde_h5_tree_close(&tree);
    return status;
}

/* ---- repeating ------------------------------------------------------------------------------- */

/* The configuration of verify is a list of the words that were its arguments. */
static vpsde_status verify_again(const vpsde_verb *verb, vpsde_cli *with)
{
    char *text;
    vpsde_config *root = NULL, *section = NULL, *item;
    size_t n = 0;
    VPSDE_TRY(vpsde_run_read_text(&text, with->input, "/", "config"));
    vpsde_status status = vpsde_config_parse(&root, text, strlen(text), with->input, "/", NULL, 0);
    free(text);
    if (status == VPSDE_OK) status = vpsde_config_section(&section, root, "verify");
    if (status == VPSDE_OK) status = vpsde_config_count(&n, section, "solvers");
    const char **words = NULL;
    if (status == VPSDE_OK) status = vpsde_alloc(&words, n, sizeof(*words));
    for (size_t i = 0; i < n && status == VPSDE_OK; i++) {
        status = vpsde_config_item(&item, section, "solvers", i);
        if (status == VPSDE_OK) status = vpsde_config_text(&words[i], item, NULL, NULL);
    }
    if (status == VPSDE_OK) {
        with->inputs = (char **)words;
        with->n_inputs = n;
        with->input = n > 0 ? words[0] : NULL;
        status = verb->run(with);
    }
    free(words);
    vpsde_config_close(root);
    return status;
}

static vpsde_status repeat(const rerun *r)
{
    const vpsde_job *job = vpsde_job_find(r->verb);
    const vpsde_verb *verb = vpsde_verb_find(r->verb);
    vpsde_cli with = *r->cli;
    char *program;
    with.output = r->again;
    if (!r->cli->output) with.reading_hint = "the next rerun removes what was begun";
    with.quiet = true;
    if (job) return vpsde_job_run(job, &with);
    if (!verb || (strcmp(r->verb, "verify") != 0 && !r->model)) {
        return vpsde_fail(VPSDE_EDATA, "%s: is a run of '%s'; rerun takes %s, train, verify",
                          r->cli->input, r->verb, vpsde_job_names());
    }
    VPSDE_TRY(vpsde_format(&program, "vpsde %s", r->verb));
    with.program = program;
    if (r->model) with.output = r->model;
    const vpsde_status status = r->model ? verb->run(&with) : verify_again(verb, &with);
    free(program);
    return status;
}

/* Nothing of a repetition without a name is kept, finished or not. */
static void remove_all(const char *again)
{
    static const char *const beside[] = {".safetensors", ".state.safetensors", ".samples.pgm",
                                         ".samples.ppm", ".lock"};
    vpsde_run *unfinished = NULL;
    if (vpsde_run_reopen(&unfinished, again, 1) == VPSDE_OK) vpsde_run_destroy(unfinished, 1);
    (void)unlink(again);
    for (size_t i = 0; i < sizeof(beside) / sizeof(beside[0]); i++) {
        char *path;
        if (with_ending(&path, again, beside[i]) != VPSDE_OK) continue;
        (void)unlink(path);
        free(path);
    }
}

/* "net.rerun-17.state.safetensors" -> 17, where the process 17 is no more; 0 for all other names. */
static long dead_process(const char *name, const char *stem)
{
    char *end;
    const size_t length = strlen(stem);
    if (strncmp(name, stem, length) != 0) return 0;
    const long pid = strtol(name + length, &end, 10);
    return *end == '.' && pid > 0 && kill((pid_t)pid, 0) != 0 && errno == ESRCH ? pid : 0;
}

/* What repetitions of this file left that were killed. */
static vpsde_status sweep(const rerun *r)
{
    char *stem, *copy = NULL, *again;
    VPSDE_TRY(with_ending(&stem, r->cli->input, RERUN));
    vpsde_status status = vpsde_strdup(&copy, stem);
    const char *slash = strrchr(stem, '/');
    const char *name = slash ? slash + 1 : stem;
    DIR *folder = status == VPSDE_OK ? opendir(dirname(copy)) : NULL;
    for (const struct dirent *entry; folder && (entry = readdir(folder));) {
        const long pid = dead_process(entry->d_name, name);
        if (pid == 0 || vpsde_format(&again, "%s%ld.h5", stem, pid) != VPSDE_OK) continue;
        remove_all(again);
        free(again);
    }
    if (folder) closedir(folder);
    free(copy);
    free(stem);
    return status;
}

/* ---- comparing ------------------------------------------------------------------------------- */

static void tell(void *context, const char *object, const char *what)
{
    const rerun *r = context;
    if (r->cli->quiet || r->found.differences > DIFFERENCES_SHOWN) return;
    printf("%s: %s\n", object, what);
}

/* What bits may depend on, as the two files tell it: "commit 1d22e4b, now 9f45746; threads 1, now 2". */
static vpsde_status name_changes(char changes[CHANGES], const rerun *r)
{
    static const char *const facts[] = {"cpu",      "compiler", "version",   "commit",
                                        "threads",  "libc",     "hdf5",      "gsl",
                                        "sundials", "onednn",   "onednn_isa"};
    vpsde_h5_tree before, now;
    size_t used = 0;
    changes[0] = '\0';
    VPSDE_TRY(vpsde_h5_tree_open(&before, r->cli->input));
    const vpsde_status status = vpsde_h5_tree_open(&now, r->again);
    for (size_t i = 0; status == VPSDE_OK && i < sizeof(facts) / sizeof(facts[0]); i++) {
        const vpsde_h5_attr *a =
            vpsde_h5_node_attr(vpsde_h5_tree_find(&before, "/provenance", NULL), facts[i]);
        const vpsde_h5_attr *b =
            vpsde_h5_node_attr(vpsde_h5_tree_find(&now, "/provenance", NULL), facts[i]);
        if (!a || !b || strcmp(a->text, b->text) == 0 || used >= CHANGES) continue;
        used += (size_t)snprintf(changes + used, CHANGES - used, "%s%s %s, now %s",
                                 used > 0 ? "; " : "", facts[i], a->text, b->text);
    }
    vpsde_h5_tree_close(&before);
    if (status == VPSDE_OK) vpsde_h5_tree_close(&now);
    return status;
}

static vpsde_status compare(rerun *r)
{
    char changes[CHANGES];
    const vpsde_h5_comparison *f = &r->found;
    VPSDE_TRY(vpsde_h5_compare(&r->found, r->cli->input, r->again, "/provenance", tell, r));
    VPSDE_TRY(name_changes(changes, r));
    if (f->differences > DIFFERENCES_SHOWN && !r->cli->quiet) {
        printf("... and %zu more\n", f->differences - DIFFERENCES_SHOWN);
    }
    if (f->differences > 0) {
        return vpsde_fail(VPSDE_ENUMERIC,
                          "%s: its rerun differs in %zu places (it has %zu datasets and %zu "
                          "attributes); %s%s",
                          r->cli->input, f->differences, f->datasets, f->attributes,
                          changes[0] ? "since then changed: "
                                     : "CPU, compiler, commit, libraries and threads are the same",
                          changes);
    }
    if (r->cli->quiet) return VPSDE_OK;
    printf("identical: %zu datasets, %.0f bytes, %zu attributes\n", f->datasets, f->bytes,
           f->attributes);
    if (changes[0]) printf("although since then changed: %s\n", changes);
    return VPSDE_OK;
}

/* A name that nobody else has, unless there is one. */
static vpsde_status name_outputs(rerun *r)
{
    char ending[64];
    snprintf(ending, sizeof(ending), RERUN "%ld.h5", (long)getpid());
    VPSDE_TRY(r->cli->output ? vpsde_strdup(&r->again, r->cli->output)
                             : with_ending(&r->again, r->cli->input, ending));
    if (vpsde_file_same(r->again, r->cli->input)) {
        return vpsde_fail(VPSDE_EEXIST, "%s: is the run itself; choose another output", r->again);
    }
    if (strcmp(r->verb, "train") != 0) return VPSDE_OK;
    const char *suffix = strrchr(r->again, '.');
    if (!suffix || strcmp(suffix, ".h5") != 0) {
        return vpsde_fail(VPSDE_EUSAGE,
                          "-o %s: expected a name that ends in .h5; the model goes beside it",
                          r->again);
    }
    return with_ending(&r->model, r->again, ".safetensors");
}

/* A table of failed samples, or of orders missed, is a result like any other. */
static bool has_result(vpsde_status status, const rerun *r)
{
    return vpsde_job_is_done(status) ||
           (status == VPSDE_ENUMERIC && strcmp(r->verb, "verify") == 0);
}

static vpsde_status run_and_compare(rerun *r)
{
    VPSDE_TRY(check_run(r));
    VPSDE_TRY(name_outputs(r));
    vpsde_progress_reading("nothing was begun");
    const vpsde_status unchanged = check_inputs(r->cli->input);
    vpsde_progress_read();
    VPSDE_TRY(unchanged);
    VPSDE_TRY(sweep(r));
    vpsde_status status = repeat(r);
    vpsde_progress_read();
    vpsde_progress_done();
    if (has_result(status, r)) status = compare(r);
    if (r->cli->output || status == VPSDE_EEXIST) return status;
    char message[1024];
    snprintf(message, sizeof(message), "%s", vpsde_last_error());
    remove_all(r->again);
    if (status == VPSDE_ESTOPPED) {
        return vpsde_fail(status, "%s: rerun stopped by signal; nothing is kept", r->cli->input);
    }
    return status == VPSDE_OK ? status : vpsde_fail(status, "%s", message);
}

static vpsde_status run(const vpsde_cli *cli)
{
    rerun r = {.cli = cli};
    const vpsde_status status = run_and_compare(&r);
    free(r.verb);
    free(r.again);
    free(r.model);
    return status;
}

const vpsde_verb vpsde_verb_rerun = {
    .name = "rerun",
    .input = "RUN.h5",
    .summary = "Repeats a run from its own file and compares every bit.",
    .doc = "Takes verb and configuration from RUN.h5, checks that its inputs are what they were "
           "(SHA-256), runs once more and compares every dataset, attribute and group outside "
           "/provenance. Says 'identical', or names what differs, where first, and what changed "
           "since: CPU, compiler, commit, libraries, threads. Without -o the second file lies "
           "beside RUN.h5 for as long as it takes; a training's model too; what a killed rerun "
           "left is removed by the next. Example:\n\n"
           "  vpsde sample experiments/mixture.yaml -o run.h5\n"
           "  vpsde rerun run.h5\n\n"
           "Exit code 1: it differs; 4: an input has changed or is gone.",
    .options = VPSDE_CLI_RECORD | VPSDE_CLI_FORCE | VPSDE_CLI_THREADS | VPSDE_CLI_WORKS,
    .run = run,
};
