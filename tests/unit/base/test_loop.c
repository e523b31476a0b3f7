#include "runtime/base/loop.h"

#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <unistd.h>
#include <cmocka.h>

#define WAIT_MS 10000

/* What happened, in order, as one string. */
struct trace {
    struct tr_loop *loop;
    char text[64];
    size_t len;
};

static struct trace trace;

static void note(char what)
{
    assert_true(trace.len + 1 < sizeof(trace.text));
    trace.text[trace.len++] = what;
    trace.text[trace.len] = '\0';
}

static int set_up(void **state)
{
    (void)state;
    trace = (struct trace){ .loop = tr_loop_new() };
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    tr_loop_free(&trace.loop);
    assert_null(trace.loop);
    return 0;
}

static bool has_traced(void *ctx)
{
    return trace.len >= *(const size_t *)ctx;
}

static void wait_for_notes(size_t n)
{
    assert_true(tr_loop_run_until(trace.loop, has_traced, &n, WAIT_MS));
}

/* --- timers ----------------------------------------------------------------------------------- */

struct lettered {
    struct tr_timer timer;
    struct tr_timer *to_stop;
    bool again;
    char letter;
};

static void on_lettered(struct tr_timer *timer)
{
    struct lettered *l = TR_CONTAINER_OF(timer, struct lettered, timer);
    assert_false(tr_timer_is_set(timer));
    assert_true(tr_loop_now_ms(trace.loop) >= tr_timer_at_ms(timer));
    note(l->letter);
    if (l->to_stop != NULL) {
        tr_timer_stop(l->to_stop);
    }
    if (l->again) {
        l->again = false;
        tr_timer_set(timer, 0);
    }
}

static struct lettered lettered(char letter)
{
    struct lettered l = { .letter = letter };
    tr_timer_init(&l.timer, trace.loop, on_lettered);
    return l;
}

static void timers_fire_in_order_of_time_then_of_setting(void **state)
{
    (void)state;
    struct lettered a = lettered('a'), b = lettered('b'), c = lettered('c'), d = lettered('d');
    const uint64_t now = tr_loop_now_ms(trace.loop);
    tr_timer_set(&d.timer, now + 6);
    tr_timer_set(&b.timer, now + 5);
    tr_timer_set(&c.timer, now + 5);
    tr_timer_set(&a.timer, 1);
    wait_for_notes(4);
    assert_string_equal(trace.text, "abcd");
}

static void a_timer_that_is_moved_fires_once_at_the_new_time(void **state)
{
    (void)state;
    struct lettered a = lettered('a'), b = lettered('b');
    const uint64_t now = tr_loop_now_ms(trace.loop);
    tr_timer_set(&a.timer, now);
    tr_timer_set(&a.timer, now + 8);
    tr_timer_set(&b.timer, now + 4);
    assert_int_equal(tr_timer_at_ms(&a.timer), now + 8);
    wait_for_notes(2);
    assert_string_equal(trace.text, "ba");
}

static void a_timer_can_stop_another_that_is_due(void **state)
{
    (void)state;
    struct lettered a = lettered('a'), b = lettered('b'), c = lettered('c');
    a.to_stop = &b.timer;
    tr_timer_set(&a.timer, 1);
    tr_timer_set(&b.timer, 1);
    tr_timer_set(&c.timer, 1);
    wait_for_notes(2);
    tr_timer_stop(&b.timer);
    assert_string_equal(trace.text, "ac");
}

static void a_timer_set_again_from_its_own_call_waits_for_the_next_turn(void **state)
{
    (void)state;
    struct lettered a = lettered('a'), b = lettered('b');
    a.again = true;
    tr_timer_set(&a.timer, 0);
    tr_timer_set(&b.timer, 0);
    wait_for_notes(3);
    assert_int_equal(trace.text[2], trace.text[0] == trace.text[1] ? 'b' : 'a');
    assert_false(tr_timer_is_set(&a.timer));
}

/* --- deferred calls --------------------------------------------------------------------------- */

struct chain {
    struct tr_defer defer;
    unsigned left;
    char letter;
};

static void on_chain(struct tr_defer *defer)
{
    struct chain *chain = TR_CONTAINER_OF(defer, struct chain, defer);
    note(chain->letter);
    if (chain->left > 0) {
        chain->left--;
        tr_defer(trace.loop, defer, on_chain);
    }
}

