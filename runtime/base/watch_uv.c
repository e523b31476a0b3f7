/* Watches of descriptors and signals. Each is a handle of libuv's in memory of its own, freed when
 * libuv lets go. */
#include "runtime/base/loop_uv.h"

#include <stdlib.h>

#include "runtime/base/buf.h"

/* --- descriptors ------------------------------------------------------------------------------ */

struct tr_fd_watch {
    uv_poll_t poll;
    struct tr_loop *loop; /* borrowed */
    tr_fd_watch_fn *cb;
    void *ctx; /* borrowed */
};

static void on_poll(uv_poll_t *poll, int status, int events)
{
    struct tr_fd_watch *watch = poll->data;
    unsigned ready = 0;
    if (status != 0) {
        ready = TR_FD_READ | TR_FD_WRITE; /* whoever reads or writes finds out what is wrong */
    }
    if ((events & UV_READABLE) != 0) {
        ready |= TR_FD_READ;
    }
    if ((events & UV_WRITABLE) != 0) {
        ready |= TR_FD_WRITE;
    }
    watch->cb(watch->ctx, ready);
}

enum tr_code tr_fd_watch_new(struct tr_loop *loop, int fd, unsigned events, tr_fd_watch_fn *cb,
                             void *ctx, struct tr_fd_watch **out_watch, struct tr_err *err)
{
    tr_loop_assert(loop);
    tr_assert(cb != NULL);
    struct tr_fd_watch *watch = tr_xzalloc(sizeof(*watch));
    const int status = uv_poll_init(tr_loop_uv(loop), &watch->poll, fd);
    if (status != 0) {
        free(watch);
        return tr_err_set(err, tr_uv_code(status), "watch descriptor %d: %s", fd,
                          tr_uv_text(status));
    }
    watch->poll.data = watch;
    watch->loop = loop;
    watch->cb = cb;
    watch->ctx = ctx;
    tr_fd_watch_set(watch, events);
    *out_watch = watch;
    return TR_OK;
}

void tr_fd_watch_set(struct tr_fd_watch *watch, unsigned events)
{
    tr_loop_assert(watch->loop);
    tr_assert((events & ~(TR_FD_READ | TR_FD_WRITE)) == 0);
    int wanted = 0;
    if ((events & TR_FD_READ) != 0) {
        wanted |= UV_READABLE;
    }
    if ((events & TR_FD_WRITE) != 0) {
        wanted |= UV_WRITABLE;
    }
    tr_assert((wanted == 0 ? uv_poll_stop(&watch->poll)
                           : uv_poll_start(&watch->poll, wanted, on_poll)) == 0);
}

static void on_handle_closed(uv_handle_t *handle)
{
    free(handle->data);
}

void tr_fd_watch_free(struct tr_fd_watch **watch)
{
    if (*watch != NULL) {
        tr_loop_assert((*watch)->loop);
        uv_close((uv_handle_t *)&(*watch)->poll, on_handle_closed);
        *watch = NULL;
    }
}

/* --- signals ---------------------------------------------------------------------------------- */

struct tr_signal_watch {
    uv_signal_t signal;
    struct tr_loop *loop; /* borrowed */
    tr_signal_watch_fn *cb;
    void *ctx; /* borrowed */
};

static void on_signal(uv_signal_t *signal, int signum)
{
    struct tr_signal_watch *watch = signal->data;
    watch->cb(watch->ctx, signum);
}

enum tr_code tr_signal_watch_new(struct tr_loop *loop, int signum, tr_signal_watch_fn *cb,
                                 void *ctx, struct tr_signal_watch **out_watch, struct tr_err *err)
{
    tr_loop_assert(loop);
    tr_assert(cb != NULL);
    struct tr_signal_watch *watch = tr_xzalloc(sizeof(*watch));
    int status = uv_signal_init(tr_loop_uv(loop), &watch->signal);
    if (status != 0) {
        free(watch);
        return tr_err_set(err, tr_uv_code(status), "watch signal %d: %s", signum,
                          tr_uv_text(status));
    }
    watch->signal.data = watch;
    watch->loop = loop;
    watch->cb = cb;
    watch->ctx = ctx;
    status = uv_signal_start(&watch->signal, on_signal, signum);
    if (status != 0) {
        tr_signal_watch_free(&watch);
        return tr_err_set(err, tr_uv_code(status), "watch signal %d: %s", signum,
                          tr_uv_text(status));
    }
    *out_watch = watch;
    return TR_OK;
}

void tr_signal_watch_free(struct tr_signal_watch **watch)
{
    if (*watch != NULL) {
        tr_loop_assert((*watch)->loop);
        uv_close((uv_handle_t *)&(*watch)->signal, on_handle_closed);
        *watch = NULL;
    }
}
