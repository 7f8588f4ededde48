/* The folder PATH.parts/: one living writer, files that are there whole or not at all. */
#ifndef VPSDE_EXPERIMENTS_RUN_FOLDER_H
#define VPSDE_EXPERIMENTS_RUN_FOLDER_H

#include <stdbool.h>
#include <stddef.h>

#include <vpsde/status.h>

typedef struct vpsde_run_folder vpsde_run_folder;

/* Makes PATH.parts/ and locks it; with `force` an unfinished run of a dead writer in it is dropped.
 * EEXIST: `path` or the folder is there and !force, or a living writer holds it; EIO. */
vpsde_status vpsde_run_folder_create(vpsde_run_folder **out, const char *path, bool force);

/* "RUN.h5.parts" */
const char *vpsde_run_folder_path(const vpsde_run_folder *folder);

/* Writes NAME.tmp, fsyncs, renames to NAME, fsyncs the folder. EIO with the system's reason, NAME.tmp
 * removed. */
vpsde_status vpsde_run_folder_put(vpsde_run_folder *folder, const char *name, const void *data,
                                  size_t bytes);

/* Opens a file of the folder for reading; close() it. EIO. */
vpsde_status vpsde_run_folder_open(int *fd, const vpsde_run_folder *folder, const char *name);

/* Removes the files vpsde put there and the folder; foreign files stay, and with them the folder. */
void vpsde_run_folder_remove(vpsde_run_folder *folder);

/* Lets go of the lock. NULL is fine. */
void vpsde_run_folder_close(vpsde_run_folder *folder);

/* Makes `fresh` durable and renames it to `path`, durably. EIO. */
vpsde_status vpsde_publish(const char *fresh, const char *path);

#endif
