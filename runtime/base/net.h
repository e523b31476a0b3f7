/*
 * Byte streams over TCP and unix sockets.
 *
 * A stream comes from a listener or from a connect operation and is then its receiver's, who ends
 * it with tr_stream_close(). Reading costs no memory while nothing arrives: all streams of a loop
 * share one buffer, and what is read is borrowed by on_read for the length of the call. Writing
 * tries the socket at once, and queues what does not fit; whoever writes looks at
 * tr_stream_pending() and holds back its source while too much is waiting.
 *
 * Sockets: TCP_NODELAY and keep-alive are on, SIGPIPE never comes, descriptors are not inherited by
 * children.
 */
#ifndef TR_BASE_NET_H
#define TR_BASE_NET_H

#include <stdint.h>

#include "runtime/base/err.h"
#include "runtime/base/loop.h"
#include "runtime/base/op.h"
#include "runtime/base/slice.h"

#define TR_NET_BACKLOG          1024         /* connections that the system keeps for a listener */
#define TR_NET_READ_BYTES       65536        /* most that one on_read gets */
#define TR_NET_PENDING_MAX      (64U << 20U) /* default of tr_stream_pending_max_set() */
#define TR_NET_WRITES_MAX       4096 /* write operations open on one stream; beyond: TR_LIMIT */
#define TR_NET_ADDRESSES_MAX    8    /* addresses of a name that a connect tries */
#define TR_NET_ACCEPT_RETRY_MS  100  /* pause after accept ran out of descriptors or memory */
#define TR_NET_ADDRESS_TEXT_MAX 64   /* "[address%scope]:port" and NUL */
#define TR_NET_UNIX_PATH_MAX    107  /* bytes of a unix socket's path */

struct tr_stream;
struct tr_listener;

/* --- listening -------------------------------------------------------------------------------- */

/* A new connection, the receiver's to close; it must set up reading or close it, now or later. */
typedef void tr_accept_fn(void *ctx, struct tr_stream *stream);

/*
 * Listen on a numeric address; "" means all interfaces, IPv4 and IPv6; "localhost" means 127.0.0.1.
 * Port 0 lets the system choose: see tr_listener_port(). When descriptors run out, accepting pauses
 * for TR_NET_ACCEPT_RETRY_MS and goes on.
 *
 * Errors: TR_INVALID, no numeric address; TR_EXISTS, the address is taken; TR_PERMISSION; TR_IO.
 */
TR_MUST_USE enum tr_code tr_listen_tcp(struct tr_loop *loop, const char *host, uint16_t port,
                                       tr_accept_fn *on_accept, void *ctx,
                                       struct tr_listener **out_listener, struct tr_err *err);

/*
 * The same on a unix socket. The file is removed when the listener is closed. One that is there already is taken: only a
 * socket that nobody listens on, left over by a process that was killed, makes way.
 */
TR_MUST_USE enum tr_code tr_listen_unix(struct tr_loop *loop, const char *path,
                                        tr_accept_fn *on_accept, void *ctx,
                                        struct tr_listener **out_listener, struct tr_err *err);

/* The port listened on, 0 for a unix socket. */
uint16_t tr_listener_port(const struct tr_listener *listener);

/* Accept no more and leave NULL behind; the port is free at once, the memory on a later turn. */
void tr_listener_close(struct tr_listener **listener);

/* --- connecting ------------------------------------------------------------------------------- */

/*
 * Connect to host and port, or to a unix socket. A name is looked up on another thread; its
 * addresses are tried one after the other until one answers.
 *
 * Errors: TR_UNAVAILABLE, nobody listens or no route; TR_NOT_FOUND, no such name; TR_DEADLINE;
 * TR_CANCELED; TR_INVALID; TR_IO. The text is that of Go's net package: "dial tcp 127.0.0.1:80:
 * connect: connection refused".
 */
struct tr_connect {
    struct tr_slice host;      /* in, borrowed until cb: name or numeric address (no brackets) */
    uint16_t port;             /* in */
    struct tr_slice unix_path; /* in, borrowed until cb: if not empty, instead of host and port */
    uint64_t deadline_ms;      /* in, loop time, 0 for none */
    void (*cb)(
        struct tr_connect *connect); /* in, called once, on the loop thread; may free the struct */
    struct tr_err err;               /* out */
    struct tr_stream *stream;        /* out, the caller's to close; NULL on error */
    struct tr_op op;                 /* private */
    struct tr_connect_impl *impl;    /* private */
};

