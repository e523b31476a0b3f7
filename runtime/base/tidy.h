/*
 * Memory that is free goes back to the system. The allocator gives back only what lies at the end of its heap; after a
 * burst of calls the rest would stay with the process for good, twice to three times what an idle one needs.
 */
#ifndef TR_BASE_TIDY_H
#define TR_BASE_TIDY_H

#include "runtime/base/loop.h"

#define TR_TIDY_EVERY_MS  30000U
#define TR_TIDY_BYTES_MIN (4U << 20U) /* less free memory than this is left alone */

struct tr_tidy {
    struct tr_timer timer; /* private */
};

/* Look every TR_TIDY_EVERY_MS. Cost: microseconds a look, a millisecond or so when there is something to give back. */
void tr_tidy_start(struct tr_tidy *tidy, struct tr_loop *loop);
/* Harmless when it was not started and all zero. Must be done before the loop is freed. */
void tr_tidy_stop(struct tr_tidy *tidy);

/* Look now. True if memory was given back. */
bool tr_tidy_now(void);

#endif
