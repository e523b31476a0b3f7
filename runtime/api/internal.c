/*
 * What other sidecars call: CallActor and CallActorReminder of dapr.proto.internals.v1.ServiceInvocation. A call that
 * came from a sidecar is not passed on to another one.
 * Source: Dapr pkg/api/grpc/callactor.go (1.18); actors 10.2.
 */
#include <stdlib.h>

#include "invoke/headers.h"
#include "proto/wire.h"
#include "runtime/actor/remote.h"
#include "runtime/api/api_int.h"
#include "runtime/app/forward.h"

struct work {
    struct tr_api *api;      /* borrowed */
    struct tr_rpc_call *rpc; /* borrowed */
    struct tr_rpc_watch watch;
    ProtobufCMessage *request; /* owned */
    struct tr_http_headers headers; /* of a method's call */
    struct tr_buf method;           /* the same, clean */
    struct tr_buf data;             /* of a reminder or timer, as JSON text */
    struct tr_actor_wait gate;
    struct tr_actor_call call;
    enum { IN_NOTHING, IN_GATE, IN_CALL } in;
};

static void on_cancel(struct tr_rpc_watch *watch)
{
    struct work *work = TR_CONTAINER_OF(watch, struct work, watch);
    if (work->in == IN_GATE) {
        tr_actor_wait_cancel(&work->gate);
    } else if (work->in == IN_CALL) {
        tr_actor_call_cancel(&work->call);
    }
}

static void on_close(struct tr_rpc_watch *watch)
{
    struct work *work = TR_CONTAINER_OF(watch, struct work, watch);
    tr_wire_free(work->request);
    tr_http_headers_fini(&work->headers);
    tr_buf_fini(&work->method);
    tr_buf_fini(&work->data);
    tr_actor_call_fini(&work->call);
    work->api->open_len--;
    free(work);
}

/* --- answers -------------------------------------------------------------------------------------------------------- */

static void reply_answer(struct work *work)
{
    const struct tr_actor_call *call = &work->call;
    struct tr_header_map headers;
    tr_header_map_init(&headers, tr_http_headers_len(&call->headers_out));
    tr_header_map_add_all(&headers, &call->headers_out);
    Tr__Internals__Status status = TR__INTERNALS__STATUS__INIT;
    Tr__Common__Any data = TR__COMMON__ANY__INIT;
    Tr__Common__InvokeResponse message = TR__COMMON__INVOKE_RESPONSE__INIT;
    Tr__Internals__InternalInvokeResponse response = TR__INTERNALS__INTERNAL_INVOKE_RESPONSE__INIT;
    struct tr_buf bytes = { 0 };
    status.has_code = true;
    status.code = 200;
    TR_WIRE_SET(&data, value, tr_buf_slice(&call->body_out));
    message.data = &data;
    TR_WIRE_SET(&message, content_type, tr_buf_slice(&call->content_type_out));
    response.status = &status;
    response.n_headers = headers.len;
    response.headers = headers.entries;
    response.message = &message;
    tr_wire_pack(&response, &bytes);
    tr_rpc_call_reply(work->rpc, tr_buf_slice(&bytes));
    tr_buf_fini(&bytes);
    tr_header_map_fini(&headers);
}

static void on_called(struct tr_actor_call *call)
{
    struct work *work = TR_CONTAINER_OF(call, struct work, call);
    work->in = IN_NOTHING;
    if (call->outcome == TR_ACTOR_ANSWERED && call->kind == TR_ACTOR_METHOD) {
        reply_answer(work);
        return;
    }
    if (call->outcome == TR_ACTOR_ANSWERED) {
        tr_rpc_call_reply(work->rpc, TR_SLICE_LIT(""));
        return;
    }
    struct tr_actor_failure failure = { 0 };
    if (call->kind == TR_ACTOR_METHOD || call->outcome == TR_ACTOR_STATUS) {
        tr_actor_failure_grpc(call, &failure);
    } else {
        failure.grpc_status = TR_RPC_UNKNOWN;
        tr_actor_failure_cause(call, &failure.message);
    }
    if (call->details.len > 0) {
        tr_rpc_md_add(tr_rpc_call_trailing(work->rpc), TR_SLICE_LIT("grpc-status-details-bin"),
                      tr_buf_slice(&call->details));
    }
    tr_rpc_call_fail(work->rpc, failure.grpc_status, tr_buf_slice(&failure.message));
    tr_buf_fini(&failure.message);
}

