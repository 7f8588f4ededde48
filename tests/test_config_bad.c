/* What a configuration may not be, and where the message says it is. */
#include "tests/config_schema.h"

typedef struct bad_row {
    const char *text, *place, *words;
} bad_row;

static const bad_row bad[] = {
    {"seed: -1\n", "f.yaml:1:7: seed: ", "'-1' must not be negative"},
    {"seed: 18446744073709551616\n", "f.yaml:1:7: seed: ", "too large"},
    {"seed: 0x1ffffffffffffffff\n", "f.yaml:1:7: seed: ", "too large"},
    {"seed: 1.5\n", "f.yaml:1:7: seed: ", "'1.5' is not a whole number"},
    {"seed: 1e300\n", "f.yaml:1:7: seed: ", "too large"},
    {"seed: \"1\"\n", "f.yaml:1:7: seed: ", "'1' is quoted, which makes it text"},
    {"seed: 1_000\n", "f.yaml:1:7: seed: ", "is not a number"},
    {"seed: 0x\n", "f.yaml:1:7: seed: ", "is not a number"},
    {"seed: 0o8\n", "f.yaml:1:7: seed: ", "is not a number"},
    {"seed: -\n", "f.yaml:1:7", "not valid YAML"},
    {"seed: [1]\n", "f.yaml:1:7: seed: ", "is a list; expected a whole number of at least 0"},
    {"seed: {a: 1}\n", "f.yaml:1:7: seed: ", "is a section; expected a whole number"},
    {"process:\n  t_min: 1e-5x\n",
     "f.yaml:2:10: process.t_min: ", "'1e-5x' is not a number; expected a number in [1e-12, 1]"},
    {"process:\n  t_min: .nan\n", "f.yaml:2:10: process.t_min: ", "must be finite"},
    {"process:\n  t_min: nan\n", "f.yaml:2:10: process.t_min: ", "must be finite"},
    {"process:\n  t_min: -.inf\n", "f.yaml:2:10: process.t_min: ", "must be finite"},
    {"process:\n  t_min: 1e999\n", "f.yaml:2:10: process.t_min: ", "'1e999' is too large"},
    {"process:\n  t_min: 1e-13\n",
     "f.yaml:2:10: process.t_min: ", "1e-13 is out of range; expected a number in [1e-12, 1]"},
    {"process:\n  t_min: .\n", "f.yaml:2:10: process.t_min: ", "is not a number"},
    {"process:\n  t_min: 1e\n", "f.yaml:2:10: process.t_min: ", "is not a number"},
    {"process:\n  t_min: 1,5\n", "f.yaml:2:10: process.t_min: ", "is not a number"},
    {"process:\n  beta_min: -2\n",
     "f.yaml:2:13: process.beta_min: ", "-2 is out of range; expected a number of at least 0"},
    {"process:\n  override: yes\n",
     "f.yaml:2:13: process.override: ", "'yes' is neither; expected true or false"},
    {"process:\n  override: 'true'\n", "f.yaml:2:13: process.override: ", "quoted text"},
    {"process: 3\n", "f.yaml:1:10: process: ", "is the single value '3'; expected a section"},
    {"process: [3]\n", "f.yaml:1:10: process: ", "is a list; expected a section"},
    {"process:\n  betamin: 2\n",
     "f.yaml:2:3: process.betamin: ", "unknown key 'betamin'; did you mean 'beta_min'?"},
    {"process:\n  completely_else: 2\n", "f.yaml:2:3: process.completely_else: ",
     "unknown key 'completely_else'; expected one of beta_min, t_min, t_max, override"},
    {"seed: 1\nsamplers: {grid: karras}\n", "f.yaml:2:1: samplers: ", "did you mean 'sampler'?"},
    {"nothing_like_it:\n  a: {b: 1}\n",
     "f.yaml:1:1: nothing_like_it: ", "expected one of seed, title, process, model, sampler"},
    {"nul_value: ~\n", "f.yaml:1:1: nul_value: ", "unknown key"},
    {"sampler:\n  grid: karas\n",
     "f.yaml:2:9: sampler.grid: ", "unknown word 'karas'; did you mean 'karras'?"},
    {"sampler:\n  grid: zzzzzzzzz\n",
     "f.yaml:2:9: sampler.grid: ", "unknown word 'zzzzzzzzz'; expected one of uniform-t|"},
    {"sampler:\n  solver:\n  - solver: heun\n  - sover: ddim\n",
     "f.yaml:4:5: sampler.solver.1.solver: ", "is missing; expected text; is 'sover' meant?"},
    {"sampler:\n  solver:\n  - {solver: heun, rtoll: 1}\n",
     "f.yaml:3:20: sampler.solver.0.rtoll: ", "did you mean 'rtol'?"},
    {"sampler:\n  solver:\n  - {solver: heun, eta: 0}\n",
     "f.yaml:3:25: sampler.solver.0.eta: ", "0 is out of range; expected a number in (0, 1]"},
    {"sampler:\n  solver:\n  - {solver: heun, order: 1.5}\n",
     "f.yaml:3:27: sampler.solver.0.order: ", "is not a whole number"},
    {"sampler:\n  solver:\n  - {solver: heun, variance: larg}\n",
     "f.yaml:3:30: sampler.solver.0.variance: ", "did you mean 'large'?"},
    {"sampler:\n  solver:\n  - {solver: heun, exact: on}\n",
     "f.yaml:3:27: sampler.solver.0.exact: ", "expected true or false"},
    {"sampler:\n  solver: [[ddim]]\n",
     "f.yaml:2:12: sampler.solver.0: ", "is a list; expected a section with keys such as solver"},
    {"sampler:\n  times: [[1]]\n", "f.yaml:2:11: sampler.times.0: ", "nested deeper than 1 lists"},
    {"model:\n  means: [[1, 2], [3]]\n",
     "f.yaml:2:19: model.means.1: ", "has 1 entries; expected 2 as before it"},
    {"model:\n  means: [[1, 2], 3]\n",
     "f.yaml:2:19: model.means.1: ", "is the single value '3'; expected a list of 2"},
    {"model:\n  means: [1, [3]]\n", "f.yaml:2:14: model.means.1: ", "is a list; expected a number"},
    {"model:\n  means: [1, x]\n", "f.yaml:2:14: model.means.1: ", "'x' is not a number"},
    {"model:\n  means: [1, ~]\n", "f.yaml:2:14: model.means.1: ", "is nothing; expected a number"},
    {"model:\n  means: [1, .inf]\n", "f.yaml:2:14: model.means.1: ", "must be finite"},
    {"model:\n  means: {a: 1}\n", "f.yaml:2:10: model.means: ", "is a section; expected a number"},
    {"seed: 1\nseed: 2\n",
     "f.yaml:2:1: seed: ", "duplicate key 'seed'; it stands already on line 1"},
    {"a: &x 1\nb: *x\n", "f.yaml:1:4: a: ", "anchor &x"},
    {"b: *x\n", "f.yaml:1:4: b: ", "alias *x"},
    {"a: !!str 1\n", "f.yaml:1:4: a: ", "tag tag:yaml.org,2002:str"},
    {"a: ! 1\n", "f.yaml:1:4: a: ", "tag !"},
    {"a: !local [1]\n", "f.yaml:1:4: a: ", "tags are not accepted"},
    {"? &k a\n: 1\n", "f.yaml:1:3: a: ", "anchor &k"},
    {"process:\n  <<: {t_min: 1}\n", "f.yaml:2:3: process.<<: ", "merge keys are not accepted"},
    {"a: 1\n---\nb: 2\n", "f.yaml:2:1: ", "second document"},
    {"a: 1\n...\n---\n", "f.yaml:3:1: ", "second document"},
    {"? [a, b]\n: 1\n", "f.yaml:1:3: ", "a list or section as a key"},
    {"? {a: b}\n: 1\n", "f.yaml:1:3: ", "a list or section as a key"},
    {"? *x\n: 1\n", "f.yaml:1:3: ", "alias as a key"},
    {"'': 1\n", "f.yaml:1:1: ", "empty key"},
    {": 1\n", "f.yaml:1:1: ", "not valid YAML"},
    {"%YAML 1.1\n---\na: 1\n", "f.yaml:1:1: ", "not YAML 1.2"},
    {"%TAG ! tag:x,2000:\n---\na: 1\n", "f.yaml:1:1: ", "%TAG directive"},
    {"- 1\n- 2\n", "f.yaml:1:1: ", "is a list; expected a section of keys"},
    {"just words\n", "f.yaml:1:1: ", "is the single value 'just words'"},
    {"a: [1, 2\n", "f.yaml:2:1: ", "not valid YAML"},
    {"a: b: c\n", "f.yaml:1:5: ", "not valid YAML: mapping values are not allowed"},
    {"a:\n\t- 1\n", "f.yaml:2:1: ", "not valid YAML"},
    {"a: 'open\n", "f.yaml:2:1: ", "not valid YAML"},
    {"a: \x80\n", "f.yaml:1:4: ", "not valid YAML: invalid leading UTF-8 octet"},
    {"b: \xC3\xA9\na: \x01\n", "f.yaml:2:4: ", "control characters are not allowed"},
    {"a: \"x\\0y\"\n", "f.yaml:1:4: a: ", "NUL character"},
    {"\xEF\xBB\xBF"
     "a: 1\n",
     "f.yaml:1:1: ", "byte order mark"},
};

