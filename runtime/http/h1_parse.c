/*
 * HTTP/1: what the parser finds in a request. Limits are counted here, and folded values are found; the checks of a whole
 * head are in h1_head.c, and h1.c decides when the parser goes on.
 */
#include "runtime/http/h1_int.h"

static struct http_conn *conn_of(llhttp_t *parser)
{
    return TR_CONTAINER_OF(parser, struct http_conn, h1.parser);
}

int h1_refuse(struct http_conn *conn, int status, const char *text)
{
    conn->h1.fail_status = status;
    conn->h1.fail_text = text;
    return HPE_USER;
}

static int on_message_begin(llhttp_t *parser)
{
    struct http_conn *conn = conn_of(parser);
    struct http_h1_conn *h1 = &conn->h1;
    tr_assert(h1->state == H1_IDLE);
    h1->state = H1_HEAD;
    h1->is_message_done = false;
    h1->is_name_open = false;
    h1->extra_bytes = 0;
    h1->fail_status = 0;
    http_exchange_reset(&h1->ex, conn);
    if (!h1->is_fresh) {
        conn->deadline_ms = conn->env->wire->now_ms(conn) + conn->env->conf.header_timeout_ms;
    }
    h1->is_fresh = false;
    return 0;
}

/* Is the head over its limit, with the bytes before `end`? */
static bool is_head_too_large(const struct http_conn *conn, const char *end)
{
    return conn->h1.head_bytes + (uint64_t)(end - conn->data.ptr) > conn->env->conf.header_bytes_max;
}

static int on_url(llhttp_t *parser, const char *at, size_t len)
{
    struct http_conn *conn = conn_of(parser);
    if (is_head_too_large(conn, at + len)) {
        return h1_refuse(conn, 431, "the request's headers are too large");
    }
    tr_buf_add(&conn->h1.ex.target, tr_slice(at, len));
    return 0;
}

static int count_extra(struct http_conn *conn, size_t len)
{
    conn->h1.extra_bytes += len;
    return conn->h1.extra_bytes > HTTP_TRAILER_MAX ? h1_refuse(conn, 400, "trailers or chunk extensions are too large") : 0;
}

static int on_chunk_extension(llhttp_t *parser, const char *at, size_t len)
{
    (void)at;
    return count_extra(conn_of(parser), len);
}

static int on_header_field(llhttp_t *parser, const char *at, size_t len)
{
    struct http_conn *conn = conn_of(parser);
    struct http_h1_conn *h1 = &conn->h1;
    if ((parser->flags & F_TRAILING) != 0) {
        return count_extra(conn, len);
    }
    if (is_head_too_large(conn, at + len)) {
        return h1_refuse(conn, 431, "the request's headers are too large");
    }
    if (!h1->is_name_open) {
        if (h1->ex.pub.headers.fields_len >= conn->env->conf.headers_max) {
            return h1_refuse(conn, 431, "the request has too many headers");
        }
        (void)http_headers_open(&h1->ex.pub.headers);
        h1->is_name_open = true;
        h1->has_value = false;
        h1->gap_line_end = false;
    }
    http_headers_more_name(&h1->ex.pub.headers, tr_slice(at, len));
    h1->name_end = at + len;
    h1->name_chunk = h1->chunk;
    return 0;
}

/* Is there a line end between the colon and `end`, as far as it lies in this chunk? */
bool h1_has_gap_line_end(const struct http_conn *conn, const char *end)
{
    const struct http_h1_conn *h1 = &conn->h1;
    const char *begin = h1->name_chunk == h1->chunk ? h1->name_end : conn->data.ptr;
    return memchr(begin, '\n', (size_t)(end - begin)) != NULL;
}

/*
 * A value folded over lines is refused: intermediaries disagree about such values. The parser skips the fold, so it is
 * seen by what lies between the pieces: before the first one, a line end; before a later one, anything at all. Such a
 * piece continues the last one only if that ended with its chunk and this one begins the next.
 */
