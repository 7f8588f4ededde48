#include "experiments/run_part_list.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"

enum { RANK_SHIFT = 40 };

size_t vpsde_part_first(size_t rank) { return rank << RANK_SHIFT; }

void vpsde_part_name(char name[VPSDE_PART_NAME], size_t part)
{
    snprintf(name, VPSDE_PART_NAME, "part-%06zu-%06zu", part >> RANK_SHIFT,
             part & (vpsde_part_first(1) - 1));
}

static vpsde_status add(void *context, const char *file)
{
    vpsde_part_list *list = context;
    size_t rank, number;
    char name[VPSDE_PART_NAME];
    /* NOLINTNEXTLINE(cert-err34-c): what was read has to give the name again */
    if (sscanf(file, "part-%zu-%zu", &rank, &number) != 2) return VPSDE_OK;
    const size_t part = vpsde_part_first(rank) + number;
    vpsde_part_name(name, part);
    if (strcmp(name, file) != 0) return VPSDE_OK; /* on its way, or set aside */
    if (list->n == list->room) {
        list->room = 2 * list->room + 16;
        size_t *longer = reallocarray(list->part, list->room, sizeof(*longer));
        if (!longer) return vpsde_fail(VPSDE_ENOMEM, "cannot allocate %zu numbers", list->room);
        list->part = longer;
    }
    list->part[list->n++] = part;
    return VPSDE_OK;
}

static int ascending(const void *a, const void *b)
{
    const size_t x = *(const size_t *)a, y = *(const size_t *)b;
    return (x > y) - (x < y);
}

vpsde_status vpsde_part_list_fill(vpsde_part_list *list, const vpsde_run_folder *folder)
{
    *list = (vpsde_part_list){.n = 0};
    const vpsde_status status = vpsde_run_folder_each(folder, add, list);
    if (list->n > 0) qsort(list->part, list->n, sizeof(*list->part), ascending);
    return status;
}
