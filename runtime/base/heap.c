/* Binary min-heap of intrusive nodes. */
#include "runtime/base/heap.h"

#include <stdlib.h>

#include "runtime/base/buf.h"

#define HEAP_CAP_MIN 16

void tr_heap_fini(struct tr_heap *heap)
{
    for (size_t i = 0; i < heap->len; i++) {
        heap->nodes[i]->place = 0;
    }
    free(heap->nodes);
    *heap = (struct tr_heap){ 0 };
}

static bool before(const struct tr_heap_node *a, const struct tr_heap_node *b)
{
    return a->key != b->key ? a->key < b->key : a->seq < b->seq;
}

static void set(struct tr_heap *heap, size_t index, struct tr_heap_node *node)
{
    heap->nodes[index] = node;
    node->place = index + 1;
}

static void sift_up(struct tr_heap *heap, size_t index, struct tr_heap_node *node)
{
    while (index > 0) {
        const size_t parent = (index - 1) / 2;
        if (!before(node, heap->nodes[parent])) {
            break;
        }
        set(heap, index, heap->nodes[parent]);
        index = parent;
    }
    set(heap, index, node);
}

static void sift_down(struct tr_heap *heap, size_t index, struct tr_heap_node *node)
{
    for (;;) {
        size_t child = 2 * index + 1;
        if (child >= heap->len) {
            break;
        }
        if (child + 1 < heap->len && before(heap->nodes[child + 1], heap->nodes[child])) {
            child++;
        }
        if (!before(heap->nodes[child], node)) {
            break;
        }
        set(heap, index, heap->nodes[child]);
        index = child;
    }
    set(heap, index, node);
}

void tr_heap_push(struct tr_heap *heap, struct tr_heap_node *node, uint64_t key)
{
    tr_assert(node->place == 0);
    if (heap->len == heap->cap) {
        heap->cap = heap->cap == 0 ? HEAP_CAP_MIN : heap->cap * 2;
        heap->nodes = tr_xrealloc(heap->nodes, heap->cap * sizeof(struct tr_heap_node *));
    }
    node->key = key;
    node->seq = heap->seq++;
    heap->len++;
    sift_up(heap, heap->len - 1, node);
}

void tr_heap_remove(struct tr_heap *heap, struct tr_heap_node *node)
{
    if (node->place == 0) {
        return;
    }
    const size_t index = node->place - 1;
    tr_assert(index < heap->len);
    tr_assert(heap->nodes[index] == node);
    node->place = 0;
    heap->len--;
    struct tr_heap_node *last = heap->nodes[heap->len];
    if (last == node) {
        return;
    }
    if (index > 0 && before(last, heap->nodes[(index - 1) / 2])) {
        sift_up(heap, index, last);
    } else {
        sift_down(heap, index, last);
    }
}

struct tr_heap_node *tr_heap_min(const struct tr_heap *heap)
{
    return heap->len == 0 ? NULL : heap->nodes[0];
}
