/* The books of an operation. */
#include "runtime/base/op.h"

void tr_op_begin(struct tr_op *op, struct tr_loop *loop, struct tr_link *owner,
                 void (*complete)(struct tr_op *op))
{
    tr_loop_assert(loop);
    tr_assert(!tr_op_is_open(op));
    tr_assert(complete != NULL);
    op->loop = loop;
    op->complete = complete;
    op->state = TR_OP_STARTED;
    tr_link_init(&op->link);
    if (owner != NULL) {
        tr_list_add_tail(owner, &op->link);
    }
}

static void complete(struct tr_op *op)
{
    op->state = TR_OP_DONE;
    tr_link_remove(&op->link);
    op->complete(op);
}

void tr_op_finish(struct tr_op *op)
{
    tr_assert(op->state == TR_OP_STARTED);
    tr_loop_assert(op->loop);
    complete(op);
}

static void on_deferred(struct tr_defer *defer)
{
    struct tr_op *op = TR_CONTAINER_OF(defer, struct tr_op, defer);
    tr_assert(op->state == TR_OP_FINISHING);
    complete(op);
}

void tr_op_finish_later(struct tr_op *op)
{
    tr_assert(op->state == TR_OP_STARTED);
    op->state = TR_OP_FINISHING;
    tr_defer(op->loop, &op->defer, on_deferred);
}
