/*
 * The net under faults: a client sends bytes to a server that sends them back, and one call after
 * the other fails. Whatever fails, every operation calls back once, both ends come to an end,
 * nothing leaks, and the client either has all its bytes back or was told of an error.
 */
#include "runtime/base/net.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <setjmp.h>
#include <cmocka.h>

#include "runtime/base/buf.h"
#include "tests/lib/fault.h"

#define WAIT_MS 20000
#define BYTES   (3U << 20U)

/* One end: what it has still to do. */
struct end {
    struct tr_stream *stream;
    struct tr_buf got;
    struct tr_write write;
    struct tr_slice slice;
    bool is_writing;
    bool has_failed; /* it was told of an error */
    bool is_over;    /* it has closed */
};

struct scene {
    struct tr_loop *loop;
    struct tr_listener *listener;
    struct tr_connect connect;
    const char *host;
    char *bytes; /* owned */
    struct end client;
    struct end server;
    unsigned connects_done;
    bool has_server;
};

static void end_close(struct end *end)
{
    if (end->stream != NULL) {
        tr_stream_close_reset(end->stream, NULL, NULL);
        end->stream = NULL;
    }
    end->is_over = true;
}

static void on_written(struct tr_write *write)
{
    struct end *end = TR_CONTAINER_OF(write, struct end, write);
    assert_true(end->is_writing);
    end->is_writing = false;
    if (write->err.code != TR_OK) {
        end->has_failed = true;
        end_close(end);
    } else if (end->stream != NULL) {
        tr_stream_shutdown(end->stream);
    }
}

static void end_write(struct end *end, struct tr_slice bytes)
{
    end->slice = bytes;
    end->is_writing = true;
    end->write.slices = &end->slice;
    end->write.slices_len = 1;
    end->write.cb = on_written;
    tr_write_start(end->stream, &end->write);
}

static void end_take(struct end *end, struct tr_slice bytes, const struct tr_err *err)
{
    if (err == NULL) {
        tr_buf_add(&end->got, bytes);
    } else if (err->code != TR_EOF) {
        end->has_failed = true;
        end_close(end);
    }
}

static void on_server_read(void *ctx, struct tr_slice bytes, const struct tr_err *err)
{
    struct scene *scene = ctx;
    end_take(&scene->server, bytes, err);
    if (err != NULL && err->code == TR_EOF) {
        end_write(&scene->server, tr_buf_slice(&scene->server.got));
    }
}

static void on_client_read(void *ctx, struct tr_slice bytes, const struct tr_err *err)
{
    struct scene *scene = ctx;
    end_take(&scene->client, bytes, err);
    if (err != NULL && err->code == TR_EOF) {
        scene->client.has_failed = scene->client.got.len != BYTES; /* it can tell */
        end_close(&scene->client);
        end_close(&scene->server);
    }
}

static void on_accept(void *ctx, struct tr_stream *stream)
{
    struct scene *scene = ctx;
    scene->has_server = true;
    scene->server.stream = stream;
    tr_stream_read_start(stream, on_server_read, scene);
}

static void on_connect(struct tr_connect *connect)
{
    struct scene *scene = TR_CONTAINER_OF(connect, struct scene, connect);
    scene->connects_done++;
    if (connect->err.code != TR_OK) {
        assert_true(connect->err.msg[0] != '\0');
        scene->client.has_failed = true;
        scene->client.is_over = true;
        return;
    }
    scene->client.stream = connect->stream;
    tr_stream_read_start(connect->stream, on_client_read, scene);
    end_write(&scene->client, tr_slice(scene->bytes, BYTES));
}

static bool client_is_over(void *ctx)
{
    return ((struct scene *)ctx)->client.is_over;
}

static void run(const char *host)
{
    struct scene scene = { .loop = tr_loop_new(), .host = host, .bytes = tr_xalloc(BYTES) };
    for (size_t i = 0; i < BYTES; i++) {
        scene.bytes[i] = (char)(i * 31 + i / 256);
    }
    struct tr_err err = { .code = TR_OK };
    if (tr_listen_tcp(scene.loop, "127.0.0.1", 0, on_accept, &scene, &scene.listener, &err) ==
        TR_OK) {
        scene.connect.host = tr_slice_str(host);
        scene.connect.port = tr_listener_port(scene.listener);
        scene.connect.cb = on_connect;
        tr_connect_start(scene.loop, &scene.connect);
        assert_true(tr_loop_run_until(scene.loop, client_is_over, &scene, WAIT_MS));
        assert_int_equal(scene.connects_done, 1);
        end_close(&scene.server);
        if (!scene.client.has_failed) {
            assert_true(tr_slice_eq(tr_buf_slice(&scene.client.got), tr_slice(scene.bytes, BYTES)));
        }
    } else {
        assert_int_not_equal(err.code, TR_OK);
        assert_null(scene.listener);
    }
    tr_listener_close(&scene.listener);
    tr_loop_free(&scene.loop);
    assert_false(scene.client.is_writing);
    assert_false(scene.server.is_writing);
    tr_buf_fini(&scene.client.got);
    tr_buf_fini(&scene.server.got);
    free(scene.bytes);
}

static void both_ends_come_to_an_end_whichever_call_fails(void **state)
{
    (void)state;
    static const char *const hosts[] = { "127.0.0.1", "localhost" };
    for (size_t i = 0; i < TR_ARRAY_LEN(hosts); i++) {
        unsigned nth = 0;
        bool fired = true;
        for (; fired; nth++) {
            fault_arm(FAULT_NET, nth);
            run(hosts[i]);
            fired = fault_disarm(FAULT_NET);
        }
        assert_true(nth > 10); /* or nothing was replaced */
    }
}

static void a_short_write_loses_nothing(void **state)
{
    (void)state;
    bool fired = true;
    for (unsigned nth = 0; fired; nth++) {
        fault_arm(FAULT_NET_SHORT, nth);
        run("127.0.0.1");
        fired = fault_disarm(FAULT_NET_SHORT);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_ends_come_to_an_end_whichever_call_fails),
        cmocka_unit_test(a_short_write_loses_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
