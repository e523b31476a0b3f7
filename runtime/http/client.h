/*
 * HTTP client: calls to one host and port over pooled connections, HTTP/1.1 or HTTP/2 in clear text by prior knowledge.
 *
 * A call takes a connection that is idle, else a new one is made, else it waits in order of arrival. Redirects are not
 * followed. A call on a kept connection that the server closed before the first byte of an answer is sent once more on a
 * new one if its method is idempotent by RFC 9110 9.2.2 and it may be (`is_replayable`); nothing else is ever sent twice.
 *
 *   HTTP/1.1: CONNECTING --> BUSY <--> IDLE --> gone        one call at a time on a connection
 *   HTTP/2:   CONNECTING --> OPEN ------------> gone        many
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

/* Zero stands for the default in parentheses. */
struct tr_http_client_conf {
    struct tr_slice host;        /* name or number, without brackets; copied */
    uint16_t port;
    enum tr_http_protocol protocol;
    uint32_t connections_max;    /* (1024) beyond, calls wait */
    uint32_t idle_max;           /* (64) kept without a call; beyond, closed */
    uint32_t calls_max;          /* (65536) started and not done; beyond: TR_LIMIT */
    uint64_t idle_ms;            /* (90 s) an idle connection is closed after this */
    uint64_t connect_ms;         /* (30 s) limit of connecting */
    size_t header_bytes_max;     /* (64 KiB) of an answer's head; beyond: TR_LIMIT */
    bool short_body_ok;          /* a body that ends by closing before its Content-Length counts as complete */
};

struct tr_http_client *tr_http_client_new(struct tr_loop *loop, const struct tr_http_client_conf *conf);
/* Refuse new calls, cancel those open, close all connections, free the client, then call back on a later turn. */
void tr_http_client_close(struct tr_http_client *client, void (*cb)(void *ctx), void *ctx);

/*
 * One request and its answer. Fill the inputs, start, leave the struct alone until `cb`; `cb` may free it.
 *
 * Errors: TR_UNAVAILABLE (nobody listens), TR_EOF (closed before an answer), TR_IO, TR_INVALID (not HTTP), TR_LIMIT (head,
 * body or queue), TR_DEADLINE, TR_CANCELED, TR_CLOSED.
 */
struct tr_http_call {
    struct tr_slice method;                /* in, all borrowed until cb; a token */
    struct tr_slice target;                /* in: path and query as they go on the wire */
    const struct tr_http_headers *headers; /* in, or NULL; Host, length and hop-by-hop entries are left out */
    struct tr_slice body;                  /* in */
    bool has_body;                         /* in: send a length even if the body is empty */
    bool is_replayable;                    /* in: may be sent twice if the method is idempotent */
    uint64_t body_bytes_max;               /* in: of the answer; beyond: TR_LIMIT; 0 for no limit */
    uint64_t deadline_ms;                  /* in: loop time, 0 for none */
    void (*cb)(struct tr_http_call *call); /* in: called once, on the loop thread */
    struct tr_err err;                     /* out */
    int status;                            /* out */
    struct tr_http_headers headers_out;    /* out, the caller's: move it or free it */
    struct tr_buf body_out;                /* out, the same */
    bool has_head;                         /* readable meanwhile: the answer's headers have arrived */
    struct tr_op op;                       /* private, as all below */
    struct tr_http_client *client;
    struct tr_http_client_conn *conn;
    struct tr_link wait; /* in the queue for a connection */
    struct tr_timer due;
    int32_t stream_id;   /* HTTP/2 */
    size_t body_at;
    bool was_sent_again;
};
void tr_http_call_start(struct tr_http_client *client, struct tr_http_call *call);
/* HTTP/1.1 closes the connection, HTTP/2 resets the stream; cb comes with TR_CANCELED, or the result if too late. */
void tr_http_call_cancel(struct tr_http_call *call);
/* Free what the outcome owns; harmless before the start and after things were moved. */
void tr_http_call_fini(struct tr_http_call *call);

#endif
