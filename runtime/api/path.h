/*
 * Paths of the public API: routing, and the rules for names and methods.
 *
 * Routing works on the cleaned but still percent-encoded path (runtime/base/uri.h), so that `%2F` never splits a segment;
 * each parameter is decoded after routing by the rules of forms, where `+` is a blank.
 * Source: Dapr pkg/api/http/server.go, pkg/api/http/api.go (1.18); Go net/url, path.
 */
#ifndef TR_API_PATH_H
#define TR_API_PATH_H

#include "runtime/base/buf.h"
#include "runtime/base/err.h"
#include "runtime/base/slice.h"

#define TR_PATH_PARAMS_MAX 4

/*
 * Match a clean path against a pattern such as "/v1.0/state/{store}/{key}", in which a name in braces stands for one
 * segment that is not empty. On success out_params holds the segments, still encoded, in order; borrowed from `path`.
 */
bool tr_path_match(struct tr_slice path, const char *pattern, struct tr_slice out_params[TR_PATH_PARAMS_MAX]);

/* Does a strict name (actor type, actor id, reminder, timer) hold? Errors: TR_BAD_REQUEST, with the rule's text. */
TR_MUST_USE enum tr_code tr_path_check_name(struct tr_slice name, struct tr_err *err);

/*
 * Check an actor method and append its clean form: `a/../b` is `b`, leading `../` go, `.` and `..` alone are empty.
 * Errors: TR_BAD_REQUEST, with the rule's text.
 * Source: Dapr pkg/messaging/v1 (method normalisation), actors 2.2.
 */
TR_MUST_USE enum tr_code tr_path_clean_method(struct tr_slice method, struct tr_buf *out, struct tr_err *err);

#endif
