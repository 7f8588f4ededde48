#include "core/number.h"

#include <locale.h>
#include <stdio.h>
#include <stdlib.h>

/* glibc hands out its built-in C locale here: nothing is allocated. */
static locale_t c_locale(void) { return newlocale(LC_ALL_MASK, "C", (locale_t)0); }

bool vpsde_parse_real(double *out, const char *text)
{
    char *end;
    const locale_t c = c_locale();
    const double value = c ? strtod_l(text, &end, c) : strtod(text, &end);
    if (c) freelocale(c);
    const bool whole = end != text && *end == '\0';
    *out = whole ? value : 0;
    return whole;
}

void vpsde_format_real(char *out, size_t size, double value, int min_digits)
{
    char text[32] = "";
    const locale_t c = c_locale();
    const locale_t before = c ? uselocale(c) : (locale_t)0;
    for (int digits = min_digits; digits <= 17; digits++) {
        (void)snprintf(text, sizeof(text), "%.*g", digits, value);
        if (strtod(text, NULL) == value) break;
    }
    if (before) uselocale(before);
    if (c) freelocale(c);
    (void)snprintf(out, size, "%s", text);
}
