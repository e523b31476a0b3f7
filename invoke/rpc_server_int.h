/* A server and its calls, shared by invoke/rpc_server.c (ports, dispatch, shutdown) and invoke/rpc_call.c (one call). */
#ifndef TR_INVOKE_RPC_SERVER_INT_H
#define TR_INVOKE_RPC_SERVER_INT_H

#include "invoke/rpc_int.h"
#include "invoke/rpc_server.h"
#include "runtime/base/map.h"

#define TR_RPC_SLOTS 32U /* requests for a new call that wait in gRPC at one time */

/* A request for a new call that waits in gRPC. */
struct tr_rpc_slot {
    struct tr_rpc_op op;
    struct tr_rpc_server *server; /* borrowed */
    grpc_call *call;
    grpc_call_details details;
    grpc_metadata_array metadata;
};

struct tr_rpc_server {
    struct tr_rpc *rpc;     /* borrowed */
    grpc_server *server;    /* owned */
    struct tr_map services; /* "/package.Service" to its number of methods, so that unknown ones can be told apart */
    struct tr_map methods;  /* path to struct tr_rpc_method, owned */
    struct tr_rpc_method fallback; /* handler NULL when there is none */
    uint16_t ports[TR_RPC_ADDRESSES_MAX];
    size_t ports_len;
    size_t message_bytes_max;
    uint32_t calls_max;
    uint32_t calls_len;
    struct tr_link calls;
    struct tr_rpc_slot slots[TR_RPC_SLOTS];
    uint32_t slots_waiting;
    struct tr_rpc_op shutdown_op;
    bool is_started;
    bool is_closing;  /* new calls are refused */
    bool is_shutting; /* gRPC was told */
    bool is_shut;     /* gRPC has finished its shutdown */
    tr_rpc_closed_fn *closed;
    void *closed_ctx;
};

/* Take over the call of `slot`, whose contents are moved out of it. */
void tr_rpc_call_accept(struct tr_rpc_server *server, struct tr_rpc_slot *slot);
/* End an open call from our side, as if the client had gone. */
void tr_rpc_call_abort(struct tr_link *link);
/* A call is gone; frees nothing of it. May free the server, so it comes last. */
void tr_rpc_server_call_gone(struct tr_rpc_server *server);

#endif
