/* Reports and orders on the wire, and the sidecar's table. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "placement/table.h"
#include "placement/wire.h"

static struct tr_host host(const char *name, const char *id, struct tr_slice *types,
                           size_t types_len)
{
    return (struct tr_host){
        .name = tr_slice_str(name),
        .id = tr_slice_str(id),
        .ns = TR_SLICE_LIT("default"),
        .types = types,
        .types_len = types_len,
        .api_level = TR_HOST_API_LEVEL,
        .op = TR_HOST_REPORT,
    };
}

static struct tr_order_in decoded(struct tr_slice bytes, const struct tr_table *previous)
{
    struct tr_order_in order = { 0 };
    struct tr_err err;
    assert_int_equal(tr_order_decode(bytes, NULL, previous, &order, &err), TR_OK);
    return order;
}

static void a_report_survives_the_wire(void **state)
{
    struct tr_slice types[] = { TR_SLICE_LIT("a"), TR_SLICE_LIT("b") };
    struct tr_host in = host("10.0.0.1:50002", "app", types, 2);
    in.port = 50002;
    in.load = -3;
    in.pod = TR_SLICE_LIT("pod-0");
    in.has_version = true;
    struct tr_buf bytes = { 0 };
    tr_host_encode(&in, &bytes);
    struct tr_host out = { 0 };
    struct tr_err err;
    assert_int_equal(tr_host_decode(tr_buf_slice(&bytes), &out, &err), TR_OK);
    assert_true(tr_slice_eq(out.name, in.name));
    assert_true(tr_slice_eq(out.id, in.id));
    assert_true(tr_slice_eq(out.ns, in.ns));
    assert_true(tr_slice_eq(out.pod, in.pod));
    assert_int_equal(out.port, 50002);
    assert_int_equal(out.load, -3);
    assert_int_equal(out.api_level, 20);
    assert_int_equal(out.op, TR_HOST_REPORT);
    assert_true(out.has_version);
    assert_int_equal(out.version, 0);
    assert_int_equal(out.types_len, 2);
    assert_true(tr_slice_eq(out.types[1], types[1]));
    tr_host_fini(&out);
    tr_buf_fini(&bytes);
    (void)state;
}

static void types_are_sorted_and_named_once(void **state)
{
    struct tr_slice types[] = { TR_SLICE_LIT("b"), TR_SLICE_LIT("a"), TR_SLICE_LIT("b"),
                                TR_SLICE_LIT("") };
    struct tr_host in = host("h:1", "app", types, 4);
    struct tr_buf bytes = { 0 };
    tr_host_encode(&in, &bytes);
    struct tr_host out = { 0 };
    struct tr_err err;
    assert_int_equal(tr_host_decode(tr_buf_slice(&bytes), &out, &err), TR_OK);
    assert_int_equal(out.types_len, 3);
    assert_true(tr_slice_eq_str(out.types[0], ""));
    assert_true(tr_slice_eq_str(out.types[1], "a"));
    assert_true(tr_slice_eq_str(out.types[2], "b"));
    tr_host_fini(&out);
    tr_buf_fini(&bytes);
    (void)state;
}

static void an_empty_report_has_no_version_and_takes_no_bytes(void **state)
{
    struct tr_host out = { 0 };
    struct tr_err err;
    assert_int_equal(tr_host_decode(TR_SLICE_LIT(""), &out, &err), TR_OK);
    assert_false(out.has_version);
    assert_int_equal(out.op, TR_HOST_UNKNOWN);
    struct tr_buf bytes = { 0 };
    tr_host_encode(&out, &bytes);
    assert_int_equal(bytes.len, 0);
    tr_buf_fini(&bytes);
    tr_host_fini(&out);
    (void)state;
}

static void bytes_that_are_no_message_are_refused(void **state)
{
    static const struct tr_slice bad[] = {
        TR_SLICE_LIT("\x0a\x05"
                     "ab"),                   /* name cut short */
        TR_SLICE_LIT("\xff\xff\xff"),         /* no tag */
        TR_SLICE_LIT("\x0a\x01\xff"),         /* name is no UTF-8 */
        TR_SLICE_LIT("\x22\x02\xc0\x80"),     /* type is an overlong NUL */
        TR_SLICE_LIT("\x2a\x03\xed\xa0\x80"), /* id is a surrogate */
    };
    for (size_t i = 0; i < TR_ARRAY_LEN(bad); i++) {
        struct tr_host out;
        struct tr_err err;
        assert_int_equal(tr_host_decode(bad[i], &out, &err), TR_INTERNAL);
    }
    (void)state;
}

static void reports_above_the_limits_are_refused(void **state)
{
    struct tr_host out;
    struct tr_err err;
    struct tr_buf bytes = { 0 };
    for (size_t i = 0; i <= TR_HOST_TYPES_MAX; i++) {
        tr_buf_add(&bytes, TR_SLICE_LIT("\x22\x00"));
    }
    assert_int_equal(tr_host_decode(tr_buf_slice(&bytes), &out, &err), TR_LIMIT);
    tr_buf_fini(&bytes);
    char *big = calloc(1, TR_HOST_BYTES_MAX + 1);
    assert_int_equal(tr_host_decode(tr_slice(big, TR_HOST_BYTES_MAX + 1), &out, &err), TR_LIMIT);
    free(big);
    (void)state;
}

