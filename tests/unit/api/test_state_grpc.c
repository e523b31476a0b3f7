/* State over gRPC, against a server on the loopback interface. */
#include "proto/common.pb-c.h"
#include "proto/runtime.pb-c.h"
#include "proto/wire.h"
#include "tests/unit/api/state_test.h"
#include "tests/unit/invoke/rpc_fixture.h"

struct grpc_test {
    struct fixture rpc;
    struct state_test base;
};

#define DAPR "/dapr.proto.runtime.v1.Dapr/"

/* --- messages ------------------------------------------------------------------------------------------------------- */

static Tr__Common__StateItem item_of(const char *key, const char *value)
{
    Tr__Common__StateItem item = TR__COMMON__STATE_ITEM__INIT;
    TR_WIRE_SET(&item, key, tr_slice_str(key));
    TR_WIRE_SET(&item, value, tr_slice_str(value));
    return item;
}

static Tr__Common__StringEntry entry_of(const char *key, const char *value)
{
    Tr__Common__StringEntry entry = TR__COMMON__STRING_ENTRY__INIT;
    TR_WIRE_SET(&entry, key, tr_slice_str(key));
    TR_WIRE_SET(&entry, value, tr_slice_str(value));
    return entry;
}

static Tr__Common__Etag etag_of(const char *text)
{
    Tr__Common__Etag etag = TR__COMMON__ETAG__INIT;
    TR_WIRE_SET(&etag, value, tr_slice_str(text));
    return etag;
}

static void call(struct grpc_test *t, struct unary *u, const char *path, const void *request)
{
    struct tr_buf bytes = { 0 };
    *u = (struct unary){ .is_done = false };
    tr_wire_pack(request, &bytes);
    unary_call(&t->rpc, u, path, tr_buf_slice(&bytes));
    tr_buf_fini(&bytes);
}

static void *response_of(struct unary *u, const ProtobufCMessageDescriptor *descriptor)
{
    ProtobufCMessage *message = NULL;
    struct tr_err err;
    assert_int_equal(u->op.status, 0);
    assert_int_equal(tr_wire_unpack(descriptor, tr_buf_slice(&u->op.response), &message, &err), TR_OK);
    tr_rpc_unary_fini(&u->op);
    return message;
}

static void must_succeed(struct grpc_test *t, const char *path, const void *request)
{
    struct unary u;
    call(t, &u, path, request);
    assert_text(tr_buf_slice(&u.op.message), "");
    assert_int_equal(u.op.status, 0);
    assert_int_equal(u.op.response.len, 0);
    tr_rpc_unary_fini(&u.op);
}

/* The call fails with these; `reasons` are the details' types, or NULL for none. Returns the reason of its ErrorInfo. */
static void must_fail(struct grpc_test *t, const char *path, const void *request, int status, const char *message,
                      const char *const *types, const char *reason)
{
    struct unary u;
    struct tr_slice details;
    struct tr_err err;
    call(t, &u, path, request);
    assert_text(tr_buf_slice(&u.op.message), message);
    assert_int_equal(u.op.status, status);
    if (types == NULL) {
        assert_false(tr_rpc_md_get(&u.op.trailing, "grpc-status-details-bin", &details));
        tr_rpc_unary_fini(&u.op);
        return;
    }
    assert_true(tr_rpc_md_get(&u.op.trailing, "grpc-status-details-bin", &details));
    ProtobufCMessage *decoded = NULL;
    assert_int_equal(tr_wire_unpack(&tr__common__rpc_status__descriptor, details, &decoded, &err), TR_OK);
    const Tr__Common__RpcStatus *rpc_status = (const Tr__Common__RpcStatus *)decoded;
    assert_int_equal(rpc_status->code, status);
    assert_text(tr_wire_slice(rpc_status->message), message);
    size_t len = 0;
    for (; types[len] != NULL; len++) {
        struct tr_slice url = tr_wire_slice(rpc_status->details[len]->type_url);
        assert_true(tr_slice_starts(url, TR_SLICE_LIT("type.googleapis.com/google.rpc.")));
        assert_text(tr_slice_skip(url, strlen("type.googleapis.com/google.rpc.")), types[len]);
    }
    assert_int_equal(rpc_status->n_details, len);
    ProtobufCMessage *info = NULL;
    assert_int_equal(tr_wire_unpack(&tr__common__error_info__descriptor,
                                    tr_wire_slice(rpc_status->details[len - 1]->value), &info, &err),
                     TR_OK);
    assert_text(tr_wire_slice(((const Tr__Common__ErrorInfo *)info)->reason), reason);
    tr_wire_free(info);
    tr_wire_free(decoded);
    tr_rpc_unary_fini(&u.op);
}

