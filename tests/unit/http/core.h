/*
 * A connection core on a wire of memory: what it sends is collected, what it asks of the wire is noted, the clock stands
 * until a test moves it. Handlers write what they are told into `log`.
 */
#ifndef TESTS_UNIT_HTTP_CORE_H
#define TESTS_UNIT_HTTP_CORE_H

#include "runtime/http/conn.h"

#define CORE_HELD_MAX 64U

struct core {
    struct http_env env;
    struct http_conn conn;
    struct tr_buf sent;   /* all that was written */
    struct tr_buf log;    /* what the handler was told */
    size_t writes;        /* calls of write */
    size_t pending;       /* what the wire pretends to hold back; set by tests */
    uint64_t now_ms;
    bool is_reading;
    bool is_finished;
    bool is_closed;
    bool is_woken;
    struct tr_http_exchange *ex; /* the latest */
    struct tr_http_exchange *held[CORE_HELD_MAX]; /* by handler_hold, NULL once closed */
    unsigned held_len;
    unsigned requests;
};

/* A core whose handler is `on_request` with the core as its context. */
void core_init(struct core *core, const struct tr_http_server_conf *conf,
               void (*on_request)(void *ctx, struct tr_http_exchange *ex));
/* Abort what is open and free all. */
void core_fini(struct core *core);
/* Bytes from the client; then run until nothing is due. */
void core_feed(struct core *core, struct tr_slice bytes);
void core_feed_str(struct core *core, const char *text);
/* The same, one byte at a time, from a place that is gone afterwards. */
void core_feed_bytewise(struct core *core, struct tr_slice bytes);
/* The client closes its side. */
void core_eof(struct core *core);
/* Run until nothing is due. */
void core_run(struct core *core);
/* The wire has sent everything. */
void core_writable(struct core *core);
/* Time passes. */
void core_advance(struct core *core, uint64_t ms);
/* What was sent as text, without Date lines; then it is forgotten. Free it. */
char *core_take_sent(struct core *core);
void core_assert_sent(struct core *core, const char *text);
void core_assert_log(struct core *core, const char *text);

/* Handlers. */
/* Reads all and answers "<METHOD> <path>[?<query>] <body>". */
void handler_echo(void *ctx, struct tr_http_exchange *ex);
/* Keeps the exchange in core->ex and does nothing. */
void handler_hold(void *ctx, struct tr_http_exchange *ex);

/* Callbacks that write one line into the log of `ex->user`, a core. */
void log_abort(struct tr_http_exchange *ex);
void log_close(struct tr_http_exchange *ex);
void log_drain(struct tr_http_exchange *ex);
void log_body(struct tr_http_exchange *ex, struct tr_slice piece);
void log_end(struct tr_http_exchange *ex, const struct tr_err *err);

#endif
