/*
 * The rounds of one namespace: every row of the placement specification's sections 3 to 5, and the rules of our own.
 * A member plays a sidecar; what it was sent is kept as text: "lock 1 update 1 unlock 1".
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "placement/rounds.h"
#include "placement/table.h"
#include "runtime/base/rng.h"

#define MEMBERS_MAX 220
#define LIMIT_MS    8000

struct member {
    struct tr_rounds_stream stream;
    char name[32];
    struct tr_buf seen;       /* orders as text */
    struct tr_buf table;      /* hosts of type "t" in the last update, sorted, blank between */
    struct tr_err closed;     /* code TR_OK while it is open */
    enum tr_order_op last_op; /* last order that is not acknowledged yet */
    uint64_t last_version;    /* of the last order */
    bool has_pending;         /* last_op is to be acknowledged */
    bool is_legacy;
    bool is_silent;
    bool is_open;
};

struct test {
    struct tr_rounds *rounds;
    uint64_t now_ms;
    struct member members[MEMBERS_MAX];
    size_t members_len;
};

static void test_prepare(struct test *t, uint64_t coalesce_ms)
{
    *t = (struct test){ .now_ms = 1000 };
    const struct tr_rounds_conf conf = {
        .limit_ms = LIMIT_MS,
        .limit_text = "8s",
        .coalesce_ms = coalesce_ms,
        .factor = 3,
    };
    t->rounds = tr_rounds_new(&conf, TR_SLICE_LIT("default"));
}

static struct test *test_begin(uint64_t coalesce_ms)
{
    struct test *t = malloc(sizeof(*t));
    assert_non_null(t);
    test_prepare(t, coalesce_ms);
    return t;
}

/* Carry out the actions, as the service would. */
static void act(struct test *t)
{
    struct tr_rounds_action action;
    while (tr_rounds_next_action(t->rounds, &action)) {
        struct member *m = TR_CONTAINER_OF(action.stream, struct member, stream);
        assert_true(m->is_open);
        if (action.kind == TR_ROUNDS_CLOSE) {
            m->closed = action.err;
            m->is_open = false;
            continue;
        }
        assert_true(action.order->version >= m->last_version); /* never decreases on a stream */
        m->last_op = action.order->op;
        m->last_version = action.order->version;
        m->has_pending = true;
        tr_buf_addf(&m->seen, "%s%s %d", m->seen.len == 0 ? "" : " ", tr_order_op_name(m->last_op),
                    (int)m->last_version);
        if (action.order->op == TR_ORDER_UPDATE) {
            struct tr_order_in in;
            struct tr_err err;
            tr_buf_clear(&m->table);
            assert_int_equal(
                tr_order_decode(tr_buf_slice(&action.order->bytes), NULL, NULL, &in, &err), TR_OK);
            const struct tr_ring *ring = tr_table_ring(in.table, TR_SLICE_LIT("t"));
            for (size_t i = 0; ring != NULL && i < tr_ring_hosts_len(ring); i++) {
                tr_buf_addf(&m->table, "%s%.*s", i == 0 ? "" : " ",
                            TR_SLICE_ARG(tr_ring_host_at(ring, i)->name));
            }
            tr_table_unref(&in.table);
        }
        tr_order_unref(&action.order);
    }
}

static struct tr_host host_of(const char *name, const char *type)
{
    struct tr_slice types[] = { tr_slice_str(type) };
    struct tr_host plain = {
        .name = tr_slice_str(name),
        .id = TR_SLICE_LIT("app"),
        .ns = TR_SLICE_LIT("default"),
        .types = types,
        .types_len = type == NULL ? 0 : 1,
        .op = TR_HOST_REPORT,
    };
    struct tr_buf bytes = { 0 };
    struct tr_host host;
    struct tr_err err;
    tr_host_encode(&plain, &bytes);
    assert_int_equal(tr_host_decode(tr_buf_slice(&bytes), &host, &err), TR_OK);
    tr_buf_fini(&bytes);
    return host;
}

/* A new member that hosts `type`, or nothing (NULL). */
static struct member *join(struct test *t, const char *type)
{
    assert_true(t->members_len < MEMBERS_MAX);
    struct member *m = &t->members[t->members_len++];
    *m = (struct member){ .is_open = true };
    (void)snprintf(m->name, sizeof(m->name), "h%03zu", t->members_len);
    struct tr_host first = host_of(m->name, type);
    struct tr_err err;
    assert_int_equal(tr_rounds_join(t->rounds, &m->stream, &first, t->now_ms, &err), TR_OK);
    act(t);
    return m;
}

static struct member *join_legacy(struct test *t, const char *type)
{
    struct member *m = join(t, type);
    m->is_legacy = true;
    return m;
}

static void leave(struct test *t, struct member *m)
{
    m->is_open = false;
    tr_rounds_leave(&m->stream, t->now_ms);
    act(t);
}

static void report(struct test *t, struct member *m, const char *type)
{
    struct tr_host host = host_of(m->name, type);
    tr_rounds_message(t->rounds, &m->stream, &host, t->now_ms);
    act(t);
}

static void ack_as(struct test *t, struct member *m, uint32_t op, bool has_version,
                   uint64_t version)
{
    struct tr_host host = host_of(m->name, "t");
    host.op = op;
    host.has_version = has_version;
    host.version = version;
    tr_rounds_message(t->rounds, &m->stream, &host, t->now_ms);
    act(t);
}

/* Acknowledge the last order. */
static void ack(struct test *t, struct member *m)
{
    static const uint32_t ops[] = { TR_HOST_LOCK, TR_HOST_UPDATE, TR_HOST_UNLOCK };
    m->has_pending = false;
    if (m->is_legacy) {
        ack_as(t, m, TR_HOST_UNKNOWN, false, 0);
    } else {
        ack_as(t, m, ops[m->last_op], true, m->last_version);
    }
}

