/* Streams: messages both ways, back-pressure, half-close, ends from either side; with both ways of driving the queue. */
#include "tests/unit/invoke/rpc_fixture.h"

#define STREAM   "/test.Echo/Stream"
#define PING     "/test.Echo/Ping"
#define MESSAGES 1000U

/* --- server side: a stream driven by the test ----------------------------------------------------------------------- */

struct peer {
    struct tr_rpc_watch watch;
    struct tr_rpc_call *call;
    struct tr_rpc_recv recv;
    struct tr_rpc_send send;
    struct tr_buf last; /* last message received */
    bool echoes;        /* send back what comes, finish at its end */
    bool is_receiving;
    bool is_sending;
    unsigned arrived;
    unsigned received;
    unsigned sent;
    unsigned ended;    /* half-close seen */
    unsigned lost;     /* receive came back with TR_CANCELED */
    unsigned canceled; /* notice of cancellation */
    unsigned closed;
    enum tr_code recv_code;
    enum tr_code send_code;
};

static void peer_recv(struct peer *p)
{
    p->is_receiving = true;
    tr_rpc_call_recv_start(p->call, &p->recv);
}

static void peer_send(struct peer *p, struct tr_slice message)
{
    p->is_sending = true;
    p->send.message = message;
    tr_rpc_call_send_start(p->call, &p->send);
}

static void on_peer_recv(struct tr_rpc_recv *recv)
{
    struct peer *p = TR_CONTAINER_OF(recv, struct peer, recv);
    p->is_receiving = false;
    p->recv_code = recv->err.code;
    if (recv->err.code != TR_OK) {
        p->lost++;
        return;
    }
    if (!recv->has_message) {
        p->ended++;
        if (p->echoes) {
            tr_rpc_call_finish(p->call, TR_RPC_OK, tr_slice(NULL, 0));
        }
        return;
    }
    p->received++;
    tr_buf_move(&p->last, &recv->message);
    if (p->echoes) {
        peer_send(p, tr_buf_slice(&p->last));
    }
}

static void on_peer_send(struct tr_rpc_send *send)
{
    struct peer *p = TR_CONTAINER_OF(send, struct peer, send);
    p->is_sending = false;
    p->send_code = send->err.code;
    if (send->err.code == TR_OK) {
        p->sent++;
        if (p->echoes) {
            peer_recv(p);
        }
    }
}

static void on_peer_cancel(struct tr_rpc_watch *watch)
{
    TR_CONTAINER_OF(watch, struct peer, watch)->canceled++;
}

static void on_peer_close(struct tr_rpc_watch *watch)
{
    struct peer *p = TR_CONTAINER_OF(watch, struct peer, watch);
    assert_false(p->is_receiving);
    assert_false(p->is_sending);
    p->closed++;
    tr_buf_fini(&p->last);
}

static void on_stream(void *ctx, struct tr_rpc_call *call)
{
    struct peer *p = ctx;
    p->call = call;
    p->arrived++;
    p->recv.cb = on_peer_recv;
    p->send.cb = on_peer_send;
    p->watch.on_cancel = on_peer_cancel;
    p->watch.on_close = on_peer_close;
    tr_rpc_call_watch(call, &p->watch);
    if (p->echoes) {
        peer_recv(p);
    }
}

/* --- client side ---------------------------------------------------------------------------------------------------- */

struct client {
    struct tr_rpc_stream op;
    struct tr_rpc_recv recv;
    struct tr_rpc_send send;
    bool is_done;
    bool has_initial;
    bool is_receiving;
    bool is_sending;
    bool sends_all; /* MESSAGES messages of their number, then half-close */
    bool reads_all; /* ask for the next in the callback */
    unsigned received;
    unsigned ended;
    unsigned sent;
    enum tr_code recv_code;
    enum tr_code send_code;
    struct tr_buf last;
};

static void on_client_done(struct tr_rpc_stream *op)
{
    struct client *c = TR_CONTAINER_OF(op, struct client, op);
    assert_false(c->is_done);
    assert_false(c->is_receiving);
    assert_false(c->is_sending);
    c->is_done = true;
}

static void on_client_initial(struct tr_rpc_stream *op)
{
    struct client *c = TR_CONTAINER_OF(op, struct client, op);
    assert_false(c->has_initial);
    c->has_initial = true;
}

static void client_recv(struct client *c)
{
    c->is_receiving = true;
    tr_rpc_stream_recv_start(&c->op, &c->recv);
}

