/*
 * The loop's system on libuv.
 *
 * Five handles drive the rules of loop.c: an async handle (wake-ups from other threads, mails), one
 * timer (the least of our heap), prepare (arms that timer just before the poll, once a turn,
 * however often our timers moved), check (the poll is over), and idle, whose only effect while it
 * is active is that the poll does not block.
 *
 * Tear-down: take turns until nothing of the users' is closing or working any more, then close the
 * five and the loop. A handle that nobody closed would keep that from ending, so it is looked for
 * and named.
 */
#include "runtime/base/loop_uv.h"

#include <signal.h>
#include <stdlib.h>
#include <time.h>

#include "runtime/base/buf.h"

struct tr_loop_os {
    uv_loop_t uv;
    uv_async_t wake;
    uv_timer_t timer;
    uv_prepare_t prepare;
    uv_check_t check;
    uv_idle_t idle;
    uint64_t timer_at_ms; /* what `timer` is armed for; UINT64_MAX for nothing */
};

uv_loop_t *tr_loop_uv(struct tr_loop *loop)
{
    return &loop->os->uv;
}

uint64_t tr_loop_os_clock_us(void)
{
    return uv_hrtime() / 1000;
}

int64_t tr_loop_os_unix_us(void)
{
    struct timespec now;
    tr_assert(clock_gettime(CLOCK_REALTIME, &now) == 0);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static void on_idle(uv_idle_t *idle)
{
    (void)idle;
}

void tr_loop_os_poll_soon(struct tr_loop *loop)
{
    if (uv_is_active((uv_handle_t *)&loop->os->idle) == 0) {
        tr_assert(uv_idle_start(&loop->os->idle, on_idle) == 0);
    }
}

void tr_loop_wake(struct tr_loop *loop)
{
    tr_assert_obj(loop, TR_LOOP_MAGIC);
    tr_assert(uv_async_send(&loop->os->wake) == 0);
}

/* --- phases ----------------------------------------------------------------------------------- */

static void on_wake(uv_async_t *wake)
{
    tr_loop_deliver(wake->data);
}

static void on_timer(uv_timer_t *timer)
{
    struct tr_loop *loop = timer->data;
    loop->os->timer_at_ms = UINT64_MAX;
    tr_loop_phase_timers(loop);
}

static void on_prepare(uv_prepare_t *prepare)
{
    struct tr_loop *loop = prepare->data;
    struct tr_loop_os *os = loop->os;
    loop->is_clock_stale = true; /* the poll may wait; its callbacks must not see the time before it */
    const uint64_t at_ms = tr_loop_next_timer_ms(loop);
    if (at_ms == os->timer_at_ms) {
        return;
    }
    os->timer_at_ms = at_ms;
    if (at_ms == UINT64_MAX) {
        tr_assert(uv_timer_stop(&os->timer) == 0);
        return;
    }
    /* libuv's clock is ours, but may have been read earlier: count from its reading. */
    const uint64_t now_ms = uv_now(&os->uv);
    tr_assert(uv_timer_start(&os->timer, on_timer, at_ms > now_ms ? at_ms - now_ms : 0, 0) == 0);
}

static void on_check(uv_check_t *check)
{
    struct tr_loop *loop = check->data;
    tr_assert(uv_idle_stop(&loop->os->idle) == 0);
    tr_loop_phase_polled(loop);
}

/* --- life ------------------------------------------------------------------------------------- */

struct tr_loop *tr_loop_new(void)
{
    struct tr_loop *loop = tr_xzalloc(sizeof(*loop));
    loop->magic = TR_LOOP_MAGIC;
    loop->thread = pthread_self();
    tr_link_init(&loop->defers);
    tr_link_init(&loop->checks);
    atomic_init(&loop->mails, NULL);
    loop->now_us = tr_loop_os_clock_us();
    loop->unix_us = tr_loop_os_unix_us();
    struct tr_loop_os *os = loop->os = tr_xzalloc(sizeof(*os));
    os->timer_at_ms = UINT64_MAX;
    /* Writes to a broken connection must answer EPIPE; libuv's children get the default action
     * back. */
    tr_assert(signal(SIGPIPE, SIG_IGN) != SIG_ERR);
    tr_assert(uv_loop_init(&os->uv) == 0);
    tr_assert(uv_async_init(&os->uv, &os->wake, on_wake) == 0);
    tr_assert(uv_timer_init(&os->uv, &os->timer) == 0);
    tr_assert(uv_prepare_init(&os->uv, &os->prepare) == 0);
    tr_assert(uv_check_init(&os->uv, &os->check) == 0);
    tr_assert(uv_idle_init(&os->uv, &os->idle) == 0);
    os->wake.data = os->timer.data = os->prepare.data = os->check.data = loop;
    tr_assert(uv_prepare_start(&os->prepare, on_prepare) == 0);
    tr_assert(uv_check_start(&os->check, on_check) == 0);
    return loop;
}

void tr_loop_run(struct tr_loop *loop)
{
    tr_loop_assert(loop);
    while (!loop->is_stopping) {
        uv_run(&loop->os->uv, UV_RUN_DEFAULT);
    }
    loop->is_stopping = false;
}

void tr_loop_stop(struct tr_loop *loop)
{
    tr_loop_assert(loop);
    loop->is_stopping = true;
    uv_stop(&loop->os->uv);
}

int tr_loop_fd(const struct tr_loop *loop)
{
    return uv_backend_fd(&loop->os->uv);
}

void tr_loop_turn(struct tr_loop *loop)
{
    tr_loop_assert(loop);
    uv_run(&loop->os->uv, UV_RUN_NOWAIT);
}

struct until {
    struct tr_timer timer;
    bool is_over;
};

static void on_until_over(struct tr_timer *timer)
{
    TR_CONTAINER_OF(timer, struct until, timer)->is_over = true;
}

bool tr_loop_run_until(struct tr_loop *loop, bool (*done)(void *ctx), void *ctx,
                       uint64_t timeout_ms)
{
    tr_loop_assert(loop);
    struct until until = { .is_over = false };
    tr_timer_init(&until.timer, loop, on_until_over);
    /* The clock may be old when no turn was taken for a while. */
    tr_timer_set(&until.timer, tr_loop_os_clock_us() / 1000 + timeout_ms);
    bool is_done = done(ctx);
    while (!is_done && !until.is_over && !loop->is_stopping) {
        uv_run(&loop->os->uv, UV_RUN_ONCE);
        is_done = done(ctx);
    }
    loop->is_stopping = false;
    tr_timer_stop(&until.timer);
    return is_done;
}

/* --- tear-down -------------------------------------------------------------------------------- */

struct leftovers {
    const struct tr_loop_os *os;
    const char *kind; /* of a handle that nobody closed, or NULL */
    bool is_closing;  /* a handle is on its way */
};

static void look_at_handle(uv_handle_t *handle, void *ctx)
{
    struct leftovers *left = ctx;
    const struct tr_loop_os *os = left->os;
    if (handle == (const uv_handle_t *)&os->wake || handle == (const uv_handle_t *)&os->timer ||
        handle == (const uv_handle_t *)&os->prepare || handle == (const uv_handle_t *)&os->check ||
        handle == (const uv_handle_t *)&os->idle) {
        return;
    }
    if (uv_is_closing(handle) != 0) {
        left->is_closing = true;
    } else {
        left->kind = uv_handle_type_name(uv_handle_get_type(handle));
    }
}

static struct leftovers look_around(struct tr_loop *loop)
{
    struct leftovers left = { .os = loop->os };
    uv_walk(&loop->os->uv, look_at_handle, &left);
    return left;
}

static void drain(struct tr_loop *loop)
{
    for (;;) {
        const struct leftovers left = look_around(loop);
        const bool is_waiting =
            loop->works_open > 0 || left.is_closing || !tr_list_empty(&loop->defers);
        if (!is_waiting) {
            if (left.kind != NULL) {
                tr_assert_fail(__FILE__, __LINE__, left.kind);
            }
            return;
        }
        uv_run(&loop->os->uv, loop->works_open > 0 ? UV_RUN_ONCE : UV_RUN_NOWAIT);
    }
}

static void close_own(uv_handle_t *handle)
{
    uv_close(handle, NULL);
}

void tr_loop_free(struct tr_loop **loop)
{
    struct tr_loop *l = *loop;
    if (l == NULL) {
        return;
    }
    tr_loop_assert(l);
    drain(l);
    tr_loop_deliver(l);
    tr_assert(tr_list_empty(&l->checks));
    struct tr_loop_os *os = l->os;
    close_own((uv_handle_t *)&os->wake);
    close_own((uv_handle_t *)&os->timer);
    close_own((uv_handle_t *)&os->prepare);
    close_own((uv_handle_t *)&os->check);
    close_own((uv_handle_t *)&os->idle);
    uv_run(&os->uv, UV_RUN_DEFAULT);
    tr_assert(uv_loop_close(&os->uv) == 0);
    tr_heap_fini(&l->timers);
    free(l->read_buf);
    free(os);
    l->magic = 0;
    free(l);
    *loop = NULL; /* last: what drained above may have looked here for its loop */
}