/* Everybody who is not silent acknowledges until nothing happens any more. */
static void settle(struct test *t)
{
    bool again = true;
    while (again) {
        again = false;
        for (size_t i = 0; i < t->members_len; i++) {
            struct member *m = &t->members[i];
            if (m->is_open && m->has_pending && !m->is_silent) {
                ack(t, m);
                again = true;
            }
        }
    }
}

static void pass(struct test *t, uint64_t ms)
{
    t->now_ms += ms;
    if (t->now_ms >= tr_rounds_due_ms(t->rounds)) {
        tr_rounds_tick(t->rounds, t->now_ms);
    }
    act(t);
}

static void assert_seen(struct member *m, const char *orders)
{
    assert_string_equal(tr_buf_cstr(&m->seen), orders);
}

/* What came since the last call. */
static void assert_new(struct member *m, const char *orders)
{
    assert_seen(m, orders);
    tr_buf_clear(&m->seen);
}

static void assert_table(struct member *m, const char *hosts)
{
    assert_string_equal(tr_buf_cstr(&m->table), hosts);
}

static void test_end(struct test *t)
{
    for (size_t i = 0; i < t->members_len; i++) {
        struct member *m = &t->members[i];
        tr_rounds_leave(&m->stream, t->now_ms);
        tr_buf_fini(&m->seen);
        tr_buf_fini(&m->table);
    }
    assert_int_equal(tr_rounds_streams_len(t->rounds), 0);
    assert_int_equal(tr_rounds_joined_with_types_len(t->rounds), 0);
    tr_rounds_free(&t->rounds);
    free(t);
}

/* --- section 3.5: worked sequences ------------------------------------------------------------------------------ */

static void the_first_host_with_a_type_makes_version_1(void **state)
{
    struct test *t = test_begin(0);
    struct member *a = join(t, "t");
    assert_seen(a, "lock 1");
    settle(t);
    assert_seen(a, "lock 1 update 1 unlock 1");
    assert_table(a, "h001");
    assert_int_equal(tr_rounds_phase(t->rounds), TR_ROUNDS_IDLE);
    assert_int_equal(tr_rounds_due_ms(t->rounds), UINT64_MAX);
    test_end(t);
    (void)state;
}

static void other_types_of_one_host_make_the_next_version(void **state)
{
    struct test *t = test_begin(0);
    struct member *a = join(t, "u");
    settle(t);
    assert_table(a, "");
    report(t, a, "t");
    settle(t);
    assert_seen(a, "lock 1 update 1 unlock 1 lock 2 update 2 unlock 2");
    assert_table(a, "h001");
    report(t, a, NULL); /* none left: the host leaves the table */
    settle(t);
    assert_table(a, "");
    assert_int_equal(tr_rounds_version(t->rounds), 3);
    assert_int_equal(tr_rounds_hosts(t->rounds, NULL, 0), 0);
    test_end(t);
    (void)state;
}

static void the_same_report_again_changes_nothing(void **state)
{
    struct test *t = test_begin(0);
    struct member *a = join(t, "t");
    settle(t);
    report(t, a, "t");
    assert_seen(a, "lock 1 update 1 unlock 1");
    test_end(t);
    (void)state;
}

static void a_host_without_types_gets_the_present_table_alone(void **state)
{
    struct test *t = test_begin(0);
    struct member *a = join(t, "t");
    settle(t);
    struct member *b = join(t, NULL);
    assert_seen(b, "lock 1 update 1 unlock 1");
    assert_table(b, "h001");
    settle(t);
    assert_seen(a, "lock 1 update 1 unlock 1");
    assert_seen(b, "lock 1 update 1 unlock 1");
    leave(t, b);
    assert_seen(a, "lock 1 update 1 unlock 1");
    assert_int_equal(tr_rounds_version(t->rounds), 1);
    test_end(t);
    (void)state;
}

static void a_first_host_without_types_gets_an_empty_table_at_version_0(void **state)
{
    struct test *t = test_begin(0);
    struct member *a = join(t, NULL);
    assert_seen(a, "lock 0 update 0 unlock 0");
    assert_table(a, "");
    settle(t);
    assert_seen(a, "lock 0 update 0 unlock 0");
    assert_int_equal(tr_rounds_joined_len(t->rounds), 1);
    assert_int_equal(tr_rounds_joined_with_types_len(t->rounds), 0);
    test_end(t);
    (void)state;
}

static void hosts_that_join_in_a_round_share_the_next(void **state)
{
    struct test *t = test_begin(0);
    struct member *a = join(t, "t");
    struct member *b = join(t, "t");
    struct member *c = join(t, NULL);
    struct member *d = join(t, "t");
    assert_seen(b, "");
    assert_int_equal(tr_rounds_joined_len(t->rounds), 1); /* the metric leaves the waiting out */
    assert_int_equal(tr_rounds_streams_len(t->rounds), 4);
    settle(t);
    assert_seen(a, "lock 1 update 1 unlock 1 lock 2 update 2 unlock 2");
    assert_seen(b, "lock 2 update 2 unlock 2");
    assert_seen(c, "lock 2 update 2 unlock 2");
    assert_seen(d, "lock 2 update 2 unlock 2");
    assert_table(a, "h001 h002 h004");
    assert_table(c, "h001 h002 h004");
    test_end(t);
    (void)state;
}

