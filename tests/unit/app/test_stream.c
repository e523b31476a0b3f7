/* Actor event streams: the hub behind a real gRPC server, apps as clients of it. */
#include "proto/common.pb-c.h"
#include "proto/runtime.pb-c.h"
#include "proto/wire.h"
#include "runtime/app/forward.h"
#include "runtime/app/stream.h"
#include <stdio.h>

#include "tests/lib/log_catch.h"
#include "tests/unit/invoke/rpc_fixture.h"

#define PATH "/dapr.proto.runtime.v1.Dapr/SubscribeActorEventsAlpha1"

struct hub_test {
    struct fixture rpc;
    struct log_catch log;
    struct tr_app_hub *hub;
    const struct tr_app_actors *actors;
    struct tr_buf events;      /* what the hub told its owner, a line each */
    struct tr_app_config last; /* settings of the last registration, without the types */
    struct tr_app_type types[8];
    const char *refusal;       /* of on_register, or NULL */
};

static enum tr_code on_register(void *ctx, const struct tr_app_config *config, struct tr_err *err)
{
    struct hub_test *t = ctx;
    tr_buf_add_str(&t->events, "+");
    assert_true(config->types_len <= TR_ARRAY_LEN(t->types));
    for (size_t i = 0; i < config->types_len; i++) {
        tr_buf_addf(&t->events, " %.*s", TR_SLICE_ARG(tr_buf_slice(&config->types[i].name)));
        t->types[i] = config->types[i];
    }
    tr_buf_add_str(&t->events, "\n");
    t->last = *config;
    return t->refusal != NULL ? tr_err_set(err, TR_LIMIT, "%s", t->refusal) : TR_OK;
}

static void on_unregister(void *ctx, const struct tr_slice *types, size_t types_len)
{
    struct hub_test *t = ctx;
    tr_buf_add_str(&t->events, "-");
    for (size_t i = 0; i < types_len; i++) {
        tr_buf_addf(&t->events, " %.*s", TR_SLICE_ARG(types[i]));
    }
    tr_buf_add_str(&t->events, "\n");
}

static int set_up_conf(void **state, size_t message_bytes_max)
{
    struct hub_test *t = tr_xzalloc(sizeof(*t));
    struct tr_rpc_server_conf server_conf = { .message_bytes_max = message_bytes_max };
    struct tr_rpc_channel_conf channel_conf = { 0 };
    fixture_init(&t->rpc, &server_conf);
    log_catch_init(&t->log);
    const struct tr_app_hub_conf conf = { .loop = t->rpc.loop,
                                          .log = &t->log.log,
                                          .on_register = on_register,
                                          .on_unregister = on_unregister,
                                          .ctx = t };
    t->hub = tr_app_hub_new(&conf);
    t->actors = tr_app_hub_actors(t->hub);
    const struct tr_rpc_method method = { .path = PATH, .is_stream = true, .handler = tr_app_hub_accept, .ctx = t->hub };
    tr_rpc_server_add(t->rpc.server, &method);
    fixture_start(&t->rpc, &channel_conf);
    *state = t;
    return 0;
}

static int set_up(void **state)
{
    return set_up_conf(state, 0);
}

static int set_up_small(void **state)
{
    return set_up_conf(state, 1000);
}

static void set_flag(void *ctx)
{
    *(bool *)ctx = true;
}

static void close_hub(struct hub_test *t)
{
    bool is_closed = false;
    tr_app_hub_close(t->hub, set_flag, &is_closed);
    t->hub = NULL;
    assert_false(is_closed);
    fixture_wait(&t->rpc, &is_closed);
}

static int tear_down(void **state)
{
    struct hub_test *t = *state;
    if (t->hub != NULL) {
        close_hub(t);
    }
    fixture_fini(&t->rpc);
    tr_buf_fini(&t->events);
    log_catch_fini(&t->log);
    free(t);
    return 0;
}

static void assert_events(struct hub_test *t, const char *want)
{
    assert_string_equal(tr_buf_cstr(&t->events), want);
    tr_buf_clear(&t->events);
}

static void settle(struct hub_test *t)
{
    for (unsigned i = 0; i < 30; i++) {
        tr_loop_turn(t->rpc.loop);
    }
}

/* --- the app's side -------------------------------------------------------------------------------------------------- */

struct host {
    struct tr_rpc_stream stream;
    struct tr_rpc_recv recv;
    struct tr_rpc_send send;
    bool is_sent;
    bool is_received;
    bool is_over;
    ProtobufCMessage *message; /* the last one received */
};

static void on_host_over(struct tr_rpc_stream *stream)
{
    TR_CONTAINER_OF(stream, struct host, stream)->is_over = true;
}

static void on_host_sent(struct tr_rpc_send *send)
{
    TR_CONTAINER_OF(send, struct host, send)->is_sent = true;
}

static void on_host_received(struct tr_rpc_recv *recv)
{
    TR_CONTAINER_OF(recv, struct host, recv)->is_received = true;
}

static void host_open(struct hub_test *t, struct host *h)
{
    *h = (struct host){ .stream = { .path = TR_SLICE_LIT(PATH), .cb = on_host_over } };
    tr_rpc_stream_start(t->rpc.channel, &h->stream);
}

static void host_send_bytes(struct hub_test *t, struct host *h, struct tr_slice bytes)
{
    h->is_sent = false;
    h->send = (struct tr_rpc_send){ .message = bytes, .cb = on_host_sent };
    tr_rpc_stream_send_start(&h->stream, &h->send);
    fixture_wait(&t->rpc, &h->is_sent);
}

static void host_send(struct hub_test *t, struct host *h, const Tr__Rt__ActorEventsRequest *message)
{
    struct tr_buf bytes = { 0 };
    tr_wire_pack(message, &bytes);
    host_send_bytes(t, h, tr_buf_slice(&bytes));
    tr_buf_fini(&bytes);
}

/* The next message; owned by the host, until the next one. */
static const Tr__Rt__ActorEventsResponse *host_next(struct hub_test *t, struct host *h)
{
    struct tr_err err;
    h->is_received = false;
    h->recv = (struct tr_rpc_recv){ .cb = on_host_received };
    tr_rpc_stream_recv_start(&h->stream, &h->recv);
    fixture_wait(&t->rpc, &h->is_received);
    tr_wire_free(h->message);
    h->message = NULL;
    if (!h->recv.has_message) {
        return NULL;
    }
    assert_int_equal(tr_wire_unpack(&tr__rt__actor_events_response__descriptor, tr_buf_slice(&h->recv.message),
                                    &h->message, &err),
                     TR_OK);
    tr_buf_fini(&h->recv.message);
    return (const Tr__Rt__ActorEventsResponse *)h->message;
}