static void client_send(struct client *c, struct tr_slice message)
{
    c->is_sending = true;
    c->send.message = message;
    tr_rpc_stream_send_start(&c->op, &c->send);
}

static void on_client_recv(struct tr_rpc_recv *recv)
{
    struct client *c = TR_CONTAINER_OF(recv, struct client, recv);
    c->is_receiving = false;
    c->recv_code = recv->err.code;
    if (recv->err.code != TR_OK || !recv->has_message) {
        c->ended++;
        return;
    }
    if (c->sends_all) {
        assert_true(
            tr_slice_eq(tr_buf_slice(&recv->message), tr_slice(&c->received, sizeof(c->received))));
    }
    tr_buf_move(&c->last, &recv->message);
    c->received++;
    if (c->reads_all) {
        client_recv(c);
    }
}

static void on_client_send(struct tr_rpc_send *send)
{
    struct client *c = TR_CONTAINER_OF(send, struct client, send);
    c->is_sending = false;
    c->send_code = send->err.code;
    if (send->err.code != TR_OK) {
        return;
    }
    c->sent++;
    if (c->sends_all && c->sent == MESSAGES) {
        tr_rpc_stream_half_close(&c->op);
    } else if (c->sends_all) {
        client_send(c, tr_slice(&c->sent, sizeof(c->sent)));
    }
}

static void client_start(struct fixture *f, struct client *c)
{
    c->op.path = tr_slice_str(STREAM);
    c->op.cb = on_client_done;
    c->op.on_initial = on_client_initial;
    c->recv.cb = on_client_recv;
    c->send.cb = on_client_send;
    tr_rpc_stream_start(f->channel, &c->op);
    assert_false(c->is_done);
}

static void client_fini(struct client *c)
{
    tr_buf_fini(&c->last);
    tr_rpc_stream_fini(&c->op);
}

static void serve(struct fixture *f, struct peer *p)
{
    const struct tr_rpc_method method = {
        .path = STREAM, .is_stream = true, .handler = on_stream, .ctx = p
    };
    fixture_serve(f, &method, 1);
}

/* Serve, start a stream, wait until the server has it. */
static void connect_stream(struct fixture *f, struct peer *p, struct client *c)
{
    serve(f, p);
    client_start(f, c);
    fixture_wait_count(f, &p->arrived, 1);
}

/* --- tests ---------------------------------------------------------------------------------------------------------- */

static void answer(void *ctx, struct tr_rpc_call *call)
{
    (void)ctx;
    tr_rpc_call_reply(call, tr_slice(NULL, 0));
}

static void thousand_messages_go_both_ways_in_order(void **state)
{
    (void)state;
    struct fixture f;
    struct peer p = { .echoes = true };
    struct client c = { .sends_all = true, .reads_all = true };
    serve(&f, &p);
    client_start(&f, &c);
    client_recv(&c);
    client_send(&c, tr_slice(&c.sent, sizeof(c.sent)));
    fixture_wait(&f, &c.is_done);
    assert_int_equal(c.op.status, TR_RPC_OK);
    assert_int_equal(c.received, MESSAGES);
    assert_int_equal(c.ended, 1);
    assert_int_equal(c.recv_code, TR_OK);
    fixture_wait_count(&f, &p.closed, 1);
    assert_int_equal(p.received, MESSAGES);
    assert_int_equal(p.ended, 1);
    assert_int_equal(p.canceled, 0);
    client_fini(&c);
    fixture_fini(&f);
}

static bool is_not_sending(void *ctx)
{
    return !((const struct client *)ctx)->is_sending;
}

/* Does the send stay in flight while other calls go to and fro on the same connection? */
static bool is_held_back(struct fixture *f, const struct client *c)
{
    for (unsigned i = 0; i < 10 && c->is_sending; i++) {
        struct unary u = { 0 };
        unary_call(f, &u, PING, tr_slice(NULL, 0));
        assert_int_equal(u.op.status, TR_RPC_OK);
        tr_rpc_unary_fini(&u.op);
    }
    return c->is_sending;
}

