/* Text in double quotes as Go's strconv.Quote writes it: error messages and log lines are compared by their bytes. */
#ifndef TR_BASE_QUOTE_H
#define TR_BASE_QUOTE_H

#include <stdbool.h>

#include "runtime/base/buf.h"
#include "runtime/base/slice.h"

/*
 * Append `text` in double quotes. `"` and `\` get a backslash, control characters their short form or `\xNN`, bytes
 * that are no UTF-8 `\xNN`, characters that do not print `\uNNNN` or `\UNNNNNNNN`; other Unicode stays.
 *
 * Thread: any. Cost: O(len).
 * Source: Go strconv/quote.go, appendQuotedWith; what prints is narrowed to the ranges in quote.c.
 */
void tr_buf_add_quoted(struct tr_buf *buf, struct tr_slice text);

/*
 * Decode one UTF-8 character of `text` (not empty) into `*out_rune`. Returns its bytes, or 0 if the first byte starts
 * no valid character (overlong forms, surrogates and values above U+10FFFF are invalid).
 */
size_t tr_utf8_decode(struct tr_slice text, unsigned *out_rune);

/* Is it valid UTF-8 as a whole? What a strict peer demands of strings in protobuf messages. */
bool tr_utf8_is_valid(struct tr_slice text);

#endif
