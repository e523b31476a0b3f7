/* The HTTP channel to the app: the exact requests, what comes of the answers, limits, waiting and cancelling. */
#include "tests/unit/app/app_test.h"

static void start_and_wait_seen(struct app_test *t, struct test_call *c)
{
    test_call_start(t, c);
    app_test_wait_seen(t, 1);
}

/* Start the call, let the app answer 200, and finish it. */
static void run(struct app_test *t, struct test_call *c)
{
    const size_t i = t->seen_len;
    test_call_start(t, c);
    app_test_wait_seen(t, i + 1);
    app_test_answer(t, i, 200, "");
    test_call_wait(t, c);
    assert_int_equal(c->call.err.code, TR_OK);
    assert_int_equal(c->call.status, 200);
    test_call_fini(c);
}

/* --- requests ------------------------------------------------------------------------------------------------------- */

static void assert_path(struct app_test *t, const char *type, const char *id, const char *method, const char *want)
{
    struct test_call c;
    const size_t i = t->seen_len;
    test_call_init(&c, method);
    c.call.actor_type = tr_slice_str(type);
    c.call.actor_id = tr_slice_str(id);
    test_call_start(t, &c);
    app_test_wait_seen(t, i + 1);
    struct tr_buf line = { 0 };
    tr_buf_addf(&line, "PUT %s ", want);
    assert_string_equal(app_test_request(t, i), tr_buf_cstr(&line));
    tr_buf_fini(&line);
    app_test_answer(t, i, 200, "");
    test_call_wait(t, &c);
    test_call_fini(&c);
}

static void the_path_is_encoded_where_it_must_be(void **state)
{
    struct app_test t;
    app_test_init(&t, TR_HTTP_PROTOCOL_1);
    assert_path(&t, "cat", "1", "feed", "/actors/cat/1/method/feed");
    assert_path(&t, "cat", "a|b c", "feed/more", "/actors/cat/a%7Cb%20c/method/feed/more");
    assert_path(&t, "cat", "caf\xc3\xa9?#", "x\"", "/actors/cat/caf%C3%A9%3F%23/method/x%22");
    assert_path(&t, "cat", "-_.~!'()*;:@&=+$,[]", "m", "/actors/cat/-_.~!'()*;:@&=+$,[]/method/m");
    assert_path(&t, "dapr.internal.x", "1", "a\\b", "/actors/dapr.internal.x/1/method/a%5Cb");
    app_test_fini(&t);
    (void)state;
}

static void an_escape_that_is_there_already_stays(void **state)
{
    struct app_test t;
    app_test_init(&t, TR_HTTP_PROTOCOL_1);
    assert_path(&t, "cat", "a%2Fb", "c%7c", "/actors/cat/a%2Fb/method/c%7c");
    assert_path(&t, "cat", "%2e%2e", "m", "/actors/cat/%2e%2e/method/m");
    app_test_fini(&t);
    (void)state;
}

static void the_path_is_cleaned_after_it_was_put_together(void **state)
{
    struct app_test t;
    app_test_init(&t, TR_HTTP_PROTOCOL_1);
    assert_path(&t, "cat", "1", "a//b/./c/", "/actors/cat/1/method/a/b/c");
    assert_path(&t, "cat", "", "m", "/actors/cat/method/m");
    assert_path(&t, "cat", "1", "", "/actors/cat/1/method");
    app_test_fini(&t);
    (void)state;
}

static void a_broken_escape_fails_the_call_before_anything_is_sent(void **state)
{
    static const char *const broken[][2] = {
        { "a%", "invalid URL escape \"%\"" },
        { "a%4", "invalid URL escape \"%4\"" },
        { "%zz1", "invalid URL escape \"%zz\"" },
        { "%\"", "invalid URL escape \"%\\\"\"" },
    };
    struct app_test t;
    app_test_init(&t, TR_HTTP_PROTOCOL_1);
    for (size_t i = 0; i < TR_ARRAY_LEN(broken); i++) {
        struct test_call c;
        test_call_init(&c, "m");
        c.call.actor_id = tr_slice_str(broken[i][0]);
        test_call_start(&t, &c);
        test_call_cancel(&t, &c); /* too late: the failure stands */
        test_call_wait(&t, &c);
        assert_int_equal(c.call.err.code, TR_ACTOR_INVOKE);
        assert_string_equal(c.call.err.msg, broken[i][1]);
    }
    assert_int_equal(t.seen_len, 0);
    app_test_fini(&t);
    (void)state;
}

static void a_method_call_carries_query_body_and_content_type(void **state)
{
    struct app_test t;
    struct test_call c;
    app_test_init(&t, TR_HTTP_PROTOCOL_1);
    test_call_init(&c, "m");
    c.call.query = TR_SLICE_LIT("a=%20b&c");
    c.call.body = TR_SLICE_LIT("{ \"x\": 1 }");
    c.call.content_type = TR_SLICE_LIT("text/strange");
    start_and_wait_seen(&t, &c);
    assert_string_equal(app_test_request(&t, 0), "PUT /actors/cat/1/method/m?a=%20b&c { \"x\": 1 }");
    assert_string_equal(app_test_header(&t, 0, "content-type"), "text/strange");
    assert_int_equal(t.seen[0].ex->content_length, 10);
    app_test_answer(&t, 0, 200, "");
    test_call_wait(&t, &c);
    test_call_fini(&c);
    app_test_fini(&t);
    (void)state;
}

