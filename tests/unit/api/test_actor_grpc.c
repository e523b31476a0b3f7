/* Actors over gRPC: orders of checks, statuses and texts, data, waiting and going away. */
#include "proto/common.pb-c.h"
#include "proto/runtime.pb-c.h"
#include "runtime/app/forward.h"
#include "tests/unit/api/grpc_wire.h"

#define DAPR "/dapr.proto.runtime.v1.Dapr/"
#define RESERVED                                                                                                        \
    "actor type \"dapr.internal.x\" is reserved for the Dapr workflow runtime; direct actor API access is not permitted"
#define NOT_HOSTED "operations on actor reminders are only possible on hosted actor types"

/* --- messages ------------------------------------------------------------------------------------------------------- */

static Tr__Rt__InvokeActorRequest invoke_of(const char *type, const char *id, const char *method)
{
    Tr__Rt__InvokeActorRequest request = TR__RT__INVOKE_ACTOR_REQUEST__INIT;
    TR_WIRE_SET(&request, actor_type, tr_slice_str(type));
    TR_WIRE_SET(&request, actor_id, tr_slice_str(id));
    TR_WIRE_SET(&request, method, tr_slice_str(method));
    return request;
}

static Tr__Common__StringEntry entry_of(const char *key, const char *value)
{
    Tr__Common__StringEntry entry = TR__COMMON__STRING_ENTRY__INIT;
    TR_WIRE_SET(&entry, key, tr_slice_str(key));
    TR_WIRE_SET(&entry, value, tr_slice_str(value));
    return entry;
}

static Tr__Rt__GetActorStateRequest get_of(const char *type, const char *key)
{
    Tr__Rt__GetActorStateRequest request = TR__RT__GET_ACTOR_STATE_REQUEST__INIT;
    TR_WIRE_SET(&request, actor_type, tr_slice_str(type));
    TR_WIRE_SET(&request, actor_id, TR_SLICE_LIT("1"));
    TR_WIRE_SET(&request, key, tr_slice_str(key));
    return request;
}

static Tr__Rt__ActorNameRequest name_of(const char *type, const char *name)
{
    Tr__Rt__ActorNameRequest request = TR__RT__ACTOR_NAME_REQUEST__INIT;
    TR_WIRE_SET(&request, actor_type, tr_slice_str(type));
    TR_WIRE_SET(&request, actor_id, TR_SLICE_LIT("1"));
    TR_WIRE_SET(&request, name, tr_slice_str(name));
    return request;
}

static Tr__Rt__ActorTypeRequest type_of(const char *type)
{
    Tr__Rt__ActorTypeRequest request = TR__RT__ACTOR_TYPE_REQUEST__INIT;
    TR_WIRE_SET(&request, actor_type, tr_slice_str(type));
    return request;
}

static Tr__Rt__RegisterActorTimerRequest timer_of(const char *type, const char *name)
{
    Tr__Rt__RegisterActorTimerRequest request = TR__RT__REGISTER_ACTOR_TIMER_REQUEST__INIT;
    TR_WIRE_SET(&request, actor_type, tr_slice_str(type));
    TR_WIRE_SET(&request, actor_id, TR_SLICE_LIT("1"));
    TR_WIRE_SET(&request, name, tr_slice_str(name));
    return request;
}

static Tr__Rt__RegisterActorReminderRequest reminder_of(const char *type, const char *name)
{
    Tr__Rt__RegisterActorReminderRequest request = TR__RT__REGISTER_ACTOR_REMINDER_REQUEST__INIT;
    TR_WIRE_SET(&request, actor_type, tr_slice_str(type));
    TR_WIRE_SET(&request, actor_id, TR_SLICE_LIT("1"));
    TR_WIRE_SET(&request, name, tr_slice_str(name));
    TR_WIRE_SET(&request, due_time, TR_SLICE_LIT("1s"));
    return request;
}

/* One operation on a key of "cat"/"1". */
struct op {
    Tr__Rt__TransactionalActorStateOperation message;
    Tr__Common__Any value;
    Tr__Common__StringEntry ttl;
    Tr__Common__StringEntry *metadata[1];
};

static void op_init(struct op *op, const char *type, const char *key, const char *value)
{
    tr__rt__transactional_actor_state_operation__init(&op->message);
    tr__common__any__init(&op->value);
    TR_WIRE_SET(&op->message, operation_type, tr_slice_str(type));
    TR_WIRE_SET(&op->message, key, tr_slice_str(key));
    if (value != NULL) {
        TR_WIRE_SET(&op->value, type_url, TR_SLICE_LIT("is ignored"));
        TR_WIRE_SET(&op->value, value, tr_slice_str(value));
        op->message.value = &op->value;
    }
}

