/* One connection, as far as the protocols share it: unparsed input, gathered output, deadlines, and who speaks. */
#include "runtime/http/conn.h"

#include <stdio.h>
#include <time.h>

static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"; /* Source: RFC 9113 3.4. */

void http_env_init(struct http_env *env, const struct tr_http_server_conf *conf, const struct http_wire *wire)
{
    *env = (struct http_env){ .conf = *conf, .wire = wire };
    struct tr_http_server_conf *c = &env->conf;
    tr_assert(c->on_request != NULL);
    c->header_bytes_max = c->header_bytes_max == 0 ? 8192 : c->header_bytes_max;
    c->headers_max = c->headers_max == 0 ? 256 : c->headers_max;
    c->headers_max = c->headers_max > TR_HTTP_HEADERS_MAX ? TR_HTTP_HEADERS_MAX : c->headers_max;
    c->connections_max = c->connections_max == 0 ? 10000 : c->connections_max;
    c->header_timeout_ms = c->header_timeout_ms == 0 ? 10000 : c->header_timeout_ms;
    c->write_high_bytes = c->write_high_bytes == 0 ? 256 * 1024 : c->write_high_bytes;
    c->h2_streams_max = c->h2_streams_max == 0 ? 250 : c->h2_streams_max;
    c->h2_window_bytes = c->h2_window_bytes == 0 ? 64 * 1024 : c->h2_window_bytes;
    c->h2_resets_max = c->h2_resets_max == 0 ? 200 : c->h2_resets_max;
    http_env_set_date(env, 0);
}