static void hosts_without_types_that_join_in_a_round_disturb_nobody(void **state)
{
    struct test *t = test_begin(0);
    struct member *a = join(t, "t");
    struct member *b = join(t, NULL);
    settle(t);
    assert_seen(a, "lock 1 update 1 unlock 1");
    assert_seen(b, "lock 1 update 1 unlock 1");
    report(t, a, "u");
    struct member *c = join(t, NULL);
    settle(t);
    assert_seen(b, "lock 1 update 1 unlock 1 lock 2 update 2 unlock 2");
    assert_seen(c, "lock 2 update 2 unlock 2"); /* the push goes to the newest only */
    test_end(t);
    (void)state;
}

static void a_leaver_makes_the_next_version_for_the_others(void **state)
{
    struct test *t = test_begin(0);
    struct member *a = join(t, "t");
    settle(t);
    struct member *b = join(t, "t");
    settle(t);
    struct member *c = join(t, "t");
    settle(t);
    tr_buf_clear(&b->seen);
    tr_buf_clear(&c->seen);
    leave(t, a);
    settle(t);
    assert_seen(b, "lock 4 update 4 unlock 4");
    assert_seen(c, "lock 4 update 4 unlock 4");
    assert_table(b, "h002 h003");
    test_end(t);
    (void)state;
}

/* --- section 5: phases wait for everybody ------------------------------------------------------------------------- */

static void each_phase_waits_for_every_host(void **state)
{
    struct test *t = test_begin(0);
    struct member *a = join(t, "t");
    settle(t);
    tr_buf_clear(&a->seen);
    struct member *b = join(t, "t");
    ack(t, a);
    assert_seen(a, "lock 2");
    ack(t, b);
    assert_seen(a, "lock 2 update 2");
    ack(t, b);
    assert_seen(b, "lock 2 update 2");
    ack(t, a);
    assert_seen(a, "lock 2 update 2 unlock 2");
    ack(t, a);
    assert_int_equal(tr_rounds_phase(t->rounds), TR_ROUNDS_UNLOCK);
    ack(t, b);
    assert_int_equal(tr_rounds_phase(t->rounds), TR_ROUNDS_IDLE);
    test_end(t);
    (void)state;
}

static void an_acknowledgement_counts_once(void **state)
{
    struct test *t = test_begin(0);
    struct member *a = join(t, "t");
    settle(t);
    struct member *b = join(t, "t");
    ack(t, a);
    ack(t, a);
    assert_new(b, "lock 2");
    ack(t, b);
    assert_new(b, "update 2");
    test_end(t);
    (void)state;
}

static void an_acknowledgement_of_another_phase_is_ignored(void **state)
{
    struct test *t = test_begin(0);
    struct member *a = join(t, "t");
    ack_as(t, a, TR_HOST_UNLOCK, true, 1);
    ack_as(t, a, TR_HOST_UPDATE, true, 1);
    assert_seen(a, "lock 1");
    ack_as(t, a, TR_HOST_LOCK, true, 1);
    ack_as(t, a, TR_HOST_LOCK, true, 1);
    assert_seen(a, "lock 1 update 1");
    ack_as(t, a, 77, true, 1); /* an operation nobody knows */
    assert_seen(a, "lock 1 update 1");
    test_end(t);
    (void)state;
}

static void a_stale_acknowledgement_is_ignored_and_one_without_version_counts(void **state)
{
    struct test *t = test_begin(0);
    struct member *a = join(t, "u");
    settle(t);
    report(t, a, "t");
    tr_buf_clear(&a->seen);
    ack_as(t, a, TR_HOST_LOCK, true, 1);
    assert_seen(a, "");
    ack_as(t, a, TR_HOST_LOCK, false, 0);
    assert_seen(a, "update 2");
    ack_as(t, a, TR_HOST_UPDATE, true, 9); /* newer than any: counts as the present one */
    assert_seen(a, "update 2 unlock 2");
    test_end(t);
    (void)state;
}

static void a_stale_report_is_ignored(void **state)
{
    struct test *t = test_begin(0);
    struct member *a = join(t, "t");
    settle(t);
    tr_buf_clear(&a->seen);
    struct tr_host host = host_of(a->name, "u");
    host.has_version = true;
    tr_rounds_message(t->rounds, &a->stream, &host, t->now_ms);
    act(t);
    assert_seen(a, "");
    test_end(t);
    (void)state;
}

static void a_change_in_a_round_replaces_the_round(void **state)
{
    struct test *t = test_begin(0);
    struct member *a = join(t, "u");
    uint64_t due_ms = tr_rounds_due_ms(t->rounds);
    pass(t, 500);
    report(t, a, "t");
    assert_seen(a, "lock 1 lock 2");
    assert_int_equal(tr_rounds_due_ms(t->rounds),
                     due_ms + 500); /* the new round has its own limit */
    ack_as(t, a, TR_HOST_LOCK, true, 1);
    ack_as(t, a, TR_HOST_LOCK, true, 2);
    report(t, a, "u");
    assert_seen(a, "lock 1 lock 2 update 2 lock 3");
    settle(t);
    assert_seen(a, "lock 1 lock 2 update 2 lock 3 update 3 unlock 3");
    test_end(t);
    (void)state;
}

static void a_report_in_a_round_that_changes_nothing_is_no_acknowledgement(void **state)
{
    struct test *t = test_begin(0);
    struct member *a = join(t, "t");
    report(t, a, "t");
    assert_seen(a, "lock 1");
    test_end(t);
    (void)state;
}

/* --- dialects ------------------------------------------------------------------------------------------------------- */