static Tr__Rt__ExecuteActorStateTransactionRequest tx_of(const char *type,
                                                         Tr__Rt__TransactionalActorStateOperation **ops, size_t len)
{
    Tr__Rt__ExecuteActorStateTransactionRequest request = TR__RT__EXECUTE_ACTOR_STATE_TRANSACTION_REQUEST__INIT;
    TR_WIRE_SET(&request, actor_type, tr_slice_str(type));
    TR_WIRE_SET(&request, actor_id, TR_SLICE_LIT("1"));
    request.operations = ops;
    request.n_operations = len;
    return request;
}

/* --- InvokeActor ---------------------------------------------------------------------------------------------------- */

static void start_invoke(struct grpc_test *t, struct unary *u, const Tr__Rt__InvokeActorRequest *request)
{
    const size_t open = t->api.engine.app.open_len;
    grpc_start(t, u, DAPR "InvokeActor", request, NULL);
    grpc_wait_app(t, open + 1);
}

static void assert_data(struct grpc_test *t, struct unary *u, const char *want)
{
    grpc_wait(t, u);
    Tr__Rt__InvokeActorResponse *response = grpc_take(u, &tr__rt__invoke_actor_response__descriptor);
    assert_text(tr_wire_slice(response->data), want);
    tr_wire_free(response);
}

static void a_call_reaches_the_app_with_its_metadata_as_headers(void **state)
{
    struct grpc_test *t = *state;
    struct unary u;
    Tr__Rt__InvokeActorRequest request = invoke_of("cat", "1", "x/../feed");
    Tr__Common__StringEntry own = entry_of("X-own", "1");
    Tr__Common__StringEntry length = entry_of("content-LENGTH", "77");
    Tr__Common__StringEntry type = entry_of("content-type", "text/x");
    Tr__Common__StringEntry forged = entry_of("Dapr-Caller-App-Id", "forged");
    Tr__Common__StringEntry chain = entry_of("Dapr-Reentrancy-Id", "chain");
    Tr__Common__StringEntry *metadata[] = { &own, &length, &type, &forged, &chain };
    request.metadata = metadata;
    request.n_metadata = TR_ARRAY_LEN(metadata);
    TR_WIRE_SET(&request, data, tr_slice("\0hay\xff", 5));
    start_invoke(t, &u, &request);
    const struct tr_app_call *call = app_open(&t->api.engine, 0);
    assert_int_equal(call->kind, TR_APP_METHOD);
    assert_text(call->actor_type, "cat");
    assert_text(call->actor_id, "1");
    assert_text(call->name, "feed");
    assert_true(tr_slice_eq(call->body, tr_slice("\0hay\xff", 5)));
    assert_int_equal(call->content_type.len, 0); /* gRPC callers cannot set it */
    assert_false(call->is_remote);
    assert_text(tr_http_headers_at(call->headers, 0).name, "X-own"); /* as given */
    assert_text(tr_http_headers_value(call->headers, "content-type"), "text/x");
    assert_text(tr_http_headers_value(call->headers, "Dapr-API-Call"), "true");
    assert_false(tr_http_headers_has(call->headers, "content-length"));
    assert_false(tr_http_headers_has(call->headers, "dapr-caller-app-id"));
    app_answer(&t->api.engine, 0, 200, "purr");
    assert_data(t, &u, "purr");
}

static void the_chain_is_known_by_one_spelling_only(void **state)
{
    struct grpc_test *t = *state;
    struct tr_actor_type_conf type = engine_test_type("dog");
    struct unary outer;
    struct unary inner;
    struct unary other;
    Tr__Rt__InvokeActorRequest request = invoke_of("dog", "1", "m");
    Tr__Common__StringEntry chain = entry_of("Dapr-Reentrancy-Id", "chain");
    Tr__Common__StringEntry lower = entry_of("dapr-reentrancy-id", "chain");
    Tr__Common__StringEntry *metadata[] = { &chain };
    type.is_reentrant = true;
    type.depth_max = 2;
    api_test_register(&t->api, &type);
    request.metadata = metadata;
    request.n_metadata = 1;
    start_invoke(t, &outer, &request);
    start_invoke(t, &inner, &request); /* joins the chain */
    grpc_must_fail(t, DAPR "InvokeActor", &request, TR_RPC_RESOURCE_EXHAUSTED, "maximum stack depth exceeded");
    metadata[0] = &lower;
    grpc_start(t, &other, DAPR "InvokeActor", &request, NULL); /* is another chain, and waits for its turn */
    grpc_wait_open(t, 3);
    loop_fake_settle(t->rpc.loop);
    assert_int_equal(t->api.engine.app.open_len, 2);
    app_answer(&t->api.engine, 0, 200, "a");
    app_answer(&t->api.engine, 0, 200, "b");
    assert_data(t, &outer, "a");
    assert_data(t, &inner, "b");
    grpc_wait_app(t, 1);
    app_answer(&t->api.engine, 0, 200, "c");
    assert_data(t, &other, "c");
}

