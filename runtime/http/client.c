/*
 * The client's calls and connections.
 *
 * A call is in `waiting` until a connection takes it. Connections are made while calls wait and the limit allows;
 * whichever becomes free first serves the first call. A connection that fails to connect fails the first call that
 * waits, so that nobody waits for ever on a dead host.
 */
#include "runtime/http/client_int.h"

#include <stdlib.h>

#define CONNECTIONS_MAX  1024U
#define IDLE_MAX         64U
#define CALLS_MAX        65536U
#define IDLE_MS          90000U
#define CONNECT_MS       30000U
#define HEADER_BYTES_MAX 65536U

static void on_conn_idle(struct tr_timer *timer);
static void serve_waiting(struct tr_http_client *client);

struct tr_http_client *tr_http_client_new(struct tr_loop *loop, const struct tr_http_client_conf *conf)
{
    tr_loop_assert(loop);
    struct tr_http_client *client = tr_xzalloc(sizeof(*client));
    client->loop = loop;
    client->conf = *conf;
    client->host = tr_xstrdup(conf->host);
    client->conf.host = tr_slice_str(client->host);
    client->conf.connections_max = conf->connections_max != 0 ? conf->connections_max : CONNECTIONS_MAX;
    client->conf.idle_max = conf->idle_max != 0 ? conf->idle_max : IDLE_MAX;
    client->conf.calls_max = conf->calls_max != 0 ? conf->calls_max : CALLS_MAX;
    client->conf.idle_ms = conf->idle_ms != 0 ? conf->idle_ms : IDLE_MS;
    client->conf.connect_ms = conf->connect_ms != 0 ? conf->connect_ms : CONNECT_MS;
    client->conf.header_bytes_max = conf->header_bytes_max != 0 ? conf->header_bytes_max : HEADER_BYTES_MAX;
    const bool is_v6 = strchr(client->host, ':') != NULL;
    tr_buf_addf(&client->authority, is_v6 ? "[%s]:%u" : "%s:%u", client->host, conf->port);
    tr_link_init(&client->calls);
    tr_link_init(&client->conns);
    tr_link_init(&client->waiting);
    return client;
}

bool client_header_skipped(struct tr_slice name)
{
    return tr_slice_eq_nocase(name, TR_SLICE_LIT("host")) || tr_slice_eq_nocase(name, TR_SLICE_LIT("content-length")) ||
           tr_http_header_is_hop(name);
}

/* --- calls -------------------------------------------------------------------------------------------------------- */

static struct tr_http_call *call_of_wait(struct tr_link *link)
{
    return TR_CONTAINER_OF(link, struct tr_http_call, wait);
}

static void wait_remove(struct tr_http_call *call)
{
    if (tr_link_linked(&call->wait)) {
        tr_link_remove(&call->wait);
        call->client->waiting_len--;
    }
}

static void on_call_complete(struct tr_op *op)
{
    struct tr_http_call *call = TR_CONTAINER_OF(op, struct tr_http_call, op);
    struct tr_http_client *client = call->client;
    client->calls_len--;
    if (client->is_closing && client->calls_len == 0 && client->conns_len == 0) {
        tr_defer(client->loop, &client->closed, client->closed.cb);
    }
    call->cb(call);
}

/* The call's result stands; its callback comes on a later turn. */
void client_call_done(struct tr_http_call *call)
{
    wait_remove(call);
    call->conn = NULL;
    tr_timer_stop(&call->due);
    tr_op_finish_later(&call->op);
}

void client_call_fail(struct tr_http_call *call, const struct tr_err *err)
{
    call->err = *err;
    client_call_done(call);
}

bool client_call_again(struct tr_http_call *call)
{
    const bool is_idempotent = tr_http_method_parse(call->method) != TR_HTTP_POST &&
                               tr_http_method_parse(call->method) != TR_HTTP_PATCH;
    if (!call->is_replayable || !is_idempotent || call->was_sent_again || call->client->is_closing) {
        return false;
    }
    call->was_sent_again = true;
    call->conn = NULL;
    tr_list_add_head(&call->client->waiting, &call->wait);
    call->client->waiting_len++;
    serve_waiting(call->client);
    return true;
}

static void abandon(struct tr_http_call *call)
{
    struct tr_http_client_conn *conn = call->conn;
    if (conn == NULL) {
        return;
    }
    if (conn->session != NULL) {
        client_h2_cancel(conn, call);
        return;
    }
    conn->call = NULL;
    client_conn_close(conn);
}

static void on_call_due(struct tr_timer *timer)
{
    struct tr_http_call *call = TR_CONTAINER_OF(timer, struct tr_http_call, due);
    abandon(call);
    (void)tr_err_set(&call->err, TR_DEADLINE, "context deadline exceeded");
    client_call_done(call);
}

