/* The client against a server that is the test itself: it sees raw bytes and sends raw bytes. */
#include "runtime/http/client.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <setjmp.h>
#include <cmocka.h>

#include "runtime/base/net.h"

#define WAIT_MS   20000
#define CONNS_MAX 8

/* --- the server's end ------------------------------------------------------------------------- */

struct raw_conn {
    struct tr_stream *stream;
    struct tr_buf got;
    bool is_over; /* the client has closed */
};

struct reply {
    struct tr_write write;
    struct tr_slice slice;
    char *text; /* owned */
};

struct fixture {
    struct tr_loop *loop;
    struct tr_listener *listener;
    uint16_t port;
    struct raw_conn conns[CONNS_MAX];
    size_t conns_len;
    struct tr_http_client *client;
    bool is_client_closed;
    bool reads_nothing; /* accepted connections are not read */
};

static void on_raw_read(void *ctx, struct tr_slice bytes, const struct tr_err *err)
{
    struct raw_conn *conn = ctx;
    if (err != NULL) {
        conn->is_over = true;
        return;
    }
    tr_buf_add(&conn->got, bytes);
}

static void on_accept(void *ctx, struct tr_stream *stream)
{
    struct fixture *f = ctx;
    assert_true(f->conns_len < CONNS_MAX);
    struct raw_conn *conn = &f->conns[f->conns_len++];
    conn->stream = stream;
    if (!f->reads_nothing) {
        tr_stream_read_start(stream, on_raw_read, conn);
    }
}

static void on_replied(struct tr_write *write)
{
    struct reply *reply = TR_CONTAINER_OF(write, struct reply, write);
    free(reply->text);
    free(reply);
}

static void raw_send_slice(struct fixture *f, size_t i, struct tr_slice bytes)
{
    struct reply *reply = tr_xzalloc(sizeof(*reply));
    reply->text = tr_xstrdup(bytes);
    reply->slice = tr_slice(reply->text, bytes.len);
    reply->write.slices = &reply->slice;
    reply->write.slices_len = 1;
    reply->write.cb = on_replied;
    tr_write_start(f->conns[i].stream, &reply->write);
}

static void raw_send(struct fixture *f, size_t i, const char *text)
{
    raw_send_slice(f, i, tr_slice_str(text));
}

static void raw_close(struct fixture *f, size_t i)
{
    tr_stream_close(f->conns[i].stream, NULL, NULL);
    f->conns[i].stream = NULL;
}

struct expectation {
    struct fixture *f;
    size_t conn;
    const char *end;
    size_t conns;
};

static bool request_is_there(void *ctx)
{
    const struct expectation *e = ctx;
    return e->f->conns_len > e->conn &&
           tr_slice_ends(tr_buf_slice(&e->f->conns[e->conn].got), tr_slice_str(e->end));
}

/* Wait until connection `i` has got bytes that end with `end`. */
static void raw_wait(struct fixture *f, size_t i, const char *end)
{
    struct expectation e = { .f = f, .conn = i, .end = end };
    if (!tr_loop_run_until(f->loop, request_is_there, &e, WAIT_MS)) {
        fail_msg("connection %zu of %zu got: %s", i, f->conns_len, tr_buf_cstr(&f->conns[i].got));
    }
}

/* What connection `i` has got, which is then forgotten; the port of the test's server reads PORT.
 */
static void assert_request(struct fixture *f, size_t i, const char *text)
{
    char host[32];
    (void)snprintf(host, sizeof(host), "127.0.0.1:%u", f->port);
    char *got = tr_xstrdup(tr_buf_slice(&f->conns[i].got));
    char *at = strstr(got, host);
    if (at != NULL) {
        memcpy(at, "SERVER", 6);
        memmove(at + 6, at + strlen(host), strlen(at + strlen(host)) + 1);
    }
    assert_string_equal(got, text);
    free(got);
    tr_buf_clear(&f->conns[i].got);
}

static bool raw_is_over(void *ctx)
{
    return ((struct raw_conn *)ctx)->is_over;
}

static void raw_wait_closed(struct fixture *f, size_t i)
{
    assert_true(tr_loop_run_until(f->loop, raw_is_over, &f->conns[i], WAIT_MS));
}

/* --- the client's end ------------------------------------------------------------------------- */

enum at_event {
    NOTHING,
    CANCEL_AT_HEAD,
    CANCEL_AT_BODY,
    PAUSE_AT_BODY,
};

struct test_call {
    struct tr_http_call call;
    unsigned done;
    unsigned heads;
    unsigned drains;
    struct tr_buf pieces;
    enum at_event at_event;
};

static void on_done(struct tr_http_call *call)
{
    TR_CONTAINER_OF(call, struct test_call, call)->done++;
}

static void on_head(struct tr_http_call *call)
{
    struct test_call *t = TR_CONTAINER_OF(call, struct test_call, call);
    assert_true(call->has_head);
    t->heads++;
    if (t->at_event == CANCEL_AT_HEAD) {
        tr_http_call_cancel(call);
    }
}

static void on_body(struct tr_http_call *call, struct tr_slice piece)
{
    struct test_call *t = TR_CONTAINER_OF(call, struct test_call, call);
    tr_buf_add(&t->pieces, piece);
    if (t->at_event == CANCEL_AT_BODY) {
        tr_http_call_cancel(call);
    } else if (t->at_event == PAUSE_AT_BODY) {
        tr_http_call_pause(call);
    }
}