static void lock_and_unlock_are_the_bytes_of_the_reference(void **state)
{
    struct tr_order *lock = tr_order_new(TR_ORDER_LOCK, 5, 100, NULL, 0);
    struct tr_order *unlock = tr_order_new(TR_ORDER_UNLOCK, 0, 100, NULL, 0);
    assert_true(tr_slice_eq(tr_buf_slice(&lock->bytes), TR_SLICE_LIT("\x12\x04lock\x18\x05")));
    assert_true(tr_slice_eq(tr_buf_slice(&unlock->bytes), TR_SLICE_LIT("\x12\x06unlock")));
    tr_order_unref(&lock);
    tr_order_unref(&unlock);
    (void)state;
}

static void an_update_without_hosts_names_the_factor_and_the_version_as_text(void **state)
{
    struct tr_order *update = tr_order_new(TR_ORDER_UPDATE, 0, 100, NULL, 0);
    assert_true(tr_slice_eq(tr_buf_slice(&update->bytes),
                            TR_SLICE_LIT("\x0a\x05\x12\x01\x30\x20\x64\x12\x06update")));
    tr_order_unref(&update);
    (void)state;
}

static void an_update_lists_each_host_under_each_of_its_types(void **state)
{
    struct tr_slice ab[] = { TR_SLICE_LIT("a"), TR_SLICE_LIT("b") };
    struct tr_slice b[] = { TR_SLICE_LIT("b") };
    struct tr_host one = host("10.0.0.1:50002", "app-1", ab, 2);
    struct tr_host two = host("10.0.0.2:50002", "app-2", b, 1);
    const struct tr_host *hosts[] = { &one, &two };
    struct tr_order *update = tr_order_new(TR_ORDER_UPDATE, 7, 100, hosts, 2);
    struct tr_order_in order = decoded(tr_buf_slice(&update->bytes), NULL);
    assert_int_equal(order.op, TR_ORDER_UPDATE);
    assert_int_equal(order.version, 7);
    assert_int_equal(tr_table_version(order.table), 7);
    assert_int_equal(tr_table_types_len(order.table), 2);
    const struct tr_ring *ring_a = tr_table_ring(order.table, TR_SLICE_LIT("a"));
    const struct tr_ring *ring_b = tr_table_ring(order.table, TR_SLICE_LIT("b"));
    assert_int_equal(tr_ring_hosts_len(ring_a), 1);
    assert_int_equal(tr_ring_points_len(ring_a), 100);
    assert_int_equal(tr_ring_hosts_len(ring_b), 2);
    assert_true(tr_slice_eq_str(tr_ring_host_at(ring_b, 1)->app_id, "app-2"));
    assert_null(tr_table_ring(order.table, TR_SLICE_LIT("c")));
    tr_table_unref(&order.table);
    tr_order_unref(&update);
    (void)state;
}

static void of_two_hosts_with_one_name_the_table_has_the_last(void **state)
{
    struct tr_slice a[] = { TR_SLICE_LIT("a") };
    struct tr_host one = host("h:1", "first", a, 1);
    struct tr_host two = host("h:1", "second", a, 1);
    const struct tr_host *hosts[] = { &one, &two };
    struct tr_order *update = tr_order_new(TR_ORDER_UPDATE, 1, 10, hosts, 2);
    struct tr_order_in order = decoded(tr_buf_slice(&update->bytes), NULL);
    const struct tr_ring *ring = tr_table_ring(order.table, TR_SLICE_LIT("a"));
    assert_int_equal(tr_ring_hosts_len(ring), 1);
    assert_true(tr_slice_eq_str(tr_ring_host_at(ring, 0)->app_id, "second"));
    tr_table_unref(&order.table);
    tr_order_unref(&update);
    (void)state;
}

static void types_with_the_same_hosts_share_a_ring_and_keep_it_over_tables(void **state)
{
    struct tr_slice types[] = { TR_SLICE_LIT("a"), TR_SLICE_LIT("b") };
    struct tr_slice more[] = { TR_SLICE_LIT("b"), TR_SLICE_LIT("c") };
    struct tr_host one = host("h:1", "app", types, 2);
    struct tr_host two = host("h:2", "app", more, 0);
    const struct tr_host *hosts[] = { &one, &two };
    struct tr_order *update = tr_order_new(TR_ORDER_UPDATE, 1, 10, hosts, 2);
    struct tr_order_in first = decoded(tr_buf_slice(&update->bytes), NULL);
    const struct tr_ring *ring = tr_table_ring(first.table, types[0]);
    assert_ptr_equal(ring, tr_table_ring(first.table, types[1]));
    tr_order_unref(&update);
    two.types_len = 2;
    update = tr_order_new(TR_ORDER_UPDATE, 2, 10, hosts, 2);
    struct tr_order_in second = decoded(tr_buf_slice(&update->bytes), first.table);
    tr_table_unref(&first.table);
    assert_ptr_equal(ring, tr_table_ring(second.table, types[0]));
    assert_ptr_not_equal(ring, tr_table_ring(second.table, types[1]));
    assert_false(tr_ring_equal(ring, tr_table_ring(second.table, types[1])));
    assert_int_equal(tr_ring_hosts_len(tr_table_ring(second.table, types[1])), 2);
    tr_table_unref(&second.table);
    tr_order_unref(&update);
    (void)state;
}

