/*
 * A gRPC server of generic calls, dispatched by the full method path ("/package.Service/Method").
 *
 * Course of a unary call: the request is received whole, then the method's handler is called; at that time or later the
 * handler ends the call with tr_rpc_call_reply() or tr_rpc_call_fail(). Course of a stream (all kinds of streaming): the
 * handler is called when the call arrives; it receives and sends messages one at a time and ends the call with
 * tr_rpc_call_finish().
 *
 * Life of a call: it lives from the handler's call until it has been ended (exactly once, also after a cancellation)
 * and everything in flight has returned. Then on_close of its watch is called, once and last, and the call is gone.
 * A handler that answers from inside and keeps nothing needs no watch.
 *
 * What the server answers by itself, without a handler: UNIMPLEMENTED for unknown paths with grpc-go's texts,
 * RESOURCE_EXHAUSTED with grpc-go's text for a unary request above the limit, RESOURCE_EXHAUSTED above calls_max,
 * INTERNAL for a unary call without a request message, UNAVAILABLE while shutting down.
 */
#ifndef TR_INVOKE_RPC_SERVER_H
#define TR_INVOKE_RPC_SERVER_H

#include "invoke/rpc.h"

struct tr_rpc_server;
struct tr_rpc_call;

#define TR_RPC_CALLS_MAX     65536U /* default of calls_max: calls open at one time on one server */
#define TR_RPC_ADDRESSES_MAX 16U    /* addresses of one server */

struct tr_rpc_server_conf {
    /*
     * "host:port", "[v6]:port", ":port" (all interfaces) or "unix:/path"; port 0 takes a free one. Each is tried by
     * itself; only when none can be bound, the server cannot be made.
     */
    const struct tr_slice *addresses; /* borrowed during tr_rpc_server_new */
    size_t addresses_len;
    const struct tr_rpc_creds *creds; /* NULL for cleartext */
    size_t message_bytes_max;         /* both directions; 0 for TR_RPC_MESSAGE_BYTES_MAX */
    size_t metadata_bytes_max;        /* sum of a request's metadata; 0 for gRPC's default */
    uint32_t calls_max;               /* 0 for TR_RPC_CALLS_MAX */
    uint32_t streams_max;             /* concurrent calls a connection is told it may have; 0 for no limit */
    uint64_t keepalive_ms;            /* ping a connection that was silent this long; 0 for never */
    uint64_t keepalive_timeout_ms;    /* close it when no answer came within; 0 for gRPC's default */
    uint64_t ping_min_ms;             /* clients that ping more often are sent away; 0 for no enforcement */
    uint64_t idle_max_ms;             /* close a connection without calls after this; 0 for never */
    uint64_t age_max_ms;              /* close any connection gracefully after this; 0 for never */
};

/*
 * Bind the addresses. Nothing is served until tr_rpc_server_start().
 *
 * Errors: TR_UNAVAILABLE when no address can be bound.
 */
TR_MUST_USE enum tr_code tr_rpc_server_new(struct tr_rpc *rpc, const struct tr_rpc_server_conf *conf,
                                           struct tr_rpc_server **out_server, struct tr_err *err);

/* The port bound for address `i` of the configuration; 1 for a unix socket; 0 if it could not be bound. */
uint16_t tr_rpc_server_port(const struct tr_rpc_server *server, size_t i);

/* A call arrived (stream) or its request is complete (unary). `ctx` is the method's. */
typedef void tr_rpc_handler_fn(void *ctx, struct tr_rpc_call *call);

struct tr_rpc_method {
    const char *path; /* "/package.Service/Method" */
    bool is_stream;
    tr_rpc_handler_fn *handler;
    void *ctx;
};

/* Serve a method; the row is copied. A path may be registered once. Before or after start. */
void tr_rpc_server_add(struct tr_rpc_server *server, const struct tr_rpc_method *method);

/*
 * Serve every path that is not registered as a stream, as grpc-go's UnknownServiceHandler does: also unknown methods of
 * known services.
 */
