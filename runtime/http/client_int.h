/* What the files of the client share. */
#ifndef TR_HTTP_CLIENT_INT_H
#define TR_HTTP_CLIENT_INT_H

#include <llhttp.h>
#include <nghttp2/nghttp2.h>

#include "runtime/base/net.h"
#include "runtime/http/client.h"
#include "runtime/http/http_int.h"

#define CLIENT_INFORMATIONAL_MAX 16U /* 1xx answers before the real one; beyond: TR_INVALID */

/* --- the parser of HTTP/1.1 answers (client_h1_parse.c) --------------------------------------- */

enum client_parsed {
    CLIENT_PARSED_MORE,     /* needs more bytes */
    CLIENT_PARSED_COMPLETE, /* the answer is complete; `rest` bytes behind it were not read */
    CLIENT_PARSED_FAILED,   /* `err` says why */
    CLIENT_PARSED_GONE,     /* the call ended from inside a callback */
};

struct client_parser {
    llhttp_t llhttp;
    struct tr_http_call *call; /* borrowed: what is filled and called */
    size_t head_bytes_max;
    size_t head_bytes;      /* of status lines, headers, chunk extensions, trailers */
    unsigned informational; /* 1xx answers so far */
    bool is_name_open;      /* the last bytes of headers were of a name */
    bool has_bytes;         /* a byte of the answer has arrived */
    bool is_complete;
    bool keeps_alive;
    size_t rest;
    struct tr_err err;
};

void client_parser_init(struct client_parser *parser, struct tr_http_call *call,
                        size_t head_bytes_max);
/* The call's on_head and on_body are called from inside. */
enum client_parsed client_parser_feed(struct client_parser *parser, struct tr_slice bytes);
/* The connection ended in order: COMPLETE if that is how this answer ends, else FAILED. */
enum client_parsed client_parser_eof(struct client_parser *parser);
/* The answer whose head has come says how long its body is. */
bool client_parser_has_length(const struct client_parser *parser);

/* --- client and connections (client.c) -------------------------------------------------------- */

enum conn_state {
    CONN_CONNECTING,
    CONN_IDLE, /* HTTP/1.1 without a call */
    CONN_BUSY, /* HTTP/1.1 with one; HTTP/2 while open */
    CONN_CLOSING,
};

struct tr_http_client {
    struct tr_loop *loop; /* borrowed */
    struct tr_http_client_conf conf;
    char *host;              /* owned */
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
    struct tr_stream *stream; /* owned from connected to closed */
    struct tr_timer idle;
    enum conn_state state;
    bool was_used; /* has served a call before */
    /* writing: what is in flight is out_busy, what comes after it is out */
    struct tr_buf out;
    struct tr_buf out_busy;
    struct tr_slice out_slice;
    struct tr_write write;
    bool is_writing;
    struct tr_defer flush;
    /* HTTP/1.1 */
    struct tr_http_call *call; /* borrowed; NULL when idle or when it was canceled */
    struct client_parser parser;
    bool is_unsent; /* nothing of the call's request was taken by the system */
    /* HTTP/2 */
    nghttp2_session *session; /* owned */
    uint32_t streams_len;
    bool is_in_session; /* nghttp2 is on the stack; for an assertion */
    bool is_going_away; /* takes no new calls */
};

void client_conn_close(struct tr_http_client_conn *conn);
/* HTTP/1.1: the connection is lost; what it served fails, or goes on elsewhere. */
void client_conn_failed(struct tr_http_client_conn *conn, const struct tr_err *err);
/* It can take calls: give it those that wait, or let it rest. */
void client_conn_ready(struct tr_http_client_conn *conn);
/* Send what is in `out`, now if nothing is under way. */
void client_conn_flush(struct tr_http_client_conn *conn);
/* The same at the end of the turn, with what nghttp2 has to say. */
void client_conn_flush_soon(struct tr_http_client_conn *conn);
/* Bytes that wait for the server. */
size_t client_conn_pending(const struct tr_http_client_conn *conn);
void client_conn_rest(struct tr_http_client_conn *conn);
/* Give waiting calls to connections that can take them, and make the connections that are missing.
 */
void client_serve_waiting(struct tr_http_client *client);
/* After the last call and connection of a closing client: finish it. */
void client_finish_if_over(struct tr_http_client *client);
/* Is this header written by the client itself, or not to be passed on? */
bool client_header_skipped(struct tr_slice name);

/* --- calls (client_call.c) -------------------------------------------------------------------- */

/* The result stands; the callback comes on a later turn. */
void client_call_done(struct tr_http_call *call);
void client_call_fail(struct tr_http_call *call, const struct tr_err *err);
/* Take a call whose connection was lost back into the queue, if it may be sent once more. */
bool client_call_again(struct tr_http_call *call, bool is_unsent);
/* The answer's head is there. May end the call: see tr_op_is_started(). */
void client_call_head(struct tr_http_call *call);
/* The next bytes of the answer's body. May end the call. False, with call->err set, if it is too
 * long. */
bool client_call_body(struct tr_http_call *call, struct tr_slice piece);
/* The answer is complete: done, or when the pause ends. */
void client_call_over(struct tr_http_call *call);
/* Less than before waits for the server: tell on_drain, if it is owed. */
void client_call_drained(struct tr_http_call *call, size_t waiting);
/* Is the request's body a stream of unknown length? */
bool client_call_is_chunked(const struct tr_http_call *call);
/* Give up the call's connection or stream. */
void client_call_abandon(struct tr_http_call *call);

/* --- protocols -------------------------------------------------------------------------------- */

void client_h1_send(struct tr_http_client_conn *conn, struct tr_http_call *call);
void client_h1_read(void *ctx, struct tr_slice bytes, const struct tr_err *err);
/* More of a streamed request is in call->out, or it has ended. */
void client_h1_pull(struct tr_http_client_conn *conn);
/* The pause began or ended. */
void client_h1_hold(struct tr_http_client_conn *conn, bool is_paused);

void client_h2_open(struct tr_http_client_conn *conn);
void client_h2_send(struct tr_http_client_conn *conn, struct tr_http_call *call);
void client_h2_read(void *ctx, struct tr_slice bytes, const struct tr_err *err);
void client_h2_pull(struct tr_http_client_conn *conn, struct tr_http_call *call);
void client_h2_cancel(struct tr_http_client_conn *conn, struct tr_http_call *call);
/* `len` bytes of the answer were taken by the call: widen its window. */
void client_h2_consumed(struct tr_http_client_conn *conn, struct tr_http_call *call, size_t len);
/* Move what the session wants to send to `out`; true if it stopped because that is full. Never
 * inside nghttp2. */
bool client_h2_pump(struct tr_http_client_conn *conn);
/* After sending: close it if the session has ended. */
void client_h2_close_if_over(struct tr_http_client_conn *conn);
void client_h2_fini(struct tr_http_client_conn *conn);

#endif
