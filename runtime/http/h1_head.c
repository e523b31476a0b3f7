/*
 * HTTP/1 heads: the checks of a request's head that the parser leaves to us, and the head of an answer.
 *
 * llhttp in strict mode accepts a missing or repeated Host, HTTP/2.0 in the request line, chunked bodies of HTTP/1.0 and
 * folded values; each of these lets two servers in a row see different requests. Folding is found in h1.c.
 */
#include "runtime/http/h1_int.h"

static bool refuse(struct http_conn *conn, int status, const char *text)
{
    (void)h1_refuse(conn, status, text);
    return false;
}

static bool check_version(struct http_conn *conn, struct http_exchange *ex)
{
    const llhttp_t *parser = &conn->h1.parser;
    if (parser->http_major != 1 || parser->http_minor > 1) {
        return refuse(conn, 505, "the version is not HTTP/1.0 or HTTP/1.1");
    }
    ex->pub.version = parser->http_minor == 1 ? TR_HTTP_1_1 : TR_HTTP_1_0;
    return true;
}

/* The parser takes a line that begins with a colon. */
static bool check_names(struct http_conn *conn, const struct http_exchange *ex)
{
    for (uint32_t i = 0; i < ex->pub.headers.fields_len; i++) {
        if (ex->pub.headers.fields[i].name_len == 0) {
            return refuse(conn, 400, "a header has no name");
        }
    }
    return true;
}

/* Source: RFC 9112 3.2; the authority of an absolute target replaces Host. */
static bool check_host(struct http_conn *conn, struct http_exchange *ex)
{
    const size_t hosts = tr_http_headers_count(&ex->pub.headers, "Host");
    if (hosts > 1) {
        return refuse(conn, 400, "there is more than one Host header");
    }
    if (hosts == 0 && ex->pub.version != TR_HTTP_1_0) {
        return refuse(conn, 400, "the Host header is missing");
    }
    const struct tr_slice host = tr_http_headers_value(&ex->pub.headers, "Host");
    if (!http_is_host(host)) {
        return refuse(conn, 400, "the Host header is malformed");
    }
    if (ex->pub.authority.len == 0) {
        ex->pub.authority = host;
    }
    return true;
}

/* Source: RFC 9112 6.1 to 6.3; only "chunked" is known, once and alone, as in Go net/http transfer.go. */
static bool check_framing(struct http_conn *conn, struct http_exchange *ex)
{
    const struct tr_http_headers *headers = &ex->pub.headers;
    const size_t codings = tr_http_headers_count(headers, "Transfer-Encoding");
    const size_t lengths = tr_http_headers_count(headers, "Content-Length");
    if (codings > 0) {
        if (lengths > 0) {
            return refuse(conn, 400, "there are both Content-Length and Transfer-Encoding");
        }
        if (ex->pub.version == TR_HTTP_1_0) {
            return refuse(conn, 400, "HTTP/1.0 has no Transfer-Encoding");
        }
        if (codings > 1) {
            return refuse(conn, 400, "there is more than one Transfer-Encoding header");
        }
        if (!tr_slice_eq_nocase(tr_http_headers_value(headers, "Transfer-Encoding"), TR_SLICE_LIT("chunked"))) {
            return refuse(conn, 501, "the Transfer-Encoding is not known");
        }
        ex->pub.content_length = TR_HTTP_LENGTH_UNKNOWN;
        return true;
    }
    ex->pub.content_length = 0;
    if (lengths > 1) {
        return refuse(conn, 400, "there is more than one Content-Length header");
    }
    if (lengths == 1 && !tr_http_length_parse(tr_slice_trim(tr_http_headers_value(headers, "Content-Length")),
                                              &ex->pub.content_length)) {
        return refuse(conn, 400, "the Content-Length is malformed");
    }
    return true;
}

/* Source: RFC 9110 10.1.1. */
static bool check_expect(struct http_conn *conn, struct http_exchange *ex)
{
    struct tr_slice expect;
    if (ex->pub.version == TR_HTTP_1_0 || !tr_http_headers_get(&ex->pub.headers, TR_SLICE_LIT("Expect"), &expect)) {
        return true;
    }
    if (!tr_slice_eq_nocase(expect, TR_SLICE_LIT("100-continue"))) {
        return refuse(conn, 417, "the expectation is not known");
    }
    ex->wants_continue = ex->pub.content_length != 0;
    return true;
}

bool h1_head_check(struct http_conn *conn)
{
    struct http_exchange *ex = &conn->h1.ex;
    ex->pub.method_text = tr_slice_str(llhttp_method_name((llhttp_method_t)conn->h1.parser.method));
    ex->pub.method = tr_http_method_parse(ex->pub.method_text);
    if (!check_version(conn, ex)) {
        return false;
    }
    if (!http_target_parse(ex)) {
        return refuse(conn, 400, "the target of the request is malformed");
    }
    return check_names(conn, ex) && check_host(conn, ex) && check_framing(conn, ex) && check_expect(conn, ex);
}

bool http_is_framing_header(struct tr_slice name)
{
    return tr_slice_eq_nocase(name, TR_SLICE_LIT("Content-Length")) || tr_http_header_is_hop(name);
}

/* "Connection: keep-alive" says nothing new and breaks nothing: event streams are sent with it. */
static bool is_harmless(const struct http_exchange *ex, struct tr_http_header header)
{
    return ex->conn->h1.keep_alive && ex->pub.version == TR_HTTP_1_1 &&
           tr_slice_eq_nocase(header.name, TR_SLICE_LIT("Connection")) &&
           tr_slice_eq_nocase(header.value, TR_SLICE_LIT("keep-alive"));
}

/* Without the lines that say how the body is framed, and without the empty line. */
void h1_head_write(struct http_exchange *ex, int status, const struct tr_http_headers *headers)
{
    struct http_conn *conn = ex->conn;
    struct tr_buf *out = &conn->out;
    if (status == 200) {
        tr_buf_add(out, TR_SLICE_LIT("HTTP/1.1 200 OK\r\n"));
    } else {
        tr_buf_addf(out, "HTTP/1.1 %d %s\r\n", status, tr_http_status_text(status));
    }
    bool has_date = false;
    for (size_t i = 0; headers != NULL && i < tr_http_headers_len(headers); i++) {
        const struct tr_http_header header = tr_http_headers_at(headers, i);
        if (!http_is_framing_header(header.name) || is_harmless(ex, header)) {
            has_date = has_date || tr_slice_eq_nocase(header.name, TR_SLICE_LIT("Date"));
            http_header_write(header.name, header.value, out);
        }
    }
    if (!has_date) {
        tr_buf_add(out, TR_SLICE_LIT("Date: "));
        tr_buf_add_str(out, conn->env->date);
        tr_buf_add(out, TR_SLICE_LIT("\r\n"));
    }
    if (!conn->h1.keep_alive) {
        tr_buf_add(out, TR_SLICE_LIT("Connection: close\r\n"));
    } else if (ex->pub.version == TR_HTTP_1_0) {
        tr_buf_add(out, TR_SLICE_LIT("Connection: keep-alive\r\n"));
    }
}
