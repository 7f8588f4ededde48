#include "experiments/run_manifest.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/file.h"
#include "core/mem.h"
#include "core/sha256.h"
#include "models/diffusers.h"

static const char format_line[] = "format 2";

vpsde_status vpsde_manifest_init(vpsde_manifest *m, const char *verb, uint64_t seed,
                                 const char *config, bool replaces)
{
    char hex[65];
    vpsde_sha256(hex, config, strlen(config));
    m->seed = seed;
    m->replaces = replaces;
    VPSDE_TRY(vpsde_strdup(&m->verb, verb));
    VPSDE_TRY(vpsde_strdup(&m->config, config));
    return vpsde_strdup(&m->config_sha256, hex);
}

void vpsde_manifest_free(vpsde_manifest *m)
{
    for (size_t i = 0; i < m->n_inputs; i++) {
        free(m->inputs[i].name);
        free(m->inputs[i].path);
        free(m->inputs[i].sha256);
    }
    free(m->inputs);
    free(m->verb);
    free(m->config_sha256);
    free(m->config);
    *m = (vpsde_manifest){.verb = NULL};
}

/* Each line of the configuration behind its key. */
static vpsde_status config_lines(char **out, const char *config)
{
    size_t n_lines = 1;
    for (const char *c = config; *c; c++) n_lines += *c == '\n';
    VPSDE_TRY(vpsde_alloc(out, strlen(config) + n_lines * sizeof("config \n"), 1));
    char *to = *out;
    for (const char *line = config; *line;) {
        const size_t length = strcspn(line, "\n");
        to = stpcpy(to, "config ");
        memcpy(to, line, length);
        to += length;
        *to++ = '\n';
        line += length + (line[length] == '\n');
    }
    return VPSDE_OK;
}

vpsde_status vpsde_manifest_format(char **text, const vpsde_manifest *m)
{
    char *lines;
    VPSDE_TRY(config_lines(&lines, m->config));
    const vpsde_status head = vpsde_format(
        text, "%s\nverb %s\nseed %llu\n%sconfig_sha256 %s\n%s", format_line, m->verb,
        (unsigned long long)m->seed, m->replaces ? "replaces yes\n" : "", m->config_sha256, lines);
    free(lines);
    VPSDE_TRY(head);
    for (size_t i = 0; i < m->n_inputs; i++) {
        const vpsde_manifest_input *input = &m->inputs[i];
        VPSDE_TRY(vpsde_append(text, "input %s %s %s\n", input->name, input->sha256, input->path));
    }
    return VPSDE_OK;
}

static vpsde_status append(vpsde_manifest *m, const char *name, const char *path,
                           const char *sha256)
{
    vpsde_manifest_input *longer = reallocarray(m->inputs, m->n_inputs + 1, sizeof(*longer));
    if (!longer) return vpsde_fail(VPSDE_ENOMEM, "cannot allocate %zu inputs", m->n_inputs + 1);
    m->inputs = longer;
    vpsde_manifest_input *input = &m->inputs[m->n_inputs++];
    *input = (vpsde_manifest_input){.name = NULL};
    VPSDE_TRY(vpsde_strdup(&input->name, name));
    VPSDE_TRY(vpsde_strdup(&input->path, path));
    return vpsde_strdup(&input->sha256, sha256);
}

static vpsde_status changed(const char *path, const char *name)
{
    return vpsde_fail(VPSDE_EDATA,
                      "%s: the %s file has changed since this run began (its SHA-256 differs); "
                      "restore it, or start a new run",
                      path, name);
}

vpsde_status vpsde_manifest_add(vpsde_manifest *m, bool *added, const char *name, const char *path,
                                const char *sha256)
{
    *added = false;
    for (size_t i = 0; i < m->n_inputs; i++) {
        const vpsde_manifest_input *input = &m->inputs[i];
        if (strcmp(input->name, name) != 0) continue;
        return strcmp(input->sha256, sha256) == 0 ? VPSDE_OK : changed(path, name);
    }
    if (strpbrk(name, " \n") || !*name || strpbrk(sha256, " \n") || strchr(path, '\n')) {
        return vpsde_fail(VPSDE_EINVAL, "input %s: a path cannot hold a line end: %s", name, path);
    }
    *added = true;
    return append(m, name, path, sha256);
}

