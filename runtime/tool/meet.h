/*
 * The place where every `troupe dev` of a user on this machine meets: one file with the ports of
 * the placement service, locked by the process that runs it. See dev.h for the whole.
 *
 * The lock is flock()'s: the system gives it up when its holder ends, however it ends. Readers do
 * not lock; the text is short, written in one call and checked when it is read, so a reader that
 * comes in the middle reads again later.
 */
#ifndef TR_TOOL_MEET_H
#define TR_TOOL_MEET_H

#include <stdbool.h>
#include <stdint.h>

#include "runtime/base/buf.h"
#include "runtime/base/err.h"

/* What the file says. */
struct tr_meet_place {
    uint16_t port;   /* of the placement service */
    uint16_t health; /* of its health endpoint */
    uint32_t pid;    /* of the owner, for messages only */
};

struct tr_meet {
    struct tr_buf path; /* owned */
    int fd;
    bool is_owner; /* readable */
};

/* Append the folder to meet in: $XDG_RUNTIME_DIR/troupe if `runtime_dir` is an absolute path, else
 * /tmp/troupe-<uid>. */
void tr_meet_folder(const char *runtime_dir, unsigned uid, struct tr_buf *out);

/*
 * Open the file `placement` in `folder`, making both if they are missing.
 *
 * Errors: TR_PERMISSION, the folder belongs to somebody else or others may write to it; TR_IO.
 */
TR_MUST_USE enum tr_code tr_meet_open(struct tr_meet *meet, const char *folder, struct tr_err *err);
/* Give up the lock, close the file. It stays, and the next owner uses the same ports. */
void tr_meet_close(struct tr_meet *meet);

/* Become the owner if there is none, without waiting. Harmless for the owner. */
bool tr_meet_own(struct tr_meet *meet);

/* What the file says; false if it says nothing yet, or is being written. */
bool tr_meet_read(const struct tr_meet *meet, struct tr_meet_place *out_place);
/* Say it. For the owner. Errors: TR_IO. */
TR_MUST_USE enum tr_code tr_meet_write(struct tr_meet *meet, const struct tr_meet_place *place,
                                       struct tr_err *err);

/* The text of the file, and its reading: false unless it is whole. */
void tr_meet_format(const struct tr_meet_place *place, struct tr_buf *out);
bool tr_meet_parse(struct tr_slice text, struct tr_meet_place *out_place);

#endif
