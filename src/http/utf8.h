/*
 * UTF-8, strictly: no overlong forms, no surrogates, nothing above U+10FFFF.
 */
#ifndef SLUICE_HTTP_UTF8_H
#define SLUICE_HTTP_UTF8_H

#include <stddef.h>

/* The length of the character at the front of `len` bytes (at least 1); 0 where it is not valid. */
size_t utf8_length(const char *at, size_t len);

#endif