static void names_that_break_the_rules_are_refused(void **state)
{
    static const char *const rows[][4] = {
        { "c#", "#", "#", "invalid actorType: name contains forbidden character: \"c#\"" },
        { "cat", "a/b", "#", "invalid actorId: name contains forbidden character: \"a/b\"" },
        { "cat", "..", "m", "invalid actorId: name is a path traversal sequence: \"..\"" },
        { "cat", "1", "a?b", "invalid actor method: method contains forbidden character: \"a?b\"" },
        { "cat", "1", "a\x7f", "invalid actor method: method contains control character at position 1: \"a\\x7f\"" },
    };
    struct grpc_test *t = *state;
    for (size_t i = 0; i < TR_ARRAY_LEN(rows); i++) {
        const Tr__Rt__InvokeActorRequest request = invoke_of(rows[i][0], rows[i][1], rows[i][2]);
        grpc_must_fail(t, DAPR "InvokeActor", &request, TR_RPC_INVALID_ARGUMENT, rows[i][3]);
    }
    assert_int_equal(t->api.engine.app.started, 0);
}

static void metadata_has_a_limit(void **state)
{
    struct grpc_test *t = *state;
    struct unary u;
    Tr__Rt__InvokeActorRequest request = invoke_of("cat", "1", "m");
    Tr__Common__StringEntry entry = entry_of("some-name", "and some value, as long as metadata really is");
    Tr__Common__StringEntry *metadata[TR_FORWARD_HEADERS_MAX + 1];
    for (size_t i = 0; i < TR_ARRAY_LEN(metadata); i++) {
        metadata[i] = &entry;
    }
    request.metadata = metadata;
    request.n_metadata = TR_FORWARD_HEADERS_MAX;
    start_invoke(t, &u, &request);
    app_answer(&t->api.engine, 0, 200, "");
    assert_data(t, &u, "");
    request.n_metadata++;
    grpc_must_fail(t, DAPR "InvokeActor", &request, TR_RPC_RESOURCE_EXHAUSTED,
                   "request has more than 1024 metadata entries");
}

static void failures_of_the_app_are_internal_with_its_words(void **state)
{
    struct grpc_test *t = *state;
    const Tr__Rt__InvokeActorRequest request = invoke_of("cat", "1", "m");
    struct unary u;
    start_invoke(t, &u, &request);
    app_answer(&t->api.engine, 0, 500, "out of stock");
    grpc_wait(t, &u);
    grpc_assert_failed(&u, TR_RPC_INTERNAL,
                       "error invoke actor method: error from actor service: (500) out of stock");
    start_invoke(t, &u, &request);
    app_fail(&t->api.engine, 0, TR_ACTOR_INVOKE, "actor host is not connected");
    grpc_wait(t, &u);
    grpc_assert_failed(&u, TR_RPC_INTERNAL, "error invoke actor method: actor host is not connected");
}

static void an_error_of_the_app_itself_is_data(void **state)
{
    struct grpc_test *t = *state;
    const Tr__Rt__InvokeActorRequest request = invoke_of("cat", "1", "m");
    struct unary u;
    start_invoke(t, &u, &request);
    tr_http_headers_add_str(&app_open(&t->api.engine, 0)->headers_out, "X-Daprerrorresponseheader", "true");
    app_answer(&t->api.engine, 0, 200, "sorry");
    assert_data(t, &u, "sorry");
}

static void a_status_of_a_peer_passes_through(void **state)
{
    struct grpc_test *t = *state;
    const Tr__Rt__InvokeActorRequest request = invoke_of("cat", "1", "m");
    struct unary u;
    struct tr_slice details;
    t->api.engine.owner.answer = TR_OWNER_REMOTE;
    grpc_start(t, &u, DAPR "InvokeActor", &request, NULL);
    grpc_wait_remote(t, 1);
    tr_buf_add_str(&t->api.engine.remote.open[0]->details, "details");
    remote_answer(&t->api.engine, 0, TR_RPC_INTERNAL, "error invoke actor method: X");
    grpc_wait(t, &u);
    assert_true(tr_rpc_md_get(&u.op.trailing, "grpc-status-details-bin", &details));
    assert_text(details, "details");
    grpc_assert_failed(&u, TR_RPC_INTERNAL, "error invoke actor method: X");
    grpc_start(t, &u, DAPR "InvokeActor", &request, NULL);
    grpc_wait_remote(t, 1);
    remote_answer(&t->api.engine, 0, 0, "from afar");
    assert_data(t, &u, "from afar");
}

