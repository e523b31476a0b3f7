/*
 * Ports that nobody listens on. They are chosen below the range for outgoing connections (32768 and
 * up on Linux): there, the system may give a chosen port away before its server listens, and a
 * client that tries it until then can end up connected to itself.
 */
#ifndef TR_TOOL_PORT_H
#define TR_TOOL_PORT_H

#include <stdbool.h>
#include <stdint.h>

#include "runtime/base/err.h"
#include "runtime/base/loop.h"
#include "runtime/base/rng.h"

#define TR_PORTS_LOW       20000U
#define TR_PORTS_HIGH      29999U
#define TR_PORTS_TRIES_MAX 500U
#define TR_PORTS_GIVEN_MAX 64U

struct tr_ports {
    struct tr_loop *loop; /* borrowed */
    struct tr_rng rng;
    uint16_t given[TR_PORTS_GIVEN_MAX]; /* not to be given out (again) */
    size_t given_len;
};

void tr_ports_init(struct tr_ports *ports, struct tr_loop *loop);
/* Never choose this one. */
void tr_ports_reserve(struct tr_ports *ports, uint16_t port);
/* Errors: TR_LIMIT, all that were tried are taken. */
TR_MUST_USE enum tr_code tr_ports_choose(struct tr_ports *ports, uint16_t *out_port,
                                         struct tr_err *err);

/* Could a server listen on 127.0.0.1 at this port now? */
bool tr_port_is_free(struct tr_loop *loop, uint16_t port);

#endif
