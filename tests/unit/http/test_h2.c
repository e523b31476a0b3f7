/* HTTP/2 on a wire of memory, with nghttp2's client session at the other end. */
#include "tests/unit/http/core.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>
#include <nghttp2/nghttp2.h>

#define STREAMS_MAX 64

/* What the client has seen of one stream; streams 1, 3, 5, ... are 0, 1, 2, ... */
struct seen {
    int status;
    int informational; /* status of a 1xx head */
    struct tr_buf head; /* "name: value\n" */
    struct tr_buf body;
    bool is_ended;
    bool is_closed;
    uint32_t code;
};

struct client {
    struct core core;
    nghttp2_session *session;
    struct seen seen[STREAMS_MAX];
    struct tr_buf upload; /* what a request sends */
    size_t upload_at;
    bool upload_ends;
    bool is_gone;          /* GOAWAY came */
    uint32_t gone_code;
};

static struct seen *seen_of(struct client *client, int32_t stream_id)
{
    assert_true(stream_id > 0 && stream_id / 2 < STREAMS_MAX);
    return &client->seen[stream_id / 2];
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name, size_t name_len,
                     const uint8_t *value, size_t value_len, uint8_t flags, void *user_data)
{
    struct seen *seen = seen_of(user_data, frame->hd.stream_id);
    if (name_len == 7 && memcmp(name, ":status", 7) == 0) {
        const int status = (int)strtol((const char *)value, NULL, 10);
        if (status < 200) {
            seen->informational = status;
        } else {
            seen->status = status;
        }
    } else if (name_len != 4 || memcmp(name, "date", 4) != 0) {
        tr_buf_addf(&seen->head, "%.*s: %.*s\n", (int)name_len, (const char *)name, (int)value_len, (const char *)value);
    }
    (void)session;
    (void)flags;
    return 0;
}

static int on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *user_data)
{
    struct client *client = user_data;
    if (frame->hd.type == NGHTTP2_GOAWAY) {
        client->is_gone = true;
        client->gone_code = frame->goaway.error_code;
    } else if ((frame->hd.type == NGHTTP2_DATA || frame->hd.type == NGHTTP2_HEADERS) &&
               (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0) {
        seen_of(client, frame->hd.stream_id)->is_ended = true;
    }
    (void)session;
    return 0;
}

static int on_data(nghttp2_session *session, uint8_t flags, int32_t stream_id, const uint8_t *bytes, size_t len,
                   void *user_data)
{
    tr_buf_add(&seen_of(user_data, stream_id)->body, tr_slice(bytes, len));
    (void)session;
    (void)flags;
    return 0;
}

static int on_close(nghttp2_session *session, int32_t stream_id, uint32_t code, void *user_data)
{
    struct seen *seen = seen_of(user_data, stream_id);
    seen->is_closed = true;
    seen->code = code;
    (void)session;
    return 0;
}

static ssize_t read_upload(nghttp2_session *session, int32_t stream_id, uint8_t *bytes, size_t len, uint32_t *out_flags,
                           nghttp2_data_source *source, void *user_data)
{
    struct client *client = user_data;
    const size_t left = client->upload.len - client->upload_at;
    const size_t now = left < len ? left : len;
    (void)session;
    (void)stream_id;
    (void)source;
    if (now == 0 && !client->upload_ends) {
        return NGHTTP2_ERR_DEFERRED;
    }
    if (now > 0) {
        memcpy(bytes, client->upload.ptr + client->upload_at, now);
    }
    client->upload_at += now;
    if (client->upload_ends && client->upload_at == client->upload.len) {
        *out_flags = NGHTTP2_DATA_FLAG_EOF;
    }
    return (ssize_t)now;
}

/* Carry bytes to and fro until both ends are silent. */
static void carry(struct client *client)
{
    bool again = true;
    while (again) {
        again = false;
        const uint8_t *bytes;
        ssize_t len;
        while ((len = nghttp2_session_mem_send(client->session, &bytes)) > 0) {
            core_feed(&client->core, tr_slice(bytes, (size_t)len));
            again = true;
        }
        core_run(&client->core);
        if (client->core.sent.len > 0) {
            struct tr_buf sent = client->core.sent;
            client->core.sent = (struct tr_buf){ 0 };
            assert_true(nghttp2_session_mem_recv(client->session, (const uint8_t *)sent.ptr, sent.len) >= 0);
            tr_buf_fini(&sent);
            again = true;
        }
    }
}

static void session_init(struct client *client)
{
    nghttp2_session_callbacks *callbacks;
    assert_int_equal(nghttp2_session_callbacks_new(&callbacks), 0);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_close);
    nghttp2_option *option;
    assert_int_equal(nghttp2_option_new(&option), 0);
    nghttp2_option_set_no_http_messaging(option, 1); /* the client may misbehave */
    assert_int_equal(nghttp2_session_client_new2(&client->session, callbacks, client, option), 0);
    nghttp2_option_del(option);
    nghttp2_session_callbacks_del(callbacks);
}

