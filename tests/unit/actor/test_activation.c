/* Idle deactivation and the life of instances. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "tests/unit/actor/engine_test.h"

static const struct tr_slice cat = { "cat", 3 };

static struct tr_actor_type_stats stats_of(struct engine_test *t)
{
    struct tr_actor_type_stats stats;
    assert_true(tr_actor_type_stats(t->engine, 0, &stats));
    return stats;
}

static void activate(struct engine_test *t, const char *id)
{
    struct test_call c;
    test_call(t, &c, id);
    app_answer(t, t->app.open_len - 1, 200, "");
    test_call_fini(&c);
}

static void an_idle_actor_is_deactivated_on_the_millisecond(void **state)
{
    struct engine_test t;
    engine_test_init(&t);
    activate(&t, "tom");
    loop_fake_advance(t.loop, 59999);
    assert_int_equal(t.app.deactivations, 0);
    loop_fake_advance(t.loop, 1);
    assert_true(app_open_is(&t, 0, TR_APP_DEACTIVATE, "tom"));
    assert_false(tr_actor_is_active(t.engine, cat, tr_slice_str("tom")));
    assert_int_equal(stats_of(&t).active, 0);
    app_answer(&t, 0, 200, "");
    assert_int_equal(stats_of(&t).deactivated, 1);
    loop_fake_advance(t.loop, 1000000);
    assert_int_equal(t.app.deactivations, 1); /* once */
    engine_test_fini(&t);
    (void)state;
}

static void a_new_turn_starts_the_idle_time_again(void **state)
{
    struct engine_test t;
    engine_test_init(&t);
    activate(&t, "tom");
    loop_fake_advance(t.loop, 40000);
    activate(&t, "tom");
    loop_fake_advance(t.loop, 59999);
    assert_int_equal(t.app.deactivations, 0);
    loop_fake_advance(t.loop, 1);
    assert_int_equal(t.app.deactivations, 1);
    engine_test_fini(&t);
    (void)state;
}

static void a_turn_longer_than_the_idle_time_is_left_alone(void **state)
{
    struct engine_test t;
    struct test_call a;
    engine_test_init(&t);
    test_call(&t, &a, "tom");
    loop_fake_advance(t.loop, 600000);
    assert_int_equal(t.app.deactivations, 0);
    app_answer(&t, 0, 200, "");
    assert_int_equal(a.call.outcome, TR_ACTOR_ANSWERED);
    loop_fake_advance(t.loop, 59999);
    assert_int_equal(t.app.deactivations, 0);
    loop_fake_advance(t.loop, 1);
    assert_int_equal(t.app.deactivations, 1);
    test_call_fini(&a);
    engine_test_fini(&t);
    (void)state;
}

static void each_type_has_its_own_idle_time(void **state)
{
    struct engine_test t;
    struct test_call a, b;
    engine_test_init_bare(&t);
    struct tr_actor_type_conf types[] = { engine_test_type("cat"), engine_test_type("dog") };
    types[0].idle_ms = 4000;
    types[1].idle_ms = 0; /* as soon as no turn runs */
    engine_test_register(&t, types, 2);
    test_call(&t, &a, "tom");
    test_call_init(&b, "dog", "rex", "bark");
    test_call_start(&t, &b);
    assert_int_equal(t.app.open_len, 2); /* not while the turn runs */
    app_answer(&t, 1, 200, "");
    assert_true(app_open_is(&t, 1, TR_APP_DEACTIVATE, "rex"));
    app_answer(&t, 1, 200, "");
    app_answer(&t, 0, 200, "");
    loop_fake_advance(t.loop, 3999);
    assert_int_equal(t.app.deactivations, 1);
    loop_fake_advance(t.loop, 1);
    assert_int_equal(t.app.deactivations, 2);
    test_call_fini(&a);
    test_call_fini(&b);
    engine_test_fini(&t);
    (void)state;
}

static void a_new_turn_waits_for_the_answer_to_the_deactivation(void **state)
{
    struct engine_test t;
    struct test_call a, gone;
    engine_test_init(&t);
    activate(&t, "tom");
    loop_fake_advance(t.loop, 60000);
    test_call(&t, &a, "tom");
    test_call(&t, &gone, "tom");
    assert_int_equal(t.app.open_len, 1);
    tr_actor_call_cancel(&gone.call);
    loop_fake_settle(t.loop);
    app_answer(&t, 0, 200, "");
    assert_true(app_open_is(&t, 0, TR_APP_METHOD, "tom")); /* a new life */
    assert_true(tr_actor_is_active(t.engine, cat, tr_slice_str("tom")));
    app_answer(&t, 0, 200, "");
    assert_int_equal(t.app.started, 2);
    loop_fake_advance(t.loop, 60000);
    assert_int_equal(t.app.deactivations, 2); /* which ends as the first did */
    test_call_fini(&a);
    test_call_fini(&gone);
    engine_test_fini(&t);
    (void)state;
}

static void a_deactivation_without_an_answer_holds_its_actor_for_a_limited_time(void **state)
{
    struct engine_test t;
    struct test_call a;
    engine_test_init(&t);
    activate(&t, "tom");
    loop_fake_advance(t.loop, 60000);
    assert_true(app_open_is(&t, 0, TR_APP_DEACTIVATE, "tom"));
    test_call(&t, &a, "tom");
    loop_fake_advance(t.loop, TR_ACTOR_DEACTIVATION_MS - 1);
    assert_int_equal(t.app.open_len, 1);
    loop_fake_advance(t.loop, 1);
    assert_true(app_open_is(&t, 0, TR_APP_METHOD, "tom"));
    app_answer(&t, 0, 200, "");
    test_call_fini(&a);
    engine_test_fini(&t);
    (void)state;
}

static void deactivations_go_out_a_limited_number_at_a_time(void **state)
{
    enum { ACTORS = 1000 };
    struct engine_test t;
    engine_test_init(&t);
    for (unsigned i = 0; i < ACTORS; i++) {
        char id[16];
        snprintf(id, sizeof(id), "a%u", i);
        activate(&t, id);
    }
    assert_int_equal(stats_of(&t).active, ACTORS);
    loop_fake_advance(t.loop, 60000);
    assert_int_equal(t.app.deactivations, TR_ACTOR_DEACTIVATIONS_MAX);
    assert_int_equal(stats_of(&t).active, 0);
    app_answer(&t, 0, 200, "");
    assert_int_equal(t.app.deactivations, TR_ACTOR_DEACTIVATIONS_MAX + 1);
    while (t.app.open_len > 0) {
        app_answer(&t, 0, 200, "");
    }
    assert_int_equal(stats_of(&t).deactivated, ACTORS);
    engine_test_fini(&t);
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_idle_actor_is_deactivated_on_the_millisecond),
        cmocka_unit_test(a_new_turn_starts_the_idle_time_again),
        cmocka_unit_test(a_turn_longer_than_the_idle_time_is_left_alone),
        cmocka_unit_test(each_type_has_its_own_idle_time),
        cmocka_unit_test(a_new_turn_waits_for_the_answer_to_the_deactivation),
        cmocka_unit_test(a_deactivation_without_an_answer_holds_its_actor_for_a_limited_time),
        cmocka_unit_test(deactivations_go_out_a_limited_number_at_a_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
