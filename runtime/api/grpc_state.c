/* State over gRPC. The checks come in the order of the reference, as over HTTP. */
#include <stdlib.h>

#include "proto/runtime.pb-c.h"
#include "proto/wire.h"
#include "runtime/api/state_json.h"
#include "runtime/base/duration.h"
#include "runtime/base/json.h"

/* The work of one call. */
struct work {
    struct api_call *call; /* borrowed */
    union {                /* owned; which one depends on the method */
        void *any;
        Tr__Rt__GetStateRequest *get;
        Tr__Rt__GetBulkStateRequest *get_bulk;
        Tr__Rt__DeleteStateRequest *delete;
        Tr__Rt__StateItemsRequest *items;
        Tr__Rt__ExecuteStateTransactionRequest *tx;
        Tr__Rt__QueryStateRequest *query;
    } request;
    struct api_state_job job;
};

static void work_free(void *ctx)
{
    struct work *work = ctx;
    api_state_job_fini(&work->job);
    tr_wire_free(work->request.any);
    free(work);
}

/* Decode the request; NULL: the call has been answered. */
static struct work *work_new(struct api_call *call, const ProtobufCMessageDescriptor *descriptor,
                             enum api_state_action action)
{
    struct work *work = tr_xzalloc(sizeof(*work));
    work->call = call;
    call->work = work;
    call->free_work = work_free;
    work->job.api = call->api;
    work->job.action = action;
    return api_call_decode(call, descriptor, &work->request.any) ? work : NULL;
}

static struct work *work_of(struct api_state_job *job)
{
    return TR_CONTAINER_OF(job, struct work, job);
}

/* The store of this name, or NULL when the call has been answered. */
static struct tr_api_store *find_store(struct work *work, ProtobufCBinaryData name)
{
    work->job.store_name = tr_wire_slice(name);
    struct tr_api_store *store = api_state_store(&work->job, false);
    if (store == NULL || (work->job.action == API_STATE_TRANSACT && !api_state_can_transact(&work->job, store))) {
        api_call_fail_fault(work->call, &work->job.fault);
        return NULL;
    }
    return store;
}

/* False: the call has been answered. The number of transactional operations has an error of its own. */
static bool has_room(struct work *work, size_t len)
{
    struct tr_err err;
    if (len <= API_STATE_ITEMS_MAX) {
        return true;
    }
    if (work->job.action == API_STATE_TRANSACT) {
        api_state_too_many(&work->job, len);
        api_call_fail_fault(work->call, &work->job.fault);
        return false;
    }
    (void)tr_err_set(&err, TR_INVALID, "%zu items, more than %u", len, API_STATE_ITEMS_MAX);
    api_call_fail_err(work->call, &err);
    return false;
}

/* Numbers that name nothing are as good as none. Source: Dapr pkg/api/grpc/util.go. */
static struct tr_slice concurrency_text(int32_t number)
{
    return number == 1 ? TR_SLICE_LIT("first-write") : number == 2 ? TR_SLICE_LIT("last-write") : TR_SLICE_LIT("");
}

static struct tr_slice consistency_text(int32_t number)
{
    return number == 1 ? TR_SLICE_LIT("eventual") : number == 2 ? TR_SLICE_LIT("strong") : TR_SLICE_LIT("");
}

/* The value of `key`, the last one as in a map; empty if there is none. */
static struct tr_slice find_entry(Tr__Common__StringEntry *const *entries, size_t len, const char *key)
{
    struct tr_slice value = TR_SLICE_LIT("");
    for (size_t i = 0; i < len; i++) {
        if (tr_slice_eq_str(tr_wire_slice(entries[i]->key), key)) {
            value = tr_wire_slice(entries[i]->value);
        }
    }
    return value;
}

/* --- reads ---------------------------------------------------------------------------------------------------------- */

/* The metadata of a value: at most when it expires. */
struct expiry {
    struct tr_buf time; /* owned */
    Tr__Common__StringEntry entry;
    Tr__Common__StringEntry *pointer;
};

