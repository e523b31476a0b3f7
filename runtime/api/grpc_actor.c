/* Actors over gRPC. The checks come in the order of the reference (actors 3.3), as over HTTP. */
#include <stdio.h>
#include <stdlib.h>

#include "proto/runtime.pb-c.h"
#include "proto/wire.h"
#include "runtime/api/api_int.h"
#include "runtime/app/forward.h"
#include "runtime/base/base64.h"
#include "runtime/base/duration.h"

/* The work of one call: the decoded request, and the waits and operations it may need, one after the other. */
struct work {
    struct api_call *call; /* borrowed */
    void (*next)(struct work *work);
    union { /* owned; which one depends on the method */
        void *any;
        Tr__Rt__InvokeActorRequest *invoke;
        Tr__Rt__GetActorStateRequest *get;
        Tr__Rt__ExecuteActorStateTransactionRequest *tx;
        Tr__Rt__RegisterActorTimerRequest *timer;
        Tr__Rt__RegisterActorReminderRequest *reminder;
        Tr__Rt__ActorNameRequest *name;
        Tr__Rt__ActorTypeRequest *type;
    } request;
    struct tr_slice type; /* of the request */
    struct tr_slice id;
    struct tr_actor_wait gate;
    struct tr_actor_call invoke;
    struct tr_actor_state_get get;
    struct tr_actor_state_tx tx;
    struct tr_http_headers headers;
    struct tr_buf text; /* method, or data as JSON */
    struct tr_actor_state_op *ops;
    enum { IN_NOTHING, IN_GATE, IN_CALL, IN_GET, IN_TX } in;
};

static void work_free(void *ctx)
{
    struct work *work = ctx;
    tr_actor_call_fini(&work->invoke);
    tr_buf_fini(&work->get.value);
    tr_http_headers_fini(&work->headers);
    tr_buf_fini(&work->text);
    free(work->ops);
    tr_wire_free(work->request.any);
    free(work);
}

static void on_cancel(struct api_call *call)
{
    struct work *work = call->work;
    switch (work->in) {
    case IN_NOTHING:
        break;
    case IN_GATE:
        tr_actor_wait_cancel(&work->gate);
        break;
    case IN_CALL:
        tr_actor_call_cancel(&work->invoke);
        break;
    case IN_GET:
        tr_actor_state_get_cancel(&work->get);
        break;
    case IN_TX:
        tr_actor_state_tx_cancel(&work->tx);
        break;
    }
}

/* Decode the request; NULL: the call has been answered. */
static struct work *work_new(struct api_call *call, const ProtobufCMessageDescriptor *descriptor)
{
    struct work *work = tr_xzalloc(sizeof(*work));
    work->call = call;
    call->work = work;
    call->cancel = on_cancel;
    call->free_work = work_free;
    return api_call_decode(call, descriptor, &work->request.any) ? work : NULL;
}

static struct tr_actor_engine *engine_of(const struct work *work)
{
    return work->call->api->conf.engine;
}

static void on_gate(struct tr_actor_wait *gate)
{
    struct work *work = TR_CONTAINER_OF(gate, struct work, gate);
    work->in = IN_NOTHING;
    if (gate->err.code != TR_OK) {
        api_call_fail_err(work->call, &gate->err);
        return;
    }
    work->next(work);
}

static void pass_gate(struct work *work, void (*next)(struct work *work))
{
    struct tr_err err;
    switch (tr_actor_gate(engine_of(work), &err)) {
    case TR_ACTOR_GATE_OPEN:
        next(work);
        return;
    case TR_ACTOR_GATE_FAILED:
        api_call_fail_err(work->call, &err);
        return;
    case TR_ACTOR_GATE_SHUT:
        break;
    }
    work->next = next;
    work->gate.cb = on_gate;
    work->gate.deadline_ms = tr_rpc_call_deadline_ms(work->call->rpc);
    work->in = IN_GATE;
    tr_actor_wait_start(engine_of(work), &work->gate);
}