/* The stream ends with this; what was sent before is taken. */
static void host_wait_over(struct hub_test *t, struct host *h, int status, const char *message)
{
    while (!h->is_over && host_next(t, h) != NULL) {
    }
    fixture_wait(&t->rpc, &h->is_over);
    assert_text(tr_buf_slice(&h->stream.message), message);
    assert_int_equal(h->stream.status, status);
    tr_rpc_stream_fini(&h->stream);
    tr_wire_free(h->message);
    h->message = NULL;
}

static void host_leave(struct hub_test *t, struct host *h)
{
    tr_rpc_stream_half_close(&h->stream);
    host_wait_over(t, h, TR_RPC_OK, "");
}

/* Open a stream that hosts these types, separated by blanks, and take the initial response. */
static void host_register(struct hub_test *t, struct host *h, const char *types)
{
    Tr__Rt__ActorEventsInitial initial = TR__RT__ACTOR_EVENTS_INITIAL__INIT;
    Tr__Rt__ActorEventsRequest message = TR__RT__ACTOR_EVENTS_REQUEST__INIT;
    ProtobufCBinaryData entities[8];
    struct tr_slice rest = tr_slice_str(types);
    struct tr_slice type;
    initial.entities = entities;
    while (tr_slice_split(&rest, ' ', &type)) {
        if (type.len > 0) {
            entities[initial.n_entities++] = tr_wire_data(type);
        }
    }
    message.initial_request = &initial;
    host_open(t, h);
    host_send(t, h, &message);
    const Tr__Rt__ActorEventsResponse *response = host_next(t, h);
    assert_non_null(response);
    assert_non_null(response->initial_response);
}

static void host_answer_data(struct hub_test *t, struct host *h, const char *id, const char *data)
{
    Tr__Rt__ActorEventsInvokeResponse answer = TR__RT__ACTOR_EVENTS_INVOKE_RESPONSE__INIT;
    Tr__Rt__ActorEventsRequest message = TR__RT__ACTOR_EVENTS_REQUEST__INIT;
    TR_WIRE_SET(&answer, id, tr_slice_str(id));
    TR_WIRE_SET(&answer, data, tr_slice_str(data));
    message.invoke_response = &answer;
    host_send(t, h, &message);
}

static void host_fail(struct hub_test *t, struct host *h, const char *id, uint32_t code, const char *text)
{
    Tr__Rt__ActorEventsFailed answer = TR__RT__ACTOR_EVENTS_FAILED__INIT;
    Tr__Rt__ActorEventsRequest message = TR__RT__ACTOR_EVENTS_REQUEST__INIT;
    TR_WIRE_SET(&answer, id, tr_slice_str(id));
    TR_WIRE_SET(&answer, message, tr_slice_str(text));
    answer.has_code = true;
    answer.code = code;
    message.request_failed = &answer;
    host_send(t, h, &message);
}

static void host_answer_firing(struct hub_test *t, struct host *h, const char *id, bool is_timer, bool cancel)
{
    Tr__Rt__ActorEventsReminderResponse answer = TR__RT__ACTOR_EVENTS_REMINDER_RESPONSE__INIT;
    Tr__Rt__ActorEventsRequest message = TR__RT__ACTOR_EVENTS_REQUEST__INIT;
    TR_WIRE_SET(&answer, id, tr_slice_str(id));
    answer.has_cancel = true;
    answer.cancel = cancel;
    *(is_timer ? &message.timer_response : &message.reminder_response) = &answer;
    host_send(t, h, &message);
}

static void host_answer_deactivation(struct hub_test *t, struct host *h, const char *id)
{
    Tr__Rt__ActorEventsDeactivateResponse answer = TR__RT__ACTOR_EVENTS_DEACTIVATE_RESPONSE__INIT;
    Tr__Rt__ActorEventsRequest message = TR__RT__ACTOR_EVENTS_REQUEST__INIT;
    TR_WIRE_SET(&answer, id, tr_slice_str(id));
    message.deactivate_response = &answer;
    host_send(t, h, &message);
}

/* --- the engine's side ----------------------------------------------------------------------------------------------- */

struct call {
    struct tr_app_call app;
    unsigned done;
};

static void on_call(struct tr_app_call *app)
{
    TR_CONTAINER_OF(app, struct call, app)->done++;
}

static void call_init(struct call *c, enum tr_app_call_kind kind, const char *name)
{
    *c = (struct call){ .app = { .kind = kind,
                                 .actor_type = TR_SLICE_LIT("cat"),
                                 .actor_id = TR_SLICE_LIT("7"),
                                 .name = tr_slice_str(name),
                                 .cb = on_call } };
}

static void call_start(struct hub_test *t, struct call *c)
{
    t->actors->start(t->actors->ctx, &c->app);
    assert_int_equal(c->done, 0);
}

static void call_cancel(struct hub_test *t, struct call *c)
{
    const unsigned done = c->done;
    t->actors->cancel(t->actors->ctx, &c->app);
    assert_int_equal(c->done, done);
}

static void call_wait(struct hub_test *t, struct call *c)
{
    fixture_wait_count(&t->rpc, &c->done, 1);
    assert_int_equal(c->done, 1);
}

/* It fails on our side. */
static void call_wait_err(struct hub_test *t, struct call *c, enum tr_code code, const char *text)
{
    call_wait(t, c);
    assert_string_equal(c->app.err.msg, text);
    assert_int_equal(c->app.err.code, code);
    tr_app_call_fini(&c->app);
}

/* The app answered, other than with 200. */
static void call_wait_failure(struct hub_test *t, struct call *c, int status, const char *text)
{
    call_wait(t, c);
    assert_int_equal(c->app.err.code, TR_OK);
    assert_int_equal(c->app.status, status);
    assert_string_equal(tr_buf_cstr(&c->app.failure), text);
    tr_app_call_fini(&c->app);
}

