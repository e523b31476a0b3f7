/*
 * The completion queue and its pump.
 *
 * Normal course: an operation is given to gRPC with the address of its tr_rpc_op as the tag. gRPC's sockets become
 * ready, its epoll descriptor with them, the loop marks the queue as needing a look, and the check at the end of the
 * turn drains it: each cq_next with a zero deadline does one round of gRPC's own polling and gives at most one finished
 * operation, whose `fn` is called.
 *
 * What can go wrong, and what is done about it:
 *  - gRPC handles one socket event in a round and keeps up to 100 in its memory, where our loop cannot see them. So a
 *    drain ends only after several empty rounds in a row, and a deep one follows after the first silence: a round more
 *    than gRPC watches descriptors, which the kernel tells.
 *  - An operation that finishes inside its start makes no descriptor readable: every start asks for a look itself.
 *  - gRPC's timer threads finish operations (deadline, dead connection) without waking us: the fallback timer looks
 *    while counted operations are in flight, and deadlines have alarms of their own.
 *  - Under load a drain could go on for ever, since each callback may start the next operation: it is cut off after
 *    DRAIN_MAX, and the next turn follows at once.
 *  - No descriptor is found (another polling engine): a thread blocks on the queue and posts.
 *
 * gRPC is started once in a process and never shut down: stopping it is asynchronous, and a new start would make
 * another descriptor.
 */
#include "invoke/rpc_int.h"

#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <grpc/support/log.h>
#include <grpc/support/time.h>

#define DRAIN_MAX         256U /* operations finished in one turn */
#define EMPTY_ROUNDS      4U   /* measured: fewer leave socket events lying until the fallback */
#define EMPTY_ROUNDS_DEEP 101U /* at most: one more than gRPC's epoll1 takes from the kernel at once */
#define QUIET_FIRST_MS    10U  /* fallback after the last activity ... */
#define QUIET_MAX_MS      500U /* ... doubled up to this while operations are in flight */
#define EPOLLS_MAX        64U  /* epoll descriptors looked at in our own descriptor list */

struct tr_rpc {
    struct tr_loop *loop; /* borrowed */
    grpc_completion_queue *queue;
    struct tr_fd_watch *watch; /* owned; NULL when a thread is used */
    pthread_t thread;
    struct tr_mailbox mailbox; /* from the thread */
    struct tr_check check;
    struct tr_defer kick;
    struct tr_defer closing;
    struct tr_timer fallback;
    struct tr_link posted; /* operations that finish without gRPC */
    uint64_t last_active_ms;
    uint64_t quiet_ms;
    uint64_t drains;
    uint64_t counted; /* operations in flight that somebody waits for */
    uint32_t holders; /* open servers and channels */
    bool has_thread;
    bool needs_drain;
    bool is_draining;
    bool is_deep; /* the next drain is a deep one */
    bool is_closing;
    tr_rpc_closed_fn *closed;
    void *closed_ctx;
};

/* gRPC is one per process, and so is what we know of it. */
static pthread_once_t process_once = PTHREAD_ONCE_INIT;
static int process_epoll = -1;
static int process_epoll_info = -1; /* the kernel's text about it */
static atomic_bool process_taken; /* partner: tr_rpc_new and on_closed of the tr_rpc before */

/* --- start of gRPC ------------------------------------------------------------------------------------------------ */

/* The epoll descriptors of this process, at most EPOLLS_MAX. */
static size_t list_epolls(int out[EPOLLS_MAX])
{
    size_t len = 0;
    DIR *dir = opendir("/proc/self/fd");
    if (dir == NULL) {
        return 0;
    }
    const struct dirent *entry;
    while ((entry = readdir(dir)) != NULL && len < EPOLLS_MAX) {
        char link[64];
        const ssize_t n = readlinkat(dirfd(dir), entry->d_name, link, sizeof(link) - 1);
        if (n <= 0) {
            continue;
        }
        link[n] = '\0';
        if (strcmp(link, "anon_inode:[eventpoll]") == 0) {
            out[len++] = (int)strtol(entry->d_name, NULL, 10);
        }
    }
    closedir(dir);
    return len;
}

