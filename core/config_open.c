#include "core/config_impl.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/file.h"
#include "core/mem.h"

enum { FIRST_PIECE = 1 << 12 };

vpsde_status vpsde_config_parse(vpsde_config **out, const char *text, size_t length,
                                const char *name, const char *folder, char *const *overrides,
                                size_t n)
{
    char *absolute = realpath(folder && *folder ? folder : ".", NULL);
    if (!absolute && errno == ENOMEM) return vpsde_fail(VPSDE_ENOMEM, "cannot allocate a path");
    if (!absolute) {
        return vpsde_fail(VPSDE_ECONFIG, "%s: folder '%s' cannot be read: %s", name,
                          folder ? folder : ".", strerror(errno));
    }
    vpsde_config_document *document;
    vpsde_status status = vpsde_config_document_create(&document, name, absolute);
    free(absolute);
    VPSDE_TRY(status);
    vpsde_config *root = document->root;
    root->kind = VPSDE_NODE_ABSENT;
    status = vpsde_config_read(root, text, length, 0);
    if (status == VPSDE_OK && root->kind == VPSDE_NODE_ABSENT) root->kind = VPSDE_NODE_MAPPING;
    if (status == VPSDE_OK && root->kind != VPSDE_NODE_MAPPING) {
        char got[100];
        status = vpsde_config_fail(root, NULL, "is %s; expected a section of keys",
                                   vpsde_config_describe(got, sizeof(got), root));
    }
    for (size_t i = 0; i < n && status == VPSDE_OK; i++) {
        status = vpsde_config_override(document, overrides[i]);
    }
    if (status != VPSDE_OK) {
        vpsde_config_document_destroy(document);
        return status;
    }
    *out = root;
    return VPSDE_OK;
}

static vpsde_status fail_read(const char *path, int error)
{
    return vpsde_fail(VPSDE_ECONFIG, "%s: cannot be read: %s", path, strerror(error));
}

/* The whole file, which may be a pipe, into fresh memory. One byte more than allowed is enough to tell
 * that it is too large. */
static vpsde_status read_all(char **text, size_t *length, const char *path, int fd)
{
    const size_t most = (size_t)VPSDE_CONFIG_BYTES_MAX + 1;
    for (size_t room = 0; *length < most;) {
        if (*length == room) {
            room = room < most / 2 ? 2 * room + FIRST_PIECE : most;
            char *larger = realloc(*text, room);
            if (!larger) return vpsde_fail(VPSDE_ENOMEM, "cannot allocate %zu bytes", room);
            *text = larger;
        }
        const ssize_t got = read(fd, *text + *length, room - *length);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return fail_read(path, errno);
        if (got == 0) break;
        *length += (size_t)got;
    }
    return VPSDE_OK;
}

static vpsde_status read_file(char **text, size_t *length, const char *path)
{
    const int fd = vpsde_fd_open(AT_FDCWD, path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return fail_read(path, errno);
    const vpsde_status status = read_all(text, length, path, fd);
    close(fd);
    return status;
}

vpsde_status vpsde_config_open(vpsde_config **out, const char *path, char *const *overrides,
                               size_t n)
{
    char *text = NULL, *folder = NULL;
    size_t length = 0;
    vpsde_status status = read_file(&text, &length, path);
    if (status == VPSDE_OK) status = vpsde_strdup(&folder, path);
    if (status == VPSDE_OK) {
        status = vpsde_config_parse(out, text, length, path, dirname(folder), overrides, n);
    }
    free(folder);
    free(text);
    return status;
}

void vpsde_config_close(vpsde_config *root)
{
    if (root) vpsde_config_document_destroy(root->document);
}
