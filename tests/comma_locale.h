/* A locale with a decimal comma, made in a fresh folder where localedef and its sources are
 * installed; tests of text numbers run once more under it. */
#ifndef VPSDE_TESTS_COMMA_LOCALE_H
#define VPSDE_TESTS_COMMA_LOCALE_H

#include <locale.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/check.h"

static char comma_folder[] = "/tmp/vpsde-locale-XXXXXX";

static inline void comma_locale_end(void)
{
    char command[128];
    setlocale(LC_ALL, "C");
    (void)unsetenv("LOCPATH");
    (void)snprintf(command, sizeof(command), "rm -rf %s", comma_folder);
    if (system(command) != 0) print_message("%s stays\n", comma_folder);
}

/* 1 when 0.5 is now printed as 0,5; call comma_locale_end() in any case. */
static inline int comma_locale_begin(void)
{
    static const char source[] = "LC_NUMERIC\\ncopy \"de_DE\"\\nEND LC_NUMERIC\\n";
    char command[256], half[8];
    if (!mkdtemp(comma_folder)) return 0;
    (void)snprintf(command, sizeof(command),
                   "cd %s && printf '%s' >in && localedef -c -i ./in -f UTF-8 ./comma >log 2>&1",
                   comma_folder, source);
    (void)setenv("LOCPATH", comma_folder, 1);
    if (system(command) < 0 || !setlocale(LC_NUMERIC, "comma")) return 0;
    (void)snprintf(half, sizeof(half), "%.1f", 0.5);
    return half[1] == ',';
}

#endif