static void an_old_host_acknowledges_by_repeating_its_report(void **state)
{
    struct test *t = test_begin(0);
    struct member *a = join_legacy(t, "t");
    settle(t);
    assert_seen(a, "lock 1 update 1 unlock 1");
    ack_as(t, a, TR_HOST_UNKNOWN, false, 0);
    assert_seen(a, "lock 1 update 1 unlock 1"); /* idle: a report without a change */
    test_end(t);
    (void)state;
}

static void types_in_an_old_hosts_acknowledgement_count_only_when_idle(void **state)
{
    struct test *t = test_begin(0);
    struct member *a = join(t, "u");
    ack_as(t, a, TR_HOST_UNKNOWN, false, 0); /* reports "t", but acknowledges lock */
    assert_seen(a, "lock 1 update 1");
    ack_as(t, a, TR_HOST_UNKNOWN, false, 0);
    ack_as(t, a, TR_HOST_UNKNOWN, false, 0);
    assert_seen(a, "lock 1 update 1 unlock 1");
    ack_as(t, a, TR_HOST_UNKNOWN, false, 0); /* idle: now it is a report of another type */
    assert_seen(a, "lock 1 update 1 unlock 1 lock 2");
    test_end(t);
    (void)state;
}

static void an_old_host_without_types_is_pushed_once(void **state)
{
    struct test *t = test_begin(0);
    struct member *a = join(t, NULL);
    for (int i = 0; i < 6; i++) {
        struct tr_host host = host_of(a->name, NULL);
        host.op = TR_HOST_UNKNOWN;
        tr_rounds_message(t->rounds, &a->stream, &host, t->now_ms);
        act(t);
    }
    assert_seen(a, "lock 0 update 0 unlock 0");
    test_end(t);
    (void)state;
}

/* --- pushes and rounds ---------------------------------------------------------------------------------------------- */

static void acknowledgements_of_a_push_are_not_for_a_round(void **state)
{
    struct test *t = test_begin(0);
    struct member *a = join(t, NULL);
    assert_true(a->stream.is_push_pending);
    ack_as(t, a, TR_HOST_LOCK, true, 0);
    ack_as(t, a, TR_HOST_UPDATE, true, 0);
    assert_true(a->stream.is_push_pending);
    ack_as(t, a, TR_HOST_UNLOCK, true, 0);
    assert_false(a->stream.is_push_pending);
    assert_seen(a, "lock 0 update 0 unlock 0");
    test_end(t);
    (void)state;
}

static void a_round_cancels_a_push_and_its_acknowledgements_are_stale(void **state)
{
    struct test *t = test_begin(0);
    struct member *a = join(t, NULL);
    struct member *b = join(t, "t");
    assert_seen(a, "lock 0 update 0 unlock 0 lock 1");
    assert_false(a->stream.is_push_pending);
    ack_as(t, a, TR_HOST_LOCK, true, 0);
    ack(t, b);
    assert_seen(b, "lock 1");
    ack_as(t, a, TR_HOST_LOCK, true, 1);
    assert_seen(b, "lock 1 update 1");
    test_end(t);
    (void)state;
}

static void a_report_without_types_in_a_round_brings_no_push(void **state)
{
    struct test *t = test_begin(0);
    struct member *a = join(t, "t");
    settle(t);
    struct member *b = join(t, NULL);
    settle(t);
    report(t, a, "u");
    report(t, b, NULL);
    settle(t);
    assert_seen(b, "lock 1 update 1 unlock 1 lock 2 update 2 unlock 2");
    assert_int_equal(tr_rounds_phase(t->rounds), TR_ROUNDS_IDLE);
    test_end(t);
    (void)state;
}

/* --- leaving in a round ------------------------------------------------------------------------------------------- */

static void a_leaver_that_was_awaited_does_not_hold_up_the_phase(void **state)
{
    static const int phases = 3;
    for (int acked = 0; acked < phases; acked++) {
        struct test *t = test_begin(0);
        struct member *a = join(t, "t");
        settle(t);
        struct member *b = join(t, "t");
        for (int i = 0; i < acked; i++) {
            ack(t, a);
            ack(t, b);
        }
        ack(t, a);
        leave(t, b);
        settle(t);
        assert_seen(a,
                    "lock 1 update 1 unlock 1 lock 2 update 2 unlock 2 lock 3 update 3 unlock 3");
        assert_table(a, "h001");
        test_end(t);
    }
    (void)state;
}

static void a_leaver_that_had_acknowledged_is_not_counted_any_more(void **state)
{
    struct test *t = test_begin(0);
    struct member *a = join(t, "t");
    settle(t);
    struct member *b = join(t, "t");
    settle(t);
    tr_buf_clear(&a->seen);
    struct member *c = join(t, "t");
    ack(t, b);
    leave(t, b);
    assert_seen(a, "lock 3");
    ack(t, a);
    assert_seen(a, "lock 3"); /* c is still missing */
    ack(t, c);
    assert_seen(a, "lock 3 update 3");
    assert_table(a, "h001 h002 h003"); /* the hosts locked for it; gone in the next table */
    settle(t);
    assert_table(a, "h001 h003");
    test_end(t);
    (void)state;
}

static void a_leaver_without_types_does_not_hold_up_the_phase(void **state)
{
    struct test *t = test_begin(0);
    struct member *a = join(t, NULL);
    settle(t);
    struct member *b = join(t, "t");
    ack(t, b);
    leave(t, a);
    assert_seen(b, "lock 1 update 1");
    settle(t);
    assert_int_equal(tr_rounds_version(t->rounds), 1);
    test_end(t);
    (void)state;
}

