/*
 * Break the n-th call of a kind. A wrapper that the linker puts around a function (-Wl,--wrap=mdb_put) asks fault_hit() and
 * fails when it is true:
 *
 *   bool fired = true;
 *   for (unsigned nth = 0; fired; nth++) {
 *       fault_arm(FAULT_LMDB, nth);
 *       ... do the thing ...
 *       fired = fault_disarm(FAULT_LMDB);
 *       ... check what must hold in spite of it ...
 *   }
 *
 * Thread: arm and disarm on the test's, hits on any.
 */
#ifndef TR_TEST_FAULT_H
#define TR_TEST_FAULT_H

#include <stdbool.h>

enum fault_kind {
    FAULT_LMDB,
    FAULT_NET,       /* calls that fail: sockets, and libuv's where it can refuse */
    FAULT_NET_SHORT, /* writes that take one byte only */
    FAULT_KINDS_LEN,
};

/* The call `nth` (from 0) of the kind fails, once. */
void fault_arm(enum fault_kind kind, unsigned nth);
/* The call `nth` and all after it fail, until disarmed. */
void fault_arm_from(enum fault_kind kind, unsigned nth);
/* No call fails any more. Did one? */
bool fault_disarm(enum fault_kind kind);

/* For wrappers: must this call fail? */
bool fault_hit(enum fault_kind kind);

#endif
