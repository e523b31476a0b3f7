/*
 * Actor event streams.
 *
 * Course: accept -> first message -> register -> initial_response -> callbacks and answers, in any order -> end. Answers
 * are matched by id. A stream that ends is finished once: its outstanding callbacks fail on the next turn, its types are
 * unregistered unless another live stream has them, and the rest is freed when gRPC is done with the call.
 */
#include "runtime/app/stream.h"

#include <stdlib.h>

#include "proto/wire.h"
#include "runtime/app/stream_int.h"

/* --- the end of a stream -------------------------------------------------------------------------------------------- */

struct app_stream *app_hub_stream(struct tr_app_hub *hub)
{
    for (struct tr_link *it = hub->streams.prev; it != &hub->streams; it = it->prev) {
        struct app_stream *stream = TR_CONTAINER_OF(it, struct app_stream, link);
        if (stream->is_registered && !stream->is_finished) {
            return stream;
        }
    }
    return NULL;
}

static bool is_hosted_elsewhere(const struct app_stream *gone, struct tr_slice type)
{
    for (const struct tr_link *it = gone->hub->streams.next; it != &gone->hub->streams; it = it->next) {
        const struct app_stream *stream = TR_CONTAINER_OF(it, struct app_stream, link);
        if (stream == gone || !stream->is_registered || stream->is_finished) {
            continue;
        }
        for (size_t i = 0; i < stream->config.types_len; i++) {
            if (tr_slice_eq(tr_buf_slice(&stream->config.types[i].name), type)) {
                return true;
            }
        }
    }
    return false;
}

static void unregister(struct app_stream *stream)
{
    struct tr_slice *types = tr_xzalloc(stream->config.types_len * sizeof(*types));
    size_t types_len = 0;
    for (size_t i = 0; i < stream->config.types_len; i++) {
        const struct tr_slice type = tr_buf_slice(&stream->config.types[i].name);
        if (!is_hosted_elsewhere(stream, type)) {
            types[types_len++] = type;
        }
    }
    if (types_len > 0) {
        stream->hub->conf.on_unregister(stream->hub->conf.ctx, types, types_len);
    }
    free(types);
}

static void finish(struct app_stream *stream, int status, struct tr_slice message)
{
    if (stream->is_finished) {
        return;
    }
    stream->is_finished = true;
    struct tr_link *link;
    while ((link = tr_list_first(&stream->pending)) != NULL) {
        app_pending_fail(TR_CONTAINER_OF(link, struct app_pending, link), TR_ACTOR_INVOKE,
                         "actor host disconnected before responding");
    }
    if (stream->is_registered) {
        unregister(stream);
    }
    tr_rpc_call_finish(stream->call, status, message);
}

static void finish_err(struct app_stream *stream, int status, const char *prefix, const struct tr_err *err)
{
    struct tr_buf text = { 0 };
    tr_buf_addf(&text, "%s%s", prefix, err->msg);
    finish(stream, status, tr_buf_slice(&text));
    tr_buf_fini(&text);
}

/* --- sending -------------------------------------------------------------------------------------------------------- */

static void send_next(struct app_stream *stream);

void app_outgoing_free(struct app_outgoing *outgoing)
{
    tr_link_remove(&outgoing->link);
    if (outgoing->pending != NULL) {
        outgoing->pending->outgoing = NULL;
    }
    tr_buf_fini(&outgoing->bytes);
    free(outgoing);
}

static void on_sent(struct tr_rpc_send *send)
{
    struct app_stream *stream = TR_CONTAINER_OF(send, struct app_stream, send);
    struct app_outgoing *outgoing = TR_CONTAINER_OF(tr_list_first(&stream->out), struct app_outgoing, link);
    struct app_pending *pending = outgoing->pending;
    stream->is_sending = false;
    app_outgoing_free(outgoing);
    if (send->err.code == TR_LIMIT && pending != NULL) {
        app_pending_fail(pending, TR_LIMIT, send->err.msg); /* nothing was sent, and the stream goes on */
    }
    send_next(stream);
}

