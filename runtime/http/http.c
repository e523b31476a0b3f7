/* Methods, status phrases and the small grammars of HTTP: tokens, values, lengths. */
#include "runtime/http/http.h"

#include <stddef.h>

static const char *const method_texts[] = {
    [TR_HTTP_GET] = "GET",         [TR_HTTP_HEAD] = "HEAD",       [TR_HTTP_POST] = "POST",
    [TR_HTTP_PUT] = "PUT",         [TR_HTTP_PATCH] = "PATCH",     [TR_HTTP_DELETE] = "DELETE",
    [TR_HTTP_OPTIONS] = "OPTIONS", [TR_HTTP_CONNECT] = "CONNECT", [TR_HTTP_TRACE] = "TRACE",
    [TR_HTTP_OTHER] = "",
};

enum tr_http_method tr_http_method_parse(struct tr_slice text)
{
    for (int i = 0; i < TR_HTTP_OTHER; i++) {
        if (tr_slice_eq_str(text, method_texts[i])) {
            return (enum tr_http_method)i;
        }
    }
    return TR_HTTP_OTHER;
}

const char *tr_http_method_text(enum tr_http_method method)
{
    tr_assert(method <= TR_HTTP_OTHER);
    return method_texts[method];
}

const char *tr_http_status_text(int status)
{
    static const struct {
        int status;
        const char *text;
    } phrases[] = {
        { 200, "OK" },
        { 100, "Continue" },
        { 101, "Switching Protocols" },
        { 102, "Processing" },
        { 103, "Early Hints" },
        { 201, "Created" },
        { 202, "Accepted" },
        { 203, "Non-Authoritative Information" },
        { 204, "No Content" },
        { 205, "Reset Content" },
        { 206, "Partial Content" },
        { 207, "Multi-Status" },
        { 208, "Already Reported" },
        { 226, "IM Used" },
        { 300, "Multiple Choices" },
        { 301, "Moved Permanently" },
        { 302, "Found" },
        { 303, "See Other" },
        { 304, "Not Modified" },
        { 305, "Use Proxy" },
        { 307, "Temporary Redirect" },
        { 308, "Permanent Redirect" },
        { 400, "Bad Request" },
        { 401, "Unauthorized" },
        { 402, "Payment Required" },
        { 403, "Forbidden" },
        { 404, "Not Found" },
        { 405, "Method Not Allowed" },
        { 406, "Not Acceptable" },
        { 407, "Proxy Authentication Required" },
        { 408, "Request Timeout" },
        { 409, "Conflict" },
        { 410, "Gone" },
        { 411, "Length Required" },
        { 412, "Precondition Failed" },
        { 413, "Request Entity Too Large" },
        { 414, "Request URI Too Long" },
        { 415, "Unsupported Media Type" },
        { 416, "Requested Range Not Satisfiable" },
        { 417, "Expectation Failed" },
        { 418, "I'm a teapot" },
        { 421, "Misdirected Request" },
        { 422, "Unprocessable Entity" },
        { 423, "Locked" },
        { 424, "Failed Dependency" },
        { 425, "Too Early" },
        { 426, "Upgrade Required" },
        { 428, "Precondition Required" },
        { 429, "Too Many Requests" },
        { 431, "Request Header Fields Too Large" },
        { 451, "Unavailable For Legal Reasons" },
        { 500, "Internal Server Error" },
        { 501, "Not Implemented" },
        { 502, "Bad Gateway" },
        { 503, "Service Unavailable" },
        { 504, "Gateway Timeout" },
        { 505, "HTTP Version Not Supported" },
        { 506, "Variant Also Negotiates" },
        { 507, "Insufficient Storage" },
        { 508, "Loop Detected" },
        { 510, "Not Extended" },
        { 511, "Network Authentication Required" },
    };
    for (size_t i = 0; i < TR_ARRAY_LEN(phrases); i++) {
        if (phrases[i].status == status) {
            return phrases[i].text;
        }
    }
    return "";
}

bool tr_http_status_bodiless(int status)
{
    return status / 100 == 1 || status == 204 || status == 304;
}

/* Source: RFC 9110 5.6.2, tchar. */
static bool is_token_char(unsigned char c)
{
    if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-') {
        return true;
    }
    return c != '\0' && strchr("!#$%&'*+-.^_`|~", c) != NULL;
}

bool tr_http_is_token(struct tr_slice text)
{
    for (size_t i = 0; i < text.len; i++) {
        if (!is_token_char((unsigned char)text.ptr[i])) {
            return false;
        }
    }
    return text.len > 0;
}

bool tr_http_is_value(struct tr_slice text)
{
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] == '\0' || text.ptr[i] == '\r' || text.ptr[i] == '\n') {
            return false;
        }
    }
    return true;
}

void tr_http_header_canonical(struct tr_slice name, struct tr_buf *out)
{
    tr_buf_clear(out);
    tr_buf_add(out, name);
    if (!tr_http_is_token(name)) {
        return;
    }
    bool upper = true;
    for (size_t i = 0; i < out->len; i++) {
        char *c = &out->ptr[i];
        if (upper && *c >= 'a' && *c <= 'z') {
            *c = (char)(*c - ('a' - 'A'));
        } else if (!upper && *c >= 'A' && *c <= 'Z') {
            *c = (char)(*c + ('a' - 'A'));
        }
        upper = *c == '-';
    }
}

bool tr_http_header_is_hop(struct tr_slice name)
{
    static const struct tr_slice hops[] = {
        TR_SLICE_INIT("connection"),          TR_SLICE_INIT("keep-alive"),
        TR_SLICE_INIT("proxy-connection"),    TR_SLICE_INIT("transfer-encoding"),
        TR_SLICE_INIT("upgrade"),             TR_SLICE_INIT("te"),
        TR_SLICE_INIT("http2-settings"),      TR_SLICE_INIT("trailer"),
        TR_SLICE_INIT("proxy-authorization"), TR_SLICE_INIT("proxy-authenticate"),
    };
    for (size_t i = 0; i < TR_ARRAY_LEN(hops); i++) {
        if (tr_slice_eq_nocase(name, hops[i])) {
            return true;
        }
    }
    return false;
}

bool tr_http_length_parse(struct tr_slice text, uint64_t *out_length)
{
    uint64_t length = 0;
    if (text.len == 0) {
        return false;
    }
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] < '0' || text.ptr[i] > '9') {
            return false;
        }
        const uint64_t digit = (uint64_t)(text.ptr[i] - '0');
        if (length > ((uint64_t)INT64_MAX - digit) / 10) {
            return false;
        }
        length = length * 10 + digit;
    }
    *out_length = length;
    return true;
}
