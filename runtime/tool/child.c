/*
 * Children: started by way of ourselves, ended as a group.
 *
 * The number of a group is not given away while it has a member. So after the end of the program
 * itself the group may still be asked for: whoever is left gets SIGTERM, TR_CHILD_LEFT_MS later
 * SIGKILL, and is waited for a little more. Not for ever: a member that has ended but that nobody
 * collects (a container without an init) looks like a living one.
 */
#include "runtime/tool/child.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#define STATUS_NOT_FOUND 127 /* as shells have it */
#define STATUS_NOT_RUN   126
#define EXEC_WORDS       4 /* SELF dev --exec PID */
#define PID_DIGITS       16

static bool has_group(const struct tr_child *child)
{
    return kill(-child->pid, 0) == 0 || errno == EPERM;
}

static void end_if_gone(struct tr_child *child)
{
    const uint64_t now_ms = tr_loop_now_ms(child->loop);
    if (has_group(child) && now_ms < child->give_up_ms) {
        if (now_ms >= child->give_up_ms - TR_CHILD_KILLED_MS) {
            (void)kill(-child->pid, SIGKILL);
        }
        tr_timer_set(&child->leftover, now_ms + TR_CHILD_POLL_MS);
        return;
    }
    child->is_running = false;
    child->on_end(child);
}

static void on_leftover(struct tr_timer *timer)
{
    end_if_gone(TR_CONTAINER_OF(timer, struct tr_child, leftover));
}

static void on_exit_of_program(void *ctx, int status, int signum)
{
    struct tr_child *child = ctx;
    child->status = status;
    child->signum = signum;
    tr_process_free(&child->process);
    (void)kill(-child->pid, child->is_killed ? SIGKILL : SIGTERM);
    child->give_up_ms = tr_loop_now_ms(child->loop) + TR_CHILD_KILLED_MS +
                        (child->is_killed ? 0 : TR_CHILD_LEFT_MS);
    end_if_gone(child);
}

static void on_line(void *ctx, enum tr_process_output output, struct tr_slice line)
{
    struct tr_child *child = ctx;
    tr_dev_out_line(child->out, output == TR_PROCESS_STDOUT ? STDOUT_FILENO : STDERR_FILENO,
                    child->name, line);
}

void tr_child_init(struct tr_child *child, struct tr_loop *loop, struct tr_dev_out *out,
                   const char *name, void (*on_end)(struct tr_child *child), void *ctx)
{
    *child =
        (struct tr_child){ .loop = loop, .out = out, .name = name, .on_end = on_end, .ctx = ctx };
    tr_timer_init(&child->leftover, loop, on_leftover);
}

enum tr_code tr_child_start(struct tr_child *child, const char *self, const char *const *argv,
                            const char *const *env, struct tr_err *err)
{
    tr_assert(!child->is_running);
    const char *words[EXEC_WORDS + TR_CHILD_ARGS_MAX + 1] = { self, "dev", TR_CHILD_EXEC };
    char pid[PID_DIGITS];
    (void)snprintf(pid, sizeof(pid), "%d", (int)getpid());
    words[EXEC_WORDS - 1] = pid;
    size_t len = 0;
    while (argv[len] != NULL) {
        if (len == TR_CHILD_ARGS_MAX) {
            return tr_err_set(err, TR_LIMIT, "more than %u words in the command of the %s",
                              TR_CHILD_ARGS_MAX, child->name);
        }
        words[EXEC_WORDS + len] = argv[len];
        len++;
    }
    const struct tr_process_conf conf = {
        .argv = words,
        .env = env,
        .has_own_group = true,
        .on_line = on_line,
        .on_exit = on_exit_of_program,
        .ctx = child,
    };
    const enum tr_code rc = tr_process_start(child->loop, &conf, &child->process, err);
    if (rc != TR_OK) {
        return rc;
    }
    child->pid = tr_process_pid(child->process);
    child->is_killed = false;
    child->is_running = true;
    return TR_OK;
}

void tr_child_kill(struct tr_child *child, int signum)
{
    if (!child->is_running) {
        return;
    }
    (void)kill(-child->pid, signum);
    if (signum == SIGKILL) {
        child->is_killed = true;
        child->give_up_ms = tr_loop_now_ms(child->loop) + TR_CHILD_KILLED_MS;
    }
}

void tr_child_fini(struct tr_child *child)
{
    tr_child_kill(child, SIGKILL);
    tr_timer_stop(&child->leftover);
    tr_process_free(&child->process);
    child->is_running = false;
}

void tr_child_describe(const struct tr_child *child, struct tr_buf *out)
{
    if (child->signum != 0) {
        tr_buf_addf(out, "was ended by signal %d (%s)", child->signum, strsignal(child->signum));
    } else {
        tr_buf_addf(out, "ended with status %d", child->status);
    }
}

int tr_child_exit_status(const struct tr_child *child)
{
    return child->signum != 0 ? 128 + child->signum : child->status;
}

/* --- in the child ----------------------------------------------------------------------------- */

int tr_child_exec_main(int argc, char **argv)
{
    if (argc < 2) {
        return STATUS_NOT_RUN;
    }
    const long parent = strtol(argv[0], NULL, 10);
    if (prctl(PR_SET_PDEATHSIG, SIGTERM) != 0 || (long)getppid() != parent) {
        return 128 + SIGTERM; /* the parent went before it could be watched */
    }
    (void)execvp(argv[1], argv + 1);
    const int why = errno;
    (void)fprintf(stderr, "cannot run '%s': %s\n", argv[1], strerror(why));
    return why == ENOENT ? STATUS_NOT_FOUND : STATUS_NOT_RUN;
}
