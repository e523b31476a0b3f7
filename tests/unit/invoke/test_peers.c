/* Channels to other sidecars: made when asked for, shared, closed when idle. */
#include "invoke/peers.h"
#include "tests/lib/log_catch.h"
#include "tests/unit/invoke/rpc_fixture.h"

struct peers_test {
    struct fixture rpc;
    struct log_catch log;
    struct tr_peers *peers;
    struct tr_rpc_call *held; /* by the server */
    bool is_held;
    bool is_closed;
};

static void on_echo(void *ctx, struct tr_rpc_call *call)
{
    (void)ctx;
    tr_rpc_call_reply(call, tr_buf_slice(tr_rpc_call_request(call)));
}

static void on_hold(void *ctx, struct tr_rpc_call *call)
{
    struct peers_test *t = ctx;
    t->held = call;
    t->is_held = true;
}

static void set_up_conf(struct peers_test *t, uint64_t idle_ms, uint64_t collect_ms)
{
    *t = (struct peers_test){ .held = NULL };
    const struct tr_rpc_method methods[] = { { .path = "/s/Echo", .handler = on_echo, .ctx = t },
                                             { .path = "/s/Hold", .handler = on_hold, .ctx = t } };
    fixture_serve(&t->rpc, methods, TR_ARRAY_LEN(methods));
    log_catch_init(&t->log);
    const struct tr_peers_conf conf = { .loop = t->rpc.loop,
                                        .rpc = t->rpc.rpc,
                                        .log = &t->log.log,
                                        .idle_ms = idle_ms,
                                        .collect_ms = collect_ms };
    t->peers = tr_peers_new(&conf);
}

static void set_flag(void *ctx)
{
    *(bool *)ctx = true;
}

static void close_peers(struct peers_test *t)
{
    tr_peers_close(t->peers, set_flag, &t->is_closed);
    assert_false(t->is_closed);
    fixture_wait(&t->rpc, &t->is_closed);
    t->peers = NULL;
}

static void tear_down(struct peers_test *t)
{
    if (t->peers != NULL) {
        close_peers(t);
    }
    log_catch_fini(&t->log);
    fixture_fini(&t->rpc);
}

static struct tr_rpc_channel *channel_to(struct peers_test *t, const char *address)
{
    struct tr_rpc_channel *channel = NULL;
    struct tr_err err;
    if (tr_peers_channel(t->peers, tr_slice_str(address), &channel, &err) != TR_OK) {
        fail_msg("%s", err.msg);
    }
    return channel;
}

static void start(struct tr_rpc_channel *channel, struct unary *u, const char *path)
{
    *u = (struct unary){ .op = { .path = tr_slice_str(path), .request = TR_SLICE_LIT("hello"), .cb = on_unary } };
    tr_rpc_unary_start(channel, &u->op);
}

static bool has_purged(void *ctx)
{
    struct peers_test *t = ctx;
    return log_catch_count(&t->log, "Purged 1 expired gRPC connection(s) to 127.0.0.1:") > 0;
}

static void an_address_has_one_channel(void **state)
{
    struct peers_test t;
    struct unary u;
    set_up_conf(&t, 0, 0);
    struct tr_rpc_channel *channel = channel_to(&t, t.rpc.target);
    assert_ptr_equal(channel_to(&t, t.rpc.target), channel);
    assert_ptr_not_equal(channel_to(&t, "127.0.0.1:1"), channel);
    start(channel, &u, "/s/Echo");
    fixture_wait(&t.rpc, &u.is_done);
    assert_int_equal(u.op.status, TR_RPC_OK);
    assert_text(tr_buf_slice(&u.op.response), "hello");
    tr_rpc_unary_fini(&u.op);
    assert_ptr_equal(tr_peers_loop(t.peers), t.rpc.loop);
    tear_down(&t);
    (void)state;
}

static void nobody_at_an_address_is_told_by_the_call(void **state)
{
    struct peers_test t;
    struct unary u;
    set_up_conf(&t, 0, 0);
    start(channel_to(&t, "127.0.0.1:1"), &u, "/s/Echo");
    fixture_wait(&t.rpc, &u.is_done);
    assert_int_equal(u.op.status, TR_RPC_UNAVAILABLE);
    tr_rpc_unary_fini(&u.op);
    tear_down(&t);
    (void)state;
}

