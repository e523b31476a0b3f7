/*
 * Where this sidecar is: the address it tells others, and the port that stays the same across restarts.
 * Source: Dapr kit/utils GetHostAddress, pkg/runtime stable port (1.18); invocation 4.8, processes 2.2.
 */
#ifndef TR_SIDECAR_HOST_H
#define TR_SIDECAR_HOST_H

#include <stdint.h>

#include "runtime/base/buf.h"
#include "runtime/base/err.h"

/*
 * Append the host to advertise: DAPR_HOST_IP, else the source address the system picks for the outside world, else the
 * loopback address. Sends nothing.
 */
void tr_host_address(struct tr_buf *out);

/* The port for an app id in this folder, for this user, on this host: in 47300 to 65534. */
uint16_t tr_host_stable_port(const char *app_id);

#endif
