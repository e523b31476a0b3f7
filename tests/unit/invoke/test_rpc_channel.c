/* A channel: connecting, losing the connection, watching its state, closing; and the pump's silence. */
#include "tests/unit/invoke/rpc_fixture.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#define HOLD "/test.Echo/Hold"
#define ECHO "/test.Echo/Echo"

struct held {
    struct tr_rpc_watch watch;
    struct tr_rpc_call *call;
    unsigned arrived;
    unsigned closed;
};

static void on_held_cancel(struct tr_rpc_watch *watch)
{
    tr_rpc_call_fail(TR_CONTAINER_OF(watch, struct held, watch)->call, TR_RPC_CANCELED,
                     tr_slice(NULL, 0));
}

static void on_held_close(struct tr_rpc_watch *watch)
{
    TR_CONTAINER_OF(watch, struct held, watch)->closed++;
}

static void hold(void *ctx, struct tr_rpc_call *call)
{
    struct held *h = ctx;
    h->call = call;
    h->watch.on_cancel = on_held_cancel;
    h->watch.on_close = on_held_close;
    h->arrived++;
    tr_rpc_call_watch(call, &h->watch);
}

static void echo(void *ctx, struct tr_rpc_call *call)
{
    (void)ctx;
    tr_rpc_call_reply(call, tr_buf_slice(tr_rpc_call_request(call)));
}

static void serve(struct fixture *f, struct held *h)
{
    memset(h, 0, sizeof(*h));
    const struct tr_rpc_method methods[] = {
        { .path = HOLD, .handler = hold, .ctx = h },
        { .path = ECHO, .handler = echo },
    };
    fixture_serve(f, methods, TR_ARRAY_LEN(methods));
}

/* A channel to a port of this machine that nobody listens on; `*out_socket` keeps it taken. */
static void aim_at_nobody(struct fixture *f, int *out_socket)
{
    struct sockaddr_in address = { .sin_family = AF_INET,
                                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t len = sizeof(address);
    *out_socket = socket(AF_INET, SOCK_STREAM, 0);
    assert_true(*out_socket >= 0);
    assert_int_equal(bind(*out_socket, (struct sockaddr *)&address, len), 0);
    assert_int_equal(getsockname(*out_socket, (struct sockaddr *)&address, &len), 0);
    char target[32];
    assert_true(snprintf(target, sizeof(target), "127.0.0.1:%d", (int)ntohs(address.sin_port)) > 0);
    const struct tr_rpc_channel_conf conf = { .target = tr_slice_str(target),
                                              .backoff_min_ms = 100,
                                              .backoff_max_ms = 100 };
    struct tr_err err;
    assert_int_equal(tr_rpc_channel_new(f->rpc, &conf, &f->channel, &err), TR_OK);
}

static void dead_address_fails_unavailable(void **state)
{
    (void)state;
    struct fixture f;
    int taken;
    fixture_init(&f, &(struct tr_rpc_server_conf){ 0 });
    aim_at_nobody(&f, &taken);
    struct unary u = { 0 };
    unary_call(&f, &u, ECHO, TR_SLICE_LIT("x"));
    assert_int_equal(u.op.status, TR_RPC_UNAVAILABLE);
    assert_true(u.op.message.len > 0);
    tr_rpc_unary_fini(&u.op);
    fixture_fini(&f);
    (void)close(taken);
}

static void call_that_waits_for_ready_ends_at_its_deadline(void **state)
{
    (void)state;
    struct fixture f;
    int taken;
    fixture_init(&f, &(struct tr_rpc_server_conf){ 0 });
    aim_at_nobody(&f, &taken);
    struct unary u = { .op = { .wait_for_ready = true,
                               .deadline_ms = tr_loop_now_ms(f.loop) + 300 } };
    unary_call(&f, &u, ECHO, TR_SLICE_LIT("x"));
    assert_int_equal(u.op.status, TR_RPC_DEADLINE_EXCEEDED);
    tr_rpc_unary_fini(&u.op);
    fixture_fini(&f);
    (void)close(taken);
}

static void call_that_waits_for_ready_goes_through_when_the_server_comes(void **state)
{
    (void)state;
    struct fixture f;
    int taken;
    fixture_init(&f, &(struct tr_rpc_server_conf){ 0 });
    aim_at_nobody(&f, &taken);
    struct unary u = { .op.wait_for_ready = true };
    unary_start(&f, &u, ECHO, TR_SLICE_LIT("x"));
    struct unary probe = { 0 };
    unary_call(&f, &probe, ECHO, TR_SLICE_LIT("x"));
    assert_int_equal(probe.op.status, TR_RPC_UNAVAILABLE);
    tr_rpc_unary_fini(&probe.op);
    assert_false(u.is_done);
    /* Now somebody listens; the handshake is enough to show that the attempt is made again. */
    assert_int_equal(listen(taken, 1), 0);
    while (!u.is_done && tr_rpc_channel_state(f.channel) != TR_RPC_CONNECTING) {
        tr_loop_turn(f.loop);
    }
    assert_false(u.is_done);
    tr_rpc_unary_cancel(&u.op);
    fixture_wait(&f, &u.is_done);
    assert_int_equal(u.op.status, TR_RPC_CANCELED);
    tr_rpc_unary_fini(&u.op);
    fixture_fini(&f);
    (void)close(taken);
}

static void empty_target_is_refused(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f, &(struct tr_rpc_server_conf){ 0 });
    struct tr_err err;
    const struct tr_rpc_channel_conf conf = { .target = TR_SLICE_LIT("") };
    assert_int_equal(tr_rpc_channel_new(f.rpc, &conf, &f.channel, &err), TR_INVALID);
    fixture_fini(&f);
}