static void refuses_with_place_and_reason(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_fails(try_text(bad[i].text, strlen(bad[i].text), NULL, 0), VPSDE_ECONFIG,
                     bad[i].words);
        if (strncmp(vpsde_last_error(), bad[i].place, strlen(bad[i].place)) != 0) {
            fail_msg("row %zu: place in '%s', expected '%s'", i, vpsde_last_error(), bad[i].place);
        }
    }
}

static void refuses_other_encodings(void **state)
{
    static const char little[] = "\xFF\xFE"
                                 "a\0:\0",
                      big[] = "\xFE\xFF\0a\0:";
    static const char nul[] = "seed: 1\nab\0c: 1\n";
    (void)state;
    assert_fails(try_text(little, sizeof(little) - 1, NULL, 0), VPSDE_ECONFIG,
                 "f.yaml:1:1: is UTF-16; expected UTF-8");
    assert_fails(try_text(big, sizeof(big) - 1, NULL, 0), VPSDE_ECONFIG, "is UTF-16");
    assert_fails(try_text(nul, sizeof(nul) - 1, NULL, 0), VPSDE_ECONFIG, "f.yaml:2:3: NUL byte");
}

static char *repeat(const char *unit, size_t n, const char *end)
{
    const size_t length = strlen(unit);
    char *text = malloc(n * length + strlen(end) + 1);
    assert_non_null(text);
    for (size_t i = 0; i < n; i++) memcpy(text + i * length, unit, length);
    memcpy(text + n * length, end, strlen(end) + 1);
    return text;
}

