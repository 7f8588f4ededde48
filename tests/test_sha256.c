/* SHA-256: the vectors of FIPS 180-4, every length of a last block, files beside memory. */
#include <sha256.h>
#include <string.h>

#include "core/sha256.h"
#include "tests/scratch.h"

enum { LARGE = (1 << 17) + 61 };

static void known_messages_have_their_sums(void **state)
{
    (void)state;
    char hex[65];
    vpsde_sha256(hex, "", 0);
    assert_string_equal(hex, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    vpsde_sha256(hex, "abc", 3);
    assert_string_equal(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

static void fill(unsigned char *bytes, size_t n)
{
    for (size_t i = 0; i < n; i++) bytes[i] = (unsigned char)(i * i / 3 + 7);
}

static void all_lengths_agree_with_libmd(void **state)
{
    (void)state;
    unsigned char bytes[300];
    char hex[65], other[65];
    fill(bytes, sizeof(bytes));
    for (size_t n = 0; n < sizeof(bytes) - 2; n++) {
        vpsde_sha256(hex, bytes + n % 3, n); /* at any address */
        SHA256Data(bytes + n % 3, n, other);
        assert_string_equal(hex, other);
    }
}

static void a_file_has_the_sum_of_its_bytes(void **state)
{
    (void)state;
    static const size_t lengths[] = {0, 1, 1 << 15, (1 << 16) + 1, LARGE};
    static unsigned char bytes[LARGE];
    char path[2 * SCRATCH_PATH], hex[65], other[65];
    fill(bytes, sizeof(bytes));
    snprintf(path, sizeof(path), "%s/file", scratch_folder);
    for (size_t k = 0; k < sizeof(lengths) / sizeof(lengths[0]); k++) {
        FILE *file = fopen(path, "wb");
        assert_non_null(file);
        assert_int_equal(fwrite(bytes, 1, lengths[k], file), lengths[k]);
        assert_int_equal(fclose(file), 0);
        assert_ok(vpsde_sha256_file(hex, path));
        vpsde_sha256(other, bytes, lengths[k]);
        assert_string_equal(hex, other);
    }
    assert_fails(vpsde_sha256_file(hex, "/nowhere/at/all"), VPSDE_EIO, "/nowhere/at/all");
    assert_fails(vpsde_sha256_file(hex, scratch_folder), VPSDE_EIO, "directory");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_messages_have_their_sums),
        cmocka_unit_test(all_lengths_agree_with_libmd),
        cmocka_unit_test(a_file_has_the_sum_of_its_bytes),
    };
    return cmocka_run_group_tests(tests, scratch_setup, scratch_teardown);
}
