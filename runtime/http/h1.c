/*
 * HTTP/1.0 and 1.1: the connection.
 *
 *              first byte          end of headers         handler and parser done
 *     IDLE ---------------> HEAD ------------------> OPEN ------------------------> IDLE
 *                                                     |  handler done first          ^
 *                                                     +-----------------> DRAIN -----+
 *                            +--- UPGRADE ---> HTTP/2
 *
 * One request is open at a time. The parser is paused where the handler is not ready for what comes next: at the end of
 * the headers, after a piece of the body, and at the end of each message. What is unparsed then waits in conn->in, and
 * the wire is not read beyond that. What the parser finds is in h1_parse.c.
 *
 * Failures: a malformed head is answered and the connection finished; a malformed body is reported to the reader, whose
 * answer is the last one; a client that closes its side in the middle of a body, or fails, aborts the exchange.
 */
#include "runtime/http/h1_int.h"

/* --- parsing --------------------------------------------------------------------------------------------------------- */

/* Refuse the request: there is no exchange to answer it. */
static void answer_refusal(struct http_conn *conn, int status, const char *text)
{
    struct tr_buf *out = &conn->out;
    const char *phrase = tr_http_status_text(status);
    const size_t body_len = 4 + strlen(phrase) + 2 + strlen(text) + 1;
    tr_buf_addf(out, "HTTP/1.1 %d %s\r\nContent-Type: text/plain; charset=utf-8\r\n", status, phrase);
    tr_buf_addf(out, "Content-Length: %zu\r\nConnection: close\r\n\r\n", body_len);
    tr_buf_addf(out, "%d %s: %s\n", status, phrase, text);
    http_conn_finish(conn);
}

static void on_malformed(struct http_conn *conn, enum llhttp_errno rc)
{
    struct http_h1_conn *h1 = &conn->h1;
    int status = h1->fail_status;
    const char *text = h1->fail_text;
    if (status == 0) {
        status = rc == HPE_INVALID_VERSION ? 505 : 400;
        text = llhttp_get_error_reason(&h1->parser);
        text = text == NULL ? "the request is malformed" : text;
    }
    h1->keep_alive = false;
    conn->data = (struct tr_slice){ 0 };
    switch (h1->state) {
    case H1_IDLE:
    case H1_HEAD:
    case H1_UPGRADE:
        answer_refusal(conn, status, text);
        return;
    case H1_OPEN:
        http_exchange_body_fail(&h1->ex, TR_INVALID, text);
        return;
    case H1_DRAIN:
        http_conn_finish(conn);
        return;
    }
}

static void parse(struct http_conn *conn)
{
    struct http_h1_conn *h1 = &conn->h1;
    llhttp_resume(&h1->parser);
    h1->chunk++;
    const struct tr_slice data = conn->data;
    const enum llhttp_errno rc = llhttp_execute(&h1->parser, data.ptr, data.len);
    size_t used = data.len;
    if (rc == HPE_PAUSED || rc == HPE_PAUSED_UPGRADE) {
        used = (size_t)(llhttp_get_error_pos(&h1->parser) - data.ptr);
    } else if (rc != HPE_OK) {
        on_malformed(conn, rc);
        return;
    }
    tr_assert(used <= data.len);
    if (h1->state == H1_HEAD && h1->is_name_open && !h1->has_value) {
        h1->gap_line_end = h1->gap_line_end || h1_has_gap_line_end(conn, data.ptr + data.len);
    }
    conn->data = tr_slice_skip(data, used);
    if (h1->state == H1_IDLE || h1->state == H1_HEAD) {
        h1->head_bytes += used;
        if (h1->head_bytes > conn->env->conf.header_bytes_max) {
            (void)h1_refuse(conn, 431, "the request's headers are too large");
            on_malformed(conn, HPE_USER);
        }
    }
}

