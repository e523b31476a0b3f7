/*
 * Memory that is not needed goes back to the system.
 *
 * Free memory: the allocator gives back only what lies at the end of its heap; after a burst of calls the rest would stay
 * with the process for good, twice to three times what an idle one needs.
 *
 * Code and constants: what only the start used stays mapped, and is most of what an idle process has in memory. Soon
 * after the start all of it is unmapped once; what is used comes back from the system's cache of the file at the next
 * use, in a fault of a microsecond for each 64 KiB.
 */
#ifndef TR_BASE_TIDY_H
#define TR_BASE_TIDY_H

#include "runtime/base/loop.h"

#define TR_TIDY_FIRST_MS  2000U /* after the start: code and constants, too */
#define TR_TIDY_EVERY_MS  30000U
#define TR_TIDY_BYTES_MIN (4U << 20U) /* less free memory than this is left alone */

struct tr_tidy {
    struct tr_timer timer; /* private */
};

/* Look after TR_TIDY_FIRST_MS, then every TR_TIDY_EVERY_MS. Cost: microseconds a look, a millisecond or so when there is something to give back. */
void tr_tidy_start(struct tr_tidy *tidy, struct tr_loop *loop);
/* Harmless when it was not started and all zero. Must be done before the loop is freed. */
void tr_tidy_stop(struct tr_tidy *tidy);

/* Look for free memory now. True if some was given back. */
bool tr_tidy_now(void);
/* Unmap code and constants now. Under a debugger nothing is done: its breakpoints would go. */
void tr_tidy_code(void);

#endif