static void slow_reader_holds_the_sender_back(void **state)
{
    (void)state;
    struct fixture f;
    struct peer p = { 0 };
    struct client c = { 0 };
    connect_stream(&f, &p, &c);
    const struct tr_rpc_method ping = { .path = PING, .handler = answer };
    tr_rpc_server_add(f.server, &ping);
    static char block[65536];
    /* Without anybody reading, the windows and buffers between take a bounded number of messages. */
    do {
        assert_true(c.sent < MESSAGES);
        client_send(&c, tr_slice(block, sizeof(block)));
    } while (!is_held_back(&f, &c));
    const unsigned stuck = c.sent;
    peer_recv(&p);
    fixture_wait_count(&f, &p.received, 1);
    while (p.received <= stuck) {
        peer_recv(&p);
        fixture_wait_count(&f, &p.received, p.received + 1);
    }
    fixture_wait_count(&f, &c.sent, stuck + 1);
    tr_rpc_call_finish(p.call, TR_RPC_OK, tr_slice(NULL, 0));
    fixture_wait(&f, &c.is_done);
    fixture_wait_count(&f, &p.closed, 1);
    assert_int_equal(p.received, c.sent);
    client_fini(&c);
    fixture_fini(&f);
}

static void half_close_ends_the_servers_receives_and_no_more(void **state)
{
    (void)state;
    struct fixture f;
    struct peer p = { 0 };
    struct client c = { 0 };
    connect_stream(&f, &p, &c);
    peer_recv(&p);
    client_send(&c, TR_SLICE_LIT("only"));
    tr_rpc_stream_half_close(&c.op); /* behind the send in flight */
    fixture_wait_count(&f, &p.received, 1);
    assert_text(tr_buf_slice(&p.last), "only");
    peer_recv(&p);
    fixture_wait_count(&f, &p.ended, 1);
    assert_int_equal(p.canceled, 0);
    client_recv(&c);
    peer_send(&p, TR_SLICE_LIT("still here"));
    fixture_wait_count(&f, &c.received, 1);
    assert_true(c.has_initial);
    assert_text(tr_buf_slice(&c.last), "still here");
    tr_rpc_call_finish(p.call, TR_RPC_OK, tr_slice(NULL, 0));
    client_recv(&c);
    fixture_wait(&f, &c.is_done);
    assert_int_equal(c.op.status, TR_RPC_OK);
    fixture_wait_count(&f, &p.closed, 1);
    client_fini(&c);
    fixture_fini(&f);
}

static void servers_end_overtakes_no_message_and_carries_trailers(void **state)
{
    (void)state;
    struct fixture f;
    struct peer p = { 0 };
    struct client c = { 0 };
    connect_stream(&f, &p, &c);
    tr_rpc_md_add(tr_rpc_call_initial(p.call), TR_SLICE_LIT("x-first"), TR_SLICE_LIT("1"));
    tr_rpc_md_add(tr_rpc_call_trailing(p.call), TR_SLICE_LIT("x-last"), TR_SLICE_LIT("2"));
    peer_send(&p, TR_SLICE_LIT("last words"));
    tr_rpc_call_finish(p.call, TR_RPC_OK, tr_slice(NULL, 0)); /* behind the send in flight */
    client_recv(&c);
    fixture_wait_count(&f, &c.received, 1);
    assert_text(tr_buf_slice(&c.last), "last words");
    fixture_wait(&f, &c.is_done);
    assert_int_equal(c.op.status, TR_RPC_OK);
    struct tr_slice value;
    assert_true(tr_rpc_md_get(&c.op.initial, "x-first", &value));
    assert_text(value, "1");
    assert_true(tr_rpc_md_get(&c.op.trailing, "x-last", &value));
    assert_text(value, "2");
    fixture_wait_count(&f, &p.closed, 1);
    client_fini(&c);
    fixture_fini(&f);
}

static void error_status_leaves_a_late_reader_the_messages_before_it(void **state)
{
    (void)state;
    struct fixture f;
    struct peer p = { 0 };
    struct client c = { 0 };
    connect_stream(&f, &p, &c);
    peer_send(&p, TR_SLICE_LIT("one"));
    fixture_wait_count(&f, &p.sent, 1);
    peer_send(&p, TR_SLICE_LIT("two"));
    fixture_wait_count(&f, &p.sent, 2);
    tr_rpc_call_fail(p.call, TR_RPC_ABORTED, TR_SLICE_LIT("enough"));
    fixture_wait_count(&f, &p.closed, 1);
    const struct tr_rpc_method ping = { .path = PING, .handler = answer };
    tr_rpc_server_add(f.server, &ping);
    struct unary u = { 0 };
    unary_call(&f, &u, PING, tr_slice(NULL, 0));
    tr_rpc_unary_fini(&u.op);
    assert_false(c.is_done);
    client_recv(&c);
    fixture_wait_count(&f, &c.received, 1);
    assert_text(tr_buf_slice(&c.last), "one");
    client_recv(&c);
    fixture_wait_count(&f, &c.received, 2);
    assert_text(tr_buf_slice(&c.last), "two");
    fixture_wait(&f, &c.is_done);
    assert_int_equal(c.op.status, TR_RPC_ABORTED);
    client_fini(&c);
    fixture_fini(&f);
}