static void call_wait_ok(struct hub_test *t, struct call *c, const char *body)
{
    call_wait(t, c);
    assert_int_equal(c->app.err.code, TR_OK);
    assert_int_equal(c->app.status, 200);
    assert_string_equal(tr_buf_cstr(&c->app.body_out), body);
    assert_int_equal(c->app.failure.len, 0);
    tr_app_call_fini(&c->app);
}

/* --- registration ---------------------------------------------------------------------------------------------------- */

static void a_stream_registers_its_types_and_is_told(void **state)
{
    struct hub_test *t = *state;
    struct host h;
    host_register(t, &h, "cat dog");
    assert_events(t, "+ cat dog\n");
    assert_int_equal(t->types[0].idle_ms, TR_APP_IDLE_MS);
    assert_int_equal(t->types[0].depth_max, TR_APP_DEPTH_MAX);
    assert_false(t->types[0].is_reentrant);
    assert_false(t->last.has_drain_ms);
    assert_false(t->last.is_drain_off);
    host_leave(t, &h);
    assert_events(t, "- cat dog\n");
}

static void a_stream_without_types_is_a_registration_too(void **state)
{
    struct hub_test *t = *state;
    struct host h;
    host_register(t, &h, "");
    assert_events(t, "+\n");
    host_leave(t, &h);
    assert_events(t, "");
}

static void any_other_first_message_ends_the_stream(void **state)
{
    struct hub_test *t = *state;
    struct host h;
    host_open(t, &h);
    host_answer_data(t, &h, "1", "");
    host_wait_over(t, &h, TR_RPC_INVALID_ARGUMENT, "first message must be SubscribeActorEventsRequestInitialAlpha1");
    host_open(t, &h);
    host_send_bytes(t, &h, TR_SLICE_LIT("")); /* no field is set */
    host_wait_over(t, &h, TR_RPC_INVALID_ARGUMENT, "first message must be SubscribeActorEventsRequestInitialAlpha1");
    assert_events(t, "");
}

static void a_message_that_cannot_be_read_ends_the_stream(void **state)
{
    struct hub_test *t = *state;
    struct host h;
    host_open(t, &h);
    host_send_bytes(t, &h, TR_SLICE_LIT("\xff\xff"));
    host_wait_over(t, &h, TR_RPC_INTERNAL, "malformed ActorEventsRequest");
    host_register(t, &h, "cat");
    host_send_bytes(t, &h, TR_SLICE_LIT("\x12\x05"));
    host_wait_over(t, &h, TR_RPC_INTERNAL, "malformed ActorEventsRequest");
    assert_events(t, "+ cat\n- cat\n");
}

static void a_registration_that_fails_ends_the_stream(void **state)
{
    struct hub_test *t = *state;
    Tr__Rt__ActorEventsInitial initial = TR__RT__ACTOR_EVENTS_INITIAL__INIT;
    Tr__Rt__ActorEventsRequest message = TR__RT__ACTOR_EVENTS_REQUEST__INIT;
    struct host h;
    t->refusal = "too many";
    message.initial_request = &initial;
    host_open(t, &h);
    host_send(t, &h, &message);
    host_wait_over(t, &h, TR_RPC_INTERNAL, "failed to register hosted actors: too many");
    assert_events(t, "+\n");
}

static void a_stream_that_ends_before_it_registers_leaves_no_trace(void **state)
{
    struct hub_test *t = *state;
    struct host h;
    host_open(t, &h);
    host_leave(t, &h);
    assert_events(t, "");
}

static void settings_are_read_from_the_first_message(void **state)
{
    struct hub_test *t = *state;
    Tr__Rt__ActorEventsInitial initial = TR__RT__ACTOR_EVENTS_INITIAL__INIT;
    Tr__Rt__ActorEventsRequest message = TR__RT__ACTOR_EVENTS_REQUEST__INIT;
    Tr__Common__Duration minute = TR__COMMON__DURATION__INIT;
    Tr__Common__Duration zero = TR__COMMON__DURATION__INIT;
    Tr__Common__Duration negative = TR__COMMON__DURATION__INIT;
    Tr__Rt__ActorReentrancyConfig deep = TR__RT__ACTOR_REENTRANCY_CONFIG__INIT;
    Tr__Rt__ActorReentrancyConfig odd = TR__RT__ACTOR_REENTRANCY_CONFIG__INIT;
    Tr__Rt__ActorEntityConfig dog = TR__RT__ACTOR_ENTITY_CONFIG__INIT;
    Tr__Rt__ActorEntityConfig cow = TR__RT__ACTOR_ENTITY_CONFIG__INIT;
    Tr__Rt__ActorEntityConfig *configs[] = { &dog, &cow };
    ProtobufCBinaryData entities[] = { tr_wire_data(TR_SLICE_LIT("cat")), tr_wire_data(TR_SLICE_LIT("dog")),
                                       tr_wire_data(TR_SLICE_LIT("cow")), tr_wire_data(TR_SLICE_LIT("cat")) };
    ProtobufCBinaryData dogs[] = { tr_wire_data(TR_SLICE_LIT("dog")), tr_wire_data(TR_SLICE_LIT("unknown")) };
    ProtobufCBinaryData cows[] = { tr_wire_data(TR_SLICE_LIT("cow")) };
    struct host h;
    minute.has_seconds = true;
    minute.seconds = 60;
    minute.has_nanos = true;
    minute.nanos = 500000000;
    negative.has_seconds = true;
    negative.seconds = -1;
    deep.has_enabled = true;
    deep.enabled = true;
    deep.has_max_stack_depth = true;
    deep.max_stack_depth = 9;
    odd.has_enabled = true;
    odd.enabled = true;
    odd.has_max_stack_depth = true;
    odd.max_stack_depth = -5;
    dog.n_entities = 2;
    dog.entities = dogs;
    dog.actor_idle_timeout = &zero;
    dog.drain_ongoing_call_timeout = &minute;
    dog.reentrancy = &odd;
    cow.n_entities = 1;
    cow.entities = cows;
    cow.actor_idle_timeout = &negative;
    initial.n_entities = 4;
    initial.entities = entities;
    initial.n_entities_config = 2;
    initial.entities_config = configs;
    initial.actor_idle_timeout = &minute;
    initial.drain_ongoing_call_timeout = &zero;
    initial.has_drain_rebalanced_actors = true;
    initial.drain_rebalanced_actors = false;
    initial.reentrancy = &deep;
    message.initial_request = &initial;
    host_open(t, &h);
    host_send(t, &h, &message);
    assert_non_null(host_next(t, &h));
    assert_events(t, "+ cat dog cow\n");
    assert_int_equal(t->types[0].idle_ms, 60500);
    assert_true(t->types[0].is_reentrant);
    assert_int_equal(t->types[0].depth_max, 9);
    assert_int_equal(t->types[1].idle_ms, 0); /* zero is zero, not the default */
    assert_true(t->types[1].has_drain_ms);
    assert_int_equal(t->types[1].drain_ms, 60500);
    assert_int_equal(t->types[1].depth_max, TR_APP_DEPTH_MAX);
    assert_int_equal(t->types[2].idle_ms, 0);
    assert_false(t->types[2].is_reentrant); /* an entry does not take over from the host's */
    assert_true(t->last.has_drain_ms);
    assert_int_equal(t->last.drain_ms, 0);
    assert_true(t->last.is_drain_off);
    host_leave(t, &h);
}

