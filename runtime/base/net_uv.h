/* What the files of net on libuv share. */
#ifndef TR_BASE_NET_UV_H
#define TR_BASE_NET_UV_H

#include "runtime/base/loop_uv.h"
#include "runtime/base/net.h"

#define TR_STREAM_MAGIC 0x57e4a3f1U
#define TR_NET_KEEP_ALIVE_S                                                                        \
    15U /* idle seconds before TCP probes the other side; Go's net package does the same */

struct tr_stream {
    uint32_t magic;
    bool is_unix;
    bool is_reading;
    bool is_read_over; /* the end was reported */
    bool is_shut;      /* tr_stream_shutdown() was called */
    bool is_fin_sent;  /* and passed on */
    bool is_flying;    /* req.write is libuv's */
    bool is_closing;
    bool is_uv_closed;
    int write_status;     /* what broke writing, 0 for nothing */
    struct tr_loop *loop; /* borrowed */
    union {
        uv_handle_t handle;
        uv_stream_t stream;
        uv_tcp_t tcp;
        uv_pipe_t pipe;
    } uv;
    union { /* never both at a time */
        uv_connect_t connect;
        uv_write_t write;
    } req;
    uv_shutdown_t shut_req;
    struct tr_connect_impl *connect; /* borrowed while it connects, else NULL */
    tr_read_fn *on_read;
    void *read_ctx;        /* borrowed */
    struct tr_link writes; /* of tr_write.op, oldest first: those not wholly written */
    size_t writes_open;    /* those whose cb has not come */
    size_t pending;        /* bytes of `writes` */
    size_t pending_max;
    size_t flying; /* bytes given to libuv */
    void (*on_closed)(void *ctx);
    void *closed_ctx; /* borrowed */
    char *peer;       /* owned, NULL until asked for */
    char *local;      /* owned, NULL until asked for */
};

/* A stream without a connection, to be connected or closed. */
struct tr_stream *tr_stream_new(struct tr_loop *loop, bool is_unix);
/*
 * Accept a connection; -1 and errno as accept4(2) gives them. Not that function itself: a program may have one of its own,
 * for gRPC (invoke/rpc_accept.c), that hides the causes of failures.
 */
int tr_net_accept(int fd);
/* A stream of an accepted descriptor, which it owns from now on. NULL, with the descriptor closed,
 * if libuv refuses. */
struct tr_stream *tr_stream_adopt(struct tr_loop *loop, int fd, bool is_unix);
/* "127.0.0.1:80", "[::1]:80", or "" for other families. IPv4 in IPv6 is written as IPv4. */
void tr_sockaddr_text(const struct sockaddr_storage *addr, char out_text[TR_NET_ADDRESS_TEXT_MAX]);

#endif
