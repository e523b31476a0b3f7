/*
 * A unary call of the client: six operations in one batch, one event when all are done.
 *
 * Receiving the initial metadata is among them even where nobody wants it: without it gRPC reports a call that the
 * server has cancelled only at its deadline.
 */
#include "invoke/rpc_client_int.h"

#include <stdlib.h>
#include <string.h>

#include <grpc/byte_buffer.h>

struct tr_rpc_unary_call {
    struct tr_rpc_client_call base;
    struct tr_rpc_unary *user; /* borrowed until its callback */
    struct tr_rpc_op op;
    grpc_byte_buffer *request;  /* owned */
    grpc_byte_buffer *response; /* from gRPC */
};

/* Fit the outcome into the status: an answer that cannot be used is an error of its own. */
static void take_response(struct tr_rpc_unary_call *call)
{
    struct tr_rpc_client_call *base = &call->base;
    grpc_byte_buffer *response = call->response;
    call->response = NULL;
    if (base->status != GRPC_STATUS_OK) {
        if (response != NULL) {
            grpc_byte_buffer_destroy(response);
        }
        return;
    }
    if (response == NULL) {
        tr_rpc_client_call_set_status(
            base, TR_RPC_INTERNAL, TR_SLICE_LIT("received no response message from a unary call"));
        return;
    }
    const size_t bytes = grpc_byte_buffer_length(response);
    if (bytes > base->channel->message_bytes_max) {
        grpc_byte_buffer_destroy(response);
        struct tr_buf text = { 0 };
        tr_rpc_text_recv_limit(&text, bytes, base->channel->message_bytes_max);
        tr_rpc_client_call_set_status(base, TR_RPC_RESOURCE_EXHAUSTED, tr_buf_slice(&text));
        tr_buf_fini(&text);
        return;
    }
    if (!tr_rpc_bytes_take(&call->user->response, response)) {
        tr_rpc_client_call_set_status(
            base, TR_RPC_INTERNAL, TR_SLICE_LIT("grpc: failed to decompress the received message"));
    }
}

static void on_done(struct tr_rpc_op *op, bool ok)
{
    (void)ok;
    struct tr_rpc_unary_call *call = TR_CONTAINER_OF(op, struct tr_rpc_unary_call, op);
    struct tr_rpc_unary *user = call->user;
    struct tr_rpc_channel *channel = call->base.channel;
    take_response(call);
    tr_rpc_md_take(&user->initial, &call->base.initial);
    tr_rpc_client_call_results(&call->base, &user->status, &user->message, &user->trailing);
    tr_rpc_client_call_fini(&call->base);
    if (call->request != NULL) {
        grpc_byte_buffer_destroy(call->request);
    }
    free(call);
    user->call = NULL;
    user->cb(user);
    tr_rpc_channel_call_gone(channel);
}

static void start_batch(struct tr_rpc_unary_call *call, bool wait_for_ready)
{
    struct tr_rpc_client_call *base = &call->base;
    grpc_op ops[6] = {
        { .op = GRPC_OP_SEND_INITIAL_METADATA, .flags = tr_rpc_initial_flags(wait_for_ready) },
        { .op = GRPC_OP_SEND_MESSAGE },
        { .op = GRPC_OP_SEND_CLOSE_FROM_CLIENT },
        { .op = GRPC_OP_RECV_INITIAL_METADATA },
        { .op = GRPC_OP_RECV_MESSAGE },
        { .op = GRPC_OP_RECV_STATUS_ON_CLIENT },
    };
    ops[0].data.send_initial_metadata.metadata = base->metadata.pairs;
    ops[0].data.send_initial_metadata.count = base->metadata.len;
    ops[1].data.send_message.send_message = call->request;
    ops[3].data.recv_initial_metadata.recv_initial_metadata = &base->initial;
    ops[4].data.recv_message.recv_message = &call->response;
    ops[5].data.recv_status_on_client.trailing_metadata = &base->trailing;
    ops[5].data.recv_status_on_client.status = &base->status;
    ops[5].data.recv_status_on_client.status_details = &base->message;
    tr_rpc_op_batch(base->channel->rpc, base->call, ops, TR_ARRAY_LEN(ops), &call->op, on_done);
}

/* The request is above the limit: end the call without gRPC. Source: google.golang.org/grpc stream.go, SendMsg. */
static void refuse_large(struct tr_rpc_unary_call *call, size_t bytes)
{
    struct tr_buf text = { 0 };
    tr_rpc_text_send_limit(&text, bytes, call->base.channel->message_bytes_max);
    tr_rpc_client_call_set_status(&call->base, TR_RPC_RESOURCE_EXHAUSTED, tr_buf_slice(&text));
    tr_buf_fini(&text);
}

void tr_rpc_unary_start(struct tr_rpc_channel *channel, struct tr_rpc_unary *unary)
{
    struct tr_rpc_unary_call *call = tr_xzalloc(sizeof(*call));
    const struct tr_rpc_client_call_conf conf = {
        .path = unary->path,
        .authority = unary->authority,
        .metadata = unary->metadata,
        .deadline_ms = unary->deadline_ms,
    };
    call->user = unary;
    unary->call = call;
    unary->message = (struct tr_buf){ 0 };
    unary->response = (struct tr_buf){ 0 };
    unary->initial = (struct tr_rpc_md){ 0 };
    unary->trailing = (struct tr_rpc_md){ 0 };
    tr_rpc_client_call_init(&call->base, channel, &conf);
    if (call->base.call != NULL && unary->request.len > channel->message_bytes_max) {
        refuse_large(call, unary->request.len);
        tr_rpc_op_post(channel->rpc, &call->op, on_done, false);
    } else if (call->base.call == NULL) {
        tr_rpc_op_post(channel->rpc, &call->op, on_done, false);
    } else {
        call->request = tr_rpc_bytes_new(unary->request);
        start_batch(call, unary->wait_for_ready);
    }
}

void tr_rpc_unary_cancel(struct tr_rpc_unary *unary)
{
    tr_assert(unary->call != NULL);
    tr_rpc_client_call_cancel(&unary->call->base);
}

void tr_rpc_unary_fini(struct tr_rpc_unary *unary)
{
    tr_assert(unary->call == NULL);
    tr_buf_fini(&unary->message);
    tr_buf_fini(&unary->response);
    tr_rpc_md_fini(&unary->initial);
    tr_rpc_md_fini(&unary->trailing);
}
