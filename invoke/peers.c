/* Channels to other sidecars. */
#include "invoke/peers.h"

#include <stdlib.h>

#include "runtime/base/log.h"
#include "runtime/base/map.h"

struct tr_peers {
    struct tr_peers_conf conf;
    struct tr_map map; /* address to struct peer */
    struct tr_timer collect;
    size_t open_len; /* channels that exist or are being closed */
    bool is_closing;
    void (*on_closed)(void *ctx);
    void *closed_ctx;
    struct tr_defer closed;
};

struct peer {
    struct tr_rpc_channel *channel; /* owned */
    uint64_t used_ms;               /* when it was last asked for, or seen with calls */
};

static void on_peers_closed(struct tr_defer *defer)
{
    struct tr_peers *peers = TR_CONTAINER_OF(defer, struct tr_peers, closed);
    void (*cb)(void *ctx) = peers->on_closed;
    void *ctx = peers->closed_ctx;
    tr_map_fini(&peers->map);
    free(peers);
    if (cb != NULL) {
        cb(ctx);
    }
}

static void on_channel_closed(void *ctx)
{
    struct tr_peers *peers = ctx;
    peers->open_len--;
    if (peers->is_closing && peers->open_len == 0) {
        tr_defer(peers->conf.loop, &peers->closed, on_peers_closed);
    }
}

static void close_peer(struct tr_peers *peers, struct tr_slice address, struct peer *peer)
{
    tr_rpc_channel_close(peer->channel, on_channel_closed, peers);
    (void)tr_map_remove(&peers->map, address);
    free(peer);
}

/* Close the channels that had no call for long enough. */
static void on_collect(struct tr_timer *timer)
{
    struct tr_peers *peers = TR_CONTAINER_OF(timer, struct tr_peers, collect);
    const uint64_t now_ms = tr_loop_now_ms(peers->conf.loop);
    struct tr_map_iter iter = { 0 };
    struct tr_slice address;
    void *value = NULL;
    while (tr_map_next(&peers->map, &iter, &address, &value)) {
        struct peer *peer = value;
        if (tr_rpc_channel_calls(peer->channel) > 0) {
            peer->used_ms = now_ms;
        } else if (now_ms - peer->used_ms >= peers->conf.idle_ms) {
            tr_log_text(peers->conf.log, TR_LOG_INFO, "Purged 1 expired gRPC connection(s) to %.*s", TR_SLICE_ARG(address));
            close_peer(peers, address, peer);
        }
    }
    if (peers->map.len > 0) {
        tr_timer_set(&peers->collect, now_ms + peers->conf.collect_ms);
    }
}

struct tr_peers *tr_peers_new(const struct tr_peers_conf *conf)
{
    struct tr_peers *peers = tr_xzalloc(sizeof(*peers));
    peers->conf = *conf;
    peers->conf.idle_ms = conf->idle_ms != 0 ? conf->idle_ms : TR_PEERS_IDLE_MS;
    peers->conf.collect_ms = conf->collect_ms != 0 ? conf->collect_ms : TR_PEERS_COLLECT_MS;
    tr_map_init(&peers->map);
    tr_timer_init(&peers->collect, conf->loop, on_collect);
    return peers;
}

struct tr_loop *tr_peers_loop(const struct tr_peers *peers)
{
    return peers->conf.loop;
}

void tr_peers_close(struct tr_peers *peers, void (*cb)(void *ctx), void *ctx)
{
    tr_loop_assert(peers->conf.loop);
    tr_assert(!peers->is_closing);
    peers->is_closing = true;
    peers->on_closed = cb;
    peers->closed_ctx = ctx;
    tr_timer_stop(&peers->collect);
    struct tr_map_iter iter = { 0 };
    struct tr_slice address;
    void *value = NULL;
    while (tr_map_next(&peers->map, &iter, &address, &value)) {
        close_peer(peers, address, value);
    }
    if (peers->open_len == 0) {
        tr_defer(peers->conf.loop, &peers->closed, on_peers_closed);
    }
}

enum tr_code tr_peers_channel(struct tr_peers *peers, struct tr_slice address, struct tr_rpc_channel **out_channel,
                              struct tr_err *err)
{
    tr_loop_assert(peers->conf.loop);
    struct peer *peer = tr_map_get(&peers->map, address);
    if (peer == NULL) {
        if (peers->is_closing) {
            return tr_err_set(err, TR_CLOSED, "sidecar is shutting down");
        }
        if (peers->map.len >= TR_PEERS_MAX) {
            return tr_err_set(err, TR_LIMIT, "connected to %u sidecars", TR_PEERS_MAX);
        }
        const struct tr_rpc_channel_conf conf = {
            .target = address,
            .message_bytes_max = peers->conf.message_bytes_max,
            .keepalive_ms = TR_PEERS_KEEPALIVE_MS,
            .keepalive_timeout_ms = TR_PEERS_KEEPALIVE_TIMEOUT_MS,
            .keepalive_idle = true,
            .backoff_min_ms = 100,
            .backoff_max_ms = 1000,
        };
        struct tr_rpc_channel *channel = NULL;
        const enum tr_code rc = tr_rpc_channel_new(peers->conf.rpc, &conf, &channel, err);
        if (rc != TR_OK) {
            return rc;
        }
        peer = tr_xzalloc(sizeof(*peer));
        peer->channel = channel;
        peers->open_len++;
        (void)tr_map_put(&peers->map, address, peer);
    }
    peer->used_ms = tr_loop_now_ms(peers->conf.loop);
    if (!tr_timer_is_set(&peers->collect)) {
        tr_timer_set(&peers->collect, peer->used_ms + peers->conf.collect_ms);
    }
    *out_channel = peer->channel;
    return TR_OK;
}
