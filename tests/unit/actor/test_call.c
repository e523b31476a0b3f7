/* The way of a call: turns, reentrancy, routing, retries, failures, cancellation, deadlines, the gate. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>

#include "runtime/base/rng.h"
#include "tests/unit/actor/engine_test.h"

#define assert_slice(slice, text) assert_true(tr_slice_eq_str((slice), (text)))

/* --- on this host --- */

static void a_call_runs_a_turn_and_returns_the_answer(void **state)
{
    struct engine_test t;
    struct test_call a;
    engine_test_init(&t);
    test_call_init(&a, "cat", "tom", "feed");
    a.call.body = TR_SLICE_LIT("fish");
    a.call.content_type = TR_SLICE_LIT("text/plain");
    a.call.query = TR_SLICE_LIT("a=1");
    test_call_start(&t, &a);
    assert_true(app_open_is(&t, 0, TR_APP_METHOD, "tom"));
    assert_slice(app_open(&t, 0)->actor_type, "cat");
    assert_slice(app_open(&t, 0)->name, "feed");
    assert_slice(app_open(&t, 0)->body, "fish");
    assert_slice(app_open(&t, 0)->content_type, "text/plain");
    assert_slice(app_open(&t, 0)->query, "a=1");
    assert_false(app_open(&t, 0)->is_remote);
    app_answer(&t, 0, 200, "thanks");
    assert_int_equal(a.call.outcome, TR_ACTOR_ANSWERED);
    assert_int_equal(a.call.status, 200);
    assert_slice(tr_buf_slice(&a.call.body_out), "thanks");
    assert_true(tr_actor_is_active(t.engine, tr_slice_str("cat"), tr_slice_str("tom")));
    test_call_fini(&a);
    engine_test_fini(&t);
    (void)state;
}

static void turns_of_one_actor_run_one_at_a_time_in_order(void **state)
{
    struct engine_test t;
    struct test_call a, b, c;
    struct tr_actor_type_stats stats;
    engine_test_init(&t);
    test_call(&t, &a, "tom");
    test_call(&t, &b, "tom");
    test_call(&t, &c, "tom");
    assert_int_equal(t.app.open_len, 1);
    assert_true(tr_actor_type_stats(t.engine, 0, &stats));
    assert_int_equal(stats.pending_calls, 2);
    assert_int_equal(stats.active, 1);
    app_answer(&t, 0, 200, "1");
    assert_int_equal(a.done, 1);
    assert_int_equal(t.app.open_len, 1);
    app_answer(&t, 0, 200, "2");
    assert_int_equal(b.done, 1);
    assert_int_equal(c.done, 0);
    app_answer(&t, 0, 200, "3");
    assert_slice(tr_buf_slice(&c.call.body_out), "3");
    test_call_fini(&a);
    test_call_fini(&b);
    test_call_fini(&c);
    engine_test_fini(&t);
    (void)state;
}

static void different_actors_run_side_by_side(void **state)
{
    struct engine_test t;
    struct test_call a, b;
    engine_test_init(&t);
    test_call(&t, &a, "tom");
    test_call(&t, &b, "kitty");
    assert_int_equal(t.app.open_len, 2);
    app_answer(&t, 1, 200, "");
    assert_int_equal(b.done, 1);
    assert_int_equal(a.done, 0);
    app_answer(&t, 0, 200, "");
    test_call_fini(&a);
    test_call_fini(&b);
    engine_test_fini(&t);
    (void)state;
}

static void init_reentrant(struct engine_test *t, uint32_t depth_max)
{
    engine_test_init_bare(t);
    struct tr_actor_type_conf type = engine_test_type("cat");
    type.is_reentrant = true;
    type.depth_max = depth_max;
    engine_test_register(t, &type, 1);
}

static void without_reentrancy_no_chain_id_reaches_the_app(void **state)
{
    struct engine_test t;
    struct test_call a;
    engine_test_init(&t);
    test_call_init(&a, "cat", "tom", "feed");
    a.call.chain_id = TR_SLICE_LIT("chain-1"); /* travels as an ordinary header, if at all */
    test_call_start(&t, &a);
    assert_int_equal(app_open(&t, 0)->chain_id.len, 0);
    app_answer(&t, 0, 200, "");
    test_call_fini(&a);
    engine_test_fini(&t);
    (void)state;
}

