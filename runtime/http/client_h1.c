/*
 * HTTP/1.1 on one connection of the client.
 *
 * The request goes out whole: head and body in one write if the socket takes it. The answer is fed to llhttp as it
 * comes. What ends a call is found after the parser has returned, never inside it, because the call's callback may
 * start the next call on this connection. Bytes without a call, or behind an answer, cost the connection.
 */
#include "runtime/http/client_int.h"

static struct tr_http_client_conn *conn_of(llhttp_t *parser)
{
    return parser->data;
}

static int fail(struct tr_http_client_conn *conn, enum tr_code code, const char *text)
{
    (void)tr_err_set(&conn->failure, code, "%s", text);
    return HPE_USER;
}

static int count_head(struct tr_http_client_conn *conn, size_t len)
{
    conn->head_bytes += len;
    if (conn->head_bytes > conn->client->conf.header_bytes_max) {
        return fail(conn, TR_LIMIT, "answer's headers are too large");
    }
    return 0;
}

static int on_name(llhttp_t *parser, const char *at, size_t len)
{
    struct tr_http_client_conn *conn = conn_of(parser);
    tr_buf_add(&conn->name, tr_slice(at, len));
    return count_head(conn, len);
}

static int on_value(llhttp_t *parser, const char *at, size_t len)
{
    struct tr_http_client_conn *conn = conn_of(parser);
    tr_buf_add(&conn->value, tr_slice(at, len));
    return count_head(conn, len);
}

/* Headers of an informational answer and trailers are read and dropped. */
static int on_value_complete(llhttp_t *parser)
{
    struct tr_http_client_conn *conn = conn_of(parser);
    struct tr_http_call *call = conn->call;
    if (call != NULL && !call->has_head && parser->status_code >= 200) {
        if (tr_http_headers_len(&call->headers_out) >= TR_HTTP_HEADERS_MAX) {
            return fail(conn, TR_LIMIT, "answer has too many headers");
        }
        tr_http_headers_add(&call->headers_out, tr_buf_slice(&conn->name), tr_slice_trim(tr_buf_slice(&conn->value)));
    }
    tr_buf_clear(&conn->name);
    tr_buf_clear(&conn->value);
    return 0;
}

/* 1 tells the parser that no body follows whatever the headers say. */
static int on_head_complete(llhttp_t *parser)
{
    struct tr_http_client_conn *conn = conn_of(parser);
    struct tr_http_call *call = conn->call;
    if (parser->status_code == 101) {
        return fail(conn, TR_INVALID, "answer switches protocols without being asked");
    }
    if (parser->status_code < 200 || call == NULL) {
        return 0;
    }
    call->status = parser->status_code;
    call->has_head = true;
    return tr_http_method_parse(call->method) == TR_HTTP_HEAD ? 1 : 0;
}

static int on_body(llhttp_t *parser, const char *at, size_t len)
{
    struct tr_http_client_conn *conn = conn_of(parser);
    struct tr_http_call *call = conn->call;
    if (call == NULL) {
        return 0;
    }
    if (call->body_bytes_max != 0 && len > call->body_bytes_max - call->body_out.len) {
        return fail(conn, TR_LIMIT, "answer's body is too large");
    }
    tr_buf_add(&call->body_out, tr_slice(at, len));
    return 0;
}

static int on_complete(llhttp_t *parser)
{
    struct tr_http_client_conn *conn = conn_of(parser);
    if (parser->status_code < 200) {
        return 0; /* the real answer is still to come */
    }
    conn->keeps_alive = llhttp_should_keep_alive(parser) != 0;
    conn->is_complete = true;
    return HPE_PAUSED;
}

