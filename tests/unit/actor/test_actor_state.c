/* State of actors: keys, checks, limits, what holds an operation. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "state/store.h"
#include "tests/unit/actor/engine_test.h"

struct state_test {
    struct engine_test t;
    struct tr_store *store;
};

struct test_get {
    struct tr_actor_state_get get;
    unsigned done;
};

struct test_tx {
    struct tr_actor_state_tx tx;
    unsigned done;
};

static void on_get(struct tr_actor_state_get *get)
{
    TR_CONTAINER_OF(get, struct test_get, get)->done++;
}

static void on_tx(struct tr_actor_state_tx *tx)
{
    TR_CONTAINER_OF(tx, struct test_tx, tx)->done++;
}

static void set_store(struct state_test *s, bool has_ttl, uint32_t batch_max)
{
    const struct tr_actor_state_conf conf = { .store = s->store,
                                              .is_capable = true,
                                              .has_ttl = has_ttl,
                                              .batch_max = batch_max,
                                              .app_id = TR_SLICE_LIT("zoo") };
    tr_actor_state_set(s->t.engine, &conf);
}

static void state_test_init(struct state_test *s)
{
    struct test_call c;
    engine_test_init(&s->t);
    s->store = tr_store_mem_new(s->t.loop);
    set_store(s, true, 0);
    test_call(&s->t, &c, "tom");
    app_answer(&s->t, 0, 200, "");
    test_call_fini(&c);
}

static void on_store_closed(void *ctx)
{
    *(struct tr_store **)ctx = NULL;
}

static void state_test_fini(struct state_test *s)
{
    s->t.app.deactivates_at_once = true;
    tr_store_close(s->store, on_store_closed, &s->store);
    loop_fake_settle(s->t.loop);
    assert_null(s->store);
    engine_test_fini(&s->t);
}

static void start_tx(struct state_test *s, struct test_tx *x, const char *id,
                     const struct tr_actor_state_op *ops, size_t ops_len)
{
    *x = (struct test_tx){ .tx = { .actor_type = TR_SLICE_LIT("cat"),
                                   .actor_id = tr_slice_str(id),
                                   .ops = ops,
                                   .ops_len = ops_len,
                                   .cb = on_tx } };
    tr_actor_state_tx_start(s->t.engine, &x->tx);
    assert_int_equal(x->done, 0);
    loop_fake_settle(s->t.loop);
}

static enum tr_code tx(struct state_test *s, const char *id, const struct tr_actor_state_op *ops,
                       size_t ops_len, const char *want_msg)
{
    struct test_tx x;
    start_tx(s, &x, id, ops, ops_len);
    assert_int_equal(x.done, 1);
    if (want_msg != NULL) {
        assert_string_equal(x.tx.err.msg, want_msg);
    }
    return x.tx.err.code;
}

static void start_get(struct state_test *s, struct test_get *g, const char *id, const char *key)
{
    *g = (struct test_get){ .get = { .actor_type = TR_SLICE_LIT("cat"),
                                     .actor_id = tr_slice_str(id),
                                     .key = tr_slice_str(key),
                                     .cb = on_get } };
    tr_actor_state_get_start(s->t.engine, &g->get);
    assert_int_equal(g->done, 0);
    loop_fake_settle(s->t.loop);
}

static void assert_value(struct state_test *s, const char *id, const char *key, const char *want)
{
    struct test_get g;
    start_get(s, &g, id, key);
    assert_int_equal(g.done, 1);
    assert_int_equal(g.get.err.code, TR_OK);
    assert_int_equal(g.get.found, want != NULL);
    assert_true(tr_slice_eq(tr_buf_slice(&g.get.value), tr_slice_str(want)));
    tr_buf_fini(&g.get.value);
}

static struct tr_actor_state_op put(const char *key, const char *value)
{
    return (struct tr_actor_state_op){ .key = tr_slice_str(key), .value = tr_slice_str(value) };
}

static struct tr_actor_state_op del(const char *key)
{
    return (struct tr_actor_state_op){ .is_delete = true, .key = tr_slice_str(key) };
}

static void what_was_written_is_read(void **state)
{
    struct state_test s;
    state_test_init(&s);
    const struct tr_actor_state_op first[] = { put("k1", "1"), put("k2", "\"two\""),
                                               put("empty", "") };
    assert_int_equal(tx(&s, "tom", first, 3, NULL), TR_OK);
    assert_value(&s, "tom", "k1", "1");
    assert_value(&s, "tom", "k2", "\"two\"");
    assert_value(&s, "tom", "empty", NULL); /* empty counts as not found */
    assert_value(&s, "tom", "k3", NULL);
    assert_value(&s, "kitty", "k1", NULL); /* an inactive actor can be read */
    const struct tr_actor_state_op second[] = { del("k1"), put("k3", "3") };
    assert_int_equal(tx(&s, "tom", second, 2, NULL), TR_OK);
    assert_value(&s, "tom", "k1", NULL);
    assert_value(&s, "tom", "k3", "3");
    assert_int_equal(tx(&s, "tom", NULL, 0, NULL), TR_OK);
    state_test_fini(&s);
    (void)state;
}

