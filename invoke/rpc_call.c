/*
 * One call at a server.
 *
 *  ACCEPTED --(unary: request)--> OPEN --reply, fail, finish--> ENDING --> gone
 *      |                                                          ^
 *      +------ no handler, no request, too large, too many -------+
 *
 * gRPC has up to four operations of a call in flight: the close notice (from arrival to the end), a receive, a send,
 * and the final status. The call is gone when its status has been handed over and none is left. A cancellation shows as
 * the close notice while the call is not ENDING: the handler is told, and must still end the call. A status cannot
 * overtake a send in flight: it waits for it.
 */
#include "invoke/rpc_server_int.h"

#include <stdlib.h>
#include <string.h>

#include <grpc/byte_buffer.h>
#include <grpc/grpc_security.h>
#include <grpc/grpc_security_constants.h>
#include <grpc/slice.h>

struct tr_rpc_call {
    struct tr_rpc_server *server; /* borrowed */
    struct tr_link link;
    grpc_call *call;            /* owned */
    struct tr_rpc_watch *watch; /* borrowed, may be NULL */
    const struct tr_rpc_method *method; /* borrowed; NULL when the call is refused */
    struct tr_buf path;
    struct tr_buf authority;
    struct tr_buf peer;
    struct tr_buf spiffe;
    struct tr_rpc_md metadata;
    uint64_t deadline_ms;
    struct tr_rpc_alarm alarm;

    struct tr_rpc_flow flow;
    struct tr_rpc_recv request; /* of a unary call */

    struct tr_rpc_md initial;
    struct tr_rpc_md trailing;
    struct tr_rpc_md_out initial_out;
    struct tr_rpc_md_out trailing_out;
    grpc_byte_buffer *reply;
    grpc_slice message; /* of the status */
    int status;

    struct tr_rpc_op close_op;
    struct tr_rpc_op initial_op;
    struct tr_rpc_op status_op;
    int cancelled; /* written by gRPC */
    uint8_t ops;   /* close, initial and status operations in flight */
    bool is_unary;
    bool has_initial; /* initial metadata was handed over */
    bool is_ended;    /* the handler, or we for it, ended the call */
    bool has_status;  /* the status was handed over */
    bool is_canceled;
};

static const struct tr_slice no_text = { NULL, 0 };

/* --- the end ------------------------------------------------------------------------------------------------------ */

static void call_free(struct tr_rpc_call *call)
{
    tr_rpc_alarm_stop(&call->alarm);
    tr_rpc_md_out_fini(&call->initial_out);
    tr_rpc_md_out_fini(&call->trailing_out);
    if (call->reply != NULL) {
        grpc_byte_buffer_destroy(call->reply);
    }
    grpc_slice_unref(call->message);
    grpc_call_unref(call->call);
    tr_rpc_md_fini(&call->metadata);
    tr_rpc_md_fini(&call->initial);
    tr_rpc_md_fini(&call->trailing);
    tr_buf_fini(&call->request.message);
    tr_buf_fini(&call->path);
    tr_buf_fini(&call->authority);
    tr_buf_fini(&call->peer);
    tr_buf_fini(&call->spiffe);
    free(call);
}

/* If nothing is left to wait for, say goodbye and free the call. The last thing a callback does. */
static void end_if_done(struct tr_rpc_call *call)
{
    if (!call->has_status || call->ops > 0 || call->flow.recv != NULL || call->flow.send != NULL) {
        return;
    }
    struct tr_rpc_server *server = call->server;
    struct tr_rpc_watch *watch = call->watch;
    tr_link_remove(&call->link);
    /* The call's properties stay readable for the watch; its slices are borrowed "until on_close". */
    if (watch != NULL && watch->on_close != NULL) {
        watch->on_close(watch);
    }
    call_free(call);
    tr_rpc_server_call_gone(server);
}

static void on_status_sent(struct tr_rpc_op *op, bool ok)
{
    (void)ok;
    struct tr_rpc_call *call = TR_CONTAINER_OF(op, struct tr_rpc_call, status_op);
    call->ops--;
    end_if_done(call);
}

