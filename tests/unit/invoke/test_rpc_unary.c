/* Unary calls: outcomes, metadata, limits, deadlines, cancellation; each with both ways of driving the queue. */
#include "tests/unit/invoke/rpc_fixture.h"

#define ECHO "/test.Echo/Echo"
#define FAIL "/test.Echo/Fail"
#define HOLD "/test.Echo/Hold"

static void echo(void *ctx, struct tr_rpc_call *call)
{
    (void)ctx;
    const struct tr_rpc_md *md = tr_rpc_call_metadata(call);
    struct tr_rpc_md_iter iter = { 0 };
    struct tr_slice key;
    struct tr_slice value;
    while (tr_rpc_md_next(md, &iter, &key, &value)) {
        tr_rpc_md_add(tr_rpc_call_initial(call), key, value);
    }
    tr_rpc_md_add(tr_rpc_call_trailing(call), TR_SLICE_LIT("x-last"), TR_SLICE_LIT("yes"));
    tr_rpc_call_reply(call, tr_buf_slice(tr_rpc_call_request(call)));
}

static void fail_call(void *ctx, struct tr_rpc_call *call)
{
    (void)ctx;
    tr_rpc_md_add(tr_rpc_call_trailing(call), TR_SLICE_LIT("grpc-status-details-bin"),
                  tr_slice("\x08\x05\x00\xff", 4));
    tr_rpc_call_fail(call, TR_RPC_NOT_FOUND, tr_buf_slice(tr_rpc_call_request(call)));
}

/* A handler that keeps its calls until told. */
struct holder {
    struct tr_rpc_watch watch;
    struct tr_rpc_call *call;
    unsigned arrived;
    unsigned canceled;
    unsigned closed;
    uint64_t deadline_ms;
};

static void on_hold_cancel(struct tr_rpc_watch *watch)
{
    struct holder *h = TR_CONTAINER_OF(watch, struct holder, watch);
    h->canceled++;
    assert_true(tr_rpc_call_is_canceled(h->call));
    tr_rpc_call_reply(h->call, TR_SLICE_LIT("too late"));
}

static void on_hold_close(struct tr_rpc_watch *watch)
{
    TR_CONTAINER_OF(watch, struct holder, watch)->closed++;
}

static void hold(void *ctx, struct tr_rpc_call *call)
{
    struct holder *h = ctx;
    h->call = call;
    h->watch.on_cancel = on_hold_cancel;
    h->watch.on_close = on_hold_close;
    h->deadline_ms = tr_rpc_call_deadline_ms(call);
    h->arrived++;
    tr_rpc_call_watch(call, &h->watch);
}

static void serve(struct fixture *f, struct holder *h)
{
    memset(h, 0, sizeof(*h));
    const struct tr_rpc_method methods[] = {
        { .path = ECHO, .handler = echo },
        { .path = FAIL, .handler = fail_call },
        { .path = HOLD, .handler = hold, .ctx = h },
    };
    fixture_serve(f, methods, TR_ARRAY_LEN(methods));
}

static void answer_comes_back(void **state)
{
    (void)state;
    struct fixture f;
    struct holder h;
    serve(&f, &h);
    struct unary u = { 0 };
    unary_call(&f, &u, ECHO, TR_SLICE_LIT("hello"));
    assert_int_equal(u.op.status, TR_RPC_OK);
    assert_text(tr_buf_slice(&u.op.response), "hello");
    assert_int_equal(u.op.message.len, 0);
    tr_rpc_unary_fini(&u.op);
    unary_call(&f, &u, ECHO, tr_slice(NULL, 0));
    assert_int_equal(u.op.status, TR_RPC_OK);
    assert_int_equal(u.op.response.len, 0);
    tr_rpc_unary_fini(&u.op);
    fixture_fini(&f);
}