static void client_init(struct client *client, const struct tr_http_server_conf *conf,
                        void (*on_request)(void *ctx, struct tr_http_exchange *ex))
{
    memset(client, 0, sizeof(*client));
    core_init(&client->core, conf, on_request);
    session_init(client);
    client->upload_ends = true;
    assert_int_equal(nghttp2_submit_settings(client->session, 0, NULL, 0), 0);
}

static void client_fini(struct client *client)
{
    nghttp2_session_del(client->session);
    core_fini(&client->core);
    tr_buf_fini(&client->upload);
    for (size_t i = 0; i < STREAMS_MAX; i++) {
        tr_buf_fini(&client->seen[i].head);
        tr_buf_fini(&client->seen[i].body);
    }
}

static nghttp2_nv nv(const char *name, const char *value)
{
    return (nghttp2_nv){ (uint8_t *)(uintptr_t)name, (uint8_t *)(uintptr_t)value, strlen(name), strlen(value), 0 };
}

/* A request with the four pseudo headers and one more; the stream's id. */
static int32_t request_with(struct client *client, const char *method, const char *path, bool has_body,
                            const char *name, const char *value)
{
    const nghttp2_nv head[] = { nv(":method", method), nv(":path", path), nv(":scheme", "http"), nv(":authority", "h"),
                                nv(name, value) };
    const nghttp2_data_provider provider = { .read_callback = read_upload };
    const int32_t id = nghttp2_submit_request(client->session, NULL, head, TR_ARRAY_LEN(head), has_body ? &provider : NULL,
                                              NULL);
    assert_true(id > 0);
    return id;
}

static int32_t request(struct client *client, const char *method, const char *path, bool has_body)
{
    return request_with(client, method, path, has_body, "x-one", "1");
}

static void assert_body(struct client *client, int32_t id, const char *body)
{
    assert_string_equal(tr_buf_cstr(&seen_of(client, id)->body), body);
}

/* --- requests and answers ----------------------------------------------------------------------------------------------- */

static void prior_knowledge_is_understood(void **state)
{
    struct client client;
    client_init(&client, NULL, handler_echo);
    const int32_t id = request(&client, "GET", "/a%2Fb?q", false);
    carry(&client);
    assert_int_equal(seen_of(&client, id)->status, 200);
    assert_string_equal(tr_buf_cstr(&seen_of(&client, id)->head), "content-type: text/plain\ncontent-length: 13\n");
    assert_body(&client, id, "GET /a%2Fb?q ");
    assert_true(seen_of(&client, id)->is_closed);
    assert_int_equal(seen_of(&client, id)->code, NGHTTP2_NO_ERROR);
    client_fini(&client);
    (void)state;
}

static void one_byte_at_a_time_gives_the_same(void **state)
{
    struct client client;
    client_init(&client, NULL, handler_echo);
    tr_buf_add_str(&client.upload, "body");
    const int32_t id = request(&client, "POST", "/", true);
    const uint8_t *bytes;
    ssize_t len;
    while ((len = nghttp2_session_mem_send(client.session, &bytes)) > 0) {
        core_feed_bytewise(&client.core, tr_slice(bytes, (size_t)len));
    }
    carry(&client);
    assert_body(&client, id, "POST / body");
    client_fini(&client);
    (void)state;
}

static void many_streams_are_answered(void **state)
{
    struct client client;
    client_init(&client, NULL, handler_echo);
    for (int i = 0; i < 50; i++) {
        (void)request(&client, "GET", "/", false);
    }
    carry(&client);
    for (int32_t id = 1; id < 100; id += 2) {
        assert_body(&client, id, "GET / ");
    }
    client_fini(&client);
    (void)state;
}

