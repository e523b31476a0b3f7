/* Calls to actors on other sidecars. */
#include "runtime/actor/remote.h"

#include <stdlib.h>

#include "invoke/headers.h"
#include "proto/wire.h"
#include "runtime/app/forward.h"

#define BYTES_VALUE_URL "type.googleapis.com/google.protobuf.BytesValue"
#define API_VERSION_V1  1

struct remote {
    struct tr_remote_call *call; /* borrowed */
    struct tr_rpc_unary unary;
    struct tr_defer failed; /* there is no channel to the peer */
    bool is_failed;
};

/* The call's headers, with the chain id and the content type where the engine keeps them apart. */
static void make_metadata(const struct tr_actor_call *call, struct tr_header_map *map)
{
    const size_t headers_len = call->headers == NULL ? 0 : tr_http_headers_len(call->headers);
    tr_header_map_init(map, headers_len + 2);
    for (size_t i = 0; i < headers_len; i++) {
        const struct tr_http_header header = tr_http_headers_at(call->headers, i);
        if (call->chain_id.len == 0 || !tr_slice_eq_nocase(header.name, TR_SLICE_LIT("dapr-reentrancy-id"))) {
            tr_header_map_add(map, header.name, header.value);
        }
    }
    if (call->chain_id.len > 0) {
        tr_header_map_add(map, TR_SLICE_LIT("Dapr-Reentrancy-Id"), call->chain_id);
    }
    if (call->content_type.len > 0 && !tr_header_map_has(map, TR_SLICE_LIT("content-type"))) {
        tr_header_map_add(map, TR_SLICE_LIT("Content-Type"), call->content_type);
    }
}

/* --- requests ------------------------------------------------------------------------------------------------------- */

static void pack_method(const struct tr_actor_call *call, struct tr_buf *out)
{
    struct tr_header_map metadata;
    make_metadata(call, &metadata);
    Tr__Internals__Actor actor = TR__INTERNALS__ACTOR__INIT;
    TR_WIRE_SET(&actor, actor_type, call->actor_type);
    TR_WIRE_SET(&actor, actor_id, call->actor_id);
    Tr__Common__Any data = TR__COMMON__ANY__INIT;
    TR_WIRE_SET(&data, value, call->body);
    Tr__Common__HTTPExtension http = TR__COMMON__HTTPEXTENSION__INIT;
    http.has_verb = true;
    http.verb = TR__COMMON__HTTPEXTENSION__VERB__POST;
    TR_WIRE_SET(&http, querystring, call->query);
    Tr__Common__InvokeRequest message = TR__COMMON__INVOKE_REQUEST__INIT;
    TR_WIRE_SET(&message, method, call->name);
    TR_WIRE_SET(&message, content_type, call->content_type);
    message.data = &data;
    message.http_extension = &http;
    Tr__Internals__InternalInvokeRequest request = TR__INTERNALS__INTERNAL_INVOKE_REQUEST__INIT;
    request.has_ver = true;
    request.ver = API_VERSION_V1;
    request.n_metadata = metadata.len;
    request.metadata = metadata.entries;
    request.message = &message;
    request.actor = &actor;
    tr_wire_pack(&request, out);
    tr_header_map_fini(&metadata);
}

static void pack_firing(const struct tr_actor_call *call, struct tr_buf *out)
{
    struct tr_buf value = { 0 };
    Tr__Common__BytesValue bytes = TR__COMMON__BYTES_VALUE__INIT;
    TR_WIRE_SET(&bytes, value, call->body);
    tr_wire_pack(&bytes, &value);
    Tr__Common__Any data = TR__COMMON__ANY__INIT;
    TR_WIRE_SET(&data, type_url, TR_SLICE_LIT(BYTES_VALUE_URL));
    TR_WIRE_SET(&data, value, tr_buf_slice(&value));
    Tr__Internals__Reminder reminder = TR__INTERNALS__REMINDER__INIT;
    TR_WIRE_SET(&reminder, actor_type, call->actor_type);
    TR_WIRE_SET(&reminder, actor_id, call->actor_id);
    TR_WIRE_SET(&reminder, name, call->name);
    TR_WIRE_SET(&reminder, period, call->period);
    TR_WIRE_SET(&reminder, due_time, call->due_time);
    reminder.data = call->body.len > 0 ? &data : NULL;
    reminder.has_is_timer = call->kind == TR_ACTOR_TIMER;
    reminder.is_timer = call->kind == TR_ACTOR_TIMER;
    tr_wire_pack(&reminder, out);
    tr_buf_fini(&value);
}