/* Each would take minutes or gigabytes if it were followed to its end. */
static void refuses_bombs_at_once(void **state)
{
    static const struct {
        const char *unit;
        size_t n;
        const char *end, *words;
    } bombs[] = {
        {"[", 200000, "", "f.yaml:1:65: nested deeper than 64"},
        {"{", 200000, "", "nested deeper than 64"},
        {"[\n", 200000, "", "f.yaml:65:1: nested deeper than 64"},
        {"[a,", 200000, "", "nested deeper than 64"},
        {"[\"]\",", 200000, "", "nested deeper than 64"},
        {"- ", 200000, "", "nested deeper than 64"},
        {"? ", 200000, "", "as a key"},
        {"a: {", 200000, "", "nested deeper than 64"},
        {"{a: ", 200000, "", "nested deeper than 64"},
        {"[", 65, "]", "nested deeper than 64"},
        {"# pad\n", 180000, "", "larger than 1 MiB"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(bombs) / sizeof(bombs[0]); i++) {
        char *text = repeat(bombs[i].unit, bombs[i].n, bombs[i].end);
        assert_fails(try_text(text, strlen(text), NULL, 0), VPSDE_ECONFIG, bombs[i].words);
        free(text);
    }
    char many[1100 * 8] = "";
    for (size_t i = 0, used = 0; i < 1100; i++) {
        used += (size_t)snprintf(many + used, sizeof(many) - used, "k%zu:\n", i);
    }
    assert_fails(try_text(many, strlen(many), NULL, 0), VPSDE_ECONFIG, "more than 1024 keys");
    static const char brackets[] = "title: 'a [[[{{{ b'\n";
    assert_ok(try_text(brackets, strlen(brackets), NULL, 0));
}

static void accepts_64_levels(void **state)
{
    char text[200] = "a: ";
    vpsde_config *root;
    (void)state;
    for (size_t i = 0; i < 63; i++) strcat(text, "[");
    for (size_t i = 0; i < 63; i++) strcat(text, "]");
    assert_ok(vpsde_config_parse(&root, text, strlen(text), "f.yaml", "/", NULL, 0));
    vpsde_config_close(root);
}

static void overrides_fail_by_name(void **state)
{
    static const struct {
        const char *set, *words;
    } rows[] = {
        {"seed", "--set seed: no key; expected key.path=value"},
        {"=3", "expected key.path=value"},
        {"a..b=3", "--set a..b: empty key"},
        {"seed=-1", "--set seed: '-1' must not be negative"},
        {"seed.x=1", "--set seed.x: 'x' stands below the single value '18446744073709551615'"},
        {"sampler.solver.3=x", "--set sampler.solver.3: '3' is not an item of the list; expected a "
                               "number below 3"},
        {"sampler.solver.x=x", "is not an item of the list"},
        {"sampler.stepz=1", "--set sampler.stepz: unknown key 'stepz'"},
        {"smapler.grid=karras", "--set smapler.grid: smapler: unknown key 'smapler'; did you mean"},
        {"process={t_mim: 1}", "--set process: process.t_mim: unknown key 't_mim'; did you mean"},
        {"process.t_min=[", "--set process.t_min: not valid YAML"},
        {"process.t_min=&a 1", "--set process.t_min: anchor &a"},
        {"process.t_min=1\n---\n2", "--set process.t_min: second document"},
        {"process={a: 1, a: 2}", "--set process: process.a: duplicate key"},
        {"title=\xFF", "--set title: not valid YAML"},
    };
    char deep[400] = "a";
    char *bombs[] = {deep};
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char set[100];
        char *sets[] = {set};
        snprintf(set, sizeof(set), "%s", rows[i].set);
        assert_fails(try_text(document, strlen(document), sets, 1), VPSDE_ECONFIG, rows[i].words);
    }
    for (size_t i = 0; i < 64; i++) strcat(deep, ".a");
    strcat(deep, "=1");
    assert_fails(try_text("", 0, bombs, 1), VPSDE_ECONFIG, "nested deeper than 64");
}

