/* The queue of turns: order, reentrancy, limits, cancellation; then everything against a plain model. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>

#include "runtime/actor/turn.h"
#include "runtime/base/rng.h"

static const struct tr_slice no_chain;

/* Take the next turn that may run, or NULL. */
static struct tr_turn *next_start(struct tr_link *start)
{
    struct tr_link *link = tr_list_pop(start);
    return link == NULL ? NULL : TR_CONTAINER_OF(link, struct tr_turn, start_link);
}

static void turns_run_one_at_a_time_in_order(void **state)
{
    struct tr_turns turns;
    struct tr_turn a, b, c;
    struct tr_link start;
    tr_link_init(&start);
    tr_turns_init(&turns, 0);
    assert_int_equal(tr_turn_enter(&turns, &a, no_chain), TR_TURN_RUN);
    assert_int_equal(tr_turn_enter(&turns, &b, no_chain), TR_TURN_WAIT);
    assert_int_equal(tr_turn_enter(&turns, &c, no_chain), TR_TURN_WAIT);
    assert_int_equal(turns.waiting_len, 2);
    tr_turn_leave(&turns, &a, &start);
    assert_ptr_equal(next_start(&start), &b);
    assert_null(next_start(&start));
    tr_turn_leave(&turns, &b, &start);
    assert_ptr_equal(next_start(&start), &c);
    tr_turn_leave(&turns, &c, &start);
    assert_null(next_start(&start));
    assert_true(tr_turns_empty(&turns));
    (void)state;
}

static void without_reentrancy_equal_chain_ids_wait_for_each_other(void **state)
{
    struct tr_turns turns;
    struct tr_turn a, b;
    tr_turns_init(&turns, 0);
    assert_int_equal(tr_turn_enter(&turns, &a, TR_SLICE_LIT("chain")), TR_TURN_RUN);
    assert_int_equal(tr_turn_enter(&turns, &b, TR_SLICE_LIT("chain")), TR_TURN_WAIT);
    (void)state;
}

static void a_chain_joins_its_running_flight_and_others_wait(void **state)
{
    struct tr_turns turns;
    struct tr_turn outer, inner, other;
    struct tr_link start;
    tr_link_init(&start);
    tr_turns_init(&turns, 32);
    assert_int_equal(tr_turn_enter(&turns, &outer, TR_SLICE_LIT("x")), TR_TURN_RUN);
    assert_int_equal(tr_turn_enter(&turns, &other, TR_SLICE_LIT("y")), TR_TURN_WAIT);
    assert_int_equal(tr_turn_enter(&turns, &inner, TR_SLICE_LIT("x")), TR_TURN_RUN);
    tr_turn_leave(&turns, &inner, &start);
    assert_null(next_start(&start));
    tr_turn_leave(&turns, &outer, &start);
    assert_ptr_equal(next_start(&start), &other);
    (void)state;
}

static void the_flight_lasts_until_its_last_turn_whoever_leaves_first(void **state)
{
    struct tr_turns turns;
    struct tr_turn outer, inner, innermost, other;
    struct tr_link start;
    tr_link_init(&start);
    tr_turns_init(&turns, 3);
    assert_int_equal(tr_turn_enter(&turns, &outer, TR_SLICE_LIT("x")), TR_TURN_RUN);
    assert_int_equal(tr_turn_enter(&turns, &inner, TR_SLICE_LIT("x")), TR_TURN_RUN);
    assert_int_equal(tr_turn_enter(&turns, &other, no_chain), TR_TURN_WAIT);
    tr_turn_leave(&turns, &outer, &start); /* its client went away */
    assert_null(next_start(&start));
    assert_int_equal(tr_turn_enter(&turns, &innermost, TR_SLICE_LIT("x")), TR_TURN_RUN);
    tr_turn_leave(&turns, &inner, &start);
    assert_null(next_start(&start));
    tr_turn_leave(&turns, &innermost, &start);
    assert_ptr_equal(next_start(&start), &other);
    (void)state;
}

