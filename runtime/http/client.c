/*
 * The client and its connections; the calls are in client_call.c.
 *
 * A call is in `waiting` until a connection takes it. Connections are made while calls wait and the
 * limit allows; whichever becomes free first serves the first call. A connection that fails to
 * connect fails the first call that waits (HTTP/2: all of them, because they wait for this one), so
 * that nobody waits for ever on a dead host.
 */
#include "runtime/http/client_int.h"

#include <stdlib.h>

#define CONNECTIONS_MAX  1024U
#define IDLE_MAX         64U
#define CALLS_MAX        65536U
#define IDLE_MS          90000U
#define SURPLUS_MS       1000U
#define CONNECT_MS       30000U
#define HEADER_BYTES_MAX 65536U
#define KEEP_BYTES_MAX   65536U /* capacity of a write buffer that is kept */

static void on_conn_idle(struct tr_timer *timer);

struct tr_http_client *tr_http_client_new(struct tr_loop *loop,
                                          const struct tr_http_client_conf *conf)
{
    tr_loop_assert(loop);
    struct tr_http_client *client = tr_xzalloc(sizeof(*client));
    client->loop = loop;
    client->conf = *conf;
    client->host = tr_xstrdup(conf->host);
    client->conf.host = tr_slice_str(client->host);
    client->conf.connections_max =
        conf->connections_max != 0 ? conf->connections_max : CONNECTIONS_MAX;
    client->conf.idle_max = conf->idle_max != 0 ? conf->idle_max : IDLE_MAX;
    client->conf.calls_max = conf->calls_max != 0 ? conf->calls_max : CALLS_MAX;
    client->conf.idle_ms = conf->idle_ms != 0 ? conf->idle_ms : IDLE_MS;
    client->conf.surplus_ms = conf->surplus_ms != 0 ? conf->surplus_ms : SURPLUS_MS;
    client->conf.connect_ms = conf->connect_ms != 0 ? conf->connect_ms : CONNECT_MS;
    client->conf.header_bytes_max =
        conf->header_bytes_max != 0 ? conf->header_bytes_max : HEADER_BYTES_MAX;
    const bool is_v6 = strchr(client->host, ':') != NULL;
    tr_buf_addf(&client->authority, is_v6 ? "[%s]:%u" : "%s:%u", client->host, conf->port);
    tr_link_init(&client->calls);
    tr_link_init(&client->conns);
    tr_link_init(&client->waiting);
    return client;
}

bool client_header_skipped(struct tr_slice name)
{
    return tr_slice_eq_nocase(name, TR_SLICE_LIT("host")) ||
           tr_slice_eq_nocase(name, TR_SLICE_LIT("content-length")) || tr_http_header_is_hop(name);
}

uint32_t tr_http_client_connections(const struct tr_http_client *client)
{
    tr_loop_assert(client->loop);
    return client->conns_len;
}

uint32_t tr_http_client_calls(const struct tr_http_client *client)
{
    tr_loop_assert(client->loop);
    return client->calls_len;
}

/* --- the end of a connection ------------------------------------------------------------------ */

static void conn_free(void *ctx)
{
    struct tr_http_client_conn *conn = ctx;
    struct tr_http_client *client = conn->client;
    tr_assert(conn->call == NULL);
    client_h2_fini(conn);
    tr_defer_cancel(&conn->flush);
    tr_timer_stop(&conn->idle);
    tr_buf_fini(&conn->out);
    tr_buf_fini(&conn->out_busy);
    tr_link_remove(&conn->link);
    client->conns_len--;
    free(conn);
    if (client->is_closing) {
        client_finish_if_over(client);
    } else {
        client_serve_waiting(client);
    }
}

void client_conn_close(struct tr_http_client_conn *conn)
{
    if (conn->state == CONN_CLOSING) {
        return;
    }
    if (conn->state == CONN_IDLE) {
        conn->client->idle_len--;
    }
    tr_timer_stop(&conn->idle);
    const bool is_connecting = conn->state == CONN_CONNECTING;
    conn->state = CONN_CLOSING;
    if (is_connecting) {
        tr_connect_cancel(&conn->connect); /* its callback frees */
    } else {
        tr_stream_close(conn->stream, conn_free, conn);
    }
}

void client_conn_failed(struct tr_http_client_conn *conn, const struct tr_err *err)
{
    struct tr_http_call *call = conn->call;
    const bool is_stale = conn->was_used && !conn->parser.has_bytes;
    conn->call = NULL;
    client_conn_close(conn);
    if (call != NULL && !(is_stale && client_call_again(call, conn->is_unsent))) {
        client_call_fail(call, err);
    }
}

/* --- writing ---------------------------------------------------------------------------------- */

size_t client_conn_pending(const struct tr_http_client_conn *conn)
{
    return conn->out.len + (conn->is_writing ? conn->write.left : 0);
}

