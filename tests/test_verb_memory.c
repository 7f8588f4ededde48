/* Each place of the verbs that takes memory fails once, told apart by the last calls that led there: the
 * verb ends with ENOMEM, and nothing new lies in its folder but parts that can be resumed. */
#include "tests/command_fixture.h"
#include "tests/failing_malloc.h"

#include <execinfo.h>
#include <stdint.h>

#define MIXTURE(means, more)                                                                       \
    "seed: 7\nprocess: {schedule: vp-linear, t_min: 1e-3}\nmodel: {kind: gaussian-mixture, "       \
    "weights: [0.3, 0.7], means: " means ", variances: [0.5, 0.6]" more "}\n"
#define LINE                                                                                       \
    MIXTURE("[[-2], [2]]", ", classes: [0, 1]")                                                    \
    "sampler: {solver: ancestral, steps: 3, count: 8}\nthermo: {count: 8, "                        \
    "schedule: {nodes: 8, samples: 8, steps: 3}}\ntransport: {count: 4}\n"                         \
    "fokker-planck: {cells: 60, times: 2, class: 0, guidance: 1}\n"
#define PLANE                                                                                      \
    MIXTURE("[[-2, 0], [2, 1]]", "")                                                               \
    "data: {path: data.npy}\nsampler: {solver: [{solver: heun, steps: 3}, {solver: ddim, label: "  \
    "even, steps: 3, grid: {kind: equal-dissipation, pilot_nodes: 8}}], count: 8}\n"               \
    "log: {times: 2, fields: [x, eps, x0, logp]}\nlikelihood: {gradient: true, estimators: "       \
    "[pf-ode, chain], integrator: {solver: dopri5, rtol: 1e-2, atol: 1e-2}}\n"                     \
    "elbo: {steps: 4, draws: 2}\ninterpolate: {points: 3}\nedit: {t0: 0.4}\n"                      \
    "inpaint: {mask: [1, 0], jump_length: 2, resamples: 2}\nfokker-planck: {cells: [32, 32], "     \
    "times: 2, tolerance: 1e-2}\ncompare: {solvers: [ddim, heun], steps: [2, 4], seeds: 2, "       \
    "reference: {solver: heun, steps: 6}}\n"
#define ONE                                                                                        \
    MIXTURE("[[-2, 0], [2, 1]]", "")                                                               \
    "data: {path: data.npy}\nsampler: {solver: heun, steps: 3}\n"
#define RECORD                                                                                     \
    MIXTURE("[[-2, 0], [2, 1]]", "")                                                               \
    "sampler: {solver: ancestral, steps: 4, count: 8}\nlog: {times: all, fields: [x, eps, "        \
    "kernel]}\n"
#define NETWORK "model: {path: kept.safetensors}\nsampler: {solver: ddim, steps: 3, count: 3}\n"

/* `input` is written from `text`, or is what an earlier case has kept. */
typedef struct verb_case {
    const char *verb, *input, *text, *output, *keep;
} verb_case;

static const verb_case cases[] = {
    {"sample", "plane.yaml", PLANE, "out.h5", "sample.h5"},
    {"likelihood", "plane.yaml", PLANE, "out.h5", "likelihood.h5"},
    {"elbo", "plane.yaml", PLANE, "out.h5", "elbo.h5"},
    {"encode", "one.yaml", ONE, "out.h5", "encode.h5"},
    {"decode", "encode.h5", NULL, "out.h5", NULL},
    {"interpolate", "plane.yaml", PLANE, "out.h5", NULL},
    {"edit", "plane.yaml", PLANE, "out.h5", NULL},
    {"inpaint", "one.yaml", ONE "inpaint: {mask: [1, 0]}\n", "out.h5", NULL},
    {"compare", "plane.yaml", PLANE, "out.h5", "compare.h5"},
    {"fokker-planck", "line.yaml", LINE, "out.h5", "density.h5"},
    {"fokker-planck", "plane.yaml", PLANE, "out.h5", "plane.h5"},
    {"transport", "line.yaml", LINE, "out.h5", "transport.h5"},
    {"thermo", "line.yaml", LINE, "out.h5", "thermo.h5"},
    {"sample", "record.yaml", RECORD, "out.h5", "record.h5"},
    {"thermo", "record.h5", NULL, "out.h5", NULL},
    {"sample", "network.yaml", NETWORK, "out.h5", "network.h5"},
    {"train", "conf.yaml", NULL, "net.safetensors", NULL},
    {"check", "plane.yaml", PLANE, NULL, NULL},
    {"info", "sample.h5", NULL, NULL, NULL},
    {"info", "kept.safetensors", NULL, NULL, NULL},
    {"rerun", "sample.h5", NULL, NULL, NULL},
    {"report", "sample.h5", NULL, "page.html", NULL},
    {"report", "likelihood.h5", NULL, "page.html", NULL},
    {"report", "elbo.h5", NULL, "page.html", NULL},
    {"report", "compare.h5", NULL, "page.html", NULL},
    {"report", "density.h5", NULL, "page.html", NULL},
    {"report", "plane.h5", NULL, "page.html", NULL},
    {"report", "transport.h5", NULL, "page.html", NULL},
    {"report", "thermo.h5", NULL, "page.html", NULL},
};

