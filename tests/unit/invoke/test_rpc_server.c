/* A server's ports, its shutdown, and what a client sees of it. */
#include "tests/unit/invoke/rpc_fixture.h"

#include <stdio.h>
#include <unistd.h>

#define HOLD "/test.Echo/Hold"

struct held {
    struct tr_rpc_watch watch;
    struct tr_rpc_call *call;
    bool ends_when_canceled;
    unsigned arrived;
    unsigned canceled;
    unsigned closed;
};

static void on_held_cancel(struct tr_rpc_watch *watch)
{
    struct held *h = TR_CONTAINER_OF(watch, struct held, watch);
    h->canceled++;
    if (h->ends_when_canceled) {
        tr_rpc_call_fail(h->call, TR_RPC_CANCELED, tr_slice(NULL, 0));
    }
}

static void on_held_close(struct tr_rpc_watch *watch)
{
    TR_CONTAINER_OF(watch, struct held, watch)->closed++;
}

static void hold(void *ctx, struct tr_rpc_call *call)
{
    struct held *h = ctx;
    h->call = call;
    h->arrived++;
    h->watch.on_cancel = on_held_cancel;
    h->watch.on_close = on_held_close;
    tr_rpc_call_watch(call, &h->watch);
}

static void serve(struct fixture *f, struct held *h)
{
    memset(h, 0, sizeof(*h));
    h->ends_when_canceled = true;
    const struct tr_rpc_method method = { .path = HOLD, .handler = hold, .ctx = h };
    fixture_serve(f, &method, 1);
}

static void on_closed(void *ctx)
{
    bool *flag = ctx;
    *flag = true;
}

static void graceful_close_waits_for_the_open_call_and_refuses_new_ones(void **state)
{
    (void)state;
    struct fixture f;
    struct held h;
    serve(&f, &h);
    struct unary first = { 0 };
    unary_start(&f, &first, HOLD, TR_SLICE_LIT("x"));
    fixture_wait_count(&f, &h.arrived, 1);
    bool is_closed = false;
    tr_rpc_server_close(f.server, on_closed, &is_closed);
    f.server = NULL;
    struct unary second = { 0 };
    unary_call(&f, &second, HOLD, TR_SLICE_LIT("x"));
    assert_int_equal(second.op.status, TR_RPC_UNAVAILABLE);
    assert_false(is_closed);
    assert_false(first.is_done);
    assert_int_equal(h.arrived, 1);
    tr_rpc_call_reply(h.call, TR_SLICE_LIT("done"));
    fixture_wait(&f, &first.is_done);
    assert_int_equal(first.op.status, TR_RPC_OK);
    assert_text(tr_buf_slice(&first.op.response), "done");
    fixture_wait(&f, &is_closed);
    assert_int_equal(h.canceled, 0);
    assert_int_equal(h.closed, 1);
    tr_rpc_unary_fini(&first.op);
    tr_rpc_unary_fini(&second.op);
    fixture_fini(&f);
}

static void hard_close_cancels_the_open_calls(void **state)
{
    (void)state;
    struct fixture f;
    struct held h;
    serve(&f, &h);
    struct unary u = { 0 };
    unary_start(&f, &u, HOLD, TR_SLICE_LIT("x"));
    fixture_wait_count(&f, &h.arrived, 1);
    bool is_closed = false;
    tr_rpc_server_close(f.server, on_closed, &is_closed);
    tr_rpc_server_cancel_calls(f.server);
    f.server = NULL;
    fixture_wait(&f, &u.is_done);
    assert_int_equal(u.op.status, TR_RPC_UNAVAILABLE);
    fixture_wait(&f, &is_closed);
    assert_int_equal(h.canceled, 1);
    assert_int_equal(h.closed, 1);
    tr_rpc_unary_fini(&u.op);
    fixture_fini(&f);
}

struct stream {
    struct tr_rpc_stream op;
    struct tr_rpc_recv recv;
    bool is_done;
};

static void on_stream_done(struct tr_rpc_stream *op)
{
    TR_CONTAINER_OF(op, struct stream, op)->is_done = true;
}

static void on_stream_recv(struct tr_rpc_recv *recv)
{
    assert_false(recv->has_message);
}

static void on_server_recv(struct tr_rpc_recv *recv)
{
    assert_false(recv->has_message);
}

