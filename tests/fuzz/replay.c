/* Feeds the files of the folders and files given to a fuzz target: its corpus as an ordinary test. */
#include <dirent.h>

#include "tests/fuzz/fuzz.h"

static size_t n_inputs;

static int replay_file(const char *path)
{
    FILE *file = fopen(path, "rb");
    if (!file || fseek(file, 0, SEEK_END) != 0) {
        perror(path);
        return 1;
    }
    const long size = ftell(file);
    rewind(file);
    uint8_t *data = malloc((size_t)size); /* of just this size, so that reading past it is seen */
    const size_t got = fread(data, 1, (size_t)size, file);
    fclose(file);
    const bool whole = got == (size_t)size;
    if (whole) (void)LLVMFuzzerTestOneInput(data, got);
    free(data);
    n_inputs += whole;
    return !whole;
}

static int replay(const char *path)
{
    DIR *list = opendir(path);
    int failed = 0;
    if (!list) return replay_file(path);
    for (const struct dirent *entry; (entry = readdir(list)) != NULL;) {
        char name[4096];
        if (entry->d_name[0] == '.') continue;
        snprintf(name, sizeof(name), "%s/%s", path, entry->d_name);
        failed |= replay_file(name);
    }
    closedir(list);
    return failed;
}

int main(int argc, char **argv)
{
    int failed = 0;
    for (int i = 1; i < argc; i++) failed |= replay(argv[i]);
    printf("%zu inputs\n", n_inputs);
    return failed || n_inputs == 0;
}