static void several_leavers_of_one_round_share_the_next(void **state)
{
    struct test *t = test_begin(0);
    struct member *a = join(t, "t");
    struct member *b = join(t, "t");
    struct member *c = join(t, "t");
    settle(t);
    report(t, a, "u");
    leave(t, b);
    leave(t, c);
    struct member *d = join(t, "t");
    tr_buf_clear(&a->seen);
    settle(t);
    /* the leavers first, then those who waited */
    assert_seen(a, "update 3 unlock 3 lock 4 update 4 unlock 4 lock 5 update 5 unlock 5");
    assert_seen(d, "lock 5 update 5 unlock 5");
    test_end(t);
    (void)state;
}

static void the_last_host_of_a_round_leaves_and_the_waiting_are_served_at_once(void **state)
{
    struct test *t = test_begin(0);
    struct member *a = join(t, "t");
    struct member *b = join(t, "t");
    leave(t, a);
    assert_seen(b, "lock 2");
    settle(t);
    assert_table(b, "h002");
    test_end(t);
    (void)state;
}

static void the_last_host_leaves_and_a_waiting_host_without_types_gets_an_empty_table(void **state)
{
    struct test *t = test_begin(0);
    struct member *a = join(t, "t");
    struct member *b = join(t, NULL);
    leave(t, a);
    settle(t);
    assert_table(b, "");
    assert_int_equal(tr_rounds_phase(t->rounds), TR_ROUNDS_IDLE);
    assert_int_equal(tr_rounds_hosts(t->rounds, NULL, 0), 0);
    test_end(t);
    (void)state;
}

static void a_waiting_host_that_leaves_never_enters_a_table(void **state)
{
    struct test *t = test_begin(0);
    struct member *a = join(t, "t");
    struct member *b = join(t, "t");
    struct member *c = join(t, "t");
    leave(t, b);
    settle(t);
    assert_seen(b, "");
    assert_seen(c, "lock 2 update 2 unlock 2");
    assert_table(a, "h001 h003");
    test_end(t);
    (void)state;
}

static void a_waiting_host_that_leaves_owes_the_others_its_round(void **state)
{
    for (uint64_t coalesce_ms = 0; coalesce_ms <= 500; coalesce_ms += 500) {
        struct test *t = test_begin(coalesce_ms);
        struct member *a = join(t, "t");
        struct member *b = join(t, "t");
        struct member *c = join(t, NULL);
        leave(t, b);
        leave(t, c);
        settle(t);
        pass(t, 500);
        settle(t);
        assert_seen(a, "lock 1 update 1 unlock 1 lock 2 update 2 unlock 2");
        assert_table(a, "h001");
        c = join(t, NULL); /* one without types owes nothing */
        leave(t, c);
        pass(t, 500);
        settle(t);
        assert_int_equal(tr_rounds_version(t->rounds), 2);
        test_end(t);
    }
    (void)state;
}

static void leaving_twice_is_harmless(void **state)
{
    struct test *t = test_begin(0);
    struct member *a = join(t, "t");
    struct member *b = join(t, "t");
    settle(t);
    leave(t, b);
    leave(t, b);
    settle(t);
    assert_table(a, "h001");
    assert_int_equal(tr_rounds_streams_len(t->rounds), 1);
    test_end(t);
    (void)state;
}

static void the_last_host_leaves_nothing_behind(void **state)
{
    struct test *t = test_begin(0);
    struct member *a = join(t, "t");
    settle(t);
    leave(t, a);
    assert_int_equal(tr_rounds_streams_len(t->rounds), 0);
    assert_int_equal(tr_rounds_due_ms(t->rounds), UINT64_MAX);
    test_end(t);
    (void)state;
}

/* --- section 4: limits -------------------------------------------------------------------------------------------- */

static void a_host_silent_in_a_phase_is_closed_at_the_limit(void **state)
{
    for (int acked = 0; acked < 3; acked++) {
        struct test *t = test_begin(0);
        struct member *a = join(t, "t");
        for (int i = 0; i < acked; i++) {
            pass(t, LIMIT_MS / 4); /* the limit covers the whole round, not each phase */
            ack(t, a);
        }
        pass(t, LIMIT_MS - (uint64_t)acked * (LIMIT_MS / 4) - 1);
        assert_true(a->is_open);
        pass(t, 1);
        assert_false(a->is_open);
        assert_int_equal(a->closed.code, TR_DEADLINE);
        assert_string_equal(a->closed.msg, "dissemination timeout after 8s for version 1");
        assert_int_equal(tr_rounds_streams_len(t->rounds), 0);
        assert_int_equal(tr_rounds_hosts(t->rounds, NULL, 0), 0);
        assert_int_equal(tr_rounds_due_ms(t->rounds), UINT64_MAX);
        test_end(t);
    }
    (void)state;
}

static void a_completed_round_has_no_limit_left(void **state)
{
    struct test *t = test_begin(0);
    struct member *a = join(t, "t");
    settle(t);
    pass(t, 10 * LIMIT_MS);
    assert_true(a->is_open);
    assert_seen(a, "lock 1 update 1 unlock 1");
    tr_rounds_tick(t->rounds, t->now_ms); /* a tick too many is harmless */
    act(t);
    assert_seen(a, "lock 1 update 1 unlock 1");
    test_end(t);
    (void)state;
}

static void only_the_silent_are_closed_and_the_waiting_join_the_next_round(void **state)
{
    struct test *t = test_begin(0);
    struct member *a = join(t, "t");
    settle(t);
    struct member *b = join(t, "t");
    b->is_silent = true;
    struct member *c = join(t, "t");
    struct member *d = join(t, NULL);
    settle(t);
    pass(t, LIMIT_MS);
    assert_false(b->is_open);
    assert_string_equal(b->closed.msg, "dissemination timeout after 8s for version 2");
    settle(t);
    assert_seen(a, "lock 1 update 1 unlock 1 lock 2 lock 3 update 3 unlock 3");
    assert_seen(c, "lock 3 update 3 unlock 3");
    assert_seen(d, "lock 3 update 3 unlock 3");
    assert_table(a, "h001 h003");
    leave(t, b); /* its stream ends: no second report */
    assert_int_equal(tr_rounds_phase(t->rounds), TR_ROUNDS_IDLE);
    assert_int_equal(tr_rounds_joined_len(t->rounds), 3);
    test_end(t);
    (void)state;
}