static void a_client_that_cancels_takes_its_call_along(void **state)
{
    struct grpc_test *t = *state;
    const Tr__Rt__InvokeActorRequest request = invoke_of("cat", "1", "m");
    struct unary u;
    start_invoke(t, &u, &request);
    tr_rpc_unary_cancel(&u.op);
    grpc_wait(t, &u);
    assert_int_equal(u.op.status, TR_RPC_CANCELED);
    tr_rpc_unary_fini(&u.op);
    grpc_wait_app(t, 0);
    grpc_wait_open(t, 0);
}

static void a_deadline_of_the_client_ends_the_call(void **state)
{
    struct grpc_test *t = *state;
    const Tr__Rt__InvokeActorRequest request = invoke_of("cat", "1", "m");
    struct tr_buf bytes = { 0 };
    struct unary u = { .op = { .deadline_ms = tr_loop_now_ms(t->rpc.loop) + 30 } };
    tr_wire_pack(&request, &bytes);
    unary_start(&t->rpc, &u, DAPR "InvokeActor", tr_buf_slice(&bytes));
    tr_buf_fini(&bytes);
    grpc_wait(t, &u);
    assert_int_equal(u.op.status, TR_RPC_DEADLINE_EXCEEDED);
    tr_rpc_unary_fini(&u.op);
    grpc_wait_app(t, 0);
    grpc_wait_open(t, 0);
}

/* --- gates ---------------------------------------------------------------------------------------------------------- */

static void without_placement_every_method_says_so(void **state)
{
    static const char text[] = "placement service is not configured";
    const struct api_test_conf conf = { .is_disabled = true };
    struct grpc_test *t = tr_xzalloc(sizeof(*t));
    const Tr__Rt__InvokeActorRequest invoke = invoke_of("c#", "1", "m");
    const Tr__Rt__GetActorStateRequest get = get_of("cat", "k");
    const Tr__Rt__ExecuteActorStateTransactionRequest tx = tx_of("cat", NULL, 0);
    const Tr__Rt__RegisterActorTimerRequest timer = timer_of("cat", "a/b");
    const Tr__Rt__RegisterActorReminderRequest reminder = reminder_of("cat", "");
    const Tr__Rt__ActorNameRequest name = name_of("cat", "n");
    const Tr__Rt__ActorTypeRequest type = type_of("cat");
    grpc_test_init(t, &conf);
    grpc_must_fail(t, DAPR "InvokeActor", &invoke, TR_RPC_UNAVAILABLE, text);
    grpc_must_fail(t, DAPR "GetActorState", &get, TR_RPC_UNAVAILABLE, text);
    grpc_must_fail(t, DAPR "ExecuteActorStateTransaction", &tx, TR_RPC_UNAVAILABLE, text);
    grpc_must_fail(t, DAPR "RegisterActorTimer", &timer, TR_RPC_UNAVAILABLE, text);
    grpc_must_fail(t, DAPR "UnregisterActorTimer", &name, TR_RPC_UNAVAILABLE, text);
    grpc_must_fail(t, DAPR "RegisterActorReminder", &reminder, TR_RPC_UNAVAILABLE, text);
    grpc_must_fail(t, DAPR "GetActorReminder", &name, TR_RPC_UNAVAILABLE, text);
    grpc_must_fail(t, DAPR "UnregisterActorReminder", &name, TR_RPC_UNAVAILABLE, text);
    grpc_must_fail(t, DAPR "ListActorReminders", &type, TR_RPC_UNAVAILABLE, text);
    grpc_must_fail(t, DAPR "UnregisterActorRemindersByType", &type, TR_RPC_UNAVAILABLE, text);
    grpc_test_fini(t);
    free(t);
    (void)state;
}

