/* Each call to LMDB fails once, and from some call on all of them: what was promised holds, and the store goes on after. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "state/lmdb_rows.h"
#include "tests/lib/fault.h"
#include "tests/unit/state/store_contract.h"

static void open_lmdb(struct store_test *t)
{
    store_test_folder(t);
    const struct tr_store_lmdb_conf conf = { .path = t->folder };
    assert_int_equal(tr_store_lmdb_open(t->loop, &conf, &t->store, &t->err), TR_OK);
}

typedef void arm_fn(enum fault_kind kind, unsigned nth);
static arm_fn *const arms[] = { fault_arm, fault_arm_from };

static void transact_is_whole_or_absent_when_a_call_fails(void **state)
{
    (void)state;
    for (size_t way = 0; way < TR_ARRAY_LEN(arms); way++) {
        bool fired = true;
        for (unsigned nth = 0; fired; nth++) {
            struct store_test t;
            store_test_init(&t, open_lmdb);
            assert_int_equal(store_put(&t, "gone", "old"), TR_OK);
            assert_int_equal(store_put(&t, "kept", "old"), TR_OK);
            struct tr_store_op ops[] = { upsert_of("a", "new"), delete_of("gone"),
                                         upsert_of("kept", "new") };
            ops[0].is_first_write = true;
            ops[0].has_ttl = true;
            ops[0].ttl_s = 1000;
            arms[way](FAULT_LMDB, nth);
            const enum tr_code code = store_tx(&t, ops, 3, TR_SLICE_LIT("p"), 1);
            fired = fault_disarm(FAULT_LMDB);
            if (code != TR_OK) {
                assert_true(strlen(t.err.msg) > 0);
            } else {
                assert_true(way == 0 || !fired); /* tried again alone, which worked */
            }
            const bool is_done = code == TR_OK;
            assert_string_equal(store_text(&t, "a", NULL), is_done ? "new" : "-");
            assert_string_equal(store_text(&t, "gone", NULL), is_done ? "-" : "old");
            assert_string_equal(store_text(&t, "kept", NULL), is_done ? "new" : "old");
            ops[0].is_first_write = false;
            assert_int_equal(store_tx(&t, ops, 3, TR_SLICE_LIT("p"), 1), TR_OK);
            store_test_fini(&t);
        }
    }
}

/* Transactions that are started together. */
#define GROUP 3U

struct group {
    struct tr_store_tx tx[GROUP];
    struct tr_store_op op[GROUP];
    size_t done_len;
};
static struct group group;

static void on_group(struct tr_store_tx *tx)
{
    (void)tx;
    group.done_len++;
}

static bool group_is_done(void *ctx)
{
    (void)ctx;
    return group.done_len == GROUP;
}

static void group_run(struct store_test *t)
{
    static const char *const keys[] = { "x", "y", "z" };
    group.done_len = 0;
    for (size_t i = 0; i < GROUP; i++) {
        group.op[i] = upsert_of(keys[i], "v");
        group.tx[i] = (struct tr_store_tx){ .ops = &group.op[i], .ops_len = 1, .cb = on_group };
        tr_store_tx_start(t->store, &group.tx[i]);
    }
    assert_true(tr_loop_run_until(t->loop, group_is_done, NULL, 30000));
}

static void transactions_of_one_commit_fail_each_for_itself(void **state)
{
    (void)state;
    for (size_t way = 0; way < TR_ARRAY_LEN(arms); way++) {
        bool fired = true;
        for (unsigned nth = 0; fired; nth++) {
            struct store_test t;
            store_test_init(&t, open_lmdb);
            arms[way](FAULT_LMDB, nth);
            group_run(&t);
            fired = fault_disarm(FAULT_LMDB);
            for (size_t i = 0; i < GROUP; i++) {
                char key[8];
                (void)snprintf(key, sizeof(key), "%.*s", TR_SLICE_ARG(group.op[i].key));
                assert_string_equal(store_text(&t, key, NULL),
                                    group.tx[i].err.code == TR_OK ? "v" : "-");
                assert_true(way == 1 ||
                            group.tx[i].err.code == TR_OK); /* a fault that passes harms none */
            }
            store_test_fini(&t);
        }
    }
}