static void on_drain(struct tr_http_call *call)
{
    TR_CONTAINER_OF(call, struct test_call, call)->drains++;
}

static struct test_call call_of(const char *method, const char *target)
{
    return (struct test_call){ .call = { .method = tr_slice_str(method),
                                         .target = tr_slice_str(target),
                                         .is_replayable = true,
                                         .cb = on_done } };
}

static void start(struct fixture *f, struct test_call *t)
{
    tr_http_call_start(f->client, &t->call);
    assert_int_equal(t->done, 0);
}

static bool call_is_done(void *ctx)
{
    return ((struct test_call *)ctx)->done > 0;
}

static void finish(struct fixture *f, struct test_call *t)
{
    assert_true(tr_loop_run_until(f->loop, call_is_done, t, WAIT_MS));
    assert_int_equal(t->done, 1);
}

static void fini(struct test_call *t)
{
    tr_http_call_fini(&t->call);
    tr_buf_fini(&t->pieces);
}

static void finish_with(struct fixture *f, struct test_call *t, int status, const char *body)
{
    finish(f, t);
    if (t->call.err.code != TR_OK) {
        fail_msg("call failed: %s", t->call.err.msg);
    }
    assert_int_equal(t->call.status, status);
    assert_string_equal(tr_buf_cstr(&t->call.body_out), body);
    fini(t);
}

static void finish_failed(struct fixture *f, struct test_call *t, enum tr_code code,
                          const char *text)
{
    finish(f, t);
    assert_int_equal(t->call.err.code, code);
    if (text != NULL) {
        assert_string_equal(t->call.err.msg, text);
    }
    fini(t);
}

static void on_client_closed(void *ctx)
{
    ((struct fixture *)ctx)->is_client_closed = true;
}

static void open_client(struct fixture *f, struct tr_http_client_conf conf)
{
    conf.host = TR_SLICE_LIT("127.0.0.1");
    conf.port = f->port;
    f->client = tr_http_client_new(f->loop, &conf);
}

static bool client_is_closed(void *ctx)
{
    return ((struct fixture *)ctx)->is_client_closed;
}

static void close_client(struct fixture *f)
{
    if (f->client != NULL) {
        tr_http_client_close(f->client, on_client_closed, f);
        f->client = NULL;
        assert_true(tr_loop_run_until(f->loop, client_is_closed, f, WAIT_MS));
    }
}

static int set_up(void **state)
{
    struct fixture *f = tr_xzalloc(sizeof(*f));
    struct tr_err err;
    f->loop = tr_loop_new();
    assert_int_equal(tr_listen_tcp(f->loop, "127.0.0.1", 0, on_accept, f, &f->listener, &err),
                     TR_OK);
    f->port = tr_listener_port(f->listener);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    close_client(f);
    for (size_t i = 0; i < f->conns_len; i++) {
        if (f->conns[i].stream != NULL) {
            raw_close(f, i);
        }
        tr_buf_fini(&f->conns[i].got);
    }
    tr_listener_close(&f->listener);
    tr_loop_free(&f->loop);
    free(f);
    return 0;
}

#define OK_EMPTY "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"

/* A call that succeeds, so that connection `i` is kept. */
static void warm_up(struct fixture *f, size_t i)
{
    struct test_call t = call_of("GET", "/warm");
    start(f, &t);
    raw_wait(f, i, "\r\n\r\n");
    raw_send(f, i, OK_EMPTY);
    finish_with(f, &t, 200, "");
    tr_buf_clear(&f->conns[i].got);
}

/* --- requests --------------------------------------------------------------------------------- */

static void a_request_without_body_has_host_and_no_length(void **state)
{
    struct fixture *f = *state;
    open_client(f, (struct tr_http_client_conf){ 0 });
    struct test_call t = call_of("GET", "/a%20b?q=1");
    start(f, &t);
    raw_wait(f, 0, "\r\n\r\n");
    assert_request(f, 0, "GET /a%20b?q=1 HTTP/1.1\r\nHost: SERVER\r\n\r\n");
    raw_send(f, 0, "HTTP/1.1 201 Made\r\nX-One: 1\r\nx-two:  2 \r\nContent-Length: 4\r\n\r\nbody");
    finish(f, &t);
    assert_true(tr_slice_eq_str(tr_http_headers_value(&t.call.headers_out, "x-one"), "1"));
    assert_true(tr_slice_eq_str(tr_http_headers_value(&t.call.headers_out, "X-Two"), "2"));
    finish_with(f, &t, 201, "body");
}

static void headers_go_out_but_for_those_the_client_writes_itself(void **state)
{
    struct fixture *f = *state;
    open_client(f, (struct tr_http_client_conf){ 0 });
    struct tr_http_headers headers = { 0 };
    tr_http_headers_add_str(&headers, "Host", "elsewhere");
    tr_http_headers_add_str(&headers, "content-length", "99");
    tr_http_headers_add_str(&headers, "Connection", "close");
    tr_http_headers_add_str(&headers, "Transfer-Encoding", "chunked");
    tr_http_headers_add_str(&headers, "not a token", "x");
    tr_http_headers_add_str(&headers, "X-A", "1\r\nX-Evil: 2");
    tr_http_headers_add_str(&headers, "X-A", "2");
    struct test_call t = call_of("POST", "/");
    t.call.headers = &headers;
    t.call.body = TR_SLICE_LIT("hello");
    start(f, &t);
    raw_wait(f, 0, "hello");
    assert_request(f, 0,
                   "POST / HTTP/1.1\r\nHost: SERVER\r\nX-A: 1  X-Evil: 2\r\nX-A: "
                   "2\r\nContent-Length: 5\r\n\r\nhello");
    raw_send(f, 0, OK_EMPTY);
    finish_with(f, &t, 200, "");
    tr_http_headers_fini(&headers);
}