static size_t expiry_set(struct expiry *expiry, const struct tr_store_value *value)
{
    if (!value->has_expiry) {
        return 0;
    }
    tr_time_add(&expiry->time, value->expiry_unix_ms * TR_NS_PER_MS, 0);
    tr__common__string_entry__init(&expiry->entry);
    TR_WIRE_SET(&expiry->entry, key, TR_SLICE_LIT("ttlExpireTime"));
    TR_WIRE_SET(&expiry->entry, value, tr_buf_slice(&expiry->time));
    expiry->pointer = &expiry->entry;
    return 1;
}

static void on_got(struct api_state_job *job)
{
    struct api_call *call = work_of(job)->call;
    if (job->fault.code != TR_OK) {
        api_call_fail_fault(call, &job->fault);
        return;
    }
    const struct tr_store_value *value = job->rows[0].value;
    struct expiry expiry = { .pointer = NULL };
    Tr__Rt__GetStateResponse response = TR__RT__GET_STATE_RESPONSE__INIT;
    if (value->found) {
        TR_WIRE_SET(&response, data, tr_buf_slice(&value->value));
        TR_WIRE_SET(&response, etag, tr_slice_str(value->etag));
        response.n_metadata = expiry_set(&expiry, value);
        response.metadata = &expiry.pointer;
    }
    api_call_reply(call, &response);
    tr_buf_fini(&expiry.time);
}

static void handle_get(struct api_call *call)
{
    struct work *work = work_new(call, &tr__rt__get_state_request__descriptor, API_STATE_GET);
    struct tr_api_store *store;
    if (work == NULL || (store = find_store(work, work->request.get->store_name)) == NULL) {
        return;
    }
    api_state_items_new(&work->job, 1);
    work->job.items[0].key = tr_wire_slice(work->request.get->key);
    work->job.cb = on_got;
    api_state_start(&work->job, store);
}

static void set_row(Tr__Rt__BulkStateItem *item, struct expiry *expiry, struct tr_slice key,
                    const struct api_state_row *row)
{
    tr__rt__bulk_state_item__init(item);
    TR_WIRE_SET(item, key, key);
    TR_WIRE_SET(item, error, tr_slice_str(row->error));
    if (row->value != NULL && row->value->found) {
        TR_WIRE_SET(item, data, tr_buf_slice(&row->value->value));
        TR_WIRE_SET(item, etag, tr_slice_str(row->value->etag));
        item->n_metadata = expiry_set(expiry, row->value);
        item->metadata = &expiry->pointer;
    }
}

static void on_got_bulk(struct api_state_job *job)
{
    struct api_call *call = work_of(job)->call;
    const size_t len = job->items_len;
    if (job->fault.code != TR_OK) {
        api_call_fail_fault(call, &job->fault);
        return;
    }
    Tr__Rt__BulkStateItem *items = tr_xzalloc(len * sizeof(*items));
    Tr__Rt__BulkStateItem **pointers = tr_xzalloc(len * sizeof(*pointers));
    struct expiry *expiries = tr_xzalloc(len * sizeof(*expiries));
    Tr__Rt__GetBulkStateResponse response = TR__RT__GET_BULK_STATE_RESPONSE__INIT;
    for (size_t i = 0; i < len; i++) {
        set_row(&items[i], &expiries[i], job->items[i].key, &job->rows[i]);
        pointers[i] = &items[i];
    }
    response.n_items = len;
    response.items = pointers;
    api_call_reply(call, &response);
    for (size_t i = 0; i < len; i++) {
        tr_buf_fini(&expiries[i].time);
    }
    free(expiries);
    free(pointers);
    free(items);
}

