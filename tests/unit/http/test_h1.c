/* HTTP/1 on a wire of memory: what is refused, what is answered, in which order, and who waits for whom. */
#include "tests/unit/http/core.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define OK_HEAD "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n"

/* --- requests and answers ----------------------------------------------------------------------------------------------- */

static void a_request_is_answered(void **state)
{
    struct core core;
    core_init(&core, NULL, handler_echo);
    core_feed_str(&core, "POST /a%2Fb?x=1&y HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello");
    assert_int_equal(core.writes, 1);
    core_assert_sent(&core, OK_HEAD "Content-Length: 23\r\n\r\nPOST /a%2Fb?x=1&y hello");
    assert_false(core.is_finished);
    core_fini(&core);
    (void)state;
}

static void a_date_is_sent(void **state)
{
    struct core core;
    core_init(&core, NULL, handler_echo);
    http_env_set_date(&core.env, 784111777);
    core_feed_str(&core, "GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_non_null(strstr(tr_buf_cstr(&core.sent), "\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n"));
    core_fini(&core);
    (void)state;
}

static void chunked_bodies_and_trailers_are_read(void **state)
{
    struct core core;
    core_init(&core, NULL, handler_echo);
    core_feed_str(&core, "PUT / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
                         "3;ext=1\r\nabc\r\nA\r\n0123456789\r\n0\r\nTrailer-One: 1\r\n\r\n"
                         "GET /next HTTP/1.1\r\nHost: h\r\n\r\n");
    core_assert_sent(&core, OK_HEAD "Content-Length: 19\r\n\r\nPUT / abc0123456789" OK_HEAD
                                    "Content-Length: 10\r\n\r\nGET /next ");
    core_fini(&core);
    (void)state;
}

static void pipelined_requests_are_answered_in_order_and_in_one_write(void **state)
{
    struct core core;
    core_init(&core, NULL, handler_echo);
    core_feed_str(&core, "GET /1 HTTP/1.1\r\nHost: h\r\n\r\nPOST /2 HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nxy"
                         "GET /3 HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_int_equal(core.writes, 1);
    core_assert_sent(&core, OK_HEAD "Content-Length: 7\r\n\r\nGET /1 " OK_HEAD "Content-Length: 10\r\n\r\nPOST /2 xy" OK_HEAD
                                    "Content-Length: 7\r\n\r\nGET /3 ");
    core_fini(&core);
    (void)state;
}

static void the_next_request_waits_and_the_wire_is_not_read_on(void **state)
{
    struct core core;
    core_init(&core, NULL, handler_hold);
    core_feed_str(&core, "GET /1 HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_int_equal(core.requests, 1);
    assert_true(core.is_reading); /* to see the client go */
    core_feed_str(&core, "GET /2 HTTP/1.1\r\nHost: h\r\n\r\nGET /3");
    assert_int_equal(core.requests, 1);
    assert_false(core.is_reading);
    tr_http_respond(core.ex, 204, NULL, (struct tr_slice){ 0 });
    core_assert_sent(&core, "HTTP/1.1 204 No Content\r\n\r\n");
    core_run(&core);
    core_assert_log(&core, "close\n");
    assert_int_equal(core.requests, 2);
    tr_http_respond(core.ex, 204, NULL, (struct tr_slice){ 0 });
    core_run(&core);
    assert_true(core.is_reading);
    core_feed_str(&core, " HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_int_equal(core.requests, 3);
    core_fini(&core);
    (void)state;
}

static void absolute_targets_and_head_are_understood(void **state)
{
    struct core core;
    core_init(&core, NULL, handler_echo);
    core_feed_str(&core, "HEAD http://other:80/p?q HTTP/1.1\r\nHost: h\r\n\r\n");
    core_assert_sent(&core, OK_HEAD "Content-Length: 10\r\n\r\n");
    core_feed_str(&core, "GET http://other HTTP/1.1\r\nHost: h\r\n\r\n");
    core_assert_sent(&core, OK_HEAD "Content-Length: 6\r\n\r\nGET / ");
    core_feed_str(&core, "OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n");
    core_assert_sent(&core, OK_HEAD "Content-Length: 10\r\n\r\nOPTIONS * ");
    core_fini(&core);
    (void)state;
}

static void http_1_0_is_answered_and_closed_or_kept(void **state)
{
    struct core core;
    core_init(&core, NULL, handler_echo);
    core_feed_str(&core, "GET /1 HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    core_assert_sent(&core, OK_HEAD "Connection: keep-alive\r\nContent-Length: 7\r\n\r\nGET /1 ");
    assert_false(core.is_finished);
    core_feed_str(&core, "GET /2 HTTP/1.0\r\n\r\n");
    core_assert_sent(&core, OK_HEAD "Connection: close\r\nContent-Length: 7\r\n\r\nGET /2 ");
    assert_true(core.is_finished);
    core_fini(&core);
    (void)state;
}

static void connection_close_is_honoured(void **state)
{
    struct core core;
    core_init(&core, NULL, handler_echo);
    core_feed_str(&core, "GET /1 HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\nGET /2 HTTP/1.1\r\nHost: h\r\n\r\n");
    core_assert_sent(&core, OK_HEAD "Connection: close\r\nContent-Length: 7\r\n\r\nGET /1 ");
    assert_true(core.is_finished);
    assert_int_equal(core.requests, 1);
    core_fini(&core);
    (void)state;
}

static void header_values_are_trimmed_and_may_be_empty(void **state)
{
    struct core core;
    core_init(&core, NULL, handler_hold);
    core_feed_str(&core, "GET / HTTP/1.1\r\nHost: h\r\nA: \t x y \t\r\nB:\r\nC: 1\r\nc: 2\r\nConnection: Keep-Alive, X-One \r\n\r\n");
    const struct tr_http_headers *headers = &core.ex->headers;
    assert_true(tr_slice_eq_str(tr_http_headers_value(headers, "a"), "x y"));
    assert_true(tr_http_headers_has(headers, "b"));
    assert_int_equal(tr_http_headers_value(headers, "B").len, 0);
    assert_int_equal(tr_http_headers_count(headers, "c"), 2);
    assert_true(tr_http_headers_has_element(headers, "connection", "x-one"));
    assert_string_equal(tr_http_exchange_peer(core.ex), "1.2.3.4:5");
    core_fini(&core);
    (void)state;
}

static void connect_is_shown_and_the_last_request(void **state)
{
    struct core core;
    core_init(&core, NULL, handler_hold);
    core_feed_str(&core, "CONNECT h:443 HTTP/1.1\r\nHost: h:443\r\n\r\nnot http");
    assert_int_equal(core.ex->method, TR_HTTP_CONNECT);
    tr_http_respond(core.ex, 405, NULL, (struct tr_slice){ 0 });
    core_run(&core);
    core_assert_sent(&core, "HTTP/1.1 405 Method Not Allowed\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
    assert_true(core.is_finished);
    core_fini(&core);
    (void)state;
}

static void other_upgrades_are_ordinary_requests(void **state)
{
    struct core core;
    core_init(&core, NULL, handler_echo);
    core_feed_str(&core, "GET /ws HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
                         "POST /b HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: x\r\nContent-Length: 1\r\n\r\nz"
                         "GET /c HTTP/1.1\r\nHost: h\r\n\r\n");
    core_assert_sent(&core, OK_HEAD "Content-Length: 8\r\n\r\nGET /ws " OK_HEAD "Content-Length: 9\r\n\r\nPOST /b z" OK_HEAD
                                    "Content-Length: 7\r\n\r\nGET /c ");
    core_fini(&core);
    (void)state;
}

/* --- what is refused ----------------------------------------------------------------------------------------------------- */

struct refusal {
    const char *name;
    const char *bytes;
    size_t bytes_len; /* 0: a string */
    int status;
};

#define REFUSAL(name, status, bytes) { name, bytes, sizeof(bytes) - 1, status }

static const struct refusal refusals[] = {
    REFUSAL("no version", 505, "GET /v1.0/metadata\r\n\r\n"),
    REFUSAL("tls", 400, "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n"),
    REFUSAL("bad version", 505, "GET / HTTP/9.9\r\nHost: x\r\n\r\n"),
    REFUSAL("version 0.9", 505, "GET / HTTP/0.9\r\nHost: x\r\n\r\n"),
    REFUSAL("version 2.0", 505, "GET / HTTP/2.0\r\nHost: x\r\n\r\n"),
    REFUSAL("version text", 400, "GET / HTPP/1.1\r\nHost: x\r\n\r\n"),
    REFUSAL("version without minor", 505, "GET / HTTP/1\r\nHost: x\r\n\r\n"),
    REFUSAL("no host", 400, "GET / HTTP/1.1\r\n\r\n"),
    REFUSAL("two hosts", 400, "GET / HTTP/1.1\r\nHost: x\r\nHost: x\r\n\r\n"),
    REFUSAL("two hosts in 1.0", 400, "GET / HTTP/1.0\r\nHost: x\r\nHost: x\r\n\r\n"),
    REFUSAL("bad host", 400, "GET / HTTP/1.1\r\nHost: a b\r\n\r\n"),
    REFUSAL("host with path", 400, "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n"),
    REFUSAL("blank in method", 400, "GE T / HTTP/1.1\r\nHost: x\r\n\r\n"),
    REFUSAL("lower-case method", 400, "get / HTTP/1.1\r\nHost: x\r\n\r\n"),
    REFUSAL("no target", 400, "GET  HTTP/1.1\r\nHost: x\r\n\r\n"),
    REFUSAL("relative target", 400, "GET a/b HTTP/1.1\r\nHost: x\r\n\r\n"),
    REFUSAL("star for GET", 400, "GET * HTTP/1.1\r\nHost: x\r\n\r\n"),
    REFUSAL("bad percent", 400, "GET /%zz HTTP/1.1\r\nHost: x\r\n\r\n"),
    REFUSAL("cut percent", 400, "GET /%1 HTTP/1.1\r\nHost: x\r\n\r\n"),
    REFUSAL("control in target", 400, "GET /\x01 HTTP/1.1\r\nHost: x\r\n\r\n"),
    REFUSAL("zero in target", 400, "GET /\x00 HTTP/1.1\r\nHost: x\r\n\r\n"),
    REFUSAL("userinfo", 400, "GET http://a@b/ HTTP/1.1\r\nHost: x\r\n\r\n"),
    REFUSAL("empty authority", 400, "GET http:///x HTTP/1.1\r\nHost: x\r\n\r\n"),
    REFUSAL("header without colon", 400, "GET / HTTP/1.1\r\nHost: x\r\nbroken\r\n\r\n"),
    REFUSAL("blank before colon", 400, "GET / HTTP/1.1\r\nHost: x\r\nName : v\r\n\r\n"),
    REFUSAL("blank before first header", 400, "GET / HTTP/1.1\r\n Host: x\r\n\r\n"),
    REFUSAL("empty header name", 400, "GET / HTTP/1.1\r\nHost: x\r\n: v\r\n\r\n"),
    REFUSAL("empty first header name", 400, "GET / HTTP/1.1\r\n:a: b\r\nHost: x\r\n\r\n"),
    REFUSAL("bracket in name", 400, "GET / HTTP/1.1\r\nHost: x\r\nA[b]: v\r\n\r\n"),
    REFUSAL("high byte in name", 400, "GET / HTTP/1.1\r\nHost: x\r\nA\xc3\xa4: v\r\n\r\n"),
    REFUSAL("zero in header", 400, "GET / HTTP/1.1\r\nHost: x\r\nA: b\x00" "c\r\n\r\n"),
    REFUSAL("control in header", 400, "GET / HTTP/1.1\r\nHost: x\r\nA: b\x07" "c\r\n\r\n"),
    REFUSAL("bare CR in header", 400, "GET / HTTP/1.1\r\nHost: x\r\nA: b\rc\r\n\r\n"),
    REFUSAL("bare LF after header", 400, "GET / HTTP/1.1\r\nHost: x\n\r\n"),
    REFUSAL("folded header", 400, "GET / HTTP/1.1\r\nHost: x\r\nA: b\r\n c\r\n\r\n"),
    REFUSAL("folded with tab", 400, "GET / HTTP/1.1\r\nHost: x\r\nA: b\r\n\tc\r\n\r\n"),
    REFUSAL("folded before value", 400, "GET / HTTP/1.1\r\nHost: x\r\nA:\r\n b\r\n\r\n"),
    REFUSAL("folded coding", 400, "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n"),
    REFUSAL("negative length", 400, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n"),
    REFUSAL("signed length", 400, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: +1\r\n\r\na"),
    REFUSAL("hex length", 400, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0x1\r\n\r\na"),
    REFUSAL("length text", 400, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: five\r\n\r\nhello"),
    REFUSAL("empty length", 400, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: \r\n\r\n"),
    REFUSAL("two numbers", 400, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1 1\r\n\r\na"),
    REFUSAL("list of lengths", 400, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1, 1\r\n\r\na"),
    REFUSAL("length too large", 400, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999\r\n\r\n"),
    REFUSAL("two lengths", 400, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!"),
    REFUSAL("two equal lengths", 400, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\na"),
    REFUSAL("length and chunked", 400,
            "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    REFUSAL("chunked and length", 400,
            "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n"),
    REFUSAL("unknown coding", 501, "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: rot13\r\n\r\nhello"),
    REFUSAL("gzip and chunked", 501, "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"),
    REFUSAL("coding after chunked", 400,
            "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n"),
    REFUSAL("chunked twice", 400,
            "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    REFUSAL("chunked in 1.0", 400, "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    REFUSAL("unknown expectation", 417, "POST / HTTP/1.1\r\nHost: x\r\nExpect: more\r\nContent-Length: 1\r\n\r\na"),
};

/* The status of the first answer; 0 if there is none. */
static int sent_status(struct core *core)
{
    int status = 0;
    if (sscanf(tr_buf_cstr(&core->sent), "HTTP/1.1 %d ", &status) != 1) {
        return 0;
    }
    return status;
}

static void malformed_requests_are_refused(void **state)
{
    for (size_t i = 0; i < TR_ARRAY_LEN(refusals); i++) {
        struct core core;
        core_init(&core, NULL, handler_echo);
        core_feed(&core, tr_slice(refusals[i].bytes, refusals[i].bytes_len));
        if (sent_status(&core) != refusals[i].status || core.requests != 0) {
            fail_msg("%s: got %s", refusals[i].name, tr_buf_cstr(&core.sent));
        }
        assert_true(core.is_finished);
        core_fini(&core);
    }
    (void)state;
}

static void one_byte_at_a_time_gives_the_same_refusals(void **state)
{
    for (size_t i = 0; i < TR_ARRAY_LEN(refusals); i++) {
        struct core core;
        core_init(&core, NULL, handler_echo);
        core_feed_bytewise(&core, tr_slice(refusals[i].bytes, refusals[i].bytes_len));
        if (sent_status(&core) != refusals[i].status || core.requests != 0) {
            fail_msg("%s: got %s", refusals[i].name, tr_buf_cstr(&core.sent));
        }
        core_fini(&core);
    }
    (void)state;
}

/* RFC 9112 2.2 allows it, llhttp does so, and nothing can be hidden behind it: the line ends for everybody. */
static void a_lone_line_feed_ends_the_request_line_and_the_head(void **state)
{
    struct core core;
    core_init(&core, NULL, handler_echo);
    core_feed_str(&core, "GET /1 HTTP/1.1\nHost: h\r\n\n");
    core_assert_sent(&core, OK_HEAD "Content-Length: 7\r\n\r\nGET /1 ");
    core_fini(&core);
    (void)state;
}

static void a_refusal_says_why(void **state)
{
    struct core core;
    core_init(&core, NULL, handler_echo);
    core_feed_str(&core, "GET /ok HTTP/1.1\r\nHost: h\r\n\r\nGET / HTTP/1.1\r\n\r\n");
    core_assert_sent(&core, OK_HEAD "Content-Length: 8\r\n\r\nGET /ok "
                                    "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\n"
                                    "Content-Length: 44\r\nConnection: close\r\n\r\n"
                                    "400 Bad Request: the Host header is missing\n");
    core_fini(&core);
    (void)state;
}

static void one_byte_at_a_time_gives_the_same_answers(void **state)
{
    static const char script[] = "\r\nGET /1?q HTTP/1.1\r\nHost: h\r\nA: b c \r\nB:\r\n\r\n"
                                 "POST /2 HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc"
                                 "POST /3 HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
                                 "2;x=y\r\nab\r\n1\r\nc\r\n0\r\nT: u\r\n\r\n"
                                 "PUT /4 HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n";
    struct core whole;
    core_init(&whole, NULL, handler_echo);
    core_feed_str(&whole, script);
    assert_int_equal(whole.requests, 4);
    char *expected = core_take_sent(&whole);
    core_fini(&whole);
    struct core core;
    core_init(&core, NULL, handler_echo);
    core_feed_bytewise(&core, TR_SLICE_LIT(script));
    core_assert_sent(&core, expected);
    core_fini(&core);
    free(expected);
    (void)state;
}

/* --- limits -------------------------------------------------------------------------------------------------------------- */

static void add_repeated(struct tr_buf *buf, char c, size_t times)
{
    for (size_t i = 0; i < times; i++) {
        tr_buf_add_char(buf, c);
    }
}

/* A request with `fill` bytes in the place where they are put; returns the status. */
static int status_of_filled(const char *before, char c, size_t fill, const char *after, bool bytewise)
{
    const struct tr_http_server_conf conf = { .header_bytes_max = 1000, .headers_max = 10 };
    struct tr_buf bytes = { 0 };
    tr_buf_add_str(&bytes, before);
    add_repeated(&bytes, c, fill);
    tr_buf_add_str(&bytes, after);
    struct core core;
    core_init(&core, &conf, handler_echo);
    if (bytewise) {
        core_feed_bytewise(&core, tr_buf_slice(&bytes));
    } else {
        core_feed(&core, tr_buf_slice(&bytes));
    }
    const int status = sent_status(&core);
    core_fini(&core);
    tr_buf_fini(&bytes);
    return status;
}

static void heads_beyond_their_limit_get_431(void **state)
{
    for (int bytewise = 0; bytewise < 2; bytewise++) {
        const bool b = bytewise == 1;
        const char *end = "\r\n\r\n";
        assert_int_equal(status_of_filled("GET / HTTP/1.1\r\nHost: h\r\nA: ", 'a', 900, end, b), 200);
        assert_int_equal(status_of_filled("GET / HTTP/1.1\r\nHost: h\r\nA: ", 'a', 1000, end, b), 431);
        assert_int_equal(status_of_filled("GET / HTTP/1.1\r\nHost: h\r\nA: ", ' ', 1000, "x\r\n\r\n", b), 431);
        assert_int_equal(status_of_filled("GET / HTTP/1.1\r\nHost: h\r\n", 'a', 1000, ": x\r\n\r\n", b), 431);
        assert_int_equal(status_of_filled("GET /", 'a', 1000, " HTTP/1.1\r\nHost: h\r\n\r\n", b), 431);
        assert_int_equal(status_of_filled("", '\n', 1001, "", b), 431);
        assert_int_equal(status_of_filled("GET /", 'a', 5000, "", b), 431);
    }
    (void)state;
}

static void too_many_headers_get_431(void **state)
{
    const struct tr_http_server_conf conf = { .headers_max = 3 };
    struct core core;
    core_init(&core, &conf, handler_echo);
    core_feed_str(&core, "GET / HTTP/1.1\r\nHost: h\r\nA: 1\r\nB: 2\r\n\r\n");
    assert_int_equal(sent_status(&core), 200);
    tr_buf_clear(&core.sent);
    core_feed_str(&core, "GET / HTTP/1.1\r\nHost: h\r\nA: 1\r\nB: 2\r\nC: 3\r\n\r\n");
    assert_int_equal(sent_status(&core), 431);
    core_fini(&core);
    (void)state;
}

static void endless_trailers_and_extensions_end(void **state)
{
    for (int where = 0; where < 2; where++) {
        struct core core;
        core_init(&core, NULL, handler_echo);
        core_feed_str(&core, "PUT / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n");
        core_feed_str(&core, where == 0 ? "1;" : "0\r\nA: ");
        for (int i = 0; i < 20 && !core.is_finished; i++) {
            struct tr_buf more = { 0 };
            add_repeated(&more, 'a', 1000);
            core_feed(&core, tr_buf_slice(&more));
            tr_buf_fini(&more);
        }
        core_assert_log(&core, "read failed: trailers or chunk extensions are too large\n");
        assert_true(core.is_finished);
        core_fini(&core);
    }
    (void)state;
}

static void bodies_beyond_the_limit_end_the_read(void **state)
{
    const struct tr_http_server_conf conf = { .body_bytes_max = 4 };
    struct core core;
    core_init(&core, &conf, handler_echo);
    core_feed_str(&core, "PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\n1234");
    core_assert_sent(&core, OK_HEAD "Content-Length: 10\r\n\r\nPUT / 1234");
    core_feed_str(&core, "PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\n");
    core_assert_sent(&core, "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\n"
                            "Content-Length: 16\r\n\r\nstream too large");
    core_assert_log(&core, "read failed: stream too large\n");
    core_feed_str(&core, "12345GET /after HTTP/1.1\r\nHost: h\r\n\r\n"); /* little is drained, and the connection kept */
    core_assert_sent(&core, OK_HEAD "Content-Length: 11\r\n\r\nGET /after ");
    core_feed_str(&core, "PUT / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n123\r\n3\r\n456\r\n");
    core_assert_sent(&core, "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nConnection: close\r\n"
                            "Content-Length: 16\r\n\r\nstream too large");
    assert_true(core.is_finished);
    core_fini(&core);
    (void)state;
}

/* --- bodies in pieces ---------------------------------------------------------------------------------------------------- */

static void a_paused_handler_holds_the_client_back(void **state)
{
    struct core core;
    core_init(&core, NULL, handler_hold);
    core_feed_str(&core, "PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\nab");
    assert_false(core.is_reading); /* the handler has not asked for the body */
    tr_http_exchange_read_start(core.ex, log_body, log_end);
    core_run(&core);
    core_assert_log(&core, "body ab\n");
    assert_true(core.is_reading);
    tr_http_exchange_pause(core.ex);
    core_feed_str(&core, "cdef");
    core_assert_log(&core, "");
    assert_false(core.is_reading);
    tr_http_exchange_resume(core.ex);
    core_run(&core);
    core_assert_log(&core, "body cdef\n");
    assert_true(core.is_reading);
    core_feed_str(&core, "ghi");
    core_assert_log(&core, "body ghi\nend ok\n");
    tr_http_respond(core.ex, 200, NULL, (struct tr_slice){ 0 });
    core_run(&core);
    core_assert_log(&core, "close\n");
    core_fini(&core);
    (void)state;
}

static void pause_in_on_body(struct tr_http_exchange *ex, struct tr_slice piece)
{
    log_body(ex, piece);
    tr_http_exchange_pause(ex);
}

static void a_pause_in_a_piece_stops_the_next_chunk(void **state)
{
    struct core core;
    core_init(&core, NULL, handler_hold);
    core_feed_str(&core, "PUT / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n");
    tr_http_exchange_read_start(core.ex, pause_in_on_body, log_end);
    core_run(&core);
    core_feed_str(&core, "1\r\na\r\n1\r\nb\r\n0\r\n\r\n");
    core_assert_log(&core, "body a\n");
    tr_http_exchange_resume(core.ex);
    core_run(&core);
    core_assert_log(&core, "body b\n");
    tr_http_exchange_resume(core.ex);
    core_run(&core);
    core_assert_log(&core, "end ok\n");
    core_fini(&core);
    (void)state;
}

static void continue_is_sent_when_the_body_is_wanted(void **state)
{
    struct core core;
    core_init(&core, NULL, handler_hold);
    core_feed_str(&core, "PUT / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n");
    core_assert_sent(&core, "");
    tr_http_exchange_read_start(core.ex, log_body, log_end);
    core_run(&core);
    core_assert_sent(&core, "HTTP/1.1 100 Continue\r\n\r\n");
    core_feed_str(&core, "ab");
    core_assert_log(&core, "body ab\nend ok\n");
    tr_http_respond(core.ex, 204, NULL, (struct tr_slice){ 0 });
    core_run(&core);
    core_assert_sent(&core, "HTTP/1.1 204 No Content\r\n\r\n");
    assert_false(core.is_finished);
    core_fini(&core);
    (void)state;
}

static void continue_is_sent_before_an_answer_that_begins_early(void **state)
{
    struct core core;
    core_init(&core, NULL, handler_hold);
    core_feed_str(&core, "PUT / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n");
    struct tr_http_headers headers = { 0 };
    tr_http_headers_add_str(&headers, "Connection", "keep-alive");
    tr_http_exchange_read_start(core.ex, log_body, log_end);
    tr_http_respond_start(core.ex, 200, &headers, 0);
    tr_http_headers_fini(&headers);
    core_run(&core);
    core_assert_sent(&core, "HTTP/1.1 100 Continue\r\n\r\n"
                            "HTTP/1.1 200 OK\r\nConnection: keep-alive\r\nContent-Length: 0\r\n\r\n");
    core_fini(&core);
    (void)state;
}

static void a_refused_expectation_ends_the_connection(void **state)
{
    struct core core;
    core_init(&core, NULL, handler_hold);
    core_feed_str(&core, "PUT / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n");
    tr_http_respond(core.ex, 401, NULL, TR_SLICE_LIT("no"));
    core_run(&core);
    core_assert_sent(&core, "HTTP/1.1 401 Unauthorized\r\nConnection: close\r\nContent-Length: 2\r\n\r\nno");
    assert_true(core.is_finished);
    core_fini(&core);
    (void)state;
}

static void an_unread_body_is_drained_or_the_connection_ends(void **state)
{
    struct core core;
    core_init(&core, NULL, handler_hold);
    core_feed_str(&core, "PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 1000\r\n\r\nabc");
    tr_http_respond(core.ex, 200, NULL, (struct tr_slice){ 0 });
    core_run(&core);
    core_assert_log(&core, "close\n");
    core_assert_sent(&core, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    assert_true(core.is_reading);
    struct tr_buf rest = { 0 };
    add_repeated(&rest, 'x', 997);
    tr_buf_add_str(&rest, "PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 1000000\r\n\r\n");
    core_feed(&core, tr_buf_slice(&rest));
    tr_buf_fini(&rest);
    assert_int_equal(core.requests, 2);
    tr_http_respond(core.ex, 200, NULL, (struct tr_slice){ 0 });
    core_run(&core);
    core_assert_sent(&core, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
    assert_true(core.is_finished);
    core_fini(&core);
    (void)state;
}

static void a_started_read_ends_before_the_exchange_closes(void **state)
{
    struct core core;
    core_init(&core, NULL, handler_hold);
    core_feed_str(&core, "PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\nabc");
    tr_http_exchange_read_start(core.ex, log_body, log_end);
    core_run(&core);
    tr_http_respond(core.ex, 200, NULL, (struct tr_slice){ 0 });
    core_run(&core);
    core_assert_log(&core, "body abc\nend the exchange has ended\nclose\n");
    core_fini(&core);
    (void)state;
}

static void broken_chunks_fail_the_read_and_end_the_connection(void **state)
{
    static const char *const chunks[] = { "xyz\r\nabc\r\n0\r\n\r\n", "fffffffffffffffff\r\nabc", "3\r\nabcdef\r\n0\r\n\r\n",
                                          "-3\r\nabc\r\n0\r\n\r\n",  "3\nabc\r\n0\r\n\r\n",        "3 \r\nabc\r\n0\r\n\r\n",
                                          "0x3\r\nabc\r\n0\r\n\r\n", "\r\n3\r\nabc\r\n0\r\n\r\n" };
    for (size_t i = 0; i < TR_ARRAY_LEN(chunks); i++) {
        struct core core;
        core_init(&core, NULL, handler_echo);
        core_feed_str(&core, "PUT / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n");
        core_feed_str(&core, chunks[i]);
        if (sent_status(&core) != 400 || !core.is_finished || core.log.len == 0) {
            fail_msg("'%s' gives %s", chunks[i], tr_buf_cstr(&core.sent));
        }
        core_fini(&core);
    }
    (void)state;
}

/* --- answers in pieces --------------------------------------------------------------------------------------------------- */

static void start_answer(struct core *core, const char *request, uint64_t length)
{
    core_feed_str(core, request);
    struct tr_http_headers headers = { 0 };
    tr_http_headers_add_str(&headers, "X-A", "1");
    tr_http_headers_add_str(&headers, "Connection", "X-A");
    tr_http_headers_add_str(&headers, "Content-Length", "77");
    tr_http_headers_add_str(&headers, "Bad Name", "1");
    tr_http_headers_add_str(&headers, "X-B", "a\r\nSet-Cookie: x");
    tr_http_respond_start(core->ex, 200, &headers, length);
    tr_http_headers_fini(&headers);
}

#define GET_REQUEST "GET / HTTP/1.1\r\nHost: h\r\n\r\n"
#define START_HEAD "HTTP/1.1 200 OK\r\nX-A: 1\r\nX-B: a  Set-Cookie: x\r\n"

static void pieces_are_chunked_and_those_of_one_turn_leave_together(void **state)
{
    struct core core;
    core_init(&core, NULL, handler_hold);
    start_answer(&core, GET_REQUEST, TR_HTTP_LENGTH_UNKNOWN);
    assert_true(tr_http_respond_write(core.ex, TR_SLICE_LIT("hello")));
    assert_true(tr_http_respond_write(core.ex, TR_SLICE_LIT("")));
    assert_true(tr_http_respond_write(core.ex, TR_SLICE_LIT("world, this")));
    assert_int_equal(core.writes, 0);
    core_run(&core);
    assert_int_equal(core.writes, 1);
    core_assert_sent(&core, START_HEAD "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nb\r\nworld, this\r\n");
    tr_http_respond_end(core.ex);
    core_run(&core);
    core_assert_sent(&core, "0\r\n\r\n");
    core_assert_log(&core, "close\n");
    assert_false(core.is_finished);
    core_fini(&core);
    (void)state;
}

static void the_head_leaves_before_the_first_piece(void **state)
{
    struct core core;
    core_init(&core, NULL, handler_hold);
    start_answer(&core, GET_REQUEST, TR_HTTP_LENGTH_UNKNOWN);
    core_run(&core);
    core_assert_sent(&core, START_HEAD "Transfer-Encoding: chunked\r\n\r\n");
    core_fini(&core);
    (void)state;
}

static void an_answer_without_pieces_has_length_zero(void **state)
{
    struct core core;
    core_init(&core, NULL, handler_hold);
    start_answer(&core, GET_REQUEST, TR_HTTP_LENGTH_UNKNOWN);
    tr_http_respond_end(core.ex);
    core_assert_sent(&core, START_HEAD "Content-Length: 0\r\n\r\n");
    core_run(&core);
    core_fini(&core);
    (void)state;
}

static void head_gets_no_pieces(void **state)
{
    struct core core;
    core_init(&core, NULL, handler_hold);
    start_answer(&core, "HEAD / HTTP/1.1\r\nHost: h\r\n\r\n", TR_HTTP_LENGTH_UNKNOWN);
    assert_true(tr_http_respond_write(core.ex, TR_SLICE_LIT("hello")));
    tr_http_respond_end(core.ex);
    core_run(&core);
    core_assert_sent(&core, START_HEAD "\r\n");
    core_fini(&core);
    (void)state;
}

static void http_1_0_pieces_end_with_the_connection(void **state)
{
    struct core core;
    core_init(&core, NULL, handler_hold);
    start_answer(&core, "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", TR_HTTP_LENGTH_UNKNOWN);
    (void)tr_http_respond_write(core.ex, TR_SLICE_LIT("hello"));
    tr_http_respond_end(core.ex);
    core_run(&core);
    core_assert_sent(&core, START_HEAD "Connection: close\r\n\r\nhello");
    assert_true(core.is_finished);
    core_fini(&core);
    (void)state;
}

static void a_declared_length_is_kept_to(void **state)
{
    struct core core;
    core_init(&core, NULL, handler_hold);
    start_answer(&core, GET_REQUEST, 3);
    (void)tr_http_respond_write(core.ex, TR_SLICE_LIT("hello"));
    tr_http_respond_end(core.ex);
    core_run(&core);
    core_assert_sent(&core, START_HEAD "Content-Length: 3\r\n\r\nhel");
    assert_false(core.is_finished);
    start_answer(&core, GET_REQUEST, 9);
    (void)tr_http_respond_write(core.ex, TR_SLICE_LIT("hello"));
    tr_http_respond_end(core.ex);
    core_run(&core);
    core_assert_sent(&core, START_HEAD "Content-Length: 9\r\n\r\nhello");
    assert_true(core.is_closed);
    core_fini(&core);
    (void)state;
}

static void a_slow_client_makes_the_handler_wait(void **state)
{
    const struct tr_http_server_conf conf = { .write_high_bytes = 100 };
    struct core core;
    core_init(&core, &conf, handler_hold);
    start_answer(&core, GET_REQUEST, TR_HTTP_LENGTH_UNKNOWN);
    core_run(&core);
    core.pending = 200;
    assert_false(tr_http_respond_write(core.ex, TR_SLICE_LIT("hello")));
    core_run(&core);
    core_assert_log(&core, "");
    core_writable(&core);
    core_assert_log(&core, "drain\n");
    struct tr_buf large = { 0 };
    add_repeated(&large, 'x', 101);
    assert_false(tr_http_respond_write(core.ex, tr_buf_slice(&large)));
    tr_buf_fini(&large);
    core_run(&core); /* the wire takes it at once */
    core_assert_log(&core, "drain\n");
    assert_true(tr_http_respond_write(core.ex, TR_SLICE_LIT("hello")));
    tr_http_respond_end(core.ex);
    core_run(&core);
    core_assert_log(&core, "close\n");
    core_fini(&core);
    (void)state;
}

static void a_client_that_takes_no_answers_is_not_read(void **state)
{
    const struct tr_http_server_conf conf = { .write_high_bytes = 100 };
    struct core core;
    core_init(&core, &conf, handler_echo);
    core.pending = 200;
    core_feed_str(&core, GET_REQUEST GET_REQUEST);
    assert_int_equal(core.requests, 0);
    assert_false(core.is_reading);
    core_writable(&core);
    assert_int_equal(core.requests, 2);
    assert_true(core.is_reading);
    core_fini(&core);
    (void)state;
}

static void large_pieces_are_written_from_where_they_are(void **state)
{
    struct core core;
    core_init(&core, NULL, handler_hold);
    core_feed_str(&core, GET_REQUEST);
    struct tr_buf body = { 0 };
    add_repeated(&body, 'x', 100000);
    tr_http_respond_buf(core.ex, 200, NULL, &body);
    assert_int_equal(core.writes, 1);
    assert_int_equal(body.cap, 0);
    core_run(&core);
    char *sent = core_take_sent(&core);
    assert_non_null(strstr(sent, "Content-Length: 100000\r\n\r\nxxx"));
    free(sent);
    core_fini(&core);
    (void)state;
}

/* --- the end ------------------------------------------------------------------------------------------------------------- */

static void a_client_that_leaves_aborts_the_exchange(void **state)
{
    struct core core;
    core_init(&core, NULL, handler_hold);
    core_feed_str(&core, GET_REQUEST);
    core_eof(&core);
    core_assert_log(&core, "abort\n");
    assert_true(tr_http_exchange_is_aborted(core.ex));
    tr_http_exchange_abort(core.ex);
    core_run(&core);
    core_assert_log(&core, "close\n");
    assert_true(core.is_closed);
    core_fini(&core);
    (void)state;
}

static void a_client_that_only_closes_its_side_still_gets_its_answer(void **state)
{
    struct core core;
    core_init(&core, NULL, handler_hold);
    core_feed_str(&core, GET_REQUEST);
    core_eof(&core);
    tr_http_respond(core.ex, 200, NULL, TR_SLICE_LIT("late"));
    core_run(&core);
    core_assert_sent(&core, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 4\r\n\r\nlate");
    core_assert_log(&core, "abort\nclose\n");
    assert_true(core.is_finished);
    core_fini(&core);
    (void)state;
}

/* Else the work that the body makes the handler start would never hear of the abort. */
static void a_whole_body_is_told_before_the_abort_that_came_with_it(void **state)
{
    struct core core;
    core_init(&core, NULL, handler_hold);
    core_feed_str(&core, GET_REQUEST);
    tr_http_exchange_read_all(core.ex, 0, log_end);
    core_eof(&core);
    core_assert_log(&core, "end ok\nabort\n");
    tr_http_exchange_abort(core.ex);
    core_run(&core);
    core_assert_log(&core, "close\n");
    core_fini(&core);
    (void)state;
}

static void the_end_in_a_body_fails_the_read(void **state)
{
    struct core core;
    core_init(&core, NULL, handler_hold);
    core_feed_str(&core, "PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\nab");
    tr_http_exchange_read_start(core.ex, log_body, log_end);
    core_run(&core);
    core_eof(&core);
    core_assert_log(&core, "body ab\nabort\nend the client closed the connection in the middle of the body\n");
    tr_http_exchange_abort(core.ex);
    core_run(&core);
    core_assert_log(&core, "close\n");
    core_fini(&core);
    (void)state;
}

static void answers_after_a_cut_are_dropped(void **state)
{
    struct core core;
    core_init(&core, NULL, handler_hold);
    core_feed_str(&core, GET_REQUEST);
    tr_http_respond_start(core.ex, 200, NULL, TR_HTTP_LENGTH_UNKNOWN);
    core_run(&core);
    tr_buf_clear(&core.sent);
    http_conn_cut(&core.conn);
    core_assert_log(&core, "abort\n");
    http_conn_closed(&core.conn);
    assert_false(http_conn_is_over(&core.conn));
    assert_true(tr_http_respond_write(core.ex, TR_SLICE_LIT("hello")));
    tr_http_respond_end(core.ex);
    core_run(&core);
    core_assert_log(&core, "close\n");
    core_assert_sent(&core, "");
    assert_true(http_conn_is_over(&core.conn));
    core_fini(&core);
    (void)state;
}

static void an_aborted_answer_is_cut_off(void **state)
{
    struct core core;
    core_init(&core, NULL, handler_hold);
    start_answer(&core, GET_REQUEST, TR_HTTP_LENGTH_UNKNOWN);
    (void)tr_http_respond_write(core.ex, TR_SLICE_LIT("hello"));
    tr_http_exchange_abort(core.ex);
    core_run(&core);
    core_assert_sent(&core, START_HEAD "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n");
    assert_true(core.is_closed);
    core_assert_log(&core, "close\n");
    core_fini(&core);
    (void)state;
}

static void draining_ends_idle_connections_and_the_others_after_their_answer(void **state)
{
    struct core core;
    core_init(&core, NULL, handler_hold);
    core_feed_str(&core, GET_REQUEST);
    core.env.is_draining = true;
    http_conn_drain(&core.conn);
    core_run(&core);
    assert_false(core.is_finished);
    tr_http_respond(core.ex, 200, NULL, (struct tr_slice){ 0 });
    core_run(&core);
    core_assert_sent(&core, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
    assert_true(core.is_finished);
    core_fini(&core);

    core_init(&core, NULL, handler_echo);
    core_feed_str(&core, GET_REQUEST);
    core.env.is_draining = true;
    http_conn_drain(&core.conn);
    core_run(&core);
    assert_true(core.is_finished);
    core_fini(&core);
    (void)state;
}

/* --- time ---------------------------------------------------------------------------------------------------------------- */

static void slow_heads_time_out(void **state)
{
    const struct tr_http_server_conf conf = { .header_timeout_ms = 1000 };
    struct core core;
    core_init(&core, &conf, handler_echo);
    core_feed_str(&core, "GET / HTTP/1.1\r\n");
    core_advance(&core, 999);
    core_feed_str(&core, "Host:");
    assert_false(core.is_finished);
    core_advance(&core, 1);
    assert_int_equal(sent_status(&core), 408);
    assert_true(core.is_finished);
    core_fini(&core);

    core_init(&core, &conf, handler_echo);
    core_advance(&core, 1000);
    assert_int_equal(core.sent.len, 0);
    assert_true(core.is_finished);
    core_fini(&core);
    (void)state;
}

static void kept_connections_time_out_when_they_are_to(void **state)
{
    const struct tr_http_server_conf conf = { .header_timeout_ms = 1000, .keep_alive_ms = 5000 };
    struct core core;
    core_init(&core, &conf, handler_echo);
    core_feed_str(&core, GET_REQUEST);
    core_advance(&core, 4999);
    assert_false(core.is_finished);
    core_feed_str(&core, GET_REQUEST);
    assert_int_equal(core.requests, 2);
    core_advance(&core, 5000);
    assert_true(core.is_finished);
    core_fini(&core);

    const struct tr_http_server_conf forever = { .header_timeout_ms = 1000 };
    core_init(&core, &forever, handler_echo);
    core_feed_str(&core, GET_REQUEST);
    core_advance(&core, 1000000);
    assert_false(core.is_finished);
    core_fini(&core);
    (void)state;
}

static void stalled_bodies_and_answers_are_cut(void **state)
{
    const struct tr_http_server_conf conf = { .idle_ms = 1000 };
    struct core core;
    core_init(&core, &conf, handler_hold);
    core_feed_str(&core, "PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\nab");
    tr_http_exchange_read_start(core.ex, log_body, log_end);
    core_run(&core);
    core_advance(&core, 999);
    core_feed_str(&core, "c");
    core_advance(&core, 999);
    assert_false(core.is_closed);
    core_advance(&core, 1);
    assert_true(core.is_closed);
    core_assert_log(&core, "body ab\nbody c\nabort\nend the client has gone\n");
    core_fini(&core);

    core_init(&core, &conf, handler_hold);
    core_feed_str(&core, GET_REQUEST);
    core_advance(&core, 100000); /* the handler may take its time */
    start_answer(&core, "", TR_HTTP_LENGTH_UNKNOWN);
    core_run(&core);
    core.pending = 10;
    core_advance(&core, 900);
    core.pending = 5;
    core_advance(&core, 900);
    assert_false(core.is_closed);
    core_advance(&core, 1000);
    assert_true(core.is_closed);
    core_fini(&core);
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_request_is_answered),
        cmocka_unit_test(a_date_is_sent),
        cmocka_unit_test(chunked_bodies_and_trailers_are_read),
        cmocka_unit_test(pipelined_requests_are_answered_in_order_and_in_one_write),
        cmocka_unit_test(the_next_request_waits_and_the_wire_is_not_read_on),
        cmocka_unit_test(absolute_targets_and_head_are_understood),
        cmocka_unit_test(http_1_0_is_answered_and_closed_or_kept),
        cmocka_unit_test(connection_close_is_honoured),
        cmocka_unit_test(header_values_are_trimmed_and_may_be_empty),
        cmocka_unit_test(connect_is_shown_and_the_last_request),
        cmocka_unit_test(other_upgrades_are_ordinary_requests),
        cmocka_unit_test(malformed_requests_are_refused),
        cmocka_unit_test(one_byte_at_a_time_gives_the_same_refusals),
        cmocka_unit_test(a_lone_line_feed_ends_the_request_line_and_the_head),
        cmocka_unit_test(a_refusal_says_why),
        cmocka_unit_test(one_byte_at_a_time_gives_the_same_answers),
        cmocka_unit_test(heads_beyond_their_limit_get_431),
        cmocka_unit_test(too_many_headers_get_431),
        cmocka_unit_test(endless_trailers_and_extensions_end),
        cmocka_unit_test(bodies_beyond_the_limit_end_the_read),
        cmocka_unit_test(a_paused_handler_holds_the_client_back),
        cmocka_unit_test(a_pause_in_a_piece_stops_the_next_chunk),
        cmocka_unit_test(continue_is_sent_when_the_body_is_wanted),
        cmocka_unit_test(continue_is_sent_before_an_answer_that_begins_early),
        cmocka_unit_test(a_refused_expectation_ends_the_connection),
        cmocka_unit_test(an_unread_body_is_drained_or_the_connection_ends),
        cmocka_unit_test(a_started_read_ends_before_the_exchange_closes),
        cmocka_unit_test(broken_chunks_fail_the_read_and_end_the_connection),
        cmocka_unit_test(pieces_are_chunked_and_those_of_one_turn_leave_together),
        cmocka_unit_test(the_head_leaves_before_the_first_piece),
        cmocka_unit_test(an_answer_without_pieces_has_length_zero),
        cmocka_unit_test(head_gets_no_pieces),
        cmocka_unit_test(http_1_0_pieces_end_with_the_connection),
        cmocka_unit_test(a_declared_length_is_kept_to),
        cmocka_unit_test(a_slow_client_makes_the_handler_wait),
        cmocka_unit_test(a_client_that_takes_no_answers_is_not_read),
        cmocka_unit_test(large_pieces_are_written_from_where_they_are),
        cmocka_unit_test(a_client_that_leaves_aborts_the_exchange),
        cmocka_unit_test(a_client_that_only_closes_its_side_still_gets_its_answer),
        cmocka_unit_test(a_whole_body_is_told_before_the_abort_that_came_with_it),
        cmocka_unit_test(the_end_in_a_body_fails_the_read),
        cmocka_unit_test(answers_after_a_cut_are_dropped),
        cmocka_unit_test(an_aborted_answer_is_cut_off),
        cmocka_unit_test(draining_ends_idle_connections_and_the_others_after_their_answer),
        cmocka_unit_test(slow_heads_time_out),
        cmocka_unit_test(kept_connections_time_out_when_they_are_to),
        cmocka_unit_test(stalled_bodies_and_answers_are_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
