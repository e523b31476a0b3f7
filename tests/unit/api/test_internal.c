/*
 * Calls from other sidecars: what a peer's request becomes, and what is told to it; then both ends together, the way a
 * call really goes from one sidecar to another.
 */
#include "invoke/headers.h"
#include "proto/common.pb-c.h"
#include "proto/internals.pb-c.h"
#include "runtime/actor/remote.h"
#include "runtime/app/forward.h"
#include "tests/unit/api/grpc_wire.h"

#define ACTOR    "/dapr.proto.internals.v1.ServiceInvocation/CallActor"
#define REMINDER "/dapr.proto.internals.v1.ServiceInvocation/CallActorReminder"
#define STREAM   "/dapr.proto.internals.v1.ServiceInvocation/CallActorStream"

/* --- messages ------------------------------------------------------------------------------------------------------- */

struct request {
    Tr__Internals__InternalInvokeRequest message;
    Tr__Internals__Actor actor;
    Tr__Common__InvokeRequest invoke;
    Tr__Common__Any data;
    Tr__Common__HTTPExtension http;
    struct tr_header_map headers;
};

static void request_init(struct request *r, const char *id, const char *method)
{
    tr__internals__internal_invoke_request__init(&r->message);
    tr__internals__actor__init(&r->actor);
    tr__common__invoke_request__init(&r->invoke);
    tr__common__any__init(&r->data);
    tr__common__httpextension__init(&r->http);
    tr_header_map_init(&r->headers, 4);
    TR_WIRE_SET(&r->actor, actor_type, TR_SLICE_LIT("cat"));
    TR_WIRE_SET(&r->actor, actor_id, tr_slice_str(id));
    TR_WIRE_SET(&r->invoke, method, tr_slice_str(method));
    r->invoke.data = &r->data;
    r->invoke.http_extension = &r->http;
    r->message.actor = &r->actor;
    r->message.message = &r->invoke;
}

static void request_header(struct request *r, const char *name, const char *value)
{
    tr_header_map_add(&r->headers, tr_slice_str(name), tr_slice_str(value));
    r->message.metadata = r->headers.entries;
    r->message.n_metadata = r->headers.len;
}

static void request_fini(struct request *r)
{
    tr_header_map_fini(&r->headers);
}

static void start(struct grpc_test *t, struct unary *u, const struct request *r)
{
    const size_t open = t->api.engine.app.open_len;
    grpc_start(t, u, ACTOR, &r->message, NULL);
    grpc_wait_app(t, open + 1);
}

static Tr__Internals__Reminder firing_of(const char *name)
{
    Tr__Internals__Reminder message = TR__INTERNALS__REMINDER__INIT;
    TR_WIRE_SET(&message, actor_type, TR_SLICE_LIT("cat"));
    TR_WIRE_SET(&message, actor_id, TR_SLICE_LIT("1"));
    TR_WIRE_SET(&message, name, tr_slice_str(name));
    return message;
}

/* --- CallActor ------------------------------------------------------------------------------------------------------ */

static void a_peers_call_reaches_the_app(void **state)
{
    struct grpc_test *t = *state;
    struct request r;
    struct unary u;
    request_init(&r, "1", "x/../feed");
    request_header(&r, "X-Own", "1");
    request_header(&r, "X-Own", "2");
    TR_WIRE_SET(&r.invoke, content_type, TR_SLICE_LIT("text/x"));
    TR_WIRE_SET(&r.data, value, TR_SLICE_LIT("hay"));
    TR_WIRE_SET(&r.http, querystring, TR_SLICE_LIT("q=1"));
    start(t, &u, &r);
    const struct tr_app_call *call = app_open(&t->api.engine, 0);
    assert_int_equal(call->kind, TR_APP_METHOD);
    assert_true(call->is_remote);
    assert_text(call->actor_id, "1");
    assert_text(call->name, "feed");
    assert_text(call->query, "q=1");
    assert_text(call->content_type, "text/x");
    assert_text(call->body, "hay");
    assert_int_equal(tr_http_headers_count(call->headers, "x-own"), 2);
    struct tr_app_call *answer = app_open(&t->api.engine, 0);
    tr_http_headers_add_str(&answer->headers_out, "x-answer", "1");
    tr_http_headers_add_str(&answer->headers_out, "X-ANSWER", "2");
    tr_buf_add_str(&answer->content_type_out, "text/y");
    app_answer(&t->api.engine, 0, 200, "purr");
    grpc_wait(t, &u);
    Tr__Internals__InternalInvokeResponse *response = grpc_take(&u, &tr__internals__internal_invoke_response__descriptor);
    assert_int_equal(response->status->code, 200);
    assert_text(tr_wire_slice(response->message->data->value), "purr");
    assert_text(tr_wire_slice(response->message->content_type), "text/y");
    assert_int_equal(response->n_headers, 1);
    assert_text(tr_wire_slice(response->headers[0]->key), "X-Answer");
    assert_int_equal(response->headers[0]->value->n_values, 2);
    tr_wire_free(response);
    request_fini(&r);
}

