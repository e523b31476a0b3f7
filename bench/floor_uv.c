/*
 * The floor under bench_http: libuv alone. Whatever a read brings is one request and gets one fixed answer of the same size;
 * nothing is parsed, so what bench_http takes more is the price of HTTP.
 */
#include <uv.h>

#include "bench/wrk.h"

static uv_loop_t loop;
static uv_tcp_t listener;
static uv_poll_t poll_wrk;
static struct wrk wrk;
static uint64_t requests;
static char read_bytes[65536];

static const char answer[] = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n"
                             "Content-Length: 17\r\n\r\n{\"hello\":\"world\"}";

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
    (void)handle;
    (void)suggested;
    *buf = uv_buf_init(read_bytes, sizeof(read_bytes));
}

static void on_closed(uv_handle_t *handle)
{
    free(handle);
}

static void on_read(uv_stream_t *stream, ssize_t len, const uv_buf_t *buf)
{
    (void)buf;
    if (len < 0) {
        uv_close((uv_handle_t *)stream, on_closed);
        return;
    }
    uv_buf_t out = { .base = (char *)(uintptr_t)answer, .len = sizeof(answer) - 1 };
    requests++;
    (void)uv_try_write(stream, &out, 1);
}

static void on_connection(uv_stream_t *server, int status)
{
    (void)status;
    uv_tcp_t *stream = calloc(1, sizeof(*stream));
    if (stream == NULL || uv_tcp_init(&loop, stream) != 0 || uv_accept(server, (uv_stream_t *)stream) != 0) {
        exit(1);
    }
    (void)uv_tcp_nodelay(stream, 1);
    (void)uv_read_start((uv_stream_t *)stream, on_alloc, on_read);
}

static void on_wrk(uv_poll_t *handle, int status, int events)
{
    (void)handle;
    (void)status;
    (void)events;
    if (wrk_read(&wrk) == 0) {
        uv_stop(&loop);
    }
}

int main(int argc, char **argv)
{
    struct sockaddr_storage address;
    int len = sizeof(address);
    if (uv_loop_init(&loop) != 0 || uv_ip4_addr("127.0.0.1", 0, (struct sockaddr_in *)&address) != 0 ||
        uv_tcp_init(&loop, &listener) != 0 || uv_tcp_bind(&listener, (struct sockaddr *)&address, 0) != 0 ||
        uv_listen((uv_stream_t *)&listener, 1024, on_connection) != 0 ||
        uv_tcp_getsockname(&listener, (struct sockaddr *)&address, &len) != 0) {
        return 1;
    }
    const uint8_t *port = (const uint8_t *)&((struct sockaddr_in *)&address)->sin_port;
    wrk_start(&wrk, argc, argv, (uint16_t)(port[0] << 8 | port[1]));
    if (uv_poll_init(&loop, &poll_wrk, wrk.fd) != 0 || uv_poll_start(&poll_wrk, UV_READABLE, on_wrk) != 0) {
        return 1;
    }
    (void)uv_run(&loop, UV_RUN_DEFAULT);
    wrk_report(&wrk, "floor_uv", requests);
    return 0;
}
