/* See app_test.h. */
#include "tests/unit/app/app_test.h"

#include <stdio.h>

/* --- the app's server ----------------------------------------------------------------------------------------------- */

static void on_body(struct tr_http_exchange *ex, const struct tr_err *err)
{
    struct app_seen *seen = ex->user;
    assert_true(err->code == TR_OK || seen->is_aborted);
}

static void on_abort(struct tr_http_exchange *ex)
{
    struct app_seen *seen = ex->user;
    seen->is_aborted = true;
    tr_http_exchange_abort(ex);
}

static void on_close(struct tr_http_exchange *ex)
{
    struct app_seen *seen = ex->user;
    seen->ex = NULL;
}

static void on_request(void *ctx, struct tr_http_exchange *ex)
{
    struct app_test *t = ctx;
    assert_true(t->seen_len < APP_TEST_SEEN_MAX);
    struct app_seen *seen = &t->seen[t->seen_len++];
    *seen = (struct app_seen){ .ex = ex, .test = t };
    ex->user = seen;
    ex->on_abort = on_abort;
    ex->on_close = on_close;
    tr_http_exchange_read_all(ex, 0, on_body);
}

void app_test_serve(struct app_test *t, uint16_t port)
{
    const struct tr_http_server_conf conf = { .on_request = on_request, .ctx = t };
    struct tr_err err;
    t->server = tr_http_server_new(t->loop, &conf);
    if (tr_http_server_listen(t->server, "127.0.0.1", port, &t->port, &err) != TR_OK) {
        fail_msg("%s", err.msg);
    }
}

static void set_flag(void *ctx)
{
    *(bool *)ctx = true;
}

static bool is_set(void *ctx)
{
    return *(const bool *)ctx;
}

void app_test_wait(struct app_test *t, bool (*done)(void *ctx), void *ctx)
{
    if (!tr_loop_run_until(t->loop, done, ctx, APP_TEST_WAIT_MS)) {
        fail_msg("nothing happened for %u ms", APP_TEST_WAIT_MS);
    }
}

void app_test_stop_serving(struct app_test *t)
{
    bool is_closed = false;
    tr_http_server_close(t->server, tr_loop_now_ms(t->loop), set_flag, &is_closed);
    app_test_wait(t, is_set, &is_closed);
    tr_http_server_free(&t->server);
}

void app_test_settle(struct app_test *t)
{
    for (unsigned i = 0; i < 20; i++) {
        tr_loop_turn(t->loop);
    }
}

struct expectation {
    struct app_test *t;
    size_t i;
};

/* A request counts once its body has come. */
static bool has_seen(void *ctx)
{
    const struct expectation *e = ctx;
    if (e->t->seen_len < e->i) {
        return false;
    }
    for (size_t i = 0; i < e->i; i++) {
        const struct tr_http_exchange *ex = e->t->seen[i].ex;
        if (ex != NULL && ex->content_length != TR_HTTP_LENGTH_UNKNOWN && ex->body.len < ex->content_length) {
            return false;
        }
    }
    return true;
}

void app_test_wait_seen(struct app_test *t, size_t len)
{
    struct expectation e = { .t = t, .i = len };
    app_test_wait(t, has_seen, &e);
    assert_int_equal(t->seen_len, len);
}

static bool is_aborted(void *ctx)
{
    const struct expectation *e = ctx;
    return e->t->seen[e->i].is_aborted;
}

void app_test_wait_aborted(struct app_test *t, size_t i)
{
    struct expectation e = { .t = t, .i = i };
    app_test_wait(t, is_aborted, &e);
}

void app_test_answer_with(struct app_test *t, size_t i, int status, const char *name, const char *value,
                          const char *body)
{
    struct tr_http_headers headers = { 0 };
    assert_true(i < t->seen_len);
    assert_non_null(t->seen[i].ex);
    if (name != NULL) {
        tr_http_headers_add_str(&headers, name, value);
    }
    tr_http_respond(t->seen[i].ex, status, &headers, tr_slice_str(body));
    tr_http_headers_fini(&headers);
}

void app_test_answer(struct app_test *t, size_t i, int status, const char *body)
{
    app_test_answer_with(t, i, status, NULL, NULL, body);
}

const char *app_test_request(struct app_test *t, size_t i)
{
    static char text[8192];
    const struct tr_http_exchange *ex = t->seen[i].ex;
    assert_non_null(ex);
    const int n = snprintf(text, sizeof(text), "%.*s %.*s%s%.*s %.*s", TR_SLICE_ARG(ex->method_text),
                           TR_SLICE_ARG(ex->path), ex->query.len > 0 ? "?" : "", TR_SLICE_ARG(ex->query),
                           TR_SLICE_ARG(tr_buf_slice(&ex->body)));
    assert_true(n > 0 && (size_t)n < sizeof(text));
    return text;
}

const char *app_test_header(struct app_test *t, size_t i, const char *name)
{
    static char text[512];
    struct tr_slice value;
    assert_non_null(t->seen[i].ex);
    if (!tr_http_headers_get(&t->seen[i].ex->headers, tr_slice_str(name), &value)) {
        return NULL;
    }
    assert_int_equal(tr_http_headers_count(&t->seen[i].ex->headers, name), 1);
    (void)snprintf(text, sizeof(text), "%.*s", TR_SLICE_ARG(value));
    return text;
}

