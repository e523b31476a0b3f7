/*
 * HTTP/2 on one connection of the client, by nghttp2. One connection carries all calls, as many at a time as the server
 * allows; nghttp2 keeps the others. A canceled call resets its stream; a lost connection fails the calls on it. After a
 * GOAWAY the connection takes no new calls and is closed when the last one is done.
 */
#include "runtime/http/client_int.h"

#include <stdlib.h>

#define WINDOW_BYTES     (1 << 20)
#define PSEUDO_LEN       4
#define HEADERS_SENT_MAX 512

static struct tr_http_call *call_of(nghttp2_session *session, int32_t stream_id)
{
    return nghttp2_session_get_stream_user_data(session, stream_id);
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name, size_t name_len,
                     const uint8_t *value, size_t value_len, uint8_t flags, void *ctx)
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
        call->status = tr_http_length_parse(tr_slice(value, value_len), &status) && status < 1000 ? (int)status : 0;
        return 0;
    }
    call->body_at += name_len + value_len; /* bytes of the head, until it is complete */
    if (call->body_at > conn->client->conf.header_bytes_max ||
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
        if (call == NULL || call->has_head) {
            return 0;
        }
        if (call->status >= 200) {
            call->has_head = true;
        } else {
            tr_http_headers_clear(&call->headers_out); /* informational */
        }
    } else if (frame->hd.type == NGHTTP2_GOAWAY) {
        conn->keeps_alive = false;
    }
    return 0;
}

static int on_data(nghttp2_session *session, uint8_t flags, int32_t stream_id, const uint8_t *data, size_t len, void *ctx)
{
    struct tr_http_call *call = call_of(session, stream_id);
    (void)flags;
    (void)ctx;
    if (call == NULL || call->err.code != TR_OK) {
        return 0;
    }
    if (call->body_bytes_max != 0 && len > call->body_bytes_max - call->body_out.len) {
        (void)tr_err_set(&call->err, TR_LIMIT, "answer's body is too large");
        (void)nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, stream_id, NGHTTP2_CANCEL);
        return 0;
    }
    tr_buf_add(&call->body_out, tr_slice(data, len));
    return 0;
}

/* The call's end: complete or reset. */
static int on_stream_close(nghttp2_session *session, int32_t stream_id, uint32_t code, void *ctx)
{
    struct tr_http_client_conn *conn = ctx;
    struct tr_http_call *call = call_of(session, stream_id);
    conn->streams_len--;
    if (call == NULL) {
        return 0;
    }
    call->conn = NULL;
    if (call->err.code == TR_OK && (code != NGHTTP2_NO_ERROR || !call->has_head)) {
        (void)tr_err_set(&call->err, TR_IO, "stream error: stream ID %d; %s", stream_id, nghttp2_http2_strerror(code));
    }
    conn->was_used = true;
    client_call_done(call);
    return 0;
}

static ssize_t on_read_body(nghttp2_session *session, int32_t stream_id, uint8_t *out, size_t cap, uint32_t *out_flags,
                            nghttp2_data_source *source, void *ctx)
{
    struct tr_http_call *call = call_of(session, stream_id);
    (void)source;
    (void)ctx;
    if (call == NULL) {
        return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE; /* canceled: the body is no longer ours */
    }
    const size_t left = call->body.len - call->body_at;
    const size_t len = left < cap ? left : cap;
    if (len > 0) {
        memcpy(out, call->body.ptr + call->body_at, len);
    }
    call->body_at += len;
    if (call->body_at == call->body.len) {
        *out_flags |= NGHTTP2_DATA_FLAG_EOF;
        call->body_at = 0; /* counts the answer's head from here on */
    }
    return (ssize_t)len;
}

/* Move what the session wants to send to the connection. */
static void pump(struct tr_http_client_conn *conn)
{
    const uint8_t *data = NULL;
    ssize_t len;
    while (conn->state != CONN_CLOSING && (len = nghttp2_session_mem_send(conn->session, &data)) > 0) {
        tr_buf_add(&conn->out, tr_slice(data, (size_t)len));
    }
    client_conn_flush(conn);
}

void client_h2_open(struct tr_http_client_conn *conn)
{
    nghttp2_session_callbacks *callbacks = NULL;
    int rc = nghttp2_session_callbacks_new(&callbacks);
    tr_assert(rc == 0);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_stream_close);
    rc = nghttp2_session_client_new(&conn->session, callbacks, conn);
    tr_assert(rc == 0);
    nghttp2_session_callbacks_del(callbacks);
    conn->keeps_alive = true;
    const nghttp2_settings_entry settings[] = { { NGHTTP2_SETTINGS_ENABLE_PUSH, 0 },
                                                { NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, WINDOW_BYTES } };
    rc = nghttp2_submit_settings(conn->session, NGHTTP2_FLAG_NONE, settings, TR_ARRAY_LEN(settings));
    tr_assert(rc == 0);
    (void)nghttp2_session_set_local_window_size(conn->session, NGHTTP2_FLAG_NONE, 0, WINDOW_BYTES);
    pump(conn);
}