static void a_call_without_a_chain_gets_a_fresh_one_and_may_call_itself(void **state)
{
    struct engine_test t;
    struct test_call a, inner, other;
    char chain[64] = "";
    init_reentrant(&t, 32);
    test_call(&t, &a, "tom");
    assert_int_equal(app_open(&t, 0)->chain_id.len, TR_UUID_LEN);
    memcpy(chain, app_open(&t, 0)->chain_id.ptr, TR_UUID_LEN);
    test_call(&t, &other, "tom");
    test_call_init(&inner, "cat", "tom", "purr");
    inner.call.chain_id = tr_slice_str(chain);
    test_call_start(&t, &inner);
    assert_int_equal(t.app.open_len, 2); /* the inner one beside the outer one; the other waits */
    assert_slice(app_open(&t, 1)->name, "purr");
    assert_slice(app_open(&t, 1)->chain_id, chain);
    app_answer(&t, 1, 200, "");
    app_answer(&t, 0, 200, "");
    assert_int_equal(t.app.open_len, 1);
    assert_true(memcmp(app_open(&t, 0)->chain_id.ptr, chain, TR_UUID_LEN) != 0);
    app_answer(&t, 0, 200, "");
    test_call_fini(&a);
    test_call_fini(&inner);
    test_call_fini(&other);
    engine_test_fini(&t);
    (void)state;
}

static void a_chain_that_is_too_deep_fails_under_its_own_name(void **state)
{
    struct engine_test t;
    struct test_call c[3];
    init_reentrant(&t, 2);
    for (size_t i = 0; i < 3; i++) {
        test_call_init(&c[i], "cat", "tom", "feed");
        c[i].call.chain_id = TR_SLICE_LIT("chain");
        test_call_start(&t, &c[i]);
    }
    assert_string_equal(test_call_http(&c[2]),
                        "500 ERR_ACTOR_STACK_DEPTH: maximum stack depth exceeded");
    assert_string_equal(test_call_grpc(&c[2]), "8 : maximum stack depth exceeded");
    app_answer(&t, 0, 200, "");
    app_answer(&t, 0, 200, "");
    for (size_t i = 0; i < 3; i++) {
        test_call_fini(&c[i]);
    }
    engine_test_fini(&t);
    (void)state;
}

static void a_full_queue_refuses_the_newcomer(void **state)
{
    struct engine_test t;
    struct test_call a, late;
    struct test_call *many = calloc(TR_TURN_WAITING_MAX, sizeof(*many));
    engine_test_init(&t);
    test_call(&t, &a, "tom");
    for (size_t i = 0; i < TR_TURN_WAITING_MAX; i++) {
        test_call_init(&many[i], "cat", "tom", "feed");
        tr_actor_call_start(t.engine, &many[i].call);
    }
    test_call(&t, &late, "tom");
    assert_string_equal(test_call_grpc(&late), "8 : too many calls wait for actor 'cat/tom'");
    for (size_t i = 0; i < TR_TURN_WAITING_MAX; i++) {
        tr_actor_call_cancel(&many[i].call);
    }
    loop_fake_settle(t.loop);
    for (size_t i = 0; i < TR_TURN_WAITING_MAX; i++) {
        test_call_fini(&many[i]);
    }
    app_answer(&t, 0, 200, "");
    test_call_fini(&a);
    test_call_fini(&late);
    engine_test_fini(&t);
    free(many);
    (void)state;
}

/* --- failures of the app --- */

static void what_the_app_says_is_final_and_told_in_daprs_words(void **state)
{
    struct engine_test t;
    struct test_call a;
    engine_test_init(&t);
    test_call(&t, &a, "tom");
    app_answer(&t, 0, 500, "boom");
    assert_int_equal(a.call.outcome, TR_ACTOR_APP_FAILED);
    assert_int_equal(a.call.status, 500);
    assert_slice(tr_buf_slice(&a.call.body_out), "boom");
    assert_string_equal(test_call_http(&a),
                        "500 ERR_ACTOR_INVOKE_METHOD: error invoke actor method: "
                        "error from actor service: (500) boom");
    assert_string_equal(test_call_grpc(&a),
                        "13 : error invoke actor method: error from actor service: (500) boom");
    test_call_fini(&a);
    engine_test_fini(&t);
    (void)state;
}