static void send_next(struct app_stream *stream)
{
    struct tr_link *first = tr_list_first(&stream->out);
    if (stream->is_sending || stream->is_finished || first == NULL) {
        return;
    }
    stream->is_sending = true;
    stream->send.message = tr_buf_slice(&TR_CONTAINER_OF(first, struct app_outgoing, link)->bytes);
    stream->send.cb = on_sent;
    tr_rpc_call_send_start(stream->call, &stream->send);
}

void app_stream_send(struct app_stream *stream, const Tr__Rt__ActorEventsResponse *message,
                     struct app_pending *pending)
{
    struct app_outgoing *outgoing = tr_xzalloc(sizeof(*outgoing));
    tr_link_init(&outgoing->link);
    tr_wire_pack(message, &outgoing->bytes);
    outgoing->pending = pending;
    if (pending != NULL) {
        pending->outgoing = outgoing;
    }
    tr_list_add_tail(&stream->out, &outgoing->link);
    send_next(stream);
}

/* --- receiving ------------------------------------------------------------------------------------------------------ */

static void on_first_message(struct app_stream *stream, const Tr__Rt__ActorEventsRequest *message)
{
    struct tr_err err;
    if (message->initial_request == NULL) {
        finish(stream, TR_RPC_INVALID_ARGUMENT, TR_SLICE_LIT("first message must be SubscribeActorEventsRequestInitialAlpha1"));
        return;
    }
    enum tr_code rc = app_stream_read_initial(message->initial_request, &stream->config, &err);
    if (rc == TR_OK) {
        rc = stream->hub->conf.on_register(stream->hub->conf.ctx, &stream->config, &err);
    }
    if (rc != TR_OK) {
        finish_err(stream, TR_RPC_INTERNAL, "failed to register hosted actors: ", &err);
        return;
    }
    /* The latest registration gets the new callbacks: it moves to the end of the list. */
    tr_link_remove(&stream->link);
    tr_list_add_tail(&stream->hub->streams, &stream->link);
    stream->is_registered = true;
    Tr__Common__Empty empty = TR__COMMON__EMPTY__INIT;
    Tr__Rt__ActorEventsResponse response = TR__RT__ACTOR_EVENTS_RESPONSE__INIT;
    response.initial_response = &empty;
    app_stream_send(stream, &response, NULL);
}

static void on_message(struct tr_rpc_recv *recv)
{
    struct app_stream *stream = TR_CONTAINER_OF(recv, struct app_stream, recv);
    struct tr_buf bytes = { 0 };
    tr_buf_move(&bytes, &recv->message);
    if (stream->is_finished) {
        tr_buf_fini(&bytes);
        return;
    }
    if (recv->err.code != TR_OK) {
        tr_buf_fini(&bytes);
        finish_err(stream, tr_code_grpc(recv->err.code), "", &recv->err);
        return;
    }
    if (!recv->has_message) {
        tr_buf_fini(&bytes);
        finish(stream, TR_RPC_OK, TR_SLICE_LIT(""));
        return;
    }
    ProtobufCMessage *message = NULL;
    struct tr_err err;
    const enum tr_code rc =
        tr_wire_unpack(&tr__rt__actor_events_request__descriptor, tr_buf_slice(&bytes), &message, &err);
    tr_buf_fini(&bytes);
    if (rc != TR_OK) {
        finish_err(stream, TR_RPC_INTERNAL, "", &err);
        return;
    }
    if (stream->is_registered) {
        app_stream_take(stream, (const Tr__Rt__ActorEventsRequest *)message);
    } else {
        on_first_message(stream, (const Tr__Rt__ActorEventsRequest *)message);
    }
    tr_wire_free(message);
    if (!stream->is_finished) {
        tr_rpc_call_recv_start(stream->call, &stream->recv);
    }
}

