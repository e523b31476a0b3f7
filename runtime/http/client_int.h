/* What the files of the client share. */
#ifndef TR_HTTP_CLIENT_INT_H
#define TR_HTTP_CLIENT_INT_H

#include <llhttp.h>
#include <nghttp2/nghttp2.h>

#include "runtime/base/net.h"
#include "runtime/http/client.h"

enum conn_state {
    CONN_CONNECTING,
    CONN_IDLE, /* HTTP/1.1 without a call */
    CONN_BUSY, /* HTTP/1.1 with one; HTTP/2 while open */
    CONN_CLOSING,
};

struct tr_http_client {
    struct tr_loop *loop; /* borrowed */
    struct tr_http_client_conf conf;
    char *host;           /* owned */
    struct tr_buf authority; /* "host:port" for the Host header */
    struct tr_link calls;    /* of tr_http_call.op.link: every open call */
    struct tr_link conns;    /* of conn.link */
    struct tr_link waiting;  /* of wait.link: calls without a connection, in order */
    uint32_t calls_len;
    uint32_t conns_len;
    uint32_t connecting_len;
    uint32_t idle_len;
    uint32_t waiting_len;
    bool is_closing;
    void (*on_closed)(void *ctx);
    void *closed_ctx; /* borrowed */
    struct tr_defer closed;
};

struct tr_http_client_conn {
    struct tr_http_client *client; /* borrowed */
    struct tr_link link;
    struct tr_connect connect;
    struct tr_stream *stream;      /* owned from connected to closed */
    struct tr_timer idle;
    enum conn_state state;
    bool was_used; /* has served a call before */
    /* writing: what is in flight is out_busy, what comes after it is out */
    struct tr_buf out;
    struct tr_buf out_busy;
    struct tr_slice out_slice;
    struct tr_write write;
    bool is_writing;
    /* HTTP/1.1 */
    struct tr_http_call *call; /* borrowed; NULL when idle or when it was canceled */
    llhttp_t parser;
    struct tr_buf name;  /* header under way */
    struct tr_buf value;
    size_t head_bytes;
    bool has_bytes;      /* a byte of the answer has arrived */
    bool is_complete;
    bool keeps_alive;
    struct tr_err failure; /* found inside the parser */
    /* HTTP/2 */
    nghttp2_session *session; /* owned */
    uint32_t streams_len;
};

/* client.c */
void client_call_fail(struct tr_http_call *call, const struct tr_err *err);
void client_call_done(struct tr_http_call *call);
void client_conn_close(struct tr_http_client_conn *conn);
void client_conn_failed(struct tr_http_client_conn *conn, const struct tr_err *err);
void client_conn_ready(struct tr_http_client_conn *conn);
/* Send what is in `out`, now if nothing is under way. */
void client_conn_flush(struct tr_http_client_conn *conn);
/* Take a call that fails because its kept connection was closed back into the queue, if it may be sent once more. */
bool client_call_again(struct tr_http_call *call);
/* Is this header written by the client itself, or not to be passed on? */
bool client_header_skipped(struct tr_slice name);

/* client_h1.c */
void client_h1_send(struct tr_http_client_conn *conn, struct tr_http_call *call);
void client_h1_read(struct tr_http_client_conn *conn, struct tr_slice bytes, const struct tr_err *err);

/* client_h2.c */
void client_h2_open(struct tr_http_client_conn *conn);
void client_h2_send(struct tr_http_client_conn *conn, struct tr_http_call *call);
void client_h2_read(struct tr_http_client_conn *conn, struct tr_slice bytes, const struct tr_err *err);
void client_h2_cancel(struct tr_http_client_conn *conn, struct tr_http_call *call);
void client_h2_fini(struct tr_http_client_conn *conn);

#endif
