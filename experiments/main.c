#include <limits.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/mem.h"
#include "experiments/cli.h"

#define VPSDE_VERB(name) extern const vpsde_verb vpsde_verb_##name;
#include "experiments/verbs.def"
#undef VPSDE_VERB

static const vpsde_verb *const verbs[] = {
#define VPSDE_VERB(name) &vpsde_verb_##name,
#include "experiments/verbs.def"
#undef VPSDE_VERB
};
enum { N_VERBS = sizeof(verbs) / sizeof(verbs[0]) };

const vpsde_verb *vpsde_verb_at(size_t index) { return index < N_VERBS ? verbs[index] : NULL; }

const vpsde_verb *vpsde_verb_find(const char *name)
{
    for (size_t i = 0; i < N_VERBS; i++) {
        if (strcmp(verbs[i]->name, name) == 0) return verbs[i];
    }
    return NULL;
}

static void help(FILE *out)
{
    fputs("Usage: vpsde VERB [INPUT] [-o OUTPUT] [--set key.path=value]... [--threads N] "
          "[--quiet] [--force]\n"
          "SDE and ODE solvers for diffusion models: sampling, exact log-likelihood, trajectories "
          "in HDF5.\n\n",
          out);
    for (size_t i = 0; i < N_VERBS; i++) {
        fprintf(out, "  %-11s %s\n", verbs[i]->name, verbs[i]->summary);
    }
    fputs("\n'vpsde VERB --help' tells the options of a verb; 'vpsde list verbs' and 'vpsde list "
          "solvers' what there is.\n",
          out);
}

static int unknown_verb(const char *word)
{
    const char *names[N_VERBS];
    for (size_t i = 0; i < N_VERBS; i++) names[i] = verbs[i]->name;
    const char *near = vpsde_nearest(word, names, N_VERBS);
    fprintf(stderr, "vpsde: unknown verb '%s'; %s%s\n", word,
            near ? "did you mean " : "try vpsde --help", near ? near : "");
    return vpsde_status_exit_code(VPSDE_EUSAGE);
}

/* What a process can only be told at its start, so a verb that works starts itself once more with these
 * settings; one's own are respected.
 * - libgomp's threads burn their processor while they wait: beside other work on the same processors runs
 *   took 25 times as long (28 s for 1.1 s, measured at load 6 on two).
 * - The heap asks for huge pages: page faults were a quarter of a U-Net's start. */
static void start_well(const vpsde_verb *verb, char **argv)
{
    if (!(verb->options & VPSDE_CLI_THREADS)) return;
    if (getenv("OMP_WAIT_POLICY") || getenv("GOMP_SPINCOUNT")) return;
    char self[PATH_MAX] = "";
    const ssize_t length = readlink("/proc/self/exe", self, sizeof(self) - 1);
    if (length <= 0 || setenv("OMP_WAIT_POLICY", "passive", 1) != 0) return;
    (void)setenv("GLIBC_TUNABLES", "glibc.malloc.hugetlb=1", 0);
    (void)execv(self, argv); /* where that fails, the work goes on as it is */
}

/* Large pieces come from the heap, which keeps them: those that glibc maps by themselves are small pages,
 * and faulted in anew each time. */
static void keep_memory(void)
{
    (void)mallopt(M_MMAP_THRESHOLD, 1 << 30);
    (void)mallopt(M_TOP_PAD, 16 << 20);
}

int main(int argc, char **argv)
{
    const char *word = argc > 1 ? argv[1] : NULL;
    if (!word) {
        help(stderr);
        return vpsde_status_exit_code(VPSDE_EUSAGE);
    }
    if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0 || strcmp(word, "help") == 0) {
        help(stdout);
        return 0;
    }
    if (strcmp(word, "--version") == 0 || strcmp(word, "-V") == 0) {
        printf("vpsde %s\n", vpsde_version());
        return 0;
    }
    const vpsde_verb *verb = vpsde_verb_find(word);
    if (!verb) return unknown_verb(word);
    signal(SIGXFSZ, SIG_IGN); /* a file-size limit becomes an ordinary write error */
    start_well(verb, argv);
    keep_memory();
    return vpsde_verb_main(verb, argc - 1, argv + 1);
}
