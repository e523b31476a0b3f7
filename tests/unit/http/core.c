#include "tests/unit/http/core.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

/* --- the wire ---------------------------------------------------------------------------------------------------------- */

static struct core *core_of(const struct http_conn *conn)
{
    return TR_CONTAINER_OF((uintptr_t)conn, struct core, conn);
}

static void wire_write(struct http_conn *conn, const struct tr_slice *slices, size_t slices_len)
{
    struct core *core = core_of(conn);
    assert_false(core->is_finished || core->is_closed);
    core->writes++;
    for (size_t i = 0; i < slices_len; i++) {
        tr_buf_add(&core->sent, slices[i]);
    }
}

static size_t wire_pending(const struct http_conn *conn)
{
    return core_of(conn)->pending;
}

static void wire_read(struct http_conn *conn, bool on)
{
    core_of(conn)->is_reading = on;
}

static void wire_finish(struct http_conn *conn)
{
    assert_false(core_of(conn)->is_finished);
    core_of(conn)->is_finished = true;
}

static void wire_close(struct http_conn *conn)
{
    assert_false(core_of(conn)->is_closed);
    core_of(conn)->is_closed = true;
}

static void wire_wake(struct http_conn *conn)
{
    core_of(conn)->is_woken = true;
}

static uint64_t wire_now_ms(const struct http_conn *conn)
{
    return core_of(conn)->now_ms;
}

static const struct http_wire wire = {
    .write = wire_write,
    .pending = wire_pending,
    .read = wire_read,
    .finish = wire_finish,
    .close = wire_close,
    .wake = wire_wake,
    .now_ms = wire_now_ms,
};

/* --- the core ---------------------------------------------------------------------------------------------------------- */

void core_init(struct core *core, const struct tr_http_server_conf *conf,
               void (*on_request)(void *ctx, struct tr_http_exchange *ex))
{
    memset(core, 0, sizeof(*core));
    core->now_ms = 1000;
    struct tr_http_server_conf own = conf == NULL ? (struct tr_http_server_conf){ 0 } : *conf;
    own.on_request = on_request;
    own.ctx = core;
    http_env_init(&core->env, &own, &wire);
    http_conn_init(&core->conn, &core->env, "1.2.3.4:5");
    http_conn_run(&core->conn);
}

void core_fini(struct core *core)
{
    if (!core->is_finished && !core->is_closed) {
        http_conn_cut(&core->conn);
    }
    http_conn_closed(&core->conn);
    core_run(core);
    for (unsigned i = 0; i < core->held_len; i++) {
        if (core->held[i] != NULL) {
            tr_http_exchange_abort(core->held[i]);
        }
    }
    core_run(core);
    assert_true(http_conn_is_over(&core->conn));
    assert_int_equal(core->env.exchanges, 0);
    http_conn_fini(&core->conn);
    tr_buf_fini(&core->sent);
    tr_buf_fini(&core->log);
}

void core_run(struct core *core)
{
    while (core->is_woken) {
        core->is_woken = false;
        http_conn_run(&core->conn);
    }
}

void core_feed(struct core *core, struct tr_slice bytes)
{
    /* A copy of its own size, so that a read beyond the end is found. */
    char *copy = tr_xalloc(bytes.len == 0 ? 1 : bytes.len);
    if (bytes.len > 0) {
        memcpy(copy, bytes.ptr, bytes.len);
    }
    if (!core->is_finished && !core->is_closed) {
        http_conn_input(&core->conn, tr_slice(copy, bytes.len));
    }
    free(copy);
    core_run(core);
}

void core_feed_str(struct core *core, const char *text)
{
    core_feed(core, tr_slice_str(text));
}

void core_feed_bytewise(struct core *core, struct tr_slice bytes)
{
    for (size_t i = 0; i < bytes.len; i++) {
        core_feed(core, tr_slice(bytes.ptr + i, 1));
    }
}

void core_eof(struct core *core)
{
    if (!core->is_finished && !core->is_closed) {
        http_conn_eof(&core->conn);
    }
    core_run(core);
}

