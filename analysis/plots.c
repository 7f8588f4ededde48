#include "analysis/plots.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/file.h"
#include "core/mem.h"

#define VPSDE_PLOT(name) extern const vpsde_plot vpsde_plot_##name;
#include "analysis/plots.def"
#undef VPSDE_PLOT

static const vpsde_plot *const plots[] = {
#define VPSDE_PLOT(name) &vpsde_plot_##name,
#include "analysis/plots.def"
#undef VPSDE_PLOT
};
enum { N_PLOTS = sizeof(plots) / sizeof(plots[0]), SUFFIXES = 4 };
static const char *const suffixes[SUFFIXES] = {"dat", "gp", "svg", "png"};

extern char **environ;

/* Okabe & Ito's colours, which most people tell apart (2008, jfly.uni-koeln.de/color). */
static const char style[] =
    "set linetype 1 lc rgb '#0072b2' pt 7\nset linetype 2 lc rgb '#d55e00' pt 5\n"
    "set linetype 3 lc rgb '#009e73' pt 9\nset linetype 4 lc rgb '#cc79a7' pt 13\n"
    "set linetype 5 lc rgb '#e69f00' pt 11\nset linetype 6 lc rgb '#56b4e9' pt 2\n"
    "set linetype 7 lc rgb '#555555' pt 6\nset linetype 8 lc rgb '#000000' pt 4\n"
    "set border 3 lc rgb '#444444'\nset tics nomirror out\nset grid lc rgb '#dddddd' lw 0.5\n"
    "set key outside right top Left reverse samplen 2 noenhanced\n";

void vpsde_plot_text(FILE *file, const char *text)
{
    fputc('\'', file);
    for (const char *c = text; *c; c++) {
        if (*c == '\'') fputc('\'', file); /* two stand for one */
        fputc(isalnum((unsigned char)*c) || strchr(" _.,=+-/()[]|:;%^'", *c) ? *c : '_', file);
    }
    fputc('\'', file);
}

static vpsde_status storage_failed(const char *path)
{
    return vpsde_fail(VPSDE_EIO, "%s: cannot be written: %s", path, strerror(errno));
}

/* FOLDER/NAME.SUFFIX of each file of a plot. */
static vpsde_status name_files(char *path[SUFFIXES], const char *folder, const char *name)
{
    for (size_t i = 0; i < SUFFIXES; i++) {
        VPSDE_TRY(vpsde_format(&path[i], "%s/%s.%s", folder, name, suffixes[i]));
    }
    return VPSDE_OK;
}

static vpsde_status close_file(FILE *file, const char *path)
{
    const bool written = fflush(file) == 0 && !ferror(file);
    return fclose(file) == 0 && written ? VPSDE_OK : storage_failed(path);
}

static vpsde_status write_both(vpsde_plot_out *out, const vpsde_plot *plot, const vpsde_page *r)
{
    fprintf(out->script, "# gnuplot %s.gp makes %s.svg and %s.png\n", plot->name, plot->name,
            plot->name);
    fprintf(out->script,
            "%sset terminal svg size 800,500 font 'sans-serif,13' background 'white'\n", style);
    fprintf(out->script, "set output '%s.svg'\n", plot->name);
    VPSDE_TRY(plot->write(out, r));
    fprintf(out->script,
            "\nset terminal pngcairo size 1600,1000 font 'sans-serif,13' fontscale 1.6 linewidth 2 "
            "pointscale 1.6\nset output '%s.png'\nreplot\nunset output\n",
            plot->name);
    return VPSDE_OK;
}

static vpsde_status write_files(bool *empty, const vpsde_plot *plot, const vpsde_page *r,
                                char *const path[SUFFIXES], const char *file)
{
    vpsde_plot_out out = {.data = fopen(path[0], "we"), .file = file};
    if (!out.data) return storage_failed(path[0]);
    out.script = fopen(path[1], "we");
    vpsde_status status = out.script ? write_both(&out, plot, r) : storage_failed(path[1]);
    const vpsde_status closed = close_file(out.data, path[0]);
    if (status == VPSDE_OK) status = closed;
    if (out.script) {
        const vpsde_status ended = close_file(out.script, path[1]);
        if (status == VPSDE_OK) status = ended;
    }
    *empty = out.empty;
    if (out.empty || status != VPSDE_OK) {
        unlink(path[0]);
        unlink(path[1]);
    }
    return status;
}

/* gnuplot NAME.gp in the folder; what it says is not shown. */
static vpsde_status draw(const vpsde_plot *plot, const char *folder)
{
    char script[128];
    char program[] = "gnuplot";
    char *const arguments[] = {program, script, NULL};
    posix_spawn_file_actions_t actions;
    pid_t child;
    int state = 0;
    snprintf(script, sizeof(script), "%s.gp", plot->name);
    if (posix_spawn_file_actions_init(&actions) != 0) {
        return vpsde_fail(VPSDE_ENOMEM, "cannot start gnuplot");
    }
    int error = posix_spawn_file_actions_addchdir_np(&actions, folder);
    for (int fd = 0; fd < 3 && error == 0; fd++) {
        error = posix_spawn_file_actions_addopen(&actions, fd, "/dev/null", O_RDWR, 0);
    }
    if (error == 0) error = posix_spawnp(&child, program, &actions, NULL, arguments, environ);
    posix_spawn_file_actions_destroy(&actions);
    if (error != 0) {
        return vpsde_fail(
            VPSDE_EINTERNAL,
            "gnuplot cannot be started: %s; scripts and data are in %s (Debian: apt-get "
            "install gnuplot-nox)",
            strerror(error), folder);
    }
    while (waitpid(child, &state, 0) < 0 && errno == EINTR) {
    }
    if (WIFEXITED(state) && WEXITSTATUS(state) == 0) return VPSDE_OK;
    return vpsde_fail(VPSDE_EINTERNAL, "gnuplot failed; try 'gnuplot %s' in %s", script, folder);
}

static vpsde_status make(bool *made, const vpsde_plot *plot, const vpsde_page *r,
                         const char *folder, bool force)
{
    char *path[SUFFIXES] = {NULL}, *file = NULL;
    bool empty = false;
    vpsde_status status = name_files(path, folder, plot->name);
    if (status == VPSDE_OK) status = vpsde_format(&file, "%s.dat", plot->name);
    for (size_t i = 0; i < SUFFIXES && status == VPSDE_OK; i++) {
        status = vpsde_page_may_replace(r, path[i], force);
    }
    if (status == VPSDE_OK) status = write_files(&empty, plot, r, path, file);
    if (status == VPSDE_OK && !empty) status = draw(plot, folder);
    *made = !empty;
    for (size_t i = 0; i < SUFFIXES; i++) free(path[i]);
    free(file);
    return status;
}

vpsde_status vpsde_plots_write(size_t *n, const vpsde_page *r, const char *folder, bool force)
{
    *n = 0;
    if (mkdir(folder, 0777) != 0 && errno != EEXIST) return storage_failed(folder);
    for (size_t i = 0; i < N_PLOTS; i++) {
        bool made;
        if (!vpsde_h5_tree_find(&r->tree, plots[i]->group, NULL)) continue;
        VPSDE_TRY(make(&made, plots[i], r, folder, force));
        *n += made;
    }
    return VPSDE_OK;
}
