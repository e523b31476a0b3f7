/* Actors over HTTP, from the bytes of a request to those of the answer: orders of checks, texts, waiting, going away. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/api/http_wire.h"

static struct tr_app_call *app_call(struct http_test *t)
{
    assert_int_equal(t->api.engine.app.open_len, 1);
    return app_open(&t->api.engine, 0);
}

static void assert_slice(struct tr_slice slice, const char *want)
{
    if (!tr_slice_eq_str(slice, want)) {
        fail_msg("'%.*s' is not '%s'", TR_SLICE_ARG(slice), want);
    }
}

#define CAT "/v1.0/actors/cat/1"

/* --- A: what reaches the app ------------------------------------------------------------------------------------------ */

static void a_call_reaches_the_app_and_its_answer_the_client(void **state)
{
    struct http_test *t = *state;
    send_with(t, "POST " CAT "/method/feed?x=%20y", "x-own: 1\r\nContent-Type: text/x\r\nX-Own: 2\r\n", TR_SLICE_LIT("hay"));
    struct tr_app_call *call = app_call(t);
    assert_int_equal(call->kind, TR_APP_METHOD);
    assert_slice(call->actor_type, "cat");
    assert_slice(call->actor_id, "1");
    assert_slice(call->name, "feed");
    assert_slice(call->query, "x=%20y");
    assert_slice(call->content_type, "text/x");
    assert_slice(call->body, "hay");
    assert_false(call->is_remote);
    assert_int_equal(tr_http_headers_count(call->headers, "x-own"), 2);
    assert_slice(tr_http_headers_at(call->headers, 0).name, "X-Own"); /* canonical, as a Go server hands it on */
    assert_false(tr_http_headers_has(call->headers, "host"));
    assert_nothing(t);
    tr_http_headers_add_str(&call->headers_out, "X-Answer", "yes");
    tr_http_headers_add_str(&call->headers_out, "Connection", "x-hop");
    tr_http_headers_add_str(&call->headers_out, "X-Hop", "no");
    tr_http_headers_add_str(&call->headers_out, "Content-Length", "99");
    tr_http_headers_add_str(&call->headers_out, "grpc-x", "prefixed");
    tr_buf_add_str(&call->content_type_out, "text/y");
    app_answer(&t->api.engine, 0, 200, "purr");
    http_test_pump(t);
    core_assert_sent(&t->core, "HTTP/1.1 200 OK\r\nX-Answer: yes\r\ndapr-grpc-x: prefixed\r\nContent-Type: text/y\r\n"
                               "Content-Length: 4\r\n\r\npurr");
}

static void an_answer_without_content_type_is_json(void **state)
{
    struct http_test *t = *state;
    send_line(t, "PUT " CAT "/method/feed");
    app_answer(&t->api.engine, 0, 200, "{}");
    assert_answer(t, 200, "{}");
}

static void every_verb_of_the_route_is_the_same_to_the_app(void **state)
{
    static const char *const verbs[] = { "GET", "POST", "PUT", "DELETE" };
    struct http_test *t = *state;
    for (size_t i = 0; i < TR_ARRAY_LEN(verbs); i++) {
        char line[64];
        (void)snprintf(line, sizeof(line), "%s " CAT "/method/feed", verbs[i]);
        send_line(t, line);
        assert_slice(app_call(t)->name, "feed");
        app_answer(&t->api.engine, 0, 200, "");
        assert_answer(t, 200, "");
    }
}

static void what_matches_no_route_would_be_a_call_of_an_app(void **state)
{
    static const char *const lines[] = { "PATCH " CAT "/method/feed", "OPTIONS " CAT "/method/feed",
                                         "GET " CAT "/method/a/b",    "GET " CAT "/method/",
                                         "GET " CAT,                  "GET " CAT "/timers/t",
                                         "DELETE " CAT "/state/k",    "GET /v1.0/actors//1/method/feed",
                                         "GET /v2.0/actors/cat/1/method/feed" };
    struct http_test *t = *state;
    for (size_t i = 0; i < TR_ARRAY_LEN(lines); i++) {
        send_line(t, lines[i]);
        assert_error(t, 404, "ERR_DIRECT_INVOKE",
                     "failed getting app id either from the URL path or the header dapr-app-id");
    }
    assert_int_equal(t->api.engine.app.started, 0);
}

static void paths_are_cleaned_before_and_decoded_after_routing(void **state)
{
    static const struct {
        const char *path;
        const char *id;
        const char *method;
    } rows[] = {
        { "//v1.0/./actors/cat/x/../1/method/feed/", "1", "feed" },
        { "/v1.0/actors/cat/a%7Cb+c/method/feed", "a|b c", "feed" },
        { "/v1.0/actors/cat/1/method/a%2Fb", "1", "a/b" },
        { "/v1.0/actors/cat/1/method/%2e%2e%2Fa%2F..%2Fb", "1", "b" },
        { "/v1.0/actors/cat/1/method/..%2F..%2Fsecret", "1", "secret" },
        { "/v1.0/actors/cat/1/method/%2E%2E", "1", "" },
        { "/v1.0/actors/cat/1/method/a%5Cb%25%22*", "1", "a\\b%\"*" },
        { "/v1.0/actors/cat/caf%C3%A9/method/feed", "caf\xc3\xa9", "feed" },
    };
    struct http_test *t = *state;
    for (size_t i = 0; i < TR_ARRAY_LEN(rows); i++) {
        char line[128];
        (void)snprintf(line, sizeof(line), "GET %s", rows[i].path);
        send_line(t, line);
        assert_slice(app_call(t)->actor_id, rows[i].id);
        assert_slice(app_call(t)->name, rows[i].method);
        app_answer(&t->api.engine, 0, 200, "");
        assert_answer(t, 200, "");
    }
}

