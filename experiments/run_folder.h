/* The folder PATH.parts/: one living writer, files that are there whole or not at all. */
#ifndef VPSDE_EXPERIMENTS_RUN_FOLDER_H
#define VPSDE_EXPERIMENTS_RUN_FOLDER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <vpsde/status.h>

typedef struct vpsde_run_folder vpsde_run_folder;

/* The file whose presence says that a run began and has not been published. */
#define VPSDE_RUN_MANIFEST "manifest"
/* Where wide columns go (run_wide.h). */
#define VPSDE_RUN_ROWS "rows.h5"
/* The file of the run before it has its name, and after that until the folder goes. */
#define VPSDE_RUN_WHOLE "whole.h5"

/* Makes PATH.parts/ and locks it; with `force` an unfinished run of a dead writer in it is dropped.
 * EUSAGE: no file can have that name. EEXIST: `path` or the folder is there and !force, `path` is no
 * regular file, or a living writer holds the folder; EIO. */
vpsde_status vpsde_run_folder_create(vpsde_run_folder **out, const char *path, bool force);

/* Locks the folder of an unfinished run. *out is NULL when there is none; a folder without manifest
 * is removed. EEXIST: a living writer holds it. EIO. */
vpsde_status vpsde_run_folder_reopen(vpsde_run_folder **out, const char *path);

/* The folder of a run that rank 0 holds the lock of. EIO. */
vpsde_status vpsde_run_folder_join(vpsde_run_folder **out, const char *path);

/* Bytes the file system of the folder has to give. */
vpsde_status vpsde_run_folder_space(double *bytes, const vpsde_run_folder *folder);

/* "RUN.h5.parts" */
const char *vpsde_run_folder_path(const vpsde_run_folder *folder);

/* NAME.tmp, open and on its way to the disk; EIO as below. Then one of the next two. */
vpsde_status vpsde_run_folder_write(int *fd, vpsde_run_folder *folder, const char *name,
                                    const void *data, size_t bytes);
/* Fsyncs, renames to NAME, fsyncs the folder. */
vpsde_status vpsde_run_folder_commit(vpsde_run_folder *folder, const char *name, int fd);
/* Removes NAME.tmp. */
void vpsde_run_folder_drop(vpsde_run_folder *folder, const char *name, int fd);

/* Both. EIO with the system's reason, NAME.tmp removed. */
vpsde_status vpsde_run_folder_put(vpsde_run_folder *folder, const char *name, const void *data,
                                  size_t bytes);

/* Lets NAME.damaged stand for what NAME is now, where the file system has hard links; a folder is moved
 * there. */
void vpsde_run_folder_keep(const vpsde_run_folder *folder, const char *name);

/* Opens a file of the folder for reading; close() it. EIO. */
vpsde_status vpsde_run_folder_open(int *fd, const vpsde_run_folder *folder, const char *name);

/* Bytes of a file of the folder. EIO. */
vpsde_status vpsde_run_folder_size(double *bytes, const vpsde_run_folder *folder, const char *name);

/* Its length and what it takes on the disk: 0 where there is none. EIO. */
vpsde_status vpsde_run_folder_taken(uint64_t *length, double *bytes, const vpsde_run_folder *folder,
                                    const char *name);

/* Calls visit for the name of every file. EIO. */
vpsde_status vpsde_run_folder_each(const vpsde_run_folder *folder,
                                   vpsde_status (*visit)(void *context, const char *name),
                                   void *context);

/* Removes the files vpsde put there and the folder; foreign files stay, and with them the folder. */
void vpsde_run_folder_remove(vpsde_run_folder *folder);

/* Lets go of the lock. NULL is fine. */
void vpsde_run_folder_close(vpsde_run_folder *folder);

#endif
