/*
 * HTTP over runtime/base/net: what the server (server.h) and the client (client.h) share. HTTP/1.1 is parsed by llhttp
 * in strict mode, HTTP/2 in clear text is spoken by nghttp2; both stand behind the same exchange, so that routes and
 * streaming bodies are written once. This header holds methods, header lists and status phrases.
 *
 * Header names are kept as they came (HTTP/1.1) or in lower case (HTTP/2) and always compared without regard to case.
 */
#ifndef TR_HTTP_HTTP_H
#define TR_HTTP_HTTP_H

#include <stdbool.h>
#include <stdint.h>

#include "runtime/base/buf.h"
#include "runtime/base/slice.h"

/* --- protocol and method ------------------------------------------------------------------------------------------- */

enum tr_http_version {
    TR_HTTP_1_0,
    TR_HTTP_1_1,
    TR_HTTP_2,
};

enum tr_http_method {
    TR_HTTP_GET,
    TR_HTTP_HEAD,
    TR_HTTP_POST,
    TR_HTTP_PUT,
    TR_HTTP_PATCH,
    TR_HTTP_DELETE,
    TR_HTTP_OPTIONS,
    TR_HTTP_CONNECT,
    TR_HTTP_TRACE,
    TR_HTTP_OTHER, /* the text says which */
};

/* Method of its text, which is compared with case (RFC 9110 9.1); TR_HTTP_OTHER if unknown. Thread: any. */
enum tr_http_method tr_http_method_parse(struct tr_slice text);
/* "GET" and so on; "" for TR_HTTP_OTHER. Static text. Thread: any. */
const char *tr_http_method_text(enum tr_http_method method);

/* Reason phrase of a status, "" if it has none. Static text. Thread: any. Source: RFC 9110 15, Go net/http status.go. */
const char *tr_http_status_text(int status);
/* Has a response of this status no body and no length (1xx, 204, 304)? Source: RFC 9110 6.4.1. */
bool tr_http_status_bodiless(int status);

/* --- headers -------------------------------------------------------------------------------------------------------- */

#define TR_HTTP_HEADERS_MAX 4096 /* entries in one list, whatever a configuration asks for */

struct tr_http_header {
    struct tr_slice name;
    struct tr_slice value;
};

struct tr_http_field { /* private: where an entry lies in `bytes` */
    uint32_t name_at;
    uint32_t name_len;
    uint32_t value_at;
    uint32_t value_len;
};

/* A list in the order of arrival; a name may appear many times. All zero is a valid empty list. Thread: one owner. */
struct tr_http_headers {
    struct tr_buf bytes;          /* owned: names and values one behind the other */
    struct tr_http_field *fields; /* owned */
    uint32_t fields_len;
    uint32_t fields_cap;
};

/* Free the memory and leave an empty list. */
void tr_http_headers_fini(struct tr_http_headers *headers);
/* Forget the entries, keep the memory. */
void tr_http_headers_clear(struct tr_http_headers *headers);
/* Free what `to` had, take the content of `from`, leave `from` empty. */
void tr_http_headers_move(struct tr_http_headers *to, struct tr_http_headers *from);

/*
 * Append an entry; name and value are copied and may not lie in this list. What a peer sends is checked against the
 * limits of its connection first; more than TR_HTTP_HEADERS_MAX entries abort. Bytes that may not stand in a header
 * are accepted here and made harmless when the list is written: see tr_http_headers_write().
 */
void tr_http_headers_add(struct tr_http_headers *headers, struct tr_slice name, struct tr_slice value);
void tr_http_headers_add_str(struct tr_http_headers *headers, const char *name, const char *value);
/* Append all entries of `from`. */
void tr_http_headers_add_all(struct tr_http_headers *headers, const struct tr_http_headers *from);
/* Remove every entry of this name and append one. */
void tr_http_headers_set(struct tr_http_headers *headers, struct tr_slice name, struct tr_slice value);
/* Remove every entry of this name; returns how many there were. */
size_t tr_http_headers_remove(struct tr_http_headers *headers, struct tr_slice name);

static inline size_t tr_http_headers_len(const struct tr_http_headers *headers)
{
    return headers->fields_len;
}

/* Entry `i` < len, borrowed until the list changes. */
struct tr_http_header tr_http_headers_at(const struct tr_http_headers *headers, size_t i);
/* First value of `name`; false if there is none. Borrowed until the list changes. Cost: O(entries). */
bool tr_http_headers_get(const struct tr_http_headers *headers, struct tr_slice name, struct tr_slice *out_value);
/* The same for literals; the empty slice if there is none. */
struct tr_slice tr_http_headers_value(const struct tr_http_headers *headers, const char *name);
bool tr_http_headers_has(const struct tr_http_headers *headers, const char *name);
size_t tr_http_headers_count(const struct tr_http_headers *headers, const char *name);

/*
 * Next element of the comma lists in all entries of `name`: start with *state = 0; false at the end. Elements are
 * trimmed and never empty. Source: RFC 9110 5.6.1.
 */
bool tr_http_headers_next_element(const struct tr_http_headers *headers, const char *name, uint64_t *state,
                                  struct tr_slice *out_element);
/* Is `element` in those lists, without regard to case? For Connection, Transfer-Encoding and the like. */
bool tr_http_headers_has_element(const struct tr_http_headers *headers, const char *name, const char *element);

/* Is it a token (RFC 9110 5.6.2), so may it be a header's name or a method? */
bool tr_http_is_token(struct tr_slice text);
/* Has it no byte that ends or breaks a header (NUL, CR, LF)? */
bool tr_http_is_value(struct tr_slice text);

/*
 * Append "Name: value\r\n" for each entry. An entry whose name is no token is left out; NUL, CR and LF in a value are
 * written as blanks, so that nothing can be smuggled in. Source: Go net/http header.go, writeSubset.
 */
void tr_http_headers_write(const struct tr_http_headers *headers, struct tr_buf *out);

/* Copy `name` in Go's canonical form into `out`: "x-request-id" becomes "X-Request-Id"; a name that is no token stays.
 * Source: Go net/textproto reader.go, CanonicalMIMEHeaderKey. */
void tr_http_header_canonical(struct tr_slice name, struct tr_buf *out);

/* May a proxy not pass this header on, whatever Connection says? Source: RFC 9110 7.6.1, RFC 2616 13.5.1. */
bool tr_http_header_is_hop(struct tr_slice name);

#define TR_HTTP_LENGTH_UNKNOWN UINT64_MAX /* of a body: it ends where its framing says */

/* A length in decimal digits only, at most 2^63-1; false if it is anything else. */
bool tr_http_length_parse(struct tr_slice text, uint64_t *out_length);

#endif
