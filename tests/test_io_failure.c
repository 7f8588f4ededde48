/* Every call that writes, and every one that reads, fails once, or from then on: EINTR and short counts
 * are taken up where they stopped; EIO and ENOSPC end the verb with its status (code 6 for storage), and
 * the run goes on from what was sealed, or starts again, to the same bits. The calls are wrapped in this
 * binary; HDF5's own writes are not: tests/test_run_file.c and scripts/faults.py fill disks for those. */
#include "tests/command_fixture.h"

#include <dirent.h>
#include <errno.h>

typedef enum fault_effect { EFFECT_EIO, EFFECT_ENOSPC, EFFECT_EINTR, EFFECT_SHORT } fault_effect;

static struct {
    bool armed, persistent;
    fault_effect effect;
    size_t calls, at;
    bool reads; /* the call that failed first only reads */
} fault;

enum { CALL_READ = 1, CALL_COUNTS = 2, CALL_WAITS = 4 };

/* May this call fail now, with fault.effect? */
static bool fails(unsigned kind)
{
    const bool possible = fault.effect == EFFECT_SHORT   ? (kind & CALL_COUNTS) != 0
                          : fault.effect == EFFECT_EINTR ? (kind & CALL_WAITS) != 0
                                                         : true;
    if (!fault.armed || !possible) return false;
    fault.calls++;
    if (fault.persistent ? fault.calls < fault.at : fault.calls != fault.at) return false;
    if (fault.calls == fault.at) fault.reads = kind & CALL_READ;
    static const int reasons[] = {EIO, ENOSPC, EINTR, 0};
    errno = reasons[fault.effect];
    return true;
}

int __real_open64(const char *path, int flags, ...);
int __real_openat64(int folder, const char *path, int flags, ...);
ssize_t __real_write(int fd, const void *from, size_t n);
ssize_t __real_read(int fd, void *to, size_t n);
ssize_t __real_pread64(int fd, void *to, size_t n, off_t offset);
ssize_t __real_pwrite64(int fd, const void *from, size_t n, off_t offset);
int __real_link(const char *from, const char *to);
int __real_fsync(int fd);
int __real_rename(const char *from, const char *to);
int __real_renameat(int from_folder, const char *from, int to_folder, const char *to);
int __real_unlink(const char *path);
int __real_unlinkat(int folder, const char *path, int flags);
int __real_mkdir(const char *path, mode_t mode);
int __real_ftruncate64(int fd, off_t length);
int __real_flock(int fd, int operation);
int __real_faccessat(int folder, const char *path, int mode, int flags);
struct dirent64 *__real_readdir64(DIR *folder);
int __wrap_open64(const char *path, int flags, ...);
int __wrap_openat64(int folder, const char *path, int flags, ...);
ssize_t __wrap_write(int fd, const void *from, size_t n);
ssize_t __wrap_read(int fd, void *to, size_t n);
ssize_t __wrap_pread64(int fd, void *to, size_t n, off_t offset);
ssize_t __wrap_pwrite64(int fd, const void *from, size_t n, off_t offset);
int __wrap_link(const char *from, const char *to);
int __wrap_fsync(int fd);
int __wrap_rename(const char *from, const char *to);
int __wrap_renameat(int from_folder, const char *from, int to_folder, const char *to);
int __wrap_unlink(const char *path);
int __wrap_unlinkat(int folder, const char *path, int flags);
int __wrap_mkdir(const char *path, mode_t mode);
int __wrap_ftruncate64(int fd, off_t length);
int __wrap_flock(int fd, int operation);
int __wrap_faccessat(int folder, const char *path, int mode, int flags);
struct dirent64 *__wrap_readdir64(DIR *folder);

static unsigned open_kind(int flags)
{
    return CALL_WAITS | ((flags & (O_ACCMODE | O_DIRECTORY)) == O_RDONLY ? CALL_READ : 0);
}

int __wrap_open64(const char *path, int flags, ...)
{
    va_list args;
    va_start(args, flags);
    const mode_t mode = flags & O_CREAT ? va_arg(args, mode_t) : 0;
    va_end(args);
    return fails(open_kind(flags)) ? -1 : __real_open64(path, flags, mode);
}

int __wrap_openat64(int folder, const char *path, int flags, ...)
{
    va_list args;
    va_start(args, flags);
    const mode_t mode = flags & O_CREAT ? va_arg(args, mode_t) : 0;
    va_end(args);
    return fails(open_kind(flags)) ? -1 : __real_openat64(folder, path, flags, mode);
}

ssize_t __wrap_write(int fd, const void *from, size_t n)
{
    if (!fails(CALL_COUNTS | CALL_WAITS)) return __real_write(fd, from, n);
    return fault.effect == EFFECT_SHORT ? __real_write(fd, from, (n + 1) / 2) : -1;
}

ssize_t __wrap_read(int fd, void *to, size_t n)
{
    if (!fails(CALL_COUNTS | CALL_WAITS | CALL_READ)) return __real_read(fd, to, n);
    return fault.effect == EFFECT_SHORT ? __real_read(fd, to, (n + 1) / 2) : -1;
}

ssize_t __wrap_pread64(int fd, void *to, size_t n, off_t offset)
{
    if (!fails(CALL_COUNTS | CALL_WAITS | CALL_READ)) return __real_pread64(fd, to, n, offset);
    return fault.effect == EFFECT_SHORT ? __real_pread64(fd, to, (n + 1) / 2, offset) : -1;
}