static const char *const only_info[] = { "ErrorInfo", NULL };
static const char *const with_resource[] = { "ResourceInfo", "ErrorInfo", NULL };
static const char *const with_field[] = { "BadRequest", "ResourceInfo", "ErrorInfo", NULL };
static const char *const with_help[] = { "Help", "ResourceInfo", "ErrorInfo", NULL };

static void save_items(struct grpc_test *t, Tr__Common__StateItem **items, size_t len)
{
    Tr__Rt__StateItemsRequest request = TR__RT__STATE_ITEMS_REQUEST__INIT;
    TR_WIRE_SET(&request, store_name, TR_SLICE_LIT("store"));
    request.n_states = len;
    request.states = items;
    must_succeed(t, DAPR "SaveState", &request);
}

static void save(struct grpc_test *t, const char *key, const char *value)
{
    Tr__Common__StateItem item = item_of(key, value);
    Tr__Common__StateItem *items[] = { &item };
    save_items(t, items, 1);
}

static Tr__Rt__GetStateResponse *get(struct grpc_test *t, const char *key)
{
    struct unary u;
    Tr__Rt__GetStateRequest request = TR__RT__GET_STATE_REQUEST__INIT;
    TR_WIRE_SET(&request, store_name, TR_SLICE_LIT("store"));
    TR_WIRE_SET(&request, key, tr_slice_str(key));
    call(t, &u, DAPR "GetState", &request);
    return response_of(&u, &tr__rt__get_state_response__descriptor);
}

static void assert_stored(struct grpc_test *t, const char *key, const char *want)
{
    Tr__Rt__GetStateResponse *response = get(t, key);
    assert_text(tr_wire_slice(response->data), want);
    tr_wire_free(response);
}

/* --- tests ---------------------------------------------------------------------------------------------------------- */

static void bytes_are_saved_as_they_are(void **state)
{
    struct grpc_test *t = *state;
    Tr__Rt__GetStateResponse *response = get(t, "k");
    assert_int_equal(response->data.len, 0);
    assert_int_equal(response->etag.len, 0);
    tr_wire_free(response);
    save(t, "k", "<\1 \xff");
    response = get(t, "k");
    assert_text(tr_wire_slice(response->data), "<\1 \xff");
    assert_true(response->etag.len > 0);
    assert_int_equal(response->n_metadata, 0);
    tr_wire_free(response);
}

static void a_value_that_calls_itself_json_must_be_json(void **state)
{
    struct grpc_test *t = *state;
    Tr__Common__StringEntry entry = entry_of("contentType", "application/json");
    Tr__Common__StringEntry *entries[] = { &entry };
    Tr__Common__StateItem item = item_of("k", " { \"a\" : 1 } ");
    Tr__Common__StateItem *items[] = { &item };
    item.n_metadata = 1;
    item.metadata = entries;
    save_items(t, items, 1);
    assert_stored(t, "k", "{\"a\":1}");
    Tr__Rt__StateItemsRequest request = TR__RT__STATE_ITEMS_REQUEST__INIT;
    TR_WIRE_SET(&request, store_name, TR_SLICE_LIT("store"));
    TR_WIRE_SET(&item, value, TR_SLICE_LIT("a"));
    request.n_states = 1;
    request.states = items;
    must_fail(t, DAPR "SaveState", &request, TR_RPC_UNKNOWN, "invalid JSON at offset 0: unexpected character", NULL, NULL);
}