static void a_status_of_the_channel_passes_through(void **state)
{
    struct engine_test t;
    struct test_call a, b;
    engine_test_init(&t);
    test_call(&t, &a, "tom");
    app_fail(&t, 0, TR_INTERNAL, "app is not in a healthy state");
    assert_string_equal(test_call_http(&a),
                        "500 ERR_ACTOR_INVOKE_METHOD: error invoke actor method: rpc error: "
                        "code = Internal desc = app is not in a healthy state");
    assert_string_equal(test_call_grpc(&a), "13 : app is not in a healthy state");
    test_call(&t, &b, "tom");
    app_fail(&t, 0, TR_ACTOR_INVOKE, "actor host is not connected");
    assert_string_equal(
        test_call_http(&b),
        "500 ERR_ACTOR_INVOKE_METHOD: error invoke actor method: actor host is not connected");
    assert_string_equal(test_call_grpc(&b),
                        "13 : error invoke actor method: actor host is not connected");
    test_call_fini(&a);
    test_call_fini(&b);
    engine_test_fini(&t);
    (void)state;
}

static void an_answer_with_the_cancel_header_fails_a_method(void **state)
{
    struct engine_test t;
    struct test_call a, b;
    engine_test_init(&t);
    test_call(&t, &a, "tom");
    tr_http_headers_add_str(&app_open(&t, 0)->headers_out, "X-DaprReminderCancel", " Yes ");
    app_answer(&t, 0, 200, "");
    assert_string_equal(test_call_grpc(&a),
                        "13 : error invoke actor method: reminder has been canceled");
    test_call(&t, &b, "tom");
    tr_http_headers_add_str(&app_open(&t, 0)->headers_out, "X-DaprReminderCancel", "true");
    tr_http_headers_add_str(&app_open(&t, 0)->headers_out, "X-DaprErrorResponseHeader", "");
    app_answer(&t, 0, 200, "details");
    assert_int_equal(b.call.outcome, TR_ACTOR_ANSWERED);
    test_call_fini(&a);
    test_call_fini(&b);
    engine_test_fini(&t);
    (void)state;
}

static void a_type_that_is_not_hosted_is_named(void **state)
{
    struct engine_test t;
    struct test_call a;
    engine_test_init(&t);
    test_call_init(&a, "dog", "rex", "bark");
    test_call_start(&t, &a);
    assert_string_equal(test_call_grpc(&a),
                        "13 : error invoke actor method: failed to create actor: actor type dog "
                        "not registered");
    test_call_fini(&a);
    engine_test_fini(&t);
    (void)state;
}

/* --- routing --- */

static void without_an_owner_a_call_is_tried_six_times_a_second_apart(void **state)
{
    struct engine_test t;
    struct test_call a;
    engine_test_init(&t);
    t.owner.answer = TR_OWNER_NONE;
    test_call(&t, &a, "tom");
    loop_fake_advance(t.loop, 4999);
    assert_int_equal(a.done, 0);
    loop_fake_advance(t.loop, 1);
    assert_string_equal(
        test_call_http(&a),
        "500 ERR_ACTOR_INVOKE_METHOD: error invoke actor method: failed to lookup actor: api "
        "error: "
        "code = FailedPrecondition desc = did not find address for actor 'cat/tom'");
    assert_string_equal(test_call_grpc(&a),
                        "9 : failed to lookup actor: api error: code = FailedPrecondition desc = "
                        "did not find address for actor 'cat/tom'");
    test_call_fini(&a);
    engine_test_fini(&t);
    (void)state;
}

static void an_owner_that_turns_up_between_attempts_gets_the_call(void **state)
{
    struct engine_test t;
    struct test_call a;
    engine_test_init(&t);
    t.owner.answer = TR_OWNER_NONE;
    test_call(&t, &a, "tom");
    loop_fake_advance(t.loop, 2500);
    t.owner.answer = TR_OWNER_LOCAL;
    loop_fake_advance(t.loop, 500);
    app_answer(&t, 0, 200, "");
    assert_int_equal(a.call.outcome, TR_ACTOR_ANSWERED);
    test_call_fini(&a);
    engine_test_fini(&t);
    (void)state;
}

