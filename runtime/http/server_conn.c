/*
 * A connection core (conn.h) on a stream.
 *
 * Writing: what the socket takes at once is never copied. The rest is copied to `queued`; one write operation at a time
 * sends `writing`, which is `queued` of before.
 *
 * Finishing: when all is written, our side is shut down and the client's bytes are read and dropped until it closes its
 * own: closing at once would make the system answer late bytes with a reset, which may destroy our last answer before the
 * client has read it. Source: RFC 9112 9.6.
 */
#include <stdlib.h>

#include "runtime/http/server_int.h"

struct server_conn {
    struct http_conn conn;
    struct tr_http_server *server; /* borrowed */
    struct tr_stream *stream;      /* owned, NULL once closed */
    struct tr_buf writing;         /* owned: what `write` sends */
    struct tr_buf queued;          /* owned: what comes after it */
    struct tr_slice writing_slice;
    struct tr_write write;
    uint64_t linger_until_ms;
    size_t lingered_bytes;
    bool is_writing;
    bool is_finishing;
    bool is_shut_down;
    bool is_eof;
    bool is_closed; /* tr_stream_close() has been called */
};

static struct server_conn *conn_of(const struct http_conn *conn)
{
    return TR_CONTAINER_OF((uintptr_t)conn, struct server_conn, conn);
}

static void maybe_free(struct server_conn *sc)
{
    if (sc->stream == NULL && !sc->is_writing && http_conn_is_over(&sc->conn)) {
        struct tr_http_server *server = sc->server;
        http_conn_fini(&sc->conn);
        tr_buf_fini(&sc->writing);
        tr_buf_fini(&sc->queued);
        free(sc);
        server_conn_gone(server);
    }
}

/* --- closing ----------------------------------------------------------------------------------------------------------- */

static void on_closed(void *ctx)
{
    struct server_conn *sc = ctx;
    sc->stream = NULL;
    http_conn_closed(&sc->conn);
    maybe_free(sc);
}

static void close_stream(struct server_conn *sc)
{
    if (sc->is_closed) {
        return;
    }
    sc->is_closed = true;
    if (sc->conn.wants_reset) {
        tr_stream_close_reset(sc->stream, on_closed, sc);
    } else {
        tr_stream_close(sc->stream, on_closed, sc);
    }
}

static void wire_close(struct http_conn *conn)
{
    close_stream(conn_of(conn));
}

static void on_read(void *ctx, struct tr_slice bytes, const struct tr_err *err);

/* Finishing, and all is written. */
static void shut_down(struct server_conn *sc)
{
    if (sc->is_closed || sc->is_shut_down) {
        return;
    }
    if (sc->is_eof) {
        close_stream(sc);
        return;
    }
    sc->is_shut_down = true;
    sc->linger_until_ms = tr_loop_now_ms(sc->server->loop) + SERVER_LINGER_MS;
    tr_stream_shutdown(sc->stream);
    tr_stream_read_start(sc->stream, on_read, sc);
}

static void wire_finish(struct http_conn *conn)
{
    struct server_conn *sc = conn_of(conn);
    sc->is_finishing = true;
    tr_stream_read_stop(sc->stream);
    if (!sc->is_writing) {
        shut_down(sc);
    }
}

/* --- writing ----------------------------------------------------------------------------------------------------------- */

static void on_written(struct tr_write *write);

static void write_queued(struct server_conn *sc)
{
    tr_assert(!sc->is_writing);
    tr_buf_move(&sc->writing, &sc->queued);
    sc->writing_slice = tr_buf_slice(&sc->writing);
    sc->write = (struct tr_write){ .slices = &sc->writing_slice, .slices_len = 1, .cb = on_written };
    sc->is_writing = true;
    tr_write_start(sc->stream, &sc->write);
}

static void on_written(struct tr_write *write)
{
    struct server_conn *sc = TR_CONTAINER_OF(write, struct server_conn, write);
    sc->is_writing = false;
    tr_buf_fini(&sc->writing);
    if (write->err.code != TR_OK) {
        tr_buf_fini(&sc->queued);
        http_conn_cut(&sc->conn);
    } else if (sc->queued.len > 0) {
        write_queued(sc);
    } else if (sc->is_finishing) {
        shut_down(sc);
    } else {
        http_conn_writable(&sc->conn);
    }
    maybe_free(sc);
}

