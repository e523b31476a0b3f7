/* Calls to actors on other sidecars: the exact requests, and what becomes of the answers. */
#include <stdio.h>

#include "invoke/headers.h"
#include "proto/common.pb-c.h"
#include "proto/internals.pb-c.h"
#include "proto/wire.h"
#include "runtime/actor/remote.h"
#include "runtime/app/forward.h"
#include "tests/lib/log_catch.h"
#include "tests/unit/invoke/rpc_fixture.h"

/* A peer that keeps each call until the test answers it. */
struct remote_test {
    struct fixture rpc;
    struct log_catch log;
    struct tr_peers *peers;
    struct tr_actor_remote remote;
    struct tr_rpc_call *call; /* the last one */
    struct tr_rpc_watch watch;
    bool is_there;
    bool is_canceled;
    bool is_reminder;
    ProtobufCMessage *request; /* of it, decoded */
};

static void on_cancel(struct tr_rpc_watch *watch)
{
    struct remote_test *t = TR_CONTAINER_OF(watch, struct remote_test, watch);
    t->is_canceled = true;
    tr_rpc_call_fail(t->call, TR_RPC_CANCELED, TR_SLICE_LIT(""));
}

static void take(struct remote_test *t, struct tr_rpc_call *call, const ProtobufCMessageDescriptor *type)
{
    struct tr_err err;
    tr_wire_free(t->request);
    t->request = NULL;
    assert_int_equal(tr_wire_unpack(type, tr_buf_slice(tr_rpc_call_request(call)), &t->request, &err), TR_OK);
    t->call = call;
    t->watch = (struct tr_rpc_watch){ .on_cancel = on_cancel };
    tr_rpc_call_watch(call, &t->watch);
    t->is_there = true;
}

static void on_call_actor(void *ctx, struct tr_rpc_call *call)
{
    take(ctx, call, &tr__internals__internal_invoke_request__descriptor);
}

static void on_call_reminder(void *ctx, struct tr_rpc_call *call)
{
    struct remote_test *t = ctx;
    take(t, call, &tr__internals__reminder__descriptor);
    t->is_reminder = true;
}

static int set_up(void **state)
{
    struct remote_test *t = tr_xzalloc(sizeof(*t));
    const struct tr_rpc_method methods[] = {
        { .path = "/dapr.proto.internals.v1.ServiceInvocation/CallActor", .handler = on_call_actor, .ctx = t },
        { .path = "/dapr.proto.internals.v1.ServiceInvocation/CallActorReminder", .handler = on_call_reminder, .ctx = t },
    };
    fixture_serve(&t->rpc, methods, TR_ARRAY_LEN(methods));
    log_catch_init(&t->log);
    const struct tr_peers_conf conf = { .loop = t->rpc.loop, .rpc = t->rpc.rpc, .log = &t->log.log };
    t->peers = tr_peers_new(&conf);
    t->remote = tr_actor_remote_over(t->peers);
    *state = t;
    return 0;
}

static void set_flag(void *ctx)
{
    *(bool *)ctx = true;
}

static int tear_down(void **state)
{
    struct remote_test *t = *state;
    bool is_closed = false;
    tr_wire_free(t->request);
    tr_peers_close(t->peers, set_flag, &is_closed);
    fixture_wait(&t->rpc, &is_closed);
    log_catch_fini(&t->log);
    fixture_fini(&t->rpc);
    free(t);
    return 0;
}

/* --- calls ---------------------------------------------------------------------------------------------------------- */

struct call {
    struct tr_remote_call remote;
    struct tr_actor_call actor;
    unsigned done;
};

static void on_done(struct tr_remote_call *remote)
{
    TR_CONTAINER_OF(remote, struct call, remote)->done++;
}

static void call_init(struct remote_test *t, struct call *c, enum tr_actor_call_kind kind, const char *name)
{
    *c = (struct call){ .actor = { .kind = kind,
                                   .actor_type = TR_SLICE_LIT("cat"),
                                   .actor_id = TR_SLICE_LIT("7"),
                                   .name = tr_slice_str(name) } };
    c->remote = (struct tr_remote_call){ .address = tr_slice_str(t->rpc.target),
                                         .app_id = TR_SLICE_LIT("peer"),
                                         .call = &c->actor,
                                         .cb = on_done };
}

