/*
 * Calls to a gRPC server: a channel, unary calls and streams over it.
 *
 * A channel is one connection (with round_robin: one per address of the name) made lazily by the first call or by
 * tr_rpc_channel_connect(), and made again after a loss, with gRPC's back-off between attempts. A call on a channel
 * that cannot connect fails UNAVAILABLE at once, unless it says wait_for_ready.
 *
 * All outcomes of a call come as status and message: the peer's, gRPC's own (UNAVAILABLE, DEADLINE_EXCEEDED, CANCELLED)
 * and ours (RESOURCE_EXHAUSTED above a limit with grpc-go's texts, UNAVAILABLE on a channel that is closing).
 */
#ifndef TR_INVOKE_RPC_CLIENT_H
#define TR_INVOKE_RPC_CLIENT_H

#include "invoke/rpc.h"
#include "runtime/base/list.h"

struct tr_rpc_channel;

#define TR_RPC_CHANNEL_CALLS_MAX 65536U /* default of calls_max: calls in flight on one channel */

struct tr_rpc_channel_conf {
    struct tr_slice target;           /* "host:port", "ipv4:1.2.3.4:5", "dns:///name:port", "unix:/path" */
    const struct tr_rpc_creds *creds; /* NULL for cleartext */
    struct tr_slice authority;        /* empty for the target */
    size_t message_bytes_max;         /* both directions; 0 for TR_RPC_MESSAGE_BYTES_MAX */
    size_t metadata_bytes_max;        /* sum of an answer's metadata; 0 for gRPC's default */
    uint32_t calls_max;               /* 0 for TR_RPC_CHANNEL_CALLS_MAX */
    uint64_t keepalive_ms;            /* ping a connection that was silent this long; 0 for never */
    uint64_t keepalive_timeout_ms;    /* give it up when no answer came within; 0 for gRPC's default */
    bool keepalive_idle;              /* ping also without calls in flight */
    bool round_robin;                 /* use all addresses of the name in turn, not the first that answers */
    uint64_t connect_timeout_ms;      /* one attempt to connect; 0 for gRPC's default (20 s) */
    uint64_t backoff_min_ms;          /* pause after a failed attempt: first ... */
    uint64_t backoff_max_ms;          /* ... and longest; 0 for gRPC's defaults (1 s, 120 s) */
};

/* Make a channel; it does not connect yet. All slices are copied. Errors: TR_INVALID for a target gRPC cannot read. */
TR_MUST_USE enum tr_code tr_rpc_channel_new(struct tr_rpc *rpc, const struct tr_rpc_channel_conf *conf,
                                            struct tr_rpc_channel **out_channel, struct tr_err *err);

/*
 * Refuse new calls, cancel those in flight, free the channel when none is left, then call `cb`. Watches end with
 * TR_CLOSED.
 */
void tr_rpc_channel_close(struct tr_rpc_channel *channel, tr_rpc_closed_fn *cb, void *ctx);

/* Number of calls in flight. */
uint32_t tr_rpc_channel_calls(const struct tr_rpc_channel *channel);

enum tr_rpc_state {
    TR_RPC_IDLE,       /* never connected, or not needed */
    TR_RPC_CONNECTING,
    TR_RPC_READY,
    TR_RPC_FAILING,    /* the last attempt failed; the next comes after the back-off */
    TR_RPC_CLOSED,
};

enum tr_rpc_state tr_rpc_channel_state(struct tr_rpc_channel *channel);
/* Leave TR_RPC_IDLE without a call. */
void tr_rpc_channel_connect(struct tr_rpc_channel *channel);

/* Wait until the channel's state differs from `seen`. */
struct tr_rpc_state_watch {
    enum tr_rpc_state seen;                       /* in */
    void (*cb)(struct tr_rpc_state_watch *watch); /* in */
    struct tr_err err;                            /* out: TR_CANCELED, TR_CLOSED */
    enum tr_rpc_state state;                      /* out */
    struct tr_rpc_channel *channel;               /* private */
    struct tr_link link;                          /* private */
    bool is_canceled;                             /* private */
};
void tr_rpc_state_watch_start(struct tr_rpc_channel *channel, struct tr_rpc_state_watch *watch);
void tr_rpc_state_watch_cancel(struct tr_rpc_state_watch *watch);

