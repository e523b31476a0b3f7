#include "runtime/base/worker.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <stdlib.h>
#include <cmocka.h>

#include "runtime/base/buf.h"
#include "runtime/base/mailbox.h"

#define WAIT_MS 10000
#define POSTERS 4
#define MAILS   500

static struct tr_loop *loop;

static int set_up(void **state)
{
    (void)state;
    loop = tr_loop_new();
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    tr_loop_free(&loop);
    return 0;
}

/* --- work ------------------------------------------------------------------------------------- */

struct sum {
    struct tr_work work;
    pthread_t ran_on;
    unsigned from;
    unsigned to;
    atomic_bool *gate; /* run waits for it, or NULL */
    bool has_run;
    bool is_done;
};

static void on_sum_run(struct tr_work *work)
{
    struct sum *sum = TR_CONTAINER_OF(work, struct sum, work);
    sum->ran_on = pthread_self();
    sum->has_run = true;
    sum->to = sum->from * 2;
    while (sum->gate != NULL && !atomic_load(sum->gate)) {
    }
}

static void on_sum_done(struct tr_work *work)
{
    struct sum *sum = TR_CONTAINER_OF(work, struct sum, work);
    assert_false(sum->is_done);
    tr_loop_assert(loop);
    sum->is_done = true;
}

static bool sum_is_done(void *ctx)
{
    return ((struct sum *)ctx)->is_done;
}

static void work_runs_on_another_thread_and_is_done_on_the_loop(void **state)
{
    (void)state;
    struct sum sum = { .work = { .run = on_sum_run, .done = on_sum_done }, .from = 21 };
    tr_work_start(loop, &sum.work);
    assert_false(sum.is_done);
    assert_true(tr_loop_run_until(loop, sum_is_done, &sum, WAIT_MS));
    assert_int_equal(sum.work.err.code, TR_OK);
    assert_int_equal(sum.to, 42);
    assert_false(pthread_equal(sum.ran_on, pthread_self()));
}

static void work_may_be_started_again_when_done(void **state)
{
    (void)state;
    struct sum sum = { .work = { .run = on_sum_run, .done = on_sum_done } };
    for (unsigned i = 0; i < 3; i++) {
        sum.is_done = false;
        sum.from = i;
        tr_work_start(loop, &sum.work);
        assert_true(tr_loop_run_until(loop, sum_is_done, &sum, WAIT_MS));
        assert_int_equal(sum.to, 2 * i);
    }
}

static void work_canceled_in_time_does_not_run_and_still_calls_back(void **state)
{
    (void)state;
    enum { WORKS = 64 }; /* more than there are threads, so the last waits behind the gate */
    atomic_bool gate = false;
    static struct sum sums[WORKS];
    for (size_t i = 0; i < WORKS; i++) {
        sums[i] = (struct sum){ .work = { .run = on_sum_run, .done = on_sum_done }, .gate = &gate };
        tr_work_start(loop, &sums[i].work);
    }
    tr_work_cancel(&sums[WORKS - 1].work);
    atomic_store(&gate, true);
    for (size_t i = 0; i < WORKS; i++) {
        assert_true(tr_loop_run_until(loop, sum_is_done, &sums[i], WAIT_MS));
    }
    assert_int_equal(sums[WORKS - 1].work.err.code, TR_CANCELED);
    assert_false(sums[WORKS - 1].has_run);
    assert_true(sums[0].has_run);
}

static void work_beyond_the_limit_is_refused_through_the_callback(void **state)
{
    (void)state;
    atomic_bool gate = false;
    struct sum *sums = tr_xzalloc((TR_WORK_OPEN_MAX + 1) * sizeof(*sums));
    for (size_t i = 0; i <= TR_WORK_OPEN_MAX; i++) {
        sums[i] = (struct sum){ .work = { .run = on_sum_run, .done = on_sum_done }, .gate = &gate };
        tr_work_start(loop, &sums[i].work);
    }
    assert_false(sums[TR_WORK_OPEN_MAX].is_done);
    assert_true(tr_loop_run_until(loop, sum_is_done, &sums[TR_WORK_OPEN_MAX], WAIT_MS));
    assert_int_equal(sums[TR_WORK_OPEN_MAX].work.err.code, TR_LIMIT);
    assert_false(sums[TR_WORK_OPEN_MAX].has_run);
    atomic_store(&gate, true);
    tr_loop_free(&loop); /* waits for the rest */
    assert_true(sums[TR_WORK_OPEN_MAX - 1].is_done);
    free(sums);
}