/* Take type and id; reserved types are refused. True: answered. */
static bool is_refused(struct work *work, ProtobufCBinaryData type, ProtobufCBinaryData id)
{
    struct tr_err err;
    work->type = tr_wire_slice(type);
    work->id = tr_wire_slice(id);
    if (!api_is_reserved(work->type, &err)) {
        return false;
    }
    api_call_fail_err(work->call, &err);
    return true;
}

/* --- InvokeActor ---------------------------------------------------------------------------------------------------- */

static void on_invoked(struct tr_actor_call *call)
{
    struct work *work = TR_CONTAINER_OF(call, struct work, invoke);
    work->in = IN_NOTHING;
    if (call->outcome == TR_ACTOR_ANSWERED) {
        Tr__Rt__InvokeActorResponse response = TR__RT__INVOKE_ACTOR_RESPONSE__INIT;
        TR_WIRE_SET(&response, data, tr_buf_slice(&call->body_out));
        api_call_reply(work->call, &response);
        return;
    }
    struct tr_actor_failure failure = { 0 };
    tr_actor_failure_grpc(call, &failure);
    if (call->details.len > 0) {
        tr_rpc_md_add(tr_rpc_call_trailing(work->call->rpc), TR_SLICE_LIT("grpc-status-details-bin"),
                      tr_buf_slice(&call->details));
    }
    api_call_fail(work->call, failure.grpc_status, tr_buf_slice(&failure.message));
    tr_buf_fini(&failure.message);
}

static bool check_invoke_name(struct work *work, const char *what, struct tr_slice name)
{
    struct tr_err err;
    char prefix[32];
    if (tr_path_check_name(name, &err) == TR_OK) {
        return true;
    }
    (void)snprintf(prefix, sizeof(prefix), "invalid %s: ", what);
    api_call_fail_wrapped(work->call, TR_INVALID, prefix, &err);
    return false;
}

/* Metadata becomes the call's headers with the keys as given; a length says nothing about ours. False: answered. */
static bool take_metadata(struct work *work)
{
    const Tr__Rt__InvokeActorRequest *request = work->request.invoke;
    if (request->n_metadata > TR_FORWARD_HEADERS_MAX) {
        struct tr_err err;
        (void)tr_err_set(&err, TR_LIMIT, "request has more than %u metadata entries", TR_FORWARD_HEADERS_MAX);
        api_call_fail_err(work->call, &err);
        return false;
    }
    for (size_t i = 0; i < request->n_metadata; i++) {
        const struct tr_slice key = tr_wire_slice(request->metadata[i]->key);
        if (!tr_slice_eq_nocase(key, TR_SLICE_LIT("content-length"))) {
            tr_http_headers_add(&work->headers, key, tr_wire_slice(request->metadata[i]->value));
        }
        if (tr_slice_eq_str(key, "Dapr-Reentrancy-Id")) {
            work->invoke.chain_id = tr_wire_slice(request->metadata[i]->value);
        }
    }
    tr_forward_strip_identity(&work->headers);
    tr_http_headers_set(&work->headers, TR_SLICE_LIT("Dapr-API-Call"), TR_SLICE_LIT("true"));
    return true;
}

static void start_invoke(struct work *work)
{
    const Tr__Rt__InvokeActorRequest *request = work->request.invoke;
    struct tr_err err;
    if (!check_invoke_name(work, "actorType", work->type) || !check_invoke_name(work, "actorId", work->id)) {
        return;
    }
    if (tr_path_clean_method(tr_wire_slice(request->method), &work->text, &err) != TR_OK) {
        api_call_fail_wrapped(work->call, TR_INVALID, "invalid actor method: ", &err);
        return;
    }
    if (!take_metadata(work)) {
        return;
    }
    work->invoke.kind = TR_ACTOR_METHOD;
    work->invoke.actor_type = work->type;
    work->invoke.actor_id = work->id;
    work->invoke.name = tr_buf_slice(&work->text);
    work->invoke.headers = &work->headers;
    work->invoke.body = tr_wire_slice(request->data);
    work->invoke.deadline_ms = tr_rpc_call_deadline_ms(work->call->rpc);
    work->invoke.cb = on_invoked;
    work->in = IN_CALL;
    tr_actor_call_start(engine_of(work), &work->invoke);
}

