/*
 * Actor event streams.
 *
 * Course: accept -> first message -> register -> initial_response -> callbacks and answers, in any order -> end. Answers
 * are matched by id. A stream that ends is finished once: its outstanding callbacks fail on the next turn, its types are
 * unregistered unless another live stream has them, and the rest is freed when gRPC is done with the call.
 */
#include "runtime/app/stream.h"

#include <stdio.h>
#include <stdlib.h>

#include "proto/runtime.pb-c.h"
#include "proto/wire.h"
#include "runtime/base/list.h"
#include "runtime/base/log.h"
#include "runtime/base/loop.h"
#include "runtime/base/map.h"

#define ID_TEXT_MAX 24
#define BYTES_VALUE_URL "type.googleapis.com/google.protobuf.BytesValue"

struct tr_app_hub {
    struct tr_app_hub_conf conf;
    struct tr_app_actors actors;
    struct tr_link streams; /* of stream.link; the one that registered last is the last */
    uint32_t streams_len;
    bool is_closing;
    void (*on_closed)(void *ctx);
    void *closed_ctx;
    struct tr_defer closed;
};

/* A message that waits to be sent. */
struct outgoing {
    struct tr_link link;
    struct tr_buf bytes;
};

struct stream {
    struct tr_app_hub *hub; /* borrowed */
    struct tr_rpc_call *call;
    struct tr_rpc_watch watch;
    struct tr_rpc_recv recv;
    struct tr_rpc_send send;
    struct tr_link link;
    struct tr_link out;        /* of outgoing.link; the first is being sent if is_sending */
    struct tr_link pending;    /* of pending.link: callbacks without an answer */
    struct tr_map pending_map; /* decimal id to struct pending */
    uint64_t last_id;
    struct tr_app_config config;
    bool is_registered;
    bool is_sending;
    bool is_finished;
};

/* One callback. */
struct pending {
    struct tr_app_call *call; /* borrowed */
    struct stream *stream;    /* borrowed; NULL once it has its result */
    struct tr_app_hub *hub;   /* borrowed */
    struct tr_link link;
    char id[ID_TEXT_MAX];
    struct tr_defer done;
};

/* --- callbacks ------------------------------------------------------------------------------------------------------ */

static void on_pending_done(struct tr_defer *defer)
{
    struct pending *pending = TR_CONTAINER_OF(defer, struct pending, done);
    struct tr_app_call *call = pending->call;
    free(pending);
    call->cb(call);
}

/* The result stands; call back on a later turn. */
static void pending_done(struct pending *pending)
{
    if (pending->stream != NULL) {
        (void)tr_map_remove(&pending->stream->pending_map, tr_slice_str(pending->id));
        tr_link_remove(&pending->link);
        pending->stream = NULL;
    }
    tr_defer(pending->hub->conf.loop, &pending->done, on_pending_done);
}

static void fail(struct pending *pending, enum tr_code code, const char *text)
{
    (void)tr_err_set(&pending->call->err, code, "%s", text);
    pending_done(pending);
}

static void send_next(struct stream *stream);

static void queue_message(struct stream *stream, const Tr__Rt__ActorEventsResponse *message)
{
    struct outgoing *outgoing = tr_xzalloc(sizeof(*outgoing));
    tr_link_init(&outgoing->link);
    tr_wire_pack(message, &outgoing->bytes);
    tr_list_add_tail(&stream->out, &outgoing->link);
    send_next(stream);
}

/* First value of every header, and the chain id and content type. */
struct metadata {
    Tr__Common__StringEntry *entries;
    Tr__Common__StringEntry **pointers;
    size_t len;
};

static void metadata_add(struct metadata *metadata, struct tr_slice key, struct tr_slice value)
{
    Tr__Common__StringEntry *entry = &metadata->entries[metadata->len];
    tr__common__string_entry__init(entry);
    TR_WIRE_SET(entry, key, key);
    TR_WIRE_SET(entry, value, value);
    metadata->pointers[metadata->len++] = entry;
}

static bool metadata_has(const struct metadata *metadata, struct tr_slice key)
{
    for (size_t i = 0; i < metadata->len; i++) {
        if (tr_slice_eq_nocase(tr_wire_slice(metadata->entries[i].key), key)) {
            return true;
        }
    }
    return false;
}

