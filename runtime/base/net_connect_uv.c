/*
 * Connecting.
 *
 *   LOOK UP --> TRY address 1 --> TRY address 2 --> ... --> connected
 *
 * A numeric address skips the look-up. The first fault is the one reported when no address answers,
 * as Go does. The deadline and cancel end it in any state: a stream that is being connected is
 * closed, and a look-up, which cannot always be called off, is left to come back to nobody
 * (`connect` is NULL then).
 */
#include "runtime/base/net_uv.h"

#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>

#include "runtime/base/buf.h"

#define HOST_MAX 255 /* bytes of a name in DNS */

struct tr_connect_impl {
    struct tr_connect
        *connect; /* borrowed; NULL when the result stands and only the look-up is still out */
    struct tr_loop *loop; /* borrowed */
    uv_getaddrinfo_t look_up;
    bool is_looking_up;
    struct tr_timer deadline;
    struct sockaddr_storage addrs[TR_NET_ADDRESSES_MAX];
    size_t addrs_len;
    size_t at;                                       /* the address that is tried */
    struct tr_stream *stream;                        /* owned while it connects, else NULL */
    struct tr_err first;                             /* the first fault */
    char target[HOST_MAX + TR_NET_ADDRESS_TEXT_MAX]; /* for messages: "tcp 127.0.0.1:80" */
    char host[HOST_MAX + 1];
};

/* --- the end ---------------------------------------------------------------------------------- */

static void on_connect_complete(struct tr_op *op)
{
    struct tr_connect *connect = TR_CONTAINER_OF(op, struct tr_connect, op);
    connect->cb(connect);
}

/* The result stands in `connect`: clean up and let it call back. */
static void finish(struct tr_connect_impl *impl)
{
    struct tr_connect *connect = impl->connect;
    tr_timer_stop(&impl->deadline);
    if (impl->stream != NULL) {
        impl->stream->connect = NULL;
        tr_stream_close(impl->stream, NULL, NULL);
        impl->stream = NULL;
    }
    impl->connect = NULL;
    connect->impl = NULL;
    if (!impl->is_looking_up) {
        free(impl);
    }
    tr_op_finish_later(&connect->op);
}

static void fail(struct tr_connect_impl *impl, enum tr_code code, const char *text)
{
    tr_err_set(&impl->connect->err, code, "dial %s: %s", impl->target, text);
    finish(impl);
}

static void on_deadline(struct tr_timer *timer)
{
    fail(TR_CONTAINER_OF(timer, struct tr_connect_impl, deadline), TR_DEADLINE, "i/o timeout");
}

void tr_connect_cancel(struct tr_connect *connect)
{
    tr_assert(tr_op_is_open(&connect->op));
    tr_loop_assert(connect->op.loop);
    if (connect->impl == NULL) {
        return; /* the result stands */
    }
    if (connect->impl->is_looking_up) {
        (void)uv_cancel((uv_req_t *)&connect->impl->look_up);
    }
    fail(connect->impl, TR_CANCELED, "operation was canceled");
}

/* --- one address after the other -------------------------------------------------------------- */

static void keep_first(struct tr_connect_impl *impl, int status)
{
    if (impl->first.code != TR_OK) {
        return;
    }
    enum tr_code code = tr_uv_code(status);
    if (code == TR_NOT_FOUND) {
        code = TR_UNAVAILABLE; /* no file where the unix socket should be */
    }
    tr_err_set(&impl->first, code, "dial %s: connect: %s", impl->target, tr_uv_text(status));
}

static void try_addresses(struct tr_connect_impl *impl);

static void on_connected(uv_connect_t *req, int status)
{
    struct tr_stream *stream = req->data;
    struct tr_connect_impl *impl = stream->connect;
    if (impl == NULL) {
        return; /* it ended otherwise, and the stream is closing */
    }
    stream->connect = NULL;
    impl->stream = NULL;
    if (status != 0) {
        keep_first(impl, status);
        tr_stream_close(stream, NULL, NULL);
        impl->at++;
        try_addresses(impl);
        return;
    }
    if (!stream->is_unix) {
        (void)uv_tcp_keepalive(&stream->uv.tcp, 1, TR_NET_KEEP_ALIVE_S);
    }
    impl->connect->stream = stream;
    finish(impl);
}

static void begin(struct tr_connect_impl *impl, bool is_unix)
{
    struct tr_stream *stream = tr_stream_new(impl->loop, is_unix);
    stream->connect = impl;
    stream->req.connect.data = stream;
    impl->stream = stream;
}

/* Try addresses from `at` on until one is under way, or none is left. */
static void try_addresses(struct tr_connect_impl *impl)
{
    for (; impl->at < impl->addrs_len; impl->at++) {
        char text[TR_NET_ADDRESS_TEXT_MAX];
        tr_sockaddr_text(&impl->addrs[impl->at], text);
        (void)snprintf(impl->target, sizeof(impl->target), "tcp %s", text);
        begin(impl, false);
        (void)uv_tcp_nodelay(&impl->stream->uv.tcp,
                             1); /* noted by libuv and set when the socket is made */
        const int status =
            uv_tcp_connect(&impl->stream->req.connect, &impl->stream->uv.tcp,
                           (const struct sockaddr *)&impl->addrs[impl->at], on_connected);
        if (status == 0) {
            return;
        }
        keep_first(impl, status);
        impl->stream->connect = NULL;
        tr_stream_close(impl->stream, NULL, NULL);
        impl->stream = NULL;
    }
    tr_assert(impl->first.code != TR_OK);
    impl->connect->err = impl->first;
    finish(impl);
}

