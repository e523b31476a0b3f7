/* Addresses of a name, by getaddrinfo on a worker. */
#include "placement/resolve.h"

#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>

void tr_address_split(struct tr_slice address, struct tr_slice *out_host, struct tr_slice *out_port)
{
    size_t at = address.len;
    while (at > 0 && address.ptr[at - 1] != ':') {
        at--;
    }
    *out_host = tr_slice(address.ptr, at == 0 ? address.len : at - 1);
    *out_port = at == 0 ? tr_slice(address.ptr, 0) : tr_slice_skip(address, at);
}

static bool is_known(const struct tr_resolve *resolve, const char *address)
{
    for (size_t i = 0; i < resolve->addresses_len; i++) {
        if (strcmp(resolve->addresses[i], address) == 0) {
            return true;
        }
    }
    return false;
}

static void add_address(struct tr_resolve *resolve, const struct addrinfo *info)
{
    char host[64];
    char address[TR_RESOLVE_ADDRESS_BYTES];
    if (resolve->addresses_len == TR_RESOLVE_ADDRESSES_MAX ||
        getnameinfo(info->ai_addr, info->ai_addrlen, host, sizeof(host), NULL, 0, NI_NUMERICHOST) !=
            0) {
        return;
    }
    (void)snprintf(address, sizeof(address), info->ai_family == AF_INET6 ? "[%s]:%s" : "%s:%s",
                   host, resolve->port);
    if (!is_known(resolve, address)) {
        memcpy(resolve->addresses[resolve->addresses_len++], address, sizeof(address));
    }
}

/* On a worker. */
static void look_up(struct tr_work *work)
{
    struct tr_resolve *resolve = TR_CONTAINER_OF(work, struct tr_resolve, work);
    const struct addrinfo hints = { .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM };
    struct addrinfo *found = NULL;
    int status = getaddrinfo(resolve->host, NULL, &hints, &found);
    if (status != 0) {
        (void)tr_err_set(&work->err, TR_UNAVAILABLE, "failed to look up '%s': %s", resolve->host,
                         gai_strerror(status));
        return;
    }
    for (const struct addrinfo *info = found; info != NULL; info = info->ai_next) {
        add_address(resolve, info);
    }
    freeaddrinfo(found);
    if (resolve->addresses_len == 0) {
        (void)tr_err_set(&work->err, TR_UNAVAILABLE, "no addresses found for '%s'", resolve->host);
    }
}

static void look_up_nothing(struct tr_work *work)
{
    (void)work; /* the name was refused at the start: work->err stays for on_done to set */
}

static void on_done(struct tr_work *work)
{
    struct tr_resolve *resolve = TR_CONTAINER_OF(work, struct tr_resolve, work);
    if (resolve->err.code == TR_OK) {
        resolve->err = work->err;
    }
    resolve->cb(resolve);
}

void tr_resolve_start(struct tr_loop *loop, struct tr_resolve *resolve)
{
    struct tr_slice host;
    struct tr_slice port;
    tr_address_split(resolve->name, &host, &port);
    if (host.len > 2 && host.ptr[0] == '[' && host.ptr[host.len - 1] == ']') {
        host = tr_slice(host.ptr + 1, host.len - 2);
    }
    resolve->err.code = TR_OK;
    resolve->addresses_len = 0;
    resolve->work = (struct tr_work){ .run = look_up, .done = on_done };
    if (host.len == 0 || host.len >= sizeof(resolve->host) || port.len == 0 ||
        port.len >= sizeof(resolve->port)) {
        (void)tr_err_set(&resolve->err, TR_INVALID, "'%.*s' is no host and port",
                         TR_SLICE_ARG(resolve->name));
        resolve->work.run = look_up_nothing;
    } else {
        (void)snprintf(resolve->host, sizeof(resolve->host), "%.*s", TR_SLICE_ARG(host));
        (void)snprintf(resolve->port, sizeof(resolve->port), "%.*s", TR_SLICE_ARG(port));
    }
    tr_work_start(loop, &resolve->work);
}