static bool is_among(int fd, const int *fds, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (fds[i] == fd) {
            return true;
        }
    }
    return false;
}

/* gRPC's own log is dropped unless asked for: what matters reaches us as statuses. */
static void on_grpc_log(gpr_log_func_args *args)
{
    (void)args;
}

/*
 * Abseil's mutexes look for deadlock cycles in builds without NDEBUG, such as Debian's. It is bookkeeping at each lock,
 * to no use here. The symbol carries the namespace of the distribution's build, so it may be absent.
 */
void abseil_set_deadlock_detection(int mode) __asm__(
    "_ZN4absl7debian329SetMutexDeadlockDetectionModeENS0_15OnDeadlockCycleE") __attribute__((weak));

static void start_process(void)
{
    /* One poller only, the loop: gRPC would otherwise poll for its channels from a timer every five seconds. */
    (void)setenv("GRPC_CLIENT_CHANNEL_BACKUP_POLL_INTERVAL_MS", "0", 1);
    (void)setenv("GRPC_ENABLE_FORK_SUPPORT", "0", 1);
    (void)setenv("GRPC_POLL_STRATEGY", "epoll1", 1);
    if (getenv("GRPC_VERBOSITY") == NULL) {
        gpr_set_log_function(on_grpc_log);
    }
    if (abseil_set_deadlock_detection != NULL) {
        abseil_set_deadlock_detection(0);
    }
    int before[EPOLLS_MAX];
    int after[EPOLLS_MAX];
    const size_t before_len = list_epolls(before);
    grpc_init();
    const size_t after_len = list_epolls(after);
    size_t found = 0;
    for (size_t i = 0; i < after_len; i++) {
        if (!is_among(after[i], before, before_len)) {
            process_epoll = after[i];
            found++;
        }
    }
    if (found != 1) {
        process_epoll = -1;
        return;
    }
    char path[64];
    (void)snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", process_epoll);
    process_epoll_info = open(path, O_RDONLY | O_CLOEXEC);
}

/* --- draining ----------------------------------------------------------------------------------------------------- */

static void finish_op(struct tr_rpc *rpc, struct tr_rpc_op *op, bool ok)
{
    if (op->is_counted) {
        tr_assert(rpc->counted > 0);
        rpc->counted--;
    }
    op->fn(op, ok);
}

/* Finish what waits without gRPC. Returns how many. */
static unsigned drain_posted(struct tr_rpc *rpc)
{
    struct tr_link batch;
    tr_link_init(&batch);
    tr_list_splice(&batch, &rpc->posted);
    unsigned finished = 0;
    struct tr_link *link;
    while ((link = tr_list_pop(&batch)) != NULL) {
        struct tr_rpc_op *op = TR_CONTAINER_OF(link, struct tr_rpc_op, link);
        finish_op(rpc, op, op->ok);
        finished++;
    }
    return finished;
}

static unsigned drain_queue(struct tr_rpc *rpc, unsigned empty_rounds_max)
{
    const gpr_timespec now = gpr_time_0(GPR_CLOCK_MONOTONIC);
    unsigned finished = 0;
    unsigned empty_rounds = 0;
    while (empty_rounds < empty_rounds_max && finished < DRAIN_MAX) {
        const grpc_event event = grpc_completion_queue_next(rpc->queue, now, NULL);
        if (event.type == GRPC_QUEUE_SHUTDOWN) {
            break;
        }
        if (event.type == GRPC_QUEUE_TIMEOUT) {
            empty_rounds++;
            continue;
        }
        empty_rounds = 0;
        finished++;
        finish_op(rpc, event.tag, event.success != 0);
    }
    return finished;
}

