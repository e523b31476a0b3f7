/* Wrappers around the calls of runtime/base/net for FAULT_NET. tests/lib/fault_net.cmake names the
 * same functions. */
#include <errno.h>
#include <sys/socket.h>
#include <uv.h>

#include "tests/lib/fault.h"

/* What the linker makes of them: __real_x is the call itself, __wrap_x stands in its place. */
#define SYSTEM_CALL(name, error, params, args)                                                     \
    int __real_##name params;                                                                      \
    int __wrap_##name params;                                                                      \
    int __wrap_##name params                                                                       \
    {                                                                                              \
        if (fault_hit(FAULT_NET)) {                                                                \
            errno = (error);                                                                       \
            return -1;                                                                             \
        }                                                                                          \
        return __real_##name args;                                                                 \
    }

#define UV_CALL(name, error, params, args)                                                         \
    int __real_##name params;                                                                      \
    int __wrap_##name params;                                                                      \
    int __wrap_##name params                                                                       \
    {                                                                                              \
        return fault_hit(FAULT_NET) ? (error) : __real_##name args;                                \
    }

SYSTEM_CALL(socket, EMFILE, (int family, int type, int protocol), (family, type, protocol))
SYSTEM_CALL(bind, EADDRINUSE, (int fd, const struct sockaddr *addr, socklen_t len), (fd, addr, len))
SYSTEM_CALL(listen, EADDRINUSE, (int fd, int backlog), (fd, backlog))
SYSTEM_CALL(tr_net_accept, EMFILE, (int fd), (fd))
SYSTEM_CALL(setsockopt, ENOMEM, (int fd, int level, int name, const void *value, socklen_t len),
            (fd, level, name, value, len))
SYSTEM_CALL(getsockname, ENOBUFS, (int fd, struct sockaddr *addr, socklen_t *len), (fd, addr, len))

UV_CALL(uv_poll_init, UV_EPERM, (uv_loop_t * loop, uv_poll_t *poll, int fd), (loop, poll, fd))
UV_CALL(uv_tcp_open, UV_ENOMEM, (uv_tcp_t * tcp, uv_os_sock_t fd), (tcp, fd))
UV_CALL(uv_tcp_nodelay, UV_EINVAL, (uv_tcp_t * tcp, int on), (tcp, on))
UV_CALL(uv_tcp_keepalive, UV_EINVAL, (uv_tcp_t * tcp, int on, unsigned delay), (tcp, on, delay))
UV_CALL(uv_tcp_connect, UV_ENETUNREACH,
        (uv_connect_t * req, uv_tcp_t *tcp, const struct sockaddr *addr, uv_connect_cb cb),
        (req, tcp, addr, cb))
UV_CALL(uv_getaddrinfo, UV_ENOMEM,
        (uv_loop_t * loop, uv_getaddrinfo_t *req, uv_getaddrinfo_cb cb, const char *node,
         const char *service, const struct addrinfo *hints),
        (loop, req, cb, node, service, hints))
UV_CALL(uv_write, UV_ENOMEM,
        (uv_write_t * req, uv_stream_t *stream, const uv_buf_t bufs[], unsigned bufs_len,
         uv_write_cb cb),
        (req, stream, bufs, bufs_len, cb))

int __real_uv_try_write(uv_stream_t *stream, const uv_buf_t bufs[], unsigned bufs_len);
int __wrap_uv_try_write(uv_stream_t *stream, const uv_buf_t bufs[], unsigned bufs_len);
int __wrap_uv_try_write(uv_stream_t *stream, const uv_buf_t bufs[], unsigned bufs_len)
{
    if (fault_hit(FAULT_NET)) {
        return UV_ECONNRESET;
    }
    if (fault_hit(FAULT_NET_SHORT)) {
        const uv_buf_t one = { .base = bufs[0].base, .len = 1 };
        return __real_uv_try_write(stream, &one, 1);
    }
    return __real_uv_try_write(stream, bufs, bufs_len);
}