static void an_empty_body_has_a_length_when_asked_for(void **state)
{
    struct fixture *f = *state;
    open_client(f, (struct tr_http_client_conf){ 0 });
    struct test_call t = call_of("PUT", "/");
    t.call.has_body = true;
    start(f, &t);
    raw_wait(f, 0, "\r\n\r\n");
    assert_request(f, 0, "PUT / HTTP/1.1\r\nHost: SERVER\r\nContent-Length: 0\r\n\r\n");
    raw_send(f, 0, OK_EMPTY);
    finish_with(f, &t, 200, "");
}

static void a_target_that_would_break_the_request_line_is_refused(void **state)
{
    struct fixture *f = *state;
    open_client(f, (struct tr_http_client_conf){ 0 });
    struct test_call blank = call_of("GET", "/a b"), line = call_of("GET", "/a\r\nX: y"),
                     none = call_of("GET", "");
    start(f, &blank);
    start(f, &line);
    start(f, &none);
    finish_failed(f, &blank, TR_INVALID, NULL);
    finish_failed(f, &line, TR_INVALID, NULL);
    finish_failed(f, &none, TR_INVALID, NULL);
}

static void a_large_body_arrives_whole(void **state)
{
    struct fixture *f = *state;
    enum { BYTES = 8 << 20 };
    open_client(f, (struct tr_http_client_conf){ 0 });
    char *body = tr_xalloc(BYTES);
    memset(body, 'x', BYTES - 3);
    memcpy(body + BYTES - 3, "end", 3);
    struct test_call t = call_of("POST", "/");
    t.call.body = tr_slice(body, BYTES);
    start(f, &t);
    raw_wait(f, 0, "xend");
    assert_true(tr_slice_ends(tr_buf_slice(&f->conns[0].got), t.call.body));
    raw_send(f, 0, OK_EMPTY);
    finish_with(f, &t, 200, "");
    warm_up(f, 0); /* the connection is kept */
    free(body);
}

/* --- answers ---------------------------------------------------------------------------------- */

struct answer_case {
    const char *method;
    const char *answer;
    int status;
    const char *body;
    bool is_kept; /* the connection serves another call */
};

static void check_answer(struct fixture *f, const struct answer_case *c, bool bytewise)
{
    const size_t i = f->conns_len;
    open_client(f, (struct tr_http_client_conf){ 0 });
    struct test_call t = call_of(c->method, "/");
    start(f, &t);
    raw_wait(f, i, "\r\n\r\n");
    if (bytewise) {
        for (const char *at = c->answer; *at != '\0'; at++) {
            raw_send_slice(f, i, tr_slice(at, 1));
            tr_loop_turn(f->loop);
        }
    } else {
        raw_send(f, i, c->answer);
    }
    if (!c->is_kept && strstr(c->answer, "Connection: close") == NULL) {
        for (int turn = 0; turn < 3; turn++) {
            tr_loop_turn(f->loop);
        }
        raw_close(f, i);
    }
    finish_with(f, &t, c->status, c->body);
    if (c->is_kept) {
        warm_up(f, i);
    } else {
        assert_int_equal(tr_http_client_connections(f->client), f->conns[i].stream == NULL ? 0 : 1);
    }
    close_client(f);
    f->is_client_closed = false;
}