static void calls_wait_until_the_types_are_known(void **state)
{
    const struct api_test_conf conf = { .is_bare = true };
    struct grpc_test *t = tr_xzalloc(sizeof(*t));
    const Tr__Rt__InvokeActorRequest request = invoke_of("cat", "1", "m");
    const Tr__Rt__GetActorStateRequest get = get_of("cat", "k");
    const struct tr_actor_type_conf type = engine_test_type("cat");
    struct unary u;
    struct unary gone;
    grpc_test_init(t, &conf);
    grpc_start(t, &u, DAPR "InvokeActor", &request, NULL);
    grpc_start(t, &gone, DAPR "GetActorState", &get, NULL);
    grpc_wait_open(t, 2);
    tr_rpc_unary_cancel(&gone.op);
    grpc_wait_open(t, 1);
    assert_true(gone.is_done);
    tr_rpc_unary_fini(&gone.op);
    assert_false(u.is_done);
    api_test_register(&t->api, &type);
    grpc_wait_app(t, 1);
    app_answer(&t->api.engine, 0, 200, "");
    assert_data(t, &u, "");
    grpc_test_fini(t);
    free(t);
    (void)state;
}

static void waiting_ends_when_the_runtime_stops(void **state)
{
    const struct api_test_conf conf = { .is_bare = true };
    struct grpc_test *t = tr_xzalloc(sizeof(*t));
    const Tr__Rt__GetActorStateRequest get = get_of("cat", "k");
    struct unary u;
    grpc_test_init(t, &conf);
    grpc_start(t, &u, DAPR "GetActorState", &get, NULL);
    grpc_wait_open(t, 1);
    api_test_stop(&t->api);
    grpc_wait(t, &u);
    grpc_assert_failed(&u, TR_RPC_UNAVAILABLE, "actor runtime is closed");
    grpc_must_fail(t, DAPR "GetActorState", &get, TR_RPC_UNAVAILABLE, "actor runtime is closed");
    grpc_test_fini(t);
    free(t);
    (void)state;
}

static void requests_that_cannot_be_read_are_refused(void **state)
{
    static const char *const methods[] = { "InvokeActor",          "GetActorState",         "ExecuteActorStateTransaction",
                                           "RegisterActorTimer",   "UnregisterActorTimer",  "RegisterActorReminder",
                                           "GetActorReminder",     "UnregisterActorReminder", "ListActorReminders",
                                           "UnregisterActorRemindersByType" };
    struct grpc_test *t = *state;
    for (size_t i = 0; i < TR_ARRAY_LEN(methods); i++) {
        struct unary u = { .is_done = false };
        struct tr_buf path = { 0 };
        tr_buf_addf(&path, DAPR "%s", methods[i]);
        unary_call(&t->rpc, &u, tr_buf_cstr(&path), TR_SLICE_LIT("\xff\xff"));
        assert_int_equal(u.op.status, TR_RPC_INTERNAL);
        assert_true(tr_slice_starts(tr_buf_slice(&u.op.message), TR_SLICE_LIT("grpc: error unmarshalling request: ")));
        tr_rpc_unary_fini(&u.op);
        tr_buf_fini(&path);
    }
}

static void types_of_the_workflow_engine_are_reserved_but_for_calls(void **state)
{
    struct grpc_test *t = *state;
    const char *const x = "dapr.internal.x";
    const Tr__Rt__GetActorStateRequest get = get_of(x, "k");
    const Tr__Rt__ExecuteActorStateTransactionRequest tx = tx_of(x, NULL, 0);
    const Tr__Rt__RegisterActorTimerRequest timer = timer_of(x, "a/b");
    const Tr__Rt__RegisterActorReminderRequest reminder = reminder_of(x, "");
    const Tr__Rt__ActorNameRequest name = name_of(x, "n");
    const Tr__Rt__ActorTypeRequest type = type_of(x);
    grpc_must_fail(t, DAPR "GetActorState", &get, TR_RPC_PERMISSION_DENIED, RESERVED);
    grpc_must_fail(t, DAPR "ExecuteActorStateTransaction", &tx, TR_RPC_PERMISSION_DENIED, RESERVED);
    grpc_must_fail(t, DAPR "RegisterActorTimer", &timer, TR_RPC_PERMISSION_DENIED, RESERVED);
    grpc_must_fail(t, DAPR "UnregisterActorTimer", &name, TR_RPC_PERMISSION_DENIED, RESERVED);
    grpc_must_fail(t, DAPR "RegisterActorReminder", &reminder, TR_RPC_PERMISSION_DENIED, RESERVED);
    grpc_must_fail(t, DAPR "GetActorReminder", &name, TR_RPC_PERMISSION_DENIED, RESERVED);
    grpc_must_fail(t, DAPR "UnregisterActorReminder", &name, TR_RPC_PERMISSION_DENIED, RESERVED);
    grpc_must_fail(t, DAPR "ListActorReminders", &type, TR_RPC_PERMISSION_DENIED, RESERVED);
    grpc_must_fail(t, DAPR "UnregisterActorRemindersByType", &type, TR_RPC_PERMISSION_DENIED, RESERVED);
}

/* --- state ---------------------------------------------------------------------------------------------------------- */

