/* Work that would block the loop: files, commits, key generation. It runs on one of a few threads
 * that all loops share. */
#ifndef TR_BASE_WORKER_H
#define TR_BASE_WORKER_H

#include "runtime/base/err.h"
#include "runtime/base/op.h"

#define TR_WORK_OPEN_MAX 4096 /* started and not done, per loop; beyond: TR_LIMIT */

/*
 * Run `run` on another thread, then `done` on the loop. While it runs, the struct and what it
 * points to belong to that thread: `run` touches nothing else, no loop, no log, no object of the
 * loop's. There is no order between two works.
 */
struct tr_work {
    void (*run)(struct tr_work *work); /* in, another thread */
    void (*done)(
        struct tr_work *work); /* in, called once, on the loop thread; may free the struct */
    struct tr_err err; /* out: TR_OK, or TR_CANCELED or TR_LIMIT and then `run` was not called.
                          `run` may put an error of its own here */
    struct tr_op op;   /* private */
    struct tr_work_impl *impl; /* private */
};

void tr_work_start(struct tr_loop *loop, struct tr_work *work);
/* Helps only before `run` begins. */
void tr_work_cancel(struct tr_work *work);

#endif
