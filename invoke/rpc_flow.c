/*
 * The two directions of a stream: one message at a time each way, the same for client and server.
 *
 * A receive ends with a message or without one. Without one there are two cases, a half-close and a lost call. The client
 * need not tell them apart, its final status does. The server asks gRPC, which knows of most losses at that time; else it
 * waits until the queue has been emptied, because the notice of the loss comes out of it together with the receive; and
 * it looks at the deadline, which another thread of gRPC works on.
 */
#include "invoke/rpc_int.h"

#include <grpc/byte_buffer.h>

/* Read the message that came; sets the outcome. */
static void fill_message(struct tr_rpc_flow *flow, struct tr_rpc_recv *recv)
{
    grpc_byte_buffer *in = flow->in;
    flow->in = NULL;
    const size_t bytes = grpc_byte_buffer_length(in);
    if (bytes > flow->message_bytes_max) {
        grpc_byte_buffer_destroy(in);
        struct tr_buf text = { 0 };
        tr_rpc_text_recv_limit(&text, bytes, flow->message_bytes_max);
        (void)tr_err_set(&recv->err, TR_LIMIT, "%s", tr_buf_cstr(&text));
        tr_buf_fini(&text);
    } else if (!tr_rpc_bytes_take(&recv->message, in)) {
        (void)tr_err_set(&recv->err, TR_INTERNAL,
                         "grpc: failed to decompress the received message");
    } else {
        recv->has_message = true;
    }
    if (recv->err.code != TR_OK && flow->on_bad_message != NULL) {
        flow->on_bad_message(flow, &recv->err);
    }
}

/* Hand the receive back to its user. */
static void finish_recv(struct tr_rpc_flow *flow)
{
    struct tr_rpc_recv *recv = flow->recv;
    flow->recv = NULL;
    recv->cb(recv);
    flow->on_idle(flow);
}

static bool is_past_deadline(const struct tr_rpc_flow *flow)
{
    /* gRPC's clock and ours differ by their rounding. */
    const uint64_t now_ms = tr_loop_clock_us(tr_rpc_loop(flow->rpc)) / 1000 + 2;
    return flow->deadline_ms != 0 && now_ms >= flow->deadline_ms;
}

/* The queue has been emptied since the receive came back without a message. */
static void on_end_settled(struct tr_rpc_op *op, bool ok)
{
    struct tr_rpc_flow *flow = TR_CONTAINER_OF(op, struct tr_rpc_flow, recv_op);
    if (flow->is_server && (!ok || flow->is_canceled || is_past_deadline(flow))) {
        (void)tr_err_set(&flow->recv->err, TR_CANCELED, "the call is over");
    }
    finish_recv(flow);
}

static void on_received(struct tr_rpc_op *op, bool ok)
{
    struct tr_rpc_flow *flow = TR_CONTAINER_OF(op, struct tr_rpc_flow, recv_op);
    if (flow->in != NULL) {
        fill_message(flow, flow->recv);
        finish_recv(flow);
    } else if (flow->is_server && ok && grpc_call_failed_before_recv_message(flow->call) == 0) {
        tr_rpc_op_post(flow->rpc, op, on_end_settled, true);
    } else {
        on_end_settled(op, false);
    }
}

void tr_rpc_flow_recv(struct tr_rpc_flow *flow, struct tr_rpc_recv *recv)
{
    tr_assert(flow->recv == NULL);
    flow->recv = recv;
    recv->message = (struct tr_buf){ 0 };
    recv->err.code = TR_OK;
    recv->has_message = false;
    const grpc_op op = {
        .op = GRPC_OP_RECV_MESSAGE,
        .data.recv_message.recv_message = &flow->in,
    };
    if (flow->is_over) {
        flow->is_canceled = true;
        tr_rpc_op_post(flow->rpc, &flow->recv_op, on_end_settled, true);
        return;
    }
    tr_rpc_op_batch(flow->rpc, flow->call, &op, 1, &flow->recv_op, on_received);
}

static void on_sent(struct tr_rpc_op *op, bool ok)
{
    struct tr_rpc_flow *flow = TR_CONTAINER_OF(op, struct tr_rpc_flow, send_op);
    struct tr_rpc_send *send = flow->send;
    flow->send = NULL;
    if (flow->out != NULL) {
        grpc_byte_buffer_destroy(flow->out);
        flow->out = NULL;
    }
    /* An error set by the start stays. */
    if (!ok && send->err.code == TR_OK) {
        (void)tr_err_set(&send->err, TR_CANCELED, "the call is over");
    }
    send->cb(send);
    flow->on_idle(flow);
}

void tr_rpc_flow_send(struct tr_rpc_flow *flow, struct tr_rpc_send *send)
{
    tr_assert(flow->send == NULL);
    flow->send = send;
    send->err.code = TR_OK;
    if (send->message.len > flow->message_bytes_max) {
        struct tr_buf text = { 0 };
        tr_rpc_text_send_limit(&text, send->message.len, flow->message_bytes_max);
        (void)tr_err_set(&send->err, TR_LIMIT, "%s", tr_buf_cstr(&text));
        tr_buf_fini(&text);
    }
    if (flow->is_over || send->err.code != TR_OK) {
        tr_rpc_op_post(flow->rpc, &flow->send_op, on_sent, false);
        return;
    }
    flow->out = tr_rpc_bytes_new(send->message);
    const grpc_op op = {
        .op = GRPC_OP_SEND_MESSAGE,
        .data.send_message.send_message = flow->out,
    };
    tr_rpc_op_batch(flow->rpc, flow->call, &op, 1, &flow->send_op, on_sent);
}