static void a_read_is_right_or_an_error_when_a_call_fails(void **state)
{
    (void)state;
    for (size_t way = 0; way < TR_ARRAY_LEN(arms); way++) {
        bool fired = true;
        for (unsigned nth = 0; fired; nth++) {
            struct store_test t;
            store_test_init(&t, open_lmdb);
            assert_int_equal(store_put(&t, "a", "1"), TR_OK);
            assert_int_equal(store_put(&t, "b", "2"), TR_OK);
            const struct tr_slice keys[] = { TR_SLICE_LIT("b"), TR_SLICE_LIT("none"),
                                             TR_SLICE_LIT("a") };
            struct tr_store_get get = { .keys = keys, .keys_len = 3 };
            struct tr_store_scan scan = { .rows_max = 5 };
            arms[way](FAULT_LMDB, nth);
            store_get(&t, &get);
            store_scan(&t, &scan);
            fired = fault_disarm(FAULT_LMDB);
            if (get.err.code == TR_OK) {
                assert_true(tr_slice_eq_str(tr_buf_slice(&get.values[0].value), "2"));
                assert_false(get.values[1].found);
            } else {
                assert_null(get.values);
                assert_true(strlen(get.err.msg) > 0);
            }
            assert_int_equal(scan.rows_len, scan.err.code == TR_OK ? 2 : 0);
            tr_store_get_fini(&get);
            tr_store_scan_fini(&scan);
            assert_string_equal(store_text(&t, "a", NULL), "1");
            store_test_fini(&t);
        }
    }
}

static void an_open_that_fails_leaves_nothing_behind(void **state)
{
    (void)state;
    for (size_t way = 0; way < TR_ARRAY_LEN(arms); way++) {
        bool fired = true;
        for (unsigned nth = 0; fired; nth++) {
            struct store_test t = { .loop = tr_loop_new() };
            store_test_folder(&t);
            const struct tr_store_lmdb_conf conf = { .path = t.folder };
            arms[way](FAULT_LMDB, nth);
            const enum tr_code code = tr_store_lmdb_open(t.loop, &conf, &t.store, &t.err);
            fired = fault_disarm(FAULT_LMDB);
            if (code != TR_OK) {
                assert_non_null(strstr(t.err.msg, t.folder));
                assert_int_equal(tr_store_lmdb_open(t.loop, &conf, &t.store, &t.err), TR_OK);
            }
            assert_int_equal(store_put(&t, "k", "v"), TR_OK);
            assert_string_equal(store_text(&t, "k", NULL), "v");
            store_test_fini(&t);
        }
    }
}

static void a_sweep_that_fails_removes_all_or_nothing(void **state)
{
    (void)state;
    bool fired = true;
    for (unsigned nth = 0; fired; nth++) {
        struct store_test t;
        struct tr_lmdb_env *env = NULL;
        store_test_init(&t, open_lmdb);
        struct tr_store_op ops[] = { upsert_of("a", "1"), upsert_of("b", "2"),
                                     upsert_of("c", "3") };
        for (size_t i = 0; i < 2; i++) {
            ops[i].has_ttl = true;
            ops[i].ttl_s = 1000;
        }
        assert_int_equal(store_tx(&t, ops, 3, TR_SLICE_LIT(""), 0), TR_OK);
        assert_int_equal(tr_lmdb_env_open(t.folder, 0, &env, &t.err), TR_OK);
        const int64_t late = tr_loop_unix_ms(t.loop) + 2000000;
        bool has_more = false;
        fault_arm(FAULT_LMDB, nth);
        const enum tr_code code = tr_lmdb_sweep(env, late, 1, &has_more, &t.err);
        fired = fault_disarm(FAULT_LMDB);
        struct tr_store_scan scan = { .rows_max = 5 };
        store_scan(&t, &scan);
        assert_int_equal(scan.rows_len, code == TR_OK ? 2 : 3);
        tr_store_scan_fini(&scan);
        assert_true(code != TR_OK || has_more);
        assert_int_equal(tr_lmdb_sweep(env, late, 10, &has_more, &t.err), TR_OK);
        assert_false(has_more);
        struct tr_store_scan rest = { .rows_max = 5 };
        store_scan(&t, &rest);
        assert_int_equal(rest.rows_len, 1);
        tr_store_scan_fini(&rest);
        tr_lmdb_env_close(&env);
        store_test_fini(&t);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(transact_is_whole_or_absent_when_a_call_fails),
        cmocka_unit_test(transactions_of_one_commit_fail_each_for_itself),
        cmocka_unit_test(a_read_is_right_or_an_error_when_a_call_fails),
        cmocka_unit_test(an_open_that_fails_leaves_nothing_behind),
        cmocka_unit_test(a_sweep_that_fails_removes_all_or_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
