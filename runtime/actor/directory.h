/*
 * All instances of one actor type, by id: a hash table of intrusive nodes that grows a little with every insertion, so
 * that no single call pays for a million actors.
 */
#ifndef TR_ACTOR_DIRECTORY_H
#define TR_ACTOR_DIRECTORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "runtime/base/slice.h"

/* Embed it; `id` points into the container. */
struct tr_directory_node {
    struct tr_directory_node *next; /* private */
    const char *id;
    uint32_t id_len;
    uint32_t hash; /* private */
};

struct tr_directory_table { /* private */
    struct tr_directory_node **heads; /* owned */
    size_t cap;                       /* a power of two, or 0 */
};

struct tr_directory {
    struct tr_directory_table now;
    struct tr_directory_table old; /* while it is being emptied; else without heads */
    size_t moved;                  /* buckets of `old` that are empty by now */
    size_t len;
    uint64_t adds; /* nodes ever added */
    uint64_t seed;
};

void tr_directory_init(struct tr_directory *dir, uint64_t seed);
/* Free the table; it must be empty. */
void tr_directory_fini(struct tr_directory *dir);

/* Node of `id`, or NULL. Cost: O(1), no allocation. */
struct tr_directory_node *tr_directory_find(const struct tr_directory *dir, struct tr_slice id);
/* Add a node whose id is set and not yet there. Cost: O(1) but for allocating a larger table. */
void tr_directory_add(struct tr_directory *dir, struct tr_directory_node *node);
void tr_directory_remove(struct tr_directory *dir, struct tr_directory_node *node);

/*
 * Walk over all nodes in no particular order; start with a zero walk. The node that was given last may be removed;
 * nothing may be added. A walk may be laid aside, and any nodes be removed meanwhile, when it is at rest: the next node
 * would be the first of a bucket.
 */
struct tr_directory_walk {
    size_t bucket;                  /* private */
    struct tr_directory_node *next; /* private */
};
static inline bool tr_directory_walk_rests(const struct tr_directory_walk *walk)
{
    return walk->next == NULL;
}
struct tr_directory_node *tr_directory_next(const struct tr_directory *dir, struct tr_directory_walk *walk);

#endif
