/** Run files (schema vpsde/1): one HDF5 file a run, written crash-safe, readable by anything.
 *
 *  While a run goes on, finished blocks are sealed in PATH.parts/; vpsde_run_finish() turns them
 *  into PATH by write, fsync, rename. docs/hdf5-schema.md lists every path. */
#ifndef VPSDE_RUN_H
#define VPSDE_RUN_H

#include <stdint.h>

#include <vpsde/sink.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct vpsde_run vpsde_run;

/** Starts PATH: makes PATH.parts/ durable before anything is computed.
 *  @param config  resolved YAML, stored as the root attribute `config`
 *  @return EEXIST when PATH or a live PATH.parts/ exists and !force; EIO. */
VPSDE_API vpsde_status vpsde_run_create(vpsde_run **out, const char *path, const char *verb,
                                        const char *config, uint64_t seed, int force);

/** The sink that writes one table after another into this run. Borrowed. */
VPSDE_API vpsde_sink *vpsde_run_sink(vpsde_run *run);

/** Facts for /model, and /inputs: path and SHA-256 of a file that was read. */
VPSDE_API vpsde_status vpsde_run_model_fact(vpsde_run *run, const vpsde_fact *fact);
VPSDE_API vpsde_status vpsde_run_input(vpsde_run *run, const char *name, const char *path,
                                       const char *sha256);
/** Facts for /provenance (timings, rates, host, versions). */
VPSDE_API vpsde_status vpsde_run_provenance(vpsde_run *run, const vpsde_fact *fact);

/** Writes PATH from the sealed parts, fsyncs, renames. `status` is "complete" (every row was written;
 *  EINTERNAL names one that was not; the parts are removed) or "interrupted" (missing rows read NaN
 *  or -1; the parts stay for `resume`). EIO: PATH is as before, the parts stay. */
VPSDE_API vpsde_status vpsde_run_finish(vpsde_run *run, const char *status);

/** Frees; an unfinished run keeps its sealed parts unless discard. NULL is fine. */
VPSDE_API void vpsde_run_destroy(vpsde_run *run, int discard);

/** Reads a numeric dataset of a run file as doubles. `*values` is malloc'ed for the caller; dims
 *  (rank <= 5) and rank are filled. EDATA when it is not there or not numeric. */
VPSDE_API vpsde_status vpsde_run_read(double **values, size_t *rank, size_t dims[5],
                                      const char *path, const char *dataset);

/** Reads a text attribute of a group or the root ("/"). `*text` is malloc'ed for the caller. */
VPSDE_API vpsde_status vpsde_run_read_text(char **text, const char *path, const char *group,
                                           const char *attribute);

#ifdef __cplusplus
}
#endif
#endif
