/* Volatile timers: when they fire, in which order, what ends them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/unit/actor/engine_test.h"

#define assert_slice(slice, text) assert_true(tr_slice_eq_str((slice), (text)))

static struct tr_actor_type_stats stats_of(struct engine_test *t)
{
    struct tr_actor_type_stats stats;
    assert_true(tr_actor_type_stats(t->engine, 0, &stats));
    return stats;
}

static enum tr_code try_create(struct engine_test *t, const char *id, const char *name,
                               const char *due, const char *period, const char *ttl,
                               struct tr_err *err)
{
    const struct tr_actor_timer_conf conf = {
        .actor_type = TR_SLICE_LIT("cat"),
        .actor_id = tr_slice_str(id),
        .name = tr_slice_str(name),
        .due_time = tr_slice_str(due),
        .period = tr_slice_str(period),
        .ttl = tr_slice_str(ttl),
        .callback = TR_SLICE_LIT("cb"),
        .data = TR_SLICE_LIT("{\"a\":1}"),
    };
    return tr_actor_timer_create(t->engine, &conf, err);
}

static void create(struct engine_test *t, const char *id, const char *name, const char *due,
                   const char *period)
{
    struct tr_err err = { .msg = "" };
    if (try_create(t, id, name, due, period, "", &err) != TR_OK) {
        fail_msg("%s", err.msg);
    }
    loop_fake_settle(t->loop);
}

static void delete (struct engine_test *t, const char *id, const char *name)
{
    tr_actor_timer_delete(t->engine, tr_slice_str("cat"), tr_slice_str(id), tr_slice_str(name));
}

/* Is open call `i` a firing of this timer? */
static bool is_firing(struct engine_test *t, size_t i, const char *id, const char *name)
{
    return app_open_is(t, i, TR_APP_TIMER, id) && tr_slice_eq_str(app_open(t, i)->name, name);
}

static void a_timer_fires_when_it_is_due_with_its_texts(void **state)
{
    struct engine_test t;
    engine_test_init(&t);
    create(&t, "tom", "t1", "2s", "R2/PT10S");
    assert_int_equal(stats_of(&t).timers, 1);
    loop_fake_advance(t.loop, 1999);
    assert_int_equal(t.app.open_len, 0);
    loop_fake_advance(t.loop, 1);
    assert_true(is_firing(&t, 0, "tom", "t1"));
    assert_slice(app_open(&t, 0)->due_time, "2s");
    assert_slice(app_open(&t, 0)->period, "R2/PT10S");
    assert_slice(app_open(&t, 0)->callback, "cb");
    assert_slice(app_open(&t, 0)->body, "{\"a\":1}");
    app_answer(&t, 0, 200, "");
    loop_fake_advance(t.loop, 9999);
    assert_int_equal(t.app.open_len, 0);
    loop_fake_advance(t.loop, 1);
    app_answer(&t, 0, 200, "");
    loop_fake_advance(t.loop, 1000000);
    assert_int_equal(stats_of(&t).timers, 0);
    assert_int_equal(stats_of(&t).timers_fired_ok, 2);
    t.app.deactivates_at_once = true;
    engine_test_fini(&t);
    (void)state;
}

static void without_a_due_time_it_fires_at_once(void **state)
{
    struct engine_test t;
    engine_test_init(&t);
    create(&t, "tom", "t1", "", "");
    assert_true(is_firing(&t, 0, "tom", "t1"));
    app_answer(&t, 0, 200, "");
    create(&t, "tom", "t1", "2020-01-01T00:00:00Z", "");
    assert_true(is_firing(&t, 0, "tom", "t1"));
    app_answer(&t, 0, 200, "");
    engine_test_fini(&t);
    (void)state;
}

static void a_failed_firing_counts_like_any_other(void **state)
{
    struct engine_test t;
    engine_test_init(&t);
    create(&t, "tom", "t1", "", "R3/PT1S");
    for (unsigned i = 0; i < 3; i++) {
        app_answer(&t, 0, 500, "no");
        loop_fake_advance(t.loop, 1000);
    }
    assert_int_equal(t.app.open_len, 0);
    assert_int_equal(stats_of(&t).timers, 0);
    assert_int_equal(stats_of(&t).timers_fired_failed, 3);
    engine_test_fini(&t);
    (void)state;
}