static void a_chain_is_known_in_any_spelling(void **state)
{
    struct grpc_test *t = *state;
    struct tr_actor_type_conf type = engine_test_type("cat");
    struct request r;
    struct unary outer;
    struct unary inner;
    type.is_reentrant = true;
    type.depth_max = 1;
    api_test_register(&t->api, &type);
    request_init(&r, "1", "m");
    request_header(&r, "Dapr-Reentrancy-Id", "chain");
    TR_WIRE_SET(r.headers.entries[0], key, TR_SLICE_LIT("dapr-reentrancy-id"));
    start(t, &outer, &r);
    grpc_call(t, &inner, ACTOR, &r.message);
    grpc_assert_failed(&inner, TR_RPC_RESOURCE_EXHAUSTED, "maximum stack depth exceeded");
    app_answer(&t->api.engine, 0, 200, "");
    grpc_wait(t, &outer);
    tr_rpc_unary_fini(&outer.op);
    request_fini(&r);
}

static void failures_are_told_as_a_peer_expects_them(void **state)
{
    struct grpc_test *t = *state;
    struct request r;
    struct unary u;
    request_init(&r, "1", "m");
    start(t, &u, &r);
    app_answer(&t->api.engine, 0, 500, "out of stock");
    grpc_wait(t, &u);
    grpc_assert_failed(&u, TR_RPC_INTERNAL,
                       "error invoke actor method: error from actor service: (500) out of stock");
    start(t, &u, &r);
    app_fail(&t->api.engine, 0, TR_INTERNAL, "app is not in a healthy state");
    grpc_wait(t, &u);
    grpc_assert_failed(&u, TR_RPC_INTERNAL, "app is not in a healthy state");
    request_fini(&r);
}

static void a_call_is_not_passed_on_once_more(void **state)
{
    struct grpc_test *t = *state;
    struct request r;
    struct unary u;
    const Tr__Internals__Reminder firing = firing_of("r");
    request_init(&r, "1", "m");
    t->api.engine.owner.answer = TR_OWNER_REMOTE;
    grpc_call(t, &u, ACTOR, &r.message);
    grpc_assert_failed(&u, TR_RPC_INTERNAL, "error invoke actor method: remote actor moved");
    grpc_must_fail(t, REMINDER, &firing, TR_RPC_UNKNOWN, "remote actor moved");
    assert_int_equal(t->api.engine.remote.started, 0);
    request_fini(&r);
}

static void requests_that_make_no_sense_are_refused(void **state)
{
    struct grpc_test *t = *state;
    struct request r;
    struct unary u = { .is_done = false };
    unary_call(&t->rpc, &u, ACTOR, TR_SLICE_LIT("\xff"));
    grpc_assert_failed(&u, TR_RPC_INTERNAL, "malformed InternalInvokeRequest");
    request_init(&r, "1", "m");
    r.message.actor = NULL;
    grpc_call(t, &u, ACTOR, &r.message);
    grpc_assert_failed(&u, TR_RPC_INVALID_ARGUMENT, "request names no actor or has no message");
    r.message.actor = &r.actor;
    r.message.message = NULL;
    grpc_call(t, &u, ACTOR, &r.message);
    grpc_assert_failed(&u, TR_RPC_INVALID_ARGUMENT, "request names no actor or has no message");
    request_fini(&r);
}