static void large_bodies_pass_in_both_directions(void **state)
{
    struct client client;
    client_init(&client, NULL, handler_echo);
    for (int i = 0; i < 300000; i++) {
        tr_buf_add_char(&client.upload, (char)('a' + i % 26));
    }
    const int32_t id = request(&client, "PUT", "/", true);
    carry(&client);
    struct tr_slice body = tr_buf_slice(&seen_of(&client, id)->body);
    assert_int_equal(body.len, 300006);
    assert_true(tr_slice_eq(tr_slice_skip(body, 6), tr_buf_slice(&client.upload)));
    client_fini(&client);
    (void)state;
}

static void the_exchange_shows_the_request(void **state)
{
    struct client client;
    client_init(&client, NULL, handler_hold);
    (void)request_with(&client, "PURGE", "/p", true, "content-length", "0");
    carry(&client);
    const struct tr_http_exchange *ex = client.core.ex;
    assert_int_equal(ex->version, TR_HTTP_2);
    assert_int_equal(ex->method, TR_HTTP_OTHER);
    assert_true(tr_slice_eq_str(ex->method_text, "PURGE"));
    assert_true(tr_slice_eq_str(ex->authority, "h"));
    assert_true(tr_slice_eq_str(tr_http_headers_value(&ex->headers, "Host"), "h"));
    assert_int_equal(tr_http_headers_len(&ex->headers), 2);
    client_fini(&client);
    (void)state;
}

static void head_and_bodiless_answers_end_with_their_head(void **state)
{
    struct client client;
    client_init(&client, NULL, handler_echo);
    const int32_t id = request(&client, "HEAD", "/", false);
    carry(&client);
    assert_string_equal(tr_buf_cstr(&seen_of(&client, id)->head), "content-type: text/plain\ncontent-length: 7\n");
    assert_int_equal(seen_of(&client, id)->body.len, 0);
    assert_true(seen_of(&client, id)->is_ended);
    client_fini(&client);
    (void)state;
}

static void answers_may_come_in_pieces(void **state)
{
    struct client client;
    client_init(&client, NULL, handler_hold);
    const int32_t id = request(&client, "GET", "/", false);
    carry(&client);
    struct tr_http_headers headers = { 0 };
    tr_http_headers_add_str(&headers, "X-Mixed", " a\r\nb ");
    tr_http_headers_add_str(&headers, "Connection", "x");
    tr_http_headers_add_str(&headers, "Transfer-Encoding", "chunked");
    tr_http_headers_add_str(&headers, "Bad Name", "x");
    tr_http_respond_start(client.core.ex, 201, &headers, TR_HTTP_LENGTH_UNKNOWN);
    tr_http_headers_fini(&headers);
    carry(&client);
    assert_int_equal(seen_of(&client, id)->status, 201);
    assert_string_equal(tr_buf_cstr(&seen_of(&client, id)->head), "x-mixed: a  b\n");
    assert_true(tr_http_respond_write(client.core.ex, TR_SLICE_LIT("one ")));
    carry(&client);
    assert_body(&client, id, "one ");
    assert_true(tr_http_respond_write(client.core.ex, TR_SLICE_LIT("two")));
    tr_http_respond_end(client.core.ex);
    carry(&client);
    assert_body(&client, id, "one two");
    assert_true(seen_of(&client, id)->is_ended);
    core_assert_log(&client.core, "close\n");
    client_fini(&client);
    (void)state;
}

static void continue_is_sent_when_the_body_is_wanted(void **state)
{
    struct client client;
    client_init(&client, NULL, handler_hold);
    client.upload_ends = false;
    const int32_t id = request_with(&client, "PUT", "/", true, "expect", "100-continue");
    carry(&client);
    assert_int_equal(seen_of(&client, id)->informational, 0);
    tr_http_exchange_read_start(client.core.ex, log_body, log_end);
    carry(&client);
    assert_int_equal(seen_of(&client, id)->informational, 100);
    client_fini(&client);
    (void)state;
}

/* --- back-pressure ------------------------------------------------------------------------------------------------------- */