static void the_time_to_live_comes_back_as_metadata(void **state)
{
    struct grpc_test *t = *state;
    Tr__Common__StringEntry entry = entry_of("ttlInSeconds", "100");
    Tr__Common__StringEntry *entries[] = { &entry };
    Tr__Common__StateItem item = item_of("k", "v");
    Tr__Common__StateItem *items[] = { &item };
    item.n_metadata = 1;
    item.metadata = entries;
    save_items(t, items, 1);
    Tr__Rt__GetStateResponse *response = get(t, "k");
    assert_int_equal(response->n_metadata, 1);
    assert_text(tr_wire_slice(response->metadata[0]->key), "ttlExpireTime");
    assert_int_equal(response->metadata[0]->value.len, strlen("2026-01-02T03:04:05Z"));
    tr_wire_free(response);
}

static void a_save_of_nothing_is_fine_and_one_without_key_is_not(void **state)
{
    struct grpc_test *t = *state;
    save_items(t, NULL, 0);
    Tr__Rt__StateItemsRequest request = TR__RT__STATE_ITEMS_REQUEST__INIT;
    Tr__Common__StateItem item = item_of("", "v");
    Tr__Common__StateItem *items[] = { &item };
    TR_WIRE_SET(&request, store_name, TR_SLICE_LIT("store"));
    request.n_states = 1;
    request.states = items;
    must_fail(t, DAPR "SaveState", &request, TR_RPC_INVALID_ARGUMENT, "state key cannot be empty", only_info,
              "ERR_STATE_SAVE");
}

static void an_etag_and_a_first_write_guard_a_save(void **state)
{
    struct grpc_test *t = *state;
    Tr__Rt__StateItemsRequest request = TR__RT__STATE_ITEMS_REQUEST__INIT;
    Tr__Common__StateItem item = item_of("k", "v");
    Tr__Common__StateItem *items[] = { &item };
    Tr__Common__Etag etag = etag_of("x");
    Tr__Common__StateOptions options = TR__COMMON__STATE_OPTIONS__INIT;
    TR_WIRE_SET(&request, store_name, TR_SLICE_LIT("store"));
    request.n_states = 1;
    request.states = items;
    item.etag = &etag;
    must_fail(t, DAPR "SaveState", &request, TR_RPC_ABORTED,
              "failed saving state in state store store: possible etag mismatch. error from state store: state not exist "
              "or expired for key=app||k",
              only_info, "ERR_STATE_SAVE");
    item.etag = NULL;
    item.options = &options;
    options.has_concurrency = true;
    options.concurrency = 1;
    must_succeed(t, DAPR "SaveState", &request);
    must_fail(t, DAPR "SaveState", &request, TR_RPC_ABORTED,
              "failed saving state in state store store: possible etag mismatch. error from state store: item already "
              "exists and no etag was passed",
              only_info, "ERR_STATE_SAVE");
    options.concurrency = 7; /* names nothing */
    must_succeed(t, DAPR "SaveState", &request);
}

static void a_delete_takes_etag_and_options(void **state)
{
    struct grpc_test *t = *state;
    Tr__Rt__DeleteStateRequest request = TR__RT__DELETE_STATE_REQUEST__INIT;
    Tr__Common__Etag etag = etag_of("x");
    Tr__Common__StateOptions options = TR__COMMON__STATE_OPTIONS__INIT;
    save(t, "k", "v");
    TR_WIRE_SET(&request, store_name, TR_SLICE_LIT("store"));
    TR_WIRE_SET(&request, key, TR_SLICE_LIT("k"));
    options.has_concurrency = true;
    options.concurrency = 1;
    request.options = &options;
    must_fail(t, DAPR "DeleteState", &request, TR_RPC_ABORTED,
              "failed deleting state with key k: possible etag mismatch. error from state store: item already exists and no "
              "etag was passed",
              only_info, "ERR_STATE_DELETE");
    options.concurrency = 2;
    must_succeed(t, DAPR "DeleteState", &request);
    assert_stored(t, "k", "");
    request.etag = &etag;
    must_fail(t, DAPR "DeleteState", &request, TR_RPC_ABORTED,
              "failed deleting state with key k: possible etag mismatch. error from state store: state not exist or "
              "expired for key=app||k",
              only_info, "ERR_STATE_DELETE");
}