/* The server refuses such a target before there is a request. */
static void a_path_with_a_broken_escape_is_refused(void **state)
{
    static const char *const lines[] = { "GET /v1.0/actors/cat/%zz/method/feed", "GET " CAT "/method/a%4",
                                         "GET " CAT "/state/%" };
    for (size_t i = 0; i < TR_ARRAY_LEN(lines); i++) {
        struct http_test *t = tr_xzalloc(sizeof(*t));
        http_test_init(t, NULL);
        send_line(t, lines[i]);
        char *answer = core_take_sent(&t->core);
        assert_true(tr_slice_starts(tr_slice_str(answer), TR_SLICE_LIT("HTTP/1.1 400 Bad Request\r\n")));
        free(answer);
        assert_int_equal(t->api.engine.app.started, 0);
        http_test_fini(t);
        free(t);
    }
    (void)state;
}

static void names_that_break_the_rules_are_refused(void **state)
{
    static const char *const rows[][2] = {
        { "/v1.0/actors/c%23/1/method/m", "invalid request: invalid actorType: name contains forbidden character: \\\"c#\\\"" },
        { "/v1.0/actors/cat/a%2Fb/method/m",
          "invalid request: invalid actorId: name contains forbidden character: \\\"a/b\\\"" },
        { "/v1.0/actors/cat/%2E%2E/method/m",
          "invalid request: invalid actorId: name is a path traversal sequence: \\\"..\\\"" },
        { CAT "/method/a%3Fb", "invalid request: method contains forbidden character: \\\"a?b\\\"" },
        { CAT "/method/a%0Ab", "invalid request: method contains control character at position 1: \\\"a\\\\nb\\\"" },
        { "/v1.0/actors/c%23/%23/method/%23",
          "invalid request: invalid actorType: name contains forbidden character: \\\"c#\\\"" },
        { "/v1.0/actors/cat/%23/method/%23",
          "invalid request: invalid actorId: name contains forbidden character: \\\"#\\\"" },
    };
    struct http_test *t = *state;
    for (size_t i = 0; i < TR_ARRAY_LEN(rows); i++) {
        char line[128];
        (void)snprintf(line, sizeof(line), "PUT %s", rows[i][0]);
        send_body(t, line, "body");
        assert_error(t, 400, "ERR_BAD_REQUEST", rows[i][1]);
    }
    assert_int_equal(t->api.engine.app.started, 0);
}

static void a_client_cannot_say_who_calls(void **state)
{
    struct http_test *t = *state;
    send_with(t, "PUT " CAT "/method/m",
              "Dapr-Caller-App-Id: forged\r\ndapr-caller-namespace: forged\r\ndapr-api-token: secret\r\nx-kept: 1\r\n",
              TR_SLICE_LIT(""));
    const struct tr_http_headers *headers = app_call(t)->headers;
    assert_false(tr_http_headers_has(headers, "dapr-caller-app-id"));
    assert_false(tr_http_headers_has(headers, "dapr-caller-namespace"));
    assert_false(tr_http_headers_has(headers, "dapr-api-token"));
    assert_true(tr_http_headers_has(headers, "x-kept"));
    app_answer(&t->api.engine, 0, 200, "");
    assert_answer(t, 200, "");
}

/* --- A: what goes wrong ------------------------------------------------------------------------------------------------ */

static void failures_of_the_app_are_told_with_its_words(void **state)
{
    struct http_test *t = *state;
    send_line(t, "PUT " CAT "/method/m");
    app_answer(&t->api.engine, 0, 500, "out of \"stock\"");
    assert_error(t, 500, "ERR_ACTOR_INVOKE_METHOD",
                 "error invoke actor method: error from actor service: (500) out of \\\"stock\\\"");
    send_line(t, "PUT " CAT "/method/m");
    app_fail(&t->api.engine, 0, TR_INTERNAL, "app is not in a healthy state");
    assert_error(t, 500, "ERR_ACTOR_INVOKE_METHOD",
                 "error invoke actor method: rpc error: code = Internal desc = app is not in a healthy state");
    send_line(t, "PUT " CAT "/method/m");
    app_fail(&t->api.engine, 0, TR_ACTOR_INVOKE, "actor host is not connected");
    assert_error(t, 500, "ERR_ACTOR_INVOKE_METHOD", "error invoke actor method: actor host is not connected");
}

static void an_error_of_the_app_itself_passes_with_200(void **state)
{
    struct http_test *t = *state;
    send_line(t, "PUT " CAT "/method/m");
    tr_http_headers_add_str(&app_call(t)->headers_out, "X-DaprErrorResponseHeader", "true");
    app_answer(&t->api.engine, 0, 200, "sorry");
    http_test_pump(t);
    core_assert_sent(&t->core, "HTTP/1.1 200 OK\r\nX-DaprErrorResponseHeader: true\r\nContent-Type: application/json\r\n"
                               "Content-Length: 5\r\n\r\nsorry");
}

static void a_method_cannot_cancel_a_reminder(void **state)
{
    struct http_test *t = *state;
    send_line(t, "PUT " CAT "/method/m");
    tr_http_headers_add_str(&app_call(t)->headers_out, "X-DaprReminderCancel", "true");
    app_answer(&t->api.engine, 0, 200, "");
    assert_error(t, 500, "ERR_ACTOR_INVOKE_METHOD", "error invoke actor method: reminder has been canceled");
}

