/*
 * gRPC core turned into operations on our loop.
 *
 * One `struct tr_rpc` per process owns gRPC's completion queue and the pump that empties it. Servers
 * (invoke/rpc_server.h) and channels (invoke/rpc_client.h) are made from it. Callers see slices, buffers, metadata and
 * status numbers; no type of gRPC leaves invoke/rpc*.c. Everything here belongs to the loop thread, and every callback
 * comes from the loop on a later turn.
 *
 * The pump. gRPC watches its sockets with one epoll descriptor. That descriptor is nested in the loop: when it becomes
 * readable, or when we started something, the queue is drained with a zero deadline at the end of the turn, so gRPC's
 * own input and output run on the loop thread and a call costs no change of threads. Events that come from gRPC's timer
 * threads (deadlines, keepalive) do not make the descriptor readable; a fallback timer finds them, fast after activity,
 * slower and slower in silence, and not at all when nothing is in flight. Where no such descriptor is found, a
 * completion thread blocks on the queue and posts each event to the loop; it decides nothing.
 *
 * A status is data, not an error of ours: an operation of this module ends with gRPC's status number and the whole
 * message. tr_rpc_status_err() makes a tr_err of it (the text may be cut there) for callers that treat it as one.
 */
#ifndef TR_INVOKE_RPC_H
#define TR_INVOKE_RPC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "runtime/base/buf.h"
#include "runtime/base/err.h"
#include "runtime/base/slice.h"

struct tr_loop;
struct tr_rpc;

/*
 * Credentials of one process for TLS, for channels, servers or both. NULL wherever a `creds` field is means cleartext.
 * Channels and servers take their own reference, so the owner may free its own at any time.
 */
struct tr_rpc_creds;

/* Default limit of one message in both directions. Source: Dapr's --max-body-size default, grpc-go's default. */
#define TR_RPC_MESSAGE_BYTES_MAX ((size_t)4 * 1024 * 1024)

/* gRPC status numbers that this module itself gives. Source: google.golang.org/grpc/codes. */
enum tr_rpc_status {
    TR_RPC_OK = 0,
    TR_RPC_CANCELED = 1,
    TR_RPC_UNKNOWN = 2,
    TR_RPC_INVALID_ARGUMENT = 3,
    TR_RPC_DEADLINE_EXCEEDED = 4,
    TR_RPC_NOT_FOUND = 5,
    TR_RPC_ALREADY_EXISTS = 6,
    TR_RPC_PERMISSION_DENIED = 7,
    TR_RPC_RESOURCE_EXHAUSTED = 8,
    TR_RPC_FAILED_PRECONDITION = 9,
    TR_RPC_ABORTED = 10,
    TR_RPC_OUT_OF_RANGE = 11,
    TR_RPC_UNIMPLEMENTED = 12,
    TR_RPC_INTERNAL = 13,
    TR_RPC_UNAVAILABLE = 14,
    TR_RPC_DATA_LOSS = 15,
    TR_RPC_UNAUTHENTICATED = 16,
};

struct tr_rpc_conf {
    bool use_thread; /* drive the queue from a completion thread even where the descriptor is found */
};

/*
 * Start gRPC and its pump on `loop`. The first call in a process must come before other threads exist, because it sets
 * gRPC's environment variables.
 *
 * Errors: TR_EXISTS when another tr_rpc is open in this process (gRPC's poller is one per process).
 */
TR_MUST_USE enum tr_code tr_rpc_new(struct tr_loop *loop, const struct tr_rpc_conf *conf,
                                    struct tr_rpc **out_rpc, struct tr_err *err);

typedef void tr_rpc_closed_fn(void *ctx);

/* Stop the pump and free it, then call `cb`. All servers and channels must have been closed before. */
void tr_rpc_close(struct tr_rpc *rpc, tr_rpc_closed_fn *cb, void *ctx);

/* Is the queue driven from gRPC's epoll descriptor (or else from a completion thread)? For logs and tests. */
bool tr_rpc_uses_epoll(const struct tr_rpc *rpc);

/* How often the queue was drained so far, for tests and metrics: silence must not add to it. */
uint64_t tr_rpc_drains(const struct tr_rpc *rpc);

/* --- metadata ------------------------------------------------------------------------------------------------- */

/*
 * An ordered list of key and value pairs; keys may repeat. All zero is a valid empty list. Keys are lower case;
 * values of keys that end in "-bin" are raw bytes (gRPC does base64 on the wire), others are printable ASCII.
 */
struct tr_rpc_md {
    struct tr_buf pairs; /* private */
    size_t len;          /* number of pairs */
};

void tr_rpc_md_fini(struct tr_rpc_md *md);
void tr_rpc_md_clear(struct tr_rpc_md *md);
/*
 * Append a pair; the key is made lower case. A pair that gRPC cannot carry (illegal characters, pseudo headers, the
 * protocol's own keys such as grpc-timeout, te, content-type, user-agent) is left out when the list is sent.
 */
void tr_rpc_md_add(struct tr_rpc_md *md, struct tr_slice key, struct tr_slice value);
void tr_rpc_md_move(struct tr_rpc_md *to, struct tr_rpc_md *from);

struct tr_rpc_md_iter {
    size_t at; /* private, start with 0 */
};
/* Next pair in order, false at the end. Owns: both slices are borrowed from `md` until its next change. */
bool tr_rpc_md_next(const struct tr_rpc_md *md, struct tr_rpc_md_iter *iter, struct tr_slice *out_key,
                    struct tr_slice *out_value);
/* First value of `key` (lower case); false if there is none. */
bool tr_rpc_md_get(const struct tr_rpc_md *md, const char *key, struct tr_slice *out_value);

/* --- messages of a stream, the same on both sides ----------------------------------------------------------------- */

/*
 * Receive the next message of a stream. At most one per call is outstanding: not asking for the next one is what holds
 * the sender back.
 *
 * Exactly one of these is the outcome: err.code is TR_OK and has_message is true; err.code is TR_OK and has_message is
 * false: the other side will send no more (on the client this stands also for a lost or cancelled call: the final
 * status, which follows by itself, tells); or err.code says why there is nothing: TR_CANCELED (server: the call was
 * cancelled, lost, or ended by us), TR_LIMIT (message above the limit; the text is Go's. A client's call then ends with
 * it; a handler should end its call with it), TR_INTERNAL (the message cannot be decompressed; likewise).
 */
struct tr_rpc_recv {
    void (*cb)(struct tr_rpc_recv *recv); /* in */
    struct tr_err err;                    /* out */
    bool has_message;                     /* out */
    struct tr_buf message;                /* out, now the caller's: move it or tr_buf_fini */
};

/*
 * Send one message on a stream. At most one per call is outstanding. The callback says that gRPC has taken the message
 * and flow control lets the next one through, not that the peer has it.
 *
 * Errors: TR_CANCELED when the call is over or cancelled, TR_LIMIT when the message is above the limit (nothing is sent
 * and the call goes on).
 */
struct tr_rpc_send {
    struct tr_slice message;              /* in, copied by _start */
    void (*cb)(struct tr_rpc_send *send); /* in */
    struct tr_err err;                    /* out */
};

/* --- status ------------------------------------------------------------------------------------------------------- */

/* Make a tr_err of a status other than 0 and its message. Returns the code. Thread: any. */
enum tr_code tr_rpc_status_err(int status, struct tr_slice message, struct tr_err *err);

#endif