static void target_that_cannot_be_resolved_fails_the_call(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f, &(struct tr_rpc_server_conf){ 0 });
    struct tr_err err;
    const struct tr_rpc_channel_conf conf = { .target = TR_SLICE_LIT("no-such-scheme://x y") };
    assert_int_equal(tr_rpc_channel_new(f.rpc, &conf, &f.channel, &err), TR_OK);
    struct unary u = { 0 };
    unary_call(&f, &u, ECHO, TR_SLICE_LIT("x"));
    assert_int_not_equal(u.op.status, TR_RPC_OK);
    tr_rpc_unary_fini(&u.op);
    fixture_fini(&f);
}

static void server_gone_in_the_middle_fails_the_call_unavailable(void **state)
{
    (void)state;
    struct fixture f;
    struct held h;
    serve(&f, &h);
    struct unary u = { 0 };
    unary_start(&f, &u, HOLD, TR_SLICE_LIT("x"));
    fixture_wait_count(&f, &h.arrived, 1);
    tr_rpc_server_cancel_calls(f.server);
    fixture_close_server(&f);
    fixture_wait(&f, &u.is_done);
    assert_int_equal(u.op.status, TR_RPC_UNAVAILABLE);
    assert_int_equal(h.closed, 1);
    tr_rpc_unary_fini(&u.op);
    fixture_fini(&f);
}

static void close_cancels_calls_in_flight_and_refuses_new_ones(void **state)
{
    (void)state;
    struct fixture f;
    struct held h;
    serve(&f, &h);
    struct unary u = { 0 };
    unary_start(&f, &u, HOLD, TR_SLICE_LIT("x"));
    fixture_wait_count(&f, &h.arrived, 1);
    struct unary late = { 0 };
    unary_start(&f, &late, ECHO, TR_SLICE_LIT("x"));
    tr_rpc_unary_cancel(&late.op);
    fixture_close_channel(&f);
    assert_true(u.is_done);
    assert_true(late.is_done);
    assert_int_equal(u.op.status, TR_RPC_CANCELED);
    /* The cancel may have come too late. */
    assert_true(late.op.status == TR_RPC_CANCELED || late.op.status == TR_RPC_OK);
    fixture_wait_count(&f, &h.closed, 1);
    tr_rpc_unary_fini(&u.op);
    tr_rpc_unary_fini(&late.op);
    fixture_fini(&f);
}

/* --- state ---------------------------------------------------------------------------------------------------------- */

struct state_note {
    struct tr_rpc_state_watch op;
    bool is_done;
};

static void on_state(struct tr_rpc_state_watch *op)
{
    TR_CONTAINER_OF(op, struct state_note, op)->is_done = true;
}

static enum tr_rpc_state wait_change(struct fixture *f, enum tr_rpc_state seen)
{
    struct state_note note = { .op = { .seen = seen, .cb = on_state } };
    tr_rpc_state_watch_start(f->channel, &note.op);
    assert_false(note.is_done);
    fixture_wait(f, &note.is_done);
    assert_int_equal(note.op.err.code, TR_OK);
    assert_int_not_equal(note.op.state, seen);
    return note.op.state;
}

