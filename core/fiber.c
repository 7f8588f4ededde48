/* Fibers, as QEMU's coroutine-ucontext.c: makecontext enters a new stack once, every later switch is
 * _setjmp/_longjmp, which saves the callee-saved registers and makes no system call. */
#undef _FORTIFY_SOURCE /* its longjmp refuses to leave the stack it stands on, which is the point */

#include "core/fiber.h"

#include <errno.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

#include "core/mem.h"

#ifdef __has_feature
#if __has_feature(address_sanitizer) && !defined(__SANITIZE_ADDRESS__)
#define __SANITIZE_ADDRESS__ 1
#endif
#endif
#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif

enum { STACK_DEFAULT = 128 * 1024, STACK_MIN = 16 * 1024 };

struct vpsde_fiber {
    jmp_buf self, caller;
    vpsde_fiber_fn fn;
    void *argument;
    unsigned char *map; /* guard page, then the stack */
    size_t map_bytes, guard_bytes;
    void *fake_stack;         /* AddressSanitizer's shadow of this stack */
    const void *caller_stack; /* and where the resumer's lies */
    size_t caller_bytes;
};

#ifdef __SANITIZE_ADDRESS__
static void leave_caller(vpsde_fiber *f, void **fake)
{
    __sanitizer_start_switch_fiber(fake, f->map + f->guard_bytes, f->map_bytes - f->guard_bytes);
}
static void arrive_at_caller(void *fake) { __sanitizer_finish_switch_fiber(fake, NULL, NULL); }
static void leave_fiber(vpsde_fiber *f)
{
    __sanitizer_start_switch_fiber(&f->fake_stack, f->caller_stack, f->caller_bytes);
}
static void arrive_at_fiber(vpsde_fiber *f)
{
    __sanitizer_finish_switch_fiber(f->fake_stack, &f->caller_stack, &f->caller_bytes);
}
static void forget_stack(vpsde_fiber *f) { __asan_unpoison_memory_region(f->map, f->map_bytes); }
#else
static void leave_caller(vpsde_fiber *f, void **fake)
{
    (void)f;
    (void)fake;
}
static void arrive_at_caller(void *fake) { (void)fake; }
static void leave_fiber(vpsde_fiber *f) { (void)f; }
static void arrive_at_fiber(vpsde_fiber *f) { (void)f; }
static void forget_stack(vpsde_fiber *f) { (void)f; }
#endif

void vpsde_fiber_yield(vpsde_fiber *f)
{
    if (!_setjmp(f->self)) {
        leave_fiber(f);
        _longjmp(f->caller, 1);
    }
    arrive_at_fiber(f);
}

/* makecontext hands over ints only: the pointer travels in two halves. */
static void trampoline(unsigned low, unsigned high)
{
    vpsde_fiber *f = (vpsde_fiber *)(((uintptr_t)high << 32) | (uintptr_t)low);
    arrive_at_fiber(f);
    for (;;) {
        vpsde_fiber_yield(f);
        f->fn(f->argument);
        f->fn = NULL;
    }
}

/* Runs the fiber until it jumps back; `enter` is the very first time. */
static void visit(vpsde_fiber *f, const ucontext_t *enter)
{
    void *fake = NULL;
    if (!_setjmp(f->caller)) {
        leave_caller(f, &fake);
        if (enter) setcontext(enter);
        _longjmp(f->self, 1);
    }
    arrive_at_caller(fake);
}

vpsde_status vpsde_fiber_create(vpsde_fiber **out, size_t stack_bytes)
{
    vpsde_fiber *f;
    *out = NULL;
    VPSDE_TRY(vpsde_alloc(&f, 1, sizeof(*f)));
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    if (stack_bytes == 0) stack_bytes = STACK_DEFAULT;
    if (stack_bytes < STACK_MIN) stack_bytes = STACK_MIN;
    f->guard_bytes = page;
    f->map_bytes = (stack_bytes + page - 1) / page * page + page;
    f->map = mmap(NULL, f->map_bytes, PROT_READ | PROT_WRITE,
                  MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK | MAP_NORESERVE, -1, 0);
    ucontext_t context;
    if (f->map == MAP_FAILED || mprotect(f->map, page, PROT_NONE) != 0 ||
        getcontext(&context) != 0) {
        const vpsde_status status =
            vpsde_fail(VPSDE_ENOMEM, "cannot map a fiber stack of %zu bytes: %s", f->map_bytes,
                       strerror(errno));
        if (f->map != MAP_FAILED) munmap(f->map, f->map_bytes);
        free(f);
        return status;
    }
    context.uc_link = NULL;
    context.uc_stack.ss_sp = f->map + f->guard_bytes;
    context.uc_stack.ss_size = f->map_bytes - f->guard_bytes;
    context.uc_stack.ss_flags = 0;
    const uintptr_t address = (uintptr_t)f;
    makecontext(&context, (void (*)(void))trampoline, 2, (unsigned)(address & 0xffffffffu),
                (unsigned)((uint64_t)address >> 32));
    visit(f, &context);
    *out = f;
    return VPSDE_OK;
}

void vpsde_fiber_destroy(vpsde_fiber *fiber)
{
    if (!fiber) return;
    forget_stack(fiber);
    munmap(fiber->map, fiber->map_bytes);
    free(fiber);
}

void vpsde_fiber_start(vpsde_fiber *fiber, vpsde_fiber_fn fn, void *argument)
{
    fiber->fn = fn;
    fiber->argument = argument;
}

bool vpsde_fiber_resume(vpsde_fiber *fiber)
{
    if (!fiber->fn) return false;
    visit(fiber, NULL);
    return fiber->fn != NULL;
}