/* Fill the operation that sends the initial metadata. */
static void put_initial(struct tr_rpc_call *call, grpc_op *op)
{
    tr_assert(!call->has_initial);
    call->has_initial = true;
    tr_rpc_md_out_init(&call->initial_out, &call->initial);
    op->op = GRPC_OP_SEND_INITIAL_METADATA;
    op->data.send_initial_metadata.metadata = call->initial_out.pairs;
    op->data.send_initial_metadata.count = call->initial_out.len;
}

/* Hand reply and status over to gRPC. No send may be in flight. */
static void send_status(struct tr_rpc_call *call)
{
    tr_assert(call->is_ended);
    tr_assert(!call->has_status);
    call->has_status = true;
    call->flow.is_over = true;
    grpc_op ops[3] = { 0 };
    size_t len = 0;
    if (!call->has_initial) {
        put_initial(call, &ops[len++]);
    }
    if (call->reply != NULL) {
        ops[len].op = GRPC_OP_SEND_MESSAGE;
        ops[len++].data.send_message.send_message = call->reply;
    }
    tr_rpc_md_out_init(&call->trailing_out, &call->trailing);
    ops[len].op = GRPC_OP_SEND_STATUS_FROM_SERVER;
    ops[len].data.send_status_from_server.trailing_metadata = call->trailing_out.pairs;
    ops[len].data.send_status_from_server.trailing_metadata_count = call->trailing_out.len;
    ops[len].data.send_status_from_server.status = (grpc_status_code)call->status;
    ops[len++].data.send_status_from_server.status_details = &call->message;
    call->ops++;
    tr_rpc_op_batch(call->server->rpc, call->call, ops, len, &call->status_op, on_status_sent);
}

static void end_call(struct tr_rpc_call *call, int status, struct tr_slice message)
{
    tr_loop_assert(tr_rpc_loop(call->server->rpc));
    tr_assert(!call->is_ended);
    call->is_ended = true;
    call->flow.is_canceled = true;
    call->status = status;
    call->message = grpc_slice_from_copied_buffer(message.ptr, message.len);
    if (call->flow.send == NULL) {
        send_status(call);
    }
}

/* A send or receive of a stream came back. */
static void on_flow_idle(struct tr_rpc_flow *flow)
{
    struct tr_rpc_call *call = TR_CONTAINER_OF(flow, struct tr_rpc_call, flow);
    if (call->is_ended && !call->has_status && flow->send == NULL) {
        send_status(call);
    }
    end_if_done(call);
}

static void on_call_closed(struct tr_rpc_op *op, bool ok)
{
    (void)ok;
    struct tr_rpc_call *call = TR_CONTAINER_OF(op, struct tr_rpc_call, close_op);
    call->ops--;
    if (!call->is_ended) {
        call->is_canceled = true;
        call->flow.is_canceled = true;
        if (call->watch != NULL && call->watch->on_cancel != NULL) {
            /* The handler may end the call in here; it cannot be gone before we return. */
            call->watch->on_cancel(call->watch);
        }
    }
    end_if_done(call);
}

/* --- arrival ------------------------------------------------------------------------------------------------------ */

/* grpc-go's answers. Source: google.golang.org/grpc server.go, handleStream. */
static void refuse_unknown(struct tr_rpc_call *call)
{
    const struct tr_slice path = tr_buf_slice(&call->path);
    size_t cut = path.len;
    while (cut > 0 && path.ptr[cut - 1] != '/') {
        cut--;
    }
    struct tr_buf text = { 0 };
    const struct tr_slice service = tr_slice(path.ptr + 1, cut < 2 ? 0 : cut - 2);
    if (cut < 2) {
        tr_buf_addf(&text, "malformed method name: \"%.*s\"", TR_SLICE_ARG(path));
    } else if (tr_map_get(&call->server->services, service) != NULL) {
        tr_buf_addf(&text, "unknown method %.*s for service %.*s",
                    TR_SLICE_ARG(tr_slice_skip(path, cut)), TR_SLICE_ARG(service));
    } else {
        tr_buf_addf(&text, "unknown service %.*s", TR_SLICE_ARG(service));
    }
    end_call(call, TR_RPC_UNIMPLEMENTED, tr_buf_slice(&text));
    tr_buf_fini(&text);
}