static void deferred_calls_never_run_inside_and_keep_their_order(void **state)
{
    (void)state;
    struct chain a = { .letter = 'a' }, b = { .letter = 'b' };
    tr_defer(trace.loop, &a.defer, on_chain);
    tr_defer(trace.loop, &b.defer, on_chain);
    tr_defer(trace.loop, &a.defer, on_chain);
    assert_true(a.defer.is_set);
    assert_int_equal(trace.len, 0);
    tr_loop_turn(trace.loop);
    assert_string_equal(trace.text, "ab");
    assert_false(a.defer.is_set);
}

static void a_canceled_deferred_call_does_not_come(void **state)
{
    (void)state;
    struct chain a = { .letter = 'a' }, b = { .letter = 'b' };
    tr_defer(trace.loop, &a.defer, on_chain);
    tr_defer(trace.loop, &b.defer, on_chain);
    tr_defer_cancel(&a.defer);
    tr_defer_cancel(&a.defer);
    tr_loop_turn(trace.loop);
    assert_string_equal(trace.text, "b");
}

static void a_long_chain_of_deferred_calls_lets_other_turns_pass(void **state)
{
    (void)state;
    struct chain a = { .letter = 'a', .left = 20 };
    tr_defer(trace.loop, &a.defer, on_chain);
    tr_loop_turn(trace.loop);
    assert_true(trace.len > 1);
    assert_true(trace.len < 21);
    wait_for_notes(21);
}

static void deferred_calls_left_over_run_before_the_loop_is_freed(void **state)
{
    (void)state;
    struct chain a = { .letter = 'a', .left = 20 };
    tr_defer(trace.loop, &a.defer, on_chain);
    tr_loop_free(&trace.loop);
    assert_int_equal(trace.len, 21);
}

/* --- hooks ------------------------------------------------------------------------------------ */

struct pump {
    struct tr_check check;
    struct tr_check *to_remove;
    unsigned again;
    char letter;
};

static void on_pump(struct tr_check *check)
{
    struct pump *pump = TR_CONTAINER_OF(check, struct pump, check);
    note(pump->letter);
    if (pump->to_remove != NULL) {
        tr_loop_off_check(trace.loop, pump->to_remove);
        pump->to_remove = NULL;
    }
    if (pump->again > 0) {
        pump->again--;
        tr_loop_again(trace.loop);
    }
}

static void hooks_run_after_the_poll_and_before_deferred_calls(void **state)
{
    (void)state;
    struct pump p = { .check.cb = on_pump, .letter = 'p' },
                q = { .check.cb = on_pump, .letter = 'q' };
    struct chain a = { .letter = 'a' };
    tr_loop_on_check(trace.loop, &p.check);
    tr_loop_on_check(trace.loop, &q.check);
    tr_defer(trace.loop, &a.defer, on_chain);
    tr_loop_turn(trace.loop);
    assert_string_equal(trace.text, "pqa");
    tr_loop_off_check(trace.loop, &p.check);
    tr_loop_off_check(trace.loop, &q.check);
    tr_loop_turn(trace.loop);
    assert_string_equal(trace.text, "pqa");
}

static void a_hook_may_remove_itself_or_the_next(void **state)
{
    (void)state;
    struct pump p = { .check.cb = on_pump, .letter = 'p' },
                q = { .check.cb = on_pump, .letter = 'q' },
                r = { .check.cb = on_pump, .letter = 'r' };
    tr_loop_on_check(trace.loop, &p.check);
    tr_loop_on_check(trace.loop, &q.check);
    tr_loop_on_check(trace.loop, &r.check);
    p.to_remove = &q.check;
    r.to_remove = &r.check;
    tr_loop_turn(trace.loop);
    tr_loop_turn(trace.loop);
    assert_string_equal(trace.text, "prp");
    tr_loop_off_check(trace.loop, &p.check);
}

static void a_hook_that_asks_again_is_run_without_blocking(void **state)
{
    (void)state;
    struct pump p = { .check.cb = on_pump, .letter = 'p', .again = 5 };
    tr_loop_on_check(trace.loop, &p.check);
    tr_loop_again(trace.loop);
    wait_for_notes(6); /* would hang in the poll until the end of the wait, and then fail */
    tr_loop_off_check(trace.loop, &p.check);
}

/* --- stop ------------------------------------------------------------------------------------- */

static void on_stop(struct tr_defer *defer)
{
    (void)defer;
    note('s');
    tr_loop_stop(trace.loop);
}

static bool never(void *ctx)
{
    (void)ctx;
    return false;
}