/* --- mail ------------------------------------------------------------------------------------- */

struct letter {
    struct tr_mail mail;
    unsigned poster;
    unsigned number;
};

struct office {
    struct tr_mailbox mailbox;
    unsigned next[POSTERS];
    unsigned seen;
};

struct poster {
    struct office *office;
    unsigned id;
};

static void on_mail(struct tr_mailbox *mailbox, struct tr_mail *mail)
{
    struct office *office = TR_CONTAINER_OF(mailbox, struct office, mailbox);
    struct letter *letter = TR_CONTAINER_OF(mail, struct letter, mail);
    tr_loop_assert(loop);
    assert_int_equal(letter->number, office->next[letter->poster]);
    office->next[letter->poster]++;
    office->seen++;
    free(letter);
}

static void *post_many(void *ctx)
{
    const struct poster *poster = ctx;
    for (unsigned i = 0; i < MAILS; i++) {
        struct letter *letter = tr_xzalloc(sizeof(*letter));
        letter->poster = poster->id;
        letter->number = i;
        tr_mailbox_post(&poster->office->mailbox, &letter->mail);
    }
    return NULL;
}

static bool all_seen(void *ctx)
{
    return ((struct office *)ctx)->seen == POSTERS * MAILS;
}

static void mails_of_many_threads_arrive_each_once_in_the_order_of_their_poster(void **state)
{
    (void)state;
    struct office office = { .seen = 0 };
    tr_mailbox_init(&office.mailbox, loop, on_mail);
    struct poster posters[POSTERS];
    pthread_t threads[POSTERS];
    for (unsigned i = 0; i < POSTERS; i++) {
        posters[i] = (struct poster){ .office = &office, .id = i };
        assert_int_equal(pthread_create(&threads[i], NULL, post_many, &posters[i]), 0);
    }
    assert_true(tr_loop_run_until(loop, all_seen, &office, WAIT_MS));
    for (unsigned i = 0; i < POSTERS; i++) {
        pthread_join(threads[i], NULL);
    }
    assert_true(tr_mailbox_is_empty(&office.mailbox));
    tr_mailbox_fini(&office.mailbox);
}

static void mail_can_be_delivered_without_a_turn(void **state)
{
    (void)state;
    struct office office = { .seen = 0 };
    tr_mailbox_init(&office.mailbox, loop, on_mail);
    struct poster poster = { .office = &office };
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, post_many, &poster), 0);
    pthread_join(thread, NULL);
    assert_false(tr_mailbox_is_empty(&office.mailbox));
    tr_loop_deliver(loop);
    assert_int_equal(office.seen, MAILS);
    tr_mailbox_fini(&office.mailbox);
}

/* --- op --------------------------------------------------------------------------------------- */

struct wish {
    struct tr_op op;
    unsigned done;
};

static void on_wish(struct tr_op *op)
{
    assert_false(tr_op_is_open(op));
    assert_false(tr_link_linked(&op->link));
    TR_CONTAINER_OF(op, struct wish, op)->done++;
}

static void an_operation_stays_in_its_owners_list_until_it_completes(void **state)
{
    (void)state;
    struct tr_link open;
    tr_link_init(&open);
    struct wish a = { .done = 0 }, b = { .done = 0 };
    tr_op_begin(&a.op, loop, &open, on_wish);
    tr_op_begin(&b.op, loop, &open, on_wish);
    assert_ptr_equal(tr_list_first(&open), &a.op.link);
    tr_op_finish_later(&a.op);
    assert_false(tr_op_is_started(&a.op));
    assert_true(tr_op_is_open(&a.op));
    tr_op_finish(&b.op);
    assert_int_equal(b.done, 1);
    assert_int_equal(a.done, 0);
    assert_false(tr_list_empty(&open));
    tr_loop_turn(loop);
    assert_int_equal(a.done, 1);
    assert_true(tr_list_empty(&open));
    tr_op_begin(&a.op, loop, NULL, on_wish);
    tr_op_finish_later(&a.op);
    tr_loop_turn(loop);
    assert_int_equal(a.done, 2);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(work_runs_on_another_thread_and_is_done_on_the_loop),
        TEST(work_may_be_started_again_when_done),
        TEST(work_canceled_in_time_does_not_run_and_still_calls_back),
        TEST(work_beyond_the_limit_is_refused_through_the_callback),
        TEST(mails_of_many_threads_arrive_each_once_in_the_order_of_their_poster),
        TEST(mail_can_be_delivered_without_a_turn),
        TEST(an_operation_stays_in_its_owners_list_until_it_completes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
