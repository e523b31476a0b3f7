/* Rounds, loss of placement, types that come and go, shutdown. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>

#include "tests/unit/actor/engine_test.h"

static const struct tr_slice cat = { "cat", 3 };

static struct tr_actor_type_stats stats_of(struct engine_test *t)
{
    struct tr_actor_type_stats stats;
    assert_true(tr_actor_type_stats(t->engine, 0, &stats));
    return stats;
}

/* Make `id` active. */
static void activate(struct engine_test *t, const char *id)
{
    struct test_call c;
    test_call(t, &c, id);
    app_answer(t, t->app.open_len - 1, 200, "");
    test_call_fini(&c);
}

static void update(struct engine_test *t, uint64_t token)
{
    tr_actor_on_update(t->engine, token, &cat, 1);
    loop_fake_settle(t->loop);
}

static void lose(struct engine_test *t, uint64_t token)
{
    t->owner.answer = TR_OWNER_NO_TABLE;
    t->owner.far_answer = TR_OWNER_NO_TABLE;
    tr_actor_on_lost(t->engine, token);
    loop_fake_settle(t->loop);
}

/* --- updates --- */

static void an_update_with_nothing_to_do_is_acknowledged_later(void **state)
{
    struct engine_test t;
    engine_test_init(&t);
    tr_actor_on_update(t.engine, 7, NULL, 0);
    assert_int_equal(t.owner.update_done, 0);
    loop_fake_settle(t.loop);
    assert_int_equal(t.owner.update_done, 7);
    const struct tr_slice unknown = TR_SLICE_LIT("dog");
    tr_actor_on_update(t.engine, 8, &unknown, 1);
    loop_fake_settle(t.loop);
    assert_int_equal(t.owner.update_done, 8);
    engine_test_fini(&t);
    (void)state;
}

static void a_turn_that_ends_in_time_is_undisturbed_and_its_actor_goes_after_it(void **state)
{
    struct engine_test t;
    struct test_call a;
    engine_test_init(&t);
    test_call(&t, &a, "far");
    t.owner.far_answer = TR_OWNER_LOCKED;
    update(&t, 1);
    loop_fake_advance(t.loop, 1999);
    assert_int_equal(t.owner.update_done, 0);
    assert_int_equal(t.app.deactivations, 0);
    app_answer(&t, 0, 200, "");
    assert_int_equal(a.call.outcome, TR_ACTOR_ANSWERED);
    assert_true(app_open_is(&t, 0, TR_APP_DEACTIVATE, "far"));
    assert_int_equal(t.owner.update_done, 0); /* the acknowledgement is last */
    app_answer(&t, 0, 200, "");
    assert_int_equal(t.owner.update_done, 1);
    assert_int_equal(stats_of(&t).active, 0);
    assert_int_equal(stats_of(&t).rebalanced, 1);
    assert_int_equal(stats_of(&t).deactivated, 1);
    test_call_fini(&a);
    engine_test_fini(&t);
    (void)state;
}

static void actors_that_stay_are_not_told(void **state)
{
    struct engine_test t;
    engine_test_init(&t);
    activate(&t, "near");
    activate(&t, "far");
    t.owner.far_answer = TR_OWNER_REMOTE;
    update(&t, 1);
    assert_int_equal(t.app.open_len, 1);
    assert_true(app_open_is(&t, 0, TR_APP_DEACTIVATE, "far"));
    app_answer(&t, 0, 500, ""); /* gone all the same */
    assert_int_equal(t.owner.update_done, 1);
    assert_int_equal(stats_of(&t).deactivated_failed, 1);
    assert_true(tr_actor_is_active(t.engine, cat, tr_slice_str("near")));
    assert_false(tr_actor_is_active(t.engine, cat, tr_slice_str("far")));
    engine_test_fini(&t);
    (void)state;
}

static void a_turn_beyond_the_drain_time_is_aborted_and_tried_again_elsewhere(void **state)
{
    struct engine_test t;
    struct test_call a, queued;
    engine_test_init(&t);
    test_call(&t, &a, "far");
    test_call(&t, &queued, "far");
    t.owner.far_answer = TR_OWNER_LOCKED;
    update(&t, 1);
    loop_fake_advance(t.loop, 2000);
    assert_true(app_open_is(&t, 0, TR_APP_DEACTIVATE,
                            "far")); /* the turn is gone, the waiter never started */
    assert_int_equal(t.app.started, 1);
    app_answer(&t, 0, 200, "");
    assert_int_equal(t.owner.update_done, 1);
    assert_int_equal(a.done + queued.done, 0);
    t.owner.far_answer = TR_OWNER_REMOTE;
    loop_fake_advance(t.loop, 1000);
    assert_int_equal(t.remote.open_len, 2);
    remote_answer(&t, 0, 0, "");
    remote_answer(&t, 0, 0, "");
    assert_int_equal(a.call.outcome, TR_ACTOR_ANSWERED);
    assert_int_equal(queued.call.outcome, TR_ACTOR_ANSWERED);
    test_call_fini(&a);
    test_call_fini(&queued);
    engine_test_fini(&t);
    (void)state;
}