/* --- the way in ----------------------------------------------------------------------------------------------------- */

static void start_call(struct work *work)
{
    work->call.is_internal = true;
    work->call.deadline_ms = tr_rpc_call_deadline_ms(work->rpc);
    work->call.cb = on_called;
    work->in = IN_CALL;
    tr_actor_call_start(work->api->conf.engine, &work->call);
}

static void on_gate(struct tr_actor_wait *gate)
{
    struct work *work = TR_CONTAINER_OF(gate, struct work, gate);
    work->in = IN_NOTHING;
    if (gate->err.code != TR_OK) {
        tr_rpc_call_fail_err(work->rpc, &gate->err);
        return;
    }
    start_call(work);
}

static void pass_gate(struct work *work)
{
    struct tr_err err;
    switch (tr_actor_gate(work->api->conf.engine, &err)) {
    case TR_ACTOR_GATE_OPEN:
        start_call(work);
        return;
    case TR_ACTOR_GATE_FAILED:
        tr_rpc_call_fail_err(work->rpc, &err);
        return;
    case TR_ACTOR_GATE_SHUT:
        break;
    }
    work->gate.cb = on_gate;
    work->gate.deadline_ms = tr_rpc_call_deadline_ms(work->rpc);
    work->in = IN_GATE;
    tr_actor_wait_start(work->api->conf.engine, &work->gate);
}

/* Decode the request; NULL: the call has been answered. */
static struct work *work_new(struct tr_api *api, struct tr_rpc_call *rpc, const ProtobufCMessageDescriptor *descriptor)
{
    struct work *work = tr_xzalloc(sizeof(*work));
    struct tr_err err;
    work->api = api;
    work->rpc = rpc;
    work->watch.on_cancel = on_cancel;
    work->watch.on_close = on_close;
    api->open_len++;
    tr_rpc_call_watch(rpc, &work->watch);
    if (tr_wire_unpack(descriptor, tr_buf_slice(tr_rpc_call_request(rpc)), &work->request, &err) != TR_OK) {
        tr_rpc_call_fail(rpc, TR_RPC_INTERNAL, tr_slice_str(err.msg));
        return NULL;
    }
    return work;
}

/* A peer has checked names and method as we do; one that has not must not reach another path of the app. */
static enum tr_code check_names(struct work *work, const Tr__Internals__InternalInvokeRequest *request,
                                struct tr_err *err)
{
    if (tr_path_check_name(tr_wire_slice(request->actor->actor_type), err) != TR_OK) {
        return tr_err_wrap(err, "invalid actorType");
    }
    if (tr_path_check_name(tr_wire_slice(request->actor->actor_id), err) != TR_OK) {
        return tr_err_wrap(err, "invalid actorId");
    }
    if (tr_path_clean_method(tr_wire_slice(request->message->method), &work->method, err) != TR_OK) {
        return tr_err_wrap(err, "invalid actor method");
    }
    return TR_OK;
}