/* Knuth's MMIX generator: the mutations are the same on every machine. */
static uint64_t lcg(uint64_t *s)
{
    *s = *s * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return *s >> 33;
}

static void survives_mutations(void **state)
{
    static const char marks[] = "[]{}:,-?&*!|>'\"%@`#\n\t \\0eE.~<";
    uint64_t s = 7;
    size_t n_ok = 0;
    (void)state;
    for (size_t run = 0; run < 10000; run++) {
        char text[sizeof(document)];
        memcpy(text, document, sizeof(text));
        for (size_t m = 1 + lcg(&s) % 4; m > 0; m--) {
            const size_t at = lcg(&s) % (sizeof(text) - 1);
            const bool any = lcg(&s) % 2;
            text[at] = any ? (char)lcg(&s) : marks[lcg(&s) % (sizeof(marks) - 1)];
        }
        vpsde_config *root;
        answers a = {.seed = 0};
        if (vpsde_config_parse(&root, text, sizeof(text) - 1, "f", "/", NULL, 0) != VPSDE_OK)
            continue;
        if (ask_all(&a, root) == VPSDE_OK) {
            char *resolved;
            assert_ok(vpsde_config_resolved(&resolved, root));
            assert_ok(try_text(resolved, strlen(resolved), NULL, 0));
            free(resolved);
            n_ok++;
        }
        vpsde_config_close(root);
        drop(&a);
    }
    assert_true(n_ok > 100); /* enough of them get past the parser */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refuses_with_place_and_reason), cmocka_unit_test(refuses_other_encodings),
        cmocka_unit_test(refuses_bombs_at_once),         cmocka_unit_test(accepts_64_levels),
        cmocka_unit_test(overrides_fail_by_name),        cmocka_unit_test(survives_mutations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
