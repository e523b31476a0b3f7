/*
 * Channels to other sidecars, one per address, made when first asked for and closed after a time without calls.
 * Source: Dapr pkg/grpc/manager (1.18), invocation 4.7.
 */
#ifndef TR_INVOKE_PEERS_H
#define TR_INVOKE_PEERS_H

#include "invoke/rpc_client.h"
#include "runtime/base/loop.h"

struct tr_log;
struct tr_peers;

#define TR_PEERS_MAX          10000U  /* addresses at a time; beyond, the call fails with TR_LIMIT */
#define TR_PEERS_IDLE_MS      180000U /* default of DAPR_GRPC_MAX_CONN_IDLE */
#define TR_PEERS_COLLECT_MS   45000U  /* default of DAPR_GRPC_CONN_COLLECTOR_INTERVAL */
#define TR_PEERS_KEEPALIVE_MS 10000U
#define TR_PEERS_KEEPALIVE_TIMEOUT_MS 5000U

struct tr_peers_conf {
    struct tr_loop *loop; /* borrowed, as both below */
    struct tr_rpc *rpc;
    const struct tr_log *log;
    size_t message_bytes_max; /* 0: TR_RPC_MESSAGE_BYTES_MAX */
    uint64_t idle_ms;         /* 0: the defaults above */
    uint64_t collect_ms;
};
struct tr_peers *tr_peers_new(const struct tr_peers_conf *conf);
/* Cancel all calls, close all channels, then call back; the object is gone. */
void tr_peers_close(struct tr_peers *peers, void (*cb)(void *ctx), void *ctx);

/* The loop it lives on. */
struct tr_loop *tr_peers_loop(const struct tr_peers *peers);

/*
 * The channel to "host:port", borrowed: start a call on it in this turn of the loop.
 * Errors: TR_INVALID for an address gRPC cannot read, TR_LIMIT, TR_CLOSED.
 */
TR_MUST_USE enum tr_code tr_peers_channel(struct tr_peers *peers, struct tr_slice address,
                                          struct tr_rpc_channel **out_channel, struct tr_err *err);

#endif