/* ---- the places ------------------------------------------------------------------------------ */

enum { PLACES = 4096, DEPTH = 10 };

static struct {
    uint64_t stack[PLACES];
    size_t first[PLACES], n; /* the call that came from there first */
} places;

static void note_place(size_t call)
{
    void *frame[DEPTH];
    uint64_t hash = 0xcbf29ce484222325u; /* FNV-1a */
    const int depth = backtrace(frame, DEPTH);
    for (int i = 0; i < depth; i++) hash = (hash ^ (uintptr_t)frame[i]) * 0x100000001b3u;
    for (size_t i = 0; i < places.n; i++) {
        if (places.stack[i] == hash) return;
    }
    if (places.n == PLACES) return;
    places.stack[places.n] = hash;
    places.first[places.n++] = call;
}

/* ---- running --------------------------------------------------------------------------------- */

static int nowhere = -1; /* what the verbs print */

static vpsde_status run(const verb_case *c, size_t at)
{
    char *inputs[] = {(char *)(uintptr_t)c->input};
    const vpsde_cli cli = {.program = "vpsde",
                           .input = c->input,
                           .inputs = inputs,
                           .n_inputs = 1,
                           .output = c->output,
                           .threads = 1};
    fflush(stdout);
    const int kept = dup(STDOUT_FILENO);
    assert_true(dup2(nowhere, STDOUT_FILENO) >= 0);
    failing.calls = 0;
    failing.at = at;
    const vpsde_status status = vpsde_verb_find(c->verb)->run(&cli);
    failing.at = 0;
    fflush(stdout);
    assert_true(dup2(kept, STDOUT_FILENO) >= 0);
    close(kept);
    return status;
}

static size_t count_files(void)
{
    glob_t all;
    assert_int_equal(glob("*", 0, NULL, &all), 0);
    const size_t n = all.gl_pathc;
    globfree(&all);
    return n;
}

static void clean(void)
{
    static const char *const names[] = {"out.h5", "page.html", "net.safetensors", "net.h5",
                                        "net.state.safetensors"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) (void)unlink(names[i]);
    command_empty("out.h5.parts");
    command_empty("net.h5.parts");
}

static bool is_done(vpsde_status status)
{
    return status == VPSDE_OK || status == VPSDE_EPARTIAL || status == VPSDE_ENUMERIC;
}

/* What one failed allocation led to: NULL where it is as it should be. */
static const char *wrong(const verb_case *c, size_t call, size_t files)
{
    const vpsde_status status = run(c, call);
    const bool swept = status == VPSDE_OK && strcmp(c->verb, "rerun") == 0; /* after its result */
    if (status != VPSDE_ENOMEM && !swept) return vpsde_last_error();
    if (c->output && strcmp(c->verb, "train") != 0 && command_exists(c->output)) return c->output;
    clean();
    return count_files() == files ? NULL : "files are left";
}

static size_t fail_each_place(const verb_case *c)
{
    size_t n_wrong = 0;
    const size_t first = places.n;
    if (c->text) command_write(c->input, c->text, strlen(c->text));
    failing.seen = note_place;
    const vpsde_status whole = run(c, SIZE_MAX);
    failing.seen = NULL;
    if (!is_done(whole)) assert_ok(whole);
    if (c->keep) assert_int_equal(rename(c->output, c->keep), 0);
    clean();
    const size_t files = count_files();
    for (size_t i = first; i < places.n; i++) {
        const char *what = wrong(c, places.first[i], files);
        if (!what) continue;
        n_wrong++;
        print_error("%s %s, allocation %zu: %s\n", c->verb, c->input, places.first[i], what);
        clean();
    }
    print_message("%s %s: %zu more places failed\n", c->verb, c->input, places.n - first);
    return n_wrong;
}

static void every_verb_survives(void **state)
{
    (void)state;
    nowhere = open("/dev/null", O_WRONLY | O_CLOEXEC);
    assert_true(nowhere >= 0);
    void *frame[1];
    (void)backtrace(frame, 1); /* it loads a library the first time */
    size_t n_wrong = 0;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        n_wrong += fail_each_place(&cases[i]);
    }
    close(nowhere);
    assert_in_range(places.n, 500, PLACES - 1);
    assert_int_equal(n_wrong, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_verb_survives)};
    return cmocka_run_group_tests(tests, command_setup, command_teardown);
}
