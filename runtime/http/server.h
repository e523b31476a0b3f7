/*
 * HTTP server: HTTP/1.1, and HTTP/2 in clear text (by prior knowledge or by upgrade), on several addresses.
 *
 * Course of one exchange: on_request() at the end of the headers. The handler sets the callbacks it wants in the
 * exchange, then reads the body (whole or in pieces) or leaves it, and answers (whole or in pieces), at once or later.
 * The exchange lives until the handler has ended it by tr_http_respond(), tr_http_respond_end() or
 * tr_http_exchange_abort(), and the connection has taken the answer or given it up; then on_close() comes, once and last.
 *
 * When the client goes away, on_abort() tells the handler to cancel its work. The exchange stays valid, answers are
 * dropped, and the handler still ends it as above (tr_http_exchange_abort() will do). No function here calls back from
 * inside. Requests of one HTTP/1 connection are handled one after the other; bytes of the next ones wait unparsed, and
 * the connection is not read beyond that. Malformed requests never reach the handler: they are answered 400, 408, 417,
 * 431, 501 or 505 and the connection is closed. A body beyond its limit is the handler's to answer.
 */
#ifndef TR_HTTP_SERVER_H
#define TR_HTTP_SERVER_H

#include "runtime/base/err.h"
#include "runtime/base/loop.h"
#include "runtime/http/http.h"

struct tr_http_server;
struct tr_http_exchange;

/* --- server -------------------------------------------------------------------------------------------------------- */

/* Zero stands for the default in parentheses, unless it says otherwise. */
struct tr_http_server_conf {
    void (*on_request)(void *ctx, struct tr_http_exchange *ex);
    void *ctx; /* borrowed */

    size_t header_bytes_max;    /* request line and headers (8 KiB); beyond: 431 and the connection is closed */
    uint32_t headers_max;       /* entries (256); beyond: 431 */
    uint64_t body_bytes_max;    /* 0: no limit; beyond, reading the body ends with TR_LIMIT "stream too large" */
    uint32_t connections_max;   /* (10,000) beyond, new ones are closed at once */
    uint64_t header_timeout_ms; /* (10 s) from connection, or first byte of a later request, to the end of headers: 408 */
    uint64_t keep_alive_ms;     /* without a request; 0: for ever */
    uint64_t idle_ms;           /* no byte moves while a body is read or an answer is written; 0: for ever */
    size_t write_high_bytes;    /* (256 KiB) bytes of an answer waiting for the client that make _write say "wait" */
    bool h2c_off;               /* no HTTP/2, neither by prior knowledge nor by upgrade */
    uint32_t h2_streams_max;    /* (250) open at a time on one connection; beyond, streams are refused */
    uint32_t h2_window_bytes;   /* (64 KiB) body bytes a client may send ahead on one stream */
    uint32_t h2_resets_max;     /* (200) streams the client may reset within 10 s; beyond: GOAWAY */
};

/* Nothing is listened on yet. `conf` is copied. */
struct tr_http_server *tr_http_server_new(struct tr_loop *loop, const struct tr_http_server_conf *conf);

/*
 * Also serve this address: a numeric host or "" for all interfaces; port 0 lets the system choose. Returns the port
 * through `out_port` (may be NULL). Errors: those of tr_listen_tcp(); the other addresses stay served.
 */
TR_MUST_USE enum tr_code tr_http_server_listen(struct tr_http_server *server, const char *host, uint16_t port,
                                               uint16_t *out_port, struct tr_err *err);
/* The same for a unix socket; the file must not exist. */
TR_MUST_USE enum tr_code tr_http_server_listen_unix(struct tr_http_server *server, const char *path,
                                                    struct tr_err *err);

/*
 * Stop listening, close idle connections, tell the others to go (Connection: close, GOAWAY) and let open exchanges
 * finish until `deadline_ms` of the loop's clock; then cut what is left, whose handlers get on_abort(). `cb` comes when
 * all exchanges are closed. A second call may only bring the deadline forward; its `cb` is ignored.
 */
void tr_http_server_close(struct tr_http_server *server, uint64_t deadline_ms, void (*cb)(void *ctx), void *ctx);
/* After the callback of _close, or when nothing was ever listened on. */
void tr_http_server_free(struct tr_http_server **server);

size_t tr_http_server_connections(const struct tr_http_server *server);
size_t tr_http_server_exchanges(const struct tr_http_server *server);

/* --- exchange: the request ----------------------------------------------------------------------------------------- */

struct tr_http_exchange {
    /* The request. Borrowed until on_close; the handler may change `headers` and move them out. */
    enum tr_http_version version;
    enum tr_http_method method;
    struct tr_slice method_text;
    struct tr_slice path;      /* raw, percent-encoded, starts with '/', or is "*"; no query */
    struct tr_slice query;     /* raw, without the '?' */
    struct tr_slice authority; /* Host or :authority; may lie in `headers` */
    struct tr_http_headers headers; /* with Host, also for HTTP/2; no pseudo headers */
    uint64_t content_length;   /* 0 for no body; TR_HTTP_LENGTH_UNKNOWN for chunked or HTTP/2 without a length */
    struct tr_buf body;        /* what tr_http_exchange_read_all() gave; may be moved out */

