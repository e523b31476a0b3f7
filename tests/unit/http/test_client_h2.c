/* The client over HTTP/2 against a server that the test drives frame by frame, by nghttp2. */
#include "runtime/http/client.h"

#include <nghttp2/nghttp2.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <setjmp.h>
#include <cmocka.h>

#include "runtime/base/net.h"

#define WAIT_MS      20000
#define CONNS_MAX    4
#define REQUESTS_MAX 16

/* --- the server's end ------------------------------------------------------------------------- */

struct request {
    struct peer *peer;
    int32_t id;
    struct tr_buf head; /* "name: value\n" as they came */
    struct tr_buf body;
    bool is_complete;
    bool is_closed;
    uint32_t close_code;
    /* the answer's body */
    struct tr_buf answer;
    size_t answer_at;
    bool is_answer_ended;
};

/* One connection. */
struct peer {
    struct tr_stream *stream;
    nghttp2_session *session;
    struct request requests[REQUESTS_MAX];
    size_t requests_len;
    bool is_over;
    bool holds_window; /* does not give the client's window back */
};

struct reply {
    struct tr_write write;
    struct tr_slice slice;
    struct tr_buf bytes;
};

struct fixture {
    struct tr_loop *loop;
    struct tr_listener *listener;
    struct tr_http_client *client;
    bool is_client_closed;
    uint32_t streams_max;
    bool holds_window;
    struct peer peers[CONNS_MAX];
    size_t peers_len;
};

static void on_replied(struct tr_write *write)
{
    struct reply *reply = TR_CONTAINER_OF(write, struct reply, write);
    tr_buf_fini(&reply->bytes);
    free(reply);
}

static void peer_send(struct peer *peer)
{
    struct reply *reply = tr_xzalloc(sizeof(*reply));
    const uint8_t *data;
    ssize_t n;
    while ((n = nghttp2_session_mem_send(peer->session, &data)) > 0) {
        tr_buf_add(&reply->bytes, tr_slice(data, (size_t)n));
    }
    assert_int_equal(n, 0);
    reply->slice = tr_buf_slice(&reply->bytes);
    reply->write.slices = &reply->slice;
    reply->write.slices_len = 1;
    reply->write.cb = on_replied;
    tr_write_start(peer->stream, &reply->write);
}

static void on_peer_read(void *ctx, struct tr_slice bytes, const struct tr_err *err)
{
    struct peer *peer = ctx;
    if (err != NULL) {
        peer->is_over = true;
        return;
    }
    assert_int_equal(nghttp2_session_mem_recv(peer->session, (const uint8_t *)bytes.ptr, bytes.len),
                     bytes.len);
    peer_send(peer);
}

static int on_begin(nghttp2_session *session, const nghttp2_frame *frame, void *ctx)
{
    struct peer *peer = ctx;
    assert_true(peer->requests_len < REQUESTS_MAX);
    struct request *request = &peer->requests[peer->requests_len++];
    request->peer = peer;
    request->id = frame->hd.stream_id;
    return nghttp2_session_set_stream_user_data(session, request->id, request);
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
                     size_t name_len, const uint8_t *value, size_t value_len, uint8_t flags,
                     void *ctx)
{
    struct request *request = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
    (void)flags;
    (void)ctx;
    if (name_len == 10 && memcmp(name, ":authority", 10) == 0) {
        return 0; /* differs from run to run */
    }
    tr_buf_addf(&request->head, "%.*s: %.*s\n", (int)name_len, name, (int)value_len, value);
    return 0;
}

static int on_data(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *data,
                   size_t len, void *ctx)
{
    struct request *request = nghttp2_session_get_stream_user_data(session, id);
    (void)flags;
    tr_buf_add(&request->body, tr_slice(data, len));
    if (!((struct peer *)ctx)->holds_window) {
        (void)nghttp2_session_consume(session, id, len);
    }
    return 0;
}

