/* The server on sockets of this machine: addresses, limits, back-pressure by the system's buffers, and closing. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "runtime/http/server.h"

#define WAIT_MS 10000 /* the longest a condition may take to come true */

struct server_test {
    struct tr_loop *loop;
    struct tr_http_server *server;
    uint16_t port;
    struct tr_http_exchange *ex; /* the latest that is held */
    unsigned requests;
    unsigned aborts;
    unsigned closes;
    size_t body_bytes;
    bool read_ended;
    bool is_closed;
};

/* --- handlers ---------------------------------------------------------------------------------------------------------- */

static void on_abort(struct tr_http_exchange *ex)
{
    struct server_test *t = ex->user;
    t->aborts++;
}

static void on_close(struct tr_http_exchange *ex)
{
    struct server_test *t = ex->user;
    t->closes++;
    t->ex = NULL;
}

static void handle_hold(void *ctx, struct tr_http_exchange *ex)
{
    struct server_test *t = ctx;
    t->requests++;
    t->ex = ex;
    ex->user = t;
    ex->on_abort = on_abort;
    ex->on_close = on_close;
}

static void handle_path(void *ctx, struct tr_http_exchange *ex)
{
    struct server_test *t = ctx;
    t->requests++;
    tr_http_respond_text(ex, 200, "text/plain", ex->path);
}

/* --- the test's end ------------------------------------------------------------------------------------------------------ */

static void server_test_init(struct server_test *t, const struct tr_http_server_conf *conf,
                             void (*on_request)(void *ctx, struct tr_http_exchange *ex))
{
    memset(t, 0, sizeof(*t));
    struct tr_http_server_conf own = conf == NULL ? (struct tr_http_server_conf){ 0 } : *conf;
    own.on_request = on_request;
    own.ctx = t;
    t->loop = tr_loop_new();
    t->server = tr_http_server_new(t->loop, &own);
    struct tr_err err;
    assert_int_equal(tr_http_server_listen(t->server, "127.0.0.1", 0, &t->port, &err), TR_OK);
}

static void on_closed(void *ctx)
{
    struct server_test *t = ctx;
    t->is_closed = true;
}

static bool is_closed(void *ctx)
{
    return ((struct server_test *)ctx)->is_closed;
}

static void server_test_fini(struct server_test *t)
{
    tr_http_server_close(t->server, 0, on_closed, t);
    tr_loop_turn(t->loop);
    tr_loop_turn(t->loop);
    if (t->ex != NULL) {
        tr_http_exchange_abort(t->ex);
    }
    assert_true(tr_loop_run_until(t->loop, is_closed, t, WAIT_MS));
    assert_int_equal(tr_http_server_exchanges(t->server), 0);
    tr_http_server_free(&t->server);
    tr_loop_free(&t->loop);
}

/* A client: a socket that never blocks once it is connected, and what it has received. */
struct peer {
    struct server_test *t;
    int fd;
    struct tr_buf got;
    bool is_eof;
    const char *until;
};