static void a_second_first_message_is_dropped(void **state)
{
    struct hub_test *t = *state;
    Tr__Rt__ActorEventsInitial initial = TR__RT__ACTOR_EVENTS_INITIAL__INIT;
    Tr__Rt__ActorEventsRequest message = TR__RT__ACTOR_EVENTS_REQUEST__INIT;
    struct host h;
    struct call c;
    host_register(t, &h, "cat");
    message.initial_request = &initial;
    host_send(t, &h, &message);
    call_init(&c, TR_APP_METHOD, "m");
    call_start(t, &c);
    assert_non_null(host_next(t, &h)->invoke_request);
    host_answer_data(t, &h, "1", "x");
    call_wait_ok(t, &c, "x");
    assert_events(t, "+ cat\n");
    assert_int_equal(log_catch_count(&t->log, "unexpected message on an actor event stream is dropped"), 1);
    host_leave(t, &h);
}

/* --- callbacks and answers -------------------------------------------------------------------------------------------- */

static void without_a_stream_a_callback_fails(void **state)
{
    struct hub_test *t = *state;
    struct host h;
    struct call c;
    call_init(&c, TR_APP_METHOD, "m");
    call_start(t, &c);
    call_cancel(t, &c); /* too late: the failure stands */
    call_wait_err(t, &c, TR_ACTOR_INVOKE, "actor host is not connected");
    host_open(t, &h); /* has not registered yet */
    settle(t);
    call_init(&c, TR_APP_DEACTIVATE, "");
    call_start(t, &c);
    call_wait_err(t, &c, TR_ACTOR_INVOKE, "actor host is not connected");
    host_leave(t, &h);
}

static const char *metadata_of(const Tr__Rt__ActorEventsInvoke *invoke, const char *key)
{
    static char text[256];
    const char *found = NULL;
    for (size_t i = 0; i < invoke->n_metadata; i++) {
        if (tr_slice_eq_str(tr_wire_slice(invoke->metadata[i]->key), key)) {
            assert_null(found);
            (void)snprintf(text, sizeof(text), "%.*s", TR_SLICE_ARG(tr_wire_slice(invoke->metadata[i]->value)));
            found = text;
        }
    }
    return found;
}

static void an_invocation_carries_data_and_the_first_value_of_each_header(void **state)
{
    struct hub_test *t = *state;
    struct tr_http_headers headers = { 0 };
    struct host h;
    struct call c;
    tr_http_headers_add_str(&headers, "X-A", "1");
    tr_http_headers_add_str(&headers, "x-a", "2");
    tr_http_headers_add_str(&headers, "content-type", "text/x");
    tr_http_headers_add_str(&headers, "Dapr-Reentrancy-Id", "old");
    host_register(t, &h, "cat");
    call_init(&c, TR_APP_METHOD, "a/b");
    c.app.headers = &headers;
    c.app.chain_id = TR_SLICE_LIT("new");
    c.app.content_type = TR_SLICE_LIT("not/used");
    c.app.body = tr_slice("by\0tes", 6);
    call_start(t, &c);
    const Tr__Rt__ActorEventsInvoke *invoke = host_next(t, &h)->invoke_request;
    assert_non_null(invoke);
    assert_text(tr_wire_slice(invoke->id), "1");
    assert_text(tr_wire_slice(invoke->actor_type), "cat");
    assert_text(tr_wire_slice(invoke->actor_id), "7");
    assert_text(tr_wire_slice(invoke->method), "a/b");
    assert_true(tr_slice_eq(tr_wire_slice(invoke->data), tr_slice("by\0tes", 6)));
    assert_int_equal(invoke->n_metadata, 3);
    assert_string_equal(metadata_of(invoke, "X-A"), "1");
    assert_string_equal(metadata_of(invoke, "content-type"), "text/x");
    assert_string_equal(metadata_of(invoke, "Dapr-Reentrancy-Id"), "new");
    host_answer_data(t, &h, "1", "");
    call_wait_ok(t, &c, "");
    tr_http_headers_fini(&headers);
    host_leave(t, &h);
}

static void without_reentrancy_no_chain_is_made_up(void **state)
{
    struct hub_test *t = *state;
    struct host h;
    struct call c;
    host_register(t, &h, "cat");
    call_init(&c, TR_APP_METHOD, "m");
    c.app.content_type = TR_SLICE_LIT("a/b");
    call_start(t, &c);
    const Tr__Rt__ActorEventsInvoke *invoke = host_next(t, &h)->invoke_request;
    assert_int_equal(invoke->n_metadata, 1);
    assert_string_equal(metadata_of(invoke, "Content-Type"), "a/b");
    host_answer_data(t, &h, "1", "");
    call_wait_ok(t, &c, "");
    host_leave(t, &h);
}