static void assert_state(struct grpc_test *t, const char *key, const char *want)
{
    const Tr__Rt__GetActorStateRequest request = get_of("cat", key);
    struct unary u;
    grpc_call(t, &u, DAPR "GetActorState", &request);
    Tr__Rt__GetActorStateResponse *response = grpc_take(&u, &tr__rt__get_actor_state_response__descriptor);
    assert_text(tr_wire_slice(response->data), want);
    assert_int_equal(response->n_metadata, 0);
    tr_wire_free(response);
}

static void bytes_are_stored_as_they_are(void **state)
{
    struct grpc_test *t = *state;
    struct op put;
    struct op other;
    struct op del;
    Tr__Rt__TransactionalActorStateOperation *ops[] = { &put.message, &other.message };
    assert_state(t, "k", "");
    op_init(&put, "upsert", "k", "\xff{ not json");
    op_init(&other, "upsert", "none", NULL);
    Tr__Rt__ExecuteActorStateTransactionRequest tx = tx_of("cat", ops, 2);
    grpc_must_fail(t, DAPR "ExecuteActorStateTransaction", &tx, TR_RPC_INTERNAL, "actor instance is missing");
    api_test_activate(&t->api, "1");
    grpc_must_succeed(t, DAPR "ExecuteActorStateTransaction", &tx);
    assert_state(t, "k", "\xff{ not json");
    assert_state(t, "none", "");
    op_init(&del, "delete", "k", "ignored");
    ops[0] = &del.message;
    tx = tx_of("cat", ops, 1);
    grpc_must_succeed(t, DAPR "ExecuteActorStateTransaction", &tx);
    assert_state(t, "k", "");
}

static void an_operation_that_is_not_known_is_unimplemented(void **state)
{
    struct grpc_test *t = *state;
    struct op op;
    Tr__Rt__TransactionalActorStateOperation *ops[] = { &op.message };
    struct unary u;
    struct tr_slice details;
    op_init(&op, "Upsert", "k", "v");
    const Tr__Rt__ExecuteActorStateTransactionRequest tx = tx_of("cat", ops, 1); /* the actor is not even active */
    grpc_call(t, &u, DAPR "ExecuteActorStateTransaction", &tx);
    assert_true(tr_rpc_md_get(&u.op.trailing, "grpc-status-details-bin", &details));
    const char reason[] = "ERR_NOT_SUPPORTED_STATE_OPERATION";
    assert_non_null(memmem(details.ptr, details.len, reason, strlen(reason)));
    grpc_assert_failed(&u, TR_RPC_UNIMPLEMENTED, "operation type Upsert not supported");
}

static void operations_that_cannot_be_written_are_internal(void **state)
{
    struct grpc_test *t = *state;
    struct op op;
    Tr__Rt__TransactionalActorStateOperation *ops[] = { &op.message };
    api_test_activate(&t->api, "1");
    op_init(&op, "upsert", "", "v");
    Tr__Rt__ExecuteActorStateTransactionRequest tx = tx_of("cat", ops, 1);
    grpc_must_fail(t, DAPR "ExecuteActorStateTransaction", &tx, TR_RPC_INTERNAL,
                   "error saving actor transaction state: missing key");
    op_init(&op, "upsert", "k", "v");
    op.ttl = entry_of("ttlInSeconds", "60");
    op.metadata[0] = &op.ttl;
    op.message.metadata = op.metadata;
    op.message.n_metadata = 1;
    tx = tx_of("cat", ops, 1);
    grpc_must_fail(t, DAPR "ExecuteActorStateTransaction", &tx, TR_RPC_INTERNAL,
                   "error saving actor transaction state: ttlInSeconds is not supported without the \"ActorStateTTL\" "
                   "feature enabled");
}

static void an_expiry_is_told_in_the_metadata(void **state)
{
    struct grpc_test *t = *state;
    const struct tr_actor_state_conf conf = { .store = t->api.store,
                                              .is_capable = true,
                                              .has_ttl = true,
                                              .app_id = TR_SLICE_LIT("me") };
    const Tr__Rt__GetActorStateRequest get = get_of("cat", "k");
    struct op op;
    Tr__Rt__TransactionalActorStateOperation *ops[] = { &op.message };
    struct unary u;
    tr_actor_state_set(t->api.engine.engine, &conf);
    api_test_activate(&t->api, "1");
    op_init(&op, "upsert", "k", "v");
    op.ttl = entry_of("ttlInSeconds", "60");
    op.metadata[0] = &op.ttl;
    op.message.metadata = op.metadata;
    op.message.n_metadata = 1;
    const Tr__Rt__ExecuteActorStateTransactionRequest tx = tx_of("cat", ops, 1);
    grpc_must_succeed(t, DAPR "ExecuteActorStateTransaction", &tx);
    grpc_call(t, &u, DAPR "GetActorState", &get);
    Tr__Rt__GetActorStateResponse *response = grpc_take(&u, &tr__rt__get_actor_state_response__descriptor);
    assert_text(tr_wire_slice(response->data), "v");
    assert_int_equal(response->n_metadata, 1);
    assert_text(tr_wire_slice(response->metadata[0]->key), "ttlExpireTime");
    assert_int_equal(response->metadata[0]->value.len, strlen("2026-08-02T10:01:00Z"));
    tr_wire_free(response);
}

