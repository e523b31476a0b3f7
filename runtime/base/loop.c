/*
 * The rules of the loop: which timer, hook and deferred call runs when. The system behind it (poll,
 * descriptors, signals) is in loop_uv.c.
 *
 * A turn: timers that were due when it began, in order of time and then of setting; poll; hooks;
 * deferred calls in rounds, so that a call deferred by a deferred call still runs in this turn, up
 * to a limit that keeps the sockets alive.
 */
#include "runtime/base/loop_int.h"

#include "runtime/base/buf.h"

/* --- clocks ----------------------------------------------------------------------------------- */

void tr_loop_assert(const struct tr_loop *loop)
{
    tr_assert_obj(loop, TR_LOOP_MAGIC);
    tr_assert(pthread_equal(loop->thread, pthread_self()) != 0);
}

/* Read both clocks. They are a cache, so that readers of a const loop may fill it. */
static void refresh_clocks(const struct tr_loop *const_loop)
{
    struct tr_loop *loop = (struct tr_loop *)(uintptr_t)const_loop;
    const uint64_t now_us = tr_loop_os_clock_us();
    tr_assert(now_us >= loop->now_us);
    loop->now_us = now_us;
    loop->unix_us = tr_loop_os_unix_us();
    loop->is_clock_stale = false;
}

uint64_t tr_loop_now_us(const struct tr_loop *loop)
{
    tr_loop_assert(loop);
    if (loop->is_clock_stale) {
        refresh_clocks(loop);
    }
    return loop->now_us;
}

uint64_t tr_loop_now_ms(const struct tr_loop *loop)
{
    return tr_loop_now_us(loop) / 1000;
}

uint64_t tr_loop_clock_us(const struct tr_loop *loop)
{
    tr_loop_assert(loop);
    return tr_loop_os_clock_us();
}

int64_t tr_loop_unix_us(const struct tr_loop *loop)
{
    tr_loop_assert(loop);
    if (loop->is_clock_stale) {
        refresh_clocks(loop);
    }
    return loop->unix_us;
}

int64_t tr_loop_unix_ms(const struct tr_loop *loop)
{
    return tr_loop_unix_us(loop) / 1000;
}

/* --- timers ----------------------------------------------------------------------------------- */

void tr_timer_init(struct tr_timer *timer, struct tr_loop *loop, void (*cb)(struct tr_timer *timer))
{
    tr_loop_assert(loop);
    tr_assert(cb != NULL);
    *timer = (struct tr_timer){ .loop = loop, .cb = cb };
}

void tr_timer_set(struct tr_timer *timer, uint64_t at_ms)
{
    tr_loop_assert(timer->loop);
    tr_heap_remove(&timer->loop->timers, &timer->node);
    tr_heap_push(&timer->loop->timers, &timer->node, at_ms);
}

void tr_timer_stop(struct tr_timer *timer)
{
    if (tr_timer_is_set(timer)) {
        tr_loop_assert(timer->loop);
        tr_heap_remove(&timer->loop->timers, &timer->node);
    }
}

uint64_t tr_loop_next_timer_ms(const struct tr_loop *loop)
{
    const struct tr_heap_node *node = tr_heap_min(&loop->timers);
    return node == NULL ? UINT64_MAX : node->key;
}

void tr_loop_phase_timers(struct tr_loop *loop)
{
    refresh_clocks(loop);
    const uint64_t now_ms = loop->now_us / 1000;
    /* Timers set from now on wait for the next turn, even if they are due. */
    const uint64_t seq_end = loop->timers.seq;
    struct tr_heap_node *node;
    while ((node = tr_heap_min(&loop->timers)) != NULL && node->key <= now_ms &&
           node->seq < seq_end) {
        struct tr_timer *timer = TR_CONTAINER_OF(node, struct tr_timer, node);
        tr_heap_remove(&loop->timers, node);
        timer->cb(timer);
    }
}

/* --- deferred calls --------------------------------------------------------------------------- */

void tr_defer(struct tr_loop *loop, struct tr_defer *defer, void (*cb)(struct tr_defer *defer))
{
    tr_loop_assert(loop);
    tr_assert(cb != NULL);
    if (defer->is_set) {
        tr_assert(defer->cb == cb);
        return;
    }
    defer->cb = cb;
    defer->is_set = true;
    tr_link_init(&defer->link);
    tr_list_add_tail(&loop->defers, &defer->link);
    if (!loop->is_after_poll) {
        tr_loop_os_poll_soon(loop);
    }
}

void tr_defer_cancel(struct tr_defer *defer)
{
    if (defer->is_set) {
        tr_link_remove(&defer->link);
        defer->is_set = false;
    }
}

static void run_defers(struct tr_loop *loop)
{
    struct tr_link round;
    tr_link_init(&round);
    tr_list_splice(&round, &loop->defers);
    struct tr_link *link;
    while ((link = tr_list_pop(&round)) != NULL) {
        struct tr_defer *defer = TR_CONTAINER_OF(link, struct tr_defer, link);
        defer->is_set = false;
        defer->cb(defer);
    }
}

/* --- hooks ------------------------------------------------------------------------------------ */

void tr_loop_on_check(struct tr_loop *loop, struct tr_check *check)
{
    tr_loop_assert(loop);
    tr_assert(check->cb != NULL);
    tr_link_init(&check->link);
    tr_list_add_tail(&loop->checks, &check->link);
}

void tr_loop_off_check(struct tr_loop *loop, struct tr_check *check)
{
    tr_loop_assert(loop);
    if (loop->check_next == &check->link) {
        loop->check_next = check->link.next;
    }
    tr_link_remove(&check->link);
}

void tr_loop_again(struct tr_loop *loop)
{
    tr_loop_assert(loop);
    tr_loop_os_poll_soon(loop);
}

static void run_checks(struct tr_loop *loop)
{
    for (struct tr_link *link = loop->checks.next; link != &loop->checks; link = loop->check_next) {
        struct tr_check *check = TR_CONTAINER_OF(link, struct tr_check, link);
        loop->check_next = link->next;
        check->cb(check);
    }
    loop->check_next = NULL;
}

void tr_loop_phase_polled(struct tr_loop *loop)
{
    refresh_clocks(loop);
    loop->is_after_poll = true;
    run_checks(loop);
    for (unsigned round = 0; round < TR_LOOP_DEFER_ROUNDS_MAX && !tr_list_empty(&loop->defers);
         round++) {
        run_defers(loop);
    }
    loop->is_after_poll = false;
    if (!tr_list_empty(&loop->defers)) {
        tr_loop_os_poll_soon(loop);
    }
}
