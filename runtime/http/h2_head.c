/*
 * HTTP/2 heads. What makes a request malformed by RFC 9113 8.2 and 8.3 (names in upper case, connection headers, pseudo
 * headers missing, repeated or late, a length that does not match) nghttp2 finds and resets the stream. Ours are limits,
 * and the checks that HTTP/1 has too.
 */
#include <stdio.h>

#include "runtime/http/h2_int.h"

static void refuse(struct http_exchange *ex, int status)
{
    if (ex->refused_status == 0) {
        ex->refused_status = status;
    }
}

static void set_method(struct http_exchange *ex, struct tr_slice text)
{
    ex->pub.method = tr_http_method_parse(text);
    if (ex->pub.method != TR_HTTP_OTHER) {
        ex->pub.method_text = tr_slice_str(tr_http_method_text(ex->pub.method));
    } else if (text.len <= sizeof(ex->method) && tr_http_is_token(text)) {
        memcpy(ex->method, text.ptr, text.len);
        ex->pub.method_text = tr_slice(ex->method, text.len);
    } else {
        refuse(ex, 501);
    }
}

void h2_head_add(struct http_exchange *ex, struct tr_slice name, struct tr_slice value)
{
    const struct tr_http_server_conf *conf = &ex->conn->env->conf;
    ex->head_bytes += name.len + value.len + 4; /* what it would take in HTTP/1 */
    if (ex->head_bytes > conf->header_bytes_max || ex->pub.headers.fields_len >= conf->headers_max) {
        refuse(ex, 431);
    }
    if (ex->refused_status != 0) {
        return;
    }
    if (tr_slice_eq(name, TR_SLICE_LIT(":method"))) {
        set_method(ex, value);
    } else if (tr_slice_eq(name, TR_SLICE_LIT(":path"))) {
        tr_buf_set(&ex->target, value);
    } else if (tr_slice_eq(name, TR_SLICE_LIT(":authority"))) {
        tr_http_headers_add(&ex->pub.headers, TR_SLICE_LIT("host"), value);
    } else if (!tr_slice_starts(name, TR_SLICE_LIT(":"))) {
        tr_http_headers_add(&ex->pub.headers, name, value);
    }
}

/* A client may send both :authority and host: one remains, and they may not differ. Source: RFC 9113 8.3.1. */
static bool check_host(struct http_exchange *ex)
{
    struct tr_http_headers *headers = &ex->pub.headers;
    const struct tr_slice host = tr_http_headers_value(headers, "host");
    for (uint32_t i = 0, hosts = 0; i < headers->fields_len; i++) {
        const struct tr_http_header header = tr_http_headers_at(headers, i);
        if (!tr_slice_eq_nocase(header.name, TR_SLICE_LIT("host"))) {
            continue;
        }
        if (!tr_slice_eq_nocase(header.value, host)) {
            return false;
        }
        hosts++;
        if (hosts > 1) {
            memmove(&headers->fields[i], &headers->fields[i + 1],
                    (headers->fields_len - i - 1) * sizeof(headers->fields[0]));
            headers->fields_len--;
            i--;
        }
    }
    return http_is_host(host);
}

void h2_head_done(struct http_exchange *ex, bool has_body)
{
    ex->pub.version = TR_HTTP_2;
    if (ex->refused_status != 0) {
        return;
    }
    const bool is_connect = ex->pub.method == TR_HTTP_CONNECT;
    if (!check_host(ex)) {
        refuse(ex, 400);
        return;
    }
    const struct tr_slice host = tr_http_headers_value(&ex->pub.headers, "host");
    if (is_connect) {
        tr_buf_set(&ex->target, host);
    }
    if (!http_target_parse(ex)) {
        refuse(ex, 400);
        return;
    }
    if (ex->pub.authority.len == 0) {
        ex->pub.authority = host;
    }
    ex->pub.content_length = 0;
    if (has_body && !tr_http_length_parse(tr_http_headers_value(&ex->pub.headers, "content-length"),
                                          &ex->pub.content_length)) {
        ex->pub.content_length = TR_HTTP_LENGTH_UNKNOWN;
    }
    ex->wants_continue = has_body && tr_slice_eq_nocase(tr_http_headers_value(&ex->pub.headers, "expect"),
                                                        TR_SLICE_LIT("100-continue"));
}

/* --- answers ----------------------------------------------------------------------------------------------------------- */