/* As when the app's event stream ends: its turns fail, and its types go, in one turn of the loop. */
static void a_failure_of_the_app_that_crosses_the_abort_is_final(void **state)
{
    struct engine_test t;
    struct test_call a;
    engine_test_init(&t);
    t.app.is_stubborn = true;
    test_call(&t, &a, "a");
    tr_actor_unregister(t.engine, &cat, 1, true);
    app_fail(&t, 0, TR_ACTOR_INVOKE, "actor host disconnected before responding");
    assert_int_equal(a.done, 1);
    assert_int_equal(a.call.outcome, TR_ACTOR_FAILED);
    assert_string_equal(a.call.err.msg, "actor host disconnected before responding");
    while (t.app.open_len > 0) {
        app_answer(&t, 0, 200, "");
    }
    test_call_fini(&a);
    engine_test_fini(&t);
    (void)state;
}

static void init_with_drain(struct engine_test *t, struct tr_actor_host_conf host,
                            struct tr_actor_type_conf type)
{
    struct tr_err err;
    engine_test_init_bare(t);
    host.types = &type;
    host.types_len = 1;
    host.app = &t->app.actors;
    assert_int_equal(tr_actor_register(t->engine, &host, &err), TR_OK);
}

/* How long the turn of a changed type may go on. */
static void assert_aborted_after(struct engine_test *t, uint64_t ms)
{
    struct test_call a;
    test_call(t, &a, "far");
    t->owner.far_answer = TR_OWNER_LOCKED;
    t->app.deactivates_at_once = true;
    update(t, 1);
    if (ms > 0) {
        loop_fake_advance(t->loop, ms - 1);
        assert_int_equal(t->owner.update_done, 0);
        loop_fake_advance(t->loop, 1);
    }
    assert_int_equal(t->owner.update_done, 1);
    tr_actor_call_cancel(&a.call);
    loop_fake_settle(t->loop);
    test_call_fini(&a);
    engine_test_fini(t);
}

static void the_drain_time_is_the_types_else_the_hosts_and_fits_the_round(void **state)
{
    struct engine_test t;
    struct tr_actor_type_conf type = engine_test_type("cat");
    init_with_drain(&t, (struct tr_actor_host_conf){ .has_drain_ms = true, .drain_ms = 5000 },
                    type);
    assert_aborted_after(&t, 5000);
    type.has_drain_ms = true;
    type.drain_ms = 700;
    init_with_drain(&t, (struct tr_actor_host_conf){ .has_drain_ms = true, .drain_ms = 5000 },
                    type);
    assert_aborted_after(&t, 700);
    type.drain_ms = 60000; /* above the limit of 30 s */
    init_with_drain(&t, (struct tr_actor_host_conf){ 0 }, type);
    assert_aborted_after(&t, 24000);
    init_with_drain(&t, (struct tr_actor_host_conf){ .is_drain_off = true }, type);
    assert_aborted_after(&t, 0);
    (void)state;
}

static void types_that_do_not_change_are_undisturbed(void **state)
{
    struct engine_test t;
    struct test_call a;
    engine_test_init(&t);
    const struct tr_actor_type_conf dog = engine_test_type("dog");
    engine_test_register(&t, &dog, 1);
    test_call_init(&a, "dog", "far", "bark");
    test_call_start(&t, &a);
    t.owner.far_answer = TR_OWNER_REMOTE;
    update(&t, 1);
    assert_int_equal(t.owner.update_done, 1);
    loop_fake_advance(t.loop, 10000);
    app_answer(&t, 0, 200, "");
    assert_int_equal(a.call.outcome, TR_ACTOR_ANSWERED);
    test_call_fini(&a);
    engine_test_fini(&t);
    (void)state;
}

static void a_call_held_by_the_round_goes_to_the_new_owner(void **state)
{
    struct engine_test t;
    struct test_call a;
    engine_test_init(&t);
    activate(&t, "far");
    t.owner.far_answer = TR_OWNER_LOCKED;
    update(&t, 1);
    test_call(&t, &a, "far");
    app_answer(&t, 0, 200, "");
    assert_int_equal(t.owner.update_done, 1);
    t.owner.far_answer = TR_OWNER_REMOTE;
    owner_release(&t);
    remote_answer(&t, 0, 0, "");
    test_call_fini(&a);
    engine_test_fini(&t);
    (void)state;
}