/*
 * Empty rounds after which a deep drain has seen everything: gRPC cannot hold more events than it watches descriptors.
 * The kernel has a line for each, "tfd: ...". To ask costs as much as a dozen rounds.
 * Source: proc(5), /proc/pid/fdinfo, eventpoll.
 */
static unsigned deep_rounds(void)
{
    char text[8192];
    const ssize_t len = pread(process_epoll_info, text, sizeof(text), 0);
    if (len <= 0 || (size_t)len == sizeof(text)) {
        return EMPTY_ROUNDS_DEEP;
    }
    unsigned rounds = 1;
    struct tr_slice rest = tr_slice(text, (size_t)len);
    struct tr_slice line;
    while (tr_slice_split(&rest, '\n', &line)) {
        rounds += tr_slice_starts(line, TR_SLICE_LIT("tfd:")) ? 1U : 0U;
    }
    return rounds < EMPTY_ROUNDS_DEEP ? rounds : EMPTY_ROUNDS_DEEP;
}

/* After activity: look again soon. The timer is set lazily, once for many turns. */
static void note_activity(struct tr_rpc *rpc)
{
    rpc->last_active_ms = tr_loop_now_ms(rpc->loop);
    if (rpc->quiet_ms != QUIET_FIRST_MS || !tr_timer_is_set(&rpc->fallback)) {
        tr_timer_set(&rpc->fallback, rpc->last_active_ms + QUIET_FIRST_MS);
    }
    rpc->quiet_ms = QUIET_FIRST_MS;
    rpc->is_deep = true;
}

static void on_kick(struct tr_defer *defer);

/* Drain after this turn's poll, and do not wait for input in it. */
static void drain_soon(struct tr_rpc *rpc)
{
    rpc->needs_drain = true;
    tr_defer(rpc->loop, &rpc->kick, on_kick);
}

static void on_fallback(struct tr_timer *timer)
{
    struct tr_rpc *rpc = TR_CONTAINER_OF(timer, struct tr_rpc, fallback);
    const uint64_t now_ms = tr_loop_now_ms(rpc->loop);
    if (rpc->quiet_ms == QUIET_FIRST_MS && now_ms < rpc->last_active_ms + QUIET_FIRST_MS) {
        tr_timer_set(timer, rpc->last_active_ms + QUIET_FIRST_MS);
        return;
    }
    drain_soon(rpc);
    rpc->quiet_ms = rpc->quiet_ms * 2 > QUIET_MAX_MS ? QUIET_MAX_MS : rpc->quiet_ms * 2;
    if (rpc->counted > 0) {
        tr_timer_set(timer, now_ms + rpc->quiet_ms);
    }
}

/* Look at the queue. */
static void drain(struct tr_rpc *rpc)
{
    /* Only the silence after activity is worth a deep look. */
    const bool is_deep = rpc->is_deep && rpc->quiet_ms > QUIET_FIRST_MS;
    rpc->needs_drain = false;
    rpc->is_draining = true;
    rpc->drains++;
    unsigned finished = drain_posted(rpc);
    if (!rpc->has_thread) {
        finished += drain_queue(rpc, is_deep ? deep_rounds() : EMPTY_ROUNDS);
    }
    rpc->is_draining = false;
    tr_defer_cancel(&rpc->kick);
    if (rpc->is_closing) {
        return;
    }
    if (is_deep) {
        rpc->is_deep = false;
    }
    if (finished > 0 && !rpc->has_thread) {
        note_activity(rpc);
    }
    if (finished >= DRAIN_MAX || !tr_list_empty(&rpc->posted)) {
        rpc->needs_drain = true;
        tr_loop_again(rpc->loop);
    }
}

static void on_check(struct tr_check *check)
{
    struct tr_rpc *rpc = TR_CONTAINER_OF(check, struct tr_rpc, check);
    if (rpc->needs_drain) {
        drain(rpc);
    }
}