static void metadata_init(struct metadata *metadata, const struct tr_app_call *call)
{
    const size_t headers_len = call->headers == NULL ? 0 : tr_http_headers_len(call->headers);
    metadata->entries = tr_xzalloc((headers_len + 2) * sizeof(*metadata->entries));
    metadata->pointers = tr_xzalloc((headers_len + 2) * sizeof(*metadata->pointers));
    metadata->len = 0;
    const struct tr_slice chain = TR_SLICE_LIT("Dapr-Reentrancy-Id");
    if (call->chain_id.len > 0) {
        metadata_add(metadata, chain, call->chain_id);
    }
    for (size_t i = 0; i < headers_len; i++) {
        const struct tr_http_header header = tr_http_headers_at(call->headers, i);
        if (!metadata_has(metadata, header.name)) {
            metadata_add(metadata, header.name, header.value);
        }
    }
    if (call->content_type.len > 0 && !metadata_has(metadata, TR_SLICE_LIT("content-type"))) {
        metadata_add(metadata, TR_SLICE_LIT("Content-Type"), call->content_type);
    }
}

static void queue_invoke(struct stream *stream, const struct pending *pending, Tr__Rt__ActorEventsResponse *message)
{
    const struct tr_app_call *call = pending->call;
    struct metadata metadata;
    Tr__Rt__ActorEventsInvoke invoke = TR__RT__ACTOR_EVENTS_INVOKE__INIT;
    TR_WIRE_SET(&invoke, id, tr_slice_str(pending->id));
    TR_WIRE_SET(&invoke, actor_type, call->actor_type);
    TR_WIRE_SET(&invoke, actor_id, call->actor_id);
    TR_WIRE_SET(&invoke, method, call->name);
    TR_WIRE_SET(&invoke, data, call->body);
    metadata_init(&metadata, call);
    invoke.n_metadata = metadata.len;
    invoke.metadata = metadata.pointers;
    message->invoke_request = &invoke;
    queue_message(stream, message);
    free(metadata.entries);
    free(metadata.pointers);
}

static void queue_firing(struct stream *stream, const struct pending *pending, Tr__Rt__ActorEventsResponse *message)
{
    const struct tr_app_call *call = pending->call;
    struct tr_buf value = { 0 };
    Tr__Common__BytesValue bytes = TR__COMMON__BYTES_VALUE__INIT;
    Tr__Common__Any any = TR__COMMON__ANY__INIT;
    TR_WIRE_SET(&bytes, value, call->body);
    tr_wire_pack(&bytes, &value);
    TR_WIRE_SET(&any, type_url, TR_SLICE_LIT(BYTES_VALUE_URL));
    TR_WIRE_SET(&any, value, tr_buf_slice(&value));
    Tr__Rt__ActorEventsReminder reminder = TR__RT__ACTOR_EVENTS_REMINDER__INIT;
    Tr__Rt__ActorEventsTimer timer = TR__RT__ACTOR_EVENTS_TIMER__INIT;
    if (call->kind == TR_APP_REMINDER) {
        TR_WIRE_SET(&reminder, id, tr_slice_str(pending->id));
        TR_WIRE_SET(&reminder, actor_type, call->actor_type);
        TR_WIRE_SET(&reminder, actor_id, call->actor_id);
        TR_WIRE_SET(&reminder, name, call->name);
        TR_WIRE_SET(&reminder, due_time, call->due_time);
        TR_WIRE_SET(&reminder, period, call->period);
        reminder.data = call->body.len > 0 ? &any : NULL;
        message->reminder_request = &reminder;
    } else {
        TR_WIRE_SET(&timer, id, tr_slice_str(pending->id));
        TR_WIRE_SET(&timer, actor_type, call->actor_type);
        TR_WIRE_SET(&timer, actor_id, call->actor_id);
        TR_WIRE_SET(&timer, name, call->name);
        TR_WIRE_SET(&timer, due_time, call->due_time);
        TR_WIRE_SET(&timer, period, call->period);
        TR_WIRE_SET(&timer, callback, call->callback);
        timer.data = call->body.len > 0 ? &any : NULL;
        message->timer_request = &timer;
    }
    queue_message(stream, message);
    tr_buf_fini(&value);
}

static void queue_deactivate(struct stream *stream, const struct pending *pending, Tr__Rt__ActorEventsResponse *message)
{
    Tr__Rt__ActorEventsDeactivate deactivate = TR__RT__ACTOR_EVENTS_DEACTIVATE__INIT;
    TR_WIRE_SET(&deactivate, id, tr_slice_str(pending->id));
    TR_WIRE_SET(&deactivate, actor_type, pending->call->actor_type);
    TR_WIRE_SET(&deactivate, actor_id, pending->call->actor_id);
    message->deactivate_request = &deactivate;
    queue_message(stream, message);
}