static void a_round_over_many_instances_finds_them_all(void **state)
{
    enum { ACTORS = 3000 };
    struct engine_test t;
    engine_test_init(&t);
    for (unsigned i = 0; i < ACTORS; i++) {
        char id[16];
        snprintf(id, sizeof(id), "%s%u", i % 3 == 0 ? "far" : "near", i);
        activate(&t, id);
    }
    t.app.deactivates_at_once = true;
    t.owner.far_answer = TR_OWNER_LOCKED;
    update(&t, 1);
    assert_int_equal(t.owner.update_done, 1);
    assert_int_equal(t.app.deactivations, ACTORS / 3);
    assert_int_equal(stats_of(&t).active, ACTORS - ACTORS / 3);
    lose(&t, 2);
    assert_int_equal(t.owner.lost_done, 2);
    assert_int_equal(stats_of(&t).active, 0);
    assert_int_equal(t.app.deactivations, ACTORS);
    engine_test_fini(&t);
    (void)state;
}

/* --- loss --- */

static void a_lost_stream_drains_and_deactivates_everything(void **state)
{
    struct engine_test t;
    struct test_call a;
    engine_test_init(&t);
    activate(&t, "near");
    test_call(&t, &a, "busy");
    lose(&t, 3);
    assert_int_equal(t.app.deactivations, 0); /* the type drains first */
    app_answer(&t, 0, 200, "");
    assert_int_equal(a.call.outcome, TR_ACTOR_ANSWERED);
    assert_int_equal(t.app.open_len, 2);
    app_answer(&t, 0, 200, "");
    assert_int_equal(t.owner.lost_done, 0);
    app_answer(&t, 0, 200, "");
    assert_int_equal(t.owner.lost_done, 3);
    test_call_fini(&a);
    engine_test_fini(&t);
    (void)state;
}

static void a_type_that_is_done_at_once_does_not_end_the_round_of_the_next(void **state)
{
    struct engine_test t;
    engine_test_init_bare(&t);
    const struct tr_actor_type_conf types[] = { engine_test_type("ape"), engine_test_type("cat") };
    engine_test_register(&t, types, 2);
    activate(&t, "near");
    lose(&t, 3); /* "ape" has no actor */
    assert_int_equal(t.owner.lost_done, 0);
    app_answer(&t, 0, 200, "");
    assert_int_equal(t.owner.lost_done, 3);
    engine_test_fini(&t);
    (void)state;
}

static void an_app_that_answers_no_deactivation_does_not_hold_up_the_round(void **state)
{
    struct engine_test t;
    engine_test_init(&t);
    activate(&t, "far1");
    activate(&t, "far2");
    activate(&t, "far3");
    t.owner.far_answer = TR_OWNER_REMOTE;
    update(&t, 1);
    loop_fake_advance(t.loop, 1500);
    app_answer(&t, 0, 200, "");
    /* Since the beginning, a millisecond less than twice the time: one answer was enough for another. */
    loop_fake_advance(t.loop, 2 * TR_ACTOR_SILENCE_MS - 1501);
    assert_int_equal(t.owner.update_done, 0);
    loop_fake_advance(t.loop, 1);
    assert_int_equal(t.owner.update_done, 1);
    assert_int_equal(stats_of(&t).active, 0);
    assert_int_equal(stats_of(&t).deactivated, 1);
    assert_int_equal(stats_of(&t).deactivated_failed, 2);
    activate(&t, "near");
    lose(&t, 2); /* it is told again in the next round */
    assert_true(app_open_is(&t, 0, TR_APP_DEACTIVATE, "near"));
    app_answer(&t, 0, 200, "");
    assert_int_equal(t.owner.lost_done, 2);
    engine_test_fini(&t);
    (void)state;
}

static void of_a_silent_apps_many_actors_none_is_told_any_more(void **state)
{
    struct engine_test t;
    char id[16];
    engine_test_init(&t);
    for (unsigned i = 0; i < TR_ACTOR_DEACTIVATIONS_MAX + 100; i++) {
        (void)snprintf(id, sizeof(id), "far%u", i);
        activate(&t, id);
    }
    t.owner.far_answer = TR_OWNER_REMOTE;
    update(&t, 1);
    loop_fake_advance(t.loop, TR_ACTOR_SILENCE_MS);
    assert_int_equal(t.app.deactivations, TR_ACTOR_DEACTIVATIONS_MAX);
    assert_int_equal(t.owner.update_done, 1);
    assert_int_equal(stats_of(&t).active, 0);
    engine_test_fini(&t);
    (void)state;
}