    /* The handler's, set in on_request(); each callback may be NULL. */
    void *user;
    void (*on_abort)(struct tr_http_exchange *ex); /* the client has gone, or the server cuts; at most once */
    void (*on_drain)(struct tr_http_exchange *ex); /* after _write said "wait": there is room again */
    void (*on_close)(struct tr_http_exchange *ex); /* last of all */
};

/* Text of the client's address, "" on a unix socket; borrowed until on_close. */
const char *tr_http_exchange_peer(const struct tr_http_exchange *ex);

/* Has on_abort() been due? An answer is still sent if the client has only closed its own side. */
bool tr_http_exchange_is_aborted(const struct tr_http_exchange *ex);

typedef void tr_http_body_fn(struct tr_http_exchange *ex, struct tr_slice piece);
/*
 * `code` is TR_OK when the body was complete. Else err says why: TR_LIMIT "stream too large"; TR_INVALID, the framing
 * is broken; TR_CANCELED, the client went away, or the handler ended the exchange before the body was read. Comes once
 * for each _read_all and _read_start, before on_close.
 */
typedef void tr_http_body_end_fn(struct tr_http_exchange *ex, const struct tr_err *err);

/*
 * Collect the body in ex->body, at most `limit` bytes (0: the server's limit), then call `cb`. A request without body
 * calls back too. One of _read_all and _read_start, once per exchange. Sends "100 Continue" if the client waits for it.
 */
void tr_http_exchange_read_all(struct tr_http_exchange *ex, uint64_t limit, tr_http_body_end_fn *cb);

/* Give the body in pieces as they come, borrowed for the call, then on_end. */
void tr_http_exchange_read_start(struct tr_http_exchange *ex, tr_http_body_fn *on_body, tr_http_body_end_fn *on_end);
/* Stop the pieces after the current one: the client is held back by TCP or by its HTTP/2 window. on_end may wait too. */
void tr_http_exchange_pause(struct tr_http_exchange *ex);
void tr_http_exchange_resume(struct tr_http_exchange *ex);

/* --- exchange: the answer ------------------------------------------------------------------------------------------ */

/*
 * Answer whole and end the exchange. Length and Connection are added, Date if `headers` has none; Content-Length and
 * hop-by-hop entries in `headers` are left out (but for "Connection: keep-alive"). `headers` may be NULL. HEAD, 204 and 304 get no body; HEAD gets the
 * length that GET would have. A request body left unread is drained (up to 256 KiB) or the connection closed. May be
 * called in on_request. Cost: one write; `body` is copied only if it is small or the socket is full.
 */
void tr_http_respond(struct tr_http_exchange *ex, int status, const struct tr_http_headers *headers,
                     struct tr_slice body);
/* The same for a body that is given away; `body` is left empty. */
void tr_http_respond_buf(struct tr_http_exchange *ex, int status, const struct tr_http_headers *headers,
                         struct tr_buf *body);
/* The same with Content-Type and no other header. */
void tr_http_respond_text(struct tr_http_exchange *ex, int status, const char *content_type, struct tr_slice body);

/*
 * Begin an answer in pieces. `content_length` is sent if known: what goes beyond is left out, and if bytes are missing
 * at the end, the client sees the answer cut off. Else the body is chunked (HTTP/1.1), ended by closing (HTTP/1.0) or by
 * the stream (HTTP/2). The head leaves with the first piece or on the next turn of the loop, whichever is first; an
 * answer ended before that, without a piece, gets "Content-Length: 0" (none for HEAD).
 */
void tr_http_respond_start(struct tr_http_exchange *ex, int status, const struct tr_http_headers *headers,
                           uint64_t content_length);
/*
 * Send a piece (copied; empty does nothing). Pieces of one turn leave in one write. Returns false when the client is
 * behind by more than write_high_bytes: what was given is kept, but wait for on_drain before giving more.
 */
bool tr_http_respond_write(struct tr_http_exchange *ex, struct tr_slice piece);
/* The same for bytes that are given away. */
bool tr_http_respond_write_buf(struct tr_http_exchange *ex, struct tr_buf *piece);
/* The answer is complete: ends the exchange. */
void tr_http_respond_end(struct tr_http_exchange *ex);

/* Bytes of the answer that wait for the client. */
size_t tr_http_exchange_pending(const struct tr_http_exchange *ex);

/*
 * Give up and end the exchange: the client sees a cut connection or a reset stream, never a complete answer. After
 * on_abort this is how to let go.
 */
void tr_http_exchange_abort(struct tr_http_exchange *ex);

#endif