static void an_answer_brings_data_headers_and_content_type(void **state)
{
    struct hub_test *t = *state;
    Tr__Rt__ActorEventsInvokeResponse answer = TR__RT__ACTOR_EVENTS_INVOKE_RESPONSE__INIT;
    Tr__Rt__ActorEventsRequest message = TR__RT__ACTOR_EVENTS_REQUEST__INIT;
    Tr__Common__StringEntry type = TR__COMMON__STRING_ENTRY__INIT;
    Tr__Common__StringEntry other = TR__COMMON__STRING_ENTRY__INIT;
    Tr__Common__StringEntry *entries[] = { &type, &other };
    struct host h;
    struct call c;
    host_register(t, &h, "cat");
    call_init(&c, TR_APP_METHOD, "m");
    call_start(t, &c);
    assert_non_null(host_next(t, &h));
    TR_WIRE_SET(&type, key, TR_SLICE_LIT("content-type"));
    TR_WIRE_SET(&type, value, TR_SLICE_LIT("text/y"));
    TR_WIRE_SET(&other, key, TR_SLICE_LIT("X-B"));
    TR_WIRE_SET(&other, value, TR_SLICE_LIT("2"));
    TR_WIRE_SET(&answer, id, TR_SLICE_LIT("1"));
    TR_WIRE_SET(&answer, data, TR_SLICE_LIT("sorry"));
    answer.n_metadata = 2;
    answer.metadata = entries;
    answer.has_error = true;
    answer.error = true;
    message.invoke_response = &answer;
    host_send(t, &h, &message);
    call_wait(t, &c);
    assert_int_equal(c.app.status, 200);
    assert_string_equal(tr_buf_cstr(&c.app.content_type_out), "text/y");
    assert_true(tr_slice_eq_str(tr_http_headers_value(&c.app.headers_out, "X-B"), "2"));
    assert_true(tr_slice_eq_str(tr_http_headers_value(&c.app.headers_out, "X-Daprerrorresponseheader"), "true"));
    assert_string_equal(tr_buf_cstr(&c.app.body_out), "sorry");
    tr_app_call_fini(&c.app);
    host_leave(t, &h);
}

static void headers_of_an_answer_beyond_the_limit_are_left_out(void **state)
{
    struct hub_test *t = *state;
    enum { LEN = TR_HTTP_HEADERS_MAX + 1 };
    Tr__Rt__ActorEventsInvokeResponse answer = TR__RT__ACTOR_EVENTS_INVOKE_RESPONSE__INIT;
    Tr__Rt__ActorEventsRequest message = TR__RT__ACTOR_EVENTS_REQUEST__INIT;
    Tr__Common__StringEntry entry = TR__COMMON__STRING_ENTRY__INIT;
    Tr__Common__StringEntry **entries = tr_xzalloc(LEN * sizeof(*entries));
    struct host h;
    struct call c;
    TR_WIRE_SET(&entry, key, TR_SLICE_LIT("some-name"));
    TR_WIRE_SET(&entry, value, TR_SLICE_LIT("and a value of some length"));
    for (size_t i = 0; i < LEN; i++) {
        entries[i] = &entry;
    }
    host_register(t, &h, "cat");
    call_init(&c, TR_APP_METHOD, "m");
    call_start(t, &c);
    assert_non_null(host_next(t, &h));
    TR_WIRE_SET(&answer, id, TR_SLICE_LIT("1"));
    answer.n_metadata = LEN;
    answer.metadata = entries;
    message.invoke_response = &answer;
    host_send(t, &h, &message);
    call_wait(t, &c);
    assert_int_equal(tr_http_headers_len(&c.app.headers_out), TR_FORWARD_HEADERS_MAX);
    tr_app_call_fini(&c.app);
    free(entries);
    host_leave(t, &h);
}

static void a_method_that_is_not_found_is_named(void **state)
{
    struct hub_test *t = *state;
    struct host h;
    struct call c;
    host_register(t, &h, "cat");
    call_init(&c, TR_APP_METHOD, "a/b");
    call_start(t, &c);
    assert_non_null(host_next(t, &h));
    host_fail(t, &h, "1", TR_RPC_NOT_FOUND, "whatever");
    call_wait_failure(t, &c, 404, "actor method not found: a/b");
    call_init(&c, TR_APP_REMINDER, "r");
    call_start(t, &c);
    assert_non_null(host_next(t, &h));
    host_fail(t, &h, "2", TR_RPC_NOT_FOUND, "whatever");
    call_wait_failure(t, &c, 500, "error from actor service: whatever");
    host_leave(t, &h);
}

static void other_failures_carry_the_apps_text(void **state)
{
    struct hub_test *t = *state;
    struct host h;
    struct call c;
    host_register(t, &h, "cat");
    call_init(&c, TR_APP_METHOD, "m");
    call_start(t, &c);
    assert_non_null(host_next(t, &h));
    host_fail(t, &h, "1", TR_RPC_PERMISSION_DENIED, "no %s \"way\"");
    call_wait_failure(t, &c, 500, "error from actor service: no %s \"way\"");
    host_leave(t, &h);
}

static void assert_json_data(const Tr__Common__Any *any, const char *want)
{
    ProtobufCMessage *bytes = NULL;
    struct tr_err err;
    assert_non_null(any);
    assert_text(tr_wire_slice(any->type_url), "type.googleapis.com/google.protobuf.BytesValue");
    assert_int_equal(tr_wire_unpack(&tr__common__bytes_value__descriptor, tr_wire_slice(any->value), &bytes, &err), TR_OK);
    assert_text(tr_wire_slice(((const Tr__Common__BytesValue *)bytes)->value), want);
    tr_wire_free(bytes);
}

static void a_reminder_is_delivered_and_may_ask_to_be_canceled(void **state)
{
    struct hub_test *t = *state;
    struct host h;
    struct call c;
    host_register(t, &h, "cat");
    call_init(&c, TR_APP_REMINDER, "wake");
    c.app.body = TR_SLICE_LIT("\"bXlkYXRh\"");
    call_start(t, &c);
    const Tr__Rt__ActorEventsReminder *reminder = host_next(t, &h)->reminder_request;
    assert_non_null(reminder);
    assert_text(tr_wire_slice(reminder->id), "1");
    assert_text(tr_wire_slice(reminder->actor_type), "cat");
    assert_text(tr_wire_slice(reminder->actor_id), "7");
    assert_text(tr_wire_slice(reminder->name), "wake");
    assert_text(tr_wire_slice(reminder->due_time), "");
    assert_text(tr_wire_slice(reminder->period), "");
    assert_json_data(reminder->data, "\"bXlkYXRh\"");
    host_answer_firing(t, &h, "1", false, true);
    call_wait(t, &c);
    assert_int_equal(c.app.status, 200);
    assert_true(c.app.is_canceled);
    tr_app_call_fini(&c.app);
    c.done = 0;
    c.app.body = TR_SLICE_LIT("");
    call_start(t, &c);
    assert_null(host_next(t, &h)->reminder_request->data);
    host_answer_firing(t, &h, "2", false, false);
    call_wait(t, &c);
    assert_false(c.app.is_canceled);
    tr_app_call_fini(&c.app);
    host_leave(t, &h);
}