static void a_loss_takes_the_place_of_an_update(void **state)
{
    struct engine_test t;
    struct test_call a;
    engine_test_init(&t);
    activate(&t, "near");
    test_call(&t, &a, "far");
    t.owner.far_answer = TR_OWNER_LOCKED;
    update(&t, 1);
    loop_fake_advance(t.loop, 1000);
    lose(&t, 2);
    lose(&t, 3); /* the next attempt to connect failed too */
    loop_fake_advance(t.loop, 2000);
    t.app.deactivates_at_once = true;
    app_answer(&t, 0, 200, "");
    loop_fake_settle(t.loop);
    app_answer(&t, 0, 200, "");
    assert_int_equal(t.owner.update_done, 0);
    assert_int_equal(t.owner.lost_done, 3);
    assert_int_equal(stats_of(&t).active, 0);
    tr_actor_call_cancel(&a.call);
    loop_fake_settle(t.loop);
    test_call_fini(&a);
    engine_test_fini(&t);
    (void)state;
}

/* --- types --- */

static void what_is_hosted_is_reported(void **state)
{
    struct engine_test t;
    engine_test_init(&t);
    assert_string_equal(t.owner.types, "cat");
    const struct tr_actor_type_conf dog = engine_test_type("dog");
    engine_test_register(&t, &dog, 1);
    assert_string_equal(t.owner.types, "cat,dog");
    assert_true(tr_actor_is_hosted(t.engine, cat));
    tr_actor_unregister(t.engine, &cat, 1, false);
    assert_string_equal(t.owner.types, "dog");
    assert_false(tr_actor_is_hosted(t.engine, cat));
    assert_true(tr_actor_is_registered(t.engine));
    tr_actor_unregister(t.engine, &dog.type, 1, false);
    assert_string_equal(t.owner.types, "");
    assert_false(tr_actor_is_registered(t.engine)); /* calls are held again */
    engine_test_fini(&t);
    (void)state;
}

static void a_gone_apps_actors_vanish_without_a_call(void **state)
{
    struct engine_test t;
    struct test_call a, queued;
    engine_test_init(&t);
    const struct tr_actor_type_conf dog = engine_test_type("dog"); /* keeps the gate open */
    engine_test_register(&t, &dog, 1);
    activate(&t, "idle");
    test_call(&t, &a, "tom");
    test_call(&t, &queued, "tom");
    tr_actor_unregister(t.engine, &cat, 1, true);
    loop_fake_settle(t.loop);
    assert_int_equal(t.app.deactivations, 0);
    assert_int_equal(t.app.open_len, 0);
    assert_int_equal(stats_of(&t).active, 0);
    loop_fake_advance(t.loop, 1000);
    assert_string_equal(test_call_grpc(&a),
                        "13 : error invoke actor method: failed to create actor: actor type cat "
                        "not registered");
    test_call_fini(&a);
    test_call_fini(&queued);
    engine_test_fini(&t);
    (void)state;
}

static void an_unregistered_types_actors_are_deactivated_after_their_turns(void **state)
{
    struct engine_test t;
    struct test_call a;
    engine_test_init(&t);
    test_call(&t, &a, "tom");
    t.app.is_stubborn = true;
    tr_actor_unregister(t.engine, &cat, 1, false);
    loop_fake_settle(t.loop);
    assert_int_equal(t.app.deactivations, 0);
    app_answer(&t, 0, 200, "");
    assert_true(app_open_is(&t, 0, TR_APP_DEACTIVATE, "tom"));
    app_answer(&t, 0, 200, "");
    test_call_fini(&a);
    engine_test_fini(&t);
    (void)state;
}

static void without_a_store_hosting_is_suspended(void **state)
{
    struct engine_test t;
    struct test_call a, b;
    engine_test_init(&t);
    activate(&t, "tom");
    tr_actor_suspend(t.engine, true);
    loop_fake_settle(t.loop);
    assert_string_equal(t.owner.types, "");
    assert_true(app_open_is(&t, 0, TR_APP_DEACTIVATE, "tom"));
    app_answer(&t, 0, 200, "");
    test_call(&t, &a, "tom");
    assert_string_equal(test_call_grpc(&a),
                        "13 : error invoke actor method: failed to create actor: actor hosting is "
                        "suspended: no actor state store configured");
    tr_actor_suspend(t.engine, false);
    assert_string_equal(t.owner.types, "cat");
    test_call(&t, &b, "tom");
    app_answer(&t, 0, 200, "");
    test_call_fini(&a);
    test_call_fini(&b);
    engine_test_fini(&t);
    (void)state;
}

