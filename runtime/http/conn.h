/*
 * The core of one server connection, without a socket: bytes in, calls to the handler, bytes out through a small table
 * of functions (the wire), which server.c puts on a tr_stream, and tests and fuzz targets on memory.
 *
 *               first bytes are the preface of HTTP/2
 *     SNIFFING ---------------------------------------> HTTP/2
 *         |                                               ^
 *         +---------> HTTP/1 -----------------------------+   Upgrade: h2c
 *
 * All work is done in http_conn_run(): the events of the wire and the calls of the handler only note what has happened
 * and ask for a run. So the handler is never called from inside one of its own calls, and a run may call the handler
 * at any place where the state is in order.
 */
#ifndef TR_HTTP_CONN_H
#define TR_HTTP_CONN_H

#include <llhttp.h>

#include "runtime/base/list.h"
#include "runtime/http/http_int.h"
#include "runtime/http/server.h"

#define HTTP_DRAIN_MAX   (256U * 1024U) /* bytes of an unread body that are read to keep the connection. Source: Go net/http
                                           server.go, maxPostHandlerReadBytes */
#define HTTP_COPY_MAX    (8U * 1024U)   /* pieces up to this size are gathered in `out`, larger ones written from where they are */
#define HTTP_KEEP_MAX    (16U * 1024U)  /* capacity of a buffer that is kept for the next request */
#define HTTP_TRAILER_MAX (8U * 1024U)   /* bytes of chunk extensions and trailers in one request */
#define HTTP_METHOD_MAX  24U           /* bytes of a method that HTTP/2 knows nothing of */
#define HTTP_PEER_MAX    64U           /* bytes of an address as text, with its NUL */
#define HTTP_CLOSING_MS  10000U         /* how long a closing connection may take to send its last bytes */

struct http_conn;
struct http_exchange;
struct http_h2;

/* What the core asks of its transport. No function calls back from inside. */
struct http_wire {
    void (*write)(struct http_conn *conn, const struct tr_slice *slices, size_t slices_len);
    size_t (*pending)(const struct http_conn *conn); /* bytes that wait for the client */
    void (*read)(struct http_conn *conn, bool on);
    void (*finish)(struct http_conn *conn); /* close when everything has been sent */
    void (*close)(struct http_conn *conn);  /* close at once */
    void (*wake)(struct http_conn *conn);   /* call http_conn_run() soon */
    uint64_t (*now_ms)(const struct http_conn *conn);
};

/* What the connections of one server share. */
struct http_env {
    struct tr_http_server_conf conf; /* defaults filled in */
    const struct http_wire *wire;
    char date[32];     /* of the Date header, kept fresh by the owner */
    size_t exchanges;  /* open now */
    bool is_draining;  /* the server is closing: end connections after the current requests */
};

/* Put the defaults in place of zeros. */
void http_env_init(struct http_env *env, const struct tr_http_server_conf *conf, const struct http_wire *wire);
void http_env_set_date(struct http_env *env, int64_t unix_s);

/* --- exchange ------------------------------------------------------------------------------------------------------- */

enum http_reading {
    HTTP_READ_NOT,    /* the handler has not asked for the body */
    HTTP_READ_ALL,
    HTTP_READ_PIECES,
    HTTP_READ_OVER,   /* the end has been told */
};

enum http_answer {
    HTTP_ANSWER_NONE,
    HTTP_ANSWER_HEAD,    /* HTTP/1: begun, the head is not finished yet */
    HTTP_ANSWER_STARTED,
    HTTP_ANSWER_ENDED,   /* the handler is done with it */
};

struct http_exchange {
    struct tr_http_exchange pub; /* first: the two are cast into one another */
    struct http_conn *conn;      /* borrowed */
    struct tr_buf target;        /* owned: bytes of path, query, authority and (HTTP/2) method */

    /* The body of the request. */
    enum http_reading reading;
    bool is_paused;              /* by the handler */
    bool is_body_done;           /* all of it has been parsed */
    bool wants_continue;         /* the client waits for "100 Continue" */
    enum tr_code body_fault;     /* why no more of it comes, else TR_OK */
    const char *body_fault_text; /* static */
    uint64_t body_seen;          /* bytes parsed */
    uint64_t body_limit;         /* 0: none */
    tr_http_body_fn *on_body;
    tr_http_body_end_fn *on_end;