static void a_caller_with_a_policy_gets_the_first_failure(void **state)
{
    struct engine_test t;
    struct test_call a;
    engine_test_init(&t);
    t.owner.answer = TR_OWNER_NONE;
    test_call_init(&a, "cat", "tom", "feed");
    a.call.has_policy = true;
    test_call_start(&t, &a);
    assert_int_equal(a.done, 1);
    test_call_fini(&a);
    engine_test_fini(&t);
    (void)state;
}

static void a_call_to_another_host_returns_what_that_says(void **state)
{
    struct engine_test t;
    struct test_call a;
    engine_test_init(&t);
    t.owner.answer = TR_OWNER_REMOTE;
    test_call(&t, &a, "tom");
    assert_int_equal(t.remote.open_len, 1);
    assert_slice(t.remote.open[0]->address, "10.0.0.2:50002");
    assert_slice(t.remote.open[0]->app_id, "peer");
    assert_ptr_equal(t.remote.open[0]->call, &a.call);
    remote_answer(&t, 0, 0, "meow");
    assert_int_equal(a.call.outcome, TR_ACTOR_ANSWERED);
    assert_slice(tr_buf_slice(&a.call.body_out), "meow");
    test_call_fini(&a);
    engine_test_fini(&t);
    (void)state;
}

static void a_peers_failure_passes_through_with_its_status(void **state)
{
    struct engine_test t;
    struct test_call a;
    engine_test_init(&t);
    t.owner.answer = TR_OWNER_REMOTE;
    test_call(&t, &a, "tom");
    remote_answer(&t, 0, 8, "maximum stack depth exceeded");
    assert_string_equal(test_call_http(&a),
                        "500 ERR_ACTOR_INVOKE_METHOD: error invoke actor method: rpc error: "
                        "code = ResourceExhausted desc = maximum stack depth exceeded");
    assert_string_equal(test_call_grpc(&a), "8 : maximum stack depth exceeded");
    test_call_fini(&a);
    engine_test_fini(&t);
    (void)state;
}

static void assert_remote_failure_is_retried(int status, const char *message)
{
    struct engine_test t;
    struct test_call a;
    engine_test_init(&t);
    t.owner.answer = TR_OWNER_REMOTE;
    test_call(&t, &a, "tom");
    remote_answer(&t, 0, status, message);
    assert_int_equal(a.done, 0);
    loop_fake_advance(t.loop, 1000);
    remote_answer(&t, 0, 0, "");
    assert_int_equal(a.call.outcome, TR_ACTOR_ANSWERED);
    test_call_fini(&a);
    engine_test_fini(&t);
}

static void a_peer_that_is_away_or_no_longer_owner_is_tried_again(void **state)
{
    assert_remote_failure_is_retried(14, "connection refused");
    assert_remote_failure_is_retried(13, "error invoke actor method: remote actor moved");
    assert_remote_failure_is_retried(13,
                                     "error invoke actor method: x: placement is disseminating");
    (void)state;
}

static void a_peer_that_stays_away_is_named_with_the_number_of_retries(void **state)
{
    struct engine_test t;
    struct test_call a;
    engine_test_init(&t);
    t.owner.answer = TR_OWNER_REMOTE;
    test_call(&t, &a, "tom");
    for (unsigned i = 0; i < TR_ACTOR_ATTEMPTS_MAX; i++) {
        remote_answer(&t, 0, 14, "connection refused");
        loop_fake_advance(t.loop, 1000);
    }
    assert_string_equal(test_call_grpc(&a),
                        "14 : failed to invoke target 10.0.0.2:50002 after 5 retries. Error: rpc "
                        "error: code = Unavailable desc = connection refused");
    assert_string_equal(
        test_call_http(&a),
        "500 ERR_ACTOR_INVOKE_METHOD: error invoke actor method: failed to invoke target "
        "10.0.0.2:50002 after 5 retries. Error: rpc error: code = Unavailable desc = connection "
        "refused");
    test_call_fini(&a);
    engine_test_fini(&t);
    (void)state;
}