static void a_method_call_without_body_has_a_length_and_no_content_type(void **state)
{
    struct app_test t;
    struct test_call c;
    app_test_init(&t, TR_HTTP_PROTOCOL_1);
    test_call_init(&c, "m");
    start_and_wait_seen(&t, &c);
    assert_string_equal(app_test_header(&t, 0, "content-length"), "0");
    assert_null(app_test_header(&t, 0, "content-type"));
    app_test_answer(&t, 0, 200, "");
    test_call_wait(&t, &c);
    test_call_fini(&c);
    app_test_fini(&t);
    (void)state;
}

static void the_sidecar_says_who_calls_and_the_client_does_not(void **state)
{
    const struct tr_app_channel_conf conf = { .app_id = TR_SLICE_LIT("me"),
                                              .ns = TR_SLICE_LIT("here"),
                                              .token = TR_SLICE_LIT("secret") };
    struct tr_http_headers headers = { 0 };
    struct app_test t;
    struct test_call c;
    app_test_init_conf(&t, TR_HTTP_PROTOCOL_1, conf);
    tr_http_headers_add_str(&headers, "Dapr-Caller-App-Id", "forged");
    tr_http_headers_add_str(&headers, "dapr-caller-namespace", "forged");
    tr_http_headers_add_str(&headers, "Dapr-Api-Token", "forged");
    tr_http_headers_add_str(&headers, "Dapr-Api-Call", "false");
    tr_http_headers_add_str(&headers, "X-Dapr-Remote", "forged");
    tr_http_headers_add_str(&headers, "Dapr-Reentrancy-Id", "old");
    tr_http_headers_add_str(&headers, "Content-Type", "left/out");
    tr_http_headers_add_str(&headers, "Connection", "x-hop");
    tr_http_headers_add_str(&headers, "X-Hop", "1");
    tr_http_headers_add_str(&headers, "X-Own", "kept");
    tr_http_headers_add_str(&headers, "traceparent", "00-1");
    test_call_init(&c, "m");
    c.call.headers = &headers;
    c.call.chain_id = TR_SLICE_LIT("new");
    c.call.content_type = TR_SLICE_LIT("a/b");
    c.call.is_remote = true;
    start_and_wait_seen(&t, &c);
    assert_string_equal(app_test_header(&t, 0, "dapr-caller-app-id"), "me");
    assert_string_equal(app_test_header(&t, 0, "dapr-caller-namespace"), "here");
    assert_string_equal(app_test_header(&t, 0, "dapr-api-token"), "secret");
    assert_string_equal(app_test_header(&t, 0, "dapr-api-call"), "true");
    assert_string_equal(app_test_header(&t, 0, "x-dapr-remote"), "true");
    assert_string_equal(app_test_header(&t, 0, "dapr-reentrancy-id"), "new");
    assert_string_equal(app_test_header(&t, 0, "content-type"), "a/b");
    assert_string_equal(app_test_header(&t, 0, "x-own"), "kept");
    assert_string_equal(app_test_header(&t, 0, "traceparent"), "00-1");
    assert_null(app_test_header(&t, 0, "x-hop"));
    app_test_answer(&t, 0, 200, "");
    test_call_wait(&t, &c);
    test_call_fini(&c);
    tr_http_headers_fini(&headers);
    app_test_fini(&t);
    (void)state;
}

static void what_is_off_is_not_said(void **state)
{
    struct tr_http_headers headers = { 0 };
    struct app_test t;
    struct test_call c;
    app_test_init(&t, TR_HTTP_PROTOCOL_1);
    tr_http_headers_add_str(&headers, "Dapr-Reentrancy-Id", "the caller's");
    test_call_init(&c, "m");
    c.call.headers = &headers;
    start_and_wait_seen(&t, &c);
    assert_null(app_test_header(&t, 0, "dapr-api-token"));
    assert_null(app_test_header(&t, 0, "x-dapr-remote"));
    assert_string_equal(app_test_header(&t, 0, "dapr-reentrancy-id"), "the caller's"); /* an ordinary header */
    app_test_answer(&t, 0, 200, "");
    test_call_wait(&t, &c);
    test_call_fini(&c);
    tr_http_headers_fini(&headers);
    app_test_fini(&t);
    (void)state;
}