static void a_paused_handler_closes_the_window(void **state)
{
    const struct tr_http_server_conf conf = { .h2_window_bytes = 1000 };
    struct client client;
    client_init(&client, &conf, handler_hold);
    carry(&client); /* our settings must be known to the client */
    for (int i = 0; i < 5000; i++) {
        tr_buf_add_char(&client.upload, 'x');
    }
    const int32_t id = request(&client, "PUT", "/", true);
    carry(&client);
    assert_int_equal(client.upload_at, 1000);
    client.core.ex->user = &client.core;
    tr_http_exchange_read_all(client.core.ex, 0, log_end);
    carry(&client);
    assert_int_equal(client.upload_at, 5000);
    core_assert_log(&client.core, "end ok\n");
    assert_int_equal(client.core.ex->body.len, 5000);
    tr_http_respond(client.core.ex, 204, NULL, (struct tr_slice){ 0 });
    carry(&client);
    assert_int_equal(seen_of(&client, id)->status, 204);
    client_fini(&client);
    (void)state;
}

static void a_paused_handler_does_not_hold_back_other_streams(void **state)
{
    struct client client;
    client_init(&client, NULL, handler_hold);
    carry(&client);
    for (int i = 0; i < 60000; i++) {
        tr_buf_add_char(&client.upload, 'x');
    }
    /* More than the window of the connection, which is not what is paused. */
    for (int i = 0; i < 40; i++) {
        client.upload_at = 0;
        (void)request(&client, "PUT", "/", true);
        carry(&client);
        assert_int_equal(client.upload_at, 60000);
    }
    assert_int_equal(client.core.requests, 40);
    client_fini(&client);
    (void)state;
}

static void a_client_that_opens_no_window_makes_the_handler_wait(void **state)
{
    const struct tr_http_server_conf conf = { .write_high_bytes = 1000 };
    struct client client;
    client_init(&client, &conf, handler_hold);
    const nghttp2_settings_entry window = { NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, 100 };
    assert_int_equal(nghttp2_submit_settings(client.session, 0, &window, 1), 0);
    const int32_t id = request(&client, "GET", "/", false);
    carry(&client);
    /* The client takes no body: its window updates are kept back by not carrying. */
    char piece[2000];
    memset(piece, 'y', sizeof(piece));
    tr_http_respond_start(client.core.ex, 200, NULL, TR_HTTP_LENGTH_UNKNOWN);
    assert_false(tr_http_respond_write(client.core.ex, tr_slice(piece, sizeof(piece))));
    core_run(&client.core);
    assert_int_equal(tr_http_exchange_pending(client.core.ex), 1900);
    core_assert_log(&client.core, "");
    carry(&client);
    core_assert_log(&client.core, "drain\n");
    assert_int_equal(seen_of(&client, id)->body.len, 2000);
    tr_http_respond_end(client.core.ex);
    carry(&client);
    assert_true(seen_of(&client, id)->is_ended);
    client_fini(&client);
    (void)state;
}

/* --- the end of streams --------------------------------------------------------------------------------------------------- */

static void a_reset_aborts_the_exchange(void **state)
{
    struct client client;
    client_init(&client, NULL, handler_hold);
    client.upload_ends = false;
    const int32_t id = request(&client, "PUT", "/", true);
    carry(&client);
    tr_http_exchange_read_start(client.core.ex, log_body, log_end);
    assert_int_equal(nghttp2_submit_rst_stream(client.session, 0, id, NGHTTP2_CANCEL), 0);
    carry(&client);
    core_assert_log(&client.core, "abort\nend the client has reset the stream\n");
    tr_http_respond(client.core.ex, 200, NULL, TR_SLICE_LIT("late"));
    carry(&client);
    core_assert_log(&client.core, "close\n");
    client_fini(&client);
    (void)state;
}

static void an_early_answer_resets_the_rest_of_the_request(void **state)
{
    struct client client;
    client_init(&client, NULL, handler_hold);
    client.upload_ends = false;
    const int32_t id = request(&client, "PUT", "/", true);
    carry(&client);
    tr_http_respond(client.core.ex, 401, NULL, TR_SLICE_LIT("no"));
    carry(&client);
    assert_int_equal(seen_of(&client, id)->status, 401);
    assert_body(&client, id, "no");
    assert_true(seen_of(&client, id)->is_ended);
    assert_true(seen_of(&client, id)->is_closed);
    assert_int_equal(seen_of(&client, id)->code, NGHTTP2_NO_ERROR);
    core_assert_log(&client.core, "close\n");
    client_fini(&client);
    (void)state;
}

