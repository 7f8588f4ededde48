/* SHA-256. */
#ifndef VPSDE_CORE_SHA256_H
#define VPSDE_CORE_SHA256_H

#include <stddef.h>

#include <vpsde/status.h>

/* hex: 64 digits and a terminator. */
void vpsde_sha256(char hex[65], const void *bytes, size_t length);
vpsde_status vpsde_sha256_file(char hex[65], const char *path);

#endif