static const llhttp_settings_t settings = {
    .on_header_field = on_name,
    .on_header_value = on_value,
    .on_header_value_complete = on_value_complete,
    .on_headers_complete = on_head_complete,
    .on_body = on_body,
    .on_message_complete = on_complete,
};

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
        if (client_header_skipped(header.name) || !tr_http_is_token(header.name) || !tr_http_is_value(header.value)) {
            continue;
        }
        tr_buf_add(out, header.name);
        tr_buf_add_str(out, ": ");
        tr_buf_add(out, header.value);
        tr_buf_add_str(out, "\r\n");
    }
    if (call->has_body || call->body.len > 0) {
        tr_buf_addf(out, "Content-Length: %zu\r\n", call->body.len);
    }
    tr_buf_add_str(out, "\r\n");
}

void client_h1_send(struct tr_http_client_conn *conn, struct tr_http_call *call)
{
    tr_assert(conn->state == CONN_BUSY);
    tr_assert(conn->call == NULL);
    conn->call = call;
    conn->has_bytes = false;
    conn->is_complete = false;
    conn->head_bytes = 0;
    conn->failure.code = TR_OK;
    tr_buf_clear(&conn->name);
    tr_buf_clear(&conn->value);
    llhttp_init(&conn->parser, HTTP_RESPONSE, &settings);
    conn->parser.data = conn;
    write_head(conn, call);
    if (conn->is_writing) { /* never: an answer ends only after its request was written, or the connection goes */
        tr_buf_add(&conn->out, call->body);
        return;
    }
    const struct tr_slice parts[] = { tr_buf_slice(&conn->out), call->body };
    const size_t taken = tr_stream_try_write(conn->stream, parts, 2);
    const size_t head_taken = taken < parts[0].len ? taken : parts[0].len;
    const size_t body_taken = taken - head_taken;
    tr_buf_drop(&conn->out, head_taken);
    tr_buf_add(&conn->out, tr_slice_skip(call->body, body_taken));
    client_conn_flush(conn);
}

static void finish(struct tr_http_client_conn *conn)
{
    struct tr_http_call *call = conn->call;
    conn->call = NULL;
    conn->was_used = true;
    client_call_done(call);
    /* An answer before the request was out leaves bytes that nobody expects. */
    if (!conn->keeps_alive || conn->is_writing || conn->out.len > 0) {
        client_conn_close(conn);
        return;
    }
    client_conn_ready(conn);
}

static void end_of_input(struct tr_http_client_conn *conn, const struct tr_err *err)
{
    if (conn->call == NULL) {
        client_conn_close(conn);
        return;
    }
    const bool is_short_ok = conn->client->conf.short_body_ok && conn->call->has_head && err->code == TR_EOF;
    if (err->code == TR_EOF && conn->has_bytes && llhttp_finish(&conn->parser) == HPE_OK && conn->call->has_head) {
        conn->is_complete = true;
    }
    if (conn->is_complete || is_short_ok) {
        conn->keeps_alive = false;
        finish(conn);
        return;
    }
    struct tr_err why = *err;
    if (why.code == TR_EOF) {
        (void)tr_err_set(&why, TR_EOF, "%s", conn->has_bytes ? "unexpected EOF" : "EOF");
    }
    client_conn_failed(conn, &why);
}

void client_h1_read(struct tr_http_client_conn *conn, struct tr_slice bytes, const struct tr_err *err)
{
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
    conn->has_bytes = true;
    const llhttp_errno_t rc = llhttp_execute(&conn->parser, bytes.ptr, bytes.len);
    if (conn->is_complete) {
        const char *end = llhttp_get_error_pos(&conn->parser);
        if (end != NULL && end != bytes.ptr + bytes.len) {
            conn->keeps_alive = false;
        }
        finish(conn);
        return;
    }
    if (rc != HPE_OK) {
        if (conn->failure.code == TR_OK) {
            (void)tr_err_set(&conn->failure, TR_INVALID, "malformed HTTP response: %s",
                             llhttp_get_error_reason(&conn->parser));
        }
        const struct tr_err why = conn->failure;
        client_conn_failed(conn, &why);
    }
}
