/*
 * Intrusive, doubly linked, circular list: embed a tr_link in the element, use another as the head.
 * A link that is in no list points to itself after tr_link_init(); removing twice is harmless.
 */
#ifndef TR_BASE_LIST_H
#define TR_BASE_LIST_H

#include <stdbool.h>
#include <stddef.h>

#include "runtime/base/assert.h"

struct tr_link {
    struct tr_link *prev;
    struct tr_link *next;
};

static inline void tr_link_init(struct tr_link *link)
{
    link->prev = link;
    link->next = link;
}

static inline bool tr_list_empty(const struct tr_link *head)
{
    return head->next == head;
}

/* Is `link` in a list? */
static inline bool tr_link_linked(const struct tr_link *link)
{
    return link->next != link;
}

static inline void tr_list_add_tail(struct tr_link *head, struct tr_link *link)
{
    tr_assert(!tr_link_linked(link));
    link->prev = head->prev;
    link->next = head;
    head->prev->next = link;
    head->prev = link;
}

static inline void tr_list_add_head(struct tr_link *head, struct tr_link *link)
{
    tr_list_add_tail(head->next, link);
}

static inline void tr_link_remove(struct tr_link *link)
{
    link->prev->next = link->next;
    link->next->prev = link->prev;
    tr_link_init(link);
}

/* First link of the list, or NULL. */
static inline struct tr_link *tr_list_first(const struct tr_link *head)
{
    return head->next == head ? NULL : head->next;
}

/* Take the first link out of the list, or NULL. */
static inline struct tr_link *tr_list_pop(struct tr_link *head)
{
    struct tr_link *link = tr_list_first(head);
    if (link != NULL) {
        tr_link_remove(link);
    }
    return link;
}

/* Move all elements of `from` to the end of `to`. */
static inline void tr_list_splice(struct tr_link *to, struct tr_link *from)
{
    struct tr_link *link;
    while ((link = tr_list_pop(from)) != NULL) {
        tr_list_add_tail(to, link);
    }
}

/* Walk the list; `it` and `tmp` are struct tr_link pointers; the current element may be removed. */
#define TR_LIST_FOR_EACH(it, tmp, head)                                                            \
    for ((it) = (head)->next, (tmp) = (it)->next; (it) != (head); (it) = (tmp), (tmp) = (it)->next)

#endif
