/** Status codes and messages.
 *
 *  Every fallible function returns a vpsde_status. The code and its one-line message are set
 *  together by vpsde_fail(); the message stays readable, per thread, until the next failure. */
#ifndef VPSDE_STATUS_H
#define VPSDE_STATUS_H

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define VPSDE_API          __attribute__((visibility("default")))
#define VPSDE_PRINTF(f, a) __attribute__((format(printf, f, a)))
#else
#define VPSDE_API
#define VPSDE_PRINTF(f, a)
#endif

/** X(name, exit code of the command, text) */
#define VPSDE_STATUS_LIST(X)                                                                       \
    X(OK, 0, "done")                                                                               \
    X(EINTERNAL, 1, "internal error")                                                              \
    X(EINVAL, 3, "invalid argument")                                                               \
    X(ENOMEM, 1, "out of memory")                                                                  \
    X(ENUMERIC, 1, "numerical failure")                                                            \
    X(EUSAGE, 2, "wrong usage")                                                                    \
    X(ECONFIG, 3, "configuration does not make sense")                                             \
    X(EDATA, 4, "input data or checkpoint does not fit")                                           \
    X(EPARTIAL, 5, "finished, but some samples failed")                                            \
    X(EIO, 6, "storage failed")                                                                    \
    X(EEXIST, 7, "output exists or is locked")                                                     \
    X(ESTOPPED, 130, "stopped on request")

typedef enum vpsde_status {
#define VPSDE_STATUS_ENUM(name, code, text) VPSDE_##name,
    VPSDE_STATUS_LIST(VPSDE_STATUS_ENUM)
#undef VPSDE_STATUS_ENUM
} vpsde_status;

/** Sets this thread's message and returns `status`: `return vpsde_fail(VPSDE_EINVAL, "...", ...)`.
 *  The message says what is wrong and what was expected, with the values in it, in one line. */
VPSDE_API vpsde_status vpsde_fail(vpsde_status status, const char *format, ...) VPSDE_PRINTF(2, 3);

/** Puts "PREFIX: " before this thread's message and returns `status`. */
VPSDE_API vpsde_status vpsde_fail_in(vpsde_status status, const char *format, ...)
    VPSDE_PRINTF(2, 3);

/** This thread's last message; "" before the first failure. Borrowed, never NULL. */
VPSDE_API const char *vpsde_last_error(void);

/** Short text of a code. Static, never NULL. */
VPSDE_API const char *vpsde_status_text(vpsde_status status);

/** Exit code of the command for a status (DESIGN: 0 done ... 7 exists). */
VPSDE_API int vpsde_status_exit_code(vpsde_status status);

/** "0.1.0" */
VPSDE_API const char *vpsde_version(void);

/** Returns from the calling function when `expression` is not VPSDE_OK. */
#define VPSDE_TRY(expression)                                                                      \
    do {                                                                                           \
        const vpsde_status vpsde_try_status = (expression);                                        \
        if (vpsde_try_status != VPSDE_OK) return vpsde_try_status;                                 \
    } while (0)

#ifdef __cplusplus
}
#endif
#endif