static void a_body_over_the_limit_is_refused(void **state)
{
    struct http_test *t = *state;
    char body[API_TEST_BODY_MAX + 2];
    memset(body, ' ', sizeof(body));
    send_with(t, "PUT " CAT "/method/m", "", tr_slice(body, API_TEST_BODY_MAX));
    assert_int_equal(app_call(t)->body.len, API_TEST_BODY_MAX);
    app_answer(&t->api.engine, 0, 200, "");
    assert_answer(t, 200, "");
    send_with(t, "PUT " CAT "/method/m", "", tr_slice(body, API_TEST_BODY_MAX + 1));
    assert_error(t, 400, "ERR_BAD_REQUEST", "invalid request: failed to read body: stream too large");
    assert_int_equal(t->api.engine.app.started, 1);
}

static void a_chain_that_is_too_deep_has_its_own_error(void **state)
{
    struct http_test *t = *state;
    struct tr_actor_type_conf type = engine_test_type("dog");
    struct test_call outer;
    type.is_reentrant = true;
    type.depth_max = 1;
    api_test_register(&t->api, &type);
    test_call_init(&outer, "dog", "1", "m");
    outer.call.chain_id = TR_SLICE_LIT("chain");
    test_call_start(&t->api.engine, &outer);
    send_with(t, "PUT /v1.0/actors/dog/1/method/m", "dapr-reentrancy-ID: chain\r\n", TR_SLICE_LIT(""));
    assert_error(t, 500, "ERR_ACTOR_STACK_DEPTH", "maximum stack depth exceeded");
    app_answer(&t->api.engine, 0, 200, "");
    test_call_fini(&outer);
}

static void an_actor_without_owner_is_looked_for_six_times(void **state)
{
    struct http_test *t = *state;
    t->api.engine.owner.answer = TR_OWNER_NONE;
    send_line(t, "PUT " CAT "/method/m");
    assert_nothing(t);
    loop_fake_advance(t->api.engine.loop, 4999);
    assert_nothing(t);
    loop_fake_advance(t->api.engine.loop, 1);
    assert_error(t, 500, "ERR_ACTOR_INVOKE_METHOD",
                 "error invoke actor method: failed to lookup actor: api error: code = FailedPrecondition desc = did not "
                 "find address for actor 'cat/1'");
}

static void a_call_is_passed_on_to_the_owner(void **state)
{
    struct http_test *t = *state;
    t->api.engine.owner.answer = TR_OWNER_REMOTE;
    send_with(t, "PUT " CAT "/method/m?q", "content-type: a/b\r\nx-own: 1\r\n", TR_SLICE_LIT("body"));
    assert_int_equal(t->api.engine.remote.open_len, 1);
    const struct tr_actor_call *call = t->api.engine.remote.open[0]->call;
    assert_slice(call->name, "m");
    assert_slice(call->query, "q");
    assert_slice(call->content_type, "a/b");
    assert_slice(call->body, "body");
    assert_slice(tr_http_headers_value(call->headers, "X-Own"), "1");
    remote_answer(&t->api.engine, 0, 0, "from afar");
    assert_answer(t, 200, "from afar");
    send_line(t, "PUT " CAT "/method/m");
    remote_answer(&t->api.engine, 0, 8, "maximum stack depth exceeded");
    assert_error(t, 500, "ERR_ACTOR_INVOKE_METHOD",
                 "error invoke actor method: rpc error: code = ResourceExhausted desc = maximum stack depth exceeded");
}

static void without_placement_every_route_says_so_first(void **state)
{
    static const char *const lines[] = { "PUT /v1.0/actors/c%23/1/method/m", "GET " CAT "/state/k",
                                         "GET " CAT "/reminders/r" };
    const struct api_test_conf conf = { .is_disabled = true };
    struct http_test *t = tr_xzalloc(sizeof(*t));
    http_test_init(t, &conf);
    for (size_t i = 0; i < TR_ARRAY_LEN(lines); i++) {
        send_line(t, lines[i]);
        assert_error(t, 400, "ERR_ACTOR_NO_PLACEMENT", "placement service is not configured");
    }
    send_body(t, "PUT " CAT "/state", "[]");
    assert_error(t, 400, "ERR_ACTOR_NO_PLACEMENT", "placement service is not configured");
    send_body(t, "PUT " CAT "/timers/x", "{}");
    assert_error(t, 400, "ERR_ACTOR_NO_PLACEMENT", "placement service is not configured");
    http_test_fini(t);
    free(t);
    (void)state;
}

static void after_the_stop_every_route_says_so(void **state)
{
    struct http_test *t = *state;
    api_test_stop(&t->api);
    send_line(t, "PUT " CAT "/method/m");
    assert_error(t, 503, "ERR_ACTOR_RUNTIME_CLOSED", "actor runtime is closed");
    send_line(t, "GET " CAT "/state/k");
    assert_error(t, 503, "ERR_ACTOR_RUNTIME_CLOSED", "actor runtime is closed");
    send_body(t, "PUT " CAT "/reminders/r", "{}");
    assert_error(t, 503, "ERR_ACTOR_RUNTIME_CLOSED", "actor runtime is closed");
}

/* --- the first gate, and clients that go away ---------------------------------------------------------------------------- */

static void requests_wait_until_the_types_are_known(void **state)
{
    const struct api_test_conf conf = { .is_bare = true };
    struct http_test *t = tr_xzalloc(sizeof(*t));
    const struct tr_actor_type_conf type = engine_test_type("cat");
    http_test_init(t, &conf);
    send_body(t, "PUT " CAT "/method/m", "body"); /* nothing of it is checked yet */
    assert_nothing(t);
    api_test_register(&t->api, &type);
    http_test_pump(t);
    assert_slice(app_call(t)->body, "body");
    app_answer(&t->api.engine, 0, 200, "");
    assert_answer(t, 200, "");
    http_test_fini(t);
    free(t);
    (void)state;
}

