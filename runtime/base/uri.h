/*
 * Paths and queries: percent-encoding and lexical cleaning. Error texts are those of Go's net/url, because API clients see them.
 * Source: Go net/url/url.go (escape, unescape, parseQuery); RFC 3986.
 */
#ifndef TR_BASE_URI_H
#define TR_BASE_URI_H

#include <stdbool.h>

#include "runtime/base/buf.h"
#include "runtime/base/err.h"
#include "runtime/base/slice.h"

/*
 * Append the decoded form of a path segment: `%XX` becomes its byte, all else stays (`+` too).
 *
 * Errors: TR_INVALID, `invalid URL escape "%zz"`; nothing is appended.
 */
enum tr_code tr_uri_decode_segment(struct tr_slice text, struct tr_buf *out, struct tr_err *err) TR_MUST_USE;

/* The same for a query's key or value, where `+` is a blank. */
enum tr_code tr_uri_decode_query(struct tr_slice text, struct tr_buf *out, struct tr_err *err) TR_MUST_USE;

/* Append `text` encoded for a path segment; bytes other than letters, digits and `-_.~$&+=:@` become `%XX`. */
void tr_uri_add_segment(struct tr_buf *buf, struct tr_slice text);
/* Append `text` encoded for a query's key or value: only letters, digits and `-_.~` stay, a blank becomes `+`. */
void tr_uri_add_query(struct tr_buf *buf, struct tr_slice text);

/*
 * Append the lexically clean form of `path`: repeated slashes collapsed, `.` and `..` segments resolved, no slash at
 * the end, one in front ("/" for the root). Bytes are not decoded.
 * Source: Go path.Clean.
 */
void tr_uri_clean_path(struct tr_slice path, struct tr_buf *out);

/*
 * Cut the next pair off the raw query `*rest` (without its '?'): key and value still encoded, the value empty if there
 * is no '='. Empty pairs are skipped. False at the end.
 */
bool tr_uri_next_pair(struct tr_slice *rest, struct tr_slice *out_key, struct tr_slice *out_value);

/*
 * Find the first pair whose decoded key is `key` and append its decoded value to `out`. False: none, or its value is
 * malformed; pairs whose key is malformed are passed over.
 */
bool tr_uri_query_get(struct tr_slice query, struct tr_slice key, struct tr_buf *out);

#endif