/* May the parser go on with what there is? */
static bool can_parse(const struct http_conn *conn)
{
    const struct http_h1_conn *h1 = &conn->h1;
    if (conn->is_shut) {
        return false;
    }
    switch (h1->state) {
    case H1_IDLE:
    case H1_HEAD:
        /* A client that sends requests and takes no answers waits. */
        return conn->env->wire->pending(conn) <= conn->env->conf.write_high_bytes;
    case H1_OPEN:
        return !h1->is_message_done && http_exchange_takes_body(&h1->ex);
    case H1_DRAIN:
        return true;
    case H1_UPGRADE:
        return false;
    }
    TR_BUG("state of an HTTP/1 connection");
}

/* --- between requests ------------------------------------------------------------------------------------------------ */

static void become_idle(struct http_conn *conn)
{
    struct http_h1_conn *h1 = &conn->h1;
    if (!h1->keep_alive || conn->is_eof || conn->env->is_draining) {
        http_conn_finish(conn);
        return;
    }
    h1->state = H1_IDLE;
    h1->head_bytes = 0;
    const uint64_t keep_ms = conn->env->conf.keep_alive_ms;
    conn->deadline_ms = keep_ms == 0 ? 0 : conn->env->wire->now_ms(conn) + keep_ms;
}

/* Is what is left of the body worth reading, so that the connection can be kept? */
static bool can_drain(const struct http_h1_conn *h1)
{
    const struct http_exchange *ex = &h1->ex;
    if (ex->body_fault == TR_INVALID || ex->wants_continue) {
        return false;
    }
    if (ex->pub.content_length == TR_HTTP_LENGTH_UNKNOWN) {
        return ex->reading != HTTP_READ_NOT && ex->body_fault == TR_OK;
    }
    return ex->pub.content_length - ex->body_seen <= HTTP_DRAIN_MAX;
}

/* The handler is done with the exchange. */
static void on_exchange_over(struct http_conn *conn)
{
    struct http_h1_conn *h1 = &conn->h1;
    if (h1->ex.is_broken) {
        http_conn_flush(conn); /* answers to earlier requests may lie there */
        conn->wants_reset = h1->ex.pub.version == TR_HTTP_1_0; /* there, an orderly end would complete the answer */
        http_conn_close(conn);
    }
    /* The state first: the callback is the last that the exchange hears of. */
    const bool is_done = h1->is_message_done;
    const bool drains = !is_done && h1->keep_alive && !conn->is_eof && can_drain(h1);
    h1->state = H1_IDLE;
    http_exchange_close(&h1->ex);
    if (conn->is_shut) {
        return;
    }
    if (is_done) {
        become_idle(conn);
    } else if (drains) {
        h1->state = H1_DRAIN;
        h1->drained = 0;
        conn->deadline_ms = conn->env->wire->now_ms(conn) + conn->env->conf.header_timeout_ms;
    } else {
        http_conn_finish(conn);
    }
}

static void send_continue(struct http_conn *conn)
{
    struct http_exchange *ex = &conn->h1.ex;
    if (ex->wants_continue && http_exchange_takes_body(ex) && !ex->is_head_sent && !conn->is_shut) {
        ex->wants_continue = false;
        tr_buf_add(&conn->out, TR_SLICE_LIT("HTTP/1.1 100 Continue\r\n\r\n"));
    }
}

/* Returns true if something has changed. */
static bool settle(struct http_conn *conn)
{
    struct http_h1_conn *h1 = &conn->h1;
    if (h1->state == H1_OPEN) {
        send_continue(conn);
        if (http_exchange_settle(&h1->ex)) {
            return true;
        }
        if (h1->ex.answer == HTTP_ANSWER_ENDED) {
            on_exchange_over(conn);
            return true;
        }
    } else if (h1->state == H1_DRAIN) {
        if (h1->is_message_done) {
            become_idle(conn);
            return true;
        }
        if (h1->drained > HTTP_DRAIN_MAX) {
            http_conn_finish(conn);
        }
    }
    return false;
}

/* The head of a streamed answer leaves even if no piece follows yet. */
static void finish_head(struct http_exchange *ex)
{
    if (ex->answer == HTTP_ANSWER_HEAD) {
        ex->answer = HTTP_ANSWER_STARTED;
        tr_buf_add_str(&ex->conn->out, ex->is_chunked ? "Transfer-Encoding: chunked\r\n\r\n" : "\r\n");
    }
}