static void error_message_arrives_whole_with_its_details(void **state)
{
    (void)state;
    struct fixture f;
    struct holder h;
    serve(&f, &h);
    char text[3001];
    memset(text, 'x', sizeof(text) - 1);
    memcpy(text, "100% \n\xc3\xa9 ", 9);
    text[sizeof(text) - 1] = '\0';
    struct unary u = { 0 };
    unary_call(&f, &u, FAIL, tr_slice_str(text));
    assert_int_equal(u.op.status, TR_RPC_NOT_FOUND);
    assert_text(tr_buf_slice(&u.op.message), text);
    assert_int_equal(u.op.response.len, 0);
    struct tr_slice details;
    assert_true(tr_rpc_md_get(&u.op.trailing, "grpc-status-details-bin", &details));
    assert_true(tr_slice_eq(details, tr_slice("\x08\x05\x00\xff", 4)));
    struct tr_err err;
    assert_int_equal(tr_rpc_status_err(u.op.status, tr_buf_slice(&u.op.message), &err),
                     TR_NOT_FOUND);
    tr_rpc_unary_fini(&u.op);
    fixture_fini(&f);
}

static void metadata_goes_there_and_back(void **state)
{
    (void)state;
    struct fixture f;
    struct holder h;
    serve(&f, &h);
    struct tr_rpc_md md = { 0 };
    const struct tr_slice binary = tr_slice("\x00\x01\xfe\xff", 4);
    tr_rpc_md_add(&md, TR_SLICE_LIT("X-Key"), TR_SLICE_LIT("one"));
    tr_rpc_md_add(&md, TR_SLICE_LIT("x-key"), TR_SLICE_LIT("two"));
    tr_rpc_md_add(&md, TR_SLICE_LIT("x-data-bin"), binary);
    struct unary u = { .op.metadata = &md };
    unary_call(&f, &u, ECHO, TR_SLICE_LIT("m"));
    assert_int_equal(u.op.status, TR_RPC_OK);
    struct tr_rpc_md_iter iter = { 0 };
    struct tr_slice key;
    struct tr_slice value;
    unsigned ones = 0;
    unsigned twos = 0;
    while (tr_rpc_md_next(&u.op.initial, &iter, &key, &value)) {
        ones += tr_slice_eq_str(key, "x-key") && tr_slice_eq_str(value, "one");
        twos += tr_slice_eq_str(key, "x-key") && tr_slice_eq_str(value, "two") && ones == 1;
    }
    assert_int_equal(ones, 1);
    assert_int_equal(twos, 1);
    assert_true(tr_rpc_md_get(&u.op.initial, "x-data-bin", &value));
    assert_true(tr_slice_eq(value, binary));
    assert_true(tr_rpc_md_get(&u.op.trailing, "x-last", &value));
    assert_text(value, "yes");
    tr_rpc_md_fini(&md);
    tr_rpc_unary_fini(&u.op);
    fixture_fini(&f);
}

static void metadata_that_grpc_cannot_carry_is_left_out(void **state)
{
    (void)state;
    struct fixture f;
    struct holder h;
    serve(&f, &h);
    struct tr_rpc_md md = { 0 };
    const char *const keys[] = { "te",   "content-type", ":path", "grpc-timeout",
                                 "host", "bad key",      "" };
    for (size_t i = 0; i < TR_ARRAY_LEN(keys); i++) {
        tr_rpc_md_add(&md, tr_slice_str(keys[i]), TR_SLICE_LIT("1S"));
    }
    tr_rpc_md_add(&md, TR_SLICE_LIT("x-text"), TR_SLICE_LIT("line\nbreak"));
    tr_rpc_md_add(&md, TR_SLICE_LIT("x-good"), TR_SLICE_LIT("kept"));
    struct unary u = { .op.metadata = &md };
    unary_call(&f, &u, ECHO, TR_SLICE_LIT("m"));
    assert_int_equal(u.op.status, TR_RPC_OK);
    struct tr_slice value;
    assert_false(tr_rpc_md_get(&u.op.initial, "x-text", &value));
    assert_false(tr_rpc_md_get(&u.op.initial, "bad key", &value));
    assert_true(tr_rpc_md_get(&u.op.initial, "x-good", &value));
    tr_rpc_md_fini(&md);
    tr_rpc_unary_fini(&u.op);
    fixture_fini(&f);
}

