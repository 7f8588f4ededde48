/* Scalars of the core schema, YAML 1.2.2 section 10.3.2. */
#include "core/config_impl.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "core/number.h"

#define DIGITS "0123456789"

/* Whole numbers above this have gaps in double. */
static const double exact_max = 9007199254740992.0;

typedef enum form {
    FORM_OTHER,
    FORM_DECIMAL,
    FORM_OCTAL,
    FORM_HEX,
    FORM_FLOAT,
    FORM_NOT_FINITE
} form;

static bool is_all(const char *text, const char *set)
{
    return *text && text[strspn(text, set)] == '\0';
}

static bool is_not_finite(const char *text)
{
    static const char *const words[] = {".inf", ".nan", "inf", "nan", "infinity"};
    text += *text == '+' || *text == '-';
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (strcasecmp(text, words[i]) == 0) return true;
    }
    return false;
}

static form classify(const char *text)
{
    if (is_not_finite(text)) return FORM_NOT_FINITE;
    if (strncmp(text, "0x", 2) == 0) {
        return is_all(text + 2, DIGITS "abcdefABCDEF") ? FORM_HEX : FORM_OTHER;
    }
    if (strncmp(text, "0o", 2) == 0) return is_all(text + 2, "01234567") ? FORM_OCTAL : FORM_OTHER;
    text += *text == '+' || *text == '-';
    if (is_all(text, DIGITS)) return FORM_DECIMAL;
    const size_t whole = strspn(text, DIGITS);
    text += whole;
    if (*text == '.') {
        const size_t fraction = strspn(++text, DIGITS);
        if (whole + fraction == 0) return FORM_OTHER;
        text += fraction;
    } else if (whole == 0) {
        return FORM_OTHER;
    }
    if (*text == '\0') return FORM_FLOAT;
    if (*text != 'e' && *text != 'E') return FORM_OTHER;
    text++;
    text += *text == '+' || *text == '-';
    return is_all(text, DIGITS) ? FORM_FLOAT : FORM_OTHER;
}

static vpsde_number read_digits(uint64_t *out, const char *digits, int base)
{
    errno = 0;
    *out = strtoull(digits, NULL, base);
    return errno == ERANGE ? VPSDE_NUMBER_TOO_LARGE : VPSDE_NUMBER_OK;
}

vpsde_number vpsde_config_read_real(double *out, const char *text)
{
    const form f = classify(text);
    if (f == FORM_OTHER) return VPSDE_NUMBER_SYNTAX;
    if (f == FORM_NOT_FINITE) return VPSDE_NUMBER_NOT_FINITE;
    if (f == FORM_HEX || f == FORM_OCTAL) {
        uint64_t whole;
        const vpsde_number problem = read_digits(&whole, text + 2, f == FORM_HEX ? 16 : 8);
        *out = (double)whole;
        return problem;
    }
    (void)vpsde_parse_real(out, text); /* its form is known */
    return isfinite(*out) ? VPSDE_NUMBER_OK : VPSDE_NUMBER_TOO_LARGE;
}

static vpsde_number whole_from_float(uint64_t *out, const char *text)
{
    double value;
    const vpsde_number problem = vpsde_config_read_real(&value, text);
    if (problem != VPSDE_NUMBER_OK) return problem;
    if (value != floor(value)) return VPSDE_NUMBER_FRACTION;
    if (value < 0) return VPSDE_NUMBER_NEGATIVE;
    if (value > exact_max) return VPSDE_NUMBER_TOO_LARGE;
    *out = (uint64_t)value;
    return VPSDE_NUMBER_OK;
}

vpsde_number vpsde_config_read_uint(uint64_t *out, const char *text)
{
    switch (classify(text)) {
    case FORM_HEX:
        return read_digits(out, text + 2, 16);
    case FORM_OCTAL:
        return read_digits(out, text + 2, 8);
    case FORM_FLOAT:
        return whole_from_float(out, text);
    case FORM_DECIMAL:
        break;
    case FORM_NOT_FINITE:
        return VPSDE_NUMBER_NOT_FINITE;
    case FORM_OTHER:
        return VPSDE_NUMBER_SYNTAX;
    }
    if (*text == '-' && !is_all(text + 1, "0")) return VPSDE_NUMBER_NEGATIVE;
    return read_digits(out, text + (*text == '-' || *text == '+'), 10);
}

bool vpsde_config_is_null(const char *text)
{
    static const char *const words[] = {"", "~", "null", "Null", "NULL"};
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (strcmp(text, words[i]) == 0) return true;
    }
    return false;
}

const char *vpsde_config_number_problem(vpsde_number problem)
{
    static const char *const texts[] = {
        [VPSDE_NUMBER_OK] = "is a number",
        [VPSDE_NUMBER_SYNTAX] = "is not a number",
        [VPSDE_NUMBER_NOT_FINITE] = "must be finite",
        [VPSDE_NUMBER_TOO_LARGE] = "is too large for this machine's numbers",
        [VPSDE_NUMBER_NEGATIVE] = "must not be negative",
        [VPSDE_NUMBER_FRACTION] = "is not a whole number",
    };
    return texts[problem];
}

/* YAML 1.1 readers take 1e-05 for text and 20 for an integer: a float gets its point. */
static void add_point(char out[VPSDE_CONFIG_NUMBER_SIZE])
{
    if (strchr(out, '.')) return;
    char exponent[8] = "";
    char *e = strchr(out, 'e');
    if (e) {
        snprintf(exponent, sizeof(exponent), "%s", e);
        *e = '\0';
    }
    const size_t length = strlen(out);
    snprintf(out + length, VPSDE_CONFIG_NUMBER_SIZE - length, ".0%s", exponent);
}

void vpsde_config_print_real(char out[VPSDE_CONFIG_NUMBER_SIZE], double value, bool as_float)
{
    char text[VPSDE_CONFIG_NUMBER_SIZE] = "";
    vpsde_format_real(text, sizeof(text), value, 1);
    /* %g turns to exponents once they exceed the digits: 2e+01 for 20 */
    if (fabs(value) < 1e15 && value == floor(value)) {
        snprintf(text, sizeof(text), "%.0f", value);
    }
    if (as_float && isfinite(value)) add_point(text);
    memcpy(out, text, sizeof(text));
}
