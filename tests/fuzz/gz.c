/* A data set compressed here, so that inputs get behind gzip's checksums. */
#include <zlib.h>

#define LLVMFuzzerTestOneInput open_data
#include "tests/fuzz/data.c"
#undef LLVMFuzzerTestOneInput

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { PACKED_MAX = 1 << 16, GZIP = 16, MEMORY = 8 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t packed[PACKED_MAX];
    z_stream z = {.next_in = (Bytef *)(uintptr_t)data,
                  .avail_in = (uInt)size,
                  .next_out = packed,
                  .avail_out = PACKED_MAX};
    if (size > PACKED_MAX / 2) return 0;
    fuzz_claim(deflateInit2(&z, 1, Z_DEFLATED, MAX_WBITS + GZIP, MEMORY, Z_DEFAULT_STRATEGY) ==
               Z_OK);
    fuzz_claim(deflate(&z, Z_FINISH) == Z_STREAM_END);
    const size_t n = PACKED_MAX - z.avail_out;
    deflateEnd(&z);
    return open_data(packed, n);
}
