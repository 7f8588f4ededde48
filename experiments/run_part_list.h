/* The names of parts in a run's folder: which writer's they are, and in which order they came. */
#ifndef VPSDE_EXPERIMENTS_RUN_PART_LIST_H
#define VPSDE_EXPERIMENTS_RUN_PART_LIST_H

#include "experiments/run_folder.h"

enum { VPSDE_PART_NAME = 64 };

/* Numbers of parts, increasing. A number is its writer's rank, then how many came before. */
typedef struct vpsde_part_list {
    size_t *part, n, room;
} vpsde_part_list;

/* The first part of a rank; the next ones count on. */
size_t vpsde_part_first(size_t rank);
/* "part-000000-000000" */
void vpsde_part_name(char name[VPSDE_PART_NAME], size_t part);
/* The parts of all ranks that are there. free(list->part) in any case. */
vpsde_status vpsde_part_list_fill(vpsde_part_list *list, const vpsde_run_folder *folder);

#endif