static void handle_get_bulk(struct api_call *call)
{
    struct work *work = work_new(call, &tr__rt__get_bulk_state_request__descriptor, API_STATE_GET_BULK);
    struct tr_api_store *store;
    if (work == NULL || (store = find_store(work, work->request.get_bulk->store_name)) == NULL) {
        return;
    }
    const Tr__Rt__GetBulkStateRequest *request = work->request.get_bulk;
    if (request->n_keys == 0) {
        api_call_reply_empty(call);
        return;
    }
    if (!has_room(work, request->n_keys)) {
        return;
    }
    api_state_items_new(&work->job, request->n_keys);
    for (size_t i = 0; i < request->n_keys; i++) {
        work->job.items[i].key = tr_wire_slice(request->keys[i]);
    }
    work->job.cb = on_got_bulk;
    api_state_start(&work->job, store);
}

/* --- writes --------------------------------------------------------------------------------------------------------- */

static void on_written(struct api_state_job *job)
{
    struct api_call *call = work_of(job)->call;
    if (job->fault.code != TR_OK) {
        api_call_fail_fault(call, &job->fault);
    } else {
        api_call_reply_empty(call);
    }
}

static void start_writes(struct work *work, struct tr_api_store *store)
{
    work->job.cb = on_written;
    api_state_start(&work->job, store);
}

static void take_item(const Tr__Common__StateItem *from, struct api_state_item *item)
{
    if (from == NULL) {
        return; /* an operation without a request is one of an empty key */
    }
    item->key = tr_wire_slice(from->key);
    item->value = tr_wire_slice(from->value);
    item->has_etag = from->etag != NULL;
    if (from->etag != NULL) {
        item->etag = tr_wire_slice(from->etag->value);
    }
    item->ttl = find_entry(from->metadata, from->n_metadata, "ttlInSeconds");
    if (from->options != NULL) {
        item->concurrency = concurrency_text(from->options->concurrency);
        item->consistency = consistency_text(from->options->consistency);
    }
}

/* A value that calls itself JSON must be JSON, and is stored as HTTP would store it. False: the call has been answered. */
static bool read_json(struct work *work, const Tr__Common__StateItem *from, struct api_state_item *item)
{
    struct tr_slice value;
    struct tr_err err;
    if (!tr_slice_eq_str(find_entry(from->metadata, from->n_metadata, "contentType"), "application/json")) {
        return true;
    }
    if (tr_json_check(item->value, &value, &err) != TR_OK) {
        api_call_fail(work->call, TR_RPC_UNKNOWN, tr_slice_str(err.msg)); /* the bare error of the decoder */
        return false;
    }
    item->value = api_state_keep_value(&work->job, value);
    return true;
}

/* False: the call has been answered. */
static bool read_item(struct work *work, const Tr__Common__StateItem *from, struct api_state_item *item)
{
    take_item(from, item);
    if (item->key.len == 0) {
        api_fault_set(&work->job.fault, TR_STATE_SAVE, "state key cannot be empty");
        work->job.fault.grpc_status = TR_RPC_INVALID_ARGUMENT;
        work->job.fault.reason = "ERR_STATE_SAVE";
        api_call_fail_fault(work->call, &work->job.fault);
        return false;
    }
    return read_json(work, from, item);
}

static void handle_save(struct api_call *call)
{
    struct work *work = work_new(call, &tr__rt__state_items_request__descriptor, API_STATE_SAVE);
    struct tr_api_store *store;
    if (work == NULL || (store = find_store(work, work->request.items->store_name)) == NULL) {
        return;
    }
    const Tr__Rt__StateItemsRequest *request = work->request.items;
    if (!has_room(work, request->n_states)) {
        return;
    }
    api_state_items_new(&work->job, request->n_states);
    for (size_t i = 0; i < request->n_states; i++) {
        if (!read_item(work, request->states[i], &work->job.items[i])) {
            return;
        }
    }
    if (request->n_states == 0) {
        api_call_reply_empty(call);
    } else {
        start_writes(work, store);
    }
}