static struct stream *current_stream(struct tr_app_hub *hub)
{
    for (struct tr_link *it = hub->streams.prev; it != &hub->streams; it = it->prev) {
        struct stream *stream = TR_CONTAINER_OF(it, struct stream, link);
        if (stream->is_registered && !stream->is_finished) {
            return stream;
        }
    }
    return NULL;
}

static void on_hub_start(void *ctx, struct tr_app_call *call)
{
    struct tr_app_hub *hub = ctx;
    struct pending *pending = tr_xzalloc(sizeof(*pending));
    tr_app_call_reset(call);
    call->impl = pending;
    pending->call = call;
    pending->hub = hub;
    tr_link_init(&pending->link);
    struct stream *stream = current_stream(hub);
    if (stream == NULL) {
        fail(pending, TR_ACTOR_INVOKE, "actor host is not connected");
        return;
    }
    if (stream->pending_map.len >= TR_APP_OUTSTANDING_MAX) {
        fail(pending, TR_LIMIT, "too many callbacks without an answer on the actor event stream");
        return;
    }
    (void)snprintf(pending->id, sizeof(pending->id), "%llu", (unsigned long long)++stream->last_id);
    pending->stream = stream;
    tr_list_add_tail(&stream->pending, &pending->link);
    (void)tr_map_put(&stream->pending_map, tr_slice_str(pending->id), pending);
    Tr__Rt__ActorEventsResponse message = TR__RT__ACTOR_EVENTS_RESPONSE__INIT;
    switch (call->kind) {
    case TR_APP_METHOD:
        queue_invoke(stream, pending, &message);
        break;
    case TR_APP_REMINDER:
    case TR_APP_TIMER:
        queue_firing(stream, pending, &message);
        break;
    case TR_APP_DEACTIVATE:
        queue_deactivate(stream, pending, &message);
        break;
    }
}

/* Nothing is sent to the app: its answer will find no id and be dropped. */
static void on_hub_cancel(void *ctx, struct tr_app_call *call)
{
    struct pending *pending = call->impl;
    (void)ctx;
    if (pending->stream != NULL) {
        fail(pending, TR_CANCELED, "context canceled");
    }
}

/* --- answers -------------------------------------------------------------------------------------------------------- */

static const char *kind_name(enum tr_app_call_kind kind)
{
    static const char *const names[] = {
        [TR_APP_METHOD] = "invoke",
        [TR_APP_REMINDER] = "reminder",
        [TR_APP_TIMER] = "timer",
        [TR_APP_DEACTIVATE] = "deactivate",
    };
    return names[kind];
}

static struct pending *pending_of(struct stream *stream, ProtobufCBinaryData id)
{
    struct pending *pending = tr_map_get(&stream->pending_map, tr_wire_slice(id));
    if (pending == NULL) {
        tr_log_warn(stream->hub->conf.log, "answer on an actor event stream matches no callback", NULL);
    }
    return pending;
}

static bool is_expected(struct pending *pending, enum tr_app_call_kind kind)
{
    if (pending->call->kind == kind) {
        return true;
    }
    pending->call->status = 500;
    tr_buf_addf(&pending->call->failure, "actor host returned an unexpected response type for %s",
                kind_name(pending->call->kind));
    pending_done(pending);
    return false;
}

static void take_invoke(struct stream *stream, const Tr__Rt__ActorEventsInvokeResponse *answer)
{
    struct pending *pending = pending_of(stream, answer->id);
    if (pending == NULL || !is_expected(pending, TR_APP_METHOD)) {
        return;
    }
    struct tr_app_call *call = pending->call;
    call->status = 200;
    tr_buf_add(&call->body_out, tr_wire_slice(answer->data));
    for (size_t i = 0; i < answer->n_metadata && i < TR_HTTP_HEADERS_MAX - 1; i++) {
        const struct tr_slice key = tr_wire_slice(answer->metadata[i]->key);
        const struct tr_slice value = tr_wire_slice(answer->metadata[i]->value);
        if (tr_slice_eq_str(key, "content-type")) {
            tr_buf_set(&call->content_type_out, value);
        }
        tr_http_headers_add(&call->headers_out, key, value);
    }
    if (answer->error) {
        tr_http_headers_add_str(&call->headers_out, "X-Daprerrorresponseheader", "true");
    }
    pending_done(pending);
}