static void many_are_deleted_each_by_itself(void **state)
{
    struct grpc_test *t = *state;
    Tr__Rt__StateItemsRequest request = TR__RT__STATE_ITEMS_REQUEST__INIT;
    Tr__Common__StateItem a = item_of("a", "");
    Tr__Common__StateItem b = item_of("b", "");
    Tr__Common__StateItem *items[] = { &a, &b };
    Tr__Common__Etag etag = etag_of("x");
    save(t, "a", "1");
    save(t, "b", "2");
    TR_WIRE_SET(&request, store_name, TR_SLICE_LIT("store"));
    must_succeed(t, DAPR "DeleteBulkState", &request);
    a.etag = &etag;
    request.n_states = 2;
    request.states = items;
    struct unary u;
    call(t, &u, DAPR "DeleteBulkState", &request);
    assert_int_equal(u.op.status, TR_RPC_ABORTED);
    assert_true(tr_slice_starts(tr_buf_slice(&u.op.message),
                                TR_SLICE_LIT("failed deleting state in state store store: possible etag mismatch. error "
                                             "from state store: possible etag mismatch.")));
    tr_rpc_unary_fini(&u.op);
    assert_stored(t, "a", "1");
    assert_stored(t, "b", "");
    a.etag = NULL;
    must_succeed(t, DAPR "DeleteBulkState", &request);
    assert_stored(t, "a", "");
}

static void many_keys_are_read_at_once(void **state)
{
    struct grpc_test *t = *state;
    struct unary u;
    Tr__Rt__GetBulkStateRequest request = TR__RT__GET_BULK_STATE_REQUEST__INIT;
    ProtobufCBinaryData keys[] = { tr_wire_data(TR_SLICE_LIT("a")), tr_wire_data(TR_SLICE_LIT("none")) };
    save(t, "a", "1");
    TR_WIRE_SET(&request, store_name, TR_SLICE_LIT("store"));
    must_succeed(t, DAPR "GetBulkState", &request);
    request.n_keys = 2;
    request.keys = keys;
    call(t, &u, DAPR "GetBulkState", &request);
    Tr__Rt__GetBulkStateResponse *response = response_of(&u, &tr__rt__get_bulk_state_response__descriptor);
    assert_int_equal(response->n_items, 2);
    assert_text(tr_wire_slice(response->items[0]->key), "a");
    assert_text(tr_wire_slice(response->items[0]->data), "1");
    assert_true(response->items[0]->etag.len > 0);
    assert_text(tr_wire_slice(response->items[1]->key), "none");
    assert_int_equal(response->items[1]->data.len, 0);
    assert_int_equal(response->items[1]->error.len, 0);
    tr_wire_free(response);
    keys[1] = tr_wire_data(TR_SLICE_LIT("a||b"));
    must_fail(t, DAPR "GetBulkState", &request, TR_RPC_INVALID_ARGUMENT, "input key/keyPrefix 'a||b' can't contain '||'",
              with_field, "DAPR_STATE_ILLEGAL_KEY");
}