static void an_address_that_is_none_is_refused_each_time(void **state)
{
    struct peers_test t;
    struct tr_rpc_channel *channel = NULL;
    struct tr_err err;
    set_up_conf(&t, 0, 0);
    assert_int_equal(tr_peers_channel(t.peers, TR_SLICE_LIT(""), &channel, &err), TR_INVALID);
    assert_int_equal(tr_peers_channel(t.peers, TR_SLICE_LIT(""), &channel, &err), TR_INVALID);
    assert_null(channel);
    tear_down(&t);
    (void)state;
}

static void a_channel_without_calls_is_closed_after_a_time(void **state)
{
    struct peers_test t;
    struct unary u;
    set_up_conf(&t, 1, 1);
    start(channel_to(&t, t.rpc.target), &u, "/s/Echo");
    fixture_wait(&t.rpc, &u.is_done);
    tr_rpc_unary_fini(&u.op);
    fixture_wait_for(&t.rpc, has_purged, &t);
    start(channel_to(&t, t.rpc.target), &u, "/s/Echo"); /* a new one takes its place */
    fixture_wait(&t.rpc, &u.is_done);
    assert_int_equal(u.op.status, TR_RPC_OK);
    tr_rpc_unary_fini(&u.op);
    tear_down(&t);
    (void)state;
}

struct until {
    struct tr_loop *loop;
    uint64_t at_ms;
};

static bool is_time(void *ctx)
{
    const struct until *until = ctx;
    return tr_loop_now_ms(until->loop) >= until->at_ms;
}

static void a_channel_with_a_call_stays(void **state)
{
    struct peers_test t;
    struct unary u;
    set_up_conf(&t, 1, 1);
    struct tr_rpc_channel *channel = channel_to(&t, t.rpc.target);
    start(channel, &u, "/s/Hold");
    fixture_wait(&t.rpc, &t.is_held);
    /* Many collections later it is still there. */
    struct until until = { .loop = t.rpc.loop, .at_ms = tr_loop_now_ms(t.rpc.loop) + 30 };
    fixture_wait_for(&t.rpc, is_time, &until);
    assert_int_equal(log_catch_count(&t.log, "Purged"), 0);
    assert_ptr_equal(channel_to(&t, t.rpc.target), channel);
    tr_rpc_call_reply(t.held, TR_SLICE_LIT(""));
    fixture_wait(&t.rpc, &u.is_done);
    tr_rpc_unary_fini(&u.op);
    fixture_wait_for(&t.rpc, has_purged, &t);
    tear_down(&t);
    (void)state;
}

static void closing_cancels_calls_and_refuses_new_ones(void **state)
{
    struct peers_test t;
    struct unary u;
    struct tr_rpc_channel *channel = NULL;
    struct tr_err err;
    set_up_conf(&t, 0, 0);
    start(channel_to(&t, t.rpc.target), &u, "/s/Hold");
    fixture_wait(&t.rpc, &t.is_held);
    tr_peers_close(t.peers, set_flag, &t.is_closed);
    assert_int_equal(tr_peers_channel(t.peers, tr_slice_str(t.rpc.target), &channel, &err), TR_CLOSED);
    assert_string_equal(err.msg, "sidecar is shutting down");
    fixture_wait(&t.rpc, &t.is_closed);
    t.peers = NULL;
    assert_true(u.is_done);
    assert_int_equal(u.op.status, TR_RPC_CANCELED);
    tr_rpc_unary_fini(&u.op);
    tr_rpc_call_fail(t.held, TR_RPC_CANCELED, TR_SLICE_LIT(""));
    tear_down(&t);
    (void)state;
}

static void nothing_open_is_closed_on_a_later_turn(void **state)
{
    struct peers_test t;
    set_up_conf(&t, 0, 0);
    close_peers(&t);
    tear_down(&t);
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_address_has_one_channel),
        cmocka_unit_test(nobody_at_an_address_is_told_by_the_call),
        cmocka_unit_test(an_address_that_is_none_is_refused_each_time),
        cmocka_unit_test(a_channel_without_calls_is_closed_after_a_time),
        cmocka_unit_test(a_channel_with_a_call_stays),
        cmocka_unit_test(closing_cancels_calls_and_refuses_new_ones),
        cmocka_unit_test(nothing_open_is_closed_on_a_later_turn),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