/* As many headers as a caller may send leave room for ours. */
static void a_full_list_of_headers_is_forwarded_up_to_the_limit(void **state)
{
    struct tr_http_headers headers = { 0 };
    const struct tr_app_channel_conf conf = { .token = TR_SLICE_LIT("t") };
    struct app_test t;
    struct test_call c;
    for (unsigned i = 0; i < TR_HTTP_HEADERS_MAX; i++) {
        tr_http_headers_add_str(&headers, "a", "");
    }
    app_test_init_raw(&t, conf);
    test_call_init(&c, "m");
    c.call.headers = &headers;
    c.call.chain_id = TR_SLICE_LIT("x");
    c.call.content_type = TR_SLICE_LIT("a/b");
    c.call.is_remote = true;
    test_call_start(&t, &c);
    app_test_raw_wait(&t, "\r\n\r\n");
    app_test_raw_send(&t, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    test_call_wait(&t, &c);
    assert_int_equal(c.call.status, 200);
    test_call_fini(&c);
    tr_http_headers_fini(&headers);
    app_test_fini(&t);
    (void)state;
}

static void query_and_names_cannot_break_the_request_line(void **state)
{
    struct app_test t;
    struct test_call c;
    app_test_init(&t, TR_HTTP_PROTOCOL_1);
    test_call_init(&c, "m");
    c.call.query = TR_SLICE_LIT("a HTTP/1.1\r\nX: y");
    test_call_start(&t, &c);
    test_call_wait(&t, &c);
    assert_int_equal(c.call.err.code, TR_ACTOR_INVOKE);
    assert_int_equal(t.seen_len, 0);
    test_call_fini(&c);
    assert_path(&t, "cat", "a\r\nX: y", "m", "/actors/cat/a%0D%0AX:%20y/method/m");
    app_test_fini(&t);
    (void)state;
}

/* Source: actors 5.6; the original's tests compare the bytes. */
static void the_body_of_a_reminder_is_exact(void **state)
{
    struct app_test t;
    struct test_call c;
    app_test_init(&t, TR_HTTP_PROTOCOL_1);
    test_call_init(&c, "wake");
    c.call.kind = TR_APP_REMINDER;
    c.call.body = TR_SLICE_LIT("{\"a\":[1,\"\\u003c\"]}");
    start_and_wait_seen(&t, &c);
    assert_string_equal(app_test_request(&t, 0), "PUT /actors/cat/1/method/remind/wake "
                                                 "{\"data\":{\"a\":[1,\"\\u003c\"]},\"dueTime\":\"\",\"period\":\"\"}");
    assert_string_equal(app_test_header(&t, 0, "content-type"), "application/json");
    assert_null(app_test_header(&t, 0, "dapr-reentrancy-id"));
    assert_null(app_test_header(&t, 0, "dapr-caller-app-id"));
    app_test_answer(&t, 0, 200, "");
    test_call_wait(&t, &c);
    test_call_fini(&c);
    c.call.body = TR_SLICE_LIT("");
    c.done = 0;
    test_call_start(&t, &c);
    app_test_wait_seen(&t, 2);
    assert_string_equal(app_test_request(&t, 1), "PUT /actors/cat/1/method/remind/wake {\"dueTime\":\"\",\"period\":\"\"}");
    app_test_answer(&t, 1, 200, "");
    test_call_wait(&t, &c);
    test_call_fini(&c);
    app_test_fini(&t);
    (void)state;
}

static void the_body_of_a_timer_is_exact(void **state)
{
    struct app_test t;
    struct test_call c;
    app_test_init(&t, TR_HTTP_PROTOCOL_1);
    test_call_init(&c, "a|b");
    c.call.kind = TR_APP_TIMER;
    c.call.body = TR_SLICE_LIT("null");
    c.call.due_time = TR_SLICE_LIT("0s");
    c.call.period = TR_SLICE_LIT("R3/PT1S");
    c.call.callback = TR_SLICE_LIT("<cb> \"&\"");
    start_and_wait_seen(&t, &c);
    assert_string_equal(app_test_request(&t, 0),
                        "PUT /actors/cat/1/method/timer/a%7Cb {\"data\":null,\"callback\":\"\\u003ccb\\u003e "
                        "\\\"\\u0026\\\"\",\"dueTime\":\"0s\",\"period\":\"R3/PT1S\"}");
    assert_string_equal(app_test_header(&t, 0, "content-type"), "application/json");
    app_test_answer(&t, 0, 200, "");
    test_call_wait(&t, &c);
    test_call_fini(&c);
    c.call.body = TR_SLICE_LIT("");
    c.call.callback = TR_SLICE_LIT("");
    c.done = 0;
    test_call_start(&t, &c);
    app_test_wait_seen(&t, 2);
    assert_string_equal(app_test_request(&t, 1), "PUT /actors/cat/1/method/timer/a%7Cb "
                                                 "{\"callback\":\"\",\"dueTime\":\"0s\",\"period\":\"R3/PT1S\"}");
    app_test_answer(&t, 1, 200, "");
    test_call_wait(&t, &c);
    test_call_fini(&c);
    app_test_fini(&t);
    (void)state;
}

static void a_deactivation_is_a_delete_without_body(void **state)
{
    const struct tr_app_channel_conf conf = { .token = TR_SLICE_LIT("secret") };
    struct app_test t;
    struct test_call c;
    app_test_init_conf(&t, TR_HTTP_PROTOCOL_1, conf);
    test_call_init(&c, "");
    c.call.kind = TR_APP_DEACTIVATE;
    c.call.actor_id = TR_SLICE_LIT("a/b|c");
    start_and_wait_seen(&t, &c);
    assert_string_equal(app_test_request(&t, 0), "DELETE /actors/cat/a/b%7Cc ");
    assert_string_equal(app_test_header(&t, 0, "content-type"), "application/x-protobuf");
    assert_string_equal(app_test_header(&t, 0, "dapr-api-token"), "secret");
    assert_null(app_test_header(&t, 0, "content-length"));
    app_test_answer(&t, 0, 200, "");
    test_call_wait(&t, &c);
    test_call_fini(&c);
    app_test_fini(&t);
    (void)state;
}

static void on_get(struct tr_http_call *call)
{
    tr_http_call_fini(call);
}

static void a_get_carries_the_own_id_and_the_token(void **state)
{
    const struct tr_app_channel_conf conf = { .app_id = TR_SLICE_LIT("me"), .token = TR_SLICE_LIT("secret") };
    struct app_test t;
    struct tr_http_call call = { .cb = on_get };
    app_test_init_conf(&t, TR_HTTP_PROTOCOL_1, conf);
    tr_app_channel_set_healthy(t.channel, false); /* is not asked */
    tr_app_channel_get(t.channel, &call, TR_SLICE_LIT("/dapr/config"));
    app_test_wait_seen(&t, 1);
    assert_string_equal(app_test_request(&t, 0), "GET /dapr/config ");
    assert_string_equal(app_test_header(&t, 0, "dapr-app-id"), "me");
    assert_string_equal(app_test_header(&t, 0, "content-type"), "application/json");
    assert_string_equal(app_test_header(&t, 0, "dapr-api-token"), "secret");
    tr_http_exchange_abort(t.seen[0].ex);
    app_test_fini(&t);
    (void)state;
}

/* --- answers -------------------------------------------------------------------------------------------------------- */

static void answer_with(struct app_test *t, struct test_call *c, int status, const char *name, const char *value,
                        const char *body)
{
    const size_t i = t->seen_len;
    test_call_start(t, c);
    app_test_wait_seen(t, i + 1);
    app_test_answer_with(t, i, status, name, value, body);
    test_call_wait(t, c);
    assert_int_equal(c->call.err.code, TR_OK);
    assert_int_equal(c->call.status, status);
}

static void an_answer_of_200_brings_headers_content_type_and_body(void **state)
{
    struct app_test t;
    struct test_call c;
    app_test_init(&t, TR_HTTP_PROTOCOL_1);
    test_call_init(&c, "m");
    answer_with(&t, &c, 200, "Content-Type", "text/x", "hello");
    assert_string_equal(tr_buf_cstr(&c.call.body_out), "hello");
    assert_string_equal(tr_buf_cstr(&c.call.content_type_out), "text/x");
    assert_int_equal(c.call.failure.len, 0);
    assert_false(c.call.is_canceled);
    test_call_fini(&c);
    test_call_init(&c, "m");
    answer_with(&t, &c, 200, "X-DaprErrorResponseHeader", "true", "");
    assert_true(tr_http_headers_has(&c.call.headers_out, "x-daprerrorresponseheader"));
    assert_int_equal(c.call.content_type_out.len, 0);
    test_call_fini(&c);
    test_call_fini(&c); /* harmless */
    app_test_fini(&t);
    (void)state;
}

static void an_answer_of_404_says_which_method_is_missing(void **state)
{
    struct app_test t;
    struct test_call c;
    app_test_init(&t, TR_HTTP_PROTOCOL_1);
    test_call_init(&c, "a/b");
    answer_with(&t, &c, 404, NULL, NULL, "page not found");
    assert_string_equal(tr_buf_cstr(&c.call.failure), "actor method not found: actors/cat/1/method/a/b");
    test_call_fini(&c);
    test_call_init(&c, "n");
    c.call.kind = TR_APP_REMINDER;
    answer_with(&t, &c, 404, NULL, NULL, "");
    assert_string_equal(tr_buf_cstr(&c.call.failure), "actor method not found: actors/cat/1/method/remind/n");
    test_call_fini(&c);
    test_call_init(&c, "n");
    c.call.kind = TR_APP_TIMER;
    answer_with(&t, &c, 404, NULL, NULL, "");
    assert_string_equal(tr_buf_cstr(&c.call.failure), "actor method not found: actors/cat/1/method/timer/n");
    test_call_fini(&c);
    test_call_init(&c, "");
    c.call.kind = TR_APP_DEACTIVATE;
    answer_with(&t, &c, 404, NULL, NULL, "gone");
    assert_string_equal(tr_buf_cstr(&c.call.failure), "error from actor service: (404) gone");
    test_call_fini(&c);
    app_test_fini(&t);
    (void)state;
}

static void every_other_answer_is_a_failure_with_status_and_body(void **state)
{
    static const int statuses[] = { 201, 204, 302, 400, 500, 503 };
    struct app_test t;
    struct test_call c;
    app_test_init(&t, TR_HTTP_PROTOCOL_1);
    for (size_t i = 0; i < TR_ARRAY_LEN(statuses); i++) {
        struct tr_buf want = { 0 };
        const char *body = tr_http_status_bodiless(statuses[i]) ? "" : "out of stock";
        test_call_init(&c, "m");
        answer_with(&t, &c, statuses[i], "Location", "/elsewhere", body);
        tr_buf_addf(&want, "error from actor service: (%d) %s", statuses[i], body);
        assert_string_equal(tr_buf_cstr(&c.call.failure), tr_buf_cstr(&want));
        assert_string_equal(tr_buf_cstr(&c.call.body_out), body);
        tr_buf_fini(&want);
        test_call_fini(&c);
    }
    assert_int_equal(t.seen_len, TR_ARRAY_LEN(statuses)); /* no redirect was followed */
    app_test_fini(&t);
    (void)state;
}

static void the_app_can_ask_to_cancel_a_reminder(void **state)
{
    struct app_test t;
    struct test_call c;
    app_test_init(&t, TR_HTTP_PROTOCOL_1);
    test_call_init(&c, "n");
    c.call.kind = TR_APP_REMINDER;
    answer_with(&t, &c, 200, "X-DaprReminderCancel", "true", "");
    assert_true(c.call.is_canceled);
    test_call_fini(&c);
    app_test_fini(&t);
    (void)state;
}

/* Source: actors 5.5. */
static void a_body_that_ends_early_counts_as_complete(void **state)
{
    const struct tr_app_channel_conf conf = { .app_id = TR_SLICE_LIT("me") };
    struct app_test t;
    struct test_call c;
    app_test_init_raw(&t, conf);
    test_call_init(&c, "m");
    test_call_start(&t, &c);
    app_test_raw_wait(&t, "\r\n\r\n");
    app_test_raw_send(&t, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort");
    app_test_raw_close(&t);
    test_call_wait(&t, &c);
    assert_int_equal(c.call.err.code, TR_OK);
    assert_string_equal(tr_buf_cstr(&c.call.body_out), "short");
    test_call_fini(&c);
    app_test_fini(&t);
    (void)state;
}

/* The call fails without an answer; the text ends so, and begins with the request. */
static void assert_no_answer(struct app_test *t, struct test_call *c, const char *start, const char *end)
{
    struct tr_buf want = { 0 };
    test_call_wait(t, c);
    assert_int_equal(c->call.err.code, TR_ACTOR_INVOKE);
    tr_buf_addf(&want, "%s \"http://127.0.0.1:%u/actors/cat/1", start, t->port);
    if (!tr_slice_starts(tr_slice_str(c->call.err.msg), tr_buf_slice(&want)) || strstr(c->call.err.msg, end) == NULL) {
        fail_msg("%s", c->call.err.msg);
    }
    tr_buf_fini(&want);
    test_call_fini(c);
}

static void an_app_that_hangs_up_gives_a_reason(void **state)
{
    const struct tr_app_channel_conf conf = { .app_id = TR_SLICE_LIT("me") };
    struct app_test t;
    struct test_call c;
    app_test_init_raw(&t, conf);
    test_call_init(&c, "m");
    test_call_start(&t, &c);
    app_test_raw_wait(&t, "\r\n\r\n");
    app_test_raw_close(&t);
    assert_no_answer(&t, &c, "Put", "/method/m\": EOF");
    app_test_fini(&t);
    (void)state;
}

static void an_answer_that_is_no_http_gives_a_reason(void **state)
{
    const struct tr_app_channel_conf conf = { .app_id = TR_SLICE_LIT("me") };
    struct app_test t;
    struct test_call c;
    app_test_init_raw(&t, conf);
    test_call_init(&c, "m");
    test_call_start(&t, &c);
    app_test_raw_wait(&t, "\r\n\r\n");
    app_test_raw_send(&t, "SSH-2.0-OpenSSH\r\n\r\n");
    assert_no_answer(&t, &c, "Put", "/method/m\": ");
    app_test_fini(&t);
    (void)state;
}

static void an_app_that_does_not_listen_gives_a_reason(void **state)
{
    struct app_test t;
    struct test_call c;
    app_test_init(&t, TR_HTTP_PROTOCOL_1);
    app_test_stop_serving(&t);
    test_call_init(&c, "");
    c.call.kind = TR_APP_DEACTIVATE;
    test_call_start(&t, &c);
    assert_no_answer(&t, &c, "Delete", "connection refused");
    app_test_fini(&t);
    (void)state;
}

static void an_answer_beyond_the_limits_is_a_failure(void **state)
{
    const struct tr_app_channel_conf conf = { .header_bytes_max = 200, .body_bytes_max = 10 };
    struct app_test t;
    struct test_call c;
    app_test_init_raw(&t, conf);
    test_call_init(&c, "m");
    test_call_start(&t, &c);
    app_test_raw_wait(&t, "\r\n\r\n");
    app_test_raw_send(&t, "HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\n12345678901");
    assert_no_answer(&t, &c, "Put", "");
    app_test_raw_wait_over(&t);
    app_test_raw_close(&t);
    t.is_raw_over = false;
    tr_buf_clear(&t.raw);
    struct tr_buf head = { 0 };
    tr_buf_add_str(&head, "HTTP/1.1 200 OK\r\nX: ");
    for (unsigned i = 0; i < 200; i++) {
        tr_buf_add_char(&head, 'x');
    }
    test_call_init(&c, "m");
    test_call_start(&t, &c);
    app_test_raw_wait(&t, "\r\n\r\n");
    app_test_raw_send(&t, tr_buf_cstr(&head));
    assert_no_answer(&t, &c, "Put", "");
    tr_buf_fini(&head);
    app_test_fini(&t);
    (void)state;
}

static void over_http2_requests_and_answers_are_the_same(void **state)
{
    struct app_test t;
    struct test_call c;
    app_test_init(&t, TR_HTTP_PROTOCOL_2);
    test_call_init(&c, "m|");
    c.call.body = TR_SLICE_LIT("body");
    c.call.query = TR_SLICE_LIT("q");
    start_and_wait_seen(&t, &c);
    assert_int_equal(t.seen[0].ex->version, TR_HTTP_2);
    assert_string_equal(app_test_request(&t, 0), "PUT /actors/cat/1/method/m%7C?q body");
    assert_string_equal(app_test_header(&t, 0, "dapr-caller-app-id"), "me");
    app_test_answer_with(&t, 0, 500, "content-type", "a/b", "broken");
    test_call_wait(&t, &c);
    assert_string_equal(tr_buf_cstr(&c.call.failure), "error from actor service: (500) broken");
    assert_string_equal(tr_buf_cstr(&c.call.content_type_out), "a/b");
    test_call_fini(&c);
    app_test_fini(&t);
    (void)state;
}

/* --- health --------------------------------------------------------------------------------------------------------- */

static void no_callback_reaches_an_unhealthy_app(void **state)
{
    struct app_test t;
    struct test_call c;
    app_test_init(&t, TR_HTTP_PROTOCOL_1);
    tr_app_channel_set_healthy(t.channel, false);
    test_call_init(&c, "m");
    test_call_start(&t, &c);
    test_call_wait(&t, &c);
    assert_int_equal(c.call.err.code, TR_INTERNAL);
    assert_string_equal(c.call.err.msg, "app is not in a healthy state");
    assert_int_equal(t.seen_len, 0);
    tr_app_channel_set_healthy(t.channel, true);
    test_call_init(&c, "m");
    run(&t, &c);
    app_test_fini(&t);
    (void)state;
}

static void a_callback_that_is_with_the_app_survives_bad_health(void **state)
{
    struct app_test t;
    struct test_call c;
    app_test_init(&t, TR_HTTP_PROTOCOL_1);
    test_call_init(&c, "m");
    start_and_wait_seen(&t, &c);
    tr_app_channel_set_healthy(t.channel, false);
    app_test_answer(&t, 0, 200, "");
    test_call_wait(&t, &c);
    assert_int_equal(c.call.status, 200);
    test_call_fini(&c);
    app_test_fini(&t);
    (void)state;
}

/* --- the concurrency limit ------------------------------------------------------------------------------------------ */

static void callbacks_beyond_the_limit_wait_in_order(void **state)
{
    const struct tr_app_channel_conf conf = { .concurrency_max = 2 };
    static const char *const methods[] = { "m0", "m1", "m2", "m3" };
    struct app_test t;
    struct test_call c[4];
    app_test_init_conf(&t, TR_HTTP_PROTOCOL_1, conf);
    for (size_t i = 0; i < TR_ARRAY_LEN(c); i++) {
        test_call_init(&c[i], methods[i]);
        test_call_start(&t, &c[i]);
    }
    app_test_wait_seen(&t, 2);
    app_test_settle(&t);
    assert_int_equal(t.seen_len, 2);
    app_test_answer(&t, 1, 500, "");
    test_call_wait(&t, &c[1]);
    app_test_wait_seen(&t, 3);
    assert_string_equal(app_test_request(&t, 2), "PUT /actors/cat/1/method/m2 ");
    app_test_answer(&t, 0, 200, "");
    test_call_wait(&t, &c[0]);
    app_test_wait_seen(&t, 4);
    app_test_answer(&t, 2, 200, "");
    app_test_answer(&t, 3, 200, "");
    for (size_t i = 2; i < TR_ARRAY_LEN(c); i++) {
        test_call_wait(&t, &c[i]);
    }
    for (size_t i = 0; i < TR_ARRAY_LEN(c); i++) {
        test_call_fini(&c[i]);
    }
    app_test_fini(&t);
    (void)state;
}

static void a_callback_that_waits_can_be_canceled_and_is_never_sent(void **state)
{
    const struct tr_app_channel_conf conf = { .concurrency_max = 1 };
    struct app_test t;
    struct test_call first;
    struct test_call second;
    struct test_call third;
    app_test_init_conf(&t, TR_HTTP_PROTOCOL_1, conf);
    test_call_init(&first, "first");
    test_call_init(&second, "second");
    test_call_init(&third, "third");
    start_and_wait_seen(&t, &first);
    test_call_start(&t, &second);
    test_call_start(&t, &third);
    test_call_cancel(&t, &second);
    test_call_cancel(&t, &second); /* harmless */
    test_call_wait(&t, &second);
    assert_int_equal(second.call.err.code, TR_CANCELED);
    assert_string_equal(second.call.err.msg, "context canceled");
    app_test_answer(&t, 0, 200, "");
    test_call_wait(&t, &first);
    app_test_wait_seen(&t, 2);
    assert_string_equal(app_test_request(&t, 1), "PUT /actors/cat/1/method/third ");
    app_test_answer(&t, 1, 200, "");
    test_call_wait(&t, &third);
    test_call_fini(&first);
    test_call_fini(&third);
    app_test_fini(&t);
    (void)state;
}

static void a_slot_comes_back_from_a_callback_that_failed(void **state)
{
    const struct tr_app_channel_conf conf = { .concurrency_max = 1 };
    struct app_test t;
    struct test_call first;
    struct test_call second;
    app_test_init_raw(&t, conf);
    test_call_init(&first, "m");
    test_call_init(&second, "m");
    test_call_start(&t, &first);
    test_call_start(&t, &second);
    app_test_raw_wait(&t, "\r\n\r\n");
    app_test_raw_close(&t);
    tr_buf_clear(&t.raw);
    test_call_wait(&t, &first);
    assert_int_equal(first.call.err.code, TR_ACTOR_INVOKE);
    app_test_raw_wait(&t, "\r\n\r\n");
    app_test_raw_send(&t, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    test_call_wait(&t, &second);
    assert_int_equal(second.call.status, 200);
    test_call_fini(&second);
    app_test_fini(&t);
    (void)state;
}

static void no_more_callbacks_wait_than_the_limit(void **state)
{
    const struct tr_app_channel_conf conf = { .concurrency_max = 1 };
    struct app_test t;
    struct test_call *c = tr_xzalloc((TR_APP_WAITING_MAX + 2) * sizeof(*c));
    app_test_init_conf(&t, TR_HTTP_PROTOCOL_1, conf);
    for (size_t i = 0; i < TR_APP_WAITING_MAX + 2; i++) {
        test_call_init(&c[i], "m");
        test_call_start(&t, &c[i]);
    }
    test_call_wait(&t, &c[TR_APP_WAITING_MAX + 1]);
    assert_int_equal(c[TR_APP_WAITING_MAX + 1].call.err.code, TR_LIMIT);
    app_test_close_channel(&t); /* all that wait are told */
    for (size_t i = 0; i <= TR_APP_WAITING_MAX; i++) {
        assert_int_equal(c[i].done, 1);
        assert_int_equal(c[i].call.err.code, TR_CANCELED);
    }
    app_test_fini(&t);
    free(c);
    (void)state;
}

/* --- cancelling what the app has ------------------------------------------------------------------------------------- */

static void over_http1_a_cancel_closes_the_connection(void **state)
{
    struct app_test t;
    struct test_call c;
    app_test_init(&t, TR_HTTP_PROTOCOL_1);
    test_call_init(&c, "m");
    start_and_wait_seen(&t, &c);
    test_call_cancel(&t, &c);
    test_call_cancel(&t, &c); /* harmless */
    test_call_wait(&t, &c);
    assert_int_equal(c.call.err.code, TR_CANCELED);
    app_test_wait_aborted(&t, 0);
    test_call_fini(&c);
    app_test_fini(&t);
    (void)state;
}

static void over_http2_a_cancel_ends_only_the_wait(void **state)
{
    const struct tr_app_channel_conf conf = { .concurrency_max = 1 };
    struct app_test t;
    struct test_call first;
    struct test_call second;
    app_test_init_conf(&t, TR_HTTP_PROTOCOL_2, conf);
    test_call_init(&first, "first");
    test_call_init(&second, "second");
    start_and_wait_seen(&t, &first);
    test_call_start(&t, &second);
    test_call_cancel(&t, &first);
    test_call_cancel(&t, &first); /* harmless */
    test_call_wait(&t, &first);
    assert_int_equal(first.call.err.code, TR_CANCELED);
    test_call_fini(&first);
    app_test_settle(&t);
    assert_false(t.seen[0].is_aborted);
    assert_int_equal(t.seen_len, 1); /* the app is still busy with the first */
    app_test_answer(&t, 0, 200, "late");
    app_test_wait_seen(&t, 2);
    app_test_answer(&t, 1, 200, "");
    test_call_wait(&t, &second);
    test_call_fini(&second);
    app_test_fini(&t);
    (void)state;
}


/* Source: actors 5.5; Dapr tests/integration/suite/actors/call/h2c. */
static void over_http2_an_answer_that_has_begun_is_read_to_its_end(void **state)
{
    struct app_test t;
    struct test_call c;
    app_test_init(&t, TR_HTTP_PROTOCOL_2);
    test_call_init(&c, "m");
    start_and_wait_seen(&t, &c);
    tr_http_respond_start(t.seen[0].ex, 200, NULL, TR_HTTP_LENGTH_UNKNOWN);
    (void)tr_http_respond_write(t.seen[0].ex, TR_SLICE_LIT("first "));
    app_test_settle(&t); /* the head has arrived */
    test_call_cancel(&t, &c);
    app_test_settle(&t);
    assert_int_equal(c.done, 0);
    (void)tr_http_respond_write(t.seen[0].ex, TR_SLICE_LIT("second"));
    tr_http_respond_end(t.seen[0].ex);
    test_call_wait(&t, &c);
    assert_int_equal(c.call.err.code, TR_OK);
    assert_string_equal(tr_buf_cstr(&c.call.body_out), "first second");
    test_call_fini(&c);
    app_test_fini(&t);
    (void)state;
}

/* --- the end -------------------------------------------------------------------------------------------------------- */

static void over_http2_the_rest_of_a_canceled_answer_is_not_awaited_for_ever(void **state)
{
    const struct tr_app_channel_conf conf = { .rest_ms = 20 };
    struct app_test t;
    struct test_call c;
    app_test_init_conf(&t, TR_HTTP_PROTOCOL_2, conf);
    test_call_init(&c, "m");
    start_and_wait_seen(&t, &c);
    tr_http_respond_start(t.seen[0].ex, 200, NULL, TR_HTTP_LENGTH_UNKNOWN);
    (void)tr_http_respond_write(t.seen[0].ex, TR_SLICE_LIT("first "));
    app_test_settle(&t); /* the head has arrived */
    test_call_cancel(&t, &c);
    test_call_cancel(&t, &c); /* harmless */
    test_call_wait(&t, &c);
    assert_int_equal(c.call.err.code, TR_CANCELED);
    app_test_wait_aborted(&t, 0);
    test_call_fini(&c);
    app_test_fini(&t);
    (void)state;
}

static void closing_cancels_what_is_open(void **state)
{
    static const enum tr_http_protocol protocols[] = { TR_HTTP_PROTOCOL_1, TR_HTTP_PROTOCOL_2 };
    for (size_t i = 0; i < TR_ARRAY_LEN(protocols); i++) {
        const struct tr_app_channel_conf conf = { .concurrency_max = 1 };
        struct app_test t;
        struct test_call open;
        struct test_call waiting;
        app_test_init_conf(&t, protocols[i], conf);
        test_call_init(&open, "m");
        test_call_init(&waiting, "m");
        start_and_wait_seen(&t, &open);
        test_call_start(&t, &waiting);
        app_test_close_channel(&t);
        assert_int_equal(open.done, 1);
        assert_int_equal(open.call.err.code, TR_CANCELED);
        assert_int_equal(waiting.done, 1);
        assert_int_equal(waiting.call.err.code, TR_CANCELED);
        app_test_wait_aborted(&t, 0);
        app_test_fini(&t);
    }
    (void)state;
}

static void closing_takes_along_what_was_canceled_and_is_still_with_the_app(void **state)
{
    struct app_test t;
    struct test_call c;
    app_test_init(&t, TR_HTTP_PROTOCOL_2);
    test_call_init(&c, "m");
    start_and_wait_seen(&t, &c);
    test_call_cancel(&t, &c);
    app_test_close_channel(&t);
    assert_int_equal(c.done, 1);
    assert_int_equal(c.call.err.code, TR_CANCELED);
    app_test_fini(&t);
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_path_is_encoded_where_it_must_be),
        cmocka_unit_test(an_escape_that_is_there_already_stays),
        cmocka_unit_test(the_path_is_cleaned_after_it_was_put_together),
        cmocka_unit_test(a_broken_escape_fails_the_call_before_anything_is_sent),
        cmocka_unit_test(a_method_call_carries_query_body_and_content_type),
        cmocka_unit_test(a_method_call_without_body_has_a_length_and_no_content_type),
        cmocka_unit_test(the_sidecar_says_who_calls_and_the_client_does_not),
        cmocka_unit_test(what_is_off_is_not_said),
        cmocka_unit_test(a_full_list_of_headers_is_forwarded_up_to_the_limit),
        cmocka_unit_test(query_and_names_cannot_break_the_request_line),
        cmocka_unit_test(the_body_of_a_reminder_is_exact),
        cmocka_unit_test(the_body_of_a_timer_is_exact),
        cmocka_unit_test(a_deactivation_is_a_delete_without_body),
        cmocka_unit_test(a_get_carries_the_own_id_and_the_token),
        cmocka_unit_test(an_answer_of_200_brings_headers_content_type_and_body),
        cmocka_unit_test(an_answer_of_404_says_which_method_is_missing),
        cmocka_unit_test(every_other_answer_is_a_failure_with_status_and_body),
        cmocka_unit_test(the_app_can_ask_to_cancel_a_reminder),
        cmocka_unit_test(a_body_that_ends_early_counts_as_complete),
        cmocka_unit_test(an_app_that_hangs_up_gives_a_reason),
        cmocka_unit_test(an_answer_that_is_no_http_gives_a_reason),
        cmocka_unit_test(an_app_that_does_not_listen_gives_a_reason),
        cmocka_unit_test(an_answer_beyond_the_limits_is_a_failure),
        cmocka_unit_test(over_http2_requests_and_answers_are_the_same),
        cmocka_unit_test(no_callback_reaches_an_unhealthy_app),
        cmocka_unit_test(a_callback_that_is_with_the_app_survives_bad_health),
        cmocka_unit_test(callbacks_beyond_the_limit_wait_in_order),
        cmocka_unit_test(a_callback_that_waits_can_be_canceled_and_is_never_sent),
        cmocka_unit_test(a_slot_comes_back_from_a_callback_that_failed),
        cmocka_unit_test(no_more_callbacks_wait_than_the_limit),
        cmocka_unit_test(over_http1_a_cancel_closes_the_connection),
        cmocka_unit_test(over_http2_a_cancel_ends_only_the_wait),
        cmocka_unit_test(over_http2_an_answer_that_has_begun_is_read_to_its_end),
        cmocka_unit_test(over_http2_the_rest_of_a_canceled_answer_is_not_awaited_for_ever),
        cmocka_unit_test(closing_cancels_what_is_open),
        cmocka_unit_test(closing_takes_along_what_was_canceled_and_is_still_with_the_app),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