static void call_start(struct remote_test *t, struct call *c)
{
    t->is_there = false;
    t->remote.start(t->remote.ctx, &c->remote);
    assert_int_equal(c->done, 0);
}

/* Start it, and wait until the peer has it. */
static void call_arrive(struct remote_test *t, struct call *c)
{
    call_start(t, c);
    fixture_wait(&t->rpc, &t->is_there);
}

static void call_wait(struct remote_test *t, struct call *c, int status)
{
    fixture_wait_count(&t->rpc, &c->done, 1);
    assert_int_equal(c->done, 1);
    assert_int_equal(c->remote.grpc_status, status);
}

static void call_fini(struct call *c)
{
    tr_http_headers_fini(&c->remote.headers_out);
    tr_buf_fini(&c->remote.content_type_out);
    tr_buf_fini(&c->remote.body_out);
    tr_buf_fini(&c->remote.message);
    tr_buf_fini(&c->remote.details);
}

static void call_end(struct remote_test *t, struct call *c)
{
    tr_rpc_call_reply(t->call, TR_SLICE_LIT(""));
    call_wait(t, c, 0);
    call_fini(c);
}

/* The values of a metadata key joined by commas, or NULL; static storage. */
static const char *metadata_of(const struct remote_test *t, const char *key)
{
    static char text[256];
    const Tr__Internals__InternalInvokeRequest *request = (const Tr__Internals__InternalInvokeRequest *)t->request;
    for (size_t i = 0; i < request->n_metadata; i++) {
        const Tr__Internals__ListEntry *entry = request->metadata[i];
        if (!tr_slice_eq_str(tr_wire_slice(entry->key), key)) {
            continue;
        }
        struct tr_buf all = { 0 };
        for (size_t j = 0; j < entry->value->n_values; j++) {
            tr_buf_addf(&all, "%s%.*s", j > 0 ? "," : "", TR_SLICE_ARG(tr_wire_slice(entry->value->values[j])));
        }
        (void)snprintf(text, sizeof(text), "%s", tr_buf_cstr(&all));
        tr_buf_fini(&all);
        return text;
    }
    return NULL;
}

/* --- requests ------------------------------------------------------------------------------------------------------- */

static void a_method_travels_with_all_that_belongs_to_it(void **state)
{
    struct remote_test *t = *state;
    struct tr_http_headers headers = { 0 };
    struct call c;
    tr_http_headers_add_str(&headers, "x-own", "1");
    tr_http_headers_add_str(&headers, "X-OWN", "2");
    tr_http_headers_add_str(&headers, "content-type", "text/x");
    tr_http_headers_add_str(&headers, "dapr-reentrancy-id", "old");
    call_init(t, &c, TR_ACTOR_METHOD, "a/b");
    c.actor.headers = &headers;
    c.actor.chain_id = TR_SLICE_LIT("new");
    c.actor.content_type = TR_SLICE_LIT("text/x");
    c.actor.query = TR_SLICE_LIT("q=1");
    c.actor.body = tr_slice("by\0tes", 6);
    call_arrive(t, &c);
    const Tr__Internals__InternalInvokeRequest *request = (const Tr__Internals__InternalInvokeRequest *)t->request;
    assert_int_equal(request->ver, 1);
    assert_text(tr_wire_slice(request->actor->actor_type), "cat");
    assert_text(tr_wire_slice(request->actor->actor_id), "7");
    assert_text(tr_wire_slice(request->message->method), "a/b");
    assert_text(tr_wire_slice(request->message->content_type), "text/x");
    assert_text(tr_wire_slice(request->message->http_extension->querystring), "q=1");
    assert_true(tr_slice_eq(tr_wire_slice(request->message->data->value), tr_slice("by\0tes", 6)));
    assert_int_equal(request->n_metadata, 3);
    assert_string_equal(metadata_of(t, "X-Own"), "1,2");
    assert_string_equal(metadata_of(t, "Content-Type"), "text/x");
    assert_string_equal(metadata_of(t, "Dapr-Reentrancy-Id"), "new");
    call_end(t, &c);
    tr_http_headers_fini(&headers);
}