static void a_transaction_is_whole_or_absent(void **state)
{
    struct grpc_test *t = *state;
    Tr__Rt__ExecuteStateTransactionRequest request = TR__RT__EXECUTE_STATE_TRANSACTION_REQUEST__INIT;
    Tr__Rt__TransactionalStateOperation upsert = TR__RT__TRANSACTIONAL_STATE_OPERATION__INIT;
    Tr__Rt__TransactionalStateOperation delete = TR__RT__TRANSACTIONAL_STATE_OPERATION__INIT;
    Tr__Rt__TransactionalStateOperation *operations[] = { &upsert, &delete };
    Tr__Common__StateItem a = item_of("a", "1");
    Tr__Common__StateItem b = item_of("b", "");
    Tr__Common__Etag etag = etag_of("x");
    TR_WIRE_SET(&request, store_name, TR_SLICE_LIT("store"));
    must_succeed(t, DAPR "ExecuteStateTransaction", &request);
    TR_WIRE_SET(&upsert, operation_type, TR_SLICE_LIT("upsert"));
    TR_WIRE_SET(&delete, operation_type, TR_SLICE_LIT("delete"));
    upsert.request = &a;
    delete.request = &b;
    request.n_operations = 2;
    request.operations = operations;
    b.etag = &etag;
    must_fail(t, DAPR "ExecuteStateTransaction", &request, TR_RPC_INTERNAL,
              "error while executing state transaction: possible etag mismatch. error from state store: state not exist or "
              "expired for key=app||b",
              only_info, "ERR_STATE_TRANSACTION");
    assert_stored(t, "a", "");
    b.etag = NULL;
    must_succeed(t, DAPR "ExecuteStateTransaction", &request);
    assert_stored(t, "a", "1");
    TR_WIRE_SET(&delete, operation_type, TR_SLICE_LIT("remove"));
    must_fail(t, DAPR "ExecuteStateTransaction", &request, TR_RPC_UNIMPLEMENTED, "operation type remove not supported",
              only_info, "ERR_NOT_SUPPORTED_STATE_OPERATION");
}

static void a_transaction_has_a_limit_and_needs_a_store_that_can(void **state)
{
    struct grpc_test *t = *state;
    static Tr__Rt__TransactionalStateOperation *operations[TR_STORE_OPS_MAX + 1];
    Tr__Rt__ExecuteStateTransactionRequest request = TR__RT__EXECUTE_STATE_TRANSACTION_REQUEST__INIT;
    Tr__Rt__TransactionalStateOperation upsert = TR__RT__TRANSACTIONAL_STATE_OPERATION__INIT;
    TR_WIRE_SET(&upsert, operation_type, TR_SLICE_LIT("upsert"));
    for (size_t i = 0; i < TR_ARRAY_LEN(operations); i++) {
        operations[i] = &upsert;
    }
    TR_WIRE_SET(&request, store_name, TR_SLICE_LIT("store"));
    request.n_operations = TR_ARRAY_LEN(operations);
    request.operations = operations;
    must_fail(t, DAPR "ExecuteStateTransaction", &request, TR_RPC_INVALID_ARGUMENT,
              "the transaction contains 10001 operations, which is more than what the state store supports: 10000",
              with_resource, "DAPR_STATE_TOO_MANY_TRANSACTIONS");
    state_test_add_broken(&t->base, "plain", 0);
    TR_WIRE_SET(&request, store_name, TR_SLICE_LIT("plain"));
    request.n_operations = 1;
    must_fail(t, DAPR "ExecuteStateTransaction", &request, TR_RPC_UNIMPLEMENTED,
              "state store plain doesn't support transactions", with_help, "DAPR_STATE_TRANSACTIONS_NOT_SUPPORTED");
}

static void the_store_is_looked_for_first(void **state)
{
    struct grpc_test *t = *state;
    Tr__Rt__StateItemsRequest request = TR__RT__STATE_ITEMS_REQUEST__INIT;
    TR_WIRE_SET(&request, store_name, TR_SLICE_LIT("other"));
    must_fail(t, DAPR "SaveState", &request, TR_RPC_INVALID_ARGUMENT, "state store other is not found", only_info,
              "DAPR_STATE_NOT_FOUND");
    tr_api_store_remove(t->base.api, TR_SLICE_LIT("store"));
    must_fail(t, DAPR "DeleteBulkState", &request, TR_RPC_FAILED_PRECONDITION, "state store other is not configured",
              only_info, "DAPR_STATE_NOT_CONFIGURED");
}

