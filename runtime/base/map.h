/*
 * Hash map from bytes to pointers: open addressing over XXH3, seeded at random per map. Keys are copied.
 * All zero (or tr_map_init) is a valid empty map. Thread: one owner.
 */
#ifndef TR_BASE_MAP_H
#define TR_BASE_MAP_H

#include <stdint.h>

#include "runtime/base/slice.h"

struct tr_map_entry; /* private */

struct tr_map {
    struct tr_map_entry *slots; /* owned */
    size_t cap;                 /* a power of two, or 0 */
    size_t len;                 /* live entries */
    size_t used;                /* live entries and tombstones */
    uint64_t seed;              /* drawn at the first insertion */
};

void tr_map_init(struct tr_map *map);
/* Free keys and table. Values are the caller's and must have been freed before. */
void tr_map_fini(struct tr_map *map);
/* Value of `key`, or NULL. Cost: O(1), no allocation. */
void *tr_map_get(const struct tr_map *map, struct tr_slice key);
/* Store `value` (not NULL) under `key`; returns the value that was there before, or NULL. */
void *tr_map_put(struct tr_map *map, struct tr_slice key, void *value);
/* Remove `key`; returns its value, or NULL. */
void *tr_map_remove(struct tr_map *map, struct tr_slice key);

struct tr_map_iter {
    size_t next; /* private, start with 0 */
};
/*
 * Next entry in no particular order; false at the end. The current entry may be removed, nothing may be added.
 * The key is borrowed from the map until its removal.
 */
bool tr_map_next(const struct tr_map *map, struct tr_map_iter *iter, struct tr_slice *out_key, void **out_value);

#endif
