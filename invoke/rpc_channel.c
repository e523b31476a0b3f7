/*
 * A channel, its connectivity, and what all client calls share.
 *
 * Connectivity: while a watch of ours is open, one watch of gRPC's is in flight, without a deadline; when it reports a
 * change, all watches that differ are served. gRPC cannot cancel it, so it stays until the next change or the close,
 * and destroying the channel ends it.
 *
 * Close: new calls are refused, calls in flight are cancelled; when the last is gone, the gRPC channel is destroyed,
 * which ends the watch in flight; then the channel is freed.
 */
#include "invoke/rpc_client_int.h"

#include <stdlib.h>
#include <string.h>

#include <grpc/grpc_security.h>
#include <grpc/slice.h>
#include <grpc/support/time.h>

/* --- making ------------------------------------------------------------------------------------------------------- */

static void channel_args(struct tr_rpc_args *args, const struct tr_rpc_channel_conf *conf,
                         const char *authority)
{
    tr_rpc_args_common(args, conf->keepalive_ms, conf->keepalive_timeout_ms,
                       conf->metadata_bytes_max);
    /* One channel is one connection, also when two have equal arguments. */
    tr_rpc_args_int(args, GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
    /* Retries are ours: a policy of the user, or Dapr's built-in ones. */
    tr_rpc_args_int(args, GRPC_ARG_ENABLE_RETRIES, 0);
    tr_rpc_args_int(args, GRPC_ARG_SERVICE_CONFIG_DISABLE_RESOLUTION, 1);
    tr_rpc_args_int(args, GRPC_ARG_ENABLE_HTTP_PROXY, 0);
    if (conf->keepalive_ms != 0 && conf->keepalive_idle) {
        tr_rpc_args_int(args, GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
    }
    if (conf->connect_timeout_ms != 0) {
        /* gRPC's name for the least time it gives an attempt. */
        tr_rpc_args_int(args, GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, conf->connect_timeout_ms);
    }
    if (conf->backoff_min_ms != 0) {
        tr_rpc_args_int(args, GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, conf->backoff_min_ms);
    }
    if (conf->backoff_max_ms != 0) {
        tr_rpc_args_int(args, GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, conf->backoff_max_ms);
        /* A name is looked up again after each failure, by default no sooner than after 30 s. */
        tr_rpc_args_int(args, GRPC_ARG_DNS_MIN_TIME_BETWEEN_RESOLUTIONS_MS, conf->backoff_max_ms);
    }
    if (conf->round_robin) {
        tr_rpc_args_text(args, GRPC_ARG_LB_POLICY_NAME, "round_robin");
    }
    if (authority != NULL) {
        tr_rpc_args_text(args, GRPC_ARG_DEFAULT_AUTHORITY, authority);
    }
}

enum tr_code tr_rpc_channel_new(struct tr_rpc *rpc, const struct tr_rpc_channel_conf *conf,
                                struct tr_rpc_channel **out_channel, struct tr_err *err)
{
    tr_loop_assert(tr_rpc_loop(rpc));
    tr_assert(conf->creds == NULL || conf->creds->channel != NULL);
    if (conf->target.len == 0) {
        return tr_err_set(err, TR_INVALID, "empty target address");
    }
    char *target = tr_xstrdup(conf->target);
    char *authority = conf->authority.len > 0 ? tr_xstrdup(conf->authority) : NULL;
    struct tr_rpc_args args = { .len = 0 };
    channel_args(&args, conf, authority);
    struct tr_rpc_channel *channel = tr_xzalloc(sizeof(*channel));
    channel->rpc = rpc;
    channel->message_bytes_max =
        conf->message_bytes_max != 0 ? conf->message_bytes_max : TR_RPC_MESSAGE_BYTES_MAX;
    channel->calls_max = conf->calls_max != 0 ? conf->calls_max : TR_RPC_CHANNEL_CALLS_MAX;
    tr_link_init(&channel->calls);
    tr_link_init(&channel->watches);
    grpc_channel_credentials *creds =
        conf->creds != NULL ? conf->creds->channel : grpc_insecure_credentials_create();
    const grpc_channel_args grpc_args = { .num_args = args.len, .args = args.args };
    channel->channel = grpc_channel_create(target, creds, &grpc_args);
    if (conf->creds == NULL) {
        grpc_channel_credentials_release(creds);
    }
    free(authority);
    free(target);
    tr_rpc_hold(rpc);
    *out_channel = channel;
    return TR_OK;
}

uint32_t tr_rpc_channel_calls(const struct tr_rpc_channel *channel)
{
    return channel->calls_len;
}

/* --- connectivity ------------------------------------------------------------------------------------------------- */

static enum tr_rpc_state state_from_grpc(grpc_connectivity_state state)
{
    switch (state) {
    case GRPC_CHANNEL_IDLE:
        return TR_RPC_IDLE;
    case GRPC_CHANNEL_CONNECTING:
        return TR_RPC_CONNECTING;
    case GRPC_CHANNEL_READY:
        return TR_RPC_READY;
    case GRPC_CHANNEL_TRANSIENT_FAILURE:
        return TR_RPC_FAILING;
    case GRPC_CHANNEL_SHUTDOWN:
        return TR_RPC_CLOSED;
    }
    TR_BUG("unknown connectivity state");
}

_Static_assert((int)TR_RPC_IDLE == (int)GRPC_CHANNEL_IDLE, "states are passed by number");
_Static_assert((int)TR_RPC_FAILING == (int)GRPC_CHANNEL_TRANSIENT_FAILURE,
               "states are passed by number");
_Static_assert((int)TR_RPC_CLOSED == (int)GRPC_CHANNEL_SHUTDOWN, "states are passed by number");

enum tr_rpc_state tr_rpc_channel_state(struct tr_rpc_channel *channel)
{
    if (channel->is_closing) {
        return TR_RPC_CLOSED;
    }
    return state_from_grpc(grpc_channel_check_connectivity_state(channel->channel, 0));
}

void tr_rpc_channel_connect(struct tr_rpc_channel *channel)
{
    tr_assert(!channel->is_closing);
    (void)grpc_channel_check_connectivity_state(channel->channel, 1);
    tr_rpc_kick(channel->rpc);
}

static void finish_watch(struct tr_rpc_state_watch *watch, enum tr_code code,
                         enum tr_rpc_state state)
{
    tr_link_remove(&watch->link);
    watch->state = state;
    watch->err.code = TR_OK;
    if (code != TR_OK) {
        (void)tr_err_set(&watch->err, code,
                         code == TR_CLOSED ? "the channel is closing" : "the watch was cancelled");
    }
    watch->cb(watch);
}

static void on_state(struct tr_rpc_op *op, bool ok);

static void watch_grpc(struct tr_rpc_channel *channel, enum tr_rpc_state seen)
{
    channel->is_watching = true;
    tr_rpc_op_began(channel->rpc, &channel->state_op, on_state, true);
    grpc_channel_watch_connectivity_state(channel->channel, (grpc_connectivity_state)seen,
                                          gpr_inf_future(GPR_CLOCK_MONOTONIC),
                                          tr_rpc_queue(channel->rpc), &channel->state_op);
}

/* Serve the watches whose state has passed. Callbacks may start and cancel watches, and close the channel. */
static void serve_watches(struct tr_rpc_channel *channel, enum tr_rpc_state state)
{
    struct tr_link waiting;
    tr_link_init(&waiting);
    tr_list_splice(&waiting, &channel->watches);
    struct tr_link *link;
    while ((link = tr_list_pop(&waiting)) != NULL) {
        struct tr_rpc_state_watch *watch = TR_CONTAINER_OF(link, struct tr_rpc_state_watch, link);
        if (watch->is_canceled) {
            finish_watch(watch, TR_CANCELED, state);
        } else if (channel->is_closing) {
            finish_watch(watch, TR_CLOSED, TR_RPC_CLOSED);
        } else if (watch->seen != state) {
            finish_watch(watch, TR_OK, state);
        } else {
            tr_list_add_tail(&channel->watches, link);
        }
    }
}

static void free_if_done(struct tr_rpc_channel *channel)
{
    if (!channel->is_closing || channel->calls_len > 0 || channel->is_serving) {
        return;
    }
    if (channel->channel != NULL) {
        grpc_channel_destroy(channel->channel);
        channel->channel = NULL;
        tr_rpc_kick(channel->rpc);
    }
    if (channel->is_watching || !tr_list_empty(&channel->watches)) {
        return;
    }
    tr_rpc_closed_fn *cb = channel->closed;
    void *ctx = channel->closed_ctx;
    tr_rpc_release(channel->rpc);
    free(channel);
    cb(ctx);
}

static void on_serve(struct tr_rpc_op *op, bool ok)
{
    (void)ok;
    struct tr_rpc_channel *channel = TR_CONTAINER_OF(op, struct tr_rpc_channel, serve_op);
    channel->is_serving = false;
    const enum tr_rpc_state state = tr_rpc_channel_state(channel);
    serve_watches(channel, state);
    if (!channel->is_closing && !channel->is_watching && !tr_list_empty(&channel->watches)) {
        watch_grpc(channel, state);
    }
    free_if_done(channel);
}

/* Look at the watches from the pump, on a later turn. */
static void serve_later(struct tr_rpc_channel *channel)
{
    if (!channel->is_serving) {
        channel->is_serving = true;
        tr_rpc_op_post(channel->rpc, &channel->serve_op, on_serve, true);
    }
}

static void on_state(struct tr_rpc_op *op, bool ok)
{
    (void)ok;
    struct tr_rpc_channel *channel = TR_CONTAINER_OF(op, struct tr_rpc_channel, state_op);
    channel->is_watching = false;
    serve_later(channel);
}

void tr_rpc_state_watch_start(struct tr_rpc_channel *channel, struct tr_rpc_state_watch *watch)
{
    tr_loop_assert(tr_rpc_loop(channel->rpc));
    watch->channel = channel;
    watch->is_canceled = false;
    tr_link_init(&watch->link);
    tr_list_add_tail(&channel->watches, &watch->link);
    serve_later(channel);
}

void tr_rpc_state_watch_cancel(struct tr_rpc_state_watch *watch)
{
    tr_assert(tr_link_linked(&watch->link));
    watch->is_canceled = true;
    serve_later(watch->channel);
}

/* --- calls -------------------------------------------------------------------------------------------------------- */

uint32_t tr_rpc_initial_flags(bool wait_for_ready)
{
    return wait_for_ready ? GRPC_INITIAL_METADATA_WAIT_FOR_READY |
                                GRPC_INITIAL_METADATA_WAIT_FOR_READY_EXPLICITLY_SET
                          : 0;
}

void tr_rpc_client_call_set_status(struct tr_rpc_client_call *call, int status,
                                   struct tr_slice message)
{
    grpc_slice_unref(call->message);
    call->status = (grpc_status_code)status;
    call->message = grpc_slice_from_copied_buffer(message.ptr, message.len);
}

static void make_call(struct tr_rpc_client_call *call, const struct tr_rpc_client_call_conf *conf)
{
    struct tr_rpc *rpc = call->channel->rpc;
    grpc_slice path = grpc_slice_from_copied_buffer(conf->path.ptr, conf->path.len);
    grpc_slice host = grpc_slice_from_copied_buffer(conf->authority.ptr, conf->authority.len);
    call->call =
        grpc_channel_create_call(call->channel->channel, NULL, GRPC_PROPAGATE_DEFAULTS,
                                 tr_rpc_queue(rpc), path, conf->authority.len > 0 ? &host : NULL,
                                 tr_rpc_deadline_to(tr_rpc_loop(rpc), conf->deadline_ms), NULL);
    tr_assert(call->call != NULL);
    grpc_slice_unref(path);
    grpc_slice_unref(host);
    tr_rpc_md_out_init(&call->metadata, conf->metadata);
    tr_rpc_alarm_set(&call->alarm, conf->deadline_ms);
}

void tr_rpc_client_call_init(struct tr_rpc_client_call *call, struct tr_rpc_channel *channel,
                             const struct tr_rpc_client_call_conf *conf)
{
    tr_loop_assert(tr_rpc_loop(channel->rpc));
    tr_assert(conf->path.len > 0);
    tr_assert(conf->path.ptr[0] == '/');
    call->channel = channel;
    tr_link_init(&call->link);
    call->message = grpc_empty_slice();
    grpc_metadata_array_init(&call->initial);
    grpc_metadata_array_init(&call->trailing);
    tr_rpc_alarm_init(&call->alarm, channel->rpc);
    const bool is_too_many = channel->calls_len >= channel->calls_max;
    channel->calls_len++;
    tr_list_add_tail(&channel->calls, &call->link);
    if (channel->is_closing) {
        tr_rpc_client_call_set_status(call, TR_RPC_UNAVAILABLE,
                                      TR_SLICE_LIT("the channel is closing"));
    } else if (is_too_many) {
        tr_rpc_client_call_set_status(call, TR_RPC_RESOURCE_EXHAUSTED,
                                      TR_SLICE_LIT("too many calls in flight"));
    } else {
        make_call(call, conf);
    }
}

void tr_rpc_client_call_cancel(struct tr_rpc_client_call *call)
{
    if (call->call != NULL) {
        (void)grpc_call_cancel(call->call, NULL);
        tr_rpc_kick(call->channel->rpc);
        if (call->on_cancelled != NULL) {
            call->on_cancelled(call);
        }
    }
}

void tr_rpc_client_call_results(struct tr_rpc_client_call *call, int *out_status,
                                struct tr_buf *out_message, struct tr_rpc_md *out_trailing)
{
    *out_status = (int)call->status;
    tr_buf_set(out_message, tr_rpc_borrow(&call->message));
    tr_rpc_md_take(out_trailing, &call->trailing);
}

void tr_rpc_client_call_fini(struct tr_rpc_client_call *call)
{
    tr_rpc_alarm_stop(&call->alarm);
    tr_rpc_md_out_fini(&call->metadata);
    grpc_metadata_array_destroy(&call->initial);
    grpc_metadata_array_destroy(&call->trailing);
    grpc_slice_unref(call->message);
    if (call->call != NULL) {
        grpc_call_unref(call->call);
    }
    tr_link_remove(&call->link);
}

void tr_rpc_channel_call_gone(struct tr_rpc_channel *channel)
{
    tr_assert(channel->calls_len > 0);
    channel->calls_len--;
    free_if_done(channel);
}

/* --- close -------------------------------------------------------------------------------------------------------- */

void tr_rpc_channel_close(struct tr_rpc_channel *channel, tr_rpc_closed_fn *cb, void *ctx)
{
    tr_loop_assert(tr_rpc_loop(channel->rpc));
    tr_assert(!channel->is_closing);
    channel->is_closing = true;
    channel->closed = cb;
    channel->closed_ctx = ctx;
    struct tr_link *link;
    struct tr_link *next;
    TR_LIST_FOR_EACH (link, next, &channel->calls) {
        tr_rpc_client_call_cancel(TR_CONTAINER_OF(link, struct tr_rpc_client_call, link));
    }
    /* Ends the watches, and frees the channel if nothing is in flight. */
    serve_later(channel);
}