static void a_timer_is_delivered_with_its_texts(void **state)
{
    struct hub_test *t = *state;
    struct host h;
    struct call c;
    host_register(t, &h, "cat");
    call_init(&c, TR_APP_TIMER, "tick");
    c.app.body = TR_SLICE_LIT("{}");
    c.app.due_time = TR_SLICE_LIT("0s");
    c.app.period = TR_SLICE_LIT("R3/PT1S");
    c.app.callback = TR_SLICE_LIT("cb");
    call_start(t, &c);
    const Tr__Rt__ActorEventsTimer *timer = host_next(t, &h)->timer_request;
    assert_non_null(timer);
    assert_text(tr_wire_slice(timer->name), "tick");
    assert_text(tr_wire_slice(timer->due_time), "0s");
    assert_text(tr_wire_slice(timer->period), "R3/PT1S");
    assert_text(tr_wire_slice(timer->callback), "cb");
    assert_json_data(timer->data, "{}");
    host_answer_firing(t, &h, "1", true, false);
    call_wait_ok(t, &c, "");
    host_leave(t, &h);
}

static void a_deactivation_is_delivered_and_answered(void **state)
{
    struct hub_test *t = *state;
    struct host h;
    struct call c;
    host_register(t, &h, "cat");
    call_init(&c, TR_APP_DEACTIVATE, "");
    call_start(t, &c);
    const Tr__Rt__ActorEventsDeactivate *deactivate = host_next(t, &h)->deactivate_request;
    assert_non_null(deactivate);
    assert_text(tr_wire_slice(deactivate->actor_type), "cat");
    assert_text(tr_wire_slice(deactivate->actor_id), "7");
    host_answer_deactivation(t, &h, "1");
    call_wait_ok(t, &c, "");
    host_leave(t, &h);
}

static void an_answer_of_the_wrong_kind_is_a_failure(void **state)
{
    struct hub_test *t = *state;
    struct host h;
    struct call c;
    host_register(t, &h, "cat");
    call_init(&c, TR_APP_METHOD, "m");
    call_start(t, &c);
    assert_non_null(host_next(t, &h));
    host_answer_firing(t, &h, "1", false, false);
    call_wait_failure(t, &c, 500, "actor host returned an unexpected response type for invoke");
    call_init(&c, TR_APP_REMINDER, "m");
    call_start(t, &c);
    assert_non_null(host_next(t, &h));
    host_answer_firing(t, &h, "2", true, false);
    call_wait_failure(t, &c, 500, "actor host returned an unexpected response type for reminder");
    call_init(&c, TR_APP_TIMER, "m");
    call_start(t, &c);
    assert_non_null(host_next(t, &h));
    host_answer_deactivation(t, &h, "3");
    call_wait_failure(t, &c, 500, "actor host returned an unexpected response type for timer");
    host_leave(t, &h);
}

static void answers_come_in_any_order(void **state)
{
    struct hub_test *t = *state;
    struct host h;
    struct call c[3];
    host_register(t, &h, "cat");
    for (size_t i = 0; i < TR_ARRAY_LEN(c); i++) {
        call_init(&c[i], TR_APP_METHOD, "m");
        call_start(t, &c[i]);
    }
    for (size_t i = 0; i < TR_ARRAY_LEN(c); i++) {
        char id[2] = { (char)('1' + (char)i), '\0' };
        assert_text(tr_wire_slice(host_next(t, &h)->invoke_request->id), id);
    }
    host_answer_data(t, &h, "3", "third");
    call_wait_ok(t, &c[2], "third");
    host_answer_data(t, &h, "1", "first");
    call_wait_ok(t, &c[0], "first");
    assert_int_equal(c[1].done, 0);
    host_answer_data(t, &h, "2", "second");
    call_wait_ok(t, &c[1], "second");
    host_leave(t, &h);
}

static void an_answer_that_matches_nothing_is_dropped(void **state)
{
    struct hub_test *t = *state;
    struct host h;
    struct call c;
    host_register(t, &h, "cat");
    call_init(&c, TR_APP_METHOD, "m");
    call_start(t, &c);
    assert_non_null(host_next(t, &h));
    host_answer_data(t, &h, "2", "unknown");
    host_answer_data(t, &h, "", "none");
    host_answer_data(t, &h, "01", "almost");
    host_answer_data(t, &h, "1", "right");
    call_wait_ok(t, &c, "right");
    host_answer_data(t, &h, "1", "twice");
    host_fail(t, &h, "9", 5, "");
    host_answer_firing(t, &h, "9", true, false);
    host_answer_deactivation(t, &h, "9");
    settle(t);
    assert_true(log_catch_count(&t->log, "matches no callback") >= 4);
    host_leave(t, &h);
}

static void odd_messages_do_not_fill_the_log(void **state)
{
    struct hub_test *t = *state;
    struct host h;
    host_register(t, &h, "cat");
    for (unsigned i = 0; i < 50; i++) {
        host_answer_data(t, &h, "9", "");
    }
    settle(t);
    assert_true(log_catch_count(&t->log, "matches no callback") <= 5);
    host_leave(t, &h);
}

/* --- callers that go away, callbacks that do not fit ------------------------------------------------------------------- */

static void a_canceled_callback_is_forgotten_and_the_app_told_nothing(void **state)
{
    struct hub_test *t = *state;
    struct host h;
    struct call c;
    struct call next;
    host_register(t, &h, "cat");
    call_init(&c, TR_APP_METHOD, "m");
    call_start(t, &c);
    assert_non_null(host_next(t, &h));
    call_cancel(t, &c);
    call_cancel(t, &c); /* harmless */
    call_wait_err(t, &c, TR_CANCELED, "context canceled");
    host_answer_data(t, &h, "1", "late");
    call_init(&next, TR_APP_METHOD, "next");
    call_start(t, &next);
    assert_text(tr_wire_slice(host_next(t, &h)->invoke_request->method), "next");
    host_answer_data(t, &h, "2", "");
    call_wait_ok(t, &next, "");
    host_leave(t, &h);
}