static void without_a_store_state_says_how_to_get_one(void **state)
{
    const struct api_test_conf conf = { .has_no_store = true };
    struct grpc_test *t = tr_xzalloc(sizeof(*t));
    const Tr__Rt__GetActorStateRequest get = get_of("cat", "k");
    grpc_test_init(t, &conf);
    grpc_must_fail(t, DAPR "GetActorState", &get, TR_RPC_INTERNAL,
                   "the state store is not configured to use the actor runtime. Have you set the - name: "
                   "actorStateStore value: \"true\" in your state store component file?");
    grpc_test_fini(t);
    free(t);
    (void)state;
}

static void a_client_that_cancels_leaves_what_is_held(void **state)
{
    struct grpc_test *t = *state;
    const Tr__Rt__GetActorStateRequest get = get_of("cat", "k");
    const Tr__Rt__ExecuteActorStateTransactionRequest tx = tx_of("cat", NULL, 0);
    struct unary reads;
    struct unary writes;
    t->api.engine.owner.answer = TR_OWNER_LOCKED;
    grpc_start(t, &reads, DAPR "GetActorState", &get, NULL);
    grpc_start(t, &writes, DAPR "ExecuteActorStateTransaction", &tx, NULL);
    grpc_wait_open(t, 2);
    loop_fake_settle(t->rpc.loop);
    assert_false(reads.is_done || writes.is_done);
    tr_rpc_unary_cancel(&reads.op);
    tr_rpc_unary_cancel(&writes.op);
    grpc_wait_open(t, 0);
    grpc_wait(t, &reads);
    grpc_wait(t, &writes);
    tr_rpc_unary_fini(&reads.op);
    tr_rpc_unary_fini(&writes.op);
}

/* --- timers and reminders ------------------------------------------------------------------------------------------- */

static void a_timer_fires_with_its_bytes_as_a_json_string(void **state)
{
    struct grpc_test *t = *state;
    Tr__Rt__RegisterActorTimerRequest timer = timer_of("cat", "tick");
    TR_WIRE_SET(&timer, data, TR_SLICE_LIT("mydata"));
    TR_WIRE_SET(&timer, period, TR_SLICE_LIT("10s"));
    TR_WIRE_SET(&timer, callback, TR_SLICE_LIT("cb"));
    grpc_must_succeed(t, DAPR "RegisterActorTimer", &timer);
    grpc_wait_app(t, 1);
    const struct tr_app_call *call = app_open(&t->api.engine, 0);
    assert_int_equal(call->kind, TR_APP_TIMER);
    assert_text(call->name, "tick");
    assert_text(call->body, "\"bXlkYXRh\"");
    assert_text(call->period, "10s");
    assert_text(call->callback, "cb");
    app_answer(&t->api.engine, 0, 200, "");
    const Tr__Rt__ActorNameRequest name = name_of("cat", "tick");
    grpc_must_succeed(t, DAPR "UnregisterActorTimer", &name);
    grpc_must_succeed(t, DAPR "UnregisterActorTimer", &name); /* idempotent */
    timer = timer_of("cat", "empty");
    grpc_must_succeed(t, DAPR "RegisterActorTimer", &timer);
    grpc_wait_app(t, 1);
    assert_text(app_open(&t->api.engine, 0)->body, "");
    app_answer(&t->api.engine, 0, 200, "");
}

static void a_timer_that_cannot_be_is_refused(void **state)
{
    struct grpc_test *t = *state;
    Tr__Rt__RegisterActorTimerRequest timer = timer_of("dog", "a/b");
    grpc_must_fail(t, DAPR "RegisterActorTimer", &timer, TR_RPC_INVALID_ARGUMENT,
                   "name contains forbidden character: \"a/b\"");
    timer = timer_of("dog", "n");
    grpc_must_fail(t, DAPR "RegisterActorTimer", &timer, TR_RPC_INTERNAL,
                   "error creating actor timer: can't create timer for actor dog||1: actor type not registered");
    timer = timer_of("cat", "n");
    TR_WIRE_SET(&timer, period, TR_SLICE_LIT("R0/PT1S"));
    grpc_must_fail(t, DAPR "RegisterActorTimer", &timer, TR_RPC_INTERNAL,
                   "error creating actor timer: invalid timer period: has zero repetitions");
}