static void a_chain_joins_its_waiting_flight_and_both_start_together(void **state)
{
    struct tr_turns turns;
    struct tr_turn head, first, second;
    struct tr_link start;
    tr_link_init(&start);
    tr_turns_init(&turns, 2);
    assert_int_equal(tr_turn_enter(&turns, &head, TR_SLICE_LIT("h")), TR_TURN_RUN);
    assert_int_equal(tr_turn_enter(&turns, &first, TR_SLICE_LIT("x")), TR_TURN_WAIT);
    assert_int_equal(tr_turn_enter(&turns, &second, TR_SLICE_LIT("x")), TR_TURN_WAIT);
    tr_turn_leave(&turns, &head, &start);
    assert_ptr_equal(next_start(&start), &first);
    assert_ptr_equal(next_start(&start), &second);
    assert_null(next_start(&start));
    (void)state;
}

static void a_turn_beyond_the_depth_is_refused_and_changes_nothing(void **state)
{
    struct tr_turns turns;
    struct tr_turn a, b, refused, other;
    struct tr_link start;
    tr_link_init(&start);
    tr_turns_init(&turns, 2);
    assert_int_equal(tr_turn_enter(&turns, &a, TR_SLICE_LIT("x")), TR_TURN_RUN);
    assert_int_equal(tr_turn_enter(&turns, &b, TR_SLICE_LIT("x")), TR_TURN_RUN);
    assert_int_equal(tr_turn_enter(&turns, &refused, TR_SLICE_LIT("x")), TR_TURN_TOO_DEEP);
    assert_int_equal(tr_turn_enter(&turns, &other, no_chain), TR_TURN_WAIT);
    tr_turn_leave(&turns, &b, &start);
    tr_turn_leave(&turns, &a, &start);
    assert_ptr_equal(next_start(&start), &other);
    (void)state;
}

static void a_depth_of_one_allows_one_turn_of_a_chain(void **state)
{
    struct tr_turns turns;
    struct tr_turn a, b;
    tr_turns_init(&turns, 1);
    assert_int_equal(tr_turn_enter(&turns, &a, TR_SLICE_LIT("x")), TR_TURN_RUN);
    assert_int_equal(tr_turn_enter(&turns, &b, TR_SLICE_LIT("x")), TR_TURN_TOO_DEEP);
    (void)state;
}

static void a_canceled_waiter_leaves_and_starts_nobody_early(void **state)
{
    struct tr_turns turns;
    struct tr_turn a, b, c;
    struct tr_link start;
    tr_link_init(&start);
    tr_turns_init(&turns, 0);
    assert_int_equal(tr_turn_enter(&turns, &a, no_chain), TR_TURN_RUN);
    assert_int_equal(tr_turn_enter(&turns, &b, no_chain), TR_TURN_WAIT);
    assert_int_equal(tr_turn_enter(&turns, &c, no_chain), TR_TURN_WAIT);
    tr_turn_leave(&turns, &b, &start);
    assert_null(next_start(&start)); /* a still runs */
    tr_turn_leave(&turns, &a, &start);
    assert_ptr_equal(next_start(&start), &c);
    (void)state;
}

static void a_turn_that_was_handed_out_may_leave_before_it_ran(void **state)
{
    struct tr_turns turns;
    struct tr_turn a, b, c;
    struct tr_link start;
    tr_link_init(&start);
    tr_turns_init(&turns, 0);
    assert_int_equal(tr_turn_enter(&turns, &a, no_chain), TR_TURN_RUN);
    assert_int_equal(tr_turn_enter(&turns, &b, no_chain), TR_TURN_WAIT);
    assert_int_equal(tr_turn_enter(&turns, &c, no_chain), TR_TURN_WAIT);
    tr_turn_leave(&turns, &a, &start);
    tr_turn_leave(&turns, &b, &start);
    assert_ptr_equal(next_start(&start), &c);
    assert_null(next_start(&start));
    (void)state;
}