static void a_final_failure_after_a_retry_is_told_as_if_it_were_the_first(void **state)
{
    struct engine_test t;
    struct test_call a;
    engine_test_init(&t);
    t.owner.answer = TR_OWNER_REMOTE;
    test_call(&t, &a, "tom");
    remote_answer(&t, 0, 14, "connection refused");
    loop_fake_advance(t.loop, 1000);
    remote_answer(&t, 0, 7, "no");
    assert_string_equal(test_call_http(&a),
                        "500 ERR_ACTOR_INVOKE_METHOD: error invoke actor method: rpc error: "
                        "code = PermissionDenied desc = no");
    test_call_fini(&a);
    engine_test_fini(&t);
    (void)state;
}

static void a_call_from_another_sidecar_is_not_passed_on(void **state)
{
    struct engine_test t;
    struct test_call a, b;
    engine_test_init(&t);
    test_call_init(&a, "cat", "tom", "feed");
    a.call.is_internal = true;
    test_call_start(&t, &a);
    assert_true(app_open(&t, 0)->is_remote);
    app_answer(&t, 0, 200, "");
    t.owner.answer = TR_OWNER_REMOTE;
    test_call_init(&b, "cat", "tom", "feed");
    b.call.is_internal = true;
    test_call_start(&t, &b);
    assert_int_equal(t.remote.started, 0);
    assert_string_equal(test_call_grpc(&b), "13 : error invoke actor method: remote actor moved");
    test_call_fini(&a);
    test_call_fini(&b);
    engine_test_fini(&t);
    (void)state;
}

static void calls_are_held_while_placement_does_not_know(void **state)
{
    const enum tr_owner held[] = { TR_OWNER_NO_TABLE, TR_OWNER_LOCKED };
    for (size_t i = 0; i < TR_ARRAY_LEN(held); i++) {
        struct engine_test t;
        struct test_call a, b;
        engine_test_init(&t);
        t.owner.answer = held[i];
        test_call(&t, &a, "tom");
        test_call(&t, &b, "tom");
        loop_fake_advance(t.loop, 100000);
        assert_int_equal(t.app.open_len, 0);
        t.owner.answer = TR_OWNER_LOCAL;
        owner_release(&t);
        app_answer(&t, 0, 200, "");
        assert_int_equal(a.done, 1); /* in the order of their start */
        app_answer(&t, 0, 200, "");
        test_call_fini(&a);
        test_call_fini(&b);
        engine_test_fini(&t);
    }
    (void)state;
}

/* --- cancellation --- */

static void assert_canceled(struct test_call *c)
{
    assert_int_equal(c->done, 1);
    assert_int_equal(c->call.outcome, TR_ACTOR_FAILED);
    assert_int_equal(c->call.err.code, TR_CANCELED);
    test_call_fini(c);
}

static void cancel(struct engine_test *t, struct test_call *c)
{
    tr_actor_call_cancel(&c->call);
    assert_int_equal(c->done, 0); /* never from inside */
    loop_fake_settle(t->loop);
}

static void a_canceled_turn_is_aborted_and_frees_the_actor(void **state)
{
    struct engine_test t;
    struct test_call a, b;
    engine_test_init(&t);
    test_call(&t, &a, "tom");
    test_call(&t, &b, "tom");
    cancel(&t, &a);
    assert_canceled(&a);
    assert_int_equal(t.app.open_len, 1);
    assert_int_equal(t.app.started, 2);
    app_answer(&t, 0, 200, "");
    test_call_fini(&b);
    engine_test_fini(&t);
    (void)state;
}

static void a_canceled_waiter_never_reaches_the_app(void **state)
{
    struct engine_test t;
    struct test_call a, b, c;
    struct tr_actor_type_stats stats;
    engine_test_init(&t);
    test_call(&t, &a, "tom");
    test_call(&t, &b, "tom");
    test_call(&t, &c, "tom");
    cancel(&t, &b);
    assert_canceled(&b);
    assert_true(tr_actor_type_stats(t.engine, 0, &stats));
    assert_int_equal(stats.pending_calls, 1);
    assert_int_equal(t.app.open_len, 1);
    app_answer(&t, 0, 200, "");
    app_answer(&t, 0, 200, "");
    assert_int_equal(t.app.started, 2);
    test_call_fini(&a);
    test_call_fini(&c);
    engine_test_fini(&t);
    (void)state;
}

