/* A server connection on a wire of memory, for fuzz targets: what is sent is collected, handlers behave as their path says. */
#ifndef TESTS_FUZZ_HTTP_CORE_H
#define TESTS_FUZZ_HTTP_CORE_H

#include <stdlib.h>

#include "runtime/http/conn.h"

#define FUZZ_HELD_MAX 8U

struct fuzz_core {
    struct http_env env;
    struct http_conn conn;
    struct tr_buf sent;
    struct tr_http_exchange *held[FUZZ_HELD_MAX];
    size_t pending;
    unsigned opened;
    unsigned closed;
    bool is_down; /* finished or closed */
    bool is_woken;
};

static struct fuzz_core *fuzz_core_of(const struct http_conn *conn)
{
    return TR_CONTAINER_OF((uintptr_t)conn, struct fuzz_core, conn);
}

static void fuzz_write(struct http_conn *conn, const struct tr_slice *slices, size_t slices_len)
{
    tr_assert(!fuzz_core_of(conn)->is_down);
    for (size_t i = 0; i < slices_len; i++) {
        tr_buf_add(&fuzz_core_of(conn)->sent, slices[i]);
    }
}

static size_t fuzz_pending(const struct http_conn *conn)
{
    return fuzz_core_of(conn)->pending;
}

static void fuzz_read(struct http_conn *conn, bool on)
{
    (void)conn;
    (void)on;
}

static void fuzz_down(struct http_conn *conn)
{
    fuzz_core_of(conn)->is_down = true;
}

static void fuzz_wake(struct http_conn *conn)
{
    fuzz_core_of(conn)->is_woken = true;
}

static uint64_t fuzz_now_ms(const struct http_conn *conn)
{
    (void)conn;
    return 1000;
}

static const struct http_wire fuzz_wire = {
    .write = fuzz_write,
    .pending = fuzz_pending,
    .read = fuzz_read,
    .finish = fuzz_down,
    .close = fuzz_down,
    .wake = fuzz_wake,
    .now_ms = fuzz_now_ms,
};

static void fuzz_on_close(struct tr_http_exchange *ex)
{
    struct fuzz_core *core = ex->user;
    core->closed++;
    for (unsigned i = 0; i < FUZZ_HELD_MAX; i++) {
        core->held[i] = core->held[i] == ex ? NULL : core->held[i];
    }
}

static void fuzz_echo_end(struct tr_http_exchange *ex, const struct tr_err *err)
{
    if (err->code != TR_OK) {
        tr_http_respond(ex, 400, NULL, tr_slice_str(err->msg));
        return;
    }
    tr_http_respond(ex, 200, &ex->headers, tr_buf_slice(&ex->body));
}

static void fuzz_stream_body(struct tr_http_exchange *ex, struct tr_slice piece)
{
    (void)tr_http_respond_write(ex, piece);
    if (piece.len % 3 == 0) {
        tr_http_exchange_pause(ex);
    }
}

static void fuzz_stream_end(struct tr_http_exchange *ex, const struct tr_err *err)
{
    if (err->code != TR_OK) {
        tr_http_exchange_abort(ex);
    } else {
        tr_http_respond_end(ex);
    }
}

/* The second byte of the path chooses: echo, answer at once, stream, hold, abort. */
static void fuzz_on_request(void *ctx, struct tr_http_exchange *ex)
{
    struct fuzz_core *core = ctx;
    core->opened++;
    ex->user = core;
    ex->on_close = fuzz_on_close;
    switch (ex->path.len < 2 ? 'e' : ex->path.ptr[1]) {
    case 'n':
        tr_http_respond(ex, 204, NULL, (struct tr_slice){ 0 });
        break;
    case 's':
        tr_http_respond_start(ex, 200, NULL, TR_HTTP_LENGTH_UNKNOWN);
        tr_http_exchange_read_start(ex, fuzz_stream_body, fuzz_stream_end);
        core->held[core->opened % FUZZ_HELD_MAX] = ex;
        break;
    case 'a':
        tr_http_exchange_abort(ex);
        break;
    default:
        tr_http_exchange_read_all(ex, 0, fuzz_echo_end);
        break;
    }
}

static void fuzz_run(struct fuzz_core *core)
{
    bool again = true;
    while (again) {
        again = core->is_woken;
        core->is_woken = false;
        if (again) {
            http_conn_run(&core->conn);
        }
        for (unsigned i = 0; i < FUZZ_HELD_MAX; i++) {
            if (core->held[i] != NULL && http_exchange_of(core->held[i])->is_paused) {
                tr_http_exchange_resume(core->held[i]);
                again = true;
            }
        }
    }
}

static void fuzz_core_init(struct fuzz_core *core, const struct tr_http_server_conf *conf)
{
    memset(core, 0, sizeof(*core));
    struct tr_http_server_conf own = *conf;
    own.on_request = fuzz_on_request;
    own.ctx = core;
    http_env_init(&core->env, &own, &fuzz_wire);
    http_conn_init(&core->conn, &core->env, "");
    http_conn_run(&core->conn);
}

/* A copy of its own size, so that a read beyond the end is found. */
static void fuzz_feed(struct fuzz_core *core, const uint8_t *bytes, size_t len)
{
    if (core->is_down || len == 0) {
        return;
    }
    char *copy = tr_xalloc(len);
    memcpy(copy, bytes, len);
    http_conn_input(&core->conn, tr_slice(copy, len));
    free(copy);
    fuzz_run(core);
}

static void fuzz_core_fini(struct fuzz_core *core)
{
    if (!core->is_down) {
        http_conn_eof(&core->conn);
        fuzz_run(core);
    }
    if (!core->is_down) {
        http_conn_cut(&core->conn);
    }
    http_conn_closed(&core->conn);
    fuzz_run(core);
    tr_assert(http_conn_is_over(&core->conn));
    tr_assert(core->opened == core->closed);
    tr_assert(core->env.exchanges == 0);
    http_conn_fini(&core->conn);
    tr_buf_fini(&core->sent);
}

#endif