/* The request of a unary call is here, or is not to be had. */
static void on_request(struct tr_rpc_recv *recv)
{
    struct tr_rpc_call *call = TR_CONTAINER_OF(recv, struct tr_rpc_call, request);
    if (recv->err.code == TR_CANCELED || call->is_canceled) {
        end_call(call, TR_RPC_CANCELED, TR_SLICE_LIT("context canceled"));
    } else if (recv->err.code != TR_OK) {
        tr_rpc_call_fail_err(call, &recv->err);
    } else if (!recv->has_message) {
        end_call(call, TR_RPC_INTERNAL,
                 TR_SLICE_LIT("received no request message from a unary call"));
    } else {
        call->method->handler(call->method->ctx, call);
    }
}

static struct tr_rpc_call *call_new(struct tr_rpc_server *server, struct tr_rpc_slot *slot)
{
    struct tr_rpc_call *call = tr_xzalloc(sizeof(*call));
    call->server = server;
    call->call = slot->call;
    call->message = grpc_empty_slice();
    tr_link_init(&call->link);
    tr_buf_set(&call->path, tr_rpc_borrow(&slot->details.method));
    tr_buf_set(&call->authority, tr_rpc_borrow(&slot->details.host));
    tr_rpc_md_take(&call->metadata, &slot->metadata);
    call->deadline_ms = tr_rpc_deadline_from(tr_rpc_loop(server->rpc), slot->details.deadline);
    tr_rpc_alarm_init(&call->alarm, server->rpc);
    tr_rpc_alarm_set(&call->alarm, call->deadline_ms);
    call->flow = (struct tr_rpc_flow){
        .rpc = server->rpc,
        .call = slot->call,
        .message_bytes_max = server->message_bytes_max,
        .deadline_ms = call->deadline_ms,
        .is_server = true,
        .on_idle = on_flow_idle,
    };
    /* The slot's slices pin the buffer they were read into. */
    grpc_call_details_destroy(&slot->details);
    grpc_call_details_init(&slot->details);
    slot->call = NULL;
    return call;
}

static const struct tr_rpc_method *find_method(const struct tr_rpc_server *server,
                                               struct tr_slice path)
{
    const struct tr_rpc_method *method = tr_map_get(&server->methods, path);
    if (method == NULL && server->fallback.handler != NULL) {
        method = &server->fallback;
    }
    return method;
}

void tr_rpc_call_accept(struct tr_rpc_server *server, struct tr_rpc_slot *slot)
{
    struct tr_rpc_call *call = call_new(server, slot);
    const bool is_too_many = server->calls_len >= server->calls_max;
    server->calls_len++;
    tr_list_add_tail(&server->calls, &call->link);
    const grpc_op op = {
        .op = GRPC_OP_RECV_CLOSE_ON_SERVER,
        .data.recv_close_on_server.cancelled = &call->cancelled,
    };
    call->ops++;
    tr_rpc_op_batch(server->rpc, call->call, &op, 1, &call->close_op, on_call_closed);
    call->method = find_method(server, tr_buf_slice(&call->path));
    if (server->is_closing) {
        end_call(call, TR_RPC_UNAVAILABLE, TR_SLICE_LIT("the server is shutting down"));
    } else if (is_too_many) {
        end_call(call, TR_RPC_RESOURCE_EXHAUSTED, TR_SLICE_LIT("too many concurrent calls"));
    } else if (call->method == NULL) {
        refuse_unknown(call);
    } else if (call->method->is_stream) {
        call->method->handler(call->method->ctx, call);
    } else {
        call->is_unary = true;
        call->request.cb = on_request;
        tr_rpc_flow_recv(&call->flow, &call->request);
    }
}

void tr_rpc_call_abort(struct tr_link *link)
{
    struct tr_rpc_call *call = TR_CONTAINER_OF(link, struct tr_rpc_call, link);
    (void)grpc_call_cancel_with_status(call->call, GRPC_STATUS_UNAVAILABLE,
                                       "the server is shutting down", NULL);
    tr_rpc_kick(call->server->rpc);
}

/* --- what handlers use -------------------------------------------------------------------------------------------- */

void tr_rpc_call_watch(struct tr_rpc_call *call, struct tr_rpc_watch *watch)
{
    tr_assert(!call->is_ended);
    call->watch = watch;
}

struct tr_slice tr_rpc_call_path(const struct tr_rpc_call *call)
{
    return tr_buf_slice(&call->path);
}

struct tr_slice tr_rpc_call_authority(const struct tr_rpc_call *call)
{
    return tr_buf_slice(&call->authority);
}

