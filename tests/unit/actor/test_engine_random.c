/*
 * The whole engine under a random course of events: calls, cancellations, answers, failures, rounds, losses of
 * placement, types that come and go, timers, state operations and time. After every step no actor runs two turns at a time, or a
 * turn beside its deactivation; in the end every operation has called back exactly once and nothing is left.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "runtime/base/rng.h"
#include "state/store.h"
#include "tests/unit/actor/engine_test.h"

#define CALLS 40
#define STEPS 600
#define SEEDS 200

static const char *const ids[] = { "near1", "near2", "near3", "far1", "far2", "far3" };

enum phase {
    PHASE_STEADY,
    PHASE_UPDATING,  /* on_update was given, its answer is awaited */
    PHASE_LOSING,    /* on_lost was given */
    PHASE_UNLOCKING, /* acknowledged; the unlock is to come */
};

struct world {
    uint64_t seed;
    struct engine_test t;
    struct tr_rng rng;
    struct tr_store *store;
    struct test_call calls[CALLS];
    bool is_open[CALLS];
    size_t ended;
    struct tr_actor_state_get gets[8];
    enum phase phase;
    uint64_t token;
    bool is_registered;
};

static size_t below(struct world *w, size_t bound)
{
    return (size_t)tr_rng_below(&w->rng, bound);
}

/* --- invariants --- */

static void check_turns(struct world *w)
{
    struct fake_app *app = &w->t.app;
    for (size_t i = 0; i < app->open_len; i++) {
        for (size_t j = i + 1; j < app->open_len; j++) {
            const struct tr_app_call *a = app->open[i];
            const struct tr_app_call *b = app->open[j];
            const bool is_one_chain = a->chain_id.len > 0 && tr_slice_eq(a->chain_id, b->chain_id);
            if (tr_slice_eq(a->actor_id, b->actor_id) && !is_one_chain) {
                fail_msg("seed %llu: two turns of '%.*s' at a time", (unsigned long long)w->seed,
                         TR_SLICE_ARG(a->actor_id));
            }
        }
    }
}

/* --- steps --- */

static void step_start_call(struct world *w)
{
    const size_t i = below(w, CALLS);
    if (w->is_open[i]) {
        return;
    }
    struct test_call *c = &w->calls[i];
    test_call_init(c, "cat", ids[below(w, TR_ARRAY_LEN(ids))], "feed");
    if (below(w, 4) == 0) {
        c->call.chain_id = below(w, 2) == 0 ? TR_SLICE_LIT("red") : TR_SLICE_LIT("blue");
    }
    c->call.is_internal = below(w, 5) == 0;
    c->call.has_policy = below(w, 5) == 0;
    c->call.deadline_ms = below(w, 3) == 0 ? tr_loop_now_ms(w->t.loop) + below(w, 8000) : 0;
    w->is_open[i] = true;
    tr_actor_call_start(w->t.engine, &c->call);
    assert_int_equal(c->done, 0);
}

static void collect_calls(struct world *w)
{
    for (size_t i = 0; i < CALLS; i++) {
        if (w->is_open[i] && w->calls[i].done > 0) {
            test_call_fini(&w->calls[i]);
            w->is_open[i] = false;
            w->ended++;
        }
    }
}

static void step_cancel_call(struct world *w)
{
    const size_t i = below(w, CALLS);
    if (w->is_open[i] && w->calls[i].done == 0) {
        tr_actor_call_cancel(&w->calls[i].call);
    }
}

static void step_answer(struct world *w)
{
    if (w->t.app.open_len == 0) {
        return;
    }
    const size_t i = below(w, w->t.app.open_len);
    switch (below(w, 5)) {
    case 0:
        app_answer(&w->t, i, 500, "no");
        break;
    case 1:
        app_fail(&w->t, i, TR_INTERNAL, "app is not in a healthy state");
        break;
    default:
        app_answer(&w->t, i, 200, "yes");
        break;
    }
}

static void step_answer_remote(struct world *w)
{
    static const int statuses[] = { 0, 0, 0, 14, 13, 8 };
    if (w->t.remote.open_len > 0) {
        remote_answer(&w->t, below(w, w->t.remote.open_len),
                      statuses[below(w, TR_ARRAY_LEN(statuses))],
                      below(w, 2) == 0 ? "error invoke actor method: remote actor moved" : "no");
    }
}

static void on_get(struct tr_actor_state_get *get)
{
    tr_buf_fini(&get->value);
    get->key = tr_slice(NULL, 0); /* says that it is free */
}

static void step_state(struct world *w)
{
    struct tr_actor_state_get *get = &w->gets[below(w, TR_ARRAY_LEN(w->gets))];
    if (get->key.len > 0) {
        tr_actor_state_get_cancel(get);
        return;
    }
    *get = (struct tr_actor_state_get){ .actor_type = TR_SLICE_LIT("cat"),
                                        .actor_id = tr_slice_str(ids[below(w, TR_ARRAY_LEN(ids))]),
                                        .key = TR_SLICE_LIT("k"),
                                        .cb = on_get };
    tr_actor_state_get_start(w->t.engine, get);
}

static void step_timer(struct world *w)
{
    const struct tr_slice id = tr_slice_str(ids[below(w, TR_ARRAY_LEN(ids))]);
    if (below(w, 2) == 0) {
        tr_actor_timer_delete(w->t.engine, tr_slice_str("cat"), id, tr_slice_str("t"));
        return;
    }
    const struct tr_actor_timer_conf conf = { .actor_type = TR_SLICE_LIT("cat"),
                                              .actor_id = id,
                                              .name = TR_SLICE_LIT("t"),
                                              .due_time = TR_SLICE_LIT("300ms"),
                                              .period = below(w, 2) == 0 ? TR_SLICE_LIT("1s")
                                                                         : TR_SLICE_LIT("") };
    struct tr_err err;
    if (tr_actor_timer_create(w->t.engine, &conf, &err) != TR_OK) {
        assert_int_equal(err.code, TR_ACTOR_TIMER_CREATE); /* not hosted just now */
    }
}

