/*
 * HTTP/2: answers. Their pieces wait in the exchange until the session, which knows the client's windows, asks for them;
 * it is asked only while the wire takes bytes. A piece is copied once, behind the frame's head into what is written.
 */
#include "runtime/http/h2_int.h"

static ssize_t read_pieces(nghttp2_session *session, int32_t stream_id, uint8_t *bytes, size_t len, uint32_t *out_flags,
                           nghttp2_data_source *source, void *user_data)
{
    (void)bytes;
    (void)source;
    (void)user_data;
    struct http_exchange *ex = h2_stream_of(session, stream_id);
    if (ex == NULL) {
        return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    }
    const size_t left = ex->pieces.len - ex->pieces_at;
    const bool is_last = ex->answer == HTTP_ANSWER_ENDED && left <= len;
    if (left == 0 && !is_last) {
        ex->is_deferred = true;
        return NGHTTP2_ERR_DEFERRED;
    }
    *out_flags = NGHTTP2_DATA_FLAG_NO_COPY | (is_last ? NGHTTP2_DATA_FLAG_EOF : 0U);
    return (ssize_t)(left < len ? left : len);
}

int h2_send_pieces(nghttp2_session *session, nghttp2_frame *frame, const uint8_t *head, size_t len,
                       nghttp2_data_source *source, void *user_data)
{
    (void)source;
    struct http_conn *conn = user_data;
    struct http_exchange *ex = h2_stream_of(session, frame->hd.stream_id);
    tr_assert(ex != NULL);
    tr_assert(ex->pieces_at + len <= ex->pieces.len);
    tr_assert(frame->data.padlen == 0);
    if (conn->env->wire->pending(conn) > conn->env->conf.write_high_bytes) {
        return NGHTTP2_ERR_WOULDBLOCK;
    }
    tr_buf_add(&conn->out, tr_slice(head, 9));
    tr_buf_add(&conn->out, tr_slice(ex->pieces.ptr + ex->pieces_at, len));
    ex->pieces_at += len;
    if (ex->pieces_at == ex->pieces.len) {
        tr_buf_clear(&ex->pieces);
        ex->pieces_at = 0;
    }
    conn->h2->sent_bytes += 9 + len;
    if (conn->out.len >= H2_OUT_BYTES) {
        http_conn_flush(conn);
    }
    return 0;
}

/* Take from the session what the wire can take; true if anything was taken. */
bool h2_pump(struct http_conn *conn)
{
    struct http_h2 *h2 = conn->h2;
    bool any = false;
    while (!conn->is_shut && conn->env->wire->pending(conn) <= conn->env->conf.write_high_bytes) {
        const uint8_t *bytes = NULL;
        const uint64_t before = h2->sent_bytes;
        const ssize_t len = nghttp2_session_mem_send(h2->session, &bytes);
        if (len < 0) {
            h2->is_failed = true;
            break;
        }
        tr_buf_add(&conn->out, tr_slice(bytes, (size_t)len));
        h2->sent_bytes += (uint64_t)len;
        if (h2->sent_bytes == before) {
            break;
        }
        any = true;
        if (conn->out.len >= H2_OUT_BYTES) {
            http_conn_flush(conn);
        }
    }
    return any;
}

void h2_give_pieces(struct http_exchange *ex)
{
    if (ex->is_deferred) {
        ex->is_deferred = false;
        (void)nghttp2_session_resume_data(ex->conn->h2->session, ex->stream_id);
    }
}

void h2_send_continue(struct http_exchange *ex)
{
    if (ex->wants_continue && http_exchange_takes_body(ex) && !ex->is_head_sent && !ex->stream_gone) {
        ex->wants_continue = false;
        const nghttp2_nv nv = { .name = (uint8_t *)(uintptr_t)":status",
                                .namelen = 7,
                                .value = (uint8_t *)(uintptr_t)"100",
                                .valuelen = 3 };
        (void)nghttp2_submit_headers(ex->conn->h2->session, NGHTTP2_FLAG_NONE, ex->stream_id, NULL, &nv, 1, NULL);
    }
}

static void submit(struct http_exchange *ex, int status, const struct tr_http_headers *headers, uint64_t length,
                   bool has_pieces)
{
    struct http_h2 *h2 = ex->conn->h2;
    h2_send_continue(ex); /* a handler that reads while it answers */
    ex->is_head_sent = true;
    const size_t len = h2_head_make(ex, status, headers, length);
    const nghttp2_data_provider provider = { .read_callback = read_pieces };
    if (nghttp2_submit_response(h2->session, ex->stream_id, h2->nva, len, has_pieces ? &provider : NULL) != 0) {
        ex->is_broken = true;
    }
}

/* Keep a piece until the session asks for it; what is given away is not copied if nothing waits before it. */
static void keep_piece(struct http_exchange *ex, struct tr_slice piece, struct tr_buf *owned)
{
    if (owned != NULL && ex->pieces.len == 0 && piece.len == owned->len) {
        tr_buf_move(&ex->pieces, owned);
    } else {
        tr_buf_add(&ex->pieces, piece);
    }
}

void h2_respond(struct http_exchange *ex, int status, const struct tr_http_headers *headers,
                       struct tr_slice body, struct tr_buf *owned)
{
    const bool has_pieces = !ex->is_bodiless && body.len > 0;
    if (has_pieces) {
        keep_piece(ex, body, owned);
    }
    submit(ex, status, headers, body.len, has_pieces);
}

void h2_start(struct http_exchange *ex, int status, const struct tr_http_headers *headers, uint64_t length)
{
    submit(ex, status, headers, length, !ex->is_bodiless);
}

void h2_write(struct http_exchange *ex, struct tr_slice piece, struct tr_buf *owned)
{
    keep_piece(ex, piece, owned);
    h2_give_pieces(ex);
}

void h2_end(struct http_exchange *ex)
{
    h2_give_pieces(ex);
}

size_t h2_pending(const struct http_exchange *ex)
{
    return ex->pieces.len - ex->pieces_at;
}