void tr_http_call_start(struct tr_http_client *client, struct tr_http_call *call)
{
    tr_loop_assert(client->loop);
    tr_op_begin(&call->op, client->loop, &client->calls, on_call_complete);
    call->client = client;
    call->conn = NULL;
    call->err.code = TR_OK;
    call->status = 0;
    call->headers_out = (struct tr_http_headers){ 0 };
    call->body_out = (struct tr_buf){ 0 };
    call->has_head = false;
    call->was_sent_again = false;
    call->body_at = 0;
    tr_link_init(&call->wait);
    tr_timer_init(&call->due, client->loop, on_call_due);
    client->calls_len++;
    if (client->is_closing) {
        (void)tr_err_set(&call->err, TR_CLOSED, "client is closing");
        client_call_done(call);
        return;
    }
    if (client->calls_len > client->conf.calls_max) {
        (void)tr_err_set(&call->err, TR_LIMIT, "more than %u calls to '%s'", client->conf.calls_max, client->host);
        client_call_done(call);
        return;
    }
    if (call->deadline_ms != 0) {
        tr_timer_set(&call->due, call->deadline_ms);
    }
    tr_list_add_tail(&client->waiting, &call->wait);
    client->waiting_len++;
    serve_waiting(client);
}

void tr_http_call_cancel(struct tr_http_call *call)
{
    tr_assert(tr_op_is_open(&call->op));
    if (!tr_op_is_started(&call->op)) {
        return; /* the result stands */
    }
    abandon(call);
    (void)tr_err_set(&call->err, TR_CANCELED, "context canceled");
    client_call_done(call);
}

void tr_http_call_fini(struct tr_http_call *call)
{
    tr_http_headers_fini(&call->headers_out);
    tr_buf_fini(&call->body_out);
}

/* --- connections --------------------------------------------------------------------------------------------------- */

static void conn_free(void *ctx)
{
    struct tr_http_client_conn *conn = ctx;
    struct tr_http_client *client = conn->client;
    client_h2_fini(conn);
    tr_buf_fini(&conn->out);
    tr_buf_fini(&conn->out_busy);
    tr_buf_fini(&conn->name);
    tr_buf_fini(&conn->value);
    tr_link_remove(&conn->link);
    client->conns_len--;
    free(conn);
    if (client->is_closing) {
        if (client->calls_len == 0 && client->conns_len == 0) {
            tr_defer(client->loop, &client->closed, client->closed.cb);
        }
        return;
    }
    serve_waiting(client);
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
    if (conn->state == CONN_CONNECTING) {
        conn->state = CONN_CLOSING;
        tr_connect_cancel(&conn->connect); /* its callback frees */
        return;
    }
    conn->state = CONN_CLOSING;
    tr_stream_close(conn->stream, conn_free, conn);
}

/* The connection is lost; what it served fails, or goes on elsewhere. */
void client_conn_failed(struct tr_http_client_conn *conn, const struct tr_err *err)
{
    struct tr_http_call *call = conn->call;
    const bool may_be_stale = conn->was_used && !conn->has_bytes;
    conn->call = NULL;
    client_conn_close(conn);
    if (call != NULL && !(may_be_stale && client_call_again(call))) {
        client_call_fail(call, err);
    }
}

static void on_written(struct tr_write *write)
{
    struct tr_http_client_conn *conn = TR_CONTAINER_OF(write, struct tr_http_client_conn, write);
    conn->is_writing = false;
    tr_buf_clear(&conn->out_busy);
    if (conn->state == CONN_CLOSING || write->err.code != TR_OK) {
        return; /* a broken connection is noticed by reading, which may still find an answer */
    }
    client_conn_flush(conn);
}

