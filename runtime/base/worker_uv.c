/*
 * Work on libuv's threads. The request of libuv's lives in memory of its own, because tr_work shows
 * no type of libuv's.
 *
 * Course: start -> run (another thread) -> done. Refused for want of room: done with TR_LIMIT.
 * Canceled before run: libuv calls back with ECANCELED.
 */
#include "runtime/base/worker.h"

#include <stdlib.h>

#include "runtime/base/buf.h"
#include "runtime/base/loop_uv.h"

struct tr_work_impl {
    uv_work_t req;
    struct tr_work *work; /* borrowed */
};

static void on_complete(struct tr_op *op)
{
    struct tr_work *work = TR_CONTAINER_OF(op, struct tr_work, op);
    work->done(work);
}

static void on_run(uv_work_t *req)
{
    struct tr_work_impl *impl = req->data;
    impl->work->run(impl->work);
}

static void on_after(uv_work_t *req, int status)
{
    struct tr_work_impl *impl = req->data;
    struct tr_work *work = impl->work;
    work->op.loop->works_open--;
    work->impl = NULL;
    free(impl);
    if (status != 0) {
        tr_err_set(&work->err, tr_uv_code(status), "work was canceled");
    }
    tr_op_finish(&work->op);
}

void tr_work_start(struct tr_loop *loop, struct tr_work *work)
{
    tr_op_begin(&work->op, loop, NULL, on_complete);
    tr_assert(work->run != NULL);
    tr_assert(work->done != NULL);
    work->err.code = TR_OK;
    work->impl = NULL;
    if (loop->works_open >= TR_WORK_OPEN_MAX) {
        tr_err_set(&work->err, TR_LIMIT, "more than %d works are open", TR_WORK_OPEN_MAX);
        tr_op_finish_later(&work->op);
        return;
    }
    struct tr_work_impl *impl = tr_xzalloc(sizeof(*impl));
    impl->work = work;
    impl->req.data = impl;
    work->impl = impl;
    loop->works_open++;
    tr_assert(uv_queue_work(tr_loop_uv(loop), &impl->req, on_run, on_after) == 0);
}

void tr_work_cancel(struct tr_work *work)
{
    tr_assert(tr_op_is_open(&work->op));
    tr_loop_assert(work->op.loop);
    if (work->impl != NULL) {
        (void)uv_cancel((uv_req_t *)&work->impl->req); /* too late is no error */
    }
}
