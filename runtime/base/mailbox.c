/*
 * One stack of mails per loop, for all its mailboxes: posters push, the loop takes the whole stack
 * at once and turns it round. Only the poster that found the stack empty wakes the loop.
 */
#include "runtime/base/mailbox.h"

#include "runtime/base/loop_int.h"

void tr_mailbox_init(struct tr_mailbox *mailbox, struct tr_loop *loop,
                     void (*on_mail)(struct tr_mailbox *mailbox, struct tr_mail *mail))
{
    tr_loop_assert(loop);
    tr_assert(on_mail != NULL);
    mailbox->loop = loop;
    mailbox->on_mail = on_mail;
    atomic_init(&mailbox->waiting, 0);
}

bool tr_mailbox_is_empty(const struct tr_mailbox *mailbox)
{
    return atomic_load_explicit(&mailbox->waiting, memory_order_acquire) == 0;
}

void tr_mailbox_fini(struct tr_mailbox *mailbox)
{
    tr_loop_assert(mailbox->loop);
    tr_assert(tr_mailbox_is_empty(mailbox));
    mailbox->on_mail = NULL;
}

void tr_mailbox_post(struct tr_mailbox *mailbox, struct tr_mail *mail)
{
    struct tr_loop *loop = mailbox->loop;
    mail->mailbox = mailbox;
    atomic_fetch_add_explicit(&mailbox->waiting, 1, memory_order_relaxed);
    struct tr_mail *head = atomic_load_explicit(&loop->mails, memory_order_relaxed);
    do {
        mail->next = head;
        /* Partner: the exchange in tr_loop_deliver(). */
    } while (!atomic_compare_exchange_weak_explicit(&loop->mails, &head, mail, memory_order_release,
                                                    memory_order_relaxed));
    if (head == NULL) {
        tr_loop_wake(loop);
    }
}

void tr_loop_deliver(struct tr_loop *loop)
{
    tr_loop_assert(loop);
    struct tr_mail *newest = atomic_exchange_explicit(&loop->mails, NULL, memory_order_acquire);
    struct tr_mail *oldest = NULL;
    while (newest != NULL) {
        struct tr_mail *next = newest->next;
        newest->next = oldest;
        oldest = newest;
        newest = next;
    }
    while (oldest != NULL) {
        struct tr_mail *mail = oldest;
        oldest = mail->next;
        struct tr_mailbox *mailbox = mail->mailbox;
        atomic_fetch_sub_explicit(&mailbox->waiting, 1, memory_order_release);
        mailbox->on_mail(mailbox, mail);
    }
}
