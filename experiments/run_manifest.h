/* PATH.parts/manifest: what a run is, as "key value" lines.
 *
 *   format 2
 *   verb sample
 *   seed 7
 *   replaces yes             what has the name of its file; else no such line
 *   config_sha256 HEX        of config.yaml
 *   config LINE              each line of it, to tell what was edited
 *   input NAME HEX PATH      one line a file that was read */
#ifndef VPSDE_EXPERIMENTS_RUN_MANIFEST_H
#define VPSDE_EXPERIMENTS_RUN_MANIFEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <vpsde/status.h>

typedef struct vpsde_manifest_input {
    char *name, *path, *sha256;
} vpsde_manifest_input;

typedef struct vpsde_manifest {
    char *verb, *config_sha256;
    char *config; /* "": it was not kept */
    uint64_t seed;
    bool replaces;
    vpsde_manifest_input *inputs;
    size_t n_inputs;
} vpsde_manifest;

/* Zero-initialised before; vpsde_manifest_free() in any case. */
vpsde_status vpsde_manifest_init(vpsde_manifest *m, const char *verb, uint64_t seed,
                                 const char *config, bool replaces);
vpsde_status vpsde_manifest_format(char **text, const vpsde_manifest *m);
/* EIO, naming `where`, for anything that format does not write. */
vpsde_status vpsde_manifest_parse(vpsde_manifest *m, const char *text, const char *where);
void vpsde_manifest_free(vpsde_manifest *m);

/* Adds an input. One of that name must have the same hash: EDATA names the file that changed.
 * *added says whether it is new. */
vpsde_status vpsde_manifest_add(vpsde_manifest *m, bool *added, const char *name, const char *path,
                                const char *sha256);

/* Reads every input again. EDATA names one that changed or went away. */
vpsde_status vpsde_manifest_check_inputs(const vpsde_manifest *m);

#endif
