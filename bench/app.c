/*
 * The app beside a measured sidecar: hosts actors of one type and answers their calls at once, so that what is measured is
 * not the app. The answer names the app, which tells the driver who owns an actor.
 *
 * bench_app TYPE [port]   prints its port and serves until it is killed
 */
#include <stdio.h>
#include <stdlib.h>

#include "runtime/http/server.h"

struct app {
    const char *type;
    uint16_t port;
};

static void answer(struct tr_http_exchange *ex, const struct app *app)
{
    char text[256];
    if (tr_slice_eq_str(ex->path, "/dapr/config")) {
        (void)snprintf(text, sizeof(text), "{\"entities\":[\"%s\"],\"actorIdleTimeout\":\"1h\"}", app->type);
    } else {
        (void)snprintf(text, sizeof(text), "{\"app\":%u,\"value\":42}", app->port);
    }
    tr_http_respond_text(ex, 200, "application/json", tr_slice_str(text));
}

static void on_body(struct tr_http_exchange *ex, const struct tr_err *err)
{
    (void)err; /* a broken request has nobody who reads the answer */
    answer(ex, ex->user);
}

static void on_request(void *ctx, struct tr_http_exchange *ex)
{
    ex->user = ctx;
    tr_http_exchange_read_all(ex, 0, on_body);
}

int main(int argc, char **argv)
{
    static struct app app;
    struct tr_err err;
    if (argc < 2) {
        (void)fprintf(stderr, "usage: bench_app TYPE [port]\n");
        return 2;
    }
    app.type = argv[1];
    struct tr_loop *loop = tr_loop_new();
    const struct tr_http_server_conf conf = { .on_request = on_request, .ctx = &app };
    struct tr_http_server *server = tr_http_server_new(loop, &conf);
    const uint16_t port = argc > 2 ? (uint16_t)strtoul(argv[2], NULL, 10) : 0;
    if (tr_http_server_listen(server, "127.0.0.1", port, &app.port, &err) != TR_OK) {
        (void)fprintf(stderr, "%s\n", err.msg);
        return 1;
    }
    (void)printf("%u\n", app.port);
    (void)fflush(stdout);
    tr_loop_run(loop);
    return 0;
}