ssize_t __wrap_pwrite64(int fd, const void *from, size_t n, off_t offset)
{
    if (!fails(CALL_COUNTS | CALL_WAITS)) return __real_pwrite64(fd, from, n, offset);
    return fault.effect == EFFECT_SHORT ? __real_pwrite64(fd, from, (n + 1) / 2, offset) : -1;
}

int __wrap_link(const char *from, const char *to) { return fails(0) ? -1 : __real_link(from, to); }
int __wrap_fsync(int fd) { return fails(CALL_WAITS) ? -1 : __real_fsync(fd); }
int __wrap_rename(const char *from, const char *to)
{
    return fails(0) ? -1 : __real_rename(from, to);
}
int __wrap_renameat(int from_folder, const char *from, int to_folder, const char *to)
{
    return fails(0) ? -1 : __real_renameat(from_folder, from, to_folder, to);
}
int __wrap_unlink(const char *path) { return fails(0) ? -1 : __real_unlink(path); }
int __wrap_unlinkat(int folder, const char *path, int flags)
{
    return fails(0) ? -1 : __real_unlinkat(folder, path, flags);
}
int __wrap_mkdir(const char *path, mode_t mode) { return fails(0) ? -1 : __real_mkdir(path, mode); }
int __wrap_ftruncate64(int fd, off_t length)
{
    return fails(CALL_WAITS) ? -1 : __real_ftruncate64(fd, length);
}
int __wrap_flock(int fd, int operation) { return fails(0) ? -1 : __real_flock(fd, operation); }
int __wrap_faccessat(int folder, const char *path, int mode, int flags)
{
    return fails(CALL_READ) ? -1 : __real_faccessat(folder, path, mode, flags);
}
struct dirent64 *__wrap_readdir64(DIR *folder)
{
    return fails(CALL_READ) ? NULL : __real_readdir64(folder);
}

static vpsde_status run(const command_case *c, bool resumes, size_t at)
{
    const int stop = 1;
    if (resumes)
        assert_int_equal(command_run(c->verb, "conf.yaml", c->output, &stop), VPSDE_ESTOPPED);
    fault.calls = 0;
    fault.at = at;
    fault.reads = false;
    fault.armed = true;
    const vpsde_status status = resumes ? command_run("resume", c->output, NULL, NULL)
                                        : command_run(c->verb, "conf.yaml", c->output, NULL);
    fault.armed = false;
    return status;
}

/* Goes on from what is there. */
static void recover(const command_case *c)
{
    const bool kept = command_exists("out.h5.parts/manifest");
    if (c != &command_train && command_exists(c->output) && !kept)
        return; /* renamed, and then its folder did not sync */
    if (c == &command_train) {
        command_check_whole("net.safetensors");
        command_check_whole("net.state.safetensors");
        command_clean(c);
    }
    assert_ok(kept ? command_run("resume", c->output, NULL, NULL)
                   : command_run(c->verb, "conf.yaml", c->output, NULL));
}

/* Reading what one was given is 4 (data) or 3 (configuration), everything else is storage. */
static void check_status_of_failure(vpsde_status status, const command_case *c, size_t at)
{
    const bool input = fault.reads && (status == VPSDE_EDATA || status == VPSDE_ECONFIG);
    if (status == VPSDE_EIO || input) return;
    print_error("%s, call %zu, effect %d\n", c->verb, at, (int)fault.effect);
    assert_fails(status, VPSDE_EIO, "");
}

static void fail_each(const command_case *c, bool resumes, fault_effect effect, bool from_then_on)
{
    size_t n, failed = 0;
    fault.effect = effect;
    fault.persistent = from_then_on;
    command_write("conf.yaml", c->text, strlen(c->text));
    command_clean(c);
    assert_ok(run(c, resumes, SIZE_MAX));
    const size_t all = fault.calls;
    double *expected = command_values(c, &n);
    for (size_t at = 1; at <= all; at++) {
        command_clean(c);
        const vpsde_status status = run(c, resumes, at);
        if (effect == EFFECT_EINTR || effect == EFFECT_SHORT) {
            if (status != VPSDE_OK) print_error("%s, call %zu of %d\n", c->verb, at, (int)effect);
            assert_ok(status);
        } else if (status != VPSDE_OK) {
            failed++;
            check_status_of_failure(status, c, at);
            recover(c);
        }
        command_check_same(c, expected, n);
    }
    command_clean(c);
    free(expected);
    print_message("%s%s: %zu calls failed by effect %d, %zu ended the verb\n",
                  resumes ? "resumed " : "", c->verb, all, (int)effect, failed);
    assert_true(all > 10);
}

static void fail_all(const command_case *c, bool resumes)
{
    fail_each(c, resumes, EFFECT_EINTR, false);
    fail_each(c, resumes, EFFECT_SHORT, true);
    fail_each(c, resumes, EFFECT_EIO, false);
    fail_each(c, resumes, EFFECT_ENOSPC, true);
}

static void sampling_survives(void **state)
{
    (void)state;
    fail_all(&command_sample, false);
}

static void wide_rows_survive(void **state)
{
    (void)state;
    fail_all(&command_wide, false);
}

static void resuming_survives(void **state)
{
    (void)state;
    fail_all(&command_sample, true);
}

static void a_checkpoint_survives(void **state)
{
    (void)state;
    fail_all(&command_network, false);
}

static void training_survives(void **state)
{
    (void)state;
    fail_all(&command_train, false);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sampling_survives), cmocka_unit_test(wide_rows_survive),
        cmocka_unit_test(resuming_survives), cmocka_unit_test(a_checkpoint_survives),
        cmocka_unit_test(training_survives),
    };
    return cmocka_run_group_tests(tests, command_setup, command_teardown);
}
