/*
 * HTTP client: calls to one host and port over pooled connections, HTTP/1.1 or HTTP/2 in clear text
 * by prior knowledge.
 *
 * A call takes a connection that is idle, else a new one is made, else it waits in order of
 * arrival. Redirects are not followed. A call is sent a second time, once and on another
 * connection, only if nothing of it can have been seen (no byte was taken, or an HTTP/2 server said
 * so), or if the server closed a kept connection before the first byte of an answer, the method is
 * idempotent by RFC 9110 9.2.2 and the caller allows it (`is_replayable`). A streamed body that has
 * begun to leave is never sent again.
 *
 *   HTTP/1.1: CONNECTING --> BUSY <--> IDLE --> gone        one call at a time on a connection
 *   HTTP/2:   CONNECTING --> BUSY ------------> gone        many
 */
#ifndef TR_HTTP_CLIENT_H
#define TR_HTTP_CLIENT_H

#include "runtime/base/err.h"
#include "runtime/base/op.h"
#include "runtime/http/http.h"

struct tr_http_client;
struct tr_http_client_conn;

enum tr_http_protocol {
    TR_HTTP_PROTOCOL_1, /* HTTP/1.1 */
    TR_HTTP_PROTOCOL_2, /* HTTP/2, prior knowledge */
};

#define TR_HTTP_CALL_HIGH_BYTES                                                                    \
    (256U << 10U) /* of a streamed request waiting for the server: _write says "wait" */

/* Zero stands for the default in parentheses. */
struct tr_http_client_conf {
    struct tr_slice host; /* name or number, without brackets; copied */
    uint16_t port;
    enum tr_http_protocol protocol;
    uint32_t connections_max; /* (1024) beyond, calls wait */
    uint32_t idle_max;        /* (64) kept without a call; those beyond are surplus */
    uint32_t calls_max;       /* (65536) started and not done; beyond: TR_LIMIT */
    uint64_t idle_ms;         /* (90 s) an idle connection is closed after this */
    /* (1 s) and a surplus one after this: bursts of calls do not connect anew each time */
    uint64_t surplus_ms;
    uint64_t connect_ms;      /* (30 s) limit of connecting */
    size_t header_bytes_max;  /* (64 KiB) of an answer's head; beyond: TR_LIMIT */
    bool short_body_ok; /* a body that ends by closing before its Content-Length counts as complete
                         */
};

struct tr_http_client *tr_http_client_new(struct tr_loop *loop,
                                          const struct tr_http_client_conf *conf);
/* Refuse new calls, cancel those open, close all connections, free the client, then call back on a
 * later turn. */
void tr_http_client_close(struct tr_http_client *client, void (*cb)(void *ctx), void *ctx);

/* For metrics and tests. */
uint32_t tr_http_client_connections(const struct tr_http_client *client);
uint32_t tr_http_client_calls(const struct tr_http_client *client);

/*
 * One request and its answer. Fill the inputs, start, leave the struct alone until `cb`; `cb` may
 * free it.
 *
 * The request's body is `body`, or comes in pieces by tr_http_call_write() (`is_streaming`). The
 * answer's body is collected in body_out, or goes to on_body() in pieces. Both may run at the same
 * time; an answer that is complete before the request's body was ends the call, and what is written
 * later is dropped. on_head and on_body come before `cb`, never from inside a function of this
 * header, and may pause, write and cancel.
 *
 * Errors: TR_UNAVAILABLE (nobody listens), TR_EOF (closed before the answer was complete), TR_IO,
 * TR_INVALID (not HTTP), TR_LIMIT (head, body or queue), TR_DEADLINE, TR_CANCELED, TR_CLOSED. If
 * has_head is set, status and headers are good.
 */
struct tr_http_call {
    struct tr_slice method; /* in, all borrowed until cb; a token */
    struct tr_slice target; /* in: path and query as they go on the wire */
    const struct tr_http_headers
        *headers;            /* in, or NULL; Host, length and hop-by-hop entries are left out */
    struct tr_slice body;    /* in */
    bool has_body;           /* in: send a length even if the body is empty */
    bool is_replayable;      /* in: may be sent twice if the method is idempotent */
    bool is_streaming;       /* in: the body comes by _write() and _write_end(); `body` is empty */
    uint64_t body_length;    /* in, if is_streaming: its exact length, or TR_HTTP_LENGTH_UNKNOWN */
    uint64_t body_bytes_max; /* in: of the answer; beyond: TR_LIMIT; 0 for no limit */
    uint64_t deadline_ms;    /* in: loop time, 0 for none */
    void (*on_head)(struct tr_http_call *call); /* in, or NULL: status, headers_out are there */
    void (*on_body)(struct tr_http_call *call,
                    struct tr_slice piece);      /* in, or NULL; borrowed for the call */
    void (*on_drain)(struct tr_http_call *call); /* in, or NULL: _write said "wait"; go on */
    void (*cb)(struct tr_http_call *call);       /* in: called once, on the loop thread */
    struct tr_err err;                           /* out */
    int status;                                  /* out */
    struct tr_http_headers headers_out;          /* out, the caller's: move it or free it */
    struct tr_buf body_out;                      /* out, the same; empty if on_body is set */
    bool has_head; /* readable meanwhile: the answer's headers have arrived */

    struct tr_op op; /* private, as all below */
    struct tr_http_client *client;
    struct tr_http_client_conn
        *conn;           /* NULL while it waits, and when the connection has done its part */
    struct tr_link wait; /* in the queue for a connection */
    struct tr_timer due;
    struct tr_defer wake;  /* deliver after a pause, tell on_drain */
    int32_t stream_id;     /* HTTP/2 */
    size_t head_bytes;     /* HTTP/2: of the answer's headers */
    size_t body_at;        /* HTTP/2: bytes of `body` that were sent */
    struct tr_buf out;     /* streamed request: written and not yet taken by a connection */
    size_t out_at;         /* HTTP/2: bytes of `out` that were sent */
    uint64_t out_left;     /* streamed request: bytes still to be written, if the length is known */
    uint64_t answer_bytes; /* of the answer's body, so far */
    struct tr_buf stash;   /* of the answer's body, held by a pause */
    bool is_out_ended;     /* _write_end was called */
    bool is_out_begun;     /* part of a streamed body has left */
    bool wants_drain;
    bool is_drain_due;
    bool is_paused;
    bool is_over; /* the answer is complete, but held by a pause */
    bool was_sent_again;
};
void tr_http_call_start(struct tr_http_client *client, struct tr_http_call *call);
/* HTTP/1.1 closes the connection, HTTP/2 resets the stream; cb comes with TR_CANCELED, or the
 * result if too late. */
void tr_http_call_cancel(struct tr_http_call *call);
/* Free what the outcome owns; harmless before the start and after things were moved. */
void tr_http_call_fini(struct tr_http_call *call);

/*
 * Give the next piece of a streamed request (copied; empty does nothing), from the start on until
 * cb. Pieces of one turn leave in one write. False when more than TR_HTTP_CALL_HIGH_BYTES wait for
 * the server: what was given is kept, but wait for on_drain before giving more. With a body_length
 * the pieces must come to exactly that.
 */
bool tr_http_call_write(struct tr_http_call *call, struct tr_slice piece);
/* The request is complete. Not twice. */
void tr_http_call_write_end(struct tr_http_call *call);

/* Stop on_body after the current piece: the server is held back by TCP or by its HTTP/2 window. cb
 * may wait too. */
void tr_http_call_pause(struct tr_http_call *call);
void tr_http_call_resume(struct tr_http_call *call);

#endif