static void cancellation_ends_every_other_wait(void **state)
{
    struct engine_test t;
    struct test_call held, paused, remote;
    engine_test_init(&t);
    t.owner.answer = TR_OWNER_NO_TABLE;
    test_call(&t, &held, "a");
    t.owner.answer = TR_OWNER_NONE;
    test_call(&t, &paused, "b");
    t.owner.answer = TR_OWNER_REMOTE;
    test_call(&t, &remote, "c");
    cancel(&t, &held);
    cancel(&t, &paused);
    cancel(&t, &remote);
    assert_canceled(&held);
    assert_canceled(&paused);
    assert_canceled(&remote);
    assert_int_equal(tr_actor_calls(t.engine), 0);
    engine_test_fini(&t);
    (void)state;
}

static void an_answer_that_comes_in_spite_of_the_cancellation_counts(void **state)
{
    struct engine_test t;
    struct test_call a;
    engine_test_init(&t);
    t.app.is_stubborn = true;
    test_call(&t, &a, "tom");
    cancel(&t, &a);
    assert_int_equal(a.done, 0);
    app_answer(&t, 0, 200, "too late");
    assert_int_equal(a.call.outcome, TR_ACTOR_ANSWERED);
    test_call_fini(&a);
    engine_test_fini(&t);
    (void)state;
}

static void the_deadline_ends_every_wait(void **state)
{
    struct engine_test t;
    struct test_call c[5];
    const enum tr_owner owners[] = { TR_OWNER_LOCAL, TR_OWNER_LOCAL, TR_OWNER_NO_TABLE,
                                     TR_OWNER_NONE, TR_OWNER_REMOTE };
    engine_test_init(&t);
    for (size_t i = 0; i < 5; i++) {
        t.owner.answer = owners[i];
        test_call_init(&c[i], "cat", "tom", "feed");
        c[i].call.deadline_ms = tr_loop_now_ms(t.loop) + 700;
        test_call_start(&t, &c[i]);
    }
    loop_fake_advance(t.loop, 699);
    assert_int_equal(tr_actor_calls(t.engine), 5);
    loop_fake_advance(t.loop, 1);
    for (size_t i = 0; i < 5; i++) {
        assert_int_equal(c[i].call.err.code, TR_DEADLINE);
        test_call_fini(&c[i]);
    }
    engine_test_fini(&t);
    (void)state;
}

/* --- the gate --- */

static void calls_wait_until_the_app_has_registered(void **state)
{
    struct engine_test t;
    struct test_call a, gone;
    struct tr_err err;
    engine_test_init_bare(&t);
    assert_int_equal(tr_actor_gate(t.engine, &err), TR_ACTOR_GATE_SHUT);
    test_call(&t, &a, "tom");
    test_call(&t, &gone, "tom");
    loop_fake_advance(t.loop, 100000);
    cancel(&t, &gone);
    assert_canceled(&gone);
    assert_int_equal(t.app.open_len, 0);
    const struct tr_actor_type_conf type = engine_test_type("cat");
    engine_test_register(&t, &type, 1);
    assert_int_equal(tr_actor_gate(t.engine, &err), TR_ACTOR_GATE_OPEN);
    app_answer(&t, 0, 200, "");
    test_call_fini(&a);
    engine_test_fini(&t);
    (void)state;
}

struct test_wait {
    struct tr_actor_wait wait;
    unsigned done;
};

static void on_wait_done(struct tr_actor_wait *wait)
{
    TR_CONTAINER_OF(wait, struct test_wait, wait)->done++;
}

static void the_gate_can_be_waited_for(void **state)
{
    struct engine_test t;
    struct test_wait opened = { .wait.cb = on_wait_done };
    struct test_wait late = { .wait.cb = on_wait_done };
    struct test_wait canceled = { .wait.cb = on_wait_done };
    engine_test_init_bare(&t);
    late.wait.deadline_ms = tr_loop_now_ms(t.loop) + 10;
    tr_actor_wait_start(t.engine, &opened.wait);
    tr_actor_wait_start(t.engine, &late.wait);
    tr_actor_wait_start(t.engine, &canceled.wait);
    loop_fake_advance(t.loop, 10);
    assert_int_equal(late.done, 1);
    assert_int_equal(late.wait.err.code, TR_DEADLINE);
    tr_actor_wait_cancel(&canceled.wait);
    loop_fake_settle(t.loop);
    assert_int_equal(canceled.wait.err.code, TR_CANCELED);
    assert_int_equal(opened.done, 0);
    engine_test_register(&t, NULL, 0); /* no types at all is a registration */
    assert_int_equal(opened.done, 1);
    assert_int_equal(opened.wait.err.code, TR_OK);
    tr_actor_wait_start(t.engine, &opened.wait);
    assert_int_equal(opened.done, 1);
    loop_fake_settle(t.loop);
    assert_int_equal(opened.done, 2);
    engine_test_fini(&t);
    (void)state;
}

