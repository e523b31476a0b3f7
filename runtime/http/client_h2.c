/*
 * HTTP/2 on one connection of the client, by nghttp2. One connection carries all calls, as many at
 * a time as the server allows; nghttp2 keeps the others. A canceled call resets its stream; a lost
 * connection fails the calls on it. After a GOAWAY the connection takes no new calls and is closed
 * when the last one is done.
 *
 * nghttp2 is asked for what it wants to send once a turn, and no further than OUT_BYTES_MAX ahead
 * of the socket, so that a slow server holds back the bodies. The connection's window is given back
 * at once, a stream's when its call has taken the bytes: a call that pauses holds back its own
 * stream and nobody else's.
 */
#include "runtime/http/client_int.h"

#include <stdlib.h>

#define WINDOW_BYTES  (256 << 10) /* of a stream: what a paused call may have to hold */
#define CONN_WINDOW   (16 << 20)
#define OUT_BYTES_MAX (256U << 10U)
#define PSEUDO_LEN    4U
#define EXTRA_LEN     1U /* content-length */

static struct tr_http_call *call_of(nghttp2_session *session, int32_t stream_id)
{
    return nghttp2_session_get_stream_user_data(session, stream_id);
}

/* --- the answer ------------------------------------------------------------------------------- */

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
                     size_t name_len, const uint8_t *value, size_t value_len, uint8_t flags,
                     void *ctx)
{
    struct tr_http_client_conn *conn = ctx;
    struct tr_http_call *call = call_of(session, frame->hd.stream_id);
    (void)flags;
    if (call == NULL || call->has_head) {
        return 0; /* canceled, or trailers */
    }
    const struct tr_slice key = tr_slice(name, name_len);
    if (tr_slice_eq_str(key, ":status")) {
        uint64_t status = 0;
        call->status = tr_http_length_parse(tr_slice(value, value_len), &status) && status < 1000
                           ? (int)status
                           : 0;
        return 0;
    }
    call->head_bytes += name_len + value_len;
    if (call->head_bytes > conn->client->conf.header_bytes_max ||
        tr_http_headers_len(&call->headers_out) >= TR_HTTP_HEADERS_MAX) {
        (void)tr_err_set(&call->err, TR_LIMIT, "answer's headers are too large");
        return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    }
    tr_http_headers_add(&call->headers_out, key, tr_slice(value, value_len));
    return 0;
}

static int on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *ctx)
{
    struct tr_http_client_conn *conn = ctx;
    if (frame->hd.type == NGHTTP2_HEADERS) {
        struct tr_http_call *call = call_of(session, frame->hd.stream_id);
        if (call == NULL || call->has_head || call->err.code != TR_OK) {
            return 0;
        }
        if (call->status >= 200) {
            client_call_head(call);
        } else {
            tr_http_headers_clear(&call->headers_out); /* informational */
        }
    } else if (frame->hd.type == NGHTTP2_GOAWAY) {
        conn->is_going_away = true;
    }
    return 0;
}

static int on_data(nghttp2_session *session, uint8_t flags, int32_t stream_id, const uint8_t *data,
                   size_t len, void *ctx)
{
    struct tr_http_call *call = call_of(session, stream_id);
    (void)flags;
    (void)ctx;
    (void)nghttp2_session_consume_connection(session, len);
    if (call == NULL || call->err.code != TR_OK) {
        return 0;
    }
    if (!client_call_body(call, tr_slice(data, len))) {
        (void)nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, stream_id, NGHTTP2_CANCEL);
    }
    return 0;
}

void client_h2_consumed(struct tr_http_client_conn *conn, struct tr_http_call *call, size_t len)
{
    (void)nghttp2_session_consume_stream(conn->session, call->stream_id, len);
    client_conn_flush_soon(conn);
}