static void on_written(struct tr_write *write)
{
    struct tr_http_client_conn *conn = TR_CONTAINER_OF(write, struct tr_http_client_conn, write);
    conn->is_writing = false;
    if (write->err.code != TR_OK) {
        /* A broken connection is noticed by reading, which may still find an answer. Until then
         * nothing more is sent. */
        conn->is_unsent = conn->is_unsent && write->left == conn->out_slice.len;
        tr_buf_clear(&conn->out_busy);
        return;
    }
    conn->is_unsent = false;
    tr_buf_clear(&conn->out_busy);
    if (conn->out_busy.cap > KEEP_BYTES_MAX) {
        tr_buf_fini(&conn->out_busy);
    }
    if (conn->state == CONN_CLOSING) {
        return;
    }
    if (conn->session != NULL) {
        client_conn_flush_soon(conn);
        return;
    }
    client_conn_flush(conn);
    if (conn->call != NULL) {
        client_call_drained(conn->call, client_conn_pending(conn));
    }
}

void client_conn_flush(struct tr_http_client_conn *conn)
{
    if (conn->is_writing || conn->out.len == 0 || conn->state == CONN_CLOSING) {
        return;
    }
    const struct tr_slice all = tr_buf_slice(&conn->out);
    const size_t taken = tr_stream_try_write(conn->stream, &all, 1);
    if (taken > 0) {
        conn->is_unsent = false;
    }
    if (taken == all.len) {
        tr_buf_clear(&conn->out);
        if (conn->out.cap > KEEP_BYTES_MAX) {
            tr_buf_fini(&conn->out);
        }
        if (conn->call != NULL) {
            client_call_drained(conn->call, 0);
        }
        return;
    }
    tr_buf_drop(&conn->out, taken);
    tr_buf_move(&conn->out_busy, &conn->out);
    conn->out_slice = tr_buf_slice(&conn->out_busy);
    conn->is_writing = true;
    conn->write.slices = &conn->out_slice;
    conn->write.slices_len = 1;
    conn->write.cb = on_written;
    tr_write_start(conn->stream, &conn->write);
}

static void on_flush(struct tr_defer *defer)
{
    struct tr_http_client_conn *conn = TR_CONTAINER_OF(defer, struct tr_http_client_conn, flush);
    if (conn->state == CONN_CLOSING) {
        return;
    }
    if (conn->session == NULL) {
        client_conn_flush(conn);
        return;
    }
    bool is_more;
    do {
        is_more = client_h2_pump(conn);
        client_conn_flush(conn);
    } while (is_more && !conn->is_writing && conn->state != CONN_CLOSING);
    client_h2_close_if_over(conn);
}

void client_conn_flush_soon(struct tr_http_client_conn *conn)
{
    if (conn->state != CONN_CLOSING) {
        tr_defer(conn->client->loop, &conn->flush, on_flush);
    }
}

/* --- the start of a connection ---------------------------------------------------------------- */

static struct tr_http_call *take_waiting(struct tr_http_client *client)
{
    struct tr_link *first = tr_list_pop(&client->waiting);
    if (first == NULL) {
        return NULL;
    }
    client->waiting_len--;
    return TR_CONTAINER_OF(first, struct tr_http_call, wait);
}

static void fail_waiting(struct tr_http_client *client, const struct tr_err *err)
{
    const bool is_all = client->conf.protocol == TR_HTTP_PROTOCOL_2;
    struct tr_http_call *call;
    while ((call = take_waiting(client)) != NULL) {
        client_call_fail(call, err);
        if (!is_all) {
            return;
        }
    }
}

static void on_connected(struct tr_connect *connect)
{
    struct tr_http_client_conn *conn =
        TR_CONTAINER_OF(connect, struct tr_http_client_conn, connect);
    struct tr_http_client *client = conn->client;
    client->connecting_len--;
    if (conn->state == CONN_CLOSING) {
        if (connect->stream != NULL) {
            tr_stream_close(connect->stream, conn_free, conn);
        } else {
            conn_free(conn);
        }
        return;
    }
    if (connect->err.code != TR_OK) {
        fail_waiting(client, &connect->err);
        conn_free(conn);
        return;
    }
    conn->stream = connect->stream;
    conn->state = CONN_BUSY;
    if (client->conf.protocol == TR_HTTP_PROTOCOL_2) {
        tr_stream_read_start(conn->stream, client_h2_read, conn);
        client_h2_open(conn);
    } else {
        tr_stream_read_start(conn->stream, client_h1_read, conn);
    }
    client_conn_ready(conn);
}

static void conn_new(struct tr_http_client *client)
{
    struct tr_http_client_conn *conn = tr_xzalloc(sizeof(*conn));
    conn->client = client;
    conn->state = CONN_CONNECTING;
    tr_link_init(&conn->link);
    tr_list_add_tail(&client->conns, &conn->link);
    client->conns_len++;
    client->connecting_len++;
    tr_timer_init(&conn->idle, client->loop, on_conn_idle);
    conn->connect.host = client->conf.host;
    conn->connect.port = client->conf.port;
    conn->connect.deadline_ms = tr_loop_now_ms(client->loop) + client->conf.connect_ms;
    conn->connect.cb = on_connected;
    tr_connect_start(client->loop, &conn->connect);
}

