/*
 * Chained hash table. When it is full, a table of twice the size takes its place, and every insertion moves a few
 * buckets of the old one over; a look-up meanwhile asks both.
 */
#include "runtime/actor/directory.h"

#include <stdlib.h>
#include <xxhash.h>

#include "runtime/base/assert.h"
#include "runtime/base/buf.h"

#define CAP_MIN 16
/* More than one, so that the old table is empty long before the new one is full. */
#define BUCKETS_PER_STEP 4

void tr_directory_init(struct tr_directory *dir, uint64_t seed)
{
    *dir = (struct tr_directory){ .seed = seed };
}

void tr_directory_fini(struct tr_directory *dir)
{
    tr_assert(dir->len == 0);
    free(dir->now.heads);
    free(dir->old.heads);
    *dir = (struct tr_directory){ 0 };
}

static uint32_t hash_id(const struct tr_directory *dir, struct tr_slice id)
{
    return (uint32_t)XXH3_64bits_withSeed(id.len == 0 ? "" : id.ptr, id.len, dir->seed);
}

static struct tr_directory_node **bucket(const struct tr_directory_table *table, uint32_t hash)
{
    return &table->heads[hash & (table->cap - 1)];
}

static struct tr_directory_node *find_in(const struct tr_directory_table *table, struct tr_slice id,
                                         uint32_t hash)
{
    if (table->cap == 0) {
        return NULL;
    }
    struct tr_directory_node *node = *bucket(table, hash);
    while (node != NULL &&
           (node->hash != hash || !tr_slice_eq(tr_slice(node->id, node->id_len), id))) {
        node = node->next;
    }
    return node;
}

struct tr_directory_node *tr_directory_find(const struct tr_directory *dir, struct tr_slice id)
{
    if (dir->len == 0) {
        return NULL;
    }
    const uint32_t hash = hash_id(dir, id);
    struct tr_directory_node *node = find_in(&dir->now, id, hash);
    return node != NULL ? node : find_in(&dir->old, id, hash);
}

static void push(struct tr_directory_table *table, struct tr_directory_node *node)
{
    struct tr_directory_node **head = bucket(table, node->hash);
    node->next = *head;
    *head = node;
}

static void move_buckets(struct tr_directory *dir, size_t count)
{
    for (; count > 0 && dir->moved < dir->old.cap; count--, dir->moved++) {
        struct tr_directory_node *node = dir->old.heads[dir->moved];
        while (node != NULL) {
            struct tr_directory_node *next = node->next;
            push(&dir->now, node);
            node = next;
        }
        dir->old.heads[dir->moved] = NULL;
    }
    if (dir->old.cap > 0 && dir->moved == dir->old.cap) {
        free(dir->old.heads);
        dir->old = (struct tr_directory_table){ 0 };
        dir->moved = 0;
    }
}

static void grow(struct tr_directory *dir)
{
    move_buckets(dir, dir->old.cap);
    tr_assert(dir->old.cap == 0);
    dir->old = dir->now;
    dir->now.cap = dir->old.cap == 0 ? CAP_MIN : 2 * dir->old.cap;
    dir->now.heads = tr_xzalloc(dir->now.cap * sizeof(struct tr_directory_node *));
    move_buckets(dir, 0);
}

void tr_directory_add(struct tr_directory *dir, struct tr_directory_node *node)
{
    const struct tr_slice id = tr_slice(node->id, node->id_len);
    tr_assert_slow(tr_directory_find(dir, id) == NULL);
    if (dir->len >= dir->now.cap) {
        grow(dir);
    }
    move_buckets(dir, BUCKETS_PER_STEP);
    node->hash = hash_id(dir, id);
    push(&dir->now, node);
    dir->len++;
    dir->adds++;
}

static bool unlink_from(struct tr_directory_table *table, struct tr_directory_node *node)
{
    if (table->cap == 0) {
        return false;
    }
    for (struct tr_directory_node **at = bucket(table, node->hash); *at != NULL;
         at = &(*at)->next) {
        if (*at == node) {
            *at = node->next;
            node->next = NULL;
            return true;
        }
    }
    return false;
}

void tr_directory_remove(struct tr_directory *dir, struct tr_directory_node *node)
{
    const bool was_there = unlink_from(&dir->now, node) || unlink_from(&dir->old, node);
    tr_assert(was_there);
    tr_assert(dir->len > 0);
    dir->len--;
}

struct tr_directory_node *tr_directory_next(const struct tr_directory *dir,
                                            struct tr_directory_walk *walk)
{
    while (walk->next == NULL && walk->bucket < dir->now.cap + dir->old.cap) {
        const size_t i = walk->bucket++;
        walk->next = i < dir->now.cap ? dir->now.heads[i] : dir->old.heads[i - dir->now.cap];
    }
    struct tr_directory_node *node = walk->next;
    walk->next = node == NULL ? NULL : node->next;
    return node;
}
