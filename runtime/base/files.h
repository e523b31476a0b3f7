/*
 * File descriptors: as many as we may have, and a word in the log when none is left.
 *
 * A process without descriptors does not fail: clients wait until one is free, new connections to others fail with an
 * error. But nobody would know why.
 */
#ifndef TR_BASE_FILES_H
#define TR_BASE_FILES_H

#include "runtime/base/log.h"
#include "runtime/base/loop.h"

#define TR_FILES_MIN      64U   /* a process cannot work with fewer */
#define TR_FILES_EVERY_MS 2000U

struct tr_files {
    struct tr_timer timer;    /* private, as all here */
    struct tr_loop *loop;     /* borrowed */
    const struct tr_log *log; /* borrowed */
    bool were_out;
};

/*
 * Raise the limit of this process to the most that it may set itself, as Go programs do at their start.
 *
 * Errors: TR_LIMIT when that is less than TR_FILES_MIN.
 */
TR_MUST_USE enum tr_code tr_files_raise(struct tr_err *err);

/* Is there no descriptor left? */
bool tr_files_are_out(void);

/* Look from time to time, and warn when they have run out. */
void tr_files_watch(struct tr_files *files, struct tr_loop *loop, const struct tr_log *log);
/* Harmless when all zero. Must be done before the loop is freed. */
void tr_files_unwatch(struct tr_files *files);

#endif