/* --- a raw listener in its place ------------------------------------------------------------------------------------ */

static void on_raw_read(void *ctx, struct tr_slice bytes, const struct tr_err *err)
{
    struct app_test *t = ctx;
    if (err != NULL) {
        t->is_raw_over = true;
    } else {
        tr_buf_add(&t->raw, bytes);
    }
}

static void on_raw_accept(void *ctx, struct tr_stream *stream)
{
    struct app_test *t = ctx;
    assert_null(t->stream);
    t->stream = stream;
    tr_stream_read_start(stream, on_raw_read, t);
}

static bool raw_has(void *ctx)
{
    const struct expectation *e = ctx;
    return e->t->raw.len >= e->i;
}

void app_test_raw_wait(struct app_test *t, const char *end)
{
    do {
        struct expectation e = { .t = t, .i = t->raw.len + 1 };
        app_test_wait(t, raw_has, &e);
    } while (!tr_slice_ends(tr_buf_slice(&t->raw), tr_slice_str(end)));
}

void app_test_raw_send(struct app_test *t, const char *bytes)
{
    const struct tr_slice slice = tr_slice_str(bytes);
    assert_int_equal(tr_stream_try_write(t->stream, &slice, 1), slice.len);
}

void app_test_raw_close(struct app_test *t)
{
    tr_stream_close(t->stream, NULL, NULL);
    t->stream = NULL;
}

void app_test_raw_wait_over(struct app_test *t)
{
    app_test_wait(t, is_set, &t->is_raw_over);
}

/* --- life ----------------------------------------------------------------------------------------------------------- */

static void open_channel(struct app_test *t, enum tr_http_protocol protocol, struct tr_app_channel_conf conf)
{
    conf.loop = t->loop;
    conf.host = TR_SLICE_LIT("127.0.0.1");
    conf.port = t->port;
    conf.protocol = protocol;
    t->channel = tr_app_channel_new(&conf);
    t->actors = tr_app_channel_actors(t->channel);
    tr_app_channel_set_healthy(t->channel, true);
}

void app_test_init_bare(struct app_test *t)
{
    memset(t, 0, sizeof(*t));
    t->loop = tr_loop_new();
    log_catch_init(&t->log);
}

void app_test_init_conf(struct app_test *t, enum tr_http_protocol protocol, struct tr_app_channel_conf conf)
{
    app_test_init_bare(t);
    app_test_serve(t, 0);
    open_channel(t, protocol, conf);
}

void app_test_init(struct app_test *t, enum tr_http_protocol protocol)
{
    const struct tr_app_channel_conf conf = { .app_id = TR_SLICE_LIT("me"), .ns = TR_SLICE_LIT("here") };
    app_test_init_conf(t, protocol, conf);
}

void app_test_init_raw(struct app_test *t, struct tr_app_channel_conf conf)
{
    struct tr_err err;
    app_test_init_bare(t);
    assert_int_equal(tr_listen_tcp(t->loop, "127.0.0.1", 0, on_raw_accept, t, &t->listener, &err), TR_OK);
    t->port = tr_listener_port(t->listener);
    open_channel(t, TR_HTTP_PROTOCOL_1, conf);
}

void app_test_close_channel(struct app_test *t)
{
    bool is_closed = false;
    tr_app_channel_close(t->channel, set_flag, &is_closed);
    t->channel = NULL;
    assert_false(is_closed);
    app_test_wait(t, is_set, &is_closed);
}

void app_test_fini(struct app_test *t)
{
    if (t->channel != NULL) {
        app_test_close_channel(t);
    }
    if (t->server != NULL) {
        app_test_stop_serving(t);
    }
    if (t->stream != NULL) {
        app_test_raw_close(t);
    }
    if (t->listener != NULL) {
        tr_listener_close(&t->listener);
    }
    tr_buf_fini(&t->raw);
    log_catch_fini(&t->log);
    tr_loop_free(&t->loop);
}

/* --- calls ---------------------------------------------------------------------------------------------------------- */

static void on_call(struct tr_app_call *call)
{
    struct test_call *c = TR_CONTAINER_OF(call, struct test_call, call);
    c->done++;
}

void test_call_init(struct test_call *c, const char *method)
{
    *c = (struct test_call){ .call = { .kind = TR_APP_METHOD,
                                       .actor_type = TR_SLICE_LIT("cat"),
                                       .actor_id = TR_SLICE_LIT("1"),
                                       .name = tr_slice_str(method),
                                       .cb = on_call } };
}

void test_call_start(struct app_test *t, struct test_call *c)
{
    t->actors->start(t->actors->ctx, &c->call);
    assert_int_equal(c->done, 0);
}

static bool is_done(void *ctx)
{
    return ((const struct test_call *)ctx)->done > 0;
}

void test_call_wait(struct app_test *t, struct test_call *c)
{
    app_test_wait(t, is_done, c);
    assert_int_equal(c->done, 1);
}

void test_call_cancel(struct app_test *t, struct test_call *c)
{
    const unsigned done = c->done;
    t->actors->cancel(t->actors->ctx, &c->call);
    assert_int_equal(c->done, done);
}

void test_call_fini(struct test_call *c)
{
    tr_app_call_fini(&c->call);
}