static void servers_error_ends_a_client_that_still_sends(void **state)
{
    (void)state;
    struct fixture f;
    struct peer p = { 0 };
    struct client c = { 0 };
    connect_stream(&f, &p, &c);
    client_recv(&c);
    tr_rpc_call_fail(p.call, TR_RPC_FAILED_PRECONDITION, TR_SLICE_LIT("node id=0 is not a leader"));
    fixture_wait(&f, &c.is_done);
    assert_int_equal(c.op.status, TR_RPC_FAILED_PRECONDITION);
    assert_text(tr_buf_slice(&c.op.message), "node id=0 is not a leader");
    assert_int_equal(c.ended, 1);
    fixture_wait_count(&f, &p.closed, 1);
    assert_int_equal(p.canceled, 0);
    client_fini(&c);
    fixture_fini(&f);
}

static void clients_cancel_reaches_a_receiving_server_as_a_loss(void **state)
{
    (void)state;
    struct fixture f;
    struct peer p = { 0 };
    struct client c = { 0 };
    connect_stream(&f, &p, &c);
    peer_recv(&p);
    client_recv(&c);
    tr_rpc_stream_cancel(&c.op);
    fixture_wait(&f, &c.is_done);
    assert_int_equal(c.op.status, TR_RPC_CANCELED);
    fixture_wait_count(&f, &p.canceled, 1);
    fixture_wait_count(&f, &p.lost, 1);
    assert_int_equal(p.ended, 0);
    assert_int_equal(p.recv_code, TR_CANCELED);
    assert_int_equal(p.closed, 0);
    tr_rpc_call_finish(p.call, TR_RPC_CANCELED, tr_slice(NULL, 0));
    fixture_wait_count(&f, &p.closed, 1);
    client_fini(&c);
    fixture_fini(&f);
}

static void receive_in_flight_at_the_servers_own_end_comes_back_canceled(void **state)
{
    (void)state;
    struct fixture f;
    struct peer p = { 0 };
    struct client c = { 0 };
    connect_stream(&f, &p, &c);
    peer_recv(&p);
    client_recv(&c);
    tr_rpc_call_finish(p.call, TR_RPC_ABORTED, TR_SLICE_LIT("enough"));
    fixture_wait(&f, &c.is_done);
    assert_int_equal(c.op.status, TR_RPC_ABORTED);
    fixture_wait_count(&f, &p.closed, 1);
    assert_int_equal(p.lost, 1);
    assert_int_equal(p.canceled, 0);
    client_fini(&c);
    fixture_fini(&f);
}

static void deadline_ends_a_stream_on_both_sides(void **state)
{
    (void)state;
    struct fixture f;
    struct peer p = { 0 };
    struct client c = { 0 };
    serve(&f, &p);
    c.op.deadline_ms = tr_loop_now_ms(f.loop) + 200;
    client_start(&f, &c);
    client_recv(&c);
    fixture_wait_count(&f, &p.arrived, 1);
    peer_recv(&p);
    fixture_wait(&f, &c.is_done);
    assert_int_equal(c.op.status, TR_RPC_DEADLINE_EXCEEDED);
    fixture_wait_count(&f, &p.canceled, 1);
    fixture_wait_count(&f, &p.lost, 1);
    tr_rpc_call_finish(p.call, TR_RPC_CANCELED, tr_slice(NULL, 0));
    fixture_wait_count(&f, &p.closed, 1);
    client_fini(&c);
    fixture_fini(&f);
}