static void unknown_paths_get_the_texts_of_go(void **state)
{
    (void)state;
    static const struct {
        const char *path;
        const char *text;
    } cases[] = {
        { "/test.Echo/Nope", "unknown method Nope for service test.Echo" },
        { "/other.Service/Nope", "unknown service other.Service" },
        { "/nothing", "malformed method name: \"/nothing\"" },
    };
    struct fixture f;
    struct holder h;
    serve(&f, &h);
    for (size_t i = 0; i < TR_ARRAY_LEN(cases); i++) {
        struct unary u = { 0 };
        unary_call(&f, &u, cases[i].path, TR_SLICE_LIT("x"));
        assert_int_equal(u.op.status, TR_RPC_UNIMPLEMENTED);
        assert_text(tr_buf_slice(&u.op.message), cases[i].text);
        tr_rpc_unary_fini(&u.op);
    }
    fixture_fini(&f);
}

static void request_above_the_servers_limit_is_refused_in_gos_words(void **state)
{
    (void)state;
    struct fixture f;
    struct tr_rpc_server_conf server_conf = { .message_bytes_max = 1000 };
    struct tr_rpc_channel_conf channel_conf = { 0 };
    fixture_init(&f, &server_conf);
    const struct tr_rpc_method method = { .path = ECHO, .handler = echo };
    tr_rpc_server_add(f.server, &method);
    fixture_start(&f, &channel_conf);
    char bytes[2064];
    memset(bytes, 'b', sizeof(bytes));
    struct unary u = { 0 };
    unary_call(&f, &u, ECHO, tr_slice(bytes, 2064));
    assert_int_equal(u.op.status, TR_RPC_RESOURCE_EXHAUSTED);
    assert_text(tr_buf_slice(&u.op.message),
                "grpc: received message larger than max (2064 vs. 1000)");
    tr_rpc_unary_fini(&u.op);
    unary_call(&f, &u, ECHO, tr_slice(bytes, 1000));
    assert_int_equal(u.op.status, TR_RPC_OK);
    assert_int_equal(u.op.response.len, 1000);
    tr_rpc_unary_fini(&u.op);
    fixture_fini(&f);
}

static void reply_above_a_limit_is_refused_in_gos_words(void **state)
{
    (void)state;
    struct fixture f;
    struct tr_rpc_server_conf server_conf = { 0 };
    struct tr_rpc_channel_conf channel_conf = { .message_bytes_max = 1000 };
    fixture_init(&f, &server_conf);
    const struct tr_rpc_method method = { .path = FAIL, .handler = echo };
    tr_rpc_server_add(f.server, &method);
    fixture_start(&f, &channel_conf);
    char bytes[1001];
    memset(bytes, 'b', sizeof(bytes));
    struct unary u = { 0 };
    unary_call(&f, &u, FAIL, tr_slice(bytes, sizeof(bytes)));
    assert_int_equal(u.op.status, TR_RPC_RESOURCE_EXHAUSTED);
    assert_text(tr_buf_slice(&u.op.message),
                "trying to send message larger than max (1001 vs. 1000)");
    tr_rpc_unary_fini(&u.op);
    fixture_fini(&f);
}

static void grow(void *ctx, struct tr_rpc_call *call)
{
    (void)ctx;
    struct tr_buf twice = { 0 };
    tr_buf_add(&twice, tr_buf_slice(tr_rpc_call_request(call)));
    tr_buf_add(&twice, tr_buf_slice(tr_rpc_call_request(call)));
    tr_rpc_call_reply(call, tr_buf_slice(&twice));
    tr_buf_fini(&twice);
}

static void answer_above_the_clients_limit_is_an_error(void **state)
{
    (void)state;
    struct fixture f;
    struct tr_rpc_server_conf server_conf = { .message_bytes_max = 1500 };
    struct tr_rpc_channel_conf channel_conf = { .message_bytes_max = 1000 };
    fixture_init(&f, &server_conf);
    const struct tr_rpc_method method = { .path = ECHO, .handler = grow };
    tr_rpc_server_add(f.server, &method);
    fixture_start(&f, &channel_conf);
    char bytes[900];
    memset(bytes, 'b', sizeof(bytes));
    struct unary u = { 0 };
    unary_call(&f, &u, ECHO, tr_slice(bytes, 600));
    assert_int_equal(u.op.status, TR_RPC_RESOURCE_EXHAUSTED);
    assert_text(tr_buf_slice(&u.op.message),
                "grpc: received message larger than max (1200 vs. 1000)");
    assert_int_equal(u.op.response.len, 0);
    tr_rpc_unary_fini(&u.op);
    unary_call(&f, &u, ECHO, tr_slice(bytes, 900));
    assert_int_equal(u.op.status, TR_RPC_RESOURCE_EXHAUSTED);
    assert_text(tr_buf_slice(&u.op.message),
                "grpc: trying to send message larger than max (1800 vs. 1500)");
    tr_rpc_unary_fini(&u.op);
    fixture_fini(&f);
}

