/** Run files (schema vpsde/1): one HDF5 file a run, written crash-safe, readable by anything.
 *
 *  While a run goes on, finished blocks are sealed in PATH.parts/; vpsde_run_finish() turns them
 *  into PATH by write, fsync, rename. Wide columns of a run of one process that nothing interrupts
 *  are written once, to where they stay. docs/hdf5-schema.md lists every path. */
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
 *  @return EUSAGE for a name that no file can have; EEXIST when PATH or an unfinished PATH.parts/
 *  exists and !force, when PATH is a folder or device, when a living run writes it; EIO. With force,
 *  a PATH that is there stays until the new one is finished, whenever it came; without, for good. */
VPSDE_API vpsde_status vpsde_run_create(vpsde_run **out, const char *path, const char *verb,
                                        const char *config, uint64_t seed, int force);

/** Takes up the unfinished run of PATH: the same tables, announced again to its sink, go on where
 *  they ended. *out is NULL when nothing is unfinished there; what a finished run left is removed.
 *  @return EEXIST when a living run writes it, and when PATH is there, is not of this run, which was
 *  not to replace any, and !force; EIO for a damaged part; EDATA, by name, for an input that has changed
 *  since. */
VPSDE_API vpsde_status vpsde_run_reopen(vpsde_run **out, const char *path, int force);

/** What the run was created with. Borrowed. */
VPSDE_API const char *vpsde_run_verb(const vpsde_run *run);
VPSDE_API const char *vpsde_run_config(const vpsde_run *run);

/** Has a table been announced, now or before an interruption? */
VPSDE_API bool vpsde_run_begun(const vpsde_run *run);

/** A flag that, once non-zero, makes vpsde_run_finish() give up with ESTOPPED. */
VPSDE_API void vpsde_run_stop_on(vpsde_run *run, const volatile int *stop);

/** The sink that writes one table after another into this run. Borrowed. */
VPSDE_API vpsde_sink *vpsde_run_sink(vpsde_run *run);

/** Where several processes share the run: makes this one's rows durable and waits for the others, as
 *  the sink's meet does. Returns `status` where there is one process. */
VPSDE_API vpsde_status vpsde_run_meet(vpsde_run *run, vpsde_status status, double *sums, size_t n,
                                      uint64_t *least);

/** Rows of the table just announced that are there from before an interruption, block by block.
 *  data[c] is NULL for columns with more than one element a row. Where several processes share the
 *  run, the first alone is told; after the sink's meet, of the rows of all. */
typedef void (*vpsde_rows_fn)(void *context, size_t first, size_t n, const void *const *data);
VPSDE_API vpsde_status vpsde_run_each_stored(vpsde_run *run, vpsde_rows_fn fn, void *context);

/** ECONFIG with both figures unless `bytes` of results, twice (parts and the file made of them) where
 *  they cannot be written once, fit on the disk. Each table is checked by itself when it is announced. */
VPSDE_API vpsde_status vpsde_run_expect(const vpsde_run *run, double bytes);

/** Facts for /model, and /inputs: path and SHA-256 of a file that was read. EDATA when a run that
 *  was taken up again had another file of that name. */
VPSDE_API vpsde_status vpsde_run_model_fact(vpsde_run *run, const vpsde_fact *fact);
VPSDE_API vpsde_status vpsde_run_input(vpsde_run *run, const char *name, const char *path,
                                       const char *sha256);
/** Facts for /provenance (timings, rates, host, versions). */
VPSDE_API vpsde_status vpsde_run_provenance(vpsde_run *run, const vpsde_fact *fact);

/** Writes the file from what is sealed, fsyncs, names it PATH. `status` is "complete" (every row was written;
 *  EINTERNAL names one that was not; the parts are removed) or "interrupted" (missing rows read NaN
 *  or -1; the parts stay). EIO, ESTOPPED, EEXIST (somebody else made PATH meanwhile): PATH is as before,
 *  the parts stay. */
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