static void take_firing(struct stream *stream, const Tr__Rt__ActorEventsReminderResponse *answer,
                        enum tr_app_call_kind kind)
{
    struct pending *pending = pending_of(stream, answer->id);
    if (pending == NULL || !is_expected(pending, kind)) {
        return;
    }
    pending->call->status = 200;
    pending->call->is_canceled = answer->cancel;
    pending_done(pending);
}

static void take_deactivate(struct stream *stream, const Tr__Rt__ActorEventsDeactivateResponse *answer)
{
    struct pending *pending = pending_of(stream, answer->id);
    if (pending != NULL && is_expected(pending, TR_APP_DEACTIVATE)) {
        pending->call->status = 200;
        pending_done(pending);
    }
}

static void take_failed(struct stream *stream, const Tr__Rt__ActorEventsFailed *answer)
{
    struct pending *pending = pending_of(stream, answer->id);
    if (pending == NULL) {
        return;
    }
    struct tr_app_call *call = pending->call;
    if (answer->code == TR_RPC_NOT_FOUND && call->kind == TR_APP_METHOD) {
        call->status = 404;
        tr_buf_addf(&call->failure, "actor method not found: %.*s", TR_SLICE_ARG(call->name));
    } else {
        call->status = 500;
        tr_buf_add_str(&call->failure, "error from actor service: ");
        tr_buf_add(&call->failure, tr_wire_slice(answer->message));
    }
    pending_done(pending);
}

static void take_answer(struct stream *stream, const Tr__Rt__ActorEventsRequest *message)
{
    if (message->invoke_response != NULL) {
        take_invoke(stream, message->invoke_response);
    } else if (message->reminder_response != NULL) {
        take_firing(stream, message->reminder_response, TR_APP_REMINDER);
    } else if (message->timer_response != NULL) {
        take_firing(stream, message->timer_response, TR_APP_TIMER);
    } else if (message->deactivate_response != NULL) {
        take_deactivate(stream, message->deactivate_response);
    } else if (message->request_failed != NULL) {
        take_failed(stream, message->request_failed);
    } else {
        tr_log_warn(stream->hub->conf.log, "unexpected message on an actor event stream is dropped", NULL);
    }
}

/* --- registration --------------------------------------------------------------------------------------------------- */

static uint64_t milliseconds(const Tr__Common__Duration *duration)
{
    if (duration->seconds < 0 || duration->nanos < 0) {
        return 0;
    }
    const uint64_t seconds = (uint64_t)duration->seconds;
    return (seconds < UINT32_MAX ? seconds : UINT32_MAX) * 1000 + (uint64_t)duration->nanos / 1000000;
}

static void read_entry(struct tr_app_entry *entry, const Tr__Common__Duration *idle, const Tr__Common__Duration *drain,
                       const Tr__Rt__ActorReentrancyConfig *reentrancy)
{
    *entry = (struct tr_app_entry){ 0 };
    if (idle != NULL) {
        entry->has_idle_ms = true;
        entry->idle_ms = milliseconds(idle);
    }
    if (drain != NULL) {
        entry->has_drain_ms = true;
        entry->drain_ms = milliseconds(drain);
    }
    if (reentrancy != NULL) {
        entry->is_reentrant = reentrancy->enabled;
        entry->depth_max =
            reentrancy->has_max_stack_depth && reentrancy->max_stack_depth > 0 ? (uint32_t)reentrancy->max_stack_depth : 0;
    }
}

static enum tr_code read_initial(const Tr__Rt__ActorEventsInitial *initial, struct tr_app_config *config,
                                 struct tr_err *err)
{
    struct tr_app_entry entry;
    read_entry(&entry, initial->actor_idle_timeout, NULL, initial->reentrancy);
    if (initial->drain_ongoing_call_timeout != NULL) {
        config->has_drain_ms = true;
        config->drain_ms = milliseconds(initial->drain_ongoing_call_timeout);
    }
    config->is_drain_off = initial->has_drain_rebalanced_actors && !initial->drain_rebalanced_actors;
    for (size_t i = 0; i < initial->n_entities; i++) {
        const enum tr_code rc = tr_app_config_add(config, tr_wire_slice(initial->entities[i]), &entry, err);
        if (rc != TR_OK) {
            return rc;
        }
    }
    for (size_t i = 0; i < initial->n_entities_config; i++) {
        const Tr__Rt__ActorEntityConfig *one = initial->entities_config[i];
        read_entry(&entry, one->actor_idle_timeout, one->drain_ongoing_call_timeout, one->reentrancy);
        for (size_t j = 0; j < one->n_entities; j++) {
            (void)tr_app_config_set(config, tr_wire_slice(one->entities[j]), &entry);
        }
    }
    return TR_OK;
}