static void message_above_the_limit_fails_its_receiver(void **state)
{
    (void)state;
    struct fixture f;
    struct tr_rpc_server_conf server_conf = { .message_bytes_max = 100 };
    struct tr_rpc_channel_conf channel_conf = { .message_bytes_max = 50 };
    struct peer p = { 0 };
    struct client c = { 0 };
    const struct tr_rpc_method method = {
        .path = STREAM, .is_stream = true, .handler = on_stream, .ctx = &p
    };
    static const char block[101];
    fixture_init(&f, &server_conf);
    tr_rpc_server_add(f.server, &method);
    fixture_start(&f, &channel_conf);
    client_start(&f, &c);
    fixture_wait_count(&f, &p.arrived, 1);
    client_send(&c, tr_slice(block, 51));
    fixture_wait_for(&f, is_not_sending, &c);
    assert_int_equal(c.send_code, TR_LIMIT);
    assert_string_equal(c.send.err.msg, "trying to send message larger than max (51 vs. 50)");
    client_recv(&c);
    peer_send(&p, tr_slice(block, 60));
    fixture_wait(&f, &c.is_done);
    assert_int_equal(c.recv_code, TR_LIMIT);
    assert_string_equal(c.recv.err.msg, "grpc: received message larger than max (60 vs. 50)");
    assert_int_equal(c.op.status, TR_RPC_RESOURCE_EXHAUSTED);
    assert_text(tr_buf_slice(&c.op.message), "grpc: received message larger than max (60 vs. 50)");
    fixture_wait_count(&f, &p.canceled, 1);
    tr_rpc_call_finish(p.call, TR_RPC_CANCELED, tr_slice(NULL, 0));
    fixture_wait_count(&f, &p.closed, 1);
    client_fini(&c);
    fixture_fini(&f);
}

static void stream_above_the_channels_limit_is_refused_with_its_operations(void **state)
{
    (void)state;
    struct fixture f;
    struct peer p = { 0 };
    struct client first = { 0 };
    struct client second = { 0 };
    fixture_init(&f, &(struct tr_rpc_server_conf){ 0 });
    const struct tr_rpc_method method = {
        .path = STREAM, .is_stream = true, .handler = on_stream, .ctx = &p
    };
    tr_rpc_server_add(f.server, &method);
    fixture_start(&f, &(struct tr_rpc_channel_conf){ .calls_max = 1 });
    client_start(&f, &first);
    client_start(&f, &second);
    client_recv(&second);
    client_send(&second, TR_SLICE_LIT("x"));
    fixture_wait(&f, &second.is_done);
    assert_int_equal(second.op.status, TR_RPC_RESOURCE_EXHAUSTED);
    assert_int_equal(second.ended, 1);
    assert_int_equal(second.send_code, TR_CANCELED);
    fixture_wait_count(&f, &p.arrived, 1);
    tr_rpc_call_finish(p.call, TR_RPC_OK, tr_slice(NULL, 0));
    fixture_wait(&f, &first.is_done);
    fixture_wait_count(&f, &p.closed, 1);
    client_fini(&first);
    client_fini(&second);
    fixture_fini(&f);
}

static void fallback_serves_every_other_path(void **state)
{
    (void)state;
    struct fixture f;
    struct peer p = { .echoes = true };
    struct peer other = { 0 };
    fixture_init(&f, &(struct tr_rpc_server_conf){ 0 });
    const struct tr_rpc_method method = {
        .path = "/test.Echo/Known", .is_stream = true, .handler = on_stream, .ctx = &other
    };
    tr_rpc_server_add(f.server, &method);
    tr_rpc_server_set_fallback(f.server, on_stream, &p);
    fixture_start(&f, &(struct tr_rpc_channel_conf){ 0 });
    struct unary u = { 0 };
    unary_call(&f, &u, "/any.Service/Any", TR_SLICE_LIT("through"));
    assert_int_equal(u.op.status, TR_RPC_OK);
    assert_text(tr_buf_slice(&u.op.response), "through");
    assert_int_equal(p.arrived, 1);
    assert_int_equal(other.arrived, 0);
    fixture_wait_count(&f, &p.closed, 1);
    tr_rpc_unary_fini(&u.op);
    fixture_fini(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(thousand_messages_go_both_ways_in_order),
        cmocka_unit_test(slow_reader_holds_the_sender_back),
        cmocka_unit_test(half_close_ends_the_servers_receives_and_no_more),
        cmocka_unit_test(servers_end_overtakes_no_message_and_carries_trailers),
        cmocka_unit_test(error_status_leaves_a_late_reader_the_messages_before_it),
        cmocka_unit_test(servers_error_ends_a_client_that_still_sends),
        cmocka_unit_test(clients_cancel_reaches_a_receiving_server_as_a_loss),
        cmocka_unit_test(receive_in_flight_at_the_servers_own_end_comes_back_canceled),
        cmocka_unit_test(deadline_ends_a_stream_on_both_sides),
        cmocka_unit_test(message_above_the_limit_fails_its_receiver),
        cmocka_unit_test(stream_above_the_channels_limit_is_refused_with_its_operations),
        cmocka_unit_test(fallback_serves_every_other_path),
    };
    int failed = cmocka_run_group_tests_name("epoll", tests, NULL, NULL);
    fixture_use_thread = true;
    failed += cmocka_run_group_tests_name("thread", tests, NULL, NULL);
    return failed;
}
