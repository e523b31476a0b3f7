/*
 * A stream of the client.
 *
 *  OPEN --half_close--> HALF_CLOSED --end of messages--> ENDED --status--> OVER --all came back--> gone
 *     \------------------end of messages, cancel, loss-----^
 *
 * gRPC drops messages that nobody has received yet as soon as it has been asked for the status and that is an error. So
 * the status is asked for only after the end of the messages (or a cancel). To notice that end also when the user is not
 * receiving, one receive of ours is always in flight: it reads one message ahead, and what it brings goes to the user's
 * receive that waits, or is held for the next. While a message is held, the end of the call is not noticed.
 */
#include "invoke/rpc_client_int.h"

#include <stdlib.h>
#include <string.h>

struct tr_rpc_stream_call {
    struct tr_rpc_client_call base;
    struct tr_rpc_stream *user; /* borrowed until its callback */
    struct tr_rpc_flow flow;
    struct tr_rpc_recv ahead;    /* our receive, and what it brought */
    struct tr_rpc_recv *waiting; /* the user's receive */
    struct tr_rpc_op initial_op;
    struct tr_rpc_op status_op;
    struct tr_rpc_op close_op;
    struct tr_rpc_op give_op; /* hands what is held to `waiting` */
    uint8_t ops;              /* of the four above in flight */
    bool is_held;             /* `ahead` has come back and waits for the user */
    bool has_end;             /* it brought the end of the messages, or an error */
    bool has_status_op;       /* the status was asked for */
    bool wants_close;         /* half-close asked for */
    bool has_close;           /* half-close handed over */
    struct tr_err reason;     /* why we cancelled, if it is not the user's wish */
};

/* The final callback, when the status is here and nothing is in flight. The last thing a callback does. */
static void end_if_done(struct tr_rpc_stream_call *call)
{
    if (!call->flow.is_over || call->ops > 0 || call->flow.recv != NULL ||
        call->flow.send != NULL || call->waiting != NULL) {
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
    tr_buf_fini(&call->ahead.message);
    free(call);
    user->call = NULL;
    user->cb(user);
    tr_rpc_channel_call_gone(channel);
}

/* --- status --------------------------------------------------------------------------------------------------------- */

static void on_status(struct tr_rpc_op *op, bool ok)
{
    (void)ok;
    struct tr_rpc_stream_call *call = TR_CONTAINER_OF(op, struct tr_rpc_stream_call, status_op);
    call->ops--;
    call->flow.is_over = true;
    end_if_done(call);
}

static void ask_status(struct tr_rpc_stream_call *call)
{
    struct tr_rpc_client_call *base = &call->base;
    if (call->has_status_op) {
        return;
    }
    call->has_status_op = true;
    grpc_op op = { .op = GRPC_OP_RECV_STATUS_ON_CLIENT };
    op.data.recv_status_on_client.trailing_metadata = &base->trailing;
    op.data.recv_status_on_client.status = &base->status;
    op.data.recv_status_on_client.status_details = &base->message;
    call->ops++;
    tr_rpc_op_batch(base->channel->rpc, base->call, &op, 1, &call->status_op, on_status);
}

/* The call was cancelled: messages not received by now are not waited for. */
static void on_cancelled(struct tr_rpc_client_call *base)
{
    ask_status(TR_CONTAINER_OF(base, struct tr_rpc_stream_call, base));
}

/* --- receiving ------------------------------------------------------------------------------------------------------ */

static void read_ahead(struct tr_rpc_stream_call *call)
{
    tr_assert(!call->has_end);
    call->is_held = false;
    tr_rpc_flow_recv(&call->flow, &call->ahead);
}

/* Give what is held to the user's receive, and read on. The user may do anything but be called back in here. */
static void give(struct tr_rpc_stream_call *call)
{
    struct tr_rpc_recv *recv = call->waiting;
    call->waiting = NULL;
    recv->err = call->ahead.err;
    recv->has_message = call->ahead.has_message;
    tr_buf_move(&recv->message, &call->ahead.message);
    if (!call->has_end) {
        read_ahead(call);
    }
    recv->cb(recv);
}

static void on_ahead(struct tr_rpc_recv *ahead)
{
    struct tr_rpc_stream_call *call = TR_CONTAINER_OF(ahead, struct tr_rpc_stream_call, ahead);
    call->is_held = true;
    if (!ahead->has_message) {
        call->has_end = true;
        ask_status(call);
    }
    if (call->waiting != NULL) {
        give(call);
    }
}

static void on_give(struct tr_rpc_op *op, bool ok)
{
    (void)ok;
    struct tr_rpc_stream_call *call = TR_CONTAINER_OF(op, struct tr_rpc_stream_call, give_op);
    call->ops--;
    give(call);
    end_if_done(call);
}

void tr_rpc_stream_recv_start(struct tr_rpc_stream *stream, struct tr_rpc_recv *recv)
{
    struct tr_rpc_stream_call *call = stream->call;
    tr_assert(call != NULL);
    tr_assert(call->waiting == NULL);
    recv->message = (struct tr_buf){ 0 };
    call->waiting = recv;
    if (call->is_held) {
        call->ops++;
        tr_rpc_op_post(call->base.channel->rpc, &call->give_op, on_give, true);
    }
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

/* --- sending -------------------------------------------------------------------------------------------------------- */

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
    tr_rpc_op_batch(call->base.channel->rpc, call->base.call, &op, 1, &call->close_op,
                    on_half_closed);
}

static void on_flow_idle(struct tr_rpc_flow *flow)
{
    struct tr_rpc_stream_call *call = TR_CONTAINER_OF(flow, struct tr_rpc_stream_call, flow);
    half_close_if_idle(call);
    end_if_done(call);
}

/* --- life ----------------------------------------------------------------------------------------------------------- */

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

static void start_batches(struct tr_rpc_stream_call *call, bool wait_for_ready)
{
    struct tr_rpc_client_call *base = &call->base;
    grpc_op initial[2] = {
        { .op = GRPC_OP_SEND_INITIAL_METADATA, .flags = tr_rpc_initial_flags(wait_for_ready) },
        { .op = GRPC_OP_RECV_INITIAL_METADATA },
    };
    initial[0].data.send_initial_metadata.metadata = base->metadata.pairs;
    initial[0].data.send_initial_metadata.count = base->metadata.len;
    initial[1].data.recv_initial_metadata.recv_initial_metadata = &base->initial;
    call->ops = 1;
    tr_rpc_op_batch(base->channel->rpc, base->call, initial, TR_ARRAY_LEN(initial),
                    &call->initial_op, on_initial);
    read_ahead(call);
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
    call->ahead.cb = on_ahead;
    call->base.on_cancelled = on_cancelled;
    if (call->base.call == NULL) {
        call->flow.is_over = true;
        call->is_held = true;
        call->has_end = true;
        call->ops = 1;
        tr_rpc_op_post(channel->rpc, &call->status_op, on_status, false);
        return;
    }
    start_batches(call, stream->wait_for_ready);
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
