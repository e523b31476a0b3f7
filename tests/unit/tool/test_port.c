#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "runtime/base/net.h"
#include "runtime/tool/port.h"

static void on_accept(void *ctx, struct tr_stream *stream)
{
    (void)ctx;
    tr_stream_close(stream, NULL, NULL);
}

static void ports_are_of_the_range_and_never_given_twice(void **state)
{
    (void)state;
    struct tr_loop *loop = tr_loop_new();
    struct tr_ports ports;
    struct tr_err err;
    tr_ports_init(&ports, loop);
    for (size_t i = 0; i < TR_PORTS_GIVEN_MAX; i++) {
        uint16_t port = 0;
        assert_int_equal(tr_ports_choose(&ports, &port, &err), TR_OK);
        assert_in_range(port, TR_PORTS_LOW, TR_PORTS_HIGH);
        for (size_t j = 0; j < i; j++) {
            assert_int_not_equal(ports.given[j], port);
        }
    }
    tr_loop_free(&loop);
}

static void a_port_with_a_listener_is_not_free(void **state)
{
    (void)state;
    struct tr_loop *loop = tr_loop_new();
    struct tr_listener *listener = NULL;
    struct tr_err err;
    assert_int_equal(tr_listen_tcp(loop, "127.0.0.1", 0, on_accept, NULL, &listener, &err), TR_OK);
    const uint16_t port = tr_listener_port(listener);
    assert_false(tr_port_is_free(loop, port));
    tr_listener_close(&listener);
    assert_true(tr_port_is_free(loop, port));
    tr_loop_free(&loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ports_are_of_the_range_and_never_given_twice),
        cmocka_unit_test(a_port_with_a_listener_is_not_free),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
