/* Fletcher's checksum as HDF5 keeps it behind a chunk: of words of 16 bits, high byte first, modulo
 * 2^16 - 1, where a sum of anything but zeros is never 0 (Fletcher, IEEE Trans. Comm. 30, 1982;
 * H5checksum.c). Pieces of a message may come in any order. */
#ifndef VPSDE_CORE_FLETCHER32_H
#define VPSDE_CORE_FLETCHER32_H

#include <stddef.h>
#include <stdint.h>

/* Of no piece yet, or of zeros: {0, 0}. */
typedef struct vpsde_fletcher32 {
    uint32_t sum, sums; /* of the words, low byte first; of that sum after each word */
} vpsde_fletcher32;

/* Adds a piece of n bytes which `after` bytes follow in the message; both are even. */
void vpsde_fletcher32_add(vpsde_fletcher32 *f, const void *piece, size_t n, size_t after);

/* Of the whole message; what was not added counts as zeros. */
uint32_t vpsde_fletcher32_value(const vpsde_fletcher32 *f);

#endif