/* The check of this turn was over when somebody started something. */
static void on_kick(struct tr_defer *defer)
{
    struct tr_rpc *rpc = TR_CONTAINER_OF(defer, struct tr_rpc, kick);
    if (rpc->needs_drain) {
        drain(rpc);
    }
}

static void on_epoll(void *ctx, unsigned events)
{
    (void)events;
    struct tr_rpc *rpc = ctx;
    rpc->needs_drain = true;
    note_activity(rpc);
}

void tr_rpc_kick(struct tr_rpc *rpc)
{
    if (rpc->is_draining) {
        return;
    }
    drain_soon(rpc);
    if (!rpc->has_thread) {
        note_activity(rpc);
    }
}

/* --- operations --------------------------------------------------------------------------------------------------- */

void tr_rpc_op_began(struct tr_rpc *rpc, struct tr_rpc_op *op,
                     void (*fn)(struct tr_rpc_op *op, bool ok), bool is_counted)
{
    op->fn = fn;
    op->is_counted = is_counted;
    if (is_counted) {
        rpc->counted++;
    }
    tr_rpc_kick(rpc);
}

void tr_rpc_op_batch(struct tr_rpc *rpc, grpc_call *call, const grpc_op *ops, size_t ops_len,
                     struct tr_rpc_op *op, void (*fn)(struct tr_rpc_op *op, bool ok))
{
    tr_rpc_op_began(rpc, op, fn, true);
    const grpc_call_error rc = grpc_call_start_batch(call, ops, ops_len, op, NULL);
    tr_assert(rc == GRPC_CALL_OK);
}

void tr_rpc_op_post(struct tr_rpc *rpc, struct tr_rpc_op *op,
                    void (*fn)(struct tr_rpc_op *op, bool ok), bool ok)
{
    tr_rpc_op_began(rpc, op, fn, true);
    op->ok = ok;
    tr_link_init(&op->link);
    tr_list_add_tail(&rpc->posted, &op->link);
}

static void on_alarm(struct tr_timer *timer)
{
    tr_rpc_kick(TR_CONTAINER_OF(timer, struct tr_rpc_alarm, timer)->rpc);
}

void tr_rpc_alarm_init(struct tr_rpc_alarm *alarm, struct tr_rpc *rpc)
{
    alarm->rpc = rpc;
    tr_timer_init(&alarm->timer, rpc->loop, on_alarm);
}

void tr_rpc_alarm_set(struct tr_rpc_alarm *alarm, uint64_t deadline_ms)
{
    /* One more, so that gRPC's timer thread comes first. If it does not, the fallback follows 10 ms later. */
    if (deadline_ms != 0 && deadline_ms < UINT64_MAX && !alarm->rpc->has_thread) {
        tr_timer_set(&alarm->timer, deadline_ms + 1);
    }
}

void tr_rpc_alarm_stop(struct tr_rpc_alarm *alarm)
{
    tr_timer_stop(&alarm->timer);
}

/* --- completion thread -------------------------------------------------------------------------------------------- */

static void on_mail(struct tr_mailbox *mailbox, struct tr_mail *mail)
{
    struct tr_rpc *rpc = TR_CONTAINER_OF(mailbox, struct tr_rpc, mailbox);
    struct tr_rpc_op *op = TR_CONTAINER_OF(mail, struct tr_rpc_op, mail);
    finish_op(rpc, op, op->ok);
}

/* Copies the outcome and posts it; decides nothing. Touches only the operation that gRPC handed back. */
static void *run_thread(void *arg)
{
    struct tr_rpc *rpc = arg;
    for (;;) {
        const grpc_event event =
            grpc_completion_queue_next(rpc->queue, gpr_inf_future(GPR_CLOCK_REALTIME), NULL);
        if (event.type == GRPC_QUEUE_SHUTDOWN) {
            return NULL;
        }
        struct tr_rpc_op *op = event.tag;
        op->ok = event.success != 0;
        tr_mailbox_post(&rpc->mailbox, &op->mail);
    }
}

/* --- life --------------------------------------------------------------------------------------------------------- */

