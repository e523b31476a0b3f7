/* Base64 with the standard alphabet and padding (RFC 4648 section 4), and the URL alphabet without padding (5). */
#ifndef TR_BASE_BASE64_H
#define TR_BASE_BASE64_H

#include "runtime/base/buf.h"
#include "runtime/base/err.h"
#include "runtime/base/slice.h"

/* Append the text of `bytes`. Thread: any. Cost: O(len). */
void tr_base64_add(struct tr_buf *buf, struct tr_slice bytes);
/* The same with `-` and `_` for `+` and `/`, and without padding: what JSON Web Tokens use. */
void tr_base64_add_url(struct tr_buf *buf, struct tr_slice bytes);

/*
 * Append the bytes of `text`. Strict: padding is required, nothing else may stand between the digits, and bits that
 * are left over must be zero.
 *
 * Errors: TR_INVALID, nothing is appended.
 */
enum tr_code tr_base64_decode(struct tr_slice text, struct tr_buf *out, struct tr_err *err) TR_MUST_USE;
/* The same for the URL alphabet; padding is refused. */
enum tr_code tr_base64_decode_url(struct tr_slice text, struct tr_buf *out, struct tr_err *err) TR_MUST_USE;

#endif