static void missed_ticks_follow_a_slow_callback_one_by_one(void **state)
{
    struct engine_test t;
    engine_test_init(&t);
    create(&t, "tom", "t1", "", "1s");
    loop_fake_advance(t.loop, 3500);
    assert_int_equal(t.app.open_len, 1); /* never beside itself */
    for (unsigned i = 0; i < 3; i++) {
        app_answer(&t, 0, 200, "");
        assert_int_equal(t.app.open_len, 1);
    }
    app_answer(&t, 0, 200, "");
    assert_int_equal(t.app.open_len, 0);
    loop_fake_advance(t.loop, 500);
    assert_int_equal(t.app.open_len, 1);
    delete (&t, "tom", "t1");
    app_answer(&t, 0, 200, "");
    engine_test_fini(&t);
    (void)state;
}

static void due_timers_of_one_actor_fire_one_at_a_time_in_order(void **state)
{
    struct engine_test t;
    engine_test_init(&t);
    create(&t, "tom", "late", "3s", "");
    create(&t, "tom", "early", "1s", "");
    create(&t, "tom", "middle", "2s", "");
    create(&t, "kitty", "other", "2s", "");
    loop_fake_advance(t.loop, 3000);
    assert_int_equal(t.app.open_len, 2);
    assert_true(is_firing(&t, 0, "tom", "early"));
    assert_true(is_firing(&t, 1, "kitty", "other")); /* another actor does not wait */
    app_answer(&t, 0, 200, "");
    assert_true(is_firing(&t, 1, "tom", "middle"));
    app_answer(&t, 1, 200, "");
    assert_true(is_firing(&t, 1, "tom", "late"));
    app_answer(&t, 1, 200, "");
    app_answer(&t, 0, 200, "");
    engine_test_fini(&t);
    (void)state;
}

static void a_deleted_timer_does_not_fire(void **state)
{
    struct engine_test t;
    engine_test_init(&t);
    create(&t, "tom", "t1", "1s", "1s");
    create(&t, "tom", "t2", "1s", "1s");
    loop_fake_advance(t.loop, 1000);
    assert_true(is_firing(&t, 0, "tom", "t1"));
    delete (&t, "tom", "t2"); /* due, and waiting behind the other one */
    delete (&t, "tom", "t1"); /* firing: the call goes on */
    delete (&t, "tom", "t1");
    delete (&t, "tom", "none");
    assert_int_equal(stats_of(&t).timers, 0);
    app_answer(&t, 0, 200, "");
    loop_fake_advance(t.loop, 10000);
    assert_int_equal(t.app.started, 1);
    engine_test_fini(&t);
    (void)state;
}

static void a_replaced_timer_fires_by_its_new_settings(void **state)
{
    struct engine_test t;
    engine_test_init(&t);
    create(&t, "tom", "t1", "1s", "1s");
    loop_fake_advance(t.loop, 1000);
    create(&t, "tom", "t1", "5s", ""); /* while the old one is firing */
    assert_int_equal(stats_of(&t).timers, 1);
    app_answer(&t, 0, 200, "");
    loop_fake_advance(t.loop, 4999);
    assert_int_equal(t.app.started, 1);
    loop_fake_advance(t.loop, 1);
    assert_slice(app_open(&t, 0)->due_time, "5s");
    app_answer(&t, 0, 200, "");
    loop_fake_advance(t.loop, 10000);
    assert_int_equal(t.app.started, 2);
    engine_test_fini(&t);
    (void)state;
}

static void a_firing_waits_for_the_actors_turn(void **state)
{
    struct engine_test t;
    struct test_call a;
    engine_test_init(&t);
    test_call(&t, &a, "tom");
    create(&t, "tom", "t1", "", "");
    assert_int_equal(t.app.open_len, 1);
    app_answer(&t, 0, 200, "");
    assert_true(is_firing(&t, 0, "tom", "t1"));
    app_answer(&t, 0, 200, "");
    test_call_fini(&a);
    engine_test_fini(&t);
    (void)state;
}

