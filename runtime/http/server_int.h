/* The server's insides, shared by server.c (listening, closing) and server_conn.c (connections on streams). */
#ifndef TR_HTTP_SERVER_INT_H
#define TR_HTTP_SERVER_INT_H

#include "runtime/base/net.h"
#include "runtime/http/conn.h"

#define SERVER_LISTENERS_MAX    64U
#define SERVER_TICK_MS          250U        /* how often deadlines are looked at */
#define SERVER_LINGER_MS        1000U       /* how long a finished connection waits for the client to close its side */
#define SERVER_LINGER_BYTES_MAX (1U << 20U) /* and how much it reads meanwhile */

struct tr_http_server {
    struct tr_loop *loop; /* borrowed */
    struct http_env env;
    struct tr_listener *listeners[SERVER_LISTENERS_MAX]; /* owned */
    size_t listeners_len;
    struct tr_link conns; /* of http_conn.link */
    size_t conns_len;
    struct tr_link woken;  /* of http_conn.woken */
    struct tr_defer run;   /* runs those */
    struct tr_timer tick;  /* set while there are connections */
    struct tr_timer deadline; /* of closing */
    struct tr_defer report;   /* calls closed_cb */
    void (*closed_cb)(void *ctx);
    void *closed_ctx; /* borrowed */
    bool is_closing;
};

/* Make a connection of an accepted stream. */
void server_accept(struct tr_http_server *server, struct tr_stream *stream);
/* Look at the deadlines of all connections. */
void server_tick(struct tr_http_server *server);
/* Cut all connections. */
void server_cut(struct tr_http_server *server);
/* A connection has gone. */
void server_conn_gone(struct tr_http_server *server);

extern const struct http_wire server_wire;

#endif
