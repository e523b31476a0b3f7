/*
 * A sidecar's table: for each actor type the ring of its hosts (pure). Immutable once decoded, and counted.
 */
#ifndef TR_PLACEMENT_TABLE_H
#define TR_PLACEMENT_TABLE_H

#include "placement/ring.h"
#include "placement/wire.h"
#include "runtime/base/err.h"
#include "runtime/base/slice.h"

struct tr_table; /* opaque */

/* A decoded order: what the sidecar's end of the stream reads. */
struct tr_order_in {
    enum tr_order_op op;
    uint64_t version;       /* the number, or, when that is 0, the decimal text inside the tables */
    struct tr_table *table; /* owned, one reference; only in an update, which always has one */
};

/*
 * Decode one order. Types with the same hosts share a ring, and a ring that equals the one of `previous` (may be NULL)
 * is that one.
 *
 * Errors: TR_INVALID for what is no order or has an unknown operation; TR_LIMIT. The stream must then be closed.
 * Cost:   one hash per virtual node not in `cache`.
 */
enum tr_code tr_order_decode(struct tr_slice bytes, struct tr_ring_cache *cache,
                             const struct tr_table *previous, struct tr_order_in *out_order,
                             struct tr_err *err) TR_MUST_USE;

struct tr_table *tr_table_ref(struct tr_table *table);
void tr_table_unref(struct tr_table **table);

/* Ring of `type`, borrowed, or NULL if no host has it. Cost: O(1). */
const struct tr_ring *tr_table_ring(const struct tr_table *table, struct tr_slice type);

/* Walk over the types in no particular order; start with a zero iterator. */
bool tr_table_next(const struct tr_table *table, struct tr_map_iter *iter,
                   struct tr_slice *out_type, const struct tr_ring **out_ring);

uint64_t tr_table_version(const struct tr_table *table);
size_t tr_table_types_len(const struct tr_table *table);

#endif