static void without_placement_every_call_fails_at_once(void **state)
{
    struct engine_test t;
    struct test_call a;
    engine_test_init_bare(&t);
    struct tr_actor_engine *other = NULL;
    t.conf.is_disabled = true;
    other = tr_actor_engine_new(&t.conf);
    test_call_init(&a, "cat", "tom", "feed");
    tr_actor_call_start(other, &a.call);
    loop_fake_settle(t.loop);
    assert_string_equal(test_call_http(&a),
                        "400 ERR_ACTOR_NO_PLACEMENT: placement service is not configured");
    assert_string_equal(test_call_grpc(&a), "14 : placement service is not configured");
    test_call_fini(&a);
    tr_actor_engine_free(&other);
    engine_test_fini(&t);
    (void)state;
}

static void a_call_can_be_started_again_from_its_callback(void **state)
{
    struct engine_test t;
    struct test_call a;
    engine_test_init(&t);
    test_call(&t, &a, "tom");
    app_answer(&t, 0, 200, "1");
    tr_actor_call_fini(&a.call);
    tr_actor_call_start(t.engine, &a.call);
    loop_fake_settle(t.loop);
    app_answer(&t, 0, 200, "2");
    assert_int_equal(a.done, 2);
    assert_slice(tr_buf_slice(&a.call.body_out), "2");
    tr_actor_call_fini(&a.call);
    engine_test_fini(&t);
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_call_runs_a_turn_and_returns_the_answer),
        cmocka_unit_test(turns_of_one_actor_run_one_at_a_time_in_order),
        cmocka_unit_test(different_actors_run_side_by_side),
        cmocka_unit_test(without_reentrancy_no_chain_id_reaches_the_app),
        cmocka_unit_test(a_call_without_a_chain_gets_a_fresh_one_and_may_call_itself),
        cmocka_unit_test(a_chain_that_is_too_deep_fails_under_its_own_name),
        cmocka_unit_test(a_full_queue_refuses_the_newcomer),
        cmocka_unit_test(what_the_app_says_is_final_and_told_in_daprs_words),
        cmocka_unit_test(a_status_of_the_channel_passes_through),
        cmocka_unit_test(an_answer_with_the_cancel_header_fails_a_method),
        cmocka_unit_test(a_type_that_is_not_hosted_is_named),
        cmocka_unit_test(without_an_owner_a_call_is_tried_six_times_a_second_apart),
        cmocka_unit_test(an_owner_that_turns_up_between_attempts_gets_the_call),
        cmocka_unit_test(a_caller_with_a_policy_gets_the_first_failure),
        cmocka_unit_test(a_call_to_another_host_returns_what_that_says),
        cmocka_unit_test(a_peers_failure_passes_through_with_its_status),
        cmocka_unit_test(a_peer_that_is_away_or_no_longer_owner_is_tried_again),
        cmocka_unit_test(a_peer_that_stays_away_is_named_with_the_number_of_retries),
        cmocka_unit_test(a_final_failure_after_a_retry_is_told_as_if_it_were_the_first),
        cmocka_unit_test(a_call_from_another_sidecar_is_not_passed_on),
        cmocka_unit_test(calls_are_held_while_placement_does_not_know),
        cmocka_unit_test(a_canceled_turn_is_aborted_and_frees_the_actor),
        cmocka_unit_test(a_canceled_waiter_never_reaches_the_app),
        cmocka_unit_test(cancellation_ends_every_other_wait),
        cmocka_unit_test(an_answer_that_comes_in_spite_of_the_cancellation_counts),
        cmocka_unit_test(the_deadline_ends_every_wait),
        cmocka_unit_test(calls_wait_until_the_app_has_registered),
        cmocka_unit_test(the_gate_can_be_waited_for),
        cmocka_unit_test(without_placement_every_call_fails_at_once),
        cmocka_unit_test(a_call_can_be_started_again_from_its_callback),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
