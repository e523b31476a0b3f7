/*
 * What `troupe dev` prints: whole lines, each with the name of the process it comes from in front.
 *
 *   placement | ...
 *   sidecar   | ...
 *   app       | ...
 *   troupe    | ...
 *
 * Writing waits for the reader, on purpose: the pipes of the processes then fill up and hold them
 * back, as in a shell's pipeline, and no line is lost.
 */
#ifndef TR_TOOL_OUT_H
#define TR_TOOL_OUT_H

#include <stdbool.h>

#include "runtime/base/buf.h"

struct tr_dev_out {
    bool is_broken;     /* readable: the reader has gone; lines are dropped from then on */
    struct tr_buf line; /* private, owned */
};

/* Write one line of `name` to the descriptor. */
void tr_dev_out_line(struct tr_dev_out *out, int fd, const char *name, struct tr_slice text);
/* A line of our own: to standard output, and to standard error. */
void tr_dev_say(struct tr_dev_out *out, const char *fmt, ...) TR_PRINTF(2, 3);
void tr_dev_complain(struct tr_dev_out *out, const char *fmt, ...) TR_PRINTF(2, 3);
void tr_dev_out_fini(struct tr_dev_out *out);

#endif