static void no_store_can_be_queried(void **state)
{
    struct grpc_test *t = *state;
    Tr__Rt__QueryStateRequest request = TR__RT__QUERY_STATE_REQUEST__INIT;
    TR_WIRE_SET(&request, store_name, TR_SLICE_LIT("store"));
    must_fail(t, DAPR "QueryStateAlpha1", &request, TR_RPC_INTERNAL, "state store does not support querying",
              with_resource, "DAPR_STATE_QUERYING_NOT_SUPPORTED");
}

static void a_failing_store_is_named(void **state)
{
    struct grpc_test *t = *state;
    Tr__Rt__GetStateRequest request = TR__RT__GET_STATE_REQUEST__INIT;
    Tr__Rt__GetBulkStateRequest bulk = TR__RT__GET_BULK_STATE_REQUEST__INIT;
    ProtobufCBinaryData keys[] = { tr_wire_data(TR_SLICE_LIT("k")) };
    state_test_add_broken(&t->base, "broken", TR_STORE_TRANSACTION);
    TR_WIRE_SET(&request, store_name, TR_SLICE_LIT("broken"));
    TR_WIRE_SET(&request, key, TR_SLICE_LIT("k"));
    must_fail(t, DAPR "GetState", &request, TR_RPC_INTERNAL, "fail to get k from state store broken: no disk", only_info,
              "ERR_STATE_GET");
    TR_WIRE_SET(&bulk, store_name, TR_SLICE_LIT("broken"));
    bulk.n_keys = 1;
    bulk.keys = keys;
    must_fail(t, DAPR "GetBulkState", &bulk, TR_RPC_UNKNOWN, "no disk", NULL, NULL);
}

static void what_is_no_message_is_refused(void **state)
{
    struct grpc_test *t = *state;
    static const char *const paths[] = { DAPR "GetState",        DAPR "GetBulkState",    DAPR "SaveState",
                                         DAPR "DeleteState",     DAPR "DeleteBulkState", DAPR "ExecuteStateTransaction",
                                         DAPR "QueryStateAlpha1" };
    for (size_t i = 0; i < TR_ARRAY_LEN(paths); i++) {
        struct unary u = { .is_done = false };
        unary_call(&t->rpc, &u, paths[i], TR_SLICE_LIT("\xff\xff"));
        assert_int_equal(u.op.status, TR_RPC_INTERNAL);
        tr_rpc_unary_fini(&u.op);
    }
}

static int set_up(void **state)
{
    static struct grpc_test t;
    struct tr_rpc_server_conf server_conf = { 0 };
    struct tr_rpc_channel_conf channel_conf = { 0 };
    fixture_init(&t.rpc, &server_conf);
    state_test_init(&t.base, t.rpc.loop);
    tr_api_grpc_add(t.base.api, t.rpc.server);
    fixture_start(&t.rpc, &channel_conf);
    *state = &t;
    return 0;
}

static int tear_down(void **state)
{
    struct grpc_test *t = *state;
    fixture_close_channel(&t->rpc);
    fixture_close_server(&t->rpc);
    state_test_fini(&t->base);
    fixture_fini(&t->rpc);
    return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(bytes_are_saved_as_they_are),
        TEST(a_value_that_calls_itself_json_must_be_json),
        TEST(the_time_to_live_comes_back_as_metadata),
        TEST(a_save_of_nothing_is_fine_and_one_without_key_is_not),
        TEST(an_etag_and_a_first_write_guard_a_save),
        TEST(a_delete_takes_etag_and_options),
        TEST(many_are_deleted_each_by_itself),
        TEST(many_keys_are_read_at_once),
        TEST(a_transaction_is_whole_or_absent),
        TEST(a_transaction_has_a_limit_and_needs_a_store_that_can),
        TEST(the_store_is_looked_for_first),
        TEST(no_store_can_be_queried),
        TEST(a_failing_store_is_named),
        TEST(what_is_no_message_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
