/*
 * What the files invoke/rpc*.c share. This is the one header that may see gRPC's; nothing but those files includes it.
 */
#ifndef TR_INVOKE_RPC_INT_H
#define TR_INVOKE_RPC_INT_H

#include <grpc/grpc.h>

#include "invoke/rpc.h"
#include "runtime/base/list.h"
#include "runtime/base/loop.h"
#include "runtime/base/mailbox.h"

/* --- operations on the queue ---------------------------------------------------------------------------------- */

/*
 * One tag of gRPC: its address is what gRPC hands back. Embed it in what the operation works on.
 * A counted operation is one whose end somebody waits for; it keeps the fallback timer alive. A request slot of an idle
 * server is not counted: a new call always comes in through a socket, which wakes the loop.
 */
struct tr_rpc_op {
    void (*fn)(struct tr_rpc_op *op, bool ok); /* on the loop thread, once per start */
    bool ok;                                   /* private: outcome on its way to the loop */
    bool is_counted;                           /* private */
    struct tr_link link;                       /* private: among the operations posted by tr_rpc_op_post */
    struct tr_mail mail;                       /* private: way from the completion thread */
};

/* Start a batch on a call; `op->fn` comes from the pump. The operations must be legal: a refusal is a bug of ours. */
void tr_rpc_op_batch(struct tr_rpc *rpc, grpc_call *call, const grpc_op *ops, size_t ops_len,
                     struct tr_rpc_op *op, void (*fn)(struct tr_rpc_op *op, bool ok));

/* Announce that `op` was given to gRPC by another function than grpc_call_start_batch, as its tag. */
void tr_rpc_op_began(struct tr_rpc *rpc, struct tr_rpc_op *op,
                     void (*fn)(struct tr_rpc_op *op, bool ok), bool is_counted);

/* Finish `op` without gRPC, from the pump, on a later turn. */
void tr_rpc_op_post(struct tr_rpc *rpc, struct tr_rpc_op *op,
                    void (*fn)(struct tr_rpc_op *op, bool ok), bool ok);

/* Something was started or changed: look at the queue at the end of this turn. */
void tr_rpc_kick(struct tr_rpc *rpc);

/*
 * A look at the queue just after a deadline: gRPC's timer thread ends the call, and does not wake the loop.
 * Zero it; init, set at most once at a time, stop before it is freed.
 */
struct tr_rpc_alarm {
    struct tr_rpc *rpc; /* borrowed */
    struct tr_timer timer;
};
void tr_rpc_alarm_init(struct tr_rpc_alarm *alarm, struct tr_rpc *rpc);
/* `deadline_ms` 0 sets nothing. */
void tr_rpc_alarm_set(struct tr_rpc_alarm *alarm, uint64_t deadline_ms);
void tr_rpc_alarm_stop(struct tr_rpc_alarm *alarm);

grpc_completion_queue *tr_rpc_queue(struct tr_rpc *rpc);
struct tr_loop *tr_rpc_loop(struct tr_rpc *rpc);

/* Before the first server: let gRPC's servers accept through rpc_accept.c. Harmless when done. */
void tr_rpc_accept_init(void);

/* Servers and channels announce themselves, so that closing under them is caught. */
void tr_rpc_hold(struct tr_rpc *rpc);
void tr_rpc_release(struct tr_rpc *rpc);

/* --- credentials ---------------------------------------------------------------------------------------------- */

/* Either may be NULL when the object is only for the other side. */
struct tr_rpc_creds {
    grpc_channel_credentials *channel; /* owned */
    grpc_server_credentials *server;   /* owned */
};

/* --- conversions ---------------------------------------------------------------------------------------------- */

/* Arguments of a channel or server. */
#define TR_RPC_ARGS_MAX 32
struct tr_rpc_args {
    grpc_arg args[TR_RPC_ARGS_MAX];
    size_t len;
};
void tr_rpc_args_int(struct tr_rpc_args *args, const char *key, uint64_t value);
/* `value` must outlive the use of `args`. */
void tr_rpc_args_text(struct tr_rpc_args *args, const char *key, const char *value);
/* Those that every channel and server has. */
void tr_rpc_args_common(struct tr_rpc_args *args, uint64_t keepalive_ms, uint64_t keepalive_timeout_ms,
                        size_t metadata_bytes_max);

static inline struct tr_slice tr_rpc_borrow(const grpc_slice *slice)
{
    return tr_slice(GRPC_SLICE_START_PTR(*slice), GRPC_SLICE_LENGTH(*slice));
}

/* gRPC's form of a deadline in loop time, 0 for none; and back. */
gpr_timespec tr_rpc_deadline_to(struct tr_loop *loop, uint64_t deadline_ms);
uint64_t tr_rpc_deadline_from(struct tr_loop *loop, gpr_timespec deadline);

/* A list of metadata as gRPC wants it, alive until its batch is done. */
struct tr_rpc_md_out {
    grpc_metadata *pairs; /* owned */
    size_t len;
};
void tr_rpc_md_out_init(struct tr_rpc_md_out *out, const struct tr_rpc_md *md);
void tr_rpc_md_out_fini(struct tr_rpc_md_out *out);

/* Copy what gRPC received and let go of gRPC's memory at once: its slices pin whole read buffers. */
void tr_rpc_md_take(struct tr_rpc_md *md, grpc_metadata_array *array);

grpc_byte_buffer *tr_rpc_bytes_new(struct tr_slice bytes);
/* Append the message to `buf` and destroy it. False if gRPC cannot read (decompress) it. */
bool tr_rpc_bytes_take(struct tr_buf *buf, grpc_byte_buffer *bytes);

/* grpc-go's texts for messages above a limit. Source: google.golang.org/grpc rpc_util.go recv, stream.go SendMsg. */
void tr_rpc_text_recv_limit(struct tr_buf *out, size_t bytes, size_t bytes_max);
void tr_rpc_text_send_limit(struct tr_buf *out, size_t bytes, size_t bytes_max);

/* "ip:port" of gRPC's "ipv4:ip:port", "ipv6:%5Bip%5D:port"; others as they are. */
void tr_rpc_peer_text(struct tr_buf *out, grpc_call *call);

/* --- the two directions of a stream --------------------------------------------------------------------------- */

/* Sends and receives of one call, used by both sides. At most one of each is in flight. */
struct tr_rpc_flow {
    struct tr_rpc *rpc;                               /* borrowed */
    grpc_call *call;                                  /* borrowed */
    size_t message_bytes_max;
    uint64_t deadline_ms; /* server: of the call, 0 for none */
    bool is_server;
    bool is_over;     /* nothing more comes or goes: end operations without gRPC */
    bool is_canceled; /* server: an end of the messages is a loss, not a half-close */
    /* A message that the call cannot go on after; before its receiver is told. NULL allowed. */
    void (*on_bad_message)(struct tr_rpc_flow *flow, const struct tr_err *err);
    void (*on_idle)(struct tr_rpc_flow *flow);        /* a send or receive came back, after its user's callback */
    struct tr_rpc_recv *recv;                         /* the user's, while in flight */
    struct tr_rpc_send *send;                         /* the user's, while in flight */
    struct tr_rpc_op recv_op;
    struct tr_rpc_op send_op;
    grpc_byte_buffer *in;
    grpc_byte_buffer *out;
};
void tr_rpc_flow_recv(struct tr_rpc_flow *flow, struct tr_rpc_recv *recv);
void tr_rpc_flow_send(struct tr_rpc_flow *flow, struct tr_rpc_send *send);

#endif
