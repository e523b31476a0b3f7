/*
 * HTTP/1.1 on one connection of the client.
 *
 * The request goes out in one write if the socket takes it: head and body, or head and what is
 * there of a streamed body, whose later pieces follow once a turn. What ends a call is found after
 * the parser has returned, never inside it, because the call's end may start the next call on this
 * connection. Bytes without a call, or behind an answer, cost the connection; so does an answer
 * that is complete before its request.
 */
#include "runtime/http/client_int.h"

/* --- the request ------------------------------------------------------------------------------ */

static void write_length(struct tr_buf *out, uint64_t length)
{
    tr_buf_add(out, TR_SLICE_LIT("Content-Length: "));
    tr_buf_add_u64(out, length);
    tr_buf_add(out, TR_SLICE_LIT("\r\n"));
}

static void write_head(struct tr_http_client_conn *conn, const struct tr_http_call *call)
{
    struct tr_buf *out = &conn->out;
    tr_buf_add(out, call->method);
    tr_buf_add_char(out, ' ');
    tr_buf_add(out, call->target);
    tr_buf_add_str(out, " HTTP/1.1\r\nHost: ");
    tr_buf_add(out, tr_buf_slice(&conn->client->authority));
    tr_buf_add_str(out, "\r\n");
    for (size_t i = 0; call->headers != NULL && i < tr_http_headers_len(call->headers); i++) {
        const struct tr_http_header header = tr_http_headers_at(call->headers, i);
        if (!client_header_skipped(header.name)) {
            http_header_write(header.name, header.value, out);
        }
    }
    if (client_call_is_chunked(call)) {
        tr_buf_add_str(out, "Transfer-Encoding: chunked\r\n");
    } else if (call->is_streaming) {
        write_length(out, call->body_length);
    } else if (call->has_body || call->body.len > 0) {
        write_length(out, call->body.len);
    }
    tr_buf_add_str(out, "\r\n");
}

/* Move what was written of a streamed body to the connection. */
static void take_pieces(struct tr_http_client_conn *conn, struct tr_http_call *call)
{
    const bool is_chunked = client_call_is_chunked(call);
    if (call->out.len > 0) {
        call->is_out_begun = true;
        if (is_chunked) {
            tr_buf_addf(&conn->out, "%zx\r\n", call->out.len);
        }
        tr_buf_add(&conn->out, tr_buf_slice(&call->out));
        if (is_chunked) {
            tr_buf_add_str(&conn->out, "\r\n");
        }
        tr_buf_clear(&call->out);
    }
    if (call->is_out_ended && is_chunked) {
        call->is_out_begun = true;
        tr_buf_add_str(&conn->out, "0\r\n\r\n");
    }
}

void client_h1_pull(struct tr_http_client_conn *conn)
{
    take_pieces(conn, conn->call);
    client_conn_flush_soon(conn);
}

void client_h1_send(struct tr_http_client_conn *conn, struct tr_http_call *call)
{
    tr_assert(conn->state == CONN_BUSY);
    tr_assert(conn->call == NULL);
    tr_assert(!conn->is_writing && conn->out.len == 0); /* else it would not have been kept */
    conn->call = call;
    conn->is_unsent = true;
    client_parser_init(&conn->parser, call, conn->client->conf.header_bytes_max);
    client_h1_hold(conn, call->is_paused);
    write_head(conn, call);
    take_pieces(conn, call);
    const struct tr_slice parts[] = { tr_buf_slice(&conn->out), call->body };
    const size_t taken = tr_stream_try_write(conn->stream, parts, 2);
    conn->is_unsent = taken == 0;
    const size_t head_taken = taken < conn->out.len ? taken : conn->out.len;
    tr_buf_drop(&conn->out, head_taken);
    tr_buf_add(&conn->out, tr_slice_skip(call->body, taken - head_taken));
    client_conn_flush(conn);
}

/* --- the answer ------------------------------------------------------------------------------- */

void client_h1_hold(struct tr_http_client_conn *conn, bool is_paused)
{
    if (conn->state == CONN_CLOSING) {
        return;
    }
    if (is_paused) {
        tr_stream_read_stop(conn->stream);
    } else {
        tr_stream_read_start(conn->stream, client_h1_read, conn);
    }
}

static void finish(struct tr_http_client_conn *conn)
{
    struct tr_http_call *call = conn->call;
    const bool is_request_out =
        !conn->is_writing && conn->out.len == 0 && (!call->is_streaming || call->is_out_ended);
    conn->call = NULL;
    conn->was_used = true;
    client_call_over(call);
    if (!conn->parser.keeps_alive || !is_request_out || conn->parser.rest > 0) {
        client_conn_close(conn);
        return;
    }
    client_h1_hold(conn, false);
    client_conn_ready(conn);
}

static void end_of_input(struct tr_http_client_conn *conn, const struct tr_err *err)
{
    if (conn->call == NULL) {
        client_conn_close(conn);
        return;
    }
    if (err->code != TR_EOF) {
        client_conn_failed(conn, err);
        return;
    }
    const enum client_parsed parsed = client_parser_eof(&conn->parser);
    const bool is_short_ok = conn->client->conf.short_body_ok && conn->call->has_head &&
                             client_parser_has_length(&conn->parser);
    if (parsed == CLIENT_PARSED_COMPLETE || is_short_ok) {
        conn->parser.keeps_alive = false;
        finish(conn);
        return;
    }
    client_conn_failed(conn, &conn->parser.err);
}

void client_h1_read(void *ctx, struct tr_slice bytes, const struct tr_err *err)
{
    struct tr_http_client_conn *conn = ctx;
    if (conn->state == CONN_CLOSING) {
        return;
    }
    if (err != NULL) {
        end_of_input(conn, err);
        return;
    }
    if (conn->call == NULL) {
        client_conn_close(conn); /* an answer nobody asked for */
        return;
    }
    switch (client_parser_feed(&conn->parser, bytes)) {
    case CLIENT_PARSED_MORE:
    case CLIENT_PARSED_GONE: /* and the connection with it */
        return;
    case CLIENT_PARSED_COMPLETE:
        finish(conn);
        return;
    case CLIENT_PARSED_FAILED:
        client_conn_failed(conn, &conn->parser.err);
        return;
    }
}
