/*
 * HTTP/2 in clear text: nghttp2's session on a connection core, one exchange for each stream.
 *
 * A run feeds the session, tells the handlers what is due, and takes from the session what is to be sent, until nothing
 * changes. A stream's window is opened as its handler takes the body; the connection's window as bytes arrive, so that a
 * paused handler holds back its own stream only. What a connection can make us keep is bounded by streams times window.
 *
 * Against misuse: streams beyond the limit are refused, also while handlers of reset ones are still busy; a client that
 * resets too many streams, or sends too many pings, settings and empty frames, is told GOAWAY (ENHANCE_YOUR_CALM) and
 * the connection ends; heads are limited; nghttp2 itself bounds acknowledgements and CONTINUATION frames.
 *
 * Ends: an exchange is over when the handler is done and its answer has left or its stream is gone. If the request was
 * not read to its end, the stream is then reset with NO_ERROR (RFC 9113 8.1).
 */
#include <stdlib.h>

#include "runtime/base/base64.h"
#include "runtime/http/h2_int.h"

/* --- exchanges --------------------------------------------------------------------------------------------------------- */

struct http_exchange *h2_stream_of(nghttp2_session *session, int32_t stream_id)
{
    return nghttp2_session_get_stream_user_data(session, stream_id);
}

static struct http_exchange *exchange_new(struct http_conn *conn, int32_t stream_id)
{
    struct http_h2 *h2 = conn->h2;
    struct tr_link *link = tr_list_pop(&h2->spare);
    struct http_exchange *ex;
    if (link != NULL) {
        h2->spare_len--;
        ex = TR_CONTAINER_OF(link, struct http_exchange, link);
    } else {
        ex = tr_xzalloc(sizeof(*ex));
    }
    http_exchange_reset(ex, conn);
    ex->stream_id = stream_id;
    tr_list_add_tail(&h2->streams, &ex->link);
    h2->streams_len++;
    return ex;
}

static void exchange_free(struct http_exchange *ex)
{
    http_exchange_fini(ex);
    free(ex);
}

/* The exchange is over, or was never shown: forget it. */
static void exchange_drop(struct http_exchange *ex)
{
    struct http_h2 *h2 = ex->conn->h2;
    if (!ex->stream_gone) {
        (void)nghttp2_session_set_stream_user_data(h2->session, ex->stream_id, NULL);
    }
    tr_link_remove(&ex->link);
    tr_assert(h2->streams_len > 0);
    h2->streams_len--;
    if (h2->spare_len < H2_SPARE_MAX) {
        h2->spare_len++;
        http_exchange_reset(ex, ex->conn);
        tr_list_add_tail(&h2->spare, &ex->link);
    } else {
        exchange_free(ex);
    }
}

static void reset_stream(struct http_exchange *ex, uint32_t code)
{
    if (!ex->stream_gone) {
        (void)nghttp2_submit_rst_stream(ex->conn->h2->session, NGHTTP2_FLAG_NONE, ex->stream_id, code);
    }
}

/* --- limits ------------------------------------------------------------------------------------------------------------ */

static void go_away(struct http_conn *conn, uint32_t code)
{
    (void)nghttp2_session_terminate_session(conn->h2->session, code);
}

static void count(struct http_conn *conn, uint32_t *counter, uint32_t max)
{
    struct http_h2 *h2 = conn->h2;
    const uint64_t now_ms = conn->env->wire->now_ms(conn);
    if (now_ms >= h2->count_until_ms) {
        h2->count_until_ms = now_ms + H2_RESET_WINDOW_MS;
        h2->resets = 0;
        h2->controls = 0;
    }
    (*counter)++;
    if (*counter == max + 1) {
        go_away(conn, NGHTTP2_ENHANCE_YOUR_CALM);
    }
}

/* --- what the session finds --------------------------------------------------------------------------------------------- */

