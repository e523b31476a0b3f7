/*
 * What loop.c and the files behind the fence share. loop.c holds the rules (order of timers,
 * deferred calls, hooks, mails); loop_uv.c holds the system: it calls tr_loop_phase_...() at the
 * right moments and gives the clocks.
 */
#ifndef TR_BASE_LOOP_INT_H
#define TR_BASE_LOOP_INT_H

#include <pthread.h>
#include <stdatomic.h>

#include "runtime/base/loop.h"
#include "runtime/base/mailbox.h"

#define TR_LOOP_MAGIC 0x1009cafeU
#define TR_LOOP_DEFER_ROUNDS_MAX                                                                   \
    8 /* deferred calls made by deferred calls, in one turn; the rest waits for the next */

struct tr_loop_os;

struct tr_loop {
    uint32_t magic;
    pthread_t thread;
    uint64_t now_us;
    int64_t unix_us;
    bool is_clock_stale; /* a poll may have waited since the clocks were read */
    struct tr_heap timers;
    struct tr_link defers; /* of struct tr_defer */
    struct tr_link checks; /* of struct tr_check */
    struct tr_link
        *check_next;    /* the hook after the one that runs; moves on when that is removed */
    bool is_after_poll; /* inside tr_loop_phase_polled() */
    bool is_stopping;
    size_t works_open; /* works, look-ups and killed processes that have not come back */
    _Atomic(struct tr_mail *)
        mails;             /* newest first; posters push (release), the loop takes all (acquire) */
    char *read_buf;        /* owned; what all streams read into; NULL until one reads */
    struct tr_loop_os *os; /* owned */
};

/* --- from the system to the rules ------------------------------------------------------------- */

/* A turn began, or timers may be due: refresh the clocks and call the timers that are due. */
void tr_loop_phase_timers(struct tr_loop *loop);
/* The poll is over: refresh the clocks, call the hooks, then the deferred calls. */
void tr_loop_phase_polled(struct tr_loop *loop);
/* When the next timer is due; UINT64_MAX for never. */
uint64_t tr_loop_next_timer_ms(const struct tr_loop *loop);

/* --- from the rules to the system (loop_uv.c) ------------------------------------------------- */

uint64_t tr_loop_os_clock_us(void);
int64_t tr_loop_os_unix_us(void);
/* The next poll must not block. */
void tr_loop_os_poll_soon(struct tr_loop *loop);

#endif
