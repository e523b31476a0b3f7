/*
 * Listeners. The descriptor is ours and watched, not a handle of libuv's: when descriptors run out,
 * libuv would accept and drop the clients; here they wait in the backlog while accepting pauses.
 *
 * Course: socket, options, bind, listen, watch; then for each readiness accept until there is none
 * left, a burst at a time. Accepted TCP sockets inherit TCP_NODELAY and keep-alive from the
 * listener (Linux, inet_csk_clone_lock).
 */
#include "runtime/base/net_uv.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "runtime/base/buf.h"

#define ACCEPT_BURST_MAX 64 /* connections taken in one go, so that others get their turn */
#define LISTENER_MAGIC   0x115710ceU

struct tr_listener {
    uint32_t magic;
    int fd;
    bool is_closed;
    uint16_t port;
    struct tr_loop *loop;      /* borrowed */
    struct tr_fd_watch *watch; /* owned */
    struct tr_timer retry;
    struct tr_defer release;
    tr_accept_fn *on_accept;
    void *ctx;       /* borrowed */
    char *unix_path; /* owned, or NULL */
};

/* --- accepting -------------------------------------------------------------------------------- */

static void on_retry(struct tr_timer *timer)
{
    struct tr_listener *listener = TR_CONTAINER_OF(timer, struct tr_listener, retry);
    tr_fd_watch_set(listener->watch, TR_FD_READ);
}

static void pause_accepting(struct tr_listener *listener)
{
    tr_fd_watch_set(listener->watch, 0);
    tr_timer_set(&listener->retry, tr_loop_now_ms(listener->loop) + TR_NET_ACCEPT_RETRY_MS);
}

static void on_acceptable(void *ctx, unsigned events)
{
    struct tr_listener *listener = ctx;
    tr_assert_obj(listener, LISTENER_MAGIC);
    (void)events;
    for (unsigned i = 0; i < ACCEPT_BURST_MAX && !listener->is_closed; i++) {
        const int fd = tr_net_accept(listener->fd);
        if (fd >= 0) {
            struct tr_stream *stream =
                tr_stream_adopt(listener->loop, fd, listener->unix_path != NULL);
            if (stream != NULL) {
                listener->on_accept(listener->ctx, stream);
            }
        } else if (errno == EAGAIN) {
            return;
        } else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
            pause_accepting(listener);
            return;
        }
        /* Else this one connection went away before it was accepted (accept(2), "Error handling"):
         * take the next. */
    }
}

/* --- opening ---------------------------------------------------------------------------------- */

static enum tr_code code_of_errno(void)
{
    return tr_uv_code(uv_translate_sys_error(errno));
}

static int open_socket(int family)
{
    return socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
}

static int set_option(int fd, int level, int name, int value)
{
    return setsockopt(fd, level, name, &value, sizeof(value));
}

static int set_tcp_options(int fd, int family, bool is_dual)
{
    int failed = set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1);
    failed |= set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
    failed |= set_option(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
    failed |= set_option(fd, IPPROTO_TCP, TCP_KEEPIDLE, (int)TR_NET_KEEP_ALIVE_S);
    failed |= set_option(fd, IPPROTO_TCP, TCP_KEEPINTVL, (int)TR_NET_KEEP_ALIVE_S);
    if (family == AF_INET6) {
        failed |= set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, is_dual ? 0 : 1);
    }
    return failed;
}

/* Wrap a socket that listens; on failure it stays the caller's. */
static enum tr_code watch_socket(struct tr_loop *loop, int fd, const char *unix_path,
                                 tr_accept_fn *on_accept, void *ctx,
                                 struct tr_listener **out_listener, struct tr_err *err)
{
    struct tr_listener *listener = tr_xzalloc(sizeof(*listener));
    const enum tr_code rc =
        tr_fd_watch_new(loop, fd, TR_FD_READ, on_acceptable, listener, &listener->watch, err);
    if (rc != TR_OK) {
        free(listener);
        return rc;
    }
    listener->magic = LISTENER_MAGIC;
    listener->fd = fd;
    listener->loop = loop;
    listener->on_accept = on_accept;
    listener->ctx = ctx;
    listener->unix_path = unix_path == NULL ? NULL : tr_xstrdup(tr_slice_str(unix_path));
    tr_timer_init(&listener->retry, loop, on_retry);
    *out_listener = listener;
    return TR_OK;
}