static void leavers_of_a_round_that_times_out_are_gone_from_the_next_table(void **state)
{
    struct test *t = test_begin(0);
    struct member *a = join(t, "t");
    struct member *b = join(t, "t");
    struct member *c = join(t, "t");
    settle(t);
    report(t, a, "u");
    c->is_silent = true;
    leave(t, b);
    settle(t);
    pass(t, LIMIT_MS);
    report(t, a, "t");
    settle(t);
    assert_table(a, "h001");
    test_end(t);
    (void)state;
}

static void the_waiting_start_over_when_all_others_were_silent(void **state)
{
    struct test *t = test_begin(0);
    struct member *a = join(t, "t");
    a->is_silent = true;
    struct member *b = join(t, "t");
    pass(t, LIMIT_MS);
    assert_false(a->is_open);
    settle(t);
    assert_seen(b, "lock 2 update 2 unlock 2");
    assert_table(b, "h002");
    test_end(t);
    (void)state;
}

static void survivors_get_a_round_also_if_the_table_is_the_same(void **state)
{
    struct test *t = test_begin(0);
    struct member *a = join(t, "t");
    settle(t);
    struct member *b = join(t, NULL);
    b->is_silent = true;
    report(t, a, "t"); /* no change */
    report(t, a, "u");
    ack(t, a);
    pass(t, LIMIT_MS);
    assert_false(b->is_open);
    settle(t);
    assert_seen(a, "lock 1 update 1 unlock 1 lock 2 lock 3 update 3 unlock 3");
    test_end(t);
    (void)state;
}

/* --- coalescing --------------------------------------------------------------------------------------------------- */

static void the_first_event_after_a_quiet_time_is_not_delayed(void **state)
{
    struct test *t = test_begin(500);
    struct member *a = join(t, "t");
    assert_seen(a, "lock 1");
    settle(t);
    pass(t, 500); /* the window passes without an event */
    assert_int_equal(tr_rounds_due_ms(t->rounds), UINT64_MAX);
    struct member *b = join(t, "t");
    assert_seen(b, "lock 2");
    test_end(t);
    (void)state;
}

static void joins_and_leaves_in_the_window_share_one_version(void **state)
{
    struct test *t = test_begin(500);
    struct member *a = join(t, "t");
    struct member *b = join(t, "t"); /* in the round */
    settle(t);
    assert_seen(b, "");
    pass(t, 200);
    struct member *c = join(t, "t"); /* in the window */
    pass(t, 299);
    assert_seen(b, "");
    assert_seen(c, "");
    pass(t, 1);
    settle(t);
    assert_seen(b, "lock 2 update 2 unlock 2");
    assert_seen(c, "lock 2 update 2 unlock 2");
    assert_seen(a, "lock 1 update 1 unlock 1 lock 2 update 2 unlock 2");
    leave(t, b);
    struct member *d = join(t, "t");
    assert_seen(a, "lock 1 update 1 unlock 1 lock 2 update 2 unlock 2");
    tr_buf_clear(&a->seen);
    pass(t, 500);
    settle(t);
    assert_seen(a, "lock 3 update 3 unlock 3");
    assert_seen(d, "lock 3 update 3 unlock 3");
    assert_table(a, "h001 h003 h004");
    test_end(t);
    (void)state;
}

static void a_leaver_alone_in_the_window_makes_one_round_at_its_end(void **state)
{
    struct test *t = test_begin(500);
    struct member *a = join(t, "t");
    settle(t);
    pass(t, 500);
    struct member *b = join(t, "t");
    settle(t);
    tr_buf_clear(&a->seen);
    leave(t, b);
    assert_seen(a, "");
    pass(t, 500);
    settle(t);
    assert_seen(a, "lock 3 update 3 unlock 3");
    assert_table(a, "h001");
    test_end(t);
    (void)state;
}

static void leavers_force_a_round_for_newcomers_without_types(void **state)
{
    struct test *t = test_begin(500);
    struct member *a = join(t, "t");
    settle(t);
    pass(t, 500);
    struct member *b = join(t, "t");
    settle(t);
    tr_buf_clear(&a->seen);
    leave(t, b);
    struct member *c = join(t, NULL);
    pass(t, 500);
    settle(t);
    assert_seen(a, "lock 3 update 3 unlock 3");
    assert_seen(c, "lock 3 update 3 unlock 3");
    test_end(t);
    (void)state;
}

static void newcomers_without_types_are_pushed_at_the_end_of_the_window(void **state)
{
    struct test *t = test_begin(500);
    struct member *a = join(t, "t");
    settle(t);
    struct member *b = join(t, NULL);
    assert_seen(b, "");
    pass(t, 500);
    settle(t);
    assert_seen(b, "lock 1 update 1 unlock 1");
    assert_seen(a, "lock 1 update 1 unlock 1");
    assert_int_equal(tr_rounds_due_ms(t->rounds), UINT64_MAX); /* a push opens no window */
    test_end(t);
    (void)state;
}

