/*
 * Child processes: start, watch their output line by line, signal, learn how they ended. For
 * `troupe dev` and tests.
 *
 * on_exit comes once, when the process has ended and all its output was delivered, and is the last
 * call; before it, the struct and the process are there to be signaled. A child that leaves its
 * output to a grandchild which lives on is given up TR_PROCESS_LINGER_MS after its end.
 */
#ifndef TR_BASE_PROCESS_H
#define TR_BASE_PROCESS_H

#include "runtime/base/err.h"
#include "runtime/base/loop.h"
#include "runtime/base/slice.h"

#define TR_PROCESS_LINE_MAX 65536U /* bytes of a line; a longer one is delivered in parts */
#define TR_PROCESS_LINGER_MS                                                                       \
    500U /* wait for the end of the output after the end of the process                            \
          */
#define TR_PROCESS_ARGS_MAX 1024U
#define TR_PROCESS_ENV_MAX  1024U /* additions */

struct tr_process;

enum tr_process_output {
    TR_PROCESS_STDOUT,
    TR_PROCESS_STDERR,
};

/* A line without its line end ("\n" or "\r\n"), borrowed for the call. The last one need not have
 * had one. */
typedef void tr_process_line_fn(void *ctx, enum tr_process_output output, struct tr_slice line);
/* `status` is what the process returned; or `signum` is not 0 and says which signal ended it. */
typedef void tr_process_exit_fn(void *ctx, int status, int signum);

struct tr_process_conf {
    const char *const *argv; /* program, looked up in PATH unless it has a '/', and its arguments;
                                ends with NULL */
    const char *const
        *env;           /* "NAME=value": put before or in place of ours; ends with NULL; or NULL */
    const char *cwd;    /* or NULL for ours */
    bool has_own_group; /* a process group of its own: signals reach its children too, terminal
                           signals do not */
    bool inherits_output;        /* standard output and error are ours; else they come by on_line */
    tr_process_line_fn *on_line; /* or NULL: output is read and dropped */
    tr_process_exit_fn *on_exit; /* or NULL */
    void *ctx;                   /* borrowed */
};

/*
 * Start a child with empty standard input. All of `conf` but ctx is copied or used up.
 *
 * Errors: TR_NOT_FOUND, no such program or folder; TR_PERMISSION; TR_IO. Then on_exit does not
 * come.
 */
TR_MUST_USE enum tr_code tr_process_start(struct tr_loop *loop, const struct tr_process_conf *conf,
                                          struct tr_process **out_process, struct tr_err *err);

int tr_process_pid(const struct tr_process *process);

/* Send a signal, to the whole group if it has its own. Harmless when the process has ended. */
void tr_process_kill(struct tr_process *process, int signum);

/*
 * Let go: SIGKILL if it has not ended, no on_line nor on_exit any more, NULL left behind. After
 * on_exit this only frees. Every started process needs it once; it may be called inside on_exit and
 * on_line.
 */
void tr_process_free(struct tr_process **process);

#endif