void core_writable(struct core *core)
{
    core->pending = 0;
    http_conn_writable(&core->conn);
    core_run(core);
}

void core_advance(struct core *core, uint64_t ms)
{
    core->now_ms += ms;
    http_conn_tick(&core->conn);
    core_run(core);
}

char *core_take_sent(struct core *core)
{
    struct tr_buf text = { 0 };
    struct tr_slice rest = tr_buf_slice(&core->sent);
    while (rest.len > 0) {
        size_t line = tr_slice_find(rest, '\n');
        line = line < rest.len ? line + 1 : rest.len;
        if (!tr_slice_starts(rest, TR_SLICE_LIT("Date: "))) {
            tr_buf_add(&text, tr_slice(rest.ptr, line));
        }
        rest = tr_slice_skip(rest, line);
    }
    char *taken = tr_xstrdup(tr_buf_slice(&text));
    tr_buf_fini(&text);
    tr_buf_clear(&core->sent);
    core->writes = 0;
    return taken;
}

void core_assert_sent(struct core *core, const char *text)
{
    char *sent = core_take_sent(core);
    assert_string_equal(sent, text);
    free(sent);
}

void core_assert_log(struct core *core, const char *text)
{
    assert_string_equal(tr_buf_cstr(&core->log), text);
    tr_buf_clear(&core->log);
}

/* --- handlers ---------------------------------------------------------------------------------------------------------- */

static void on_echo_read(struct tr_http_exchange *ex, const struct tr_err *err)
{
    struct core *core = ex->user;
    struct tr_buf text = { 0 };
    if (err->code != TR_OK) {
        tr_buf_addf(&core->log, "read failed: %s\n", err->msg);
        tr_buf_add_str(&text, err->msg);
        tr_http_respond_text(ex, 400, "text/plain", tr_buf_slice(&text));
    } else {
        tr_buf_addf(&text, "%.*s %.*s", TR_SLICE_ARG(ex->method_text), TR_SLICE_ARG(ex->path));
        if (ex->query.len > 0) {
            tr_buf_addf(&text, "?%.*s", TR_SLICE_ARG(ex->query));
        }
        tr_buf_addf(&text, " %.*s", (int)ex->body.len, ex->body.len == 0 ? "" : ex->body.ptr);
        tr_http_respond_text(ex, 200, "text/plain", tr_buf_slice(&text));
    }
    tr_buf_fini(&text);
}

void handler_echo(void *ctx, struct tr_http_exchange *ex)
{
    struct core *core = ctx;
    core->requests++;
    ex->user = core;
    tr_http_exchange_read_all(ex, 0, on_echo_read);
}

void handler_hold(void *ctx, struct tr_http_exchange *ex)
{
    struct core *core = ctx;
    core->requests++;
    core->ex = ex;
    assert_true(core->held_len < CORE_HELD_MAX);
    core->held[core->held_len++] = ex;
    ex->user = core;
    ex->on_abort = log_abort;
    ex->on_close = log_close;
    ex->on_drain = log_drain;
}

void log_abort(struct tr_http_exchange *ex)
{
    struct core *core = ex->user;
    tr_buf_add_str(&core->log, "abort\n");
}

void log_close(struct tr_http_exchange *ex)
{
    struct core *core = ex->user;
    tr_buf_add_str(&core->log, "close\n");
    if (core->ex == ex) {
        core->ex = NULL;
    }
    for (unsigned i = 0; i < core->held_len; i++) {
        core->held[i] = core->held[i] == ex ? NULL : core->held[i];
    }
}

void log_drain(struct tr_http_exchange *ex)
{
    struct core *core = ex->user;
    tr_buf_add_str(&core->log, "drain\n");
}

void log_body(struct tr_http_exchange *ex, struct tr_slice piece)
{
    struct core *core = ex->user;
    tr_buf_addf(&core->log, "body %.*s\n", TR_SLICE_ARG(piece));
}

void log_end(struct tr_http_exchange *ex, const struct tr_err *err)
{
    struct core *core = ex->user;
    tr_buf_addf(&core->log, "end %s\n", err->code == TR_OK ? "ok" : err->msg);
}
