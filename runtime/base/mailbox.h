/*
 * Messages from other threads to the loop. A mail is embedded in what is sent; the poster gives it
 * away and the loop thread gets it, in the order of posting for one poster. This and worker.h are
 * the only ways from thread to thread.
 */
#ifndef TR_BASE_MAILBOX_H
#define TR_BASE_MAILBOX_H

#include <stdatomic.h>

#include "runtime/base/loop.h"

struct tr_mailbox;

struct tr_mail {
    struct tr_mail *next;       /* private */
    struct tr_mailbox *mailbox; /* private, borrowed */
};

struct tr_mailbox {
    struct tr_loop *loop; /* private, borrowed */
    void (*on_mail)(struct tr_mailbox *mailbox, struct tr_mail *mail);
    atomic_uint waiting; /* private: posted, not delivered; partner: tr_loop_deliver() */
};

/* `on_mail` runs on the loop thread for each mail; the mail is then the receiver's. It may free the
 * mailbox's owner only if no mail is left. Thread: loop. */
void tr_mailbox_init(struct tr_mailbox *mailbox, struct tr_loop *loop,
                     void (*on_mail)(struct tr_mailbox *mailbox, struct tr_mail *mail));

/* Every poster must have been joined (or be known to post no more), and every mail delivered:
 * tr_mailbox_is_empty(). Thread: loop. */
void tr_mailbox_fini(struct tr_mailbox *mailbox);
bool tr_mailbox_is_empty(const struct tr_mailbox *mailbox);

/* Give `mail` to the loop and wake it. What the poster wrote before is visible to the receiver.
 * Thread: any. Cost: one atomic exchange; a system call when the loop had no mail. */
void tr_mailbox_post(struct tr_mailbox *mailbox, struct tr_mail *mail);

/* Deliver what has been posted so far. For those that wait for a thread (join it first) at the end
 * of life, when the loop takes no more turns. Thread: loop. */
void tr_loop_deliver(struct tr_loop *loop);

#endif