static void a_callback_canceled_before_it_left_is_never_sent(void **state)
{
    struct hub_test *t = *state;
    struct host h;
    struct call c[3];
    static const char *const names[] = { "first", "second", "third" };
    host_register(t, &h, "cat");
    for (size_t i = 0; i < TR_ARRAY_LEN(c); i++) {
        call_init(&c[i], TR_APP_METHOD, names[i]);
        call_start(t, &c[i]);
    }
    call_cancel(t, &c[0]); /* is on its way already */
    call_cancel(t, &c[1]);
    call_wait_err(t, &c[0], TR_CANCELED, "context canceled");
    call_wait_err(t, &c[1], TR_CANCELED, "context canceled");
    assert_text(tr_wire_slice(host_next(t, &h)->invoke_request->method), "first");
    assert_text(tr_wire_slice(host_next(t, &h)->invoke_request->method), "third");
    host_answer_data(t, &h, "3", "");
    call_wait_ok(t, &c[2], "");
    host_leave(t, &h);
}

/* The server lets messages of at most 1000 bytes through. */
static void a_callback_that_is_too_large_fails_alone(void **state)
{
    struct hub_test *t = *state;
    struct tr_buf large = { 0 };
    struct host h;
    struct call c;
    struct call small;
    for (unsigned i = 0; i < 1000; i++) {
        tr_buf_add_char(&large, 'x');
    }
    host_register(t, &h, "cat");
    call_init(&c, TR_APP_METHOD, "large");
    c.app.body = tr_buf_slice(&large);
    call_start(t, &c);
    call_init(&small, TR_APP_METHOD, "small");
    call_start(t, &small);
    call_wait(t, &c);
    assert_int_equal(c.app.err.code, TR_LIMIT);
    tr_app_call_fini(&c.app);
    assert_text(tr_wire_slice(host_next(t, &h)->invoke_request->method), "small");
    host_answer_data(t, &h, "2", "");
    call_wait_ok(t, &small, "");
    tr_buf_fini(&large);
    host_leave(t, &h);
}

static void an_answer_that_is_too_large_ends_the_stream(void **state)
{
    struct hub_test *t = *state;
    struct tr_buf large = { 0 };
    struct host h;
    struct call c;
    for (unsigned i = 0; i < 1000; i++) {
        tr_buf_add_char(&large, 'x');
    }
    host_register(t, &h, "cat");
    call_init(&c, TR_APP_METHOD, "m");
    call_start(t, &c);
    assert_non_null(host_next(t, &h));
    host_answer_data(t, &h, "1", tr_buf_cstr(&large));
    call_wait_err(t, &c, TR_ACTOR_INVOKE, "actor host disconnected before responding");
    assert_events(t, "+ cat\n- cat\n");
    host_wait_over(t, &h, TR_RPC_RESOURCE_EXHAUSTED, "grpc: received message larger than max (1009 vs. 1000)");
    tr_buf_fini(&large);
}

static void assert_no_text(struct hub_test *t, struct call *c)
{
    call_start(t, c);
    call_wait_err(t, c, TR_INTERNAL, "grpc: error while marshaling: string field contains invalid UTF-8");
}

/* One such string would make a strict app give up the stream. */
static void text_that_is_not_utf8_fails_the_callback_alone(void **state)
{
    struct hub_test *t = *state;
    struct tr_http_headers headers = { 0 };
    struct host h;
    struct call c;
    host_register(t, &h, "cat");
    call_init(&c, TR_APP_METHOD, "m");
    c.app.actor_id = TR_SLICE_LIT("\xff");
    assert_no_text(t, &c);
    call_init(&c, TR_APP_METHOD, "caf\xe9");
    assert_no_text(t, &c);
    call_init(&c, TR_APP_METHOD, "m");
    tr_http_headers_add_str(&headers, "x-latin", "caf\xe9");
    c.app.headers = &headers;
    assert_no_text(t, &c);
    call_init(&c, TR_APP_METHOD, "caf\xc3\xa9");
    c.app.body = TR_SLICE_LIT("\xff\xfe"); /* data are bytes */
    call_start(t, &c);
    assert_text(tr_wire_slice(host_next(t, &h)->invoke_request->method), "caf\xc3\xa9");
    host_answer_data(t, &h, "1", "\xff");
    call_wait_ok(t, &c, "\xff");
    tr_http_headers_fini(&headers);
    host_leave(t, &h);
}

static void callbacks_without_an_answer_have_a_limit(void **state)
{
    struct hub_test *t = *state;
    struct host h;
    struct call *c = tr_xzalloc((TR_APP_OUTSTANDING_MAX + 1) * sizeof(*c));
    host_register(t, &h, "cat");
    for (size_t i = 0; i <= TR_APP_OUTSTANDING_MAX; i++) {
        call_init(&c[i], TR_APP_METHOD, "m");
        call_start(t, &c[i]);
    }
    call_wait_err(t, &c[TR_APP_OUTSTANDING_MAX], TR_LIMIT,
                  "too many callbacks without an answer on the actor event stream");
    tr_rpc_stream_cancel(&h.stream);
    for (size_t i = 0; i < TR_APP_OUTSTANDING_MAX; i++) {
        call_wait_err(t, &c[i], TR_ACTOR_INVOKE, "actor host disconnected before responding");
    }
    fixture_wait(&t->rpc, &h.is_over);
    tr_rpc_stream_fini(&h.stream);
    tr_wire_free(h.message);
    free(c);
}

/* --- several streams ---------------------------------------------------------------------------------------------------- */

static void new_callbacks_go_to_the_stream_that_registered_last(void **state)
{
    struct hub_test *t = *state;
    struct host old;
    struct host young;
    struct host idle;
    struct call first;
    struct call second;
    struct call third;
    host_register(t, &old, "cat");
    call_init(&first, TR_APP_METHOD, "first");
    call_start(t, &first);
    assert_non_null(host_next(t, &old));
    host_register(t, &young, "cat");
    host_open(t, &idle); /* opened later, but hosts nothing */
    settle(t);
    call_init(&second, TR_APP_METHOD, "second");
    call_start(t, &second);
    assert_text(tr_wire_slice(host_next(t, &young)->invoke_request->id), "1"); /* each stream counts for itself */
    host_answer_data(t, &old, "1", "from the old");
    call_wait_ok(t, &first, "from the old");
    host_answer_data(t, &young, "1", "from the young");
    call_wait_ok(t, &second, "from the young");
    host_leave(t, &young);
    call_init(&third, TR_APP_METHOD, "third");
    call_start(t, &third);
    assert_text(tr_wire_slice(host_next(t, &old)->invoke_request->method), "third");
    host_answer_data(t, &old, "2", "");
    call_wait_ok(t, &third, "");
    host_leave(t, &idle);
    host_leave(t, &old);
}