static int on_begin_headers(nghttp2_session *session, const nghttp2_frame *frame, void *user_data)
{
    struct http_conn *conn = user_data;
    struct http_h2 *h2 = conn->h2;
    if (frame->hd.type != NGHTTP2_HEADERS || frame->headers.cat != NGHTTP2_HCAT_REQUEST) {
        return 0;
    }
    /* The session counts open streams; handlers of streams that were reset count too. */
    if (h2->streams_len >= conn->env->conf.h2_streams_max) {
        (void)nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, frame->hd.stream_id, NGHTTP2_REFUSED_STREAM);
        return 0;
    }
    struct http_exchange *ex = exchange_new(conn, frame->hd.stream_id);
    (void)nghttp2_session_set_stream_user_data(session, frame->hd.stream_id, ex);
    conn->deadline_ms = conn->env->wire->now_ms(conn) + conn->env->conf.header_timeout_ms;
    return 0;
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name, size_t name_len,
                     const uint8_t *value, size_t value_len, uint8_t flags, void *user_data)
{
    (void)flags;
    (void)user_data;
    struct http_exchange *ex = h2_stream_of(session, frame->hd.stream_id);
    if (ex != NULL && frame->hd.type == NGHTTP2_HEADERS && frame->headers.cat == NGHTTP2_HCAT_REQUEST) {
        h2_head_add(ex, tr_slice(name, name_len), tr_slice(value, value_len));
    }
    return 0;
}

static void refuse_request(struct http_exchange *ex)
{
    const size_t len = h2_head_make(ex, ex->refused_status, NULL, 0);
    (void)nghttp2_submit_response(ex->conn->h2->session, ex->stream_id, ex->conn->h2->nva, len, NULL);
    exchange_drop(ex);
}

static void on_request_head(struct http_exchange *ex, bool has_body)
{
    ex->conn->deadline_ms = 0;
    ex->is_body_done = !has_body;
    h2_head_done(ex, has_body);
    if (ex->refused_status != 0) {
        refuse_request(ex);
        return;
    }
    ex->is_open = true;
    http_exchange_open(ex);
}