static void on_raw_get(struct tr_store_get *get)
{
    assert_true(get->values[0].found);
}

static void keys_are_those_of_the_original(void **state)
{
    struct state_test s;
    state_test_init(&s);
    const struct tr_actor_state_op op = put("k||1", "1");
    assert_int_equal(tx(&s, "tom", &op, 1, NULL), TR_OK);
    const struct tr_slice key = TR_SLICE_LIT("zoo||cat||tom||k||1");
    struct tr_store_get get = { .keys = &key, .keys_len = 1, .cb = on_raw_get };
    tr_store_get_start(s.store, &get);
    loop_fake_settle(s.t.loop);
    tr_store_get_fini(&get);
    state_test_fini(&s);
    (void)state;
}

static void only_an_active_actor_can_write(void **state)
{
    struct state_test s;
    state_test_init(&s);
    const struct tr_actor_state_op op = put("k", "1");
    assert_int_equal(tx(&s, "kitty", &op, 1, "actor instance is missing"), TR_ACTOR_MISSING);
    loop_fake_advance(s.t.loop, 60000); /* tom is being deactivated */
    assert_int_equal(tx(&s, "tom", &op, 1, "actor instance is missing"), TR_ACTOR_MISSING);
    app_answer(&s.t, 0, 200, "");
    state_test_fini(&s);
    (void)state;
}

static void an_etag_that_does_not_match_fails_all(void **state)
{
    struct state_test s;
    state_test_init(&s);
    struct tr_actor_state_op ops[] = { put("a", "1"), put("b", "1") };
    ops[1].has_etag = true;
    ops[1].etag = TR_SLICE_LIT("77");
    assert_int_equal(tx(&s, "tom", ops, 2, NULL), TR_ACTOR_STATE_TX);
    assert_value(&s, "tom", "a", NULL);
    state_test_fini(&s);
    (void)state;
}

static void bad_operations_are_named(void **state)
{
    struct state_test s;
    state_test_init(&s);
    struct tr_actor_state_op op = put("", "1");
    assert_int_equal(tx(&s, "tom", &op, 1, "missing key"), TR_ACTOR_STATE_TX);
    op = del("");
    assert_int_equal(tx(&s, "tom", &op, 1, "missing key"), TR_ACTOR_STATE_TX);
    const struct tr_actor_state_op three[] = { put("a", "1"), put("b", "1"), put("c", "1") };
    set_store(&s, true, 2);
    assert_int_equal(tx(&s, "tom", three, 3,
                        "the transaction contains more operations than supported by the state "
                        "store"),
                     TR_ACTOR_STATE_TX);
    assert_int_equal(tx(&s, "tom", three, 2, NULL), TR_OK);
    state_test_fini(&s);
    (void)state;
}