void client_conn_flush(struct tr_http_client_conn *conn)
{
    if (conn->is_writing || conn->out.len == 0 || conn->state == CONN_CLOSING) {
        return;
    }
    const struct tr_slice all = tr_buf_slice(&conn->out);
    const size_t taken = tr_stream_try_write(conn->stream, &all, 1);
    if (taken == all.len) {
        tr_buf_clear(&conn->out);
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

static void on_conn_read(void *ctx, struct tr_slice bytes, const struct tr_err *err)
{
    struct tr_http_client_conn *conn = ctx;
    if (conn->session != NULL) {
        client_h2_read(conn, bytes, err);
    } else {
        client_h1_read(conn, bytes, err);
    }
}

static void on_connected(struct tr_connect *connect)
{
    struct tr_http_client_conn *conn = TR_CONTAINER_OF(connect, struct tr_http_client_conn, connect);
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
        struct tr_link *first = tr_list_first(&client->waiting);
        if (first != NULL) {
            client_call_fail(call_of_wait(first), &connect->err);
        }
        conn_free(conn);
        return;
    }
    conn->stream = connect->stream;
    conn->state = CONN_BUSY;
    tr_stream_read_start(conn->stream, on_conn_read, conn);
    if (client->conf.protocol == TR_HTTP_PROTOCOL_2) {
        client_h2_open(conn);
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

static void on_conn_idle(struct tr_timer *timer)
{
    client_conn_close(TR_CONTAINER_OF(timer, struct tr_http_client_conn, idle));
}

static struct tr_http_call *take_waiting(struct tr_http_client *client)
{
    struct tr_link *first = tr_list_first(&client->waiting);
    if (first == NULL) {
        return NULL;
    }
    struct tr_http_call *call = call_of_wait(first);
    wait_remove(call);
    return call;
}

static void send(struct tr_http_client_conn *conn, struct tr_http_call *call)
{
    if (conn->state == CONN_IDLE) {
        conn->state = CONN_BUSY;
        conn->client->idle_len--;
        tr_timer_stop(&conn->idle);
    }
    call->conn = conn;
    client_h1_send(conn, call);
}

/* An HTTP/1.1 connection has no call, or an HTTP/2 one can take calls: give it what waits, else let it rest. */
void client_conn_ready(struct tr_http_client_conn *conn)
{
    struct tr_http_client *client = conn->client;
    struct tr_http_call *call;
    if (conn->session != NULL) {
        while (conn->state == CONN_BUSY && (call = take_waiting(client)) != NULL) {
            call->conn = conn;
            client_h2_send(conn, call);
        }
        return;
    }
    call = take_waiting(client);
    if (call != NULL) {
        send(conn, call);
        return;
    }
    if (client->idle_len >= client->conf.idle_max) {
        client_conn_close(conn);
        return;
    }
    conn->state = CONN_IDLE;
    client->idle_len++;
    tr_timer_set(&conn->idle, tr_loop_now_ms(client->loop) + client->conf.idle_ms);
}

/* The connection used last is the one least likely to be closed by the server: look from the end. */
static struct tr_http_client_conn *usable_conn(struct tr_http_client *client)
{
    for (struct tr_link *it = client->conns.prev; it != &client->conns; it = it->prev) {
        struct tr_http_client_conn *conn = TR_CONTAINER_OF(it, struct tr_http_client_conn, link);
        if (conn->state == CONN_IDLE || (conn->state == CONN_BUSY && conn->session != NULL && conn->keeps_alive)) {
            return conn;
        }
    }
    return NULL;
}

/* Give waiting calls to connections that can take them, and make the connections that are missing. */
static void serve_waiting(struct tr_http_client *client)
{
    while (client->waiting_len > 0) {
        struct tr_http_client_conn *conn =
            client->idle_len > 0 || client->conf.protocol == TR_HTTP_PROTOCOL_2 ? usable_conn(client) : NULL;
        if (conn == NULL) {
            break;
        }
        if (conn->session != NULL) {
            client_conn_ready(conn);
            return;
        }
        send(conn, take_waiting(client));
    }
    const uint32_t wanted = client->conf.protocol == TR_HTTP_PROTOCOL_2 ? 1 : client->waiting_len;
    while (client->waiting_len > 0 && client->connecting_len < wanted &&
           client->conns_len < client->conf.connections_max) {
        conn_new(client);
    }
}

/* --- end ---------------------------------------------------------------------------------------------------------- */

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

void tr_http_client_close(struct tr_http_client *client, void (*cb)(void *ctx), void *ctx)
{
    tr_loop_assert(client->loop);
    tr_assert(!client->is_closing);
    client->is_closing = true;
    client->on_closed = cb;
    client->closed_ctx = ctx;
    client->closed.cb = on_client_closed;
    struct tr_link *it;
    struct tr_link *tmp;
    TR_LIST_FOR_EACH(it, tmp, &client->calls)
    {
        struct tr_http_call *call = TR_CONTAINER_OF(it, struct tr_http_call, op.link);
        if (tr_op_is_started(&call->op)) {
            abandon(call);
            (void)tr_err_set(&call->err, TR_CANCELED, "client is closing");
            client_call_done(call);
        }
    }
    TR_LIST_FOR_EACH(it, tmp, &client->conns)
    {
        client_conn_close(TR_CONTAINER_OF(it, struct tr_http_client_conn, link));
    }
    if (client->calls_len == 0 && client->conns_len == 0) {
        tr_defer(client->loop, &client->closed, on_client_closed);
    }
}