static int on_frame_recv(nghttp2_session *session, const nghttp2_frame *frame, void *user_data)
{
    struct http_conn *conn = user_data;
    struct http_h2 *h2 = conn->h2;
    const bool is_end = (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;
    struct http_exchange *ex = frame->hd.stream_id == 0 ? NULL : h2_stream_of(session, frame->hd.stream_id);
    switch (frame->hd.type) {
    case NGHTTP2_HEADERS:
        if (ex != NULL && frame->headers.cat == NGHTTP2_HCAT_REQUEST) {
            on_request_head(ex, !is_end);
        } else if (ex != NULL && is_end) {
            ex->is_body_done = true; /* trailers */
        }
        break;
    case NGHTTP2_DATA:
        if (frame->hd.length == 0 && !is_end) {
            count(conn, &h2->controls, H2_CONTROL_MAX);
        }
        if (ex != NULL && is_end) {
            ex->is_body_done = true;
        }
        break;
    case NGHTTP2_RST_STREAM:
        count(conn, &h2->resets, conn->env->conf.h2_resets_max);
        break;
    case NGHTTP2_PRIORITY:
    case NGHTTP2_PING:
    case NGHTTP2_SETTINGS:
        if ((frame->hd.flags & NGHTTP2_FLAG_ACK) == 0) {
            count(conn, &h2->controls, H2_CONTROL_MAX);
        }
        break;
    default:
        break;
    }
    return 0;
}

/* The session answers frames that break a stream's rules with a reset: as cheap for the client as a reset of its own. */
static int on_invalid_frame(nghttp2_session *session, const nghttp2_frame *frame, int code, void *user_data)
{
    (void)session;
    (void)frame;
    (void)code;
    struct http_conn *conn = user_data;
    count(conn, &conn->h2->resets, conn->env->conf.h2_resets_max);
    return 0;
}

static int on_data_chunk(nghttp2_session *session, uint8_t flags, int32_t stream_id, const uint8_t *bytes, size_t len,
                         void *user_data)
{
    (void)flags;
    (void)user_data;
    struct http_exchange *ex = h2_stream_of(session, stream_id);
    (void)nghttp2_session_consume_connection(session, len);
    if (ex == NULL || ex->answer == HTTP_ANSWER_ENDED) {
        (void)nghttp2_session_consume_stream(session, stream_id, len);
        return 0;
    }
    ex->wants_continue = false;
    if (ex->stash.len == 0 && http_exchange_takes_body(ex)) {
        (void)nghttp2_session_consume_stream(session, stream_id, len);
        http_exchange_body(ex, tr_slice(bytes, len));
    } else if (ex->body_fault == TR_OK) {
        tr_buf_add(&ex->stash, tr_slice(bytes, len));
    }
    return 0;
}

static int on_stream_close(nghttp2_session *session, int32_t stream_id, uint32_t code, void *user_data)
{
    (void)code;
    (void)user_data;
    struct http_exchange *ex = h2_stream_of(session, stream_id);
    if (ex == NULL) {
        return 0;
    }
    ex->stream_gone = true;
    if (!ex->is_open) {
        exchange_drop(ex);
        return 0;
    }
    if (!ex->is_sent) {
        ex->is_aborted = true;
        http_exchange_body_fail(ex, TR_CANCELED, "the client has reset the stream");
    }
    return 0;
}

static int on_frame_send(nghttp2_session *session, const nghttp2_frame *frame, void *user_data)
{
    (void)user_data;
    if ((frame->hd.type != NGHTTP2_DATA && frame->hd.type != NGHTTP2_HEADERS) ||
        (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) == 0) {
        return 0;
    }
    struct http_exchange *ex = h2_stream_of(session, frame->hd.stream_id);
    if (ex != NULL) {
        ex->is_sent = true;
        if (!ex->is_body_done) {
            reset_stream(ex, NGHTTP2_NO_ERROR);
        }
    }
    return 0;
}

/* --- running ----------------------------------------------------------------------------------------------------------- */

/* Give the handler what waits for it. */
static bool give_stash(struct http_exchange *ex)
{
    if (ex->stash.len == 0 || !http_exchange_takes_body(ex)) {
        return false;
    }
    struct tr_buf stash = ex->stash;
    ex->stash = (struct tr_buf){ 0 };
    if (!ex->stream_gone) {
        (void)nghttp2_session_consume_stream(ex->conn->h2->session, ex->stream_id, stash.len);
    }
    http_exchange_body(ex, tr_buf_slice(&stash));
    tr_buf_fini(&stash);
    return true;
}

/* One exchange; true if something has changed. */
static bool settle_one(struct http_exchange *ex)
{
    if (!ex->is_open) {
        return false;
    }
    h2_send_continue(ex);
    if (give_stash(ex) || http_exchange_settle(ex)) {
        return true;
    }
    if (ex->answer != HTTP_ANSWER_ENDED) {
        return false;
    }
    if (ex->is_broken && !ex->stream_gone) {
        reset_stream(ex, NGHTTP2_INTERNAL_ERROR);
    } else if (!ex->is_sent && !ex->stream_gone && !ex->conn->is_shut) {
        h2_give_pieces(ex);
        return false;
    }
    http_exchange_close(ex);
    exchange_drop(ex);
    return true;
}

static bool settle(struct http_conn *conn)
{
    bool any = false;
    struct tr_link *it;
    struct tr_link *tmp;
    TR_LIST_FOR_EACH(it, tmp, &conn->h2->streams)
    {
        any = settle_one(TR_CONTAINER_OF(it, struct http_exchange, link)) || any;
    }
    return any;
}

static void abort_all(struct http_conn *conn, const char *why)
{
    struct tr_link *it;
    struct tr_link *tmp;
    TR_LIST_FOR_EACH(it, tmp, &conn->h2->streams)
    {
        struct http_exchange *ex = TR_CONTAINER_OF(it, struct http_exchange, link);
        if (!ex->is_open) {
            exchange_drop(ex);
            continue;
        }
        ex->stream_gone = true;
        if (!ex->is_sent) {
            ex->is_aborted = true;
            http_exchange_body_fail(ex, TR_CANCELED, why);
        }
    }
}

static void feed(struct http_conn *conn)
{
    const struct tr_slice data = conn->data;
    conn->data = (struct tr_slice){ 0 };
    if (data.len > 0 && !conn->is_shut) {
        const ssize_t used = nghttp2_session_mem_recv(conn->h2->session, (const uint8_t *)data.ptr, data.len);
        conn->h2->is_failed = conn->h2->is_failed || used < 0;
    }
}

static void h2_run(struct http_conn *conn)
{
    struct http_h2 *h2 = conn->h2;
    feed(conn);
    bool again = true;
    while (again) {
        again = settle(conn);
        if (conn->env->is_draining && h2->streams_len == 0) {
            go_away(conn, NGHTTP2_NO_ERROR);
        }
        again = h2_pump(conn) || again;
    }
    if (conn->is_shut) {
        return;
    }
    const bool is_over =
        nghttp2_session_want_read(h2->session) == 0 && nghttp2_session_want_write(h2->session) == 0;
    if (h2->is_failed || is_over) {
        http_conn_finish(conn);
        abort_all(conn, "the connection has failed");
        while (settle(conn)) {
        }
    } else if (h2->streams_len == 0 && conn->deadline_ms == 0 && conn->env->conf.keep_alive_ms != 0) {
        conn->deadline_ms = conn->env->wire->now_ms(conn) + conn->env->conf.keep_alive_ms;
    }
}

static bool h2_wants_input(const struct http_conn *conn)
{
    return !conn->is_shut && conn->env->wire->pending(conn) <= conn->env->conf.write_high_bytes;
}

static void h2_on_eof(struct http_conn *conn)
{
    abort_all(conn, "the client closed the connection");
    http_conn_finish(conn);
}

static void h2_on_gone(struct http_conn *conn)
{
    abort_all(conn, "the client has gone");
}

/* The headers of a stream did not arrive in time, or there was no request for keep_alive_ms. */
static void h2_on_deadline(struct http_conn *conn)
{
    go_away(conn, NGHTTP2_NO_ERROR);
}

static void h2_drain(struct http_conn *conn)
{
    struct http_h2 *h2 = conn->h2;
    (void)nghttp2_submit_goaway(h2->session, NGHTTP2_FLAG_NONE, nghttp2_session_get_last_proc_stream_id(h2->session),
                                NGHTTP2_NO_ERROR, NULL, 0);
}

static bool h2_has_exchange(const struct http_conn *conn)
{
    return !tr_list_empty(&conn->h2->streams);
}

static bool h2_waits_for_client(const struct http_conn *conn)
{
    struct tr_link *it;
    struct tr_link *tmp;
    TR_LIST_FOR_EACH(it, tmp, &conn->h2->streams)
    {
        const struct http_exchange *ex = TR_CONTAINER_OF(it, struct http_exchange, link);
        if (ex->pieces.len > 0 || (!ex->is_body_done && http_exchange_takes_body(ex))) {
            return true;
        }
    }
    return false;
}

static void h2_fini(struct http_conn *conn)
{
    struct http_h2 *h2 = conn->h2;
    tr_assert(tr_list_empty(&h2->streams));
    struct tr_link *link;
    while ((link = tr_list_pop(&h2->spare)) != NULL) {
        exchange_free(TR_CONTAINER_OF(link, struct http_exchange, link));
    }
    nghttp2_session_del(h2->session);
    tr_buf_fini(&h2->scratch);
    free(h2->nva);
    free(h2);
    conn->h2 = NULL;
    http_exchange_fini(&conn->h1.ex); /* it may have been an upgrade */
}

/* --- beginning --------------------------------------------------------------------------------------------------------- */

static nghttp2_session *session_new(struct http_conn *conn)
{
    nghttp2_session_callbacks *callbacks;
    nghttp2_option *option;
    nghttp2_session *session;
    int rc = nghttp2_session_callbacks_new(&callbacks);
    tr_assert(rc == 0); /* these three fail for want of memory only */
    rc = nghttp2_option_new(&option);
    tr_assert(rc == 0);
    nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks, on_begin_headers);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame_recv);
    nghttp2_session_callbacks_set_on_invalid_frame_recv_callback(callbacks, on_invalid_frame);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data_chunk);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_stream_close);
    nghttp2_session_callbacks_set_on_frame_send_callback(callbacks, on_frame_send);
    nghttp2_session_callbacks_set_send_data_callback(callbacks, h2_send_pieces);
    nghttp2_option_set_no_auto_window_update(option, 1);
    nghttp2_option_set_no_closed_streams(option, 1);
    rc = nghttp2_session_server_new2(&session, callbacks, conn, option);
    tr_assert(rc == 0);
    nghttp2_option_del(option);
    nghttp2_session_callbacks_del(callbacks);
    return session;
}

