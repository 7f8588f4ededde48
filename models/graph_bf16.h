/* bfloat16: float32 with the upper 16 bits alone, 8 bits of significand. */
#ifndef VPSDE_MODELS_GRAPH_BF16_H
#define VPSDE_MODELS_GRAPH_BF16_H

#include <stddef.h>

/* x (count) to the nearest bfloat16, ties to the even one, on the calling thread's team. Past the largest
 * finite one: infinity; below the smallest normal one: denormals; a NaN stays a (quiet) NaN. */
void graph_bf16(size_t count, float *x);

#endif