/* A peer that did not check must not reach another path of the app. */
static void names_and_method_are_checked_again(void **state)
{
    static const char *const rows[][3] = {
        { "../../secret", "m", "invalid actorId: name contains forbidden character: \"../../secret\"" },
        { "..", "m", "invalid actorId: name is a path traversal sequence: \"..\"" },
        { "1", "a?b", "invalid actor method: method contains forbidden character: \"a?b\"" },
    };
    struct grpc_test *t = *state;
    struct request r;
    struct unary u;
    for (size_t i = 0; i < TR_ARRAY_LEN(rows); i++) {
        request_init(&r, rows[i][0], rows[i][1]);
        grpc_call(t, &u, ACTOR, &r.message);
        grpc_assert_failed(&u, TR_RPC_INVALID_ARGUMENT, rows[i][2]);
        request_fini(&r);
    }
    request_init(&r, "1", "../../../secret");
    start(t, &u, &r);
    assert_text(app_open(&t->api.engine, 0)->name, "secret");
    app_answer(&t->api.engine, 0, 200, "");
    grpc_wait(t, &u);
    tr_rpc_unary_fini(&u.op);
    request_fini(&r);
    const Tr__Internals__Reminder firing = firing_of("../../secret");
    grpc_must_fail(t, REMINDER, &firing, TR_RPC_UNKNOWN, "name contains forbidden character: \"../../secret\"");
}

static void metadata_has_a_limit(void **state)
{
    struct grpc_test *t = *state;
    struct request r;
    struct unary u;
    request_init(&r, "1", "m");
    for (unsigned i = 0; i < TR_FORWARD_HEADERS_MAX + 1; i++) {
        request_header(&r, "A", "a value of some length");
    }
    grpc_call(t, &u, ACTOR, &r.message);
    grpc_assert_failed(&u, TR_RPC_RESOURCE_EXHAUSTED, "request has more than 1024 metadata values");
    request_fini(&r);
}

static void a_peer_that_cancels_takes_its_call_along(void **state)
{
    struct grpc_test *t = *state;
    struct request r;
    struct unary u;
    request_init(&r, "1", "m");
    start(t, &u, &r);
    tr_rpc_unary_cancel(&u.op);
    grpc_wait(t, &u);
    tr_rpc_unary_fini(&u.op);
    grpc_wait_app(t, 0);
    grpc_wait_open(t, 0);
    request_fini(&r);
}

static void peers_wait_until_the_types_are_known(void **state)
{
    const struct api_test_conf conf = { .is_bare = true };
    struct grpc_test *t = tr_xzalloc(sizeof(*t));
    const struct tr_actor_type_conf type = engine_test_type("cat");
    struct request r;
    struct unary u;
    struct unary gone;
    grpc_test_init(t, &conf);
    request_init(&r, "1", "m");
    grpc_start(t, &u, ACTOR, &r.message, NULL);
    grpc_start(t, &gone, ACTOR, &r.message, NULL);
    grpc_wait_open(t, 2);
    tr_rpc_unary_cancel(&gone.op);
    grpc_wait(t, &gone);
    tr_rpc_unary_fini(&gone.op);
    grpc_wait_open(t, 1);
    api_test_register(&t->api, &type);
    grpc_wait_app(t, 1);
    app_answer(&t->api.engine, 0, 200, "");
    grpc_wait(t, &u);
    tr_rpc_unary_fini(&u.op);
    api_test_stop(&t->api);
    grpc_call(t, &u, ACTOR, &r.message);
    grpc_assert_failed(&u, TR_RPC_UNAVAILABLE, "actor runtime is closed");
    request_fini(&r);
    grpc_test_fini(t);
    free(t);
    (void)state;
}

/* --- CallActorReminder ---------------------------------------------------------------------------------------------- */

static void a_peers_reminder_reaches_the_app(void **state)
{
    struct grpc_test *t = *state;
    struct tr_buf value = { 0 };
    Tr__Common__BytesValue bytes = TR__COMMON__BYTES_VALUE__INIT;
    Tr__Common__Any data = TR__COMMON__ANY__INIT;
    Tr__Internals__Reminder firing = firing_of("wake");
    struct unary u;
    TR_WIRE_SET(&bytes, value, TR_SLICE_LIT("{\"a\":1}"));
    tr_wire_pack(&bytes, &value);
    TR_WIRE_SET(&data, value, tr_buf_slice(&value));
    firing.data = &data;
    TR_WIRE_SET(&firing, due_time, TR_SLICE_LIT("0s"));
    TR_WIRE_SET(&firing, period, TR_SLICE_LIT("1s"));
    grpc_start(t, &u, REMINDER, &firing, NULL);
    grpc_wait_app(t, 1);
    const struct tr_app_call *call = app_open(&t->api.engine, 0);
    assert_int_equal(call->kind, TR_APP_REMINDER);
    assert_text(call->name, "wake");
    assert_text(call->body, "{\"a\":1}");
    assert_text(call->due_time, "0s");
    assert_text(call->period, "1s");
    app_answer(&t->api.engine, 0, 200, "ignored");
    grpc_wait(t, &u);
    grpc_assert_empty(&u);
    firing.data = NULL;
    firing.has_is_timer = true;
    firing.is_timer = true;
    grpc_start(t, &u, REMINDER, &firing, NULL);
    grpc_wait_app(t, 1);
    assert_int_equal(app_open(&t->api.engine, 0)->kind, TR_APP_TIMER);
    assert_text(app_open(&t->api.engine, 0)->callback, ""); /* the message has no field for it */
    app_answer(&t->api.engine, 0, 200, "");
    grpc_wait(t, &u);
    grpc_assert_empty(&u);
    tr_buf_fini(&value);
}