static void state_goes_from_idle_to_ready_and_back_when_the_server_goes(void **state)
{
    (void)state;
    struct fixture f;
    struct held h;
    serve(&f, &h);
    assert_int_equal(tr_rpc_channel_state(f.channel), TR_RPC_IDLE);
    tr_rpc_channel_connect(f.channel);
    enum tr_rpc_state seen = TR_RPC_IDLE;
    while (seen != TR_RPC_READY) {
        seen = wait_change(&f, seen);
        assert_true(seen == TR_RPC_CONNECTING || seen == TR_RPC_READY);
    }
    fixture_close_server(&f);
    seen = wait_change(&f, TR_RPC_READY);
    assert_int_equal(seen, TR_RPC_IDLE);
    fixture_fini(&f);
}

static void watches_are_cancelled_and_closed(void **state)
{
    (void)state;
    struct fixture f;
    struct held h;
    serve(&f, &h);
    struct state_note first = { .op = { .seen = TR_RPC_IDLE, .cb = on_state } };
    struct state_note second = { .op = { .seen = TR_RPC_IDLE, .cb = on_state } };
    tr_rpc_state_watch_start(f.channel, &first.op);
    tr_rpc_state_watch_start(f.channel, &second.op);
    tr_rpc_state_watch_cancel(&first.op);
    assert_false(first.is_done);
    fixture_wait(&f, &first.is_done);
    assert_int_equal(first.op.err.code, TR_CANCELED);
    assert_false(second.is_done);
    fixture_close_channel(&f);
    assert_true(second.is_done);
    assert_int_equal(second.op.err.code, TR_CLOSED);
    assert_int_equal(second.op.state, TR_RPC_CLOSED);
    fixture_fini(&f);
}

/* --- the pump ------------------------------------------------------------------------------------------------------- */

static void one_rpc_is_open_in_a_process_at_a_time(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f, &(struct tr_rpc_server_conf){ 0 });
    struct tr_rpc *other;
    struct tr_err err;
    const struct tr_rpc_conf conf = { 0 };
    assert_int_equal(tr_rpc_new(f.loop, &conf, &other, &err), TR_EXISTS);
    assert_int_equal(tr_rpc_uses_epoll(f.rpc), !fixture_use_thread);
    fixture_fini(&f);
}

struct pause {
    struct tr_timer timer;
    bool is_over;
};

static void on_pause_over(struct tr_timer *timer)
{
    TR_CONTAINER_OF(timer, struct pause, timer)->is_over = true;
}

static void silent_connection_needs_no_look_at_the_queue(void **state)
{
    (void)state;
    struct fixture f;
    struct held h;
    serve(&f, &h);
    struct unary u = { 0 };
    unary_call(&f, &u, ECHO, TR_SLICE_LIT("x"));
    tr_rpc_unary_fini(&u.op);
    struct pause pause = { 0 };
    tr_timer_init(&pause.timer, f.loop, on_pause_over);
    /* The looks that follow the call come first: their number is bounded, whatever the machine does. */
    tr_timer_set(&pause.timer, tr_loop_now_ms(f.loop) + 100);
    fixture_wait(&f, &pause.is_over);
    const uint64_t before = tr_rpc_drains(f.rpc);
    pause.is_over = false;
    tr_timer_set(&pause.timer, tr_loop_now_ms(f.loop) + 300);
    fixture_wait(&f, &pause.is_over);
    assert_true(tr_rpc_drains(f.rpc) - before <= 3);
    fixture_fini(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(dead_address_fails_unavailable),
        cmocka_unit_test(call_that_waits_for_ready_ends_at_its_deadline),
        cmocka_unit_test(call_that_waits_for_ready_goes_through_when_the_server_comes),
        cmocka_unit_test(empty_target_is_refused),
        cmocka_unit_test(target_that_cannot_be_resolved_fails_the_call),
        cmocka_unit_test(server_gone_in_the_middle_fails_the_call_unavailable),
        cmocka_unit_test(close_cancels_calls_in_flight_and_refuses_new_ones),
        cmocka_unit_test(state_goes_from_idle_to_ready_and_back_when_the_server_goes),
        cmocka_unit_test(watches_are_cancelled_and_closed),
        cmocka_unit_test(one_rpc_is_open_in_a_process_at_a_time),
        cmocka_unit_test(silent_connection_needs_no_look_at_the_queue),
    };
    int failed = cmocka_run_group_tests_name("epoll", tests, NULL, NULL);
    fixture_use_thread = true;
    failed += cmocka_run_group_tests_name("thread", tests, NULL, NULL);
    return failed;
}