/* Source: RFC 9110 5.6.7, IMF-fixdate. */
void http_env_set_date(struct http_env *env, int64_t unix_s)
{
    static const char *const days[] = { "Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat" };
    static const char *const months[] = { "Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                          "Jul", "Aug", "Sep", "Oct", "Nov", "Dec" };
    const time_t at = (time_t)unix_s;
    struct tm tm;
    if (gmtime_r(&at, &tm) == NULL || tm.tm_year < 0 || tm.tm_year > 8099) {
        return;
    }
    (void)snprintf(env->date, sizeof(env->date), "%s, %02u %s %04u %02u:%02u:%02u GMT", days[tm.tm_wday],
                   (unsigned)tm.tm_mday % 100U, months[tm.tm_mon], (unsigned)(tm.tm_year + 1900) % 10000U,
                   (unsigned)tm.tm_hour % 100U, (unsigned)tm.tm_min % 100U, (unsigned)tm.tm_sec % 100U);
}

void http_conn_init(struct http_conn *conn, struct http_env *env, const char *peer)
{
    memset(conn, 0, sizeof(*conn));
    conn->env = env;
    (void)snprintf(conn->peer, sizeof(conn->peer), "%s", peer);
    conn->proto = &http_sniffing;
    conn->moved_ms = env->wire->now_ms(conn);
    conn->deadline_ms = conn->moved_ms + env->conf.header_timeout_ms;
    tr_link_init(&conn->link);
    tr_link_init(&conn->woken);
    if (env->conf.h2c_off) {
        http_conn_become_h1(conn);
    }
}

void http_conn_fini(struct http_conn *conn)
{
    tr_assert(http_conn_is_over(conn));
    conn->proto->fini(conn);
    tr_buf_fini(&conn->in);
    tr_buf_fini(&conn->out);
    tr_link_remove(&conn->link);
    tr_link_remove(&conn->woken);
}

/* --- events --------------------------------------------------------------------------------------------------------- */

void http_conn_input(struct http_conn *conn, struct tr_slice bytes)
{
    if (conn->is_shut) {
        return;
    }
    conn->moved_ms = conn->env->wire->now_ms(conn);
    if (conn->in.len > 0) {
        tr_buf_add(&conn->in, bytes);
        conn->data = tr_buf_slice(&conn->in);
    } else {
        conn->data = bytes;
    }
    http_conn_run(conn);
}

void http_conn_eof(struct http_conn *conn)
{
    if (!conn->is_shut && !conn->is_eof) {
        conn->is_eof = true;
        conn->proto->on_eof(conn);
    }
    http_conn_run(conn);
}

void http_conn_writable(struct http_conn *conn)
{
    http_conn_run(conn);
}

void http_conn_closed(struct http_conn *conn)
{
    tr_assert(conn->is_shut);
    conn->is_gone = true;
    http_conn_run(conn);
}

void http_conn_cut(struct http_conn *conn)
{
    http_conn_close(conn);
    conn->proto->on_gone(conn);
    http_conn_run(conn);
}

void http_conn_drain(struct http_conn *conn)
{
    if (!conn->is_shut) {
        conn->proto->drain(conn);
        http_conn_wake(conn);
    }
}

/* Keep what is unparsed: it may lie in the wire's memory. */
static void keep_data(struct http_conn *conn)
{
    if (conn->is_shut) {
        conn->data = (struct tr_slice){ 0 };
    }
    if (conn->data.len == 0) {
        if (conn->in.cap > HTTP_KEEP_MAX) {
            tr_buf_fini(&conn->in);
        }
        tr_buf_clear(&conn->in);
        conn->data = (struct tr_slice){ 0 };
        return;
    }
    const bool is_ours = conn->in.len > 0;
    if (is_ours) {
        tr_buf_drop(&conn->in, conn->in.len - conn->data.len);
    } else {
        tr_buf_set(&conn->in, conn->data);
    }
    conn->data = tr_buf_slice(&conn->in);
}

void http_conn_run(struct http_conn *conn)
{
    tr_assert(!conn->is_running);
    conn->is_running = true;
    conn->proto->run(conn);
    http_conn_flush(conn);
    conn->is_running = false;
    keep_data(conn);
    if (!conn->is_shut) {
        const bool on = !conn->is_eof && conn->proto->wants_input(conn);
        if (on != conn->is_reading) {
            conn->is_reading = on;
            conn->env->wire->read(conn, on);
        }
    }
}

/*
 * Deadlines are coarse: they are compared here and not armed one by one. Besides the protocol's own, an exchange without
 * any movement ends after idle_ms, and a closing connection that sends nothing is cut.
 */
void http_conn_tick(struct http_conn *conn)
{
    if (conn->is_gone) {
        return;
    }
    const uint64_t now_ms = conn->env->wire->now_ms(conn);
    const size_t pending = conn->env->wire->pending(conn);
    if (pending != conn->pending_seen || (!conn->is_shut && pending == 0 && !conn->proto->has_exchange(conn))) {
        conn->pending_seen = pending;
        conn->moved_ms = now_ms;
    }
    const uint64_t idle_ms = conn->is_shut ? HTTP_CLOSING_MS : conn->env->conf.idle_ms;
    const bool waits_for_client = pending > 0 || conn->is_shut || conn->proto->waits_for_client(conn);
    if (idle_ms != 0 && waits_for_client && now_ms >= conn->moved_ms + idle_ms) {
        http_conn_cut(conn);
    } else if (!conn->is_shut && conn->deadline_ms != 0 && now_ms >= conn->deadline_ms) {
        conn->deadline_ms = 0;
        conn->proto->on_deadline(conn);
        http_conn_run(conn);
    }
}

bool http_conn_is_over(const struct http_conn *conn)
{
    return conn->is_gone && !conn->is_running && !conn->proto->has_exchange(conn);
}

/* --- for the protocols ----------------------------------------------------------------------------------------------- */

void http_conn_wake(struct http_conn *conn)
{
    if (!conn->is_running) {
        conn->env->wire->wake(conn);
    }
}

void http_conn_flush(struct http_conn *conn)
{
    if (conn->out.len == 0) {
        return;
    }
    if (!conn->is_shut) {
        const struct tr_slice bytes = tr_buf_slice(&conn->out);
        conn->env->wire->write(conn, &bytes, 1);
    }
    if (conn->out.cap > HTTP_KEEP_MAX) {
        tr_buf_fini(&conn->out);
    }
    tr_buf_clear(&conn->out);
}

void http_conn_finish(struct http_conn *conn)
{
    if (!conn->is_shut) {
        http_conn_flush(conn);
        conn->is_shut = true;
        conn->moved_ms = conn->env->wire->now_ms(conn);
        conn->env->wire->finish(conn);
    }
}

void http_conn_close(struct http_conn *conn)
{
    if (!conn->is_cut && !conn->is_gone) {
        conn->is_shut = true;
        conn->is_cut = true;
        tr_buf_clear(&conn->out);
        conn->env->wire->close(conn);
    }
}

size_t http_conn_pending(const struct http_conn *conn)
{
    return conn->is_shut ? 0 : conn->out.len + conn->env->wire->pending(conn);
}

/* --- the first bytes -------------------------------------------------------------------------------------------------- */

/* Which protocol? No HTTP/1 request begins like the preface: its method is not known there. */
static void sniff_run(struct http_conn *conn)
{
    const size_t len = conn->data.len < sizeof(preface) - 1 ? conn->data.len : sizeof(preface) - 1;
    if (conn->is_shut || len == 0) {
        return;
    }
    if (memcmp(conn->data.ptr, preface, len) != 0) {
        http_conn_become_h1(conn);
    } else if (len == sizeof(preface) - 1) {
        http_conn_become_h2(conn);
    } else {
        return;
    }
    conn->proto->run(conn);
}

static bool sniff_wants_input(const struct http_conn *conn)
{
    (void)conn;
    return true;
}

static void sniff_end(struct http_conn *conn)
{
    http_conn_finish(conn);
}

static void sniff_nothing(struct http_conn *conn)
{
    (void)conn;
}

static bool sniff_has_exchange(const struct http_conn *conn)
{
    (void)conn;
    return false;
}

const struct http_proto http_sniffing = {
    .run = sniff_run,
    .wants_input = sniff_wants_input,
    .on_eof = sniff_end,
    .on_gone = sniff_nothing,
    .on_deadline = sniff_end,
    .drain = sniff_end,
    .has_exchange = sniff_has_exchange,
    .waits_for_client = sniff_has_exchange,
    .fini = sniff_nothing,
};
