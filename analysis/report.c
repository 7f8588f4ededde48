#include "analysis/report.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "analysis/report_page.h"
#include "core/config.h"
#include "core/file.h"
#include "core/mem.h"

#define VPSDE_REPORT_SECTION(name) extern const vpsde_page_section vpsde_page_section_##name;
#include "analysis/report.def"
#undef VPSDE_REPORT_SECTION

static const vpsde_page_section *const sections[] = {
#define VPSDE_REPORT_SECTION(name) &vpsde_page_section_##name,
#include "analysis/report.def"
#undef VPSDE_REPORT_SECTION
};
enum { N_SECTIONS = sizeof(sections) / sizeof(sections[0]) };

/* Only `verify` has a configuration that is none. */
static vpsde_status parse_config(vpsde_page *r, const char *text)
{
    const vpsde_status status =
        vpsde_config_parse(&r->config, text, strlen(text), r->name, "/", NULL, 0);
    if (status != VPSDE_OK) r->config = NULL;
    return status == VPSDE_ENOMEM ? status : VPSDE_OK;
}

static vpsde_status check_schema(const vpsde_page *r)
{
    const vpsde_h5_node *root = vpsde_h5_tree_find(&r->tree, "/", NULL);
    const vpsde_h5_attr *schema = vpsde_h5_node_attr(root, "schema");
    char *shown;
    if (!schema || !schema->is_text) {
        return vpsde_fail(VPSDE_EDATA,
                          "%s: not a run file: it has no attribute 'schema'; expected a file that "
                          "vpsde wrote, with schema vpsde/1",
                          r->path);
    }
    if (strcmp(schema->text, "vpsde/1") == 0) return VPSDE_OK;
    VPSDE_TRY(vpsde_strdup(&shown, schema->text));
    vpsde_flatten(shown);
    const vpsde_status status = vpsde_fail(
        VPSDE_EDATA, "%s: its schema is '%.60s'; this version reads vpsde/1", r->path, shown);
    free(shown);
    return status;
}

vpsde_status vpsde_page_open(vpsde_page *r, const char *path)
{
    const char *slash = strrchr(path, '/');
    int fd;
    size_t size;
    *r = (vpsde_page){.path = path, .name = slash ? slash + 1 : path};
    VPSDE_TRY(vpsde_file_open(&fd, &size, path)); /* errno's text, regular files only */
    close(fd);
    VPSDE_TRY(vpsde_h5_tree_open(&r->tree, path));
    vpsde_status status = check_schema(r);
    if (status == VPSDE_OK) {
        status =
            parse_config(r, vpsde_h5_node_text(vpsde_h5_tree_find(&r->tree, "/", NULL), "config"));
    }
    if (status != VPSDE_OK) vpsde_page_close(r);
    return status;
}

void vpsde_page_close(vpsde_page *r)
{
    vpsde_config_close(r->config);
    r->config = NULL;
    vpsde_h5_tree_close(&r->tree);
}

vpsde_status vpsde_page_data(vpsde_json *out, const vpsde_page *r)
{
    vpsde_page writing = *r;
    writing.json = out;
    vpsde_json_object(out, NULL);
    for (size_t i = 0; i < N_SECTIONS; i++) {
        if (*sections[i]->group && !vpsde_h5_tree_find(&r->tree, sections[i]->group, NULL))
            continue;
        vpsde_json_object(out, sections[i]->name);
        VPSDE_TRY(sections[i]->write(&writing));
        vpsde_json_end_object(out);
    }
    vpsde_json_end_object(out);
    return out->status;
}

/* ---- the file -------------------------------------------------------------------------------- */

static vpsde_status storage_failed(const char *path)
{
    return vpsde_fail(VPSDE_EIO, "%s: cannot be written: %s", path, strerror(errno));
}

static void put_escaped(FILE *file, const char *text)
{
    for (const char *c = text; *c; c++) {
        if (*c == '<')
            fputs("&lt;", file);
        else if (*c == '>')
            fputs("&gt;", file);
        else if (*c == '&')
            fputs("&amp;", file);
        else if (*c == '"')
            fputs("&quot;", file);
        else
            fputc((unsigned char)*c < 0x20 ? ' ' : *c, file);
    }
}

static void put_page(FILE *file, const vpsde_page *r, const vpsde_json *data)
{
    fwrite(vpsde_html_head, 1, vpsde_html_head_size, file);
    put_escaped(file, r->name);
    fwrite(vpsde_html_body, 1, vpsde_html_body_size, file);
    fwrite(data->text, 1, data->length, file);
    fwrite(vpsde_html_tail, 1, vpsde_html_tail_size, file);
}

/* Beside the target, durable, then in its place. */
static vpsde_status write_beside(const vpsde_page *r, const char *path, const char *temporary,
                                 const vpsde_json *data)
{
    const int fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (fd < 0) return storage_failed(path);
    FILE *file = fdopen(fd, "w");
    if (!file) {
        const vpsde_status status = storage_failed(path);
        close(fd);
        return status;
    }
    put_page(file, r, data);
    const bool written = fflush(file) == 0 && !ferror(file) && fsync(fd) == 0;
    vpsde_status status = written ? VPSDE_OK : storage_failed(path);
    if (fclose(file) != 0 && status == VPSDE_OK) status = storage_failed(path);
    if (status == VPSDE_OK && rename(temporary, path) != 0) status = storage_failed(path);
    if (status == VPSDE_OK) status = vpsde_sync_folder_of(path);
    return status;
}

vpsde_status vpsde_page_may_replace(const vpsde_page *r, const char *path, bool force)
{
    bool there;
    VPSDE_TRY(vpsde_file_check_target(&there, path));
    if (vpsde_file_same(path, r->path)) {
        return vpsde_fail(VPSDE_EEXIST, "%s: is the run file itself; choose another output", path);
    }
    if (!there || force) return VPSDE_OK;
    return vpsde_fail(VPSDE_EEXIST, "%s exists; --force overwrites it", path);
}

vpsde_status vpsde_page_write(const vpsde_page *r, const char *path, bool force)
{
    vpsde_json data = {.text = NULL};
    char *temporary;
    VPSDE_TRY(vpsde_page_may_replace(r, path, force));
    vpsde_status status = vpsde_page_data(&data, r);
    if (status == VPSDE_OK) status = vpsde_format(&temporary, "%s.%ld.tmp", path, (long)getpid());
    if (status == VPSDE_OK) {
        status = write_beside(r, path, temporary, &data);
        if (status != VPSDE_OK) unlink(temporary);
        free(temporary);
    }
    vpsde_json_free(&data);
    return status;
}