/* --- life ----------------------------------------------------------------------------------------------------------- */

static void on_cancel(struct tr_rpc_watch *watch)
{
    finish(TR_CONTAINER_OF(watch, struct app_stream, watch), TR_RPC_CANCELED, TR_SLICE_LIT("context canceled"));
}

static void on_hub_closed(struct tr_defer *defer)
{
    struct tr_app_hub *hub = TR_CONTAINER_OF(defer, struct tr_app_hub, closed);
    void (*cb)(void *ctx) = hub->on_closed;
    void *ctx = hub->closed_ctx;
    free(hub);
    if (cb != NULL) {
        cb(ctx);
    }
}

static void on_call_closed(struct tr_rpc_watch *watch)
{
    struct app_stream *stream = TR_CONTAINER_OF(watch, struct app_stream, watch);
    struct tr_app_hub *hub = stream->hub;
    struct tr_link *link;
    tr_assert(stream->is_finished);
    while ((link = tr_list_first(&stream->out)) != NULL) {
        app_outgoing_free(TR_CONTAINER_OF(link, struct app_outgoing, link));
    }
    tr_link_remove(&stream->link);
    tr_map_fini(&stream->pending_map);
    tr_app_config_fini(&stream->config);
    free(stream);
    hub->streams_len--;
    if (hub->is_closing && hub->streams_len == 0) {
        tr_defer(hub->conf.loop, &hub->closed, on_hub_closed);
    }
}

void tr_app_hub_accept(void *ctx, struct tr_rpc_call *call)
{
    struct tr_app_hub *hub = ctx;
    if (hub->is_closing) {
        tr_rpc_call_finish(call, TR_RPC_UNAVAILABLE, TR_SLICE_LIT("actor runtime is closed"));
        return;
    }
    if (hub->streams_len == TR_APP_STREAMS_MAX) {
        tr_rpc_call_finish(call, TR_RPC_RESOURCE_EXHAUSTED, TR_SLICE_LIT("too many actor event streams"));
        return;
    }
    struct app_stream *stream = tr_xzalloc(sizeof(*stream));
    stream->hub = hub;
    stream->call = call;
    tr_link_init(&stream->link);
    tr_link_init(&stream->out);
    tr_link_init(&stream->pending);
    tr_list_add_head(&hub->streams, &stream->link);
    hub->streams_len++;
    stream->watch.on_cancel = on_cancel;
    stream->watch.on_close = on_call_closed;
    tr_rpc_call_watch(call, &stream->watch);
    stream->recv.cb = on_message;
    tr_rpc_call_recv_start(call, &stream->recv);
}

struct tr_app_hub *tr_app_hub_new(const struct tr_app_hub_conf *conf)
{
    struct tr_app_hub *hub = tr_xzalloc(sizeof(*hub));
    hub->conf = *conf;
    hub->actors = (struct tr_app_actors){ .start = app_hub_start, .cancel = app_hub_cancel, .ctx = hub };
    tr_link_init(&hub->streams);
    return hub;
}

void tr_app_hub_close(struct tr_app_hub *hub, void (*cb)(void *ctx), void *ctx)
{
    tr_assert(!hub->is_closing);
    hub->is_closing = true;
    hub->on_closed = cb;
    hub->closed_ctx = ctx;
    struct tr_link *it;
    struct tr_link *tmp;
    TR_LIST_FOR_EACH(it, tmp, &hub->streams)
    {
        finish(TR_CONTAINER_OF(it, struct app_stream, link), TR_RPC_OK, TR_SLICE_LIT(""));
    }
    if (hub->streams_len == 0) {
        tr_defer(hub->conf.loop, &hub->closed, on_hub_closed);
    }
}

const struct tr_app_actors *tr_app_hub_actors(struct tr_app_hub *hub)
{
    return &hub->actors;
}