static void h1_run(struct http_conn *conn)
{
    struct http_h1_conn *h1 = &conn->h1;
    for (;;) {
        if (h1->state == H1_OPEN && h1->ex.wants_drain) {
            http_conn_flush(conn); /* perhaps nothing has to wait */
        }
        if (settle(conn)) {
            continue;
        }
        if (conn->data.len == 0 || !can_parse(conn)) {
            break;
        }
        parse(conn);
        if (h1->state == H1_UPGRADE && h1->is_message_done) {
            if (http_conn_upgrade_h2(conn)) {
                conn->proto->run(conn);
                return;
            }
            (void)h1_refuse(conn, 400, "HTTP2-Settings is malformed");
            on_malformed(conn, HPE_USER);
        }
    }
    if (h1->state == H1_OPEN && !conn->is_shut) {
        finish_head(&h1->ex);
    }
}

/* --- the answer ------------------------------------------------------------------------------------------------------ */

/* Small pieces are gathered, large ones go out from where they are, behind what was gathered. */
static void put(struct http_conn *conn, struct tr_slice bytes)
{
    if (bytes.len <= HTTP_COPY_MAX) {
        tr_buf_add(&conn->out, bytes);
        return;
    }
    const struct tr_slice slices[] = { tr_buf_slice(&conn->out), bytes };
    const size_t skip = conn->out.len == 0 ? 1 : 0;
    conn->env->wire->write(conn, slices + skip, 2 - skip);
    tr_buf_clear(&conn->out);
}

/* Outside of a run nothing else will be gathered: write at once. */
static void put_end(struct http_conn *conn)
{
    if (!conn->is_running || conn->out.len > HTTP_KEEP_MAX) {
        http_conn_flush(conn);
    }
}

/* An answer before the end of the body may have to be the last one. */
static void decide_keep_alive(struct http_exchange *ex)
{
    struct http_h1_conn *h1 = &ex->conn->h1;
    if (ex->conn->env->is_draining || (!h1->is_message_done && h1_has_body(ex) && !can_drain(h1))) {
        h1->keep_alive = false;
    }
}

static void write_length(struct http_conn *conn, uint64_t length)
{
    tr_buf_add(&conn->out, TR_SLICE_LIT("Content-Length: "));
    tr_buf_add_u64(&conn->out, length);
    tr_buf_add(&conn->out, TR_SLICE_LIT("\r\n"));
}

static void h1_respond(struct http_exchange *ex, int status, const struct tr_http_headers *headers,
                       struct tr_slice body, struct tr_buf *owned)
{
    (void)owned; /* nothing of the body stays here */
    struct http_conn *conn = ex->conn;
    decide_keep_alive(ex);
    h1_head_write(ex, status, headers);
    if (!tr_http_status_bodiless(status)) {
        write_length(conn, body.len);
    }
    tr_buf_add(&conn->out, TR_SLICE_LIT("\r\n"));
    if (!ex->is_bodiless && body.len > 0) {
        put(conn, body);
    }
    put_end(conn);
}

static void h1_start(struct http_exchange *ex, int status, const struct tr_http_headers *headers, uint64_t length)
{
    struct http_conn *conn = ex->conn;
    send_continue(conn); /* a handler that reads while it answers */
    decide_keep_alive(ex);
    if (length == TR_HTTP_LENGTH_UNKNOWN && !ex->is_bodiless) {
        ex->is_chunked = ex->pub.version == TR_HTTP_1_1;
        if (!ex->is_chunked) {
            conn->h1.keep_alive = false; /* HTTP/1.0: the end of the connection ends the body */
        }
    }
    h1_head_write(ex, status, headers);
    ex->is_head_sent = true;
    ex->answer = HTTP_ANSWER_HEAD;
    if (length != TR_HTTP_LENGTH_UNKNOWN && !tr_http_status_bodiless(status)) {
        write_length(conn, length);
    }
}