static void a_timer_outlives_its_instance_and_follows_the_actor(void **state)
{
    struct engine_test t;
    engine_test_init(&t);
    t.app.deactivates_at_once = true;
    create(&t, "tom", "t1", "", "2m");
    app_answer(&t, 0, 200, "");
    loop_fake_advance(t.loop, 60000);
    assert_int_equal(t.app.deactivations, 1); /* idle */
    t.owner.answer = TR_OWNER_REMOTE;
    loop_fake_advance(t.loop, 60000);
    assert_int_equal(t.remote.open_len, 1);
    assert_int_equal(t.remote.open[0]->call->kind, TR_ACTOR_TIMER);
    remote_answer(&t, 0, 2, "remote actor moved"); /* worth another attempt */
    loop_fake_advance(t.loop, 1000);
    remote_answer(&t, 0, 0, "");
    assert_int_equal(stats_of(&t).timers_fired_ok, 2);
    loop_fake_advance(t.loop, 119000);
    remote_answer(&t, 0, 2, "error from actor service: (500) no"); /* the app's word is final */
    assert_int_equal(stats_of(&t).timers_fired_failed, 1);
    engine_test_fini(&t);
    (void)state;
}

static void names_are_not_confused_by_separators(void **state)
{
    struct engine_test t;
    engine_test_init(&t);
    create(&t, "a||b", "c", "1s", "");
    create(&t, "a", "b||c", "1s", "");
    assert_int_equal(stats_of(&t).timers, 2);
    delete (&t, "a", "b||c");
    loop_fake_advance(t.loop, 1000);
    assert_int_equal(t.app.open_len, 1);
    assert_true(is_firing(&t, 0, "a||b", "c"));
    app_answer(&t, 0, 200, "");
    engine_test_fini(&t);
    (void)state;
}

static void bad_timers_are_refused_with_the_reason(void **state)
{
    struct engine_test t;
    struct tr_err err;
    engine_test_init(&t);
    assert_int_equal(try_create(&t, "tom", "t1", "soon", "", "", &err), TR_ACTOR_TIMER_CREATE);
    assert_string_equal(err.msg,
                        "error parsing timer due time: unsupported time/duration format: soon");
    assert_int_equal(try_create(&t, "tom", "t1", "", "R0/PT1S", "", &err), TR_ACTOR_TIMER_CREATE);
    tr_actor_suspend(t.engine, true);
    assert_int_equal(try_create(&t, "tom", "t1", "", "", "", &err), TR_ACTOR_TIMER_CREATE);
    assert_string_equal(err.msg,
                        "can't create timer for actor cat||tom: actor type not registered");
    assert_int_equal(stats_of(&t).timers, 0);
    engine_test_fini(&t);
    (void)state;
}

static void closing_drops_all_timers(void **state)
{
    struct engine_test t;
    engine_test_init(&t);
    create(&t, "tom", "firing", "", "1s");
    create(&t, "tom", "due", "", "1s");
    create(&t, "tom", "waiting", "1h", "1s");
    engine_test_fini(&t); /* checks that nothing is left */
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_timer_fires_when_it_is_due_with_its_texts),
        cmocka_unit_test(without_a_due_time_it_fires_at_once),
        cmocka_unit_test(a_failed_firing_counts_like_any_other),
        cmocka_unit_test(missed_ticks_follow_a_slow_callback_one_by_one),
        cmocka_unit_test(due_timers_of_one_actor_fire_one_at_a_time_in_order),
        cmocka_unit_test(a_deleted_timer_does_not_fire),
        cmocka_unit_test(a_replaced_timer_fires_by_its_new_settings),
        cmocka_unit_test(a_firing_waits_for_the_actors_turn),
        cmocka_unit_test(a_timer_outlives_its_instance_and_follows_the_actor),
        cmocka_unit_test(names_are_not_confused_by_separators),
        cmocka_unit_test(bad_timers_are_refused_with_the_reason),
        cmocka_unit_test(closing_drops_all_timers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