const struct tr_rpc_md *tr_rpc_call_metadata(const struct tr_rpc_call *call)
{
    return &call->metadata;
}

struct tr_slice tr_rpc_call_peer(struct tr_rpc_call *call)
{
    if (call->peer.len == 0) {
        tr_rpc_peer_text(&call->peer, call->call);
    }
    return tr_buf_slice(&call->peer);
}

struct tr_slice tr_rpc_call_peer_spiffe(struct tr_rpc_call *call)
{
    if (call->spiffe.len > 0) {
        return tr_buf_slice(&call->spiffe);
    }
    grpc_auth_context *auth = grpc_call_auth_context(call->call);
    if (auth != NULL) {
        grpc_auth_property_iterator it =
            grpc_auth_context_find_properties_by_name(auth, GRPC_PEER_SPIFFE_ID_PROPERTY_NAME);
        const grpc_auth_property *property = grpc_auth_property_iterator_next(&it);
        if (property != NULL && grpc_auth_context_peer_is_authenticated(auth)) {
            tr_buf_set(&call->spiffe, tr_slice(property->value, property->value_length));
        }
        grpc_auth_context_release(auth);
    }
    return tr_buf_slice(&call->spiffe);
}

uint64_t tr_rpc_call_deadline_ms(const struct tr_rpc_call *call)
{
    return call->deadline_ms;
}

bool tr_rpc_call_is_canceled(const struct tr_rpc_call *call)
{
    return call->is_canceled;
}

struct tr_buf *tr_rpc_call_request(struct tr_rpc_call *call)
{
    tr_assert(call->is_unary);
    return &call->request.message;
}

struct tr_rpc_md *tr_rpc_call_initial(struct tr_rpc_call *call)
{
    return &call->initial;
}

struct tr_rpc_md *tr_rpc_call_trailing(struct tr_rpc_call *call)
{
    return &call->trailing;
}

void tr_rpc_call_reply(struct tr_rpc_call *call, struct tr_slice reply)
{
    tr_assert(call->is_unary);
    tr_assert(call->reply == NULL);
    if (reply.len > call->server->message_bytes_max) {
        struct tr_buf text = { 0 };
        tr_buf_add_str(&text, "grpc: ");
        tr_rpc_text_send_limit(&text, reply.len, call->server->message_bytes_max);
        end_call(call, TR_RPC_RESOURCE_EXHAUSTED, tr_buf_slice(&text));
        tr_buf_fini(&text);
        return;
    }
    call->reply = tr_rpc_bytes_new(reply);
    end_call(call, TR_RPC_OK, no_text);
}

void tr_rpc_call_fail(struct tr_rpc_call *call, int status, struct tr_slice message)
{
    tr_assert(status != TR_RPC_OK);
    end_call(call, status, message);
}

void tr_rpc_call_fail_err(struct tr_rpc_call *call, const struct tr_err *err)
{
    tr_rpc_call_fail(call, tr_code_grpc(err->code), tr_slice_str(err->msg));
}

static void on_initial_sent(struct tr_rpc_op *op, bool ok)
{
    (void)ok;
    struct tr_rpc_call *call = TR_CONTAINER_OF(op, struct tr_rpc_call, initial_op);
    call->ops--;
    end_if_done(call);
}

void tr_rpc_call_send_initial(struct tr_rpc_call *call)
{
    tr_assert(!call->is_unary);
    tr_assert(!call->is_ended);
    grpc_op op = { 0 };
    put_initial(call, &op);
    call->ops++;
    tr_rpc_op_batch(call->server->rpc, call->call, &op, 1, &call->initial_op, on_initial_sent);
}

void tr_rpc_call_recv_start(struct tr_rpc_call *call, struct tr_rpc_recv *recv)
{
    tr_assert(!call->is_unary);
    tr_rpc_flow_recv(&call->flow, recv);
}

void tr_rpc_call_send_start(struct tr_rpc_call *call, struct tr_rpc_send *send)
{
    tr_assert(!call->is_unary);
    if (!call->has_initial && !call->is_ended) {
        tr_rpc_call_send_initial(call);
    }
    tr_rpc_flow_send(&call->flow, send);
}

void tr_rpc_call_finish(struct tr_rpc_call *call, int status, struct tr_slice message)
{
    tr_assert(!call->is_unary);
    end_call(call, status, message);
}
