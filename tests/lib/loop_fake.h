/*
 * A loop under a clock that the test moves: linked in place of runtime/base/loop_uv.c, with the rules of loop.c as they
 * are. There is nothing to poll; what is left are timers, deferred calls and hooks.
 */
#ifndef TR_TESTS_LOOP_FAKE_H
#define TR_TESTS_LOOP_FAKE_H

#include "runtime/base/loop.h"

/* Wall clock of a new loop: 2026-08-02 10:00:00 UTC. */
#define LOOP_FAKE_UNIX_MS INT64_C(1785664800000)

/* Run turns, without moving the clock, until no deferred call waits and no timer is due. */
void loop_fake_settle(struct tr_loop *loop);
/* Move the clock by `ms` in all, stopping at every timer on the way. */
void loop_fake_advance(struct tr_loop *loop, uint64_t ms);

#endif
