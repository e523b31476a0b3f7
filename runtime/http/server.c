/*
 * The server: what is listened on, and how it ends. Connections are in server_conn.c.
 *
 * Closing: no more listeners; idle connections end; the others after their current exchange; at the deadline they are
 * cut. The callback comes when the last connection has gone.
 */
#include "runtime/http/server.h"

#include <stdlib.h>

#include "runtime/http/server_int.h"

/* --- connections ------------------------------------------------------------------------------------------------------- */

static void set_date(struct tr_http_server *server)
{
    http_env_set_date(&server->env, tr_loop_unix_ms(server->loop) / 1000);
}

static void on_tick(struct tr_timer *timer)
{
    struct tr_http_server *server = TR_CONTAINER_OF(timer, struct tr_http_server, tick);
    set_date(server);
    server_tick(server);
    if (server->conns_len > 0) {
        tr_timer_set(&server->tick, tr_loop_now_ms(server->loop) + SERVER_TICK_MS);
    }
}

static void on_accept(void *ctx, struct tr_stream *stream)
{
    struct tr_http_server *server = ctx;
    if (server->conns_len >= server->env.conf.connections_max) {
        tr_stream_close(stream, NULL, NULL);
        return;
    }
    if (!tr_timer_is_set(&server->tick)) {
        set_date(server);
        tr_timer_set(&server->tick, tr_loop_now_ms(server->loop) + SERVER_TICK_MS);
    }
    server_accept(server, stream);
}

/* --- opening and closing ----------------------------------------------------------------------------------------------- */

static void on_report(struct tr_defer *defer)
{
    struct tr_http_server *server = TR_CONTAINER_OF(defer, struct tr_http_server, report);
    if (server->closed_cb != NULL) {
        void (*cb)(void *ctx) = server->closed_cb;
        server->closed_cb = NULL;
        cb(server->closed_ctx);
    }
}

static void maybe_closed(struct tr_http_server *server)
{
    if (server->is_closing && server->conns_len == 0) {
        tr_timer_stop(&server->deadline);
        tr_defer(server->loop, &server->report, on_report);
    }
}

void server_conn_gone(struct tr_http_server *server)
{
    tr_assert(server->conns_len > 0);
    server->conns_len--;
    maybe_closed(server);
}

static void on_deadline(struct tr_timer *timer)
{
    server_cut(TR_CONTAINER_OF(timer, struct tr_http_server, deadline));
}

struct tr_http_server *tr_http_server_new(struct tr_loop *loop, const struct tr_http_server_conf *conf)
{
    tr_loop_assert(loop);
    struct tr_http_server *server = tr_xzalloc(sizeof(*server));
    server->loop = loop;
    http_env_init(&server->env, conf, &server_wire);
    tr_link_init(&server->conns);
    tr_link_init(&server->woken);
    tr_timer_init(&server->tick, loop, on_tick);
    tr_timer_init(&server->deadline, loop, on_deadline);
    return server;
}

/* Room for one more listener? */
static enum tr_code check_room(const struct tr_http_server *server, struct tr_err *err)
{
    tr_loop_assert(server->loop);
    tr_assert(!server->is_closing);
    if (server->listeners_len == SERVER_LISTENERS_MAX) {
        return tr_err_set(err, TR_LIMIT, "more than %u addresses to listen on", SERVER_LISTENERS_MAX);
    }
    return TR_OK;
}

enum tr_code tr_http_server_listen(struct tr_http_server *server, const char *host, uint16_t port, uint16_t *out_port,
                                   struct tr_err *err)
{
    struct tr_listener *listener;
    enum tr_code rc = check_room(server, err);
    if (rc == TR_OK) {
        rc = tr_listen_tcp(server->loop, host, port, on_accept, server, &listener, err);
    }
    if (rc != TR_OK) {
        return rc;
    }
    server->listeners[server->listeners_len++] = listener;
    if (out_port != NULL) {
        *out_port = tr_listener_port(listener);
    }
    return TR_OK;
}

enum tr_code tr_http_server_listen_unix(struct tr_http_server *server, const char *path, struct tr_err *err)
{
    struct tr_listener *listener;
    enum tr_code rc = check_room(server, err);
    if (rc == TR_OK) {
        rc = tr_listen_unix(server->loop, path, on_accept, server, &listener, err);
    }
    if (rc == TR_OK) {
        server->listeners[server->listeners_len++] = listener;
    }
    return rc;
}

static void stop_listening(struct tr_http_server *server)
{
    while (server->listeners_len > 0) {
        server->listeners_len--;
        tr_listener_close(&server->listeners[server->listeners_len]);
    }
}

void tr_http_server_close(struct tr_http_server *server, uint64_t deadline_ms, void (*cb)(void *ctx), void *ctx)
{
    tr_loop_assert(server->loop);
    const uint64_t now_ms = tr_loop_now_ms(server->loop);
    if (server->is_closing) {
        if (tr_timer_is_set(&server->deadline) && deadline_ms < tr_timer_at_ms(&server->deadline)) {
            tr_timer_set(&server->deadline, deadline_ms);
        }
        return;
    }
    server->is_closing = true;
    server->env.is_draining = true;
    server->closed_cb = cb;
    server->closed_ctx = ctx;
    stop_listening(server);
    tr_timer_set(&server->deadline, deadline_ms > now_ms ? deadline_ms : now_ms);
    struct tr_link *it;
    struct tr_link *tmp;
    TR_LIST_FOR_EACH(it, tmp, &server->conns)
    {
        http_conn_drain(TR_CONTAINER_OF(it, struct http_conn, link));
    }
    maybe_closed(server);
}

void tr_http_server_free(struct tr_http_server **server_ref)
{
    struct tr_http_server *server = *server_ref;
    if (server == NULL) {
        return;
    }
    tr_assert(server->conns_len == 0);
    tr_assert(server->closed_cb == NULL);
    stop_listening(server);
    tr_defer_cancel(&server->run);
    tr_defer_cancel(&server->report);
    tr_timer_stop(&server->tick);
    tr_timer_stop(&server->deadline);
    free(server);
    *server_ref = NULL;
}

size_t tr_http_server_connections(const struct tr_http_server *server)
{
    return server->conns_len;
}

size_t tr_http_server_exchanges(const struct tr_http_server *server)
{
    return server->env.exchanges;
}