static void a_client_that_goes_away_from_the_gate_is_forgotten(void **state)
{
    static const char *const lines[] = { "PUT " CAT "/method/m", "GET " CAT "/state/k", "DELETE " CAT "/timers/x",
                                         "GET " CAT "/reminders/r" };
    const struct api_test_conf conf = { .is_bare = true };
    const struct tr_actor_type_conf type = engine_test_type("cat");
    for (size_t i = 0; i < TR_ARRAY_LEN(lines); i++) {
        struct http_test *t = tr_xzalloc(sizeof(*t));
        http_test_init(t, &conf);
        send_line(t, lines[i]);
        go_away(t);
        assert_int_equal(tr_api_open(t->api.api), 0);
        api_test_register(&t->api, &type);
        assert_int_equal(t->api.engine.app.started, 0);
        http_test_fini(t);
        free(t);
    }
    (void)state;
}

static void waiting_ends_when_the_runtime_stops(void **state)
{
    const struct api_test_conf conf = { .is_bare = true };
    struct http_test *t = tr_xzalloc(sizeof(*t));
    http_test_init(t, &conf);
    send_line(t, "PUT " CAT "/method/m");
    api_test_stop(&t->api);
    assert_error(t, 503, "ERR_ACTOR_RUNTIME_CLOSED", "actor runtime is closed");
    http_test_fini(t);
    free(t);
    (void)state;
}

static void a_client_that_goes_away_takes_its_call_along(void **state)
{
    struct http_test *t = *state;
    send_line(t, "PUT " CAT "/method/m");
    assert_int_equal(t->api.engine.app.open_len, 1);
    go_away(t);
    assert_int_equal(t->api.engine.app.open_len, 0); /* canceled */
    assert_int_equal(tr_api_open(t->api.api), 0);
}

static void a_client_that_goes_away_takes_its_remote_call_along(void **state)
{
    struct http_test *t = *state;
    t->api.engine.owner.answer = TR_OWNER_REMOTE;
    send_line(t, "PUT " CAT "/method/m");
    assert_int_equal(t->api.engine.remote.open_len, 1);
    go_away(t);
    assert_int_equal(t->api.engine.remote.open_len, 0);
    assert_int_equal(tr_api_open(t->api.api), 0);
}

static void a_client_that_goes_away_from_state_is_forgotten(void **state)
{
    static const char *const lines[] = { "GET " CAT "/state/k", "PUT " CAT "/state" };
    for (size_t i = 0; i < TR_ARRAY_LEN(lines); i++) {
        struct http_test *t = tr_xzalloc(sizeof(*t));
        http_test_init(t, NULL);
        t->api.engine.owner.answer = TR_OWNER_LOCKED; /* both are held */
        send_body(t, lines[i], "[]");
        assert_int_equal(tr_api_open(t->api.api), 1);
        go_away(t);
        assert_int_equal(tr_api_open(t->api.api), 0);
        http_test_fini(t);
        free(t);
    }
    (void)state;
}

static void a_body_that_never_ends_is_given_up_with_its_client(void **state)
{
    static const char *const lines[] = { "PUT " CAT "/method/m", "PUT " CAT "/state", "PUT " CAT "/timers/x" };
    for (size_t i = 0; i < TR_ARRAY_LEN(lines); i++) {
        struct http_test *t = tr_xzalloc(sizeof(*t));
        char text[128];
        http_test_init(t, NULL);
        (void)snprintf(text, sizeof(text), "%s HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\n{", lines[i]);
        core_feed_str(&t->core, text);
        http_test_pump(t);
        assert_int_equal(tr_api_open(t->api.api), 1);
        go_away(t);
        assert_int_equal(tr_api_open(t->api.api), 0);
        http_test_fini(t);
        free(t);
    }
    (void)state;
}

/* --- B: state transactions ------------------------------------------------------------------------------------------------ */

static void assert_tx(struct http_test *t, const char *body, const char *cause)
{
    struct tr_buf message = { 0 };
    send_body(t, "PUT " CAT "/state", body);
    tr_buf_addf(&message, "error saving actor transaction state: %s", cause);
    assert_error(t, 500, "ERR_ACTOR_STATE_TRANSACTION_SAVE", tr_buf_cstr(&message));
    tr_buf_fini(&message);
}

static void a_transaction_is_written_and_read_back(void **state)
{
    struct http_test *t = *state;
    api_test_activate(&t->api, "1");
    send_body(t, "POST " CAT "/state",
              "[{\"operation\":\"upsert\",\"request\":{\"key\":\"k1\",\"value\": { \"b\" : 1, \"a\":\"<x>\" } }},"
              "{\"OPERATION\":\"upsert\",\"Request\":{\"KEY\":\"k2\",\"Value\":\"text\",\"unknown\":1}},"
              "{\"operation\":\"upsert\",\"request\":{\"key\":\"k3\"}},null]");
    assert_error(t, 500, "ERR_ACTOR_STATE_TRANSACTION_SAVE", "error saving actor transaction state: operation is empty");
    send_body(t, "POST " CAT "/state",
              "[{\"operation\":\"upsert\",\"request\":{\"key\":\"k1\",\"value\": { \"b\" : 1, \"a\":\"<x>\" } }},"
              "{\"OPERATION\":\"upsert\",\"Request\":{\"KEY\":\"k2\",\"Value\":\"text\",\"unknown\":1}},"
              "{\"operation\":\"upsert\",\"request\":{\"key\":\"k3\"}}]");
    assert_empty(t);
    send_line(t, "GET " CAT "/state/k1");
    assert_answer(t, 200, "{\"b\":1,\"a\":\"\\u003cx\\u003e\"}");
    send_line(t, "GET " CAT "/state/k2");
    assert_answer(t, 200, "\"text\"");
    send_line(t, "GET " CAT "/state/k3");
    assert_answer(t, 200, "null");
    send_body(t, "PUT " CAT "/state", "[{\"operation\":\"delete\",\"request\":{\"key\":\"k1\"}}]");
    assert_empty(t);
    send_line(t, "GET " CAT "/state/k1");
    assert_empty(t);
}