void tr_connect_start(struct tr_loop *loop, struct tr_connect *connect);
/* cb comes with TR_CANCELED, or with the result if it was too late. */
void tr_connect_cancel(struct tr_connect *connect);

/* --- reading ---------------------------------------------------------------------------------- */

/*
 * Bytes came: `err` is NULL and `bytes` (not empty) is borrowed until the call returns. Or reading
 * ended: `bytes` is empty and err->code is TR_EOF for an orderly end of the other side (writing
 * still works), TR_IO for a reset or another fault; no further call comes. The stream may be
 * stopped, written to and closed from inside.
 */
typedef void tr_read_fn(void *ctx, struct tr_slice bytes, const struct tr_err *err);

/* Read from the next turn on, until _read_stop, the end, or close. Again after _read_stop; while it
 * reads, this only changes the receiver. After the end was reported it must not be called. */
void tr_stream_read_start(struct tr_stream *stream, tr_read_fn *on_read, void *ctx);
/* No on_read after this, so a reset goes unnoticed. The other side is held back by TCP. Harmless
 * when not reading. */
void tr_stream_read_stop(struct tr_stream *stream);

/* --- writing ---------------------------------------------------------------------------------- */

/*
 * Write the slices one behind the other, in the order of the starts. The bytes and the array of
 * slices are borrowed until cb, which comes when the system has taken all of them, not when they
 * arrived. There is no cancel: close the stream.
 *
 * Errors: TR_IO, the connection broke ("write: broken pipe"); TR_CANCELED, the stream was closed;
 * TR_LIMIT, more than the stream's limit would wait (nothing of it was written); TR_CLOSED, after
 * tr_stream_shutdown(). After TR_IO everything later fails too.
 */
struct tr_write {
    const struct tr_slice *slices;      /* in, borrowed until cb */
    size_t slices_len;                  /* in */
    void (*cb)(struct tr_write *write); /* in, called once, on the loop thread; may free the struct,
                                           close the stream */
    struct tr_err err;                  /* out */
    struct tr_op op;                    /* private */
    struct tr_stream *stream;           /* private, borrowed */
    size_t at;                          /* private: first slice that is not wholly written */
    size_t at_done;                     /* private: bytes of it that are */
    size_t left;                        /* private: bytes not written */
};

void tr_write_start(struct tr_stream *stream, struct tr_write *write);

/*
 * Write at once what the socket takes without waiting, and return how many bytes that was: 0 when
 * writes are waiting, when the buffer is full, or when the connection is broken (the next
 * tr_write_start() tells). The cheapest way for an answer that fits: nothing is kept, no callback
 * comes. Start a tr_write for the rest.
 */
size_t tr_stream_try_write(struct tr_stream *stream, const struct tr_slice *slices,
                           size_t slices_len);

/* Bytes started and not yet taken by the system. Falls as write operations complete. Cost: a load.
 */
size_t tr_stream_pending(const struct tr_stream *stream);

/* Refuse a write that would make more than this many bytes wait, unless nothing is waiting. */
void tr_stream_pending_max_set(struct tr_stream *stream, size_t bytes);

/* Half close: when all writes started so far are done, the other side sees the end. Reading goes
 * on. No write after it. */
void tr_stream_shutdown(struct tr_stream *stream);

/* --- end -------------------------------------------------------------------------------------- */

/*
 * Close. No on_read any more; open writes come back with TR_CANCELED on a later turn; then
 * `on_closed(ctx)`, if not NULL, once and last, and the stream is gone. Not twice. Bytes that the
 * system has taken are still delivered.
 */
void tr_stream_close(struct tr_stream *stream, void (*on_closed)(void *ctx), void *ctx);

/* The same, but the other side of a TCP connection sees a reset and never an orderly end. */
void tr_stream_close_reset(struct tr_stream *stream, void (*on_closed)(void *ctx), void *ctx);

/* Text of the addresses, "127.0.0.1:80" or "[::1]:80"; "" for a unix socket, or if the connection
 * broke before the first question. Borrowed until close. Cost: a system call the first time. */
const char *tr_stream_peer(struct tr_stream *stream);
const char *tr_stream_local(struct tr_stream *stream);
bool tr_stream_is_unix(const struct tr_stream *stream);
struct tr_loop *tr_stream_loop(const struct tr_stream *stream);

#endif