static void answers_of_every_framing_are_read(void **state)
{
    struct fixture *f = *state;
    static const struct answer_case cases[] = {
        { "GET", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", 200, "hello", true },
        { "GET",
          "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2;x=y\r\nlo\r\n0\r\nT: "
          "1\r\n\r\n",
          200, "hello", true },
        { "GET", "HTTP/1.1 200 OK\r\n\r\nhello", 200, "hello", false },
        { "GET", "HTTP/1.0 200 OK\r\n\r\nhello", 200, "hello", false },
        { "GET", "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nhi", 200,
          "hi", true },
    };
    for (size_t k = 0; k < TR_ARRAY_LEN(cases); k++) {
        check_answer(f, &cases[k], false);
    }
}

static void answers_arrive_whole_when_every_byte_comes_alone(void **state)
{
    struct fixture *f = *state;
    static const struct answer_case c = {
        "GET",
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nA: b\r\nTransfer-Encoding: "
        "chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        200, "hello", true
    };
    check_answer(f, &c, true);
}

static void answers_without_a_body_keep_the_connection_whatever_their_length_says(void **state)
{
    struct fixture *f = *state;
    static const struct answer_case cases[] = {
        { "HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n", 200, "", true },
        { "HEAD", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", 200, "", true },
        { "GET", "HTTP/1.1 204 No Content\r\n\r\n", 204, "", true },
        { "GET", "HTTP/1.1 304 Not Modified\r\nContent-Length: 10\r\n\r\n", 304, "", true },
    };
    for (size_t k = 0; k < TR_ARRAY_LEN(cases); k++) {
        check_answer(f, &cases[k], false);
    }
}

static void informational_answers_are_skipped_with_their_headers(void **state)
{
    struct fixture *f = *state;
    open_client(f, (struct tr_http_client_conf){ 0 });
    struct test_call t = call_of("GET", "/");
    start(f, &t);
    raw_wait(f, 0, "\r\n\r\n");
    raw_send(f, 0,
             "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" OK_EMPTY);
    finish(f, &t);
    assert_false(tr_http_headers_has(&t.call.headers_out, "Link"));
    finish_with(f, &t, 200, "");
    warm_up(f, 0);
}

static void answers_that_are_no_http_fail(void **state)
{
    struct fixture *f = *state;
    static const char *const answers[] = {
        "garbage\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
        ("HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n"
         "3\r\nabc\r\n0\r\n\r\n"),
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        "HTTP/1.1 200 OK\r\nA: 1\r\n: 2\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
    };
    open_client(f, (struct tr_http_client_conf){ 0 });
    for (size_t k = 0; k < TR_ARRAY_LEN(answers); k++) {
        struct test_call t = call_of("GET", "/");
        start(f, &t);
        raw_wait(f, k, "\r\n\r\n");
        raw_send(f, k, answers[k]);
        finish_failed(f, &t, TR_INVALID, NULL);
        raw_wait_closed(f, k);
    }
}

static void endless_informational_answers_fail(void **state)
{
    struct fixture *f = *state;
    open_client(f, (struct tr_http_client_conf){ 0 });
    struct test_call t = call_of("GET", "/");
    start(f, &t);
    raw_wait(f, 0, "\r\n\r\n");
    for (int i = 0; i < 20; i++) {
        raw_send(f, 0, "HTTP/1.1 100 Continue\r\n\r\n");
    }
    finish_failed(f, &t, TR_INVALID, "too many informational answers");
}

static void a_connection_that_ends_early_fails_the_call(void **state)
{
    struct fixture *f = *state;
    static const char *const answers[] = {
        "HTTP/1.1 200",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
    };
    open_client(f, (struct tr_http_client_conf){ 0 });
    for (size_t k = 0; k < TR_ARRAY_LEN(answers); k++) {
        struct test_call t = call_of("GET", "/");
        start(f, &t);
        raw_wait(f, k, "\r\n\r\n");
        raw_send(f, k, answers[k]);
        tr_stream_shutdown(f->conns[k].stream);
        finish_failed(f, &t, TR_EOF, "unexpected EOF");
    }
}

static void a_body_shorter_than_declared_is_complete_where_that_is_allowed(void **state)
{
    struct fixture *f = *state;
    open_client(f, (struct tr_http_client_conf){ .short_body_ok = true });
    struct test_call t = call_of("GET", "/");
    start(f, &t);
    raw_wait(f, 0, "\r\n\r\n");
    raw_send(f, 0, "HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nshort");
    tr_stream_shutdown(f->conns[0].stream);
    finish_with(f, &t, 200, "short");
}

/* Its end is a chunk of its own: without it nobody knows how much is missing. */
static void chunks_that_end_early_fail_the_call_where_short_bodies_are_allowed(void **state)
{
    struct fixture *f = *state;
    open_client(f, (struct tr_http_client_conf){ .short_body_ok = true });
    struct test_call t = call_of("GET", "/");
    start(f, &t);
    raw_wait(f, 0, "\r\n\r\n");
    raw_send(f, 0, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n");
    tr_stream_shutdown(f->conns[0].stream);
    finish_failed(f, &t, TR_EOF, "unexpected EOF");
}

static void bytes_behind_an_answer_cost_the_connection(void **state)
{
    struct fixture *f = *state;
    open_client(f, (struct tr_http_client_conf){ 0 });
    struct test_call t = call_of("GET", "/");
    start(f, &t);
    raw_wait(f, 0, "\r\n\r\n");
    raw_send(f, 0, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhiHTTP/1.1 200 OK\r\n");
    finish_with(f, &t, 200, "hi");
    raw_wait_closed(f, 0);
}

/* --- limits ----------------------------------------------------------------------------------- */

static void a_head_beyond_the_limit_fails(void **state)
{
    struct fixture *f = *state;
    open_client(f, (struct tr_http_client_conf){ .header_bytes_max = 100 });
    static const char *const parts[] = {
        "HTTP/1.1 200 ",
        "HTTP/1.1 200 OK\r\nX: ",
        "HTTP/1.1 200 OK\r\nX",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;x=",
    };
    for (size_t k = 0; k < TR_ARRAY_LEN(parts); k++) {
        struct test_call t = call_of("GET", "/");
        start(f, &t);
        raw_wait(f, k, "\r\n\r\n");
        raw_send(f, k, parts[k]);
        for (int i = 0; i < 30; i++) {
            raw_send(f, k, "abcdefgh");
        }
        finish_failed(f, &t, TR_LIMIT, "answer's headers are too large");
    }
}

static void a_body_beyond_the_limit_fails(void **state)
{
    struct fixture *f = *state;
    open_client(f, (struct tr_http_client_conf){ 0 });
    struct test_call t = call_of("GET", "/");
    t.call.body_bytes_max = 5;
    start(f, &t);
    raw_wait(f, 0, "\r\n\r\n");
    raw_send(f, 0, "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n123456");
    finish_failed(f, &t, TR_LIMIT, "answer's body is too large");
    raw_wait_closed(f, 0);
}

static void calls_beyond_the_limit_are_refused(void **state)
{
    struct fixture *f = *state;
    open_client(f, (struct tr_http_client_conf){ .calls_max = 1 });
    struct test_call first = call_of("GET", "/"), second = call_of("GET", "/");
    start(f, &first);
    start(f, &second);
    finish_failed(f, &second, TR_LIMIT, "more than 1 calls to '127.0.0.1'");
    raw_wait(f, 0, "\r\n\r\n");
    raw_send(f, 0, OK_EMPTY);
    finish_with(f, &first, 200, "");
}

/* --- the pool --------------------------------------------------------------------------------- */

static void a_connection_serves_one_call_after_the_other(void **state)
{
    struct fixture *f = *state;
    open_client(f, (struct tr_http_client_conf){ 0 });
    warm_up(f, 0);
    warm_up(f, 0);
    assert_int_equal(f->conns_len, 1);
    assert_int_equal(tr_http_client_connections(f->client), 1);
}

static void calls_beyond_the_connections_wait_in_order(void **state)
{
    struct fixture *f = *state;
    open_client(f, (struct tr_http_client_conf){ .connections_max = 1 });
    struct test_call a = call_of("GET", "/a"), b = call_of("GET", "/b"), c = call_of("GET", "/c");
    start(f, &a);
    start(f, &b);
    start(f, &c);
    tr_http_call_cancel(&b.call);
    finish_failed(f, &b, TR_CANCELED, "context canceled");
    raw_wait(f, 0, "\r\n\r\n");
    assert_request(f, 0, "GET /a HTTP/1.1\r\nHost: SERVER\r\n\r\n");
    raw_send(f, 0, OK_EMPTY);
    raw_wait(f, 0, "\r\n\r\n");
    assert_request(f, 0, "GET /c HTTP/1.1\r\nHost: SERVER\r\n\r\n");
    raw_send(f, 0, OK_EMPTY);
    finish_with(f, &a, 200, "");
    finish_with(f, &c, 200, "");
    assert_int_equal(f->conns_len, 1);
}

static void calls_at_the_same_time_use_connections_of_their_own(void **state)
{
    struct fixture *f = *state;
    open_client(f, (struct tr_http_client_conf){ .idle_max = 1, .surplus_ms = 5 });
    struct test_call a = call_of("GET", "/"), b = call_of("GET", "/");
    start(f, &a);
    start(f, &b);
    raw_wait(f, 0, "\r\n\r\n");
    raw_wait(f, 1, "\r\n\r\n");
    raw_send(f, 0, OK_EMPTY);
    raw_send(f, 1, OK_EMPTY);
    finish_with(f, &a, 200, "");
    finish_with(f, &b, 200, "");
    raw_wait_closed(f, f->conns[0].is_over ? 0 : 1); /* only one is kept */
}

static void a_surplus_connection_serves_the_calls_that_follow_soon(void **state)
{
    struct fixture *f = *state;
    open_client(f, (struct tr_http_client_conf){ .idle_max = 1, .surplus_ms = 60000 });
    for (int round = 0; round < 3; round++) {
        struct test_call a = call_of("GET", "/"), b = call_of("GET", "/");
        start(f, &a);
        start(f, &b);
        raw_wait(f, 0, "\r\n\r\n");
        raw_wait(f, 1, "\r\n\r\n");
        assert_request(f, 0, "GET / HTTP/1.1\r\nHost: SERVER\r\n\r\n");
        assert_request(f, 1, "GET / HTTP/1.1\r\nHost: SERVER\r\n\r\n");
        raw_send(f, 0, OK_EMPTY);
        raw_send(f, 1, OK_EMPTY);
        finish_with(f, &a, 200, "");
        finish_with(f, &b, 200, "");
    }
    assert_int_equal(f->conns_len, 2);
}

static bool has_no_connection(void *ctx)
{
    return tr_http_client_connections(((struct fixture *)ctx)->client) == 0;
}

static void an_idle_connection_is_closed_after_its_time(void **state)
{
    struct fixture *f = *state;
    open_client(f, (struct tr_http_client_conf){ .idle_ms = 5 });
    warm_up(f, 0);
    assert_true(tr_loop_run_until(f->loop, has_no_connection, f, WAIT_MS));
}

static void an_idle_connection_closed_by_the_server_is_dropped(void **state)
{
    struct fixture *f = *state;
    open_client(f, (struct tr_http_client_conf){ 0 });
    warm_up(f, 0);
    raw_close(f, 0);
    assert_true(tr_loop_run_until(f->loop, has_no_connection, f, WAIT_MS));
    warm_up(f, 1);
}

/* --- sent once more --------------------------------------------------------------------------- */

static void an_idempotent_call_on_a_stale_connection_is_sent_once_more(void **state)
{
    struct fixture *f = *state;
    open_client(f, (struct tr_http_client_conf){ 0 });
    warm_up(f, 0);
    struct test_call t = call_of("PUT", "/");
    t.call.body = TR_SLICE_LIT("x");
    start(f, &t);
    raw_wait(f, 0, "\r\n\r\nx");
    raw_close(f, 0);
    raw_wait(f, 1, "\r\n\r\nx");
    raw_send(f, 1, OK_EMPTY);
    finish_with(f, &t, 200, "");
    assert_int_equal(f->conns_len, 2);
}

static void no_call_is_sent_a_third_time(void **state)
{
    struct fixture *f = *state;
    open_client(f, (struct tr_http_client_conf){ 0 });
    struct test_call other = call_of("GET", "/other");
    warm_up(f, 0);
    struct test_call t = call_of("GET", "/");
    start(f, &t);
    start(f, &other);
    raw_wait(f, 1, "\r\n\r\n");
    raw_send(f, 1, OK_EMPTY); /* a second connection that was used and is kept */
    finish_with(f, &other, 200, "");
    tr_buf_clear(&f->conns[1].got);
    raw_close(f, 0);
    raw_wait(f, 1, "\r\n\r\n");
    raw_close(f, 1);
    finish_failed(f, &t, TR_EOF, "EOF");
    assert_int_equal(f->conns_len, 2);
}

static void a_call_that_might_act_twice_is_not_sent_again(void **state)
{
    struct fixture *f = *state;
    open_client(f, (struct tr_http_client_conf){ 0 });
    warm_up(f, 0);
    struct test_call post = call_of("POST", "/");
    start(f, &post);
    raw_wait(f, 0, "\r\n\r\n");
    raw_close(f, 0);
    finish_failed(f, &post, TR_EOF, "EOF");
    warm_up(f, 1);
    struct test_call put = call_of("PUT", "/");
    put.call.is_replayable = false;
    start(f, &put);
    raw_wait(f, 1, "\r\n\r\n");
    raw_close(f, 1);
    finish_failed(f, &put, TR_EOF, "EOF");
    assert_int_equal(f->conns_len, 2);
}

static void a_fresh_connection_that_closes_fails_the_call(void **state)
{
    struct fixture *f = *state;
    open_client(f, (struct tr_http_client_conf){ 0 });
    struct test_call t = call_of("GET", "/");
    start(f, &t);
    raw_wait(f, 0, "\r\n\r\n");
    raw_close(f, 0);
    finish_failed(f, &t, TR_EOF, "EOF");
}

/* --- the end of a call ------------------------------------------------------------------------ */

static void a_refused_connection_fails_every_call_that_waits(void **state)
{
    struct fixture *f = *state;
    open_client(f, (struct tr_http_client_conf){ .connections_max = 1 });
    tr_listener_close(&f->listener);
    struct test_call a = call_of("GET", "/"), b = call_of("GET", "/");
    start(f, &a);
    start(f, &b);
    finish_failed(f, &a, TR_UNAVAILABLE, NULL);
    finish_failed(f, &b, TR_UNAVAILABLE, NULL);
}

static void a_canceled_call_closes_its_connection(void **state)
{
    struct fixture *f = *state;
    open_client(f, (struct tr_http_client_conf){ 0 });
    struct test_call t = call_of("GET", "/");
    start(f, &t);
    raw_wait(f, 0, "\r\n\r\n");
    tr_http_call_cancel(&t.call);
    tr_http_call_cancel(&t.call); /* too late, and harmless */
    assert_int_equal(t.done, 0);
    finish_failed(f, &t, TR_CANCELED, "context canceled");
    raw_wait_closed(f, 0);
}

static void a_call_ends_at_its_deadline(void **state)
{
    struct fixture *f = *state;
    open_client(f, (struct tr_http_client_conf){ 0 });
    struct test_call t = call_of("GET", "/");
    t.call.deadline_ms = tr_loop_now_ms(f->loop) + 20;
    start(f, &t);
    raw_wait(f, 0, "\r\n\r\n");
    finish_failed(f, &t, TR_DEADLINE, "context deadline exceeded");
    raw_wait_closed(f, 0);
}

static void closing_the_client_cancels_what_is_open_and_refuses_more(void **state)
{
    struct fixture *f = *state;
    open_client(f, (struct tr_http_client_conf){ 0 });
    struct test_call a = call_of("GET", "/"), b = call_of("GET", "/"), late = call_of("GET", "/");
    start(f, &a);
    raw_wait(f, 0, "\r\n\r\n");
    start(f, &b);
    struct tr_http_client *client = f->client;
    tr_http_client_close(client, on_client_closed, f);
    tr_http_call_start(client, &late.call);
    f->client = NULL;
    assert_true(tr_loop_run_until(f->loop, client_is_closed, f, WAIT_MS));
    finish_failed(f, &a, TR_CANCELED, NULL);
    finish_failed(f, &b, TR_CANCELED, NULL);
    finish_failed(f, &late, TR_CLOSED, NULL);
}

static void a_call_may_be_canceled_from_its_own_callbacks(void **state)
{
    struct fixture *f = *state;
    open_client(f, (struct tr_http_client_conf){ 0 });
    for (size_t k = 0; k < 2; k++) {
        struct test_call t = call_of("GET", "/");
        t.call.on_head = on_head;
        t.call.on_body = on_body;
        t.at_event = k == 0 ? CANCEL_AT_HEAD : CANCEL_AT_BODY;
        start(f, &t);
        raw_wait(f, k, "\r\n\r\n");
        raw_send(
            f, k,
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n1\r\nb\r\n0\r\n\r\n");
        finish(f, &t);
        assert_int_equal(t.pieces.len, k);
        finish_failed(f, &t, TR_CANCELED, NULL);
        raw_wait_closed(f, k);
    }
}

/* --- bodies in pieces ------------------------------------------------------------------------- */

static bool has_pieces(void *ctx)
{
    return ((struct test_call *)ctx)->pieces.len > 0;
}

static void an_answer_in_pieces_comes_as_it_arrives(void **state)
{
    struct fixture *f = *state;
    open_client(f, (struct tr_http_client_conf){ 0 });
    struct test_call t = call_of("GET", "/");
    t.call.on_head = on_head;
    t.call.on_body = on_body;
    start(f, &t);
    raw_wait(f, 0, "\r\n\r\n");
    raw_send(f, 0, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n");
    assert_true(tr_loop_run_until(f->loop, has_pieces, &t, WAIT_MS));
    assert_int_equal(t.heads, 1);
    assert_int_equal(t.done, 0);
    raw_send(f, 0, "3\r\ntwo\r\n0\r\n\r\n");
    finish(f, &t);
    assert_string_equal(tr_buf_cstr(&t.pieces), "onetwo");
    finish_with(f, &t, 200, "");
    warm_up(f, 0);
}

static void a_paused_answer_waits_and_holds_the_server_back(void **state)
{
    struct fixture *f = *state;
    enum { BYTES = 16 << 20 };
    open_client(f, (struct tr_http_client_conf){ 0 });
    struct test_call t = call_of("GET", "/");
    t.call.on_body = on_body;
    t.at_event = PAUSE_AT_BODY;
    start(f, &t);
    raw_wait(f, 0, "\r\n\r\n");
    raw_send(f, 0, "HTTP/1.1 200 OK\r\nContent-Length: 16777216\r\n\r\n");
    char *body = tr_xalloc(BYTES);
    memset(body, 'y', BYTES);
    raw_send_slice(f, 0, tr_slice(body, BYTES));
    assert_true(tr_loop_run_until(f->loop, has_pieces, &t, WAIT_MS));
    for (int i = 0; i < 20; i++) {
        tr_loop_turn(f->loop);
    }
    assert_true(t.pieces.len <= TR_NET_READ_BYTES);
    assert_true(tr_stream_pending(f->conns[0].stream) > 0);
    t.at_event = NOTHING;
    tr_http_call_resume(&t.call);
    finish(f, &t);
    assert_int_equal(t.pieces.len, BYTES);
    finish_with(f, &t, 200, "");
    free(body);
}

static void an_answer_that_is_complete_while_paused_ends_at_resume(void **state)
{
    struct fixture *f = *state;
    open_client(f, (struct tr_http_client_conf){ 0 });
    struct test_call t = call_of("GET", "/");
    t.call.on_body = on_body;
    t.at_event = PAUSE_AT_BODY;
    start(f, &t);
    raw_wait(f, 0, "\r\n\r\n");
    raw_send(f, 0,
             "HTTP/1.1 200 OK\r\nTransfer-Encoding: "
             "chunked\r\n\r\n1\r\na\r\n1\r\nb\r\n1\r\nc\r\n0\r\n\r\n");
    assert_true(tr_loop_run_until(f->loop, has_pieces, &t, WAIT_MS));
    assert_string_equal(tr_buf_cstr(&t.pieces), "a");
    warm_up(f, 0); /* the connection is free already */
    assert_int_equal(t.done, 0);
    tr_http_call_resume(&t.call);
    while (t.pieces.len < 3) {
        tr_loop_turn(f->loop);
    }
    assert_int_equal(t.done, 0); /* on_body paused again */
    tr_http_call_resume(&t.call);
    finish(f, &t);
    assert_string_equal(tr_buf_cstr(&t.pieces), "abc");
    finish_with(f, &t, 200, "");
}

static void a_request_in_pieces_of_unknown_length_is_chunked(void **state)
{
    struct fixture *f = *state;
    open_client(f, (struct tr_http_client_conf){ 0 });
    struct test_call t = call_of("POST", "/");
    t.call.is_streaming = true;
    t.call.body_length = TR_HTTP_LENGTH_UNKNOWN;
    start(f, &t);
    assert_true(tr_http_call_write(&t.call, TR_SLICE_LIT("before it is connected")));
    raw_wait(f, 0, "connected\r\n");
    assert_true(tr_http_call_write(&t.call, TR_SLICE_LIT("")));
    assert_true(tr_http_call_write(&t.call, TR_SLICE_LIT("after")));
    raw_wait(f, 0, "after\r\n");
    tr_http_call_write_end(&t.call);
    raw_wait(f, 0, "0\r\n\r\n");
    assert_request(f, 0,
                   "POST / HTTP/1.1\r\nHost: SERVER\r\nTransfer-Encoding: chunked\r\n\r\n"
                   "16\r\nbefore it is connected\r\n5\r\nafter\r\n0\r\n\r\n");
    raw_send(f, 0, OK_EMPTY);
    finish_with(f, &t, 200, "");
    warm_up(f, 0);
}

static void a_request_in_pieces_of_known_length_is_not_chunked(void **state)
{
    struct fixture *f = *state;
    open_client(f, (struct tr_http_client_conf){ 0 });
    struct test_call t = call_of("POST", "/");
    t.call.is_streaming = true;
    t.call.body_length = 6;
    start(f, &t);
    raw_wait(f, 0, "\r\n\r\n");
    assert_true(tr_http_call_write(&t.call, TR_SLICE_LIT("one")));
    assert_true(tr_http_call_write(&t.call, TR_SLICE_LIT("two")));
    tr_http_call_write_end(&t.call);
    raw_wait(f, 0, "onetwo");
    assert_request(f, 0, "POST / HTTP/1.1\r\nHost: SERVER\r\nContent-Length: 6\r\n\r\nonetwo");
    raw_send(f, 0, OK_EMPTY);
    finish_with(f, &t, 200, "");
    warm_up(f, 0);
}

static bool has_drained(void *ctx)
{
    return ((struct test_call *)ctx)->drains > 0;
}

static void a_slow_server_holds_back_the_pieces(void **state)
{
    struct fixture *f = *state;
    f->reads_nothing = true;
    open_client(f, (struct tr_http_client_conf){ 0 });
    struct test_call t = call_of("POST", "/");
    t.call.is_streaming = true;
    t.call.body_length = TR_HTTP_LENGTH_UNKNOWN;
    t.call.on_drain = on_drain;
    start(f, &t);
    char *piece = tr_xalloc(65536);
    memset(piece, 'z', 65536);
    size_t sent = 0;
    while (tr_http_call_write(&t.call, tr_slice(piece, 65536))) {
        sent += 65536;
        assert_true(sent < (64 << 20));
        tr_loop_turn(f->loop);
    }
    sent += 65536;
    for (int i = 0; i < 20; i++) {
        tr_loop_turn(f->loop);
    }
    assert_int_equal(t.drains, 0);
    while (f->conns_len == 0) {
        tr_loop_turn(f->loop);
    }
    tr_stream_read_start(f->conns[0].stream, on_raw_read, &f->conns[0]);
    assert_true(tr_loop_run_until(f->loop, has_drained, &t, WAIT_MS));
    tr_http_call_write_end(&t.call);
    raw_wait(f, 0, "0\r\n\r\n");
    assert_true(f->conns[0].got.len > sent);
    assert_int_equal(t.drains, 1);
    raw_send(f, 0, OK_EMPTY);
    finish_with(f, &t, 200, "");
    free(piece);
}

static void an_answer_before_the_request_is_complete_ends_call_and_connection(void **state)
{
    struct fixture *f = *state;
    open_client(f, (struct tr_http_client_conf){ 0 });
    struct test_call t = call_of("POST", "/");
    t.call.is_streaming = true;
    t.call.body_length = TR_HTTP_LENGTH_UNKNOWN;
    start(f, &t);
    assert_true(tr_http_call_write(&t.call, TR_SLICE_LIT("some")));
    raw_wait(f, 0, "some\r\n");
    raw_send(f, 0, "HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno");
    finish_with(f, &t, 413, "no");
    raw_wait_closed(f, 0);
}

static void a_stream_that_has_begun_is_not_sent_again(void **state)
{
    struct fixture *f = *state;
    open_client(f, (struct tr_http_client_conf){ 0 });
    warm_up(f, 0);
    struct test_call t = call_of("PUT", "/");
    t.call.is_streaming = true;
    t.call.body_length = TR_HTTP_LENGTH_UNKNOWN;
    start(f, &t);
    assert_true(tr_http_call_write(&t.call, TR_SLICE_LIT("some")));
    raw_wait(f, 0, "some\r\n");
    raw_close(f, 0);
    finish_failed(f, &t, TR_EOF, "EOF");
    assert_int_equal(f->conns_len, 1);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_request_without_body_has_host_and_no_length),
        TEST(headers_go_out_but_for_those_the_client_writes_itself),
        TEST(an_empty_body_has_a_length_when_asked_for),
        TEST(a_target_that_would_break_the_request_line_is_refused),
        TEST(a_large_body_arrives_whole),
        TEST(answers_of_every_framing_are_read),
        TEST(answers_arrive_whole_when_every_byte_comes_alone),
        TEST(answers_without_a_body_keep_the_connection_whatever_their_length_says),
        TEST(informational_answers_are_skipped_with_their_headers),
        TEST(answers_that_are_no_http_fail),
        TEST(endless_informational_answers_fail),
        TEST(a_connection_that_ends_early_fails_the_call),
        TEST(a_body_shorter_than_declared_is_complete_where_that_is_allowed),
        TEST(chunks_that_end_early_fail_the_call_where_short_bodies_are_allowed),
        TEST(bytes_behind_an_answer_cost_the_connection),
        TEST(a_head_beyond_the_limit_fails),
        TEST(a_body_beyond_the_limit_fails),
        TEST(calls_beyond_the_limit_are_refused),
        TEST(a_connection_serves_one_call_after_the_other),
        TEST(calls_beyond_the_connections_wait_in_order),
        TEST(calls_at_the_same_time_use_connections_of_their_own),
        TEST(a_surplus_connection_serves_the_calls_that_follow_soon),
        TEST(an_idle_connection_is_closed_after_its_time),
        TEST(an_idle_connection_closed_by_the_server_is_dropped),
        TEST(an_idempotent_call_on_a_stale_connection_is_sent_once_more),
        TEST(no_call_is_sent_a_third_time),
        TEST(a_call_that_might_act_twice_is_not_sent_again),
        TEST(a_fresh_connection_that_closes_fails_the_call),
        TEST(a_refused_connection_fails_every_call_that_waits),
        TEST(a_canceled_call_closes_its_connection),
        TEST(a_call_ends_at_its_deadline),
        TEST(closing_the_client_cancels_what_is_open_and_refuses_more),
        TEST(a_call_may_be_canceled_from_its_own_callbacks),
        TEST(an_answer_in_pieces_comes_as_it_arrives),
        TEST(a_paused_answer_waits_and_holds_the_server_back),
        TEST(an_answer_that_is_complete_while_paused_ends_at_resume),
        TEST(a_request_in_pieces_of_unknown_length_is_chunked),
        TEST(a_request_in_pieces_of_known_length_is_not_chunked),
        TEST(a_slow_server_holds_back_the_pieces),
        TEST(an_answer_before_the_request_is_complete_ends_call_and_connection),
        TEST(a_stream_that_has_begun_is_not_sent_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