static void a_type_stays_while_any_stream_has_it(void **state)
{
    struct hub_test *t = *state;
    struct host a;
    struct host b;
    host_register(t, &a, "cat dog");
    host_register(t, &b, "dog cow");
    host_leave(t, &a);
    assert_events(t, "+ cat dog\n+ dog cow\n- cat\n");
    host_register(t, &a, "cow dog");
    host_leave(t, &a);
    assert_events(t, "+ cow dog\n");
    host_leave(t, &b);
    assert_events(t, "- dog cow\n");
}

static void there_are_no_more_streams_than_the_limit(void **state)
{
    struct hub_test *t = *state;
    struct host h[TR_APP_STREAMS_MAX];
    struct host more;
    for (size_t i = 0; i < TR_ARRAY_LEN(h); i++) {
        host_register(t, &h[i], "cat");
    }
    host_open(t, &more);
    host_wait_over(t, &more, TR_RPC_RESOURCE_EXHAUSTED, "too many actor event streams");
    host_leave(t, &h[0]);
    host_register(t, &h[0], "cat");
    for (size_t i = 0; i < TR_ARRAY_LEN(h); i++) {
        host_leave(t, &h[i]);
    }
}

/* --- the end of a stream ------------------------------------------------------------------------------------------------ */

static void a_stream_that_half_closes_fails_what_is_outstanding(void **state)
{
    struct hub_test *t = *state;
    struct host h;
    struct call sent;
    struct call queued;
    host_register(t, &h, "cat");
    call_init(&sent, TR_APP_METHOD, "m");
    call_start(t, &sent);
    assert_non_null(host_next(t, &h));
    call_init(&queued, TR_APP_DEACTIVATE, "");
    call_start(t, &queued);
    tr_rpc_stream_half_close(&h.stream);
    call_wait_err(t, &sent, TR_ACTOR_INVOKE, "actor host disconnected before responding");
    call_wait_err(t, &queued, TR_ACTOR_INVOKE, "actor host disconnected before responding");
    host_wait_over(t, &h, TR_RPC_OK, "");
    assert_events(t, "+ cat\n- cat\n");
}

static void a_stream_that_is_canceled_fails_what_is_outstanding(void **state)
{
    struct hub_test *t = *state;
    struct host h;
    struct call c;
    host_register(t, &h, "cat");
    call_init(&c, TR_APP_METHOD, "m");
    call_start(t, &c);
    assert_non_null(host_next(t, &h));
    tr_rpc_stream_cancel(&h.stream);
    call_wait_err(t, &c, TR_ACTOR_INVOKE, "actor host disconnected before responding");
    assert_events(t, "+ cat\n- cat\n");
    fixture_wait(&t->rpc, &h.is_over);
    tr_rpc_stream_fini(&h.stream);
    tr_wire_free(h.message);
    call_init(&c, TR_APP_METHOD, "m");
    call_start(t, &c);
    call_wait_err(t, &c, TR_ACTOR_INVOKE, "actor host is not connected");
}

static void closing_the_hub_ends_all_streams_with_success(void **state)
{
    struct hub_test *t = *state;
    struct host a;
    struct host b;
    struct host c;
    struct call call;
    host_register(t, &a, "cat");
    host_register(t, &b, "dog");
    host_open(t, &c);
    settle(t);
    call_init(&call, TR_APP_METHOD, "m");
    call_start(t, &call);
    close_hub(t);
    assert_int_equal(call.done, 1);
    assert_string_equal(call.app.err.msg, "actor host disconnected before responding");
    host_wait_over(t, &a, TR_RPC_OK, "");
    host_wait_over(t, &b, TR_RPC_OK, "");
    host_wait_over(t, &c, TR_RPC_OK, "");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
#define TEST_SMALL(name) cmocka_unit_test_setup_teardown(name, set_up_small, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_stream_registers_its_types_and_is_told),
        TEST(a_stream_without_types_is_a_registration_too),
        TEST(any_other_first_message_ends_the_stream),
        TEST(a_message_that_cannot_be_read_ends_the_stream),
        TEST(a_registration_that_fails_ends_the_stream),
        TEST(a_stream_that_ends_before_it_registers_leaves_no_trace),
        TEST(settings_are_read_from_the_first_message),
        TEST(a_second_first_message_is_dropped),
        TEST(without_a_stream_a_callback_fails),
        TEST(an_invocation_carries_data_and_the_first_value_of_each_header),
        TEST(without_reentrancy_no_chain_is_made_up),
        TEST(an_answer_brings_data_headers_and_content_type),
        TEST(headers_of_an_answer_beyond_the_limit_are_left_out),
        TEST(a_method_that_is_not_found_is_named),
        TEST(other_failures_carry_the_apps_text),
        TEST(a_reminder_is_delivered_and_may_ask_to_be_canceled),
        TEST(a_timer_is_delivered_with_its_texts),
        TEST(a_deactivation_is_delivered_and_answered),
        TEST(an_answer_of_the_wrong_kind_is_a_failure),
        TEST(answers_come_in_any_order),
        TEST(an_answer_that_matches_nothing_is_dropped),
        TEST(odd_messages_do_not_fill_the_log),
        TEST(a_canceled_callback_is_forgotten_and_the_app_told_nothing),
        TEST(a_callback_canceled_before_it_left_is_never_sent),
        TEST_SMALL(a_callback_that_is_too_large_fails_alone),
        TEST_SMALL(an_answer_that_is_too_large_ends_the_stream),
        TEST(text_that_is_not_utf8_fails_the_callback_alone),
        TEST(callbacks_without_an_answer_have_a_limit),
        TEST(new_callbacks_go_to_the_stream_that_registered_last),
        TEST(a_type_stays_while_any_stream_has_it),
        TEST(there_are_no_more_streams_than_the_limit),
        TEST(a_stream_that_half_closes_fails_what_is_outstanding),
        TEST(a_stream_that_is_canceled_fails_what_is_outstanding),
        TEST(closing_the_hub_ends_all_streams_with_success),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
