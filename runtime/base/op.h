/*
 * What every operation embeds as its last field. An operation is a struct that the caller owns,
 * fills and starts; its `cb` comes exactly once per start, never from inside, last of all. This
 * part keeps the books: the state, the link in the owner's list of open operations, the deferred
 * completion, and the assertions.
 *
 *   IDLE --begin--> STARTED --finish_later--> FINISHING --(deferred call)--> DONE --begin--> ...
 *                      +------------finish----------------------------------> DONE
 *
 * All zero is IDLE. Use in an implementation:
 *
 *   void tr_thing_start(struct tr_owner *owner, struct tr_thing *thing)
 *   {
 *       tr_op_begin(&thing->op, owner->loop, &owner->things, on_thing_done);
 *       thing->err.code = TR_OK;
 *       if (owner->things_len == THINGS_MAX) {
 *           tr_err_set(&thing->err, TR_LIMIT, "too many things");
 *           tr_op_finish_later(&thing->op);
 *           return;
 *       }
 *       ...
 *   }
 *   static void on_thing_done(struct tr_op *op)
 *   {
 *       struct tr_thing *thing = TR_CONTAINER_OF(op, struct tr_thing, op);
 *       thing->cb(thing);
 *   }
 */
#ifndef TR_BASE_OP_H
#define TR_BASE_OP_H

#include <stdbool.h>

#include "runtime/base/list.h"
#include "runtime/base/loop.h"

enum tr_op_state {
    TR_OP_IDLE,
    TR_OP_STARTED,
    TR_OP_FINISHING, /* the result stands, the callback waits for its turn */
    TR_OP_DONE,
};

struct tr_op {
    struct tr_link link; /* in the owner's list while STARTED or FINISHING */
    struct tr_defer defer;
    struct tr_loop *loop; /* borrowed */
    void (*complete)(struct tr_op *op);
    enum tr_op_state state;
};

/*
 * Start the books: the operation must be IDLE or DONE. `owner` is the list of open operations it
 * joins at the tail, or NULL. `complete` calls the user's cb and touches nothing afterwards.
 */
void tr_op_begin(struct tr_op *op, struct tr_loop *loop, struct tr_link *owner,
                 void (*complete)(struct tr_op *op));

/* STARTED: leave the owner's list and complete now. Never inside the start, and as the last thing
 * done. */
void tr_op_finish(struct tr_op *op);

/* STARTED: complete by a deferred call. It stays in the owner's list until then. */
void tr_op_finish_later(struct tr_op *op);

/* May the implementation still decide the result? False once it is FINISHING or DONE. */
static inline bool tr_op_is_started(const struct tr_op *op)
{
    return op->state == TR_OP_STARTED;
}

/* Is the struct the implementation's, so that cb has still to come? For assertions and _cancel. */
static inline bool tr_op_is_open(const struct tr_op *op)
{
    return op->state == TR_OP_STARTED || op->state == TR_OP_FINISHING;
}

#endif