static void a_bare_method_has_no_metadata_but_its_content_type(void **state)
{
    struct remote_test *t = *state;
    struct call c;
    call_init(t, &c, TR_ACTOR_METHOD, "m");
    call_arrive(t, &c);
    assert_int_equal(((const Tr__Internals__InternalInvokeRequest *)t->request)->n_metadata, 0);
    call_end(t, &c);
    call_init(t, &c, TR_ACTOR_METHOD, "m");
    c.actor.content_type = TR_SLICE_LIT("a/b");
    call_arrive(t, &c);
    assert_string_equal(metadata_of(t, "Content-Type"), "a/b");
    call_end(t, &c);
}

static void a_chain_that_the_caller_gave_stays_without_reentrancy(void **state)
{
    struct remote_test *t = *state;
    struct tr_http_headers headers = { 0 };
    struct call c;
    tr_http_headers_add_str(&headers, "dapr-reentrancy-id", "given");
    call_init(t, &c, TR_ACTOR_METHOD, "m");
    c.actor.headers = &headers;
    call_arrive(t, &c);
    assert_string_equal(metadata_of(t, "Dapr-Reentrancy-Id"), "given");
    call_end(t, &c);
    tr_http_headers_fini(&headers);
}

static void timers_and_reminders_travel_as_reminders(void **state)
{
    struct remote_test *t = *state;
    struct call c;
    for (unsigned is_timer = 0; is_timer < 2; is_timer++) {
        call_init(t, &c, is_timer == 1 ? TR_ACTOR_TIMER : TR_ACTOR_REMINDER, "wake");
        c.actor.due_time = TR_SLICE_LIT("0s");
        c.actor.period = TR_SLICE_LIT("R3/PT1S");
        c.actor.callback = TR_SLICE_LIT("cb");
        c.actor.body = is_timer == 1 ? TR_SLICE_LIT("") : TR_SLICE_LIT("{\"a\":1}");
        call_arrive(t, &c);
        assert_true(t->is_reminder);
        const Tr__Internals__Reminder *request = (const Tr__Internals__Reminder *)t->request;
        assert_text(tr_wire_slice(request->actor_type), "cat");
        assert_text(tr_wire_slice(request->actor_id), "7");
        assert_text(tr_wire_slice(request->name), "wake");
        assert_text(tr_wire_slice(request->due_time), "0s");
        assert_text(tr_wire_slice(request->period), "R3/PT1S");
        assert_int_equal(request->is_timer, is_timer);
        if (is_timer == 1) {
            assert_null(request->data);
        } else {
            ProtobufCMessage *bytes = NULL;
            struct tr_err err;
            assert_text(tr_wire_slice(request->data->type_url), "type.googleapis.com/google.protobuf.BytesValue");
            assert_int_equal(tr_wire_unpack(&tr__common__bytes_value__descriptor, tr_wire_slice(request->data->value),
                                            &bytes, &err),
                             TR_OK);
            assert_text(tr_wire_slice(((const Tr__Common__BytesValue *)bytes)->value), "{\"a\":1}");
            tr_wire_free(bytes);
        }
        tr_rpc_call_reply(t->call, TR_SLICE_LIT(""));
        call_wait(t, &c, 0);
        assert_int_equal(c.remote.status, 200);
        call_fini(&c);
    }
}

/* --- answers -------------------------------------------------------------------------------------------------------- */

static void reply(struct remote_test *t, const Tr__Internals__InternalInvokeResponse *response)
{
    struct tr_buf bytes = { 0 };
    tr_wire_pack(response, &bytes);
    tr_rpc_call_reply(t->call, tr_buf_slice(&bytes));
    tr_buf_fini(&bytes);
}

