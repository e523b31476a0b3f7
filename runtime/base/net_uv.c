/*
 * Streams on libuv.
 *
 * Writing. Operations that are not wholly written stand in a queue. flush() gathers slices from its
 * head and tries the socket; when that is full, the next bytes are given to libuv in one request
 * (they "fly"), and its callback flushes again. So there is one request per stream however many
 * writes wait, and neighbours leave in one system call. The first fault is kept: it fails
 * everything queued and everything later.
 *
 * Closing. Reading stops, queued writes fail, libuv closes the handle. The stream is gone when
 * libuv said so and the last write has called back, in whichever order.
 */
#include "runtime/base/net_uv.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "runtime/base/buf.h"

#define GATHER_SLICES_MAX 64
#define FLY_BYTES_MAX                                                                              \
    (256U << 10U) /* given to libuv at once: its progress inside shows only at the end */

/* --- life ------------------------------------------------------------------------------------- */

int tr_net_accept(int fd)
{
    return (int)syscall(SYS_accept4, fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
}

struct tr_stream *tr_stream_new(struct tr_loop *loop, bool is_unix)
{
    struct tr_stream *stream = tr_xzalloc(sizeof(*stream));
    stream->magic = TR_STREAM_MAGIC;
    stream->loop = loop;
    stream->is_unix = is_unix;
    stream->pending_max = TR_NET_PENDING_MAX;
    tr_link_init(&stream->writes);
    if (is_unix) {
        tr_assert(uv_pipe_init(tr_loop_uv(loop), &stream->uv.pipe, 0) == 0);
    } else {
        tr_assert(uv_tcp_init(tr_loop_uv(loop), &stream->uv.tcp) == 0);
    }
    stream->uv.handle.data = stream;
    return stream;
}

struct tr_stream *tr_stream_adopt(struct tr_loop *loop, int fd, bool is_unix)
{
    struct tr_stream *stream = tr_stream_new(loop, is_unix);
    const int status =
        is_unix ? uv_pipe_open(&stream->uv.pipe, fd) : uv_tcp_open(&stream->uv.tcp, fd);
    if (status != 0) {
        (void)close(fd);
        tr_stream_close(stream, NULL, NULL);
        return NULL;
    }
    return stream;
}

static void free_if_gone(struct tr_stream *stream)
{
    if (!stream->is_uv_closed || stream->writes_open > 0) {
        return;
    }
    void (*on_closed)(void *ctx) = stream->on_closed;
    void *ctx = stream->closed_ctx;
    stream->magic = 0;
    free(stream->peer);
    free(stream->local);
    free(stream);
    if (on_closed != NULL) {
        on_closed(ctx);
    }
}

static void check(const struct tr_stream *stream)
{
    tr_assert_obj(stream, TR_STREAM_MAGIC);
    tr_loop_assert(stream->loop);
    tr_assert(!stream->is_closing);
}

/* --- reading ---------------------------------------------------------------------------------- */

static void on_alloc(uv_handle_t *handle, size_t wanted, uv_buf_t *out_buf)
{
    (void)wanted;
    struct tr_loop *loop = ((struct tr_stream *)handle->data)->loop;
    if (loop->read_buf == NULL) {
        loop->read_buf = tr_xalloc(TR_NET_READ_BYTES);
    }
    *out_buf = uv_buf_init(loop->read_buf, TR_NET_READ_BYTES);
}

static void on_uv_read(uv_stream_t *uv, ssize_t n, const uv_buf_t *buf)
{
    struct tr_stream *stream = uv->data;
    if (n > 0) {
        stream->on_read(stream->read_ctx, tr_slice(buf->base, (size_t)n), NULL);
        return;
    }
    if (n == 0) {
        return; /* nothing there after all */
    }
    (void)uv_read_stop(uv);
    stream->is_reading = false;
    stream->is_read_over = true;
    struct tr_err err;
    if (n == UV_EOF) {
        tr_err_set(&err, TR_EOF, "EOF");
    } else {
        tr_err_set(&err, TR_IO, "read: %s", tr_uv_text((int)n));
    }
    stream->on_read(stream->read_ctx, tr_slice(NULL, 0), &err);
}

void tr_stream_read_start(struct tr_stream *stream, tr_read_fn *on_read, void *ctx)
{
    check(stream);
    tr_assert(on_read != NULL);
    tr_assert(!stream->is_read_over);
    stream->on_read = on_read;
    stream->read_ctx = ctx;
    if (!stream->is_reading) {
        tr_assert(uv_read_start(&stream->uv.stream, on_alloc, on_uv_read) == 0);
        stream->is_reading = true;
    }
}

void tr_stream_read_stop(struct tr_stream *stream)
{
    check(stream);
    if (stream->is_reading) {
        (void)uv_read_stop(&stream->uv.stream);
        stream->is_reading = false;
    }
}

/* --- writing: the queue ----------------------------------------------------------------------- */

static struct tr_write *write_of(struct tr_link *link)
{
    return TR_CONTAINER_OF(link, struct tr_write, op.link);
}

static void on_write_complete(struct tr_op *op)
{
    struct tr_write *write = TR_CONTAINER_OF(op, struct tr_write, op);
    struct tr_stream *stream = write->stream;
    tr_assert(stream->writes_open > 0);
    stream->writes_open--;
    write->cb(write);
    free_if_gone(stream);
}

/* Out of the queue; the callback comes by a deferred call. */
static void settle(struct tr_write *write)
{
    tr_assert(write->stream->pending >= write->left);
    write->stream->pending -= write->left;
    tr_link_remove(&write->op.link);
    tr_op_finish_later(&write->op);
}

static void fail_writes(struct tr_stream *stream, enum tr_code code, const char *text)
{
    struct tr_link *link;
    while ((link = tr_list_first(&stream->writes)) != NULL) {
        tr_err_set(&write_of(link)->err, code, "write: %s", text);
        settle(write_of(link));
    }
    tr_assert(stream->pending == 0);
}

/* `n` more bytes from the head of the queue are written. */
static void advance(struct tr_stream *stream, size_t n)
{
    tr_assert(n <= stream->pending);
    stream->pending -= n;
    struct tr_link *link;
    while ((link = tr_list_first(&stream->writes)) != NULL) {
        struct tr_write *write = write_of(link);
        while (n > 0 && write->left > 0) {
            const size_t rest = write->slices[write->at].len - write->at_done;
            const size_t step = n < rest ? n : rest;
            write->at_done += step;
            write->left -= step;
            n -= step;
            if (step == rest) {
                write->at++;
                write->at_done = 0;
            }
        }
        if (write->left > 0) {
            break;
        }
        settle(write);
    }
    tr_assert(n == 0);
}

/* Fill `bufs` from the head of the queue, at most `bytes_max` bytes; returns how many buffers, and
 * how many bytes. */
static unsigned gather(struct tr_stream *stream, uv_buf_t *bufs, size_t bytes_max,
                       size_t *out_bytes)
{
    unsigned bufs_len = 0;
    size_t bytes = 0;
    for (struct tr_link *link = stream->writes.next; link != &stream->writes; link = link->next) {
        const struct tr_write *write = write_of(link);
        size_t skip = write->at_done;
        for (size_t i = write->at; i < write->slices_len; i++) {
            if (bufs_len == GATHER_SLICES_MAX || bytes == bytes_max) {
                *out_bytes = bytes;
                return bufs_len;
            }
            const struct tr_slice rest = tr_slice_skip(write->slices[i], skip);
            const size_t room = bytes_max - bytes;
            const size_t len = rest.len < room ? rest.len : room;
            skip = 0;
            if (len > 0) {
                bufs[bufs_len++] = (uv_buf_t){ .base = (char *)(uintptr_t)rest.ptr, .len = len };
                bytes += len;
            }
        }
    }
    *out_bytes = bytes;
    return bufs_len;
}

/* --- writing: the socket ---------------------------------------------------------------------- */

static void flush(struct tr_stream *stream);

static void break_writing(struct tr_stream *stream, int status)
{
    stream->write_status = status;
    fail_writes(stream, TR_IO, tr_uv_text(status));
}

static void on_flown(uv_write_t *req, int status)
{
    struct tr_stream *stream = req->data;
    stream->is_flying = false;
    if (stream->is_closing) {
        return;
    }
    if (status != 0) {
        break_writing(stream, status);
        return;
    }
    advance(stream, stream->flying);
    flush(stream);
}

/* The socket is full: let libuv write the next bytes when there is room. */
static void fly(struct tr_stream *stream)
{
    uv_buf_t bufs[GATHER_SLICES_MAX];
    const unsigned bufs_len = gather(stream, bufs, FLY_BYTES_MAX, &stream->flying);
    tr_assert(bufs_len > 0);
    stream->req.write.data = stream;
    const int status = uv_write(&stream->req.write, &stream->uv.stream, bufs, bufs_len, on_flown);
    if (status != 0) {
        break_writing(stream, status);
        return;
    }
    stream->is_flying = true;
}

static void on_shut(uv_shutdown_t *req, int status)
{
    (void)req;
    (void)status; /* the other side is gone already: reading tells */
}

static void send_fin(struct tr_stream *stream)
{
    if (!stream->is_fin_sent && stream->write_status == 0) {
        stream->is_fin_sent = true;
        (void)uv_shutdown(&stream->shut_req, &stream->uv.stream, on_shut);
    }
}

static void flush(struct tr_stream *stream)
{
    advance(stream, 0); /* empty writes at the head have nothing to wait for */
    while (!stream->is_flying && !tr_list_empty(&stream->writes)) {
        uv_buf_t bufs[GATHER_SLICES_MAX];
        size_t bytes;
        const unsigned bufs_len = gather(stream, bufs, SIZE_MAX, &bytes);
        tr_assert(bufs_len > 0);
        const int n = uv_try_write(&stream->uv.stream, bufs, bufs_len);
        if (n < 0 && n != UV_EAGAIN) {
            break_writing(stream, n);
            return;
        }
        if (n > 0) {
            advance(stream, (size_t)n);
        }
        if (n < 0 || (size_t)n < bytes) {
            fly(stream);
        }
    }
    if (stream->is_shut && tr_list_empty(&stream->writes)) {
        send_fin(stream);
    }
}

static size_t slices_bytes(const struct tr_slice *slices, size_t slices_len)
{
    size_t bytes = 0;
    for (size_t i = 0; i < slices_len; i++) {
        bytes += slices[i].len;
    }
    return bytes;
}

void tr_write_start(struct tr_stream *stream, struct tr_write *write)
{
    check(stream);
    tr_assert(write->cb != NULL);
    tr_op_begin(&write->op, stream->loop, NULL, on_write_complete);
    write->err.code = TR_OK;
    write->stream = stream;
    write->at = 0;
    write->at_done = 0;
    write->left = slices_bytes(write->slices, write->slices_len);
    stream->writes_open++;
    const bool is_waiting = !tr_list_empty(&stream->writes);
    if (stream->write_status != 0) {
        tr_err_set(&write->err, TR_IO, "write: %s", tr_uv_text(stream->write_status));
    } else if (stream->is_shut) {
        tr_err_set(&write->err, TR_CLOSED, "write: the stream was shut down");
    } else if (stream->writes_open > TR_NET_WRITES_MAX) {
        tr_err_set(&write->err, TR_LIMIT, "write: more than %d writes are open", TR_NET_WRITES_MAX);
    } else if (is_waiting && (stream->pending > stream->pending_max ||
                              write->left > stream->pending_max - stream->pending)) {
        tr_err_set(&write->err, TR_LIMIT, "write: more than %zu bytes would wait",
                   stream->pending_max);
    }
    if (write->err.code != TR_OK) {
        tr_op_finish_later(&write->op);
        return;
    }
    stream->pending += write->left;
    tr_list_add_tail(&stream->writes, &write->op.link);
    if (!is_waiting) {
        flush(stream);
    }
}

size_t tr_stream_try_write(struct tr_stream *stream, const struct tr_slice *slices,
                           size_t slices_len)
{
    check(stream);
    if (!tr_list_empty(&stream->writes) || stream->write_status != 0 || stream->is_shut) {
        return 0;
    }
    uv_buf_t bufs[GATHER_SLICES_MAX];
    unsigned bufs_len = 0;
    for (size_t i = 0; i < slices_len && bufs_len < GATHER_SLICES_MAX; i++) {
        if (slices[i].len > 0) {
            bufs[bufs_len++] =
                (uv_buf_t){ .base = (char *)(uintptr_t)slices[i].ptr, .len = slices[i].len };
        }
    }
    const int n = bufs_len == 0 ? 0 : uv_try_write(&stream->uv.stream, bufs, bufs_len);
    return n > 0 ? (size_t)n : 0;
}

size_t tr_stream_pending(const struct tr_stream *stream)
{
    tr_assert_obj(stream, TR_STREAM_MAGIC);
    return stream->pending;
}

void tr_stream_pending_max_set(struct tr_stream *stream, size_t bytes)
{
    check(stream);
    stream->pending_max = bytes;
}

void tr_stream_shutdown(struct tr_stream *stream)
{
    check(stream);
    stream->is_shut = true;
    if (tr_list_empty(&stream->writes)) {
        send_fin(stream);
    }
}

/* --- end -------------------------------------------------------------------------------------- */

static void on_uv_closed(uv_handle_t *handle)
{
    struct tr_stream *stream = handle->data;
    stream->is_uv_closed = true;
    free_if_gone(stream);
}

void tr_stream_close(struct tr_stream *stream, void (*on_closed)(void *ctx), void *ctx)
{
    check(stream);
    stream->is_closing = true;
    stream->is_reading = false;
    stream->on_closed = on_closed;
    stream->closed_ctx = ctx;
    fail_writes(stream, TR_CANCELED, "the stream was closed");
    uv_close(&stream->uv.handle, on_uv_closed);
}

void tr_stream_close_reset(struct tr_stream *stream, void (*on_closed)(void *ctx), void *ctx)
{
    check(stream);
    uv_os_fd_t fd;
    if (!stream->is_unix && uv_fileno(&stream->uv.handle, &fd) == 0) {
        const struct linger none = { .l_onoff = 1, .l_linger = 0 };
        (void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &none,
                         sizeof(none)); /* without it, it is an ordinary close */
    }
    tr_stream_close(stream, on_closed, ctx);
}

/* --- addresses -------------------------------------------------------------------------------- */

void tr_sockaddr_text(const struct sockaddr_storage *addr, char out_text[TR_NET_ADDRESS_TEXT_MAX])
{
    char host[INET6_ADDRSTRLEN] = "";
    out_text[0] = '\0';
    if (addr->ss_family == AF_INET) {
        const struct sockaddr_in *in = (const struct sockaddr_in *)addr;
        (void)inet_ntop(AF_INET, &in->sin_addr, host, sizeof(host));
        (void)snprintf(out_text, TR_NET_ADDRESS_TEXT_MAX, "%s:%u", host, ntohs(in->sin_port));
    } else if (addr->ss_family == AF_INET6) {
        const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)addr;
        if (IN6_IS_ADDR_V4MAPPED(&in6->sin6_addr)) {
            (void)inet_ntop(AF_INET, &in6->sin6_addr.s6_addr[12], host, sizeof(host));
            (void)snprintf(out_text, TR_NET_ADDRESS_TEXT_MAX, "%s:%u", host, ntohs(in6->sin6_port));
        } else {
            (void)inet_ntop(AF_INET6, &in6->sin6_addr, host, sizeof(host));
            (void)snprintf(out_text, TR_NET_ADDRESS_TEXT_MAX, "[%s]:%u", host,
                           ntohs(in6->sin6_port));
        }
    }
}