/* "FILE.h5:/dataset" -> "FILE.h5" unless the whole is a file. */
static vpsde_status file_of(char **file, const char *path)
{
    bool there = true;
    if (strstr(path, ":/")) VPSDE_TRY(vpsde_file_is_there(&there, path));
    VPSDE_TRY(vpsde_strdup(file, path));
    if (!there) *strstr(*file, ":/") = '\0';
    return VPSDE_OK;
}

vpsde_status vpsde_manifest_check_inputs(const vpsde_manifest *m)
{
    for (size_t i = 0; i < m->n_inputs; i++) {
        const vpsde_manifest_input *input = &m->inputs[i];
        char *file, hex[65];
        VPSDE_TRY(file_of(&file, input->path));
        const vpsde_status status = vpsde_is_folder(file) ? vpsde_diffusers_sha256(hex, file)
                                                          : vpsde_sha256_file(hex, file);
        free(file);
        if (status == VPSDE_EIO) return vpsde_fail(VPSDE_EDATA, "%s", vpsde_last_error());
        VPSDE_TRY(status);
        if (strcmp(hex, input->sha256) != 0) return changed(input->path, input->name);
    }
    return VPSDE_OK;
}

/* The line's rest after "KEY ", or NULL. */
static char *after(char *line, const char *key)
{
    const size_t n = strlen(key);
    return strncmp(line, key, n) == 0 && line[n] == ' ' ? line + n + 1 : NULL;
}

static bool parse_seed(uint64_t *seed, const char *text)
{
    char *end;
    errno = 0;
    *seed = strtoull(text, &end, 10);
    return end != text && !*end && !errno;
}

/* One line; false when it is none of ours. */
static vpsde_status parse_line(bool *known, vpsde_manifest *m, char *line)
{
    char *value;
    *known = true;
    if ((value = after(line, "verb")) && !m->verb) return vpsde_strdup(&m->verb, value);
    if ((value = after(line, "config_sha256")) && !m->config_sha256) {
        return vpsde_strdup(&m->config_sha256, value);
    }
    if ((value = after(line, "input"))) {
        char *sum = strchr(value, ' '), *path = sum ? strchr(sum + 1, ' ') : NULL;
        if (path) {
            *sum = *path = '\0';
            return append(m, value, path + 1, sum + 1);
        }
    }
    if ((value = after(line, "replaces"))) {
        *known = m->replaces = strcmp(value, "yes") == 0;
        return VPSDE_OK;
    }
    *known = (value = after(line, "seed")) && parse_seed(&m->seed, value);
    return VPSDE_OK;
}

vpsde_status vpsde_manifest_parse(vpsde_manifest *m, const char *text, const char *where)
{
    char *copy, *rest = NULL;
    VPSDE_TRY(vpsde_alloc(&m->config, strlen(text) + 1, 1));
    VPSDE_TRY(vpsde_strdup(&copy, text));
    char *config = m->config, *value, *line = strtok_r(copy, "\n", &rest);
    bool known = line && strcmp(line, format_line) == 0;
    vpsde_status status = VPSDE_OK;
    while (known && status == VPSDE_OK && (line = strtok_r(NULL, "\n", &rest))) {
        if ((value = after(line, "config")))
            config = stpcpy(stpcpy(config, value), "\n");
        else
            status = parse_line(&known, m, line);
    }
    free(copy);
    if (status == VPSDE_OK && !(known && m->verb && m->config_sha256)) {
        return vpsde_fail(VPSDE_EIO,
                          "%s: is not a manifest of this version of vpsde; start the run "
                          "again with --force",
                          where);
    }
    return status;
}
