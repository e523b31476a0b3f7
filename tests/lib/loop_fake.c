/* See loop_fake.h. */
#include "tests/lib/loop_fake.h"

#include <stdlib.h>

#include "runtime/base/buf.h"
#include "runtime/base/loop_int.h"

#define START_US UINT64_C(1000000000)

/* The clock of the one loop of a test. */
static uint64_t clock_us = START_US;

uint64_t tr_loop_os_clock_us(void)
{
    return clock_us;
}

int64_t tr_loop_os_unix_us(void)
{
    return LOOP_FAKE_UNIX_MS * 1000 + (int64_t)(clock_us - START_US);
}

void tr_loop_os_poll_soon(struct tr_loop *loop)
{
    (void)loop; /* there is no poll */
}

void tr_loop_wake(struct tr_loop *loop)
{
    (void)loop;
}

struct tr_loop *tr_loop_new(void)
{
    struct tr_loop *loop = tr_xzalloc(sizeof(*loop));
    clock_us = START_US;
    loop->magic = TR_LOOP_MAGIC;
    loop->thread = pthread_self();
    loop->now_us = clock_us;
    loop->unix_us = tr_loop_os_unix_us();
    tr_link_init(&loop->defers);
    tr_link_init(&loop->checks);
    return loop;
}

void tr_loop_free(struct tr_loop **loop)
{
    if (*loop == NULL) {
        return;
    }
    tr_assert(tr_list_empty(&(*loop)->defers));
    tr_heap_fini(&(*loop)->timers);
    free(*loop);
    *loop = NULL;
}

void tr_loop_turn(struct tr_loop *loop)
{
    tr_loop_phase_timers(loop);
    tr_loop_phase_polled(loop);
}

void loop_fake_settle(struct tr_loop *loop)
{
    unsigned turns_len = 0;
    do {
        tr_loop_turn(loop);
        tr_assert(++turns_len < 1000000); /* it never comes to rest */
    } while (!tr_list_empty(&loop->defers) || tr_loop_next_timer_ms(loop) <= clock_us / 1000);
}

void loop_fake_advance(struct tr_loop *loop, uint64_t ms)
{
    const uint64_t end_us = clock_us + ms * 1000;
    loop_fake_settle(loop);
    while (tr_loop_next_timer_ms(loop) <= end_us / 1000) {
        const uint64_t due_us = tr_loop_next_timer_ms(loop) * 1000;
        clock_us = due_us > clock_us ? due_us : clock_us;
        loop_fake_settle(loop);
    }
    clock_us = end_us;
    loop_fake_settle(loop);
}
