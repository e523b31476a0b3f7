/*
 * One process of `troupe dev`: its output with its name in front, its process group, its end.
 *
 * A child is started by way of ourselves (`troupe dev --exec`), which asks the system to send it
 * SIGTERM when we are gone, and then becomes the program. Every child has a process group of its
 * own: signals of the terminal reach only us, and what we send reaches all that the program
 * started. It has ended when nobody of its group is left.
 */
#ifndef TR_TOOL_CHILD_H
#define TR_TOOL_CHILD_H

#include "runtime/base/loop.h"
#include "runtime/base/process.h"
#include "runtime/tool/out.h"

#define TR_CHILD_ARGS_MAX  512U  /* words of a command */
#define TR_CHILD_POLL_MS   20U   /* how often the rest of a group is looked for */
#define TR_CHILD_LEFT_MS   5000U /* what the rest has from the end of the program until SIGKILL */
#define TR_CHILD_KILLED_MS 500U  /* and after that until it is given up */

struct tr_child {
    struct tr_loop *loop;   /* borrowed */
    struct tr_dev_out *out; /* borrowed */
    const char *name;       /* borrowed */
    /* Comes once per start, when nobody of the group is left. */
    void (*on_end)(struct tr_child *child);
    void *ctx;                  /* its owner's, borrowed */
    bool is_running;            /* readable: started, and on_end has not come */
    int status;                 /* readable after the end: what the program returned */
    int signum;                 /* or the signal that ended it, or 0 */
    struct tr_process *process; /* private, owned */
    int pid;                    /* private, as all below */
    bool is_killed;
    uint64_t give_up_ms; /* after the end of the program */
    struct tr_timer leftover;
};

void tr_child_init(struct tr_child *child, struct tr_loop *loop, struct tr_dev_out *out,
                   const char *name, void (*on_end)(struct tr_child *child), void *ctx);
/*
 * Start `self` (a path of this executable) to become `argv`. A program that cannot be run shows as
 * an end with status 127 (not there) or 126.
 *
 * Errors: TR_LIMIT, too many words; TR_IO.
 */
TR_MUST_USE enum tr_code tr_child_start(struct tr_child *child, const char *self,
                                        const char *const *argv, const char *const *env,
                                        struct tr_err *err);
/* Send a signal to the group. Harmless when it has ended. */
void tr_child_kill(struct tr_child *child, int signum);
/* SIGKILL what is left; no on_end any more. */
void tr_child_fini(struct tr_child *child);

/* Append how it ended: "ended with status 3", "was ended by signal 9 (Killed)". */
void tr_child_describe(const struct tr_child *child, struct tr_buf *out);
/* As a shell gives it: the status, or 128 + signal. */
int tr_child_exit_status(const struct tr_child *child);

/* The first words after `dev` of a child that is on its way, and what it does then: it does not
 * come back. */
#define TR_CHILD_EXEC "--exec"
int tr_child_exec_main(int argc, char **argv);

#endif