enum tr_code tr_rpc_new(struct tr_loop *loop, const struct tr_rpc_conf *conf,
                        struct tr_rpc **out_rpc, struct tr_err *err)
{
    tr_loop_assert(loop);
    if (atomic_exchange_explicit(&process_taken, true, memory_order_acquire)) {
        return tr_err_set(err, TR_EXISTS, "gRPC is already driven by another loop of this process");
    }
    (void)pthread_once(&process_once, start_process);
    struct tr_err ignored;
    struct tr_rpc *rpc = tr_xzalloc(sizeof(*rpc));
    rpc->loop = loop;
    rpc->queue = grpc_completion_queue_create_for_next(NULL);
    rpc->quiet_ms = QUIET_MAX_MS;
    tr_link_init(&rpc->posted);
    tr_timer_init(&rpc->fallback, loop, on_fallback);
    tr_mailbox_init(&rpc->mailbox, loop, on_mail);
    rpc->has_thread = conf->use_thread || process_epoll < 0 ||
                      tr_fd_watch_new(loop, process_epoll, TR_FD_READ, on_epoll, rpc, &rpc->watch,
                                      &ignored) != TR_OK;
    if (rpc->has_thread) {
        const int rc = pthread_create(&rpc->thread, NULL, run_thread, rpc);
        tr_assert(rc == 0);
    }
    rpc->check.cb = on_check;
    tr_loop_on_check(loop, &rpc->check);
    *out_rpc = rpc;
    return TR_OK;
}

static void on_closed(struct tr_defer *defer)
{
    struct tr_rpc *rpc = TR_CONTAINER_OF(defer, struct tr_rpc, closing);
    grpc_completion_queue_shutdown(rpc->queue);
    if (rpc->has_thread) {
        (void)pthread_join(rpc->thread, NULL);
    } else {
        grpc_event event;
        do {
            event =
                grpc_completion_queue_next(rpc->queue, gpr_inf_future(GPR_CLOCK_REALTIME), NULL);
            tr_assert(event.type != GRPC_OP_COMPLETE);
        } while (event.type != GRPC_QUEUE_SHUTDOWN);
    }
    grpc_completion_queue_destroy(rpc->queue);
    tr_mailbox_fini(&rpc->mailbox);
    tr_rpc_closed_fn *cb = rpc->closed;
    void *ctx = rpc->closed_ctx;
    free(rpc);
    atomic_store_explicit(&process_taken, false, memory_order_release);
    cb(ctx);
}

void tr_rpc_close(struct tr_rpc *rpc, tr_rpc_closed_fn *cb, void *ctx)
{
    tr_loop_assert(rpc->loop);
    tr_assert(!rpc->is_closing);
    tr_assert(rpc->holders == 0);
    tr_assert(rpc->counted == 0);
    rpc->is_closing = true;
    rpc->closed = cb;
    rpc->closed_ctx = ctx;
    tr_timer_stop(&rpc->fallback);
    tr_loop_off_check(rpc->loop, &rpc->check);
    tr_fd_watch_free(&rpc->watch);
    tr_defer_cancel(&rpc->kick);
    tr_defer(rpc->loop, &rpc->closing, on_closed);
}

bool tr_rpc_uses_epoll(const struct tr_rpc *rpc)
{
    return !rpc->has_thread;
}

uint64_t tr_rpc_drains(const struct tr_rpc *rpc)
{
    return rpc->drains;
}

grpc_completion_queue *tr_rpc_queue(struct tr_rpc *rpc)
{
    return rpc->queue;
}

struct tr_loop *tr_rpc_loop(struct tr_rpc *rpc)
{
    return rpc->loop;
}

void tr_rpc_hold(struct tr_rpc *rpc)
{
    tr_assert(!rpc->is_closing);
    rpc->holders++;
}

void tr_rpc_release(struct tr_rpc *rpc)
{
    tr_assert(rpc->holders > 0);
    rpc->holders--;
}