static int on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *ctx)
{
    (void)ctx;
    if ((frame->hd.type == NGHTTP2_HEADERS || frame->hd.type == NGHTTP2_DATA) &&
        (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0) {
        struct request *request =
            nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
        request->is_complete = true;
    }
    return 0;
}

static int on_close(nghttp2_session *session, int32_t id, uint32_t code, void *ctx)
{
    struct request *request = nghttp2_session_get_stream_user_data(session, id);
    (void)ctx;
    if (request != NULL) {
        request->is_closed = true;
        request->close_code = code;
    }
    return 0;
}

static void on_accept(void *ctx, struct tr_stream *stream)
{
    struct fixture *f = ctx;
    assert_true(f->peers_len < CONNS_MAX);
    struct peer *peer = &f->peers[f->peers_len++];
    peer->stream = stream;
    peer->holds_window = f->holds_window;
    nghttp2_session_callbacks *callbacks;
    nghttp2_option *option;
    assert_int_equal(nghttp2_session_callbacks_new(&callbacks), 0);
    nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks, on_begin);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_close);
    assert_int_equal(nghttp2_option_new(&option), 0);
    nghttp2_option_set_no_auto_window_update(option, 1);
    assert_int_equal(nghttp2_session_server_new2(&peer->session, callbacks, peer, option), 0);
    nghttp2_option_del(option);
    nghttp2_session_callbacks_del(callbacks);
    const nghttp2_settings_entry settings[] = { { NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS,
                                                  f->streams_max } };
    assert_int_equal(nghttp2_submit_settings(peer->session, NGHTTP2_FLAG_NONE, settings, 1), 0);
    peer_send(peer);
    tr_stream_read_start(stream, on_peer_read, peer);
}

static void peer_close(struct peer *peer)
{
    tr_stream_close(peer->stream, NULL, NULL);
    peer->stream = NULL;
}

static ssize_t on_read_answer(nghttp2_session *session, int32_t id, uint8_t *out, size_t cap,
                              uint32_t *out_flags, nghttp2_data_source *source, void *ctx)
{
    struct request *request = nghttp2_session_get_stream_user_data(session, id);
    (void)source;
    (void)ctx;
    const size_t left = request->answer.len - request->answer_at;
    const size_t len = left < cap ? left : cap;
    if (len > 0) {
        memcpy(out, request->answer.ptr + request->answer_at, len);
    }
    request->answer_at += len;
    if (len == left && request->is_answer_ended) {
        *out_flags |= NGHTTP2_DATA_FLAG_EOF;
    } else if (len == 0) {
        return NGHTTP2_ERR_DEFERRED;
    }
    return (ssize_t)len;
}

static nghttp2_nv pair(const char *name, const char *value)
{
    return (nghttp2_nv){ .name = (uint8_t *)(uintptr_t)name,
                         .namelen = strlen(name),
                         .value = (uint8_t *)(uintptr_t)value,
                         .valuelen = strlen(value) };
}

/* Headers and the first bytes of a body. */
static void answer_start(struct request *request, const char *status, const char *body)
{
    const nghttp2_nv head[] = { pair(":status", status), pair("x-one", "1") };
    const nghttp2_data_provider provider = { .read_callback = on_read_answer };
    tr_buf_add_str(&request->answer, body);
    assert_int_equal(
        nghttp2_submit_response(request->peer->session, request->id, head, 2, &provider), 0);
    peer_send(request->peer);
}

static void answer_more(struct request *request, struct tr_slice bytes, bool is_end)
{
    tr_buf_add(&request->answer, bytes);
    request->is_answer_ended = is_end;
    (void)nghttp2_session_resume_data(request->peer->session, request->id);
    peer_send(request->peer);
}

static void answer(struct request *request, const char *status, const char *body)
{
    request->is_answer_ended = true;
    answer_start(request, status, body);
}

struct expectation {
    struct fixture *f;
    size_t peer;
    size_t request;
};

