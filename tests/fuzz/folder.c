#include "tests/fuzz/fuzz.h"

#include <dirent.h>
#include <fcntl.h>

static char folder[64];

static void empty(int dir)
{
    DIR *list = fdopendir(dir);
    if (!list) return;
    for (const struct dirent *entry; (entry = readdir(list)) != NULL;) {
        if (entry->d_name[0] != '.' && unlinkat(dir, entry->d_name, 0) != 0) {
            empty(openat(dir, entry->d_name, O_RDONLY | O_DIRECTORY));
            (void)unlinkat(dir, entry->d_name, AT_REMOVEDIR);
        }
    }
    closedir(list);
}

static void remove_folder(void)
{
    empty(open(folder, O_RDONLY | O_DIRECTORY));
    (void)rmdir(folder);
}

const char *fuzz_folder(void)
{
    if (*folder) return folder;
    const bool memory = access("/dev/shm", W_OK) == 0;
    snprintf(folder, sizeof(folder), "%s/vpsde-fuzz-XXXXXX", memory ? "/dev/shm" : "/tmp");
    fuzz_claim(mkdtemp(folder));
    atexit(remove_folder);
    return folder;
}
