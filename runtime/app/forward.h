/*
 * Which headers travel between a caller and an app through sidecars.
 * Source: Dapr pkg/messaging/v1/util.go, pkg/channel/http/http_channel.go (1.18); actors 2.5, 5.5.
 */
#ifndef TR_APP_FORWARD_H
#define TR_APP_FORWARD_H

#include "runtime/http/http.h"

/* Entries that travel with one call, either way: a caller that sends more is refused, what an app answers more is left
 * out. Far enough below TR_HTTP_HEADERS_MAX for what sidecars add. */
#define TR_FORWARD_HEADERS_MAX 1024U

/*
 * Append to `to` the headers of `from` that pass: all but hop-by-hop ones (also those that `from`'s Connection names),
 * Content-Length, Content-Type, Host, names that end in "-bin", Destination-App-Id. "grpc-..." gains the prefix "dapr-".
 * Stops when `to` has TR_FORWARD_HEADERS_MAX entries. Cost: O(entries * elements of Connection).
 */
void tr_forward_headers(const struct tr_http_headers *from, struct tr_http_headers *to);

/* Remove what a client may not say of itself: dapr-caller-app-id, dapr-caller-namespace, dapr-api-token. */
void tr_forward_strip_identity(struct tr_http_headers *headers);

#endif