static void hard_close_ends_open_streams_on_both_sides(void **state)
{
    (void)state;
    enum { STREAMS = 10 };
    struct fixture f;
    static struct held h;
    serve(&f, &h);
    tr_rpc_server_set_fallback(f.server, hold, &h);
    struct stream streams[STREAMS];
    struct held held[STREAMS];
    struct tr_rpc_recv recvs[STREAMS];
    memset(streams, 0, sizeof(streams));
    memset(recvs, 0, sizeof(recvs));
    for (unsigned i = 0; i < STREAMS; i++) {
        streams[i].op.path = TR_SLICE_LIT("/test.Echo/Stream");
        streams[i].op.cb = on_stream_done;
        streams[i].recv.cb = on_stream_recv;
        tr_rpc_stream_start(f.channel, &streams[i].op);
        tr_rpc_stream_recv_start(&streams[i].op, &streams[i].recv);
        fixture_wait_count(&f, &h.arrived, i + 1);
        held[i] = (struct held){ .call = h.call, .ends_when_canceled = true };
        held[i].watch = h.watch;
        tr_rpc_call_watch(h.call, &held[i].watch);
        recvs[i].cb = on_server_recv;
        tr_rpc_call_recv_start(h.call, &recvs[i]);
    }
    assert_int_equal(tr_rpc_server_calls(f.server), STREAMS);
    bool is_closed = false;
    tr_rpc_server_close(f.server, on_closed, &is_closed);
    tr_rpc_server_cancel_calls(f.server);
    f.server = NULL;
    fixture_wait(&f, &is_closed);
    for (unsigned i = 0; i < STREAMS; i++) {
        fixture_wait(&f, &streams[i].is_done);
        assert_int_equal(streams[i].op.status, TR_RPC_UNAVAILABLE);
        assert_int_equal(held[i].canceled, 1);
        assert_int_equal(held[i].closed, 1);
        tr_rpc_stream_fini(&streams[i].op);
    }
    fixture_fini(&f);
}

static void server_that_never_started_closes(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f, &(struct tr_rpc_server_conf){ 0 });
    fixture_fini(&f);
}

static void idle_connection_does_not_hold_up_the_close(void **state)
{
    (void)state;
    struct fixture f;
    struct held h;
    serve(&f, &h);
    struct unary u = { 0 };
    unary_call(&f, &u, "/no.Such/Method", TR_SLICE_LIT("x"));
    assert_int_equal(u.op.status, TR_RPC_UNIMPLEMENTED);
    tr_rpc_unary_fini(&u.op);
    assert_int_equal(tr_rpc_channel_state(f.channel), TR_RPC_READY);
    fixture_close_server(&f);
    fixture_fini(&f);
}

static void server_needs_one_address_that_can_be_bound(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f, &(struct tr_rpc_server_conf){ 0 });
    const struct tr_slice addresses[] = { tr_slice_str(f.target), TR_SLICE_LIT("127.0.0.1:0") };
    struct tr_rpc_server_conf conf = { .addresses = addresses, .addresses_len = 1 };
    struct tr_rpc_server *other;
    struct tr_err err;
    assert_int_equal(tr_rpc_server_new(f.rpc, &conf, &other, &err), TR_UNAVAILABLE);
    assert_non_null(strstr(err.msg, f.target));
    assert_non_null(strstr(err.msg, "address already in use"));
    conf.addresses_len = 2;
    assert_int_equal(tr_rpc_server_new(f.rpc, &conf, &other, &err), TR_OK);
    assert_int_equal(tr_rpc_server_port(other, 0), 0);
    assert_int_not_equal(tr_rpc_server_port(other, 1), 0);
    bool is_closed = false;
    tr_rpc_server_close(other, on_closed, &is_closed);
    fixture_wait(&f, &is_closed);
    fixture_fini(&f);
}