static void a_held_queue_starts_nothing_until_it_is_resumed(void **state)
{
    struct tr_turns turns;
    struct tr_turn a, b;
    struct tr_link start;
    tr_link_init(&start);
    tr_turns_init(&turns, 0);
    tr_turns_hold(&turns);
    assert_int_equal(tr_turn_enter(&turns, &a, no_chain), TR_TURN_WAIT);
    assert_int_equal(tr_turn_enter(&turns, &b, no_chain), TR_TURN_WAIT);
    tr_turn_leave(&turns, &a, &start);
    assert_null(next_start(&start));
    tr_turns_resume(&turns, &start);
    assert_ptr_equal(next_start(&start), &b);
    (void)state;
}

static void the_newcomer_is_refused_when_the_queue_is_full(void **state)
{
    struct tr_turns turns;
    struct tr_turn *many = calloc(TR_TURN_WAITING_MAX + 1, sizeof(*many));
    struct tr_turn late, inner;
    struct tr_link start;
    tr_link_init(&start);
    tr_turns_init(&turns, 8);
    assert_int_equal(tr_turn_enter(&turns, &many[0], TR_SLICE_LIT("x")), TR_TURN_RUN);
    for (size_t i = 1; i <= TR_TURN_WAITING_MAX; i++) {
        assert_int_equal(tr_turn_enter(&turns, &many[i], no_chain), TR_TURN_WAIT);
    }
    assert_int_equal(tr_turn_enter(&turns, &late, no_chain), TR_TURN_FULL);
    /* The chain that runs can still call itself: it does not wait. */
    assert_int_equal(tr_turn_enter(&turns, &inner, TR_SLICE_LIT("x")), TR_TURN_RUN);
    tr_turn_leave(&turns, &many[5], &start);
    assert_int_equal(tr_turn_enter(&turns, &late, no_chain), TR_TURN_WAIT);
    free(many);
    (void)state;
}

/* --- against a model: an array of flights, each an array of turn numbers --- */

#define MODEL_TURNS 48
#define MODEL_DEPTH 3

struct model_flight {
    unsigned chain; /* 0: none */
    unsigned len;
    unsigned turns[MODEL_DEPTH];
    bool is_running;
};

struct model {
    struct model_flight flights[MODEL_TURNS];
    unsigned len;
    struct tr_turns turns;
    struct tr_turn turn[MODEL_TURNS];
    bool is_in[MODEL_TURNS];
};

static const char *const chain_names[] = { "", "red", "green", "blue" };

static void model_start_head(struct model *m)
{
    if (m->len > 0) {
        m->flights[0].is_running = true;
    }
}

static void model_enter(struct model *m, unsigned who, unsigned chain)
{
    struct model_flight *flight = NULL;
    for (unsigned i = 0; chain != 0 && i < m->len && flight == NULL; i++) {
        flight = m->flights[i].chain == chain ? &m->flights[i] : NULL;
    }
    enum tr_turn_verdict want = TR_TURN_WAIT;
    if (flight != NULL && flight->len == MODEL_DEPTH) {
        want = TR_TURN_TOO_DEEP;
    } else {
        if (flight == NULL) {
            flight = &m->flights[m->len++];
            *flight = (struct model_flight){ .chain = chain };
            model_start_head(m);
        }
        flight->turns[flight->len++] = who;
        want = flight->is_running ? TR_TURN_RUN : TR_TURN_WAIT;
        m->is_in[who] = true;
    }
    const enum tr_turn_verdict got =
        tr_turn_enter(&m->turns, &m->turn[who], tr_slice_str(chain_names[chain]));
    assert_int_equal(got, want);
}

