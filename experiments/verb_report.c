#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <vpsde/solver.h>

#include "analysis/plots.h"
#include "analysis/report.h"
#include "core/file.h"
#include "core/mem.h"
#include "experiments/cli.h"

enum { COMMANDS = 3 };

/* 'PATH' as a shell takes it. */
static void quote(char *out, size_t size, const char *path)
{
    size_t n = 0;
    const bool plain = strspn(path, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                    "_./-") == strlen(path);
    if (!plain) out[n++] = '\'';
    for (const char *c = path; *c && n + 8 < size; c++) {
        if (*c == '\'') {
            memcpy(out + n, "'\\''", 4);
            n += 4;
        } else {
            out[n++] = *c;
        }
    }
    if (!plain) out[n++] = '\'';
    out[n] = '\0';
}

/* Of the words in the file those that are solvers: a reader pastes the line into a shell. */
static vpsde_status verify_command(char **out, const vpsde_page *r)
{
    const vpsde_h5_node *solver = vpsde_h5_tree_find(&r->tree, "/verify", "solver");
    const char *words = vpsde_h5_node_text(solver, "flag_meanings");
    char *known, *word, *longer;
    VPSDE_TRY(vpsde_strdup(&known, ""));
    vpsde_status status = VPSDE_OK;
    for (const char *c = words + strspn(words, " "); *c && status == VPSDE_OK;) {
        status = vpsde_page_word(&word, c, 0);
        if (status != VPSDE_OK) break;
        if (vpsde_solver_find(word)) {
            status = vpsde_format(&longer, "%s %s", known, word);
            if (status == VPSDE_OK) {
                free(known);
                known = longer;
            }
        }
        free(word);
        c += strcspn(c, " ");
        c += strspn(c, " ");
    }
    if (status == VPSDE_OK && *known) {
        status = vpsde_format(out, "vpsde verify%s -o again.h5", known);
    }
    free(known);
    return status;
}

/* A run file is a configuration, except that of verify, whose solvers are its arguments. */
static vpsde_status commands(char *out[COMMANDS], const vpsde_page *r)
{
    char file[PATH_MAX], name[PATH_MAX];
    const vpsde_h5_node *root = vpsde_h5_tree_find(&r->tree, "/", NULL);
    const char *verb = vpsde_h5_node_text(root, "verb");
    size_t n = 0;
    snprintf(name, sizeof(name), "%s%s", r->name[0] == '-' ? "./" : "", r->name);
    quote(file, sizeof(file), name);
    if (!vpsde_verb_find(verb)) return VPSDE_OK;
    if (strcmp(verb, "verify") == 0) {
        return verify_command(&out[n], r);
    }
    if (vpsde_verb_find("rerun")) {
        VPSDE_TRY(vpsde_format(&out[n++], "vpsde rerun %s", file));
    }
    return vpsde_format(&out[n], "vpsde %s %s -o again.%s", verb, file,
                        strcmp(verb, "train") == 0 ? "safetensors" : "h5");
}

static vpsde_status check_finished(const char *path)
{
    char parts[PATH_MAX];
    bool there, begun = false;
    snprintf(parts, sizeof(parts), "%s.parts", path);
    VPSDE_TRY(vpsde_file_is_there(&there, path));
    if (!there) VPSDE_TRY(vpsde_file_is_there(&begun, parts));
    if (!begun) return VPSDE_OK;
    return vpsde_fail(VPSDE_EDATA, "%s: unfinished; 'vpsde resume %s' goes on", path, path);
}

static vpsde_status write_page(vpsde_page *page, const vpsde_cli *cli)
{
    char *command[COMMANDS] = {NULL};
    vpsde_status status = commands(command, page);
    page->repeat = (const char *const *)command;
    if (status == VPSDE_OK) status = vpsde_page_write(page, cli->output, cli->force);
    if (status == VPSDE_OK && !cli->quiet) printf("%s\n", cli->output);
    page->repeat = NULL;
    for (size_t i = 0; i < COMMANDS; i++) free(command[i]);
    return status;
}

static vpsde_status write_plots(const vpsde_page *page, const vpsde_cli *cli)
{
    size_t n;
    VPSDE_TRY(vpsde_plots_write(&n, page, cli->plots, cli->force));
    if (!cli->quiet) printf("%s: %zu plot%s\n", cli->plots, n, n == 1 ? "" : "s");
    return VPSDE_OK;
}

static vpsde_status run(const vpsde_cli *cli)
{
    vpsde_page page;
    vpsde_status status = VPSDE_OK;
    VPSDE_TRY(check_finished(cli->input));
    VPSDE_TRY(vpsde_page_open(&page, cli->input));
    if (cli->output) status = write_page(&page, cli);
    if (cli->plots && status == VPSDE_OK) status = write_plots(&page, cli);
    vpsde_page_close(&page);
    return status;
}

const vpsde_verb vpsde_verb_report = {
    .name = "report",
    .input = "RUN.h5",
    .summary = "Makes one self-contained page of a run file.",
    .doc = "Tables, work-precision plots, samples, trajectories, likelihoods with their budget, "
           "configuration and provenance, whatever the file holds. The page needs no network and "
           "opens in any browser; its numbers are those of the file. --plots writes NAME.svg and "
           "NAME.png for papers, with gnuplot's NAME.gp and NAME.dat beside them; then -o may be "
           "left out.",
    .options = VPSDE_CLI_OUTPUT | VPSDE_CLI_FORCE | VPSDE_CLI_PLOTS,
    .run = run,
};
