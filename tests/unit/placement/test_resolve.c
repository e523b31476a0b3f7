/* Addresses of a name. Only numeric names are asked for, which need no server. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "placement/resolve.h"

struct asked {
    struct tr_resolve op;
    bool is_done;
};

static void on_resolved(struct tr_resolve *op)
{
    TR_CONTAINER_OF(op, struct asked, op)->is_done = true;
}

static bool is_done(void *ctx)
{
    return ((const struct asked *)ctx)->is_done;
}

static void ask(struct asked *asked, const char *name)
{
    struct tr_loop *loop = tr_loop_new();
    *asked = (struct asked){ .op = { .name = tr_slice_str(name), .cb = on_resolved } };
    tr_resolve_start(loop, &asked->op);
    assert_false(asked->is_done);
    assert_true(tr_loop_run_until(loop, is_done, asked, 10000));
    tr_loop_free(&loop);
}

static void numeric_names_are_their_own_addresses(void **state)
{
    struct asked asked;
    ask(&asked, "127.0.0.1:50005");
    assert_int_equal(asked.op.err.code, TR_OK);
    assert_int_equal(asked.op.addresses_len, 1);
    assert_string_equal(asked.op.addresses[0], "127.0.0.1:50005");
    ask(&asked, "[::1]:50005");
    assert_int_equal(asked.op.err.code, TR_OK);
    assert_string_equal(asked.op.addresses[0], "[::1]:50005");
    (void)state;
}

static void what_is_no_host_and_port_is_refused(void **state)
{
    static const char *const names[] = { "", "host", "host:", ":1", "host:123456789" };
    for (size_t i = 0; i < TR_ARRAY_LEN(names); i++) {
        struct asked asked;
        ask(&asked, names[i]);
        assert_int_equal(asked.op.err.code, TR_INVALID);
    }
    (void)state;
}

static void an_address_is_split_at_its_last_colon(void **state)
{
    struct tr_slice host;
    struct tr_slice port;
    tr_address_split(TR_SLICE_LIT("[::1]:80"), &host, &port);
    assert_true(tr_slice_eq_str(host, "[::1]"));
    assert_true(tr_slice_eq_str(port, "80"));
    tr_address_split(TR_SLICE_LIT("name"), &host, &port);
    assert_true(tr_slice_eq_str(host, "name"));
    assert_int_equal(port.len, 0);
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numeric_names_are_their_own_addresses),
        cmocka_unit_test(what_is_no_host_and_port_is_refused),
        cmocka_unit_test(an_address_is_split_at_its_last_colon),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
