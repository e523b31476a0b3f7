/*
 * Actor event streams: apps that host actors as a gRPC client of ours, without listening on any port
 * (SubscribeActorEventsAlpha1).
 *
 *   OPEN --initial_request--> REGISTERED --half-close, cancel, shutdown--> CLOSED
 *
 * All streams of a sidecar share one hub, which is also the channel for actor callbacks: new callbacks go to the stream
 * that registered last; answers are taken from the stream that got the request. When a stream ends, its outstanding
 * callbacks fail, and the types that no other live stream has are unregistered.
 *
 * Source: Dapr pkg/actors/callbackstream, pkg/api/grpc/actorcallbacks.go (1.18); actors 4.
 */
#ifndef TR_APP_STREAM_H
#define TR_APP_STREAM_H

#include "invoke/rpc_server.h"
#include "runtime/app/app.h"
#include "runtime/app/config.h"

struct tr_app_hub;
struct tr_log;

#define TR_APP_STREAMS_MAX     64U    /* streams at a time; one more gets RESOURCE_EXHAUSTED */
#define TR_APP_OUTSTANDING_MAX 65536U /* callbacks of one stream without an answer; beyond: TR_LIMIT */

struct tr_app_hub_conf {
    struct tr_loop *loop;     /* borrowed, as all below */
    const struct tr_log *log;
    /* Register what a stream hosts; called on the turn its first message came. A failure ends the stream. */
    enum tr_code (*on_register)(void *ctx, const struct tr_app_config *config, struct tr_err *err);
    /* These types have no stream any more. */
    void (*on_unregister)(void *ctx, const struct tr_slice *types, size_t types_len);
    void *ctx;
};
struct tr_app_hub *tr_app_hub_new(const struct tr_app_hub_conf *conf);
/* End all streams with OK; `cb` comes when the last is gone, and the hub is gone. */
void tr_app_hub_close(struct tr_app_hub *hub, void (*cb)(void *ctx), void *ctx);

/* The actor callbacks; borrowed for the hub's life. */
const struct tr_app_actors *tr_app_hub_actors(struct tr_app_hub *hub);

/* A tr_rpc_handler_fn: take a new stream. */
void tr_app_hub_accept(void *hub, struct tr_rpc_call *call);

#endif