static void a_time_to_live_needs_the_feature_and_a_number(void **state)
{
    struct state_test s;
    struct test_get g;
    state_test_init(&s);
    struct tr_actor_state_op op = put("k", "1");
    op.has_ttl = true;
    op.ttl = TR_SLICE_LIT("60");
    assert_int_equal(tx(&s, "tom", &op, 1, NULL), TR_OK);
    start_get(&s, &g, "tom", "k");
    assert_true(g.get.has_expiry);
    assert_int_equal(g.get.expiry_unix_ms, tr_loop_unix_ms(s.t.loop) + 60000);
    tr_buf_fini(&g.get.value);
    op.ttl = TR_SLICE_LIT("-1");
    assert_int_equal(tx(&s, "tom", &op, 1, NULL), TR_OK);
    start_get(&s, &g, "tom", "k");
    assert_false(g.get.has_expiry);
    tr_buf_fini(&g.get.value);
    op.ttl = TR_SLICE_LIT("soon");
    assert_int_equal(tx(&s, "tom", &op, 1,
                        "error parsing TTL: incorrect value for metadata 'ttlInSeconds': "
                        "strconv.ParseInt: parsing \"soon\": invalid syntax"),
                     TR_ACTOR_STATE_TX);
    const char *const far[] = { "-2", "2147483648", "99999999999999999999" };
    for (size_t i = 0; i < TR_ARRAY_LEN(far); i++) {
        op.ttl = tr_slice_str(far[i]);
        assert_int_equal(tx(&s, "tom", &op, 1,
                            "error parsing TTL: incorrect value for metadata 'ttlInSeconds': must "
                            "be -1 or greater"),
                         TR_ACTOR_STATE_TX);
    }
    set_store(&s, false, 0);
    op.ttl = TR_SLICE_LIT("60");
    assert_int_equal(tx(&s, "tom", &op, 1,
                        "ttlInSeconds is not supported without the \"ActorStateTTL\" feature "
                        "enabled"),
                     TR_ACTOR_STATE_TX);
    state_test_fini(&s);
    (void)state;
}

static void without_a_fit_store_everything_fails(void **state)
{
    struct state_test s;
    struct test_get g;
    state_test_init(&s);
    struct tr_actor_state_conf conf = { .app_id = TR_SLICE_LIT("zoo") };
    tr_actor_state_set(s.t.engine, &conf);
    const struct tr_actor_state_op op = put("k", "1");
    assert_int_equal(tx(&s, "tom", &op, 1, NULL), TR_ACTOR_NO_STORE);
    start_get(&s, &g, "tom", "k");
    assert_int_equal(g.get.err.code, TR_ACTOR_NO_STORE);
    conf.store = s.store;
    tr_actor_state_set(s.t.engine, &conf);
    assert_int_equal(tx(&s, "tom", &op, 1, NULL), TR_ACTOR_STATE_TX);
    start_get(&s, &g, "tom", "k");
    assert_int_equal(g.get.err.code, TR_ACTOR_STATE_GET);
    assert_non_null(strstr(g.get.err.msg, "incorrectly configured"));
    state_test_fini(&s);
    (void)state;
}

static void operations_are_held_while_the_type_changes_hands(void **state)
{
    struct state_test s;
    struct test_get get, canceled;
    struct test_tx write;
    state_test_init(&s);
    const struct tr_actor_state_op op = put("k", "1");
    s.t.owner.answer = TR_OWNER_LOCKED;
    start_tx(&s, &write, "tom", &op, 1);
    start_get(&s, &get, "tom", "k");
    start_get(&s, &canceled, "tom", "k");
    loop_fake_advance(s.t.loop, 1000);
    assert_int_equal(write.done + get.done + canceled.done, 0);
    tr_actor_state_get_cancel(&canceled.get);
    loop_fake_settle(s.t.loop);
    assert_int_equal(canceled.done, 1);
    assert_int_equal(canceled.get.err.code, TR_CANCELED);
    s.t.owner.answer = TR_OWNER_LOCAL;
    owner_release(&s.t);
    assert_int_equal(write.done, 1);
    assert_int_equal(write.tx.err.code, TR_OK);
    assert_int_equal(get.done, 1);
    assert_true(get.get.found);
    tr_buf_fini(&get.get.value);
    state_test_fini(&s);
    (void)state;
}