static void four_megabytes_pass(void **state)
{
    (void)state;
    struct fixture f;
    struct holder h;
    serve(&f, &h);
    struct tr_buf big = { 0 };
    tr_buf_reserve(&big, TR_RPC_MESSAGE_BYTES_MAX);
    memset(big.ptr, 'z', TR_RPC_MESSAGE_BYTES_MAX);
    big.len = TR_RPC_MESSAGE_BYTES_MAX;
    struct unary u = { 0 };
    unary_call(&f, &u, ECHO, tr_buf_slice(&big));
    assert_int_equal(u.op.status, TR_RPC_OK);
    assert_true(tr_slice_eq(tr_buf_slice(&u.op.response), tr_buf_slice(&big)));
    tr_rpc_unary_fini(&u.op);
    tr_buf_fini(&big);
    fixture_fini(&f);
}

static void deadline_ends_the_call_on_both_sides(void **state)
{
    (void)state;
    struct fixture f;
    struct holder h;
    serve(&f, &h);
    struct unary u = { .op.deadline_ms = tr_loop_now_ms(f.loop) + 200 };
    unary_start(&f, &u, HOLD, TR_SLICE_LIT("x"));
    fixture_wait_count(&f, &h.arrived, 1);
    /* The deadline went over the wire as a duration; it is the same to within the time of the way. */
    assert_true(h.deadline_ms != 0);
    assert_true(h.deadline_ms <= u.op.deadline_ms + 100);
    fixture_wait(&f, &u.is_done);
    assert_int_equal(u.op.status, TR_RPC_DEADLINE_EXCEEDED);
    fixture_wait_count(&f, &h.closed, 1);
    assert_int_equal(h.canceled, 1);
    tr_rpc_unary_fini(&u.op);
    fixture_fini(&f);
}

static void cancel_by_the_client_is_seen_by_the_server(void **state)
{
    (void)state;
    struct fixture f;
    struct holder h;
    serve(&f, &h);
    struct unary u = { 0 };
    unary_start(&f, &u, HOLD, TR_SLICE_LIT("x"));
    fixture_wait_count(&f, &h.arrived, 1);
    assert_int_equal(h.deadline_ms, 0);
    assert_int_equal(tr_rpc_server_calls(f.server), 1);
    assert_int_equal(tr_rpc_channel_calls(f.channel), 1);
    tr_rpc_unary_cancel(&u.op);
    fixture_wait(&f, &u.is_done);
    assert_int_equal(u.op.status, TR_RPC_CANCELED);
    fixture_wait_count(&f, &h.closed, 1);
    assert_int_equal(h.canceled, 1);
    assert_int_equal(tr_rpc_server_calls(f.server), 0);
    tr_rpc_unary_fini(&u.op);
    fixture_fini(&f);
}

static void answer_given_later_arrives(void **state)
{
    (void)state;
    struct fixture f;
    struct holder h;
    serve(&f, &h);
    struct unary u = { 0 };
    unary_start(&f, &u, HOLD, TR_SLICE_LIT("x"));
    fixture_wait_count(&f, &h.arrived, 1);
    struct tr_err err;
    (void)tr_err_set(&err, TR_ACTOR_NO_ADDRESS, "did not find address for actor '%s'", "a/b");
    assert_true(tr_slice_starts(tr_rpc_call_peer(h.call), TR_SLICE_LIT("127.0.0.1:")));
    assert_int_equal(tr_rpc_call_peer_spiffe(h.call).len, 0);
    assert_text(tr_rpc_call_path(h.call), HOLD);
    assert_text(tr_rpc_call_authority(h.call), f.target);
    tr_rpc_call_fail_err(h.call, &err);
    fixture_wait(&f, &u.is_done);
    assert_int_equal(u.op.status, TR_RPC_FAILED_PRECONDITION);
    assert_text(tr_buf_slice(&u.op.message), "did not find address for actor 'a/b'");
    fixture_wait_count(&f, &h.closed, 1);
    assert_int_equal(h.canceled, 0);
    tr_rpc_unary_fini(&u.op);
    fixture_fini(&f);
}

