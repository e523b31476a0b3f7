/*
 * A stream of the client.
 *
 *  OPEN --half_close--> HALF_CLOSED --peer's status--> OVER --all came back--> gone
 *     \------------------peer's status, cancel, loss-----^
 *
 * In flight are: the exchange of initial metadata (from the start), the status (from the start), at most one send, one
 * receive and the half-close. gRPC gives the status only when all messages before it were received, or at once when the
 * status is an error or the call was cancelled; then messages not yet asked for are lost.
 */
#include "invoke/rpc_client_int.h"

#include <stdlib.h>
#include <string.h>

struct tr_rpc_stream_call {
    struct tr_rpc_client_call base;
    struct tr_rpc_stream *user; /* borrowed until its callback */
    struct tr_rpc_flow flow;
    struct tr_rpc_op initial_op;
    struct tr_rpc_op status_op;
    struct tr_rpc_op close_op;
    uint8_t ops;           /* of the three above in flight */
    bool wants_close;      /* half-close asked for */
    bool has_close;        /* half-close handed over */
    struct tr_err reason;  /* why we cancelled, if it is not the user's wish */
};

/* The final callback, when the status is here and nothing is in flight. The last thing a callback does. */
static void end_if_done(struct tr_rpc_stream_call *call)
{
    if (!call->flow.is_over || call->ops > 0 || call->flow.recv != NULL || call->flow.send != NULL) {
        return;
    }
    struct tr_rpc_stream *user = call->user;
    struct tr_rpc_channel *channel = call->base.channel;
    if (call->reason.code != TR_OK) {
        tr_rpc_client_call_set_status(&call->base, tr_code_grpc(call->reason.code),
                                      tr_slice_str(call->reason.msg));
    }
    tr_rpc_client_call_results(&call->base, &user->status, &user->message, &user->trailing);
    tr_rpc_client_call_fini(&call->base);
    free(call);
    user->call = NULL;
    user->cb(user);
    tr_rpc_channel_call_gone(channel);
}

static void on_half_closed(struct tr_rpc_op *op, bool ok)
{
    (void)ok;
    struct tr_rpc_stream_call *call = TR_CONTAINER_OF(op, struct tr_rpc_stream_call, close_op);
    call->ops--;
    end_if_done(call);
}

static void half_close_if_idle(struct tr_rpc_stream_call *call)
{
    if (!call->wants_close || call->has_close || call->flow.send != NULL || call->flow.is_over) {
        return;
    }
    call->has_close = true;
    const grpc_op op = { .op = GRPC_OP_SEND_CLOSE_FROM_CLIENT };
    call->ops++;
    tr_rpc_op_batch(call->base.channel->rpc, call->base.call, &op, 1, &call->close_op, on_half_closed);
}

static void on_flow_idle(struct tr_rpc_flow *flow)
{
    struct tr_rpc_stream_call *call = TR_CONTAINER_OF(flow, struct tr_rpc_stream_call, flow);
    half_close_if_idle(call);
    end_if_done(call);
}

/* As grpc-go does: the call ends with the error of the message. */
static void on_bad_message(struct tr_rpc_flow *flow, const struct tr_err *err)
{
    struct tr_rpc_stream_call *call = TR_CONTAINER_OF(flow, struct tr_rpc_stream_call, flow);
    if (!flow->is_over) {
        call->reason = *err;
        tr_rpc_client_call_cancel(&call->base);
    }
}

static void on_initial(struct tr_rpc_op *op, bool ok)
{
    struct tr_rpc_stream_call *call = TR_CONTAINER_OF(op, struct tr_rpc_stream_call, initial_op);
    struct tr_rpc_stream *user = call->user;
    call->ops--;
    if (ok) {
        tr_rpc_md_take(&user->initial, &call->base.initial);
        if (user->on_initial != NULL) {
            user->on_initial(user);
        }
    }
    end_if_done(call);
}