static void set_owner(struct world *w, enum tr_owner near_answer, enum tr_owner far_answer)
{
    w->t.owner.answer = near_answer;
    w->t.owner.far_answer = far_answer;
}

static void step_round(struct world *w)
{
    const struct tr_slice cat = TR_SLICE_LIT("cat");
    switch (w->phase) {
    case PHASE_STEADY:
        w->token++;
        if (below(w, 4) == 0) {
            set_owner(w, TR_OWNER_NO_TABLE, TR_OWNER_NO_TABLE);
            w->phase = PHASE_LOSING;
            tr_actor_on_lost(w->t.engine, w->token);
        } else {
            set_owner(w, TR_OWNER_LOCKED, TR_OWNER_LOCKED);
            w->phase = PHASE_UPDATING;
            tr_actor_on_update(w->t.engine, w->token, &cat, 1);
        }
        break;
    case PHASE_UPDATING:
        if (w->t.owner.update_done == w->token) {
            w->phase = PHASE_UNLOCKING;
        } else if (below(w, 4) == 0) {
            w->token++;
            set_owner(w, TR_OWNER_NO_TABLE, TR_OWNER_NO_TABLE);
            w->phase = PHASE_LOSING;
            tr_actor_on_lost(w->t.engine, w->token);
        }
        break;
    case PHASE_LOSING:
        w->phase = w->t.owner.lost_done == w->token ? PHASE_UNLOCKING : PHASE_LOSING;
        break;
    case PHASE_UNLOCKING:
        set_owner(w, TR_OWNER_LOCAL, below(w, 2) == 0 ? TR_OWNER_LOCAL : TR_OWNER_REMOTE);
        w->phase = PHASE_STEADY;
        owner_release(&w->t);
        break;
    }
}

static void register_cat(struct world *w)
{
    struct tr_actor_type_conf type = engine_test_type("cat");
    type.idle_ms = 1500;
    type.is_reentrant = true;
    type.depth_max = 2;
    engine_test_register(&w->t, &type, 1);
    w->is_registered = true;
}

static void step_types(struct world *w)
{
    const struct tr_slice cat = TR_SLICE_LIT("cat");
    if (!w->is_registered) {
        register_cat(w);
        return;
    }
    switch (below(w, 8)) {
    case 0:
        tr_actor_unregister(w->t.engine, &cat, 1, below(w, 2) == 0);
        w->is_registered = false;
        break;
    case 1:
        tr_actor_suspend(w->t.engine, true);
        break;
    default:
        tr_actor_suspend(w->t.engine, false);
        break;
    }
}

static void step(struct world *w)
{
    switch (below(w, 16)) {
    case 0:
    case 1:
    case 2:
    case 3:
        step_start_call(w);
        break;
    case 4:
        step_cancel_call(w);
        break;
    case 5:
    case 6:
    case 7:
    case 8:
        step_answer(w);
        break;
    case 9:
        step_answer_remote(w);
        break;
    case 10:
        step_state(w);
        break;
    case 11:
        step_timer(w);
        break;
    case 12:
    case 13:
        step_round(w);
        break;
    case 14:
        step_types(w);
        break;
    default:
        loop_fake_advance(w->t.loop, below(w, 1200));
        break;
    }
    if (below(w, 2) == 0) { /* some events fall into one turn of the loop */
        loop_fake_settle(w->t.loop);
        collect_calls(w);
    }
    check_turns(w);
}

static void on_engine_closed(void *ctx)
{
    ((struct world *)ctx)->t.is_closed = true;
}

static void on_store_closed(void *ctx)
{
    *(struct tr_store **)ctx = NULL;
}

/* Close in whatever state things are; then count. */
static void finish(struct world *w)
{
    w->t.app.deactivates_at_once = true;
    tr_actor_engine_close(w->t.engine, tr_loop_now_ms(w->t.loop) + 1000, on_engine_closed, w);
    loop_fake_settle(w->t.loop);
    loop_fake_advance(w->t.loop, 1000);
    assert_true(w->t.is_closed);
    collect_calls(w);
    for (size_t i = 0; i < CALLS; i++) {
        assert_false(w->is_open[i]);
    }
    for (size_t i = 0; i < TR_ARRAY_LEN(w->gets); i++) {
        assert_int_equal(w->gets[i].key.len, 0);
    }
    assert_true(w->ended > 0);
    tr_store_close(w->store, on_store_closed, &w->store);
    loop_fake_settle(w->t.loop);
    assert_null(w->store);
    engine_test_fini(&w->t);
}

static void run(uint64_t seed)
{
    static struct world w;
    memset(&w, 0, sizeof(w));
    w.seed = seed;
    tr_rng_init_seed(&w.rng, seed);
    engine_test_init_bare(&w.t);
    w.store = tr_store_mem_new(w.t.loop);
    const struct tr_actor_state_conf conf = { .store = w.store,
                                              .is_capable = true,
                                              .app_id = TR_SLICE_LIT("zoo") };
    tr_actor_state_set(w.t.engine, &conf);
    for (unsigned i = 0; i < STEPS; i++) {
        step(&w);
    }
    finish(&w);
}

static void nothing_runs_twice_and_everything_ends(void **state)
{
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        run(seed);
    }
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_runs_twice_and_everything_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