static void an_aborted_answer_resets_the_stream(void **state)
{
    struct client client;
    client_init(&client, NULL, handler_hold);
    const int32_t id = request(&client, "GET", "/", false);
    carry(&client);
    tr_http_respond_start(client.core.ex, 200, NULL, 10);
    (void)tr_http_respond_write(client.core.ex, TR_SLICE_LIT("hello"));
    carry(&client);
    tr_http_respond_end(client.core.ex); /* five bytes are missing */
    carry(&client);
    assert_false(seen_of(&client, id)->is_ended);
    assert_true(seen_of(&client, id)->is_closed);
    assert_int_equal(seen_of(&client, id)->code, NGHTTP2_INTERNAL_ERROR);
    core_assert_log(&client.core, "close\n");
    client_fini(&client);
    (void)state;
}

static void the_end_of_the_connection_aborts_all(void **state)
{
    struct client client;
    client_init(&client, NULL, handler_hold);
    (void)request(&client, "GET", "/", false);
    carry(&client);
    core_eof(&client.core);
    core_assert_log(&client.core, "abort\n");
    tr_http_exchange_abort(client.core.ex);
    core_run(&client.core);
    core_assert_log(&client.core, "close\n");
    assert_true(client.core.is_finished);
    client_fini(&client);
    (void)state;
}

static void draining_lets_open_streams_finish(void **state)
{
    struct client client;
    client_init(&client, NULL, handler_hold);
    const int32_t id = request(&client, "GET", "/", false);
    carry(&client);
    client.core.env.is_draining = true;
    http_conn_drain(&client.core.conn);
    carry(&client);
    assert_true(client.is_gone);
    assert_int_equal(client.gone_code, NGHTTP2_NO_ERROR);
    assert_false(client.core.is_finished);
    tr_http_respond(client.core.ex, 200, NULL, TR_SLICE_LIT("last"));
    carry(&client);
    assert_body(&client, id, "last");
    assert_true(client.core.is_finished);
    client_fini(&client);
    (void)state;
}

/* --- limits -------------------------------------------------------------------------------------------------------------- */

static void streams_beyond_the_limit_are_refused(void **state)
{
    const struct tr_http_server_conf conf = { .h2_streams_max = 2 };
    struct client client;
    client_init(&client, &conf, handler_hold);
    /* The client does not know the limit yet. */
    (void)request(&client, "GET", "/", false);
    (void)request(&client, "GET", "/", false);
    const int32_t third = request(&client, "GET", "/", false);
    const uint8_t *bytes;
    ssize_t len;
    while ((len = nghttp2_session_mem_send(client.session, &bytes)) > 0) {
        core_feed(&client.core, tr_slice(bytes, (size_t)len));
    }
    carry(&client);
    assert_int_equal(client.core.requests, 2);
    assert_true(seen_of(&client, third)->is_closed);
    assert_int_equal(seen_of(&client, third)->code, NGHTTP2_REFUSED_STREAM);
    client_fini(&client);
    (void)state;
}

static void rapid_resets_end_the_connection(void **state)
{
    const struct tr_http_server_conf conf = { .h2_resets_max = 20 };
    struct client client;
    client_init(&client, &conf, handler_hold);
    carry(&client);
    for (unsigned i = 0; i < 21; i++) {
        assert_false(client.core.is_finished);
        const unsigned char id = (unsigned char)(1 + 2 * i);
        /* GET http / to a one-letter host, by HPACK's static table; then RST_STREAM (CANCEL). */
        const unsigned char frames[] = { 0,    0,    6,    1,    5,    0, 0, 0, id, /* HEADERS */
                                         0x82, 0x84, 0x86, 0x01, 0x01, 'h',
                                         0,    0,    4,    3,    0,    0, 0, 0, id, 0, 0, 0, 8 };
        core_feed(&client.core, tr_slice(frames, sizeof(frames)));
        if (client.core.ex != NULL) {
            tr_http_exchange_abort(client.core.ex);
        }
        core_run(&client.core);
    }
    assert_int_equal(client.core.requests, 21);
    assert_true(client.core.is_finished);
    const unsigned char goaway[] = { 0, 0, 8, 7, 0, 0, 0, 0, 0, 0, 0, 0, 41, 0, 0, 0, NGHTTP2_ENHANCE_YOUR_CALM };
    assert_true(tr_slice_ends(tr_buf_slice(&client.core.sent), tr_slice(goaway, sizeof(goaway))));
    client_fini(&client);
    (void)state;
}

