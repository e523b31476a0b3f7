/*
 * Accepting, as gRPC's servers need it.
 *
 * gRPC 1.51 closes a listener for good when accept4(2) fails, unless the cause is an interrupt, an abort, or nobody there.
 * So a server that once was out of descriptors would never take another client until its process is started anew. It
 * calls the function of that name which the program has: this one, which comes before libc's, in the static program and
 * in the dynamic one.
 *
 * Without a descriptor a client is turned away at once: for that, one descriptor is kept in reserve. It must not be left
 * waiting, because gRPC hears of clients by edge-triggered events: it would be forgotten until the next one comes. After
 * any other failure that passes gRPC is told that nobody is there.
 *
 * Our own listeners (runtime/base/net_listen_uv.c) do not go this way.
 *
 * Source: gRPC 1.51 src/core/lib/iomgr/tcp_server_posix.cc, on_read(); accept(2), "Error handling".
 */
#include "invoke/rpc_int.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

/* One a process, as accept4() is. Whoever takes the descriptor out (exchanges it for -1) is the only one to have it. */
static atomic_int reserve = -1;

void tr_rpc_accept_init(void)
{
    const int fd = open("/", O_PATH | O_CLOEXEC);
    int none = -1;
    if (fd >= 0 && !atomic_compare_exchange_strong(&reserve, &none, fd)) {
        (void)close(fd); /* there is one */
    }
}

static bool passes(int cause)
{
    switch (cause) {
    case EMFILE:
    case ENFILE:
    case ENOBUFS:
    case ENOMEM:
    case ENETDOWN:
    case EPROTO:
    case ENOPROTOOPT:
    case EHOSTDOWN:
    case ENONET:
    case EHOSTUNREACH:
    case EOPNOTSUPP:
    case ENETUNREACH:
    case EPERM: /* a firewall's rule */
        return true;
    default:
        return false;
    }
}

/* Accept a client by means of the reserve, and close its connection. False: that could not be done. */
static bool turn_away(int fd)
{
    const int spare = atomic_exchange(&reserve, -1);
    if (spare < 0) {
        return false;
    }
    (void)close(spare);
    const long accepted = syscall(SYS_accept4, fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (accepted >= 0) {
        (void)close((int)accepted);
    }
    tr_rpc_accept_init();
    return accepted >= 0;
}

int accept4(int fd, __SOCKADDR_ARG address, socklen_t *restrict address_len, int flags)
{
    const socklen_t room = address_len != NULL ? *address_len : 0;
    for (;;) {
        const long accepted = syscall(SYS_accept4, fd, address.__sockaddr__, address_len, flags);
        if (accepted >= 0) {
            return (int)accepted;
        }
        if (errno == EMFILE && turn_away(fd)) {
            if (address_len != NULL) {
                *address_len = room;
            }
            continue;
        }
        if (passes(errno)) {
            errno = EAGAIN;
        }
        return -1;
    }
}