static void a_transaction_of_nothing_is_fine(void **state)
{
    struct http_test *t = *state;
    api_test_activate(&t->api, "1");
    send_body(t, "PUT " CAT "/state", "[]");
    assert_empty(t);
    send_body(t, "PUT " CAT "/state", " null ");
    assert_empty(t);
}

static void operations_that_break_the_rules_are_refused(void **state)
{
    struct http_test *t = *state;
    api_test_activate(&t->api, "1");
    assert_tx(t, "[{}]", "operation is empty");
    assert_tx(t, "[{\"operation\":\"\"}]", "operation is empty");
    assert_tx(t, "[{\"operation\":\"Upsert\"}]", "operation type Upsert not supported");
    assert_tx(t, "[{\"operation\":\"upsert\"}]", "request data is empty");
    assert_tx(t, "[{\"operation\":\"upsert\",\"request\":null}]", "request data is empty");
    assert_tx(t, "[{\"operation\":\"upsert\",\"request\":5}]", "request data is no object");
    assert_tx(t, "[{\"operation\":\"upsert\",\"request\":{}}]", "missing key");
    assert_tx(t, "[{\"operation\":\"delete\",\"request\":{\"key\":\"\"}}]", "missing key");
    assert_tx(t, "[{\"operation\":\"upsert\",\"request\":{\"key\":5}}]", "'key' is no string");
    assert_tx(t, "[{\"operation\":\"upsert\",\"request\":{\"key\":\"k\",\"etag\":5}}]", "'etag' is no string");
    assert_tx(t, "[{\"operation\":\"upsert\",\"request\":{\"key\":\"k\",\"metadata\":5}}]", "'metadata' is no object");
    assert_tx(t, "[{\"operation\":\"upsert\",\"request\":{\"key\":\"k\",\"metadata\":{\"ttlInSeconds\":5}}}]",
              "'metadata' holds a value that is no string");
    assert_tx(t, "[{\"operation\":\"upsert\",\"request\":{\"key\":\"k\",\"metadata\":{\"ttlInSeconds\":\"5\"}}}]",
              "ttlInSeconds is not supported without the \\\"ActorStateTTL\\\" feature enabled");
    send_line(t, "GET " CAT "/state/k");
    assert_empty(t); /* nothing was written */
}

static void a_wrong_etag_fails_the_whole_transaction(void **state)
{
    struct http_test *t = *state;
    api_test_activate(&t->api, "1");
    send_body(t, "PUT " CAT "/state",
              "[{\"operation\":\"upsert\",\"request\":{\"key\":\"a\",\"value\":1}},"
              "{\"operation\":\"upsert\",\"request\":{\"key\":\"b\",\"value\":1,\"etag\":\"77\"}}]");
    char *answer = core_take_sent(&t->core);
    assert_non_null(strstr(answer, "HTTP/1.1 500 "));
    assert_non_null(strstr(answer, "{\"errorCode\":\"ERR_ACTOR_STATE_TRANSACTION_SAVE\",\"message\":\"error saving actor "
                                   "transaction state: possible etag mismatch."));
    free(answer);
    send_line(t, "GET " CAT "/state/a");
    assert_empty(t);
}

static void the_actor_must_be_active_here(void **state)
{
    struct http_test *t = *state;
    send_body(t, "PUT " CAT "/state", "[{\"operation\":\"upsert\",\"request\":{\"key\":\"k\",\"value\":1}}]");
    assert_error(t, 400, "ERR_ACTOR_INSTANCE_MISSING", "actor instance is missing");
    send_body(t, "PUT " CAT "/state", "[{}]"); /* told before what is wrong with the operations */
    assert_error(t, 400, "ERR_ACTOR_INSTANCE_MISSING", "actor instance is missing");
    send_body(t, "PUT " CAT "/state", "{}"); /* but after what is wrong with the body */
    assert_error(t, 400, "ERR_MALFORMED_REQUEST", "failed deserializing HTTP body: the body is no array of operations");
}

/* The actor becomes active while the transaction is held: then it must be written, or refused, like any other. */
static void a_transaction_that_was_held_is_not_lost(void **state)
{
    struct http_test *t = *state;
    struct test_call c;
    t->api.engine.owner.answer = TR_OWNER_LOCKED;
    test_call(&t->api.engine, &c, "1");
    send_body(t, "PUT " CAT "/state", "[{\"operation\":\"upsert\",\"request\":{\"key\":\"k\",\"value\":1}}]");
    assert_nothing(t);
    t->api.engine.owner.answer = TR_OWNER_LOCAL;
    owner_release(&t->api.engine);
    assert_empty(t);
    send_line(t, "GET " CAT "/state/k");
    assert_answer(t, 200, "1");
    app_answer(&t->api.engine, 0, 200, "");
    test_call_fini(&c);
}

