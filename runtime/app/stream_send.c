/* Callbacks of the engine, as messages to the app. See stream_int.h. */
#include <stdio.h>
#include <stdlib.h>

#include "proto/wire.h"
#include "runtime/app/stream_int.h"
#include "runtime/base/quote.h"

#define BYTES_VALUE_URL "type.googleapis.com/google.protobuf.BytesValue"

static void on_pending_done(struct tr_defer *defer)
{
    struct app_pending *pending = TR_CONTAINER_OF(defer, struct app_pending, done);
    struct tr_app_call *call = pending->call;
    free(pending);
    call->cb(call);
}

void app_pending_done(struct app_pending *pending)
{
    tr_assert(pending->stream != NULL);
    (void)tr_map_remove(&pending->stream->pending_map, tr_slice_str(pending->id));
    tr_link_remove(&pending->link);
    if (pending->outgoing != NULL) {
        pending->outgoing->pending = NULL;
    }
    pending->stream = NULL;
    tr_defer(pending->hub->conf.loop, &pending->done, on_pending_done);
}

void app_pending_fail(struct app_pending *pending, enum tr_code code, const char *text)
{
    (void)tr_err_set(&pending->call->err, code, "%s", text);
    app_pending_done(pending);
}

/* --- messages ------------------------------------------------------------------------------------------------------- */

/* First value of every header, and the chain id and content type. */
struct metadata {
    Tr__Common__StringEntry *entries;   /* owned, what is in them is borrowed from the call */
    Tr__Common__StringEntry **pointers; /* owned */
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

static void send_method(struct app_stream *stream, struct app_pending *pending, Tr__Rt__ActorEventsResponse *message)
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
    app_stream_send(stream, message, pending);
    free(metadata.entries);
    free(metadata.pointers);
}

static void send_firing(struct app_stream *stream, struct app_pending *pending, Tr__Rt__ActorEventsResponse *message)
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
    app_stream_send(stream, message, pending);
    tr_buf_fini(&value);
}

static void send_deactivate(struct app_stream *stream, struct app_pending *pending, Tr__Rt__ActorEventsResponse *message)
{
    Tr__Rt__ActorEventsDeactivate deactivate = TR__RT__ACTOR_EVENTS_DEACTIVATE__INIT;
    TR_WIRE_SET(&deactivate, id, tr_slice_str(pending->id));
    TR_WIRE_SET(&deactivate, actor_type, pending->call->actor_type);
    TR_WIRE_SET(&deactivate, actor_id, pending->call->actor_id);
    message->deactivate_request = &deactivate;
    app_stream_send(stream, message, pending);
}

/*
 * Are all strings UTF-8? A strict app gives up the stream over one that is not, and with it every other callback.
 * Source: protobuf's encoding of strings, checked by Go and Java when they decode.
 */
static bool is_text(const struct tr_app_call *call)
{
    const struct tr_slice texts[] = { call->actor_type, call->actor_id, call->name,    call->due_time,
                                      call->period,     call->callback, call->chain_id, call->content_type };
    for (size_t i = 0; i < TR_ARRAY_LEN(texts); i++) {
        if (!tr_utf8_is_valid(texts[i])) {
            return false;
        }
    }
    const size_t headers_len = call->headers == NULL ? 0 : tr_http_headers_len(call->headers);
    for (size_t i = 0; i < headers_len; i++) {
        const struct tr_http_header header = tr_http_headers_at(call->headers, i);
        if (!tr_utf8_is_valid(header.name) || !tr_utf8_is_valid(header.value)) {
            return false;
        }
    }
    return true;
}

static void send_call(struct app_stream *stream, struct app_pending *pending)
{
    Tr__Rt__ActorEventsResponse message = TR__RT__ACTOR_EVENTS_RESPONSE__INIT;
    switch (pending->call->kind) {
    case TR_APP_METHOD:
        send_method(stream, pending, &message);
        break;
    case TR_APP_REMINDER:
    case TR_APP_TIMER:
        send_firing(stream, pending, &message);
        break;
    case TR_APP_DEACTIVATE:
        send_deactivate(stream, pending, &message);
        break;
    }
}

/* --- the way in ------------------------------------------------------------------------------------------------------ */

/* There is no stream for the callback, or none that it fits on. */
static void refuse(struct app_pending *pending, enum tr_code code, const char *text)
{
    (void)tr_err_set(&pending->call->err, code, "%s", text);
    tr_defer(pending->hub->conf.loop, &pending->done, on_pending_done);
}

void app_hub_start(void *ctx, struct tr_app_call *call)
{
    struct tr_app_hub *hub = ctx;
    struct app_pending *pending = tr_xzalloc(sizeof(*pending));
    tr_app_call_reset(call);
    call->impl = pending;
    pending->call = call;
    pending->hub = hub;
    tr_link_init(&pending->link);
    struct app_stream *stream = app_hub_stream(hub);
    if (stream == NULL) {
        refuse(pending, TR_ACTOR_INVOKE, "actor host is not connected");
        return;
    }
    if (stream->pending_map.len >= TR_APP_OUTSTANDING_MAX) {
        refuse(pending, TR_LIMIT, "too many callbacks without an answer on the actor event stream");
        return;
    }
    if (!is_text(call)) {
        /* Source: the text of grpc-go, rpc_util.go encode, and of Go's protobuf. */
        refuse(pending, TR_INTERNAL, "grpc: error while marshaling: string field contains invalid UTF-8");
        return;
    }
    (void)snprintf(pending->id, sizeof(pending->id), "%llu", (unsigned long long)++stream->last_id);
    pending->stream = stream;
    tr_list_add_tail(&stream->pending, &pending->link);
    (void)tr_map_put(&stream->pending_map, tr_slice_str(pending->id), pending);
    send_call(stream, pending);
}

/* What has not left yet never will. Else nothing is sent to the app: its answer will find no id and be dropped. */
void app_hub_cancel(void *ctx, struct tr_app_call *call)
{
    struct app_pending *pending = call->impl;
    (void)ctx;
    if (pending->stream == NULL) {
        return; /* the result stands */
    }
    struct app_outgoing *outgoing = pending->outgoing;
    const bool is_leaving = pending->stream->is_sending && outgoing != NULL &&
                            tr_list_first(&pending->stream->out) == &outgoing->link;
    app_pending_fail(pending, TR_CANCELED, "context canceled");
    if (outgoing != NULL && !is_leaving) {
        app_outgoing_free(outgoing);
    }
}