static void on_status(struct tr_rpc_op *op, bool ok)
{
    (void)ok;
    struct tr_rpc_stream_call *call = TR_CONTAINER_OF(op, struct tr_rpc_stream_call, status_op);
    call->ops--;
    call->flow.is_over = true;
    end_if_done(call);
}

static void start_batches(struct tr_rpc_stream_call *call, bool wait_for_ready)
{
    struct tr_rpc_client_call *base = &call->base;
    struct tr_rpc *rpc = base->channel->rpc;
    grpc_op status = { .op = GRPC_OP_RECV_STATUS_ON_CLIENT };
    status.data.recv_status_on_client.trailing_metadata = &base->trailing;
    status.data.recv_status_on_client.status = &base->status;
    status.data.recv_status_on_client.status_details = &base->message;
    grpc_op initial[2] = {
        { .op = GRPC_OP_SEND_INITIAL_METADATA, .flags = tr_rpc_initial_flags(wait_for_ready) },
        { .op = GRPC_OP_RECV_INITIAL_METADATA },
    };
    initial[0].data.send_initial_metadata.metadata = base->metadata.pairs;
    initial[0].data.send_initial_metadata.count = base->metadata.len;
    initial[1].data.recv_initial_metadata.recv_initial_metadata = &base->initial;
    call->ops = 2;
    tr_rpc_op_batch(rpc, base->call, initial, TR_ARRAY_LEN(initial), &call->initial_op, on_initial);
    tr_rpc_op_batch(rpc, base->call, &status, 1, &call->status_op, on_status);
}

void tr_rpc_stream_start(struct tr_rpc_channel *channel, struct tr_rpc_stream *stream)
{
    struct tr_rpc_stream_call *call = tr_xzalloc(sizeof(*call));
    const struct tr_rpc_client_call_conf conf = {
        .path = stream->path,
        .authority = stream->authority,
        .metadata = stream->metadata,
        .deadline_ms = stream->deadline_ms,
    };
    call->user = stream;
    stream->call = call;
    stream->message = (struct tr_buf){ 0 };
    stream->initial = (struct tr_rpc_md){ 0 };
    stream->trailing = (struct tr_rpc_md){ 0 };
    tr_rpc_client_call_init(&call->base, channel, &conf);
    call->flow = (struct tr_rpc_flow){
        .rpc = channel->rpc,
        .call = call->base.call,
        .message_bytes_max = channel->message_bytes_max,
        .on_bad_message = on_bad_message,
        .on_idle = on_flow_idle,
    };
    if (call->base.call == NULL) {
        call->flow.is_over = true;
        call->ops = 1;
        tr_rpc_op_post(channel->rpc, &call->status_op, on_status, false);
        return;
    }
    start_batches(call, stream->wait_for_ready);
}

void tr_rpc_stream_recv_start(struct tr_rpc_stream *stream, struct tr_rpc_recv *recv)
{
    tr_assert(stream->call != NULL);
    tr_rpc_flow_recv(&stream->call->flow, recv);
}

void tr_rpc_stream_send_start(struct tr_rpc_stream *stream, struct tr_rpc_send *send)
{
    tr_assert(stream->call != NULL);
    tr_assert(!stream->call->wants_close);
    tr_rpc_flow_send(&stream->call->flow, send);
}

void tr_rpc_stream_half_close(struct tr_rpc_stream *stream)
{
    tr_assert(stream->call != NULL);
    tr_assert(!stream->call->wants_close);
    stream->call->wants_close = true;
    half_close_if_idle(stream->call);
}

void tr_rpc_stream_cancel(struct tr_rpc_stream *stream)
{
    tr_assert(stream->call != NULL);
    tr_rpc_client_call_cancel(&stream->call->base);
}

void tr_rpc_stream_fini(struct tr_rpc_stream *stream)
{
    tr_assert(stream->call == NULL);
    tr_buf_fini(&stream->message);
    tr_rpc_md_fini(&stream->initial);
    tr_rpc_md_fini(&stream->trailing);
}