/* The call's end: complete or reset. */
static int on_stream_close(nghttp2_session *session, int32_t stream_id, uint32_t code, void *ctx)
{
    struct tr_http_client_conn *conn = ctx;
    struct tr_http_call *call = call_of(session, stream_id);
    tr_assert(conn->streams_len > 0);
    conn->streams_len--;
    conn->was_used = true;
    if (conn->streams_len == 0) {
        client_conn_rest(conn);
    }
    if (call == NULL) {
        return 0;
    }
    call->conn = NULL;
    /* Source: RFC 9113 8.7: a refused stream was not processed. */
    if (code == NGHTTP2_REFUSED_STREAM && call->err.code == TR_OK &&
        client_call_again(call, true)) {
        return 0;
    }
    /* NO_ERROR after a complete answer: the server wants no more of the request. Source: RFC
     * 9113 8.1. */
    if (call->err.code == TR_OK && (code != NGHTTP2_NO_ERROR || !call->has_head)) {
        (void)tr_err_set(&call->err, TR_IO, "stream error: stream ID %d; %s", stream_id,
                         nghttp2_http2_strerror(code));
    }
    if (call->err.code != TR_OK) {
        client_call_done(call);
    } else {
        client_call_over(call);
    }
    return 0;
}

/* --- the request ------------------------------------------------------------------------------ */

static size_t read_whole(struct tr_http_call *call, uint8_t *out, size_t cap, uint32_t *out_flags)
{
    const size_t left = call->body.len - call->body_at;
    const size_t len = left < cap ? left : cap;
    if (len > 0) {
        memcpy(out, call->body.ptr + call->body_at, len);
    }
    call->body_at += len;
    if (call->body_at == call->body.len) {
        *out_flags |= NGHTTP2_DATA_FLAG_EOF;
    }
    return len;
}

static size_t read_pieces(struct tr_http_call *call, uint8_t *out, size_t cap, uint32_t *out_flags)
{
    const size_t left = call->out.len - call->out_at;
    const size_t len = left < cap ? left : cap;
    if (len > 0) {
        memcpy(out, call->out.ptr + call->out_at, len);
        call->is_out_begun = true;
    }
    call->out_at += len;
    if (len == left) {
        tr_buf_clear(&call->out);
        call->out_at = 0;
        if (call->is_out_ended) {
            *out_flags |= NGHTTP2_DATA_FLAG_EOF;
        }
    }
    client_call_drained(call, left - len);
    return len;
}

static ssize_t on_read_body(nghttp2_session *session, int32_t stream_id, uint8_t *out, size_t cap,
                            uint32_t *out_flags, nghttp2_data_source *source, void *ctx)
{
    struct tr_http_call *call = call_of(session, stream_id);
    (void)source;
    (void)ctx;
    if (call == NULL || call->err.code != TR_OK) {
        return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE; /* canceled: the body is no longer ours */
    }
    if (!call->is_streaming) {
        return (ssize_t)read_whole(call, out, cap, out_flags);
    }
    const size_t len = read_pieces(call, out, cap, out_flags);
    return len == 0 && (*out_flags & NGHTTP2_DATA_FLAG_EOF) == 0 ? NGHTTP2_ERR_DEFERRED
                                                                 : (ssize_t)len;
}

void client_h2_pull(struct tr_http_client_conn *conn, struct tr_http_call *call)
{
    (void)nghttp2_session_resume_data(conn->session,
                                      call->stream_id); /* fails harmlessly if it was not waiting */
    client_conn_flush_soon(conn);
}

static nghttp2_nv pair(struct tr_slice name, struct tr_slice value)
{
    return (nghttp2_nv){ .name = (uint8_t *)(uintptr_t)name.ptr,
                         .namelen = name.len,
                         .value = (uint8_t *)(uintptr_t)(value.len == 0 ? "" : value.ptr),
                         .valuelen = value.len,
                         .flags = NGHTTP2_NV_FLAG_NONE };
}

static bool has_length(const struct tr_http_call *call)
{
    return call->is_streaming ? !client_call_is_chunked(call)
                              : call->has_body || call->body.len > 0;
}

/* Names go out in lower case and lie in `lower`, as does the length; it must not grow while `pairs`
 * points into it. */
