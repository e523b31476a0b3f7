/*
 * Client and server against each other while one call of the net after the other fails. Whatever
 * fails, every call of the client comes back once with its whole answer or an error, both sides
 * close, and nothing leaks.
 */
#include "runtime/http/client.h"
#include "runtime/http/server.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <setjmp.h>
#include <cmocka.h>

#include "tests/lib/fault.h"

#define WAIT_MS 20000
#define CALLS   4U
#define BYTES   (128U << 10U)

struct test_call {
    struct tr_http_call call;
    unsigned done;
};

struct scene {
    struct tr_loop *loop;
    struct tr_http_server *server;
    struct tr_http_client *client;
    struct test_call calls[CALLS];
    unsigned calls_done;
    unsigned open; /* of server and client, not closed */
};

static void on_request_read(struct tr_http_exchange *ex, const struct tr_err *err)
{
    if (err->code != TR_OK) {
        tr_http_exchange_abort(ex);
    } else {
        tr_http_respond_buf(ex, 200, NULL, &ex->body);
    }
}

static void on_request(void *ctx, struct tr_http_exchange *ex)
{
    (void)ctx;
    tr_http_exchange_read_all(ex, 0, on_request_read);
}

static void on_closed(void *ctx)
{
    ((struct scene *)ctx)->open--;
}

static bool is_closed(void *ctx)
{
    return ((struct scene *)ctx)->open == 0;
}

static struct scene *current;

static void on_done(struct tr_http_call *call)
{
    TR_CONTAINER_OF(call, struct test_call, call)->done++;
    current->calls_done++;
}

static bool all_done(void *ctx)
{
    return ((struct scene *)ctx)->calls_done == CALLS;
}

/* Two calls at a time, so that connections are made, used twice and queued for. */
static void call_all(struct scene *scene, uint16_t port, enum tr_http_protocol protocol,
                     struct tr_slice body)
{
    const struct tr_http_client_conf conf = {
        .host = TR_SLICE_LIT("127.0.0.1"), .port = port, .protocol = protocol, .connections_max = 2
    };
    scene->client = tr_http_client_new(scene->loop, &conf);
    scene->open++;
    for (size_t i = 0; i < CALLS; i++) {
        struct tr_http_call *call = &scene->calls[i].call;
        call->method = TR_SLICE_LIT("POST");
        call->target = TR_SLICE_LIT("/");
        call->body = body;
        call->cb = on_done;
        tr_http_call_start(scene->client, call);
    }
    assert_true(tr_loop_run_until(scene->loop, all_done, scene, WAIT_MS));
    for (size_t i = 0; i < CALLS; i++) {
        struct tr_http_call *call = &scene->calls[i].call;
        assert_int_equal(scene->calls[i].done, 1);
        if (call->err.code == TR_OK) {
            assert_int_equal(call->status, 200);
            assert_true(tr_slice_eq(tr_buf_slice(&call->body_out), body));
        }
        tr_http_call_fini(call);
    }
}

/* Returns how many calls succeeded. */
static unsigned run(enum tr_http_protocol protocol, struct tr_slice body)
{
    struct scene scene = { .loop = tr_loop_new() };
    const struct tr_http_server_conf conf = { .on_request = on_request };
    struct tr_err err;
    uint16_t port = 0;
    unsigned succeeded = 0;
    current = &scene;
    scene.server = tr_http_server_new(scene.loop, &conf);
    scene.open++;
    if (tr_http_server_listen(scene.server, "127.0.0.1", 0, &port, &err) == TR_OK) {
        call_all(&scene, port, protocol, body);
        tr_http_client_close(scene.client, on_closed, &scene);
    }
    for (size_t i = 0; i < CALLS; i++) {
        succeeded += scene.calls[i].done == 1 && scene.calls[i].call.err.code == TR_OK ? 1 : 0;
    }
    tr_http_server_close(scene.server, 0, on_closed, &scene);
    assert_true(tr_loop_run_until(scene.loop, is_closed, &scene, WAIT_MS));
    tr_http_server_free(&scene.server);
    tr_loop_free(&scene.loop);
    return succeeded;
}

static void every_call_comes_back_once_whichever_call_of_the_net_fails(void **state)
{
    (void)state;
    static const enum tr_http_protocol protocols[] = { TR_HTTP_PROTOCOL_1, TR_HTTP_PROTOCOL_2 };
    char *bytes = tr_xzalloc(BYTES);
    for (size_t i = 0; i < TR_ARRAY_LEN(protocols); i++) {
        assert_int_equal(run(protocols[i], tr_slice(bytes, BYTES)), CALLS);
        bool fired = true;
        for (unsigned nth = 0; fired; nth++) {
            fault_arm(FAULT_NET, nth);
            (void)run(protocols[i], tr_slice(bytes, BYTES));
            fired = fault_disarm(FAULT_NET);
        }
    }
    free(bytes);
}

static void short_writes_lose_nothing(void **state)
{
    (void)state;
    static const enum tr_http_protocol protocols[] = { TR_HTTP_PROTOCOL_1, TR_HTTP_PROTOCOL_2 };
    char *bytes = tr_xzalloc(BYTES / 8);
    for (size_t i = 0; i < TR_ARRAY_LEN(protocols); i++) {
        bool fired = true;
        for (unsigned nth = 0; fired; nth++) {
            fault_arm(FAULT_NET_SHORT, nth);
            assert_int_equal(run(protocols[i], tr_slice(bytes, BYTES / 8)), CALLS);
            fired = fault_disarm(FAULT_NET_SHORT);
        }
    }
    free(bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_call_comes_back_once_whichever_call_of_the_net_fails),
        cmocka_unit_test(short_writes_lose_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