static bool is_folded(const struct http_conn *conn, const char *at)
{
    const struct http_h1_conn *h1 = &conn->h1;
    if (!h1->has_value) {
        return h1->gap_line_end || h1_has_gap_line_end(conn, at);
    }
    return h1->value_chunk + 1 != h1->chunk || at != conn->data.ptr;
}

static int on_header_value(llhttp_t *parser, const char *at, size_t len)
{
    struct http_conn *conn = conn_of(parser);
    struct http_h1_conn *h1 = &conn->h1;
    if ((parser->flags & F_TRAILING) != 0) {
        return count_extra(conn, len);
    }
    if (len == 0) {
        return 0;
    }
    if (is_head_too_large(conn, at + len)) {
        return h1_refuse(conn, 431, "the request's headers are too large");
    }
    if (is_folded(conn, at)) {
        return h1_refuse(conn, 400, "a header is folded over several lines");
    }
    http_headers_more_value(&h1->ex.pub.headers, tr_slice(at, len));
    h1->has_value = true;
    /* A piece that ends inside its chunk is complete: nothing may continue it. */
    h1->value_chunk = at + len == conn->data.ptr + conn->data.len ? h1->chunk : 0;
    return 0;
}

static int on_header_value_complete(llhttp_t *parser)
{
    struct http_h1_conn *h1 = &conn_of(parser)->h1;
    if ((parser->flags & F_TRAILING) == 0) {
        h1->is_name_open = false;
        http_headers_trim_value(&h1->ex.pub.headers);
    }
    return 0;
}

bool h1_has_body(const struct http_exchange *ex)
{
    return ex->pub.content_length != 0;
}

static int on_headers_complete(llhttp_t *parser)
{
    struct http_conn *conn = conn_of(parser);
    struct http_h1_conn *h1 = &conn->h1;
    h1->keep_alive = llhttp_should_keep_alive(parser) != 0 && !conn->env->is_draining;
    if (!h1_head_check(conn)) {
        return HPE_USER;
    }
    conn->deadline_ms = 0;
    if (!conn->env->conf.h2c_off && http_h2_is_upgrade(&h1->ex)) {
        h1->state = H1_UPGRADE;
        return 2;
    }
    const bool is_connect = h1->ex.pub.method == TR_HTTP_CONNECT;
    if (is_connect) {
        h1->keep_alive = false; /* what follows is not HTTP */
    } else {
        parser->upgrade = 0; /* no other upgrade is followed: an ordinary request */
    }
    h1->state = H1_OPEN;
    http_exchange_open(&h1->ex);
    return !is_connect && h1_has_body(&h1->ex) && !http_exchange_takes_body(&h1->ex) ? HPE_PAUSED : 0;
}

static int on_body(llhttp_t *parser, const char *at, size_t len)
{
    struct http_conn *conn = conn_of(parser);
    struct http_h1_conn *h1 = &conn->h1;
    if (h1->state == H1_DRAIN) {
        h1->drained += len;
        return 0;
    }
    tr_assert(h1->state == H1_OPEN);
    h1->ex.wants_continue = false; /* the client did not wait for it */
    http_exchange_body(&h1->ex, tr_slice(at, len));
    return http_exchange_takes_body(&h1->ex) ? 0 : HPE_PAUSED;
}

static int on_message_complete(llhttp_t *parser)
{
    struct http_conn *conn = conn_of(parser);
    conn->h1.is_message_done = true;
    conn->h1.ex.is_body_done = true;
    return HPE_PAUSED;
}

const llhttp_settings_t h1_settings = {
    .on_message_begin = on_message_begin,
    .on_url = on_url,
    .on_header_field = on_header_field,
    .on_header_value = on_header_value,
    .on_header_value_complete = on_header_value_complete,
    .on_chunk_extension_name = on_chunk_extension,
    .on_chunk_extension_value = on_chunk_extension,
    .on_headers_complete = on_headers_complete,
    .on_body = on_body,
    .on_message_complete = on_message_complete,
};