static void unix_socket_is_served(void **state)
{
    (void)state;
    struct fixture f;
    struct held h = { 0 };
    fixture_init(&f, &(struct tr_rpc_server_conf){ 0 });
    char dir[] = "/tmp/troupe-rpc-XXXXXX";
    assert_non_null(mkdtemp(dir));
    char address[64];
    assert_true(snprintf(address, sizeof(address), "unix:%s/s", dir) > 0);
    const struct tr_slice addresses[] = { tr_slice_str(address) };
    const struct tr_rpc_server_conf conf = { .addresses = addresses, .addresses_len = 1 };
    struct tr_rpc_server *server;
    struct tr_err err;
    assert_int_equal(tr_rpc_server_new(f.rpc, &conf, &server, &err), TR_OK);
    const struct tr_rpc_method method = { .path = HOLD, .handler = hold, .ctx = &h };
    tr_rpc_server_add(server, &method);
    tr_rpc_server_start(server);
    const struct tr_rpc_channel_conf channel_conf = { .target = addresses[0] };
    assert_int_equal(tr_rpc_channel_new(f.rpc, &channel_conf, &f.channel, &err), TR_OK);
    struct unary u = { 0 };
    unary_start(&f, &u, HOLD, TR_SLICE_LIT("x"));
    fixture_wait_count(&f, &h.arrived, 1);
    assert_true(tr_slice_starts(tr_rpc_call_peer(h.call), TR_SLICE_LIT("unix:")));
    tr_rpc_call_reply(h.call, TR_SLICE_LIT("y"));
    fixture_wait(&f, &u.is_done);
    assert_int_equal(u.op.status, TR_RPC_OK);
    tr_rpc_unary_fini(&u.op);
    bool is_closed = false;
    tr_rpc_server_close(server, on_closed, &is_closed);
    fixture_wait(&f, &is_closed);
    fixture_fini(&f);
    (void)unlink(address + 5);
    assert_int_equal(rmdir(dir), 0);
}

static void ipv6_peer_is_named_with_brackets(void **state)
{
    (void)state;
    struct fixture f;
    struct held h = { 0 };
    fixture_init(&f, &(struct tr_rpc_server_conf){ 0 });
    const struct tr_slice addresses[] = { TR_SLICE_LIT(":0") };
    const struct tr_rpc_server_conf conf = { .addresses = addresses, .addresses_len = 1 };
    struct tr_rpc_server *server;
    struct tr_err err;
    assert_int_equal(tr_rpc_server_new(f.rpc, &conf, &server, &err), TR_OK);
    const struct tr_rpc_method method = { .path = HOLD, .handler = hold, .ctx = &h };
    tr_rpc_server_add(server, &method);
    tr_rpc_server_start(server);
    char target[32];
    const bool has_v6 = access("/proc/net/if_inet6", R_OK) == 0;
    assert_true(snprintf(target, sizeof(target), "%s:%d", has_v6 ? "[::1]" : "127.0.0.1",
                         (int)tr_rpc_server_port(server, 0)) > 0);
    const struct tr_rpc_channel_conf channel_conf = { .target = tr_slice_str(target) };
    assert_int_equal(tr_rpc_channel_new(f.rpc, &channel_conf, &f.channel, &err), TR_OK);
    struct unary u = { 0 };
    unary_start(&f, &u, HOLD, TR_SLICE_LIT("x"));
    fixture_wait_count(&f, &h.arrived, 1);
    assert_true(tr_slice_starts(tr_rpc_call_peer(h.call),
                                has_v6 ? TR_SLICE_LIT("[::1]:") : TR_SLICE_LIT("127.0.0.1:")));
    tr_rpc_call_reply(h.call, TR_SLICE_LIT("y"));
    fixture_wait(&f, &u.is_done);
    tr_rpc_unary_fini(&u.op);
    bool is_closed = false;
    tr_rpc_server_close(server, on_closed, &is_closed);
    fixture_wait(&f, &is_closed);
    fixture_fini(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(graceful_close_waits_for_the_open_call_and_refuses_new_ones),
        cmocka_unit_test(hard_close_cancels_the_open_calls),
        cmocka_unit_test(hard_close_ends_open_streams_on_both_sides),
        cmocka_unit_test(server_that_never_started_closes),
        cmocka_unit_test(idle_connection_does_not_hold_up_the_close),
        cmocka_unit_test(server_needs_one_address_that_can_be_bound),
        cmocka_unit_test(unix_socket_is_served),
        cmocka_unit_test(ipv6_peer_is_named_with_brackets),
    };
    int failed = cmocka_run_group_tests_name("epoll", tests, NULL, NULL);
    fixture_use_thread = true;
    failed += cmocka_run_group_tests_name("thread", tests, NULL, NULL);
    return failed;
}