static void handle_invoke(struct api_call *call)
{
    struct work *work = work_new(call, &tr__rt__invoke_actor_request__descriptor);
    if (work != NULL) {
        work->type = tr_wire_slice(work->request.invoke->actor_type);
        work->id = tr_wire_slice(work->request.invoke->actor_id);
        pass_gate(work, start_invoke);
    }
}

/* --- state ---------------------------------------------------------------------------------------------------------- */

static void on_got(struct tr_actor_state_get *get)
{
    struct work *work = TR_CONTAINER_OF(get, struct work, get);
    work->in = IN_NOTHING;
    if (get->err.code != TR_OK) {
        if (get->err.code == TR_ACTOR_STATE_GET || tr_code_name(get->err.code)[0] == '\0') {
            api_call_fail_wrapped(work->call, TR_ACTOR_STATE_GET, "error getting actor state: ", &get->err);
        } else {
            api_call_fail_err(work->call, &get->err);
        }
        return;
    }
    struct tr_buf time = { 0 };
    Tr__Common__StringEntry entry = TR__COMMON__STRING_ENTRY__INIT;
    Tr__Common__StringEntry *entries[] = { &entry };
    Tr__Rt__GetActorStateResponse response = TR__RT__GET_ACTOR_STATE_RESPONSE__INIT;
    if (get->found) {
        TR_WIRE_SET(&response, data, tr_buf_slice(&get->value));
    }
    if (get->found && get->has_expiry) {
        tr_time_add(&time, get->expiry_unix_ms * TR_NS_PER_MS, 0);
        TR_WIRE_SET(&entry, key, TR_SLICE_LIT("ttlExpireTime"));
        TR_WIRE_SET(&entry, value, tr_buf_slice(&time));
        response.n_metadata = 1;
        response.metadata = entries;
    }
    api_call_reply(work->call, &response);
    tr_buf_fini(&time);
}

static void start_get(struct work *work)
{
    work->get.actor_type = work->type;
    work->get.actor_id = work->id;
    work->get.key = tr_wire_slice(work->request.get->key);
    work->get.deadline_ms = tr_rpc_call_deadline_ms(work->call->rpc);
    work->get.cb = on_got;
    work->in = IN_GET;
    tr_actor_state_get_start(engine_of(work), &work->get);
}

static void handle_get_state(struct api_call *call)
{
    struct work *work = work_new(call, &tr__rt__get_actor_state_request__descriptor);
    if (work != NULL && !is_refused(work, work->request.get->actor_type, work->request.get->actor_id)) {
        pass_gate(work, start_get);
    }
}

static void on_transacted(struct tr_actor_state_tx *tx)
{
    struct work *work = TR_CONTAINER_OF(tx, struct work, tx);
    work->in = IN_NOTHING;
    if (tx->err.code == TR_OK) {
        api_call_reply_empty(work->call);
    } else if (tx->err.code == TR_ACTOR_STATE_TX || tr_code_name(tx->err.code)[0] == '\0') {
        api_call_fail_wrapped(work->call, TR_ACTOR_STATE_TX, "error saving actor transaction state: ", &tx->err);
    } else {
        api_call_fail_err(work->call, &tx->err);
    }
}

static void read_op(const Tr__Rt__TransactionalActorStateOperation *from, struct tr_actor_state_op *op)
{
    op->is_delete = tr_slice_eq_str(tr_wire_slice(from->operation_type), "delete");
    op->key = tr_wire_slice(from->key);
    if (from->value != NULL && !op->is_delete) {
        op->value = tr_wire_slice(from->value->value);
    }
    for (size_t i = 0; i < from->n_metadata; i++) {
        if (tr_slice_eq_str(tr_wire_slice(from->metadata[i]->key), "ttlInSeconds")) {
            op->has_ttl = true;
            op->ttl = tr_wire_slice(from->metadata[i]->value);
        }
    }
}