static size_t make_head(const struct tr_http_client_conn *conn, const struct tr_http_call *call,
                        nghttp2_nv *pairs, struct tr_buf *lower)
{
    size_t len = 0;
    pairs[len++] = pair(TR_SLICE_LIT(":method"), call->method);
    pairs[len++] = pair(TR_SLICE_LIT(":scheme"), TR_SLICE_LIT("http"));
    pairs[len++] = pair(TR_SLICE_LIT(":authority"), tr_buf_slice(&conn->client->authority));
    pairs[len++] = pair(TR_SLICE_LIT(":path"), call->target);
    const size_t length_max = 20; /* digits of 2^64 */
    tr_buf_reserve(lower, length_max + 1 + (call->headers == NULL ? 0 : call->headers->bytes.len));
    if (has_length(call)) {
        const uint64_t bytes = call->is_streaming ? call->body_length : call->body.len;
        tr_buf_addf(lower, "%llu", (unsigned long long)bytes);
        pairs[len++] = pair(TR_SLICE_LIT("content-length"), tr_buf_slice(lower));
    }
    for (size_t i = 0; call->headers != NULL && i < tr_http_headers_len(call->headers); i++) {
        const struct tr_http_header header = tr_http_headers_at(call->headers, i);
        if (client_header_skipped(header.name) || !tr_http_is_token(header.name) ||
            !tr_http_is_value(header.value)) {
            continue;
        }
        const size_t at = lower->len;
        for (size_t c = 0; c < header.name.len; c++) {
            const char letter = header.name.ptr[c];
            tr_buf_add_char(lower,
                            letter >= 'A' && letter <= 'Z' ? (char)(letter + ('a' - 'A')) : letter);
        }
        pairs[len++] = pair(tr_slice(lower->ptr + at, header.name.len), header.value);
    }
    return len;
}

void client_h2_send(struct tr_http_client_conn *conn, struct tr_http_call *call)
{
    const size_t headers_len = call->headers == NULL ? 0 : tr_http_headers_len(call->headers);
    nghttp2_nv *pairs = tr_xalloc((headers_len + PSEUDO_LEN + EXTRA_LEN) * sizeof(*pairs));
    struct tr_buf lower = { 0 };
    const size_t pairs_len = make_head(conn, call, pairs, &lower);
    const nghttp2_data_provider body = { .read_callback = on_read_body };
    const bool has_data = call->is_streaming || call->body.len > 0;
    const int32_t id = nghttp2_submit_request(conn->session, NULL, pairs, pairs_len,
                                              has_data ? &body : NULL, call);
    tr_buf_fini(&lower);
    free(pairs);
    if (id < 0) { /* no stream numbers are left: make a new connection */
        conn->is_going_away = true;
        if (!client_call_again(call, true)) {
            (void)tr_err_set(&call->err, TR_IO, "HTTP/2 request: %s", nghttp2_strerror(id));
            client_call_done(call);
        }
        return;
    }
    call->stream_id = id;
    conn->streams_len++;
    client_conn_flush_soon(conn);
}

void client_h2_cancel(struct tr_http_client_conn *conn, struct tr_http_call *call)
{
    (void)nghttp2_session_set_stream_user_data(conn->session, call->stream_id, NULL);
    call->conn = NULL;
    (void)nghttp2_submit_rst_stream(conn->session, NGHTTP2_FLAG_NONE, call->stream_id,
                                    NGHTTP2_CANCEL);
    client_conn_flush_soon(conn);
}

/* --- the connection --------------------------------------------------------------------------- */

/* The connection is lost: all its calls fail, or go on elsewhere. */
static void fail_all(struct tr_http_client_conn *conn, const struct tr_err *err)
{
    struct tr_link *it;
    struct tr_link *tmp;
    client_conn_close(conn);
    TR_LIST_FOR_EACH (it, tmp, &conn->client->calls) {
        struct tr_http_call *call = TR_CONTAINER_OF(it, struct tr_http_call, op.link);
        if (call->conn == conn && tr_op_is_started(&call->op)) {
            (void)nghttp2_session_set_stream_user_data(conn->session, call->stream_id, NULL);
            if (!(conn->was_used && client_call_again(call, false))) {
                client_call_fail(call, err);
            }
        }
    }
}