static bool parse_numeric(const char *host, uint16_t port, struct sockaddr_storage *out_addr)
{
    char bare[INET6_ADDRSTRLEN + 2];
    const size_t len = strlen(host);
    if (len >= 2 && len < sizeof(bare) && host[0] == '[' && host[len - 1] == ']') {
        (void)snprintf(bare, sizeof(bare), "%.*s", (int)len - 2, host + 1);
        host = bare;
    }
    if (strcmp(host, "localhost") == 0) {
        host = "127.0.0.1";
    }
    return uv_ip4_addr(host, port, (struct sockaddr_in *)out_addr) == 0 ||
           uv_ip6_addr(host, port, (struct sockaddr_in6 *)out_addr) == 0;
}

/* A socket bound to `addr` that listens, or -1 and errno. */
static int bind_tcp(const struct sockaddr_storage *addr, bool is_dual)
{
    const int fd = open_socket(addr->ss_family);
    if (fd < 0) {
        return -1;
    }
    const socklen_t len =
        addr->ss_family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);
    if (set_tcp_options(fd, addr->ss_family, is_dual) != 0 ||
        bind(fd, (const struct sockaddr *)addr, len) != 0 || listen(fd, TR_NET_BACKLOG) != 0) {
        const int saved = errno;
        (void)close(fd);
        errno = saved;
        return -1;
    }
    return fd;
}

static int bind_all(uint16_t port)
{
    struct sockaddr_storage addr = { .ss_family = AF_INET6 };
    ((struct sockaddr_in6 *)&addr)->sin6_port = htons(port);
    const int fd = bind_tcp(&addr, true);
    if (fd >= 0 || errno != EAFNOSUPPORT) {
        return fd;
    }
    addr = (struct sockaddr_storage){ .ss_family = AF_INET }; /* a machine without IPv6 */
    ((struct sockaddr_in *)&addr)->sin_port = htons(port);
    return bind_tcp(&addr, false);
}

static bool read_port(struct tr_listener *listener)
{
    struct sockaddr_storage addr;
    socklen_t len = sizeof(addr);
    if (getsockname(listener->fd, (struct sockaddr *)&addr, &len) != 0) {
        return false;
    }
    listener->port = ntohs(addr.ss_family == AF_INET ? ((struct sockaddr_in *)&addr)->sin_port
                                                     : ((struct sockaddr_in6 *)&addr)->sin6_port);
    return true;
}

enum tr_code tr_listen_tcp(struct tr_loop *loop, const char *host, uint16_t port,
                           tr_accept_fn *on_accept, void *ctx, struct tr_listener **out_listener,
                           struct tr_err *err)
{
    tr_loop_assert(loop);
    struct sockaddr_storage addr = { .ss_family = AF_UNSPEC };
    if (host[0] != '\0' && !parse_numeric(host, port, &addr)) {
        return tr_err_set(err, TR_INVALID, "listen tcp '%s': not a numeric address", host);
    }
    const int fd = host[0] == '\0' ? bind_all(port) : bind_tcp(&addr, false);
    if (fd < 0) {
        return tr_err_set(err, code_of_errno(), "listen tcp %s:%u: bind: %s", host, port,
                          tr_uv_text(uv_translate_sys_error(errno)));
    }
    struct tr_listener *listener;
    const enum tr_code rc = watch_socket(loop, fd, NULL, on_accept, ctx, &listener, err);
    if (rc != TR_OK) {
        (void)close(fd);
        return rc;
    }
    if (!read_port(listener)) {
        tr_err_set(err, TR_IO, "listen tcp %s:%u: getsockname: %s", host, port, strerror(errno));
        tr_listener_close(&listener);
        return TR_IO;
    }
    *out_listener = listener;
    return TR_OK;
}