static void failures_of_a_reminder_are_plain(void **state)
{
    struct grpc_test *t = *state;
    Tr__Internals__Reminder firing = firing_of("wake");
    Tr__Common__Any data = TR__COMMON__ANY__INIT;
    struct unary u = { .is_done = false };
    grpc_start(t, &u, REMINDER, &firing, NULL);
    grpc_wait_app(t, 1);
    app_answer(&t->api.engine, 0, 500, "no");
    grpc_wait(t, &u);
    grpc_assert_failed(&u, TR_RPC_UNKNOWN, "error from actor service: (500) no");
    TR_WIRE_SET(&data, value, TR_SLICE_LIT("\xff"));
    firing.data = &data;
    grpc_must_fail(t, REMINDER, &firing, TR_RPC_UNKNOWN, "malformed BytesValue");
    u = (struct unary){ .is_done = false };
    unary_call(&t->rpc, &u, REMINDER, TR_SLICE_LIT("\xff"));
    grpc_assert_failed(&u, TR_RPC_INTERNAL, "malformed Reminder");
}

/* --- CallActorStream ------------------------------------------------------------------------------------------------ */

struct stream {
    struct tr_rpc_stream op;
    bool is_done;
};

static void on_stream(struct tr_rpc_stream *op)
{
    TR_CONTAINER_OF(op, struct stream, op)->is_done = true;
}

static void on_received(struct tr_rpc_recv *recv)
{
    assert_false(recv->has_message);
}

static void actors_of_apps_do_not_stream(void **state)
{
    struct grpc_test *t = *state;
    struct tr_rpc_recv recv = { .cb = on_received };
    struct stream s = { .op = { .path = TR_SLICE_LIT(STREAM), .cb = on_stream } };
    tr_rpc_stream_start(t->rpc.channel, &s.op);
    tr_rpc_stream_recv_start(&s.op, &recv);
    fixture_wait(&t->rpc, &s.is_done);
    assert_int_equal(s.op.status, TR_RPC_INTERNAL);
    assert_text(tr_buf_slice(&s.op.message), "not implemented");
    tr_rpc_stream_fini(&s.op);
}

/* --- both ends ------------------------------------------------------------------------------------------------------ */

struct pair {
    struct grpc_test *t;
    struct log_catch log;
    struct tr_peers *peers;
    struct tr_actor_remote remote;
    struct tr_actor_call call;
    struct tr_remote_call op;
    bool is_done;
};

static void on_pair_done(struct tr_remote_call *op)
{
    TR_CONTAINER_OF(op, struct pair, op)->is_done = true;
}

static void pair_init(struct pair *p, struct grpc_test *t)
{
    *p = (struct pair){ .t = t };
    log_catch_init(&p->log);
    const struct tr_peers_conf conf = { .loop = t->rpc.loop, .rpc = t->rpc.rpc, .log = &p->log.log };
    p->peers = tr_peers_new(&conf);
    p->remote = tr_actor_remote_over(p->peers);
}

static void pair_start(struct pair *p, enum tr_actor_call_kind kind, const char *name)
{
    p->is_done = false;
    p->call.kind = kind;
    p->call.actor_type = TR_SLICE_LIT("cat");
    p->call.actor_id = TR_SLICE_LIT("1");
    p->call.name = tr_slice_str(name);
    p->op = (struct tr_remote_call){ .address = tr_slice_str(p->t->rpc.target), .call = &p->call, .cb = on_pair_done };
    p->remote.start(p->remote.ctx, &p->op);
    grpc_wait_app(p->t, 1);
}

static void pair_wait(struct pair *p, int status)
{
    fixture_wait(&p->t->rpc, &p->is_done);
    assert_int_equal(p->op.grpc_status, status);
}

static void pair_take(struct pair *p)
{
    tr_http_headers_fini(&p->op.headers_out);
    tr_buf_fini(&p->op.content_type_out);
    tr_buf_fini(&p->op.body_out);
    tr_buf_fini(&p->op.message);
    tr_buf_fini(&p->op.details);
}