static void a_held_operation_ends_at_its_deadline(void **state)
{
    struct state_test s;
    struct test_get g = { .done = 0 };
    state_test_init(&s);
    s.t.owner.answer = TR_OWNER_NO_TABLE;
    g.get = (struct tr_actor_state_get){ .actor_type = TR_SLICE_LIT("cat"),
                                         .actor_id = TR_SLICE_LIT("tom"),
                                         .key = TR_SLICE_LIT("k"),
                                         .cb = on_get };
    g.get.deadline_ms = tr_loop_now_ms(s.t.loop) + 10;
    tr_actor_state_get_start(s.t.engine, &g.get);
    loop_fake_advance(s.t.loop, 10);
    assert_int_equal(g.done, 1);
    assert_int_equal(g.get.err.code, TR_DEADLINE);
    state_test_fini(&s);
    (void)state;
}

static void a_turn_that_is_being_drained_may_still_save_its_state(void **state)
{
    struct state_test s;
    struct test_call a;
    struct test_tx other;
    state_test_init(&s);
    test_call(&s.t, &a, "far");
    s.t.owner.answer = TR_OWNER_LOCKED;
    s.t.owner.far_answer = TR_OWNER_LOCKED;
    const struct tr_slice cat = TR_SLICE_LIT("cat");
    tr_actor_on_update(s.t.engine, 1, &cat, 1);
    const struct tr_actor_state_op op = put("k", "1");
    assert_int_equal(tx(&s, "far", &op, 1, NULL), TR_OK);
    start_tx(&s, &other, "tom", &op, 1); /* no turn of tom's runs */
    assert_int_equal(other.done, 0);
    app_answer(&s.t, 0, 200, "");
    assert_int_equal(a.call.outcome, TR_ACTOR_ANSWERED);
    app_answer(&s.t, 0, 200, ""); /* the deactivations */
    assert_int_equal(s.t.owner.update_done, 1);
    s.t.owner.answer = TR_OWNER_LOCAL;
    owner_release(&s.t);
    assert_int_equal(other.done, 1);
    test_call_fini(&a);
    state_test_fini(&s);
    (void)state;
}

static void on_closed(void *ctx)
{
    ((struct engine_test *)ctx)->is_closed = true;
}

static void closing_ends_held_operations(void **state)
{
    struct state_test s;
    struct test_get g;
    state_test_init(&s);
    s.t.owner.answer = TR_OWNER_NO_TABLE;
    s.t.app.deactivates_at_once = true;
    start_get(&s, &g, "tom", "k");
    tr_actor_engine_close(s.t.engine, tr_loop_now_ms(s.t.loop) + 5000, on_closed, &s.t);
    loop_fake_settle(s.t.loop);
    assert_true(s.t.is_closed);
    assert_int_equal(g.done, 1);
    assert_int_equal(g.get.err.code, TR_ACTOR_CLOSED);
    start_get(&s, &g, "tom", "k");
    assert_int_equal(g.get.err.code, TR_ACTOR_CLOSED);
    state_test_fini(&s);
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_written_is_read),
        cmocka_unit_test(keys_are_those_of_the_original),
        cmocka_unit_test(only_an_active_actor_can_write),
        cmocka_unit_test(an_etag_that_does_not_match_fails_all),
        cmocka_unit_test(bad_operations_are_named),
        cmocka_unit_test(a_time_to_live_needs_the_feature_and_a_number),
        cmocka_unit_test(without_a_fit_store_everything_fails),
        cmocka_unit_test(operations_are_held_while_the_type_changes_hands),
        cmocka_unit_test(a_held_operation_ends_at_its_deadline),
        cmocka_unit_test(a_turn_that_is_being_drained_may_still_save_its_state),
        cmocka_unit_test(closing_ends_held_operations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