static void calls_above_the_limits_are_refused(void **state)
{
    (void)state;
    struct fixture f;
    struct tr_rpc_server_conf server_conf = { .calls_max = 1 };
    struct tr_rpc_channel_conf channel_conf = { .calls_max = 2 };
    fixture_init(&f, &server_conf);
    struct holder h = { 0 };
    const struct tr_rpc_method method = { .path = HOLD, .handler = hold, .ctx = &h };
    tr_rpc_server_add(f.server, &method);
    fixture_start(&f, &channel_conf);
    struct unary first = { 0 };
    struct unary second = { 0 };
    struct unary third = { 0 };
    unary_start(&f, &first, HOLD, TR_SLICE_LIT("x"));
    fixture_wait_count(&f, &h.arrived, 1);
    unary_start(&f, &second, HOLD, TR_SLICE_LIT("x"));
    unary_call(&f, &third, HOLD, TR_SLICE_LIT("x"));
    assert_int_equal(third.op.status, TR_RPC_RESOURCE_EXHAUSTED);
    assert_text(tr_buf_slice(&third.op.message), "too many calls in flight");
    fixture_wait(&f, &second.is_done);
    assert_int_equal(second.op.status, TR_RPC_RESOURCE_EXHAUSTED);
    assert_text(tr_buf_slice(&second.op.message), "too many concurrent calls");
    tr_rpc_call_reply(h.call, TR_SLICE_LIT("ok"));
    fixture_wait(&f, &first.is_done);
    assert_int_equal(first.op.status, TR_RPC_OK);
    tr_rpc_unary_fini(&first.op);
    tr_rpc_unary_fini(&second.op);
    tr_rpc_unary_fini(&third.op);
    fixture_fini(&f);
}

static void many_calls_in_flight_all_come_back(void **state)
{
    (void)state;
    enum { CALLS = 500 };
    struct fixture f;
    struct holder h;
    serve(&f, &h);
    struct unary *calls = calloc(CALLS, sizeof(*calls));
    assert_non_null(calls);
    for (unsigned i = 0; i < CALLS; i++) {
        unary_start(&f, &calls[i], ECHO, tr_slice(&i, sizeof(i)));
    }
    for (unsigned i = 0; i < CALLS; i++) {
        fixture_wait(&f, &calls[i].is_done);
        assert_int_equal(calls[i].op.status, TR_RPC_OK);
        assert_true(tr_slice_eq(tr_buf_slice(&calls[i].op.response), tr_slice(&i, sizeof(i))));
        tr_rpc_unary_fini(&calls[i].op);
    }
    free(calls);
    fixture_fini(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answer_comes_back),
        cmocka_unit_test(error_message_arrives_whole_with_its_details),
        cmocka_unit_test(metadata_goes_there_and_back),
        cmocka_unit_test(metadata_that_grpc_cannot_carry_is_left_out),
        cmocka_unit_test(unknown_paths_get_the_texts_of_go),
        cmocka_unit_test(request_above_the_servers_limit_is_refused_in_gos_words),
        cmocka_unit_test(reply_above_a_limit_is_refused_in_gos_words),
        cmocka_unit_test(answer_above_the_clients_limit_is_an_error),
        cmocka_unit_test(four_megabytes_pass),
        cmocka_unit_test(deadline_ends_the_call_on_both_sides),
        cmocka_unit_test(cancel_by_the_client_is_seen_by_the_server),
        cmocka_unit_test(answer_given_later_arrives),
        cmocka_unit_test(calls_above_the_limits_are_refused),
        cmocka_unit_test(many_calls_in_flight_all_come_back),
    };
    int failed = cmocka_run_group_tests_name("epoll", tests, NULL, NULL);
    fixture_use_thread = true;
    failed += cmocka_run_group_tests_name("thread", tests, NULL, NULL);
    return failed;
}