bool client_h2_pump(struct tr_http_client_conn *conn)
{
    tr_assert(!conn->is_in_session);
    conn->is_in_session = true;
    const uint8_t *data = NULL;
    ssize_t len = 0;
    while (client_conn_pending(conn) < OUT_BYTES_MAX &&
           (len = nghttp2_session_mem_send(conn->session, &data)) > 0) {
        tr_buf_add(&conn->out, tr_slice(data, (size_t)len));
    }
    conn->is_in_session = false;
    if (len < 0) {
        struct tr_err err;
        (void)tr_err_set(&err, TR_IO, "HTTP/2: %s", nghttp2_strerror((int)len));
        fail_all(conn, &err);
    }
    return len > 0;
}

static nghttp2_session *session_new(struct tr_http_client_conn *conn)
{
    nghttp2_session_callbacks *callbacks = NULL;
    nghttp2_option *option = NULL;
    nghttp2_session *session = NULL;
    tr_assert(nghttp2_session_callbacks_new(&callbacks) == 0);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_stream_close);
    tr_assert(nghttp2_option_new(&option) == 0);
    nghttp2_option_set_no_auto_window_update(option, 1);
    tr_assert(nghttp2_session_client_new2(&session, callbacks, conn, option) == 0);
    nghttp2_option_del(option);
    nghttp2_session_callbacks_del(callbacks);
    return session;
}

void client_h2_open(struct tr_http_client_conn *conn)
{
    conn->session = session_new(conn);
    const nghttp2_settings_entry settings[] = {
        { NGHTTP2_SETTINGS_ENABLE_PUSH, 0 }, { NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, WINDOW_BYTES }
    };
    tr_assert(nghttp2_submit_settings(conn->session, NGHTTP2_FLAG_NONE, settings,
                                      TR_ARRAY_LEN(settings)) == 0);
    (void)nghttp2_session_set_local_window_size(conn->session, NGHTTP2_FLAG_NONE, 0, CONN_WINDOW);
    client_conn_flush_soon(conn);
}

void client_h2_read(void *ctx, struct tr_slice bytes, const struct tr_err *err)
{
    struct tr_http_client_conn *conn = ctx;
    if (conn->state == CONN_CLOSING) {
        return;
    }
    struct tr_err why;
    if (err != NULL) {
        why = *err;
        if (why.code == TR_EOF) {
            (void)tr_err_set(&why, TR_EOF, "unexpected EOF");
        }
        fail_all(conn, &why);
        return;
    }
    conn->is_in_session = true;
    const ssize_t taken =
        nghttp2_session_mem_recv(conn->session, (const uint8_t *)bytes.ptr, bytes.len);
    conn->is_in_session = false;
    if (conn->state == CONN_CLOSING) {
        return;
    }
    if (taken < 0) {
        (void)tr_err_set(&why, TR_INVALID, "malformed HTTP/2: %s", nghttp2_strerror((int)taken));
        fail_all(conn, &why);
        return;
    }
    client_conn_flush_soon(conn);
}

void client_h2_close_if_over(struct tr_http_client_conn *conn)
{
    if (conn->state == CONN_CLOSING) {
        return;
    }
    struct tr_err why;
    if (conn->is_going_away && conn->streams_len == 0) {
        client_conn_close(conn);
    } else if (nghttp2_session_want_read(conn->session) == 0 &&
               nghttp2_session_want_write(conn->session) == 0) {
        /* nghttp2 has ended it, and said so to the server, because of what the server sent. */
        (void)tr_err_set(&why, TR_INVALID, "malformed HTTP/2");
        fail_all(conn, &why);
    }
}

void client_h2_fini(struct tr_http_client_conn *conn)
{
    nghttp2_session_del(conn->session);
    conn->session = NULL;
}
