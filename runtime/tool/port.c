/* Free ports, found by listening on them for a moment. */
#include "runtime/tool/port.h"

#include "runtime/base/net.h"

static void on_accept(void *ctx, struct tr_stream *stream)
{
    (void)ctx;
    tr_stream_close(
        stream, NULL,
        NULL); /* the listener is gone before the loop turns; this is for completeness */
}

bool tr_port_is_free(struct tr_loop *loop, uint16_t port)
{
    struct tr_listener *listener = NULL;
    struct tr_err err;
    if (tr_listen_tcp(loop, "127.0.0.1", port, on_accept, NULL, &listener, &err) != TR_OK) {
        return false;
    }
    tr_listener_close(&listener);
    return true;
}

void tr_ports_init(struct tr_ports *ports, struct tr_loop *loop)
{
    *ports = (struct tr_ports){ .loop = loop };
    tr_rng_init_system(&ports->rng);
}

void tr_ports_reserve(struct tr_ports *ports, uint16_t port)
{
    tr_assert(ports->given_len < TR_PORTS_GIVEN_MAX);
    ports->given[ports->given_len++] = port;
}

static bool is_given(const struct tr_ports *ports, uint16_t port)
{
    for (size_t i = 0; i < ports->given_len; i++) {
        if (ports->given[i] == port) {
            return true;
        }
    }
    return false;
}

enum tr_code tr_ports_choose(struct tr_ports *ports, uint16_t *out_port, struct tr_err *err)
{
    for (unsigned i = 0; i < TR_PORTS_TRIES_MAX; i++) {
        const uint16_t port = (uint16_t)tr_rng_between(&ports->rng, TR_PORTS_LOW, TR_PORTS_HIGH);
        if (!is_given(ports, port) && tr_port_is_free(ports->loop, port)) {
            tr_ports_reserve(ports, port);
            *out_port = port;
            return TR_OK;
        }
    }
    return tr_err_set(err, TR_LIMIT, "no free port between %u and %u was found", TR_PORTS_LOW,
                      TR_PORTS_HIGH);
}