typedef int name_fn(const uv_tcp_t *tcp, struct sockaddr *out_addr, int *out_len);

static const char *address_text(struct tr_stream *stream, char **text, name_fn *ask)
{
    tr_assert_obj(stream, TR_STREAM_MAGIC);
    if (*text == NULL) {
        *text = tr_xzalloc(TR_NET_ADDRESS_TEXT_MAX);
        struct sockaddr_storage addr;
        int len = sizeof(addr);
        if (!stream->is_unix && ask(&stream->uv.tcp, (struct sockaddr *)&addr, &len) == 0) {
            tr_sockaddr_text(&addr, *text);
        }
    }
    return *text;
}

const char *tr_stream_peer(struct tr_stream *stream)
{
    return address_text(stream, &stream->peer, uv_tcp_getpeername);
}

const char *tr_stream_local(struct tr_stream *stream)
{
    return address_text(stream, &stream->local, uv_tcp_getsockname);
}

bool tr_stream_is_unix(const struct tr_stream *stream)
{
    tr_assert_obj(stream, TR_STREAM_MAGIC);
    return stream->is_unix;
}

struct tr_loop *tr_stream_loop(const struct tr_stream *stream)
{
    tr_assert_obj(stream, TR_STREAM_MAGIC);
    return stream->loop;
}