static void a_version_of_zero_is_read_from_the_tables(void **state)
{
    /* tables { version: "12" replication_factor: 1 } operation: "update" */
    struct tr_order_in order = decoded(TR_SLICE_LIT("\x0a\x06\x12\x02"
                                                    "12"
                                                    "\x20\x01\x12\x06update"),
                                       NULL);
    assert_int_equal(order.version, 12);
    tr_table_unref(&order.table);
    /* text that is no number, and one too large, count as 0 */
    order = decoded(TR_SLICE_LIT("\x0a\x04\x12\x02"
                                 "1x"
                                 "\x12\x04lock"),
                    NULL);
    assert_int_equal(order.version, 0);
    order = decoded(TR_SLICE_LIT("\x0a\x16\x12\x14"
                                 "99999999999999999999"
                                 "\x12\x04lock"),
                    NULL);
    assert_int_equal(order.version, 0);
    (void)state;
}

static void a_table_without_a_factor_counts_as_empty(void **state)
{
    struct tr_slice a[] = { TR_SLICE_LIT("a") };
    struct tr_host one = host("h:1", "app", a, 1);
    const struct tr_host *hosts[] = { &one };
    static const int64_t factors[] = { 0, -5 };
    for (size_t i = 0; i < TR_ARRAY_LEN(factors); i++) {
        struct tr_order *update = tr_order_new(TR_ORDER_UPDATE, 1, factors[i], hosts, 1);
        struct tr_order_in order = decoded(tr_buf_slice(&update->bytes), NULL);
        assert_int_equal(tr_table_types_len(order.table), 0);
        tr_table_unref(&order.table);
        tr_order_unref(&update);
    }
    struct tr_order_in order = decoded(TR_SLICE_LIT("\x12\x06update\x18\x01"), NULL);
    assert_int_equal(tr_table_types_len(order.table), 0);
    tr_table_unref(&order.table);
    (void)state;
}

static void orders_out_of_the_protocol_are_refused(void **state)
{
    struct tr_order_in order;
    struct tr_err err;
    assert_int_equal(tr_order_decode(TR_SLICE_LIT("\x12\x04LOCK"), NULL, NULL, &order, &err),
                     TR_INVALID);
    assert_string_equal(err.msg, "unknown operation: LOCK");
    assert_int_equal(tr_order_decode(TR_SLICE_LIT(""), NULL, NULL, &order, &err), TR_INVALID);
    assert_int_equal(tr_order_decode(TR_SLICE_LIT("\x12\x09lock"), NULL, NULL, &order, &err),
                     TR_INVALID);
    /* a host inside the table that is no message */
    assert_int_equal(tr_order_decode(TR_SLICE_LIT("\x0a\x10\x0a\x0c\x0a\x01"
                                                  "a"
                                                  "\x12\x07\x1a\x05\x0a\x00\x12\x01\xff"
                                                  "\x20\x01\x12\x06update"),
                                     NULL, NULL, &order, &err),
                     TR_INVALID);
    /* a factor above the limit */
    assert_int_equal(tr_order_decode(TR_SLICE_LIT("\x0a\x0e\x0a\x07\x0a\x01"
                                                  "a"
                                                  "\x12\x02\x1a\x00"
                                                  "\x20\xff\xff\xff\x7f\x12\x06update"),
                                     NULL, NULL, &order, &err),
                     TR_LIMIT);
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_report_survives_the_wire),
        cmocka_unit_test(types_are_sorted_and_named_once),
        cmocka_unit_test(an_empty_report_has_no_version_and_takes_no_bytes),
        cmocka_unit_test(bytes_that_are_no_message_are_refused),
        cmocka_unit_test(reports_above_the_limits_are_refused),
        cmocka_unit_test(lock_and_unlock_are_the_bytes_of_the_reference),
        cmocka_unit_test(an_update_without_hosts_names_the_factor_and_the_version_as_text),
        cmocka_unit_test(an_update_lists_each_host_under_each_of_its_types),
        cmocka_unit_test(of_two_hosts_with_one_name_the_table_has_the_last),
        cmocka_unit_test(types_with_the_same_hosts_share_a_ring_and_keep_it_over_tables),
        cmocka_unit_test(a_version_of_zero_is_read_from_the_tables),
        cmocka_unit_test(a_table_without_a_factor_counts_as_empty),
        cmocka_unit_test(orders_out_of_the_protocol_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
