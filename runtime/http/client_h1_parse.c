/*
 * HTTP/1.1 answers on llhttp: bytes in, the call's fields and callbacks out. No socket, so that it
 * can be fuzzed.
 *
 * Informational answers are skipped, trailers read and dropped. What the parser leaves to us: the
 * size of the head, the number of informational answers, answers without a body whatever their
 * headers say, and switching protocols.
 */
#include "runtime/http/client_int.h"

static struct client_parser *parser_of(llhttp_t *llhttp)
{
    return llhttp->data;
}

static int fail(struct client_parser *parser, enum tr_code code, const char *text)
{
    (void)tr_err_set(&parser->err, code, "%s", text);
    return HPE_USER;
}

static int count_head(struct client_parser *parser, size_t len)
{
    parser->head_bytes += len;
    return parser->head_bytes > parser->head_bytes_max
               ? fail(parser, TR_LIMIT, "answer's headers are too large")
               : 0;
}

/* Is this a header of the answer proper? */
static bool is_wanted(const struct client_parser *parser)
{
    return parser->llhttp.status_code >= 200 && !parser->call->has_head;
}

/* The status line's text and the extensions of chunks are dropped, but count. */
static int on_dropped(llhttp_t *llhttp, const char *at, size_t len)
{
    (void)at;
    return count_head(parser_of(llhttp), len);
}

static int on_name(llhttp_t *llhttp, const char *at, size_t len)
{
    struct client_parser *parser = parser_of(llhttp);
    if (len == 0) {
        return 0;
    }
    if (is_wanted(parser)) {
        struct tr_http_headers *headers = &parser->call->headers_out;
        if (!parser->is_name_open) {
            if (tr_http_headers_len(headers) >= TR_HTTP_HEADERS_MAX) {
                return fail(parser, TR_LIMIT, "answer has too many headers");
            }
            (void)http_headers_open(headers);
        }
        http_headers_more_name(headers, tr_slice(at, len));
    }
    parser->is_name_open = true;
    return count_head(parser, len);
}

/* The parser takes ": value" for a header; its value must not join the header before. */
static int refuse_nameless(struct client_parser *parser)
{
    return fail(parser, TR_INVALID, "malformed HTTP response: a header has no name");
}

static int on_value(llhttp_t *llhttp, const char *at, size_t len)
{
    struct client_parser *parser = parser_of(llhttp);
    if (!parser->is_name_open) {
        return refuse_nameless(parser);
    }
    if (is_wanted(parser)) {
        http_headers_more_value(&parser->call->headers_out, tr_slice(at, len));
    }
    return count_head(parser, len);
}

static int on_value_complete(llhttp_t *llhttp)
{
    struct client_parser *parser = parser_of(llhttp);
    if (!parser->is_name_open) {
        return refuse_nameless(parser);
    }
    if (is_wanted(parser)) {
        http_headers_trim_value(&parser->call->headers_out);
    }
    parser->is_name_open = false;
    return 0;
}

/* 1 tells the parser that no body follows whatever the headers say. */
static int on_head_complete(llhttp_t *llhttp)
{
    struct client_parser *parser = parser_of(llhttp);
    struct tr_http_call *call = parser->call;
    if (llhttp->status_code == 101) {
        return fail(parser, TR_INVALID, "answer switches protocols without being asked");
    }
    if (llhttp->status_code < 200) {
        parser->informational++;
        return parser->informational > CLIENT_INFORMATIONAL_MAX
                   ? fail(parser, TR_INVALID, "too many informational answers")
                   : 1;
    }
    call->status = llhttp->status_code;
    client_call_head(call);
    if (!tr_op_is_started(&call->op)) {
        return HPE_USER; /* it was canceled */
    }
    return tr_http_status_bodiless(call->status) || tr_slice_eq_str(call->method, "HEAD") ? 1 : 0;
}

static int on_body(llhttp_t *llhttp, const char *at, size_t len)
{
    struct client_parser *parser = parser_of(llhttp);
    if (!client_call_body(parser->call, tr_slice(at, len))) {
        parser->err = parser->call->err;
        return HPE_USER;
    }
    return tr_op_is_started(&parser->call->op) ? 0 : HPE_USER;
}

static int on_complete(llhttp_t *llhttp)
{
    struct client_parser *parser = parser_of(llhttp);
    if (llhttp->status_code < 200) {
        return 0; /* the real answer is still to come */
    }
    parser->keeps_alive = llhttp_should_keep_alive(llhttp) != 0;
    parser->is_complete = true;
    return HPE_PAUSED;
}

static const llhttp_settings_t settings = {
    .on_status = on_dropped,
    .on_chunk_extension_name = on_dropped,
    .on_chunk_extension_value = on_dropped,
    .on_header_field = on_name,
    .on_header_value = on_value,
    .on_header_value_complete = on_value_complete,
    .on_headers_complete = on_head_complete,
    .on_body = on_body,
    .on_message_complete = on_complete,
};

void client_parser_init(struct client_parser *parser, struct tr_http_call *call,
                        size_t head_bytes_max)
{
    *parser = (struct client_parser){ .call = call, .head_bytes_max = head_bytes_max };
    llhttp_init(&parser->llhttp, HTTP_RESPONSE, &settings);
    parser->llhttp.data = parser;
}

enum client_parsed client_parser_feed(struct client_parser *parser, struct tr_slice bytes)
{
    tr_assert(!parser->is_complete);
    parser->has_bytes = true;
    const llhttp_errno_t rc = llhttp_execute(&parser->llhttp, bytes.ptr, bytes.len);
    if (!tr_op_is_started(&parser->call->op)) {
        return CLIENT_PARSED_GONE;
    }
    if (parser->is_complete) {
        const char *end = llhttp_get_error_pos(&parser->llhttp);
        parser->rest = end == NULL ? 0 : (size_t)(bytes.ptr + bytes.len - end);
        return CLIENT_PARSED_COMPLETE;
    }
    if (rc == HPE_OK) {
        return CLIENT_PARSED_MORE;
    }
    if (parser->err.code == TR_OK) {
        const char *reason = llhttp_get_error_reason(&parser->llhttp);
        (void)tr_err_set(&parser->err, TR_INVALID, "malformed HTTP response: %s",
                         reason == NULL ? "" : reason);
    }
    return CLIENT_PARSED_FAILED;
}

enum client_parsed client_parser_eof(struct client_parser *parser)
{
    if (parser->has_bytes) {
        (void)llhttp_finish(
            &parser->llhttp); /* calls on_complete() if the end of the connection ends the body */
    }
    if (parser->is_complete) {
        parser->keeps_alive = false;
        return CLIENT_PARSED_COMPLETE;
    }
    (void)tr_err_set(&parser->err, TR_EOF, "%s", parser->has_bytes ? "unexpected EOF" : "EOF");
    return CLIENT_PARSED_FAILED;
}

bool client_parser_has_length(const struct client_parser *parser)
{
    return (parser->llhttp.flags & F_CONTENT_LENGTH) != 0;
}
