/* For the JSON files of this folder. */
#ifndef TR_BASE_JSON_INT_H
#define TR_BASE_JSON_INT_H

#include <stddef.h>

/* Value of the four hexadecimal digits at `at`, or -1 if there are none. */
int json_hex_unit(const char *at, size_t len);

#endif
