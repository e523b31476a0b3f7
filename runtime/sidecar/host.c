/* Where this sidecar is. */
#include "runtime/sidecar/host.h"

#include <arpa/inet.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "runtime/sidecar/port.h"

/* Addresses for documentation: connecting a datagram socket to them only picks a route. Source: RFC 5737, RFC 3849. */
#define OUTSIDE_V4 "192.0.2.1"
#define OUTSIDE_V6 "2001:db8::1"
#define OUTSIDE_PORT 80

static bool source_address(int family, const struct sockaddr *to, socklen_t to_len, char *out, size_t cap)
{
    struct sockaddr_storage own;
    socklen_t own_len = sizeof(own);
    const int fd = socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return false;
    }
    bool found = connect(fd, to, to_len) == 0 && getsockname(fd, (struct sockaddr *)&own, &own_len) == 0;
    if (found) {
        const void *address = family == AF_INET ? (const void *)&((struct sockaddr_in *)&own)->sin_addr
                                                : (const void *)&((struct sockaddr_in6 *)&own)->sin6_addr;
        found = inet_ntop(family, address, out, (socklen_t)cap) != NULL;
    }
    (void)close(fd);
    return found;
}

void tr_host_address(struct tr_buf *out)
{
    const char *given = getenv("DAPR_HOST_IP");
    if (given != NULL && given[0] != '\0') {
        tr_buf_add_str(out, given);
        return;
    }
    char text[INET6_ADDRSTRLEN];
    struct sockaddr_in v4 = { .sin_family = AF_INET, .sin_port = htons(OUTSIDE_PORT) };
    struct sockaddr_in6 v6 = { .sin6_family = AF_INET6, .sin6_port = htons(OUTSIDE_PORT) };
    (void)inet_pton(AF_INET, OUTSIDE_V4, &v4.sin_addr);
    (void)inet_pton(AF_INET6, OUTSIDE_V6, &v6.sin6_addr);
    if (source_address(AF_INET, (const struct sockaddr *)&v4, sizeof(v4), text, sizeof(text)) ||
        source_address(AF_INET6, (const struct sockaddr *)&v6, sizeof(v6), text, sizeof(text))) {
        tr_buf_add_str(out, text);
        return;
    }
    tr_buf_add_str(out, "127.0.0.1");
}

uint16_t tr_host_stable_port(const char *app_id)
{
    char folder[PATH_MAX];
    char host[HOST_NAME_MAX + 1];
    struct tr_buf text = { 0 };
    if (getcwd(folder, sizeof(folder)) == NULL) {
        folder[0] = '\0';
    }
    if (gethostname(host, sizeof(host)) != 0) {
        host[0] = '\0';
    }
    host[sizeof(host) - 1] = '\0';
    tr_buf_addf(&text, "%s|%s|%u|%s", app_id, folder, (unsigned)getuid(), host);
    const uint16_t port = tr_port_of_text(tr_buf_slice(&text));
    tr_buf_fini(&text);
    return port;
}