static void a_change_of_types_is_not_delayed_by_the_window_which_opens_anew(void **state)
{
    struct test *t = test_begin(500);
    struct member *a = join(t, "t");
    settle(t);
    struct member *b = join(t, "t");
    pass(t, 400);
    report(t, a, "u");
    assert_seen(a, "lock 1 update 1 unlock 1 lock 2");
    pass(t, 400); /* the old window would have ended here, in the middle of the round */
    assert_seen(b, "");
    settle(t);
    pass(t, 499);
    assert_seen(b, "");
    pass(t, 1);
    assert_seen(b, "lock 3");
    test_end(t);
    (void)state;
}

static void the_last_host_leaves_in_the_window_and_the_waiting_follow_at_its_end(void **state)
{
    struct test *t = test_begin(500);
    struct member *a = join(t, "t");
    settle(t);
    struct member *b = join(t, "t");
    leave(t, a);
    pass(t, 500);
    settle(t);
    assert_seen(b, "lock 2 update 2 unlock 2");
    assert_table(b, "h002");
    test_end(t);
    (void)state;
}

static void the_waiting_do_not_wait_for_the_window_of_a_round_that_everybody_left(void **state)
{
    struct test *t = test_begin(500);
    struct member *a = join(t, "t");
    struct member *b = join(t, "t");
    leave(t, a);
    assert_seen(b, "lock 2");
    test_end(t);
    (void)state;
}

/* --- limits and many hosts ------------------------------------------------------------------------------------------ */

static void two_streams_with_one_name_are_both_known_and_the_table_has_one(void **state)
{
    struct test *t = test_begin(0);
    struct member *a = join(t, "t");
    settle(t);
    struct member *b = &t->members[t->members_len++];
    *b = (struct member){ .is_open = true };
    struct tr_host first = host_of("h001", "t");
    struct tr_err err;
    assert_int_equal(tr_rounds_join(t->rounds, &b->stream, &first, t->now_ms, &err), TR_OK);
    act(t);
    settle(t);
    assert_table(a, "h001");
    assert_int_equal(tr_rounds_hosts(t->rounds, NULL, 0), 2);
    leave(t, b);
    settle(t);
    assert_table(a, "h001");
    test_end(t);
    (void)state;
}

static void a_stream_above_the_limit_is_refused(void **state)
{
    const struct tr_rounds_conf conf = { .limit_ms = 1, .factor = 1 };
    struct tr_rounds *rounds = tr_rounds_new(&conf, TR_SLICE_LIT("n"));
    struct tr_rounds_stream *streams = calloc(TR_ROUNDS_STREAMS_MAX + 1, sizeof(*streams));
    struct tr_rounds_action action;
    struct tr_err err;
    for (size_t i = 0; i < TR_ROUNDS_STREAMS_MAX; i++) {
        struct tr_host first = { 0 };
        assert_int_equal(tr_rounds_join(rounds, &streams[i], &first, 1, &err), TR_OK);
        while (tr_rounds_next_action(rounds, &action)) {
            tr_order_unref(&action.order);
        }
    }
    struct tr_host first = { 0 };
    assert_int_equal(tr_rounds_join(rounds, &streams[TR_ROUNDS_STREAMS_MAX], &first, 1, &err),
                     TR_LIMIT);
    assert_null(streams[TR_ROUNDS_STREAMS_MAX].rounds);
    for (size_t i = 0; i <= TR_ROUNDS_STREAMS_MAX; i++) {
        tr_rounds_leave(&streams[i], 1);
    }
    tr_rounds_free(&rounds);
    free(streams);
    (void)state;
}

static void actions_of_a_stream_that_left_are_dropped(void **state)
{
    struct test *t = test_begin(0);
    struct member *a = join(t, "t");
    struct member *b = join(t, "t");
    settle(t);
    struct tr_host host = host_of(a->name, "u");
    tr_rounds_message(t->rounds, &a->stream, &host, t->now_ms); /* locks for both are to be sent */
    tr_buf_clear(&b->seen);
    leave(t, b);
    assert_seen(b, "");
    test_end(t);
    (void)state;
}

/* No update of a version before every joined stream has acknowledged its lock, and so on, at every step. */
static void check_order(struct test *t)
{
    enum tr_rounds_phase phase = tr_rounds_phase(t->rounds);
    for (size_t i = 0; i < t->members_len; i++) {
        const struct member *m = &t->members[i];
        if (!m->is_open || m->stream.rounds == NULL || m->stream.is_waiting ||
            phase == TR_ROUNDS_IDLE) {
            continue;
        }
        assert_int_equal(m->last_version, tr_rounds_version(t->rounds));
        assert_int_equal((int)m->last_op, (int)phase - (int)TR_ROUNDS_LOCK);
    }
}

static struct member *any_open(struct test *t, struct tr_rng *rng)
{
    struct member *m = &t->members[tr_rng_below(rng, t->members_len)];
    return m->is_open ? m : NULL;
}

static void churn(struct test *t, struct tr_rng *rng)
{
    struct member *m = any_open(t, rng);
    uint64_t what = tr_rng_below(rng, 100);
    if (what < 12 && t->members_len < MEMBERS_MAX) {
        m = join(t, tr_rng_below(rng, 4) == 0 ? NULL : "t");
        m->is_legacy = tr_rng_below(rng, 5) == 0;
        m->is_silent = tr_rng_below(rng, 30) == 0;
    } else if (m != NULL && what < 20) {
        leave(t, m);
    } else if (m != NULL && what < 24 && !m->stream.is_waiting) {
        report(t, m, tr_rng_below(rng, 3) == 0 ? NULL : "t");
    } else if (m != NULL && what < 95 && m->has_pending && !m->is_silent) {
        ack(t, m);
    } else if (what >= 95) {
        pass(t, tr_rng_below(rng, 3000));
    }
}