static nghttp2_nv pair(struct tr_slice name, struct tr_slice value)
{
    /* nghttp2 copies both; its type has no const. */
    return (nghttp2_nv){
        .name = (uint8_t *)(uintptr_t)name.ptr,
        .namelen = name.len,
        .value = (uint8_t *)(uintptr_t)value.ptr,
        .valuelen = value.len,
        .flags = NGHTTP2_NV_FLAG_NONE,
    };
}

/* Append `text` to the scratch, which has room, in lower case. */
static struct tr_slice add_lower(struct tr_buf *scratch, struct tr_slice text)
{
    char *at = scratch->ptr + scratch->len;
    tr_buf_add(scratch, text);
    tr_assert(at + text.len == scratch->ptr + scratch->len);
    for (size_t i = 0; i < text.len; i++) {
        at[i] = at[i] >= 'A' && at[i] <= 'Z' ? (char)(at[i] + ('a' - 'A')) : at[i];
    }
    return tr_slice(at, text.len);
}

static struct tr_slice add_number(struct tr_buf *scratch, uint64_t number)
{
    const size_t before = scratch->len;
    tr_buf_addf(scratch, "%llu", (unsigned long long)number);
    return tr_slice(scratch->ptr + before, scratch->len - before);
}

/* Blanks at the ends and bytes that end a line are no part of a value (RFC 9113 8.2.1). */
static struct tr_slice add_value(struct tr_buf *scratch, struct tr_slice value)
{
    value = tr_slice_trim(value);
    if (tr_http_is_value(value)) {
        return value;
    }
    char *at = scratch->ptr + scratch->len;
    tr_buf_add(scratch, value);
    for (size_t i = 0; i < value.len; i++) {
        at[i] = at[i] == '\0' || at[i] == '\r' || at[i] == '\n' ? ' ' : at[i];
    }
    return tr_slice(at, value.len);
}

size_t h2_head_make(struct http_exchange *ex, int status, const struct tr_http_headers *headers, uint64_t length)
{
    struct http_h2 *h2 = ex->conn->h2;
    const size_t headers_len = headers == NULL ? 0 : tr_http_headers_len(headers);
    if (h2->nva_cap < headers_len + 3) {
        h2->nva_cap = headers_len + 16;
        h2->nva = tr_xrealloc(h2->nva, h2->nva_cap * sizeof(*h2->nva));
    }
    /* All room at once: what has been added may not move. */
    size_t room = 64;
    for (size_t i = 0; i < headers_len; i++) {
        const struct tr_http_header header = tr_http_headers_at(headers, i);
        room += header.name.len + header.value.len;
    }
    tr_buf_clear(&h2->scratch);
    tr_buf_reserve(&h2->scratch, room);
    size_t len = 0;
    h2->nva[len++] = pair(TR_SLICE_LIT(":status"), add_number(&h2->scratch, (uint64_t)status));
    bool has_date = false;
    for (size_t i = 0; i < headers_len; i++) {
        const struct tr_http_header header = tr_http_headers_at(headers, i);
        if (!http_is_framing_header(header.name) && tr_http_is_token(header.name)) {
            has_date = has_date || tr_slice_eq_nocase(header.name, TR_SLICE_LIT("date"));
            const struct tr_slice name = add_lower(&h2->scratch, header.name);
            h2->nva[len++] = pair(name, add_value(&h2->scratch, header.value));
        }
    }
    if (!has_date) {
        h2->nva[len++] = pair(TR_SLICE_LIT("date"), tr_slice_str(ex->conn->env->date));
    }
    if (length != TR_HTTP_LENGTH_UNKNOWN && !tr_http_status_bodiless(status)) {
        h2->nva[len++] = pair(TR_SLICE_LIT("content-length"), add_number(&h2->scratch, length));
    }
    return len;
}

/* --- upgrade ----------------------------------------------------------------------------------------------------------- */

/* Source: RFC 7540 3.2. A request with a body is answered as HTTP/1, which it may be. */
bool http_h2_is_upgrade(const struct http_exchange *ex)
{
    const struct tr_http_headers *headers = &ex->pub.headers;
    return ex->pub.version == TR_HTTP_1_1 && ex->pub.content_length == 0 &&
           tr_http_headers_has_element(headers, "Upgrade", "h2c") &&
           tr_http_headers_has_element(headers, "Connection", "Upgrade") &&
           tr_http_headers_has_element(headers, "Connection", "HTTP2-Settings") &&
           tr_http_headers_count(headers, "HTTP2-Settings") == 1;
}