static void an_answer_brings_status_headers_content_type_and_body(void **state)
{
    struct remote_test *t = *state;
    Tr__Internals__InternalInvokeResponse response = TR__INTERNALS__INTERNAL_INVOKE_RESPONSE__INIT;
    Tr__Internals__Status status = TR__INTERNALS__STATUS__INIT;
    Tr__Common__InvokeResponse message = TR__COMMON__INVOKE_RESPONSE__INIT;
    Tr__Common__Any data = TR__COMMON__ANY__INIT;
    struct tr_header_map headers;
    struct call c;
    call_init(t, &c, TR_ACTOR_METHOD, "m");
    call_arrive(t, &c);
    tr_header_map_init(&headers, 2);
    tr_header_map_add(&headers, TR_SLICE_LIT("X-A"), TR_SLICE_LIT("1"));
    tr_header_map_add(&headers, TR_SLICE_LIT("X-A"), TR_SLICE_LIT("2"));
    tr_header_map_add(&headers, TR_SLICE_LIT("X-Daprerrorresponseheader"), TR_SLICE_LIT("true"));
    status.has_code = true;
    status.code = 200;
    TR_WIRE_SET(&data, value, TR_SLICE_LIT("body"));
    TR_WIRE_SET(&message, content_type, TR_SLICE_LIT("a/b"));
    message.data = &data;
    response.status = &status;
    response.message = &message;
    response.n_headers = headers.len;
    response.headers = headers.entries;
    reply(t, &response);
    tr_header_map_fini(&headers);
    call_wait(t, &c, 0);
    assert_int_equal(c.remote.status, 200);
    assert_int_equal(tr_http_headers_count(&c.remote.headers_out, "x-a"), 2);
    assert_true(tr_http_headers_has(&c.remote.headers_out, "x-daprerrorresponseheader"));
    assert_text(tr_buf_slice(&c.remote.content_type_out), "a/b");
    assert_text(tr_buf_slice(&c.remote.body_out), "body");
    call_fini(&c);
}

static void an_answer_with_nothing_in_it_is_an_answer(void **state)
{
    struct remote_test *t = *state;
    struct call c;
    call_init(t, &c, TR_ACTOR_METHOD, "m");
    call_arrive(t, &c);
    tr_rpc_call_reply(t->call, TR_SLICE_LIT(""));
    call_wait(t, &c, 0);
    assert_int_equal(c.remote.status, 0);
    assert_int_equal(c.remote.body_out.len, 0);
    call_fini(&c);
}

static void headers_beyond_the_limit_are_left_out(void **state)
{
    struct remote_test *t = *state;
    Tr__Internals__InternalInvokeResponse response = TR__INTERNALS__INTERNAL_INVOKE_RESPONSE__INIT;
    struct tr_header_map headers;
    struct call c;
    call_init(t, &c, TR_ACTOR_METHOD, "m");
    call_arrive(t, &c);
    tr_header_map_init(&headers, 1);
    for (unsigned i = 0; i < TR_FORWARD_HEADERS_MAX + 1; i++) {
        tr_header_map_add(&headers, TR_SLICE_LIT("a"), TR_SLICE_LIT("some value that takes bytes"));
    }
    response.n_headers = headers.len;
    response.headers = headers.entries;
    reply(t, &response);
    tr_header_map_fini(&headers);
    call_wait(t, &c, 0);
    assert_int_equal(tr_http_headers_len(&c.remote.headers_out), TR_FORWARD_HEADERS_MAX);
    call_fini(&c);
}

static void an_answer_that_cannot_be_read_is_an_internal_failure(void **state)
{
    struct remote_test *t = *state;
    struct call c;
    call_init(t, &c, TR_ACTOR_METHOD, "m");
    call_arrive(t, &c);
    tr_rpc_call_reply(t->call, TR_SLICE_LIT("\xff\xff"));
    call_wait(t, &c, TR_RPC_INTERNAL);
    assert_text(tr_buf_slice(&c.remote.message), "malformed InternalInvokeResponse");
    call_fini(&c);
}