static void handle_delete(struct api_call *call)
{
    struct work *work = work_new(call, &tr__rt__delete_state_request__descriptor, API_STATE_DELETE);
    struct tr_api_store *store;
    if (work == NULL || (store = find_store(work, work->request.delete->store_name)) == NULL) {
        return;
    }
    const Tr__Rt__DeleteStateRequest *request = work->request.delete;
    api_state_items_new(&work->job, 1);
    struct api_state_item *item = &work->job.items[0];
    item->is_delete = true;
    item->key = tr_wire_slice(request->key);
    item->has_etag = request->etag != NULL;
    if (request->etag != NULL) {
        item->etag = tr_wire_slice(request->etag->value);
    }
    if (request->options != NULL) {
        item->concurrency = concurrency_text(request->options->concurrency);
        item->consistency = consistency_text(request->options->consistency);
    }
    start_writes(work, store);
}

static void handle_delete_bulk(struct api_call *call)
{
    struct work *work = work_new(call, &tr__rt__state_items_request__descriptor, API_STATE_DELETE_BULK);
    struct tr_api_store *store;
    if (work == NULL || (store = find_store(work, work->request.items->store_name)) == NULL) {
        return;
    }
    const Tr__Rt__StateItemsRequest *request = work->request.items;
    if (!has_room(work, request->n_states)) {
        return;
    }
    api_state_items_new(&work->job, request->n_states);
    for (size_t i = 0; i < request->n_states; i++) {
        take_item(request->states[i], &work->job.items[i]);
        work->job.items[i].is_delete = true;
    }
    start_writes(work, store);
}

/* False: the call has been answered. */
static bool read_operation(struct work *work, const Tr__Rt__TransactionalStateOperation *from,
                           struct api_state_item *item)
{
    const struct tr_slice operation = tr_wire_slice(from->operation_type);
    take_item(from->request, item);
    item->is_delete = tr_slice_eq_str(operation, "delete");
    if (item->is_delete || tr_slice_eq_str(operation, "upsert")) {
        return true;
    }
    api_fault_set(&work->job.fault, TR_STATE_BAD_OPERATION, "operation type %.*s not supported", TR_SLICE_ARG(operation));
    work->job.fault.reason = tr_code_name(TR_STATE_BAD_OPERATION);
    api_call_fail_fault(work->call, &work->job.fault);
    return false;
}

static void handle_transaction(struct api_call *call)
{
    struct work *work = work_new(call, &tr__rt__execute_state_transaction_request__descriptor, API_STATE_TRANSACT);
    struct tr_api_store *store;
    if (work == NULL || (store = find_store(work, work->request.tx->store_name)) == NULL) {
        return;
    }
    const Tr__Rt__ExecuteStateTransactionRequest *request = work->request.tx;
    if (!has_room(work, request->n_operations)) {
        return;
    }
    api_state_items_new(&work->job, request->n_operations);
    for (size_t i = 0; i < request->n_operations; i++) {
        if (!read_operation(work, request->operations[i], &work->job.items[i])) {
            return;
        }
    }
    if (request->n_operations == 0) {
        api_call_reply_empty(call);
    } else {
        start_writes(work, store);
    }
}

/* --- query: no store here has it ------------------------------------------------------------------------------------- */

static void handle_query(struct api_call *call)
{
    struct work *work = work_new(call, &tr__rt__query_state_request__descriptor, API_STATE_GET);
    if (work != NULL && find_store(work, work->request.query->store_name) != NULL) {
        api_state_no_query(&work->job);
        api_call_fail_fault(call, &work->job.fault);
    }
}

#define DAPR "/dapr.proto.runtime.v1.Dapr/"

const struct api_grpc_row api_state_rows[] = {
    { DAPR "GetState", handle_get },
    { DAPR "GetBulkState", handle_get_bulk },
    { DAPR "SaveState", handle_save },
    { DAPR "DeleteState", handle_delete },
    { DAPR "DeleteBulkState", handle_delete_bulk },
    { DAPR "ExecuteStateTransaction", handle_transaction },
    { DAPR "QueryStateAlpha1", handle_query },
};
const size_t api_state_rows_len = TR_ARRAY_LEN(api_state_rows);