static bool request_is_there(void *ctx)
{
    const struct expectation *e = ctx;
    return e->f->peers_len > e->peer && e->f->peers[e->peer].requests_len > e->request;
}

static struct request *wait_request(struct fixture *f, size_t peer, size_t request)
{
    struct expectation e = { .f = f, .peer = peer, .request = request };
    assert_true(tr_loop_run_until(f->loop, request_is_there, &e, WAIT_MS));
    return &f->peers[peer].requests[request];
}

static bool request_is_complete(void *ctx)
{
    return ((struct request *)ctx)->is_complete;
}

static bool request_is_closed(void *ctx)
{
    return ((struct request *)ctx)->is_closed;
}

static void wait_until(struct fixture *f, bool (*done)(void *ctx), void *ctx)
{
    assert_true(tr_loop_run_until(f->loop, done, ctx, WAIT_MS));
}

/* --- the client's end ------------------------------------------------------------------------- */

struct test_call {
    struct tr_http_call call;
    unsigned done;
    unsigned heads;
    unsigned drains;
    struct tr_buf pieces;
    bool pauses;
    bool cancels;
};

static void on_done(struct tr_http_call *call)
{
    TR_CONTAINER_OF(call, struct test_call, call)->done++;
}

static void on_head(struct tr_http_call *call)
{
    TR_CONTAINER_OF(call, struct test_call, call)->heads++;
}

