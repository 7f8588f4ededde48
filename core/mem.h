/* Memory that remembers its limits: aligned, zeroed, overflow-checked. */
#ifndef VPSDE_CORE_MEM_H
#define VPSDE_CORE_MEM_H

#include <stdbool.h>
#include <stddef.h>

#include <vpsde/status.h>

/* a * b, or EINVAL naming `what` when it does not fit a size_t. */
vpsde_status vpsde_size_mul(size_t *out, size_t a, size_t b, const char *what);

/* count * size zeroed bytes on a 64-byte boundary, to be given to free(). count == 0 gives a
 * valid pointer. ENOMEM names the bytes. `out` is a pointer to the pointer that is set. */
vpsde_status vpsde_alloc(void *out, size_t count, size_t size);

/* A copy of text to be freed; NULL stays NULL. */
vpsde_status vpsde_strdup(char **out, const char *text);

/* printf into fresh memory to be freed. */
vpsde_status vpsde_format(char **out, const char *format, ...) VPSDE_PRINTF(2, 3);

/* The same at the end of *text, which is fresh memory or NULL for none yet. ENOMEM: it is freed, and NULL. */
vpsde_status vpsde_append(char **text, const char *format, ...) VPSDE_PRINTF(2, 3);

bool vpsde_ends_in(const char *text, const char *end);

/* One line, and nothing in it that a terminal would obey: control characters (C0, DEL, and C1 in
 * UTF-8) become blanks. For text that comes from files. */
void vpsde_flatten(char *text);

/* The entry of `names` (count) closest to `word` by edit distance, or NULL when none is near. */
const char *vpsde_nearest(const char *word, const char *const *names, size_t count);

#endif
