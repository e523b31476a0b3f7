/*
 * The event loop: one thread that owns every object and makes every decision. This header gives
 * clocks, timers, deferred calls, watches of descriptors and signals, and hooks; net.h, worker.h
 * and process.h stand on it. No type of libuv leaves the files runtime/base/..._uv.c.
 *
 * One turn: timers that are due; then poll (sockets, descriptors, signals, mailboxes); then the
 * check hooks in the order of their registration; then deferred calls. The clocks are read at
 * the start of a turn and again after the poll. The poll does not block while a deferred call is
 * waiting or somebody asked for tr_loop_again().
 *
 * Unless it says otherwise, everything here belongs to the thread that made the loop, which is
 * checked.
 */
#ifndef TR_BASE_LOOP_H
#define TR_BASE_LOOP_H

#include <stdbool.h>
#include <stdint.h>

#include "runtime/base/err.h"
#include "runtime/base/heap.h"
#include "runtime/base/list.h"

struct tr_loop;

/* --- life ------------------------------------------------------------------------------------- */

/* Make a loop that belongs to the calling thread. Aborts when the system has no descriptors left.
 * SIGPIPE is ignored from the first loop on. */
struct tr_loop *tr_loop_new(void);

/* Take turns until tr_loop_stop(). It does not end by itself when nothing is left to do. Not from
 * inside a callback. */
void tr_loop_run(struct tr_loop *loop);

/* Let tr_loop_run() or _run_until() return at the end of this turn; before it, let the next one
 * return at once. */
void tr_loop_stop(struct tr_loop *loop);

/* One turn that does not block. For tests and programs with a loop of their own. */
void tr_loop_turn(struct tr_loop *loop);

/*
 * Take turns until `done(ctx)` is true, which is asked after every turn and before the first. False
 * if `timeout_ms` passed before that, or tr_loop_stop() was called. For tests and tools.
 */
TR_MUST_USE bool tr_loop_run_until(struct tr_loop *loop, bool (*done)(void *ctx), void *ctx,
                                   uint64_t timeout_ms);

/*
 * Take turns until everything that is closing is closed, work on other threads has come back and no
 * deferred call is left; then free the loop. Timers that are still set are dropped. Listeners,
 * streams, watches and processes that nobody closed are a bug and abort, naming the kind.
 */
void tr_loop_free(struct tr_loop **loop);

/* Abort if called from another thread than the loop's. Every public function of a loop object
 * begins with it. */
void tr_loop_assert(const struct tr_loop *loop);

/* --- clocks ----------------------------------------------------------------------------------- */

/*
 * Monotonic time, cached for the turn (read anew after a poll), never 0. All deadlines are on this clock. Cost: a load.
 * `deadline_ms` fields hold tr_loop_now_ms() + something, or 0 for none.
 */
uint64_t tr_loop_now_ms(const struct tr_loop *loop);
uint64_t tr_loop_now_us(const struct tr_loop *loop);

/* The same clock read now, for measuring inside one turn. Cost: a system call without a switch. */
uint64_t tr_loop_clock_us(const struct tr_loop *loop);

/* Wall clock in milliseconds and microseconds since 1970, cached for the turn. It may jump; never
 * subtract it. */
int64_t tr_loop_unix_ms(const struct tr_loop *loop);
int64_t tr_loop_unix_us(const struct tr_loop *loop);

/* --- timers ----------------------------------------------------------------------------------- */

/* A timer, embedded in its user. All timers share one timer of the system. */
struct tr_timer {
    struct tr_heap_node node;           /* private */
    struct tr_loop *loop;               /* private, borrowed */
    void (*cb)(struct tr_timer *timer); /* may free the timer's owner */
};

void tr_timer_init(struct tr_timer *timer, struct tr_loop *loop,
                   void (*cb)(struct tr_timer *timer));

/*
 * Call `cb` once, on a later turn, not before `at_ms` of the loop's clock; a time in the past means
 * the next turn. A timer that is set is moved. Timers of the same millisecond fire in the order
 * they were set. Cost: O(log n), no allocation but the heap's growth.
 */