void tr_rpc_server_set_fallback(struct tr_rpc_server *server, tr_rpc_handler_fn *handler, void *ctx);

/* Begin to serve. */
void tr_rpc_server_start(struct tr_rpc_server *server);

/* Cancel all open calls: each gets on_cancel, its client UNAVAILABLE. New ones are still served. */
void tr_rpc_server_cancel_calls(struct tr_rpc_server *server);

/*
 * Stop: new calls are refused with UNAVAILABLE, open ones run on; when the last is gone, ports and connections close, the
 * server is freed and `cb` called. Use tr_rpc_server_cancel_calls() before or during it for a hard stop.
 */
void tr_rpc_server_close(struct tr_rpc_server *server, tr_rpc_closed_fn *cb, void *ctx);

/* Number of calls that are open. */
uint32_t tr_rpc_server_calls(const struct tr_rpc_server *server);

/* --- one call ------------------------------------------------------------------------------------------------------ */

/* Notices of a call; embed it in what the handler keeps. */
struct tr_rpc_watch {
    /* The client cancelled, went away, or its deadline passed; the call must still be ended. At most once; NULL allowed. */
    void (*on_cancel)(struct tr_rpc_watch *watch);
    /* The call is gone. Exactly once, last; may free the watch. NULL allowed. */
    void (*on_close)(struct tr_rpc_watch *watch);
};

/* Set the call's watch; inside the handler, or later, but before the call is ended. */
void tr_rpc_call_watch(struct tr_rpc_call *call, struct tr_rpc_watch *watch);

/* All of these are borrowed from the call until on_close. */
struct tr_slice tr_rpc_call_path(const struct tr_rpc_call *call);
struct tr_slice tr_rpc_call_authority(const struct tr_rpc_call *call);
const struct tr_rpc_md *tr_rpc_call_metadata(const struct tr_rpc_call *call);
/* "ip:port" or "[v6]:port", "unix:..." for unix sockets. */
struct tr_slice tr_rpc_call_peer(struct tr_rpc_call *call);
/* SPIFFE id of a client with a verified certificate, else empty. */
struct tr_slice tr_rpc_call_peer_spiffe(struct tr_rpc_call *call);
/* Loop time, 0 for none. */
uint64_t tr_rpc_call_deadline_ms(const struct tr_rpc_call *call);
bool tr_rpc_call_is_canceled(const struct tr_rpc_call *call);

/* Request message of a unary call; the handler may move it away. */
struct tr_buf *tr_rpc_call_request(struct tr_rpc_call *call);

/*
 * Metadata to send first and last: fill them before the call is ended; the first also before the first send of a
 * stream. Both belong to the call.
 */
struct tr_rpc_md *tr_rpc_call_initial(struct tr_rpc_call *call);
struct tr_rpc_md *tr_rpc_call_trailing(struct tr_rpc_call *call);

/*
 * End a unary call. `reply` and `message` are copied. A reply above the limit is replaced by RESOURCE_EXHAUSTED with
 * grpc-go's text.
 */
void tr_rpc_call_reply(struct tr_rpc_call *call, struct tr_slice reply);
/* End a unary call or a stream with a status other than 0; the message is sent whole. */
void tr_rpc_call_fail(struct tr_rpc_call *call, int status, struct tr_slice message);
/* The same from a tr_err: status of its row, message as it is. */
void tr_rpc_call_fail_err(struct tr_rpc_call *call, const struct tr_err *err);

/* Streams: send the initial metadata now, without waiting for the first message. At most once, before any send. */
void tr_rpc_call_send_initial(struct tr_rpc_call *call);
void tr_rpc_call_recv_start(struct tr_rpc_call *call, struct tr_rpc_recv *recv);
void tr_rpc_call_send_start(struct tr_rpc_call *call, struct tr_rpc_send *send);
/*
 * End a stream with any status. A send in flight goes out first; a receive in flight comes back with TR_CANCELED or
 * what it had.
 */
void tr_rpc_call_finish(struct tr_rpc_call *call, int status, struct tr_slice message);

#endif