static enum tr_code take_call(struct work *work, const Tr__Internals__InternalInvokeRequest *request,
                              struct tr_err *err)
{
    struct tr_actor_call *call = &work->call;
    if (request->actor == NULL || request->message == NULL) {
        return tr_err_set(err, TR_INVALID, "request names no actor or has no message");
    }
    if (!tr_header_map_read(request->metadata, request->n_metadata, TR_FORWARD_HEADERS_MAX, &work->headers)) {
        return tr_err_set(err, TR_LIMIT, "request has more than %u metadata values", TR_FORWARD_HEADERS_MAX);
    }
    const enum tr_code rc = check_names(work, request, err);
    if (rc != TR_OK) {
        return rc;
    }
    call->kind = TR_ACTOR_METHOD;
    call->actor_type = tr_wire_slice(request->actor->actor_type);
    call->actor_id = tr_wire_slice(request->actor->actor_id);
    call->name = tr_buf_slice(&work->method);
    call->headers = &work->headers;
    call->chain_id = tr_http_headers_value(&work->headers, "Dapr-Reentrancy-Id");
    call->content_type = tr_wire_slice(request->message->content_type);
    if (request->message->data != NULL) {
        call->body = tr_wire_slice(request->message->data->value);
    }
    if (request->message->http_extension != NULL) {
        call->query = tr_wire_slice(request->message->http_extension->querystring);
    }
    return TR_OK;
}

static void on_call_actor(void *ctx, struct tr_rpc_call *rpc)
{
    struct work *work = work_new(ctx, rpc, &tr__internals__internal_invoke_request__descriptor);
    struct tr_err err;
    if (work == NULL) {
        return;
    }
    if (take_call(work, (const Tr__Internals__InternalInvokeRequest *)work->request, &err) != TR_OK) {
        tr_rpc_call_fail_err(rpc, &err);
        return;
    }
    pass_gate(work);
}

static enum tr_code take_firing(struct work *work, const Tr__Internals__Reminder *request, struct tr_err *err)
{
    struct tr_actor_call *call = &work->call;
    if (request->data != NULL) {
        ProtobufCMessage *bytes = NULL;
        const enum tr_code rc = tr_wire_unpack(&tr__common__bytes_value__descriptor,
                                               tr_wire_slice(request->data->value), &bytes, err);
        if (rc != TR_OK) {
            return rc;
        }
        tr_buf_add(&work->data, tr_wire_slice(((const Tr__Common__BytesValue *)bytes)->value));
        tr_wire_free(bytes);
    }
    call->kind = request->is_timer ? TR_ACTOR_TIMER : TR_ACTOR_REMINDER;
    call->actor_type = tr_wire_slice(request->actor_type);
    call->actor_id = tr_wire_slice(request->actor_id);
    call->name = tr_wire_slice(request->name);
    call->body = tr_buf_slice(&work->data);
    call->due_time = tr_wire_slice(request->due_time);
    call->period = tr_wire_slice(request->period);
    return tr_path_check_name(call->name, err);
}

/* Failures without a status are told as UNKNOWN with the plain text: actors 10.2. */
static void on_call_reminder(void *ctx, struct tr_rpc_call *rpc)
{
    struct work *work = work_new(ctx, rpc, &tr__internals__reminder__descriptor);
    struct tr_err err;
    if (work == NULL) {
        return;
    }
    if (take_firing(work, (const Tr__Internals__Reminder *)work->request, &err) != TR_OK) {
        tr_rpc_call_fail(rpc, TR_RPC_UNKNOWN, tr_slice_str(err.msg));
        return;
    }
    pass_gate(work);
}

/* Only the workflow engine streams; actors of apps do not. */
static void on_call_stream(void *ctx, struct tr_rpc_call *rpc)
{
    (void)ctx;
    tr_rpc_call_finish(rpc, TR_RPC_INTERNAL, TR_SLICE_LIT("not implemented"));
}

void tr_api_internal_add(struct tr_api *api, struct tr_rpc_server *server)
{
    const struct tr_rpc_method methods[] = {
        { .path = TR_PATH_CALL_ACTOR, .handler = on_call_actor, .ctx = api },
        { .path = TR_PATH_CALL_ACTOR_REMINDER, .handler = on_call_reminder, .ctx = api },
        { .path = "/dapr.proto.internals.v1.ServiceInvocation/CallActorStream",
          .is_stream = true,
          .handler = on_call_stream,
          .ctx = api },
    };
    for (size_t i = 0; i < TR_ARRAY_LEN(methods); i++) {
        tr_rpc_server_add(server, &methods[i]);
    }
}