static void h1_write(struct http_exchange *ex, struct tr_slice piece, struct tr_buf *owned)
{
    (void)owned;
    struct http_conn *conn = ex->conn;
    finish_head(ex);
    if (ex->is_chunked) {
        tr_buf_addf(&conn->out, "%zx\r\n", piece.len);
    }
    put(conn, piece);
    if (ex->is_chunked) {
        tr_buf_add(&conn->out, TR_SLICE_LIT("\r\n"));
    }
    if (conn->out.len > HTTP_KEEP_MAX) {
        http_conn_flush(conn);
    }
}

static void h1_end(struct http_exchange *ex)
{
    struct http_conn *conn = ex->conn;
    if (ex->answer == HTTP_ANSWER_HEAD && ex->is_chunked) {
        tr_buf_add(&conn->out, TR_SLICE_LIT("Content-Length: 0\r\n\r\n"));
    } else {
        finish_head(ex);
        if (ex->is_chunked) {
            tr_buf_add(&conn->out, TR_SLICE_LIT("0\r\n\r\n"));
        }
    }
    put_end(conn);
}

static size_t h1_pending(const struct http_exchange *ex)
{
    return http_conn_pending(ex->conn);
}

/* --- events ---------------------------------------------------------------------------------------------------------- */

static bool h1_wants_input(const struct http_conn *conn)
{
    const struct http_h1_conn *h1 = &conn->h1;
    if (conn->data.len > 0) {
        return false;
    }
    /* After the end of a request the wire is read on, to see the client go; what it sends then is kept, once. */
    return (h1->state == H1_OPEN && h1->is_message_done) || can_parse(conn);
}

static void h1_on_eof(struct http_conn *conn)
{
    struct http_h1_conn *h1 = &conn->h1;
    if (h1->state != H1_OPEN) {
        http_conn_finish(conn);
        return;
    }
    h1->keep_alive = false;
    h1->ex.is_aborted = true;
    if (!h1->is_message_done) {
        http_exchange_body_fail(&h1->ex, TR_CANCELED, "the client closed the connection in the middle of the body");
    }
}

static void h1_on_gone(struct http_conn *conn)
{
    if (conn->h1.state == H1_OPEN) {
        conn->h1.ex.is_aborted = true;
    }
}

static void h1_on_deadline(struct http_conn *conn)
{
    if (conn->h1.state == H1_HEAD) {
        answer_refusal(conn, 408, "the headers did not arrive in time");
    } else if (conn->h1.state != H1_OPEN) {
        http_conn_finish(conn);
    }
}

static void h1_drain(struct http_conn *conn)
{
    if (conn->h1.state == H1_IDLE && conn->data.len == 0) {
        http_conn_finish(conn);
    }
}

static bool h1_has_exchange(const struct http_conn *conn)
{
    return conn->h1.state == H1_OPEN;
}

static bool h1_waits_for_client(const struct http_conn *conn)
{
    const struct http_h1_conn *h1 = &conn->h1;
    return h1->state == H1_OPEN && !h1->is_message_done && conn->data.len == 0 && http_exchange_takes_body(&h1->ex);
}

static void h1_fini(struct http_conn *conn)
{
    http_exchange_fini(&conn->h1.ex);
}

void http_conn_become_h1(struct http_conn *conn)
{
    conn->proto = &http_h1;
    llhttp_init(&conn->h1.parser, HTTP_REQUEST, &h1_settings);
    conn->h1.state = H1_IDLE;
    conn->h1.is_fresh = true;
}

const struct http_proto http_h1 = {
    .run = h1_run,
    .wants_input = h1_wants_input,
    .on_eof = h1_on_eof,
    .on_gone = h1_on_gone,
    .on_deadline = h1_on_deadline,
    .drain = h1_drain,
    .has_exchange = h1_has_exchange,
    .waits_for_client = h1_waits_for_client,
    .fini = h1_fini,
    .respond = h1_respond,
    .start = h1_start,
    .write = h1_write,
    .end = h1_end,
    .pending = h1_pending,
};
