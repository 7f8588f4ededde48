/* What every unit test includes: cmocka, and comparisons that keep their digits. */
#ifndef VPSDE_TESTS_CHECK_H
#define VPSDE_TESTS_CHECK_H

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <vpsde/status.h>

/* |actual - expected| <= tolerance, in double (cmocka's own casts to float). */
#define assert_close(actual, expected, tolerance)                                                  \
    check_close((actual), (expected), (tolerance), #actual, __FILE__, __LINE__)

static inline void check_close(double actual, double expected, double tolerance, const char *what,
                               const char *file, int line)
{
    if (fabs(actual - expected) <= tolerance || actual == expected) return;
    print_error("%s: got %.17g, expected %.17g, off by %.3g, allowed %.3g\n", what, actual,
                expected, fabs(actual - expected), tolerance);
    _fail(file, line);
}

#define assert_ok(expression)                                                                      \
    check_status((expression), VPSDE_OK, NULL, #expression, __FILE__, __LINE__)

/* The call fails with `status` and its message contains `words`. */
#define assert_fails(expression, status, words)                                                    \
    check_status((expression), (status), (words), #expression, __FILE__, __LINE__)

static inline void check_status(vpsde_status actual, vpsde_status expected, const char *words,
                                const char *what, const char *file, int line)
{
    const int fits = !words || strstr(vpsde_last_error(), words) != NULL;
    if (actual == expected && fits) return;
    print_error("%s: status %d, expected %d; message: %s\n", what, (int)actual, (int)expected,
                vpsde_last_error());
    if (words) print_error("  expected words: %s\n", words);
    _fail(file, line);
}

#endif