static void start_tx(struct work *work)
{
    const Tr__Rt__ExecuteActorStateTransactionRequest *request = work->request.tx;
    work->ops = tr_xzalloc(request->n_operations * sizeof(*work->ops));
    for (size_t i = 0; i < request->n_operations; i++) {
        const struct tr_slice type = tr_wire_slice(request->operations[i]->operation_type);
        if (!tr_slice_eq_str(type, "upsert") && !tr_slice_eq_str(type, "delete")) {
            struct tr_err err;
            (void)tr_err_set(&err, TR_STATE_BAD_OPERATION, "operation type %.*s not supported", TR_SLICE_ARG(type));
            api_call_fail_reason(work->call, TR_RPC_UNIMPLEMENTED, tr_slice_str(err.msg), tr_code_name(err.code));
            return;
        }
        read_op(request->operations[i], &work->ops[i]);
    }
    work->tx.actor_type = work->type;
    work->tx.actor_id = work->id;
    work->tx.ops = work->ops;
    work->tx.ops_len = request->n_operations;
    work->tx.deadline_ms = tr_rpc_call_deadline_ms(work->call->rpc);
    work->tx.cb = on_transacted;
    work->in = IN_TX;
    tr_actor_state_tx_start(engine_of(work), &work->tx);
}

static void handle_transaction(struct api_call *call)
{
    struct work *work = work_new(call, &tr__rt__execute_actor_state_transaction_request__descriptor);
    if (work != NULL && !is_refused(work, work->request.tx->actor_type, work->request.tx->actor_id)) {
        pass_gate(work, start_tx);
    }
}

/* --- timers and reminders ------------------------------------------------------------------------------------------- */

static bool check_name(struct work *work, struct tr_slice name)
{
    struct tr_err err;
    if (tr_path_check_name(name, &err) == TR_OK) {
        return true;
    }
    api_call_fail_wrapped(work->call, TR_INVALID, "", &err);
    return false;
}

static void create_timer(struct work *work)
{
    const Tr__Rt__RegisterActorTimerRequest *request = work->request.timer;
    struct tr_err err;
    if (!check_name(work, tr_wire_slice(request->name))) {
        return;
    }
    /* Bytes become a JSON string of their base64, and are JSON text from then on. */
    if (request->data.len > 0) {
        tr_buf_add_char(&work->text, '"');
        tr_base64_add(&work->text, tr_wire_slice(request->data));
        tr_buf_add_char(&work->text, '"');
    }
    const struct tr_actor_timer_conf conf = {
        .actor_type = work->type,
        .actor_id = work->id,
        .name = tr_wire_slice(request->name),
        .due_time = tr_wire_slice(request->due_time),
        .period = tr_wire_slice(request->period),
        .ttl = tr_wire_slice(request->ttl),
        .callback = tr_wire_slice(request->callback),
        .data = tr_buf_slice(&work->text),
    };
    if (tr_actor_timer_create(engine_of(work), &conf, &err) != TR_OK) {
        api_call_fail_wrapped(work->call, TR_ACTOR_TIMER_CREATE, "error creating actor timer: ", &err);
        return;
    }
    api_call_reply_empty(work->call);
}

static void handle_create_timer(struct api_call *call)
{
    struct work *work = work_new(call, &tr__rt__register_actor_timer_request__descriptor);
    if (work != NULL && !is_refused(work, work->request.timer->actor_type, work->request.timer->actor_id)) {
        pass_gate(work, create_timer);
    }
}

static void delete_timer(struct work *work)
{
    tr_actor_timer_delete(engine_of(work), work->type, work->id, tr_wire_slice(work->request.name->name));
    api_call_reply_empty(work->call);
}

