/* What this machine can do at most: the figures that shares of the ceiling are shares of. Each takes a
 * fraction of a second and is the best of several rounds; other load on the machine lowers them.
 * n_threads = 0: all processors. On failure (EINVAL, ENOMEM) the figure is 0. */
#ifndef VPSDE_CORE_CEILING_H
#define VPSDE_CORE_CEILING_H

#include <stddef.h>

#include <vpsde/status.h>

/* float32 operations a second (2 a fused multiply-add) of n_threads threads at once, out of registers. */
vpsde_status vpsde_ceiling_flops(double *flops, size_t n_threads);

/* Bytes a second of a = b + s c over arrays larger than the caches, all three counted (McCalpin's
 * STREAM triad; write-allocate traffic is not counted). */
vpsde_status vpsde_ceiling_memory(double *bytes, size_t n_threads);

/* Standard normals a second from vpsde_normals. */
vpsde_status vpsde_ceiling_normals(double *normals, size_t n_threads);

/* Bytes a second that a new file in `folder` takes, one after another and fdatasync'ed, by one thread. Up
 * to 256 MB or a second of them; the file has no name of its own and is gone afterwards. EIO. */
vpsde_status vpsde_ceiling_disk(double *bytes, const char *folder);

/* "model name" of the first processor, or "unknown". */
void vpsde_ceiling_cpu(char *name, size_t size);

/* The name of the instruction set that the first figure used: "avx512f", "avx2"; "baseline": what the
 * compiler makes of plain C for any processor of the architecture. */
const char *vpsde_ceiling_isa(void);

#endif