static void a_bad_transaction_that_was_held_is_refused(void **state)
{
    struct http_test *t = *state;
    struct test_call c;
    t->api.engine.owner.answer = TR_OWNER_LOCKED;
    test_call(&t->api.engine, &c, "1");
    send_body(t, "PUT " CAT "/state", "[{}]");
    assert_nothing(t);
    t->api.engine.owner.answer = TR_OWNER_LOCAL;
    owner_release(&t->api.engine);
    assert_error(t, 500, "ERR_ACTOR_STATE_TRANSACTION_SAVE", "error saving actor transaction state: operation is empty");
    app_answer(&t->api.engine, 0, 200, "");
    test_call_fini(&c);
}

static void bodies_that_are_no_transaction_are_malformed(void **state)
{
    struct http_test *t = *state;
    char body[API_TEST_BODY_MAX + 2];
    send_body(t, "PUT " CAT "/state", "");
    assert_error(t, 400, "ERR_MALFORMED_REQUEST", "failed deserializing HTTP body: EOF");
    send_body(t, "PUT " CAT "/state", "[1]");
    assert_error(t, 400, "ERR_MALFORMED_REQUEST", "failed deserializing HTTP body: an operation is no object");
    send_body(t, "PUT " CAT "/state", "[{\"operation\":1}]");
    assert_error(t, 400, "ERR_MALFORMED_REQUEST", "failed deserializing HTTP body: 'operation' is no string");
    send_body(t, "PUT " CAT "/state", "[{]");
    char *answer = core_take_sent(&t->core);
    assert_non_null(strstr(answer, "HTTP/1.1 400 "));
    assert_non_null(strstr(answer, "{\"errorCode\":\"ERR_MALFORMED_REQUEST\",\"message\":\"failed deserializing HTTP body: "));
    free(answer);
    memset(body, ' ', sizeof(body));
    send_with(t, "PUT " CAT "/state", "", tr_slice(body, API_TEST_BODY_MAX + 1));
    assert_error(t, 400, "ERR_MALFORMED_REQUEST", "failed deserializing HTTP body: stream too large");
}

static void a_transaction_of_many_texts_fits_its_memory(void **state)
{
    struct http_test *t = *state;
    struct tr_buf body = { 0 };
    api_test_activate(&t->api, "1");
    tr_buf_add_str(&body, "[");
    for (unsigned i = 0; i < 7; i++) {
        tr_buf_addf(&body,
                    "%s{\"operation\":\"upsert\",\"request\":{\"key\":\"\\u006b%u\",\"value\":\"<&>\xe2\x80\xa8<<<<<<<<\"}}",
                    i > 0 ? "," : "", i);
    }
    tr_buf_add_str(&body, "]");
    assert_true(body.len < API_TEST_BODY_MAX);
    send_body(t, "PUT " CAT "/state", tr_buf_cstr(&body));
    assert_empty(t);
    send_line(t, "GET " CAT "/state/k6");
    assert_answer(t, 200, "\"\\u003c\\u0026\\u003e\\u2028\\u003c\\u003c\\u003c\\u003c\\u003c\\u003c\\u003c\\u003c\"");
    tr_buf_fini(&body);
}

/* --- C: state get ------------------------------------------------------------------------------------------------------- */

static void any_key_of_the_app_can_be_read(void **state)
{
    struct http_test *t = *state;
    api_test_activate(&t->api, "1");
    send_body(t, "PUT " CAT "/state", "[{\"operation\":\"upsert\",\"request\":{\"key\":\"a/b c\",\"value\":1}}]");
    assert_empty(t);
    send_line(t, "GET " CAT "/state/a%2Fb+c");
    assert_answer(t, 200, "1");
    send_line(t, "GET " CAT "/state/other");
    assert_empty(t);
    send_line(t, "GET /v1.0/actors/unknown/1/state/k");
    assert_empty(t);
}

static void an_expiry_is_told_in_a_header(void **state)
{
    struct http_test *t = *state;
    const struct tr_actor_state_conf conf = { .store = t->api.store,
                                              .is_capable = true,
                                              .has_ttl = true,
                                              .app_id = TR_SLICE_LIT("me") };
    tr_actor_state_set(t->api.engine.engine, &conf);
    api_test_activate(&t->api, "1");
    send_body(t, "PUT " CAT "/state",
              "[{\"operation\":\"upsert\",\"request\":{\"key\":\"k\",\"value\":1,\"metadata\":{\"x\":\"y\","
              "\"ttlInSeconds\":\"60\"}}}]");
    assert_empty(t);
    send_line(t, "GET " CAT "/state/k");
    core_assert_sent(&t->core, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
                               "Metadata.ttlexpiretime: 2026-08-02T10:01:00Z\r\nContent-Length: 1\r\n\r\n1");
    loop_fake_advance(t->api.engine.loop, 60001);
    send_line(t, "GET " CAT "/state/k");
    assert_empty(t);
}

static void without_a_store_state_says_how_to_get_one(void **state)
{
    static const char text[] = "the state store is not configured to use the actor runtime. Have you set the - name: "
                               "actorStateStore value: \\\"true\\\" in your state store component file?";
    const struct api_test_conf conf = { .has_no_store = true };
    struct http_test *t = tr_xzalloc(sizeof(*t));
    http_test_init(t, &conf);
    send_line(t, "GET " CAT "/state/k");
    assert_error(t, 500, "ERR_ACTOR_RUNTIME_NOT_FOUND", text);
    http_test_fini(t);
    free(t);
    (void)state;
}

/* --- the workflow engine's types ------------------------------------------------------------------------------------------ */

