/* JSON that may stand inside a <script> of a page: '<', '>' and '&' are escaped, so that no text of
 * a file ends the script or opens a comment. The first failure sticks; later calls do nothing. */
#ifndef VPSDE_ANALYSIS_REPORT_JSON_H
#define VPSDE_ANALYSIS_REPORT_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <vpsde/status.h>

typedef struct vpsde_json {
    char *text;
    size_t length, capacity;
    bool comma; /* the next value follows another one */
    vpsde_status status;
} vpsde_json;

/* key NULL: an item of a list. */
void vpsde_json_object(vpsde_json *j, const char *key);
void vpsde_json_end_object(vpsde_json *j);
void vpsde_json_list(vpsde_json *j, const char *key);
void vpsde_json_end_list(vpsde_json *j);
void vpsde_json_text(vpsde_json *j, const char *key, const char *text);
void vpsde_json_format(vpsde_json *j, const char *key, const char *format, ...) VPSDE_PRINTF(3, 4);
void vpsde_json_bool(vpsde_json *j, const char *key, bool value);
/* All digits; null for what is not finite. */
void vpsde_json_number(vpsde_json *j, const char *key, double value);
void vpsde_json_numbers(vpsde_json *j, const char *key, const double *values, size_t n);
/* {"f32": base64 of little-endian values}: for pictures. */
void vpsde_json_floats(vpsde_json *j, const char *key, const double *values, size_t n);
/* {"u8": base64}. */
void vpsde_json_bytes(vpsde_json *j, const char *key, const uint8_t *values, size_t n);

void vpsde_json_free(vpsde_json *j);

#endif