static void floods_of_pings_end_the_connection(void **state)
{
    struct client client;
    client_init(&client, NULL, handler_hold);
    carry(&client);
    for (int i = 0; i < 1001; i++) {
        const unsigned char ping[] = { 0, 0, 8, 6, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8 };
        core_feed(&client.core, tr_slice(ping, sizeof(ping)));
    }
    carry(&client);
    assert_true(client.is_gone);
    assert_true(client.core.is_finished);
    client_fini(&client);
    (void)state;
}

static void heads_beyond_their_limit_get_431(void **state)
{
    const struct tr_http_server_conf conf = { .header_bytes_max = 1000 };
    struct client client;
    client_init(&client, &conf, handler_echo);
    char value[1001];
    memset(value, 'v', sizeof(value) - 1);
    value[sizeof(value) - 1] = '\0';
    const int32_t id = request_with(&client, "GET", "/", false, "x-long", value);
    carry(&client);
    assert_int_equal(seen_of(&client, id)->status, 431);
    assert_int_equal(client.core.requests, 0);
    const int32_t next = request(&client, "GET", "/", false);
    carry(&client);
    assert_int_equal(seen_of(&client, next)->status, 200);
    client_fini(&client);
    (void)state;
}

static void bodies_beyond_the_limit_end_the_read(void **state)
{
    const struct tr_http_server_conf conf = { .body_bytes_max = 4 };
    struct client client;
    client_init(&client, &conf, handler_echo);
    tr_buf_add_str(&client.upload, "12345");
    const int32_t id = request(&client, "PUT", "/", true);
    carry(&client);
    assert_int_equal(seen_of(&client, id)->status, 400);
    assert_body(&client, id, "stream too large");
    client_fini(&client);
    (void)state;
}

static void malformed_requests_are_refused(void **state)
{
    static const struct {
        const char *path;
        const char *name;
        const char *value;
    } cases[] = {
        { "/%zz", "x", "y" },         { "relative", "x", "y" },     { "/ blank", "x", "y" },    { "/", "host", "other" },
        { "/", "connection", "x" },   { "/", "content-length", "x" },
        { "/", "te", "gzip" },        { "/", "x y", "z" },          { "", "x", "y" },
    };
    struct client client;
    client_init(&client, NULL, handler_echo);
    for (size_t i = 0; i < TR_ARRAY_LEN(cases); i++) {
        const int32_t id = request_with(&client, "GET", cases[i].path, false, cases[i].name, cases[i].value);
        carry(&client);
        const struct seen *seen = seen_of(&client, id);
        if (seen->status != 400 && seen->code == NGHTTP2_NO_ERROR) {
            fail_msg("'%s' '%s' gives %d", cases[i].path, cases[i].name, seen->status);
        }
    }
    assert_int_equal(client.core.requests, 0);
    const int32_t id = request(&client, "GET", "/", false);
    carry(&client);
    assert_int_equal(seen_of(&client, id)->status, 200);
    client_fini(&client);
    (void)state;
}