void tr_timer_set(struct tr_timer *timer, uint64_t at_ms);

/* Do not call. Harmless when it is not set. Must be done before the timer's memory goes away. */
void tr_timer_stop(struct tr_timer *timer);

static inline bool tr_timer_is_set(const struct tr_timer *timer)
{
    return tr_heap_linked(&timer->node);
}

/* When it fires; only while it is set. */
static inline uint64_t tr_timer_at_ms(const struct tr_timer *timer)
{
    return timer->node.key;
}

/* --- deferred calls --------------------------------------------------------------------------- */

/* A call at the end of this turn, after those that wait already; one made by a deferred call too,
 * up to a limit that keeps sockets alive. All zero is a valid one that waits for nothing. */
struct tr_defer {
    struct tr_link link;                /* private */
    void (*cb)(struct tr_defer *defer); /* private until called; may free the owner */
    bool is_set;                        /* readable: it waits to be called */
};

/* Never calls back from inside. In order of the calls. Harmless when it already waits for the same
 * `cb`. */
void tr_defer(struct tr_loop *loop, struct tr_defer *defer, void (*cb)(struct tr_defer *defer));
/* Harmless when it does not wait. Must be done before the memory goes away. */
void tr_defer_cancel(struct tr_defer *defer);

/* --- hooks ------------------------------------------------------------------------------------ */

/* Called after the poll of every turn, before deferred calls: for pumps that must look around once
 * a turn. */
struct tr_check {
    struct tr_link link;                /* private */
    void (*cb)(struct tr_check *check); /* in */
};

void tr_loop_on_check(struct tr_loop *loop, struct tr_check *check);
/* May be called from inside a hook, its own too. */
void tr_loop_off_check(struct tr_loop *loop, struct tr_check *check);

/* The next poll does not block, so that the hooks run again soon. For one turn; ask again in each.
 */
void tr_loop_again(struct tr_loop *loop);

/*
 * A descriptor that becomes readable when a descriptor or signal watch of this loop has something to do: watched by another
 * loop, which then calls tr_loop_turn() on this one. Timers and deferred calls do not show in it. The loop's own.
 */
int tr_loop_fd(const struct tr_loop *loop);

/* End a poll that blocks, now or next. Thread: any, while the loop lives. */
void tr_loop_wake(struct tr_loop *loop);

/* --- descriptors and signals ------------------------------------------------------------------ */

#define TR_FD_READ  1U
#define TR_FD_WRITE 2U

struct tr_fd_watch;
/* `events` is what is ready; errors and hang-ups show as readable and writable. Level-triggered. */
typedef void tr_fd_watch_fn(void *ctx, unsigned events);

/* Watch a descriptor (socket, pipe, epoll; it becomes non-blocking) for `events`, which may be 0.
 * The descriptor stays the caller's and is closed only after _free. Errors: TR_IO. */
TR_MUST_USE enum tr_code tr_fd_watch_new(struct tr_loop *loop, int fd, unsigned events,
                                         tr_fd_watch_fn *cb, void *ctx,
                                         struct tr_fd_watch **out_watch, struct tr_err *err);
/* Watch for other events from now on; 0 for none. */
void tr_fd_watch_set(struct tr_fd_watch *watch, unsigned events);
/* No call after this. May be called from inside the callback. */
void tr_fd_watch_free(struct tr_fd_watch **watch);

struct tr_signal_watch;
typedef void tr_signal_watch_fn(void *ctx, int signum);

/* Call `cb` on the loop for each signal `signum` that the process gets, instead of the default
 * action. Errors: TR_IO. */
TR_MUST_USE enum tr_code tr_signal_watch_new(struct tr_loop *loop, int signum,
                                             tr_signal_watch_fn *cb, void *ctx,
                                             struct tr_signal_watch **out_watch,
                                             struct tr_err *err);
/* No call after this; the default action is back when the last watch of the signal is gone. */
void tr_signal_watch_free(struct tr_signal_watch **watch);

#endif
