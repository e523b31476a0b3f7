/*
 * Binary min-heap of intrusive nodes ordered by a 64-bit key, first in first out among equals.
 * All zero is a valid empty heap. Thread: one owner.
 */
#ifndef TR_BASE_HEAP_H
#define TR_BASE_HEAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct tr_heap_node {
    uint64_t key;
    uint64_t seq;   /* private: order among equal keys */
    size_t place;   /* private: index + 1, 0 when in no heap */
};

struct tr_heap {
    struct tr_heap_node **nodes; /* owned array of borrowed nodes */
    size_t len;
    size_t cap;
    uint64_t seq;
};

void tr_heap_fini(struct tr_heap *heap);
/* Insert `node` under `key`; it must be in no heap. Cost: O(log n). */
void tr_heap_push(struct tr_heap *heap, struct tr_heap_node *node, uint64_t key);
/* Remove `node`; harmless when it is in no heap. Cost: O(log n). */
void tr_heap_remove(struct tr_heap *heap, struct tr_heap_node *node);
/* The least node, or NULL. */
struct tr_heap_node *tr_heap_min(const struct tr_heap *heap);
static inline bool tr_heap_linked(const struct tr_heap_node *node)
{
    return node->place != 0;
}

#endif
