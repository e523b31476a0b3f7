/*
 * Hash map from bytes to pointers. Linear probing; a removed entry leaves a tombstone, so that later entries of its
 * run are still found. The table is rebuilt when live entries and tombstones fill three quarters of it.
 */
#include "runtime/base/map.h"

#include <stdlib.h>
#include <xxhash.h>

#include "runtime/base/buf.h"
#include "runtime/base/rng.h"

#define MAP_CAP_MIN 8

struct tr_map_entry {
    char *key; /* owned; NULL: never used; TOMBSTONE: removed */
    size_t key_len;
    uint64_t hash;
    void *value;
};

static char tombstone;

void tr_map_init(struct tr_map *map)
{
    *map = (struct tr_map){ 0 };
}

static bool is_live(const struct tr_map_entry *entry)
{
    return entry->key != NULL && entry->key != &tombstone;
}

void tr_map_fini(struct tr_map *map)
{
    for (size_t i = 0; i < map->cap; i++) {
        if (is_live(&map->slots[i])) {
            free(map->slots[i].key);
        }
    }
    free(map->slots);
    tr_map_init(map);
}

/* The seed keeps a peer from choosing keys that collide; it is drawn once per map, at the first insertion. */
static uint64_t hash_key(const struct tr_map *map, struct tr_slice key)
{
    return XXH3_64bits_withSeed(key.len == 0 ? "" : key.ptr, key.len, map->seed);
}

static struct tr_map_entry *find(const struct tr_map *map, struct tr_slice key, uint64_t hash)
{
    for (size_t i = hash & (map->cap - 1); map->slots[i].key != NULL; i = (i + 1) & (map->cap - 1)) {
        struct tr_map_entry *entry = &map->slots[i];
        if (is_live(entry) && entry->hash == hash && tr_slice_eq(tr_slice(entry->key, entry->key_len), key)) {
            return entry;
        }
    }
    return NULL;
}

void *tr_map_get(const struct tr_map *map, struct tr_slice key)
{
    if (map->len == 0) {
        return NULL;
    }
    const struct tr_map_entry *entry = find(map, key, hash_key(map, key));
    return entry == NULL ? NULL : entry->value;
}

/* A free slot for a key that is not in the table. */
static struct tr_map_entry *free_slot(struct tr_map_entry *slots, size_t cap, uint64_t hash)
{
    size_t i = hash & (cap - 1);
    while (is_live(&slots[i])) {
        i = (i + 1) & (cap - 1);
    }
    return &slots[i];
}

static void rebuild(struct tr_map *map)
{
    size_t cap = MAP_CAP_MIN;
    while (cap / 2 <= map->len) {
        cap *= 2;
    }
    struct tr_map_entry *slots = tr_xzalloc(cap * sizeof(*slots));
    for (size_t i = 0; i < map->cap; i++) {
        if (is_live(&map->slots[i])) {
            *free_slot(slots, cap, map->slots[i].hash) = map->slots[i];
        }
    }
    free(map->slots);
    map->slots = slots;
    map->cap = cap;
    map->used = map->len;
}

void *tr_map_put(struct tr_map *map, struct tr_slice key, void *value)
{
    tr_assert(value != NULL);
    if (map->cap == 0) {
        struct tr_rng rng;
        tr_rng_init_system(&rng);
        map->seed = tr_rng_next(&rng);
    }
    const uint64_t hash = hash_key(map, key);
    struct tr_map_entry *entry = map->len == 0 ? NULL : find(map, key, hash);
    if (entry != NULL) {
        void *old = entry->value;
        entry->value = value;
        return old;
    }
    if ((map->used + 1) * 4 > map->cap * 3) {
        rebuild(map);
    }
    entry = free_slot(map->slots, map->cap, hash);
    if (entry->key == NULL) {
        map->used++;
    }
    *entry = (struct tr_map_entry){ .key = tr_xstrdup(key), .key_len = key.len, .hash = hash, .value = value };
    map->len++;
    return NULL;
}

void *tr_map_remove(struct tr_map *map, struct tr_slice key)
{
    struct tr_map_entry *entry = map->len == 0 ? NULL : find(map, key, hash_key(map, key));
    if (entry == NULL) {
        return NULL;
    }
    void *value = entry->value;
    free(entry->key);
    *entry = (struct tr_map_entry){ .key = &tombstone };
    map->len--;
    return value;
}

bool tr_map_next(const struct tr_map *map, struct tr_map_iter *iter, struct tr_slice *out_key, void **out_value)
{
    while (iter->next < map->cap) {
        const struct tr_map_entry *entry = &map->slots[iter->next++];
        if (is_live(entry)) {
            *out_key = tr_slice(entry->key, entry->key_len);
            *out_value = entry->value;
            return true;
        }
    }
    return false;
}