static void too_many_types_are_refused_whole(void **state)
{
    struct engine_test t;
    struct tr_err err;
    engine_test_init(&t);
    const struct tr_actor_host_conf conf = { .types_len = TR_ACTOR_TYPES_MAX,
                                             .app = &t.app.actors };
    assert_int_equal(tr_actor_register(t.engine, &conf, &err), TR_LIMIT);
    assert_string_equal(t.owner.types, "cat");
    engine_test_fini(&t);
    (void)state;
}

/* --- shutdown --- */

static void on_closed(void *ctx)
{
    ((struct engine_test *)ctx)->is_closed = true;
}

static void closing_cancels_calls_and_deactivates_what_is_active(void **state)
{
    struct engine_test t;
    struct test_call running, queued, held, remote, late;
    engine_test_init(&t);
    activate(&t, "idle");
    test_call(&t, &running, "tom");
    test_call(&t, &queued, "tom");
    t.owner.far_answer = TR_OWNER_NO_TABLE;
    test_call(&t, &held, "far");
    t.owner.answer = TR_OWNER_REMOTE;
    test_call(&t, &remote, "jerry");
    tr_actor_engine_close(t.engine, tr_loop_now_ms(t.loop) + 5000, on_closed, &t);
    loop_fake_settle(t.loop);
    assert_string_equal(test_call_http(&running),
                        "503 ERR_ACTOR_RUNTIME_CLOSED: actor runtime is closed");
    assert_string_equal(test_call_grpc(&queued), "14 : actor runtime is closed");
    test_call(&t, &late, "tom");
    assert_int_equal(late.call.err.code, TR_ACTOR_CLOSED);
    assert_int_equal(t.app.deactivations, 2);
    assert_int_equal(t.app.open_len, 2);
    app_answer(&t, 0, 200, "");
    assert_false(t.is_closed);
    app_answer(&t, 0, 200, "");
    assert_true(t.is_closed);
    test_call_fini(&running);
    test_call_fini(&queued);
    test_call_fini(&held);
    test_call_fini(&remote);
    test_call_fini(&late);
    engine_test_fini(&t);
    (void)state;
}

static void closing_does_not_wait_beyond_its_deadline(void **state)
{
    struct engine_test t;
    engine_test_init(&t);
    activate(&t, "tom");
    tr_actor_engine_close(t.engine, tr_loop_now_ms(t.loop) + 5000, on_closed, &t);
    loop_fake_advance(t.loop, 4999);
    assert_false(t.is_closed);
    loop_fake_advance(t.loop, 1);
    assert_true(t.is_closed);
    engine_test_fini(&t);
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_update_with_nothing_to_do_is_acknowledged_later),
        cmocka_unit_test(a_turn_that_ends_in_time_is_undisturbed_and_its_actor_goes_after_it),
        cmocka_unit_test(actors_that_stay_are_not_told),
        cmocka_unit_test(a_turn_beyond_the_drain_time_is_aborted_and_tried_again_elsewhere),
        cmocka_unit_test(a_failure_of_the_app_that_crosses_the_abort_is_final),
        cmocka_unit_test(the_drain_time_is_the_types_else_the_hosts_and_fits_the_round),
        cmocka_unit_test(types_that_do_not_change_are_undisturbed),
        cmocka_unit_test(a_call_held_by_the_round_goes_to_the_new_owner),
        cmocka_unit_test(a_round_over_many_instances_finds_them_all),
        cmocka_unit_test(a_lost_stream_drains_and_deactivates_everything),
        cmocka_unit_test(a_type_that_is_done_at_once_does_not_end_the_round_of_the_next),
        cmocka_unit_test(an_app_that_answers_no_deactivation_does_not_hold_up_the_round),
        cmocka_unit_test(of_a_silent_apps_many_actors_none_is_told_any_more),
        cmocka_unit_test(a_loss_takes_the_place_of_an_update),
        cmocka_unit_test(what_is_hosted_is_reported),
        cmocka_unit_test(a_gone_apps_actors_vanish_without_a_call),
        cmocka_unit_test(an_unregistered_types_actors_are_deactivated_after_their_turns),
        cmocka_unit_test(without_a_store_hosting_is_suspended),
        cmocka_unit_test(too_many_types_are_refused_whole),
        cmocka_unit_test(closing_cancels_calls_and_deactivates_what_is_active),
        cmocka_unit_test(closing_does_not_wait_beyond_its_deadline),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