static nghttp2_nv pair(struct tr_slice name, struct tr_slice value)
{
    return (nghttp2_nv){ .name = (uint8_t *)(uintptr_t)name.ptr,
                         .namelen = name.len,
                         .value = (uint8_t *)(uintptr_t)(value.len == 0 ? "" : value.ptr),
                         .valuelen = value.len,
                         .flags = NGHTTP2_NV_FLAG_NONE };
}

/* Names go out in lower case: `lower` holds them; it must not grow while `pairs` points into it. */
static size_t make_head(const struct tr_http_client_conn *conn, const struct tr_http_call *call, nghttp2_nv *pairs,
                        struct tr_buf *lower)
{
    size_t len = 0;
    pairs[len++] = pair(TR_SLICE_LIT(":method"), call->method);
    pairs[len++] = pair(TR_SLICE_LIT(":scheme"), TR_SLICE_LIT("http"));
    pairs[len++] = pair(TR_SLICE_LIT(":authority"), tr_buf_slice(&conn->client->authority));
    pairs[len++] = pair(TR_SLICE_LIT(":path"), call->target);
    if (call->headers == NULL) {
        return len;
    }
    tr_buf_reserve(lower, call->headers->bytes.len);
    for (size_t i = 0; i < tr_http_headers_len(call->headers) && len < HEADERS_SENT_MAX; i++) {
        const struct tr_http_header header = tr_http_headers_at(call->headers, i);
        if (client_header_skipped(header.name) || !tr_http_is_token(header.name) || !tr_http_is_value(header.value)) {
            continue;
        }
        const size_t at = lower->len;
        for (size_t c = 0; c < header.name.len; c++) {
            const char letter = header.name.ptr[c];
            tr_buf_add_char(lower, letter >= 'A' && letter <= 'Z' ? (char)(letter + ('a' - 'A')) : letter);
        }
        pairs[len++] = pair(tr_slice(lower->ptr + at, header.name.len), header.value);
    }
    return len;
}

void client_h2_send(struct tr_http_client_conn *conn, struct tr_http_call *call)
{
    nghttp2_nv pairs[HEADERS_SENT_MAX + PSEUDO_LEN];
    struct tr_buf lower = { 0 };
    const size_t pairs_len = make_head(conn, call, pairs, &lower);
    const nghttp2_data_provider body = { .read_callback = on_read_body };
    call->body_at = 0;
    const int32_t id =
        nghttp2_submit_request(conn->session, NULL, pairs, pairs_len, call->body.len > 0 ? &body : NULL, call);
    tr_buf_fini(&lower);
    if (id < 0) {
        struct tr_err err;
        (void)tr_err_set(&err, TR_IO, "HTTP/2 request: %s", nghttp2_strerror(id));
        client_call_fail(call, &err);
        return;
    }
    call->stream_id = id;
    conn->streams_len++;
    pump(conn);
}

void client_h2_cancel(struct tr_http_client_conn *conn, struct tr_http_call *call)
{
    (void)nghttp2_session_set_stream_user_data(conn->session, call->stream_id, NULL);
    call->conn = NULL;
    (void)nghttp2_submit_rst_stream(conn->session, NGHTTP2_FLAG_NONE, call->stream_id, NGHTTP2_CANCEL);
    pump(conn);
}

/* The connection is lost: all its calls fail. */
static void fail_all(struct tr_http_client_conn *conn, const struct tr_err *err)
{
    struct tr_link *it;
    struct tr_link *tmp;
    client_conn_close(conn);
    TR_LIST_FOR_EACH(it, tmp, &conn->client->calls)
    {
        struct tr_http_call *call = TR_CONTAINER_OF(it, struct tr_http_call, op.link);
        if (call->conn == conn && tr_op_is_started(&call->op)) {
            (void)nghttp2_session_set_stream_user_data(conn->session, call->stream_id, NULL);
            client_call_fail(call, err);
        }
    }
}

void client_h2_read(struct tr_http_client_conn *conn, struct tr_slice bytes, const struct tr_err *err)
{
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
    const ssize_t taken = nghttp2_session_mem_recv(conn->session, (const uint8_t *)bytes.ptr, bytes.len);
    if (taken < 0) {
        (void)tr_err_set(&why, TR_INVALID, "malformed HTTP/2: %s", nghttp2_strerror((int)taken));
        fail_all(conn, &why);
        return;
    }
    pump(conn);
    if (!conn->keeps_alive && conn->streams_len == 0) {
        client_conn_close(conn);
        return;
    }
    if (!nghttp2_session_want_read(conn->session) && !nghttp2_session_want_write(conn->session)) {
        (void)tr_err_set(&why, TR_EOF, "connection is going away");
        fail_all(conn, &why);
    }
}

void client_h2_fini(struct tr_http_client_conn *conn)
{
    nghttp2_session_del(conn->session);
    conn->session = NULL;
}