static void wire_write(struct http_conn *conn, const struct tr_slice *slices, size_t slices_len)
{
    struct server_conn *sc = conn_of(conn);
    tr_assert(!sc->is_closed);
    tr_assert(!sc->is_finishing);
    size_t taken = sc->is_writing ? 0 : tr_stream_try_write(sc->stream, slices, slices_len);
    for (size_t i = 0; i < slices_len; i++) {
        const size_t skip = taken < slices[i].len ? taken : slices[i].len;
        taken -= skip;
        if (skip < slices[i].len) {
            tr_buf_add(&sc->queued, tr_slice_skip(slices[i], skip));
        }
    }
    if (!sc->is_writing && sc->queued.len > 0) {
        write_queued(sc);
    }
}

static size_t wire_pending(const struct http_conn *conn)
{
    const struct server_conn *sc = conn_of(conn);
    return sc->queued.len + (sc->is_closed ? 0 : tr_stream_pending(sc->stream));
}

/* --- reading ----------------------------------------------------------------------------------------------------------- */

static void on_lingering_read(struct server_conn *sc, struct tr_slice bytes, const struct tr_err *err)
{
    sc->lingered_bytes += bytes.len;
    if (err != NULL || sc->lingered_bytes > SERVER_LINGER_BYTES_MAX) {
        close_stream(sc);
    }
}

static void on_read(void *ctx, struct tr_slice bytes, const struct tr_err *err)
{
    struct server_conn *sc = ctx;
    if (sc->is_finishing) {
        on_lingering_read(sc, bytes, err);
    } else if (err == NULL) {
        http_conn_input(&sc->conn, bytes);
    } else if (err->code == TR_EOF) {
        sc->is_eof = true;
        http_conn_eof(&sc->conn);
    } else {
        http_conn_cut(&sc->conn);
    }
}

static void wire_read(struct http_conn *conn, bool on)
{
    struct server_conn *sc = conn_of(conn);
    if (on) {
        tr_stream_read_start(sc->stream, on_read, sc);
    } else {
        tr_stream_read_stop(sc->stream);
    }
}

/* --- turns ------------------------------------------------------------------------------------------------------------- */

static void run_woken(struct tr_defer *defer)
{
    struct tr_http_server *server = TR_CONTAINER_OF(defer, struct tr_http_server, run);
    struct tr_link batch;
    tr_link_init(&batch);
    tr_list_splice(&batch, &server->woken);
    struct tr_link *link;
    while ((link = tr_list_pop(&batch)) != NULL) {
        struct http_conn *conn = TR_CONTAINER_OF(link, struct http_conn, woken);
        http_conn_run(conn);
        maybe_free(conn_of(conn));
    }
}

static void wire_wake(struct http_conn *conn)
{
    struct tr_http_server *server = conn_of(conn)->server;
    if (!tr_link_linked(&conn->woken)) {
        tr_list_add_tail(&server->woken, &conn->woken);
        tr_defer(server->loop, &server->run, run_woken);
    }
}

static uint64_t wire_now_ms(const struct http_conn *conn)
{
    return tr_loop_now_ms(conn_of(conn)->server->loop);
}

const struct http_wire server_wire = {
    .write = wire_write,
    .pending = wire_pending,
    .read = wire_read,
    .finish = wire_finish,
    .close = wire_close,
    .wake = wire_wake,
    .now_ms = wire_now_ms,
};

void server_accept(struct tr_http_server *server, struct tr_stream *stream)
{
    struct server_conn *sc = tr_xzalloc(sizeof(*sc));
    sc->server = server;
    sc->stream = stream;
    http_conn_init(&sc->conn, &server->env, tr_stream_peer(stream));
    tr_list_add_tail(&server->conns, &sc->conn.link);
    server->conns_len++;
    http_conn_run(&sc->conn);
}

void server_tick(struct tr_http_server *server)
{
    const uint64_t now_ms = tr_loop_now_ms(server->loop);
    struct tr_link *it;
    struct tr_link *tmp;
    TR_LIST_FOR_EACH(it, tmp, &server->conns)
    {
        struct server_conn *sc = conn_of(TR_CONTAINER_OF(it, struct http_conn, link));
        if (sc->is_shut_down && now_ms >= sc->linger_until_ms) {
            close_stream(sc);
        }
        http_conn_tick(&sc->conn);
        maybe_free(sc);
    }
}

void server_cut(struct tr_http_server *server)
{
    struct tr_link *it;
    struct tr_link *tmp;
    TR_LIST_FOR_EACH(it, tmp, &server->conns)
    {
        struct server_conn *sc = conn_of(TR_CONTAINER_OF(it, struct http_conn, link));
        http_conn_cut(&sc->conn);
        maybe_free(sc);
    }
}