static void on_body(struct tr_http_call *call, struct tr_slice piece)
{
    struct test_call *t = TR_CONTAINER_OF(call, struct test_call, call);
    tr_buf_add(&t->pieces, piece);
    if (t->pauses) {
        tr_http_call_pause(call);
    }
    if (t->cancels) {
        tr_http_call_cancel(call);
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

static bool call_is_done(void *ctx)
{
    return ((struct test_call *)ctx)->done > 0;
}

static bool has_pieces(void *ctx)
{
    return ((struct test_call *)ctx)->pieces.len > 0;
}

static bool has_drained(void *ctx)
{
    return ((struct test_call *)ctx)->drains > 0;
}

static void fini(struct test_call *t)
{
    tr_http_call_fini(&t->call);
    tr_buf_fini(&t->pieces);
}

static void finish_with(struct fixture *f, struct test_call *t, int status, const char *body)
{
    wait_until(f, call_is_done, t);
    if (t->call.err.code != TR_OK) {
        fail_msg("call failed: %s", t->call.err.msg);
    }
    assert_int_equal(t->done, 1);
    assert_int_equal(t->call.status, status);
    assert_string_equal(tr_buf_cstr(&t->call.body_out), body);
    fini(t);
}

static void finish_failed(struct fixture *f, struct test_call *t, enum tr_code code)
{
    wait_until(f, call_is_done, t);
    assert_int_equal(t->done, 1);
    assert_int_equal(t->call.err.code, code);
    fini(t);
}

static void open_client(struct fixture *f, struct tr_http_client_conf conf)
{
    conf.host = TR_SLICE_LIT("127.0.0.1");
    conf.port = tr_listener_port(f->listener);
    conf.protocol = TR_HTTP_PROTOCOL_2;
    f->client = tr_http_client_new(f->loop, &conf);
}

static void on_client_closed(void *ctx)
{
    ((struct fixture *)ctx)->is_client_closed = true;
}

static bool client_is_closed(void *ctx)
{
    return ((struct fixture *)ctx)->is_client_closed;
}

static bool has_no_connection(void *ctx)
{
    return tr_http_client_connections(((struct fixture *)ctx)->client) == 0;
}

static int set_up(void **state)
{
    struct fixture *f = tr_xzalloc(sizeof(*f));
    struct tr_err err;
    f->loop = tr_loop_new();
    f->streams_max = 100;
    assert_int_equal(tr_listen_tcp(f->loop, "127.0.0.1", 0, on_accept, f, &f->listener, &err),
                     TR_OK);
    *state = f;
    return 0;
}

static void peer_fini(struct peer *peer)
{
    if (peer->stream != NULL) {
        peer_close(peer);
    }
    nghttp2_session_del(peer->session);
    for (size_t i = 0; i < peer->requests_len; i++) {
        tr_buf_fini(&peer->requests[i].head);
        tr_buf_fini(&peer->requests[i].body);
        tr_buf_fini(&peer->requests[i].answer);
    }
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    tr_http_client_close(f->client, on_client_closed, f);
    wait_until(f, client_is_closed, f);
    for (size_t i = 0; i < f->peers_len; i++) {
        peer_fini(&f->peers[i]);
    }
    tr_listener_close(&f->listener);
    tr_loop_free(&f->loop);
    free(f);
    return 0;
}

/* --- one call --------------------------------------------------------------------------------- */

static void a_request_goes_out_in_lower_case_without_what_is_for_http1(void **state)
{
    struct fixture *f = *state;
    open_client(f, (struct tr_http_client_conf){ 0 });
    struct tr_http_headers headers = { 0 };
    tr_http_headers_add_str(&headers, "X-Mixed", "Value");
    tr_http_headers_add_str(&headers, "Connection", "close");
    tr_http_headers_add_str(&headers, "Host", "elsewhere");
    struct test_call t = call_of("PUT", "/a?b");
    t.call.headers = &headers;
    t.call.body = TR_SLICE_LIT("hello");
    tr_http_call_start(f->client, &t.call);
    struct request *request = wait_request(f, 0, 0);
    wait_until(f, request_is_complete, request);
    assert_string_equal(
        tr_buf_cstr(&request->head),
        ":method: PUT\n:scheme: http\n:path: /a?b\ncontent-length: 5\nx-mixed: Value\n");
    assert_string_equal(tr_buf_cstr(&request->body), "hello");
    answer(request, "200", "answer");
    wait_until(f, call_is_done, &t);
    assert_true(tr_slice_eq_str(tr_http_headers_value(&t.call.headers_out, "X-One"), "1"));
    finish_with(f, &t, 200, "answer");
    tr_http_headers_fini(&headers);
}

static void calls_share_one_connection_and_end_in_any_order(void **state)
{
    struct fixture *f = *state;
    open_client(f, (struct tr_http_client_conf){ 0 });
    struct test_call a = call_of("GET", "/a"), b = call_of("GET", "/b"), c = call_of("GET", "/c");
    tr_http_call_start(f->client, &a.call);
    tr_http_call_start(f->client, &b.call);
    (void)wait_request(f, 0, 1);
    tr_http_call_start(f->client, &c.call);
    (void)wait_request(f, 0, 2);
    answer(&f->peers[0].requests[2], "202", "c");
    finish_with(f, &c, 202, "c");
    answer(&f->peers[0].requests[1], "201", "b");
    finish_with(f, &b, 201, "b");
    assert_int_equal(a.done, 0);
    answer(&f->peers[0].requests[0], "200", "a");
    finish_with(f, &a, 200, "a");
    assert_int_equal(f->peers_len, 1);
}

static void calls_beyond_the_servers_limit_wait(void **state)
{
    struct fixture *f = *state;
    f->streams_max = 1;
    open_client(f, (struct tr_http_client_conf){ 0 });
    struct test_call warm = call_of("GET", "/"), a = call_of("GET", "/a"), b = call_of("GET", "/b"),
                     gone = call_of("GET", "/gone");
    tr_http_call_start(f->client, &warm.call);
    answer(wait_request(f, 0, 0), "200", "");
    finish_with(f, &warm, 200, "");
    tr_http_call_start(f->client, &a.call);
    tr_http_call_start(f->client, &gone.call);
    tr_http_call_start(f->client, &b.call);
    struct request *first = wait_request(f, 0, 1);
    tr_http_call_cancel(&gone.call); /* still queued */
    finish_failed(f, &gone, TR_CANCELED);
    assert_int_equal(f->peers[0].requests_len, 2);
    answer(first, "200", "a");
    finish_with(f, &a, 200, "a");
    answer(wait_request(f, 0, 2), "200", "b");
    finish_with(f, &b, 200, "b");
}

static void a_large_body_arrives_whole_in_both_directions(void **state)
{
    struct fixture *f = *state;
    enum { BYTES = 4 << 20 };
    open_client(f, (struct tr_http_client_conf){ 0 });
    char *body = tr_xalloc(BYTES);
    for (size_t i = 0; i < BYTES; i++) {
        body[i] = (char)(i * 7 + i / 1000);
    }
    struct test_call t = call_of("POST", "/");
    t.call.body = tr_slice(body, BYTES);
    tr_http_call_start(f->client, &t.call);
    struct request *request = wait_request(f, 0, 0);
    wait_until(f, request_is_complete, request);
    assert_true(tr_slice_eq(tr_buf_slice(&request->body), t.call.body));
    answer_start(request, "200", "");
    answer_more(request, t.call.body, true);
    wait_until(f, call_is_done, &t);
    assert_int_equal(t.call.err.code, TR_OK);
    assert_true(tr_slice_eq(tr_buf_slice(&t.call.body_out), t.call.body));
    fini(&t);
    free(body);
}

static void an_answer_before_the_request_is_complete_ends_the_call(void **state)
{
    struct fixture *f = *state;
    f->holds_window = true;
    open_client(f, (struct tr_http_client_conf){ 0 });
    struct test_call t = call_of("POST", "/");
    char *body = tr_xzalloc(1 << 20);
    t.call.body = tr_slice(body, 1 << 20);
    tr_http_call_start(f->client, &t.call);
    struct request *request = wait_request(f, 0, 0);
    answer(request, "413", "no");
    assert_int_equal(nghttp2_submit_rst_stream(f->peers[0].session, NGHTTP2_FLAG_NONE, request->id,
                                               NGHTTP2_NO_ERROR),
                     0);
    peer_send(&f->peers[0]);
    finish_with(f, &t, 413, "no");
    free(body);
}

static void an_informational_answer_is_skipped(void **state)
{
    struct fixture *f = *state;
    open_client(f, (struct tr_http_client_conf){ 0 });
    struct test_call t = call_of("GET", "/");
    t.call.on_head = on_head;
    tr_http_call_start(f->client, &t.call);
    struct request *request = wait_request(f, 0, 0);
    const nghttp2_nv early[] = { pair(":status", "103"), pair("link", "x") };
    assert_int_equal(nghttp2_submit_headers(request->peer->session, NGHTTP2_FLAG_NONE, request->id,
                                            NULL, early, 2, NULL),
                     0);
    answer(request, "200", "x");
    wait_until(f, call_is_done, &t);
    assert_int_equal(t.heads, 1);
    assert_false(tr_http_headers_has(&t.call.headers_out, "link"));
    finish_with(f, &t, 200, "x");
}

/* --- limits and ends -------------------------------------------------------------------------- */

static void head_and_body_beyond_the_limit_fail_their_call_only(void **state)
{
    struct fixture *f = *state;
    open_client(f, (struct tr_http_client_conf){ .header_bytes_max = 20 });
    struct test_call head = call_of("GET", "/"), body = call_of("GET", "/"),
                     good = call_of("GET", "/");
    body.call.body_bytes_max = 3;
    tr_http_call_start(f->client, &head.call);
    tr_http_call_start(f->client, &body.call);
    tr_http_call_start(f->client, &good.call);
    (void)wait_request(f, 0, 2);
    struct peer *peer = &f->peers[0];
    const nghttp2_nv large[] = { pair(":status", "200"), pair("x-large", "0123456789abcdef") };
    assert_int_equal(nghttp2_submit_response(peer->session, peer->requests[0].id, large, 2, NULL),
                     0);
    answer(&peer->requests[1], "200", "four");
    answer(&peer->requests[2], "200", "good");
    finish_failed(f, &head, TR_LIMIT);
    finish_failed(f, &body, TR_LIMIT);
    finish_with(f, &good, 200, "good");
}

static void a_canceled_call_resets_its_stream_and_no_other(void **state)
{
    struct fixture *f = *state;
    open_client(f, (struct tr_http_client_conf){ 0 });
    struct test_call a = call_of("GET", "/a"), b = call_of("GET", "/b");
    tr_http_call_start(f->client, &a.call);
    tr_http_call_start(f->client, &b.call);
    (void)wait_request(f, 0, 1);
    struct request *request = &f->peers[0].requests[0];
    tr_http_call_cancel(&a.call);
    finish_failed(f, &a, TR_CANCELED);
    wait_until(f, request_is_closed, request);
    assert_int_equal(request->close_code, NGHTTP2_CANCEL);
    answer(&f->peers[0].requests[1], "200", "b");
    finish_with(f, &b, 200, "b");
}

static void a_call_ends_at_its_deadline(void **state)
{
    struct fixture *f = *state;
    open_client(f, (struct tr_http_client_conf){ 0 });
    struct test_call t = call_of("GET", "/");
    t.call.deadline_ms = tr_loop_now_ms(f->loop) + 20;
    tr_http_call_start(f->client, &t.call);
    struct request *request = wait_request(f, 0, 0);
    finish_failed(f, &t, TR_DEADLINE);
    wait_until(f, request_is_closed, request);
}

static void a_reset_stream_fails_its_call(void **state)
{
    struct fixture *f = *state;
    open_client(f, (struct tr_http_client_conf){ 0 });
    struct test_call t = call_of("GET", "/");
    tr_http_call_start(f->client, &t.call);
    struct request *request = wait_request(f, 0, 0);
    answer_start(request, "200", "part");
    assert_int_equal(nghttp2_submit_rst_stream(request->peer->session, NGHTTP2_FLAG_NONE,
                                               request->id, NGHTTP2_INTERNAL_ERROR),
                     0);
    peer_send(request->peer);
    finish_failed(f, &t, TR_IO);
}

static void a_refused_stream_is_sent_once_more_whatever_the_method(void **state)
{
    struct fixture *f = *state;
    open_client(f, (struct tr_http_client_conf){ 0 });
    struct test_call t = call_of("POST", "/");
    t.call.body = TR_SLICE_LIT("x");
    tr_http_call_start(f->client, &t.call);
    for (size_t i = 0; i < 2; i++) {
        struct request *request = wait_request(f, 0, i);
        wait_until(f, request_is_complete, request);
        assert_int_equal(nghttp2_submit_rst_stream(request->peer->session, NGHTTP2_FLAG_NONE,
                                                   request->id, NGHTTP2_REFUSED_STREAM),
                         0);
        peer_send(request->peer);
    }
    finish_failed(f, &t, TR_IO);
    assert_int_equal(f->peers[0].requests_len, 2);
}

static void after_a_goaway_new_calls_take_a_new_connection(void **state)
{
    struct fixture *f = *state;
    open_client(f, (struct tr_http_client_conf){ 0 });
    struct test_call old = call_of("GET", "/old"), next = call_of("GET", "/next");
    tr_http_call_start(f->client, &old.call);
    struct request *request = wait_request(f, 0, 0);
    assert_int_equal(nghttp2_submit_goaway(f->peers[0].session, NGHTTP2_FLAG_NONE, request->id,
                                           NGHTTP2_NO_ERROR, NULL, 0),
                     0);
    answer_start(request, "200", "half ");
    tr_http_call_start(f->client, &next.call);
    for (int i = 0; i < 10; i++) {
        tr_loop_turn(f->loop);
    }
    struct test_call third = call_of("GET", "/third");
    tr_http_call_start(f->client, &third.call);
    struct request *on_new = wait_request(f, 1, 0);
    answer_more(request, TR_SLICE_LIT("whole"), true);
    finish_with(f, &old, 200, "half whole");
    (void)wait_request(f, 1, f->peers[0].requests_len == 1 ? 1 : 0);
    answer(on_new, "200", "new");
    if (f->peers[1].requests_len == 2) {
        answer(&f->peers[1].requests[1], "200", "new");
    } else {
        answer(&f->peers[0].requests[1], "200", "new");
    }
    finish_with(f, &next, 200, "new");
    finish_with(f, &third, 200, "new");
}

static void a_lost_connection_fails_its_calls_and_the_next_call_makes_a_new_one(void **state)
{
    struct fixture *f = *state;
    open_client(f, (struct tr_http_client_conf){ 0 });
    struct test_call a = call_of("POST", "/"), b = call_of("POST", "/"), c = call_of("GET", "/");
    tr_http_call_start(f->client, &a.call);
    tr_http_call_start(f->client, &b.call);
    (void)wait_request(f, 0, 1);
    peer_close(&f->peers[0]);
    finish_failed(f, &a, TR_EOF);
    finish_failed(f, &b, TR_EOF);
    tr_http_call_start(f->client, &c.call);
    answer(wait_request(f, 1, 0), "200", "");
    finish_with(f, &c, 200, "");
}

static void a_server_that_speaks_something_else_fails_the_call(void **state)
{
    struct fixture *f = *state;
    open_client(f, (struct tr_http_client_conf){ 0 });
    struct test_call t = call_of("GET", "/");
    tr_http_call_start(f->client, &t.call);
    struct request *request = wait_request(f, 0, 0);
    const struct tr_slice text = TR_SLICE_LIT("HTTP/1.1 400 Bad Request\r\n\r\n");
    assert_int_equal(tr_stream_try_write(request->peer->stream, &text, 1), text.len);
    finish_failed(f, &t, TR_INVALID);
}

static void an_idle_connection_is_closed_after_its_time(void **state)
{
    struct fixture *f = *state;
    open_client(f, (struct tr_http_client_conf){ .idle_ms = 5 });
    struct test_call t = call_of("GET", "/");
    tr_http_call_start(f->client, &t.call);
    answer(wait_request(f, 0, 0), "200", "");
    finish_with(f, &t, 200, "");
    wait_until(f, has_no_connection, f);
}

/* --- bodies in pieces ------------------------------------------------------------------------- */

static void a_paused_call_holds_back_its_own_stream_only(void **state)
{
    struct fixture *f = *state;
    enum { BYTES = 4 << 20 };
    open_client(f, (struct tr_http_client_conf){ 0 });
    struct test_call slow = call_of("GET", "/slow"), quick = call_of("GET", "/quick");
    slow.call.on_body = on_body;
    slow.call.on_head = on_head;
    slow.pauses = true;
    tr_http_call_start(f->client, &slow.call);
    struct request *request = wait_request(f, 0, 0);
    char *body = tr_xzalloc(BYTES);
    answer_start(request, "200", "");
    answer_more(request, tr_slice(body, BYTES), true);
    wait_until(f, has_pieces, &slow);
    tr_http_call_start(f->client, &quick.call);
    answer(wait_request(f, 0, 1), "200", "quick");
    finish_with(f, &quick, 200, "quick");
    assert_true(request->answer_at < BYTES); /* the window is closed */
    assert_int_equal(slow.heads, 1);
    slow.pauses = false;
    tr_http_call_resume(&slow.call);
    wait_until(f, call_is_done, &slow);
    assert_int_equal(slow.pieces.len, BYTES);
    finish_with(f, &slow, 200, "");
    free(body);
}

static void an_answer_that_is_complete_while_paused_ends_at_resume(void **state)
{
    struct fixture *f = *state;
    open_client(f, (struct tr_http_client_conf){ 0 });
    struct test_call t = call_of("GET", "/");
    t.call.on_body = on_body;
    t.pauses = true;
    tr_http_call_start(f->client, &t.call);
    struct request *request = wait_request(f, 0, 0);
    answer_start(request, "200", "one");
    wait_until(f, has_pieces, &t);
    answer_more(request, TR_SLICE_LIT("two"), true);
    wait_until(f, request_is_closed, request);
    for (int i = 0; i < 10; i++) {
        tr_loop_turn(f->loop);
    }
    assert_int_equal(t.done, 0);
    assert_string_equal(tr_buf_cstr(&t.pieces), "one");
    t.pauses = false;
    tr_http_call_resume(&t.call);
    wait_until(f, call_is_done, &t);
    assert_string_equal(tr_buf_cstr(&t.pieces), "onetwo");
    finish_with(f, &t, 200, "");
}

static void a_call_may_be_canceled_from_its_own_callback(void **state)
{
    struct fixture *f = *state;
    open_client(f, (struct tr_http_client_conf){ 0 });
    struct test_call t = call_of("GET", "/");
    t.call.on_body = on_body;
    t.cancels = true;
    tr_http_call_start(f->client, &t.call);
    struct request *request = wait_request(f, 0, 0);
    answer_start(request, "200", "one");
    finish_failed(f, &t, TR_CANCELED);
    wait_until(f, request_is_closed, request);
}

static void a_request_in_pieces_is_held_back_by_the_servers_window(void **state)
{
    struct fixture *f = *state;
    f->holds_window = true;
    open_client(f, (struct tr_http_client_conf){ 0 });
    struct test_call t = call_of("POST", "/");
    t.call.is_streaming = true;
    t.call.body_length = TR_HTTP_LENGTH_UNKNOWN;
    t.call.on_drain = on_drain;
    tr_http_call_start(f->client, &t.call);
    char *piece = tr_xzalloc(65536);
    size_t sent = 65536;
    while (tr_http_call_write(&t.call, tr_slice(piece, 65536))) {
        sent += 65536;
        assert_true(sent < (2 << 20));
        tr_loop_turn(f->loop);
    }
    struct request *request = wait_request(f, 0, 0);
    for (int i = 0; i < 20; i++) {
        tr_loop_turn(f->loop);
    }
    assert_int_equal(request->body.len, 65535); /* the window that HTTP/2 begins with */
    assert_int_equal(t.drains, 0);
    f->peers[0].holds_window = false;
    assert_int_equal(nghttp2_session_consume(f->peers[0].session, request->id, 65535), 0);
    peer_send(&f->peers[0]);
    wait_until(f, has_drained, &t);
    tr_http_call_write_end(&t.call);
    wait_until(f, request_is_complete, request);
    assert_int_equal(request->body.len, sent);
    answer(request, "200", "");
    finish_with(f, &t, 200, "");
    free(piece);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_request_goes_out_in_lower_case_without_what_is_for_http1),
        TEST(calls_share_one_connection_and_end_in_any_order),
        TEST(calls_beyond_the_servers_limit_wait),
        TEST(a_large_body_arrives_whole_in_both_directions),
        TEST(an_answer_before_the_request_is_complete_ends_the_call),
        TEST(an_informational_answer_is_skipped),
        TEST(head_and_body_beyond_the_limit_fail_their_call_only),
        TEST(a_canceled_call_resets_its_stream_and_no_other),
        TEST(a_call_ends_at_its_deadline),
        TEST(a_reset_stream_fails_its_call),
        TEST(a_refused_stream_is_sent_once_more_whatever_the_method),
        TEST(after_a_goaway_new_calls_take_a_new_connection),
        TEST(a_lost_connection_fails_its_calls_and_the_next_call_makes_a_new_one),
        TEST(a_server_that_speaks_something_else_fails_the_call),
        TEST(an_idle_connection_is_closed_after_its_time),
        TEST(a_paused_call_holds_back_its_own_stream_only),
        TEST(an_answer_that_is_complete_while_paused_ends_at_resume),
        TEST(a_call_may_be_canceled_from_its_own_callback),
        TEST(a_request_in_pieces_is_held_back_by_the_servers_window),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