static void connect_unix(struct tr_connect_impl *impl, struct tr_slice path)
{
    if (path.len > TR_NET_UNIX_PATH_MAX || memchr(path.ptr, '\0', path.len) != NULL) {
        fail(impl, TR_INVALID, "the path is too long or has a zero byte");
        return;
    }
    char text[TR_NET_UNIX_PATH_MAX + 1];
    (void)snprintf(text, sizeof(text), "%.*s", TR_SLICE_ARG(path));
    begin(impl, true);
    uv_pipe_connect(&impl->stream->req.connect, &impl->stream->uv.pipe, text, on_connected);
}

/* --- look-up ---------------------------------------------------------------------------------- */

static void set_port(struct sockaddr_storage *addr, uint16_t port)
{
    if (addr->ss_family == AF_INET) {
        ((struct sockaddr_in *)addr)->sin_port = htons(port);
    } else {
        ((struct sockaddr_in6 *)addr)->sin6_port = htons(port);
    }
}

static void take_addresses(struct tr_connect_impl *impl, const struct addrinfo *list)
{
    for (; list != NULL && impl->addrs_len < TR_NET_ADDRESSES_MAX; list = list->ai_next) {
        if (list->ai_family == AF_INET || list->ai_family == AF_INET6) {
            struct sockaddr_storage *addr = &impl->addrs[impl->addrs_len++];
            memcpy(addr, list->ai_addr, list->ai_addrlen);
            set_port(addr, impl->connect->port);
        }
    }
}

static void on_looked_up(uv_getaddrinfo_t *req, int status, struct addrinfo *list)
{
    struct tr_connect_impl *impl = req->data;
    impl->loop->works_open--;
    impl->is_looking_up = false;
    if (impl->connect == NULL) {
        free(impl);
    } else if (status != 0) {
        fail(impl, tr_uv_code(status), tr_uv_text(status));
    } else {
        take_addresses(impl, list);
        if (impl->addrs_len == 0) {
            fail(impl, TR_NOT_FOUND, "no such host");
        } else {
            try_addresses(impl);
        }
    }
    uv_freeaddrinfo(list);
}

static void look_up(struct tr_connect_impl *impl)
{
    (void)snprintf(impl->target, sizeof(impl->target), "tcp: lookup %s", impl->host);
    const struct addrinfo hints = { .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM };
    impl->look_up.data = impl;
    const int status = uv_getaddrinfo(tr_loop_uv(impl->loop), &impl->look_up, on_looked_up,
                                      impl->host, NULL, &hints);
    if (status != 0) {
        fail(impl, tr_uv_code(status), tr_uv_text(status));
        return;
    }
    impl->is_looking_up = true;
    impl->loop->works_open++;
}

static void connect_tcp(struct tr_connect_impl *impl, struct tr_slice host, uint16_t port)
{
    (void)snprintf(impl->target, sizeof(impl->target), "tcp %.*s:%u",
                   (int)(host.len > HOST_MAX ? HOST_MAX : host.len),
                   host.ptr == NULL ? "" : host.ptr, port);
    if (host.len == 0 || host.len > HOST_MAX || memchr(host.ptr, '\0', host.len) != NULL) {
        fail(impl, TR_INVALID, "the host is empty, too long or has a zero byte");
        return;
    }
    memcpy(impl->host, host.ptr, host.len);
    struct sockaddr_storage *addr = &impl->addrs[0];
    if (uv_ip4_addr(impl->host, port, (struct sockaddr_in *)addr) == 0 ||
        uv_ip6_addr(impl->host, port, (struct sockaddr_in6 *)addr) == 0) {
        impl->addrs_len = 1;
        try_addresses(impl);
    } else {
        look_up(impl);
    }
}

void tr_connect_start(struct tr_loop *loop, struct tr_connect *connect)
{
    tr_op_begin(&connect->op, loop, NULL, on_connect_complete);
    tr_assert(connect->cb != NULL);
    connect->err.code = TR_OK;
    connect->stream = NULL;
    struct tr_connect_impl *impl = tr_xzalloc(sizeof(*impl));
    impl->connect = connect;
    impl->loop = loop;
    connect->impl = impl;
    tr_timer_init(&impl->deadline, loop, on_deadline);
    if (connect->deadline_ms != 0) {
        tr_timer_set(&impl->deadline, connect->deadline_ms);
    }
    if (connect->unix_path.len > 0) {
        (void)snprintf(impl->target, sizeof(impl->target), "unix %.*s",
                       (int)(connect->unix_path.len > HOST_MAX ? HOST_MAX : connect->unix_path.len),
                       connect->unix_path.ptr);
        connect_unix(impl, connect->unix_path);
    } else {
        connect_tcp(impl, connect->host, connect->port);
    }
}