static void h2_new(struct http_conn *conn)
{
    struct http_h2 *h2 = tr_xzalloc(sizeof(*h2));
    tr_link_init(&h2->streams);
    tr_link_init(&h2->spare);
    conn->h2 = h2;
    h2->session = session_new(conn);
    conn->proto = &http_h2;
    conn->deadline_ms = 0;
}

static void send_settings(struct http_conn *conn)
{
    const struct tr_http_server_conf *conf = &conn->env->conf;
    const nghttp2_settings_entry settings[] = {
        { NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, conf->h2_streams_max },
        { NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, conf->h2_window_bytes },
        { NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, (uint32_t)conf->header_bytes_max },
    };
    const int rc =
        nghttp2_submit_settings(conn->h2->session, NGHTTP2_FLAG_NONE, settings, TR_ARRAY_LEN(settings));
    const int rc_window =
        nghttp2_session_set_local_window_size(conn->h2->session, NGHTTP2_FLAG_NONE, 0, H2_CONN_WINDOW_BYTES);
    conn->h2->is_failed = rc != 0 || rc_window != 0;
}

void http_conn_become_h2(struct http_conn *conn)
{
    h2_new(conn);
    send_settings(conn);
}

/* The request becomes stream 1, half closed by the client. Source: RFC 7540 3.2. */
bool http_conn_upgrade_h2(struct http_conn *conn)
{
    struct http_exchange *request = &conn->h1.ex;
    struct tr_buf payload = { 0 };
    struct tr_err err;
    const struct tr_slice text = tr_http_headers_value(&request->pub.headers, "HTTP2-Settings");
    if (tr_base64_decode_url(text, &payload, &err) != TR_OK) {
        return false;
    }
    h2_new(conn);
    const int rc = nghttp2_session_upgrade2(conn->h2->session, (const uint8_t *)payload.ptr, payload.len,
                                            request->pub.method == TR_HTTP_HEAD ? 1 : 0, NULL);
    tr_buf_fini(&payload);
    if (rc != 0) {
        h2_fini(conn);
        conn->proto = &http_h1;
        return false;
    }
    tr_buf_add_str(&conn->out, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n");
    send_settings(conn);
    struct http_exchange *ex = exchange_new(conn, 1);
    (void)nghttp2_session_set_stream_user_data(conn->h2->session, 1, ex);
    tr_buf_move(&ex->target, &request->target);
    tr_http_headers_move(&ex->pub.headers, &request->pub.headers);
    ex->pub.method = request->pub.method;
    ex->pub.method_text = request->pub.method_text;
    on_request_head(ex, false);
    return true;
}

const struct http_proto http_h2 = {
    .run = h2_run,
    .wants_input = h2_wants_input,
    .on_eof = h2_on_eof,
    .on_gone = h2_on_gone,
    .on_deadline = h2_on_deadline,
    .drain = h2_drain,
    .has_exchange = h2_has_exchange,
    .waits_for_client = h2_waits_for_client,
    .fini = h2_fini,
    .respond = h2_respond,
    .start = h2_start,
    .write = h2_write,
    .end = h2_end,
    .pending = h2_pending,
};
