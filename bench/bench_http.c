/* How many requests does the HTTP server answer, at which price? Bodies are echoed; see README.md for the commands. */
#include "bench/wrk.h"
#include "runtime/http/server.h"

struct bench {
    struct tr_loop *loop;
    struct tr_http_server *server;
    struct tr_fd_watch *watch;
    struct wrk wrk;
    uint64_t requests;
};

static void on_body(struct tr_http_exchange *ex, const struct tr_err *err)
{
    (void)err;
    static const char hello[] = "{\"hello\":\"world\"}";
    tr_http_respond_text(ex, 200, "application/json",
                         ex->body.len > 0 ? tr_buf_slice(&ex->body) : tr_slice(hello, sizeof(hello) - 1));
}

static void on_request(void *ctx, struct tr_http_exchange *ex)
{
    struct bench *bench = ctx;
    bench->requests++;
    tr_http_exchange_read_all(ex, 0, on_body);
}

static void on_server_closed(void *ctx)
{
    struct bench *bench = ctx;
    tr_loop_stop(bench->loop);
}

static void on_wrk(void *ctx, unsigned events)
{
    struct bench *bench = ctx;
    (void)events;
    if (wrk_read(&bench->wrk) == 0) {
        tr_fd_watch_free(&bench->watch);
        tr_http_server_close(bench->server, 0, on_server_closed, bench);
    }
}

int main(int argc, char **argv)
{
    static struct bench bench;
    struct tr_err err;
    uint16_t port = 0;
    const struct tr_http_server_conf conf = { .on_request = on_request, .ctx = &bench };
    bench.loop = tr_loop_new();
    bench.server = tr_http_server_new(bench.loop, &conf);
    if (tr_http_server_listen(bench.server, "127.0.0.1", 0, &port, &err) != TR_OK) {
        (void)fprintf(stderr, "%s\n", err.msg);
        return 1;
    }
    wrk_start(&bench.wrk, argc, argv, port);
    if (tr_fd_watch_new(bench.loop, bench.wrk.fd, TR_FD_READ, on_wrk, &bench, &bench.watch, &err) != TR_OK) {
        (void)fprintf(stderr, "%s\n", err.msg);
        return 1;
    }
    tr_loop_run(bench.loop);
    wrk_report(&bench.wrk, "http", bench.requests);
    tr_http_server_free(&bench.server);
    tr_loop_free(&bench.loop);
    return 0;
}