static void types_of_the_workflow_engine_are_reserved_but_for_calls(void **state)
{
    static const char *const lines[] = { "PUT /v1.0/actors/dapr.internal.x/1/state",
                                         "GET /v1.0/actors/dapr.internal.x/1/state/k",
                                         "PUT /v1.0/actors/dapr.internal.x/1/reminders/r",
                                         "GET /v1.0/actors/dapr.internal.x/1/reminders/r",
                                         "DELETE /v1.0/actors/dapr.internal.x/1/reminders/r",
                                         "PUT /v1.0/actors/dapr.internal.x/1/timers/x",
                                         "DELETE /v1.0/actors/dapr.internal.x/1/timers/x" };
    struct http_test *t = *state;
    for (size_t i = 0; i < TR_ARRAY_LEN(lines); i++) {
        send_body(t, lines[i], "not even JSON");
        assert_error(t, 403, "ERR_ACTOR_TYPE_RESERVED",
                     "actor type \\\"dapr.internal.x\\\" is reserved for the Dapr workflow runtime; direct actor API access "
                     "is not permitted");
    }
    const struct tr_actor_type_conf type = engine_test_type("dapr.internal.x");
    api_test_register(&t->api, &type);
    send_line(t, "PUT /v1.0/actors/dapr.internal.x/1/method/m");
    app_answer(&t->api.engine, 0, 200, "");
    assert_answer(t, 200, "");
}

/* --- G, H: timers ----------------------------------------------------------------------------------------------------------- */

static void a_timer_is_created_fires_and_is_deleted(void **state)
{
    struct http_test *t = *state;
    send_body(t, "PUT " CAT "/timers/tick",
              "{\"dueTime\":\"1s\",\"PERIOD\":\"R2/PT5S\",\"callback\":\"c\\u0062\",\"data\": { \"x\" : \"<\" },"
              "\"ttl\":null,\"unknown\":[1]}");
    assert_empty(t);
    loop_fake_advance(t->api.engine.loop, 1000);
    struct tr_app_call *call = app_call(t);
    assert_int_equal(call->kind, TR_APP_TIMER);
    assert_slice(call->name, "tick");
    assert_slice(call->due_time, "1s");
    assert_slice(call->period, "R2/PT5S");
    assert_slice(call->callback, "cb");
    assert_slice(call->body, "{\"x\":\"\\u003c\"}");
    app_answer(&t->api.engine, 0, 200, "");
    send_line(t, "DELETE " CAT "/timers/tick");
    assert_empty(t);
    loop_fake_advance(t->api.engine.loop, 6000);
    assert_int_equal(t->api.engine.app.open_len, 0);
    send_body(t, "DELETE " CAT "/timers/tick", "{\"any\":1}");
    assert_empty(t); /* idempotent */
}

static void data_of_null_is_a_value_and_absent_data_none(void **state)
{
    struct http_test *t = *state;
    send_body(t, "PUT " CAT "/timers/a", "{\"data\":null}");
    assert_empty(t);
    assert_slice(app_call(t)->body, "null");
    app_answer(&t->api.engine, 0, 200, "");
    send_body(t, "PUT " CAT "/timers/b", "{}");
    assert_empty(t);
    assert_slice(app_call(t)->body, "");
    app_answer(&t->api.engine, 0, 200, "");
}

static void a_timer_that_cannot_be_is_refused(void **state)
{
    struct http_test *t = *state;
    send_body(t, "PUT /v1.0/actors/dog/1/timers/x", "{}");
    assert_error(t, 500, "ERR_ACTOR_TIMER_CREATE",
                 "error creating actor timer: can't create timer for actor dog||1: actor type not registered");
    send_body(t, "PUT " CAT "/timers/x", "{\"period\":\"R0/PT1S\"}");
    assert_error(t, 500, "ERR_ACTOR_TIMER_CREATE",
                 "error creating actor timer: invalid timer period: has zero repetitions");
    send_body(t, "PUT " CAT "/timers/a%2Fb", "{}");
    assert_error(t, 400, "ERR_BAD_REQUEST", "invalid request: name contains forbidden character: \\\"a/b\\\"");
    send_body(t, "PUT " CAT "/timers/a%2Fb", "nonsense"); /* the body is looked at first */
    char *answer = core_take_sent(&t->core);
    assert_non_null(strstr(answer, "ERR_MALFORMED_REQUEST"));
    free(answer);
}

static void bodies_of_timers_and_reminders_are_objects_of_strings(void **state)
{
    static const char *const kinds[] = { "timers", "reminders" };
    static const char *const rows[][2] = {
        { "", "EOF" },
        { "null", "the body is no object" },
        { "[]", "the body is no object" },
        { "{\"dueTime\":1}", "'dueTime' is no string" },
        { "{\"period\":true}", "'period' is no string" },
        { "{\"ttl\":{}}", "'ttl' is no string" },
        { "{\"callback\":[]}", "'callback' is no string" },
    };
    struct http_test *t = *state;
    for (size_t k = 0; k < TR_ARRAY_LEN(kinds); k++) {
        for (size_t i = 0; i < TR_ARRAY_LEN(rows); i++) {
            char line[64];
            char message[128];
            (void)snprintf(line, sizeof(line), "POST " CAT "/%s/x", kinds[k]);
            (void)snprintf(message, sizeof(message), "failed deserializing HTTP body: %s", rows[i][1]);
            send_body(t, line, rows[i][0]);
            assert_error(t, 400, "ERR_MALFORMED_REQUEST", message);
        }
    }
}