/* --- which connection serves which call ------------------------------------------------------- */

static void on_conn_idle(struct tr_timer *timer)
{
    client_conn_close(TR_CONTAINER_OF(timer, struct tr_http_client_conn, idle));
}

void client_conn_rest(struct tr_http_client_conn *conn)
{
    const struct tr_http_client *client = conn->client;
    uint64_t rest_ms = client->conf.idle_ms;
    if (client->idle_len > client->conf.idle_max && client->conf.surplus_ms < rest_ms) {
        rest_ms = client->conf.surplus_ms;
    }
    tr_timer_set(&conn->idle, tr_loop_now_ms(client->loop) + rest_ms);
}

static void send_call(struct tr_http_client_conn *conn, struct tr_http_call *call)
{
    tr_timer_stop(&conn->idle);
    if (conn->state == CONN_IDLE) {
        conn->state = CONN_BUSY;
        conn->client->idle_len--;
        tr_link_remove(&conn->link);
        tr_list_add_head(&conn->client->conns, &conn->link);
    }
    call->conn = conn;
    if (conn->session != NULL) {
        client_h2_send(conn, call);
    } else {
        client_h1_send(conn, call);
    }
}

void client_conn_ready(struct tr_http_client_conn *conn)
{
    struct tr_http_client *client = conn->client;
    struct tr_http_call *call;
    if (conn->session != NULL) {
        while (conn->state == CONN_BUSY && !conn->is_going_away &&
               (call = take_waiting(client)) != NULL) {
            send_call(conn, call);
        }
        if (conn->streams_len == 0) {
            client_conn_rest(conn);
        }
        return;
    }
    call = take_waiting(client);
    if (call != NULL) {
        send_call(conn, call);
        return;
    }
    conn->state = CONN_IDLE;
    client->idle_len++;
    /* The one used last is the least likely to be closed by the server: it is looked for from the
     * end, where no busy one lies. */
    tr_link_remove(&conn->link);
    tr_list_add_tail(&client->conns, &conn->link);
    client_conn_rest(conn);
}

static struct tr_http_client_conn *usable_conn(struct tr_http_client *client)
{
    if (client->idle_len == 0 && client->conf.protocol == TR_HTTP_PROTOCOL_1) {
        return NULL;
    }
    for (struct tr_link *it = client->conns.prev; it != &client->conns; it = it->prev) {
        struct tr_http_client_conn *conn = TR_CONTAINER_OF(it, struct tr_http_client_conn, link);
        if (conn->state == CONN_IDLE ||
            (conn->state == CONN_BUSY && conn->session != NULL && !conn->is_going_away)) {
            return conn;
        }
    }
    return NULL;
}

void client_serve_waiting(struct tr_http_client *client)
{
    struct tr_http_client_conn *conn;
    while (client->waiting_len > 0 && (conn = usable_conn(client)) != NULL) {
        send_call(conn, take_waiting(client));
    }
    const uint32_t wanted = client->conf.protocol == TR_HTTP_PROTOCOL_2 ? 1 : client->waiting_len;
    while (client->waiting_len > 0 && client->connecting_len < wanted &&
           client->conns_len < client->conf.connections_max) {
        conn_new(client);
    }
}

/* --- end -------------------------------------------------------------------------------------- */

static void on_client_closed(struct tr_defer *defer)
{
    struct tr_http_client *client = TR_CONTAINER_OF(defer, struct tr_http_client, closed);
    void (*cb)(void *ctx) = client->on_closed;
    void *ctx = client->closed_ctx;
    tr_buf_fini(&client->authority);
    free(client->host);
    free(client);
    if (cb != NULL) {
        cb(ctx);
    }
}

void client_finish_if_over(struct tr_http_client *client)
{
    if (client->is_closing && client->calls_len == 0 && client->conns_len == 0) {
        tr_defer(client->loop, &client->closed, on_client_closed);
    }
}

void tr_http_client_close(struct tr_http_client *client, void (*cb)(void *ctx), void *ctx)
{
    tr_loop_assert(client->loop);
    tr_assert(!client->is_closing);
    client->is_closing = true;
    client->on_closed = cb;
    client->closed_ctx = ctx;
    struct tr_link *it;
    struct tr_link *tmp;
    TR_LIST_FOR_EACH (it, tmp, &client->calls) {
        struct tr_http_call *call = TR_CONTAINER_OF(it, struct tr_http_call, op.link);
        if (tr_op_is_started(&call->op)) {
            client_call_abandon(call);
            (void)tr_err_set(&call->err, TR_CANCELED, "client is closing");
            client_call_done(call);
        }
    }
    TR_LIST_FOR_EACH (it, tmp, &client->conns) {
        client_conn_close(TR_CONTAINER_OF(it, struct tr_http_client_conn, link));
    }
    client_finish_if_over(client);
}