static void a_status_comes_with_message_and_details(void **state)
{
    struct remote_test *t = *state;
    struct call c;
    call_init(t, &c, TR_ACTOR_METHOD, "m");
    call_arrive(t, &c);
    tr_rpc_md_add(tr_rpc_call_trailing(t->call), TR_SLICE_LIT("grpc-status-details-bin"), tr_slice("\x08\0\xff", 3));
    tr_rpc_call_fail(t->call, TR_RPC_FAILED_PRECONDITION, TR_SLICE_LIT("not now"));
    call_wait(t, &c, TR_RPC_FAILED_PRECONDITION);
    assert_text(tr_buf_slice(&c.remote.message), "not now");
    assert_true(tr_slice_eq(tr_buf_slice(&c.remote.details), tr_slice("\x08\0\xff", 3)));
    call_fini(&c);
    call_init(t, &c, TR_ACTOR_REMINDER, "r");
    call_arrive(t, &c);
    tr_rpc_call_fail(t->call, TR_RPC_UNKNOWN, TR_SLICE_LIT("reminder has been canceled"));
    call_wait(t, &c, TR_RPC_UNKNOWN);
    assert_text(tr_buf_slice(&c.remote.message), "reminder has been canceled");
    assert_int_equal(c.remote.details.len, 0);
    call_fini(&c);
}

/* --- without an answer ------------------------------------------------------------------------------------------------ */

static void a_cancel_reaches_the_peer(void **state)
{
    struct remote_test *t = *state;
    struct call c;
    call_init(t, &c, TR_ACTOR_METHOD, "m");
    call_arrive(t, &c);
    t->remote.cancel(t->remote.ctx, &c.remote);
    assert_int_equal(c.done, 0);
    call_wait(t, &c, TR_RPC_CANCELED);
    fixture_wait(&t->rpc, &t->is_canceled);
    call_fini(&c);
}

static void a_deadline_ends_the_call(void **state)
{
    struct remote_test *t = *state;
    struct call c;
    call_init(t, &c, TR_ACTOR_METHOD, "m");
    c.remote.deadline_ms = tr_loop_now_ms(t->rpc.loop) + 20;
    call_start(t, &c);
    call_wait(t, &c, TR_RPC_DEADLINE_EXCEEDED);
    call_fini(&c);
    if (t->is_there) {
        fixture_wait(&t->rpc, &t->is_canceled);
    }
}

static void a_peer_that_is_not_there_is_unavailable(void **state)
{
    struct remote_test *t = *state;
    struct call c;
    call_init(t, &c, TR_ACTOR_METHOD, "m");
    c.remote.address = TR_SLICE_LIT("127.0.0.1:1");
    call_start(t, &c);
    call_wait(t, &c, TR_RPC_UNAVAILABLE);
    assert_true(c.remote.message.len > 0);
    call_fini(&c);
}

static void an_address_that_is_none_is_unavailable_on_a_later_turn(void **state)
{
    struct remote_test *t = *state;
    struct call c;
    call_init(t, &c, TR_ACTOR_TIMER, "m");
    c.remote.address = TR_SLICE_LIT("");
    call_start(t, &c);
    t->remote.cancel(t->remote.ctx, &c.remote); /* too late: the failure stands */
    call_wait(t, &c, TR_RPC_UNAVAILABLE);
    assert_true(c.remote.message.len > 0);
    call_fini(&c);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_method_travels_with_all_that_belongs_to_it),
        TEST(a_bare_method_has_no_metadata_but_its_content_type),
        TEST(a_chain_that_the_caller_gave_stays_without_reentrancy),
        TEST(timers_and_reminders_travel_as_reminders),
        TEST(an_answer_brings_status_headers_content_type_and_body),
        TEST(an_answer_with_nothing_in_it_is_an_answer),
        TEST(headers_beyond_the_limit_are_left_out),
        TEST(an_answer_that_cannot_be_read_is_an_internal_failure),
        TEST(a_status_comes_with_message_and_details),
        TEST(a_cancel_reaches_the_peer),
        TEST(a_deadline_ends_the_call),
        TEST(a_peer_that_is_not_there_is_unavailable),
        TEST(an_address_that_is_none_is_unavailable_on_a_later_turn),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