static void what_is_not_http2_after_the_preface_ends_the_connection(void **state)
{
    struct core core;
    core_init(&core, NULL, handler_echo);
    core_feed_str(&core, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_true(core.is_finished || core.is_closed);
    assert_int_equal(core.requests, 0);
    core_fini(&core);
    (void)state;
}

static void http2_can_be_switched_off(void **state)
{
    const struct tr_http_server_conf conf = { .h2c_off = true };
    struct core core;
    core_init(&core, &conf, handler_echo);
    core_feed_str(&core, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    assert_true(core.is_finished);
    assert_non_null(strstr(tr_buf_cstr(&core.sent), "HTTP/1.1 "));
    core_fini(&core);
    core_init(&core, &conf, handler_echo);
    core_feed_str(&core, "GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n"
                         "HTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA\r\n\r\n");
    assert_non_null(strstr(tr_buf_cstr(&core.sent), "HTTP/1.1 200 OK\r\n"));
    core_fini(&core);
    (void)state;
}

/* --- upgrade ------------------------------------------------------------------------------------------------------------- */

static void the_upgrade_is_followed(void **state)
{
    struct client client;
    client_init(&client, NULL, handler_echo);
    core_feed_str(&client.core, "GET /up?x HTTP/1.1\r\nHost: h\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n"
                                "HTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA\r\n\r\n");
    static const char answer[] = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n";
    assert_true(tr_slice_starts(tr_buf_slice(&client.core.sent), TR_SLICE_LIT(answer)));
    tr_buf_drop(&client.core.sent, sizeof(answer) - 1);
    const uint8_t settings[] = { 0, 3, 0, 0, 0, 100, 0, 4, 2, 0, 0, 0, 0, 2, 0, 0, 0, 0 };
    assert_int_equal(nghttp2_session_upgrade2(client.session, settings, sizeof(settings), 0, NULL), 0);
    carry(&client);
    assert_int_equal(seen_of(&client, 1)->status, 200);
    assert_body(&client, 1, "GET /up?x ");
    const int32_t id = request(&client, "GET", "/next", false);
    carry(&client);
    assert_body(&client, id, "GET /next ");
    client_fini(&client);
    (void)state;
}

static void malformed_upgrades_are_refused(void **state)
{
    static const char *const settings[] = { "!", "AAM", "AAMAAABkAAQ" };
    for (size_t i = 0; i < TR_ARRAY_LEN(settings); i++) {
        struct core core;
        core_init(&core, NULL, handler_echo);
        core_feed_str(&core, "GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n"
                             "HTTP2-Settings: ");
        core_feed_str(&core, settings[i]);
        core_feed_str(&core, "\r\n\r\n");
        assert_non_null(strstr(tr_buf_cstr(&core.sent), "HTTP/1.1 400 "));
        assert_true(core.is_finished);
        core_fini(&core);
    }
    (void)state;
}

static void upgrades_with_a_body_or_half_asked_are_answered_as_http_1(void **state)
{
    struct core core;
    core_init(&core, NULL, handler_echo);
    core_feed_str(&core, "POST / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n"
                         "HTTP2-Settings: AAMAAABk\r\nContent-Length: 1\r\n\r\nx"
                         "GET /2 HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n");
    assert_int_equal(core.requests, 2);
    assert_non_null(strstr(tr_buf_cstr(&core.sent), "POST / x"));
    assert_non_null(strstr(tr_buf_cstr(&core.sent), "GET /2 "));
    core_fini(&core);
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(prior_knowledge_is_understood),
        cmocka_unit_test(one_byte_at_a_time_gives_the_same),
        cmocka_unit_test(many_streams_are_answered),
        cmocka_unit_test(large_bodies_pass_in_both_directions),
        cmocka_unit_test(the_exchange_shows_the_request),
        cmocka_unit_test(head_and_bodiless_answers_end_with_their_head),
        cmocka_unit_test(answers_may_come_in_pieces),
        cmocka_unit_test(continue_is_sent_when_the_body_is_wanted),
        cmocka_unit_test(a_paused_handler_closes_the_window),
        cmocka_unit_test(a_paused_handler_does_not_hold_back_other_streams),
        cmocka_unit_test(a_client_that_opens_no_window_makes_the_handler_wait),
        cmocka_unit_test(a_reset_aborts_the_exchange),
        cmocka_unit_test(an_early_answer_resets_the_rest_of_the_request),
        cmocka_unit_test(an_aborted_answer_resets_the_stream),
        cmocka_unit_test(the_end_of_the_connection_aborts_all),
        cmocka_unit_test(draining_lets_open_streams_finish),
        cmocka_unit_test(streams_beyond_the_limit_are_refused),
        cmocka_unit_test(rapid_resets_end_the_connection),
        cmocka_unit_test(floods_of_pings_end_the_connection),
        cmocka_unit_test(heads_beyond_their_limit_get_431),
        cmocka_unit_test(bodies_beyond_the_limit_end_the_read),
        cmocka_unit_test(malformed_requests_are_refused),
        cmocka_unit_test(what_is_not_http2_after_the_preface_ends_the_connection),
        cmocka_unit_test(http2_can_be_switched_off),
        cmocka_unit_test(the_upgrade_is_followed),
        cmocka_unit_test(malformed_upgrades_are_refused),
        cmocka_unit_test(upgrades_with_a_body_or_half_asked_are_answered_as_http_1),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
