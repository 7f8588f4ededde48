/* Numbers as text in the C locale, whatever the host program has set: files must read back anywhere. */
#ifndef VPSDE_CORE_NUMBER_H
#define VPSDE_CORE_NUMBER_H

#include <stdbool.h>
#include <stddef.h>

/* The whole text as strtod reads it, so "inf", "nan" and overflow too (1e999 is inf); false, with
 * *out = 0, when it is no number. */
bool vpsde_parse_real(double *out, const char *text);

/* %g with the fewest digits, at least min_digits and at most 17, that read back the same. */
void vpsde_format_real(char *out, size_t size, double value, int min_digits);

#endif