    /* The answer. */
    enum http_answer answer;
    bool is_head_sent;
    bool is_chunked;
    bool is_bodiless;  /* HEAD, 204, 304 */
    bool wants_drain;  /* on_drain is owed */
    bool is_broken;    /* cannot be completed: cut it off */
    uint64_t left;     /* bytes that must still come, or TR_HTTP_LENGTH_UNKNOWN */

    bool is_aborted;   /* the client has gone, or is about to be cut off */
    bool abort_told;

    /* HTTP/2. */
    int32_t stream_id;
    bool stream_gone;  /* closed on the wire */
    bool is_sent;      /* the end of the answer has left */
    bool is_deferred;  /* the session waits for more of the answer */
    bool is_open;      /* the handler has it */
    int refused_status;    /* the head is over a limit or malformed: never shown to the handler */
    size_t head_bytes;     /* of the headers, for the limit */
    char method[HTTP_METHOD_MAX]; /* text of an unknown method */
    struct tr_buf stash;   /* owned: parsed body that the handler has not taken */
    struct tr_buf pieces;  /* owned: of the answer, waiting for the client's window */
    size_t pieces_at;      /* what of it has been sent */
    struct tr_link link;
};

static inline struct http_exchange *http_exchange_of(const struct tr_http_exchange *ex)
{
    return (struct http_exchange *)(void *)(uintptr_t)ex;
}

/* Make ready for a new request on `conn`; keeps memory of an earlier one. */
void http_exchange_reset(struct http_exchange *ex, struct http_conn *conn);
void http_exchange_fini(struct http_exchange *ex);
/* Show it to the handler. */
void http_exchange_open(struct http_exchange *ex);
/* Does the handler want bytes of the body now? */
bool http_exchange_takes_body(const struct http_exchange *ex);
/* The next bytes of the body; only when they are taken. */
void http_exchange_body(struct http_exchange *ex, struct tr_slice piece);
/* No more of the body will come. The first fault counts. */
void http_exchange_body_fail(struct http_exchange *ex, enum tr_code code, const char *text);
/* Tell the handler what it has not been told; true if something was called. */
bool http_exchange_settle(struct http_exchange *ex);
/* The last callback. */
void http_exchange_close(struct http_exchange *ex);
/* Split the raw target into path, query and (absolute form) authority; false if it is none. */
bool http_target_parse(struct http_exchange *ex);
/* Is it what may stand in Host? Source: RFC 3986 3.2.2; Go golang.org/x/net/http/httpguts, ValidHostHeader. */
bool http_is_host(struct tr_slice host);

/* --- connection ----------------------------------------------------------------------------------------------------- */

/* The part of a connection that depends on the protocol. */
struct http_proto {
    /* Do what can be done with conn->data and the exchanges. */
    void (*run)(struct http_conn *conn);
    /* Should the wire be read now? */
    bool (*wants_input)(const struct http_conn *conn);
    void (*on_eof)(struct http_conn *conn);
    void (*on_gone)(struct http_conn *conn);     /* the connection is being cut */
    void (*on_deadline)(struct http_conn *conn); /* conn->deadline_ms has passed */
    void (*drain)(struct http_conn *conn);       /* env->is_draining became true */
    bool (*has_exchange)(const struct http_conn *conn);
    /* Must the client send or take bytes before anything goes on? */
    bool (*waits_for_client)(const struct http_conn *conn);
    void (*fini)(struct http_conn *conn);

    /* The answer; never called for an exchange whose client has gone. `owned`, if not NULL, holds the slice and may be
     * taken. */
    void (*respond)(struct http_exchange *ex, int status, const struct tr_http_headers *headers, struct tr_slice body,
                    struct tr_buf *owned);
    void (*start)(struct http_exchange *ex, int status, const struct tr_http_headers *headers, uint64_t length);
    void (*write)(struct http_exchange *ex, struct tr_slice piece, struct tr_buf *owned);
    void (*end)(struct http_exchange *ex);
    size_t (*pending)(const struct http_exchange *ex);
};

extern const struct http_proto http_sniffing;
extern const struct http_proto http_h1;
extern const struct http_proto http_h2;

enum h1_state {
    H1_IDLE,  /* between requests */
    H1_HEAD,  /* in the headers of one */
    H1_OPEN,  /* the handler has it */
    H1_DRAIN, /* the handler is done, the rest of the body is dropped */
    H1_UPGRADE, /* headers are read, HTTP/2 takes over */
};