/* --- unary ----------------------------------------------------------------------------------------------------- */

/* One request, one answer. Zero it, fill the inputs, start, leave it alone until `cb`; `cb` may free it. */
struct tr_rpc_unary {
    struct tr_slice path;                  /* in, "/package.Service/Method", copied */
    struct tr_slice authority;             /* in, empty for the channel's, copied */
    struct tr_slice request;               /* in, copied by _start */
    const struct tr_rpc_md *metadata;      /* in, NULL for none, copied by _start */
    uint64_t deadline_ms;                  /* in, loop time, 0 for none */
    bool wait_for_ready;                   /* in */
    void (*cb)(struct tr_rpc_unary *unary); /* in */
    int status;                            /* out, 0 for success */
    struct tr_buf message;                 /* out, status message in full; the caller's, as all below */
    struct tr_buf response;                /* out, empty unless status is 0 */
    struct tr_rpc_md initial;              /* out */
    struct tr_rpc_md trailing;             /* out */
    struct tr_rpc_unary_call *call;        /* private */
};

void tr_rpc_unary_start(struct tr_rpc_channel *channel, struct tr_rpc_unary *unary);
/* A wish: `cb` still comes, with CANCELLED, or with the result if it was too late. */
void tr_rpc_unary_cancel(struct tr_rpc_unary *unary);
/* Free what the call left in the outputs that the caller has not moved away. */
void tr_rpc_unary_fini(struct tr_rpc_unary *unary);

/* --- stream ---------------------------------------------------------------------------------------------------- */

/*
 * A call with any number of messages either way. Zero it, fill the inputs, start; then receive and send one at a time,
 * and half-close after the last send. `cb` comes once, after every receive and send has come back: when the peer's
 * status is here and all messages before it have been received, or when the call failed or was cancelled.
 *
 * One message is read ahead. A stream whose user does not receive it therefore ends only by cancel, and notices a loss
 * only when it receives again (or its sends fail).
 */
struct tr_rpc_stream {
    struct tr_slice path;                          /* in, copied */
    struct tr_slice authority;                     /* in, empty for the channel's, copied */
    const struct tr_rpc_md *metadata;              /* in, NULL for none, copied by _start */
    uint64_t deadline_ms;                          /* in, loop time, 0 for none */
    bool wait_for_ready;                           /* in */
    void (*on_initial)(struct tr_rpc_stream *stream); /* in, NULL allowed: `initial` is there; at most once, before cb */
    void (*cb)(struct tr_rpc_stream *stream);      /* in */
    int status;                                    /* out */
    struct tr_buf message;                         /* out, the caller's, as both below */
    struct tr_rpc_md initial;                      /* out */
    struct tr_rpc_md trailing;                     /* out */
    struct tr_rpc_stream_call *call;               /* private */
};

void tr_rpc_stream_start(struct tr_rpc_channel *channel, struct tr_rpc_stream *stream);
/* From start until `cb`; the callback of each comes before `cb`. */
void tr_rpc_stream_recv_start(struct tr_rpc_stream *stream, struct tr_rpc_recv *recv);
void tr_rpc_stream_send_start(struct tr_rpc_stream *stream, struct tr_rpc_send *send);
/* No more sends will come. Once; a send in flight goes out first. */
void tr_rpc_stream_half_close(struct tr_rpc_stream *stream);
/* A wish: receives and sends in flight come back, then `cb` with CANCELLED, or the result if it was too late. */
void tr_rpc_stream_cancel(struct tr_rpc_stream *stream);
void tr_rpc_stream_fini(struct tr_rpc_stream *stream);

#endif