static void model_remove(struct model *m, unsigned who)
{
    for (unsigned f = 0; f < m->len; f++) {
        struct model_flight *flight = &m->flights[f];
        for (unsigned i = 0; i < flight->len; i++) {
            if (flight->turns[i] != who) {
                continue;
            }
            memmove(&flight->turns[i], &flight->turns[i + 1],
                    (flight->len - i - 1) * sizeof(unsigned));
            flight->len--;
            if (flight->len == 0) {
                memmove(flight, flight + 1, (m->len - f - 1) * sizeof(*flight));
                m->len--;
                model_start_head(m);
            }
            return;
        }
    }
    fail_msg("turn %u is in no flight", who);
}

static void model_leave(struct model *m, unsigned who)
{
    struct tr_link start;
    tr_link_init(&start);
    bool ran[MODEL_TURNS];
    for (unsigned i = 0; i < MODEL_TURNS; i++) {
        ran[i] = m->is_in[i] && m->turn[i].is_running;
    }
    model_remove(m, who);
    m->is_in[who] = false;
    tr_turn_leave(&m->turns, &m->turn[who], &start);
    struct tr_turn *turn;
    while ((turn = next_start(&start)) != NULL) {
        const size_t i = (size_t)(turn - m->turn);
        assert_false(ran[i]); /* handed out once */
        assert_true(m->is_in[i]);
        ran[i] = true;
    }
    for (unsigned i = 0; i < MODEL_TURNS; i++) {
        assert_true(!m->is_in[i] || ran[i] == m->turn[i].is_running);
    }
}

static void model_compare(const struct model *m)
{
    unsigned running = 0;
    unsigned waiting = 0;
    for (unsigned f = 0; f < m->len; f++) {
        const struct model_flight *flight = &m->flights[f];
        for (unsigned i = 0; i < flight->len; i++) {
            assert_int_equal(m->turn[flight->turns[i]].is_running, flight->is_running);
        }
        running += flight->is_running ? flight->len : 0;
        waiting += flight->is_running ? 0 : flight->len;
        assert_int_equal(flight->is_running, f == 0);
    }
    assert_int_equal(m->turns.running_len, running);
    assert_int_equal(m->turns.waiting_len, waiting);
}

static void any_sequence_agrees_with_the_model(void **state)
{
    for (uint64_t seed = 1; seed <= 200; seed++) {
        struct tr_rng rng;
        tr_rng_init_seed(&rng, seed);
        struct model *m = calloc(1, sizeof(*m));
        tr_turns_init(&m->turns, MODEL_DEPTH);
        for (unsigned step = 0; step < 300; step++) {
            const unsigned who = (unsigned)tr_rng_below(&rng, MODEL_TURNS);
            if (m->is_in[who]) {
                model_leave(m, who);
            } else {
                model_enter(m, who, (unsigned)tr_rng_below(&rng, 4));
            }
            model_compare(m);
        }
        free(m);
    }
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(turns_run_one_at_a_time_in_order),
        cmocka_unit_test(without_reentrancy_equal_chain_ids_wait_for_each_other),
        cmocka_unit_test(a_chain_joins_its_running_flight_and_others_wait),
        cmocka_unit_test(the_flight_lasts_until_its_last_turn_whoever_leaves_first),
        cmocka_unit_test(a_chain_joins_its_waiting_flight_and_both_start_together),
        cmocka_unit_test(a_turn_beyond_the_depth_is_refused_and_changes_nothing),
        cmocka_unit_test(a_depth_of_one_allows_one_turn_of_a_chain),
        cmocka_unit_test(a_canceled_waiter_leaves_and_starts_nobody_early),
        cmocka_unit_test(a_turn_that_was_handed_out_may_leave_before_it_ran),
        cmocka_unit_test(a_held_queue_starts_nothing_until_it_is_resumed),
        cmocka_unit_test(the_newcomer_is_refused_when_the_queue_is_full),
        cmocka_unit_test(any_sequence_agrees_with_the_model),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
