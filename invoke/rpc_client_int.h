/* A channel and its calls, shared by invoke/rpc_channel.c, rpc_unary.c and rpc_stream.c. */
#ifndef TR_INVOKE_RPC_CLIENT_INT_H
#define TR_INVOKE_RPC_CLIENT_INT_H

#include "invoke/rpc_client.h"
#include "invoke/rpc_int.h"

struct tr_rpc_channel {
    struct tr_rpc *rpc;    /* borrowed */
    grpc_channel *channel; /* owned; NULL once destroyed */
    size_t message_bytes_max;
    uint32_t calls_max;
    uint32_t calls_len;
    struct tr_link calls;   /* struct tr_rpc_client_call */
    struct tr_link watches; /* struct tr_rpc_state_watch */
    struct tr_rpc_op state_op;
    struct tr_rpc_op serve_op;
    bool is_watching; /* state_op is in flight */
    bool is_serving;  /* serve_op is in flight */
    bool is_closing;
    tr_rpc_closed_fn *closed;
    void *closed_ctx;
};

/* What unary calls and streams have in common. */
struct tr_rpc_client_call {
    struct tr_rpc_channel *channel; /* borrowed */
    struct tr_link link;            /* in channel->calls */
    void (*on_cancelled)(struct tr_rpc_client_call *call); /* the call was cancelled by us; NULL allowed */
    grpc_call *call;                /* owned; NULL when the call was refused by us */
    struct tr_rpc_alarm alarm;
    struct tr_rpc_md_out metadata;
    grpc_metadata_array initial;
    grpc_metadata_array trailing;
    grpc_status_code status; /* written by gRPC */
    grpc_slice message;      /* written by gRPC */
};

struct tr_rpc_client_call_conf {
    struct tr_slice path;
    struct tr_slice authority;
    const struct tr_rpc_md *metadata;
    uint64_t deadline_ms;
};

/*
 * Make the gRPC call. If the channel refuses it, `call->call` stays NULL, and status and message say why: the caller
 * then finishes it with tr_rpc_op_post.
 */
void tr_rpc_client_call_init(struct tr_rpc_client_call *call, struct tr_rpc_channel *channel,
                             const struct tr_rpc_client_call_conf *conf);
/* Set what the call ends with, in place of what gRPC says. */
void tr_rpc_client_call_set_status(struct tr_rpc_client_call *call, int status, struct tr_slice message);
void tr_rpc_client_call_cancel(struct tr_rpc_client_call *call);
/* Move the results out. */
void tr_rpc_client_call_results(struct tr_rpc_client_call *call, int *out_status, struct tr_buf *out_message,
                                struct tr_rpc_md *out_trailing);
/* Let go of everything of gRPC, leave the channel. */
void tr_rpc_client_call_fini(struct tr_rpc_client_call *call);
/* After _fini and after the user's callback: the channel may have waited for it. */
void tr_rpc_channel_call_gone(struct tr_rpc_channel *channel);

/* Flags of GRPC_OP_SEND_INITIAL_METADATA. */
uint32_t tr_rpc_initial_flags(bool wait_for_ready);

#endif
