/* What an app sends on its event stream: first what it hosts, then answers. See stream_int.h. */
#include "proto/wire.h"
#include "runtime/app/forward.h"
#include "runtime/app/stream_int.h"

/* --- the first message ---------------------------------------------------------------------------------------------- */

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

enum tr_code app_stream_read_initial(const Tr__Rt__ActorEventsInitial *initial, struct tr_app_config *config,
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

/* --- answers -------------------------------------------------------------------------------------------------------- */

/* An app can send such messages without end. */
static void warn(const struct app_stream *stream, const char *event)
{
    struct tr_app_hub *hub = stream->hub;
    uint64_t suppressed = 0;
    if (tr_log_limit_pass(&hub->odd, tr_loop_now_ms(hub->conf.loop), &suppressed)) {
        tr_log_warn(hub->conf.log, event, "suppressed=%llu", (unsigned long long)suppressed);
    }
}

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

static struct app_pending *pending_of(struct app_stream *stream, ProtobufCBinaryData id)
{
    struct app_pending *pending = tr_map_get(&stream->pending_map, tr_wire_slice(id));
    if (pending == NULL) {
        warn(stream, "answer on an actor event stream matches no callback");
    }
    return pending;
}

static bool is_expected(struct app_pending *pending, enum tr_app_call_kind kind)
{
    if (pending->call->kind == kind) {
        return true;
    }
    pending->call->status = 500;
    tr_buf_addf(&pending->call->failure, "actor host returned an unexpected response type for %s",
                kind_name(pending->call->kind));
    app_pending_done(pending);
    return false;
}

static void take_invoke(struct app_stream *stream, const Tr__Rt__ActorEventsInvokeResponse *answer)
{
    struct app_pending *pending = pending_of(stream, answer->id);
    if (pending == NULL || !is_expected(pending, TR_APP_METHOD)) {
        return;
    }
    struct tr_app_call *call = pending->call;
    call->status = 200;
    tr_buf_add(&call->body_out, tr_wire_slice(answer->data));
    for (size_t i = 0; i < answer->n_metadata && i < TR_FORWARD_HEADERS_MAX; i++) {
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
    app_pending_done(pending);
}

static void take_firing(struct app_stream *stream, const Tr__Rt__ActorEventsReminderResponse *answer,
                        enum tr_app_call_kind kind)
{
    struct app_pending *pending = pending_of(stream, answer->id);
    if (pending == NULL || !is_expected(pending, kind)) {
        return;
    }
    pending->call->status = 200;
    pending->call->is_canceled = answer->cancel;
    app_pending_done(pending);
}

static void take_deactivate(struct app_stream *stream, const Tr__Rt__ActorEventsDeactivateResponse *answer)
{
    struct app_pending *pending = pending_of(stream, answer->id);
    if (pending != NULL && is_expected(pending, TR_APP_DEACTIVATE)) {
        pending->call->status = 200;
        app_pending_done(pending);
    }
}

static void take_failed(struct app_stream *stream, const Tr__Rt__ActorEventsFailed *answer)
{
    struct app_pending *pending = pending_of(stream, answer->id);
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
    app_pending_done(pending);
}

void app_stream_take(struct app_stream *stream, const Tr__Rt__ActorEventsRequest *message)
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
        warn(stream, "unexpected message on an actor event stream is dropped");
    }
}