/* Is the file a socket that no process listens on any more? */
static bool is_left_over(const struct sockaddr_un *addr)
{
    struct stat st;
    const int fd =
        lstat(addr->sun_path, &st) == 0 && S_ISSOCK(st.st_mode) ? open_socket(AF_UNIX) : -1;
    if (fd < 0) {
        return false;
    }
    const bool is_refused =
        connect(fd, (const struct sockaddr *)addr, sizeof(*addr)) != 0 && errno == ECONNREFUSED;
    (void)close(fd);
    return is_refused;
}

/* Bind; a socket left over by a process that was killed makes way. Returns 0, or -1 and errno. */
static int bind_unix(int fd, const struct sockaddr_un *addr)
{
    if (bind(fd, (const struct sockaddr *)addr, sizeof(*addr)) == 0) {
        return 0;
    }
    const int failed = errno;
    if (failed != EADDRINUSE || !is_left_over(addr) || unlink(addr->sun_path) != 0) {
        errno = failed;
        return -1;
    }
    return bind(fd, (const struct sockaddr *)addr, sizeof(*addr));
}

enum tr_code tr_listen_unix(struct tr_loop *loop, const char *path, tr_accept_fn *on_accept,
                            void *ctx, struct tr_listener **out_listener, struct tr_err *err)
{
    tr_loop_assert(loop);
    struct sockaddr_un addr = { .sun_family = AF_UNIX };
    if (path[0] == '\0' || strlen(path) > TR_NET_UNIX_PATH_MAX) {
        return tr_err_set(err, TR_INVALID, "listen unix '%s': the path is empty or too long", path);
    }
    memcpy(addr.sun_path, path, strlen(path) + 1);
    enum tr_code rc;
    const int fd = open_socket(AF_UNIX);
    if (fd < 0) {
        return tr_err_set(err, code_of_errno(), "listen unix %s: %s", path, strerror(errno));
    }
    if (bind_unix(fd, &addr) != 0) {
        rc = tr_err_set(err, code_of_errno(), "listen unix %s: bind: %s", path,
                        tr_uv_text(uv_translate_sys_error(errno)));
        goto close_fd;
    }
    if (listen(fd, TR_NET_BACKLOG) != 0) {
        rc = tr_err_set(err, code_of_errno(), "listen unix %s: listen: %s", path,
                        tr_uv_text(uv_translate_sys_error(errno)));
        goto unlink_path;
    }
    rc = watch_socket(loop, fd, path, on_accept, ctx, out_listener, err);
    if (rc != TR_OK) {
        goto unlink_path;
    }
    return TR_OK;

unlink_path:
    (void)unlink(path);
close_fd:
    (void)close(fd);
    return rc;
}

uint16_t tr_listener_port(const struct tr_listener *listener)
{
    tr_assert_obj(listener, LISTENER_MAGIC);
    return listener->port;
}

/* --- end -------------------------------------------------------------------------------------- */

static void on_release(struct tr_defer *defer)
{
    struct tr_listener *listener = TR_CONTAINER_OF(defer, struct tr_listener, release);
    free(listener->unix_path);
    listener->magic = 0;
    free(listener);
}

void tr_listener_close(struct tr_listener **listener)
{
    struct tr_listener *l = *listener;
    if (l == NULL) {
        return;
    }
    tr_assert_obj(l, LISTENER_MAGIC);
    tr_loop_assert(l->loop);
    *listener = NULL;
    l->is_closed = true;
    tr_timer_stop(&l->retry);
    tr_fd_watch_free(&l->watch);
    (void)close(l->fd);
    if (l->unix_path != NULL) {
        (void)unlink(l->unix_path);
    }
    tr_defer(l->loop, &l->release, on_release); /* it may be closed from its own on_accept */
}