static void run_returns_when_stopped_from_inside_or_before(void **state)
{
    (void)state;
    struct tr_defer defer = { .is_set = false };
    tr_defer(trace.loop, &defer, on_stop);
    tr_loop_run(trace.loop);
    assert_string_equal(trace.text, "s");
    tr_loop_stop(trace.loop);
    tr_loop_run(trace.loop);
    tr_defer(trace.loop, &defer, on_stop);
    assert_false(tr_loop_run_until(trace.loop, never, NULL, WAIT_MS));
    assert_string_equal(trace.text, "ss");
}

static void run_until_gives_up_after_its_time(void **state)
{
    (void)state;
    const uint64_t from_us = tr_loop_clock_us(trace.loop);
    assert_false(tr_loop_run_until(trace.loop, never, NULL, 3));
    assert_true(tr_loop_clock_us(trace.loop) - from_us >= 2000);
    assert_true(tr_loop_now_us(trace.loop) > 0);
    assert_true(tr_loop_unix_ms(trace.loop) > INT64_C(1600000000000));
}

/* --- descriptors and signals ------------------------------------------------------------------ */

static void on_readable(void *ctx, unsigned events)
{
    const int *fd = ctx;
    char c;
    if ((events & TR_FD_READ) != 0) {
        assert_int_equal(read(*fd, &c, 1), 1);
        note(c);
    }
    if ((events & TR_FD_WRITE) != 0) {
        note('w');
    }
}

static void a_watched_descriptor_reports_what_it_is_watched_for(void **state)
{
    (void)state;
    int fds[2];
    assert_int_equal(pipe(fds), 0);
    struct tr_fd_watch *in = NULL, *out = NULL;
    struct tr_err err;
    assert_int_equal(
        tr_fd_watch_new(trace.loop, fds[0], TR_FD_READ, on_readable, &fds[0], &in, &err), TR_OK);
    assert_int_equal(tr_fd_watch_new(trace.loop, fds[1], 0, on_readable, &fds[1], &out, &err),
                     TR_OK);
    assert_int_equal(write(fds[1], "xy", 2), 2);
    wait_for_notes(2);
    assert_string_equal(trace.text, "xy");
    tr_fd_watch_set(out, TR_FD_WRITE);
    wait_for_notes(3);
    assert_int_equal(trace.text[2], 'w');
    tr_fd_watch_free(&in);
    tr_fd_watch_free(&out);
    assert_null(out);
    tr_loop_turn(trace.loop);
    close(fds[0]);
    close(fds[1]);
}

static void watching_a_bad_descriptor_is_an_error(void **state)
{
    (void)state;
    struct tr_fd_watch *watch = NULL;
    struct tr_err err;
    assert_int_not_equal(
        tr_fd_watch_new(trace.loop, 9999, TR_FD_READ, on_readable, NULL, &watch, &err), TR_OK);
    assert_string_equal(err.msg, "watch descriptor 9999: bad file descriptor");
    assert_null(watch);
}

static void on_signaled(void *ctx, int signum)
{
    assert_int_equal(signum, SIGUSR1);
    note(*(const char *)ctx);
}

static void a_signal_comes_on_the_loop(void **state)
{
    (void)state;
    struct tr_signal_watch *watch = NULL;
    struct tr_err err;
    char letter = 'u';
    assert_int_equal(tr_signal_watch_new(trace.loop, SIGUSR1, on_signaled, &letter, &watch, &err),
                     TR_OK);
    assert_int_equal(raise(SIGUSR1), 0);
    wait_for_notes(1);
    assert_string_equal(trace.text, "u");
    tr_signal_watch_free(&watch);
    assert_null(watch);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(timers_fire_in_order_of_time_then_of_setting),
        TEST(a_timer_that_is_moved_fires_once_at_the_new_time),
        TEST(a_timer_can_stop_another_that_is_due),
        TEST(a_timer_set_again_from_its_own_call_waits_for_the_next_turn),
        TEST(deferred_calls_never_run_inside_and_keep_their_order),
        TEST(a_canceled_deferred_call_does_not_come),
        TEST(a_long_chain_of_deferred_calls_lets_other_turns_pass),
        TEST(deferred_calls_left_over_run_before_the_loop_is_freed),
        TEST(hooks_run_after_the_poll_and_before_deferred_calls),
        TEST(a_hook_may_remove_itself_or_the_next),
        TEST(a_hook_that_asks_again_is_run_without_blocking),
        TEST(run_returns_when_stopped_from_inside_or_before),
        TEST(run_until_gives_up_after_its_time),
        TEST(a_watched_descriptor_reports_what_it_is_watched_for),
        TEST(watching_a_bad_descriptor_is_an_error),
        TEST(a_signal_comes_on_the_loop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