static void without_a_scheduler_reminders_say_so(void **state)
{
    struct grpc_test *t = *state;
    const Tr__Rt__RegisterActorReminderRequest reminder = reminder_of("cat", "r");
    const Tr__Rt__ActorNameRequest name = name_of("cat", "r");
    const Tr__Rt__ActorTypeRequest type = type_of("cat");
    grpc_must_fail(t, DAPR "RegisterActorReminder", &reminder, TR_RPC_INTERNAL,
                   "error creating actor reminder: scheduler clients are disabled");
    grpc_must_fail(t, DAPR "GetActorReminder", &name, TR_RPC_INTERNAL,
                   "error getting actor reminder: api error: code = Internal desc = failed to get job due to: scheduler "
                   "clients are disabled");
    grpc_must_fail(t, DAPR "UnregisterActorReminder", &name, TR_RPC_INTERNAL,
                   "error deleting actor reminder: scheduler clients are disabled");
    grpc_must_fail(t, DAPR "UnregisterActorRemindersByType", &type, TR_RPC_INTERNAL,
                   "error deleting actor reminder: scheduler clients are disabled");
}

static void reminders_are_for_types_that_are_hosted_here(void **state)
{
    struct grpc_test *t = *state;
    const Tr__Rt__ActorNameRequest name = name_of("dog", "r");
    const Tr__Rt__ActorTypeRequest type = type_of("dog");
    Tr__Rt__RegisterActorReminderRequest reminder = reminder_of("dog", "");
    grpc_must_fail(t, DAPR "RegisterActorReminder", &reminder, TR_RPC_INVALID_ARGUMENT,
                   "invalid request: reminder name cannot be empty");
    reminder = reminder_of("dog", "a#");
    grpc_must_fail(t, DAPR "RegisterActorReminder", &reminder, TR_RPC_INVALID_ARGUMENT,
                   "name contains forbidden character: \"a#\"");
    reminder = reminder_of("dog", "r");
    grpc_must_fail(t, DAPR "RegisterActorReminder", &reminder, TR_RPC_PERMISSION_DENIED, NOT_HOSTED);
    grpc_must_fail(t, DAPR "GetActorReminder", &name, TR_RPC_PERMISSION_DENIED, NOT_HOSTED);
    grpc_must_fail(t, DAPR "UnregisterActorReminder", &name, TR_RPC_PERMISSION_DENIED, NOT_HOSTED);
    grpc_must_fail(t, DAPR "ListActorReminders", &type, TR_RPC_PERMISSION_DENIED, NOT_HOSTED);
    grpc_must_fail(t, DAPR "UnregisterActorRemindersByType", &type, TR_RPC_PERMISSION_DENIED, NOT_HOSTED);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, grpc_test_set_up, grpc_test_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_call_reaches_the_app_with_its_metadata_as_headers),
        TEST(the_chain_is_known_by_one_spelling_only),
        TEST(names_that_break_the_rules_are_refused),
        TEST(metadata_has_a_limit),
        TEST(failures_of_the_app_are_internal_with_its_words),
        TEST(an_error_of_the_app_itself_is_data),
        TEST(a_status_of_a_peer_passes_through),
        TEST(a_client_that_cancels_takes_its_call_along),
        TEST(a_deadline_of_the_client_ends_the_call),
        cmocka_unit_test(without_placement_every_method_says_so),
        cmocka_unit_test(calls_wait_until_the_types_are_known),
        cmocka_unit_test(waiting_ends_when_the_runtime_stops),
        TEST(requests_that_cannot_be_read_are_refused),
        TEST(types_of_the_workflow_engine_are_reserved_but_for_calls),
        TEST(bytes_are_stored_as_they_are),
        TEST(an_operation_that_is_not_known_is_unimplemented),
        TEST(operations_that_cannot_be_written_are_internal),
        TEST(an_expiry_is_told_in_the_metadata),
        cmocka_unit_test(without_a_store_state_says_how_to_get_one),
        TEST(a_client_that_cancels_leaves_what_is_held),
        TEST(a_timer_fires_with_its_bytes_as_a_json_string),
        TEST(a_timer_that_cannot_be_is_refused),
        TEST(without_a_scheduler_reminders_say_so),
        TEST(reminders_are_for_types_that_are_hosted_here),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