static void peer_open(struct peer *peer, struct server_test *t)
{
    *peer = (struct peer){ .t = t, .fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0) };
    const struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(t->port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)
    };
    assert_int_equal(connect(peer->fd, (const struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(fcntl(peer->fd, F_SETFL, O_NONBLOCK), 0);
}

static void peer_close(struct peer *peer)
{
    if (peer->fd >= 0) {
        (void)close(peer->fd);
    }
    tr_buf_fini(&peer->got);
}

static void peer_send(struct peer *peer, const char *text)
{
    assert_int_equal(send(peer->fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

static void peer_receive(struct peer *peer)
{
    char bytes[65536];
    ssize_t len;
    while ((len = recv(peer->fd, bytes, sizeof(bytes), 0)) > 0) {
        tr_buf_add(&peer->got, tr_slice(bytes, (size_t)len));
    }
    peer->is_eof = peer->is_eof || len == 0 || (len < 0 && errno != EAGAIN);
}

static bool has_got(void *ctx)
{
    struct peer *peer = ctx;
    peer_receive(peer);
    return strstr(tr_buf_cstr(&peer->got), peer->until) != NULL;
}

static void peer_wait(struct peer *peer, const char *text)
{
    peer->until = text;
    if (!tr_loop_run_until(peer->t->loop, has_got, peer, WAIT_MS)) {
        fail_msg("'%s' did not come, but '%s'", text, tr_buf_cstr(&peer->got));
    }
}

static bool has_ended(void *ctx)
{
    struct peer *peer = ctx;
    peer_receive(peer);
    return peer->is_eof;
}

static void peer_wait_end(struct peer *peer)
{
    assert_true(tr_loop_run_until(peer->t->loop, has_ended, peer, WAIT_MS));
}

static bool holds_one(void *ctx)
{
    return ((struct server_test *)ctx)->ex != NULL;
}

static bool was_aborted(void *ctx)
{
    return ((struct server_test *)ctx)->aborts > 0;
}

static bool has_no_connection(void *ctx)
{
    return tr_http_server_connections(((struct server_test *)ctx)->server) == 0;
}

#define REQUEST "GET /p HTTP/1.1\r\nHost: h\r\n\r\n"

/* --- tests --------------------------------------------------------------------------------------------------------------- */

static void several_addresses_are_served(void **state)
{
    struct server_test t;
    server_test_init(&t, NULL, handle_path);
    struct tr_err err;
    uint16_t port = 0;
    assert_int_equal(tr_http_server_listen(t.server, "127.0.0.1", 0, &port, &err), TR_OK);
    assert_int_not_equal(port, t.port);
    assert_int_equal(tr_http_server_listen(t.server, "127.0.0.1", port, NULL, &err), TR_EXISTS);
    assert_int_equal(tr_http_server_listen(t.server, "no address", 0, NULL, &err), TR_INVALID);
    struct peer one;
    struct peer two;
    peer_open(&one, &t);
    t.port = port;
    peer_open(&two, &t);
    peer_send(&one, REQUEST);
    peer_send(&two, REQUEST);
    peer_wait(&one, "\r\n\r\n/p");
    peer_wait(&two, "\r\n\r\n/p");
    assert_int_equal(tr_http_server_connections(t.server), 2);
    peer_close(&one);
    peer_close(&two);
    assert_true(tr_loop_run_until(t.loop, has_no_connection, &t, WAIT_MS));
    server_test_fini(&t);
    (void)state;
}

static void a_unix_socket_is_served(void **state)
{
    struct server_test t;
    server_test_init(&t, NULL, handle_path);
    char path[] = "/tmp/troupe-http-XXXXXX";
    assert_non_null(mkdtemp(path));
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    (void)snprintf(address.sun_path, sizeof(address.sun_path), "%s/s", path);
    struct tr_err err;
    assert_int_equal(tr_http_server_listen_unix(t.server, address.sun_path, &err), TR_OK);
    struct peer peer = { .t = &t, .fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0) };
    assert_int_equal(connect(peer.fd, (const struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(fcntl(peer.fd, F_SETFL, O_NONBLOCK), 0);
    peer_send(&peer, REQUEST);
    peer_wait(&peer, "\r\n\r\n/p");
    peer_close(&peer);
    server_test_fini(&t);
    assert_int_equal(rmdir(path), 0);
    (void)state;
}

static void connections_beyond_the_limit_are_closed(void **state)
{
    const struct tr_http_server_conf conf = { .connections_max = 1 };
    struct server_test t;
    server_test_init(&t, &conf, handle_path);
    struct peer one;
    struct peer two;
    peer_open(&one, &t);
    peer_send(&one, REQUEST);
    peer_wait(&one, "\r\n\r\n/p");
    peer_open(&two, &t);
    peer_wait_end(&two);
    assert_int_equal(two.got.len, 0);
    peer_close(&one);
    peer_close(&two);
    server_test_fini(&t);
    (void)state;
}

static void the_last_answer_arrives_although_the_client_still_sends(void **state)
{
    struct server_test t;
    server_test_init(&t, NULL, handle_hold);
    struct peer peer;
    peer_open(&peer, &t);
    peer_send(&peer, "PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 10000000\r\n\r\nbeginning");
    assert_true(tr_loop_run_until(t.loop, holds_one, &t, WAIT_MS));
    tr_http_respond(t.ex, 401, NULL, TR_SLICE_LIT("refused"));
    char more[100000];
    memset(more, 'x', sizeof(more));
    for (int i = 0; i < 5; i++) {
        tr_loop_turn(t.loop);
        (void)send(peer.fd, more, sizeof(more), MSG_NOSIGNAL);
    }
    peer_wait(&peer, "refused");
    peer_wait_end(&peer);
    peer_close(&peer);
    server_test_fini(&t);
    (void)state;
}

static void a_reset_aborts_the_exchange(void **state)
{
    struct server_test t;
    server_test_init(&t, NULL, handle_hold);
    struct peer peer;
    peer_open(&peer, &t);
    peer_send(&peer, REQUEST);
    assert_true(tr_loop_run_until(t.loop, holds_one, &t, WAIT_MS));
    const struct linger reset = { .l_onoff = 1, .l_linger = 0 };
    assert_int_equal(setsockopt(peer.fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset)), 0);
    peer_close(&peer);
    assert_true(tr_loop_run_until(t.loop, was_aborted, &t, WAIT_MS));
    assert_int_equal(t.closes, 0);
    tr_http_respond(t.ex, 200, NULL, TR_SLICE_LIT("to nobody"));
    assert_true(tr_loop_run_until(t.loop, has_no_connection, &t, WAIT_MS));
    assert_int_equal(t.closes, 1);
    server_test_fini(&t);
    (void)state;
}

static void count_body(struct tr_http_exchange *ex, struct tr_slice piece)
{
    struct server_test *t = ex->user;
    t->body_bytes += piece.len;
}

static void end_body(struct tr_http_exchange *ex, const struct tr_err *err)
{
    struct server_test *t = ex->user;
    t->read_ended = true;
    assert_int_equal(err->code, TR_OK);
    tr_http_respond(ex, 204, NULL, (struct tr_slice){ 0 });
}

struct upload {
    struct peer *peer;
    size_t left;
};

/* Send until the system takes no more; true at the end. */
static bool send_upload(void *ctx)
{
    struct upload *upload = ctx;
    static const char bytes[65536];
    while (upload->left > 0) {
        const size_t want = upload->left < sizeof(bytes) ? upload->left : sizeof(bytes);
        const ssize_t sent = send(upload->peer->fd, bytes, want, MSG_NOSIGNAL);
        if (sent < 0) {
            return false;
        }
        upload->left -= (size_t)sent;
    }
    return true;
}

static void a_paused_handler_fills_the_clients_buffers(void **state)
{
    const size_t bytes = 50000000;
    struct server_test t;
    server_test_init(&t, NULL, handle_hold);
    struct peer peer;
    peer_open(&peer, &t);
    peer_send(&peer, "PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 50000000\r\n\r\n");
    assert_true(tr_loop_run_until(t.loop, holds_one, &t, WAIT_MS));
    tr_http_exchange_read_start(t.ex, count_body, end_body);
    tr_http_exchange_pause(t.ex);
    struct upload upload = { .peer = &peer, .left = bytes };
    for (int i = 0; i < 100; i++) {
        (void)send_upload(&upload);
        tr_loop_turn(t.loop);
    }
    assert_true(upload.left > 0);
    assert_int_equal(t.body_bytes, 0);
    tr_http_exchange_resume(t.ex);
    assert_true(tr_loop_run_until(t.loop, send_upload, &upload, WAIT_MS));
    peer_wait(&peer, "HTTP/1.1 204 ");
    assert_int_equal(t.body_bytes, bytes);
    assert_true(t.read_ended);
    peer_close(&peer);
    server_test_fini(&t);
    (void)state;
}

static void write_more(struct tr_http_exchange *ex)
{
    struct server_test *t = ex->user;
    static const char bytes[40000];
    while (t->body_bytes < 20000000) {
        t->body_bytes += sizeof(bytes);
        if (!tr_http_respond_write(ex, tr_slice(bytes, sizeof(bytes)))) {
            return;
        }
    }
    tr_http_respond_end(ex);
}

struct download {
    struct peer *peer;
    size_t bytes;
};

static bool receive_all(void *ctx)
{
    struct download *download = ctx;
    peer_receive(download->peer);
    download->bytes += download->peer->got.len;
    tr_buf_clear(&download->peer->got);
    return download->peer->is_eof;
}

static void a_slow_client_holds_the_handler_back(void **state)
{
    struct server_test t;
    server_test_init(&t, NULL, handle_hold);
    struct peer peer;
    peer_open(&peer, &t);
    peer_send(&peer, "GET / HTTP/1.0\r\n\r\n");
    assert_true(tr_loop_run_until(t.loop, holds_one, &t, WAIT_MS));
    t.ex->on_drain = write_more;
    tr_http_respond_start(t.ex, 200, NULL, TR_HTTP_LENGTH_UNKNOWN);
    write_more(t.ex);
    for (int i = 0; i < 100; i++) {
        tr_loop_turn(t.loop);
    }
    assert_true(t.body_bytes < 20000000);
    assert_true(tr_http_exchange_pending(t.ex) < 1000000);
    struct download download = { .peer = &peer };
    assert_true(tr_loop_run_until(t.loop, receive_all, &download, WAIT_MS));
    assert_true(download.bytes > 20000000);
    assert_true(download.bytes < 20001000);
    peer_close(&peer);
    server_test_fini(&t);
    (void)state;
}

static void closing_waits_for_open_exchanges_and_refuses_new_connections(void **state)
{
    struct server_test t;
    server_test_init(&t, NULL, handle_hold);
    struct peer busy;
    struct peer idle;
    peer_open(&busy, &t);
    peer_open(&idle, &t);
    peer_send(&busy, REQUEST);
    assert_true(tr_loop_run_until(t.loop, holds_one, &t, WAIT_MS));
    tr_http_server_close(t.server, tr_loop_now_ms(t.loop) + 600000, on_closed, &t);
    peer_wait_end(&idle);
    assert_false(t.is_closed);
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(t.port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)
    };
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_not_equal(connect(fd, (const struct sockaddr *)&address, sizeof(address)), 0);
    (void)close(fd);
    tr_http_respond(t.ex, 200, NULL, TR_SLICE_LIT("done"));
    peer_wait(&busy, "Connection: close\r\n");
    peer_wait(&busy, "done");
    peer_close(&busy);
    peer_close(&idle);
    assert_true(tr_loop_run_until(t.loop, is_closed, &t, WAIT_MS));
    server_test_fini(&t);
    (void)state;
}

static void the_deadline_of_closing_cuts_what_is_left(void **state)
{
    struct server_test t;
    server_test_init(&t, NULL, handle_hold);
    struct peer peer;
    peer_open(&peer, &t);
    peer_send(&peer, REQUEST);
    assert_true(tr_loop_run_until(t.loop, holds_one, &t, WAIT_MS));
    tr_http_server_close(t.server, tr_loop_now_ms(t.loop) + 600000, on_closed, &t);
    tr_http_server_close(t.server, tr_loop_now_ms(t.loop), NULL, NULL);
    assert_true(tr_loop_run_until(t.loop, was_aborted, &t, WAIT_MS));
    peer_wait_end(&peer);
    assert_false(t.is_closed);
    tr_http_exchange_abort(t.ex);
    assert_true(tr_loop_run_until(t.loop, is_closed, &t, WAIT_MS));
    peer_close(&peer);
    server_test_fini(&t);
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(several_addresses_are_served),
        cmocka_unit_test(a_unix_socket_is_served),
        cmocka_unit_test(connections_beyond_the_limit_are_closed),
        cmocka_unit_test(the_last_answer_arrives_although_the_client_still_sends),
        cmocka_unit_test(a_reset_aborts_the_exchange),
        cmocka_unit_test(a_paused_handler_fills_the_clients_buffers),
        cmocka_unit_test(a_slow_client_holds_the_handler_back),
        cmocka_unit_test(closing_waits_for_open_exchanges_and_refuses_new_connections),
        cmocka_unit_test(the_deadline_of_closing_cuts_what_is_left),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