static void a_body_of_a_delete_is_an_object_or_nothing(void **state)
{
    struct http_test *t = *state;
    send_body(t, "DELETE " CAT "/timers/x", " ");
    assert_empty(t);
    send_body(t, "DELETE " CAT "/timers/x", "[]");
    assert_error(t, 400, "ERR_MALFORMED_REQUEST", "failed deserializing HTTP body: the body is no object");
    send_body(t, "DELETE " CAT "/reminders/x", "5");
    assert_error(t, 400, "ERR_MALFORMED_REQUEST", "failed deserializing HTTP body: the body is no object");
}

/* --- D, E, F: reminders, without a scheduler --------------------------------------------------------------------------------- */

/* Source: Dapr tests/integration/suite/actors/reminders/scheduler/noscheduler.go. */
static void without_a_scheduler_reminders_say_so(void **state)
{
    struct http_test *t = *state;
    send_body(t, "POST " CAT "/reminders/r", "{\"dueTime\":\"0s\"}");
    assert_error(t, 500, "ERR_ACTOR_REMINDER_CREATE", "error creating actor reminder: scheduler clients are disabled");
    send_body(t, "GET " CAT "/reminders/r", "{}");
    assert_error(t, 500, "ERR_ACTOR_REMINDER_GET",
                 "error getting actor reminder: api error: code = Internal desc = failed to get job due to: scheduler "
                 "clients are disabled");
    send_body(t, "DELETE " CAT "/reminders/r", "{}");
    assert_error(t, 500, "ERR_ACTOR_REMINDER_DELETE", "error deleting actor reminder: scheduler clients are disabled");
}

static void reminders_are_for_types_that_are_hosted_here(void **state)
{
    static const char *const lines[] = { "POST /v1.0/actors/dog/1/reminders/r", "GET /v1.0/actors/dog/1/reminders/r",
                                         "DELETE /v1.0/actors/dog/1/reminders/r" };
    struct http_test *t = *state;
    for (size_t i = 0; i < TR_ARRAY_LEN(lines); i++) {
        send_body(t, lines[i], "{}");
        assert_error(t, 403, "ERR_ACTOR_REMINDER_NON_HOSTED",
                     "operations on actor reminders are only possible on hosted actor types");
    }
    send_body(t, "POST /v1.0/actors/dog/1/reminders/a%23", "{}"); /* the name is looked at before */
    assert_error(t, 400, "ERR_BAD_REQUEST", "invalid request: name contains forbidden character: \\\"a#\\\"");
    tr_actor_suspend(t->api.engine.engine, true);
    send_body(t, "POST " CAT "/reminders/r", "{}");
    assert_error(t, 403, "ERR_ACTOR_REMINDER_NON_HOSTED",
                 "operations on actor reminders are only possible on hosted actor types");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, http_test_set_up, http_test_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_call_reaches_the_app_and_its_answer_the_client),
        TEST(an_answer_without_content_type_is_json),
        TEST(every_verb_of_the_route_is_the_same_to_the_app),
        TEST(what_matches_no_route_would_be_a_call_of_an_app),
        TEST(paths_are_cleaned_before_and_decoded_after_routing),
        cmocka_unit_test(a_path_with_a_broken_escape_is_refused),
        TEST(names_that_break_the_rules_are_refused),
        TEST(a_client_cannot_say_who_calls),
        TEST(failures_of_the_app_are_told_with_its_words),
        TEST(an_error_of_the_app_itself_passes_with_200),
        TEST(a_method_cannot_cancel_a_reminder),
        TEST(a_body_over_the_limit_is_refused),
        TEST(a_chain_that_is_too_deep_has_its_own_error),
        TEST(an_actor_without_owner_is_looked_for_six_times),
        TEST(a_call_is_passed_on_to_the_owner),
        cmocka_unit_test(without_placement_every_route_says_so_first),
        TEST(after_the_stop_every_route_says_so),
        cmocka_unit_test(requests_wait_until_the_types_are_known),
        cmocka_unit_test(a_client_that_goes_away_from_the_gate_is_forgotten),
        cmocka_unit_test(waiting_ends_when_the_runtime_stops),
        TEST(a_client_that_goes_away_takes_its_call_along),
        TEST(a_client_that_goes_away_takes_its_remote_call_along),
        cmocka_unit_test(a_client_that_goes_away_from_state_is_forgotten),
        cmocka_unit_test(a_body_that_never_ends_is_given_up_with_its_client),
        TEST(a_transaction_is_written_and_read_back),
        TEST(a_transaction_of_nothing_is_fine),
        TEST(operations_that_break_the_rules_are_refused),
        TEST(a_wrong_etag_fails_the_whole_transaction),
        TEST(the_actor_must_be_active_here),
        TEST(a_transaction_that_was_held_is_not_lost),
        TEST(a_bad_transaction_that_was_held_is_refused),
        TEST(bodies_that_are_no_transaction_are_malformed),
        TEST(a_transaction_of_many_texts_fits_its_memory),
        TEST(any_key_of_the_app_can_be_read),
        TEST(an_expiry_is_told_in_a_header),
        cmocka_unit_test(without_a_store_state_says_how_to_get_one),
        TEST(types_of_the_workflow_engine_are_reserved_but_for_calls),
        TEST(a_timer_is_created_fires_and_is_deleted),
        TEST(data_of_null_is_a_value_and_absent_data_none),
        TEST(a_timer_that_cannot_be_is_refused),
        TEST(bodies_of_timers_and_reminders_are_objects_of_strings),
        TEST(a_body_of_a_delete_is_an_object_or_nothing),
        TEST(without_a_scheduler_reminders_say_so),
        TEST(reminders_are_for_types_that_are_hosted_here),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