static void handle_name(struct api_call *call, void (*next)(struct work *work))
{
    struct work *work = work_new(call, &tr__rt__actor_name_request__descriptor);
    if (work != NULL && !is_refused(work, work->request.name->actor_type, work->request.name->actor_id)) {
        pass_gate(work, next);
    }
}

static void handle_delete_timer(struct api_call *call)
{
    handle_name(call, delete_timer);
}

static bool is_hosted(struct work *work)
{
    if (tr_actor_is_hosted(engine_of(work), work->type)) {
        return true;
    }
    api_call_fail(work->call, tr_code_grpc(TR_ACTOR_NOT_HOSTED),
                  TR_SLICE_LIT("operations on actor reminders are only possible on hosted actor types"));
    return false;
}

/* What every reminder operation ends with while no scheduler is configured. */
static void fail_no_scheduler(struct work *work, enum tr_code code, const char *prefix)
{
    struct tr_err err;
    if (is_hosted(work)) {
        (void)tr_err_set(&err, code, "%s", TR_ACTOR_NO_SCHEDULER);
        api_call_fail_wrapped(work->call, code, prefix, &err);
    }
}

static void create_reminder(struct work *work)
{
    const struct tr_slice name = tr_wire_slice(work->request.reminder->name);
    if (name.len == 0) {
        api_call_fail(work->call, TR_RPC_INVALID_ARGUMENT, TR_SLICE_LIT("invalid request: reminder name cannot be empty"));
    } else if (check_name(work, name)) {
        fail_no_scheduler(work, TR_ACTOR_REMINDER_CREATE, "error creating actor reminder: ");
    }
}

static void handle_create_reminder(struct api_call *call)
{
    struct work *work = work_new(call, &tr__rt__register_actor_reminder_request__descriptor);
    if (work != NULL && !is_refused(work, work->request.reminder->actor_type, work->request.reminder->actor_id)) {
        pass_gate(work, create_reminder);
    }
}

static void get_reminder(struct work *work)
{
    fail_no_scheduler(work, TR_ACTOR_REMINDER_GET,
                      "error getting actor reminder: api error: code = Internal desc = failed to get job due to: ");
}

static void handle_get_reminder(struct api_call *call)
{
    handle_name(call, get_reminder);
}

static void delete_reminder(struct work *work)
{
    fail_no_scheduler(work, TR_ACTOR_REMINDER_DELETE, "error deleting actor reminder: ");
}

static void handle_delete_reminder(struct api_call *call)
{
    handle_name(call, delete_reminder);
}

static void handle_type(struct api_call *call, void (*next)(struct work *work))
{
    struct work *work = work_new(call, &tr__rt__actor_type_request__descriptor);
    if (work != NULL && !is_refused(work, work->request.type->actor_type, work->request.type->actor_id)) {
        pass_gate(work, next);
    }
}

static void list_reminders(struct work *work)
{
    fail_no_scheduler(work, TR_ACTOR_REMINDER_GET, "error listing actor reminders: ");
}

static void handle_list_reminders(struct api_call *call)
{
    handle_type(call, list_reminders);
}

static void handle_delete_reminders(struct api_call *call)
{
    handle_type(call, delete_reminder);
}

#define DAPR "/dapr.proto.runtime.v1.Dapr/"

const struct api_grpc_row api_actor_rows[] = {
    { DAPR "InvokeActor", handle_invoke },
    { DAPR "ExecuteActorStateTransaction", handle_transaction },
    { DAPR "GetActorState", handle_get_state },
    { DAPR "RegisterActorTimer", handle_create_timer },
    { DAPR "UnregisterActorTimer", handle_delete_timer },
    { DAPR "RegisterActorReminder", handle_create_reminder },
    { DAPR "GetActorReminder", handle_get_reminder },
    { DAPR "UnregisterActorReminder", handle_delete_reminder },
    { DAPR "ListActorReminders", handle_list_reminders },
    { DAPR "UnregisterActorRemindersByType", handle_delete_reminders },
};
const size_t api_actor_rows_len = TR_ARRAY_LEN(api_actor_rows);