static void two_hundred_hosts_come_and_go_and_all_agree_in_the_end(void **state)
{
    for (uint64_t seed = 1; seed <= 12; seed++) {
        struct test *t = test_begin(seed % 2 == 0 ? 400 : 0);
        struct tr_rng rng;
        tr_rng_init_seed(&rng, seed);
        (void)join(t, "t");
        for (int step = 0; step < 4000; step++) {
            churn(t, &rng);
            check_order(t);
        }
        assert_true(t->members_len > 200);
        for (int i = 0; i < 6; i++) { /* the silent are closed, the rest finishes */
            settle(t);
            pass(t, LIMIT_MS);
        }
        settle(t);
        assert_int_equal(tr_rounds_phase(t->rounds), TR_ROUNDS_IDLE);
        struct tr_buf expected = { 0 };
        for (size_t i = 0; i < t->members_len; i++) {
            if (t->members[i].is_open && t->members[i].stream.stored != NULL) {
                tr_buf_addf(&expected, "%s%s", expected.len == 0 ? "" : " ", t->members[i].name);
            }
        }
        for (size_t i = 0; i < t->members_len; i++) {
            if (t->members[i].is_open) {
                assert_table(&t->members[i], tr_buf_cstr(&expected));
                assert_int_equal(t->members[i].last_op, TR_ORDER_UNLOCK);
            }
        }
        tr_buf_fini(&expected);
        test_end(t);
    }
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_host_with_a_type_makes_version_1),
        cmocka_unit_test(other_types_of_one_host_make_the_next_version),
        cmocka_unit_test(the_same_report_again_changes_nothing),
        cmocka_unit_test(a_host_without_types_gets_the_present_table_alone),
        cmocka_unit_test(a_first_host_without_types_gets_an_empty_table_at_version_0),
        cmocka_unit_test(hosts_that_join_in_a_round_share_the_next),
        cmocka_unit_test(hosts_without_types_that_join_in_a_round_disturb_nobody),
        cmocka_unit_test(a_leaver_makes_the_next_version_for_the_others),
        cmocka_unit_test(each_phase_waits_for_every_host),
        cmocka_unit_test(an_acknowledgement_counts_once),
        cmocka_unit_test(an_acknowledgement_of_another_phase_is_ignored),
        cmocka_unit_test(a_stale_acknowledgement_is_ignored_and_one_without_version_counts),
        cmocka_unit_test(a_stale_report_is_ignored),
        cmocka_unit_test(a_change_in_a_round_replaces_the_round),
        cmocka_unit_test(a_report_in_a_round_that_changes_nothing_is_no_acknowledgement),
        cmocka_unit_test(an_old_host_acknowledges_by_repeating_its_report),
        cmocka_unit_test(types_in_an_old_hosts_acknowledgement_count_only_when_idle),
        cmocka_unit_test(an_old_host_without_types_is_pushed_once),
        cmocka_unit_test(acknowledgements_of_a_push_are_not_for_a_round),
        cmocka_unit_test(a_round_cancels_a_push_and_its_acknowledgements_are_stale),
        cmocka_unit_test(a_report_without_types_in_a_round_brings_no_push),
        cmocka_unit_test(a_leaver_that_was_awaited_does_not_hold_up_the_phase),
        cmocka_unit_test(a_leaver_that_had_acknowledged_is_not_counted_any_more),
        cmocka_unit_test(a_leaver_without_types_does_not_hold_up_the_phase),
        cmocka_unit_test(several_leavers_of_one_round_share_the_next),
        cmocka_unit_test(the_last_host_of_a_round_leaves_and_the_waiting_are_served_at_once),
        cmocka_unit_test(the_last_host_leaves_and_a_waiting_host_without_types_gets_an_empty_table),
        cmocka_unit_test(a_waiting_host_that_leaves_never_enters_a_table),
        cmocka_unit_test(a_waiting_host_that_leaves_owes_the_others_its_round),
        cmocka_unit_test(leaving_twice_is_harmless),
        cmocka_unit_test(the_last_host_leaves_nothing_behind),
        cmocka_unit_test(a_host_silent_in_a_phase_is_closed_at_the_limit),
        cmocka_unit_test(a_completed_round_has_no_limit_left),
        cmocka_unit_test(only_the_silent_are_closed_and_the_waiting_join_the_next_round),
        cmocka_unit_test(leavers_of_a_round_that_times_out_are_gone_from_the_next_table),
        cmocka_unit_test(the_waiting_start_over_when_all_others_were_silent),
        cmocka_unit_test(survivors_get_a_round_also_if_the_table_is_the_same),
        cmocka_unit_test(the_first_event_after_a_quiet_time_is_not_delayed),
        cmocka_unit_test(joins_and_leaves_in_the_window_share_one_version),
        cmocka_unit_test(a_leaver_alone_in_the_window_makes_one_round_at_its_end),
        cmocka_unit_test(leavers_force_a_round_for_newcomers_without_types),
        cmocka_unit_test(newcomers_without_types_are_pushed_at_the_end_of_the_window),
        cmocka_unit_test(a_change_of_types_is_not_delayed_by_the_window_which_opens_anew),
        cmocka_unit_test(the_last_host_leaves_in_the_window_and_the_waiting_follow_at_its_end),
        cmocka_unit_test(the_waiting_do_not_wait_for_the_window_of_a_round_that_everybody_left),
        cmocka_unit_test(two_streams_with_one_name_are_both_known_and_the_table_has_one),
        cmocka_unit_test(a_stream_above_the_limit_is_refused),
        cmocka_unit_test(actions_of_a_stream_that_left_are_dropped),
        cmocka_unit_test(two_hundred_hosts_come_and_go_and_all_agree_in_the_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