static void set_flag(void *ctx)
{
    *(bool *)ctx = true;
}

static void pair_fini(struct pair *p)
{
    bool is_closed = false;
    tr_peers_close(p->peers, set_flag, &is_closed);
    fixture_wait(&p->t->rpc, &is_closed);
    log_catch_fini(&p->log);
}

static void what_one_sidecar_sends_the_other_gives_its_app(void **state)
{
    struct pair p;
    struct tr_http_headers headers = { 0 };
    pair_init(&p, *state);
    tr_http_headers_add_str(&headers, "x-own", "1");
    tr_http_headers_add_str(&headers, "Content-Type", "text/x");
    p.call.headers = &headers;
    p.call.chain_id = TR_SLICE_LIT("chain");
    p.call.content_type = TR_SLICE_LIT("text/x");
    p.call.query = TR_SLICE_LIT("q");
    p.call.body = tr_slice("\0\xff", 2);
    pair_start(&p, TR_ACTOR_METHOD, "a/b");
    struct tr_app_call *call = app_open(&p.t->api.engine, 0);
    assert_text(call->name, "a/b");
    assert_text(call->query, "q");
    assert_text(call->content_type, "text/x");
    assert_true(tr_slice_eq(call->body, tr_slice("\0\xff", 2)));
    assert_text(tr_http_headers_value(call->headers, "x-own"), "1");
    assert_text(tr_http_headers_value(call->headers, "dapr-reentrancy-id"), "chain");
    assert_true(call->is_remote);
    tr_http_headers_add_str(&call->headers_out, "X-DaprErrorResponseHeader", "true");
    tr_buf_add_str(&call->content_type_out, "text/y");
    app_answer(&p.t->api.engine, 0, 200, "sorry");
    pair_wait(&p, 0);
    assert_int_equal(p.op.status, 200);
    assert_text(tr_buf_slice(&p.op.body_out), "sorry");
    assert_text(tr_buf_slice(&p.op.content_type_out), "text/y");
    assert_true(tr_http_headers_has(&p.op.headers_out, "x-daprerrorresponseheader"));
    pair_take(&p);
    pair_start(&p, TR_ACTOR_METHOD, "m");
    app_answer(&p.t->api.engine, 0, 404, "");
    pair_wait(&p, TR_RPC_INTERNAL);
    pair_take(&p);
    tr_http_headers_fini(&headers);
    pair_fini(&p);
}

static void a_firing_goes_the_same_way(void **state)
{
    struct pair p;
    pair_init(&p, *state);
    p.call.body = TR_SLICE_LIT("[1]");
    p.call.due_time = TR_SLICE_LIT("1s");
    p.call.period = TR_SLICE_LIT("2s");
    pair_start(&p, TR_ACTOR_TIMER, "tick");
    const struct tr_app_call *call = app_open(&p.t->api.engine, 0);
    assert_int_equal(call->kind, TR_APP_TIMER);
    assert_text(call->body, "[1]");
    assert_text(call->due_time, "1s");
    assert_text(call->period, "2s");
    app_answer(&p.t->api.engine, 0, 200, "");
    pair_wait(&p, 0);
    pair_take(&p);
    pair_fini(&p);
}

static void a_cancel_goes_the_same_way(void **state)
{
    struct pair p;
    pair_init(&p, *state);
    pair_start(&p, TR_ACTOR_METHOD, "m");
    p.remote.cancel(p.remote.ctx, &p.op);
    pair_wait(&p, TR_RPC_CANCELED);
    grpc_wait_app(p.t, 0);
    pair_take(&p);
    pair_fini(&p);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, grpc_test_set_up, grpc_test_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_peers_call_reaches_the_app),
        TEST(a_chain_is_known_in_any_spelling),
        TEST(failures_are_told_as_a_peer_expects_them),
        TEST(a_call_is_not_passed_on_once_more),
        TEST(requests_that_make_no_sense_are_refused),
        TEST(names_and_method_are_checked_again),
        TEST(metadata_has_a_limit),
        TEST(a_peer_that_cancels_takes_its_call_along),
        cmocka_unit_test(peers_wait_until_the_types_are_known),
        TEST(a_peers_reminder_reaches_the_app),
        TEST(failures_of_a_reminder_are_plain),
        TEST(actors_of_apps_do_not_stream),
        TEST(what_one_sidecar_sends_the_other_gives_its_app),
        TEST(a_firing_goes_the_same_way),
        TEST(a_cancel_goes_the_same_way),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
