/* A data set in gzip: the first byte cuts what follows into two members, each one stored block (RFC 1951,
 * 3.2.4; RFC 1952), so that inputs get behind the checksums. What zlib itself inflates is in idx's corpus. */
#include <zlib.h>

#define LLVMFuzzerTestOneInput open_data
#include "tests/fuzz/data.c"
#undef LLVMFuzzerTestOneInput

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { STORED_MAX = 1 << 15, PACKED_MAX = STORED_MAX + 64 };

static uint8_t *put(uint8_t *to, uint64_t value, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++) *to++ = (uint8_t)(value >> 8 * i);
    return to;
}

static uint8_t *member(uint8_t *to, const uint8_t *data, size_t size)
{
    static const uint8_t head[] = {0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3, 1 /* the last block */};
    to = (uint8_t *)memcpy(to, head, sizeof(head)) + sizeof(head);
    to = put(to, size | (uint64_t)(uint16_t)~size << 16, 4);
    to = (uint8_t *)memcpy(to, data, size) + size;
    to = put(to, crc32(0, data, (uInt)size), 4);
    return put(to, size, 4);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t packed[PACKED_MAX];
    if (size < 1 || size > STORED_MAX) return 0;
    const uint8_t *rest = data + 1;
    const size_t cut = data[0] < size - 1 ? data[0] : 0;
    uint8_t *end = packed;
    if (cut > 0) end = member(end, rest, cut);
    end = member(end, rest + cut, size - 1 - cut);
    return open_data(packed, (size_t)(end - packed));
}
