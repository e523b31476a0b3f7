/*
 * Header lists as sidecars tell them to each other: a map from the name in Go's canonical form to all its values. Go
 * peers look names up by that exact spelling.
 * Source: Dapr dapr/proto/internals/v1/service_invocation.proto, pkg/messaging/v1/util.go (1.18).
 */
#ifndef TR_INVOKE_HEADERS_H
#define TR_INVOKE_HEADERS_H

#include "proto/internals.pb-c.h"
#include "runtime/http/http.h"

/* The encoded form; it borrows the values. */
struct tr_header_map {
    Tr__Internals__ListEntry **entries; /* for the message's field; owned */
    size_t len;
    struct tr_header_map_row *rows; /* private, owned */
    size_t cap;
};

/* Room for `cap` different names. */
void tr_header_map_init(struct tr_header_map *map, size_t cap);
/* Append a value to its name's list; the value is borrowed until _fini. More names than `cap` abort. Cost: O(names). */
void tr_header_map_add(struct tr_header_map *map, struct tr_slice name, struct tr_slice value);
void tr_header_map_add_all(struct tr_header_map *map, const struct tr_http_headers *headers);
bool tr_header_map_has(const struct tr_header_map *map, struct tr_slice name);
void tr_header_map_fini(struct tr_header_map *map);

/* Append the values of a decoded map, until `out` has `max` entries; false if some were left out. */
bool tr_header_map_read(Tr__Internals__ListEntry *const *entries, size_t len, size_t max,
                        struct tr_http_headers *out);

#endif