/* --- answers -------------------------------------------------------------------------------------------------------- */

static void take_response(struct tr_remote_call *call, const Tr__Internals__InternalInvokeResponse *response)
{
    call->status = response->status != NULL ? response->status->code : 0;
    /* What an app answers beyond the limit is left out, here as everywhere. */
    (void)tr_header_map_read(response->headers, response->n_headers, TR_FORWARD_HEADERS_MAX, &call->headers_out);
    if (response->message == NULL) {
        return;
    }
    tr_buf_add(&call->content_type_out, tr_wire_slice(response->message->content_type));
    if (response->message->data != NULL) {
        tr_buf_add(&call->body_out, tr_wire_slice(response->message->data->value));
    }
}

static void take_answer(struct tr_remote_call *call, struct tr_rpc_unary *unary)
{
    ProtobufCMessage *message = NULL;
    struct tr_err err;
    if (tr_wire_unpack(&tr__internals__internal_invoke_response__descriptor, tr_buf_slice(&unary->response), &message,
                       &err) != TR_OK) {
        call->grpc_status = TR_RPC_INTERNAL;
        tr_buf_add_str(&call->message, err.msg);
        return;
    }
    take_response(call, (const Tr__Internals__InternalInvokeResponse *)message);
    tr_wire_free(message);
}

static void on_answer(struct tr_rpc_unary *unary)
{
    struct remote *remote = TR_CONTAINER_OF(unary, struct remote, unary);
    struct tr_remote_call *call = remote->call;
    struct tr_slice details;
    call->grpc_status = unary->status;
    if (unary->status != TR_RPC_OK) {
        tr_buf_move(&call->message, &unary->message);
        if (tr_rpc_md_get(&unary->trailing, "grpc-status-details-bin", &details)) {
            tr_buf_add(&call->details, details);
        }
    } else if (call->call->kind == TR_ACTOR_METHOD) {
        take_answer(call, unary);
    } else {
        call->status = 200;
    }
    tr_rpc_unary_fini(unary);
    free(remote);
    call->impl = NULL;
    call->cb(call);
}

static void on_failed(struct tr_defer *defer)
{
    struct remote *remote = TR_CONTAINER_OF(defer, struct remote, failed);
    struct tr_remote_call *call = remote->call;
    free(remote);
    call->impl = NULL;
    call->cb(call);
}

static void fail_later(struct tr_peers *peers, struct remote *remote, const struct tr_err *err)
{
    remote->is_failed = true;
    remote->call->grpc_status = TR_RPC_UNAVAILABLE;
    tr_buf_add_str(&remote->call->message, err->msg);
    tr_defer(tr_peers_loop(peers), &remote->failed, on_failed);
}

static void on_start(void *ctx, struct tr_remote_call *call)
{
    struct tr_peers *peers = ctx;
    struct remote *remote = tr_xzalloc(sizeof(*remote));
    struct tr_buf request = { 0 };
    struct tr_rpc_channel *channel = NULL;
    struct tr_err err;
    remote->call = call;
    call->impl = remote;
    call->grpc_status = 0;
    call->status = 0;
    call->message = (struct tr_buf){ 0 };
    call->details = (struct tr_buf){ 0 };
    call->headers_out = (struct tr_http_headers){ 0 };
    call->content_type_out = (struct tr_buf){ 0 };
    call->body_out = (struct tr_buf){ 0 };
    remote->unary = (struct tr_rpc_unary){ .deadline_ms = call->deadline_ms, .cb = on_answer };
    if (call->call->kind == TR_ACTOR_METHOD) {
        remote->unary.path = TR_SLICE_LIT(TR_PATH_CALL_ACTOR);
        pack_method(call->call, &request);
    } else {
        remote->unary.path = TR_SLICE_LIT(TR_PATH_CALL_ACTOR_REMINDER);
        pack_firing(call->call, &request);
    }
    remote->unary.request = tr_buf_slice(&request);
    if (tr_peers_channel(peers, call->address, &channel, &err) != TR_OK) {
        fail_later(peers, remote, &err);
    } else {
        tr_rpc_unary_start(channel, &remote->unary);
    }
    tr_buf_fini(&request);
}

static void on_cancel(void *ctx, struct tr_remote_call *call)
{
    struct remote *remote = call->impl;
    (void)ctx;
    if (!remote->is_failed) {
        tr_rpc_unary_cancel(&remote->unary);
    }
}

struct tr_actor_remote tr_actor_remote_over(struct tr_peers *peers)
{
    return (struct tr_actor_remote){ .start = on_start, .cancel = on_cancel, .ctx = peers };
}