struct http_h1_conn {
    llhttp_t parser;
    enum h1_state state;
    bool is_message_done; /* the parser has seen all of the current request */
    bool keep_alive;      /* another request may follow the current one */
    bool is_name_open;    /* the last bytes of headers were of a name */
    bool is_fresh;        /* no request has been read yet */
    int fail_status;      /* why the request is refused, 0 for the parser's own reason */
    const char *fail_text;
    uint64_t head_bytes;  /* of request line and headers, in earlier chunks */
    uint64_t extra_bytes; /* of chunk extensions and trailers */
    uint64_t drained;     /* bytes in H1_DRAIN */
    uint64_t chunk;       /* number of the current call of the parser */
    const char *name_end; /* where the last piece of a name ended, in the call `name_chunk` */
    uint64_t name_chunk;
    uint64_t value_chunk; /* the call at whose end the last piece of a value ended, 0 for inside of one */
    bool has_value;       /* the current header has a piece of its value */
    bool gap_line_end;    /* a line end came between the current header's colon and its value */
    struct http_exchange ex;
};

struct http_conn {
    struct http_env *env;            /* borrowed */
    char peer[HTTP_PEER_MAX];        /* text of the client's address; it outlives the wire */
    const struct http_proto *proto;
    struct tr_slice data;            /* unparsed; borrowed from the wire or from `in` */
    struct tr_buf in;                /* owned: what waits unparsed between two runs */
    struct tr_buf out;               /* owned: gathered for one write */
    uint64_t deadline_ms;            /* 0: none */
    uint64_t moved_ms;               /* when bytes moved last */
    size_t pending_seen;             /* to notice that bytes move */
    bool is_running;
    bool is_reading;
    bool is_eof;                     /* the client has closed its side */
    bool is_shut;                    /* finish or close has been called: write nothing more */
    bool is_cut;                     /* close has been called */
    bool is_gone;                    /* the wire exists no more */
    bool wants_reset;                /* close so that the client cannot take what came for whole */
    struct http_h1_conn h1;
    struct http_h2 *h2;              /* owned, NULL before HTTP/2 */
    struct tr_link link;             /* the owner's: all connections */
    struct tr_link woken;            /* the owner's: those to run */
};

/* `env` is borrowed. Then call http_conn_run() once: it asks the wire to read. The wire finds itself from the core that
 * it embeds. */
void http_conn_init(struct http_conn *conn, struct http_env *env, const char *peer);
void http_conn_fini(struct http_conn *conn);

/* Events of the wire; each ends in a run. */
void http_conn_input(struct http_conn *conn, struct tr_slice bytes);
void http_conn_eof(struct http_conn *conn);
void http_conn_writable(struct http_conn *conn);
/* The last one, after the core has called finish or close. */
void http_conn_closed(struct http_conn *conn);
/* Do what is due. */
void http_conn_run(struct http_conn *conn);
/* Compare the deadline with `now`; call it every now and then. */
void http_conn_tick(struct http_conn *conn);
/* The server is closing (env->is_draining). */
void http_conn_drain(struct http_conn *conn);
/* Close it because it failed or must end: handlers get on_abort. */
void http_conn_cut(struct http_conn *conn);
/* The wire is gone and no exchange is open: may be freed. */
bool http_conn_is_over(const struct http_conn *conn);

/* For the protocols. */
void http_conn_wake(struct http_conn *conn);
void http_conn_flush(struct http_conn *conn);
/* Flush, close when everything is sent. */
void http_conn_finish(struct http_conn *conn);
/* Close at once. */
void http_conn_close(struct http_conn *conn);
/* Bytes not yet taken by the system. */
size_t http_conn_pending(const struct http_conn *conn);
void http_conn_become_h1(struct http_conn *conn);
/* Prior knowledge. */
void http_conn_become_h2(struct http_conn *conn);
/* After an upgrade request, which conn->h1.ex holds; false if its settings are malformed. */
bool http_conn_upgrade_h2(struct http_conn *conn);
/* Does the request in conn->h1.ex ask for HTTP/2 in a way we follow? */
bool http_h2_is_upgrade(const struct http_exchange *ex);

/* May a handler's header not be sent on? */
bool http_is_framing_header(struct tr_slice name);

#endif