/* --- the stream ----------------------------------------------------------------------------------------------------- */

static bool is_hosted_elsewhere(const struct stream *gone, struct tr_slice type)
{
    for (const struct tr_link *it = gone->hub->streams.next; it != &gone->hub->streams; it = it->next) {
        const struct stream *stream = TR_CONTAINER_OF(it, struct stream, link);
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

static void unregister(struct stream *stream)
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

static void finish(struct stream *stream, int status, struct tr_slice message)
{
    if (stream->is_finished) {
        return;
    }
    stream->is_finished = true;
    struct tr_link *link;
    while ((link = tr_list_first(&stream->pending)) != NULL) {
        fail(TR_CONTAINER_OF(link, struct pending, link), TR_ACTOR_INVOKE, "actor host disconnected before responding");
    }
    if (stream->is_registered) {
        unregister(stream);
    }
    tr_rpc_call_finish(stream->call, status, message);
}

static void finish_err(struct stream *stream, int status, const char *prefix, const struct tr_err *err)
{
    struct tr_buf text = { 0 };
    tr_buf_addf(&text, "%s%s", prefix, err->msg);
    finish(stream, status, tr_buf_slice(&text));
    tr_buf_fini(&text);
}

static void on_sent(struct tr_rpc_send *send)
{
    struct stream *stream = TR_CONTAINER_OF(send, struct stream, send);
    struct outgoing *outgoing = TR_CONTAINER_OF(tr_list_pop(&stream->out), struct outgoing, link);
    stream->is_sending = false;
    tr_buf_fini(&outgoing->bytes);
    free(outgoing);
    if (send->err.code == TR_LIMIT) {
        tr_log_warn(stream->hub->conf.log, "callback is too large for the actor event stream", "reason=%s", send->err.msg);
    }
    send_next(stream);
}

static void send_next(struct stream *stream)
{
    struct tr_link *first = tr_list_first(&stream->out);
    if (stream->is_sending || stream->is_finished || first == NULL) {
        return;
    }
    stream->is_sending = true;
    stream->send.message = tr_buf_slice(&TR_CONTAINER_OF(first, struct outgoing, link)->bytes);
    stream->send.cb = on_sent;
    tr_rpc_call_send_start(stream->call, &stream->send);
}

static void on_first_message(struct stream *stream, const Tr__Rt__ActorEventsRequest *message)
{
    struct tr_err err;
    if (message->initial_request == NULL) {
        finish(stream, TR_RPC_INVALID_ARGUMENT, TR_SLICE_LIT("first message must be SubscribeActorEventsRequestInitialAlpha1"));
        return;
    }
    enum tr_code rc = read_initial(message->initial_request, &stream->config, &err);
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
    queue_message(stream, &response);
}

static void on_message(struct tr_rpc_recv *recv)
{
    struct stream *stream = TR_CONTAINER_OF(recv, struct stream, recv);
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
        take_answer(stream, (const Tr__Rt__ActorEventsRequest *)message);
    } else {
        on_first_message(stream, (const Tr__Rt__ActorEventsRequest *)message);
    }
    tr_wire_free(message);
    if (!stream->is_finished) {
        tr_rpc_call_recv_start(stream->call, &stream->recv);
    }
}

static void on_cancel(struct tr_rpc_watch *watch)
{
    finish(TR_CONTAINER_OF(watch, struct stream, watch), TR_RPC_CANCELED, TR_SLICE_LIT("context canceled"));
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
    struct stream *stream = TR_CONTAINER_OF(watch, struct stream, watch);
    struct tr_app_hub *hub = stream->hub;
    struct tr_link *link;
    tr_assert(stream->is_finished);
    while ((link = tr_list_pop(&stream->out)) != NULL) {
        struct outgoing *outgoing = TR_CONTAINER_OF(link, struct outgoing, link);
        tr_buf_fini(&outgoing->bytes);
        free(outgoing);
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
    struct stream *stream = tr_xzalloc(sizeof(*stream));
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
    hub->actors = (struct tr_app_actors){ .start = on_hub_start, .cancel = on_hub_cancel, .ctx = hub };
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
        finish(TR_CONTAINER_OF(it, struct stream, link), TR_RPC_OK, TR_SLICE_LIT(""));
    }
    if (hub->streams_len == 0) {
        tr_defer(hub->conf.loop, &hub->closed, on_hub_closed);
    }
}

const struct tr_app_actors *tr_app_hub_actors(struct tr_app_hub *hub)
{
    return &hub->actors;
}
